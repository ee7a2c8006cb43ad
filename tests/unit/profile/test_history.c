// needs: user/profile/hist*.c user/profile/win*.c user/profile/cells.c user/profile/refs.c user/base/[rm]*.c user/base/ahead.c
/*
 * history against a slow twin: the twin keeps every fact ever accepted in plain lists, computes each
 * aggregate from scratch by scanning, and does transactions by the text of decisions 11-17. Seeded random
 * traffic on few keys.
 *
 *   test_history [seed]     or MOMENT_SEED=n; the seed is printed. MOMENT_RUNS=n: not 110 runs of 2,000.
 *
 * `where` is a fake here: cel_eval below knows four predicates; the real one has its own tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <profile/history.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define S INT64_C(1000000000)
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define EPOCH (INT64_C(1700000000) * S)

static uint64_t seed_given = 20250;

/* ---- the fake `where` ---- */

enum { WHERE_NONE, WHERE_LARGE, WHERE_ABROAD, WHERE_TOUCHED, WHERE_ERROR };

static struct value where_value(int64_t predicate, int64_t amount, int64_t country, int64_t touchpoint)
{
	struct value v = { .type = TYPE_BOOL };

	if (predicate == WHERE_LARGE)
		v.i = amount >= 500;
	else if (predicate == WHERE_ABROAD)
		v.i = country != 724;
	else if (predicate == WHERE_TOUCHED)
		v = touchpoint ? (struct value){ .type = TYPE_BOOL, .i = touchpoint < 4 }
			       : (struct value){ .type = TYPE_BOOL, .status = VALUE_NO_DATA, .i = 1 };
	else if (predicate == WHERE_ERROR)
		v = amount % 3 ? (struct value){ .type = TYPE_BOOL, .i = 1 }
			       : (struct value){ .type = TYPE_BOOL, .status = VALUE_ERROR, .i = 1 };
	return v;
}

struct value cel_eval(const struct cel_program *program, const struct cel_env *env)
{
	const struct value *event = env->space[SPACE_EVENT];

	return where_value(program->constants[0].i, event[FIELD_amount].i, event[FIELD_country].i,
			   event[FIELD_touchpoint].i);
}

static uint64_t rng_state;

static uint64_t rng(void)
{
	uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return rng() % n;
}
static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

/* ---- aggregates that catalogues are made of ---- */

/* Further kinds of keys: two at most of a customer's payees, four at most of the bank's; some catalogues have
 * others. */
enum { PER_PAYEE = PER_COUNT, PER_CURRENCY, PER_BANK_PAYEE, PER_ACCOUNT_CARD, PER_KINDS };
static const uint32_t keys_max_of[PER_KINDS] = { [PER_PAYEE] = 2, [PER_BANK_PAYEE] = 4 };

enum { BODY_N, BODY_PAYEE, BODY_D, BODY_FLAG, BODY_AT, BODY_TEXT, BODY_COUNT };
static const struct cat_field body_fields[BODY_COUNT] = {
	{ "n", TYPE_INT },     { "payee", TYPE_STRING }, { "d", TYPE_DOUBLE },
	{ "flag", TYPE_BOOL }, { "at", TYPE_TIMESTAMP }, { "text", TYPE_STRING },
};

enum { RECORD_FIELDS = 4 };
struct definition {
	enum agg_function function;
	enum agg_field field;
	int per;
	int64_t within;
	bool before;
	int where;
	enum agg_calendar calendar;
	int body;
	int more; /* further values of a `last` */
	struct {
		enum agg_field field;
		int body;
	} record[RECORD_FIELDS];
};

static const struct definition universe[] = {
	{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 10 * MINUTE, false, .where = WHERE_NONE },
	{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 1 * S, false, .where = WHERE_NONE },
	{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, true, .where = WHERE_NONE },
	{ AGG_COUNT_OF, AGGF_NONE, PER_CARD, 30 * DAY, false, .where = WHERE_LARGE },
	{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, 1 * DAY, false, .where = WHERE_NONE },
	{ AGG_SUM, AGGF_BASE, PER_CUSTOMER, 7 * DAY, true, .where = WHERE_NONE },
	{ AGG_SUM, AGGF_BASE, PER_CUSTOMER, 0, false, .where = WHERE_ABROAD },
	{ AGG_SUM, AGGF_AMOUNT, PER_CARD, 1 * HOUR, true, .where = WHERE_TOUCHED },
	{ AGG_SUM, AGGF_BALANCE, PER_ACCOUNT, 1 * HOUR, false, .where = WHERE_NONE },
	{ AGG_MEAN, AGGF_BASE, PER_CUSTOMER, 30 * DAY, true, .where = WHERE_NONE },
	{ AGG_MEAN, AGGF_AMOUNT, PER_ACCOUNT, 0, false, .where = WHERE_NONE },
	{ AGG_MEAN, AGGF_BALANCE, PER_CUSTOMER, 1 * DAY, false, .where = WHERE_ERROR },
	{ AGG_MIN, AGGF_AMOUNT, PER_CUSTOMER, 7 * DAY, false, .where = WHERE_NONE },
	{ AGG_MIN, AGGF_BASE, PER_ACCOUNT, 0, true, .where = WHERE_LARGE },
	{ AGG_MIN, AGGF_BALANCE, PER_ACCOUNT, 1 * DAY, false, .where = WHERE_NONE },
	{ AGG_MAX, AGGF_AMOUNT, PER_CARD, 1 * DAY, true, .where = WHERE_NONE },
	{ AGG_MAX, AGGF_BASE, PER_CUSTOMER, 1 * HOUR, false, .where = WHERE_NONE },
	{ AGG_MAX, AGGF_AMOUNT, PER_CUSTOMER, 0, false, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_COUNTRY, PER_CUSTOMER, 0, true, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_BASE, PER_ACCOUNT, 7 * DAY, false, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_TIME, PER_CARD, 1 * DAY, true, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_MCC, PER_CUSTOMER, 10 * MINUTE, false, .where = WHERE_TOUCHED },
	{ AGG_LAST, AGGF_CURRENCY, PER_ACCOUNT, 0, false, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_CUSTOMER, PER_ACCOUNT, 30 * DAY, true, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_TOUCHPOINT, PER_CUSTOMER, 1 * DAY, true, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_AMOUNT, PER_CARD, 0, false, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_BALANCE, PER_ACCOUNT, 30 * DAY, false, .where = WHERE_NONE },
	{ AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT, 30 * DAY, true, .where = WHERE_NONE },
	{ AGG_MAX, AGGF_TIME, PER_CUSTOMER, 30 * DAY, false, .where = WHERE_NONE },
	{ AGG_DEVIATION, AGGF_AMOUNT, PER_CUSTOMER, 7 * DAY, false, .where = WHERE_NONE },
	{ AGG_DEVIATION, AGGF_BASE, PER_ACCOUNT, 0, true, .where = WHERE_NONE },
	{ AGG_DEVIATION, AGGF_BODY, PER_CUSTOMER, DAY, true, WHERE_NONE, .body = BODY_N },
	{ AGG_DISTINCT, AGGF_BODY, PER_ACCOUNT, DAY, false, WHERE_NONE, .body = BODY_PAYEE },
	{ AGG_DISTINCT, AGGF_COUNTRY, PER_CUSTOMER, 30 * DAY, true, .where = WHERE_NONE },
	{ AGG_DISTINCT, AGGF_BODY, PER_CUSTOMER, HOUR, false, WHERE_NONE, .body = BODY_D },
	{ AGG_DISTINCT, AGGF_BASE, PER_ACCOUNT, 7 * DAY, false, .where = WHERE_TOUCHED },
	{ AGG_DISTINCT, AGGF_AMOUNT, PER_CUSTOMER, 0, false, WHERE_NONE, .calendar = CALENDAR_MONTH },
	{ AGG_SUM, AGGF_BODY, PER_CUSTOMER, DAY, false, WHERE_NONE, .body = BODY_N },
	{ AGG_MEAN, AGGF_BODY, PER_ACCOUNT, 0, false, WHERE_NONE, .body = BODY_N },
	{ AGG_MIN, AGGF_BODY, PER_CARD, 7 * DAY, true, WHERE_NONE, .body = BODY_N },
	{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, 0, false, WHERE_NONE, .calendar = CALENDAR_DAY },
	{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, true, WHERE_NONE, .calendar = CALENDAR_WEEK },
	{ AGG_MAX, AGGF_AMOUNT, PER_CUSTOMER, 0, false, WHERE_NONE, .calendar = CALENDAR_MONTH },
	{ AGG_LAST, AGGF_AMOUNT, PER_ACCOUNT, 0, true, WHERE_NONE, .calendar = CALENDAR_DAY },
	{ AGG_DEVIATION, AGGF_AMOUNT, PER_ACCOUNT, 0, true, WHERE_NONE, .calendar = CALENDAR_WEEK },
	{ AGG_LAST, AGGF_TIME, PER_CUSTOMER, 0, true, WHERE_TOUCHED, .more = 4,
	  .record = { { AGGF_COUNTRY, 0 },
		      { AGGF_BODY, BODY_D },
		      { AGGF_BODY, BODY_TEXT },
		      { AGGF_BASE, 0 } } },
	{ AGG_LAST, AGGF_BODY, PER_ACCOUNT, DAY, false, WHERE_NONE, .body = BODY_TEXT, .more = 3,
	  .record = { { AGGF_BODY, BODY_FLAG }, { AGGF_BODY, BODY_AT }, { AGGF_MCC, 0 } } },
	{ AGG_LAST, AGGF_BODY, PER_CARD, 0, false, WHERE_NONE, .body = BODY_N },
	{ AGG_COUNT_OF, AGGF_NONE, PER_PAYEE, 30 * DAY, true, .where = WHERE_NONE },
	{ AGG_LAST, AGGF_TIME, PER_PAYEE, 0, false, .where = WHERE_NONE },
	{ AGG_SUM, AGGF_BASE, PER_PAYEE, HOUR, false, .where = WHERE_LARGE },
	{ AGG_SUM, AGGF_AMOUNT, PER_CURRENCY, DAY, false, .where = WHERE_NONE },
	{ AGG_COUNT_OF, AGGF_NONE, PER_CURRENCY, 0, false, WHERE_NONE, .calendar = CALENDAR_DAY },
	{ AGG_DISTINCT, AGGF_CUSTOMER, PER_BANK_PAYEE, DAY, false, .where = WHERE_NONE },
	{ AGG_SUM, AGGF_BALANCE, PER_BANK_PAYEE, 0, true, .where = WHERE_NONE },
	{ AGG_MEAN, AGGF_AMOUNT, PER_ACCOUNT_CARD, 7 * DAY, true, .where = WHERE_NONE },
	{ AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT_CARD, 0, false, .where = WHERE_ABROAD },
	/* steps of patterns: below, by STEP_FIRST + n */
	{ AGG_STEP, AGGF_NONE, PER_CUSTOMER, 30 * MINUTE, false, .where = WHERE_NONE },
	{ AGG_STEP, AGGF_NONE, PER_CUSTOMER, 30 * MINUTE, false, .where = WHERE_LARGE },
	{ AGG_STEP, AGGF_NONE, PER_CUSTOMER, 30 * MINUTE, false, .where = WHERE_TOUCHED },
	{ AGG_STEP, AGGF_NONE, PER_CUSTOMER, 30 * MINUTE, false, .where = WHERE_ABROAD },
	{ AGG_STEP, AGGF_NONE, PER_ACCOUNT, DAY, false, .where = WHERE_ABROAD },
	{ AGG_STEP, AGGF_NONE, PER_PAYEE, HOUR, false, .where = WHERE_NONE },
	{ AGG_STEP, AGGF_NONE, PER_PAYEE, HOUR, false, .where = WHERE_TOUCHED },
	{ AGG_STEP, AGGF_NONE, PER_PAYEE, HOUR, false, .where = WHERE_ERROR },
};
enum { UNIVERSE = sizeof universe / sizeof *universe, TYPES = 5, STEP_FIRST = UNIVERSE - 8 };
_Static_assert((int)UNIVERSE <= 72, "at most AGGREGATES_MAX of them are in one catalogue");

static const struct {
	int per, count, steps[4], times[4], unless;
	int64_t within;
} patterns[] = {
	{ PER_CUSTOMER,
	  3,
	  { STEP_FIRST, STEP_FIRST + 1, STEP_FIRST + 2 },
	  { 1, 2, 1 },
	  STEP_FIRST + 3,
	  30 * MINUTE },
	{ PER_ACCOUNT, 1, { STEP_FIRST + 4 }, { 3 }, -1, DAY },
	{ PER_PAYEE, 2, { STEP_FIRST + 5, STEP_FIRST + 6 }, { 1, 1 }, STEP_FIRST + 7, HOUR },
};
enum { PATTERNS = sizeof patterns / sizeof *patterns, VALUES = AGGREGATE_VALUES_MAX };

struct test_catalogue {
	struct catalogue c;
	struct cat_aggregate aggregates[UNIVERSE];
	struct cat_agg_value values[VALUES];
	struct cat_key keys[PER_KINDS];
	struct cat_field fields[BODY_COUNT];
	struct cat_pattern patterns[PATTERNS];
	int pattern_of[PATTERNS], field_of[BODY_COUNT]; /* number in the catalogue -> ours; ours -> number */
	struct value constants[UNIVERSE];
	struct cat_event events[TYPES];
	int of[UNIVERSE]; /* catalogue index -> universe */
};

/* Kinds of keys and body fields, in an order of their own in each catalogue. */
static void names_make(struct test_catalogue *t)
{
	static const struct cat_key kinds[PER_KINDS] = {
		[PER_PAYEE] = { .part_count = 2,
				.parts = { { KEY_PART_CUSTOMER, 0 }, { KEY_PART_BODY, 0 } } },
		[PER_CURRENCY] = { .part_count = 2,
				   .parts = { { KEY_PART_CUSTOMER, 0 }, { KEY_PART_CURRENCY, 0 } } },
		[PER_BANK_PAYEE] = { .part_count = 1, .parts = { { KEY_PART_BODY, 0 } } },
		[PER_ACCOUNT_CARD] = { .part_count = 2,
				       .parts = { { KEY_PART_ACCOUNT, 0 }, { KEY_PART_CARD, 0 } } },
	};
	int first = (int)below(BODY_COUNT);

	for (int i = 0; i < BODY_COUNT; i++) {
		t->field_of[i] = (first + i) % BODY_COUNT;
		t->fields[t->field_of[i]] = body_fields[i];
	}
	for (int k = PER_COUNT; k < PER_KINDS; k++) {
		t->keys[k] = kinds[k];
		t->keys[k].keys_max = keys_max_of[k];
		t->keys[k].identity = (struct hash128){ .low = (uint64_t)k, .high = 5 };
		for (int i = 0; i < kinds[k].part_count; i++)
			if (kinds[k].parts[i].kind == KEY_PART_BODY)
				t->keys[k].parts[i].field = (uint16_t)t->field_of[BODY_PAYEE];
	}
	t->c.key_count = PER_KINDS;
	t->c.keys = t->keys;
	t->c.field_count = BODY_COUNT;
	t->c.fields = t->fields;
	t->c.agg_values = t->values;
	t->c.patterns = t->patterns;
	t->c.aggregates = t->aggregates;
	t->c.event_count = TYPES;
	t->c.events = t->events;
}

static enum value_type result_type(enum agg_function function, enum agg_field field, int body)
{
	if (function == AGG_MEAN || function == AGG_DEVIATION)
		return TYPE_DOUBLE;
	if (function == AGG_LAST && field == AGGF_BODY)
		return body_fields[body].type;
	return function == AGG_LAST && field == AGGF_TIME ? TYPE_TIMESTAMP : TYPE_INT;
}

/* Field and type of the n-th value of an aggregate of the universe. */
static enum agg_field value_field(const struct definition *d, int n, int *body)
{
	*body = n ? d->record[n - 1].body : d->body;
	return n ? d->record[n - 1].field : d->field;
}

static void aggregate_make(struct test_catalogue *t, int i, int u)
{
	const struct definition *d = &universe[u];

	t->of[i] = u;
	t->constants[i] = (struct value){ .type = TYPE_INT, .i = d->where };
	t->aggregates[i] = (struct cat_aggregate){
		.name = "a",
		.function = d->function,
		.field = d->field,
		.body_field = (uint16_t)t->field_of[d->body],
		.per = (uint8_t)d->per,
		.calendar = (uint8_t)d->calendar,
		.within_ns = d->within,
		.before = d->before,
		.has_where = d->where != WHERE_NONE,
		.where = { .constants = &t->constants[i], .constant_count = 1 },
		.type = result_type(d->function, d->field, d->body),
		.identity = { .low = (uint64_t)u + 1, .high = 77 },
		.value_first = t->c.agg_value_count,
		.value_count = (uint16_t)(d->function == AGG_STEP ? 0 : 1 + d->more),
	};
	for (int n = 0; n < t->aggregates[i].value_count; n++) {
		int body;
		enum agg_field field = value_field(d, n, &body);
		t->values[t->c.agg_value_count++] =
			(struct cat_agg_value){ .field = field,
						.body_field = (uint16_t)t->field_of[body],
						.type = result_type(d->function, field, body) };
	}
	t->c.aggregate_count = (uint16_t)(i + 1);
	for (int e = 0; e < TYPES; e++) {
		uint64_t bit = UINT64_C(1) << i;
		t->events[e].feeds |= (u + e) % 3 != 0 ? bit : 0; /* `over` is fixed */
		t->events[e].reads |= d->function != AGG_STEP && chance(80) ? bit : 0;
	}
}

static int aggregate_find(const struct test_catalogue *t, int u)
{
	for (int i = 0; i < t->c.aggregate_count; i++)
		if (t->of[i] == u)
			return i;
	return -1;
}

static int aggregate_have(struct test_catalogue *t, int u)
{
	int i = aggregate_find(t, u);

	if (i < 0)
		aggregate_make(t, i = t->c.aggregate_count, u);
	return i;
}

static void pattern_make(struct test_catalogue *t, int p)
{
	struct cat_pattern *pattern = &t->patterns[t->c.pattern_count];

	t->pattern_of[t->c.pattern_count] = p;
	*pattern = (struct cat_pattern){ .per = (uint8_t)patterns[p].per,
					 .step_count = (uint8_t)patterns[p].count,
					 .unless = -1,
					 .within_ns = patterns[p].within };
	for (int i = 0; i < patterns[p].count; i++) {
		pattern->steps[i].aggregate = (uint16_t)aggregate_have(t, patterns[p].steps[i]);
		pattern->steps[i].times = (uint16_t)patterns[p].times[i];
	}
	if (patterns[p].unless >= 0)
		pattern->unless = (int16_t)aggregate_have(t, patterns[p].unless);
	int last = pattern->steps[patterns[p].count - 1].aggregate;
	for (int e = 0; e < TYPES; e++)
		if (t->events[e].feeds >> last & 1)
			t->events[e].completes |= 1u << t->c.pattern_count;
	t->c.pattern_count++;
}

/* Each universe aggregate is in with the given chance, in a random order; patterns with all their steps. */
static struct test_catalogue *catalogue_make(uint32_t percent)
{
	struct test_catalogue *t = calloc(1, sizeof *t);
	int order[STEP_FIRST];

	assert_non_null(t);
	names_make(t);
	for (int i = 0; i < TYPES; i++)
		t->events[i] = (struct cat_event){ .name = "t", .code = (uint16_t)(10 + i) };
	for (int i = 0; i < STEP_FIRST; i++)
		order[i] = i;
	for (int i = STEP_FIRST - 1; i > 0; i--) {
		int j = (int)below((uint64_t)i + 1), swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	for (int i = 0; i < STEP_FIRST; i++)
		if (chance(percent) && t->c.aggregate_count < AGGREGATES_MAX - 8)
			aggregate_make(t, t->c.aggregate_count, order[i]);
	for (int p = 0; p < PATTERNS; p++)
		if (chance(60))
			pattern_make(t, p);
	return t;
}

/* ---- the twin ---- */

struct fact {
	int64_t time, amount, base, balance;
	uint64_t order, customer;
	enum value_status base_status;
	uint16_t currency, country, mcc;
	uint8_t touchpoint;
	struct value body[BODY_COUNT]; /* by our numbers; strings are literals */
	bool out, ref, feeds[UNIVERSE];
};

struct list {
	struct fact **facts;
	size_t count, room;
};

struct twin_ref {
	char name[24];
	int64_t seen;
	uint64_t order_first;
	int part_count;
	struct {
		enum event_stage stage;
		int type;
	} parts[REF_PARTS_MAX];
	struct fact *fact; /* of the counted event */
	int64_t gross, gross_base, reversed;
	enum value_status base_status;
	uint16_t currency;
	bool whole, released, posted;
};

enum { CUSTOMERS = 5, ACCOUNTS = 4, CARDS = 4, KEYS_COUNT = 6 };

/* All that ever happened to one key, and of a bounded one up to when that may not be all. */
struct twin_key {
	int per, customer; /* 0: it is no part */
	char name[48], owner[24];
	struct list facts;
	int64_t gone;
	uint64_t used; /* bounded: order of its latest event */
};

struct twin_owner {
	int per, customer;
	char name[24];
	int64_t gone;
};

enum { TWIN_KEYS_MAX = 512 };

struct twin {
	struct twin_key keys[TWIN_KEYS_MAX];
	struct twin_owner owners[TWIN_KEYS_MAX];
	int key_count, owner_count;
	uint64_t keys_evicted;
	uint32_t keys_max[PER_KINDS];
	int64_t ref_memory;
	struct list all;
	struct twin_ref *refs;
	size_t ref_count;
	bool active[UNIVERSE];
	int64_t activated[UNIVERSE];
	int64_t now, lateness, floor;
	uint64_t order, evicted;
	bool known[KEYS_COUNT];
	int64_t touched[KEYS_COUNT];
	bool started;
};

static void list_add(struct list *l, struct fact *f)
{
	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->facts = realloc(l->facts, l->room * sizeof *l->facts);
		assert_non_null(l->facts);
	}
	l->facts[l->count++] = f;
}

static void twin_free(struct twin *t)
{
	for (size_t i = 0; i < t->all.count; i++)
		free(t->all.facts[i]);
	free(t->all.facts);
	for (int i = 0; i < t->key_count; i++)
		free(t->keys[i].facts.facts);
	free(t->refs);
	free(t);
}

static void twin_settle_all(struct twin *t);
static void twin_ref_forget(struct twin *t);

static void twin_activate(struct twin *t, const struct test_catalogue *c, int64_t now, bool empty)
{
	bool now_in[UNIVERSE] = { false };

	t->now = now;
	while (t->started && t->ref_count && now - t->refs[0].seen >= t->ref_memory)
		twin_ref_forget(t);
	t->ref_memory = c->c.ref_memory_ns;
	if (t->started && c->c.lateness_ns > t->lateness)
		twin_settle_all(t);
	for (int i = 0; i < c->c.aggregate_count; i++)
		now_in[c->of[i]] = true;
	for (int u = 0; u < UNIVERSE; u++) {
		if (now_in[u] && !t->active[u])
			t->activated[u] = empty ? INT64_MIN : now;
		for (size_t i = 0; !now_in[u] && i < t->all.count; i++)
			t->all.facts[i]->feeds[u] = false;
		t->active[u] = now_in[u];
	}
	if (t->started && c->c.lateness_ns > t->lateness && now - t->lateness > t->floor)
		t->floor = now - t->lateness;
	for (int k = 0; k < PER_KINDS; k++)
		t->keys_max[k] = c->keys[k].keys_max;
	t->lateness = c->c.lateness_ns;
	t->started = true;
}

static enum value_status fact_field(const struct fact *f, enum agg_field field, int body, int64_t *v)
{
	switch (field) {
	case AGGF_AMOUNT:
		*v = f->amount;
		return VALUE_OK;
	case AGGF_BASE:
		*v = f->base;
		return f->base_status;
	case AGGF_BALANCE:
		*v = f->balance;
		return f->balance == INT64_MIN ? VALUE_NO_DATA : VALUE_OK;
	case AGGF_TIME:
		*v = f->time;
		return VALUE_OK;
	case AGGF_COUNTRY:
		*v = f->country;
		return f->country ? VALUE_OK : VALUE_NO_DATA;
	case AGGF_MCC:
		*v = f->mcc;
		return f->mcc ? VALUE_OK : VALUE_NO_DATA;
	case AGGF_CURRENCY:
		*v = f->currency;
		return VALUE_OK;
	case AGGF_TOUCHPOINT:
		*v = f->touchpoint;
		return f->touchpoint ? VALUE_OK : VALUE_NO_DATA;
	case AGGF_CUSTOMER:
		*v = (int64_t)f->customer;
		return VALUE_OK;
	default:
		assert_int_equal(field, AGGF_BODY);
		*v = f->body[body].i;
		return (enum value_status)f->body[body].status;
	}
}

/* ---- zones: offsets and jumps are whole quarters of an hour, so quarters are all that has to be tried ----
 */

#define EPOCH_S (EPOCH / S)
static const int64_t summer_from[] = { INT64_MIN, EPOCH_S - EPOCH_S % 86400 + 3600,
				       EPOCH_S - EPOCH_S % 86400 + 20 * 86400 + 3600,
				       EPOCH_S - EPOCH_S % 86400 + 40 * 86400 + 3600 };
static const int32_t summer_offset[] = { 3600, 7200, 3600, 7200 };
/* clocks jump at midnight: forward over it, and back over it */
static const int64_t midnight_from[] = { INT64_MIN, EPOCH_S - EPOCH_S % 86400 + 10 * 86400 + 3 * 3600,
					 EPOCH_S - EPOCH_S % 86400 + 15 * 86400 + 2 * 3600 + 1800,
					 EPOCH_S - EPOCH_S % 86400 + 16 * 86400 + 3 * 3600,
					 EPOCH_S - EPOCH_S % 86400 + 21 * 86400 + 2 * 3600 };
static const int32_t midnight_offset[] = { -3 * 3600, -2 * 3600, -3 * 3600, -2 * 3600, -3 * 3600 };
static const int64_t always_from[] = { INT64_MIN };
static const int32_t east[] = { 14 * 3600 }, west[] = { -11 * 3600 };
static const struct zone zones[] = {
	{ "Summer", 4, summer_from, summer_offset },
	{ "Midnight", 5, midnight_from, midnight_offset },
	{ "East", 1, always_from, east },
	{ "West", 1, always_from, west },
};
enum { ZONES = sizeof zones / sizeof *zones };

static int64_t local_of(const struct zone *zone, int64_t s)
{
	return s + (zone ? zone_offset_s(zone, s) : 0);
}

static bool begins(enum agg_calendar calendar, int64_t day)
{
	time_t s = day * 86400;
	struct tm tm;

	gmtime_r(&s, &tm);
	return calendar == CALENDAR_DAY || (calendar == CALENDAR_WEEK ? tm.tm_wday == 1 : tm.tm_mday == 1);
}

/* The last entry that is not in: by trying days backwards, and quarters of an hour for their midnight. */
static int64_t twin_edge(enum agg_calendar calendar, const struct zone *zone, int64_t t)
{
	int64_t s = zone_second(t);

	for (int64_t day = local_of(zone, s) / 86400 + 1;; day--) {
		if (!begins(calendar, day))
			continue;
		int64_t first = (day - 2) * 86400;
		while (local_of(zone, first) < day * 86400)
			first += 900;
		if (first <= s)
			return first * S - 1;
	}
}

/* Of the sample, from all pairs: the sum of squared differences is n sum(x^2) - sum(x)^2. */
static double twin_deviation(const int64_t *x, int64_t n)
{
	unsigned __int128 low = 0;
	uint64_t high = 0;
	int shift = 0;

	for (int64_t i = 0; i < n; i++)
		for (int64_t j = i + 1; j < n; j++) {
			__int128 d = (__int128)x[i] - x[j];
			unsigned __int128 square = (unsigned __int128)d * (unsigned __int128)d;
			low += square;
			high += low < square;
		}
	for (; high || low >> 64; shift++) {
		low = low >> 1 | (low & 1) | (unsigned __int128)(high & 1) << 127;
		high >>= 1;
	}
	double over = (double)(uint64_t)low;
	for (; shift; shift--)
		over *= 2;
	return sqrt(over / (double)((__int128)n * (n - 1)));
}

static bool same(const struct definition *d, const struct fact *a, const struct fact *b)
{
	int64_t x = 0, y = 0;

	fact_field(a, d->field, d->body, &x);
	fact_field(b, d->field, d->body, &y);
	if (d->field != AGGF_BODY || body_fields[d->body].type == TYPE_INT)
		return x == y;
	const struct value *p = &a->body[d->body], *q = &b->body[d->body];
	if (p->type == TYPE_STRING)
		return p->bytes == q->bytes && memcmp(p->s, q->s, p->bytes) == 0;
	return p->type == TYPE_DOUBLE ? p->d == q->d || (p->d != p->d && q->d != q->d) : p->i == q->i;
}

static int64_t distinct_of(const struct definition *d, const struct fact **inside, int64_t n)
{
	int64_t distinct = 0;

	for (int64_t i = 0; i < n; i++) {
		bool seen = false;
		for (int64_t j = 0; j < i && !seen; j++)
			seen = same(d, inside[i], inside[j]);
		distinct += !seen;
	}
	return distinct;
}

static struct value last_of(const struct fact *f, enum agg_field field, int body)
{
	struct value v = { .type = (uint8_t)result_type(AGG_LAST, field, body), .status = VALUE_NO_DATA };

	if (!f)
		return v;
	v.status = (uint8_t)fact_field(f, field, body, &v.i);
	if (field == AGGF_BODY && v.type == TYPE_STRING) {
		v.bytes = f->body[body].bytes;
		if (v.status == VALUE_OK && v.bytes > 64)
			v.status = VALUE_ERROR;
	}
	return v;
}

/* From scratch, over every fact of the key. `self`: the event's own fact, or NULL. */
static void twin_value(const struct twin *t, int u, enum value_type type, const struct twin_key *key,
		       int64_t gone, int64_t time, const struct zone *zone, const struct fact *self,
		       struct value *result)
{
	static const struct fact *inside[4000];
	static int64_t values[4000];
	const struct definition *d = &universe[u];
	struct value out = { .type = (uint8_t)type, .status = VALUE_NO_DATA };
	int64_t count = 0, n = 0, extreme = 0;
	int64_t edge = d->calendar ? twin_edge(d->calendar, zone, time)
		       : d->within ? time - d->within
				   : INT64_MIN;
	bool lasting = edge == INT64_MIN, young = !lasting && edge + (d->calendar != 0) < t->activated[u];
	__int128 sum = 0;
	bool error = false, none = time < t->floor || young || (gone > edge && gone >= t->activated[u]);
	const struct fact *last = NULL;

	for (size_t i = 0; key && !none && i < key->facts.count; i++) {
		const struct fact *f = key->facts.facts[i];
		int64_t v = 0;
		if (!f->feeds[u] || f->out || f->time > time || (d->before && f == self))
			continue;
		if (lasting ? f->time < t->activated[u] : f->time <= edge)
			continue;
		count++;
		if (!last || f->time > last->time || (f->time == last->time && f->order > last->order))
			last = f;
		if (d->field == AGGF_NONE)
			continue;
		enum value_status status = fact_field(f, d->field, d->body, &v);
		error |= status == VALUE_ERROR;
		if (status != VALUE_OK)
			continue;
		inside[n] = f;
		values[n] = v;
		sum += d->field == AGGF_BODY && d->function == AGG_DISTINCT ? 0 : v;
		if (n++ == 0 || (d->function == AGG_MIN ? v < extreme : v > extreme))
			extreme = v;
	}
	if (d->function == AGG_LAST) {
		for (int k = 0; k <= d->more; k++) {
			int body;
			enum agg_field field = value_field(d, k, &body);
			result[k] = last_of(last, field, body);
			if (result[k].status == VALUE_OK && result[k].type == TYPE_STRING)
				result[k].s = last->body[body].s;
		}
		return;
	}
	out.status = none ? VALUE_NO_DATA : VALUE_OK;
	if (none) {
		/* nothing is known */
	} else if (d->function == AGG_COUNT_OF) {
		out.i = count;
	} else if (error) {
		out.status = VALUE_ERROR;
	} else if (d->function == AGG_SUM) {
		out.status = sum > INT64_MAX || sum < INT64_MIN ? VALUE_ERROR : VALUE_OK;
		out.i = (int64_t)sum;
	} else if (d->function == AGG_DISTINCT) {
		out.i = distinct_of(d, inside, n);
	} else if (n == 0 || (n == 1 && d->function == AGG_DEVIATION)) {
		out.status = VALUE_NO_DATA;
	} else if (d->function == AGG_MEAN) {
		out.d = (double)sum / (double)n;
	} else if (d->function == AGG_DEVIATION) {
		out.d = twin_deviation(values, n);
	} else {
		out.i = extreme;
	}
	*result = out;
}

static __int128 half_even(__int128 product, int64_t by)
{
	__int128 q = product / by, rest = product % by;

	if (rest * 2 > by || (rest * 2 == by && q % 2))
		q++;
	return q;
}

static struct twin_ref *twin_ref_find(struct twin *t, const char *name)
{
	for (size_t i = 0; i < t->ref_count; i++)
		if (strcmp(t->refs[i].name, name) == 0)
			return &t->refs[i];
	return NULL;
}

static void twin_ref_forget(struct twin *t)
{
	memmove(t->refs, t->refs + 1, --t->ref_count * sizeof *t->refs);
}

static struct twin_ref *twin_ref_add(struct twin *t, const char *name, uint64_t limit)
{
	while (t->ref_count >= limit) {
		twin_ref_forget(t);
		t->evicted++;
	}
	t->refs = realloc(t->refs, (t->ref_count + 1) * sizeof *t->refs);
	assert_non_null(t->refs);
	struct twin_ref *ref = &t->refs[t->ref_count++];
	memset(ref, 0, sizeof *ref);
	snprintf(ref->name, sizeof ref->name, "%s", name);
	ref->seen = t->now;
	ref->order_first = t->order + 1;
	return ref;
}

/* Puts what is left of a transaction into its fact. */
static void twin_settle(struct twin_ref *ref)
{
	int64_t left = ref->gross - ref->reversed;

	if (left < 0)
		left = 0;
	ref->fact->out = ref->whole || ref->released;
	ref->fact->amount = left;
	ref->fact->currency = ref->currency;
	ref->fact->base_status = ref->base_status;
	ref->fact->base = left == ref->gross
				  ? ref->gross_base
				  : (int64_t)half_even((__int128)ref->gross_base * left, ref->gross);
}

/* What was reversed so far, in the currency of a posted event: through base, else by its share. */
static int64_t twin_reversed_in(const struct twin_ref *ref, const struct history_event *e)
{
	__int128 reversed = -1;

	if (ref->reversed == 0)
		return 0;
	if (ref->gross == 0)
		return e->amount;
	if (ref->base_status == VALUE_OK && e->base.status == VALUE_OK && e->base.i > 0) {
		__int128 taken = half_even((__int128)ref->gross_base * ref->reversed, ref->gross);
		if (taken <= INT64_MAX)
			reversed = half_even(taken * e->amount, e->base.i);
	}
	if (reversed < 0)
		reversed = half_even((__int128)e->amount * ref->reversed, ref->gross);
	return reversed > INT64_MAX ? e->amount : (int64_t)reversed;
}

static void twin_post(struct twin_ref *ref, const struct history_event *e)
{
	bool was_whole = ref->whole;

	if (e->currency != ref->currency)
		ref->reversed = twin_reversed_in(ref, e);
	ref->gross = e->amount;
	ref->gross_base = e->base.status == VALUE_OK ? e->base.i : 0;
	ref->base_status = e->base.status;
	ref->currency = e->currency;
	ref->released = false;
	ref->posted = true;
	ref->whole = false;
	if (ref->gross - ref->reversed <= 0)
		ref->whole = ref->reversed > 0 || was_whole;
	ref->fact->balance = e->balance;
	twin_settle(ref);
}

struct test_event {
	struct history_event e;
	char ref[24], of[24], card[24];
	int customer, account, card_key; /* 0 = none */
	const struct zone *zone;
	struct value body[BODY_COUNT]; /* by our numbers */
};

/* ---- keys ---- */

/* The key of a kind that an event has; false: none. */
static bool key_name(const struct test_event *te, int per, struct twin_key *out)
{
	const struct value *payee = &te->body[BODY_PAYEE];
	const char *pay = payee->status == VALUE_OK ? payee->s : NULL;

	*out = (struct twin_key){ .per = per, .gone = INT64_MIN };
	switch (per) {
	case PER_CUSTOMER:
		snprintf(out->name, sizeof out->name, "%d", te->customer);
		out->customer = te->customer;
		return te->customer;
	case PER_ACCOUNT:
		snprintf(out->name, sizeof out->name, "%d", te->account);
		return te->account;
	case PER_CARD:
		snprintf(out->name, sizeof out->name, "%d", te->card_key);
		return te->card_key;
	case PER_PAYEE:
		snprintf(out->name, sizeof out->name, "%d %.20s", te->customer, pay ? pay : "");
		snprintf(out->owner, sizeof out->owner, "%d", te->customer);
		out->customer = te->customer;
		return te->customer && pay;
	case PER_CURRENCY:
		snprintf(out->name, sizeof out->name, "%d %d", te->customer, te->e.currency);
		out->customer = te->customer;
		return te->customer;
	case PER_BANK_PAYEE:
		snprintf(out->name, sizeof out->name, "%.20s", pay ? pay : "");
		return pay;
	default:
		snprintf(out->name, sizeof out->name, "%d %d", te->account, te->card_key);
		return te->account && te->card_key;
	}
}

static struct twin_key *key_find(struct twin *t, const struct twin_key *like)
{
	for (int i = 0; i < t->key_count; i++)
		if (t->keys[i].per == like->per && strcmp(t->keys[i].name, like->name) == 0)
			return &t->keys[i];
	return NULL;
}

static struct twin_owner *owner_find(struct twin *t, const struct twin_key *like)
{
	for (int i = 0; i < t->owner_count; i++)
		if (t->owners[i].per == like->per && strcmp(t->owners[i].name, like->owner) == 0)
			return &t->owners[i];
	return NULL;
}

/* Can the aggregate still ask for it? */
static bool fact_held(const struct twin *t, const struct fact *f, int u)
{
	static const int64_t days[] = { 0, 3, 9, 33 };
	const struct definition *d = &universe[u];
	int64_t span = d->calendar ? days[d->calendar] * DAY : d->within, horizon = t->now - t->lateness;
	uint64_t settled = t->ref_count ? t->refs[0].order_first : t->order + 1;

	if (!t->active[u] || !f->feeds[u] || f->time < t->activated[u])
		return false;
	return span ? f->time + span > horizon
		    : !f->out || f->time >= horizon || (f->ref && f->order >= settled);
}

static bool key_holds(const struct twin *t, const struct twin_key *key)
{
	for (size_t i = 0; i < key->facts.count; i++)
		for (int u = 0; u < UNIVERSE; u++)
			if (universe[u].per == key->per && fact_held(t, key->facts.facts[i], u))
				return true;
	return false;
}

/* Before lateness grows: what nothing can ask for is gone for good. */
static void twin_settle_all(struct twin *t)
{
	for (size_t i = 0; i < t->all.count; i++)
		for (int u = 0; u < UNIVERSE; u++)
			t->all.facts[i]->feeds[u] = fact_held(t, t->all.facts[i], u);
}

static void key_forget(struct twin *t, struct twin_key *key)
{
	free(key->facts.facts);
	*key = t->keys[--t->key_count];
}

static struct twin_key *key_oldest(struct twin *t, const struct twin_key *like, int *count)
{
	struct twin_key *oldest = NULL;

	*count = 0;
	for (int i = 0; i < t->key_count; i++) {
		struct twin_key *key = &t->keys[i];
		if (key->per != like->per || strcmp(key->owner, like->owner) != 0)
			continue;
		++*count;
		if (!oldest || key->used < oldest->used)
			oldest = key;
	}
	return oldest;
}

/* Is it still in anything of that kind of key? */
static bool fact_feeds(const struct twin *t, const struct fact *f, int per)
{
	for (int u = 0; u < UNIVERSE; u++)
		if (t->active[u] && universe[u].per == per && f->feeds[u] && f->time >= t->activated[u])
			return true;
	return false;
}

static void key_evict(struct twin *t, struct twin_owner *owner, struct twin_key *oldest)
{
	if (key_holds(t, oldest)) {
		int64_t newest = t->now - t->lateness;
		for (size_t i = 0; i < oldest->facts.count; i++)
			if (fact_feeds(t, oldest->facts.facts[i], oldest->per) &&
			    oldest->facts.facts[i]->time > newest)
				newest = oldest->facts.facts[i]->time;
		newest = oldest->gone > newest ? oldest->gone : newest;
		owner->gone = newest > owner->gone ? newest : owner->gone;
		t->keys_evicted++;
	}
	key_forget(t, oldest);
}

static struct twin_key *key_use(struct twin *t, const struct twin_key *like)
{
	struct twin_key *key = key_find(t, like);
	int64_t gone = INT64_MIN;

	if (key && keys_max_of[like->per] && !key_holds(t, key)) {
		key_forget(t, key); /* one of which nothing is left is as a new one */
		key = NULL;
	}
	if (keys_max_of[like->per]) {
		struct twin_owner *owner = owner_find(t, like);
		if (!owner) {
			assert_true(t->owner_count < TWIN_KEYS_MAX);
			owner = &t->owners[t->owner_count++];
			*owner = (struct twin_owner){ .per = like->per,
						      .customer = like->customer,
						      .gone = INT64_MIN };
			snprintf(owner->name, sizeof owner->name, "%s", like->owner);
		}
		for (int count; !key;) {
			struct twin_key *oldest = key_oldest(t, like, &count);
			if (count < (int)t->keys_max[like->per])
				break;
			key_evict(t, owner, oldest);
		}
		gone = owner->gone;
	}
	if (!key) {
		assert_true(t->key_count < TWIN_KEYS_MAX);
		key = &t->keys[t->key_count++];
		*key = *like;
		key->gone = gone;
	}
	key->used = t->order;
	return key;
}

/* Where values of the event's key are; *gone: what may be missing up to there. */
static struct twin_key *key_look(struct twin *t, const struct twin_key *like, int64_t *gone)
{
	struct twin_key *key = key_find(t, like);
	const struct twin_owner *owner = owner_find(t, like);

	*gone = INT64_MIN;
	if (keys_max_of[like->per])
		*gone = key && key_holds(t, key) ? key->gone : owner ? owner->gone : INT64_MIN;
	return key;
}

static void twin_enter(struct twin *t, const struct test_catalogue *c, const struct test_event *te,
		       struct fact **out)
{
	const struct history_event *e = &te->e;
	struct fact *f = calloc(1, sizeof *f);

	assert_non_null(f);
	*f = (struct fact){ .time = e->time,
			    .amount = e->amount,
			    .base = e->base.i,
			    .balance = e->balance,
			    .order = ++t->order,
			    .customer = e->customer,
			    .base_status = e->base.status,
			    .currency = e->currency,
			    .country = e->country,
			    .mcc = e->mcc,
			    .touchpoint = e->touchpoint,
			    .ref = e->ref != NULL };
	memcpy(f->body, te->body, sizeof f->body);
	uint32_t entered = 0;
	for (int a = 0; a < c->c.aggregate_count; a++) {
		int u = c->of[a];
		struct value holds = where_value(universe[u].where, e->amount, e->country, e->touchpoint);
		bool ok = universe[u].where == WHERE_NONE || (holds.status == VALUE_OK && holds.i);
		f->feeds[u] = (e->type->feeds >> a & 1) && ok;
		entered |= f->feeds[u] && e->time >= t->activated[u] ? 1u << universe[u].per : 0;
	}
	list_add(&t->all, f);
	for (int per = 0; per < PER_KINDS; per++) {
		struct twin_key like;
		if ((entered >> per & 1) && key_name(te, per, &like))
			list_add(&key_use(t, &like)->facts, f);
	}
	*out = f;
}

/* Forward: from each event of the first step the earliest ones that fit; does that lead to the event? */
static bool twin_completes(struct twin *t, int p, const struct test_event *te, const struct fact *self)
{
	struct twin_key like;
	int64_t gone;
	int wanted[16], n = 0;

	if (!self || self->time < t->floor || !key_name(te, patterns[p].per, &like))
		return false;
	const struct twin_key *key = key_look(t, &like, &gone);
	for (int i = 0; i < patterns[p].count; i++)
		for (int k = 0; k < patterns[p].times[i]; k++)
			wanted[n++] = patterns[p].steps[i];
	if (!key || !self->feeds[wanted[n - 1]] || self->time < t->activated[wanted[n - 1]])
		return false;
	const struct fact *older[4000];
	size_t count = 0;
	for (size_t i = 0; i < key->facts.count; i++) { /* in order of (time, journal) */
		const struct fact *f = key->facts.facts[i];
		if (f->out || self->time - f->time >= patterns[p].within || f->time <= gone ||
		    f->time > self->time || f == self)
			continue;
		size_t at = count++;
		for (; at && older[at - 1]->time > f->time; at--)
			older[at] = older[at - 1];
		older[at] = f;
	}
	for (size_t i = 0; i < count; i++) {
		int step = 0;
		bool forbidden = false;
		for (size_t k = i; k < count; k++) {
			bool fits = step < n - 1 && older[k]->feeds[wanted[step]] &&
				    older[k]->time >= t->activated[wanted[step]];
			if (k > i && patterns[p].unless >= 0)
				forbidden |= older[k]->feeds[patterns[p].unless] &&
					     older[k]->time >= t->activated[patterns[p].unless];
			if (k == i && !fits)
				break;
			step += fits;
		}
		if (step == n - 1 && !forbidden)
			return true;
	}
	return n == 1;
}

struct verdicts {
	struct history_result result;
	struct value agg[VALUES];
};

static enum event_outcome twin_judge(struct twin *t, const struct test_catalogue *c,
				     const struct test_event *te, struct fact **self,
				     struct history_result *r)
{
	const struct history_event *e = &te->e;
	struct twin_ref *ref = NULL;

	if (e->reversal && !e->of)
		return EVENT_BAD_BODY;
	if (e->time > e->now + 5 * MINUTE)
		return EVENT_FROM_THE_FUTURE;
	if (e->ref) {
		ref = twin_ref_find(t, e->ref);
		if (!ref)
			ref = twin_ref_add(t, e->ref, c->c.refs_max);
		for (int i = 0; i < ref->part_count; i++)
			if (ref->parts[i].stage == e->stage && ref->parts[i].type == e->type->code)
				return EVENT_DUPLICATE_REF;
		if (ref->part_count == REF_PARTS_MAX)
			return EVENT_BAD_BODY;
		ref->parts[ref->part_count].stage = e->stage;
		ref->parts[ref->part_count++].type = e->type->code;
	}
	if (e->reversal) {
		struct twin_ref *of = twin_ref_find(t, e->of);
		if (!of || !of->fact || of->whole || of->released || of->currency != e->currency)
			return EVENT_REVERSAL_UNMATCHED;
		int64_t left = of->gross - of->reversed;
		of->reversed += e->amount < left ? e->amount : left;
		of->whole = of->reversed == of->gross;
		twin_settle(of);
		return EVENT_DECIDED;
	}
	if (e->stage == STAGE_REQUEST) {
		r->fraud = r->staged = true;
		return EVENT_DECIDED;
	}
	if (e->stage == STAGE_RELEASED) {
		if (!ref || !ref->fact || ref->whole || ref->released || ref->posted)
			return EVENT_REVERSAL_UNMATCHED;
		ref->released = true;
		twin_settle(ref);
		r->staged = true;
		return EVENT_DECIDED;
	}
	if (ref && ref->fact) {
		if (e->stage == STAGE_POSTED)
			twin_post(ref, e);
		r->staged = true;
		return EVENT_DECIDED;
	}
	twin_enter(t, c, te, self);
	if (ref) {
		ref->fact = *self;
		ref->gross = e->amount;
		ref->gross_base = e->base.i;
		ref->base_status = e->base.status;
		ref->currency = e->currency;
		ref->posted = e->stage == STAGE_POSTED;
	}
	r->fraud = r->counted = r->staged = true;
	return EVENT_DECIDED;
}

static void twin_forget(struct twin *t)
{
	for (int k = 1; k < KEYS_COUNT; k++) {
		if (t->known[k] || !t->touched[k] || t->now - t->touched[k] <= 7 * DAY)
			continue;
		for (int i = t->key_count; i-- > 0;)
			if (t->keys[i].customer == k)
				key_forget(t, &t->keys[i]);
		for (int i = t->owner_count; i-- > 0;)
			if (t->owners[i].customer == k)
				t->owners[i] = t->owners[--t->owner_count];
		t->touched[k] = 0;
	}
}

static void twin_read(struct twin *t, const struct test_catalogue *c, const struct test_event *te,
		      bool before, const struct fact *self, struct verdicts *v)
{
	for (int a = 0; a < c->c.aggregate_count; a++) {
		const struct cat_aggregate *agg = &c->aggregates[a];
		struct twin_key like, *key = NULL;
		int64_t gone = INT64_MAX; /* no such key: nothing is known */
		if (!(te->e.type->reads >> a & 1) || agg->before != before)
			continue;
		if (key_name(te, agg->per, &like))
			key = key_look(t, &like, &gone);
		twin_value(t, c->of[a], agg->type, key, gone, te->e.time, te->zone, self,
			   &v->agg[agg->value_first]);
	}
}

static void twin_apply(struct twin *t, const struct test_catalogue *c, const struct test_event *te,
		       struct verdicts *v)
{
	struct fact *self = NULL;

	t->now = te->e.now;
	while (t->ref_count && t->now - t->refs[0].seen >= c->c.ref_memory_ns)
		twin_ref_forget(t);
	twin_forget(t);
	v->result = (struct history_result){ 0 };
	bool early = te->e.time >= t->now - t->lateness;
	if (early)
		twin_read(t, c, te, true, NULL,
			  v); /* a key may be made, or another evicted, by the event itself */
	v->result.outcome = twin_judge(t, c, te, &self, &v->result);
	if (v->result.outcome == EVENT_DECIDED && !early)
		v->result = (struct history_result){ .outcome = EVENT_TOO_LATE };
	if (te->customer && v->result.outcome != EVENT_BAD_BODY &&
	    v->result.outcome != EVENT_FROM_THE_FUTURE && v->result.outcome != EVENT_DUPLICATE_REF)
		t->touched[te->customer] = t->now;
	if (v->result.outcome != EVENT_DECIDED)
		return;
	twin_read(t, c, te, false, self, v);
	if (!self)
		twin_read(t, c, te, true, NULL, v); /* a change of a transaction shows */
	for (int p = 0; p < c->c.pattern_count; p++)
		if ((te->e.type->completes >> p & 1) && twin_completes(t, c->pattern_of[p], te, self))
			v->result.patterns |= 1u << p;
}

/* ---- a store for checkpoints ---- */

struct stored {
	enum record_space space;
	uint32_t key_bytes, value_bytes;
	char key[32];
	char *value;
};

struct shelf {
	struct stored *rows;
	size_t count, room;
};

static struct stored *shelf_find(struct shelf *s, enum record_space space, const void *key, uint32_t bytes)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->rows[i].space == space && s->rows[i].key_bytes == bytes &&
		    memcmp(s->rows[i].key, key, bytes) == 0)
			return &s->rows[i];
	return NULL;
}

static void shelf_put(struct shelf *s, const struct record *r)
{
	struct stored *row = shelf_find(s, r->space, record_key(r), r->key_bytes);

	if (r->gone) {
		if (!row)
			return; /* a key that comes and goes while a cut is written may be taken back twice */
		free(row->value);
		*row = s->rows[--s->count];
		return;
	}
	if (!row) {
		if (s->count == s->room) {
			s->room = s->room ? s->room * 2 : 64;
			s->rows = realloc(s->rows, s->room * sizeof *s->rows);
			assert_non_null(s->rows);
		}
		row = &s->rows[s->count++];
		*row = (struct stored){ .space = r->space, .key_bytes = r->key_bytes };
		memcpy(row->key, record_key(r), r->key_bytes);
	}
	row->value = realloc(row->value, r->value_bytes + 1);
	assert_non_null(row->value);
	row->value_bytes = r->value_bytes;
	memcpy(row->value, record_value(r), r->value_bytes);
}

static void shelf_free(struct shelf *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->rows[i].value);
	free(s->rows);
	*s = (struct shelf){ 0 };
}

static void shelf_put_all(struct shelf *s, const struct records *records)
{
	for (const struct record *r = NULL; (r = records_next(records, r));)
		shelf_put(s, r);
}

static void shelf_checkpoint(struct shelf *s, struct history *h)
{
	struct records records;

	assert_int_equal(records_init(&records, 256 << 20), 0);
	history_checkpoint(h, &records);
	assert_false(records.full);
	shelf_put_all(s, &records);
	records_deinit(&records);
}

/* META first, the rest in any order. */
static struct history *shelf_load(const struct shelf *s, uint64_t refs_max)
{
	struct history *h;
	size_t start = s->count ? below(s->count) : 0;

	assert_int_equal(history_create(&h, 64 << 20, 4096, refs_max), 0);
	for (int meta = 1; meta >= 0; meta--)
		for (size_t k = 0; k < s->count; k++) {
			const struct stored *row = &s->rows[(start + k) % s->count];
			if ((row->space == RECORD_META) == (meta == 1))
				assert_true(history_load(h, row->space, row->key, row->key_bytes, row->value,
							 row->value_bytes));
		}
	assert_true(history_loaded(h));
	return h;
}

static void assert_digests_equal(const struct history *a, const struct history *b)
{
	struct hash128 x = history_digest(a), y = history_digest(b);

	assert_true(x.low == y.low && x.high == y.high);
}

/* ---- traffic ---- */

struct traffic {
	int64_t now, step; /* mean step of now */
	bool huge;	   /* amounts at the edge of int64 */
	int refs;	   /* how many names are about */
	int64_t times[4];  /* of some earlier events, for equal times */
};

static int64_t random_amount(const struct traffic *f)
{
	if (f->huge && chance(20))
		return INT64_MAX - (int64_t)below(3);
	if (chance(4))
		return 0;
	return (int64_t)below(chance(80) ? 1000 : 100000);
}

static int64_t random_time(const struct traffic *f, int64_t lateness)
{
	uint64_t kind = below(100);

	if (kind < 55)
		return f->now;
	if (kind < 70)
		return f->times[below(4)];
	if (kind < 80)
		return f->now - (int64_t)below(10 * S);
	if (kind < 90)
		return f->now - (int64_t)below((uint64_t)lateness + 1);
	if (kind < 93)
		return f->now - lateness - (int64_t)below(2); /* on the edge and just beyond */
	if (kind < 96)
		return f->now - lateness - (int64_t)below(40 * DAY);
	if (kind < 98)
		return f->now + (int64_t)below(5 * MINUTE + 1);
	return f->now + 5 * MINUTE + (int64_t)below(3); /* on the edge and beyond */
}

static struct value random_base(int64_t amount, uint16_t currency)
{
	if (chance(3))
		return (struct value){ .type = TYPE_INT, .status = VALUE_ERROR };
	if (chance(6))
		return (struct value){ .type = TYPE_INT, .status = VALUE_NO_DATA };
	return (struct value){ .type = TYPE_INT, .i = currency == 978 ? amount : amount / 2 + (amount & 1) };
}

static enum event_stage random_stage(bool ref)
{
	uint64_t kind = below(100);

	if (!ref)
		return kind < 80   ? STAGE_POSTED
		       : kind < 88 ? STAGE_AUTHORISED
		       : kind < 96 ? STAGE_REQUEST
				   : STAGE_RELEASED;
	return kind < 35   ? STAGE_AUTHORISED
	       : kind < 80 ? STAGE_POSTED
	       : kind < 90 ? STAGE_RELEASED
			   : STAGE_REQUEST;
}

static void random_step(struct traffic *f)
{
	uint64_t kind = below(100);

	if (kind < 30)
		return;
	if (kind < 35)
		f->now += (int64_t)below(3);
	else if (kind < 99)
		f->now += (int64_t)below((uint64_t)f->step * 2 + 1);
	else if (chance(20))
		f->now += (int64_t)below(9 * DAY);
}

static struct value text(const char *s)
{
	return (struct value){ .type = TYPE_STRING, .bytes = (uint32_t)strlen(s), .s = s };
}

static void random_body(struct test_event *te)
{
	static const char *const payees[] = { "anna", "bert", "cleo", "dora", "emil", "" };
	static const char *const texts[] = {
		"", "a", "Madrid", "sixty-four bytes are kept, and this is exactly sixty-four of them",
		"and one byte more than sixty-four is one too many for any of them"
	};
	static const double doubles[] = { 0.0, -0.0, 1.5, -2.25, 1e300 };

	te->body[BODY_N] = (struct value){ .type = TYPE_INT, .i = (int64_t)below(2000) - 1000 };
	te->body[BODY_PAYEE] = text(payees[below(6)]);
	te->body[BODY_D] =
		(struct value){ .type = TYPE_DOUBLE, .d = chance(10) ? (double)NAN : doubles[below(5)] };
	te->body[BODY_FLAG] = (struct value){ .type = TYPE_BOOL, .i = chance(50) };
	te->body[BODY_AT] = (struct value){ .type = TYPE_TIMESTAMP, .i = EPOCH + (int64_t)below(100) };
	te->body[BODY_TEXT] = text(texts[below(5)]);
	for (int i = 0; i < BODY_COUNT; i++)
		if (chance(20))
			te->body[i] = (struct value){ .type = (uint8_t)body_fields[i].type,
						      .status = VALUE_NO_DATA };
}

static void random_event(struct traffic *f, const struct twin *t, const struct test_catalogue *c,
			 struct test_event *te)
{
	random_step(f);
	memset(te, 0, sizeof *te);
	te->customer = chance(8) ? 0 : 1 + (int)below(CUSTOMERS);
	te->account = chance(8) ? 0 : 1 + (int)below(ACCOUNTS);
	te->card_key = chance(30) ? 0 : 1 + (int)below(CARDS);
	bool ref = chance(45), reversal = chance(15);
	uint64_t newest = (uint64_t)(f->now / (f->step + 1)) % 1000000;
	snprintf(te->ref, sizeof te->ref, "r%d", (int)(newest / 50) * 3 + (int)below((uint64_t)f->refs));
	snprintf(te->of, sizeof te->of, "r%d", (int)(newest / 50) * 3 + (int)below((uint64_t)f->refs));
	snprintf(te->card, sizeof te->card, "card-%d", te->card_key);
	struct history_event *e = &te->e;
	e->type = &c->events[below(TYPES)];
	e->now = f->now;
	e->time = random_time(f, c->c.lateness_ns);
	e->amount = random_amount(f);
	e->currency = chance(85) ? 978 : 840;
	e->base = random_base(e->amount, e->currency);
	e->balance = chance(20) ? INT64_MIN : (int64_t)below(100000) - 50000;
	e->customer = te->customer ? UINT64_C(1000) + (uint64_t)te->customer : 0;
	e->account = te->account ? UINT64_C(1000) + (uint64_t)te->account : 0;
	e->country = chance(20) ? 0 : chance(70) ? 724 : 840;
	e->mcc = chance(30) ? 0 : (uint16_t)(5000 + below(5));
	e->touchpoint = (uint8_t)below(7);
	random_body(te);
	te->zone = chance(30) ? NULL : &zones[below(ZONES)];
	e->stage = random_stage(ref);
	e->reversal = reversal;
	e->provisional = te->customer && !t->known[te->customer];
	if (te->card_key) {
		e->card = te->card;
		e->card_bytes = (uint32_t)strlen(te->card);
	}
	if (ref) {
		e->ref = te->ref;
		e->ref_bytes = (uint32_t)strlen(te->ref);
	}
	if (reversal && !chance(3)) {
		e->of = te->of;
		e->of_bytes = (uint32_t)strlen(te->of);
	}
	f->times[below(4)] = e->time;
}

/* ---- comparison ---- */

static bool values_equal(struct value a, struct value b)
{
	if (a.type != b.type || a.status != b.status)
		return false;
	if (a.status != VALUE_OK)
		return true;
	if (a.type == TYPE_STRING)
		return a.bytes == b.bytes && memcmp(a.s, b.s, a.bytes) == 0;
	return a.type == TYPE_DOUBLE ? memcmp(&a.d, &b.d, sizeof a.d) == 0 : a.i == b.i;
}

static const struct value untouched = { .type = TYPE_STRING, .status = 9, .i = 99 };

static uint64_t values_compared, values_with_data, outcomes_seen[EVENT_OUTCOME_COUNT];
static uint64_t patterns_seen[PATTERNS], evicted_seen;

static void compare(const struct test_catalogue *c, const struct test_event *te, const struct verdicts *twin,
		    const struct verdicts *engine, uint64_t n)
{
	const struct history_result *x = &twin->result, *y = &engine->result;

	outcomes_seen[x->outcome]++;

	if (x->outcome != y->outcome || x->fraud != y->fraud || x->counted != y->counted ||
	    x->staged != y->staged || y->window_full || x->patterns != y->patterns)
		fail_msg("seed %llu event %llu ref %s stage %d: outcome %d/%d flags %d%d%d/%d%d%d patterns "
			 "%x/%x",
			 (unsigned long long)seed_given, (unsigned long long)n, te->e.ref ? te->e.ref : "-",
			 te->e.stage, x->outcome, y->outcome, x->fraud, x->counted, x->staged, y->fraud,
			 y->counted, y->staged, x->patterns, y->patterns);
	for (int p = 0; p < c->c.pattern_count; p++)
		patterns_seen[c->pattern_of[p]] += x->patterns >> p & 1;
	for (int a = 0; a < c->c.aggregate_count; a++) {
		bool read = x->outcome == EVENT_DECIDED && (te->e.type->reads >> a & 1);
		const struct cat_aggregate *agg = &c->aggregates[a];
		for (int k = 0; k < agg->value_count; k++) {
			struct value want = read ? twin->agg[agg->value_first + k] : untouched,
				     got = engine->agg[agg->value_first + k];
			values_compared += read;
			values_with_data += read && want.status == VALUE_OK;
			if (read ? values_equal(want, got) : memcmp(&want, &got, sizeof want) == 0)
				continue;
			const struct definition *d = &universe[c->of[a]];
			fail_msg("seed %llu event %llu: aggregate %d value %d (function %d field %d per %d "
				 "within "
				 "%lld calendar %d before %d): type %d/%d status %d/%d value %lld/%lld",
				 (unsigned long long)seed_given, (unsigned long long)n, c->of[a], k,
				 d->function, d->field, d->per, (long long)d->within, d->calendar, d->before,
				 want.type, got.type, want.status, got.status, (long long)want.i,
				 (long long)got.i);
		}
	}
}

static void engine_apply(struct history *h, const struct test_catalogue *c, const struct test_event *te,
			 struct verdicts *v)
{
	struct value event[FIELD_COUNT] = { { 0 } };
	struct value body[BODY_COUNT];
	struct cel_env env = { .space = { [SPACE_EVENT] = event, [SPACE_BODY] = body }, .zone = te->zone };

	for (int i = 0; i < BODY_COUNT; i++)
		body[c->field_of[i]] = te->body[i];
	event[FIELD_amount].i = te->e.amount;
	event[FIELD_country].i = te->e.country;
	event[FIELD_touchpoint].i = te->e.touchpoint;
	for (int i = 0; i < VALUES; i++)
		v->agg[i] = untouched;
	for (uint32_t i = 0; i < HISTORY_AHEAD; i++)
		history_expect(h, te->e.customer, te->e.account);
	assert_true(history_has_room(h, BATCH_ENTRIES_MAX));
	history_apply(h, &c->c, &te->e, &env, v->agg, &v->result);
}

struct run {
	struct history *h;
	struct twin *twin;
	struct test_catalogue *c;
	struct traffic traffic;
	struct shelf shelf;
	uint64_t refs_max;
	/* a cut on its way */
	bool cutting;
	uint32_t step_items;
	struct records records;
	struct hash128 as_cut;
};

static void run_catalogue(struct run *r, bool empty)
{
	struct test_catalogue *old = r->c;

	r->c = catalogue_make(old ? 60 : 50);
	r->c->c.lateness_ns = old && chance(80) ? old->c.lateness_ns
			      : chance(50)	? 24 * HOUR
						: (int64_t)below(3 * DAY);
	r->c->c.ref_memory_ns = old && chance(70) ? old->c.ref_memory_ns
				: chance(50)	  ? 35 * DAY
						  : (int64_t)below(5 * DAY);
	r->c->c.refs_max = chance(60) ? r->refs_max : 3 + below(20);
	if (r->c->c.refs_max > r->refs_max)
		r->c->c.refs_max = r->refs_max;
	if (old && chance(70)) /* mostly the same aggregates: state must stay */
		for (int i = 0; i < old->c.aggregate_count; i++) {
			if (old->of[i] < STEP_FIRST && chance(90) &&
			    r->c->c.aggregate_count < AGGREGATES_MAX - 8)
				aggregate_have(r->c, old->of[i]);
		}
	for (int k = 0; k < PER_KINDS; k++)
		if (keys_max_of[k] && chance(40))
			r->c->keys[k].keys_max = 1 + (uint32_t)below(2 * keys_max_of[k]);
	history_activate(r->h, &r->c->c, r->traffic.now, empty);
	twin_activate(r->twin, r->c, r->traffic.now, empty);
	free(old);
}

static uint64_t cuts_seen, cut_events_seen;

static void run_cut_begin(struct run *r)
{
	static const uint32_t items[] = { 1, 7, UINT32_MAX };

	assert_int_equal(records_init(&r->records, 64 << 20), 0);
	r->cutting = true;
	r->step_items = items[below(3)];
	r->as_cut = history_digest(r->h);
	history_checkpoint_cut(r->h, &r->records);
}

/* Events come between the steps; what is written is the state as it was cut. */
static void run_cut_step(struct run *r)
{
	cut_events_seen++;
	if (history_checkpoint_running(r->h) && !history_checkpoint_step(r->h, r->step_items))
		return;
	assert_false(history_checkpoint_running(r->h) || r->records.full);
	shelf_put_all(&r->shelf, &r->records);
	records_deinit(&r->records);
	struct history *loaded = shelf_load(&r->shelf, r->refs_max);
	struct hash128 there = history_digest(loaded);
	assert_true(there.low == r->as_cut.low && there.high == r->as_cut.high);
	history_destroy(loaded);
	r->cutting = false;
	cuts_seen++;
}

static void run_restart(struct run *r)
{
	shelf_checkpoint(&r->shelf, r->h);
	if (chance(30))
		return; /* only a checkpoint: the next one builds on it */
	struct history *loaded = shelf_load(&r->shelf, r->refs_max);
	assert_digests_equal(r->h, loaded);
	history_destroy(r->h);
	r->h = loaded;
	history_activate(r->h, &r->c->c, r->traffic.now, false);
}

static void run_one(uint64_t seed, uint64_t events)
{
	struct run r = { .twin = calloc(1, sizeof *r.twin) };
	struct test_event te;

	rng_state = seed;
	assert_non_null(r.twin);
	r.twin->floor = INT64_MIN;
	static const int64_t steps[] = { 3, S, MINUTE, 10 * MINUTE, HOUR };
	r.traffic = (struct traffic){
		.now = EPOCH, .step = steps[below(5)], .huge = chance(15), .refs = 5 + (int)below(40)
	};
	for (int i = 0; i < 4; i++)
		r.traffic.times[i] = EPOCH;
	r.refs_max = chance(50) ? 1000 : 4 + below(60);
	r.twin->known[1] = r.twin->known[2] = true;
	assert_int_equal(history_create(&r.h, 64 << 20, 4096, r.refs_max), 0);
	run_catalogue(&r, chance(70));
	for (uint64_t n = 0; n < events; n++) {
		struct verdicts twin, engine;
		if (chance(1) && chance(30))
			run_catalogue(&r, false);
		if (!r.cutting && chance(1) && chance(50))
			run_restart(&r);
		else if (!r.cutting && chance(2))
			run_cut_begin(&r);
		else if (r.cutting)
			run_cut_step(&r);
		int k = 1 + (int)below(CUSTOMERS);
		if (chance(1) && chance(20) && !r.twin->known[k]) {
			r.twin->now = r.traffic.now;
			twin_forget(r.twin);
			r.twin->known[k] = true;
			history_customer_known(r.h, UINT64_C(1000) + (uint64_t)k, r.traffic.now);
		}
		random_event(&r.traffic, r.twin, r.c, &te);
		twin_apply(r.twin, r.c, &te, &twin);
		engine_apply(r.h, r.c, &te, &engine);
		compare(r.c, &te, &twin, &engine, n);
	}
	while (r.cutting)
		run_cut_step(&r);
	struct history_sizes sizes;
	history_sizes(r.h, &sizes);
	assert_int_equal(sizes.refs, r.twin->ref_count);
	assert_int_equal(sizes.refs_evicted, r.twin->evicted);
	assert_int_equal(sizes.keys_evicted, r.twin->keys_evicted);
	evicted_seen += sizes.keys_evicted;
	history_destroy(r.h);
	twin_free(r.twin);
	free(r.c);
	shelf_free(&r.shelf);
}

static void history_gives_what_the_slow_twin_gives(void **state)
{
	const char *runs_text = getenv("MOMENT_RUNS");
	uint64_t runs = runs_text ? strtoull(runs_text, NULL, 10) : 110, first = seed_given;

	(void)state;
	for (uint64_t i = 0; i < runs; i++) {
		seed_given = first + i;
		run_one(seed_given, 2000);
	}
	seed_given = first;
	print_message("seed %llu: %llu events, %llu values compared, %llu with data\n",
		      (unsigned long long)first, (unsigned long long)runs * 2000,
		      (unsigned long long)values_compared, (unsigned long long)values_with_data);
	assert_true(values_with_data > values_compared / 4);
	assert_true(evicted_seen > runs && cuts_seen > runs && cut_events_seen > 10 * cuts_seen);
	for (int p = 0; p < PATTERNS; p++)
		assert_true(patterns_seen[p] > runs / 4);
	assert_true(outcomes_seen[EVENT_DECIDED] && outcomes_seen[EVENT_TOO_LATE] &&
		    outcomes_seen[EVENT_BAD_BODY] && outcomes_seen[EVENT_DUPLICATE_REF] &&
		    outcomes_seen[EVENT_FROM_THE_FUTURE] && outcomes_seen[EVENT_REVERSAL_UNMATCHED]);
}

/* ---- single claims: one event type, a few aggregates that it feeds and reads ---- */

struct bank {
	struct history *h;
	struct test_catalogue *c;
	int64_t now;
	struct verdicts v;
};

static void bank_aggregates(struct bank *b, const struct definition *d, int n, bool empty)
{
	b->c = calloc(1, sizeof *b->c);
	assert_non_null(b->c);
	names_make(b->c);
	b->c->c.agg_values = NULL; /* one value each */
	b->c->c.aggregate_count = (uint16_t)n;
	b->c->c.lateness_ns = HOUR;
	b->c->c.ref_memory_ns = 35 * DAY;
	b->c->c.refs_max = 1000;
	for (int i = 0; i < n; i++)
		b->c->aggregates[i] = (struct cat_aggregate){
			.function = d[i].function,
			.field = d[i].field,
			.per = (uint8_t)d[i].per,
			.calendar = (uint8_t)d[i].calendar,
			.within_ns = d[i].within,
			.before = d[i].before,
			.type = d[i].function == AGG_MEAN ? TYPE_DOUBLE : TYPE_INT,
			.value_first = (uint16_t)i,
			.value_count = 1,
			.identity = { .low = (uint64_t)i + 1,
				      .high = (uint64_t)d[i].function << 32 | (uint64_t)d[i].field },
		};
	for (int i = 0; i < TYPES; i++)
		b->c->events[i] = (struct cat_event){ .code = (uint16_t)(10 + i),
						      .feeds = (UINT64_C(1) << n) - 1,
						      .reads = (UINT64_C(1) << n) - 1 };
	history_activate(b->h, &b->c->c, b->now, empty);
}

static void bank_open(struct bank *b, const struct definition *d, int n)
{
	*b = (struct bank){ .now = EPOCH };
	assert_int_equal(history_create(&b->h, 64 << 20, 4096, 1000), 0);
	bank_aggregates(b, d, n, true);
}

static void bank_close(struct bank *b)
{
	history_destroy(b->h);
	free(b->c);
}

static struct history_event purchase(const struct bank *b, int64_t amount)
{
	return (struct history_event){ .type = &b->c->events[0],
				       .time = b->now,
				       .now = b->now,
				       .amount = amount,
				       .balance = INT64_MIN,
				       .base = { .type = TYPE_INT, .i = amount },
				       .customer = 7,
				       .account = 8,
				       .currency = 978,
				       .stage = STAGE_POSTED };
}

static enum event_outcome bank_apply(struct bank *b, const struct history_event *e)
{
	const struct cel_env env = { 0 };

	for (int i = 0; i < VALUES; i++)
		b->v.agg[i] = untouched;
	history_apply(b->h, &b->c->c, e, &env, b->v.agg, &b->v.result);
	return b->v.result.outcome;
}

static struct history_event with_ref(struct history_event e, const char *ref, enum event_stage stage,
				     int type)
{
	e.ref = ref;
	e.ref_bytes = (uint32_t)strlen(ref);
	e.stage = stage;
	e.type += type;
	return e;
}

static void a_sum_beyond_int64_is_an_error_and_comes_back(void **state)
{
	static const struct definition sums[] = {
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, MINUTE, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, 0, false, .where = 0 },
		{ AGG_SUM, AGGF_BALANCE, PER_ACCOUNT, MINUTE, false, .where = 0 },
		{ AGG_MEAN, AGGF_AMOUNT, PER_ACCOUNT, MINUTE, false, .where = 0 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, sums, 4);
	struct history_event e = purchase(&b, INT64_MAX);
	e.balance = INT64_MIN + 1;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].status, VALUE_OK);
	assert_true(b.v.agg[0].i == INT64_MAX && b.v.agg[2].i == INT64_MIN + 1);
	e = purchase(&b, 1);
	e.balance = -1;
	bank_apply(&b, &e);
	assert_true(b.v.agg[2].status == VALUE_OK && b.v.agg[2].i == INT64_MIN);
	assert_int_equal(b.v.agg[0].status, VALUE_ERROR);
	assert_int_equal(b.v.agg[0].bytes, VALUE_ERROR_OVERFLOW);
	assert_int_equal(b.v.agg[1].status, VALUE_ERROR);
	e.balance = -1;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[2].status, VALUE_ERROR);
	assert_int_equal(b.v.agg[3].status, VALUE_OK); /* the mean still fits */
	assert_true(b.v.agg[3].d == (double)((__int128)INT64_MAX + 2) / 3.0);
	b.now += MINUTE;
	e = purchase(&b, 5);
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].status == VALUE_OK && b.v.agg[0].i == 5);
	assert_int_equal(b.v.agg[1].status, VALUE_ERROR);
	bank_close(&b);
}

static void base_beyond_int64_is_an_error_of_the_windows_that_have_it(void **state)
{
	static const struct definition d[] = {
		{ AGG_SUM, AGGF_BASE, PER_CUSTOMER, MINUTE, false, .where = 0 },
		{ AGG_MAX, AGGF_BASE, PER_CUSTOMER, MINUTE, false, .where = 0 },
		{ AGG_LAST, AGGF_BASE, PER_CUSTOMER, MINUTE, false, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, MINUTE, false, .where = 0 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 4);
	struct history_event e = purchase(&b, 5);
	e.base = (struct value){ .status = VALUE_ERROR };
	bank_apply(&b, &e);
	for (int i = 0; i < 3; i++)
		assert_true(b.v.agg[i].status == VALUE_ERROR && b.v.agg[i].bytes == VALUE_ERROR_RANGE);
	assert_true(b.v.agg[3].status == VALUE_OK && b.v.agg[3].i == 1);
	b.now += MINUTE;
	e = purchase(&b, 5);
	bank_apply(&b, &e);
	for (int i = 0; i < 3; i++)
		assert_true(b.v.agg[i].status == VALUE_OK && b.v.agg[i].i == 5);
	bank_close(&b);
}

static void a_window_younger_than_its_length_has_no_data(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, MINUTE, false, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, false, .where = 0 },
	};
	struct bank b = { .now = EPOCH };

	(void)state;
	assert_int_equal(history_create(&b.h, 64 << 20, 4096, 1000), 0);
	bank_aggregates(&b, d, 2, false);
	struct history_event e = purchase(&b, 1);
	e.time = b.now - 1; /* older than the window for ever */
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].status, VALUE_NO_DATA);
	assert_true(b.v.agg[1].status == VALUE_OK && b.v.agg[1].i == 0);
	b.now += MINUTE - 1;
	e = purchase(&b, 1);
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].status, VALUE_NO_DATA);
	assert_true(b.v.agg[1].i == 1);
	b.now += 1;
	e = purchase(&b, 1);
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].status == VALUE_OK && b.v.agg[0].i == 2);
	bank_close(&b);
}

static void a_key_that_the_event_does_not_have_gives_no_data(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, MINUTE, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, MINUTE, true, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CARD, 0, false, .where = 0 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 3);
	struct history_event e = purchase(&b, 1);
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].status, VALUE_OK);
	assert_int_equal(b.v.agg[1].status, VALUE_OK);
	assert_int_equal(b.v.agg[2].status, VALUE_NO_DATA);
	e.customer = e.account = 0;
	e.card = "c";
	e.card_bytes = 1;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].status, VALUE_NO_DATA);
	assert_int_equal(b.v.agg[1].status, VALUE_NO_DATA);
	assert_int_equal(b.v.agg[2].i, 1);
	bank_close(&b);
}

/* What each step of a transaction does to count, sum of amount and of base, as a table. */
static void a_purchase_in_several_events_counts_once(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT, DAY, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, DAY, false, .where = 0 },
		{ AGG_SUM, AGGF_BASE, PER_ACCOUNT, DAY, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, 0, false, .where = 0 },
	};
	static const struct {
		const char *ref, *of;
		enum event_stage stage;
		int type;
		int64_t amount;
		enum event_outcome outcome;
		int64_t count, sum, base; /* after it */
	} steps[] = {
		{ "r1", NULL, STAGE_REQUEST, 0, 100, EVENT_DECIDED, 0, 0, 0 },
		{ "r1", NULL, STAGE_REQUEST, 0, 100, EVENT_DUPLICATE_REF, 0, 0, 0 },
		{ "r1", NULL, STAGE_AUTHORISED, 0, 100, EVENT_DECIDED, 1, 100, 300 },
		{ "r1", NULL, STAGE_AUTHORISED, 1, 777, EVENT_DECIDED, 1, 100,
		  300 },							/* another type: nothing */
		{ "r1", NULL, STAGE_POSTED, 0, 90, EVENT_DECIDED, 1, 90, 270 }, /* replaces */
		{ "v1", "r1", STAGE_POSTED, 2, 30, EVENT_DECIDED, 1, 60, 180 }, /* part of it goes */
		{ "v1", "r1", STAGE_POSTED, 2, 30, EVENT_DUPLICATE_REF, 1, 60, 180 },
		{ "r1", NULL, STAGE_RELEASED, 0, 0, EVENT_REVERSAL_UNMATCHED, 1, 60,
		  180 },							   /* no longer a hold */
		{ "r1", NULL, STAGE_POSTED, 3, 130, EVENT_DECIDED, 1, 100, 300 },  /* less the 30 */
		{ "r1", NULL, STAGE_POSTED, 4, 130, EVENT_BAD_BODY, 1, 100, 300 }, /* a seventh part */
		{ NULL, "r1", STAGE_POSTED, 2, 500, EVENT_DECIDED, 0, 0, 0 },	   /* at most what is left */
		{ NULL, "r1", STAGE_POSTED, 2, 1, EVENT_REVERSAL_UNMATCHED, 0, 0, 0 },
		{ "r2", NULL, STAGE_RELEASED, 0, 0, EVENT_REVERSAL_UNMATCHED, 0, 0, 0 },
		{ "r2", NULL, STAGE_AUTHORISED, 0, 40, EVENT_DECIDED, 1, 40, 120 },
		{ "r2", NULL, STAGE_RELEASED, 1, 0, EVENT_DECIDED, 0, 0, 0 },
		{ "r2", NULL, STAGE_RELEASED, 2, 0, EVENT_REVERSAL_UNMATCHED, 0, 0, 0 },
		{ "v2", "r2", STAGE_POSTED, 2, 1, EVENT_REVERSAL_UNMATCHED, 0, 0, 0 },
		{ "r2", NULL, STAGE_POSTED, 0, 35, EVENT_DECIDED, 1, 35, 105 }, /* counts again */
		{ NULL, "r2", STAGE_POSTED, 2, 35, EVENT_DECIDED, 0, 0, 0 },
		{ "r2", NULL, STAGE_POSTED, 1, 35, EVENT_DECIDED, 0, 0, 0 }, /* stays out */
		{ "r3", NULL, STAGE_POSTED, 0, 0, EVENT_DECIDED, 1, 0, 0 },
		{ NULL, "r3", STAGE_POSTED, 2, 0, EVENT_DECIDED, 0, 0, 0 }, /* nothing leaves with nothing */
		{ "r3", NULL, STAGE_POSTED, 1, 0, EVENT_DECIDED, 0, 0, 0 },
		{ "r3", NULL, STAGE_POSTED, 2, 8, EVENT_DECIDED, 1, 8, 24 },
		{ NULL, "r9", STAGE_POSTED, 2, 8, EVENT_REVERSAL_UNMATCHED, 1, 8, 24 },
		{ "", NULL, STAGE_POSTED, 0, 2, EVENT_DECIDED, 2, 10,
		  30 }, /* a reference of no bytes is one */
		{ "", NULL, STAGE_POSTED, 0, 2, EVENT_DUPLICATE_REF, 2, 10, 30 },
		{ NULL, NULL, STAGE_RELEASED, 0, 2, EVENT_REVERSAL_UNMATCHED, 2, 10, 30 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 4);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		b.now += S;
		struct history_event e = purchase(&b, steps[i].amount), look;
		e.base.i = 3 * steps[i].amount;
		e.stage = steps[i].stage;
		e.type += steps[i].type;
		if (steps[i].ref)
			e = with_ref(e, steps[i].ref, steps[i].stage, 0);
		if (steps[i].of) {
			e.reversal = true;
			e.of = steps[i].of;
			e.of_bytes = (uint32_t)strlen(e.of);
		}
		enum event_outcome outcome = bank_apply(&b, &e);
		if (outcome != steps[i].outcome)
			fail_msg("step %zu: outcome %d", i, outcome);
		look = purchase(&b, 0);
		look.stage = STAGE_REQUEST;
		bank_apply(&b, &look);
		if (b.v.agg[0].i != steps[i].count || b.v.agg[1].i != steps[i].sum ||
		    b.v.agg[2].i != steps[i].base || b.v.agg[3].i != steps[i].sum)
			fail_msg("step %zu: count %lld, sum %lld, base %lld, for ever %lld", i,
				 (long long)b.v.agg[0].i, (long long)b.v.agg[1].i, (long long)b.v.agg[2].i,
				 (long long)b.v.agg[3].i);
	}
	bank_close(&b);
}

static void which_rules_run_follows_stage_and_reference(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, MINUTE, false,
						 .where = 0 } };
	static const struct {
		enum event_stage stage;
		bool fraud, counted, staged;
	} rows[] = {
		{ STAGE_REQUEST, true, false, true },
		{ STAGE_AUTHORISED, true, true, true },
		{ STAGE_POSTED, false, false, true },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	for (size_t i = 0; i < 3; i++) {
		struct history_event e = with_ref(purchase(&b, 1), "r", rows[i].stage, 0);
		assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
		assert_true(b.v.result.fraud == rows[i].fraud && b.v.result.counted == rows[i].counted &&
			    b.v.result.staged == rows[i].staged);
	}
	struct history_event e = purchase(&b, 1); /* without a reference posted is its own transaction */
	bank_apply(&b, &e);
	assert_true(b.v.result.fraud && b.v.result.counted && b.v.result.staged);
	e.reversal = true;
	e.of = "r";
	e.of_bytes = 1;
	assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
	assert_false(b.v.result.fraud || b.v.result.counted || b.v.result.staged);
	bank_close(&b);
}

static void lateness_and_the_future_have_sharp_edges(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 3 * HOUR, false,
						 .where = 0 } };
	static const struct {
		int64_t after_now;
		enum event_outcome outcome;
	} rows[] = {
		{ 5 * MINUTE, EVENT_DECIDED },
		{ 5 * MINUTE + 1, EVENT_FROM_THE_FUTURE },
		{ -HOUR, EVENT_DECIDED },
		{ -HOUR - 1, EVENT_TOO_LATE },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	b.now += DAY;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct history_event e = purchase(&b, 1);
		e.time += rows[i].after_now;
		assert_int_equal(bank_apply(&b, &e), rows[i].outcome);
	}
	struct history_event e = purchase(&b, 1);
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 3); /* itself, and the two late ones; not yet the one ahead */
	e = with_ref(purchase(&b, 1), "r", STAGE_REQUEST, 0);
	e.time -= 2 * HOUR; /* no rule runs on it either */
	assert_int_equal(bank_apply(&b, &e), EVENT_TOO_LATE);
	assert_false(b.v.result.fraud || b.v.result.staged);
	e = with_ref(purchase(&b, 1), "r", STAGE_POSTED, 0);
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 4);
	e.time -= 2 * HOUR; /* a late reversal keeps its effect */
	e.ref = NULL;
	e.reversal = true;
	e.of = "r";
	e.of_bytes = 1;
	assert_int_equal(bank_apply(&b, &e), EVENT_TOO_LATE);
	e = with_ref(purchase(&b, 1), "q", STAGE_REQUEST, 0);
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 3);
	bank_close(&b);
}

static void a_longer_lateness_does_not_claim_what_is_gone(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, MINUTE, false,
						 .where = 0 } };
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	b.now += 2 * DAY;
	b.c->c.lateness_ns = DAY;
	history_activate(b.h, &b.c->c, b.now, false);
	struct history_event e = purchase(&b, 1);
	e.time = b.now - HOUR;
	assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
	assert_int_equal(b.v.agg[0].status, VALUE_OK);
	e.time--;
	assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
	assert_int_equal(b.v.agg[0].status, VALUE_NO_DATA);
	bank_close(&b);
}

/* An event of the customer's with that payee; NULL: with none, so that it has no such key. */
static void payee_apply(struct bank *b, const char *payee)
{
	struct value body[BODY_COUNT];
	const struct cel_env env = { .space = { [SPACE_BODY] = body } };
	const struct history_event e = purchase(b, 1);

	for (int i = 0; i < BODY_COUNT; i++)
		body[i] = (struct value){ .type = (uint8_t)b->c->fields[i].type, .status = VALUE_NO_DATA };
	if (payee)
		body[b->c->field_of[BODY_PAYEE]] = text(payee);
	history_apply(b->h, &b->c->c, &e, &env, b->v.agg, &b->v.result);
	assert_int_equal(b->v.result.outcome, EVENT_DECIDED);
}

/* The sweep comes by at everything, or has no time to. */
static void payees_wait(struct bank *b, int64_t ns, bool swept)
{
	b->now += ns;
	for (int i = 0; swept && i < 20000; i++)
		payee_apply(b, NULL);
}

static uint64_t payees_evicted(const struct bank *b)
{
	struct history_sizes sizes;

	history_sizes(b->h, &sizes);
	return sizes.keys_evicted;
}

static const struct definition payees_counted = { AGG_COUNT_OF, AGGF_NONE, PER_PAYEE,
						  MINUTE,	false,	   .where = 0 };

/* A key of which nothing is left is as a new one, be it still there or swept. */
static void fewer_keys_evict_for_an_empty_key_as_for_a_new_one(void **state)
{
	(void)state;
	for (int swept = 0; swept < 2; swept++) {
		struct bank b;
		struct shelf shelf = { 0 };
		bank_open(&b, &payees_counted, 1);
		b.c->keys[PER_PAYEE].keys_max = 4;
		history_activate(b.h, &b.c->c, b.now, false);
		payee_apply(&b, "anna");
		payees_wait(&b, HOUR, false);
		payee_apply(&b, "bert");
		payee_apply(&b, "cleo");
		payee_apply(&b, "dora");
		payees_wait(&b, 2 * MINUTE, swept); /* of anna's nothing is left */
		b.c->keys[PER_PAYEE].keys_max = 2;
		history_activate(b.h, &b.c->c, b.now, false);
		shelf_checkpoint(&shelf, b.h); /* more than two: it loads all the same */
		struct history *loaded = shelf_load(&shelf, 1000);
		assert_digests_equal(b.h, loaded);
		history_destroy(loaded);
		shelf_free(&shelf);
		payee_apply(&b, "anna");
		assert_int_equal(payees_evicted(&b), 2);
		payee_apply(&b, "dora"); /* holds something: stays */
		assert_int_equal(payees_evicted(&b), 2);
		bank_close(&b);
	}
}

/* Its time is over before the reload, and no event came by in between. */
static void a_longer_memory_brings_no_reference_back(void **state)
{
	static const struct definition d = {
		AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT, MINUTE, false, .where = 0
	};

	(void)state;
	for (int over = 0; over < 2; over++) {
		struct bank b;
		bank_open(&b, &d, 1);
		struct history_event e = with_ref(purchase(&b, 1), "r", STAGE_POSTED, 0);
		assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
		b.now += 35 * DAY - !over;
		b.c->c.ref_memory_ns = 70 * DAY;
		history_activate(b.h, &b.c->c, b.now, false);
		e = with_ref(purchase(&b, 1), "r", STAGE_POSTED, 0);
		assert_int_equal(bank_apply(&b, &e), over ? EVENT_DECIDED : EVENT_DUPLICATE_REF);
		bank_close(&b);
	}
}

static void a_longer_lateness_holds_nothing_again(void **state)
{
	(void)state;
	for (int swept = 0; swept < 2; swept++) {
		struct bank b;
		bank_open(&b, &payees_counted, 1);
		payee_apply(&b, "anna");
		payees_wait(&b, 2 * HOUR, swept);
		b.c->c.lateness_ns = DAY;
		history_activate(b.h, &b.c->c, b.now, false);
		payee_apply(&b, "bert");
		payee_apply(&b, "cleo");
		assert_int_equal(payees_evicted(&b), 0);
		payee_apply(&b, "dora");
		assert_int_equal(payees_evicted(&b), 1);
		bank_close(&b);
	}
}

/* decisions 23: the 50,001st entry that is wanted makes the key unknown, until enough have left. */
static void a_key_with_too_many_entries_has_no_data_until_it_shrinks(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT, DAY, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, MINUTE, false, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, S, false, .where = 0 },
		{ AGG_MAX, AGGF_AMOUNT, PER_ACCOUNT, DAY, true, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT, 0, false, .where = 0 },
	};
	struct bank b;
	int64_t first = 0;

	(void)state;
	bank_open(&b, d, 5);
	for (int i = 1; i <= WINDOW_LOG_EVENTS_MAX + 20000; i++) {
		b.now += S;
		if (i == 1)
			first = b.now;
		struct history_event e = purchase(&b, i);
		bank_apply(&b, &e);
		bool full = i > WINDOW_LOG_EVENTS_MAX;
		assert_int_equal(b.v.result.window_full, full ? (i == WINDOW_LOG_EVENTS_MAX + 1 ? 3 : 4) : 0);
		assert_int_equal(b.v.agg[0].status, full ? VALUE_NO_DATA : VALUE_OK);
		assert_int_equal(b.v.agg[2].i, 1); /* another key is not concerned */
		if (!full)
			assert_int_equal(b.v.agg[0].i, i);
	}
	/* the newest one that was pushed out is the 20,000th */
	struct history_sizes sizes;
	history_sizes(b.h, &sizes);
	assert_true(sizes.entries <= WINDOW_LOG_EVENTS_MAX + 8192);
	b.now = first + (20000 - 1) * S + DAY + HOUR - 1;
	struct history_event e = purchase(&b, 1);
	e.stage = STAGE_REQUEST;
	e.time = b.now - HOUR;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].status, VALUE_NO_DATA);
	b.now++;
	e.now++;
	e.time++;
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].status == VALUE_OK && b.v.agg[3].status == VALUE_OK);
	assert_int_equal(b.v.agg[0].i, WINDOW_LOG_EVENTS_MAX);
	assert_int_equal(b.v.agg[3].i, WINDOW_LOG_EVENTS_MAX + 20000);
	assert_int_equal(b.v.agg[4].i, WINDOW_LOG_EVENTS_MAX + 20000); /* for ever: none is missing */
	bank_close(&b);
}

/* A change of an entry that was pushed out cannot be done: for ever is then not known, and says so. */
static void a_lost_entry_that_changes_breaks_windows_for_ever_only(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_ACCOUNT, HOUR, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, 0, false, .where = 0 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 2);
	struct history_event e = with_ref(purchase(&b, 1000), "r", STAGE_POSTED, 0);
	bank_apply(&b, &e);
	for (int i = 0; i < WINDOW_LOG_EVENTS_MAX; i++) {
		e = purchase(&b, 1);
		bank_apply(&b, &e);
	}
	assert_int_equal(b.v.agg[1].status, VALUE_NO_DATA);
	b.now += 3 * HOUR;
	e = purchase(&b, 1);
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].status == VALUE_OK && b.v.agg[0].i == 1);
	assert_true(b.v.agg[1].status == VALUE_OK && b.v.agg[1].i == 1000 + WINDOW_LOG_EVENTS_MAX + 1);
	e.reversal = true;
	e.amount = 10;
	e.of = "r";
	e.of_bytes = 1;
	assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
	assert_true(b.v.agg[0].status == VALUE_OK && b.v.agg[0].i == 1);
	assert_int_equal(b.v.agg[1].status, VALUE_NO_DATA);
	assert_int_equal(b.v.result.window_full, 1);
	b.c->aggregates[1].identity.low = 99; /* another aggregate in the same place is not concerned */
	history_activate(b.h, &b.c->c, b.now, false);
	e = purchase(&b, 3);
	bank_apply(&b, &e);
	assert_true(b.v.agg[1].status == VALUE_OK && b.v.agg[1].i == 3);
	bank_close(&b);
}

static void references_are_forgotten_by_age_and_by_number(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false,
						 .where = 0 } };
	struct bank b;
	struct history_sizes sizes;

	(void)state;
	bank_open(&b, d, 1);
	b.c->c.refs_max = 3;
	const char *names[] = { "a", "b", "c", "d" };
	for (int i = 0; i < 4; i++) {
		struct history_event e = with_ref(purchase(&b, 1), names[i], STAGE_POSTED, 0);
		assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
	}
	history_sizes(b.h, &sizes);
	assert_true(sizes.refs == 3 && sizes.refs_evicted == 1);
	struct history_event e = with_ref(purchase(&b, 1), "b", STAGE_POSTED, 0);
	assert_int_equal(bank_apply(&b, &e), EVENT_DUPLICATE_REF);
	b.now += 35 * DAY - 1;
	e.time = e.now = b.now;
	assert_int_equal(bank_apply(&b, &e), EVENT_DUPLICATE_REF);
	e.time = ++e.now;
	assert_int_equal(bank_apply(&b, &e), EVENT_DECIDED);
	history_sizes(b.h, &sizes);
	assert_true(sizes.refs == 1 && sizes.refs_evicted == 1); /* age is no eviction */
	bank_close(&b);
}

static void provisional_customers_are_forgotten_after_seven_quiet_days(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, false,
						 .where = 0 } };
	struct bank b;
	struct history_sizes sizes;

	(void)state;
	bank_open(&b, d, 1);
	struct history_event e = purchase(&b, 1), other = e;
	e.provisional = other.provisional = true;
	other.customer = 9;
	bank_apply(&b, &e);
	bank_apply(&b, &other);
	history_customer_known(b.h, 9, b.now);
	b.now += 7 * DAY;
	e.time = e.now = b.now;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 2);
	b.now += 7 * DAY + 1;
	e.time = e.now = other.time = other.now = b.now;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 1);
	other.provisional = false;
	bank_apply(&b, &other);
	assert_int_equal(b.v.agg[0].i, 2);
	history_sizes(b.h, &sizes);
	assert_int_equal(sizes.provisional_forgotten, 1);
	bank_close(&b);
}

static void an_event_of_a_known_customer_ends_their_being_provisional(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, false,
						 .where = 0 } };
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	struct history_event e = purchase(&b, 1);
	e.provisional = true;
	bank_apply(&b, &e);
	e.provisional = false;
	bank_apply(&b, &e);
	b.now += 8 * DAY;
	e.time = e.now = b.now;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 3);
	bank_close(&b);
}

static void what_has_no_effect_keeps_no_provisional_customer(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, false,
						 .where = 0 } };
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	struct history_event e = with_ref(purchase(&b, 1), "r", STAGE_POSTED, 0);
	e.provisional = true;
	bank_apply(&b, &e);
	b.now += 6 * DAY;
	e.time = e.now = b.now;
	assert_int_equal(bank_apply(&b, &e), EVENT_DUPLICATE_REF);
	b.now += DAY + 1;
	e = purchase(&b, 1);
	e.provisional = true;
	bank_apply(&b, &e);
	assert_int_equal(b.v.agg[0].i, 1);
	bank_close(&b);
}

static void provisional_customers_keep_their_order_in_a_checkpoint(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, 0, false,
						 .where = 0 } };
	struct shelf s = { 0 };
	struct history_sizes sizes;
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	for (uint64_t i = 0; i < 40; i++) {
		struct history_event e = purchase(&b, 1);
		e.customer = 1 + i * 7 % 20; /* twenty customers, each touched twice */
		e.provisional = true;
		bank_apply(&b, &e);
		b.now += HOUR;
	}
	shelf_checkpoint(&s, b.h);
	struct history *loaded = shelf_load(&s, 1000);
	history_destroy(b.h);
	b.h = loaded;
	history_activate(b.h, &b.c->c, b.now, false);
	b.now = EPOCH + 25 * HOUR + 7 * DAY; /* five were last seen before the 25th hour */
	history_customer_known(b.h, 999, b.now);
	history_sizes(b.h, &sizes);
	assert_true(sizes.provisional_forgotten == 5 && sizes.cells == 15);
	shelf_free(&s);
	bank_close(&b);
}

/* The worst that 256 events can do: each a new key, or each the growth of a full log. */
static void memory_runs_out_between_batches_never_inside_one(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false, .where = 0 },
		{ AGG_MAX, AGGF_AMOUNT, PER_ACCOUNT, 0, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, DAY, false, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CARD, DAY, false, .where = 0 },
	};
	static const struct {
		uint64_t bytes, cells;
		uint32_t keys;
	} rows[] = { { 4 << 20, 1 << 20, 1 << 30 },
		     { 64 << 20, 3000, 1 << 30 },
		     { 8 << 20, 1 << 20, 700 },
		     { 8 << 20, 1 << 20, 3 } };

	(void)state;
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		struct bank b = { .now = EPOCH };
		assert_int_equal(history_create(&b.h, rows[row].bytes, rows[row].cells, 1000), 0);
		bank_aggregates(&b, d, 4, true);
		uint64_t n = 0;
		struct history_sizes sizes;
		while (history_has_room(b.h, BATCH_ENTRIES_MAX) && n < 60000) {
			for (int i = 0; i < BATCH_ENTRIES_MAX; i++, n++) {
				char card[24];
				struct history_event e = purchase(&b, (int64_t)n);
				e.customer = 1 + n % rows[row].keys;
				e.account = e.customer;
				e.card = card;
				e.card_bytes = (uint32_t)snprintf(card, sizeof card, "%llu",
								  (unsigned long long)e.customer);
				bank_apply(&b, &e);
			}
		}
		history_sizes(b.h, &sizes);
		assert_true(n > 500 && (n < 60000 || rows[row].keys < 1000));
		assert_true(sizes.windows_bytes <= sizes.windows_bytes_max);
		bank_close(&b);
	}
}

/* With time, what nobody wants goes: memory does not only grow. */
static void settled_cells_give_their_memory_back(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, MINUTE, false,
						 .where = 0 } };
	struct bank b;
	struct history_sizes sizes;

	(void)state;
	bank_open(&b, d, 1);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 1000; i++) {
			struct history_event e = purchase(&b, 1);
			e.customer = (uint64_t)(round * 1000 + i + 1);
			bank_apply(&b, &e);
			b.now += S;
		}
		assert_true(history_has_room(b.h, BATCH_ENTRIES_MAX));
		b.now += 2 * HOUR;
	}
	history_sizes(b.h, &sizes);
	assert_true(sizes.cells < 3000);
	assert_true(sizes.windows_bytes < 3000 * 256);
	bank_close(&b);
}

static void a_reload_keeps_what_is_unchanged_and_starts_the_rest(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_CUSTOMER, 0, false, .where = 0 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 2);
	struct history_event e = purchase(&b, 10);
	bank_apply(&b, &e);
	struct test_catalogue *old = b.c;
	b.c->aggregates[1].identity.low = 99; /* its definition changed: another aggregate */
	history_activate(b.h, &b.c->c, b.now, false);
	e.time = e.now = ++b.now;
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].i == 2 && b.v.agg[1].i == 10);
	b.c->aggregates[1].identity.low = 2; /* back again: it starts anew too */
	history_activate(b.h, &b.c->c, b.now, false);
	e.time = e.now = ++b.now;
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].i == 3 && b.v.agg[1].i == 10);
	assert_ptr_equal(old, b.c);
	bank_close(&b);
}

static void two_names_of_one_definition_share_their_state(void **state)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false, .where = 0 },
	};
	struct bank b;

	(void)state;
	bank_open(&b, d, 2);
	b.c->aggregates[1].identity = b.c->aggregates[0].identity;
	history_activate(b.h, &b.c->c, b.now, false);
	struct history_event e = purchase(&b, 10);
	bank_apply(&b, &e);
	assert_true(b.v.agg[0].i == 1 && b.v.agg[1].i == 1);
	bank_close(&b);
}

/* What is settled leaves memory without a change; a store that still has it gives the same state. */
static void settling_shows_in_no_digest(void **state)
{
	static const struct definition d[] = {
		{ AGG_MAX, AGGF_AMOUNT, PER_CUSTOMER, 0, false, .where = 0 },
		{ AGG_LAST, AGGF_AMOUNT, PER_CUSTOMER, 0, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_CUSTOMER, MINUTE, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, MINUTE, false, .where = 0 },
	};
	struct shelf s = { 0 };
	struct history_sizes before, after;
	struct bank b;

	(void)state;
	bank_open(&b, d, 4);
	b.c->c.refs_max = 1;
	for (int i = 0; i < 5; i++) {
		struct history_event e = purchase(&b, 100 - i);
		e.time -= i;
		bank_apply(&b, &e);
	}
	struct history_event e = with_ref(purchase(&b, 500), "a", STAGE_POSTED, 0);
	bank_apply(&b, &e);
	shelf_checkpoint(&s, b.h);
	history_sizes(b.h, &before);
	b.now += 3 * HOUR;
	for (int i = 0; i < 8; i++) { /* others, while the sweep comes by */
		for (int k = 0; k < 400; k++) {
			e = purchase(&b, 1);
			e.customer = e.account = 77;
			if (i == 5 && k == 0)
				e = with_ref(e, "b", STAGE_POSTED, 0); /* and "a" is forgotten for it */
			bank_apply(&b, &e);
		}
		shelf_checkpoint(&s, b.h);
		struct history *loaded = shelf_load(&s, 1000);
		assert_digests_equal(b.h, loaded);
		history_destroy(loaded);
	}
	history_sizes(b.h, &after);
	assert_true(before.entries == 12 && after.entries == 6400 && after.cells == 3);
	shelf_free(&s);
	bank_close(&b);
}

/* ---- records that make no sense ---- */

static bool shelf_loads(const struct shelf *s, const struct stored *changed, const struct stored *instead)
{
	struct history *h;
	bool good = true;

	assert_int_equal(history_create(&h, 64 << 20, 4096, 1000), 0);
	for (int meta = 1; meta >= 0; meta--)
		for (size_t k = 0; k < s->count && good; k++) {
			const struct stored *row = &s->rows[k] == changed ? instead : &s->rows[k];
			if ((row->space == RECORD_META) == (meta == 1))
				good = history_load(h, row->space, row->key, row->key_bytes, row->value,
						    row->value_bytes);
		}
	good = good && history_loaded(h);
	history_destroy(h);
	return good;
}

static void shelf_fill(struct shelf *s)
{
	static const struct definition d[] = {
		{ AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false, .where = 0 },
		{ AGG_LAST, AGGF_AMOUNT, PER_CUSTOMER, 0, false, .where = 0 },
		{ AGG_SUM, AGGF_AMOUNT, PER_ACCOUNT, 0, false, .where = 0 },
		{ AGG_COUNT_OF, AGGF_NONE, PER_CARD, DAY, false, .where = 0 },
	};
	struct bank b;

	bank_open(&b, d, 4);
	for (int i = 0; i < 6; i++) {
		char ref[16];
		b.now += i == 3 ? 2 * HOUR : S;
		snprintf(ref, sizeof ref, "r%d", i);
		struct history_event e = with_ref(purchase(&b, i), ref, STAGE_POSTED, 0);
		e.card = "card";
		e.card_bytes = 4;
		e.provisional = true;
		if (i % 2) {
			e.ref = NULL;
			e.time -= i == 5 ? 3 * HOUR : S; /* the last one is settled at once where it can be */
		}
		bank_apply(&b, &e);
	}
	shelf_checkpoint(s, b.h);
	bank_close(&b);
}

static void truncated_records_are_refused_at_each_byte(void **state)
{
	struct shelf s = { 0 };
	size_t tried = 0;

	(void)state;
	shelf_fill(&s);
	assert_true(shelf_loads(&s, NULL, NULL));
	for (size_t k = 0; k < s.count; k++) {
		struct stored cut = s.rows[k];
		for (cut.value_bytes = 0; cut.value_bytes < s.rows[k].value_bytes; cut.value_bytes++, tried++)
			assert_false(shelf_loads(&s, &s.rows[k], &cut));
		cut.value_bytes = s.rows[k].value_bytes + 1; /* one too many */
		assert_false(shelf_loads(&s, &s.rows[k], &cut));
		cut = s.rows[k];
		cut.key_bytes--;
		assert_false(shelf_loads(&s, &s.rows[k], &cut));
	}
	assert_true(tried > 3000 && s.count == 7);
	shelf_free(&s);
}

static void missing_and_repeated_records_are_refused(void **state)
{
	struct shelf s = { 0 }, less = { 0 };

	(void)state;
	shelf_fill(&s);
	for (size_t k = 0; k < s.count; k++) {
		if (s.rows[k].space == RECORD_CELL)
			continue; /* a key without windows is no contradiction */
		less = s;
		less.rows = malloc(s.count * sizeof *s.rows);
		assert_non_null(less.rows);
		memcpy(less.rows, s.rows, s.count * sizeof *s.rows);
		less.rows[k] = less.rows[--less.count];
		assert_false(shelf_loads(&less, NULL, NULL));
		free(less.rows);
	}
	for (size_t k = 0; k < s.count; k++)
		for (size_t other = 0; other < s.count; other++)
			if (other != k)
				assert_false(shelf_loads(&s, &s.rows[k], &s.rows[other]));
	shelf_free(&s);
}

static const struct stored *shelf_first(const struct shelf *s, enum record_space space, int per)
{
	for (size_t k = 0; k < s->count; k++)
		if (s->rows[k].space == space && (space != RECORD_CELL || s->rows[k].key[0] == per))
			return &s->rows[k];
	fail();
	return NULL;
}

/* One field each, set to what no engine ever wrote. Offsets are those of the structs' asserts. */
static void impossible_fields_are_refused(void **state)
{
	enum { CELL = RECORD_CELL, REF = RECORD_REF, META = RECORD_META, HEAD = 80, FOLD = 24 };
	enum { SLOTS = 88, KEYS = SLOTS + 64 * 40, META_VALUES = KEYS + 16 * 24 };
	static const struct {
		const char *what;
		int space, per;
		uint32_t at, bytes;
		uint64_t value;
	} rows[] = {
		{ "more entries than bytes", CELL, PER_CARD, 0, 4, 7 },
		{ "more folds than bytes", CELL, PER_CARD, 4, 2, 8 },
		{ "folds of another layout", CELL, PER_ACCOUNT, 4, 2, 0 },
		{ "entries of another layout", CELL, PER_CARD, 6, 2, 32 },
		{ "provisional card", CELL, PER_CARD, 8, 1, 1 },
		{ "provisional 2", CELL, PER_CUSTOMER, 8, 1, 2 },
		{ "bounded though it is not", CELL, PER_CUSTOMER, 9, 1, 1 },
		{ "reserved", CELL, PER_CUSTOMER, 10, 1, 1 },
		{ "broken, of no slot", CELL, PER_CUSTOMER, 32, 8, UINT64_C(1) << 40 },
		{ "touched though known", CELL, PER_CARD, 40, 8, 5 },
		{ "touched ahead of now", CELL, PER_CUSTOMER, 40, 8, INT64_MAX },
		{ "gone though unbounded", CELL, PER_CUSTOMER, 48, 8, 5 },
		{ "used though unbounded", CELL, PER_CUSTOMER, 56, 8, 5 },
		{ "an owner though unbounded", CELL, PER_CUSTOMER, 64, 8, 5 },
		{ "fold with more than there were", CELL, PER_ACCOUNT, HEAD, 8, 7 },
		{ "total with less than its log", CELL, PER_ACCOUNT, HEAD, 1, 0 },
		{ "fold with too large a sum", CELL, PER_ACCOUNT, HEAD + 16, 8, UINT64_C(1) << 62 },
		{ "last of a later order", CELL, PER_CUSTOMER, HEAD + 8, 8, 7 << 8 },
		{ "last with flags of no fold", CELL, PER_CUSTOMER, HEAD + 8, 1, 2 },
		{ "time 0", CELL, PER_CARD, HEAD, 8, 0 },
		{ "times out of order", CELL, PER_CARD, HEAD, 8, INT64_MAX },
		{ "order 0", CELL, PER_CARD, HEAD + 8, 8, 0 },
		{ "order ahead of all", CELL, PER_CARD, HEAD + 8, 8, 7 << 8 },
		{ "feeds nothing", CELL, PER_CARD, HEAD + 16, 8, 0 },
		{ "feeds another key's slot", CELL, PER_CARD, HEAD + 16, 8, 9 },
		{ "amount below zero", CELL, PER_CUSTOMER, HEAD + FOLD + 24, 8, UINT64_MAX },
		{ "entry flags", CELL, PER_CARD, HEAD + 8, 1, 16 },
		{ "ref number 0", REF, 0, 16, 8, 0 },
		{ "ref number with a gap", REF, 0, 16, 8, 900 },
		{ "ref first order ahead", REF, 0, 24, 8, 100 },
		{ "ref seen out of order", REF, 0, 32, 8, INT64_MAX },
		{ "ref time 0", REF, 0, 40, 8, 0 },
		{ "ref order ahead", REF, 0, 48, 8, 100 },
		{ "ref amount", REF, 0, 88, 8, UINT64_MAX },
		{ "ref reversed", REF, 0, 104, 8, UINT64_MAX },
		{ "ref flags", REF, 0, 114, 1, 16 },
		{ "ref not counted, with an order", REF, 0, 114, 1, 0 },
		{ "ref base status", REF, 0, 115, 1, 3 },
		{ "ref zero", REF, 0, 116, 1, 1 },
		{ "ref without parts", REF, 0, 117, 1, 0 },
		{ "ref with seven parts", REF, 0, 117, 1, 7 },
		{ "ref part of no stage", REF, 0, 118, 1, 5 },
		{ "ref part beyond the count", REF, 0, 119, 1, 1 },
		{ "ref card", REF, 0, 136, 1, 2 },
		{ "ref memory", REF, 0, 137, 1, 1 },
		{ "ref with a key that is not there", REF, 0, 138, 1, 8 },
		{ "ref reserved", REF, 0, 140, 1, 1 },
		{ "meta version", META, 0, 0, 4, 2 },
		{ "meta bytes", META, 0, 4, 4, 1 },
		{ "meta order", META, 0, 8, 8, 1 },
		{ "meta first reference", META, 0, 16, 8, 2 },
		{ "meta next reference", META, 0, 24, 8, 1 },
		{ "meta now", META, 0, 48, 8, UINT64_MAX },
		{ "meta lateness", META, 0, 64, 8, UINT64_MAX },
		{ "meta values", META, 0, 80, 8, 300 },
		{ "slot within", META, 0, SLOTS + 16, 8, UINT64_MAX },
		{ "slot function", META, 0, SLOTS + 32, 1, AGG_FUNCTION_COUNT },
		{ "slot calendar", META, 0, SLOTS + 33, 1, CALENDAR_MONTH + 1 },
		{ "slot with a length and a calendar", META, 0, SLOTS + 33, 1, CALENDAR_DAY },
		{ "slot of no kind of key", META, 0, SLOTS + 34, 1, PER_COUNT },
		{ "slot per", META, 0, SLOTS + 34, 1, KEYS_MAX },
		{ "slot used", META, 0, SLOTS + 35, 1, 2 },
		{ "slot type", META, 0, SLOTS + 36, 1, TYPE_COUNT },
		{ "slot without a value", META, 0, SLOTS + 37, 1, 0 },
		{ "count of two values", META, 0, SLOTS + 37, 1, 2 },
		{ "values beyond the last", META, 0, SLOTS + 38, 2, 4 },
		{ "distinct for ever", META, 0, SLOTS + 40 + 32, 1, AGG_DISTINCT },
		{ "a step with a value", META, 0, SLOTS + 32, 1, AGG_STEP },
		{ "an unused slot with something", META, 0, SLOTS + 40 * 63, 1, 1 },
		{ "customer as no key", META, 0, KEYS + 20, 1, 0 },
		{ "customer bounded", META, 0, KEYS + 16, 4, 5 },
		{ "an unused key with a limit", META, 0, KEYS + 24 * 12 + 16, 4, 5 },
		{ "key reserved", META, 0, KEYS + 21, 1, 1 },
		{ "count of a field", META, 0, META_VALUES + 16, 1, AGGF_AMOUNT },
		{ "sum of no field", META, 0, META_VALUES + 24 * 2 + 16, 1, AGGF_NONE },
		{ "sum of a string", META, 0, META_VALUES + 24 * 2 + 16, 2, AGGF_BODY | TYPE_STRING << 8 },
		{ "value of no field", META, 0, META_VALUES + 24 + 16, 1, AGGF_COUNT },
		{ "value of no type", META, 0, META_VALUES + 24 + 17, 1, TYPE_COUNT },
		{ "value reserved", META, 0, META_VALUES + 18, 1, 1 },
	};
	struct shelf s = { 0 };

	(void)state;
	shelf_fill(&s);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct stored *row = shelf_first(&s, (enum record_space)rows[i].space, rows[i].per);
		struct stored changed = *row;
		changed.value = malloc(row->value_bytes);
		assert_non_null(changed.value);
		memcpy(changed.value, row->value, row->value_bytes);
		assert_true(rows[i].at + rows[i].bytes <= row->value_bytes);
		memcpy(changed.value + rows[i].at, &rows[i].value, rows[i].bytes);
		if (shelf_loads(&s, row, &changed))
			fail_msg("loaded: %s", rows[i].what);
		free(changed.value);
	}
	struct stored key = *shelf_first(&s, RECORD_CELL, PER_CARD);
	key.key[0] = PER_COUNT;
	assert_false(shelf_loads(&s, shelf_first(&s, RECORD_CELL, PER_CARD), &key));
	key.key[0] = PER_CARD;
	key.key[5] = 1;
	assert_false(shelf_loads(&s, shelf_first(&s, RECORD_CELL, PER_CARD), &key));
	shelf_free(&s);
}

static void records_that_do_not_fit_are_refused(void **state)
{
	struct shelf s = { 0 };
	struct history *h;

	(void)state;
	shelf_fill(&s);
	for (int row = 0; row < 2; row++) { /* too few cells, too few bytes */
		int loaded = 0;
		assert_int_equal(history_create(&h, row ? 600 : 64 << 20, row ? 4096 : 2, 1000), 0);
		for (int meta = 1; meta >= 0; meta--)
			for (size_t k = 0; k < s.count; k++)
				if ((s.rows[k].space == RECORD_META) == (meta == 1) &&
				    s.rows[k].space != RECORD_REF)
					loaded += history_load(h, s.rows[k].space, s.rows[k].key,
							       s.rows[k].key_bytes, s.rows[k].value,
							       s.rows[k].value_bytes);
		assert_int_equal(loaded, row ? 1 : 3);
		history_destroy(h);
	}
	shelf_free(&s);
}

/* A checkpoint that did not fit is void: the next one still has every change. */
static void a_full_checkpoint_loses_no_change(void **state)
{
	static const struct definition d[] = { { AGG_COUNT_OF, AGGF_NONE, PER_CUSTOMER, DAY, false,
						 .where = 0 } };
	struct shelf s = { 0 };
	struct records small;
	struct bank b;

	(void)state;
	bank_open(&b, d, 1);
	for (int i = 0; i < 200; i++) {
		char ref[16];
		snprintf(ref, sizeof ref, "r%d", i);
		struct history_event e = with_ref(purchase(&b, 1), ref, STAGE_POSTED, 0);
		e.customer = (uint64_t)i + 1;
		bank_apply(&b, &e);
	}
	for (size_t bytes = 4096; bytes <= 40960; bytes += 12288) {
		assert_int_equal(records_init(&small, bytes), 0);
		history_checkpoint(b.h, &small);
		assert_true(small.full);
		records_deinit(&small);
	}
	shelf_checkpoint(&s, b.h);
	struct history *loaded = shelf_load(&s, 1000);
	assert_digests_equal(b.h, loaded);
	history_destroy(loaded);
	shelf_checkpoint(&s, b.h); /* nothing changed: META only, and still the same */
	loaded = shelf_load(&s, 1000);
	assert_digests_equal(b.h, loaded);
	history_destroy(loaded);
	shelf_free(&s);
	bank_close(&b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_beyond_int64_is_an_error_and_comes_back),
		cmocka_unit_test(base_beyond_int64_is_an_error_of_the_windows_that_have_it),
		cmocka_unit_test(a_window_younger_than_its_length_has_no_data),
		cmocka_unit_test(a_key_that_the_event_does_not_have_gives_no_data),
		cmocka_unit_test(a_purchase_in_several_events_counts_once),
		cmocka_unit_test(which_rules_run_follows_stage_and_reference),
		cmocka_unit_test(lateness_and_the_future_have_sharp_edges),
		cmocka_unit_test(a_longer_lateness_does_not_claim_what_is_gone),
		cmocka_unit_test(a_longer_lateness_holds_nothing_again),
		cmocka_unit_test(a_longer_memory_brings_no_reference_back),
		cmocka_unit_test(fewer_keys_evict_for_an_empty_key_as_for_a_new_one),
		cmocka_unit_test(a_key_with_too_many_entries_has_no_data_until_it_shrinks),
		cmocka_unit_test(a_lost_entry_that_changes_breaks_windows_for_ever_only),
		cmocka_unit_test(references_are_forgotten_by_age_and_by_number),
		cmocka_unit_test(provisional_customers_are_forgotten_after_seven_quiet_days),
		cmocka_unit_test(an_event_of_a_known_customer_ends_their_being_provisional),
		cmocka_unit_test(what_has_no_effect_keeps_no_provisional_customer),
		cmocka_unit_test(provisional_customers_keep_their_order_in_a_checkpoint),
		cmocka_unit_test(settling_shows_in_no_digest),
		cmocka_unit_test(memory_runs_out_between_batches_never_inside_one),
		cmocka_unit_test(settled_cells_give_their_memory_back),
		cmocka_unit_test(a_reload_keeps_what_is_unchanged_and_starts_the_rest),
		cmocka_unit_test(two_names_of_one_definition_share_their_state),
		cmocka_unit_test(truncated_records_are_refused_at_each_byte),
		cmocka_unit_test(missing_and_repeated_records_are_refused),
		cmocka_unit_test(impossible_fields_are_refused),
		cmocka_unit_test(records_that_do_not_fit_are_refused),
		cmocka_unit_test(a_full_checkpoint_loses_no_change),
		cmocka_unit_test(history_gives_what_the_slow_twin_gives),
	};
	const char *seed = argc > 1 ? argv[1] : getenv("MOMENT_SEED");

	if (seed)
		seed_given = strtoull(seed, NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
