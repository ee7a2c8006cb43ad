// needs: user/base/bytes.c user/base/frame.c user/base/money.c user/cli/ndjson.c user/cli/input.c user/cli/synth.c user/cli/synth_spec.c user/cli/world.c user/cli/textfile.c user/cli/datafile.c
/*
 * test_ndjson.c: lines of JSON to frames, bodies back to JSON, and what a wrong line is refused for, with its
 * number in the file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/input.h"
#include "cli/ndjson.h"

static uint8_t frame[FRAME_BYTES_MAX];

static struct frame_header header_of(const char *line)
{
	struct frame_header h;
	char error[200] = "";
	size_t bytes = ndjson_frame(line, strlen(line), frame, error, sizeof(error));

	if (bytes == 0)
		fail_msg("%s: %s", line, error);
	memcpy(&h, frame, sizeof(h));
	assert_int_equal(h.length, bytes);
	return h;
}

static void every_field_has_its_place(void **state)
{
	struct frame_header h = header_of(
		"{\"type\": \"card.purchase\", \"customer\": 7, \"account\": \"18446744073709551615\","
		"\"time\": \"2026-03-02T09:30:00.25Z\", \"amount\": 1250, \"balance\": -5, \"currency\": "
		"\"EUR\","
		"\"country\": \"ES\", \"mcc\": 5411, \"touchpoint\": \"pos\", \"flags\": [\"verdict\", "
		"\"repeat\"]}");

	(void)state;
	assert_int_equal(h.kind, FRAME_EVENT);
	assert_int_equal(h.type, 1);
	assert_int_equal(h.customer, 7);
	assert_true(h.account == UINT64_MAX);
	assert_true(h.time == 1772443800250000000);
	assert_int_equal(h.amount, 1250);
	assert_int_equal(h.balance, -5);
	assert_int_equal(h.currency, 978);
	assert_int_equal(h.country, 724);
	assert_int_equal(h.mcc, 5411);
	assert_int_equal(h.touchpoint, TOUCHPOINT_pos);
	assert_int_equal(h.flags, FRAME_VERDICT_WANTED | FRAME_MAYBE_REPEAT);
	assert_int_equal(h.sequence, 0);
}

static void what_is_not_said_is_no_data(void **state)
{
	struct frame_header h = header_of("{\"time\": 1, \"type\": 65535}");

	(void)state;
	assert_true(h.balance == FRAME_BALANCE_NO_DATA);
	assert_int_equal(h.customer, 0);
	assert_int_equal(h.length, 65);
	h = header_of("{\"time\": 1, \"balance\": null}");
	assert_true(h.balance == FRAME_BALANCE_NO_DATA);
	h = header_of(
		"{\"kind\": \"PROFILE\", \"customer\": 3, \"body\": {\"set\": {\"language\": \"es\"}}}");
	assert_int_equal(h.kind, FRAME_PROFILE);
	assert_int_equal(h.balance, 0);
}

static void a_body_comes_back_as_it_went_in(void **state)
{
	static const char *const bodies[] = {
		"{}",
		"{\"a\": 1, \"b\": -5, \"c\": 9223372036854775807, \"d\": -9223372036854775808}",
		"{\"x\": 1.5, \"y\": 40.416800000000002, \"z\": 2.0, \"big\": 1.0000000000000001e+300}",
		"{\"t\": true, \"f\": false, \"n\": null, \"l\": [1, [2, {}], \"x\"]}",
		"{\"s\": \"\xc3\xa1 \\\" \\\\ \\u0001 /\"}",
		"{\"a\": {\"b\": {\"c\": {\"d\": 1}}}}",
	};

	(void)state;
	for (size_t k = 0; k < sizeof(bodies) / sizeof(*bodies); k++) {
		char line[512], text[512] = "";
		struct frame_header h;
		struct pack_reader r;
		FILE *out = fmemopen(text, sizeof(text), "w");

		snprintf(line, sizeof(line), "{\"time\": 1, \"body\": %s}", bodies[k]);
		h = header_of(line);
		pack_reader_init(&r, frame + 64, h.length - 64);
		ndjson_print_value(&r, out);
		fclose(out);
		assert_null(r.error);
		assert_string_equal(text, bodies[k]);
	}
}

static void bytes_are_printed_as_hex_and_infinity_as_null(void **state)
{
	uint8_t bytes[64];
	char text[64] = "";
	struct pack_writer w;
	struct pack_reader r;
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	pack_writer_init(&w, bytes, sizeof(bytes));
	pack_array(&w, 3);
	pack_binary(&w, "\x00\xff\x1a", 3);
	pack_double(&w, __builtin_inf());
	pack_uint(&w, UINT64_MAX);
	pack_reader_init(&r, bytes, pack_bytes(&w));
	ndjson_print_value(&r, out);
	fclose(out);
	assert_string_equal(text, "[\"00ff1a\", null, 18446744073709551615]");
}

static void a_wrong_line_is_refused_for_its_reason(void **state)
{
	static const struct {
		const char *line, *reason;
	} rows[] = {
		{ "", "no JSON" },
		{ "{", "no JSON" },
		{ "[]", "object" },
		{ "5", "no JSON" },
		{ "{\"time\": 1} x", "no JSON" },
		{ "{\"time\": 1, \"time\": 2}", "no JSON" },
		{ "{\"time\": 1, \"merchant\": \"x\"}", "no field of a frame" },
		{ "{}", "time of an EVENT" },
		{ "{\"time\": 0}", "time of an EVENT" },
		{ "{\"time\": 1.5}", "time must" },
		{ "{\"time\": \"2026-03-02\"}", "time must" },
		{ "{\"time\": \"2026-02-30T00:00:00Z\"}", "time must" },
		{ "{\"time\": \"2026-03-02T09:30:00+01:00\"}", "time must" },
		{ "{\"time\": \"2026-03-02T09:30:00.Z\"}", "time must" },
		{ "{\"time\": \"2026-03-02T09:30:00.1234567890Z\"}", "time must" },
		{ "{\"time\": 1, \"type\": 65536}", "type must" },
		{ "{\"time\": 1, \"type\": -1}", "type must" },
		{ "{\"time\": 1, \"type\": \"card.purchse\"}", "none of the demo bank" },
		{ "{\"time\": 1, \"customer\": -1}", "customer must" },
		{ "{\"time\": 1, \"customer\": \"x\"}", "customer must" },
		{ "{\"time\": 1, \"customer\": \"18446744073709551616\"}", "customer must" },
		{ "{\"time\": 1, \"account\": 1.0}", "account must" },
		{ "{\"time\": 1, \"amount\": 1.5}", "amount must" },
		{ "{\"time\": 1, \"amount\": -1}", "amount must" },
		{ "{\"time\": 1, \"balance\": \"5\"}", "balance must" },
		{ "{\"time\": 1, \"currency\": \"EURO\"}", "currency must" },
		{ "{\"time\": 1, \"country\": \"ZZ\"}", "country must" },
		{ "{\"time\": 1, \"mcc\": 70000}", "mcc must" },
		{ "{\"time\": 1, \"touchpoint\": \"shop\"}", "touchpoint must" },
		{ "{\"time\": 1, \"touchpoint\": 13}", "touchpoint must" },
		{ "{\"time\": 1, \"touchpoint\": 257}", "touchpoint must" },
		{ "{\"time\": 1, \"flags\": 8}", "flag" },
		{ "{\"time\": 1, \"flags\": [\"soon\"]}", "flags" },
		{ "{\"time\": 1, \"kind\": \"HELLO\"}", "kind must" },
		{ "{\"time\": 1, \"body\": []}", "body must" },
		{ "{\"time\": 1, \"body\": {\"a\": {\"b\": {\"c\": {\"d\": {}}}}}}", "nested deeper" },
		{ "{\"kind\": \"SUBSCRIBE\", \"body\": {}}", "needs a customer" },
		{ "{\"kind\": \"PROFILE\"}", "needs a customer or" },
		{ "{\"kind\": \"PROFILE\", \"customer\": 1, \"amount\": 5}", "amount is not used" },
	};
	char error[200];

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		if (ndjson_frame(rows[k].line, strlen(rows[k].line), frame, error, sizeof(error)) != 0)
			fail_msg("accepted: %s", rows[k].line);
		if (!strstr(error, rows[k].reason))
			fail_msg("%s: %s", rows[k].line, error);
	}
}

static void a_body_that_fills_a_frame_is_the_longest(void **state)
{
	char *line = malloc(80000), error[200];
	size_t room = FRAME_BYTES_MAX - FRAME_HEADER_BYTES - 1 - 2 - 3; /* map, key, string head */

	(void)state;
	assert_non_null(line);
	for (size_t more = 0; more < 2; more++) {
		int n = sprintf(line, "{\"time\": 1, \"body\": {\"a\": \"");

		memset(line + n, 'x', room + more);
		strcpy(line + n + room + more, "\"}}");
		if (more == 0)
			assert_int_equal(ndjson_frame(line, strlen(line), frame, error, sizeof(error)),
					 FRAME_BYTES_MAX);
		else
			assert_int_equal(ndjson_frame(line, strlen(line), frame, error, sizeof(error)), 0);
	}
	assert_non_null(strstr(error, "longer than a frame"));
	free(line);
}

static void the_demo_banks_types_have_their_codes(void **state)
{
	(void)state;
	assert_int_equal(ndjson_type_code("card.purchase"), 1);
	assert_int_equal(ndjson_type_code("standing_order.failed"), 20);
	assert_int_equal(ndjson_type_code("app.screen"), 41);
	assert_int_equal(ndjson_type_code("card"), 0);
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fwrite(bytes, 1, len, f);
	fclose(f);
}

static void a_file_tells_the_number_of_its_wrong_line(void **state)
{
	static const char text[] =
		"{\"time\": 1}\n\n{\"time\": 2}\r\n{\"time\": 3, \"mcc\": -1}\n{\"time\": 4}\n";
	char path[] = "/tmp/test_ndjson.XXXXXX";
	struct input in;
	int64_t due;

	(void)state;
	close(mkstemp(path));
	write_file(path, text, sizeof(text) - 1);
	assert_int_equal(input_open_file(&in, path), 0);
	assert_int_equal(input_next(&in, frame, &due), 65);
	assert_int_equal(due, 1);
	assert_int_equal(input_next(&in, frame, &due), 65);
	assert_int_equal(due, 2);
	assert_int_equal(input_next(&in, frame, &due), -EINVAL);
	assert_string_equal(in.error, "line 4: mcc must be a number from 0 to 65535 or a known name");
	assert_int_equal(input_close(&in), 0);
	unlink(path);
}

static void a_gzipped_file_is_the_same_and_a_damaged_one_is_told(void **state)
{
	char path[] = "/tmp/test_ndjson.XXXXXX", command[200], *bytes;
	struct input in;
	int64_t due;
	long n;
	FILE *f;

	(void)state;
	close(mkstemp(path));
	snprintf(command, sizeof(command),
		 "for i in $(seq 1 500); do echo '{\"time\": '$i'}'; done | gzip > %s", path);
	assert_int_equal(system(command), 0);
	assert_int_equal(input_open_file(&in, path), 0);
	for (int i = 1; i <= 500; i++) {
		assert_int_equal(input_next(&in, frame, &due), 65);
		assert_int_equal(due, i);
	}
	assert_int_equal(input_next(&in, frame, &due), 0);
	assert_int_equal(input_close(&in), 0);

	f = fopen(path, "r");
	bytes = malloc(65536);
	assert_true(f && bytes);
	n = (long)fread(bytes, 1, 65536, f);
	fclose(f);
	write_file(path, bytes, (size_t)n - 8); /* without its checksum */
	assert_int_equal(input_open_file(&in, path), 0);
	while ((n = input_next(&in, frame, &due)) > 0)
		;
	assert_int_not_equal(input_close(&in) == 0 && n == 0, 1);
	free(bytes);
	unlink(path);
}

static void a_recording_that_is_cut_or_changed_is_refused(void **state)
{
	char path[] = "/tmp/test_ndjson.XXXXXX";
	uint8_t two[256];
	struct frame_header h = header_of("{\"time\": 9, \"body\": {\"merchant\": \"Sol\"}}");
	struct input in;
	int64_t due;

	(void)state;
	close(mkstemp(path));
	h.sequence = 1;
	memcpy(frame, &h, sizeof(h));
	memcpy(two, frame, h.length);
	memcpy(two + h.length, frame, h.length);
	for (size_t len = h.length + 1; len <= 2u * h.length; len++) {
		write_file(path, two, len);
		assert_int_equal(input_open_file(&in, path), 0);
		assert_int_equal(input_next(&in, frame, &due), h.length);
		assert_int_equal(input_next(&in, frame, &due),
				 len == 2u * h.length ? (long)h.length : -EINVAL);
		input_close(&in);
	}
	two[h.length + 63] = 0x80; /* a flag that does not exist */
	write_file(path, two, 2u * h.length);
	assert_int_equal(input_open_file(&in, path), 0);
	assert_int_equal(input_next(&in, frame, &due), h.length);
	assert_int_equal(input_next(&in, frame, &due), -EINVAL);
	assert_string_equal(in.error, "line 2: a flag that this kind does not have");
	input_close(&in);
	unlink(path);
}

static void what_is_none_of_the_formats_is_refused(void **state)
{
	char path[] = "/tmp/test_ndjson.XXXXXX";
	struct input in;

	(void)state;
	close(mkstemp(path));
	write_file(path, "customer,amount\n1,2\n", 20);
	assert_int_equal(input_open_file(&in, path), -EINVAL);
	assert_non_null(strstr(in.error, "neither NDJSON"));
	assert_int_equal(input_open_file(&in, "/does/not/exist"), -ENOENT);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_has_its_place),
		cmocka_unit_test(what_is_not_said_is_no_data),
		cmocka_unit_test(a_body_comes_back_as_it_went_in),
		cmocka_unit_test(bytes_are_printed_as_hex_and_infinity_as_null),
		cmocka_unit_test(a_wrong_line_is_refused_for_its_reason),
		cmocka_unit_test(a_body_that_fills_a_frame_is_the_longest),
		cmocka_unit_test(the_demo_banks_types_have_their_codes),
		cmocka_unit_test(a_file_tells_the_number_of_its_wrong_line),
		cmocka_unit_test(a_gzipped_file_is_the_same_and_a_damaged_one_is_told),
		cmocka_unit_test(a_recording_that_is_cut_or_changed_is_refused),
		cmocka_unit_test(what_is_none_of_the_formats_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
