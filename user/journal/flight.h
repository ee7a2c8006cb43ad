/*
 * flight: one sealed batch on its way to the disk, as a chain of linked operations. Inside the stage.
 *
 *   [RENAME -> DIRSYNC ->] WRITE -> SYNC          in brackets: the first batch of a new segment
 *
 * A chain that breaks (short write, -EINTR, -EAGAIN) is submitted again with what is left of it, SYNC always
 * behind WRITE.
 */
#ifndef JOURNAL_FLIGHT_H
#define JOURNAL_FLIGHT_H

#include <journal/segment.h>
#include <liburing.h>

enum flight_step { FLIGHT_RENAME, FLIGHT_DIRSYNC, FLIGHT_WRITE, FLIGHT_SYNC, FLIGHT_STEP_COUNT };

/* A file that is being written. */
struct flight_file {
	int fd;		 /* -1 = free */
	uint64_t offset; /* where the next batch goes */
	uint64_t bytes;
	uint32_t flights;				       /* not yet durable */
	char from[SEGMENT_NAME_BYTES], to[SEGMENT_NAME_BYTES]; /* RENAME */
};

struct flight {
	uint64_t number; /* of the batch */
	struct flight_file *file;
	int dir_fd;
	const uint8_t *bytes;
	uint64_t offset;
	uint32_t total, written;
	uint32_t block;	 /* a write goes on at a multiple of it */
	uint8_t steps;	 /* bits: all that this batch takes */
	uint8_t todo;	 /* bits: not done yet */
	uint8_t pending; /* bits: submitted, not completed */
	uint8_t first;	 /* step at the head of the chain: nothing before it can have cancelled it */
};

/* user_data: tag in the top 8 bits, the step in the next 8, the batch's number below. */
static inline enum flight_step flight_user_step(uint64_t user_data)
{
	return (enum flight_step)(user_data >> 48 & 0xff);
}
static inline uint64_t flight_user_number(uint64_t user_data)
{
	return user_data & ((UINT64_C(1) << 48) - 1);
}

/* Prepares the chain of what is still to do. Submits the queue first when it has no room for a whole chain.
 */
void flight_submit(struct flight *f, struct io_uring *ring, uint64_t tag);
/* Takes the result of a step: 0 or -errno for good. */
__attribute__((warn_unused_result)) int flight_complete(struct flight *f, enum flight_step step, int result);

static inline bool flight_done(const struct flight *f)
{
	return f->todo == 0 && f->pending == 0;
}
static inline bool flight_broken(const struct flight *f)
{
	return f->todo != 0 && f->pending == 0;
}

#endif
