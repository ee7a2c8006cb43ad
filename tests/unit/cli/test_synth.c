// needs: user/base/bytes.c user/base/frame.c user/base/money.c user/cli/synth.c user/cli/synth_spec.c user/cli/world.c user/cli/bank.c
/*
 * test_synth.c: the synthetic load is a function of SPEC and seed, keeps its promises (synth.h), and fits the
 * bank that is written for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "cli/bank.h"
#include "cli/synth.h"

static struct synth *open_spec(const char *text, uint64_t seed)
{
	struct synth_spec spec;
	char error[200] = "";
	struct synth *s;

	if (!synth_spec_parse(text, seed, &spec, error, sizeof(error)))
		fail_msg("%s", error);
	s = synth_open(&spec);
	assert_non_null(s);
	return s;
}

static uint64_t hash_of(const char *text, uint64_t seed)
{
	struct synth *s = open_spec(text, seed);
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	uint64_t h = 0xcbf29ce484222325ull;
	int64_t due;
	size_t len;

	while ((len = synth_next(s, frame, &due)) > 0)
		for (size_t i = 0; i < len; i++)
			h = (h ^ frame[i]) * 0x100000001b3ull;
	synth_close(s);
	return h;
}

static void the_same_spec_and_seed_give_the_same_bytes(void **state)
{
	static const char spec[] = "demo:customers=2000,events=50000";
	uint64_t first = hash_of(spec, 1);

	(void)state;
	assert_true(first == hash_of(spec, 1));
	assert_true(first != hash_of(spec, 2));
	assert_true(first != hash_of("demo:customers=2000,events=50000,joint=16", 1));
	assert_true(first == 0x826b95af7956a5b8ull); /* on every machine, from every compiler */
}

struct fields { /* of a body, borrowed */
	struct pack_item ref, of, stage, card, merchant;
};

static struct fields body_read(const uint8_t *frame, size_t len)
{
	static const char *const names[] = { "ref", "of", "stage", "card", "merchant" };
	struct fields f = { 0 };
	struct pack_item *const items[] = { &f.ref, &f.of, &f.stage, &f.card, &f.merchant };
	struct pack_reader r;
	uint32_t bytes, pairs;

	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, len - FRAME_HEADER_BYTES);
	pairs = pack_read_map(&r);
	for (uint32_t i = 0; i < pairs; i++) {
		const char *key = pack_read_key(&r, &bytes);
		struct pack_reader value = r;

		for (size_t k = 0; k < 5; k++)
			if (strlen(names[k]) == bytes && memcmp(names[k], key, bytes) == 0)
				*items[k] = pack_read(&value);
		pack_skip(&r);
	}
	assert_null(r.error);
	return f;
}

static bool text_is(const struct pack_item *item, const char *text)
{
	return item->type == PACK_STRING && item->bytes == strlen(text) &&
	       memcmp(item->s, text, item->bytes) == 0;
}

static void every_frame_is_one_that_a_source_may_send(void **state)
{
	struct synth *s = open_spec("demo:customers=3000,events=60000", 3);
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	struct frame_header h;
	uint32_t offset;
	int64_t due;
	size_t len, count = 0;

	(void)state;
	while ((len = synth_next(s, frame, &due)) > 0) {
		memcpy(&h, frame, sizeof(h));
		assert_int_equal(h.sequence, 0);
		h.sequence = ++count;
		assert_null(frame_header_check(&h, ROLE_OF_SOURCE).text);
		assert_int_equal(h.length, len);
		assert_null(pack_validate(frame + 64, len - 64, &offset));
		assert_true(h.customer >> 63 == 0 && h.account >> 63 == 0 && h.account > 0);
	}
	assert_int_equal(count, 60000);
	synth_close(s);
}

static void arrivals_ascend_and_fill_the_day(void **state)
{
	struct synth *s = open_spec("demo:customers=3000,events=100000,days=2,start=1772409600", 4);
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	const int64_t start = 1772409600000000000, day = 86400000000000;
	int64_t due, last = 0, night = 0, noon = 0;
	struct frame_header h;
	uint64_t late = 0, too_late = 0;

	(void)state;
	while (synth_next(s, frame, &due) > 0) {
		int64_t hour = (due - start) % day / 3600000000000;

		memcpy(&h, frame, sizeof(h));
		assert_true(due >= last && due >= start && due <= start + 2 * day);
		assert_true(h.time <= due);
		late += due - h.time > 30000000000;
		too_late += due - h.time > day;
		night += hour == 3;
		noon += hour == 12;
		last = due;
	}
	assert_true(last > start + 2 * day - 600000000000);
	assert_true(noon > 8 * night && night > 0);
	assert_true(late > 100 && late < 600);
	assert_true(too_late > 0 && too_late < 40);
	synth_close(s);
}

/* What is known of one account while its events go by. */
struct chain {
	uint64_t account;
	int64_t balance;
	bool known;
};

struct seen { /* an authorised transaction */
	char ref[12];
	int64_t amount;
	bool used;
};

enum { CHAINS = 1 << 14, SEEN = 1 << 18 };

static struct chain *chain_find(struct chain *list, uint64_t account)
{
	size_t i = account % CHAINS;

	while (list[i].account && list[i].account != account)
		i = (i + 1) % CHAINS;
	list[i].account = account;
	return &list[i];
}

static struct seen *seen_find(struct seen *list, const char *ref)
{
	uint64_t h = 14695981039346656037ull;
	size_t i;

	for (int k = 0; k < 12; k++)
		h = (h ^ (uint8_t)ref[k]) * 0x100000001b3ull;
	for (i = h % SEEN; list[i].used && memcmp(list[i].ref, ref, 12) != 0; i = (i + 1) % SEEN)
		;
	return &list[i];
}

/* How much an event changes the balance, by what SEMANTICS and synth.h say of it. */
static int64_t change_of(const struct frame_header *h, const struct fields *f, struct seen *seen)
{
	int64_t change = 0;

	switch (h->type) {
	case SYNTH_CARD_PURCHASE:
		if (h->flags & FRAME_REVERSAL)
			return h->amount;
		if (text_is(&f->stage, "request"))
			return 0;
		if (text_is(&f->stage, "released")) {
			seen->used = true;
			return h->amount;
		}
		change = seen->used ? seen->amount - h->amount : -h->amount;
		if (f->ref.type == PACK_STRING) {
			memcpy(seen->ref, f->ref.s, 12);
			seen->amount = h->amount;
			seen->used = true;
		}
		return change;
	case SYNTH_ATM_WITHDRAWAL:
	case SYNTH_TRANSFER_OUT:
	case SYNTH_DIRECT_DEBIT:
	case SYNTH_STANDING_ORDER:
	case SYNTH_FEE:
	case SYNTH_LOAN_INSTALMENT:
		return -h->amount;
	case SYNTH_TRANSFER_IN:
	case SYNTH_SALARY:
	case SYNTH_CARD_REFUND:
	case SYNTH_ATM_DEPOSIT:
	case SYNTH_INTEREST:
		return h->amount;
	default:
		return 0;
	}
}

static void balances_chain(void **state)
{
	struct synth *s = open_spec("demo:customers=4000,events=100000", 5);
	struct chain *chains = calloc(CHAINS, sizeof(*chains));
	struct seen *seen = calloc(SEEN, sizeof(*seen));
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	uint64_t checked = 0, posted_later = 0;
	struct frame_header h;
	int64_t due;
	size_t len;

	(void)state;
	assert_true(chains && seen);
	while ((len = synth_next(s, frame, &due)) > 0) {
		struct fields f = body_read(frame, len);
		struct chain *chain;
		struct seen none = { .used = false }, *transaction = &none;

		memcpy(&h, frame, sizeof(h));
		if (h.time < due || h.balance == FRAME_BALANCE_NO_DATA)
			continue; /* late, or a repeated reference: no part of the chain */
		if (f.ref.type == PACK_STRING)
			transaction = seen_find(seen, f.ref.s);
		chain = chain_find(chains, h.account);
		posted_later += transaction->used && text_is(&f.stage, "posted");
		if (chain->known) {
			assert_true(chain->balance + change_of(&h, &f, transaction) == h.balance);
			checked++;
		} else {
			change_of(&h, &f, transaction);
		}
		chain->balance = h.balance;
		chain->known = true;
	}
	assert_true(checked > 90000 && posted_later > 3000);
	free(chains);
	free(seen);
	synth_close(s);
}

static void the_mixture_is_as_documented(void **state)
{
	static const struct {
		unsigned type, least, most; /* per ten thousand */
	} rows[] = {
		{ SYNTH_CARD_PURCHASE, 4000, 6500 },
		{ SYNTH_CARD_DECLINED, 30, 400 },
		{ SYNTH_ATM_WITHDRAWAL, 150, 400 },
		{ SYNTH_TRANSFER_OUT, 200, 450 },
		{ SYNTH_TRANSFER_IN, 250, 450 },
		{ SYNTH_SALARY, 40, 110 },
		{ SYNTH_DIRECT_DEBIT, 130, 300 },
		{ SYNTH_STANDING_ORDER, 70, 190 },
		{ SYNTH_FEE, 30, 90 },
		{ SYNTH_LOGIN, 500, 1000 },
		{ SYNTH_LOGIN_FAILED, 50, 180 },
		{ SYNTH_PASSWORD_CHANGED, 8, 40 },
		{ SYNTH_DEVICE_ADDED, 8, 40 },
		{ SYNTH_CARD_REFUND, 25, 70 },
		{ SYNTH_PAYEE_ADDED, 12, 50 },
		{ SYNTH_LOAN_INSTALMENT, 15, 60 },
		{ SYNTH_LOAN_MISSED, 3, 40 },
		{ SYNTH_CARD_BLOCKED, 3, 20 },
		{ SYNTH_ATM_DEPOSIT, 20, 60 },
		{ SYNTH_STANDING_ORDER_FAILED, 3, 40 },
		{ SYNTH_INTEREST, 15, 50 },
		{ SYNTH_TRANSFER_FAILED, 12, 80 },
		{ SYNTH_BALANCE_INQUIRY, 600, 1100 },
		{ SYNTH_APP_SCREEN, 600, 1100 },
	};
	static uint64_t count[1000];
	struct synth *s = open_spec("demo:customers=20000,events=300000", 6);
	uint64_t requests = 0, reversals = 0, verdicts = 0;
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	struct frame_header h;
	int64_t due;
	size_t len;

	(void)state;
	memset(count, 0, sizeof(count));
	while ((len = synth_next(s, frame, &due)) > 0) {
		struct fields f = body_read(frame, len);

		memcpy(&h, frame, sizeof(h));
		count[h.type]++;
		requests += text_is(&f.stage, "request");
		verdicts += (h.flags & FRAME_VERDICT_WANTED) != 0;
		reversals += (h.flags & FRAME_REVERSAL) != 0;
		assert_int_equal((h.flags & FRAME_REVERSAL) != 0, f.of.type == PACK_STRING);
	}
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		uint64_t n = count[rows[k].type] * 10000 / 300000;

		if (n < rows[k].least || n > rows[k].most)
			fail_msg("type %u: %llu per ten thousand, expected %u to %u", rows[k].type,
				 (unsigned long long)n, rows[k].least, rows[k].most);
	}
	assert_true(requests > 5000 && requests == verdicts);
	assert_true(reversals > 500 && reversals < 5000);
	assert_true(count[SYNTH_UNKNOWN] > 2 && count[SYNTH_UNKNOWN] < 60);
	synth_close(s);
}

static void parts_share_the_accounts_and_no_reference(void **state)
{
	struct synth *a = open_spec("demo:customers=1001,events=20000,part=0/2", 7);
	struct synth *b = open_spec("demo:customers=1001,events=20000,part=1/2", 7);
	struct chain *chains = calloc(CHAINS, sizeof(*chains));
	struct seen *seen = calloc(SEEN, sizeof(*seen));
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	struct world_account stranger;
	uint64_t strangers[WORLD_STRANGERS], shared = 0;
	struct frame_header h;
	int64_t due;
	size_t len;

	(void)state;
	assert_true(chains && seen);
	for (uint32_t i = 0; i < WORLD_STRANGERS; i++) {
		world_account(synth_world(a), 1001 + i, &stranger);
		strangers[i] = stranger.account;
	}
	while ((len = synth_next(a, frame, &due)) > 0) {
		struct fields f = body_read(frame, len);

		memcpy(&h, frame, sizeof(h));
		chain_find(chains, h.account)->known = true;
		if (f.ref.type != PACK_STRING)
			continue;
		struct seen *mine = seen_find(seen, f.ref.s);
		memcpy(mine->ref, f.ref.s, 12);
		mine->used = true;
	}
	while ((len = synth_next(b, frame, &due)) > 0) {
		struct fields f = body_read(frame, len);
		bool stranger_here = false;

		memcpy(&h, frame, sizeof(h));
		for (unsigned i = 0; i < WORLD_STRANGERS; i++)
			stranger_here |= strangers[i] == h.account;
		shared += chain_find(chains, h.account)->known && !stranger_here;
		if (f.ref.type == PACK_STRING)
			assert_false(seen_find(seen, f.ref.s)->used);
	}
	assert_int_equal(shared, 0);
	free(chains);
	free(seen);
	synth_close(a);
	synth_close(b);
}

static void customers_and_accounts_never_collide(void **state)
{
	struct chain *all = calloc(CHAINS, sizeof(*all));
	struct world *w = malloc(sizeof(*w));
	struct world_account a;

	(void)state;
	assert_true(all && w);
	world_init(w, 8, 4000, 15, 10);
	for (uint32_t i = 0; i < 4000; i++) {
		world_account(w, i, &a);
		assert_false(chain_find(all, a.customer)->known);
		chain_find(all, a.customer)->known = true;
		assert_false(chain_find(all, a.account)->known);
		chain_find(all, a.account)->known = true;
		assert_true(a.customer > 0 && a.customer >> 63 == 0);
	}
	free(all);
	free(w);
}

static void the_bank_file_has_the_shares_that_were_asked_for(void **state)
{
	struct world *w = malloc(sizeof(*w));
	FILE *file = tmpfile();
	static char line[8192];
	unsigned customers = 0, accounts = 0, joint = 0, several = 0, subscriptions = 0;

	(void)state;
	assert_true(w && file);
	world_init(w, 9, 5000, 15, 10);
	assert_int_equal(bank_write_world(w, file), 0);
	rewind(file);
	while (fgets(line, sizeof(line), file)) {
		json_t *row = json_loads(line, 0, NULL), *set = json_object_get(row, "set");

		assert_non_null(row);
		assert_true(json_is_object(set));
		if (json_object_get(row, "customer")) {
			customers++;
			assert_true(json_integer_value(json_object_get(set, "party")) > 0);
			subscriptions += (unsigned)json_array_size(json_object_get(row, "subscriptions"));
		} else {
			size_t holders = json_array_size(json_object_get(set, "holders"));

			accounts++;
			joint += holders == 2;
			several += json_array_size(json_object_get(set, "cards")) > holders;
			assert_true(json_integer_value(json_object_get(row, "account")) > 0);
		}
		json_decref(row);
	}
	assert_int_equal(customers, 5000);
	assert_int_equal(accounts, 5000);
	assert_true(joint > 650 && joint < 850);
	assert_true(several > 420 && several < 580);
	assert_true(subscriptions > 3 * customers && subscriptions < 6 * customers);
	fclose(file);
	free(w);
}

static void an_event_names_holders_and_cards_of_its_account(void **state)
{
	struct synth *s = open_spec("demo:customers=300,events=30000,joint=50", 10);
	const struct world *w = synth_world(s);
	uint8_t frame[SYNTH_FRAME_BYTES_MAX];
	struct frame_header h;
	uint64_t cards = 0, partners = 0;
	int64_t due;
	size_t len;

	(void)state;
	while ((len = synth_next(s, frame, &due)) > 0) {
		struct fields f = body_read(frame, len);
		struct world_account a = { 0 };
		char token[WORLD_TOKEN_BYTES];
		uint32_t i = 0;
		bool known = false;

		memcpy(&h, frame, sizeof(h));
		for (; i < 300 + WORLD_STRANGERS; i++) {
			world_account(w, i, &a);
			if (a.account == h.account)
				break;
		}
		assert_true(i < 300 + WORLD_STRANGERS);
		assert_true(h.customer == a.customer || (a.partner && h.customer == a.partner));
		partners += h.customer == a.partner;
		assert_int_equal(h.currency, a.currency);
		for (unsigned k = 0; f.card.type == PACK_STRING && k < a.cards + (a.partner ? 1u : 0u); k++) {
			world_card(w, i, k, token);
			known |= f.card.bytes == WORLD_TOKEN_BYTES &&
				 memcmp(token, f.card.s, WORLD_TOKEN_BYTES) == 0;
		}
		assert_int_equal(known, f.card.type == PACK_STRING);
		cards += known;
	}
	assert_true(cards > 10000 && partners > 1000);
	synth_close(s);
}

static void a_wrong_spec_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{ "", "synthetic load" },
		{ "demos", "synthetic load" },
		{ "demo:", "is none of" },
		{ "demo:events", "is none of" },
		{ "demo:events=", "events must" },
		{ "demo:events=x", "events must" },
		{ "demo:events=1x", "events must" },
		{ "demo:events=0", "events must" },
		{ "demo:events=-1", "events must" },
		{ "demo:events=99999999999999999999", "events must" },
		{ "demo:customers=15", "customers" },
		{ "demo:joint=101", "joint" },
		{ "demo:cards=101", "cards" },
		{ "demo:days=0", "days" },
		{ "demo:eventz=5", "is none of" },
		{ "demo:events=5,,days=1", "is none of" },
		{ "demo:part=1", "part must" },
		{ "demo:part=2/2", "part must" },
		{ "demo:part=0/65", "part must" },
		{ "demo:part=a/2", "part must" },
		{ "demo:start=1", "start" },
		{ "demo:customers=16,part=0/17", "more parts" },
	};
	struct synth_spec spec;
	char error[200];

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		assert_false(synth_spec_parse(rows[k].text, 1, &spec, error, sizeof(error)));
		if (!strstr(error, rows[k].reason))
			fail_msg("%s: %s", rows[k].text, error);
	}
	assert_true(synth_spec_parse("demo", 1, &spec, error, sizeof(error)));
	assert_true(
		synth_spec_parse("demo:customers=16,events=1,days=3,start=200000,joint=0,cards=100,part=1/2",
				 1, &spec, error, sizeof(error)));
	assert_int_equal(spec.part, 1);
	assert_int_equal(spec.days, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_spec_and_seed_give_the_same_bytes),
		cmocka_unit_test(every_frame_is_one_that_a_source_may_send),
		cmocka_unit_test(arrivals_ascend_and_fill_the_day),
		cmocka_unit_test(balances_chain),
		cmocka_unit_test(the_mixture_is_as_documented),
		cmocka_unit_test(parts_share_the_accounts_and_no_reference),
		cmocka_unit_test(customers_and_accounts_never_collide),
		cmocka_unit_test(the_bank_file_has_the_shares_that_were_asked_for),
		cmocka_unit_test(an_event_names_holders_and_cards_of_its_account),
		cmocka_unit_test(a_wrong_spec_is_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
