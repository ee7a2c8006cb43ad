// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_columns.c: random programs over random rows, evaluated over columns and by cel_eval() row by row: the
 * same values, statuses and error codes. Programs are written as instructions, not compiled, so that every
 * operation meets every kind of operand, registers are reused as the compiler may, and columns have values
 * only in some places.
 *
 *   test_columns [SEED]
 */
#include <cel/columns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cel/program.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { LOADS_MAX = 8, STEPS_MAX = 24, CONSTANTS_MAX = 64, PROGRAMS = 4000 };

static uint64_t seed = 20260101;

static uint64_t next(uint64_t *s)
{
	*s += UINT64_C(0x9E3779B97F4A7C15);
	uint64_t z = *s;
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *s, uint32_t n)
{
	return (uint32_t)(next(s) % n);
}

/* B bool, I int, D double, S string, T timestamp, U duration, M money, - none */
static const struct rule {
	enum cel_op op;
	char a, b, to;
} rules[] = {
	{ OP_AND, 'B', 'B', 'B' },
	{ OP_OR, 'B', 'B', 'B' },
	{ OP_NOT, 'B', '-', 'B' },
	{ OP_HAS, 'I', '-', 'B' },
	{ OP_HAS, 'M', '-', 'B' },
	{ OP_FALSE, 'I', '-', 'B' },
	{ OP_INT_NEG, 'I', '-', 'I' },
	{ OP_INT_ADD, 'I', 'I', 'I' },
	{ OP_INT_SUB, 'I', 'I', 'I' },
	{ OP_INT_MUL, 'I', 'I', 'I' },
	{ OP_INT_DIV, 'I', 'I', 'I' },
	{ OP_INT_MOD, 'I', 'I', 'I' },
	{ OP_DOUBLE_NEG, 'D', '-', 'D' },
	{ OP_DOUBLE_ADD, 'D', 'D', 'D' },
	{ OP_DOUBLE_SUB, 'D', 'D', 'D' },
	{ OP_DOUBLE_MUL, 'D', 'D', 'D' },
	{ OP_DOUBLE_DIV, 'D', 'D', 'D' },
	{ OP_TIME_ADD, 'T', 'U', 'T' },
	{ OP_TIME_SUB, 'T', 'U', 'T' },
	{ OP_TIME_DIFF, 'T', 'T', 'U' },
	{ OP_DURATION_ADD, 'U', 'U', 'U' },
	{ OP_DURATION_SUB, 'U', 'U', 'U' },
	{ OP_INT_EQ, 'I', 'I', 'B' },
	{ OP_INT_EQ, 'B', 'B', 'B' },
	{ OP_INT_NE, 'T', 'T', 'B' },
	{ OP_INT_LT, 'I', 'I', 'B' },
	{ OP_INT_LE, 'U', 'U', 'B' },
	{ OP_DOUBLE_EQ, 'D', 'D', 'B' },
	{ OP_DOUBLE_NE, 'D', 'D', 'B' },
	{ OP_DOUBLE_LT, 'D', 'D', 'B' },
	{ OP_DOUBLE_LE, 'D', 'D', 'B' },
	{ OP_STRING_EQ, 'S', 'S', 'B' },
	{ OP_STRING_NE, 'S', 'S', 'B' },
	{ OP_MONEY_EQ, 'M', 'M', 'B' },
	{ OP_MONEY_NE, 'M', 'M', 'B' },
	{ OP_MONEY_LT, 'M', 'M', 'B' },
	{ OP_MONEY_LE, 'M', 'M', 'B' },
	{ OP_MONEY_OF_EVENT, 'I', '-', 'M' },
	{ OP_MONEY_OF_BASE, 'I', '-', 'M' },
	{ OP_INT_OF_DOUBLE, 'D', '-', 'I' },
	{ OP_INT_OF_TIME, 'T', '-', 'I' },
	{ OP_DOUBLE_OF_INT, 'I', '-', 'D' },
	{ OP_TIME_OF_INT, 'I', '-', 'T' },
	{ OP_TIME_HOURS, 'T', 'Z', 'I' },
	{ OP_TIME_MINUTES, 'T', 'Z', 'I' },
	{ OP_TIME_DAY_OF_WEEK, 'T', 'Z', 'I' },
	{ OP_TIME_DATE, 'T', 'Z', 'I' },
	{ OP_DURATION_HOURS, 'U', '-', 'I' },
	{ OP_DURATION_MINUTES, 'U', '-', 'I' },
	{ OP_DURATION_SECONDS, 'U', '-', 'I' },
	{ OP_DURATION_MILLISECONDS, 'U', '-', 'I' },
	{ OP_STRING_LT, 'S', 'S', 'B' },
	{ OP_STRING_LE, 'S', 'S', 'B' },
	{ OP_STRING_SIZE, 'S', '-', 'I' },
	{ OP_STRING_STARTS, 'S', 'S', 'B' },
	{ OP_STRING_CONTAINS, 'S', 'S', 'B' },
	{ OP_INT_OF_STRING, 'S', '-', 'I' },
	{ OP_DURATION_OF_STRING, 'S', '-', 'U' },
	{ OP_INT_IN, 'I', 'L', 'B' },
	{ OP_STRING_IN, 'S', 'N', 'B' },
	{ OP_GEO_LAT_NEAR, 'D', 'D', 'D' },
	{ OP_TIME_YEAR, 'T', 'Z', 'I' },
	{ OP_TIME_LOCAL, 'T', '-', 'T' },
	{ OP_MOVE, 'I', '-', 'I' },
	{ OP_MOVE, 'B', '-', 'B' },
	{ OP_CHOOSE, 'B', 'I', 'I' }, /* the destination is an operand, too */
	{ OP_CHOOSE, 'B', 'B', 'B' },
	{ OP_CHOOSE, 'B', 'D', 'D' },
};

static const char type_letters[] = {
	[TYPE_BOOL] = 'B',	[TYPE_INT] = 'I',      [TYPE_DOUBLE] = 'D', [TYPE_STRING] = 'S',
	[TYPE_TIMESTAMP] = 'T', [TYPE_DURATION] = 'U', [TYPE_MONEY] = 'M'
};

static enum value_type type_of(char letter)
{
	for (unsigned i = 1; i < ARRAY_LEN(type_letters); i++)
		if (type_letters[i] == letter)
			return (enum value_type)i;
	fail_msg("no type %c", letter);
	return TYPE_NONE;
}

static int64_t random_int(uint64_t *s)
{
	static const int64_t edges[] = { INT64_MIN, INT64_MAX, -1, 0, 1, 1000000000, INT64_MIN + 1 };

	switch (below(s, 4)) {
	case 0:
		return edges[below(s, ARRAY_LEN(edges))];
	case 1:
		return (int64_t)next(s);
	default:
		return (int64_t)below(s, 9) - 4;
	}
}

static double random_double(uint64_t *s)
{
	static const double edges[] = { 0.0, -0.0, 1e300, -1e300, 0x1p63, -0x1p63, 0.5, 1e-310 };

	if (below(s, 3) == 0)
		return edges[below(s, ARRAY_LEN(edges))];
	return (double)((int64_t)below(s, 9) - 4) / (double)below(s, 3); /* infinities and NaN among them */
}

static struct value random_value(uint64_t *s, enum value_type type, bool values_only)
{
	static const char *const strings[] = { "", "a", "b", "ab", "a long one" };
	static const uint16_t currencies[] = { 978, 840, 392, 756 /* without a rate */ };
	struct value v = { .type = (uint8_t)type, .i = random_int(s) };

	if (type == TYPE_BOOL) {
		v.i = below(s, 2);
	} else if (type == TYPE_DOUBLE) {
		v.d = random_double(s);
	} else if (type == TYPE_STRING) {
		v.s = strings[below(s, ARRAY_LEN(strings))];
		v.bytes = (uint32_t)strlen(v.s);
	} else if (type == TYPE_MONEY) {
		v.currency = currencies[below(s, ARRAY_LEN(currencies))];
	}
	uint32_t what = values_only ? 9 : below(s, 10);
	if (what < 2)
		v.status = VALUE_NO_DATA;
	if (what == 2) {
		v.status = VALUE_ERROR;
		v.bytes = 1 + below(s, VALUE_ERROR_COUNT - 1);
	}
	return v;
}

struct made {
	struct cel_program program;
	struct cel_instruction code[LOADS_MAX + STEPS_MAX];
	struct value constants[CONSTANTS_MAX];
	char type[COLUMN_REGISTERS_MAX]; /* of each register so far; 0: not written */
	uint32_t loads;
};

/* A register of the type, or -1. */
static int register_of(const struct made *m, uint64_t *s, char type)
{
	uint32_t start = below(s, COLUMN_REGISTERS_MAX);

	for (uint32_t i = 0; i < COLUMN_REGISTERS_MAX; i++) {
		uint32_t r = (start + i) % COLUMN_REGISTERS_MAX;
		if (m->type[r] == type)
			return (int)r;
	}
	return -1;
}

static const struct value some_ints[] = { { .type = TYPE_INT, .i = -2 },
					  { .type = TYPE_INT, .i = 0 },
					  { .type = TYPE_INT, .i = 3 } };
static const struct value some_strings[] = { { .type = TYPE_STRING, .bytes = 0, .s = "" },
					     { .type = TYPE_STRING, .bytes = 1, .s = "a" },
					     { .type = TYPE_STRING, .bytes = 2, .s = "ab" } };

static uint16_t operand(struct made *m, uint64_t *s, char type, uint8_t constant_flag, uint8_t *flags)
{
	int r = strchr("ZLN", type) ? -1 : register_of(m, s, type);

	if (r >= 0 && below(s, 4))
		return (uint16_t)r;
	*flags |= constant_flag;
	struct value *v = &m->constants[m->program.constant_count];
	if (type == 'Z')
		*v = (struct value){ .type = TYPE_INT, .i = 60 * (int64_t)below(s, 100) - 3000 };
	else if (type == 'L' || type == 'N')
		*v = (struct value){ .type = TYPE_LIST,
				     .bytes = 3,
				     .list = type == 'L' ? some_ints : some_strings };
	else
		*v = random_value(s, type_of(type), below(s, 4));
	return m->program.constant_count++;
}

static bool step_make(struct made *m, uint64_t *s)
{
	const struct rule *rule = &rules[below(s, ARRAY_LEN(rules))];
	struct cel_instruction *at = &m->code[m->program.instructions];
	int dst = (int)below(s, m->program.registers);

	*at = (struct cel_instruction){ .op = (uint8_t)rule->op };
	if (rule->op == OP_CHOOSE)
		dst = register_of(m, s, rule->to);
	else if (m->program.registers < 12)
		dst = m->program.registers;
	if (dst < 0)
		return false;
	at->a = operand(m, s, rule->a, OPERAND_A_CONSTANT, &at->flags);
	at->b = at->a;
	if (rule->b != '-')
		at->b = operand(m, s, rule->b, OPERAND_B_CONSTANT, &at->flags);
	else if (at->flags & OPERAND_A_CONSTANT)
		at->flags |= OPERAND_B_CONSTANT;
	if (cel_op_rules[rule->op].traits & OP_IS_STRICT)
		at->flags |= OPERAND_STRICT;
	at->dst = (uint16_t)dst;
	m->type[dst] = rule->to;
	if (dst == m->program.registers)
		m->program.registers++;
	m->program.instructions++;
	return true;
}

static void program_make(struct made *m, uint64_t *s)
{
	*m = (struct made){ 0 };
	m->program.code = m->code;
	m->program.constants = m->constants;
	m->loads = 1 + below(s, LOADS_MAX);
	for (uint32_t i = 0; i < m->loads; i++) {
		uint8_t type = (uint8_t)(1 + below(s, TYPE_MONEY));
		m->code[i] = (struct cel_instruction){
			.op = OP_LOAD, .flags = type, .dst = (uint16_t)i, .a = SPACE_BIND, .b = (uint16_t)i
		};
		m->type[i] = type_letters[type];
	}
	m->program.instructions = m->program.registers = (uint16_t)m->loads;
	for (uint32_t steps = 1 + below(s, STEPS_MAX), made = 0; made < steps;)
		made += step_make(m, s);
	m->program.type = type_of(m->type[m->code[m->program.instructions - 1].dst]);
}

static const struct money_rates rates = {
	.bank = 978, .bank_exponent = 2, .count = 2, .rate = { { 392, 0, 2, 1 }, { 840, 2, 1, 5 } }
};

static const int64_t zone_from[] = { INT64_MIN, 0, 5 };
static const int32_t zone_offsets[] = { 3600, 7200, -34200 };
static const struct zone zones[] = { { "one", 3, zone_from, zone_offsets },
				     { "two", 1, zone_from, zone_offsets } };

struct rows {
	struct value value[COLUMN_ROWS_MAX][LOADS_MAX];
	uint16_t currency[COLUMN_ROWS_MAX];
	const struct zone *zone[COLUMN_ROWS_MAX];
	int64_t bits[LOADS_MAX][COLUMN_ROWS_MAX];
	uint8_t status[LOADS_MAX][COLUMN_ROWS_MAX];
	uint32_t bytes[LOADS_MAX][COLUMN_ROWS_MAX];
	uint16_t money[LOADS_MAX][COLUMN_ROWS_MAX];
	struct cel_column column[LOADS_MAX];
};

static void rows_make(struct rows *r, const struct made *m, uint32_t n, uint64_t *s)
{
	for (uint32_t k = 0; k < m->loads; k++) {
		bool values_only = below(s, 2);
		for (uint32_t i = 0; i < n; i++) {
			struct value *v = &r->value[i][k];
			*v = random_value(s, (enum value_type)m->code[k].flags, values_only);
			r->bits[k][i] = v->i;
			r->status[k][i] = column_status((enum value_status)v->status, v->bytes);
			r->bytes[k][i] = v->bytes;
			r->money[k][i] = v->currency;
		}
		r->column[k] = (struct cel_column){ r->bits[k], values_only ? NULL : r->status[k],
						    r->bytes[k], r->money[k] };
	}
	for (uint32_t i = 0; i < n; i++) {
		r->currency[i] = below(s, 3) ? 978 : 392;
		r->zone[i] = below(s, 3) ? &zones[below(s, 2)] : NULL;
	}
}

static void row_compare(const struct made *m, const struct rows *r, const struct cel_column *got, uint32_t i)
{
	const struct cel_env env = { .space = { [SPACE_BIND] = r->value[i] },
				     .rates = &rates,
				     .zone = r->zone[i],
				     .currency = r->currency[i] };
	struct value want = cel_eval(&m->program, &env);
	uint8_t status = got->status ? got->status[i] : 0;
	double d = 0;

	if (status != column_status((enum value_status)want.status, want.bytes))
		fail_msg("row %u: status %u, not %u/%u", i, status, want.status, want.bytes);
	if (want.status != VALUE_OK)
		return;
	memcpy(&d, &got->bits[i], sizeof d);
	if (want.type == TYPE_DOUBLE && want.d != want.d)
		assert_true(d != d);
	else if (got->bits[i] != want.i)
		fail_msg("row %u: %lld, not %lld", i, (long long)got->bits[i], (long long)want.i);
}

static void columns_are_cel_eval_row_by_row(void **state)
{
	struct cel_columns *m = calloc(1, sizeof *m);
	struct rows *r = malloc(sizeof *r);
	struct made *made = malloc(sizeof *made);
	uint64_t s = seed;
	uint32_t taken = 0;

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	m->rates = &rates;
	m->event_currency = r->currency;
	m->zones = r->zone;
	for (uint32_t p = 0; p < PROGRAMS; p++) {
		uint32_t n = below(&s, 8) ? 1 + below(&s, 20) : COLUMN_ROWS_MAX;
		program_make(made, &s);
		rows_make(r, made, n, &s);
		if (!cel_columns_can(&made->program))
			continue;
		taken++;
		struct cel_column got = cel_columns_eval(m, &made->program, r->column, n);
		for (uint32_t i = 0; i < n; i++)
			row_compare(made, r, &got, i);
	}
	assert_true(taken > PROGRAMS * 3 / 4); /* only what ends in money or a string is not */
	free(made);
	free(r);
	free(m);
}

/* What is not taken is said not to be: strings that are made, lists, many registers. */
static void what_a_column_cannot_do_is_refused(void **state)
{
	static const enum cel_op refused[] = { OP_STRING_ADD, OP_STRING_OF_INT, OP_LIST_SIZE };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
		const struct cel_instruction code[] = {
			{ .op = OP_LOAD, .flags = TYPE_STRING, .a = SPACE_BIND },
			{ .op = (uint8_t)refused[i], .flags = OPERAND_STRICT, .dst = 1 },
			{ .op = OP_HAS, .dst = 2, .a = 1, .b = 1 },
		};
		const struct cel_program p = {
			.code = code, .instructions = 3, .registers = 3, .type = TYPE_BOOL
		};
		assert_false(cel_columns_can(&p));
	}
	const struct cel_instruction load = { .op = OP_LOAD, .flags = TYPE_BOOL, .a = SPACE_BIND };
	struct cel_program p = { .code = &load, .instructions = 1, .registers = 1, .type = TYPE_BOOL };
	assert_true(cel_columns_can(&p));
	p.registers = COLUMN_REGISTERS_MAX + 1;
	assert_false(cel_columns_can(&p));
	p = (struct cel_program){ .code = &load, .instructions = 0, .type = TYPE_BOOL };
	assert_false(cel_columns_can(&p));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_cel_eval_row_by_row),
		cmocka_unit_test(what_a_column_cannot_do_is_refused),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests_name("columns", tests, NULL, NULL);
}
