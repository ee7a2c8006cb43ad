/*
 * region: memory for state that grows while the engine runs, without an allocator call on the path.
 *
 * region: address space reserved once (mmap, no reserve); pages come as they are first written.
 * slab:   blocks of powers of two bytes out of a region, freed blocks in a list a size.
 * table:  a map from 128-bit keys to 32-bit numbers, open addressing, a maximum of keys.
 *
 * One owner, one thread. Nothing here is iterated in an order that an outcome could see.
 */
#ifndef BASE_REGION_H
#define BASE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region {
	char *base;
	size_t bytes; /* reserved */
	size_t used;
};

/* Reserves `bytes` of zeroed memory. 0 or -errno. */
__attribute__((warn_unused_result)) int region_init(struct region *r, size_t bytes);
void region_deinit(struct region *r);
/* The next bytes, aligned to 64; NULL when the region is full. */
void *region_take(struct region *r, size_t bytes);
/* Everything taken so far is free again; pages go back to the kernel. */
void region_reset(struct region *r);

enum { SLAB_BYTES_MIN = 64, SLAB_CLASSES = 20 }; /* 64 B to 32 MiB */

struct slab {
	struct region region;
	uint64_t free[SLAB_CLASSES]; /* offset + 1 of the first free block of a class, 0 = none */
	size_t bytes_in_use, bytes_max;
};

__attribute__((warn_unused_result)) int slab_init(struct slab *s, size_t bytes_max);
void slab_deinit(struct slab *s);
/* A block of at least `bytes` (not zeroed), *room says how many; NULL when the slab is full. */
void *slab_acquire(struct slab *s, size_t bytes, size_t *room);
void slab_release(struct slab *s, void *block, size_t bytes); /* `bytes` as acquired, or its room */
size_t slab_room(size_t bytes);				      /* what a block for `bytes` takes */

struct key128 {
	uint64_t low, high;
};

struct table_half {
	struct key128 *keys;
	uint32_t *values; /* value + 1; 0 = empty */
	uint64_t slots;	  /* a power of two; 0 = no such half */
};

/*
 * Grows by doubling, a few slots at a time: each change moves some keys from the old half to the new one, so
 * that none waits for a whole rehash; memory is touched as keys come.
 */
struct table {
	struct table_half now, old;
	uint64_t moved; /* slots of `old` that are empty from its start on */
	uint64_t count, count_max;
	struct region region;
};

/* Room for count_max keys. 0 or -errno. */
__attribute__((warn_unused_result)) int table_init(struct table *t, uint64_t count_max);
void table_deinit(struct table *t);
bool table_find(const struct table *t, struct key128 key, uint32_t *value);
/* Sets key to value; false when the table is full. */
bool table_set(struct table *t, struct key128 key, uint32_t value);
bool table_remove(struct table *t, struct key128 key);

#endif
