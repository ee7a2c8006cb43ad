// needs: user/profile/body.c user/catalogue/*.c user/cel/*.c user/base/[abm]*.c
/*
 * test_body.c: an event's body: reserved keys, declared fields, and everything that makes it BAD_BODY
 * (decisions 33).
 */
#include <profile/body.h>

#include "../bank_test.h"

struct reading {
	struct event_reserved body;
	struct value fields[BODY_FIELDS_MAX];
	const char *error;
	uint8_t bytes[8192];
	uint32_t count;
};

static struct catalogue *catalogue;

static int set_up(void **state)
{
	(void)state;
	catalogue = bank_compile("");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	catalogue_free(catalogue);
	return 0;
}

static const struct cat_event *purchase(void)
{
	return &catalogue->events[catalogue->event_by_code[1]];
}

static void read_bytes(struct reading *r, uint8_t flags, uint32_t count)
{
	struct frame_header h = { .kind = FRAME_EVENT, .type = 1, .flags = flags };

	r->error = body_read(catalogue, purchase(), &h, r->bytes, count, &r->body, r->fields);
}

static void read_json(struct reading *r, const char *json)
{
	r->count = body_pack(r->bytes, sizeof r->bytes, json);
	read_bytes(r, 0, r->count);
}

static const struct value *field(const struct reading *r, const char *name)
{
	for (unsigned i = 0; i < catalogue->field_count; i++)
		if (strcmp(catalogue->fields[i].name, name) == 0)
			return &r->fields[i];
	fail_msg("no field %s", name);
	return NULL;
}

static void body_gives_every_reserved_key(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"ref\": \"R1\", \"stage\": \"authorised\", \"of\": \"R0\", \"card\": \"c-9\", "
		      "\"original_amount\": 1200,"
		      "\"original_currency\": 840, \"verdict\": \"approve\"}");
	assert_null(r.error);
	assert_memory_equal(r.body.ref, "R1", 2);
	assert_int_equal(r.body.ref_bytes, 2);
	assert_memory_equal(r.body.of, "R0", 2);
	assert_int_equal(r.body.of_bytes, 2);
	assert_memory_equal(r.body.card, "c-9", 3);
	assert_int_equal(r.body.card_bytes, 3);
	assert_int_equal(r.body.stage, STAGE_AUTHORISED);
	assert_true(r.body.has_original_amount && r.body.original_amount == 1200);
	assert_true(r.body.has_original_currency && r.body.original_currency == 840);
}

static void body_gives_declared_fields_by_their_type(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"merchant\": \"Zoë\", \"items\": -3, \"ratio\": 0.5, \"gift\": true, \"due\": 17}");
	assert_null(r.error);
	assert_int_equal(field(&r, "merchant")->bytes, 4);
	assert_memory_equal(field(&r, "merchant")->s, "Zoë", 4);
	assert_int_equal(field(&r, "items")->i, -3);
	assert_true(field(&r, "ratio")->d == 0.5);
	assert_int_equal(field(&r, "gift")->i, 1);
	assert_int_equal(field(&r, "due")->i, 17);
	assert_int_equal(field(&r, "due")->type, TYPE_TIMESTAMP);
	for (unsigned i = 0; i < purchase()->field_count; i++)
		assert_int_equal(r.fields[purchase()->fields[i]].status, VALUE_OK);
}

static void body_without_bytes_is_the_empty_map(void **state)
{
	struct reading a, b;

	(void)state;
	read_json(&a, "");
	read_json(&b, "{}");
	assert_null(a.error);
	assert_null(b.error);
	assert_int_equal(a.body.stage, STAGE_POSTED);
	assert_null(a.body.ref);
	for (unsigned i = 0; i < catalogue->field_count; i++) {
		assert_int_equal(a.fields[i].status, VALUE_NO_DATA);
		assert_int_equal(a.fields[i].type, catalogue->fields[i].type);
	}
	assert_memory_equal(a.fields, b.fields, sizeof(struct value) * catalogue->field_count);
}

/* Each wrong value of each key, and what the reason names. */
static void body_refuses_values_of_another_type(void **state)
{
	static const struct {
		const char *json, *why;
	} rows[] = {
		{ "{\"ref\": 1}", "ref" },
		{ "{\"ref\": \"\"}", "1 to 64 bytes" },
		{ "{\"ref\": true}", "ref" },
		{ "{\"ref\": [\"R\"]}", "ref" },
		{ "{\"ref\": {\"a\": 1}}", "ref" },
		{ "{\"ref\": 1.5}", "ref" },
		{ "{\"of\": 1}", "of" },
		{ "{\"of\": \"\"}", "of" },
		{ "{\"of\": []}", "of" },
		{ "{\"card\": 4111}", "card" },
		{ "{\"card\": \"\"}", "card" },
		{ "{\"card\": {}}", "card" },
		{ "{\"stage\": 1}", "stage" },
		{ "{\"stage\": \"\"}", "stage" },
		{ "{\"stage\": \"Posted\"}", "stage" },
		{ "{\"stage\": \"post\"}", "stage" },
		{ "{\"stage\": \"postedx\"}", "stage" },
		{ "{\"stage\": [\"posted\"]}", "stage" },
		{ "{\"original_amount\": -1}", "original_amount" },
		{ "{\"original_amount\": \"1\"}", "original_amount" },
		{ "{\"original_amount\": 1.0}", "original_amount" },
		{ "{\"original_amount\": []}", "original_amount" },
		{ "{\"original_currency\": \"EUR\"}", "original_currency" },
		{ "{\"original_currency\": -978}", "original_currency" },
		{ "{\"original_currency\": true}", "original_currency" },
		{ "{\"verdict\": 1}", "verdict" },
		{ "{\"verdict\": {\"type\": \"approve\"}}", "verdict" },
		{ "{\"merchant\": 5}", "another type" },
		{ "{\"merchant\": false}", "another type" },
		{ "{\"merchant\": [\"a\", \"b\"]}", "another type" },
		{ "{\"items\": 1.0}", "another type" },
		{ "{\"items\": \"1\"}", "another type" },
		{ "{\"items\": true}", "another type" },
		{ "{\"ratio\": \"0.5\"}", "another type" },
		{ "{\"ratio\": true}", "another type" },
		{ "{\"gift\": 1}", "another type" },
		{ "{\"gift\": \"true\"}", "another type" },
		{ "{\"due\": \"2026-01-01T00:00:00Z\"}", "another type" },
		{ "{\"due\": 1.0}", "another type" },
		{ "{\"due\": {}}", "another type" },
		{ "{\"items\": 1, \"ref\": \"R\", \"gift\": 0}", "another type" },
	};
	struct reading r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		read_json(&r, rows[i].json);
		if (!r.error || !strstr(r.error, rows[i].why))
			fail_msg("%s: %s", rows[i].json, r.error ? r.error : "taken");
	}
}

/* An int above 63 bits is no int of ours: original_amount and a declared int alike. */
static void body_refuses_an_int_above_63_bits(void **state)
{
	static const char *const keys[] = { "original_amount", "items", "due", "ratio" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct reading r;
		struct pack_writer w;
		pack_writer_init(&w, r.bytes, sizeof r.bytes);
		pack_map(&w, 1);
		pack_text(&w, keys[i]);
		pack_uint(&w, UINT64_C(1) << 63);
		read_bytes(&r, 0, (uint32_t)pack_bytes(&w));
		if (!r.error)
			fail_msg("%s = 2^63 was taken", keys[i]);
	}
}

static void body_takes_strings_up_to_their_maximum(void **state)
{
	static const struct {
		const char *key;
		unsigned max;
	} rows[] = { { "ref", REF_BYTES_MAX },
		     { "of", REF_BYTES_MAX },
		     { "card", REF_BYTES_MAX },
		     { "merchant", STRING_BYTES_MAX } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (unsigned more = 0; more < 2; more++) {
			struct reading r;
			struct pack_writer w;
			char text[STRING_BYTES_MAX + 1];
			memset(text, 'x', sizeof text);
			pack_writer_init(&w, r.bytes, sizeof r.bytes);
			pack_map(&w, 1);
			pack_text(&w, rows[i].key);
			pack_string(&w, text, rows[i].max + more);
			read_bytes(&r, 0, (uint32_t)pack_bytes(&w));
			if ((r.error != NULL) != (more == 1))
				fail_msg("%s of %u bytes: %s", rows[i].key, rows[i].max + more,
					 r.error ? r.error : "taken");
		}
	}
}

static void body_takes_an_int_for_a_double(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"ratio\": -7}");
	assert_null(r.error);
	assert_true(field(&r, "ratio")->d == -7.0);
	assert_int_equal(field(&r, "ratio")->type, TYPE_DOUBLE);
}

static void body_takes_nil_for_absent(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"ref\": null, \"stage\": null, \"of\": null, \"card\": null, \"original_amount\": "
		      "null, \"original_currency\": null,"
		      "\"verdict\": null, \"merchant\": null, \"items\": null, \"ratio\": null, \"gift\": "
		      "null, \"due\": null}");
	assert_null(r.error);
	assert_true(!r.body.ref && !r.body.of && !r.body.card && !r.body.has_original_amount &&
		    !r.body.has_original_currency);
	assert_int_equal(r.body.stage, STAGE_POSTED);
	for (unsigned i = 0; i < catalogue->field_count; i++)
		assert_int_equal(r.fields[i].status, VALUE_NO_DATA);
}

static void body_ignores_unknown_keys_with_all_that_they_contain(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"x\": [1, {\"ref\": 5, \"items\": \"no\"}, []], \"refs\": 1, \"re\": 1, \"Ref\": 7, "
		      "\"items\": 4, \"stages\": {\"stage\": 1}}");
	assert_null(r.error);
	assert_null(r.body.ref);
	assert_int_equal(field(&r, "items")->i, 4);
	assert_int_equal(field(&r, "merchant")->status, VALUE_NO_DATA);
}

static void body_refuses_every_truncation(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"ref\": \"R1\", \"stage\": \"posted\", \"items\": 70000, \"ratio\": 0.25, "
		      "\"merchant\": \"a shop\", \"x\": [1, 2, {\"y\": null}]}");
	assert_null(r.error);
	for (uint32_t count = 1; count < r.count; count++) {
		read_bytes(&r, 0, count);
		if (!r.error)
			fail_msg("%u of %u bytes were taken", count, r.count);
	}
}

static void body_refuses_bytes_behind_the_map(void **state)
{
	struct reading r;

	(void)state;
	read_json(&r, "{\"items\": 1}");
	r.bytes[r.count] = 0xc0;
	read_bytes(&r, 0, r.count + 1);
	assert_non_null(r.error);
}

static void body_refuses_what_is_no_map(void **state)
{
	static const uint8_t first[] = { 0xc0, 0x01, 0x90, 0xa0, 0xc1, 0xcc, 0xd4 };
	struct reading r;

	(void)state;
	for (size_t i = 0; i < sizeof first; i++) {
		r.bytes[0] = first[i];
		read_bytes(&r, 0, 1);
		if (!r.error)
			fail_msg("0x%02x was taken", first[i]);
	}
}

static void body_refuses_a_key_twice(void **state)
{
	static const char *const keys[] = { "ref", "stage", "items", "unknown" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct reading r;
		struct pack_writer w;
		pack_writer_init(&w, r.bytes, sizeof r.bytes);
		pack_map(&w, 2);
		for (unsigned k = 0; k < 2; k++) {
			pack_text(&w, keys[i]);
			pack_nil(&w);
		}
		read_bytes(&r, 0, (uint32_t)pack_bytes(&w));
		if (!r.error)
			fail_msg("%s twice was taken", keys[i]);
	}
}

static void body_knows_all_stages_and_their_defaults(void **state)
{
	static const struct {
		const char *json;
		uint8_t flags;
		enum event_stage stage;
	} rows[] = {
		{ "{}", 0, STAGE_POSTED },
		{ "{}", FRAME_VERDICT_WANTED, STAGE_REQUEST },
		{ "{\"stage\": null}", FRAME_VERDICT_WANTED, STAGE_REQUEST },
		{ "", FRAME_VERDICT_WANTED | FRAME_MAYBE_REPEAT, STAGE_REQUEST },
		{ "{}", FRAME_REVERSAL, STAGE_POSTED },
		{ "{\"stage\": \"request\"}", 0, STAGE_REQUEST },
		{ "{\"stage\": \"authorised\"}", FRAME_VERDICT_WANTED, STAGE_AUTHORISED },
		{ "{\"stage\": \"posted\"}", FRAME_VERDICT_WANTED, STAGE_POSTED },
		{ "{\"stage\": \"released\"}", 0, STAGE_RELEASED },
	};
	struct reading r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t count = body_pack(r.bytes, sizeof r.bytes, rows[i].json);
		read_bytes(&r, rows[i].flags, count);
		assert_null(r.error);
		assert_int_equal(r.body.stage, rows[i].stage);
	}
}

static void body_of_an_unknown_type_gives_reserved_keys_only(void **state)
{
	struct frame_header h = { .kind = FRAME_EVENT, .type = 999 };
	struct reading r;

	(void)state;
	r.count = body_pack(r.bytes, sizeof r.bytes, "{\"ref\": \"R\", \"items\": \"of no type\"}");
	assert_null(body_read(catalogue, NULL, &h, r.bytes, r.count, &r.body, r.fields));
	assert_int_equal(r.body.ref_bytes, 1);
	assert_int_equal(field(&r, "items")->status, VALUE_NO_DATA);
	r.count = body_pack(r.bytes, sizeof r.bytes, "{\"ref\": 5}");
	assert_non_null(body_read(catalogue, NULL, &h, r.bytes, r.count, &r.body, r.fields));
}

/* `merchant` is declared for purchases and declines, `items` for purchases alone. */
static void body_leaves_fields_that_its_type_does_not_declare(void **state)
{
	struct frame_header h = { .kind = FRAME_EVENT, .type = 2 };
	const struct cat_event *declined = &catalogue->events[catalogue->event_by_code[2]];
	struct reading r;

	(void)state;
	r.count = body_pack(r.bytes, sizeof r.bytes, "{\"merchant\": \"m\", \"items\": \"text\"}");
	assert_null(body_read(catalogue, declined, &h, r.bytes, r.count, &r.body, r.fields));
	assert_int_equal(field(&r, "merchant")->status, VALUE_OK);
	assert_int_equal(field(&r, "items")->status, VALUE_NO_DATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_gives_every_reserved_key),
		cmocka_unit_test(body_gives_declared_fields_by_their_type),
		cmocka_unit_test(body_without_bytes_is_the_empty_map),
		cmocka_unit_test(body_refuses_values_of_another_type),
		cmocka_unit_test(body_refuses_an_int_above_63_bits),
		cmocka_unit_test(body_takes_strings_up_to_their_maximum),
		cmocka_unit_test(body_takes_an_int_for_a_double),
		cmocka_unit_test(body_takes_nil_for_absent),
		cmocka_unit_test(body_ignores_unknown_keys_with_all_that_they_contain),
		cmocka_unit_test(body_refuses_every_truncation),
		cmocka_unit_test(body_refuses_bytes_behind_the_map),
		cmocka_unit_test(body_refuses_what_is_no_map),
		cmocka_unit_test(body_refuses_a_key_twice),
		cmocka_unit_test(body_knows_all_stages_and_their_defaults),
		cmocka_unit_test(body_of_an_unknown_type_gives_reserved_keys_only),
		cmocka_unit_test(body_leaves_fields_that_its_type_does_not_declare),
	};

	return cmocka_run_group_tests_name("body", tests, set_up, tear_down);
}
