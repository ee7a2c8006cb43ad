/*
 * region.c: reserved address space, power-of-two blocks out of it, and the key table. The table probes
 * linearly and closes gaps on removal, so no tombstones age it; keys are mixed with a fixed multiplier, the
 * same on every machine. It doubles at a load of one half and has moved everything long before the next
 * doubling: TABLE_MOVES slots a change against at least half as many changes as there were slots.
 */
#include "region.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Large regions are read at random all over: with small pages most reads miss the TLB as well. */
#define HUGE_FROM ((size_t)64 << 20)

int region_init(struct region *r, size_t bytes)
{
	size_t rounded = (bytes + 4095) & ~(size_t)4095;
	void *p = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0);

	if (p == MAP_FAILED)
		return -errno;
	if (rounded >= HUGE_FROM)
		madvise(p, rounded, MADV_HUGEPAGE); /* refused: small pages, slower and nothing else */
	*r = (struct region){ .base = p, .bytes = rounded };
	return 0;
}

void region_deinit(struct region *r)
{
	if (r->base)
		munmap(r->base, r->bytes);
	*r = (struct region){ 0 };
}

void *region_take(struct region *r, size_t bytes)
{
	size_t need = (bytes + 63) & ~(size_t)63;

	if (need < bytes || need > r->bytes - r->used)
		return NULL;
	void *p = r->base + r->used;
	r->used += need;
	return p;
}

void region_reset(struct region *r)
{
	if (r->used)
		madvise(r->base, (r->used + 4095) & ~(size_t)4095, MADV_DONTNEED);
	r->used = 0;
}

static unsigned slab_class(size_t bytes)
{
	if (bytes <= SLAB_BYTES_MIN)
		return 0;
	return (unsigned)(64 - __builtin_clzl(bytes - 1)) - 6;
}

size_t slab_room(size_t bytes)
{
	return (size_t)SLAB_BYTES_MIN << slab_class(bytes);
}

int slab_init(struct slab *s, size_t bytes_max)
{
	*s = (struct slab){ .bytes_max = bytes_max };
	/* fragments of sizes that are no longer asked for stay reserved: give address space twice over */
	return region_init(&s->region, bytes_max * 2);
}

void slab_deinit(struct slab *s)
{
	region_deinit(&s->region);
}

void *slab_acquire(struct slab *s, size_t bytes, size_t *room)
{
	unsigned class = slab_class(bytes);
	size_t size = (size_t)SLAB_BYTES_MIN << class;

	assert(class < SLAB_CLASSES);
	if (s->bytes_in_use + size > s->bytes_max)
		return NULL;
	void *block;
	if (s->free[class]) {
		block = s->region.base + (s->free[class] - 1);
		memcpy(&s->free[class], block, sizeof s->free[class]);
	} else {
		block = region_take(&s->region, size);
		if (!block)
			return NULL;
	}
	s->bytes_in_use += size;
	*room = size;
	return block;
}

void slab_release(struct slab *s, void *block, size_t bytes)
{
	unsigned class = slab_class(bytes);

	memcpy(block, &s->free[class], sizeof s->free[class]);
	s->free[class] = (uint64_t)((char *)block - s->region.base) + 1;
	s->bytes_in_use -= (size_t)SLAB_BYTES_MIN << class;
}

static uint64_t key_mix(struct key128 key)
{
	uint64_t x = (key.low ^ (key.high * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xbf58476d1ce4e5b9);

	x ^= x >> 32;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 29);
}

static bool key_equal(struct key128 a, struct key128 b)
{
	return a.low == b.low && a.high == b.high;
}

enum { TABLE_SLOTS_FIRST = 1024, TABLE_MOVES = 8 };

static bool half_init(struct table *t, struct table_half *half, uint64_t slots)
{
	half->keys = region_take(&t->region, slots * sizeof *half->keys);
	half->values = region_take(&t->region, slots * sizeof *half->values);
	half->slots = slots;
	return half->keys && half->values;
}

int table_init(struct table *t, uint64_t count_max)
{
	uint64_t slots = TABLE_SLOTS_FIRST;

	while (slots < count_max * 2)
		slots *= 2;
	*t = (struct table){ .count_max = count_max };
	/* all sizes on the way up, one behind the other: less than twice the largest */
	int rc = region_init(&t->region,
			     2 * slots * (sizeof *t->now.keys + sizeof *t->now.values) + (64 << 10));
	if (rc)
		return rc;
	bool there = half_init(t, &t->now, TABLE_SLOTS_FIRST);
	assert(there);
	return 0;
}

void table_deinit(struct table *t)
{
	region_deinit(&t->region);
}

static uint64_t half_slot(const struct table_half *h, struct key128 key)
{
	uint64_t slot = key_mix(key) & (h->slots - 1);

	while (h->values[slot] && !key_equal(h->keys[slot], key))
		slot = (slot + 1) & (h->slots - 1);
	return slot;
}

/* Empties a slot and pulls back what probed over it. */
static void half_empty(struct table_half *h, uint64_t hole)
{
	uint64_t mask = h->slots - 1;

	for (uint64_t slot = (hole + 1) & mask; h->values[slot]; slot = (slot + 1) & mask) {
		uint64_t home = key_mix(h->keys[slot]) & mask;
		if (((slot - home) & mask) < ((slot - hole) & mask))
			continue;
		h->keys[hole] = h->keys[slot];
		h->values[hole] = h->values[slot];
		hole = slot;
	}
	h->values[hole] = 0;
}

static void half_set(struct table_half *h, struct key128 key, uint32_t stored)
{
	uint64_t slot = half_slot(h, key);

	h->keys[slot] = key;
	h->values[slot] = stored;
}

/* Moves what stands in the next slots of the old half. Pulling back fills a slot again from behind it, never
 * from what was moved already, so a slot is done when it stays empty. */
static void table_move(struct table *t)
{
	for (unsigned i = 0; t->old.slots && i < TABLE_MOVES; i++) {
		while (t->old.values[t->moved]) {
			half_set(&t->now, t->old.keys[t->moved], t->old.values[t->moved]);
			half_empty(&t->old, t->moved);
		}
		if (++t->moved < t->old.slots)
			continue;
		madvise(t->old.keys, t->old.slots * sizeof *t->old.keys, MADV_DONTNEED);
		t->old = (struct table_half){ 0 };
	}
}

static void table_grow(struct table *t)
{
	if (t->old.slots || (t->count + 1) * 2 <= t->now.slots)
		return;
	struct table_half next;
	bool there = half_init(t, &next, t->now.slots * 2);
	assert(there); /* the region was sized for count_max */
	t->old = t->now;
	t->now = next;
	t->moved = 0;
}

/* The half and slot that hold a key; false: neither does. */
static bool table_seek(const struct table *t, struct key128 key, const struct table_half **half,
		       uint64_t *slot)
{
	*half = &t->now;
	*slot = half_slot(&t->now, key);
	if (t->now.values[*slot])
		return true;
	if (!t->old.slots)
		return false;
	*half = &t->old;
	*slot = half_slot(&t->old, key);
	return t->old.values[*slot] != 0;
}

bool table_find(const struct table *t, struct key128 key, uint32_t *value)
{
	const struct table_half *half;
	uint64_t slot;

	if (!table_seek(t, key, &half, &slot))
		return false;
	*value = half->values[slot] - 1;
	return true;
}

bool table_set(struct table *t, struct key128 key, uint32_t value)
{
	const struct table_half *half;
	uint64_t slot;

	table_move(t);
	if (table_seek(t, key, &half, &slot)) {
		half->values[slot] = value + 1;
		return true;
	}
	if (t->count == t->count_max)
		return false;
	table_grow(t);
	half_set(&t->now, key, value + 1);
	t->count++;
	return true;
}

bool table_remove(struct table *t, struct key128 key)
{
	const struct table_half *half;
	uint64_t slot;

	table_move(t);
	if (!table_seek(t, key, &half, &slot))
		return false;
	half_empty(half == &t->now ? &t->now : &t->old, slot);
	t->count--;
	return true;
}
