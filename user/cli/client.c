/*
 * client.c: the peer's end of a connection.
 *
 * Bytes are received into one buffer of the client and handed out as frames in place. A frame of the engine
 * is checked by frame_header_check like everybody's. What can go wrong: nobody listens, the connection ends
 * (both: try again), an ERROR frame (the engine refuses: say so and stop), bytes that are not the protocol.
 */
#include "client.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(sigset_t) <= sizeof(((struct client_signals *)0)->saved), "a mask fits");
_Static_assert((int)CLIENT_IN_BYTES >= 2 * (int)FRAME_BYTES_MAX,
	       "a whole frame always fits behind a part of one");

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t client_clock(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t client_wall(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int client_init(struct client *c)
{
	*c = (struct client){ .fd = -1, .in = malloc(CLIENT_IN_BYTES) };
	return c->in ? 0 : -ENOMEM;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->in_at = c->in_end = 0;
}

void client_deinit(struct client *c)
{
	client_close(c);
	free(c->in);
	c->in = NULL;
}

/* "host:port" or "[v6]:port" into its two parts. */
static bool address_split(const char *to, char host[256], char port[8])
{
	const char *colon = strrchr(to, ':');
	size_t len = colon ? (size_t)(colon - to) : 0;

	if (!colon || len == 0 || len > 255 || strlen(colon + 1) > 7 || !colon[1] ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	if (to[0] == '[' && to[len - 1] == ']') {
		to++;
		len -= 2;
	}
	memcpy(host, to, len);
	host[len] = 0;
	strcpy(port, colon + 1);
	return true;
}

int client_connect(const char *to)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
	char host[256], port[8];
	int fd = -1, error = ECONNREFUSED;

	if (!address_split(to, host, port) || getaddrinfo(host, port, &hints, &list) != 0)
		return -EINVAL;
	for (a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		error = errno;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd >= 0 ? fd : -error;
}

long client_fill(struct client *c)
{
	ssize_t n;

	if (c->in_at > 0) {
		memmove(c->in, c->in + c->in_at, c->in_end - c->in_at);
		c->in_end -= c->in_at;
		c->in_at = 0;
	}
	assert(c->in_end < CLIENT_IN_BYTES);
	n = recv(c->fd, c->in + c->in_end, CLIENT_IN_BYTES - c->in_end, MSG_DONTWAIT);
	if (n > 0)
		c->in_end += (size_t)n;
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

static int bad_frame(struct client *c, const char *text, uint32_t offset)
{
	snprintf(c->problem, sizeof(c->problem), "%s, at byte %u of a frame", text, offset);
	return -EBADMSG;
}

int client_next(struct client *c, struct client_frame *frame)
{
	size_t there = c->in_end - c->in_at;
	struct frame_problem problem;
	const char *error;
	uint32_t offset;

	if (there < FRAME_HEADER_BYTES)
		return 0;
	memcpy(&frame->header, c->in + c->in_at, FRAME_HEADER_BYTES);
	problem = frame_header_check(&frame->header, ROLE_OF_ENGINE);
	if (problem.text)
		return bad_frame(c, problem.text, problem.offset);
	if (there < frame->header.length)
		return 0;
	frame->body = c->in + c->in_at + FRAME_HEADER_BYTES;
	frame->body_bytes = frame->header.length - FRAME_HEADER_BYTES;
	error = pack_validate(frame->body, frame->body_bytes, &offset);
	if (error)
		return bad_frame(c, error, FRAME_HEADER_BYTES + offset);
	c->in_at += frame->header.length;
	return 1;
}

long client_send(struct client *c, const void *bytes, size_t len)
{
	ssize_t n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

int client_send_all(struct client *c, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		long n = client_send(c, at, len);
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };

		if (n < 0)
			return (int)n;
		at += n;
		len -= (size_t)n;
		if (n == 0 && poll(&p, 1, 10000) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

void client_finish(struct client *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int64_t until = client_clock() + 500000000;

	shutdown(c->fd, SHUT_WR);
	while (client_clock() < until && poll(&p, 1, 100) >= 0) {
		c->in_at = c->in_end = 0;
		if (client_fill(c) < 0)
			return;
	}
}

size_t client_frame_write(uint8_t *out, struct frame_header header, const void *body, size_t bytes)
{
	static const uint8_t empty_map = 0x80;

	if (!body) {
		body = &empty_map;
		bytes = 1;
	}
	assert(FRAME_HEADER_BYTES + bytes <= FRAME_BYTES_MAX);
	header.version = FRAME_VERSION;
	header.length = (uint32_t)(FRAME_HEADER_BYTES + bytes);
	memcpy(out, &header, sizeof(header));
	memmove(out + FRAME_HEADER_BYTES, body, bytes);
	return header.length;
}

static void copy_text(char *out, size_t room, const struct pack_item *item)
{
	size_t len = item->bytes < room - 1 ? item->bytes : room - 1;

	memcpy(out, item->s, len);
	out[len] = 0;
}

void client_read_refusal(const struct client_frame *frame, struct client_refusal *refusal)
{
	struct pack_reader r;
	uint32_t pairs, len;

	*refusal = (struct client_refusal){ .code = "", .text = "" };
	pack_reader_init(&r, frame->body, frame->body_bytes);
	pairs = pack_read_map(&r);
	for (uint32_t i = 0; i < pairs; i++) {
		const char *key = pack_read_key(&r, &len);
		struct pack_reader value = r;
		struct pack_item item = pack_read(&value);

		if (len == 4 && memcmp(key, "code", 4) == 0 && item.type == PACK_STRING)
			copy_text(refusal->code, sizeof(refusal->code), &item);
		else if (len == 4 && memcmp(key, "text", 4) == 0 && item.type == PACK_STRING)
			copy_text(refusal->text, sizeof(refusal->text), &item);
		else if (len == 8 && memcmp(key, "sequence", 8) == 0)
			refusal->sequence = item.u;
		else if (len == 6 && memcmp(key, "offset", 6) == 0)
			refusal->offset = item.u;
		pack_skip(&r);
	}
}

void client_print_refusal(const char *tool, const struct client_refusal *refusal)
{
	fprintf(stderr, "%s: the engine refuses: %s: %s (sequence %llu, offset %llu)\n", tool, refusal->code,
		refusal->text, (unsigned long long)refusal->sequence, (unsigned long long)refusal->offset);
}

static void read_welcome(const struct client_frame *frame, struct client_welcome *welcome)
{
	struct pack_reader r;
	uint32_t pairs, len;

	*welcome = (struct client_welcome){ .next = frame->header.sequence };
	pack_reader_init(&r, frame->body, frame->body_bytes);
	pairs = pack_read_map(&r);
	for (uint32_t i = 0; i < pairs; i++) {
		const char *key = pack_read_key(&r, &len);
		const uint8_t *from = r.at;
		struct pack_reader value = r;
		struct pack_item item = pack_read(&value);

		pack_skip(&r);
		if (len == 13 && memcmp(key, "window_events", 13) == 0 && item.type == PACK_INT)
			welcome->window_events = item.u;
		else if (len == 12 && memcmp(key, "window_bytes", 12) == 0 && item.type == PACK_INT)
			welcome->window_bytes = item.u;
		else if (len == 7 && memcmp(key, "session", 7) == 0 &&
			 (size_t)(r.at - from) <= sizeof(welcome->session)) {
			welcome->session_bytes = (size_t)(r.at - from);
			memcpy(welcome->session, from, welcome->session_bytes);
		}
	}
}

/* Waits for the first frame of the engine. */
static int answer_wait(struct client *c, int timeout_ms, struct client_welcome *welcome,
		       struct client_refusal *refusal)
{
	int64_t until = client_clock() + (int64_t)timeout_ms * 1000000;
	struct client_frame frame;

	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		int64_t left = (until - client_clock()) / 1000000;
		long n;
		int got = client_next(c, &frame);

		if (got < 0)
			return got;
		if (got > 0)
			break;
		if (left <= 0)
			return -ETIMEDOUT;
		poll(&p, 1, (int)left);
		n = client_fill(c);
		if (n < 0)
			return (int)n;
	}
	if (frame.header.kind == FRAME_ERROR) {
		client_read_refusal(&frame, refusal);
		return -EPERM;
	}
	if (frame.header.kind != FRAME_WELCOME)
		return bad_frame(c, "the first frame is no WELCOME", 5);
	read_welcome(&frame, welcome);
	return 0;
}

int client_open(struct client *c, const char *to, const void *hello, size_t bytes, int timeout_ms,
		struct client_welcome *welcome, struct client_refusal *refusal)
{
	int one = 1, room = 4 << 20, result;

	client_close(c);
	c->fd = client_connect(to);
	if (c->fd < 0) {
		result = c->fd;
		c->fd = -1;
		return result;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	result = client_send_all(c, hello, bytes);
	if (result == 0)
		result = answer_wait(c, timeout_ms, welcome, refusal);
	if (result < 0)
		client_close(c);
	return result;
}

int client_signals_open(struct client_signals *s)
{
	sigset_t set, saved;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (pthread_sigmask(SIG_BLOCK, &set, &saved) != 0)
		return -EINVAL;
	memcpy(s->saved, &saved, sizeof(saved));
	s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->fd >= 0 ? 0 : -errno;
}

void client_signals_close(struct client_signals *s)
{
	sigset_t saved;

	close(s->fd);
	memcpy(&saved, s->saved, sizeof(saved));
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
}
