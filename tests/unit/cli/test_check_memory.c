// needs: user/cli/check_memory.c user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_check_memory.c: `moment check --memory` says what the engine's own memory holds: the figures of small
 * catalogues are known beforehand.
 */
#include <cli/check_memory.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct line {
	unsigned per_day;
	double entries, bytes, resident, stored, resident_1m, stored_1m;
	char verdict[16];
};

static char *table_of(const char *aggregates)
{
	static const char base[] =
		"bank: { currency: EUR, memory: { windows: 5GB } }\n"
		"events: { pay: { code: 1, body: { payee: string } }, rest: { code: 2 } }\n";
	char yaml[1024], *text = NULL;
	struct problems problems;
	struct catalogue *c;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	problems_init(&problems);
	snprintf(yaml, sizeof yaml, "%s%s", base, aggregates);
	if (catalogue_compile_text("test", yaml, strlen(yaml), &c, &problems) != 0) {
		problems_print(&problems, stderr);
		fail();
	}
	assert_int_equal(check_memory(c, f), 0);
	fclose(f);
	catalogue_free(c);
	problems_deinit(&problems);
	return text;
}

static void lines_of(const char *aggregates, struct line lines[3])
{
	char *text = table_of(aggregates), *at = strstr(text, " a day"), *end = NULL;

	assert_non_null(at);
	for (int i = 0; i < 3; i++) {
		struct line *l = &lines[i];
		at = strchr(at, '\n') + 1;
		end = at;
		l->per_day = (unsigned)strtoul(end, &end, 10);
		l->entries = strtod(end, &end);
		l->bytes = strtod(end, &end);
		l->resident = strtod(end, &end);
		l->stored = strtod(end, &end);
		l->resident_1m = strtod(end, &end);
		l->stored_1m = strtod(end, &end);
		assert_int_equal(sscanf(end, "%15s", l->verdict), 1);
	}
	free(text);
}

static bool within(double value, double from, double to)
{
	if (value >= from && value <= to)
		return true;
	print_error("%f is not between %f and %f\n", value, from, to);
	return false;
}

static void memory_follows_the_events_of_a_window(void **state)
{
	static const unsigned rates[] = { 1, 3, 10 };
	struct line l[3];

	(void)state;
	lines_of("aggregates: { a: { over: [pay], sum: base, within: 60d } }\n", l);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(l[i].per_day, rates[i]);
		/* 60 days, and until it is too late for a late event */
		assert_true(within(l[i].entries, 59.0 * rates[i], 62.0 * rates[i]));
		assert_true(within(l[i].resident / l[i].entries, l[i].bytes - 0.1, l[i].bytes + 0.1));
		assert_true(
			within(l[i].resident_1m, l[i].resident / 1000 - 0.01, l[i].resident / 1000 + 0.01));
		assert_true(l[i].stored > l[i].entries * 16);
	}
	assert_true(l[2].resident > l[1].resident && l[1].resident > l[0].resident);
	assert_string_equal(l[2].verdict, l[2].resident_1m <= 5.0 ? "fits" : "too");
}

/* A condition cannot be judged without traffic: it is taken to hold. */
static void memory_counts_what_a_condition_may_let_in(void **state)
{
	struct line plain[3], never[3];

	(void)state;
	lines_of("aggregates: { a: { over: [pay], count: true, within: 60d } }\n", plain);
	lines_of("aggregates: { a: { over: [pay], count: true, within: 60d, where: 'event.amount < 0' } }\n",
		 never);
	for (int i = 0; i < 3; i++) {
		assert_true(within(never[i].entries, plain[i].entries, plain[i].entries));
		assert_true(within(never[i].stored, plain[i].stored, plain[i].stored));
	}
}

static void memory_of_a_short_window_is_small(void **state)
{
	struct line brief[3], lengthy[3];

	(void)state;
	lines_of("aggregates: { a: { over: [pay], count: true, within: 10m } }\n", brief);
	lines_of("aggregates: { a: { over: [pay], count: true, within: 90d } }\n", lengthy);
	assert_true(brief[2].entries * 5 < lengthy[2].entries);
	assert_true(brief[2].resident * 2 < lengthy[2].resident);
}

static void memory_without_windows_is_none(void **state)
{
	char *text = table_of("");

	(void)state;
	assert_string_equal(text, "\nmemory of windows: there are none\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_follows_the_events_of_a_window),
		cmocka_unit_test(memory_counts_what_a_condition_may_let_in),
		cmocka_unit_test(memory_of_a_short_window_is_small),
		cmocka_unit_test(memory_without_windows_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
