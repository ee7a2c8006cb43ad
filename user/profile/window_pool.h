/*
 * window_pool: blocks of 64-byte units, and the index from a key's hash to its block. Used by windows only.
 *
 * pool:  sizes of 1 to 8 units, then four a doubling, so that a cell of a few entries wastes little; freed
 *        blocks in a list a size. A block is named by its first unit, in 32 bits; 0 is none.
 * index: open addressing, 8 bytes a slot, eight slots a cache line: 32 bits of the hash and the block. Who
 *        looks a key up compares it in the block. Grows by doubling, a few slots at a time.
 *
 * All address space is reserved at init, pages come as they are written. One owner, one thread.
 */
#ifndef PROFILE_WINDOW_POOL_H
#define PROFILE_WINDOW_POOL_H

#include <base/region.h>

enum { POOL_UNIT = 64, POOL_CLASSES = 96 };

struct pool {
	struct region region;
	uint32_t free[POOL_CLASSES]; /* the first free block of a class */
	uint64_t free_count[POOL_CLASSES];
	uint64_t bytes_in_use, bytes_max;
};

__attribute__((warn_unused_result)) int pool_init(struct pool *p, uint64_t bytes_max);
void pool_deinit(struct pool *p);
uint32_t pool_class(uint64_t bytes);
uint64_t pool_class_bytes(uint32_t class);
/* A block of that class, not zeroed. The caller has asked for room: there is one. */
uint32_t pool_take(struct pool *p, uint32_t class);
void pool_give(struct pool *p, uint32_t block, uint32_t class);

static inline void *pool_at(const struct pool *p, uint32_t block)
{
	return p->region.base + (uint64_t)block * POOL_UNIT;
}

struct key_index_slot {
	uint32_t hash, block; /* block 0: empty */
};

struct key_index_half {
	struct key_index_slot *slots;
	uint64_t count; /* a power of two; 0 = no such half */
};

struct window_index {
	struct key_index_half now, old;
	uint64_t moved; /* slots of `old` that are empty from its start on */
	uint64_t count, count_max;
	struct region region;
};

__attribute__((warn_unused_result)) int key_index_init(struct window_index *x, uint64_t count_max);
void key_index_deinit(struct window_index *x);
/* Sets a key that is not there. */
void key_index_add(struct window_index *x, uint32_t hash, uint32_t block);
void key_index_remove(struct window_index *x, uint32_t hash, uint32_t block);
/* Brings the old half over at once. */
void key_index_finish(struct window_index *x);
/* The block of a key has moved. */
void key_index_move(struct window_index *x, uint32_t hash, uint32_t from, uint32_t to);

static inline void key_index_prefetch(const struct window_index *x, uint32_t hash)
{
	__builtin_prefetch(&x->now.slots[hash & (x->now.count - 1)]);
}

#endif
