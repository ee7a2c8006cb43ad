/*
 * resend.c: a ring of bytes with positions that only grow, and a ring of slots by sequence.
 *
 * A frame is encoded in one piece: the ring has FRAME_BYTES_MAX more behind its end, and what went there is
 * copied to its start. Everything is taken at the start. Wrong calls are asserted; what the engine says wrong
 * is told by false.
 */
#include "resend.h"

#include <assert.h>
#include <errno.h>
#include <moment/frame.h>
#include <stdlib.h>
#include <string.h>

enum { RING_BYTES = 16 << 20, SLOTS = 1 << 18 };

int resend_init(struct resend *r, uint64_t acked)
{
	*r = (struct resend){
		.acked = acked, .allowed = acked, .made = acked, .ack_seen = acked, .known = acked + 1
	};
	r->ring = malloc(RING_BYTES + FRAME_BYTES_MAX);
	r->slot = calloc(SLOTS, sizeof(*r->slot));
	if (r->ring && r->slot)
		return 0;
	resend_deinit(r);
	return -ENOMEM;
}

void resend_deinit(struct resend *r)
{
	free(r->ring);
	free(r->slot);
	r->ring = NULL;
	r->slot = NULL;
}

static struct resend_slot *slot_of(const struct resend *r, uint64_t sequence)
{
	return &r->slot[sequence & (SLOTS - 1)];
}

/* Where frame `sequence` ends; acked is the lowest that can be asked for. */
static uint64_t end_of(const struct resend *r, uint64_t sequence)
{
	assert(sequence >= r->acked && sequence <= r->made);
	return sequence == r->acked ? r->at_acked : slot_of(r, sequence)->end;
}

static uint64_t rounded(const struct resend *r, uint64_t sequence)
{
	return (end_of(r, sequence) - end_of(r, sequence - 1) + 63) & ~63ull;
}

uint8_t *resend_room(struct resend *r)
{
	if (r->made - r->acked == SLOTS || r->at_made + FRAME_BYTES_MAX - r->at_acked > RING_BYTES)
		return NULL;
	return r->ring + (r->at_made & (RING_BYTES - 1));
}

void resend_add(struct resend *r, size_t bytes, int64_t intended)
{
	size_t from = r->at_made & (RING_BYTES - 1);

	assert(bytes <= FRAME_BYTES_MAX);
	if (from + bytes > RING_BYTES)
		memcpy(r->ring, r->ring + RING_BYTES, from + bytes - RING_BYTES);
	if (r->at_sent == r->at_made && r->made + 1 < r->known)
		r->at_sent += bytes; /* the engine has it from an earlier connection */
	r->at_made += bytes;
	r->made++;
	*slot_of(r, r->made) = (struct resend_slot){ .end = r->at_made, .intended = intended };
}

bool resend_allow(struct resend *r)
{
	while (r->allowed < r->made && r->allowed - r->acked < r->window_events) {
		uint64_t bytes = rounded(r, r->allowed + 1);

		if (r->flight + bytes > r->window_bytes)
			break;
		r->flight += bytes;
		r->allowed++;
		r->at_allowed = end_of(r, r->allowed);
	}
	return r->allowed == r->made;
}

size_t resend_pending(const struct resend *r, const uint8_t **bytes)
{
	size_t from = r->at_sent & (RING_BYTES - 1);
	uint64_t left = r->at_allowed > r->at_sent ? r->at_allowed - r->at_sent : 0;

	*bytes = r->ring + from;
	return left < RING_BYTES - from ? left : RING_BYTES - from;
}

void resend_sent(struct resend *r, size_t bytes)
{
	assert(r->at_sent + bytes <= r->at_allowed);
	r->at_sent += bytes;
}

int64_t resend_intended(const struct resend *r, uint64_t sequence)
{
	return sequence > r->acked && sequence <= r->made ? slot_of(r, sequence)->intended : 0;
}

bool resend_acknowledge(struct resend *r, uint64_t sequence)
{
	bool sent = sequence <= r->made && (sequence <= r->acked || end_of(r, sequence) <= r->at_sent);

	if (!sent && sequence >= r->known)
		return false;
	if (sequence > r->ack_seen)
		r->ack_seen = sequence;
	return true;
}

uint64_t resend_forgettable(const struct resend *r)
{
	return r->ack_seen < r->made ? r->ack_seen : r->made;
}

void resend_forget(struct resend *r, uint64_t through)
{
	assert(through <= r->made);
	while (r->acked < through) {
		uint64_t end = end_of(r, r->acked + 1);

		if (r->acked < r->allowed)
			r->flight -= rounded(r, r->acked + 1);
		r->acked++;
		r->at_acked = end;
	}
	if (r->allowed < r->acked) {
		r->allowed = r->acked;
		r->at_allowed = r->at_acked;
	}
	if (r->at_sent < r->at_acked)
		r->at_sent = r->at_acked;
}

bool resend_restart(struct resend *r, uint64_t next, uint64_t window_events, uint64_t window_bytes)
{
	if (next <= r->acked)
		return false;
	for (uint64_t i = next; i <= r->made && end_of(r, i) <= r->at_sent; i++)
		r->again++;
	r->known = next;
	r->window_events = window_events;
	r->window_bytes = window_bytes;
	r->allowed = r->acked;
	r->at_allowed = r->at_acked;
	r->flight = 0;
	r->at_sent = next - 1 <= r->made ? end_of(r, next - 1) : r->at_made;
	resend_allow(r);
	return true;
}
