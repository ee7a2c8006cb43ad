/*
 * ledger.c: the equations. A sum over the enum, so that a new outcome is in it from its first day.
 */
#include "ledger.h"

static uint64_t sum(const uint64_t *counts, unsigned from, unsigned to)
{
	uint64_t total = 0;

	for (unsigned i = from; i < to; i++)
		total += counts[i];
	return total;
}

bool ledger_equations(const struct ledger *l, struct ledger_equation out[LEDGER_EQUATIONS])
{
	uint64_t notices_open =
		l->notices[NOTICE_QUEUED] + l->notices[NOTICE_HELD] + l->notices[NOTICE_DIGESTED];
	/* DELIVERED and READ are where an accepted leg stands now: each leg is counted in one state */
	out[0] =
		(struct ledger_equation){ "events", l->events_in, 0, sum(l->events, 1, EVENT_OUTCOME_COUNT) };
	out[1] = (struct ledger_equation){ "changes", l->changes_in, 0,
					   sum(l->changes, 1, CHANGE_OUTCOME_COUNT) };
	out[2] = (struct ledger_equation){ "hits", l->hits_made, 0, sum(l->hits, 1, HIT_OUTCOME_COUNT) };
	out[3] = (struct ledger_equation){ "notices", l->notices_made, notices_open,
					   sum(l->notices, 1, NOTICE_STATE_COUNT) - notices_open };
	out[4] = (struct ledger_equation){ "legs", l->legs_made, l->legs[LEG_QUEUED],
					   sum(l->legs, 1, LEG_STATE_COUNT) - l->legs[LEG_QUEUED] };
	bool hold = true;
	for (unsigned i = 0; i < LEDGER_EQUATIONS; i++)
		hold = hold && out[i].made == out[i].open + out[i].closed;
	return hold && sum(l->hits_suppressed, 1, SUPPRESSED_REASON_COUNT) == l->hits[HIT_SUPPRESSED];
}
