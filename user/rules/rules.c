/*
 * rules.c: a run of events through the rules stage: groups by type and completed pattern, what holds in each
 * (find.c, seats.c), then the events in journal order: counts, scores, hits.
 *
 * Memory: all of it taken at init; the large arrays are address space, of which a run touches what it needs.
 * Hits borrow rows until the run is done. Errors of conditions are data: counted, never raised.
 *
 * Read work.h first.
 */
#include "work.h"

#include <assert.h>
#include <base/log.h>
#include <catalogue/env.h>
#include <string.h>

enum { EVENT_HITS_MAX = RULES_MAX + HOLDERS_MAX * SUBSCRIPTIONS_MAX };
_Static_assert((int)RUN_HITS_MAX >= (int)EVENT_HITS_MAX, "one event's hits fit");

/* ---- memory ---- */

static void work_take(struct rules *r)
{
	struct rules_work *w = region_take(&r->region, sizeof *w);

	r->work = w;
	w->parts = region_take(&r->region, sizeof *w->parts * PARTS_MAX);
	w->rooms = region_take(&r->region, sizeof *w->rooms * ROOMS_MAX);
	w->numbers = region_take(&r->region, sizeof *w->numbers * PLAN_FIELDS_MAX);
	w->found = region_take(&r->region, sizeof *w->found * FOUND_MAX);
	w->sorted = region_take(&r->region, sizeof *w->sorted * FOUND_MAX);
	w->pairs = region_take(&r->region, sizeof *w->pairs * FOUND_MAX);
	w->seats = region_take(&r->region, sizeof *w->seats * SEATS_MAX);
	w->units = region_take(&r->region, sizeof *w->units * UNITS_MAX);
	w->places = region_take(&r->region, sizeof *w->places * FOUND_MAX);
	w->profile = r->profile;
	w->scratch = r->scratch;
}
_Static_assert((int)UNITS_MAX <= (int)FOUND_MAX, "places holds pairs or units");

static size_t work_bytes(void)
{
	const struct rules_work *w = NULL;

	return sizeof *w + sizeof *w->parts * PARTS_MAX + sizeof *w->rooms * ROOMS_MAX +
	       sizeof *w->numbers * PLAN_FIELDS_MAX + 3 * sizeof *w->found * FOUND_MAX +
	       sizeof *w->seats * SEATS_MAX + sizeof *w->units * UNITS_MAX + sizeof *w->places * FOUND_MAX;
}

int rules_init(struct rules *r)
{
	*r = (struct rules){ 0 };
	int rc = region_init(&r->region, (sizeof *r->hits + sizeof *r->cursors + 1) * RUN_HITS_MAX +
						 sizeof(struct value) * ATTRIBUTES_MAX + STAGE_SCRATCH_BYTES +
						 work_bytes() + 4096);
	if (rc)
		return rc;
	r->hits = region_take(&r->region, sizeof *r->hits * RUN_HITS_MAX);
	r->cursors = region_take(&r->region, sizeof *r->cursors * RUN_HITS_MAX);
	r->roles = region_take(&r->region, RUN_HITS_MAX);
	r->profile = region_take(&r->region, sizeof(struct value) * ATTRIBUTES_MAX);
	r->scratch = region_take(&r->region, STAGE_SCRATCH_BYTES);
	work_take(r);
	assert(r->work->places);
	return 0;
}

void rules_deinit(struct rules *r)
{
	region_deinit(&r->region);
}

uint64_t rules_interpreted(const struct rules *r)
{
	return r->work->interpreted;
}

/* ---- groups ---- */

static void group_begin(struct rules_work *w, uint32_t type)
{
	struct group *g = &w->group;

	g->type = &w->c->events[type];
	g->plan = &w->c->plan->types[type];
	g->number = ++w->groups;
	if (g->number == 0) { /* once in 2^32: no column may seem to be of this group */
		for (uint32_t i = 0; i < ROOMS_MAX; i++)
			w->rooms[i].made = 0;
		for (uint32_t i = 0; i < PLAN_FIELDS_MAX; i++)
			w->numbers[i].made = 0;
		w->currency_made = 0;
		g->number = w->groups = 1;
	}
	g->count = 0;
	g->all_fraud = g->all_counted = true;
	g->first_seat = w->seat_count;
	g->first_unit = w->unit_count;
}

static void group_add(struct rules_work *w, struct event *events, uint32_t at)
{
	struct group *g = &w->group;
	struct event *e = &events[at];

	g->at[g->count] = (uint16_t)at;
	g->e[g->count] = e;
	g->fraud[g->count] = e->fraud;
	g->counted[g->count] = e->counted;
	g->all_fraud &= e->fraud;
	g->all_counted &= e->counted;
	g->count++;
}

/* What the events have of this group, behind what they have of others. */
static void parts_add(struct rules_work *w)
{
	const struct group *g = &w->group;
	uint32_t unit = g->first_unit;

	for (uint32_t row = 0; row < g->count; row++) {
		struct part part = { .found = w->row_found[row],
				     .found_end = w->row_found[row + 1],
				     .unit = unit };
		while (unit < w->unit_count && w->seats[w->units[unit].seat].at == row)
			unit++;
		part.unit_end = unit;
		if (part.found == part.found_end && part.unit == unit)
			continue;
		uint32_t at = g->at[row], number = ++w->part_count;
		w->parts[number - 1] = part;
		if (w->part_of[at])
			w->parts[w->part_last[at] - 1].next = number;
		else
			w->part_of[at] = number;
		w->part_last[at] = number;
	}
}

static void group_run(struct rules_work *w)
{
	const struct cat_event *type = w->group.type;

	if (w->group.count == 0 || type->fraud_count + type->critical_count + type->subscription_count == 0)
		return;
	group_find(w);
	group_seats(w);
	parts_add(w);
}

static bool runs_rules(const struct event *e)
{
	return e->outcome == EVENT_DECIDED && (e->fraud || e->counted || e->staged);
}

/* Which events run rules, and how many there are of each type, types in the order of their first event. */
static uint32_t events_pick(struct rules_work *w, const struct event *events, uint32_t from, uint32_t count)
{
	uint32_t types = 0;

	w->picked_count = 0;
	w->completed = 0;
	for (uint32_t i = from; i < count; i++) {
		if (!runs_rules(&events[i]))
			continue;
		uint32_t type = (uint32_t)(events[i].type - w->c->events);
		__builtin_prefetch(events[i].actor);
		__builtin_prefetch((const void *)((uintptr_t)events[i].actor + 64));
		w->picked[w->picked_count] = (uint16_t)i;
		w->picked_type[w->picked_count++] = (uint16_t)type;
		w->completed |= events[i].patterns;
		if (w->type_count[type]++ == 0)
			w->types[types++] = (uint16_t)type;
	}
	return types;
}

static void types_run(struct rules_work *w, struct event *events, uint32_t types)
{
	uint32_t row = 0, total = 0;

	for (uint32_t t = 0; t < types; t++) {
		w->type_first[w->types[t]] = (uint16_t)total;
		total += w->type_count[w->types[t]];
	}
	for (uint32_t i = 0; i < w->picked_count; i++)
		w->type_rows[w->type_first[w->picked_type[i]]++] = w->picked[i];
	w->group.is_pattern = false;
	w->group.patterns = 0;
	for (uint32_t t = 0; t < types; t++) {
		uint16_t type = w->types[t];
		group_begin(w, type);
		for (; row < w->type_first[type]; row++)
			group_add(w, events, w->type_rows[row]);
		w->type_count[type] = 0;
		group_run(w);
	}
}

static void patterns_run(struct rules_work *w, struct event *events)
{
	w->group.is_pattern = true;
	for (uint32_t left = w->completed; left; left &= left - 1) {
		uint32_t pattern = (uint32_t)__builtin_ctz(left), bit = UINT32_C(1) << pattern;
		group_begin(w, w->c->patterns[pattern].event);
		w->group.patterns = bit - 1;
		for (uint32_t i = 0; i < w->picked_count; i++)
			if (events[w->picked[i]].patterns & bit)
				group_add(w, events, w->picked[i]);
		group_run(w);
	}
}

/* ---- events in journal order ---- */

static void error_log(const struct cat_rule *rule, const struct event *e, uint8_t status)
{
	log_warning("rule %s: %s at event type %s, source %u, sequence %llu (logged once a rule)", rule->name,
		    cel_error_name((enum value_error)(status >> COLUMN_ERROR_SHIFT)), e->type->name,
		    e->source, (unsigned long long)e->header->sequence);
}

/* Counts what a condition came to: no data or an error. */
static void failure_count(const struct cat_rule *rule, const struct event *e, uint8_t status,
			  struct ledger_rule *count)
{
	if ((status & COLUMN_STATUS_MASK) == VALUE_NO_DATA)
		count->no_data++;
	else if (count->errors++ == 0)
		error_log(rule, e, status);
}

/* The first that scored; one that a verdict may not name gives its place to one that it may. */
static void reason_add(const struct catalogue *c, struct event *e, const struct cat_rule *rule)
{
	uint32_t i = 0;

	if (e->reason_count < REASONS_MAX) {
		e->reasons[e->reason_count++] = rule->number;
		return;
	}
	while (i < REASONS_MAX && !c->rules[e->reasons[i]].confidential)
		i++;
	if (rule->confidential || i == REASONS_MAX)
		return;
	memmove(&e->reasons[i], &e->reasons[i + 1], (REASONS_MAX - 1 - i) * sizeof *e->reasons);
	e->reasons[REASONS_MAX - 1] = rule->number;
}

static void score_add(const struct catalogue *c, const struct cat_rule *rule, struct event *e,
		      struct ledger *ledger)
{
	e->score += rule->score;
	reason_add(c, e, rule);
	ledger->hits_made++;
	ledger->hits[HIT_SCORED]++;
}

static uint32_t hit_add(struct rules *r, uint32_t event, uint16_t rule, const struct row *holder)
{
	assert(r->hit_count < RUN_HITS_MAX);
	r->hits[r->hit_count] = (struct hit){ .event = (uint16_t)event, .rule = rule, .holder = holder };
	r->roles[r->hit_count] = ROLE_NONE;
	return r->hit_count++;
}

/* Fraud and critical rules; subscriptions that were found are counted by their units. */
static void found_count(struct rules *r, const struct part *part, struct event *e, uint32_t index,
			struct ledger *ledger, struct ledger_rule *by_rule)
{
	const struct catalogue *c = r->work->c;

	for (uint32_t i = part->found; i < part->found_end; i++) {
		const struct found *f = &r->work->sorted[i];
		const struct cat_rule *rule = &c->rules[f->rule];
		if (f->rule >= c->subscription_first)
			return;
		if (f->status) {
			failure_count(rule, e, f->status, &by_rule[f->rule]);
			continue;
		}
		by_rule[f->rule].hits++;
		if (f->rule < c->critical_first)
			score_add(c, rule, e, ledger);
		else
			hit_add(r, index, f->rule, NULL);
	}
}

static void units_count(struct rules *r, const struct part *part, const struct event *e, uint32_t index,
			struct ledger_rule *by_rule)
{
	const struct rules_work *w = r->work;

	for (uint32_t i = part->unit; i < part->unit_end; i++) {
		const struct unit *u = &w->units[i];
		if (u->status)
			failure_count(&w->c->rules[u->rule], e, u->status, &by_rule[u->rule]);
		if (!u->holds)
			continue;
		const struct seat *s = &w->seats[u->seat];
		uint32_t hit = hit_add(r, index, u->rule, s->row);
		r->roles[hit] = s->role;
		row_subscription_at(w->store, w->c, s->row, u->place, &r->cursors[hit]);
		by_rule[u->rule].hits++;
	}
}

static bool event_fits(const struct rules *r, uint32_t first_part)
{
	uint32_t most = r->hit_count;

	for (uint32_t p = first_part; p; p = r->work->parts[p - 1].next) {
		const struct part *part = &r->work->parts[p - 1];
		most += part->found_end - part->found + part->unit_end - part->unit;
	}
	return most <= RUN_HITS_MAX;
}

/* Returns the first event that did not fit. */
static uint32_t events_count(struct rules *r, struct event *events, uint32_t from, uint32_t count,
			     struct ledger *ledger, struct ledger_rule *by_rule)
{
	const struct rules_work *w = r->work;

	for (uint32_t i = from; i < count; i++) {
		if (!w->part_of[i])
			continue;
		if (!event_fits(r, w->part_of[i]))
			return i;
		for (uint32_t p = w->part_of[i]; p; p = w->parts[p - 1].next) {
			found_count(r, &w->parts[p - 1], &events[i], i, ledger, by_rule);
			units_count(r, &w->parts[p - 1], &events[i], i, by_rule);
		}
	}
	return count;
}

uint32_t rules_run(struct rules *r, struct store *store, const struct catalogue *c, struct event *events,
		   uint32_t from, uint32_t count, struct ledger *ledger, struct ledger_rule *by_rule)
{
	struct rules_work *w = r->work;

	assert(from <= count && count <= ROWS_MAX && c->plan);
	w->store = store;
	w->c = c;
	w->counts = by_rule;
	w->part_count = w->sorted_count = w->seat_count = w->unit_count = 0;
	memset(w->part_of + from, 0, (count - from) * sizeof *w->part_of);
	r->hit_count = 0;
	r->profile_row = NULL;
	types_run(w, events, events_pick(w, events, from, count));
	patterns_run(w, events);
	uint32_t to = events_count(r, events, from, count, ledger, by_rule);
	assert(to > from || from == count);
	return to;
}
