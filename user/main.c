/*
 * main.c: momentd: options, signals, the engine on this thread, control on another. Exit codes: 0 stopped by
 * SIGTERM or SIGINT, 1 a failure that is said on stderr, 2 usage.
 */
#include <base/log.h>
#include <control/control.h>
#include <getopt.h>
#include <live.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"momentd: a real-time decision engine for banks\n"
	"\n"
	"  momentd --catalogue DIR --data DIR [options]\n"
	"\n"
	"  --catalogue DIR          the bank's rules (moment check DIR); may be left out when one is in "
	"force in --data\n"
	"  --data DIR               journal, store and bases; made when missing\n"
	"  --listen ADDR:PORT       sources and gateways; default 127.0.0.1:7400; port 0 = any, said on "
	"stdout\n"
	"  --insecure-listen        allow another address than loopback: only in a test's own network\n"
	"  --admin ADDR:PORT        status, metrics, reload over HTTP; default 127.0.0.1:7480; off = none\n"
	"  --prefilter=MODE         what no rule can use is dropped: kernel, user; auto: in the kernel if it "
	"can; off: all is kept\n"
	"  --durability=sync|none   none acknowledges before the disk: for the bench only\n"
	"  --zero-copy=auto|on|off  sends to gateways\n"
	"  --clock=wall|event       event: now is the largest time of the events kept\n"
	"  --accept-clock           start although the wall clock is behind the journal's last stamp\n"
	"  --verdict=early          verdicts leave before the disk (durable: not yet)\n"
	"  --spin=always|adaptive|never   how the engine waits\n"
	"  --cpu N                  pin the engine thread\n"
	"  --batch N                entries a tick at the most, 1 to 2048: results never depend on it\n"
	"  --checkpoint SECONDS     between checkpoints; default 30\n"
	"  --segment MIB            journal segments; default 64\n"
	"\n"
	"SIGHUP reloads the catalogue, SIGTERM stops after a last checkpoint.\n"
	"Exit: 0 stopped, 1 failure, 2 usage.\n";

/* What the signal handlers reach. The one global of the program. */
static struct {
	struct engine *engine;
	struct control *control;
} running;

static void on_signal(int number)
{
	if (number == SIGHUP && running.control)
		control_reload(running.control);
	else if (number != SIGHUP && running.engine)
		engine_stop(running.engine);
}

/* The index of `text` among names; exits with usage when it is none. */
static int choice(const char *option, const char *text, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (names[i] && strcmp(names[i], text) == 0)
			return i;
	fprintf(stderr, "momentd: --%s=%s: one of", option, text);
	for (int i = 0; i < count; i++)
		if (names[i])
			fprintf(stderr, " %s", names[i]);
	fprintf(stderr, " expected\n");
	exit(2);
}

static long number(const char *option, const char *text, long min, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < min || value > max) {
		fprintf(stderr, "momentd: --%s %s: a number from %ld to %ld expected\n", option, text, min,
			max);
		exit(2);
	}
	return value;
}

#define CHOICE(...)                                                                                          \
	choice(name, optarg, (const char *const[]){ __VA_ARGS__ },                                           \
	       (int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)))

static const struct option options_table[] = {
	{ "catalogue", required_argument, NULL, 'c' },
	{ "data", required_argument, NULL, 'd' },
	{ "listen", required_argument, NULL, 'l' },
	{ "insecure-listen", no_argument, NULL, 'i' },
	{ "admin", required_argument, NULL, 'a' },
	{ "prefilter", required_argument, NULL, 'p' },
	{ "durability", required_argument, NULL, 'y' },
	{ "zero-copy", required_argument, NULL, 'z' },
	{ "clock", required_argument, NULL, 'k' },
	{ "accept-clock", no_argument, NULL, 'A' },
	{ "verdict", required_argument, NULL, 'v' },
	{ "spin", required_argument, NULL, 's' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "batch", required_argument, NULL, 'b' },
	{ "checkpoint", required_argument, NULL, 't' },
	{ "segment", required_argument, NULL, 'g' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void option_take(struct engine_options *o, const char **admin, int letter, const char *name)
{
	switch (letter) {
	case 'c':
		o->catalogue = optarg;
		break;
	case 'd':
		o->data = optarg;
		break;
	case 'l':
		o->listen = optarg;
		break;
	case 'i':
		o->insecure_listen = true;
		break;
	case 'a':
		*admin = strcmp(optarg, "off") ? optarg : NULL;
		break;
	case 'p':
		o->prefilter = (enum engine_prefilter)CHOICE("auto", "kernel", "user", "off");
		break;
	case 'y':
		o->durable = CHOICE("sync", "none") == 0;
		break;
	case 'z':
		o->zero_copy = (enum zero_copy)CHOICE("auto", "on", "off");
		break;
	case 'k':
		o->event_clock = CHOICE("wall", "event") == 1;
		break;
	case 'A':
		o->accept_clock = true;
		break;
	case 'v':
		(void)CHOICE("early");
		break;
	case 's':
		o->spin = (enum engine_spin)CHOICE("adaptive", "always", "never");
		break;
	case 'C':
		o->cpu = (int)number(name, optarg, 0, 1023);
		break;
	case 'b':
		o->batch_max = (uint32_t)number(name, optarg, 1, JOURNAL_BATCH_ENTRIES_MAX);
		break;
	case 't':
		o->checkpoint_seconds = (uint32_t)number(name, optarg, 1, 86400);
		break;
	case 'g':
		o->journal_segment_bytes = (uint64_t)number(name, optarg, 1, 1024) << 20;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs("momentd --help says what there is\n", stderr);
		exit(2);
	}
}

static void signals_set(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(struct engine *e, const struct engine_options *options, const char *admin)
{
	char why[256] = "";
	struct control *control = NULL;

	signal(SIGHUP, SIG_IGN); /* until there is somebody to reload */
	if (engine_start(e, options)) {
		log_failure("%s", e->why);
		return 1;
	}
	if (control_start(&control, e, admin, options->insecure_listen, why, sizeof why)) {
		log_failure("admin: %s", why);
		return 1;
	}
	running.engine = e;
	running.control = control;
	signals_set();
	printf("momentd listens on port %u, admin on port %u\n", engine_port(e), control_port(control));
	fflush(stdout);
	int rc = engine_run(e);
	if (rc)
		log_failure("%s", e->why);
	running.engine = NULL;
	running.control = NULL;
	control_stop(control);
	return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct engine_options options = { .listen = "127.0.0.1:7400", .durable = true, .cpu = -1 };
	const char *admin = "127.0.0.1:7480";
	int letter, index = 0;

	while ((letter = getopt_long(argc, argv, "", options_table, &index)) != -1)
		option_take(&options, &admin, letter, options_table[index].name);
	if (optind < argc || !options.data) {
		fprintf(stderr,
			optind < argc ? "momentd: '%s' is not an option\n"
				      : "momentd: --data DIR is needed%s\n",
			optind < argc ? argv[optind] : "");
		fputs("momentd --help says what there is\n", stderr);
		return 2;
	}
	struct engine *e = calloc(1, sizeof *e);
	if (!e)
		return 1;
	int code = run(e, &options, admin);
	engine_close(e);
	free(e);
	return code;
}
