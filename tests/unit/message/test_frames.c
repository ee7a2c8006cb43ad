// needs: user/[bmpr]*/*.c user/decide/*.c user/c[ae]*/*.c
/*
 * test_frames.c: frames that are put together from prepared stretches, beside the plain encoder (plain.h):
 * random customers, events and subscriptions over a catalogue with every kind of placeholder, names from the
 * shortest to the longest, texts around every limit. Each frame, the digest of all, and what is counted must
 * be the same. The environment that the stage is given has only the spaces that it says it reads.
 */
#include "../run_test.h"
#include "plain.h"

#include <decide/decide.h>

#define LONG_NAME "a_name_of_sixty_three_bytes_which_is_as_long_as_a_name_may_be_0"

static const char words[] =
	"bank: { currency: EUR, zone: Europe/Madrid, country: ES, language: es, starts: empty }\n"
	"rates: { USD: 0.5, JPY: 0.01, KWD: 3 }\n"
	"events:\n"
	"  purchase: { code: 1, body: { merchant: string, items: int, ratio: double, gift: bool, due: "
	"timestamp "
	"} }\n"
	"  salary: { code: 3 }\n"
	"profile:\n"
	"  language: { type: string }\n"
	"  nick: { type: string, default: you }\n"
	"  level: { type: int }\n"
	"aggregates:\n"
	"  n: { over: [purchase], count: true, within: 1h }\n"
	"channels: { p: { max: 31 }, q: { max: 32 }, r: { max: 33 }, s: { max: 255 }, t: { max: 256 }, u: { "
	"max: "
	"257 }, v: { max: 1 }, w: { max: 20000 }, " LONG_NAME ": { max: 160 } }\n"
	"messages:\n"
	"  short: { es: 'S', en: 'Short', es-CO: 'Corto, pues' }\n"
	"  plain: { es: 'El comercio {event.merchant}, {event.items} cosas.', en: 'At {event.merchant}: "
	"{event.items} things, gift {event.gift}.' }\n"
	"  money: { es: 'Importe {event.amount, money}, saldo {event.balance, money}.', en: '{event.amount, "
	"money} "
	"of {event.balance, money}', es-CO: '{event.base, money}' }\n"
	"  when: { es: '{event.time, date} a las {event.time, time}', en: '{event.due, date}, {event.due, "
	"time}' }\n"
	"  count: { es: '{agg.n, number} y {event.ratio, number}', en: '{event.ratio, number} {event.items, "
	"number} {event.sequence, number}' }\n"
	"  made: { es: '{event.amount + 1, money} {event.merchant + profile.nick}', en: 'has "
	"{has(event.mcc)} "
	"{event.amount * 2, money}' }\n"
	"  you: { es: 'Hola {profile.nick}, nivel {profile.level}', en: '{profile.nick}' }\n"
	"  mine: { es: '{me.role} {profile.nick}', en: '{me.customer}' }\n"
	"  param: { es: 'Mas de {param.floor, money}', en: '{event.amount, money} is over {param.floor, "
	"money}' }\n"
	"  long: { es: "
	"'0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	"1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	"1234"
	"56789012345678901234567890123456789012345678901234567 {event.merchant} y {event.merchant}', en: "
	"'{event.merchant}{event.merchant}' }\n"
	"critical:\n"
	"  c1: { events: [purchase], repeat: every, message: short, channels: [p] }\n"
	"  " LONG_NAME ": { events: [purchase], repeat: every, message: plain, channels: [q] }\n"
	"  c3: { events: [purchase], repeat: every, message: money, channels: [r], category: regulatory }\n"
	"  c4: { events: [purchase], repeat: every, message: when, channels: [s], category: service }\n"
	"  c5: { events: [purchase], repeat: every, message: count, channels: [t] }\n"
	"  c6: { events: [purchase], repeat: every, message: made, channels: [u] }\n"
	"  c7: { events: [purchase], repeat: every, message: you, channels: [v] }\n"
	"  c8: { events: [purchase], repeat: every, message: long, channels: [w] }\n"
	"  c9: { events: [salary], repeat: every, message: money, channels: [" LONG_NAME "] }\n"
	"subscriptions:\n"
	"  s1: { events: [purchase], params: { floor: { type: money, default: '10 EUR' } }, when: "
	"'event.amount > "
	"param.floor', repeat: every, message: param }\n"
	"  s2: { events: [purchase], repeat: every, message: long }\n"
	"  s3: { events: [purchase, salary], repeat: every, message: plain, category: regulatory }\n"
	"  s4: { events: [purchase], repeat: every, message: mine }\n";

struct frames {
	struct run *run;
	struct decide *decide;
	struct outbox outbox;
	struct legs *legs;
	struct message_forms forms;
	struct source_identity source;
	struct hash128 digest; /* of the plain ones */
	struct ledger ledger;
	struct ledger_rule by_rule[RULES_MAX];
	uint16_t slots[CHANNELS_MAX];
	uint64_t random, compared, bare;
};

static uint32_t below(struct frames *f, uint32_t n)
{
	f->random = f->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(f->random >> 33) % n;
}

static struct catalogue *words_compile(void)
{
	struct problems problems;
	struct catalogue *c = NULL;

	problems_init(&problems);
	if (catalogue_compile_text("words", words, sizeof words - 1, &c, &problems)) {
		problems_print(&problems, stderr);
		fail_msg("the test's catalogue does not compile");
	}
	problems_deinit(&problems);
	return c;
}

static void frames_open(struct frames *f, uint64_t seed)
{
	memset(f, 0, sizeof *f);
	f->random = seed;
	f->run = run_open_catalogue(words_compile());
	f->decide = calloc(1, sizeof *f->decide);
	f->legs = calloc(1, sizeof *f->legs);
	assert_true(f->decide && f->legs);
	assert_int_equal(legs_init(f->legs), 0);
	assert_int_equal(outbox_init(&f->outbox, 1 << 20, UINT64_C(1) << 30), 0);
	assert_int_equal(message_forms_init(&f->forms), 0);
	message_forms_use(&f->forms, f->run->bank.c);
	for (uint16_t i = 0; i < f->run->bank.c->channel_count; i++)
		f->slots[i] = (uint16_t)(i + 3);
	for (unsigned i = 0; i < 16; i++)
		f->source.stream[i] = (uint8_t)below(f, 256);
	memset(f->source.name, 'n', 1 + below(f, NAME_BYTES_MAX));
}

static void frames_close(struct frames *f)
{
	message_forms_deinit(&f->forms);
	outbox_deinit(&f->outbox);
	legs_deinit(f->legs);
	free(f->legs);
	free(f->decide);
	run_close(f->run);
}

/* Up to `max` characters of one to four bytes, as the inside of a JSON string. */
static void text_random(struct frames *f, char *to, uint32_t max)
{
	static const char *const characters[] = {
		"a", "Z", " ", "7", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xb6"
	};
	uint32_t n = below(f, 4) ? below(f, max / 8 + 1) : below(f, max + 1), kinds = below(f, 2) ? 4 : 7;

	*to = 0;
	for (uint32_t i = 0; i < n; i++)
		to = stpcpy(to, characters[below(f, kinds)]);
}

static void customer_random(struct frames *f, uint64_t customer)
{
	static const char *const languages[] = { "en", "es", "es-CO", "es-CO-x", "de", "", "en-GB" };
	static const char *const kinds[] = { "s1", "s2", "s3", "s4" };
	char json[4096], nick[512];

	text_random(f, nick, 60);
	snprintf(json, sizeof json, "{\"set\": {\"nick\": \"%s\", \"level\": %d}}", nick,
		 (int)below(f, 2000000) - 1000000);
	bank_profile(&f->run->bank, customer, 0, json);
	if (below(f, 4)) {
		snprintf(json, sizeof json, "{\"set\": {\"language\": \"%s\"}}",
			 languages[below(f, ARRAY_LEN(languages))]);
		bank_profile(&f->run->bank, customer, 0, json);
	}
	for (uint32_t i = 0; i < 3; i++) {
		static const uint8_t lengths[] = { 1, 9, 40, NAME_BYTES_MAX };
		uint32_t kind = i == 0 ? 0 : below(f, ARRAY_LEN(kinds));
		char id[NAME_BYTES_MAX + 1] = { 0 };
		memset(id, (int)('a' + kind), lengths[below(f, ARRAY_LEN(lengths))]);
		const struct catalogue *c = f->run->bank.c;
		int at = snprintf(json, sizeof json, "{\"id\": \"%s\", \"kind\": \"%s\"", id, kinds[kind]);
		if (below(f, 2))
			at += snprintf(json + at, sizeof json - (size_t)at, ", \"channels\": [\"%s\"]",
				       c->channels[below(f, c->channel_count)].name);
		snprintf(json + at, sizeof json - (size_t)at, "}");
		bank_subscribe(&f->run->bank, customer, json);
	}
}

static void event_random(struct frames *f)
{
	static const uint16_t currencies[] = { 978, 840, 392, 414, 756, 999 };
	struct frame_header h = purchase();
	char json[8192] = "{}", merchant[4200];

	h.type = below(f, 8) ? 1 : 3;
	h.customer = 7 + below(f, 4);
	h.account = below(f, 2) ? 9 : below(f, 1000000);
	h.amount = below(f, 3) ? below(f, 100000) : (int64_t)below(f, 1u << 31) << below(f, 32);
	h.balance =
		below(f, 5) ? (int64_t)below(f, 1u << 31) * 1000 - (INT64_C(1) << 40) : FRAME_BALANCE_NO_DATA;
	h.currency = currencies[below(f, ARRAY_LEN(currencies))];
	h.mcc = (uint16_t)below(f, 3);
	h.time = NOW - (int64_t)below(f, 500) * SECOND;
	if (h.type == 1 && below(f, 5)) {
		text_random(f, merchant, 250); /* at most 1000 bytes */
		snprintf(json, sizeof json,
			 "{\"merchant\": \"%s\", \"items\": %d, \"ratio\": %d.%03u, \"gift\": %s, \"due\": "
			 "%llu}",
			 merchant, (int)below(f, 1u << 31) - (1 << 30), (int)below(f, 200000) - 100000,
			 below(f, 1000), below(f, 2) ? "true" : "false",
			 (unsigned long long)below(f, 1u << 31) * 1000000000);
	}
	f->run->count = 0;
	run_add(f->run, h, json);
	run_profile(f->run);
	assert_int_equal(run_rules(f->run, 0, 1), 1);
}

/* The event's notice through both; env has every space, the stage gets only what it says it reads. */
static void notice_compare(struct frames *f, const struct message_context *context, const struct notice *n)
{
	static char want[FRAME_BYTES_MAX];
	struct run *r = f->run;
	const struct catalogue *c = r->bank.c;
	const struct hit *hit = &r->rules.hits[n->hit];
	uint64_t counted = f->ledger.text_no_data;
	uint32_t no_data = 0, id_bytes = 0;
	const char *id = hit->holder ? row_subscription_id(&r->rules.cursors[n->hit], &id_bytes) : "";

	struct cel_env env =
		rules_hit_env(&r->rules, r->bank.store, c, &r->events[0], n->hit, n->profile, UINT32_MAX);
	uint32_t bytes = plain_frame(context, n, &env, id, id_bytes, want, &no_data);
	uint16_t language = message_language(r->bank.store, c, n->profile);
	uint32_t reads = message_reads(c, &c->rules[hit->rule], language);
	for (unsigned i = 0; i < SPACE_COUNT; i++)
		if (!(reads >> i & 1))
			env.space[i] = NULL;
	assert_int_equal(message_make(context, n, language, reads ? &env : NULL, id, id_bytes), 0);
	if (bytes != f->outbox.last_bytes || memcmp(want, f->outbox.last_frame, bytes))
		fail_msg("frame %llu, rule %s: not the plain one's bytes (%u, %u)",
			 (unsigned long long)f->compared, c->rules[hit->rule].name, f->outbox.last_bytes,
			 bytes);
	assert_int_equal(f->ledger.text_no_data - counted, no_data);
	outbox_digest_add(&f->digest, want, bytes);
	f->compared++;
	f->bare += reads == 0;
}

static void event_compare(struct frames *f)
{
	struct run *r = f->run;
	const struct message_context context = { .forms = &f->forms,
						 .catalogue = r->bank.c,
						 .channel_slot = f->slots,
						 .sources = &f->source,
						 .events = r->events,
						 .hits = r->rules.hits,
						 .outbox = &f->outbox,
						 .legs = f->legs,
						 .ledger = &f->ledger,
						 .by_rule = f->by_rule };

	decide_run(f->decide, r->bank.store, r->bank.c, r->events, r->rules.hits, r->rules.cursors, 0,
		   r->rules.hit_count, &r->ledger);
	for (uint32_t i = 0; i < f->decide->notice_count; i++)
		notice_compare(f, &context, &f->decide->notices[i]);
}

static void frames_are_those_of_the_plain_encoder(void **state)
{
	static const char *const roles[] = { "owner", "co_owner", "authorised" };
	const char *text = getenv("MOMENT_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
	static struct frames f;

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	frames_open(&f, seed);
	bank_account(&f.run->bank, 9, roles, 3);
	for (unsigned i = 0; i < 1500; i++) {
		if (i % 20 == 0)
			for (uint64_t customer = 7; customer < 10; customer++)
				customer_random(&f, customer);
		event_random(&f);
		event_compare(&f);
	}
	assert_true(f.compared > 10000 && f.bare > f.compared / 4 && f.bare < f.compared);
	assert_memory_equal(&f.digest, &f.outbox.digest, sizeof f.digest);
	assert_int_equal(f.ledger.legs_made, f.compared);
	assert_int_equal(f.legs->next, f.compared);
	frames_close(&f);
}

/* What a text reads: bare fields of the event need nothing, the rest its spaces. */
static void a_text_says_what_it_reads(void **state)
{
	static const struct {
		const char *rule, *language;
		uint32_t spaces;
	} rows[] = {
		{ "c1", "es", 0 },
		{ "c3", "es", 0 },
		{ "c4", "en", 0 },
		{ "c5", "en", 0 },
		{ "c5", "es", 1 << SPACE_AGG },
		{ "c6", "es", 1 << SPACE_EVENT | 1 << SPACE_BODY | 1 << SPACE_PROFILE },
		{ "c6", "en", 1 << SPACE_EVENT },
		{ "c7", "es", 1 << SPACE_PROFILE },
		{ "c7", "es-CO", 1 << SPACE_PROFILE }, /* it has no text of its own */
		{ "s4", "es", 1 << SPACE_PROFILE | 1 << SPACE_ME },
		{ "s4", "en", 1 << SPACE_ME },
		{ "s1", "es", 1 << SPACE_PARAM },
	};
	struct catalogue *c = words_compile();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint16_t language =
			(uint16_t)catalogue_language_find(c, rows[i].language, strlen(rows[i].language));
		uint32_t got = message_reads(c, rule_named(c, rows[i].rule), language);
		if (got != rows[i].spaces)
			fail_msg("%s in %s: %x, not %x", rows[i].rule, rows[i].language, got, rows[i].spaces);
	}
	catalogue_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_those_of_the_plain_encoder),
		cmocka_unit_test(a_text_says_what_it_reads),
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
