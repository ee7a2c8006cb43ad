/*
 * rules.c: per event, candidates by its type; per candidate, one evaluation. Values of the event are in
 * columns; the profile in scope is the actor's for fraud and critical, each holder's own for subscriptions,
 * decoded once per row.
 *
 * Memory: the hits of a run, taken at init; entries borrow rows until the run is done. Errors of conditions
 * are data: counted, never raised.
 */
#include "rules.h"

#include <assert.h>
#include <base/log.h>
#include <catalogue/env.h>
#include <string.h>

enum { SCRATCH_BYTES = 64 << 10, EVENT_HITS_MAX = RULES_MAX + HOLDERS_MAX * SUBSCRIPTIONS_MAX };
_Static_assert((int)RUN_HITS_MAX >= (int)EVENT_HITS_MAX, "one event's hits fit");

int rules_init(struct rules *r)
{
	*r = (struct rules){ 0 };
	int rc =
		region_init(&r->region, (sizeof *r->hits + sizeof *r->cursors + 1) * RUN_HITS_MAX +
						sizeof(struct value) * ATTRIBUTES_MAX + SCRATCH_BYTES + 4096);
	if (rc)
		return rc;
	r->hits = region_take(&r->region, sizeof *r->hits * RUN_HITS_MAX);
	r->cursors = region_take(&r->region, sizeof *r->cursors * RUN_HITS_MAX);
	r->roles = region_take(&r->region, RUN_HITS_MAX);
	r->profile = region_take(&r->region, sizeof(struct value) * ATTRIBUTES_MAX);
	r->scratch = region_take(&r->region, SCRATCH_BYTES);
	assert(r->scratch);
	return 0;
}

void rules_deinit(struct rules *r)
{
	region_deinit(&r->region);
}

/* Decodes a row's attributes unless they are the ones decoded last. */
static const struct value *profile_values(struct rules *r, const struct store *store,
					  const struct catalogue *c, const struct row *row)
{
	const struct row *known = row && !(row->flags & ROW_PROVISIONAL) ? row : NULL;

	if (known && known == r->profile_row)
		return r->profile;
	r->profile_row = known;
	if (known)
		row_profile(store, c, known, r->profile);
	else
		for (unsigned i = 0; i < c->attribute_count; i++)
			r->profile[i] = (struct value){ .type = (uint8_t)c->attributes[i].type,
							.status = VALUE_NO_DATA };
	return r->profile;
}

static bool rule_listens(const struct cat_rule *rule, const struct event *e, bool unstaged)
{
	return rule->stages ? e->staged && (rule->stages & 1u << e->stage) : unstaged;
}

static void error_log(const struct cat_rule *rule, const struct event *e, struct value v)
{
	log_warning("rule %s: %s at event type %s, source %u, sequence %llu (logged once a rule)", rule->name,
		    cel_error_name((enum value_error)v.bytes), e->type->name, e->source,
		    (unsigned long long)e->header->sequence);
}

/* Does the rule hold? Counts what its condition came to. */
static bool rule_holds(const struct cat_rule *rule, const struct event *e, const struct cel_env *env,
		       struct ledger_rule *count)
{
	struct value v = cel_eval(&rule->when, env);

	count->evaluated++;
	if (v.status == VALUE_OK) {
		count->hits += v.i != 0;
		return v.i != 0;
	}
	if (v.status == VALUE_NO_DATA)
		count->no_data++;
	else if (count->errors++ == 0)
		error_log(rule, e, v);
	return false;
}

static void fraud_run(const struct catalogue *c, struct event *e, const struct cel_env *env,
		      struct ledger *ledger, struct ledger_rule *by_rule)
{
	for (unsigned i = 0; i < e->type->fraud_count; i++) {
		uint16_t number = e->type->fraud[i];
		const struct cat_rule *rule = &c->rules[number];
		if (!rule_listens(rule, e, e->fraud) || !rule_holds(rule, e, env, &by_rule[number]))
			continue;
		e->score += rule->score;
		if (e->reason_count < REASONS_MAX)
			e->reasons[e->reason_count++] = number;
		ledger->hits_made++;
		ledger->hits[HIT_SCORED]++;
	}
}

static void hit_add(struct rules *r, uint32_t event, uint16_t rule, const struct row_cursor *cursor,
		    uint8_t role)
{
	assert(r->hit_count < RUN_HITS_MAX);
	uint32_t i = r->hit_count++;
	r->hits[i] =
		(struct hit){ .event = (uint16_t)event, .rule = rule, .holder = cursor ? cursor->row : NULL };
	r->roles[i] = role;
	if (cursor)
		r->cursors[i] = *cursor;
}

static void critical_run(struct rules *r, const struct catalogue *c, const struct event *e, uint32_t index,
			 const struct cel_env *env, struct ledger_rule *by_rule)
{
	for (unsigned i = 0; i < e->type->critical_count; i++) {
		uint16_t number = e->type->critical[i];
		const struct cat_rule *rule = &c->rules[number];
		if (rule_listens(rule, e, e->counted) && rule_holds(rule, e, env, &by_rule[number]))
			hit_add(r, index, number, NULL, ROLE_NONE);
	}
}

static bool for_whom_allows(const struct cat_rule *rule, enum holder_role role, bool own)
{
	bool all = rule->for_whom == FOR_ALL;

	if (rule->for_whom == FOR_DEFAULT)
		all = role == ROLE_OWNER || role == ROLE_CO_OWNER || role == ROLE_GUARDIAN;
	return all || own;
}

static bool accounts_allow(const struct row_subscription *s, uint64_t account)
{
	for (unsigned i = 0; i < s->account_count; i++)
		if (s->accounts[i] == account)
			return true;
	return s->account_count == 0;
}

static void me_fill(struct value me[ME_COUNT], uint64_t customer, enum holder_role role)
{
	const char *name = holder_role_names[role];

	me[ME_CUSTOMER] = (struct value){ .type = TYPE_INT, .i = (int64_t)customer };
	me[ME_ROLE] = (struct value){ .type = TYPE_STRING, .s = name, .bytes = (uint32_t)strlen(name) };
}

static void holder_run(struct rules *r, struct store *store, const struct catalogue *c, const struct event *e,
		       uint32_t index, uint64_t customer, enum holder_role role, struct cel_env env,
		       struct ledger_rule *by_rule)
{
	const struct row *row = customer == e->header->customer ? e->actor : store_customer(store, customer);
	struct value me[ME_COUNT];
	struct row_cursor cursor;

	if (!row)
		return;
	row_subscriptions(store, c, row, &cursor);
	while (row_subscription_next(&cursor)) {
		const struct cat_rule *rule = &c->rules[cursor.rule];
		unsigned bit = (unsigned)(cursor.rule - c->subscription_first);
		if (!cursor.on || !(e->type->subscription_bits[bit / 64] >> bit % 64 & 1) ||
		    !rule_listens(rule, e, e->counted) ||
		    !for_whom_allows(rule, role, customer == e->header->customer))
			continue;
		row_subscription_read(&cursor, &r->subscription);
		if (!accounts_allow(&r->subscription, e->header->account))
			continue;
		me_fill(me, customer, role);
		env.space[SPACE_ME] = me;
		env.space[SPACE_PARAM] = r->subscription.params;
		if (rule->when.spaces & 1u << SPACE_PROFILE)
			env.space[SPACE_PROFILE] = profile_values(r, store, c, row);
		if (rule_holds(rule, e, &env, &by_rule[cursor.rule]))
			hit_add(r, index, cursor.rule, &cursor, (uint8_t)role);
	}
}

static void subscriptions_run(struct rules *r, struct store *store, const struct catalogue *c,
			      const struct event *e, uint32_t index, const struct cel_env *env,
			      struct ledger_rule *by_rule)
{
	if (e->type->subscription_count == 0 || (!e->counted && !e->staged))
		return;
	if (!e->account) {
		if (e->header->customer)
			holder_run(r, store, c, e, index, e->header->customer, ROLE_OWNER, *env, by_rule);
		return;
	}
	uint32_t count;
	const struct row_holder *holders = row_holders(e->account, &count);
	for (uint32_t i = 0; i < count; i++)
		holder_run(r, store, c, e, index, holders[i].customer, (enum holder_role)holders[i].role,
			   *env, by_rule);
}

static void event_run(struct rules *r, struct store *store, const struct catalogue *c, struct event *e,
		      uint32_t index, struct ledger *ledger, struct ledger_rule *by_rule)
{
	struct cel_env env = event_env(c, e, r->scratch, SCRATCH_BYTES);

	row_account(e->account, r->account);
	env.space[SPACE_ACCOUNT] = r->account;
	if (e->type->fraud_count || e->type->critical_count)
		env.space[SPACE_PROFILE] = profile_values(r, store, c, e->actor);
	fraud_run(c, e, &env, ledger, by_rule);
	critical_run(r, c, e, index, &env, by_rule);
	subscriptions_run(r, store, c, e, index, &env, by_rule);
}

uint32_t rules_run(struct rules *r, struct store *store, const struct catalogue *c, struct event *events,
		   uint32_t from, uint32_t count, struct ledger *ledger, struct ledger_rule *by_rule)
{
	r->hit_count = 0;
	r->profile_row = NULL;
	uint32_t i = from;
	for (; i < count && r->hit_count + (uint32_t)EVENT_HITS_MAX <= (uint32_t)RUN_HITS_MAX; i++) {
		if (events[i].outcome == EVENT_DECIDED)
			event_run(r, store, c, &events[i], i, ledger, by_rule);
	}
	return i;
}

struct cel_env rules_hit_env(struct rules *r, struct store *store, const struct catalogue *c,
			     const struct event *event, uint32_t hit, const struct row *recipient)
{
	static const struct value no_me[ME_COUNT] = { { .type = TYPE_INT, .status = VALUE_NO_DATA },
						      { .type = TYPE_STRING, .status = VALUE_NO_DATA } };
	struct cel_env env = event_env(c, event, r->scratch, SCRATCH_BYTES);

	row_account(event->account, r->account);
	env.space[SPACE_ACCOUNT] = r->account;
	env.space[SPACE_PROFILE] = profile_values(r, store, c, recipient);
	env.space[SPACE_ME] = no_me;
	if (r->hits[hit].holder) {
		row_subscription_read(&r->cursors[hit], &r->subscription);
		env.space[SPACE_PARAM] = r->subscription.params;
		me_fill(r->me, r->hits[hit].holder->key, (enum holder_role)r->roles[hit]);
		env.space[SPACE_ME] = r->me;
	}
	return env;
}
