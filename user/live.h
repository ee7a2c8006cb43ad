/*
 * live: the engine as it runs: the core, fed by connections, behind the journal, delivering to gateways.
 *
 * Threads: engine_run() is the engine thread. The control thread talks to it through struct engine_mail only:
 * it puts a request, wakes the engine, and waits for the answer. The checkpoint thread is inside the store.
 */
#ifndef LIVE_H
#define LIVE_H

#include <base/ahead.h>
#include <base/histogram.h>
#include <deliver/deliver.h>
#include <engine.h>
#include <filter.h>
#include <ingest/ingest.h>
#include <stdatomic.h>

enum engine_spin { SPIN_ADAPTIVE, SPIN_ALWAYS, SPIN_NEVER };
enum engine_prefilter { PREFILTER_AUTO, PREFILTER_KERNEL, PREFILTER_USER, PREFILTER_OFF };

struct engine_options {
	const char *catalogue; /* directory */
	const char *data;
	const char *listen; /* "127.0.0.1:7400"; port 0: any */
	bool insecure_listen;
	enum engine_prefilter prefilter;
	bool durable; /* --durability=sync */
	enum zero_copy zero_copy;
	bool event_clock, accept_clock;
	enum engine_spin spin;
	int cpu;	    /* -1: not pinned */
	uint32_t batch_max; /* tests: 1, 7; 0 = JOURNAL_BATCH_ENTRIES_MAX */
	uint64_t journal_segment_bytes;
	uint32_t checkpoint_seconds; /* 0 = 30 */
};

/* One batch between its sealing and its durability. */
struct engine_flight {
	uint64_t number;
	int64_t sealed_ns;	       /* monotonic */
	uint64_t ordinals[QUEUES_MAX]; /* last leg of each queue when it was sealed */
	struct ingest_flight ingest;
};
enum { ENGINE_FLIGHTS = JOURNAL_BATCHES_IN_FLIGHT_MAX + 2 };

/* What status and metrics show; a copy that the engine thread makes when asked. */
struct engine_status {
	struct ledger ledger;
	struct ledger_rule rules[RULES_MAX];
	uint32_t rule_count;
	struct peers peers;
	struct ingest_live live[PEERS_MAX];
	struct outbox_queue queues[QUEUES_MAX];
	char slot_name[CHANNEL_SLOTS_MAX][NAME_BYTES_MAX + 1];
	uint32_t slot_count;
	uint64_t by_type[65536];
	uint64_t refusals[REFUSAL_COUNT];
	struct history_sizes history;
	struct store_sizes store;
	struct hash128 catalogue, outputs;
	uint64_t term, batches, durable, positions, checkpoints_failed, base_position;
	int64_t now, started_at;
	uint64_t bytes_in, bytes_out, zero_copy_sends, zero_copy_copied, plain_sends, messages_sent, resent,
		connections, connections_refused;
	uint64_t outbox_bytes, outbox_spilled;
	uint64_t ticks, entries, sleeps;
	struct histogram tick, durable_wait;
	struct prefilter_counts prefilter;
	uint64_t prefilter_cut;
	char prefilter_why[256]; /* why not in the kernel; "" */
	const char *filter, *durability, *clock;
	bool direct;
};

enum mail_kind { MAIL_NONE, MAIL_STATUS, MAIL_CATALOGUE, MAIL_CHECKPOINT };

/* One request at a time, from the control thread. */
struct engine_mail {
	_Atomic int kind;		     /* enum mail_kind; MAIL_NONE: free, or answered */
	struct catalogue *catalogue;	     /* MAIL_CATALOGUE: in; on success the engine owns it */
	_Atomic(struct catalogue *) retired; /* out: the control thread frees it */
	int result;			     /* 0 or -errno */
	char why[256];
	struct engine_status *status; /* MAIL_STATUS: filled */
};

struct engine {
	struct engine_options options;
	struct core core;
	struct engine_filter filter;
	struct ring ring;
	struct conns conns;
	struct ingest ingest;
	struct deliver deliver;
	struct journal *journal;
	struct ahead ahead; /* touches what grows, on another CPU */
	struct engine_flight flight[ENGINE_FLIGHTS];
	uint64_t sealed;  /* number of the last batch */
	uint64_t durable; /* last batch whose outputs were released */
	bool last_had_content;
	uint32_t last_entries;	       /* of the last tick that took any */
	int64_t room_said_ns;	       /* monotonic: when the lack of room was last logged */
	bool journal_waits;	       /* the last tick found no room in the journal */
	int64_t sealed_ns;	       /* monotonic, of the last batch */
	int64_t wall_ns, wall_mono_ns; /* the last pair of readings: a step of the wall clock shows against
					  the other */
	uint64_t activation_batch;     /* of the last MAIL_CATALOGUE */
	uint64_t checkpoint_batch; /* a checkpoint was begun: commit when this batch is durable; 0 = none */
	bool checkpoint_due, checkpoint_committing;
	int64_t checkpoint_at_ns;
	uint64_t checkpoint_position; /* of the last one */
	uint64_t checkpoints_failed, base_position;
	int64_t started_at;
	uint64_t ticks, entries, sleeps;
	struct histogram tick_ns, durable_ns;
	struct engine_mail mail;
	int wake_fd;
	int cpus; /* that this process may run on */
	uint64_t wake_value;
	bool wake_armed;
	_Atomic bool stop;
	char why[600]; /* of a failure that ends the process */
};

/*
 * Opens data, recovers, compiles and activates the catalogue, listens. 0 or -errno, e->why says what. Prints
 * compile problems to stderr. After it the engine thread calls no allocator.
 */
__attribute__((warn_unused_result)) int engine_start(struct engine *e, const struct engine_options *options);
/* Runs until engine_stop or a failure. 0 or -errno with e->why. */
__attribute__((warn_unused_result)) int engine_run(struct engine *e);
void engine_close(struct engine *e);
/* Any thread, signal handlers too. */
void engine_stop(struct engine *e);
void engine_wake(struct engine *e);
uint16_t engine_port(const struct engine *e);

/* What engine_tick asks of the live side. */
int64_t live_now(struct engine *e);	      /* stamp of the next batch */
uint32_t live_mail_take(struct engine *e);    /* entries that the control thread asked for */
bool live_mail_waits(const struct engine *e); /* is there such a request? */
int live_checkpoint_now(struct engine *e);    /* start-up only: waits for it. 0 or -errno with e->why */
void live_room_missing(struct engine *e, int64_t monotonic_ns);	     /* says so, now and then */
bool live_closing_due(const struct engine *e, int64_t monotonic_ns); /* an empty batch closes the last one */

/* Of engine_start: what ingest knows of the core, hooks and clocks. */
void live_state_set(struct engine *e);
void live_hooks_set(struct engine *e);
void live_clock_set(struct engine *e); /* the pair of readings that a step shows against */

/* One turn: a batch of at most 2,048 entries, through all stages 256 at a time. Returns 1, 0 when there was nothing to do or
 * no room, or -errno. */
__attribute__((warn_unused_result)) int engine_tick(struct engine *e);

#endif
