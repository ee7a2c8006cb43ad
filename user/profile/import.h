/*
 * import: profiles, accounts and subscriptions from lines of JSON (NDJSON).
 *
 *   {"customer": N, "set": {..}, "unset": [..], "as_of", "source", "subscriptions": [{"id", "kind", "on",
 * "params", ..}]}
 *   {"account": N, "set": {"holders": [..], "currency", "alias", "status", "cards": [..]}, "unset": [..]}
 *
 * A line becomes exactly the bodies of PROFILE and SUBSCRIBE frames (import_lines), which a store applies as
 * it applies frames (import), or a source sends. A line is one row: applied whole or not at all.
 */
#ifndef PROFILE_IMPORT_H
#define PROFILE_IMPORT_H

#include <moment/frame.h>
#include <profile/store.h>
#include <stdio.h>

/* ---- a line into bodies ---- */

enum { IMPORT_CHANGES_MAX = 128, IMPORT_LINE_BYTES_MAX = 1 << 20 };

struct import_change {
	enum frame_kind kind; /* PROFILE or SUBSCRIBE */
	uint64_t customer, account;
	const uint8_t *body; /* checked by pack_validate; lent until the next line */
	uint32_t bytes;
};

struct import_problem {
	uint32_t column; /* 1-based, in characters */
	char text[320];
};

struct import_lines;
struct import_lines *import_lines_new(void); /* NULL: out of memory */
void import_lines_free(struct import_lines *l);
/* How many changes the line holds (0: it is blank), or -1 with *problem. */
int import_lines_read(struct import_lines *l, const char *line, size_t len, struct import_problem *problem);
const struct import_change *import_lines_change(const struct import_lines *l, int index);
/* Column of the line that a byte of that change's body came from. */
uint32_t import_lines_column(const struct import_lines *l, int index, uint32_t offset);

/* ---- lines into a store, as one transaction ---- */

struct import_options {
	const char *file; /* for messages: FILE:LINE:COLUMN: ... */
	bool skip_bad;	  /* bad rows are counted and left out; else one of them and nothing is imported */
	FILE *report;	  /* where bad rows are listed, the first IMPORT_REPORT_MAX */
};
enum { IMPORT_REPORT_MAX = 20 };

struct import_result {
	uint64_t lines, rows, customers, accounts, subscriptions,
		bad; /* rows: applied lines of customers or accounts */
	bool committed;
};

struct import;
/* The store is open without thread, the catalogue in force. 0 or -errno. */
__attribute__((warn_unused_result)) int import_begin(struct import **out, struct store *s,
						     const struct catalogue *c,
						     const struct import_options *options);
/* 0, also for a bad row; -errno when the store cannot take it (disk full). */
__attribute__((warn_unused_result)) int import_line(struct import *i, const char *line, size_t len);
/* The file could not be read to its end: import_end drops all. */
void import_fail(struct import *i);
/*
 * Commits, or drops all when a row was bad and skip_bad is off. The catalogue's blob is kept under META
 * "catalogue" when the store has none. 0 (also when dropped) or -errno (nothing imported). After it the store
 * can only be closed, unless result->committed.
 */
__attribute__((warn_unused_result)) int import_end(struct import *i, struct import_result *result);

#endif
