/*
 * prepare: the thread that makes segments ahead of need.
 *
 * In: a wish for a spare, files that are done with. Out: one file of zeros that is on the disk. The thread
 * owns a spare until prepare_take gives it away. When one cannot be made (the disk is full), the error waits
 * for whoever asks, and the thread tries again every 200 ms, since space may come back before the current
 * segment is full. Names are counted, so that a spare is never made over one whose rename is still in flight.
 */
#include <assert.h>
#include <errno.h>
#include <journal/prepare.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PREPARE_RETRY_MS = 200 };

static void retired_close(struct prepare *p)
{
	while (p->retired_count > 0) {
		int fd = p->retired[--p->retired_count];

		pthread_mutex_unlock(&p->mutex);
		close(fd);
		pthread_mutex_lock(&p->mutex);
	}
}

static void retry_wait(struct prepare *p)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PREPARE_RETRY_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	if (!p->stop)
		pthread_cond_timedwait(&p->changed, &p->mutex, &until);
}

/* One attempt, without the lock. */
static void spare_make(struct prepare *p, uint64_t counter)
{
	char name[SEGMENT_NAME_BYTES];
	int fd, error;

	pthread_mutex_unlock(&p->mutex);
	snprintf(name, sizeof(name), SEGMENT_SPARE_FORMAT, (unsigned long long)counter);
	error = segment_prepare(p->dir_fd, name, p->segment_bytes, &p->mode, p->sync, &fd);
	pthread_mutex_lock(&p->mutex);
	p->error = error;
	if (error) {
		retry_wait(p);
		return;
	}
	p->wanted = false;
	p->ready_fd = fd;
	memcpy(p->ready_name, name, sizeof(name));
}

static void *prepare_run(void *context)
{
	struct prepare *p = context;
	uint64_t counter = 0;

	pthread_mutex_lock(&p->mutex);
	while (!p->stop) {
		retired_close(p);
		if (p->wanted && p->ready_fd < 0)
			spare_make(p, counter++);
		else if (p->retired_count == 0)
			pthread_cond_wait(&p->changed, &p->mutex);
	}
	retired_close(p);
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

static int cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int error = pthread_condattr_init(&attr);

	if (error)
		return -error;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	error = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -error;
}

/* The thread takes no signal: they are for the thread that waits for them. */
static int thread_start(struct prepare *p)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&p->thread, NULL, prepare_run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

int prepare_start(struct prepare *p, int dir_fd, uint64_t segment_bytes, const struct segment_mode *mode,
		  bool sync)
{
	int error;

	*p = (struct prepare){ .wanted = true,
			       .ready_fd = -1,
			       .dir_fd = dir_fd,
			       .segment_bytes = segment_bytes,
			       .mode = *mode,
			       .sync = sync };
	error = -pthread_mutex_init(&p->mutex, NULL);
	if (error)
		return error;
	error = cond_init(&p->changed);
	if (error)
		goto mutex;
	error = thread_start(p);
	if (error)
		goto cond;
	return 0;
cond:
	pthread_cond_destroy(&p->changed);
mutex:
	pthread_mutex_destroy(&p->mutex);
	return error;
}

void prepare_stop(struct prepare *p)
{
	pthread_mutex_lock(&p->mutex);
	p->stop = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	pthread_join(p->thread, NULL);
	if (p->ready_fd >= 0) {
		unlinkat(p->dir_fd, p->ready_name, 0);
		close(p->ready_fd);
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->mutex);
}

int prepare_take(struct prepare *p, int *fd, char name[SEGMENT_NAME_BYTES])
{
	int error = 0;

	pthread_mutex_lock(&p->mutex);
	if (p->ready_fd >= 0) {
		*fd = p->ready_fd;
		memcpy(name, p->ready_name, SEGMENT_NAME_BYTES);
		p->ready_fd = -1;
	} else {
		error = p->error ? p->error : -EAGAIN;
	}
	pthread_mutex_unlock(&p->mutex);
	return error;
}

void prepare_want(struct prepare *p)
{
	pthread_mutex_lock(&p->mutex);
	assert(p->ready_fd < 0);
	p->wanted = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
}

void prepare_retire(struct prepare *p, int fd)
{
	pthread_mutex_lock(&p->mutex);
	if (p->retired_count < PREPARE_RETIRED_MAX) {
		p->retired[p->retired_count++] = fd;
		fd = -1;
	}
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	if (fd >= 0) /* the thread is behind: rare, and a close is short */
		close(fd);
}
