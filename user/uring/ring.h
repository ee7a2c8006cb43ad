/*
 * ring: the engine thread's io_uring. The one file that knows liburing's conventions beyond prep calls.
 *
 * SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL | CQSIZE; completions appear only inside enter (KERNEL.md 4).
 * What a completion belongs to is in the top byte of user_data, the rest is the owner's.
 */
#ifndef URING_RING_H
#define URING_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

enum ring_owner {
	RING_NONE,
	RING_ACCEPT,
	RING_RECV,
	RING_SEND,
	RING_GATEWAY_SEND,
	RING_JOURNAL,
	RING_WAKE,
	RING_CANCEL,
	RING_HANGUP, /* poll of a source that the pre-filter feeds */
	RING_BELL
};

static inline uint64_t ring_tag(enum ring_owner owner, uint64_t rest)
{
	return (uint64_t)owner << 56 | (rest & ((UINT64_C(1) << 56) - 1));
}
static inline enum ring_owner ring_owner_of(uint64_t user_data)
{
	return (enum ring_owner)(user_data >> 56);
}
static inline uint64_t ring_rest_of(uint64_t user_data)
{
	return user_data & ((UINT64_C(1) << 56) - 1);
}

/* Receive buffers that the kernel chooses from. A buffer is the engine's from its completion to
 * ring_buffer_return. */
struct ring_buffers {
	struct io_uring_buf_ring *ring;
	char *memory;
	uint32_t count, bytes; /* of one buffer */
	uint32_t out;	       /* lent to the engine */
};

struct ring {
	struct io_uring io;
	struct ring_buffers buffers;
	bool fixed_buffer; /* index 0 is registered */
};

__attribute__((warn_unused_result)) int ring_init(struct ring *r, unsigned entries, uint32_t buffers,
						  uint32_t buffer_bytes);
void ring_deinit(struct ring *r);
/* An SQE; submits what is queued when the ring is full. Never NULL. */
struct io_uring_sqe *ring_sqe(struct ring *r);
const char *ring_buffer(const struct ring *r, uint16_t id);
void ring_buffer_return(struct ring *r, uint16_t id);
/* Keeps io-wq workers (fdatasync) off the engine's CPU. 0 or -errno. */
int ring_iowq_cpu(struct ring *r, int cpu);
/* Registers memory that sends may name as fixed buffer 0. 0 or -errno (RLIMIT_MEMLOCK). */
int ring_register_memory(struct ring *r, void *memory, size_t bytes);
/* Submits, and waits up to `wait_ns` for one completion (0: does not wait, -1: no limit). 0 or -errno; a
 * time-out is 0. With 0, nothing to submit and nothing that the kernel holds back, no system call is made. */
int ring_enter(struct ring *r, int64_t wait_ns);

#endif
