/*
 * ring.c: sets up the ring, the provided buffers and waits. Memory for buffers is one mmap, registered as a
 * buffer ring of group 0; liburing 2.3 has no setup_buf_ring, so the ring page is made here.
 *
 * What can go wrong: an old kernel refuses the flags (-EINVAL), a container refuses io_uring (-EPERM).
 */
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

static int buffers_init(struct ring *r, uint32_t count, uint32_t bytes)
{
	struct ring_buffers *b = &r->buffers;

	assert((count & (count - 1)) == 0);
	b->count = count;
	b->bytes = bytes;
	b->memory =
		mmap(NULL, (size_t)count * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->memory == MAP_FAILED) {
		b->memory = NULL;
		return -errno;
	}
	size_t ring_bytes = count * sizeof(struct io_uring_buf);
	b->ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->ring == MAP_FAILED) {
		b->ring = NULL;
		return -errno;
	}
	struct io_uring_buf_reg reg = { .ring_addr = (uint64_t)(uintptr_t)b->ring,
					.ring_entries = count,
					.bgid = 0 };
	int rc = io_uring_register_buf_ring(&r->io, &reg, 0);
	if (rc)
		return rc;
	io_uring_buf_ring_init(b->ring);
	for (uint32_t i = 0; i < count; i++)
		io_uring_buf_ring_add(b->ring, b->memory + (size_t)i * bytes, bytes, (unsigned short)i,
				      io_uring_buf_ring_mask(count), (int)i);
	io_uring_buf_ring_advance(b->ring, (int)count);
	return 0;
}

int ring_init(struct ring *r, unsigned entries, uint32_t buffers, uint32_t buffer_bytes)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
					      IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
					      IORING_SETUP_CQSIZE,
				     .cq_entries = entries * 4 };

	*r = (struct ring){ 0 };
	int rc = io_uring_queue_init_params(entries, &r->io, &p);
	if (rc)
		return rc;
	io_uring_register_ring_fd(&r->io);
	rc = buffers ? buffers_init(r, buffers, buffer_bytes) : 0;
	if (rc)
		ring_deinit(r);
	return rc;
}

void ring_deinit(struct ring *r)
{
	io_uring_queue_exit(&r->io);
	if (r->buffers.memory)
		munmap(r->buffers.memory, (size_t)r->buffers.count * r->buffers.bytes);
	if (r->buffers.ring)
		munmap(r->buffers.ring, r->buffers.count * sizeof(struct io_uring_buf));
	*r = (struct ring){ 0 };
}

struct io_uring_sqe *ring_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);

	if (!sqe) {
		int rc = io_uring_submit(&r->io);
		assert(rc > 0); /* a full queue of valid requests is taken */
		sqe = io_uring_get_sqe(&r->io);
	}
	assert(sqe);
	return sqe;
}

const char *ring_buffer(const struct ring *r, uint16_t id)
{
	return r->buffers.memory + (size_t)id * r->buffers.bytes;
}

void ring_buffer_return(struct ring *r, uint16_t id)
{
	struct ring_buffers *b = &r->buffers;

	io_uring_buf_ring_add(b->ring, b->memory + (size_t)id * b->bytes, b->bytes, id,
			      io_uring_buf_ring_mask(b->count), 0);
	io_uring_buf_ring_advance(b->ring, 1);
	b->out--;
}

int ring_iowq_cpu(struct ring *r, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return io_uring_register_iowq_aff(&r->io, sizeof set, &set);
}

int ring_register_memory(struct ring *r, void *memory, size_t bytes)
{
	struct iovec iov = { memory, bytes };
	int rc = io_uring_register_buffers(&r->io, &iov, 1);

	r->fixed_buffer = rc == 0;
	return rc;
}

/* Completions that only an enter brings: task work, or what overflowed. A spinning engine asks each turn. */
static bool enter_needed(struct ring *r)
{
	unsigned flags = IO_URING_READ_ONCE(*r->io.sq.kflags);

	return io_uring_sq_ready(&r->io) || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

int ring_enter(struct ring *r, int64_t wait_ns)
{
	int rc;

	if (wait_ns == 0 && !enter_needed(r))
		return 0;
	if (wait_ns == 0) {
		rc = io_uring_submit(&r->io);
		if (rc >= 0)
			rc = io_uring_get_events(&r->io);
	} else {
		struct __kernel_timespec ts = { .tv_sec = wait_ns / 1000000000,
						.tv_nsec = wait_ns % 1000000000 };
		struct io_uring_cqe *cqe;
		rc = io_uring_submit_and_wait_timeout(&r->io, &cqe, 1, wait_ns > 0 ? &ts : NULL, NULL);
	}
	return rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY ? 0 : rc;
}
