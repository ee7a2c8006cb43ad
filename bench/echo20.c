/*
 * echo20.c: the ping-pong's other end.
 *
 * In: two connections, the source's frames. Out: for what one receive brought, one send with their messages
 * and one with an ACK. Memory: all messages of the run, taken by start. What can go wrong: a connection that
 * ends early ends the thread; the other side then waits and says so.
 */
#include "echo20.h"

#include <assert.h>
#include <base/bytes.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pace.h"

enum { MESSAGE_ROOM = 512, TEXT_MAX = 160, IN_BYTES = 256 << 10 };

/* As user/message writes it: the same keys, the same bytes but for text and catalogue. */
static size_t message_write(uint8_t *out, const struct frame_header *event, uint32_t rule,
			    const uint8_t id[16], uint32_t text_bytes)
{
	static const char dots[TEXT_MAX] =
		"................................................................................"
		"...............................................................................";
	bool critical = BANK20_CRITICAL & BANK20_RULE(rule);
	char name[4] = { 'r', (char)('0' + rule / 10), (char)('0' + rule % 10), 0 };
	struct pack_writer w;

	pack_writer_init(&w, out + FRAME_HEADER_BYTES, MESSAGE_ROOM - FRAME_HEADER_BYTES);
	pack_map(&w, 9);
	pack_text(&w, "id");
	pack_binary(&w, id, 16);
	pack_text(&w, "leg");
	pack_text(&w, "sms/1");
	pack_text(&w, "recipient");
	pack_uint(&w, event->customer);
	pack_text(&w, "channel");
	pack_text(&w, "sms");
	pack_text(&w, "lang");
	pack_text(&w, "en");
	pack_text(&w, "category");
	pack_text(&w, critical ? "critical" : "alert");
	pack_text(&w, "text");
	pack_string(&w, dots, text_bytes);
	pack_text(&w, "rule");
	pack_text(&w, name);
	pack_text(&w, "catalogue");
	pack_string(&w, dots, 32);
	assert(!w.overflow);
	struct frame_header h = { .length = (uint32_t)(FRAME_HEADER_BYTES + pack_bytes(&w)),
				  .version = FRAME_VERSION,
				  .kind = FRAME_MESSAGE,
				  .type = critical ? CATEGORY_critical : CATEGORY_alert,
				  .customer = event->customer,
				  .time = event->time,
				  .amount = event->amount,
				  .currency = event->currency };
	memcpy(out, &h, sizeof h);
	return h.length;
}

static int messages_make(struct echo *e, uint32_t customers, struct book *ids, uint32_t text_bytes)
{
	struct bank20 *b = bank20_new(customers);
	struct bank20_judge *j = b ? bank20_judge_new(bank20_profiles(b), customers) : NULL;
	size_t room = 0, at = 0;
	struct frame_header event;
	uint8_t id[16];

	for (uint64_t i = 0; j && i < e->events; i++) {
		bank20_next(b, &event, 1);
		if (at + BANK20_RULES * MESSAGE_ROOM > room) {
			room = 2 * room + BANK20_RULES * MESSAGE_ROOM;
			e->frames = realloc(e->frames, room);
			assert(e->frames);
		}
		e->offset[i] = at;
		for (uint32_t rules = bank20_judge_event(j, &event); rules; rules &= rules - 1) {
			uint32_t rule = (uint32_t)__builtin_ctz(rules) + 1;
			book_id(ids, i + 1, rule, event.customer, id);
			at += message_write(e->frames + at, &event, rule, id, text_bytes);
			e->messages++;
		}
	}
	e->offset[e->events] = at;
	bank20_judge_free(j);
	bank20_free(b);
	return j ? 0 : -ENOMEM;
}

/* Sequences of the session, as the gateway's protocol wants them. */
static void messages_number(struct echo *e)
{
	struct frame_header h;
	uint64_t sequence = 0;

	for (size_t at = 0; at < e->offset[e->events]; at += h.length) {
		memcpy(&h, e->frames + at, sizeof h);
		h.sequence = ++sequence;
		memcpy(e->frames + at, &h, sizeof h);
	}
}

static int accept_one(struct echo *e)
{
	int one = 1, fd = accept(e->listener, NULL, NULL);

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static bool send_all(int fd, const uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		bytes += n > 0 ? n : 0;
		count -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool answer(const struct echo *e, int source, int gateway, uint64_t from, uint64_t to)
{
	struct frame_header ack = { .length = FRAME_HEADER_BYTES,
				    .version = FRAME_VERSION,
				    .kind = FRAME_ACK,
				    .type = FRAME_EVENT,
				    .sequence = to };
	size_t bytes = e->offset[to] - e->offset[from];

	return (!bytes || send_all(gateway, e->frames + e->offset[from], bytes)) &&
	       send_all(source, (const uint8_t *)&ack, sizeof ack);
}

static void *echo_run(void *arg)
{
	struct echo *e = arg;
	static uint8_t in[IN_BYTES];
	uint64_t bytes = 0, done = 0;

	pace_pin(e->cpu);
	int source = accept_one(e), gateway = accept_one(e);
	while (source >= 0 && gateway >= 0 && done < e->events) {
		ssize_t n = recv(source, in, sizeof in, e->spin ? MSG_DONTWAIT : 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		bytes += (uint64_t)n;
		uint64_t now = bytes / FRAME_HEADER_BYTES;
		if (now > done && !answer(e, source, gateway, done, now))
			break;
		done = now;
		while (recv(gateway, in, sizeof in, MSG_DONTWAIT) > 0)
			; /* its ACKs */
	}
	e->failed = done < e->events;
	while (gateway >= 0 && recv(gateway, in, sizeof in, 0) > 0)
		;
	close(source);
	close(gateway);
	return NULL;
}

static int listen_open(struct echo *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof at;

	e->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (e->listener < 0 || bind(e->listener, (struct sockaddr *)&at, sizeof at) ||
	    listen(e->listener, 2) || getsockname(e->listener, (struct sockaddr *)&at, &bytes))
		return -errno;
	e->port = ntohs(at.sin_port);
	return 0;
}

int echo_start(struct echo *e, uint32_t customers, uint64_t events, struct book *ids, uint32_t text_bytes,
	       int cpu, bool spin)
{
	*e = (struct echo){
		.events = events, .cpu = cpu, .spin = spin, .offset = calloc(events + 1, sizeof *e->offset)
	};
	assert(text_bytes < TEXT_MAX);
	int rc = e->offset ? messages_make(e, customers, ids, text_bytes) : -ENOMEM;
	if (!rc)
		messages_number(e);
	if (!rc)
		rc = listen_open(e);
	return rc ? rc : -pthread_create(&e->thread, NULL, echo_run, e);
}

void echo_stop(struct echo *e)
{
	shutdown(e->listener, SHUT_RDWR);
	pthread_join(e->thread, NULL);
	close(e->listener);
	free(e->offset);
	free(e->frames);
}
