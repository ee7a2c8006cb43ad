// needs: user/message/text.c user/catalogue/*.c user/cel/*.c user/base/[abm]*.c
/*
 * test_text.c: the words that come out of a text, byte by byte: quoting, money against ICU, dates in the
 * bank's zone, what is cut, what has no data, and which language is taken.
 */
#include <catalogue/catalogue.h>
#include <message/text.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/unum.h>
#include <unicode/ustring.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { ROOM = 512 };

/* One message `m` over a bank that has a bit of everything. */
struct bench {
	struct catalogue *c;
	struct value event[FIELD_COUNT], body[8], profile[4], agg[4], param[2], me[ME_COUNT];
	struct cel_env env;
	char scratch[256], out[ROOM];
	size_t bytes;
	uint32_t no_data;
	uint16_t message;
};

static struct value value_int(int64_t i)
{
	return (struct value){ .type = TYPE_INT, .i = i };
}
static struct value no_data(enum value_type type)
{
	return (struct value){ .type = (uint8_t)type, .status = VALUE_NO_DATA };
}
static struct value value_string(const char *s)
{
	return (struct value){ .type = TYPE_STRING, .s = s, .bytes = (uint32_t)strlen(s) };
}

static void bench_open(struct bench *t, const char *texts)
{
	static const char head[] =
		"bank: { currency: EUR, zone: Europe/Madrid }\n"
		"rates: { USD: 0.92, GBP: 1.165, JPY: 0.00615, KWD: 2.99 }\n"
		"events: { e: { code: 1, body: { merchant: string, ratio: double, flag: bool } } }\n"
		"profile: { since: { type: timestamp } }\n"
		"aggregates: { spent: { over: [e], sum: base }, n: { over: [e], count: true }, mine: { over: "
		"[e], sum: amount, per: "
		"account } }\n"
		"channels: { push: { max: 240 } }\n"
		"subscriptions: { r: { events: [e], repeat: every, message: m, params: { t: { type: money, "
		"default: 1 EUR } } } }\n"
		"messages:\n  m:\n";
	struct problems problems;
	char yaml[4096];

	memset(t, 0, sizeof *t);
	problems_init(&problems);
	snprintf(yaml, sizeof yaml, "%s%s", head, texts);
	if (catalogue_compile_text("m", yaml, strlen(yaml), &t->c, &problems) != 0) {
		problems_print(&problems, stderr);
		fail_msg("%s", texts);
	}
	problems_deinit(&problems);
	t->env = (struct cel_env){ .space = { [SPACE_EVENT] = t->event,
					      [SPACE_BODY] = t->body,
					      [SPACE_PROFILE] = t->profile,
					      [SPACE_AGG] = t->agg,
					      [SPACE_ME] = t->me,
					      [SPACE_PARAM] = t->param },
				   .rates = &t->c->rates,
				   .currency = 978,
				   .scratch = t->scratch,
				   .scratch_bytes = sizeof t->scratch };
	for (int i = 0; i < FIELD_COUNT; i++)
		t->event[i] = no_data(TYPE_INT);
	t->event[FIELD_type] = value_string("e");
	t->event[FIELD_amount] = value_int(123456);
	t->event[FIELD_balance] = value_int(-50);
	t->event[FIELD_base] = value_int(1000000);
	t->event[FIELD_mcc] = value_int(12345);
	t->event[FIELD_time] =
		(struct value){ .type = TYPE_TIMESTAMP, .i = INT64_C(1774746000) * 1000000000 };
	t->body[0] = value_string("Caf\xc3\xa9");
	t->body[1] = (struct value){ .type = TYPE_DOUBLE, .d = 1234.5 };
	t->body[2] = (struct value){ .type = TYPE_BOOL, .i = 1 };
	t->profile[0] = no_data(TYPE_TIMESTAMP);
	t->agg[0] = value_int(123);
	t->agg[1] = value_int(1234567);
	t->agg[2] = value_int(99);
	t->param[0] = (struct value){ .type = TYPE_MONEY, .i = 5000, .currency = 392 };
	t->me[ME_CUSTOMER] = value_int(7);
	t->me[ME_ROLE] = value_string("owner");
}

static void bench_close(struct bench *t)
{
	catalogue_free(t->c);
}

static const char *render_cut(struct bench *t, const char *tag, uint32_t characters_max, size_t room)
{
	uint16_t language = (uint16_t)catalogue_language_find(t->c, tag, strlen(tag));
	const struct cat_text *text = text_find(t->c, t->message, &language);

	memset(t->out, '#', sizeof t->out);
	assert_true(room < sizeof t->out);
	t->bytes =
		text_render(t->c, text, language, NULL, &t->env, characters_max, t->out, room, &t->no_data);
	assert_true(t->bytes <= room);
	for (size_t i = t->bytes + 1; i < sizeof t->out; i++)
		if (i >= room)
			assert_int_equal(t->out[i], '#'); /* nothing is written past the room */
	t->out[t->bytes] = 0;
	return t->out;
}

static const char *render(struct bench *t, const char *tag)
{
	return render_cut(t, tag, 1000, ROOM - 1);
}

#define NBSP "\xc2\xa0"
#define THIN "\xe2\x80\xaf"
#define DASH "\xe2\x80\x93"
#define DOTS "\xe2\x80\xa6"

static const struct text_row {
	const char *yaml, *tag, *expected;
} text_rows[] = {
	{ "{ en: 'Hello' }", "en", "Hello" },
	/* quoting as ICU MessageFormat; YAML doubles the apostrophes once more */
	{ "{ en: \"it's 5 o'clock\" }", "en", "it's 5 o'clock" },
	{ "{ en: \"it''s\" }", "en", "it's" },
	{ "{ en: \"a '{b}' c\" }", "en", "a {b} c" },
	{ "{ en: \"a '{' {event.type} '}' c\" }", "en", "a { e } c" },
	{ "{ en: \"'{it''s}'\" }", "en", "{it's}" },
	{ "{ en: \"'{open to the end\" }", "en", "{open to the end" },
	{ "{ en: \"'\" }", "en", "'" },
	/* values */
	{ "{ en: '{event.merchant}' }", "en", "Caf\xc3\xa9" },
	{ "{ en: '{ event.merchant }{event.type}' }", "en",
	  "Caf\xc3\xa9"
	  "e" },
	{ "{ en: '{event.mcc} {event.mcc, number}' }", "en", "12345 12,345" },
	{ "{ es: '{event.mcc, number} {agg.n,number}', en: x }", "es", "12.345 1.234.567" },
	{ "{ en: '{event.flag} {!event.flag}' }", "en", "true false" },
	{ "{ en: '{event.ratio, number}' }", "en", "1,234.5" },
	{ "{ de: '{-event.ratio, number}', en: x }", "de", "-1.234,5" },
	{ "{ en: '{me.role} {me.customer}' }", "en", "owner 7" },
	{ "{ en: \"{event.flag ? 'a, b}' : \\\"c\\\"}\" }", "en", "a, b}" },
	{ "{ en: \"{event.merchant in ['x', 'y'] ? 1 : 2}\" }", "en", "2" },
	/* money: of the event, of the bank, of its own */
	{ "{ en: '{event.amount, money}' }", "en",
	  "\xe2\x82\xac"
	  "1,234.56" },
	{ "{ en: '{event.balance, money}' }", "en",
	  "-\xe2\x82\xac"
	  "0.50" },
	{ "{ en: '{event.base, money}' }", "en",
	  "\xe2\x82\xac"
	  "10,000.00" },
	{ "{ en: '{agg.spent, money} {agg.mine, money}' }", "en",
	  "\xe2\x82\xac"
	  "1.23 \xe2\x82\xac"
	  "0.99" },
	{ "{ en: '{param.t, money}' }", "en",
	  "\xc2\xa5"
	  "5,000" },
	{ "{ es: '{event.amount, money}', en: x }", "es", "1234,56" NBSP "\xe2\x82\xac" },
	{ "{ es: '{event.base, money}', en: x }", "es", "10.000,00" NBSP "\xe2\x82\xac" },
	{ "{ fr: '{event.base, money}', en: x }", "fr", "10" THIN "000,00" NBSP "\xe2\x82\xac" },
	{ "{ en: '{money(\"-1.5 KWD\"), money}' }", "en", "-KWD" NBSP "1.500" },
	{ "{ en: '{money(\"12 CHF\"), money}' }", "en",
	  "CHF" NBSP "12.00" }, /* without a rate: by its code */
	{ "{ es: '{money(\"-12 CHF\"), money}', en: x }", "es", "-CHF" NBSP "12,00" },
	/* dates and times: 2026-03-29 01:00 UTC is 03:00 in Madrid, the hour after 01:59 */
	{ "{ en: '{event.time, date} {event.time, time}' }", "en", "Mar 29, 2026 03:00" },
	{ "{ es: '{event.time, date}', en: x }", "es", "29 mar 2026" },
	{ "{ de: '{event.time, date}', en: x }", "de", "29. M\xc3\xa4rz 2026" },
	{ "{ ja: '{event.time, date}', en: x }", "ja",
	  "2026\xe5\xb9\xb4"
	  "3\xe6\x9c\x88"
	  "29\xe6\x97\xa5" },
	{ "{ en: '{event.time - duration(\"1s\"), time}' }", "en", "01:59" },
	{ "{ en: '{timestamp(\"1969-12-31T23:00:00Z\"), date} {timestamp(\"1969-12-31T22:59:59Z\"), time}' }",
	  "en", "Jan 1, 1970 23:59" },
	{ "{ en: '{timestamp(\"2024-02-29T12:00:00Z\"), date}' }", "en", "Feb 29, 2024" },
	{ "{ en: '{timestamp(\"2000-12-31T23:30:00Z\"), date}' }", "en", "Jan 1, 2001" },
	/* languages */
	{ "{ en: 'bank', es: 'padre', es-CO: 'hijo' }", "es-CO", "hijo" },
	{ "{ en: 'bank', es: 'padre', es-CO: 'hijo' }", "es-MX", "padre" },
	{ "{ en: 'bank', es: 'padre' }", "pt-BR", "bank" },
};

static void text_renders_words_values_and_quotes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text_rows); i++) {
		struct bench t;
		char yaml[512];
		snprintf(yaml, sizeof yaml, "    %s\n", text_rows[i].yaml);
		bench_open(&t, yaml);
		if (strcmp(render(&t, text_rows[i].tag), text_rows[i].expected) != 0)
			fail_msg("%s: found '%s', expected '%s'", text_rows[i].yaml, t.out,
				 text_rows[i].expected);
		assert_int_equal(t.no_data, 0);
		bench_close(&t);
	}
}

static void text_without_its_data_has_a_dash_and_is_counted(void **state)
{
	struct bench t;

	(void)state;
	bench_open(&t, "    { en: 'at {event.merchant}, {event.amount, money}, {profile.since, date}, "
		       "{event.mcc / 0}, "
		       "{event.ratio, number}.' }\n");
	t.body[0] = no_data(TYPE_STRING);
	t.body[1].d = 1.0 / 0.0;
	assert_string_equal(render(&t, "en"), "at " DASH ", \xe2\x82\xac"
					      "1,234.56, " DASH ", " DASH ", " DASH ".");
	assert_int_equal(t.no_data, 4);
	t.env.currency = 1; /* no currency of ISO 4217 */
	render(&t, "en");
	assert_int_equal(t.no_data, 5);
	bench_close(&t);
}

static void text_takes_the_parent_or_the_banks_language_when_one_is_missing(void **state)
{
	struct bench t;
	uint16_t language, es;

	(void)state;
	bench_open(&t, "    { en: 'bank', es: 'padre' }\n  other: { en: x, es-CO: y, fr: z }\n");
	es = (uint16_t)catalogue_language_find(t.c, "es", 2);
	language = (uint16_t)catalogue_language_find(t.c, "es-CO", 5);
	assert_int_not_equal(language, es);
	text_find(t.c, 0, &language);
	assert_int_equal(language, es); /* the parent, and its marks for the numbers */
	language = (uint16_t)catalogue_language_find(t.c, "fr", 2);
	text_find(t.c, 0, &language);
	assert_int_equal(language, t.c->language);
	bench_close(&t);
}

/* --- cutting --- */

static unsigned characters(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void text_is_cut_behind_a_whole_character(void **state)
{
	/* characters of one, two, three and four bytes, from literals and values */
	static const char whole[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
				    "Caf\xc3\xa9\xe2\x82\xac"
				    "1,234.56z";
	struct bench t;
	unsigned n = characters(whole);

	(void)state;
	bench_open(&t, "    { en: 'a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80{event.merchant}{event.amount, "
		       "money}z' }\n");
	assert_string_equal(render_cut(&t, "en", n, ROOM - 1), whole);
	for (unsigned most = 1; most < n; most++) {
		size_t kept;
		render_cut(&t, "en", most, ROOM - 1);
		assert_int_equal(characters(t.out), most);
		assert_true(t.bytes >= 3);
		kept = t.bytes - 3;
		assert_string_equal(t.out + kept, DOTS);
		assert_memory_equal(t.out, whole, kept);
		assert_true(((unsigned char)whole[kept] & 0xc0) != 0x80);
	}
	assert_string_equal(render_cut(&t, "en", 0, ROOM - 1), "");
	bench_close(&t);
}

static void text_is_cut_at_the_room_behind_a_whole_character(void **state)
{
	static const char whole[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
				    "end";
	struct bench t;
	size_t n = sizeof whole - 1;

	(void)state;
	bench_open(&t, "    { en: 'a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
		       "end' }\n");
	assert_string_equal(render_cut(&t, "en", 1000, n), whole);
	for (size_t room = 3; room < n; room++) {
		size_t kept;
		render_cut(&t, "en", 1000, room);
		assert_true(t.bytes >= 3);
		kept = t.bytes - 3;
		assert_string_equal(t.out + kept, DOTS);
		assert_memory_equal(t.out, whole, kept);
		assert_true(((unsigned char)whole[kept] & 0xc0) != 0x80);
	}
	for (size_t room = 0; room < 3; room++)
		assert_string_equal(render_cut(&t, "en", 1000, room), "");
	bench_close(&t);
}

/* --- money and numbers against ICU --- */

static uint64_t random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static UNumberFormat *icu_open(UNumberFormatStyle style, const char *tag, const char *code)
{
	UErrorCode error = U_ZERO_ERROR;
	UNumberFormat *f = unum_open(style, NULL, 0, tag, NULL, &error);
	UChar currency[4];

	assert_true(U_SUCCESS(error));
	unum_setAttribute(f, UNUM_MINIMUM_GROUPING_DIGITS, UNUM_MINIMUM_GROUPING_DIGITS_AUTO);
	if (code) {
		u_charsToUChars(code, currency, 4);
		unum_setTextAttribute(f, UNUM_CURRENCY_CODE, currency, 3, &error);
		assert_true(U_SUCCESS(error));
	}
	return f;
}

static const char *icu_format(const UNumberFormat *f, int64_t minor, unsigned exponent, char *out,
			      size_t room)
{
	char digits[40], decimal[48];
	UChar text[128];
	UErrorCode error = U_ZERO_ERROR;
	uint64_t size = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
	int n = snprintf(digits, sizeof digits, "%0*llu", (int)exponent + 1, (unsigned long long)size),
	    whole = n - (int)exponent;

	snprintf(decimal, sizeof decimal, "%s%.*s%s%s", minor < 0 ? "-" : "", whole, digits,
		 exponent ? "." : "", digits + whole);
	n = unum_formatDecimal(f, decimal, -1, text, 128, NULL, &error);
	assert_true(U_SUCCESS(error));
	u_strToUTF8(out, (int32_t)room, NULL, text, n, &error);
	assert_true(U_SUCCESS(error));
	return out;
}

static int64_t amount_at(unsigned i, uint64_t *seed)
{
	static const int64_t edges[] = { 0,	1,     -1,     9,	99,	  100,	     999,      1000,
					 9999,	10000, 99999,  100000,	999999,	  1000000,   9999999,  -100,
					 -1000, -9999, -10000, -123456, -1000000, INT64_MAX, INT64_MIN };

	if (i < ARRAY_LEN(edges))
		return edges[i];
	return (int64_t)random_next(seed) >> (random_next(seed) % 60);
}

static void money_is_byte_for_byte_that_of_icu(void **state)
{
	static const char *const tags[] = { "en",    "es", "de", "fr", "ja", "es-CO",
					    "de-AT", "hi", "sv", "pl", "nl", "pt-PT" };
	static const struct {
		const char *code;
		uint16_t number;
		unsigned exponent;
	} currencies[] = {
		{ "EUR", 978, 2 }, { "USD", 840, 2 }, { "GBP", 826, 2 }, { "JPY", 392, 0 }, { "KWD", 414, 3 }
	};
	uint64_t seed = 20260801;
	unsigned compared = 0;
	struct bench t;
	char expected[256], texts[1024] = "    {";

	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(tags); l++)
		snprintf(texts + strlen(texts), sizeof texts - strlen(texts),
			 " %s: '{event.balance, money}',", tags[l]);
	strcat(texts, " }\n");
	bench_open(&t, texts);
	for (size_t l = 0; l < ARRAY_LEN(tags); l++)
		for (size_t k = 0; k < ARRAY_LEN(currencies); k++) {
			UNumberFormat *f = icu_open(UNUM_CURRENCY, tags[l], currencies[k].code);
			t.env.currency = currencies[k].number;
			for (unsigned i = 0; i < 400; i++, compared++) {
				int64_t minor = amount_at(i, &seed);
				t.event[FIELD_balance] = value_int(minor);
				icu_format(f, minor, currencies[k].exponent, expected, sizeof expected);
				if (strcmp(render(&t, tags[l]), expected) != 0)
					fail_msg("%s %s %lld: found '%s', ICU says '%s'", tags[l],
						 currencies[k].code, (long long)minor, t.out, expected);
			}
			unum_close(f);
		}
	print_message("%u amounts compared\n", compared);
	bench_close(&t);
}

static void numbers_are_byte_for_byte_those_of_icu(void **state)
{
	static const char *const tags[] = { "en", "es", "de", "fr", "ja" };
	static const double doubles[] = { 0.0,	     0.5, -0.25,	1.0,  999.999, 1234.5, 12345.678,
					  -9999.125, 1e6, 123456789.25, 1e15, 0.0625,  1e-9 };
	uint64_t seed = 4711;
	struct bench t;
	char expected[256], texts[1024] = "    {";

	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(tags); l++)
		snprintf(texts + strlen(texts), sizeof texts - strlen(texts),
			 " %s: '{agg.n, number}|{event.ratio, number}',", tags[l]);
	strcat(texts, " }\n");
	bench_open(&t, texts);
	for (size_t l = 0; l < ARRAY_LEN(tags); l++) {
		UNumberFormat *f = icu_open(UNUM_DECIMAL, tags[l], NULL);
		for (unsigned i = 0; i < 300; i++) {
			UErrorCode error = U_ZERO_ERROR;
			UChar text[400];
			size_t n;
			t.agg[1] = value_int(amount_at(i, &seed));
			t.body[1].d = doubles[i % ARRAY_LEN(doubles)];
			icu_format(f, t.agg[1].i, 0, expected, sizeof expected);
			strcat(expected, "|");
			n = strlen(expected);
			unum_formatDouble(f, t.body[1].d, text, 400, NULL, &error);
			u_strToUTF8(expected + n, (int32_t)(sizeof expected - n), NULL, text, -1, &error);
			assert_true(U_SUCCESS(error));
			if (strcmp(render(&t, tags[l]), expected) != 0)
				fail_msg("%s: found '%s', ICU says '%s'", tags[l], t.out, expected);
		}
		unum_close(f);
	}
	bench_close(&t);
}

static void numbers_round_half_to_even_of_what_the_double_is(void **state)
{
	static const struct {
		double d;
		const char *expected;
	} rows[] = { { 0.0005, "0.001" }, /* a little above the half */
		     { 0.0625, "0.062" }, /* exactly the half */
		     { 0.1875, "0.188" }, /* exactly the half */
		     { 1.0005, "1" },	  /* a little below the half */
		     { -0.0001, "0" },	  /* no minus in front of nothing */
		     { 4503599627370496.5, "4,503,599,627,370,496" },
		     { 9007199254740993.0, "9,007,199,254,740,992" },
		     { 1e21, "1,000,000,000,000,000,000,000" },
		     { 5e-324, "0" } };
	struct bench t;

	(void)state;
	bench_open(&t, "    { en: '{event.ratio, number}' }\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		t.body[1].d = rows[i].d;
		assert_string_equal(render(&t, "en"), rows[i].expected);
	}
	bench_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_renders_words_values_and_quotes),
		cmocka_unit_test(text_without_its_data_has_a_dash_and_is_counted),
		cmocka_unit_test(text_takes_the_parent_or_the_banks_language_when_one_is_missing),
		cmocka_unit_test(text_is_cut_behind_a_whole_character),
		cmocka_unit_test(text_is_cut_at_the_room_behind_a_whole_character),
		cmocka_unit_test(money_is_byte_for_byte_that_of_icu),
		cmocka_unit_test(numbers_are_byte_for_byte_those_of_icu),
		cmocka_unit_test(numbers_round_half_to_even_of_what_the_double_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
