/*
 * check_memory.h: what the windows of a catalogue cost, for `moment check --memory`.
 */
#ifndef CLI_CHECK_MEMORY_H
#define CLI_CHECK_MEMORY_H

#include <catalogue/catalogue.h>

/* Prints the table. 0, or -errno: there is no memory to try it in. */
__attribute__((warn_unused_result)) int check_memory(const struct catalogue *c, FILE *to);

#endif
