/*
 * import.c: `moment import`: golden records from a file into the store of a stopped engine, or to a running
 * one.
 *
 * In: options, a file of NDJSON (user/profile/import.h). Out: rows in the store, all or none of them; bad
 * rows and a summary on standard error. The store is opened for this process alone: a running momentd refuses
 * it. The catalogue is the one in --catalogue, or what the store has kept of an earlier import or activation.
 */
#include "import.h"

#include <catalogue/catalogue.h>
#include <engine.h>
#include <errno.h>
#include <getopt.h>
#include <moment/limits.h>
#include <profile/import.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "textfile.h"

static const char help[] =
	"moment import --data DIR [--catalogue DIR] [--skip-bad] FILE\n"
	"moment import --to HOST:PORT [--name NAME] [--skip-bad] FILE\n"
	"Loads customers, subscriptions and accounts: NDJSON, one customer or account a line, plain or .gz, "
	"- = standard\n"
	"input:\n"
	"  {\"customer\": 7, \"set\": {\"language\": \"es\"}, \"unset\": [\"segment\"],\n"
	"   \"subscriptions\": [{\"kind\": \"large_purchase\", \"params\": {\"threshold\": \"100 EUR\"}, "
	"\"channels\": [\"push\"]}]}\n"
	"  {\"account\": 9, \"set\": {\"holders\": [{\"customer\": 7, \"role\": \"owner\"}], \"currency\": "
	"\"EUR\",\n"
	"   \"cards\": [{\"card\": \"c-1\", \"customer\": 7}]}}\n"
	"A line is applied whole or not at all. Bad rows are listed as FILE:LINE:COLUMN: what is wrong, the "
	"first 20.\n"
	"\n"
	"  --data DIR        the data directory of a stopped engine; made when missing. All rows are one "
	"transaction:\n"
	"                    after a bad row, a full disk or a kill nothing is imported\n"
	"  --catalogue DIR   names and types of attributes and subscriptions (the one that the store has "
	"kept)\n"
	"  --to HOST:PORT    as a source to a running engine, row by row\n"
	"  --name NAME       this source's name (import)\n"
	"  --skip-bad        leave bad rows out, count them, and import the others\n"
	"\n"
	"Exit: 0 imported; 1 bad rows, or the store or engine refused; 2 usage; 3 no connection.\n";

static int usage(const char *what)
{
	fprintf(stderr, "moment import: %s\n\n%s", what, help);
	return CLI_USAGE;
}

/* CLI_OK with *done, or go on. */
static int take_arguments(int argc, char **argv, struct import_arguments *a, bool *done)
{
	static const struct option options[] = {
		{ "data", required_argument, NULL, 'd' },
		{ "catalogue", required_argument, NULL, 'c' },
		{ "to", required_argument, NULL, 't' },
		{ "name", required_argument, NULL, 'n' },
		{ "skip-bad", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*done = true;
	optind = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'd':
			a->data = optarg;
			break;
		case 'c':
			a->catalogue = optarg;
			break;
		case 't':
			a->to = optarg;
			break;
		case 'n':
			a->name = optarg;
			break;
		case 's':
			a->skip_bad = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			return usage("unknown option");
		}
	if (optind + 1 != argc)
		return usage("expected one FILE");
	if (!a->data == !a->to)
		return usage("expected either --data or --to");
	if (strlen(a->name) > NAME_BYTES_MAX)
		return usage("--name is too long");
	if (a->to && a->catalogue)
		return usage("--catalogue goes with --data: a running engine has its own");
	a->file = argv[optind];
	*done = false;
	return CLI_OK;
}

/* The catalogue in --catalogue, or the one that the store has kept; NULL after saying why. */
static struct catalogue *find_catalogue(const struct import_arguments *a, struct store *s)
{
	struct catalogue *c = NULL;
	struct problems problems;
	uint32_t bytes = 0;
	const void *blob = a->catalogue ? NULL : store_value(s, RECORD_META, "catalogue", 9, &bytes);
	int rc;

	if (!a->catalogue && !blob) {
		fprintf(stderr, "moment import: the store has no catalogue yet: give --catalogue DIR\n");
		return NULL;
	}
	problems_init(&problems);
	rc = a->catalogue ? catalogue_compile_dir(a->catalogue, &c, &problems)
			  : catalogue_compile_blob(blob, bytes, &c, &problems);
	if (rc) {
		problems_print(&problems, stderr);
		fprintf(stderr, "moment import: %s: %s\n",
			a->catalogue ? a->catalogue : "the store's catalogue", strerror(-rc));
		c = NULL;
	}
	problems_deinit(&problems);
	return c;
}

static int read_lines(const struct import_arguments *a, struct import *import)
{
	struct textfile file;
	const char *line;
	size_t len;
	int rc = textfile_open(&file, a->file);

	if (rc) {
		fprintf(stderr, "moment import: %s: %s\n", a->file, strerror(-rc));
		return rc;
	}
	while ((rc = textfile_line(&file, &line, &len)) > 0)
		if ((rc = import_line(import, line, len)))
			break;
	if (rc)
		fprintf(stderr, "moment import: %s:%llu: %s\n", a->file, (unsigned long long)file.line,
			rc == -E2BIG ? "found a line of more than 1 MiB" : strerror(-rc));
	int closed = textfile_close(&file);
	if (closed && !rc)
		fprintf(stderr, "moment import: %s: the file is damaged\n", a->file);
	return rc ? rc : closed;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int print_result(const struct import_result *r, int rc, double seconds)
{
	if (rc) {
		fprintf(stderr, "moment import: %s; nothing is imported\n", strerror(-rc));
		return CLI_FAILED;
	}
	if (!r->committed) {
		fprintf(stderr,
			"moment import: %llu bad rows of %llu; nothing is imported (--skip-bad leaves them "
			"out)\n",
			(unsigned long long)r->bad, (unsigned long long)(r->rows + r->bad));
		return CLI_FAILED;
	}
	fprintf(stderr,
		"imported %llu customers, %llu subscriptions, %llu accounts in %.1f s; %llu bad rows left "
		"out\n",
		(unsigned long long)r->customers, (unsigned long long)r->subscriptions,
		(unsigned long long)r->accounts, seconds, (unsigned long long)r->bad);
	return CLI_OK;
}

static int import_into(const struct import_arguments *a, struct store *s, const struct catalogue *c)
{
	struct import_options options = { .file = a->file, .skip_bad = a->skip_bad, .report = stderr };
	struct import_result result;
	struct import *import;
	struct timespec start;
	char why[512];
	int rc = store_activate(s, c, why, sizeof why);

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (rc) {
		fprintf(stderr, "moment import: %s\n", why);
		return CLI_FAILED;
	}
	rc = import_begin(&import, s, c, &options);
	if (rc)
		return print_result(NULL, rc, 0);
	int read = read_lines(a, import);
	if (read)
		import_fail(import);
	rc = import_end(import, &result);
	if (read)
		return CLI_FAILED;
	return print_result(&result, rc, seconds_since(&start));
}

static int import_data(const struct import_arguments *a)
{
	char dir[4096], why[512];
	struct store_options options = { .dir = dir, .overlay_bytes = UINT64_C(1) << 30 };
	struct store *s;
	int result = CLI_FAILED;

	if ((size_t)snprintf(dir, sizeof dir, "%s/store", a->data) >= sizeof dir)
		return usage("--data is too long");
	if (store_open(&s, &options, why, sizeof why)) {
		fprintf(stderr, "moment import: %s\n", why);
		return CLI_FAILED;
	}
	if (core_behind_journal(s, a->data)) {
		fprintf(stderr,
			"moment import: %s: the journal is ahead of the store (momentd was killed): start "
			"momentd and stop it, "
			"so that nothing acknowledged is judged by rows that came after it\n",
			a->data);
		store_close(s);
		return CLI_FAILED;
	}
	struct catalogue *c = find_catalogue(a, s);
	if (c)
		result = import_into(a, s, c);
	catalogue_free(c);
	store_close(s);
	return result;
}

int cli_import(int argc, char **argv)
{
	struct import_arguments a = { .name = "import" };
	bool done;
	int rc = take_arguments(argc, argv, &a, &done);

	if (done)
		return rc;
	return a.to ? import_to(&a) : import_data(&a);
}
