/*
 * arena.c: blocks in a list, a bump pointer in the newest. See arena.h for who owns what.
 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	size_t bytes;
};

enum { BLOCK_BYTES_FIRST = 64 << 10, BLOCK_BYTES_MAX = 4 << 20, ALIGN = 16 };
_Static_assert(sizeof(struct arena_block) == ALIGN, "data behind the block header is aligned");

void arena_init(struct arena *a)
{
	*a = (struct arena){ .block_bytes = BLOCK_BYTES_FIRST };
}

void arena_deinit(struct arena *a)
{
	struct arena_block *block = a->blocks;

	while (block) {
		struct arena_block *next = block->next;
		free(block);
		block = next;
	}
	arena_init(a);
}

void *arena_take(struct arena *a, size_t bytes)
{
	size_t need = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (need < bytes)
		return NULL;
	if ((size_t)(a->end - a->at) < need) {
		size_t size = need > a->block_bytes ? need : a->block_bytes;
		struct arena_block *block = calloc(1, sizeof *block + size);
		if (!block)
			return NULL;
		block->next = a->blocks;
		block->bytes = size;
		a->blocks = block;
		a->at = (char *)(block + 1);
		a->end = a->at + size;
		if (a->block_bytes < BLOCK_BYTES_MAX)
			a->block_bytes *= 2;
	}
	void *p = a->at;
	a->at += need;
	a->bytes_taken += need;
	return p;
}

char *arena_copy(struct arena *a, const char *s, size_t len)
{
	char *p = arena_take(a, len + 1);

	if (p && len)
		memcpy(p, s, len);
	return p;
}
