/*
 * index.c: slots of {16 bits of the hash, address}, probed linearly.
 *
 * In: keys, rows. Out: addresses of rows. Memory: one region, a half behind the other as it doubles; the
 * first one is taken whole at init, in huge pages where the kernel gives them, so a lookup costs one line of
 * the index and no page fault. A key is told from another by its row's header, read only when the 16 bits
 * agree. A removal closes the gap it leaves, so nothing ages. While the index doubles, each change moves some
 * slots of the old half, and lookups look into both.
 *
 * What can go wrong: more rows than the largest half holds, which the store refuses before (INDEX_ROWS_MAX),
 * so here it is an assert.
 */
#include "index.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

enum { SLOTS_FIRST = 1024, SLOTS_A_CHANGE = 8, TAG_SHIFT = 48 };
static const uint64_t SLOTS_MAX = UINT64_C(1) << 29;
#define ADDRESS_MASK ((UINT64_C(1) << TAG_SHIFT) - 1)
_Static_assert(INDEX_ROWS_MAX < (UINT64_C(1) << 29) / 8 * 3,
	       "the largest half holds them, and as many marks of removed rows");

static inline uint64_t key_hash(uint64_t key)
{
	key ^= key >> 32;
	key *= UINT64_C(0xd6e8feb86659fd93);
	key ^= key >> 32;
	key *= UINT64_C(0xd6e8feb86659fd93);
	return key ^ key >> 32;
}

static inline const struct row *slot_row(uint64_t slot)
{
	return (const struct row *)(uintptr_t)(slot & ADDRESS_MASK);
}

static inline uint64_t slot_make(uint64_t hash, const struct row *row)
{
	uint64_t address = (uintptr_t)row;

	assert(row && address <= ADDRESS_MASK);
	return (hash & ~ADDRESS_MASK) | address;
}

/* ---- one half ---- */

static int half_init(struct index *x, struct index_half *half, uint64_t slots)
{
	half->slots = region_take(&x->region, slots * sizeof *half->slots);
	half->mask = slots - 1;
	return half->slots ? 0 : -1;
}

/* The slot of a key, or the empty one where the probe ends. */
static inline uint64_t half_seek(const struct index_half *h, uint64_t hash, uint64_t key)
{
	uint64_t at = hash & h->mask;

	for (;; at = (at + 1) & h->mask) {
		uint64_t slot = h->slots[at];
		if (!slot || ((slot ^ hash) >> TAG_SHIFT == 0 && slot_row(slot)->key == key))
			return at;
	}
}

/* The slot of that hash and address, or an empty one. */
static inline uint64_t half_seek_exact(const struct index_half *h, uint64_t hash, uint64_t want)
{
	uint64_t at = hash & h->mask;

	while (h->slots[at] && h->slots[at] != want)
		at = (at + 1) & h->mask;
	return at;
}

/* Empties a slot and pulls back what probed over it. */
static void half_empty(struct index_half *h, uint64_t hole)
{
	for (uint64_t at = (hole + 1) & h->mask; h->slots[at]; at = (at + 1) & h->mask) {
		uint64_t home = key_hash(slot_row(h->slots[at])->key) & h->mask;
		if (((at - home) & h->mask) < ((at - hole) & h->mask))
			continue;
		h->slots[hole] = h->slots[at];
		hole = at;
	}
	h->slots[hole] = 0;
}

static void half_add(struct index_half *h, uint64_t hash, uint64_t slot)
{
	uint64_t at = hash & h->mask;

	while (h->slots[at])
		at = (at + 1) & h->mask;
	h->slots[at] = slot;
}

/* ---- growing ---- */

/* Pulling back fills a slot again from behind, so a slot is done when it stays empty. */
static void move_some(struct index *x)
{
	for (unsigned i = 0; x->old.slots && i < SLOTS_A_CHANGE; i++) {
		while (x->old.slots[x->moved]) {
			uint64_t slot = x->old.slots[x->moved];
			half_add(&x->now, key_hash(slot_row(slot)->key), slot);
			half_empty(&x->old, x->moved);
		}
		if (x->moved++ == x->old.mask) /* its pages stay: to give them back would be a stall */
			x->old = (struct index_half){ 0 };
	}
}

static void grow(struct index *x)
{
	struct index_half next;

	if (x->old.slots || (x->count + 1) * 4 <= (x->now.mask + 1) * 3)
		return;
	int rc = half_init(x, &next, (x->now.mask + 1) * 2);
	assert(rc == 0); /* the region has all sizes up to the largest */
	/* to clear a huge page takes longer than a tick may */
	uintptr_t from = ((uintptr_t)next.slots + 4095) & ~(uintptr_t)4095;
	uintptr_t end = (uintptr_t)next.slots + (next.mask + 1) * sizeof *next.slots;
	if (end > from)
		madvise((void *)from, end - from, MADV_NOHUGEPAGE);
	x->old = x->now;
	x->now = next;
	x->moved = 0;
}

int index_init(struct index *x, uint64_t rows)
{
	uint64_t slots = SLOTS_FIRST;

	assert(rows <= INDEX_ROWS_MAX);
	while (slots < rows * 2)
		slots *= 2;
	*x = (struct index){ 0 };
	int rc = region_init(&x->region, 2 * SLOTS_MAX * sizeof(uint64_t) + (64 << 10));
	if (rc)
		return rc;
	rc = half_init(x, &x->now, slots);
	assert(rc == 0);
	size_t bytes = slots * sizeof(uint64_t);
	/* both are wishes: without them the pages come one by one */
	if (madvise(x->region.base, bytes, MADV_HUGEPAGE) == 0 && slots > SLOTS_FIRST)
		madvise(x->region.base, bytes, MADV_POPULATE_WRITE);
	return 0;
}

void index_deinit(struct index *x)
{
	region_deinit(&x->region);
}

void index_clear(struct index *x)
{
	for (uint64_t at = 0; at <= x->now.mask; at++)
		x->now.slots[at] = 0;
	x->old = (struct index_half){ 0 };
	x->count = 0;
}

/* ---- finding ---- */

/* The half and slot that hold a key; false: neither does. */
static inline bool seek(const struct index *x, uint64_t hash, uint64_t key, const struct index_half **half,
			uint64_t *at)
{
	*half = &x->now;
	*at = half_seek(&x->now, hash, key);
	if (x->now.slots[*at])
		return true;
	if (!x->old.slots)
		return false;
	*half = &x->old;
	*at = half_seek(&x->old, hash, key);
	return x->old.slots[*at] != 0;
}

static bool seek_exact(const struct index *x, uint64_t key, const struct row *row,
		       const struct index_half **half, uint64_t *at)
{
	uint64_t hash = key_hash(key), want = slot_make(hash, row);

	*half = &x->now;
	*at = half_seek_exact(&x->now, hash, want);
	if (x->now.slots[*at])
		return true;
	if (!x->old.slots)
		return false;
	*half = &x->old;
	*at = half_seek_exact(&x->old, hash, want);
	return x->old.slots[*at] != 0;
}

static const struct row *find_hashed(const struct index *x, uint64_t hash, uint64_t key)
{
	const struct index_half *half;
	uint64_t at;

	return seek(x, hash, key, &half, &at) ? slot_row(half->slots[at]) : NULL;
}

const struct row *index_find(const struct index *x, uint64_t key)
{
	return find_hashed(x, key_hash(key), key);
}

/* The first slot whose 16 bits agree: almost always the key's own. */
static inline const struct row *guess(const struct index_half *h, uint64_t hash)
{
	uint64_t at = hash & h->mask;

	while (h->slots[at] && (h->slots[at] ^ hash) >> TAG_SHIFT)
		at = (at + 1) & h->mask;
	return slot_row(h->slots[at]);
}

/* Three walks over the batch: slots on their way, rows on their way, keys compared. */
static void find_some(const struct index *x, const uint64_t *keys, uint32_t count, const struct row **rows)
{
	uint64_t hash[INDEX_BATCH_MAX];

	for (uint32_t i = 0; i < count; i++) {
		hash[i] = key_hash(keys[i]);
		__builtin_prefetch(&x->now.slots[hash[i] & x->now.mask]);
	}
	for (uint32_t i = 0; i < count; i++) {
		rows[i] = guess(&x->now, hash[i]);
		__builtin_prefetch(rows[i]);
		__builtin_prefetch((const char *)rows[i] + 64);
	}
	for (uint32_t i = 0; i < count; i++)
		if (!rows[i] || rows[i]->key != keys[i])
			rows[i] = rows[i] || x->old.slots ? find_hashed(x, hash[i], keys[i]) : NULL;
}

void index_find_many(const struct index *x, const uint64_t *keys, uint32_t count, const struct row **rows)
{
	if (x->count == 0) { /* a bank without records of accounts */
		memset(rows, 0, count * sizeof *rows);
		return;
	}
	for (uint32_t at = 0; at < count; at += INDEX_BATCH_MAX)
		find_some(x, keys + at, count - at < INDEX_BATCH_MAX ? count - at : INDEX_BATCH_MAX,
			  rows + at);
}

/* ---- changes ---- */

void index_put(struct index *x, const struct row *row)
{
	uint64_t hash = key_hash(row->key), at;
	const struct index_half *half;

	move_some(x);
	if (seek(x, hash, row->key, &half, &at)) {
		half->slots[at] = slot_make(hash, row);
		return;
	}
	assert(x->count < SLOTS_MAX / 4 * 3);
	grow(x);
	half_add(&x->now, hash, slot_make(hash, row));
	x->count++;
}

bool index_remove(struct index *x, uint64_t key)
{
	const struct index_half *half;
	uint64_t at;

	move_some(x);
	if (!seek(x, key_hash(key), key, &half, &at))
		return false;
	half_empty(half == &x->now ? &x->now : &x->old, at);
	x->count--;
	return true;
}

void index_move_prefetch(const struct index *x, uint64_t key)
{
	__builtin_prefetch(&x->now.slots[key_hash(key) & x->now.mask], 1);
}

bool index_move(struct index *x, uint64_t key, const struct row *from, const struct row *to)
{
	const struct index_half *half;
	uint64_t at;

	if (!seek_exact(x, key, from, &half, &at))
		return false;
	if (to) {
		half->slots[at] = slot_make(key_hash(key), to);
		return true;
	}
	half_empty(half == &x->now ? &x->now : &x->old, at);
	x->count--;
	return true;
}

bool index_has(const struct index *x, uint64_t key, const struct row *row)
{
	const struct index_half *half;
	uint64_t at;

	return seek_exact(x, key, row, &half, &at);
}

const struct row *index_next(const struct index *x, uint64_t *at)
{
	uint64_t slots = x->now.mask + 1, all = slots + (x->old.slots ? x->old.mask + 1 : 0);

	while (*at < all) {
		uint64_t i = (*at)++;
		uint64_t slot = i < slots ? x->now.slots[i] : x->old.slots[i - slots];
		if (slot)
			return slot_row(slot);
	}
	return NULL;
}
