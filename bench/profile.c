// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * profile.c: what a golden record costs: found a batch at once through the index, against mdb_get one by one;
 * memory of many; the worst tick while rows move.
 *
 * In: a catalogue made here with bank-20's shape (6 attributes, 8 plain subscriptions a customer), sparse
 * 64-bit customer numbers, a seed. Out: plain lines `name value`. Both sides look up the same keys in turn, A
 * B B A, and read each row's header and 8 bytes of its second cache line; the sums must be the same, else the
 * program ends with 1. The store is made in a directory of its own and removed.
 *
 *   profile [--rows N] [--seed N] [--pairs N] [--dir DIR]     lookups (1,000,000 rows)
 *   profile --memory [--rows N]                               resident and stored bytes (10,000,000 rows)
 *   profile --checkpoint [--rows N] [--changed N]             the worst begin, change, tick and poll
 */
#include <base/bytes.h>
#include <errno.h>
#include <inttypes.h>
#include <profile/lmdb_state.h>
#include <profile/store_state.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pace.h"

enum { KINDS = 13, SUBSCRIBED = 8, BATCH = 256, LOOKUPS = 1 << 20 };

struct bench {
	uint64_t rows, changed, seed, pairs;
	const char *base;
	bool memory, checkpoint;
	char dir[4096];
	struct store *s;
	struct catalogue c;
	struct cat_attribute attributes[8];
	struct cat_rule rules[KINDS + 1];
	struct cat_channel channels[1];
	struct cat_param params[1];
	uint64_t template[ROW_BYTES_MAX / 8];
};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "profile: %s\n", what);
	exit(1);
}

/* ---- the catalogue, by hand: the bench asks for rows, not for rules ---- */

static void catalogue_make(struct bench *b)
{
	static const char *const names[] = { "threshold", "low", "home", "channel", "salary", "optin" };
	static char kinds[KINDS][8];

	b->c.hash.low = 20;
	b->c.attributes = b->attributes;
	b->c.rules = b->rules;
	b->c.channels = b->channels;
	b->c.attribute_language = -1;
	for (int i = 0; i < 6; i++) {
		enum value_type type = i == 3 ? TYPE_STRING : TYPE_INT;
		b->attributes[b->c.attribute_count++] =
			(struct cat_attribute){ .name = names[i],
						.type = type,
						.initial = { .type = (uint8_t)type,
							     .status = VALUE_NO_DATA } };
	}
	b->c.rule_count = b->c.critical_first = b->c.subscription_first = 0;
	for (uint16_t i = 0; i < KINDS; i++) {
		snprintf(kinds[i], sizeof kinds[i], "r%02d", i + 1);
		b->rules[b->c.rule_count++] = (struct cat_rule){
			.name = kinds[i], .section = SECTION_SUBSCRIPTION, .number = i, .params = b->params
		};
	}
}

/* ---- customers ---- */

/* Sparse, ascending in i, the same for a seed on every machine. */
static uint64_t customer(const struct bench *b, uint64_t i)
{
	uint64_t stride = UINT64_MAX / (b->rows + 1), state = b->seed ^ i;

	return (i + 1) * stride + pace_random(&state) % stride;
}

static void apply(struct bench *b, uint64_t key, bool subscribe, const struct pack_writer *w,
		  const void *body)
{
	char why[256];
	enum change_outcome outcome =
		subscribe ? store_apply_subscribe(b->s, &b->c, key, body, (uint32_t)pack_bytes(w), why,
						  sizeof why)
			  : store_apply_profile(b->s, &b->c, key, 0, body, (uint32_t)pack_bytes(w), why,
						sizeof why);

	if (outcome != CHANGE_APPLIED)
		die(why);
}

static void profile_set(struct bench *b, uint64_t key, int64_t threshold)
{
	uint8_t body[256];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 1);
	pack_text(&w, "set");
	pack_map(&w, 6);
	for (int i = 0; i < 6; i++) {
		pack_text(&w, b->attributes[i].name);
		if (i == 3)
			pack_text(&w, "push");
		else
			pack_int(&w, i ? i : threshold);
	}
	apply(b, key, false, &w, body);
}

/* One customer by the product's own way; the others are copies with another number. */
static void template_make(struct bench *b)
{
	uint8_t body[64];
	struct pack_writer w;

	profile_set(b, 1, 5000);
	for (int i = 0; i < SUBSCRIBED; i++) {
		pack_writer_init(&w, body, sizeof body);
		pack_map(&w, 1);
		pack_text(&w, "kind");
		pack_text(&w, b->rules[i].name);
		apply(b, 1, true, &w, body);
	}
	const struct row *row = store_customer(b->s, 1);
	memcpy(b->template, row, row->bytes);
	if (!store_forget(b->s, ROW_CUSTOMER, 1))
		die("the template is not there");
}

static void checkpoint_now(struct bench *b)
{
	if (!store_checkpoint_begin(b->s))
		die("a checkpoint runs");
	store_checkpoint_commit(b->s);
	int rc = store_checkpoint_wait(b->s);
	if (rc)
		die(strerror(-rc));
}

static void open_store(struct bench *b, bool thread)
{
	char why[512];
	struct store_options o = { .dir = b->dir, .index = thread, .thread = thread };

	if (store_open(&b->s, &o, why, sizeof why) || store_activate(b->s, &b->c, why, sizeof why))
		die(why);
}

static void fill(struct bench *b)
{
	struct row *row = (struct row *)b->s->row;

	template_make(b);
	if (store_hold(b->s))
		die("cannot hold a transaction");
	for (uint64_t i = 0; i < b->rows; i++) {
		if (!store_has_room(b->s, 1))
			checkpoint_now(b);
		memcpy(row, b->template, ((struct row *)b->template)->bytes);
		row->key = customer(b, i);
		store_put(b->s, SUBSCRIBED);
	}
	checkpoint_now(b);
	if (store_release(b->s, true))
		die("cannot commit");
}

static void remove_store(const struct bench *b)
{
	static const char *const files[] = { "data.mdb", "lock.mdb", "owner" };
	char path[8192];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", b->dir, files[i]);
		unlink(path);
	}
	rmdir(b->dir);
}

/* ---- lookups ---- */

static uint64_t row_read(const struct row *row)
{
	uint64_t second;

	memcpy(&second, (const char *)row + 96, sizeof second);
	return (uint64_t)(uintptr_t)row + row->key + row->bytes + second;
}

static uint64_t batched(const struct bench *b, const uint64_t *keys)
{
	const struct row *rows[BATCH];
	uint64_t sum = 0;

	for (uint32_t at = 0; at < LOOKUPS; at += BATCH) {
		store_customers(b->s, keys + at, BATCH, rows);
		for (uint32_t i = 0; i < BATCH; i++)
			sum += row_read(rows[i]);
	}
	return sum;
}

static uint64_t one_by_one(const struct bench *b, uint64_t *keys)
{
	const struct lmdb *l = b->s->lmdb;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		MDB_val key = { .mv_size = 8, .mv_data = &keys[i] }, data;
		if (mdb_get(l->read, l->dbi[RECORD_CUSTOMER], &key, &data))
			die("a row is not there");
		sum += row_read(data.mv_data);
	}
	return sum;
}

struct timed {
	double ns;
	uint64_t sum;
};

static struct timed timed(const struct bench *b, uint64_t *keys, bool by_index)
{
	int64_t start = pace_now();
	uint64_t sum = by_index ? batched(b, keys) : one_by_one(b, keys);

	return (struct timed){ (double)(pace_now() - start) / LOOKUPS, sum };
}

static int double_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, uint64_t count)
{
	qsort(values, count, sizeof *values, double_order);
	return values[count / 2];
}

static void lookups(struct bench *b)
{
	uint64_t *keys = malloc(LOOKUPS * sizeof *keys), state = b->seed, hash = 0;
	double *index = calloc(b->pairs * 3, sizeof *index), *get = index + b->pairs, *ratio = get + b->pairs;

	if (!keys || !index)
		die("out of memory");
	for (uint64_t pair = 0; pair < b->pairs; pair++) {
		for (uint32_t i = 0; i < LOOKUPS; i++)
			keys[i] = customer(b, pace_random(&state) % b->rows);
		struct timed first = timed(b, keys, true), second = timed(b, keys, false);
		struct timed third = timed(b, keys, false), fourth = timed(b, keys, true);
		if (first.sum != second.sum || third.sum != fourth.sum || first.sum != third.sum)
			die("the two ways find different rows");
		index[pair] = (first.ns + fourth.ns) / 2;
		get[pair] = (second.ns + third.ns) / 2;
		ratio[pair] = get[pair] / index[pair];
		hash += first.sum & 0xffff; /* addresses differ between runs: of the work only a trace */
	}
	printf("profile.batched_ns.%" PRIu64 " %.1f\n", b->rows, median(index, b->pairs));
	printf("profile.get_ns.%" PRIu64 " %.1f\n", b->rows, median(get, b->pairs));
	double middle = median(ratio, b->pairs);
	printf("profile.batched_vs_get.%" PRIu64 " %.2f\n", b->rows, middle);
	printf("profile.batched_vs_get.%" PRIu64 ".low %.2f\n", b->rows, ratio[0]);
	printf("profile.batched_vs_get.%" PRIu64 ".high %.2f\n", b->rows, ratio[b->pairs - 1]);
	free(keys);
	free(index);
}

/* ---- memory ---- */

static uint64_t status_bytes(const char *field)
{
	char line[256];
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0)
			sscanf(line + strlen(field), ": %llu", &kib);
	if (file)
		fclose(file);
	return kib * 1024;
}

static void memory(struct bench *b, int64_t open_ns)
{
	struct store_sizes sizes;

	store_sizes(b->s, &sizes);
	printf("profile.rows %" PRIu64 "\n", sizes.customers);
	printf("profile.row_bytes %u\n", ((struct row *)b->template)->bytes);
	printf("profile.file_bytes %" PRIu64 "\n", sizes.file_bytes);
	printf("profile.index_bytes %" PRIu64 "\n", sizes.index_bytes);
	printf("profile.resident_bytes %" PRIu64 "\n", status_bytes("VmRSS"));
	printf("profile.locked_bytes %" PRIu64 "\n", status_bytes("VmLck"));
	printf("profile.resident_bytes_a_row %.1f\n", (double)status_bytes("VmRSS") / (double)b->rows);
	printf("profile.open_seconds %.2f\n", (double)open_ns / 1e9);
}

/* ---- a checkpoint while rows change ---- */

/* By the clock, and by the CPU that this thread had: the rest is the machine, busy with others. */
struct spent {
	int64_t wall, cpu;
};

struct worst {
	struct spent begin, change, tick, poll;
	struct spent moving; /* all slices together */
};

static struct spent spent_now(void)
{
	return (struct spent){ pace_now(), pace_clock(CLOCK_THREAD_CPUTIME_ID) };
}

static struct spent spent_since(struct spent start)
{
	struct spent now = spent_now();

	return (struct spent){ now.wall - start.wall, now.cpu - start.cpu };
}

static void note(struct spent *worst, struct spent start)
{
	struct spent took = spent_since(start);

	worst->wall = took.wall > worst->wall ? took.wall : worst->wall;
	worst->cpu = took.cpu > worst->cpu ? took.cpu : worst->cpu;
}

/* One in sixteen is removed, one is new. */
static void change_some(struct bench *b, uint64_t count, uint64_t *state, struct spent *worst)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = pace_random(state), what = at >> 60;
		uint64_t key = customer(b, at % b->rows);
		struct spent start = spent_now();
		if (what == 0)
			store_forget(b->s, ROW_CUSTOMER, key);
		else
			profile_set(b, what == 1 ? key + 1 : key, (int64_t)(at & 0xffff));
		note(worst, start);
	}
}

static void one_tick(struct bench *b, struct worst *w)
{
	struct spent start = spent_now();

	store_tick(b->s);
	note(&w->tick, start);
	if (atomic_load(&b->s->checkpoint.state) != CHECKPOINT_MOVING)
		return;
	start = spent_since(start);
	w->moving.wall += start.wall;
	w->moving.cpu += start.cpu;
}

/* Changes go on at 100,000 a second while the checkpoint runs; a tick each 100 us. */
static void checkpoint_measure(struct bench *b, struct worst *w, uint64_t *state)
{
	int error = 0;
	bool done = false;

	change_some(b, b->changed, state, &(struct spent){ 0 });
	struct spent start = spent_now();
	if (!store_checkpoint_begin(b->s))
		die("a checkpoint runs");
	note(&w->begin, start);
	store_checkpoint_commit(b->s);
	for (int64_t due = pace_now(); !done; due += 100000) {
		pace_sleep_until(due);
		change_some(b, 10, state, &w->change);
		one_tick(b, w);
		start = spent_now();
		done = store_checkpoint_poll(b->s, &error);
		note(&w->poll, start);
	}
	if (error)
		die(strerror(-error));
}

static void print_spent(const char *name, struct spent s)
{
	printf("profile.checkpoint.%s_us %.1f\n", name, (double)s.wall / 1e3);
	printf("profile.checkpoint.%s_cpu_us %.1f\n", name, (double)s.cpu / 1e3);
}

static void checkpoint(struct bench *b)
{
	struct store_sizes sizes;
	char why[256];
	uint64_t state = b->seed;

	for (uint64_t i = 0; i < b->pairs; i++) {
		struct worst w = { 0 };
		checkpoint_measure(b, &w, &state);
		store_sizes(b->s, &sizes);
		if (!store_index_check(b->s, why, sizeof why))
			die(why);
		print_spent("begin", w.begin);
		print_spent("worst_tick", w.tick);
		print_spent("worst_poll", w.poll);
		print_spent("worst_change", w.change);
		printf("profile.checkpoint.moved_rows %" PRIu64 "\n", sizes.moved_last);
		printf("profile.checkpoint.moved_cpu_ns_a_row %.1f\n",
		       (double)w.moving.cpu / (double)(sizes.moved_last ? sizes.moved_last : 1));
		printf("profile.checkpoint.seconds %.3f\n", (double)sizes.checkpoint_ns_last / 1e9);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = text ? strtoull(text, &end, 10) : 0;

	if (!text || *end || n == 0)
		die("a number above 0 is missing behind an option");
	return n;
}

static void options_read(struct bench *b, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--memory") == 0)
			b->memory = true;
		else if (strcmp(argv[i], "--checkpoint") == 0)
			b->checkpoint = true;
		else if (strcmp(argv[i], "--rows") == 0)
			b->rows = number(argv[++i]);
		else if (strcmp(argv[i], "--changed") == 0)
			b->changed = number(argv[++i]);
		else if (strcmp(argv[i], "--seed") == 0)
			b->seed = number(argv[++i]);
		else if (strcmp(argv[i], "--pairs") == 0)
			b->pairs = number(argv[++i]);
		else if (strcmp(argv[i], "--dir") == 0 && argv[i + 1])
			b->base = argv[++i];
		else
			die("options: --rows N --seed N --pairs N --dir DIR, --memory, --checkpoint "
			    "--changed N");
	}
	if (!b->rows)
		b->rows = b->memory ? 10000000 : 1000000;
}

int main(int argc, char **argv)
{
	static struct bench b = { .seed = 1, .pairs = 7, .changed = 100000, .base = "/tmp" };

	options_read(&b, argc, argv);
	snprintf(b.dir, sizeof b.dir, "%s/moment-profile-XXXXXX", b.base);
	if (!mkdtemp(b.dir))
		die("cannot make a directory");
	catalogue_make(&b);
	open_store(&b, false);
	fill(&b);
	store_close(b.s);
	int64_t start = pace_now();
	open_store(&b, true);
	start = pace_now() - start;
	if (b.memory)
		memory(&b, start);
	else if (b.checkpoint)
		checkpoint(&b);
	else
		lookups(&b);
	store_close(b.s);
	remove_store(&b);
	return 0;
}
