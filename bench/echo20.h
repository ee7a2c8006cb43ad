/*
 * echo20: the other end of the ping-pong: a thread that answers events with the bytes that the engine would
 * send: an ACK to the source, and to the gateway the messages, all made beforehand. What the network costs
 * and nothing else.
 */
#ifndef BENCH_ECHO20_H
#define BENCH_ECHO20_H

#include "book20.h"

#include <pthread.h>

struct echo {
	pthread_t thread;
	int listener, cpu;
	uint16_t port;
	bool spin; /* looks again and again; else it sleeps in recv() */
	uint64_t events;
	uint64_t *offset; /* [events + 1]: where the messages of an event begin */
	uint8_t *frames;
	size_t frames_bytes;
	uint64_t messages;
	bool failed;
};

/* The messages of the first `events` events of this bank, their ids as of `ids`; texts of so many bytes. 0 or
 * -errno. */
int echo_start(struct echo *e, uint32_t customers, uint64_t events, struct book *ids, uint32_t text_bytes,
	       int cpu, bool spin);
/* The source must have connected first, then the gateway. Waits for its end. */
void echo_stop(struct echo *e);

#endif
