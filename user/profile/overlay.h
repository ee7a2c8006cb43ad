/*
 * overlay: the rows that changed since they were last committed. A row that is here hides the one in the map.
 *
 * Rows lie in a slab; an entry says in which generation its row last changed. A checkpoint cuts a generation:
 * once it is committed, the rows that did not change after the cut are dropped. Engine thread only; nothing
 * is allocated after init.
 */
#ifndef PROFILE_OVERLAY_H
#define PROFILE_OVERLAY_H

#include <base/region.h>
#include <profile/row.h>

enum { OVERLAY_BYTES_MIN = 32 << 20 };

struct overlay_entry {
	uint64_t key;
	uint64_t changed; /* generation */
	struct row *row;
	enum row_kind kind;
};

struct overlay {
	struct slab slab;
	struct table table; /* (key, kind) -> number of its entry */
	struct region region;
	struct overlay_entry *entries;
	uint32_t count, count_max;
};

__attribute__((warn_unused_result)) int overlay_init(struct overlay *o, uint64_t bytes);
void overlay_deinit(struct overlay *o);

/* Room for a batch of changes, each of the largest row? */
bool overlay_has_room(const struct overlay *o, uint32_t rows);

const struct row *overlay_find(const struct overlay *o, enum row_kind kind, uint64_t key); /* or NULL */
/* Copies a row in, in place of the one it had. The caller has asked for room; the row is not from the
 * overlay. */
void overlay_put(struct overlay *o, const struct row *row, uint64_t generation);
void overlay_remove(struct overlay *o, enum row_kind kind, uint64_t key);
/* Drops what did not change after generation `cut`. */
void overlay_drop(struct overlay *o, uint64_t cut);

#endif
