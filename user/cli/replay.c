/*
 * replay.c: `moment replay`: from the newest base through the journal, with the engine's own core; compares
 * the digest of outputs batch by batch, and can print what came out. Reads only; the engine may be running.
 */
#include "check_filter.h"
#include "cli.h"

#include <base/bytes.h>
#include <base_copy.h>
#include <engine.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
	"moment replay --data DIR [--verify] [--json] [--outcomes FILE] [--verdicts FILE] [--chunk N]\n"
	"\n"
	"moment replay --data DIR --check-filter [--chunk N]\n"
	"\n"
	"Runs the journal again from the newest base of the data directory.\n"
	"  --verify         compare the digest of all outputs batch by batch with the journal; name the "
	"first that differs\n"
	"  --json           print every message: {\"leg_number\": N, \"frame\": \"<hex, sequence 0 and flags "
	"0>\"} a line\n"
	"  --verdicts FILE  write {\"position\": N, \"type\": T, \"score\": S, \"reasons\": [..]} a line for "
	"every verdict\n"
	"  --outcomes FILE  write {\"position\": N, \"outcome\": \"DECIDED\"} a line for every event\n"
	"  --chunk N        entries at a time, 1 to 256: the result never depends on it\n"
	"  --check-filter   run it twice, as it is and without what the pre-filter would drop; both must "
	"give "
	"the same messages,\n"
	"                   verdicts, state and counters; say how much would be dropped, or name the first "
	"difference\n"
	"Prints position, digests of outputs and state, and the time it took, on stderr with --json.\n"
	"Exit: 0 the same (or nothing to compare), 1 a difference, an unsound filter or a failure, 2 "
	"usage.\n";

struct printer {
	FILE *messages, *outcomes, *verdicts;
	uint64_t legs;
};

static void message_print(void *ctx, const char *frame, uint32_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	struct printer *p = ctx;
	char hex[2 * FRAME_BYTES_MAX + 1];

	p->legs++;
	if (!p->messages)
		return;
	for (uint32_t i = 0; i < bytes; i++) {
		hex[2 * i] = digits[(uint8_t)frame[i] >> 4];
		hex[2 * i + 1] = digits[frame[i] & 15];
	}
	hex[2 * bytes] = 0;
	fprintf(p->messages, "{\"leg_number\": %llu, \"frame\": \"%s\"}\n", (unsigned long long)p->legs, hex);
}

static void outcome_print(void *ctx, const struct event *event)
{
	static const char *const names[] = { NULL,
#define X(name, text) #name,
					     EVENT_OUTCOMES(X)
#undef X
	};
	struct printer *p = ctx;

	if (p->outcomes)
		fprintf(p->outcomes, "{\"position\": %llu, \"outcome\": \"%s\"}\n",
			(unsigned long long)event->position, names[event->outcome]);
}

static void verdict_print(void *ctx, const struct event *event, const char *frame, uint32_t bytes)
{
	struct printer *p = ctx;
	struct frame_header h;
	struct pack_reader r;
	uint32_t len;

	if (!p->verdicts)
		return;
	memcpy(&h, frame, sizeof h);
	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES);
	pack_read_map(&r);
	pack_read_key(&r, &len); /* "reasons" comes first */
	fprintf(p->verdicts, "{\"position\": %llu, \"type\": %u, \"score\": %lld, \"reasons\": [",
		(unsigned long long)event->position, h.type, (long long)h.amount);
	uint32_t count = pack_read(&r).count;
	for (uint32_t i = 0; i < count; i++) {
		struct pack_item name = pack_read(&r);
		fprintf(p->verdicts, "%s\"%.*s\"", i ? ", " : "", (int)name.bytes, name.s);
	}
	fputs("]}\n", p->verdicts);
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(FILE *to, struct core *core, const struct core_replay *replay, double seconds,
		   bool verified, uint64_t legs)
{
	struct hash128 outputs = core_outputs(core), state = core_digest(core);

	fprintf(to,
		"replayed %llu batches, %llu entries, %llu events, %llu messages in %.3f s (%.0f events/s)\n",
		(unsigned long long)replay->batches, (unsigned long long)replay->entries,
		(unsigned long long)replay->events, (unsigned long long)legs, seconds,
		seconds > 0 ? (double)replay->events / seconds : 0.0);
	fprintf(to, "position %llu\noutputs %016llx%016llx\nstate %016llx%016llx\n",
		(unsigned long long)(core->next_position - 1), (unsigned long long)outputs.high,
		(unsigned long long)outputs.low, (unsigned long long)state.high,
		(unsigned long long)state.low);
	if (verified)
		fprintf(to, "verified: the outputs of every batch%s are the journal's, byte for byte\n",
			replay->last_entries ? " but the last, which no later one tells of," : "");
}

static int replay_run(const char *data, struct core_replay *replay, struct printer *printer)
{
	char path[4200], journal[4200];
	struct core *core = calloc(1, sizeof *core);
	uint64_t position;
	int rc = base_newest(data, &position, path, sizeof path);

	if (!core)
		return CLI_FAILED;
	if (rc) {
		fprintf(stderr, "moment replay: %s has no base to start from: %s\n", data, strerror(-rc));
		free(core);
		return CLI_FAILED;
	}
	struct core_options options = { .data = data, .store = path, .read_only = true };
	rc = core_open(core, &options);
	core->ctx = printer;
	core->on_event = outcome_print;
	core->on_message = message_print;
	core->on_verdict = verdict_print;
	core->outbox.recovering = false;
	snprintf(journal, sizeof journal, "%s/journal", data);
	double started = seconds_now();
	if (!rc)
		rc = core_replay(core, journal, replay);
	if (rc)
		fprintf(stderr, "moment replay: %s\n", core->why[0] ? core->why : strerror(-rc));
	else
		report(printer->messages == stdout ? stderr : stdout, core, replay, seconds_now() - started,
		       replay->verify, printer->legs);
	core_close(core);
	free(core);
	return rc ? CLI_FAILED : CLI_OK;
}

static bool file_open(const char *path, FILE **file)
{
	if (path && !(*file = fopen(path, "w"))) {
		fprintf(stderr, "moment replay: %s: %s\n", path, strerror(errno));
		return false;
	}
	return true;
}

static bool file_close(const char *path, FILE *file)
{
	if (file && fclose(file)) {
		fprintf(stderr, "moment replay: %s: %s\n", path, strerror(errno));
		return false;
	}
	return true;
}

struct replay_arguments {
	const char *data, *outcomes, *verdicts;
	bool check_filter;
};

/* One option; CLI_OK is --help, CLI_USAGE what we do not know, -1: go on. */
static int option_take(int letter, const char *value, struct replay_arguments *a, struct core_replay *replay,
		       struct printer *printer)
{
	if (letter == 'd')
		a->data = value;
	else if (letter == 'v')
		replay->verify = true;
	else if (letter == 'j')
		printer->messages = stdout;
	else if (letter == 'o')
		a->outcomes = value;
	else if (letter == 'V')
		a->verdicts = value;
	else if (letter == 'c')
		replay->chunk = (uint32_t)strtoul(value, NULL, 10);
	else if (letter == 'f')
		a->check_filter = true;
	else if (letter == 'h')
		return CLI_OK;
	else {
		if (letter == 'l')
			fprintf(stderr, "moment replay: not yet: --labels\n");
		return CLI_USAGE;
	}
	return -1;
}

static bool arguments_fit(const struct replay_arguments *a, const struct core_replay *replay,
			  const struct printer *printer)
{
	if (!a->data || replay->chunk > BATCH_ENTRIES_MAX)
		return false;
	/* what is printed would be that of two runs */
	return !a->check_filter || (!replay->verify && !printer->messages && !a->outcomes && !a->verdicts);
}

int cli_replay(int argc, char **argv)
{
	static const struct option table[] = {
		{ "data", required_argument, NULL, 'd' },   { "verify", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },	    { "outcomes", required_argument, NULL, 'o' },
		{ "chunk", required_argument, NULL, 'c' },  { "verdicts", required_argument, NULL, 'V' },
		{ "check-filter", no_argument, NULL, 'f' }, { "labels", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	struct core_replay replay = { 0 };
	struct printer printer = { 0 };
	struct replay_arguments a = { 0 };
	int letter, end = -1;

	optind = 1;
	while (end < 0 && (letter = getopt_long(argc, argv, "", table, NULL)) != -1)
		end = option_take(letter, optarg, &a, &replay, &printer);
	if (end < 0 && (optind < argc || !arguments_fit(&a, &replay, &printer)))
		end = CLI_USAGE;
	if (end >= 0) {
		fputs(usage, end == CLI_OK ? stdout : stderr);
		return end;
	}
	if (a.check_filter) {
		struct check_filter_options o = {
			.data = a.data, .chunk = replay.chunk, .out = stdout, .err = stderr
		};
		return check_filter_run(&o);
	}
	if (!file_open(a.outcomes, &printer.outcomes) || !file_open(a.verdicts, &printer.verdicts))
		return CLI_USAGE;
	int code = replay_run(a.data, &replay, &printer);
	if (!file_close(a.outcomes, printer.outcomes) || !file_close(a.verdicts, printer.verdicts))
		code = CLI_FAILED;
	return code;
}
