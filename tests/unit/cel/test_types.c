// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_types.c: every operator over every pair of types, accepted with its type or refused, as one table;
 * and the currencies of ints (docs/decisions.md 3).
 */
#include "test_help.h"

#include <errno.h>

/* One letter a type: b i d s t u m; "." = refused. Rows: left type, columns: right type, both in that order.
 */
static const char types_order[] = "bidstum";
static const char *const type_texts[] = { "b1", "i1", "d1", "s1", "t1", "u1", "m1" };

struct operator_table {
	const char *text;
	const char *rows[7];
};

#define EQUAL_TYPES                                                                                          \
	{                                                                                                    \
		"b......", ".b.....", "..b....", "...b...", "....b..", ".....b.", "......b"                  \
	}
#define BOOLS_ONLY                                                                                           \
	{                                                                                                    \
		"b......", ".......", ".......", ".......", ".......", ".......", "......."                  \
	}
static const struct operator_table operators[] = {
	{ "==", EQUAL_TYPES },
	{ "!=", EQUAL_TYPES },
	{ "<", EQUAL_TYPES },
	{ "<=", EQUAL_TYPES },
	{ ">", EQUAL_TYPES },
	{ ">=", EQUAL_TYPES },
	{ "in", EQUAL_TYPES },
	{ "&&", BOOLS_ONLY },
	{ "||", BOOLS_ONLY },
	{ "+", { ".......", ".i.....", "..d....", "...s...", ".....t.", "....tu.", "......." } },
	{ "-", { ".......", ".i.....", "..d....", ".......", "....ut.", ".....u.", "......." } },
	{ "*", { ".......", ".i.....", "..d....", ".......", ".......", ".......", "......." } },
	{ "/", { ".......", ".i.....", "..d....", ".......", ".......", ".......", "......." } },
	{ "%", { ".......", ".i.....", ".......", ".......", ".......", ".......", "......." } },
	{ "?", { "b......", ".i.....", "..d....", "...s...", "....t..", ".....u.", "......m" } },
};

static char type_letter(enum value_type type)
{
	assert_in_range(type, TYPE_BOOL, TYPE_MONEY);
	return types_order[type - TYPE_BOOL];
}

static char pair_result(struct help *h, const char *op, const char *left, const char *right)
{
	char text[64];

	if (strcmp(op, "?") == 0)
		snprintf(text, sizeof text, "b2 ? %s : %s", left, right);
	else
		snprintf(text, sizeof text, strcmp(op, "in") == 0 ? "%s %s [%s]" : "%s %s %s", left, op,
			 right);
	if (help_compile(h, text) == 0)
		return type_letter(h->program.type);
	assert_true(strlen(h->error.found) > 0 && strlen(h->error.expected) > 0);
	assert_true(h->error.offset < strlen(text));
	return '.';
}

static void every_operator_takes_its_pairs_of_types_and_refuses_the_others(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t o = 0; o < sizeof operators / sizeof operators[0]; o++)
		for (int left = 0; left < 7; left++)
			for (int right = 0; right < 7; right++) {
				char got = pair_result(&h, operators[o].text, type_texts[left],
						       type_texts[right]);
				if (got != operators[o].rows[left][right])
					fail_msg("%c %s %c: %c, not %c", types_order[left], operators[o].text,
						 types_order[right], got, operators[o].rows[left][right]);
			}
	help_deinit(&h);
}

static void unary_operators_and_functions_take_their_types(void **state)
{
	/* a result by type of the operand, in the order b i d s t u m */
	static const struct {
		const char *format, *results;
	} rows[] = {
		{ "!%s", "b......" },
		{ "-%s", ".id...." },
		{ "has(%s)", "bbbbbbb" },
		{ "size(%s)", "...i..." },
		{ "%s.size()", "...i..." },
		{ "%s.startsWith('a')", "...b..." },
		{ "%s.endsWith('a')", "...b..." },
		{ "%s.contains('a')", "...b..." },
		{ "'a'.startsWith(%s)", "...b..." },
		{ "int(%s)", ".iiii.." },
		{ "double(%s)", ".ddd..." },
		{ "string(%s)", "sssssss" },
		{ "bool(%s)", "b..b..." },
		{ "timestamp(%s)", ".t.tt.." },
		{ "duration(%s)", "...u.u." },
		{ "money(%s)", "......." },
		{ "%s.getFullYear()", "....i.." },
		{ "%s.getMonth()", "....i.." },
		{ "%s.getDate()", "....i.." },
		{ "%s.getDayOfMonth()", "....i.." },
		{ "%s.getDayOfWeek()", "....i.." },
		{ "%s.getDayOfYear()", "....i.." },
		{ "%s.getHours()", "....ii." },
		{ "%s.getMinutes()", "....ii." },
		{ "%s.getSeconds()", "....ii." },
		{ "%s.getMilliseconds()", "....ii." },
		{ "%s.getHours('+02:00')", "....i.." },
		{ "%s ? 1 : 2", "i......" },
		{ "%s in []", "bbbbbbb" },
	};
	struct help h;
	char text[64];

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int type = 0; type < 7; type++) {
			snprintf(text, sizeof text, rows[i].format, type_texts[type]);
			char got = help_compile(&h, text) == 0 ? type_letter(h.program.type) : '.';
			if (got != rows[i].results[type])
				fail_msg("%s: %c, not %c", text, got, rows[i].results[type]);
		}
	help_deinit(&h);
}

static void an_int_keeps_the_currency_that_it_is_in(void **state)
{
	enum { REFUSED = -1 };
	static const struct {
		const char *text;
		int unit;
	} rows[] = {
		{ "event.amount", UNIT_EVENT },
		{ "event.base", UNIT_BASE },
		{ "i1", UNIT_NONE },
		{ "-event.amount", UNIT_EVENT },
		{ "event.amount + event.balance", UNIT_EVENT },
		{ "event.balance - event.amount", UNIT_EVENT },
		{ "event.amount + 5", UNIT_EVENT },
		{ "i1 - event.amount", UNIT_EVENT },
		{ "event.base + i1", UNIT_BASE },
		{ "event.amount * i1", UNIT_EVENT },
		{ "9 * event.base", UNIT_BASE },
		{ "event.amount / 2", UNIT_EVENT },
		{ "event.amount % i1", UNIT_EVENT },
		{ "event.amount * event.balance", UNIT_NONE },
		{ "event.amount * 100 / event.balance", UNIT_NONE },
		{ "i1 / event.amount", UNIT_NONE },
		{ "i1 % event.amount", UNIT_NONE },
		{ "event.amount % event.balance", UNIT_EVENT },
		{ "int(event.amount)", UNIT_EVENT },
		{ "int(double(event.amount))", UNIT_NONE },
		{ "int(agg.mean)", UNIT_NONE },
		{ "agg.mean", UNIT_NONE },
		{ "b1 ? event.amount : event.balance", UNIT_EVENT },
		{ "b1 ? event.base : 0", UNIT_BASE },
		{ "b1 ? i1 : event.amount", UNIT_EVENT },
		{ "event.amount > i1", UNIT_NONE },
		{ "event.amount + event.base", REFUSED },
		{ "event.base - event.amount", REFUSED },
		{ "event.amount * event.base", REFUSED },
		{ "event.amount / event.base", REFUSED },
		{ "event.amount % event.base", REFUSED },
		{ "b1 ? event.amount : event.base", REFUSED },
		{ "event.amount == event.base", REFUSED },
		{ "event.amount < event.base", REFUSED },
		{ "event.base >= event.balance * 2", REFUSED },
		{ "event.amount in [event.balance, event.base]", REFUSED },
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int got = help_compile(&h, rows[i].text) == 0 ? (int)h.program.unit : REFUSED;
		if (got != rows[i].unit)
			fail_msg("%s: unit %d, not %d", rows[i].text, got, rows[i].unit);
		if (got == REFUSED)
			assert_non_null(strstr(h.error.expected, "event.base for event.amount"));
	}
	help_deinit(&h);
}

static void money_meets_money_and_ints_with_a_currency_only(void **state)
{
	static const struct {
		const char *text;
		const char *advice; /* NULL: accepted */
	} rows[] = {
		{ "event.amount > m1", NULL },
		{ "m1 <= event.base", NULL },
		{ "event.amount * 2 == m1", NULL },
		{ "m1 != m2", NULL },
		{ "m1 in [m2, event.amount, event.base]", NULL },
		{ "event.amount in [m1]", NULL },
		{ "i1 > m1", "make both money" },
		{ "m1 == i1", "make both money" },
		{ "int(agg.mean) > m1", "make both money" },
		{ "100 > m1", "write money(\"100 EUR\")" },
		{ "m1 == 100", "write money(\"100 EUR\")" },
		{ "m1 in [100]", "write money(\"100 EUR\")" },
		{ "d1 > m1", "double > money" },
		{ "m1 + m2", "not built yet" },
		{ "m1 - m2", "not built yet" },
		{ "m1 * 2", "not built yet" },
		{ "event.amount + m1", "not built yet" },
		{ "-m1", "not built yet" },
		{ "money(s1)", "a literal" },
		{ "money('100')", "ISO 4217" },
		{ "money('100 XXX')", "ISO 4217" },
		{ "money('1.001 EUR')", "at most its decimals" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int rc = help_compile(&h, rows[i].text);
		if ((rc == 0) != (rows[i].advice == NULL))
			fail_msg("%s: %d %s", rows[i].text, rc, h.error.expected);
		if (rows[i].advice && !strstr(h.error.expected, rows[i].advice))
			fail_msg("%s: %s, not %s", rows[i].text, h.error.expected, rows[i].advice);
	}
	help_deinit(&h);
}

static void the_wanted_type_of_a_result_is_checked(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	for (int type = 0; type < 7; type++)
		for (int want = TYPE_NONE; want <= TYPE_MONEY; want++) {
			int rc = help_compile_bytes(&h, type_texts[type], 2, want);
			bool same = want == TYPE_NONE || types_order[type] == type_letter(want);
			assert_int_equal(rc, same ? 0 : -EINVAL);
			if (!same)
				assert_non_null(strstr(h.error.expected, cel_type_name(want)));
		}
	help_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operator_takes_its_pairs_of_types_and_refuses_the_others),
		cmocka_unit_test(unary_operators_and_functions_take_their_types),
		cmocka_unit_test(an_int_keeps_the_currency_that_it_is_in),
		cmocka_unit_test(money_meets_money_and_ints_with_a_currency_only),
		cmocka_unit_test(the_wanted_type_of_a_result_is_checked),
	};

	return cmocka_run_group_tests_name("cel_types", tests, NULL, NULL);
}
