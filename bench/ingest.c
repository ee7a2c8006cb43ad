// needs: user/base/*.c user/uring/*.c user/prefilter/*.c
/*
 * ingest.c: how long an event takes from its intended send time to the moment the engine's side has it, by
 * one of four ways in: io_uring multishot recv or the pre-filter's ring, each spinning or asleep.
 *
 * One process, two threads, each on its own CPU: the generator sends one frame of 64 bytes a send(),
 * TCP_NODELAY, open loop, spinning for the time so that it is exact; the receiver runs the product's own
 * code, user/uring and user/prefilter, in the loop of user/live.c without what follows ingest. Both ways
 * share that loop and end at the same call, conn_frame(). Every frame's sequence is checked, and a checksum
 * over all bytes.
 *
 * Out: one JSON object on stdout. Exit 0: all frames came, in order, unchanged; 1: not, or something is
 * missing; 2 usage. What can go wrong: the kernel way needs the privileges that momentd --prefilter=kernel
 * needs.
 */
#include "pace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <prefilter/prefilter.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uring/conn.h>

enum way { RECV_SPINNING, RECV_WAITING, KERNEL_SPINNING, KERNEL_WAITING, WAY_COUNT };
static const char *const way_names[WAY_COUNT] = { "recv-spinning", "recv-waiting", "kernel-spinning",
						  "kernel-waiting" };
enum { TYPE_KEPT = 1, TYPE_DROPPED = 40, ACKS_EVERY = 256 };
static const int64_t SECOND = 1000000000, WAIT_NS = 50000000;

struct options {
	enum way way;
	uint64_t events, rate, seed;
	uint32_t irrelevant; /* percent of the events, of a type that the table drops */
	int engine_cpu, generator_cpu;
};

struct bench {
	struct options o;
	struct ring ring;
	struct conns conns;
	struct prefilter *prefilter;
	struct interest_table *table;
	struct conn *conn; /* the generator's, once it was accepted */
	_Atomic bool go, failed;
	/* the generator's */
	uint64_t sum_sent, dropped_sent; /* the sum: of those that are kept */
	int64_t late_max, generator_ns;
	/* the receiver's */
	uint64_t expected, sum_taken, kept, dropped;
	uint64_t acked, acks;			     /* sequence; frames */
	bool ack_wanted;			     /* for one that was kept */
	int64_t *latency, engine_ns, started, ended; /* intended time of the first, when the last came */
	long sleeps;
	bool bell_armed, wrong;
};

/* The order of the frames changes it too. */
static uint64_t checksum(uint64_t sum, const void *frame)
{
	uint64_t word[FRAME_HEADER_BYTES / 8];

	memcpy(word, frame, sizeof word);
	for (size_t i = 0; i < FRAME_HEADER_BYTES / 8; i++)
		sum = (sum ^ word[i]) * 0x9e3779b97f4a7c15ULL;
	return sum;
}

/* ---- the generator ---- */

static struct frame_header event_make(uint64_t *random, uint64_t sequence, int64_t intended,
				      uint32_t irrelevant)
{
	uint64_t r = pace_random(random);

	return (struct frame_header){
		.length = FRAME_HEADER_BYTES,
		.version = FRAME_VERSION,
		.kind = FRAME_EVENT,
		.type = r / 100000 % 100 < irrelevant ? TYPE_DROPPED : TYPE_KEPT,
		.sequence = sequence,
		.customer = r % 100000 + 1,
		.account = r % 100000 + 1000001,
		.time = intended,
		.amount = (int64_t)(r >> 40),
		.balance = FRAME_BALANCE_NO_DATA,
		.currency = 978,
		.country = 724,
		.mcc = 5411,
		.touchpoint = TOUCHPOINT_pos,
	};
}

static int source_connect(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one)) {
		perror("ingest: connect");
		return -1;
	}
	return fd;
}

static bool events_send(struct bench *b, int fd)
{
	int64_t start = pace_now() + SECOND / 1000, step = SECOND / (int64_t)b->o.rate;
	uint64_t random = b->o.seed;
	char acks[ACKS_EVERY * FRAME_HEADER_BYTES];

	b->started = start;
	for (uint64_t i = 0; i < b->o.events; i++) {
		int64_t due = start + (int64_t)i * step, now;
		struct frame_header h = event_make(&random, i + 1, due, b->o.irrelevant);
		if (h.type == TYPE_DROPPED)
			b->dropped_sent++;
		else
			b->sum_sent = checksum(b->sum_sent, &h);
		while ((now = pace_now()) < due)
			;
		if (now - due > b->late_max)
			b->late_max = now - due;
		if (send(fd, &h, sizeof h, MSG_NOSIGNAL) != (ssize_t)sizeof h)
			return false;
		if (i % ACKS_EVERY == 0) /* what the receiver acknowledges is read, and thrown away */
			(void)!recv(fd, acks, sizeof acks, MSG_DONTWAIT | MSG_TRUNC);
	}
	return true;
}

static void *generator_run(void *arg)
{
	struct bench *b = arg;
	int fd = pace_pin(b->o.generator_cpu) ? -1 : source_connect(conns_port(&b->conns));

	while (fd >= 0 && !atomic_load(&b->go) && !atomic_load(&b->failed))
		usleep(100);
	if (fd < 0 || !events_send(b, fd))
		atomic_store(&b->failed, true);
	b->generator_ns = pace_clock(CLOCK_THREAD_CPUTIME_ID);
	while (atomic_load(&b->go) && !atomic_load(&b->failed))
		usleep(1000); /* the receiver says when it has all */
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* ---- the receiver ---- */

static void bell_arm(struct bench *b)
{
	if (b->bell_armed || b->o.way != KERNEL_WAITING)
		return;
	struct io_uring_sqe *sqe = ring_sqe(&b->ring);
	io_uring_prep_poll_multishot(sqe, prefilter_bell_fd(b->prefilter), POLLIN);
	sqe->user_data = ring_tag(RING_BELL, 0);
	b->bell_armed = true;
}

static void completions_take(struct bench *b)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&b->ring.io, head, cqe)
	{
		enum ring_owner owner = ring_owner_of(cqe->user_data);
		if (owner == RING_BELL) {
			prefilter_bells_take(b->prefilter);
			b->bell_armed = cqe->flags & IORING_CQE_F_MORE;
		} else if (owner != RING_CANCEL)
			conns_complete(&b->conns, cqe, 0);
		n++;
	}
	if (!n)
		return;
	io_uring_cq_advance(&b->ring.io, n);
	conns_arm(&b->conns, 0); /* a receive that ended */
	bell_arm(b);
}

/* A call each turn. Waiting for the ring's TASKRUN flag first, as ring_enter() does, saves the calls and
 * takes 0.6 us longer to the frame: the yardstick has the better of the two. */
static int recv_spin(struct bench *b)
{
	struct io_uring *io = &b->ring.io;
	int rc = io_uring_sq_ready(io) ? io_uring_submit_and_get_events(io) : io_uring_get_events(io);

	return rc < 0 ? rc : 0;
}

/* As user/live.c: whoever sleeps says so, looks once more, and only then waits. */
static int turn_wait(struct bench *b)
{
	if (b->o.way == RECV_SPINNING)
		return recv_spin(b);
	if (b->o.way == KERNEL_SPINNING)
		return ring_enter(&b->ring, 0);
	if (io_uring_cq_ready(&b->ring.io))
		return ring_enter(&b->ring, 0);
	if (b->o.way == RECV_WAITING)
		return ring_enter(&b->ring, WAIT_NS);
	prefilter_sleep(b->prefilter);
	int rc = ring_enter(&b->ring, reader_waits(&b->conn->reader) ? 0 : WAIT_NS);
	prefilter_wake(b->prefilter);
	return rc;
}

/* As user/ingest: the header, then the decision, also for what the kernel has kept. */
static void frame_take(struct bench *b, const char *frame)
{
	struct frame_header h;
	int64_t now = pace_now();

	memcpy(&h, frame, sizeof h);
	b->ended = now;
	if (header_check(&h, ROLE_OF_SOURCE) != HEADER_GOOD || b->expected > b->o.events) {
		b->wrong = true;
		return;
	}
	switch (filter_decide(&b->table->type[h.type], &b->table->sets, &h, b->expected)) {
	case FILTER_KEEP:
		b->latency[b->kept++] = now - h.time;
		b->sum_taken = checksum(b->sum_taken, &h);
		b->ack_wanted = true;
		break;
	case FILTER_DROP:
		b->dropped++;
		break;
	default:
		b->wrong = true;
	}
	b->expected++;
}

static void record_take(struct bench *b, const char *record)
{
	struct ring_dropped r;

	memcpy(&r, record, FRAME_HEADER_BYTES);
	b->dropped += r.count;
	b->expected += r.count;
	b->ended = pace_now();
	if (r.last + 1 != b->expected)
		b->wrong = true;
}

/* When the engine would: for what was kept at once, for dropped ones by a quarter of the window. Without the
 * journal in between: what that costs is no matter of the way in. */
static void ack_send(struct bench *b)
{
	struct frame_header h = { .length = sizeof h,
				  .version = FRAME_VERSION,
				  .kind = FRAME_ACK,
				  .type = FRAME_EVENT,
				  .sequence = b->expected - 1 };

	if (!b->o.irrelevant || (!b->ack_wanted && h.sequence - b->acked < RING_BELL_EVENTS))
		return;
	if (!conn_send(&b->conns, b->conn, &h, sizeof h))
		return;
	conns_flush(&b->conns);
	b->acked = h.sequence;
	b->acks++;
	b->ack_wanted = false;
}

static bool events_take(struct bench *b)
{
	int64_t until = pace_now() + (int64_t)(b->o.events / b->o.rate + 10) * SECOND;
	const char *frame;
	uint32_t bytes;
	int rc;

	while (b->expected <= b->o.events && !b->wrong) {
		completions_take(b);
		while ((rc = conn_frame(&b->conns, b->conn, &frame, &bytes)) > 0) {
			if (rc == 1)
				frame_take(b, frame);
			else
				record_take(b, frame);
			conn_frame_done(&b->conns, b->conn);
		}
		ack_send(b);
		if (rc < 0 || turn_wait(b) || atomic_load_explicit(&b->failed, memory_order_relaxed))
			return false;
		if (b->expected % 65536 == 1 && pace_now() > until)
			return false;
	}
	return !b->wrong;
}

/* The generator is accepted; by the kernel way its socket joins the pre-filter's map. */
static bool source_in(struct bench *b)
{
	int64_t until = pace_now() + 5 * SECOND;
	bool kernel = b->o.way == KERNEL_SPINNING || b->o.way == KERNEL_WAITING;

	b->conn = &b->conns.conn[0];
	while (pace_now() < until && !atomic_load(&b->failed)) {
		conns_arm(&b->conns, 0);
		if (ring_enter(&b->ring, SECOND / 1000))
			return false;
		completions_take(b);
		if (b->conn->role == CONN_FREE || !b->conn->receiving)
			continue;
		if (!kernel)
			return true;
		conn_join_begin(&b->conns, b->conn);
		while (!conn_join_ready(b->conn) && !ring_enter(&b->ring, SECOND / 1000))
			completions_take(b);
		int rc = conn_join(&b->conns, b->conn, 1);
		if (rc)
			fprintf(stderr, "ingest: the socket may not join: %s\n", strerror(-rc));
		return rc == 0;
	}
	return false;
}

static bool receiver_run(struct bench *b)
{
	struct rusage before, after;

	if (pace_pin(b->o.engine_cpu) || !source_in(b))
		return false;
	bell_arm(b);
	int64_t cpu = pace_clock(CLOCK_THREAD_CPUTIME_ID);
	getrusage(RUSAGE_THREAD, &before);
	atomic_store(&b->go, true);
	bool good = events_take(b);
	getrusage(RUSAGE_THREAD, &after);
	b->engine_ns = pace_clock(CLOCK_THREAD_CPUTIME_ID) - cpu;
	b->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	return good;
}

/* ---- the run ---- */

static void report(struct bench *b)
{
	uint64_t skipped = b->kept / 10, count = b->kept - skipped; /* the first tenth warms up */
	int64_t *l = b->latency + skipped;

	qsort(l, count, sizeof *l, pace_order);
	printf("{\"way\": \"%s\", \"events\": %llu, \"rate\": %llu, \"seed\": %llu, \"checksum\": "
	       "\"%016llx\", "
	       "\"p50\": %lld, \"p90\": %lld, \"p99\": %lld, \"p999\": %lld, \"max\": %lld, \"late_max\": "
	       "%lld, "
	       "\"engine_ns\": %.1f, \"generator_ns\": %.1f, \"sleeps\": %.4f, \"from\": %lld, \"to\": "
	       "%lld, \"kept\": %llu, \"dropped\": %llu, \"acks\": %llu}\n",
	       way_names[b->o.way], (unsigned long long)b->o.events, (unsigned long long)b->o.rate,
	       (unsigned long long)b->o.seed, (unsigned long long)b->sum_taken,
	       (long long)pace_percentile(l, count, 0.5), (long long)pace_percentile(l, count, 0.9),
	       (long long)pace_percentile(l, count, 0.99), (long long)pace_percentile(l, count, 0.999),
	       (long long)pace_percentile(l, count, 1), (long long)b->late_max,
	       (double)b->engine_ns / (double)b->o.events, (double)b->generator_ns / (double)b->o.events,
	       (double)b->sleeps / (double)b->o.events, (long long)b->started, (long long)b->ended,
	       (unsigned long long)b->kept, (unsigned long long)b->dropped, (unsigned long long)b->acks);
}

static bool run(struct bench *b)
{
	pthread_t generator;

	if (pthread_create(&generator, NULL, generator_run, b))
		return false;
	bool good = receiver_run(b);
	if (!good)
		atomic_store(&b->failed, true);
	atomic_store(&b->go, false);
	pthread_join(generator, NULL);
	if (good && (b->sum_sent != b->sum_taken || b->dropped_sent != b->dropped))
		good = false;
	if (!good)
		fprintf(stderr, "ingest: %s: %llu of %llu frames came, %s\n", way_names[b->o.way],
			(unsigned long long)b->expected - 1, (unsigned long long)b->o.events,
			b->wrong ? "then one out of order" : "or not the bytes that were sent");
	return good;
}

static int open_all(struct bench *b)
{
	char why[256] = "";
	bool kernel = b->o.way == KERNEL_SPINNING || b->o.way == KERNEL_WAITING;
	int rc = kernel ? prefilter_open(&b->prefilter, NULL, why, sizeof why) : 0;

	if (rc) {
		fprintf(stderr, "ingest: no kernel way: %s\n", why);
		return rc;
	}
	rc = ring_init(&b->ring, 256, CONN_BUFFERS, CONN_BUFFER_BYTES);
	if (!rc)
		rc = conns_init(&b->conns, &b->ring, "127.0.0.1", 0);
	if (rc)
		fprintf(stderr, "ingest: io_uring: %s\n", strerror(-rc));
	b->conns.prefilter = b->prefilter;
	if (b->prefilter)
		prefilter_table_set(b->prefilter, b->table);
	return rc;
}

static void usage(FILE *to)
{
	fputs("usage: ingest --way recv-spinning|recv-waiting|kernel-spinning|kernel-waiting [--events N]\n"
	      "              [--rate N] [--irrelevant PERCENT] [--seed N] [--engine-cpu N] [--generator-cpu "
	      "N]\n"
	      "With --irrelevant there are ACKs as the engine sends them, and times are of the events "
	      "kept.\n",
	      to);
}

static bool options_take(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "way", required_argument, NULL, 'w' },
		{ "events", required_argument, NULL, 'n' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ "irrelevant", required_argument, NULL, 'i' },
		{ "engine-cpu", required_argument, NULL, 'e' },
		{ "generator-cpu", required_argument, NULL, 'g' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (letter == 'w')
			for (o->way = 0; o->way < WAY_COUNT && strcmp(optarg, way_names[o->way]);)
				o->way++;
		else if (letter == 'n')
			o->events = strtoull(optarg, NULL, 10);
		else if (letter == 'r')
			o->rate = strtoull(optarg, NULL, 10);
		else if (letter == 's')
			o->seed = strtoull(optarg, NULL, 10);
		else if (letter == 'i')
			o->irrelevant = (uint32_t)atoi(optarg);
		else if (letter == 'e')
			o->engine_cpu = atoi(optarg);
		else if (letter == 'g')
			o->generator_cpu = atoi(optarg);
		else
			return false;
	}
	return optind == argc && o->way < WAY_COUNT && o->events >= 100 && o->rate > 0 && o->irrelevant < 100;
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof *b);

	if (!b)
		return 1;
	b->o = (struct options){
		.way = WAY_COUNT, .events = 40000, .rate = 20000, .seed = 1, .generator_cpu = 1
	};
	b->expected = 1;
	if (!options_take(&b->o, argc, argv)) {
		usage(stderr);
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1000);
	b->latency = calloc(b->o.events, sizeof *b->latency);
	b->table = calloc(1, sizeof *b->table);
	if (b->table) {
		b->table->type[TYPE_KEPT].action = INTEREST_KEEP;
		b->table->type[TYPE_DROPPED].action = INTEREST_DROP;
	}
	bool good = b->latency && b->table && !open_all(b) && run(b);
	if (good)
		report(b);
	if (b->ring.io.ring_fd)
		conns_deinit(&b->conns);
	ring_deinit(&b->ring);
	prefilter_close(b->prefilter);
	free(b->table);
	free(b->latency);
	free(b);
	return good ? 0 : 1;
}
