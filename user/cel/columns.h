/*
 * columns: a program over many rows at once. A register is a column; an instruction is one loop.
 *
 * The result of a row is what cel_eval() gives for it, status and error code included: the operations are
 * total and the program has no branch, so every row can take every step. The caller gathers what the program
 * loads into columns, row after row; nothing is allocated, nothing is kept.
 *
 * A program that makes strings, has many registers or is interpreted is not taken (cel_columns_can): its rows
 * go to cel_eval().
 *
 * Test: tests/unit/cel/test_columns.c.
 */
#ifndef CEL_COLUMNS_H
#define CEL_COLUMNS_H

#include <cel/cel.h>
#include <moment/limits.h>

enum { COLUMN_ROWS_MAX = BATCH_ENTRIES_MAX, COLUMN_REGISTERS_MAX = 48 };

/* A status in a byte: enum value_status in the low two bits, of an error its enum value_error above. */
enum { COLUMN_STATUS_MASK = 3, COLUMN_ERROR_SHIFT = 2 };
_Static_assert(VALUE_ERROR_COUNT <= 64, "an error code has six bits");

static inline uint8_t column_status(enum value_status status, uint32_t error)
{
	return (uint8_t)(status == VALUE_ERROR ? VALUE_ERROR | error << COLUMN_ERROR_SHIFT : status);
}

/* One value a row, lent. Where the status is not VALUE_OK the others mean nothing. */
struct cel_column {
	const int64_t *bits; /* as struct value: a bool is 0 or 1, a double its bits, a string its address */
	const uint8_t *status;	  /* NULL: every row has a value */
	const uint32_t *bytes;	  /* of strings */
	const uint16_t *currency; /* of money */
};

/* Room for the registers of one evaluation. The caller sets the first three. */
struct cel_columns {
	const struct money_rates *rates;
	const uint16_t *event_currency;	 /* a row; for programs that compare amounts with money */
	const struct zone *const *zones; /* a row; for local(): as cel_env.zone */
	struct cel_column registers[COLUMN_REGISTERS_MAX];
	uint8_t fault[COLUMN_ROWS_MAX];
	int64_t bits[COLUMN_REGISTERS_MAX][COLUMN_ROWS_MAX];
	uint8_t status[COLUMN_REGISTERS_MAX][COLUMN_ROWS_MAX];
	uint16_t currency[COLUMN_REGISTERS_MAX][COLUMN_ROWS_MAX];
};

/* Can it be evaluated over columns? Asked once, when a catalogue is compiled. */
bool cel_columns_can(const struct cel_program *program);

/*
 * loads[i] is the column of the program's i-th instruction, an OP_LOAD (all loads stand first). The result is
 * lent until the next call; it may be one of the loads.
 */
struct cel_column cel_columns_eval(struct cel_columns *m, const struct cel_program *program,
				   const struct cel_column *loads, uint32_t rows);

#endif
