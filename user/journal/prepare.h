/*
 * prepare: a thread that has one spare segment ready ahead of need. Inside the stage.
 *
 * The engine thread calls take, want and retire, which hold a lock for a few instructions only and allocate
 * nothing; the thread does all that touches the disk.
 */
#ifndef JOURNAL_PREPARE_H
#define JOURNAL_PREPARE_H

#include <journal/segment.h>
#include <pthread.h>

enum { PREPARE_RETIRED_MAX = 8 };

struct prepare {
	pthread_t thread;
	pthread_mutex_t mutex; /* over what stands below it */
	pthread_cond_t changed;
	bool stop, wanted;
	int error; /* of the last attempt; a new one is made every PREPARE_RETRY_MS while a spare is wanted */
	int ready_fd; /* -1 = none */
	char ready_name[SEGMENT_NAME_BYTES];
	int retired[PREPARE_RETIRED_MAX];
	uint32_t retired_count;

	int dir_fd; /* the rest is set at start and constant */
	uint64_t segment_bytes;
	struct segment_mode mode;
	bool sync;
};

/* Starts the thread with a spare wanted. `p` must stay where it is. */
__attribute__((warn_unused_result)) int prepare_start(struct prepare *p, int dir_fd, uint64_t segment_bytes,
						      const struct segment_mode *mode, bool sync);
/* Ends the thread, closes what was retired, removes a spare that nobody took. */
void prepare_stop(struct prepare *p);
/* Takes the spare: 0, -EAGAIN when it is not ready yet, or why it cannot be made. */
__attribute__((warn_unused_result)) int prepare_take(struct prepare *p, int *fd,
						     char name[SEGMENT_NAME_BYTES]);
/* Asks for the next one. */
void prepare_want(struct prepare *p);
/* Hands over a file that is no longer written, to be closed. */
void prepare_retire(struct prepare *p, int fd);

#endif
