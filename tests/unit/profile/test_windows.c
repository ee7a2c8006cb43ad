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
	struct window_place place;
	struct window_event *facts; /* in order of entry */
	uint32_t count;
};

static const struct key128 key = { .low = 5 };

static void slot_set(struct windows *w, uint32_t i, enum agg_function function, enum agg_field field,
		     int64_t within)
{
	w->keys[PER_CUSTOMER].used = w->keys[PER_ACCOUNT].used = w->keys[PER_CARD].used = 1;
	w->values[i] = (struct window_value){ .field = (uint8_t)field, .type = TYPE_INT };
	w->value_count = i + 1;
	w->slots[i] = (struct window_slot){ .identity = { .low = i + 1 },
					    .within = within,
					    .activated = INT64_MIN,
					    .function = (uint8_t)function,
					    .per = PER_ACCOUNT,
					    .used = 1,
					    .type = TYPE_INT,
					    .value_count = 1,
					    .value_first = (uint16_t)i };
	windows_derive(w);
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
	r->place = (struct window_place){ .key = key, .per = PER_ACCOUNT };
	windows_look(&r->w, &r->place);
}

static struct value read_slot(struct rig *r, uint32_t slot, int64_t t, uint32_t *full)
{
	const struct window_read read = windows_read_plan(&r->w, (uint8_t)slot, 0);
	struct value v;
	const struct window_ask ask = { .t = t, .values = &v, .full = full };

	windows_look(&r->w, &r->place);
	windows_read(&r->w, &r->place, &read, 1, &ask);
	return v;
}

static void rig_close(struct rig *r)
{
	windows_deinit(&r->w);
	free(r->facts);
}

static void rig_enter(struct rig *r, int64_t time, int64_t amount, uint64_t feeds)
{
	assert_true(r->count < FACTS_MAX);
	struct window_event *e = &r->facts[r->count++];
	*e = (struct window_event){ .time = time, .order = r->count, .amount = amount, .feeds = feeds };
	windows_look(&r->w, &r->place);
	windows_enter(&r->w, &r->place, e);
}

static struct value judge(const struct rig *r, uint32_t slot, int64_t t)
{
	const struct window_slot *s = &r->w.slots[slot];
	struct value v = { .type = TYPE_INT };
	const struct window_event *last = NULL;
	int64_t count = 0, sum = 0, least = INT64_MAX, most = INT64_MIN;

	for (uint32_t i = 0; i < r->count; i++) {
		const struct window_event *e = &r->facts[i];
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
		struct value want = judge(r, slot, t), got = read_slot(r, slot, t, &full);
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
	assert_int_equal(read_slot(&r, 4, EPOCH - 5, &full).i, 3);
	assert_int_equal(read_slot(&r, 4, EPOCH, &full).i, 4);
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
		struct window_event *e = &r.facts[r.count - 1 - below(r.count < 40 ? r.count : 40)];
		struct window_change change = { .time = e->time,
						.order = e->order,
						.amount = (int64_t)below(120),
						.flags = below(3) ? 0 : ENTRY_OUT };
		e->amount = change.amount;
		e->flags = change.flags;
		windows_look(&r.w, &r.place);
		windows_amend(&r.w, r.place.cell, &change);
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
			read_slot(&r, 1, r.w.now, &full);
			assert_int_equal(full, i >= 50000);
		}
	}
	int64_t lost = cell_cold(&r.w, r.place.cell)->lost;
	assert_true(r.place.cell->count == WINDOW_LOG_EVENTS_MAX && lost > INT64_MIN);
	r.w.now = lost + LATENESS - 1;
	read_slot(&r, 1, r.w.now, &full);
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
			struct window_event *e = &r.facts[r.count++];
			*e = (struct window_event){ .time = r.w.now - (with_ref ? LATENESS : 0),
						    .order = r.count,
						    .amount = 1,
						    .feeds = with_ref ? 1 << 5 : 1 << 8,
						    .flags = with_ref ? ENTRY_REF : 0 };
			r.w.settled = r.count > 44000 ? r.count - 44000 : 0;
			windows_look(&r.w, &r.place);
			windows_enter(&r.w, &r.place, e);
			const struct window_cold *cold = cell_cold(&r.w, r.place.cell);
			assert_true((!cold || cold->lost == INT64_MIN) &&
				    r.place.cell->count <= WINDOW_LOG_EVENTS_MAX);
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
	assert_true(cell_cold(&r.w, r.place.cell)->lost == r.w.now - 1 + LONG);
	rig_close(&r);
}

static void sweep_all(struct windows *w)
{
	for (uint64_t i = 0; i < 2 * w->index.now.count; i++)
		windows_sweep(w);
}

static void enter_key(struct windows *w, uint64_t low, const struct window_event *e)
{
	struct window_place place = { .key = { .low = low }, .per = PER_ACCOUNT };

	windows_look(w, &place);
	windows_enter(w, &place, e);
}

static void the_sweep_gives_back_what_is_settled(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	struct window_event e = { .time = r.w.now, .order = 1, .feeds = 1 };
	enter_key(&r.w, 6, &e);
	rig_enter(&r, r.w.now, 9, 1 | 1 << 5);
	uint64_t bytes = r.w.pool.bytes_in_use;
	r.w.now += LONG + LATENESS - 1;
	sweep_all(&r.w);
	assert_true(r.w.cells == 2 && r.w.entries == 2 && r.w.pool.bytes_in_use == bytes);
	r.w.now++;
	sweep_all(&r.w);
	assert_true(r.w.cells == 1 && r.w.entries == 0 && r.w.pool.bytes_in_use < bytes);
	assert_null(cell_find(&r.w, PER_ACCOUNT, (struct key128){ .low = 6 }, false));
	assert_non_null(cell_find(&r.w, PER_ACCOUNT, key, false));
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
	struct window_cell *account = cell_make(&r.w, PER_ACCOUNT, key, 0);
	assert_null(cell_find(&r.w, PER_CUSTOMER, key, false));
	assert_null(cell_find(&r.w, PER_ACCOUNT, key, true)); /* nor an owner and its key */
	struct window_cell *customer = cell_make(&r.w, PER_CUSTOMER, key, 0);
	struct window_cell *card = cell_make(&r.w, PER_CARD, key, 0);
	struct window_cell *owner = cell_make(&r.w, PER_ACCOUNT, key, CELL_OWNER);
	assert_true(customer != account && card != customer && owner != account);
	assert_ptr_equal(cell_find(&r.w, PER_CUSTOMER, key, false), customer);
	assert_ptr_equal(cell_find(&r.w, PER_ACCOUNT, key, false), account);
	assert_ptr_equal(cell_find(&r.w, PER_CARD, key, false), card);
	assert_ptr_equal(cell_find(&r.w, PER_ACCOUNT, key, true), owner);
	rig_close(&r);
}

static uint32_t records_count(const struct records *records, bool gone)
{
	uint32_t n = 0;

	for (const struct record *r = NULL; (r = records_next(records, r));)
		n += r->gone == gone;
	return n;
}

static void checkpoint(struct windows *w, struct records *records)
{
	uint32_t items = UINT32_MAX;

	windows_cut(w, records);
	assert_true(windows_cut_step(w, &items) && windows_cut_finish(w, &items));
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
			checkpoint(&r.w, &records);
			assert_int_equal(records_count(&records, false), 1);
			records_reset(&records);
		}
		cell_remove(&r.w, r.place.cell);
		assert_null(cell_find(&r.w, PER_ACCOUNT, key, false));
		if (rows[i].again)
			rig_enter(&r, r.w.now, 1, 1);
		checkpoint(&r.w, &records);
		assert_int_equal(records_count(&records, false), rows[i].put);
		assert_int_equal(records_count(&records, true), rows[i].gone);
		assert_int_equal(r.w.index.count, rows[i].again); /* the ghost is gone too */
		records_reset(&records);
		checkpoint(&r.w, &records); /* nothing changed since */
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
		pool_deinit(&r.w.pool);
		assert_int_equal(pool_init(&r.w.pool, 2 << 20), 0);
		uint32_t keys = 1 + (uint32_t)below(round % 2 ? 40 : 2000);
		uint64_t order = 0;
		for (uint32_t batch = 0; batch < 400 && windows_has_room(&r.w, 16); batch++) {
			bool one = below(4) == 0; /* a whole batch for one key */
			uint64_t it = below(keys);
			for (uint32_t i = 0; i < 16; i++) {
				struct window_event e = { .time = r.w.now, .order = ++order, .feeds = 511 };
				enter_key(&r.w, one ? it : below(keys), &e);
			}
			assert_true(r.w.pool.bytes_in_use <= r.w.pool.bytes_max);
		}
		assert_true(order > 1000);
		rig_close(&r);
	}
}

/* New cells with many aggregates: their folds and running values take more than their logs. */
static void room_counts_all_that_new_keys_can_have(void **state)
{
	(void)state;
	for (uint64_t bytes = 300 << 10; bytes < 600 << 10; bytes += 10000) {
		struct rig r;
		uint64_t made = 0;
		rig_open(&r);
		pool_deinit(&r.w.pool);
		assert_int_equal(pool_init(&r.w.pool, bytes), 0);
		for (uint32_t i = 0; i < 60; i++)
			slot_set(&r.w, i, AGG_MAX, AGGF_AMOUNT, i % 2 ? 0 : SHORT);
		for (; windows_has_room(&r.w, 8); made += 8)
			for (uint32_t i = 0; i < 8 * 20; i++) {
				struct window_event e = { .time = r.w.now,
							  .order = made * 20 + i + 1,
							  .feeds = (UINT64_C(1) << 60) - 1 };
				enter_key(&r.w, made + i % 8, &e);
			}
		assert_true(made >= 16 && made < 500);
		assert_true(r.w.pool.bytes_in_use <= r.w.pool.bytes_max);
		rig_close(&r);
	}
}

/* Where all windows are of one length what is settled leaves from the front: marks and firsts move along. */
static void windows_of_one_length_are_exact(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	memset(r.w.slots, 0, sizeof r.w.slots);
	slot_set(&r.w, 0, AGG_MAX, AGGF_AMOUNT, LONG);
	slot_set(&r.w, 1, AGG_LAST, AGGF_AMOUNT, LONG);
	slot_set(&r.w, 2, AGG_SUM, AGGF_AMOUNT, LONG);
	assert_true(r.w.keys[PER_ACCOUNT].uniform);
	for (int i = 0; i < 3000; i++) {
		r.w.now += (int64_t)below(2000);
		rig_enter(&r, r.w.now - (int64_t)(below(4) ? 0 : below(LATENESS)), (int64_t)below(500),
			  1 + below(7));
		for (uint32_t slot = 0; slot < 3 && i % 3 == 0; slot++) {
			uint32_t full = 0;
			struct value want = judge(&r, slot, r.w.now),
				     got = read_slot(&r, slot, r.w.now, &full);
			assert_true(!full && want.status == got.status && want.i == got.i);
		}
	}
	assert_true(r.place.cell->runs && r.place.cell->count < 300);
	rig_close(&r);
}

/* More of them than are compared one by one. */
static void distinct_counts_many_values(void **state)
{
	struct rig r;
	bool seen[400];

	(void)state;
	rig_open(&r);
	slot_set(&r.w, 9, AGG_DISTINCT, AGGF_AMOUNT, LONG);
	for (int i = 0; i < 3000; i++) {
		uint32_t full = 0;
		int64_t want = 0;
		r.w.now += (int64_t)below(150);
		rig_enter(&r, r.w.now, (int64_t)below(400), 1 << 9);
		if (i % 9)
			continue;
		memset(seen, 0, sizeof seen);
		for (uint32_t k = 0; k < r.count; k++)
			if (r.facts[k].time > r.w.now - LONG && !seen[r.facts[k].amount])
				want += seen[r.facts[k].amount] = true;
		assert_int_equal(read_slot(&r, 9, r.w.now, &full).i, want);
	}
	rig_close(&r);
}

static void pool_classes_fit_what_they_are_for(void **state)
{
	(void)state;
	for (uint64_t bytes = 1; bytes < 1 << 20; bytes += bytes < 4096 ? 1 : 997) {
		uint32_t class = pool_class(bytes);
		assert_true(pool_class_bytes(class) >= bytes);
		assert_true(class == 0 || pool_class_bytes(class - 1) < bytes);
		assert_true(pool_class_bytes(class) <= bytes + bytes / 4 + POOL_UNIT);
	}
	assert_true(pool_class_bytes(POOL_CLASSES - 1) > UINT64_C(1) << 28);
}

/* The index against a plain list, over growth, removal and moves. */
static void index_finds_what_a_list_finds(void **state)
{
	enum { KEYS = 6000 };
	static uint32_t block[KEYS], hash[KEYS];
	struct window_index x;
	uint32_t next = 1, live = 0;

	(void)state;
	assert_int_equal(key_index_init(&x, KEYS), 0);
	for (uint32_t i = 0; i < KEYS; i++)
		hash[i] = (uint32_t)below(i % 3 ? UINT32_MAX : 50); /* many collide */
	for (uint32_t n = 0; n < 100000; n++) {
		uint32_t i = (uint32_t)below(n < 30000 ? 1 + n / 5 : KEYS);
		if (!block[i]) {
			block[i] = next++;
			key_index_add(&x, hash[i], block[i]);
			live++;
		} else if (below(2)) {
			key_index_move(&x, hash[i], block[i], next);
			block[i] = next++;
		} else {
			key_index_remove(&x, hash[i], block[i]);
			block[i] = 0;
			live--;
		}
		assert_int_equal(x.count, live);
	}
	key_index_finish(&x);
	for (uint32_t i = 0; i < KEYS; i++)
		if (block[i])
			key_index_remove(&x, hash[i], block[i]); /* asserts that it is there */
	for (uint64_t i = 0; i < x.now.count; i++)
		assert_int_equal(x.now.slots[i].block, 0);
	key_index_deinit(&x);
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
		cmocka_unit_test(room_counts_all_that_new_keys_can_have),
		cmocka_unit_test(windows_of_one_length_are_exact),
		cmocka_unit_test(distinct_counts_many_values),
		cmocka_unit_test(pool_classes_fit_what_they_are_for),
		cmocka_unit_test(index_finds_what_a_list_finds),
	};
	const char *seed = argc > 1 ? argv[1] : getenv("MOMENT_SEED");

	if (seed)
		rng_state = strtoull(seed, NULL, 10);
	print_message("seed %llu\n", (unsigned long long)rng_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
