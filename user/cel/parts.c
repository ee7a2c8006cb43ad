/*
 * parts.c: from checked nodes to parts (parts.h): each node becomes a constant, a load or an operation.
 *
 * In: nodes, operands first. Out: parts in compiler.temp; what depends on constants only is computed at once,
 * by the same code that evaluates. What the result does not need is marked and dropped by who writes. Lists
 * of constants and compiled constants stand in the program's arena from the start.
 */
#include "parts.h"
#include "regex.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FOLD_BYTES = 64, PARTS_PER_NODE_MAX = 12 };

/* A new part; PART_NONE when memory for a folded string is out. The array holds what a tree can need. */
static uint32_t part_new(struct builder *b, struct part part)
{
	assert(b->count < b->max);
	b->parts[b->count] = part;
	return b->count++;
}

static uint32_t part_constant(struct builder *b, struct value v)
{
	return part_new(b, (struct part){ .kind = PART_CONSTANT, .value = v });
}

/* One load per symbol. */
static uint32_t part_load(struct builder *b, const struct cel_symbol *symbol)
{
	uint32_t *newest = &b->loads[symbol->space];

	for (uint32_t i = *newest; i != PART_NONE; i = b->parts[i].c)
		if (b->parts[i].index == symbol->index)
			return i;
	*newest = part_new(b, (struct part){ .kind = PART_LOAD,
					     .op = OP_LOAD,
					     .space = symbol->space,
					     .index = symbol->index,
					     .type = (uint8_t)symbol->type,
					     .unit = (uint8_t)symbol->unit,
					     .c = *newest });
	return *newest;
}

/* Runs one instruction over constants. */
static uint32_t part_fold(struct builder *b, enum cel_op op, uint32_t x, uint32_t y)
{
	const struct value constants[2] = { b->parts[x].value, b->parts[y].value };
	struct cel_instruction code = { .op = (uint8_t)op,
					.flags = OPERAND_A_CONSTANT | OPERAND_B_CONSTANT,
					.b = cel_op_rules[op].operands > 1 };
	struct cel_program program = {
		.code = &code, .constants = constants, .instructions = 1, .registers = 1
	};
	uint32_t room = FOLD_BYTES;

	if (cel_op_rules[op].traits & OP_IS_STRICT)
		code.flags |= OPERAND_STRICT;
	if (op == OP_STRING_ADD && constants[0].status == VALUE_OK && constants[1].status == VALUE_OK)
		room += constants[0].bytes + constants[1].bytes;
	program.type = cel_op_rules[op].type;
	struct cel_env env = { .scratch = arena_take(&b->c->temp, room), .scratch_bytes = room };
	if (!env.scratch) {
		cel_refuse_memory(b->c);
		return PART_NONE;
	}
	return part_constant(b, cel_eval(&program, &env));
}

/* && and || where one side is known: false && x is false, true && x is x. */
static uint32_t part_logic(const struct builder *b, enum cel_op op, uint32_t x, uint32_t y)
{
	for (int side = 0; side < 2; side++) {
		uint32_t known = side ? y : x, other = side ? x : y;
		const struct value *v = &b->parts[known].value;
		if (part_is_constant(b, known) && v->status == VALUE_OK)
			return v->i == (op == OP_OR) ? known : other;
	}
	return PART_NONE;
}

static uint32_t part_operation(struct builder *b, enum cel_op op, uint32_t x, uint32_t y)
{
	const struct cel_op_rule *rule = &cel_op_rules[op];
	uint32_t known = op == OP_AND || op == OP_OR ? part_logic(b, op, x, y) : PART_NONE;

	assert(rule->operands == 1 || rule->operands == 2);
	if (known != PART_NONE)
		return known;
	if (rule->operands == 1)
		y = x;
	if ((rule->traits & OP_FOLDS) && part_is_constant(b, x) && part_is_constant(b, y))
		return part_fold(b, op, x, y);
	return part_new(b, (struct part){ .kind = PART_OPERATION, .op = op, .a = x, .b = y });
}

static uint32_t part_choice(struct builder *b, uint32_t condition, uint32_t yes, uint32_t no)
{
	const struct value *v = &b->parts[condition].value;

	if (!part_is_constant(b, condition))
		return part_new(b, (struct part){ .kind = PART_CHOICE, .a = condition, .b = yes, .c = no });
	if (v->status != VALUE_OK)
		return condition;
	return v->i ? yes : no;
}

/* An int of minor units as money, where it meets money. */
static uint32_t part_as_money(struct builder *b, const struct node *n)
{
	if (n->type == TYPE_MONEY)
		return n->part;
	assert(n->type == TYPE_INT && n->unit != UNIT_NONE);
	return part_operation(b, n->unit == UNIT_EVENT ? OP_MONEY_OF_EVENT : OP_MONEY_OF_BASE, n->part,
			      n->part);
}

static uint32_t part_compare(struct builder *b, enum node_kind kind, const struct node *left,
			     const struct node *right)
{
	static const struct {
		uint8_t place; /* behind EQ: EQ, NE, LT, LE */
		bool swap;
	} relations[] = { [NODE_IN] = { 0, false }, [NODE_EQ] = { 0, false }, [NODE_NE] = { 1, false },
			  [NODE_LT] = { 2, false }, [NODE_LE] = { 3, false }, [NODE_GT] = { 2, true },
			  [NODE_GE] = { 3, true } };
	bool money = left->type == TYPE_MONEY || right->type == TYPE_MONEY;
	uint32_t x = money ? part_as_money(b, left) : left->part;
	uint32_t y = money ? part_as_money(b, right) : right->part;

	if (left->type == TYPE_LIST)
		return part_operation(b, kind == NODE_EQ ? OP_LIST_EQ : OP_LIST_NE, x, y);
	enum cel_op first = money			? OP_MONEY_EQ
			    : left->type == TYPE_DOUBLE ? OP_DOUBLE_EQ
			    : left->type == TYPE_STRING ? OP_STRING_EQ
							: OP_INT_EQ;

	if (x == PART_NONE || y == PART_NONE)
		return PART_NONE;
	return part_operation(b, first + relations[kind].place, relations[kind].swap ? y : x,
			      relations[kind].swap ? x : y);
}

int cel_value_order(const struct value *a, const struct value *b)
{
	assert(a->type == b->type);
	if (a->type == TYPE_STRING) {
		uint32_t least = a->bytes < b->bytes ? a->bytes : b->bytes;
		int order = least ? memcmp(a->s, b->s, least) : 0;
		return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
	}
	if (a->type == TYPE_DOUBLE)
		return (a->d > b->d) - (a->d < b->d);
	return (a->i > b->i) - (a->i < b->i);
}

static int order_for_sort(const void *a, const void *b)
{
	return cel_value_order(a, b);
}

uint32_t cel_values_sort(struct value *values, uint32_t count)
{
	uint32_t left = 0;

	qsort(values, count, sizeof *values, order_for_sort);
	for (uint32_t i = 0; i < count; i++)
		if (left == 0 || cel_value_order(&values[left - 1], &values[i]) != 0)
			values[left++] = values[i];
	return left;
}

static bool strings_copy(struct builder *b, struct value *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (values[i].type != TYPE_STRING || values[i].status != VALUE_OK)
			continue;
		values[i].s = arena_copy(b->c->arena, values[i].s, values[i].bytes);
		if (!values[i].s)
			return cel_refuse_memory(b->c);
	}
	return true;
}

/* A list of constants as a constant; PART_LIST where an element is none. */
static uint32_t part_list(struct builder *b, const struct node *n)
{
	struct value list = { .type = TYPE_LIST, .bytes = n->count };
	struct value *values;
	uint32_t i = 0;

	if (n->right_of_in)
		return part_constant(b, (struct value){ .type = TYPE_BOOL }); /* nobody reads it */
	for (const struct node *item = n->list; item; item = item->sibling)
		if (!part_is_constant(b, item->part))
			return part_new(b, (struct part){ .kind = PART_LIST, .node = n });
	values = arena_array(b->c->arena, struct value, n->count + 1);
	if (!values) {
		cel_refuse_memory(b->c);
		return PART_NONE;
	}
	for (const struct node *item = n->list; item; item = item->sibling)
		values[i++] = b->parts[item->part].value;
	list.list = values;
	return strings_copy(b, values, n->count) ? part_constant(b, list) : PART_NONE;
}

static bool type_is_searched(unsigned type)
{
	return type == TYPE_BOOL || type == TYPE_INT || type == TYPE_STRING || type == TYPE_TIMESTAMP ||
	       type == TYPE_DURATION;
}

/* x in constants: by binary search. `values` is sorted here, or was. */
static uint32_t part_search(struct builder *b, uint32_t x, struct value *values, uint32_t count, bool sorted)
{
	struct value list = { .type = TYPE_LIST, .bytes = count, .list = values };
	uint32_t constant;

	if (!sorted)
		list.bytes = cel_values_sort(values, count);
	constant = part_constant(b, list);
	return part_operation(b, values[0].type == TYPE_STRING ? OP_STRING_IN : OP_INT_IN, x, constant);
}

/* The elements of a list in brackets when all are constants that can be searched; NULL when not. */
static struct value *elements_searched(struct builder *b, const struct node *list)
{
	struct value *values;
	uint32_t i = 0;

	for (const struct node *item = list->list; item; item = item->sibling) {
		const struct part *p = &b->parts[item->part];
		if (p->kind != PART_CONSTANT || p->value.status != VALUE_OK ||
		    !type_is_searched(p->value.type))
			return NULL;
	}
	values = arena_array(b->c->arena, struct value, list->count);
	if (!values) {
		cel_refuse_memory(b->c);
		return NULL;
	}
	for (const struct node *item = list->list; item; item = item->sibling)
		values[i++] = b->parts[item->part].value;
	return strings_copy(b, values, list->count) ? values : NULL;
}

/* x in [..]: a search, or == with each joined by ||. */
static uint32_t part_in_elements(struct builder *b, const struct node *x, const struct node *list)
{
	uint32_t any = PART_NONE;

	if (!list->list)
		return part_operation(b, OP_FALSE, x->part, PART_NONE);
	if (list->count > 1 && x->type != TYPE_MONEY) {
		struct value *values = elements_searched(b, list);
		if (values)
			return part_search(b, x->part, values, list->count, false);
		if (b->c->rc != 0)
			return PART_NONE;
	}
	for (const struct node *item = list->list; item; item = item->sibling) {
		uint32_t equal = part_compare(b, NODE_IN, x, item);
		if (equal == PART_NONE)
			return PART_NONE;
		any = any == PART_NONE ? equal : part_operation(b, OP_OR, any, equal);
		if (any == PART_NONE)
			return PART_NONE;
	}
	return any;
}

static uint32_t part_in(struct builder *b, const struct node *n)
{
	const struct node *x = n->operand[0], *list = n->operand[1];
	const struct value *v = &b->parts[list->part].value;

	if (list->right_of_in)
		return part_in_elements(b, x, list);
	/* lists.NAME is ascending; any other list is walked over */
	if (part_is_constant(b, list->part) && v->bytes == 0)
		return part_operation(b, OP_FALSE, x->part, PART_NONE);
	if (list->kind == NODE_NAME && part_is_constant(b, list->part) && type_is_searched(v->list->type))
		return part_search(b, x->part, (struct value *)v->list, v->bytes, true);
	return part_operation(b, OP_LIST_IN, x->part, list->part);
}

static uint32_t part_compiled(struct builder *b, const void *compiled)
{
	return part_constant(b, (struct value){ .compiled = compiled });
}

/* The time of an accessor in its zone, and the seconds that are left to add. */
static uint32_t part_accessor(struct builder *b, const struct node *n)
{
	uint32_t time = n->list->part;

	if (n->zone)
		time = part_operation(b, OP_TIME_IN_ZONE, time, part_compiled(b, n->zone));
	if (time == PART_NONE)
		return PART_NONE;
	return part_operation(b, n->op, time,
			      part_constant(b, (struct value){ .type = TYPE_INT, .i = n->zone_s }));
}

/*
 * geo.km(): a, the haversine of the angle between two places, and f = 1 - a computed apart, since the
 * difference would be nothing but rounding for places at opposite ends of the earth (geo.h).
 */
static uint32_t part_geo(struct builder *b, const struct node *n)
{
	uint32_t lat = n->list->part, lon = n->list->sibling->part;
	uint32_t lat2 = n->list->sibling->sibling->part, lon2 = n->list->sibling->sibling->sibling->part;
	uint32_t cosines = part_operation(b, OP_GEO_LAT_COS, lat, lat2);
	uint32_t near = part_operation(b, OP_GEO_LON_NEAR, lon, lon2);
	uint32_t far = part_operation(b, OP_GEO_LON_FAR, lon, lon2);

	if (cosines == PART_NONE || near == PART_NONE || far == PART_NONE)
		return PART_NONE;
	near = part_operation(b, OP_DOUBLE_MUL, cosines, near);
	far = part_operation(b, OP_DOUBLE_MUL, cosines, far);
	lon = part_operation(b, OP_GEO_LAT_NEAR, lat, lat2);
	lat = part_operation(b, OP_GEO_LAT_FAR, lat, lat2);
	if (near == PART_NONE || far == PART_NONE || lon == PART_NONE || lat == PART_NONE)
		return PART_NONE;
	near = part_operation(b, OP_DOUBLE_ADD, lon, near);
	far = part_operation(b, OP_DOUBLE_ADD, lat, far);
	return near == PART_NONE || far == PART_NONE ? PART_NONE : part_operation(b, OP_GEO_KM, near, far);
}

static uint32_t part_call(struct builder *b, const struct node *n)
{
	uint32_t x = n->list->part, y = x;

	if (n->op == OP_NONE)
		return x;
	if (n->op == OP_GEO_KM)
		return part_geo(b, n);
	if (n->op >= OP_TIME_YEAR && n->op <= OP_TIME_MILLISECONDS)
		return part_accessor(b, n);
	if (n->op == OP_STRING_MATCHES)
		y = part_compiled(b, n->regex);
	else if (n->list->sibling)
		y = n->list->sibling->part;
	return part_operation(b, n->op, x, y);
}

static uint32_t part_macro(struct builder *b, const struct node *n)
{
	return part_new(b, (struct part){ .kind = PART_MACRO,
					  .a = n->operand[0]->part,
					  .b = n->operand[1] ? n->operand[1]->part : PART_NONE,
					  .c = n->operand[2] ? n->operand[2]->part : PART_NONE,
					  .slot = n->slot,
					  .node = n });
}

static uint32_t part_name(struct builder *b, const struct node *n)
{
	if (n->symbol.type == TYPE_NONE) /* dynamic: evaluation says that nothing has the name */
		return part_new(b, (struct part){ .kind = PART_NAMELESS });
	if (n->symbol.space == SPACE_CONSTANT)
		return part_constant(b, n->value);
	return part_load(b, &n->symbol);
}

/* What is the same whether types are static or dynamic; PART_NONE: is not. */
static uint32_t part_plain(struct builder *b, const struct node *n)
{
	uint32_t x = n->operand[0] ? n->operand[0]->part : PART_NONE;
	uint32_t y = n->operand[1] ? n->operand[1]->part : PART_NONE;

	switch (n->kind) {
	case NODE_LITERAL:
		return part_constant(b, n->value);
	case NODE_NAME:
		return part_name(b, n);
	case NODE_VARIABLE:
		return part_new(b, (struct part){ .kind = PART_VARIABLE, .slot = n->slot });
	case NODE_LIST:
		return part_list(b, n);
	case NODE_MACRO:
		return part_macro(b, n);
	case NODE_AND:
		return part_operation(b, OP_AND, x, y);
	case NODE_OR:
		return part_operation(b, OP_OR, x, y);
	case NODE_CHOICE:
		return part_choice(b, x, y, n->operand[2]->part);
	default:
		return PART_NONE;
	}
}

static bool node_is_plain(const struct node *n)
{
	return n->kind == NODE_LITERAL || n->kind == NODE_NAME || n->kind == NODE_VARIABLE ||
	       n->kind == NODE_LIST || n->kind == NODE_MACRO || n->kind == NODE_AND || n->kind == NODE_OR ||
	       n->kind == NODE_CHOICE;
}

/* Operators and calls wait for the types of their operands. && || ?: over constants that are no bool too. */
static uint32_t part_dynamic(struct builder *b, const struct node *n)
{
	struct part p = { .kind = n->kind == NODE_CALL ? PART_CALL : PART_OPERATOR, .node = n };

	if (n->kind != NODE_CALL) {
		p.a = n->operand[0]->part;
		p.b = n->operand[1] ? n->operand[1]->part : PART_NONE;
		p.c = n->operand[2] ? n->operand[2]->part : PART_NONE;
	}
	return part_new(b, p);
}

static uint32_t part_of(struct builder *b, const struct node *n)
{
	uint32_t x = n->operand[0] ? n->operand[0]->part : PART_NONE;
	uint32_t y = n->operand[1] ? n->operand[1]->part : PART_NONE;

	if (b->c->scope->dynamic &&
	    (!node_is_plain(n) || n->kind == NODE_AND || n->kind == NODE_OR || n->kind == NODE_CHOICE))
		return part_dynamic(b, n);
	if (node_is_plain(n))
		return part_plain(b, n);
	switch (n->kind) {
	case NODE_CALL:
		return part_call(b, n);
	case NODE_NOT:
		return part_operation(b, OP_NOT, x, x);
	case NODE_IN:
		return part_in(b, n);
	case NODE_EQ:
	case NODE_NE:
	case NODE_LT:
	case NODE_LE:
	case NODE_GT:
	case NODE_GE:
		return part_compare(b, n->kind, n->operand[0], n->operand[1]);
	default:
		return part_operation(b, n->op, n->swap ? y : x, n->swap ? x : y);
	}
}

/* A result that is a constant, or money of no money: the program has at least one instruction. */
static uint32_t part_result(struct builder *b, uint32_t root)
{
	if (!part_is_constant(b, root))
		return root;
	return part_new(b, (struct part){ .kind = PART_OPERATION, .op = OP_MOVE, .a = root, .b = root });
}

static void part_read(struct builder *b, uint32_t part, uint32_t reader)
{
	if (part == PART_NONE)
		return;
	b->parts[part].live = true;
	if (b->parts[part].last_reader < reader)
		b->parts[part].last_reader = reader;
}

static bool part_is_interpreted(const struct part *p)
{
	return p->kind >= PART_LIST || (p->kind == PART_OPERATION && p->op >= OP_LIST_SIZE);
}

/* Marks what the result needs, from the back; parts stand behind what they read. */
static void parts_mark(struct builder *b)
{
	b->parts[b->result].live = true;
	b->parts[b->result].last_reader = UINT32_MAX;
	for (uint32_t i = b->count; i-- > 1;) {
		const struct part *p = &b->parts[i];
		if (!p->live || p->kind == PART_CONSTANT || p->kind == PART_LOAD)
			continue;
		b->interpreted = b->interpreted || part_is_interpreted(p);
		part_read(b, p->a, i);
		part_read(b, p->b, i);
		part_read(b, p->c, i);
		if (p->kind != PART_LIST && p->kind != PART_CALL)
			continue;
		for (const struct node *item = p->node->list; item; item = item->sibling)
			part_read(b, item->part, i);
	}
}

bool cel_parts_make(struct builder *b, const struct node *root)
{
	/* A node makes few parts, but for the distance of two places; every element of a list is a node too.
	 */
	b->max = PARTS_PER_NODE_MAX * b->c->nodes + 8;
	b->parts = arena_array(&b->c->temp, struct part, b->max);
	if (!b->parts)
		return cel_refuse_memory(b->c);
	b->count = 1;
	for (struct node *n = b->c->first; n; n = n->next) {
		n->part = part_of(b, n);
		if (n->part == PART_NONE)
			return false;
	}
	b->result = part_result(b, root->part);
	parts_mark(b);
	return true;
}
