/*
 * ahead.c: looks at each region a hundred times a second. `used` is read while its owner moves it: whatever
 * value is seen was true a moment ago, and a region only grows, so the worst is pages that come a little
 * later.
 */
#include "ahead.h"

#include <assert.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

enum { SLICE_BYTES = 8 << 20 }; /* of one call: the kernel's locks are given back in between */
static const struct timespec pause_time = { .tv_nsec = 10000000 };

void ahead_add(struct ahead *a, const struct region *region, uint32_t quarters)
{
	assert(a->count < AHEAD_REGIONS_MAX && !a->running);
	a->region[a->count++] = (struct ahead_region){ .region = region, .quarters = quarters };
}

static size_t region_wanted(const struct ahead_region *r)
{
	size_t used = __atomic_load_n(&r->region->used, __ATOMIC_RELAXED);
	size_t more = used / 4 * r->quarters, bytes = r->region->bytes;

	more = more < AHEAD_BYTES_MIN ? AHEAD_BYTES_MIN : more;
	return more < bytes - used ? used + more : bytes;
}

static void region_touch(struct ahead_region *r)
{
	size_t wanted = region_wanted(r);

	while (r->done < wanted) {
		size_t bytes = wanted - r->done < SLICE_BYTES ? wanted - r->done : SLICE_BYTES;
		bytes &= ~(size_t)4095;
		if (bytes == 0)
			return;
		if (madvise(r->region->base + r->done, bytes, MADV_POPULATE_WRITE)) {
			r->done = r->region->bytes; /* no memory, or an old kernel: not asked again */
			return;
		}
		r->done += bytes;
	}
}

static void regions_touch(struct ahead *a)
{
	for (uint32_t i = 0; i < a->count; i++)
		region_touch(&a->region[i]);
}

static void *ahead_run(void *context)
{
	struct ahead *a = context;

	while (!atomic_load(&a->stop)) {
		regions_touch(a);
		nanosleep(&pause_time, NULL);
	}
	return NULL;
}

int ahead_start(struct ahead *a)
{
	sigset_t all, before;

	regions_touch(a);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&a->thread, NULL, ahead_run, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	a->running = error == 0;
	return -error;
}

void ahead_stop(struct ahead *a)
{
	if (!a->running)
		return;
	atomic_store(&a->stop, true);
	pthread_join(a->thread, NULL);
	a->running = false;
}
