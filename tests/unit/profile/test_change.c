// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * test_change.c: bodies of PROFILE and SUBSCRIBE: what is applied, and everything that is refused, with its
 * reason and the byte of the body that it is about. Whatever is refused changes nothing.
 */
#include "store_test.h"

struct fixture {
	struct fake *fake;
	struct store *s;
	char *dir;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->fake = fake_bank();
	f->dir = directory_new();
	f->s = store_at(f->dir);
	store_activate_good(f->s, &f->fake->c);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	directory_free(f->dir);
	free(f->fake);
	free(f);
	return 0;
}

struct row_case {
	const char *json, *why; /* a part of the reason; NULL: applied */
};

enum target { PROFILE, ACCOUNT, SUBSCRIBE };

static enum change_outcome apply(struct fixture *f, enum target target, const char *json)
{
	switch (target) {
	case PROFILE:
		return profile_json(f->s, &f->fake->c, 7, json);
	case ACCOUNT:
		return account_json(f->s, &f->fake->c, 9, json);
	default:
		return subscribe_json(f->s, &f->fake->c, 7, json);
	}
}

static void cases_run(struct fixture *f, enum target target, enum change_outcome refused,
		      const struct row_case *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct hash128 before = store_digest(f->s, &f->fake->c), after;
		enum change_outcome want = rows[i].why ? refused : CHANGE_APPLIED;
		enum change_outcome got = apply(f, target, rows[i].json);
		if (got != want || (rows[i].why && !strstr(test_why, rows[i].why)))
			fail_msg("%s: outcome %d, %s", rows[i].json, got, test_why);
		after = store_digest(f->s, &f->fake->c);
		if (rows[i].why && (before.low != after.low || before.high != after.high))
			fail_msg("%s: refused, and yet changed", rows[i].json);
	}
}
#define CASES_RUN(f, target, outcome, rows) cases_run(f, target, outcome, rows, sizeof rows / sizeof rows[0])

static void profile_takes_each_type(void **state)
{
	struct fixture *f = *state;
	struct value v[8];

	assert_int_equal(
		profile_json(
			f->s, &f->fake->c, 7,
			"{\"set\": {\"language\": \"Zoë\", \"age\": -9223372036854775808, \"vip\": true,"
			"\"score\": 2.5, \"since\": \"2026-03-01T12:00:00.25+01:00\", \"limit\": \"-1.005 "
			"KWD\","
			"\"pause\": \"2w\", \"party\": 12}, \"as_of\": 5, \"source\": \"crm\", \"x\": [1]}"),
		CHANGE_APPLIED);
	row_profile(f->s, &f->fake->c, store_customer(f->s, 7), v);
	assert_memory_equal(v[0].s, "Zoë", v[0].bytes);
	assert_int_equal(v[0].bytes, 4);
	assert_true(v[1].i == INT64_MIN && v[1].type == TYPE_INT);
	assert_int_equal(v[2].i, 1);
	assert_true(v[3].d == 2.5);
	assert_true(v[4].i == INT64_C(1772362800250000000));
	assert_true(v[5].i == -1005 && v[5].currency == 414);
	assert_true(v[6].i == INT64_C(1209600000000000));
	assert_int_equal(v[7].i, 12);
	assert_int_equal(profile_json(f->s, &f->fake->c, 7,
				      "{\"set\": {\"score\": 5, \"since\": -1}, \"unset\": [\"age\"]}"),
			 CHANGE_APPLIED);
	row_profile(f->s, &f->fake->c, store_customer(f->s, 7), v);
	assert_true(v[3].d == 5.0 && v[4].i == -1 && v[1].status == VALUE_NO_DATA && v[7].i == 12);
}

static void profile_refuses_with_the_reason(void **state)
{
	static const struct row_case rows[] = {
		{ "{\"set\": {\"age\": 1}}", NULL },
		{ "{\"set\": null, \"unset\": null, \"as_of\": null, \"source\": null}", NULL },
		{ "{\"set\": 1}", "set: found int, expected a map" },
		{ "{\"set\": [\"age\"]}", "set: found array, expected a map" },
		{ "{\"unset\": {\"age\": 1}}", "unset: found map, expected a list" },
		{ "{\"unset\": [1]}", "unset: found int, expected string" },
		{ "{\"set\": {\"shoe\": 43}}", "set: the catalogue has no profile attribute 'shoe'" },
		{ "{\"set\": {\"\": 43}}", "no profile attribute ''" },
		{ "{\"set\": {\"a\\u0007b\": 43}}", "'a?b'" },
		{ "{\"set\": {\"large\": 43}}", "no profile attribute 'large'" },
		{ "{\"unset\": [\"age\", \"shoe\"]}",
		  "unset: the catalogue has no profile attribute 'shoe'" },
		{ "{\"set\": {\"vip\": true, \"age\": \"1\"}}", "set.age: found string, expected int" },
		{ "{\"set\": {\"age\": 1.5}}", "set.age: found double, expected int" },
		{ "{\"set\": {\"age\": null}}", "set.age: found nil" },
		{ "{\"set\": {\"vip\": 1}}", "set.vip: found int, expected bool" },
		{ "{\"set\": {\"score\": \"1.5\"}}", "set.score: found string, expected double" },
		{ "{\"set\": {\"language\": 5}}", "set.language: found int, expected string" },
		{ "{\"set\": {\"since\": \"2026-02-30T00:00:00Z\"}}",
		  "set.since: found string, expected timestamp" },
		{ "{\"set\": {\"since\": 1.0}}", "set.since: found double" },
		{ "{\"set\": {\"limit\": 100}}", "set.limit: found int, expected money" },
		{ "{\"set\": {\"limit\": \"1.001 EUR\"}}", "set.limit: found string, expected money" },
		{ "{\"set\": {\"limit\": \"1 XYZ\"}}", "expected money" },
		{ "{\"set\": {\"pause\": \"10\"}}", "set.pause: found string, expected duration" },
		{ "{\"set\": {\"pause\": \"0s\"}}", "expected duration" },
		{ "{\"set\": {\"pause\": \"-5m\"}}", "expected duration" },
		{ "{\"set\": {\"pause\": \"5 m\"}}", "expected duration" },
		{ "{\"set\": {\"pause\": \"99999999999999w\"}}", "expected duration" },
		{ "{\"set\": {\"pause\": 60}}", "set.pause: found int" },
		{ "{\"set\": {}, \"as_of\": \"soon\"}", "as_of: found string, expected timestamp" },
		{ "{\"set\": {}, \"source\": 1}", "source: found int, expected string" },
	};

	CASES_RUN(*state, PROFILE, CHANGE_REFUSED, rows);
}

static void account_refuses_with_the_reason(void **state)
{
	static const struct row_case rows[] = {
		{ "{\"set\": {\"currency\": \"EUR\", \"alias\": \"\", \"status\": \"active\"}}", NULL },
		{ "{\"set\": {\"currency\": 414}}", NULL },
		{ "{\"set\": {\"cards\": [{\"card\": \"c\", \"customer\": null, \"expires\": null, "
		  "\"status\": null}]}}",
		  NULL },
		{ "{\"set\": {\"holders\": [{\"customer\": null, \"role\": \"owner\"}]}}",
		  "a holder needs customer and role" },
		{ "{\"set\": {\"currency\": null}}", "set.currency: found nil" },
		{ "{\"unset\": [\"currency\", \"alias\", \"status\", \"cards\", \"holders\"]}", NULL },
		{ "{\"set\": {\"age\": 1}}",
		  "set: an account has holders, currency, alias, status and cards, not 'age'" },
		{ "{\"unset\": [\"age\"]}", "unset: an account has" },
		{ "{\"set\": {\"currency\": \"EURO\"}}",
		  "set.currency: found another text, expected a currency" },
		{ "{\"set\": {\"currency\": 1}}", "set.currency: found int, expected a currency" },
		{ "{\"set\": {\"currency\": 66514}}", "set.currency" },
		{ "{\"set\": {\"alias\": 1}}", "set.alias: found int, expected string" },
		{ "{\"set\": {\"status\": true}}", "set.status: found bool, expected string" },
		{ "{\"set\": {\"holders\": {}}}", "set.holders: found map, expected a list" },
		{ "{\"set\": {\"holders\": [1]}}", "set.holders: found int, expected a map" },
		{ "{\"set\": {\"holders\": [{\"customer\": 1, \"role\": \"king\"}]}}", "found another role" },
		{ "{\"set\": {\"holders\": [{\"customer\": 1, \"role\": 1}]}}", "found another role" },
		{ "{\"set\": {\"holders\": [{\"customer\": 0, \"role\": \"owner\"}]}}",
		  "found 0 or less, expected a number above 0" },
		{ "{\"set\": {\"holders\": [{\"customer\": \"1\", \"role\": \"owner\"}]}}",
		  "found string, expected a number" },
		{ "{\"set\": {\"holders\": [{\"role\": \"owner\"}]}}", "a holder needs customer and role" },
		{ "{\"set\": {\"holders\": [{\"customer\": 1}]}}", "a holder needs customer and role" },
		{ "{\"set\": {\"holders\": [{\"customer\": 1, \"role\": \"owner\", \"share\": 1}]}}",
		  "not 'share'" },
		{ "{\"set\": {\"holders\": [{\"customer\": 1, \"role\": \"owner\"}, {\"customer\": 1, "
		  "\"role\": \"delegate\"}]}}",
		  "one customer twice" },
		{ "{\"set\": {\"cards\": 1}}", "set.cards: found int, expected a list" },
		{ "{\"set\": {\"cards\": [\"c\"]}}", "set.cards: found string, expected a map" },
		{ "{\"set\": {\"cards\": [{\"customer\": 1}]}}", "a card needs its token" },
		{ "{\"set\": {\"cards\": [{\"card\": \"\"}]}}", "a card needs its token" },
		{ "{\"set\": {\"cards\": [{\"card\": 5}]}}", "set.cards.card: found int" },
		{ "{\"set\": {\"cards\": [{\"card\": \"c\", \"customer\": -1}]}}",
		  "set.cards.customer: found 0 or less" },
		{ "{\"set\": {\"cards\": [{\"card\": \"c\", \"expires\": \"12/27\"}]}}",
		  "set.cards.expires: found string" },
		{ "{\"set\": {\"cards\": [{\"card\": \"c\", \"pin\": 1}]}}", "not 'pin'" },
		{ "{\"set\": {\"cards\": [{\"card\": \"c\"}, {\"card\": \"c\"}]}}", "one card twice" },
	};

	CASES_RUN(*state, ACCOUNT, CHANGE_REFUSED, rows);
}

static void subscribe_refuses_with_the_reason(void **state)
{
	static const struct row_case rows[] = {
		{ "{\"kind\": \"large\"}", NULL },
		{ "{\"kind\": \"large\", \"frequency\": \"now\", \"colour\": 5}", NULL },
		{ "{\"id\": null, \"kind\": \"large\", \"on\": null, \"params\": null, \"accounts\": null, "
		  "\"channels\": null,"
		  "\"frequency\": null, \"at\": null, \"recipients\": null}",
		  NULL },
		{ "{\"id\": \"large\", \"kind\": null}", NULL },
		{ "{\"id\": null, \"kind\": null}", "needs kind" },
		{ "{\"id\": \"large\", \"params\": {\"threshold\": \"1 EUR\"}}", NULL },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"1000 EUR\"}}", NULL },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"2 USD\"}}", NULL }, /* 1 EUR */
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"1.98 USD\"}}",
		  "outside the catalogue's min and max" },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"0.99 EUR\"}}",
		  "params.threshold: outside" },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"1000.01 EUR\"}}",
		  "params.threshold: outside" },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"5 GBP\"}}",
		  "currency without a rate" },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": 100}}",
		  "params.threshold: found int, expected money" },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": null}}", "found nil" },
		{ "{\"kind\": \"large\", \"params\": {\"speed\": 1}}", "'large' has no parameter 'speed'" },
		{ "{\"kind\": \"large\", \"params\": {\"count\": 1}}", "'large' has no parameter 'count'" },
		{ "{\"kind\": \"large\", \"params\": []}", "params: found array, expected a map" },
		{ "{\"kind\": \"other\", \"params\": {\"count\": 10, \"ratio\": 0.5, \"text\": \"\", "
		  "\"flag\": false, \"span\": \"1h\"}}",
		  NULL },
		{ "{\"kind\": \"other\", \"params\": {\"count\": -2, \"ratio\": 1}}", NULL },
		{ "{\"kind\": \"other\", \"params\": {\"count\": 11}}", "params.count: outside" },
		{ "{\"kind\": \"other\", \"params\": {\"count\": -3}}", "params.count: outside" },
		{ "{\"kind\": \"other\", \"params\": {\"ratio\": 0.49}}", "params.ratio: outside" },
		{ "{\"kind\": \"other\", \"params\": {\"flag\": 0}}",
		  "params.flag: found int, expected bool" },
		{ "{\"kind\": \"other\", \"params\": {\"span\": \"61m\"}}", "params.span: outside" },
		{ "{\"kind\": \"velocity\"}", "kind: the catalogue has no subscription 'velocity'" },
		{ "{\"kind\": \"larg\"}", "no subscription 'larg'" },
		{ "{\"kind\": 5}", "kind: found int, expected string" },
		{ "{\"kind\": \"\"}", "kind: is empty" },
		{ "{\"kind\": \"large\", \"id\": \"\"}", "id: is empty" },
		{ "{\"kind\": \"large\", \"id\": 5}", "id: found int, expected string" },
		{ "{}", "needs kind" },
		{ "{\"on\": true}", "needs kind" },
		{ "{\"id\": \"never\"}", "the customer has no subscription 'never'" },
		{ "{\"kind\": \"large\", \"on\": 1}", "on: found int, expected bool" },
		{ "{\"kind\": \"large\", \"accounts\": 1}", "accounts: found int, expected a list" },
		{ "{\"kind\": \"large\", \"accounts\": [1, 0]}", "accounts: found 0 or less" },
		{ "{\"kind\": \"large\", \"accounts\": [\"1\"]}", "accounts: found string" },
		{ "{\"kind\": \"large\", \"channels\": \"push\"}",
		  "channels: found string, expected a list" },
		{ "{\"kind\": \"large\", \"channels\": [1]}", "channels: found int, expected string" },
		{ "{\"kind\": \"large\", \"channels\": [\"\"]}", "channels: is empty" },
		{ "{\"kind\": \"large\", \"frequency\": 1}", "frequency: found int" },
		{ "{\"kind\": \"nothing\", \"frequency\": \"daily\"}", "no subscription 'nothing'" },
		{ "{\"kind\": \"large\", \"at\": \"09:00\", \"on\": 5}", "on: found int" },
	};
	static const struct row_case not_yet[] = {
		{ "{\"kind\": \"large\", \"on\": false, \"frequency\": \"daily\"}", "frequency: not yet" },
		{ "{\"kind\": \"large\", \"frequency\": \"\"}", "frequency: not yet" },
		{ "{\"kind\": \"large\", \"id\": \"new\", \"at\": \"09:00\"}", "at: not yet" },
		{ "{\"kind\": \"large\", \"recipients\": [1]}", "recipients: not yet" },
	};

	CASES_RUN(*state, SUBSCRIBE, CHANGE_REFUSED, rows);
	CASES_RUN(*state, SUBSCRIBE, CHANGE_NOT_YET, not_yet);
}

static void a_frame_of_nobody_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;

	assert_int_equal(store_apply_profile(f->s, c, 0, 0, "\x80", 1, test_why, sizeof test_why),
			 CHANGE_REFUSED);
	assert_int_equal(store_apply_profile(f->s, c, 1, 1, "\x80", 1, test_why, sizeof test_why),
			 CHANGE_REFUSED);
	assert_int_equal(subscribe_json(f->s, c, 0, "{\"kind\": \"large\"}"), CHANGE_REFUSED);
	/* nothing behind the header is an empty map: a record with defaults only */
	assert_int_equal(store_apply_profile(f->s, c, 5, 0, NULL, 0, test_why, sizeof test_why),
			 CHANGE_APPLIED);
	assert_int_equal(store_customer(f->s, 5)->flags, 0);
	assert_int_equal(store_apply_subscribe(f->s, c, 5, NULL, 0, test_why, sizeof test_why),
			 CHANGE_REFUSED);
}

static void a_refusal_says_which_byte(void **state)
{
	struct fixture *f = *state;
	struct body body;

	body_make(&body, "{\"set\": {\"age\": 1, \"vip\": 5}}");
	assert_int_equal(store_apply_profile(f->s, &f->fake->c, 7, 0, body.bytes, body.count, test_why,
					     sizeof test_why),
			 CHANGE_REFUSED);
	assert_int_equal(body.bytes[store_refused_offset(f->s)], 5);
	assert_int_equal(store_refused_offset(f->s), body.count - 1);
	body_make(&body, "{\"kind\": \"large\", \"params\": {\"speed\": 1}}");
	assert_int_equal(store_apply_subscribe(f->s, &f->fake->c, 7, body.bytes, body.count, test_why,
					       sizeof test_why),
			 CHANGE_REFUSED);
	assert_memory_equal(body.bytes + store_refused_offset(f->s), "\xa5speed", 6);
}

static void fields_that_are_not_given_stay(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	struct row_subscription s;
	struct row_cursor cursor;

	assert_int_equal(subscribe_json(f->s, c, 7,
					"{\"kind\": \"other\", \"id\": \"mine\", \"on\": false, "
					"\"accounts\": [18446744073709551, 2],"
					"\"channels\": [\"sms\", \"fax\", \"push\"], \"params\": {\"count\": "
					"3, \"text\": \"long enough\"}}"),
			 CHANGE_APPLIED);
	assert_int_equal(subscribe_json(f->s, c, 7, "{\"id\": \"mine\", \"params\": {\"count\": 4}}"),
			 CHANGE_APPLIED);
	assert_true(store_customer(f->s, 7)->flags & ROW_PROVISIONAL);
	row_subscriptions(f->s, c, store_customer(f->s, 7), &cursor);
	assert_true(row_subscription_next(&cursor));
	row_subscription_read(&cursor, &s);
	assert_true(!s.on && s.account_count == 2 && s.accounts[0] == 18446744073709551ull &&
		    s.channel_count == 2);
	assert_true(s.channels[0] == 1 && s.channels[1] == 0); /* fax is kept, and left out */
	assert_true(s.params[0].i == 4 && s.params[2].bytes == 11 && s.params[1].status == VALUE_NO_DATA);
	/* lists are replaced; another kind under the id is a new subscription */
	assert_int_equal(
		subscribe_json(f->s, c, 7,
			       "{\"id\": \"mine\", \"on\": true, \"accounts\": [], \"channels\": []}"),
		CHANGE_APPLIED);
	row_subscriptions(f->s, c, store_customer(f->s, 7), &cursor);
	assert_true(row_subscription_next(&cursor));
	row_subscription_read(&cursor, &s);
	assert_true(s.on && s.account_count == 0 && s.channel_count == 0 && s.params[0].i == 4);
	assert_int_equal(subscribe_json(f->s, c, 7, "{\"id\": \"mine\", \"kind\": \"large\"}"),
			 CHANGE_APPLIED);
	row_subscriptions(f->s, c, store_customer(f->s, 7), &cursor);
	assert_true(row_subscription_next(&cursor));
	row_subscription_read(&cursor, &s);
	assert_true(s.params[0].i == 10000 && cursor.rule == 1);
	assert_false(row_subscription_next(&cursor));
}

/* `count` of `item` with # replaced by its number, between `head` and `tail`. */
static void repeat_make(struct body *body, const char *head, const char *item, int count, const char *tail)
{
	char *json = malloc(1 << 20), *at = json;

	at += sprintf(at, "%s", head);
	for (int i = 0; i < count; i++) {
		at += sprintf(at, "%s", i ? ", " : "");
		for (const char *c = item; *c; c++)
			at += *c == '#' ? sprintf(at, "%d", i + 1) : sprintf(at, "%c", *c);
	}
	sprintf(at, "%s", tail);
	body_make(body, json);
	free(json);
}

struct limit_case {
	enum target target;
	const char *head, *item, *tail;
	int max;
	const char *why;
};

static void each_limit_holds_and_one_over_is_refused(void **state)
{
	static const struct limit_case rows[] = {
		{ ACCOUNT, "{\"set\": {\"holders\": [", "{\"customer\": #, \"role\": \"owner\"}", "]}}",
		  HOLDERS_MAX, "at most 64" },
		{ ACCOUNT, "{\"set\": {\"cards\": [", "{\"card\": \"c-#\"}", "]}}", CARDS_MAX, "at most 64" },
		{ SUBSCRIBE, "{\"kind\": \"large\", \"accounts\": [", "#", "]}", SUBSCRIPTION_ACCOUNTS_MAX,
		  "at most 16" },
		{ SUBSCRIBE, "{\"kind\": \"large\", \"channels\": [", "\"w#\"", "]}", CHANNELS_MAX,
		  "at most 16" },
		{ PROFILE, "{\"unset\": [", "\"age\"", "]}", ATTRIBUTES_MAX, "at most 256" },
	};
	struct fixture *f = *state;
	struct body body;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int more = 0; more < 2; more++) {
			enum change_outcome got;
			repeat_make(&body, rows[i].head, rows[i].item, rows[i].max + more, rows[i].tail);
			if (rows[i].target == SUBSCRIBE)
				got = store_apply_subscribe(f->s, &f->fake->c, 7, body.bytes, body.count,
							    test_why, sizeof test_why);
			else
				got = store_apply_profile(f->s, &f->fake->c,
							  rows[i].target == PROFILE ? 7 : 0,
							  rows[i].target == PROFILE ? 0 : 9, body.bytes,
							  body.count, test_why, sizeof test_why);
			if (got != (more ? CHANGE_REFUSED : CHANGE_APPLIED) ||
			    (more && !strstr(test_why, rows[i].why)))
				fail_msg("row %zu, %d over: %d %s", i, more, got, test_why);
		}
}

static void each_length_holds_and_one_over_is_refused(void **state)
{
	static const struct {
		enum target target;
		const char *head, *tail;
		int max;
	} rows[] = {
		{ PROFILE, "{\"set\": {\"language\": \"", "\"}}", STRING_BYTES_MAX },
		{ PROFILE, "{\"source\": \"", "\"}", STRING_BYTES_MAX },
		{ ACCOUNT, "{\"set\": {\"alias\": \"", "\"}}", STRING_BYTES_MAX },
		{ ACCOUNT, "{\"set\": {\"status\": \"", "\"}}", STRING_BYTES_MAX },
		{ ACCOUNT, "{\"set\": {\"cards\": [{\"card\": \"", "\"}]}}", REF_BYTES_MAX },
		{ ACCOUNT, "{\"set\": {\"cards\": [{\"card\": \"c\", \"status\": \"", "\"}]}}",
		  STRING_BYTES_MAX },
		{ SUBSCRIBE, "{\"kind\": \"large\", \"id\": \"", "\"}", NAME_BYTES_MAX },
		{ SUBSCRIBE, "{\"kind\": \"large\", \"channels\": [\"", "\"]}", NAME_BYTES_MAX },
		{ SUBSCRIBE, "{\"kind\": \"other\", \"params\": {\"text\": \"", "\"}}", STRING_BYTES_MAX },
	};
	struct fixture *f = *state;
	char json[4096];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int more = 0; more < 2; more++) {
			int n = sprintf(json, "%s", rows[i].head);
			memset(json + n, 'x', (size_t)(rows[i].max + more));
			strcpy(json + n + rows[i].max + more, rows[i].tail);
			if (apply(f, rows[i].target, json) != (more ? CHANGE_REFUSED : CHANGE_APPLIED))
				fail_msg("row %zu, %d over: %s", i, more, test_why);
		}
}

static void a_customer_has_64_subscriptions_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct store_sizes sizes;
	char json[128];

	for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
		snprintf(json, sizeof json, "{\"kind\": \"large\", \"id\": \"s%d\"}", i);
		assert_int_equal(subscribe_json(f->s, &f->fake->c, 7, json), CHANGE_APPLIED);
	}
	assert_int_equal(subscribe_json(f->s, &f->fake->c, 7, "{\"kind\": \"large\", \"id\": \"more\"}"),
			 CHANGE_REFUSED);
	assert_non_null(strstr(test_why, "64 subscriptions"));
	assert_int_equal(subscribe_json(f->s, &f->fake->c, 7, "{\"id\": \"s63\", \"on\": false}"),
			 CHANGE_APPLIED);
	store_sizes(f->s, &sizes);
	assert_int_equal(sizes.subscriptions, SUBSCRIPTIONS_MAX);
}

/* 64 subscriptions with a text of 512 bytes each are more than a row may have. */
static void a_row_beyond_its_maximum_is_refused(void **state)
{
	struct fixture *f = *state;
	char json[1024], text[513];
	int refused = 0;
	uint32_t bytes = 0;

	memset(text, 'x', 512);
	text[512] = 0;
	for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
		snprintf(json, sizeof json,
			 "{\"kind\": \"other\", \"id\": \"s%d\", \"params\": {\"text\": \"%s\"}}", i, text);
		if (subscribe_json(f->s, &f->fake->c, 7, json) == CHANGE_REFUSED) {
			assert_non_null(strstr(test_why, "more than 32768 bytes"));
			assert_int_equal(store_customer(f->s, 7)->bytes, bytes);
			refused++;
		}
		bytes = store_customer(f->s, 7)->bytes;
		assert_true(bytes <= ROW_BYTES_MAX);
	}
	assert_true(refused > 0 && refused < 16);
	assert_true(bytes > ROW_BYTES_MAX - 600);
}

static void holders_of_one_account_share_their_party(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	static const char both[] = "{\"set\": {\"holders\": [{\"customer\": 1, \"role\": \"owner\"}, "
				   "{\"customer\": 2, \"role\": \"co_owner\"}]}}";

	/* no records, no party */
	assert_int_equal(account_json(f->s, c, 9, both), CHANGE_APPLIED);
	assert_int_equal(subscribe_json(f->s, c, 2, "{\"kind\": \"large\"}"), CHANGE_APPLIED);
	assert_int_equal(profile_json(f->s, c, 1, "{\"set\": {\"party\": 5}}"), CHANGE_APPLIED);
	assert_int_equal(account_json(f->s, c, 9, both), CHANGE_APPLIED); /* 2 is provisional */
	assert_int_equal(profile_json(f->s, c, 2, "{\"set\": {\"party\": 6}}"), CHANGE_APPLIED);
	assert_int_equal(account_json(f->s, c, 9, both), CHANGE_REFUSED);
	assert_non_null(strstr(test_why, "holders 1 and 2 have different party"));
	assert_int_equal(account_json(f->s, c, 9, "{\"set\": {\"alias\": \"x\"}}"), CHANGE_REFUSED);
	assert_int_equal(profile_json(f->s, c, 2, "{\"set\": {\"party\": 5}}"), CHANGE_APPLIED);
	assert_int_equal(account_json(f->s, c, 9, both), CHANGE_APPLIED);
	/* not set: the customer's own number */
	assert_int_equal(profile_json(f->s, c, 2, "{\"unset\": [\"party\"]}"), CHANGE_APPLIED);
	assert_int_equal(account_json(f->s, c, 9, both), CHANGE_REFUSED);
	assert_int_equal(profile_json(f->s, c, 1, "{\"set\": {\"party\": 2}}"), CHANGE_APPLIED);
	assert_int_equal(account_json(f->s, c, 9, both), CHANGE_APPLIED);
}

static void account_keeps_what_it_was_given(void **state)
{
	struct fixture *f = *state;
	const struct catalogue *c = &f->fake->c;
	struct value v[ACCOUNT_FIELD_COUNT];
	struct account_draft a;
	uint32_t count;

	assert_int_equal(account_json(f->s, c, 9,
				      "{\"set\": {\"holders\": [{\"customer\": 5, \"role\": \"guardian\"}, "
				      "{\"customer\": 3, \"role\": \"owner\"}],"
				      "\"currency\": \"KWD\", \"alias\": \"Mine\", \"cards\": [{\"card\": "
				      "\"c1\", \"customer\": 3,"
				      "\"expires\": \"2027-12-31T00:00:00Z\", \"status\": \"blocked\"}, "
				      "{\"card\": \"c2\"}]}}"),
			 CHANGE_APPLIED);
	assert_int_equal(account_json(f->s, c, 9, "{\"set\": {\"status\": \"\"}}"), CHANGE_APPLIED);
	const struct row *row = store_account(f->s, 9);
	const struct row_holder *holder = row_holders(row, &count);
	assert_true(count == 2 && holder[0].customer == 5 && holder[0].role == ROLE_GUARDIAN &&
		    holder[1].role == ROLE_OWNER);
	row_account(row, v);
	assert_true(v[ACCOUNT_CURRENCY].i == 414 && v[ACCOUNT_HOLDERS].i == 2 && v[ACCOUNT_ALIAS].bytes == 4);
	assert_true(v[ACCOUNT_STATUS].status == VALUE_OK &&
		    v[ACCOUNT_STATUS].bytes == 0); /* empty is not absent */
	row_unpack_account(row, 9, &a);
	assert_true(a.card_count == 2 && a.card[0].customer == 3 &&
		    a.card[0].expires == INT64_C(1830211200000000000));
	assert_true(a.card[0].status.bytes == 7 && a.card[1].customer == 0 &&
		    a.card[1].expires == INT64_MIN && !a.card[1].status.s);
	assert_int_equal(
		account_json(f->s, c, 9, "{\"unset\": [\"holders\", \"alias\", \"currency\", \"status\"]}"),
		CHANGE_APPLIED);
	row_account(store_account(f->s, 9), v);
	assert_true(v[ACCOUNT_HOLDERS].i == 0 && v[ACCOUNT_ALIAS].status == VALUE_NO_DATA &&
		    v[ACCOUNT_CURRENCY].status == VALUE_NO_DATA && v[ACCOUNT_STATUS].status == VALUE_NO_DATA);
	row_account(NULL, v);
	for (int i = 0; i < ACCOUNT_FIELD_COUNT; i++)
		assert_int_equal(v[i].status, VALUE_NO_DATA);
}

/* Cut at each byte a body is no body; with each byte changed it is one or none: whatever passes is applied or
 * refused. */
static void damaged_bodies_do_no_harm(void **state)
{
	static const char *const bodies[] = {
		"{\"set\": {\"language\": \"en\", \"age\": 300, \"limit\": \"5 EUR\"}, \"unset\": [\"vip\"]}",
		"{\"set\": {\"holders\": [{\"customer\": 5, \"role\": \"owner\"}], \"cards\": [{\"card\": "
		"\"c\", \"expires\": 5}]}}",
		"{\"kind\": \"other\", \"id\": \"x\", \"params\": {\"count\": 3, \"text\": \"abc\"}, "
		"\"channels\": [\"sms\"], \"accounts\": [7]}",
	};
	struct fixture *f = *state;
	struct body body;
	uint32_t offset;

	for (enum target t = PROFILE; t <= SUBSCRIBE; t++) {
		body_make(&body, bodies[t]);
		assert_int_equal(apply(f, t, bodies[t]), CHANGE_APPLIED);
		for (uint32_t n = 1; n < body.count; n++)
			assert_non_null(pack_validate(body.bytes, n, &offset));
		for (uint32_t at = 0; at < body.count; at++)
			for (int b = 0; b < 256; b++) {
				uint8_t was = body.bytes[at];
				enum change_outcome got = CHANGE_REFUSED;
				body.bytes[at] = (uint8_t)b;
				if (pack_validate(body.bytes, body.count, &offset) == NULL) {
					got = t == SUBSCRIBE
						      ? store_apply_subscribe(f->s, &f->fake->c, 7,
									      body.bytes, body.count,
									      test_why, sizeof test_why)
						      : store_apply_profile(
								f->s, &f->fake->c, t == PROFILE ? 7 : 0,
								t == PROFILE ? 0 : 9, body.bytes, body.count,
								test_why, sizeof test_why);
				}
				assert_in_range(got, CHANGE_APPLIED, CHANGE_NOT_YET);
				assert_true(store_refused_offset(f->s) < body.count);
				body.bytes[at] = was;
			}
		(void)store_digest(f->s, &f->fake->c); /* every row still reads */
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(profile_takes_each_type),
		CASE(profile_refuses_with_the_reason),
		CASE(account_refuses_with_the_reason),
		CASE(subscribe_refuses_with_the_reason),
		CASE(a_frame_of_nobody_is_refused),
		CASE(a_refusal_says_which_byte),
		CASE(fields_that_are_not_given_stay),
		CASE(each_limit_holds_and_one_over_is_refused),
		CASE(each_length_holds_and_one_over_is_refused),
		CASE(a_customer_has_64_subscriptions_and_no_more),
		CASE(a_row_beyond_its_maximum_is_refused),
		CASE(holders_of_one_account_share_their_party),
		CASE(account_keeps_what_it_was_given),
		CASE(damaged_bodies_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
