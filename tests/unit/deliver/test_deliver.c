// needs: user/deliver/*.c user/uring/*.c user/prefilter/*.c user/base/[lor]*.c
/*
 * test_deliver.c: legs out of a real outbox, over real sockets, to gateways that accept, stall and die. The
 * frames are made up; each carries its number and a pattern over its whole length, so that a byte of another
 * frame is seen.
 */
#include <deliver/deliver.h>

#include "../net_test.h"

enum { PUSH, SMS };

struct post {
	struct net *net;
	struct outbox outbox;
	struct deliver deliver;
	uint64_t sessions;
	uint32_t made;
	char in[FRAME_BYTES_MAX];
};

struct gateway {
	uint16_t peer;
	int fd;
	struct conn *conn;
};

static struct post *post_open(enum zero_copy zero_copy)
{
	struct post *p = calloc(1, sizeof *p);

	assert_non_null(p);
	p->net = net_open(4096);
	assert_int_equal(outbox_init(&p->outbox, 0, 64 << 20), 0);
	assert_int_equal(deliver_init(&p->deliver, &p->net->conns, &p->outbox, zero_copy), 0);
	return p;
}

static void post_close(struct post *p)
{
	deliver_deinit(&p->deliver);
	net_close(p->net);
	outbox_deinit(&p->outbox);
	free(p);
}

static void leg_fill(char *to, uint32_t number, uint32_t bytes)
{
	struct frame_header h = {
		.length = bytes, .version = FRAME_VERSION, .kind = FRAME_MESSAGE, .customer = number
	};

	for (uint32_t i = 0; i < bytes; i++)
		to[i] = (char)(number * 31 + i * 7 + (i >> 8));
	memcpy(to, &h, sizeof h);
}

/* A leg of `bytes` in a queue, not released yet. Legs are numbered from 1 over all queues. */
static void leg_make(struct post *p, uint32_t slot, bool critical, uint32_t bytes)
{
	char *room = outbox_reserve(&p->outbox, outbox_queue_of(slot, critical), bytes);

	assert_non_null(room);
	leg_fill(room, ++p->made, bytes);
	outbox_commit(&p->outbox, bytes, p->made);
}

static void release_all(struct post *p)
{
	for (uint32_t q = 0; q < QUEUES_MAX; q++)
		outbox_release(&p->outbox, q, p->outbox.queue[q].next_ordinal - 1);
}

static void legs_make(struct post *p, uint32_t slot, bool critical, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		leg_make(p, slot, critical, 100);
	release_all(p);
}

static void accept_runs(struct post *p, const struct journal_accepted *runs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		outbox_accept(&p->outbox, runs[i].queue, runs[i].first, runs[i].count, NULL, NULL);
}

/* A gateway comes, perhaps back: HELLO with its old session and the last sequence that it accepted in it. */
static void gateway_come(struct post *p, struct gateway *g, const uint8_t *slots, uint32_t slot_count,
			 uint64_t old_session, uint64_t accepted, int receive_bytes)
{
	struct journal_accepted runs[64];
	uint32_t run_count = 64;

	g->conn = net_peer(p->net, &g->fd, receive_bytes);
	g->conn->role = CONN_GATEWAY;
	g->conn->session = ++p->sessions;
	uint64_t session = deliver_gateway_up(&p->deliver, g->peer, g->conn, slots, slot_count, old_session,
					      accepted, runs, &run_count);
	assert_int_equal(session, g->conn->session);
	accept_runs(p, runs, run_count);
}

static void gateway_new(struct post *p, struct gateway *g, uint16_t peer, uint8_t slot, int receive_bytes)
{
	*g = (struct gateway){ .peer = peer };
	gateway_come(p, g, &slot, 1, 0, 0, receive_bytes);
}

/* The connection ends, and the engine has seen it. */
static void gateway_die(struct post *p, struct gateway *g)
{
	peer_die(g->fd);
	net_until(p->net, g->conn->peer_gone || g->conn->role == CONN_FREE);
	conn_close(&p->net->conns, g->conn);
	deliver_gateway_down(&p->deliver, g->peer);
}

static void turn(struct post *p)
{
	deliver_pump(&p->deliver);
	net_turn(p->net);
}

static void settle(struct post *p)
{
	for (unsigned i = 0; i < 12; i++)
		turn(p);
}

/* The next message must be that leg, whole. */
static void message_is(struct post *p, struct gateway *g, uint64_t sequence, uint32_t number, uint8_t flags)
{
	struct frame_header h;
	char want[FRAME_BYTES_MAX];
	unsigned idle = 0;

	for (size_t at = 0, need = sizeof h; at < need;) {
		ssize_t got = recv(g->fd, p->in + at, need - at, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			fail_msg("message %llu: the connection ended", (unsigned long long)sequence);
		if (got < 0) {
			if (++idle > 3000)
				fail_msg("message %llu did not come", (unsigned long long)sequence);
			turn(p);
			continue;
		}
		at += (size_t)got;
		memcpy(&h, p->in, sizeof h);
		if (at >= sizeof h)
			need = h.length;
		assert_true(need <= sizeof p->in);
	}
	if (h.sequence != sequence || h.customer != number || h.flags != flags)
		fail_msg("leg %llu as %llu, flags %d; expected leg %u as %llu, flags %d",
			 (unsigned long long)h.customer, (unsigned long long)h.sequence, h.flags, number,
			 (unsigned long long)sequence, flags);
	leg_fill(want, number, h.length);
	memcpy(want + offsetof(struct frame_header, sequence), &sequence, sizeof sequence);
	want[offsetof(struct frame_header, flags)] = (char)flags;
	assert_memory_equal(p->in, want, h.length);
}

static void nothing_comes(struct post *p, struct gateway *g)
{
	settle(p);
	assert_int_equal(recv(g->fd, p->in, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* ACK; returns how many legs it closed, -1 when it is refused. */
static int acknowledge(struct post *p, const struct gateway *g, uint64_t sequence)
{
	struct journal_accepted runs[64];
	int count = deliver_gateway_ack(&p->deliver, g->peer, sequence, runs, 64), legs = 0;

	for (int i = 0; i < count; i++)
		legs += (int)runs[i].count;
	if (count > 0)
		accept_runs(p, runs, (uint32_t)count);
	return count < 0 ? count : legs;
}

static uint64_t open_legs(const struct post *p)
{
	uint64_t open = 0;

	for (uint32_t q = 0; q < QUEUES_MAX; q++)
		open += p->outbox.queue[q].open;
	return open;
}

/* ---- order and numbers ---- */

static void messages_are_numbered_from_1_in_order(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	legs_make(p, PUSH, false, 600); /* more than one chunk holds frames of */
	gateway_new(p, &g, 2, PUSH, 0);
	for (uint32_t i = 1; i <= 600; i++)
		message_is(p, &g, i, i, 0);
	legs_make(p, PUSH, false, 3);
	for (uint32_t i = 601; i <= 603; i++)
		message_is(p, &g, i, i, 0);
	nothing_comes(p, &g);
	assert_int_equal(p->deliver.messages_sent, 603);
	close(g.fd);
	post_close(p);
}

static void critical_goes_before_everything_else(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g = { .peer = 0 };
	static const uint8_t slots[] = { PUSH, SMS };
	const uint32_t sequence = 4;

	(void)state;
	legs_make(p, PUSH, false, 5); /* 1 to 5 */
	legs_make(p, SMS, false, 5);  /* 6 to 10 */
	legs_make(p, SMS, true, 2);   /* 11, 12 */
	legs_make(p, PUSH, true, 2);  /* 13, 14 */
	gateway_come(p, &g, slots, 2, 0, 0, 0);
	message_is(p, &g, 1, 13, 0); /* the gateway's first channel */
	message_is(p, &g, 2, 14, 0);
	message_is(p, &g, 3, 11, 0);
	message_is(p, &g, 4, 12, 0);
	for (uint32_t i = 1; i <= 10; i++) /* a lane's queues in turn, whole runs */
		message_is(p, &g, sequence + i, i, 0);
	/* a critical one that comes while others wait goes first */
	legs_make(p, PUSH, false, 1); /* 15 */
	legs_make(p, SMS, true, 1);   /* 16 */
	message_is(p, &g, 15, 16, 0);
	message_is(p, &g, 16, 15, 0);
	close(g.fd);
	post_close(p);
}

static void a_gateway_gets_its_channels_only(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway push, sms;

	(void)state;
	gateway_new(p, &push, 0, PUSH, 0);
	gateway_new(p, &sms, 1, SMS, 0);
	legs_make(p, PUSH, false, 1);
	legs_make(p, SMS, false, 1);
	legs_make(p, 7, false, 1); /* nobody serves it: it waits */
	message_is(p, &push, 1, 1, 0);
	message_is(p, &sms, 1, 2, 0);
	nothing_comes(p, &push);
	nothing_comes(p, &sms);
	assert_int_equal(open_legs(p), 3);
	close(push.fd);
	close(sms.fd);
	post_close(p);
}

static void legs_leave_only_when_they_are_durable(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	gateway_new(p, &g, 0, PUSH, 0);
	for (uint32_t i = 0; i < 3; i++)
		leg_make(p, PUSH, false, 100);
	nothing_comes(p, &g);
	outbox_release(&p->outbox, outbox_queue_of(PUSH, false), 2);
	message_is(p, &g, 1, 1, 0);
	message_is(p, &g, 2, 2, 0);
	nothing_comes(p, &g);
	release_all(p);
	message_is(p, &g, 3, 3, 0);
	close(g.fd);
	post_close(p);
}

/* ---- acknowledgement ---- */

static void ack_closes_in_parts(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	legs_make(p, PUSH, false, 10);
	gateway_new(p, &g, 0, PUSH, 0);
	for (uint32_t i = 1; i <= 10; i++)
		message_is(p, &g, i, i, 0);
	assert_int_equal(acknowledge(p, &g, 0), 0);
	assert_int_equal(acknowledge(p, &g, 3), 3);
	assert_int_equal(open_legs(p), 7);
	assert_int_equal(acknowledge(p, &g, 3), 0);
	assert_int_equal(acknowledge(p, &g, 2), 0);
	assert_int_equal(acknowledge(p, &g, 4), 1);
	assert_int_equal(acknowledge(p, &g, 10), 6);
	assert_int_equal(open_legs(p), 0);
	assert_int_equal(p->deliver.gateway[0].unaccepted, 0);
	close(g.fd);
	post_close(p);
}

static void ack_of_what_was_never_sent_is_refused(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	gateway_new(p, &g, 0, PUSH, 0);
	assert_int_equal(acknowledge(p, &g, 1), -1);
	legs_make(p, PUSH, false, 2);
	message_is(p, &g, 1, 1, 0);
	message_is(p, &g, 2, 2, 0);
	assert_int_equal(acknowledge(p, &g, 3), -1);
	assert_int_equal(acknowledge(p, &g, UINT64_MAX), -1);
	assert_int_equal(open_legs(p), 2);
	assert_int_equal(acknowledge(p, &g, 2), 2);
	close(g.fd);
	post_close(p);
}

/* One at a time from two channels: every message a run of its own, more of them than one entry takes. */
static void ack_of_many_runs_comes_in_portions(void **state)
{
	enum { LEGS = 20 };
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g = { .peer = 0 };
	static const uint8_t slots[] = { PUSH, SMS };
	struct journal_accepted runs[LEGS];
	uint32_t next[2] = { 1, 1 };

	(void)state;
	gateway_come(p, &g, slots, 2, 0, 0, 0);
	for (uint32_t i = 0; i < LEGS; i++) {
		legs_make(p, i % 2, false, 1);
		message_is(p, &g, i + 1, i + 1, 0);
	}
	for (uint32_t at = 0; at < LEGS;) {
		int count = deliver_gateway_ack(&p->deliver, 0, LEGS, runs, 7);
		assert_int_equal(count, LEGS - at < 7 ? LEGS - at : 7);
		for (int i = 0; i < count; i++, at++) {
			assert_int_equal(runs[i].queue, outbox_queue_of(at % 2, false));
			assert_int_equal(runs[i].first, next[at % 2]++);
			assert_int_equal(runs[i].count, 1);
		}
		accept_runs(p, runs, (uint32_t)count);
	}
	assert_int_equal(deliver_gateway_ack(&p->deliver, 0, LEGS, runs, 7), 0);
	assert_int_equal(open_legs(p), 0);
	close(g.fd);
	post_close(p);
}

static void runs_that_touch_are_one(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;
	struct journal_accepted runs[8];

	(void)state;
	gateway_new(p, &g, 0, PUSH, 0);
	for (uint32_t i = 0; i < 6; i++) {
		legs_make(p, PUSH, false, 1);
		message_is(p, &g, i + 1, i + 1, 0);
	}
	assert_int_equal(deliver_gateway_ack(&p->deliver, 0, 5, runs, 8), 1);
	assert_int_equal(runs[0].first, 1);
	assert_int_equal(runs[0].count, 5);
	close(g.fd);
	post_close(p);
}

static void a_full_window_waits_for_the_next_ack(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	legs_make(p, PUSH, false, GATEWAY_WINDOW_MESSAGES + 100);
	gateway_new(p, &g, 0, PUSH, 0);
	for (uint32_t i = 1; i <= GATEWAY_WINDOW_MESSAGES; i++)
		message_is(p, &g, i, i, 0);
	nothing_comes(p, &g);
	assert_int_equal(acknowledge(p, &g, 30), 30);
	for (uint32_t i = 1; i <= 30; i++)
		message_is(p, &g, GATEWAY_WINDOW_MESSAGES + i, GATEWAY_WINDOW_MESSAGES + i, 0);
	nothing_comes(p, &g);
	legs_make(p, PUSH, true, 1); /* critical waits for the window too */
	nothing_comes(p, &g);
	assert_int_equal(acknowledge(p, &g, GATEWAY_WINDOW_MESSAGES + 30), GATEWAY_WINDOW_MESSAGES);
	message_is(p, &g, GATEWAY_WINDOW_MESSAGES + 31, GATEWAY_WINDOW_MESSAGES + 101, 0);
	message_is(p, &g, GATEWAY_WINDOW_MESSAGES + 32, GATEWAY_WINDOW_MESSAGES + 31, 0);
	close(g.fd);
	post_close(p);
}

/* ---- gateways that go ---- */

static void a_dead_gateways_legs_go_to_another_as_repeats(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway a, b;

	(void)state;
	legs_make(p, PUSH, false, 6);
	gateway_new(p, &a, 0, PUSH, 0);
	for (uint32_t i = 1; i <= 6; i++)
		message_is(p, &a, i, i, 0);
	acknowledge(p, &a, 2);
	gateway_die(p, &a);
	legs_make(p, PUSH, false, 1);
	gateway_new(p, &b, 1, PUSH, 0);
	for (uint32_t i = 3; i <= 6; i++)
		message_is(p, &b, i - 2, i, FRAME_MAYBE_REPEAT);
	message_is(p, &b, 5, 7, 0); /* never sent before */
	nothing_comes(p, &b);
	assert_int_equal(acknowledge(p, &b, 5), 5);
	assert_int_equal(open_legs(p), 0);
	assert_int_equal(p->deliver.resent, 4);
	close(b.fd);
	post_close(p);
}

/* Its last ACK was lost with the connection: HELLO says it again. */
static void hello_with_the_old_session_closes_what_was_accepted(void **state)
{
	static const struct {
		uint64_t session, accepted;
		uint32_t first; /* leg that comes first now */
	} rows[] = { { 1, 4, 5 }, { 1, 6, 7 }, { 1, 0, 1 }, { 9, 4, 1 }, { 0, 4, 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct post *p = post_open(ZERO_COPY_OFF);
		struct gateway g;
		static const uint8_t push = PUSH;
		legs_make(p, PUSH, false, 6);
		gateway_new(p, &g, 0, PUSH, 0);
		for (uint32_t k = 1; k <= 6; k++)
			message_is(p, &g, k, k, 0);
		gateway_die(p, &g);
		gateway_come(p, &g, &push, 1, rows[i].session, rows[i].accepted, 0);
		for (uint32_t k = rows[i].first; k <= 6; k++)
			message_is(p, &g, k - rows[i].first + 1, k, FRAME_MAYBE_REPEAT);
		nothing_comes(p, &g);
		assert_int_equal(open_legs(p), 7 - rows[i].first);
		close(g.fd);
		post_close(p);
	}
}

/* What another gateway has in the meantime is closed by the word about the old session, and once. */
static void a_late_word_closes_what_another_has_now(void **state)
{
	static const uint8_t push = PUSH;
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway a, b;

	(void)state;
	legs_make(p, PUSH, false, 4);
	gateway_new(p, &a, 0, PUSH, 0);
	for (uint32_t i = 1; i <= 4; i++)
		message_is(p, &a, i, i, 0);
	gateway_die(p, &a);
	gateway_new(p, &b, 1, PUSH, 0);
	for (uint32_t i = 1; i <= 4; i++)
		message_is(p, &b, i, i, FRAME_MAYBE_REPEAT);
	gateway_come(p, &a, &push, 1, 1, 3, 0);
	assert_int_equal(open_legs(p), 1);
	acknowledge(p, &b, 4);
	assert_int_equal(open_legs(p), 0);
	nothing_comes(p, &a);
	close(a.fd);
	close(b.fd);
	post_close(p);
}

/* The old connection's end and the new HELLO are seen in one turn: nobody says that the gateway was down. */
static void a_gateway_that_comes_back_at_once_loses_nothing(void **state)
{
	static const uint8_t push = PUSH;
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	legs_make(p, PUSH, false, 3);
	gateway_new(p, &g, 0, PUSH, 0);
	for (uint32_t i = 1; i <= 3; i++)
		message_is(p, &g, i, i, 0);
	peer_die(g.fd);
	net_until(p->net, g.conn->peer_gone);
	conn_close(&p->net->conns, g.conn);
	gateway_come(p, &g, &push, 1, 1, 1, 0);
	message_is(p, &g, 1, 2, FRAME_MAYBE_REPEAT);
	message_is(p, &g, 2, 3, FRAME_MAYBE_REPEAT);
	nothing_comes(p, &g);
	close(g.fd);
	post_close(p);
}

static void two_gateways_of_one_channel_share_its_legs(void **state)
{
	enum { LEGS = 6000 };
	_Static_assert((int)LEGS * 100 > (int)SEND_BYTES_MAX, "more than one send takes");
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g[2];
	uint8_t seen[LEGS + 1] = { 0 };
	uint32_t total = 0, each[2] = { 0 };
	char in[2][100];
	size_t at[2] = { 0 };

	(void)state;
	gateway_new(p, &g[0], 0, PUSH, 0);
	gateway_new(p, &g[1], 1, PUSH, 0);
	legs_make(p, PUSH, false, LEGS); /* one send each, at once */
	for (unsigned idle = 0; total < LEGS && idle < 3000; idle++) {
		for (unsigned k = 0; k < 2; k++) {
			struct frame_header h;
			/* a part of a frame is taken too: left in the socket it may hold the window shut */
			for (ssize_t got; (got = recv(g[k].fd, in[k] + at[k], 100 - at[k], 0)) > 0;) {
				at[k] = (at[k] + (size_t)got) % 100;
				if (at[k])
					continue;
				memcpy(&h, in[k], sizeof h);
				assert_int_equal(h.sequence, ++each[k]);
				assert_int_equal(h.flags, 0);
				seen[h.customer]++;
				total++;
			}
		}
		turn(p);
	}
	for (uint32_t i = 1; i <= LEGS; i++)
		assert_int_equal(seen[i], 1);
	assert_true(each[0] > 0 && each[1] > 0);
	assert_int_equal(acknowledge(p, &g[0], each[0]) + acknowledge(p, &g[1], each[1]), LEGS);
	assert_int_equal(open_legs(p), 0);
	close(g[0].fd);
	close(g[1].fd);
	post_close(p);
}

/* One send takes the runs of all queues, critical first: a busy lane does not keep the next from leaving. */
static void a_send_takes_what_waits_in_every_queue(void **state)
{
	static const uint8_t slots[] = { PUSH, SMS };
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g = { .peer = 0 };

	(void)state;
	gateway_come(p, &g, slots, 2, 0, 0, 0);
	settle(p);
	for (unsigned round = 0; round < 3; round++) {
		uint32_t first = 8 * round;
		legs_make(p, PUSH, false, 3); /* 1 to 3 */
		legs_make(p, SMS, true, 2);   /* 4, 5 */
		legs_make(p, PUSH, true, 3);  /* 6 to 8 */
		uint64_t sends = p->net->conns.plain_sends;
		deliver_pump(&p->deliver);
		assert_int_equal(p->net->conns.plain_sends, sends + 1);
		assert_int_equal(p->deliver.messages_sent, first + 8);
		uint32_t critical = 0;
		for (uint32_t i = 1; i <= 8; i++) {
			struct frame_header h;
			unsigned idle = 0;
			while (recv(g.fd, p->in, 100, MSG_WAITALL) != 100 && ++idle < 3000)
				turn(p);
			memcpy(&h, p->in, sizeof h);
			assert_int_equal(h.sequence, first + i);
			critical += h.customer - first > 3 && i <= 5;
		}
		assert_int_equal(critical, 5);
		assert_int_equal(acknowledge(p, &g, first + 8), 8);
	}
	assert_int_equal(open_legs(p), 0);
	close(g.fd);
	post_close(p);
}

static void a_word_about_a_gateway_that_is_down_is_harmless(void **state)
{
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway g;

	(void)state;
	deliver_gateway_down(&p->deliver, 5);
	gateway_new(p, &g, 5, PUSH, 0);
	legs_make(p, PUSH, false, 1);
	message_is(p, &g, 1, 1, 0);
	gateway_die(p, &g);
	deliver_gateway_down(&p->deliver, 5);
	assert_int_equal(p->deliver.resent, 1);
	settle(p);
	assert_int_equal(open_legs(p), 1);
	post_close(p);
}

/* Thirty seconds without a word: its legs go to another. One that accepts slowly is left alone. */
static void a_gateway_that_accepts_nothing_is_cut(void **state)
{
	static const int64_t limit = INT64_C(1000000000) * GATEWAY_SILENT_SECONDS;
	struct post *p = post_open(ZERO_COPY_OFF);
	struct gateway slow, other;

	(void)state;
	p->deliver.now_ns = 1;
	gateway_new(p, &slow, 0, PUSH, 0);
	legs_make(p, PUSH, false, 4);
	for (uint32_t i = 1; i <= 4; i++)
		message_is(p, &slow, i, i, 0);
	p->deliver.now_ns += limit;
	nothing_comes(p, &slow);
	assert_int_equal(acknowledge(p, &slow, 1), 1); /* in time, the first of a run */
	for (unsigned turns = 0; turns < 2; turns++) {
		p->deliver.now_ns += limit;
		nothing_comes(p, &slow);
		assert_int_equal(p->deliver.silent_cut, 0);
		acknowledge(p, &slow, 2 + turns);
	}
	acknowledge(p, &slow, 1); /* no news */
	p->deliver.now_ns += limit + 1;
	settle(p);
	assert_int_equal(p->deliver.silent_cut, 1);
	deliver_gateway_down(&p->deliver, 0);
	gateway_new(p, &other, 1, PUSH, 0);
	message_is(p, &other, 1, 4, FRAME_MAYBE_REPEAT);
	assert_int_equal(acknowledge(p, &other, 1), 1);
	p->deliver.now_ns += 10 * limit; /* nothing is open: silence is no fault */
	nothing_comes(p, &other);
	assert_int_equal(p->deliver.silent_cut, 1);
	close(slow.fd);
	close(other.fd);
	post_close(p);
}

/* ---- whose bytes ---- */

/*
 * A gateway with a small window accepts what it has not read. The chunk is accepted to its end, but the
 * kernel still has to send from it, so nobody may write into it: planted fault, docs/reliability.md.
 */
static void bytes_that_the_kernel_still_reads_are_not_written_to(void **state)
{
	enum { BYTES = 16000, LEGS = 4, ROUNDS = 12 };
	struct post *p = post_open(ZERO_COPY_ON);
	struct gateway g;

	(void)state;
	gateway_new(p, &g, 0, PUSH, SMALL_WINDOW);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < LEGS; i++)
			leg_make(p, PUSH, false, BYTES);
		release_all(p);
		settle(p);
		/* all that was sent so far, read or not */
		acknowledge(p, &g, p->deliver.gateway[0].next_sequence - 1);
	}
	for (uint32_t i = 1; i <= ROUNDS * LEGS; i++) {
		message_is(p, &g, i, i, 0);
		acknowledge(p, &g, p->deliver.gateway[0].next_sequence - 1);
	}
	assert_int_equal(open_legs(p), 0);
	close(g.fd);
	post_close(p);
}

/* It dies with its bytes unread: the legs go to another only when the kernel has let go of the chunk, and
 * whole. */
static void a_gateway_that_dies_with_notifications_outstanding(void **state)
{
	enum { BYTES = 16000, LEGS = 4 };
	struct post *p = post_open(ZERO_COPY_ON);
	struct gateway a, b;

	(void)state;
	gateway_new(p, &a, 0, PUSH, SMALL_WINDOW);
	for (uint32_t i = 0; i < LEGS; i++)
		leg_make(p, PUSH, false, BYTES);
	release_all(p);
	settle(p);
	assert_true(a.conn->notifications > 0);
	deliver_gateway_down(&p->deliver, 0); /* said to be down while its bytes are still on their way */
	gateway_new(p, &b, 1, PUSH, 0);
	settle(p);
	assert_int_equal(p->deliver.gateway[1].next_sequence, 1); /* pinned: not to be numbered anew yet */
	peer_die(a.fd);
	for (uint32_t i = 1; i <= LEGS; i++)
		message_is(p, &b, i, i, FRAME_MAYBE_REPEAT);
	assert_int_equal(acknowledge(p, &b, LEGS), LEGS);
	assert_int_equal(open_legs(p), 0);
	close(b.fd);
	post_close(p);
}

/* Short sends, with and without zero-copy. */
static void messages_cut_short_arrive_whole(void **state)
{
	static const enum zero_copy modes[] = { ZERO_COPY_OFF, ZERO_COPY_ON };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		struct post *p = post_open(modes[i]);
		struct gateway g;
		p->net->conns.send_bytes_max = 777;
		gateway_new(p, &g, 0, PUSH, 0);
		for (uint32_t k = 0; k < 40; k++)
			leg_make(p, PUSH, k % 5 == 0, 100 + k * 97);
		release_all(p);
		for (uint32_t k = 1, sequence = 0; k <= 40; k++)
			if (k % 5 == 1)
				message_is(p, &g, ++sequence, k, 0);
		for (uint32_t k = 1, sequence = 8; k <= 40; k++)
			if (k % 5 != 1)
				message_is(p, &g, ++sequence, k, 0);
		assert_true(p->net->conns.short_sends > 40);
		assert_int_equal(acknowledge(p, &g, 40), 40);
		close(g.fd);
		post_close(p);
	}
}

/* auto: small sends are plain, large ones are tried, and on a path that always copies no longer than eight
 * times. */
static void zero_copy_auto_stops_where_the_kernel_copies(void **state)
{
	struct post *p = post_open(ZERO_COPY_AUTO);
	struct gateway g;

	(void)state;
	gateway_new(p, &g, 0, PUSH, 0);
	for (uint32_t i = 1; i <= 30; i++) {
		leg_make(p, PUSH, false, i <= 5 ? ZERO_COPY_BYTES_MIN - 1 : ZERO_COPY_BYTES_MIN);
		release_all(p);
		message_is(p, &g, i, i, 0);
		net_until(p->net, conn_idle(g.conn));
		assert_int_equal(p->net->conns.zero_copy_sends, i <= 5 ? 0 : i <= 13 ? i - 5 : 8);
	}
	assert_int_equal(p->net->conns.zero_copy_copied, 8);
	close(g.fd);
	post_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_numbered_from_1_in_order),
		cmocka_unit_test(critical_goes_before_everything_else),
		cmocka_unit_test(a_gateway_gets_its_channels_only),
		cmocka_unit_test(legs_leave_only_when_they_are_durable),
		cmocka_unit_test(ack_closes_in_parts),
		cmocka_unit_test(ack_of_what_was_never_sent_is_refused),
		cmocka_unit_test(ack_of_many_runs_comes_in_portions),
		cmocka_unit_test(runs_that_touch_are_one),
		cmocka_unit_test(a_full_window_waits_for_the_next_ack),
		cmocka_unit_test(a_dead_gateways_legs_go_to_another_as_repeats),
		cmocka_unit_test(hello_with_the_old_session_closes_what_was_accepted),
		cmocka_unit_test(a_late_word_closes_what_another_has_now),
		cmocka_unit_test(a_gateway_that_comes_back_at_once_loses_nothing),
		cmocka_unit_test(two_gateways_of_one_channel_share_its_legs),
		cmocka_unit_test(a_send_takes_what_waits_in_every_queue),
		cmocka_unit_test(a_word_about_a_gateway_that_is_down_is_harmless),
		cmocka_unit_test(a_gateway_that_accepts_nothing_is_cut),
		cmocka_unit_test(bytes_that_the_kernel_still_reads_are_not_written_to),
		cmocka_unit_test(a_gateway_that_dies_with_notifications_outstanding),
		cmocka_unit_test(messages_cut_short_arrive_whole),
		cmocka_unit_test(zero_copy_auto_stops_where_the_kernel_copies),
	};

	return cmocka_run_group_tests_name("deliver", tests, NULL, NULL);
}
