/*
 * recover: what is done to a directory before it is written again. Inside the stage.
 */
#ifndef JOURNAL_RECOVER_H
#define JOURNAL_RECOVER_H

#include <journal/journal.h>
#include <journal/segment.h>

/* Where the next batch goes. */
struct recovered {
	struct hash128 chain; /* of the last good batch */
	int fd;		      /* the segment at hand, -1 = none; the caller's */
	uint64_t segment;     /* number in its name */
	uint64_t offset;      /* behind the last good batch */
	uint64_t bytes;	      /* of the segment */
};

/* Reads what is there, cuts a torn tail, syncs. `dir_fd` is locked by the caller. */
__attribute__((warn_unused_result)) int journal_recover(const struct journal_options *options, int dir_fd,
							const struct segment_mode *mode,
							struct journal_tail *tail, struct recovered *out,
							char *why, size_t why_bytes);

#endif
