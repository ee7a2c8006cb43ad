// needs: user/ingest/hello.c user/base/bytes.c user/base/frame.c
/*
 * test_hello.c: the body of a HELLO: what it says, and everything that refuses it, with the reason.
 */
#include <ingest/hello.h>

#include <base/bytes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t stream[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

/* A frame that is being written: header first, pairs behind, the count of pairs at the end. */
struct writing {
	char frame[4096];
	struct pack_writer w;
	uint32_t pairs;
};

static void begin(struct writing *t, uint64_t sequence)
{
	struct frame_header h = { .version = FRAME_VERSION, .kind = FRAME_HELLO, .sequence = sequence };

	memset(t, 0, sizeof *t);
	memcpy(t->frame, &h, sizeof h);
	pack_writer_init(&t->w, t->frame + FRAME_HEADER_BYTES + 1, sizeof t->frame - FRAME_HEADER_BYTES - 1);
}

static void key(struct writing *t, const char *name)
{
	pack_text(&t->w, name);
	t->pairs++;
}

static void text(struct writing *t, const char *name, const char *value)
{
	key(t, name);
	pack_text(&t->w, value);
}

static void number(struct writing *t, const char *name, uint64_t value)
{
	key(t, name);
	pack_uint(&t->w, value);
}

static void role(struct writing *t, const char *value)
{
	text(t, "role", value);
	number(t, "version", 1);
}

static void source(struct writing *t)
{
	role(t, "source");
	text(t, "name", "core");
	key(t, "stream");
	pack_binary(&t->w, stream, 16);
}

static void gateway(struct writing *t)
{
	role(t, "gateway");
	text(t, "name", "push-1");
	key(t, "channels");
	pack_array(&t->w, 2);
	pack_text(&t->w, "push");
	pack_text(&t->w, "sms");
}

static uint32_t end(struct writing *t)
{
	assert_false(t->w.overflow);
	assert_true(t->pairs < 16);
	t->frame[FRAME_HEADER_BYTES] = (char)(0x80 | t->pairs);
	return (uint32_t)(FRAME_HEADER_BYTES + 1 + pack_bytes(&t->w));
}

static void refused(struct writing *t, const char *why)
{
	struct hello hello;
	const char *got = hello_read(t->frame, end(t), &hello);

	if (!got || !strstr(got, why))
		fail_msg("'%s', not '%s'", got ? got : "taken", why);
}

static void taken(struct writing *t, struct hello *hello)
{
	const char *got = hello_read(t->frame, end(t), hello);

	if (got)
		fail_msg("%s", got);
}

static void a_sources_hello_is_read(void **state)
{
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 40);
	source(&t);
	number(&t, "first", 41);
	key(&t, "skip");
	pack_array(&t.w, 2);
	pack_uint(&t.w, 41);
	pack_uint(&t.w, UINT64_MAX);
	taken(&t, &hello);
	assert_int_equal(hello.role, ROLE_OF_SOURCE);
	assert_string_equal(hello.name, "core");
	assert_memory_equal(hello.stream, stream, 16);
	assert_int_equal(hello.acknowledged, 40);
	assert_int_equal(hello.first, 41);
	assert_true(hello.skip && hello.skip_from == 41 && hello.skip_to == UINT64_MAX);
}

static void a_gateways_hello_is_read(void **state)
{
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 12);
	gateway(&t);
	number(&t, "session", UINT64_MAX);
	taken(&t, &hello);
	assert_int_equal(hello.role, ROLE_OF_GATEWAY);
	assert_int_equal(hello.acknowledged, 12);
	assert_true(hello.session == UINT64_MAX);
	assert_int_equal(hello.channel_count, 2);
	assert_memory_equal(hello.channels[0].name, "push", 4);
	assert_int_equal(hello.channels[1].bytes, 3);
}

static void what_is_absent_has_its_default(void **state)
{
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 0);
	source(&t);
	taken(&t, &hello);
	assert_int_equal(hello.first, 1);
	assert_false(hello.skip);
	begin(&t, 0);
	gateway(&t);
	taken(&t, &hello);
	assert_int_equal(hello.session, 0);
}

/* frame.md: an absent key and nil mean the same. */
static void nil_is_absent(void **state)
{
	static const char *const optional[] = { "first", "session", "skip", "commands", "command" };
	static const struct {
		const char *key, *why;
	} needed[] = { { "role", "role" }, { "name", "name" }, { "stream", "stream" } };
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 0);
	source(&t);
	for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
		key(&t, optional[i]);
		pack_nil(&t.w);
	}
	taken(&t, &hello);
	assert_int_equal(hello.first, 1);
	assert_false(hello.skip);
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		begin(&t, 0);
		if (i != 0)
			role(&t, "source");
		if (i != 1)
			text(&t, "name", "core");
		key(&t, needed[i].key);
		pack_nil(&t.w);
		refused(&t, needed[i].why);
	}
	begin(&t, 0);
	role(&t, "gateway");
	text(&t, "name", "g");
	key(&t, "channels");
	pack_nil(&t.w);
	refused(&t, "channels");
}

static void unknown_keys_are_skipped(void **state)
{
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 0);
	key(&t, "colour");
	pack_map(&t.w, 1);
	pack_text(&t.w, "role");
	pack_array(&t.w, 1);
	pack_text(&t.w, "gateway");
	source(&t);
	key(&t, "commands");
	pack_array(&t.w, 1);
	pack_text(&t.w, "card.block");
	taken(&t, &hello);
	assert_int_equal(hello.role, ROLE_OF_SOURCE);
}

static void names_are_1_to_63_bytes_without_nul(void **state)
{
	static const struct {
		unsigned bytes;
		bool good;
	} rows[] = { { 0, false }, { 1, true }, { 63, true }, { 64, false } };
	char long_name[64];
	struct hello hello;

	(void)state;
	memset(long_name, 'n', sizeof long_name);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct writing t;
		begin(&t, 0);
		role(&t, "source");
		key(&t, "stream");
		pack_binary(&t.w, stream, 16);
		key(&t, "name");
		pack_string(&t.w, long_name, rows[i].bytes);
		if (!rows[i].good) {
			refused(&t, "1 to 63 bytes");
			continue;
		}
		taken(&t, &hello);
		assert_int_equal(strlen(hello.name), rows[i].bytes);
	}
	struct writing t;
	begin(&t, 0);
	key(&t, "name");
	pack_string(&t.w, "a\0b", 3);
	refused(&t, "1 to 63 bytes");
}

static void streams_are_16_bytes_and_not_all_zero(void **state)
{
	static const uint8_t zero[17];
	struct writing t;
	struct hello hello;

	(void)state;
	for (unsigned bytes = 15; bytes <= 17; bytes++) {
		begin(&t, 0);
		role(&t, "source");
		text(&t, "name", "core");
		key(&t, "stream");
		pack_binary(&t.w, bytes == 16 ? zero : stream, bytes == 17 ? 8 : bytes);
		refused(&t, "stream");
	}
	begin(&t, 0);
	text(&t, "stream", "0123456789abcdef"); /* a string is no bin */
	refused(&t, "stream");
	begin(&t, 0);
	role(&t, "source");
	text(&t, "name", "core");
	key(&t, "stream");
	uint8_t last[16] = { [15] = 1 };
	pack_binary(&t.w, last, 16);
	taken(&t, &hello);
}

static void numbers_are_not_negative_and_whole(void **state)
{
	static const char *const keys[] = { "first", "session" };
	struct writing t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		begin(&t, 0);
		key(&t, keys[i]);
		pack_int(&t.w, -1);
		refused(&t, "an int >= 0");
		begin(&t, 0);
		key(&t, keys[i]);
		pack_double(&t.w, 1.0);
		refused(&t, "an int >= 0");
		begin(&t, 0);
		text(&t, keys[i], "1");
		refused(&t, "an int >= 0");
	}
}

static void skip_is_a_pair_in_order(void **state)
{
	static const struct {
		unsigned count;
		int64_t from, to;
		bool good;
	} rows[] = { { 2, 5, 9, true },	 { 2, 5, 5, true },  { 2, 9, 5, false }, { 1, 5, 9, false },
		     { 3, 5, 9, false }, { 0, 5, 9, false }, { 2, -1, 9, false } };
	struct hello hello;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct writing t;
		begin(&t, 0);
		source(&t);
		key(&t, "skip");
		pack_array(&t.w, rows[i].count);
		for (unsigned k = 0; k < rows[i].count; k++)
			pack_int(&t.w, k == 0 ? rows[i].from : rows[i].to);
		if (rows[i].good)
			taken(&t, &hello);
		else
			refused(&t, "skip");
	}
}

static void channels_are_at_most_16_names(void **state)
{
	struct hello hello;

	(void)state;
	for (unsigned count = 0; count <= CHANNELS_MAX + 1; count++) {
		struct writing t;
		begin(&t, 0);
		role(&t, "gateway");
		text(&t, "name", "g");
		key(&t, "channels");
		pack_array(&t.w, count);
		for (unsigned i = 0; i < count; i++)
			pack_text(&t.w, "push");
		if (count == 0 || count > CHANNELS_MAX) {
			refused(&t, "channels");
			continue;
		}
		taken(&t, &hello);
		assert_int_equal(hello.channel_count, count);
	}
	struct writing t;
	begin(&t, 0);
	key(&t, "channels");
	pack_array(&t.w, 1);
	pack_int(&t.w, 1);
	refused(&t, "channels");
	begin(&t, 0);
	text(&t, "channels", "push");
	refused(&t, "channels");
}

static void roles_and_versions_of_others_are_refused(void **state)
{
	static const struct {
		const char *key, *value, *why;
	} rows[] = { { "role", "engine", "role" },
		     { "role", "", "role" },
		     { "role", "sourc", "role" },
		     { "role", "sources", "role" },
		     { "version", "1", "version" } };
	struct writing t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&t, 0);
		text(&t, rows[i].key, rows[i].value);
		refused(&t, rows[i].why);
	}
	for (uint64_t version = 0; version < 4; version++) {
		if (version == FRAME_VERSION)
			continue;
		begin(&t, 0);
		number(&t, "version", version);
		refused(&t, "version");
	}
	begin(&t, 0);
	number(&t, "role", 1);
	refused(&t, "role");
}

static void what_is_missing_is_said(void **state)
{
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 0);
	refused(&t, "role is missing");
	begin(&t, 0);
	role(&t, "source");
	refused(&t, "name is missing");
	begin(&t, 0);
	text(&t, "role", "source");
	text(&t, "name", "core");
	refused(&t, "version is missing");
	begin(&t, 0);
	role(&t, "source");
	text(&t, "name", "core");
	refused(&t, "stream is missing");
	begin(&t, 0);
	role(&t, "gateway");
	text(&t, "name", "g");
	refused(&t, "channels is missing");
	begin(&t, 0);
	assert_non_null(hello_read(t.frame, FRAME_HEADER_BYTES, &hello)); /* no body at all */
}

static void every_truncation_is_refused(void **state)
{
	struct writing t;
	struct hello hello;

	(void)state;
	begin(&t, 0);
	source(&t);
	number(&t, "first", 70000);
	uint32_t bytes = end(&t);
	assert_null(hello_read(t.frame, bytes, &hello));
	for (uint32_t cut = FRAME_HEADER_BYTES; cut < bytes; cut++) {
		char *exact = malloc(cut); /* so that a sanitizer sees a byte too far */
		memcpy(exact, t.frame, cut);
		if (!hello_read(exact, cut, &hello))
			fail_msg("%u of %u bytes were taken", cut, bytes);
		free(exact);
	}
	t.frame[bytes] = (char)0xc0;
	assert_non_null(hello_read(t.frame, bytes + 1, &hello));
}

static void a_key_twice_is_refused(void **state)
{
	struct writing t;

	(void)state;
	begin(&t, 0);
	source(&t);
	text(&t, "name", "other");
	struct hello hello;
	assert_non_null(hello_read(t.frame, end(&t), &hello));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sources_hello_is_read),
		cmocka_unit_test(a_gateways_hello_is_read),
		cmocka_unit_test(what_is_absent_has_its_default),
		cmocka_unit_test(nil_is_absent),
		cmocka_unit_test(unknown_keys_are_skipped),
		cmocka_unit_test(names_are_1_to_63_bytes_without_nul),
		cmocka_unit_test(streams_are_16_bytes_and_not_all_zero),
		cmocka_unit_test(numbers_are_not_negative_and_whole),
		cmocka_unit_test(skip_is_a_pair_in_order),
		cmocka_unit_test(channels_are_at_most_16_names),
		cmocka_unit_test(roles_and_versions_of_others_are_refused),
		cmocka_unit_test(what_is_missing_is_said),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(a_key_twice_is_refused),
	};

	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
