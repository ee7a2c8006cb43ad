/*
 * check_filter: is the pre-filter sound for this journal? (DESIGN 7, docs/decisions.md 35 to 38).
 *
 * The journal J is run twice from the newest base, in two processes: as it is, and without the events that
 * the table in force at their place would drop (J'). Each side says, in the journal's order, what came out;
 * both must say the same, and end in the same state with the same counters, but that J' has the dropped ones
 * as FILTERED. The decision is the hardest one that the contract allows (interest.h): who never subscribed is
 * not enrolled, and nobody shares a bit.
 *
 * check_filter.c compares and reports, check_side.c is one side.
 */
#ifndef CLI_CHECK_FILTER_H
#define CLI_CHECK_FILTER_H

#include <base/ledger.h>
#include <moment/hash.h>
#include <moment/interest.h>
#include <stdio.h>

struct check_filter_options {
	const char *data;
	uint32_t chunk; /* entries a core_apply call; 0 = BATCH_ENTRIES_MAX */
	/* Tests: changes each table before it is used, on both sides. */
	void (*alter)(struct interest_table *table);
	FILE *out, *err;
};

/* CLI_OK: sound; CLI_FAILED: not so, or one side could not run: `err` has the first difference. */
int check_filter_run(const struct check_filter_options *options);

/* ---- what a side says: records down a pipe ---- */

enum check_what { /* in the order in which one event's records stand */
		  CHECK_NOTHING,
		  CHECK_VERDICT,
		  CHECK_MESSAGE,
		  CHECK_HIT,   /* a rule held on an event that is dropped */
		  CHECK_TRACE, /* an event that is dropped left something in the state */
		  CHECK_OUTCOME,
		  CHECK_END,	/* struct check_end and its arrays follow */
		  CHECK_FAILED, /* text: why */
};

enum { CHECK_TEXT_BYTES_MAX = 400 };

struct check_record { /* text_bytes of text follow */
	uint32_t text_bytes;
	uint8_t what, outcome; /* enum check_what; enum event_outcome */
	uint16_t type;
	uint64_t position, sequence;
	struct hash128 hash;
	char type_name[NAME_BYTES_MAX + 1];
};

struct check_type {
	uint16_t code;
	char name[NAME_BYTES_MAX + 1];
	uint64_t seen, dropped; /* of this run */
	uint64_t kept;		/* the core's own counter */
};

struct check_end { /* then ledger_rule[rule_count], check_type[type_count] */
	uint64_t batches, entries, events, dropped, messages, verdicts, position;
	struct hash128 outputs, history, rows;
	struct ledger ledger; /* the dropped ones moved to FILTERED */
	uint32_t rule_count, type_count;
};

/* Runs one side to its end, writing records to `to`. What fails is a record too. */
void check_side_run(const struct check_filter_options *options, const char *base, bool without, FILE *to);

#endif
