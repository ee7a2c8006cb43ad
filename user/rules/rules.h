/*
 * rules: the stage that says which rules hold. In: events of a run with their values. Out: hits in journal
 * order, within an event critical rules by number, then subscriptions by holder, rule, id (decisions 7, 8,
 * 10); fraud rules add to the event's score and are counted as SCORED, they make no hit entry. The rules of a
 * pattern that an event completes come behind those of its type; a rule runs once for an event.
 *
 * A condition that is no data or an error does not fire; each is counted by rule, the first error is logged
 * with its event.
 *
 * Test: tests/unit/rules/.
 */
#ifndef RULES_RULES_H
#define RULES_RULES_H

#include <base/ledger.h>
#include <moment/batch.h>
#include <profile/store.h>

enum { RUN_HITS_MAX = 32768 };

struct rules_work; /* work.h */

struct rules {
	struct region region;
	struct rules_work *work;
	struct hit *hits;
	struct row_cursor *cursors; /* of the subscription behind hits[i] */
	uint8_t *roles;		    /* enum holder_role behind hits[i] */
	uint32_t hit_count;
	struct value *profile; /* of profile_row */
	const struct row *profile_row;
	char *scratch;
	struct row_subscription subscription;
	struct value account[ACCOUNT_FIELD_COUNT], me[ME_COUNT];
};

__attribute__((warn_unused_result)) int rules_init(struct rules *r);
void rules_deinit(struct rules *r);

/*
 * Evaluates events[from..count) until the next one's worst case would not fit into the hits; returns the
 * index of the first that was not evaluated. by_rule[rule_count] takes the counts.
 */
uint32_t rules_run(struct rules *r, struct store *store, const struct catalogue *c, struct event *events,
		   uint32_t from, uint32_t count, struct ledger *ledger, struct ledger_rule *by_rule);

/*
 * The environment of hits[i], with profile, me and parameters of its holder: for texts. Only the spaces in
 * the mask (1 << SPACE_x) are filled, and r->subscription but for its parameters. Lent until the next call.
 */
struct cel_env rules_hit_env(struct rules *r, struct store *store, const struct catalogue *c,
			     const struct event *event, uint32_t hit, const struct row *recipient,
			     uint32_t spaces);

/* Conditions that went to cel_eval() row by row so far: for tests and the bench; no part of the state. */
uint64_t rules_interpreted(const struct rules *r);

#endif
