// needs: user/catalogue/*.c user/cel/*.c user/base/arena.c user/base/money.c user/base/bytes.c
/*
 * test_interest.c: what the catalogue's conditions leave for the pre-filter: a table of conditions and what
 * they come to, random conditions against their own evaluation (an event that would be dropped makes the
 * condition false, whatever else is known), and random tables whose union keeps what either keeps.
 *
 * test_interest [seed]
 */
#include "catalogue_test.h"

#include <base/money.h>
#include <catalogue/interest.h>
#include <inttypes.h>

static uint64_t seed = 1;

static uint64_t random_u64(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static unsigned random_below(uint64_t *state, unsigned n)
{
	return (unsigned)(random_u64(state) >> 33) % n;
}

/* --- a bank with one type that only rules use --- */

static const char head_yaml[] = "bank: { currency: EUR, country: ES, language: en, starts: empty }\n"
				"rates: { USD: 0.92, JPY: 0.00615, IDR: 0.00006, KWD: 3.0 }\n"
				"events: { seen: { code: 50, history: rules, body: { note: string } } }\n"
				"profile: { home: { type: int, default: country.ES } }\n"
				"channels: { push: { max: 240 } }\n"
				"messages: { hello: { en: 'Hello' } }\n";

static const char params_yaml[] =
	"{ eur: { type: money, default: '20 EUR', min: '10 EUR' }, free: { type: money, default: '20 EUR' }, "
	"usd: { type: money, default: '1 USD', min: '1 USD' }, idr: { type: money, default: '1000 IDR', "
	"min: '1000 IDR' }, n: { type: int, default: 7, min: 5 }, top: { type: int, default: 7, max: 9 }, "
	"huge: { type: int, default: 9223372036854775807, min: 9223372036854775807 } }";

/* A file besides that of the bank: a section stands once in each. */
static struct catalogue *compile_beside(const char *head, const char *more)
{
	struct compiled k = compile_files("a.yaml", head, "b.yaml", more, NULL);
	struct catalogue *c = k.c;

	if (k.rc)
		fail_msg("%s\n%s", k.text, more);
	k.c = NULL;
	compiled_free(&k);
	return c;
}

static struct catalogue *compile_more(const char *more)
{
	return compile_beside(head_yaml, more);
}

static struct catalogue *compile_when(const char *section, const char *when)
{
	char *more = NULL;
	struct catalogue *c;

	if (strcmp(section, "fraud") == 0)
		assert_true(asprintf(&more,
				     "fraud: { rules: { r: { events: [seen], when: \"%s\", score: 1 } } }\n",
				     when) > 0);
	else
		assert_true(asprintf(&more,
				     "%s: { r: { events: [seen], repeat: every, message: hello, when: "
				     "\"%s\"%s%s } "
				     "}\n",
				     section, when, section[0] == 's' ? ", params: " : "",
				     section[0] == 's' ? params_yaml : "") > 0);
	c = compile_more(more);
	free(more);
	return c;
}

/* The line of `--interest` for a type, without its name and code. */
static char *line_of(const struct catalogue *c, const char *type)
{
	char *text = NULL, *line, *out;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	catalogue_interest_print(c, f);
	fclose(f);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, type, strlen(type)) == 0 && line[strlen(type)] == ' ')
			break;
	if (!line)
		fail_msg("no line for %s", type);
	line += strlen(type);
	line += strspn(line, " 0123456789");
	out = strdup(line);
	free(text);
	return out;
}

/* --- conditions and what they come to --- */

static const struct row {
	const char *when, *line; /* how the line begins; subscriptions: ", enrolled customers" left out */
} rows[] = {
	/* an amount as it stands */
	{ "event.amount >= 3000", "keep if  amount >= 3000 minor units" },
	{ "event.amount > 3000", "keep if  amount >= 3001 minor units" },
	{ "3000 <= event.amount", "keep if  amount >= 3000 minor units" },
	{ "3000 < event.amount", "keep if  amount >= 3001 minor units" },
	{ "event.amount == 3000", "keep if  amount >= 3000 minor units" },
	{ "3000 == event.amount", "keep if  amount >= 3000 minor units" },
	{ "event.amount in [700, 500, 900]", "keep if  amount >= 500 minor units" },
	{ "event.amount >= 10 * 300", "keep if  amount >= 3000 minor units" },
	{ "event.amount > 9223372036854775806", "keep if  amount >= 9223372036854775807 minor units" },
	{ "event.amount > 9223372036854775807", "keep if  amount >= 9223372036854775807 minor units" },
	{ "event.amount >= 1", "keep if  amount >= 1 minor units" },
	{ "event.amount > 0", "keep if  amount >= 1 minor units" },
	{ "event.amount >= 0", "keep  " },
	{ "event.amount > -5", "keep  " },
	{ "event.amount < 3000", "keep  " },
	{ "event.amount <= 3000", "keep  " },
	{ "3000 >= event.amount", "keep  " },
	{ "event.amount != 3000", "keep  " },
	{ "!(event.amount < 3000)", "keep  " },
	{ "!(event.amount >= 3000)", "keep  " },
	{ "-event.amount <= -3000", "keep  " },
	{ "event.amount + 1 >= 3000", "keep  " },
	{ "double(event.amount) >= 3000.0", "keep  " },
	{ "event.amount >= event.balance", "keep  " },
	{ "event.amount >= event.amount", "keep  " },
	{ "event.base >= 3000", "keep  " },
	{ "event.balance >= 3000", "keep  " },
	{ "event.amount >= 1 / 0", "keep  " },
	/* in a currency */
	{ "event.amount >= money('30 EUR')", "keep if  amount >= 30.00 EUR" },
	{ "event.amount > money('30 EUR')", "keep if  amount >= 30.01 EUR" },
	{ "money('30 USD') <= event.amount", "keep if  amount >= 30.00 USD" },
	{ "event.amount == money('500 JPY')", "keep if  amount >= 500 JPY" },
	{ "event.amount < money('30 EUR')", "keep  " },
	{ "event.base > money('30 EUR')", "keep  " },
	/* places */
	{ "event.touchpoint == touchpoint.atm", "keep if  touchpoint atm  " },
	{ "touchpoint.atm == event.touchpoint", "keep if  touchpoint atm  " },
	{ "event.touchpoint in [touchpoint.branch, touchpoint.atm]", "keep if  touchpoint atm or branch" },
	{ "event.touchpoint == touchpoint.atm || event.touchpoint == touchpoint.pos",
	  "keep if  touchpoint pos or atm" },
	{ "event.touchpoint == 99", "keep if  touchpoint not given" },
	{ "event.touchpoint != touchpoint.atm", "keep  " },
	{ "event.touchpoint > touchpoint.atm", "keep  " },
	{ "event.country == country.PT", "keep if  country PT" },
	{ "event.country in [country.PT, country.FR]", "keep if  country FR or PT" },
	{ "event.country == -1", "keep if  country not given" },
	{ "event.country == 1023", "keep if  country 1023" },
	{ "event.country == 1024", "keep if  country not given" },
	{ "event.country == profile.home", "keep  " },
	{ "event.country != profile.home", "keep  " },
	{ "event.mcc == mcc.gambling", "keep if  mcc 7995" },
	{ "event.mcc in [10047, 10048, 742]", "keep if  mcc 0742 or 10047" },
	{ "event.mcc in [1,2,3,4,5,6,7,8,9,10]",
	  "keep if  mcc 0001 or 0002 or 0003 or 0004 or 0005 or 0006 or 0007 or 0008 or 2 more" },
	{ "event.mcc == event.country", "keep  " },
	{ "event.currency == currency.EUR", "keep  " },
	/* && and || */
	{ "event.amount > 99 && event.country == country.PT && event.mcc == 7995",
	  "keep if  amount >= 100 minor units, country PT, mcc 7995" },
	{ "event.note == 'x' && (profile.home == 3 && event.amount >= 100)", "keep if  amount >= 100 minor" },
	{ "event.amount >= 100 && event.amount >= 200", "keep if  amount >= 200 minor units" },
	{ "event.amount >= 200 && event.amount >= 100", "keep if  amount >= 200 minor units" },
	{ "event.amount >= money('1 EUR') && event.amount >= 200", "keep if  amount >= 200 minor units" },
	{ "event.amount >= money('1 EUR') && event.amount >= money('5 USD')", "keep if  amount >= 1.00 EUR" },
	{ "event.country in [724, 620] && event.country in [620, 250]", "keep if  country PT" },
	{ "event.amount >= 100 || event.amount >= 200", "keep if  amount >= 100 minor units" },
	{ "event.amount >= 100 || event.amount >= money('1 EUR')", "keep  " },
	{ "event.amount >= 100 || event.country == country.PT", "keep  " },
	{ "event.amount >= 100 || event.note == 'x'", "keep  " },
	{ "(event.amount >= 100 && event.mcc == 1) || (event.mcc == 2 && event.amount >= 50)",
	  "keep if  amount >= 50 minor units, mcc 0001 or 0002" },
	{ "event.amount >= 100 ? event.mcc == 1 : event.mcc == 2", "keep  " },
	{ "has(event.country) && event.amount >= 100", "keep if  amount >= 100" },
	{ "1 / 0 == 1 && event.amount >= 100", "keep if  amount >= 100" },
	{ "true", "keep  " },
	{ "1 / 0 == 1", "keep  " },
};

static const struct row param_rows[] = {
	{ "event.amount > param.eur", "keep if  amount >= 10.01 EUR, enrolled" },
	{ "event.amount >= param.eur", "keep if  amount >= 10.00 EUR, enrolled" },
	{ "param.eur <= event.amount", "keep if  amount >= 10.00 EUR, enrolled" },
	{ "event.amount == param.eur", "keep if  amount >= 10.00 EUR, enrolled" },
	{ "event.amount < param.eur", "keep if  enrolled" },
	{ "event.amount > param.free", "keep if  enrolled" },
	{ "event.amount > param.usd", "keep if  amount >= 1.01 USD, enrolled" },
	{ "event.amount >= param.usd", "keep if  enrolled" }, /* rounded through base it may be less */
	{ "event.amount == param.usd", "keep if  enrolled" },
	{ "event.amount > param.n", "keep if  amount >= 6 minor units, enrolled" },
	{ "event.amount >= param.n", "keep if  amount >= 5 minor units, enrolled" },
	{ "event.amount > param.top", "keep if  enrolled" },
	{ "event.amount > param.huge", "keep if  amount >= 9223372036854775807 minor units, enrolled" },
	{ "event.base > param.eur", "keep if  enrolled" },
	{ "event.country == param.n", "keep if  enrolled" },
};

static void assert_line(const char *section, const char *when, const char *begins)
{
	struct catalogue *c = compile_when(section, when);
	char *line = line_of(c, "seen");

	if (strncmp(line, begins, strlen(begins)) != 0)
		fail_msg("%s: %s: found '%s', expected '%s'", section, when, line, begins);
	free(line);
	catalogue_free(c);
}

static void conditions_narrow_by_header_and_constant_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_line("fraud", rows[i].when, rows[i].line);
		assert_line("critical", rows[i].when, rows[i].line);
	}
	for (size_t i = 0; i < ARRAY_LEN(param_rows); i++)
		assert_line("subscriptions", param_rows[i].when, param_rows[i].line);
}

static void a_condition_that_never_holds_drops_its_type(void **state)
{
	struct catalogue *c = compile_when("fraud", "false && event.amount > 3");
	char *line = line_of(c, "seen");

	(void)state;
	assert_int_equal(c->interest->type[50].action, INTEREST_DROP);
	assert_non_null(strstr(line, "fraud r (which can never hold)"));
	free(line);
	catalogue_free(c);
	c = compile_when("subscriptions", "false");
	assert_int_equal(c->interest->type[50].action, INTEREST_DROP);
	catalogue_free(c);
}

/* Every symbol of a condition has its register from the start: `count` fields of the body, one of the header.
 */
static struct catalogue *compile_wide(int count)
{
	char *more = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&more, &len);
	struct catalogue *c;

	fputs("events: { wide: { code: 51, history: rules, body: { b0: bool", f);
	for (int i = 1; i < count; i++)
		fprintf(f, ", b%d: bool", i);
	fputs(" } } }\nfraud: { rules: { r: { events: [wide], score: 1, when: 'event.amount > 9 && (event.b0",
	      f);
	for (int i = 1; i < count; i++)
		fprintf(f, " || event.b%d", i);
	fputs(")' } } }\n", f);
	fclose(f);
	c = compile_more(more);
	free(more);
	return c;
}

static void a_condition_too_large_to_look_into_is_kept(void **state)
{
	static const struct {
		int count, registers;
		enum interest_action action;
	} rows_of[] = { { 5, 6, INTEREST_KEEP_IF },
			{ 63, 64, INTEREST_KEEP_IF },
			{ 64, 65, INTEREST_KEEP },
			{ 200, 201, INTEREST_KEEP } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows_of); i++) {
		struct catalogue *c = compile_wide(rows_of[i].count);
		assert_int_equal(c->rules[0].when.registers, rows_of[i].registers);
		assert_int_equal(c->interest->type[51].action, rows_of[i].action);
		catalogue_free(c);
	}
}

/* --- types: several rules, and what remembers --- */

static const struct {
	const char *more, *line;
} types[] = {
	{ "groups: {}\n", "drop no rule, no aggregate, history: rules" },
	{ "subscriptions:\n  a: { events: [seen], repeat: every, message: hello, when: 'event.amount >= 700' "
	  "}\n"
	  "  b: { events: [seen], repeat: every, message: hello, when: 'event.amount >= 300' }\n",
	  "keep if  amount >= 300 minor units, enrolled customers  subscriptions a, b" },
	{ "subscriptions:\n  a: { events: [seen], repeat: every, message: hello, when: 'event.amount >= 700' "
	  "}\n"
	  "critical:\n  b: { events: [seen], repeat: every, message: hello, when: 'event.amount >= 900' }\n",
	  "keep if  amount >= 700 minor units  critical b; subscriptions a" },
	{ "subscriptions:\n  a: { events: [seen], repeat: every, message: hello, when: 'event.amount >= 700' "
	  "}\n"
	  "  b: { events: [seen], repeat: every, message: hello, when: 'event.mcc == 4' }\n",
	  "keep if  enrolled customers  subscriptions a, b" },
	{ "fraud:\n  rules:\n    a: { events: [seen], score: 1, when: 'event.amount >= 700' }\n"
	  "    b: { events: [seen], score: 1, when: 'event.mcc == 4' }\n",
	  "keep                fraud a, b (its rules have no condition in common)" },
	{ "fraud: { rules: { f: { events: [seen], score: 1 } } }\n"
	  "subscriptions: { s: { events: [seen], repeat: every, message: hello } }\n",
	  "keep                fraud f; subscriptions s (fraud f needs every event)" },
	{ "fraud: { rules: { f: { events: [seen], score: 1 } } }\n", "keep                fraud f" },
	{ "subscriptions: { s: { events: [seen], stages: [posted], repeat: every, message: hello, when: "
	  "'event.touchpoint == touchpoint.online' } }\n",
	  "keep if  touchpoint online, enrolled customers  subscriptions s" },
	{ "aggregates: { n: { over: [seen], count: true } }\n", "keep                aggregates n" },
	{ "aggregates: { n: { over: [any], count: true, where: 'event.amount > 5' } }\n"
	  "critical: { b: { events: [seen], repeat: every, message: hello, when: 'event.amount >= 900' } }\n",
	  "keep                aggregates n; critical b (without aggregates: keep if amount >= 900 minor "
	  "units)" },
	{ "events: { other: { code: 51, history: full } }\n"
	  "aggregates: { n: { over: [other], count: true } }\n"
	  "critical: { b: { events: [seen], repeat: every, message: hello, when: 'agg.n > 3 && event.mcc == "
	  "9' "
	  "} }\n",
	  "keep if  mcc 0009   critical b" },
};

/* One space for each run of them: the columns are as wide as they must be. */
static void squeeze(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (*s != ' ' || s[1] != ' ')
			*to++ = *s;
	*to = 0;
}

static void a_type_is_the_union_of_its_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct catalogue *c = compile_more(types[i].more);
		char *line = line_of(c, "seen"), *expected = strdup(types[i].line);
		squeeze(line);
		squeeze(expected);
		assert_string_equal(line, expected);
		free(line);
		free(expected);
		catalogue_free(c);
	}
}

static void history_full_keeps_and_says_what_would_go(void **state)
{
	struct catalogue *c = compile_more(
		"events: { all: { code: 60 }, counted: { code: 61 }, chosen: { code: 62, history: full } }\n"
		"aggregates: { n: { over: [counted, chosen], count: true } }\n"
		"subscriptions: { s: { events: [all, chosen], repeat: every, message: hello, when: "
		"'event.amount > 4' "
		"} }\n");
	char *all = line_of(c, "all"), *counted = line_of(c, "counted"), *chosen = line_of(c, "chosen");

	(void)state;
	for (int code = 60; code <= 62; code++)
		assert_int_equal(c->interest->type[code].action, INTEREST_KEEP);
	squeeze(all);
	squeeze(counted);
	squeeze(chosen);
	assert_string_equal(all,
			    "keep history: full; subscriptions s (without history: full: keep if amount >= 5 "
			    "minor units, enrolled customers)");
	assert_string_equal(counted, "keep history: full; aggregates n");
	assert_string_equal(chosen,
			    "keep history: full; aggregates n; subscriptions s (without history: full and "
			    "aggregates: keep if amount >= 5 minor units, enrolled customers)");
	free(all);
	free(counted);
	free(chosen);
	catalogue_free(c);
}

/* Sets are shared where they are equal; a type that finds none free goes without. */
static void sets_that_run_out_widen(void **state)
{
	char *more = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&more, &len);
	struct catalogue *c;

	(void)state;
	fputs("events:\n", f);
	for (int i = 0; i < 40; i++)
		fprintf(f, "  t%d: { code: %d, history: rules }\n", i, 100 + i);
	fputs("fraud:\n  rules:\n", f);
	for (int i = 0; i < 40; i++) /* t0 and t1 the same set, and so on */
		fprintf(f,
			"    r%d: { events: [t%d], score: 1, when: 'event.mcc == %d && event.amount > 9' }\n",
			i, i, 1 + i / 2);
	fclose(f);
	c = compile_more(more);
	for (int i = 0; i < 40; i++) {
		const struct interest_entry *e = &c->interest->type[100 + i];
		bool has = i < 2 * INTEREST_SETS_MAX;
		assert_int_equal(e->action, INTEREST_KEEP_IF);
		assert_int_equal(e->conditions, INTEREST_IF_AMOUNT | (has ? INTEREST_IF_MCC : 0));
		assert_int_equal(e->mccs, has ? i / 2 : 0);
	}
	catalogue_free(c);
	free(more);
}

/* The table follows from the files: not in the hash, and the same bytes again from the blob. */
static void the_table_is_the_same_again_from_the_blob(void **state)
{
	struct catalogue *c = compile_when("subscriptions",
					   "event.amount > param.eur && event.mcc in [1, 5]"),
			 *d;
	struct hash128 hash = c->hash;
	struct problems problems;

	(void)state;
	c->interest->version = 7;
	c->interest->type[50].amount_min++;
	problems_init(&problems);
	assert_int_equal(catalogue_compile_blob(c->blob, c->blob_bytes, &d, &problems), 0);
	c->interest->version = 0;
	c->interest->type[50].amount_min--;
	assert_true(d->hash.low == hash.low && d->hash.high == hash.high);
	assert_memory_equal(c->interest, d->interest, sizeof *c->interest);
	assert_int_equal(c->interest->type[50].action, INTEREST_KEEP_IF);
	problems_deinit(&problems);
	catalogue_free(c);
	catalogue_free(d);
}

/* --- random conditions against their evaluation --- */

static const char *const leaves[] = {
	"event.amount >= %d",
	"event.amount > %d",
	"%d < event.amount",
	"event.amount == %d",
	"event.amount < %d",
	"event.amount != %d",
	"event.amount in [%d, 6]",
	"event.amount >= param.n",
	"event.amount > param.n",
	"event.amount > param.eur",
	"event.amount >= param.eur",
	"event.amount > param.idr",
	"event.amount >= param.idr",
	"event.amount == param.idr",
	"event.amount > param.usd",
	"event.amount <= param.usd",
	"event.amount >= param.free",
	"event.amount >= money('0.0%d EUR')",
	"event.amount > money('9.99 EUR')",
	"event.amount >= money('1000 IDR')",
	"event.amount > money('999 IDR')",
	"event.amount == money('0.06 EUR')",
	"event.base >= %d",
	"event.base > 5 && event.amount > 95000",
	"event.balance > %d",
	"event.amount / (event.balance - 3) > 1",
	"event.country == %d",
	"event.country in [%d, 724]",
	"event.country == profile.home",
	"event.country != 3",
	"event.mcc == %d",
	"event.mcc in [%d, 4, 5]",
	"event.mcc in []",
	"event.mcc > 3",
	"event.touchpoint == %d",
	"event.touchpoint in [touchpoint.atm, %d]",
	"event.touchpoint == 99",
	"has(event.country)",
	"event.currency == currency.EUR",
	"true",
	"false",
	"1 / 0 == %d",
	"event.sequence > %d",
	"event.country == 1024",
	"event.amount > -%d",
};

static void random_condition(uint64_t *state, unsigned depth, FILE *f)
{
	unsigned kind = depth == 0 ? 0 : random_below(state, 10);

	if (kind < 3) {
		const char *leaf = leaves[random_below(state, ARRAY_LEN(leaves))], *at = strstr(leaf, "%d");
		if (!at)
			fputs(leaf, f);
		else
			fprintf(f, "%.*s%u%s", (int)(at - leaf), leaf, 1 + random_below(state, 9), at + 2);
		return;
	}
	fputs(kind == 8 ? "!(" : "(", f);
	random_condition(state, depth - 1, f);
	if (kind == 9) {
		fputs(") ? (", f);
		random_condition(state, depth - 1, f);
	}
	if (kind != 8) {
		fputs(kind < 6 ? ") && (" : kind < 8 ? ") || (" : ") : (", f);
		random_condition(state, depth - 1, f);
	}
	fputs(")", f);
}

static int64_t pick(uint64_t *state, const int64_t *list, size_t n)
{
	return list[random_below(state, (unsigned)n)];
}
#define PICK(state, ...)                                                                                     \
	pick((state), (const int64_t[]){ __VA_ARGS__ }, sizeof((const int64_t[]){ __VA_ARGS__ }) / 8)

static void random_header(uint64_t *state, struct frame_header *h)
{
	*h = (struct frame_header){ .kind = FRAME_EVENT, .type = 50, .sequence = 1 };
	h->amount =
		PICK(state, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50, 91, 92, 93, 99, 100, 101, 999, 1000, 1001,
		     2000, 94999, 95000, 95001, 99899, 99900, 99901, 99999, 100000, 100001, INT64_MAX);
	h->currency = (uint16_t)PICK(state, 978, 978, 840, 360, 360, 392, 0, 999);
	h->country = (uint16_t)PICK(state, 0, 1, 2, 3, 4, 5, 9, 724, 1023, 1024, 65535);
	h->mcc = (uint16_t)PICK(state, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10047, 10048, 65535);
	h->touchpoint = (uint8_t)PICK(state, 0, 1, 2, 3, 4, 5, 9, 12);
	h->balance = PICK(state, FRAME_BALANCE_NO_DATA, 3, 4, 5, 0, -3);
}

static struct value code_value(int64_t code)
{
	return (struct value){ .type = TYPE_INT, .status = code ? VALUE_OK : VALUE_NO_DATA, .i = code };
}

/* As the profile stage fills them (user/profile/profile.c). */
static void fill_fields(const struct catalogue *c, const struct frame_header *h, struct value *f)
{
	bool overflow = false;

	memset(f, 0, FIELD_COUNT * sizeof *f);
	for (int i = 0; i < FIELD_COUNT; i++)
		f[i] = (struct value){ .type = TYPE_STRING, .status = VALUE_NO_DATA };
	f[FIELD_sequence] = (struct value){ .type = TYPE_INT, .i = 1 };
	f[FIELD_amount] = (struct value){ .type = TYPE_INT, .i = h->amount };
	f[FIELD_balance] = (struct value){ .type = TYPE_INT, .i = h->balance };
	if (h->balance == FRAME_BALANCE_NO_DATA)
		f[FIELD_balance].status = VALUE_NO_DATA;
	f[FIELD_currency] = (struct value){ .type = TYPE_INT, .i = h->currency };
	f[FIELD_base] = (struct value){ .type = TYPE_INT };
	if (!money_to_base(&c->rates, h->amount, h->currency, &f[FIELD_base].i, &overflow))
		f[FIELD_base].status = overflow ? VALUE_ERROR : VALUE_NO_DATA;
	f[FIELD_country] = code_value(h->country);
	f[FIELD_mcc] = code_value(h->mcc);
	f[FIELD_touchpoint] = code_value(h->touchpoint);
}

/* Is it allowed today? Else the default stands (user/profile/row.c, row_param_allowed). */
static bool allowed(const struct catalogue *c, const struct cat_param *p, const struct value *v)
{
	int64_t x = v->i, y = p->min.i;
	bool overflow;

	if (!p->has_min)
		return true;
	if (p->type == TYPE_MONEY && v->currency != p->min.currency &&
	    (!money_to_base(&c->rates, x, v->currency, &x, &overflow) ||
	     !money_to_base(&c->rates, y, p->min.currency, &y, &overflow)))
		return false;
	return x >= y;
}

static void random_params(uint64_t *state, const struct catalogue *c, struct value *params)
{
	const struct cat_rule *rule = &c->rules[0];

	for (unsigned i = 0; i < rule->param_count; i++) {
		struct value v = rule->params[i].initial;
		v.i = PICK(state, -5, 0, 5, 6, 7, 92, 93, 100, 101, 1000, 1001, 1087, 100000, 100001);
		if (v.type == TYPE_MONEY)
			v.currency = (uint16_t)PICK(state, 978, 840, 360, 392, 999);
		params[i] = allowed(c, &rule->params[i], &v) ? v : rule->params[i].initial;
	}
}

static unsigned check_condition(uint64_t *state, const struct catalogue *c, const char *when)
{
	const struct interest_entry *e = &c->interest->type[50];
	struct value fields[FIELD_COUNT], params[PARAMS_MAX], home;
	struct cel_env env = { .space = { [SPACE_EVENT] = fields,
					  [SPACE_PARAM] = params,
					  [SPACE_PROFILE] = &home,
					  [SPACE_BODY] = fields },
			       .rates = &c->rates };
	struct frame_header h;
	unsigned dropped = 0;

	for (int i = 0; i < 150; i++) {
		random_header(state, &h);
		fill_fields(c, &h, fields);
		random_params(state, c, params);
		home = code_value(PICK(state, 0, 3, 724));
		env.currency = h.currency;
		if (interest_decide(e, &c->interest->sets, &h) != FILTER_DROP)
			continue;
		struct value v = cel_eval(&c->rules[0].when, &env);
		dropped++;
		if (v.status != VALUE_OK || v.i)
			fail_msg("seed %" PRIu64
				 ": would be dropped, but the condition is %s: %s\namount %" PRId64
				 " currency %u country %u mcc %u touchpoint %u; usd %" PRId64
				 " %u idr %" PRId64 " %u",
				 seed, v.status ? "no value" : "true", when, h.amount, h.currency, h.country,
				 h.mcc, h.touchpoint, params[2].i, params[2].currency, params[3].i,
				 params[3].currency);
	}
	return dropped;
}

static void what_is_dropped_makes_the_condition_false(void **state)
{
	uint64_t random = seed;
	unsigned dropped = 0, narrowed = 0;

	(void)state;
	for (int i = 0; i < 1500; i++) {
		char *when = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&when, &len);
		random_condition(&random, 1 + random_below(&random, 4), f);
		fclose(f);
		struct catalogue *c = compile_when("subscriptions", when);
		narrowed += c->interest->type[50].conditions != INTEREST_IF_ENROLLED;
		dropped += check_condition(&random, c, when);
		catalogue_free(c);
		free(when);
	}
	print_message("seed %" PRIu64 ": 1500 conditions, %u of them narrow, %u events would be dropped\n",
		      seed, narrowed, dropped);
	assert_true(narrowed > 300 && dropped > 10000);
}

/* --- two tables --- */

enum { CODES = 400, SET_CODES = 6 };

static struct interest_table *table_new(void)
{
	struct interest_table *t = calloc(1, sizeof *t);

	assert_non_null(t);
	return t;
}

static const uint16_t set_codes[SET_CODES] = { 1, 2, 63, 64, 724, 1023 };

static void random_set(uint64_t *state, uint64_t *set)
{
	for (int i = 0; i < SET_CODES; i++)
		if (random_below(state, 3) == 0)
			set[set_codes[i] / 64] |= UINT64_C(1) << (set_codes[i] % 64);
}

static void random_table(uint64_t *state, struct interest_table *t, unsigned sets)
{
	memset(t, 0, sizeof *t);
	for (unsigned i = 0; i < sets; i++) {
		random_set(state, t->sets.country[i]);
		random_set(state, t->sets.mcc[i]);
	}
	for (unsigned code = 0; code < CODES; code++)
		t->type[code] = (struct interest_entry){
			.action = (uint8_t)PICK(state, INTEREST_UNKNOWN, INTEREST_KEEP, INTEREST_DROP,
						INTEREST_KEEP_IF, INTEREST_KEEP_IF, INTEREST_KEEP_IF),
			.conditions = (uint8_t)(random_below(state, 32) & random_below(state, 32)),
			.touchpoints = (uint16_t)random_below(state, 0x2000),
			.countries = (uint8_t)random_below(state, sets + (random_below(state, 20) == 0) * 20),
			.mccs = (uint8_t)random_below(state, sets + (random_below(state, 20) == 0) * 20),
			.currency = (uint16_t)PICK(state, 0, 978, 978, 840),
			.amount_min = random_below(state, 12),
		};
}

static void random_table_header(uint64_t *state, struct frame_header *h)
{
	*h = (struct frame_header){ .kind = FRAME_EVENT, .sequence = 1 };
	h->type = (uint16_t)random_below(state, CODES + 4);
	h->amount = random_below(state, 14);
	h->currency = (uint16_t)PICK(state, 0, 978, 840, 392);
	h->country = (uint16_t)PICK(state, 0, 1, 2, 3, 63, 64, 724, 1023, 1024, 60000);
	h->mcc = (uint16_t)PICK(state, 0, 1, 2, 3, 63, 64, 724, 1023, 10048, 60000);
	h->touchpoint = (uint8_t)random_below(state, 13);
}

/* Drop, then if enrolled, then keep: more is kept. */
static int kept(const struct interest_table *t, const struct frame_header *h)
{
	enum filter_verdict v = interest_decide(&t->type[h->type], &t->sets, h);

	return v == FILTER_DROP ? 0 : v == FILTER_IF_ENROLLED ? 1 : 2;
}

static void assert_widens(uint64_t *state, const struct interest_table *into, const struct interest_table *a,
			  const struct interest_table *b)
{
	struct frame_header h;

	for (int i = 0; i < 20000; i++) {
		random_table_header(state, &h);
		int left = kept(a, &h), right = kept(b, &h), both = kept(into, &h);
		if (both < left || both < right)
			fail_msg("seed %" PRIu64 ": type %u amount %" PRId64
				 " currency %u country %u mcc %u touchpoint %u: %d and %d, but together %d",
				 seed, h.type, h.amount, h.currency, h.country, h.mcc, h.touchpoint, left,
				 right, both);
	}
}

static void a_widened_table_keeps_what_either_keeps(void **state)
{
	struct interest_table *a = table_new(), *b = table_new(), *into = table_new();
	uint64_t random = seed;

	(void)state;
	for (int i = 0; i < 40; i++) {
		random_table(&random, a, 1 + random_below(&random, INTEREST_SETS_MAX));
		random_table(&random, b, 1 + random_below(&random, INTEREST_SETS_MAX));
		memset(into, 0xaa, sizeof *into);
		interest_table_widen(into, a, b);
		assert_widens(&random, into, a, b);
	}
	free(a);
	free(b);
	free(into);
}

/* No more than needed: with itself, and with a table that drops, it decides as before. */
static void widening_by_nothing_changes_nothing(void **state)
{
	struct interest_table *a = table_new(), *drops = table_new(), *same = table_new(),
			      *more = table_new();
	uint64_t random = seed + 1;
	struct frame_header h;

	(void)state;
	for (unsigned code = 0; code < INTEREST_TYPES; code++)
		drops->type[code].action = INTEREST_DROP;
	for (int i = 0; i < 10; i++) {
		random_table(&random, a, INTEREST_SETS_MAX);
		interest_table_widen(same, a, a);
		interest_table_widen(more, drops, a);
		for (int n = 0; n < 20000; n++) {
			random_table_header(&random, &h);
			assert_int_equal(kept(same, &h), kept(a, &h));
			assert_int_equal(kept(more, &h), kept(a, &h));
		}
	}
	free(a);
	free(drops);
	free(same);
	free(more);
}

#define IF(...)                                                                                              \
	{                                                                                                    \
		.action = INTEREST_KEEP_IF, __VA_ARGS__                                                      \
	}
#define IS(is)                                                                                               \
	{                                                                                                    \
		.action = (is)                                                                               \
	}

static const struct {
	struct interest_entry a, b, both;
} joins[] = {
	{ IS(INTEREST_UNKNOWN), IS(INTEREST_UNKNOWN), IS(INTEREST_UNKNOWN) },
	{ IS(INTEREST_UNKNOWN), IS(INTEREST_DROP), IS(INTEREST_KEEP) },
	{ IS(INTEREST_UNKNOWN), IS(INTEREST_KEEP), IS(INTEREST_KEEP) },
	{ IS(INTEREST_DROP), IS(INTEREST_DROP), IS(INTEREST_DROP) },
	{ IS(INTEREST_DROP), IS(INTEREST_KEEP), IS(INTEREST_KEEP) },
	{ IS(INTEREST_KEEP), IF(.conditions = INTEREST_IF_ENROLLED), IS(INTEREST_KEEP) },
	{ IS(INTEREST_UNKNOWN), IF(.conditions = INTEREST_IF_ENROLLED), IS(INTEREST_KEEP) },
	{ IS(INTEREST_DROP), IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 5, .currency = 978),
	  IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 5, .currency = 978) },
	{ IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 5, .currency = 978),
	  IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 3, .currency = 978),
	  IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 3, .currency = 978) },
	{ IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 5, .currency = 978),
	  IF(.conditions = INTEREST_IF_AMOUNT, .amount_min = 3, .currency = 840), IS(INTEREST_KEEP) },
	{ IF(.conditions = INTEREST_IF_AMOUNT | INTEREST_IF_ENROLLED, .amount_min = 5),
	  IF(.conditions = INTEREST_IF_TOUCHPOINT | INTEREST_IF_ENROLLED, .touchpoints = 4),
	  IF(.conditions = INTEREST_IF_ENROLLED) },
	{ IF(.conditions = INTEREST_IF_TOUCHPOINT | INTEREST_IF_ENROLLED, .touchpoints = 8),
	  IF(.conditions = INTEREST_IF_TOUCHPOINT, .touchpoints = 4),
	  IF(.conditions = INTEREST_IF_TOUCHPOINT, .touchpoints = 12) },
	{ IF(.conditions = INTEREST_IF_COUNTRY, .countries = 0),
	  IF(.conditions = INTEREST_IF_COUNTRY, .countries = 1),
	  IF(.conditions = INTEREST_IF_COUNTRY, .countries = 0) },
	{ IF(.conditions = INTEREST_IF_COUNTRY, .countries = INTEREST_SETS_MAX),
	  IF(.conditions = INTEREST_IF_COUNTRY, .countries = 1), IS(INTEREST_KEEP) },
};

static void each_pair_of_entries_has_its_union(void **state)
{
	struct interest_table *a = table_new(), *b = table_new(), *into = table_new();

	(void)state;
	a->sets.country[0][0] = 2;
	b->sets.country[1][0] = 4;
	for (size_t i = 0; i < ARRAY_LEN(joins); i++)
		for (int swap = 0; swap < 2; swap++) {
			a->type[9] = joins[i].a;
			b->type[9] = joins[i].b;
			/* the set numbers belong to their table */
			interest_table_widen(into, swap ? b : a, swap ? a : b);
			assert_memory_equal(&into->type[9], &joins[i].both, sizeof joins[i].both);
			if (into->type[9].conditions & INTEREST_IF_COUNTRY)
				assert_int_equal(into->sets.country[0][0], 6);
		}
	memset(&into->sets, 0xaa, sizeof into->sets); /* nothing of what was there stays */
	into->version = 12;
	interest_table_widen(into, a, b);
	assert_int_equal(into->version, 12);
	assert_int_equal(into->sets.mcc[INTEREST_SETS_MAX - 1][0], 0);
	free(a);
	free(b);
	free(into);
}

/* --- whole catalogues --- */

/* What is remembered is kept whole, what nobody uses is dropped, whatever the catalogue is. */
static void assert_table_fits(const struct catalogue *c)
{
	for (unsigned i = 0; i < c->event_count; i++) {
		const struct cat_event *e = &c->events[i];
		const struct interest_entry *entry = &c->interest->type[e->code];
		bool used = e->fraud_count || e->critical_count || e->subscription_count;
		if (e->feeds || e->history == HISTORY_FULL)
			assert_int_equal(entry->action, INTEREST_KEEP);
		else if (!used)
			assert_int_equal(entry->action, INTEREST_DROP);
		if (e->fraud_count || e->critical_count)
			assert_false(entry->conditions & INTEREST_IF_ENROLLED);
		char *line = line_of(c, e->name);
		assert_true(strlen(line) > strlen("keep"));
		free(line);
	}
}

static void the_demo_bank_narrows_where_it_may(void **state)
{
	struct problems problems;
	struct catalogue *c = NULL;

	(void)state;
	problems_init(&problems);
	if (catalogue_compile_dir("schemas/demo-bank", &c, &problems)) {
		problems_print(&problems, stderr);
		fail();
	}
	assert_table_fits(c);
	assert_int_equal(c->interest->type[40].action, INTEREST_DROP);
	assert_int_equal(c->interest->type[1].action, INTEREST_KEEP);
	problems_deinit(&problems);
	catalogue_free(c);
}

/* bank-20 of ../shared with the types that it leaves to others. */
static struct catalogue *compile_bank_20(const char *history)
{
	static const char *const names[] = {
		"card.purchase",   "card.declined", "card.refund",    "card.blocked",	  "atm.withdrawal",
		"atm.deposit",	   "transfer.in",   "transfer.out",   "transfer.failed",  "salary",
		"loan.instalment", "loan.missed",   "standing.order", "direct.debit",	  "fee",
		"interest",	   "login",	    "login.failed",   "password.changed", "device.added"
	};
	char *rules = NULL, *prelude = NULL;
	size_t room = 0, len = 0;
	FILE *f = fopen("../shared/catalogue/bank-20.yaml", "r");
	struct catalogue *c;

	if (!f)
		return NULL;
	assert_true(getdelim(&rules, &room, 0, f) > 0);
	fclose(f);
	f = open_memstream(&prelude, &len);
	fputs("events:\n", f);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		fprintf(f, "  %s: { code: %u, history: %s }\n", names[i], i + 1, history);
	fputs("channels: { push: { max: 240 } }\nmessages:\n", f);
	for (unsigned i = 1; i <= 20; i++)
		fprintf(f, "  r%02u: { en: 'rule %u: {event.amount, money}' }\n", i, i);
	fclose(f);
	c = compile_beside(rules, prelude);
	free(rules);
	free(prelude);
	return c;
}

static unsigned count_action(const struct catalogue *c, enum interest_action action)
{
	unsigned n = 0;

	for (unsigned code = 0; code < INTEREST_TYPES; code++)
		n += c->interest->type[code].action == action;
	return n;
}

static void bank_20_drops_more_without_history(void **state)
{
	struct catalogue *full = compile_bank_20("full"), *rules = compile_bank_20("rules");

	(void)state;
	if (!full)
		skip();
	assert_table_fits(full);
	assert_table_fits(rules);
	assert_int_equal(count_action(full, INTEREST_KEEP), 20);
	assert_true(count_action(rules, INTEREST_DROP) > 0);
	assert_true(count_action(rules, INTEREST_KEEP) < 20);
	catalogue_free(full);
	catalogue_free(rules);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_narrow_by_header_and_constant_only),
		cmocka_unit_test(a_condition_that_never_holds_drops_its_type),
		cmocka_unit_test(a_condition_too_large_to_look_into_is_kept),
		cmocka_unit_test(a_type_is_the_union_of_its_rules),
		cmocka_unit_test(history_full_keeps_and_says_what_would_go),
		cmocka_unit_test(sets_that_run_out_widen),
		cmocka_unit_test(the_table_is_the_same_again_from_the_blob),
		cmocka_unit_test(what_is_dropped_makes_the_condition_false),
		cmocka_unit_test(a_widened_table_keeps_what_either_keeps),
		cmocka_unit_test(widening_by_nothing_changes_nothing),
		cmocka_unit_test(each_pair_of_entries_has_its_union),
		cmocka_unit_test(the_demo_bank_narrows_where_it_may),
		cmocka_unit_test(bank_20_drops_more_without_history),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
