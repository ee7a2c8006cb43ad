// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_lists.c: lists and macros in rules, matches, zones and distances: what is flat and what is
 * interpreted, the three results, types with the fix, and what is refused because it would cost too much.
 */
#include "test_help.h"

#include <errno.h>
#include <stdlib.h>

enum answer { NO = 0, YES = 1, NO_DATA = 2, ERROR = 3 };

static enum answer answer_of(const struct value *v)
{
	return v->status == VALUE_NO_DATA ? NO_DATA : v->status == VALUE_ERROR ? ERROR : v->i ? YES : NO;
}

struct row {
	const char *text;
	enum answer want;
	bool interpreted;
};

static void rows_run(struct help *h, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct value v = help_eval(h, rows[i].text);
		if (answer_of(&v) != rows[i].want || h->program.interpreted != rows[i].interpreted)
			fail_msg("%s: %d, %s", rows[i].text, answer_of(&v),
				 h->program.interpreted ? "interpreted" : "flat");
		assert_int_equal(h->program.type, TYPE_BOOL);
		assert_int_equal(h->program.instructions == 0, rows[i].interpreted);
		assert_true(h->program.steps > 0 && h->program.steps <= PROGRAM_STEPS_MAX);
	}
}
#define ROWS_RUN(h, rows) rows_run(h, rows, sizeof rows / sizeof rows[0])

static void what_is_scalar_stays_flat(void **state)
{
	static const struct row rows[] = {
		{ "i1 in [7, 5, 3]", YES, false },
		{ "i1 in [7, 3]", NO, false },
		{ "i1 in lists.codes", NO, false },
		{ "i1 + 2 in lists.codes", YES, false },
		{ "i1 in lists.none", NO, false },
		{ "s1 in lists.words", YES, false },
		{ "s1 in ['x', 'xa', 'y']", YES, false },
		{ "i1 in [i1, 3]", YES, false },
		{ "m1 in [money('1 EUR'), money('2 EUR')]", YES, false },
		{ "d1 in [1.5, 2.5]", YES, false },
		{ "b1 in [true, false]", YES, false },
		{ "t1 in [timestamp('1970-01-01T00:00:00Z')]", YES, false },
		{ "u1 in [duration('0s'), duration('1s')]", YES, false },
		{ "s1.matches('^xa?$')", YES, false },
		{ "matches(s1, 'b')", NO, false },
		{ "local(t1).getHours() == 2", YES, false },
		{ "t1.getHours('Test/Zone') == 2", YES, false },
		{ "geo.km(d1, d1, d1, d1) == 0.0", YES, false },
		{ "size([1, 2, 3]) == 3", YES, false },
		{ "size(lists.codes) == 4", YES, false },
		{ "'xa'.matches('x') && i1 == 5", YES, false },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_I1, 5);
	help_bind(&h, HELP_B1, 1);
	help_bind_string(&h, HELP_S1, "xa");
	help_bind_double(&h, HELP_D1, 1.5);
	help_bind_money(&h, HELP_M1, 100, EUR);
	ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void lists_and_macros_are_interpreted(void **state)
{
	static const struct row rows[] = {
		{ "[i1, 2].exists(e, e == 5)", YES, true },
		{ "[i1, 2].all(e, e > 2)", NO, true },
		{ "[i1, 2].exists_one(e, e > 2)", YES, true },
		{ "lists.codes.exists(e, e == i1 + 2)", YES, true },
		{ "lists.words.all(w, size(w) < 3)", YES, true },
		{ "lists.words.exists(w, s1.contains(w) && w.matches('^x'))", YES, true },
		{ "[i1, 6].map(e, e * 2)[1] == 12", YES, true },
		{ "[i1, 6].filter(e, e > 5) == [6]", YES, true },
		{ "[i1] + [6] != [5, 6]", NO, true },
		{ "size([i1] + lists.codes) == 5", YES, true },
		{ "lists.codes[i1] == 7", ERROR, true },
		{ "lists.codes[i1 - 3] == 7", YES, true },
		{ "lists.codes[-1] == 7", ERROR, true },
		{ "i1 in [i1] + [2]", YES, true },
		{ "(b1 ? [i1] : []).exists(e, e == 5)", YES, true },
		{ "[event.amount].exists(a, a > money('1 EUR'))", YES, true },
		{ "[money('1 EUR'), money('4 USD')].exists(m, m == money('2 EUR'))", YES, true },
		{ "lists.none.exists(e, e == 1)", NO, true },
		{ "[].all(e, e == 1)", YES, true },
		{ "[i1, 2].exists(e, [3, e].all(f, f >= e))", YES, true },
		{ "[t1].exists(t, local(t).getHours() == 2)", YES, true },
		{ "has([i1][0]) && !has([i1][1] == 1)", ERROR, true },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_I1, 5);
	help_bind(&h, HELP_B1, 1);
	help_bind(&h, HELP_AMOUNT, 150);
	help_bind_string(&h, HELP_S1, "xab");
	ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void no_data_and_errors_go_through_macros(void **state)
{
	/* i1 is no data, i2 = 0 */
	static const struct row rows[] = {
		{ "[i1, 1].exists(e, e == 1)", YES, true },
		{ "[i1, 1].exists(e, e == 2)", NO_DATA, true },
		{ "[i1, 1].all(e, e == 2)", NO, true },
		{ "[i1, 1].all(e, e == 1)", NO_DATA, true },
		{ "[i1, 1].exists_one(e, e == 1)", NO_DATA, true },
		{ "[1, i2].exists(e, 1 / e == 1)", YES, true },
		{ "[2, i2].exists(e, 1 / e == 1)", ERROR, true },
		{ "[i1, i2].exists(e, 1 / e == 1)", ERROR, true },
		{ "[2, i2].all(e, 1 / e == 1)", NO, true },
		{ "[1, i2].all(e, 1 / e == 1)", ERROR, true },
		{ "[1, i2].exists_one(e, 1 / e == 1)", ERROR, true },
		{ "[i1, 1].filter(e, e == 1) == [1]", NO_DATA, true },
		{ "[i1, 1].map(e, 1)  == [1, 1]", YES, true },
		{ "[i1, 1].map(e, e)[1] == 1", YES, true },
		{ "[i1, 1].map(e, e)[0] == 1", NO_DATA, true },
		{ "[i1, 2] == [1, 1]", NO, true },
		{ "[i1, 1] == [1, 1]", NO_DATA, true },
		{ "[i1] == [1, 1]", NO, true },
		{ "size([i1, i1]) == 2", YES, true },
		{ "[1, i1].exists(e, has(e))", YES, true },
		{ "[1, i1].all(e, has(e))", NO, true },
		{ "i1 in [i2] + [1]", NO_DATA, true },
		{ "i2 in [i1] + [0]", YES, true },
		{ "i2 in [i1] + [1]", NO_DATA, true },
		{ "i1 in [1, 2]", NO_DATA, false },
		{ "i1 in lists.none", NO_DATA, false },
		{ "[1][i1] == 1", NO_DATA, true },
		{ "(i1 == 1 ? [1] : [2])[0] == 1", NO_DATA, true },
		{ "(i1 == 1 ? [1] : [2]).exists(e, true)", NO_DATA, true },
		{ "i2 == 0 || [1 / i2].exists(e, e == 1)", YES, true },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_no_data(&h, HELP_I1);
	ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void zones_and_places_have_their_errors(void **state)
{
	static const struct row rows[] = {
		{ "has(local(t1))", ERROR, false },
		{ "has(t1.getHours('Test/Zone'))", ERROR, false },
		{ "has(t1.getHours('-01:00'))", YES, false },
		{ "has(geo.km(d1, 0.0, 0.0, 0.0))", ERROR, false },
		{ "has(geo.km(0.0, d1, 0.0, 0.0))", YES, false },
		{ "has(geo.km(0.0, 0.0, d2, 0.0))", NO, false },
		{ "geo.km(40.4168, -3.7038, 41.3874, 2.1686) == 505.096", YES, false },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_T1, INT64_MAX);
	help_bind_double(&h, HELP_D1, 90.5);
	help_bind_no_data(&h, HELP_D2);
	ROWS_RUN(&h, rows);
	h.env.zone = NULL; /* UTC */
	help_bind(&h, HELP_T1, 0);
	assert_int_equal(help_eval(&h, "local(t1).getHours()").i, 0);
	help_deinit(&h);
}

static void loads_of_what_is_interpreted_are_told(void **state)
{
	struct cel_load loads[8];
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(help_compile(&h, "[i2, i1, i2].exists(e, e > i1 || b1)"), 0);
	assert_int_equal(cel_loads(&h.program, loads, 8), 3);
	assert_int_equal(loads[0].index, HELP_I2);
	assert_int_equal(loads[1].index, HELP_I1);
	assert_int_equal(loads[2].index, HELP_B1);
	assert_int_equal(cel_loads(&h.program, loads, 2), 2);
	assert_int_equal(h.program.spaces, 1 << SPACE_BIND);
	assert_int_equal(help_compile(&h, "[1].map(e, e + 1)[0] == 2"), 0);
	assert_int_equal(cel_loads(&h.program, loads, 8), 0);
	assert_int_equal(h.program.spaces, 0);
	help_deinit(&h);
}

static void a_wrong_type_of_a_list_is_refused_with_the_fix(void **state)
{
	static const struct {
		const char *text, *found, *expected;
	} rows[] = {
		{ "[1, 2.0] == [1]", "double", "write 1.0 == 2.0" },
		{ "[1, 'a'] == [1]", "string", "int (int == string)" },
		{ "[i1, event.amount].exists(e, e > 1)", "int in the event's currency",
		  "int, as the first element" },
		{ "[1] == ['a']", "string", "int (int == string)" },
		{ "[1] < [2]", "list", "a value that has an order" },
		{ "[1] + ['a'] == [1]", "string", "int" },
		{ "[1] + 1 == [1]", "int", "list (list + int)" },
		{ "1 in 1", "int", "list (on the right of in)" },
		{ "'a' in lists.codes", "int", "string (string in int)" },
		{ "1.0 in lists.codes", "int", "double (double in int" },
		{ "i1.exists(e, true)", "int", "list (in front of a macro)" },
		{ "[1].exists(e, e)", "int", "bool (condition of a macro)" },
		{ "[1].exists(e, e == 'a')", "string", "int (int == string)" },
		{ "[1].map(e, 1, e) == [1]", "int", "bool (condition of map)" },
		{ "[1].map(e, [e]) == [1]", "list", "not built yet: lists of lists" },
		{ "[1].exists(1, true)", "1", "the name of a variable" },
		{ "[1].exists(e)", ")", "a comma behind the variable" },
		{ "[1].filter(e, true, true) == [1]", ",", "an operator or the closing )" },
		{ "[1].exists(e, e == 1) && e == 1", "e", "a name that is known" },
		{ "[1]['a'] == 1", "string", "int (place in a list)" },
		{ "i1[0] == 1", "int", "list (in front of [..])" },
		{ "[][0] == 1", "the empty list", "a list with elements" },
		{ "b1 ? [1] : ['a']", "string", "int" },
		{ "[1, 2]", "list", "one value (a list is no result)" },
		{ "lists.codes", "list", "one value" },
		{ "s1.matches(s2)", "s2", "a literal pattern" },
		{ "s1.matches('a' + 'b')", "'a' + 'b'", "a literal pattern" },
		{ "s1.matches('(a')", "(", "in the pattern the closing )" },
		{ "s1.matches('a{300}')", "a pattern of 301 instructions",
		  "a pattern of at most 256 instructions" },
		{ "s1.matches(r'\\pL')", "\\p", "not built yet: classes of Unicode" },
		{ "s1.matches(5)", "int", "string (argument of matches())" },
		{ "geo.km(1, 2.0, 3.0, 4.0) > 1.0", "int", "double (argument of geo.km())" },
		{ "geo.km(1.0, 2.0) > 1.0", "2 arguments", "4 for geo.km()" },
		{ "geo.miles(1.0) > 1.0", "geo", "a name that is known" },
		{ "local(5) == t1", "int", "timestamp (argument of local())" },
		{ "t1.local() == t1", "local", "write local(x)" },
		{ "t1.getHours('Europe/Nowhere') == 1", "'Europe/Nowhere'", "or a zone" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (help_compile(&h, rows[i].text) != -EINVAL)
			fail_msg("%s: accepted", rows[i].text);
		if (strcmp(h.error.found, rows[i].found) != 0 || !strstr(h.error.expected, rows[i].expected))
			fail_msg("%s: found '%s' expected '%s'", rows[i].text, h.error.found,
				 h.error.expected);
	}
	help_deinit(&h);
}

/* head, `count` times piece with commas, back */
static int list_compile(struct help *h, const char *head, const char *piece, unsigned count, const char *back)
{
	size_t room = strlen(head) + count * (strlen(piece) + 1) + strlen(back) + 1;
	char *text = malloc(room);

	assert_non_null(text);
	strcpy(text, head);
	for (unsigned i = 0; i < count; i++) {
		strcat(text, i ? "," : "");
		strcat(text, piece);
	}
	strcat(text, back);
	int rc = help_compile(h, text);
	free(text);
	return rc;
}

static void what_costs_too_much_is_refused_with_the_figure(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	/* the list: a step and one for each element; a pass of the outer macro: a step, the inner one and its
	 * pass */
	assert_int_equal(list_compile(&h, "[", "i1", 50, "].exists(e, lists.codes.exists(f, e == f))"), 0);
	assert_true(h.program.steps > 50 * 4 * 3 && h.program.steps < 50 * 4 * 6);
	assert_int_equal(list_compile(&h, "[", "i1", 1000, "].exists(e, lists.codes.exists(f, e == f))"),
			 -EINVAL);
	assert_non_null(strstr(h.error.found, " steps"));
	assert_non_null(strstr(h.error.expected, "at most 16384 steps for one evaluation"));
	assert_int_equal(list_compile(&h, "[", "i1", 2048, "].exists(e, e == 1)"), 0);
	assert_int_equal(list_compile(&h, "[", "i1", 2049, "].exists(e, e == 1)"), -EINVAL);
	assert_string_equal(h.error.found, "2049 elements of lists that are made");
	static const char four[] = "lists.codes.exists(a, lists.codes.exists(b, lists.codes.exists(c, "
				   "lists.codes.exists(d, a + b + c + d == i1))))";
	static const char six[] = "lists.codes.exists(a, lists.codes.exists(b, lists.codes.exists(c, "
				  "lists.codes.exists(d, lists.codes.exists(e, lists.codes.exists(f, "
				  "a + b + c + d + e + f == i1))))))";
	assert_int_equal(help_compile(&h, four), 0);
	assert_int_equal(help_compile(&h, six), -EINVAL);
	assert_non_null(strstr(h.error.found, " steps"));
	assert_int_equal(list_compile(&h, "[i1].exists(e, s1.matches('a{200}'))", "", 0, ""), 0);
	assert_true(h.program.steps > 200);
	help_deinit(&h);
}

static void macros_and_heights_are_refused_one_over_their_limit(void **state)
{
	char text[16384] = "";
	struct help h;

	(void)state;
	help_init(&h);
	for (int depth = MACRO_DEPTH_MAX; depth <= MACRO_DEPTH_MAX + 1; depth++) {
		text[0] = '\0';
		for (int i = 0; i < depth; i++)
			sprintf(text + strlen(text), "[1].exists(e%d, ", i);
		strcat(text, "i1 == 1");
		for (int i = 0; i < depth; i++)
			strcat(text, ")");
		assert_int_equal(help_compile(&h, text), depth > MACRO_DEPTH_MAX ? -EINVAL : 0);
	}
	assert_non_null(strstr(h.error.expected, "at most 8 macros inside of each other"));
	for (int height = 500; height <= 520; height += 20) {
		strcpy(text, "[i1].exists(e, i1");
		for (int i = 0; i < height; i++)
			strcat(text, " + i2");
		strcat(text, " == 1)");
		assert_int_equal(help_compile(&h, text), height > 512 ? -EINVAL : 0);
	}
	assert_non_null(strstr(h.error.expected, "at most 512 operations on each other"));
	help_deinit(&h);
}

static void lists_that_do_not_fit_in_scratch_are_out_of_range(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_I1, 1);
	for (uint32_t bytes = 0; bytes < 200; bytes++) {
		h.env.scratch_bytes = bytes;
		struct value v = help_eval(&h, "([i1, 2] + [3]).exists(e, e == 3)");
		/* two lists, of one and of two values, and the joined one, wherever the scratch begins */
		if (v.status == VALUE_ERROR)
			assert_true(v.bytes == VALUE_ERROR_RANGE && bytes < 6 * 16 + 16);
		else
			assert_true(v.i == 1 && bytes >= 5 * 16);
	}
	help_bind_string(&h, HELP_S1, "0123456789");
	h.env.scratch_bytes = 100;
	/* what a condition makes is gone behind it */
	assert_int_equal(help_eval(&h, "lists.codes.all(e, (s1 + s1 + s1).size() == 30)").i, 1);
	assert_int_equal(help_eval(&h, "lists.codes.map(e, s1 + s1 + s1)[3].size() == 30").status,
			 VALUE_ERROR);
	h.env.scratch = NULL;
	h.env.scratch_bytes = 0;
	assert_int_equal(help_eval(&h, "[i1].exists(e, e == 1)").status, VALUE_ERROR);
	assert_int_equal(help_eval(&h, "lists.codes.exists(e, e == 7)").i, 1);
	help_deinit(&h);
}

/* What a search finds in lists of every size is what a walk finds. */
static void a_search_finds_what_a_walk_finds(void **state)
{
	char text[8192];
	struct help h;

	(void)state;
	help_init(&h);
	for (int size = 1; size <= 40; size++) {
		strcpy(text, "i1 in [");
		for (int i = 0; i < size; i++)
			sprintf(text + strlen(text), "%s%d", i ? "," : "", (i * 7919) % 83);
		strcat(text, "]");
		assert_int_equal(help_compile(&h, text), 0);
		for (int64_t x = -1; x < 85; x++) {
			bool want = false;
			for (int i = 0; i < size; i++)
				want = want || (i * 7919) % 83 == x;
			help_bind(&h, HELP_I1, x);
			assert_int_equal(cel_eval(&h.program, &h.env).i, want);
		}
		strcpy(text, "s1 in [");
		for (int i = 0; i < size; i++)
			sprintf(text + strlen(text), "%s'%d'", i ? "," : "", (i * 7919) % 83);
		strcat(text, "]");
		assert_int_equal(help_compile(&h, text), 0);
		memset(text, '?', sizeof text); /* the program holds its own strings */
		for (int x = 0; x < 85; x++) {
			char word[16];
			bool want = false;
			for (int i = 0; i < size; i++)
				want = want || (i * 7919) % 83 == x;
			sprintf(word, "%d", x);
			help_bind_string(&h, HELP_S1, word);
			assert_int_equal(cel_eval(&h.program, &h.env).i, want);
		}
	}
	help_deinit(&h);
}

static void without_the_callback_zone_names_are_not_built(void **state)
{
	const struct cel_scope scope = { .resolve = help_resolve, .rates = &help_rates };
	static const char text[] = "t1.getHours('Test/Zone') == 1";
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(cel_compile(text, strlen(text), &scope, TYPE_NONE, &h.arena, &h.program, &h.error),
			 -EINVAL);
	assert_non_null(strstr(h.error.expected, "not built yet: zone names"));
	help_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_scalar_stays_flat),
		cmocka_unit_test(lists_and_macros_are_interpreted),
		cmocka_unit_test(no_data_and_errors_go_through_macros),
		cmocka_unit_test(zones_and_places_have_their_errors),
		cmocka_unit_test(loads_of_what_is_interpreted_are_told),
		cmocka_unit_test(a_wrong_type_of_a_list_is_refused_with_the_fix),
		cmocka_unit_test(what_costs_too_much_is_refused_with_the_figure),
		cmocka_unit_test(macros_and_heights_are_refused_one_over_their_limit),
		cmocka_unit_test(lists_that_do_not_fit_in_scratch_are_out_of_range),
		cmocka_unit_test(a_search_finds_what_a_walk_finds),
		cmocka_unit_test(without_the_callback_zone_names_are_not_built),
	};

	return cmocka_run_group_tests_name("cel_lists", tests, NULL, NULL);
}
