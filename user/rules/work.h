/*
 * work: what the files of the rules stage share: a run in evaluation.
 *
 * A *group* is the events of a run that have one type, or that completed one pattern: the rows that its rules
 * are evaluated over. What is not false at a row is *found*: it holds, or is no data or an error and is
 * counted. A *seat* is a holder at a row, a *unit* one subscription of a seat.
 *
 *   1. rules.c groups the events; for each group
 *   2. find.c finds rules that ask nothing of a holder: those without an index over all rows, the others over
 *      the rows at which their bounds hold
 *   3. seats.c looks for who subscribes to what was found, and to what asks for the holder, and evaluates
 *      the latter over units
 *   4. rules.c walks the events in journal order: counts, scores, hits.
 *
 * Everything before 4 is without effect, so a run may be cut there and evaluated again.
 */
#ifndef RULES_WORK_H
#define RULES_WORK_H

#include "rules.h"

#include <catalogue/plan.h>
#include <cel/columns.h>

enum {
	ROWS_MAX = BATCH_ENTRIES_MAX,
	GROUPS_OF_EVENT_MAX = 1 + PATTERNS_MAX,
	PARTS_MAX = ROWS_MAX * GROUPS_OF_EVENT_MAX,
	SEATS_MAX = ROWS_MAX * HOLDERS_MAX * GROUPS_OF_EVENT_MAX,
	FOUND_MAX = ROWS_MAX * RULES_MAX, /* a rule runs once for an event */
	UNITS_MAX = ROWS_MAX * HOLDERS_MAX * SUBSCRIPTIONS_MAX,
	ROOMS_MAX =
		FIELD_COUNT + BODY_FIELDS_MAX + ATTRIBUTES_MAX + ACCOUNT_FIELD_COUNT + AGGREGATE_VALUES_MAX,
	STAGE_SCRATCH_BYTES = 64 << 10,	  /* strings of one evaluation */
	LOADS_MAX = COLUMN_REGISTERS_MAX, /* of a program over columns */
};

/* A column and its room. */
struct column_room {
	uint32_t made; /* the group that it was made for */
	struct cel_column column;
	int64_t bits[ROWS_MAX];
	uint8_t status[ROWS_MAX];
	uint32_t bytes[ROWS_MAX];
	uint16_t currency[ROWS_MAX];
};

/* The same as numbers for an index (struct plan_field), where they are not the column's own. */
struct number_room {
	uint32_t made;
	bool any; /* row without a value */
	uint8_t status[ROWS_MAX];
	int64_t number[ROWS_MAX];
};

struct found {
	uint16_t row, rule;
	uint8_t status; /* column_status(); 0: it holds */
};

struct seat {
	const struct row *row; /* of the holder */
	uint64_t customer;
	uint16_t at;  /* row of the group */
	uint8_t role; /* enum holder_role */
};

struct unit {
	uint32_t seat;
	uint16_t rule;
	uint8_t place; /* in row_kinds() of the seat's row */
	uint8_t flags; /* enum row_kind_flags */
	uint8_t status;
	bool holds;
	bool waits; /* to be evaluated; else what was found counts */
};

/* What an event has of a group: a stretch of found, one of units. */
struct part {
	uint32_t found, found_end, unit, unit_end;
	uint32_t next; /* of the same event, + 1 */
};

struct group {
	const struct cat_event *type;
	const struct plan_type *plan;
	uint32_t number;   /* of the run's groups so far: what columns are made for */
	uint32_t patterns; /* of an event that come before this one; 0 for a type of its own */
	bool is_pattern;
	uint32_t count;
	uint16_t at[ROWS_MAX]; /* index of the event in the run, ascending */
	struct event *e[ROWS_MAX];
	uint8_t fraud[ROWS_MAX], counted[ROWS_MAX]; /* as in the event */
	bool all_fraud, all_counted;		    /* on every row */
	uint32_t first_found, first_seat, first_unit;
};

/* Things with a rule number, gathered by rule. */
struct by_rule {
	uint32_t count[RULES_MAX], first[RULES_MAX];
	uint16_t touched[RULES_MAX];
	uint32_t touched_count;
};

struct rules_work {
	struct store *store;
	const struct catalogue *c;
	struct ledger_rule *counts; /* by rule: to fetch ahead */
	char *scratch;
	struct value *profile; /* for what is interpreted */
	struct value account[ACCOUNT_FIELD_COUNT], me[ME_COUNT];
	struct group group;
	struct cel_columns columns;
	struct column_room sub[LOADS_MAX]; /* columns of some rows */
	uint16_t currency[ROWS_MAX], sub_currency[ROWS_MAX];
	uint32_t currency_made;
	const struct zone *zones[ROWS_MAX]; /* of the holders in scope */
	int64_t one_bits[ROWS_MAX];	    /* results of what is interpreted */
	uint8_t one_status[ROWS_MAX];
	uint8_t listen[ROWS_MAX];
	struct by_rule by_rule;
	uint16_t type_count[EVENT_TYPES_MAX], type_first[EVENT_TYPES_MAX];
	uint16_t types[ROWS_MAX], type_rows[ROWS_MAX];
	uint16_t picked[ROWS_MAX], picked_type[ROWS_MAX]; /* events that run rules */
	uint32_t picked_count, completed;		  /* patterns that any of them completed */
	uint32_t part_of[ROWS_MAX], part_last[ROWS_MAX];  /* + 1 */
	uint32_t part_count, found_count, seat_count, unit_count, sorted_count;
	uint32_t groups; /* ever: numbers columns */
	uint64_t interpreted;
	struct part *parts;
	struct column_room *rooms;
	struct number_room *numbers; /* by field of the plan */
	struct found *found, *sorted, *pairs;
	struct seat *seats;
	struct unit *units;
	uint32_t *places; /* of pairs or units, by rule */
	struct row_subscription subscription;
	struct row_kinds_room kinds_room;
	uint32_t row_found[ROWS_MAX + 1]; /* of the group: where a row's found begin in sorted */
};

/* What a condition came to at n rows. */
struct outcome {
	const int64_t *bits;
	const uint8_t *status; /* NULL: values only */
};

/* columns.c: a field of the group's rows; of the actor's profile for SPACE_PROFILE. */
const struct cel_column *group_column(struct rules_work *w, uint8_t space, uint16_t index, uint8_t type);
/* A field of the plan as numbers. */
const int64_t *group_numbers(struct rules_work *w, uint16_t field, const uint8_t **status);
/* event.currency of every row. */
const uint16_t *group_currency(struct rules_work *w);
/* Some rows of a column. */
void column_take(const struct cel_column *from, const uint16_t *rows, uint32_t n, struct column_room *to);
void column_set(struct column_room *to, uint32_t i, const struct value *v);

/* find.c */
void group_find(struct rules_work *w);
struct cel_env work_env(struct rules_work *w, const struct event *e, const struct row *holder);
void me_fill(struct value me[ME_COUNT], uint64_t customer, enum holder_role role); /* seats.c */
const struct zone *work_zone(const struct rules_work *w, const struct row *holder);
bool group_listens(const struct rules_work *w, const struct cat_rule *rule, uint32_t row);

/* seats.c: after group_find */
void group_seats(struct rules_work *w);

/* Counting by rule: rules_gather(), then first[rule] is where its things begin in order of being counted. */
static inline void by_rule_count(struct by_rule *b, uint16_t rule)
{
	if (b->count[rule]++ == 0)
		b->touched[b->touched_count++] = rule;
}

static inline void by_rule_lay_out(struct by_rule *b)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < b->touched_count; i++) {
		b->first[b->touched[i]] = total;
		total += b->count[b->touched[i]];
	}
}

/* Where the next thing of the rule goes. */
static inline uint32_t by_rule_place(struct by_rule *b, uint16_t rule)
{
	return b->first[rule]++;
}

static inline void by_rule_clear(struct by_rule *b)
{
	for (uint32_t i = 0; i < b->touched_count; i++)
		b->count[b->touched[i]] = 0;
	b->touched_count = 0;
}

#endif
