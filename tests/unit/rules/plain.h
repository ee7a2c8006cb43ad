/*
 * plain.h: the rules stage as it reads in docs/decisions.md: event by event, rule by rule, subscription by
 * subscription, each condition by cel_eval(). Slow and obvious: what the stage's columns and index must
 * equal.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include "../run_test.h"

struct plain_hit {
	uint16_t event, rule;
	uint64_t holder; /* 0: critical */
	char id[NAME_BYTES_MAX + 1];
};

struct plain {
	struct ledger_rule *by_rule; /* [RULES_MAX] */
	struct plain_hit *hits;
	uint32_t hit_count, hits_max;
	int64_t score[BATCH_ENTRIES_MAX];
	uint16_t reasons[BATCH_ENTRIES_MAX][REASONS_MAX];
	uint32_t reason_count[BATCH_ENTRIES_MAX];
	bool *ran; /* by rule: for this event */
	struct value profile[ATTRIBUTES_MAX], account[ACCOUNT_FIELD_COUNT];
	char scratch[65536];
};

static bool plain_listens(const struct cat_rule *rule, const struct event *e, bool unstaged)
{
	return rule->stages ? e->staged && (rule->stages & 1u << e->stage) : unstaged;
}

static bool plain_holds(struct plain *p, const struct cat_rule *rule, const struct cel_env *env)
{
	struct ledger_rule *count = &p->by_rule[rule->number];
	struct value v = cel_eval(&rule->when, env);

	p->ran[rule->number] = true;
	count->hits += v.status == VALUE_OK && v.i;
	count->no_data += v.status == VALUE_NO_DATA;
	count->errors += v.status == VALUE_ERROR;
	return v.status == VALUE_OK && v.i;
}

static void plain_hit_add(struct plain *p, uint32_t event, uint16_t rule, uint64_t holder, const char *id,
			  uint32_t id_bytes)
{
	assert_true(p->hit_count < p->hits_max);
	struct plain_hit *hit = &p->hits[p->hit_count++];
	*hit = (struct plain_hit){ (uint16_t)event, rule, holder, "" };
	if (id_bytes)
		memcpy(hit->id, id, id_bytes);
}

static const struct zone *plain_zone(const struct run *r, const struct row *row)
{
	const struct catalogue *c = r->bank.c;

	if (c->attribute_zone < 0)
		return &c->zone;
	struct value name = row_attribute(r->bank.store, c, row, (uint16_t)c->attribute_zone);
	return catalogue_zone(c, &name);
}

static void plain_holder(struct plain *p, struct run *r, const struct cat_event *type, const struct event *e,
			 uint32_t index, uint64_t customer, enum holder_role role, struct cel_env env,
			 const bool *before)
{
	const struct catalogue *c = r->bank.c;
	const struct row *row = store_customer(r->bank.store, customer);
	bool owns = role == ROLE_OWNER || role == ROLE_CO_OWNER || role == ROLE_GUARDIAN;
	const char *name = holder_role_names[role];
	const struct value me[ME_COUNT] = {
		{ .type = TYPE_INT, .i = (int64_t)customer },
		{ .type = TYPE_STRING, .s = name, .bytes = (uint32_t)strlen(name) },
	};
	struct row_subscription s;
	struct row_cursor cursor;

	if (!row)
		return;
	row_profile(r->bank.store, c, row, p->profile);
	env.space[SPACE_PROFILE] = p->profile;
	env.space[SPACE_ME] = me;
	env.zone = plain_zone(r, row);
	row_subscriptions(r->bank.store, c, row, &cursor);
	while (row_subscription_next(&cursor)) {
		const struct cat_rule *rule = &c->rules[cursor.rule];
		uint32_t bit = (uint32_t)cursor.rule - c->subscription_first;
		bool all = rule->for_whom == FOR_ALL || (rule->for_whom == FOR_DEFAULT && owns);
		if (!cursor.on || !(type->subscription_bits[bit / 64] >> bit % 64 & 1) ||
		    before[cursor.rule] || !plain_listens(rule, e, e->counted) ||
		    !(all || customer == e->header->customer))
			continue;
		row_subscription_read(&cursor, &s);
		bool allowed = s.account_count == 0;
		for (unsigned i = 0; i < s.account_count; i++)
			allowed |= s.accounts[i] == e->header->account;
		env.space[SPACE_PARAM] = s.params;
		if (allowed && plain_holds(p, rule, &env))
			plain_hit_add(p, index, cursor.rule, customer, s.id, s.id_bytes);
	}
}

static void plain_subscriptions(struct plain *p, struct run *r, const struct cat_event *type,
				const struct event *e, uint32_t index, const struct cel_env *env,
				const bool *before)
{
	uint32_t count = 0;
	const struct row_holder *holders = e->account ? row_holders(e->account, &count) : NULL;

	if (!e->account && e->header->customer)
		plain_holder(p, r, type, e, index, e->header->customer, ROLE_OWNER, *env, before);
	for (uint32_t i = 0; i < count; i++)
		plain_holder(p, r, type, e, index, holders[i].customer, (enum holder_role)holders[i].role,
			     *env, before);
}

static void plain_type(struct plain *p, struct run *r, const struct cat_event *type, const struct event *e,
		       uint32_t index)
{
	const struct catalogue *c = r->bank.c;
	struct cel_env env = event_env(c, e, p->scratch, sizeof p->scratch);
	bool *before = malloc(RULES_MAX); /* a rule runs once, whatever its subscriptions */

	memcpy(before, p->ran, RULES_MAX);
	row_account(e->account, p->account);
	env.space[SPACE_ACCOUNT] = p->account;
	row_profile(r->bank.store, c, e->actor, p->profile);
	env.space[SPACE_PROFILE] = p->profile;
	env.zone = plain_zone(r, e->actor);
	for (unsigned i = 0; i < type->fraud_count; i++) {
		const struct cat_rule *rule = &c->rules[type->fraud[i]];
		if (before[rule->number] || !plain_listens(rule, e, e->fraud) || !plain_holds(p, rule, &env))
			continue;
		p->score[index] += rule->score;
		if (p->reason_count[index] < REASONS_MAX)
			p->reasons[index][p->reason_count[index]++] = rule->number;
	}
	for (unsigned i = 0; i < type->critical_count; i++) {
		const struct cat_rule *rule = &c->rules[type->critical[i]];
		if (!before[rule->number] && plain_listens(rule, e, e->counted) && plain_holds(p, rule, &env))
			plain_hit_add(p, index, rule->number, 0, "", 0);
	}
	plain_subscriptions(p, r, type, e, index, &env, before);
	free(before);
}

/* A subscription kind that its type lists has run for the event, whoever subscribes. */
static void plain_ran(struct plain *p, const struct catalogue *c, const struct cat_event *type)
{
	for (uint32_t rule = 0; rule < c->rule_count; rule++) {
		uint32_t bit = rule - c->subscription_first;
		if (rule >= c->subscription_first)
			p->ran[rule] |= type->subscription_bits[bit / 64] >> bit % 64 & 1;
	}
	for (unsigned i = 0; i < type->fraud_count; i++)
		p->ran[type->fraud[i]] = true;
	for (unsigned i = 0; i < type->critical_count; i++)
		p->ran[type->critical[i]] = true;
}

static void plain_run(struct plain *p, struct run *r)
{
	const struct catalogue *c = r->bank.c;

	p->hit_count = 0;
	for (uint32_t i = 0; i < r->count; i++) {
		const struct event *e = &r->events[i];
		p->score[i] = p->reason_count[i] = 0;
		if (e->outcome != EVENT_DECIDED)
			continue;
		memset(p->ran, 0, RULES_MAX);
		plain_type(p, r, e->type, e, i);
		plain_ran(p, c, e->type);
		for (unsigned k = 0; k < c->pattern_count; k++) {
			if (!(e->patterns >> k & 1))
				continue;
			plain_type(p, r, &c->events[c->patterns[k].event], e, i);
			plain_ran(p, c, &c->events[c->patterns[k].event]);
		}
	}
}

static struct plain *plain_open(void)
{
	struct plain *p = calloc(1, sizeof *p);

	assert_non_null(p);
	p->hits_max = 1 << 20;
	p->by_rule = calloc(RULES_MAX, sizeof *p->by_rule);
	p->hits = calloc(p->hits_max, sizeof *p->hits);
	p->ran = calloc(RULES_MAX, 1);
	return p;
}

static void plain_close(struct plain *p)
{
	free(p->by_rule);
	free(p->hits);
	free(p->ran);
	free(p);
}

#endif
