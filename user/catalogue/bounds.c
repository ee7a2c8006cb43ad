/*
 * bounds.c: runs a condition over what is known of its registers: a constant, a field as it was loaded, or
 * bounds, which are intervals of fields outside of which the register is false.
 *
 * && has the bounds of both sides, || the fields that both sides bound, with all intervals of either. What is
 * exact (true inside, false outside) may be turned round by !. Everything else says nothing. Registers of a
 * long condition that do not fit are not looked at: a rule without bounds is always evaluated.
 *
 * Memory: intervals from the caller's arena. Nothing can go wrong but memory.
 */
#include "bounds.h"

#include <assert.h>
#include <cel/program.h>
#include <stdlib.h>
#include <string.h>

enum {
	TERMS_MAX = 64,
	MONEY_FIELDS_MAX = PLAN_FIELDS_MAX - 800, /* the rest is for the others: SPACE_* have fewer */
	BOUND_LIST_MAX = 4096,			  /* a longer list bounds nothing */
};

enum term_kind { TERM_ANY, TERM_CONSTANT, TERM_FIELD, TERM_BOUNDS };

struct term {
	enum term_kind kind;
	uint8_t space, type; /* TERM_FIELD */
	bool money;	     /* in event.currency, to be compared as money */
	uint16_t index, currency;
	const struct value *constant;
	struct bounds bounds;
};

struct machine {
	const struct cel_program *program;
	uint32_t spaces;
	struct bounds_names *names;
	struct arena *arena;
	bool full; /* memory is out */
	struct term terms[TERMS_MAX];
};

/* For a table in memory only: no outcome and nothing that is kept depends on it. */
static uint32_t text_hash(const char *s, uint32_t bytes)
{
	uint64_t hash = bytes, part = 0;
	uint32_t four;

	for (; bytes > 8; bytes -= 8, s += 8) {
		memcpy(&part, s, 8);
		hash = (hash ^ part) * UINT64_C(0x9E3779B97F4A7C15);
		hash ^= hash >> 29;
	}
	if (bytes >= 4) { /* the ends, which may overlap */
		memcpy(&four, s + bytes - 4, 4);
		part = (uint64_t)four << 32;
		memcpy(&four, s, 4);
		part |= four;
	} else {
		for (part = 0; bytes > 0; bytes--)
			part = part << 8 | (uint8_t)s[bytes - 1];
	}
	hash = (hash ^ part) * UINT64_C(0x9E3779B97F4A7C15);
	hash = (hash ^ hash >> 32) *
	       UINT64_C(0x9E3779B97F4A7C15); /* the upper bytes reach the lower bits, too */
	return (uint32_t)(hash >> 32);
}

struct plan_slot *bounds_text_slot(const struct plan_text *texts, const struct plan_slot *slots,
				   uint32_t slot_count, const char *s, uint32_t bytes)
{
	uint32_t hash = text_hash(s, bytes), at = hash & (slot_count - 1);

	for (; slots[at].number; at = (at + 1) & (slot_count - 1)) {
		const struct plan_text *text = &texts[slots[at].number - 1];
		if (slots[at].hash == hash && text->bytes == bytes &&
		    (bytes == 0 || memcmp(text->s, s, bytes) == 0))
			break;
	}
	return (struct plan_slot *)&slots[at];
}

/* Room for twice as many texts, each in its new slot. */
static bool names_grow(struct bounds_names *n, struct arena *arena)
{
	uint32_t slot_count = n->text_slots ? 2 * n->text_slots : 64;
	struct plan_slot *slots = arena_array(arena, struct plan_slot, slot_count);
	struct plan_text *texts = arena_array(arena, struct plan_text, slot_count / 2 + 1);

	if (!slots || !texts)
		return false;
	if (n->text_count)
		memcpy(texts, n->texts, n->text_count * sizeof *texts);
	for (uint32_t i = 0; i < n->text_count; i++)
		*bounds_text_slot(texts, slots, slot_count, texts[i].s, texts[i].bytes) =
			(struct plan_slot){ text_hash(texts[i].s, texts[i].bytes), i + 1 };
	n->slots = slots;
	n->texts = texts;
	n->text_slots = slot_count;
	return true;
}

static int64_t text_number(struct machine *m, const struct value *v)
{
	struct bounds_names *n = m->names;

	if (n->text_count >= n->text_slots / 2 && !names_grow(n, m->arena)) {
		m->full = true;
		return 0;
	}
	struct plan_slot *slot = bounds_text_slot(n->texts, n->slots, n->text_slots, v->s, v->bytes);
	if (!slot->number) {
		n->texts[n->text_count++] = (struct plan_text){ v->s, v->bytes };
		*slot = (struct plan_slot){ text_hash(v->s, v->bytes), n->text_count };
	}
	return slot->number - 1;
}

static uint16_t field_number(struct bounds_names *n, const struct term *t)
{
	const struct plan_field field = {
		.space = t->space, .type = t->type, .index = t->index, .currency = t->currency
	};
	uint16_t *number = &n->number[t->space][t->index];

	if (t->currency) { /* one for each currency, which are few */
		uint16_t i = 0;
		while (i < n->field_count &&
		       (n->fields[i].space != t->space || n->fields[i].index != t->index ||
			n->fields[i].currency != t->currency))
			i++;
		if (i == n->field_count)
			n->fields[n->field_count++] = field;
		return i;
	}
	if (!*number) {
		n->fields[n->field_count++] = field;
		*number = (uint16_t)n->field_count;
	}
	return (uint16_t)(*number - 1);
}

/* ---- sets of intervals, ascending, with gaps between them ---- */

static struct plan_interval *intervals_take(struct machine *m, uint32_t count)
{
	struct plan_interval *in = arena_array(m->arena, struct plan_interval, count + 1);

	m->full |= !in;
	return in;
}

static void interval_add(struct plan_interval *in, uint32_t *count, struct plan_interval one)
{
	struct plan_interval *last = *count ? &in[*count - 1] : NULL;

	if (last && (last->high == INT64_MAX || one.low <= last->high + 1)) {
		if (one.high > last->high)
			last->high = one.high;
		return;
	}
	in[(*count)++] = one;
}

static void bound_union(struct machine *m, struct plan_bound *into, const struct plan_bound *other)
{
	struct plan_interval *in = intervals_take(m, into->count + other->count);
	uint32_t count = 0, i = 0, k = 0;

	while (in && (i < into->count || k < other->count)) {
		bool left = k == other->count || (i < into->count && into->in[i].low <= other->in[k].low);
		interval_add(in, &count, left ? into->in[i++] : other->in[k++]);
	}
	into->in = in;
	into->count = count;
}

static void bound_meet(struct machine *m, struct plan_bound *into, const struct plan_bound *other)
{
	struct plan_interval *in = intervals_take(m, into->count + other->count);
	uint32_t count = 0, i = 0, k = 0;

	while (in && i < into->count && k < other->count) {
		const struct plan_interval *a = &into->in[i], *b = &other->in[k];
		struct plan_interval one = { a->low > b->low ? a->low : b->low,
					     a->high < b->high ? a->high : b->high };
		if (one.low <= one.high)
			interval_add(in, &count, one);
		if (a->high < b->high)
			i++;
		else
			k++;
	}
	into->in = in;
	into->count = count;
}

static void bound_turn(struct machine *m, struct plan_bound *bound)
{
	struct plan_interval *in = intervals_take(m, bound->count + 1);
	int64_t low = INT64_MIN;
	uint32_t count = 0, i = 0;

	for (; in && i < bound->count; i++) {
		if (bound->in[i].low > low)
			in[count++] = (struct plan_interval){ low, bound->in[i].low - 1 };
		if (bound->in[i].high == INT64_MAX)
			break;
		low = bound->in[i].high + 1;
	}
	if (in && i == bound->count)
		in[count++] = (struct plan_interval){ low, INT64_MAX };
	bound->in = in;
	bound->count = count;
}

/* ---- terms ---- */

static const struct plan_bound *bound_find(const struct bounds *b, uint16_t field)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->in[i].field == field)
			return &b->in[i];
	return NULL;
}

static void one_bound(struct machine *m, const struct term *field, int64_t low, int64_t high, bool empty,
		      struct term *out)
{
	struct plan_interval *in = intervals_take(m, 1);

	if (!in)
		return;
	*in = (struct plan_interval){ low, high };
	out->kind = TERM_BOUNDS;
	out->bounds = (struct bounds){ .exact = true,
				       .count = 1,
				       .in = { { field_number(m->names, field), !empty, in } } };
}

/* A bool field that stands as a condition. */
static void as_condition(struct machine *m, const struct term *t, struct term *out)
{
	*out = *t;
	if (t->kind == TERM_FIELD && t->type == TYPE_BOOL)
		one_bound(m, t, 1, 1, false, out);
}

static void and_terms(struct machine *m, const struct term *a, const struct term *b, struct term *out)
{
	if (a->kind != TERM_BOUNDS || b->kind != TERM_BOUNDS) {
		*out = a->kind == TERM_BOUNDS ? *a : *b;
		out->bounds.exact = false;
		if (out->kind != TERM_BOUNDS)
			out->kind = TERM_ANY;
		return;
	}
	*out = *a;
	out->bounds.exact &= b->bounds.exact;
	for (unsigned i = 0; i < b->bounds.count; i++) {
		const struct plan_bound *theirs = &b->bounds.in[i];
		struct plan_bound *mine = (struct plan_bound *)bound_find(&out->bounds, theirs->field);
		if (mine)
			bound_meet(m, mine, theirs);
		else if (out->bounds.count < PLAN_BOUNDS_MAX)
			out->bounds.in[out->bounds.count++] = *theirs;
		else
			out->bounds.exact = false;
	}
}

static void or_terms(struct machine *m, const struct term *a, const struct term *b, struct term *out)
{
	out->kind = TERM_ANY;
	if (a->kind != TERM_BOUNDS || b->kind != TERM_BOUNDS)
		return;
	out->bounds = (struct bounds){ .exact = a->bounds.exact && b->bounds.exact && a->bounds.count == 1 &&
						b->bounds.count == 1 };
	for (unsigned i = 0; i < a->bounds.count; i++) {
		const struct plan_bound *theirs = bound_find(&b->bounds, a->bounds.in[i].field);
		if (!theirs)
			continue;
		struct plan_bound *mine = &out->bounds.in[out->bounds.count++];
		*mine = a->bounds.in[i];
		bound_union(m, mine, theirs);
	}
	if (out->bounds.count)
		out->kind = TERM_BOUNDS;
}

static void not_term(struct machine *m, const struct term *a, struct term *out)
{
	*out = *a;
	if (a->kind == TERM_BOUNDS && a->bounds.exact && a->bounds.count == 1)
		bound_turn(m, &out->bounds.in[0]);
	else
		out->kind = TERM_ANY;
}

/* The constant that a field of this type is compared with, as the field's numbers are; false: it bounds
 * nothing. */
static bool constant_number(struct machine *m, const struct term *field, const struct value *v, int64_t *c)
{
	if (v->status != VALUE_OK || field->money != (v->type == TYPE_MONEY) ||
	    (field->money && m->names->field_count >= MONEY_FIELDS_MAX))
		return false;
	if (field->type == TYPE_DOUBLE) {
		*c = plan_double_number(v->d);
		return v->d == v->d;
	}
	*c = field->type == TYPE_STRING ? text_number(m, v) : v->i;
	return true;
}

/* Operations come in fours: ==, !=, <, <=. Which of them; -1: none. */
static int relation_of(enum cel_op op)
{
	static const enum cel_op first[] = { OP_INT_EQ, OP_DOUBLE_EQ, OP_STRING_EQ, OP_MONEY_EQ };

	for (unsigned i = 0; i < sizeof first / sizeof *first; i++)
		if (op >= first[i] && op < first[i] + 4)
			return (int)(op - first[i]);
	return -1;
}
_Static_assert(OP_INT_LE == OP_INT_EQ + 3 && OP_DOUBLE_LE == OP_DOUBLE_EQ + 3 &&
		       OP_STRING_LE == OP_STRING_EQ + 3 && OP_MONEY_LE == OP_MONEY_EQ + 3,
	       "==, !=, <, <=");

/* field == c, field < c, c < field... */
static void compare_terms(struct machine *m, int relation, const struct term *a, const struct term *b,
			  struct term *out)
{
	bool turned = a->kind == TERM_CONSTANT, strict = relation == 2;
	const struct term *other = turned ? a : b;
	struct term field = turned ? *b : *a;
	int64_t c;

	out->kind = TERM_ANY;
	if (field.kind != TERM_FIELD || other->kind != TERM_CONSTANT ||
	    (field.type == TYPE_STRING && relation > 1) || !constant_number(m, &field, other->constant, &c))
		return;
	if (field.money)
		field.currency = other->constant->currency;
	if (relation < 2)
		one_bound(m, &field, c, c, false, out);
	else if (turned)
		one_bound(m, &field, strict && c < INT64_MAX ? c + 1 : c, INT64_MAX, strict && c == INT64_MAX,
			  out);
	else
		one_bound(m, &field, INT64_MIN, strict && c > INT64_MIN ? c - 1 : c, strict && c == INT64_MIN,
			  out);
	if (relation == 1 && out->kind == TERM_BOUNDS)
		bound_turn(m, &out->bounds.in[0]);
}

static int compare_intervals(const void *left, const void *right)
{
	const struct plan_interval *a = left, *b = right;

	return (a->low > b->low) - (a->low < b->low);
}

/* field in [..], a constant list */
static void list_terms(struct machine *m, enum cel_op op, const struct term *a, const struct term *b,
		       struct term *out)
{
	const struct value *list = b->constant;
	uint32_t count = 0;

	if (a->kind != TERM_FIELD || b->kind != TERM_CONSTANT || list->status != VALUE_OK ||
	    list->bytes > BOUND_LIST_MAX)
		return;
	struct plan_interval *all = intervals_take(m, list->bytes), *in = intervals_take(m, list->bytes);
	for (uint32_t i = 0; in && all && i < list->bytes; i++) {
		const struct value *v = &list->list[i];
		all[i].low = all[i].high = op == OP_STRING_IN ? text_number(m, v) : v->i;
	}
	one_bound(m, a, 0, 0, true, out);
	if (m->full || out->kind != TERM_BOUNDS)
		return;
	qsort(all, list->bytes, sizeof *all, compare_intervals);
	for (uint32_t i = 0; i < list->bytes; i++)
		interval_add(in, &count, all[i]);
	out->bounds.in[0].in = in;
	out->bounds.in[0].count = count;
}

static void step(struct machine *m, enum cel_op op, const struct term *a, const struct term *b,
		 struct term *out)
{
	struct term x, y;

	out->kind = TERM_ANY;
	switch (op) {
	case OP_AND:
	case OP_OR:
	case OP_NOT:
		as_condition(m, a, &x);
		as_condition(m, b, &y);
		if (op == OP_AND)
			and_terms(m, &x, &y, out);
		else if (op == OP_OR)
			or_terms(m, &x, &y, out);
		else
			not_term(m, &x, out);
		break;
	case OP_INT_IN:
	case OP_STRING_IN:
		list_terms(m, op, a, b, out);
		break;
	case OP_MONEY_OF_EVENT:
		if (a->kind != TERM_FIELD || a->type != TYPE_INT)
			break;
		*out = *a;
		out->money = true;
		break;
	default:
		if (relation_of(op) >= 0)
			compare_terms(m, relation_of(op), a, b, out);
	}
}

static void load_term(const struct machine *m, const struct cel_instruction *load, struct term *out)
{
	bool type = load->flags == TYPE_BOOL || load->flags == TYPE_INT || load->flags == TYPE_STRING ||
		    load->flags == TYPE_TIMESTAMP || load->flags == TYPE_DURATION ||
		    load->flags == TYPE_DOUBLE;
	bool usable = type && load->b < 256 && (m->spaces >> load->a & 1);

	*out = (struct term){ .kind = usable ? TERM_FIELD : TERM_ANY,
			      .space = (uint8_t)load->a,
			      .type = load->flags,
			      .index = load->b };
}

static const struct term *operand(const struct machine *m, bool constant, uint16_t index, struct term *room)
{
	if (!constant)
		return &m->terms[index];
	room->kind = TERM_CONSTANT;
	room->constant = &m->program->constants[index];
	return room;
}

bool bounds_of(const struct cel_program *program, uint32_t spaces, struct bounds_names *names,
	       struct arena *arena, struct bounds *out)
{
	struct machine m; /* terms are written before they are read */
	struct term a, b, result;

	*out = (struct bounds){ 0 };
	if (program->instructions == 0 || program->registers > TERMS_MAX)
		return true;
	m.program = program;
	m.spaces = spaces;
	m.names = names;
	m.arena = arena;
	m.full = false;
	for (unsigned i = 0; i < program->instructions && !m.full; i++) {
		const struct cel_instruction *at = &program->code[i];
		if (at->op == OP_LOAD) {
			load_term(&m, at, &m.terms[at->dst]);
			continue;
		}
		step(&m, (enum cel_op)at->op, operand(&m, at->flags & OPERAND_A_CONSTANT, at->a, &a),
		     operand(&m, at->flags & OPERAND_B_CONSTANT, at->b, &b), &result);
		m.terms[at->dst] = result;
	}
	if (m.full)
		return false;
	as_condition(&m, &m.terms[program->code[program->instructions - 1].dst], &result);
	if (result.kind == TERM_BOUNDS)
		*out = result.bounds;
	return !m.full;
}
