// needs: user/base/histogram.c
/*
 * test_histogram.c: percentiles against the sorted values themselves, to 1/16, from 0 to 2^63 - 1.
 */
#include <base/histogram.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct histogram *histogram_new(void)
{
	struct histogram *h = calloc(1, sizeof *h);

	assert_non_null(h);
	return h;
}

static void an_empty_histogram_gives_0(void **state)
{
	struct histogram *h = histogram_new();

	(void)state;
	assert_int_equal(histogram_percentile(h, 0.5), 0);
	assert_int_equal(histogram_percentile(h, 1.0), 0);
	free(h);
}

/* One value: every percentile is that value, since none is above the largest. */
static void one_value_is_given_back_exactly(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 63; bit++) {
		for (int64_t more = -1; more <= 1; more++) {
			struct histogram *h = histogram_new();
			int64_t value = (int64_t)((UINT64_C(1) << bit) + (uint64_t)more);
			histogram_add(h, value);
			assert_int_equal(histogram_percentile(h, 0), value);
			assert_int_equal(histogram_percentile(h, 0.5), value);
			assert_int_equal(histogram_percentile(h, 1.0), value);
			assert_int_equal(h->max_ns, value);
			free(h);
		}
	}
}

static void the_largest_value_has_a_bucket(void **state)
{
	struct histogram *h = histogram_new();

	(void)state;
	histogram_add(h, INT64_MAX);
	histogram_add(h, 1);
	assert_true(histogram_percentile(h, 0.999) == INT64_MAX);
	assert_int_equal(histogram_percentile(h, 0), 1);
	free(h);
}

static void a_negative_time_counts_as_0(void **state)
{
	struct histogram *h = histogram_new();

	(void)state;
	histogram_add(h, -5);
	histogram_add(h, INT64_MIN);
	assert_int_equal(h->count, 2);
	assert_int_equal(h->sum_ns, 0);
	assert_int_equal(h->bucket[0], 2);
	assert_int_equal(histogram_percentile(h, 1.0), 0);
	free(h);
}

static int order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void percentiles_are_right_to_a_sixteenth(void **state)
{
	static const double parts[] = { 0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999 };
	enum { COUNT = 20000 };
	struct histogram *h = histogram_new();
	int64_t *values = calloc(COUNT, sizeof *values);
	uint64_t random = 1, sum = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		values[i] = (int64_t)(random >> 20 >> (random >> 58 & 31)); /* over thirty powers of two */
		histogram_add(h, values[i]);
		sum += (uint64_t)values[i];
	}
	qsort(values, COUNT, sizeof *values, order);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		int64_t exact = values[(size_t)(parts[i] * COUNT)], got = histogram_percentile(h, parts[i]);
		if (got < exact || (double)got > (double)exact * 17 / 16 + 1)
			fail_msg("%g: %lld, exactly %lld", parts[i], (long long)got, (long long)exact);
	}
	assert_int_equal(histogram_percentile(h, 1.0), values[COUNT - 1]);
	assert_int_equal(h->sum_ns, sum);
	assert_int_equal(h->count, COUNT);
	free(values);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_histogram_gives_0),
		cmocka_unit_test(one_value_is_given_back_exactly),
		cmocka_unit_test(the_largest_value_has_a_bucket),
		cmocka_unit_test(a_negative_time_counts_as_0),
		cmocka_unit_test(percentiles_are_right_to_a_sixteenth),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
