/*
 * overlay: the rows that changed since they were last committed, one behind the other in a ring. A row that
 * is here hides the one in the map; the index (index.h) finds it.
 *
 * Life of a row: 1. overlay_add puts it behind the newest; 2. while it lies behind the last cut its owner may
 * overwrite it or kill it (a newer one took its place); 3. a checkpoint cuts at the head: what lies before is
 * not changed by anybody any more, so the checkpoint thread reads it while newer rows come in behind; 4. when
 * all that was cut is committed and found in the map, overlay_release gives the room back, at once.
 *
 * Positions grow for ever; a row never wraps over the ring's end. Changes: engine thread only.
 */
#ifndef PROFILE_OVERLAY_H
#define PROFILE_OVERLAY_H

#include <base/region.h>
#include <profile/row.h>

enum { OVERLAY_BYTES_MIN = 32 << 20 };

struct overlay {
	struct region region;
	uint64_t bytes;
	uint64_t tail, cut, head; /* positions: oldest row, last cut, behind the newest row */
	uint64_t rows;		  /* keys that have a row here; kept by the store */
	uint64_t gone;		  /* of these, marks that a row is gone */
};

__attribute__((warn_unused_result)) int overlay_init(struct overlay *o, uint64_t bytes);
void overlay_deinit(struct overlay *o);
void overlay_populate(struct overlay *o); /* takes its pages now */

/* Room for so many changes, each of the largest row? */
bool overlay_has_room(const struct overlay *o, uint32_t rows);

/* Copies a row in; the caller has asked for room. */
struct row *overlay_add(struct overlay *o, const struct row *row);
/* Does the row lie here? And behind the last cut, so that it may still be changed? */
bool overlay_holds(const struct overlay *o, const struct row *row);
bool overlay_is_open(const struct overlay *o, const struct row *row);
/* A row behind the cut counts no more, or again. The newest one gives its room back. */
void overlay_kill(struct overlay *o, const struct row *row);
void overlay_revive(struct overlay *o, const struct row *row);
bool overlay_is_newest(const struct overlay *o, const struct row *row);
void overlay_take_back(struct overlay *o, const struct row *newest);

uint64_t overlay_cut(struct overlay *o);
void overlay_release(struct overlay *o, uint64_t cut);

/* Rows from *at on, without killed ones, up to `end`; NULL when there are no more. */
const struct row *overlay_next(const struct overlay *o, uint64_t *at, uint64_t end);

#endif
