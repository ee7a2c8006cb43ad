// needs: user/base/records.c user/base/region.c
/*
 * Records of a checkpoint: what was put comes back in order, byte for byte, on 8-byte edges; a list that is
 * full says so and never gives half a record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#include <base/records.h>
#include <string.h>

/* Record i: its key and value have these lengths and are filled with i. */
static uint16_t key_bytes(uint32_t i)
{
	return (uint16_t)(i * 7 % 33);
}
static uint32_t value_bytes(uint32_t i)
{
	return i * 13 % 101;
}
static bool is_gone(uint32_t i)
{
	return i % 5 == 4;
}

static bool put(struct records *r, uint32_t i)
{
	char key[40];
	uint64_t before = r->count;

	memset(key, (int)i, sizeof key);
	if (is_gone(i)) {
		records_remove(r, RECORD_REF, key, key_bytes(i));
		return r->count == before + 1;
	}
	void *value = records_put(r, RECORD_CELL, key, key_bytes(i), value_bytes(i));
	if (value)
		memset(value, (int)i, value_bytes(i));
	return value != NULL;
}

static void assert_filled(const void *bytes, size_t n, uint32_t i)
{
	for (size_t k = 0; k < n; k++)
		assert_int_equal(((const unsigned char *)bytes)[k], i & 255);
}

static uint32_t walk(const struct records *r)
{
	uint32_t i = 0;

	for (const struct record *rec = NULL; (rec = records_next(r, rec)); i++) {
		assert_int_equal(rec->gone, is_gone(i));
		assert_int_equal(rec->space, is_gone(i) ? RECORD_REF : RECORD_CELL);
		assert_int_equal(rec->key_bytes, key_bytes(i));
		assert_int_equal(rec->value_bytes, is_gone(i) ? 0 : value_bytes(i));
		assert_int_equal((uintptr_t)record_key(rec) % 8, 0);
		assert_int_equal((uintptr_t)record_value(rec) % 8, 0);
		assert_filled(record_key(rec), rec->key_bytes, i);
		assert_filled(record_value(rec), rec->value_bytes, i);
	}
	return i;
}

static void records_come_back_in_order_and_whole(void **state)
{
	struct records r;

	(void)state;
	assert_int_equal(records_init(&r, 1 << 20), 0);
	assert_null(records_next(&r, NULL));
	for (uint32_t i = 0; i < 2000; i++)
		assert_true(put(&r, i));
	assert_int_equal(r.count, 2000);
	assert_false(r.full);
	assert_int_equal(walk(&r), 2000);
	records_reset(&r);
	assert_true(r.count == 0 && !records_next(&r, NULL));
	assert_true(put(&r, 0));
	assert_int_equal(walk(&r), 1);
	records_deinit(&r);
}

static void a_full_list_says_so_and_keeps_what_it_has(void **state)
{
	struct records r;
	uint32_t n = 0;

	(void)state;
	assert_int_equal(records_init(&r, 4096), 0);
	while (put(&r, n))
		n++;
	assert_true(r.full && n > 20 && r.count == n);
	assert_int_equal(walk(&r), n);
	assert_null(records_put(&r, RECORD_CELL, "k", 1, UINT32_MAX)); /* no wrap */
	records_reset(&r);
	assert_false(r.full);
	records_deinit(&r);
}

static void a_list_can_be_filled_to_the_last_byte(void **state)
{
	struct records r;

	(void)state;
	assert_int_equal(records_init(&r, 4096), 0);
	assert_non_null(
		records_put(&r, RECORD_META, "12345678", 8, (uint32_t)(4096 - sizeof(struct record) - 8)));
	assert_false(r.full);
	assert_int_equal(r.count, 1);
	const struct record *only = records_next(&r, NULL);
	assert_non_null(only);
	assert_null(records_next(&r, only));
	records_remove(&r, RECORD_META, "", 0);
	assert_true(r.full && r.count == 1);
	records_deinit(&r);
}

/* The pages of a list that was filled stay; what is put there next is zero all the same, its padding too. */
static void room_is_zero_again_after_a_reset(void **state)
{
	static const size_t sizes[] = { 100, 100000, 70 << 20 };
	struct records r;

	(void)state;
	assert_int_equal(records_init(&r, 128 << 20), 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *value = records_put(&r, RECORD_META, "a", 1, (uint32_t)sizes[i]);
		assert_non_null(value);
		memset(value - 8, 0xff,
		       (sizes[i] + 15) & ~(size_t)7); /* with the key's padding and its own */
		records_reset(&r);
		value = records_put(&r, RECORD_META, "abc", 3, 61);
		assert_non_null(value);
		assert_memory_equal(value - 8, "abc\0\0\0\0", 8);
		for (unsigned k = 0; k < 64; k++)
			assert_int_equal(value[k], 0);
		records_reset(&r);
	}
	records_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_back_in_order_and_whole),
		cmocka_unit_test(a_full_list_says_so_and_keeps_what_it_has),
		cmocka_unit_test(a_list_can_be_filled_to_the_last_byte),
		cmocka_unit_test(room_is_zero_again_after_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
