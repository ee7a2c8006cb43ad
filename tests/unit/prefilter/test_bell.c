// needs: user/prefilter/*.c user/base/log.c tests/unit/prefilter/line.c tests/unit/prefilter/traffic.c
/*
 * test_bell.c: when the program wakes a sleeping engine and when it does not, and what the end of a stream
 * looks like. Needs what test_prefilter needs.
 */
#include "line.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool bell_rang(struct rig *rig)
{
	struct pollfd p = { .fd = prefilter_bell_fd(rig->p), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Asleep from here on, with nothing left to take. */
static void sleep_begin(struct line *l)
{
	line_drain(l);
	prefilter_wake(l->rig->p);
	prefilter_bells_take(l->rig->p);
	assert_false(bell_rang(l->rig));
	prefilter_sleep(l->rig->p);
	line_settle(l);
}

static void a_sleeping_engine_is_woken_once_for_what_is_kept(void **state)
{
	struct rig *rig = rig_needed(state);
	struct line *l;
	uint64_t sequence = 1;

	rig_table_plain(rig);
	l = line_open(rig, 1);
	events_write(l, 0, &sequence, 10, 64); /* awake */
	assert_false(bell_rang(rig));
	for (unsigned sleep = 1; sleep <= 3; sleep++) {
		sleep_begin(l);
		events_write(l, 0, &sequence, 1, 64);
		assert_true(bell_rang(rig));
		assert_int_equal(slot(l)->bells, sleep);
		prefilter_bells_take(rig->p);
		events_write(l, 0, &sequence, 20, 500);
		assert_false(bell_rang(rig)); /* it was told */
	}
	sleep_begin(l);
	frame_write(l, (struct frame_header){ .length = 64, .version = 1, .kind = FRAME_PING });
	line_settle(l);
	assert_true(bell_rang(rig));
	prefilter_wake(rig->p);
	line_drain(l);
	line_close(l);
}

/* Half a frame is nothing to get up for. */
static void half_a_frame_wakes_nobody(void **state)
{
	struct rig *rig = rig_needed(state);
	struct frame_header h = event_of(0, 1, 64);
	struct line *l;

	rig_table_plain(rig);
	l = line_open(rig, 1);
	sleep_begin(l);
	line_write(l, &h, 63);
	line_settle(l);
	assert_false(bell_rang(rig));
	line_write(l, (char *)&h + 63, 1);
	line_settle(l);
	assert_true(bell_rang(rig));
	prefilter_wake(rig->p);
	line_drain(l);
	line_close(l);
}

/* `fits` dropped frames of that length ring nothing, one more does; twice, for the count begins anew. */
static void dropped_until_bell(struct rig *rig, uint32_t fits, uint32_t length, bool duplicates)
{
	struct line *l = line_open(rig, duplicates ? UINT64_MAX / 2 : 1);
	uint64_t sequence = 1;

	for (unsigned round = 0; round < 2; round++) {
		sleep_begin(l);
		events_write(l, 1, &sequence, fits, length);
		assert_false(bell_rang(rig));
		events_write(l, 1, &sequence, 1, length);
		assert_true(bell_rang(rig));
	}
	prefilter_wake(rig->p);
	line_drain(l);
	prefilter_bells_take(rig->p);
	line_close(l);
}

static void dropped_frames_wake_it_at_a_quarter_of_the_window(void **state)
{
	struct rig *rig = rig_needed(state);

	rig_table_plain(rig);
	dropped_until_bell(rig, RING_BELL_EVENTS - 1, 64, false);
	dropped_until_bell(rig, RING_BELL_EVENTS - 1, 64, true);
	dropped_until_bell(rig, RING_BELL_ROUNDED / 4096 - 1, 4096 - 63, false);
	dropped_until_bell(rig, RING_BELL_ROUNDED / 65536 - 1, 65536, false);
}

static void a_break_and_the_end_wake_it(void **state)
{
	struct rig *rig = rig_needed(state);
	struct line *l;

	rig_table_plain(rig);
	for (unsigned how = 0; how < 4; how++) {
		l = line_open(rig, 1);
		sleep_begin(l);
		struct frame_header h = event_of(1, how == 0 ? 2 : 1, 64);
		h.version = how == 1 ? 9 : 1;
		if (how < 2)
			frame_write(l, h);
		else
			line_write(l, &h, how == 2 ? 0 : 30);
		if (how == 3) {
			line_settle(l);
			assert_false(bell_rang(rig));
		}
		if (how >= 2)
			shutdown(l->peer, SHUT_WR);
		WAIT_FOR(bell_rang(rig));
		prefilter_bells_take(rig->p);
		prefilter_wake(rig->p);
		assert_int_equal(slot(l)->broken, how == 0 ? RING_GAP : how == 1 ? RING_HEADER : RING_WHOLE);
		assert_int_equal(reader_ended(&l->reader[0]), how >= 2);
		line_drain(l);
		line_close(l);
	}
}

static void cork(const struct line *l)
{
	int one = 1;

	assert_int_equal(setsockopt(l->peer, IPPROTO_TCP, TCP_CORK, &one, sizeof one), 0);
}

/*
 * Before the end everything is in the ring; a stream that ended in the middle of a frame has that much less.
 * Corked, the last bytes and the FIN come in one segment.
 */
static void the_end_comes_after_everything(void **state)
{
	struct rig *rig = rig_needed(state);
	uint8_t *buf = malloc(STREAM_MAX);

	for (unsigned round = 0; round < 30; round++) {
		uint64_t sequence = 1;
		struct line *l = line_open(rig, 1);
		size_t bytes = stream_make(&rig->random, buf, 300000, &sequence, 60) -
			       below(&rig->random, 64),
		       last = 1 + below(&rig->random, 1000);
		line_run(l, buf, bytes - last, 0);
		if (round & 1)
			cork(l);
		line_write(l, buf + bytes - last, last);
		assert_false(reader_ended(&l->reader[0]));
		shutdown(l->peer, SHUT_WR);
		WAIT_FOR(reader_ended(&l->reader[0]));
		line_drain(l);
		line_close(l);
	}
	free(buf);
}

/* Dropped events and the end in one segment ring too. */
static void an_end_with_bytes_wakes_it(void **state)
{
	struct rig *rig = rig_needed(state);
	struct line *l;

	rig_table_plain(rig);
	l = line_open(rig, 1);
	sleep_begin(l);
	cork(l);
	frame_write(l, event_of(1, 1, 100));
	shutdown(l->peer, SHUT_WR);
	WAIT_FOR(bell_rang(rig));
	prefilter_bells_take(rig->p);
	prefilter_wake(rig->p);
	assert_true(reader_ended(&l->reader[0]));
	assert_int_equal(slot(l)->runs, 1); /* one segment it was */
	line_drain(l);
	line_close(l);
}

int main(int argc, char **argv)
{
	struct rig rig;
	const struct CMUnitTest tests[] = {
#define T(name) { #name, name, NULL, rig_tidy, &rig }
		T(a_sleeping_engine_is_woken_once_for_what_is_kept),
		T(half_a_frame_wakes_nobody),
		T(dropped_frames_wake_it_at_a_quarter_of_the_window),
		T(a_break_and_the_end_wake_it),
		T(the_end_comes_after_everything),
		T(an_end_with_bytes_wakes_it),
#undef T
	};

	if (rig_open(&rig, seed_given(argc, argv)))
		return 1;
	int failed = cmocka_run_group_tests_name("bell", tests, NULL, NULL);
	rig_close(&rig);
	return failed;
}
