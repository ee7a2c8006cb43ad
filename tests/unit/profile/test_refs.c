// needs: user/profile/refs.c user/base/region.c user/base/records.c user/base/money.c
/*
 * References: what is left of a transaction after each kind of event (decisions 14-17), as tables; which
 * parts are new; the ring that forgets by age and by number; records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <profile/refs.h>
#include <string.h>

enum { EUR = 978, USD = 840 };

static struct value base_of(int64_t base)
{
	return base < 0 ? (struct value){ .type = TYPE_INT, .status = VALUE_NO_DATA }
			: (struct value){ .type = TYPE_INT, .i = base };
}

struct step {
	enum { END, POST, REVERSE, RELEASE } what;
	int64_t amount, base; /* base -1: no rate */
	uint16_t currency;
	bool applies;
	int64_t left, left_base; /* left -1: out */
};

/* Each row: an authorised event of 100 EUR (or so), then steps. */
static const struct {
	int64_t amount, base;
	struct step steps[5];
} transactions[] = {
	{ 100,
	  300,
	  { { POST, 90, 270, EUR, true, 90, 270 },
	    { REVERSE, 90, 0, EUR, true, -1, 0 },
	    { POST, 100, 300, EUR, true, 10, 30 } } },
	{ 100,
	  300,
	  { { REVERSE, 100, 0, EUR, true, -1, 0 },
	    { POST, 100, 300, EUR, true, -1, 0 },
	    { POST, 101, 303, EUR, true, 1, 3 } } },
	{ 100,
	  300,
	  { { REVERSE, 30, 0, EUR, true, 70, 210 },
	    { REVERSE, 999, 0, EUR, true, -1, 0 },
	    { REVERSE, 1, 0, EUR, false, -1, 0 } } },
	{ 100,
	  300,
	  { { REVERSE, 30, 0, USD, false, 100, 300 },
	    { REVERSE, 0, 0, EUR, true, 100, 300 },
	    { POST, 20, 60, EUR, true, 20, 60 } } },
	{ 100,
	  300,
	  { { REVERSE, 30, 0, EUR, true, 70, 210 },
	    { POST, 20, 60, EUR, true, -1, 0 },
	    { POST, 31, 93, EUR, true, 1, 3 } } },
	{ 100,
	  300,
	  { { REVERSE, 30, 0, EUR, true, 70, 210 },
	    { RELEASE, 0, 0, 0, true, -1, 0 },
	    { POST, 100, 300, EUR, true, 70, 210 } } },
	{ 100,
	  300,
	  { { RELEASE, 0, 0, 0, true, -1, 0 },
	    { RELEASE, 0, 0, 0, false, -1, 0 },
	    { REVERSE, 1, 0, EUR, false, -1, 0 },
	    { POST, 0, 0, EUR, true, 0, 0 } } },
	{ 100, 300, { { POST, 100, 300, EUR, true, 100, 300 }, { RELEASE, 0, 0, 0, false, 100, 300 } } },
	{ 0,
	  0,
	  { { POST, 0, 0, EUR, true, 0, 0 },
	    { REVERSE, 0, 0, EUR, true, -1, 0 },
	    { POST, 0, 0, EUR, true, -1, 0 },
	    { POST, 5, 15, EUR, true, 5, 15 } } },
	/* half to even: 5 x 3 / 10 = 1.5, 5 x 5 / 10 = 2.5 */
	{ 10, 5, { { REVERSE, 7, 0, EUR, true, 3, 2 } } },
	{ 10, 5, { { REVERSE, 5, 0, EUR, true, 5, 2 } } },
	/* another currency: 30 of 100 EUR were 90 of base; of 40 USD worth 180 that is 20 */
	{ 100,
	  300,
	  { { REVERSE, 30, 0, EUR, true, 70, 210 },
	    { POST, 40, 180, USD, true, 20, 90 },
	    { REVERSE, 5, 0, EUR, false, 20, 90 },
	    { REVERSE, 5, 0, USD, true, 15, 68 } } },
	/* no rate: by its share, 30 % */
	{ 100, 300, { { REVERSE, 30, 0, EUR, true, 70, 210 }, { POST, 40, -1, USD, true, 28, -1 } } },
	{ 100, -1, { { REVERSE, 30, 0, EUR, true, 70, -1 }, { POST, 40, 180, USD, true, 28, 126 } } },
	{ 100,
	  300,
	  { { REVERSE, 30, 0, EUR, true, 70, 210 },
	    { POST, 0, 0, EUR, true, -1, 0 },
	    { POST, 50, 50, USD, true, -1, 0 } } },
	{ INT64_MAX,
	  INT64_MAX,
	  { { REVERSE, 1, 0, EUR, true, INT64_MAX - 1, INT64_MAX - 1 },
	    { REVERSE, INT64_MAX, 0, EUR, true, -1, 0 } } },
	{ INT64_MAX,
	  1,
	  { { REVERSE, INT64_MAX - 1, 0, EUR, true, 1, 0 },
	    { POST, 2, INT64_MAX, USD, true, 2, INT64_MAX } } },
	{ 1,
	  INT64_MAX,
	  { { POST, INT64_MAX, 1, EUR, true, INT64_MAX, 1 },
	    { REVERSE, 2, 0, EUR, true, INT64_MAX - 2, 1 },
	    { POST, 1, 1, USD, true, 1, 1 } } },
};

static void what_is_left_of_a_transaction(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof transactions / sizeof *transactions; row++) {
		struct value base = base_of(transactions[row].base);
		struct ref ref = { .flags = REF_COUNTED,
				   .amount = transactions[row].amount,
				   .base = base.i,
				   .base_status = base.status,
				   .currency = EUR };
		for (const struct step *s = transactions[row].steps; s->what != END; s++) {
			struct ref before = ref;
			bool applies = true;
			if (s->what == POST)
				ref_post(&ref, s->amount, base_of(s->base), s->currency);
			else if (s->what == REVERSE)
				applies = ref_reverse(&ref, s->amount, s->currency);
			else
				applies = ref_release(&ref);
			struct ref_left left = ref_left(&ref);
			bool good = applies == s->applies && left.out == (s->left < 0);
			good = good && (applies || memcmp(&before, &ref, sizeof ref) == 0);
			if (good && !left.out)
				good = left.amount == s->left &&
				       (s->left_base < 0 ? left.base_status == VALUE_NO_DATA
							 : left.base == s->left_base);
			if (!good)
				fail_msg("row %zu step %zu: applies %d out %d left %lld base %lld", row,
					 (size_t)(s - transactions[row].steps), applies, left.out,
					 (long long)left.amount, (long long)left.base);
		}
	}
}

static void what_does_not_count_cannot_be_taken_back(void **state)
{
	struct ref ref = { .flags = 0, .currency = EUR, .amount = 5 };

	(void)state;
	assert_false(ref_reverse(&ref, 1, EUR));
	assert_false(ref_release(&ref));
}

static void six_parts_are_remembered_and_no_seventh(void **state)
{
	struct ref ref = { 0 };

	(void)state;
	for (uint16_t i = 0; i < REF_PARTS_MAX; i++) {
		assert_int_equal(ref_note(&ref, i % 2 ? STAGE_POSTED : STAGE_AUTHORISED, (uint16_t)(i / 2)),
				 REF_PART_NEW);
		assert_int_equal(ref_note(&ref, i % 2 ? STAGE_POSTED : STAGE_AUTHORISED, (uint16_t)(i / 2)),
				 REF_PART_SEEN);
	}
	assert_int_equal(ref_note(&ref, STAGE_REQUEST, 0), REF_PART_FULL);
	assert_int_equal(ref_note(&ref, STAGE_AUTHORISED, 0), REF_PART_SEEN);
}

static struct key128 key_of(uint64_t i)
{
	return (struct key128){ .low = i * 7919, .high = i };
}

static void the_ring_forgets_its_oldest(void **state)
{
	struct refs r;

	(void)state;
	assert_int_equal(refs_init(&r, 5), 0);
	for (uint64_t i = 1; i <= 23; i++) {
		struct ref *ref = refs_add(&r, key_of(i), (int64_t)i, i * 10, 5);
		assert_true(ref->number == i && refs_find(&r, key_of(i)) == ref);
		assert_int_equal(refs_settled(&r, 1000), (i > 4 ? i - 4 : 1) * 10);
		for (uint64_t k = 1; k <= i; k++)
			assert_int_equal(refs_find(&r, key_of(k)) != NULL, k + 5 > i);
	}
	assert_int_equal(r.evicted, 18);
	refs_add(&r, key_of(24), 24, 240, 2); /* a smaller limit takes more */
	assert_true(r.table.count == 2 && r.evicted == 22);
	refs_expire(&r, 24);
	assert_true(r.table.count == 1 && refs_find(&r, key_of(24)) && r.evicted == 22);
	refs_expire(&r, 25);
	assert_true(r.table.count == 0);
	assert_int_equal(refs_settled(&r, 1000), 1000);
	refs_deinit(&r);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	struct refs r;

	(void)state;
	assert_true(refs_init(&r, 0) < 0);
	assert_true(refs_init(&r, UINT64_MAX) < 0);
}

enum { KEYS = 40, MAX = 7, NUMBERS = 5000, VALUE_BYTES = sizeof(struct ref) + 2 * sizeof(struct key128) };

/* What a store has of the ring, by number. */
struct shelf {
	bool has[NUMBERS];
	uint32_t bytes[NUMBERS];
	char value[NUMBERS][VALUE_BYTES];
};

static void shelf_put(struct shelf *shelf, const struct records *records)
{
	for (const struct record *rec = NULL; (rec = records_next(records, rec));) {
		uint64_t number;
		assert_int_equal(rec->key_bytes, sizeof number);
		memcpy(&number, record_key(rec), sizeof number);
		number = __builtin_bswap64(number);
		assert_true(number < NUMBERS && (!rec->gone || shelf->has[number]));
		shelf->has[number] = !rec->gone;
		shelf->bytes[number] = rec->value_bytes;
		assert_true(rec->value_bytes <= VALUE_BYTES);
		if (!rec->gone)
			memcpy(shelf->value[number], record_value(rec), rec->value_bytes);
	}
}

static void shelf_load(const struct shelf *shelf, struct refs *r)
{
	assert_int_equal(refs_init(r, MAX), 0);
	for (uint64_t n = NUMBERS; n-- > 0;) {
		uint64_t key = __builtin_bswap64(n);
		if (shelf->has[n])
			assert_true(refs_load(r, &key, sizeof key, shelf->value[n], shelf->bytes[n]));
	}
}

static void random_event(struct refs *r, uint64_t random, int now)
{
	struct ref *ref = refs_find(r, key_of(random % KEYS));

	if (!ref)
		ref = refs_add(r, key_of(random % KEYS), now, (uint64_t)now + 1, MAX);
	refs_changed(r, ref);
	(void)ref_note(ref, STAGE_POSTED, (uint16_t)(random >> 8 & 15));
	if (random % 5 == 0 && !ref->entered) { /* two further keys */
		ref->entered = 1 << PER_CUSTOMER | 1 << PER_COUNT | 1 << (PER_COUNT + 4);
		ref_more(r, ref)[0] = key_of(random);
		ref_more(r, ref)[4] = key_of(random + 1);
	}
	if (random % 11 == 0)
		refs_expire(r, now - 9);
}

/* Many generations of a small ring; cuts now and then, in steps with events between them: what is loaded is
 * the ring as it was cut. */
static void a_loaded_ring_is_the_one_that_was_cut(void **state)
{
	static struct shelf shelf;
	struct refs r, loaded;
	struct records records;
	uint64_t x = 99;
	int between = 0;

	(void)state;
	memset(&shelf, 0, sizeof shelf);
	assert_int_equal(refs_init(&r, MAX), 0);
	assert_int_equal(records_init(&records, 1 << 20), 0);
	for (int now = 0; now < 4000; now++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		random_event(&r, x >> 33, now);
		if ((x >> 33) % 13)
			continue;
		records_reset(&records);
		struct hash128 cut = refs_digest(&r);
		uint64_t first = r.first, next = r.next, evicted = r.evicted;
		refs_cut(&r, &records);
		for (uint32_t items = 1;; items = 1 + (uint32_t)(x >> 40) % 5) {
			if (refs_cut_step(&r, &items))
				break;
			x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			if ((x >> 33) % 3)
				random_event(&r, x >> 33, ++now), between++;
		}
		refs_cut_finish(&r);
		shelf_put(&shelf, &records);
		shelf_load(&shelf, &loaded);
		assert_true(refs_loaded(&loaded, first, next, (uint64_t)now + 2));
		loaded.evicted = evicted;
		struct hash128 back = refs_digest(&loaded);
		assert_true(cut.low == back.low && cut.high == back.high);
		struct hash128 here = refs_digest(&r);
		refs_deinit(cut.low == here.low ? &r
						: &loaded); /* nothing came between: go on with the copy */
		if (cut.low == here.low)
			r = loaded;
	}
	assert_true(between > 300);
	refs_deinit(&r);
	records_deinit(&records);
}

/* A cut that did not fit changes nothing: the next one has all of it. */
static void a_full_cut_loses_no_reference(void **state)
{
	static struct shelf shelf;
	struct refs r, loaded;
	struct records records, small;

	(void)state;
	memset(&shelf, 0, sizeof shelf);
	assert_int_equal(refs_init(&r, MAX), 0);
	assert_int_equal(records_init(&records, 1 << 20), 0);
	assert_int_equal(records_init(&small, 4096), 0);
	while (small.region.bytes - small.region.used > 500)
		assert_non_null(records_put(&small, RECORD_META, "k", 1, 8));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20; i++)
			random_event(&r, (uint64_t)(round * 20 + i) * 3 + 1, round * 20 + i);
		uint32_t items = UINT32_MAX;
		refs_cut(&r, round ? &records : &small);
		assert_true(refs_cut_step(&r, &items));
		refs_cut_finish(&r);
	}
	assert_true(small.full && !records.full);
	shelf_put(&shelf, &records);
	shelf_load(&shelf, &loaded);
	assert_true(refs_loaded(&loaded, r.first, r.next, 100));
	struct hash128 a = refs_digest(&r), b;
	loaded.evicted = r.evicted;
	b = refs_digest(&loaded);
	assert_true(a.low == b.low && a.high == b.high);
	refs_deinit(&loaded);
	refs_deinit(&r);
	records_deinit(&small);
	records_deinit(&records);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_of_a_transaction),
		cmocka_unit_test(what_does_not_count_cannot_be_taken_back),
		cmocka_unit_test(six_parts_are_remembered_and_no_seventh),
		cmocka_unit_test(the_ring_forgets_its_oldest),
		cmocka_unit_test(sizes_that_cannot_be_are_refused),
		cmocka_unit_test(a_loaded_ring_is_the_one_that_was_cut),
		cmocka_unit_test(a_full_cut_loses_no_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
