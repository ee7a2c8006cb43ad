// needs: user/base/frame.c
/*
 * test_interest.c: the one decision of the pre-filter as tables: sequence first, then kind and flags, then
 * interest with each of its conditions; and the sums of enrolment. What a condition must give is said here in
 * words of its own, for every code that a header can hold.
 */
#include <limits.h>
#include <moment/interest.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct interest_sets no_sets;

static const struct interest_entry unknown = { .action = INTEREST_UNKNOWN },
				   keep = { .action = INTEREST_KEEP }, drop = { .action = INTEREST_DROP },
				   from_100 = { .action = INTEREST_KEEP_IF,
						.conditions = INTEREST_IF_AMOUNT,
						.amount_min = 100 },
				   of_the_enrolled = { .action = INTEREST_KEEP_IF,
						       .conditions = INTEREST_IF_ENROLLED };

static struct frame_header event(void)
{
	return (struct frame_header){ .kind = FRAME_EVENT, .sequence = 1 };
}

static void assert_decided(const struct interest_entry *e, const struct interest_sets *sets,
			   const struct frame_header *h, enum filter_verdict want)
{
	assert_int_equal(filter_decide(e, sets, h, 1), want);
}

static void assert_kept(const struct interest_entry *e, const struct interest_sets *sets,
			const struct frame_header *h, bool kept)
{
	assert_decided(e, sets, h, kept ? FILTER_KEEP : FILTER_DROP);
}

/* ---- order ---- */

static void sequence_is_looked_at_before_anything_else(void **state)
{
	static const struct interest_entry *const entries[] = { &unknown, &keep, &drop, &from_100,
								&of_the_enrolled };
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
					assert_int_equal(
						filter_decide(entries[e], &no_sets, &h, rows[i].expected),
						rows[i].verdict);
				}
}

/* Their sequence is of another stream, or of none: it says nothing. */
static void kinds_outside_the_stream_are_kept_whatever_their_sequence(void **state)
{
	static const uint8_t kinds[] = { FRAME_HELLO, FRAME_ACK, FRAME_PING, FRAME_PONG };
	static const uint64_t sequences[] = { 0, 1, 4, 5, 6, UINT64_MAX };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
			struct frame_header h = { .kind = kinds[k], .sequence = sequences[i] };
			assert_int_equal(filter_decide(&drop, &no_sets, &h, 5), FILTER_KEEP);
		}
}

/* A type that the catalogue drops is kept all the same when it is no plain event. */
static void only_plain_events_are_dropped(void **state)
{
	(void)state;
	for (uint8_t kind = 1; kind < FRAME_KIND_COUNT; kind++) {
		for (unsigned flags = 0; flags < 256; flags++) {
			struct frame_header h = { .kind = kind, .sequence = 5, .flags = (uint8_t)flags };
			bool plain = kind == FRAME_EVENT && flags == 0;
			assert_int_equal(filter_decide(&drop, &no_sets, &h, 5),
					 plain ? FILTER_DROP : FILTER_KEEP);
			assert_int_equal(filter_decide(&of_the_enrolled, &no_sets, &h, 5),
					 plain ? FILTER_IF_ENROLLED : FILTER_KEEP);
			assert_int_equal(filter_decide(&keep, &no_sets, &h, 5), FILTER_KEEP);
			assert_int_equal(filter_decide(&unknown, &no_sets, &h, 5), FILTER_KEEP);
		}
	}
}

static void each_flag_keeps_what_a_condition_would_drop(void **state)
{
	struct frame_header h = event();

	(void)state;
	h.amount = 99;
	assert_decided(&from_100, &no_sets, &h, FILTER_DROP);
	for (unsigned bit = 0; bit < 8; bit++) {
		h.flags = (uint8_t)(1u << bit);
		assert_decided(&from_100, &no_sets, &h, FILTER_KEEP);
		assert_decided(&of_the_enrolled, &no_sets, &h, FILTER_KEEP);
	}
}

/* ---- conditions ---- */

static void an_amount_limit_keeps_from_itself_on(void **state)
{
	static const struct {
		int64_t min, amount;
		bool kept;
	} rows[] = {
		{ 100, 0, false },
		{ 100, 99, false },
		{ 100, 100, true },
		{ 100, 101, true },
		{ 100, INT64_MAX, true },
		{ 0, 0, true },
		{ INT64_MIN, 0, true },
		{ INT64_MAX, INT64_MAX - 1, false },
		{ INT64_MAX, INT64_MAX, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct interest_entry e = from_100;
		struct frame_header h = event();
		e.amount_min = rows[i].min;
		h.amount = rows[i].amount;
		assert_kept(&e, &no_sets, &h, rows[i].kept);
	}
}

/* Amounts of another currency, or of none, are not compared: such an event is kept. */
static void an_amount_is_compared_in_its_own_currency_only(void **state)
{
	static const struct {
		uint16_t limit, events;
		bool compared;
	} rows[] = {
		{ 978, 978, true },  { 978, 840, false },   { 978, 0, false },
		{ 978, 979, false }, { 978, 65535, false }, { 65535, 65535, true },
		{ 0, 978, true },    { 0, 0, true },	    { 0, 65535, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct interest_entry e = from_100;
		struct frame_header h = event();
		e.currency = rows[i].limit;
		h.currency = rows[i].events;
		h.amount = 99;
		assert_kept(&e, &no_sets, &h, !rows[i].compared);
		h.amount = 100;
		assert_kept(&e, &no_sets, &h, true);
	}
}

static bool in_list(uint32_t code, const uint16_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == code)
			return true;
	return false;
}

/* Every code of 16 bits against a set: 0 is no data, and beyond the set's range nothing is known. */
static void a_set_of_countries_keeps_its_own_and_what_it_cannot_tell(void **state)
{
	static const uint16_t codes[] = { 1, 63, 64, 250, 724, 1023 };
	static const uint8_t sets_of[] = { 0, 7, INTEREST_SETS_MAX - 1 };
	static struct interest_sets sets;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sets_of); s++)
		for (size_t i = 0; i < ARRAY_LEN(codes); i++)
			sets.country[sets_of[s]][codes[i] / 64] |= UINT64_C(1) << codes[i] % 64;
	for (unsigned set = 0; set < 256; set++) {
		struct interest_entry e = { .action = INTEREST_KEEP_IF,
					    .conditions = INTEREST_IF_COUNTRY,
					    .countries = (uint8_t)set };
		bool full = set == 0 || set == 7 || set == INTEREST_SETS_MAX - 1;
		for (uint32_t code = 0; code < 65536; code += set < 16 || code < 1100 ? 1 : 97) {
			struct frame_header h = event();
			h.country = (uint16_t)code;
			bool unknowable = code == 0 || code > 1023 || set >= INTEREST_SETS_MAX;
			assert_kept(&e, &sets, &h,
				    unknowable || (full && in_list(code, codes, ARRAY_LEN(codes))));
		}
	}
}

static void a_set_of_categories_keeps_its_own_and_what_it_cannot_tell(void **state)
{
	static const uint16_t codes[] = { 1, 63, 64, 5411, 5814, 9999, 10047 };
	static struct interest_sets sets;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		sets.mcc[3][codes[i] / 64] |= UINT64_C(1) << codes[i] % 64;
	for (unsigned set = 0; set < 256; set++) {
		struct interest_entry e = { .action = INTEREST_KEEP_IF,
					    .conditions = INTEREST_IF_MCC,
					    .mccs = (uint8_t)set };
		for (uint32_t code = 0; code < 65536; code += set < 16 ? 1 : 97) {
			struct frame_header h = event();
			h.mcc = (uint16_t)code;
			bool unknowable = code == 0 || code > 10047 || set >= INTEREST_SETS_MAX;
			assert_kept(&e, &sets, &h,
				    unknowable || (set == 3 && in_list(code, codes, ARRAY_LEN(codes))));
		}
	}
}

static void touchpoints_keep_their_own_and_no_data(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 16; bit++) {
		struct interest_entry e = { .action = INTEREST_KEEP_IF,
					    .conditions = INTEREST_IF_TOUCHPOINT,
					    .touchpoints = (uint16_t)(1u << bit) };
		for (uint8_t touchpoint = 0; touchpoint < TOUCHPOINT_COUNT; touchpoint++) {
			struct frame_header h = event();
			h.touchpoint = touchpoint;
			assert_kept(&e, &no_sets, &h, touchpoint == 0 || touchpoint == bit);
		}
	}
}

/* Conditions 0 to 3 are the header's, each can hold or not; 4 is enrolment. */
static void all_conditions_that_are_set_must_hold(void **state)
{
	static struct interest_sets sets;

	(void)state;
	sets.country[2][724 / 64] = UINT64_C(1) << 724 % 64;
	sets.mcc[5][5411 / 64] = UINT64_C(1) << 5411 % 64;
	for (unsigned conditions = 0; conditions < 32; conditions++)
		for (unsigned hold = 0; hold < 16; hold++) {
			struct interest_entry e = { .action = INTEREST_KEEP_IF,
						    .conditions = (uint8_t)conditions,
						    .touchpoints = 1 << TOUCHPOINT_atm,
						    .countries = 2,
						    .mccs = 5,
						    .currency = 978,
						    .amount_min = 100 };
			struct frame_header h = event();
			h.currency = 978;
			h.amount = hold & 1 ? 100 : 99;
			h.country = hold & 2 ? 724 : 250;
			h.touchpoint = hold & 4 ? TOUCHPOINT_atm : TOUCHPOINT_pos;
			h.mcc = hold & 8 ? 5411 : 5412;
			bool held = (conditions & 15 & ~hold) == 0;
			assert_decided(&e, &sets, &h,
				       !held		 ? FILTER_DROP
				       : conditions & 16 ? FILTER_IF_ENROLLED
							 : FILTER_KEEP);
		}
	assert_int_equal(INTEREST_IF_AMOUNT | INTEREST_IF_COUNTRY << 1 | INTEREST_IF_TOUCHPOINT << 2 |
				 INTEREST_IF_MCC << 3 | INTEREST_IF_ENROLLED << 4,
			 1 | 2 << 1 | 4 << 2 | 8 << 3 | 16 << 4);
}

/* In doubt it keeps: an action or a condition of a later version, and one with no condition at all. */
static void what_is_not_known_is_kept(void **state)
{
	struct frame_header h = event();

	(void)state;
	for (unsigned action = 0; action < 256; action++) {
		for (unsigned later = 0; later < 8; later++) {
			struct interest_entry e = { .action = (uint8_t)action,
						    .conditions = (uint8_t)(later << 5),
						    .amount_min = 1 };
			assert_kept(&e, &no_sets, &h, action != INTEREST_DROP);
			e.conditions |= INTEREST_IF_AMOUNT;
			assert_kept(&e, &no_sets, &h, action != INTEREST_DROP && action != INTEREST_KEEP_IF);
		}
	}
}

/* Nothing is dropped before the first table. */
static void a_table_of_zeros_keeps_everything(void **state)
{
	static const struct interest_table table;

	(void)state;
	for (uint32_t type = 0; type < INTEREST_TYPES; type++) {
		struct frame_header h = event();
		h.type = (uint16_t)type;
		assert_kept(&table.type[type], &table.sets, &h, true);
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
	assert_decided(&from_100, &no_sets, &h, FILTER_KEEP);
	h.amount = 99;
	assert_decided(&from_100, &no_sets, &h, FILTER_DROP);
}

/* ---- enrolment ---- */

static void an_accounts_bucket_goes_from_none_to_one_to_several(void **state)
{
	static const uint32_t several = ENROLMENT_HOLDER_SEVERAL, none = ENROLMENT_HOLDER_NONE,
			      last = (1u << ENROLMENT_CUSTOMER_BITS) - 1;
	static const struct {
		uint32_t is, bucket, becomes;
	} rows[] = {
		{ none, 0, 1 },		 { none, last, last + 1 },     { 1, 0, 1 },
		{ 1, 1, several },	 { last + 1, last, last + 1 }, { last + 1, 0, several },
		{ several, 0, several }, { several, last, several },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(enrolment_holder_join(rows[i].is, rows[i].bucket), rows[i].becomes);
	assert_true(last + 1 < several);
}

/* In whatever order holders come, once or several times. */
static void joining_holders_has_no_order(void **state)
{
	(void)state;
	for (uint32_t a = 0; a < 5; a++)
		for (uint32_t b = 0; b < 5; b++)
			for (uint32_t c = 0; c < 5; c++) {
				uint32_t abc = enrolment_holder_join(
						 enrolment_holder_join(enrolment_holder_join(0, a), b), c),
					 cab = enrolment_holder_join(
						 enrolment_holder_join(enrolment_holder_join(0, c), a), b);
				assert_int_equal(abc, cab);
				assert_int_equal(abc, a == b && b == c ? a + 1 : ENROLMENT_HOLDER_SEVERAL);
			}
}

/* The finalizer of MurmurHash3 (fmix64), whose values are public; both sides must have the same. */
static void numbers_are_hashed_by_fmix64(void **state)
{
	(void)state;
	assert_true(enrolment_hash(0) == 0);
	assert_true(enrolment_hash(1) == UINT64_C(0xb456bcfc34c2cb2c));
	assert_true(enrolment_customer(1) == 0xb456bcfc34c2cb2c >> 37);
	assert_true(enrolment_account(1) == 0xb456bcfc34c2cb2c >> 42);
	assert_true(enrolment_customer(UINT64_MAX) < 1u << ENROLMENT_CUSTOMER_BITS);
	assert_true(enrolment_account(UINT64_MAX) < 1u << ENROLMENT_ACCOUNT_BITS);
}

/* Numbers as banks give them, one after the other, or a thousand apart: fewer than 1 in 100 shares a bucket.
 */
static void buckets_are_rarely_shared(void **state)
{
	static uint64_t seen[ENROLMENT_WORDS];

	(void)state;
	for (uint64_t step = 1; step <= 1000000; step *= 1000) {
		unsigned shared = 0;
		for (uint64_t i = 0; i < 200000; i++) {
			uint32_t bucket = enrolment_customer(UINT64_C(9000000000) + i * step);
			if (seen[bucket / 64] >> bucket % 64 & 1)
				shared++;
			seen[bucket / 64] |= UINT64_C(1) << bucket % 64;
		}
		assert_true(shared < 2000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_is_looked_at_before_anything_else),
		cmocka_unit_test(kinds_outside_the_stream_are_kept_whatever_their_sequence),
		cmocka_unit_test(only_plain_events_are_dropped),
		cmocka_unit_test(each_flag_keeps_what_a_condition_would_drop),
		cmocka_unit_test(an_amount_limit_keeps_from_itself_on),
		cmocka_unit_test(an_amount_is_compared_in_its_own_currency_only),
		cmocka_unit_test(a_set_of_countries_keeps_its_own_and_what_it_cannot_tell),
		cmocka_unit_test(a_set_of_categories_keeps_its_own_and_what_it_cannot_tell),
		cmocka_unit_test(touchpoints_keep_their_own_and_no_data),
		cmocka_unit_test(all_conditions_that_are_set_must_hold),
		cmocka_unit_test(what_is_not_known_is_kept),
		cmocka_unit_test(a_table_of_zeros_keeps_everything),
		cmocka_unit_test(other_fields_do_not_matter),
		cmocka_unit_test(an_accounts_bucket_goes_from_none_to_one_to_several),
		cmocka_unit_test(joining_holders_has_no_order),
		cmocka_unit_test(numbers_are_hashed_by_fmix64),
		cmocka_unit_test(buckets_are_rarely_shared),
	};

	return cmocka_run_group_tests_name("interest", tests, NULL, NULL);
}
