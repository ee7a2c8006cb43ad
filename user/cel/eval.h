/*
 * eval: what the evaluators share, internal to user/cel: eval.c (flat), interpret.c (terms), dynamic.c (types
 * at evaluation).
 */
#ifndef CEL_EVAL_H
#define CEL_EVAL_H

#include "convert.h"

#include <assert.h>
#include <cel/cel.h>
#include <cel/program.h>
#include <moment/limits.h>

/* One evaluation */
struct machine {
	const struct cel_env *env;
	uint32_t scratch_used;
	/* of what is interpreted */
	const struct cel_program *program;
	struct value variable[MACRO_DEPTH_MAX];
	uint32_t budget; /* dynamic: steps that are left */
};

static inline struct value value_of(enum value_type type, int64_t i)
{
	return (struct value){ .type = (uint8_t)type, .i = i };
}

static inline struct value value_bool(bool b)
{
	return value_of(TYPE_BOOL, b);
}

static inline struct value value_double(double d)
{
	return (struct value){ .type = TYPE_DOUBLE, .d = d };
}

static inline struct value value_error(enum value_error error)
{
	return (struct value){ .status = VALUE_ERROR, .bytes = error };
}

static inline struct value value_no_data(void)
{
	return (struct value){ .status = VALUE_NO_DATA };
}

/* The status of two operands; of two errors the left one's. */
static inline struct value value_worse(const struct value *a, const struct value *b)
{
	const struct value *worse = b->status > a->status ? b : a;

	assert(worse->status == VALUE_NO_DATA || worse->status == VALUE_ERROR);
	return worse->status == VALUE_ERROR ? value_error((enum value_error)worse->bytes) : value_no_data();
}

/* eval.c: one operation, statuses of its operands looked at. Not for MOVE, CHOOSE and LOAD. */
struct value cel_step(struct machine *m, enum cel_op op, const struct value *a, const struct value *b);
/* The value of a symbol. */
struct value cel_load_value(const struct cel_env *env, unsigned space, uint32_t index, unsigned type);
/* a == b of values of one type; money through base. */
struct value cel_values_equal(struct machine *m, const struct value *a, const struct value *b);
/* What a time accessor asks for. */
int64_t cel_civil_part(enum cel_op op, const struct cel_civil *c);
/* Room for values; NULL when the scratch is full. */
struct value *cel_scratch_values(struct machine *m, uint32_t count);
/* x in list: true if it equals an element that has a value, else the worst of all. */
struct value cel_list_in(struct machine *m, const struct value *x, const struct value *list);

/* interpret.c */
struct value cel_interpret(const struct cel_program *program, const struct cel_env *env);
struct value cel_term_eval(struct machine *m, uint32_t term);

/* dynamic.c */
struct value cel_dynamic_operator(struct machine *m, unsigned node_kind, const struct value *a,
				  const struct value *b);
struct value cel_dynamic_call(struct machine *m, const char *name, bool is_method,
			      const struct value *arguments, unsigned count);
struct value cel_dynamic_equal(struct machine *m, const struct value *a, const struct value *b);

#endif
