/*
 * base_copy: bases: copies of the store from which a replay starts (DESIGN 6). data/base-<position, 16 hex
 * digits>/.
 */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <engine.h>

/* The newest base of a data directory: its position and path; -ENOENT when there is none. */
__attribute__((warn_unused_result)) int base_newest(const char *data, uint64_t *position, char *path,
						    size_t path_bytes);
/* Copies the committed store to a base for `position`; whole or not at all. 0 or -errno. */
__attribute__((warn_unused_result)) int base_make(struct core *core, const char *data, uint64_t position);

#endif
