/*
 * greet.c: the first frame of a connection: who it is, where its stream goes on, WELCOME or a refusal with a
 * name. A source's socket joins the pre-filter in between, in two turns: its receive has to end first.
 *
 * In: a HELLO. Out: entries that tell the core, alone in their batch. What can go wrong is the peer's, but
 * for a socket that the kernel does not let in: that source is filtered in user space, which is logged.
 */
#include "answer.h"
#include "hello.h"
#include "parts.h"

#include <base/log.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static void welcome_send(struct ingest *in, struct conn *conn)
{
	char frame[ANSWER_BYTES_MAX];
	const struct ingest_live *live = &in->live[conn->peer];

	conn_send(in->conns, conn, frame,
		  answer_welcome(frame, &in->state, conn->joined ? "kernel" : in->state.filter,
				 live->expected, live->session));
}

/* The HELLO was taken: the source may hear of it, or its socket joins the pre-filter first. One that is not
 * silent until WELCOME is served all the same, but not by the kernel, which only has what comes later. */
void ingest_source_welcome(struct ingest *in, struct conn *conn)
{
	if (in->conns->prefilter && !conn->first_piece && !conn->assembled)
		conn_join_begin(in->conns, conn);
	else
		welcome_send(in, conn);
}

static const char *join_refusal(int rc)
{
	if (rc == -ENOSPC)
		return "all slots of the kernel are taken";
	return rc == -EALREADY ? "it sent something between HELLO and WELCOME" : strerror(-rc);
}

void ingest_join_take(struct ingest *in, struct conn *conn)
{
	if (!conn_join_ready(conn)) {
		if (conn->peer_gone)
			conn_close(in->conns, conn);
		return;
	}
	int rc = conn_join(in->conns, conn, in->live[conn->peer].expected);
	if (rc == -EAGAIN) {
		conn->stalled = in->join_waits = true;
		return;
	}
	if (rc == -EPROTO) { /* too late to go back: it is in the kernel's map */
		ingest_refuse(in, conn, REFUSAL_MALFORMED, "a source sends nothing between HELLO and WELCOME",
			      0, conn->received);
		return;
	}
	if (rc && rc != -EOPNOTSUPP)
		log_warning("source %s is filtered in user space: %s",
			    in->state.peers->identity[conn->peer].name, join_refusal(rc));
	in->live[conn->peer].kernel = rc == 0;
	welcome_send(in, conn);
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

/* False: later. The connection that had the name has come to its end, and what it brought is taken first. */
static bool source_hello(struct ingest *in, struct conn *conn, const struct hello *hello, uint16_t number)
{
	static const struct peer nobody;
	const struct peers *p = in->state.peers;
	const struct peer *peer = number < p->count ? &p->peer[number] : &nobody;
	bool same = number < p->count && memcmp(p->identity[number].stream, hello->stream, 16) == 0, skip;
	struct conn *old = ingest_live_conn(in, number);
	uint64_t expected;

	if (old && !in->sources_held && (old->peer_gone || old->hung_up))
		return false;
	if (old && !same && in->now_ns - in->live[number].heard_ns < (int64_t)BUSY_SECONDS * 1000000000) {
		ingest_refuse(in, conn, REFUSAL_BUSY, "this name is connected with another stream", 0, 0);
		return true;
	}
	if (!stream_resume(in, conn, hello, peer, same, &expected, &skip))
		return true;
	if (old)
		conn_cut(in->conns, old); /* what it had sent and we had not taken comes again */
	struct journal_stream s = { .first = hello->first,
				    .expected = expected,
				    .name_bytes = (uint16_t)strlen(hello->name),
				    .resumed = same };
	memcpy(s.stream, hello->stream, sizeof s.stream);
	ingest_entry_add(in, ENTRY_STREAM, number, &s, sizeof s, hello->name, s.name_bytes);
	if (skip) {
		struct journal_skip lost_span = { .from = hello->skip_from, .to = hello->skip_to };
		memcpy(lost_span.stream, hello->stream, sizeof lost_span.stream);
		ingest_entry_add(in, ENTRY_SKIP, number, &lost_span, sizeof lost_span, NULL, 0);
	}
	live_set(in, conn, number, CONN_SOURCE, expected);
	if (same)
		ingest_moved_begin(
			in, number); /* the ACK of what is here may have been lost with the old connection */
	return true;
}

static void gateway_hello(struct ingest *in, struct conn *conn, const struct hello *hello, uint16_t number)
{
	struct journal_accepted runs[ACCEPTED_RUNS_MAX];
	uint8_t body[NAME_BYTES_MAX + CHANNELS_MAX], slots[CHANNELS_MAX];
	uint32_t slot_count = 0, run_count = ACCEPTED_RUNS_MAX;
	struct conn *old = ingest_live_conn(in, number);

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
	ingest_entry_add(in, ENTRY_GATEWAY, number, &g, sizeof g, body,
			 (uint32_t)(g.name_bytes + slot_count));
	live_set(in, conn, number, CONN_GATEWAY, 1);
	in->live[number].unknown_channels = unknown;
	conn->session = in->live[number].session;
	in->hooks.gateway_up(in->hooks.ctx, number, conn, slots, slot_count, hello->session,
			     hello->acknowledged, runs, &run_count);
	ingest_accepted_add(in, number, runs, run_count);
	welcome_send(in, conn);
}

bool ingest_hello_take(struct ingest *in, struct conn *conn, const char *frame, uint32_t bytes)
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
		return true;
	}
	const char *error = hello_read(frame, bytes, &hello);
	if (error) {
		ingest_refuse(in, conn, REFUSAL_MALFORMED, error, 0, FRAME_HEADER_BYTES);
		return true;
	}
	struct frame_problem problem = frame_header_check(&h, hello.role);
	int number = peer_number(in, &hello);
	if (problem.text)
		ingest_refuse(in, conn, REFUSAL_MALFORMED, problem.text, 0, problem.offset);
	else if (number < 0)
		ingest_refuse(in, conn, REFUSAL_PEERS, "no room for another name", 0, 0);
	else if (hello.role == ROLE_OF_GATEWAY)
		gateway_hello(in, conn, &hello, (uint16_t)number);
	else if (!source_hello(in, conn, &hello, (uint16_t)number))
		return false;
	in->alone = in->entry_count > 0;
	return true;
}
