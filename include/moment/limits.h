/*
 * limits.h: every maximum of the engine, with the asserts that relate them.
 *
 * A name ends in its unit and `_MAX`. What needs more is refused by the name that stands beside it,
 * never cut silently.
 */
#ifndef MOMENT_LIMITS_H
#define MOMENT_LIMITS_H

#include <moment/frame.h>

/* How many can be in flight */
enum {
	BATCH_ENTRIES_MAX = 256, /* entries that the stages take at once: what their columns hold */
	JOURNAL_BATCH_ENTRIES_MAX =
		2048, /* entries of one tick = of one journal batch: one write, one sync */
	JOURNAL_BATCHES_IN_FLIGHT_MAX = 2,
	SOURCES_MAX = 64,		/* names of sources ever seen; refused: ERROR PEERS */
	GATEWAYS_MAX = 64,		/* names of gateways ever seen; refused: ERROR PEERS */
	CONNECTIONS_MAX = 256,		/* at once, of all kinds; refused: closed at accept, counted */
	WINDOW_BYTES = 4 << 20,		/* WELCOME.window_bytes: what a source may have unacknowledged */
	WINDOW_EVENTS = 65536,		/* WELCOME.window_events */
	GATEWAY_WINDOW_MESSAGES = 8192, /* sent to a gateway and not yet accepted */
};

/* How long what the filter dropped waits for a batch to be acknowledged with, ns */
#define SEEN_NS_MAX 5000000

/* How long is waited for a peer, seconds */
enum {
	HELLO_SECONDS_MAX = 10, /* for the first frame; refused: ERROR NO_HELLO */
	BUSY_SECONDS = 10,	/* a name heard of so lately is not given to another stream: ERROR BUSY */
	GATEWAY_SILENT_SECONDS =
		30, /* a gateway that acknowledges nothing is cut off, another may have its messages */
};

/* Names and bodies */
enum {
	NAME_BYTES_MAX = 63,	 /* any name of the catalogue, of a peer, of a subscription */
	BODY_FIELDS_MAX = 256,	 /* distinct body fields of one catalogue */
	STRING_BYTES_MAX = 1024, /* one string of a body or an attribute; longer: BAD_BODY */
	REF_BYTES_MAX = 64,	 /* body.ref, .of, .card; longer: BAD_BODY */
	REF_PARTS_MAX = 6,	 /* (stage, type) pairs of one ref; more: BAD_BODY */
};

/* One catalogue; more is an error of `moment check` that names the figure and the limit */
enum {
	CATALOGUE_BYTES_MAX = 4 << 20, /* all files together */
	CATALOGUE_FILES_MAX = 256,
	EVENT_TYPES_MAX = 1024,
	ATTRIBUTES_MAX = 256, /* of profile */
	AGGREGATES_MAX = 64,  /* one bit each in a window entry; steps of patterns are aggregates too */
	AGGREGATE_VALUES_MAX = 256,
	KEYS_MAX = 16, /* what windows are kept per: customer, account, card and what `per` lists */
	KEY_PARTS_MAX = 4,
	KEYS_BOUND_MAX = 1000000, /* `keys: n` of one aggregate */
	KEY_BYTES_LEAST = 128,	  /* what one key of `keys: n` takes in memory, whatever is kept of it */
	WINDOW_DAYS_MAX = 400,	  /* `within` of an aggregate or pattern; longer: for ever, without it */
	PATTERNS_MAX = 32,
	PATTERN_STEPS_MAX = 8,
	STEP_TIMES_MAX = 1000, /* `times` of one step */
	ZONES_MAX = 1024,
	LISTS_MAX = 256,
	LIST_VALUES_MAX = 65536, /* of all lists together */
	RULES_MAX = 16384,	 /* fraud, critical and subscriptions together */
	PARAMS_MAX = 16,	 /* of one subscription kind */
	CHANNELS_MAX = 16,
	LANGUAGES_MAX = 32,
	MESSAGES_MAX = 16384,
	RATES_MAX = 192,
	PROGRAM_INSTRUCTIONS_MAX = 1024, /* one compiled expression */
	PROGRAM_DEPTH_MAX = 64,		 /* nesting of an expression */
	PROGRAM_STEPS_MAX = 16384,    /* worst case of one that is interpreted, from the sizes of its lists */
	PROGRAM_VALUES_MAX = 2048,    /* elements of lists that one makes */
	PROGRAM_HEIGHT_MAX = 512,     /* operations on top of each other in one that is interpreted */
	MACRO_DEPTH_MAX = 8,	      /* exists, all, .. inside of each other */
	REGEX_INSTRUCTIONS_MAX = 256, /* one pattern of matches(); times STRING_BYTES_MAX is its worst case */
	REGEX_REPEAT_MAX = 1000,      /* x{n}, as in RE2 */
};

/* One customer, account */
enum {
	HOLDERS_MAX = 64,	/* of one account */
	CARDS_MAX = 64,		/* of one account */
	SUBSCRIPTIONS_MAX = 64, /* of one customer; more: BAD_BODY */
	SUBSCRIPTION_ACCOUNTS_MAX = 16,
	ROW_BYTES_MAX = 32768,	       /* one packed customer or account row; more: BAD_BODY */
	WINDOW_LOG_EVENTS_MAX = 50000, /* entries of one key; beyond: no data, counted WINDOW_FULL */
};

/* What one event can give */
enum {
	TEXT_BYTES_MAX = 20000, /* one rendered text */
	MESSAGE_BODY_BYTES_MAX = TEXT_BYTES_MAX + 2048,
	REASONS_MAX = 8, /* rules named in a VERDICT */
	VERDICT_BYTES_MAX = FRAME_HEADER_BYTES + 64 + REASONS_MAX * (NAME_BYTES_MAX + 2),
};

/* What a tick gives to a running checkpoint */
enum {
	CHECKPOINT_CELLS_A_TICK = 512, /* windows and references; more for a longer tick: */
	CHECKPOINT_CELLS_AN_ENTRY = 2, /* so that a checkpoint ends under any load */
	CHECKPOINT_CHUNKS_A_TICK = 4,  /* of the outbox: 64 KiB each */
	CHECKPOINT_PAGES_A_TICK = 4,   /* of legs */
};

/* Journal and outbox */
enum {
	JOURNAL_ENTRY_BYTES_MAX = CATALOGUE_BYTES_MAX + FRAME_BYTES_MAX,
	JOURNAL_BATCH_BYTES_MAX = /* so many of the longest frames, or more of shorter ones */
	BATCH_ENTRIES_MAX * (FRAME_BYTES_MAX + 64) + JOURNAL_ENTRY_BYTES_MAX + (1 << 20),
	JOURNAL_SEGMENT_BYTES = 64 << 20,
	OUTBOX_CHUNK_BYTES = FRAME_BYTES_MAX,
	OUTBOX_CHUNK_FRAMES_MAX = 512,
	OUTBOX_MEMORY_BYTES = 64 << 20, /* above it no batch is taken until a checkpoint has spilled; one
					   batch may overshoot */
	CHANNEL_SLOTS_MAX = 32,		/* channels ever seen, over all reloads */
	LANES = 2,			/* critical first, then the rest */
	QUEUES_MAX = CHANNEL_SLOTS_MAX * LANES,
	LEGS_REMEMBERED_MAX = 1 << 20, /* legs that a RECEIPT can still move; older: REFUSED */
};

_Static_assert(JOURNAL_BATCH_BYTES_MAX <= JOURNAL_SEGMENT_BYTES, "a batch fits in a segment");
_Static_assert(MESSAGE_BODY_BYTES_MAX + FRAME_HEADER_BYTES <= FRAME_BYTES_MAX, "a message fits in a frame");
_Static_assert((int)CHANNELS_MAX <= (int)CHANNEL_SLOTS_MAX, "each channel has a slot");
_Static_assert(AGGREGATES_MAX <= 64, "one bit each in window_entry.feeds");

#endif
