// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * test_store.c: opening, checkpoints, and what is on disk afterwards: second openers, full maps and disks,
 * kill -9 during commits, records of other stages, one transaction over many checkpoints, copies, damaged
 * stores.
 */
#include "store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <profile/store_state.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct fixture {
	struct fake *fake;
	struct store *s;
	char *dir;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->fake = fake_bank();
	f->dir = directory_new();
	f->s = store_at(f->dir);
	store_activate_good(f->s, &f->fake->c);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	directory_free(f->dir);
	free(f->fake);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	store_close(f->s);
	f->s = store_at(f->dir);
	store_activate_good(f->s, &f->fake->c);
}

static void set_age(struct store *s, const struct catalogue *c, uint64_t customer, int64_t age)
{
	uint8_t body[64];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 1);
	pack_text(&w, "set");
	pack_map(&w, 1);
	pack_text(&w, "age");
	pack_int(&w, age);
	assert_int_equal(store_apply_profile(s, c, customer, 0, body, (uint32_t)pack_bytes(&w), test_why,
					     sizeof test_why),
			 CHANGE_APPLIED);
}

/* -1: no record; -2: no age. */
static int64_t age_of(struct store *s, const struct catalogue *c, uint64_t customer)
{
	struct value v[8];
	const struct row *row = store_customer(s, customer);

	row_profile(s, c, row, v);
	return !row ? -1 : v[1].status ? -2 : v[1].i;
}

static bool digests_equal(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* ---- openers ---- */

static void one_process_opens_a_store_once(void **state)
{
	struct fixture *f = *state;
	struct store_options o = { .dir = f->dir, .records_bytes = 1 << 20, .map_bytes = 1 << 20 };
	struct store *second;

	assert_int_equal(store_open(&second, &o, test_why, sizeof test_why), -EBUSY);
	assert_non_null(strstr(test_why, "this process has it open already"));
	o.read_only = true;
	assert_int_equal(store_open(&second, &o, test_why, sizeof test_why), -EBUSY);
	assert_non_null(strstr(test_why, "this process has it open already"));
	/* the refused ones took nothing away */
	set_age(f->s, &f->fake->c, 1, 5);
	checkpoint_good(f->s);
	reopen(f);
	assert_int_equal(age_of(f->s, &f->fake->c, 1), 5);
}

/* Runs `child` in a process of its own, which must end with 0. */
static void in_child(struct fixture *f, void (*child)(struct fixture *f))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		child(f);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("child ended with %x", status);
}

/* In a child cmocka's asserts would run the parent's tests: say where, and end. */
#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static void child_opens(struct fixture *f)
{
	struct store_options o = { .dir = f->dir, .records_bytes = 1 << 20, .map_bytes = 1 << 20 };
	char pid[64];
	struct store *s;

	snprintf(pid, sizeof pid, "another momentd (pid %d) has this data directory", (int)getppid());
	CHECK(store_open(&s, &o, test_why, sizeof test_why) == -EBUSY);
	CHECK(strstr(test_why, pid));
}

static void two_processes_do_not_change_one_store(void **state)
{
	in_child(*state, child_opens);
}

static void child_reads(struct fixture *f)
{
	struct store_options o = {
		.dir = f->dir, .records_bytes = 1 << 20, .map_bytes = 1 << 20, .read_only = true
	};
	struct store *s;

	for (int fd = 3; fd < 100; fd++)
		close(fd); /* what the fork brought along is the parent's */
	CHECK(store_open(&s, &o, test_why, sizeof test_why) == 0);
	CHECK(store_activate(s, &f->fake->c, test_why, sizeof test_why) == 0);
	CHECK(age_of(s, &f->fake->c, 1) == 5);
	CHECK(age_of(s, &f->fake->c, 2) == -1); /* not committed yet */
	store_close(s);
}

static void a_tool_reads_the_last_checkpoint_while_the_engine_runs(void **state)
{
	struct fixture *f = *state;

	set_age(f->s, &f->fake->c, 1, 5);
	checkpoint_good(f->s);
	set_age(f->s, &f->fake->c, 1, 6);
	set_age(f->s, &f->fake->c, 2, 7);
	in_child(f, child_reads);
	checkpoint_good(f->s);
	assert_int_equal(age_of(f->s, &f->fake->c, 1), 6);
}

static void a_reader_needs_a_store(void **state)
{
	struct store_options o = { .dir = "/tmp/moment-no-such-store", .read_only = true };
	struct store *s;

	(void)state;
	assert_int_equal(store_open(&s, &o, test_why, sizeof test_why), -ENOENT);
	assert_int_equal(access(o.dir, F_OK), -1);
}

/* ---- checkpoints ---- */

static void a_checkpoint_is_a_cut(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;

	set_age(f->s, c, 1, 10);
	set_age(f->s, c, 2, 20);
	assert_non_null(store_checkpoint_begin(f->s));
	assert_null(store_checkpoint_begin(f->s));
	set_age(f->s, c, 2, 21);
	set_age(f->s, c, 3, 30);
	store_checkpoint_commit(f->s);
	assert_null(store_checkpoint_begin(f->s));
	assert_true(store_checkpoint_running(f->s));
	assert_int_equal(store_checkpoint_wait(f->s), 0);
	assert_false(store_checkpoint_running(f->s));
	assert_true(age_of(f->s, c, 1) == 10 && age_of(f->s, c, 2) == 21 && age_of(f->s, c, 3) == 30);
	struct store_sizes sizes;
	store_sizes(f->s, &sizes);
	assert_int_equal(sizes.overlay_rows, 2);
	assert_int_equal(sizes.customers, 3);
	reopen(f);
	assert_true(age_of(f->s, c, 1) == 10 && age_of(f->s, c, 2) == 20 && age_of(f->s, c, 3) == -1);
	store_sizes(f->s, &sizes);
	assert_int_equal(sizes.customers, 2);
	assert_int_equal(sizes.checkpoints, 1);
}

static void poll_is_true_once(void **state)
{
	struct fixture *f = *state;
	int error = 5;

	assert_false(store_checkpoint_poll(f->s, &error));
	assert_non_null(store_checkpoint_begin(f->s));
	assert_false(store_checkpoint_poll(f->s, &error));
	store_checkpoint_commit(f->s);
	assert_true(store_checkpoint_poll(f->s, &error));
	assert_int_equal(error, 0);
	assert_false(store_checkpoint_poll(f->s, &error));
}

static void put(struct records *r, enum record_space space, const void *key, uint16_t key_bytes,
		const char *value)
{
	memcpy(records_put(r, space, key, key_bytes, (uint32_t)strlen(value)), value, strlen(value));
}

struct walked {
	int count;
	char text[512];
};

static int walk_each(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
	struct walked *w = ctx;
	size_t at = strlen(w->text);

	assert_int_equal((uintptr_t)value % 8, 0);
	w->count++;
	snprintf(w->text + at, sizeof w->text - at, "%u:%02x=%.*s ", key_bytes, ((const uint8_t *)key)[0],
		 (int)value_bytes, (const char *)value);
	return w->count == 100 ? 42 : 0;
}

static void assert_walk(struct store *s, enum record_space space, const char *want)
{
	struct walked w = { 0 };

	assert_int_equal(store_walk(s, space, walk_each, &w), 0);
	assert_string_equal(w.text, want);
}

static void records_of_other_stages_pass_through(void **state)
{
	struct fixture *f = *state;
	uint8_t cell[17] = { 2, 9 }, other[17] = { 1 }, ref[16] = { 7 }, outbox[12] = { 0, 0, 0, 1 },
		later[12] = { 0, 0, 0, 2 };
	struct records *r = store_checkpoint_begin(f->s);
	uint32_t bytes;

	put(r, RECORD_CELL, cell, sizeof cell, "second");
	put(r, RECORD_CELL, other, sizeof other, "");
	put(r, RECORD_REF, ref, sizeof ref, "a");
	put(r, RECORD_OUTBOX, later, sizeof later, "chunk two");
	put(r, RECORD_OUTBOX, outbox, sizeof outbox, "chunk");
	put(r, RECORD_META, "position", 8, "1");
	put(r, RECORD_META, "position", 8, "22");
	records_remove(r, RECORD_META, "never", 5);
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), 0);
	assert_walk(f->s, RECORD_CELL, "17:01= 17:02=second ");
	assert_walk(f->s, RECORD_REF, "16:07=a ");
	assert_walk(f->s, RECORD_OUTBOX, "12:00=chunk 12:00=chunk two ");
	assert_memory_equal(store_value(f->s, RECORD_META, "position", 8, &bytes), "22", 2);
	assert_int_equal(bytes, 2);
	assert_null(store_value(f->s, RECORD_META, "positio", 7, &bytes));
	assert_null(store_value(f->s, RECORD_META, "never", 5, &bytes));

	r = store_checkpoint_begin(f->s);
	records_remove(r, RECORD_OUTBOX, outbox, sizeof outbox);
	put(r, RECORD_CELL, other, sizeof other, "grown");
	put(r, RECORD_REF, ref, sizeof ref, "gone at once");
	records_remove(r, RECORD_REF, ref, sizeof ref);
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), 0);
	reopen(f);
	assert_walk(f->s, RECORD_OUTBOX, "12:00=chunk two ");
	assert_walk(f->s, RECORD_CELL, "17:01=grown 17:02=second ");
	assert_walk(f->s, RECORD_REF, "");
	assert_memory_equal(store_value(f->s, RECORD_OUTBOX, later, sizeof later, &bytes), "chunk two", 9);
}

static void a_walk_stops_where_it_is_told(void **state)
{
	struct fixture *f = *state;
	struct records *r = store_checkpoint_begin(f->s);
	struct walked w = { 0 };

	for (uint32_t i = 0; i < 200; i++) {
		uint32_t key[4] = { __builtin_bswap32(i) };
		put(r, RECORD_REF, key, sizeof key, "");
	}
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), 0);
	assert_int_equal(store_walk(f->s, RECORD_REF, walk_each, &w), 42);
	assert_int_equal(w.count, 100);
}

static void large_values_are_kept_whole(void **state)
{
	struct fixture *f = *state;
	struct records *r = store_checkpoint_begin(f->s);
	uint32_t bytes, big = 3 << 20;
	uint8_t *to = records_put(r, RECORD_META, "catalogue", 9, big);

	for (uint32_t i = 0; i < big; i++)
		to[i] = (uint8_t)(i * 31 >> 3);
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), 0);
	const uint8_t *got = store_value(f->s, RECORD_META, "catalogue", 9, &bytes);
	assert_int_equal(bytes, big);
	for (uint32_t i = 0; i < big; i++)
		if (got[i] != (uint8_t)(i * 31 >> 3))
			fail_msg("byte %u", i);
}

static void a_full_overlay_asks_for_a_checkpoint(void **state)
{
	struct fixture *f = *state;
	char json[1200], text[1025];
	uint64_t n = 0;

	memset(text, 'x', 1024);
	text[1024] = 0;
	snprintf(json, sizeof json, "{\"set\": {\"language\": \"%s\"}}", text);
	for (; store_has_room(f->s, BATCH_ENTRIES_MAX); n++)
		assert_int_equal(profile_json(f->s, &f->fake->c, n + 1, json), CHANGE_APPLIED);
	assert_true(n > 10000);
	checkpoint_good(f->s);
	assert_true(store_has_room(f->s, BATCH_ENTRIES_MAX));
	struct store_sizes sizes;
	store_sizes(f->s, &sizes);
	assert_true(sizes.overlay_rows == 0 && sizes.overlay_bytes == 0 && sizes.customers == n);
	/* other sizes than before find their room */
	for (uint64_t i = 1; store_has_room(f->s, BATCH_ENTRIES_MAX); i++)
		set_age(f->s, &f->fake->c, i, 3);
	checkpoint_good(f->s);
	assert_true(store_has_room(f->s, BATCH_ENTRIES_MAX));
}

/* The largest number of rows, without making them. */
static void a_full_store_refuses_new_rows_and_changes_old_ones(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;

	set_age(f->s, c, 1, 5);
	account_json(f->s, c, 7, "{}");
	f->s->counts.customers = f->s->counts.accounts = INDEX_ROWS_MAX;
	assert_int_equal(profile_json(f->s, c, 2, "{}"), CHANGE_REFUSED);
	assert_non_null(strstr(test_why, "200000000 records of this kind, no more"));
	assert_int_equal(subscribe_json(f->s, c, 2, "{\"kind\": \"large\"}"), CHANGE_REFUSED);
	assert_int_equal(account_json(f->s, c, 8, "{}"), CHANGE_REFUSED);
	assert_null(store_customer(f->s, 2));
	set_age(f->s, c, 1, 6);
	assert_int_equal(account_json(f->s, c, 7, "{}"), CHANGE_APPLIED);
	f->s->counts.customers--;
	set_age(f->s, c, 2, 7);
	f->s->counts.customers = 2;
	f->s->counts.accounts = 1;
}

/* ---- what goes wrong at a commit ---- */

static void fill(struct store *s, const struct catalogue *c, uint64_t customers, int64_t age)
{
	for (uint64_t i = 1; i <= customers; i++)
		set_age(s, c, i, age);
}

static void a_full_map_leaves_the_old_data(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	int error = 0;

	store_close(f->s);
	f->s = store_at_with(f->dir, (struct store_options){ .map_bytes = 512 << 10 });
	store_activate_good(f->s, c);
	fill(f->s, c, 100, 1);
	checkpoint_good(f->s);
	fill(f->s, c, 10000, 2);
	assert_non_null(store_checkpoint_begin(f->s));
	store_checkpoint_commit(f->s);
	assert_true(store_checkpoint_poll(f->s, &error));
	assert_int_equal(error, -ENOSPC);
	/* still there for the engine, and the old state for whoever opens next */
	assert_int_equal(age_of(f->s, c, 10000), 2);
	reopen(f);
	assert_true(age_of(f->s, c, 100) == 1 && age_of(f->s, c, 101) == -1);
	/* with room, the same changes go in */
	fill(f->s, c, 10000, 2);
	checkpoint_good(f->s);
	reopen(f);
	assert_int_equal(age_of(f->s, c, 10000), 2);
}

static void records_that_do_not_fit_are_an_error(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;

	store_close(f->s);
	f->s = store_at_with(f->dir, (struct store_options){ .records_bytes = 64 << 10 });
	store_activate_good(f->s, c);
	fill(f->s, c, 10, 1);
	checkpoint_good(f->s);
	fill(f->s, c, 2000, 2);
	struct records *r = store_checkpoint_begin(f->s);
	for (uint64_t i = 1; i < 2000; i++)
		records_put(r, RECORD_REF, &i, 8, 64);
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), -ENOSPC);
	assert_int_equal(age_of(f->s, c, 11), 2);
	reopen(f);
	assert_true(age_of(f->s, c, 10) == 1 && age_of(f->s, c, 11) == -1);
}

static void rows_of_a_failed_checkpoint_go_with_the_next(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	struct records *r;

	set_age(f->s, c, 1, 5);
	r = store_checkpoint_begin(f->s);
	r->full = true;
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), -ENOSPC);
	set_age(f->s, c, 2, 6);
	checkpoint_good(f->s);
	reopen(f);
	assert_true(age_of(f->s, c, 1) == 5 && age_of(f->s, c, 2) == 6);
}

/* The file may not grow: the write fails in the middle of a commit, as on a full disk. */
static void child_fails_to_write(struct fixture *f)
{
	struct rlimit limit = { .rlim_cur = 1 << 20, .rlim_max = 1 << 20 };
	const struct catalogue *c = &f->fake->c;
	int error = 0;

	f->s = store_at(f->dir);
	CHECK(store_activate(f->s, c, test_why, sizeof test_why) == 0);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	fill(f->s, c, 20000, 2);
	CHECK(store_checkpoint_begin(f->s));
	store_checkpoint_commit(f->s);
	CHECK(store_checkpoint_poll(f->s, &error));
	CHECK(error == -EFBIG || error == -EIO || error == -ENOSPC);
}

static void a_failing_write_leaves_the_old_data(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;

	fill(f->s, c, 100, 1);
	checkpoint_good(f->s);
	store_close(f->s);
	f->s = NULL;
	in_child(f, child_fails_to_write);
	f->s = store_at(f->dir);
	store_activate_good(f->s, c);
	assert_true(age_of(f->s, c, 1) == 1 && age_of(f->s, c, 100) == 1 && age_of(f->s, c, 101) == -1);
}

enum { KILL_CUSTOMERS = 500, KILLS = 20 };

/* Commit after commit: all rows and META "round" say the same number. */
static void child_commits_for_ever(struct fixture *f)
{
	const struct catalogue *c = &f->fake->c;

	f->s = store_at_with(f->dir, (struct store_options){ .thread = true });
	CHECK(store_activate(f->s, c, test_why, sizeof test_why) == 0);
	for (int64_t round = age_of(f->s, c, 1) + 1;; round++) {
		fill(f->s, c, KILL_CUSTOMERS, round);
		struct records *r = store_checkpoint_begin(f->s);
		CHECK(r);
		memcpy(records_put(r, RECORD_META, "round", 5, sizeof round), &round, sizeof round);
		store_checkpoint_commit(f->s);
		CHECK(store_checkpoint_wait(f->s) == 0);
	}
}

static void a_killed_commit_is_whole_or_not_there(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	uint64_t seed = 11;
	int64_t round = 0, before = -1;

	fill(f->s, c, KILL_CUSTOMERS, 0);
	struct records *r = store_checkpoint_begin(f->s);
	memcpy(records_put(r, RECORD_META, "round", 5, sizeof round), &round, sizeof round);
	store_checkpoint_commit(f->s);
	assert_int_equal(store_checkpoint_wait(f->s), 0);
	store_close(f->s);
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = fork();
		int status;
		if (pid == 0)
			child_commits_for_ever(f);
		/* longer while the machine is too busy for a first commit */
		usleep(10000 + draw_below(&seed, 30000) + (before > 0 ? 0 : (unsigned)i * 20000));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status)); /* it did not end by itself */
		f->s = store_at(f->dir);
		store_activate_good(f->s, c);
		uint32_t bytes;
		memcpy(&round, store_value(f->s, RECORD_META, "round", 5, &bytes), sizeof round);
		assert_true(round >= before);
		before = round;
		for (uint64_t k = 1; k <= KILL_CUSTOMERS; k++)
			if (age_of(f->s, c, k) != round)
				fail_msg("customer %d is of another round", (int)k);
		store_close(f->s);
	}
	print_message("%d kills, %d rounds\n", KILLS, (int)before);
	assert_true(before > 0);
	f->s = store_at(f->dir);
}

/* ---- one transaction over many checkpoints ---- */

static void a_held_transaction_is_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;

	set_age(f->s, c, 1, 5);
	checkpoint_good(f->s);
	for (int commit = 0; commit < 2; commit++) {
		assert_int_equal(store_hold(f->s), 0);
		for (int64_t i = 0; i < 3; i++) {
			fill(f->s, c, 50, 100 + i);
			checkpoint_good(f->s);
			assert_int_equal(age_of(f->s, c, 50), 100 + i); /* reads see it */
		}
		assert_int_equal(store_release(f->s, commit), 0);
		reopen(f);
		assert_int_equal(age_of(f->s, c, 1), commit ? 102 : 5);
		assert_int_equal(age_of(f->s, c, 50), commit ? 102 : -1);
	}
}

static void undo_takes_back_a_row_as_a_whole(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	struct store_sizes sizes;

	set_age(f->s, c, 1, 5); /* in the map */
	checkpoint_good(f->s);
	set_age(f->s, c, 2, 6); /* in the overlay */
	struct hash128 before = store_digest(f->s, c);
	for (uint64_t k = 1; k <= 3; k++) { /* 3: not there */
		store_mark(f->s);
		set_age(f->s, c, k, 70);
		assert_int_equal(subscribe_json(f->s, c, k, "{\"kind\": \"large\"}"), CHANGE_APPLIED);
		store_undo(f->s);
	}
	assert_true(digests_equal(before, store_digest(f->s, c)));
	assert_null(store_customer(f->s, 3));
	store_sizes(f->s, &sizes);
	assert_true(sizes.customers == 2 && sizes.subscriptions == 0);
	store_mark(f->s);
	store_undo(f->s); /* nothing to take back */
	checkpoint_good(f->s);
	reopen(f);
	assert_true(digests_equal(before, store_digest(f->s, c)));
}

/* ---- digest, copy ---- */

static void the_digest_sees_values_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	struct hash128 d[9];

	d[0] = store_digest(f->s, c);
	profile_json(f->s, c, 1, "{\"set\": {\"age\": 1}}");
	d[1] = store_digest(f->s, c);
	profile_json(f->s, c, 1, "{\"set\": {\"age\": 1, \"language\": \"es\"}}"); /* set is not default */
	d[2] = store_digest(f->s, c);
	subscribe_json(f->s, c, 1, "{\"kind\": \"other\", \"params\": {\"count\": 1}}");
	d[3] = store_digest(f->s, c);
	subscribe_json(f->s, c, 1, "{\"kind\": \"other\", \"params\": {\"text\": \"x\"}}");
	d[4] = store_digest(f->s, c);
	subscribe_json(f->s, c, 1, "{\"kind\": \"other\", \"on\": false}");
	d[5] = store_digest(f->s, c);
	account_json(f->s, c, 1, "{\"set\": {\"currency\": \"EUR\"}}");
	d[6] = store_digest(f->s, c);
	account_json(f->s, c, 1, "{\"set\": {\"cards\": [{\"card\": \"c\"}]}}");
	d[7] = store_digest(f->s, c);
	profile_json(f->s, c, 1, "{\"set\": {\"age\": 2}}"); /* another value only */
	d[8] = store_digest(f->s, c);
	profile_json(f->s, c, 1, "{\"set\": {\"age\": 1}}");
	for (int i = 0; i < 9; i++)
		for (int k = 0; k < i; k++)
			assert_false(digests_equal(d[i], d[k]));
	checkpoint_good(f->s);
	assert_true(digests_equal(store_digest(f->s, c), d[7]));
	reopen(f);
	assert_true(digests_equal(store_digest(f->s, c), d[7]));
	/* the same by another way, in another store */
	char *dir = directory_new();
	struct store *s = store_at(dir);
	store_activate_good(s, c);
	account_json(s, c, 1,
		     "{\"set\": {\"cards\": [{\"card\": \"c\"}], \"currency\": 978, \"alias\": \"x\"}}");
	subscribe_json(s, c, 1, "{\"kind\": \"other\", \"on\": false, \"params\": {\"text\": \"x\"}}");
	subscribe_json(s, c, 1, "{\"id\": \"other\", \"params\": {\"count\": 1}}");
	profile_json(s, c, 1, "{\"set\": {\"language\": \"es\", \"age\": 1}}");
	account_json(s, c, 1, "{\"unset\": [\"alias\"]}");
	assert_true(digests_equal(store_digest(s, c), d[7]));
	store_close(s);
	directory_free(dir);
}

static void a_copy_is_whole_and_opens(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	char copy[4096], stale[4200];
	struct hash128 one, two;

	fill(f->s, c, 1000, 9);
	checkpoint_good(f->s);
	struct hash128 want = store_digest(f->s, c);
	set_age(f->s, c, 1, 10); /* not committed: not in the copy */
	snprintf(copy, sizeof copy, "%s/deep/base-1", f->dir);
	snprintf(stale, sizeof stale, "%s.new", copy);
	assert_int_equal(store_copy(f->s, copy), 0);
	assert_int_equal(store_copy_hash(copy, &one), 0);
	assert_int_equal(store_copy_hash(copy, &two), 0);
	assert_true(digests_equal(one, two));
	assert_true(store_copy(f->s, copy) < 0); /* there is one */
	assert_int_equal(access(stale, F_OK), -1);
	assert_true(store_copy_hash("/tmp/moment-no-such-copy", &two) == -ENOENT);
	struct store *s = store_at(copy);
	store_activate_good(s, c);
	assert_true(digests_equal(want, store_digest(s, c)));
	store_close(s);
}

/* ---- damage ---- */

/* Writes one record past the store, as nobody should. */
static void plant(const char *dir, const char *key, const void *value, uint32_t bytes)
{
	struct records records;
	struct lmdb *l;

	assert_int_equal(records_init(&records, 1 << 20), 0);
	assert_int_equal(lmdb_open(&l, dir, 1 << 30, false, test_why, sizeof test_why), 0);
	memcpy(records_put(&records, RECORD_META, key, (uint16_t)strlen(key), bytes), value, bytes);
	assert_int_equal(lmdb_write_begin(l), 0);
	assert_int_equal(lmdb_write_put(l, &records), 0);
	assert_int_equal(lmdb_write_commit(l), 0);
	lmdb_close(l);
	records_deinit(&records);
}

static void a_damaged_or_newer_store_is_not_opened(void **state)
{
	static const uint32_t newer[10] = { 3 }, none[10] = { 0 };
	static const struct {
		const char *key, *value, *why;
		uint32_t bytes;
		int rc;
	} rows[] = {
		{ "store", (const char *)newer, "this store has format 3, expected 1 to 2", 40,
		  -EPROTONOSUPPORT },
		{ "store", (const char *)none, "this store has format 0, expected 1 to 2", 40,
		  -EPROTONOSUPPORT },
		{ "store", "\1\0\0\0", "format", 4, -EPROTONOSUPPORT },
		{ "name:00000002", "age", "damaged store: name:00000002", 3, -EBADMSG }, /* as 1 */
		{ "name:00000fff", "new", "damaged store: name:00000fff", 3, -EBADMSG },
		{ "layout:00000000000000000000000000000000", "\0\0\0\0", "damaged store: layout:", 4,
		  -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fake *fake = fake_bank();
		char *dir = directory_new();
		struct store *s = store_at(dir);
		struct store_options o = { .dir = dir, .map_bytes = 1 << 30 };
		store_activate_good(s, &fake->c);
		set_age(s, &fake->c, 1, 1);
		checkpoint_good(s);
		store_close(s);
		plant(dir, rows[i].key, rows[i].value, rows[i].bytes);
		int rc = store_open(&s, &o, test_why, sizeof test_why);
		if (rc != rows[i].rc || !strstr(test_why, rows[i].why))
			fail_msg("row %zu: %d %s", i, rc, test_why);
		directory_free(dir);
		free(fake);
	}
}

/* ---- no allocation on the engine's thread ---- */

#ifndef __SANITIZE_ADDRESS__
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);
static __thread bool counting;
static __thread unsigned allocations;

void *malloc(size_t bytes)
{
	allocations += counting;
	return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	allocations += counting;
	return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
	allocations += counting;
	return __libc_realloc(p, bytes);
}

static void the_engine_thread_allocates_nothing(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	struct fake *other = fake_bank();
	struct body subscribe;
	struct value v[16];
	uint64_t keys[300] = { 0 };
	const struct row *rows[300];
	uint32_t bytes;
	int error = 0;

	other->c.hash.low = 78;
	fake_attribute(other, "added", TYPE_STRING);
	body_make(&subscribe,
		  "{\"kind\": \"other\", \"channels\": [\"carrier pigeon\"], \"params\": {\"text\": \"x\"}}");
	store_close(f->s);
	f->s = store_at_with(f->dir, (struct store_options){ .thread = true });
	counting = true;
	assert_int_equal(store_activate(f->s, c, test_why, sizeof test_why), 0);
	for (uint64_t round = 0; round < 20; round++) {
		for (uint64_t k = 1; k < 300; k++) {
			assert_true(store_has_room(f->s, BATCH_ENTRIES_MAX));
			set_age(f->s, c, k * 977, (int64_t)round);
			assert_int_equal(store_apply_subscribe(f->s, c, k, subscribe.bytes, subscribe.count,
							       test_why, sizeof test_why),
					 CHANGE_APPLIED);
			row_profile(f->s, c, store_customer(f->s, k), v);
			keys[k] = k;
		}
		store_customers(f->s, keys, 300, rows);
		store_accounts(f->s, keys, 300, rows);
		store_forget(f->s, ROW_CUSTOMER, 5);
		if (store_checkpoint_begin(f->s))
			store_checkpoint_commit(f->s);
		do {
			store_tick(f->s);
			sched_yield();
		} while (!store_checkpoint_poll(f->s, &error));
		store_value(f->s, RECORD_META, "store", 5, &bytes);
		c = c == &f->fake->c ? &other->c : &f->fake->c;
		assert_int_equal(store_activate(f->s, c, test_why, sizeof test_why), 0);
	}
	counting = false;
	assert_int_equal(error, 0);
	assert_int_equal(allocations, 0);
	free(other);
}
#endif

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_process_opens_a_store_once),
		CASE(two_processes_do_not_change_one_store),
		CASE(a_tool_reads_the_last_checkpoint_while_the_engine_runs),
		cmocka_unit_test(a_reader_needs_a_store),
		CASE(a_checkpoint_is_a_cut),
		CASE(poll_is_true_once),
		CASE(records_of_other_stages_pass_through),
		CASE(a_walk_stops_where_it_is_told),
		CASE(large_values_are_kept_whole),
		CASE(a_full_overlay_asks_for_a_checkpoint),
		CASE(a_full_store_refuses_new_rows_and_changes_old_ones),
		CASE(a_full_map_leaves_the_old_data),
		CASE(records_that_do_not_fit_are_an_error),
		CASE(rows_of_a_failed_checkpoint_go_with_the_next),
		CASE(a_failing_write_leaves_the_old_data),
		CASE(a_killed_commit_is_whole_or_not_there),
		CASE(a_held_transaction_is_all_or_nothing),
		CASE(undo_takes_back_a_row_as_a_whole),
		CASE(the_digest_sees_values_and_nothing_else),
		CASE(a_copy_is_whole_and_opens),
		cmocka_unit_test(a_damaged_or_newer_store_is_not_opened),
#ifndef __SANITIZE_ADDRESS__
		CASE(the_engine_thread_allocates_nothing),
#endif
	};

	int failed = cmocka_run_group_tests_name("rows by the B-tree", tests, NULL, NULL);
	test_indexed = true;
	return failed + cmocka_run_group_tests_name("rows by the index", tests, NULL, NULL);
}
