/*
 * overlay.c: entries in a dense array (the last one fills a gap), found through a table, their rows in a
 * slab.
 *
 * The order of entries depends on the order of changes and checkpoints and is seen by nobody: the writer
 * sorts, lookups go by key. When the overlay is empty, which it is after a checkpoint without later changes,
 * the slab starts anew, so blocks of sizes that are no longer asked for do not use it up.
 */
#include "overlay.h"

#include <assert.h>
#include <string.h>

enum { ENTRY_BYTES = 64 }; /* slab bytes for which there is an entry: no row takes less */

static struct key128 overlay_key(enum row_kind kind, uint64_t key)
{
	return (struct key128){ .low = key, .high = kind };
}

int overlay_init(struct overlay *o, uint64_t bytes)
{
	int rc;

	assert(bytes >= OVERLAY_BYTES_MIN && bytes / ENTRY_BYTES <= UINT32_MAX);
	*o = (struct overlay){ .count_max = (uint32_t)(bytes / ENTRY_BYTES) };
	rc = slab_init(&o->slab, bytes);
	if (!rc)
		rc = table_init(&o->table, o->count_max);
	if (!rc)
		rc = region_init(&o->region, o->count_max * sizeof *o->entries);
	if (rc)
		return rc;
	o->entries = region_take(&o->region, o->count_max * sizeof *o->entries);
	assert(o->entries);
	return 0;
}

void overlay_deinit(struct overlay *o)
{
	region_deinit(&o->region);
	table_deinit(&o->table);
	slab_deinit(&o->slab);
}

bool overlay_has_room(const struct overlay *o, uint32_t rows)
{
	size_t batch = (size_t)rows * slab_room(ROW_BYTES_MAX);

	return o->slab.bytes_in_use + batch <= o->slab.bytes_max &&
	       o->slab.region.used + batch <= o->slab.region.bytes && o->count + rows <= o->count_max;
}

static struct overlay_entry *entry_find(const struct overlay *o, enum row_kind kind, uint64_t key)
{
	uint32_t number;

	if (!table_find(&o->table, overlay_key(kind, key), &number))
		return NULL;
	return &o->entries[number];
}

const struct row *overlay_find(const struct overlay *o, enum row_kind kind, uint64_t key)
{
	const struct overlay_entry *entry = entry_find(o, kind, key);

	return entry ? entry->row : NULL;
}

static struct overlay_entry *entry_add(struct overlay *o, enum row_kind kind, uint64_t key)
{
	assert(o->count < o->count_max);
	struct overlay_entry *entry = &o->entries[o->count];
	bool added = table_set(&o->table, overlay_key(kind, key), o->count);

	assert(added);
	*entry = (struct overlay_entry){ .key = key, .kind = kind };
	o->count++;
	return entry;
}

void overlay_put(struct overlay *o, const struct row *row, uint64_t generation)
{
	struct overlay_entry *entry = entry_find(o, (enum row_kind)row->kind, row->key);
	size_t room;

	if (!entry)
		entry = entry_add(o, (enum row_kind)row->kind, row->key);
	if (entry->row && slab_room(entry->row->bytes) != slab_room(row->bytes)) {
		slab_release(&o->slab, entry->row, entry->row->bytes);
		entry->row = NULL;
	}
	if (!entry->row)
		entry->row = slab_acquire(&o->slab, row->bytes, &room);
	assert(entry->row); /* overlay_has_room was asked */
	memcpy(entry->row, row, row->bytes);
	entry->changed = generation;
}

static void entry_drop(struct overlay *o, uint32_t number)
{
	struct overlay_entry *entry = &o->entries[number];
	const struct overlay_entry *last = &o->entries[o->count - 1];
	bool removed = table_remove(&o->table, overlay_key(entry->kind, entry->key));

	assert(removed);
	slab_release(&o->slab, entry->row, entry->row->bytes);
	if (entry != last) {
		*entry = *last;
		table_set(&o->table, overlay_key(entry->kind, entry->key), number);
	}
	o->count--;
	if (o->count == 0) {
		memset(o->slab.free, 0, sizeof o->slab.free);
		region_reset(&o->slab.region);
	}
}

void overlay_remove(struct overlay *o, enum row_kind kind, uint64_t key)
{
	const struct overlay_entry *entry = entry_find(o, kind, key);

	assert(entry);
	entry_drop(o, (uint32_t)(entry - o->entries));
}

void overlay_drop(struct overlay *o, uint64_t cut)
{
	/* downwards: what fills a gap has been looked at before */
	for (uint32_t i = o->count; i > 0; i--)
		if (o->entries[i - 1].changed <= cut)
			entry_drop(o, i - 1);
}
