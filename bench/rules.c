// needs: user/rules/*.c user/profile/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * rules.c: what the rules stage costs an event, without the stages before and behind it.
 *
 *   rules bank20 [--customers N] [--batches N] [--seed N]
 *   rules growth [--batches N] [--seed N]
 *
 * bank20: 20 rules, half of them subscriptions, customers with a profile and about 8 subscriptions each,
 * types in the shares of a retail bank. The events go through the profile stage; only rules_run() is timed.
 * growth: events of one type against 10 rules and against 10,000 of the same forms (equality, `in`, ranges,
 * strings), in turns A B B A; every fifth event is made to hit one rule, whichever of them, so that the hits
 * are equal. A different number of hits is an error.
 *
 * Out: lines `name value`; a hash of the hits, so that two builds can be seen to do the same work.
 */
#include <assert.h>
#include <base/bytes.h>
#include <catalogue/env.h>
#include <getopt.h>
#include <profile/profile.h>
#include <rules/rules.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N = BATCH_ENTRIES_MAX, MANY = 10000, FEW = 10 };
static const int64_t SECOND = 1000000000, START = INT64_C(1767225600) * 1000000000;

struct options {
	uint32_t customers, batches;
	uint64_t seed;
};

struct subject {
	struct catalogue *c;
	struct store *store;
	struct history *history;
	struct profile_columns columns;
	struct rules rules;
	struct ledger ledger;
	struct ledger_rule *by_rule;
	struct event events[N];
	int64_t ns;
	uint64_t hits, count, hash;
	char dir[64];
};

static uint64_t next(uint64_t *s)
{
	*s += UINT64_C(0x9E3779B97F4A7C15);
	uint64_t z = *s;
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *s, uint32_t n)
{
	return (uint32_t)(next(s) % n);
}

static int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* of two cores that others use, too */
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench rules: %s: %s\n", what, why);
	exit(1);
}

/* ---- a subject: catalogue, store and stages ---- */

static void subject_open(struct subject *s, const char *yaml)
{
	struct problems problems;
	char why[256];

	problems_init(&problems);
	if (catalogue_compile_text("bench", yaml, strlen(yaml), &s->c, &problems)) {
		problems_print(&problems, stderr);
		die("catalogue", "does not compile");
	}
	problems_deinit(&problems);
	strcpy(s->dir, "/tmp/moment-bench-XXXXXX");
	if (!mkdtemp(s->dir))
		die("mkdtemp", s->dir);
	struct store_options o = { .dir = s->dir,
				   .map_bytes = UINT64_C(4) << 30,
				   .overlay_bytes = UINT64_C(2) << 30,
				   .records_bytes = UINT64_C(4) << 30 };
	if (store_open(&s->store, &o, why, sizeof why) || store_activate(s->store, s->c, why, sizeof why))
		die("store", why);
	if (history_create(&s->history, UINT64_C(4) << 30, 1 << 21, 1 << 16) || profile_init(&s->columns) ||
	    rules_init(&s->rules))
		die("memory", "not enough");
	s->columns.event_clock = true;
	history_activate(s->history, s->c, 0, true);
	s->by_rule = calloc(RULES_MAX, sizeof *s->by_rule);
}

static void subject_close(struct subject *s)
{
	char command[128];

	rules_deinit(&s->rules);
	profile_deinit(&s->columns);
	history_destroy(s->history);
	store_close(s->store);
	catalogue_free(s->c);
	free(s->by_rule);
	snprintf(command, sizeof command, "rm -rf %s", s->dir);
	if (system(command) != 0)
		fprintf(stderr, "bench rules: %s stays\n", s->dir);
}

/* The stage over events[0..N), timed; the hits go into the hash. */
static void subject_run(struct subject *s)
{
	for (uint32_t i = 0; i < N; i++)
		s->events[i].score = s->events[i].reason_count = 0;
	for (uint32_t from = 0; from < N;) {
		int64_t started = clock_ns();
		from = rules_run(&s->rules, s->store, s->c, s->events, from, N, &s->ledger, s->by_rule);
		s->ns += clock_ns() - started;
		s->hits += s->rules.hit_count;
		for (uint32_t i = 0; i < s->rules.hit_count; i++)
			s->hash = s->hash * 31 + s->rules.hits[i].event * UINT64_C(65599) +
				  s->rules.hits[i].rule;
	}
	s->count += N;
}

/* ---- bank20 ---- */

static const char *const type_names[] = {
	"card.purchase",   "card.declined", "card.refund",    "card.blocked",	  "atm.withdrawal",
	"atm.deposit",	   "transfer.in",   "transfer.out",   "transfer.failed",  "salary",
	"loan.instalment", "loan.missed",   "standing.order", "direct.debit",	  "fee",
	"interest",	   "login",	    "login.failed",   "password.changed", "device.added",
};
static const uint16_t type_per_mille[] = { 450, 25, 15, 3,  50, 8,  60,	 70, 5, 20,
					   12,	2,  30, 50, 20, 15, 130, 25, 5, 5 };

static const char bank20_yaml[] =
	"profile: { threshold: { type: int }, low: { type: int }, home: { type: int }, channel: { type: "
	"string }, "
	"salary: { type: int }, optin: { type: int } }\n"
	"groups: { debit: [card.purchase, atm.withdrawal, transfer.out, loan.instalment, standing.order, "
	"direct.debit, "
	"fee] }\n"
	"aggregates:\n"
	"  purchases: { over: [card.purchase], count: true, within: 10m }\n"
	"  withdrawn: { over: [atm.withdrawal], sum: amount, mixed: true, within: 24h }\n"
	"  n_before: { over: [card.purchase], count: true, before: true }\n"
	"  s_before: { over: [card.purchase], sum: amount, mixed: true, before: true }\n"
	"  failed: { over: [login.failed], count: true, within: 5m }\n"
	"  changed: { over: [password.changed, device.added], last: time, before: true }\n"
	"  country: { over: [card.purchase], last: country, before: true }\n"
	"  bought: { over: [card.purchase], last: time, before: true }\n"
	"  out: { over: [transfer.out], sum: amount, mixed: true, within: 24h }\n"
	"  in: { over: [transfer.in], sum: amount, mixed: true, within: 24h }\n"
	"  declined: { over: [card.declined], count: true, within: 1h }\n"
	"channels: { push: { max: 200 } }\n"
	"messages: { m: { en: 'm' } }\n"
	"subscriptions:\n"
	"  r01: { events: [card.purchase], when: 'event.amount > profile.threshold', repeat: every, message: "
	"m }\n"
	"  r02: { events: [debit], when: 'event.balance < profile.low', repeat: every, message: m }\n"
	"  r03: { events: [card.purchase], when: 'event.country != profile.home', repeat: every, message: m "
	"}\n"
	"  r06: { events: [atm.withdrawal], when: 'agg.withdrawn > 100000', repeat: every, message: m }\n"
	"  r07: { events: [salary], when: 'profile.salary == 1 && event.balance > 300000', repeat: every, "
	"message: m }\n"
	"  r08: { events: [card.purchase], when: 'agg.n_before >= 3 && event.amount > 50000 && event.amount "
	"* "
	"agg.n_before > 3 * agg.s_before', repeat: every, message: m }\n"
	"  r13: { events: [card.purchase], when: 'event.mcc == 7995 && event.amount > 10000', repeat: every, "
	"message: m "
	"}\n"
	"  r15: { events: [transfer.out], when: 'agg.out > 500000', repeat: every, message: m }\n"
	"  r16: { events: [transfer.in], when: 'event.amount >= 200000', repeat: every, message: m }\n"
	"  r17: { events: [card.declined], when: 'agg.declined > 2', repeat: every, message: m }\n"
	"  r18: { events: [card.purchase], when: 'event.touchpoint == touchpoint.web && "
	"event.time.getHours() < 5', "
	"repeat: every, message: m }\n"
	"  r19: { events: [card.purchase], when: 'event.currency != currency.EUR && event.amount > 20000', "
	"repeat: "
	"every, message: m }\n"
	"  r20: { events: [transfer.out], when: 'agg.in > 200000 && agg.out * 10 >= agg.in * 9', repeat: "
	"every, message: "
	"m }\n"
	"critical:\n"
	"  r04: { events: [card.declined], when: 'true', repeat: every, message: m }\n"
	"  r05: { events: [card.purchase], when: 'agg.purchases > 5', repeat: every, message: m }\n"
	"  r09: { events: [debit], when: 'event.balance < 0 && event.balance + event.amount >= 0', repeat: "
	"every, "
	"message: m }\n"
	"  r10: { events: [login.failed], when: 'agg.failed > 3', repeat: every, message: m }\n"
	"  r11: { events: [transfer.out], when: 'event.time - agg.changed < duration(\"10m\")', repeat: "
	"every, message: m "
	"}\n"
	"  r12: { events: [card.purchase], when: 'agg.country != event.country && event.time - agg.bought < "
	"duration(\"1h\")', repeat: every, message: m }\n"
	"  r14: { events: [loan.missed], when: 'true', repeat: every, message: m }\n";

static void bank20_customers(struct subject *s, uint32_t customers, uint64_t *seed)
{
	static const int limits[] = { 5000, 10000, 20000, 50000, 100000 };
	static const char *const kinds[] = { "r01", "r02", "r03", "r06", "r07", "r08", "r13",
					     "r15", "r16", "r17", "r18", "r19", "r20" };
	struct pack_writer w;
	uint8_t body[512];
	char why[256];

	for (uint32_t i = 1; i <= customers; i++) {
		pack_writer_init(&w, body, sizeof body);
		pack_map(&w, 1);
		pack_text(&w, "set");
		pack_map(&w, 4);
		pack_text(&w, "threshold");
		pack_int(&w, limits[below(seed, 5)]);
		pack_text(&w, "low");
		pack_int(&w, limits[below(seed, 5)] / 2);
		pack_text(&w, "home");
		pack_int(&w, 276);
		pack_text(&w, "salary");
		pack_int(&w, below(seed, 2));
		if (store_apply_profile(s->store, s->c, i, 0, body, (uint32_t)pack_bytes(&w), why,
					sizeof why) != CHANGE_APPLIED)
			die("profile", why);
		for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
			if (below(seed, 10) >= 6)
				continue;
			pack_writer_init(&w, body, sizeof body);
			pack_map(&w, 1);
			pack_text(&w, "kind");
			pack_text(&w, kinds[k]);
			if (store_apply_subscribe(s->store, s->c, i, body, (uint32_t)pack_bytes(&w), why,
						  sizeof why) != CHANGE_APPLIED)
				die("subscription", why);
		}
	}
}

static struct frame_header bank20_event(const struct options *o, uint64_t number, uint64_t *seed)
{
	static const uint16_t countries[] = { 276, 40, 756, 250, 380, 724 };
	struct frame_header h = { .length = FRAME_HEADER_BYTES,
				  .version = FRAME_VERSION,
				  .kind = FRAME_EVENT };
	uint32_t p = below(seed, 1000), type = 0;

	while (p >= type_per_mille[type])
		p -= type_per_mille[type++];
	double u = (double)below(seed, 1 << 20) / (1 << 20);
	h.type = (uint16_t)(type + 1);
	h.sequence = number;
	h.customer = 1 + (uint64_t)(u * u * o->customers);
	h.time = START + (int64_t)number * 172500000;
	h.amount = (int64_t)(750.0 / (1.01 - (double)below(seed, 1000) / 1000));
	h.balance = (int64_t)below(seed, 600000) - 20000;
	h.currency = below(seed, 100) < 92 ? 978 : 840;
	h.country = below(seed, 100) < 8 ? countries[below(seed, 6)] : 276;
	h.mcc = (uint16_t)(type < 3 ? (below(seed, 20) ? 5411 : 7995) : 0);
	h.touchpoint = (uint8_t)(below(seed, 10) < 7 ? 1 : 6);
	return h;
}

static char *bank20_text(void)
{
	size_t room = sizeof bank20_yaml + 8192, at;
	char *text = malloc(room);

	at = (size_t)snprintf(text, room,
			      "bank: { currency: EUR, zone: UTC, country: DE, language: en, starts: empty }\n"
			      "rates: { USD: 0.9 }\nevents:\n");
	for (unsigned i = 0; i < sizeof type_names / sizeof *type_names; i++)
		at += (size_t)snprintf(text + at, room - at, "  %s: { code: %u, history: full }\n",
				       type_names[i], i + 1);
	strcpy(text + at, bank20_yaml);
	return text;
}

static void bank20(const struct options *o)
{
	struct subject *s = calloc(1, sizeof *s);
	char *text = bank20_text();
	struct frame_header frames[N];
	struct batch_entry entries[N];
	uint64_t seed = o->seed, number = 0;

	subject_open(s, text);
	bank20_customers(s, o->customers, &seed);
	for (uint32_t batch = 0; batch < o->batches; batch++) {
		for (uint32_t i = 0; i < N; i++) {
			frames[i] = bank20_event(o, ++number, &seed);
			entries[i] = (struct batch_entry){ .data = &frames[i],
							   .position = number,
							   .now = frames[i].time,
							   .bytes = FRAME_HEADER_BYTES };
		}
		profile_run(&s->columns, s->store, s->history, s->c, entries, N, s->events);
		subject_run(s);
	}
	printf("rules.bank20 %.1f\n", (double)s->ns / (double)s->count);
	printf("rules.bank20.hits %.4f\n", (double)s->hits / (double)s->count);
	printf("rules.bank20.interpreted %llu\n", (unsigned long long)rules_interpreted(&s->rules));
	printf("rules.bank20.hash %016llx\n", (unsigned long long)s->hash);
	subject_close(s);
	free(text);
	free(s);
}

/* ---- growth ---- */

static void put(char *text, size_t room, size_t *at, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void put(char *text, size_t room, size_t *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*at += (size_t)vsnprintf(text + *at, room - *at, format, args);
	va_end(args);
	assert(*at < room);
}

/* Rule k has one of five forms; growth_event() knows what makes each true. */
static char *growth_text(uint32_t rules)
{
	size_t room = 4096 + (size_t)rules * 300, at = 0;
	char *text = malloc(room);

	put(text, room, &at,
	    "bank: { currency: EUR, zone: UTC, country: DE, language: en, starts: empty }\n"
	    "events: { card.purchase: { code: 1, body: { merchant: string } } }\n"
	    "profile: { level: { type: int } }\n"
	    "channels: { push: { max: 200 } }\n"
	    "messages: { m: { en: 'm' } }\n"
	    "critical:\n");
	for (uint32_t k = 0; k < rules; k++) {
		put(text, room, &at, "  r%05u: { events: [card.purchase], repeat: every, message: m, when: '",
		    k);
		if (k % 5 == 0)
			put(text, room, &at, "event.mcc == %u && event.amount > 1000", 1 + k / 5);
		else if (k % 5 == 1)
			put(text, room, &at, "event.amount >= %u && event.amount < %u", 10000 + k * 10,
			    10010 + k * 10);
		else if (k % 5 == 2)
			put(text, room, &at, "event.merchant == \"m%05u\" && event.balance > 0", k);
		else if (k % 5 == 3)
			put(text, room, &at,
			    "event.country in [%u, %u] && event.balance >= %u && event.balance < %u",
			    1 + k % 400, 401 + k % 400, 1000000 + k * 10, 1000010 + k * 10);
		else
			put(text, room, &at, "event.balance * 2 + event.amount > 0 && event.account == %u",
			    k + 1);
		put(text, room, &at, "' }\n");
	}
	return text;
}

/* An event at which one rule holds, or none. */
static void growth_event(uint32_t rule, bool hit, uint64_t *seed, struct frame_header *h,
			 struct value *merchant, char name[8])
{
	*h = (struct frame_header){ .kind = FRAME_EVENT,
				    .type = 1,
				    .time = START,
				    .amount = 1 + (int64_t)below(seed, 900),
				    .balance = 1 + (int64_t)below(seed, 900),
				    .currency = 978,
				    .country = (uint16_t)(1 + below(seed, 800)),
				    .mcc = (uint16_t)(1 + below(seed, 2000)),
				    .touchpoint = 1 };
	snprintf(name, 8, "x%05u", below(seed, 90000));
	if (hit && rule % 5 == 0) {
		h->mcc = (uint16_t)(1 + rule / 5);
		h->amount = 1001 + (int64_t)below(seed, 900);
	} else if (hit && rule % 5 == 1) {
		h->amount = 10000 + rule * 10 + below(seed, 10);
		h->mcc = 9999;
	} else if (hit && rule % 5 == 2) {
		snprintf(name, 8, "m%05u", rule % 100000);
	} else if (hit && rule % 5 == 3) {
		h->country = (uint16_t)(1 + rule % 400 + 400 * below(seed, 2));
		h->balance = 1000000 + rule * 10 + below(seed, 10);
	} else if (hit) {
		h->account = rule + 1;
	}
	*merchant = (struct value){ .type = TYPE_STRING, .s = name, .bytes = (uint32_t)strlen(name) };
}

struct growth {
	struct subject *s;
	uint32_t rules;
	struct frame_header *headers; /* [batches * N] */
	struct value *merchants;
	char (*names)[8];
};

static void growth_open(struct growth *g, uint32_t rules, const struct options *o)
{
	size_t events = (size_t)o->batches * N;
	char *text = growth_text(rules);
	uint64_t seed = o->seed;

	g->s = calloc(1, sizeof *g->s);
	g->rules = rules;
	subject_open(g->s, text);
	free(text);
	g->headers = malloc(events * sizeof *g->headers);
	g->merchants = malloc(events * sizeof *g->merchants);
	g->names = malloc(events * sizeof *g->names);
	for (size_t i = 0; i < events; i++) {
		bool hit = below(&seed, 5) == 0;
		growth_event(below(&seed, rules), hit, &seed, &g->headers[i], &g->merchants[i], g->names[i]);
	}
}

static void growth_batch(struct growth *g, uint32_t batch)
{
	static const struct event_reserved reserved = { .stage = STAGE_POSTED };
	struct subject *s = g->s;

	for (uint32_t i = 0; i < N; i++) {
		size_t at = (size_t)batch * N + i;
		s->events[i] = (struct event){ .header = &g->headers[at],
					       .outcome = EVENT_DECIDED,
					       .stage = STAGE_POSTED,
					       .fraud = true,
					       .counted = true,
					       .type = &s->c->events[0],
					       .reserved = &reserved,
					       .body_fields = &g->merchants[at] };
	}
	subject_run(s);
}

static void growth_close(struct growth *g)
{
	subject_close(g->s);
	free(g->s);
	free(g->headers);
	free(g->merchants);
	free(g->names);
}

static int growth(const struct options *o)
{
	struct growth few, many;

	growth_open(&few, FEW, o);
	growth_open(&many, MANY, o);
	for (uint32_t batch = 0; batch < o->batches; batch++) {
		bool turned = batch % 4 == 1 || batch % 4 == 2;
		growth_batch(turned ? &many : &few, batch);
		growth_batch(turned ? &few : &many, batch);
	}
	double a = (double)few.s->ns / (double)few.s->count, b = (double)many.s->ns / (double)many.s->count;
	bool equal = few.s->hits == many.s->hits && few.s->hits > 0;
	printf("rules.growth.10 %.1f\nrules.growth.10000 %.1f\nrules.growth %.3f\n", a, b, b / a);
	printf("rules.growth.hits %.4f\n", (double)many.s->hits / (double)many.s->count);
	printf("rules.growth.hash %016llx\n", (unsigned long long)(few.s->hash ^ many.s->hash));
	if (!equal)
		fprintf(stderr, "bench rules: %llu hits of 10 rules, %llu of 10,000\n",
			(unsigned long long)few.s->hits, (unsigned long long)many.s->hits);
	growth_close(&few);
	growth_close(&many);
	return equal ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const struct option known[] = { { "customers", required_argument, NULL, 'c' },
					       { "batches", required_argument, NULL, 'b' },
					       { "seed", required_argument, NULL, 's' },
					       { 0 } };
	struct options o = { .customers = 20000, .batches = 2000, .seed = 20260101 };
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'c')
			o.customers = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'b')
			o.batches = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 's')
			o.seed = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	const char *what = optind < argc ? argv[optind] : "";
	if (o.customers == 0 || o.batches == 0 || (strcmp(what, "bank20") && strcmp(what, "growth"))) {
		fprintf(stderr, "usage: rules bank20|growth [--customers N] [--batches N] [--seed N]\n");
		return 2;
	}
	if (strcmp(what, "growth") == 0)
		return growth(&o);
	bank20(&o);
	return 0;
}
