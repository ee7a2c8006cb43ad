// needs: user/profile/change*.c user/profile/[dijlos]*.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * test_import.c: lines of JSON: what they become (compared with another JSON library), where bad ones are
 * bad, and that an import is all or nothing, a row with it.
 */
#include "store_test.h"

#include <errno.h>
#include <profile/import.h>
#include <profile/json.h>

/* ---- JSON ---- */

static struct json_token tokens[JSON_TOKENS_MAX];

static bool parses(const char *text, size_t len, struct json *j)
{
	*j = (struct json){ .tokens = tokens };
	return json_parse(j, text, len);
}

static void json_is_strict(void **state)
{
	static const char *const good[] = {
		"null",
		" true ",
		"[]",
		"{}",
		"[1,2]",
		"{\"a\":1, \"b\" : [ ] }",
		"-0",
		"0.5e-3",
		"1E+2",
		"\"\\u00e9\\ud83d\\ude00\\n\\/\"",
		"[[[[[[[[]]]]]]]]",
		"18446744073709551615",
		"-9223372036854775808",
		"\"\x7f\"",
	};
	static const struct {
		const char *text;
		uint32_t at;
	} bad[] = {
		{ "", 0 },
		{ "nul", 0 },
		{ "[1,]", 3 },
		{ "[1 2]", 3 },
		{ "{\"a\"}", 4 },
		{ "{\"a\":}", 5 },
		{ "{\"a\":1,}", 7 },
		{ "{a:1}", 1 },
		{ "{1:2}", 1 },
		{ "01", 0 },
		{ "1.", 0 },
		{ ".5", 0 },
		{ "+1", 0 },
		{ "1e", 0 },
		{ "-", 0 },
		{ "NaN", 0 },
		{ "\"a", 0 },
		{ "\"\\x\"", 1 },
		{ "\"\\u12\"", 1 },
		{ "\"\\ud800\"", 1 },
		{ "\"\\udc00\"", 1 },
		{ "\"\\ud800\\u0041\"", 1 },
		{ "\"\t\"", 1 },
		{ "[1]]", 3 },
		{ "1 2", 2 },
		{ "[", 1 },
		{ "[[[[[[[[[]]]]]]]]]", 8 },
		{ "18446744073709551616", 0 },
		{ "-9223372036854775809", 0 },
		{ "1e999", 0 },
		{ "// x", 0 },
		{ "{\"a\":1 \"b\":2}", 7 },
	};
	struct json j;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!parses(good[i], strlen(good[i]), &j))
			fail_msg("%s: %s at %u", good[i], j.error, j.error_at);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(parses(bad[i].text, strlen(bad[i].text), &j));
		if (!j.error || j.error_at != bad[i].at)
			fail_msg("%s: %s at %u", bad[i].text, j.error, j.error_at);
	}
}

static void json_numbers_keep_their_value(void **state)
{
	struct json j;

	(void)state;
	const char *text = "[18446744073709551615, -9223372036854775808, 9223372036854775807, 1.0, 1e2, -0]";
	assert_true(parses(text, strlen(text), &j));
	assert_true(tokens[1].type == JSON_IS_UINT && tokens[1].u == UINT64_MAX);
	assert_true(tokens[2].type == JSON_IS_INT && tokens[2].i == INT64_MIN);
	assert_true(tokens[3].type == JSON_IS_INT && tokens[3].i == INT64_MAX);
	assert_true(tokens[4].type == JSON_IS_DOUBLE && tokens[4].d == 1.0);
	assert_true(tokens[5].type == JSON_IS_DOUBLE && tokens[5].d == 100.0);
	assert_true(tokens[6].type == JSON_IS_INT && tokens[6].i == 0);
}

static void json_values_are_counted_to_their_limit(void **state)
{
	char *text = malloc(2 * JSON_TOKENS_MAX + 16);
	struct json j;

	(void)state;
	for (uint32_t more = 0; more < 2; more++) {
		uint32_t items = JSON_TOKENS_MAX - 1 + more, n = 0;
		text[n++] = '[';
		for (uint32_t i = 0; i < items; i++) {
			text[n++] = '7';
			text[n++] = i + 1 < items ? ',' : ']';
		}
		assert_int_equal(parses(text, n, &j), !more);
	}
	free(text);
}

/* ---- lines into bodies ---- */

static void random_text(uint64_t *seed, char **at)
{
	static const char *const parts[] = { "a", "Zo\\u00eb", "\\\"", "\\\\", "\xc3\xb1", "\\ud83d\\ude00",
					     " ", "xyz",       "\\n" };

	*at += sprintf(*at, "\"");
	for (uint32_t n = draw_below(seed, 6); n > 0; n--)
		*at += sprintf(*at, "%s", parts[draw_below(seed, 9)]);
	*at += sprintf(*at, "\"");
}

static void random_value(uint64_t *seed, char **at, int depth)
{
	static const char *const words[] = { "true",  "false",	    "null", "0",       "-1", "128",
					     "65536", "4294967296", "1.5",  "-2.25e3", "0.1" };
	uint32_t kind = draw_below(seed, depth > 0 ? 5 : 3), n = draw_below(seed, 4);

	if (kind < 2) {
		*at += sprintf(*at, "%s", words[draw_below(seed, 11)]);
	} else if (kind == 2) {
		random_text(seed, at);
	} else {
		*at += sprintf(*at, kind == 3 ? "[" : "{");
		for (uint32_t i = 0; i < n; i++) {
			*at += sprintf(*at, "%s", i ? " ," : " ");
			if (kind == 4)
				*at += sprintf(*at, "\"k%u\" : ", i);
			random_value(seed, at, depth - 1);
		}
		*at += sprintf(*at, kind == 3 ? "]" : "}");
	}
}

/* The body of "set" is what jansson makes of the same text. */
static void bodies_are_what_another_library_makes(void **state)
{
	struct import_lines *l = import_lines_new();
	struct import_problem problem;
	struct body body;
	uint64_t seed = 3;
	char line[8192], json[4096], profile[8192];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char *at = json;
		random_value(&seed, &at, 2);
		snprintf(line, sizeof line, " {\"customer\" :%d, \"unset\": [\"x\"], \"set\": %s }", i + 1,
			 json);
		snprintf(profile, sizeof profile, "{\"set\": %s, \"unset\": [\"x\"]}", json);
		body_make(&body, profile);
		if (import_lines_read(l, line, strlen(line), &problem) != 1)
			fail_msg("%s: %u %s", line, problem.column, problem.text);
		const struct import_change *change = import_lines_change(l, 0);
		assert_int_equal(change->kind, FRAME_PROFILE);
		assert_int_equal(change->customer, i + 1);
		if (change->bytes != body.count || memcmp(change->body, body.bytes, body.count) != 0)
			fail_msg("%s", line);
	}
	import_lines_free(l);
}

static void a_line_becomes_its_frames(void **state)
{
	static const char line[] = "{\"customer\": 18446744073709551615, \"subscriptions\": [{\"kind\": "
				   "\"large\"}, {\"kind\": \"other\", \"on\": false}],"
				   "\"set\": {\"age\": 5}, \"as_of\": 7, \"source\": \"crm\"}\r";
	struct import_lines *l = import_lines_new();
	struct import_problem problem;
	struct body body;

	(void)state;
	assert_int_equal(import_lines_read(l, line, strlen(line), &problem), 3);
	body_make(&body, "{\"set\": {\"age\": 5}, \"as_of\": 7, \"source\": \"crm\"}");
	assert_true(import_lines_change(l, 0)->kind == FRAME_PROFILE &&
		    import_lines_change(l, 0)->customer == UINT64_MAX);
	assert_memory_equal(import_lines_change(l, 0)->body, body.bytes, body.count);
	body_make(&body, "{\"kind\": \"other\", \"on\": false}");
	assert_true(import_lines_change(l, 2)->kind == FRAME_SUBSCRIBE &&
		    import_lines_change(l, 2)->bytes == body.count);
	assert_memory_equal(import_lines_change(l, 2)->body, body.bytes, body.count);
	/* subscriptions alone do not make a record; a customer alone does */
	assert_int_equal(import_lines_read(l, "{\"customer\": 1, \"subscriptions\": [{\"kind\": \"x\"}]}", 49,
					   &problem),
			 1);
	assert_int_equal(import_lines_change(l, 0)->kind, FRAME_SUBSCRIBE);
	assert_int_equal(import_lines_read(l, "{\"customer\": 1}", 15, &problem), 1);
	assert_int_equal(import_lines_change(l, 0)->kind, FRAME_PROFILE);
	assert_int_equal(import_lines_read(l, "{\"account\": 4}", 14, &problem), 1);
	assert_true(import_lines_change(l, 0)->account == 4 && import_lines_change(l, 0)->customer == 0);
	assert_int_equal(import_lines_read(l, "", 0, &problem), 0);
	assert_int_equal(import_lines_read(l, " \t\r", 3, &problem), 0);
	import_lines_free(l);
}

static void lines_have_their_limits(void **state)
{
	struct import_lines *l = import_lines_new();
	struct import_problem problem;
	char *line = malloc(IMPORT_LINE_BYTES_MAX + 100);
	int n;

	(void)state;
	for (int more = 0; more < 2; more++) { /* changes of a line */
		n = sprintf(line, "{\"customer\": 1, \"subscriptions\": [");
		for (int i = 0; i < IMPORT_CHANGES_MAX + more; i++)
			n += sprintf(line + n, "%s{\"kind\": \"x\"}", i ? ", " : "");
		n += sprintf(line + n, "]}");
		assert_int_equal(import_lines_read(l, line, (size_t)n, &problem),
				 more ? -1 : IMPORT_CHANGES_MAX);
	}
	for (int more = 0; more < 2; more++) { /* bytes of a body: a frame less its header */
		int bytes = FRAME_BYTES_MAX - FRAME_HEADER_BYTES - 11 + more;
		n = sprintf(line, "{\"customer\": 1, \"set\": {\"a\": \"");
		memset(line + n, 'x', (size_t)bytes);
		n += bytes;
		n += sprintf(line + n, "\"}}");
		assert_int_equal(import_lines_read(l, line, (size_t)n, &problem), more ? -1 : 1);
		if (!more)
			assert_int_equal(import_lines_change(l, 0)->bytes,
					 FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
	}
	memset(line, ' ', IMPORT_LINE_BYTES_MAX + 1);
	line[0] = '5';
	assert_int_equal(import_lines_read(l, line, IMPORT_LINE_BYTES_MAX + 1, &problem), -1);
	assert_non_null(strstr(problem.text, "at most 1048576"));
	/* short text that packs longest */
	n = sprintf(line, "{\"customer\": 1, \"set\": [");
	while (n < 200000)
		n += sprintf(line + n, "1e1,");
	n += sprintf(line + n, "1]}");
	assert_int_equal(import_lines_read(l, line, (size_t)n, &problem), -1);
	assert_non_null(strstr(problem.text, "bytes of values"));
	free(line);
	import_lines_free(l);
}

static void a_line_cut_anywhere_is_bad(void **state)
{
	static const char line[] = "{\"customer\": 7, \"set\": {\"language\": \"Zo\\u00eb\", \"score\": "
				   "-1.5e3}, \"subscriptions\": [{\"kind\": \"large\", \"on\": true}]}";
	struct import_lines *l = import_lines_new();
	struct import_problem problem;

	(void)state;
	assert_int_equal(import_lines_read(l, line, strlen(line), &problem), 2);
	for (size_t n = 1; n < strlen(line); n++) {
		char *cut = malloc(n); /* so that a sanitizer sees a read behind it */
		memcpy(cut, line, n);
		assert_int_equal(import_lines_read(l, cut, n, &problem), -1);
		assert_true(problem.column >= 1 && problem.column <= n + 1);
		free(cut);
	}
	import_lines_free(l);
}

/* ---- into a store ---- */

struct run {
	struct fake *fake;
	char *dir;
	struct store *s;
	struct import_result result;
	char *report;
	size_t report_bytes;
	int rc;
};

static void run_open(struct run *r)
{
	*r = (struct run){ .fake = fake_bank(), .dir = directory_new() };
	r->s = store_at(r->dir);
	store_activate_good(r->s, &r->fake->c);
}

static void run_reopen(struct run *r)
{
	store_close(r->s);
	r->s = store_at(r->dir);
	store_activate_good(r->s, &r->fake->c);
}

static void run_close(struct run *r)
{
	store_close(r->s);
	directory_free(r->dir);
	free(r->fake);
	free(r->report);
}

static void run_lines(struct run *r, bool skip_bad, const char *const *lines, size_t count)
{
	FILE *report = open_memstream(&r->report, &r->report_bytes);
	struct import_options o = { .file = "f.ndjson", .skip_bad = skip_bad, .report = report };
	struct import *i;

	free(r->report);
	assert_int_equal(import_begin(&i, r->s, &r->fake->c, &o), 0);
	r->rc = 0;
	for (size_t k = 0; k < count && r->rc == 0; k++)
		r->rc = import_line(i, lines[k], strlen(lines[k]));
	if (r->rc)
		import_fail(i);
	int rc = import_end(i, &r->result);
	if (!r->rc)
		r->rc = rc;
	fclose(report);
	run_reopen(r);
}
#define RUN_LINES(r, skip_bad, lines) run_lines(r, skip_bad, lines, sizeof lines / sizeof lines[0])

static bool is_empty(struct run *r)
{
	struct store_sizes sizes;

	store_sizes(r->s, &sizes);
	return sizes.customers == 0 && sizes.accounts == 0 && sizes.subscriptions == 0;
}

static void an_import_is_the_frames_of_its_lines(void **state)
{
	static const char *const lines[] = {
		("{\"customer\": 2, \"set\": {\"language\": \"en\", \"limit\": \"5 EUR\", \"age\": 40}, "
		 "\"subscriptions\": [{\"kind\": \"large\", \"params\": {\"threshold\": \"7 USD\"}}, "
		 "{\"kind\": \"other\", \"id\": \"x\", \"on\": false, \"channels\": [\"sms\"], \"accounts\": "
		 "[9]}]}"),
		"",
		("{\"account\": 9, \"set\": {\"holders\": [{\"customer\": 2, \"role\": \"owner\"}], "
		 "\"currency\": \"EUR\"}}"),
		"{\"customer\": 1, \"subscriptions\": [{\"kind\": \"large\"}]}",
		"{\"customer\": 2, \"unset\": [\"age\"]}",
	};
	struct run a, b;

	(void)state;
	run_open(&a);
	RUN_LINES(&a, false, lines);
	assert_int_equal(a.rc, 0);
	assert_true(a.result.committed && a.result.rows == 4 && a.result.lines == 5 &&
		    a.result.customers == 3 && a.result.accounts == 1 && a.result.subscriptions == 3 &&
		    a.result.bad == 0);
	run_open(&b);
	const struct catalogue *c = &b.fake->c;
	profile_json(b.s, c, 2, "{\"set\": {\"language\": \"en\", \"limit\": \"5 EUR\"}}");
	subscribe_json(b.s, c, 2, "{\"kind\": \"large\", \"params\": {\"threshold\": \"7 USD\"}}");
	subscribe_json(b.s, c, 2,
		       "{\"kind\": \"other\", \"id\": \"x\", \"on\": false, \"channels\": [\"sms\"], "
		       "\"accounts\": [9]}");
	account_json(
		b.s, c, 9,
		"{\"set\": {\"holders\": [{\"customer\": 2, \"role\": \"owner\"}], \"currency\": \"EUR\"}}");
	subscribe_json(b.s, c, 1, "{\"kind\": \"large\"}");
	struct hash128 x = store_digest(a.s, c), y = store_digest(b.s, c);
	assert_true(x.low == y.low && x.high == y.high);
	run_close(&a);
	run_close(&b);
}

static void bad_rows_are_reported_by_line_and_column(void **state)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{ "{\"customer\": 1, \"set\": {\"age\": \"x\"}}",
		  "f.ndjson:1:32: set.age: found string, expected int\n" },
		{ "{\"customer\": 1, \"set\": {\"shoe\": 1}}",
		  "f.ndjson:1:25: set: the catalogue has no profile attribute 'shoe'\n" },
		{ "{\"customer\": 1, \"set\": {\"language\": \"\xc3\xb1\xc3\xb1\", \"vip\": 3}}",
		  "f.ndjson:1:50: set.vip: found int, expected bool\n" },
		{ "{\"customer\": 1, \"subscriptions\": [{\"kind\": \"large\"}, {\"kind\": \"other\", "
		  "\"params\": {\"count\": 99}}]}",
		  "f.ndjson:1:92: params.count: outside" },
		{ "{\"customer\": 1, \"subscriptions\": [{\"kind\": \"large\", \"frequency\": \"daily\"}]}",
		  "f.ndjson:1:66: frequency: not yet" },
		{ "{\"customer\": 1, \"subscriptions\": [{\"knd\": \"large\"}]}",
		  "f.ndjson:1:36: found an unknown key, expected id, kind" },
		{ "{\"customer\": 1, \"subscriptions\": {}}",
		  "f.ndjson:1:34: expected a list of subscriptions" },
		{ "{\"customer\": 1, \"subscriptions\": [5]}", "f.ndjson:1:35: expected a subscription" },
		{ "{\"account\": 1, \"subscriptions\": []}",
		  "f.ndjson:1:33: found subscriptions of an account" },
		{ "{\"account\": 1, \"customer\": 1}", "f.ndjson:1:1: expected either customer or account" },
		{ "{\"set\": {}}", "f.ndjson:1:1: expected either customer or account" },
		{ "{\"customer\": 0}",
		  "f.ndjson:1:14: expected the number of a customer or account, above 0" },
		{ "{\"customer\": -5}", "f.ndjson:1:14: expected the number" },
		{ "{\"customer\": \"5\"}", "f.ndjson:1:14: expected the number" },
		{ "{\"customer\": 5.0}", "f.ndjson:1:14: expected the number" },
		{ "{\"customer\": 18446744073709551616}", "f.ndjson:1:14: found an int beyond 64 bits" },
		{ "{\"customer\": 1, \"customer\": 2}", "f.ndjson:1:17: found a key that occurs twice" },
		{ "{\"customer\": 1, \"colour\": 2}", "f.ndjson:1:17: found an unknown key" },
		{ "{\"customer\": 1, \"set\": {\"age\": 1, \"age\": 2}}",
		  "f.ndjson:1:35: found a key that occurs twice" },
		{ "{\"customer\": 1, \"set\": {\"language\": \"\xff\"}}",
		  "f.ndjson:1:37: found a string that is not UTF-8" },
		{ "{\"customer\": 1, \"set\": {\"age\": [[[[1]]]]}}", "found nested deeper than 4" },
		{ "[1]", "f.ndjson:1:1: expected a map" },
		{ "customer,age", "f.ndjson:1:1: found something that is no JSON value" },
		{ "{\"customer\": 1,}", "f.ndjson:1:16: expected a value behind the comma" },
		{ "{\"account\": 1, \"set\": {\"holders\": [{\"customer\": 1, \"role\": \"king\"}]}}",
		  "f.ndjson:1:60: set.holders: found another role" },
	};
	struct run r;

	(void)state;
	run_open(&r);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		run_lines(&r, false, &rows[i].line, 1);
		if (r.rc || r.result.bad != 1 || r.result.committed || !strstr(r.report, rows[i].why))
			fail_msg("%s\nsaid %s\nnot  %s", rows[i].line, r.report, rows[i].why);
		assert_true(is_empty(&r));
	}
	run_close(&r);
}

static const char *const mixed[] = {
	"{\"customer\": 1, \"set\": {\"age\": 1}}",
	("{\"customer\": 2, \"set\": {\"age\": 2}, \"subscriptions\": [{\"kind\": \"large\"}, {\"kind\": "
	 "\"nothing\"}]}"),
	"{\"customer\": 1, \"set\": {\"age\": 5}, \"subscriptions\": [{\"kind\": \"nothing\"}]}",
	"broken",
	"{\"customer\": 3, \"set\": {\"age\": 3}}",
};

static void one_bad_row_and_nothing_is_imported(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	RUN_LINES(&r, false, mixed);
	assert_true(r.rc == 0 && !r.result.committed && r.result.bad == 3 && is_empty(&r));
	assert_string_equal(r.report, "f.ndjson:2:82: kind: the catalogue has no subscription 'nothing'\n"
				      "f.ndjson:3:63: kind: the catalogue has no subscription 'nothing'\n"
				      "f.ndjson:4:1: found something that is no JSON value\n");
	run_close(&r);
}

static void skip_bad_leaves_out_whole_rows(void **state)
{
	struct value v[8];
	struct run r;

	(void)state;
	run_open(&r);
	RUN_LINES(&r, true, mixed);
	assert_true(r.rc == 0 && r.result.committed && r.result.bad == 3 && r.result.rows == 2);
	assert_null(store_customer(r.s, 2)); /* its profile was good */
	row_profile(r.s, &r.fake->c, store_customer(r.s, 1), v);
	assert_int_equal(v[1].i, 1);
	assert_non_null(store_customer(r.s, 3));
	run_close(&r);
}

static void twenty_bad_rows_are_listed_and_all_are_counted(void **state)
{
	const char *lines[25];
	struct run r;
	int listed = 0;

	(void)state;
	for (int i = 0; i < 25; i++)
		lines[i] = "x";
	run_open(&r);
	RUN_LINES(&r, true, lines);
	for (const char *at = r.report; (at = strchr(at, '\n')); at++)
		listed++;
	assert_true(listed == IMPORT_REPORT_MAX && r.result.bad == 25);
	run_close(&r);
}

/* More than the overlay holds: several cuts, one transaction. */
static void an_import_larger_than_the_overlay_is_one_transaction(void **state)
{
	struct store_sizes sizes;
	struct run r;
	char line[1400], text[1025];

	(void)state;
	run_open(&r);
	memset(text, 'x', 1024);
	text[1024] = 0;
	for (int good = 0; good < 2; good++) {
		struct import_options o = { .file = "f" };
		struct import *i;
		store_close(r.s);
		r.s = store_at_with(r.dir, (struct store_options){ .overlay_bytes = OVERLAY_BYTES_MIN });
		store_activate_good(r.s, &r.fake->c);
		assert_int_equal(import_begin(&i, r.s, &r.fake->c, &o), 0);
		for (uint64_t k = 0; k < 30000; k++) {
			int n = snprintf(line, sizeof line,
					 "{\"customer\": %llu, \"set\": {\"language\": \"%s\"}}",
					 (unsigned long long)(k * 7919 % 30000 + 1), text);
			assert_int_equal(import_line(i, line, (size_t)n), 0);
		}
		if (!good)
			assert_int_equal(import_line(i, "x", 1), 0);
		assert_int_equal(import_end(i, &r.result), 0);
		assert_int_equal(r.result.committed, good);
		run_reopen(&r);
		store_sizes(r.s, &sizes);
		assert_int_equal(sizes.customers, good ? 30000 : 0);
		assert_int_equal(store_customer(r.s, 30000) != NULL, good);
	}
	run_close(&r);
}

static void a_full_disk_imports_nothing(void **state)
{
	struct run r;
	char line[1400], text[1025];
	struct import_options o = { .file = "f", .skip_bad = true };
	struct import *i;

	(void)state;
	run_open(&r);
	memset(text, 'x', 1024);
	text[1024] = 0;
	store_close(r.s);
	r.s = store_at_with(r.dir, (struct store_options){ .map_bytes = 1 << 20 });
	store_activate_good(r.s, &r.fake->c);
	assert_int_equal(import_begin(&i, r.s, &r.fake->c, &o), 0);
	for (int k = 1; k < 3000; k++) {
		int n = snprintf(line, sizeof line, "{\"customer\": %d, \"set\": {\"language\": \"%s\"}}", k,
				 text);
		assert_int_equal(import_line(i, line, (size_t)n), 0);
	}
	assert_int_equal(import_end(i, &r.result), -ENOSPC);
	assert_false(r.result.committed);
	run_reopen(&r);
	assert_true(is_empty(&r));
	run_close(&r);
}

static void the_catalogue_is_kept_once(void **state)
{
	static const char *const lines[] = { "{\"customer\": 1}" };
	struct run r;
	uint32_t bytes = 0;

	(void)state;
	run_open(&r);
	RUN_LINES(&r, false, lines); /* a catalogue without a blob: nothing to keep */
	assert_null(store_value(r.s, RECORD_META, "catalogue", 9, &bytes));
	r.fake->c.blob = "first";
	r.fake->c.blob_bytes = 5;
	RUN_LINES(&r, false, lines);
	assert_memory_equal(store_value(r.s, RECORD_META, "catalogue", 9, &bytes), "first", 5);
	r.fake->c.blob = "second";
	r.fake->c.blob_bytes = 6;
	RUN_LINES(&r, false, lines);
	assert_memory_equal(store_value(r.s, RECORD_META, "catalogue", 9, &bytes), "first", 5);
	run_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_strict),
		cmocka_unit_test(json_numbers_keep_their_value),
		cmocka_unit_test(json_values_are_counted_to_their_limit),
		cmocka_unit_test(bodies_are_what_another_library_makes),
		cmocka_unit_test(a_line_becomes_its_frames),
		cmocka_unit_test(lines_have_their_limits),
		cmocka_unit_test(a_line_cut_anywhere_is_bad),
		cmocka_unit_test(an_import_is_the_frames_of_its_lines),
		cmocka_unit_test(bad_rows_are_reported_by_line_and_column),
		cmocka_unit_test(one_bad_row_and_nothing_is_imported),
		cmocka_unit_test(skip_bad_leaves_out_whole_rows),
		cmocka_unit_test(twenty_bad_rows_are_listed_and_all_are_counted),
		cmocka_unit_test(an_import_larger_than_the_overlay_is_one_transaction),
		cmocka_unit_test(a_full_disk_imports_nothing),
		cmocka_unit_test(the_catalogue_is_kept_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
