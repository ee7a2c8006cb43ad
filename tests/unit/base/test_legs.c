// needs: user/base/legs.c user/base/region.c user/base/records.c
/*
 * test_legs.c: the steps of a leg, the ring that forgets the oldest, the way through a checkpoint; and a slow
 * twin, a list that is searched from its end.
 */
#include <base/legs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
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

/* What one leg is after its acceptance. */
static enum leg_state accept_one(struct legs *l, uint64_t number)
{
	uint64_t states[LEG_STATE_COUNT] = { 0 };
	enum leg_state got = LEG_NONE;

	legs_accept(l, &number, 1, states);
	for (unsigned i = 0; i < LEG_STATE_COUNT; i++) {
		assert_true(states[i] == 0 || (states[i] == 1 && got == LEG_NONE));
		if (states[i])
			got = (enum leg_state)i;
	}
	return got;
}

/* Made and accepted. */
static void accepted_add(struct legs *l, struct key128 key)
{
	assert_int_equal(accept_one(l, legs_add(l, key)), LEG_ACCEPTED);
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
		uint64_t number = legs_add(l, key);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(legs_move(l, key, rows[i].steps[k]), rows[i].seen[k]);
		assert_int_equal(accept_one(l, number), rows[i].end);
	}
	assert_int_equal(legs_move(l, key_of(2), LEG_READ), LEG_DELIVERED);
	assert_int_equal(legs_move(l, key_of(3), LEG_READ), LEG_NONE);
	legs_free(l);
}

/* Made twice (the same cause again): two legs, and a receipt is for the newer. */
static void a_receipt_moves_the_newest_of_its_key(void **state)
{
	struct legs *l = legs_new();

	(void)state;
	uint64_t first = legs_add(l, key_of(1)), second = legs_add(l, key_of(1));
	assert_int_equal(legs_move(l, key_of(1), LEG_DELIVERED), LEG_QUEUED);
	assert_int_equal(accept_one(l, first), LEG_ACCEPTED);
	assert_int_equal(accept_one(l, second), LEG_DELIVERED);
	assert_int_equal(legs_move(l, key_of(1), LEG_READ), LEG_DELIVERED);
	assert_int_equal(legs_move(l, key_of(1), LEG_DELIVERED), LEG_NONE);
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
	/* so late that it is gone: accepted all the same, and whoever stands there now is left alone */
	assert_int_equal(accept_one(l, 0), LEG_ACCEPTED);
	assert_int_equal(legs_move(l, key_of(LEGS_REMEMBERED_MAX), LEG_READ), LEG_NONE);
	legs_free(l);
}

static struct key128 named(const void *id, const char *leg, uint32_t bytes)
{
	return legs_key(id, legs_name(leg, bytes));
}

/* The id is 16 bytes, the leg's name follows: each byte of both counts. */
static void the_key_covers_id_and_leg(void **state)
{
	char id[16] = { 1 }, other[16] = { 2 }, last[16] = { 1 };
	struct key128 a = named(id, "push/1", 6), same = named(id, "push/1 and more", 6);

	(void)state;
	last[15] = 1;
	struct key128 rows[] = { named(other, "push/1", 6), named(last, "push/1", 6), named(id, "push/2", 6),
				 named(id, "push/", 5),	    named(id, "sms/1", 5),    named(id, "", 0) };
	char endless[4096];
	assert_memory_equal(&a, &same, sizeof a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_memory_not_equal(&a, &rows[i], sizeof a);
	memset(endless, 'x', sizeof endless);
	named(id, endless, sizeof endless); /* from a RECEIPT: of any length */
}

/* ---- the twin ---- */

enum { TWIN_LEGS = 30000, TWIN_KEYS = 5000, TWIN_BUCKETS = 50 };

struct twin {
	struct key128 key[TWIN_LEGS];
	uint8_t state[TWIN_LEGS], said[TWIN_LEGS]; /* said: by a receipt before the acceptance; 0 = nothing */
	uint32_t count;
};

static uint32_t random_below(uint64_t *random, uint32_t n)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*random >> 33) % n;
}

/* Few keys, so that some are made again; fewer buckets. */
static struct key128 key_random(uint64_t *random)
{
	uint64_t n = random_below(random, TWIN_KEYS);

	return (struct key128){ n % TWIN_BUCKETS, n };
}

static enum leg_state twin_move(struct twin *t, struct key128 key, enum leg_state to)
{
	for (uint32_t i = t->count; i-- > 0;) {
		if (t->key[i].low != key.low || t->key[i].high != key.high)
			continue;
		bool early = t->state[i] == LEG_QUEUED;
		unsigned from = !early ? t->state[i] : t->said[i] ? t->said[i] : LEG_ACCEPTED;
		bool first =
			from == LEG_ACCEPTED && (to == LEG_DELIVERED || to == LEG_READ || to == LEG_FAILED);
		if (!first && !(from == LEG_DELIVERED && to == LEG_READ))
			return LEG_NONE;
		*(early ? &t->said[i] : &t->state[i]) = (uint8_t)to;
		return early ? LEG_QUEUED : (enum leg_state)from;
	}
	return LEG_NONE;
}

static void twin_step(struct legs *l, struct twin *t, uint64_t *random)
{
	uint32_t what = random_below(random, 100);

	if (what < 45 && t->count < TWIN_LEGS) {
		struct key128 key = key_random(random);
		assert_int_equal(legs_add(l, key), t->count);
		t->key[t->count] = key;
		t->state[t->count++] = LEG_QUEUED;
	} else if (what < 80) {
		uint64_t numbers[40], states[LEG_STATE_COUNT] = { 0 }, want[LEG_STATE_COUNT] = { 0 };
		uint32_t n = 0, at = t->count ? random_below(random, t->count) : 0;
		for (; at < t->count && n < ARRAY_LEN(numbers); at++) {
			if (t->state[at] != LEG_QUEUED)
				continue;
			numbers[n++] = at;
			t->state[at] = t->said[at] ? t->said[at] : LEG_ACCEPTED;
			want[t->state[at]]++;
		}
		legs_accept(l, numbers, n, states);
		assert_memory_equal(states, want, sizeof want);
	} else {
		struct key128 key = key_random(random);
		enum leg_state to = (enum leg_state)random_below(random, LEG_STATE_COUNT);
		assert_int_equal(legs_move(l, key, to), twin_move(t, key, to));
	}
}

static uint64_t seed_of_the_run(void)
{
	const char *text = getenv("MOMENT_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : 1;

	printf("seed %llu\n", (unsigned long long)seed);
	return seed;
}

static void legs_agree_with_their_twin(void **state)
{
	uint64_t random = seed_of_the_run();
	struct legs *l = legs_new();
	struct twin *t = calloc(1, sizeof *t);

	(void)state;
	for (unsigned i = 0; i < 60000; i++)
		twin_step(l, t, &random);
	assert_true(t->count > 20000);
	free(t);
	legs_free(l);
}

/* As ids are: any bucket. */
static struct key128 key_mixed(uint64_t number)
{
	uint64_t z = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (struct key128){ z ^ z >> 31, number };
}

/* Twice round the ring: every key of the last LEGS_REMEMBERED_MAX is found, none that is older. */
static void the_ring_finds_what_it_holds_and_nothing_else(void **state)
{
	struct legs *l = legs_new();
	uint64_t random = seed_of_the_run(), oldest;

	(void)state;
	for (uint64_t i = 0; i < 2 * LEGS_REMEMBERED_MAX + 12345; i++) {
		legs_add(l, key_mixed(i));
		if (i % 64)
			continue;
		oldest = l->next > LEGS_REMEMBERED_MAX ? l->next - LEGS_REMEMBERED_MAX : 0;
		uint64_t n = random_below(&random, (uint32_t)l->next);
		bool found = legs_move(l, key_mixed(n), LEG_FAILED) != LEG_NONE;
		if (n < oldest)
			assert_false(found);
		else if (!found) /* moved before, then */
			assert_int_equal(l->states[n % LEGS_REMEMBERED_MAX], LEG_FAILED | LEG_EARLY);
	}
	oldest = l->next - LEGS_REMEMBERED_MAX;
	assert_int_equal(legs_move(l, key_mixed(oldest - 1), LEG_FAILED), LEG_NONE);
	legs_move(l, key_mixed(oldest), LEG_FAILED);
	assert_int_equal(l->states[oldest % LEGS_REMEMBERED_MAX], LEG_FAILED | LEG_EARLY);
	legs_free(l);
}

/* ---- checkpoints ---- */

static void checkpoint_load_all(struct legs *to, const struct records *records)
{
	for (const struct record *r = records_next(records, NULL); r; r = records_next(records, r))
		assert_true(legs_load(to, record_key(r), r->key_bytes, record_value(r), r->value_bytes));
}

static void checkpoint(struct legs *l, struct records *records)
{
	legs_checkpoint_cut(l, records);
	assert_true(legs_checkpoint_step(l, UINT32_MAX));
	assert_true(legs_checkpoint_step(l, 1)); /* nothing is being cut */
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
	uint64_t early = legs_add(l, key_of(10001));
	legs_move(l, key_of(10001), LEG_FAILED);
	checkpoint(l, &records);
	assert_int_equal(records.count, 1 + 10); /* `legs`, and ten pages of 1024 */
	checkpoint_load_all(copy, &records);
	assert_int_equal(copy->next, l->next);
	assert_memory_equal(copy->keys, l->keys, 10001 * sizeof *l->keys);
	assert_memory_equal(copy->states, l->states, 10001 * sizeof *l->states);
	assert_int_equal(legs_move(copy, key_of(5000), LEG_READ), LEG_DELIVERED);
	assert_int_equal(legs_move(copy, key_of(10000), LEG_READ), LEG_ACCEPTED);
	assert_int_equal(accept_one(copy, early), LEG_FAILED);
	/* what did not move is not written again */
	records_reset(&records);
	legs_move(l, key_of(1), LEG_FAILED);
	checkpoint(l, &records);
	assert_int_equal(records.count, 1 + 1);
	records_deinit(&records);
	legs_free(l);
	legs_free(copy);
}

static const struct record *record_find(const struct records *records, const struct record *like)
{
	for (const struct record *r = records_next(records, NULL); r; r = records_next(records, r))
		if (r->key_bytes == like->key_bytes &&
		    memcmp(record_key(r), record_key(like), r->key_bytes) == 0)
			return r;
	return NULL;
}

static void records_are_equal(const struct records *a, const struct records *b)
{
	assert_int_equal(a->count, b->count);
	for (const struct record *r = records_next(a, NULL); r; r = records_next(a, r)) {
		const struct record *other = record_find(b, r);
		assert_non_null(other);
		assert_int_equal(r->value_bytes, other->value_bytes);
		assert_memory_equal(record_value(r), record_value(other), r->value_bytes);
	}
}

/* The same legs twice: one encodes all at the cut, the other in steps while legs are made and moved. */
static void a_checkpoint_in_steps_is_that_of_the_cut(void **state)
{
	static const uint32_t items[] = { 1, 7, 0 }; /* 0: only what changes, the rest at the end */
	uint64_t seed = seed_of_the_run();
	struct records at_once, in_steps;

	(void)state;
	assert_int_equal(records_init(&at_once, 64 << 20), 0);
	assert_int_equal(records_init(&in_steps, 64 << 20), 0);
	for (unsigned kind = 0; kind < ARRAY_LEN(items); kind++) {
		struct legs *whole = legs_new(), *steps = legs_new();
		struct twin *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
		uint64_t x = seed + kind, y = x;
		for (unsigned cut = 0; cut < 40; cut++) {
			for (unsigned i = 0; i < 1000; i++) {
				twin_step(whole, a, &x);
				twin_step(steps, b, &y);
			}
			records_reset(&at_once);
			records_reset(&in_steps);
			checkpoint(whole, &at_once);
			legs_checkpoint_cut(steps, &in_steps);
			for (unsigned i = 0; i < 20; i++) {
				legs_checkpoint_step(steps, items[kind]);
				twin_step(whole, a, &x);
				twin_step(steps, b, &y);
			}
			assert_true(legs_checkpoint_step(steps, UINT32_MAX));
			records_are_equal(&at_once, &in_steps);
		}
		free(a);
		free(b);
		legs_free(whole);
		legs_free(steps);
	}
	records_deinit(&at_once);
	records_deinit(&in_steps);
}

static void a_step_encodes_at_most_so_many_pages(void **state)
{
	struct legs *l = legs_new();
	struct records records;
	uint64_t steps = 0;

	(void)state;
	assert_int_equal(records_init(&records, 64 << 20), 0);
	for (uint64_t i = 0; i < 10 * LEGS_PAGE; i++)
		legs_add(l, key_of(i));
	legs_checkpoint_cut(l, &records);
	assert_int_equal(records.count, 1);
	while (!legs_checkpoint_step(l, 3))
		assert_int_equal(records.count, 1 + 3 * ++steps);
	assert_int_equal(steps, 3);
	assert_int_equal(records.count, 1 + 10);
	records_deinit(&records);
	legs_free(l);
}

static void records_that_make_no_sense_are_refused(void **state)
{
	const uint32_t bytes = LEGS_PAGE * (sizeof(struct key128) + 1);
	char *page = calloc(1, bytes + 1);
	uint8_t *state_of = (uint8_t *)page + LEGS_PAGE * sizeof(struct key128);
	struct legs *l = legs_new();
	uint64_t head[2] = { 2, 1 }, old[2] = { 1, 1 };
	struct key128 key = key_of(1);

	(void)state;
	memcpy(page, &key, sizeof key);
	state_of[0] = LEG_ACCEPTED;
	assert_false(legs_load(l, "legs", 4, head, 15));
	assert_false(legs_load(l, "legs", 4, head, 8)); /* as the version before wrote it */
	assert_false(legs_load(l, "legs", 4, old, 16));
	assert_false(legs_load(l, "legs", 4, head, 0));
	assert_false(legs_load(l, "legs:", 5, page, bytes));
	assert_false(legs_load(l, "legs:zzzz", 9, page, bytes));
	assert_false(legs_load(l, "legs:00FF", 9, page, bytes));
	assert_false(legs_load(l, "legs:0400", 9, page, bytes)); /* one page beyond the last */
	assert_false(legs_load(l, "legs:00000", 10, page, bytes));
	assert_false(legs_load(l, "legs:0000", 9, page, bytes - 1));
	assert_false(legs_load(l, "legs:0000", 9, page, bytes + 1));
	static const uint8_t wrong[] = { LEG_STATE_COUNT,	 LEG_EXPIRED, LEG_EARLY | LEG_ACCEPTED,
					 LEG_EARLY | LEG_QUEUED, LEG_EARLY,   0xff };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		state_of[0] = LEG_ACCEPTED;
		state_of[LEGS_PAGE - 1] = wrong[i];
		assert_false(legs_load(l, "legs:0000", 9, page, bytes));
	}
	state_of[LEGS_PAGE - 1] = 0;
	assert_true(legs_load(l, "legs", 4, head, 16));
	assert_true(legs_load(l, "legs:03ff", 9, page, bytes));
	assert_true(legs_load(l, "legs:0000", 9, page, bytes));
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
		cmocka_unit_test(a_receipt_moves_the_newest_of_its_key),
		cmocka_unit_test(the_oldest_leg_leaves_for_the_newest),
		cmocka_unit_test(the_key_covers_id_and_leg),
		cmocka_unit_test(legs_agree_with_their_twin),
		cmocka_unit_test(the_ring_finds_what_it_holds_and_nothing_else),
		cmocka_unit_test(a_checkpoint_in_steps_is_that_of_the_cut),
		cmocka_unit_test(a_step_encodes_at_most_so_many_pages),
		cmocka_unit_test(a_checkpoint_gives_the_same_legs_back),
		cmocka_unit_test(records_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests_name("legs", tests, NULL, NULL);
}
