// needs: user/profile/win*.c user/profile/cells.c user/base/region.c user/base/records.c
/*
 * One key's log and its running values: order, late entries, the limit, what is settled, memory. A plain
 * array that is scanned whole is the judge. Seeded (MOMENT_SEED or the first argument); test_history has the
 * traffic of many keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <profile/windows.h>
#include <stdlib.h>
#include <string.h>

enum { FACTS_MAX = 140000 };
static const int64_t EPOCH = INT64_C(1000000000);

static uint64_t rng_state = 7;

static uint64_t below(uint64_t n)
{
	uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return ((z ^ z >> 27) * UINT64_C(0x94d049bb133111eb) >> 11) % n;
}

struct rig {
	struct windows w;
	struct window_cell *cell;
	struct window_entry *facts; /* in order of entry */
	uint32_t count;
};

static const struct key128 key = { .low = 5 };

static void slot_set(struct windows *w, uint32_t i, enum agg_function function, enum agg_field field,
		     int64_t within)
{
	uint16_t at = 0;

	for (uint32_t k = 0; k < i; k++)
		at = (uint16_t)(at + 1 + slot_has_fold(&w->slots[k]));
	w->slots[i] = (struct window_slot){ .within = within,
					    .activated = INT64_MIN,
					    .at = at,
					    .function = (uint8_t)function,
					    .field = (uint8_t)field,
					    .per = PER_ACCOUNT,
					    .used = 1,
					    .type = TYPE_INT };
	windows_slots_derive(w);
}

enum { LONG = 100000, SHORT = 100, LATENESS = 1000 };

static void rig_open(struct rig *r)
{
	memset(r, 0, sizeof *r);
	r->facts = calloc(FACTS_MAX, sizeof *r->facts);
	assert_non_null(r->facts);
	assert_int_equal(windows_init(&r->w, 64 << 20, 1024), 0);
	slot_set(&r->w, 0, AGG_COUNT_OF, AGGF_NONE, LONG);
	slot_set(&r->w, 1, AGG_SUM, AGGF_AMOUNT, SHORT);
	slot_set(&r->w, 2, AGG_MIN, AGGF_AMOUNT, LONG);
	slot_set(&r->w, 3, AGG_MAX, AGGF_AMOUNT, SHORT);
	slot_set(&r->w, 4, AGG_LAST, AGGF_AMOUNT, LONG);
	slot_set(&r->w, 5, AGG_SUM, AGGF_AMOUNT, 0);
	slot_set(&r->w, 6, AGG_MAX, AGGF_AMOUNT, 0);
	slot_set(&r->w, 7, AGG_LAST, AGGF_AMOUNT, 0);
	slot_set(&r->w, 8, AGG_COUNT_OF, AGGF_NONE, SHORT);
	r->w.now = EPOCH;
	r->w.lateness = LATENESS;
	r->w.settled = UINT64_MAX;
	r->cell = windows_make(&r->w, PER_ACCOUNT, key);
}

static void rig_close(struct rig *r)
{
	windows_deinit(&r->w);
	free(r->facts);
}

static void rig_enter(struct rig *r, int64_t time, int64_t amount, uint64_t feeds)
{
	assert_true(r->count < FACTS_MAX);
	struct window_entry *e = &r->facts[r->count++];
	*e = (struct window_entry){ .time = time, .order = r->count, .amount = amount, .feeds = feeds };
	windows_enter(&r->w, r->cell, e);
}

static struct value judge(const struct rig *r, uint32_t slot, int64_t t)
{
	const struct window_slot *s = &r->w.slots[slot];
	struct value v = { .type = TYPE_INT };
	const struct window_entry *last = NULL;
	int64_t count = 0, sum = 0, least = INT64_MAX, most = INT64_MIN;

	for (uint32_t i = 0; i < r->count; i++) {
		const struct window_entry *e = &r->facts[i];
		if (!(e->feeds >> slot & 1) || (e->flags & ENTRY_OUT) || e->time > t ||
		    (s->within && e->time <= t - s->within))
			continue;
		count++;
		sum += e->amount;
		least = e->amount < least ? e->amount : least;
		most = e->amount > most ? e->amount : most;
		if (!last || e->time >= last->time)
			last = e;
	}
	v.i = s->function == AGG_COUNT_OF ? count
	      : s->function == AGG_SUM	  ? sum
	      : s->function == AGG_MIN	  ? least
	      : s->function == AGG_MAX	  ? most
	      : last			  ? last->amount
					  : 0;
	if (count == 0 && s->function != AGG_COUNT_OF && s->function != AGG_SUM)
		v = (struct value){ .type = TYPE_INT, .status = VALUE_NO_DATA };
	return v;
}

static void assert_all_as_judged(struct rig *r, int64_t t)
{
	for (uint32_t slot = 0; slot < 9; slot++) {
		uint32_t full = 0;
		struct value want = judge(r, slot, t), got = windows_read(&r->w, r->cell, slot, t, &full);
		if (full || want.status != got.status || (want.status == VALUE_OK && want.i != got.i))
			fail_msg("slot %u as of %lld, fact %u: %lld (%u) for %lld (%u), full %u", slot,
				 (long long)t, r->count, (long long)got.i, got.status, (long long)want.i,
				 want.status, full);
	}
}

static void late_entries_and_late_reads_are_exact(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 4000; i++) {
		r.w.now += (int64_t)below(60);
		int64_t late = below(3) ? 0 : (int64_t)below(LATENESS + 1);
		rig_enter(&r, r.w.now - late, (int64_t)below(50), 1 + below(511));
		if (i % 3 == 0)
			assert_all_as_judged(&r, r.w.now - (int64_t)below(LATENESS + 1));
		if (i % 7 == 0)
			assert_all_as_judged(&r, r.w.now);
	}
	rig_close(&r);
}

static void rising_and_falling_amounts_keep_min_and_max(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 3000; i++) {
		r.w.now += 40;
		int64_t amount = i < 1000   ? 5000 - i
				 : i < 2000 ? i
					    : 7; /* the oldest is the extreme; the newest; all equal */
		rig_enter(&r, r.w.now, amount, 511);
		assert_all_as_judged(&r, r.w.now);
	}
	rig_close(&r);
}

static void equal_times_stand_in_the_order_of_the_journal(void **state)
{
	struct rig r;
	uint32_t full = 0;

	(void)state;
	rig_open(&r);
	rig_enter(&r, EPOCH, 1, 511);
	rig_enter(&r, EPOCH - 5, 2, 511);
	rig_enter(&r, EPOCH - 5, 3, 511);
	rig_enter(&r, EPOCH, 4, 511);
	assert_int_equal(windows_read(&r.w, r.cell, 4, EPOCH - 5, &full).i, 3);
	assert_int_equal(windows_read(&r.w, r.cell, 4, EPOCH, &full).i, 4);
	rig_close(&r);
}

static void changes_reach_every_window_that_has_the_entry(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	r.w.settled = 0;
	for (int i = 0; i < 1500; i++) {
		r.w.now += (int64_t)below(200);
		rig_enter(&r, r.w.now, (int64_t)below(90), 511);
		if (below(2))
			assert_all_as_judged(&r, r.w.now);
		struct window_entry *e = &r.facts[r.count - 1 - below(r.count < 40 ? r.count : 40)];
		struct window_change change = { .time = e->time,
						.order = e->order,
						.amount = (int64_t)below(120),
						.flags = below(3) ? 0 : ENTRY_OUT };
		e->amount = change.amount;
		e->flags = change.flags;
		windows_amend(&r.w, r.cell, &change);
		assert_all_as_judged(&r, r.w.now);
		assert_all_as_judged(&r, r.w.now - (int64_t)below(LATENESS));
	}
	rig_close(&r);
}

/* Past the limit nothing is known; behind the limit everything is right again, and late reads too. */
static void a_full_log_recovers_exactly(void **state)
{
	struct rig r;
	uint32_t full = 0;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 120000; i++) {
		r.w.now += i % 3 == 0;
		rig_enter(&r, r.w.now - (int64_t)(below(9) ? 0 : below(LATENESS)), (int64_t)below(100000),
			  511);
		if (i % 1000 == 0 || i == 50000) {
			full = 0;
			windows_read(&r.w, r.cell, 1, r.w.now, &full);
			assert_int_equal(full, i >= 50000);
		}
	}
	assert_true(r.cell->count == WINDOW_LOG_EVENTS_MAX && r.cell->lost > INT64_MIN);
	r.w.now = r.cell->lost + LATENESS - 1;
	windows_read(&r.w, r.cell, 1, r.w.now, &full);
	assert_int_equal(full, 2);
	r.w.now++;
	assert_all_as_judged(&r, r.w.now);
	assert_all_as_judged(&r, r.w.now - LATENESS);
	for (int i = 0; i < 300; i++) {
		r.w.now += 60;
		rig_enter(&r, r.w.now - (int64_t)below(LATENESS), (int64_t)below(100000), 511);
		if (i % 10 == 0)
			assert_all_as_judged(&r, r.w.now);
	}
	rig_close(&r);
}

/* 44,000 are wanted at a time; what is settled between them makes room, whatever keeps it: time or a
 * reference. */
static void entries_that_nobody_wants_do_not_fill_a_log(void **state)
{
	(void)state;
	for (int with_ref = 0; with_ref < 2; with_ref++) {
		struct rig r;
		rig_open(&r);
		rig_enter(&r, r.w.now, 1, 1); /* wanted for long, in front of all others */
		for (int i = 0; i < 130000; i++) {
			r.w.now += i % 40 == 0;
			struct window_entry *e = &r.facts[r.count++];
			*e = (struct window_entry){ .time = r.w.now - (with_ref ? LATENESS : 0),
						    .order = r.count,
						    .amount = 1,
						    .feeds = with_ref ? 1 << 5 : 1 << 8,
						    .flags = with_ref ? ENTRY_REF : 0 };
			r.w.settled = r.count > 44000 ? r.count - 44000 : 0;
			windows_enter(&r.w, r.cell, e);
			assert_true(r.cell->lost == INT64_MIN && r.cell->count <= WINDOW_LOG_EVENTS_MAX);
		}
		assert_all_as_judged(&r, r.w.now);
		rig_close(&r);
	}
}

static void the_limit_is_exact(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < WINDOW_LOG_EVENTS_MAX; i++)
		rig_enter(&r, r.w.now, 3, 1);
	assert_all_as_judged(&r, r.w.now);
	rig_enter(&r, r.w.now - 1, 3, 1); /* the oldest of all: it is the one that is lost */
	assert_true(r.cell->lost == r.w.now - 1 + LONG);
	rig_close(&r);
}

static void the_sweep_gives_back_what_is_settled(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	struct window_cell *brief = windows_make(&r.w, PER_ACCOUNT, (struct key128){ .low = 6 });
	struct window_entry e = { .time = r.w.now, .order = 1, .feeds = 1 };
	windows_enter(&r.w, brief, &e);
	rig_enter(&r, r.w.now, 9, 1 | 1 << 5);
	size_t bytes = r.w.slab.bytes_in_use;
	r.w.now += LONG + LATENESS - 1;
	for (int i = 0; i < 8; i++)
		windows_sweep(&r.w);
	assert_true(r.w.table.count == 2 && r.w.entries == 2 && r.w.slab.bytes_in_use == bytes);
	r.w.now++;
	for (int i = 0; i < 8; i++)
		windows_sweep(&r.w);
	assert_true(r.w.table.count == 1 && r.w.entries == 0 && r.w.slab.bytes_in_use < bytes);
	assert_null(windows_find(&r.w, PER_ACCOUNT, (struct key128){ .low = 6 }));
	assert_ptr_equal(windows_find(&r.w, PER_ACCOUNT, key), r.cell);
	assert_all_as_judged(&r, r.w.now); /* for ever is kept */
	rig_enter(&r, r.w.now, 9, 511);
	assert_all_as_judged(&r, r.w.now);
	rig_close(&r);
}

static void keys_of_different_kinds_do_not_meet(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_null(windows_find(&r.w, PER_CUSTOMER, key));
	struct window_cell *customer = windows_make(&r.w, PER_CUSTOMER, key);
	struct window_cell *card = windows_make(&r.w, PER_CARD, key);
	assert_true(customer != r.cell && card != customer);
	assert_ptr_equal(windows_find(&r.w, PER_CUSTOMER, key), customer);
	assert_ptr_equal(windows_find(&r.w, PER_ACCOUNT, key), r.cell);
	assert_ptr_equal(windows_find(&r.w, PER_CARD, key), card);
	rig_close(&r);
}

static uint32_t records_count(const struct records *records, bool gone)
{
	uint32_t n = 0;

	for (const struct record *r = NULL; (r = records_next(records, r));)
		n += r->gone == gone;
	return n;
}

/* A key is taken back from the store once, and only when a checkpoint had it. */
static void a_removed_cell_is_taken_back_once(void **state)
{
	static const struct {
		bool saved, again;
		uint32_t put, gone;
	} rows[] = {
		{ false, false, 0, 0 }, { true, false, 0, 1 }, { true, true, 1, 0 }, { false, true, 1, 0 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct records records;
		struct rig r;
		rig_open(&r);
		assert_int_equal(records_init(&records, 1 << 20), 0);
		rig_enter(&r, r.w.now, 1, 1);
		if (rows[i].saved) {
			windows_checkpoint(&r.w, &records);
			windows_checkpointed(&r.w);
			assert_int_equal(records_count(&records, false), 1);
			records_reset(&records);
		}
		cell_remove(&r.w, r.cell);
		if (rows[i].again) {
			r.cell = windows_make(&r.w, PER_ACCOUNT, key);
			rig_enter(&r, r.w.now, 1, 1);
		}
		windows_checkpoint(&r.w, &records);
		windows_checkpointed(&r.w);
		assert_int_equal(records_count(&records, false), rows[i].put);
		assert_int_equal(records_count(&records, true), rows[i].gone);
		records_reset(&records);
		windows_checkpoint(&r.w, &records); /* nothing changed since */
		assert_int_equal(records.count, 0);
		records_deinit(&records);
		rig_close(&r);
	}
}

/* has_room promises the worst: so many entries, wherever they go. */
static void room_is_enough_for_the_worst_batch(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 30; round++) {
		struct rig r;
		rig_open(&r);
		windows_deinit(&r.w);
		struct window_slot slots[AGGREGATES_MAX];
		memcpy(slots, r.w.slots, sizeof slots);
		assert_int_equal(windows_init(&r.w, 2 << 20, 2048), 0);
		memcpy(r.w.slots, slots, sizeof slots);
		windows_slots_derive(&r.w);
		r.w.now = EPOCH;
		uint32_t keys = 1 + (uint32_t)below(round % 2 ? 40 : 2000);
		uint64_t order = 0;
		for (uint32_t batch = 0; batch < 400 && windows_has_room(&r.w, 16); batch++) {
			bool one = below(4) == 0; /* a whole batch for one key */
			uint64_t it = below(keys);
			for (uint32_t i = 0; i < 16 * PER_COUNT; i++) {
				struct key128 k = { .low = one ? it : below(keys) };
				struct window_cell *cell = windows_find(&r.w, PER_ACCOUNT, k);
				if (!cell)
					cell = windows_make(&r.w, PER_ACCOUNT, k);
				struct window_entry e = { .time = r.w.now, .order = ++order, .feeds = 511 };
				windows_enter(&r.w, cell, &e);
			}
		}
		assert_true(order > 1000);
		rig_close(&r);
	}
}

/* New cells with many aggregates: their running values take more than their logs. */
static void room_counts_the_running_values_of_new_keys(void **state)
{
	(void)state;
	for (uint64_t bytes = 300 << 10; bytes < 600 << 10; bytes += 10000) {
		struct windows w;
		uint64_t made = 0;
		assert_int_equal(windows_init(&w, bytes, 4096), 0);
		for (uint32_t i = 0; i < 60; i++)
			slot_set(&w, i, AGG_MAX, AGGF_AMOUNT, i % 2 ? 0 : SHORT);
		w.now = EPOCH;
		w.lateness = LATENESS;
		for (; windows_has_room(&w, 8); made += 8 * PER_COUNT)
			for (uint32_t i = 0; i < 8 * PER_COUNT; i++) {
				struct window_cell *cell =
					windows_make(&w, PER_ACCOUNT, (struct key128){ .low = made + i });
				struct window_entry e = { .time = w.now,
							  .order = made + i + 1,
							  .feeds = (UINT64_C(1) << 60) - 1 };
				windows_enter(&w, cell, &e);
			}
		assert_true(made >= 24 && made < 200);
		windows_deinit(&w);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_entries_and_late_reads_are_exact),
		cmocka_unit_test(rising_and_falling_amounts_keep_min_and_max),
		cmocka_unit_test(equal_times_stand_in_the_order_of_the_journal),
		cmocka_unit_test(changes_reach_every_window_that_has_the_entry),
		cmocka_unit_test(a_full_log_recovers_exactly),
		cmocka_unit_test(entries_that_nobody_wants_do_not_fill_a_log),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(the_sweep_gives_back_what_is_settled),
		cmocka_unit_test(keys_of_different_kinds_do_not_meet),
		cmocka_unit_test(a_removed_cell_is_taken_back_once),
		cmocka_unit_test(room_is_enough_for_the_worst_batch),
		cmocka_unit_test(room_counts_the_running_values_of_new_keys),
	};
	const char *seed = argc > 1 ? argv[1] : getenv("MOMENT_SEED");

	if (seed)
		rng_state = strtoull(seed, NULL, 10);
	print_message("seed %llu\n", (unsigned long long)rng_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
