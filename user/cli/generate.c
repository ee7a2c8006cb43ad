/*
 * generate.c: `moment generate`: the import file that goes with a synthetic load or with a data file.
 *
 * For a synthetic load it is the made-up bank itself; for a data file one line per customer and account that
 * its rows name. Nothing is sent anywhere. What can go wrong: the options, the input, the output.
 */
#include "bank.h"
#include "cli.h"
#include "idset.h"
#include "input.h"

#include <errno.h>
#include <getopt.h>
#include <moment/frame.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"moment generate --synthetic SPEC | --data FILE  --bank-out FILE [--seed N]\n"
	"Writes a bank as an import file for `moment import`: NDJSON, a line per customer (attributes, "
	"subscriptions) and\n"
	"per account (holders, currency, cards), with the attributes and subscriptions of "
	"schemas/demo-bank.\n"
	"\n"
	"  --synthetic SPEC  the bank of `moment feed --synthetic SPEC` (only customers=, joint=, cards= "
	"matter)\n"
	"  --seed N          the same seed as the feed's (1)\n"
	"  --data FILE       the customers and accounts of a PaySim, Sparkov or NDJSON file, plain or .gz\n"
	"  --bank-out FILE   where to; - = standard output\n"
	"\n"
	"Exit: 0 written; 1 the output failed; 2 usage, or a line of FILE is wrong.\n";

struct generate {
	const char *synthetic, *data, *bank_out;
	uint64_t seed;
	struct input input;
};

static int write_synthetic(struct generate *g, FILE *out)
{
	if (input_open_synthetic(&g->input, g->synthetic, g->seed) != 0)
		return -EINVAL;
	return bank_write_world(synth_world(g->input.synth), out);
}

/* A line for each customer and each account that is seen for the first time. */
static int write_seen(struct idset *seen, const struct frame_header *h, FILE *out)
{
	uint64_t customer[2] = { h->customer, 0 }, account[2] = { h->account, 1 };
	bool american = h->currency == 840;
	int added = h->customer ? idset_add(seen, (const uint8_t *)customer, "", 0) : 0;

	if (added > 0)
		bank_write_customer(&(struct bank_customer){ .number = h->customer,
							     .draw = world_hash(h->customer, 0, 0),
							     .country = american ? 840 : 724,
							     .language = american ? "en" : "es",
							     .daily_limit = 3000 },
				    out);
	if (added >= 0 && h->customer && h->account)
		added = idset_add(seen, (const uint8_t *)account, "", 0);
	else
		return added < 0 ? added : 0;
	if (added > 0)
		bank_write_account(h->account, h->customer, h->currency, out);
	return added < 0 ? added : 0;
}

static int write_data(struct generate *g, FILE *out)
{
	uint8_t *frame = malloc(FRAME_BYTES_MAX);
	struct idset seen;
	struct frame_header h;
	int64_t due;
	long bytes = input_open_file(&g->input, g->data);
	int result = frame ? 0 : -ENOMEM;

	if (bytes < 0 || result || idset_open(&seen, NULL) != 0) {
		free(frame);
		return bytes < 0 ? -EINVAL : -ENOMEM;
	}
	while (result == 0 && (bytes = input_next(&g->input, frame, &due)) > 0) {
		memcpy(&h, frame, sizeof(h));
		result = h.kind == FRAME_EVENT ? write_seen(&seen, &h, out) : 0;
	}
	idset_close(&seen);
	free(frame);
	if (result == 0 && fflush(out) != 0)
		result = -EIO;
	return bytes < 0 ? -EINVAL : result;
}

static int generate(struct generate *g)
{
	bool to_stdout = strcmp(g->bank_out, "-") == 0;
	FILE *out = to_stdout ? stdout : fopen(g->bank_out, "we");
	int result;

	if (!out) {
		fprintf(stderr, "moment generate: %s: %s\n", g->bank_out, strerror(errno));
		return CLI_FAILED;
	}
	result = g->synthetic ? write_synthetic(g, out) : write_data(g, out);
	if (!to_stdout && fclose(out) != 0 && result == 0)
		result = -EIO;
	if (input_close(&g->input) != 0 && result == 0)
		result = -EINVAL;
	if (result == -EINVAL)
		fprintf(stderr, "moment generate: %s\n", g->input.error);
	else if (result)
		fprintf(stderr, "moment generate: %s: %s\n", g->bank_out, strerror(-result));
	return result == 0 ? CLI_OK : result == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

static bool seed_parse(const char *text, uint64_t *seed)
{
	char *end;

	errno = 0;
	*seed = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0)
		return true;
	fprintf(stderr, "moment generate: --seed %s: expected a number\n", text);
	return false;
}

int cli_generate(int argc, char **argv)
{
	static const struct option options[] = { { "synthetic", 1, NULL, 'y' }, { "data", 1, NULL, 'd' },
						 { "bank-out", 1, NULL, 'o' },	{ "seed", 1, NULL, 's' },
						 { "help", 0, NULL, 'h' },	{ NULL, 0, NULL, 0 } };
	struct generate g = { .seed = 1, .input.file.fd = -1 };
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return CLI_OK;
		}
		if (option == '?' || (option == 's' && !seed_parse(optarg, &g.seed)))
			return CLI_USAGE;
		if (option == 'y')
			g.synthetic = optarg;
		else if (option == 'd')
			g.data = optarg;
		else if (option == 'o')
			g.bank_out = optarg;
	}
	if (optind < argc || !g.bank_out || !g.synthetic == !g.data) {
		fprintf(stderr, "moment generate: expected --synthetic SPEC or --data FILE, and --bank-out "
				"FILE; --help says more\n");
		return CLI_USAGE;
	}
	return generate(&g);
}
