/*
 * compile.c: cel_compile, and the way from a checked tree to a program.
 *
 * In: parts (parts.c). Where all are scalar, registers are given out (a register is free again behind its
 * last reader), and loads and operations are written into the caller's arena; else term.c writes what is
 * interpreted. Parts live in compiler.temp; the program borrows nothing but lists and zones of its scope.
 */
#include "parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	b->free[b->free_count++] = (uint16_t)p->place;
	p->last_reader = PART_NONE; /* an operation may read it twice */
}

static void constant_place(struct builder *b, uint32_t part)
{
	struct part *p = &b->parts[part];

	if (p->kind != PART_CONSTANT || p->last_reader == PART_NONE)
		return;
	p->place = b->constant_count;
	p->last_reader = PART_NONE; /* once */
	b->constants[b->constant_count++] = p->value;
}

static void instruction_write(struct builder *b, enum cel_op op, uint16_t dst, uint32_t x, uint32_t y)
{
	uint8_t flags = cel_op_rules[op].traits & OP_IS_STRICT ? OPERAND_STRICT : 0;

	constant_place(b, x);
	constant_place(b, y);
	if (part_is_constant(b, x))
		flags |= OPERAND_A_CONSTANT;
	if (part_is_constant(b, y))
		flags |= OPERAND_B_CONSTANT;
	b->code[b->instructions++] = (struct cel_instruction){ .op = (uint8_t)op,
							       .flags = flags,
							       .dst = dst,
							       .a = (uint16_t)b->parts[x].place,
							       .b = (uint16_t)b->parts[y].place };
}

static void load_write(struct builder *b, struct part *p)
{
	p->place = register_acquire(b);
	b->code[b->instructions++] = (struct cel_instruction){ .op = OP_LOAD,
							       .flags = p->type,
							       .dst = (uint16_t)p->place,
							       .a = (uint16_t)p->space,
							       .b = p->index };
}

static void operation_write(struct builder *b, uint32_t i)
{
	struct part *p = &b->parts[i];

	register_release(b, p->a, i);
	register_release(b, p->b, i);
	p->place = register_acquire(b);
	instruction_write(b, p->op, (uint16_t)p->place, p->a, p->b);
}

static void choice_write(struct builder *b, uint32_t i)
{
	struct part *p = &b->parts[i];

	if (choice_in_place(b, i)) {
		p->place = b->parts[p->c].place;
	} else {
		p->place = register_acquire(b);
		instruction_write(b, OP_MOVE, (uint16_t)p->place, p->c, p->c);
		register_release(b, p->c, i);
	}
	instruction_write(b, OP_CHOOSE, (uint16_t)p->place, p->a, p->b);
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

/* Strings of constants move from compiler.temp to the program's arena; lists are there. */
bool cel_constants_copy(struct builder *b)
{
	for (uint32_t i = 0; i < b->constant_count; i++) {
		struct value *v = &b->constants[i];
		if (v->type != TYPE_STRING || v->status != VALUE_OK)
			continue;
		v->s = arena_copy(b->c->arena, v->s, v->bytes);
		if (!v->s)
			return cel_refuse_memory(b->c);
	}
	return true;
}

static uint32_t constants_count(const struct builder *b)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < b->count; i++)
		count += b->parts[i].live && part_is_constant(b, i);
	return count;
}

static bool flat_write(struct builder *b, const struct node *root, struct cel_program *out)
{
	uint32_t instructions = instructions_count(b), constants = constants_count(b);

	if (instructions > PROGRAM_INSTRUCTIONS_MAX) {
		char found[32];
		snprintf(found, sizeof found, "%u instructions", instructions);
		return cel_refuse(b->c, root->start, found, "at most %d instructions for one expression",
				  PROGRAM_INSTRUCTIONS_MAX);
	}
	b->code = arena_array(b->c->arena, struct cel_instruction, instructions);
	b->constants = arena_array(b->c->arena, struct value, constants);
	b->free = arena_array(&b->c->temp, uint16_t, instructions);
	if (!b->code || !b->constants || !b->free)
		return cel_refuse_memory(b->c);
	out->code = b->code;
	program_write(b, out);
	assert(b->instructions == instructions && b->constant_count == constants);
	assert(b->code[b->instructions - 1].dst == b->parts[b->result].place);
	out->instructions = (uint16_t)b->instructions;
	out->registers = (uint16_t)b->registers;
	out->steps = b->instructions;
	return true;
}

static bool program_build(struct compiler *c, const struct node *root, struct cel_program *out)
{
	struct builder b = { .c = c };

	if (!cel_parts_make(&b, root))
		return false;
	if (root->type == TYPE_BOOL && !cel_conjuncts_find(&b, out))
		return false;
	out->type = root->type;
	out->unit = root->unit;
	out->interpreted = b.interpreted || c->scope->dynamic;
	if (out->interpreted ? !cel_terms_write(&b, root, out) : !flat_write(&b, root, out))
		return false;
	out->constants = b.constants;
	out->constant_count = (uint16_t)b.constant_count;
	return cel_constants_copy(&b);
}

int cel_compile(const char *text, size_t len, const struct cel_scope *scope, enum value_type want,
		struct arena *arena, struct cel_program *out, struct cel_error *error)
{
	struct compiler c = { .text = text, .scope = scope, .error = error, .arena = arena };

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
	bool checked = root && (scope->dynamic ? cel_check_names(&c) : cel_check(&c, root, want));
	bool built = checked && program_build(&c, root, out);
	arena_deinit(&c.temp);
	assert(built == (c.rc == 0));
	return c.rc;
}

static size_t term_loads(const struct cel_tree *tree, struct cel_load *out, size_t max)
{
	size_t n = tree->load_count < max ? tree->load_count : max;

	memcpy(out, tree->loads, n * sizeof *out);
	return n;
}

size_t cel_loads(const struct cel_program *program, struct cel_load *out, size_t max)
{
	size_t n = 0;

	if (program->interpreted)
		return term_loads(program->tree, out, max);
	while (n < program->instructions && n < max && program->code[n].op == OP_LOAD) {
		out[n] = (struct cel_load){ (enum cel_space)program->code[n].a, program->code[n].b };
		n++;
	}
	return n;
}
