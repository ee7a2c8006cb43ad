/*
 * deliver.c: per gateway a ring of what was sent and not accepted, in runs of legs that stand together. ACK
 * takes runs off its front; the end of the connection gives the rest back to the outbox. The ring outlives
 * the connection, so that the next HELLO's "last accepted in that session" still closes what the lost ACK
 * would have.
 *
 * What can go wrong: an ACK above what was sent (the peer is refused by ingest); a full window (nothing is
 * sent until the next ACK).
 */
#include "deliver.h"

#include <assert.h>
#include <base/log.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int deliver_init(struct deliver *d, struct conns *conns, struct outbox *outbox, enum zero_copy zero_copy)
{
	*d = (struct deliver){ .conns = conns, .outbox = outbox, .zero_copy = zero_copy };
	d->gateway = calloc(PEERS_MAX, sizeof *d->gateway);
	conns->run_done = deliver_run_done;
	conns->run_ctx = d;
	return d->gateway ? 0 : -ENOMEM;
}

void deliver_deinit(struct deliver *d)
{
	free(d->gateway);
	d->gateway = NULL;
}

void deliver_run_done(void *ctx, uint32_t chunk)
{
	outbox_unpin(((struct deliver *)ctx)->outbox, chunk);
}

static void up_set(struct deliver *d, struct deliver_gateway *g, bool up)
{
	uint32_t peer = (uint32_t)(g - d->gateway);
	uint64_t bit = UINT64_C(1) << peer % 64;

	g->up = up;
	d->up[peer / 64] = up ? d->up[peer / 64] | bit : d->up[peer / 64] & ~bit;
}

static struct deliver_sent *sent_at(struct deliver_gateway *g, uint32_t i)
{
	return &g->sent[i % GATEWAY_WINDOW_MESSAGES];
}

/* Takes everything up to `sequence` off the ring as accepted runs, at most runs_max. Returns how many runs.
 */
static uint32_t sent_accept(struct deliver_gateway *g, uint64_t sequence, struct journal_accepted *runs,
			    uint32_t runs_max)
{
	uint32_t n = 0;

	while (g->head != g->tail && n < runs_max) {
		struct deliver_sent *s = sent_at(g, g->head);
		if (s->first_sequence > sequence)
			break;
		uint64_t through = sequence - s->first_sequence + 1;
		uint32_t count = through < s->count ? (uint32_t)through : s->count;
		struct journal_accepted *last = n ? &runs[n - 1] : NULL;
		if (last && last->queue == s->queue && last->first + last->count == s->ordinal)
			last->count += count;
		else
			runs[n++] = (struct journal_accepted){ .queue = s->queue,
							       .count = count,
							       .first = s->ordinal };
		g->unaccepted -= count;
		if (count == s->count)
			g->head++;
		else {
			s->count -= count;
			s->ordinal += count;
			s->first_sequence += count;
		}
	}
	return n;
}

int deliver_gateway_ack(void *ctx, uint16_t peer, uint64_t sequence, struct journal_accepted *runs,
			uint32_t runs_max)
{
	struct deliver *d = ctx;
	struct deliver_gateway *g = &d->gateway[peer];

	if (sequence >= g->next_sequence)
		return -1;
	if (sequence > g->accepted) {
		g->accepted = sequence;
		g->accepted_ns = d->now_ns;
	}
	return (int)sent_accept(g, sequence, runs, runs_max);
}

/* What was sent and not accepted waits again; the ring is kept for a late word about this session. */
static void sent_return(struct deliver *d, struct deliver_gateway *g)
{
	for (uint32_t i = g->head; i != g->tail; i++) {
		const struct deliver_sent *s = sent_at(g, i);
		outbox_return(d->outbox, s->queue, s->ordinal, s->count);
		d->resent += s->count;
	}
}

void deliver_gateway_down(void *ctx, uint16_t peer)
{
	struct deliver *d = ctx;
	struct deliver_gateway *g = &d->gateway[peer];

	if (!g->up)
		return;
	up_set(d, g, false);
	sent_return(d, g);
}

static void queues_set(struct deliver_gateway *g, const uint8_t *slots, uint32_t slot_count)
{
	g->queue_count = 2 * slot_count;
	for (uint32_t i = 0; i < slot_count; i++) {
		g->queues[i] = (uint8_t)outbox_queue_of(slots[i], true);
		g->queues[slot_count + i] = (uint8_t)outbox_queue_of(slots[i], false);
	}
}

uint64_t deliver_gateway_up(void *ctx, uint16_t peer, struct conn *conn, const uint8_t *slots,
			    uint32_t slot_count, uint64_t old_session, uint64_t accepted,
			    struct journal_accepted *runs, uint32_t *run_count)
{
	struct deliver *d = ctx;
	struct deliver_gateway *g = &d->gateway[peer];

	assert(slot_count <= CHANNELS_MAX);
	*run_count =
		old_session && old_session == g->session ? sent_accept(g, accepted, runs, *run_count) : 0;
	if (g->up)
		sent_return(d,
			    g); /* its end was seen in this very turn, and nobody has said that it is down */
	g->head = g->tail = 0;
	g->unaccepted = 0;
	g->accepted = 0;
	up_set(d, g, true);
	g->conn = conn->number + 1;
	g->generation = conn->generation;
	g->session = conn->session;
	g->next_sequence = 1;
	queues_set(g, slots, slot_count);
	return g->session;
}

static bool zero_copy_pays(const struct deliver *d, uint32_t bytes)
{
	const struct conns *c = d->conns;

	if (d->zero_copy != ZERO_COPY_AUTO)
		return d->zero_copy == ZERO_COPY_ON;
	/* loopback and veth always copy: eight tries that were all copied are enough */
	return bytes >= ZERO_COPY_BYTES_MIN &&
	       !(c->zero_copy_copied >= 8 && c->zero_copy_copied == c->zero_copy_sends);
}

/* The next run for a gateway: critical queues first, in turn within a lane. */
static bool run_take(struct deliver *d, struct deliver_gateway *g, uint32_t bytes_max, struct outbox_run *run)
{
	uint32_t lane = g->queue_count / 2, room = GATEWAY_WINDOW_MESSAGES - g->unaccepted;

	if (room == 0 || g->tail - g->head >= GATEWAY_WINDOW_MESSAGES)
		return false;
	for (uint32_t i = 0; i < g->queue_count; i++) {
		uint32_t in_lane = (i % lane + g->turn) % lane;
		if (outbox_take(d->outbox, g->queues[i / lane * lane + in_lane], room, bytes_max,
				g->next_sequence, run))
			return true;
	}
	return false;
}

static void run_note(struct deliver *d, struct deliver_gateway *g, const struct outbox_run *run)
{
	*sent_at(g, g->tail++) = (struct deliver_sent){ .first_sequence = g->next_sequence,
							.sent_ns = d->now_ns,
							.ordinal = run->ordinal,
							.queue = run->queue,
							.count = run->frames };
	g->next_sequence += run->frames;
	g->unaccepted += run->frames;
	g->turn++;
	d->messages_sent += run->frames;
	outbox_pin(d->outbox, run->chunk);
}

/* Runs for one send. Returns how many. */
static uint32_t runs_take(struct deliver *d, struct deliver_gateway *g, struct conn_part *parts,
			  uint32_t *bytes)
{
	struct outbox_run run;
	uint32_t n = 0;

	*bytes = 0;
	while (n < CONN_RUN_PARTS_MAX && *bytes < SEND_BYTES_MAX &&
	       run_take(d, g, SEND_BYTES_MAX - *bytes, &run)) {
		run_note(d, g, &run);
		parts[n++] = (struct conn_part){ .data = run.data, .bytes = run.bytes, .chunk = run.chunk };
		*bytes += run.bytes;
	}
	return n;
}

static bool gateway_is_silent(const struct deliver *d, struct deliver_gateway *g)
{
	if (g->head == g->tail)
		return false;
	int64_t sent_ns = sent_at(g, g->head)->sent_ns,
		since_ns = sent_ns > g->accepted_ns ? sent_ns : g->accepted_ns;
	return d->now_ns - since_ns >
	       (int64_t)GATEWAY_SILENT_SECONDS * 1000000000; /* a slow one is not silent */
}

static void gateway_pump(struct deliver *d, struct deliver_gateway *g)
{
	struct conn *conn = &d->conns->conn[g->conn - 1];
	struct conn_part parts[CONN_RUN_PARTS_MAX];
	uint32_t bytes;

	assert(g->up);
	if (gateway_is_silent(d, g) && conn->generation == g->generation && !conn->closing) {
		log_warning("a gateway acknowledged nothing for %d s: cut off, its messages wait for another "
			    "or for its return",
			    GATEWAY_SILENT_SECONDS);
		d->silent_cut++;
		conn_cut(d->conns, conn); /* ingest journals that it is down, and the legs go back */
		return;
	}
	if (conn->generation != g->generation || !conn_idle(conn))
		return;
	uint32_t count = runs_take(d, g, parts, &bytes);
	if (count)
		conn_send_run(d->conns, conn, parts, count, zero_copy_pays(d, bytes));
}

void deliver_pump(struct deliver *d)
{
	for (uint32_t word = 0; word < PEERS_MAX / 64; word++)
		for (uint64_t left = d->up[word]; left; left &= left - 1)
			gateway_pump(d, &d->gateway[word * 64 + (uint32_t)__builtin_ctzll(left)]);
}
