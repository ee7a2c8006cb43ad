/*
 * eval.c: runs a program: one value per evaluation.
 *
 * In: a program of compile.c and the values that it reads. Out: a value with its status. Nothing is
 * allocated; strings that are made stand in env->scratch, and one that does not fit is an error (RANGE).
 * Every operation is total: overflow, division by zero and texts that do not convert are statuses, and a
 * strict operation over operands of which one is no value gives the worse of the two (error, no data, value).
 */
#include "eval.h"
#include "convert.h"
#include "geo.h"
#include "regex.h"

#include <assert.h>
#include <base/money.h>
#include <string.h>

static const int64_t SECOND_NS = 1000000000, MILLISECOND_NS = 1000000;

static inline struct value int_add(int64_t x, int64_t y, enum value_type type, enum value_error error)
{
	int64_t sum;

	return __builtin_add_overflow(x, y, &sum) ? value_error(error) : value_of(type, sum);
}

static inline struct value int_sub(int64_t x, int64_t y, enum value_type type, enum value_error error)
{
	int64_t difference;

	return __builtin_sub_overflow(x, y, &difference) ? value_error(error) : value_of(type, difference);
}

static inline struct value int_mul(int64_t x, int64_t y, enum value_type type, enum value_error error)
{
	int64_t product;

	return __builtin_mul_overflow(x, y, &product) ? value_error(error) : value_of(type, product);
}

/* a && b: false if either is false, else the worse; a || b the same about true. */
static struct value eval_logic(const struct value *a, const struct value *b, bool decides)
{
	if ((a->status == VALUE_OK && a->i == decides) || (b->status == VALUE_OK && b->i == decides))
		return value_bool(decides);
	if (a->status | b->status)
		return value_worse(a, b);
	return value_bool(!decides);
}

static struct value eval_divide(int64_t x, int64_t y, bool modulus)
{
	if (y == 0)
		return value_error(modulus ? VALUE_ERROR_MODULUS_BY_ZERO : VALUE_ERROR_DIVIDE_BY_ZERO);
	if (x == INT64_MIN && y == -1)
		return value_error(VALUE_ERROR_OVERFLOW);
	return value_of(TYPE_INT, modulus ? x % y : x / y);
}

/* Below 0, 0 or above: by code points, which for UTF-8 is by bytes. */
static int string_order(const struct value *a, const struct value *b)
{
	uint32_t least = a->bytes < b->bytes ? a->bytes : b->bytes;
	int order = least ? memcmp(a->s, b->s, least) : 0;

	return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static inline bool string_equal(const struct value *a, const struct value *b)
{
	return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->s, b->s, a->bytes) == 0);
}

static int64_t string_size(const struct value *v)
{
	int64_t size = 0;

	for (uint32_t i = 0; i < v->bytes; i++)
		size += ((unsigned char)v->s[i] & 0xC0) != 0x80;
	return size;
}

static bool string_starts(const struct value *a, const struct value *b)
{
	return a->bytes >= b->bytes && (b->bytes == 0 || memcmp(a->s, b->s, b->bytes) == 0);
}

static bool string_ends(const struct value *a, const struct value *b)
{
	return a->bytes >= b->bytes &&
	       (b->bytes == 0 || memcmp(a->s + a->bytes - b->bytes, b->s, b->bytes) == 0);
}

static bool string_contains(const struct value *a, const struct value *b)
{
	return b->bytes == 0 || (a->bytes >= b->bytes && memmem(a->s, a->bytes, b->s, b->bytes));
}

/* Room for a string; NULL when the scratch is full. */
static char *scratch_take(struct machine *m, size_t bytes)
{
	if (!m->env->scratch || bytes > m->env->scratch_bytes - m->scratch_used)
		return NULL;
	char *s = m->env->scratch + m->scratch_used;
	m->scratch_used += (uint32_t)bytes;
	return s;
}

static struct value string_join(struct machine *m, const struct value *a, const struct value *b)
{
	size_t bytes = (size_t)a->bytes + b->bytes;
	char *s = scratch_take(m, bytes);

	if (!s)
		return value_error(VALUE_ERROR_RANGE);
	if (a->bytes)
		memcpy(s, a->s, a->bytes);
	if (b->bytes)
		memcpy(s + a->bytes, b->s, b->bytes);
	return (struct value){ .type = TYPE_STRING, .bytes = (uint32_t)bytes, .s = s };
}

static struct value string_make(struct machine *m, const char *text, size_t bytes)
{
	const struct value v = { .type = TYPE_STRING, .bytes = (uint32_t)bytes, .s = text };
	const struct value none = { .type = TYPE_STRING };

	return string_join(m, &v, &none);
}

static struct value eval_to_string(struct machine *m, enum cel_op op, const struct value *a)
{
	char text[CONVERT_BYTES_MAX];

	switch (op) {
	case OP_STRING_OF_BOOL:
		return a->i ? string_make(m, "true", 4) : string_make(m, "false", 5);
	case OP_STRING_OF_INT:
		return string_make(m, text, cel_int_print(a->i, text));
	case OP_STRING_OF_DOUBLE:
		return string_make(m, text, cel_double_print(a->d, text));
	case OP_STRING_OF_TIME:
		return string_make(m, text, cel_time_print(a->i, text));
	case OP_STRING_OF_DURATION:
		return string_make(m, text, cel_duration_print(a->i, text));
	default:
		assert(op == OP_STRING_OF_MONEY);
		return string_make(m, text, cel_money_print(a->i, a->currency, text));
	}
}

static struct value eval_from_string(enum cel_op op, const struct value *a)
{
	struct value v = { .type = cel_op_rules[op].type };
	enum value_error e;
	bool b = false;

	switch (op) {
	case OP_INT_OF_STRING:
		e = cel_int_parse(a->s, a->bytes, &v.i);
		break;
	case OP_DOUBLE_OF_STRING:
		e = cel_double_parse(a->s, a->bytes, &v.d);
		break;
	case OP_BOOL_OF_STRING:
		e = cel_bool_parse(a->s, a->bytes, &b);
		v.i = b;
		break;
	case OP_TIME_OF_STRING:
		e = cel_time_parse(a->s, a->bytes, &v.i);
		break;
	default:
		assert(op == OP_DURATION_OF_STRING);
		e = cel_duration_parse(a->s, a->bytes, &v.i);
	}
	return e == VALUE_ERROR_NONE ? v : value_error(e);
}

/* Truncates; both ends are open, as in the conformance tests: -2^63 as a double is out of range too. */
static struct value eval_int_of_double(double d)
{
	if (!(d > -0x1p63 && d < 0x1p63))
		return value_error(VALUE_ERROR_RANGE);
	return value_of(TYPE_INT, (int64_t)d);
}

static int64_t floor_seconds(int64_t ns)
{
	return ns / SECOND_NS - (ns % SECOND_NS < 0);
}

int64_t cel_civil_part(enum cel_op op, const struct cel_civil *c)
{
	const int64_t parts[] = {
		[OP_TIME_YEAR - OP_TIME_YEAR] = c->year,
		[OP_TIME_MONTH - OP_TIME_YEAR] = (int64_t)c->month - 1,
		[OP_TIME_DATE - OP_TIME_YEAR] = c->date,
		[OP_TIME_DAY_OF_MONTH - OP_TIME_YEAR] = (int64_t)c->date - 1,
		[OP_TIME_DAY_OF_WEEK - OP_TIME_YEAR] = c->day_of_week,
		[OP_TIME_DAY_OF_YEAR - OP_TIME_YEAR] = c->day_of_year,
		[OP_TIME_HOURS - OP_TIME_YEAR] = c->hours,
		[OP_TIME_MINUTES - OP_TIME_YEAR] = c->minutes,
		[OP_TIME_SECONDS - OP_TIME_YEAR] = c->seconds,
		[OP_TIME_MILLISECONDS - OP_TIME_YEAR] = c->milliseconds,
	};

	assert(op >= OP_TIME_YEAR && op <= OP_TIME_MILLISECONDS);
	return parts[op - OP_TIME_YEAR];
}

static struct value eval_time_part(enum cel_op op, const struct value *time, const struct value *zone)
{
	struct cel_civil c = cel_civil_of(time->i, zone->i);

	return value_of(TYPE_INT, cel_civil_part(op, &c));
}

/* In the bank's currency: a value, no data without a rate, an error when it does not fit. */
static struct value money_base(const struct money_rates *rates, const struct value *v)
{
	struct value base = { .type = TYPE_INT };
	bool overflow = false;

	if (rates && money_to_base(rates, v->i, v->currency, &base.i, &overflow))
		return base;
	return overflow ? value_error(VALUE_ERROR_RANGE) : value_no_data();
}

static struct value eval_money(const struct machine *m, enum cel_op op, const struct value *a,
			       const struct value *b)
{
	struct value x = value_of(TYPE_INT, a->i), y = value_of(TYPE_INT, b->i);

	if (a->currency != b->currency) {
		x = money_base(m->env->rates, a);
		y = money_base(m->env->rates, b);
		if (x.status | y.status)
			return value_worse(&x, &y);
	}
	switch (op) {
	case OP_MONEY_EQ:
		return value_bool(x.i == y.i);
	case OP_MONEY_NE:
		return value_bool(x.i != y.i);
	case OP_MONEY_LT:
		return value_bool(x.i < y.i);
	default:
		assert(op == OP_MONEY_LE);
		return value_bool(x.i <= y.i);
	}
}

static struct value eval_money_of(const struct machine *m, enum cel_op op, const struct value *a)
{
	struct value v = { .type = TYPE_MONEY, .i = a->i };

	if (op == OP_MONEY_OF_EVENT)
		v.currency = m->env->currency;
	else if (m->env->rates)
		v.currency = m->env->rates->bank;
	return v;
}

struct value *cel_scratch_values(struct machine *m, uint32_t count)
{
	uint32_t over = (uint32_t)((uintptr_t)(m->env->scratch + m->scratch_used) % _Alignof(struct value));
	uint32_t pad = over ? (uint32_t) _Alignof(struct value) - over : 0;
	uint64_t bytes = (uint64_t)count * sizeof(struct value);
	char *s = scratch_take(m, pad + bytes);

	return s ? (struct value *)(s + pad) : NULL;
}

struct value cel_values_equal(struct machine *m, const struct value *a, const struct value *b)
{
	if (a->status | b->status)
		return value_worse(a, b);
	if (a->type == TYPE_MONEY || b->type == TYPE_MONEY)
		return eval_money(m, OP_MONEY_EQ, a, b);
	if (a->type == TYPE_STRING)
		return value_bool(string_equal(a, b));
	if (a->type == TYPE_DOUBLE)
		return value_bool(a->d == b->d);
	return value_bool(a->i == b->i);
}

/* Lists of different sizes differ; else one pair that differs decides, and then the worst of all. */
static struct value lists_equal(struct machine *m, const struct value *a, const struct value *b)
{
	struct value all = value_bool(true);

	if (a->bytes != b->bytes)
		return value_bool(false);
	for (uint32_t i = 0; i < a->bytes; i++) {
		struct value one = cel_values_equal(m, &a->list[i], &b->list[i]);
		all = eval_logic(&all, &one, false);
	}
	return all;
}

struct value cel_list_in(struct machine *m, const struct value *x, const struct value *list)
{
	struct value any = x->status != VALUE_OK ? *x : value_bool(false);

	if (list->status != VALUE_OK)
		return value_worse(x, list);
	for (uint32_t i = 0; i < list->bytes; i++) {
		struct value one = cel_values_equal(m, x, &list->list[i]);
		any = eval_logic(&any, &one, true);
	}
	return any;
}

static struct value list_join(struct machine *m, const struct value *a, const struct value *b)
{
	struct value joined = { .type = TYPE_LIST, .bytes = a->bytes + b->bytes };
	struct value *values = cel_scratch_values(m, joined.bytes);

	if (!values)
		return value_error(VALUE_ERROR_RANGE);
	if (a->bytes)
		memcpy(values, a->list, a->bytes * sizeof *values);
	if (b->bytes)
		memcpy(values + a->bytes, b->list, b->bytes * sizeof *values);
	joined.list = values;
	return joined;
}

static struct value list_index(const struct value *list, const struct value *at)
{
	if (at->i < 0 || at->i >= list->bytes)
		return value_error(VALUE_ERROR_INDEX);
	return list->list[at->i];
}

/* One of `count` (at least 1) ascending values is `x`: the last that is not above it. */
static bool int_search(const struct value *list, uint32_t count, int64_t x)
{
	uint32_t low = 0;

	while (count > 1) {
		uint32_t half = count / 2;
		low = list[low + half].i <= x ? low + half : low;
		count -= half;
	}
	return list[low].i == x;
}

static bool string_search(const struct value *list, uint32_t count, const struct value *x)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = string_order(&list[middle], x);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static struct value eval_time_shift(const struct zone *zone, const struct value *time)
{
	int64_t offset = zone ? zone_offset_s(zone, zone_second(time->i)) : 0;

	return int_add(time->i, offset * SECOND_NS, TYPE_TIMESTAMP, VALUE_ERROR_RANGE);
}

static struct value eval_geo(enum cel_op op, double x, double y)
{
	double out = 0;
	bool good;

	switch (op) {
	case OP_GEO_LAT_NEAR:
		good = geo_lat_near(x, y, &out);
		break;
	case OP_GEO_LAT_FAR:
		good = geo_lat_far(x, y, &out);
		break;
	case OP_GEO_LAT_COS:
		good = geo_lat_cos(x, y, &out);
		break;
	case OP_GEO_LON_NEAR:
		good = geo_lon_near(x, y, &out);
		break;
	default:
		assert(op == OP_GEO_LON_FAR);
		good = geo_lon_far(x, y, &out);
	}
	return good ? value_double(out) : value_error(VALUE_ERROR_RANGE);
}

/* c ? x : y, with y in the destination */
static struct value eval_choose(const struct value *condition, const struct value *yes,
				const struct value *no)
{
	if (condition->status != VALUE_OK)
		return value_worse(condition, condition);
	return condition->i ? *yes : *no;
}

/* One operation over operands that are values, but for AND, OR, HAS, MOVE and CHOOSE, which look themselves.
 */
static inline __attribute__((always_inline)) struct value eval_step(struct machine *m, enum cel_op op,
								    const struct value *a,
								    const struct value *b,
								    const struct value *dst)
{
	switch (op) {
	case OP_MOVE:
		return *a;
	case OP_CHOOSE:
		return eval_choose(a, b, dst);
	case OP_AND:
		return eval_logic(a, b, false);
	case OP_OR:
		return eval_logic(a, b, true);
	case OP_NOT:
		return value_bool(!a->i);
	case OP_HAS:
		return a->status == VALUE_ERROR ? value_worse(a, a) : value_bool(a->status == VALUE_OK);
	case OP_FALSE:
		return value_bool(false);
	case OP_INT_NEG:
		return int_sub(0, a->i, TYPE_INT, VALUE_ERROR_OVERFLOW);
	case OP_INT_ADD:
		return int_add(a->i, b->i, TYPE_INT, VALUE_ERROR_OVERFLOW);
	case OP_INT_SUB:
		return int_sub(a->i, b->i, TYPE_INT, VALUE_ERROR_OVERFLOW);
	case OP_INT_MUL:
		return int_mul(a->i, b->i, TYPE_INT, VALUE_ERROR_OVERFLOW);
	case OP_INT_DIV:
		return eval_divide(a->i, b->i, false);
	case OP_INT_MOD:
		return eval_divide(a->i, b->i, true);
	case OP_DOUBLE_NEG:
		return value_double(-a->d);
	case OP_DOUBLE_ADD:
		return value_double(a->d + b->d);
	case OP_DOUBLE_SUB:
		return value_double(a->d - b->d);
	case OP_DOUBLE_MUL:
		return value_double(a->d * b->d);
	case OP_DOUBLE_DIV:
		return value_double(a->d / b->d);
	case OP_STRING_ADD:
		return string_join(m, a, b);
	case OP_TIME_ADD:
		return int_add(a->i, b->i, TYPE_TIMESTAMP, VALUE_ERROR_RANGE);
	case OP_TIME_SUB:
		return int_sub(a->i, b->i, TYPE_TIMESTAMP, VALUE_ERROR_RANGE);
	case OP_TIME_DIFF:
	case OP_DURATION_SUB:
		return int_sub(a->i, b->i, TYPE_DURATION, VALUE_ERROR_RANGE);
	case OP_DURATION_ADD:
		return int_add(a->i, b->i, TYPE_DURATION, VALUE_ERROR_RANGE);
	case OP_INT_EQ:
		return value_bool(a->i == b->i);
	case OP_INT_NE:
		return value_bool(a->i != b->i);
	case OP_INT_LT:
		return value_bool(a->i < b->i);
	case OP_INT_LE:
		return value_bool(a->i <= b->i);
	case OP_DOUBLE_EQ:
		return value_bool(a->d == b->d);
	case OP_DOUBLE_NE:
		return value_bool(a->d != b->d);
	case OP_DOUBLE_LT:
		return value_bool(a->d < b->d);
	case OP_DOUBLE_LE:
		return value_bool(a->d <= b->d);
	case OP_STRING_EQ:
		return value_bool(string_equal(a, b));
	case OP_STRING_NE:
		return value_bool(!string_equal(a, b));
	case OP_STRING_LT:
		return value_bool(string_order(a, b) < 0);
	case OP_STRING_LE:
		return value_bool(string_order(a, b) <= 0);
	case OP_MONEY_EQ:
	case OP_MONEY_NE:
	case OP_MONEY_LT:
	case OP_MONEY_LE:
		return eval_money(m, op, a, b);
	case OP_MONEY_OF_EVENT:
	case OP_MONEY_OF_BASE:
		return eval_money_of(m, op, a);
	case OP_STRING_SIZE:
		return value_of(TYPE_INT, string_size(a));
	case OP_STRING_STARTS:
		return value_bool(string_starts(a, b));
	case OP_STRING_ENDS:
		return value_bool(string_ends(a, b));
	case OP_STRING_CONTAINS:
		return value_bool(string_contains(a, b));
	case OP_INT_OF_DOUBLE:
		return eval_int_of_double(a->d);
	case OP_INT_OF_TIME:
		return value_of(TYPE_INT, floor_seconds(a->i));
	case OP_DOUBLE_OF_INT:
		return value_double((double)a->i);
	case OP_TIME_OF_INT:
		return int_mul(a->i, SECOND_NS, TYPE_TIMESTAMP, VALUE_ERROR_RANGE);
	case OP_INT_OF_STRING:
	case OP_DOUBLE_OF_STRING:
	case OP_BOOL_OF_STRING:
	case OP_TIME_OF_STRING:
	case OP_DURATION_OF_STRING:
		return eval_from_string(op, a);
	case OP_STRING_OF_BOOL:
	case OP_STRING_OF_INT:
	case OP_STRING_OF_DOUBLE:
	case OP_STRING_OF_TIME:
	case OP_STRING_OF_DURATION:
	case OP_STRING_OF_MONEY:
		return eval_to_string(m, op, a);
	case OP_INT_IN:
		return value_bool(int_search(b->list, b->bytes, a->i));
	case OP_STRING_IN:
		return value_bool(string_search(b->list, b->bytes, a));
	case OP_STRING_MATCHES:
		return value_bool(regex_matches(b->compiled, a->s, a->bytes));
	case OP_TIME_LOCAL:
		return eval_time_shift(m->env->zone, a);
	case OP_TIME_IN_ZONE:
		return eval_time_shift(b->compiled, a);
	case OP_GEO_LAT_NEAR:
	case OP_GEO_LAT_FAR:
	case OP_GEO_LAT_COS:
	case OP_GEO_LON_NEAR:
	case OP_GEO_LON_FAR:
		return eval_geo(op, a->d, b->d);
	case OP_GEO_KM:
		return value_double(geo_km(a->d, b->d));
	case OP_LIST_SIZE:
		return value_of(TYPE_INT, a->bytes);
	case OP_LIST_ADD:
		return list_join(m, a, b);
	case OP_LIST_INDEX:
		return list_index(a, b);
	case OP_LIST_EQ:
		return lists_equal(m, a, b);
	case OP_LIST_NE: {
		struct value equal = lists_equal(m, a, b);
		return equal.status == VALUE_OK ? value_bool(!equal.i) : equal;
	}
	case OP_LIST_IN:
		return cel_list_in(m, a, b);
	case OP_TIME_YEAR:
	case OP_TIME_MONTH:
	case OP_TIME_DATE:
	case OP_TIME_DAY_OF_MONTH:
	case OP_TIME_DAY_OF_WEEK:
	case OP_TIME_DAY_OF_YEAR:
	case OP_TIME_HOURS:
	case OP_TIME_MINUTES:
	case OP_TIME_SECONDS:
	case OP_TIME_MILLISECONDS:
		return eval_time_part(op, a, b);
	case OP_DURATION_HOURS:
		return value_of(TYPE_INT, a->i / (3600 * SECOND_NS));
	case OP_DURATION_MINUTES:
		return value_of(TYPE_INT, a->i / (60 * SECOND_NS));
	case OP_DURATION_SECONDS:
		return value_of(TYPE_INT, a->i / SECOND_NS);
	case OP_DURATION_MILLISECONDS: /* of the second, as the conformance tests want it */
		return value_of(TYPE_INT, a->i % SECOND_NS / MILLISECOND_NS);
	case OP_NONE:
	case OP_LOAD:
	case OP_COUNT:
		break;
	}
	assert(false && "an operation that compile.c does not write");
	return value_no_data();
}

struct value cel_step(struct machine *m, enum cel_op op, const struct value *a, const struct value *b)
{
	if ((cel_op_rules[op].traits & OP_IS_STRICT) && (a->status | b->status))
		return value_worse(a, b);
	return eval_step(m, op, a, b, a);
}

struct value cel_load_value(const struct cel_env *env, unsigned space, uint32_t index, unsigned type)
{
	assert(space < SPACE_COUNT && env->space[space]);
	struct value v = env->space[space][index];
	assert(v.status != VALUE_OK || v.type == type);
	return v;
}

static struct value flat_eval(const struct cel_program *program, const struct cel_env *env)
{
	struct value r[PROGRAM_REGISTERS_MAX];
	const struct value *const base[2] = { r, program->constants };
	const struct cel_instruction *at = program->code, *end = at + program->instructions;
	struct machine m;

	m.env = env;
	m.scratch_used = 0;
	assert(program->instructions > 0 && program->registers <= PROGRAM_REGISTERS_MAX);
	for (; at < end && at->op == OP_LOAD; at++)
		r[at->dst] = cel_load_value(env, at->a, at->b, at->flags);
	for (; at < end; at++) {
		const struct value *a = base[at->flags & 1] + at->a, *b = base[at->flags >> 1 & 1] + at->b;
		if ((at->flags & OPERAND_STRICT) && (a->status | b->status))
			r[at->dst] = value_worse(a, b);
		else
			r[at->dst] = eval_step(&m, at->op, a, b, &r[at->dst]);
	}
	return r[end[-1].dst];
}

struct value cel_eval(const struct cel_program *program, const struct cel_env *env)
{
	struct value result = program->interpreted ? cel_interpret(program, env) : flat_eval(program, env);

	if (result.status != VALUE_OK)
		result = value_worse(&result, &result);
	if (program->type != TYPE_NONE)
		result.type = (uint8_t)program->type;
	return result;
}
