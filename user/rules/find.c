/*
 * find.c: which rules are not false at which rows of a group, without asking who subscribes.
 *
 * In: the group. Out: found[], in order of rows, within a row by rule number, from group.first_found on in
 * `sorted`. Rules without an index are evaluated over all rows; the index gives pairs of a row and a rule
 * whose bounds hold there, which are gathered by rule and evaluated over those rows. A rule that is nothing
 * but its bounds needs no evaluation. What a column cannot do goes to cel_eval() row by row.
 */
#include "work.h"

#include <assert.h>
#include <catalogue/env.h>
#include <cel/program.h>
#include <string.h>

/* ---- one condition over rows ---- */

/* The zone of a holder; without a row, or an attribute, the bank's. */
const struct zone *work_zone(const struct rules_work *w, const struct row *holder)
{
	if (w->c->attribute_zone < 0 || w->c->zone_count == 0)
		return &w->c->zone;
	struct value name = row_attribute(w->store, w->c, holder, (uint16_t)w->c->attribute_zone);
	return catalogue_zone(w->c, &name);
}

struct cel_env work_env(struct rules_work *w, const struct event *e, const struct row *holder)
{
	struct cel_env env = event_env(w->c, e, w->scratch, STAGE_SCRATCH_BYTES);

	row_account(e->account, w->account);
	env.space[SPACE_ACCOUNT] = w->account;
	row_profile(w->store, w->c, holder, w->profile);
	env.space[SPACE_PROFILE] = w->profile;
	env.zone = work_zone(w, holder);
	return env;
}

static struct outcome interpret(struct rules_work *w, const struct cat_rule *rule, const uint16_t *rows,
				uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct event *e = w->group.e[rows ? rows[i] : i];
		struct cel_env env = work_env(w, e, e->actor);
		struct value v = cel_eval(&rule->when, &env);
		w->one_bits[i] = v.i;
		w->one_status[i] = column_status((enum value_status)v.status, v.bytes);
	}
	w->interpreted += n;
	return (struct outcome){ w->one_bits, w->one_status };
}

/* rows NULL: all of the group. */
static struct outcome evaluate(struct rules_work *w, uint16_t number, const uint16_t *rows, uint32_t n)
{
	const struct cat_rule *rule = &w->c->rules[number];
	const struct plan_rule *plan = &w->c->plan->rules[number];
	const struct cel_instruction *load = rule->when.code;
	struct cel_column loads[LOADS_MAX];

	if (!plan->columns)
		return interpret(w, rule, rows, n);
	for (unsigned k = 0; k < rule->when.instructions && load->op == OP_LOAD; k++, load++) {
		loads[k] = *group_column(w, (uint8_t)load->a, load->b, load->flags);
		if (rows) {
			column_take(&loads[k], rows, n, &w->sub[k]);
			loads[k] = w->sub[k].column;
		}
	}
	if (plan->money) {
		const uint16_t *currency = group_currency(w);
		for (uint32_t i = 0; rows && i < n; i++)
			w->sub_currency[i] = currency[rows[i]];
		w->columns.event_currency = rows ? w->sub_currency : currency;
	}
	for (uint32_t i = 0; plan->zone && i < n; i++)
		w->zones[i] = work_zone(w, w->group.e[rows ? rows[i] : i]->actor);
	struct cel_column result = cel_columns_eval(&w->columns, &rule->when, loads, n);
	return (struct outcome){ result.bits, result.status };
}

/* ---- who listens ---- */

static bool type_has(const struct rules_work *w, const struct cat_event *type, const struct cat_rule *rule)
{
	const uint16_t *list = rule->section == SECTION_FRAUD ? type->fraud : type->critical;
	uint32_t low = 0, high = rule->section == SECTION_FRAUD ? type->fraud_count : type->critical_count;

	if (rule->section == SECTION_SUBSCRIPTION) {
		uint32_t bit = (uint32_t)rule->number - w->c->subscription_first;
		return type->subscription_bits[bit / 64] >> bit % 64 & 1;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (list[middle] == rule->number)
			return true;
		if (list[middle] < rule->number)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Has the rule run for the event already: by its type, or by a pattern before this one? */
static bool ran_before(const struct rules_work *w, const struct cat_rule *rule, const struct event *e)
{
	if (type_has(w, e->type, rule))
		return true;
	for (uint32_t left = e->patterns & w->group.patterns; left; left &= left - 1) {
		const struct cat_pattern *p = &w->c->patterns[__builtin_ctz(left)];
		if (type_has(w, &w->c->events[p->event], rule))
			return true;
	}
	return false;
}

bool group_listens(const struct rules_work *w, const struct cat_rule *rule, uint32_t row)
{
	const struct group *g = &w->group;
	const struct event *e = g->e[row];
	const uint8_t *unstaged = rule->section == SECTION_FRAUD ? g->fraud : g->counted;

	if (rule->stages ? !e->staged || !(rule->stages & 1u << e->stage) : !unstaged[row])
		return false;
	return !g->is_pattern || !ran_before(w, rule, e);
}

/* True where the rule listens; NULL: everywhere. */
static const uint8_t *listeners(struct rules_work *w, const struct cat_rule *rule)
{
	const struct group *g = &w->group;
	bool fraud = rule->section == SECTION_FRAUD;

	if (!rule->stages && !g->is_pattern) {
		if (fraud ? g->all_fraud : g->all_counted)
			return NULL;
		return fraud ? g->fraud : g->counted;
	}
	for (uint32_t i = 0; i < g->count; i++)
		w->listen[i] = group_listens(w, rule, i);
	return w->listen;
}

/* ---- rules without an index ---- */

/*
 * Rows at which a bound holds, or has no value to hold for; of all rows, or of those that stand in rows[]
 * already. All are written, those kept that count: no branch to be guessed wrong.
 */
static uint32_t bound_rows(struct rules_work *w, const struct plan_bound *bound, bool all, uint16_t *rows,
			   uint32_t n, bool *known)
{
	const uint8_t *status;
	const int64_t *v = group_numbers(w, bound->field, &status);
	uint32_t kept = 0;

	*known &= !status;
	if (bound->count == 1 && !status) {
		const uint64_t low = (uint64_t)bound->in->low, width = (uint64_t)bound->in->high - low;
		for (uint32_t i = 0; i < n; i++) {
			uint16_t row = all ? (uint16_t)i : rows[i];
			rows[kept] = row;
			kept += (uint64_t)v[row] - low <= width;
		}
		return kept;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint16_t row = all ? (uint16_t)i : rows[i];
		rows[kept] = row;
		kept += (status && status[row]) || plan_bound_has(bound, v[row]);
	}
	return kept;
}

/* Notes where a condition is not false: at rows[], or with NULL at all rows. */
static void found_note(struct rules_work *w, uint16_t rule, struct outcome o, const uint16_t *rows,
		       uint32_t n, const uint8_t *listen)
{
	struct found *to = &w->found[w->found_count];
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t status = o.status ? o.status[i] : 0;
		uint16_t row = rows ? rows[i] : (uint16_t)i;
		to[k] = (struct found){ row, rule, status };
		k += (status || o.bits[i]) && (!listen || listen[row]);
	}
	w->found_count += k;
}

static void bounded_find(struct rules_work *w, uint16_t rule, const struct plan_rule *plan,
			 const uint8_t *listen)
{
	uint16_t rows[ROWS_MAX];
	uint32_t n = w->group.count;
	bool known = true;

	for (unsigned i = 0; i < plan->bound_count && n; i++)
		n = bound_rows(w, &plan->bounds[i], i == 0, rows, n, &known);
	if (n == 0)
		return;
	if (!plan->exact || !known) {
		found_note(w, rule, evaluate(w, rule, rows, n), rows, n, listen);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!listen || listen[rows[i]])
			w->found[w->found_count++] = (struct found){ rows[i], rule, 0 };
}

static void always_find(struct rules_work *w)
{
	const struct group *g = &w->group;

	for (uint32_t i = 0; i < g->plan->always_count; i++) {
		uint16_t rule = g->plan->always[i];
		const struct plan_rule *plan = &w->c->plan->rules[rule];
		const uint8_t *listen = listeners(w, &w->c->rules[rule]);
		if (plan->bound_count)
			bounded_find(w, rule, plan, listen);
		else
			found_note(w, rule, evaluate(w, rule, NULL, g->count), NULL, g->count, listen);
	}
}

/* ---- rules with an index ---- */

struct indexed {
	const int64_t *numbers[PLAN_FIELDS_MAX];
	const uint8_t *status[PLAN_FIELDS_MAX];
	uint32_t pairs;
};

/* A rule whose first bound holds at a row, or is not known to. */
static void candidate_add(struct rules_work *w, struct indexed *x, uint16_t rule, uint32_t row, bool known)
{
	const struct plan_rule *plan = &w->c->plan->rules[rule];

	for (unsigned i = 1; i < plan->bound_count; i++) {
		const struct plan_bound *bound = &plan->bounds[i];
		const uint8_t *status = x->status[bound->field];
		if (status && status[row])
			known = false;
		else if (!plan_bound_has(bound, x->numbers[bound->field][row]))
			return;
	}
	if (!group_listens(w, &w->c->rules[rule], row))
		return;
	if (plan->exact && known) {
		w->found[w->found_count++] = (struct found){ (uint16_t)row, rule, 0 };
		return;
	}
	w->pairs[x->pairs++] = (struct found){ (uint16_t)row, rule, 0 };
	__builtin_prefetch(w->c->rules[rule].when.code);
	by_rule_count(&w->by_rule, rule);
}

enum passes { PASSES_NOT, PASSES, PASSES_KNOWN };

/* By the bound that stands with it: no more of the rule is looked at for most. */
static enum passes candidate_passes(const struct indexed *x, const struct plan_candidate *c, uint32_t row)
{
	if (c->field == PLAN_NO_FIELD)
		return PASSES_KNOWN;
	if (x->status[c->field] && x->status[c->field][row])
		return PASSES;
	int64_t v = x->numbers[c->field][row];
	return v >= c->in.low && v <= c->in.high ? PASSES_KNOWN : PASSES_NOT;
}

/* Do all rules of its section that list no stages listen, on every row? */
static bool all_listen(const struct group *g, bool fraud)
{
	return !g->is_pattern && (fraud ? g->all_fraud : g->all_counted);
}

static void row_candidates(struct rules_work *w, struct indexed *x, const struct plan_index *index,
			   uint32_t row, uint32_t node)
{
	for (; node; node = index->nodes[node / 2].up) {
		const struct plan_candidate *at = &index->candidates[index->nodes[node].first];
		const struct plan_candidate *end = &index->candidates[index->nodes[node + 1].first];
		for (; at < end; at++) {
			enum passes passes = candidate_passes(x, at, row);
			if (passes == PASSES_NOT)
				continue;
			__builtin_prefetch(&w->counts[at->rule].hits, 1);
			if (passes == PASSES_KNOWN && at->decides && all_listen(&w->group, at->fraud))
				w->found[w->found_count++] = (struct found){ (uint16_t)row, at->rule, 0 };
			else
				candidate_add(w, x, at->rule, row, true);
		}
	}
}

/* First where the rows' candidates stand, so that the ways there overlap; then the candidates. */
static void index_find(struct rules_work *w, struct indexed *x, const struct plan_index *index)
{
	const uint32_t n = w->group.count;
	const uint8_t *status = x->status[index->field];
	const int64_t *numbers = x->numbers[index->field];
	uint32_t node[ROWS_MAX];

	for (uint32_t row = 0; row < n; row++) {
		node[row] = status && status[row] ? 0 : plan_index_find(index, numbers[row]);
		__builtin_prefetch(&index->nodes[node[row]]);
	}
	for (uint32_t row = 0; row < n; row++)
		__builtin_prefetch(&index->candidates[index->nodes[node[row]].first]);
	for (uint32_t row = 0; row < n; row++) {
		if (!status || !status[row]) {
			row_candidates(w, x, index, row, node[row]);
			continue;
		}
		for (uint32_t i = 0; i < index->all_count; i++)
			candidate_add(w, x, index->all[i], row, false);
	}
}

/* Evaluates each rule that has pairs over its rows. */
static void pairs_find(struct rules_work *w, uint32_t count)
{
	struct by_rule *b = &w->by_rule;
	uint16_t rows[ROWS_MAX];

	by_rule_lay_out(b);
	for (uint32_t i = 0; i < count; i++)
		w->places[by_rule_place(b, w->pairs[i].rule)] = w->pairs[i].row;
	for (uint32_t t = 0; t < b->touched_count; t++) {
		uint16_t rule = b->touched[t];
		uint32_t n = b->count[rule], first = b->first[rule] - n;
		for (uint32_t i = 0; i < n; i++)
			rows[i] = (uint16_t)w->places[first + i];
		struct outcome o = evaluate(w, rule, rows, n);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t status = o.status ? o.status[i] : 0;
			if (status || o.bits[i])
				w->found[w->found_count++] = (struct found){ rows[i], rule, status };
		}
	}
	by_rule_clear(b);
}

static void indexes_find(struct rules_work *w)
{
	const struct plan_type *plan = w->group.plan;
	struct indexed x; /* of the type's fields only */

	x.pairs = 0;
	for (uint32_t i = 0; i < plan->field_count; i++) {
		uint16_t field = plan->fields[i];
		x.numbers[field] = group_numbers(w, field, &x.status[field]);
	}
	for (uint32_t k = 0; k < plan->index_count; k++)
		index_find(w, &x, &plan->indexes[k]);
	pairs_find(w, x.pairs);
}

/* ---- by row ---- */

static void found_merge(const struct found *from, uint32_t low, uint32_t middle, uint32_t high,
			struct found *to)
{
	uint32_t i = low, k = middle;

	for (uint32_t at = low; at < high; at++)
		to[at] = k == high || (i < middle && from[i].rule <= from[k].rule) ? from[i++] : from[k++];
}

/* By rule, in widths that double; `room` is as long. Few lists are longer than one or two. */
static void row_sort(struct found *list, uint32_t count, struct found *room)
{
	for (uint32_t width = 1; width < count; width *= 2) {
		for (uint32_t low = 0; low < count; low += 2 * width) {
			uint32_t middle = low + width < count ? low + width : count;
			uint32_t high = low + 2 * width < count ? low + 2 * width : count;
			found_merge(list, low, middle, high, room);
		}
		memcpy(list, room, count * sizeof *list);
	}
}

/* From the order of evaluation into that of rows, within a row by rule. */
static void found_sort(struct rules_work *w)
{
	const struct group *g = &w->group;
	uint32_t *first = w->row_found, total = w->sorted_count, place[ROWS_MAX];

	for (uint32_t i = 0; i <= g->count; i++)
		first[i] = 0;
	for (uint32_t i = 0; i < w->found_count; i++)
		first[w->found[i].row]++;
	for (uint32_t i = 0; i <= g->count; i++) {
		uint32_t count = first[i];
		first[i] = total;
		total += count;
	}
	for (uint32_t i = 0; i < g->count; i++)
		place[i] = first[i];
	for (uint32_t i = 0; i < w->found_count; i++)
		w->sorted[place[w->found[i].row]++] = w->found[i];
	for (uint32_t i = 0; g->plan->index_count && i < g->count; i++)
		row_sort(&w->sorted[first[i]], first[i + 1] - first[i], w->pairs);
	w->sorted_count = total;
	assert(w->sorted_count <= FOUND_MAX);
}

void group_find(struct rules_work *w)
{
	w->found_count = 0;
	w->columns.rates = &w->c->rates;
	w->columns.zones = w->zones;
	always_find(w);
	if (w->group.plan->index_count)
		indexes_find(w);
	found_sort(w);
}
