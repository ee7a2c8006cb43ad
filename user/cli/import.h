/*
 * import: what `moment import` shares between its two ways, into a store or to a running engine.
 */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include <stdbool.h>

struct import_arguments {
	const char *to, *data, *catalogue, *file, *name;
	bool skip_bad;
};

/* Sends the file's changes as a source to a running engine; enum cli_exit. */
int import_to(const struct import_arguments *a);

#endif
