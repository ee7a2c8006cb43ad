// needs: user/catalogue/*.c user/cel/*.c user/base/arena.c user/base/money.c user/base/bytes.c
/*
 * test_zones.c: which catalogues carry the zones of the world, that their offsets are right, and that a blob
 * brings them along and nothing else.
 */
#include "catalogue_test.h"

static const char zoned_yaml[] = "bank: { currency: EUR, zone: Europe/Madrid, language: en }\n"
				 "events: { a: { code: 1 } }\n"
				 "profile: { zone: { type: string, default: Asia/Kolkata } }\n"
				 "aggregates: { x: { over: [a], count: true, calendar: day } }\n";

static struct compiled compile_good(const char *yaml)
{
	struct compiled k = compile_files("a.yaml", yaml, NULL);

	if (k.rc != 0)
		fail_msg("%s", k.text);
	return k;
}

static struct value text(const char *s)
{
	return (struct value){ .type = TYPE_STRING, .bytes = (uint32_t)strlen(s), .s = s };
}

static int32_t offset_of(const struct catalogue *c, const char *name, int64_t s)
{
	struct value v = text(name);
	const struct zone *zone = catalogue_zone(c, &v);

	assert_string_equal(zone->name, name);
	return zone_offset_s(zone, s);
}

static void zones_are_there_only_when_a_customers_zone_can_show(void **state)
{
	static const struct {
		const char *more;
		bool zones;
	} rows[] = {
		{ "aggregates: { x: { over: [a], count: true, calendar: week } }\n"
		  "profile: { zone: { type: string } }\n",
		  true },
		{ "aggregates: { x: { over: [a], count: true, calendar: week } }\n", false },
		{ "profile: { zone: { type: string } }\n", false },
		{ "profile: { zone: { type: string } }\n"
		  "fraud: { rules: { r: { events: [a], score: 1, when: 'local(event.time).getHours() < 5' } "
		  "} }\n",
		  true },
		{ "profile: { zone: { type: string } }\n"
		  "fraud: { rules: { r: { events: [a], score: 1, when: '[1, event.mcc].exists(x, "
		  "local(event.time).getHours() < x)' } } }\n",
		  true },
		{ "profile: { zone: { type: string } }\n"
		  "aggregates: { x: { over: [a], count: true, where: 'local(event.time).getHours() < 5' } "
		  "}\n",
		  true },
		{ "fraud: { rules: { r: { events: [a], score: 1, when: 'local(event.time).getHours() < 5' } "
		  "} }\n",
		  false },
		{ "profile: { zone: { type: string } }\n"
		  "fraud: { rules: { r: { events: [a], score: 1, when: 'event.time.getHours(\"+01:00\") < 5' "
		  "} } }\n",
		  false },
		{ "fraud: { rules: { r: { events: [a], score: 1, when: 'event.time.getHours(\"Asia/Tokyo\") "
		  "< 5' } } "
		  "}\n",
		  true },
		{ "aggregates: { x: { over: [a], count: true, within: 1d } }\n"
		  "profile: { zone: { type: string } }\n",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct compiled k =
			compile_files("a.yaml", "bank: { currency: EUR }\nevents: { a: { code: 1 } }\n",
				      "b.yaml", rows[i].more, NULL);
		assert_int_equal(k.rc, 0);
		assert_int_equal(k.c->zone_count > 500, rows[i].zones);
		assert_int_equal(k.c->zone_count > 0, rows[i].zones);
		compiled_free(&k);
	}
}

/* Facts of the time zone database, to the second of a change. */
static void zones_have_the_offsets_of_their_places(void **state)
{
	static const struct {
		const char *name;
		int64_t s;
		int32_t offset;
	} rows[] = {
		{ "Europe/Madrid", 1774745999, 3600 }, /* 2026-03-29T00:59:59Z */
		{ "Europe/Madrid", 1774746000, 7200 }, /* one second later */
		{ "Europe/Madrid", 1792889999, 7200 }, /* 2026-10-25T00:59:59Z */
		{ "Europe/Madrid", 1792890000, 3600 },
		{ "America/New_York", 1772953199, -18000 }, /* 2026-03-08T06:59:59Z */
		{ "America/New_York", 1772953200, -14400 },
		{ "Asia/Kolkata", 1774746000, 19800 },
		{ "Australia/Lord_Howe", 1767225600, 39600 }, /* 2026-01-01: half an hour of summer time */
		{ "Australia/Lord_Howe", 1782864000, 37800 }, /* 2026-07-01 */
		{ "Pacific/Apia", 1325239199, -36000 }, /* 2011-12-30T09:59:59Z, then a day is left out */
		{ "Pacific/Apia", 1325239200, 50400 },
		{ "UTC", 0, 0 },
		{ "Europe/Madrid", 2826230400, 7200 }, /* 2059-07-24: rules go on to the end */
	};
	struct compiled k = compile_good(zoned_yaml);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (offset_of(k.c, rows[i].name, rows[i].s) != rows[i].offset)
			fail_msg("%s at %lld: %d", rows[i].name, (long long)rows[i].s,
				 offset_of(k.c, rows[i].name, rows[i].s));
	compiled_free(&k);
}

/* An accessor's zone, from ICU and from the blob. */
static void zones_are_those_of_accessors(void **state)
{
	struct compiled k = compile_good("bank: { currency: EUR }\nevents: { a: { code: 1 } }\n"
					 "fraud: { rules: { r: { events: [a], score: 1, when: "
					 "'event.time.getHours(\"Europe/Madrid\") == 14' } "
					 "} }\n");
	struct value fields[FIELD_COUNT] = { 0 };
	struct cel_env env = { .space = { [SPACE_EVENT] = fields } };
	struct catalogue *again;

	(void)state;
	assert_int_equal(catalogue_compile_blob(k.c->blob, k.c->blob_bytes, &again, &k.problems), 0);
	for (int64_t hour = 0; hour < 24; hour++) { /* of 2026-07-01, summer time */
		fields[FIELD_time] = (struct value){ .type = TYPE_TIMESTAMP,
						     .i = (1782864000 + hour * 3600) * 1000000000 };
		assert_int_equal(cel_eval(&k.c->rules[0].when, &env).i, hour == 12);
		assert_int_equal(cel_eval(&again->rules[0].when, &env).i, hour == 12);
	}
	catalogue_free(again);
	compiled_free(&k);
}

static void zones_stand_by_name_and_share_offsets(void **state)
{
	struct compiled k = compile_good(zoned_yaml);
	struct value alias = text("Asia/Calcutta"), name = text("Asia/Kolkata");

	(void)state;
	for (unsigned i = 0; i < k.c->zone_count; i++) {
		const struct zone *z = &k.c->zones[i];
		assert_true(i == 0 || strcmp(k.c->zones[i - 1].name, z->name) < 0);
		assert_true(z->count > 0 && z->from_s[0] == INT64_MIN);
		for (unsigned j = 1; j < z->count; j++)
			assert_true(z->from_s[j - 1] < z->from_s[j]);
	}
	assert_ptr_equal(catalogue_zone(k.c, &alias)->from_s, catalogue_zone(k.c, &name)->from_s);
	compiled_free(&k);
}

static void zones_unknown_or_no_data_are_the_banks(void **state)
{
	struct compiled k = compile_good(zoned_yaml);
	struct value wrong = text("Europe/Madri"), longer = text("Europe/Madrids"), none = text("UTC");

	(void)state;
	none.status = VALUE_NO_DATA;
	assert_ptr_equal(catalogue_zone(k.c, &wrong), &k.c->zone);
	assert_ptr_equal(catalogue_zone(k.c, &longer), &k.c->zone);
	assert_ptr_equal(catalogue_zone(k.c, &none), &k.c->zone);
	compiled_free(&k);
}

static void zone_of_the_profile_is_checked(void **state)
{
	struct compiled k = compile_files("a.yaml", zoned_yaml, "b.yaml", "", NULL);
	char yaml[sizeof zoned_yaml];

	(void)state;
	compiled_free(&k);
	memcpy(yaml, zoned_yaml, sizeof yaml);
	memcpy(strstr(yaml, "Kolkata"), "Kolkato", 7);
	k = compile_files("a.yaml", yaml, NULL);
	assert_string_equal(
		k.text, "a.yaml:3:43: found 'Asia/Kolkato', expected a time zone such as Europe/Madrid\n");
	compiled_free(&k);
	k = compile_files("a.yaml", "bank: { currency: EUR }\nprofile: { zone: { type: int } }\n", NULL);
	assert_string_equal(k.text, "a.yaml:2:12: found the attribute 'zone' as int, expected string\n");
	compiled_free(&k);
}

/* --- the blob --- */

static bool blob_is_good(const struct catalogue *c, const void *blob, size_t bytes)
{
	struct catalogue *again;
	struct problems problems;
	int rc;

	problems_init(&problems);
	rc = catalogue_compile_blob(blob, bytes, &again, &problems);
	if (rc == 0) {
		assert_int_equal(again->zone_count, c->zone_count);
		for (unsigned i = 0; i < c->zone_count; i++) {
			assert_string_equal(again->zones[i].name, c->zones[i].name);
			assert_int_equal(again->zones[i].count, c->zones[i].count);
			assert_memory_equal(again->zones[i].offset_s, c->zones[i].offset_s,
					    c->zones[i].count * sizeof(int32_t));
		}
		assert_true(again->hash.low == c->hash.low && again->hash.high == c->hash.high);
		catalogue_free(again);
	}
	problems_deinit(&problems);
	return rc == 0;
}

static void blob_brings_the_zones(void **state)
{
	struct compiled k = compile_good(zoned_yaml);

	(void)state;
	assert_true(blob_is_good(k.c, k.c->blob, k.c->blob_bytes));
	print_message("%zu bytes with %u zones\n", k.c->blob_bytes, k.c->zone_count);
	assert_true(k.c->blob_bytes < CATALOGUE_BYTES_MAX / 4);
	compiled_free(&k);
}

static void blob_is_refused_when_its_zones_are_cut(void **state)
{
	struct compiled k = compile_good(zoned_yaml);
	size_t start = sizeof zoned_yaml, step = 997;

	(void)state;
	for (size_t n = start; n < k.c->blob_bytes; n += step)
		assert_false(blob_is_good(k.c, k.c->blob, n));
	compiled_free(&k);
}

/* Files that need no zones with a blob that has them, and the other way round: one catalogue, one hash. */
static void blob_is_refused_with_zones_that_nobody_needs_or_without_those_needed(void **state)
{
	struct compiled k = compile_good(zoned_yaml), plain;
	char *blob = malloc(k.c->blob_bytes), yaml[sizeof zoned_yaml];

	(void)state;
	memcpy(yaml, zoned_yaml, sizeof yaml);
	memcpy(strstr(yaml, "calendar: day"), "within:    9d", 13);
	plain = compile_good(yaml);
	assert_int_equal(plain.c->zone_count, 0);

	memcpy(blob, k.c->blob, k.c->blob_bytes);
	memcpy(memmem(blob, k.c->blob_bytes, "calendar: day", 13), "within:    9d", 13);
	assert_false(blob_is_good(k.c, blob, k.c->blob_bytes));
	memcpy(blob, plain.c->blob, plain.c->blob_bytes);
	memcpy(memmem(blob, plain.c->blob_bytes, "within:    9d", 13), "calendar: day", 13);
	assert_false(blob_is_good(plain.c, blob, plain.c->blob_bytes));
	free(blob);
	compiled_free(&plain);
	compiled_free(&k);
}

/* A table out of order or with an offset of its own that an earlier zone has. */
static void blob_is_refused_with_zones_out_of_order(void **state)
{
	struct compiled k = compile_good(zoned_yaml);
	char *blob = malloc(k.c->blob_bytes), *at;

	(void)state;
	memcpy(blob, k.c->blob, k.c->blob_bytes);
	at = memmem(blob, k.c->blob_bytes, "America/Lima", 12);
	assert_non_null(at);
	memcpy(at, "America/Aima", 12);
	assert_false(blob_is_good(k.c, blob, k.c->blob_bytes));
	free(blob);
	compiled_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zones_are_there_only_when_a_customers_zone_can_show),
		cmocka_unit_test(zones_have_the_offsets_of_their_places),
		cmocka_unit_test(zones_are_those_of_accessors),
		cmocka_unit_test(zones_stand_by_name_and_share_offsets),
		cmocka_unit_test(zones_unknown_or_no_data_are_the_banks),
		cmocka_unit_test(zone_of_the_profile_is_checked),
		cmocka_unit_test(blob_brings_the_zones),
		cmocka_unit_test(blob_is_refused_when_its_zones_are_cut),
		cmocka_unit_test(blob_is_refused_with_zones_that_nobody_needs_or_without_those_needed),
		cmocka_unit_test(blob_is_refused_with_zones_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
