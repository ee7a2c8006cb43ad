/*
 * seen.c: what sources moved in the batch at hand, kept or dropped, as SEEN records; and the ACKs that follow
 * when they are durable.
 *
 * In: frames as they are taken, records of what the kernel dropped. Out: a record per source in the journal,
 * and what to acknowledge, by connection. Dropped frames alone are no reason for a batch at once: they wait a
 * little for one to go with (ingest_moved_due).
 */
#include "answer.h"
#include "parts.h"

#include <assert.h>
#include <string.h>

struct ingest_moved *ingest_moved_begin(struct ingest *in, uint16_t peer)
{
	struct ingest_moved *m = &in->moved[peer];

	if (!m->moved) {
		m->moved = true;
		m->first = in->live[peer].expected;
		m->lines = 0;
		m->since_ns = in->now_ns;
		m->events = m->rounded = 0;
	}
	return m;
}

bool ingest_dropped_count(struct ingest *in, uint16_t peer, uint16_t type, uint8_t reason, uint32_t count)
{
	struct ingest_moved *m = ingest_moved_begin(in, peer);

	for (uint32_t i = 0; i < m->lines; i++) {
		if (m->line[i].type == type && m->line[i].reason == reason) {
			m->line[i].count += count;
			return true;
		}
	}
	if (m->lines == DROPPED_LINES_MAX)
		return false;
	m->line[m->lines++] = (struct journal_dropped){ .type = type, .reason = reason, .count = count };
	return true;
}

bool ingest_moved_any(const struct ingest *in)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++)
		if (in->moved[i].moved)
			return true;
	return false;
}

bool ingest_moved_due(const struct ingest *in)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++) {
		const struct ingest_moved *m = &in->moved[i];
		if (m->moved && (in->seal_wanted || in->now_ns - m->since_ns >= SEEN_NS_MAX ||
				 m->events >= RING_BELL_EVENTS || m->rounded >= RING_BELL_ROUNDED ||
				 m->lines + RING_DROPPED_LINES_MAX > DROPPED_LINES_MAX))
			return true;
	}
	return false;
}

static void moved_seal(struct ingest *in, uint32_t peer, struct ingest_flight *flight)
{
	struct ingest_moved *m = &in->moved[peer];
	const struct ingest_live *live = &in->live[peer];

	m->seen = (struct journal_seen){ .source = (uint16_t)peer,
					 .dropped_lines = (uint16_t)m->lines,
					 .interest_version = in->state.interest_version,
					 .first = m->first,
					 .seen = live->expected - 1 };
	memcpy(m->seen.stream, in->state.peers->identity[peer].stream, sizeof m->seen.stream);
	m->sealed = in->state.peers->peer[peer].role == ROLE_OF_SOURCE;
	if (m->sealed)
		journal_seen(in->journal, &m->seen, m->line);
	flight->seen[peer] = m->seen.seen;
	flight->session[peer] = live->session;
	if (live->conn) {
		flight->bytes[peer] = in->conns->conn[live->conn - 1].window_taken;
		flight->events[peer] = in->conns->conn[live->conn - 1].events_taken;
	}
}

void ingest_seal(struct ingest *in, struct ingest_flight *flight)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		flight->seen[i] = 0;
		in->moved[i].sealed = false;
		if (in->moved[i].moved)
			moved_seal(in, i, flight);
		in->moved[i].moved = false;
	}
}

void ingest_seen_each(struct ingest *in,
		      void (*each)(void *ctx, const struct journal_seen *seen,
				   const struct journal_dropped *dropped),
		      void *ctx)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (in->moved[i].sealed)
			each(ctx, &in->moved[i].seen, in->moved[i].line);
}

void ingest_acknowledge(struct ingest *in, const struct ingest_flight *flight)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++) {
		struct ingest_live *live = &in->live[i];
		if (!flight->seen[i] || !live->conn || live->session != flight->session[i])
			continue;
		struct conn *conn = &in->conns->conn[live->conn - 1];
		if (conn->generation != live->generation)
			continue;
		conn->window_acknowledged = flight->bytes[i];
		conn->events_acknowledged = flight->events[i];
		live->ack_due = flight->seen[i];
	}
}

void ingest_acks_send(struct ingest *in)
{
	char frame[ANSWER_BYTES_MAX];

	for (uint32_t i = 0; i < in->state.peers->count; i++) {
		struct ingest_live *live = &in->live[i];
		struct conn *conn = live->ack_due ? ingest_live_conn(in, (uint16_t)i) : NULL;
		if (!conn || conn->joining) /* WELCOME comes first */
			continue;
		bool source = in->state.peers->peer[i].role == ROLE_OF_SOURCE;
		if (conn_send(in->conns, conn, frame,
			      answer_ack(frame, source ? FRAME_EVENT : FRAME_RECEIPT, live->ack_due)))
			live->ack_due = 0;
	}
}
