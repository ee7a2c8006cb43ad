// needs: user/ingest/answer.c user/base/bytes.c user/base/frame.c
/*
 * test_answer.c: the small frames that ingest sends: each passes the header check of the wire for an engine,
 * and says what it was asked to say.
 */
#include <base/bytes.h>
#include <ingest/answer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct frame_header answer_header(const char *frame, uint32_t bytes, uint8_t kind)
{
	struct frame_header h;
	uint32_t offset;

	memcpy(&h, frame, sizeof h);
	assert_int_equal(h.length, bytes);
	assert_true(bytes <= ANSWER_BYTES_MAX);
	assert_int_equal(h.kind, kind);
	assert_null(frame_header_check(&h, ROLE_OF_ENGINE).text);
	assert_null(pack_validate(frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES, &offset));
	return h;
}

static struct pack_item value_of(const char *frame, uint32_t bytes, const char *key)
{
	struct pack_reader r;
	uint32_t len;

	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0; pairs--) {
		const char *name = pack_read_key(&r, &len);
		struct pack_item item = pack_read(&r);
		if (strlen(key) == len && memcmp(key, name, len) == 0)
			return item;
	}
	fail_msg("no key %s", key);
	return (struct pack_item){ 0 };
}

static void text_is(const char *frame, uint32_t bytes, const char *key, const char *want)
{
	struct pack_item item = value_of(frame, bytes, key);

	assert_int_equal(item.type, PACK_STRING);
	if (item.bytes != strlen(want) || memcmp(item.s, want, item.bytes))
		fail_msg("%s: '%.*s', not '%s'", key, (int)item.bytes, item.s, want);
}

static void ack_names_stream_and_sequence(void **state)
{
	static const uint16_t streams[] = { FRAME_EVENT, FRAME_RECEIPT };
	static const uint64_t sequences[] = { 1, 42, UINT64_MAX };
	char frame[ANSWER_BYTES_MAX];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < 3; k++) {
			uint32_t bytes = answer_ack(frame, streams[i], sequences[k]);
			struct frame_header h = answer_header(frame, bytes, FRAME_ACK);
			assert_int_equal(bytes, FRAME_HEADER_BYTES);
			assert_int_equal(h.type, streams[i]);
			assert_true(h.sequence == sequences[k]);
		}
	}
}

static void pong_gives_the_time_back(void **state)
{
	static const int64_t times[] = { 0, 1, INT64_MAX };
	char frame[ANSWER_BYTES_MAX];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_true(answer_header(frame, answer_pong(frame, times[i]), FRAME_PONG).time == times[i]);
}

static void error_says_code_text_sequence_and_offset(void **state)
{
	char frame[ANSWER_BYTES_MAX];
	uint32_t bytes = answer_error(frame, "GAP", "sequence 7, expected 5", 5, UINT64_MAX);

	(void)state;
	answer_header(frame, bytes, FRAME_ERROR);
	text_is(frame, bytes, "code", "GAP");
	text_is(frame, bytes, "text", "sequence 7, expected 5");
	assert_int_equal(value_of(frame, bytes, "sequence").i, 5);
	assert_true(value_of(frame, bytes, "offset").u == UINT64_MAX);
}

static void a_long_text_is_cut_and_fits(void **state)
{
	char frame[ANSWER_BYTES_MAX], text[4096];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	uint32_t bytes = answer_error(frame, "MALFORMED", text, UINT64_MAX, UINT64_MAX);
	answer_header(frame, bytes, FRAME_ERROR);
	assert_int_equal(value_of(frame, bytes, "text").bytes, 512);
}

static void welcome_says_the_terms(void **state)
{
	struct ingest_state in = { .term = 3,
				   .filter = "user",
				   .durability = "sync",
				   .catalogue = { .low = 0xab, .high = UINT64_C(0x0123456789abcdef) } };
	char frame[ANSWER_BYTES_MAX];
	uint32_t bytes = answer_welcome(frame, &in, in.filter, 43, UINT64_C(3) << 32 | 9);
	struct frame_header h = answer_header(frame, bytes, FRAME_WELCOME);

	(void)state;
	assert_int_equal(h.sequence, 43);
	assert_int_equal(value_of(frame, bytes, "session").i, INT64_C(3) << 32 | 9);
	assert_int_equal(value_of(frame, bytes, "term").i, 3);
	assert_int_equal(value_of(frame, bytes, "window_events").i, WINDOW_EVENTS);
	assert_int_equal(value_of(frame, bytes, "window_bytes").i, WINDOW_BYTES);
	text_is(frame, bytes, "filter", "user");
	text_is(frame, bytes, "durability", "sync");
	text_is(frame, bytes, "catalogue", "0123456789abcdef00000000000000ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ack_names_stream_and_sequence),
		cmocka_unit_test(pong_gives_the_time_back),
		cmocka_unit_test(error_says_code_text_sequence_and_offset),
		cmocka_unit_test(a_long_text_is_cut_and_fits),
		cmocka_unit_test(welcome_says_the_terms),
	};

	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
