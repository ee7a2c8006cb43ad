/*
 * line.h: a loopback connection whose receiving end was handed to the program in the kernel, and beside it
 * the same decision made natively over the bytes that the test writes. For the tests of
 * user/prefilter/prefilter.c.
 *
 * One thread writes and takes; the reader belongs to whoever takes.
 */
#ifndef LINE_TEST_H
#define LINE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <prefilter/prefilter.h>
#include <sched.h>

#include "traffic.h"

enum { ITEMS_MAX = 1 << 18, STREAM_MAX = 4 << 20, WAIT_SECONDS = 10 };

/* Of all cases: the program, and what its enrolment must be by now. */
struct rig {
	struct prefilter *p;
	struct enrolment enrolment;
	struct interest_table *table; /* in use */
	uint32_t generation;
	struct random random;
	bool large;
	struct line *lines; /* open; those that a failed case left are closed behind it */
	char why[300];
};

/* A whole frame, as the test decided it. */
struct decided {
	uint8_t verdict; /* FILTER_KEEP, FILTER_DROP or FILTER_DUPLICATE */
	uint16_t type;
	uint32_t generation, length;
	uint64_t last;	/* of a dropped one */
	uint8_t *bytes; /* of a kept one */
};

/* One connection, both ends of it, and the native run over its bytes. */
struct line {
	struct rig *rig;
	struct line *next;
	int peer, fd, slot;
	struct ring_reader reader[RING_SHARDS_MAX];
	uint64_t written;
	/* native: */
	uint64_t expected, offset, events, rounded;
	uint32_t have, broken;
	uint8_t frame[FRAME_BYTES_MAX];
	struct decided at_hand;
	struct decided *items; /* [ITEMS_MAX], a queue */
	uint32_t first, count;
};

#define WAIT_FOR(condition)                                                                                  \
	do {                                                                                                 \
		double until = seconds_now() + WAIT_SECONDS;                                                 \
		while (!(condition)) {                                                                       \
			if (seconds_now() > until)                                                           \
				fail_msg("line %d: waited %d s for " #condition, __LINE__, WAIT_SECONDS);    \
			sched_yield();                                                                       \
		}                                                                                            \
	} while (0)

/* `skipped: why` is printed when the program cannot be loaded; 0 then too. */
int rig_open(struct rig *rig, uint64_t seed);
void rig_close(struct rig *rig);
struct rig *rig_needed(void **state); /* or the case is skipped */
int rig_tidy(void **state);	      /* behind each case: no line stays open */
double seconds_now(void);

struct line *line_new(struct rig *rig, uint64_t expected);  /* connected, and no more */
void hello_pass(struct line *l, size_t bytes);		    /* read as the engine reads it */
struct line *line_open(struct rig *rig, uint64_t expected); /* the program's */
void line_close(struct line *l);
const struct ring_slot *slot(const struct line *l);

void line_write(struct line *l, const void *bytes, size_t count);
/* The program has seen every byte that was written, and its last run is over. */
void line_settle(const struct line *l);
/* Takes one item, which must be what the native run says. False: there is none. */
bool line_take(struct line *l);
uint64_t line_used(const struct line *l); /* bytes of the ring */
/* Everything written so far is in the ring, and nothing else is. */
void line_drain(struct line *l);
/* Written in random pieces, taken at random moments; a new random table after one piece in `table_one_in`. */
void line_run(struct line *l, const uint8_t *bytes, size_t count, uint32_t table_one_in);
/* A new table once the one before is out of use; settle first. */
void rig_table_set(struct rig *rig, const struct interest_table *table);

struct frame_header event_of(uint16_t type, uint64_t sequence, uint32_t length);
void frame_write(struct line *l, struct frame_header h);
/* Type 0 is kept, 1 dropped, 2 for the enrolled. */
void rig_table_plain(struct rig *rig);
void events_write(struct line *l, uint16_t type, uint64_t *sequence, uint32_t count, uint32_t length);

#endif
