// needs: user/profile/index.c user/base/region.c
/*
 * test_index.c: the index of rows against an array: random keys and keys that share their probes, growth in
 * the middle of lookups, removals, moves by address.
 */
#include <moment/hash.h>
#include <profile/index.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed_given = 7;

static uint64_t draw(uint64_t *seed)
{
	uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

struct place {
	struct row row;
	char rest[88]; /* rows are longer than their header: 128 bytes are fetched ahead */
};

/* `places` rows of key places[i].row.key; two for each key, so that a row can move. */
struct fixture {
	struct index x;
	struct place *places;
	const struct row **want; /* by number of the key; NULL = not in the index */
	uint32_t keys;
};

static void fixture_init(struct fixture *f, uint32_t keys, uint64_t *seed, bool crowded, uint64_t room)
{
	*f = (struct fixture){ .keys = keys };
	f->places = calloc(2 * (size_t)keys, sizeof *f->places);
	f->want = calloc(keys, sizeof(const struct row *));
	assert_non_null(f->places);
	assert_non_null(f->want);
	assert_int_equal(index_init(&f->x, room), 0);
	for (uint32_t i = 0; i < keys; i++) {
		/* crowded: small numbers, one after the other, as banks give them too */
		uint64_t key = crowded ? i + 1 : draw(seed) | 1;
		f->places[2 * i].row = f->places[2 * i + 1].row = (struct row){ .bytes = 128, .key = key };
	}
}

static void fixture_deinit(struct fixture *f)
{
	index_deinit(&f->x);
	free(f->places);
	free(f->want);
}

static uint64_t key_of(const struct fixture *f, uint32_t i)
{
	return f->places[2 * (size_t)i].row.key;
}

static void one_step(struct fixture *f, uint64_t *seed)
{
	uint32_t i = (uint32_t)(draw(seed) % f->keys);
	struct place *two = &f->places[2 * (size_t)i];
	const struct row *to = &two[draw(seed) % 2].row;

	switch (draw(seed) % 8) {
	case 0:
		assert_int_equal(index_remove(&f->x, two->row.key), f->want[i] != NULL);
		f->want[i] = NULL;
		break;
	case 1: /* by address: only what lies there moves */
		assert_int_equal(index_move(&f->x, two->row.key, &two[0].row, to), f->want[i] == &two[0].row);
		if (f->want[i] == &two[0].row)
			f->want[i] = to;
		break;
	case 2:
		assert_int_equal(index_move(&f->x, two->row.key, &two[1].row, NULL),
				 f->want[i] == &two[1].row);
		if (f->want[i] == &two[1].row)
			f->want[i] = NULL;
		break;
	default:
		index_put(&f->x, to);
		f->want[i] = to;
	}
}

static void compare_all(const struct fixture *f)
{
	enum { TOGETHER = 600 };
	uint64_t keys[TOGETHER], count = 0, at = 0, walked = 0;
	const struct row *rows[TOGETHER];

	for (uint32_t i = 0; i < f->keys; i += TOGETHER) {
		uint32_t n = f->keys - i < TOGETHER ? f->keys - i : TOGETHER;
		for (uint32_t k = 0; k < n; k++)
			keys[k] = k % 7 == 6 ? 0 : key_of(f, i + k);
		index_find_many(&f->x, keys, n, rows);
		for (uint32_t k = 0; k < n; k++) {
			assert_ptr_equal(rows[k], keys[k] ? f->want[i + k] : NULL);
			assert_ptr_equal(index_find(&f->x, key_of(f, i + k)), f->want[i + k]);
			count += f->want[i + k] != NULL;
			if (f->want[i + k])
				assert_true(index_has(&f->x, key_of(f, i + k), f->want[i + k]));
		}
	}
	assert_int_equal(f->x.count, count);
	while (index_next(&f->x, &at))
		walked++;
	assert_int_equal(walked, count);
}

static void index_agrees_with_an_array(void **state)
{
	static const struct {
		uint32_t keys, steps;
		bool crowded;
		uint64_t room;
	} rows[] = {
		{ 50, 20000, false, 0 },     { 3000, 60000, false, 0 },	     { 3000, 60000, true, 0 },
		{ 60000, 300000, false, 0 }, { 60000, 200000, true, 20000 },
	};

	(void)state;
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		uint64_t seed = seed_given + r;
		struct fixture f;
		print_message("seed %llu\n", (unsigned long long)seed);
		fixture_init(&f, rows[r].keys, &seed, rows[r].crowded, rows[r].room);
		for (uint32_t step = 0; step < rows[r].steps; step++) {
			one_step(&f, &seed);
			if (step % (rows[r].steps / 13) == 0)
				compare_all(&f);
		}
		compare_all(&f);
		index_clear(&f.x);
		memset(f.want, 0, f.keys * sizeof *f.want);
		compare_all(&f);
		fixture_deinit(&f);
	}
}

/* Every state of a doubling is looked into: lookups after each single insertion. */
static void lookups_are_right_in_the_middle_of_growth(void **state)
{
	uint64_t seed = seed_given;
	struct fixture f;
	bool seen_both = false;

	(void)state;
	fixture_init(&f, 3000, &seed, false, 0);
	for (uint32_t i = 0; i < f.keys; i++) {
		f.want[i] = &f.places[2 * (size_t)i].row;
		index_put(&f.x, f.want[i]);
		seen_both |= f.x.old.slots != NULL;
		if (f.x.old.slots && i % 3 == 0)
			compare_all(&f);
	}
	assert_true(seen_both);
	compare_all(&f);
	fixture_deinit(&f);
}

static void a_key_is_not_taken_for_another_of_the_same_bits(void **state)
{
	/* 200,000 keys in the index, 2,000,000 that are not: some 16 bits agree, and none is found */
	uint64_t seed = seed_given;
	struct fixture f;
	uint32_t wrong = 0;

	(void)state;
	fixture_init(&f, 200000, &seed, false, 200000);
	for (uint32_t i = 0; i < f.keys; i++)
		index_put(&f.x, &f.places[2 * (size_t)i].row);
	for (uint32_t i = 0; i < 2000000; i++) {
		uint64_t key = draw(&seed) & ~UINT64_C(1); /* the fixture's are odd */
		const struct row *many;
		index_find_many(&f.x, &key, 1, &many);
		wrong += many != NULL || index_find(&f.x, key) != NULL;
	}
	assert_int_equal(wrong, 0);
	fixture_deinit(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_agrees_with_an_array),
		cmocka_unit_test(lookups_are_right_in_the_middle_of_growth),
		cmocka_unit_test(a_key_is_not_taken_for_another_of_the_same_bits),
	};

	if (argc > 1)
		seed_given = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
