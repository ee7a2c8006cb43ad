/*
 * import_to.c: `moment import --to`: the changes of a file as PROFILE and SUBSCRIBE frames of a source.
 *
 * In: a file of NDJSON. Out: frames, kept until they are acknowledged (struct resend), so a lost connection
 * costs nothing; bad rows on standard error. An acknowledged change is durable in the engine's journal; what
 * the catalogue refuses is counted there (`moment status`: REFUSED), since ACK says only that a frame was
 * taken. Every run is a new stream. What can go wrong: a row that is no JSON (without --skip-bad the run ends
 * there, after what was before it is acknowledged), a refusal by the engine, no connection for ten seconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <profile/import.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cli.h"
#include "client.h"
#include "import.h"
#include "resend.h"
#include "textfile.h"

enum { STREAM_BYTES = 16, ANSWER_MS = 30000, PATIENCE_MS = 10000, PAUSE_MS = 50 };

struct sender {
	const struct import_arguments *a;
	struct client client;
	struct client_refusal refusal;
	struct resend log;
	struct textfile file;
	struct import_lines *lines;
	uint8_t stream[STREAM_BYTES];
	int changes, at; /* of the line that is being sent */
	uint64_t rows, bad;
	bool ended, failed;
};

static size_t hello_write(const struct sender *s, uint8_t *out)
{
	struct frame_header h = { .kind = FRAME_HELLO, .sequence = s->log.acked };
	uint8_t body[256];
	struct pack_writer w;

	pack_writer_init(&w, body, sizeof body);
	pack_map(&w, 5);
	pack_text(&w, "role");
	pack_text(&w, "source");
	pack_text(&w, "name");
	pack_text(&w, s->a->name);
	pack_text(&w, "version");
	pack_int(&w, FRAME_VERSION);
	pack_text(&w, "stream");
	pack_binary(&w, s->stream, STREAM_BYTES);
	pack_text(&w, "first");
	pack_uint(&w, s->log.acked + 1);
	return w.overflow ? 0 : client_frame_write(out, h, body, pack_bytes(&w));
}

static int take_frame(struct sender *s, const struct client_frame *frame)
{
	const struct frame_header *h = &frame->header;

	if (h->kind == FRAME_ERROR) {
		client_read_refusal(frame, &s->refusal);
		return -EPERM;
	}
	if (h->kind == FRAME_ACK && h->type == FRAME_EVENT && resend_acknowledge(&s->log, h->sequence))
		return 0;
	if (h->kind == FRAME_PING || h->kind == FRAME_PONG)
		return 0;
	snprintf(s->client.problem, sizeof s->client.problem, "a frame of kind %u that was not asked for",
		 h->kind);
	return -EBADMSG;
}

static long receive_round(struct sender *s)
{
	struct client_frame frame;
	long n = client_fill(&s->client);
	int got;

	while ((got = client_next(&s->client, &frame)) > 0) {
		int rc = take_frame(s, &frame);
		if (rc)
			return rc;
	}
	resend_forget(&s->log, resend_forgettable(&s->log));
	return got < 0 ? got : n;
}

/* The next line with changes; false at the end of the file, or of this run. */
static bool next_line(struct sender *s)
{
	struct import_problem problem;
	const char *line;
	size_t len;
	int rc;

	while ((rc = textfile_line(&s->file, &line, &len)) > 0) {
		s->at = 0;
		s->changes = import_lines_read(s->lines, line, len, &problem);
		s->rows += s->changes > 0;
		if (s->changes > 0)
			return true;
		if (s->changes == 0)
			continue;
		s->changes = 0;
		if (s->bad++ < IMPORT_REPORT_MAX)
			fprintf(stderr, "%s:%" PRIu64 ":%u: %s\n", s->a->file, s->file.line, problem.column,
				problem.text);
		if (!s->a->skip_bad)
			break;
	}
	if (rc < 0) {
		fprintf(stderr, "moment import: %s:%" PRIu64 ": %s\n", s->a->file, s->file.line,
			strerror(-rc));
		s->failed = true;
	}
	s->ended = true;
	return false;
}

/* Frames into the log while there is room and the window is open. */
static bool make_round(struct sender *s)
{
	uint64_t before = s->log.made;
	uint8_t *out;

	while (!s->ended && s->log.made - before < 1024 && resend_allow(&s->log) &&
	       (out = resend_room(&s->log))) {
		if (s->at == s->changes && !next_line(s))
			break;
		const struct import_change *change = import_lines_change(s->lines, s->at++);
		struct frame_header h = { .kind = (uint8_t)change->kind,
					  .sequence = s->log.made + 1,
					  .customer = change->customer,
					  .account = change->account };
		resend_add(&s->log, client_frame_write(out, h, change->body, change->bytes), client_clock());
	}
	resend_allow(&s->log);
	return s->log.made != before;
}

static int run_connected(struct sender *s)
{
	const uint8_t *bytes;

	for (;;) {
		bool made = make_round(s);
		size_t len = resend_pending(&s->log, &bytes);
		long sent = len ? client_send(&s->client, bytes, len) : 0;
		if (sent > 0)
			resend_sent(&s->log, (size_t)sent);
		long received = receive_round(s); /* after a failed send too: the reason may be there */
		if (received < 0 || sent < 0)
			return (int)(received < 0 ? received : sent);
		if (s->ended && s->log.acked == s->log.made)
			return 0;
		struct pollfd p = { .fd = s->client.fd, .events = (short)(POLLIN | (len ? POLLOUT : 0)) };
		if (!made && sent == 0 && received == 0)
			poll(&p, 1, 1000);
	}
}

static int connect_once(struct sender *s)
{
	uint8_t hello[FRAME_HEADER_BYTES + 256];
	struct client_welcome welcome;
	size_t bytes = hello_write(s, hello);
	int rc = bytes ? client_open(&s->client, s->a->to, hello, bytes, ANSWER_MS, &welcome, &s->refusal)
		       : -EINVAL;

	if (rc)
		return rc;
	if (welcome.window_events > 0 && welcome.window_bytes >= FRAME_BYTES_MAX &&
	    resend_restart(&s->log, welcome.next, welcome.window_events, welcome.window_bytes))
		return 0;
	snprintf(s->client.problem, sizeof s->client.problem,
		 "a WELCOME that does not go with what was sent");
	return -EBADMSG;
}

static bool is_final(int rc)
{
	return rc == 0 || rc == -EPERM || rc == -EBADMSG || rc == -EINVAL;
}

static int connect_patiently(struct sender *s)
{
	int64_t until = client_clock() + PATIENCE_MS * INT64_C(1000000);
	int rc = connect_once(s);

	while (!is_final(rc) && client_clock() < until) {
		poll(NULL, 0, PAUSE_MS);
		rc = connect_once(s);
	}
	return is_final(rc) ? rc : -ENOTCONN;
}

static int run(struct sender *s)
{
	for (;;) {
		int rc = connect_patiently(s);
		if (rc)
			return rc;
		rc = run_connected(s);
		client_close(&s->client);
		if (is_final(rc))
			return rc;
	}
}

static int report(struct sender *s, int rc)
{
	switch (rc) {
	case 0:
		fprintf(stderr,
			"sent %" PRIu64 " rows, %" PRIu64 " changes acknowledged; %" PRIu64 " bad rows%s\n",
			s->rows, s->log.acked, s->bad, s->bad && !s->a->skip_bad ? ", stopped there" : "");
		return s->failed || (s->bad && !s->a->skip_bad) ? CLI_FAILED : CLI_OK;
	case -EPERM:
		client_print_refusal("moment import", &s->refusal);
		return CLI_FAILED;
	case -EBADMSG:
		fprintf(stderr, "moment import: the engine breaks the protocol: %s\n", s->client.problem);
		return CLI_FAILED;
	case -EINVAL:
		fprintf(stderr, "moment import: %s is no HOST:PORT\n", s->a->to);
		return CLI_USAGE;
	default:
		fprintf(stderr, "moment import: no connection to %s for %d s\n", s->a->to,
			PATIENCE_MS / 1000);
		return CLI_NO_CONNECTION;
	}
}

int import_to(const struct import_arguments *a)
{
	struct sender s = { .a = a, .lines = import_lines_new() };
	int rc = s.lines ? resend_init(&s.log, 0) : -ENOMEM;

	signal(SIGPIPE, SIG_IGN);
	if (!rc)
		rc = client_init(&s.client);
	if (!rc && getrandom(s.stream, sizeof s.stream, 0) != sizeof s.stream)
		rc = -EIO;
	if (rc) {
		fprintf(stderr, "moment import: %s\n", strerror(-rc));
		return CLI_FAILED;
	}
	rc = textfile_open(&s.file, a->file);
	if (rc) {
		fprintf(stderr, "moment import: %s: %s\n", a->file, strerror(-rc));
		rc = CLI_FAILED;
	} else {
		rc = report(&s, run(&s));
		if (textfile_close(&s.file) && rc == CLI_OK) {
			fprintf(stderr, "moment import: %s: the file is damaged\n", a->file);
			rc = CLI_FAILED;
		}
	}
	client_deinit(&s.client);
	resend_deinit(&s.log);
	import_lines_free(s.lines);
	return rc;
}
