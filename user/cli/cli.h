/*
 * cli: one function per command of `moment`; argv[0] is the command's name. What it returns is the exit code.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* X(name, what it does) */
#define CLI_COMMANDS(X)                                                                                      \
	X(check, "compile a catalogue; say what is wrong, or what the filter will drop")                     \
	X(import, "load profiles, accounts and subscriptions from NDJSON")                                   \
	X(get, "print one golden record with its state")                                                     \
	X(feed, "a source: send events, resume, report latency")                                             \
	X(sink, "a gateway: accept messages and print them")                                                 \
	X(generate, "write the made-up bank of a synthetic load as an import file")                          \
	X(replay, "run the journal again; the same bytes, or say where not")                                 \
	X(status, "what goes in and out, and where it ends")

#define X(name, text) int cli_##name(int argc, char **argv);
CLI_COMMANDS(X)
#undef X

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,	       /* the engine refused, or what was asked for is not so */
	CLI_USAGE = 2,	       /* the command line or an input file is wrong */
	CLI_NO_CONNECTION = 3, /* nobody answers */
};

#endif
