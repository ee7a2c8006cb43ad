/*
 * interpret.c: evaluates terms (term.h): lists, macros over them, and what stands around them.
 *
 * In: a program that is interpreted, and the values that it reads. Out: a value with its status. Lists and
 * strings that are made stand in env->scratch, and what does not fit there is an error (RANGE). The recursion
 * is as deep as the terms are high, which was bounded when they were written, as was the number of steps.
 * exists is an || over the elements, all an &&; exists_one and filter need every condition to have a value.
 */
#include "eval.h"
#include "tree.h"

#include <string.h>

static struct value eval_logic_term(struct machine *m, const struct cel_term *t)
{
	struct value a = cel_term_eval(m, t->a), b;

	if (a.status == VALUE_OK && a.i == (t->op == OP_OR))
		return a;
	b = cel_term_eval(m, t->b);
	return cel_step(m, (enum cel_op)t->op, &a, &b);
}

static struct value eval_choice(struct machine *m, const struct cel_term *t)
{
	struct value condition = cel_term_eval(m, t->a);

	if (condition.status != VALUE_OK)
		return condition;
	if (condition.type != TYPE_BOOL) /* dynamic */
		return value_error(VALUE_ERROR_TYPE);
	return cel_term_eval(m, condition.i ? t->b : t->c);
}

/* Elements keep their own result, but where types are dynamic: there an error is one of the list. */
static struct value eval_list(struct machine *m, const struct cel_term *t)
{
	const struct cel_tree *tree = m->program->tree;
	struct value list = { .type = TYPE_LIST, .bytes = t->b };
	struct value *values = cel_scratch_values(m, t->b);

	if (!values)
		return value_error(VALUE_ERROR_RANGE);
	for (uint32_t i = 0; i < t->b; i++) {
		values[i] = cel_term_eval(m, tree->items[t->a + i]);
		if (tree->scope.dynamic && values[i].status == VALUE_ERROR)
			return values[i];
	}
	list.list = values;
	return list;
}

/* The condition of a macro for one element, always of type bool or no value; strings that it made are gone.
 */
static struct value eval_condition(struct machine *m, const struct cel_term *t, const struct value *element)
{
	uint32_t used = m->scratch_used;
	struct value v;

	m->variable[t->slot] = *element;
	v = cel_term_eval(m, t->b);
	m->scratch_used = used;
	if (v.status == VALUE_OK && v.type != TYPE_BOOL)
		return value_error(VALUE_ERROR_TYPE);
	return v;
}

static struct value eval_quantifier(struct machine *m, const struct cel_term *t, const struct value *list)
{
	bool decides = t->op == MACRO_EXISTS;
	struct value all = value_bool(!decides);

	for (uint32_t i = 0; i < list->bytes; i++) {
		struct value one = eval_condition(m, t, &list->list[i]);
		all = cel_step(m, decides ? OP_OR : OP_AND, &all, &one);
		if (all.status == VALUE_OK && all.i == decides)
			return all;
	}
	return all;
}

/* Worst of all conditions, or how many are true. */
static struct value eval_exists_one(struct machine *m, const struct cel_term *t, const struct value *list)
{
	struct value worst = value_bool(true);
	uint32_t count = 0;

	for (uint32_t i = 0; i < list->bytes; i++) {
		struct value one = eval_condition(m, t, &list->list[i]);
		if (one.status > worst.status)
			worst = one;
		count += one.status == VALUE_OK && one.i;
	}
	return worst.status == VALUE_OK ? value_bool(count == 1) : worst;
}

/* map and filter; a condition without a value is the result. */
static struct value eval_made_list(struct machine *m, const struct cel_term *t, const struct value *list)
{
	struct value made = { .type = TYPE_LIST }, worst = value_bool(true);
	struct value *values = cel_scratch_values(m, list->bytes);
	bool dynamic = m->program->tree->scope.dynamic;

	if (!values)
		return value_error(VALUE_ERROR_RANGE);
	for (uint32_t i = 0; i < list->bytes; i++) {
		struct value one = value_bool(true), element = list->list[i];
		if (t->b != TERM_ABSENT)
			one = eval_condition(m, t, &element);
		if (one.status > worst.status)
			worst = one;
		if (one.status != VALUE_OK || !one.i)
			continue;
		m->variable[t->slot] = element;
		values[made.bytes] = t->c != TERM_ABSENT ? cel_term_eval(m, t->c) : element;
		if (dynamic && values[made.bytes].status == VALUE_ERROR)
			return values[made.bytes];
		made.bytes++;
	}
	made.list = values;
	return worst.status == VALUE_OK ? made : worst;
}

static struct value eval_macro(struct machine *m, const struct cel_term *t)
{
	struct value list = cel_term_eval(m, t->a);

	if (list.status != VALUE_OK)
		return list;
	if (list.type != TYPE_LIST) /* dynamic */
		return value_error(VALUE_ERROR_TYPE);
	if (t->op == MACRO_EXISTS || t->op == MACRO_ALL)
		return eval_quantifier(m, t, &list);
	if (t->op == MACRO_EXISTS_ONE)
		return eval_exists_one(m, t, &list);
	return eval_made_list(m, t, &list);
}

static struct value eval_operation(struct machine *m, const struct cel_term *t)
{
	struct value a = cel_term_eval(m, t->a), b;

	if (t->op == OP_MOVE)
		return a;
	if (t->b == t->a)
		return cel_step(m, (enum cel_op)t->op, &a, &a);
	b = cel_term_eval(m, t->b);
	return cel_step(m, (enum cel_op)t->op, &a, &b);
}

static struct value eval_operator(struct machine *m, const struct cel_term *t)
{
	struct value a = cel_term_eval(m, t->a), b = { 0 };

	/* what the left side decides is so whatever stands on the right */
	if ((t->op == NODE_AND || t->op == NODE_OR) && a.status == VALUE_OK && a.type == TYPE_BOOL &&
	    a.i == (t->op == NODE_OR))
		return a;
	if (t->b != TERM_ABSENT)
		b = cel_term_eval(m, t->b);
	return cel_dynamic_operator(m, t->op, &a, &b);
}

static struct value eval_call(struct machine *m, const struct cel_term *t)
{
	enum { ARGUMENTS_MAX = 4 };
	const struct cel_tree *tree = m->program->tree;
	struct value arguments[ARGUMENTS_MAX];

	if (t->b > ARGUMENTS_MAX)
		return value_error(VALUE_ERROR_TYPE);
	for (uint32_t i = 0; i < t->b; i++)
		arguments[i] = cel_term_eval(m, tree->items[t->a + i]);
	return cel_dynamic_call(m, tree->names[t->c], t->type, arguments, t->b);
}

struct value cel_term_eval(struct machine *m, uint32_t term)
{
	const struct cel_term *t = &m->program->tree->terms[term];

	if (m->budget-- == 0) { /* dynamic: how long lists are was not known */
		m->budget = 0;
		return value_error(VALUE_ERROR_RANGE);
	}
	switch ((enum term_kind)t->kind) {
	case TERM_CONSTANT:
		return m->program->constants[t->a];
	case TERM_LOAD:
		return cel_load_value(m->env, t->a, t->b, t->type);
	case TERM_VARIABLE:
		return m->variable[t->slot];
	case TERM_LIST:
		return eval_list(m, t);
	case TERM_OPERATION:
		return eval_operation(m, t);
	case TERM_LOGIC:
		return eval_logic_term(m, t);
	case TERM_CHOICE:
		return eval_choice(m, t);
	case TERM_MACRO:
		return eval_macro(m, t);
	case TERM_OPERATOR:
		return eval_operator(m, t);
	case TERM_CALL:
		return eval_call(m, t);
	case TERM_NAMELESS:
		break;
	}
	return value_error(VALUE_ERROR_TYPE);
}

struct value cel_interpret(const struct cel_program *program, const struct cel_env *env)
{
	enum { DYNAMIC_STEPS = 1 << 22 };
	struct machine m = { .env = env, .program = program };

	m.budget = program->tree->scope.dynamic ? DYNAMIC_STEPS : UINT32_MAX;
	return cel_term_eval(&m, program->tree->term_count - 1);
}
