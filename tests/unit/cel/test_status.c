// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_status.c: value, no data and error through every operator: the rules of docs/decisions.md 1 as
 * tables over all pairs of statuses.
 */
#include "test_help.h"

/* The letters of the tables: T and F values, N no data, E an error. */
static struct value letter_value(char letter)
{
	struct value v = { .type = TYPE_BOOL, .i = letter == 'T' };

	if (letter == 'N')
		v.status = VALUE_NO_DATA;
	if (letter == 'E') {
		v.status = VALUE_ERROR;
		v.bytes = VALUE_ERROR_OVERFLOW;
	}
	return v;
}

static char value_letter(struct value v)
{
	assert_int_equal(v.type, TYPE_BOOL);
	if (v.status == VALUE_NO_DATA)
		return 'N';
	if (v.status == VALUE_ERROR)
		return 'E';
	return v.i ? 'T' : 'F';
}

static void pairs_run(const char *text, const char *const rows[], size_t count)
{
	struct help h;

	help_init(&h);
	for (size_t i = 0; i < count; i++) {
		h.bind[HELP_B1] = letter_value(rows[i][0]);
		h.bind[HELP_B2] = letter_value(rows[i][1]);
		char got = value_letter(help_eval(&h, text));
		if (got != rows[i][2])
			fail_msg("%s with %c and %c: %c, not %c", text, rows[i][0], rows[i][1], got,
				 rows[i][2]);
	}
	help_deinit(&h);
}
#define PAIRS_RUN(text, rows) pairs_run(text, rows, sizeof rows / sizeof rows[0])

static void and_is_false_if_either_is_else_the_worse(void **state)
{
	static const char *const rows[] = { "TTT", "TFF", "TNN", "TEE", "FTF", "FFF", "FNF", "FEF",
					    "NTN", "NFF", "NNN", "NEE", "ETE", "EFF", "ENE", "EEE" };

	(void)state;
	PAIRS_RUN("b1 && b2", rows);
}

static void or_is_true_if_either_is_else_the_worse(void **state)
{
	static const char *const rows[] = { "TTT", "TFT", "TNT", "TET", "FTT", "FFF", "FNN", "FEE",
					    "NTT", "NFN", "NNN", "NEE", "ETT", "EFE", "ENE", "EEE" };

	(void)state;
	PAIRS_RUN("b1 || b2", rows);
}

static void a_strict_operator_gives_the_worse(void **state)
{
	static const char *const rows[] = { "TTT", "TFF", "TNN", "TEE", "FTF", "FFT", "FNN", "FEE",
					    "NTN", "NFN", "NNN", "NEE", "ETE", "EFE", "ENE", "EEE" };

	(void)state;
	PAIRS_RUN("b1 == b2", rows);
}

static void in_is_true_if_one_element_is_equal_else_the_worse(void **state)
{
	/* b1 in [b2]: as b1 == b2 */
	static const char *const one[] = { "TTT", "TFF", "TNN", "TEE", "FTF", "FFT", "FNN", "FEE",
					   "NTN", "NFN", "NNN", "NEE", "ETE", "EFE", "ENE", "EEE" };
	/* b1 in [b2, true]: an element that is equal decides alone */
	static const char *const two[] = { "TTT", "TFT", "TNT", "TET", "FTF", "FFT", "FNN", "FEE",
					   "NTN", "NFN", "NNN", "NEE", "ETE", "EFE", "ENE", "EEE" };
	/* b1 in []: false of a value */
	static const char *const none[] = { "TTF", "FTF", "NTN", "ETE" };

	(void)state;
	PAIRS_RUN("b1 in [b2]", one);
	PAIRS_RUN("b1 in [b2, true]", two);
	PAIRS_RUN("b1 in [true, b2]", two);
	PAIRS_RUN("b1 in []", none);
}

static void choice_takes_the_status_of_its_condition_and_of_the_chosen_side(void **state)
{
	/* condition, side: b1 ? b2 : true, b1 ? true : b2 */
	static const char *const yes[] = { "TTT", "TFF", "TNN", "TEE", "FTT", "FFT", "FNT", "FET",
					   "NTN", "NFN", "NNN", "NEN", "ETE", "EFE", "ENE", "EEE" };
	static const char *const no[] = { "TTT", "TFT", "TNT", "TET", "FTT", "FFF", "FNN", "FEE",
					  "NTN", "NFN", "NNN", "NEN", "ETE", "EFE", "ENE", "EEE" };

	(void)state;
	PAIRS_RUN("b1 ? b2 : true", yes);
	PAIRS_RUN("b1 ? true : b2", no);
}

static void has_is_false_on_no_data_and_keeps_an_error(void **state)
{
	static const char *const rows[] = { "TTT", "FTT", "NTF", "ETE" };
	static const char *const computed[] = { "TTT", "TNF", "NTF", "TEE", "NEE" };

	(void)state;
	PAIRS_RUN("has(b1)", rows);
	PAIRS_RUN("has(b1 == b2)", computed);
}

static void not_is_strict(void **state)
{
	static const char *const rows[] = { "TTF", "FTT", "NTN", "ETE" };

	(void)state;
	PAIRS_RUN("!b1", rows);
}

/* Constants take part in the same rules: what the compiler folds is what the program would compute. */
static void folded_operands_keep_the_rules(void **state)
{
	static const struct {
		const char *text;
		const char *letters; /* of b1 = T F N E */
	} rows[] = {
		{ "b1 && true", "TFNE" },
		{ "true && b1", "TFNE" },
		{ "b1 && false", "FFFF" },
		{ "false && b1", "FFFF" },
		{ "b1 || true", "TTTT" },
		{ "true || b1", "TTTT" },
		{ "b1 || false", "TFNE" },
		{ "false || b1", "TFNE" },
		{ "b1 && 1 / 0 == 1", "EFEE" },
		{ "1 / 0 == 1 && b1", "EFEE" },
		{ "b1 || 1 / 0 == 1", "TEEE" },
		{ "1 % 0 == 1 || b1", "TEEE" },
		{ "true ? b1 : false", "TFNE" },
		{ "false ? true : b1", "TFNE" },
		{ "1 / 0 == 1 ? b1 : b1", "EEEE" },
		{ "b1 ? 1 / 0 == 1 : true", "ETNE" },
		{ "has(1)", "TTTT" },
		{ "has(1 / 0)", "EEEE" },
		{ "b1 in [true, 1 / 0 == 1]", "TEEE" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int k = 0; k < 4; k++) {
			h.bind[HELP_B1] = letter_value("TFNE"[k]);
			char got = value_letter(help_eval(&h, rows[i].text));
			if (got != rows[i].letters[k])
				fail_msg("%s with %c: %c, not %c", rows[i].text, "TFNE"[k], got,
					 rows[i].letters[k]);
		}
	help_deinit(&h);
}

static void an_error_tells_the_left_ones_reason(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_error(&h, HELP_I1, VALUE_ERROR_RANGE);
	help_bind_error(&h, HELP_I2, VALUE_ERROR_CONVERT);
	struct value v = help_eval(&h, "i1 + i2");
	assert_int_equal(v.status, VALUE_ERROR);
	assert_int_equal(v.type, TYPE_INT);
	assert_int_equal(v.bytes, VALUE_ERROR_RANGE);
	v = help_eval(&h, "i2 < i1");
	assert_int_equal(v.bytes, VALUE_ERROR_CONVERT);
	v = help_eval(&h, "i2 > i1"); /* compiled as i1 < i2 */
	assert_int_equal(v.status, VALUE_ERROR);
	help_deinit(&h);
}

static void every_strict_operation_keeps_no_data_and_errors(void **state)
{
	static const char *const texts[] = {
		"-i1",
		"-d1",
		"i1 + i2",
		"i2 - i1",
		"i1 * i2",
		"i2 / i1",
		"i1 % i2",
		"d1 + d2",
		"d2 - d1",
		"d1 * d2",
		"d2 / d1",
		"s1 + s2",
		"s2 + s1",
		"t1 + u2",
		"u2 + t1",
		"t1 - u2",
		"t2 - t1",
		"u1 + u2",
		"u2 - u1",
		"i1 < i2",
		"d1 <= d2",
		"s1 > s2",
		"t1 >= t2",
		"u1 != u2",
		"m1 == m2",
		"m2 < m1",
		"size(s1)",
		"s1.startsWith(s2)",
		"s2.endsWith(s1)",
		"s1.contains(s2)",
		"int(d1)",
		"int(s1)",
		"int(t1)",
		"double(i1)",
		"double(s1)",
		"string(b1)",
		"string(i1)",
		"string(d1)",
		"string(t1)",
		"string(u1)",
		"string(m1)",
		"bool(s1)",
		"timestamp(i1)",
		"timestamp(s1)",
		"duration(s1)",
		"t1.getHours()",
		"t1.getDate('+02:00')",
		"u1.getSeconds()",
		"i1 in [i2]",
		"event.amount < m1",
		"m1 >= event.base",
		"i1 == 1 ? 1 : 2",
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		for (unsigned k = 0; k < HELP_COUNT; k++)
			if (help_names[k].name[1] == '1' || strchr(help_names[k].name, '.'))
				help_bind_no_data(&h, k);
		struct value v = help_eval(&h, texts[i]);
		if (v.status != VALUE_NO_DATA || v.i != 0)
			fail_msg("%s of no data: status %u", texts[i], v.status);
		for (unsigned k = 0; k < HELP_COUNT; k++)
			if (help_names[k].name[1] == '1' || strchr(help_names[k].name, '.'))
				help_bind_error(&h, k, VALUE_ERROR_OVERFLOW);
		v = help_eval(&h, texts[i]);
		if (v.status != VALUE_ERROR || v.bytes != VALUE_ERROR_OVERFLOW)
			fail_msg("%s of an error: status %u", texts[i], v.status);
	}
	help_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(and_is_false_if_either_is_else_the_worse),
		cmocka_unit_test(or_is_true_if_either_is_else_the_worse),
		cmocka_unit_test(a_strict_operator_gives_the_worse),
		cmocka_unit_test(in_is_true_if_one_element_is_equal_else_the_worse),
		cmocka_unit_test(choice_takes_the_status_of_its_condition_and_of_the_chosen_side),
		cmocka_unit_test(has_is_false_on_no_data_and_keeps_an_error),
		cmocka_unit_test(not_is_strict),
		cmocka_unit_test(folded_operands_keep_the_rules),
		cmocka_unit_test(an_error_tells_the_left_ones_reason),
		cmocka_unit_test(every_strict_operation_keeps_no_data_and_errors),
	};

	return cmocka_run_group_tests_name("cel_status", tests, NULL, NULL);
}
