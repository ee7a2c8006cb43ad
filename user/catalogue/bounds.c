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
#include <string.h>

enum { TERMS_MAX = 64 };

enum term_kind { TERM_ANY, TERM_CONSTANT, TERM_FIELD, TERM_BOUNDS };

struct term {
	enum term_kind kind;
	uint8_t space, type; /* TERM_FIELD */
	uint16_t index;
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
	hash = (hash ^ hash >> 32) * UINT64_C(0x9E3779B97F4A7C15); /* the upper bytes reach the lower bits, too */
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

static int64_t text_number(struct bounds_names *n, const struct value *v)
{
	struct plan_slot *slot = bounds_text_slot(n->texts, n->slots, n->text_slots, v->s, v->bytes);

	if (!slot->number) {
		n->texts[n->text_count++] = (struct plan_text){ v->s, v->bytes };
		*slot = (struct plan_slot){ text_hash(v->s, v->bytes), n->text_count };
	}
	return slot->number - 1;
}

static uint16_t field_number(struct bounds_names *n, const struct term *t)
{
	uint16_t *number = &n->number[t->space][t->index];

	if (!*number) {
		assert(n->field_count < PLAN_FIELDS_MAX);
		n->fields[n->field_count++] =
			(struct plan_field){ .space = t->space, .type = t->type, .index = t->index };
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

/* field == c, field < c, c < field...: c is an int, or for strings its number. */
static void compare_terms(struct machine *m, enum cel_op op, const struct term *a, const struct term *b,
			  struct term *out)
{
	bool turned = a->kind == TERM_CONSTANT;
	const struct term *field = turned ? b : a, *other = turned ? a : b;

	out->kind = TERM_ANY;
	if (field->kind != TERM_FIELD || other->kind != TERM_CONSTANT || other->constant->status != VALUE_OK)
		return;
	bool text = op == OP_STRING_EQ || op == OP_STRING_NE;
	int64_t c = text ? text_number(m->names, other->constant) : other->constant->i;
	bool strict = op == OP_INT_LT;
	if (op == OP_INT_EQ || op == OP_INT_NE || text)
		one_bound(m, field, c, c, false, out);
	else if (turned)
		one_bound(m, field, strict && c < INT64_MAX ? c + 1 : c, INT64_MAX, strict && c == INT64_MAX,
			  out);
	else
		one_bound(m, field, INT64_MIN, strict && c > INT64_MIN ? c - 1 : c, strict && c == INT64_MIN,
			  out);
	if ((op == OP_INT_NE || op == OP_STRING_NE) && out->kind == TERM_BOUNDS)
		bound_turn(m, &out->bounds.in[0]);
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
	case OP_INT_EQ:
	case OP_INT_NE:
	case OP_INT_LT:
	case OP_INT_LE:
	case OP_STRING_EQ:
	case OP_STRING_NE:
		compare_terms(m, op, a, b, out);
		break;
	default:
		break;
	}
}

static void load_term(const struct machine *m, const struct cel_instruction *load, struct term *out)
{
	bool type = load->flags == TYPE_BOOL || load->flags == TYPE_INT || load->flags == TYPE_STRING ||
		    load->flags == TYPE_TIMESTAMP || load->flags == TYPE_DURATION;
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
