/*
 * columns.c: runs a program over rows, an instruction at a time.
 *
 * In: a flat program and a column for each of its loads. Out: the column of its result. A register points to
 * a load's column or to room of its own, so a load costs nothing; a constant is a column whose step is 0. A
 * column without statuses has values only, which is what most have: then no status is looked at.
 *
 * What is rare has no loop of its own and goes through cel_step() a row at a time.
 *
 * Every operation works on whatever bits stand in rows without a value, so none may trap on them. What fails
 * leaves a fault, which counts where both operands have a value. Meanings are those of eval.c: read it first;
 * the twin in tests/unit/cel/test_columns.c holds the two together.
 */
#include "columns.h"

#include "eval.h"

#include <base/money.h>
#include <string.h>

static const int64_t SECOND_NS = 1000000000, MILLISECOND_NS = 1000000;

struct operand {
	const int64_t *bits;
	const uint8_t *status; /* NULL: values only */
	const uint32_t *bytes;
	const uint16_t *currency;
	uint32_t step; /* 0: a constant */
	uint8_t constant_status;
};

/* ---- what can be evaluated so ---- */

/* Operations that have a loop here. */
static bool op_has_loop(enum cel_op op)
{
	switch (op) {
	case OP_NOT:
	case OP_FALSE:
	case OP_DOUBLE_NEG:
	case OP_DOUBLE_ADD:
	case OP_DOUBLE_SUB:
	case OP_DOUBLE_MUL:
	case OP_DOUBLE_DIV:
	case OP_INT_EQ:
	case OP_INT_NE:
	case OP_INT_LT:
	case OP_INT_LE:
	case OP_DOUBLE_EQ:
	case OP_DOUBLE_NE:
	case OP_DOUBLE_LT:
	case OP_DOUBLE_LE:
	case OP_INT_OF_TIME:
	case OP_DOUBLE_OF_INT:
	case OP_TIME_HOURS:
	case OP_TIME_MINUTES:
	case OP_DURATION_HOURS:
	case OP_DURATION_MINUTES:
	case OP_DURATION_SECONDS:
	case OP_DURATION_MILLISECONDS:
		return true;
	default:
		return false;
	}
}

/* Operations that can fail and have a loop here. */
static bool op_can_fail(enum cel_op op)
{
	return (op >= OP_INT_NEG && op <= OP_INT_MOD) || (op >= OP_TIME_ADD && op <= OP_DURATION_SUB) ||
	       op == OP_INT_OF_DOUBLE || op == OP_TIME_OF_INT;
}
_Static_assert(OP_INT_MOD - OP_INT_NEG == 5 && OP_DURATION_SUB - OP_TIME_ADD == 4, "no other between them");

/* Others go row by row through cel_step(), but for strings that are made. */
static bool op_is_known(enum cel_op op)
{
	return op < OP_LIST_SIZE && cel_op_rules[op].type != TYPE_STRING;
}

/* A register that is moved or chosen is one of 64 bits: no string, no money. */
static bool plain(const struct cel_program *p, const uint8_t *type, bool constant, uint16_t index)
{
	uint8_t t = constant ? p->constants[index].type : type[index];

	return t != TYPE_STRING && t != TYPE_MONEY;
}

static bool instruction_can(const struct cel_program *p, const struct cel_instruction *at, uint8_t *type)
{
	bool a_constant = at->flags & OPERAND_A_CONSTANT, b_constant = at->flags & OPERAND_B_CONSTANT;

	if (at->op == OP_LOAD) {
		type[at->dst] = at->flags;
		return true;
	}
	if (at->op == OP_MOVE || at->op == OP_CHOOSE) {
		bool b = at->op == OP_MOVE ||
			 (plain(p, type, b_constant, at->b) && plain(p, type, false, at->dst));
		if (!b || (at->op == OP_MOVE && !plain(p, type, a_constant, at->a)))
			return false;
		if (at->op == OP_MOVE)
			type[at->dst] = a_constant ? p->constants[at->a].type : type[at->a];
		return true;
	}
	type[at->dst] = cel_op_rules[at->op].type;
	return op_is_known((enum cel_op)at->op);
}

bool cel_columns_can(const struct cel_program *program)
{
	uint8_t type[COLUMN_REGISTERS_MAX];

	if (program->instructions == 0 || program->registers > COLUMN_REGISTERS_MAX ||
	    program->type == TYPE_STRING || program->type == TYPE_MONEY)
		return false;
	for (uint16_t i = 0; i < program->instructions; i++)
		if (!instruction_can(program, &program->code[i], type))
			return false;
	return true;
}

/* ---- statuses ---- */

/* The worse of two; of two errors the left one's. */
static inline uint8_t worse(uint8_t a, uint8_t b)
{
	return (b & COLUMN_STATUS_MASK) > (a & COLUMN_STATUS_MASK) ? b : a;
}

static inline uint8_t status_at(const struct operand *o, uint32_t i)
{
	return o->status ? o->status[i * o->step] : 0;
}

/* Of a strict operation: the worse operand's, else its own fault. */
static const uint8_t *strict_status(uint8_t *to, const struct operand *a, const struct operand *b,
				    const uint8_t *fault, uint32_t n)
{
	if (!a->status && !b->status) {
		if (fault)
			memcpy(to, fault, n);
		return fault ? to : NULL;
	}
	const struct operand *one = !b->status ? a : !a->status ? b : NULL;
	if (!fault && one && one->step) { /* the only one there is */
		memmove(to, one->status, n);
		return to;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint8_t status = worse(status_at(a, i), status_at(b, i));
		to[i] = status || !fault ? status : fault[i];
	}
	return to;
}

/* ---- loops ---- */

static inline double as_double(int64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof d);
	return d;
}

static inline int64_t as_bits(double d)
{
	int64_t bits;

	memcpy(&bits, &d, sizeof bits);
	return bits;
}

static inline uint8_t error_byte(enum value_error error)
{
	return column_status(VALUE_ERROR, error);
}

/* A loop over the rows: X and Y are the operands of row i. No more than a notation. */
#define EACH(result)                                                                                         \
	for (uint32_t i = 0; i < n; i++) {                                                                   \
		const int64_t X = x[i * xs], Y = y[i * ys];                                                  \
		(void)X, (void)Y;                                                                            \
		to[i] = (result);                                                                            \
	}
/* The same for what can fail: FAILS writes the row and says whether it did. */
#define EACH_CHECKED(fails, error)                                                                           \
	for (uint32_t i = 0; i < n; i++) {                                                                   \
		const int64_t X = x[i * xs], Y = y[i * ys];                                                  \
		(void)Y;                                                                                     \
		fault[i] = (fails) ? error_byte(error) : 0;                                                  \
		any |= fault[i];                                                                             \
	}

/* Local seconds since midnight. */
static inline int64_t second_of_day(int64_t ns, int64_t offset_s)
{
	int64_t second = (ns / SECOND_NS - (ns % SECOND_NS < 0) + offset_s) % 86400;

	return second < 0 ? second + 86400 : second;
}

/* What cannot fail. */
static void total_step(enum cel_op op, const struct operand *a, const struct operand *b, int64_t *to,
		       uint32_t n)
{
	const int64_t *x = a->bits, *y = b->bits;
	const uint32_t xs = a->step, ys = b->step;

	switch (op) {
	case OP_NOT:
		EACH(!X);
		break;
	case OP_FALSE:
		EACH(0);
		break;
	case OP_DOUBLE_NEG:
		EACH(as_bits(-as_double(X)));
		break;
	case OP_DOUBLE_ADD:
		EACH(as_bits(as_double(X) + as_double(Y)));
		break;
	case OP_DOUBLE_SUB:
		EACH(as_bits(as_double(X) - as_double(Y)));
		break;
	case OP_DOUBLE_MUL:
		EACH(as_bits(as_double(X) * as_double(Y)));
		break;
	case OP_DOUBLE_DIV:
		EACH(as_bits(as_double(X) / as_double(Y)));
		break;
	case OP_INT_EQ:
		EACH(X == Y);
		break;
	case OP_INT_NE:
		EACH(X != Y);
		break;
	case OP_INT_LT:
		EACH(X < Y);
		break;
	case OP_INT_LE:
		EACH(X <= Y);
		break;
	case OP_DOUBLE_EQ:
		EACH(as_double(X) == as_double(Y));
		break;
	case OP_DOUBLE_NE:
		EACH(as_double(X) != as_double(Y));
		break;
	case OP_DOUBLE_LT:
		EACH(as_double(X) < as_double(Y));
		break;
	case OP_DOUBLE_LE:
		EACH(as_double(X) <= as_double(Y));
		break;
	case OP_INT_OF_TIME:
		EACH(X / SECOND_NS - (X % SECOND_NS < 0));
		break;
	case OP_DOUBLE_OF_INT:
		EACH(as_bits((double)X));
		break;
	case OP_TIME_HOURS:
		EACH(second_of_day(X, Y) / 3600);
		break;
	case OP_TIME_MINUTES:
		EACH(second_of_day(X, Y) % 3600 / 60);
		break;
	case OP_DURATION_HOURS:
		EACH(X / (3600 * SECOND_NS));
		break;
	case OP_DURATION_MINUTES:
		EACH(X / (60 * SECOND_NS));
		break;
	case OP_DURATION_SECONDS:
		EACH(X / SECOND_NS);
		break;
	default:
		assert(op == OP_DURATION_MILLISECONDS);
		EACH(X % SECOND_NS / MILLISECOND_NS);
	}
}

static bool divide_fails(int64_t x, int64_t y, bool modulus, int64_t *to)
{
	bool fails = y == 0 || (x == INT64_MIN && y == -1);

	*to = fails ? 0 : modulus ? x % y : x / y;
	return fails;
}

static bool int_of_double_fails(int64_t bits, int64_t *to)
{
	double d = as_double(bits);
	bool good = d > -0x1p63 && d < 0x1p63;

	*to = good ? (int64_t)d : 0;
	return !good;
}

/* Division: the error says by what; the one case of overflow is told apart behind. */
static uint8_t divide_step(const struct operand *a, const struct operand *b, bool modulus, int64_t *to,
			   uint8_t *fault, uint32_t n)
{
	const int64_t *x = a->bits, *y = b->bits;
	const uint32_t xs = a->step, ys = b->step;
	uint8_t any = 0;

	EACH_CHECKED(divide_fails(X, Y, modulus, &to[i]), Y	    ? VALUE_ERROR_OVERFLOW
							  : modulus ? VALUE_ERROR_MODULUS_BY_ZERO
								    : VALUE_ERROR_DIVIDE_BY_ZERO);
	return any;
}

/* What can fail; nonzero when a row did. */
static uint8_t checked_step(enum cel_op op, const struct operand *a, const struct operand *b, int64_t *to,
			    uint8_t *fault, uint32_t n)
{
	const int64_t *x = a->bits, *y = b->bits;
	const uint32_t xs = a->step, ys = b->step;
	uint8_t any = 0;

	switch (op) {
	case OP_INT_NEG:
		EACH_CHECKED(__builtin_sub_overflow(INT64_C(0), X, &to[i]), VALUE_ERROR_OVERFLOW);
		break;
	case OP_INT_ADD:
		EACH_CHECKED(__builtin_add_overflow(X, Y, &to[i]), VALUE_ERROR_OVERFLOW);
		break;
	case OP_INT_SUB:
		EACH_CHECKED(__builtin_sub_overflow(X, Y, &to[i]), VALUE_ERROR_OVERFLOW);
		break;
	case OP_INT_MUL:
		EACH_CHECKED(__builtin_mul_overflow(X, Y, &to[i]), VALUE_ERROR_OVERFLOW);
		break;
	case OP_INT_DIV:
	case OP_INT_MOD:
		return divide_step(a, b, op == OP_INT_MOD, to, fault, n);
	case OP_TIME_ADD:
	case OP_DURATION_ADD:
		EACH_CHECKED(__builtin_add_overflow(X, Y, &to[i]), VALUE_ERROR_RANGE);
		break;
	case OP_TIME_SUB:
	case OP_TIME_DIFF:
	case OP_DURATION_SUB:
		EACH_CHECKED(__builtin_sub_overflow(X, Y, &to[i]), VALUE_ERROR_RANGE);
		break;
	case OP_INT_OF_DOUBLE:
		EACH_CHECKED(int_of_double_fails(X, &to[i]), VALUE_ERROR_RANGE);
		break;
	default:
		assert(op == OP_TIME_OF_INT);
		EACH_CHECKED(__builtin_mul_overflow(X, SECOND_NS, &to[i]), VALUE_ERROR_RANGE);
	}
	return any;
}

#undef EACH
#undef EACH_CHECKED

static void string_step(bool differs, const struct operand *a, const struct operand *b, int64_t *to,
			uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bytes = a->bytes[i * a->step];
		bool equal = !status_at(a, i) && !status_at(b, i) && bytes == b->bytes[i * b->step] &&
			     (bytes == 0 || memcmp((const char *)(intptr_t)a->bits[i * a->step],
						   (const char *)(intptr_t)b->bits[i * b->step], bytes) == 0);
		to[i] = equal != differs;
	}
}

/* ---- money ---- */

/* Two moneys as ints that compare; else why not. */
static uint8_t money_meet(const struct money_rates *rates, uint16_t left, uint16_t right, int64_t *x,
			  int64_t *y)
{
	uint8_t status[2] = { 0, 0 };
	int64_t *const minor[2] = { x, y };
	const uint16_t currency[2] = { left, right };

	if (left == right)
		return 0;
	for (unsigned k = 0; k < 2; k++) {
		bool overflow = false;
		if (!rates || !money_to_base(rates, *minor[k], currency[k], minor[k], &overflow))
			status[k] = overflow ? error_byte(VALUE_ERROR_RANGE) : VALUE_NO_DATA;
	}
	return worse(status[0], status[1]);
}

static uint8_t money_step(const struct money_rates *rates, enum cel_op op, const struct operand *a,
			  const struct operand *b, int64_t *to, uint8_t *fault, uint32_t n)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < n; i++) {
		int64_t x = a->bits[i * a->step], y = b->bits[i * b->step];
		fault[i] = 0;
		if (!status_at(a, i) && !status_at(b, i))
			fault[i] =
				money_meet(rates, a->currency[i * a->step], b->currency[i * b->step], &x, &y);
		any |= fault[i];
		to[i] = op == OP_MONEY_EQ   ? x == y
			: op == OP_MONEY_NE ? x != y
			: op == OP_MONEY_LT ? x < y
					    : x <= y;
	}
	return any;
}

/* An int becomes money: the same bits, and a currency. */
static void money_make(struct cel_columns *m, enum cel_op op, const struct operand *a, uint16_t dst,
		       uint32_t n)
{
	uint16_t bank = m->rates ? m->rates->bank : 0;

	for (uint32_t i = 0; i < n; i++) {
		m->bits[dst][i] = a->bits[i * a->step];
		m->currency[dst][i] = op == OP_MONEY_OF_EVENT ? m->event_currency[i] : bank;
	}
}

/* ---- what looks at statuses itself ---- */

/* Values only, or the rows' statuses stand in m->status[dst]. */
static const uint8_t *logic_step(struct cel_columns *m, const struct operand *a, const struct operand *b,
				 bool decides, uint16_t dst, uint32_t n)
{
	int64_t *to = m->bits[dst];
	uint8_t *status = m->status[dst], any = 0;

	if (!a->status && !b->status) {
		for (uint32_t i = 0; i < n; i++) {
			int64_t x = a->bits[i * a->step], y = b->bits[i * b->step];
			to[i] = decides ? x | y : x & y;
		}
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint8_t p = status_at(a, i), q = status_at(b, i);
		bool decided =
			(!p && a->bits[i * a->step] == decides) || (!q && b->bits[i * b->step] == decides);
		to[i] = decided == decides;
		status[i] = decided ? 0 : worse(p, q);
		any |= status[i];
	}
	return any ? status : NULL;
}

static const uint8_t *has_step(struct cel_columns *m, const struct operand *a, uint16_t dst, uint32_t n)
{
	uint8_t *status = m->status[dst], any = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t p = status_at(a, i);
		m->bits[dst][i] = p == 0;
		status[i] = (p & COLUMN_STATUS_MASK) == VALUE_ERROR ? p : 0;
		any |= status[i];
	}
	return any ? status : NULL;
}

/* c ? x : y, y in the destination, which may be the column of a load */
static const uint8_t *choose_step(struct cel_columns *m, const struct operand *c, const struct operand *yes,
				  const struct operand *no, uint16_t dst, uint32_t n)
{
	uint8_t *status = m->status[dst], any = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t p = status_at(c, i);
		const struct operand *o = c->bits[i * c->step] ? yes : no;
		int64_t bits = o->bits[i * o->step];
		status[i] = p ? p : status_at(o, i);
		m->bits[dst][i] = bits;
		any |= status[i];
	}
	return any ? status : NULL;
}

static const uint8_t *move_step(struct cel_columns *m, const struct operand *a, uint16_t dst, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		m->bits[dst][i] = a->bits[i * a->step];
		m->status[dst][i] = status_at(a, i);
	}
	return a->status ? m->status[dst] : NULL;
}

static struct value value_at(const struct operand *o, uint32_t i)
{
	uint8_t status = status_at(o, i);
	struct value v = { .status = status & COLUMN_STATUS_MASK, .i = o->bits[i * o->step] };

	if (status)
		v.bytes = status >> COLUMN_ERROR_SHIFT;
	else if (o->bytes)
		v.bytes = o->bytes[i * o->step];
	if (o->currency)
		v.currency = o->currency[i * o->step];
	return v;
}

/* What has no loop of its own: as cel_eval() does it, a row at a time. */
static const uint8_t *row_step(struct cel_columns *m, enum cel_op op, const struct operand *a,
			       const struct operand *b, uint16_t dst, uint32_t n)
{
	struct cel_env env = { .rates = m->rates };
	struct machine machine = { .env = &env };
	uint8_t any = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct value x = value_at(a, i), y = value_at(b, i);
		env.zone = op == OP_TIME_LOCAL ? m->zones[i] : NULL;
		struct value v = cel_step(&machine, op, &x, &y);
		m->bits[dst][i] = v.i;
		m->status[dst][i] = column_status((enum value_status)v.status, v.bytes);
		any |= m->status[dst][i];
	}
	return any ? m->status[dst] : NULL;
}

static const uint8_t *strict_step(struct cel_columns *m, enum cel_op op, const struct operand *a,
				  const struct operand *b, uint16_t dst, uint32_t n)
{
	uint8_t any = 0;

	if (op_can_fail(op))
		any = checked_step(op, a, b, m->bits[dst], m->fault, n);
	else if (op >= OP_MONEY_EQ && op <= OP_MONEY_LE)
		any = money_step(m->rates, op, a, b, m->bits[dst], m->fault, n);
	else if (op == OP_MONEY_OF_EVENT || op == OP_MONEY_OF_BASE)
		money_make(m, op, a, dst, n);
	else if (op == OP_STRING_EQ || op == OP_STRING_NE)
		string_step(op == OP_STRING_NE, a, b, m->bits[dst], n);
	else if (!op_has_loop(op))
		return row_step(m, op, a, b, dst, n);
	else
		total_step(op, a, b, m->bits[dst], n);
	return strict_status(m->status[dst], a, b, any ? m->fault : NULL, n);
}

/* ---- a program ---- */

/* `o` stays where it is: a constant's status lies in it. */
static void operand_fill(struct operand *o, const struct cel_columns *m, const struct cel_program *p,
			 bool constant, uint16_t index)
{
	if (!constant) {
		const struct cel_column *r = &m->registers[index];
		*o = (struct operand){ r->bits, r->status, r->bytes, r->currency, 1, 0 };
		return;
	}
	const struct value *v = &p->constants[index];
	*o = (struct operand){ &v->i,	     NULL, &v->bytes,
			       &v->currency, 0,	   column_status((enum value_status)v->status, v->bytes) };
	if (v->status != VALUE_OK)
		o->status = &o->constant_status;
}

static void instruction_run(struct cel_columns *m, const struct cel_program *p,
			    const struct cel_instruction *at, uint32_t n)
{
	struct operand a, b, no;
	const uint8_t *status;

	operand_fill(&a, m, p, at->flags & OPERAND_A_CONSTANT, at->a);
	operand_fill(&b, m, p, at->flags & OPERAND_B_CONSTANT, at->b);
	switch ((enum cel_op)at->op) {
	case OP_AND:
	case OP_OR:
		status = logic_step(m, &a, &b, at->op == OP_OR, at->dst, n);
		break;
	case OP_HAS:
		status = has_step(m, &a, at->dst, n);
		break;
	case OP_MOVE:
		status = move_step(m, &a, at->dst, n);
		break;
	case OP_CHOOSE:
		operand_fill(&no, m, p, false, at->dst);
		status = choose_step(m, &a, &b, &no, at->dst, n);
		break;
	default:
		assert(at->flags & OPERAND_STRICT);
		status = strict_step(m, (enum cel_op)at->op, &a, &b, at->dst, n);
	}
	m->registers[at->dst] = (struct cel_column){ .bits = m->bits[at->dst],
						     .status = status,
						     .currency = m->currency[at->dst] };
}

struct cel_column cel_columns_eval(struct cel_columns *m, const struct cel_program *program,
				   const struct cel_column *loads, uint32_t rows)
{
	const struct cel_instruction *at = program->code, *end = at + program->instructions;

	assert(rows <= COLUMN_ROWS_MAX && program->instructions > 0 &&
	       program->registers <= COLUMN_REGISTERS_MAX);
	for (; at < end && at->op == OP_LOAD; at++)
		m->registers[at->dst] = *loads++;
	for (; at < end; at++)
		instruction_run(m, program, at, rows);
	return m->registers[end[-1].dst];
}
