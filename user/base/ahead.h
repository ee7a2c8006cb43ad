/*
 * ahead: a thread that touches the pages of growing regions before the engine does. The first touch of a page
 * costs the kernel's time to find and clear it (2 MiB of it where pages are huge), which would be the
 * engine's.
 *
 * It only ever asks the kernel for pages (MADV_POPULATE_WRITE), which changes no byte, so the regions stay
 * their owner's. Where the kernel refuses, pages come as they are first written, as without it.
 */
#ifndef BASE_AHEAD_H
#define BASE_AHEAD_H

#include <base/region.h>
#include <pthread.h>
#include <stdatomic.h>

enum { AHEAD_REGIONS_MAX = 16, AHEAD_BYTES_MIN = 16 << 20 };

struct ahead_region {
	const struct region *region;
	uint32_t quarters; /* of what is used, in pages beyond it; at least AHEAD_BYTES_MIN */
	size_t done;	   /* bytes from the region's start that were asked for */
};

struct ahead {
	struct ahead_region region[AHEAD_REGIONS_MAX];
	uint32_t count;
	atomic_bool stop;
	bool running;
	pthread_t thread;
};

/* Before ahead_start. A region must not be reset or deinitialised before ahead_stop. */
void ahead_add(struct ahead *a, const struct region *region, uint32_t quarters);
/* Asks for the first pages at once, then goes on by itself. 0 or -errno. */
__attribute__((warn_unused_result)) int ahead_start(struct ahead *a);
void ahead_stop(struct ahead *a);

#endif
