/*
 * outbox: encoded MESSAGE frames on their way to gateways: what the message stage writes and deliver sends.
 *
 * A queue per channel slot and lane, FIFO; legs of a queue are numbered (ordinals, from 1) by the journal's
 * order, so an ordinal means the same on a replay. A queue is a list of chunks of OUTBOX_CHUNK_BYTES; frames
 * stand back to back in a chunk, so that one send takes many.
 *
 * Life of a leg's bytes:
 *   1. outbox_reserve lends room in the tail chunk, the message stage encodes into it, outbox_commit makes it
 * a leg;
 *   2. outbox_release: its batch is durable, it may leave;
 *   3. outbox_take marks legs SENT for one gateway; outbox_pin while a send is the kernel's, outbox_unpin
 * when the send is done or, for a zero-copy send, on its *notification*;
 *   4. outbox_accept: a gateway accepted it (journalled). outbox_return instead: the gateway died, it will be
 * sent again with the may-be-a-repeat flag;
 *   5. a chunk whose legs are all accepted and that is not pinned is reused.
 * A checkpoint keeps open chunks in the store; chunks that are there and not needed soon leave memory
 * ("spilled") and come back when their turn comes. Room: outbox_has_room before a batch; a batch may
 * overshoot.
 *
 * Engine thread only.
 */
#ifndef BASE_OUTBOX_H
#define BASE_OUTBOX_H

#include <base/records.h>
#include <moment/frame.h>
#include <moment/hash.h>
#include <moment/limits.h>

enum outbox_leg { OUTBOX_NEW, OUTBOX_SENT, OUTBOX_RETURNED, OUTBOX_ACCEPTED };

struct outbox_chunk; /* outbox.c */

struct outbox_queue {
	uint32_t head, tail; /* chunks, number + 1, 0 = none */
	uint32_t cursor;     /* chunk to take from next, number + 1; 0 = the queue has nothing to send */
	uint32_t cursor_frame;
	uint64_t next_ordinal; /* of the next leg */
	uint64_t released;     /* legs up to here may leave */
	uint64_t open;	       /* legs not accepted */
};

struct outbox {
	struct region bodies, metas, chunks;
	uint32_t *free_bodies, free_body_count, body_count, bodies_max;
	uint32_t *body_chunk; /* by body: number + 1 of its chunk */
	uint32_t *free_chunks, free_chunk_count, chunk_count, chunks_max;
	uint64_t memory_bytes; /* above it: no room */
	struct outbox_queue queue[QUEUES_MAX];
	char slot_name[CHANNEL_SLOTS_MAX][NAME_BYTES_MAX + 1];
	uint32_t slot_count;
	struct hash128 digest; /* of all outputs, canonical */
	uint64_t spilled_chunks;
	/* brings back a spilled chunk: the value of its record, lent for the call */
	const void *(*load)(void *ctx, const void *key, uint16_t key_bytes, uint32_t *bytes);
	void *load_ctx;
	struct outbox_chunk *reserved; /* between reserve and commit */
	uint32_t reserved_queue;
	const char *last_frame; /* the leg committed last, until the next reserve */
	uint32_t last_bytes;
	struct records *records; /* of the checkpoint that is being cut; NULL = none */
	uint32_t generation;
	uint32_t *changed, changed_count;	     /* chunks, since the last cut */
	uint32_t *frozen, frozen_count, frozen_next; /* of the last cut, until it is committed */
	bool recovering;			     /* what is made now may have been sent before a crash */
};

/* memory_bytes 0 = OUTBOX_MEMORY_BYTES; overshoot: address space for what a batch or a replay may add. */
__attribute__((warn_unused_result)) int outbox_init(struct outbox *o, uint64_t memory_bytes,
						    uint64_t overshoot_bytes);
void outbox_deinit(struct outbox *o);

/* The slot of a channel's name, taken when it is new; -1 when all slots are taken. */
int outbox_slot(struct outbox *o, const char *name);
static inline uint32_t outbox_queue_of(uint32_t slot, bool critical)
{
	return slot * LANES + (critical ? 0 : 1);
}

/* Room for what so many events may give? A long batch asks for half of the memory, a run only that it is not
 * used up. */
bool outbox_has_room(const struct outbox *o, uint32_t events);
/* Room for a frame of at most `bytes`; NULL when even the overshoot is used up. */
void *outbox_reserve(struct outbox *o, uint32_t queue, uint32_t bytes);
/* Makes the reserved bytes a leg: a frame with sequence 0 and flags 0, which goes into the digest. `leg` is
 * the caller's number for it. */
void outbox_commit(struct outbox *o, uint32_t bytes, uint64_t leg);
/* Adds another output (a verdict, canonical) to the digest. */
void outbox_digest_add(struct hash128 *digest, const void *bytes, size_t count);

void outbox_release(struct outbox *o, uint32_t queue, uint64_t ordinal);

/* Legs that stand together in one chunk. */
struct outbox_run {
	uint32_t chunk; /* number */
	uint32_t queue;
	uint32_t frame, frames;
	uint64_t ordinal; /* of the first */
	char *data;
	uint32_t bytes;
};
/* Takes up to `frames_max` legs and `bytes_max` bytes that may leave, and numbers their headers from
 * `sequence` on; false: none. Stops at a chunk still pinned by an earlier life of the same frames, since they
 * are about to be written to. */
bool outbox_take(struct outbox *o, uint32_t queue, uint32_t frames_max, uint32_t bytes_max, uint64_t sequence,
		 struct outbox_run *out);
void outbox_pin(struct outbox *o, uint32_t chunk);
void outbox_unpin(struct outbox *o, uint32_t chunk);
/* The gateway that had legs [ordinal, ordinal + count) is gone. */
void outbox_return(struct outbox *o, uint32_t queue, uint64_t ordinal, uint32_t count);

/* Accepts; each(ctx, legs, count) is called with the numbers of legs that were open, in stretches. Returns
 * how many. */
uint32_t outbox_accept(struct outbox *o, uint32_t queue, uint64_t ordinal, uint32_t count,
		       void (*each)(void *ctx, const uint64_t *legs, uint32_t count), void *ctx);

/*
 * A checkpoint: cut says what belongs to it, at a tick's edge: META "outbox" at once, chunks that changed
 * since the last one by and by; step encodes up to items_max of them (true: all of it is in the records).
 * What changes in between is encoded first, as it was at the cut.
 */
void outbox_checkpoint_cut(struct outbox *o, struct records *records);
bool outbox_checkpoint_step(struct outbox *o, uint32_t items_max);
/* That checkpoint is committed: what it holds may leave memory. */
void outbox_committed(struct outbox *o);
bool outbox_load(struct outbox *o, enum record_space space, const void *key, uint32_t key_bytes,
		 const void *value, uint32_t value_bytes);
/* After the last outbox_load, and at the end of recovery: everything open is to be sent, perhaps again. */
void outbox_recovered(struct outbox *o);

#endif
