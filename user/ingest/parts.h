/*
 * parts: what the files of this stage share. seen.c counts what moved and acknowledges it, greet.c takes the
 * first frame of a connection, ingest.c all the others.
 */
#ifndef INGEST_PARTS_H
#define INGEST_PARTS_H

#include <ingest/ingest.h>

enum { ACCEPTED_RUNS_MAX = 1024 };

/* What the connection is to its peer; NULL: another one has the name by now. */
struct ingest_live *ingest_live_of(struct ingest *in, const struct conn *conn);
/* The connection that has this peer's name now, NULL when there is none. */
struct conn *ingest_live_conn(struct ingest *in, uint16_t peer);

/* Is there room in the batch? Then an entry may be added. */
bool ingest_entry_fits(const struct ingest *in, size_t bytes);
void ingest_entry_add(struct ingest *in, enum journal_entry_kind kind, uint16_t source, const void *a,
		      uint32_t a_bytes, const void *b, uint32_t b_bytes);
void ingest_accepted_add(struct ingest *in, uint16_t peer, const struct journal_accepted *runs,
			 uint32_t count);

/* The peer's stream moves in this batch. */
struct ingest_moved *ingest_moved_begin(struct ingest *in, uint16_t peer);
/* Counts dropped frames; false: no line is left, the batch must end first. */
bool ingest_dropped_count(struct ingest *in, uint16_t peer, uint16_t type, uint8_t reason, uint32_t count);

/* What is left of a source's window; false: nothing. And: so much of it is in the batch now. */
bool ingest_window_left(const struct conn *conn, uint64_t *events, uint64_t *rounded);
void ingest_window_take(struct ingest *in, struct conn *conn, uint64_t events, uint64_t rounded);

/* Takes at most so many plain events that stand together; 0: the next frame is something else, or cut, or has
 * no room. */
uint32_t ingest_burst_take(struct ingest *in, struct conn *conn, uint32_t most);

/* The first frame of a connection. It ends the batch: its entries are applied before anything else is read.
 * False: it cannot be taken yet. */
bool ingest_hello_take(struct ingest *in, struct conn *conn, const char *frame, uint32_t bytes);
/* Behind it: the source may hear of it, or its socket joins the pre-filter first, which ingest_join_take
 * goes on with. */
void ingest_source_welcome(struct ingest *in, struct conn *conn);
void ingest_join_take(struct ingest *in, struct conn *conn);

#endif
