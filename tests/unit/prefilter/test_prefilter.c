// needs: user/prefilter/*.c user/base/log.c tests/unit/prefilter/line.c tests/unit/prefilter/traffic.c
/*
 * test_prefilter.c: the program in the kernel against the same decision made natively over the same bytes:
 * what lies in the ring must be that, in that order, and end at the frame that breaks the connection. line.c
 * does the comparing at every take.
 *
 * Needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; skipped without. MOMENT_LARGE=1: longer streams. The seed is
 * the first argument or MOMENT_SEED.
 */
#include "line.h"

#include <errno.h>
#include <moment/counters.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- streams ---- */

static void what_is_in_the_ring_is_what_the_native_decision_says(void **state)
{
	struct rig *rig = rig_needed(state);
	unsigned rounds = rig->large ? 400 : 40;
	uint8_t *buf = malloc(STREAM_MAX);

	for (unsigned round = 0; round < rounds; round++) {
		uint64_t sequence = 1 + (one_in(&rig->random, 3) ? below(&rig->random, UINT32_MAX) : 0);
		struct line *l = line_open(rig, sequence);
		if (one_in(&rig->random, 2)) {
			random_table(&rig->random, rig->table);
			rig_table_set(rig, rig->table);
		}
		size_t bytes =
			stream_make(&rig->random, buf, 200 + below(&rig->random, 200000), &sequence, 60);
		line_run(l, buf, bytes, 0);
		line_drain(l);
		line_close(l);
	}
	free(buf);
}

/* What one byte of a good header must not be. */
static struct frame_header header_break(struct random *r, struct frame_header h)
{
	switch (below(r, 12)) {
	case 0:
		h.length = (uint32_t)below(r, FRAME_HEADER_BYTES);
		break;
	case 1:
		h.length = FRAME_BYTES_MAX + 1 + (uint32_t)below(r, UINT32_MAX - FRAME_BYTES_MAX);
		break;
	case 2:
		h.version = (uint8_t)(one_in(r, 2) ? 0 : 2 + below(r, 254));
		break;
	case 3:
		h.kind = (uint8_t)(one_in(r, 2) ? 0 : FRAME_CHALLENGE + below(r, 256 - FRAME_CHALLENGE));
		break;
	case 4:
		h.kind = one_in(r, 2) ? FRAME_MESSAGE : FRAME_RECEIPT;
		break;
	case 5:
		h.flags = (uint8_t)(8u << below(r, 5));
		break;
	case 6:
		h.kind = FRAME_EVENT;
		h.sequence = 0;
		break;
	case 7:
		h.kind = FRAME_EVENT;
		h.amount = one_in(r, 2) ? -1 : INT64_MIN;
		break;
	case 8:
		h.kind = FRAME_EVENT;
		h.touchpoint = (uint8_t)(TOUCHPOINT_COUNT + below(r, 256 - TOUCHPOINT_COUNT));
		break;
	case 9:
		h.time = one_in(r, 2) ? -1 : INT64_MIN;
		break;
	case 10:
		h = random_change(r);
		h.sequence = 1;
		h.length = 64;
		h.mcc = 1;
		break;
	default:
		h = (struct frame_header){
			.length = 64, .version = 1, .kind = FRAME_SUBSCRIBE, .sequence = 1
		};
	}
	return h;
}

static struct frame_header header_gap(struct random *r, uint64_t sequence)
{
	struct frame_header h = one_in(r, 2) ? random_change(r) : random_event(r);

	h.length = random_length(r, 10);
	h.sequence = sequence + (one_in(r, 2) ? 1 : 1 + below(r, UINT32_MAX));
	return h;
}

static void a_connection_stops_at_exactly_the_frame_that_breaks_it(void **state)
{
	struct rig *rig = rig_needed(state);
	struct random *r = &rig->random;
	unsigned rounds = rig->large ? 1000 : 100, seen[RING_BREAK_COUNT] = { 0 };
	uint8_t *buf = malloc(STREAM_MAX);

	for (unsigned round = 0; round < rounds; round++) {
		uint64_t sequence = 1;
		struct line *l = line_open(rig, 1);
		size_t bytes =
			stream_make(&rig->random, buf, below(r, one_in(r, 3) ? 80000 : 2000), &sequence, 60);
		struct frame_header h = one_in(r, 3) ? header_gap(r, sequence)
						     : header_break(r, random_frame(r, &sequence, 60));
		memcpy(buf + bytes, &h, sizeof h);
		bytes += sizeof h;
		bytes += stream_make(&rig->random, buf + bytes, below(r, 3000), &sequence, 60);
		line_run(l, buf, bytes, 0);
		assert_int_not_equal(l->broken, RING_WHOLE);
		seen[l->broken]++;
		line_drain(l);
		uint64_t head = l->reader[0].ends->head;
		line_write(l, buf, 500); /* and nothing after it */
		assert_int_equal(l->reader[0].ends->head, head);
		line_close(l);
	}
	assert_true(seen[RING_HEADER] > rounds / 4 && seen[RING_GAP] > rounds / 8);
	free(buf);
}

/* One long connection: the ring goes round, tables change under way. */
static void a_ring_goes_round_while_tables_change(void **state)
{
	struct rig *rig = rig_needed(state);
	uint64_t sequence = 1, head = 0, rounds = rig->large ? 12 : 2;
	struct line *l = line_open(rig, 1);
	uint8_t *buf = malloc(STREAM_MAX);
	uint32_t generation = rig->generation;

	while (head < rounds * RING_BYTES) {
		size_t bytes = stream_make(&rig->random, buf, STREAM_MAX / 4, &sequence, 60);
		line_run(l, buf, bytes, 60);
		assert_int_equal(slot(l)->broken, RING_WHOLE);
		head = l->reader[0].ends->head;
	}
	line_drain(l);
	assert_true(rig->generation - generation >= 5);
	line_close(l);
	free(buf);
}

/* ---- single frames ---- */

/* Nothing of a frame is there before all of it is. */
static void a_frame_is_not_seen_before_its_last_byte(void **state)
{
	struct rig *rig = rig_needed(state);
	struct line *l;
	uint8_t bytes[1000];
	const char *item;
	uint32_t n;

	rig_table_plain(rig);
	l = line_open(rig, 1);
	for (uint64_t sequence = 1; sequence <= 40; sequence++) {
		struct frame_header h = event_of(0, sequence, sizeof bytes);
		size_t cut = 1 + below(&rig->random, sizeof bytes - 1);
		memset(bytes, (int)sequence, sizeof bytes);
		memcpy(bytes, &h, sizeof h);
		line_write(l, bytes, cut);
		line_settle(l);
		assert_int_equal(reader_next(&l->reader[0], &item, &n), RING_NOTHING);
		assert_false(reader_waits(&l->reader[0]));
		line_write(l, bytes + cut, sizeof bytes - cut);
		line_drain(l);
	}
	line_close(l);
}

/* In one segment: an event of a stranger, their SUBSCRIBE, the same event. */
static void enrolment_is_in_force_for_the_next_frame_of_the_segment(void **state)
{
	struct rig *rig = rig_needed(state);
	const uint64_t stranger = 0xfeed000000000001, account = 0xfeed000000000002;
	struct frame_header h[7] = { event_of(2, 1, 64),
				     { .length = 64, .version = 1, .kind = FRAME_SUBSCRIBE, .sequence = 2 },
				     event_of(2, 3, 64),
				     event_of(2, 4, 64),
				     { .length = 64, .version = 1, .kind = FRAME_PROFILE, .sequence = 5 },
				     event_of(2, 6, 64),
				     event_of(2, 7, 64) };
	static const enum filter_verdict want[] = { FILTER_DROP, FILTER_KEEP, FILTER_KEEP, FILTER_DROP,
						    FILTER_KEEP, FILTER_KEEP, FILTER_DROP };
	struct line *l;

	rig_table_plain(rig);
	l = line_open(rig, 1);
	h[0].customer = h[1].customer = h[2].customer = stranger;
	h[3].account = h[4].account = h[5].account = account;
	h[6].customer = stranger + 1000;
	line_write(l, h, sizeof h);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(l->items[i].verdict, want[i]);
	line_drain(l);
	line_close(l);
}

/* Every {type, reason} has its line; a record has room for 12, a thirteenth opens the next. */
static void a_record_counts_by_type_and_reason(void **state)
{
	struct rig *rig = rig_needed(state);
	struct frame_header h[60];
	struct line *l;

	memset(rig->table, 0, sizeof *rig->table);
	for (unsigned type = 0; type < 20; type++)
		rig->table->type[type].action = INTEREST_DROP;
	rig_table_set(rig, rig->table);
	for (unsigned types = 1; types <= 20; types++) {
		l = line_open(rig, 100);
		for (unsigned i = 0; i < 60; i++)
			h[i] = event_of((uint16_t)(i % types), i < 40 ? 100 + i : 1 + i, 64);
		line_write(l, h, sizeof h);
		line_drain(l);
		line_close(l);
	}
}

/* ---- a full ring ---- */

static uint64_t ring_free(const struct line *l)
{
	return RING_BYTES - line_used(l);
}

/* Kept frames until `left` bytes of the ring are free; nothing is taken. */
static void ring_fill(struct line *l, uint64_t *sequence, uint64_t left)
{
	while (ring_free(l) > left) {
		uint64_t n = ring_free(l) - left;
		frame_write(l,
			    event_of(0, (*sequence)++, n > FRAME_BYTES_MAX ? FRAME_BYTES_MAX : (uint32_t)n));
		line_settle(l);
		assert_int_equal(slot(l)->broken, RING_WHOLE);
	}
	assert_int_equal(ring_free(l), left);
}

/* The frame that does not fit is where it ends; one that fits to the byte is taken. */
static void overrun(struct rig *rig, uint64_t free_before, struct frame_header h, bool fits)
{
	uint64_t sequence = 1;
	struct line *l = line_open(rig, 1);
	struct frame_header other;
	uint64_t offset;

	frame_write(l, event_of(0, sequence++, 6400)); /* so that head is not where the ring begins */
	line_settle(l);
	assert_true(line_take(l));
	ring_fill(l, &sequence, free_before);
	offset = l->offset;
	h.sequence = sequence++;
	frame_write(l, h);
	if (fits) {
		line_settle(l);
		assert_int_equal(slot(l)->broken, RING_WHOLE);
		assert_int_equal(slot(l)->offset, offset + h.length);
	} else {
		WAIT_FOR(slot(l)->broken);
		free(l->items[(l->first + --l->count) % ITEMS_MAX].bytes);
		assert_int_equal(slot(l)->broken, RING_OVERRUN);
		assert_int_equal(slot(l)->offset, offset);
		other = slot(l)->header;
		assert_memory_equal(&other, &h, sizeof h);
	}
	while (line_take(l))
		;
	assert_int_equal(l->count, 0);
	line_close(l);
}

static void a_full_ring_ends_at_the_frame_that_does_not_fit(void **state)
{
	struct rig *rig = rig_needed(state);

	rig_table_plain(rig);
	overrun(rig, 0, event_of(0, 0, 64), false);
	overrun(rig, 64, event_of(0, 0, 64), true);
	overrun(rig, 64, event_of(0, 0, 65), false);
	overrun(rig, 65536, event_of(0, 0, 65536), true);
	overrun(rig, 65536 - 64, event_of(0, 0, 65536), false);
	overrun(rig, 128, event_of(1, 0, 64), true); /* a record's room is 128 while it is open */
	overrun(rig, 0, event_of(1, 0, 64), false);
}

/* What an honest source may have in flight always fits: the smallest frames, kept and dropped in turn. */
static void a_window_of_the_dearest_frames_fits(void **state)
{
	struct rig *rig = rig_needed(state);
	struct line *l;
	uint8_t frame[128] = { 0 };

	rig_table_plain(rig);
	l = line_open(rig, 1);
	for (uint64_t sequence = 1; l->rounded + 128 <= WINDOW_BYTES && l->events < WINDOW_EVENTS;
	     sequence++) {
		struct frame_header h = event_of(sequence & 1, sequence, sequence & 2 ? 65 : 64);
		memcpy(frame, &h, sizeof h);
		line_write(l, frame, h.length);
		if (sequence % 200 == 0)
			line_settle(l);
	}
	line_drain(l);
	assert_int_equal(l->broken, RING_WHOLE);
	line_close(l);
}

/* ---- two threads: the source writes while the engine takes and changes tables ---- */

enum { CROWD_TYPES = 8 };

struct crowd {
	struct line *line;
	uint64_t written; /* of the writer alone, until it has ended */
	int enough;	  /* atomic */
	struct random random;
};

static size_t crowd_piece(struct crowd *c, uint8_t *buf)
{
	size_t bytes = 0;

	for (uint64_t n = 1 + below(&c->random, 200); n; n--) {
		uint64_t sequence = ++c->written;
		struct frame_header h = event_of((uint16_t)(sequence % CROWD_TYPES), sequence,
						 64 + (uint32_t)below(&c->random, 200));
		h.amount = (int64_t)(sequence * 3);
		memcpy(buf + bytes, &h, sizeof h);
		memset(buf + bytes + sizeof h, (int)sequence, h.length - sizeof h);
		bytes += h.length;
	}
	return bytes;
}

/* Keeps to the window. NULL: all was written. */
static void *crowd_write(void *arg)
{
	struct crowd *c = arg;
	uint8_t buf[PIECE_MAX];
	const volatile struct ring_slot *s = slot(c->line);

	while (!__atomic_load_n(&c->enough, __ATOMIC_RELAXED)) {
		size_t bytes = crowd_piece(c, buf);
		while (s->rounded - s->rounded_taken > WINDOW_BYTES - 4 * PIECE_MAX)
			sched_yield();
		if (send(c->line->peer, buf, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
			return c;
	}
	return NULL;
}

enum { BIG = 60000 };

/* Long frames, the next one when the one before was taken. NULL: all were written. */
static void *big_write(void *arg)
{
	struct crowd *c = arg;
	uint8_t buf[BIG];
	const volatile struct ring_slot *s = slot(c->line);

	for (uint64_t sequence = 1; sequence <= c->written; sequence++) {
		struct frame_header h = event_of(0, sequence, BIG);
		memset(buf, (int)sequence, sizeof buf);
		memcpy(buf, &h, sizeof h);
		while (s->events_taken != sequence - 1)
			sched_yield();
		if (send(c->line->peer, buf, sizeof buf, MSG_NOSIGNAL) != BIG)
			return c;
	}
	return NULL;
}

/* A reader that is there at once finds the last byte of a long frame first. */
static void a_frame_that_is_seen_is_whole(void **state)
{
	struct rig *rig = rig_needed(state);
	struct crowd crowd = { .line = line_open(rig, 1), .written = rig->large ? 5000 : 500 };
	struct ring_reader *r = &crowd.line->reader[0];
	pthread_t thread;
	void *failed;

	assert_int_equal(pthread_create(&thread, NULL, big_write, &crowd), 0);
	for (uint64_t sequence = 1; sequence <= crowd.written; sequence++) {
		const char *item;
		uint32_t bytes;
		double until = seconds_now() + WAIT_SECONDS;
		for (uint64_t n = 1; reader_next(r, &item, &bytes) == RING_NOTHING; n++)
			assert_true(n % 4096 || seconds_now() < until);
		for (uint32_t i = BIG - 1; i >= FRAME_HEADER_BYTES; i--)
			if ((uint8_t)item[i] != (uint8_t)sequence)
				fail_msg("byte %u of frame %llu", i, (unsigned long long)sequence);
		reader_done(r);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
}

/* An odd table drops odd types, an even one even types: so a kept frame tells the table's parity. */
static void crowd_tables(struct interest_table *of)
{
	for (unsigned odd = 0; odd < 2; odd++) {
		memset(&of[odd], 0, sizeof of[odd]);
		for (unsigned type = 0; type < CROWD_TYPES; type++)
			of[odd].type[type].action = (type & 1) == odd ? INTEREST_DROP : INTEREST_KEEP;
	}
}

struct crowd_seen {
	uint64_t last;
	uint32_t generation; /* at least */
	uint32_t records, frames;
};

static void crowd_frame(struct crowd_seen *seen, const char *item, uint32_t bytes)
{
	struct frame_header h;

	memcpy(&h, item, sizeof h);
	assert_int_equal(h.sequence, seen->last + 1);
	assert_int_equal(h.length, bytes);
	assert_int_equal(h.amount, h.sequence * 3);
	for (uint32_t i = sizeof h; i < bytes; i++)
		assert_int_equal((uint8_t)item[i], (uint8_t)h.sequence);
	if (seen->generation & 1 ? h.type & 1 : !(h.type & 1))
		seen->generation++; /* kept, so the next table was in force */
	seen->last++;
	seen->frames++;
}

static void crowd_record(struct crowd_seen *seen, const char *item)
{
	struct ring_dropped r;
	uint32_t count = 0;

	memcpy(&r, item, sizeof r);
	assert_true(r.generation >= seen->generation);
	seen->generation = r.generation;
	for (unsigned i = 0; i < r.lines; i++) {
		assert_int_equal(r.line[i].type & 1, r.generation & 1);
		assert_int_equal(r.line[i].reason, EVENT_FILTERED);
		count += r.line[i].count;
	}
	assert_int_equal(count, r.count);
	assert_int_equal(r.last, seen->last + r.count);
	seen->last = r.last;
	seen->records++;
}

/* Takes one item, if there is one. */
static bool crowd_take(struct ring_reader *r, struct crowd_seen *seen)
{
	const char *item;
	uint32_t bytes;
	enum ring_item what = reader_next(r, &item, &bytes);

	assert_int_not_equal(what, RING_BROKEN);
	if (what == RING_NOTHING)
		return false;
	if (what == RING_FRAME)
		crowd_frame(seen, item, bytes);
	else
		crowd_record(seen, item);
	reader_done(r);
	return true;
}

static void a_source_at_full_speed_meets_tables_that_change(void **state)
{
	struct rig *rig = rig_needed(state);
	struct interest_table *tables = calloc(2, sizeof *tables);
	uint32_t changes = rig->large ? 400 : 30;
	pthread_t thread;
	void *failed;

	assert_non_null(tables);
	crowd_tables(tables);
	rig_table_set(rig, &tables[(rig->generation + 1) & 1]);
	struct crowd_seen seen = { .generation = rig->generation };
	struct crowd crowd = { .line = line_open(rig, 1), .random = rig->random };
	struct ring_reader *r = &crowd.line->reader[0];
	changes += rig->generation;
	assert_int_equal(pthread_create(&thread, NULL, crowd_write, &crowd), 0);
	double late = seconds_now() + 60;
	while (seen.generation < changes) {
		assert_true(seconds_now() < late);
		if (crowd_take(r, &seen))
			assert_true(seen.generation <= rig->generation);
		else if (prefilter_table_free(rig->p))
			rig_table_set(rig, &tables[(rig->generation + 1) & 1]);
		else
			sched_yield();
	}
	__atomic_store_n(&crowd.enough, 1, __ATOMIC_RELAXED);
	while (pthread_tryjoin_np(thread, &failed))
		crowd_take(r, &seen);
	WAIT_FOR((crowd_take(r, &seen), seen.last == crowd.written));
	assert_int_equal(r->slot->events, crowd.written);
	assert_null(failed);
	assert_true(seen.records > 0 && seen.frames > 0);
	free(tables);
}

int main(int argc, char **argv)
{
	struct rig rig;
	const struct CMUnitTest tests[] = {
#define T(name) { #name, name, NULL, rig_tidy, &rig }
		T(what_is_in_the_ring_is_what_the_native_decision_says),
		T(a_connection_stops_at_exactly_the_frame_that_breaks_it),
		T(a_ring_goes_round_while_tables_change),
		T(a_frame_is_not_seen_before_its_last_byte),
		T(enrolment_is_in_force_for_the_next_frame_of_the_segment),
		T(a_record_counts_by_type_and_reason),
		T(a_full_ring_ends_at_the_frame_that_does_not_fit),
		T(a_window_of_the_dearest_frames_fits),
		T(a_frame_that_is_seen_is_whole),
		T(a_source_at_full_speed_meets_tables_that_change),
#undef T
	};

	if (rig_open(&rig, seed_given(argc, argv)))
		return 1;
	int failed = cmocka_run_group_tests_name("prefilter", tests, NULL, NULL);
	rig_close(&rig);
	return failed;
}
