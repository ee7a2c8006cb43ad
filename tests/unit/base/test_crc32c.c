// needs: user/base/crc32c.c
/*
 * test_crc32c.c: the crc against published vectors (RFC 3720 appendix B.4 and the check value of CRC-32C),
 * and the two ways of computing it against each other at every length and alignment that a loop of 8 bytes
 * has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <string.h>

static void crc32c_gives_the_published_values(void **state)
{
	uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];
	static const uint8_t read10[48] = {
		0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,	  0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
		0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,	  0,
	};
	const struct {
		const void *bytes;
		size_t count;
		uint32_t crc;
	} rows[] = {
		{ "", 0, 0 },
		{ "123456789", 9, 0xe3069283 },
		{ zeros, 32, 0x8a9136aa },
		{ ones, 32, 0x62a8ab43 },
		{ up, 32, 0x46dd794e },
		{ down, 32, 0x113fdb5c },
		{ read10, 48, 0xd9963a56 },
	};

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (uint8_t i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = (uint8_t)(31 - i);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(crc32c(0, rows[i].bytes, rows[i].count), rows[i].crc);
		assert_int_equal(crc32c_table(0, rows[i].bytes, rows[i].count), rows[i].crc);
	}
}

static void crc32c_by_table_and_by_instruction_are_the_same(void **state)
{
	uint8_t bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i * 31 + 7);
	for (size_t from = 0; from < 9; from++)
		for (size_t count = 0; from + count <= sizeof(bytes); count++)
			assert_int_equal(crc32c(5, bytes + from, count),
					 crc32c_table(5, bytes + from, count));
}

static void crc32c_of_parts_is_that_of_the_whole(void **state)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	uint32_t whole = crc32c(0, text, sizeof(text));

	(void)state;
	for (size_t cut = 0; cut <= sizeof(text); cut++)
		assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, sizeof(text) - cut), whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_gives_the_published_values),
		cmocka_unit_test(crc32c_by_table_and_by_instruction_are_the_same),
		cmocka_unit_test(crc32c_of_parts_is_that_of_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
