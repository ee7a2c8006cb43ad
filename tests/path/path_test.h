/*
 * path_test.h: the whole engine in this process, on a thread of its own and a port of the kernel's choice,
 * with a small bank in a directory; and peers as plain blocking sockets.
 */
#ifndef PATH_TEST_H
#define PATH_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <live.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "../unit/bank_test.h"

static const int64_t SECOND = 1000000000, NOW = INT64_C(1800000000) * 1000000000;

/* Rules over the bank of bank_test.h: a purchase above 5 EUR scores, one above 100 EUR is critical. */
__attribute__((unused)) static const char path_rules[] =
	"fraud: { thresholds: { review: 60, decline: 85 }, rules: {\n"
	"  large: { events: [purchase], when: 'event.base > 50000', score: 70 },\n"
	"  often: { events: [purchase], when: 'agg.n > 5 && agg.ever > 5', score: 20 } } }\n"
	"critical:\n"
	"  c: { events: [declined], repeat: every, message: plain, channels: [sms] }\n"
	"subscriptions:\n"
	"  s: { events: [purchase], repeat: every, message: hello, channels: [push],\n"
	"       params: { t: { type: money, default: 1 EUR } }, when: 'event.amount > param.t' }\n"
	"  day: { events: [purchase], repeat: every, message: plain, channels: [email], when: 'agg.spent > "
	"100000' }\n";

struct host {
	struct engine *e;
	char dir[64], catalogue[96], data[96];
	struct engine_options options;
	pthread_t thread;
	sem_t started, may_close;
	uint16_t port;
	int start_rc, run_rc;
	struct hash128 outputs; /* when engine_run has returned */
	uint64_t allocations;	/* of the engine thread in engine_run; counted where a test does */
	void (*running)(bool on);
};

__attribute__((unused)) static void file_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

__attribute__((unused)) static void host_make(struct host *h, const char *rules)
{
	char path[160], *yaml;

	memset(h, 0, sizeof *h);
	directory_make(h->dir);
	snprintf(h->catalogue, sizeof h->catalogue, "%s/catalogue", h->dir);
	snprintf(h->data, sizeof h->data, "%s/data", h->dir);
	assert_int_equal(mkdir(h->catalogue, 0700), 0);
	assert_true(asprintf(&yaml, "%s%s", bank_head, rules) > 0);
	snprintf(path, sizeof path, "%s/bank.yaml", h->catalogue);
	file_write(path, yaml);
	free(yaml);
	h->options = (struct engine_options){ .catalogue = h->catalogue,
					      .data = h->data,
					      .listen = "127.0.0.1:0",
					      .durable = true,
					      .event_clock = true,
					      .cpu = -1,
					      .journal_segment_bytes = 4 << 20,
					      .zero_copy = ZERO_COPY_OFF };
}

/* The engine's thread: the ring has a single issuer, so start, run and close are one thread's. */
static void *host_run(void *arg)
{
	struct host *h = arg;

	h->start_rc = engine_start(h->e, &h->options);
	h->port = h->start_rc ? 0 : engine_port(h->e);
	sem_post(&h->started);
	if (!h->start_rc) {
		if (h->running)
			h->running(true);
		h->run_rc = engine_run(h->e);
		if (h->running)
			h->running(false);
		h->outputs = core_outputs(&h->e->core);
	}
	sem_wait(&h->may_close);
	engine_close(h->e);
	return NULL;
}

__attribute__((unused)) static void host_start(struct host *h)
{
	h->e = calloc(1, sizeof *h->e);
	assert_non_null(h->e);
	sem_init(&h->started, 0, 0);
	sem_init(&h->may_close, 0, 0);
	assert_int_equal(pthread_create(&h->thread, NULL, host_run, h), 0);
	sem_wait(&h->started);
	if (h->start_rc)
		fail_msg("engine_start: %d %s", h->start_rc, h->e->why);
}

/* Stops; look(h) may read the core of the stopped engine before it is closed. */
__attribute__((unused)) static void host_stop(struct host *h, void (*look)(struct host *h))
{
	engine_stop(h->e);
	if (look) {
		/* engine_run has ended when its outputs are there: close waits for us */
		while (pthread_tryjoin_np(h->thread, NULL) == 0)
			fail_msg("the engine's thread ended by itself");
		for (unsigned i = 0; i < 5000 && !h->outputs.low; i++)
			usleep(1000);
		assert_true(h->outputs.low != 0);
		look(h);
	}
	sem_post(&h->may_close);
	pthread_join(h->thread, NULL);
	if (h->run_rc)
		fail_msg("engine_run: %d %s", h->run_rc, h->e->why);
	free(h->e);
	h->e = NULL;
}

__attribute__((unused)) static void host_remove(struct host *h)
{
	directory_clear(h->dir);
}

/* ---- peers ---- */

enum { SMALL_WINDOW = 16384 }; /* of a peer's socket: two segments */

struct client {
	int fd;
	char *in; /* the frame read last */
	struct frame_header h;
	uint64_t session;
};

__attribute__((unused)) static void client_open(struct client *c, uint16_t port, int receive_bytes)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval wait = { .tv_sec = 10 };
	int one = 1;

	*c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
			      .in = malloc(FRAME_BYTES_MAX) };
	assert_true(c->fd >= 0 && c->in);
	if (receive_bytes) {
		/* of the loopback's 64 KiB none would fit, and the kernel would probe every 200 ms */
		int segment = 8192;
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
		setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
	}
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&in, sizeof in), 0);
}

__attribute__((unused)) static void client_close(struct client *c)
{
	close(c->fd);
	free(c->in);
	c->in = NULL;
}

/* A reset: what is unread is dropped. */
__attribute__((unused)) static void client_die(struct client *c)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	client_close(c);
}

__attribute__((unused)) static void client_write(struct client *c, const void *bytes, size_t count)
{
	for (size_t at = 0; at < count;) {
		ssize_t n = send(c->fd, (const char *)bytes + at, count - at, MSG_NOSIGNAL);
		if (n <= 0)
			fail_msg("send: %s", strerror(errno));
		at += (size_t)n;
	}
}

__attribute__((unused)) static void client_send(struct client *c, struct frame_header h, const char *json)
{
	struct frame f;

	frame_pack(&f, h, json);
	client_write(c, f.bytes, f.count);
}

/* The next frame; false at the end of the stream. */
__attribute__((unused)) static bool client_read(struct client *c)
{
	for (size_t at = 0, need = sizeof c->h; at < need;) {
		ssize_t n = recv(c->fd, c->in + at, need - at, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return false;
		if (n < 0)
			fail_msg("nothing came: %s", strerror(errno));
		at += (size_t)n;
		if (at >= sizeof c->h) {
			memcpy(&c->h, c->in, sizeof c->h);
			need = c->h.length;
		}
	}
	return true;
}

/* The next frame must be of that kind. */
__attribute__((unused)) static void client_expect(struct client *c, uint8_t kind)
{
	if (!client_read(c))
		fail_msg("the connection ended, %d was expected", kind);
	if (c->h.kind == FRAME_ERROR && kind != FRAME_ERROR)
		fail_msg("ERROR %.*s", (int)(c->h.length - FRAME_HEADER_BYTES), c->in + FRAME_HEADER_BYTES);
	assert_int_equal(c->h.kind, kind);
}

__attribute__((unused)) static struct pack_item client_item(const struct client *c, const char *key)
{
	struct pack_reader r;
	uint32_t len;

	pack_reader_init(&r, c->in + FRAME_HEADER_BYTES, c->h.length - FRAME_HEADER_BYTES);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0; pairs--) {
		const char *name = pack_read_key(&r, &len);
		assert_non_null(name);
		if (strlen(key) == len && memcmp(key, name, len) == 0)
			return pack_read(&r);
		pack_skip(&r);
	}
	return (struct pack_item){ .type = PACK_NONE };
}

__attribute__((unused)) static bool client_text_is(const struct client *c, const char *key, const char *want)
{
	struct pack_item item = client_item(c, key);

	return item.type == PACK_STRING && item.bytes == strlen(want) &&
	       memcmp(item.s, want, item.bytes) == 0;
}

static void hello_send(struct client *c, uint64_t sequence, uint8_t *body, uint32_t bytes)
{
	struct frame_header h = { .length = FRAME_HEADER_BYTES + bytes,
				  .version = FRAME_VERSION,
				  .kind = FRAME_HELLO,
				  .sequence = sequence };

	client_write(c, &h, sizeof h);
	client_write(c, body, bytes);
}

/* A source `name` with a stream made of one byte; returns the sequence to go on from. */
__attribute__((unused)) static uint64_t source_open(struct client *c, uint16_t port, const char *name,
						    uint8_t stream, uint64_t acknowledged)
{
	uint8_t body[256], bytes[16];
	struct pack_writer w;

	memset(bytes, stream, sizeof bytes);
	client_open(c, port, 0);
	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 5);
	pack_text(&w, "role");
	pack_text(&w, "source");
	pack_text(&w, "name");
	pack_text(&w, name);
	pack_text(&w, "version");
	pack_int(&w, 1);
	pack_text(&w, "stream");
	pack_binary(&w, bytes, 16);
	pack_text(&w, "first");
	pack_uint(&w, acknowledged + 1);
	hello_send(c, acknowledged, body, (uint32_t)pack_bytes(&w));
	client_expect(c, FRAME_WELCOME);
	return c->h.sequence;
}

/* A gateway with one channel, or with all three when channel is NULL. */
__attribute__((unused)) static void gateway_open(struct client *c, uint16_t port, const char *name,
						 const char *channel, uint64_t session, uint64_t accepted,
						 int receive_bytes)
{
	static const char *const all[] = { "push", "sms", "email" };
	uint8_t body[256];
	struct pack_writer w;

	client_open(c, port, receive_bytes);
	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 5);
	pack_text(&w, "role");
	pack_text(&w, "gateway");
	pack_text(&w, "name");
	pack_text(&w, name);
	pack_text(&w, "version");
	pack_int(&w, 1);
	pack_text(&w, "channels");
	pack_array(&w, channel ? 1 : 3);
	for (unsigned i = 0; i < (channel ? 1 : 3); i++)
		pack_text(&w, channel ? channel : all[i]);
	pack_text(&w, "session");
	pack_uint(&w, session);
	hello_send(c, accepted, body, (uint32_t)pack_bytes(&w));
	client_expect(c, FRAME_WELCOME);
	c->session = (uint64_t)client_item(c, "session").i;
}

__attribute__((unused)) static void client_ack(struct client *c, uint16_t stream, uint64_t sequence)
{
	client_send(c, (struct frame_header){ .kind = FRAME_ACK, .type = stream, .sequence = sequence }, "");
}

/* Reads until everything up to `sequence` is acknowledged; verdicts in between are counted. */
__attribute__((unused)) static uint32_t source_wait(struct client *c, uint64_t sequence)
{
	uint32_t verdicts = 0;

	do {
		if (!client_read(c))
			fail_msg("the connection ended before the ACK of %llu", (unsigned long long)sequence);
		if (c->h.kind != FRAME_ACK && c->h.kind != FRAME_VERDICT)
			fail_msg("kind %d: %.*s", c->h.kind, (int)(c->h.length - FRAME_HEADER_BYTES),
				 c->in + FRAME_HEADER_BYTES);
		verdicts += c->h.kind == FRAME_VERDICT;
	} while (c->h.kind != FRAME_ACK || c->h.sequence < sequence);
	return verdicts;
}

__attribute__((unused)) static struct frame_header event_of(uint64_t sequence, uint16_t type,
							    uint64_t customer, int64_t amount)
{
	return (struct frame_header){ .kind = FRAME_EVENT,
				      .type = type,
				      .sequence = sequence,
				      .customer = customer,
				      .account = customer + 1000,
				      .time = NOW + (int64_t)sequence * SECOND,
				      .amount = amount,
				      .balance = FRAME_BALANCE_NO_DATA,
				      .currency = 978,
				      .country = 724 };
}

/* A customer with a record who hears of purchases above `threshold`: two frames. */
__attribute__((unused)) static uint64_t customer_make(struct client *c, uint64_t sequence, uint64_t customer,
						      const char *threshold)
{
	char json[160];

	client_send(
		c,
		(struct frame_header){ .kind = FRAME_PROFILE, .sequence = sequence++, .customer = customer },
		"{\"set\": {\"language\": \"en\"}}");
	snprintf(json, sizeof json, "{\"kind\": \"s\", \"params\": {\"t\": \"%s\"}}", threshold);
	client_send(c,
		    (struct frame_header){
			    .kind = FRAME_SUBSCRIBE, .sequence = sequence++, .customer = customer },
		    json);
	return sequence;
}

#endif
