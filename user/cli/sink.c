/*
 * sink.c: `moment sink`, a gateway. Takes messages, prints each once, accepts them in batches.
 *
 * For what one receive brought: print, remember the (id, leg) pairs, then the ACK; so a kill between them
 * repeats and never loses. Messages come again after a lost connection; what is remembered is dropped and
 * counted. Receipts that the engine has not acknowledged are sent again with new numbers: the same one twice
 * does no harm. What can go wrong ends in an exit code, as in feed.c.
 */
#include "cli.h"
#include "client.h"
#include "idset.h"
#include "ndjson.h"
#include <base/histogram.h>

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <moment/limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	ACKS_WAITING_MAX = 65536,
	TALLIES_MAX = 4096,
	CHANNELS_LISTED_MAX = 16,
	ANSWER_MS = 30000,
	RECEIPT_BYTES = 160
};
enum { RECEIPTS_FIRST = 4096, LEG_BYTES_MAX = 63 };
#define SECOND 1000000000ll

static const char help[] =
	"moment sink --to HOST:PORT [options]\n"
	"A gateway: takes messages from the engine, accepts them, prints each once, a line a message.\n"
	"\n"
	"  --to HOST:PORT       the engine (127.0.0.1:7400)\n"
	"  --name NAME          this gateway's name (sink)\n"
	"  --channels A,B       the channels it serves (push,sms,email,inbox,voice)\n"
	"  --json               print each message as one JSON object: type (category's number), category, "
	"sequence,\n"
	"                       customer, account, time, amount, currency, repeat (the engine says that it "
	"may be one),\n"
	"                       body; bytes as hex. Without: id, channel, recipient and text\n"
	"  --quiet              print no messages\n"
	"  --accept-delay MS    acknowledge each batch so much later: a slow gateway (0)\n"
	"  --quit-after N       end after N different messages\n"
	"  --idle-exit SECONDS  end when nothing came for so long\n"
	"  --state FILE         remember the (id, leg) pairs across restarts\n"
	"  --receipts delivered send a RECEIPT with status delivered for each new message\n"
	"  --latency            measure from the header's time to receipt, both wall clock: for `moment feed "
	"--times=now`\n"
	"  --patience SECONDS   how long to try to connect again (10)\n"
	"\n"
	"The last line on standard error is a summary; with --json one object: messages, repeats, sessions, "
	"receipts,\n"
	"by_category, by_channel, by_rule, latency_ns (null without --latency), error.\n"
	"\n"
	"Exit: 0 ended as asked (also by SIGINT, SIGTERM); 1 the engine refused (its ERROR is printed) or "
	"broke the\n"
	"protocol; 2 usage; 3 no connection.\n";

struct sink_options {
	const char *to, *name, *channels, *state;
	uint64_t accept_delay_ms, quit_after, idle_exit_s, patience_s;
	bool json, quiet, receipts, latency;
};

struct tally {
	char name[NAME_BYTES_MAX + 1];
	uint64_t count;
};

struct tallies {
	struct tally *list;
	size_t count;
};

struct ack_waiting {
	int64_t due;
	uint64_t sequence;
};

struct receipt {
	uint16_t bytes;
	uint8_t body[RECEIPT_BYTES];
};

struct sink {
	struct sink_options o;
	struct client client;
	struct client_signals signals;
	struct client_refusal refusal;
	struct client_welcome welcome;
	struct idset ids;
	uint64_t sessions, seen, accepted; /* of this session: last read, last acknowledged */
	uint64_t messages, repeats, receipts;
	uint64_t by_category[CATEGORY_COUNT];
	struct tallies by_channel, by_rule;
	struct histogram latency;
	int64_t last_heard;

	struct ack_waiting *ack; /* a ring */
	uint64_t ack_first, ack_end;

	uint64_t receipt_room;
	struct receipt *receipt; /* a ring of what is not acknowledged; doubled when it is full */
	uint64_t receipt_first, receipt_end, receipt_sent; /* counted from the start of the process */
	uint64_t receipt_offset; /* receipt i has sequence i + receipt_offset in this session */
};

/* What a MESSAGE's body says, borrowed from the frame. */
struct message {
	struct pack_item id, leg, channel, rule, text, recipient;
};

static int broken(struct sink *s, const char *text, uint64_t number)
{
	snprintf(s->client.problem, sizeof(s->client.problem), "%s (%" PRIu64 ")", text, number);
	return -EBADMSG;
}

static void tally_add(struct tallies *t, const struct pack_item *name)
{
	size_t len = name->type == PACK_STRING && name->bytes <= NAME_BYTES_MAX ? name->bytes : 0;
	struct tally *at = t->list;

	for (; at < t->list + t->count; at++)
		if (strlen(at->name) == len && memcmp(at->name, name->s, len) == 0)
			break;
	if (at == t->list + TALLIES_MAX)
		return;
	if (at == t->list + t->count) {
		memcpy(at->name, len ? name->s : "", len);
		t->count++;
	}
	at->count++;
}

static void message_read(const struct client_frame *frame, struct message *m)
{
	static const char *const names[] = { "id", "leg", "channel", "rule", "text", "recipient" };
	struct pack_item *const items[] = { &m->id, &m->leg, &m->channel, &m->rule, &m->text, &m->recipient };
	struct pack_reader r;
	uint32_t pairs, len;

	memset(m, 0, sizeof(*m));
	pack_reader_init(&r, frame->body, frame->body_bytes);
	pairs = pack_read_map(&r);
	for (uint32_t i = 0; i < pairs; i++) {
		const char *key = pack_read_key(&r, &len);
		struct pack_reader value = r;

		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
			if (strlen(names[k]) == len && memcmp(names[k], key, len) == 0)
				*items[k] = pack_read(&value);
		pack_skip(&r);
	}
}

static const char *category_name(unsigned type)
{
#define X(value, name) [value] = #name,
	static const char *const names[CATEGORY_COUNT] = { MESSAGE_CATEGORIES(X) };
#undef X
	return type < CATEGORY_COUNT && names[type] ? names[type] : "";
}

static void print_json(const struct client_frame *frame)
{
	const struct frame_header *h = &frame->header;
	struct pack_reader r;

	printf("{\"type\": %u, \"category\": \"%s\", \"sequence\": %" PRIu64 ", \"customer\": %" PRIu64
	       ", \"account\": %" PRIu64,
	       h->type, category_name(h->type), h->sequence, h->customer, h->account);
	printf(", \"time\": %" PRId64 ", \"amount\": %" PRId64
	       ", \"currency\": %u, \"repeat\": %s, \"body\": ",
	       h->time, h->amount, h->currency, h->flags & FRAME_MAYBE_REPEAT ? "true" : "false");
	pack_reader_init(&r, frame->body, frame->body_bytes);
	ndjson_print_value(&r, stdout);
	fputs("}\n", stdout);
}

static void print_text(const struct message *m)
{
	for (uint32_t i = 0; i < 4 && i < m->id.bytes; i++)
		printf("%02x", (uint8_t)m->id.s[i]);
	printf(" %.*s to %" PRIu64 ": %.*s\n", (int)m->leg.bytes, m->leg.s, m->recipient.u,
	       m->text.type == PACK_STRING ? (int)m->text.bytes : 0, m->text.s);
}

/* Makes the ring twice as long; each keeps its place modulo the new length. */
static int receipts_grow(struct sink *s)
{
	struct receipt *more = calloc(2 * s->receipt_room, sizeof(*more));

	if (!more)
		return -ENOMEM;
	for (uint64_t i = s->receipt_first; i < s->receipt_end; i++)
		more[i % (2 * s->receipt_room)] = s->receipt[i % s->receipt_room];
	free(s->receipt);
	s->receipt = more;
	s->receipt_room *= 2;
	return 0;
}

/* {id, leg, status, at}, to be numbered when it is sent. */
static int receipt_add(struct sink *s, const struct message *m)
{
	struct receipt *receipt;
	struct pack_writer w;

	if (s->receipt_end - s->receipt_first == s->receipt_room && receipts_grow(s) != 0)
		return -ENOMEM;
	receipt = &s->receipt[s->receipt_end % s->receipt_room];
	pack_writer_init(&w, receipt->body, sizeof(receipt->body));
	pack_map(&w, 4);
	pack_text(&w, "id");
	pack_binary(&w, m->id.s, m->id.bytes);
	pack_text(&w, "leg");
	pack_string(&w, m->leg.s, m->leg.bytes);
	pack_text(&w, "status");
	pack_text(&w, "delivered");
	pack_text(&w, "at");
	pack_int(&w, client_wall());
	assert(!w.overflow);
	receipt->bytes = (uint16_t)pack_bytes(&w);
	s->receipt_end++;
	s->receipts++;
	return 0;
}

static void count_message(struct sink *s, const struct client_frame *frame, const struct message *m)
{
	s->messages++;
	s->by_category[frame->header.type]++;
	tally_add(&s->by_channel, &m->channel);
	tally_add(&s->by_rule, &m->rule);
	if (s->o.latency)
		histogram_add(&s->latency, client_wall() - frame->header.time);
}

static bool leg_is_plain(const struct pack_item *leg)
{
	if (leg->type != PACK_STRING || leg->bytes == 0 || leg->bytes > LEG_BYTES_MAX)
		return false;
	for (uint32_t i = 0; i < leg->bytes; i++)
		if ((unsigned char)leg->s[i] <= ' ' || leg->s[i] == 0x7f)
			return false;
	return true;
}

static int take_message(struct sink *s, const struct client_frame *frame)
{
	struct message m;
	int added;

	if (frame->header.sequence != s->seen + 1)
		return broken(s, "a MESSAGE out of sequence", frame->header.sequence);
	message_read(frame, &m);
	if (m.id.type != PACK_BINARY || m.id.bytes != 16 || !leg_is_plain(&m.leg))
		return broken(s, "a MESSAGE without id (16 bytes) or leg", frame->header.sequence);
	s->seen = frame->header.sequence;
	added = idset_add(&s->ids, (const uint8_t *)m.id.s, m.leg.s, m.leg.bytes);
	if (added < 0)
		return added;
	if (added == 0) {
		s->repeats++;
		return 0;
	}
	count_message(s, frame, &m);
	if (!s->o.quiet && s->o.json)
		print_json(frame);
	else if (!s->o.quiet)
		print_text(&m);
	return s->o.receipts ? receipt_add(s, &m) : 0;
}

static int take_ack(struct sink *s, const struct frame_header *h)
{
	if (h->type != FRAME_RECEIPT || h->sequence >= s->receipt_sent + s->receipt_offset)
		return broken(s, "an ACK for what was never sent", h->sequence);
	while (s->receipt_first < s->receipt_sent && s->receipt_first + s->receipt_offset <= h->sequence)
		s->receipt_first++;
	return 0;
}

static int send_pong(struct sink *s, int64_t time)
{
	struct frame_header h = { .kind = FRAME_PONG, .time = time };
	uint8_t pong[FRAME_HEADER_BYTES + 1];

	return client_send_all(&s->client, pong, client_frame_write(pong, h, NULL, 0));
}

static int take_frame(struct sink *s, const struct client_frame *frame)
{
	switch (frame->header.kind) {
	case FRAME_MESSAGE:
		return take_message(s, frame);
	case FRAME_ACK:
		return take_ack(s, &frame->header);
	case FRAME_PING:
		return send_pong(s, frame->header.time);
	case FRAME_PONG:
		return 0;
	case FRAME_ERROR:
		client_read_refusal(frame, &s->refusal);
		return -EPERM;
	default:
		return broken(s, "a kind of frame that a gateway does not get", frame->header.kind);
	}
}

static bool quota_reached(const struct sink *s)
{
	return s->o.quit_after && s->messages >= s->o.quit_after;
}

/* Printed and remembered: only then may it be acknowledged. */
static int settle(struct sink *s)
{
	uint64_t newest = s->ack_end > s->ack_first ? s->ack[(s->ack_end - 1) % ACKS_WAITING_MAX].sequence
						    : s->accepted;
	struct ack_waiting *last;

	if (s->seen == newest)
		return 0;
	if (fflush(stdout) != 0)
		return -errno;
	if (idset_flush(&s->ids) != 0)
		return -errno;
	if (s->ack_end - s->ack_first == ACKS_WAITING_MAX) { /* the newest waiting one takes it along */
		last = &s->ack[(s->ack_end - 1) % ACKS_WAITING_MAX];
		last->sequence = s->seen;
		return 0;
	}
	s->ack[s->ack_end++ % ACKS_WAITING_MAX] =
		(struct ack_waiting){ client_clock() + (int64_t)s->o.accept_delay_ms * 1000000, s->seen };
	return 0;
}

static long receive_round(struct sink *s)
{
	struct client_frame frame;
	long n = quota_reached(s) ? 0 : client_fill(&s->client);
	int got = 0, result = 0;

	while (result == 0 && !quota_reached(s) && (got = client_next(&s->client, &frame)) > 0)
		result = take_frame(s, &frame);
	if (n > 0)
		s->last_heard = client_clock();
	if (settle(s) != 0)
		return -EIO;
	if (result < 0)
		return result;
	return got < 0 ? got : n;
}

/* The ACK for everything that is due. */
static int send_acks(struct sink *s)
{
	struct frame_header h = { .kind = FRAME_ACK, .type = FRAME_MESSAGE };
	uint8_t ack[FRAME_HEADER_BYTES + 1];
	int64_t now = client_clock();

	while (s->ack_first < s->ack_end && s->ack[s->ack_first % ACKS_WAITING_MAX].due <= now)
		h.sequence = s->ack[s->ack_first++ % ACKS_WAITING_MAX].sequence;
	if (h.sequence == 0)
		return 0;
	s->accepted = h.sequence;
	return client_send_all(&s->client, ack, client_frame_write(ack, h, NULL, 0));
}

static int send_receipts(struct sink *s)
{
	uint8_t out[FRAME_HEADER_BYTES + RECEIPT_BYTES];

	while (s->receipt_sent < s->receipt_end) {
		const struct receipt *receipt = &s->receipt[s->receipt_sent % s->receipt_room];
		struct frame_header h = { .kind = FRAME_RECEIPT,
					  .sequence = s->receipt_sent + s->receipt_offset };
		int result = client_send_all(&s->client, out,
					     client_frame_write(out, h, receipt->body, receipt->bytes));

		if (result < 0)
			return result;
		s->receipt_sent++;
	}
	return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool interrupted(struct sink *s)
{
	struct signalfd_siginfo info;

	return read(s->signals.fd, &info, sizeof(info)) == sizeof(info);
}

static void wait_round(struct sink *s)
{
	struct pollfd p[2] = { { .fd = s->client.fd, .events = quota_reached(s) ? 0 : POLLIN },
			       { .fd = s->signals.fd, .events = POLLIN } };
	int64_t now = client_clock(), until = now + SECOND;
	struct timespec timeout = { 0 };

	if (s->ack_first < s->ack_end)
		until = earlier(until, s->ack[s->ack_first % ACKS_WAITING_MAX].due);
	if (s->o.idle_exit_s)
		until = earlier(until, s->last_heard + (int64_t)s->o.idle_exit_s * SECOND);
	if (until > now)
		timeout = (struct timespec){ (until - now) / SECOND, (until - now) % SECOND };
	ppoll(p, 2, &timeout, NULL);
}

static bool is_finished(const struct sink *s)
{
	if (s->ack_first < s->ack_end)
		return false;
	return quota_reached(s) ||
	       (s->o.idle_exit_s && client_clock() - s->last_heard >= (int64_t)s->o.idle_exit_s * SECOND);
}

/* 0 = ended as asked; else as client_open and take_frame. */
static int run_connected(struct sink *s)
{
	for (;;) {
		long received = receive_round(s);
		int result;

		if (received < 0)
			return (int)received;
		result = send_acks(s);
		if (result == 0)
			result = send_receipts(s);
		if (result < 0)
			return result;
		if (is_finished(s))
			return 0;
		if (interrupted(s))
			return -EINTR;
		if (received == 0 || quota_reached(s))
			wait_round(s);
	}
}

static void pack_channels(struct pack_writer *w, const char *list)
{
	uint32_t count = 1;

	for (const char *at = list; *at; at++)
		count += *at == ',';
	pack_text(w, "channels");
	pack_array(w, count);
	for (const char *at = list; count > 0; count--) {
		size_t len = strcspn(at, ",");

		pack_string(w, at, len);
		at += len + 1;
	}
}

static size_t hello_write(const struct sink *s, uint8_t *out)
{
	struct frame_header h = { .kind = FRAME_HELLO, .sequence = s->accepted };
	bool again = s->welcome.session_bytes > 0;
	uint8_t body[1536];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof(body));
	pack_map(&w, again ? 5 : 4);
	pack_text(&w, "role");
	pack_text(&w, "gateway");
	pack_text(&w, "name");
	pack_text(&w, s->o.name);
	pack_text(&w, "version");
	pack_int(&w, FRAME_VERSION);
	pack_channels(&w, s->o.channels);
	if (again) {
		pack_text(&w, "session");
		assert((size_t)(w.end - w.at) >= s->welcome.session_bytes);
		memcpy(w.at, s->welcome.session, s->welcome.session_bytes);
		w.at += s->welcome.session_bytes;
	}
	assert(!w.overflow);
	return client_frame_write(out, h, body, pack_bytes(&w));
}

static int connect_once(struct sink *s)
{
	uint8_t hello[FRAME_HEADER_BYTES + 1536];
	int result = client_open(&s->client, s->o.to, hello, hello_write(s, hello), ANSWER_MS, &s->welcome,
				 &s->refusal);

	if (result < 0)
		return result;
	s->sessions++;
	s->seen = s->accepted = 0;
	s->ack_first = s->ack_end = 0;
	s->receipt_sent = s->receipt_first;
	s->receipt_offset = (s->welcome.next ? s->welcome.next : 1) - s->receipt_first;
	s->last_heard = client_clock();
	return 0;
}

static bool is_final(int result)
{
	return result == 0 || result == -EPERM || result == -EBADMSG || result == -EINVAL ||
	       result == -EINTR || result == -EIO || result == -ENOMEM;
}

static int connect_patiently(struct sink *s)
{
	int64_t until = client_clock() + (int64_t)s->o.patience_s * SECOND;
	int pause_ms = 20;

	for (;;) {
		struct pollfd p = { .fd = s->signals.fd, .events = POLLIN };
		int result = connect_once(s);

		if (is_final(result))
			return result;
		if (client_clock() > until)
			return -ENOTCONN;
		if (poll(&p, 1, pause_ms) > 0)
			return -EINTR;
		pause_ms = pause_ms < 1000 ? 2 * pause_ms : 1000;
	}
}

static int run(struct sink *s)
{
	for (;;) {
		int result = connect_patiently(s);

		if (result < 0)
			return result;
		result = run_connected(s);
		if (result == 0 || result == -EINTR)
			client_finish(&s->client);
		client_close(&s->client);
		if (is_final(result))
			return result;
		fprintf(stderr, "moment sink: connection lost (%s), trying again\n", strerror(-result));
	}
}

static void print_tallies(const char *name, const struct tallies *t)
{
	fprintf(stderr, ", \"%s\": {", name);
	for (size_t i = 0; i < t->count; i++) {
		fputs(i ? ", " : "", stderr);
		ndjson_print_string(t->list[i].name, strlen(t->list[i].name), stderr);
		fprintf(stderr, ": %" PRIu64, t->list[i].count);
	}
	fputc('}', stderr);
}

static void report_json(const struct sink *s, const char *error)
{
	const struct histogram *l = &s->latency;
	const char *comma = "";

	fprintf(stderr,
		"{\"messages\": %" PRIu64 ", \"repeats\": %" PRIu64 ", \"sessions\": %" PRIu64
		", \"receipts\": %" PRIu64,
		s->messages, s->repeats, s->sessions, s->receipts);
	fputs(", \"by_category\": {", stderr);
	for (unsigned i = 1; i < CATEGORY_COUNT; i++) {
		if (s->by_category[i] == 0)
			continue;
		fprintf(stderr, "%s\"%s\": %" PRIu64, comma, category_name(i), s->by_category[i]);
		comma = ", ";
	}
	fputc('}', stderr);
	print_tallies("by_channel", &s->by_channel);
	print_tallies("by_rule", &s->by_rule);
	if (s->o.latency)
		fprintf(stderr,
			", \"latency_ns\": {\"p50\": %" PRId64 ", \"p90\": %" PRId64 ", \"p99\": %" PRId64
			", \"p999\": %" PRId64 ", \"max\": %" PRId64 "}",
			histogram_percentile(l, 0.5), histogram_percentile(l, 0.9),
			histogram_percentile(l, 0.99), histogram_percentile(l, 0.999), l->max_ns);
	else
		fputs(", \"latency_ns\": null", stderr);
	fprintf(stderr, ", \"error\": %s%s%s}\n", error ? "\"" : "", error ? error : "null",
		error ? "\"" : "");
}

static void report_text(const struct sink *s)
{
	fprintf(stderr, "%" PRIu64 " messages, %" PRIu64 " repeats dropped, %" PRIu64 " sessions",
		s->messages, s->repeats, s->sessions);
	if (s->o.latency)
		fprintf(stderr, "; after the event p50 %.1f us, p99 %.1f us, max %.1f us",
			(double)histogram_percentile(&s->latency, 0.5) / 1e3,
			(double)histogram_percentile(&s->latency, 0.99) / 1e3,
			(double)s->latency.max_ns / 1e3);
	fputc('\n', stderr);
}

static int exit_code(struct sink *s, int result, const char **error)
{
	switch (result) {
	case 0:
	case -EINTR:
		return CLI_OK;
	case -EPERM:
		client_print_refusal("moment sink", &s->refusal);
		*error = *s->refusal.code ? s->refusal.code : "REFUSED";
		return CLI_FAILED;
	case -EBADMSG:
		fprintf(stderr, "moment sink: the engine breaks the protocol: %s\n", s->client.problem);
		*error = "PROTOCOL";
		return CLI_FAILED;
	case -EINVAL:
		fprintf(stderr, "moment sink: %s is no HOST:PORT\n", s->o.to);
		*error = "USAGE";
		return CLI_USAGE;
	case -EIO:
	case -ENOMEM:
		fprintf(stderr, "moment sink: cannot write what it accepts: %s\n", strerror(-result));
		*error = "OUTPUT";
		return CLI_FAILED;
	default:
		fprintf(stderr, "moment sink: no connection to %s for %" PRIu64 " s\n", s->o.to,
			s->o.patience_s);
		*error = "NO_CONNECTION";
		return CLI_NO_CONNECTION;
	}
}

static bool number_option(const char *name, const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0)
		return true;
	fprintf(stderr, "moment sink: --%s %s: expected a number\n", name, text);
	return false;
}

/* 1 to 16 names of 1 to 63 bytes between commas. */
static bool channels_option(const char *list)
{
	unsigned names = 0;

	for (const char *at = list;; at++) {
		size_t len = strcspn(at, ",");

		names++;
		at += len;
		if (len == 0 || len > NAME_BYTES_MAX || names > CHANNELS_LISTED_MAX) {
			fprintf(stderr, "moment sink: --channels %s: expected 1 to 16 names between commas\n",
				list);
			return false;
		}
		if (!*at)
			return true;
	}
}

static bool option_set(struct sink_options *o, int option, const char *value)
{
	switch (option) {
	case 't':
		o->to = value;
		return true;
	case 'n':
		o->name = value;
		if (*value && strlen(value) <= NAME_BYTES_MAX)
			return true;
		fprintf(stderr, "moment sink: --name must have 1 to 63 bytes\n");
		return false;
	case 'c':
		o->channels = value;
		return channels_option(value);
	case 'a':
		return number_option("accept-delay", value, &o->accept_delay_ms);
	case 'q':
		return number_option("quit-after", value, &o->quit_after);
	case 'i':
		return number_option("idle-exit", value, &o->idle_exit_s);
	case 'p':
		return number_option("patience", value, &o->patience_s);
	case 's':
		o->state = value;
		return true;
	case 'r':
		o->receipts = strcmp(value, "delivered") == 0;
		if (!o->receipts)
			fprintf(stderr, "moment sink: --receipts %s: expected delivered\n", value);
		return o->receipts;
	case 'l':
		o->latency = true;
		return true;
	case 'Q':
		o->quiet = true;
		return true;
	case 'j':
		o->json = true;
		return true;
	default:
		return false;
	}
}

static int options_parse(struct sink_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "to", 1, NULL, 't' },		{ "name", 1, NULL, 'n' },
		{ "channels", 1, NULL, 'c' },	{ "accept-delay", 1, NULL, 'a' },
		{ "quit-after", 1, NULL, 'q' }, { "idle-exit", 1, NULL, 'i' },
		{ "patience", 1, NULL, 'p' },	{ "state", 1, NULL, 's' },
		{ "receipts", 1, NULL, 'r' },	{ "latency", 0, NULL, 'l' },
		{ "quiet", 0, NULL, 'Q' },	{ "json", 0, NULL, 'j' },
		{ "help", 0, NULL, 'h' },	{ NULL, 0, NULL, 0 },
	};
	int option;

	*o = (struct sink_options){ .to = "127.0.0.1:7400",
				    .name = "sink",
				    .channels = "push,sms,email,inbox,voice",
				    .patience_s = 10 };
	optind = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return -1;
		}
		if (!option_set(o, option, optarg))
			return CLI_USAGE;
	}
	if (optind == argc)
		return CLI_OK;
	fprintf(stderr, "moment sink: unexpected '%s'; --help says more\n", argv[optind]);
	return CLI_USAGE;
}

static int sink_open(struct sink *s)
{
	int result = idset_open(&s->ids, s->o.state);

	if (result) {
		fprintf(stderr, "moment sink: %s: %s\n", s->o.state ? s->o.state : "ids",
			result == -EINVAL ? "not a file of accepted ids" : strerror(-result));
		return CLI_USAGE;
	}
	s->ack = calloc(ACKS_WAITING_MAX, sizeof(*s->ack));
	s->receipt_room = RECEIPTS_FIRST;
	s->receipt = calloc(RECEIPTS_FIRST, sizeof(*s->receipt));
	s->by_channel.list = calloc(TALLIES_MAX, sizeof(struct tally));
	s->by_rule.list = calloc(TALLIES_MAX, sizeof(struct tally));
	if (!s->ack || !s->receipt || !s->by_channel.list || !s->by_rule.list || client_init(&s->client) != 0)
		return CLI_FAILED;
	s->receipt_first = s->receipt_end = s->receipt_sent = 1;
	return client_signals_open(&s->signals) == 0 ? CLI_OK : CLI_FAILED;
}

static void sink_free(struct sink *s)
{
	client_deinit(&s->client);
	idset_close(&s->ids);
	free(s->ack);
	free(s->receipt);
	free(s->by_channel.list);
	free(s->by_rule.list);
	free(s);
}

int cli_sink(int argc, char **argv)
{
	struct sink *s = calloc(1, sizeof(*s));
	const char *error = NULL;
	int code;

	if (!s)
		return CLI_FAILED;
	s->client.fd = -1;
	code = options_parse(&s->o, argc, argv);
	if (code == CLI_OK)
		code = sink_open(s);
	else
		goto out;
	if (code == CLI_OK) {
		code = exit_code(s, run(s), &error);
		if (s->o.json)
			report_json(s, error);
		else
			report_text(s);
		client_signals_close(&s->signals);
	}
out:
	sink_free(s);
	return code == -1 ? CLI_OK : code;
}
