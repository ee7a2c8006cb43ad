/*
 * reader.c: reads head with acquire, lends what lies below it in place, gives it back by moving tail with
 * release. `broken` is read before head is read again, since the program sets it after its last head: so
 * whatever came before a break is taken first.
 *
 * The program is trusted to write whole items; what would take the reader out of the ring is asserted.
 */
#include "reader.h"

#include <assert.h>
#include <moment/interest.h>
#include <string.h>

static bool below_head(const struct ring_reader *r)
{
	return r->tail != __atomic_load_n(&r->ends->head, __ATOMIC_ACQUIRE);
}

static const char *item_at(const struct ring_reader *r)
{
	return r->data + r->tail % RING_BYTES;
}

enum ring_item reader_next(const struct ring_reader *r, const char **item, uint32_t *bytes)
{
	if (!below_head(r)) {
		if (__atomic_load_n(&r->slot->broken, __ATOMIC_ACQUIRE) == RING_WHOLE)
			return RING_NOTHING;
		if (!below_head(r))
			return RING_BROKEN;
	}
	*item = item_at(r);
	memcpy(bytes, *item, sizeof *bytes);
	assert(*bytes >= FRAME_HEADER_BYTES && *bytes <= FRAME_BYTES_MAX);
	uint8_t version = (uint8_t)(*item)[offsetof(struct frame_header, version)];
	assert(version == FRAME_VERSION || version == RING_DROPPED);
	return version == RING_DROPPED ? RING_RECORD : RING_FRAME;
}

void reader_done(struct ring_reader *r)
{
	struct ring_slot *s = r->slot;
	const char *item = item_at(r);
	uint32_t bytes, events, rounded;

	memcpy(&bytes, item, sizeof bytes);
	if ((uint8_t)item[offsetof(struct frame_header, version)] == RING_DROPPED) {
		struct ring_dropped record;
		memcpy(&record, item, FRAME_HEADER_BYTES);
		events = record.count;
		rounded = record.rounded;
	} else {
		events = filter_in_stream((uint8_t)item[offsetof(struct frame_header, kind)]);
		rounded = events ? ring_rounded(bytes) : 0;
	}
	__atomic_store_n(&s->events_taken, s->events_taken + events, __ATOMIC_RELAXED);
	__atomic_store_n(&s->rounded_taken, s->rounded_taken + rounded, __ATOMIC_RELAXED);
	r->tail += ring_rounded(bytes);
	__atomic_store_n(&r->ends->tail, r->tail, __ATOMIC_RELEASE);
}

const char *reader_span(const struct ring_reader *r, uint32_t *bytes)
{
	uint64_t there = __atomic_load_n(&r->ends->head, __ATOMIC_ACQUIRE) - r->tail;
	uint64_t to_end = RING_BYTES - r->tail % RING_BYTES;

	/* the last item before the end may run over it, into the slack: it is left to reader_next */
	*bytes = (uint32_t)(there < to_end ? there : to_end);
	return item_at(r);
}

void reader_span_done(struct ring_reader *r, uint32_t bytes, uint32_t frames)
{
	struct ring_slot *s = r->slot;

	assert(bytes % FRAME_HEADER_BYTES == 0);
	__atomic_store_n(&s->events_taken, s->events_taken + frames, __ATOMIC_RELAXED);
	__atomic_store_n(&s->rounded_taken, s->rounded_taken + bytes, __ATOMIC_RELAXED);
	r->tail += bytes;
	__atomic_store_n(&r->ends->tail, r->tail, __ATOMIC_RELEASE);
}

bool reader_waits(const struct ring_reader *r)
{
	return below_head(r) || __atomic_load_n(&r->slot->broken, __ATOMIC_ACQUIRE) != RING_WHOLE;
}

bool reader_ended(const struct ring_reader *r)
{
	return __atomic_load_n(&r->slot->ended, __ATOMIC_ACQUIRE) != 0;
}
