// needs: user/catalogue/*.c user/cel/*.c user/base/arena.c user/base/money.c user/base/bytes.c
/*
 * test_aggregates.c: what aggregates, keys of windows, records, patterns and lists compile to. What is wrong
 * in them is in test_wrong.c.
 */
#include "catalogue_test.h"

static struct compiled compile_good(const char *more)
{
	struct compiled k = compile_files("a.yaml", base_yaml, "b.yaml", more, NULL);

	if (k.rc != 0)
		fail_msg("%s", k.text);
	return k;
}

static const struct cat_aggregate *aggregate_of(const struct catalogue *c, const char *name)
{
	for (unsigned i = 0; i < c->aggregate_count; i++)
		if (strcmp(c->aggregates[i].name, name) == 0)
			return &c->aggregates[i];
	fail_msg("no aggregate '%s'", name);
	return NULL;
}

static const struct cat_event *event_of(const struct catalogue *c, const char *name)
{
	for (unsigned i = 0; i < c->event_count; i++)
		if (strcmp(c->events[i].name, name) == 0)
			return &c->events[i];
	fail_msg("no event '%s'", name);
	return NULL;
}

static bool same(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* The identity of the aggregate x whose map is given. */
static struct hash128 identity_of(const char *map)
{
	struct hash128 identity;
	struct compiled k;
	char yaml[512];

	snprintf(yaml, sizeof yaml, "aggregates: { x: { %s } }\n", map);
	k = compile_good(yaml);
	identity = aggregate_of(k.c, "x")->identity;
	compiled_free(&k);
	return identity;
}

/* As version 1 of the language had them: state of a store must survive the upgrade. */
static void aggregates_of_version_1_keep_their_identity(void **state)
{
	static const struct {
		const char *map;
		struct hash128 identity; /* high, low as written by the version before */
	} rows[] = {
		{ "over: [card.purchase], count: true, within: 10m",
		  { .high = 0x12a887c6cdcee5e8, .low = 0xcc9bb53dad7577be } },
		{ "over: [card.purchase, transfer.out], sum: amount, within: 24h, per: account, where: "
		  "'event.base > 5'",
		  { .high = 0x48eeda6f46a9e5e8, .low = 0xb72ef4ce2466ccb7 } },
		{ "over: [transfer.out], last: time, before: true, per: card",
		  { .high = 0x606c24e703c06b26, .low = 0xea2edee7346be9df } },
	};
	static const struct hash128 keys[PER_COUNT] = {
		{ .high = 0x852f7d2dfda58ad0, .low = 0xa0dd51725cc8506f },
		{ .high = 0xae48a04aa1541c0e, .low = 0xb13980f41b5c112d },
		{ .high = 0xe7bbe9058025c3be, .low = 0x7b2769e74ad8634c },
	};
	struct compiled k = compile_good("aggregates: {}\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(same(identity_of(rows[i].map), rows[i].identity));
	assert_int_equal(k.c->key_count, PER_COUNT);
	for (size_t i = 0; i < PER_COUNT; i++)
		assert_true(same(k.c->keys[i].identity, keys[i]));
	compiled_free(&k);
}

/* Every row differs from every other in what is remembered. */
static void aggregates_differ_in_identity_when_they_remember_otherwise(void **state)
{
	static const char *const maps[] = {
		"over: [transfer.out], last: time",
		"over: [transfer.out], last: [time]",
		"over: [transfer.out], last: [time, country]",
		"over: [transfer.out], last: [country, time]",
		"over: [transfer.out], last: [payee]",
		"over: [transfer.out], last: payee",
		"over: [transfer.out], distinct: body.payee, within: 1d",
		"over: [transfer.out], distinct: country, within: 1d",
		"over: [transfer.out], deviation: base",
		"over: [transfer.out], mean: base",
		"over: [transfer.out], count: true",
		"over: [transfer.out], count: true, calendar: day",
		"over: [transfer.out], count: true, calendar: week",
		"over: [transfer.out], count: true, calendar: month",
		"over: [transfer.out], count: true, per: currency",
		"over: [transfer.out], count: true, per: [customer, account]",
		"over: [transfer.out], count: true, per: body.payee, keys: 9",
		"over: [transfer.out], count: true, per: [customer, body.payee], keys: 9",
		"over: [transfer.out], count: true, per: [account, body.payee], keys: 9",
		"over: [debit], count: true, per: [account, body.payee], keys: 9",
		"over: [debit], count: true, per: [account, body.payee], keys: 9, before: true",
	};
	struct hash128 identity[ARRAY_LEN(maps)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		identity[i] = identity_of(maps[i]);
		for (size_t j = 0; j < i; j++)
			if (same(identity[i], identity[j]))
				fail_msg("'%s' and '%s' have one identity", maps[i], maps[j]);
	}
}

static void aggregates_share_an_identity_when_only_the_spelling_differs(void **state)
{
	static const char *const pairs[][2] = {
		{ "over: [transfer.out], last: [time, payee]",
		  "over: [transfer.out], last: [time, body.payee]" },
		{ "over: [transfer.out], count: true, per: currency",
		  "over: [transfer.out], count: true, per: [currency, customer]" },
		{ "over: [transfer.out], count: true, per: [customer, body.payee], keys: 9",
		  "over: [transfer.out], count: true, keys: 200, per: [body.payee, customer]" },
		{ "over: [transfer.out], count: true, per: account",
		  "over: [transfer.out], count: true, per: [account]" },
		{ "over: [debit], deviation: base", "over: [transfer.out, card.purchase], deviation: base" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		assert_true(same(identity_of(pairs[i][0]), identity_of(pairs[i][1])));
}

/* --- keys --- */

static void keys_are_one_for_the_same_parts_in_any_order(void **state)
{
	struct compiled k = compile_good(
		"aggregates:\n"
		"  a: { over: [transfer.out], count: true, per: [customer, body.payee], keys: 200 }\n"
		"  b: { over: [transfer.out], last: [time], per: [body.payee, customer], keys: 200 }\n"
		"  c: { over: [transfer.out], count: true, per: body.payee, keys: 7 }\n"
		"  d: { over: [transfer.out], sum: amount, per: currency }\n"
		"  e: { over: [transfer.out], sum: amount, per: account }\n");
	const struct cat_key *key;

	(void)state;
	assert_int_equal(k.c->key_count, PER_COUNT + 3);
	key = &k.c->keys[aggregate_of(k.c, "a")->per];
	assert_int_equal(aggregate_of(k.c, "b")->per, aggregate_of(k.c, "a")->per);
	assert_string_equal(key->name, "customer, body.payee");
	assert_int_equal(key->part_count, 2);
	assert_int_equal(key->parts[0].kind, KEY_PART_CUSTOMER);
	assert_int_equal(key->parts[1].kind, KEY_PART_BODY);
	assert_string_equal(k.c->fields[key->parts[1].field].name, "payee");
	assert_int_equal(key->keys_max, 200);
	key = &k.c->keys[aggregate_of(k.c, "c")->per];
	assert_string_equal(key->name, "body.payee");
	assert_int_equal(key->keys_max, 7);
	key = &k.c->keys[aggregate_of(k.c, "d")->per];
	assert_string_equal(key->name, "customer, currency");
	assert_int_equal(key->keys_max, 0);
	assert_int_equal(aggregate_of(k.c, "d")->unit, UNIT_EVENT);
	assert_int_equal(aggregate_of(k.c, "e")->per, PER_ACCOUNT);
	compiled_free(&k);
}

static void keys_have_a_limit(void **state)
{
	char yaml[4096];
	size_t at = (size_t)snprintf(yaml, sizeof yaml, "events: { e: { code: 50, body: {");
	struct compiled k;

	(void)state;
	for (int i = 0; i <= KEYS_MAX - PER_COUNT; i++)
		at += (size_t)snprintf(yaml + at, sizeof yaml - at, " f%d: int,", i);
	at += (size_t)snprintf(yaml + at, sizeof yaml - at, " } } }\naggregates:\n");
	for (int i = 0; i <= KEYS_MAX - PER_COUNT; i++)
		at += (size_t)snprintf(yaml + at, sizeof yaml - at,
				       "  x%d: { over: [e], count: true, per: body.f%d, keys: 9 }\n", i, i);
	k = compile_files("a.yaml", base_yaml, "b.yaml", yaml, NULL);
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(k.text,
			    "b.yaml:16:39: the catalogue keeps windows per more than 16 different keys, "
			    "the limit (customer, account and card among them)\n");
	compiled_free(&k);
	*strstr(yaml, "  x13:") = 0;
	k = compile_good(yaml);
	assert_int_equal(k.c->key_count, KEYS_MAX);
	compiled_free(&k);
}

/* One key less than what is refused (test_wrong.c, keys_beyond_memory). */
static void keys_may_fill_the_memory_of_windows(void **state)
{
	struct compiled k =
		compile_good("bank: { memory: { windows: 1MB } }\n"
			     "aggregates: { x: { over: [debit], count: true, per: body.payee, keys: "
			     "7812 } }\n");

	(void)state;
	assert_int_equal(k.c->keys[PER_COUNT].keys_max, 7812);
	compiled_free(&k);
}

/* --- values --- */

static void records_have_a_value_a_field_of_its_type(void **state)
{
	struct compiled k = compile_good(
		"aggregates:\n"
		"  prev: { over: [card.purchase], last: [time, country, lat, base], before: true }\n"
		"  since: { over: [transfer.out], last: [time], per: account }\n"
		"  spread: { over: [card.purchase], deviation: base }\n"
		"  payees: { over: [transfer.out], distinct: body.payee, within: 1d }\n"
		"  named: { over: [transfer.out], last: body.payee }\n"
		"fraud: { rules: { r: { events: [card.purchase], score: 1,\n"
		"  when: 'has(agg.prev.lat) && agg.prev.lat > 1.0 && event.time - agg.prev.time < "
		"duration(\"1h\")'\n"
		"  } } }\n");
	static const struct cat_agg_value expected[] = {
		{ .field = AGGF_TIME, .type = TYPE_TIMESTAMP },
		{ .field = AGGF_COUNTRY, .type = TYPE_INT },
		{ .field = AGGF_BODY, .type = TYPE_DOUBLE },
		{ .field = AGGF_BASE, .type = TYPE_INT, .unit = UNIT_BASE },
	};
	const struct cat_aggregate *prev = aggregate_of(k.c, "prev");
	struct cel_load loads[8];
	size_t n;

	(void)state;
	assert_int_equal(prev->value_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		const struct cat_agg_value *v = &k.c->agg_values[prev->value_first + i];
		assert_int_equal(v->field, expected[i].field);
		assert_int_equal(v->type, expected[i].type);
		assert_int_equal(v->unit, expected[i].unit);
	}
	assert_string_equal(k.c->fields[k.c->agg_values[prev->value_first + 2].body_field].name, "lat");
	assert_int_equal(aggregate_of(k.c, "since")->value_count, 1);
	assert_int_equal(aggregate_of(k.c, "spread")->type, TYPE_DOUBLE);
	assert_int_equal(aggregate_of(k.c, "payees")->type, TYPE_INT);
	assert_int_equal(aggregate_of(k.c, "payees")->field, AGGF_BODY);
	assert_int_equal(aggregate_of(k.c, "named")->type, TYPE_STRING);
	/* the rule loads the record's own places, and its bit is the aggregate's */
	n = cel_loads(&k.c->rules[0].when, loads, ARRAY_LEN(loads));
	for (size_t i = 0; i < n; i++)
		if (loads[i].space == SPACE_AGG)
			assert_true(loads[i].index == prev->value_first + 2u ||
				    loads[i].index == prev->value_first);
	assert_int_equal(k.c->rules[0].aggregates, UINT64_C(1) << (prev - k.c->aggregates));
	assert_int_equal(event_of(k.c, "card.purchase")->reads, k.c->rules[0].aggregates);
	compiled_free(&k);
}

static void values_of_aggregates_stand_one_behind_the_other(void **state)
{
	struct compiled k = compile_good("aggregates:\n"
					 "  a: { over: [login], last: [time, country] }\n"
					 "  b: { over: [login], count: true }\n"
					 "patterns: { p: { within: 3m, steps: [ { events: [login] } ] } }\n");
	uint16_t next = 0;

	(void)state;
	for (unsigned i = 0; i < k.c->aggregate_count; i++) {
		if (k.c->aggregates[i].function == AGG_STEP)
			continue;
		assert_int_equal(k.c->aggregates[i].value_first, next);
		next = (uint16_t)(next + k.c->aggregates[i].value_count);
	}
	assert_int_equal(k.c->agg_value_count, next);
	compiled_free(&k);
}

static void calendar_windows_have_no_length(void **state)
{
	struct compiled k = compile_good(
		"aggregates: { m: { over: [debit], sum: base, calendar: month, per: account } }\n");

	(void)state;
	assert_int_equal(aggregate_of(k.c, "m")->calendar, CALENDAR_MONTH);
	assert_int_equal(aggregate_of(k.c, "m")->within_ns, 0);
	assert_int_equal(aggregate_of(k.c, "n_10m")->calendar, CALENDAR_NONE);
	compiled_free(&k);
}

static void windows_may_be_400_days_long(void **state)
{
	struct compiled k = compile_good("aggregates: { m: { over: [debit], count: true, within: 400d } }\n");

	(void)state;
	assert_true(aggregate_of(k.c, "m")->within_ns == INT64_C(400) * 86400 * 1000000000);
	compiled_free(&k);
}

/* --- patterns --- */

static const char takeover_yaml[] =
	"events: { stepup: { code: 60 }, payee.added: { code: 61, body: { payee: string, alias: string } } "
	"}\n"
	"patterns:\n"
	"  takeover: { within: 30m, unless: [stepup],\n"
	"              steps: [ { events: [login], when: 'event.country != profile.home', times: 2 },\n"
	"                       { events: [transfer.out, payee.added] } ] }\n"
	"fraud: { rules: { r: { events: [pattern.takeover], score: 9, when: 'event.payee != \"x\" && "
	"agg.spent > 1' }"
	" } }\n";

static void patterns_become_steps_and_a_type_of_their_own(void **state)
{
	struct compiled k = compile_good(takeover_yaml);
	const struct cat_event *event = event_of(k.c, "pattern.takeover");
	const struct cat_pattern *p = k.c->patterns;
	const struct cat_aggregate *step = &k.c->aggregates[p->steps[0].aggregate];

	(void)state;
	assert_int_equal(k.c->pattern_count, 1);
	assert_int_equal(p->step_count, 2);
	assert_int_equal(p->steps[0].times, 2);
	assert_int_equal(p->steps[1].times, 1);
	assert_int_equal(p->per, PER_CUSTOMER);
	assert_true(p->within_ns == INT64_C(30) * 60 * 1000000000);
	assert_ptr_equal(&k.c->events[p->event], event);
	assert_int_equal(step->function, AGG_STEP);
	assert_int_equal(step->value_count, 0);
	assert_true(step->has_where && step->within_ns == p->within_ns);
	assert_string_equal(step->name, "takeover.1");
	assert_int_equal(k.c->aggregates[p->unless].function, AGG_STEP);
	assert_int_equal(event_of(k.c, "stepup")->feeds, UINT64_C(1) << p->unless);
	assert_int_equal(event_of(k.c, "login")->feeds, UINT64_C(1) << p->steps[0].aggregate);
	compiled_free(&k);
}

static void patterns_are_completed_by_the_types_of_the_last_step(void **state)
{
	struct compiled k = compile_good(takeover_yaml);
	const struct cat_event *event = event_of(k.c, "pattern.takeover");
	const struct cat_event *last = event_of(k.c, "transfer.out");

	(void)state;
	assert_int_equal(event->code, 0);
	assert_int_equal(event->pattern, 0);
	assert_int_equal(event->field_count, 1); /* payee; alias is of one of the two */
	assert_string_equal(k.c->fields[event->fields[0]].name, "payee");
	assert_int_equal(event->fraud_count, 1);
	assert_int_equal(last->completes, 1);
	assert_int_equal(event_of(k.c, "payee.added")->completes, 1);
	assert_int_equal(event_of(k.c, "login")->completes, 0);
	assert_int_equal(last->fraud_count, 0);
	assert_int_equal(last->pattern, -1);
	/* what its rules read must be there on what completes it */
	assert_int_equal(last->reads, event->reads);
	assert_int_not_equal(last->reads, 0);
	compiled_free(&k);
}

/* What feeds a step is kept for everybody; the pattern's own type keeps nothing. */
static void patterns_keep_what_feeds_their_steps(void **state)
{
	static const char more[] =
		"events: { a: { code: 71, history: rules }, b: { code: 72, history: rules }, c: { code: 73, "
		"history: "
		"rules } }\n"
		"patterns: { p: { within: 3m, unless: [b], steps: [ { events: [a] } ] } }\n"
		"subscriptions: { s: { events: [pattern.p], repeat: every, message: hello } }\n";
	struct compiled k = compile_good(more);

	(void)state;
	assert_int_equal(k.c->interest->type[71].action, INTEREST_KEEP);
	assert_int_equal(k.c->interest->type[72].action, INTEREST_KEEP);
	assert_int_equal(k.c->interest->type[73].action, INTEREST_DROP);
	assert_int_equal(k.c->interest->type[0].action, INTEREST_UNKNOWN);
	assert_int_equal(event_of(k.c, "pattern.p")->subscription_count, 1);
	compiled_free(&k);
}

static char *printed(const struct catalogue *c, void (*print)(const struct catalogue *, FILE *))
{
	size_t len = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	print(c, f);
	fclose(f);
	return text;
}

static void patterns_are_explained(void **state)
{
	struct compiled k = compile_good(takeover_yaml);
	char *interest = printed(k.c, catalogue_interest_print),
	     *summary = printed(k.c, catalogue_summary_print);

	(void)state;
	assert_non_null(strstr(interest, "patterns takeover\n")); /* stepup feeds nothing else */
	assert_null(strstr(interest, "takeover.1"));		  /* steps are no aggregates to a reader */
	assert_null(strstr(interest, "pattern.takeover"));	  /* no frame has that type */
	assert_non_null(strstr(summary, "event types           5\n"));
	assert_non_null(strstr(
		summary, "aggregates            2\npatterns              1\n  steps               3\n"));
	free(interest);
	free(summary);
	compiled_free(&k);
}

static void patterns_any_means_real_types_only(void **state)
{
	struct compiled k =
		compile_good("patterns: { p: { within: 3m, steps: [ { events: [any] } ] } }\n"
			     "aggregates: { all: { over: [any], count: true } }\n"
			     "critical: { r: { events: [any], repeat: every, message: hello } }\n");

	(void)state;
	assert_int_equal(event_of(k.c, "pattern.p")->critical_count, 0);
	assert_int_equal(event_of(k.c, "pattern.p")->feeds, 0);
	assert_int_equal(event_of(k.c, "login")->critical_count, 1);
	compiled_free(&k);
}

static void patterns_count_their_steps_against_the_aggregates(void **state)
{
	char yaml[8192];
	size_t at = (size_t)snprintf(yaml, sizeof yaml,
				     "patterns: { p: { within: 3m, steps: [ { events: [login] } "
				     "] } }\naggregates:\n");
	struct compiled k;

	(void)state;
	for (int i = 2; i < AGGREGATES_MAX; i++) /* base_yaml has two */
		at += (size_t)snprintf(yaml + at, sizeof yaml - at, "  x%d: { over: [login], count: true }\n",
				       i);
	k = compile_files("a.yaml", base_yaml, "b.yaml", yaml, NULL);
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(k.text,
			    "b.yaml:1:13: the catalogue has 64 aggregates and 1 steps of patterns ('unless' "
			    "is one), the limit is 64 together\n");
	compiled_free(&k);
	*strstr(yaml, "  x63") = 0;
	k = compile_good(yaml);
	assert_int_equal(k.c->aggregate_count, AGGREGATES_MAX);
	compiled_free(&k);
}

static void patterns_come_back_from_the_blob(void **state)
{
	struct compiled k = compile_good(takeover_yaml);
	struct catalogue *again;

	(void)state;
	assert_int_equal(catalogue_compile_blob(k.c->blob, k.c->blob_bytes, &again, &k.problems), 0);
	assert_true(same(again->hash, k.c->hash));
	assert_int_equal(again->pattern_count, 1);
	assert_int_equal(again->aggregate_count, k.c->aggregate_count);
	for (unsigned i = 0; i < again->aggregate_count; i++)
		assert_true(same(again->aggregates[i].identity, k.c->aggregates[i].identity));
	catalogue_free(again);
	compiled_free(&k);
}

/* --- lists --- */

static void lists_are_sorted_and_found_by_name(void **state)
{
	struct compiled k = compile_good("lists:\n"
					 "  risky: [country.PT, 4, country.ES, -7]\n"
					 "  payees: [zeta, \"10\", 'a b', alpha]\n");
	const struct cat_list *payees = &k.c->lists[0], *risky = &k.c->lists[1];
	static const char *const texts[] = { "10", "a b", "alpha", "zeta" };
	static const int64_t ints[] = { -7, 4, 620, 724 };

	(void)state;
	assert_int_equal(k.c->list_count, 2);
	assert_string_equal(payees->name, "payees");
	assert_string_equal(risky->name, "risky");
	assert_int_equal(payees->type, TYPE_STRING);
	assert_int_equal(risky->type, TYPE_INT);
	assert_int_equal(payees->count, 4);
	assert_int_equal(risky->count, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(payees->values[i].bytes, strlen(texts[i]));
		assert_memory_equal(payees->values[i].s, texts[i], strlen(texts[i]));
		assert_int_equal(risky->values[i].i, ints[i]);
	}
	compiled_free(&k);
}

static bool holds(const struct catalogue *c, unsigned rule, int64_t mcc, const char *type)
{
	struct value fields[FIELD_COUNT] = { 0 };
	struct cel_env env = { .space = { [SPACE_EVENT] = fields }, .rates = &c->rates };
	struct value v;

	fields[FIELD_mcc] = (struct value){ .type = TYPE_INT, .i = mcc };
	fields[FIELD_type] =
		(struct value){ .type = TYPE_STRING, .bytes = (uint32_t)strlen(type), .s = type };
	v = cel_eval(&c->rules[rule].when, &env);
	assert_int_equal(v.status, VALUE_OK);
	return v.i;
}

static void lists_are_constants_in_expressions(void **state)
{
	struct compiled k = compile_good("lists: { risky: [9, mcc.gambling, 4], kinds: [login, logout] }\n"
					 "fraud: { rules:\n"
					 "  { r: { events: [login], score: 1, when: 'event.mcc in "
					 "lists.risky && event.type in lists.kinds' },\n"
					 "    s: { events: [login], score: 1, when: 'lists.risky.exists(x, x "
					 "== event.mcc + 1)' } } }\n");

	(void)state;
	assert_true(holds(k.c, 0, 9, "login"));
	assert_true(holds(k.c, 0, 7995, "logout"));
	assert_false(holds(k.c, 0, 5, "login"));
	assert_false(holds(k.c, 0, 4, "log"));
	assert_true(holds(k.c, 1, 3, ""));
	assert_false(holds(k.c, 1, 4, ""));
	compiled_free(&k);
}

/* The list is part of the question: with another one the answers kept are of another. */
static void lists_belong_to_the_identity_of_what_names_them(void **state)
{
	static const char map[] =
		"aggregates: { x: { over: [login], count: true, where: 'event.mcc in lists.l' } }\n";
	static const char *const lists[] = { "lists: { l: [1, 2] }\n", "lists: { l: [2, 1] }\n",
					     "lists: { l: [1, 2], k: [5] }\n", "lists: { l: [1, 3] }\n",
					     "lists: { l: [1] }\n" };
	struct hash128 identity[ARRAY_LEN(lists)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct compiled k =
			compile_files("a.yaml", base_yaml, "b.yaml", map, "c.yaml", lists[i], NULL);
		assert_int_equal(k.rc, 0);
		identity[i] = aggregate_of(k.c, "x")->identity;
		compiled_free(&k);
	}
	assert_true(same(identity[0], identity[1]));
	assert_true(same(identity[0], identity[2]));
	assert_false(same(identity[0], identity[3]));
	assert_false(same(identity[0], identity[4]));
	assert_false(same(identity[3], identity[4]));
}

/* `moment check` says which conditions are not programs over columns, and counts all. */
static void conditions_are_counted_by_how_they_run(void **state)
{
	struct compiled k = compile_good(
		"aggregates: { x: { over: [login], count: true, where: '[1, event.mcc].exists(x, x > "
		"event.country)' } }"
		"\nfraud: { rules: { plain: { events: [login], score: 1, when: 'event.amount > 5' },\n"
		"  walks: { events: [login], score: 1, when: '[1, event.mcc].exists(x, x > event.country)' } "
		"} }\n");
	size_t len = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	catalogue_conditions_print(k.c, f);
	fclose(f);
	assert_non_null(strstr(text,
			       "conditions            3\n  over columns        1\n  one by one          0\n"
			       "  interpreted         2\n    fraud walks: interpreted, "));
	assert_non_null(strstr(text, "\n    aggregate x: interpreted, "));
	assert_null(strstr(text, "plain"));
	free(text);
	compiled_free(&k);
}

static void lists_have_a_limit_together(void **state)
{
	size_t room = 8 * (LIST_VALUES_MAX + 2) + 64, at;
	char *yaml = malloc(room);
	struct compiled k;

	(void)state;
	at = (size_t)snprintf(yaml, room, "lists:\n  a: [0]\n  b: [");
	for (int i = 0; i < LIST_VALUES_MAX; i++)
		at += (size_t)snprintf(yaml + at, room - at, "%d,", i);
	snprintf(yaml + at, room - at, "]\n");
	k = compile_files("a.yaml", base_yaml, "b.yaml", yaml, NULL);
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(k.text, "b.yaml:3:3: the lists have 65537 values together, the limit is 65536\n");
	compiled_free(&k);
	memset(strstr(yaml, "  a: [0]"), ' ', strlen("  a: [0]"));
	k = compile_good(yaml);
	assert_int_equal(k.c->lists[0].count, LIST_VALUES_MAX);
	compiled_free(&k);
	free(yaml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aggregates_of_version_1_keep_their_identity),
		cmocka_unit_test(aggregates_differ_in_identity_when_they_remember_otherwise),
		cmocka_unit_test(aggregates_share_an_identity_when_only_the_spelling_differs),
		cmocka_unit_test(keys_are_one_for_the_same_parts_in_any_order),
		cmocka_unit_test(keys_have_a_limit),
		cmocka_unit_test(keys_may_fill_the_memory_of_windows),
		cmocka_unit_test(records_have_a_value_a_field_of_its_type),
		cmocka_unit_test(values_of_aggregates_stand_one_behind_the_other),
		cmocka_unit_test(calendar_windows_have_no_length),
		cmocka_unit_test(windows_may_be_400_days_long),
		cmocka_unit_test(patterns_become_steps_and_a_type_of_their_own),
		cmocka_unit_test(patterns_are_completed_by_the_types_of_the_last_step),
		cmocka_unit_test(patterns_keep_what_feeds_their_steps),
		cmocka_unit_test(patterns_are_explained),
		cmocka_unit_test(patterns_any_means_real_types_only),
		cmocka_unit_test(patterns_count_their_steps_against_the_aggregates),
		cmocka_unit_test(patterns_come_back_from_the_blob),
		cmocka_unit_test(lists_are_sorted_and_found_by_name),
		cmocka_unit_test(lists_are_constants_in_expressions),
		cmocka_unit_test(lists_belong_to_the_identity_of_what_names_them),
		cmocka_unit_test(conditions_are_counted_by_how_they_run),
		cmocka_unit_test(lists_have_a_limit_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
