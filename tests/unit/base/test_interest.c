// needs: user/base/frame.c
/*
 * test_interest.c: the one decision of the pre-filter as a table: sequence first, then kind and flags, then
 * interest.
 */
#include <limits.h>
#include <moment/interest.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct interest_entry unknown = { .action = INTEREST_UNKNOWN },
				   keep = { .action = INTEREST_KEEP }, drop = { .action = INTEREST_DROP },
				   from_100 = { .action = INTEREST_KEEP_IF,
						.conditions = INTEREST_IF_AMOUNT,
						.amount_min = 100 };

static void sequence_is_looked_at_before_anything_else(void **state)
{
	static const struct interest_entry *const entries[] = { &unknown, &keep, &drop, &from_100 };
	static const uint8_t kinds[] = { FRAME_EVENT, FRAME_PROFILE, FRAME_SUBSCRIBE, FRAME_MANAGE };
	static const struct {
		uint64_t sequence, expected;
		enum filter_verdict verdict;
	} rows[] = {
		{ 1, 2, FILTER_DUPLICATE },	     { 9, 10, FILTER_DUPLICATE },
		{ 1, UINT64_MAX, FILTER_DUPLICATE }, { 11, 10, FILTER_GAP },
		{ UINT64_MAX, 1, FILTER_GAP },	     { UINT64_MAX, UINT64_MAX - 1, FILTER_GAP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t e = 0; e < ARRAY_LEN(entries); e++)
			for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
				for (uint8_t flags = 0; flags < 8; flags++) {
					struct frame_header h = { .kind = kinds[k],
								  .sequence = rows[i].sequence,
								  .flags = flags };
					assert_int_equal(filter_decide(entries[e], &h, rows[i].expected),
							 rows[i].verdict);
				}
}

/* A type that the catalogue drops is kept all the same when it is no plain event. */
static void only_plain_events_are_dropped(void **state)
{
	(void)state;
	for (uint8_t kind = 1; kind < FRAME_KIND_COUNT; kind++) {
		for (unsigned flags = 0; flags < 256; flags++) {
			struct frame_header h = { .kind = kind, .sequence = 5, .flags = (uint8_t)flags };
			enum filter_verdict want =
				kind == FRAME_EVENT && flags == 0 ? FILTER_DROP : FILTER_KEEP;
			assert_int_equal(filter_decide(&drop, &h, 5), want);
			assert_int_equal(filter_decide(&keep, &h, 5), FILTER_KEEP);
			assert_int_equal(filter_decide(&unknown, &h, 5), FILTER_KEEP);
		}
	}
}

static void an_amount_limit_keeps_from_itself_on(void **state)
{
	static const struct {
		int64_t amount;
		enum filter_verdict verdict;
	} rows[] = { { 0, FILTER_DROP },
		     { 99, FILTER_DROP },
		     { 100, FILTER_KEEP },
		     { 101, FILTER_KEEP },
		     { INT64_MAX, FILTER_KEEP } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = { .kind = FRAME_EVENT, .sequence = 1, .amount = rows[i].amount };
		assert_int_equal(filter_decide(&from_100, &h, 1), rows[i].verdict);
		h.flags = FRAME_VERDICT_WANTED;
		assert_int_equal(filter_decide(&from_100, &h, 1), FILTER_KEEP);
	}
}

/* In doubt it keeps: an action or a condition of a later version, and one with no condition at all. */
static void what_is_not_known_is_kept(void **state)
{
	struct frame_header h = { .kind = FRAME_EVENT, .sequence = 1 };

	(void)state;
	for (unsigned action = 0; action < 256; action++) {
		for (unsigned conditions = 0; conditions < 32; conditions++) {
			struct interest_entry entry = { .action = (uint8_t)action,
							.conditions = (uint8_t)conditions,
							.amount_min = 1 };
			bool dropped = action == INTEREST_DROP ||
				       (action == INTEREST_KEEP_IF && (conditions & INTEREST_IF_AMOUNT));
			assert_int_equal(filter_decide(&entry, &h, 1), dropped ? FILTER_DROP : FILTER_KEEP);
		}
	}
}

/* The body is not there to be looked at, and no other field of the header counts. */
static void other_fields_do_not_matter(void **state)
{
	struct frame_header h = { .kind = FRAME_EVENT,
				  .sequence = 1,
				  .amount = 100,
				  .customer = UINT64_MAX,
				  .account = 7,
				  .time = -1,
				  .balance = INT64_MIN,
				  .currency = 999,
				  .country = 999,
				  .mcc = 9999,
				  .touchpoint = 255,
				  .length = UINT_MAX,
				  .version = 9 };

	(void)state;
	assert_int_equal(filter_decide(&from_100, &h, 1), FILTER_KEEP);
	h.amount = 99;
	assert_int_equal(filter_decide(&from_100, &h, 1), FILTER_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_is_looked_at_before_anything_else),
		cmocka_unit_test(only_plain_events_are_dropped),
		cmocka_unit_test(an_amount_limit_keeps_from_itself_on),
		cmocka_unit_test(what_is_not_known_is_kept),
		cmocka_unit_test(other_fields_do_not_matter),
	};

	return cmocka_run_group_tests_name("interest", tests, NULL, NULL);
}
