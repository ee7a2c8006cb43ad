/*
 * traffic.h: random interest tables and random streams of a source, for the tests of stage 1. Values lie
 * close to every boundary of interest.h, so that a random run meets both sides of each.
 */
#ifndef TRAFFIC_TEST_H
#define TRAFFIC_TEST_H

#include <moment/interest.h>
#include <stdbool.h>
#include <stddef.h>

struct random {
	uint64_t state;
};

uint64_t below(struct random *r, uint64_t n);
bool one_in(struct random *r, uint64_t n);
/* The first argument, MOMENT_SEED, or 1. */
uint64_t seed_given(int argc, char **argv);

enum { PIECE_MAX = 65536 }; /* of random_piece */

#define PICK(r, list) ((list)[below((r), sizeof(list) / sizeof((list)[0]))])

void random_table(struct random *r, struct interest_table *t);
struct frame_header random_event(struct random *r);
/* A kind of a source's stream that is no event. */
struct frame_header random_change(struct random *r);
/* A good header: the next of the stream, a repeat of an earlier one, or one outside. */
struct frame_header random_frame(struct random *r, uint64_t *sequence, uint32_t long_one_in);
uint32_t random_length(struct random *r, uint32_t long_one_in);
/* At most `bytes` of frames into buf; *sequence is the next one. */
size_t stream_make(struct random *r, uint8_t *buf, size_t bytes, uint64_t *sequence, uint32_t long_one_in);
size_t random_piece(struct random *r, size_t left);

#endif
