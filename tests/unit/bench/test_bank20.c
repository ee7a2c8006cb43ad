// needs: bench/bank20.c user/base/frame.c
/*
 * test_bank20.c: the workload is the same everywhere: the published counts and digests, the bytes of the
 * frames whatever the pieces they are asked for in, frames that the wire takes; and answers that differ are
 * seen to.
 */
#include "../../../bench/bank20.h"

#include <base/frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EVENTS = 300000 };

static void judge_gives_what_is_known(uint32_t customers, uint64_t events, uint32_t expected)
{
	struct bank20 *b = bank20_new(customers);
	struct bank20_judge *j = bank20_judge_new(bank20_profiles(b), customers);
	struct bank20_answers a = { 0 };
	struct frame_header event;
	uint32_t known = 0;

	while (a.events < events) {
		bank20_next(b, &event, 1);
		bank20_answers_add(&a, bank20_judge_event(j, &event));
		const struct bank20_answers *right = bank20_known(customers, a.events);
		if (!right)
			continue;
		assert_true(bank20_answers_equal(&a, right));
		known++;
	}
	assert_int_equal(known, expected);
	bank20_judge_free(j);
	bank20_free(b);
}

static void bank20_has_the_published_answers(void **state)
{
	(void)state;
	judge_gives_what_is_known(100000, 1000000, 10);
}

static void bank20_of_a_million_customers_stays_what_it_was(void **state)
{
	(void)state;
	judge_gives_what_is_known(1000000, 1000000, 1);
}

static void bank20_is_the_same_in_pieces_of_any_size(void **state)
{
	static const uint32_t pieces[] = { 1, 7, 256, 1024 };
	struct bank20 *whole = bank20_new(5000), *cut = bank20_new(5000);
	struct frame_header *a = calloc(EVENTS, sizeof *a), *b = calloc(EVENTS + 1024, sizeof *b);
	uint32_t made = 0;

	(void)state;
	bank20_next(whole, a, EVENTS);
	for (uint32_t i = 0; made < EVENTS; i++) {
		uint32_t piece = pieces[i % 4] < EVENTS - made ? pieces[i % 4] : EVENTS - made;
		bank20_next(cut, b + made, piece);
		made += piece;
	}
	assert_memory_equal(a, b, EVENTS * sizeof *a);
	free(a);
	free(b);
	bank20_free(whole);
	bank20_free(cut);
}

static void bank20_makes_frames_that_the_wire_takes(void **state)
{
	struct bank20 *b = bank20_new(1000);
	struct frame_header e;
	int64_t time = 0;

	(void)state;
	for (uint32_t i = 0; i < EVENTS; i++) {
		bank20_next(b, &e, 1);
		assert_null(frame_header_check(&e, ROLE_OF_SOURCE).text);
		assert_int_equal(e.sequence, i + 1);
		assert_in_range(e.customer, 1, 1000);
		assert_true(e.time >= time && e.type >= 1 && e.type <= BANK20_TYPES &&
			    e.length == FRAME_HEADER_BYTES);
		time = e.time;
	}
	bank20_free(b);
}

static void answers_differ_by_one_message_its_place_or_its_rule(void **state)
{
	struct bank20_answers a = { 0 }, b;

	(void)state;
	bank20_answers_add(&a, BANK20_RULE(1) | BANK20_RULE(20));
	bank20_answers_add(&a, BANK20_RULE(3));
	bank20_answers_add(&a, 0);
	b = (struct bank20_answers){ 0 };
	bank20_answers_add(&b, BANK20_RULE(1) | BANK20_RULE(20));
	bank20_answers_add(&b, 0);
	bank20_answers_add(&b, BANK20_RULE(3)); /* the same counts, another place */
	assert_memory_equal(a.counts, b.counts, sizeof a.counts);
	assert_false(bank20_answers_equal(&a, &b));
	b = a;
	assert_true(bank20_answers_equal(&a, &b));
	b.counts[7]++;
	assert_false(bank20_answers_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bank20_has_the_published_answers),
		cmocka_unit_test(bank20_of_a_million_customers_stays_what_it_was),
		cmocka_unit_test(bank20_is_the_same_in_pieces_of_any_size),
		cmocka_unit_test(bank20_makes_frames_that_the_wire_takes),
		cmocka_unit_test(answers_differ_by_one_message_its_place_or_its_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
