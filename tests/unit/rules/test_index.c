// needs: user/rules/*.c user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_index.c: random rules over random events: the stage, with its index and columns, against the plain
 * walk (plain.h): the same hits in the same order, scores, reasons, and counts of hits, no data and errors by
 * rule. Values are chosen near the constants of the rules, and often not there.
 *
 *   test_index [SEED]
 */
#include "plain.h"

#include <catalogue/env.h>
#include <catalogue/plan.h>

enum { CUSTOMERS = 6, TURNS = 60 };

static uint64_t seed = 20260102, interpreted;

static uint64_t next(uint64_t *s)
{
	*s += UINT64_C(0x9E3779B97F4A7C15);
	uint64_t z = *s;
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *s, uint32_t n)
{
	return (uint32_t)(next(s) % n);
}

/* ---- rules ---- */

struct text {
	char *s;
	size_t used, room;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	t->used += (size_t)vsnprintf(t->s + t->used, t->room - t->used, format, args);
	va_end(args);
	assert_true(t->used < t->room);
}

static const char *const numbers[] = {
	"event.amount", "event.country",  "event.mcc", "event.balance", "event.touchpoint",
	"event.items",	"event.customer", "agg.n",     "agg.on_card",	"account.holders"
};
static const char *const words[] = { "event.merchant", "event.ref", "event.stage", "account.alias" };
static const char *const names[] = { "a", "b", "posted", "authorised", "c d" };
static const char *const relations[] = { "==", "!=", "<", "<=", ">", ">=" };

/* One comparison; `holder`: of what a subscription sees of its holder, too. */
static void put_term(struct text *t, uint64_t *s, bool profile, bool holder)
{
	uint32_t what = below(s, holder ? 13 : 10);
	const char *number = numbers[below(s, ARRAY_LEN(numbers))];

	if (profile && below(s, 6) == 0)
		number = "profile.level";
	switch (what) {
	case 0:
		put(t, "%s in [%u, %u, %u]", number, below(s, 12), below(s, 12), below(s, 12));
		break;
	case 1:
		put(t, "%s %s \"%s\"", words[below(s, ARRAY_LEN(words))],
		    below(s, 4) ? "==" : "!=", names[below(s, ARRAY_LEN(names))]);
		break;
	case 2:
		put(t, "%s in [\"%s\", \"%s\"]", words[below(s, ARRAY_LEN(words))],
		    names[below(s, ARRAY_LEN(names))], names[below(s, ARRAY_LEN(names))]);
		break;
	case 3:
		put(t, "%sevent.gift", below(s, 2) ? "!" : "");
		break;
	case 4: /* errors among them */
		put(t, "10 / %s %s %u", number, relations[below(s, 6)], below(s, 4));
		break;
	case 5:
		if (below(s, 2))
			put(t, "event.ratio > %u.0", below(s, 3));
		else /* 8, 9, 3 or 17 o'clock, by zone */
			put(t, "local(event.time).getHours() < %u", below(s, 20));
		break;
	case 6:
		put(t, "event.amount > money(\"0.0%u EUR\")", below(s, 10));
		break;
	case 7:
		if (below(s, 2))
			put(t, "event.merchant.startsWith(\"%s\")", names[below(s, 3)]);
		else /* interpreted */
			put(t, "[%u, %u].exists(x, x %s %s)", below(s, 12), below(s, 12),
			    relations[below(s, 6)], number);
		break;
	case 10:
		put(t, "profile.level %s %u", relations[below(s, 6)], below(s, 5));
		break;
	case 11:
		put(t, "param.m %s event.amount", relations[below(s, 6)]);
		break;
	case 12:
		put(t, "event.customer == me.customer || me.role == \"guardian\"");
		break;
	default:
		put(t, "%u %s %s", below(s, 12), relations[below(s, 6)], number);
	}
}

static void put_condition(struct text *t, uint64_t *s, bool profile, bool holder)
{
	uint32_t terms = 1 + below(s, 4);

	put(t, "true");
	for (uint32_t i = 0; i < terms; i++) {
		put(t, " && %s(", below(s, 8) ? "" : "!");
		put_term(t, s, profile, holder);
		for (uint32_t k = below(s, 3) ? 0 : 1 + below(s, 2); k > 0; k--) {
			put(t, " %s ", below(s, 4) ? "||" : "&&");
			put_term(t, s, profile, holder);
		}
		put(t, ")");
	}
}

static void put_rule(struct text *t, uint64_t *s, const char *name, uint32_t number, bool subscription)
{
	static const char *const events[] = { "purchase", "purchase, declined", "salary, purchase" };
	bool holder = subscription && below(s, 2);

	put(t, "  %s%05u: { events: [%s], when: '", name, number, events[below(s, ARRAY_LEN(events))]);
	put_condition(t, s, !subscription || holder, holder);
	put(t, "'%s", below(s, 8) ? "" : *name == ' ' ? ", stages: [posted, request]" : ", stages: [posted]");
}

static char *random_rules(uint64_t *s, uint32_t count)
{
	struct text t = { .room = 4096 + (size_t)count * 3 * 2048 };

	t.s = malloc(t.room);
	put(&t, "fraud:\n  rules:\n");
	for (uint32_t i = 0; i < count; i++) {
		put_rule(&t, s, "  f", i, false);
		put(&t, ", score: %u }\n", i + 1);
	}
	put(&t, "critical:\n");
	for (uint32_t i = 0; i < count; i++) {
		put_rule(&t, s, "c", i, false);
		put(&t, ", repeat: every, message: hello }\n");
	}
	put(&t, "subscriptions:\n");
	for (uint32_t i = 0; i < count; i++) {
		put_rule(&t, s, "s", i, true);
		put(&t,
		    ", repeat: every, message: hello, for: %s, params: { m: { type: int, default: %u } } }\n",
		    below(s, 2) ? "all" : "own", below(s, 12));
	}
	return t.s;
}

/* ---- people and events ---- */

static const int64_t always[] = { INT64_MIN };
static const int32_t west[] = { -5 * 3600 }, east[] = { 9 * 3600 };
static const struct zone zones[] = { { "America/New_York", 1, always, west },
				     { "Asia/Tokyo", 1, always, east } };

static void random_people(struct run *r, uint64_t *s, uint32_t kinds)
{
	static const char *const roles[] = { "owner", "co_owner", "guardian", "authorised", "delegate" };
	static const char *const zone_names[] = { "America/New_York", "Asia/Tokyo", "nowhere", "UTC" };
	const char *chosen[3];
	char json[256], level[32];

	/* a string that the bank has: what it holds is read as the name of a zone */
	r->bank.c->zones = zones;
	r->bank.c->zone_count = ARRAY_LEN(zones);
	r->bank.c->attribute_zone = (int16_t)catalogue_attribute_find(r->bank.c, "language", 8);
	for (uint32_t c = 0; c < CUSTOMERS; c++) {
		snprintf(level, sizeof level, "\"level\": %u, ", below(s, 5));
		snprintf(json, sizeof json, "{\"set\": {%s\"language\": \"%s\"}}", below(s, 3) ? level : "",
			 zone_names[below(s, ARRAY_LEN(zone_names))]);
		if (c != 4) /* provisional */
			bank_profile(&r->bank, 7 + c, 0, json);
		for (uint32_t i = below(s, 40); i > 0 && c != 5; i--) {
			int at = snprintf(json, sizeof json, "{\"kind\": \"s%05u\"", below(s, kinds));
			if (below(s, 4) == 0)
				at += snprintf(json + at, sizeof json - at, ", \"id\": \"i%u\"", below(s, 3));
			if (below(s, 4) == 0)
				at += snprintf(json + at, sizeof json - at, ", \"params\": {\"m\": %u}",
					       below(s, 12));
			if (below(s, 6) == 0)
				at += snprintf(json + at, sizeof json - at, ", \"accounts\": [%u, 30]",
					       9 + below(s, 3));
			snprintf(json + at, sizeof json - at, "%s}", below(s, 8) ? "" : ", \"on\": false");
			bank_subscribe(&r->bank, 7 + c, json);
		}
	}
	for (uint32_t account = 9; account < 11; account++) {
		for (unsigned i = 0; i < 3; i++)
			chosen[i] = roles[below(s, ARRAY_LEN(roles))];
		bank_account(&r->bank, account, chosen, 1 + below(s, 3));
	}
}

static void random_event(struct run *r, uint64_t *s)
{
	static const uint16_t types[] = { 1, 1, 1, 2, 3, 9, 77 };
	struct frame_header h = purchase();
	char json[256] = "{", *at = json + 1;

	h.type = types[below(s, ARRAY_LEN(types))];
	h.customer = below(s, 8) ? 7 + below(s, CUSTOMERS) : below(s, 2) * 99;
	h.account = below(s, 3) ? 9 + below(s, 3) : 0;
	h.amount = below(s, 12);
	h.balance = below(s, 4) ? (int64_t)below(s, 12) : FRAME_BALANCE_NO_DATA;
	h.country = (uint16_t)below(s, 12);
	h.mcc = (uint16_t)below(s, 12);
	h.touchpoint = (uint8_t)below(s, 12);
	h.currency = below(s, 4) ? 978 : 840;
	if (below(s, 16) == 0)
		h.time -= 90000 * SECOND; /* too late: no rule */
	if (h.type == 1 && below(s, 2))
		at += sprintf(at, "\"items\": %u, ", below(s, 6));
	if (h.type == 1 && below(s, 2))
		at += sprintf(at, "\"gift\": %s, ", below(s, 2) ? "true" : "false");
	if (h.type == 1 && below(s, 3) == 0)
		at += sprintf(at, "\"ratio\": %u.5, ", below(s, 3));
	if (h.type <= 2 && below(s, 2))
		at += sprintf(at, "\"merchant\": \"%s\", ", names[below(s, ARRAY_LEN(names))]);
	if (below(s, 6) == 0)
		at += sprintf(at, "\"stage\": \"%s\", ", below(s, 2) ? "authorised" : "request");
	sprintf(at, "\"ref\": \"%c%u\"}", 'a' + (char)below(s, 3), r->count);
	run_add(r, h, json);
}

/* ---- comparison ---- */

static void hits_compare(const struct run *r, const struct plain *p, const uint32_t *first)
{
	for (uint32_t i = 0; i < r->rules.hit_count; i++) {
		const struct hit *got = &r->rules.hits[i];
		const struct plain_hit *want = &p->hits[*first + i];
		struct row_subscription s = { .id = "" };
		assert_true(*first + i < p->hit_count);
		if (got->holder)
			row_subscription_read(&r->rules.cursors[i], &s);
		uint64_t holder = got->holder ? got->holder->key : 0;
		if (got->event != want->event || got->rule != want->rule || holder != want->holder ||
		    s.id_bytes != strlen(want->id) || memcmp(s.id, want->id, s.id_bytes))
			fail_msg("hit %u: event %u rule %s holder %llu, not event %u rule %s holder %llu %s",
				 i, got->event, r->bank.c->rules[got->rule].name, (unsigned long long)holder,
				 want->event, r->bank.c->rules[want->rule].name,
				 (unsigned long long)want->holder, want->id);
	}
}

static void counts_compare(const struct run *r, const struct plain *p)
{
	for (uint32_t i = 0; i < r->count; i++) {
		assert_int_equal(r->events[i].score, p->score[i]);
		assert_int_equal(r->events[i].reason_count, p->reason_count[i]);
		assert_memory_equal(r->events[i].reasons, p->reasons[i],
				    p->reason_count[i] * sizeof(uint16_t));
	}
	for (uint32_t i = 0; i < r->bank.c->rule_count; i++) {
		const struct ledger_rule *got = &r->by_rule[i], *want = &p->by_rule[i];
		if (got->hits != want->hits || got->no_data != want->no_data || got->errors != want->errors)
			fail_msg("rule %s: %llu hits, %llu no data, %llu errors, not %llu, %llu, %llu",
				 r->bank.c->rules[i].name, (unsigned long long)got->hits,
				 (unsigned long long)got->no_data, (unsigned long long)got->errors,
				 (unsigned long long)want->hits, (unsigned long long)want->no_data,
				 (unsigned long long)want->errors);
	}
}

/* Runs what was added through both, in stretches of random length. */
static void run_compare(struct run *r, struct plain *p, uint64_t *s)
{
	uint32_t first = 0;

	run_profile(r);
	plain_run(p, r);
	for (uint32_t from = 0; from < r->count;) {
		uint32_t to = from + 1 + below(s, below(s, 2) ? 3 : BATCH_ENTRIES_MAX);
		from = run_rules(r, from, to < r->count ? to : r->count);
		hits_compare(r, p, &first);
		first += r->rules.hit_count;
	}
	assert_int_equal(first, p->hit_count);
	counts_compare(r, p);
}

static void twin(uint32_t rules, uint32_t turns, uint64_t *s)
{
	char *text = random_rules(s, rules);
	struct run *r = run_open(text);
	struct plain *p = plain_open();

	random_people(r, s, rules);
	for (uint32_t turn = 0; turn < turns; turn++) {
		r->count = 0;
		for (uint32_t n = 1 + below(s, turn % 4 ? 20 : BATCH_ENTRIES_MAX); n > 0; n--)
			random_event(r, s);
		run_compare(r, p, s);
	}
	interpreted += rules_interpreted(&r->rules);
	plain_close(p);
	run_close(r);
	free(text);
}

static void few_rules_are_those_of_the_plain_walk(void **state)
{
	uint64_t s = seed;

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 12; i++)
		twin(1 + below(&s, 4), TURNS, &s);
}

static void many_rules_with_an_index_are_those_of_the_plain_walk(void **state)
{
	uint64_t s = seed + 1;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		twin(40 + below(&s, 200), TURNS / 4, &s);
	assert_true(interpreted > 0); /* what is no column program was among them */
}

/* Patterns do not come out of the test's bank: the bits are set by hand, their rules are those of a type. */
static void rules_of_completed_patterns_run_once_behind_the_type_s_own(void **state)
{
	uint64_t s = seed + 2;
	char *text = random_rules(&s, 30);
	struct run *r = run_open(text);
	struct plain *p = plain_open();
	struct catalogue *c = r->bank.c;
	struct cat_pattern patterns[3] = { { .event = 1 }, { .event = 2 }, { .event = 0 } };

	(void)state;
	c->patterns = patterns;
	c->pattern_count = 3;
	random_people(r, &s, 30);
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		uint32_t first = 0;
		r->count = 0;
		for (uint32_t n = 1 + below(&s, 60); n > 0; n--)
			random_event(r, &s);
		run_profile(r);
		for (uint32_t i = 0; i < r->count; i++) {
			r->events[i].patterns = below(&s, 2) ? below(&s, 8) : 0;
			for (unsigned k = 0; k < c->aggregate_count;
			     k++) /* the type's own reads are not all */
				((struct value *)r->events[i].aggregates)[k] =
					(struct value){ .type = TYPE_INT, .i = below(&s, 12) };
		}
		plain_run(p, r);
		for (uint32_t from = 0; from < r->count;) {
			from = run_rules(r, from, r->count);
			hits_compare(r, p, &first);
			first += r->rules.hit_count;
		}
		assert_int_equal(first, p->hit_count);
		counts_compare(r, p);
	}
	plain_close(p);
	run_close(r);
	free(text);
}

/* The index is there, and bounds what it should: by the plan's own words. */
static void conditions_give_the_bounds_that_they_read_as(void **state)
{
	static const struct {
		const char *when;
		unsigned bounds;
		bool exact;
		const char *in; /* of the first bound */
	} rows[] = {
		{ "event.mcc == 5", 1, true, "5..5" },
		{ "event.mcc != 5", 1, true, "..4 6.." },
		{ "event.amount > 5", 1, true, "6.." },
		{ "5 >= event.amount", 1, true, "..5" },
		{ "event.amount >= 3 && event.amount < 7", 1, true, "3..6" },
		{ "event.amount < 3 && event.amount > 7", 1, true, "" },
		{ "event.mcc in [7, 5, 6, 9]", 1, true, "5..7 9..9" },
		{ "event.mcc == 5 || event.country == 6", 0, false, "" },
		{ "event.mcc == 5 || event.mcc == 9", 1, true, "5..5 9..9" },
		{ "!(event.mcc == 5)", 1, true, "..4 6.." },
		{ "!(event.mcc == 5 && event.country == 6)", 0, false, "" },
		{ "event.gift", 1, true, "1..1" },
		{ "!event.gift", 1, true, "..0 2.." },
		{ "event.mcc == 5 && event.ratio * 2.0 > 1.0", 1, false, "5..5" },
		{ "event.ratio * 2.0 > 1.0 && event.mcc == 5", 1, false, "5..5" },
		{ "event.mcc == 5 && event.country == 6", 2, true, "5..5" },
		{ "event.mcc == 5 || (event.mcc == 6 && event.country == 7)", 1, false, "5..6" },
		{ "event.amount > money(\"0.05 EUR\")", 1, true, "6.." },
		{ "money(\"0.05 EUR\") == event.amount", 1, true, "5..5" },
		{ "event.amount > money(\"0.05 EUR\") && event.amount < money(\"0.09 USD\")", 2, true,
		  "6.." },
		{ "event.ratio <= 0.0", 1, true, "..0" },
		{ "event.ratio == -0.0", 1, true, "0..0" },
		{ "event.ratio != 0.0", 1, true, "..-1 1.." },
		{ "event.ratio > -0.0", 1, true, "1.." },
		{ "event.amount + 1 > 5", 0, false, "" },
		{ "event.amount > event.balance", 0, false, "" },
		{ "event.amount > 9223372036854775807", 1, true, "" },
		{ "event.amount >= -9223372036854775807 - 1", 1, true, ".." },
		{ "event.mcc == 5 ? true : false", 0, false, "" },
		{ "has(event.mcc)", 0, false, "" },
		{ "event.merchant == \"a\"", 1, true, "0..0" },
		{ "profile.level == 3", 1, true, "3..3" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512], got[128] = "";
		size_t at = 0;
		snprintf(text, sizeof text,
			 "critical: { c: { events: [purchase], when: '%s', repeat: every, "
			 "message: hello } }\n",
			 rows[i].when);
		struct catalogue *c = bank_compile(text);
		const struct plan_rule *rule = &c->plan->rules[0];
		for (uint32_t k = 0; rule->bound_count && k < rule->bounds[0].count; k++) {
			struct plan_interval in = rule->bounds[0].in[k];
			at += (size_t)snprintf(got + at, sizeof got - at, "%s", k ? " " : "");
			if (in.low != INT64_MIN)
				at += (size_t)snprintf(got + at, sizeof got - at, "%lld", (long long)in.low);
			at += (size_t)snprintf(got + at, sizeof got - at, "..");
			if (in.high != INT64_MAX)
				at += (size_t)snprintf(got + at, sizeof got - at, "%lld", (long long)in.high);
		}
		if (rule->bound_count != rows[i].bounds || rule->exact != rows[i].exact ||
		    strcmp(got, rows[i].in))
			fail_msg("%s: %u bounds, exact %d, '%s'; not %u, %d, '%s'", rows[i].when,
				 rule->bound_count, rule->exact, got, rows[i].bounds, rows[i].exact,
				 rows[i].in);
		catalogue_free(c);
	}
}

/* A type with many rules has an index, one with few has none; the most selective field of a rule is chosen.
 */
static void many_rules_make_an_index_by_the_field_that_leaves_least(void **state)
{
	struct text t = { .room = 65536, .s = malloc(65536) };

	(void)state;
	put(&t, "critical:\n");
	for (unsigned i = 0; i < 60; i++)
		put(&t,
		    "  c%02u: { events: [%s], when: 'event.country == 724 && event.mcc == %u && event.amount "
		    "> %u', "
		    "repeat: every, message: hello }\n",
		    i, i < 50 ? "purchase" : "declined", i, i * 10);
	struct catalogue *c = bank_compile(t.s);
	assert_int_equal(c->plan->types[0].index_count, 1);
	const struct plan_index *index = c->plan->types[0].indexes;
	assert_int_equal(c->plan->fields[index->field].space, SPACE_EVENT);
	assert_int_equal(c->plan->fields[index->field].index, FIELD_mcc);
	assert_int_equal(index->all_count, 50);
	assert_int_equal(c->plan->types[0].always_count, 0);
	assert_int_equal(c->plan->types[0].field_count, 3);
	assert_int_equal(c->plan->types[1].index_count, 0);
	assert_int_equal(c->plan->types[1].always_count, 10);
	for (int64_t v = -1; v < 52; v++) {
		uint32_t rules = 0, node = plan_index_find(index, v);
		for (; node; node = index->nodes[node / 2].up)
			for (uint32_t i = index->nodes[node].first; i < index->nodes[node + 1].first;
			     i++, rules++)
				assert_int_equal(index->candidates[i].rule, v);
		assert_int_equal(rules, v >= 0 && v < 50);
	}
	catalogue_free(c);
	free(t.s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_give_the_bounds_that_they_read_as),
		cmocka_unit_test(many_rules_make_an_index_by_the_field_that_leaves_least),
		cmocka_unit_test(few_rules_are_those_of_the_plain_walk),
		cmocka_unit_test(many_rules_with_an_index_are_those_of_the_plain_walk),
		cmocka_unit_test(rules_of_completed_patterns_run_once_behind_the_type_s_own),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
