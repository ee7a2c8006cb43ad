// needs: user/base/*.c user/cli/client.c
/*
 * generate.c: a source for the bench: makes events of which a given share is of a type that no rule uses,
 * sends them, keeps the window, reads the ACKs, and says what all that cost: its own CPU, the engine's, the
 * machine's.
 *
 * Paced (--rate): bursts, and sleep in between, so that its own CPU means something; one event a send(), or
 * with
 * --bulk 64 KiB a send(). Without --rate as fast as the window allows. Frames are of 64 bytes and made
 * beforehand; only sequence and time are written at the end. --sink: the same to a listener in this process
 * that throws all away every few ms: what the generator costs alone, the thrower's own CPU being given apart.
 *
 * Out: one JSON object on stdout. CPU is counted from the first send to the last ACK: of processes by their
 * CPU clock, which the scheduler keeps in ns with threads that have ended; of the machine from /proc/stat as
 * what is not idle, since user and system there are samples of the timer's tick. Exit 0: all was
 * acknowledged; 1; 2 usage.
 */
#include "usage.h"

#include <base/bytes.h>
#include <bpf/bpf.h>
#include <cli/client.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FRAMES = 1 << 16, /* made beforehand, sent in turn */
	BULK_FRAMES = 1024,
	TYPE_KEPT = 1, /* bench/catalogue/prefilter.yaml */
	TYPE_DROPPED = 40,
	ANSWER_MS = 20000,
	DISCARD_BYTES = 1 << 20,
};
static const int64_t ACKS_NS = 1000000;

struct options {
	const char *to; /* NULL: --sink */
	double seconds, irrelevant, sink_ms;
	uint64_t rate, burst, seed, customers;
	int cpu, sink_cpu;
	pid_t engine;
	bool bulk, bpf_stats, only_kept;
};

struct generator {
	struct options o;
	struct client client;
	struct client_welcome welcome;
	struct frame_header *frame; /* [FRAMES] */
	uint64_t made, sent, acked, kept, acks, window_waits;
	int64_t late_max, acks_due;
	struct usage usage;
	/* the thrower's */
	int listener;
	uint16_t port;
	_Atomic bool stop;
	_Atomic uint64_t thrown; /* bytes */
	int64_t thrower_ns;
};

/* ---- frames ---- */

static void frames_make(struct generator *g)
{
	uint64_t random = g->o.seed, limit = (uint64_t)(g->o.irrelevant / 100 * 4294967296.0);

	for (uint32_t i = 0; i < FRAMES; i++) {
		uint64_t r = pace_random(&random), customer = pace_random(&random) % g->o.customers + 1;
		g->frame[i] = (struct frame_header){
			.length = FRAME_HEADER_BYTES,
			.version = FRAME_VERSION,
			.kind = FRAME_EVENT,
			.type = (r & 0xffffffff) < limit ? TYPE_DROPPED : TYPE_KEPT,
			.customer = customer,
			.account = customer + 1000000,
			.amount = (int64_t)(pace_random(&random) % 1000000),
			.balance = FRAME_BALANCE_NO_DATA,
			.currency = 978,
			.country = 724,
			.mcc = 5411,
			.touchpoint = TOUCHPOINT_pos,
		};
	}
}

/* The next `count` frames in one piece, numbered and with this time. */
static const char *frames_next(struct generator *g, uint32_t count, int64_t time)
{
	struct frame_header *f = &g->frame[g->made % FRAMES];

	for (uint32_t i = 0; i < count; i++) {
		f[i].sequence = g->sent + i + 1;
		f[i].time = time;
		g->kept += f[i].type == TYPE_KEPT;
	}
	return (const char *)f;
}

/* ---- the connection ---- */

static size_t hello_write(const struct generator *g, uint8_t *out)
{
	struct frame_header h = { .kind = FRAME_HELLO };
	uint64_t random = g->o.seed ^ (uint64_t)client_wall(), stream[2];
	uint8_t body[256];
	struct pack_writer w;

	for (int i = 0; i < 2; i++)
		stream[i] = pace_random(&random);
	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 5);
	pack_text(&w, "role");
	pack_text(&w, "source");
	pack_text(&w, "name");
	pack_text(&w, "bench");
	pack_text(&w, "version");
	pack_int(&w, FRAME_VERSION);
	pack_text(&w, "stream");
	pack_binary(&w, stream, sizeof stream);
	pack_text(&w, "first");
	pack_uint(&w, 1);
	return client_frame_write(out, h, body, pack_bytes(&w));
}

static bool source_open(struct generator *g)
{
	uint8_t hello[FRAME_HEADER_BYTES + 256];
	struct client_refusal refusal = { .code = "" };
	int rc = client_open(&g->client, g->o.to, hello, hello_write(g, hello), ANSWER_MS, &g->welcome,
			     &refusal);

	if (rc == -EPERM)
		client_print_refusal("generate", &refusal);
	else if (rc)
		fprintf(stderr, "generate: %s: %s\n", g->o.to,
			rc == -EBADMSG ? g->client.problem : strerror(-rc));
	if (!rc && (g->welcome.next != 1 || g->welcome.window_events < BULK_FRAMES)) {
		fprintf(stderr, "generate: a strange WELCOME\n");
		return false;
	}
	return rc == 0;
}

static bool ack_take(struct generator *g, const struct client_frame *f)
{
	struct client_refusal refusal;

	if (f->header.kind == FRAME_ACK && f->header.type == FRAME_EVENT) {
		g->acks++;
		g->acked = f->header.sequence;
		return g->acked <= g->sent;
	}
	if (f->header.kind != FRAME_ERROR)
		return f->header.kind == FRAME_PING;
	client_read_refusal(f, &refusal);
	client_print_refusal("generate", &refusal);
	return false;
}

/* What the engine has said meanwhile; `wait`: at least something. */
static bool acks_read(struct generator *g, bool wait)
{
	struct pollfd p = { .fd = g->client.fd, .events = POLLIN };
	struct client_frame f;
	int got;

	if (wait && poll(&p, 1, ANSWER_MS) <= 0)
		return false;
	if (client_fill(&g->client) < 0)
		return false;
	while ((got = client_next(&g->client, &f)) > 0)
		if (!ack_take(g, &f))
			return false;
	return got == 0;
}

/* ---- sending ---- */

static bool window_keep(struct generator *g, uint32_t count)
{
	if (!g->o.to)
		return true;
	uint64_t bytes = g->welcome.window_bytes / FRAME_HEADER_BYTES;
	uint64_t window = g->welcome.window_events < bytes ? g->welcome.window_events : bytes;
	while (g->sent + count - g->acked > window) {
		g->window_waits++;
		if (!acks_read(g, true))
			return false;
	}
	return true;
}

static bool frames_send(struct generator *g, uint32_t count, int64_t time)
{
	if (g->o.only_kept && g->frame[g->made % FRAMES].type == TYPE_DROPPED) {
		g->made++;
		return true;
	}
	if (!window_keep(g, count))
		return false;
	const char *at = frames_next(g, count, time);
	size_t left = (size_t)count * FRAME_HEADER_BYTES;
	g->sent += count;
	g->made += count;
	while (left) {
		ssize_t n = send(g->client.fd, at, left, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		at += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* A burst: one event a segment, or whole writes of 64 KiB. */
static bool burst_send(struct generator *g, uint64_t count)
{
	uint32_t step = g->o.bulk ? BULK_FRAMES : 1;
	int64_t time = client_wall();

	for (uint64_t i = 0; i < count; i += step)
		if (!frames_send(g, step, time))
			return false;
	int64_t now = pace_now();
	if (!g->o.to || now < g->acks_due)
		return true;
	g->acks_due = now + ACKS_NS;
	return acks_read(g, false);
}

static bool events_send(struct generator *g)
{
	int64_t start = pace_now(), end = start + (int64_t)(g->o.seconds * 1e9);
	double step = g->o.rate ? (double)g->o.burst * 1e9 / (double)g->o.rate : 0;

	for (uint64_t i = 0;; i++) {
		int64_t due = start + (int64_t)((double)i * step), now = pace_now();
		if ((g->o.rate ? due : now) >= end)
			return true;
		if (g->o.rate && now < due) {
			pace_sleep_until(due);
			now = pace_now();
		}
		if (g->o.rate && now - due > g->late_max)
			g->late_max = now - due;
		if (!burst_send(g, g->o.burst))
			return false;
	}
}

static bool all_acknowledged(struct generator *g)
{
	while (g->o.to && g->acked < g->sent)
		if (!acks_read(g, true))
			return false;
	while (!g->o.to && atomic_load(&g->thrown) < g->sent * FRAME_HEADER_BYTES)
		usleep(1000);
	return true;
}

/* ---- the thrower ---- */

static bool sink_open(struct generator *g)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof at;
	int room = 64 << 20;

	g->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (g->listener < 0)
		return false;
	if (setsockopt(g->listener, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
		setsockopt(g->listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (bind(g->listener, (struct sockaddr *)&at, sizeof at) || listen(g->listener, 1) ||
	    getsockname(g->listener, (struct sockaddr *)&at, &bytes))
		return false;
	g->port = ntohs(at.sin_port);
	return true;
}

/* MSG_TRUNC on TCP: taken off the queue without a copy. */
static void *thrower_run(void *arg)
{
	struct generator *g = arg;
	int fd = accept(g->listener, NULL, NULL);

	pace_pin(g->o.sink_cpu);
	for (int64_t due = pace_now(); fd >= 0 && !atomic_load(&g->stop);) {
		ssize_t n;
		due += (int64_t)(g->o.sink_ms * 1e6);
		pace_sleep_until(due);
		while ((n = recv(fd, NULL, DISCARD_BYTES, MSG_TRUNC | MSG_DONTWAIT)) > 0)
			atomic_fetch_add(&g->thrown, (uint64_t)n);
		if (n == 0)
			break;
	}
	g->thrower_ns = pace_clock(CLOCK_THREAD_CPUTIME_ID);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static bool sink_connect(struct generator *g)
{
	char to[32];
	int one = 1;

	snprintf(to, sizeof to, "127.0.0.1:%u", g->port);
	g->client.fd = client_connect(to);
	return g->client.fd >= 0 && !setsockopt(g->client.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- the run ---- */

static bool run(struct generator *g)
{
	int stats = g->o.bpf_stats ? bpf_enable_stats(BPF_STATS_RUN_TIME) : -1;

	if (g->o.bpf_stats && stats < 0)
		fprintf(stderr, "generate: no BPF run times: %s\n", strerror(errno));
	struct usage before = usage_now(g->o.engine);
	bool good = events_send(g) && all_acknowledged(g);
	g->usage = usage_between(before, usage_now(g->o.engine));
	if (stats >= 0)
		close(stats); /* and they are off again */
	return good;
}

static bool run_alone(struct generator *g)
{
	pthread_t thrower;

	if (!sink_open(g) || pthread_create(&thrower, NULL, thrower_run, g))
		return false;
	bool good = sink_connect(g) && run(g);
	atomic_store(&g->stop, true);
	client_close(&g->client);
	shutdown(g->listener, SHUT_RDWR);
	pthread_join(thrower, NULL);
	close(g->listener);
	return good;
}

static bool run_to_engine(struct generator *g)
{
	bool good = source_open(g) && run(g);

	if (!good)
		fprintf(stderr,
			"generate: the connection ended, or no answer came: %llu sent, %llu acknowledged\n",
			(unsigned long long)g->sent, (unsigned long long)g->acked);
	client_finish(&g->client);
	return good;
}

static void report(const struct generator *g)
{
	const struct usage *u = &g->usage;

	printf("{\"made\": %llu, \"events\": %llu, \"kept\": %llu, \"dropped\": %llu, \"seconds\": %.6f, "
	       "\"rate\": %.1f, "
	       "\"seed\": %llu, \"engine_ns\": %lld, \"generator_ns\": %lld, \"thrower_ns\": %lld, "
	       "\"busy_ns\": %lld, \"busy_sampled_ns\": %lld, \"acks\": %llu, \"window_waits\": %llu, "
	       "\"late_max\": %lld, \"from\": %lld, \"to\": %lld}\n",
	       (unsigned long long)g->made, (unsigned long long)g->sent, (unsigned long long)g->kept,
	       (unsigned long long)(g->sent - g->kept), (double)u->wall / 1e9,
	       (double)g->sent * 1e9 / (double)u->wall, (unsigned long long)g->o.seed, (long long)u->engine,
	       (long long)u->own, (long long)g->thrower_ns, (long long)u->busy, (long long)u->sampled,
	       (unsigned long long)g->acks, (unsigned long long)g->window_waits, (long long)g->late_max,
	       (long long)u->from, (long long)(u->from + u->wall));
}

static const char usage_text[] =
	"usage: generate --to HOST:PORT | --sink  [options]\n"
	"\n"
	"  --seconds S        how long; default 2\n"
	"  --irrelevant P     percent of the events that are of the type that no rule uses; default 95\n"
	"  --rate N           events/s; without it as fast as the window allows\n"
	"  --burst N          events between two sleeps; default 10, with --bulk 1024\n"
	"  --bulk             64 KiB a send() instead of one event\n"
	"  --only-kept        leaves the irrelevant ones out, at the same times: what the others cost alone\n"
	"  --customers N      default 10000\n"
	"  --seed N           default 1\n"
	"  --cpu N            of this program; --sink-cpu N of the thrower\n"
	"  --sink-ms MS       how often the thrower wakes; default 10\n"
	"  --engine-pid PID   whose CPU is counted\n"
	"  --bpf-stats        the kernel counts run times of BPF programs during the run, and only then\n";

static const struct option options_table[] = {
	{ "to", required_argument, NULL, 't' },
	{ "sink", no_argument, NULL, 'k' },
	{ "seconds", required_argument, NULL, 'S' },
	{ "irrelevant", required_argument, NULL, 'i' },
	{ "rate", required_argument, NULL, 'r' },
	{ "burst", required_argument, NULL, 'b' },
	{ "bulk", no_argument, NULL, 'B' },
	{ "only-kept", no_argument, NULL, 'O' },
	{ "customers", required_argument, NULL, 'c' },
	{ "seed", required_argument, NULL, 's' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "sink-cpu", required_argument, NULL, 'K' },
	{ "sink-ms", required_argument, NULL, 'm' },
	{ "engine-pid", required_argument, NULL, 'p' },
	{ "bpf-stats", no_argument, NULL, 'P' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void option_take(struct options *o, int letter)
{
	switch (letter) {
	case 't':
		o->to = optarg;
		break;
	case 'k':
		o->to = NULL;
		break;
	case 'S':
		o->seconds = atof(optarg);
		break;
	case 'i':
		o->irrelevant = atof(optarg);
		break;
	case 'r':
		o->rate = strtoull(optarg, NULL, 10);
		break;
	case 'b':
		o->burst = strtoull(optarg, NULL, 10);
		break;
	case 'B':
		o->bulk = true;
		break;
	case 'O':
		o->only_kept = true;
		break;
	case 'c':
		o->customers = strtoull(optarg, NULL, 10);
		break;
	case 's':
		o->seed = strtoull(optarg, NULL, 10);
		break;
	case 'C':
		o->cpu = atoi(optarg);
		break;
	case 'K':
		o->sink_cpu = atoi(optarg);
		break;
	case 'm':
		o->sink_ms = atof(optarg);
		break;
	case 'p':
		o->engine = atoi(optarg);
		break;
	case 'P':
		o->bpf_stats = true;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	default:
		fputs(usage_text, stderr);
		exit(2);
	}
}

static bool options_good(struct options *o)
{
	if (!o->burst)
		o->burst = o->bulk ? BULK_FRAMES : 10;
	return o->seconds > 0 && o->irrelevant >= 0 && o->irrelevant <= 100 && o->customers > 0 &&
	       (!o->bulk || (o->burst % BULK_FRAMES == 0 && !o->only_kept)) && o->sink_ms > 0;
}

int main(int argc, char **argv)
{
	struct generator *g = calloc(1, sizeof *g);
	int letter;

	if (!g)
		return 1;
	g->o = (struct options){ .seconds = 2,
				 .irrelevant = 95,
				 .sink_ms = 10,
				 .seed = 1,
				 .customers = 10000,
				 .cpu = -1,
				 .sink_cpu = -1 };
	while ((letter = getopt_long(argc, argv, "", options_table, NULL)) != -1)
		option_take(&g->o, letter);
	if (optind < argc || argc == 1 || !options_good(&g->o)) {
		fputs(usage_text, stderr);
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1000);
	g->frame = calloc(FRAMES, sizeof *g->frame);
	bool good = g->frame && !client_init(&g->client) && !pace_pin(g->o.cpu);
	if (good) {
		frames_make(g);
		good = g->o.to ? run_to_engine(g) : run_alone(g);
	}
	if (good)
		report(g);
	client_deinit(&g->client);
	free(g->frame);
	free(g);
	return good ? 0 : 1;
}
