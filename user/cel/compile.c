/*
 * compile.c: cel_compile, and the way from a checked tree to a program.
 *
 * In: nodes, operands first. First each node becomes a part (a constant, a load or an operation over
 * earlier parts), computed at once where its operands are constants. Then what the result does not need
 * is dropped, registers are given out (a register is free again behind its last reader), and loads and
 * operations are written into the caller's arena. Parts live in compiler.temp; the program borrows nothing.
 */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PART_NONE = 0, FOLD_BYTES = 64 };

enum part_kind { PART_CONSTANT, PART_LOAD, PART_OPERATION, PART_CHOICE };

struct part {
	enum part_kind kind;
	enum cel_op op;
	uint32_t a, b, c; /* parts; PART_NONE. CHOICE: a ? b : c */
	struct value value;
	enum cel_space space;
	uint16_t index;
	uint8_t type; /* LOAD */
	bool live;
	uint32_t last_reader; /* part */
	uint16_t place;	      /* register, or index in constants */
};

struct builder {
	struct compiler *c;
	struct part *parts; /* [0] is not used */
	uint32_t count, max;
	uint32_t loads[SPACE_COUNT]; /* newest load of the space; the one before is in part.c */
	/* when written */
	struct cel_instruction *code;
	struct value *constants;
	uint32_t instructions, constant_count, registers, free_count;
	uint16_t *free;
};

const struct cel_op_rule cel_op_rules[OP_COUNT] = {
#define F (OP_IS_STRICT | OP_FOLDS)
#define S OP_IS_STRICT
#define L OP_FOLDS
#define N 0
#define X(name, count, of, what) [OP_##name] = { .operands = (count), .type = TYPE_##of, .traits = (what) },
	CEL_OPS(X)
#undef X
#undef F
#undef S
#undef L
#undef N
};

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

static bool is_constant(const struct builder *b, uint32_t part)
{
	return b->parts[part].kind == PART_CONSTANT;
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
		if (is_constant(b, known) && v->status == VALUE_OK)
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
	if ((rule->traits & OP_FOLDS) && is_constant(b, x) && is_constant(b, y))
		return part_fold(b, op, x, y);
	return part_new(b, (struct part){ .kind = PART_OPERATION, .op = op, .a = x, .b = y });
}

static uint32_t part_choice(struct builder *b, uint32_t condition, uint32_t yes, uint32_t no)
{
	const struct value *v = &b->parts[condition].value;

	if (!is_constant(b, condition))
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
	enum cel_op first = money			? OP_MONEY_EQ
			    : left->type == TYPE_DOUBLE ? OP_DOUBLE_EQ
			    : left->type == TYPE_STRING ? OP_STRING_EQ
							: OP_INT_EQ;

	if (x == PART_NONE || y == PART_NONE)
		return PART_NONE;
	return part_operation(b, first + relations[kind].place, relations[kind].swap ? y : x,
			      relations[kind].swap ? x : y);
}

static uint32_t part_in(struct builder *b, const struct node *n)
{
	uint32_t any = PART_NONE;

	if (!n->list)
		return part_operation(b, OP_FALSE, n->operand[0]->part, PART_NONE);
	for (const struct node *item = n->list; item; item = item->sibling) {
		uint32_t equal = part_compare(b, NODE_IN, n->operand[0], item);
		if (equal == PART_NONE)
			return PART_NONE;
		any = any == PART_NONE ? equal : part_operation(b, OP_OR, any, equal);
		if (any == PART_NONE)
			return PART_NONE;
	}
	return any;
}

static uint32_t part_call(struct builder *b, const struct node *n)
{
	uint32_t x = n->list->part, y = x;

	if (n->op == OP_NONE)
		return x;
	if (n->op >= OP_TIME_YEAR && n->op <= OP_TIME_MILLISECONDS)
		y = part_constant(b, (struct value){ .type = TYPE_INT, .i = n->zone_s });
	else if (n->list->sibling)
		y = n->list->sibling->part;
	return part_operation(b, n->op, x, y);
}

static uint32_t part_of(struct builder *b, const struct node *n)
{
	uint32_t x = n->operand[0] ? n->operand[0]->part : PART_NONE;
	uint32_t y = n->operand[1] ? n->operand[1]->part : PART_NONE;

	switch (n->kind) {
	case NODE_LITERAL:
		return part_constant(b, n->value);
	case NODE_NAME:
		if (n->symbol.space == SPACE_CONSTANT)
			return part_constant(b, n->value);
		return part_load(b, &n->symbol);
	case NODE_CALL:
		return part_call(b, n);
	case NODE_NOT:
		return part_operation(b, OP_NOT, x, x);
	case NODE_AND:
		return part_operation(b, OP_AND, x, y);
	case NODE_OR:
		return part_operation(b, OP_OR, x, y);
	case NODE_CHOICE:
		return part_choice(b, x, y, n->operand[2]->part);
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
	if (!is_constant(b, root))
		return root;
	return part_new(b, (struct part){ .kind = PART_OPERATION, .op = OP_MOVE, .a = root, .b = root });
}

static bool parts_make(struct builder *b, const struct node *root, uint32_t *result)
{
	/* A node makes at most one part and an `in` three for each element; every element is a node too. */
	b->max = 4 * b->c->nodes + 8;
	b->parts = arena_array(&b->c->temp, struct part, b->max);
	if (!b->parts)
		return cel_refuse_memory(b->c);
	b->count = 1;
	for (struct node *n = b->c->first; n; n = n->next) {
		n->part = part_of(b, n);
		if (n->part == PART_NONE)
			return false;
	}
	*result = part_result(b, root->part);
	return true;
}

static void part_read(struct builder *b, uint32_t part, uint32_t reader)
{
	if (part == PART_NONE)
		return;
	b->parts[part].live = true;
	if (b->parts[part].last_reader < reader)
		b->parts[part].last_reader = reader;
}

/* Marks what the result needs, from the back; parts stand behind what they read. */
static void parts_mark(struct builder *b, uint32_t result)
{
	b->parts[result].live = true;
	b->parts[result].last_reader = UINT32_MAX;
	for (uint32_t i = b->count; i-- > 1;) {
		const struct part *p = &b->parts[i];
		if (!p->live || p->kind == PART_CONSTANT || p->kind == PART_LOAD)
			continue;
		part_read(b, p->a, i);
		part_read(b, p->b, i);
		if (p->kind == PART_CHOICE)
			part_read(b, p->c, i);
	}
}

/* The third operand of a choice is changed in place if it is a register that nobody reads later. */
static bool choice_in_place(const struct builder *b, uint32_t i)
{
	const struct part *p = &b->parts[i], *no = &b->parts[p->c];

	return no->kind != PART_CONSTANT && no->last_reader == i && p->a != p->c && p->b != p->c;
}

static uint32_t instructions_count(const struct builder *b)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < b->count; i++) {
		const struct part *p = &b->parts[i];
		if (!p->live || p->kind == PART_CONSTANT)
			continue;
		count += p->kind == PART_CHOICE && !choice_in_place(b, i) ? 2 : 1;
	}
	return count;
}

static uint16_t register_acquire(struct builder *b)
{
	if (b->free_count > 0)
		return b->free[--b->free_count];
	assert(b->registers < PROGRAM_REGISTERS_MAX);
	return (uint16_t)b->registers++;
}

static void register_release(struct builder *b, uint32_t part, uint32_t reader)
{
	struct part *p = &b->parts[part];

	if (part == PART_NONE || p->kind == PART_CONSTANT || p->last_reader != reader)
		return;
	b->free[b->free_count++] = p->place;
	p->last_reader = PART_NONE; /* an operation may read it twice */
}

static void constant_place(struct builder *b, uint32_t part)
{
	struct part *p = &b->parts[part];

	if (p->kind != PART_CONSTANT || p->last_reader == PART_NONE)
		return;
	p->place = (uint16_t)b->constant_count;
	p->last_reader = PART_NONE; /* once */
	b->constants[b->constant_count++] = p->value;
}

static void instruction_write(struct builder *b, enum cel_op op, uint16_t dst, uint32_t x, uint32_t y)
{
	uint8_t flags = cel_op_rules[op].traits & OP_IS_STRICT ? OPERAND_STRICT : 0;

	constant_place(b, x);
	constant_place(b, y);
	if (is_constant(b, x))
		flags |= OPERAND_A_CONSTANT;
	if (is_constant(b, y))
		flags |= OPERAND_B_CONSTANT;
	b->code[b->instructions++] = (struct cel_instruction){
		.op = (uint8_t)op, .flags = flags, .dst = dst, .a = b->parts[x].place, .b = b->parts[y].place
	};
}

static void load_write(struct builder *b, struct part *p)
{
	p->place = register_acquire(b);
	b->code[b->instructions++] = (struct cel_instruction){
		.op = OP_LOAD, .flags = p->type, .dst = p->place, .a = (uint16_t)p->space, .b = p->index
	};
}

static void operation_write(struct builder *b, uint32_t i)
{
	struct part *p = &b->parts[i];

	register_release(b, p->a, i);
	register_release(b, p->b, i);
	p->place = register_acquire(b);
	instruction_write(b, p->op, p->place, p->a, p->b);
}

static void choice_write(struct builder *b, uint32_t i)
{
	struct part *p = &b->parts[i];

	if (choice_in_place(b, i)) {
		p->place = b->parts[p->c].place;
	} else {
		p->place = register_acquire(b);
		instruction_write(b, OP_MOVE, p->place, p->c, p->c);
		register_release(b, p->c, i);
	}
	instruction_write(b, OP_CHOOSE, p->place, p->a, p->b);
	register_release(b, p->a, i);
	register_release(b, p->b, i);
}

static void program_write(struct builder *b, struct cel_program *out)
{
	for (uint32_t i = 1; i < b->count; i++)
		if (b->parts[i].live && b->parts[i].kind == PART_LOAD) {
			load_write(b, &b->parts[i]);
			out->spaces |= (uint8_t)(1u << b->parts[i].space);
		}
	for (uint32_t i = 1; i < b->count; i++) {
		if (!b->parts[i].live)
			continue;
		if (b->parts[i].kind == PART_OPERATION)
			operation_write(b, i);
		else if (b->parts[i].kind == PART_CHOICE)
			choice_write(b, i);
	}
}

/* Strings of constants move from compiler.temp to the program's arena. */
static bool constants_copy(struct builder *b, struct arena *arena)
{
	for (uint32_t i = 0; i < b->constant_count; i++) {
		struct value *v = &b->constants[i];
		if (v->type != TYPE_STRING || v->status != VALUE_OK)
			continue;
		v->s = arena_copy(arena, v->s, v->bytes);
		if (!v->s)
			return cel_refuse_memory(b->c);
	}
	return true;
}

static uint32_t constants_count(const struct builder *b)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < b->count; i++)
		count += b->parts[i].live && is_constant(b, i);
	return count;
}

bool cel_program_build(struct compiler *c, const struct node *root, struct arena *arena,
		       struct cel_program *out)
{
	struct builder b = { .c = c };
	uint32_t result = PART_NONE;

	if (!parts_make(&b, root, &result))
		return false;
	parts_mark(&b, result);
	uint32_t instructions = instructions_count(&b), constants = constants_count(&b);
	if (instructions > PROGRAM_INSTRUCTIONS_MAX) {
		char found[32];
		snprintf(found, sizeof found, "%u instructions", instructions);
		return cel_refuse(c, root->start, found, "at most %d instructions for one expression",
				  PROGRAM_INSTRUCTIONS_MAX);
	}
	b.code = arena_array(arena, struct cel_instruction, instructions);
	b.constants = arena_array(arena, struct value, constants);
	b.free = arena_array(&c->temp, uint16_t, instructions);
	if (!b.code || !b.constants || !b.free)
		return cel_refuse_memory(c);
	*out = (struct cel_program){
		.code = b.code, .constants = b.constants, .type = root->type, .unit = root->unit
	};
	program_write(&b, out);
	assert(b.instructions == instructions && b.constant_count == constants);
	assert(b.code[b.instructions - 1].dst == b.parts[result].place);
	out->instructions = (uint16_t)b.instructions;
	out->registers = (uint16_t)b.registers;
	out->constant_count = (uint16_t)b.constant_count;
	return constants_copy(&b, arena);
}

int cel_compile(const char *text, size_t len, const struct cel_scope *scope, enum value_type want,
		struct arena *arena, struct cel_program *out, struct cel_error *error)
{
	struct compiler c = { .text = text, .scope = scope, .error = error };

	assert(text && scope && arena && out && error);
	memset(error, 0, sizeof *error);
	memset(out, 0, sizeof *out);
	if (len > EXPRESSION_BYTES_MAX) {
		cel_refuse(&c, 0, "a longer expression", "at most %d bytes", EXPRESSION_BYTES_MAX);
		return c.rc;
	}
	c.len = (uint32_t)len;
	arena_init(&c.temp);
	const struct node *root = cel_parse(&c);
	bool built = root && cel_check(&c, root, want) && cel_program_build(&c, root, arena, out);
	arena_deinit(&c.temp);
	assert(built == (c.rc == 0));
	return c.rc;
}

size_t cel_loads(const struct cel_program *program, struct cel_load *out, size_t max)
{
	size_t n = 0;

	while (n < program->instructions && n < max && program->code[n].op == OP_LOAD) {
		out[n] = (struct cel_load){ (enum cel_space)program->code[n].a, program->code[n].b };
		n++;
	}
	return n;
}
