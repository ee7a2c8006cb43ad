// needs: user/rules/*.c user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_rules.c: which rules hold, in which order, for whom; what is counted of those that do not. Events come
 * out of the real profile stage.
 */
#include "../run_test.h"

static void known(struct run *r, unsigned customers)
{
	for (unsigned i = 0; i < customers; i++)
		bank_profile(&r->bank, 7 + i, 0, "{\"set\": {}}");
}

static const struct ledger_rule *counts(const struct run *r, const char *rule)
{
	return &r->by_rule[rule_named(r->bank.c, rule)->number];
}

static void hits_stand_in_the_decided_order(void **state)
{
	static const char rules[] = "fraud: { rules: { f_one: { events: [purchase], score: 5 }, f_two: { "
				    "events: [purchase], score: 7 } } }\n"
				    "critical:\n"
				    "  z_first: { events: [purchase], repeat: every, message: hello }\n"
				    "  a_second: { events: [purchase], repeat: every, message: hello }\n"
				    "subscriptions:\n"
				    "  k_two: { events: [purchase], repeat: every, message: hello }\n"
				    "  k_one: { events: [purchase], repeat: every, message: hello }\n"
				    "  other: { events: [declined], repeat: every, message: hello }\n";
	static const char *const roles[] = { "owner", "co_owner", "guardian" };
	struct run *r = run_open(rules);

	(void)state;
	known(r, 3);
	bank_account(&r->bank, 9, roles, 3);
	/* chosen in another order than they are evaluated in */
	bank_subscribe(&r->bank, 9, "{\"kind\": \"k_one\"}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"k_one\", \"id\": \"b\"}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"other\"}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"k_one\", \"id\": \"a\"}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"k_one\", \"id\": \"B\"}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"k_two\", \"id\": \"z\"}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"k_two\"}");
	struct frame_header h = purchase();
	h.customer = 8;
	run_one(r, h, "{}");
	hits_are(r, "z_first a_second k_two@7/k_two k_two@8/z k_one@8/B k_one@8/a k_one@8/b k_one@9/k_one");
	assert_int_equal(r->events[0].score, 12);
	assert_int_equal(r->events[0].reason_count, 2);
	assert_string_equal(r->bank.c->rules[r->events[0].reasons[0]].name, "f_one");
	assert_string_equal(r->bank.c->rules[r->events[0].reasons[1]].name, "f_two");
	assert_int_equal(r->ledger.hits_made, 2); /* the others are counted by decide */
	assert_int_equal(r->ledger.hits[HIT_SCORED], 2);
	run_close(r);
}

static void no_data_and_errors_do_not_fire_and_are_counted(void **state)
{
	static const char rules[] =
		"critical:\n"
		"  level: { events: [purchase], when: 'profile.level > 3', repeat: every, message: hello }\n"
		"  share: { events: [purchase], when: '100 / event.items > 3', repeat: every, message: hello "
		"}\n"
		"  yes: { events: [purchase], when: 'true', repeat: every, message: hello }\n";
	static const struct {
		uint64_t customer;
		const char *body, *hits;
	} rows[] = {
		{ 7, "{\"items\": 5}", "share yes" }, /* level unset */
		{ 8, "{\"items\": 0}", "level yes" }, /* level 4, division by zero */
		{ 8, "{}", "level yes" },	      /* items absent */
		{ 9, "{\"items\": 50}", "yes" },      /* level 2 */
		{ 99, "{\"items\": 0}", "yes" },      /* no record */
		{ 0, "{\"items\": 1}", "share yes" }, /* no actor */
	};
	struct run *r = run_open(rules);

	(void)state;
	bank_profile(&r->bank, 7, 0, "{\"set\": {}}");
	bank_profile(&r->bank, 8, 0, "{\"set\": {\"level\": 4}}");
	bank_profile(&r->bank, 9, 0, "{\"set\": {\"level\": 2}}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		h.customer = rows[i].customer;
		run_one(r, h, rows[i].body);
		hits_are(r, rows[i].hits);
	}
	assert_int_equal(counts(r, "level")->hits, 2);
	assert_int_equal(counts(r, "level")->no_data, 3);
	assert_int_equal(counts(r, "level")->errors, 0);
	assert_int_equal(counts(r, "share")->hits, 2);
	assert_int_equal(counts(r, "share")->no_data, 1);
	assert_int_equal(counts(r, "share")->errors, 2);
	assert_int_equal(counts(r, "yes")->hits, 6);
	assert_int_equal(r->ledger.hits_made, 0);
	run_close(r);
}

static void events_that_are_not_decided_run_no_rule(void **state)
{
	static const char rules[] =
		"fraud: { rules: { f: { events: [purchase], score: 5 } } }\n"
		"critical: { c: { events: [purchase], repeat: every, message: hello } }\n"
		"subscriptions: { s: { events: [purchase], repeat: every, message: hello } }\n";
	static const struct {
		int64_t age_s;
		uint8_t flags;
		const char *body;
	} rows[] = {
		{ 0, 0, "{\"items\": \"x\"}" },
		{ -301, 0, "{}" },
		{ 86401, 0, "{}" },
		{ 0, FRAME_REVERSAL, "{\"of\": \"none\"}" },
	};
	struct run *r = run_open(rules);

	(void)state;
	known(r, 1);
	bank_subscribe(&r->bank, 7, "{\"kind\": \"s\"}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		h.time -= rows[i].age_s * SECOND;
		h.flags = rows[i].flags;
		run_one(r, h, rows[i].body);
		hits_are(r, "");
		assert_int_equal(r->events[0].reason_count, 0);
	}
	run_one(r, purchase(), "{}");
	hits_are(r, "c s@7/s");
	assert_int_equal(counts(r, "f")->hits, 1);
	run_close(r);
}

/* A matched reversal is DECIDED, and no rule runs on it either. */
static void a_reversal_runs_no_rule(void **state)
{
	struct run *r = run_open("critical: { c: { events: [purchase], repeat: every, message: hello } }\n");

	(void)state;
	known(r, 1);
	run_one(r, purchase(), "{\"ref\": \"A\"}");
	hits_are(r, "c");
	struct frame_header h = purchase();
	h.flags = FRAME_REVERSAL;
	run_one(r, h, "{\"of\": \"A\"}");
	assert_int_equal(r->events[0].outcome, EVENT_DECIDED);
	hits_are(r, "");
	run_close(r);
}

/* `for` by role: who hears of what somebody else did (decisions 8). */
static void for_decides_by_role_whose_events_count(void **state)
{
	static const char *const roles[] = { "owner", "co_owner", "authorised", "guardian", "delegate" };
	static const char *const foreign[] = {
		/* hits when 99, no holder, acts; by kind in the catalogue's order */
		"usual@7/usual all@7/all",
		"usual@7/usual all@7/all",
		"all@7/all",
		"usual@7/usual all@7/all",
		"all@7/all",
	};
	static const char rules[] =
		"subscriptions:\n"
		"  usual: { events: [purchase], repeat: every, message: hello }\n"
		"  own: { events: [purchase], repeat: every, message: hello, for: own }\n"
		"  all: { events: [purchase], repeat: every, message: hello, for: all }\n";
	struct run *r = run_open(rules);

	(void)state;
	known(r, 1);
	bank_subscribe(&r->bank, 7, "{\"kind\": \"usual\"}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"own\"}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"all\"}");
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct frame_header h = purchase();
		bank_account(&r->bank, 9, &roles[i], 1);
		run_one(r, h, "{}");
		hits_are(r, "usual@7/usual own@7/own all@7/all");
		h.customer = 99;
		run_one(r, h, "{}");
		hits_are(r, foreign[i]);
		h.customer = 0;
		run_one(r, h, "{}");
		hits_are(r, foreign[i]);
	}
	run_close(r);
}

static void holders_come_from_the_account_or_are_the_actor(void **state)
{
	static const char rules[] =
		"critical: { c: { events: [purchase], repeat: every, message: hello } }\n"
		"subscriptions: { s: { events: [purchase], repeat: every, message: hello } }\n";
	static const char *const roles[] = { "owner" };
	struct run *r = run_open(rules);
	struct frame_header h = purchase();

	(void)state;
	known(r, 2);
	bank_subscribe(&r->bank, 7, "{\"kind\": \"s\"}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"s\"}");
	run_one(r, h, "{}"); /* account 9 has no record */
	hits_are(r, "c s@7/s");
	h.account = 0;
	h.customer = 8;
	run_one(r, h, "{}");
	hits_are(r, "c s@8/s");
	h.customer = 0;
	run_one(r, h, "{}"); /* nobody */
	hits_are(r, "c");
	bank_account(&r->bank, 9, roles, 1);
	h.account = 9;
	h.customer = 8; /* acted, and is no holder: no subscription, but critical */
	run_one(r, h, "{}");
	hits_are(r, "c s@7/s");
	run_close(r);
}

static void accounts_and_on_choose_among_events(void **state)
{
	static const char rules[] =
		"subscriptions: { s: { events: [purchase], repeat: every, message: hello } }\n";
	static const struct {
		const char *subscribe;
		bool nine, ten, none;
	} rows[] = {
		{ "{\"kind\": \"s\"}", true, true, true },
		{ "{\"id\": \"s\", \"accounts\": [9]}", true, false, false },
		{ "{\"id\": \"s\", \"accounts\": [10, 9]}", true, true, false },
		{ "{\"id\": \"s\", \"accounts\": [11]}", false, false, false },
		{ "{\"id\": \"s\", \"accounts\": []}", true, true, true },
		{ "{\"id\": \"s\", \"on\": false}", false, false, false },
		{ "{\"id\": \"s\", \"on\": true}", true, true, true },
	};
	struct run *r = run_open(rules);

	(void)state;
	known(r, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		bank_subscribe(&r->bank, 7, rows[i].subscribe);
		run_one(r, h, "{}");
		assert_int_equal(r->rules.hit_count, rows[i].nine);
		h.account = 10;
		run_one(r, h, "{}");
		assert_int_equal(r->rules.hit_count, rows[i].ten);
		h.account = 0;
		run_one(r, h, "{}");
		assert_int_equal(r->rules.hit_count, rows[i].none);
	}
	run_close(r);
}

/* Every stage of a reference against rules with and without `stages`, of all three sections (decisions 13 and
 * 14). */
static void stages_run_the_rules_that_list_them(void **state)
{
	static const char rules[] =
		"fraud:\n"
		"  rules:\n"
		"    f: { events: [purchase], score: 1 }\n"
		"    f_request: { events: [purchase], score: 10, stages: [request] }\n"
		"    f_posted: { events: [purchase], score: 100, stages: [posted] }\n"
		"    f_both: { events: [purchase], score: 1000, stages: [authorised, posted] }\n"
		"critical:\n"
		"  c: { events: [purchase], repeat: every, message: hello }\n"
		"  c_posted: { events: [purchase], repeat: every, message: hello, stages: [posted] }\n"
		"  c_released: { events: [purchase], repeat: every, message: hello, stages: [released] }\n"
		"subscriptions:\n"
		"  s: { events: [purchase], repeat: every, message: hello }\n"
		"  s_auth: { events: [purchase], repeat: every, message: hello, stages: [authorised] }\n"
		"  s_posted: { events: [purchase], repeat: every, message: hello, stages: [posted] }\n";
	static const struct {
		const char *body, *hits;
		int score;
	} rows[] = {
		{ "{\"ref\": \"A\", \"stage\": \"request\"}", "", 11 },
		{ "{\"ref\": \"A\", \"stage\": \"authorised\"}", "c s@7/s s_auth@7/s_auth", 1001 },
		{ "{\"ref\": \"A\", \"stage\": \"authorised\"}", "", 0 }, /* DUPLICATE_REF */
		{ "{\"ref\": \"A\", \"stage\": \"posted\"}", "c_posted s_posted@7/s_posted", 1100 },
		{ "{\"ref\": \"B\"}", "c c_posted s@7/s s_posted@7/s_posted", 1101 },
		{ "{\"ref\": \"B\", \"stage\": \"authorised\"}", "s_auth@7/s_auth", 1000 },
		{ "{\"ref\": \"C\", \"stage\": \"authorised\"}", "c s@7/s s_auth@7/s_auth", 1001 },
		{ "{\"ref\": \"C\", \"stage\": \"released\"}", "c_released", 0 },
		{ "{}", "c c_posted s@7/s s_posted@7/s_posted", 1101 },
	};
	struct run *r = run_open(rules);

	(void)state;
	known(r, 1);
	bank_subscribe(&r->bank, 7, "{\"kind\": \"s\"}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"s_auth\"}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"s_posted\"}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		run_one(r, purchase(), rows[i].body);
		hits_are(r, rows[i].hits);
		if (r->events[0].score != rows[i].score)
			fail_msg("%s: score %lld, not %d", rows[i].body, (long long)r->events[0].score,
				 rows[i].score);
	}
	run_close(r);
}

/* Parameters, me and profile are those of the holder whose subscription it is, not of the actor. */
static void conditions_see_their_own_holder(void **state)
{
	static const char rules[] = "subscriptions:\n"
				    "  mine: { events: [purchase], when: 'event.customer == me.customer', "
				    "repeat: every, message: hello, for: all }\n"
				    "  role: { events: [purchase], when: 'me.role == \"guardian\"', repeat: "
				    "every, message: hello, for: all }\n"
				    "  level: { events: [purchase], when: 'profile.level == 2', repeat: "
				    "every, message: hello, for: all }\n"
				    "  above: { events: [purchase], when: 'event.amount > param.t', repeat: "
				    "every, message: hello, for: all,\n"
				    "           params: { t: { type: money, default: 10 EUR } } }\n"
				    "  holders: { events: [purchase], when: 'account.holders == 3', repeat: "
				    "every, message: hello, for: all }\n";
	static const char *const roles[] = { "owner", "guardian", "delegate" };
	static const char *const kinds[] = { "{\"kind\": \"mine\"}", "{\"kind\": \"role\"}",
					     "{\"kind\": \"level\"}" };
	struct run *r = run_open(rules);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		char set[64];
		snprintf(set, sizeof set, "{\"set\": {\"level\": %u}}", i);
		bank_profile(&r->bank, 7 + i, 0, set);
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			bank_subscribe(&r->bank, 7 + i, kinds[k]);
	}
	bank_account(&r->bank, 9, roles, 3);
	bank_subscribe(&r->bank, 8, "{\"kind\": \"above\", \"params\": {\"t\": \"9.99 EUR\"}}");
	bank_subscribe(&r->bank, 9, "{\"kind\": \"above\", \"params\": {\"t\": \"10.01 EUR\"}}");
	bank_subscribe(&r->bank, 9, "{\"kind\": \"above\", \"id\": \"default\"}");
	bank_subscribe(&r->bank, 9,
		       "{\"kind\": \"above\", \"id\": \"usd\", \"params\": {\"t\": \"19.99 USD\"}}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"holders\"}");
	run_one(r, purchase(), "{}");
	hits_are(r, "mine@7/mine holders@7/holders role@8/role above@8/above level@9/level");
	run_close(r);
}

/* A subscription of somebody without a record is evaluated (it ends as PROVISIONAL), and sees no profile,
 * defaults neither. */
static void a_provisional_holder_has_no_profile(void **state)
{
	static const char rules[] = "subscriptions:\n"
				    "  any: { events: [purchase], repeat: every, message: hello }\n"
				    "  home: { events: [purchase], when: 'profile.home == country.ES', "
				    "repeat: every, message: hello }\n";
	struct run *r = run_open(rules);

	(void)state;
	bank_subscribe(&r->bank, 7, "{\"kind\": \"any\"}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"home\"}");
	run_one(r, purchase(), "{}");
	hits_are(r, "any@7/any");
	assert_int_equal(counts(r, "home")->no_data, 1);
	bank_profile(&r->bank, 7, 0, "{\"set\": {}}");
	run_one(r, purchase(), "{}");
	hits_are(r, "any@7/any home@7/home");
	run_close(r);
}

static void reasons_are_the_first_that_scored(void **state)
{
	char rules[4096] = "fraud:\n  rules:\n";
	struct run *r;

	(void)state;
	for (unsigned i = 0; i < REASONS_MAX + 3; i++) {
		char one[128];
		snprintf(one, sizeof one, "    r%02u: { events: [purchase], score: %u, when: '%s' }\n", i,
			 i + 1, i == 2 ? "false" : "true");
		strcat(rules, one);
	}
	r = run_open(rules);
	run_one(r, purchase(), "{}");
	assert_int_equal(r->events[0].reason_count, REASONS_MAX);
	assert_int_equal(r->events[0].score, (REASONS_MAX + 3) * (REASONS_MAX + 4) / 2 - 3);
	assert_string_equal(r->bank.c->rules[r->events[0].reasons[2]].name, "r03");
	assert_int_equal(r->ledger.hits[HIT_SCORED], REASONS_MAX + 2);
	run_close(r);
}

/* A confidential rule scores, and takes no place from one that the verdict may name. */
static void reasons_that_may_be_named_come_before_confidential_ones(void **state)
{
	char rules[4096] = "fraud:\n  rules:\n";
	struct run *r;

	(void)state;
	for (unsigned i = 0; i < 2 * REASONS_MAX; i++) {
		char one[128];
		snprintf(one, sizeof one, "    r%02u: { events: [purchase], score: 1%s }\n", i,
			 i % 2 ? "" : ", confidential: true");
		strcat(rules, one);
	}
	r = run_open(rules);
	run_one(r, purchase(), "{}");
	assert_int_equal(r->events[0].score, 2 * REASONS_MAX);
	assert_int_equal(r->events[0].reason_count, REASONS_MAX);
	for (unsigned i = 0; i < REASONS_MAX; i++)
		assert_int_equal(r->events[0].reasons[i], 2 * i + 1);
	run_close(r);
}

/* 3 holders x 64 subscriptions x 256 events are more hits than one round takes. Cut or one event at a time:
 * the same hits. */
static void hits_cut_in_rounds_are_the_same_hits(void **state)
{
	static const char rules[] = "fraud: { rules: { f: { events: [purchase], score: 5 } } }\n"
				    "critical: { c: { events: [purchase], when: 'event.amount % 3 == 0', "
				    "repeat: every, message: hello } }\n"
				    "subscriptions: { s: { events: [purchase], repeat: every, message: "
				    "hello, params: { m: { type: int, default: 1, min: 1 } },\n"
				    "                      when: 'event.amount % param.m == 0' } }\n";
	struct run *r = run_open(rules);
	uint32_t rounds = 0, total = 0, in_one = 0;
	struct hit *seen = calloc(BATCH_ENTRIES_MAX * (3 * SUBSCRIPTIONS_MAX + 1), sizeof *seen);
	static const char *const roles[] = { "owner", "co_owner", "owner" };

	(void)state;
	known(r, 3);
	bank_account(&r->bank, 9, roles, 3);
	for (unsigned k = 0; k < 3 * SUBSCRIPTIONS_MAX; k++) {
		char json[128];
		unsigned i = k / 3;
		snprintf(json, sizeof json, "{\"kind\": \"s\", \"id\": \"i%02u\", \"params\": {\"m\": %u}}",
			 i, i % 20 == 19 ? 5 : 1);
		bank_subscribe(&r->bank, 7 + k % 3, json);
	}
	for (unsigned i = 0; i < BATCH_ENTRIES_MAX; i++) {
		struct frame_header h = purchase();
		h.amount = 1000 + i;
		run_add(r, h, "{}");
	}
	run_profile(r);
	for (uint32_t from = 0; from < r->count; rounds++) {
		uint32_t to = run_rules(r, from, r->count);
		assert_true(to > from);
		memcpy(seen + total, r->rules.hits, r->rules.hit_count * sizeof *seen);
		total += r->rules.hit_count;
		from = to;
	}
	assert_true(rounds > 1);
	struct ledger_rule after = r->by_rule[rule_named(r->bank.c, "s")->number];
	for (uint32_t i = 0; i < r->count; i++)
		r->events[i].score = r->events[i].reason_count = 0;
	for (uint32_t i = 0; i < r->count; i++) {
		assert_int_equal(run_rules(r, i, i + 1), i + 1);
		assert_true(in_one + r->rules.hit_count <= total);
		assert_memory_equal(seen + in_one, r->rules.hits, r->rules.hit_count * sizeof *seen);
		in_one += r->rules.hit_count;
		assert_int_equal(r->events[i].score, 5);
	}
	assert_int_equal(in_one, total);
	assert_int_equal(r->by_rule[rule_named(r->bank.c, "s")->number].hits, 2 * after.hits);
	free(seen);
	run_close(r);
}

/* What a text reads is that of the hit it belongs to, whatever was evaluated since. */
static void the_environment_of_a_hit_is_its_own(void **state)
{
	static const char rules[] = "subscriptions: { s: { events: [purchase], repeat: every, message: "
				    "hello, for: all, params: { t: { type: int, default: 5 } } } }\n";
	static const char *const roles[] = { "owner", "co_owner", "authorised" };
	struct run *r = run_open(rules);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		char json[96];
		snprintf(json, sizeof json, "{\"set\": {\"level\": %u}}", 100 + i);
		bank_profile(&r->bank, 7 + i, 0, json);
		snprintf(json, sizeof json, "{\"kind\": \"s\", \"params\": {\"t\": %u}}", 40 + i);
		bank_subscribe(&r->bank, 7 + i, json);
	}
	bank_account(&r->bank, 9, roles, 3);
	run_one(r, purchase(), "{}");
	assert_int_equal(r->rules.hit_count, 3);
	int level = catalogue_attribute_find(r->bank.c, "level", 5);
	for (unsigned turn = 0; turn < 6; turn++) {
		uint32_t i = turn * 2 % 3;
		struct cel_env env = rules_hit_env(&r->rules, r->bank.store, r->bank.c, &r->events[0], i,
						   r->rules.hits[i].holder, UINT32_MAX);
		assert_int_equal(env.space[SPACE_PROFILE][level].i, 100 + i);
		assert_int_equal(env.space[SPACE_PARAM][0].i, 40 + i);
		assert_int_equal(env.space[SPACE_ME][ME_CUSTOMER].i, 7 + i);
		assert_string_equal(env.space[SPACE_ME][ME_ROLE].s, roles[i]);
		assert_int_equal(env.space[SPACE_ACCOUNT][ACCOUNT_HOLDERS].i, 3);
		assert_ptr_equal(env.space[SPACE_EVENT], r->events[0].fields->value);
	}
	run_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hits_stand_in_the_decided_order),
		cmocka_unit_test(no_data_and_errors_do_not_fire_and_are_counted),
		cmocka_unit_test(events_that_are_not_decided_run_no_rule),
		cmocka_unit_test(a_reversal_runs_no_rule),
		cmocka_unit_test(for_decides_by_role_whose_events_count),
		cmocka_unit_test(holders_come_from_the_account_or_are_the_actor),
		cmocka_unit_test(accounts_and_on_choose_among_events),
		cmocka_unit_test(stages_run_the_rules_that_list_them),
		cmocka_unit_test(conditions_see_their_own_holder),
		cmocka_unit_test(a_provisional_holder_has_no_profile),
		cmocka_unit_test(reasons_are_the_first_that_scored),
		cmocka_unit_test(reasons_that_may_be_named_come_before_confidential_ones),
		cmocka_unit_test(hits_cut_in_rounds_are_the_same_hits),
		cmocka_unit_test(the_environment_of_a_hit_is_its_own),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
