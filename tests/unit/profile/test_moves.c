// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * test_moves.c: rows that move. Many rows with sparse numbers, changed, inserted, removed and grown at
 * random, before the cut, between cut and commit, and while addresses move slice by slice; after each
 * checkpoint the whole index is compared with a scan and every row with a plain array. A stale address would
 * show an old row, or another customer's.
 */
#include "store_test.h"

#include <errno.h>

enum { ROWS = 120000, ROUNDS = 14, TEXT_MAX = 1000, TEXTS = 14 };

static uint64_t seed_given = 20261122;

struct twin_row {
	uint64_t key;
	int64_t age;	      /* -1: no row */
	uint32_t text[TEXTS]; /* bytes of each string */
};

struct fixture {
	struct fake *fake;
	struct store *s;
	char *dir;
	struct twin_row *rows;
	uint64_t seed;
};

static struct fake *fake_texts(void)
{
	static const char *const names[TEXTS] = { "a", "b", "c", "d", "e", "f", "g",
						  "h", "i", "j", "k", "l", "m", "n" };
	struct fake *f = fake_new(99);

	fake_attribute(f, "age", TYPE_INT);
	for (int i = 0; i < TEXTS; i++)
		fake_attribute(f, names[i], TYPE_STRING);
	return f;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->seed = seed_given;
	print_message("seed %llu\n", (unsigned long long)f->seed);
	f->fake = fake_texts();
	f->dir = directory_new();
	f->s = store_at_with(f->dir, (struct store_options){ .index = true, .overlay_bytes = 192 << 20 });
	store_activate_good(f->s, &f->fake->c);
	f->rows = calloc(ROWS, sizeof *f->rows);
	for (uint32_t i = 0; i < ROWS; i++)
		f->rows[i] = (struct twin_row){ .key = draw(&f->seed) | 1, .age = -1 };
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	directory_free(f->dir);
	free(f->fake);
	free(f->rows);
	free(f);
	return 0;
}

/* Sets age, and when `text` is not TEXTS that string to so many letters. */
static void set_row(struct fixture *f, struct twin_row *r, int64_t age, uint32_t text, uint32_t bytes)
{
	static char letters[TEXT_MAX];
	uint8_t body[TEXT_MAX + 64];
	struct pack_writer w;
	char name[2] = { (char)('a' + text), 0 };

	memset(letters, 'x', sizeof letters);
	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 1);
	pack_text(&w, "set");
	pack_map(&w, text < TEXTS ? 2 : 1);
	pack_text(&w, "age");
	pack_int(&w, age);
	if (text < TEXTS) {
		pack_text(&w, name);
		pack_string(&w, letters, bytes);
		r->text[text] = bytes;
	}
	assert_true(store_has_room(f->s, 1));
	assert_int_equal(store_apply_profile(f->s, &f->fake->c, r->key, 0, body, (uint32_t)pack_bytes(&w),
					     test_why, sizeof test_why),
			 CHANGE_APPLIED);
	r->age = age;
}

static void remove_row(struct fixture *f, struct twin_row *r)
{
	assert_true(store_has_room(f->s, 1));
	assert_int_equal(store_forget(f->s, ROW_CUSTOMER, r->key), r->age >= 0);
	r->age = -1;
	memset(r->text, 0, sizeof r->text);
	assert_null(store_customer(f->s, r->key));
}

/* One change of a random row: most keep the row's size, some grow it, over half a page and over pages. */
static void change_one(struct fixture *f, uint32_t below)
{
	struct twin_row *r = &f->rows[draw_below(&f->seed, below)];
	uint32_t what = draw_below(&f->seed, 100);
	int64_t age = draw_below(&f->seed, 1000000);

	if (what < 15)
		remove_row(f, r);
	else if (what < 75)
		set_row(f, r, age, TEXTS, 0);
	else if (what < 98)
		set_row(f, r, age, draw_below(&f->seed, 2), draw_below(&f->seed, 120));
	else
		for (uint32_t i = 0; i < TEXTS; i += 1 + draw_below(&f->seed, 4))
			set_row(f, r, age, i, TEXT_MAX - draw_below(&f->seed, 300));
}

static void check_row(struct fixture *f, const struct twin_row *r, const struct row *row)
{
	struct value v[TEXTS + 1];

	if (r->age < 0) {
		assert_null(row);
		return;
	}
	assert_non_null(row);
	assert_true(row->key == r->key);
	row_profile(f->s, &f->fake->c, row, v);
	assert_true(v[0].status == VALUE_OK && v[0].i == r->age);
	for (int i = 0; i < TEXTS; i++)
		assert_int_equal(v[i + 1].status ? 0 : v[i + 1].bytes, r->text[i]);
}

static void check_all(struct fixture *f)
{
	uint64_t keys[500];
	const struct row *rows[500];

	for (uint32_t at = 0; at < ROWS; at += 500) {
		for (uint32_t i = 0; i < 500; i++)
			keys[i] = f->rows[at + i].key;
		store_customers(f->s, keys, 500, rows);
		for (uint32_t i = 0; i < 500; i++) {
			check_row(f, &f->rows[at + i], rows[i]);
			assert_ptr_equal(rows[i], store_customer(f->s, keys[i]));
		}
	}
}

static void check_index(struct fixture *f)
{
	char why[256];

	if (!store_index_check(f->s, why, sizeof why))
		fail_msg("%s", why);
}

/* A checkpoint with `during` changes between cut and commit, and one a slice. Gives the slices. */
static uint32_t checkpoint_among_changes(struct fixture *f, uint32_t during)
{
	uint32_t slices = 0;
	int error = -1;

	assert_non_null(store_checkpoint_begin(f->s));
	for (uint32_t i = 0; i < during; i++)
		change_one(f, ROWS);
	store_checkpoint_commit(f->s);
	do {
		for (uint32_t i = 0; i < during / 50; i++)
			change_one(f, ROWS);
		store_tick(f->s);
		assert_null(store_checkpoint_begin(f->s)); /* not before all have moved */
		slices++;
	} while (!store_checkpoint_poll(f->s, &error));
	assert_int_equal(error, 0);
	return slices;
}

static void every_address_follows_its_row(void **state)
{
	static const uint32_t changes[] = { 1, 20, 300, 3000, 20000, 60000 };
	struct fixture *f = *state;
	uint32_t slices = 0;
	struct store_sizes sizes;

	for (uint32_t i = 0; i < ROWS; i++)
		if (i % 10) /* the others come later */
			set_row(f, &f->rows[i], i, 0, draw_below(&f->seed, 60));
	checkpoint_good(f->s);
	check_index(f);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = changes[round % 6];
		for (uint32_t i = 0; i < n; i++)
			change_one(f, ROWS);
		slices += checkpoint_among_changes(f, round % 2 ? n : 0);
		check_index(f);
		check_all(f);
	}
	assert_true(slices > 100); /* 2,000 a slice */
	checkpoint_good(f->s);
	store_sizes(f->s, &sizes);
	assert_true(sizes.overlay_rows == 0 && sizes.overlay_bytes == 0);
	store_close(f->s);
	f->s = store_at_with(f->dir, (struct store_options){ .index = true });
	store_activate_good(f->s, &f->fake->c);
	check_index(f);
	check_all(f);
}

/* All rows of a stretch of keys go: leaves empty and merge. Then they come back. */
static void leaves_that_merge_leave_no_stale_address(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < ROWS; i++) {
		f->rows[i].key = 1000 + 3 * (uint64_t)i; /* in order */
		set_row(f, &f->rows[i], i, 1, i % 50);
	}
	checkpoint_good(f->s);
	for (int round = 0; round < 6; round++) {
		uint32_t from = draw_below(&f->seed, ROWS / 2), n = 2000 + draw_below(&f->seed, ROWS / 4);
		for (uint32_t i = from; i < from + n; i++)
			if (round % 3 != 1 || i % 7)
				remove_row(f, &f->rows[i]);
		checkpoint_among_changes(f, 200);
		check_index(f);
		check_all(f);
		for (uint32_t i = from; i < from + n; i += 1 + draw_below(&f->seed, 5))
			set_row(f, &f->rows[i], i, 0, draw_below(&f->seed, 300));
		checkpoint_among_changes(f, 200);
		check_index(f);
		check_all(f);
	}
}

static void a_store_can_become_empty_and_full_again(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 5000; i++)
			set_row(f, &f->rows[i], i, 0, 50);
		checkpoint_among_changes(f, 0);
		check_index(f);
		for (uint32_t i = 0; i < 5000; i++)
			remove_row(f, &f->rows[i]);
		assert_false(store_forget(f->s, ROW_CUSTOMER, f->rows[0].key));
		checkpoint_among_changes(f, 0);
		check_index(f);
		check_all(f);
	}
	struct store_sizes sizes;
	store_sizes(f->s, &sizes);
	assert_true(sizes.customers == 0 && sizes.overlay_rows == 0);
}

/* Accounts beside customers, with the same numbers. */
static void accounts_move_as_customers_do(void **state)
{
	enum { ACCOUNTS = 30000 };
	struct fixture *f = *state;
	static uint32_t alias[ACCOUNTS]; /* bytes; 0 = no account */
	char json[1200];

	for (int round = 0; round < 8; round++) {
		for (uint32_t i = 0; i < (round ? 3000 : ACCOUNTS); i++) {
			uint32_t at = round ? draw_below(&f->seed, ACCOUNTS) : i;
			if (round && draw_below(&f->seed, 5) == 0) {
				assert_int_equal(store_forget(f->s, ROW_ACCOUNT, f->rows[at].key),
						 alias[at] > 0);
				alias[at] = 0;
				continue;
			}
			alias[at] = 1 + draw_below(&f->seed, round == 5 ? 1000 : 100);
			snprintf(json, sizeof json, "{\"set\": {\"alias\": \"%0*d\"}}", (int)alias[at], 5);
			assert_int_equal(account_json(f->s, &f->fake->c, f->rows[at].key, json),
					 CHANGE_APPLIED);
		}
		checkpoint_among_changes(f, 500);
		check_index(f);
		check_all(f);
		for (uint32_t i = 0; i < ACCOUNTS; i++) {
			struct value v[ACCOUNT_FIELD_COUNT];
			const struct row *row = store_account(f->s, f->rows[i].key);
			assert_int_equal(row != NULL, alias[i] > 0);
			row_account(row, v);
			if (row)
				assert_true(row->kind == ROW_ACCOUNT && v[ACCOUNT_ALIAS].bytes == alias[i]);
		}
	}
}

/* What was removed and what came behind the cut of a checkpoint that fails goes with the next one. */
static void removals_survive_a_failed_checkpoint(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 3000; i++)
		set_row(f, &f->rows[i], i, 0, 10);
	checkpoint_good(f->s);
	for (uint32_t i = 0; i < 1000; i++)
		remove_row(f, &f->rows[i]);
	store_checkpoint_begin(f->s)->full = true;
	for (uint32_t i = 500; i < 1500; i++)
		set_row(f, &f->rows[i], 7000 + i, 1, 30);
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), -ENOSPC);
	check_all(f);
	check_index(f);
	checkpoint_good(f->s);
	check_index(f);
	check_all(f);
	store_close(f->s);
	f->s = store_at_with(f->dir, (struct store_options){ .index = true });
	store_activate_good(f->s, &f->fake->c);
	check_all(f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(every_address_follows_its_row),	    CASE(leaves_that_merge_leave_no_stale_address),
		CASE(accounts_move_as_customers_do),	    CASE(a_store_can_become_empty_and_full_again),
		CASE(removals_survive_a_failed_checkpoint),
	};

	if (argc > 1)
		seed_given = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
