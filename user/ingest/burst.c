/*
 * burst.c: plain events that stand together. Nearly all that a source sends is EVENT frames without a flag,
 * in sequence, of a type that is kept whatever they are; these are taken here in one loop over the bytes as
 * they came. The first frame that is anything else ends it, and goes the long way in ingest.c, frame by
 * frame: what is decided, and what is said, is the same.
 *
 * In: a span of received bytes, or of the pre-filter's ring. Out: entries of the open batch. The bytes are
 * the connection's until conn_span_done.
 */
#include "parts.h"

#include <assert.h>
#include <moment/check.h>
#include <string.h>

struct burst {
	struct ingest *in;
	struct ingest_live *live;
	uint16_t peer;
	uint64_t events_left, rounded_left; /* of the source's window */
	uint64_t events, rounded;	    /* taken */
};

static bool event_is_plain(const struct burst *b, const struct frame_header *h)
{
	const struct interest_table *table = b->in->state.interest;

	if (h->kind != FRAME_EVENT || h->flags || h->sequence != b->live->expected ||
	    header_check(h, ROLE_OF_SOURCE) != HEADER_GOOD)
		return false;
	return !table || table->type[h->type].action == INTEREST_KEEP;
}

static bool event_take(struct burst *b, const char *frame, uint32_t room, uint32_t *bytes)
{
	struct frame_header h;

	memcpy(&h, frame, sizeof h);
	if (h.length > room || !event_is_plain(b, &h))
		return false;
	uint64_t rounded = ring_rounded(h.length);
	if (b->events_left == 0 || rounded > b->rounded_left || !ingest_entry_fits(b->in, h.length))
		return false;
	if (b->events == 0)
		ingest_moved_begin(b->in, b->peer);
	ingest_entry_add(b->in, ENTRY_FRAME, b->peer, frame, h.length, NULL, 0);
	b->live->expected++;
	b->events++;
	b->events_left--;
	b->rounded += rounded;
	b->rounded_left -= rounded;
	*bytes = h.length;
	return true;
}

uint32_t ingest_burst_take(struct ingest *in, struct conn *conn, uint32_t most)
{
	struct conn_span span = conn_span(in->conns, conn);
	struct burst b = { .in = in, .live = ingest_live_of(in, conn), .peer = conn->peer };
	uint32_t at = 0, taken = 0, bytes;

	assert(b.live);
	if (in->sources_held || span.bytes < FRAME_HEADER_BYTES ||
	    !ingest_window_left(conn, &b.events_left, &b.rounded_left))
		return 0;
	while (b.events < most && span.bytes - at >= FRAME_HEADER_BYTES &&
	       event_take(&b, span.at + at, span.bytes - at, &bytes)) {
		at += span.rounded ? (uint32_t)ring_rounded(bytes) : bytes;
		taken += bytes;
	}
	if (b.events == 0)
		return 0;
	ingest_window_take(in, conn, b.events, b.rounded);
	conn_span_done(in->conns, conn, at, taken, (uint32_t)b.events);
	in->frames_in += b.events;
	return (uint32_t)b.events;
}
