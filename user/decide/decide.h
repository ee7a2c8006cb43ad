/*
 * decide: the stage that says who is told, and on which channel. In: hits of a run. Out: notices, in the
 * order of hits, within a hit in the order of recipients; each hit gets its outcome (NOTICED or SUPPRESSED
 * with a reason).
 *
 * This is where contact policy (SEMANTICS 8) goes in issue four: policy is a function of notice, profile and
 * state, evaluated here and again at release. Today: freshness, provisional customers, choice of channel.
 *
 * Test: tests/unit/decide/test_decide.c.
 */
#ifndef DECIDE_DECIDE_H
#define DECIDE_DECIDE_H

#include <base/ledger.h>
#include <moment/batch.h>
#include <profile/store.h>

enum { RUN_NOTICES_MAX = 4096 };

struct decide {
	struct notice notices[RUN_NOTICES_MAX];
	uint32_t notice_count;
};

/*
 * Decides hits[from..count) until the next one's recipients might not fit; returns the index of the first
 * that was not decided. cursors[i] is the subscription behind hits[i].
 */
uint32_t decide_run(struct decide *d, struct store *store, const struct catalogue *c,
		    const struct event *events, struct hit *hits, const struct row_cursor *cursors,
		    uint32_t from, uint32_t count, struct ledger *ledger);

#endif
