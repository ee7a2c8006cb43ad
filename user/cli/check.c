/*
 * check.c: `moment check DIR`: is this directory a catalogue?
 *
 * In: the arguments behind `moment`. Out: every problem on standard output, file:line:column: text, and a
 * count; or what the catalogue has, with --interest also what the pre-filter keeps and why. The exit code
 * says it to scripts: 0 good, 1 problems, 2 wrong use.
 */
#include "cli.h"

#include <catalogue/catalogue.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: moment check DIR [--interest]\n"
	"\n"
	"Checks the catalogue in DIR: all *.yaml files together. Prints every problem as\n"
	"file:line:column: found .., expected ..; without problems, what the catalogue has.\n"
	"\n"
	"  --interest   also a line per event type: kept or dropped by the pre-filter, and why\n"
	"  --help       this text\n"
	"\n"
	"Exit code: 0 good, 1 problems, 2 wrong use.\n";

static int check_directory(const char *dir, bool interest)
{
	struct catalogue *c;
	struct problems problems;
	int rc;

	problems_init(&problems);
	rc = catalogue_compile_dir(dir, &c, &problems);
	if (rc == 0) {
		catalogue_summary_print(c, stdout);
		if (interest)
			catalogue_interest_print(c, stdout);
		catalogue_free(c);
	} else {
		problems_print(&problems, stdout);
		if (problems.count == 0)
			printf("%s: %s\n", dir, strerror(-rc));
		else
			printf("%zu problem%s\n", problems.count, problems.count == 1 ? "" : "s");
	}
	problems_deinit(&problems);
	return rc == 0 ? CLI_OK : CLI_FAILED;
}

int cli_check(int argc, char **argv)
{
	const char *dir = NULL;
	bool interest = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return CLI_OK;
		}
		if (strcmp(argv[i], "--interest") == 0) {
			interest = true;
		} else if (argv[i][0] == '-' || dir) {
			fprintf(stderr, "moment check: unexpected '%s'\n%s", argv[i], usage);
			return CLI_USAGE;
		} else {
			dir = argv[i];
		}
	}
	if (!dir) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	return check_directory(dir, interest);
}
