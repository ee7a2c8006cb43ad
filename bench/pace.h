/*
 * pace: what the programs of the bench share: clocks, CPUs, and a latency's percentiles. Header only.
 */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline int64_t pace_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t pace_now(void)
{
	return pace_clock(CLOCK_MONOTONIC);
}

/* Until then, without the CPU; at once when it has passed. */
static inline void pace_sleep_until(int64_t when_ns)
{
	struct timespec t = { .tv_sec = when_ns / 1000000000, .tv_nsec = when_ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/* The calling thread stays on this CPU; below 0: anywhere. */
static inline int pace_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof set, &set);
}

static inline int pace_order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of sorted values: the smallest that `share` of them do not exceed. */
static inline int64_t pace_percentile(const int64_t *sorted, size_t count, double share)
{
	size_t at = (size_t)(share * (double)count);

	return count ? sorted[at < count ? at : count - 1] : 0;
}

/* splitmix64: the same numbers from a seed on every machine. */
static inline uint64_t pace_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

#endif
