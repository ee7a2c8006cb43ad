// needs: user/base/bytes.c
/*
 * test_bytes.c: the MessagePack cursor, the validator and the writer.
 *
 * The oracle for what is right is msgpack-c's packer: random documents are packed by it and read by the
 * cursor, and the writer must give the same bytes. The negative cases are a table with the offset and the
 * reason, and every document is truncated at each of its bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <msgpack.h>
#pragma GCC diagnostic pop
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct sample {
	const char *bytes;
	size_t len;
};
#define BYTES(text)                                                                                          \
	{                                                                                                    \
		text, sizeof(text) - 1                                                                       \
	}

static struct pack_reader reader_of(const void *bytes, size_t len)
{
	struct pack_reader r;

	pack_reader_init(&r, bytes, len);
	return r;
}

static void reads_every_integer_form(void **state)
{
	static const struct {
		struct sample in;
		enum pack_type type;
		int64_t i;
	} rows[] = {
		{ BYTES("\x00"), PACK_INT, 0 },
		{ BYTES("\x7f"), PACK_INT, 127 },
		{ BYTES("\xff"), PACK_INT, -1 },
		{ BYTES("\xe0"), PACK_INT, -32 },
		{ BYTES("\xcc\xff"), PACK_INT, 255 },
		{ BYTES("\xcd\x01\x02"), PACK_INT, 0x102 },
		{ BYTES("\xce\xff\xff\xff\xff"), PACK_INT, UINT32_MAX },
		{ BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), PACK_INT, INT64_MAX },
		{ BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), PACK_UINT, INT64_MIN },
		{ BYTES("\xd0\x80"), PACK_INT, -128 },
		{ BYTES("\xd1\x80\x00"), PACK_INT, -32768 },
		{ BYTES("\xd2\x80\x00\x00\x00"), PACK_INT, INT32_MIN },
		{ BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), PACK_INT, INT64_MIN },
		{ BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"), PACK_INT,
		  5 }, /* not the shortest, and allowed */
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		struct pack_reader r = reader_of(rows[k].in.bytes, rows[k].in.len);
		struct pack_item item = pack_read(&r);

		assert_int_equal(item.type, rows[k].type);
		assert_true(item.i == rows[k].i);
		assert_ptr_equal(r.at, r.end);
		assert_null(r.error);
		assert_int_equal(pack_read(&r).type, PACK_NONE);
		assert_null(r.error);
	}
}

static void reads_floats_of_both_widths(void **state)
{
	struct pack_reader r = reader_of("\xca\x3f\xc0\x00\x00\xcb\xc0\x04\x00\x00\x00\x00\x00\x00", 14);
	struct pack_item item = pack_read(&r);

	(void)state;
	assert_int_equal(item.type, PACK_DOUBLE);
	assert_true(item.d == 1.5);
	item = pack_read(&r);
	assert_true(item.type == PACK_DOUBLE && item.d == -2.5);
	assert_null(r.error);
}

/* What pack_validate says of a body, and where. NULL = good. */
static void validator_names_reason_and_offset(void **state)
{
	static const struct {
		struct sample in;
		const char *error;
		uint32_t offset;
	} rows[] = {
		{ BYTES("\x80"), NULL, 0 },
		{ BYTES("\xde\x00\x00"), NULL, 0 },
		{ BYTES("\xdf\x00\x00\x00\x00"), NULL, 0 },
		{ BYTES("\x81\xa1"
			"a\xc0"),
		  NULL, 0 },
		{ BYTES("\x81\xa1"
			"a\xc4\x02\xff\xfe"),
		  NULL, 0 }, /* binary need not be UTF-8 */
		{ BYTES("\x81\xa1"
			"a\x81\xa1"
			"a\x91\x81\xa1"
			"a\x01"),
		  NULL, 0 },		/* depth 4, and the same key in other maps */
		{ BYTES(""), NULL, 0 }, /* a frame of 64 bytes */
		{ BYTES("\x90"), "no map", 0 },
		{ BYTES("\xc0"), "no map", 0 },
		{ BYTES("\x80\xc0"), "bytes behind the map", 1 },
		{ BYTES("\x81\x01\x01"), "a key that is no string", 1 },
		{ BYTES("\x81\xc4\x01"
			"a\x01"),
		  "a key that is no string", 1 },
		{ BYTES("\x82\xa1"
			"a\x01\xa1"
			"a\x02"),
		  "a key that occurs twice", 4 },
		{ BYTES("\x82\xa1"
			"a\x01\xd9\x01"
			"a\x02"),
		  "a key that occurs twice", 4 }, /* the same key, another length form */
		{ BYTES("\x81\xa1"
			"a\x91\x91\x91\x90"),
		  "nested deeper than 4", 6 },
		{ BYTES("\x81\xa1"
			"a\x91\x91\x91\x80"),
		  "nested deeper than 4", 6 },
		{ BYTES("\x81\xa1"
			"a\xc1"),
		  "reserved byte 0xc1", 3 },
		{ BYTES("\x81\xa1"
			"a\xd4\x01\x01"),
		  "extension type", 3 },
		{ BYTES("\x81\xa1"
			"a\xc7\x01\x01\x01"),
		  "extension type", 3 },
		{ BYTES("\x81\xa1"
			"a\xa2\xc3\x28"),
		  "a string that is not UTF-8", 3 },
		{ BYTES("\x81\xa1\xff\x01"), "a string that is not UTF-8", 1 },
		{ BYTES("\x82\xa1"
			"a\x01"),
		  "truncated map", 0 },
		{ BYTES("\x81\xa1"
			"a\xdd\xff\xff\xff\xff"),
		  "truncated array", 3 },
		{ BYTES("\x81\xa1"
			"a\xdf\xff\xff\xff\xff"),
		  "truncated map", 3 },
		{ BYTES("\x81\xa1"
			"a\xdb\xff\xff\xff\xff"),
		  "truncated string", 3 },
		{ BYTES("\x81\xa1"
			"a\xc5\x00\x02\x01"),
		  "truncated binary", 3 },
		{ BYTES("\x81\xa1"
			"a\xcd\x01"),
		  "truncated integer", 3 },
		{ BYTES("\x81\xa1"
			"a\xca\x01"),
		  "truncated float", 3 },
		{ BYTES("\x81\xa1"
			"a\xda\x01"),
		  "truncated length", 3 },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		uint32_t offset = 77;
		const char *error = pack_validate(rows[k].in.bytes, rows[k].in.len, &offset);

		if (rows[k].error) {
			assert_non_null(error);
			assert_string_equal(error, rows[k].error);
		} else {
			assert_null(error);
		}
		assert_int_equal(offset, rows[k].offset);
	}
}

static size_t write_map_of_keys(uint8_t *out, size_t room, unsigned keys)
{
	struct pack_writer w;
	char key[16];

	pack_writer_init(&w, out, room);
	pack_map(&w, keys);
	for (unsigned i = 0; i < keys; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		pack_text(&w, key);
		pack_uint(&w, i);
	}
	assert_false(w.overflow);
	return pack_bytes(&w);
}

static void a_map_has_at_most_64_keys(void **state)
{
	uint8_t bytes[2048];
	uint32_t offset;

	(void)state;
	assert_null(pack_validate(bytes, write_map_of_keys(bytes, sizeof(bytes), 64), &offset));
	assert_string_equal(pack_validate(bytes, write_map_of_keys(bytes, sizeof(bytes), 65), &offset),
			    "more than 64 keys in a map");
}

static void a_repeated_key_is_found_at_each_place_of_64(void **state)
{
	uint8_t bytes[2048];

	(void)state;
	for (unsigned first = 0; first < 63; first++) {
		struct pack_writer w;
		uint32_t offset;
		char key[64];

		pack_writer_init(&w, bytes, sizeof(bytes));
		pack_map(&w, 64);
		for (unsigned i = 0; i < 64; i++) {
			snprintf(key, sizeof(key), "a_long_name_of_a_key_%u", i == 63 ? first : i);
			pack_text(&w, key);
			pack_nil(&w);
		}
		assert_string_equal(pack_validate(bytes, pack_bytes(&w), &offset), "a key that occurs twice");
	}
}

static void utf8_follows_rfc_3629(void **state)
{
	static const struct {
		struct sample in;
		bool valid;
	} rows[] = {
		{ BYTES(""), true },
		{ BYTES("plain text, longer than a word"), true },
		{ BYTES("\xc2\x80"), true },
		{ BYTES("\xdf\xbf"), true },
		{ BYTES("\xe0\xa0\x80"), true },
		{ BYTES("\xed\x9f\xbf"), true },
		{ BYTES("\xee\x80\x80"), true },
		{ BYTES("\xef\xbf\xbf"), true },
		{ BYTES("\xf0\x90\x80\x80"), true },
		{ BYTES("\xf4\x8f\xbf\xbf"), true },
		{ BYTES("12345678\xc3\xb1"), true },
		{ BYTES("\x80"), false },
		{ BYTES("\xc0\x80"), false }, /* overlong */
		{ BYTES("\xc1\xbf"), false },
		{ BYTES("\xe0\x9f\xbf"), false },
		{ BYTES("\xf0\x8f\xbf\xbf"), false },
		{ BYTES("\xed\xa0\x80"), false },     /* a surrogate */
		{ BYTES("\xf4\x90\x80\x80"), false }, /* above U+10FFFF */
		{ BYTES("\xf5\x80\x80\x80"), false },
		{ BYTES("\xff"), false },
		{ BYTES("\xc3"), false },
		{ BYTES("\xe1\x80"), false },
		{ BYTES("\xf1\x80\x80"), false },
		{ BYTES("\xe1\x80\x41"), false },
		{ BYTES("\xc3\xc3"), false },
		{ BYTES("1234567\xc3"), false },
		{ BYTES("12345678\xff"), false },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
		if (utf8_valid(rows[k].in.bytes, rows[k].in.len) != rows[k].valid)
			fail_msg("row %zu: expected %d", k, rows[k].valid);
}

static void utf8_looks_at_no_byte_behind_the_end(void **state)
{
	static const char *const rows[] = { "\xc3\xb1", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		assert_true(utf8_valid(rows[k], strlen(rows[k])));
		for (size_t len = 1; len < strlen(rows[k]); len++)
			assert_false(utf8_valid(rows[k], len)); /* the rest stands right behind */
	}
}

static void numbers_at_each_border_have_the_shortest_form(void **state)
{
	static const int64_t borders[] = { 0,	      127,	 128,	     255,      256,
					   65535,     65536,	 UINT32_MAX, -1,       -32,
					   -33,	      -128,	 -129,	     -32768,   -32769,
					   INT32_MIN, INT32_MAX, INT64_MIN,  INT64_MAX };

	(void)state;
	for (size_t k = 0; k < sizeof(borders) / sizeof(*borders); k++)
		for (int near = -1; near <= 1; near++) {
			int64_t i = (int64_t)((uint64_t)borders[k] + (uint64_t)near);
			msgpack_sbuffer buffer;
			msgpack_packer oracle;
			struct pack_writer w;
			uint8_t ours[16];

			msgpack_sbuffer_init(&buffer);
			msgpack_packer_init(&oracle, &buffer, msgpack_sbuffer_write);
			msgpack_pack_int64(&oracle, i);
			pack_writer_init(&w, ours, sizeof(ours));
			pack_int(&w, i);
			assert_int_equal(pack_bytes(&w), buffer.size);
			assert_memory_equal(ours, buffer.data, buffer.size);
			msgpack_sbuffer_destroy(&buffer);
		}
}

/* Random documents: the same walk is packed by msgpack-c, written by us, and read back. */
struct walk {
	uint64_t seed;
	msgpack_packer *oracle;
	struct pack_writer *ours;
	struct pack_reader *reader;
};

static uint64_t walk_random(struct walk *w)
{
	uint64_t z = w->seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* A length around the borders of the format's forms. */
static uint32_t walk_length(struct walk *w)
{
	static const uint32_t around[] = { 0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536 };
	uint64_t x = walk_random(w);

	return x % 4 ? (uint32_t)(x >> 8) % 40 : around[(x >> 8) % (sizeof(around) / sizeof(*around))];
}

static void walk_number(struct walk *w)
{
	uint64_t x = walk_random(w);
	int64_t i = (int64_t)(x >> (walk_random(w) % 64));
	struct pack_item item;

	if (walk_random(w) % 8 == 0) {
		x |= 1ull << 63;
		msgpack_pack_uint64(w->oracle, x);
		pack_uint(w->ours, x);
		item = pack_read(w->reader);
		assert_true(item.type == PACK_UINT && item.u == x);
		return;
	}
	if (walk_random(w) % 2 && i != INT64_MIN)
		i = -i;
	msgpack_pack_int64(w->oracle, i);
	pack_int(w->ours, i);
	item = pack_read(w->reader);
	assert_true(item.type == PACK_INT && item.i == i);
}

static void walk_text(struct walk *w, bool binary)
{
	static char text[65536 + 8];
	uint32_t len = walk_length(w);
	struct pack_item item;

	for (uint32_t i = 0; i < len; i++)
		text[i] = (char)('a' + (i + len) % 26);
	if (binary) {
		msgpack_pack_bin(w->oracle, len);
		msgpack_pack_bin_body(w->oracle, text, len);
		pack_binary(w->ours, text, len);
	} else {
		msgpack_pack_str(w->oracle, len);
		msgpack_pack_str_body(w->oracle, text, len);
		pack_string(w->ours, text, len);
	}
	item = pack_read(w->reader);
	assert_int_equal(item.type, binary ? PACK_BINARY : PACK_STRING);
	assert_int_equal(item.bytes, len);
	assert_memory_equal(item.s, text, len);
}

static void walk_scalar(struct walk *w)
{
	double d = (double)(int64_t)walk_random(w) / 3.0;
	bool b = walk_random(w) & 1;

	switch (walk_random(w) % 5) {
	case 0:
		msgpack_pack_nil(w->oracle);
		pack_nil(w->ours);
		assert_int_equal(pack_read(w->reader).type, PACK_NIL);
		return;
	case 1:
		if (b)
			msgpack_pack_true(w->oracle);
		else
			msgpack_pack_false(w->oracle);
		pack_bool(w->ours, b);
		assert_int_equal(pack_read(w->reader).b, b);
		return;
	case 2:
		msgpack_pack_double(w->oracle, d);
		pack_double(w->ours, d);
		assert_true(pack_read(w->reader).d == d);
		return;
	default:
		walk_number(w);
	}
}

static void walk_item(struct walk *w, unsigned depth)
{
	uint32_t count = depth < 3 ? (uint32_t)(walk_random(w) % 20) : 0;
	struct pack_item item;

	switch (walk_random(w) % 6) {
	case 0:
		msgpack_pack_array(w->oracle, count);
		pack_array(w->ours, count);
		item = pack_read(w->reader);
		assert_true(item.type == PACK_ARRAY && item.count == count);
		for (uint32_t i = 0; i < count; i++)
			walk_item(w, depth + 1);
		return;
	case 1:
		msgpack_pack_map(w->oracle, count);
		pack_map(w->ours, count);
		assert_int_equal(pack_read_map(w->reader), count);
		for (uint32_t i = 0; i < count; i++) {
			walk_text(w, false);
			walk_item(w, depth + 1);
		}
		return;
	case 2:
		walk_text(w, walk_random(w) & 1);
		return;
	default:
		walk_scalar(w);
	}
}

enum { DOCUMENT_BYTES = 64 << 20 };

/* Each item is written by both and read at once from what we wrote. */
static void cursor_and_writer_agree_with_msgpack_c(void **state)
{
	uint8_t *ours = malloc(DOCUMENT_BYTES);
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 20260101;

	(void)state;
	assert_non_null(ours);
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned round = 0; round < 400; round++) {
		msgpack_sbuffer buffer;
		msgpack_packer oracle;
		struct pack_writer writer;
		struct pack_reader reader;
		struct walk w = {
			.seed = seed + round, .oracle = &oracle, .ours = &writer, .reader = &reader
		};
		size_t before;

		msgpack_sbuffer_init(&buffer);
		msgpack_packer_init(&oracle, &buffer, msgpack_sbuffer_write);
		pack_writer_init(&writer, ours, DOCUMENT_BYTES);
		reader = (struct pack_reader){ .at = ours, .end = ours + DOCUMENT_BYTES, .start = ours };
		walk_item(&w, 0);
		assert_null(reader.error);
		assert_false(writer.overflow);
		assert_int_equal(pack_bytes(&writer), buffer.size);
		assert_memory_equal(ours, buffer.data, buffer.size);
		assert_ptr_equal(reader.at, writer.at);
		before = buffer.size;
		pack_reader_init(&reader, buffer.data, before);
		pack_skip(&reader);
		assert_null(reader.error);
		assert_ptr_equal(reader.at, reader.end);
		msgpack_sbuffer_destroy(&buffer);
	}
	free(ours);
}

/* A body with one of everything. */
static size_t write_body(uint8_t *out, size_t room)
{
	struct pack_writer w;

	pack_writer_init(&w, out, room);
	pack_map(&w, 6);
	pack_text(&w, "merchant");
	pack_text(&w, "Caf\xc3\xa9 de la Plaza Mayor, a long name");
	pack_text(&w, "lat");
	pack_double(&w, 40.4);
	pack_text(&w, "id");
	pack_binary(&w, "\x01\x02\x03\x04", 4);
	pack_text(&w, "ok");
	pack_bool(&w, true);
	pack_text(&w, "list");
	pack_array(&w, 3);
	pack_int(&w, -70000);
	pack_uint(&w, UINT64_MAX);
	pack_map(&w, 1);
	pack_text(&w, "deep");
	pack_nil(&w);
	pack_text(&w, "n");
	pack_int(&w, 300);
	return w.overflow ? 0 : pack_bytes(&w);
}

static void a_body_truncated_at_each_byte_is_refused(void **state)
{
	uint8_t body[256];
	size_t len = write_body(body, sizeof(body));
	uint32_t offset;

	(void)state;
	assert_true(len > 90);
	assert_null(pack_validate(body, len, &offset));
	for (size_t cut = 1; cut < len; cut++) {
		uint8_t *exact = malloc(cut + 1); /* so that asan sees a read behind the end */

		assert_non_null(exact);
		memcpy(exact, body, cut);
		exact = realloc(exact, cut ? cut : 1);
		assert_non_null(pack_validate(exact, cut, &offset));
		assert_true(offset <= cut);
		free(exact);
	}
}

static void the_writer_never_writes_behind_its_room(void **state)
{
	uint8_t body[256];
	size_t len = write_body(body, sizeof(body));

	(void)state;
	for (size_t room = 0; room < len; room++) {
		uint8_t *exact = malloc(room ? room : 1);

		assert_non_null(exact);
		assert_int_equal(write_body(exact, room), 0);
		free(exact);
	}
	assert_int_equal(write_body(body, len), len);
}

static void the_first_error_sticks(void **state)
{
	struct pack_reader r = reader_of("\x01\xc1\x02\x03", 4);
	uint32_t len;

	(void)state;
	assert_int_equal(pack_read(&r).i, 1);
	assert_int_equal(pack_read(&r).type, PACK_NONE);
	assert_int_equal(pack_read(&r).type, PACK_NONE);
	assert_int_equal(pack_read_map(&r), 0);
	assert_null(pack_read_key(&r, &len));
	assert_string_equal(r.error, "reserved byte 0xc1");
	assert_int_equal(r.error_offset, 1);
}

static void a_key_must_be_a_string(void **state)
{
	struct pack_reader r = reader_of("\x81\x05\x01", 3);
	uint32_t len = 9;

	(void)state;
	assert_int_equal(pack_read_map(&r), 1);
	assert_null(pack_read_key(&r, &len));
	assert_int_equal(len, 0);
	assert_string_equal(r.error, "a key that is no string");
	assert_int_equal(r.error_offset, 1);
}

static void skip_wants_a_whole_item(void **state)
{
	struct pack_reader r = reader_of("\x92\x01", 2);

	(void)state;
	pack_skip(&r);
	assert_non_null(r.error);
	r = reader_of("", 0);
	pack_skip(&r);
	assert_string_equal(r.error, "truncated item");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_integer_form),
		cmocka_unit_test(reads_floats_of_both_widths),
		cmocka_unit_test(validator_names_reason_and_offset),
		cmocka_unit_test(a_map_has_at_most_64_keys),
		cmocka_unit_test(a_repeated_key_is_found_at_each_place_of_64),
		cmocka_unit_test(utf8_follows_rfc_3629),
		cmocka_unit_test(utf8_looks_at_no_byte_behind_the_end),
		cmocka_unit_test(numbers_at_each_border_have_the_shortest_form),
		cmocka_unit_test(cursor_and_writer_agree_with_msgpack_c),
		cmocka_unit_test(a_body_truncated_at_each_byte_is_refused),
		cmocka_unit_test(the_writer_never_writes_behind_its_room),
		cmocka_unit_test(the_first_error_sticks),
		cmocka_unit_test(a_key_must_be_a_string),
		cmocka_unit_test(skip_wants_a_whole_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
