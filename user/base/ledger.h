/*
 * ledger: how everything ended, counted. Four floors (SEMANTICS 7), each adds up:
 *   causes  = one outcome each
 *   hits    = NOTICED + MERGED + SCORED + SHADOW + SUPPRESSED
 *   notices = QUEUED + HELD + DIGESTED (open) + SENT + EXPIRED + SUPPRESSED + UNREACHABLE
 *   legs    = QUEUED (open) + ACCEPTED + FAILED + EXPIRED; DELIVERED and READ are ACCEPTED ones that went on
 *
 * Part of the state: a function of the journal, kept in checkpoints. FILTERED and DUPLICATE come from SEEN
 * records. Engine thread writes; the control thread reads a copy (ledger_print takes one).
 */
#ifndef BASE_LEDGER_H
#define BASE_LEDGER_H

#include <moment/counters.h>
#include <moment/limits.h>
#include <stdbool.h>
#include <stdint.h>

struct ledger_rule {
	char name[NAME_BYTES_MAX + 1];
	uint8_t section;   /* enum rule_section */
	bool confidential; /* in no metric and status */
	uint64_t hits, no_data, errors; /* what a condition came to; how many were looked at is no state */
	uint64_t legs[CHANNEL_SLOTS_MAX]; /* made, by channel slot */
};

struct ledger {
	uint64_t events_in;  /* event frames in sequence or below it, kept or not */
	uint64_t changes_in; /* PROFILE, SUBSCRIBE, MANAGE, RECEIPT, REPLY */
	uint64_t hits_made, notices_made, legs_made;
	uint64_t events[EVENT_OUTCOME_COUNT];
	uint64_t changes[CHANGE_OUTCOME_COUNT];
	uint64_t hits[HIT_OUTCOME_COUNT];
	uint64_t hits_suppressed[SUPPRESSED_REASON_COUNT];
	uint64_t notices[NOTICE_STATE_COUNT];
	uint64_t legs[LEG_STATE_COUNT];
	uint64_t decided_with_hit;
	uint64_t verdicts[3];
	uint64_t text_no_data; /* placeholders without data */
	uint64_t window_full;
};

/* One floor: made == the sum of how they ended or where they wait. */
struct ledger_equation {
	const char *name;
	uint64_t made, open, closed;
};
enum { LEDGER_EQUATIONS = 5 };

/* Fills the equations; true when all hold. */
bool ledger_equations(const struct ledger *l, struct ledger_equation out[LEDGER_EQUATIONS]);

#endif
