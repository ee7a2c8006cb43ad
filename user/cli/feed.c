/*
 * feed.c: `moment feed`, a source. Makes or reads events, sends them, forgets what is acknowledged.
 *
 * One thread, one round: receive, make, send, and wait only when none of them got on. While the connection is
 * away nothing is made; afterwards it goes on at WELCOME's sequence. The events live in struct resend until
 * the engine has acknowledged them. What can go wrong ends in an exit code: the engine refuses (1), a bad
 * option or line (2), nobody answers for --patience seconds (3).
 */
#include "cli.h"
#include "client.h"
#include "input.h"
#include "resend.h"
#include <base/histogram.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ROUND_BYTES = 128 << 10, STREAM_BYTES = 16, ANSWER_MS = 30000 };
#define SECOND 1000000000ll

static const char help[] =
	"moment feed --to HOST:PORT FILE | --synthetic SPEC [options]\n"
	"A source: sends events to the engine, resumes after a lost connection, keeps each until it is "
	"acknowledged.\n"
	"\n"
	"  FILE                NDJSON, PaySim or Sparkov rows, or a recording; plain or .gz; - = standard "
	"input (NDJSON;\n"
	"                      answers are read between two lines). Format: schemas/frame.md, \"Events as "
	"NDJSON\"\n"
	"  --synthetic SPEC    "
	"demo[:customers=100000,events=1000000,days=1,start=SECONDS,joint=15,cards=10,part=K/N]\n"
	"                      the made-up bank whose import file `moment generate` writes; part=0/2 and "
	"part=1/2 share it\n"
	"  --seed N            of the synthetic bank and its traffic (1)\n"
	"  --to HOST:PORT      the engine (127.0.0.1:7400)\n"
	"  --name NAME         this source's name (feed)\n"
	"  --stream HEX        the 16 bytes that name the numbering, 32 hex digits (random)\n"
	"  --rate N            events a second, at times set beforehand whatever the engine does; 0 = full "
	"speed (0)\n"
	"  --count N           stop after N events (all)\n"
	"  --window N          at most N events without acknowledgement (what WELCOME allows)\n"
	"  --times=now         stamp each event with the wall clock at its intended send time; --times=event "
	"keeps its own\n"
	"  --resume-state FILE keep stream and last acknowledged sequence there, and go on from it: the "
	"input is\n"
	"                      read again and what was acknowledged is skipped\n"
	"  --record FILE       write each frame as sent; `moment feed FILE` sends them again\n"
	"  --patience SECONDS  how long to try to connect again (10)\n"
	"  --json              end with one JSON object: sent, acknowledged, resumed, resent, verdicts "
	"{approve, review,\n"
	"                      decline}, seconds, events_per_second, latency_ns and verdict_latency_ns {p50, "
	"p90, p99,\n"
	"                      p999, max} from the intended send time to the ACK or VERDICT, stream, error\n"
	"\n"
	"Exit: 0 all acknowledged; 1 the engine refused (its ERROR is printed); 2 usage, or a line of FILE "
	"is wrong\n"
	"(printed with its number; what was before it is sent); 3 no connection; 130 interrupted.\n";

struct feed_options {
	const char *to, *name, *file, *synthetic, *resume_state, *record;
	uint64_t rate, seed, count, window, patience;
	uint8_t stream[STREAM_BYTES];
	bool has_stream, times_now, json;
};

struct feed {
	struct feed_options o;
	struct client client;
	struct client_signals signals;
	struct client_refusal refusal;
	struct input input;
	struct resend log;
	FILE *record;
	uint64_t first; /* the sequence before the first of this run */
	uint64_t connections, verdicts[3];
	int64_t start; /* of the first connection, monotonic ns */
	int64_t last_ack, state_written;
	bool input_ended, input_wrong, pong_wanted;
	int64_t pong_time;
	struct histogram ack, verdict;
};

static bool hex_parse(const char *text, uint8_t *out, size_t bytes)
{
	unsigned byte;

	if (strlen(text) != 2 * bytes || strspn(text, "0123456789abcdefABCDEF") != 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		sscanf(text + 2 * i, "%2x", &byte);
		out[i] = (uint8_t)byte;
	}
	return true;
}

static void hex_write(char *out, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

/* HELLO: who we are, which numbering, what we still have. */
static size_t hello_write(const struct feed *f, uint8_t *out)
{
	struct frame_header h = { .kind = FRAME_HELLO, .sequence = f->log.acked };
	uint8_t body[256];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof(body));
	pack_map(&w, 5);
	pack_text(&w, "role");
	pack_text(&w, "source");
	pack_text(&w, "name");
	pack_text(&w, f->o.name);
	pack_text(&w, "version");
	pack_int(&w, FRAME_VERSION);
	pack_text(&w, "stream");
	pack_binary(&w, f->o.stream, STREAM_BYTES);
	pack_text(&w, "first");
	pack_uint(&w, f->log.acked + 1);
	assert(!w.overflow);
	return client_frame_write(out, h, body, pack_bytes(&w));
}

/* --resume-state: "STREAM SEQUENCE\n", replaced as a whole. */
static int state_load(struct feed *f, uint64_t *acked)
{
	char stream[80];
	FILE *in = fopen(f->o.resume_state, "re");
	int got;

	*acked = 0;
	if (!in)
		return errno == ENOENT ? 0 : -errno;
	got = fscanf(in, "%79s %" SCNu64, stream, acked);
	fclose(in);
	if (got != 2 || !hex_parse(stream, f->o.stream, STREAM_BYTES))
		return -EINVAL;
	f->o.has_stream = true;
	return 0;
}

static void state_save(struct feed *f, int64_t now)
{
	char stream[2 * STREAM_BYTES + 1], path[4096];
	FILE *out;

	f->state_written = now;
	snprintf(path, sizeof(path), "%s.new", f->o.resume_state);
	hex_write(stream, f->o.stream, STREAM_BYTES);
	out = fopen(path, "we");
	if (!out || fprintf(out, "%s %" PRIu64 "\n", stream, f->log.acked) < 0 || fclose(out) != 0 ||
	    rename(path, f->o.resume_state) != 0)
		fprintf(stderr, "moment feed: cannot write %s: %s\n", f->o.resume_state, strerror(errno));
}

static void acknowledged(struct feed *f)
{
	uint64_t through = resend_forgettable(&f->log);
	int64_t now;

	if (through == f->log.acked)
		return;
	now = client_clock();
	for (uint64_t i = f->log.acked + 1; i <= through; i++)
		histogram_add(&f->ack, now - resend_intended(&f->log, i));
	resend_forget(&f->log, through);
	f->last_ack = now;
	if (f->o.resume_state && now - f->state_written > SECOND / 5)
		state_save(f, now);
}

static int protocol_error(struct feed *f, const char *text, uint64_t number)
{
	snprintf(f->client.problem, sizeof(f->client.problem), "%s (%" PRIu64 ")", text, number);
	return -EBADMSG;
}

static void take_verdict(struct feed *f, const struct frame_header *h)
{
	int64_t intended = resend_intended(&f->log, h->sequence);

	f->verdicts[h->type]++;
	if (intended)
		histogram_add(&f->verdict, client_clock() - intended);
}

static int take_frame(struct feed *f, const struct client_frame *frame)
{
	const struct frame_header *h = &frame->header;

	switch (h->kind) {
	case FRAME_ACK:
		if (h->type != FRAME_EVENT || !resend_acknowledge(&f->log, h->sequence))
			return protocol_error(f, "an ACK for what was never sent", h->sequence);
		return 0;
	case FRAME_VERDICT:
		take_verdict(f, h);
		return 0;
	case FRAME_PING:
		f->pong_wanted = true;
		f->pong_time = h->time;
		return 0;
	case FRAME_PONG:
		return 0;
	case FRAME_ERROR:
		client_read_refusal(frame, &f->refusal);
		return -EPERM;
	default:
		return protocol_error(f, "a kind of frame that a source does not get", h->kind);
	}
}

/* Everything that is there: bytes received, or -errno. */
static long receive_round(struct feed *f)
{
	struct client_frame frame;
	long n = client_fill(&f->client);
	int got;

	while ((got = client_next(&f->client, &frame)) > 0) {
		int result = take_frame(f, &frame);

		if (result < 0)
			return result;
	}
	acknowledged(f);
	return got < 0 ? got : n;
}

/* When the next event should be sent; now, at full speed. */
static int64_t intended_next(const struct feed *f, int64_t now)
{
	uint64_t k = f->log.made - f->first;

	if (f->o.rate == 0)
		return now;
	return f->start + (int64_t)((unsigned __int128)k * SECOND / f->o.rate);
}

static void input_stop(struct feed *f, long result)
{
	f->input_ended = true;
	if (result < 0) {
		f->input_wrong = true;
		fprintf(stderr, "moment feed: %s: %s\n", f->o.file ? f->o.file : "synthetic", f->input.error);
	}
}

/* The next event into the log; false when there is none or no room. */
static bool make_one(struct feed *f, int64_t intended, int64_t wall_offset)
{
	uint8_t *frame = resend_room(&f->log);
	struct frame_header h;
	int64_t due;
	long bytes;

	if (!frame)
		return false;
	if (f->o.count && f->log.made - f->first >= f->o.count) {
		input_stop(f, 0);
		return false;
	}
	bytes = input_next(&f->input, frame, &due);
	if (bytes <= 0) {
		input_stop(f, bytes);
		return false;
	}
	memcpy(&h, frame, sizeof(h));
	h.sequence = f->log.made + 1;
	if (f->o.times_now && h.kind == FRAME_EVENT)
		h.time = intended + wall_offset; /* late ones too: the sink measures from it */
	memcpy(frame, &h, sizeof(h));
	if (f->record)
		fwrite_unlocked(frame, 1, (size_t)bytes, f->record);
	resend_add(&f->log, (size_t)bytes, intended);
	return true;
}

/* Makes what is due while the window is open, a round's worth; true when it made something. */
static bool make_round(struct feed *f)
{
	uint64_t from = f->log.at_made, before = f->log.made;
	int64_t now = client_clock(), wall_offset = client_wall() - now;

	while (!f->input_ended && f->log.at_made - from < ROUND_BYTES && resend_allow(&f->log)) {
		int64_t intended = intended_next(f, now);

		if (intended > now || !make_one(f, intended, wall_offset))
			break;
	}
	resend_allow(&f->log);
	return f->log.made != before;
}

/* Sends what the socket takes; a PONG only between two frames. */
static long send_round(struct feed *f)
{
	const uint8_t *bytes;
	size_t len = resend_pending(&f->log, &bytes);
	long n = 0;

	if (len > 0) {
		n = client_send(&f->client, bytes, len);
		if (n > 0)
			resend_sent(&f->log, (size_t)n);
	} else if (f->pong_wanted) {
		struct frame_header h = { .kind = FRAME_PONG, .time = f->pong_time };
		uint8_t pong[FRAME_HEADER_BYTES + 1];

		n = client_send_all(&f->client, pong, client_frame_write(pong, h, NULL, 0));
		f->pong_wanted = false;
	}
	return n;
}

static void wait_round(struct feed *f)
{
	const uint8_t *bytes;
	bool unsent = resend_pending(&f->log, &bytes) > 0;
	struct pollfd p[2] = { { .fd = f->client.fd, .events = (short)(POLLIN | (unsent ? POLLOUT : 0)) },
			       { .fd = f->signals.fd, .events = POLLIN } };
	struct timespec timeout = { .tv_sec = 1 };

	if (f->o.rate && !f->input_ended && f->log.allowed == f->log.made) {
		int64_t now = client_clock(), left = intended_next(f, now) - now;

		if (left < SECOND)
			timeout = (struct timespec){ .tv_nsec = left > 0 ? left : 0 };
	}
	ppoll(p, 2, &timeout, NULL);
}

static bool interrupted(struct feed *f)
{
	struct signalfd_siginfo info;

	return read(f->signals.fd, &info, sizeof(info)) == sizeof(info);
}

/* Until all is acknowledged (0), or -EINTR, -EPERM refused, -EBADMSG, other -errno: the connection is lost.
 */
static int run_connected(struct feed *f)
{
	for (;;) {
		bool made = make_round(f);
		long sent = send_round(f);
		long received = receive_round(f); /* after a failed send too: the reason may be there */

		if (received < 0)
			return (int)received;
		if (sent < 0)
			return (int)sent;
		if (f->input_ended && f->log.acked == f->log.made)
			return 0;
		if (interrupted(f))
			return -EINTR;
		if (!made && sent == 0 && received == 0)
			wait_round(f);
	}
}

/* One try: 0 when welcome, else -errno as client_open. */
static int connect_once(struct feed *f)
{
	uint8_t hello[FRAME_HEADER_BYTES + 256];
	struct client_welcome welcome;
	int result = client_open(&f->client, f->o.to, hello, hello_write(f, hello), ANSWER_MS, &welcome,
				 &f->refusal);
	uint64_t events;

	if (result < 0)
		return result;
	events = welcome.window_events;
	if (events == 0 || welcome.window_bytes < FRAME_BYTES_MAX)
		return protocol_error(f, "a WELCOME without a usable window", events);
	if (f->o.window && f->o.window < events)
		events = f->o.window;
	if (!resend_restart(&f->log, welcome.next, events, welcome.window_bytes))
		return protocol_error(f, "WELCOME asks for what was acknowledged before", welcome.next);
	f->connections++;
	f->pong_wanted = false;
	if (!f->start)
		f->start = client_clock();
	return 0;
}

static bool is_final(int result)
{
	return result == 0 || result == -EPERM || result == -EBADMSG || result == -EINVAL || result == -EINTR;
}

/* Connects, with growing pauses, for --patience seconds. */
static int connect_patiently(struct feed *f)
{
	int64_t until = client_clock() + (int64_t)f->o.patience * SECOND;
	int pause_ms = 20;

	for (;;) {
		struct pollfd p = { .fd = f->signals.fd, .events = POLLIN };
		int result = connect_once(f);

		if (is_final(result))
			return result;
		if (client_clock() > until)
			return result;
		if (poll(&p, 1, pause_ms) > 0)
			return -EINTR;
		pause_ms = pause_ms < 1000 ? 2 * pause_ms : 1000;
	}
}

static int run(struct feed *f)
{
	for (;;) {
		int result = connect_patiently(f);

		if (result < 0)
			return is_final(result) ? result : -ENOTCONN;
		result = run_connected(f);
		client_close(&f->client);
		if (is_final(result))
			return result;
		fprintf(stderr, "moment feed: connection lost (%s), trying again\n", strerror(-result));
	}
}

static void print_percentiles(const char *name, const struct histogram *l)
{
	printf(", \"%s\": {\"p50\": %" PRId64 ", \"p90\": %" PRId64 ", \"p99\": %" PRId64
	       ", \"p999\": %" PRId64 ", \"max\": %" PRId64 "}",
	       name, histogram_percentile(l, 0.5), histogram_percentile(l, 0.9),
	       histogram_percentile(l, 0.99), histogram_percentile(l, 0.999), l->max_ns);
}

static void report_json(const struct feed *f, double seconds, const char *error)
{
	uint64_t sent = f->log.made - f->first, acked = f->log.acked - f->first;
	char stream[2 * STREAM_BYTES + 1];

	hex_write(stream, f->o.stream, STREAM_BYTES);
	printf("{\"sent\": %" PRIu64 ", \"acknowledged\": %" PRIu64 ", \"resumed\": %" PRIu64
	       ", \"resent\": %" PRIu64,
	       sent, acked, f->connections ? f->connections - 1 : 0, f->log.again);
	printf(", \"verdicts\": {\"approve\": %" PRIu64 ", \"review\": %" PRIu64 ", \"decline\": %" PRIu64
	       "}",
	       f->verdicts[0], f->verdicts[1], f->verdicts[2]);
	printf(", \"seconds\": %.6f, \"events_per_second\": %.0f", seconds,
	       seconds > 0 ? (double)acked / seconds : 0.0);
	print_percentiles("latency_ns", &f->ack);
	print_percentiles("verdict_latency_ns", &f->verdict);
	printf(", \"stream\": \"%s\", \"error\": %s%s%s}\n", stream, error ? "\"" : "",
	       error ? error : "null", error ? "\"" : "");
}

static void report_text(const struct feed *f, double seconds)
{
	uint64_t sent = f->log.made - f->first, acked = f->log.acked - f->first;

	printf("sent %" PRIu64 ", acknowledged %" PRIu64 " in %.2f s (%.0f a second)", sent, acked, seconds,
	       seconds > 0 ? (double)acked / seconds : 0.0);
	if (f->connections > 1)
		printf("; connected %" PRIu64 " times, %" PRIu64 " sent again", f->connections, f->log.again);
	printf("\nacknowledged after p50 %.1f us, p90 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us\n",
	       (double)histogram_percentile(&f->ack, 0.5) / 1e3,
	       (double)histogram_percentile(&f->ack, 0.9) / 1e3,
	       (double)histogram_percentile(&f->ack, 0.99) / 1e3,
	       (double)histogram_percentile(&f->ack, 0.999) / 1e3, (double)f->ack.max_ns / 1e3);
	if (f->verdict.count)
		printf("verdicts: %" PRIu64 " approve, %" PRIu64 " review, %" PRIu64
		       " decline; p50 %.1f us, p99 %.1f us\n",
		       f->verdicts[0], f->verdicts[1], f->verdicts[2],
		       (double)histogram_percentile(&f->verdict, 0.5) / 1e3,
		       (double)histogram_percentile(&f->verdict, 0.99) / 1e3);
}

static int exit_code(struct feed *f, int result)
{
	switch (result) {
	case 0:
		return f->input_wrong ? CLI_USAGE : CLI_OK;
	case -EPERM:
		client_print_refusal("moment feed", &f->refusal);
		return CLI_FAILED;
	case -EBADMSG:
		fprintf(stderr, "moment feed: the engine breaks the protocol: %s\n", f->client.problem);
		return CLI_FAILED;
	case -EINVAL:
		fprintf(stderr, "moment feed: %s is no HOST:PORT\n", f->o.to);
		return CLI_USAGE;
	case -EINTR:
		return 130;
	default:
		fprintf(stderr, "moment feed: no connection to %s for %" PRIu64 " s\n", f->o.to,
			f->o.patience);
		return CLI_NO_CONNECTION;
	}
}

static const char *error_name(const struct feed *f, int code)
{
	switch (code) {
	case CLI_OK:
		return NULL;
	case CLI_FAILED:
		return *f->refusal.code ? f->refusal.code : "PROTOCOL";
	case CLI_USAGE:
		return "INPUT";
	case CLI_NO_CONNECTION:
		return "NO_CONNECTION";
	default:
		return "INTERRUPTED";
	}
}

static bool number_option(const char *name, const char *text, uint64_t least, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *out >= least)
		return true;
	fprintf(stderr, "moment feed: --%s %s: expected a number from %" PRIu64 " on\n", name, text, least);
	return false;
}

static bool option_set(struct feed_options *o, int option, const char *value)
{
	switch (option) {
	case 't':
		o->to = value;
		return true;
	case 'n':
		o->name = value;
		if (*value && strlen(value) < 64)
			return true;
		fprintf(stderr, "moment feed: --name must have 1 to 63 bytes\n");
		return false;
	case 's':
		o->has_stream = hex_parse(value, o->stream, STREAM_BYTES);
		if (!o->has_stream)
			fprintf(stderr, "moment feed: --stream %s: expected 32 hex digits\n", value);
		return o->has_stream;
	case 'y':
		o->synthetic = value;
		return true;
	case 'r':
		return number_option("rate", value, 0, &o->rate);
	case 'e':
		return number_option("seed", value, 0, &o->seed);
	case 'c':
		return number_option("count", value, 1, &o->count);
	case 'w':
		return number_option("window", value, 1, &o->window);
	case 'p':
		return number_option("patience", value, 0, &o->patience);
	case 'm':
		o->times_now = strcmp(value, "now") == 0;
		if (o->times_now || strcmp(value, "event") == 0)
			return true;
		fprintf(stderr, "moment feed: --times=%s: expected now or event\n", value);
		return false;
	case 'u':
		o->resume_state = value;
		return true;
	case 'd':
		o->record = value;
		return true;
	case 'j':
		o->json = true;
		return true;
	default:
		return false;
	}
}

/* CLI_OK to go on, -1 when help was printed, CLI_USAGE. */
static int options_parse(struct feed_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "to", 1, NULL, 't' },	       { "name", 1, NULL, 'n' },	 { "stream", 1, NULL, 's' },
		{ "synthetic", 1, NULL, 'y' }, { "rate", 1, NULL, 'r' },	 { "seed", 1, NULL, 'e' },
		{ "count", 1, NULL, 'c' },     { "window", 1, NULL, 'w' },	 { "patience", 1, NULL, 'p' },
		{ "times", 1, NULL, 'm' },     { "resume-state", 1, NULL, 'u' }, { "record", 1, NULL, 'd' },
		{ "json", 0, NULL, 'j' },      { "help", 0, NULL, 'h' },	 { NULL, 0, NULL, 0 },
	};
	int option;

	*o = (struct feed_options){ .to = "127.0.0.1:7400", .name = "feed", .seed = 1, .patience = 10 };
	optind = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return -1;
		}
		if (!option_set(o, option, optarg))
			return CLI_USAGE;
	}
	if (optind < argc)
		o->file = argv[optind++];
	if (optind < argc || !o->file == !o->synthetic) {
		fprintf(stderr, "moment feed: expected one FILE, or --synthetic SPEC; --help says more\n");
		return CLI_USAGE;
	}
	return CLI_OK;
}

/* Reads past what an earlier run had acknowledged; the numbering goes on behind it. */
static int input_skip(struct feed *f, uint64_t events)
{
	uint8_t *scratch = malloc(FRAME_BYTES_MAX);
	int64_t due;
	long bytes = 1;

	if (!scratch)
		return -ENOMEM;
	for (uint64_t i = 0; i < events && bytes > 0; i++)
		bytes = input_next(&f->input, scratch, &due);
	free(scratch);
	return bytes > 0 || events == 0 ? 0 : bytes < 0 ? (int)bytes : -ENODATA;
}

static int input_open(struct feed *f)
{
	int result = f->o.synthetic ? input_open_synthetic(&f->input, f->o.synthetic, f->o.seed)
				    : input_open_file(&f->input, f->o.file);

	if (result)
		fprintf(stderr, "moment feed: %s\n", f->input.error);
	return result;
}

/* Everything before the first connection; CLI_OK or CLI_USAGE. */
static int feed_open(struct feed *f)
{
	int result;

	if (f->o.resume_state && (result = state_load(f, &f->first)) != 0) {
		fprintf(stderr, "moment feed: %s: %s\n", f->o.resume_state,
			result == -EINVAL ? "no resume state" : strerror(-result));
		return CLI_USAGE;
	}
	if (!f->o.has_stream && getrandom(f->o.stream, STREAM_BYTES, 0) != STREAM_BYTES)
		return CLI_FAILED;
	if (input_open(f) != 0)
		return CLI_USAGE;
	result = input_skip(f, f->first);
	if (result) {
		fprintf(stderr, "moment feed: the input is not that of %s: %s\n", f->o.resume_state,
			result == -ENODATA ? "it is shorter" : f->input.error);
		return CLI_USAGE;
	}
	if (f->o.record && !(f->record = fopen(f->o.record, "we"))) {
		fprintf(stderr, "moment feed: %s: %s\n", f->o.record, strerror(errno));
		return CLI_USAGE;
	}
	if (resend_init(&f->log, f->first) != 0 || client_init(&f->client) != 0)
		return CLI_FAILED;
	return client_signals_open(&f->signals) == 0 ? CLI_OK : CLI_FAILED;
}

static int feed_close(struct feed *f, int code)
{
	int64_t now = client_clock();
	double seconds = f->last_ack > f->start ? (double)(f->last_ack - f->start) / 1e9 : 0.0;

	if (f->o.resume_state)
		state_save(f, now);
	if (input_close(&f->input) != 0 && code == CLI_OK) {
		fprintf(stderr, "moment feed: %s\n", f->input.error);
		code = CLI_USAGE;
	}
	if (f->record && fclose(f->record) != 0 && code == CLI_OK) {
		fprintf(stderr, "moment feed: %s: %s\n", f->o.record, strerror(errno));
		code = CLI_FAILED;
	}
	if (f->o.json)
		report_json(f, seconds, error_name(f, code));
	else
		report_text(f, seconds);
	client_signals_close(&f->signals);
	return code;
}

int cli_feed(int argc, char **argv)
{
	struct feed *f = calloc(1, sizeof(*f));
	int code;

	if (!f)
		return CLI_FAILED;
	f->client.fd = -1;
	f->input.file.fd = -1;
	code = options_parse(&f->o, argc, argv);
	if (code == CLI_OK) {
		code = feed_open(f);
		if (code == CLI_OK) {
			prctl(PR_SET_TIMERSLACK, 1); /* the default, 50 us, would show in the latency */
			code = feed_close(f, exit_code(f, run(f)));
		} else {
			input_close(&f->input);
		}
	}
	client_deinit(&f->client);
	resend_deinit(&f->log);
	free(f);
	return code == -1 ? CLI_OK : code;
}
