// needs: bench/bank20.c bench/book20.c bench/echo20.c user/base/*.c user/cli/client.c
/*
 * path.c: source and gateway of bank-20 in one thread: makes the events, sends them, keeps the window, reads
 * ACKs and messages, accepts the messages, and finds for every one the event that gave it (book20.h).
 *
 * As fast as the window allows, or at a rate, open loop from the intended send time, sleeping in ppoll()
 * until the next event is due or something came: with two CPUs the disk's workers have this one. --changes: a
 * second source that sends PROFILE frames at a rate, changed rows and some new ones. --pingpong: the same
 * loop with an echo of the same bytes in place of the engine.
 *
 * Out: one JSON object on stdout: times, CPU, counts and digest, latencies. The run ends when all events are
 * acknowledged and --total messages came. Exit 1: the connection ended, an answer is wrong, or nothing came
 * for ten seconds; 2 usage. Read run(), then turn().
 */
#include "bank20.h"
#include "book20.h"
#include "echo20.h"
#include "usage.h"

#include <base/bytes.h>
#include <cli/client.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum {
	CHUNK = 1024, /* events a send() at most: 64 KiB */
	CHANGE_BYTES = 256,
	INSERT_EVERY = 10, /* of the changes: one is of a customer who was not there */
	ANSWER_MS = 20000,
	PERCENTILES = 12,
};
static const int64_t SECOND = 1000000000, PATIENCE_NS = 10000000000, LINGER_NS = 50000000;
static const double percentiles[PERCENTILES] = { 0.01, 0.1,  0.25,  0.5,   0.75,   0.9,
						 0.95, 0.99, 0.995, 0.999, 0.9999, 1 };

struct options {
	const char *to;
	uint64_t events, total, rate, changes, seed;
	uint32_t customers, text_bytes;
	int cpu, echo_cpu;
	pid_t engine;
	bool own_channels, pingpong, spin;
};

struct source {
	struct client client;
	uint64_t sent, acked, window; /* frames */
	uint64_t acks;
};

struct path {
	struct options o;
	struct bank20 *bank;
	struct book *book;
	struct echo echo;
	struct source events, changes;
	struct client gateway;
	uint64_t seen, accepted; /* messages of this session */
	struct frame_header chunk[CHUNK];
	size_t chunk_at, chunk_end; /* bytes of it that are still to be sent */
	int64_t start, end, progress_at, late_max;
	uint64_t random, inserted, window_waits, sends;
	struct usage usage;
};

/* ---- connections ---- */

static void hello_common(struct pack_writer *w, uint32_t pairs, const char *role, const char *name)
{
	pack_map(w, pairs);
	pack_text(w, "role");
	pack_text(w, role);
	pack_text(w, "name");
	pack_text(w, name);
	pack_text(w, "version");
	pack_int(w, FRAME_VERSION);
}

static bool hello_send(struct path *p, struct client *c, const struct pack_writer *w, const uint8_t *body,
		       struct client_welcome *welcome)
{
	uint8_t hello[FRAME_HEADER_BYTES + 512];
	struct frame_header h = { .kind = FRAME_HELLO };
	struct client_refusal refusal = { .code = "" };
	int rc = client_open(c, p->o.to, hello, client_frame_write(hello, h, body, pack_bytes(w)), ANSWER_MS,
			     welcome, &refusal);

	if (rc == -EPERM)
		client_print_refusal("path", &refusal);
	else if (rc)
		fprintf(stderr, "path: %s: %s\n", p->o.to, rc == -EBADMSG ? c->problem : strerror(-rc));
	return rc == 0;
}

static bool source_open(struct path *p, struct source *s, const char *name, uint8_t stream[16])
{
	uint64_t random = p->random ^ (uint64_t)client_wall(), part;
	struct client_welcome welcome;
	struct pack_writer w;
	uint8_t body[448];

	for (int i = 0; i < 2; i++) {
		part = pace_random(&random);
		memcpy(stream + 8 * i, &part, 8);
	}
	pack_writer_init(&w, body, sizeof body);
	hello_common(&w, 5, "source", name);
	pack_text(&w, "stream");
	pack_binary(&w, stream, 16);
	pack_text(&w, "first");
	pack_uint(&w, 1);
	if (!hello_send(p, &s->client, &w, body, &welcome))
		return false;
	uint64_t by_bytes = welcome.window_bytes / FRAME_HEADER_BYTES;
	s->window = welcome.window_events < by_bytes ? welcome.window_events : by_bytes;
	if (welcome.next != 1 || s->window < CHUNK) {
		fprintf(stderr, "path: a strange WELCOME\n");
		return false;
	}
	return true;
}

static bool gateway_open(struct path *p)
{
	struct client_welcome welcome;
	struct pack_writer w;
	uint8_t body[448];

	pack_writer_init(&w, body, sizeof body);
	hello_common(&w, 4, "gateway", "path-gateway");
	pack_text(&w, "channels");
	pack_array(&w, BANK20_CHANNELS);
	for (uint32_t i = 0; i < BANK20_CHANNELS; i++)
		pack_text(&w, bank20_channel(i));
	return hello_send(p, &p->gateway, &w, body, &welcome);
}

static bool engine_open(struct path *p)
{
	uint8_t stream[16], other[16];

	if (!gateway_open(p) || !source_open(p, &p->events, "path", stream))
		return false;
	book_source(p->book, "path", stream);
	return !p->o.changes || source_open(p, &p->changes, "path-profiles", other);
}

/* The echo takes the source first. */
static bool echo_open(struct path *p)
{
	static const uint8_t stream[16];
	char to[32];
	int one = 1;

	book_source(p->book, "path", stream);
	int rc = echo_start(&p->echo, p->o.customers, p->o.events, p->book, p->o.text_bytes, p->o.echo_cpu,
			    p->o.spin);
	if (rc) {
		fprintf(stderr, "path: the echo: %s\n", strerror(-rc));
		return false;
	}
	p->o.total = p->echo.messages;
	p->events.window = 65536;
	snprintf(to, sizeof to, "127.0.0.1:%u", p->echo.port);
	p->events.client.fd = client_connect(to);
	p->gateway.fd = client_connect(to);
	return p->events.client.fd >= 0 && p->gateway.fd >= 0 &&
	       !setsockopt(p->events.client.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) &&
	       !setsockopt(p->gateway.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- what comes ---- */

static bool complain(const struct client_frame *f, const char *who)
{
	struct client_refusal refusal;

	if (f->header.kind != FRAME_ERROR) {
		fprintf(stderr, "path: a frame of kind %u for the %s\n", f->header.kind, who);
		return false;
	}
	client_read_refusal(f, &refusal);
	client_print_refusal("path", &refusal);
	return false;
}

static bool ended(const struct client *c, long rc, const char *who)
{
	fprintf(stderr, "path: the %s's connection: %s\n", who,
		rc == -EBADMSG ? c->problem : strerror((int)-rc));
	return false;
}

static bool source_read(struct path *p, struct source *s, int64_t now)
{
	long n = client_fill(&s->client);
	struct client_frame f;
	int got;

	if (n < 0)
		return ended(&s->client, n, "source");
	while ((got = client_next(&s->client, &f)) > 0) {
		if (f.header.kind == FRAME_PING || f.header.kind == FRAME_PONG)
			continue;
		if (f.header.kind != FRAME_ACK || f.header.type != FRAME_EVENT || f.header.sequence > s->sent)
			return complain(&f, "source");
		s->acks++;
		s->acked = f.header.sequence;
		p->progress_at = now;
	}
	return got == 0 || ended(&s->client, got, "source");
}

static bool message_take(struct path *p, const struct client_frame *f, int64_t now)
{
	if (f->header.kind == FRAME_PING || f->header.kind == FRAME_PONG)
		return true;
	if (f->header.kind != FRAME_MESSAGE || f->header.sequence != p->seen + 1)
		return complain(f, "gateway");
	p->seen++;
	if (book_message(p->book, &f->header, f->body, f->body_bytes, now))
		return true;
	fprintf(stderr, "path: a wrong answer: %s\n", p->book->problem);
	return false;
}

/* The next whole frame, of a length that a frame may have: its body is read by the book. As client_next(),
 * which validates every body first. */
static int gateway_next(struct client *c, struct client_frame *f)
{
	size_t there = c->in_end - c->in_at;

	if (there < FRAME_HEADER_BYTES)
		return 0;
	memcpy(&f->header, c->in + c->in_at, FRAME_HEADER_BYTES);
	if (f->header.length < FRAME_HEADER_BYTES || f->header.length > FRAME_BYTES_MAX ||
	    f->header.version != FRAME_VERSION) {
		snprintf(c->problem, sizeof c->problem, "a frame of %u bytes", f->header.length);
		return -EBADMSG;
	}
	if (there < f->header.length)
		return 0;
	f->body = c->in + c->in_at + FRAME_HEADER_BYTES;
	f->body_bytes = f->header.length - FRAME_HEADER_BYTES;
	c->in_at += f->header.length;
	return 1;
}

static bool gateway_read(struct path *p, int64_t now)
{
	struct frame_header h = { .kind = FRAME_ACK, .type = FRAME_MESSAGE };
	uint8_t ack[FRAME_HEADER_BYTES + 1];
	long n = client_fill(&p->gateway);
	struct client_frame f;
	int got;

	if (n < 0)
		return ended(&p->gateway, n, "gateway");
	while ((got = gateway_next(&p->gateway, &f)) > 0)
		if (!message_take(p, &f, now))
			return false;
	if (got < 0)
		return ended(&p->gateway, got, "gateway");
	if (p->seen == p->accepted)
		return true;
	p->progress_at = now;
	h.sequence = p->accepted = p->seen;
	return client_send_all(&p->gateway, ack, client_frame_write(ack, h, NULL, 0)) == 0;
}

/* ---- what goes ---- */

static uint64_t due_of(uint64_t rate, int64_t since_ns)
{
	return (uint64_t)((double)rate * (double)since_ns / 1e9);
}

/* How many events may be made now. */
static uint32_t events_due(struct path *p, int64_t now)
{
	uint64_t left = p->o.events - p->events.sent,
		 room = p->events.window - (p->events.sent - p->events.acked);
	uint64_t count = left < CHUNK ? left : CHUNK;

	if (p->o.rate) {
		uint64_t due = due_of(p->o.rate, now - p->start) + 1;
		count = due <= p->events.sent	       ? 0
			: due - p->events.sent < count ? due - p->events.sent
						       : count;
	}
	if (count > room || !room)
		p->window_waits++;
	return (uint32_t)(room < count ? (p->o.rate ? room : 0) : count); /* bulk: whole chunks */
}

static bool chunk_send(struct path *p)
{
	long n = client_send(&p->events.client, (char *)p->chunk + p->chunk_at, p->chunk_end - p->chunk_at);

	if (n < 0)
		return ended(&p->events.client, n, "source");
	p->chunk_at += (size_t)n;
	p->sends++;
	return true;
}

static bool events_send(struct path *p, int64_t now)
{
	if (p->chunk_at == p->chunk_end) {
		uint32_t count = events_due(p, now);
		if (!count)
			return true;
		bank20_next(p->bank, p->chunk, count);
		book_events(p->book, p->chunk, count);
		p->events.sent += count;
		p->chunk_at = 0;
		p->chunk_end = count * sizeof *p->chunk;
	}
	return chunk_send(p);
}

/* {set: {optin, channel}}: attributes that no rule reads, so the answers stay what they are. */
static size_t change_write(struct path *p, uint8_t out[CHANGE_BYTES])
{
	bool insert = p->changes.sent % INSERT_EVERY == 0;
	uint64_t random = pace_random(&p->random);
	struct frame_header h = { .kind = FRAME_PROFILE, .sequence = p->changes.sent + 1 };
	uint8_t body[CHANGE_BYTES - FRAME_HEADER_BYTES];
	struct pack_writer w;

	h.customer = insert ? p->o.customers + 1 + p->inserted++ : random % p->o.customers + 1;
	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 1);
	pack_text(&w, "set");
	pack_map(&w, 2);
	pack_text(&w, "optin");
	pack_uint(&w, random >> 44);
	pack_text(&w, "channel");
	pack_text(&w, bank20_channel((uint32_t)(random >> 32) % BANK20_CHANNELS));
	return client_frame_write(out, h, body, pack_bytes(&w));
}

static bool changes_send(struct path *p, int64_t now)
{
	uint64_t due = p->o.changes ? due_of(p->o.changes, now - p->start) : 0;
	uint8_t frames[64 * CHANGE_BYTES];
	size_t bytes = 0;

	/* four frames of 64 bytes a change: well within both limits of the window */
	for (int i = 0;
	     i < 64 && p->changes.sent < due && p->changes.sent - p->changes.acked < p->changes.window / 4 &&
	     p->events.sent < p->o.events;
	     i++, p->changes.sent++)
		bytes += change_write(p, frames + bytes);
	return !bytes || client_send_all(&p->changes.client, frames, bytes) == 0;
}

/* ---- the loop ---- */

static bool done(const struct path *p)
{
	return p->events.acked == p->o.events && p->chunk_at == p->chunk_end &&
	       p->changes.acked == p->changes.sent && p->seen >= p->o.total;
}

/* Until something came, the socket takes more, or the next event is due. */
static void turn_wait(struct path *p)
{
	bool pending = p->chunk_at < p->chunk_end;
	struct pollfd fds[3] = { { .fd = p->events.client.fd,
				   .events = (short)(POLLIN | (pending ? POLLOUT : 0)) },
				 { .fd = p->gateway.fd, .events = POLLIN },
				 { .fd = p->o.changes ? p->changes.client.fd : -1, .events = POLLIN } };
	int64_t now = pace_now(), until = now + SECOND / 10;

	if (!pending && !p->o.rate && events_due(p, now))
		return;
	if (p->o.rate && p->events.sent < p->o.events) {
		int64_t due = p->start + (int64_t)((double)p->events.sent * 1e9 / (double)p->o.rate);
		until = due < until ? due : until;
	}
	if (until <= now)
		return;
	struct timespec wait = { .tv_sec = (until - now) / SECOND, .tv_nsec = (until - now) % SECOND };
	ppoll(fds, 3, &wait, NULL);
}

static bool turn(struct path *p)
{
	int64_t now = pace_now();

	if (p->o.rate && p->events.sent < p->o.events) {
		int64_t late = now - p->start - (int64_t)((double)p->events.sent * 1e9 / (double)p->o.rate);
		p->late_max = late > p->late_max ? late : p->late_max;
	}
	if (!events_send(p, now) || !changes_send(p, now) || !source_read(p, &p->events, now) ||
	    (p->o.changes && !source_read(p, &p->changes, now)) || !gateway_read(p, now))
		return false;
	if (now - p->progress_at > PATIENCE_NS) {
		fprintf(stderr,
			"path: nothing came for ten seconds: %llu events sent, %llu acknowledged, %llu "
			"messages of %llu\n",
			(unsigned long long)p->events.sent, (unsigned long long)p->events.acked,
			(unsigned long long)p->seen, (unsigned long long)p->o.total);
		return false;
	}
	if (!done(p))
		turn_wait(p);
	return true;
}

/* A message too many would come now. */
static bool linger(struct path *p)
{
	int64_t until = pace_now() + LINGER_NS;

	while (pace_now() < until) {
		if (!gateway_read(p, pace_now()))
			return false;
		pace_sleep_until(pace_now() + LINGER_NS / 10);
	}
	return true;
}

static bool run(struct path *p)
{
	struct usage before = usage_now(p->o.engine);

	p->start = p->progress_at = pace_now();
	p->book->start_ns = p->start;
	p->book->step_ns = p->o.rate ? 1e9 / (double)p->o.rate : 0;
	while (!done(p))
		if (!turn(p))
			return false;
	p->end = pace_now();
	p->usage = usage_between(before, usage_now(p->o.engine));
	return linger(p);
}

/* ---- the report ---- */

static void latencies_print(struct book *b)
{
	qsort(b->latency, b->latency_count, sizeof *b->latency, pace_order);
	printf("\"latency\": {");
	for (uint32_t i = 0; i < PERCENTILES; i++)
		printf("%s\"%g\": %lld", i ? ", " : "", percentiles[i],
		       (long long)pace_percentile(b->latency, b->latency_count, percentiles[i]));
	printf("}, ");
}

static void report(struct path *p)
{
	struct bank20_answers answers;
	const struct usage *u = &p->usage;
	double seconds = (double)(p->end - p->start) / 1e9;

	book_answers(p->book, &answers);
	printf("{\"rate\": %.1f, \"seconds\": %.6f, \"customers\": %u, \"acks\": %llu, \"sends\": %llu, "
	       "\"window_waits\": %llu, "
	       "\"changes\": %llu, \"inserted\": %llu, \"message_bytes\": %llu, \"late_max\": %lld, "
	       "\"engine_ns\": %lld, "
	       "\"generator_ns\": %lld, \"busy_ns\": %lld, \"softirq_ns\": %lld, \"from\": %lld, \"to\": "
	       "%lld, ",
	       (double)p->o.events / seconds, seconds, p->o.customers, (unsigned long long)p->events.acks,
	       (unsigned long long)p->sends, (unsigned long long)p->window_waits,
	       (unsigned long long)p->changes.sent, (unsigned long long)p->inserted,
	       (unsigned long long)p->book->bytes, (long long)p->late_max, (long long)u->engine,
	       (long long)u->own, (long long)u->busy, (long long)u->softirq, (long long)p->start,
	       (long long)p->end);
	if (p->o.rate)
		latencies_print(p->book);
	bank20_answers_print(&answers);
	printf("}\n");
}

static const char usage_text[] =
	"usage: path --to HOST:PORT | --pingpong  --events N --total MESSAGES [options]\n"
	"\n"
	"  --total N          messages that these events give (`workload --answers`); with --pingpong it is "
	"known\n"
	"  --customers N      default 1000000\n"
	"  --rate N           events/s, open loop; without it as fast as the window allows\n"
	"  --changes N        PROFILE frames/s by a second source, every tenth a new customer\n"
	"  --own-channels     the import had them: messages come on the customer's channel\n"
	"  --cpu N            of this program; --echo-cpu N of the ping-pong's other end\n"
	"  --text-bytes N     of the ping-pong's messages; default 40\n"
	"  --spin             the other end does not sleep\n"
	"  --engine-pid PID   whose CPU is counted\n"
	"  --seed N           of the changes; default 1\n";

static const struct option options_table[] = {
	{ "to", required_argument, NULL, 't' },
	{ "pingpong", no_argument, NULL, 'P' },
	{ "events", required_argument, NULL, 'e' },
	{ "total", required_argument, NULL, 'm' },
	{ "customers", required_argument, NULL, 'c' },
	{ "rate", required_argument, NULL, 'r' },
	{ "changes", required_argument, NULL, 'g' },
	{ "own-channels", no_argument, NULL, 'o' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "echo-cpu", required_argument, NULL, 'K' },
	{ "text-bytes", required_argument, NULL, 'x' },
	{ "spin", no_argument, NULL, 's' },
	{ "engine-pid", required_argument, NULL, 'p' },
	{ "seed", required_argument, NULL, 'S' },
	{ NULL, 0, NULL, 0 },
};

static bool option_take(struct options *o, int letter)
{
	switch (letter) {
	case 't':
		o->to = optarg;
		return true;
	case 'P':
		o->pingpong = true;
		return true;
	case 'e':
		o->events = strtoull(optarg, NULL, 10);
		return true;
	case 'm':
		o->total = strtoull(optarg, NULL, 10);
		return true;
	case 'c':
		o->customers = (uint32_t)strtoul(optarg, NULL, 10);
		return true;
	case 'r':
		o->rate = strtoull(optarg, NULL, 10);
		return true;
	case 'g':
		o->changes = strtoull(optarg, NULL, 10);
		return true;
	case 'o':
		o->own_channels = true;
		return true;
	case 'C':
		o->cpu = atoi(optarg);
		return true;
	case 'K':
		o->echo_cpu = atoi(optarg);
		return true;
	case 'x':
		o->text_bytes = (uint32_t)atoi(optarg);
		return true;
	case 's':
		o->spin = true;
		return true;
	case 'p':
		o->engine = atoi(optarg);
		return true;
	case 'S':
		o->seed = strtoull(optarg, NULL, 10);
		return true;
	default:
		return false;
	}
}

static bool options_take(struct options *o, int argc, char **argv)
{
	int letter;

	*o = (struct options){ .customers = 1000000, .cpu = -1, .echo_cpu = -1, .seed = 1, .text_bytes = 40 };
	while ((letter = getopt_long(argc, argv, "", options_table, NULL)) != -1)
		if (!option_take(o, letter))
			return false;
	return optind == argc && o->events && o->customers && o->customers <= BANK20_CUSTOMERS_MAX &&
	       !o->to == o->pingpong && !(o->pingpong && (o->changes || o->own_channels)) &&
	       o->text_bytes < 128;
}

static bool prepare(struct path *p)
{
	p->random = p->o.seed;
	p->bank = bank20_new(p->o.customers);
	/* more than any 20 events give, so that a wrong engine is seen, not a full list */
	p->book = p->bank ? book_new(p->bank, p->o.total + p->o.events, p->o.own_channels) : NULL;
	return p->book && !client_init(&p->events.client) && !client_init(&p->changes.client) &&
	       !client_init(&p->gateway);
}

int main(int argc, char **argv)
{
	struct path *p = calloc(1, sizeof *p);

	if (!p || !options_take(&p->o, argc, argv)) {
		fputs(usage_text, stderr);
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	bool good = prepare(p) && (p->o.pingpong ? echo_open(p) : engine_open(p));
	good = good && !pace_pin(p->o.cpu) && run(p);
	if (good)
		report(p);
	client_finish(&p->gateway);
	client_finish(&p->events.client);
	client_deinit(&p->gateway);
	client_deinit(&p->events.client);
	client_deinit(&p->changes.client);
	if (p->echo.listener)
		echo_stop(&p->echo);
	book_free(p->book);
	bank20_free(p->bank);
	free(p);
	return good ? 0 : 1;
}
