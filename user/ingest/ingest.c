/*
 * ingest.c: connections in turn, frames until the batch is full. A source's frame goes through: header check,
 * window, filter_decide(), journal. A HELLO and a gateway's coming and going end the batch, so that what they
 * change is applied before anything else is read.
 *
 * Who owns the bytes: the receive buffer until conn_frame_done, then only the journal's copy is used. What
 * can go wrong is the peer's: each refusal has a name, is counted, answered by ERROR, and closes that
 * connection alone.
 */
#include "ingest.h"

#include "answer.h"
#include "hello.h"

#include <assert.h>
#include <base/bytes.h>
#include <stdio.h>
#include <string.h>

enum {
	TAKE_QUOTA = 64,
	ACCEPTED_RUNS_MAX = 1024,
	VERDICTS_ROOM = 184 << 10, /* a whole batch of the longest */
	FRAMES_A_TICK_MAX = 4096
};

static const char *const refusal_names[] = { NULL,
#define X(name, text) #name,
					     REFUSALS(X)
#undef X
};

const char *refusal_name(enum refusal refusal)
{
	return refusal_names[refusal];
}

void ingest_init(struct ingest *in, struct conns *conns, struct journal *journal,
		 const struct ingest_hooks *hooks)
{
	memset(in, 0, sizeof *in);
	in->conns = conns;
	in->journal = journal;
	in->hooks = *hooks;
}

void ingest_refuse(struct ingest *in, struct conn *conn, enum refusal refusal, const char *text,
		   uint64_t sequence, uint64_t offset)
{
	char frame[ANSWER_BYTES_MAX];
	uint32_t bytes = answer_error(frame, refusal_name(refusal), text, sequence, offset);

	in->refusals[refusal]++;
	conn_send(in->conns, conn, frame, bytes);
	conn_close(in->conns, conn);
}

static struct ingest_live *live_of(struct ingest *in, const struct conn *conn)
{
	struct ingest_live *live = &in->live[conn->peer];

	return conn->role != CONN_NEW && live->conn == conn->number + 1 &&
			       live->generation == conn->generation
		       ? live
		       : NULL;
}

/* The connection that has this peer's name now, NULL when there is none. */
static struct conn *live_conn(struct ingest *in, uint16_t peer)
{
	struct ingest_live *live = &in->live[peer];
	struct conn *conn = live->conn ? &in->conns->conn[live->conn - 1] : NULL;

	return conn && conn->generation == live->generation && !conn->closing ? conn : NULL;
}

static bool entry_fits(const struct ingest *in, size_t bytes)
{
	return in->entry_count < in->entry_max && journal_fits(in->journal, bytes);
}

static void entry_add(struct ingest *in, enum journal_entry_kind kind, uint16_t source, const void *a,
		      uint32_t a_bytes, const void *b, uint32_t b_bytes)
{
	struct batch_entry *entry = &in->entries[in->entry_count++];

	*entry = (struct batch_entry){ .bytes = a_bytes + b_bytes, .source = source, .kind = (uint8_t)kind };
	entry->data = journal_append_two(in->journal, kind, source, a, a_bytes, b, b_bytes, &entry->position);
}

/* ---- SEEN ---- */

static struct ingest_moved *moved_begin(struct ingest *in, uint16_t peer)
{
	struct ingest_moved *m = &in->moved[peer];

	if (!m->moved) {
		m->moved = true;
		m->first = in->live[peer].expected;
		m->lines = 0;
	}
	return m;
}

/* Counts a dropped frame; false: no line is left, the batch must end first. */
static bool dropped_count(struct ingest *in, uint16_t peer, uint16_t type, enum event_outcome reason)
{
	struct ingest_moved *m = moved_begin(in, peer);

	for (uint32_t i = 0; i < m->lines; i++) {
		if (m->line[i].type == type && m->line[i].reason == reason) {
			m->line[i].count++;
			return true;
		}
	}
	if (m->lines == DROPPED_LINES_MAX)
		return false;
	m->line[m->lines++] = (struct journal_dropped){ .type = type, .reason = (uint8_t)reason, .count = 1 };
	return true;
}

bool ingest_moved_any(const struct ingest *in)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++)
		if (in->moved[i].moved)
			return true;
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
		struct conn *conn = live->ack_due ? live_conn(in, (uint16_t)i) : NULL;
		if (!conn)
			continue;
		bool source = in->state.peers->peer[i].role == ROLE_OF_SOURCE;
		if (conn_send(in->conns, conn, frame,
			      answer_ack(frame, source ? FRAME_EVENT : FRAME_RECEIPT, live->ack_due)))
			live->ack_due = 0;
	}
}

void ingest_channels_changed(struct ingest *in)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++) {
		struct conn *conn = in->live[i].unknown_channels ? live_conn(in, (uint16_t)i) : NULL;
		if (conn)
			conn_close(in->conns, conn);
	}
}

void ingest_verdict(struct ingest *in, uint16_t peer, const char *frame, uint32_t bytes, uint8_t flags)
{
	char copy[FRAME_HEADER_BYTES + 4096];
	struct ingest_live *live = &in->live[peer];

	assert(bytes <= sizeof copy);
	if (!live->conn)
		return;
	struct conn *conn = &in->conns->conn[live->conn - 1];
	if (conn->generation != live->generation || conn->role != CONN_SOURCE)
		return;
	memcpy(copy, frame, bytes);
	copy[offsetof(struct frame_header, flags)] = (char)flags;
	conn_send(in->conns, conn, copy, bytes);
}

/* ---- HELLO ---- */

static void live_set(struct ingest *in, struct conn *conn, uint16_t peer, uint8_t role, uint64_t expected)
{
	in->live[peer] = (struct ingest_live){ .conn = conn->number + 1,
					       .generation = conn->generation,
					       .expected = expected,
					       .heard_ns = in->now_ns,
					       .session = in->state.term << 32 | ++in->sessions };
	conn->peer = peer;
	conn->role = role;
}

/* The number of a peer, a new one for a new name; -1 when there is no room. */
static int peer_number(const struct ingest *in, const struct hello *hello)
{
	const struct peers *p = in->state.peers;
	int found = peers_find(p, (uint8_t)hello->role, hello->name);

	if (found >= 0)
		return found;
	uint32_t max = hello->role == ROLE_OF_SOURCE ? SOURCES_MAX : GATEWAYS_MAX;
	return peers_count(p, (uint8_t)hello->role) < max ? (int)p->count : -1;
}

static void welcome_send(struct ingest *in, struct conn *conn, uint64_t expected)
{
	char frame[ANSWER_BYTES_MAX];

	conn_send(in->conns, conn, frame,
		  answer_welcome(frame, &in->state, expected, in->live[conn->peer].session));
}

static bool lost(struct ingest *in, struct conn *conn, const struct hello *hello, uint64_t expected,
		 const char *what)
{
	char text[200];

	snprintf(text, sizeof text,
		 "%s: we expect %llu; HELLO says first %llu, acknowledged %llu (agree with skip: [from, to])",
		 what, (unsigned long long)expected, (unsigned long long)hello->first,
		 (unsigned long long)hello->acknowledged);
	ingest_refuse(in, conn, REFUSAL_LOST, text, expected, 0);
	return false;
}

/* Where the stream goes on; false: refused. *skip: the source declares [from, to] lost. */
static bool stream_resume(struct ingest *in, struct conn *conn, const struct hello *hello,
			  const struct peer *peer, bool same, uint64_t *expected, bool *skip)
{
	*expected = same ? peer->expected : 1;
	*skip = false;
	bool ahead = hello->acknowledged >= *expected;
	if (!ahead && hello->first <= *expected)
		return true;
	if (!hello->skip || hello->skip_from != *expected || hello->skip_to == UINT64_MAX ||
	    hello->skip_to + 1 < hello->first || hello->skip_to < hello->acknowledged)
		return lost(in, conn, hello, *expected,
			    ahead ? "more was acknowledged to this source than is here"
				  : "the source can no longer send what is expected next");
	*skip = true;
	*expected = hello->skip_to + 1;
	return true;
}

static void source_hello(struct ingest *in, struct conn *conn, const struct hello *hello, uint16_t number)
{
	static const struct peer nobody;
	const struct peers *p = in->state.peers;
	const struct peer *peer = number < p->count ? &p->peer[number] : &nobody;
	bool same = number < p->count && memcmp(p->identity[number].stream, hello->stream, 16) == 0, skip;
	struct conn *old = live_conn(in, number);
	uint64_t expected;

	if (old && !same && in->now_ns - in->live[number].heard_ns < (int64_t)BUSY_SECONDS * 1000000000) {
		ingest_refuse(in, conn, REFUSAL_BUSY, "this name is connected with another stream", 0, 0);
		return;
	}
	if (!stream_resume(in, conn, hello, peer, same, &expected, &skip))
		return;
	if (old)
		conn_cut(in->conns, old); /* what it had sent and we had not taken comes again */
	struct journal_stream s = { .first = hello->first,
				    .expected = expected,
				    .name_bytes = (uint16_t)strlen(hello->name),
				    .resumed = same };
	memcpy(s.stream, hello->stream, sizeof s.stream);
	entry_add(in, ENTRY_STREAM, number, &s, sizeof s, hello->name, s.name_bytes);
	if (skip) {
		struct journal_skip lost_span = { .from = hello->skip_from, .to = hello->skip_to };
		memcpy(lost_span.stream, hello->stream, sizeof lost_span.stream);
		entry_add(in, ENTRY_SKIP, number, &lost_span, sizeof lost_span, NULL, 0);
	}
	live_set(in, conn, number, CONN_SOURCE, expected);
	if (same)
		moved_begin(in,
			    number); /* the ACK of what is here may have been lost with the old connection */
	welcome_send(in, conn, expected);
}

static void accepted_add(struct ingest *in, uint16_t peer, const struct journal_accepted *runs,
			 uint32_t count)
{
	if (count)
		entry_add(in, ENTRY_ACCEPTED, peer, runs, (uint32_t)(count * sizeof *runs), NULL, 0);
}

static void gateway_hello(struct ingest *in, struct conn *conn, const struct hello *hello, uint16_t number)
{
	struct journal_accepted runs[ACCEPTED_RUNS_MAX];
	uint8_t body[NAME_BYTES_MAX + CHANNELS_MAX], slots[CHANNELS_MAX];
	uint32_t slot_count = 0, run_count = ACCEPTED_RUNS_MAX;
	struct conn *old = live_conn(in, number);

	for (uint32_t i = 0; i < hello->channel_count; i++) {
		int slot = in->hooks.channel_slot(in->hooks.ctx, hello->channels[i].name,
						  hello->channels[i].bytes);
		if (slot >= 0)
			slots[slot_count++] = (uint8_t)slot;
	}
	bool unknown = slot_count < hello->channel_count;
	if (slot_count == 0) {
		ingest_refuse(in, conn, REFUSAL_FORBIDDEN, "channels: none of them is in the catalogue", 0,
			      0);
		return;
	}
	if (old) {
		in->hooks.gateway_down(in->hooks.ctx, number);
		conn_cut(in->conns, old);
	}
	struct journal_gateway g = { .up = 1,
				     .channel_count = (uint8_t)slot_count,
				     .name_bytes = (uint16_t)strlen(hello->name) };
	memcpy(body, hello->name, g.name_bytes);
	memcpy(body + g.name_bytes, slots, slot_count);
	entry_add(in, ENTRY_GATEWAY, number, &g, sizeof g, body, (uint32_t)(g.name_bytes + slot_count));
	live_set(in, conn, number, CONN_GATEWAY, 1);
	in->live[number].unknown_channels = unknown;
	conn->session = in->live[number].session;
	in->hooks.gateway_up(in->hooks.ctx, number, conn, slots, slot_count, hello->session,
			     hello->acknowledged, runs, &run_count);
	accepted_add(in, number, runs, run_count);
	welcome_send(in, conn, 1);
}

/* The first frame of a connection. It ends the batch: its entries are applied before anything else is read.
 */
static void hello_take(struct ingest *in, struct conn *conn, const char *frame, uint32_t bytes)
{
	struct hello hello;
	struct frame_header h;

	memcpy(&h, frame, sizeof h);
	if (h.kind != FRAME_HELLO || h.version != FRAME_VERSION) {
		bool version = h.version == FRAME_VERSION;
		ingest_refuse(in, conn, version ? REFUSAL_NO_HELLO : REFUSAL_MALFORMED,
			      "the first frame must be HELLO, version 1", 0,
			      version ? offsetof(struct frame_header, kind)
				      : offsetof(struct frame_header, version));
		return;
	}
	const char *error = hello_read(frame, bytes, &hello);
	if (error) {
		ingest_refuse(in, conn, REFUSAL_MALFORMED, error, 0, FRAME_HEADER_BYTES);
		return;
	}
	struct frame_problem problem = frame_header_check(&h, hello.role);
	int number = peer_number(in, &hello);
	if (problem.text)
		ingest_refuse(in, conn, REFUSAL_MALFORMED, problem.text, 0, problem.offset);
	else if (number < 0)
		ingest_refuse(in, conn, REFUSAL_PEERS, "no room for another name", 0, 0);
	else if (hello.role == ROLE_OF_SOURCE)
		source_hello(in, conn, &hello, (uint16_t)number);
	else
		gateway_hello(in, conn, &hello, (uint16_t)number);
	in->alone = in->entry_count > 0;
}

/* ---- frames of peers ---- */

enum take { TAKE_NEXT, TAKE_LATER, TAKE_CLOSED };

static enum take refuse_at(struct ingest *in, struct conn *conn, enum refusal refusal, const char *text,
			   uint64_t sequence, uint32_t offset)
{
	ingest_refuse(in, conn, refusal, text, sequence, offset);
	return TAKE_CLOSED;
}

static enum take gap_refuse(struct ingest *in, struct conn *conn, const struct frame_header *h,
			    uint64_t expected)
{
	char text[96];

	snprintf(text, sizeof text, "sequence %llu, expected %llu", (unsigned long long)h->sequence,
		 (unsigned long long)expected);
	return refuse_at(in, conn, REFUSAL_GAP, text, h->sequence, offsetof(struct frame_header, sequence));
}

static enum take ping_take(struct ingest *in, struct conn *conn, const struct frame_header *h)
{
	char frame[ANSWER_BYTES_MAX];

	if (in->state.event_clock && h->time > 0 && conn->role == CONN_SOURCE) {
		struct journal_clock clock = { h->time };
		if (!entry_fits(in, sizeof clock))
			return TAKE_LATER;
		entry_add(in, ENTRY_CLOCK, conn->peer, &clock, sizeof clock, NULL, 0);
	}
	/* the room that verdicts of this batch count on is not for PONGs: these are dropped */
	if (conn->role != CONN_SOURCE || conn_send_room(conn) >= VERDICTS_ROOM + FRAME_HEADER_BYTES)
		conn_send(in->conns, conn, frame, answer_pong(frame, h->time));
	return TAKE_NEXT;
}

/* A source that does not read its answers is not read either. */
static bool answers_fit(const struct conn *conn, const struct frame_header *h)
{
	return !(h->flags & FRAME_VERDICT_WANTED) || conn->peer_gone || conn_send_room(conn) >= VERDICTS_ROOM;
}

static enum take source_event(struct ingest *in, struct conn *conn, const struct frame_header *h,
			      const char *frame, uint32_t bytes)
{
	struct ingest_live *live = live_of(in, conn);
	uint64_t rounded = (bytes + 63u) & ~63u;
	static const struct interest_entry keep = { .action = INTEREST_KEEP };
	const struct interest_table *table = in->state.interest;

	assert(live);
	if (in->sources_held || !answers_fit(conn, h)) {
		conn->stalled = true;
		return TAKE_LATER;
	}
	if (conn->window_taken + rounded - conn->window_acknowledged > WINDOW_BYTES ||
	    conn->events_taken + 1 - conn->events_acknowledged > WINDOW_EVENTS)
		return refuse_at(in, conn, REFUSAL_OVERRUN, "more in flight than WELCOME's window",
				 h->sequence, 0);
	switch (filter_decide(table ? &table->type[h->type] : &keep, table ? &table->sets : NULL, h,
			      live->expected)) {
	case FILTER_GAP:
		return gap_refuse(in, conn, h, live->expected);
	case FILTER_DUPLICATE:
		if (!dropped_count(in, conn->peer, h->type, EVENT_DUPLICATE))
			return TAKE_LATER;
		break;
	case FILTER_DROP:
		if (!dropped_count(in, conn->peer, h->type, EVENT_FILTERED))
			return TAKE_LATER;
		live->expected++;
		break;
	case FILTER_IF_ENROLLED: /* everybody, until the kernel's filter comes */
	case FILTER_KEEP:
		if (!entry_fits(in, bytes))
			return TAKE_LATER;
		moved_begin(in, conn->peer);
		entry_add(in, ENTRY_FRAME, conn->peer, frame, bytes, NULL, 0);
		live->expected++;
		break;
	}
	conn->window_taken += rounded;
	conn->events_taken++;
	live->heard_ns = in->now_ns;
	return TAKE_NEXT;
}

static enum take source_frame(struct ingest *in, struct conn *conn, const struct frame_header *h,
			      const char *frame, uint32_t bytes)
{
	switch (h->kind) {
	case FRAME_EVENT:
	case FRAME_PROFILE:
	case FRAME_SUBSCRIBE:
	case FRAME_MANAGE:
		return source_event(in, conn, h, frame, bytes);
	case FRAME_PING:
		return ping_take(in, conn, h);
	case FRAME_HELLO:
		return refuse_at(in, conn, REFUSAL_MALFORMED, "HELLO twice", 0,
				 offsetof(struct frame_header, kind));
	default: /* ACK of a COMMAND, PONG: nothing waits for them yet */
		return TAKE_NEXT;
	}
}

static enum take gateway_ack(struct ingest *in, struct conn *conn, const struct frame_header *h)
{
	struct journal_accepted runs[ACCEPTED_RUNS_MAX];

	if (h->type != FRAME_MESSAGE)
		return TAKE_NEXT;
	if (!entry_fits(in, sizeof runs))
		return TAKE_LATER;
	int count = in->hooks.gateway_ack(in->hooks.ctx, conn->peer, h->sequence, runs, ACCEPTED_RUNS_MAX);
	if (count < 0)
		return refuse_at(in, conn, REFUSAL_MALFORMED, "ACK of a message that was not sent",
				 h->sequence, offsetof(struct frame_header, sequence));
	accepted_add(in, conn->peer, runs, (uint32_t)count);
	return count == ACCEPTED_RUNS_MAX ? TAKE_LATER : TAKE_NEXT; /* again for the rest of its runs */
}

static enum take gateway_change(struct ingest *in, struct conn *conn, const struct frame_header *h,
				const char *frame, uint32_t bytes)
{
	struct ingest_live *live = live_of(in, conn);

	assert(live);
	if (h->sequence > live->expected)
		return gap_refuse(in, conn, h, live->expected);
	if (h->sequence < live->expected)
		return TAKE_NEXT; /* again after a reconnect inside this session: had it */
	if (!entry_fits(in, bytes))
		return TAKE_LATER;
	moved_begin(in, conn->peer);
	entry_add(in, ENTRY_FRAME, conn->peer, frame, bytes, NULL, 0);
	live->expected++;
	return TAKE_NEXT;
}

static enum take gateway_frame(struct ingest *in, struct conn *conn, const struct frame_header *h,
			       const char *frame, uint32_t bytes)
{
	switch (h->kind) {
	case FRAME_ACK:
		return gateway_ack(in, conn, h);
	case FRAME_RECEIPT:
	case FRAME_REPLY:
		return gateway_change(in, conn, h, frame, bytes);
	case FRAME_PING:
		return ping_take(in, conn, h);
	case FRAME_HELLO:
		return refuse_at(in, conn, REFUSAL_MALFORMED, "HELLO twice", 0,
				 offsetof(struct frame_header, kind));
	default:
		return TAKE_NEXT;
	}
}

/* Takes one frame; TAKE_LATER leaves it where it is. */
static enum take frame_take(struct ingest *in, struct conn *conn)
{
	const char *frame;
	uint32_t bytes;
	struct frame_header h;
	int rc = conn_frame(in->conns, conn, &frame, &bytes);

	if (rc == 0)
		return TAKE_LATER;
	if (rc < 0)
		return refuse_at(in, conn, REFUSAL_MALFORMED, "length outside 64 to 65536", 0, 0);
	memcpy(&h, frame, sizeof h);
	in->frames_in++;
	enum frame_role role = conn->role == CONN_SOURCE ? ROLE_OF_SOURCE : ROLE_OF_GATEWAY;
	struct frame_problem problem = frame_header_check(&h, role);
	if (problem.text)
		return refuse_at(in, conn, REFUSAL_MALFORMED, problem.text, h.sequence, problem.offset);
	enum take take = conn->role == CONN_SOURCE ? source_frame(in, conn, &h, frame, bytes)
						   : gateway_frame(in, conn, &h, frame, bytes);
	if (take == TAKE_NEXT)
		conn_frame_done(in->conns, conn);
	else if (take == TAKE_LATER) {
		in->frames_in--;
		conn->lent_bytes = 0; /* lent again next time */
	}
	return take;
}

static void new_take(struct ingest *in, struct conn *conn)
{
	const char *frame;
	uint32_t bytes;
	int rc = conn_frame(in->conns, conn, &frame, &bytes);

	if (rc < 0)
		refuse_at(in, conn, REFUSAL_MALFORMED, "length outside 64 to 65536", 0, 0);
	if (rc <= 0)
		return;
	if (in->entry_count > 0 || ingest_moved_any(in) ||
	    !entry_fits(in, sizeof(struct journal_accepted) * ACCEPTED_RUNS_MAX)) {
		conn->lent_bytes = 0; /* the first entry of the next batch */
		return;
	}
	hello_take(in, conn, frame, bytes);
	if (conn->role != CONN_FREE &&
	    !conn->closing) /* refused, and its peer gone: the slot is free already */
		conn_frame_done(in->conns, conn);
}

static bool live_is_gone(const struct ingest *in, uint32_t peer)
{
	const struct ingest_live *live = &in->live[peer];

	if (!live->conn)
		return false;
	const struct conn *conn = &in->conns->conn[live->conn - 1];
	return conn->generation != live->generation || conn->closing || conn->role == CONN_FREE;
}

/* Peers whose connection is over, for whatever reason: a gateway's legs go back, which is journalled. */
static void lives_end(struct ingest *in)
{
	const struct peers *p = in->state.peers;

	for (uint32_t i = 0; i < p->count; i++) {
		if (!live_is_gone(in, i))
			continue;
		if (p->peer[i].role == ROLE_OF_GATEWAY) {
			const char *name = p->identity[i].name;
			struct journal_gateway g = { .up = 0, .name_bytes = (uint16_t)strlen(name) };
			if (!entry_fits(in, sizeof g + NAME_BYTES_MAX))
				return;
			entry_add(in, ENTRY_GATEWAY, (uint16_t)i, &g, sizeof g, name, g.name_bytes);
			in->hooks.gateway_down(in->hooks.ctx, (uint16_t)i);
		}
		in->live[i].conn = 0;
	}
}

static void conn_take(struct ingest *in, struct conn *conn)
{
	conn->stalled = false;
	if (conn->role == CONN_NEW)
		new_take(in, conn);
	for (uint32_t i = 0; i < TAKE_QUOTA && conn->role > CONN_NEW && !conn->closing && !in->alone; i++)
		if (frame_take(in, conn) != TAKE_NEXT)
			break;
	if (conn->role == CONN_NEW && !conn->closing &&
	    in->now_ns - conn->accepted_at > (int64_t)HELLO_SECONDS_MAX * 1000000000)
		ingest_refuse(in, conn, REFUSAL_NO_HELLO, "no HELLO within 10 s", 0, 0);
	if (conn_ended(conn))
		conn_close(in->conns, conn);
}

uint32_t ingest_collect(struct ingest *in, struct batch_entry *entries, uint32_t entry_max, int64_t now_ns)
{
	in->entries = entries;
	in->entry_count = 0;
	in->entry_max = entry_max;
	in->alone = false;
	in->now_ns = now_ns;
	uint64_t frames_before, taken = 0;
	lives_end(in);
	do { /* rounds of TAKE_QUOTA frames a connection, while anything moves; dropped frames are bounded too
	      */
		frames_before = in->frames_in;
		for (uint32_t i = 0; i < CONNECTIONS_MAX && !in->alone; i++) {
			struct conn *conn = &in->conns->conn[(in->turn + i) % CONNECTIONS_MAX];
			if (conn->role != CONN_FREE && !conn->shut)
				conn_take(in, conn);
		}
		taken += in->frames_in - frames_before;
	} while (!in->alone && in->entry_count < entry_max && in->frames_in > frames_before &&
		 taken < FRAMES_A_TICK_MAX);
	in->turn = (in->turn + 1) % CONNECTIONS_MAX;
	return in->entry_count;
}

bool ingest_waiting(const struct ingest *in)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++)
		if (live_is_gone(in, i))
			return true;
	for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
		const struct conn *conn = &in->conns->conn[i];
		if (conn->role != CONN_FREE && !conn->closing && !conn->shut && !conn->stalled &&
		    (conn_waits(conn) || conn->peer_gone))
			return true;
	}
	return false;
}
