// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_error.c: what is refused, where it says that it stands, and what it says to write; the limits; and
 * that no text whatever, cut off anywhere, does more than be refused.
 */
#include "test_help.h"

#include <errno.h>
#include <stdlib.h>

struct refusal {
	const char *text;
	uint32_t line, column;
	const char *found, *expected; /* expected: a part of it */
};

static void refusals_run(const struct refusal *rows, size_t count)
{
	struct help h;

	help_init(&h);
	for (size_t i = 0; i < count; i++) {
		const struct refusal *r = &rows[i];
		if (help_compile(&h, r->text) != -EINVAL)
			fail_msg("%s: accepted", r->text);
		if (h.error.line != r->line || h.error.column != r->column ||
		    strcmp(h.error.found, r->found) != 0 || !strstr(h.error.expected, r->expected))
			fail_msg("%s: %u:%u found '%s' expected '%s'", r->text, h.error.line, h.error.column,
				 h.error.found, h.error.expected);
	}
	help_deinit(&h);
}
#define REFUSALS_RUN(rows) refusals_run(rows, sizeof rows / sizeof rows[0])

static void a_text_that_is_no_expression_is_refused_at_its_place(void **state)
{
	static const struct refusal rows[] = {
		{ "", 1, 1, "the end", "a value" },
		{ "   ", 1, 4, "the end", "a value" },
		{ "// nothing", 1, 11, "the end", "a value" },
		{ "1 +", 1, 4, "the end", "a value" },
		{ "1 + * 2", 1, 5, "*", "a value" },
		{ "(1", 1, 3, "the end", "the closing )" },
		{ "1)", 1, 2, ")", "an operator or the end" },
		{ "1 2", 1, 3, "2", "an operator or the end" },
		{ "i1 = 2", 1, 4, "=", "==" },
		{ "b1 & b2", 1, 4, "&", "&&" },
		{ "b1 | b2", 1, 4, "|", "||" },
		{ "b1 and b2", 1, 4, "and", "&&" },
		{ "b1 or b2", 1, 4, "or", "||" },
		{ "not b1", 1, 1, "not", "!" },
		{ "b1 ? 1", 1, 7, "the end", "the : of ?:" },
		{ "b1 ? 1 :", 1, 9, "the end", "a value" },
		{ "b1 ? b2 ? 1 : 2 : 3", 1, 9, "?", "the : of ?:" },
		{ "i1 in [1, 2", 1, 12, "the end", "the closing ]" },
		{ "size(s1", 1, 8, "the end", "the closing )" },
		{ "size(s1,)", 1, 9, ")", "an argument" },
		{ "i1\n+ i2\n  + ?", 3, 5, "?", "a value" },
		{ "'é' + ?", 1, 7, "?", "a value" },
		{ "'€' + '😀' + ?", 1, 13, "?", "a value" },
		{ "i1 // comment\n + ", 2, 4, "the end", "a value" },
		{ "if", 1, 1, "if", "reserved" },
		{ "while > 1", 1, 1, "while", "reserved" },
		{ "event.", 1, 7, "the end", "the name of a method" },
		{ "i1.5", 1, 3, ".5", "an operator or the end" },
		{ "#", 1, 1, "#", "an operator, a name" },
		{ "é", 1, 1, "é", "an operator, a name" },
		{ "true(1)", 1, 5, "(", "an operator or the end" },
	};

	(void)state;
	REFUSALS_RUN(rows);
}

static void a_literal_that_cannot_be_read_is_refused_at_its_place(void **state)
{
	static const struct refusal rows[] = {
		{ "9223372036854775808", 1, 1, "9223372036854775808", "an int from" },
		{ "1 + 9223372036854775808", 1, 5, "9223372036854775808", "an int from" },
		{ "-9223372036854775809", 1, 2, "9223372036854775809", "an int from" },
		{ "99999999999999999999999", 1, 1, "99999999999999999999999", "an int from" },
		{ "0x", 1, 1, "0x", "hexadecimal digits" },
		{ "0x8000000000000000", 1, 1, "0x8000000000000000", "an int from" },
		{ "0x10000000000000000", 1, 1, "0x10000000000000000", "an int from" },
		{ "5u", 1, 1, "5u", "not built yet: uint" },
		{ "5abc", 1, 1, "5abc", "a number" },
		{ "event.time > 10m", 1, 14, "10m", "duration(\"10m\")" },
		{ "i1 > 1h30m", 1, 6, "1h30m", "duration(\"1h30m\")" },
		{ "1e999", 1, 1, "1e999", "a double: at most" },
		{ "1e", 1, 1, "1e", "a number" },
		{ "'abc", 1, 1, "'abc", "the closing ' of the string" },
		{ "\"abc'", 1, 1, "\"abc'", "the closing \" of the string" },
		{ "'''abc''", 1, 1, "'''abc''", "the closing ''' of the string" },
		{ "r'abc", 1, 1, "r'abc", "the closing ' of the string" },
		{ "'a\nb'", 1, 3, "a line's end inside of a string", "three quotes" },
		{ "'a\\qb'", 1, 3, "\\q", "an escape" },
		{ "'a\\", 1, 3, "\\", "an escape" },
		{ "'a\\é'", 1, 3, "\\é", "an escape" },
		{ "'\\x4'", 1, 2, "\\x", "2 hexadecimal digits" },
		{ "'\\u12'", 1, 2, "\\u", "4 hexadecimal digits" },
		{ "'\\U0001F60'", 1, 2, "\\U", "8 hexadecimal digits" },
		{ "'\\08'", 1, 2, "\\0", "3 octal digits" },
		{ "'\\400'", 1, 2, "\\4", "an escape" },
		{ "'\\ud800'", 1, 2, "\\ud800", "not a surrogate" },
		{ "'\\U00110000'", 1, 2, "\\U00110000", "at most \\U0010FFFF" },
		{ "duration('10x')", 1, 10, "'10x'", "a duration of h, m, s" },
		{ "duration('7d')", 1, 10, "'7d'", "a day is \"24h\"" },
		{ "duration('')", 1, 10, "''", "a duration of h, m, s" },
		{ "duration('3000000h')", 1, 10, "'3000000h'", "that is in range" },
		{ "timestamp('yesterday')", 1, 11, "'yesterday'", "an RFC 3339 time" },
		{ "timestamp('2026-02-30T00:00:00Z')", 1, 11, "'2026-02-30T00:00:00Z'", "an RFC 3339 time" },
		{ "timestamp('2300-01-01T00:00:00Z')", 1, 11, "'2300-01-01T00:00:00Z'", "that is in range" },
		{ "i1 + money('12')", 1, 12, "'12'", "an amount, a space and a currency" },
		{ "\xff", 1, 1, "a byte that is not UTF-8", "UTF-8 text" },
		{ "'ab\xc3'", 1, 4, "a byte that is not UTF-8", "UTF-8 text" },
		{ "'\xed\xa0\x80'", 1, 2, "a byte that is not UTF-8", "UTF-8 text" },
		{ "'\xf0\x80\x80\x80'", 1, 2, "a byte that is not UTF-8", "UTF-8 text" },
	};

	(void)state;
	REFUSALS_RUN(rows);
}

static void a_wrong_type_is_refused_with_the_fix(void **state)
{
	static const struct refusal rows[] = {
		{ "event.amount + 1.0", 1, 16, "double",
		  "int (int + double: write double(event.amount) + 1.0)" },
		{ "d1 > 5", 1, 6, "int", "double (double > int: write d1 > 5.0)" },
		{ "d1 > -5", 1, 6, "int", "write d1 > -5.0" },
		{ "d1 > 0x10", 1, 6, "int", "write d1 > double(0x10)" },
		{ "2 * d1", 1, 5, "double", "write 2.0 * d1" },
		{ "(i1 + i2) * d1", 1, 13, "double", "write double(i1 + i2) * d1" },
		{ "d1 in [1.0, 2]", 1, 13, "int", "write d1 in 2.0" },
		{ "b1 ? 1 : 2.0", 1, 10, "double", "write 1.0" },
		{ "5.5 % 2.0", 1, 7, "double", "% is for ints" },
		{ "s1 + 5", 1, 6, "int", "write string(..) around the other" },
		{ "i1 && b1", 1, 1, "int", "bool (operand of &&)" },
		{ "b1 || i1", 1, 7, "int", "bool (operand of ||)" },
		{ "!i1", 1, 2, "int", "bool (operand of !)" },
		{ "-s1", 1, 2, "string", "int or double" },
		{ "i1 ? 1 : 2", 1, 1, "int", "bool (operand of ?:)" },
		{ "b1 ? 1 : s1", 1, 10, "string", "int, as the other branch of ?:" },
		{ "i1 == s1", 1, 7, "string", "int (int == string)" },
		{ "i1 < i2 < 3", 1, 11, "int", "bool (bool < int)" },
		{ "event.amount > event.base", 1, 16, "int in the bank's currency",
		  "int in the event's currency (int in the event's currency > int in the bank's currency: "
		  "use event.base" },
		{ "i1 > m1", 1, 6, "money", "an int has no currency, make both money" },
		{ "m1 > 100", 1, 6, "int", "an int has no currency, write money(\"100 EUR\")" },
		{ "size(i1)", 1, 6, "int", "string or list (argument of size())" },
		{ "i1.size()", 1, 1, "int", "string or list (receiver of size())" },
		{ "s1.startsWith(i1)", 1, 15, "int", "string (argument of startsWith())" },
		{ "int(b1)", 1, 5, "bool", "int, double, string or timestamp (argument of int())" },
		{ "duration(5)", 1, 10, "int", "string or duration (argument of duration())" },
		{ "size()", 1, 1, "0 arguments", "1 for size()" },
		{ "size(s1, s2)", 1, 1, "2 arguments", "1 for size()" },
		{ "s1.startsWith()", 1, 4, "0 arguments", "1 for startsWith()" },
		{ "t1.getHours('UTC', 1)", 1, 4, "2 arguments", "0 to 1 for getHours()" },
		{ "u1.getHours('UTC')", 1, 4, "1 argument", "0 for getHours()" },
		{ "t1.getHours(s1)", 1, 13, "string", "a literal offset" },
		{ "t1.getHours('Europe/Madrid')", 1, 13, "'Europe/Madrid'", "an offset, as" },
		{ "startsWith(s1, s2)", 1, 1, "startsWith", "is a method: write x.startsWith(y)" },
		{ "getHours(t1)", 1, 1, "getHours", "is a method: write x.getHours()" },
		{ "i1.double()", 1, 4, "double", "double is a function: write double(x)" },
		{ "i1.has()", 1, 4, "has", "write has(x)" },
		{ "has()", 1, 1, "0 arguments", "1 for has()" },
		{ "has(i1, i2)", 1, 1, "2 arguments", "1 for has()" },
		{ "money(5)", 1, 7, "int", "a literal, as money" },
	};

	(void)state;
	REFUSALS_RUN(rows);
}

static void an_unknown_name_is_refused_with_a_suggestion(void **state)
{
	static const struct refusal rows[] = {
		{ "i3 > 5", 1, 1, "i3", "did you mean i1?" },
		{ "b1 &&\n event.amonut > 5", 2, 2, "event.amonut", "did you mean" },
		{ "sizee(s1)", 1, 1, "sizee", "did you mean size?" },
		{ "t1.getHour()", 1, 4, "getHour", "did you mean getHours?" },
		{ "s1.startswith('a')", 1, 4, "startswith", "did you mean startsWith?" },
		{ "frobnicate(1)", 1, 1, "frobnicate", "a function: has, size" },
	};

	(void)state;
	REFUSALS_RUN(rows);
}

static void what_is_not_built_yet_is_refused_by_name(void **state)
{
	static const struct refusal rows[] = {
		{ "place.nearest(x, 1, 2)", 1, 1, "place.nearest", "not built yet: place.nearest()" },
		{ "uint(5)", 1, 1, "uint", "not built yet: uint()" },
		{ "bytes(s1)", 1, 1, "bytes", "not built yet: bytes()" },
		{ "type(s1)", 1, 1, "type", "not built yet: type()" },
		{ "dyn(s1)", 1, 1, "dyn", "not built yet: dyn()" },
		{ "b'abc'", 1, 1, "b'", "not built yet: bytes" },
		{ "rb'abc'", 1, 1, "rb'", "not built yet: bytes" },
		{ "null", 1, 1, "null", "not built yet: null" },
		{ "[1] in [[1]]", 1, 1, "list", "not built yet: lists of lists" },
		{ "[[1]] == [[1]]", 1, 2, "list", "not built yet: lists of lists" },
		{ "{'a': 1}", 1, 1, "{", "not built yet: maps" },
		{ "Money{units: 1}", 1, 6, "{", "not built yet: message values" },
		{ ".x", 1, 1, ".", "not built yet: names with a leading dot" },
		{ "(i1).x", 1, 6, "x", "not built yet: fields of what is computed" },
	};

	(void)state;
	REFUSALS_RUN(rows);
}

static char *repeat(const char *head, const char *piece, unsigned count, const char *middle, const char *back)
{
	size_t room = strlen(head) + count * (strlen(piece) + strlen(back)) + strlen(middle) + 1;
	char *text = malloc(room);

	assert_non_null(text);
	strcpy(text, head);
	for (unsigned i = 0; i < count; i++)
		strcat(text, piece);
	strcat(text, middle);
	for (unsigned i = 0; i < count; i++)
		strcat(text, back);
	return text;
}

static int repeat_compile(struct help *h, const char *head, const char *piece, unsigned count,
			  const char *middle, const char *back)
{
	char *text = repeat(head, piece, count, middle, back);
	int rc = help_compile(h, text);

	free(text);
	return rc;
}

static void nesting_is_refused_one_over_its_limit(void **state)
{
	/* the outermost expression is a level itself */
	static const struct {
		const char *piece, *middle, *back;
	} rows[] = {
		{ "(", "i1", ")" },	  { "int(", "i1", ")" }, { "b1 ? 1 : ", "i1", "" },
		{ "b1 in [", "b1", "]" }, { "!(", "b1", ")" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(repeat_compile(&h, "", rows[i].piece, PROGRAM_DEPTH_MAX - 1, rows[i].middle,
						rows[i].back),
				 0);
		assert_int_equal(repeat_compile(&h, "", rows[i].piece, PROGRAM_DEPTH_MAX, rows[i].middle,
						rows[i].back),
				 -EINVAL);
		assert_non_null(strstr(h.error.expected, "at most 64 levels of nesting, this is level 65"));
		assert_int_equal(repeat_compile(&h, "", rows[i].piece, 3000, rows[i].middle, rows[i].back),
				 -EINVAL);
		assert_int_equal(repeat_compile(&h, "", rows[i].piece, 3000, "", ""), -EINVAL);
	}
	help_deinit(&h);
}

static void a_chain_is_no_nesting(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(repeat_compile(&h, "b1", " || b2", 500, "", ""), 0);
	assert_int_equal(repeat_compile(&h, "i1", " + i2", 500, "", ""), 0);
	assert_int_equal(repeat_compile(&h, "", "!", 400, "b1", ""), 0);
	assert_int_equal(repeat_compile(&h, "", "-", 400, "i1", ""), 0);
	assert_int_equal(h.program.registers, 1);
	help_deinit(&h);
}

static void a_program_is_refused_one_over_its_limit(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	/* one load, then one instruction each */
	assert_int_equal(repeat_compile(&h, "i1", " + 1", PROGRAM_INSTRUCTIONS_MAX - 1, "", ""), 0);
	assert_int_equal(h.program.instructions, PROGRAM_INSTRUCTIONS_MAX);
	assert_int_equal(cel_eval(&h.program, &h.env).i, PROGRAM_INSTRUCTIONS_MAX - 1);
	assert_int_equal(repeat_compile(&h, "i1", " + 1", PROGRAM_INSTRUCTIONS_MAX, "", ""), -EINVAL);
	assert_string_equal(h.error.found, "1025 instructions");
	assert_non_null(strstr(h.error.expected, "at most 1024 instructions"));
	/* what folds needs none */
	assert_int_equal(repeat_compile(&h, "1", " + 1", 3000, "", ""), 0);
	assert_int_equal(h.program.instructions, 1);
	assert_int_equal(cel_eval(&h.program, &h.env).i, 3001);
	assert_int_equal(repeat_compile(&h, "1", " + 1", 5000, "", ""), -EINVAL);
	assert_non_null(strstr(h.error.expected, "at most 8192 parts"));
	assert_int_equal(repeat_compile(&h, "1", "      ", 20000, "", ""), -EINVAL);
	assert_non_null(strstr(h.error.expected, "at most 65536 bytes"));
	help_deinit(&h);
}

static const char *const samples[] = {
	"event.amount > m1 && event.balance < 0 || !(has(agg.mean) ? double(event.base) > 5.0 * agg.mean : "
	"true)",
	"s1.startsWith('a\\u00e9\\U0001F60\\x41\\101') + r\"\\d\" in ['''x''', \"\"\"y\"\"\", fixed.name, "
	"s2]",
	"t1 - t2 < duration(\"1h30m\") && t1.getHours(\"+02:00\") in [1, 0x2, -3] // over",
	"money(\"100.00 EUR\") <= event.amount * 10 / 9 % 7 - -i1",
	"timestamp('2026-01-31T08:00:00.5Z').getDayOfYear() == int(string(1.5e3)) ? size(s1) : b1 ? 1 : 2",
	"'\xc3\xb1\xe2\x82\xac\xf0\x9f\x98\x80' in [s1, '\\\xc3\xb1'] // \xf0\x9f\x98\x80",
};

/* Each cut text has its own block, so that the sanitizer sees a byte read behind it. */
static void every_truncated_text_is_compiled_or_refused(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
		for (size_t len = 0; len <= strlen(samples[i]); len++) {
			char *text = malloc(len ? len : 1);
			assert_non_null(text);
			memcpy(text, samples[i], len);
			int rc = help_compile_bytes(&h, text, len, TYPE_NONE);
			assert_true(rc == 0 || rc == -EINVAL);
			if (rc != 0)
				assert_true(h.error.offset <= len && h.error.line == 1 &&
					    h.error.column <= len + 1);
			free(text);
		}
	help_deinit(&h);
}

static void every_text_with_one_byte_changed_is_compiled_or_refused(void **state)
{
	static const char bytes[] = "\0\x01 \"'\\()[]{}.,?:!&|<>=+-*/%0xeu9_\n\x80\xc3\xff";
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
		size_t len = strlen(samples[i]);
		char *text = strdup(samples[i]);
		assert_non_null(text);
		for (size_t at = 0; at < len; at++)
			for (size_t k = 0; k < sizeof bytes - 1; k++) {
				text[at] = bytes[k];
				int rc = help_compile_bytes(&h, text, len, TYPE_NONE);
				assert_true(rc == 0 || rc == -EINVAL);
				text[at] = samples[i][at];
			}
		free(text);
	}
	help_deinit(&h);
}

/* A character whose last bytes stand behind the text's end is none. */
static void a_text_ends_where_its_length_says(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(help_compile_bytes(&h, "1\xc3\xa9", 2, TYPE_NONE), -EINVAL);
	assert_string_equal(h.error.found, "a byte that is not UTF-8");
	assert_int_equal(h.error.offset, 1);
	assert_int_equal(help_compile_bytes(&h, "'a'b", 3, TYPE_STRING), 0);
	assert_int_equal(help_compile_bytes(&h, "i1 + 12", 6, TYPE_INT), 0);
	assert_int_equal(cel_eval(&h.program, &h.env).i, 1);
	assert_int_equal(help_compile_bytes(&h, "'''a'''", 6, TYPE_STRING), -EINVAL);
	assert_int_equal(help_compile_bytes(&h, "size(s1)", 7, TYPE_INT), -EINVAL);
	help_deinit(&h);
}

static void long_texts_are_cut_between_characters(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(repeat_compile(&h, "i1 == '", "é", 100, "'' ", ""), -EINVAL);
	assert_int_equal(repeat_compile(&h, "duration('", "é", 100, "')", ""), -EINVAL);
	assert_true(strlen(h.error.found) < sizeof h.error.found);
	assert_string_equal(h.error.found + strlen(h.error.found) - 5, "é...");
	assert_int_equal(repeat_compile(&h, "", "verylongname", 40, " + 1", ""), -EINVAL);
	assert_string_equal(h.error.found + strlen(h.error.found) - 3, "...");
	assert_int_equal(repeat_compile(&h, "d1 + (i1", " + i1", 40, ")", ""), -EINVAL);
	assert_non_null(strstr(h.error.expected, "write double(..) around the int)"));
	help_deinit(&h);
}

static void types_and_errors_have_names(void **state)
{
	(void)state;
	for (enum value_type type = TYPE_NONE; type < TYPE_COUNT; type++)
		assert_true(strlen(cel_type_name(type)) > 2);
	for (enum value_error error = VALUE_ERROR_NONE; error < VALUE_ERROR_COUNT; error++)
		assert_true(strlen(cel_error_name(error)) > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_that_is_no_expression_is_refused_at_its_place),
		cmocka_unit_test(a_literal_that_cannot_be_read_is_refused_at_its_place),
		cmocka_unit_test(a_wrong_type_is_refused_with_the_fix),
		cmocka_unit_test(an_unknown_name_is_refused_with_a_suggestion),
		cmocka_unit_test(what_is_not_built_yet_is_refused_by_name),
		cmocka_unit_test(nesting_is_refused_one_over_its_limit),
		cmocka_unit_test(a_chain_is_no_nesting),
		cmocka_unit_test(a_program_is_refused_one_over_its_limit),
		cmocka_unit_test(every_truncated_text_is_compiled_or_refused),
		cmocka_unit_test(every_text_with_one_byte_changed_is_compiled_or_refused),
		cmocka_unit_test(a_text_ends_where_its_length_says),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(types_and_errors_have_names),
	};

	return cmocka_run_group_tests_name("cel_error", tests, NULL, NULL);
}
