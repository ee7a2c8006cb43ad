// needs: user/[bmpr]*/*.c user/decide/*.c user/c[ae]*/*.c
/*
 * message.c: what does a message cost the engine thread? Runs of events go through profile and rules (not
 * timed), their hits through decide, message and legs, out of the outbox as a gateway's sends, and back as
 * its acknowledgement (timed, each for itself). One gateway, as in bank-20, which acknowledges what was sent
 * LAG messages ago. Before that a part of the run is done with the plain encoder beside it (the test's): the
 * digest of all frames must be the same.
 *
 * usage: message [seconds [seed]], or so many batches as -BATCHES. Prints ns a message by stage, and the
 * digest of all frames.
 */
#include "../tests/unit/message/plain.h"
#include "pace.h"

#include <assert.h>
#include <base/bytes.h>
#include <base/legs.h>
#include <base/outbox.h>
#include <decide/decide.h>
#include <dirent.h>
#include <errno.h>
#include <message/message.h>
#include <profile/profile.h>
#include <rules/rules.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CUSTOMERS = 20000, BATCH = 256, RUNS = 64, LAG = 4096, SENDS_MAX = 1 << 14 };

static const char bank[] =
	"bank: { currency: EUR, zone: UTC, country: DE, language: en, starts: empty }\n"
	"events:\n"
	"  card.purchase: { code: 1, body: { merchant: string } }\n"
	"  card.declined: { code: 2 }\n"
	"  transfer.in: { code: 3 }\n"
	"  transfer.out: { code: 4 }\n"
	"profile: { threshold: { type: int }, low: { type: int }, home: { type: int }, salary: { type: int } "
	"}\n"
	"channels: { push: { max: 240 }, sms: { max: 160 } }\n"
	"subscriptions:\n"
	"  r01: { events: [card.purchase], when: 'event.amount > profile.threshold', repeat: every, message: "
	"r01 }\n"
	"  r02: { events: [card.purchase, transfer.out], when: 'event.balance < profile.low', repeat: every, "
	"message: r02 }\n"
	"  r03: { events: [card.purchase], when: 'event.country != profile.home', repeat: every, message: "
	"r03 }\n"
	"  r16: { events: [transfer.in], when: 'event.amount >= 20000', repeat: every, message: r16 }\n"
	"critical:\n"
	"  r04: { events: [card.declined], repeat: every, message: r04, channels: [sms] }\n"
	"  r09: { events: [transfer.out], when: 'event.balance < 0 && event.balance + event.amount >= 0', "
	"repeat: "
	"every, message: r09, channels: [push] }\n"
	"messages:\n"
	"  r01: { en: 'You spent {event.amount, money} with your card.' }\n"
	"  r02: { en: 'Your balance is {event.balance, money}, below the limit that you chose.' }\n"
	"  r03: { en: 'Your card was used abroad at {event.merchant}: {event.amount, money}.' }\n"
	"  r04: { en: 'Your card was declined. Was it you?' }\n"
	"  r09: { en: 'Your account is overdrawn: {event.balance, money}.' }\n"
	"  r16: { en: 'You received {event.amount, money}.' }\n";

struct sends { /* what the gateway has and has not acknowledged */
	struct outbox_run run[SENDS_MAX];
	uint32_t head, tail;
	uint64_t messages;
};

struct world {
	struct catalogue *c;
	struct store *store;
	struct history *history;
	struct profile_columns columns;
	struct rules rules;
	struct decide *decide;
	struct ledger ledger;
	struct ledger_rule *by_rule;
	struct outbox outbox;
	struct legs legs;
	struct message_forms forms;
	struct source_identity source;
	uint16_t slots[CHANNELS_MAX];
	char frames[BATCH][256];
	struct batch_entry entries[BATCH];
	struct event events[BATCH];
	struct sends sends;
	uint64_t random, sequence, session, messages;
	bool checking;
	struct hash128 plain; /* digest of the plain encoder's frames */
	int64_t ns[3];
	char dir[64];
};

/* The machine has other work: what it takes from this thread is no part of a message's cost. */
static int64_t cpu_now(void)
{
	return pace_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "%s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

static void customers_make(struct world *w)
{
	static const char *const kinds[] = { "r01", "r02", "r03", "r16" };
	char why[256];

	for (uint64_t i = 1; i <= CUSTOMERS; i++) {
		uint8_t body[256];
		struct pack_writer p;
		pack_writer_init(&p, body, sizeof body);
		pack_map(&p, 1);
		pack_text(&p, "set");
		pack_map(&p, 3);
		pack_text(&p, "threshold");
		pack_int(&p, 5000);
		pack_text(&p, "low");
		pack_int(&p, 10000);
		pack_text(&p, "home");
		pack_int(&p, 276);
		if (store_apply_profile(w->store, w->c, i, 0, body, (uint32_t)pack_bytes(&p), why,
					sizeof why) != CHANGE_APPLIED)
			must(-EINVAL, why);
		for (unsigned k = 0; k < 4; k++) {
			pack_writer_init(&p, body, sizeof body);
			pack_map(&p, 1);
			pack_text(&p, "kind");
			pack_text(&p, kinds[k]);
			if (store_apply_subscribe(w->store, w->c, i, body, (uint32_t)pack_bytes(&p), why,
						  sizeof why) != CHANGE_APPLIED)
				must(-EINVAL, why);
		}
	}
}

static void world_open(struct world *w, uint64_t seed)
{
	struct problems problems;
	char why[256];

	w->random = seed;
	problems_init(&problems);
	if (catalogue_compile_text("bench", bank, sizeof bank - 1, &w->c, &problems)) {
		problems_print(&problems, stderr);
		exit(1);
	}
	problems_deinit(&problems);
	strcpy(w->dir, "/tmp/moment-bench-XXXXXX");
	assert(mkdtemp(w->dir));
	struct store_options o = {
		.dir = w->dir, .map_bytes = 1 << 30, .overlay_bytes = 256 << 20, .records_bytes = 1 << 30
	};
	must(store_open(&w->store, &o, why, sizeof why), "store");
	must(store_activate(w->store, w->c, why, sizeof why), "activate");
	must(history_create(&w->history, UINT64_C(2) << 30, 1 << 20, 1 << 16), "history");
	history_activate(w->history, w->c, 0, true);
	must(profile_init(&w->columns), "profile");
	must(rules_init(&w->rules), "rules");
	must(outbox_init(&w->outbox, 0, UINT64_C(1) << 30), "outbox");
	must(legs_init(&w->legs), "legs");
	must(message_forms_init(&w->forms), "forms");
	message_forms_use(&w->forms, w->c);
	w->decide = calloc(1, sizeof *w->decide);
	w->by_rule = calloc(RULES_MAX, sizeof *w->by_rule);
	strcpy(w->source.name, "core");
	for (uint16_t i = 0; i < w->c->channel_count; i++)
		w->slots[i] = (uint16_t)outbox_slot(&w->outbox, w->c->channels[i].name);
	customers_make(w);
}

static void directory_remove(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);

	for (struct dirent *entry; d && (entry = readdir(d));) {
		snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static void events_make(struct world *w)
{
	static const uint16_t countries[] = { 276, 276, 276, 250, 724 };

	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t r = pace_random(&w->random);
		struct frame_header h = { .version = FRAME_VERSION,
					  .kind = FRAME_EVENT,
					  .type = (uint16_t)(1 + r % 4),
					  .sequence = ++w->sequence,
					  .customer = 1 + (r >> 8) % CUSTOMERS,
					  .account = 0,
					  .time = INT64_C(1800000000000000000) + (int64_t)w->sequence * 1000,
					  .amount = (int64_t)((r >> 24) % 20000),
					  .balance = (int64_t)((r >> 40) % 200000) - 10000,
					  .currency = 978,
					  .country = countries[(r >> 60) % 5] };
		struct pack_writer p;
		pack_writer_init(&p, w->frames[i] + FRAME_HEADER_BYTES,
				 sizeof w->frames[i] - FRAME_HEADER_BYTES);
		pack_map(&p, 1);
		pack_text(&p, "merchant");
		pack_text(&p, "Corner shop");
		h.length = (uint32_t)(FRAME_HEADER_BYTES + pack_bytes(&p));
		memcpy(w->frames[i], &h, sizeof h);
		w->entries[i] = (struct batch_entry){
			.data = w->frames[i], .bytes = h.length, .position = w->sequence, .now = h.time
		};
	}
}

static void plain_add(struct world *w, const struct message_context *context, const struct notice *n,
		      const char *id, uint32_t id_bytes)
{
	static char frame[FRAME_BYTES_MAX];
	const struct hit *hit = &w->rules.hits[n->hit];
	uint32_t no_data;

	struct cel_env env = rules_hit_env(&w->rules, w->store, w->c, &w->events[hit->event], n->hit,
					   n->profile, UINT32_MAX);
	outbox_digest_add(&w->plain, frame, plain_frame(context, n, &env, id, id_bytes, frame, &no_data));
}

/* As engine.c does it. */
static void message_one(struct world *w, const struct message_context *context, const struct notice *n)
{
	struct rules *r = &w->rules;
	const struct hit *hit = &r->hits[n->hit];
	uint16_t language = message_language(w->store, w->c, n->profile);
	uint32_t id_bytes = 0;
	const char *id = hit->holder ? row_subscription_id(&r->cursors[n->hit], &id_bytes) : "";
	const struct cel_env *with = NULL;
	struct cel_env env;

	if (w->checking)
		plain_add(w, context, n, id, id_bytes);
	uint32_t reads = message_reads(w->c, &w->c->rules[hit->rule], language);
	if (reads) {
		env = rules_hit_env(r, w->store, w->c, &w->events[hit->event], n->hit, n->profile, reads);
		with = &env;
	}
	must(message_make(context, n, language, with, id, id_bytes), "outbox");
}

static void messages_make(struct world *w)
{
	const struct message_context context = { .forms = &w->forms,
						 .catalogue = w->c,
						 .channel_slot = w->slots,
						 .sources = &w->source,
						 .events = w->events,
						 .hits = w->rules.hits,
						 .outbox = &w->outbox,
						 .legs = &w->legs,
						 .ledger = &w->ledger,
						 .by_rule = w->by_rule };

	for (uint32_t i = 0; i < w->decide->notice_count; i++)
		message_one(w, &context, &w->decide->notices[i]);
	w->messages += w->decide->notice_count;
}

static void gateway_take(struct world *w)
{
	struct sends *s = &w->sends;

	for (unsigned q = 0; q < QUEUES_MAX; q++) {
		outbox_release(&w->outbox, q, w->outbox.queue[q].next_ordinal - 1);
		while (outbox_take(&w->outbox, q, 8192, 65536, w->session + 1,
				   &s->run[s->tail % SENDS_MAX])) {
			struct outbox_run *run = &s->run[s->tail++ % SENDS_MAX];
			w->session += run->frames;
			s->messages += run->frames;
		}
	}
}

static void legs_accepted(void *ctx, const uint64_t *numbers, uint32_t count)
{
	struct world *w = ctx;

	w->ledger.legs[LEG_QUEUED] -= count;
	legs_accept(&w->legs, numbers, count, w->ledger.legs);
	w->ledger.notices[NOTICE_QUEUED] -= count;
	w->ledger.notices[NOTICE_SENT] += count;
}

static void gateway_accept(struct world *w, uint64_t lag)
{
	struct sends *s = &w->sends;

	while (s->messages > lag) {
		const struct outbox_run *run = &s->run[s->head++ % SENDS_MAX];
		outbox_accept(&w->outbox, run->queue, run->ordinal, run->frames, legs_accepted, w);
		s->messages -= run->frames;
	}
}

static void batch_run(struct world *w)
{
	events_make(w);
	profile_run(&w->columns, w->store, w->history, w->c, w->entries, BATCH, w->events);
	for (uint32_t from = 0; from < BATCH;) {
		from = rules_run(&w->rules, w->store, w->c, w->events, from, BATCH, &w->ledger, w->by_rule);
		int64_t started = cpu_now();
		for (uint32_t hit = 0; hit < w->rules.hit_count;) {
			hit = decide_run(w->decide, w->store, w->c, w->events, w->rules.hits,
					 w->rules.cursors, hit, w->rules.hit_count, &w->ledger);
			messages_make(w);
		}
		w->ns[0] += cpu_now() - started;
	}
	int64_t made = cpu_now();
	gateway_take(w);
	int64_t taken = cpu_now();
	gateway_accept(w, LAG);
	w->ns[1] += taken - made;
	w->ns[2] += cpu_now() - taken;
}

/* Steps of one item to the end: median and worst, us. */
static void steps_show(const char *what, bool (*step)(void *ctx, uint32_t items_max), void *ctx)
{
	static int64_t took[1 << 16];
	size_t n = 0;

	for (bool done = false; !done && n < sizeof took / sizeof *took; n++) {
		int64_t started = cpu_now();
		done = step(ctx, 1);
		took[n] = cpu_now() - started;
	}
	qsort(took, n, sizeof *took, pace_order);
	printf("; %zu steps of %s: median %.1f us, worst %.1f us", n, what,
	       (double)pace_percentile(took, n, 0.5) / 1e3, (double)took[n - 1] / 1e3);
}

static bool outbox_step(void *ctx, uint32_t items_max)
{
	return outbox_checkpoint_step(ctx, items_max);
}

static bool legs_step(void *ctx, uint32_t items_max)
{
	return legs_checkpoint_step(ctx, items_max);
}

/* What a checkpoint of outbox and legs costs a tick: the cut, and one step of each. */
static void checkpoint_show(struct world *w, struct records *records)
{
	records_reset(records);
	int64_t started = cpu_now();
	outbox_checkpoint_cut(&w->outbox, records);
	legs_checkpoint_cut(&w->legs, records);
	printf("checkpoint: cut %.1f us", (double)(cpu_now() - started) / 1e3);
	steps_show("a chunk", outbox_step, &w->outbox);
	steps_show("a page of legs", legs_step, &w->legs);
	printf("; %.1f MB\n", (double)records->region.used / 1e6);
	outbox_committed(&w->outbox);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1, batches = 0;
	struct world *w = calloc(1, sizeof *w);
	struct records records;

	assert(w);
	world_open(w, seed);
	w->checking = seconds >= 0;
	for (unsigned i = 0; i < 200; i++) /* what is cold is no part of the question */
		batch_run(w);
	w->checking = false;
	must(seconds >= 0 && memcmp(&w->plain, &w->outbox.digest, sizeof w->plain) ? -EBADMSG : 0,
	     "the plain encoder's frames");
	memset(w->ns, 0, sizeof w->ns);
	w->messages = 0;
	int64_t until = pace_now() + (int64_t)(seconds * 1e9);
	for (; pace_now() < until || seconds < 0; batches++) {
		batch_run(w);
		if (seconds < 0 && batches == (uint64_t)-seconds)
			break;
	}
	double n = (double)w->messages, ns[3] = { (double)w->ns[0], (double)w->ns[1], (double)w->ns[2] };
	uint64_t timed = w->messages;
	must(records_init(&records, 256 << 20), "records");
	checkpoint_show(w, &records); /* all, into new pages; then what 200 batches changed */
	for (unsigned i = 0; i < 200; i++)
		batch_run(w);
	checkpoint_show(w, &records);
	gateway_accept(w, 0);
	printf("messages %llu, a batch %.1f\n", (unsigned long long)timed, n / (double)batches);
	printf("ns a message: decide, message, legs %.0f; take and number %.0f; accept %.0f; together %.0f\n",
	       ns[0] / n, ns[1] / n, ns[2] / n, (ns[0] + ns[1] + ns[2]) / n);
	printf("digest %016llx%016llx\n", (unsigned long long)w->outbox.digest.high,
	       (unsigned long long)w->outbox.digest.low);
	struct ledger_equation e[LEDGER_EQUATIONS];
	w->ledger.events_in = w->ledger.events[EVENT_DECIDED] = 0;
	must(ledger_equations(&w->ledger, e) && w->ledger.legs[LEG_QUEUED] == 0 ? 0 : -EBADMSG, "the ledger");
	store_close(w->store);
	directory_remove(w->dir);
	return 0;
}
