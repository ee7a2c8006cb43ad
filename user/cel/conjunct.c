/*
 * conjunct.c: which conditions of the form `symbol relation value` a program joins with && on its outside.
 *
 * In: live parts. Out: cel_program.conjuncts in the program's arena. Each of them false makes the program
 * false, so an index may skip the rule. What is not of the form is left out: it costs speed, never a hit.
 * Constants that are no value (errors) are left out too, since they are counted when they are met.
 */
#include "parts.h"

#include <assert.h>
#include <string.h>

/* The symbol that a part is, or the symbol as money; NULL when it is none. */
static const struct part *symbol_of(const struct builder *b, uint32_t part, uint8_t *unit)
{
	const struct part *p = &b->parts[part];

	*unit = UNIT_NONE;
	if (p->kind == PART_OPERATION && (p->op == OP_MONEY_OF_EVENT || p->op == OP_MONEY_OF_BASE)) {
		*unit = p->op == OP_MONEY_OF_EVENT ? UNIT_EVENT : UNIT_BASE;
		p = &b->parts[p->a];
	}
	return p->kind == PART_LOAD ? p : NULL;
}

static const struct value *constant_of(const struct builder *b, uint32_t part)
{
	const struct part *p = &b->parts[part];

	if (p->kind != PART_CONSTANT || p->value.status != VALUE_OK)
		return NULL;
	if (p->value.type == TYPE_DOUBLE && p->value.d != p->value.d)
		return NULL;
	return &p->value;
}

static struct cel_load load_of(const struct part *symbol)
{
	return (struct cel_load){ symbol->space, symbol->index };
}

static struct cel_conjunct conjunct_of(const struct part *symbol, uint8_t unit, enum cel_relation relation,
				       const struct value *constants, uint32_t count)
{
	return (struct cel_conjunct){ .symbol = load_of(symbol),
				      .relation = (uint8_t)relation,
				      .type = symbol->type,
				      .unit = unit,
				      .count = count,
				      .constants = constants };
}

/* The relation of an operation, and with its operands the other way around. */
static bool relation_of(enum cel_op op, enum cel_relation *relation, enum cel_relation *turned)
{
	switch (op) {
	case OP_INT_EQ:
	case OP_DOUBLE_EQ:
	case OP_STRING_EQ:
	case OP_MONEY_EQ:
		*relation = *turned = RELATION_EQ;
		return true;
	case OP_INT_LT:
	case OP_DOUBLE_LT:
	case OP_STRING_LT:
	case OP_MONEY_LT:
		*relation = RELATION_LT;
		*turned = RELATION_GT;
		return true;
	case OP_INT_LE:
	case OP_DOUBLE_LE:
	case OP_STRING_LE:
	case OP_MONEY_LE:
		*relation = RELATION_LE;
		*turned = RELATION_GE;
		return true;
	default:
		return false;
	}
}

static bool find_comparison(const struct builder *b, const struct part *p, struct cel_conjunct *out)
{
	enum cel_relation relation, turned;
	uint8_t left_unit, right_unit;
	const struct part *left = symbol_of(b, p->a, &left_unit), *right = symbol_of(b, p->b, &right_unit);

	if (!relation_of(p->op, &relation, &turned) || (!left && !right))
		return false;
	const struct value *constant = constant_of(b, left ? p->b : p->a);
	if (constant)
		*out = conjunct_of(left ? left : right, left ? left_unit : right_unit,
				   left ? relation : turned, constant, 1);
	else if (left && right)
		*out = conjunct_of(left, left_unit, relation, NULL, 0);
	else
		return false;
	out->has_other = !constant;
	if (out->has_other)
		out->other = load_of(right);
	return true;
}

static bool find_search(const struct builder *b, const struct part *p, struct cel_conjunct *out)
{
	uint8_t unit;
	const struct part *symbol = symbol_of(b, p->a, &unit);
	const struct value *list = &b->parts[p->b].value;

	if (!symbol)
		return false;
	*out = conjunct_of(symbol, unit, RELATION_IN, list->list, list->bytes);
	return true;
}

/* One side of an ||: a symbol that equals constants. */
static bool find_equal(const struct builder *b, const struct part *p, struct cel_conjunct *out)
{
	if (p->kind != PART_OPERATION)
		return false;
	if (p->op == OP_INT_IN || p->op == OP_STRING_IN)
		return find_search(b, p, out);
	return (p->op == OP_INT_EQ || p->op == OP_STRING_EQ) && find_comparison(b, p, out) && !out->has_other;
}

/* x == 1 || x in [2, 3]: walked along the left side, which is how || nests. */
static bool find_or(struct builder *b, uint32_t part, struct cel_conjunct *out, bool *no_memory)
{
	struct cel_conjunct side;
	uint32_t count = 0, sides = 0;
	struct value *values;

	for (uint32_t at = part;; at = b->parts[at].a) {
		const struct part *p = &b->parts[at];
		bool more = p->kind == PART_OPERATION && p->op == OP_OR;
		if (!find_equal(b, more ? &b->parts[p->b] : p, &side) ||
		    (sides++ > 0 &&
		     (side.symbol.space != out->symbol.space || side.symbol.index != out->symbol.index)))
			return false;
		*out = side;
		count += side.count;
		if (!more)
			break;
	}
	values = arena_array(b->c->arena, struct value, count);
	if (!values)
		return *no_memory = true;
	count = 0;
	for (uint32_t at = part;; at = b->parts[at].a) {
		const struct part *p = &b->parts[at];
		bool more = p->kind == PART_OPERATION && p->op == OP_OR;
		find_equal(b, more ? &b->parts[p->b] : p, &side);
		memcpy(values + count, side.constants, side.count * sizeof *values);
		count += side.count;
		if (!more)
			break;
	}
	out->relation = RELATION_IN;
	out->constants = values;
	out->count = cel_values_sort(values, count);
	return true;
}

static bool find_one(struct builder *b, uint32_t part, struct cel_conjunct *out, bool *no_memory)
{
	static const struct value no = { .type = TYPE_BOOL }, yes = { .type = TYPE_BOOL, .i = 1 };
	const struct part *p = &b->parts[part];
	const struct value *constant = constant_of(b, part);

	if (constant && !constant->i) {
		*out = (struct cel_conjunct){ .relation = RELATION_NEVER };
		return true;
	}
	if (p->kind == PART_LOAD) {
		*out = conjunct_of(p, UNIT_NONE, RELATION_EQ, &yes, 1);
		return true;
	}
	if (p->kind != PART_OPERATION)
		return false;
	switch (p->op) {
	case OP_NOT:
		if (b->parts[p->a].kind != PART_LOAD)
			return false;
		*out = conjunct_of(&b->parts[p->a], UNIT_NONE, RELATION_EQ, &no, 1);
		return true;
	case OP_OR:
		return find_or(b, part, out, no_memory);
	case OP_INT_IN:
	case OP_STRING_IN:
		return find_search(b, p, out);
	default:
		return find_comparison(b, p, out);
	}
}

/* Constants of a conjunct that still stand in a part move to the arena. */
static bool conjunct_keep(struct builder *b, struct cel_conjunct *conjunct)
{
	struct value *copy;

	if (conjunct->count != 1)
		return true; /* a list of the arena, or of the scope */
	copy = arena_array(b->c->arena, struct value, 1);
	if (!copy)
		return cel_refuse_memory(b->c);
	*copy = conjunct->constants[0];
	if (copy->type == TYPE_STRING)
		copy->s = arena_copy(b->c->arena, copy->s, copy->bytes);
	conjunct->constants = copy;
	return copy->type != TYPE_STRING || copy->s ? true : cel_refuse_memory(b->c);
}

/* Strings of an || are still those of the text. */
static bool strings_keep(struct builder *b, struct cel_conjunct *conjunct)
{
	struct value *values = (struct value *)conjunct->constants;

	for (uint32_t i = 0; i < conjunct->count; i++) {
		if (values[i].type != TYPE_STRING)
			continue;
		values[i].s = arena_copy(b->c->arena, values[i].s, values[i].bytes);
		if (!values[i].s)
			return cel_refuse_memory(b->c);
	}
	return true;
}

static bool conjuncts_collect(struct builder *b, uint32_t *stack, struct cel_conjunct *found, uint32_t *count)
{
	uint32_t depth = 0;

	stack[depth++] = b->result;
	while (depth > 0) {
		uint32_t part = stack[--depth];
		const struct part *p = &b->parts[part];
		bool no_memory = false, operation = p->kind == PART_OPERATION;
		if (operation && (p->op == OP_AND || p->op == OP_MOVE)) {
			if (p->op == OP_AND)
				stack[depth++] = p->b;
			stack[depth++] = p->a;
			continue;
		}
		if (!find_one(b, part, &found[*count], &no_memory))
			continue;
		if (no_memory)
			return cel_refuse_memory(b->c);
		bool of_or = operation && p->op == OP_OR;
		if (!(of_or ? strings_keep(b, &found[*count]) : conjunct_keep(b, &found[*count])))
			return false;
		++*count;
	}
	return true;
}

bool cel_conjuncts_find(struct builder *b, struct cel_program *out)
{
	uint32_t *stack = arena_array(&b->c->temp, uint32_t, b->count + 1);
	struct cel_conjunct *found = arena_array(&b->c->temp, struct cel_conjunct, b->count + 1), *kept;
	uint32_t count = 0;

	if (!stack || !found)
		return cel_refuse_memory(b->c);
	if (!conjuncts_collect(b, stack, found, &count))
		return false;
	if (count > UINT16_MAX)
		count = UINT16_MAX;
	kept = arena_array(b->c->arena, struct cel_conjunct, count + 1);
	if (!kept)
		return cel_refuse_memory(b->c);
	memcpy(kept, found, count * sizeof *kept);
	out->conjuncts = kept;
	out->conjunct_count = (uint16_t)count;
	return true;
}
