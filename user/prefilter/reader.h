/*
 * reader: the engine's end of one slot's ring (include/moment/ring.h). Plain memory, so that a test can be
 * the program. Engine thread only.
 */
#ifndef PREFILTER_READER_H
#define PREFILTER_READER_H

#include <moment/ring.h>
#include <stdbool.h>

struct ring_reader {
	struct ring_slot *slot;
	struct ring_ends *ends;
	const char *data; /* RING_BYTES + RING_SLACK_BYTES */
	uint64_t tail;	  /* what is lent next */
};

enum ring_item {
	RING_NOTHING, /* not yet */
	RING_FRAME,   /* a frame that was kept: a header that header_check() found good, and its body */
	RING_RECORD,  /* struct ring_dropped */
	RING_BROKEN,  /* nothing more comes: slot->broken says why */
};

/* The next item, lent until reader_done; *bytes: of the frame, or of the record in the ring. */
enum ring_item reader_next(const struct ring_reader *r, const char **item, uint32_t *bytes);
/* The item lent last is used up: its room is the program's again. */
void reader_done(struct ring_reader *r);
/* Items that stand together from the next one on, all of them whole. */
const char *reader_span(const struct ring_reader *r, uint32_t *bytes);
/* So many bytes of it, which were so many frames of the stream and no record, are used up. */
void reader_span_done(struct ring_reader *r, uint32_t bytes, uint32_t frames);
/* Is there an item, or a break to report? */
bool reader_waits(const struct ring_reader *r);
/* Was a FIN seen, with all before it in the ring? */
bool reader_ended(const struct ring_reader *r);

#endif
