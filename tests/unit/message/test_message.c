// needs: user/[bmpr]*/*.c user/decide/*.c user/c[ae]*/*.c
/*
 * test_message.c: the frames that gateways and sources get: a MESSAGE byte by byte, its id, language and
 * text; a VERDICT with its thresholds and reasons (decisions 26 to 29).
 */
#include <base/frame.h>
#include <base/legs.h>
#include <decide/decide.h>
#include <errno.h>
#include <message/message.h>
#include <xxhash.h>

#include "../run_test.h"

static const char rules_text[] =
	"fraud: { thresholds: { review: 60, decline: 85 }, rules: { f: { events: [purchase], score: 1 } } }\n"
	"critical:\n"
	"  c: { events: [purchase], repeat: every, message: plain, channels: [sms] }\n"
	"  legal: { events: [salary], repeat: every, message: plain, category: regulatory }\n"
	"subscriptions:\n"
	"  s: { events: [purchase], repeat: every, message: hello }\n";

struct sent {
	struct run *run;
	struct decide *decide;
	struct outbox outbox;
	struct legs *legs;
	struct message_forms forms;
	struct source_identity source;
	uint16_t slots[CHANNELS_MAX];
};

static void sent_open(struct sent *t, uint64_t overshoot)
{
	*t = (struct sent){ .run = run_open(rules_text), .decide = calloc(1, sizeof(struct decide)) };
	assert_non_null(t->decide);
	assert_int_equal(outbox_init(&t->outbox, 1 << 20, overshoot), 0);
	t->legs = calloc(1, sizeof *t->legs);
	assert_int_equal(legs_init(t->legs), 0);
	assert_int_equal(message_forms_init(&t->forms), 0);
	message_forms_use(&t->forms, t->run->bank.c);
	for (uint16_t i = 0; i < t->run->bank.c->channel_count; i++)
		t->slots[i] = (uint16_t)(i + 4); /* slots are not indices */
	strcpy(t->source.name, "core");
	for (unsigned i = 0; i < 16; i++)
		t->source.stream[i] = (uint8_t)i;
	bank_profile(&t->run->bank, 7, 0, "{\"set\": {\"language\": \"en\"}}");
	bank_subscribe(&t->run->bank, 7, "{\"kind\": \"s\", \"id\": \"mine\"}");
}

static void sent_close(struct sent *t)
{
	message_forms_deinit(&t->forms);
	legs_deinit(t->legs);
	free(t->legs);
	outbox_deinit(&t->outbox);
	free(t->decide);
	run_close(t->run);
}

/* One event through rules and decide; notice `i` is rendered. */
static int render(struct sent *t, struct frame_header h, const char *json, uint32_t i)
{
	struct run *r = t->run;

	run_one(r, h, json);
	decide_run(t->decide, r->bank.store, r->bank.c, r->events, r->rules.hits, r->rules.cursors, 0,
		   r->rules.hit_count, &r->ledger);
	assert_true(i < t->decide->notice_count);
	const struct notice *n = &t->decide->notices[i];
	struct message_context context = { .forms = &t->forms,
					   .catalogue = r->bank.c,
					   .channel_slot = t->slots,
					   .sources = &t->source,
					   .events = r->events,
					   .hits = r->rules.hits,
					   .outbox = &t->outbox,
					   .legs = t->legs,
					   .ledger = &r->ledger,
					   .by_rule = r->by_rule };
	bool subscription = r->rules.hits[n->hit].holder != NULL;
	uint32_t id_bytes = 0;
	const char *id = subscription ? row_subscription_id(&r->rules.cursors[n->hit], &id_bytes) : "";
	return message_make(&context, n, message_language(r->bank.store, r->bank.c, n->profile), NULL, id,
			    id_bytes);
}

/* The string of a key of the last frame's body. */
static struct pack_item body_item(const struct sent *t, const char *key)
{
	struct pack_reader r;
	uint32_t len;

	pack_reader_init(&r, t->outbox.last_frame + FRAME_HEADER_BYTES,
			 t->outbox.last_bytes - FRAME_HEADER_BYTES);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0; pairs--) {
		const char *name = pack_read_key(&r, &len);
		assert_non_null(name);
		struct pack_item item = pack_read(&r);
		if (strlen(key) == len && memcmp(key, name, len) == 0)
			return item;
	}
	fail_msg("no key %s", key);
	return (struct pack_item){ 0 };
}

static void body_text_is(const struct sent *t, const char *key, const char *want)
{
	struct pack_item item = body_item(t, key);

	if (item.type != PACK_STRING || item.bytes != strlen(want) || memcmp(item.s, want, item.bytes))
		fail_msg("%s: '%.*s', not '%s'", key, (int)item.bytes, item.s, want);
}

/* Vectors from tests/model/xxh3.py, which shares nothing with libxxhash. */
static void id_is_the_hash_of_cause_rule_subscription_and_recipient(void **state)
{
	static const uint8_t want[][16] = {
		{ 0x81, 0x43, 0x2e, 0x20, 0x1e, 0xdc, 0x2e, 0xa0, 0xf8, 0xd2, 0x39, 0x86, 0xad, 0x93, 0x3d,
		  0xfc },
		{ 0x5d, 0xf0, 0x3f, 0x11, 0xf0, 0xc0, 0x51, 0xc6, 0x79, 0xdb, 0xfe, 0xb5, 0xf6, 0x67, 0xb7,
		  0x47 },
		{ 0x93, 0x66, 0xba, 0x33, 0x15, 0x51, 0xbc, 0xd5, 0x86, 0xf2, 0x04, 0x64, 0x45, 0x25, 0x24,
		  0xeb },
	};
	struct source_identity core = { .name = "core" }, longest;
	char name[NAME_BYTES_MAX + 1] = { 0 }, id[NAME_BYTES_MAX];
	uint8_t out[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		core.stream[i] = (uint8_t)i;
	message_id(&core, 42, "large", "mine, and what is behind", 4, 7, out);
	assert_memory_equal(out, want[0], 16);
	message_id(&core, 42, "large", "", 0, 7, out);
	assert_memory_equal(out, want[1], 16);
	memset(&longest, 0xff, sizeof longest);
	memset(longest.name, 'n', NAME_BYTES_MAX);
	longest.name[NAME_BYTES_MAX] = 0;
	memset(name, 'r', NAME_BYTES_MAX);
	memset(id, 'i', sizeof id);
	message_id(&longest, UINT64_MAX, name, id, NAME_BYTES_MAX, UINT64_C(1) << 63, out);
	assert_memory_equal(out, want[2], 16);
}

/* Each part alone changes it; moving a byte from one name to the next does too. */
static void id_changes_with_each_of_its_parts(void **state)
{
	struct source_identity a = { .name = "core" }, b = { .name = "cor" },
			       c = { .name = "core", .stream = { 1 } };
	const struct {
		const struct source_identity *source;
		uint64_t sequence;
		const char *rule, *subscription;
		uint64_t recipient;
	} rows[] = {
		{ &a, 1, "rule", "id", 7 },   { &b, 1, "rule", "id", 7 }, { &c, 1, "rule", "id", 7 },
		{ &a, 2, "rule", "id", 7 },   { &a, 1, "rul", "id", 7 },  { &a, 1, "rule", "i", 7 },
		{ &a, 1, "rule", "id", 8 },   { &a, 1, "rulei", "d", 7 }, { &a, 1, "rule", "", 7 },
		{ &a, 256, "rule", "id", 7 }, { &a, 1, "ruleid", "", 7 },
	};
	uint8_t ids[ARRAY_LEN(rows)][16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		message_id(rows[i].source, rows[i].sequence, rows[i].rule, rows[i].subscription,
			   (uint32_t)strlen(rows[i].subscription), rows[i].recipient, ids[i]);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(ids[i], ids[k], 16);
	}
}

static void message_is_the_frame_that_was_decided(void **state)
{
	static const char *const keys[] = { "id",	"leg",	"recipient", "channel",	 "lang",
					    "category", "text", "rule",	     "catalogue" };
	struct sent t;
	struct frame_header in = purchase(), h;
	struct pack_reader r;
	uint32_t len, offset;
	uint8_t id[16];
	char hex[33];

	(void)state;
	sent_open(&t, 1 << 20);
	in.amount = 123456;
	in.mcc = 5411;
	assert_int_equal(render(&t, in, "{}", 1), 0);
	const char *frame = t.outbox.last_frame;
	memcpy(&h, frame, sizeof h);
	struct frame_header want = { .length = t.outbox.last_bytes,
				     .version = FRAME_VERSION,
				     .kind = FRAME_MESSAGE,
				     .type = CATEGORY_alert,
				     .customer = 7,
				     .account = 9,
				     .time = NOW,
				     .amount = 123456,
				     .currency = 978 };
	assert_memory_equal(&h, &want, sizeof h); /* sequence 0 and flags 0, nothing of country or balance */
	assert_null(pack_validate(frame + FRAME_HEADER_BYTES, h.length - FRAME_HEADER_BYTES, &offset));
	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, h.length - FRAME_HEADER_BYTES);
	assert_int_equal(pack_read_map(&r), ARRAY_LEN(keys));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *name = pack_read_key(&r, &len);
		assert_int_equal(len, strlen(keys[i]));
		assert_memory_equal(name, keys[i], len);
		pack_skip(&r);
	}
	message_id(&t.source, 1, "s", "mine", 4, 7, id);
	assert_memory_equal(body_item(&t, "id").s, id, 16);
	assert_int_equal(body_item(&t, "recipient").i, 7);
	body_text_is(&t, "leg", "push/1");
	body_text_is(&t, "channel", "push");
	body_text_is(&t, "lang", "en");
	body_text_is(&t, "category", "alert");
	body_text_is(&t, "text", "Hello €1,234.56");
	body_text_is(&t, "rule", "s");
	const struct hash128 hash = t.run->bank.c->hash;
	snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)hash.high,
		 (unsigned long long)hash.low);
	body_text_is(&t, "catalogue", hex);
	sent_close(&t);
}

/* A gateway's receipt finds the leg that was made. */
static void the_id_stands_at_its_fixed_place(void **state)
{
	struct sent t;
	struct pack_reader r;

	(void)state;
	sent_open(&t, 1 << 20);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(render(&t, purchase(), "{}", i), 0);
		const char *at = t.outbox.last_frame + MESSAGE_ID_OFFSET;
		assert_ptr_equal(at, body_item(&t, "id").s);
		pack_reader_init(&r, at + MESSAGE_ID_BYTES + 4, NAME_BYTES_MAX + 8);
		struct pack_item leg = pack_read(&r);
		const char *name = i ? "push/1" : "sms/1";
		assert_int_equal(leg.bytes, strlen(name));
		assert_memory_equal(leg.s, name, leg.bytes);
		assert_int_equal(t.legs->next, i + 1);
		struct key128 key = legs_key(at, legs_name(name, leg.bytes)); /* a gateway's receipt has it */
		assert_int_equal(legs_move(t.legs, key, LEG_DELIVERED), LEG_QUEUED);
	}
	sent_close(&t);
}

static void critical_goes_into_its_own_lane(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t notice, queue;
		enum message_category category;
		const char *name;
	} rows[] = {
		{ 1, 0, 5 * LANES, CATEGORY_critical, "critical" }, /* sms, the critical lane */
		{ 1, 1, 4 * LANES + 1, CATEGORY_alert, "alert" },   /* push */
		{ 3, 0, 4 * LANES + 1, CATEGORY_regulatory,
		  "regulatory" }, /* a critical rule of another category */
	};
	struct sent t;

	(void)state;
	sent_open(&t, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_header h = purchase();
		uint64_t open = t.outbox.queue[rows[i].queue].open;
		h.type = rows[i].type;
		assert_int_equal(render(&t, h, "{}", rows[i].notice), 0);
		assert_int_equal(t.outbox.queue[rows[i].queue].open, open + 1);
		memcpy(&h, t.outbox.last_frame, sizeof h);
		assert_int_equal(h.type, rows[i].category);
		body_text_is(&t, "category", rows[i].name);
	}
	assert_int_equal(t.run->ledger.legs_made, ARRAY_LEN(rows));
	assert_int_equal(t.run->ledger.legs[LEG_QUEUED], ARRAY_LEN(rows));
	assert_int_equal(t.run->by_rule[rule_named(t.run->bank.c, "c")->number].legs[5], 1);
	assert_int_equal(t.run->by_rule[rule_named(t.run->bank.c, "s")->number].legs[4], 1);
	sent_close(&t);
}

/* `hello` has es, en and es-CO; `plain` has es and en: a text falls back, and `lang` says what it is in. */
static void language_falls_back_to_what_there_is(void **state)
{
	static const struct {
		const char *set;
		const char *hello, *plain, *word;
	} rows[] = {
		{ "{\"set\": {\"language\": \"en\"}}", "en", "en", "Hello" },
		{ "{\"set\": {\"language\": \"en-GB\"}}", "en", "en", "Hello" },
		{ "{\"set\": {\"language\": \"es-CO\"}}", "es-CO", "es", "Buenas" },
		{ "{\"set\": {\"language\": \"es-CO-x\"}}", "es-CO", "es", "Buenas" },
		{ "{\"set\": {\"language\": \"es-MX\"}}", "es", "es", "Hola" },
		{ "{\"set\": {\"language\": \"de\"}}", "es", "es", "Hola" },
		{ "{\"set\": {\"language\": \"\"}}", "es", "es", "Hola" },
		{ "{\"set\": {\"language\": \"-\"}}", "es", "es", "Hola" },
		{ "{\"unset\": [\"language\"]}", "es", "es", "Hola" },
	};
	struct sent t;

	(void)state;
	sent_open(&t, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bank_profile(&t.run->bank, 7, 0, rows[i].set);
		assert_int_equal(render(&t, purchase(), "{}", 1), 0);
		body_text_is(&t, "lang", rows[i].hello);
		assert_memory_equal(body_item(&t, "text").s, rows[i].word, strlen(rows[i].word));
		assert_int_equal(render(&t, purchase(), "{}", 0), 0);
		body_text_is(&t, "lang", rows[i].plain);
	}
	sent_close(&t);
}

/* sms takes 20 characters. */
static void text_is_cut_at_the_channels_length(void **state)
{
	struct sent t;
	struct frame_header h = purchase();

	(void)state;
	sent_open(&t, 1 << 20);
	bank_subscribe(&t.run->bank, 7, "{\"id\": \"mine\", \"channels\": [\"sms\"]}");
	h.amount = 123456789;
	assert_int_equal(render(&t, h, "{}", 1), 0);
	body_text_is(&t, "text", "Hello €1,234,567.89");
	h.amount = 12345678901;
	assert_int_equal(render(&t, h, "{}", 1), 0);
	body_text_is(&t, "text",
		     "Hello €123,456,789.…"); /* 20 characters, the last says that there was more */
	body_text_is(&t, "leg", "sms/1");
	sent_close(&t);
}

/* The same notice gives the same bytes, and the digest of outputs is that of the frames in order. */
static void outputs_are_the_same_bytes_again(void **state)
{
	struct sent t;
	struct hash128 digest = { 0 };
	char first[2048];

	(void)state;
	sent_open(&t, 1 << 20);
	assert_int_equal(render(&t, purchase(), "{}", 1), 0);
	uint32_t bytes = t.outbox.last_bytes;
	memcpy(first, t.outbox.last_frame, bytes);
	outbox_digest_add(&digest, first, bytes);
	assert_int_equal(render(&t, purchase(), "{}", 1), 0);
	assert_int_equal(t.outbox.last_bytes, bytes);
	assert_memory_equal(first, t.outbox.last_frame, bytes);
	outbox_digest_add(&digest, first, bytes);
	assert_memory_equal(&digest, &t.outbox.digest, sizeof digest);
	sent_close(&t);
}

static void a_full_outbox_is_said_and_counts_nothing(void **state)
{
	struct sent t;
	int rc;

	(void)state;
	sent_open(&t, 0);
	do
		rc = render(&t, purchase(), "{}", 1);
	while (rc == 0 && t.run->ledger.legs_made < 100000);
	assert_int_equal(rc, -ENOBUFS);
	assert_int_equal(t.run->ledger.legs_made, t.outbox.queue[4 * LANES + 1].open);
	sent_close(&t);
}

/* ---- verdicts ---- */

struct verdict_read {
	struct frame_header header;
	uint32_t count;
	char reasons[REASONS_MAX][NAME_BYTES_MAX + 1];
	bool again;
};

static void verdict_read(struct verdict_read *v, const char *frame, uint32_t bytes)
{
	struct pack_reader r;
	uint32_t len, offset;

	memcpy(&v->header, frame, sizeof v->header);
	assert_int_equal(v->header.length, bytes);
	assert_true(bytes <= VERDICT_BYTES_MAX);
	assert_null(frame_header_check(&v->header, ROLE_OF_ENGINE).text);
	assert_null(pack_validate(frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES, &offset));
	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES);
	assert_int_equal(pack_read_map(&r), 2);
	assert_memory_equal(pack_read_key(&r, &len), "reasons", 7);
	struct pack_item list = pack_read(&r);
	v->count = list.count;
	assert_true(list.type == PACK_ARRAY && v->count <= REASONS_MAX);
	for (uint32_t i = 0; i < v->count; i++) {
		struct pack_item name = pack_read(&r);
		snprintf(v->reasons[i], sizeof v->reasons[i], "%.*s", (int)name.bytes, name.s);
	}
	assert_memory_equal(pack_read_key(&r, &len), "again", 5);
	v->again = pack_read(&r).b;
}

static void verdict_of(struct verdict_read *v, const struct catalogue *c, struct event e, uint8_t flags)
{
	struct frame_header h = purchase();
	char frame[VERDICT_BYTES_MAX];

	h.flags = flags;
	h.sequence = 77;
	e.header = &h;
	verdict_read(v, frame, message_verdict(c, &e, frame));
	assert_int_equal(v->header.sequence, 77);
	assert_int_equal(v->header.flags, 0);
}

static void verdict_follows_the_thresholds(void **state)
{
	static const struct {
		int64_t score, shown;
		enum verdict verdict;
	} rows[] = {
		{ 0, 0, VERDICT_APPROVE },
		{ 59, 59, VERDICT_APPROVE },
		{ 60, 60, VERDICT_REVIEW },
		{ 84, 84, VERDICT_REVIEW },
		{ 85, 85, VERDICT_DECLINE },
		{ INT32_MAX, INT32_MAX, VERDICT_DECLINE },
		{ (int64_t)INT32_MAX + 1, INT32_MAX, VERDICT_DECLINE },
		{ -5, 0, VERDICT_APPROVE }, /* rules may take away; a header's amount is not negative */
	};
	struct catalogue *c = bank_compile(rules_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct verdict_read v;
		verdict_of(&v, c,
			   (struct event){ .outcome = EVENT_DECIDED, .fraud = true, .score = rows[i].score },
			   FRAME_VERDICT_WANTED);
		if (v.header.type != rows[i].verdict || v.header.amount != rows[i].shown)
			fail_msg("score %lld: verdict %d with %lld", (long long)rows[i].score, v.header.type,
				 (long long)v.header.amount);
		assert_int_equal(v.count, 0);
		assert_false(v.again);
	}
	catalogue_free(c);
}

/* Without thresholds everything that can be scored is approved. */
static void verdict_without_thresholds_approves(void **state)
{
	struct catalogue *c = bank_compile("fraud: { rules: { f: { events: [purchase], score: 1 } } }\n");
	struct verdict_read v;

	(void)state;
	verdict_of(&v, c, (struct event){ .outcome = EVENT_DECIDED, .fraud = true, .score = 1000000 },
		   FRAME_VERDICT_WANTED);
	assert_int_equal(v.header.type, VERDICT_APPROVE);
	catalogue_free(c);
}

static void verdict_names_the_outcome_of_what_fraud_does_not_judge(void **state)
{
	static const char *const names[] = { NULL,
#define X(name, text) #name,
					     EVENT_OUTCOMES(X)
#undef X
	};
	struct catalogue *c = bank_compile(rules_text);

	(void)state;
	for (uint8_t outcome = 1; outcome < EVENT_OUTCOME_COUNT; outcome++) {
		struct verdict_read v;
		verdict_of(&v, c, (struct event){ .outcome = outcome, .fraud = outcome != EVENT_DECIDED },
			   FRAME_VERDICT_WANTED | FRAME_MAYBE_REPEAT);
		assert_int_equal(v.header.type, VERDICT_REVIEW);
		assert_int_equal(v.header.amount, 0);
		assert_int_equal(v.count, 1);
		assert_string_equal(v.reasons[0], names[outcome]);
		assert_true(v.again);
	}
	catalogue_free(c);
}

/* A later stage is judged by the rules that list it. */
static void verdict_on_a_listed_stage_is_that_of_its_rules(void **state)
{
	struct catalogue *c = bank_compile(rules_text);
	struct verdict_read v;

	(void)state;
	verdict_of(&v, c,
		   (struct event){ .outcome = EVENT_DECIDED, .staged = true, .score = 60, .reason_count = 1 },
		   FRAME_VERDICT_WANTED);
	assert_int_equal(v.header.type, VERDICT_REVIEW);
	assert_int_equal(v.header.amount, 60);
	assert_string_equal(v.reasons[0], c->rules[0].name);
	verdict_of(&v, c, (struct event){ .outcome = EVENT_DECIDED, .staged = true }, FRAME_VERDICT_WANTED);
	assert_int_equal(v.header.type, VERDICT_APPROVE);
	assert_int_equal(v.count, 0);
	catalogue_free(c);
}

static void verdict_does_not_name_what_is_confidential(void **state)
{
	struct catalogue *c =
		bank_compile("fraud: { rules: { a: { events: [purchase], score: 1, confidential: true }, b: "
			     "{ events: [purchase],"
			     " score: 1 }, c: { events: [purchase], score: 1, confidential: false } } }\n");
	struct verdict_read v;

	(void)state;
	verdict_of(&v, c,
		   (struct event){ .outcome = EVENT_DECIDED,
				   .fraud = true,
				   .score = 3,
				   .reasons = { 0, 1, 2 },
				   .reason_count = 3 },
		   FRAME_VERDICT_WANTED);
	assert_int_equal(v.header.amount, 3);
	assert_int_equal(v.count, 2);
	assert_string_equal(v.reasons[0], "b");
	assert_string_equal(v.reasons[1], "c");
	catalogue_free(c);
}

/* Eight reasons with the longest names still fit. */
static void verdict_has_room_for_its_longest_reasons(void **state)
{
	char rules[4096] = "fraud:\n  rules:\n";
	struct event e = { .outcome = EVENT_DECIDED, .fraud = true, .reason_count = REASONS_MAX };
	struct verdict_read v;

	(void)state;
	for (unsigned i = 0; i < REASONS_MAX; i++) {
		char one[160];
		snprintf(one, sizeof one, "    r%u%0*d: { events: [purchase], score: 1 }\n", i,
			 NAME_BYTES_MAX - 2, 0);
		strcat(rules, one);
		e.reasons[i] = (uint16_t)(REASONS_MAX - 1 - i);
	}
	struct catalogue *c = bank_compile(rules);
	assert_int_equal(strlen(c->rules[0].name), NAME_BYTES_MAX);
	verdict_of(&v, c, e, FRAME_VERDICT_WANTED);
	assert_int_equal(v.count, REASONS_MAX);
	for (unsigned i = 0; i < REASONS_MAX; i++)
		assert_string_equal(v.reasons[i], c->rules[e.reasons[i]].name);
	catalogue_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_is_the_hash_of_cause_rule_subscription_and_recipient),
		cmocka_unit_test(id_changes_with_each_of_its_parts),
		cmocka_unit_test(message_is_the_frame_that_was_decided),
		cmocka_unit_test(the_id_stands_at_its_fixed_place),
		cmocka_unit_test(critical_goes_into_its_own_lane),
		cmocka_unit_test(language_falls_back_to_what_there_is),
		cmocka_unit_test(text_is_cut_at_the_channels_length),
		cmocka_unit_test(outputs_are_the_same_bytes_again),
		cmocka_unit_test(a_full_outbox_is_said_and_counts_nothing),
		cmocka_unit_test(verdict_follows_the_thresholds),
		cmocka_unit_test(verdict_without_thresholds_approves),
		cmocka_unit_test(verdict_names_the_outcome_of_what_fraud_does_not_judge),
		cmocka_unit_test(verdict_on_a_listed_stage_is_that_of_its_rules),
		cmocka_unit_test(verdict_does_not_name_what_is_confidential),
		cmocka_unit_test(verdict_has_room_for_its_longest_reasons),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
