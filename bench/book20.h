/*
 * book20: the gateway's book: which event of bank-20 a message belongs to, whether it says what it should,
 * and in the end counts and digest over all of them.
 *
 * A MESSAGE does not carry the number of its event. Each (channel, lane) comes in the order of the events, so
 * a pointer that only moves forwards finds the event of the same customer, time and amount; the message's id,
 * which is a hash over the event's number, rule and recipient, must then be the one that docs/decisions.md 27
 * defines. So nothing that is counted was guessed. One owner, one thread; memory is taken by new.
 */
#ifndef BENCH_BOOK20_H
#define BENCH_BOOK20_H

#include "bank20.h"

#include <stddef.h>

enum {
	BOOK_EVENTS = 1 << 22, /* how far a message may be behind the newest event */
	BOOK_QUEUES = 2 * BANK20_CHANNELS,
};

struct book_queue {	/* a channel's lane */
	uint64_t *seen; /* seq * 32 + rule, ascending */
	uint64_t count, cursor;
};

struct book {
	const struct bank20_profile *profiles;
	uint32_t customers;
	uint64_t events, messages, messages_max;
	uint32_t *customer; /* [BOOK_EVENTS], by sequence */
	int64_t *time, *amount;
	struct book_queue queue[BOOK_QUEUES];
	bool own_channels; /* else everything goes to sms, the catalogue's first */
	char id_text[96];  /* source's name and stream */
	size_t id_bytes;
	/* open loop: latency from the intended time of event i, start + i * step */
	int64_t start_ns;
	double step_ns;
	int64_t *latency;
	uint64_t latency_count;
	uint64_t bytes;
	char problem[160];
};

struct book *book_new(const struct bank20 *bank, uint64_t messages_max, bool own_channels);
void book_free(struct book *b);
void book_source(struct book *b, const char *name, const uint8_t stream[16]);
/* These were made, in this order. */
void book_events(struct book *b, const struct frame_header *event, uint32_t count);
/* False: it is not a message that an event so far should give; see problem. */
bool book_message(struct book *b, const struct frame_header *header, const uint8_t *body, size_t bytes,
		  int64_t now_ns);
/* Over the messages sorted by (seq, rule). */
void book_answers(struct book *b, struct bank20_answers *out);
/* docs/decisions.md 27. */
void book_id(const struct book *b, uint64_t sequence, uint32_t rule, uint64_t recipient, uint8_t out[16]);

#endif
