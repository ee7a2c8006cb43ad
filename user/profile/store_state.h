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
enum { STORE_VERSION = 1 };

enum checkpoint_state { CHECKPOINT_IDLE, CHECKPOINT_FILLING, CHECKPOINT_WRITING, CHECKPOINT_DONE };

/*
 * One checkpoint: IDLE, begin: FILLING (engine), commit: WRITING (the checkpoint thread owns the records),
 * then DONE with a result; poll takes that and goes to IDLE.
 */
struct checkpoint {
	atomic_int state;
	struct records records;
	uint64_t cut; /* generation */
	int error;
	uint64_t ns;
	bool has_thread, stop;
	pthread_t thread;
	sem_t wake, done;
};

struct store_undo {
	bool armed, was_changed; /* the row was in the overlay */
	enum row_kind kind;
	uint64_t key;
	struct store_counts counts;
	uint64_t row[ROW_BYTES_MAX / 8];
};

struct store {
	struct lmdb *lmdb;
	struct overlay overlay;
	struct index index[ROW_ACCOUNT + 1]; /* by kind; used when `indexed` */
	struct layouts layouts;
	struct checkpoint checkpoint;
	struct store_counts counts;
	uint64_t generation, committed; /* of changes; the overlay holds what is in (committed, generation] */
	uint64_t checkpoint_ns_last;
	int lock_fd;
	bool read_only, holding, indexed;
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

#endif
