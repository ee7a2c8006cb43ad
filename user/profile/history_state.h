/*
 * history_state.h: what the files of history share, and nobody else sees.
 */
#ifndef PROFILE_HISTORY_STATE_H
#define PROFILE_HISTORY_STATE_H

#include "history.h"
#include "refs.h"
#include "windows.h"

/* An event type, as the windows see it. */
struct plan {
	uint64_t feeds;	    /* slots without `where` */
	uint64_t where;	    /* aggregates of the catalogue with one */
	uint32_t keys;	    /* kinds of keys that it feeds or reads, bits */
	uint32_t completes; /* patterns whose last step has it */
	uint32_t calendars; /* that it reads, bits */
	bool plain;	    /* keys: customer and account at most; no calendars, completes nothing */
	struct {	    /* of reads, by kind of key: without the event itself, then with it */
		uint8_t first, before, with;
	} of[KEYS_MAX];
	struct window_read reads[AGGREGATES_MAX];
};

struct history {
	struct windows windows;
	struct refs refs;
	const struct catalogue *catalogue; /* in force; for comparison only until the next activation */
	bool loading, meta_loaded;
	const char *refused;		/* why META was not taken */
	uint64_t order;			/* of the latest counted event */
	uint64_t windows_bytes;		/* reserved */
	int64_t floor;			/* no value as of an earlier time: lateness was shorter then */
	int64_t lateness;		/* INT64_MIN before the first activation */
	int64_t ref_memory;		/* the same, of the catalogue in force */
	uint64_t refs_first, refs_next; /* loaded */
	uint8_t slot_of[AGGREGATES_MAX];
	uint8_t key_at[KEYS_MAX];	   /* kind of key -> index in the catalogue */
	uint8_t key_of[KEYS_MAX];	   /* and back */
	uint32_t customer_keys;		   /* bits of the further kinds that have the customer as a part */
	uint8_t pattern_per[PATTERNS_MAX]; /* kind of key */
	struct window_steps steps[PATTERNS_MAX];
	struct plan plans[EVENT_TYPES_MAX];
	/* of an activation: what was before it */
	struct window_key keys_before[KEYS_MAX];
	struct window_slot slots_before[AGGREGATES_MAX];
	struct window_value values_before[AGGREGATE_VALUES_MAX];
	uint32_t cut_phase; /* of a checkpoint on its way; 0: none */
};

#endif
