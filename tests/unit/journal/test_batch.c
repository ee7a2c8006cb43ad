// needs: user/journal/batch.c user/base/crc32c.c
/*
 * test_batch.c: the bytes of one batch against the rules of schemas/journal.md: every field of the header, of
 * an entry and of a SEEN record is broken in turn, with crc (and hash) made right again, so that the rule
 * itself is tested and not the crc. Each batch lies alone in an allocation of its own size: a read behind it
 * is seen by the sanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <journal/batch.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENTRY_AT = 192,
	ENTRY2_AT = ENTRY_AT + 24 + 16,
	SEEN_AT = ENTRY2_AT + 24 + 8,
	BYTES = SEEN_AT + 40 + 16
};

static void entry_put(uint8_t *at, enum journal_entry_kind kind, const char *text, uint32_t count)
{
	struct journal_entry_header e = { .bytes = count, .kind = (uint8_t)kind, .source = 9 };

	e.hash = batch_entry_hash((uint8_t)kind, 9, text, count);
	memcpy(at, &e, sizeof(e));
	memcpy(at + sizeof(e), text, count);
}

/* Two entries of 10 and 8 bytes, one SEEN record with two lines. */
static struct journal_batch_header *batch_make(void)
{
	struct journal_batch_header *h = calloc(1, BYTES);
	struct journal_seen seen = { .source = 1, .dropped_lines = 2, .first = 3, .seen = 7 };
	struct batch_chain chain;

	*h = (struct journal_batch_header){ .magic = JOURNAL_MAGIC,
					    .header_bytes = 192,
					    .term = 1,
					    .number = 4,
					    .first_position = 8,
					    .entries = 2,
					    .seen_records = 1,
					    .bytes = BYTES,
					    .padded_bytes = 512,
					    .durable_through = 3 };
	entry_put((uint8_t *)h + ENTRY_AT, ENTRY_FRAME, "0123456789", 10);
	entry_put((uint8_t *)h + ENTRY2_AT, ENTRY_CLOCK, "abcdefgh", 8);
	memcpy((uint8_t *)h + SEEN_AT, &seen, sizeof(seen));
	batch_chain_start(&chain, (struct hash128){ 5, 6 });
	batch_chain_add(&chain, batch_entry_hash(ENTRY_FRAME, 9, "0123456789", 10));
	batch_chain_add(&chain, batch_entry_hash(ENTRY_CLOCK, 9, "abcdefgh", 8));
	h->chain = batch_chain_end(&chain, (uint8_t *)h + SEEN_AT, BYTES - SEEN_AT);
	batch_crc_set(h);
	return h;
}

static void header_crc_renew(struct journal_batch_header *h)
{
	h->header_crc = crc32c(0, h, offsetof(struct journal_batch_header, header_crc));
}

static const struct hash128 before = { 5, 6 };

static void batch_that_keeps_the_rules_is_good(void **state)
{
	struct journal_batch_header *h = batch_make();
	size_t at = sizeof(*h);

	(void)state;
	assert_true(batch_header_good(h));
	assert_true(batch_crc_right(h));
	assert_null(batch_body_check(h, &before));
	assert_null(batch_body_check(h, NULL));
	assert_int_equal(batch_entry_next(h, &at)->bytes, 10);
	assert_int_equal(batch_entry_next(h, &at)->kind, ENTRY_CLOCK);
	assert_int_equal(batch_seen_next(h, &at)->seen, 7);
	assert_int_equal(at, BYTES);
	free(h);
}

static void batch_header_is_refused_for_each_broken_field(void **state)
{
#define FIELD(f, v)                                                                                          \
	{                                                                                                    \
		offsetof(struct journal_batch_header, f), sizeof(((struct journal_batch_header *)0)->f), v   \
	}
	static const struct {
		size_t at, bytes;
		uint64_t value;
	} rows[] = {
		FIELD(magic, JOURNAL_MAGIC + 1),
		FIELD(magic, 0),
		FIELD(header_bytes, 200),
		FIELD(header_bytes, 0),
		FIELD(number, 0),
		FIELD(number, 3), /* durable_through is 3 */
		FIELD(first_position, 0),
		FIELD(entries, JOURNAL_BATCH_ENTRIES_MAX + 1),
		FIELD(bytes, 184),
		FIELD(bytes, 196),
		FIELD(bytes, 520), /* more than padded */
		FIELD(bytes, UINT64_MAX - 7),
		FIELD(padded_bytes, 0),
		FIELD(padded_bytes, 500),
		FIELD(padded_bytes, 513),
		FIELD(padded_bytes, JOURNAL_BATCH_BYTES_MAX + 512),
		FIELD(padded_bytes, UINT64_MAX - 511),
		FIELD(durable_through, 4),
		FIELD(durable_through, UINT64_MAX),
		FIELD(reserved[0], 1),
		FIELD(reserved[12], 1u << 31),
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_batch_header *h = batch_make();

		memcpy((uint8_t *)h + rows[i].at, &rows[i].value, rows[i].bytes);
		header_crc_renew(h);
		if (batch_header_good(h))
			fail_msg("row %zu was taken", i);
		free(h);
	}
}

static void batch_header_takes_the_largest_of_each_field(void **state)
{
	struct journal_batch_header *h = batch_make();

	(void)state;
	h->number = UINT64_MAX;
	h->durable_through = UINT64_MAX - 1;
	h->first_position = UINT64_MAX;
	h->entries = JOURNAL_BATCH_ENTRIES_MAX;
	h->padded_bytes = h->bytes = JOURNAL_BATCH_BYTES_MAX;
	header_crc_renew(h);
	assert_true(batch_header_good(h));
	free(h);
}

static void batch_header_is_refused_for_each_flipped_bit(void **state)
{
	struct journal_batch_header *h = batch_make();

	(void)state;
	for (size_t bit = 0; bit < sizeof(*h) * 8; bit++) {
		((uint8_t *)h)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(batch_header_good(h));
		((uint8_t *)h)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(batch_header_good(h));
	free(h);
}

static void batch_crc_finds_each_flipped_bit_behind_the_header(void **state)
{
	struct journal_batch_header *h = batch_make();

	(void)state;
	for (size_t bit = sizeof(*h) * 8; bit < BYTES * 8; bit++) {
		((uint8_t *)h)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(batch_crc_right(h));
		((uint8_t *)h)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(batch_crc_right(h));
	free(h);
}

static void batch_body_is_refused_for_each_broken_byte_with_its_reason(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *reason;
	} rows[] = {
		{ ENTRY_AT + 4, 0, "an entry of unknown kind" },
		{ ENTRY_AT + 4, ENTRY_KIND_COUNT, "an entry of unknown kind" },
		{ ENTRY_AT + 4, ENTRY_START, "an entry differs from its hash" },
		{ ENTRY_AT + 5, 1, "a reserved byte of an entry is set" },
		{ ENTRY_AT + 6, 8, "an entry differs from its hash" },
		{ ENTRY_AT + 3, 1, "an entry runs over the batch" },
		{ ENTRY_AT + 0, 200, "an entry runs over the batch" },
		{ ENTRY_AT + 0, 9, "an entry has bytes in its padding" },
		{ ENTRY_AT + 0, 11, "an entry differs from its hash" },
		{ ENTRY_AT + 24 + 10, 1, "an entry has bytes in its padding" },
		{ ENTRY_AT + 24 + 15, 1, "an entry has bytes in its padding" },
		{ ENTRY_AT + 8, 0xaa, "an entry differs from its hash" },
		{ ENTRY_AT + 24, 'x', "an entry differs from its hash" },
		{ ENTRY2_AT + 24 + 7, 'x', "an entry differs from its hash" },
		{ SEEN_AT + 2, 3, "the lines of a SEEN record run over the batch" },
		{ SEEN_AT + 3, 255, "the lines of a SEEN record run over the batch" },
		{ SEEN_AT + 2, 1, "bytes behind the last SEEN record" },
		{ SEEN_AT + 40 + 3, 1, "a reserved byte of a SEEN record is set" },
		{ SEEN_AT + 48 + 3, 1, "a reserved byte of a SEEN record is set" },
		{ SEEN_AT + 24, 4, "the chain does not continue" },
		{ 112, 0xaa, "the chain does not continue" },
		{ 40, 1, "bytes behind the last SEEN record" },
		{ 40, 3, "an entry of unknown kind" },
		{ 44, 0, "bytes behind the last SEEN record" },
		{ 44, 2, "a SEEN record runs over the batch" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_batch_header *h = batch_make();
		const char *wrong;

		((uint8_t *)h)[rows[i].at] = rows[i].value;
		batch_crc_set(h);
		wrong = batch_body_check(h, &before);
		if (!wrong || strcmp(wrong, rows[i].reason) != 0)
			fail_msg("row %zu: %s", i, wrong ? wrong : "taken");
		free(h);
	}
}

static void batch_body_cut_at_any_length_is_refused_and_not_read_over(void **state)
{
	struct journal_batch_header *h = batch_make();

	(void)state;
	for (size_t bytes = sizeof(*h); bytes < BYTES; bytes += 8) {
		struct journal_batch_header *cut = malloc(bytes);

		memcpy(cut, h, bytes);
		cut->bytes = bytes;
		batch_crc_set(cut);
		assert_non_null(batch_body_check(cut, &before));
		free(cut);
	}
	free(h);
}

static void batch_chain_depends_on_what_came_before(void **state)
{
	struct journal_batch_header *h = batch_make();
	struct hash128 other = { 5, 7 };

	(void)state;
	assert_string_equal(batch_body_check(h, &other), "the chain does not continue");
	free(h);
}

static void batch_entry_hash_binds_kind_source_and_length(void **state)
{
	struct hash128 h = batch_entry_hash(1, 2, "\0\0", 1);

	(void)state;
	assert_true(h.low != batch_entry_hash(2, 2, "\0\0", 1).low);
	assert_true(h.low != batch_entry_hash(1, 3, "\0\0", 1).low);
	assert_true(h.low != batch_entry_hash(1, 2, "\0\0", 2).low);
	assert_true(h.low == batch_entry_hash(1, 2, "\0\0", 1).low);
	/* XXH3 128 of nothing, seed 0, as its specification gives it. */
	h = batch_entry_hash(0, 0, "", 0);
	assert_true(h.high == UINT64_C(0x99aa06d3014798d8) && h.low == UINT64_C(0x6001c324468d497f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_that_keeps_the_rules_is_good),
		cmocka_unit_test(batch_header_is_refused_for_each_broken_field),
		cmocka_unit_test(batch_header_takes_the_largest_of_each_field),
		cmocka_unit_test(batch_header_is_refused_for_each_flipped_bit),
		cmocka_unit_test(batch_crc_finds_each_flipped_bit_behind_the_header),
		cmocka_unit_test(batch_body_is_refused_for_each_broken_byte_with_its_reason),
		cmocka_unit_test(batch_body_cut_at_any_length_is_refused_and_not_read_over),
		cmocka_unit_test(batch_chain_depends_on_what_came_before),
		cmocka_unit_test(batch_entry_hash_binds_kind_source_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
