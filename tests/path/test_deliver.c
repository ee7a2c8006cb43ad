// needs: user/*.c user/[bdijmpru]*/*.c user/c[ae]*/*.c
/*
 * test_deliver.c: messages through the whole engine to gateways that are slow, away, wrong, or die with their
 * bytes half sent. Every text says its own number and a pattern, so that a byte of another message would be
 * seen; every message must arrive, and each that was accepted is closed once.
 */
#include "path_test.h"

enum { MERCHANT = 1000, NUMBERS_MAX = 4096 };

/* Goes on inside the head's `messages`. */
static const char rules[] =
	"  note: { es: '{event.items}: {event.merchant}{event.merchant}{event.merchant}', en: "
	"'{event.items}: {event.merchant}{event.merchant}{event.merchant}' }\n"
	"fraud: { rules: { f: { events: [purchase], score: 1 } } }\n"
	"critical: { c: { events: [declined], repeat: every, message: plain, channels: [email] } }\n"
	"subscriptions:\n"
	"  n: { events: [purchase], repeat: every, message: note, channels: [email], fresh: 30d }\n";

struct scene {
	struct host h;
	struct client source;
	uint64_t sequence; /* next of the source */
	uint32_t made;	   /* messages asked for */
	uint32_t seen[NUMBERS_MAX], repeats;
};

static char letter(uint32_t number)
{
	return (char)('a' + number % 26);
}

static void scene_open(struct scene *s, enum zero_copy zero_copy, int send_bytes_max)
{
	memset(s, 0, sizeof *s);
	host_make(&s->h, rules);
	s->h.options.zero_copy = zero_copy;
	host_start(&s->h);
	s->h.e->conns.send_bytes_max = send_bytes_max; /* nobody is connected yet */
	s->sequence = source_open(&s->source, s->h.port, "core", 1, 0);
	client_send(&s->source,
		    (struct frame_header){ .kind = FRAME_PROFILE, .sequence = s->sequence++, .customer = 7 },
		    "{\"set\": {\"language\": \"en\"}}");
	client_send(
		&s->source,
		(struct frame_header){ .kind = FRAME_SUBSCRIBE, .sequence = s->sequence++, .customer = 7 },
		"{\"kind\": \"n\"}");
}

/* Everything the engine ever made has ended: the ledger adds up and nothing is queued. */
static void all_is_closed(struct host *h)
{
	struct ledger_equation sums[LEDGER_EQUATIONS];
	const struct ledger *l = h->e->core.ledger;

	assert_true(ledger_equations(l, sums));
	assert_int_equal(l->legs[LEG_QUEUED], 0);
	assert_int_equal(l->notices[NOTICE_QUEUED], 0);
	assert_int_equal(l->legs[LEG_ACCEPTED], l->legs_made);
	assert_int_equal(l->notices[NOTICE_SENT], l->notices_made);
}

static void scene_close(struct scene *s, bool all_accepted)
{
	client_close(&s->source);
	host_stop(&s->h, all_accepted ? all_is_closed : NULL);
	host_remove(&s->h);
}

/* Events that give one message each, acknowledged to the source before this returns. */
static void ask(struct scene *s, uint32_t count)
{
	char json[MERCHANT + 64];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = ++s->made;
		char merchant[MERCHANT + 1];
		assert_true(number < NUMBERS_MAX);
		memset(merchant, letter(number), MERCHANT);
		merchant[MERCHANT] = 0;
		snprintf(json, sizeof json, "{\"items\": %u, \"merchant\": \"%s\"}", number, merchant);
		client_send(&s->source, event_of(s->sequence++, 1, 7, 1000), json);
	}
	source_wait(&s->source, s->sequence - 1);
}

/* The message at hand is whole: its text is its number and 3000 times its letter. Returns the number. */
static uint32_t message_check(const struct client *g)
{
	struct pack_item text = client_item(g, "text");
	uint32_t offset, number = 0;
	char want[3 * MERCHANT + 32];

	assert_null(pack_validate(g->in + FRAME_HEADER_BYTES, g->h.length - FRAME_HEADER_BYTES, &offset));
	assert_int_equal(text.type, PACK_STRING);
	assert_int_equal(sscanf(text.s, "%u:", &number), 1);
	int head = snprintf(want, sizeof want, "%u: ", number);
	memset(want + head, letter(number), 3 * MERCHANT);
	assert_int_equal(text.bytes, (uint32_t)head + 3 * MERCHANT);
	assert_memory_equal(text.s, want, text.bytes);
	assert_true(client_text_is(g, "leg", "email/1") && client_text_is(g, "rule", "n"));
	assert_int_equal(g->h.customer, 7);
	return number;
}

/* Reads a message, which must have that number in its session. */
static uint32_t message_take(struct scene *s, struct client *g, uint64_t sequence)
{
	client_expect(g, FRAME_MESSAGE);
	assert_true(g->h.sequence == sequence);
	uint32_t number = message_check(g);
	assert_true(number >= 1 && number <= s->made);
	s->seen[number]++;
	s->repeats += g->h.flags == FRAME_MAYBE_REPEAT;
	return number;
}

/* Waits until the engine has taken an ACK: the count of queued legs is the engine's own, so it is asked by
 * mail. */
static void open_until(struct scene *s, uint64_t want)
{
	struct engine_status *status = calloc(1, sizeof *status);
	uint64_t open = UINT64_MAX;

	s->h.e->mail.status = status;
	for (unsigned i = 0; i < 50000 && open != want; i++) { /* 10 s: a busy disk is no failure */
		atomic_store(&s->h.e->mail.kind, MAIL_STATUS);
		engine_wake(s->h.e);
		while (atomic_load(&s->h.e->mail.kind) != MAIL_NONE)
			usleep(200);
		open = status->ledger.legs[LEG_QUEUED];
	}
	free(status);
	if (open != want)
		fail_msg("%llu legs are open, not %llu", (unsigned long long)open, (unsigned long long)want);
}

static void every_message_arrives_once_and_in_order(void **state)
{
	static const struct {
		enum zero_copy zero_copy;
		int limit;
	} rows[] = { { ZERO_COPY_OFF, 0 },
		     { ZERO_COPY_ON, 0 },
		     { ZERO_COPY_AUTO, 0 },
		     { ZERO_COPY_OFF, 500 },
		     { ZERO_COPY_ON, 500 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct scene s;
		struct client g;
		scene_open(&s, rows[i].zero_copy, rows[i].limit);
		gateway_open(&g, s.h.port, "g", NULL, 0, 0, 0);
		ask(&s, 150);
		for (uint32_t k = 1; k <= 150; k++) {
			assert_int_equal(message_take(&s, &g, k), k);
			if (k % 20 == 0 || k == 150)
				client_ack(&g, FRAME_MESSAGE, k);
		}
		open_until(&s, 0);
		assert_int_equal(s.repeats, 0);
		assert_int_equal(s.h.e->conns.short_sends > 150, rows[i].limit > 0);
		assert_int_equal(s.h.e->conns.zero_copy_sends > 0, rows[i].zero_copy != ZERO_COPY_OFF);
		client_close(&g);
		scene_close(&s, true);
	}
}

/* Nobody serves the channel: the source goes on, verdicts come, and everything waits in order. */
static void a_gateway_that_is_away_holds_nobody_back(void **state)
{
	static struct scene s;
	struct client g;

	(void)state;
	scene_open(&s, ZERO_COPY_OFF, 0);
	ask(&s, 100);
	struct frame_header h = event_of(s.sequence++, 1, 8, 100);
	h.flags = FRAME_VERDICT_WANTED;
	client_send(&s.source, h, "{}");
	assert_int_equal(source_wait(&s.source, s.sequence - 1), 1);
	client_send(&s.source, event_of(s.sequence++, 2, 7, 100),
		    "{}"); /* critical, behind a hundred others */
	source_wait(&s.source, s.sequence - 1);
	gateway_open(&g, s.h.port, "late", "email", 0, 0, 0);
	client_expect(&g, FRAME_MESSAGE);
	assert_true(client_text_is(&g, "rule", "c") && client_text_is(&g, "category", "critical"));
	assert_true(client_text_is(&g, "text", "That is all"));
	assert_int_equal(g.h.sequence, 1);
	for (uint32_t k = 1; k <= 100; k++)
		assert_int_equal(message_take(&s, &g, k + 1), k);
	client_ack(&g, FRAME_MESSAGE, 101);
	open_until(&s, 0);
	client_close(&g);
	scene_close(&s, true);
}

/*
 * The planted fault of docs/reliability.md on the whole path: a gateway that accepts without reading, so that
 * chunks are free while the kernel still sends out of them.
 */
static void bytes_on_their_way_are_not_written_over(void **state)
{
	static struct scene s;
	struct client g;
	uint64_t sent = 0;

	(void)state;
	scene_open(&s, ZERO_COPY_ON, 0);
	gateway_open(&g, s.h.port, "g", NULL, 0, 0, SMALL_WINDOW);
	for (unsigned round = 0; round < 12; round++) {
		ask(&s, 16);
		usleep(3000);
		/* all that the engine says it sent; the next round may be more than is on its way */
		uint64_t messages = s.h.e->deliver.messages_sent;
		if (messages > sent)
			client_ack(&g, FRAME_MESSAGE, sent = messages);
	}
	for (uint32_t k = 1; k <= s.made; k++) {
		assert_int_equal(message_take(&s, &g, k), k);
		if (k > sent)
			client_ack(&g, FRAME_MESSAGE, k);
	}
	open_until(&s, 0);
	assert_int_equal(s.repeats, 0);
	client_close(&g);
	scene_close(&s, true);
}

/* Gateways die one behind the other, with notifications outstanding, mid-message, with their ACK under way.
 */
static void gateways_that_die_lose_no_message(void **state)
{
	static const enum zero_copy modes[] = { ZERO_COPY_OFF, ZERO_COPY_ON };

	(void)state;
	for (size_t mode = 0; mode < ARRAY_LEN(modes); mode++) {
		static struct scene s;
		struct client g;
		bool accepted[NUMBERS_MAX] = { false };
		scene_open(&s, modes[mode], 0);
		for (unsigned life = 0; life < 25; life++) {
			uint32_t numbers[64],
				take = life % 2 ? life % 4
						: life * 5 % 14; /* odd ones have a small window: slow */
			char name[16];
			snprintf(name, sizeof name, "g%u", life % 3);
			gateway_open(&g, s.h.port, name, NULL, 0, 0, life % 2 ? SMALL_WINDOW : 0);
			ask(&s, 12);
			for (uint32_t k = 0; k < take; k++)
				numbers[k] = message_take(&s, &g, k + 1);
			for (uint32_t k = 0; k < take / 2; k++)
				accepted[numbers[k]] = true;
			client_ack(&g, FRAME_MESSAGE, take / 2);
			if (life % 4 == 3)
				client_close(&g);
			else
				client_die(&g);
		}
		/* the last one lives */
		gateway_open(&g, s.h.port, "g0", NULL, 0, 0, 0);
		uint64_t k = 0;
		for (bool all = false; !all;) {
			accepted[message_take(&s, &g, k + 1)] = true;
			client_ack(&g, FRAME_MESSAGE, ++k);
			all = true;
			for (uint32_t i = 1; i <= s.made; i++)
				all = all && accepted[i];
		}
		/* an ACK that died with its connection may bring a message again, as a repeat: those are
		 * taken on as well */
		struct timeval soon = { .tv_usec = 300000 };
		setsockopt(g.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
		char byte;
		while (recv(g.fd, &byte, 1, MSG_PEEK) == 1) {
			uint32_t number = message_take(&s, &g, ++k);
			assert_true(accepted[number] && g.h.flags == FRAME_MAYBE_REPEAT);
			client_ack(&g, FRAME_MESSAGE, k);
		}
		for (uint32_t i = 1; i <= s.made; i++)
			assert_true(s.seen[i] >= 1);
		assert_true(s.repeats > 0);
		open_until(&s, 0);
		client_close(&g);
		scene_close(&s, true);
	}
}

/* The connection breaks behind the last ACK; HELLO with the old session says what it was. */
static void hello_with_the_old_session_closes_what_was_taken(void **state)
{
	static struct scene s;
	struct client g;

	(void)state;
	scene_open(&s, ZERO_COPY_OFF, 0);
	gateway_open(&g, s.h.port, "g", NULL, 0, 0, 0);
	ask(&s, 10);
	for (uint32_t k = 1; k <= 10; k++)
		message_take(&s, &g, k);
	uint64_t session = g.session;
	client_die(&g);
	gateway_open(&g, s.h.port, "g", NULL, session, 6, 0);
	assert_true(g.session != session);
	for (uint32_t k = 7; k <= 10; k++)
		assert_int_equal(message_take(&s, &g, k - 6), k);
	assert_int_equal(s.repeats, 4);
	open_until(&s, 4);
	client_ack(&g, FRAME_MESSAGE, 4);
	open_until(&s, 0);
	client_close(&g);
	scene_close(&s, true);
}

/* A second HELLO of a name that is connected: the first connection is cut, its legs go to the second. */
static void a_second_connection_takes_over_at_once(void **state)
{
	static struct scene s;
	struct client first, second;

	(void)state;
	scene_open(&s, ZERO_COPY_ON, 0);
	gateway_open(&first, s.h.port, "g", NULL, 0, 0, SMALL_WINDOW); /* and reads nothing */
	ask(&s, 60);
	gateway_open(&second, s.h.port, "g", NULL, 0, 0, 0);
	for (uint32_t k = 1; k <= 60; k++)
		message_take(&s, &second, k);
	for (uint32_t k = 1; k <= 60; k++)
		assert_int_equal(s.seen[k], 1);
	client_ack(&second, FRAME_MESSAGE, 60);
	open_until(&s, 0);
	client_close(&first);
	client_close(&second);
	scene_close(&s, true);
}

/* What breaks the protocol closes that connection with a reason, and nothing else. */
static void a_gateway_that_is_wrong_is_refused_alone(void **state)
{
	static const struct {
		struct frame_header frame;
		const char *json, *code;
	} rows[] = {
		{ { .kind = FRAME_ACK, .type = FRAME_MESSAGE, .sequence = 1000 }, "", "MALFORMED" },
		{ { .kind = FRAME_EVENT, .type = 1, .sequence = 1, .time = 1 }, "", "MALFORMED" },
		{ { .kind = FRAME_RECEIPT, .sequence = 2 }, "{}", "GAP" },
		{ { .kind = FRAME_HELLO }, "{}", "MALFORMED" },
		{ { .kind = FRAME_ACK, .type = FRAME_MESSAGE, .sequence = 1, .flags = 1 << 7 },
		  "",
		  "MALFORMED" },
	};
	static struct scene s;
	struct client good, bad;
	uint32_t taken = 0;

	(void)state;
	scene_open(&s, ZERO_COPY_OFF, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		gateway_open(&bad, s.h.port, "bad", "push", 0, 0, 0);
		client_send(&bad, rows[i].frame, rows[i].json);
		client_expect(&bad, FRAME_ERROR);
		if (!client_text_is(&bad, "code", rows[i].code))
			fail_msg("row %zu: another code", i);
		assert_false(client_read(&bad)); /* and it is closed */
		client_close(&bad);
	}
	gateway_open(&good, s.h.port, "good", "email", 0, 0, 0);
	ask(&s, 5);
	for (; taken < 5; taken++)
		assert_int_equal(message_take(&s, &good, taken + 1), taken + 1);
	client_ack(&good, FRAME_MESSAGE, 5);
	open_until(&s, 0);
	client_close(&good);
	scene_close(&s, true);
}

/* What was accepted before a stop is closed for ever; what was not comes after it, and says that it may be a
 * repeat. */
static void a_restart_brings_back_what_was_not_accepted(void **state)
{
	static struct scene s;
	struct client g;

	(void)state;
	scene_open(&s, ZERO_COPY_OFF, 0);
	gateway_open(&g, s.h.port, "g", NULL, 0, 0, 0);
	ask(&s, 20);
	for (uint32_t k = 1; k <= 20; k++)
		message_take(&s, &g, k);
	client_ack(&g, FRAME_MESSAGE, 8);
	open_until(&s, 12);
	client_close(&g);
	client_close(&s.source);
	host_stop(&s.h, NULL);
	host_start(&s.h);
	assert_int_equal(source_open(&s.source, s.h.port, "core", 1, s.sequence - 1), s.sequence);
	gateway_open(&g, s.h.port, "g", NULL, 0, 0, 0);
	for (uint32_t k = 9; k <= 20; k++) {
		assert_int_equal(message_take(&s, &g, k - 8), k);
		assert_int_equal(g.h.flags, FRAME_MAYBE_REPEAT);
	}
	ask(&s, 1);
	assert_int_equal(message_take(&s, &g, 13), 21);
	assert_int_equal(g.h.flags, 0);
	client_ack(&g, FRAME_MESSAGE, 13);
	open_until(&s, 0);
	client_close(&g);
	scene_close(&s, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_arrives_once_and_in_order),
		cmocka_unit_test(a_gateway_that_is_away_holds_nobody_back),
		cmocka_unit_test(bytes_on_their_way_are_not_written_over),
		cmocka_unit_test(gateways_that_die_lose_no_message),
		cmocka_unit_test(hello_with_the_old_session_closes_what_was_taken),
		cmocka_unit_test(a_second_connection_takes_over_at_once),
		cmocka_unit_test(a_gateway_that_is_wrong_is_refused_alone),
		cmocka_unit_test(a_restart_brings_back_what_was_not_accepted),
	};

	return cmocka_run_group_tests_name("deliver", tests, NULL, NULL);
}
