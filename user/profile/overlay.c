/*
 * overlay.c: a ring of rows, each behind a head of 8 bytes. Rows come and go in the order of their changes,
 * so a ring has no fragments and gives back everything up to a cut by one assignment.
 *
 * In: rows. Out: rows that lie still until they are released. The order of rows is seen by nobody: the writer
 * sorts them by key, and of two rows of one key the one further on counts. What can go wrong: no room, which
 * overlay_has_room tells before; here it is an assert.
 */
#include "overlay.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

/* Before every row; also alone, where the ring's end is too near for a row. */
struct overlay_head {
	uint32_t bytes; /* with the row behind */
	uint32_t dead;
};
_Static_assert(sizeof(struct overlay_head) == 8, "rows behind it stay on an 8-byte edge");

int overlay_init(struct overlay *o, uint64_t bytes)
{
	assert(bytes >= OVERLAY_BYTES_MIN && bytes % 8 == 0);
	*o = (struct overlay){ .bytes = bytes };
	return region_init(&o->region, bytes);
}

void overlay_deinit(struct overlay *o)
{
	region_deinit(&o->region);
}

void overlay_populate(struct overlay *o)
{
	/* a wish: else they come one by one, and a change waits while a huge page is cleared */
	madvise(o->region.base, o->bytes, MADV_POPULATE_WRITE);
}

bool overlay_has_room(const struct overlay *o, uint32_t rows)
{
	/* one more for what is lost at the ring's end */
	uint64_t most = ((uint64_t)rows + 1) * (ROW_BYTES_MAX + sizeof(struct overlay_head));

	return o->head - o->tail + most <= o->bytes;
}

static struct overlay_head *head_at(const struct overlay *o, uint64_t at)
{
	return (struct overlay_head *)(o->region.base + at % o->bytes);
}

static struct overlay_head *head_of(const struct row *row)
{
	return (struct overlay_head *)row - 1;
}

struct row *overlay_add(struct overlay *o, const struct row *row)
{
	uint64_t need = sizeof(struct overlay_head) + row->bytes, rest = o->bytes - o->head % o->bytes;

	assert(row->bytes % 8 == 0 && row->bytes <= ROW_BYTES_MAX);
	if (rest < need) {
		assert(o->head + rest - o->tail <= o->bytes);
		*head_at(o, o->head) = (struct overlay_head){ .bytes = (uint32_t)rest, .dead = 1 };
		o->head += rest;
	}
	assert(o->head + need - o->tail <= o->bytes); /* overlay_has_room was asked */
	struct overlay_head *head = head_at(o, o->head);
	*head = (struct overlay_head){ .bytes = (uint32_t)need };
	memcpy(head + 1, row, row->bytes);
	o->head += need;
	return (struct row *)(head + 1);
}

bool overlay_holds(const struct overlay *o, const struct row *row)
{
	return (uintptr_t)row - (uintptr_t)o->region.base < o->bytes;
}

bool overlay_is_open(const struct overlay *o, const struct row *row)
{
	uint64_t offset = (uint64_t)((const char *)head_of(row) - o->region.base);
	uint64_t behind_cut = (offset + o->bytes - o->cut % o->bytes) % o->bytes;

	return overlay_holds(o, row) && behind_cut < o->head - o->cut;
}

void overlay_kill(struct overlay *o, const struct row *row)
{
	assert(overlay_is_open(o, row));
	head_of(row)->dead = 1;
}

void overlay_revive(struct overlay *o, const struct row *row)
{
	assert(overlay_is_open(o, row));
	head_of(row)->dead = 0;
}

bool overlay_is_newest(const struct overlay *o, const struct row *row)
{
	const struct overlay_head *head = head_of(row);

	return overlay_is_open(o, row) && head == head_at(o, o->head - head->bytes);
}

void overlay_take_back(struct overlay *o, const struct row *newest)
{
	assert(overlay_is_newest(o, newest));
	o->head -= head_of(newest)->bytes;
}

uint64_t overlay_cut(struct overlay *o)
{
	return o->cut = o->head;
}

void overlay_release(struct overlay *o, uint64_t cut)
{
	assert(cut >= o->tail && cut <= o->cut);
	o->tail = cut;
	if (o->tail != o->head)
		return;
	/* empty: from the start again, so that little memory is used while little changes */
	o->tail = o->cut = o->head = 0;
}

const struct row *overlay_next(const struct overlay *o, uint64_t *at, uint64_t end)
{
	while (*at < end) {
		const struct overlay_head *head = head_at(o, *at);
		*at += head->bytes;
		if (!head->dead)
			return (const struct row *)(head + 1);
	}
	return NULL;
}
