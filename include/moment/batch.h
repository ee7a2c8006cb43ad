/*
 * batch.h: what the stages hand on. Plain structs; every pointer is lent until the run is done.
 *
 * A *run* is a stretch of consecutive EVENT entries of one tick. A change (PROFILE, SUBSCRIBE, activation...)
 * stands between two runs, so that no event sees what came after it: batch size never shows.
 */
#ifndef MOMENT_BATCH_H
#define MOMENT_BATCH_H

#include <moment/counters.h>
#include <moment/frame.h>
#include <moment/limits.h>
#include <moment/value.h>
#include <stdbool.h>

struct cat_event;
struct row;
struct event_fields; /* catalogue/env.h */

/* The reserved keys of an event's body; strings are borrowed from the frame. */
struct event_reserved {
	const char *ref, *of, *card; /* NULL = absent */
	uint32_t ref_bytes, of_bytes, card_bytes;
	uint8_t stage; /* enum event_stage, resolved: absent = posted, or request when a verdict is wanted */
	bool has_original_amount, has_original_currency;
	int64_t original_amount, original_currency;
};

/* Who sent an event: part of a message's id, so that it is the same on every replay. */
struct source_identity {
	char name[NAME_BYTES_MAX + 1];
	uint8_t stream[16];
};

/* One journal entry of a tick; data lies in the journal's buffer. */
struct batch_entry {
	const void *data;
	uint64_t position;
	int64_t now;
	uint32_t bytes;
	uint16_t source;
	uint8_t kind; /* enum journal_entry_kind */
};

/* profile -> rules: one event with the values as of it. */
struct event {
	const struct frame_header *header;
	const uint8_t *body;
	uint32_t body_bytes;
	uint16_t source;
	uint8_t outcome; /* enum event_outcome */
	uint8_t stage;	 /* enum event_stage */
	bool fraud, counted, staged, provisional;
	bool unremembered; /* the filter may drop it: rules run, nothing stays of it (decisions 35) */
	uint64_t position;
	int64_t now;
	const struct cat_event *type;	   /* NULL: not in the catalogue */
	const struct row *actor, *account; /* NULL: no record */
	const struct event_reserved *reserved;
	struct event_fields *fields;	 /* SPACE_EVENT, made when asked for: event_field(), event_fields() */
	const struct value *body_fields; /* SPACE_BODY */
	const struct value *aggregates;	 /* SPACE_AGG */
	uint32_t patterns;		 /* completed by it, bit per number in the catalogue */
	int64_t score;			 /* rules: sum of fraud scores */
	uint16_t reasons[REASONS_MAX];	 /* rules: numbers of the fraud rules that scored */
	uint8_t reason_count;
};

/* rules -> decide: a rule holds. */
struct hit {
	uint16_t event; /* index in the run */
	uint16_t rule;	/* number in the catalogue */
	uint8_t outcome, reason;
	const struct row *holder; /* subscription: whose; NULL: critical */
};

/* decide -> message: somebody is to be told. */
struct notice {
	uint32_t hit;
	uint8_t channel; /* index in the catalogue */
	uint64_t recipient;
	const struct row *profile; /* the recipient's */
};

#endif
