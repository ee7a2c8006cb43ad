/*
 * engine: the path of an event, and the state that it moves.
 *
 * struct core is the deterministic part: a function of the journal and of nothing else. Live, recovery and
 * replay all go through core_apply(). struct engine adds what feeds it and what takes away: ring,
 * connections, journal, gateways.
 *
 * One thread. After engine_start() it calls no allocator.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <base/frame.h>
#include <base/ledger.h>
#include <base/legs.h>
#include <base/outbox.h>
#include <base/peers.h>
#include <catalogue/catalogue.h>
#include <decide/decide.h>
#include <journal/journal.h>
#include <message/message.h>
#include <profile/profile.h>
#include <rules/rules.h>

/* Counted up by every change of what an entry means: replay refuses to verify across it. */
enum {
	ENGINE_SEMANTIC_VERSION = 3,
	ENGINE_STATE_VERSION_MIN = 3, /* stores of an older one hold windows, legs and counts in other forms */
};

/* Address space for windows; bank.memory.windows says how much of it may be used. */
#define CORE_WINDOWS_BYTES (UINT64_C(16) << 30)

/* What a running checkpoint puts into its records next. */
enum core_cut { CUT_NONE, CUT_HISTORY, CUT_OUTBOX, CUT_LEGS };

struct core {
	struct store *store;
	struct history *history;
	struct catalogue *catalogue; /* in force; NULL before the first ACTIVATE */
	struct catalogue *retired;   /* the one before, until the control thread has freed it */
	uint16_t channel_slot[CHANNELS_MAX];
	uint32_t interest_version;
	struct peers peers;
	struct outbox outbox;
	struct ledger *ledger;
	struct ledger_rule *by_rule;	  /* [RULES_MAX], by number in the catalogue in force */
	uint32_t by_rule_count;		  /* of by_rule */
	struct ledger_rule *by_rule_next; /* [RULES_MAX]: scratch of an activation */
	uint64_t *by_type;		  /* [65536]: kept events by type code */
	struct legs legs;
	struct message_forms forms; /* of the catalogue in force */
	struct hash128 verdicts;    /* digest of the verdicts; that of messages is the outbox's */
	struct profile_columns columns;
	struct rules rules;
	struct decide *decide;
	struct event *events;	     /* [BATCH_ENTRIES_MAX] */
	struct batch_entry *entries; /* [JOURNAL_BATCH_ENTRIES_MAX]: of the tick */
	int64_t now;
	enum core_cut cut;	       /* how far a checkpoint's records are filled */
	struct hash128 catalogue_kept; /* the one whose content is in the store */
	bool event_clock, read_only;
	uint64_t term;
	uint32_t journal_version; /* semantic version of what is applied now */
	bool history_loading;	  /* core_open: the store has a history */
	uint32_t loaded_version;  /* semantic version of the loaded checkpoint; 0 = none */
	uint64_t next_position;	  /* of the next entry */
	uint64_t batch;		  /* number of the last batch applied */
	char why[256];		  /* of the last failure */

	/* hooks; any may be NULL */
	void *ctx;
	void (*on_event)(void *ctx, const struct event *event);
	void (*on_verdict)(void *ctx, const struct event *event, const char *frame, uint32_t bytes);
	void (*on_message)(void *ctx, const char *frame, uint32_t bytes);
	const struct event *message_event; /* on_message: the event that the message is about */
	/* compiled beforehand by the control thread for the ACTIVATE entry that follows; NULL: core compiles
	 * the blob */
	struct catalogue *prepared;
};

struct core_options {
	const char *data; /* data directory; the store is data/store, or `store` */
	const char *store;
	bool read_only; /* replay: no checkpoints */
	bool thread;	/* checkpoints in a thread of their own */
	uint64_t map_bytes, windows_bytes, refs_max;
};

/* Takes all memory and loads the last checkpoint. 0 or -errno, core->why says what. */
__attribute__((warn_unused_result)) int core_open(struct core *core, const struct core_options *options);
void core_close(struct core *core);

/*
 * Applies entries of one journal batch in order: the stages from profile to message. `now` is the batch's
 * stamp. 0, or -errno with core->why: -ENOBUFS outbox, -EINVAL an entry that makes no sense (our own mistake
 * or corruption).
 */
__attribute__((warn_unused_result)) int core_apply(struct core *core, const struct batch_entry *entries,
						   uint32_t count);
/* Would it be taken? Changes nothing: ask before the activation is journalled. 0 or -errno with the reason.
 */
__attribute__((warn_unused_result)) int core_can_activate(struct core *core, const struct catalogue *c,
							  char *why, size_t why_bytes);
/* Puts a catalogue in force from `now` on. 0 or -errno with core->why. */
__attribute__((warn_unused_result)) int core_catalogue_use(struct core *core, struct catalogue *c,
							   int64_t now, bool empty,
							   uint32_t interest_version);
/* A SEEN record: moves the source's expected sequence, counts what was dropped. */
void core_seen(struct core *core, const struct journal_seen *seen, const struct journal_dropped *dropped);
/* now of an entry that comes next (decisions 18); moves core->now. */
int64_t core_clock(struct core *core, uint8_t kind, const void *data);

/* Room for the worst case of so many entries in every pool? false: a checkpoint first. */
bool core_has_room(const struct core *core, uint32_t entries);
/*
 * A checkpoint: begin cuts at a tick's edge and costs the same however much has changed; false: one runs. step
 * puts a slice of the cut into the store's records, once a tick of so many entries (UINT32_MAX: what is left of
 * it), and is true when all of it is there; then, and when `batch` is durable, the caller commits.
 */
bool core_checkpoint_begin(struct core *core);
bool core_checkpoint_step(struct core *core, uint32_t entries);
/* True when a checkpoint has been committed since the last call; *error: it failed (-errno). */
bool core_checkpoint_poll(struct core *core, int *error);

/* Does the journal hold batches behind the store's checkpoint? Then only momentd may touch the store's rows.
 */
bool core_behind_journal(struct store *store, const char *data);

/* Applies the journal from core->next_position to its end. `each_batch` (NULL allowed) may stop it by a
 * non-zero return. Checks the outputs digest of each batch against its header: -EBADMSG and core->why on a
 * difference. */
enum replay_take {
	REPLAY_TAKE,
	REPLAY_ALONE, /* in a core_apply call of its own, `alone` is told before and after */
	REPLAY_SKIP,  /* as if it were not there; its position stays */
};

struct core_replay {
	uint64_t batches, entries, events;
	uint32_t last_entries; /* of the last batch: the one whose outputs no later header tells */
	uint32_t chunk;	       /* entries a core_apply call; 0 = BATCH_ENTRIES_MAX (tests: 1, 7) */
	bool verify;	       /* compare outputs batch by batch */
	uint64_t until;	       /* stop before this batch; 0 = to the end */
	int (*each_batch)(void *ctx, const struct journal_batch_header *header);
	/* --check-filter; all NULL: every entry is taken. `choose` is asked for each FRAME; all that stands
	 * before it is in the state, but events. `applied`: after each core_apply. */
	enum replay_take (*choose)(void *ctx, const struct frame_header *h);
	void (*alone)(void *ctx, const struct frame_header *h, bool done);
	void (*applied)(void *ctx);
	void *ctx;
};
__attribute__((warn_unused_result)) int core_replay(struct core *core, const char *journal_dir,
						    struct core_replay *replay);

/* Digest of all outputs so far: of messages and verdicts, each in journal order, so that batch size never
 * shows. */
struct hash128 core_outputs(const struct core *core);
/* xxh3-128 over the state that outcomes depend on. Slow; tests and replay. */
struct hash128 core_digest(struct core *core);

#endif
