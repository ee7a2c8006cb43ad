/*
 * aggregates.c: the section `aggregates`: what is remembered of past events, per customer, account, card.
 *
 * Entries in, cat_aggregate out, with the types that feed each (cat_event.feeds). The unit of a result
 * follows SEMANTICS 2: amounts of one account are in its currency; of a customer they may not be, so
 * `mixed: true` says that the author knows, or `base` is asked for. The identity is a hash over the
 * definition in one canonical spelling, codes of types instead of names: state outlives a rename.
 */
#define XXH_INLINE_ALL
#include "compile.h"

#include <string.h>
#include <xxhash.h>

static const char *const function_names[AGG_FUNCTION_COUNT] = { NULL,  "count", "sum", "mean",
								"min", "max",	"last" };
static const char *const per_names[PER_COUNT] = { "customer", "account", "card" };
static const char *const field_names[AGGF_COUNT] = {
	NULL, "amount", "base", "balance", "time", "country", "mcc", "currency", "touchpoint", "customer"
};

/* Finds the one function that is named; problems for none and for two. */
static const struct node *take_function(struct build *b, const struct entry *entry, struct cat_aggregate *a)
{
	const struct node *argument = NULL;

	for (int f = AGG_COUNT_OF; f <= AGG_LAST; f++) {
		const struct node *n = yaml_get(entry->value, function_names[f]);
		if (!n)
			continue;
		if (argument) {
			build_problem(b, n, "found '%s' besides '%s', expected one function",
				      function_names[f], function_names[a->function]);
			continue;
		}
		argument = n;
		a->function = (enum agg_function)f;
	}
	if (!argument && !yaml_get(entry->value, "deviation") && !yaml_get(entry->value, "distinct"))
		build_problem(b, entry->key,
			      "missing key in an aggregate: one of count, sum, mean, min, max, last");
	return argument;
}

static bool take_field(struct build *b, const struct node *n, struct cat_aggregate *a)
{
	size_t first = AGGF_AMOUNT, count = a->function == AGG_LAST ? AGGF_BODY - 1 : 3;
	int choice;

	if (n->kind != NODE_SCALAR) {
		if (a->function == AGG_LAST && n->kind == NODE_LIST)
			build_problem(b, n,
				      "not yet: 'last' of several fields is not built; write one field: "
				      "last: time");
		return false;
	}
	if (n->bytes == 0)
		return false;
	choice = scalar_choice(b, n, &field_names[first], count);
	if (choice < 0)
		return false;
	a->field = (enum agg_field)(choice + AGGF_AMOUNT);
	return true;
}

static bool take_count(struct build *b, const struct node *n)
{
	bool on;

	if (n->kind != NODE_SCALAR || !n->bytes || !scalar_bool(b, n, &on))
		return false;
	if (!on)
		build_problem(b, n, "found 'false', expected count: true");
	return on;
}

static void take_per(struct build *b, const struct node *n, struct cat_aggregate *a)
{
	int choice;

	if (n->kind == NODE_LIST) {
		build_problem(b, n, "not yet: 'per' with several keys is not built");
		return;
	}
	if (yaml_text_is(n, "currency") || (n->kind == NODE_SCALAR && strncmp(n->text, "body.", 5) == 0)) {
		build_problem(b, n, "not yet: 'per: %.64s' is not built", n->text);
		return;
	}
	choice = scalar_choice(b, n, per_names, PER_COUNT);
	if (choice >= 0)
		a->per = (enum agg_per)choice;
}

/* The result's type and unit; asks for base where currencies could be mixed. */
static void set_result(struct build *b, const struct entry *entry, struct cat_aggregate *a, bool mixed)
{
	bool own = a->field == AGGF_AMOUNT || a->field == AGGF_BALANCE;

	a->type = a->function == AGG_MEAN ? TYPE_DOUBLE : a->field == AGGF_TIME ? TYPE_TIMESTAMP : TYPE_INT;
	if (mixed && !own)
		build_problem(b, yaml_get(entry->value, "mixed"),
			      "found 'mixed' with no amount in the event's currency");
	if (own && !mixed && a->per != PER_ACCOUNT)
		build_problem(b, yaml_get(entry->value, function_names[a->function]),
			      "found '%s: %s' per %s, where currencies can differ; expected '%s: base', or "
			      "per: account, or mixed: true",
			      function_names[a->function], field_names[a->field], per_names[a->per],
			      function_names[a->function]);
	if (a->function == AGG_MEAN)
		a->unit = UNIT_NONE;
	else if (a->field == AGGF_BASE)
		a->unit = UNIT_BASE;
	else if (own && !mixed)
		a->unit = UNIT_EVENT;
}

static void set_identity(struct build *b, const struct event_set *over, struct cat_aggregate *a, bool mixed,
			 const struct node *where)
{
	XXH3_state_t state;
	char text[160];

	XXH3_128bits_reset(&state);
	snprintf(text, sizeof text,
		 "v1;%s;%s;per=%s;within=%lld;before=%d;mixed=%d;bank=%u;over=", function_names[a->function],
		 a->field ? field_names[a->field] : "", per_names[a->per], (long long)a->within_ns, a->before,
		 mixed, a->field == AGGF_BASE ? b->c->rates.bank : 0);
	XXH3_128bits_update(&state, text, strlen(text));
	for (int code = 1; code < INTEREST_TYPES; code++) {
		int16_t event = b->c->event_by_code[code];
		if (event < 0 || !event_set_has(over, (unsigned)event))
			continue;
		snprintf(text, sizeof text, "%d,", code);
		XXH3_128bits_update(&state, text, strlen(text));
	}
	XXH3_128bits_update(&state, ";where=", 7);
	if (where)
		XXH3_128bits_update(&state, where->text, where->bytes);
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	a->identity = (struct hash128){ .low = hash.low64, .high = hash.high64 };
}

static void take_where(struct build *b, const struct node *n, const struct event_set *over,
		       struct cat_aggregate *a)
{
	struct scope scope = { .b = b, .kind = SCOPE_WHERE, .events = over };

	if (n->kind != NODE_SCALAR || n->bytes == 0)
		return;
	if (scalar_expression(b, n))
		a->has_where = expression_compile(b, &scope, n, 0, n->bytes, TYPE_BOOL, &a->where);
}

static void aggregate_compile(struct build *b, uint32_t number)
{
	const struct entry *entry = &b->sections[IN_AGGREGATES].entries[number];
	struct cat_aggregate *a = &b->aggregate[number];
	struct event_set over = { 0 };
	const struct node *n, *argument, *where;
	size_t before = b->problems->count;
	bool mixed = false, good;

	a->name = entry->name;
	b->aggregate_broken[number] = true;
	map_check(b, entry->key, entry->value, MAP_AGGREGATE);
	if (entry->value->kind != NODE_MAP)
		return;
	argument = take_function(b, entry, a);
	good = argument &&
	       (a->function == AGG_COUNT_OF ? take_count(b, argument) : take_field(b, argument, a));
	if ((n = yaml_get(entry->value, "over")))
		events_resolve(b, n, "over", &over);
	if ((n = yaml_get(entry->value, "per")))
		take_per(b, n, a);
	if ((n = yaml_get(entry->value, "within")) && n->kind == NODE_SCALAR && n->bytes)
		scalar_duration(b, n, &a->within_ns);
	if ((n = yaml_get(entry->value, "before")) && n->kind == NODE_SCALAR && n->bytes)
		scalar_bool(b, n, &a->before);
	if ((n = yaml_get(entry->value, "mixed")) && n->kind == NODE_SCALAR && n->bytes)
		scalar_bool(b, n, &mixed);
	if ((where = yaml_get(entry->value, "where")))
		take_where(b, where, &over, a);
	if (good)
		set_result(b, entry, a, mixed);
	if (good && b->problems->count == before) {
		set_identity(b, &over, a, mixed, where);
		b->aggregate_broken[number] = false;
	}
	for (unsigned e = 0; e < b->c->event_count; e++)
		if (event_set_has(&over, e))
			b->event[e].feeds |= UINT64_C(1) << number;
}

/* The keys that every catalogue has. */
static void keys_compile(struct build *b)
{
	struct cat_key *keys = build_array(b, struct cat_key, PER_COUNT);

	for (unsigned i = 0; i < PER_COUNT; i++) {
		XXH128_hash_t hash = XXH3_128bits(per_names[i], strlen(per_names[i]));
		keys[i] = (struct cat_key){ .name = per_names[i],
					    .part_count = 1,
					    .parts = { { .kind = (uint8_t)i } },
					    .identity = { .low = hash.low64, .high = hash.high64 } };
	}
	b->c->keys = keys;
	b->c->key_count = PER_COUNT;
}

/* Where the values of each aggregate stand in SPACE_AGG. */
static void values_place(struct build *b)
{
	struct catalogue *c = b->c;
	struct cat_agg_value *values = build_array(b, struct cat_agg_value, c->aggregate_count + 1);

	for (uint16_t i = 0; i < c->aggregate_count; i++) {
		struct cat_aggregate *a = &b->aggregate[i];
		values[i] = (struct cat_agg_value){ .field = a->field, .type = a->type, .unit = a->unit };
		a->value_first = i;
		a->value_count = 1;
	}
	c->agg_values = values;
	c->agg_value_count = c->aggregate_count;
}

void aggregates_compile(struct build *b)
{
	struct catalogue *c = b->c;

	c->aggregate_count = (uint16_t)b->sections[IN_AGGREGATES].count;
	b->aggregate = build_array(b, struct cat_aggregate, c->aggregate_count + 1);
	b->aggregate_broken = build_scratch_array(b, bool, c->aggregate_count + 1);
	c->aggregates = b->aggregate;
	names_build(b, &b->aggregates, &b->sections[IN_AGGREGATES]);
	keys_compile(b);
	for (uint32_t i = 0; i < c->aggregate_count; i++)
		aggregate_compile(b, i);
	values_place(b);
}
