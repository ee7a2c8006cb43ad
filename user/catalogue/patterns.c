/*
 * patterns.c: the section `patterns`: events that come one after the other within a time.
 *
 * Entries in, cat_pattern out. Each step, and `unless`, becomes an aggregate without a value behind those of
 * the section `aggregates`, so that its events are remembered in the log of the pattern's key. Rules listen
 * to the type pattern.NAME, which stands in catalogue.events behind the real types, has no code, and carries
 * the body fields that all types of the last step have: what completes the pattern is an event of one of
 * these.
 */
#include "compile.h"

#include <string.h>

/* One pattern while it is read. */
struct draft {
	struct build *b;
	const struct entry *entry;
	struct cat_pattern *p;
	size_t before; /* problems when it began */
};

/* A further aggregate; its number. Its problems come before, so that it is whole or broken. */
static uint32_t step_push(struct draft *d, const char *what, const struct event_set *over)
{
	struct build *b = d->b;
	uint32_t number = b->c->aggregate_count++;
	struct cat_aggregate *a = &b->aggregate[number];
	char name[NAME_BYTES_MAX + 16];
	int n = snprintf(name, sizeof name, "%s.%s", d->entry->name, what);

	a->name = build_copy(b, name, (size_t)n);
	a->function = AGG_STEP;
	a->per = d->p->per;
	a->within_ns = d->p->within_ns;
	b->aggregate_broken[number] = true;
	for (unsigned e = 0; e < b->type_count; e++)
		if (event_set_has(over, e))
			b->event[e].feeds |= UINT64_C(1) << number;
	return number;
}

/* An event without a part of the key is in no log: a step of such types alone would never come. */
static void check_key(struct draft *d, const struct node *at, const struct event_set *over)
{
	const struct cat_key *key = &d->b->key[d->p->per];

	for (unsigned i = 0; i < key->part_count; i++)
		if (key->parts[i].kind == KEY_PART_BODY && !set_empty(over))
			body_field_resolve(d->b, at, d->b->field[key->parts[i].field].name, over,
					   "this step");
}

static const struct node *step_when(struct draft *d, const struct node *map, const struct event_set *over,
				    struct cat_aggregate *a, uint64_t *lists)
{
	struct scope scope = { .b = d->b, .kind = SCOPE_STEP, .events = over };
	const struct node *n = yaml_get(map, "when");

	if (n && n->kind == NODE_SCALAR && n->bytes && scalar_expression(d->b, n))
		a->has_where = expression_compile(d->b, &scope, n, 0, n->bytes, TYPE_BOOL, &a->where);
	memcpy(lists, scope.lists, sizeof scope.lists);
	return n;
}

static uint16_t step_times(struct draft *d, const struct node *map)
{
	const struct node *n = yaml_get(map, "times");
	int64_t times = 1;

	if (n && n->kind == NODE_SCALAR && n->bytes && !scalar_int(d->b, n, 1, STEP_TIMES_MAX, &times))
		return 1;
	return (uint16_t)times;
}

static void step_compile(struct draft *d, const struct node *map, struct event_set *over)
{
	struct build *b = d->b;
	uint64_t lists[LISTS_MAX / 64] = { 0 };
	const struct node *events, *when;
	char what[16];
	uint32_t number;

	*over = (struct event_set){ 0 };
	map_check(b, map, map, MAP_STEP);
	if (map->kind == NODE_MAP && (events = yaml_get(map, "events")))
		events_resolve(b, events, "events", EVENTS_OF_WINDOW, over);
	check_key(d, map, over);
	snprintf(what, sizeof what, "%u", d->p->step_count + 1u);
	number = step_push(d, what, over);
	d->p->steps[d->p->step_count].aggregate = (uint16_t)number;
	d->p->steps[d->p->step_count].times = map->kind == NODE_MAP ? step_times(d, map) : 1;
	d->p->step_count++;
	when = map->kind == NODE_MAP ? step_when(d, map, over, &b->aggregate[number], lists) : NULL;
	if (b->problems->count == d->before)
		aggregate_finish(b, number, over, false, when, lists);
}

/* The types of the last step go to *last. */
static void steps_compile(struct draft *d, const struct node *steps, struct event_set *last)
{
	if (steps->count == 0 || steps->count > PATTERN_STEPS_MAX) {
		build_problem(d->b, steps, "found %u steps, expected 1 to %d", steps->count,
			      PATTERN_STEPS_MAX);
		return;
	}
	for (const struct node *n = steps->first; n; n = n->next)
		step_compile(d, n, last);
}

static void unless_compile(struct draft *d, const struct node *list)
{
	struct event_set over = { 0 };
	uint32_t number;

	events_resolve(d->b, list, "unless", EVENTS_OF_WINDOW, &over);
	check_key(d, list, &over);
	number = step_push(d, "unless", &over);
	d->p->unless = (int16_t)number;
	if (d->b->problems->count == d->before)
		aggregate_finish(d->b, number, &over, false, NULL, (uint64_t[LISTS_MAX / 64]){ 0 });
}

/* The body fields that all of the types have. */
static void common_fields(struct build *b, struct cat_event *event, const struct event_set *types)
{
	uint16_t *fields = build_array(b, uint16_t, b->c->field_count + 1);

	event->fields = fields;
	for (uint16_t f = 0; f < b->c->field_count; f++) {
		bool all = !set_empty(types);
		for (unsigned e = 0; e < b->type_count; e++)
			all &= !event_set_has(types, e) || event_declares(&b->event[e], f);
		if (all)
			fields[event->field_count++] = f;
	}
}

static void link_completing(struct build *b, unsigned number, const struct event_set *last)
{
	for (unsigned e = 0; e < b->type_count; e++)
		if (event_set_has(last, e))
			b->event[e].completes |= UINT32_C(1) << number;
}

/* All types together, for the parts of `per`. */
static void types_collect(struct draft *d, struct event_set *all)
{
	for (unsigned e = 0; e < d->b->type_count; e++)
		all->bits[e / 64] |= UINT64_C(1) << (e % 64);
}

static void pattern_compile(struct build *b, uint32_t number)
{
	struct draft d = { .b = b,
			   .entry = &b->sections[IN_PATTERNS].entries[number],
			   .p = &b->pattern[number],
			   .before = b->problems->count };
	struct event_set last = { 0 }, all = { 0 };
	const struct node *map = d.entry->value, *n;
	int per;

	d.p->name = d.entry->name;
	d.p->unless = -1;
	d.p->event = (uint16_t)(b->type_count + number);
	map_check(b, d.entry->key, map, MAP_PATTERN);
	if (map->kind != NODE_MAP)
		return;
	types_collect(&d, &all);
	per = per_compile(b, map, "a pattern", &all);
	d.p->per = (uint8_t)(per < 0 ? PER_CUSTOMER : per);
	d.p->within_ns = within_take(b, map);
	if ((n = yaml_get(map, "steps")) && n->kind == NODE_LIST)
		steps_compile(&d, n, &last);
	if ((n = yaml_get(map, "unless")) && n->kind == NODE_LIST)
		unless_compile(&d, n);
	common_fields(b, &b->event[d.p->event], &last);
	link_completing(b, number, &last);
}

void patterns_compile(struct build *b)
{
	struct catalogue *c = b->c;

	c->pattern_count = (uint16_t)b->sections[IN_PATTERNS].count;
	b->pattern = build_array(b, struct cat_pattern, c->pattern_count + 1);
	c->patterns = b->pattern;
	for (uint32_t i = 0; i < c->pattern_count; i++)
		pattern_compile(b, i);
	keys_check(b);
}
