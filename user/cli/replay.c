/*
 * replay.c: `moment replay`: from the newest base through the journal, with the engine's own core; compares
 * the digest of outputs batch by batch, and can print what came out. Reads only; the engine may be running.
 */
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
	"Runs the journal again from the newest base of the data directory.\n"
	"  --verify         compare the digest of all outputs batch by batch with the journal; name the "
	"first that differs\n"
	"  --json           print every message: {\"leg_number\": N, \"frame\": \"<hex, sequence 0 and flags "
	"0>\"} a line\n"
	"  --verdicts FILE  write {\"position\": N, \"type\": T, \"score\": S, \"reasons\": [..]} a line for "
	"every verdict\n"
	"  --outcomes FILE  write {\"position\": N, \"outcome\": \"DECIDED\"} a line for every event\n"
	"  --chunk N        entries at a time, 1 to 256: the result never depends on it\n"
	"Prints position, digests of outputs and state, and the time it took, on stderr with --json.\n"
	"Exit: 0 the same (or nothing to compare), 1 a difference or a failure, 2 usage.\n";

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
	const char *data = NULL, *outcomes = NULL, *verdicts = NULL;
	int letter;

	optind = 1;
	while ((letter = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (letter == 'd')
			data = optarg;
		else if (letter == 'v')
			replay.verify = true;
		else if (letter == 'j')
			printer.messages = stdout;
		else if (letter == 'o')
			outcomes = optarg;
		else if (letter == 'V')
			verdicts = optarg;
		else if (letter == 'c')
			replay.chunk = (uint32_t)strtoul(optarg, NULL, 10);
		else if (letter == 'h') {
			fputs(usage, stdout);
			return CLI_OK;
		} else {
			if (letter == 'f' || letter == 'l')
				fprintf(stderr, "moment replay: not yet: --%s\n",
					letter == 'f' ? "check-filter" : "labels");
			fputs(usage, stderr);
			return CLI_USAGE;
		}
	}
	if (!data || optind < argc || replay.chunk > BATCH_ENTRIES_MAX) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	if (!file_open(outcomes, &printer.outcomes) || !file_open(verdicts, &printer.verdicts))
		return CLI_USAGE;
	int code = replay_run(data, &replay, &printer);
	if (!file_close(outcomes, printer.outcomes) || !file_close(verdicts, printer.verdicts))
		code = CLI_FAILED;
	return code;
}
