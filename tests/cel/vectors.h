/*
 * vectors: files of conformance vectors, one JSON object a line:
 *   {"name": "..", "expr": "..", "bind": {"x": VALUE, ..}, "value": VALUE}   or   "error": true
 * VALUE is {"int": "5"}, {"double": "1e3"}, {"bool": true}, {"string": ".."}, {"timestamp": RFC 3339},
 * {"duration": "1h"} or {"list": [VALUE, ..]}.
 */
#ifndef TEST_CEL_VECTORS_H
#define TEST_CEL_VECTORS_H

#include <moment/zone.h>
#include <stddef.h>

struct vectors_count {
	unsigned passed, failed, files;
};

/* Runs every *.ndjson of a directory in order of names; a line on stdout for each failure. 0 or -errno. */
int vectors_run(const char *directory, struct vectors_count *count);

/* zones.c: a zone by its name from ICU, NULL when there is none of it. Lent until zones_free. */
struct known;
struct zones {
	struct known *first;
};
const struct zone *zones_find(struct zones *zones, const char *name, size_t len);
void zones_free(struct zones *zones);

#endif
