/*
 * grace.c: one thread, one condition. In: numbers that count up. Out: the highest one that is over. A number
 * asked for while the kernel is being waited for needs another round, since runs may have begun meanwhile:
 * so the number is read before the update. A kernel that refuses the update is asked again; until it gives
 * in, no slot comes free and no reload comes into force.
 */
#include "grace.h"

#include "privileges.h"

#include <base/log.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { AGAIN_US = 100000 };

static void *grace_run(void *arg)
{
	struct grace *g = arg;
	uint64_t done = 0, refused = 0;

	/* made while the program was loaded, and so with all that loading needs: of a thread's own */
	if (privileges_keep_few())
		log_warning("the grace thread keeps its capabilities");
	pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		if (g->wanted == done) {
			pthread_cond_wait(&g->asked, &g->lock);
			continue;
		}
		uint64_t wanted = g->wanted;
		uint32_t key = 0;
		pthread_mutex_unlock(&g->lock);
		int rc = bpf_map_update_elem(g->outer_fd, &key, &g->inner_fd, BPF_ANY);
		if (!rc) {
			atomic_store(&g->over, wanted);
			done = wanted;
		} else {
			if (!refused++)
				log_failure("pre-filter: no grace period: %s; it is asked for again",
					    strerror(-rc));
			usleep(AGAIN_US);
		}
		pthread_mutex_lock(&g->lock);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

int grace_start(struct grace *g, int outer_fd, int inner_fd)
{
	*g = (struct grace){ .outer_fd = outer_fd, .inner_fd = inner_fd };
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->asked, NULL);
	int rc = -pthread_create(&g->thread, NULL, grace_run, g);
	g->started = rc == 0;
	return rc;
}

void grace_stop(struct grace *g)
{
	if (!g->started)
		return;
	pthread_mutex_lock(&g->lock);
	g->stop = true;
	pthread_cond_signal(&g->asked);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	pthread_cond_destroy(&g->asked);
	pthread_mutex_destroy(&g->lock);
	g->started = false;
}

uint64_t grace_begin(struct grace *g)
{
	pthread_mutex_lock(&g->lock);
	uint64_t number = ++g->wanted;
	pthread_cond_signal(&g->asked);
	pthread_mutex_unlock(&g->lock);
	return number;
}

bool grace_over(const struct grace *g, uint64_t number)
{
	return atomic_load(&g->over) >= number;
}
