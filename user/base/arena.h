/*
 * arena: memory that is taken piece by piece and given back as a whole, for compilers, tools and
 * what the engine sizes at its start. A block is added when the last is full.
 *
 * One owner, one thread. What is taken lives until arena_deinit.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *blocks;
	char *at, *end;
	size_t bytes_taken;
	size_t block_bytes; /* of the next block */
};

void arena_init(struct arena *a);
void arena_deinit(struct arena *a);

/* Zeroed bytes aligned to 16; NULL when memory is out. */
void *arena_take(struct arena *a, size_t bytes);
/* A copy with a NUL behind it; NULL when memory is out. */
char *arena_copy(struct arena *a, const char *s, size_t len);
#define arena_array(a, type, n) ((type *)arena_take((a), sizeof(type) * (size_t)(n)))

#endif
