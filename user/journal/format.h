/*
 * format.h: the bytes of a journal batch, little-endian. schemas/journal.md is the prose, and
 * tests/model/journal.py an independent reader.
 */
#ifndef JOURNAL_FORMAT_H
#define JOURNAL_FORMAT_H

#include <moment/hash.h>
#include <stdint.h>

#define JOURNAL_MAGIC UINT64_C(0x314c4e4a544e4d4d) /* "MMNTJNL1" */

/* X(value, NAME, what its bytes are) */
#define JOURNAL_ENTRY_KINDS(X)                                                                               \
	X(1, FRAME, "a frame as it came: EVENT, PROFILE, SUBSCRIBE, MANAGE, RECEIPT, REPLY")                 \
	X(2, START, "the process started: {term, semantic version} ")                                        \
	X(3, ACTIVATE, "a catalogue is in force: its whole content (blob)")                                  \
	X(4, BASE, "a base copy of the store was made: its position and hash")                               \
	X(5, STREAM, "a source said HELLO: its name, stream, first; resets or resumes its sequence")         \
	X(6, GATEWAY, "a gateway is up or down: its name and channels")                                      \
	X(7, ACCEPTED, "a gateway accepted legs: queue, first ordinal, count")                               \
	X(8, CLOCK, "a PING moved the event clock, or an operator the wall clock: time")                     \
	X(9, SKIP, "events declared lost by a source or an operator: from, to")

enum journal_entry_kind {
	ENTRY_NONE = 0,
#define X(value, name, text) ENTRY_##name = value,
	JOURNAL_ENTRY_KINDS(X)
#undef X
		ENTRY_KIND_COUNT
};

struct journal_batch_header { /* 192 bytes */
	uint64_t magic;
	uint32_t header_bytes; /* 192 */
	uint32_t shard;
	uint64_t term;
	uint64_t number;	 /* of the batch, from 1, consecutive */
	uint64_t first_position; /* of its first entry */
	uint32_t entries;
	uint32_t seen_records;
	uint64_t bytes; /* header, entries and SEEN records, without padding */
	uint64_t padded_bytes;
	int64_t now;		  /* ns since 1970 UTC */
	uint64_t durable_through; /* last batch known durable when this one was sealed */
	struct hash128 catalogue;
	struct hash128 outputs;
	struct hash128 chain; /* xxh3-128 (seed 0) over {previous chain, hash of each entry, hash of the SEEN
				 part} */
	uint32_t interest_version;
	uint32_t reserved[13];
	uint32_t entries_crc; /* crc32c of everything behind the header, up to `bytes` (padding is not
				 covered) */
	uint32_t header_crc;  /* crc32c of the header up to here */
};
_Static_assert(sizeof(struct journal_batch_header) == 192, "fixed on disk");

struct journal_entry_header { /* 24 bytes, entry bytes behind it, padded with zeros to 8 */
	uint32_t bytes;
	uint8_t kind;
	uint8_t reserved;
	uint16_t source;
	struct hash128
		hash; /* xxh3-128 of the entry's bytes, seed = kind | source << 8 | (uint64_t)bytes << 32 */
};
_Static_assert(sizeof(struct journal_entry_header) == 24, "fixed on disk");

/* SEEN: what a source's stream moved in this batch, kept or dropped. */
struct journal_seen {
	uint16_t source;
	uint16_t dropped_lines;
	uint32_t interest_version;
	uint8_t stream[16];
	uint64_t first; /* first sequence covered by this record */
	uint64_t seen;	/* last sequence covered */
};
_Static_assert(sizeof(struct journal_seen) == 40, "fixed on disk");

struct journal_dropped {
	uint16_t type;	/* event type code */
	uint8_t reason; /* enum event_outcome: FILTERED or DUPLICATE */
	uint8_t reserved;
	uint32_t count;
};
_Static_assert(sizeof(struct journal_dropped) == 8, "fixed on disk");

/* ---- what the bytes of an entry are, by kind; FRAME: the frame as it came, header and body ---- */

struct journal_start { /* START */
	uint64_t term;
	uint32_t semantic_version; /* of the engine: replay refuses to verify across a change */
	uint32_t event_clock;	   /* 1: --clock=event, EVENT and CLOCK entries move now (decisions 18) */
};
_Static_assert(sizeof(struct journal_start) == 16, "fixed on disk");

struct journal_activate { /* ACTIVATE, the catalogue's whole content (blob) behind it */
	struct hash128 catalogue;
	uint32_t interest_version;
	uint32_t starts_empty; /* 1: the store was empty at activation */
};
_Static_assert(sizeof(struct journal_activate) == 24, "fixed on disk");

struct journal_base {	   /* BASE */
	uint64_t position; /* the copy holds what all entries below this did */
	struct hash128 hash;
};
_Static_assert(sizeof(struct journal_base) == 24, "fixed on disk");

struct journal_stream { /* STREAM, name_bytes of the source's name behind it */
	uint8_t stream[16];
	uint64_t first;	   /* the oldest sequence that the source can still send */
	uint64_t expected; /* the next one that the engine takes */
	uint16_t name_bytes;
	uint8_t resumed; /* 1: the stream that this source had before */
	uint8_t reserved;
	uint32_t reserved2;
};
_Static_assert(sizeof(struct journal_stream) == 40, "fixed on disk");

struct journal_gateway { /* GATEWAY, name_bytes of its name and channel_count indices (a byte each) behind it
			  */
	uint8_t up;
	uint8_t channel_count;
	uint16_t name_bytes;
	uint32_t reserved;
};
_Static_assert(sizeof(struct journal_gateway) == 8, "fixed on disk");

struct journal_accepted { /* ACCEPTED: an array of these */
	uint32_t queue;
	uint32_t count;
	uint64_t first; /* ordinal of the first leg */
};
_Static_assert(sizeof(struct journal_accepted) == 16, "fixed on disk");

struct journal_clock { /* CLOCK */
	int64_t time;  /* ns since 1970 UTC */
};
_Static_assert(sizeof(struct journal_clock) == 8, "fixed on disk");

struct journal_skip { /* SKIP */
	uint8_t stream[16];
	uint64_t from, to; /* both lost */
};
_Static_assert(sizeof(struct journal_skip) == 32, "fixed on disk");

#endif
