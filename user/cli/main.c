/*
 * main.c: `moment COMMAND ...`. Finds the command in the table and gives it the rest of the line. Owns
 * nothing. A wrong name ends with 2 and the list.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name, *text;
	int (*run)(int argc, char **argv);
} commands[] = {
#define X(name, text) { #name, text, cli_##name },
	CLI_COMMANDS(X)
#undef X
};

enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_commands(FILE *to)
{
	fprintf(to, "moment: tools of the Moment decision engine (the engine itself is momentd)\n\n");
	for (int i = 0; i < COMMANDS; i++)
		fprintf(to, "  moment %-9s %s\n", commands[i].name, commands[i].text);
	fprintf(to, "\n`moment COMMAND --help` says all about one.\n");
}

int main(int argc, char **argv)
{
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		print_commands(stdout);
		return CLI_OK;
	}
	for (int i = 0; argc >= 2 && i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (argc >= 2)
		fprintf(stderr, "moment: no command '%s'\n\n", argv[1]);
	print_commands(stderr);
	return CLI_USAGE;
}
