/*
 * decide.c: per hit: is it fresh, who hears of it, on which channel. Every hit leaves with an outcome that is
 * counted in one place, hit_end. Rows are lent by the store for the run.
 */
#include "decide.h"

#include <assert.h>

enum { RECIPIENTS_MAX = HOLDERS_MAX + 1 };

static void hit_end(struct ledger *ledger, struct hit *hit, enum hit_outcome outcome,
		    enum suppressed_reason reason)
{
	assert(hit->outcome == HIT_NONE);
	hit->outcome = (uint8_t)outcome;
	hit->reason = (uint8_t)reason;
	ledger->hits_made++;
	ledger->hits[outcome]++;
	if (outcome == HIT_SUPPRESSED)
		ledger->hits_suppressed[reason]++;
}

/* The first channel of the subscription's own list, else of the rule's (decisions 25). */
static uint8_t channel_choose(const struct cat_rule *rule, const struct hit *hit,
			      const struct row_cursor *cursor)
{
	int own = hit->holder ? row_subscription_channel(cursor) : -1;

	assert(rule->channel_count > 0); /* the compiler gives a rule without a list all channels */
	return own >= 0 ? (uint8_t)own : rule->channels[0];
}

static bool row_known(const struct row *row)
{
	return row && !(row->flags & ROW_PROVISIONAL);
}

/* Actor, then owners in record order, each once (decisions 7). Returns how many. */
static uint32_t recipients_of_critical(const struct event *e, uint64_t out[RECIPIENTS_MAX])
{
	uint32_t n = 0, count = 0;
	const struct row_holder *holders = e->account ? row_holders(e->account, &count) : NULL;

	if (e->header->customer)
		out[n++] = e->header->customer;
	for (uint32_t i = 0; i < count; i++) {
		if ((holders[i].role == ROLE_OWNER || holders[i].role == ROLE_CO_OWNER) &&
		    holders[i].customer != e->header->customer)
			out[n++] = holders[i].customer;
	}
	return n;
}

/* The recipient's row: the hit's or the event's own where it is theirs, since the run has them at hand. */
static const struct row *recipient_row(struct store *store, const struct event *e, const struct hit *hit,
				       uint64_t recipient)
{
	if (hit->holder)
		return hit->holder;
	return recipient == e->header->customer ? e->actor : store_customer(store, recipient);
}

static bool notice_add(struct decide *d, uint32_t hit, uint8_t channel, uint64_t recipient,
		       const struct row *row, struct ledger *ledger)
{
	if (!row_known(row))
		return false;
	d->notices[d->notice_count++] =
		(struct notice){ .hit = hit, .channel = channel, .recipient = recipient, .profile = row };
	ledger->notices_made++;
	ledger->notices[NOTICE_QUEUED]++;
	return true;
}

static void hit_decide(struct decide *d, struct store *store, const struct catalogue *c,
		       const struct event *e, struct hit *hit, uint32_t index,
		       const struct row_cursor *cursor, struct ledger *ledger)
{
	const struct cat_rule *rule = &c->rules[hit->rule];
	uint64_t recipients[RECIPIENTS_MAX];
	uint32_t told = 0, count = 1;

	if (e->header->time < e->now - rule->fresh_ns) {
		hit_end(ledger, hit, HIT_SUPPRESSED, SUPPRESSED_STALE);
		return;
	}
	uint8_t channel = channel_choose(rule, hit, cursor);
	if (hit->holder)
		recipients[0] = hit->holder->key;
	else
		count = recipients_of_critical(e, recipients);
	for (uint32_t i = 0; i < count; i++)
		told += notice_add(d, index, channel, recipients[i],
				   recipient_row(store, e, hit, recipients[i]), ledger);
	if (told)
		hit_end(ledger, hit, HIT_NOTICED, SUPPRESSED_NONE);
	else
		hit_end(ledger, hit, HIT_SUPPRESSED,
			count ? SUPPRESSED_PROVISIONAL : SUPPRESSED_NO_RECIPIENT);
}

uint32_t decide_run(struct decide *d, struct store *store, const struct catalogue *c,
		    const struct event *events, struct hit *hits, const struct row_cursor *cursors,
		    uint32_t from, uint32_t count, struct ledger *ledger)
{
	d->notice_count = 0;
	uint32_t i = from;
	for (; i < count && d->notice_count + RECIPIENTS_MAX <= RUN_NOTICES_MAX; i++)
		hit_decide(d, store, c, &events[hits[i].event], &hits[i], i, &cursors[i], ledger);
	return i;
}
