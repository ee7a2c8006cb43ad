// needs: user/base/outbox.c user/base/region.c user/base/records.c
/*
 * test_outbox.c: the outbox beside a slow twin: a plain list of legs per queue, each with its bytes and
 * state. Random commits, releases, takes, acceptances in any order, gateways that die, checkpoints cut in
 * steps with all of that in between, spills, crashes with a load from the last committed checkpoint.
 */
#include <base/outbox.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { QUEUES = 3, LEGS_MAX = 40000, STORE_MAX = 4096, CHECKPOINT_STEPS = 60 };

struct twin_leg {
	uint32_t bytes, content; /* content: seed of its bytes */
	uint8_t state;		 /* enum outbox_leg */
};

struct twin_queue {
	struct twin_leg *leg; /* [LEGS_MAX], by ordinal - 1 */
	uint64_t count, released;
};

struct stored {
	uint8_t key[12];
	uint32_t bytes;
	char *value;
};

struct world {
	struct outbox outbox;
	struct twin_queue queue[QUEUES];
	struct stored store[STORE_MAX]; /* committed */
	uint32_t store_count;
	struct records records;
	uint32_t cutting;   /* steps of the world until the checkpoint is committed; 0 = none */
	uint32_t items_max; /* chunks a step of the checkpoint; UINT32_MAX: all at the cut */
	uint64_t checkpoints;
	uint64_t random;
	uint32_t pinned[64], pinned_count;
};

static uint32_t random_below(struct world *w, uint32_t n)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % n;
}

static void frame_fill(char *to, uint32_t bytes, uint32_t content)
{
	for (uint32_t i = 0; i < bytes; i++)
		to[i] = (char)(content * 31 + i * 7 + (i >> 8));
	struct frame_header h = {
		.length = bytes, .version = FRAME_VERSION, .kind = FRAME_MESSAGE, .customer = content
	};
	memcpy(to, &h, sizeof h);
}

static bool frame_is(const char *frame, uint32_t bytes, uint32_t content, uint8_t flags)
{
	char want[FRAME_BYTES_MAX];

	frame_fill(want, bytes, content);
	want[offsetof(struct frame_header, flags)] = (char)flags;
	memcpy(want + offsetof(struct frame_header, sequence),
	       frame + offsetof(struct frame_header, sequence), 8);
	return memcmp(frame, want, bytes) == 0;
}

static const void *store_get(void *ctx, const void *key, uint16_t key_bytes, uint32_t *bytes)
{
	struct world *w = ctx;

	for (uint32_t i = 0; i < w->store_count; i++) {
		if (memcmp(w->store[i].key, key, key_bytes) == 0) {
			*bytes = w->store[i].bytes;
			return w->store[i].value;
		}
	}
	return NULL;
}

static int key_order(const void *a, const void *b)
{
	return memcmp(((const struct stored *)a)->key, ((const struct stored *)b)->key, 12);
}

static void store_apply(struct world *w)
{
	for (const struct record *r = records_next(&w->records, NULL); r; r = records_next(&w->records, r)) {
		if (r->space != RECORD_OUTBOX)
			continue;
		uint32_t at = 0;
		while (at < w->store_count && memcmp(w->store[at].key, record_key(r), 12))
			at++;
		if (at < w->store_count)
			free(w->store[at].value);
		if (r->gone) {
			assert_true(at < w->store_count);
			w->store[at] = w->store[--w->store_count];
			continue;
		}
		if (at == w->store_count)
			w->store_count++;
		assert_true(at < STORE_MAX);
		memcpy(w->store[at].key, record_key(r), 12);
		w->store[at].bytes = r->value_bytes;
		w->store[at].value = malloc(r->value_bytes);
		memcpy(w->store[at].value, record_value(r), r->value_bytes);
	}
	qsort(w->store, w->store_count, sizeof *w->store, key_order);
}

static struct world *world_new(uint64_t seed, uint64_t memory)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	w->random = seed;
	w->items_max = UINT32_MAX;
	for (unsigned i = 0; i < QUEUES; i++)
		w->queue[i].leg = calloc(LEGS_MAX, sizeof *w->queue[i].leg);
	assert_int_equal(outbox_init(&w->outbox, memory, 64 << 20), 0);
	assert_int_equal(records_init(&w->records, 256 << 20), 0);
	w->outbox.load = store_get;
	w->outbox.load_ctx = w;
	return w;
}

static void world_free(struct world *w)
{
	outbox_deinit(&w->outbox);
	records_deinit(&w->records);
	for (unsigned i = 0; i < QUEUES; i++)
		free(w->queue[i].leg);
	for (uint32_t i = 0; i < w->store_count; i++)
		free(w->store[i].value);
	free(w);
}

/* What the outbox is told to remember of a leg. */
static uint64_t leg_number(uint32_t queue, uint64_t ordinal)
{
	return (uint64_t)(queue + 1) << 40 | ordinal;
}

static void leg_add(struct world *w, uint32_t queue)
{
	struct twin_queue *q = &w->queue[queue];
	uint32_t bytes =
		FRAME_HEADER_BYTES + (random_below(w, 20) ? random_below(w, 600) : random_below(w, 30000));
	struct twin_leg leg = { bytes, random_below(w, 1000000), OUTBOX_NEW };
	char *room = q->count < LEGS_MAX ? outbox_reserve(&w->outbox, queue, bytes) : NULL;

	if (q->count == LEGS_MAX)
		return;
	assert_non_null(room);
	frame_fill(room, bytes, leg.content);
	q->leg[q->count++] = leg;
	outbox_commit(&w->outbox, bytes, leg_number(queue, q->count));
}

/* The first leg that waits and may leave; count = none. */
static uint64_t twin_next(const struct twin_queue *q)
{
	for (uint64_t i = 0; i < q->released && i < q->count; i++)
		if (q->leg[i].state == OUTBOX_NEW || q->leg[i].state == OUTBOX_RETURNED)
			return i;
	return q->count;
}

static void legs_take(struct world *w, uint32_t queue)
{
	struct twin_queue *q = &w->queue[queue];
	struct outbox_run run;
	uint64_t first = twin_next(q);
	uint32_t frames_max = 1 + random_below(w, 40), bytes_max = 2000 + random_below(w, 30000);
	uint64_t sequence = random_below(w, 1000000);
	bool took = outbox_take(&w->outbox, queue, frames_max, bytes_max, sequence, &run);

	if (!took) {
		/* nothing waits, or what waits is still being read by an earlier send */
		assert_true(first == q->count || w->pinned_count > 0);
		return;
	}
	assert_true(first < q->count);
	assert_int_equal(run.ordinal, first + 1);
	/* a leg that was sent before says so; one that was only spilled may say so too */
	uint8_t flags = (uint8_t)run.data[offsetof(struct frame_header, flags)];
	uint32_t at = 0;
	for (uint32_t i = 0; i < run.frames; i++) {
		uint64_t number;
		memcpy(&number, run.data + at + offsetof(struct frame_header, sequence), sizeof number);
		assert_int_equal(number, sequence + i);
		struct twin_leg *leg = &q->leg[first + i];
		assert_true(first + i < q->released);
		assert_true(leg->state == OUTBOX_NEW ||
			    (leg->state == OUTBOX_RETURNED && flags == FRAME_MAYBE_REPEAT));
		assert_true(frame_is(run.data + at, leg->bytes, leg->content, flags));
		leg->state = OUTBOX_SENT;
		at += leg->bytes;
	}
	assert_int_equal(at, run.bytes);
	if (w->pinned_count < 64 && random_below(w, 2)) {
		outbox_pin(&w->outbox, run.chunk);
		w->pinned[w->pinned_count++] = run.chunk;
	}
}

static void unpin_some(struct world *w, uint32_t leave)
{
	while (w->pinned_count > leave)
		outbox_unpin(&w->outbox, w->pinned[--w->pinned_count]);
}

/* Hears which legs were accepted, in order. */
struct heard {
	struct twin_queue *q;
	uint32_t queue, count;
	uint64_t next; /* index */
};

static void legs_heard(void *ctx, const uint64_t *legs, uint32_t count)
{
	struct heard *h = ctx;

	assert_true(count > 0);
	for (uint32_t i = 0; i < count; i++) {
		while (h->q->leg[h->next].state == OUTBOX_ACCEPTED)
			h->next++;
		assert_int_equal(legs[i], leg_number(h->queue, h->next + 1));
		h->q->leg[h->next].state = OUTBOX_ACCEPTED;
		h->count++;
	}
}

/* One acknowledgement: legs that were sent, perhaps some of them accepted before. */
static void leg_accept(struct world *w, uint32_t queue)
{
	struct twin_queue *q = &w->queue[queue];

	if (q->count == 0)
		return;
	uint64_t first = random_below(w, 3) ? twin_next(q) : random_below(w, (uint32_t)q->count);
	uint32_t n = 1 + random_below(w, 600), count = 0, want = 0;
	first = first > n / 2 ? first - n / 2 : 0;
	while (first < q->count &&
	       (q->leg[first].state == OUTBOX_NEW || q->leg[first].state == OUTBOX_RETURNED))
		first++;
	for (uint64_t i = first; i < q->count && count < n; i++, count++) {
		if (q->leg[i].state != OUTBOX_SENT && q->leg[i].state != OUTBOX_ACCEPTED)
			break;
		want += q->leg[i].state == OUTBOX_SENT;
	}
	struct heard heard = { .q = q, .queue = queue, .next = first };
	assert_int_equal(outbox_accept(&w->outbox, queue, first + 1, count, legs_heard, &heard), want);
	assert_int_equal(heard.count, want);
	assert_int_equal(outbox_accept(&w->outbox, queue, first + 1, count, legs_heard, &heard),
			 0); /* once */
}

static void gateway_die(struct world *w, uint32_t queue)
{
	struct twin_queue *q = &w->queue[queue];

	for (uint64_t i = 0; i < q->count; i++) {
		if (q->leg[i].state != OUTBOX_SENT)
			continue;
		q->leg[i].state = OUTBOX_RETURNED;
		outbox_return(&w->outbox, queue, i + 1, 1);
	}
}

static void checkpoint_end(struct world *w)
{
	assert_true(outbox_checkpoint_step(&w->outbox, UINT32_MAX));
	assert_false(w->records.full);
	store_apply(w);
	outbox_committed(&w->outbox);
	w->cutting = 0;
}

static void checkpoint_begin(struct world *w)
{
	if (w->cutting)
		return;
	records_reset(&w->records);
	outbox_checkpoint_cut(&w->outbox, &w->records);
	if (w->items_max == UINT32_MAX)
		assert_true(outbox_checkpoint_step(&w->outbox, UINT32_MAX));
	w->cutting = CHECKPOINT_STEPS;
	w->checkpoints++;
}

static void checkpoint(struct world *w)
{
	if (w->cutting)
		checkpoint_end(w);
	checkpoint_begin(w);
	checkpoint_end(w);
}

static void open_check(const struct world *w)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		uint64_t open = 0;
		for (uint64_t k = 0; k < w->queue[i].count; k++)
			open += w->queue[i].leg[k].state != OUTBOX_ACCEPTED;
		assert_int_equal(w->outbox.queue[i].open, open);
		assert_int_equal(w->outbox.queue[i].next_ordinal, w->queue[i].count + 1);
	}
}

/* A crash right after a checkpoint: a new outbox from the store has the same open legs. */
static void crash(struct world *w)
{
	checkpoint(w);
	unpin_some(w, 0);
	struct hash128 digest = w->outbox.digest;
	const struct record *meta = NULL;
	for (const struct record *r = records_next(&w->records, NULL); r; r = records_next(&w->records, r))
		if (r->space == RECORD_META)
			meta = r;
	assert_non_null(meta);
	outbox_deinit(&w->outbox);
	assert_int_equal(outbox_init(&w->outbox, 2 << 20, 64 << 20), 0);
	w->outbox.load = store_get;
	w->outbox.load_ctx = w;
	assert_true(outbox_load(&w->outbox, RECORD_META, record_key(meta), meta->key_bytes,
				record_value(meta), meta->value_bytes));
	for (uint32_t i = 0; i < w->store_count; i++)
		assert_true(outbox_load(&w->outbox, RECORD_OUTBOX, w->store[i].key, 12, w->store[i].value,
					w->store[i].bytes));
	outbox_recovered(&w->outbox);
	assert_memory_equal(&digest, &w->outbox.digest, sizeof digest);
	for (unsigned i = 0; i < QUEUES; i++) {
		struct twin_queue *q = &w->queue[i];
		q->released = q->count;
		for (uint64_t k = 0; k < q->count; k++)
			if (q->leg[k].state != OUTBOX_ACCEPTED)
				q->leg[k].state = OUTBOX_RETURNED;
	}
}

static void step(struct world *w)
{
	uint32_t queue = random_below(w, QUEUES), what = random_below(w, 1000);
	struct twin_queue *q = &w->queue[queue];

	if (w->cutting && w->items_max != UINT32_MAX)
		outbox_checkpoint_step(&w->outbox, w->items_max);
	if (w->cutting && --w->cutting == 0)
		checkpoint_end(w);
	if (what < 400)
		leg_add(w, queue);
	else if (what < 550) {
		q->released = q->count > 3 ? q->count - random_below(w, 3) : q->count;
		outbox_release(&w->outbox, queue, q->released);
		q->released = w->outbox.queue[queue].released;
	} else if (what < 750)
		legs_take(w, queue);
	else if (what < 900)
		leg_accept(w, queue);
	else if (what < 960)
		unpin_some(w, random_below(w, w->pinned_count + 1));
	else if (what < 980)
		gateway_die(w, queue);
	else if (what < 998)
		checkpoint_begin(w);
	else
		crash(w);
}

static void outbox_agrees_with_its_twin(void **state)
{
	const char *text = getenv("MOMENT_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : 1;

	(void)state;
	for (uint64_t s = seed; s < seed + 8; s++) {
		struct world *w = world_new(s, 2 << 20);
		printf("seed %llu\n", (unsigned long long)s);
		w->items_max = s % 3 == 0 ? 1 : s % 3 == 1 ? 3 : UINT32_MAX;
		for (unsigned i = 0; i < 20000; i++) {
			step(w);
			if (i % 500 == 0)
				open_check(w);
		}
		/* in the end everything leaves, in order, once */
		unpin_some(w, 0);
		for (uint32_t q = 0; q < QUEUES; q++) {
			gateway_die(w, q);
			outbox_release(&w->outbox, q, w->queue[q].count);
			w->queue[q].released = w->queue[q].count;
			while (twin_next(&w->queue[q]) < w->queue[q].count) {
				legs_take(w, q);
				unpin_some(w, 0);
				leg_accept(w, q);
			}
			for (uint64_t i = 0; i < w->queue[q].count; i++)
				outbox_accept(&w->outbox, q, i + 1, 1, NULL, NULL);
			assert_int_equal(w->outbox.queue[q].open, 0);
		}
		checkpoint(w);
		world_free(w);
	}
}

static int record_order(const void *a, const void *b)
{
	const struct record *x = *(const struct record *const *)a, *y = *(const struct record *const *)b;
	int order = (int)x->space - (int)y->space;

	if (order == 0)
		order = (int)x->key_bytes - (int)y->key_bytes;
	return order ? order : memcmp(record_key(x), record_key(y), x->key_bytes);
}

static uint32_t records_sort(const struct records *records, const struct record **out)
{
	uint32_t n = 0;

	for (const struct record *r = records_next(records, NULL); r; r = records_next(records, r)) {
		assert_true(n < STORE_MAX);
		out[n++] = r;
	}
	qsort(out, n, sizeof *out, record_order);
	return n;
}

static void records_are_equal(const struct records *a, const struct records *b)
{
	static const struct record *left[STORE_MAX], *right[STORE_MAX];
	uint32_t n = records_sort(a, left);

	assert_int_equal(records_sort(b, right), n);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(record_order(&left[i], &right[i]), 0);
		assert_int_equal(left[i]->gone, right[i]->gone);
		assert_int_equal(left[i]->value_bytes, right[i]->value_bytes);
		assert_memory_equal(record_value(left[i]), record_value(right[i]), left[i]->value_bytes);
		if (i > 0) /* a key is written once */
			assert_true(record_order(&left[i - 1], &left[i]) < 0);
	}
}

/* The same world twice: one encodes all at the cut, the other in steps while everything goes on. */
static void a_checkpoint_in_steps_is_that_of_the_cut(void **state)
{
	static const uint32_t items[] = { 1, 7, 0 }; /* 0: only what changes, the rest at the end */
	const char *text = getenv("MOMENT_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : 1, checked = 0;

	(void)state;
	for (uint64_t s = seed; s < seed + 6; s++) {
		struct world *whole = world_new(s, 2 << 20), *steps = world_new(s, 2 << 20);
		printf("seed %llu\n", (unsigned long long)s);
		steps->items_max = items[s % 3];
		for (unsigned i = 0; i < 12000; i++) {
			uint64_t before = steps->checkpoints;
			step(whole);
			step(steps);
			assert_int_equal(steps->random, whole->random);
			if (steps->checkpoints > before && steps->cutting == CHECKPOINT_STEPS)
				continue;
			if (steps->cutting == 1) { /* the last look before it is committed */
				outbox_checkpoint_step(&steps->outbox, UINT32_MAX);
				records_are_equal(&whole->records, &steps->records);
				checked++;
			}
		}
		open_check(steps);
		world_free(whole);
		world_free(steps);
	}
	assert_true(checked > 100);
}

/* A checkpoint's step does at most what it was allowed, and says when it is done. */
static void a_step_encodes_at_most_so_many_chunks(void **state)
{
	struct world *w = world_new(11, 2 << 20);
	uint64_t before = 0;
	unsigned steps = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		leg_add(w, i % QUEUES);
	outbox_checkpoint_cut(&w->outbox, &w->records);
	before = w->records.count;
	assert_int_equal(before, 1); /* META */
	for (bool done = false; !done; steps++) {
		done = outbox_checkpoint_step(&w->outbox, 2);
		assert_true(w->records.count <= before + 2);
		before = w->records.count;
	}
	assert_true(steps > 5);
	assert_true(outbox_checkpoint_step(&w->outbox, 1)); /* nothing is being cut */
	store_apply(w);
	outbox_committed(&w->outbox);
	world_free(w);
}

static void outbox_spills_when_nobody_takes(void **state)
{
	struct world *w = world_new(5, 2 << 20);

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		leg_add(w, 0);
		if (!outbox_has_room(&w->outbox, BATCH_ENTRIES_MAX))
			checkpoint(w);
	}
	checkpoint(w);
	assert_true(w->outbox.spilled_chunks > 50);
	assert_true(outbox_has_room(&w->outbox, BATCH_ENTRIES_MAX));
	outbox_release(&w->outbox, 0, w->queue[0].count);
	w->queue[0].released = w->queue[0].count;
	struct outbox_run run;
	uint64_t next = 1;
	while (outbox_take(&w->outbox, 0, 100, 60000, 1, &run)) {
		assert_int_equal(run.ordinal, next);
		next += run.frames;
		assert_int_equal(outbox_accept(&w->outbox, 0, run.ordinal, run.frames, NULL, NULL),
				 run.frames);
		assert_true(
			outbox_has_room(&w->outbox, BATCH_ENTRIES_MAX)); /* what comes back is bounded too */
	}
	assert_int_equal(next, w->queue[0].count + 1);
	world_free(w);
}

static void outbox_does_not_touch_what_the_kernel_reads(void **state)
{
	struct world *w = world_new(7, 2 << 20);
	struct outbox_run run, again;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		leg_add(w, 0);
	outbox_release(&w->outbox, 0, 10);
	assert_true(outbox_take(&w->outbox, 0, 10, 1 << 20, 1, &run));
	outbox_pin(&w->outbox, run.chunk);
	outbox_return(&w->outbox, 0, run.ordinal, run.frames);
	assert_false(outbox_take(&w->outbox, 0, 10, 1 << 20, 1, &again)); /* its headers would be written */
	outbox_accept(&w->outbox, 0, 1, 10, NULL, NULL);
	assert_int_equal(w->outbox.free_body_count, 0); /* accepted, and still the kernel's */
	outbox_unpin(&w->outbox, run.chunk);
	world_free(w);
}

static void outbox_refuses_records_that_make_no_sense(void **state)
{
	struct world *w = world_new(9, 2 << 20);
	uint8_t key[12] = { 0 }, value[200] = { 0 };

	(void)state;
	assert_false(outbox_load(&w->outbox, RECORD_OUTBOX, key, 11, value, sizeof value));
	assert_false(outbox_load(&w->outbox, RECORD_OUTBOX, key, 12, value, 8));
	key[0] = 1; /* queue 2^24 */
	assert_false(outbox_load(&w->outbox, RECORD_OUTBOX, key, 12, value, sizeof value));
	assert_false(outbox_load(&w->outbox, RECORD_META, "outbox", 6, value, 10));
	key[0] = 0;
	value[4] = 1; /* one frame: its number and bytes are missing, or too many */
	for (uint32_t bytes = 0; bytes < sizeof value; bytes++)
		assert_int_equal(outbox_load(&w->outbox, RECORD_OUTBOX, key, 12, value, bytes), bytes == 80);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outbox_agrees_with_its_twin),
		cmocka_unit_test(a_checkpoint_in_steps_is_that_of_the_cut),
		cmocka_unit_test(a_step_encodes_at_most_so_many_chunks),
		cmocka_unit_test(outbox_spills_when_nobody_takes),
		cmocka_unit_test(outbox_does_not_touch_what_the_kernel_reads),
		cmocka_unit_test(outbox_refuses_records_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
