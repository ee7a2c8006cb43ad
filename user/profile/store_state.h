/*
 * store_state: what a store is made of, for store.c, row.c and change.c. Nobody else includes it.
 */
#ifndef PROFILE_STORE_STATE_H
#define PROFILE_STORE_STATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "index.h"
#include "layout.h"
#include "lmdb.h"
#include "overlay.h"
#include "row_format.h"
#include "store.h"

/* META "store", rewritten by each checkpoint. */
struct store_counts {
	uint32_t version; /* STORE_VERSION */
	uint32_t reserved;
	uint64_t customers, accounts, subscriptions, checkpoints;
};
enum { STORE_VERSION_OLDEST = 1, STORE_VERSION = 2 /* rows list the kinds in front */ };

enum checkpoint_state {
	CHECKPOINT_IDLE,
	CHECKPOINT_FILLING, /* the engine adds records, in as many ticks as it likes */
	CHECKPOINT_WRITING, /* the checkpoint thread's: records, rows before the cut, moves */
	CHECKPOINT_DONE,    /* the engine's again, with a result */
	CHECKPOINT_MOVING,  /* committed; the index follows, a slice a tick */
};

/* One row lies elsewhere since the commit; to NULL = it is gone. */
struct store_move {
	uint64_t key;
	const struct row *from, *to;
};

struct checkpoint {
	atomic_int state;
	struct records records;
	uint64_t generation; /* names and layouts up to it are in */
	uint64_t cut;	     /* rows of the overlay up to there */
	int error;
	uint64_t ns;
	/* made by the checkpoint thread: customers, then accounts */
	struct region moves_region;
	struct store_move *moves;
	uint64_t move_count, customer_moves;
	uint64_t moved;	     /* of these by the engine */
	uint64_t prefaulted; /* bytes of the map */
	bool ticked;	     /* a slice was moved since the last poll */
	bool has_thread;
	atomic_bool stop;
	pthread_t thread;
	sem_t wake, done;
};

struct store_undo {
	bool armed;
	const struct row *was; /* of the index before the first change since the mark; NULL = none */
	const struct row *now;
	bool was_open; /* and counted, behind the last cut */
	struct store_counts counts;
};

struct store {
	struct lmdb *lmdb;
	struct overlay overlay;
	struct index index[ROW_ACCOUNT + 1]; /* by kind: of all rows when `indexed`, else of the overlay's */
	struct layouts layouts;
	struct checkpoint checkpoint;
	struct store_counts counts;
	uint64_t generation, committed; /* of names and layouts */
	uint64_t checkpoint_ns_last, moved_last;
	int lock_fd;
	bool read_only, holding, indexed;
	bool populate; /* take memory before it is needed, lock the map */
	uint32_t refused_offset;
	/* for one change at a time */
	union {
		struct customer_draft customer;
		struct account_draft account;
	} draft;
	struct subscription_draft subscription;
	uint64_t row[ROW_BYTES_MAX / 8], packed[ROW_BYTES_MAX / 8];
	struct store_undo undo;
};

/* Puts the row in s->row into the overlay, counted. */
void store_put(struct store *s, int64_t subscriptions_more);
/* Would the row in s->row be one too many? A function of what was applied before, so a replay says the same.
 */
bool store_is_full(const struct store *s);

static inline enum record_space row_space(enum row_kind kind)
{
	return kind == ROW_CUSTOMER ? RECORD_CUSTOMER : RECORD_ACCOUNT;
}

#define STORE_META_KEY "store"
enum { STORE_META_KEY_BYTES = sizeof STORE_META_KEY - 1 };

/* store_checkpoint.c, for store_open and store_close */
__attribute__((warn_unused_result)) int checkpoint_init(struct store *s, uint64_t records_bytes);
void checkpoint_deinit(struct store *s);
__attribute__((warn_unused_result)) int checkpoint_start(struct store *s);
void checkpoint_stop(struct store *s); /* after the one that was handed over */

#endif
