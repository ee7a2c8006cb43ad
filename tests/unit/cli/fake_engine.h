/*
 * fake_engine.h: the engine's end of one connection at a time, in a thread, as a script says: for the tests
 * of feed and sink. It speaks the protocol of schemas/frame.md and nothing else: no journal, no rules.
 *
 * Fill `fake`'s script, fake_start, run the tool against fake.address, fake_stop, then look at what it saw.
 */
#ifndef TESTS_FAKE_ENGINE_H
#define TESTS_FAKE_ENGINE_H

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/frame.h"

struct fake {
	/* script: sources */
	uint64_t window_events, window_bytes;
	uint64_t drop_after[4];	  /* close, without a word, when so many frames were taken in all; 0 ends the
				     list */
	uint64_t unacked_on_drop; /* frames before the drop that were taken and not acknowledged */
	uint64_t forget_on_drop;  /* frames before the drop that were lost again */
	uint64_t quiet_ms;	  /* acknowledge only when nothing came for so long */
	uint64_t expect_first;	  /* WELCOME's sequence of the first connection (1) */
	bool verdicts, ack_too_much;
	const char *refuse; /* answer HELLO with this ERROR */
	/* script: gateways */
	uint64_t messages;     /* distinct ones to send */
	uint64_t drop_sent[4]; /* close when so many were sent in all sessions; 0 ends the list */
	bool gap;	       /* leave out a sequence */
	bool ping;	       /* after WELCOME */

	/* what it saw */
	uint64_t expected, taken, acked, in_flight_most, bytes_most, connections, hello_sequence, hello_first;
	uint64_t wrong; /* sequences that were not the expected one, or malformed frames */
	uint64_t hash;	/* of the frames taken, in order */
	uint64_t accepted, receipts, pongs, sessions, hello_session;
	struct frame_header last;

	char address[32];
	int listener;
	bool stop;
	pthread_t thread;
};

struct fake_conn {
	struct fake *f;
	int fd;
	uint8_t in[1 << 20];
	size_t end;
	uint64_t sent, session_base; /* gateway */
};

static bool fake_send(int fd, const void *bytes, size_t len)
{
	return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool fake_frame(int fd, struct frame_header h, const struct pack_writer *body)
{
	uint8_t out[4096];
	size_t bytes = body ? pack_bytes(body) : 0;

	h.version = FRAME_VERSION;
	h.length = (uint32_t)(FRAME_HEADER_BYTES + bytes);
	assert(!frame_header_check(&h, ROLE_OF_ENGINE).text);
	memcpy(out, &h, sizeof(h));
	if (bytes)
		memcpy(out + sizeof(h), body->start, bytes);
	return fake_send(fd, out, h.length);
}

static void fake_error(int fd, const char *code)
{
	uint8_t body[256];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof(body));
	pack_map(&w, 4);
	pack_text(&w, "code");
	pack_text(&w, code);
	pack_text(&w, "text");
	pack_text(&w, "as the script says");
	pack_text(&w, "sequence");
	pack_uint(&w, 7);
	pack_text(&w, "offset");
	pack_uint(&w, 9);
	fake_frame(fd, (struct frame_header){ .kind = FRAME_ERROR }, &w);
}

static void fake_welcome(struct fake_conn *c, uint64_t next)
{
	uint8_t body[256];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof(body));
	pack_map(&w, 3);
	pack_text(&w, "session");
	pack_uint(&w, ++c->f->sessions);
	pack_text(&w, "window_events");
	pack_uint(&w, c->f->window_events);
	pack_text(&w, "window_bytes");
	pack_uint(&w, c->f->window_bytes);
	fake_frame(c->fd, (struct frame_header){ .kind = FRAME_WELCOME, .sequence = next }, &w);
}

static uint64_t fake_hash(uint64_t h, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * 0x100000001b3ull;
	return h;
}

static uint64_t fake_body_number(const uint8_t *body, size_t len, const char *name)
{
	struct pack_reader r;
	uint32_t pairs, bytes;

	pack_reader_init(&r, body, len);
	pairs = pack_read_map(&r);
	for (uint32_t i = 0; i < pairs; i++) {
		const char *key = pack_read_key(&r, &bytes);
		struct pack_reader value = r;

		if (bytes == strlen(name) && memcmp(key, name, bytes) == 0)
			return pack_read(&value).u;
		pack_skip(&r);
	}
	return 0;
}

static void fake_ack(struct fake_conn *c, uint16_t type, uint64_t sequence)
{
	fake_frame(c->fd, (struct frame_header){ .kind = FRAME_ACK, .type = type, .sequence = sequence },
		   NULL);
}

static void fake_take_event(struct fake_conn *c, const struct frame_header *h, const uint8_t *frame)
{
	struct fake *f = c->f;

	if (h->sequence != f->expected) {
		f->wrong++;
		return;
	}
	f->expected++;
	f->taken++;
	f->hash = fake_hash(f->hash, frame + 16,
			    h->length - 16); /* without the sequence's place in the header */
	f->last = *h;
	if (f->verdicts && h->flags & FRAME_VERDICT_WANTED)
		fake_frame(c->fd,
			   (struct frame_header){ .kind = FRAME_VERDICT,
						  .type = (uint16_t)(h->sequence % 3),
						  .sequence = h->sequence,
						  .amount = 50,
						  .flags = FRAME_NOT_DURABLE },
			   NULL);
}

/* Takes every whole frame that is there; false when the connection ends. */
static bool fake_take(struct fake_conn *c, enum frame_role role)
{
	size_t at = 0;
	struct frame_header h;

	while (c->end - at >= FRAME_HEADER_BYTES) {
		uint32_t offset;

		memcpy(&h, c->in + at, sizeof(h));
		if (frame_header_check(&h, role).text) {
			c->f->wrong++;
			return false;
		}
		if (c->end - at < h.length)
			break;
		if (pack_validate(c->in + at + 64, h.length - 64, &offset))
			c->f->wrong++;
		if (h.kind == FRAME_ACK)
			c->f->accepted = h.sequence + c->session_base;
		else if (h.kind == FRAME_RECEIPT)
			c->f->receipts++;
		else if (h.kind == FRAME_PONG)
			c->f->pongs += h.time == 77;
		else
			fake_take_event(c, &h, c->in + at);
		at += h.length;
	}
	memmove(c->in, c->in + at, c->end - at);
	c->end -= at;
	return true;
}

/* Bytes from the socket: false at its end. */
static bool fake_fill(struct fake_conn *c, int timeout_ms, bool *quiet)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t n;

	*quiet = poll(&p, 1, timeout_ms) == 0;
	if (*quiet)
		return true;
	n = recv(c->fd, c->in + c->end, sizeof(c->in) - c->end, 0);
	c->end += n > 0 ? (size_t)n : 0;
	return n > 0;
}

static bool fake_drop_due(const struct fake *f, uint64_t limit)
{
	return limit && f->taken >= limit;
}

static void fake_source(struct fake_conn *c, unsigned connection)
{
	struct fake *f = c->f;
	uint64_t limit = connection < 4 ? f->drop_after[connection] : 0;
	bool quiet = false;

	while (!f->stop && fake_take(c, ROLE_OF_SOURCE)) {
		uint64_t flight = f->expected - 1 - f->acked;

		f->in_flight_most = flight > f->in_flight_most ? flight : f->in_flight_most;
		if (fake_drop_due(f, limit)) {
			f->expected -= f->forget_on_drop;
			f->taken -= f->forget_on_drop;
			break;
		}
		if (f->acked + 1 < f->expected && (!f->quiet_ms || quiet) &&
		    (!limit || f->taken + f->unacked_on_drop < limit)) {
			f->acked = f->expected - 1;
			fake_ack(c, FRAME_EVENT, f->acked + (f->ack_too_much ? 5 : 0));
		}
		if (!fake_fill(c, f->quiet_ms ? (int)f->quiet_ms : 20, &quiet))
			break;
	}
}

static bool fake_message(struct fake_conn *c, uint64_t number)
{
	struct frame_header h = { .kind = FRAME_MESSAGE,
				  .type = CATEGORY_alert,
				  .sequence = ++c->sent,
				  .customer = 4711,
				  .time = 1772409600000000000 + (int64_t)number,
				  .amount = 12345,
				  .currency = 978 };
	uint8_t body[512], id[16] = { 0 };
	struct pack_writer w;

	memcpy(id, &number, sizeof(number));
	if (c->f->gap && number == 5)
		h.sequence++;
	pack_writer_init(&w, body, sizeof(body));
	pack_map(&w, 6);
	pack_text(&w, "id");
	pack_binary(&w, id, 16);
	pack_text(&w, "leg");
	pack_text(&w, "push/1");
	pack_text(&w, "recipient");
	pack_uint(&w, 4711);
	pack_text(&w, "channel");
	pack_text(&w, "push");
	pack_text(&w, "text");
	pack_text(&w, "Has gastado 123,45 \xe2\x82\xac en \"Sol\"");
	pack_text(&w, "rule");
	pack_text(&w, number % 2 ? "large_purchase" : "abroad");
	return fake_frame(c->fd, h, &w);
}

static void fake_gateway(struct fake_conn *c, unsigned connection)
{
	struct fake *f = c->f;
	uint64_t limit = connection < 4 ? f->drop_sent[connection] : 0, from = f->accepted;
	uint64_t last = limit ? limit : f->messages;
	bool quiet;

	c->session_base = from;
	if (f->ping)
		fake_frame(c->fd, (struct frame_header){ .kind = FRAME_PING, .time = 77 }, NULL);
	for (uint64_t i = from + 1; i <= last; i++)
		if (!fake_message(c, i))
			return;
	if (limit) {
		shutdown(c->fd, SHUT_WR);
		usleep(20000); /* its ACK, if any, is lost with the connection */
		return;
	}
	while (!f->stop && fake_fill(c, 20, &quiet) && fake_take(c, ROLE_OF_GATEWAY))
		if (f->receipts)
			fake_ack(c, FRAME_RECEIPT, f->receipts);
}

static void fake_serve(struct fake *f, int fd)
{
	struct fake_conn *c = calloc(1, sizeof(*c));
	unsigned connection = (unsigned)f->connections++;
	struct frame_header h = { 0 };
	bool quiet;

	assert(c);
	c->f = f;
	c->fd = fd;
	while (c->end < 64 || c->end < h.length) {
		if (f->stop || !fake_fill(c, 20, &quiet))
			goto out;
		memcpy(&h, c->in, sizeof(h));
	}
	f->hello_sequence = h.sequence;
	f->hello_first = fake_body_number(c->in + 64, h.length - 64, "first");
	f->hello_session = fake_body_number(c->in + 64, h.length - 64, "session");
	c->end = 0; /* a peer is silent until WELCOME */
	if (f->refuse) {
		fake_error(fd, f->refuse);
		goto out;
	}
	fake_welcome(c, f->messages ? f->receipts + 1 : f->expected);
	if (f->messages)
		fake_gateway(c, connection);
	else
		fake_source(c, connection);
out:
	close(fd);
	free(c);
}

static void *fake_run(void *arg)
{
	struct fake *f = arg;

	while (!f->stop) {
		struct pollfd p = { .fd = f->listener, .events = POLLIN };

		if (poll(&p, 1, 10) > 0)
			fake_serve(f, accept(f->listener, NULL, NULL));
	}
	return NULL;
}

static void fake_start(struct fake *f)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	f->window_events = f->window_events ? f->window_events : 65536;
	f->window_bytes = f->window_bytes ? f->window_bytes : 4 << 20;
	f->expected = f->expect_first ? f->expect_first : 1;
	f->acked = f->expected - 1;
	f->hash = 0xcbf29ce484222325ull;
	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert(f->listener >= 0 && bind(f->listener, (struct sockaddr *)&at, len) == 0);
	assert(listen(f->listener, 8) == 0 && getsockname(f->listener, (struct sockaddr *)&at, &len) == 0);
	snprintf(f->address, sizeof(f->address), "127.0.0.1:%u", ntohs(at.sin_port));
	assert(pthread_create(&f->thread, NULL, fake_run, f) == 0);
}

static void fake_stop(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	close(f->listener);
}

#endif
