// needs: user/base/bytes.c user/base/frame.c user/base/money.c user/cli/feed.c user/cli/client.c user/cli/input.c user/cli/synth.c user/cli/synth_spec.c user/cli/world.c user/cli/textfile.c user/cli/ndjson.c user/cli/datafile.c user/base/histogram.c user/cli/resend.c
/*
 * test_feed.c: `moment feed` against a scripted engine: everything arrives once and in order, whatever is
 * cut, forgotten or refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/cli.h"
#include "cli/resend.h"
#include "fake_engine.h"

static char scratch[64]; /* a directory of this run */

/* Runs cli_feed with what it prints on standard output parsed as JSON. */
static int feed(json_t **report, const char *const *args)
{
	char *argv[32], path[128], *end;
	int argc = 0, code, saved = dup(1);
	FILE *out;
	char text[4096];
	size_t n;

	argv[argc++] = strdup("feed");
	while (*args)
		argv[argc++] = strdup(*args++);
	argv[argc] = NULL;
	snprintf(path, sizeof(path), "%s/stdout", scratch);
	fflush(stdout);
	assert_non_null(freopen(path, "w", stdout));
	code = cli_feed(argc, argv);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	out = fopen(path, "r");
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = 0;
	fclose(out);
	end = strrchr(text, '{');
	while (end && end > text && end[-1] != '\n')
		end--;
	if (report)
		*report = end ? json_loads(end, 0, NULL) : NULL;
	while (argc > 0)
		free(argv[--argc]);
	return code;
}

static int64_t number(const json_t *report, const char *name)
{
	return json_integer_value(json_object_get(report, name));
}

#define SYNTH "demo:customers=500,events=20000"

static uint64_t hash_of_undisturbed(void)
{
	struct fake f = { 0 };
	const char *args[] = { "--to", NULL, "--synthetic", SYNTH, "--json", NULL };

	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(NULL, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(f.taken, 20000);
	assert_int_equal(f.wrong, 0);
	return f.hash;
}

static void everything_arrives_in_order_and_is_acknowledged(void **state)
{
	struct fake f = { .verdicts = true };
	const char *args[] = { "--to", NULL, "--synthetic", SYNTH, "--json", NULL };
	json_t *report, *verdicts;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(&report, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(number(report, "sent"), 20000);
	assert_int_equal(number(report, "acknowledged"), 20000);
	assert_int_equal(number(report, "resumed"), 0);
	verdicts = json_object_get(report, "verdicts");
	assert_true(number(verdicts, "approve") > 10 && number(verdicts, "review") > 10 &&
		    number(verdicts, "decline") > 10);
	assert_true(number(json_object_get(report, "latency_ns"), "p50") > 0);
	assert_true(json_is_null(json_object_get(report, "error")));
	assert_int_equal(f.taken, 20000);
	assert_int_equal(f.wrong, 0);
	assert_int_equal(f.hello_first, 1);
	json_decref(report);
}

static void a_lost_connection_is_resumed_without_loss(void **state)
{
	/* taken but not acknowledged; taken and lost again; both */
	static const struct {
		uint64_t unacked, forget;
	} rows[] = { { 0, 0 }, { 900, 0 }, { 900, 300 }, { 900, 900 } };
	uint64_t hash = hash_of_undisturbed();

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		struct fake f = { .drop_after = { 2500, 7001, 13000 },
				  .unacked_on_drop = rows[k].unacked,
				  .forget_on_drop = rows[k].forget };
		const char *args[] = { "--to", NULL, "--synthetic", SYNTH, "--json", NULL };
		json_t *report;

		fake_start(&f);
		args[1] = f.address;
		assert_int_equal(feed(&report, args), CLI_OK);
		fake_stop(&f);
		assert_int_equal(f.connections, 4);
		assert_int_equal(f.wrong, 0);
		assert_int_equal(f.expected, 20001);
		assert_int_equal(number(report, "acknowledged"), 20000);
		assert_int_equal(number(report, "resumed"), 3);
		if (rows[k].forget == 0)
			assert_true(f.hash == hash);
		else
			assert_true(number(report, "resent") >= 3);
		json_decref(report);
	}
}

static void the_window_in_events_is_honoured(void **state)
{
	struct fake f = { .window_events = 100, .quiet_ms = 30 };
	const char *args[] = { "--to", NULL, "--synthetic", SYNTH, "--count", "1000", "--json", NULL };

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(NULL, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(f.in_flight_most, 100);
	assert_int_equal(f.taken, 1000);
}

static void the_window_in_bytes_counts_frames_rounded_up_to_64(void **state)
{
	char path[128];
	FILE *file;
	struct fake f = { .window_bytes = 128 << 10, .quiet_ms = 30 };
	const char *args[] = { "--to", NULL, path, "--json", NULL };

	(void)state;
	snprintf(path, sizeof(path), "%s/window.ndjson", scratch);
	file = fopen(path, "w");
	for (int i = 0; i < 3000; i++) /* 64 bytes and a body of one: 65, so each counts 128 */
		fprintf(file, "{\"type\": 40, \"customer\": 1, \"time\": %d}\n", i + 1);
	fclose(file);
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(NULL, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(f.in_flight_most, 1024);
	assert_int_equal(f.taken, 3000);
}

static void an_own_window_narrows_the_engines(void **state)
{
	struct fake f = { .quiet_ms = 20 };
	const char *args[] = { "--to", NULL,	   "--synthetic", SYNTH,    "--count",
			       "70",   "--window", "7",		  "--json", NULL };

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(NULL, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(f.in_flight_most, 7);
}

static void a_refusal_ends_with_1_and_its_code(void **state)
{
	struct fake f = { .refuse = "LOST" };
	const char *args[] = { "--to", NULL, "--synthetic", SYNTH, "--json", NULL };
	json_t *report;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(&report, args), CLI_FAILED);
	fake_stop(&f);
	assert_string_equal(json_string_value(json_object_get(report, "error")), "LOST");
	json_decref(report);
}

static void an_ack_for_what_was_never_sent_is_refused(void **state)
{
	struct fake f = { .ack_too_much = true, .quiet_ms = 20 };
	const char *args[] = { "--to", NULL, "--synthetic", SYNTH, "--count", "3", "--json", NULL };
	json_t *report;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(&report, args), CLI_FAILED);
	fake_stop(&f);
	assert_string_equal(json_string_value(json_object_get(report, "error")), "PROTOCOL");
	json_decref(report);
}

static void nobody_there_ends_with_3(void **state)
{
	const char *args[] = {
		"--to", "127.0.0.1:1", "--synthetic", SYNTH, "--patience", "0", "--json", NULL
	};
	json_t *report;

	(void)state;
	assert_int_equal(feed(&report, args), CLI_NO_CONNECTION);
	assert_int_equal(number(report, "sent"), 0);
	json_decref(report);
}

static void wrong_usage_ends_with_2(void **state)
{
	static const char *const rows[][6] = {
		{ NULL },
		{ "--synthetic", "demo", "alsoafile", NULL },
		{ "--synthetic", "nonsense", NULL },
		{ "--synthetic", "demo:customers=3", NULL },
		{ "--synthetic", "demo", "--rate", "x", NULL },
		{ "--synthetic", "demo", "--stream", "abc", NULL },
		{ "--synthetic", "demo", "--to", "nowhere", NULL },
		{ "--synthetic", "demo", "--times=later", NULL },
		{ "--synthetic", "demo", "--name", "", NULL },
		{ "--unknown", NULL },
		{ "/does/not/exist", NULL },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
		assert_int_equal(feed(NULL, rows[k]), CLI_USAGE);
}

static void a_wrong_line_ends_with_2_after_what_was_before_it(void **state)
{
	char path[128];
	FILE *file;
	struct fake f = { 0 };
	const char *args[] = { "--to", NULL, path, "--json", NULL };
	json_t *report;

	(void)state;
	snprintf(path, sizeof(path), "%s/wrong.ndjson", scratch);
	file = fopen(path, "w");
	fprintf(file, "{\"type\": 1, \"time\": 5}\n{\"type\": 1, \"time\": 6}\n{\"type\": 1, \"time\": 0}\n");
	fclose(file);
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(&report, args), CLI_USAGE);
	fake_stop(&f);
	assert_int_equal(f.taken, 2);
	assert_int_equal(number(report, "acknowledged"), 2);
	json_decref(report);
}

static void a_new_process_goes_on_from_the_resume_state(void **state)
{
	char path[128];
	uint64_t hash = hash_of_undisturbed();
	struct fake f = { 0 };
	const char *first[] = { "--to", NULL,	   "--synthetic", SYNTH,    "--resume-state",
				path,	"--count", "7000",	  "--json", NULL };
	const char *rest[] = { "--to", NULL, "--synthetic", SYNTH, "--resume-state", path, "--json", NULL };
	json_t *report;

	(void)state;
	snprintf(path, sizeof(path), "%s/resume", scratch);
	unlink(path);
	fake_start(&f);
	first[1] = rest[1] = f.address;
	assert_int_equal(feed(NULL, first), CLI_OK);
	assert_int_equal(f.taken, 7000);
	assert_int_equal(feed(&report, rest), CLI_OK);
	fake_stop(&f);
	assert_int_equal(f.hello_sequence, 7000);
	assert_int_equal(f.hello_first, 7001);
	assert_int_equal(number(report, "sent"), 13000);
	assert_int_equal(f.taken, 20000);
	assert_int_equal(f.wrong, 0);
	assert_true(f.hash == hash);
	json_decref(report);
}

static void what_the_engine_has_already_is_kept_but_not_sent_again(void **state)
{
	char path[128];
	FILE *file;
	struct fake f = { .expect_first = 501 };
	const char *args[] = { "--to", NULL,	  "--synthetic", SYNTH,	   "--resume-state",
			       path,   "--count", "900",	 "--json", NULL };
	json_t *report;

	(void)state;
	snprintf(path, sizeof(path), "%s/behind", scratch);
	file = fopen(path, "w");
	fprintf(file, "00112233445566778899aabbccddeeff 100\n");
	fclose(file);
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(&report, args), CLI_OK);
	fake_stop(&f);
	assert_int_equal(f.hello_first, 101);
	assert_int_equal(f.taken, 500); /* 501 to 1000 */
	assert_int_equal(f.wrong, 0);
	assert_int_equal(number(report, "acknowledged"), 900);
	json_decref(report);
}

static void a_recording_sends_the_same_bytes_again(void **state)
{
	char path[128];
	struct fake f = { 0 }, g = { 0 };
	const char *record[] = { "--to", NULL,	     "--synthetic", SYNTH,    "--count",
				 "5000", "--record", path,	    "--json", NULL };
	const char *again[] = { "--to", NULL, path, "--json", NULL };

	(void)state;
	snprintf(path, sizeof(path), "%s/recording", scratch);
	fake_start(&f);
	record[1] = f.address;
	assert_int_equal(feed(NULL, record), CLI_OK);
	fake_stop(&f);
	fake_start(&g);
	again[1] = g.address;
	assert_int_equal(feed(NULL, again), CLI_OK);
	fake_stop(&g);
	assert_int_equal(g.taken, 5000);
	assert_true(f.hash == g.hash);
}

static void a_rate_is_kept_from_the_intended_times(void **state)
{
	struct fake f = { 0 };
	const char *args[] = { "--to",	 NULL,	 "--synthetic", SYNTH,	  "--count", "400",
			       "--rate", "2000", "--times=now", "--json", NULL };
	json_t *report;
	struct timespec t;
	double seconds;

	(void)state;
	fake_start(&f);
	args[1] = f.address;
	assert_int_equal(feed(&report, args), CLI_OK);
	fake_stop(&f);
	seconds = json_number_value(json_object_get(report, "seconds"));
	assert_true(seconds > 0.19 && seconds < 2.0);
	clock_gettime(CLOCK_REALTIME, &t);
	assert_true(f.last.time / 1000000000 >= t.tv_sec - 60 && f.last.time / 1000000000 <= t.tv_sec + 1);
	json_decref(report);
}

static void positions_survive_the_rings_wrap(void **state)
{
	struct resend r;
	const uint8_t *bytes;
	uint64_t sequence = 0;

	(void)state;
	assert_int_equal(resend_init(&r, 0), 0);
	assert_true(resend_restart(&r, 1, 1 << 20, 64 << 20));
	for (unsigned round = 0; round < 200; round++) { /* 200 x 8 x 40 KB: four times round */
		for (unsigned i = 0; i < 8; i++) {
			uint8_t *room = resend_room(&r);

			assert_non_null(room);
			memset(room, (int)(sequence & 255), 40001);
			resend_add(&r, 40001, 1);
			sequence++;
		}
		resend_allow(&r);
		for (size_t len, seen = 8 * 40001; seen > 0; seen -= len) {
			uint64_t frame = r.at_sent / 40001;

			len = resend_pending(&r, &bytes);
			assert_true(len > 0);
			len = len < 40001 - r.at_sent % 40001 ? len : 40001 - r.at_sent % 40001;
			assert_int_equal(bytes[0], frame & 255);
			assert_int_equal(bytes[len - 1], frame & 255);
			resend_sent(&r, len);
		}
		assert_true(resend_acknowledge(&r, sequence));
		resend_forget(&r, resend_forgettable(&r));
		assert_int_equal(r.flight, 0);
	}
	assert_false(resend_acknowledge(&r, sequence + 1));
	assert_false(resend_restart(&r, sequence, 1, 1));
	resend_deinit(&r);
}

static void a_full_log_says_so(void **state)
{
	struct resend r;
	unsigned made = 0;

	(void)state;
	assert_int_equal(resend_init(&r, 41), 0);
	assert_true(resend_restart(&r, 42, 10, 1 << 20));
	while (resend_room(&r) && made < 1000000) {
		memset(resend_room(&r), 0, 100);
		resend_add(&r, 100, 1);
		made++;
	}
	assert_true(made > 100000 && made < 1000000);
	assert_false(resend_allow(&r));
	assert_int_equal(r.allowed, 51);
	assert_int_equal(r.flight, 1280);
	resend_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_arrives_in_order_and_is_acknowledged),
		cmocka_unit_test(a_lost_connection_is_resumed_without_loss),
		cmocka_unit_test(the_window_in_events_is_honoured),
		cmocka_unit_test(the_window_in_bytes_counts_frames_rounded_up_to_64),
		cmocka_unit_test(an_own_window_narrows_the_engines),
		cmocka_unit_test(a_refusal_ends_with_1_and_its_code),
		cmocka_unit_test(an_ack_for_what_was_never_sent_is_refused),
		cmocka_unit_test(nobody_there_ends_with_3),
		cmocka_unit_test(wrong_usage_ends_with_2),
		cmocka_unit_test(a_wrong_line_ends_with_2_after_what_was_before_it),
		cmocka_unit_test(a_new_process_goes_on_from_the_resume_state),
		cmocka_unit_test(what_the_engine_has_already_is_kept_but_not_sent_again),
		cmocka_unit_test(a_recording_sends_the_same_bytes_again),
		cmocka_unit_test(a_rate_is_kept_from_the_intended_times),
		cmocka_unit_test(positions_survive_the_rings_wrap),
		cmocka_unit_test(a_full_log_says_so),
	};

	char remove[128];
	int failed;

	snprintf(scratch, sizeof(scratch), "/tmp/test_feed.XXXXXX");
	if (!mkdtemp(scratch))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(remove, sizeof(remove), "rm -r %s", scratch);
	return system(remove) == 0 ? failed : 1;
}
