/*
 * term.c: writes what is interpreted, and says first what it can cost.
 *
 * In: live parts, each behind what it reads. Out: terms, constants, items and loads in the program's arena.
 * In the same order runs the bill: steps of an evaluation at worst, elements of lists that it makes, and how
 * high operations stand on each other, from the sizes that the lists of a rule can have at most. Beyond a
 * limit the expression is refused with the figure. Where types are dynamic sizes are not known, and the
 * evaluation counts.
 */
#include "parts.h"
#include "regex.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What a part can cost, and how long the list can be that it gives. */
struct bill {
	uint64_t steps, values, size;
	uint32_t height;
};

struct writer {
	struct builder *b;
	struct bill *bills; /* by part */
	struct cel_term *terms;
	uint32_t *items;
	struct cel_load *loads;
	const char **names;
	uint32_t term_count, item_count, load_count, name_count;
};

static const uint64_t COST_MAX = UINT64_C(1) << 40;

static uint64_t cost_add(uint64_t a, uint64_t b)
{
	return a + b > COST_MAX ? COST_MAX : a + b;
}

static uint64_t cost_multiply(uint64_t a, uint64_t b)
{
	return b > 0 && a > COST_MAX / b ? COST_MAX : a * b;
}

static void bill_add(struct bill *bill, const struct bill *operand)
{
	bill->steps = cost_add(bill->steps, operand->steps);
	bill->values = cost_add(bill->values, operand->values);
	if (bill->height <= operand->height)
		bill->height = operand->height + 1;
}

/* What an operation does beyond a step. */
static void bill_operation(struct writer *w, const struct part *p, struct bill *bill)
{
	const struct bill *a = &w->bills[p->a], *b = &w->bills[p->b];

	if (p->op == OP_LIST_ADD) {
		bill->size = cost_add(a->size, b->size);
		bill->values = cost_add(bill->values, bill->size);
		bill->steps = cost_add(bill->steps, bill->size);
	} else if (p->op == OP_LIST_IN) {
		bill->steps = cost_add(bill->steps, b->size);
	} else if (p->op == OP_LIST_EQ || p->op == OP_LIST_NE) {
		bill->steps = cost_add(bill->steps, a->size < b->size ? a->size : b->size);
	} else if (p->op == OP_STRING_MATCHES) {
		const struct regex *r = w->b->parts[p->b].value.compiled;
		bill->steps = cost_add(bill->steps, r->instructions);
	}
}

static void bill_macro(struct writer *w, const struct part *p, struct bill *bill)
{
	const struct bill *list = &w->bills[p->a];
	struct bill body = { .steps = 1 };

	if (p->b != PART_NONE)
		bill_add(&body, &w->bills[p->b]);
	if (p->c != PART_NONE)
		bill_add(&body, &w->bills[p->c]);
	bill_add(bill, list);
	bill->steps = cost_add(bill->steps, cost_multiply(list->size, body.steps));
	bill->values = cost_add(bill->values, cost_multiply(list->size, body.values));
	if (bill->height <= body.height)
		bill->height = body.height + 1;
	if (p->node->macro == MACRO_MAP || p->node->macro == MACRO_FILTER) {
		bill->size = list->size;
		bill->values = cost_add(bill->values, list->size);
	}
}

static void bill_make(struct writer *w, uint32_t i)
{
	const struct part *p = &w->b->parts[i];
	struct bill *bill = &w->bills[i];

	*bill = (struct bill){ .steps = 1, .height = 1 };
	if (p->kind == PART_CONSTANT && p->value.type == TYPE_LIST)
		bill->size = p->value.bytes;
	if (p->kind == PART_MACRO) {
		bill_macro(w, p, bill);
		return;
	}
	if (p->a != PART_NONE && p->kind != PART_LOAD)
		bill_add(bill, &w->bills[p->a]);
	if (p->b != PART_NONE && p->b != p->a)
		bill_add(bill, &w->bills[p->b]);
	if (p->kind == PART_LIST || p->kind == PART_CALL) {
		for (const struct node *item = p->node->list; item; item = item->sibling)
			bill_add(bill, &w->bills[item->part]);
		bill->size = p->kind == PART_LIST ? p->node->count : 0;
		bill->values = cost_add(bill->values, bill->size);
	} else if (p->kind == PART_OPERATION) {
		bill_operation(w, p, bill);
	} else if (p->kind != PART_LOAD && p->c != PART_NONE) {
		bill_add(bill, &w->bills[p->c]);
		bill->size =
			w->bills[p->b].size > w->bills[p->c].size ? w->bills[p->b].size : w->bills[p->c].size;
	}
}

static bool bill_refuse(struct writer *w, const struct node *root, uint64_t figure, unsigned limit,
			const char *of)
{
	char found[64];

	snprintf(found, sizeof found, "%s%" PRIu64 " %s", figure == COST_MAX ? "more than " : "", figure, of);
	return cel_refuse(w->b->c, root->start, found, "at most %u %s for one evaluation", limit, of);
}

static bool bill_check(struct writer *w, const struct node *root)
{
	const struct bill *bill = &w->bills[w->b->result];
	bool dynamic = w->b->c->scope->dynamic;

	if (!dynamic && bill->steps > PROGRAM_STEPS_MAX)
		return bill_refuse(w, root, bill->steps, PROGRAM_STEPS_MAX, "steps");
	if (!dynamic && bill->values > PROGRAM_VALUES_MAX)
		return bill_refuse(w, root, bill->values, PROGRAM_VALUES_MAX,
				   "elements of lists that are made");
	if (bill->height > PROGRAM_HEIGHT_MAX)
		return bill_refuse(w, root, bill->height, PROGRAM_HEIGHT_MAX, "operations on each other");
	return true;
}

static uint32_t place_of(const struct writer *w, uint32_t part)
{
	return part == PART_NONE ? TERM_ABSENT : w->b->parts[part].place;
}

static uint32_t items_write(struct writer *w, const struct node *list)
{
	uint32_t first = w->item_count;

	for (const struct node *item = list; item; item = item->sibling)
		w->items[w->item_count++] = place_of(w, item->part);
	return first;
}

static bool name_write(struct writer *w, const char *name)
{
	const char *copy = arena_copy(w->b->c->arena, name, strlen(name));

	w->names[w->name_count++] = copy;
	return copy ? true : cel_refuse_memory(w->b->c);
}

static void load_write(struct writer *w, const struct part *p, struct cel_term *t)
{
	w->loads[w->load_count++] = (struct cel_load){ p->space, p->index };
	t->kind = TERM_LOAD;
	t->type = p->type;
	t->a = (uint32_t)p->space;
	t->b = p->index;
}

static bool term_write(struct writer *w, struct part *p)
{
	struct cel_term t = { .a = TERM_ABSENT, .b = TERM_ABSENT, .c = TERM_ABSENT, .slot = p->slot };

	if (p->kind != PART_LOAD) {
		t.a = place_of(w, p->a);
		t.b = place_of(w, p->b);
		t.c = place_of(w, p->c);
	}
	switch (p->kind) {
	case PART_CONSTANT:
		t.kind = TERM_CONSTANT;
		t.a = w->b->constant_count;
		w->b->constants[w->b->constant_count++] = p->value;
		break;
	case PART_LOAD:
		load_write(w, p, &t);
		break;
	case PART_OPERATION:
		t.kind = p->op == OP_AND || p->op == OP_OR ? TERM_LOGIC : TERM_OPERATION;
		t.op = (uint8_t)p->op;
		break;
	case PART_CHOICE:
		t.kind = TERM_CHOICE;
		break;
	case PART_LIST:
		t.kind = TERM_LIST;
		t.a = items_write(w, p->node->list);
		t.b = p->node->count;
		break;
	case PART_VARIABLE:
		t.kind = TERM_VARIABLE;
		break;
	case PART_MACRO:
		t.kind = TERM_MACRO;
		t.op = (uint8_t)p->node->macro;
		break;
	case PART_OPERATOR:
		t.kind = p->node->kind == NODE_CHOICE ? TERM_CHOICE : TERM_OPERATOR;
		t.op = (uint8_t)p->node->kind;
		break;
	case PART_CALL:
		t.kind = TERM_CALL;
		t.type = p->node->is_method;
		t.a = items_write(w, p->node->list);
		t.b = p->node->count;
		t.c = w->name_count;
		if (!name_write(w, p->node->name))
			return false;
		break;
	case PART_NAMELESS:
		t.kind = TERM_NAMELESS;
		break;
	}
	p->place = w->term_count;
	w->terms[w->term_count++] = t;
	return true;
}

/* As many as there can be of each; what stays free is a few bytes. */
static bool writer_init(struct writer *w, struct builder *b)
{
	uint32_t live = 0, loads = 0, items = 0, calls = 0, constants = 0;
	struct arena *arena = b->c->arena;

	for (uint32_t i = 1; i < b->count; i++) {
		const struct part *p = &b->parts[i];
		live += p->live;
		loads += p->live && p->kind == PART_LOAD;
		constants += p->live && p->kind == PART_CONSTANT;
		calls += p->live && p->kind == PART_CALL;
		items += p->live && (p->kind == PART_LIST || p->kind == PART_CALL) ? p->node->count : 0;
	}
	*w = (struct writer){ .b = b,
			      .bills = arena_array(&b->c->temp, struct bill, b->count),
			      .terms = arena_array(arena, struct cel_term, live),
			      .items = arena_array(arena, uint32_t, items + 1),
			      .loads = arena_array(arena, struct cel_load, loads + 1),
			      .names = arena_array(arena, const char *, calls + 1) };
	b->constants = arena_array(arena, struct value, constants + 1);
	return (w->bills && w->terms && w->items && w->loads && w->names && b->constants) ||
	       cel_refuse_memory(b->c);
}

bool cel_terms_write(struct builder *b, const struct node *root, struct cel_program *out)
{
	struct cel_tree *tree = arena_take(b->c->arena, sizeof *tree);
	struct writer w;

	if (!tree)
		return cel_refuse_memory(b->c);
	if (!writer_init(&w, b))
		return false;
	for (uint32_t i = 1; i < b->count; i++)
		if (b->parts[i].live)
			bill_make(&w, i);
	if (!bill_check(&w, root))
		return false;
	for (uint32_t i = 1; i < b->count; i++) {
		if (!b->parts[i].live)
			continue;
		if (b->parts[i].kind == PART_LOAD)
			out->spaces |= (uint8_t)(1u << b->parts[i].space);
		if (!term_write(&w, &b->parts[i]))
			return false;
	}
	assert(w.term_count > 0 && b->parts[b->result].place == w.term_count - 1);
	*tree = (struct cel_tree){ .terms = w.terms,
				   .items = w.items,
				   .loads = w.loads,
				   .names = w.names,
				   .term_count = w.term_count,
				   .load_count = w.load_count,
				   .name_count = w.name_count,
				   .scope = *b->c->scope };
	out->tree = tree;
	out->steps = (uint32_t)w.bills[b->result].steps;
	return true;
}
