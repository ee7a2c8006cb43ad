/*
 * interest.h: what the pre-filter keeps, and the one decision (DESIGN 7, docs/prefilter.md).
 *
 * The table is made by the catalogue compiler, one entry per event type code. The decision is compiled for
 * both sides: bpf/prefilter.bpf.c runs it in the kernel, user/ingest natively, and tests/fuzz/fuzz_filter.c
 * against a slow model. Fixed widths, no pointers. In doubt a frame is kept.
 */
#ifndef MOMENT_INTEREST_H
#define MOMENT_INTEREST_H

#include <moment/check.h>
#include <moment/frame.h>

enum interest_action {
	INTEREST_UNKNOWN = 0, /* the catalogue does not have the type: kept, ends as UNKNOWN_TYPE */
	INTEREST_KEEP = 1,
	INTEREST_DROP = 2,
	INTEREST_KEEP_IF = 3, /* kept when every condition that is set below holds */
};

/* A field without data (0) and a code outside its set's range hold: such an event is kept. */
enum {
	INTEREST_IF_AMOUNT = 1 << 0,	 /* amount >= amount_min, in `currency`; other currencies hold */
	INTEREST_IF_COUNTRY = 1 << 1,	 /* country in the set `countries` */
	INTEREST_IF_TOUCHPOINT = 1 << 2, /* bit `touchpoint` of touchpoints */
	INTEREST_IF_MCC = 1 << 3,	 /* mcc in the set `mccs` */
	INTEREST_IF_ENROLLED = 1 << 4,	 /* somebody whom the event concerns ever subscribed: see enrolment */
};

struct interest_entry {
	uint8_t action; /* enum interest_action */
	uint8_t conditions;
	uint16_t touchpoints;
	uint8_t countries, mccs; /* numbers of sets */
	uint16_t currency;	 /* 0: amounts of any currency are compared as they stand */
	int64_t amount_min;	 /* minor units */
};
_Static_assert(sizeof(struct interest_entry) == 16, "four a cache line, the same for both sides");

enum {
	INTEREST_TYPES = 65536,
	INTEREST_SETS_MAX = 16, /* of each kind; a type that needs another is kept */
	INTEREST_COUNTRIES = 1024,
	INTEREST_MCCS = 10048,
};

struct interest_sets { /* bit c of a set: code c is in it */
	uint64_t country[INTEREST_SETS_MAX][INTEREST_COUNTRIES / 64];
	uint64_t mcc[INTEREST_SETS_MAX][INTEREST_MCCS / 64];
};

struct interest_table {
	uint32_t version; /* counted by activations, from 1 */
	uint32_t reserved;
	struct interest_sets sets;
	struct interest_entry type[INTEREST_TYPES];
};

/* What becomes of a frame of a source, before anything is kept. */
enum filter_verdict {
	FILTER_KEEP,
	FILTER_DROP,	    /* FILTERED */
	FILTER_IF_ENROLLED, /* kept or FILTERED: enrolment decides */
	FILTER_DUPLICATE,   /* its sequence was seen */
	FILTER_GAP,	    /* fatal for the connection */
};

static inline int interest_country_holds(const struct interest_entry *e, const struct interest_sets *sets,
					 uint16_t country)
{
	if (country == 0 || country >= INTEREST_COUNTRIES || e->countries >= INTEREST_SETS_MAX)
		return 1;
	return sets->country[e->countries][country / 64] >> (country % 64) & 1;
}

static inline int interest_mcc_holds(const struct interest_entry *e, const struct interest_sets *sets,
				     uint16_t mcc)
{
	if (mcc == 0 || mcc >= INTEREST_MCCS || e->mccs >= INTEREST_SETS_MAX)
		return 1;
	return sets->mcc[e->mccs][mcc / 64] >> (mcc % 64) & 1;
}

/* Do the conditions that the header alone answers hold? */
static inline int interest_header_holds(const struct interest_entry *e, const struct interest_sets *sets,
					const struct frame_header *h)
{
	if ((e->conditions & INTEREST_IF_AMOUNT) && (e->currency == 0 || e->currency == h->currency) &&
	    h->amount < e->amount_min)
		return 0;
	if ((e->conditions & INTEREST_IF_TOUCHPOINT) && h->touchpoint != 0 &&
	    !(e->touchpoints >> (h->touchpoint & 15) & 1))
		return 0;
	if ((e->conditions & INTEREST_IF_COUNTRY) && !interest_country_holds(e, sets, h->country))
		return 0;
	return !(e->conditions & INTEREST_IF_MCC) || interest_mcc_holds(e, sets, h->mcc);
}

/* FILTER_KEEP, FILTER_DROP or FILTER_IF_ENROLLED, for an EVENT without flags. */
static inline enum filter_verdict interest_decide(const struct interest_entry *e,
						  const struct interest_sets *sets,
						  const struct frame_header *h)
{
	if (e->action == INTEREST_DROP)
		return FILTER_DROP;
	if (e->action != INTEREST_KEEP_IF)
		return FILTER_KEEP;
	if (!interest_header_holds(e, sets, h))
		return FILTER_DROP;
	return e->conditions & INTEREST_IF_ENROLLED ? FILTER_IF_ENROLLED : FILTER_KEEP;
}

/* Is the kind one of those that a source numbers? */
static inline int filter_in_stream(uint8_t kind)
{
	return kind == FRAME_EVENT || kind == FRAME_PROFILE || kind == FRAME_SUBSCRIBE ||
	       kind == FRAME_MANAGE;
}

/*
 * The one decision, for a header that header_check() found good: kind, sequence, flags, then interest.
 * `expected` is the next sequence of the stream. The body is never looked at.
 */
static inline enum filter_verdict filter_decide(const struct interest_entry *entry,
						const struct interest_sets *sets,
						const struct frame_header *h, uint64_t expected)
{
	if (!filter_in_stream(h->kind))
		return FILTER_KEEP;
	if (h->sequence < expected)
		return FILTER_DUPLICATE;
	if (h->sequence > expected)
		return FILTER_GAP;
	if (h->kind != FRAME_EVENT || h->flags != 0)
		return FILTER_KEEP;
	return interest_decide(entry, sets, h);
}

/*
 * Enrolment: who may be meant by a subscription. A bit per hashed customer number, and per hashed account
 * number the bucket of its only holder. Both sides only ever add to it, while it is in use: the program when
 * it meets a SUBSCRIBE or PROFILE, before it looks at the next frame; the engine from the store at start.
 *
 * An event concerns its actor and the holders of its account. It is kept when the actor's bit is set, or
 * that of the account's only holder, or when the account has several. Hashed numbers that meet in one bucket
 * share its bit: more is kept, never less; two holders in one bucket have the same bit, so asking for one
 * is asking for the other.
 */
enum {
	ENROLMENT_CUSTOMER_BITS = 27,
	ENROLMENT_ACCOUNT_BITS = 22,
	ENROLMENT_WORDS = 1 << (ENROLMENT_CUSTOMER_BITS - 6), /* uint64_t: 16 MiB */
	ENROLMENT_ACCOUNTS = 1 << ENROLMENT_ACCOUNT_BITS,     /* uint32_t: 16 MiB */
};
#define ENROLMENT_HOLDER_NONE 0u	     /* no account of this bucket has a record */
#define ENROLMENT_HOLDER_SEVERAL 0xffffffffu /* else: bucket of the only holder + 1 */

static inline uint64_t enrolment_hash(uint64_t number)
{
	number ^= number >> 33;
	number *= 0xff51afd7ed558ccdULL;
	number ^= number >> 33;
	number *= 0xc4ceb9fe1a85ec53ULL;
	return number ^ number >> 33;
}

static inline uint32_t enrolment_customer(uint64_t customer)
{
	return (uint32_t)(enrolment_hash(customer) >> (64 - ENROLMENT_CUSTOMER_BITS));
}

static inline uint32_t enrolment_account(uint64_t account)
{
	return (uint32_t)(enrolment_hash(account) >> (64 - ENROLMENT_ACCOUNT_BITS));
}

/* What an account's bucket says after one more account with this only holder (bucket). */
static inline uint32_t enrolment_holder_join(uint32_t is, uint32_t holder_bucket)
{
	if (is == ENROLMENT_HOLDER_NONE || is == holder_bucket + 1)
		return holder_bucket + 1;
	return ENROLMENT_HOLDER_SEVERAL;
}

#endif
