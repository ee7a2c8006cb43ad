/*
 * idset: the (id, leg) pairs that a gateway has had, in memory and, if asked, in a file that only grows.
 *
 * The file has a line a pair, "HEXID LEG". What a killed gateway wrote in part is cut at the next start.
 */
#ifndef CLI_IDSET_H
#define CLI_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct idset {
	struct idset_key {
		uint64_t high, low; /* both 0 = free */
	} * slot;
	size_t count, slots; /* a power of two, at most three quarters full */
	FILE *file;	     /* NULL = memory only */
};

int idset_open(struct idset *s,
	       const char *path); /* path may be NULL; 0 or -errno, -EINVAL = no such file of ids */
void idset_close(struct idset *s);
/* 1 when the pair is new and is remembered now, 0 when it was there, -errno. */
int idset_add(struct idset *s, const uint8_t id[16], const char *leg, size_t leg_bytes);
int idset_flush(struct idset *s); /* what was added is with the system: a killed process does not lose it */

#endif
