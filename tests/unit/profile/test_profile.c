// needs: user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_profile.c: the profile stage: what an event ends as, in the order of decisions 18, and the values as
 * of it, with a real store and real windows.
 */
#include <profile/profile.h>

#include "../bank_test.h"

static const int64_t SECOND = 1000000000, NOW = INT64_C(1800000000) * 1000000000;

/* Only aggregates that a rule or text reads are given. */
static const char reader[] = "fraud: { rules: { reader: { events: [purchase], score: 1, when: 'agg.n + "
			     "agg.spent + agg.abroad + agg.on_card > 0' } } }\n";

struct stage {
	struct bank bank;
	struct profile_columns columns;
	struct frame frames[64];
	struct batch_entry entries[64];
	struct event events[64];
	uint32_t count;
};

static int set_up(void **state)
{
	struct stage *t = calloc(1, sizeof *t);

	assert_non_null(t);
	bank_open(&t->bank, reader);
	assert_int_equal(profile_init(&t->columns), 0);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *t = *state;

	profile_deinit(&t->columns);
	bank_close(&t->bank);
	free(t);
	return 0;
}

/* A purchase of 10 EUR by customer 7 from account 9 at NOW; the caller changes what it is about. */
static struct frame_header purchase(void)
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
				      .country = 724,
				      .mcc = 5411,
				      .touchpoint = 1 };
}

static void add(struct stage *t, struct frame_header h, const char *json)
{
	uint32_t i = t->count++;

	frame_pack(&t->frames[i], h, json);
	t->entries[i] = (struct batch_entry){ .data = t->frames[i].bytes,
					      .bytes = t->frames[i].count,
					      .position = i + 1,
					      .now = NOW,
					      .source = 3 };
}

static void run(struct stage *t)
{
	profile_run(&t->columns, t->bank.store, t->bank.history, t->bank.c, t->entries, t->count, t->events);
}

static uint8_t outcome_of(struct stage *t, struct frame_header h, const char *json)
{
	t->count = 0;
	add(t, h, json);
	run(t);
	return t->events[0].outcome;
}

static const struct value *agg(const struct stage *t, uint32_t event, const char *name)
{
	for (unsigned i = 0; i < t->bank.c->aggregate_count; i++)
		if (strcmp(t->bank.c->aggregates[i].name, name) == 0)
			return &t->events[event].aggregates[i];
	fail_msg("no aggregate %s", name);
	return NULL;
}

/* Rows stand in the order of judgement: a row with two faults ends as the first of them. */
static void profile_judges_in_the_decided_order(void **state)
{
	static const int64_t five_minutes = INT64_C(300) * 1000000000, day = INT64_C(86400) * 1000000000;
	const struct {
		uint16_t type;
		int64_t time;
		uint8_t flags;
		const char *json;
		enum event_outcome outcome;
	} rows[] = {
		{ 1, NOW, 0, "{}", EVENT_DECIDED },
		{ 1, NOW, 0, "", EVENT_DECIDED },
		{ 1, NOW, 0, "{\"items\": \"1\"}", EVENT_BAD_BODY },
		{ 1, NOW, FRAME_REVERSAL, "{}", EVENT_BAD_BODY },
		{ 1, NOW, FRAME_REVERSAL, "{\"of\": null}", EVENT_BAD_BODY },
		{ 999, NOW, 0, "{\"ref\": 1}", EVENT_BAD_BODY },
		{ 999, NOW, 0, "{\"ref\": \"\"}", EVENT_BAD_BODY },
		{ 999, NOW + day, 0, "{}", EVENT_UNKNOWN_TYPE },
		{ 999, NOW, FRAME_REVERSAL, "{\"of\": \"R0\"}", EVENT_UNKNOWN_TYPE },
		{ 1, NOW + five_minutes, 0, "{}", EVENT_DECIDED },
		{ 1, NOW + five_minutes + 1, 0, "{}", EVENT_FROM_THE_FUTURE },
		{ 1, NOW + five_minutes + 1, FRAME_REVERSAL, "{\"of\": \"nothing\"}", EVENT_FROM_THE_FUTURE },
		{ 1, INT64_MAX, 0, "{}", EVENT_FROM_THE_FUTURE },
		{ 1, NOW, FRAME_REVERSAL, "{\"of\": \"nothing\"}", EVENT_REVERSAL_UNMATCHED },
		{ 1, NOW, 0, "{\"stage\": \"released\", \"ref\": \"nothing\"}", EVENT_REVERSAL_UNMATCHED },
		{ 1, NOW, 0, "{\"ref\": \"A\"}", EVENT_DECIDED },
		{ 1, NOW, 0, "{\"ref\": \"A\"}", EVENT_DUPLICATE_REF },
		{ 1, NOW - day - 1, 0, "{\"ref\": \"A\"}", EVENT_DUPLICATE_REF },
		{ 1, NOW, FRAME_REVERSAL, "{\"of\": \"A\", \"ref\": \"B\"}", EVENT_DECIDED },
		{ 1, NOW - day, 0, "{}", EVENT_DECIDED },
		{ 1, NOW - day - 1, 0, "{}", EVENT_TOO_LATE },
		{ 1, 1, 0, "{}", EVENT_TOO_LATE },
	};
	struct stage *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		h.type = rows[i].type;
		h.time = rows[i].time;
		h.flags = rows[i].flags;
		uint8_t got = outcome_of(t, h, rows[i].json);
		if (got != rows[i].outcome)
			fail_msg("row %zu %s: outcome %d, not %d", i, rows[i].json, got, rows[i].outcome);
		assert_true(t->events[0].counted <= (got == EVENT_DECIDED));
		assert_true(t->events[0].fraud <= (got == EVENT_DECIDED));
		assert_true(t->events[0].staged <= (got == EVENT_DECIDED));
	}
}

static void header_fields_become_values(void **state)
{
	struct stage *t = *state;

	assert_int_equal(outcome_of(t, purchase(),
				    "{\"ref\": \"R1\", \"card\": \"c\", \"stage\": \"authorised\", "
				    "\"original_amount\": 0, \"original_currency\": 840}"),
			 EVENT_DECIDED);
	const struct event *e = &t->events[0];
	const struct value *f = event_fields(t->bank.c, e);
	assert_memory_equal(f[FIELD_type].s, "purchase", f[FIELD_type].bytes);
	assert_int_equal(f[FIELD_type].bytes, 8);
	assert_int_equal(f[FIELD_sequence].i, 1);
	assert_int_equal(f[FIELD_customer].i, 7);
	assert_int_equal(f[FIELD_account].i, 9);
	assert_true(f[FIELD_time].i == NOW && f[FIELD_time].type == TYPE_TIMESTAMP);
	assert_int_equal(f[FIELD_amount].i, 1000);
	assert_int_equal(f[FIELD_balance].i, 5000);
	assert_int_equal(f[FIELD_base].i, 1000);
	assert_int_equal(f[FIELD_currency].i, 978);
	assert_int_equal(f[FIELD_country].i, 724);
	assert_int_equal(f[FIELD_mcc].i, 5411);
	assert_int_equal(f[FIELD_touchpoint].i, 1);
	assert_memory_equal(f[FIELD_stage].s, "authorised", f[FIELD_stage].bytes);
	assert_memory_equal(f[FIELD_ref].s, "R1", 2);
	assert_memory_equal(f[FIELD_card].s, "c", 1);
	assert_true(f[FIELD_original_amount].i == 0 && f[FIELD_original_amount].status == VALUE_OK);
	assert_int_equal(f[FIELD_original_currency].i, 840);
	for (unsigned i = 0; i < FIELD_COUNT; i++)
		assert_int_equal(f[i].status, VALUE_OK);
	assert_int_equal(e->source, 3);
	assert_int_equal(e->position, 1);
	assert_true(e->now == NOW);
	assert_ptr_equal(e->header, t->frames[0].bytes);
}

/* Codes of 0 and what the body left out; customer, account and currency 0 are values (SEMANTICS 3). */
static void codes_of_zero_and_the_missing_balance_are_no_data(void **state)
{
	static const enum event_field none[] = { FIELD_balance,
						 FIELD_country,
						 FIELD_mcc,
						 FIELD_touchpoint,
						 FIELD_ref,
						 FIELD_card,
						 FIELD_original_amount,
						 FIELD_original_currency,
						 FIELD_base };
	static const enum event_field zero[] = { FIELD_customer, FIELD_account, FIELD_currency,
						 FIELD_amount };
	struct stage *t = *state;
	struct frame_header h = {
		.kind = FRAME_EVENT, .type = 1, .sequence = 1, .time = NOW, .balance = FRAME_BALANCE_NO_DATA
	};

	assert_int_equal(outcome_of(t, h, "{}"), EVENT_DECIDED);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (event_fields(t->bank.c, &t->events[0])[none[i]].status != VALUE_NO_DATA)
			fail_msg("field %d has data", none[i]);
	for (size_t i = 0; i < ARRAY_LEN(zero); i++)
		if (event_fields(t->bank.c, &t->events[0])[zero[i]].status != VALUE_OK ||
		    event_fields(t->bank.c, &t->events[0])[zero[i]].i != 0)
			fail_msg("field %d is not 0", zero[i]);
	h.balance = 0;
	assert_int_equal(outcome_of(t, h, "{}"), EVENT_DECIDED);
	assert_int_equal(event_fields(t->bank.c, &t->events[0])[FIELD_balance].status, VALUE_OK);
}

static void base_is_the_amount_in_the_banks_currency(void **state)
{
	static const struct {
		uint16_t currency;
		int64_t amount, base;
		uint8_t status;
	} rows[] = {
		{ 978, 1234, 1234, VALUE_OK },	 { 840, 1234, 617, VALUE_OK },
		{ 840, 3, 2, VALUE_OK }, /* 1.5 to even */
		{ 840, 1, 0, VALUE_OK }, /* 0.5 to even */
		{ 392, 7, 7, VALUE_OK }, /* 7 yen are 0.07 EUR */
		{ 826, 1234, 0, VALUE_NO_DATA }, { 0, 1234, 0, VALUE_NO_DATA },
	};
	struct stage *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		h.currency = rows[i].currency;
		h.amount = rows[i].amount;
		assert_int_equal(outcome_of(t, h, "{}"), EVENT_DECIDED);
		const struct value *v = &event_fields(t->bank.c, &t->events[0])[FIELD_base];
		if (v->status != rows[i].status || (v->status == VALUE_OK && v->i != rows[i].base))
			fail_msg("row %zu: status %d, %lld", i, v->status, (long long)v->i);
	}
}

static void base_beyond_64_bits_is_an_error(void **state)
{
	static const char rates[] =
		"bank: { currency: KWD, starts: empty }\nrates: { JPY: 500 }\nevents: { e: { code: 1 } }\n";
	struct problems problems;
	struct catalogue *c;
	struct stage *t = *state;
	struct history *history;

	problems_init(&problems);
	assert_int_equal(catalogue_compile_text("rates", rates, strlen(rates), &c, &problems), 0);
	problems_deinit(&problems);
	assert_int_equal(history_create(&history, 1 << 24, 1 << 10, 1 << 10), 0);
	history_activate(history, c, 0, true);
	for (unsigned more = 0; more < 2; more++) {
		struct frame_header h = purchase();
		h.currency = 392; /* a yen is 500 dinars of 1000 fils */
		h.amount = INT64_MAX / 500000 + more;
		h.customer = h.account = 0;
		t->count = 0;
		add(t, h, "{}");
		profile_run(&t->columns, t->bank.store, history, c, t->entries, 1, t->events);
		const struct value *v = &event_fields(c, &t->events[0])[FIELD_base];
		assert_int_equal(v->status, more ? VALUE_ERROR : VALUE_OK);
		assert_true(more ? v->bytes == VALUE_ERROR_RANGE : v->i == h.amount * 500000);
		assert_int_equal(t->events[0].outcome, EVENT_DECIDED);
	}
	history_destroy(history);
	catalogue_free(c);
}

static void rows_of_actor_and_account_are_lent(void **state)
{
	struct stage *t = *state;

	bank_profile(&t->bank, 7, 0, "{\"set\": {\"level\": 1}}");
	bank_profile(&t->bank, 0, 9, "{\"set\": {\"holders\": [{\"customer\": 7, \"role\": \"owner\"}]}}");
	outcome_of(t, purchase(), "{}");
	assert_int_equal(t->events[0].actor->key, 7);
	assert_int_equal(t->events[0].account->key, 9);
	assert_false(t->events[0].provisional);
	struct frame_header h = purchase();
	h.customer = 8;
	h.account = 10;
	outcome_of(t, h, "{}");
	assert_null(t->events[0].actor);
	assert_null(t->events[0].account);
	assert_true(t->events[0].provisional);
}

/* Customer 8 has chosen something, and nobody has said who that is: still provisional. */
static void a_customer_with_subscriptions_alone_is_provisional(void **state)
{
	static const char kind[] =
		"subscriptions: { any: { events: [purchase], repeat: every, message: hello } }\n";
	struct bank b;
	struct stage *t = *state;

	bank_open(&b, kind);
	bank_subscribe(&b, 7, "{\"kind\": \"any\"}");
	add(t, purchase(), "{}");
	profile_run(&t->columns, b.store, b.history, b.c, t->entries, 1, t->events);
	assert_non_null(t->events[0].actor);
	assert_true(t->events[0].provisional);
	bank_close(&b);
}

static void each_event_of_a_run_sees_the_ones_before_it(void **state)
{
	struct stage *t = *state;

	for (unsigned i = 0; i < 5; i++)
		add(t, purchase(), "{\"card\": \"c\"}");
	struct frame_header other = purchase();
	other.customer = 8;
	add(t, other, "{}");
	run(t);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(agg(t, i, "n")->i, i + 1);
		assert_int_equal(agg(t, i, "on_card")->i, i + 1);
		assert_int_equal(agg(t, i, "spent")->i, 1000 * (i + 1));
	}
	assert_int_equal(agg(t, 5, "n")->i, 1);
	assert_int_equal(agg(t, 5, "spent")->i, 6000);
	assert_int_equal(agg(t, 5, "on_card")->status, VALUE_NO_DATA);
}

/* `abroad` reads the profile: no profile, no data, not counted; a default applies to known customers only. */
static void where_sees_the_actors_profile(void **state)
{
	static const struct {
		uint64_t customer;
		uint16_t country;
		int64_t abroad;
	} rows[] = { { 7, 724, 0 }, { 7, 250, 1 }, { 8, 250, 0 }, { 8, 724, 1 }, { 11, 250, 0 } };
	struct stage *t = *state;

	bank_profile(&t->bank, 7, 0, "{\"set\": {\"level\": 1}}");
	bank_profile(&t->bank, 8, 0, "{\"set\": {\"home\": 250}}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		h.customer = rows[i].customer;
		h.country = rows[i].country;
		assert_int_equal(outcome_of(t, h, "{}"), EVENT_DECIDED);
		assert_int_equal(agg(t, 0, "abroad")->i, rows[i].abroad);
	}
}

/* Which rules run, by stage and by what came before under the same reference (decisions 13 and 14). */
static void stages_say_which_rules_run(void **state)
{
	static const struct {
		const char *json;
		bool fraud, counted, staged;
	} rows[] = {
		{ "{\"ref\": \"A\", \"stage\": \"request\"}", true, false, true },
		{ "{\"ref\": \"A\", \"stage\": \"authorised\"}", true, true, true },
		{ "{\"ref\": \"A\", \"stage\": \"posted\"}", false, false, true },
		{ "{\"ref\": \"B\", \"stage\": \"posted\"}", true, true, true },
		{ "{\"ref\": \"B\", \"stage\": \"authorised\"}", false, false, true },
		{ "{\"stage\": \"request\"}", true, false, true },
		{ "{\"stage\": \"authorised\"}", true, true, true },
		{ "{}", true, true, true },
	};
	struct stage *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(outcome_of(t, purchase(), rows[i].json), EVENT_DECIDED);
		const struct event *e = &t->events[0];
		if (e->fraud != rows[i].fraud || e->counted != rows[i].counted || e->staged != rows[i].staged)
			fail_msg("%s: fraud %d counted %d staged %d", rows[i].json, e->fraud, e->counted,
				 e->staged);
	}
}

/* The same events one at a time, in sevens, and at once. */
static void run_length_never_shows(void **state)
{
	static const uint32_t lengths[] = { 1, 7, 64 };
	static struct value seen[3][64][2];
	uint8_t outcomes[3][64];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
		struct stage *t = NULL;
		set_up((void **)&t);
		bank_profile(&t->bank, 7, 0, "{\"set\": {\"level\": 1}}");
		for (unsigned i = 0; i < 64; i++) {
			struct frame_header h = purchase();
			char json[64];
			h.time -= (int64_t)(i * 977 % 5000) * SECOND;
			h.customer = 7 + i % 3;
			h.amount = 100 + i;
			snprintf(json, sizeof json, "{\"ref\": \"R%u\", \"items\": %s}", i % 50,
				 i % 11 == 3 ? "\"x\"" : "1");
			add(t, h, i % 5 ? "{}" : json);
		}
		for (uint32_t at = 0; at < t->count; at += lengths[k]) {
			uint32_t n = t->count - at < lengths[k] ? t->count - at : lengths[k];
			profile_run(&t->columns, t->bank.store, t->bank.history, t->bank.c, t->entries + at,
				    n, t->events + at);
			for (uint32_t i = at; i < at + n; i++) {
				outcomes[k][i] = t->events[i].outcome;
				bool decided = t->events[i].outcome == EVENT_DECIDED;
				seen[k][i][0] = decided ? *agg(t, i, "n") : (struct value){ 0 };
				seen[k][i][1] = decided ? *agg(t, i, "spent") : (struct value){ 0 };
			}
		}
		tear_down((void **)&t);
		assert_memory_equal(outcomes[k], outcomes[0], sizeof outcomes[0]);
		assert_memory_equal(seen[k], seen[0], sizeof seen[0]);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(profile_judges_in_the_decided_order),
		CASE(header_fields_become_values),
		CASE(codes_of_zero_and_the_missing_balance_are_no_data),
		CASE(base_is_the_amount_in_the_banks_currency),
		CASE(base_beyond_64_bits_is_an_error),
		CASE(rows_of_actor_and_account_are_lent),
		CASE(a_customer_with_subscriptions_alone_is_provisional),
		CASE(each_event_of_a_run_sees_the_ones_before_it),
		CASE(where_sees_the_actors_profile),
		CASE(stages_say_which_rules_run),
		cmocka_unit_test(run_length_never_shows),
	};

	return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
