// needs: bench/bank20.c bench/book20.c user/base/bytes.c
/*
 * test_book20.c: the gateway's book counts what it should and takes nothing else: each way in which a message
 * can be wrong, one by one. Messages are written here with the general writer, with the keys of
 * docs/decisions.md 28.
 */
#include "../../../bench/book20.h"

#include <base/bytes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CUSTOMERS = 2000, EVENTS = 20000, BODY = 512 };

struct message {
	struct frame_header header;
	uint8_t body[BODY], id[16];
	size_t bytes;
	uint64_t seq, recipient;
	uint32_t rule;
	const char *channel, *text;
};

struct fixture {
	struct bank20 *bank;
	struct bank20_judge *judge;
	struct book *book;
	struct bank20_answers answers;
	struct frame_header event[EVENTS];
	uint32_t rules[EVENTS];
};

static struct fixture *open_book(bool own_channels)
{
	static const uint8_t stream[16] = "0123456789abcde";
	struct fixture *f = calloc(1, sizeof *f);

	f->bank = bank20_new(CUSTOMERS);
	f->judge = bank20_judge_new(bank20_profiles(f->bank), CUSTOMERS);
	f->book = book_new(f->bank, EVENTS, own_channels);
	book_source(f->book, "path", stream);
	bank20_next(f->bank, f->event, EVENTS);
	for (uint32_t i = 0; i < EVENTS; i++) {
		f->rules[i] = bank20_judge_event(f->judge, &f->event[i]);
		bank20_answers_add(&f->answers, f->rules[i]);
	}
	book_events(f->book, f->event, EVENTS);
	return f;
}

static void close_book(struct fixture *f)
{
	book_free(f->book);
	bank20_judge_free(f->judge);
	bank20_free(f->bank);
	free(f);
}

static void body_write(struct message *m)
{
	char rule[8];
	struct pack_writer w;

	snprintf(rule, sizeof rule, "r%02u", m->rule);
	pack_writer_init(&w, m->body, sizeof m->body);
	pack_map(&w, 9);
	pack_text(&w, "id");
	pack_binary(&w, m->id, 16);
	pack_text(&w, "leg");
	pack_text(&w, "sms/1");
	pack_text(&w, "recipient");
	pack_uint(&w, m->recipient);
	pack_text(&w, "channel");
	pack_text(&w, m->channel);
	pack_text(&w, "lang");
	pack_text(&w, "en");
	pack_text(&w, "category");
	pack_text(&w, "alert");
	pack_text(&w, "text");
	pack_text(&w, m->text);
	pack_text(&w, "rule");
	pack_text(&w, rule);
	pack_text(&w, "catalogue");
	pack_text(&w, "0123456789abcdef0123456789abcdef");
	assert_false(w.overflow);
	m->bytes = pack_bytes(&w);
	m->header.length = (uint32_t)(FRAME_HEADER_BYTES + m->bytes);
}

static struct message message_of(struct fixture *f, uint64_t seq, uint32_t rule)
{
	const struct frame_header *e = &f->event[seq];
	struct message m = { .header = { .version = FRAME_VERSION,
					 .kind = FRAME_MESSAGE,
					 .type = BANK20_CRITICAL & BANK20_RULE(rule) ? CATEGORY_critical
										     : CATEGORY_alert,
					 .customer = e->customer,
					 .time = e->time,
					 .amount = e->amount },
			     .seq = seq,
			     .recipient = e->customer,
			     .rule = rule,
			     .channel = "sms",
			     .text = "The text is longer than thirty-one bytes, as real ones are." };

	book_id(f->book, seq + 1, rule, e->customer, m.id);
	body_write(&m);
	return m;
}

static bool take(struct fixture *f, const struct message *m)
{
	return book_message(f->book, &m->header, m->body, m->bytes, 0);
}

/* The place of the next event at or behind `from` that has a message of these rules. */
static uint64_t event_with(const struct fixture *f, uint64_t from, uint32_t rules)
{
	while (!(f->rules[from] & rules)) {
		from++;
		assert_true(from < EVENTS);
	}
	return from;
}

static uint32_t rule_of(const struct fixture *f, uint64_t seq, uint32_t rules)
{
	return (uint32_t)__builtin_ctz(f->rules[seq] & rules) + 1;
}

static void take_all(struct fixture *f, uint32_t of)
{
	for (uint64_t seq = 0; seq < EVENTS; seq++)
		for (uint32_t left = f->rules[seq] & of; left; left &= left - 1) {
			struct message m = message_of(f, seq, (uint32_t)__builtin_ctz(left) + 1);
			if (!take(f, &m))
				fail_msg("%s", f->book->problem);
		}
}

static void book_counts_what_came_whichever_lane_was_first(void **state)
{
	struct bank20_answers got;

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct fixture *f = open_book(false);
		take_all(f, turn ? BANK20_CRITICAL : ~BANK20_CRITICAL);
		take_all(f, turn ? ~BANK20_CRITICAL : BANK20_CRITICAL);
		book_answers(f->book, &got);
		assert_true(bank20_answers_equal(&got, &f->answers));
		close_book(f);
	}
}

static void book_misses_what_did_not_come(void **state)
{
	struct fixture *f = open_book(false);
	struct bank20_answers got;

	(void)state;
	take_all(f, ~BANK20_RULE(5));
	book_answers(f->book, &got);
	assert_false(bank20_answers_equal(&got, &f->answers));
	close_book(f);
}

static void book_takes_no_message_twice_and_none_out_of_order(void **state)
{
	struct fixture *f = open_book(false);
	uint64_t first = event_with(f, 0, ~BANK20_CRITICAL),
		 second = event_with(f, first + 1, ~BANK20_CRITICAL);
	struct message a = message_of(f, first, rule_of(f, first, ~BANK20_CRITICAL)),
		       b = message_of(f, second, rule_of(f, second, ~BANK20_CRITICAL));

	(void)state;
	assert_true(take(f, &b));
	assert_false(take(f, &b));
	assert_false(take(f, &a));
	assert_int_equal(f->book->messages, 1);
	close_book(f);
}

/* One thing is wrong in each. */
static void book_refuses_each_thing_that_is_wrong(void **state)
{
	struct fixture *f = open_book(false);
	uint64_t seq = event_with(f, 0, ~BANK20_CRITICAL);
	const struct message right = message_of(f, seq, rule_of(f, seq, ~BANK20_CRITICAL));
	struct message m = right;

	(void)state;
	m.id[15] ^= 1;
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.header.type = CATEGORY_critical;
	assert_false(take(f, &m));
	m = right;
	m.channel = "push";
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.channel = "fax";
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.recipient++;
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.rule = m.rule == 1 ? 2 : 1; /* the id is of another rule */
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.rule = 21;
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.text = "";
	body_write(&m);
	assert_false(take(f, &m));
	m = right;
	m.header.amount++;
	assert_false(take(f, &m));
	m = right;
	m.header.time++;
	assert_false(take(f, &m));
	m = right;
	m.header.customer = m.recipient = CUSTOMERS + 1;
	body_write(&m);
	assert_false(take(f, &m));
	m.header.customer = m.recipient = 0;
	body_write(&m);
	assert_false(take(f, &m));
	assert_true(take(f, &right));
	close_book(f);
}

static void book_refuses_a_body_cut_at_any_byte_or_with_one_more(void **state)
{
	struct fixture *f = open_book(false);
	uint64_t seq = event_with(f, 0, ~BANK20_CRITICAL);
	struct message right = message_of(f, seq, rule_of(f, seq, ~BANK20_CRITICAL));

	(void)state;
	for (size_t bytes = 0; bytes < right.bytes; bytes++) {
		uint8_t *cut = malloc(bytes + 1); /* its end is the end of the memory */
		memcpy(cut, right.body, bytes);
		cut = realloc(cut, bytes ? bytes : 1);
		assert_false(book_message(f->book, &right.header, cut, bytes, 0));
		free(cut);
	}
	assert_false(book_message(f->book, &right.header, right.body, right.bytes + 1, 0));
	assert_true(take(f, &right));
	close_book(f);
}

/* Two events of one customer in one millisecond, of one amount: only the id tells which. */
static void book_tells_twins_by_the_id(void **state)
{
	struct fixture *f = open_book(false);
	struct frame_header twins[2] = { f->event[7], f->event[7] };
	struct bank20_answers got;

	(void)state;
	book_events(f->book, twins, 2);
	f->event[8] = twins[1]; /* only for message_of(): its id is of sequence EVENTS + 2 */
	struct message m = message_of(f, 8, 4);
	book_id(f->book, EVENTS + 2, 4, twins[1].customer, m.id);
	body_write(&m);
	assert_true(take(f, &m));
	book_answers(f->book, &got);
	assert_int_equal(got.digest, (uint32_t)((EVENTS + 1) * 20 + 4));
	close_book(f);
}

static void book_wants_the_customers_own_channel_where_it_was_imported(void **state)
{
	struct fixture *f = open_book(true);
	uint64_t seq = event_with(f, 0, ~BANK20_CRITICAL);
	struct message m = message_of(f, seq, rule_of(f, seq, ~BANK20_CRITICAL));
	uint32_t own = bank20_profiles(f->bank)[m.recipient - 1].channel;

	(void)state;
	m.channel = bank20_channel((own + 1) % BANK20_CHANNELS);
	body_write(&m);
	assert_false(take(f, &m));
	m.channel = bank20_channel(own);
	body_write(&m);
	assert_true(take(f, &m));
	close_book(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(book_counts_what_came_whichever_lane_was_first),
		cmocka_unit_test(book_misses_what_did_not_come),
		cmocka_unit_test(book_takes_no_message_twice_and_none_out_of_order),
		cmocka_unit_test(book_refuses_each_thing_that_is_wrong),
		cmocka_unit_test(book_refuses_a_body_cut_at_any_byte_or_with_one_more),
		cmocka_unit_test(book_tells_twins_by_the_id),
		cmocka_unit_test(book_wants_the_customers_own_channel_where_it_was_imported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
