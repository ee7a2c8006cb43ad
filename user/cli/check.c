/*
 * check.c: `moment check DIR`: is this directory a catalogue, and what of the traffic does it need?
 *
 * In: the arguments behind `moment`. Out: every problem on standard output, file:line:column: text, and a
 * count; or what the catalogue has, with --interest also what the pre-filter keeps and why, with --sample
 * what share of a file of events it would drop. The sample goes through filter_decide() as it would in the
 * kernel, line by line: whoever it subscribes is enrolled from there on. Enrolment of everybody else is not
 * in the file, so the share is given for nobody and for everybody. The exit code says it to scripts: 0 good,
 * 1 problems, 2 wrong use or a wrong sample.
 */
#include "check_memory.h"
#include "cli.h"
#include "input.h"

#include <catalogue/catalogue.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: moment check DIR [--interest] [--memory] [--sample FILE]\n"
	"\n"
	"Checks the catalogue in DIR: all *.yaml files together. Prints every problem as\n"
	"file:line:column: found .., expected ..; without problems, what the catalogue has.\n"
	"\n"
	"  --interest     also a line per event type: kept or dropped by the pre-filter, on which\n"
	"                 condition, and who needs it. An event that lacks what a condition asks for\n"
	"                 (no country, another currency) is kept; so are reversals, events that want a\n"
	"                 verdict, and types that the catalogue does not have\n"
	"  --memory       also what the windows cost at 1, 3 and 10 events a customer and day, for 1 and\n"
	"                 10 million customers, against bank.memory.windows; takes some seconds\n"
	"  --sample FILE  also the share of the file's events that would be dropped, for each type.\n"
	"                 FILE is what `moment feed` takes; - = standard input. Customers with a\n"
	"                 SUBSCRIBE or PROFILE line count as enrolled from that line on\n"
	"  --help         this text\n"
	"\n"
	"Exit code: 0 good, 1 problems, 2 wrong use or a wrong sample.\n";

/* --- a sample --- */

struct tally {
	uint64_t events;
	uint64_t dropped;	   /* if nobody else is enrolled */
	uint64_t dropped_enrolled; /* if everybody is */
};

struct sample {
	const struct catalogue *c;
	struct input input;
	struct tally
		*types; /* by index of the type; the last is for those that the catalogue does not have */
	uint64_t *customers; /* bits, enrolment_customer() */
	uint64_t *accounts;  /* bits of accounts with a record in the file: their holders may be anybody */
	uint8_t *frame;
};

static bool bit_is_set(const uint64_t *bits, uint32_t bit)
{
	return bits[bit / 64] >> (bit % 64) & 1;
}

static void bit_set(uint64_t *bits, uint32_t bit)
{
	bits[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* As the program does it (interest.h, "Enrolment"). */
static void sample_enrol(struct sample *s, const struct frame_header *h)
{
	if (h->customer)
		bit_set(s->customers, enrolment_customer(h->customer));
	if (h->account)
		bit_set(s->accounts, enrolment_account(h->account));
}

static bool sample_enrolled(const struct sample *s, const struct frame_header *h)
{
	return (h->customer && bit_is_set(s->customers, enrolment_customer(h->customer))) ||
	       (h->account && bit_is_set(s->accounts, enrolment_account(h->account)));
}

static void sample_event(struct sample *s, const struct frame_header *h)
{
	const struct interest_table *table = s->c->interest;
	enum filter_verdict verdict = filter_decide(&table->type[h->type], &table->sets, h, h->sequence);
	int index = s->c->event_by_code[h->type];
	struct tally *t = &s->types[index < 0 ? s->c->event_count : index];

	t->events++;
	t->dropped += verdict == FILTER_DROP || (verdict == FILTER_IF_ENROLLED && !sample_enrolled(s, h));
	t->dropped_enrolled += verdict == FILTER_DROP;
}

static void sample_frame(struct sample *s)
{
	struct frame_header h;

	memcpy(&h, s->frame, sizeof h);
	h.sequence = 1; /* files have none */
	if (h.kind == FRAME_EVENT)
		sample_event(s, &h);
	else if (h.kind == FRAME_SUBSCRIBE || h.kind == FRAME_PROFILE)
		sample_enrol(s, &h);
}

/* False: the file is wrong, and input.error says where. */
static bool sample_read(struct sample *s)
{
	int64_t due;
	long bytes;

	while ((bytes = input_next(&s->input, s->frame, &due)) > 0)
		sample_frame(s);
	if (bytes < 0) {
		(void)input_close(&s->input);
		return false;
	}
	return input_close(&s->input) == 0;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static void print_tally(const char *name, const struct tally *t, bool enrolment)
{
	printf("%-24s %10" PRIu64 "  %11" PRIu64 " %6.2f %%", name, t->events, t->dropped,
	       share(t->dropped, t->events));
	if (enrolment)
		printf("  %9" PRIu64 " %6.2f %%", t->dropped_enrolled, share(t->dropped_enrolled, t->events));
	putchar('\n');
}

static void tally_add(struct tally *sum, const struct tally *t)
{
	sum->events += t->events;
	sum->dropped += t->dropped;
	sum->dropped_enrolled += t->dropped_enrolled;
}

static void sample_print(const struct sample *s)
{
	struct tally sum = { 0 };
	bool enrolment;

	for (unsigned i = 0; i <= s->c->event_count; i++)
		tally_add(&sum, &s->types[i]);
	enrolment = sum.dropped != sum.dropped_enrolled;
	printf("\n%-24s %10s  %20s%s\n", "sample", "events", enrolment ? "nobody else enrolled" : "dropped",
	       enrolment ? "  everybody enrolled" : "");
	for (unsigned i = 0; i < s->c->event_count; i++)
		if (s->types[i].events)
			print_tally(s->c->events[i].name, &s->types[i], enrolment);
	if (s->types[s->c->event_count].events)
		print_tally("not in the catalogue", &s->types[s->c->event_count], enrolment);
	print_tally("all", &sum, enrolment);
}

static bool sample_init(struct sample *s, const struct catalogue *c)
{
	*s = (struct sample){ .c = c };
	s->types = calloc(c->event_count + 1u, sizeof *s->types);
	s->customers = calloc(ENROLMENT_WORDS, sizeof *s->customers);
	s->accounts = calloc(ENROLMENT_ACCOUNTS / 64, sizeof *s->accounts);
	s->frame = malloc(FRAME_BYTES_MAX);
	return s->types && s->customers && s->accounts && s->frame;
}

static void sample_deinit(struct sample *s)
{
	free(s->types);
	free(s->customers);
	free(s->accounts);
	free(s->frame);
}

static int check_sample(const struct catalogue *c, const char *path)
{
	struct sample s;
	int code = CLI_USAGE;

	if (!sample_init(&s, c)) {
		fprintf(stderr, "moment check: %s\n", strerror(ENOMEM));
		code = CLI_FAILED;
	} else if (input_open_file(&s.input, path) != 0) {
		fprintf(stderr, "moment check: %s\n", s.input.error); /* names the file itself */
	} else if (!sample_read(&s)) {
		fprintf(stderr, "moment check: %s: %s\n", path, s.input.error);
	} else {
		sample_print(&s);
		code = CLI_OK;
	}
	sample_deinit(&s);
	return code;
}

/* --- the catalogue --- */

struct options {
	const char *dir, *sample;
	bool interest, memory, help;
};

static int check_directory(const struct options *o)
{
	struct catalogue *c;
	struct problems problems;
	int rc, code = CLI_FAILED;

	problems_init(&problems);
	rc = catalogue_compile_dir(o->dir, &c, &problems);
	if (rc == 0) {
		catalogue_summary_print(c, stdout);
		catalogue_conditions_print(c, stdout);
		if (o->interest) {
			putchar('\n');
			catalogue_interest_print(c, stdout);
		}
		code = o->sample ? check_sample(c, o->sample) : CLI_OK;
		rc = o->memory ? check_memory(c, stdout) : 0;
		if (rc != 0) {
			fprintf(stderr, "moment check: the memory of windows: %s\n", strerror(-rc));
			code = CLI_FAILED;
		}
		catalogue_free(c);
	} else {
		problems_print(&problems, stdout);
		if (problems.count == 0)
			printf("%s: %s\n", o->dir, strerror(-rc));
		else
			printf("%zu problem%s\n", problems.count, problems.count == 1 ? "" : "s");
	}
	problems_deinit(&problems);
	return code;
}

/* One argument, or two for --sample: how many, 0 for a wrong one, which is said. */
static int option_take(struct options *o, char **argv)
{
	if (strcmp(argv[0], "--help") == 0) {
		o->help = true;
	} else if (strcmp(argv[0], "--interest") == 0) {
		o->interest = true;
	} else if (strcmp(argv[0], "--sample") == 0 && !o->sample) {
		o->sample = argv[1];
		if (argv[1])
			return 2;
		fprintf(stderr, "moment check: --sample needs a file\n%s", usage);
		return 0;
	} else if (strcmp(argv[0], "--memory") == 0) {
		o->memory = true;
	} else if (argv[0][0] == '-' || o->dir) {
		fprintf(stderr, "moment check: unexpected '%s'\n%s", argv[0], usage);
		return 0;
	} else {
		o->dir = argv[0];
	}
	return 1;
}

int cli_check(int argc, char **argv)
{
	struct options o = { 0 };

	for (int i = 1, taken; i < argc && !o.help; i += taken)
		if ((taken = option_take(&o, &argv[i])) == 0)
			return CLI_USAGE;
	if (o.help) {
		fputs(usage, stdout);
		return CLI_OK;
	}
	if (!o.dir) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	return check_directory(&o);
}
