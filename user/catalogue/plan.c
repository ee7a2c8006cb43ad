/*
 * plan.c: makes the plan of a compiled catalogue (plan.h).
 *
 * In: rules with their programs, and which rules listen to a type. First each rule's bounds; then, by all
 * bounds of a field, how much of it each leaves; then per type the rules without an index and a tree for each
 * field that rules of it are indexed by. Out: arrays in the catalogue's arena. What can go wrong is memory,
 * which ends the compilation; a plan that would take more than PLAN_BYTES_MAX leaves the types behind
 * without an index: slower, the same hits.
 *
 * Read link_plan first, then index_make.
 */
#include "plan.h"

#include "bounds.h"
#include "compile.h"

#include <assert.h>
#include <cel/columns.h>
#include <cel/program.h>
#include <stdlib.h>
#include <string.h>

static const size_t PLAN_BYTES_MAX = 256 << 20;
enum {
	NOT_PROFILE_SPACES = 1 << SPACE_ME | 1 << SPACE_PARAM,
	HOLDER_SPACES = NOT_PROFILE_SPACES | 1 << SPACE_PROFILE,
	EVENT_SPACES = 1 << SPACE_EVENT | 1 << SPACE_BODY | 1 << SPACE_AGG | 1 << SPACE_ACCOUNT,
};

/* What of a rule's bounds goes to which index: one interval of one rule. */
struct span {
	struct plan_interval in;
	uint16_t rule;
};

struct planner {
	struct build *b;
	struct cat_plan *plan;
	struct plan_rule *rules;
	struct bounds_names names;
	struct span *spans;	    /* scratch, of one index */
	int64_t *cuts;		    /* scratch: boundaries of one field */
	uint16_t *listed, *members; /* scratch: rules of one type */
	uint32_t intervals;	    /* of all bounds */
	size_t bytes;		    /* of indexes so far */
};

int64_t plan_text_number(const struct cat_plan *plan, const char *s, uint32_t bytes)
{
	if (!plan->text_slots)
		return -1;
	return (int64_t)bounds_text_slot(plan->texts, plan->slots, plan->text_slots, s, bytes)->number - 1;
}

/* ---- bounds of rules ---- */

static void rule_bounds(struct planner *p, const struct cat_rule *rule, struct plan_rule *out)
{
	bool subscription = rule->section == SECTION_SUBSCRIPTION;
	struct bounds bounds = { 0 };

	out->columns = cel_columns_can(&rule->when);
	for (uint32_t i = 0; i < rule->when.instructions; i++) {
		out->money |= rule->when.code[i].op == OP_MONEY_OF_EVENT;
		out->zone |= rule->when.code[i].op == OP_TIME_LOCAL;
	}
	/* what is interpreted may ask for local times, for all that is known here */
	out->holder =
		subscription && ((rule->when.spaces & HOLDER_SPACES) || out->zone || rule->when.interpreted);
	out->actor = out->holder && out->columns && !(rule->when.spaces & NOT_PROFILE_SPACES);
	uint32_t spaces = EVENT_SPACES | 1u << SPACE_PROFILE;
	if (!bounds_of(&rule->when, spaces, &p->names, &p->b->c->arena, &bounds))
		build_take(p->b, SIZE_MAX / 4); /* memory is out, as the next take would find */
	out->exact = bounds.exact;
	out->bound_count = bounds.count;
	struct plan_bound *copy = build_array(p->b, struct plan_bound, bounds.count + 1);
	memcpy(copy, bounds.in, bounds.count * sizeof *copy);
	out->bounds = copy;
	for (unsigned i = 0; i < bounds.count; i++)
		p->intervals += bounds.in[i].count;
}

/* ---- which bound leaves least ---- */

static int compare_int64(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

static void cuts_add(struct planner *p, uint32_t *count, const struct plan_interval *in)
{
	if (in->low != INT64_MIN)
		p->cuts[(*count)++] = in->low;
	if (in->high != INT64_MAX)
		p->cuts[(*count)++] = in->high + 1;
}

static uint32_t cuts_sort(int64_t *cuts, uint32_t count)
{
	uint32_t kept = 0;

	qsort(cuts, count, sizeof *cuts, compare_int64);
	for (uint32_t i = 0; i < count; i++)
		if (i == 0 || cuts[i] != cuts[kept - 1])
			cuts[kept++] = cuts[i];
	return kept;
}

/* Which segment a value lies in: how many cuts are at or below it. */
static uint32_t segment_of(const int64_t *cuts, uint32_t count, int64_t v)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (cuts[middle] <= v)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static double bound_share(const int64_t *cuts, uint32_t count, const struct plan_bound *bound)
{
	uint32_t covered = 0;

	for (uint32_t i = 0; i < bound->count; i++)
		covered += segment_of(cuts, count, bound->in[i].high) -
			   segment_of(cuts, count, bound->in[i].low) + 1;
	return (double)covered / (count + 1);
}

/* Puts the bound of each rule first that covers the smallest share of its field's segments. */
static void bounds_order(struct planner *p)
{
	const struct catalogue *c = p->b->c;
	double *best = build_scratch_array(p->b, double, c->rule_count + 1);

	for (uint32_t r = 0; r < c->rule_count; r++)
		best[r] = 2;
	for (uint16_t field = 0; field < p->names.field_count; field++) {
		uint32_t count = 0;
		for (uint32_t r = 0; r < c->rule_count; r++)
			for (unsigned i = 0; i < p->rules[r].bound_count; i++)
				for (uint32_t k = 0;
				     p->rules[r].bounds[i].field == field && k < p->rules[r].bounds[i].count;
				     k++)
					cuts_add(p, &count, &p->rules[r].bounds[i].in[k]);
		count = cuts_sort(p->cuts, count);
		for (uint32_t r = 0; r < c->rule_count; r++) {
			struct plan_bound *bounds = (struct plan_bound *)p->rules[r].bounds;
			unsigned i = 0;
			while (i < p->rules[r].bound_count && bounds[i].field != field)
				i++;
			if (i == p->rules[r].bound_count)
				continue;
			double share = bound_share(p->cuts, count, &bounds[i]);
			if (share >= best[r])
				continue;
			best[r] = share;
			struct plan_bound first = bounds[i];
			bounds[i] = bounds[0];
			bounds[0] = first;
		}
	}
}

/* ---- the index of a type by a field ---- */

static struct plan_candidate candidate_of(const struct planner *p, uint16_t rule)
{
	const struct plan_rule *plan = &p->rules[rule];
	const struct cat_rule *said = &p->b->c->rules[rule];
	struct plan_candidate c = { .rule = rule,
				    .field = PLAN_NO_FIELD,
				    .fraud = said->section == SECTION_FRAUD };

	for (unsigned i = plan->bound_count; i-- > 1;) {
		if (plan->bounds[i].count != 1)
			continue;
		c.field = plan->bounds[i].field;
		c.in = plan->bounds[i].in[0];
	}
	unsigned held = 1 + (c.field != PLAN_NO_FIELD);
	c.decides = plan->exact && plan->bound_count == held && !said->stages;
	return c;
}

/* Each node that an interval stands at: counts, or with `to` fills. */
static void span_place(const struct planner *p, const struct plan_index *index, const struct span *span,
		       struct plan_node *nodes, struct plan_candidate *to)
{
	uint32_t low = segment_of(index->boundaries, index->boundary_count, span->in.low) + index->leaf;
	uint32_t end = segment_of(index->boundaries, index->boundary_count, span->in.high) + index->leaf + 1;

	for (; low < end; low /= 2, end /= 2) {
		uint32_t node[2] = { low & 1 ? low++ : 0, end & 1 ? --end : 0 };
		for (unsigned i = 0; i < 2; i++) {
			if (!node[i])
				continue;
			if (to)
				to[nodes[node[i]].first] = candidate_of(p, span->rule);
			nodes[node[i]].first++;
		}
	}
}

static void tree_make(struct planner *p, struct plan_index *index, uint32_t spans)
{
	uint32_t count = 2 * index->leaf, total = 0;
	struct plan_node *nodes = build_array(p->b, struct plan_node, count + 1);

	for (uint32_t i = 0; i < spans; i++)
		span_place(p, index, &p->spans[i], nodes, NULL);
	for (uint32_t i = 0; i <= count; i++) {
		uint32_t here = nodes[i].first;
		nodes[i].first = total;
		total += here;
	}
	struct plan_candidate *to = build_array(p->b, struct plan_candidate, total + 1);
	for (uint32_t i = 0; i < spans; i++)
		span_place(p, index, &p->spans[i], nodes, to);
	for (uint32_t i = count; i > 0; i--) /* filling moved each to its end */
		nodes[i].first = nodes[i - 1].first;
	nodes[0].first = 0;
	for (uint32_t i = 1; i < count; i++)
		nodes[i].up = nodes[i + 1].first > nodes[i].first ? i : nodes[i / 2].up;
	index->nodes = nodes;
	index->candidates = to;
	p->bytes += count * sizeof *nodes + total * sizeof *to;
}

/* Places for a search to begin at: about two a boundary, if the boundaries were spread evenly. */
static void hints_make(struct planner *p, struct plan_index *index)
{
	const int64_t *cuts = index->boundaries;
	const uint32_t n = index->boundary_count;
	uint64_t reach = n ? (uint64_t)cuts[n - 1] - (uint64_t)cuts[0] : 0;
	uint32_t at = 0;

	index->low = n ? cuts[0] : INT64_MIN;
	while (index->shift < 63 && reach >> index->shift > 2 * (uint64_t)n)
		index->shift++;
	index->hint_count = (uint32_t)(reach >> index->shift) + 1;
	uint32_t *hints = build_array(p->b, uint32_t, index->hint_count + 1);
	for (uint32_t place = 0; place < index->hint_count; place++) {
		while (at < n && ((uint64_t)cuts[at] - (uint64_t)index->low) >> index->shift < place)
			at++;
		hints[place] = at;
	}
	hints[index->hint_count] = n; /* the last place has all that is above it, too */
	index->hints = hints;
	p->bytes += index->hint_count * sizeof *hints;
}

/* The members of a type whose first bound is of the field; false: there are none. */
static bool index_make(struct planner *p, uint16_t field, const uint16_t *members, uint32_t count,
		       struct plan_index *out)
{
	uint32_t spans = 0, cuts = 0, all_count = 0;

	for (uint32_t i = 0; i < count; i++)
		all_count += p->rules[members[i]].bounds->field == field;
	uint16_t *all = build_array(p->b, uint16_t, all_count + 1);
	all_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct plan_bound *bound = p->rules[members[i]].bounds;
		if (bound->field != field)
			continue;
		all[all_count++] = members[i];
		for (uint32_t k = 0; k < bound->count; k++) {
			p->spans[spans++] = (struct span){ bound->in[k], members[i] };
			cuts_add(p, &cuts, &bound->in[k]);
		}
	}
	cuts = cuts_sort(p->cuts, cuts);
	int64_t *boundaries = build_array(p->b, int64_t, cuts + 1);
	memcpy(boundaries, p->cuts, cuts * sizeof *boundaries);
	*out = (struct plan_index){ .field = field,
				    .boundary_count = cuts,
				    .leaf = 1,
				    .boundaries = boundaries,
				    .all_count = all_count,
				    .all = all };
	while (out->leaf < cuts + 1)
		out->leaf *= 2;
	hints_make(p, out);
	tree_make(p, out, spans);
	p->bytes += (size_t)count * 2 + cuts * sizeof *boundaries;
	return all_count > 0;
}

static uint16_t *fields_of(struct planner *p, const uint16_t *members, uint32_t count, bool first_only,
			   uint32_t *field_count)
{
	uint16_t *fields = build_array(p->b, uint16_t, p->names.field_count + 1);
	uint8_t *has = build_scratch_array(p->b, uint8_t, p->names.field_count + 1);

	memset(has, 0, p->names.field_count);
	for (uint32_t i = 0; i < count; i++) {
		const struct plan_rule *rule = &p->rules[members[i]];
		for (unsigned k = 0; k < (first_only ? 1u : rule->bound_count); k++)
			has[rule->bounds[k].field] = 1;
	}
	*field_count = 0;
	for (uint16_t f = 0; f < p->names.field_count; f++)
		if (has[f])
			fields[(*field_count)++] = f;
	return fields;
}

static void type_index(struct planner *p, struct plan_type *type, const uint16_t *members, uint32_t count)
{
	uint32_t fields_count;
	const uint16_t *fields = fields_of(p, members, count, true, &fields_count);
	struct plan_index *indexes = build_array(p->b, struct plan_index, fields_count + 1);

	for (uint32_t i = 0; i < fields_count; i++) {
		bool any = index_make(p, fields[i], members, count, &indexes[i]);
		assert(any);
	}
	type->indexes = indexes;
	type->index_count = fields_count;
	type->fields = fields_of(p, members, count, false, &type->field_count);
}

/* ---- types ---- */

static bool listens(const struct build *b, const struct cat_event *e, uint32_t r)
{
	uint32_t bit = r - b->c->subscription_first;

	return e->subscription_bits[bit / 64] >> bit % 64 & 1;
}

/* Subscriptions: the bits of those that read the holder; if they are few, as many as the actor's profile will
 * do. */
static void holders_plan(struct planner *p, const struct cat_event *e, struct plan_type *type)
{
	const struct catalogue *c = p->b->c;
	uint32_t few = 0;

	type->holder_bits = build_array(p->b, uint64_t, c->subscription_words + 1);
	for (uint32_t r = c->subscription_first; e->subscription_count && r < c->rule_count; r++) {
		uint32_t bit = r - c->subscription_first;
		if (!listens(p->b, e, r) || !p->rules[r].holder)
			continue;
		type->holder_bits[bit / 64] |= UINT64_C(1) << bit % 64;
		type->holder = true;
		few += p->rules[r].actor;
		type->holder_rest |= !p->rules[r].actor;
	}
	type->actor = few <= PLAN_ACTOR_RULES_MAX;
	type->holder_rest |= few && !type->actor;
}

/* What is found without asking who subscribes, ascending. */
static uint32_t type_rules(struct planner *p, const struct cat_event *e, const struct plan_type *type,
			   uint16_t *out)
{
	const struct catalogue *c = p->b->c;
	uint32_t count = 0;

	for (uint32_t i = 0; i < e->fraud_count; i++)
		out[count++] = e->fraud[i];
	for (uint32_t i = 0; i < e->critical_count; i++)
		out[count++] = e->critical[i];
	for (uint32_t r = c->subscription_first; e->subscription_count && r < c->rule_count; r++)
		if (listens(p->b, e, r) && (!p->rules[r].holder || (p->rules[r].actor && type->actor)))
			out[count++] = (uint16_t)r;
	return count;
}

static bool is_member(const struct planner *p, uint16_t rule)
{
	return p->rules[rule].bound_count && !p->rules[rule].holder;
}

static void type_plan(struct planner *p, const struct cat_event *e, struct plan_type *type)
{
	uint16_t *rules = p->listed, *members = p->members;
	uint32_t member_count = 0, always_count = 0;

	holders_plan(p, e, type);
	uint32_t count = type_rules(p, e, type, rules);
	for (uint32_t i = 0; i < count; i++)
		if (is_member(p, rules[i]))
			members[member_count++] = rules[i];
	if (member_count < PLAN_INDEXED_RULES_MIN || p->bytes > PLAN_BYTES_MAX)
		member_count = 0;
	uint16_t *always = build_array(p->b, uint16_t, count - member_count + 1);
	for (uint32_t i = 0; i < count; i++)
		if (!member_count || !is_member(p, rules[i]))
			always[always_count++] = rules[i];
	type->always = always;
	type->always_count = always_count;
	if (member_count)
		type_index(p, type, members, member_count);
}

void link_plan(struct build *b)
{
	struct catalogue *c = b->c;
	struct planner p = { .b = b, .plan = build_take(b, sizeof *p.plan) };
	struct plan_type *types = build_array(b, struct plan_type, c->event_count + 1);

	p.rules = build_array(b, struct plan_rule, c->rule_count + 1);
	p.names.fields = build_array(b, struct plan_field, PLAN_FIELDS_MAX);
	for (uint32_t r = 0; r < c->rule_count; r++)
		rule_bounds(&p, &c->rules[r], &p.rules[r]);
	p.cuts = build_scratch_array(b, int64_t, 2 * p.intervals + 1);
	p.spans = build_scratch_array(b, struct span, p.intervals + 1);
	p.listed = build_scratch_array(b, uint16_t, c->rule_count + 1);
	p.members = build_scratch_array(b, uint16_t, c->rule_count + 1);
	bounds_order(&p);
	for (uint32_t e = 0; e < c->event_count; e++)
		type_plan(&p, &c->events[e], &types[e]);
	*p.plan = (struct cat_plan){ .field_count = p.names.field_count,
				     .text_count = p.names.text_count,
				     .text_slots = p.names.text_slots,
				     .fields = p.names.fields,
				     .rules = p.rules,
				     .types = types,
				     .texts = p.names.texts,
				     .slots = p.names.slots };
	c->plan = p.plan;
}
