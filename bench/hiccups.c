// needs:
/*
 * hiccups.c: a meter that runs beside a measurement: a thread on each CPU sleeps for a millisecond again and
 * again and looks how much later it woke. It runs ahead of everything else (SCHED_FIFO), so what it sees is
 * the machine standing still, not a busy scheduler; without the privilege it says so and sees both.
 *
 * Out, at SIGTERM or SIGINT: one JSON object on stdout: each stall above 2 ms as [from, ns], from on the
 * monotonic clock, so that the reader can tell those within a measurement from those before and after it; and
 * whether it ran ahead. It costs some 0.3 % of each CPU.
 */
#include "pace.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static const int64_t STEP_NS = 1000000, STALL_NS = 2000000;

enum { STALLS_MAX = 4096 }; /* of one CPU; more are not needed to void a run */

struct meter {
	pthread_t thread;
	int cpu;
	_Atomic bool *stop;
	uint32_t count;
	int64_t from[STALLS_MAX], late[STALLS_MAX];
};

static void *meter_run(void *arg)
{
	struct meter *m = arg;

	pace_pin(m->cpu);
	prctl(PR_SET_TIMERSLACK, 1);
	while (!atomic_load(m->stop)) {
		int64_t due = pace_now() + STEP_NS;
		pace_sleep_until(due);
		int64_t late = pace_now() - due;
		if (late <= STALL_NS || m->count == STALLS_MAX)
			continue;
		m->from[m->count] = due;
		m->late[m->count++] = late;
	}
	return NULL;
}

int main(void)
{
	struct sched_param ahead = { .sched_priority = 50 };
	_Atomic bool stop = false;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	bool first = true;
	sigset_t end;
	int number;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	bool realtime = sched_setscheduler(0, SCHED_FIFO, &ahead) == 0;
	struct meter *meters = calloc((size_t)cpus, sizeof *meters);
	if (!meters)
		return 1;
	for (int i = 0; i < cpus; i++) {
		meters[i].cpu = i;
		meters[i].stop = &stop;
		if (pthread_create(&meters[i].thread, NULL, meter_run, &meters[i]))
			return 1;
	}
	puts("ready");
	fflush(stdout);
	sigwait(&end, &number);
	atomic_store(&stop, true);
	printf("{\"stalls\": [");
	for (int i = 0; i < cpus; i++) {
		pthread_join(meters[i].thread, NULL);
		for (uint32_t k = 0; k < meters[i].count; k++, first = false)
			printf("%s[%lld, %lld]", first ? "" : ", ", (long long)meters[i].from[k],
			       (long long)meters[i].late[k]);
	}
	printf("], \"realtime\": %s}\n", realtime ? "true" : "false");
	free(meters);
	return 0;
}
