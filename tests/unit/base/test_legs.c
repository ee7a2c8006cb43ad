// needs: user/base/legs.c user/base/region.c user/base/records.c
/*
 * test_legs.c: the steps of a leg, the ring that forgets the oldest, and the way through a checkpoint.
 */
#include <base/legs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct key128 key_of(uint64_t number)
{
	return (struct key128){ number * UINT64_C(0xd6e8feb86659fd93), ~number };
}

static struct legs *legs_new(void)
{
	struct legs *l = calloc(1, sizeof *l);

	assert_non_null(l);
	assert_int_equal(legs_init(l), 0);
	return l;
}

/* Made and accepted. */
static void accepted_add(struct legs *l, struct key128 key)
{
	legs_add(l, key);
	assert_int_equal(legs_accept(l, key), LEG_ACCEPTED);
}

static void legs_free(struct legs *l)
{
	legs_deinit(l);
	free(l);
}

/* Every pair of states: rows say from, columns to. */
static void a_leg_moves_forward_and_each_step_once(void **state)
{
	static const bool allowed[LEG_STATE_COUNT][LEG_STATE_COUNT] = {
		[LEG_ACCEPTED] = { [LEG_DELIVERED] = true, [LEG_READ] = true, [LEG_FAILED] = true },
		[LEG_DELIVERED] = { [LEG_READ] = true },
	};
	static const enum leg_state from[] = { LEG_ACCEPTED, LEG_DELIVERED, LEG_READ, LEG_FAILED };
	struct legs *l = legs_new();
	uint64_t number = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		for (unsigned to = 0; to < LEG_STATE_COUNT; to++) {
			struct key128 key = key_of(++number);
			accepted_add(l, key);
			if (from[i] != LEG_ACCEPTED)
				assert_int_equal(legs_move(l, key, from[i]), LEG_ACCEPTED);
			enum leg_state got = legs_move(l, key, (enum leg_state)to),
				       want = allowed[from[i]][to] ? from[i] : LEG_NONE;
			if (got != want)
				fail_msg("from %d to %u: %d, not %d", from[i], to, got, want);
			assert_int_equal(legs_move(l, key, (enum leg_state)to), LEG_NONE);
		}
	}
	legs_free(l);
}

static void a_leg_that_was_never_made_is_not_known(void **state)
{
	struct legs *l = legs_new();

	(void)state;
	assert_int_equal(legs_move(l, key_of(1), LEG_DELIVERED), LEG_NONE);
	accepted_add(l, key_of(1));
	assert_int_equal(legs_move(l, key_of(2), LEG_DELIVERED), LEG_NONE);
	assert_int_equal(legs_move(l, key_of(1), LEG_DELIVERED), LEG_ACCEPTED);
	assert_int_equal(legs_accept(l, key_of(3)), LEG_ACCEPTED); /* long gone: accepted all the same */
	legs_free(l);
}

/* Before it is accepted a receipt is noted by the same steps; the acceptance says where it stands. */
static void a_receipt_that_comes_first_is_kept(void **state)
{
	static const struct {
		enum leg_state steps[3], seen[3], end;
	} rows[] = {
		{ { LEG_DELIVERED, LEG_READ, LEG_READ }, { LEG_QUEUED, LEG_QUEUED, LEG_NONE }, LEG_READ },
		{ { LEG_DELIVERED, LEG_DELIVERED, LEG_FAILED },
		  { LEG_QUEUED, LEG_NONE, LEG_NONE },
		  LEG_DELIVERED },
		{ { LEG_FAILED, LEG_READ, LEG_DELIVERED }, { LEG_QUEUED, LEG_NONE, LEG_NONE }, LEG_FAILED },
		{ { LEG_ACCEPTED, LEG_QUEUED, LEG_EXPIRED }, { LEG_NONE, LEG_NONE, LEG_NONE }, LEG_ACCEPTED },
	};
	struct legs *l = legs_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct key128 key = key_of(i + 1);
		legs_add(l, key);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(legs_move(l, key, rows[i].steps[k]), rows[i].seen[k]);
		assert_int_equal(legs_accept(l, key), rows[i].end);
	}
	assert_int_equal(legs_move(l, key_of(2), LEG_READ), LEG_DELIVERED);
	assert_int_equal(legs_move(l, key_of(3), LEG_READ), LEG_NONE);
	legs_free(l);
}

/* Made twice (the same cause again): it stays where it is. */
static void a_leg_is_remembered_once(void **state)
{
	struct legs *l = legs_new();

	(void)state;
	accepted_add(l, key_of(1));
	assert_int_equal(legs_move(l, key_of(1), LEG_DELIVERED), LEG_ACCEPTED);
	legs_add(l, key_of(1));
	assert_int_equal(l->next, 1);
	assert_int_equal(legs_move(l, key_of(1), LEG_READ), LEG_DELIVERED);
	legs_free(l);
}

static void the_oldest_leg_leaves_for_the_newest(void **state)
{
	struct legs *l = legs_new();

	(void)state;
	for (uint64_t i = 0; i < LEGS_REMEMBERED_MAX; i++)
		accepted_add(l, key_of(i));
	assert_int_equal(legs_move(l, key_of(0), LEG_DELIVERED), LEG_ACCEPTED);
	accepted_add(l, key_of(LEGS_REMEMBERED_MAX));
	assert_int_equal(legs_move(l, key_of(0), LEG_READ), LEG_NONE);
	assert_int_equal(legs_move(l, key_of(1), LEG_READ), LEG_ACCEPTED);
	assert_int_equal(legs_move(l, key_of(LEGS_REMEMBERED_MAX), LEG_READ), LEG_ACCEPTED);
	assert_int_equal(l->table.count, LEGS_REMEMBERED_MAX);
	legs_free(l);
}

/* The id is 16 bytes, the leg's name follows: each byte of both counts. */
static void the_key_covers_id_and_leg(void **state)
{
	char id[16] = { 1 }, other[16] = { 2 };
	struct key128 a = legs_key(id, "push/1", 6), same = legs_key(id, "push/1 and more", 6);
	struct key128 rows[] = { legs_key(other, "push/1", 6), legs_key(id, "push/2", 6),
				 legs_key(id, "push/", 5), legs_key(id, "sms/1", 5) };
	char endless[4096];

	(void)state;
	assert_memory_equal(&a, &same, sizeof a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_memory_not_equal(&a, &rows[i], sizeof a);
	memset(endless, 'x', sizeof endless);
	legs_key(id, endless, sizeof endless); /* from a RECEIPT: any length is bounded */
}

static void checkpoint_load_all(struct legs *to, const struct records *records)
{
	for (const struct record *r = records_next(records, NULL); r; r = records_next(records, r))
		assert_true(legs_load(to, record_key(r), r->key_bytes, record_value(r), r->value_bytes));
}

static void a_checkpoint_gives_the_same_legs_back(void **state)
{
	struct legs *l = legs_new(), *copy = legs_new();
	struct records records;

	(void)state;
	assert_int_equal(records_init(&records, 64 << 20), 0);
	for (uint64_t i = 1; i <= 10000; i++)
		accepted_add(l, key_of(i));
	legs_move(l, key_of(5000), LEG_DELIVERED);
	legs_add(l, key_of(10001));
	legs_move(l, key_of(10001), LEG_FAILED); /* early */
	legs_checkpoint(l, &records);
	assert_int_equal(records.count, 1 + 3); /* `legs`, and three pages of 4096 */
	checkpoint_load_all(copy, &records);
	assert_int_equal(copy->next, l->next);
	assert_memory_equal(copy->ring, l->ring, 10000 * sizeof *l->ring);
	assert_int_equal(legs_move(copy, key_of(5000), LEG_READ), LEG_DELIVERED);
	assert_int_equal(legs_move(copy, key_of(10000), LEG_READ), LEG_ACCEPTED);
	assert_int_equal(legs_accept(copy, key_of(10001)), LEG_FAILED);
	/* what did not move is not written again */
	records_reset(&records);
	legs_move(l, key_of(1), LEG_FAILED);
	legs_checkpoint(l, &records);
	assert_int_equal(records.count, 1 + 1);
	records_deinit(&records);
	legs_free(l);
	legs_free(copy);
}

static void records_that_make_no_sense_are_refused(void **state)
{
	struct legs_record *page = calloc(LEGS_PAGE, sizeof *page);
	const uint32_t bytes = LEGS_PAGE * sizeof *page;
	struct legs *l = legs_new();
	uint64_t next = 1;

	(void)state;
	page[0] = (struct legs_record){ .key = key_of(1), .state = LEG_ACCEPTED };
	assert_false(legs_load(l, "legs", 4, &next, 7));
	assert_false(legs_load(l, "legs", 4, &next, 0));
	assert_false(legs_load(l, "legs:", 5, page, bytes));
	assert_false(legs_load(l, "legs:zzzz", 9, page, bytes));
	assert_false(legs_load(l, "legs:0100", 9, page, bytes)); /* one page beyond the last */
	assert_false(legs_load(l, "legs:00000", 10, page, bytes));
	assert_false(legs_load(l, "legs:0000", 9, page, bytes - 1));
	assert_false(legs_load(l, "legs:0000", 9, page, bytes - (uint32_t)sizeof *page));
	page[0].state = LEG_STATE_COUNT;
	assert_false(legs_load(l, "legs:0000", 9, page, bytes));
	page[0].state = LEG_EXPIRED;
	assert_false(legs_load(l, "legs:0000", 9, page, bytes));
	page[0].state = LEG_EARLY | LEG_ACCEPTED;
	assert_false(legs_load(l, "legs:0000", 9, page, bytes));
	page[0].state = LEG_EARLY;
	assert_false(legs_load(l, "legs:0000", 9, page, bytes));
	page[0].state = LEG_ACCEPTED;
	assert_true(legs_load(l, "legs:00ff", 9, page, bytes));
	assert_int_equal(legs_move(l, key_of(1), LEG_READ), LEG_ACCEPTED);
	free(page);
	legs_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leg_moves_forward_and_each_step_once),
		cmocka_unit_test(a_leg_that_was_never_made_is_not_known),
		cmocka_unit_test(a_receipt_that_comes_first_is_kept),
		cmocka_unit_test(a_leg_is_remembered_once),
		cmocka_unit_test(the_oldest_leg_leaves_for_the_newest),
		cmocka_unit_test(the_key_covers_id_and_leg),
		cmocka_unit_test(a_checkpoint_gives_the_same_legs_back),
		cmocka_unit_test(records_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests_name("legs", tests, NULL, NULL);
}
