// needs: user/base/region.c
/*
 * The region, the slab and the table. The table's judge is an array that is searched from end to end; keys
 * come from a small set so that they collide, and removals close gaps across the end of the array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/region.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rng_state = 1;

static uint64_t below(uint64_t n)
{
	rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (rng_state >> 33) % n;
}

static void a_region_gives_zeroed_aligned_bytes_until_it_is_full(void **state)
{
	struct region r;
	size_t taken = 0;

	(void)state;
	assert_int_equal(region_init(&r, 10000), 0);
	for (size_t bytes = 1;; bytes += 100) {
		char *p = region_take(&r, bytes);
		if (!p)
			break;
		assert_int_equal((uintptr_t)p % 64, 0);
		for (size_t i = 0; i < bytes; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, bytes);
		taken += bytes;
	}
	assert_true(taken > 9000);
	assert_null(region_take(&r, SIZE_MAX)); /* a sum that wraps is no room */
	assert_null(region_take(&r, SIZE_MAX - 63));
	region_reset(&r);
	char *again = region_take(&r, 5000);
	assert_non_null(again);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(again[i], 0);
	region_deinit(&r);
	assert_null(r.base);
}

static void a_region_that_cannot_be_reserved_says_why(void **state)
{
	struct region r;

	(void)state;
	assert_true(region_init(&r, SIZE_MAX / 2) < 0);
}

static void slab_room_is_the_next_power_of_two(void **state)
{
	static const struct {
		size_t bytes, room;
	} rows[] = { { 0, 64 },	   { 1, 64 },	 { 64, 64 },	 { 65, 128 },
		     { 128, 128 }, { 129, 256 }, { 4096, 4096 }, { (16 << 20) + 1, 32 << 20 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(slab_room(rows[i].bytes), rows[i].room);
}

static void slab_blocks_do_not_overlap_and_are_used_again(void **state)
{
	enum { BLOCKS = 200 };
	struct slab s;
	unsigned char *blocks[BLOCKS] = { NULL };
	size_t rooms[BLOCKS], in_use = 0;

	(void)state;
	assert_int_equal(slab_init(&s, 1 << 20), 0);
	for (int i = 0; i < 20000; i++) {
		size_t k = below(BLOCKS);
		if (blocks[k]) {
			for (size_t at = 0; at < rooms[k]; at += 61)
				assert_int_equal(blocks[k][at], k); /* nobody else wrote here */
			slab_release(&s, blocks[k], rooms[k]);
			in_use -= rooms[k];
			blocks[k] = NULL;
		} else {
			size_t bytes = below(3000);
			blocks[k] = slab_acquire(&s, bytes, &rooms[k]);
			assert_non_null(blocks[k]);
			assert_int_equal(rooms[k], slab_room(bytes));
			in_use += rooms[k];
			memset(blocks[k], (int)k, rooms[k]);
		}
		assert_int_equal(s.bytes_in_use, in_use);
	}
	assert_true(s.region.used < 2 << 20);
	slab_deinit(&s);
}

static void a_slab_stops_at_its_maximum_and_goes_on_after_a_release(void **state)
{
	struct slab s;
	size_t room;
	void *last = NULL;
	int n = 0;

	(void)state;
	assert_int_equal(slab_init(&s, 64 * 1024), 0);
	for (void *p; (p = slab_acquire(&s, 1000, &room)); n++)
		last = p;
	assert_int_equal(n, 64);
	assert_int_equal(s.bytes_in_use, s.bytes_max);
	assert_null(slab_acquire(&s, 1, &room));
	slab_release(&s, last, 1000);
	assert_ptr_equal(slab_acquire(&s, 600, &room), last);
	assert_null(slab_acquire(&s, 1, &room));
	slab_deinit(&s);
}

enum { KEYS = 90, ROOM = 60 };

static void the_table_is_a_map(void **state)
{
	struct table t;
	uint32_t values[KEYS];
	bool has[KEYS] = { false };
	uint32_t count = 0;

	(void)state;
	assert_int_equal(table_init(&t, ROOM), 0);
	for (int i = 0; i < 200000; i++) {
		uint32_t k = (uint32_t)below(KEYS), value = (uint32_t)below(UINT32_MAX);
		struct key128 key = { .low = k % 9, .high = k / 9 };
		if (below(2)) {
			bool fits = has[k] || count < ROOM;
			assert_int_equal(table_set(&t, key, value), fits);
			count += fits && !has[k];
			values[k] = fits ? value : values[k];
			has[k] |= fits;
		} else {
			assert_int_equal(table_remove(&t, key), has[k]);
			count -= has[k];
			has[k] = false;
		}
		assert_int_equal(t.count, count);
		for (uint32_t j = 0; i % 50 == 0 && j < KEYS; j++) {
			uint32_t found;
			assert_int_equal(
				table_find(&t, (struct key128){ .low = j % 9, .high = j / 9 }, &found),
				has[j]);
			if (has[j])
				assert_int_equal(found, values[j]);
		}
	}
	table_deinit(&t);
}

static void table_keys_differ_in_either_half(void **state)
{
	struct table t;
	uint32_t v;

	(void)state;
	assert_int_equal(table_init(&t, 8), 0);
	assert_true(table_set(&t, (struct key128){ .low = 1, .high = 2 }, 7));
	assert_false(table_find(&t, (struct key128){ .low = 1, .high = 3 }, &v));
	assert_false(table_find(&t, (struct key128){ .low = 2, .high = 2 }, &v));
	assert_false(table_find(&t, (struct key128){ .low = 2, .high = 1 }, &v));
	assert_true(table_find(&t, (struct key128){ .low = 1, .high = 2 }, &v) && v == 7);
	assert_true(table_set(&t, (struct key128){ 0 }, 0)); /* the key 0 and the value 0 are like others */
	assert_true(table_find(&t, (struct key128){ 0 }, &v) && v == 0);
	table_deinit(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_region_gives_zeroed_aligned_bytes_until_it_is_full),
		cmocka_unit_test(a_region_that_cannot_be_reserved_says_why),
		cmocka_unit_test(slab_room_is_the_next_power_of_two),
		cmocka_unit_test(slab_blocks_do_not_overlap_and_are_used_again),
		cmocka_unit_test(a_slab_stops_at_its_maximum_and_goes_on_after_a_release),
		cmocka_unit_test(the_table_is_a_map),
		cmocka_unit_test(table_keys_differ_in_either_half),
	};
	const char *seed = argc > 1 ? argv[1] : getenv("MOMENT_SEED");

	if (seed)
		rng_state = strtoull(seed, NULL, 10);
	print_message("seed %llu\n", (unsigned long long)rng_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
