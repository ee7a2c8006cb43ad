/*
 * program: the instructions of a compiled expression, shared by compile.c, which writes them, and
 * eval.c, which runs them.
 *
 * A program is flat: first its loads, one per symbol, then operations in order, without a branch. The
 * destination of the last instruction is the result. All operations are total: what fails gives a status.
 */
#ifndef CEL_PROGRAM_H
#define CEL_PROGRAM_H

#include <moment/limits.h>
#include <moment/value.h>

/* cel_instruction.flags */
enum {
	OPERAND_A_CONSTANT = 1 << 0, /* `a` is an index in constants, not a register */
	OPERAND_B_CONSTANT = 1 << 1,
	OPERAND_STRICT = 1 << 2, /* no data or an error of an operand is the result */
};

/* cel_op_rule.traits */
enum {
	OP_IS_STRICT = 1 << 0,
	OP_FOLDS =
		1 << 1, /* needs nothing of the environment: computed when compiled if operands are known */
};

/*
 * X(NAME, operands, type of the result, traits). F = strict and foldable, S = strict, L = foldable
 * but looks at statuses itself, N = neither.
 */
#define CEL_OPS(X)                                                                                           \
	X(LOAD, 0, NONE, N)                                                                                  \
	X(MOVE, 1, NONE, N)                                                                                  \
	X(CHOOSE, 2, NONE, N) /* dst = a ? b : dst, by the rule of ?: */                                     \
	X(AND, 2, BOOL, L)                                                                                   \
	X(OR, 2, BOOL, L)                                                                                    \
	X(NOT, 1, BOOL, F)                                                                                   \
	X(HAS, 1, BOOL, L)                                                                                   \
	X(FALSE, 1, BOOL, F) /* x in [] */                                                                   \
	X(INT_NEG, 1, INT, F)                                                                                \
	X(INT_ADD, 2, INT, F)                                                                                \
	X(INT_SUB, 2, INT, F)                                                                                \
	X(INT_MUL, 2, INT, F)                                                                                \
	X(INT_DIV, 2, INT, F)                                                                                \
	X(INT_MOD, 2, INT, F)                                                                                \
	X(DOUBLE_NEG, 1, DOUBLE, F)                                                                          \
	X(DOUBLE_ADD, 2, DOUBLE, F)                                                                          \
	X(DOUBLE_SUB, 2, DOUBLE, F)                                                                          \
	X(DOUBLE_MUL, 2, DOUBLE, F)                                                                          \
	X(DOUBLE_DIV, 2, DOUBLE, F)                                                                          \
	X(STRING_ADD, 2, STRING, F)                                                                          \
	X(TIME_ADD, 2, TIMESTAMP, F)                                                                         \
	X(TIME_SUB, 2, TIMESTAMP, F)                                                                         \
	X(TIME_DIFF, 2, DURATION, F)                                                                         \
	X(DURATION_ADD, 2, DURATION, F)                                                                      \
	X(DURATION_SUB, 2, DURATION, F)                                                                      \
	X(INT_EQ, 2, BOOL, F) /* bool, timestamp and duration too */                                         \
	X(INT_NE, 2, BOOL, F)                                                                                \
	X(INT_LT, 2, BOOL, F)                                                                                \
	X(INT_LE, 2, BOOL, F)                                                                                \
	X(DOUBLE_EQ, 2, BOOL, F)                                                                             \
	X(DOUBLE_NE, 2, BOOL, F)                                                                             \
	X(DOUBLE_LT, 2, BOOL, F)                                                                             \
	X(DOUBLE_LE, 2, BOOL, F)                                                                             \
	X(STRING_EQ, 2, BOOL, F)                                                                             \
	X(STRING_NE, 2, BOOL, F)                                                                             \
	X(STRING_LT, 2, BOOL, F)                                                                             \
	X(STRING_LE, 2, BOOL, F)                                                                             \
	X(MONEY_EQ, 2, BOOL, S) /* rates belong to the evaluation */                                         \
	X(MONEY_NE, 2, BOOL, S)                                                                              \
	X(MONEY_LT, 2, BOOL, S)                                                                              \
	X(MONEY_LE, 2, BOOL, S)                                                                              \
	X(MONEY_OF_EVENT, 1, MONEY, S)                                                                       \
	X(MONEY_OF_BASE, 1, MONEY, S)                                                                        \
	X(STRING_SIZE, 1, INT, F)                                                                            \
	X(STRING_STARTS, 2, BOOL, F)                                                                         \
	X(STRING_ENDS, 2, BOOL, F)                                                                           \
	X(STRING_CONTAINS, 2, BOOL, F)                                                                       \
	X(INT_OF_DOUBLE, 1, INT, F)                                                                          \
	X(INT_OF_STRING, 1, INT, F)                                                                          \
	X(INT_OF_TIME, 1, INT, F)                                                                            \
	X(DOUBLE_OF_INT, 1, DOUBLE, F)                                                                       \
	X(DOUBLE_OF_STRING, 1, DOUBLE, F)                                                                    \
	X(BOOL_OF_STRING, 1, BOOL, F)                                                                        \
	X(TIME_OF_STRING, 1, TIMESTAMP, F)                                                                   \
	X(TIME_OF_INT, 1, TIMESTAMP, F)                                                                      \
	X(DURATION_OF_STRING, 1, DURATION, F)                                                                \
	X(STRING_OF_BOOL, 1, STRING, F)                                                                      \
	X(STRING_OF_INT, 1, STRING, F)                                                                       \
	X(STRING_OF_DOUBLE, 1, STRING, F)                                                                    \
	X(STRING_OF_TIME, 1, STRING, F)                                                                      \
	X(STRING_OF_DURATION, 1, STRING, F)                                                                  \
	X(STRING_OF_MONEY, 1, STRING, F)                                                                     \
	X(INT_IN, 2, BOOL, F)	       /* b: a constant list, ascending; bool, timestamp and duration too */ \
	X(STRING_IN, 2, BOOL, F)       /* b: the same of strings, by bytes */                                \
	X(STRING_MATCHES, 2, BOOL, F)  /* b: a constant struct regex */                                      \
	X(TIME_LOCAL, 1, TIMESTAMP, S) /* in env->zone: its UTC reading is the local time */                 \
	X(TIME_IN_ZONE, 2, TIMESTAMP, F) /* the same; b: a constant struct zone */                           \
	X(GEO_LAT_NEAR, 2, DOUBLE, F)	 /* sin^2 of half the difference of two latitudes */                 \
	X(GEO_LAT_FAR, 2, DOUBLE, F)	 /* .. of half their sum */                                          \
	X(GEO_LAT_COS, 2, DOUBLE, F)	 /* product of their cosines */                                      \
	X(GEO_LON_NEAR, 2, DOUBLE, F)	 /* sin^2 of half the difference of two longitudes */                \
	X(GEO_LON_FAR, 2, DOUBLE, F)	 /* cos^2 of it */                                                   \
	X(GEO_KM, 2, DOUBLE, F)		 /* from the haversine and one minus it */                           \
	X(TIME_YEAR, 2, INT, F)		 /* b: seconds east of UTC */                                        \
	X(TIME_MONTH, 2, INT, F)                                                                             \
	X(TIME_DATE, 2, INT, F)                                                                              \
	X(TIME_DAY_OF_MONTH, 2, INT, F)                                                                      \
	X(TIME_DAY_OF_WEEK, 2, INT, F)                                                                       \
	X(TIME_DAY_OF_YEAR, 2, INT, F)                                                                       \
	X(TIME_HOURS, 2, INT, F)                                                                             \
	X(TIME_MINUTES, 2, INT, F)                                                                           \
	X(TIME_SECONDS, 2, INT, F)                                                                           \
	X(TIME_MILLISECONDS, 2, INT, F)                                                                      \
	X(DURATION_HOURS, 1, INT, F)                                                                         \
	X(DURATION_MINUTES, 1, INT, F)                                                                       \
	X(DURATION_SECONDS, 1, INT, F)                                                                       \
	X(DURATION_MILLISECONDS, 1, INT, F)                                                                  \
	X(LIST_SIZE, 1, INT, F) /* from here on interpreted only; elements keep their own result */          \
	X(LIST_ADD, 2, LIST, S)                                                                              \
	X(LIST_INDEX, 2, NONE, S)                                                                            \
	X(LIST_EQ, 2, BOOL, S)                                                                               \
	X(LIST_NE, 2, BOOL, S)                                                                               \
	X(LIST_IN, 2, BOOL, N) /* a == an element of b */

enum cel_op {
	OP_NONE = 0,
#define X(name, operands, type, traits) OP_##name,
	CEL_OPS(X)
#undef X
		OP_COUNT,
};

struct cel_op_rule {
	uint8_t operands;
	uint8_t type; /* enum value_type; TYPE_NONE: that of an operand */
	uint8_t traits;
};
extern const struct cel_op_rule cel_op_rules[OP_COUNT];

/* Every register is written by an instruction, so this many are always enough. */
enum { PROGRAM_REGISTERS_MAX = PROGRAM_INSTRUCTIONS_MAX };

_Static_assert(OP_COUNT <= UINT8_MAX, "cel_instruction.op is a byte");
_Static_assert(PROGRAM_REGISTERS_MAX <= UINT16_MAX, "cel_instruction.dst is 16 bits");

#endif
