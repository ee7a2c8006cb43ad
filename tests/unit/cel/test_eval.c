// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_eval.c: what expressions give: arithmetic at its edges, strings, conversions, times, money across
 * currencies, and how a program uses its registers, loads and scratch.
 */
#include "test_help.h"

#include <float.h>
#include <math.h>

struct int_row {
	const char *text;
	int64_t want;
	enum value_error error;
};

static void int_rows_run(struct help *h, const struct int_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct value v = help_eval(h, rows[i].text);
		bool good = rows[i].error == VALUE_ERROR_NONE
				    ? v.status == VALUE_OK && v.i == rows[i].want
				    : v.status == VALUE_ERROR && v.bytes == rows[i].error;
		if (!good)
			fail_msg("%s: status %u, %lld (error %u)", rows[i].text, v.status, (long long)v.i,
				 v.bytes);
	}
}
#define INT_ROWS_RUN(h, rows) int_rows_run(h, rows, sizeof rows / sizeof rows[0])

/* The same rows with symbols (computed when run) and with literals (computed when compiled). */
static void int_arithmetic_is_checked_at_its_edges(void **state)
{
	static const struct int_row rows[] = {
		{ "i1 + 0", INT64_MAX, 0 },
		{ "i1 + 1", 0, VALUE_ERROR_OVERFLOW },
		{ "i2 - 1", 0, VALUE_ERROR_OVERFLOW },
		{ "i2 + i2", 0, VALUE_ERROR_OVERFLOW },
		{ "i1 + i2", -1, 0 },
		{ "i1 - i2", 0, VALUE_ERROR_OVERFLOW },
		{ "-1 - i2", INT64_MAX, 0 },
		{ "0 - i2", 0, VALUE_ERROR_OVERFLOW },
		{ "-i1", -INT64_MAX, 0 },
		{ "-i2", 0, VALUE_ERROR_OVERFLOW },
		{ "i1 * 1", INT64_MAX, 0 },
		{ "i1 * 2", 0, VALUE_ERROR_OVERFLOW },
		{ "i2 * 1", INT64_MIN, 0 },
		{ "i2 * -1", 0, VALUE_ERROR_OVERFLOW },
		{ "i1 * -1", -INT64_MAX, 0 },
		{ "i2 / -1", 0, VALUE_ERROR_OVERFLOW },
		{ "i2 % -1", 0, VALUE_ERROR_OVERFLOW },
		{ "i2 / 1", INT64_MIN, 0 },
		{ "i1 / 0", 0, VALUE_ERROR_DIVIDE_BY_ZERO },
		{ "i1 % 0", 0, VALUE_ERROR_MODULUS_BY_ZERO },
		{ "0 / i1", 0, 0 },
		{ "9223372036854775807 + 1", 0, VALUE_ERROR_OVERFLOW },
		{ "-9223372036854775808 - 1", 0, VALUE_ERROR_OVERFLOW },
		{ "-(-9223372036854775808)", 0, VALUE_ERROR_OVERFLOW },
		{ "-9223372036854775808", INT64_MIN, 0 },
		{ "-0x8000000000000000", INT64_MIN, 0 },
		{ "0x7fffffffffffffff", INT64_MAX, 0 },
		{ "--9223372036854775807", INT64_MAX, 0 },
		{ "7 / 2", 3, 0 },
		{ "-7 / 2", -3, 0 },
		{ "7 / -2", -3, 0 },
		{ "7 % 3", 1, 0 },
		{ "-7 % 3", -1, 0 },
		{ "7 % -3", 1, 0 },
		{ "1 + 2 * 3 - 8 / 4", 5, 0 },
		{ "(1 + 2) * 3", 9, 0 },
		{ "10 - 3 - 2", 5, 0 },
		{ "100 / 10 / 2", 5, 0 },
		{ "false ? 1 : false ? 2 : 3", 3, 0 },
		{ "fixed.five * fixed.five", 25, 0 },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_I1, INT64_MAX);
	help_bind(&h, HELP_I2, INT64_MIN);
	INT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void doubles_follow_ieee_754(void **state)
{
	static const struct int_row rows[] = {
		{ "d1 / 0.0 > 1.7e308", 1, 0 },
		{ "-d1 / 0.0 < -1.7e308", 1, 0 },
		{ "0.0 / 0.0 == 0.0 / 0.0", 0, 0 },
		{ "0.0 / 0.0 != 0.0 / 0.0", 1, 0 },
		{ "0.0 / 0.0 < 1.0", 0, 0 },
		{ "0.0 / 0.0 >= 1.0", 0, 0 },
		{ "1.0 > 0.0 / 0.0", 0, 0 },
		{ "0.0 == -0.0", 1, 0 },
		{ "-0.0 < 0.0", 0, 0 },
		{ "0.1 + 0.2 == 0.3", 0, 0 },
		{ "d1 * 2.0 == 3.0", 1, 0 },
		{ "d1 - 0.5 == 1.0", 1, 0 },
		{ "d1 + .5 == 2e0", 1, 0 },
		{ "1e-400 == 0.0", 1, 0 },
		{ "d1 in [0.5, 1.5]", 1, 0 },
		{ "0.0 / 0.0 in [0.0 / 0.0]", 0, 0 },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_double(&h, HELP_D1, 1.5);
	INT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void strings_compare_by_code_points(void **state)
{
	static const struct int_row rows[] = {
		{ "s1 < s2", 1, 0 }, /* U+FFFD before U+10000: not as UTF-16 would say */
		{ "s1 <= s2", 1, 0 },
		{ "s1 > s2", 0, 0 },
		{ "s1 == s2", 0, 0 },
		{ "'a' < 'ab'", 1, 0 },
		{ "'ab' <= 'a'", 0, 0 },
		{ "'' < 'a'", 1, 0 },
		{ "'Z' < 'a'", 1, 0 },
		{ "'a\\000' > 'a'", 1, 0 },
		{ "'a\\000b' < 'a\\000c'", 1, 0 },
		{ "'a\\000b' == 'a\\000c'", 0, 0 },
		{ "size('a\\000b')", 3, 0 },
		{ "size(s1 + s2)", 2, 0 },
		{ "size('')", 0, 0 },
		{ "'año'.size()", 3, 0 },
		{ "'abc'.startsWith('ab')", 1, 0 },
		{ "'abc'.startsWith('abcd')", 0, 0 },
		{ "''.startsWith('')", 1, 0 },
		{ "'abc'.endsWith('bc')", 1, 0 },
		{ "'abc'.endsWith('zabc')", 0, 0 },
		{ "'abc'.contains('')", 1, 0 },
		{ "'abc'.contains('bd')", 0, 0 },
		{ "'abcabd'.contains('abd')", 1, 0 },
		{ "'a' in ['b', 'a']", 1, 0 },
		{ "fixed.name + 'd' == 'abcd'", 1, 0 },
		{ "s1.contains('x') || s1 + 'x' == 'x'", 0, 0 },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_string(&h, HELP_S1, "\xef\xbf\xbd");
	help_bind_string(&h, HELP_S2, "\xf0\x90\x80\x80");
	INT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

struct text_row {
	const char *text;
	const char *want;
};

static void text_rows_run(struct help *h, const struct text_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct value v = help_eval(h, rows[i].text);
		assert_int_equal(v.type, TYPE_STRING);
		if (v.status != VALUE_OK || v.bytes != strlen(rows[i].want) ||
		    memcmp(v.s, rows[i].want, v.bytes) != 0)
			fail_msg("%s: status %u, '%.*s', not '%s'", rows[i].text, v.status,
				 v.status == VALUE_OK ? (int)v.bytes : 0, v.s, rows[i].want);
	}
}
#define TEXT_ROWS_RUN(h, rows) text_rows_run(h, rows, sizeof rows / sizeof rows[0])

static void values_print_as_the_standard_says(void **state)
{
	static const struct text_row rows[] = {
		{ "string(b1)", "true" },
		{ "string(!b1)", "false" },
		{ "string(i1)", "-9223372036854775808" },
		{ "string(0)", "0" },
		{ "string(123.456)", "123.456" },
		{ "string(-0.5)", "-0.5" },
		{ "string(0.05)", "0.05" },
		{ "string(0.0001)", "0.0001" },
		{ "string(0.00001)", "1e-05" },
		{ "string(1000000.0)", "1000000" },
		{ "string(6.02214e23)", "6.02214e+23" },
		{ "string(1e20)", "100000000000000000000" },
		{ "string(1e21)", "1e+21" },
		{ "string(1.380649e-23)", "1.380649e-23" },
		{ "string(0.1 + 0.2)", "0.30000000000000004" },
		{ "string(5e-324)", "5e-324" },
		{ "string(1.7976931348623157e308)", "1.7976931348623157e+308" },
		{ "string(-0.0)", "-0" },
		{ "string(1.0 / 0.0)", "+Inf" },
		{ "string(-1.0 / 0.0)", "-Inf" },
		{ "string(0.0 / 0.0)", "NaN" },
		{ "string(timestamp('2009-02-13T23:31:30Z'))", "2009-02-13T23:31:30Z" },
		{ "string(timestamp('2009-02-13T23:31:30.120+01:00'))", "2009-02-13T22:31:30.12Z" },
		{ "string(timestamp('1969-12-31T23:59:59.999999999Z'))", "1969-12-31T23:59:59.999999999Z" },
		{ "string(t1)", "1677-09-21T00:12:43.145224192Z" },
		{ "string(t2)", "2262-04-11T23:47:16.854775807Z" },
		{ "string(duration('1000000s'))", "1000000s" },
		{ "string(duration('-1.5s'))", "-1.5s" },
		{ "string(duration('1h'))", "3600s" },
		{ "string(duration('1ns'))", "0.000000001s" },
		{ "string(u1)", "-9223372036.854775808s" },
		{ "string(money('1234.5 EUR'))", "1234.50 EUR" },
		{ "string(money('-0.05 EUR'))", "-0.05 EUR" },
		{ "string(money('-3 KWD'))", "-3.000 KWD" },
		{ "string(money('500 JPY'))", "500 JPY" },
		{ "string(m1)", "7 00000" }, /* a currency that ISO 4217 does not have */
		{ "string('x') + string(1) + '-' + string(true)", "x1-true" },
		{ "b1 ? 'yes' : 'no'", "yes" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_B1, 1);
	help_bind(&h, HELP_I1, INT64_MIN);
	help_bind(&h, HELP_T1, INT64_MIN);
	help_bind(&h, HELP_T2, INT64_MAX);
	help_bind(&h, HELP_U1, INT64_MIN);
	help_bind_money(&h, HELP_M1, 7, 0);
	TEXT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void texts_convert_or_say_why_not(void **state)
{
	static const struct int_row rows[] = {
		{ "int('987')", 987, 0 },
		{ "int('-9223372036854775808')", INT64_MIN, 0 },
		{ "int('+7')", 7, 0 },
		{ "int('9223372036854775808')", 0, VALUE_ERROR_RANGE },
		{ "int('')", 0, VALUE_ERROR_CONVERT },
		{ "int('-')", 0, VALUE_ERROR_CONVERT },
		{ "int(' 1')", 0, VALUE_ERROR_CONVERT },
		{ "int('1.0')", 0, VALUE_ERROR_CONVERT },
		{ "int('0x10')", 0, VALUE_ERROR_CONVERT },
		{ "int('99999999999999999999x')", 0, VALUE_ERROR_CONVERT },
		{ "int(1.9)", 1, 0 },
		{ "int(-1.9)", -1, 0 },
		{ "int(9223372036854775807.0)", 0, VALUE_ERROR_RANGE },
		{ "int(-9223372036854775808.0)", 0, VALUE_ERROR_RANGE },
		{ "int(9223372036854774784.0)", 9223372036854774784, 0 },
		{ "int(0.0 / 0.0)", 0, VALUE_ERROR_RANGE },
		{ "int(1.0 / 0.0)", 0, VALUE_ERROR_RANGE },
		{ "double('-84.32e7') == -843200000.0", 1, 0 },
		{ "double('1e400') > 0.0", 0, VALUE_ERROR_RANGE },
		{ "double('1e') > 0.0", 0, VALUE_ERROR_CONVERT },
		{ "double('0x1p3') > 0.0", 0, VALUE_ERROR_CONVERT },
		{ "double('1,5') > 0.0", 0, VALUE_ERROR_CONVERT },
		{ "double('') > 0.0", 0, VALUE_ERROR_CONVERT },
		{ "double('.') > 0.0", 0, VALUE_ERROR_CONVERT },
		{ "double('-Infinity') < -1e308", 1, 0 },
		{ "double('NaN') == 0.0", 0, 0 },
		{ "double(9007199254740993) == 9007199254740992.0", 1, 0 },
		{ "bool('true')", 1, 0 },
		{ "bool('F' + 'alse')", 0, 0 },
		{ "bool('1')", 1, 0 },
		{ "bool('yes')", 0, VALUE_ERROR_CONVERT },
		{ "bool('TrUe')", 0, VALUE_ERROR_CONVERT },
		{ "bool('')", 0, VALUE_ERROR_CONVERT },
		{ "duration(s1)", 5400000000000, 0 },
		{ "duration('' + '1h30m')", 5400000000000, 0 },
		{ "duration('1.5' + 's')", 1500000000, 0 },
		{ "duration('0' + '')", 0, 0 },
		{ "duration('-1h1m1s1ms1us1' + 'ns')", -3661001001001, 0 },
		{ "duration('00000000000000000000000000001' + 's')", 1000000000, 0 },
		{ "duration('9223372036854775807' + 'ns')", INT64_MAX, 0 },
		{ "duration('-9223372036854775808' + 'ns')", INT64_MIN, 0 },
		{ "duration('9223372036854775808' + 'ns')", 0, VALUE_ERROR_RANGE },
		{ "duration('99999999999999999999999999' + 'h')", 0, VALUE_ERROR_RANGE },
		{ "duration('9999999999999999999h9999999999999999999h' + '1h')", 0, VALUE_ERROR_RANGE },
		{ "duration('1' + '')", 0, VALUE_ERROR_CONVERT },
		{ "duration('h' + '')", 0, VALUE_ERROR_CONVERT },
		{ "duration('1h-1' + 'm')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp(s2)", 1234567890500000000, 0 },
		{ "timestamp(1234567890)", 1234567890000000000, 0 },
		{ "timestamp(-1)", -1000000000, 0 },
		{ "timestamp(9223372037)", 0, VALUE_ERROR_RANGE },
		{ "timestamp('2009-02-13T23:31:30' + 'Z')", 1234567890000000000, 0 },
		{ "timestamp('2009-02-13T23:31:30' + '')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-02-13 23:31:30' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-02-13T24:00:00' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-02-13T23:60:00' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-02-29T00:00:00' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2008-02-29T00:00:00' + 'Z')", 1204243200000000000, 0 },
		{ "timestamp('1900-02-29T00:00:00' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-13-01T00:00:00' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-01-01T00:00:00.' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-01-01T00:00:00.1234567890' + 'Z')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('2009-01-01T00:00:00+24:00' + '')", 0, VALUE_ERROR_CONVERT },
		{ "timestamp('0001-01-01T00:00:00' + 'Z')", 0, VALUE_ERROR_RANGE },
		{ "int(timestamp('1969-12-31T23:59:59.5' + 'Z'))", -1, 0 },
		{ "int(timestamp('2004-09-16T23:59:59Z'))", 1095379199, 0 },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_string(&h, HELP_S1, "1h30m");
	help_bind_string(&h, HELP_S2, "2009-02-14T00:31:30.5+01:00");
	INT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static void times_are_taken_apart_in_utc_or_an_offset(void **state)
{
	/* t1 = 2024-02-29T23:30:15.678Z, a Thursday */
	static const struct int_row rows[] = {
		{ "t1.getFullYear()", 2024, 0 },
		{ "t1.getMonth()", 1, 0 },
		{ "t1.getDate()", 29, 0 },
		{ "t1.getDayOfMonth()", 28, 0 },
		{ "t1.getDayOfWeek()", 4, 0 },
		{ "t1.getDayOfYear()", 59, 0 },
		{ "t1.getHours()", 23, 0 },
		{ "t1.getMinutes()", 30, 0 },
		{ "t1.getSeconds()", 15, 0 },
		{ "t1.getMilliseconds()", 678, 0 },
		{ "t1.getMonth('+02:00')", 2, 0 },
		{ "t1.getDate('+02:00')", 1, 0 },
		{ "t1.getDayOfWeek('02:00')", 5, 0 },
		{ "t1.getHours('-09:30')", 14, 0 },
		{ "t1.getMinutes('-09:30')", 0, 0 },
		{ "t1.getHours('UTC')", 23, 0 },
		{ "t2.getFullYear()", 1969, 0 },
		{ "t2.getMilliseconds()", 999, 0 },
		{ "t2.getDayOfWeek()", 3, 0 },
		{ "t2.getDayOfYear()", 364, 0 },
		{ "timestamp('1677-09-21T00:12:44Z').getDayOfWeek()", 2, 0 },
		{ "timestamp('2000-12-31T00:00:00Z').getDayOfYear()", 365, 0 },
		{ "duration('10000s').getHours()", 2, 0 },
		{ "duration('3730s').getMinutes()", 62, 0 },
		{ "duration('3730.9s').getSeconds()", 3730, 0 },
		{ "duration('123.321456789s').getMilliseconds()", 321, 0 },
		{ "duration('-90s').getMinutes()", -1, 0 },
		{ "(t1 - t2).getSeconds() == 1709249415", 1, 0 },
		{ "t2 + duration('1ns') == timestamp(0)", 1, 0 },
		{ "duration('1ns') + t2 == timestamp(0)", 1, 0 },
		{ "timestamp(0) - duration('1ns') == t2", 1, 0 },
		{ "duration('1h') + duration('30m') - duration('90m') == duration('0s')", 1, 0 },
		{ "timestamp(9223372036) + duration('1s')", 0, VALUE_ERROR_RANGE },
		{ "timestamp(-9223372036) - duration('1s')", 0, VALUE_ERROR_RANGE },
		{ "timestamp(9223372036) - timestamp(-9223372036)", 0, VALUE_ERROR_RANGE },
		{ "duration('2562047h') + duration('1h')", 0, VALUE_ERROR_RANGE },
		{ "duration('-2562047h') - duration('1h')", 0, VALUE_ERROR_RANGE },
		{ "t1 > t2 && t1 >= t2 && !(t1 < t2) && !(t1 <= t2) && t1 != t2", 1, 0 },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_T1, 1709249415678000000);
	help_bind(&h, HELP_T2, -1);
	INT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

/* Every day of the range, against days counted one by one. */
static void the_calendar_counts_every_day(void **state)
{
	static const unsigned days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year = 1678, month = 1, date = 1, day_of_year = 0, week = 6; /* 1678-01-01 was a Saturday */
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(
		help_compile(&h,
			     "t1.getFullYear() * 10000000 + t1.getMonth() * 100000 + t1.getDate() * 1000 + "
			     "t1.getDayOfYear()"),
		0);
	struct cel_program date_program = h.program;
	struct value start = help_eval(&h, "timestamp('1678-01-01T00:00:00Z')");
	assert_int_equal(help_compile(&h, "t1.getDayOfWeek()"), 0);
	for (int64_t t = start.i; year < 2262; t += 86400000000000) {
		help_bind(&h, HELP_T1, t);
		assert_int_equal(cel_eval(&date_program, &h.env).i,
				 (int64_t)year * 10000000 + (month - 1) * 100000 + date * 1000 + day_of_year);
		assert_int_equal(cel_eval(&h.program, &h.env).i, week);
		bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		week = (week + 1) % 7;
		day_of_year++;
		if (++date <= days[month - 1] + (month == 2 && leap))
			continue;
		date = 1;
		if (++month <= 12)
			continue;
		month = 1;
		year++;
		day_of_year = 0;
	}
	help_deinit(&h);
}

struct money_row {
	const char *text;
	uint16_t event_currency;
	char want; /* T F N E */
};

static void money_compares_in_its_currency_or_through_base(void **state)
{
	/* m1 = 100.00 USD = 50.00 EUR; m2 = 100.00 CHF, without a rate; amount 5000; base 5000 */
	static const struct money_row rows[] = {
		{ "m1 == money('50 EUR')", EUR, 'T' },
		{ "m1 < money('50.01 EUR')", EUR, 'T' },
		{ "m1 > money('49.99 EUR')", EUR, 'T' },
		{ "m1 == money('100 USD')", EUR, 'T' },
		{ "m1 == money('16.667 KWD')", EUR, 'T' }, /* 50.001 EUR is 50.00 EUR */
		{ "m1 == money('5000 JPY')", EUR, 'T' },
		{ "m2 == money('100 CHF')", EUR, 'T' },
		{ "m2 > money('99 CHF')", EUR, 'T' },
		{ "m2 == money('100 EUR')", EUR, 'N' },
		{ "m1 < m2", EUR, 'N' },
		{ "event.amount == money('50 EUR')", EUR, 'T' },
		{ "event.amount >= m1", EUR, 'T' },
		{ "event.amount == money('50 USD')", USD, 'T' },
		{ "event.amount == money('25 EUR')", USD, 'T' },
		{ "event.amount == money('5000 JPY')", JPY, 'T' },
		{ "event.amount == money('5.000 KWD')", KWD, 'T' },
		{ "event.amount < money('15.01 EUR')", KWD, 'T' },
		{ "event.amount == money('50 CHF')", CHF, 'T' },
		{ "event.amount < money('50 EUR')", CHF, 'N' },
		{ "event.amount < money('50 EUR')", 0, 'N' },
		{ "event.base == money('50 EUR')", CHF, 'T' },
		{ "event.base == m1", CHF, 'T' },
		{ "event.base <= m2", EUR, 'N' },
		{ "event.amount * 2 > money('99.99 EUR')", EUR, 'T' },
		{ "event.balance < money('0 EUR')", EUR, 'F' },
		{ "m1 in [m2, money('50 EUR')]", EUR, 'T' },
		{ "m1 in [m2, money('51 EUR')]", EUR, 'N' },
		{ "event.amount in [m1]", EUR, 'T' },
		{ "money('92233720368547758.07 EUR') > money('92233720368547758 USD')", EUR, 'T' },
		{ "money('9223372036854775.807 KWD') > money('1 EUR')", EUR, 'T' },
		{ "has(m2 < m1)", EUR, 'F' },
		{ "fixed.amount == money('5 EUR')", EUR, 'T' },
		{ "event.amount == 5000", KWD, 'T' },
		{ "event.base == i1", KWD, 'F' },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_money(&h, HELP_M1, 10000, USD);
	help_bind_money(&h, HELP_M2, 10000, CHF);
	help_bind(&h, HELP_AMOUNT, 5000);
	help_bind(&h, HELP_BASE, 5000);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		h.env.currency = rows[i].event_currency;
		struct value v = help_eval(&h, rows[i].text);
		char got = v.status == VALUE_NO_DATA ? 'N' : v.status == VALUE_ERROR ? 'E' : v.i ? 'T' : 'F';
		if (got != rows[i].want)
			fail_msg("%s in %u: %c, not %c", rows[i].text, rows[i].event_currency, got,
				 rows[i].want);
	}
	help_deinit(&h);
}

static void money_beyond_the_banks_currency_is_an_error(void **state)
{
	static const struct money_rates steep = {
		.bank = EUR, .bank_exponent = 2, .count = 1, .rate = { { USD, 2, 0, 1000 } }
	};
	struct help h;

	(void)state;
	help_init(&h);
	h.env.rates = &steep;
	help_bind_money(&h, HELP_M1, INT64_MAX / 500, USD);
	help_bind_money(&h, HELP_M2, 5, EUR);
	struct value v = help_eval(&h, "m1 > m2");
	assert_int_equal(v.status, VALUE_ERROR);
	assert_int_equal(v.bytes, VALUE_ERROR_RANGE);
	help_bind_money(&h, HELP_M2, 5, CHF); /* an error is worse than no rate */
	assert_int_equal(help_eval(&h, "m1 > m2").status, VALUE_ERROR);
	assert_int_equal(help_eval(&h, "m2 > m1").status, VALUE_ERROR);
	h.env.rates = NULL;
	assert_int_equal(help_eval(&h, "m1 > m2").status, VALUE_NO_DATA);
	assert_int_equal(help_eval(&h, "m1 > money('1 USD')").i, 1);
	help_deinit(&h);
}

static void the_literals_of_strings_read_as_the_standard_says(void **state)
{
	static const struct text_row rows[] = {
		{ "''", "" },
		{ "\"\"", "" },
		{ "''''''", "" },
		{ "r''", "" },
		{ "'a\"b'", "a\"b" },
		{ "\"a'b\"", "a'b" },
		{ "'''a'b''c'''", "a'b''c" },
		{ "'''a\nb'''", "a\nb" },
		{ "\"\"\"a\\\"\"\"\"", "a\"" },
		{ "'\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"\\?\\`'", "\a\b\f\n\r\t\v\\'\"?`" },
		{ "r'\\n\\'", "\\n\\" },
		{ "R\"\"\"\\x\"\"\"", "\\x" },
		{ "'\\x41\\X42\\101\\u00e9\\U0001F431'", "AB"
							 "A"
							 "\xc3\xa9\xf0\x9f\x90\xb1" },
		{ "'\\377'", "\xc3\xbf" },
		{ "'\\uffff\\u07ff\\u0800'", "\xef\xbf\xbf\xdf\xbf\xe0\xa0\x80" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	TEXT_ROWS_RUN(&h, rows);
	struct value v = help_eval(&h, "'a\\000b'");
	assert_int_equal(v.bytes, 3);
	assert_memory_equal(v.s, "a\0b", 3);
	help_deinit(&h);
}

static void spaces_and_comments_stand_anywhere(void **state)
{
	static const struct int_row rows[] = {
		{ "\t1\r\n+\f2 ", 3, 0 },
		{ "1 // one\n + // plus\n 2 // two", 3, 0 },
		{ "event . // the\n amount + 1", 8, 0 },
		{ "size ( 'abc' )", 3, 0 },
		{ "'abc' . size ( )", 3, 0 },
		{ "1-1", 0, 0 },
		{ "1 - -1", 2, 0 },
		{ "3 in[1,2,3,]?1:0", 1, 0 },
	};
	struct help h;

	(void)state;
	help_init(&h);
	help_bind(&h, HELP_AMOUNT, 7);
	INT_ROWS_RUN(&h, rows);
	help_deinit(&h);
}

static size_t loads_of(struct help *h, const char *text, struct cel_load *loads, size_t max)
{
	assert_int_equal(help_compile(h, text), 0);
	return cel_loads(&h->program, loads, max);
}

static void a_symbol_is_loaded_once_and_only_if_the_result_needs_it(void **state)
{
	struct cel_load loads[8];
	struct help h;

	(void)state;
	help_init(&h);
	assert_int_equal(loads_of(&h, "i2 + i1 * i2 + i1", loads, 8), 2);
	assert_int_equal(loads[0].index, HELP_I2);
	assert_int_equal(loads[1].index, HELP_I1);
	assert_int_equal(loads[1].space, SPACE_BIND);
	assert_int_equal(h.program.spaces, 1 << SPACE_BIND);
	assert_int_equal(loads_of(&h, "i2 + i1 * i2 + i1", loads, 1), 1);
	assert_int_equal(loads_of(&h, "false && i1 > 5", loads, 8), 0);
	assert_int_equal(h.program.spaces, 0);
	assert_int_equal(h.program.instructions, 1);
	assert_int_equal(loads_of(&h, "true || i1 > 5 && b1", loads, 8), 0);
	assert_int_equal(loads_of(&h, "true ? i1 : i2", loads, 8), 1);
	assert_int_equal(loads[0].index, HELP_I1);
	assert_int_equal(loads_of(&h, "fixed.five + 1 == 6", loads, 8), 0);
	assert_int_equal(loads_of(&h, "event.amount", loads, 8), 1);
	assert_int_equal(h.program.instructions, 1);
	/* a space that is not read may be missing */
	h.env.space[SPACE_BIND] = NULL;
	assert_int_equal(help_eval(&h, "1 + 1").i, 2);
	help_deinit(&h);
}

static void registers_are_used_again(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	for (unsigned i = 0; i < HELP_COUNT; i++)
		if (help_names[i].type == TYPE_INT)
			help_bind(&h, i, (int64_t)i + 1);
	/* i1 = 3, i2 = 4 */
	assert_int_equal(
		help_eval(&h, "(i1 + i2) * (i1 - i2) + (i1 * i2) * (i2 - i1) + (i1 + 1) * (i2 + 2)").i, 29);
	assert_true(h.program.registers <= 5);
	/* a choice over one symbol thrice, over constants, and inside of another */
	help_bind(&h, HELP_B1, 1);
	assert_int_equal(help_eval(&h, "b1 ? b1 : b1").i, 1);
	assert_int_equal(help_eval(&h, "(b1 ? i1 : i2) + (b1 ? 10 : 20) + (b2 ? i2 : i1) + i1 + i2").i, 23);
	assert_int_equal(help_eval(&h, "(b2 ? i1 : i2 + 1) * 100 + (b2 ? 1 : b1 ? i2 : 3) * 10 + i2").i, 544);
	assert_int_equal(help_eval(&h, "b1 ? (b2 ? 1 : 2) : 3").i, 2);
	help_deinit(&h);
}

static void strings_that_do_not_fit_in_scratch_are_out_of_range(void **state)
{
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_string(&h, HELP_S1, "12345");
	h.env.scratch_bytes = 10;
	assert_int_equal(help_eval(&h, "s1 + s1").bytes, 10);
	struct value v = help_eval(&h, "s1 + s1 + s1");
	assert_int_equal(v.status, VALUE_ERROR);
	assert_int_equal(v.bytes, VALUE_ERROR_RANGE);
	assert_int_equal(help_eval(&h, "string(1234567890)").bytes, 10); /* folded: needs no scratch */
	help_bind(&h, HELP_I1, 12345678901);
	assert_int_equal(help_eval(&h, "string(i1)").status, VALUE_ERROR);
	h.env.scratch = NULL;
	h.env.scratch_bytes = 0;
	assert_int_equal(help_eval(&h, "s1 + s1").status, VALUE_ERROR);
	assert_int_equal(help_eval(&h, "s1").bytes, 5);
	help_deinit(&h);
}

/* The text that was compiled may go away: a program holds its own strings. */
static void a_program_outlives_its_text(void **state)
{
	char text[] = "s1 + 'a\\u00e9' == 'xa\\u00e9'";
	struct help h;

	(void)state;
	help_init(&h);
	help_bind_string(&h, HELP_S1, "x");
	assert_int_equal(help_compile(&h, text), 0);
	memset(text, '?', sizeof text);
	assert_int_equal(cel_eval(&h.program, &h.env).i, 1);
	help_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int_arithmetic_is_checked_at_its_edges),
		cmocka_unit_test(doubles_follow_ieee_754),
		cmocka_unit_test(strings_compare_by_code_points),
		cmocka_unit_test(values_print_as_the_standard_says),
		cmocka_unit_test(texts_convert_or_say_why_not),
		cmocka_unit_test(times_are_taken_apart_in_utc_or_an_offset),
		cmocka_unit_test(the_calendar_counts_every_day),
		cmocka_unit_test(money_compares_in_its_currency_or_through_base),
		cmocka_unit_test(money_beyond_the_banks_currency_is_an_error),
		cmocka_unit_test(the_literals_of_strings_read_as_the_standard_says),
		cmocka_unit_test(spaces_and_comments_stand_anywhere),
		cmocka_unit_test(a_symbol_is_loaded_once_and_only_if_the_result_needs_it),
		cmocka_unit_test(registers_are_used_again),
		cmocka_unit_test(strings_that_do_not_fit_in_scratch_are_out_of_range),
		cmocka_unit_test(a_program_outlives_its_text),
	};

	return cmocka_run_group_tests_name("cel_eval", tests, NULL, NULL);
}
