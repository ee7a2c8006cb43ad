/*
 * interest: what must be kept, as a condition on headers: of one rule, of several, of two tables.
 *
 * A need is one conjunction, as an entry of the table is. Every operation errs to the same side: what it
 * gives covers what it was made from. Nothing is allocated and nothing fails, so the engine may widen a table
 * between two ticks. A need is over a kilobyte: callers keep few of them.
 */
#ifndef CATALOGUE_INTEREST_H
#define CATALOGUE_INTEREST_H

#include <catalogue/catalogue.h>

struct interest_need {
	uint8_t action; /* INTEREST_DROP: no header; INTEREST_KEEP: all; INTEREST_KEEP_IF: by the conditions
			 */
	uint8_t conditions;
	uint16_t touchpoints, currency;
	int64_t amount_min;
	uint64_t country[INTEREST_COUNTRIES / 64],
		mcc[INTEREST_MCCS / 64]; /* only where the condition is set */
};

/* `into` covers what either covered; covers what both covered. */
void interest_need_join(struct interest_need *into, const struct interest_need *other);
void interest_need_meet(struct interest_need *into, const struct interest_need *other);

/*
 * The headers for which the rule's condition is not false; for a subscription, of enrolled customers. An
 * event of another header makes the condition false, neither no data nor an error, whatever profile,
 * parameters and aggregates are.
 */
void interest_rule_need(const struct catalogue *c, const struct cat_rule *rule, struct interest_need *out);

/* How many sets of a table are taken. */
struct interest_sets_used {
	uint8_t countries, mccs;
};

/* An entry for a need; where no set is free the condition goes. And back: the sets are copied. */
struct interest_entry interest_need_entry(const struct interest_need *need, struct interest_sets *sets,
					  struct interest_sets_used *used);
void interest_entry_need(const struct interest_entry *entry, const struct interest_sets *sets,
			 struct interest_need *out);

/*
 * Makes `into` a table that keeps whatever `a` or `b` keeps, for any header and any enrolment: the first of
 * the three steps to a new catalogue (DESIGN 7). A type that one of them does not know is kept. The tables
 * are the caller's and `into` is neither of the others; its version is not touched.
 */
void interest_table_widen(struct interest_table *into, const struct interest_table *a,
			  const struct interest_table *b);

#endif
