/*
 * hit_env.c: what the text of a hit sees: only the spaces that it reads are made.
 *
 * In: a hit of the last run, who reads the text, a mask. Out: an environment, lent until the next call.
 */
#include "work.h"

#include <catalogue/env.h>
#include <string.h>

/* Decodes a row's attributes unless they are the ones decoded last. */
static const struct value *profile_values(struct rules *r, const struct store *store,
					  const struct catalogue *c, const struct row *row)
{
	if (!row || row != r->profile_row)
		row_profile(store, c, row, r->profile);
	r->profile_row = row;
	return r->profile;
}

struct cel_env rules_hit_env(struct rules *r, struct store *store, const struct catalogue *c,
			     const struct event *event, uint32_t hit, const struct row *recipient,
			     uint32_t spaces)
{
	static const struct value no_me[ME_COUNT] = { { .type = TYPE_INT, .status = VALUE_NO_DATA },
						      { .type = TYPE_STRING, .status = VALUE_NO_DATA } };
	struct cel_env env = { .space = { [SPACE_BODY] = event->body_fields,
					  [SPACE_AGG] = event->aggregates,
					  [SPACE_ME] = no_me },
			       .rates = &c->rates,
			       .zone = &c->zone,
			       .currency = event->header->currency,
			       .scratch = r->scratch,
			       .scratch_bytes = STAGE_SCRATCH_BYTES };

	if (spaces & 1u << SPACE_EVENT)
		env.space[SPACE_EVENT] = event_fields(c, event);
	if (spaces & 1u << SPACE_ACCOUNT) {
		row_account(event->account, r->account);
		env.space[SPACE_ACCOUNT] = r->account;
	}
	if (spaces & 1u << SPACE_PROFILE)
		env.space[SPACE_PROFILE] = profile_values(r, store, c, recipient);
	if (c->attribute_zone >= 0 && c->zone_count) {
		struct value name = row_attribute(store, c, recipient, (uint16_t)c->attribute_zone);
		env.zone = catalogue_zone(c, &name);
	}
	if (r->hits[hit].holder) {
		if (spaces & 1u << SPACE_PARAM)
			row_subscription_read(&r->cursors[hit], &r->subscription);
		env.space[SPACE_PARAM] = r->subscription.params;
		me_fill(r->me, r->hits[hit].holder->key, (enum holder_role)r->roles[hit]);
		env.space[SPACE_ME] = r->me;
	}
	return env;
}
