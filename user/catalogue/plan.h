/*
 * plan: which rules can hold for an event, found from its values instead of by asking every rule. Made when a
 * catalogue is compiled, by the thread that compiles it; a part of it like any other, but not of its blob and
 * hash, since it follows from the rest.
 *
 * A condition bounds a field when it is false for every value of the field outside of some intervals:
 * `event.mcc == 7995 && ...` bounds mcc by one point. By CEL false is then the result whatever the rest is,
 * no data and errors included; so a rule that is not looked at is exactly one that would have come to false.
 * A field without a value bounds nothing: all rules that are indexed by it are candidates.
 *
 * Each rule is indexed by the bound that seems to leave least; its other bounds are checks. A type with few
 * such rules has no index: conditions over columns cost less than finding them.
 */
#ifndef CATALOGUE_PLAN_H
#define CATALOGUE_PLAN_H

#include <catalogue/catalogue.h>
#include <string.h>

enum {
	PLAN_BOUNDS_MAX = 4,	     /* of one rule */
	PLAN_INDEXED_RULES_MIN = 16, /* of one type; fewer are evaluated without an index */
	PLAN_ACTOR_RULES_MAX = 16, /* of one type: subscriptions evaluated before it is known who has them */
	PLAN_FIELDS_MAX = 1024,
	PLAN_NO_FIELD = UINT16_MAX,
};

struct plan_interval {
	int64_t low, high; /* both in it */
};

/*
 * A value that some rule is bounded by. Ints as they are; a bool is 0 or 1; a string its plan_text_number();
 * a double its plan_double_number(), where NaN is taken for no value; minor units that are compared with
 * money of a currency, where event.currency is that one, else taken for no value.
 */
struct plan_field {
	uint8_t space; /* enum cel_space */
	uint8_t type;  /* enum value_type */
	uint16_t index;
	uint16_t currency; /* 0: as it stands */
};

/* Doubles as ints in the same order; -0.0 is 0.0. */
static inline int64_t plan_double_number(double d)
{
	int64_t bits;

	d += 0.0;
	memcpy(&bits, &d, sizeof bits);
	return bits ^ (bits >> 63 & INT64_MAX);
}

struct plan_bound {
	uint16_t field;
	uint32_t count; /* of intervals, ascending, apart from each other; 0: false for every value */
	const struct plan_interval *in;
};

struct plan_rule {
	bool columns; /* cel_columns_can(): else its rows go to cel_eval() */
	bool money;   /* it compares amounts with money: event.currency is asked for */
	bool zone;    /* it asks for local times */
	bool holder;  /* a subscription whose condition reads profile, me, param or the holder's zone */
	bool actor; /* of the holder it reads the profile only: where the actor is the holder, the actor's */
	bool exact; /* where all bounded fields have values: true exactly inside all of the bounds */
	uint8_t bound_count;
	const struct plan_bound *bounds; /* the first is the one it is indexed by */
};

/* A rule at a node, with one more of its bounds, if that is one interval: most that fail, fail here. */
struct plan_candidate {
	uint16_t rule;
	uint16_t field; /* PLAN_NO_FIELD: none */
	bool decides;	/* with it the rule holds: it is exact, has no more bounds and lists no stages */
	bool fraud;
	struct plan_interval in;
};

struct plan_node {
	uint32_t first; /* of its candidates; the next node's is the end */
	uint32_t up;	/* itself or the next above it that has candidates, 0 = none */
};

/*
 * The rules of a type that are indexed by one field. boundaries[] cuts its values into segments, segment k
 * being those with k boundaries at or below them. The segments are the leaves of a tree; an interval stands
 * at the fewest nodes that cover it, so the rules whose interval has a value are those of its leaf and above.
 */
struct plan_index {
	uint16_t field;
	uint32_t boundary_count, leaf; /* node of segment 0: a power of two */
	/* values from the first boundary on lie in hint_count places of 2^shift; hints[] has the boundaries
	 * before each: where a search begins and ends */
	int64_t low;
	uint32_t shift, hint_count;
	const uint32_t *hints;
	const int64_t *boundaries;
	const struct plan_node *nodes;
	const struct plan_candidate *candidates;
	uint32_t all_count;
	const uint16_t *all; /* every rule of this index */
};

struct plan_type {
	uint32_t always_count, index_count, field_count;
	const uint16_t *always; /* not indexed, ascending */
	const struct plan_index *indexes;
	const uint16_t *fields; /* that its indexes and checks read */
	bool holder;		/* any subscription that reads the holder */
	bool actor;		/* those that read the actor's profile only are few: they stand in always */
	bool holder_rest;	/* some others that read the holder */
	uint64_t *holder_bits;	/* bit per rule number - catalogue.subscription_first */
};

struct plan_text {
	const char *s;
	uint32_t bytes;
};

struct plan_slot {
	uint32_t hash, number; /* of a text, + 1; 0 = empty */
};

struct cat_plan {
	uint32_t field_count, text_count, text_slots; /* slots: a power of two, or 0 */
	const struct plan_field *fields;
	const struct plan_rule *rules; /* by rule number */
	const struct plan_type *types; /* by event of the catalogue */
	const struct plan_text *texts;
	const struct plan_slot *slots;
};

/* The number of a string that some rule compares with; -1: of no rule. */
int64_t plan_text_number(const struct cat_plan *plan, const char *s, uint32_t bytes);

static inline bool plan_bound_has(const struct plan_bound *bound, int64_t v)
{
	for (uint32_t i = 0; i < bound->count; i++)
		if (v >= bound->in[i].low && v <= bound->in[i].high)
			return true;
	return false;
}

/* The node whose rules come first for a value, 0 = no rule; the next is nodes[node / 2].up. */
static inline uint32_t plan_index_find(const struct plan_index *index, int64_t v)
{
	const int64_t *cuts = index->boundaries;
	uint64_t place = ((uint64_t)v - (uint64_t)index->low) >> index->shift;

	if (v < index->low)
		return index->nodes[index->leaf].up;
	if (place >= index->hint_count)
		place = index->hint_count - 1;
	uint32_t segment = index->hints[place], end = index->hints[place + 1];
	while (segment < end) {
		uint32_t middle = segment + (end - segment) / 2;
		if (cuts[middle] <= v)
			segment = middle + 1;
		else
			end = middle;
	}
	return index->nodes[index->leaf + segment].up;
}

#endif
