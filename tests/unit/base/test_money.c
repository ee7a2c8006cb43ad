// needs: user/base/money.c
/*
 * test_money.c: the tables of currencies and countries, money as text, and conversion to the bank's
 * currency: exponents 0, 2 and 3, half to even, 128 bits, no rate, no room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/money.h>
#include <stdio.h>
#include <string.h>

enum { EUR = 978, USD = 840, KWD = 414, JPY = 392, CHF = 756 };

static void a_currency_is_found_by_code_and_by_number(void **state)
{
	static const struct money_currency known[] = {
		{ 978, 2, "EUR" }, { 840, 2, "USD" }, { 826, 2, "GBP" }, { 392, 0, "JPY" }, { 410, 0, "KRW" },
		{ 152, 0, "CLP" }, { 414, 3, "KWD" }, { 48, 3, "BHD" },	 { 788, 3, "TND" }, { 8, 2, "ALL" },
		{ 784, 2, "AED" }, { 924, 2, "ZWG" }, { 932, 2, "ZWL" }, { 532, 2, "XCG" }, { 952, 0, "XOF" },
		{ 352, 0, "ISK" }, { 940, 0, "UYI" }, { 512, 3, "OMR" }, { 170, 2, "COP" }, { 986, 2, "BRL" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		const struct money_currency *c = money_currency_find(known[i].code, 3);
		assert_non_null(c);
		assert_int_equal(c->numeric, known[i].numeric);
		assert_int_equal(c->exponent, known[i].exponent);
		assert_ptr_equal(c, money_currency_by_number(known[i].numeric));
	}
}

static void what_is_no_currency_is_not_found(void **state)
{
	static const char *const none[] = { "eur", "EU",  "EURO", "",	 "XXX", "XAU",
					    "CLF", "UYW", "ZZZ",  "AAA", "ANG" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_null(money_currency_find(none[i], strlen(none[i])));
	assert_null(money_currency_by_number(0));
	assert_null(money_currency_by_number(999));
	assert_null(money_currency_by_number(1000));
	assert_null(money_currency_by_number(UINT16_MAX));
}

/* All codes of three letters: what is found is itself, in order, with its own number. */
static void every_code_of_the_table_is_reached(void **state)
{
	unsigned found = 0, by_exponent[4] = { 0 };
	char code[4] = "";

	(void)state;
	for (int i = 0; i < 26 * 26 * 26; i++) {
		code[0] = (char)('A' + i / 676);
		code[1] = (char)('A' + i / 26 % 26);
		code[2] = (char)('A' + i % 26);
		const struct money_currency *c = money_currency_find(code, 3);
		if (!c)
			continue;
		assert_string_equal(c->code, code);
		assert_ptr_equal(c, money_currency_by_number(c->numeric));
		assert_in_range(c->exponent, 0, 3);
		by_exponent[c->exponent]++;
		found++;
	}
	assert_int_equal(found, 167);
	assert_int_equal(by_exponent[0], 17);
	assert_int_equal(by_exponent[1], 0);
	assert_int_equal(by_exponent[3], 7);
}

static void every_country_is_found_by_its_code(void **state)
{
	static const struct {
		const char *code;
		uint16_t numeric;
	} known[] = { { "ES", 724 }, { "DE", 276 }, { "US", 840 }, { "AF", 4 },
		      { "ZW", 716 }, { "AX", 248 }, { "CO", 170 } };
	bool seen[1000] = { false };
	unsigned found = 0;

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		assert_int_equal(money_country_find(known[i].code, 2), known[i].numeric);
	for (int i = 0; i < 26 * 26; i++) {
		char code[2] = { (char)('A' + i / 26), (char)('A' + i % 26) };
		uint16_t numeric = money_country_find(code, 2);
		if (numeric == 0)
			continue;
		assert_true(numeric < 1000 && !seen[numeric]);
		seen[numeric] = true;
		found++;
	}
	assert_int_equal(found, 249);
	assert_int_equal(money_country_find("es", 2), 0);
	assert_int_equal(money_country_find("ESP", 3), 0);
	assert_int_equal(money_country_find("XX", 2), 0);
	assert_int_equal(money_country_find("", 0), 0);
}

static void money_reads_as_it_is_written(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int64_t minor;
		uint16_t currency;
	} rows[] = {
		{ "100 EUR", true, 10000, EUR },
		{ "100.5 EUR", true, 10050, EUR },
		{ "100.50 EUR", true, 10050, EUR },
		{ "-3.000 KWD", true, -3000, KWD },
		{ "3.001 KWD", true, 3001, KWD },
		{ "500 JPY", true, 500, JPY },
		{ "0 EUR", true, 0, EUR },
		{ "-0 EUR", true, 0, EUR },
		{ "007 EUR", true, 700, EUR },
		{ "0.01 EUR", true, 1, EUR },
		{ "92233720368547758.07 EUR", true, INT64_MAX, EUR },
		{ "-92233720368547758.08 EUR", true, INT64_MIN, EUR },
		{ "9223372036854775807 JPY", true, INT64_MAX, JPY },
		{ "92233720368547758.08 EUR", false, 0, 0 },
		{ "-92233720368547758.09 EUR", false, 0, 0 },
		{ "99999999999999999999999999999999999999999999 EUR", false, 0, 0 },
		{ "100.505 EUR", false, 0, 0 },
		{ "100.000 EUR", false, 0, 0 },
		{ "500.0 JPY", false, 0, 0 },
		{ "1.0000 KWD", false, 0, 0 },
		{ "100. EUR", false, 0, 0 },
		{ ".5 EUR", false, 0, 0 },
		{ "1.2.3 EUR", false, 0, 0 },
		{ "+5 EUR", false, 0, 0 },
		{ "--5 EUR", false, 0, 0 },
		{ "- EUR", false, 0, 0 },
		{ " EUR", false, 0, 0 },
		{ "EUR", false, 0, 0 },
		{ "", false, 0, 0 },
		{ "5EUR", false, 0, 0 },
		{ "5  EUR", false, 0, 0 },
		{ " 5 EUR", false, 0, 0 },
		{ "5 EUR ", false, 0, 0 },
		{ "EUR 5", false, 0, 0 },
		{ "1,000 EUR", false, 0, 0 },
		{ "1e3 EUR", false, 0, 0 },
		{ "5 eur", false, 0, 0 },
		{ "5 XXX", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t minor = 0;
		uint16_t currency = 0;
		bool good = money_parse(rows[i].text, strlen(rows[i].text), &minor, &currency);
		if (good != rows[i].good || minor != rows[i].minor || currency != rows[i].currency)
			fail_msg("%s: %d %lld %u", rows[i].text, good, (long long)minor, currency);
		/* cut at every byte, it is no money: the code is the last thing */
		for (size_t len = 0; rows[i].good && len < strlen(rows[i].text); len++)
			assert_false(money_parse(rows[i].text, len, &minor, &currency));
	}
}

static void products_round_half_to_even(void **state)
{
	static const struct {
		int64_t x, y, z, want;
	} rows[] = {
		{ 5, 1, 2, 2 },
		{ 7, 1, 2, 4 },
		{ -5, 1, 2, -2 },
		{ -7, 1, 2, -4 },
		{ 1, 1, 2, 0 },
		{ 3, 1, 2, 2 },
		{ -1, 1, 2, 0 },
		{ -3, 1, 2, -2 },
		{ 5, 1, 3, 2 },
		{ 4, 1, 3, 1 },
		{ -5, 1, 3, -2 },
		{ -4, 1, 3, -1 },
		{ 0, 5, 7, 0 },
		{ 6, 7, 1, 42 },
		{ -6, 7, 1, -42 },
		{ INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX },
		{ INT64_MIN, 1, 1, INT64_MIN },
		{ INT64_MIN, 3, 6, INT64_MIN / 2 },
	};
	int64_t out = 1;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_true(money_muldiv(rows[i].x, rows[i].y, rows[i].z, &out));
		assert_int_equal(out, rows[i].want);
	}
	assert_false(money_muldiv(INT64_MAX, 2, 1, &out));
	assert_false(money_muldiv(INT64_MIN, -1, 1, &out));
	assert_false(money_muldiv(INT64_MIN, INT64_MIN, INT64_MAX, &out));
}

struct base_row {
	int64_t minor;
	uint16_t currency;
	bool good, overflow;
	int64_t base;
};

static void base_rows_run(const struct money_rates *rates, const struct base_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t base = 0;
		bool overflow = true;
		bool good = money_to_base(rates, rows[i].minor, rows[i].currency, &base, &overflow);
		if (good != rows[i].good || overflow != rows[i].overflow || (good && base != rows[i].base))
			fail_msg("%lld %u: %d %d %lld", (long long)rows[i].minor, rows[i].currency, good,
				 overflow, (long long)base);
	}
}

static void amounts_convert_to_the_banks_currency(void **state)
{
	/* 1 JPY = 0.0061 EUR, 1 KWD = 3.0125 EUR, 1 USD = 0.5 EUR */
	static const struct money_rates rates = {
		.bank = EUR,
		.bank_exponent = 2,
		.count = 3,
		.rate = { { JPY, 0, 4, 61 }, { KWD, 3, 4, 30125 }, { USD, 2, 1, 5 } }
	};
	static const struct base_row rows[] = {
		{ 12345, EUR, true, false, 12345 },
		{ INT64_MIN, EUR, true, false, INT64_MIN },
		{ 10000, USD, true, false, 5000 },
		{ 1, USD, true, false, 0 }, /* 0.5 */
		{ 3, USD, true, false, 2 }, /* 1.5 */
		{ 5, USD, true, false, 2 }, /* 2.5 */
		{ -3, USD, true, false, -2 },
		{ -5, USD, true, false, -2 },
		{ 100, JPY, true, false, 61 },
		{ 1, JPY, true, false, 1 },	 /* 0.61 */
		{ 50, JPY, true, false, 30 },	 /* 30.5 */
		{ 1000, KWD, true, false, 301 }, /* 301.25 */
		{ INT64_MAX, USD, true, false, 4611686018427387904 },
		{ INT64_MAX, KWD, true, false, 2778540826102501212 },
		{ 100, CHF, false, false, 0 },
		{ 100, 0, false, false, 0 },
		{ 100, UINT16_MAX, false, false, 0 },
	};

	(void)state;
	base_rows_run(&rates, rows, sizeof rows / sizeof rows[0]);
}

static void a_bank_of_three_decimals_and_of_none_converts_too(void **state)
{
	static const struct money_rates dinar = { .bank = KWD,
						  .bank_exponent = 3,
						  .count = 2,
						  .rate = { { JPY, 0, 0, 7 }, { EUR, 2, 9, 333333333 } } };
	static const struct base_row dinar_rows[] = {
		{ 2, JPY, true, false, 14000 },
		{ 100, EUR, true, false, 333 },
		{ INT64_MAX, JPY, false, true, 0 },
		{ INT64_MIN, JPY, false, true, 0 },
	};
	static const struct money_rates yen = { .bank = JPY,
						.bank_exponent = 0,
						.count = 2,
						.rate = { { KWD, 3, 0, INT64_MAX },
							  { EUR, 2, 9, INT64_MAX } } };
	static const struct base_row yen_rows[] = {
		{ 1000, KWD, true, false, INT64_MAX }, { 1001, KWD, false, true, 0 },
		{ INT64_MAX, KWD, false, true, 0 },    { INT64_MIN, EUR, false, true, 0 },
		{ 1, EUR, true, false, 92233720 },
	};

	(void)state;
	base_rows_run(&dinar, dinar_rows, sizeof dinar_rows / sizeof dinar_rows[0]);
	base_rows_run(&yen, yen_rows, sizeof yen_rows / sizeof yen_rows[0]);
}

/* 128 bits are not enough for amount x rate x 1000; what overflows them does not fit in 64 either. */
static void a_product_beyond_128_bits_is_an_overflow(void **state)
{
	static const struct money_rates steepest = {
		.bank = KWD, .bank_exponent = 3, .count = 1, .rate = { { JPY, 0, 0, INT64_MAX } }
	};
	/* -2^63 x 2^62 x 1000 is 0 in 128 bits that wrap */
	static const struct money_rates wraps = {
		.bank = KWD, .bank_exponent = 3, .count = 1, .rate = { { JPY, 0, 0, (int64_t)1 << 62 } }
	};
	static const struct base_row rows[] = { { INT64_MAX, JPY, false, true, 0 },
						{ INT64_MIN, JPY, false, true, 0 },
						{ 0, JPY, true, false, 0 } };

	(void)state;
	base_rows_run(&steepest, rows, sizeof rows / sizeof rows[0]);
	base_rows_run(&wraps, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_currency_is_found_by_code_and_by_number),
		cmocka_unit_test(what_is_no_currency_is_not_found),
		cmocka_unit_test(every_code_of_the_table_is_reached),
		cmocka_unit_test(every_country_is_found_by_its_code),
		cmocka_unit_test(money_reads_as_it_is_written),
		cmocka_unit_test(products_round_half_to_even),
		cmocka_unit_test(amounts_convert_to_the_banks_currency),
		cmocka_unit_test(a_bank_of_three_decimals_and_of_none_converts_too),
		cmocka_unit_test(a_product_beyond_128_bits_is_an_overflow),
	};

	return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
