// needs: user/catalogue/*.c user/cel/*.c user/base/arena.c user/base/money.c user/base/bytes.c
/*
 * test_catalogue.c: what a good catalogue compiles to: numbers, units, sets, interest, and the same again
 * from its blob. Also the demo bank, and bank-20 of ../shared where it is there.
 */
#include "catalogue_test.h"

static struct compiled compile_good(const char *yaml)
{
	struct compiled k = compile_files("a.yaml", base_yaml, "b.yaml", yaml, NULL);

	if (k.rc != 0)
		fail_msg("%s", k.text);
	return k;
}

static const struct cat_aggregate *aggregate_of(const struct catalogue *c, const char *name)
{
	for (unsigned i = 0; i < c->aggregate_count; i++)
		if (strcmp(c->aggregates[i].name, name) == 0)
			return &c->aggregates[i];
	fail_msg("no aggregate %s", name);
	return NULL;
}

static const struct cat_event *event_of(const struct catalogue *c, const char *name)
{
	for (unsigned i = 0; i < c->event_count; i++)
		if (strcmp(c->events[i].name, name) == 0)
			return &c->events[i];
	fail_msg("no event %s", name);
	return NULL;
}

static const struct cat_rule *rule_of(const struct catalogue *c, const char *name)
{
	const struct cat_rule *rule = catalogue_rule_find(c, name, strlen(name));

	assert_non_null(rule);
	return rule;
}

static const int64_t SECOND = 1000000000;

static void bank_has_its_defaults(void **state)
{
	struct compiled k = compile_files("a.yaml", "bank: { currency: KWD }\n", NULL);

	(void)state;
	assert_int_equal(k.rc, 0);
	assert_int_equal(k.c->rates.bank, 414);
	assert_int_equal(k.c->rates.bank_exponent, 3);
	assert_int_equal(k.c->lateness_ns, 24 * 3600 * SECOND);
	assert_int_equal(k.c->ref_memory_ns, 35 * 24 * 3600 * SECOND);
	assert_int_equal(k.c->refs_max, 4 << 20);
	assert_int_equal(k.c->windows_bytes, UINT64_C(2) << 30);
	assert_false(k.c->starts_empty);
	assert_string_equal(k.c->zone.name, "UTC");
	assert_int_equal(k.c->zone.count, 1);
	assert_string_equal(k.c->languages[k.c->language].tag, "en");
	assert_int_equal(k.c->score_review, INT32_MAX);
	compiled_free(&k);
}

static void bank_takes_what_it_is_given(void **state)
{
	struct compiled k = compile_files(
		"a.yaml",
		"bank:\n  currency: EUR\n  country: ES\n  lateness: 36h\n  ref_memory: 5w\n  starts: empty\n"
		"  memory: { windows: 8GB, refs: 1000 }\nrates: { JPY: 0.00615, USD: 1, GBP: 1.165 }\n",
		NULL);
	const struct money_rates *rates = &k.c->rates;

	(void)state;
	assert_int_equal(k.rc, 0);
	assert_int_equal(k.c->country, 724);
	assert_int_equal(k.c->lateness_ns, 36 * 3600 * SECOND);
	assert_int_equal(k.c->ref_memory_ns, 35 * 24 * 3600 * SECOND);
	assert_true(k.c->starts_empty);
	assert_int_equal(k.c->windows_bytes, UINT64_C(8000000000));
	assert_int_equal(k.c->refs_max, 1000);
	assert_int_equal(rates->count, 3);
	assert_int_equal(rates->rate[0].currency, 392);
	assert_int_equal(rates->rate[0].exponent, 0);
	assert_int_equal(rates->rate[0].num, 615);
	assert_int_equal(rates->rate[0].decimals, 5);
	assert_int_equal(rates->rate[1].currency, 826);
	assert_int_equal(rates->rate[2].currency, 840);
	assert_int_equal(rates->rate[2].decimals, 0);
	compiled_free(&k);
}

static void events_know_their_codes_and_fields(void **state)
{
	struct compiled k =
		compile_good("events: { x: { code: 65535, body: { lat: double, shop: bool } } }\n");
	const struct cat_event *e = event_of(k.c, "x");

	(void)state;
	assert_int_equal(k.c->event_by_code[65535], 3);
	assert_int_equal(k.c->event_by_code[1], 0);
	assert_int_equal(k.c->event_by_code[2], -1);
	assert_int_equal(e->history, HISTORY_FULL);
	assert_int_equal(event_of(k.c, "login")->history, HISTORY_RULES);
	assert_int_equal(e->field_count, 2);
	assert_string_equal(k.c->fields[e->fields[0]].name, "lat");
	assert_int_equal(e->fields[0], event_of(k.c, "card.purchase")->fields[1]);
	assert_int_equal(k.c->fields[e->fields[1]].type, TYPE_BOOL);
	compiled_free(&k);
}

static void profile_takes_defaults_of_every_type(void **state)
{
	struct compiled k = compile_good(
		"profile:\n"
		"  a: { type: bool, default: true }\n  b: { type: int, default: country.ES }\n"
		"  c: { type: double, default: -0.5 }\n  d: { type: string, default: retail }\n"
		"  e: { type: timestamp, default: \"2000-02-29T01:02:03Z\" }\n"
		"  f: { type: duration, default: 2w }\n  g: { type: money, default: \"-3.000 KWD\" }\n"
		"  h: { type: int }\n");
	const struct cat_attribute *a = &k.c->attributes[catalogue_attribute_find(k.c, "a", 1)];

	(void)state;
	assert_int_equal(a[0].initial.i, 1);
	assert_int_equal(a[1].initial.i, 724);
	assert_true(a[2].initial.d == -0.5);
	assert_int_equal(a[3].initial.bytes, 6);
	assert_memory_equal(a[3].initial.s, "retail", 6);
	assert_int_equal(a[4].initial.i, INT64_C(951786123) * SECOND);
	assert_int_equal(a[5].initial.i, 14 * 86400 * SECOND);
	assert_int_equal(a[6].initial.i, -3000);
	assert_int_equal(a[6].initial.currency, 414);
	assert_int_equal(a[7].initial.status, VALUE_NO_DATA);
	assert_int_equal(k.c->attribute_language, catalogue_attribute_find(k.c, "language", 8));
	assert_int_equal(catalogue_attribute_find(k.c, "langu", 5), -1);
	compiled_free(&k);
}

static const struct unit_row {
	const char *definition;
	enum value_type type;
	enum value_unit unit;
} unit_rows[] = {
	{ "count: true", TYPE_INT, UNIT_NONE },
	{ "sum: base", TYPE_INT, UNIT_BASE },
	{ "min: base, per: card", TYPE_INT, UNIT_BASE },
	{ "max: amount, per: account", TYPE_INT, UNIT_EVENT },
	{ "sum: balance, per: account", TYPE_INT, UNIT_EVENT },
	{ "sum: amount, mixed: true", TYPE_INT, UNIT_NONE },
	{ "sum: amount, mixed: true, per: account", TYPE_INT, UNIT_NONE },
	{ "mean: base", TYPE_DOUBLE, UNIT_NONE },
	{ "mean: amount, per: account", TYPE_DOUBLE, UNIT_NONE },
	{ "last: time", TYPE_TIMESTAMP, UNIT_NONE },
	{ "last: country", TYPE_INT, UNIT_NONE },
	{ "last: base", TYPE_INT, UNIT_BASE },
	{ "last: amount, per: account", TYPE_INT, UNIT_EVENT },
	{ "last: customer", TYPE_INT, UNIT_NONE },
};

static void aggregates_know_type_and_unit(void **state)
{
	char yaml[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unit_rows); i++) {
		snprintf(yaml, sizeof yaml, "aggregates: { x: { over: [any], %s } }\n",
			 unit_rows[i].definition);
		struct compiled k = compile_good(yaml);
		const struct cat_aggregate *a = aggregate_of(k.c, "x");
		if (a->type != unit_rows[i].type || a->unit != unit_rows[i].unit)
			fail_msg("%s: type %d unit %d", unit_rows[i].definition, a->type, a->unit);
		compiled_free(&k);
	}
}

static struct hash128 identity_of(const char *events, const char *definition)
{
	char yaml[512];
	struct compiled k;
	struct hash128 identity;

	snprintf(yaml, sizeof yaml, "%saggregates: { x: { %s } }\n", events, definition);
	k = compile_good(yaml);
	identity = aggregate_of(k.c, "x")->identity;
	compiled_free(&k);
	return identity;
}

static bool same(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

static void aggregate_identity_is_its_definition(void **state)
{
	const struct hash128 plain = identity_of("", "over: [login, card.purchase], count: true, within: 1h");
	static const char *const others[] = {
		"over: [login], count: true, within: 1h",
		"over: [login, card.purchase], count: true, within: 2h",
		"over: [login, card.purchase], count: true",
		"over: [login, card.purchase], count: true, within: 1h, before: true",
		"over: [login, card.purchase], count: true, within: 1h, per: account",
		"over: [login, card.purchase], count: true, within: 1h, where: 'event.mcc == 1'",
		"over: [login, card.purchase], sum: base, within: 1h",
	};

	(void)state;
	/* spelling, order and names of groups do not matter */
	assert_true(same(
		plain,
		identity_of("", "within: 60m, per: customer, count: true, over: [card.purchase, login]")));
	assert_true(same(plain, identity_of("groups: { g: [login, card.purchase] }\n",
					    "over: [g], count: true, within: 1h")));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (same(plain, identity_of("", others[i])))
			fail_msg("%s has the same identity", others[i]);
	assert_false(same(identity_of("", "over: [login], sum: base"),
			  identity_of("", "over: [login], max: base")));
	assert_false(same(identity_of("", "over: [login], count: true, where: 'event.mcc == 1'"),
			  identity_of("", "over: [login], count: true, where: 'event.mcc == 2'")));
}

static void rules_are_numbered_by_section_file_and_place(void **state)
{
	struct compiled k =
		compile_files("a.yaml", base_yaml, "z.yaml",
			      "critical: { c1: { events: [login], repeat: every, message: hello } }\n"
			      "fraud: { rules: { f2: { events: [login], score: 7 } } }\n",
			      "b.yaml",
			      "subscriptions:\n  s1: { events: [debit], repeat: every, message: spent, "
			      "channels: [sms], for: own, "
			      "stages: [posted, authorised], fresh: 3h, category: service }\n"
			      "  s2: { events: [any], repeat: every, message: spent }\n"
			      "fraud: { thresholds: { review: 60, decline: 85 }, rules: { f1: { events: "
			      "[any], score: -5 } } }\n",
			      NULL);
	const struct cat_rule *r;

	(void)state;
	if (k.rc)
		fail_msg("%s", k.text);
	assert_int_equal(k.c->rule_count, 5);
	assert_int_equal(k.c->critical_first, 2);
	assert_int_equal(k.c->subscription_first, 3);
	assert_string_equal(k.c->rules[0].name, "f1");
	assert_string_equal(k.c->rules[1].name, "f2");
	assert_int_equal(k.c->rules[0].score, -5);
	assert_int_equal(k.c->score_review, 60);
	assert_int_equal(k.c->score_decline, 85);
	r = rule_of(k.c, "c1");
	assert_int_equal(r->number, 2);
	assert_int_equal(r->category, CATEGORY_critical);
	assert_int_equal(r->fresh_ns, 600 * SECOND);
	assert_int_equal(r->channel_count, 2); /* none named: all */
	assert_int_equal(r->stages, 0);
	r = rule_of(k.c, "s1");
	assert_int_equal(r->category, CATEGORY_service);
	assert_int_equal(r->fresh_ns, 3 * 3600 * SECOND);
	assert_int_equal(r->channel_count, 1);
	assert_int_equal(r->channels[0], catalogue_channel_find(k.c, "sms", 3));
	assert_int_equal(r->for_whom, FOR_OWN);
	assert_int_equal(r->stages, 1 << STAGE_POSTED | 1 << STAGE_AUTHORISED);
	r = rule_of(k.c, "s2");
	assert_int_equal(r->category, CATEGORY_alert);
	assert_int_equal(r->fresh_ns, 7200 * SECOND);
	assert_int_equal(r->for_whom, FOR_DEFAULT);
	assert_null(catalogue_rule_find(k.c, "s", 1));
	assert_null(catalogue_rule_find(k.c, "s22", 3));
	compiled_free(&k);
}

static void parameters_have_type_default_and_bounds(void **state)
{
	struct compiled k = compile_good(
		"subscriptions:\n  r:\n    events: [card.purchase]\n    repeat: every\n    message: hello\n"
		"    params: { t: { type: money, default: 100 EUR, min: 1 EUR, max: 9000 EUR }, d: { type: "
		"duration, "
		"default: 3h } }\n    when: 'event.amount > param.t && event.time - event.time < param.d'\n");
	const struct cat_rule *r = rule_of(k.c, "r");

	(void)state;
	assert_int_equal(r->param_count, 2);
	assert_int_equal(r->params[0].initial.i, 10000);
	assert_int_equal(r->params[0].initial.currency, 978);
	assert_true(r->params[0].has_min && r->params[0].has_max);
	assert_int_equal(r->params[0].max.i, 900000);
	assert_false(r->params[1].has_min);
	assert_int_equal(r->params[1].initial.i, 3 * 3600 * SECOND);
	compiled_free(&k);
}

static void events_know_what_listens_feeds_and_is_read(void **state)
{
	struct compiled k = compile_good(
		"messages: { m: { en: 'x {agg.spent, money}' } }\n"
		"subscriptions:\n  a: { events: [login], repeat: every, message: hello }\n"
		"  b: { events: [card.purchase], repeat: every, message: m, when: 'agg.n_10m > 3' }\n"
		"critical: { c: { events: [card.purchase], repeat: every, message: hello } }\n"
		"fraud: { rules: { f: { events: [any], score: 1 } } }\n");
	const struct cat_event *card = event_of(k.c, "card.purchase"), *login = event_of(k.c, "login"),
			       *transfer = event_of(k.c, "transfer.out");

	(void)state;
	assert_int_equal(card->fraud_count, 1);
	assert_int_equal(card->fraud[0], 0);
	assert_int_equal(card->critical_count, 1);
	assert_int_equal(card->critical[0], k.c->critical_first);
	assert_int_equal(k.c->subscription_words, 1);
	assert_int_equal(card->subscription_bits[0], 2);
	assert_int_equal(login->subscription_bits[0], 1);
	assert_int_equal(transfer->subscription_bits[0], 0);
	assert_int_equal(transfer->subscription_count, 0);
	assert_int_equal(card->feeds, 3);     /* n_10m, spent */
	assert_int_equal(transfer->feeds, 2); /* spent */
	assert_int_equal(card->reads, 3);     /* by the condition and by the text */
	assert_int_equal(login->reads, 0);
	assert_int_equal(rule_of(k.c, "b")->aggregates, 1);
	compiled_free(&k);
}

static char *interest_text(const struct catalogue *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	catalogue_interest_print(c, f);
	fclose(f);
	return text;
}

static void interest_keeps_what_anything_can_use_and_says_why(void **state)
{
	struct compiled k = compile_good(
		"events:\n  nobody: { code: 40, history: rules }\n  counted: { code: 41, history: rules }\n"
		"  judged: { code: 42, history: rules }\n  told: { code: 43, history: rules }\n"
		"  chosen: { code: 44, history: rules }\n  kept: { code: 45 }\n"
		"aggregates: { n: { over: [counted], count: true } }\n"
		"fraud: { rules: { f: { events: [judged], score: 1 }, g: { events: [judged], score: 1 } } }\n"
		"critical: { c: { events: [told], repeat: every, message: hello } }\n"
		"subscriptions: { s: { events: [chosen], repeat: every, message: hello } }\n");
	const struct interest_entry *type = k.c->interest->type;
	char *text = interest_text(k.c);

	(void)state;
	assert_int_equal(type[40].action, INTEREST_DROP);
	for (int code = 41; code <= 45; code++)
		assert_int_equal(type[code].action, code == 44 ? INTEREST_KEEP_IF : INTEREST_KEEP);
	assert_int_equal(type[10].action, INTEREST_DROP);
	assert_int_equal(type[0].action, INTEREST_UNKNOWN);
	assert_int_equal(type[46].action, INTEREST_UNKNOWN);
	assert_int_equal(type[65535].action, INTEREST_UNKNOWN);
	assert_string_equal(
		text,
		"event type      code  filter   condition           who needs it\n"
		"card.purchase      1  keep                         history: full; aggregates n_10m, spent\n"
		"transfer.out       4  keep                         history: full; aggregates spent\n"
		"login             10  drop                         no rule, no aggregate, history: rules\n"
		"nobody            40  drop                         no rule, no aggregate, history: rules\n"
		"counted           41  keep                         aggregates n\n"
		"judged            42  keep                         fraud f, g\n"
		"told              43  keep                         critical c\n"
		"chosen            44  keep if  enrolled customers  subscriptions s\n"
		"kept              45  keep                         history: full (without history: full: "
		"drop)\n");
	free(text);
	compiled_free(&k);
}

static void languages_fall_back_to_parent_and_bank(void **state)
{
	struct compiled k = compile_good("messages: { m: { en: a, es: b, es-CO: c, zh-Hant-TW: d } }\n");
	const struct catalogue *c = k.c;
	int es = catalogue_language_find(c, "es", 2), co = catalogue_language_find(c, "es-CO", 5);

	(void)state;
	assert_int_equal(c->language_count, 4);
	assert_string_equal(c->languages[es].tag, "es");
	assert_string_equal(c->languages[co].tag, "es-CO");
	assert_int_equal(c->languages[co].fallback, es);
	assert_int_equal(c->languages[es].fallback, -1);
	assert_int_equal(catalogue_language_find(c, "es-MX", 5), es);
	assert_int_equal(catalogue_language_find(c, "pt", 2), c->language);
	assert_int_equal(catalogue_language_find(c, "", 0), c->language);
	assert_string_equal(c->languages[c->language].tag, "en");
	assert_string_equal(c->languages[es].decimal, ",");
	assert_int_equal(c->languages[es].group_least, 2);
	assert_string_equal(c->languages[es].months[8], "sept");
	compiled_free(&k);
}

static void zone_has_the_transitions_of_madrid(void **state)
{
	struct compiled k = compile_good("groups: {}\n");
	const struct zone *z = &k.c->zone;
	uint32_t i = 0;

	(void)state;
	assert_int_equal(z->from_s[0], INT64_MIN);
	while (i < z->count && z->from_s[i] != 1774746000) /* 2026-03-29 01:00 UTC */
		i++;
	assert_true(i < z->count);
	assert_int_equal(z->offset_s[i], 7200);
	assert_int_equal(z->offset_s[i - 1], 3600);
	assert_true(z->from_s[z->count - 1] > INT64_C(4000000000)); /* to 2100 */
	compiled_free(&k);
}

/* --- the blob --- */

static void assert_same_catalogue(const struct catalogue *a, const struct catalogue *b)
{
	char *left = interest_text(a), *right = interest_text(b);

	assert_true(same(a->hash, b->hash));
	assert_int_equal(a->blob_bytes, b->blob_bytes);
	assert_memory_equal(a->blob, b->blob, a->blob_bytes);
	assert_string_equal(left, right);
	assert_int_equal(a->language_count, b->language_count);
	for (unsigned i = 0; i < a->language_count; i++) {
		assert_string_equal(a->languages[i].date_pattern, b->languages[i].date_pattern);
		assert_string_equal(a->languages[i].money[0].after, b->languages[i].money[0].after);
	}
	assert_int_equal(a->zone.count, b->zone.count);
	assert_memory_equal(a->zone.from_s, b->zone.from_s, a->zone.count * sizeof(int64_t));
	for (unsigned i = 0; i < a->aggregate_count; i++)
		assert_true(same(a->aggregates[i].identity, b->aggregates[i].identity));
	free(left);
	free(right);
}

static struct catalogue *compile_blob(const void *blob, size_t bytes, int expected)
{
	struct problems problems;
	struct catalogue *c;
	/* exactly so long: a read past the end is found by asan */
	void *copy = malloc(bytes ? bytes : 1);

	memcpy(copy, blob, bytes);
	problems_init(&problems);
	assert_int_equal(catalogue_compile_blob(copy, bytes, &c, &problems), expected);
	assert_true(expected == 0 || problems.count > 0);
	problems_deinit(&problems);
	free(copy);
	return c;
}

static void blob_gives_the_same_catalogue_and_hash(void **state)
{
	struct compiled k = compile_files("a.yaml", base_yaml, "\xc3\xa9.yaml",
					  "\xef\xbb\xbfmessages: { m: { en: x, es-CO: y } }\n", NULL);
	struct catalogue *again, *third;

	(void)state;
	assert_int_equal(k.rc, 0);
	again = compile_blob(k.c->blob, k.c->blob_bytes, 0);
	assert_same_catalogue(k.c, again);
	third = compile_blob(again->blob, again->blob_bytes, 0);
	assert_same_catalogue(k.c, third);
	catalogue_free(third);
	catalogue_free(again);
	compiled_free(&k);
}

static void blob_of_other_content_has_another_hash(void **state)
{
	struct compiled a = compile_good("# one\n"), b = compile_good("# two\n"),
			c = compile_files("a.yaml", base_yaml, "c.yaml", "# one\n", NULL);

	(void)state;
	assert_false(same(a.c->hash, b.c->hash));
	assert_false(same(a.c->hash, c.c->hash)); /* the name of a file counts */
	compiled_free(&a);
	compiled_free(&b);
	compiled_free(&c);
}

static void blob_does_not_ask_icu_again(void **state)
{
	/* a blob made by an ICU with another decimal mark and a zone that ours does not know */
	struct compiled k = compile_files("a.yaml", "bank: { currency: EUR, zone: Europe/Madrid }\n", NULL);
	uint8_t *blob = malloc(k.c->blob_bytes), *end = blob + k.c->blob_bytes;
	struct catalogue *again;
	uint8_t *at = blob;
	unsigned zones = 0;

	(void)state;
	memcpy(blob, k.c->blob, k.c->blob_bytes);
	while ((at = memmem(at, (size_t)(end - at), "Europe/Madrid", 13))) {
		at[12] = 'x';
		zones++;
	}
	assert_int_equal(zones, 2); /* in the file and in what was derived */
	at = memmem(blob, k.c->blob_bytes,
		    "\x02"
		    "en\x01.",
		    5);
	assert_non_null(at);
	at[4] = '!';
	again = compile_blob(blob, k.c->blob_bytes, 0);
	assert_string_equal(again->languages[0].decimal, "!");
	assert_string_equal(again->zone.name, "Europe/Madrix");
	assert_int_equal(again->zone.count, k.c->zone.count);
	assert_false(same(again->hash, k.c->hash));
	catalogue_free(again);
	free(blob);
	compiled_free(&k);
}

static void blob_is_refused_when_truncated_at_any_byte(void **state)
{
	struct compiled k =
		compile_files("a.yaml", "bank: { currency: EUR }\nmessages: { m: { en: x } }\n", NULL);

	(void)state;
	for (size_t n = 0; n < k.c->blob_bytes; n++)
		assert_null(compile_blob(k.c->blob, n, -EINVAL));
	compiled_free(&k);
}

static void blob_is_refused_with_a_byte_more_or_files_out_of_order(void **state)
{
	struct compiled k =
		compile_files("a.yaml", "bank: { currency: EUR }\n", "b.yaml", "groups: {       }\n", NULL);
	size_t n = k.c->blob_bytes;
	char *blob = calloc(1, n + 1);
	char *name;

	(void)state;
	memcpy(blob, k.c->blob, n);
	assert_null(compile_blob(blob, n + 1, -EINVAL));
	name = memmem(blob, n, "b.yaml", 6);
	assert_non_null(name);
	*name = 'a'; /* twice the same name */
	assert_null(compile_blob(blob, n, -EINVAL));
	*name = 'b';
	blob[7] = '2'; /* another version */
	assert_null(compile_blob(blob, n, -EINVAL));
	free(blob);
	compiled_free(&k);
}

static void blob_with_another_byte_is_refused_or_another_catalogue(void **state)
{
	struct compiled k = compile_files("a.yaml", "bank: { currency: EUR }\nrates: { USD: 0.92 }\n", NULL);
	uint8_t *blob = malloc(k.c->blob_bytes);

	(void)state;
	memcpy(blob, k.c->blob, k.c->blob_bytes);
	for (size_t i = 0; i < k.c->blob_bytes; i++) {
		struct problems problems;
		struct catalogue *c;
		blob[i] ^= 0x01;
		problems_init(&problems);
		if (catalogue_compile_blob(blob, k.c->blob_bytes, &c, &problems) == 0) {
			assert_false(same(c->hash, k.c->hash));
			assert_memory_equal(c->blob, blob, k.c->blob_bytes);
			catalogue_free(c);
		} else {
			assert_true(problems.count > 0);
		}
		problems_deinit(&problems);
		blob[i] ^= 0x01;
	}
	free(blob);
	compiled_free(&k);
}

static void text_compiles_as_a_file_of_its_own(void **state)
{
	struct problems problems;
	struct catalogue *c;

	(void)state;
	problems_init(&problems);
	assert_int_equal(catalogue_compile_text("readme", base_yaml, strlen(base_yaml), &c, &problems), 0);
	assert_int_equal(c->event_count, 3);
	catalogue_free(c);
	assert_int_equal(catalogue_compile_text("readme", "bank: {}\n", 9, &c, &problems), -EINVAL);
	assert_string_equal(problems.list[0].file, "readme");
	problems_deinit(&problems);
}

static void flow_and_block_style_mean_the_same(void **state)
{
	struct compiled flow = compile_good("aggregates: { x: { over: [login, card.purchase], count: true, "
					    "within: 1h, where: 'event.mcc == 1' } }\n");
	struct compiled block = compile_good("aggregates:\n  x:\n    over:\n      - login\n      - "
					     "card.purchase\n    count: true\n    within: "
					     "1h\n    where: \"event.mcc == 1\"\n");

	(void)state;
	assert_true(same(aggregate_of(flow.c, "x")->identity, aggregate_of(block.c, "x")->identity));
	compiled_free(&flow);
	compiled_free(&block);
}

/* --- real banks --- */

static void demo_bank_is_as_rich_as_promised(void **state)
{
	struct problems problems;
	struct catalogue *c, *again;
	int rc;

	(void)state;
	problems_init(&problems);
	rc = catalogue_compile_dir("schemas/demo-bank", &c, &problems);
	problems_print(&problems, stderr);
	assert_int_equal(rc, 0);
	assert_true(c->event_count >= 22);
	assert_true(c->aggregate_count >= 12);
	assert_true(c->critical_first >= 6);
	assert_true(c->subscription_first - c->critical_first >= 4);
	assert_true(c->rule_count - c->subscription_first >= 12);
	assert_int_equal(c->channel_count, 4);
	assert_int_equal(c->language_count, 2);
	assert_int_equal(c->rates.count, 5);
	assert_int_equal(c->interest->type[40].action, INTEREST_DROP);
	assert_int_equal(c->interest->type[41].action, INTEREST_DROP);
	assert_int_equal(c->interest->type[1].action, INTEREST_KEEP);
	for (unsigned m = 0; m < c->message_count; m++)
		for (unsigned l = 0; l < c->language_count; l++)
			assert_non_null(c->messages[m].text[l].parts);
	again = compile_blob(c->blob, c->blob_bytes, 0);
	assert_same_catalogue(c, again);
	catalogue_free(again);
	catalogue_free(c);
	problems_deinit(&problems);
}

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t len = 0;

	if (!f)
		return NULL;
	if (getdelim(&text, &len, 0, f) < 0) {
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

static void bank_20_of_shared_compiles(void **state)
{
	static const char *const types[] = {
		"card.purchase",   "card.declined", "card.refund",    "card.blocked",	  "atm.withdrawal",
		"atm.deposit",	   "transfer.in",   "transfer.out",   "transfer.failed",  "salary",
		"loan.instalment", "loan.missed",   "standing.order", "direct.debit",	  "fee",
		"interest",	   "login",	    "login.failed",   "password.changed", "device.added"
	};
	char *rules = read_whole("../shared/catalogue/bank-20.yaml"), *prelude = NULL;
	size_t len = 0;
	FILE *f;
	struct compiled k;

	(void)state;
	if (!rules)
		skip();
	f = open_memstream(&prelude, &len);
	fputs("events:\n", f);
	for (unsigned i = 0; i < ARRAY_LEN(types); i++)
		fprintf(f, "  %s: { code: %u }\n", types[i], i + 1);
	fputs("channels: { push: { max: 240 } }\nmessages:\n", f);
	for (unsigned i = 1; i <= 20; i++)
		fprintf(f, "  r%02u: { en: 'rule %u: {event.amount, money}' }\n", i, i);
	fclose(f);
	k = compile_files("bank-20.yaml", rules, "prelude.yaml", prelude, NULL);
	if (k.rc)
		fail_msg("%s", k.text);
	assert_int_equal(k.c->rule_count, 20);
	assert_int_equal(k.c->subscription_first, 7);
	assert_int_equal(k.c->aggregate_count, 11);
	compiled_free(&k);
	free(prelude);
	free(rules);
}

/* The sections groups, aggregates, fraud and patterns: what stands before `timers`. */
static void hardest_of_shared_compiles_with_the_demo_bank(void **state)
{
	static const char *const files[] = { "bank.yaml",	   "events.yaml",   "profile.yaml",
					     "aggregates.yaml",	   "critical.yaml", "fraud.yaml",
					     "subscriptions.yaml", "messages.yaml" };
	char *hardest = read_whole("../shared/catalogue/hardest.yaml"), *text[ARRAY_LEN(files)];
	struct compiled k;

	(void)state;
	if (!hardest)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[64];
		snprintf(path, sizeof path, "schemas/demo-bank/%s", files[i]);
		text[i] = read_whole(path);
		assert_non_null(text[i]);
	}
	assert_non_null(strstr(hardest, "\ntimers:"));
	strstr(hardest, "\ntimers:")[1] = 0;
	k = compile_files(files[0], text[0], files[1], text[1], files[2], text[2], files[3], text[3],
			  files[4], text[4], files[5], text[5], files[6], text[6], files[7], text[7],
			  "hardest.yaml", hardest, NULL);
	if (k.rc)
		fail_msg("%s", k.text);
	assert_int_equal(k.c->pattern_count, 1);
	assert_true(k.c->zone_count > 0); /* spent_month is by the customer's calendar */
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		free(text[i]);
	free(hardest);
	compiled_free(&k);
}

static void groups_may_come_twice_with_the_same_types(void **state)
{
	struct compiled k = compile_files("a.yaml", base_yaml, "b.yaml",
					  "groups: { debit: [transfer.out, card.purchase] }\n", NULL);

	(void)state;
	assert_int_equal(k.rc, 0);
	compiled_free(&k);
	k = compile_files("a.yaml", base_yaml, "b.yaml", "groups: { debit: [transfer.out, login] }\n", NULL);
	assert_int_equal(strncmp(k.text, "b.yaml:1:11: found the group 'debit' a second time", 50), 0);
	compiled_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bank_has_its_defaults),
		cmocka_unit_test(bank_takes_what_it_is_given),
		cmocka_unit_test(events_know_their_codes_and_fields),
		cmocka_unit_test(profile_takes_defaults_of_every_type),
		cmocka_unit_test(aggregates_know_type_and_unit),
		cmocka_unit_test(aggregate_identity_is_its_definition),
		cmocka_unit_test(rules_are_numbered_by_section_file_and_place),
		cmocka_unit_test(parameters_have_type_default_and_bounds),
		cmocka_unit_test(events_know_what_listens_feeds_and_is_read),
		cmocka_unit_test(interest_keeps_what_anything_can_use_and_says_why),
		cmocka_unit_test(languages_fall_back_to_parent_and_bank),
		cmocka_unit_test(zone_has_the_transitions_of_madrid),
		cmocka_unit_test(blob_gives_the_same_catalogue_and_hash),
		cmocka_unit_test(blob_of_other_content_has_another_hash),
		cmocka_unit_test(blob_does_not_ask_icu_again),
		cmocka_unit_test(blob_is_refused_when_truncated_at_any_byte),
		cmocka_unit_test(blob_is_refused_with_a_byte_more_or_files_out_of_order),
		cmocka_unit_test(blob_with_another_byte_is_refused_or_another_catalogue),
		cmocka_unit_test(text_compiles_as_a_file_of_its_own),
		cmocka_unit_test(flow_and_block_style_mean_the_same),
		cmocka_unit_test(demo_bank_is_as_rich_as_promised),
		cmocka_unit_test(bank_20_of_shared_compiles),
		cmocka_unit_test(hardest_of_shared_compiles_with_the_demo_bank),
		cmocka_unit_test(groups_may_come_twice_with_the_same_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
