/*
 * window_pool.c: blocks for cells, and the index that finds them. Sizes and hashes come in, blocks go out;
 * the caller owns what it has taken. The pool asserts where memory that was promised is missing; the index
 * asserts that a key is where it was put. A slot of the index keeps 32 bits of the hash, which is all that
 * moving it needs: no cell is touched while it grows. Read pool_class first, then key_index_move_some.
 */
#include "window_pool.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

enum { CLASSES_SMALL = 8, STEPS = 4, SLOTS_FIRST = 1024, MOVES = 8, REGION_TIMES = 3 };

/* Fewer misses of the TLB on memory that is read at random; a kernel without large pages does no harm. */
static void region_large(const struct region *r)
{
	(void)madvise(r->base, r->bytes, MADV_HUGEPAGE);
}

int pool_init(struct pool *p, uint64_t bytes_max)
{
	*p = (struct pool){ .bytes_max = bytes_max };
	/* fragments of sizes that are no longer asked for stay reserved: address space thrice over */
	int rc = region_init(&p->region, bytes_max * REGION_TIMES + POOL_UNIT);
	if (rc)
		return rc;
	region_large(&p->region);
	void *none = region_take(&p->region, POOL_UNIT); /* block 0 stands for none */
	assert(none);
	return 0;
}

void pool_deinit(struct pool *p)
{
	region_deinit(&p->region);
}

uint32_t pool_class(uint64_t bytes)
{
	uint64_t units = (bytes + POOL_UNIT - 1) / POOL_UNIT;

	if (units <= CLASSES_SMALL)
		return units ? (uint32_t)units - 1 : 0;
	uint32_t doubling = 60 - (uint32_t)__builtin_clzll(units - 1);
	return CLASSES_SMALL + doubling * STEPS + (uint32_t)((units - 1) >> (doubling + 1)) - STEPS;
}

uint64_t pool_class_bytes(uint32_t class)
{
	if (class < CLASSES_SMALL)
		return (class + 1) * (uint64_t)POOL_UNIT;
	uint32_t doubling = (class - CLASSES_SMALL) / STEPS, step = (class - CLASSES_SMALL) % STEPS;
	return ((UINT64_C(8) << doubling) + (step + 1) * (UINT64_C(2) << doubling)) * POOL_UNIT;
}

uint32_t pool_take(struct pool *p, uint32_t class)
{
	uint64_t bytes = pool_class_bytes(class);
	uint32_t block = p->free[class];

	assert(class < POOL_CLASSES);
	p->bytes_in_use += bytes;
	if (block) {
		memcpy(&p->free[class], pool_at(p, block), sizeof block);
		p->free_count[class]--;
		return block;
	}
	char *fresh = region_take(&p->region, bytes);
	assert(fresh); /* windows_has_room said so */
	return (uint32_t)((uint64_t)(fresh - p->region.base) / POOL_UNIT);
}

void pool_give(struct pool *p, uint32_t block, uint32_t class)
{
	assert(block);
	memcpy(pool_at(p, block), &p->free[class], sizeof block);
	p->free[class] = block;
	p->free_count[class]++;
	p->bytes_in_use -= pool_class_bytes(class);
}

/* ---- index ---- */

static void half_init(struct window_index *x, struct key_index_half *half, uint64_t count)
{
	half->slots = region_take(&x->region, count * sizeof *half->slots);
	half->count = count;
	assert(half->slots); /* the region was sized for count_max */
}

int key_index_init(struct window_index *x, uint64_t count_max)
{
	uint64_t slots = SLOTS_FIRST;

	while (slots < count_max * 2)
		slots *= 2;
	*x = (struct window_index){ .count_max = count_max };
	/* all sizes on the way up, one behind the other: less than twice the largest */
	int rc = region_init(&x->region, 2 * slots * sizeof *x->now.slots + (64 << 10));
	if (rc)
		return rc;
	region_large(&x->region);
	half_init(x, &x->now, SLOTS_FIRST);
	return 0;
}

void key_index_deinit(struct window_index *x)
{
	region_deinit(&x->region);
}

static void half_add(struct key_index_half *h, uint32_t hash, uint32_t block)
{
	uint64_t mask = h->count - 1, at = hash & mask;

	while (h->slots[at].block)
		at = (at + 1) & mask;
	h->slots[at] = (struct key_index_slot){ hash, block };
}

/* Empties a slot and pulls back what probed over it. */
static void half_empty(struct key_index_half *h, uint64_t hole)
{
	uint64_t mask = h->count - 1;

	for (uint64_t at = (hole + 1) & mask; h->slots[at].block; at = (at + 1) & mask) {
		uint64_t home = h->slots[at].hash & mask;
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		h->slots[hole] = h->slots[at];
		hole = at;
	}
	h->slots[hole] = (struct key_index_slot){ 0 };
}

/* Moves what stands in the next slots of the old half. Pulling back fills a slot again from behind it, never
 * from what was moved already, so a slot is done when it stays empty. */
static void key_index_move_some(struct window_index *x)
{
	for (unsigned i = 0; x->old.count && i < MOVES; i++) {
		struct key_index_slot *slot = &x->old.slots[x->moved];
		while (slot->block) {
			half_add(&x->now, slot->hash, slot->block);
			half_empty(&x->old, x->moved);
		}
		if (++x->moved < x->old.count)
			continue;
		madvise(x->old.slots, x->old.count * sizeof *slot, MADV_DONTNEED);
		x->old = (struct key_index_half){ 0 };
	}
}

void key_index_finish(struct window_index *x)
{
	while (x->old.count)
		key_index_move_some(x);
}

void key_index_add(struct window_index *x, uint32_t hash, uint32_t block)
{
	key_index_move_some(x);
	assert(x->count < x->count_max);
	if (!x->old.count && (x->count + 1) * 2 > x->now.count) {
		x->old = x->now;
		x->moved = 0;
		half_init(x, &x->now, x->old.count * 2);
	}
	half_add(&x->now, hash, block);
	x->count++;
}

static struct key_index_slot *half_seek(const struct key_index_half *h, uint32_t hash, uint32_t block)
{
	uint64_t mask = h->count - 1;

	if (!h->count)
		return NULL;
	for (uint64_t at = hash & mask; h->slots[at].block; at = (at + 1) & mask)
		if (h->slots[at].block == block)
			return &h->slots[at];
	return NULL;
}

void key_index_remove(struct window_index *x, uint32_t hash, uint32_t block)
{
	struct key_index_half *half = &x->now;
	struct key_index_slot *slot;

	key_index_move_some(x);
	slot = half_seek(half, hash, block);
	if (!slot) {
		half = &x->old;
		slot = half_seek(half, hash, block);
	}
	assert(slot);
	half_empty(half, (uint64_t)(slot - half->slots));
	x->count--;
}

void key_index_move(struct window_index *x, uint32_t hash, uint32_t from, uint32_t to)
{
	struct key_index_slot *slot = half_seek(&x->now, hash, from);

	if (!slot)
		slot = half_seek(&x->old, hash, from);
	assert(slot);
	slot->block = to;
}
