/*
 * function: which operation a function or an operator is for values of given types, where types are dynamic.
 */
#ifndef CEL_FUNCTION_H
#define CEL_FUNCTION_H

#include <cel/program.h>
#include <stdbool.h>
#include <stdint.h>

/* MOVE: the argument as it is; NONE: no function of that name takes these. */
enum cel_op cel_function_find(const char *name, bool is_method, const uint8_t *types, unsigned count);
/* check.c: the same for an operator, enum node_kind; *swap: operands the other way around. */
enum cel_op cel_arithmetic_find(unsigned kind, unsigned left, unsigned right, bool *swap);

#endif
