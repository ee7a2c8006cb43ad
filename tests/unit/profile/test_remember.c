// needs: user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_remember.c: what the pre-filter may drop leaves nothing, even where it was kept (decisions 35 to 37).
 * Tables are altered in memory, since the compiler makes only sound ones.
 */
#include <profile/profile.h>

#include "../bank_test.h"

static const int64_t SECOND = 1000000000, NOW = INT64_C(1800000000) * 1000000000;
static const int64_t DAY = INT64_C(86400) * 1000000000;

enum { PURCHASE = 1, QUIET = 9, EUR = 978 };

/* A rule on `quiet` reads windows that only purchases feed. */
static const char rules[] =
	"fraud: { rules: { reader: { events: [purchase, quiet], score: 1, when: 'agg.n + agg.spent + "
	"agg.abroad + agg.on_card + agg.ever > 0' } } }\n"
	"subscriptions: { s: { events: [quiet], repeat: every, message: plain, channels: [push], when: "
	"'true' } }\n";

struct stage {
	struct bank bank;
	struct profile_columns columns;
	struct frame frame;
	struct event event;
};

static int set_up(void **state)
{
	struct stage *t = calloc(1, sizeof *t);

	assert_non_null(t);
	bank_open(&t->bank, rules);
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

static struct interest_entry *entry_of(struct stage *t, uint16_t type)
{
	return &t->bank.c->interest->type[type];
}

static void quiet_is(struct stage *t, struct interest_entry entry)
{
	*entry_of(t, QUIET) = entry;
}

static struct frame_header event_of(uint16_t type, int64_t time)
{
	return (struct frame_header){ .kind = FRAME_EVENT,
				      .type = type,
				      .sequence = 1,
				      .customer = 7,
				      .account = 9,
				      .time = time,
				      .amount = 1000,
				      .balance = FRAME_BALANCE_NO_DATA,
				      .currency = EUR,
				      .country = 724,
				      .mcc = 5411,
				      .touchpoint = 1 };
}

static const struct event *apply_at(struct stage *t, struct frame_header h, const char *json, int64_t now)
{
	struct batch_entry entry = { .position = 1, .now = now, .source = 3 };

	frame_pack(&t->frame, h, json);
	entry.data = t->frame.bytes;
	entry.bytes = t->frame.count;
	profile_run(&t->columns, t->bank.store, t->bank.history, t->bank.c, &entry, 1, &t->event);
	return &t->event;
}

static const struct event *apply(struct stage *t, struct frame_header h, const char *json)
{
	return apply_at(t, h, json, NOW);
}

static int64_t agg(const struct stage *t, const char *name)
{
	for (unsigned i = 0; i < t->bank.c->aggregate_count; i++)
		if (strcmp(t->bank.c->aggregates[i].name, name) == 0) {
			assert_int_equal(t->event.aggregates[i].status, VALUE_OK);
			return t->event.aggregates[i].i;
		}
	fail_msg("no aggregate %s", name);
	return 0;
}

static bool remembered(struct stage *t, struct frame_header h)
{
	return profile_event_remembered(t->bank.store, t->bank.c, &h,
					h.customer ? store_customer(t->bank.store, h.customer) : NULL,
					h.account ? store_account(t->bank.store, h.account) : NULL);
}

struct state {
	struct hash128 history, rows;
	struct history_sizes sizes;
};

static struct state state_of(struct stage *t)
{
	struct state s = { .history = history_digest(t->bank.history),
			   .rows = store_digest(t->bank.store, t->bank.c) };

	history_sizes(t->bank.history, &s.sizes);
	return s;
}

static void what_the_filter_keeps_is_remembered(void **state)
{
	struct stage *t = *state;
	const struct {
		struct interest_entry entry;
		uint8_t flags;
		bool remembered;
	} rows[] = {
		{ { .action = INTEREST_KEEP }, 0, true },
		{ { .action = INTEREST_UNKNOWN }, 0, true },
		{ { .action = INTEREST_DROP }, 0, false },
		{ { .action = INTEREST_DROP }, FRAME_VERDICT_WANTED, true },
		{ { .action = INTEREST_DROP }, FRAME_REVERSAL, true },
		{ { .action = INTEREST_DROP }, FRAME_MAYBE_REPEAT, true },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_AMOUNT, .amount_min = 1000 },
		  0,
		  true },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_AMOUNT, .amount_min = 1001 },
		  0,
		  false },
		{ { .action = INTEREST_KEEP_IF,
		    .conditions = INTEREST_IF_AMOUNT,
		    .amount_min = 1001,
		    .currency = 840 },
		  0,
		  true },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_TOUCHPOINT, .touchpoints = 2 },
		  0,
		  true },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_TOUCHPOINT, .touchpoints = 4 },
		  0,
		  false },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_COUNTRY }, 0, false },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_MCC }, 0, false },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_ENROLLED }, 0, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = event_of(QUIET, NOW);
		h.flags = rows[i].flags;
		quiet_is(t, rows[i].entry);
		if (remembered(t, h) != rows[i].remembered)
			fail_msg("row %zu", i);
	}
}

static void somebody_concerned_who_subscribed_is_remembered(void **state)
{
	struct stage *t = *state;
	struct frame_header h = event_of(QUIET, NOW), nobodys = h;

	nobodys.customer = nobodys.account = 0;
	quiet_is(t,
		 (struct interest_entry){ .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_ENROLLED });
	bank_profile(&t->bank, 7, 0, "{\"set\": {\"language\": \"en\"}}");
	assert_false(remembered(t, h)); /* a record alone is no subscription */
	bank_profile(&t->bank, 0, 9,
		     "{\"set\": {\"holders\": [{\"customer\": 8, \"role\": \"owner\"}, {\"customer\": 11, "
		     "\"role\": "
		     "\"delegate\"}]}}");
	assert_false(remembered(t, h));
	bank_subscribe(&t->bank, 11, "{\"kind\": \"s\", \"on\": false}");
	assert_true(remembered(t, h)); /* a holder; that it is off, and provisional, does not matter */
	h.account = 10;
	assert_false(remembered(t, h)); /* an account without a record */
	bank_subscribe(&t->bank, 7, "{\"kind\": \"s\"}");
	assert_true(remembered(t, h)); /* the actor */
	h.account = 0;
	assert_true(remembered(t, h));
	assert_false(remembered(t, nobodys));
}

/* References, stages, unknown customers, times: each alone. */
static void an_event_that_is_not_remembered_leaves_nothing(void **state)
{
	struct stage *t = *state;
	static const char *const bodies[] = {
		"{}",
		"{\"ref\": \"R\"}",
		"{\"ref\": \"R\", \"stage\": \"authorised\"}",
		"{\"ref\": \"R\", \"stage\": \"authorised\"}",
		"{\"ref\": \"R\", \"stage\": \"posted\", \"card\": \"K\"}",
		"{\"ref\": \"R\", \"stage\": \"released\"}",
		"{\"ref\": \"P\", \"stage\": \"posted\"}",
		"{\"ref\": \"P\", \"stage\": \"released\"}",
		"{\"ref\": \"R\", \"stage\": \"request\"}",
		"{\"ref\": 1}",
	};

	quiet_is(t, (struct interest_entry){ .action = INTEREST_DROP });
	struct frame_header h = event_of(PURCHASE, NOW - SECOND);
	apply_at(t, h, "{\"ref\": \"P\", \"stage\": \"authorised\"}", NOW - SECOND);
	h.customer = 8; /* moves the clock: touching customer 7 again would show */
	apply(t, h, "{}");
	struct state before = state_of(t);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		for (int64_t days = 0; days < 9; days += 4) {
			h = event_of(QUIET, NOW - (i % 3 == 0) * 2 * DAY);
			h.customer = 7 + i % 2 * 70;
			const struct event *e = apply_at(t, h, bodies[i], NOW + days * DAY);
			if (e->outcome == EVENT_DUPLICATE_REF || e->outcome == EVENT_REVERSAL_UNMATCHED)
				fail_msg("%s ends as %d", bodies[i], e->outcome);
			struct state after = state_of(t);
			assert_memory_equal(&after, &before, sizeof after);
		}
	apply(t, event_of(PURCHASE, NOW), "{\"ref\": \"R\", \"stage\": \"authorised\"}");
	assert_int_equal(t->event.outcome, EVENT_DECIDED); /* not a duplicate, and the first that counts */
	assert_true(t->event.counted);
	assert_int_equal(agg(t, "ever"), 2);
}

static void a_remembered_one_leaves_its_reference(void **state)
{
	struct stage *t = *state;
	struct state before = state_of(t);

	quiet_is(t, (struct interest_entry){ .action = INTEREST_KEEP });
	apply(t, event_of(QUIET, NOW), "{\"ref\": \"R\"}");
	struct state after = state_of(t);
	assert_memory_not_equal(&after, &before, sizeof after);
	assert_int_equal(apply(t, event_of(QUIET, NOW), "{\"ref\": \"R\"}")->outcome, EVENT_DUPLICATE_REF);
}

static void its_rules_run_on_the_windows_of_others(void **state)
{
	struct stage *t = *state;
	const struct {
		const char *json;
		bool fraud, counted, staged;
	} rows[] = {
		{ "{}", true, true, true },
		{ "{\"stage\": \"posted\", \"ref\": \"P\"}", true, true, true },
		{ "{\"stage\": \"authorised\"}", true, true, true },
		{ "{\"stage\": \"request\", \"ref\": \"P\"}", true, false, true },
		{ "{\"stage\": \"released\", \"ref\": \"P\"}", false, false, true },
	};

	quiet_is(t, (struct interest_entry){ .action = INTEREST_DROP });
	apply(t, event_of(PURCHASE, NOW - SECOND), "{\"ref\": \"P\", \"card\": \"K\"}");
	apply(t, event_of(PURCHASE, NOW + SECOND), "{}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct event *e = apply(t, event_of(QUIET, NOW), rows[i].json);
		assert_true(e->unremembered);
		assert_int_equal(e->outcome, EVENT_DECIDED);
		assert_int_equal(e->fraud, rows[i].fraud);
		assert_int_equal(e->counted, rows[i].counted);
		assert_int_equal(e->staged, rows[i].staged);
		assert_int_equal(agg(t, "n"), 1); /* as of its time */
		assert_int_equal(agg(t, "spent"), 1000);
	}
}

static void it_is_late_or_from_the_future_like_any(void **state)
{
	struct stage *t = *state;
	const struct {
		int64_t time;
		enum event_outcome outcome;
	} rows[] = {
		{ NOW - DAY, EVENT_DECIDED },
		{ NOW - DAY - 1, EVENT_TOO_LATE },
		{ NOW + 300 * SECOND, EVENT_DECIDED },
		{ NOW + 300 * SECOND + 1, EVENT_FROM_THE_FUTURE },
	};

	quiet_is(t, (struct interest_entry){ .action = INTEREST_DROP });
	apply_at(t, event_of(PURCHASE, NOW - 3 * DAY), "{}",
		 NOW - 3 * DAY); /* the windows' clock lags behind */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct event *e = apply(t, event_of(QUIET, rows[i].time), "{}");
		assert_int_equal(e->outcome, rows[i].outcome);
		assert_int_equal(e->counted, rows[i].outcome == EVENT_DECIDED);
	}
}

static void on_the_event_clock_nothing_is_from_the_future(void **state)
{
	struct stage *t = *state;

	t->columns.event_clock = true;
	for (unsigned keep = 0; keep < 2; keep++) {
		quiet_is(t, (struct interest_entry){ .action = keep ? INTEREST_KEEP : INTEREST_DROP });
		assert_int_equal(apply(t, event_of(QUIET, NOW + 30 * DAY), "{}")->outcome, EVENT_DECIDED);
	}
	t->columns.event_clock = false;
	assert_int_equal(apply(t, event_of(QUIET, NOW + 30 * DAY), "{}")->outcome, EVENT_FROM_THE_FUTURE);
}

/* Customer 7 has no record. What is forgotten after 7 days is so for the event that is not remembered, too.
 */
static void it_lengthens_no_provisional_memory(void **state)
{
	struct stage *t = *state;

	quiet_is(t, (struct interest_entry){ .action = INTEREST_DROP });
	apply(t, event_of(PURCHASE, NOW), "{}");
	struct frame_header h = event_of(PURCHASE, NOW + 6 * DAY);
	h.customer = 8;
	apply_at(t, h, "{}", NOW + 6 * DAY);
	apply_at(t, event_of(QUIET, NOW + 6 * DAY), "{}", NOW + 6 * DAY);
	assert_int_equal(agg(t, "ever"), 1);
	apply_at(t, event_of(QUIET, NOW + 7 * DAY + 1), "{}", NOW + 7 * DAY + 1);
	assert_int_equal(agg(t, "ever"), 0);
	apply_at(t, event_of(PURCHASE, NOW + 8 * DAY), "{}", NOW + 8 * DAY);
	assert_int_equal(agg(t, "ever"), 1);
}

/* No sound table does this; --check-filter finds it because the event enters. */
static void a_type_that_feeds_a_window_enters_even_so(void **state)
{
	struct stage *t = *state;
	struct history_sizes before, after;

	*entry_of(t, PURCHASE) = (struct interest_entry){ .action = INTEREST_DROP };
	history_sizes(t->bank.history, &before);
	apply(t, event_of(PURCHASE, NOW), "{}");
	history_sizes(t->bank.history, &after);
	assert_true(t->event.unremembered);
	assert_int_equal(after.counted, before.counted + 1);
	assert_int_equal(agg(t, "ever"), 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(what_the_filter_keeps_is_remembered),
		CASE(somebody_concerned_who_subscribed_is_remembered),
		CASE(an_event_that_is_not_remembered_leaves_nothing),
		CASE(a_remembered_one_leaves_its_reference),
		CASE(its_rules_run_on_the_windows_of_others),
		CASE(it_is_late_or_from_the_future_like_any),
		CASE(on_the_event_clock_nothing_is_from_the_future),
		CASE(it_lengthens_no_provisional_memory),
		CASE(a_type_that_feeds_a_window_enters_even_so),
	};

	return cmocka_run_group_tests_name("remember", tests, NULL, NULL);
}
