// needs: user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * windows.c: what one event costs in history alone. Events of workload bank-20 (mulberry32, seed 20260101)
 * for so many customers go through history_expect and history_apply in batches of 256; only those are
 * timed, not the making of events. Prints ns an event, what
 * is in memory and a hash of all values, which is the same for the same work.
 *
 *   build/release/bench/windows [customers] [events] [catalogue] [gap_ns] [checkpoint_every]
 *
 * catalogue: bank20, ten_minutes, ninety_days. gap_ns: mean time between two events; 0 = bank-20's.
 * checkpoint_every: events between cuts, encoded in steps of 4096 items a batch; 0 = none.
 */
#include <profile/history.h>

#include <catalogue/env.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BATCH = 256, TYPES = 20, HOT = 64, WARM_UP_TENTHS = 3, STEP_ITEMS = 4096 };

static const char *const type_names[TYPES] = {
	"card.purchase",   "card.declined", "card.refund",    "card.blocked",	  "atm.withdrawal",
	"atm.deposit",	   "transfer.in",   "transfer.out",   "transfer.failed",  "salary",
	"loan.instalment", "loan.missed",   "standing.order", "direct.debit",	  "fee",
	"interest",	   "login",	    "login.failed",   "password.changed", "device.added"
};
static const uint16_t weights[TYPES] = { 450, 25, 15, 3,  50, 8,  60,  70, 5, 20,
					 12,  2,  30, 50, 20, 15, 130, 25, 5, 5 };
static const uint8_t hot_weights[4][TYPES] = {
	{ [0] = 90, [1] = 10 },
	{ [0] = 90, [16] = 10 },
	{ [17] = 80, [18] = 10, [7] = 10 },
	{ [4] = 40, [1] = 30, [7] = 20, [6] = 10 },
};
static const int32_t base_amounts[TYPES] = { 2500,  5000,   2500,  0,	  10000, 20000, 20000, 15000,
					     15000, 180000, 30000, 30000, 20000, 6000,	500,   100 };
static const uint16_t countries[12] = { 276, 40, 756, 250, 380, 724, 528, 616, 752, 826, 840, 792 };

static const char bank20[] =
	"purchases_10m: { over: [card.purchase], count: true, within: 10m }\n"
	"withdrawn_24h: { over: [atm.withdrawal], sum: amount, mixed: true, within: 24h }\n"
	"n_before: { over: [card.purchase], count: true, before: true }\n"
	"s_before: { over: [card.purchase], sum: amount, mixed: true, before: true }\n"
	"failed_5m: { over: [login.failed], count: true, within: 5m }\n"
	"last_change: { over: [password.changed, device.added], last: time, before: true }\n"
	"last_country: { over: [card.purchase], last: country, before: true }\n"
	"last_purchase: { over: [card.purchase], last: time, before: true }\n"
	"out_24h: { over: [transfer.out], sum: amount, mixed: true, within: 24h }\n"
	"in_24h: { over: [transfer.in], sum: amount, mixed: true, within: 24h }\n"
	"declined_1h: { over: [card.declined], count: true, within: 1h }\n";
static const char bank20_rules[] =
	"a: { events: [card.purchase], score: 1, when: 'agg.purchases_10m > 5 || agg.n_before > 3 || "
	"agg.s_before > 3 "
	"|| agg.last_country != 1 || event.time - agg.last_purchase < duration(\"1h\")' }\n"
	"b: { events: [atm.withdrawal], score: 1, when: 'agg.withdrawn_24h > 100000' }\n"
	"c: { events: [transfer.out], score: 1, when: 'agg.out_24h > agg.in_24h || event.time - "
	"agg.last_change < "
	"duration(\"10m\")' }\n"
	"d: { events: [card.declined], score: 1, when: 'agg.declined_1h > 2' }\n"
	"e: { events: [login.failed], score: 1, when: 'agg.failed_5m > 3' }\n";
static const char four_windows[] =
	"n: { over: [card.purchase, login, transfer.out, transfer.in], count: true, within: %s }\n"
	"s: { over: [card.purchase, login, transfer.out, transfer.in], sum: amount, mixed: true, within: %s "
	"}\n"
	"m: { over: [card.purchase, login, transfer.out, transfer.in], mean: amount, mixed: true, within: "
	"%s, before: true }\n"
	"x: { over: [card.purchase, login, transfer.out, transfer.in], max: amount, mixed: true, within: %s "
	"}\n";
static const char four_rules[] = "a: { events: [card.purchase, login, transfer.out, transfer.in], score: 1, "
				 "when: 'agg.n > 3 || agg.s > 3 || agg.m > 3.0 || agg.x > 3' }\n";

struct generator {
	uint32_t state;
	uint64_t customers, gap;
	uint16_t *home;
	uint8_t types[1000], hot_types[4][100];
	uint64_t hot[HOT];
	int64_t time;
};

/* mulberry32, uniform in [0, 1) */
static double uniform(struct generator *g)
{
	uint32_t t = g->state += 0x6d2b79f5u;

	t = (t ^ t >> 15) * (t | 1);
	t ^= t + (t ^ t >> 7) * (t | 61);
	return (double)(t ^ t >> 14) / 4294967296.0;
}

static uint64_t below(struct generator *g, uint64_t n)
{
	return (uint64_t)(uniform(g) * (double)n);
}

static uint64_t power_law(struct generator *g)
{
	double x = uniform(g);

	return (uint64_t)((double)g->customers * x * x) * 7919 % g->customers;
}

static void generator_init(struct generator *g, uint64_t customers, uint64_t gap)
{
	uint32_t at = 0;

	*g = (struct generator){ .state = 20260101, .customers = customers, .gap = gap };
	g->time = INT64_C(1767225600000) * 1000000;
	g->home = malloc(customers * sizeof *g->home);
	if (!g->home)
		abort();
	for (uint64_t i = 0; i < customers; i++)
		g->home[i] = countries[uniform(g) < 0.6 ? 0 : below(g, 12)];
	for (int type = 0; type < TYPES; type++)
		for (int i = 0; i < weights[type]; i++)
			g->types[at++] = (uint8_t)type;
	for (int kind = 0; kind < 4; kind++) {
		at = 0;
		for (int type = 0; type < TYPES; type++)
			for (int i = 0; i < hot_weights[kind][type]; i++)
				g->hot_types[kind][at++] = (uint8_t)type;
	}
	for (int i = 0; i < HOT; i++)
		g->hot[i] = power_law(g);
}

static void generate(struct generator *g, const struct catalogue *c, struct history_event *e)
{
	uint64_t customer, type;

	g->time += (int64_t)(uniform(g) * 2 * (double)g->gap);
	if (uniform(g) < 0.1) {
		uint64_t slot = below(g, HOT);
		customer = g->hot[slot];
		type = g->hot_types[slot & 3][below(g, 100)];
		if (uniform(g) < 0.02)
			g->hot[slot] = power_law(g);
	} else {
		customer = power_law(g);
		type = g->types[below(g, 1000)];
	}
	int64_t amount = (int64_t)(base_amounts[type] * 0.3 / (1.01 - uniform(g)));
	*e = (struct history_event){
		.type = &c->events[c->event_by_code[type + 1]],
		.time = g->time,
		.now = g->time,
		.amount = amount,
		.balance = 100000,
		.base = { .type = TYPE_INT, .i = amount },
		.customer = customer + 1,
		.currency = 978,
		.country = uniform(g) < 0.08 ? countries[below(g, 12)] : g->home[customer],
		.touchpoint = 1,
		.stage = STAGE_POSTED,
		.event_clock = true,
	};
}

static struct catalogue *catalogue_make(const char *name)
{
	char text[16384], aggregates[4096];
	const char *rules = bank20_rules;
	struct problems problems;
	struct catalogue *c;
	size_t n =
		(size_t)snprintf(text, sizeof text,
				 "bank: { currency: EUR, zone: UTC, country: DE, starts: empty }\nevents:\n");

	snprintf(aggregates, sizeof aggregates, "%s", bank20);
	if (strcmp(name, "bank20") != 0) {
		const char *w = strcmp(name, "ninety_days") == 0 ? "90d" : "10m";
		snprintf(aggregates, sizeof aggregates, four_windows, w, w, w, w);
		rules = four_rules;
	}
	for (int i = 0; i < TYPES; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "  %s: { code: %d, history: full }\n",
				      type_names[i], i + 1);
	for (int part = 0; part < 2; part++) {
		const char *from = part ? rules : aggregates, *indent = part ? "    " : "  ";
		n += (size_t)snprintf(text + n, sizeof text - n, "%s",
				      part ? "fraud:\n  rules:\n" : "aggregates:\n");
		for (const char *line = from; *line; line = strchr(line, '\n') + 1)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s\n", indent,
					      (int)(strchr(line, '\n') - line), line);
	}
	problems_init(&problems);
	if (catalogue_compile_text("bench", text, n, &c, &problems)) {
		problems_print(&problems, stderr);
		exit(1);
	}
	problems_deinit(&problems);
	return c;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may have the CPU in between */
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

struct bench {
	struct history *h;
	struct catalogue *c;
	struct history_event events[BATCH];
	struct value agg[AGGREGATE_VALUES_MAX];
	struct records records;
	XXH3_state_t hash;
};

static void event_apply(struct bench *b, uint32_t i)
{
	const struct cel_env env = { 0 };
	struct history_result result;

	history_expect(b->h, i + HISTORY_AHEAD < BATCH ? b->events[i + HISTORY_AHEAD].customer : 0, 0);
	history_apply(b->h, b->c, &b->events[i], &env, b->agg, &result);
}

static void values_hash(struct bench *b, const struct cat_event *type)
{
	for (uint64_t left = type->reads; left; left &= left - 1) {
		const struct value *v = &b->agg[b->c->aggregates[__builtin_ctzll(left)].value_first];
		XXH3_64bits_update(&b->hash, v, sizeof *v);
	}
}

/* One batch; ns of history alone. Every 64th batch its values are hashed, and it is not timed. */
static int64_t batch_run(struct bench *b, struct generator *g, bool hashed)
{
	for (uint32_t i = 0; i < BATCH; i++)
		generate(g, b->c, &b->events[i]);
	int64_t from = now_ns();
	if (!history_has_room(b->h, BATCH)) {
		fprintf(stderr, "no room\n");
		exit(1);
	}
	for (uint32_t i = 0; i < HISTORY_AHEAD; i++)
		history_expect(b->h, b->events[i].customer, 0);
	for (uint32_t i = 0; i < BATCH; i++) {
		event_apply(b, i);
		if (hashed)
			values_hash(b, b->events[i].type);
	}
	return hashed ? -1 : now_ns() - from;
}

/* A cut now and then, a step of it after each batch; the longest of either in *worst. */
static void checkpoint_run(struct bench *b, uint64_t batch, uint64_t every, int64_t *worst, int64_t *total)
{
	int64_t from = now_ns();

	if (!every)
		return;
	if (history_checkpoint_running(b->h)) {
		if (history_checkpoint_step(b->h, STEP_ITEMS))
			records_reset(&b->records);
	} else if (batch % (every / BATCH) == 0) {
		history_checkpoint_cut(b->h, &b->records);
	} else {
		return;
	}
	int64_t ns = now_ns() - from;
	*total += ns;
	*worst = ns > *worst ? ns : *worst;
}

int main(int argc, char **argv)
{
	uint64_t customers = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	uint64_t events = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
	const char *name = argc > 3 ? argv[3] : "bank20";
	uint64_t gap = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	uint64_t every = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
	static struct bench b;
	struct generator g;
	struct history_sizes sizes;
	int64_t ns = 0, worst = 0, checkpoint_ns = 0;
	uint64_t timed = 0;

	b.c = catalogue_make(name);
	if (history_create(&b.h, UINT64_C(12) << 30, UINT64_C(1) << 25, 1 << 16) ||
	    records_init(&b.records, UINT64_C(8) << 30))
		return 1;
	history_activate(b.h, b.c, 0, true);
	generator_init(&g, customers, gap ? gap : 172500000);
	XXH3_INITSTATE(&b.hash);
	XXH3_64bits_reset(&b.hash);
	for (uint64_t batch = 0; batch < events / BATCH; batch++) {
		int64_t took = batch_run(&b, &g, batch % 64 == 0);
		if (took >= 0 && batch >= events / BATCH * WARM_UP_TENTHS / 10) {
			ns += took;
			timed += BATCH;
		}
		checkpoint_run(&b, batch, every, &worst, &checkpoint_ns);
	}
	history_sizes(b.h, &sizes);
	printf("%s customers %" PRIu64 " events %" PRIu64 " ns_per_event %.1f cells %" PRIu64
	       " entries %" PRIu64 " bytes %" PRIu64
	       " checkpoint_worst_us %.1f checkpoint_ns_per_event %.1f hash %016" PRIx64 "\n",
	       name, customers, events, timed ? (double)ns / (double)timed : 0, sizes.cells, sizes.entries,
	       sizes.windows_bytes, (double)worst / 1e3, (double)checkpoint_ns / (double)events,
	       (uint64_t)XXH3_64bits_digest(&b.hash));
	records_deinit(&b.records);
	history_destroy(b.h);
	catalogue_free(b.c);
	free(g.home);
	return 0;
}
