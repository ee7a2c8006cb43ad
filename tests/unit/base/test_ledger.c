// needs: user/base/ledger.c
/*
 * test_ledger.c: the equations hold when everything made has ended or waits somewhere, and show it when one
 * is missing.
 */
#include <base/ledger.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* One of everything, in each state of each floor. */
static struct ledger full(void)
{
	struct ledger l;

	memset(&l, 0, sizeof l);
	for (unsigned i = 1; i < EVENT_OUTCOME_COUNT; i++)
		l.events_in += l.events[i] = i;
	for (unsigned i = 1; i < CHANGE_OUTCOME_COUNT; i++)
		l.changes_in += l.changes[i] = 10 * i;
	for (unsigned i = 1; i < HIT_OUTCOME_COUNT; i++)
		l.hits_made += l.hits[i] = 100;
	for (unsigned i = 1; i < SUPPRESSED_REASON_COUNT; i++)
		l.hits_suppressed[i] = 100 / (SUPPRESSED_REASON_COUNT - 1);
	l.hits_suppressed[1] += 100 % (SUPPRESSED_REASON_COUNT - 1);
	for (unsigned i = 1; i < NOTICE_STATE_COUNT; i++)
		l.notices_made += l.notices[i] = i;
	for (unsigned i = 1; i < LEG_STATE_COUNT; i++)
		l.legs_made += l.legs[i] = i;
	return l;
}

static void an_empty_ledger_adds_up(void **state)
{
	struct ledger l = { 0 };
	struct ledger_equation out[LEDGER_EQUATIONS];

	(void)state;
	assert_true(ledger_equations(&l, out));
	for (unsigned i = 0; i < LEDGER_EQUATIONS; i++)
		assert_true(out[i].made == 0 && out[i].open == 0 && out[i].closed == 0 && out[i].name);
}

static void every_outcome_belongs_to_its_equation(void **state)
{
	struct ledger l = full();
	struct ledger_equation out[LEDGER_EQUATIONS];

	(void)state;
	assert_true(ledger_equations(&l, out));
	assert_string_equal(out[0].name, "events");
	assert_string_equal(out[4].name, "legs");
	assert_int_equal(out[0].open, 0);
	assert_int_equal(out[3].open,
			 l.notices[NOTICE_QUEUED] + l.notices[NOTICE_HELD] + l.notices[NOTICE_DIGESTED]);
	assert_int_equal(out[3].closed, l.notices[NOTICE_SENT] + l.notices[NOTICE_EXPIRED] +
						l.notices[NOTICE_SUPPRESSED] + l.notices[NOTICE_UNREACHABLE]);
	assert_int_equal(out[4].open, l.legs[LEG_QUEUED]);
	assert_int_equal(out[4].closed, l.legs_made - l.legs[LEG_QUEUED]);
}

/* Each counter that belongs to an equation, one off either way. */
static void one_missing_anywhere_shows(void **state)
{
	struct ledger base = full();
	struct {
		size_t at;
		unsigned count;
	} spans[] = {
		{ offsetof(struct ledger, events_in), 1 },
		{ offsetof(struct ledger, changes_in), 1 },
		{ offsetof(struct ledger, hits_made), 1 },
		{ offsetof(struct ledger, notices_made), 1 },
		{ offsetof(struct ledger, legs_made), 1 },
		{ offsetof(struct ledger, events[1]), EVENT_OUTCOME_COUNT - 1 },
		{ offsetof(struct ledger, changes[1]), CHANGE_OUTCOME_COUNT - 1 },
		{ offsetof(struct ledger, hits[1]), HIT_OUTCOME_COUNT - 1 },
		{ offsetof(struct ledger, hits_suppressed[1]), SUPPRESSED_REASON_COUNT - 1 },
		{ offsetof(struct ledger, notices[1]), NOTICE_STATE_COUNT - 1 },
		{ offsetof(struct ledger, legs[1]), LEG_STATE_COUNT - 1 },
	};
	struct ledger_equation out[LEDGER_EQUATIONS];

	(void)state;
	for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
		for (unsigned i = 0; i < 2 * spans[s].count; i++) {
			struct ledger l = base;
			uint64_t *counter = (uint64_t *)(void *)((char *)&l + spans[s].at) + i / 2;
			*counter += i % 2 ? 1 : UINT64_MAX;
			if (ledger_equations(&l, out))
				fail_msg("counter at %zu + %u: not noticed", spans[s].at, i / 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_ledger_adds_up),
		cmocka_unit_test(every_outcome_belongs_to_its_equation),
		cmocka_unit_test(one_missing_anywhere_shows),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
