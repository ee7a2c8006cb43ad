/*
 * value.h: one value as expressions see it: 16 bytes, a result status and a type.
 *
 * Three results (SEMANTICS 3): a value, no data, an error. Where two operands of a strict operator
 * disagree the worse wins (error over no data over value), whichever side it stands on; && and ||
 * first look for the operand that decides alone, as CEL says.
 */
#ifndef MOMENT_VALUE_H
#define MOMENT_VALUE_H

#include <stdint.h>

enum value_status { VALUE_OK = 0, VALUE_NO_DATA = 1, VALUE_ERROR = 2 };

enum value_type {
	TYPE_NONE = 0,
	TYPE_BOOL,
	TYPE_INT,
	TYPE_DOUBLE,
	TYPE_STRING,	/* UTF-8, borrowed */
	TYPE_TIMESTAMP, /* ns since 1970 UTC */
	TYPE_DURATION,	/* ns */
	TYPE_MONEY,	/* minor units and ISO 4217 numeric currency */
	TYPE_LIST,	/* of values, borrowed; inside of expressions only */
	TYPE_COUNT,
};

/* Which currency an int of minor units is in, known when an expression is compiled. */
enum value_unit {
	UNIT_NONE = 0, /* a plain number */
	UNIT_EVENT,    /* minor units of event.currency */
	UNIT_BASE,     /* minor units of the bank's currency */
};

/* Why a value is VALUE_ERROR */
enum value_error {
	VALUE_ERROR_NONE = 0,
	VALUE_ERROR_OVERFLOW,
	VALUE_ERROR_DIVIDE_BY_ZERO,
	VALUE_ERROR_MODULUS_BY_ZERO,
	VALUE_ERROR_RANGE,   /* a conversion or timestamp out of range */
	VALUE_ERROR_CONVERT, /* a string that does not convert */
	VALUE_ERROR_INDEX,   /* a place that a list does not have */
	VALUE_ERROR_TYPE,    /* no operation for values of these types; where types are dynamic */
	VALUE_ERROR_COUNT,
};

struct value {
	uint8_t type;	   /* enum value_type */
	uint8_t status;	   /* enum value_status */
	uint16_t currency; /* TYPE_MONEY: ISO 4217 numeric */
	uint32_t bytes;	   /* TYPE_STRING: length; TYPE_LIST: values; VALUE_ERROR: enum value_error */
	union {
		int64_t i; /* BOOL (0 or 1), INT, TIMESTAMP, DURATION, MONEY */
		double d;
		const char *s;
		const struct value *list;
		const void *compiled; /* a constant that an operation knows: a regular expression, a zone */
	};
};

_Static_assert(sizeof(struct value) == 16, "four a cache line");

#endif
