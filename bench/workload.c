// needs: bench/bank20.c
/*
 * workload.c: bank-20 by itself: its answers, its customers as a file for `moment import`, how fast it is
 * made.
 *
 *   workload --answers N[,N..] [--customers C]       counts and digest of the first N events, by the plain
 * evaluation workload --import FILE [--customers C] [--own-channels]   a line a customer: attributes, and a
 * subscription for each opt-in bit of a rule that is not critical workload --speed N [--customers C] frames/s
 * of the generator alone
 *
 * Out: one JSON object on stdout; with --answers an object for every N, in a list, and what is known of it.
 * Exit 0; 1: an answer differs from what is known, or the file cannot be written; 2 usage.
 */
#include "bank20.h"
#include "pace.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { FRAMES = 1024 };

struct options {
	const char *answers, *import;
	uint64_t speed;
	uint32_t customers;
	bool own_channels;
};

static bool answers_show(const struct bank20_answers *a, uint32_t customers, bool first)
{
	const struct bank20_answers *known = bank20_known(customers, a->events);
	bool good = !known || bank20_answers_equal(a, known);

	printf("%s{", first ? "" : ", ");
	bank20_answers_print(a);
	printf(", \"known\": %s}", !known ? "null" : good ? "true" : "false");
	return good;
}

/* Ascending numbers of events, each judged once. */
static int answers_run(struct bank20 *b, const char *list)
{
	struct bank20_judge *judge = bank20_judge_new(bank20_profiles(b), bank20_customers(b));
	struct bank20_answers a = { 0 };
	bool good = judge != NULL, first = true;
	struct frame_header frame;

	printf("[");
	for (char *end; judge && *list; list = *end ? end + 1 : end, first = false) {
		uint64_t until = strtoull(list, &end, 10);
		while (a.events < until) {
			bank20_next(b, &frame, 1);
			bank20_answers_add(&a, bank20_judge_event(judge, &frame));
		}
		good &= answers_show(&a, bank20_customers(b), first);
	}
	printf("]\n");
	bank20_judge_free(judge);
	return good ? 0 : 1;
}

static void line_write(FILE *out, const struct bank20_profile *p, uint32_t customer, bool own_channels)
{
	const char *comma = "";

	fprintf(out,
		"{\"customer\": %u, \"set\": {\"threshold\": %u, \"low\": %u, \"home\": %u, \"channel\": "
		"\"%s\", "
		"\"salary\": %u, \"optin\": %u}, \"subscriptions\": [",
		customer + 1, p->threshold, p->low, p->home, bank20_channel(p->channel), p->salary, p->optin);
	for (uint32_t rules = p->optin & ~BANK20_CRITICAL; rules; rules &= rules - 1) {
		fprintf(out, "%s{\"kind\": \"r%02d\"", comma, __builtin_ctz(rules) + 1);
		if (own_channels)
			fprintf(out, ", \"channels\": [\"%s\"]", bank20_channel(p->channel));
		fputc('}', out);
		comma = ", ";
	}
	fputs("]}\n", out);
}

static int import_write(const struct bank20 *b, const struct options *o)
{
	FILE *out = fopen(o->import, "we");

	if (!out) {
		perror(o->import);
		return 1;
	}
	for (uint32_t i = 0; i < bank20_customers(b); i++)
		line_write(out, &bank20_profiles(b)[i], i, o->own_channels);
	bool bad = ferror(out) != 0;
	if (fclose(out) || bad) {
		perror(o->import);
		return 1;
	}
	printf("{\"customers\": %u}\n", bank20_customers(b));
	return 0;
}

static int speed_run(struct bank20 *b, uint64_t events)
{
	static struct frame_header frame[FRAMES];
	int64_t start = pace_now();
	uint64_t sum = 0;

	for (uint64_t done = 0; done < events; done += FRAMES) {
		bank20_next(b, frame, FRAMES);
		sum = sum * 31 + (uint64_t)frame[FRAMES - 1].amount;
	}
	printf("{\"events\": %llu, \"rate\": %.0f, \"hash\": %llu}\n", (unsigned long long)events,
	       (double)events * 1e9 / (double)(pace_now() - start), (unsigned long long)sum);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: workload --answers N[,N..] | --import FILE [--own-channels] | --speed N  "
			"[--customers C]\n");
	return 2;
}

static const struct option options_table[] = {
	{ "answers", required_argument, NULL, 'a' }, { "import", required_argument, NULL, 'i' },
	{ "speed", required_argument, NULL, 's' },   { "customers", required_argument, NULL, 'c' },
	{ "own-channels", no_argument, NULL, 'o' },  { NULL, 0, NULL, 0 },
};

static bool options_take(struct options *o, int argc, char **argv)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "", options_table, NULL)) != -1)
		switch (letter) {
		case 'a':
			o->answers = optarg;
			break;
		case 'i':
			o->import = optarg;
			break;
		case 's':
			o->speed = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			o->customers = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'o':
			o->own_channels = true;
			break;
		default:
			return false;
		}
	return optind == argc && o->customers && o->customers <= BANK20_CUSTOMERS_MAX &&
	       (o->answers != NULL) + (o->import != NULL) + (o->speed != 0) == 1;
}

int main(int argc, char **argv)
{
	struct options o = { .customers = 100000 };

	if (!options_take(&o, argc, argv))
		return usage();
	struct bank20 *b = bank20_new(o.customers);
	if (!b)
		return 1;
	int rc = o.answers  ? answers_run(b, o.answers)
		 : o.import ? import_write(b, &o)
			    : speed_run(b, o.speed);
	bank20_free(b);
	return rc;
}
