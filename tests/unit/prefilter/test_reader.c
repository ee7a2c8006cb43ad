// needs: user/prefilter/reader.c tests/unit/prefilter/traffic.c
/*
 * test_reader.c: the engine's end of a ring, with the test as the program: it writes frames and records into
 * plain memory as ring.h says, and a queue says what must come out. Then both at once in two threads.
 *
 * The seed is the first argument or MOMENT_SEED; MOMENT_LARGE=1: more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <moment/counters.h>
#include <prefilter/reader.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

/* The program's side, and the reader. */
struct ring {
	struct ring_slot slot;
	struct ring_ends ends;
	char *data;
	uint64_t head;		  /* not published beyond ends.head */
	uint64_t events, rounded; /* written */
	struct ring_reader reader;
	struct random random;
};

static struct ring *ring_new(uint64_t seed, uint64_t start)
{
	struct ring *r = aligned_alloc(64, (sizeof *r + 63) & ~63ul);

	assert_non_null(r);
	memset(r, 0, sizeof *r);
	r->data = aligned_alloc(4096, RING_BYTES + RING_SLACK_BYTES);
	assert_non_null(r->data);
	memset(r->data, 0xee, RING_BYTES + RING_SLACK_BYTES);
	r->random.state = seed;
	r->head = r->ends.head = r->ends.tail = start;
	r->reader =
		(struct ring_reader){ .slot = &r->slot, .ends = &r->ends, .data = r->data, .tail = start };
	return r;
}

static void ring_delete(struct ring *r)
{
	free(r->data);
	free(r);
}

static void publish(struct ring *r)
{
	__atomic_fetch_add(&r->ends.head, r->head - r->ends.head, __ATOMIC_SEQ_CST);
}

static void break_with(struct ring *r, enum ring_break why)
{
	__atomic_store_n(&r->slot.broken, why, __ATOMIC_RELEASE);
}

static bool room(const struct ring *r, uint32_t bytes)
{
	return r->head + bytes - __atomic_load_n(&r->ends.tail, __ATOMIC_ACQUIRE) <= RING_BYTES;
}

/* What the bytes of item `number` behind its header are. */
static char fill(uint64_t number, uint32_t at)
{
	return (char)(number * 31 + at);
}

static void frame_put(struct ring *r, uint64_t number, uint8_t kind, uint32_t length)
{
	struct frame_header h = {
		.length = length, .version = FRAME_VERSION, .kind = kind, .sequence = number
	};
	char *at = r->data + r->head % RING_BYTES;

	memcpy(at, &h, sizeof h);
	for (uint32_t i = sizeof h; i < length; i++)
		at[i] = fill(number, i);
	r->head += ring_rounded(length);
	if (kind == FRAME_EVENT || kind == FRAME_PROFILE || kind == FRAME_SUBSCRIBE || kind == FRAME_MANAGE) {
		r->events++;
		r->rounded += ring_rounded(length);
	}
}

static void record_put(struct ring *r, uint64_t number, uint8_t lines, uint32_t count, uint32_t rounded)
{
	struct ring_dropped d = { .length = lines > RING_DROPPED_LINES_SHORT ? 128 : 64,
				  .version = RING_DROPPED,
				  .lines = lines,
				  .last = number,
				  .count = count,
				  .bytes = rounded,
				  .rounded = rounded };

	for (uint8_t i = 0; i < lines; i++)
		d.line[i] = (struct ring_dropped_line){ .type = i,
							.reason = EVENT_FILTERED,
							.count = number & 0xff };
	memcpy(r->data + r->head % RING_BYTES, &d, d.length);
	r->head += d.length;
	r->events += count;
	r->rounded += rounded;
}

static void expect_nothing(struct ring *r, enum ring_item what)
{
	const char *item;
	uint32_t bytes;

	assert_int_equal(reader_next(&r->reader, &item, &bytes), what);
	assert_int_equal(reader_waits(&r->reader), what == RING_BROKEN);
}

static void expect_frame(struct ring *r, uint64_t number, uint8_t kind, uint32_t length)
{
	const char *item, *again;
	struct frame_header h;
	uint32_t bytes;

	assert_true(reader_waits(&r->reader));
	assert_int_equal(reader_next(&r->reader, &item, &bytes), RING_FRAME);
	assert_int_equal(bytes, length);
	assert_int_equal((uintptr_t)item % RING_ALIGN, 0);
	memcpy(&h, item, sizeof h);
	assert_int_equal(h.sequence, number);
	assert_int_equal(h.kind, kind);
	for (uint32_t i = sizeof h; i < length; i++)
		if (item[i] != fill(number, i))
			fail_msg("byte %u of frame %llu", i, (unsigned long long)number);
	assert_int_equal(reader_next(&r->reader, &again, &bytes), RING_FRAME); /* lent until it is done */
	assert_ptr_equal(again, item);
	reader_done(&r->reader);
}

static void expect_record(struct ring *r, uint64_t number, uint8_t lines)
{
	struct ring_dropped d;
	const char *item;
	uint32_t bytes;

	assert_true(reader_waits(&r->reader));
	assert_int_equal(reader_next(&r->reader, &item, &bytes), RING_RECORD);
	assert_int_equal(bytes, lines > RING_DROPPED_LINES_SHORT ? 128 : 64);
	memcpy(&d, item, bytes);
	assert_int_equal(d.last, number);
	assert_int_equal(d.lines, lines);
	for (uint8_t i = 0; i < lines; i++)
		assert_int_equal(d.line[i].count, number & 0xff);
	reader_done(&r->reader);
}

/* ---- one thread ---- */

static void an_empty_ring_has_nothing(void **state)
{
	struct ring *r = ring_new(1, 0);

	(void)state;
	expect_nothing(r, RING_NOTHING);
	assert_false(reader_ended(&r->reader));
	frame_put(r, 1, FRAME_EVENT, 64); /* written, not published */
	expect_nothing(r, RING_NOTHING);
	publish(r);
	expect_frame(r, 1, FRAME_EVENT, 64);
	expect_nothing(r, RING_NOTHING);
	ring_delete(r);
}

static const uint32_t lengths[] = { 64, 65, 127, 128, 129, 4096, 65535, 65536 };
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* An item begins at each multiple of 64 near the ring's end: it lies there and in the slack, in one piece. */
static void an_item_at_the_rings_end_lies_in_the_slack(void **state)
{
	(void)state;
	for (uint32_t k = 0; k < LENGTHS; k++)
		for (uint64_t before = 64; before <= 2 * 64 + ring_rounded(lengths[k]); before += 64) {
			if (before > 512 && before + 512 < lengths[k])
				continue;
			struct ring *r = ring_new(before, 3 * (uint64_t)RING_BYTES - before);
			frame_put(r, 1, FRAME_EVENT, lengths[k]);
			record_put(r, 2, 12, 5, 320);
			frame_put(r, 3, FRAME_EVENT, 64);
			record_put(r, 4, 1, 1, 64);
			publish(r);
			expect_frame(r, 1, FRAME_EVENT, lengths[k]);
			expect_record(r, 2, 12);
			expect_frame(r, 3, FRAME_EVENT, 64);
			expect_record(r, 4, 1);
			expect_nothing(r, RING_NOTHING);
			assert_int_equal(r->ends.tail, r->head);
			ring_delete(r);
		}
}

static void a_break_comes_after_everything_before_it(void **state)
{
	(void)state;
	for (unsigned why = 1; why < RING_BREAK_COUNT; why++) {
		struct ring *r = ring_new(why, why * 64);
		frame_put(r, 1, FRAME_EVENT, 100);
		record_put(r, 2, 3, 9, 576);
		frame_put(r, 3, FRAME_PING, 64);
		publish(r);
		break_with(r, (enum ring_break)why);
		expect_frame(r, 1, FRAME_EVENT, 100);
		expect_record(r, 2, 3);
		expect_frame(r, 3, FRAME_PING, 64);
		expect_nothing(r, RING_BROKEN);
		expect_nothing(r, RING_BROKEN); /* and stays */
		ring_delete(r);
	}
}

static void an_end_is_told_apart_from_a_break(void **state)
{
	struct ring *r = ring_new(1, 0);

	(void)state;
	frame_put(r, 1, FRAME_EVENT, 64);
	publish(r);
	__atomic_store_n(&r->slot.ended, 1, __ATOMIC_RELEASE);
	assert_true(reader_ended(&r->reader));
	expect_frame(r, 1, FRAME_EVENT, 64);
	expect_nothing(r, RING_NOTHING);
	ring_delete(r);
}

/* What a source's window counts: frames of its stream and what was dropped, not PING and its like. */
static void what_is_taken_counts_as_the_window_does(void **state)
{
	static const struct {
		uint8_t kind, events;
	} rows[] = { { FRAME_EVENT, 1 }, { FRAME_PROFILE, 1 }, { FRAME_SUBSCRIBE, 1 }, { FRAME_MANAGE, 1 },
		     { FRAME_PING, 0 },	 { FRAME_PONG, 0 },    { FRAME_ACK, 0 },       { FRAME_HELLO, 0 } };
	struct ring *r = ring_new(1, 128);
	uint64_t events = 0, rounded = 0, tail = 128;

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		frame_put(r, i, rows[i].kind, 65 + 64 * i);
		publish(r);
		assert_int_equal(r->slot.events_taken, events); /* not before it is done */
		assert_int_equal(r->ends.tail, tail);
		expect_frame(r, i, rows[i].kind, 65 + 64 * i);
		tail += 128 + 64 * i;
		events += rows[i].events;
		rounded += rows[i].events ? 128 + 64 * i : 0;
		assert_int_equal(r->slot.events_taken, events);
		assert_int_equal(r->slot.rounded_taken, rounded);
		assert_int_equal(r->ends.tail, tail);
	}
	record_put(r, 9, 12, 1000, 70000);
	publish(r);
	expect_record(r, 9, 12);
	assert_int_equal(r->slot.events_taken, events + 1000);
	assert_int_equal(r->slot.rounded_taken, rounded + 70000);
	assert_int_equal(r->ends.tail, tail + 128);
	ring_delete(r);
}

/* ---- random, one thread and two ---- */

struct written {
	uint8_t record, kind, lines;
	uint32_t length;
};

/* Item `number` of a seed: both sides make it by themselves. */
static struct written item_of(uint64_t seed, uint64_t number)
{
	struct random r = { seed * 1000003 + number };
	static const uint8_t kinds[] = { FRAME_EVENT, FRAME_EVENT, FRAME_PROFILE, FRAME_PING };
	struct written w = { .record = one_in(&r, 4), .kind = PICK(&r, kinds) };

	w.lines = (uint8_t)(1 + below(&r, RING_DROPPED_LINES_MAX));
	w.length = w.record ? (w.lines > 4 ? 128 : 64) : random_length(&r, 40);
	return w;
}

static void item_put(struct ring *r, uint64_t seed, uint64_t number)
{
	struct written w = item_of(seed, number);

	if (w.record)
		record_put(r, number, w.lines, w.lines * 3u, w.lines * 192u);
	else
		frame_put(r, number, w.kind, w.length);
}

static void item_expect(struct ring *r, uint64_t seed, uint64_t number)
{
	struct written w = item_of(seed, number);

	if (w.record)
		expect_record(r, number, w.lines);
	else
		expect_frame(r, number, w.kind, w.length);
}

static bool item_fits(const struct ring *r, uint64_t seed, uint64_t number)
{
	return room(r, ring_rounded(item_of(seed, number).length));
}

/* Puts, publishes and takes in random order; the queue is just the two numbers. */
static void random_items_come_out_in_order(void **state)
{
	uint64_t seed = *(const uint64_t *)*state, rounds = getenv("MOMENT_LARGE") ? 20 : 4;
	struct ring *r = ring_new(seed, below(&(struct random){ seed }, RING_BYTES / 64) * 64);
	uint64_t put = 0, published = 0, taken = 0, start = r->head;

	while (r->head - start < rounds * RING_BYTES) {
		for (uint64_t n = below(&r->random, 60); n && item_fits(r, seed, put); n--)
			item_put(r, seed, put++);
		if (one_in(&r->random, 2)) {
			publish(r);
			published = put;
		}
		for (uint64_t n = below(&r->random, 60); n && taken < published; n--)
			item_expect(r, seed, taken++);
		if (taken == published)
			expect_nothing(r, RING_NOTHING);
	}
	publish(r);
	break_with(r, RING_GAP);
	while (taken < put)
		item_expect(r, seed, taken++);
	expect_nothing(r, RING_BROKEN);
	assert_int_equal(r->slot.events_taken, r->events);
	assert_int_equal(r->slot.rounded_taken, r->rounded);
	assert_int_equal(r->ends.tail, r->head);
	ring_delete(r);
}

struct producer {
	struct ring *ring;
	uint64_t seed, items;
};

/* As the program: items, then head, at times in the middle of what is there; at the end a break. */
static void *produce(void *arg)
{
	struct producer *p = arg;
	struct random random = { p->seed + 1 };

	for (uint64_t i = 0; i < p->items; i++) {
		while (!item_fits(p->ring, p->seed, i)) {
			publish(p->ring);
			sched_yield();
		}
		item_put(p->ring, p->seed, i);
		if (one_in(&random, 5))
			publish(p->ring);
	}
	publish(p->ring);
	break_with(p->ring, RING_HEADER);
	return NULL;
}

static void two_threads_share_a_ring(void **state)
{
	uint64_t seed = *(const uint64_t *)*state, taken = 0;
	struct ring *r = ring_new(seed, RING_BYTES - 64);
	struct producer p = { .ring = r, .seed = seed, .items = getenv("MOMENT_LARGE") ? 400000 : 20000 };
	pthread_t thread;
	const char *item;
	uint32_t bytes;
	enum ring_item what;

	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	while ((what = reader_next(&r->reader, &item, &bytes)) != RING_BROKEN) {
		if (what == RING_NOTHING)
			sched_yield();
		else
			item_expect(r, seed, taken++);
	}
	pthread_join(thread, NULL);
	assert_int_equal(taken, p.items); /* the break came after all of it */
	assert_int_equal(r->slot.events_taken, r->events);
	assert_true(r->head > 3 * (uint64_t)RING_BYTES);
	ring_delete(r);
}

struct breaker {
	struct ring *ring;
	unsigned rounds, now; /* atomic */
};

/* One frame and at once the break behind it, as often as it is told. */
static void *break_often(void *arg)
{
	struct breaker *b = arg;

	for (unsigned round = 1; round <= b->rounds; round++) {
		while (__atomic_load_n(&b->now, __ATOMIC_ACQUIRE) != round)
			sched_yield();
		for (volatile unsigned wait = 0; wait < round % 300; wait++)
			;
		publish(b->ring);
		break_with(b->ring, RING_GAP);
	}
	return NULL;
}

/* However close: who sees the break sees what came before it. */
static void a_break_at_the_heels_of_a_frame_does_not_hide_it(void **state)
{
	struct ring *r = ring_new(1, 0);
	struct breaker b = { .ring = r, .rounds = 20000 };
	pthread_t thread;
	const char *item;
	uint32_t bytes;
	enum ring_item what;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, break_often, &b), 0);
	for (unsigned round = 1; round <= b.rounds; round++) {
		unsigned frames = 0;
		frame_put(r, round, FRAME_EVENT, 64);
		__atomic_store_n(&b.now, round, __ATOMIC_RELEASE);
		while ((what = reader_next(&r->reader, &item, &bytes)) != RING_BROKEN) {
			if (what != RING_FRAME)
				continue;
			frames++;
			reader_done(&r->reader);
		}
		assert_int_equal(frames, 1);
		__atomic_store_n(&r->slot.broken, RING_WHOLE, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	ring_delete(r);
}

int main(int argc, char **argv)
{
	uint64_t seed = seed_given(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_ring_has_nothing),
		cmocka_unit_test(an_item_at_the_rings_end_lies_in_the_slack),
		cmocka_unit_test(a_break_comes_after_everything_before_it),
		cmocka_unit_test(an_end_is_told_apart_from_a_break),
		cmocka_unit_test(what_is_taken_counts_as_the_window_does),
		cmocka_unit_test_prestate(random_items_come_out_in_order, &seed),
		cmocka_unit_test_prestate(two_threads_share_a_ring, &seed),
		cmocka_unit_test(a_break_at_the_heels_of_a_frame_does_not_hide_it),
	};

	print_message("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
