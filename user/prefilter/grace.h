/*
 * grace: waits in a thread of its own until no program run that had begun is left. The kernel has a promise
 * for it: an update of a map of maps returns only when no program uses the old inner map.
 */
#ifndef PREFILTER_GRACE_H
#define PREFILTER_GRACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct grace {
	int outer_fd, inner_fd; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	uint64_t wanted; /* under lock */
	bool stop, started;
	_Atomic uint64_t over;
};

__attribute__((warn_unused_result)) int grace_start(struct grace *g, int outer_fd, int inner_fd);
void grace_stop(struct grace *g);
/* A number; grace_over(number) when all runs that had begun by now have ended. Never blocks for long. */
uint64_t grace_begin(struct grace *g);
bool grace_over(const struct grace *g, uint64_t number);

#endif
