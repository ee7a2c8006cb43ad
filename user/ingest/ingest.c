/*
 * ingest.c: connections in turn, frames until the batch is full. A source's frame goes through: header check,
 * window, filter_decide(), journal. From a source that the pre-filter feeds the same comes out of its ring,
 * less what the kernel has dropped, and in its place records of that. A HELLO and a gateway's coming and
 * going end the batch, so that what they change is applied before anything else is read.
 *
 * Who owns the bytes: the receive buffer until conn_frame_done, then only the journal's copy is used. What
 * can go wrong is the peer's: each refusal has a name, is counted, answered by ERROR, and closes that
 * connection alone.
 */
#include "ingest.h"

#include "answer.h"
#include "parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TAKE_QUOTA = 256, FRAMES_A_TICK_MAX = 4096 };

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

struct ingest_live *ingest_live_of(struct ingest *in, const struct conn *conn)
{
	struct ingest_live *live = &in->live[conn->peer];

	return conn->role != CONN_NEW && live->conn == conn->number + 1 &&
			       live->generation == conn->generation
		       ? live
		       : NULL;
}

struct conn *ingest_live_conn(struct ingest *in, uint16_t peer)
{
	struct ingest_live *live = &in->live[peer];
	struct conn *conn = live->conn ? &in->conns->conn[live->conn - 1] : NULL;

	return conn && conn->generation == live->generation && !conn->closing ? conn : NULL;
}

bool ingest_entry_fits(const struct ingest *in, size_t bytes)
{
	return in->entry_count < in->entry_max && journal_fits(in->journal, bytes);
}

void ingest_entry_add(struct ingest *in, enum journal_entry_kind kind, uint16_t source, const void *a,
		      uint32_t a_bytes, const void *b, uint32_t b_bytes)
{
	struct batch_entry *entry = &in->entries[in->entry_count++];

	*entry = (struct batch_entry){ .bytes = a_bytes + b_bytes, .source = source, .kind = (uint8_t)kind };
	entry->data = journal_append_two(in->journal, kind, source, a, a_bytes, b, b_bytes, &entry->position);
}

void ingest_accepted_add(struct ingest *in, uint16_t peer, const struct journal_accepted *runs,
			 uint32_t count)
{
	if (count)
		ingest_entry_add(in, ENTRY_ACCEPTED, peer, runs, (uint32_t)(count * sizeof *runs), NULL, 0);
}

void ingest_channels_changed(struct ingest *in)
{
	for (uint32_t i = 0; i < in->state.peers->count; i++) {
		struct conn *conn = in->live[i].unknown_channels ? ingest_live_conn(in, (uint16_t)i) : NULL;
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
	bool sent = conn_send(in->conns, conn, copy, bytes);
	assert(sent || conn_send_room(conn) == 0); /* room was kept for it, unless the peer has gone */
}

/* ---- frames of peers ---- */

enum take { TAKE_NEXT, TAKE_LATER, TAKE_CLOSED };

/* `offset`: of the byte in the frame at hand. */
static enum take refuse_at(struct ingest *in, struct conn *conn, enum refusal refusal, const char *text,
			   uint64_t sequence, uint32_t offset)
{
	ingest_refuse(in, conn, refusal, text, sequence, conn->received + offset);
	return TAKE_CLOSED;
}

static enum take gap_refuse(struct ingest *in, struct conn *conn, const struct frame_header *h,
			    uint64_t expected)
{
	char text[96];

	snprintf(text, sizeof text, "sequence %llu, expected %llu", (unsigned long long)h->sequence,
		 (unsigned long long)expected);
	return refuse_at(in, conn, REFUSAL_GAP, text, expected, offsetof(struct frame_header, sequence));
}

static enum take ping_take(struct ingest *in, struct conn *conn, const struct frame_header *h)
{
	char frame[ANSWER_BYTES_MAX];

	if (in->state.event_clock && h->time > 0 && conn->role == CONN_SOURCE) {
		struct journal_clock clock = { h->time };
		if (!ingest_entry_fits(in, sizeof clock))
			return TAKE_LATER;
		ingest_entry_add(in, ENTRY_CLOCK, conn->peer, &clock, sizeof clock, NULL, 0);
	}
	/* the room that verdicts of this batch count on is not for PONGs: these are dropped */
	if (conn_send_room(conn) >= conn->answers_bytes + FRAME_HEADER_BYTES)
		conn_send(in->conns, conn, frame, answer_pong(frame, h->time));
	return TAKE_NEXT;
}

/* A source that does not read its answers is not read either. */
static bool answers_fit(const struct conn *conn, const struct frame_header *h)
{
	return !(h->flags & FRAME_VERDICT_WANTED) || conn->peer_gone ||
	       conn_send_room(conn) >= conn->answers_bytes + VERDICT_BYTES_MAX;
}

static bool window_holds(const struct conn *conn, uint64_t events, uint64_t rounded)
{
	return conn->window_taken + rounded - conn->window_acknowledged <= WINDOW_BYTES &&
	       conn->events_taken + events - conn->events_acknowledged <= WINDOW_EVENTS;
}

bool ingest_window_left(const struct conn *conn, uint64_t *events, uint64_t *rounded)
{
	uint64_t out = conn->window_taken - conn->window_acknowledged,
		 many = conn->events_taken - conn->events_acknowledged;

	*rounded = out < WINDOW_BYTES ? WINDOW_BYTES - out : 0;
	*events = many < WINDOW_EVENTS ? WINDOW_EVENTS - many : 0;
	return *rounded && *events;
}

void ingest_window_take(struct ingest *in, struct conn *conn, uint64_t events, uint64_t rounded)
{
	struct ingest_moved *m = &in->moved[conn->peer];

	assert(m->moved);
	m->events += events;
	m->rounded += rounded;
	conn->window_taken += rounded;
	conn->events_taken += events;
	in->live[conn->peer].heard_ns = in->now_ns;
}

/* By the catalogue in force: what the kernel kept under a wider table may go here. */
static enum filter_verdict source_decide(const struct ingest *in, const struct frame_header *h,
					 uint64_t expected)
{
	static const struct interest_entry keep = { .action = INTEREST_KEEP };
	const struct interest_table *table = in->state.interest;
	enum filter_verdict verdict = filter_decide(table ? &table->type[h->type] : &keep,
						    table ? &table->sets : NULL, h, expected);

	if (verdict == FILTER_IF_ENROLLED)
		verdict = enrolment_concerns(in->state.enrolment, h) ? FILTER_KEEP : FILTER_DROP;
	if (verdict == FILTER_KEEP)
		enrolment_frame_add(in->state.enrolment, h);
	return verdict;
}

static enum take source_event(struct ingest *in, struct conn *conn, const struct frame_header *h,
			      const char *frame, uint32_t bytes)
{
	struct ingest_live *live = ingest_live_of(in, conn);
	uint64_t rounded = ring_rounded(bytes);

	assert(live);
	if (in->sources_held || !answers_fit(conn, h)) {
		conn->stalled = true;
		return TAKE_LATER;
	}
	if (!window_holds(conn, 1, rounded))
		return refuse_at(in, conn, REFUSAL_OVERRUN, "more in flight than WELCOME's window",
				 h->sequence, 0);
	switch (source_decide(in, h, live->expected)) {
	case FILTER_GAP:
		return gap_refuse(in, conn, h, live->expected);
	case FILTER_DUPLICATE:
		if (!ingest_dropped_count(in, conn->peer, h->type, EVENT_DUPLICATE, 1))
			return TAKE_LATER;
		break;
	case FILTER_DROP:
		if (!ingest_dropped_count(in, conn->peer, h->type, EVENT_FILTERED, 1))
			return TAKE_LATER;
		live->expected++;
		break;
	default:
		if (!ingest_entry_fits(in, bytes))
			return TAKE_LATER;
		ingest_moved_begin(in, conn->peer);
		ingest_entry_add(in, ENTRY_FRAME, conn->peer, frame, bytes, NULL, 0);
		live->expected++;
		conn->answers_bytes += h->flags & FRAME_VERDICT_WANTED ? VERDICT_BYTES_MAX : 0;
	}
	ingest_window_take(in, conn, 1, rounded);
	return TAKE_NEXT;
}

/* What the kernel dropped. It needs no room but lines of the batch's SEEN record. */
static enum take source_record(struct ingest *in, struct conn *conn, const struct ring_dropped *r)
{
	struct ingest_live *live = ingest_live_of(in, conn);

	assert(live && r->lines > 0 && r->lines <= RING_DROPPED_LINES_MAX);
	assert((int32_t)(r->generation - in->state.generation_min) >= 0); /* no table of before the reload */
	assert(r->last + 1 >= live->expected);
	if (!window_holds(conn, r->count, r->rounded))
		return refuse_at(in, conn, REFUSAL_OVERRUN, "more in flight than WELCOME's window",
				 live->expected, 0);
	if (ingest_moved_begin(in, conn->peer)->lines + r->lines > DROPPED_LINES_MAX)
		return TAKE_LATER;
	for (uint32_t i = 0; i < r->lines; i++)
		ingest_dropped_count(in, conn->peer, r->line[i].type, r->line[i].reason, r->line[i].count);
	live->expected = r->last + 1;
	ingest_window_take(in, conn, r->count, r->rounded);
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
	if (!ingest_entry_fits(in, sizeof runs))
		return TAKE_LATER;
	int count = in->hooks.gateway_ack(in->hooks.ctx, conn->peer, h->sequence, runs, ACCEPTED_RUNS_MAX);
	if (count < 0)
		return refuse_at(in, conn, REFUSAL_MALFORMED, "ACK of a message that was not sent",
				 h->sequence, offsetof(struct frame_header, sequence));
	ingest_accepted_add(in, conn->peer, runs, (uint32_t)count);
	return count == ACCEPTED_RUNS_MAX ? TAKE_LATER : TAKE_NEXT; /* again for the rest of its runs */
}

static enum take gateway_change(struct ingest *in, struct conn *conn, const struct frame_header *h,
				const char *frame, uint32_t bytes)
{
	struct ingest_live *live = ingest_live_of(in, conn);

	assert(live);
	if (h->sequence > live->expected)
		return gap_refuse(in, conn, h, live->expected);
	if (h->sequence < live->expected)
		return TAKE_NEXT; /* again after a reconnect inside this session: had it */
	if (!ingest_entry_fits(in, bytes))
		return TAKE_LATER;
	ingest_moved_begin(in, conn->peer);
	ingest_entry_add(in, ENTRY_FRAME, conn->peer, frame, bytes, NULL, 0);
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

/* The program in the kernel stopped. All that it took was read; what is wrong is said in the words of
 * frame_header_check(), as if the frame had been read here. */
static enum take broken_refuse(struct ingest *in, struct conn *conn)
{
	static const char *const words[] = { NULL,
#define X(name, text) text,
					     RING_BREAKS(X)
#undef X
	};
	const struct ring_slot *slot = conn->reader.slot;
	const struct frame_header *h = &slot->header;
	const struct ingest_live *live = ingest_live_of(in, conn);

	assert(live && slot->broken < RING_BREAK_COUNT);
	if (slot->broken == RING_HEADER) {
		struct frame_problem problem = frame_header_check(h, ROLE_OF_SOURCE);
		assert(problem.text);
		return refuse_at(in, conn, REFUSAL_MALFORMED, problem.text, h->sequence, problem.offset);
	}
	if (slot->broken == RING_GAP)
		return gap_refuse(in, conn, h, live->expected);
	return refuse_at(in, conn, slot->broken == RING_OVERRUN ? REFUSAL_OVERRUN : REFUSAL_BROKEN,
			 words[slot->broken], live->expected, 0);
}

static enum take header_take(struct ingest *in, struct conn *conn, const char *frame, uint32_t bytes)
{
	enum frame_role role = conn->role == CONN_SOURCE ? ROLE_OF_SOURCE : ROLE_OF_GATEWAY;
	struct frame_header h;

	memcpy(&h, frame, sizeof h);
	struct frame_problem problem = frame_header_check(&h, role);
	if (problem.text)
		return refuse_at(in, conn, REFUSAL_MALFORMED, problem.text, h.sequence, problem.offset);
	return conn->role == CONN_SOURCE ? source_frame(in, conn, &h, frame, bytes)
					 : gateway_frame(in, conn, &h, frame, bytes);
}

/* Takes one frame; TAKE_LATER leaves it where it is. */
static enum take frame_take(struct ingest *in, struct conn *conn)
{
	const char *frame;
	uint32_t bytes;
	int rc = conn_frame(in->conns, conn, &frame, &bytes);

	if (rc == 0)
		return TAKE_LATER;
	if (rc < 0)
		return conn->joined
			       ? broken_refuse(in, conn)
			       : refuse_at(in, conn, REFUSAL_MALFORMED, "length must be 64 to 65536", 0, 0);
	enum take take = rc == 2 ? source_record(in, conn, (const struct ring_dropped *)(const void *)frame)
				 : header_take(in, conn, frame, bytes);
	if (take == TAKE_NEXT) {
		in->frames_in++;
		conn_frame_done(in->conns, conn);
	} else if (take == TAKE_LATER)
		conn->lent_bytes = 0; /* lent again next time */
	return take;
}

static void new_take(struct ingest *in, struct conn *conn)
{
	const char *frame;
	uint32_t bytes;
	int rc = conn_frame(in->conns, conn, &frame, &bytes);

	if (rc < 0)
		refuse_at(in, conn, REFUSAL_MALFORMED, "length must be 64 to 65536", 0, 0);
	if (rc <= 0)
		return;
	if (in->entry_count > 0 || ingest_moved_any(in) ||
	    !ingest_entry_fits(in, sizeof(struct journal_accepted) * ACCEPTED_RUNS_MAX)) {
		conn->lent_bytes = 0; /* the first entry of the next batch */
		in->seal_wanted = true;
		return;
	}
	if (!ingest_hello_take(in, conn, frame, bytes)) {
		conn->lent_bytes = 0;
		conn->stalled = true;
		return;
	}
	if (conn->role == CONN_FREE || conn->closing)
		return; /* refused, and its peer gone: the slot is free already */
	conn_frame_done(in->conns, conn);
	if (conn->role == CONN_SOURCE)
		ingest_source_welcome(in, conn);
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
			if (!ingest_entry_fits(in, sizeof g + NAME_BYTES_MAX))
				return;
			ingest_entry_add(in, ENTRY_GATEWAY, (uint16_t)i, &g, sizeof g, name, g.name_bytes);
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
	if (conn->joining)
		ingest_join_take(in, conn);
	for (uint32_t i = 0;
	     i < TAKE_QUOTA && conn->role > CONN_NEW && !conn->closing && !conn->joining && !in->alone; i++) {
		if (conn->role == CONN_SOURCE)
			i += ingest_burst_take(in, conn, TAKE_QUOTA - i);
		if (i < TAKE_QUOTA && frame_take(in, conn) != TAKE_NEXT)
			break;
	}
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
	in->alone = in->seal_wanted = in->join_waits = false;
	in->now_ns = now_ns;
	for (uint32_t i = 0; i < in->conns->used; i++)
		in->conns->conn[i].answers_bytes = 0; /* those of the batch before were sent with it */
	uint64_t frames_before, taken = 0;
	lives_end(in);
	do { /* rounds of TAKE_QUOTA frames a connection, while anything moves; dropped frames are bounded too
	      */
		frames_before = in->frames_in;
		uint32_t used = in->conns->used;
		for (uint32_t i = 0; i < used && !in->alone; i++) {
			struct conn *conn = &in->conns->conn[(in->turn + i) % used];
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
	for (uint32_t i = 0; i < in->conns->used; i++) {
		const struct conn *conn = &in->conns->conn[i];
		if (conn->role != CONN_FREE && !conn->closing && !conn->shut && !conn->stalled &&
		    (conn_waits(conn) || conn->peer_gone || conn_join_ready(conn) || conn_over(conn)))
			return true;
	}
	return false;
}
