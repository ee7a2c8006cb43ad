/*
 * aggregates.c: the section `aggregates`: what is remembered of past events, per customer, account, card and
 * what else `per` names (per.c).
 *
 * Entries in, cat_aggregate out, with the types that feed each (cat_event.feeds) and the places of their
 * values in SPACE_AGG: one, or one a field of a record. The unit of a result follows SEMANTICS 2: amounts of
 * one account are in its currency; of a customer they may not be, so `mixed: true` says that the author
 * knows, or `base` is asked for. The identity is a hash over the definition in one canonical spelling, codes
 * of types instead of names: state outlives a rename. What version 1 of the language could say keeps its
 * identity.
 */
#define XXH_INLINE_ALL
#include "compile.h"

#include <string.h>
#include <xxhash.h>

static const int64_t NS_PER_DAY = INT64_C(86400) * 1000000000;

static const char *const function_names[AGG_FUNCTION_COUNT] = { NULL,	    "count", "sum",  "mean",
								"min",	    "max",   "last", "deviation",
								"distinct", "step" };
static const char *const calendar_names[] = { NULL, "day", "week", "month" };
static const char *const field_names[AGGF_COUNT] = { NULL,	   "amount",   "base",	"balance",
						     "time",	   "country",  "mcc",	"currency",
						     "touchpoint", "customer", "body.x" };

/* One aggregate while it is read. */
struct draft {
	struct build *b;
	const struct entry *entry;
	struct cat_aggregate *a;
	uint32_t number;
	struct event_set over;
	bool mixed, record;
};

static const struct node *scalar_of(const struct node *map, const char *key)
{
	const struct node *n = yaml_get(map, key);

	return n && n->kind == NODE_SCALAR && n->bytes ? n : NULL;
}

/* Finds the one function that is named; problems for none and for two. */
static const struct node *take_function(struct draft *d)
{
	const struct node *argument = NULL;

	for (int f = AGG_COUNT_OF; f < AGG_STEP; f++) {
		const struct node *n = yaml_get(d->entry->value, function_names[f]);
		if (!n)
			continue;
		if (argument) {
			build_problem(d->b, n, "found '%s' besides '%s', expected one function",
				      function_names[f], function_names[d->a->function]);
			continue;
		}
		argument = n;
		d->a->function = (enum agg_function)f;
	}
	if (!argument)
		build_problem(d->b, d->entry->key,
			      "missing key in an aggregate: one of count, sum, mean, min, max, deviation, "
			      "distinct, last");
	return argument;
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

/* --- fields --- */

static enum value_type field_type(enum agg_field field)
{
	return field == AGGF_TIME ? TYPE_TIMESTAMP : TYPE_INT;
}

/* Can the function take a body field of that type? */
static bool body_type_fits(struct draft *d, const struct node *n, const struct cat_field *field)
{
	enum agg_function f = d->a->function;
	bool fits =
		f == AGG_LAST || (f == AGG_DISTINCT ? field->type != TYPE_DOUBLE : field->type == TYPE_INT);

	if (!fits)
		build_problem(d->b, n, "found '%.80s', which is %s; '%s' of a body field takes %s", n->text,
			      cel_type_name(field->type), function_names[f],
			      f == AGG_DISTINCT ? "any type but double" : "int");
	return fits;
}

static int body_field_find(const struct build *b, const char *name)
{
	for (uint16_t i = 0; i < b->c->field_count; i++)
		if (strcmp(b->field[i].name, name) == 0)
			return i;
	return -1;
}

/* body.x; for `last`, whose fields are read as agg.prev.lat, also x. */
static bool names_body_field(const struct draft *d, const struct node *n, const char **name)
{
	if (strncmp(n->text, "body.", 5) == 0) {
		*name = n->text + 5;
		return true;
	}
	*name = n->text;
	return d->a->function == AGG_LAST && body_field_find(d->b, n->text) >= 0;
}

static bool take_body_field(struct draft *d, const struct node *n, const char *name,
			    struct cat_agg_value *out)
{
	int field = body_field_resolve(d->b, n, name, &d->over, "an aggregate");

	if (field < 0 || !body_type_fits(d, n, &d->b->field[field]))
		return false;
	*out = (struct cat_agg_value){ .field = AGGF_BODY,
				       .body_field = (uint16_t)field,
				       .type = d->b->field[field].type };
	return true;
}

/* One field; its own name goes to *name. */
static bool take_field(struct draft *d, const struct node *n, struct cat_agg_value *out, const char **name)
{
	enum agg_function f = d->a->function;
	enum agg_field first = f == AGG_DISTINCT ? AGGF_COUNTRY : AGGF_AMOUNT;
	enum agg_field last = f == AGG_LAST || f == AGG_DISTINCT ? AGGF_CUSTOMER : AGGF_BALANCE;
	const char *choices[AGGF_COUNT];
	size_t count = 0;
	int choice;

	if (n->kind == NODE_SCALAR && names_body_field(d, n, name))
		return take_body_field(d, n, *name, out);
	for (enum agg_field i = first; i <= last; i++)
		choices[count++] = field_names[i];
	choices[count++] = field_names[AGGF_BODY];
	choice = scalar_choice(d->b, n, choices, count);
	if (choice < 0)
		return false;
	*name = field_names[(int)first + choice];
	*out = (struct cat_agg_value){ .field = (enum agg_field)((int)first + choice) };
	out->type = field_type(out->field);
	return true;
}

/* Amounts of different currencies must not be put together unseen (SEMANTICS 2). */
static void set_unit(struct draft *d, const struct node *n, struct cat_agg_value *v)
{
	bool own = v->field == AGGF_AMOUNT || v->field == AGGF_BALANCE;
	const struct cat_key *key = &d->b->key[d->a->per];

	if (d->a->function == AGG_DISTINCT)
		return;
	if (own && !d->mixed && !key_has_one_currency(key))
		build_problem(d->b, n,
			      "found '%s: %s' per %s, where currencies can differ; expected '%s: base', or "
			      "per: account, or per: currency, or mixed: true",
			      function_names[d->a->function], field_names[v->field], key->name,
			      function_names[d->a->function]);
	if (d->a->function == AGG_MEAN || d->a->function == AGG_DEVIATION)
		v->unit = UNIT_NONE;
	else if (v->field == AGGF_BASE)
		v->unit = UNIT_BASE;
	else if (own && !d->mixed)
		v->unit = UNIT_EVENT;
}

static enum value_type result_type(enum agg_function f, enum value_type field)
{
	if (f == AGG_MEAN || f == AGG_DEVIATION)
		return TYPE_DOUBLE;
	return f == AGG_COUNT_OF || f == AGG_DISTINCT ? TYPE_INT : field;
}

/* A value gets its place in SPACE_AGG; false when there is none. */
static bool value_push(struct draft *d, const struct node *n, const struct cat_agg_value *v, const char *name)
{
	struct build *b = d->b;
	uint16_t at = b->c->agg_value_count;

	if (at == AGGREGATE_VALUES_MAX) {
		build_problem(b, n, "the aggregates have more than %d values, the limit",
			      AGGREGATE_VALUES_MAX);
		return false;
	}
	b->agg_value[at] = *v;
	b->agg_value[at].type = result_type(d->a->function, v->type);
	b->agg_value_name[at] = name;
	b->agg_value_aggregate[at] = (uint8_t)d->number;
	b->c->agg_value_count++;
	d->a->value_count++;
	return true;
}

static bool take_value(struct draft *d, const struct node *n)
{
	struct cat_agg_value v = { 0 };
	const char *name;

	if (n->kind == NODE_SCALAR && n->bytes == 0)
		return false; /* map_check has said so */
	if (!take_field(d, n, &v, &name))
		return false;
	for (unsigned i = 0; i < d->a->value_count; i++)
		if (strcmp(d->b->agg_value_name[d->a->value_first + i], name) == 0) {
			build_problem(d->b, n, "found '%.64s' a second time in 'last'", name);
			return false;
		}
	set_unit(d, n, &v);
	return value_push(d, n, &v, name);
}

static bool take_record(struct draft *d, const struct node *list)
{
	bool good = true;

	d->record = true;
	if (list->count == 0)
		build_problem(d->b, list, "found an empty list for 'last', expected fields: [time, country]");
	for (const struct node *n = list->first; n; n = n->next)
		good &= take_value(d, n);
	return good && list->count > 0;
}

static bool take_values(struct draft *d, const struct node *argument)
{
	const struct cat_agg_value nothing = { .type = TYPE_INT };

	d->a->value_first = d->b->c->agg_value_count;
	if (d->a->function == AGG_COUNT_OF)
		return take_count(d->b, argument) && value_push(d, argument, &nothing, "");
	if (d->a->function == AGG_LAST && argument->kind == NODE_LIST)
		return take_record(d, argument);
	if (argument->kind == NODE_SCALAR)
		return take_value(d, argument);
	if (d->a->function == AGG_LAST) /* the other functions' shape is in the table of keys */
		build_problem(d->b, argument, "found a map, expected a field or a list of fields for 'last'");
	return false;
}

/* `mixed` must mean something, and the first value stands for all where one is asked for. */
static void set_result(struct draft *d)
{
	const struct cat_agg_value *values = &d->b->agg_value[d->a->value_first];
	bool own = false;

	d->a->field = values[0].field;
	d->a->body_field = values[0].body_field;
	d->a->type = values[0].type;
	d->a->unit = values[0].unit;
	for (unsigned i = 0; i < d->a->value_count; i++)
		own |= values[i].field == AGGF_AMOUNT || values[i].field == AGGF_BALANCE;
	if (d->mixed && !own)
		build_problem(d->b, yaml_get(d->entry->value, "mixed"),
			      "found 'mixed' with no amount in the event's currency");
}

/* --- time --- */

int64_t within_take(struct build *b, const struct node *map)
{
	const struct node *n = scalar_of(map, "within");
	int64_t ns;

	if (!n || !scalar_duration(b, n, &ns))
		return 0;
	if (ns <= WINDOW_DAYS_MAX * NS_PER_DAY)
		return ns;
	build_problem(b, n, "found '%.32s' for 'within', the limit is %dd", n->text, WINDOW_DAYS_MAX);
	return 0;
}

static void take_calendar(struct draft *d)
{
	const struct node *n = scalar_of(d->entry->value, "calendar");
	int choice = n ? scalar_choice(d->b, n, &calendar_names[1], ARRAY_LEN(calendar_names) - 1) : -1;

	d->a->calendar = (uint8_t)(choice + 1);
	if (n && yaml_get(d->entry->value, "within"))
		build_problem(d->b, n, "found 'calendar' besides 'within', expected one of them");
}

/* --- identity --- */

/* Could version 1 say it? Its definitions keep their hash. */
static bool is_version_1(const struct build *b, const struct cat_aggregate *a, uint32_t number)
{
	return a->function <= AGG_LAST && !b->aggregate_record[number] && a->field != AGGF_BODY &&
	       a->per < PER_COUNT && a->calendar == CALENDAR_NONE;
}

static void hash_text(XXH3_state_t *state, const char *text)
{
	XXH3_128bits_update(state, text, strlen(text));
}

static void hash_version_1(XXH3_state_t *state, const struct build *b, const struct cat_aggregate *a,
			   bool mixed)
{
	char text[160];

	snprintf(text, sizeof text,
		 "v1;%s;%s;per=%s;within=%lld;before=%d;mixed=%d;bank=%u;over=", function_names[a->function],
		 a->field ? field_names[a->field] : "", b->key[a->per].name, (long long)a->within_ns,
		 a->before, mixed, a->field == AGGF_BASE ? b->c->rates.bank : 0);
	hash_text(state, text);
}

static void hash_version_2(XXH3_state_t *state, const struct build *b, const struct cat_aggregate *a,
			   bool mixed, bool record)
{
	const struct cat_key *key = &b->key[a->per];
	char text[160];
	bool base = false;

	hash_text(state, "v2;");
	hash_text(state, function_names[a->function]);
	hash_text(state, record ? ";[" : ";");
	for (unsigned i = 0; i < a->value_count; i++) {
		const struct cat_agg_value *v = &b->agg_value[a->value_first + i];
		base |= v->field == AGGF_BASE;
		hash_text(state, v->field == AGGF_BODY ? "body." : v->field ? field_names[v->field] : "");
		if (v->field == AGGF_BODY) {
			hash_text(state, b->field[v->body_field].name);
			hash_text(state, ":");
			hash_text(state, cel_type_name(b->field[v->body_field].type));
		}
		hash_text(state, ",");
	}
	snprintf(text, sizeof text,
		 ";per=%016llx%016llx;within=%lld;calendar=%s;zone=", (unsigned long long)key->identity.high,
		 (unsigned long long)key->identity.low, (long long)a->within_ns,
		 a->calendar ? calendar_names[a->calendar] : "");
	hash_text(state, text);
	hash_text(state, a->calendar ? b->c->zone.name : ""); /* of who has none of their own */
	snprintf(text, sizeof text, ";before=%d;mixed=%d;bank=%u;over=", a->before, mixed,
		 base ? b->c->rates.bank : 0);
	hash_text(state, text);
}

/* The values of the lists that `where` names: others are another question. */
static void hash_lists(XXH3_state_t *state, const struct build *b, const uint64_t *lists)
{
	for (uint16_t i = 0; i < b->c->list_count; i++) {
		const struct cat_list *list = &b->list[i];
		if (!(lists[i / 64] >> (i % 64) & 1))
			continue;
		hash_text(state, ";list=");
		for (uint32_t k = 0; k < list->count; k++) {
			const struct value *v = &list->values[k];
			uint64_t number = list->type == TYPE_INT ? (uint64_t)v->i : v->bytes;
			uint8_t bytes[8];
			for (unsigned at = 0; at < 8; at++)
				bytes[at] = (uint8_t)(number >> (8 * at));
			XXH3_128bits_update(state, bytes, sizeof bytes);
			if (list->type == TYPE_STRING)
				XXH3_128bits_update(state, v->s, v->bytes);
		}
	}
}

void aggregate_finish(struct build *b, uint32_t number, const struct event_set *over, bool mixed,
		      const struct node *where, const uint64_t *lists)
{
	struct cat_aggregate *a = &b->aggregate[number];
	XXH3_state_t state;
	XXH128_hash_t hash;
	char text[16];

	XXH3_128bits_reset(&state);
	if (is_version_1(b, a, number))
		hash_version_1(&state, b, a, mixed);
	else
		hash_version_2(&state, b, a, mixed, b->aggregate_record[number]);
	for (int code = 1; code < INTEREST_TYPES; code++) {
		int16_t event = b->c->event_by_code[code];
		if (event < 0 || !event_set_has(over, (unsigned)event))
			continue;
		snprintf(text, sizeof text, "%d,", code);
		hash_text(&state, text);
	}
	hash_text(&state, ";where=");
	if (where)
		XXH3_128bits_update(&state, where->text, where->bytes);
	hash_lists(&state, b, lists);
	hash = XXH3_128bits_digest(&state);
	a->identity = (struct hash128){ .low = hash.low64, .high = hash.high64 };
	b->aggregate_broken[number] = false;
}

/* --- the section --- */

static const struct node *take_where(struct draft *d, uint64_t *lists)
{
	struct scope scope = { .b = d->b, .kind = SCOPE_WHERE, .events = &d->over };
	const struct node *n = scalar_of(d->entry->value, "where");

	if (n && scalar_expression(d->b, n))
		d->a->has_where = expression_compile(d->b, &scope, n, 0, n->bytes, TYPE_BOOL, &d->a->where);
	memcpy(lists, scope.lists, sizeof scope.lists);
	return n;
}

static void take_options(struct draft *d)
{
	const struct node *map = d->entry->value, *n;
	int per;

	if ((n = yaml_get(map, "over")))
		events_resolve(d->b, n, "over", EVENTS_OF_WINDOW, &d->over);
	per = per_compile(d->b, map, "an aggregate", &d->over);
	d->a->per = (uint8_t)(per < 0 ? PER_ACCOUNT : per); /* wrong: no further problem with units */
	d->a->within_ns = within_take(d->b, map);
	take_calendar(d);
	if ((n = scalar_of(map, "before")))
		scalar_bool(d->b, n, &d->a->before);
	if ((n = scalar_of(map, "mixed")))
		scalar_bool(d->b, n, &d->mixed);
}

static void aggregate_compile(struct build *b, uint32_t number)
{
	struct draft d = { .b = b,
			   .entry = &b->sections[IN_AGGREGATES].entries[number],
			   .a = &b->aggregate[number],
			   .number = number };
	const struct node *argument, *where;
	uint64_t lists[LISTS_MAX / 64];
	size_t before = b->problems->count;

	d.a->name = d.entry->name;
	b->aggregate_broken[number] = true;
	map_check(b, d.entry->key, d.entry->value, MAP_AGGREGATE);
	if (d.entry->value->kind != NODE_MAP)
		return;
	argument = take_function(&d);
	take_options(&d);
	where = take_where(&d, lists);
	if (argument && take_values(&d, argument)) {
		if (d.a->function == AGG_DISTINCT && !d.a->within_ns && !d.a->calendar &&
		    b->problems->count == before) /* its values could not be bounded */
			build_problem(b, argument,
				      "not yet: 'distinct' for ever is not built; say within or calendar");
		set_result(&d);
		b->aggregate_record[number] = d.record;
		if (b->problems->count == before)
			aggregate_finish(b, number, &d.over, d.mixed, where, lists);
	}
	for (unsigned e = 0; e < b->type_count; e++)
		if (event_set_has(&d.over, e))
			b->event[e].feeds |= UINT64_C(1) << number;
}

/* Steps of patterns are aggregates too: how many there will be. */
static uint32_t steps_count(const struct build *b)
{
	const struct section *patterns = &b->sections[IN_PATTERNS];
	uint32_t count = 0;

	for (uint32_t i = 0; i < patterns->count; i++) {
		const struct node *map = patterns->entries[i].value, *steps;
		if (map->kind != NODE_MAP)
			continue;
		steps = yaml_get(map, "steps");
		count += steps && steps->kind == NODE_LIST ? steps->count : 0;
		count += yaml_get(map, "unless") != NULL;
	}
	return count;
}

void aggregates_compile(struct build *b)
{
	struct catalogue *c = b->c;
	uint32_t count = b->sections[IN_AGGREGATES].count, steps = steps_count(b);

	if (count + steps > AGGREGATES_MAX) {
		build_problem(
			b, b->sections[IN_PATTERNS].entries[0].key,
			"the catalogue has %u aggregates and %u steps of patterns ('unless' is one), the "
			"limit is %d together",
			count, steps, AGGREGATES_MAX);
		b->sections[IN_PATTERNS].count = 0;
		b->incomplete = true;
		steps = 0;
	}
	c->aggregate_count = (uint16_t)count; /* patterns_compile() adds the steps */
	b->aggregate = build_array(b, struct cat_aggregate, count + steps + 1);
	b->aggregate_broken = build_scratch_array(b, bool, count + steps + 1);
	b->aggregate_record = build_scratch_array(b, bool, count + steps + 1);
	b->agg_value = build_array(b, struct cat_agg_value, AGGREGATE_VALUES_MAX);
	b->agg_value_name = build_scratch_array(b, const char *, AGGREGATE_VALUES_MAX);
	b->agg_value_aggregate = build_scratch_array(b, uint8_t, AGGREGATE_VALUES_MAX);
	c->aggregates = b->aggregate;
	c->agg_values = b->agg_value;
	names_build(b, &b->aggregates, &b->sections[IN_AGGREGATES]);
	keys_compile(b);
	for (uint32_t i = 0; i < count; i++)
		aggregate_compile(b, i);
}
