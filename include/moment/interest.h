/*
 * interest.h: what the pre-filter keeps, one entry per event type code (DESIGN 7).
 *
 * Made by the catalogue compiler, read by the user-space filter and by the eBPF program: fixed widths,
 * no pointers. In doubt an entry keeps.
 */
#ifndef MOMENT_INTEREST_H
#define MOMENT_INTEREST_H

#include <moment/frame.h>

enum interest_action {
	INTEREST_UNKNOWN = 0, /* the catalogue does not have the type: kept, ends as UNKNOWN_TYPE */
	INTEREST_KEEP = 1,
	INTEREST_DROP = 2,
	INTEREST_KEEP_IF = 3, /* kept when every condition that is set below holds */
};

enum {
	INTEREST_IF_AMOUNT = 1 << 0,	 /* amount >= amount_min */
	INTEREST_IF_COUNTRY = 1 << 1,	 /* reserved for the next issue: not produced yet */
	INTEREST_IF_TOUCHPOINT = 1 << 2, /* bit `touchpoint` of touchpoints */
	INTEREST_IF_MCC = 1 << 3,
	INTEREST_IF_ENROLLED = 1 << 4,
};

struct interest_entry {
	uint8_t action; /* enum interest_action */
	uint8_t conditions;
	uint16_t touchpoints;
	uint16_t countries; /* number of a set */
	uint16_t mccs;	    /* number of a set */
	int64_t amount_min;
};

_Static_assert(sizeof(struct interest_entry) == 16, "four a cache line, the same for both sides");

/* What becomes of a frame of a source, before anything is kept (DESIGN 7). */
enum filter_verdict {
	FILTER_KEEP,
	FILTER_DROP,	  /* FILTERED */
	FILTER_DUPLICATE, /* its sequence was seen */
	FILTER_GAP,	  /* fatal for the connection */
};

/* The conditions of one entry; a condition that this version does not know keeps. */
static inline int interest_keeps(const struct interest_entry *entry, const struct frame_header *h)
{
	if (entry->action == INTEREST_DROP)
		return 0;
	if (entry->action != INTEREST_KEEP_IF)
		return 1;
	return !(entry->conditions & INTEREST_IF_AMOUNT) || h->amount >= entry->amount_min;
}

/*
 * The one decision, for a header that was checked and whose kind is in the source's stream: sequence first,
 * then kind and flags, then interest. `expected` is the next sequence of the stream. The body is never looked
 * at.
 */
static inline enum filter_verdict filter_decide(const struct interest_entry *entry,
						const struct frame_header *h, uint64_t expected)
{
	if (h->sequence < expected)
		return FILTER_DUPLICATE;
	if (h->sequence > expected)
		return FILTER_GAP;
	if (h->kind != FRAME_EVENT || h->flags != 0)
		return FILTER_KEEP;
	return interest_keeps(entry, h) ? FILTER_KEEP : FILTER_DROP;
}

enum { INTEREST_TYPES = 65536 };

struct interest_table {
	uint32_t version; /* counted by activations, from 1 */
	uint32_t reserved;
	struct interest_entry type[INTEREST_TYPES];
};

#endif
