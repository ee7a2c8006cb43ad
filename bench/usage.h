/*
 * usage: CPU time of this thread, of another process and of the whole machine, read together. Header only.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include "pace.h"

#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

/* All in ns. `sampled` is what the timer's tick saw, softirq apart: it misses most of what is done in small
 * bursts. */
struct usage {
	int64_t from, wall, own, engine, busy, sampled, softirq;
};

/* The CPU clock of another process: all its threads, ended ones too. */
static inline int64_t usage_process_ns(pid_t pid)
{
	enum { SCHEDULER_CLOCK = 2 };

	return pid ? pace_clock((clockid_t)(~(unsigned)pid << 3 | SCHEDULER_CLOCK)) : 0;
}

/* Not idle, over all CPUs; and what the tick saw of user, nice, system, irq and softirq. */
static inline void usage_machine(struct usage *u)
{
	unsigned long long t[8] = { 0 };
	FILE *f = fopen("/proc/stat", "re");
	int64_t unit = 1000000000 / sysconf(_SC_CLK_TCK);

	if (!f)
		return;
	if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5],
		   &t[6], &t[7]) == 8) {
		u->busy = u->wall * sysconf(_SC_NPROCESSORS_ONLN) - (int64_t)(t[3] + t[4] + t[7]) * unit;
		u->sampled = (int64_t)(t[0] + t[1] + t[2] + t[5] + t[6]) * unit;
		u->softirq = (int64_t)t[6] * unit;
	}
	fclose(f);
}

static inline struct usage usage_now(pid_t engine)
{
	struct usage u = { .wall = pace_now(),
			   .own = pace_clock(CLOCK_THREAD_CPUTIME_ID),
			   .engine = usage_process_ns(engine) };

	usage_machine(&u);
	return u;
}

static inline struct usage usage_between(struct usage a, struct usage b)
{
	return (struct usage){ .from = a.wall,
			       .wall = b.wall - a.wall,
			       .own = b.own - a.own,
			       .engine = b.engine - a.engine,
			       .busy = b.busy - a.busy,
			       .sampled = b.sampled - a.sampled,
			       .softirq = b.softirq - a.softirq };
}

#endif
