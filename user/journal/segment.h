/*
 * segment: the files of the journal: their names, their list, how one is made ready. Inside the stage.
 * All functions give 0 or -errno.
 */
#ifndef JOURNAL_SEGMENT_H
#define JOURNAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_NAME_FORMAT "%016llx.seg"
#define SEGMENT_SPARE_FORMAT "spare-%016llx.tmp"
enum { SEGMENT_NAME_BYTES = 32 };

void segment_name(char name[SEGMENT_NAME_BYTES], uint64_t first_batch);
/* Writes "segment NAME, offset O, batch B: ..." or any other text; returns `error`. */
__attribute__((format(printf, 4, 5))) int segment_why(char *why, size_t why_bytes, int error,
						      const char *format, ...);

/* How a directory's files are written. */
struct segment_mode {
	bool direct;	/* O_DIRECT works */
	uint32_t block; /* writes begin, end and lie in memory at multiples of this */
};
/* Tries it out with a file of one block, which it removes. */
__attribute__((warn_unused_result)) int segment_mode_find(int dir_fd, struct segment_mode *mode);

/* The numbers of all segments, ascending. The caller frees *numbers. */
__attribute__((warn_unused_result)) int segment_list(int dir_fd, uint64_t **numbers, uint32_t *count);
/* Removes what a preparer left behind. */
__attribute__((warn_unused_result)) int segment_spares_remove(int dir_fd);

/* flock, waiting up to `ms`: a killed process holds a file until its last write in flight is done. -EBUSY. */
__attribute__((warn_unused_result)) int segment_lock(int fd, uint32_t ms);
__attribute__((warn_unused_result)) int segment_open_write(int dir_fd, const char *name, bool direct,
							   int *fd);

/*
 * Makes a new file of `bytes` zeros, written and (sync) on the disk with its name, locked. Nothing is left
 * when it fails. *fd is the caller's.
 */
__attribute__((warn_unused_result)) int segment_prepare(int dir_fd, const char *name, uint64_t bytes,
							const struct segment_mode *mode, bool sync, int *fd);
/* Overwrites [from, to) with zeros and syncs. With O_DIRECT both are multiples of the block. */
__attribute__((warn_unused_result)) int segment_zero(int fd, uint64_t from, uint64_t to);

#endif
