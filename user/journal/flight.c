/*
 * flight: one sealed batch on its way to the disk.
 *
 * In: a batch's bytes and the file that they go to. Out: SQEs on the caller's ring, and at the end "done" or
 * an error. The bytes and the names belong to the journal and stay until the flight is done. The kernel
 * breaks a chain after a short write and cancels what is behind it; what was cancelled is submitted again. A
 * sync that ran although the write in front of it was short does not count.
 */
#include <assert.h>
#include <errno.h>
#include <journal/flight.h>
#include <stdio.h>

#define BIT(step) ((uint8_t)(1u << (step)))

static void step_prepare(const struct flight *f, enum flight_step step, struct io_uring_sqe *sqe)
{
	switch (step) {
	case FLIGHT_RENAME:
		io_uring_prep_renameat(sqe, f->dir_fd, f->file->from, f->dir_fd, f->file->to, 0);
		break;
	case FLIGHT_DIRSYNC:
		io_uring_prep_fsync(sqe, f->dir_fd, 0);
		break;
	case FLIGHT_WRITE:
		io_uring_prep_write(sqe, f->file->fd, f->bytes + f->written, f->total - f->written,
				    f->offset + f->written);
		break;
	case FLIGHT_SYNC:
		io_uring_prep_fsync(sqe, f->file->fd, IORING_FSYNC_DATASYNC);
		break;
	case FLIGHT_STEP_COUNT:
		assert(false);
	}
}

void flight_submit(struct flight *f, struct io_uring *ring, uint64_t tag)
{
	struct io_uring_sqe *sqe = NULL;

	assert(f->pending == 0 && f->todo != 0);
	if (io_uring_sq_space_left(ring) < FLIGHT_STEP_COUNT)
		io_uring_submit(ring);
	f->first = (uint8_t)__builtin_ctz(f->todo);
	for (enum flight_step step = 0; step < FLIGHT_STEP_COUNT; step++) {
		if (!(f->todo & BIT(step)))
			continue;
		sqe = io_uring_get_sqe(ring);
		assert(sqe);
		step_prepare(f, step, sqe);
		io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
		sqe->user_data = tag << 56 | (uint64_t)step << 48 | f->number;
	}
	io_uring_sqe_set_flags(sqe, 0); /* the last one ends the chain */
	f->pending = f->todo;
}

static int write_result(struct flight *f, int result)
{
	if (result == 0)
		return -EIO;
	assert((uint32_t)result <= f->total - f->written);
	f->written += (uint32_t)result;
	if (f->written == f->total)
		f->todo &= (uint8_t)~BIT(FLIGHT_WRITE);
	else
		f->written -= f->written % f->block;
	return 0;
}

/* What was done before its forerunner is to be done again. */
static void todo_close(struct flight *f)
{
	if (f->todo & BIT(FLIGHT_RENAME))
		f->todo |= f->steps & BIT(FLIGHT_DIRSYNC);
	if (f->todo & BIT(FLIGHT_WRITE))
		f->todo |= f->steps & BIT(FLIGHT_SYNC);
}

int flight_complete(struct flight *f, enum flight_step step, int result)
{
	int error = 0;

	assert(step < FLIGHT_STEP_COUNT && (f->pending & BIT(step)));
	f->pending &= (uint8_t)~BIT(step);
	if (result == -EINTR || result == -EAGAIN || (result == -ECANCELED && step != f->first))
		; /* once more */
	else if (result < 0)
		error = result;
	else if (step == FLIGHT_WRITE)
		error = write_result(f, result);
	else
		f->todo &= (uint8_t)~BIT(step);
	if (f->pending == 0)
		todo_close(f);
	return error;
}
