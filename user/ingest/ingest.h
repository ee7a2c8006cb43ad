/*
 * ingest: the stage where events enter: frames of all connections, in turn -> entries of a journal batch. It
 * greets (HELLO, WELCOME), checks headers, sequences and windows, filters by the interest table, and refuses
 * by name (include/moment/counters.h, REFUSALS). What it drops is counted into the batch's SEEN records.
 *
 * A frame is copied once, from the receive buffer into the journal's; the stages read it there.
 *
 * Test: tests/unit/ingest, tests/path/test_engine.c, tests/system (test_resume, test_malformed).
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include <base/frame.h>
#include <base/peers.h>
#include <journal/journal.h>
#include <moment/batch.h>
#include <moment/counters.h>
#include <moment/interest.h>
#include <uring/conn.h>

enum { DROPPED_LINES_MAX = 128 };

/* A peer as it is connected now; not part of the state. */
struct ingest_live {
	uint32_t conn, generation; /* conn + 1; 0 = not connected */
	uint64_t expected;	   /* source: next sequence; gateway: next RECEIPT or REPLY of this session */
	int64_t heard_ns;	   /* monotonic: last frame, for BUSY */
	uint64_t session;
	uint64_t ack_due;      /* to be acknowledged when there is room to say it; 0 = nothing */
	bool kernel;	       /* source: the program in the kernel feeds it */
	bool unknown_channels; /* gateway: its HELLO named a channel that the catalogue never had */
};

/* What a source moved in the batch being collected. */
struct ingest_moved {
	bool moved, sealed;
	int64_t since_ns;	  /* monotonic: of the first frame in it */
	uint64_t events, rounded; /* in it */
	struct journal_seen seen; /* as sealed */
	uint64_t first;
	uint32_t lines;
	struct journal_dropped line[DROPPED_LINES_MAX];
};

/* What is acknowledged when the batch is durable. */
struct ingest_flight {
	uint64_t seen[PEERS_MAX];		      /* 0 = did not move */
	uint64_t bytes[PEERS_MAX], events[PEERS_MAX]; /* taken by then, of this connection */
	uint64_t session[PEERS_MAX]; /* that took it: another connection of the same peer is told nothing by
					it */
};

/* Calls into deliver, made by the engine so that stages do not include each other. */
struct ingest_hooks {
	void *ctx;
	/* A gateway's HELLO: session and last message accepted in its old session; the hook appends ACCEPTED
	 * runs. */
	uint64_t (*gateway_up)(void *ctx, uint16_t peer, struct conn *conn, const uint8_t *slots,
			       uint32_t slot_count, uint64_t old_session, uint64_t accepted,
			       struct journal_accepted *runs, uint32_t *run_count);
	void (*gateway_down)(void *ctx, uint16_t peer);
	/* ACK of MESSAGEs: runs accepted by it; -1: a sequence that was never sent. */
	int (*gateway_ack)(void *ctx, uint16_t peer, uint64_t sequence, struct journal_accepted *runs,
			   uint32_t runs_max);
	/* Slot of a channel's name, -1 when the catalogue never had it. */
	int (*channel_slot)(void *ctx, const char *name, uint32_t bytes);
};

struct ingest_state { /* what WELCOME says and the filter needs; the engine sets it */
	const struct peers *peers;
	const struct interest_table *interest; /* NULL: --prefilter=off */
	struct enrolment *enrolment;
	uint32_t generation_min; /* of the kernel's tables: under an older one nothing is taken any more */
	uint32_t interest_version;
	uint64_t term;
	const char *filter, *durability; /* of a source that no kernel filter feeds: "user", "off"; "sync" */
	struct hash128 catalogue;
	bool event_clock;
};

struct ingest {
	struct conns *conns;
	struct journal *journal;
	struct ingest_state state;
	struct ingest_hooks hooks;
	struct ingest_live live[PEERS_MAX];
	struct ingest_moved moved[PEERS_MAX];
	struct batch_entry *entries;
	uint32_t entry_count, entry_max;
	bool join_waits;   /* for a slot of the kernel's filter, some ms */
	bool seal_wanted;  /* something waits for what was dropped to be journalled */
	bool sources_held; /* no room for what sources send; gateways go on */
	bool alone;	   /* the batch ends here: its entry must be applied before anything else is read */
	uint32_t turn;	   /* connection to begin with */
	uint64_t sessions;
	uint64_t refusals[REFUSAL_COUNT];
	uint64_t frames_in;
	int64_t now_ns; /* monotonic, of this tick */
};

void ingest_init(struct ingest *in, struct conns *conns, struct journal *journal,
		 const struct ingest_hooks *hooks);

/*
 * Takes frames until entry_max entries, the journal's batch is full, or nothing is left; entries[i].now is
 * not set. Returns the number of entries; ingest_moved_any() says whether SEEN records are due as well.
 */
uint32_t ingest_collect(struct ingest *in, struct batch_entry *entries, uint32_t entry_max, int64_t now_ns);
bool ingest_moved_any(const struct ingest *in);
/* Is it worth a batch of its own? Dropped frames wait for a kept one, a quarter of the window, or
 * SEEN_NS_MAX. */
bool ingest_moved_due(const struct ingest *in);
/* Writes the SEEN records of the batch and notes what to acknowledge. */
void ingest_seal(struct ingest *in, struct ingest_flight *flight);
/* The SEEN records of the batch sealed last, for the core, after its entries were applied. */
void ingest_seen_each(struct ingest *in,
		      void (*each)(void *ctx, const struct journal_seen *seen,
				   const struct journal_dropped *dropped),
		      void *ctx);
/* That batch is durable: notes the ACKs; ingest_acks_send says them as far as the peers read. */
void ingest_acknowledge(struct ingest *in, const struct ingest_flight *flight);

void ingest_acks_send(struct ingest *in);
/* The catalogue has new channels: gateways that named unknown ones are cut off, and come back. */
void ingest_channels_changed(struct ingest *in);

/* Is there a frame that could be taken? */
bool ingest_waiting(const struct ingest *in);
/* Sends a verdict on the source's connection if it is still there. */
void ingest_verdict(struct ingest *in, uint16_t peer, const char *frame, uint32_t bytes, uint8_t flags);
/* Answers ERROR and closes. */
void ingest_refuse(struct ingest *in, struct conn *conn, enum refusal refusal, const char *text,
		   uint64_t sequence, uint64_t offset);

const char *refusal_name(enum refusal refusal);

#endif
