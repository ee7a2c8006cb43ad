/*
 * profile: the stage that turns the frames of a run into events with the values as of each (batch.h).
 *
 * In: EVENT entries in journal order. Out: struct event with outcome, rows of actor and account, and columns
 * of values. It walks the run in order, since windows and references move with each event. Rows are lent
 * until the next change or checkpoint, columns until the next run.
 *
 * Test: tests/unit/profile/test_profile.c; the model's twin is tests/model.
 */
#ifndef PROFILE_PROFILE_H
#define PROFILE_PROFILE_H

#include <catalogue/env.h>
#include <moment/batch.h>
#include <profile/history.h>
#include <profile/store.h>

/* What the catalogue says of a type. */
struct profile_plan {
	bool kept;		   /* whatever the event is */
	bool where, where_profile; /* a window that it feeds has a `where`; one that reads the profile */
};

/* The columns of a run; memory is taken once. */
struct profile_columns {
	struct hash128 planned; /* the catalogue that plans[] is of */
	struct profile_plan plans[EVENT_TYPES_MAX];
	uint64_t customer_keys[BATCH_ENTRIES_MAX], account_keys[BATCH_ENTRIES_MAX];
	const struct row *actors[BATCH_ENTRIES_MAX], *accounts[BATCH_ENTRIES_MAX];
	struct region region;
	struct event_reserved *reserved;
	struct event_fields *fields;
	struct value *body_fields, *aggregates;
	struct value *actor; /* one profile, for `where` */
	char *scratch;
	uint64_t window_full;
	bool event_clock; /* the caller sets it: no event is FROM_THE_FUTURE */
};

__attribute__((warn_unused_result)) int profile_init(struct profile_columns *columns);
void profile_deinit(struct profile_columns *columns);

/*
 * Does anything stay of the event? (decisions 35). By the catalogue in force and the rows as they are: what
 * the pre-filter may drop does not, whether it was dropped or not.
 */
bool profile_event_remembered(struct store *store, const struct catalogue *c, const struct frame_header *h,
			      const struct row *actor, const struct row *account);

/* Fills events[0..count) from entries; count <= BATCH_ENTRIES_MAX. */
void profile_run(struct profile_columns *columns, struct store *store, struct history *history,
		 const struct catalogue *c, const struct batch_entry *entries, uint32_t count,
		 struct event *events);

#endif
