/*
 * privileges: capabilities of the calling thread.
 */
#ifndef PREFILTER_PRIVILEGES_H
#define PREFILTER_PRIVILEGES_H

#include <stdbool.h>

/* The first capability that loading the pre-filter needs and this thread lacks: "CAP_BPF"; NULL: none. */
const char *privileges_missing(void);
/* Keeps those to write the data, lock memory, set priorities and limits, and bind a low port; no new ones
 * can be had. Threads made later have the same. 0 or -errno. */
__attribute__((warn_unused_result)) int privileges_keep_few(void);

#endif
