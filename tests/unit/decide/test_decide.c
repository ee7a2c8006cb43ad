// needs: user/decide/*.c user/rules/*.c user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_decide.c: who is told of a hit, on which channel, and what a hit ends as when nobody is. Every case
 * adds the ledger up.
 */
#include <decide/decide.h>

#include "../run_test.h"

static const char rules_text[] =
	"critical:\n"
	"  c: { events: [purchase], repeat: every, message: hello, channels: [sms, push] }\n"
	"  slow: { events: [salary], repeat: every, message: hello, fresh: 1h }\n"
	"subscriptions:\n"
	"  s: { events: [purchase], repeat: every, message: hello, channels: [push, email] }\n"
	"  any: { events: [declined], repeat: every, message: hello }\n";

static struct decide *decide_new(void)
{
	struct decide *d = calloc(1, sizeof *d);

	assert_non_null(d);
	return d;
}

static uint32_t decide_all(struct run *r, struct decide *d)
{
	return decide_run(d, r->bank.store, r->bank.c, r->events, r->rules.hits, r->rules.cursors, 0,
			  r->rules.hit_count, &r->ledger);
}

static void ledger_adds_up(const struct run *r)
{
	struct ledger_equation out[LEDGER_EQUATIONS];
	const struct ledger *l = &r->ledger;

	assert_true(ledger_equations(l, out));
	assert_int_equal(l->notices[NOTICE_QUEUED], l->notices_made);
}

/* "rule>recipient/channel ..." */
static void notices_are(const struct run *r, const struct decide *d, const char *want)
{
	char got[8192] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < d->notice_count; i++) {
		const struct notice *n = &d->notices[i];
		at += (size_t)snprintf(got + at, sizeof got - at, "%s%s>%llu/%s", i ? " " : "",
				       hit_name(r, n->hit), (unsigned long long)n->recipient,
				       r->bank.c->channels[n->channel].name);
		assert_int_equal(n->profile->key, n->recipient);
	}
	if (strcmp(got, want))
		fail_msg("notices '%s', not '%s'", got, want);
}

/* The actor, then owners and co-owners in record order, each once; unknown ones are left out (decisions 7 and
 * 9). */
static void critical_goes_to_the_actor_and_the_owners(void **state)
{
	static const struct {
		uint64_t actor;
		const char *holders; /* o owner, c co-owner, a authorised, g guardian, d delegate: customers
					7, 8, ... */
		const char *notices;
		enum hit_outcome outcome;
		enum suppressed_reason reason;
	} rows[] = {
		{ 7, "", "c>7/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 7, "o", "c>7/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 8, "oo", "c>8/sms c>7/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 8, "aoc", "c>8/sms c>9/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 9, "oac", "c>9/sms c>7/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 0, "ocagd", "c>7/sms c>8/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 0, "co", "c>7/sms c>8/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 12, "o", "c>12/sms c>7/sms", HIT_NOTICED, SUPPRESSED_NONE },
		{ 99, "oc", "c>7/sms c>8/sms", HIT_NOTICED, SUPPRESSED_NONE }, /* 99 has no record */
		{ 99, "", "", HIT_SUPPRESSED, SUPPRESSED_PROVISIONAL },
		{ 99, "gad", "", HIT_SUPPRESSED, SUPPRESSED_PROVISIONAL },
		{ 0, "", "", HIT_SUPPRESSED, SUPPRESSED_NO_RECIPIENT },
		{ 0, "gad", "", HIT_SUPPRESSED, SUPPRESSED_NO_RECIPIENT },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct run *r = run_open(rules_text);
		struct decide *d = decide_new();
		const char *roles[8];
		unsigned count = 0;
		for (unsigned k = 0; k < 6; k++)
			bank_profile(&r->bank, 7 + k, 0, "{\"set\": {}}");
		for (const char *at = rows[i].holders; *at; at++)
			roles[count++] = *at == 'o'   ? "owner"
					 : *at == 'c' ? "co_owner"
					 : *at == 'a' ? "authorised"
					 : *at == 'g' ? "guardian"
						      : "delegate";
		if (count)
			bank_account(&r->bank, 9, roles, count);
		struct frame_header h = purchase();
		h.customer = rows[i].actor;
		run_one(r, h, "{}");
		assert_int_equal(decide_all(r, d), 1);
		notices_are(r, d, rows[i].notices);
		assert_int_equal(r->rules.hits[0].outcome, rows[i].outcome);
		assert_int_equal(r->rules.hits[0].reason, rows[i].reason);
		assert_int_equal(r->ledger.hits_suppressed[rows[i].reason],
				 rows[i].outcome == HIT_SUPPRESSED);
		ledger_adds_up(r);
		free(d);
		run_close(r);
	}
}

/* Nobody is unknown among the owners: one without a record is left out, the others are told. */
static void an_owner_without_a_record_is_left_out(void **state)
{
	static const char *const roles[] = { "owner", "owner", "co_owner" };
	struct run *r = run_open(rules_text);
	struct decide *d = decide_new();

	(void)state;
	bank_profile(&r->bank, 9, 0, "{\"set\": {}}");
	bank_subscribe(&r->bank, 8, "{\"kind\": \"s\"}"); /* chose something, has no record */
	bank_account(&r->bank, 9, roles, 3);
	struct frame_header h = purchase();
	h.customer = 7;
	run_one(r, h, "{}");
	hits_are(r, "c s@8/s");
	decide_all(r, d);
	notices_are(r, d, "c>9/sms");
	assert_int_equal(r->rules.hits[0].outcome, HIT_NOTICED);
	assert_int_equal(r->rules.hits[1].outcome, HIT_SUPPRESSED);
	assert_int_equal(r->rules.hits[1].reason, SUPPRESSED_PROVISIONAL);
	ledger_adds_up(r);
	free(d);
	run_close(r);
}

/* Exactly `fresh` old is fresh, a nanosecond more is stale; an event ahead of now is fresh (decisions 24). */
static void a_hit_older_than_fresh_is_stale(void **state)
{
	static const struct {
		uint16_t type;
		int64_t age_ns;
		bool stale;
	} rows[] = {
		{ 1, 0, false },
		{ 1, INT64_C(600000000000), false }, /* critical: 10 m */
		{ 1, INT64_C(600000000001), true },
		{ 1, -INT64_C(300000000000), false },
		{ 2, INT64_C(7200000000000), false }, /* subscriptions: 2 h */
		{ 2, INT64_C(7200000000001), true },
		{ 3, INT64_C(3600000000000), false }, /* its own: 1 h */
		{ 3, INT64_C(3600000000001), true },
	};
	struct run *r = run_open(rules_text);
	struct decide *d = decide_new();

	(void)state;
	bank_profile(&r->bank, 7, 0, "{\"set\": {}}");
	bank_subscribe(&r->bank, 7, "{\"kind\": \"any\"}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		h.type = rows[i].type;
		h.time = NOW - rows[i].age_ns;
		run_one(r, h, "{}");
		assert_int_equal(r->rules.hit_count, 1);
		decide_all(r, d);
		if ((r->rules.hits[0].reason == SUPPRESSED_STALE) != rows[i].stale ||
		    (d->notice_count == 0) != rows[i].stale)
			fail_msg("row %zu: reason %d, %u notices", i, r->rules.hits[0].reason,
				 d->notice_count);
	}
	ledger_adds_up(r);
	free(d);
	run_close(r);
}

/* The first of the subscription's own list, else of the rule's, else of the catalogue's (decisions 25). */
static void the_channel_is_the_first_of_the_nearest_list(void **state)
{
	static const struct {
		uint16_t type;
		const char *subscribe, *notice;
	} rows[] = {
		{ 1, "{\"kind\": \"s\"}", "s>7/push" },
		{ 1, "{\"id\": \"s\", \"channels\": [\"email\", \"push\"]}", "s>7/email" },
		{ 1, "{\"id\": \"s\", \"channels\": [\"sms\"]}", "s>7/sms" },
		{ 1, "{\"id\": \"s\", \"channels\": [\"fax\", \"email\"]}",
		  "s>7/email" }, /* the catalogue has no fax */
		{ 1, "{\"id\": \"s\", \"channels\": [\"fax\"]}", "s>7/push" },
		{ 1, "{\"id\": \"s\", \"channels\": []}", "s>7/push" },
		{ 2, "{\"kind\": \"any\"}", "any>7/push" },
	};
	struct run *r = run_open(rules_text);
	struct decide *d = decide_new();

	(void)state;
	bank_profile(&r->bank, 7, 0, "{\"set\": {}}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[64];
		struct frame_header h = purchase();
		h.type = rows[i].type;
		bank_subscribe(&r->bank, 7, rows[i].subscribe);
		run_one(r, h, "{}");
		decide_all(r, d);
		snprintf(want, sizeof want, "%s%s", h.type == 1 ? "c>7/sms " : "", rows[i].notice);
		notices_are(r, d, want);
	}
	ledger_adds_up(r);
	free(d);
	run_close(r);
}

/* 256 events on an account with 64 owners: four rounds and more, each hit decided once, notices in the order
 * of hits. */
static void many_recipients_are_cut_in_rounds(void **state)
{
	const char *roles[HOLDERS_MAX];
	struct run *r = run_open(rules_text);
	struct decide *d = decide_new();
	uint32_t rounds = 0, total = 0, next_hit = 0, next_recipient = 0;

	(void)state;
	for (unsigned i = 0; i < HOLDERS_MAX; i++) {
		roles[i] = i ? "co_owner" : "owner";
		bank_profile(&r->bank, 7 + i, 0, "{\"set\": {}}");
	}
	bank_account(&r->bank, 9, roles, HOLDERS_MAX);
	for (unsigned i = 0; i < BATCH_ENTRIES_MAX; i++)
		run_add(r, purchase(), "{}");
	run_profile(r);
	assert_int_equal(run_rules(r, 0, r->count), r->count);
	assert_int_equal(r->rules.hit_count, BATCH_ENTRIES_MAX);
	for (uint32_t hit = 0; hit < r->rules.hit_count; rounds++) {
		uint32_t to = decide_run(d, r->bank.store, r->bank.c, r->events, r->rules.hits,
					 r->rules.cursors, hit, r->rules.hit_count, &r->ledger);
		assert_true(to > hit && d->notice_count <= RUN_NOTICES_MAX);
		for (uint32_t i = 0; i < d->notice_count; i++) {
			assert_int_equal(d->notices[i].hit, next_hit);
			assert_int_equal(d->notices[i].recipient, 7 + next_recipient);
			next_recipient = (next_recipient + 1) % HOLDERS_MAX;
			next_hit += next_recipient == 0;
		}
		total += d->notice_count;
		hit = to;
	}
	assert_true(rounds > 1);
	assert_int_equal(total, BATCH_ENTRIES_MAX * HOLDERS_MAX);
	assert_int_equal(r->ledger.notices_made, total);
	assert_int_equal(r->ledger.hits[HIT_NOTICED], BATCH_ENTRIES_MAX);
	for (uint32_t i = 0; i < r->rules.hit_count; i++)
		assert_int_equal(r->rules.hits[i].outcome, HIT_NOTICED);
	ledger_adds_up(r);
	free(d);
	run_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(critical_goes_to_the_actor_and_the_owners),
		cmocka_unit_test(an_owner_without_a_record_is_left_out),
		cmocka_unit_test(a_hit_older_than_fresh_is_stale),
		cmocka_unit_test(the_channel_is_the_first_of_the_nearest_list),
		cmocka_unit_test(many_recipients_are_cut_in_rounds),
	};

	return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
