/*
 * dynamic.c: operators and functions over values whose types are known at evaluation only, for the
 * conformance vectors (cel_scope.dynamic); rules never come here.
 *
 * In: values of any type. Out: a value, or an error where no operation takes these types. It finds the
 * operation that check.c and function.c would choose, and adds what static types leave out: numbers of both
 * kinds compare with each other, values of different types are not equal, and a timestamp is a second in `i`
 * and nanoseconds in `bytes`, from year 1 to 9999. Source: cel-spec, doc/langdef.md, "Numeric values",
 * "Equality".
 */
#include "convert.h"
#include "eval.h"
#include "function.h"
#include "parts.h"
#include "regex.h"

#include <string.h>

enum { SECOND_NS = 1000000000 };

static struct value type_error(void)
{
	return value_error(VALUE_ERROR_TYPE);
}

static struct value time_of(int64_t seconds, int64_t nanoseconds)
{
	struct value v = { .type = TYPE_TIMESTAMP };

	if (nanoseconds < 0) {
		seconds--;
		nanoseconds += SECOND_NS;
	} else if (nanoseconds >= SECOND_NS) {
		seconds++;
		nanoseconds -= SECOND_NS;
	}
	v.i = seconds;
	v.bytes = (uint32_t)nanoseconds;
	return cel_time_is_wide(seconds) ? v : value_error(VALUE_ERROR_RANGE);
}

/* Below 0, 0 or above; 2 when one of them is no number. */
static int double_order(double a, double b)
{
	return a != a || b != b ? 2 : (a > b) - (a < b);
}

/* The int as a double, rounded: 2^63 - 1 equals 2^63. The conformance tests want it so. */
static int int_double_order(int64_t i, double d)
{
	return double_order((double)i, d);
}

static int turned(int order)
{
	return order == 2 ? 2 : -order;
}

/* False when values of these types have no order. */
static bool order_of(const struct value *a, const struct value *b, int *order)
{
	if (a->type == TYPE_INT && b->type == TYPE_DOUBLE)
		*order = int_double_order(a->i, b->d);
	else if (a->type == TYPE_DOUBLE && b->type == TYPE_INT)
		*order = turned(int_double_order(b->i, a->d));
	else if (a->type != b->type || a->type == TYPE_LIST || a->type == TYPE_MONEY)
		return false;
	else if (a->type == TYPE_DOUBLE)
		*order = double_order(a->d, b->d);
	else if (a->type == TYPE_STRING)
		*order = cel_value_order(a, b);
	else
		*order = (a->i > b->i) - (a->i < b->i);
	if (a->type == TYPE_TIMESTAMP && *order == 0)
		*order = (a->bytes > b->bytes) - (a->bytes < b->bytes);
	return true;
}

struct value cel_dynamic_equal(struct machine *m, const struct value *a, const struct value *b)
{
	int order;

	if (a->status | b->status)
		return value_worse(a, b);
	if (a->type != TYPE_LIST || b->type != TYPE_LIST)
		return value_bool(order_of(a, b, &order) && order == 0);
	if (a->bytes != b->bytes)
		return value_bool(false);
	for (uint32_t i = 0; i < a->bytes; i++) {
		struct value equal = cel_dynamic_equal(m, &a->list[i], &b->list[i]);
		if (equal.status != VALUE_OK || !equal.i)
			return equal;
	}
	return value_bool(true);
}

static struct value eval_order(enum node_kind kind, const struct value *a, const struct value *b)
{
	int order;

	if (!order_of(a, b, &order))
		return type_error();
	if (order == 2)
		return value_bool(false);
	switch (kind) {
	case NODE_LT:
		return value_bool(order < 0);
	case NODE_LE:
		return value_bool(order <= 0);
	case NODE_GT:
		return value_bool(order > 0);
	default:
		return value_bool(order >= 0);
	}
}

static struct value eval_in(struct machine *m, const struct value *x, const struct value *list)
{
	if (list->type != TYPE_LIST)
		return type_error();
	for (uint32_t i = 0; i < list->bytes; i++) {
		struct value equal = cel_dynamic_equal(m, x, &list->list[i]);
		if (equal.status != VALUE_OK || equal.i)
			return equal;
	}
	return value_bool(false);
}

/* A double that is whole is a place too. */
static struct value eval_index(struct machine *m, const struct value *list, const struct value *at)
{
	struct value place = *at;

	if (list->type != TYPE_LIST)
		return type_error();
	if (at->type == TYPE_DOUBLE && at->d >= 0 && at->d < 0x1p32 && (double)(int64_t)at->d == at->d)
		place = value_of(TYPE_INT, (int64_t)at->d);
	if (place.type != TYPE_INT)
		return type_error();
	return cel_step(m, OP_LIST_INDEX, list, &place);
}

/* timestamp +- duration, either way around; timestamp - timestamp */
static struct value eval_time(enum cel_op op, const struct value *a, const struct value *b)
{
	int64_t ns;

	if (op == OP_TIME_ADD)
		return time_of(a->i + b->i / SECOND_NS, a->bytes + b->i % SECOND_NS);
	if (op == OP_TIME_SUB)
		return time_of(a->i - b->i / SECOND_NS, a->bytes - b->i % SECOND_NS);
	assert(op == OP_TIME_DIFF);
	if (__builtin_mul_overflow(a->i - b->i, (int64_t)SECOND_NS, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)a->bytes - b->bytes, &ns))
		return value_error(VALUE_ERROR_RANGE);
	return value_of(TYPE_DURATION, ns);
}

static struct value eval_arithmetic(struct machine *m, unsigned kind, const struct value *a,
				    const struct value *b)
{
	bool swap = false;
	enum cel_op op = cel_arithmetic_find(kind, a->type, b->type, &swap);
	const struct value *x = swap ? b : a, *y = swap ? a : b;

	if (op == OP_NONE)
		return type_error();
	if (op == OP_TIME_ADD || op == OP_TIME_SUB || op == OP_TIME_DIFF)
		return eval_time(op, x, y);
	return cel_step(m, op, x, y);
}

/* An operand of && and || that is no bool is an error, which the other side may make irrelevant. */
static struct value eval_logic_operands(struct machine *m, enum cel_op op, const struct value *a,
					const struct value *b)
{
	struct value x = a->status == VALUE_OK && a->type != TYPE_BOOL ? type_error() : *a;
	struct value y = b->status == VALUE_OK && b->type != TYPE_BOOL ? type_error() : *b;

	return cel_step(m, op, &x, &y);
}

static struct value eval_negate(struct machine *m, const struct value *a)
{
	if (a->type != TYPE_INT && a->type != TYPE_DOUBLE)
		return type_error();
	return cel_step(m, a->type == TYPE_INT ? OP_INT_NEG : OP_DOUBLE_NEG, a, a);
}

struct value cel_dynamic_operator(struct machine *m, unsigned kind, const struct value *a,
				  const struct value *b)
{
	struct value equal;

	if (kind == NODE_AND || kind == NODE_OR)
		return eval_logic_operands(m, kind == NODE_AND ? OP_AND : OP_OR, a, b);
	if (a->status | b->status)
		return value_worse(a, b);
	switch (kind) {
	case NODE_NOT:
		return a->type == TYPE_BOOL ? value_bool(!a->i) : type_error();
	case NODE_NEGATE:
		return eval_negate(m, a);
	case NODE_EQ:
		return cel_dynamic_equal(m, a, b);
	case NODE_NE:
		equal = cel_dynamic_equal(m, a, b);
		return equal.status == VALUE_OK ? value_bool(!equal.i) : equal;
	case NODE_LT:
	case NODE_LE:
	case NODE_GT:
	case NODE_GE:
		return eval_order((enum node_kind)kind, a, b);
	case NODE_IN:
		return eval_in(m, a, b);
	case NODE_INDEX:
		return eval_index(m, a, b);
	default:
		return eval_arithmetic(m, kind, a, b);
	}
}

/* The offset of a zone that a vector names; false when nothing is known of it. */
static bool zone_offset(struct machine *m, const struct value *zone, int64_t seconds, int64_t *offset)
{
	const struct cel_scope *scope = &m->program->tree->scope;
	const struct zone *named;

	if (cel_offset_parse(zone->s, zone->bytes, offset))
		return true;
	named = scope->zone ? scope->zone(scope->ctx, zone->s, zone->bytes) : NULL;
	if (named)
		*offset = zone_offset_s(named, seconds);
	return named != NULL;
}

static struct value eval_accessor(struct machine *m, enum cel_op op, const struct value *time,
				  const struct value *zone)
{
	int64_t offset = 0;

	if (zone && !zone_offset(m, zone, time->i, &offset))
		return value_error(VALUE_ERROR_CONVERT);
	struct cel_civil c = cel_civil_of_seconds(time->i + offset, time->bytes);
	return value_of(TYPE_INT, cel_civil_part(op, &c));
}

static struct value eval_time_call(struct machine *m, enum cel_op op, const struct value *a)
{
	struct value v = { .type = TYPE_STRING };
	char text[CONVERT_BYTES_MAX];
	enum value_error e;

	switch (op) {
	case OP_TIME_OF_STRING:
		v.type = TYPE_TIMESTAMP;
		e = cel_time_parse_wide(a->s, a->bytes, &v.i, &v.bytes);
		return e == VALUE_ERROR_NONE ? v : value_error(e);
	case OP_TIME_OF_INT:
		return time_of(a->i, 0);
	case OP_INT_OF_TIME:
		return value_of(TYPE_INT, a->i);
	default:
		assert(op == OP_STRING_OF_TIME);
		v.bytes = (uint32_t)cel_time_print_wide(a->i, a->bytes, text);
		v.s = text;
		return cel_step(m, OP_STRING_ADD, &v, &(struct value){ .type = TYPE_STRING });
	}
}

static struct value eval_matches(const struct value *s, const struct value *pattern)
{
	struct regex_draft draft;
	struct regex_error error;

	if (!regex_compile(&draft, pattern->s, pattern->bytes, &error))
		return value_error(VALUE_ERROR_CONVERT);
	return value_bool(regex_matches(&draft.regex, s->s, s->bytes));
}

struct value cel_dynamic_call(struct machine *m, const char *name, bool is_method,
			      const struct value *arguments, unsigned count)
{
	enum { ARGUMENTS_MAX = 2 };
	const struct value *a = &arguments[0], *b = &arguments[count > 1];
	uint8_t types[ARGUMENTS_MAX];
	bool zoned = false;

	if (count == 0 || count > ARGUMENTS_MAX)
		return type_error();
	if (a->status | b->status)
		return value_worse(a, b);
	if (count == 1 && !is_method && strcmp(name, "dyn") == 0)
		return *a;
	for (unsigned i = 0; i < count; i++)
		types[i] = arguments[i].type;
	enum cel_op op = cel_function_find(name, is_method, types, count);
	if (op == OP_NONE && is_method && count == 2 && types[0] == TYPE_TIMESTAMP &&
	    types[1] == TYPE_STRING) {
		op = cel_function_find(name, true, types, 1);
		zoned = true;
	}
	if (op >= OP_TIME_YEAR && op <= OP_TIME_MILLISECONDS)
		return eval_accessor(m, op, a, zoned ? b : NULL);
	if (op == OP_TIME_OF_STRING || op == OP_TIME_OF_INT || op == OP_INT_OF_TIME ||
	    op == OP_STRING_OF_TIME)
		return eval_time_call(m, op, a);
	if (op == OP_STRING_MATCHES)
		return eval_matches(a, b);
	if (op == OP_NONE || op == OP_TIME_LOCAL || zoned)
		return type_error();
	return op == OP_MOVE ? *a : cel_step(m, op, a, b);
}
