/*
 * walk: from batch to batch through the segments of a directory, checking all of each; recovery and the
 * reader stand on it. Reads with pread into its own window, so that nothing changes under the eyes that check
 * it, and a writer may be at work. Inside the stage. One thread.
 */
#ifndef JOURNAL_WALK_H
#define JOURNAL_WALK_H

#include <journal/batch.h>

/* What stands behind the last good batch. */
struct walk_tail {
	uint64_t batches; /* headers of torn batches, and the place where one should be but is none */
	uint64_t bytes;	  /* up to the last byte that is not zero, in all segments */
	uint64_t end;	  /* offset behind the last byte that is not zero in the segment at hand */
};

struct walk {
	int dir_fd;
	int fd;				  /* the segment at hand, -1 = none yet */
	uint64_t segment;		  /* number in its name */
	uint64_t offset;		  /* where the next batch should stand */
	bool started;			  /* `last` is set */
	struct journal_batch_header last; /* the last good batch */
	const struct journal_batch_header
		*batch; /* the same in the window, with its bytes; lent until the next walk_next */
	uint64_t batch_offset;
	struct walk_tail tail; /* when walk_next has given 0 */

	uint8_t *window;
	size_t window_room, window_bytes;
	uint64_t window_at; /* its offset in the segment */
	bool searched;	    /* the tail at (segment, offset) was looked through */
};

/* Opens the directory. */
__attribute__((warn_unused_result)) int walk_open(struct walk *w, const char *dir, char *why,
						  size_t why_bytes);
void walk_close(struct walk *w);
/*
 * Goes to the last segment that begins below `position` (0: to the oldest), so that the next walk_next gives
 * its first batch. Of older ones it looks at the first header only: name, order. *base = the oldest position
 * that is there, 0 = none.
 */
__attribute__((warn_unused_result)) int walk_start(struct walk *w, uint64_t position, uint64_t *base,
						   char *why, size_t why_bytes);
/*
 * The next batch: 1 (batch, last), 0 at the end (tail), -EBADMSG on corruption, -ENOENT when segments were
 * deleted that had not been read yet, another -errno; with `why`. After 0 it may be called again.
 */
__attribute__((warn_unused_result)) int walk_next(struct walk *w, char *why, size_t why_bytes);
/* The header of a segment's first batch: 1, 0 when there is none that is good, -errno. */
__attribute__((warn_unused_result)) int walk_first_header(int dir_fd, uint64_t segment,
							  struct journal_batch_header *header);

#endif
