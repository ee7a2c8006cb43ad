// needs: user/base/bytes.c user/base/frame.c user/base/money.c user/cli/sink.c user/cli/client.c user/cli/idset.c user/cli/ndjson.c user/base/histogram.c
/*
 * test_sink.c: `moment sink` against a scripted engine: each message is printed once, accepted after that,
 * and known again after a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>

#include "cli/cli.h"
#include "cli/idset.h"
#include "fake_engine.h"
#include <base/histogram.h>

static char scratch[64];

static char *slurp(const char *name)
{
	char path[128], *text = calloc(1, 4 << 20);
	FILE *in;

	assert_non_null(text);
	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	in = fopen(path, "r");
	if (in) {
		text[fread(text, 1, (4 << 20) - 1, in)] = 0;
		fclose(in);
	}
	return text;
}

/* Runs cli_sink; *out is what it printed, *summary the JSON of its last line on standard error. */
static int sink(char **out, json_t **summary, const char *const *args)
{
	char *argv[32], path[128], *errors, *last;
	int argc = 0, code, saved_out = dup(1), saved_err = dup(2);

	argv[argc++] = strdup("sink");
	while (*args)
		argv[argc++] = strdup(*args++);
	argv[argc] = NULL;
	fflush(stdout);
	snprintf(path, sizeof(path), "%s/out", scratch);
	assert_non_null(freopen(path, "w", stdout));
	snprintf(path, sizeof(path), "%s/err", scratch);
	assert_non_null(freopen(path, "w", stderr));
	code = cli_sink(argc, argv);
	fflush(stdout);
	fflush(stderr);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(saved_out);
	close(saved_err);
	errors = slurp("err");
	last = strrchr(errors, '{');
	while (last && last > errors && last[-1] != '\n')
		last--;
	if (summary)
		*summary = last ? json_loads(last, 0, NULL) : NULL;
	free(errors);
	if (out)
		*out = slurp("out");
	while (argc > 0)
		free(argv[--argc]);
	return code;
}

static int64_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* Each line is a message with the next number as its id, from first to last. */
static void assert_messages(const char *out, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++) {
		const char *end = strchr(out, '\n');
		json_t *line = json_loadb(out, end ? (size_t)(end - out) : 0, 0, NULL);
		char id[40] = "";

		assert_non_null(line);
		for (unsigned k = 0; k < 16; k++)
			sprintf(id + 2 * k, "%02x", k < 8 ? (unsigned)(i >> (8 * k)) & 255 : 0);
		assert_string_equal(json_string_value(json_object_get(json_object_get(line, "body"), "id")),
				    id);
		json_decref(line);
		out = end + 1;
	}
	assert_string_equal(out, "");
}

static void each_message_is_printed_once_and_accepted(void **state)
{
	struct fake f = { .messages = 1000, .ping = true };
	const char *args[] = {
		"--to", NULL, "--json", "--quit-after", "1000", "--receipts", "delivered", NULL
	};
	json_t *summary;
	char *out;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(&out, &summary, args), CLI_OK);
	usleep(50000);
	fake_stop(&f);
	assert_messages(out, 1, 1000);
	assert_int_equal(f.accepted, 1000);
	assert_int_equal(f.pongs, 1);
	assert_int_equal(f.wrong, 0);
	assert_int_equal(number(summary, "messages"), 1000);
	assert_int_equal(number(summary, "repeats"), 0);
	assert_int_equal(number(json_object_get(summary, "by_rule"), "abroad"), 500);
	assert_int_equal(number(json_object_get(summary, "by_channel"), "push"), 1000);
	assert_int_equal(number(json_object_get(summary, "by_category"), "alert"), 1000);
	free(out);
	json_decref(summary);
}

static void no_receipt_is_left_out(void **state)
{
	struct fake f = { .messages = 20000 };
	const char *args[] = { "--to",	NULL,	      "--quiet",   "--json", "--quit-after",
			       "20000", "--receipts", "delivered", NULL };
	json_t *summary;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(NULL, &summary, args), CLI_OK);
	usleep(50000);
	fake_stop(&f);
	assert_int_equal(number(summary, "receipts"), 20000);
	assert_int_equal(f.receipts, 20000);
	assert_int_equal(f.accepted, 20000);
	json_decref(summary);
}

static void a_line_has_the_header_and_the_body(void **state)
{
	struct fake f = { .messages = 1 };
	const char *args[] = { "--to", NULL, "--json", "--quit-after", "1", NULL };
	json_t *line, *body;
	char *out;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(&out, NULL, args), CLI_OK);
	fake_stop(&f);
	line = json_loads(out, 0, NULL);
	assert_non_null(line);
	assert_int_equal(number(line, "type"), 3);
	assert_string_equal(json_string_value(json_object_get(line, "category")), "alert");
	assert_int_equal(number(line, "customer"), 4711);
	assert_int_equal(number(line, "time"), 1772409600000000001);
	assert_int_equal(number(line, "amount"), 12345);
	assert_int_equal(number(line, "currency"), 978);
	body = json_object_get(line, "body");
	assert_string_equal(json_string_value(json_object_get(body, "leg")), "push/1");
	assert_string_equal(json_string_value(json_object_get(body, "text")),
			    "Has gastado 123,45 \xe2\x82\xac en \"Sol\"");
	json_decref(line);
	free(out);
}

static void repeats_after_lost_connections_are_dropped(void **state)
{
	struct fake f = { .messages = 600, .drop_sent = { 200, 350, 500 } };
	const char *args[] = { "--to", NULL, "--json", "--quit-after", "600", NULL };
	json_t *summary;
	char *out;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(&out, &summary, args), CLI_OK);
	fake_stop(&f);
	assert_messages(out, 1, 600);
	assert_int_equal(number(summary, "sessions"), 4);
	assert_int_equal(number(summary, "repeats"),
			 200 + 350 + 500); /* no ACK got through: all came again */
	assert_int_equal(f.hello_session, 3);
	free(out);
	json_decref(summary);
}

static void a_restart_knows_what_it_had(void **state)
{
	struct fake f = { .messages = 300 };
	char path[128];
	const char *args[] = { "--to", NULL, "--json", "--state", path, "--quit-after", "100", NULL };
	char *out;

	(void)state;
	snprintf(path, sizeof(path), "%s/ids", scratch);
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(&out, NULL, args), CLI_OK);
	assert_messages(out, 1, 100);
	free(out);
	f.accepted = 0; /* the engine does not know what was accepted: everything again */
	args[6] = "200";
	assert_int_equal(sink(&out, NULL, args), CLI_OK);
	assert_messages(out, 101, 300);
	fake_stop(&f);
	free(out);
}

static void a_torn_line_of_the_state_is_cut(void **state)
{
	char path[128];
	uint8_t id[16] = { 1 };
	struct idset s;
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/torn", scratch);
	for (unsigned cut = 0; cut < 40; cut++) {
		file = fopen(path, "w");
		fprintf(file, "01000000000000000000000000000000 push/1\n%.*s", (int)cut,
			"02000000000000000000000000000000 push/1");
		fclose(file);
		assert_int_equal(idset_open(&s, path), 0);
		assert_int_equal(s.count, 1);
		assert_int_equal(idset_add(&s, id, "push/1", 6), 0);
		assert_int_equal(idset_add(&s, id, "push/2", 6), 1);
		id[0] = 2;
		assert_int_equal(idset_add(&s, id, "push/1", 6), 1);
		id[0] = 1;
		idset_close(&s);
		assert_int_equal(idset_open(&s, path), 0);
		assert_int_equal(s.count, 3);
		idset_close(&s);
	}
	file = fopen(path, "w");
	fprintf(file, "this is another file\n");
	fclose(file);
	assert_int_equal(idset_open(&s, path), -EINVAL);
}

static void the_set_of_ids_grows(void **state)
{
	struct idset s;

	(void)state;
	assert_int_equal(idset_open(&s, NULL), 0);
	for (uint64_t round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 200000; i++) {
			uint64_t id[2] = { i * 0x9e3779b97f4a7c15ull, i };

			assert_int_equal(idset_add(&s, (uint8_t *)id, "sms/1", 5), round == 0);
		}
	assert_int_equal(s.count, 200000);
	idset_close(&s);
}

static void a_slow_gateway_accepts_later(void **state)
{
	struct fake f = { .messages = 50 };
	const char *args[] = { "--to", NULL, "--json", "--accept-delay", "300", "--quit-after", "50", NULL };
	struct timespec a, b;
	int64_t ms;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(sink(NULL, NULL, args), CLI_OK);
	clock_gettime(CLOCK_MONOTONIC, &b);
	usleep(50000);
	fake_stop(&f);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	assert_true(ms >= 300);
	assert_int_equal(f.accepted, 50);
}

static void it_ends_when_nothing_comes(void **state)
{
	struct fake f = { .messages = 5 };
	const char *args[] = { "--to", NULL, "--json", "--idle-exit", "1", NULL };
	json_t *summary;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(NULL, &summary, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(number(summary, "messages"), 5);
	assert_int_equal(f.accepted, 5);
	json_decref(summary);
}

static void a_message_out_of_sequence_is_refused(void **state)
{
	struct fake f = { .messages = 20, .gap = true };
	const char *args[] = { "--to", NULL, "--json", "--idle-exit", "2", NULL };
	json_t *summary;
	char *out;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(&out, &summary, args), CLI_FAILED);
	fake_stop(&f);
	assert_messages(out, 1, 4);
	assert_string_equal(json_string_value(json_object_get(summary, "error")), "PROTOCOL");
	json_decref(summary);
	free(out);
}

static void a_refusal_ends_with_1(void **state)
{
	struct fake f = { .refuse = "PEERS", .messages = 1 };
	const char *args[] = { "--to", NULL, "--json", NULL };
	json_t *summary;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(sink(NULL, &summary, args), CLI_FAILED);
	fake_stop(&f);
	assert_string_equal(json_string_value(json_object_get(summary, "error")), "PEERS");
	json_decref(summary);
}

static void wrong_usage_ends_with_2_and_nobody_with_3(void **state)
{
	static const char *const rows[][4] = {
		{ "extra", NULL },
		{ "--channels", "push,,sms", NULL },
		{ "--channels", "", NULL },
		{ "--quit-after", "many", NULL },
		{ "--receipts", "read", NULL },
		{ "--state", "/does/not/exist", NULL },
		{ "--to", "nowhere", NULL },
	};
	const char *nobody[] = { "--to", "127.0.0.1:1", "--patience", "0", NULL };

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
		assert_int_equal(sink(NULL, NULL, rows[k]), CLI_USAGE);
	assert_int_equal(sink(NULL, NULL, nobody), CLI_NO_CONNECTION);
}

static void percentiles_are_within_two_in_a_hundred(void **state)
{
	struct histogram *l = calloc(1, sizeof(*l));
	static const unsigned marks[] = { 500, 900, 990, 999, 1000 };

	(void)state;
	assert_non_null(l);
	assert_int_equal(histogram_percentile(l, 0.5), 0);
	for (int64_t i = 1; i <= 100000; i++)
		histogram_add(l, i * 1000);
	for (size_t k = 0; k < sizeof(marks) / sizeof(*marks); k++) {
		double right = marks[k] * 100000.0,
		       found = (double)histogram_percentile(l, marks[k] / 1000.0);

		assert_true(found >= right * 0.999 && found <= right * 1.02);
	}
	histogram_add(l, INT64_MAX);
	histogram_add(l, -5);
	assert_true(histogram_percentile(l, 1.0) == INT64_MAX);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_is_printed_once_and_accepted),
		cmocka_unit_test(no_receipt_is_left_out),
		cmocka_unit_test(a_line_has_the_header_and_the_body),
		cmocka_unit_test(repeats_after_lost_connections_are_dropped),
		cmocka_unit_test(a_restart_knows_what_it_had),
		cmocka_unit_test(a_torn_line_of_the_state_is_cut),
		cmocka_unit_test(the_set_of_ids_grows),
		cmocka_unit_test(a_slow_gateway_accepts_later),
		cmocka_unit_test(it_ends_when_nothing_comes),
		cmocka_unit_test(a_message_out_of_sequence_is_refused),
		cmocka_unit_test(a_refusal_ends_with_1),
		cmocka_unit_test(wrong_usage_ends_with_2_and_nobody_with_3),
		cmocka_unit_test(percentiles_are_within_two_in_a_hundred),
	};

	char remove[128];
	int failed;

	snprintf(scratch, sizeof(scratch), "/tmp/test_sink.XXXXXX");
	if (!mkdtemp(scratch))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(remove, sizeof(remove), "rm -r %s", scratch);
	return system(remove) == 0 ? failed : 1;
}
