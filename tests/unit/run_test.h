/*
 * run_test.h: a run of events through the profile stage, and what the rules stage makes of it: for the tests
 * of rules, decide and message.
 */
#ifndef RUN_TEST_H
#define RUN_TEST_H

#include <profile/profile.h>
#include <rules/rules.h>

#include "bank_test.h"

static const int64_t SECOND = 1000000000, NOW = INT64_C(1800000000) * 1000000000;

struct run {
	struct bank bank;
	struct profile_columns columns;
	struct rules rules;
	struct ledger ledger;
	struct ledger_rule by_rule[RULES_MAX];
	struct frame frames[BATCH_ENTRIES_MAX];
	struct batch_entry entries[BATCH_ENTRIES_MAX];
	struct event events[BATCH_ENTRIES_MAX];
	uint32_t count;
};

__attribute__((unused)) static struct run *run_open_catalogue(struct catalogue *c)
{
	struct run *r = calloc(1, sizeof *r);

	assert_non_null(r);
	bank_open_catalogue(&r->bank, c);
	assert_int_equal(profile_init(&r->columns), 0);
	assert_int_equal(rules_init(&r->rules), 0);
	return r;
}

__attribute__((unused)) static struct run *run_open(const char *more)
{
	return run_open_catalogue(bank_compile(more));
}

__attribute__((unused)) static void run_close(struct run *r)
{
	rules_deinit(&r->rules);
	profile_deinit(&r->columns);
	bank_close(&r->bank);
	free(r);
}

/* A purchase of 10 EUR by customer 7 from account 9 at NOW. */
__attribute__((unused)) static struct frame_header purchase(void)
{
	return (struct frame_header){ .kind = FRAME_EVENT,
				      .type = 1,
				      .sequence = 1,
				      .customer = 7,
				      .account = 9,
				      .time = NOW,
				      .amount = 1000,
				      .balance = 5000,
				      .currency = 978,
				      .country = 724 };
}

__attribute__((unused)) static void run_add(struct run *r, struct frame_header h, const char *json)
{
	uint32_t i = r->count++;

	h.sequence = i + 1;
	frame_pack(&r->frames[i], h, json);
	r->entries[i] = (struct batch_entry){
		.data = r->frames[i].bytes, .bytes = r->frames[i].count, .position = i + 1, .now = NOW
	};
}

__attribute__((unused)) static void run_profile(struct run *r)
{
	profile_run(&r->columns, r->bank.store, r->bank.history, r->bank.c, r->entries, r->count, r->events);
}

__attribute__((unused)) static uint32_t run_rules(struct run *r, uint32_t from, uint32_t count)
{
	return rules_run(&r->rules, r->bank.store, r->bank.c, r->events, from, count, &r->ledger, r->by_rule);
}

/* One event through both stages. */
__attribute__((unused)) static void run_one(struct run *r, struct frame_header h, const char *json)
{
	r->count = 0;
	run_add(r, h, json);
	run_profile(r);
	assert_int_equal(run_rules(r, 0, 1), 1);
}

__attribute__((unused)) static const char *hit_name(const struct run *r, uint32_t hit)
{
	return r->bank.c->rules[r->rules.hits[hit].rule].name;
}

/* "rule@holder/id ..." in order; "rule" alone for a critical one. */
__attribute__((unused)) static void hits_show(struct run *r, char *to, size_t room)
{
	struct row_subscription s;
	size_t at = 0;

	to[0] = 0;
	for (uint32_t i = 0; i < r->rules.hit_count; i++) {
		const struct hit *hit = &r->rules.hits[i];
		at += (size_t)snprintf(to + at, room - at, "%s%s", i ? " " : "", hit_name(r, i));
		if (!hit->holder)
			continue;
		row_subscription_read(&r->rules.cursors[i], &s);
		at += (size_t)snprintf(to + at, room - at, "@%llu/%.*s", (unsigned long long)hit->holder->key,
				       (int)s.id_bytes, s.id);
	}
	assert_true(at < room);
}

__attribute__((unused)) static void hits_are(struct run *r, const char *want)
{
	char got[4096];

	hits_show(r, got, sizeof got);
	if (strcmp(got, want))
		fail_msg("hits '%s', not '%s'", got, want);
}

/* An account with holders: role names in turn, customers 7, 8, ... */
__attribute__((unused)) static void bank_account(struct bank *b, uint64_t account, const char *const *roles,
						 unsigned count)
{
	char json[8192];
	size_t at = (size_t)snprintf(json, sizeof json, "{\"set\": {\"holders\": [");

	for (unsigned i = 0; i < count; i++)
		at += (size_t)snprintf(json + at, sizeof json - at, "%s{\"customer\": %u, \"role\": \"%s\"}",
				       i ? ", " : "", 7 + i, roles[i]);
	snprintf(json + at, sizeof json - at, "]}}");
	bank_profile(b, 0, account, json);
}

#endif
