/*
 * hash.h: a 128-bit hash as plain data; xxh3-128, seed 0 unless it says otherwise.
 */
#ifndef MOMENT_HASH_H
#define MOMENT_HASH_H

#include <stdint.h>

struct hash128 {
	uint64_t low, high;
};

#endif
