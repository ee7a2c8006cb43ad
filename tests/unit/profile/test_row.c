// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * test_row.c: rows across layouts: what an attribute reads as after catalogues have come and gone, what is
 * refused, the order of subscriptions, sleeping kinds and parameters, the edges of presence bits and strings.
 */
#include "store_test.h"

#include <errno.h>

struct fixture {
	struct store *s;
	char *dir;
	uint64_t hash;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->dir = directory_new();
	f->s = store_at(f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	directory_free(f->dir);
	free(f);
	return 0;
}

/* "name:type name:type ..." with types b i d s t m u (duration); `kinds` by name. Activated. */
static struct fake *activate(struct fixture *f, const char *attributes, const char *kinds)
{
	static const char letters[] = "bidstum";
	static const enum value_type types[] = { TYPE_BOOL,	 TYPE_INT,	TYPE_DOUBLE, TYPE_STRING,
						 TYPE_TIMESTAMP, TYPE_DURATION, TYPE_MONEY };
	struct fake *fake = fake_new(++f->hash);
	char *copy = strdup(attributes), *rest = NULL;

	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		char *colon = strchr(word, ':');
		*colon = 0;
		fake_attribute(fake, strdup(word), types[strchr(letters, colon[1]) - letters]);
	}
	free(copy);
	copy = strdup(kinds);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		fake_kind(fake, strdup(word));
	free(copy);
	store_activate_good(f->s, &fake->c);
	return fake;
}

static void fake_free(struct fake *fake)
{
	for (int i = 0; i < fake->c.attribute_count; i++)
		free((char *)fake->attributes[i].name);
	for (int i = 1; i < fake->c.rule_count; i++)
		free((char *)fake->rules[i].name);
	free(fake);
}

/* Values of customer 1 as text: "1 -5 'x' -": - is no data. */
static const char *shown(struct fixture *f, const struct fake *fake)
{
	static char text[4096];
	struct value v[ATTRIBUTES_MAX];
	char *at = text;

	row_profile(f->s, &fake->c, store_customer(f->s, 1), v);
	*at = 0;
	for (int i = 0; i < fake->c.attribute_count; i++) {
		at += sprintf(at, "%s", i ? " " : "");
		if (v[i].status == VALUE_NO_DATA)
			at += sprintf(at, "-");
		else if (v[i].type == TYPE_STRING)
			at += sprintf(at, "'%.*s'", (int)v[i].bytes, v[i].s);
		else if (v[i].type == TYPE_DOUBLE)
			at += sprintf(at, "%g", v[i].d);
		else if (v[i].type == TYPE_MONEY)
			at += sprintf(at, "%lld/%u", (long long)v[i].i, v[i].currency);
		else
			at += sprintf(at, "%lld", (long long)v[i].i);
	}
	return text;
}

static void reopen(struct fixture *f)
{
	checkpoint_good(f->s);
	store_close(f->s);
	f->s = store_at(f->dir);
}

static void attributes_are_found_by_name_in_every_layout(void **state)
{
	struct fixture *f = *state;
	struct fake *a = activate(f, "one:i two:s three:m", "");

	assert_int_equal(profile_json(f->s, &a->c, 1,
				      "{\"set\": {\"one\": 1, \"two\": \"zwei\", \"three\": \"3 EUR\"}}"),
			 CHANGE_APPLIED);
	for (int disk = 0; disk < 2; disk++) {
		struct fake *b = activate(f, "three:m new:b one:i", "");
		assert_string_equal(shown(f, b), "300/978 - 1");
		struct fake *c = activate(f, "new:b", "");
		assert_string_equal(shown(f, c), "-");
		struct fake *d = activate(f, "", "");
		assert_string_equal(shown(f, d), "");
		struct fake *e = activate(f, "two:s three:m one:i", "");
		assert_string_equal(shown(f, e), "'zwei' 300/978 1");
		fake_free(b);
		fake_free(c);
		fake_free(d);
		fake_free(e);
		reopen(f);
	}
	fake_free(a);
}

/* Changed while the catalogue does not have it, an attribute still has its value when it comes back. */
static void a_dropped_attribute_sleeps(void **state)
{
	struct fixture *f = *state;
	struct fake *a = activate(f, "one:i two:s", ""), *b, *c;

	profile_json(f->s, &a->c, 1, "{\"set\": {\"one\": 1, \"two\": \"zwei\"}}");
	reopen(f);
	b = activate(f, "other:d one:i", "");
	assert_int_equal(profile_json(f->s, &b->c, 1, "{\"set\": {\"other\": 2.5}}"), CHANGE_APPLIED);
	assert_int_equal(profile_json(f->s, &b->c, 1, "{\"set\": {\"two\": \"due\"}}"), CHANGE_REFUSED);
	assert_int_equal(profile_json(f->s, &b->c, 1, "{\"unset\": [\"two\"]}"), CHANGE_REFUSED);
	assert_string_equal(shown(f, b), "2.5 1");
	reopen(f);
	c = activate(f, "two:s other:d", "");
	assert_string_equal(shown(f, c), "'zwei' 2.5");
	fake_free(a);
	fake_free(b);
	fake_free(c);
}

static void a_new_type_needs_a_new_name(void **state)
{
	struct fixture *f = *state;
	struct fake *a = activate(f, "one:i two:s", ""), *b = fake_new(100), *c;

	profile_json(f->s, &a->c, 1, "{\"set\": {\"one\": 1}}");
	fake_attribute(b, "two", TYPE_STRING);
	fake_attribute(b, "one", TYPE_STRING);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_can_activate(f->s, &b->c, test_why, sizeof test_why), -EINVAL);
		assert_int_equal(store_activate(f->s, &b->c, test_why, sizeof test_why), -EINVAL);
		assert_non_null(
			strstr(test_why,
			       "profile attribute 'one' is int in this store and string in the catalogue"));
		if (i == 0) /* the old one is still in force */
			assert_string_equal(shown(f, a), "1 -");
		if (i == 0)
			reopen(f);
		if (i == 1) { /* also when it sleeps */
			c = activate(f, "two:s", "");
			fake_free(c);
		}
	}
	b->c.attribute_count = 1;
	store_activate_good(f->s, &b->c);
	fake_free(a);
	free(b);
}

static void types_are_compared_and_nothing_else(void **state)
{
	static const char *const types[] = { "b", "i", "d", "s", "t", "u", "m" };
	struct fixture *f = *state;
	char text[16];

	for (size_t i = 0; i < 7; i++) {
		char *dir = directory_new();
		struct fixture g = { .s = store_at(dir), .dir = dir };
		snprintf(text, sizeof text, "x:%s", types[i]);
		fake_free(activate(&g, text, ""));
		for (size_t k = 0; k < 7; k++) {
			struct fake *fake = fake_new(500);
			fake_attribute(fake, "x",
				       (enum value_type[]){ TYPE_BOOL, TYPE_INT, TYPE_DOUBLE, TYPE_STRING,
							    TYPE_TIMESTAMP, TYPE_DURATION, TYPE_MONEY }[k]);
			assert_int_equal(store_can_activate(g.s, &fake->c, test_why, sizeof test_why),
					 i == k ? 0 : -EINVAL);
			free(fake);
		}
		store_close(g.s);
		directory_free(dir);
	}
	(void)f;
}

/* 1, 63, 64, 65, 128, 256 attributes: each alone, then all. */
static void presence_bits_hold_at_the_edges_of_words(void **state)
{
	static const int counts[] = { 1, 63, 64, 65, 128, ATTRIBUTES_MAX };
	static char names[ATTRIBUTES_MAX][16];
	struct fixture *f = *state;
	struct value v[ATTRIBUTES_MAX];
	char json[64];

	for (int i = 0; i < ATTRIBUTES_MAX; i++)
		snprintf(names[i], 16, "n%d", i);
	for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
		struct fake *fake = fake_new(1000 + k);
		for (int i = 0; i < counts[k]; i++)
			fake_attribute(fake, names[i], i % 5 == 3 ? TYPE_MONEY : TYPE_INT);
		store_activate_good(f->s, &fake->c);
		for (int i = 0; i < counts[k]; i++) {
			snprintf(json, sizeof json,
				 i % 5 == 3 ? "{\"set\": {\"n%d\": \"%d EUR\"}}" : "{\"set\": {\"n%d\": %d}}",
				 i, i);
			assert_int_equal(profile_json(f->s, &fake->c, 10 + i, json), CHANGE_APPLIED);
			assert_int_equal(profile_json(f->s, &fake->c, 1, json), CHANGE_APPLIED);
		}
		for (int i = 0; i <= counts[k]; i++) {
			row_profile(f->s, &fake->c, store_customer(f->s, i == counts[k] ? 1 : 10 + i), v);
			for (int a = 0; a < counts[k]; a++)
				if (a == i || i == counts[k])
					assert_true(v[a].status == VALUE_OK &&
						    v[a].i == (a % 5 == 3 ? a * 100 : a));
				else
					assert_int_equal(v[a].status, VALUE_NO_DATA);
		}
		free(fake);
	}
}

static void strings_of_every_length_are_kept(void **state)
{
	struct fixture *f = *state;
	struct fake *fake = activate(f, "a:s b:s", "");
	struct value v[2];
	char json[4096], text[STRING_BYTES_MAX + 1];

	for (int n = 0; n <= STRING_BYTES_MAX; n += n < 20 || n > 1000 ? 1 : 37) {
		memset(text, 'a' + n % 26, (size_t)n);
		text[n] = 0;
		snprintf(json, sizeof json, "{\"set\": {\"a\": \"%s\", \"b\": \"%.3s\"}}", text, text);
		assert_int_equal(profile_json(f->s, &fake->c, 1, json), CHANGE_APPLIED);
		const struct row *row = store_customer(f->s, 1);
		assert_true(row->bytes % 8 == 0);
		row_profile(f->s, &fake->c, row, v);
		assert_true(v[0].bytes == (uint32_t)n && v[1].bytes == (uint32_t)(n < 3 ? n : 3));
		assert_memory_equal(v[0].s, text, (size_t)n);
	}
	fake_free(fake);
}

static void a_provisional_customer_has_no_data(void **state)
{
	struct fixture *f = *state;
	struct fake *fake = activate(f, "a:i b:s", "kind");
	struct row_cursor cursor;

	fake->attributes[0].initial = (struct value){ .type = TYPE_INT, .i = 5 };
	assert_string_equal(shown(f, fake), "- -"); /* no row at all */
	row_subscriptions(f->s, &fake->c, NULL, &cursor);
	assert_false(row_subscription_next(&cursor));
	subscribe_json(f->s, &fake->c, 1, "{\"kind\": \"kind\"}");
	assert_string_equal(shown(f, fake), "- -");
	profile_json(f->s, &fake->c, 1, "{}");
	assert_string_equal(shown(f, fake), "5 -");
	fake_free(fake);
}

/* ---- subscriptions ---- */

static const char *walked(struct fixture *f, const struct fake *fake)
{
	static char text[4096];
	struct row_cursor cursor;
	char *at = text;

	*at = 0;
	row_subscriptions(f->s, &fake->c, store_customer(f->s, 1), &cursor);
	while (row_subscription_next(&cursor)) {
		struct row_subscription s;
		row_subscription_read(&cursor, &s);
		at += sprintf(at, "%s%u:%.*s", at > text ? " " : "", s.rule, (int)s.id_bytes, s.id);
	}
	return text;
}

static void subscriptions_are_in_the_order_of_the_catalogue_in_force(void **state)
{
	static const char *const ids[] = { "b", "a", "ab", "c", "aa", "d" };
	struct fixture *f = *state;
	struct fake *a = activate(f, "", "x y z"), *b, *c, *d;
	char json[128];

	for (int i = 0; i < 6; i++) {
		snprintf(json, sizeof json, "{\"kind\": \"%c\", \"id\": \"%s\"}", "zxyxxz"[i], ids[i]);
		assert_int_equal(subscribe_json(f->s, &a->c, 1, json), CHANGE_APPLIED);
	}
	assert_string_equal(walked(f, a), "1:a 1:aa 1:c 2:ab 3:b 3:d");
	reopen(f);
	b = activate(f, "", "z new y x"); /* read as it lies, sorted when walked */
	assert_string_equal(walked(f, b), "1:b 1:d 3:ab 4:a 4:aa 4:c");
	assert_int_equal(subscribe_json(f->s, &b->c, 1, "{\"kind\": \"y\", \"id\": \"0\"}"), CHANGE_APPLIED);
	assert_string_equal(walked(f, b), "1:b 1:d 3:0 3:ab 4:a 4:aa 4:c");
	c = activate(f, "", "new y"); /* x and z sleep */
	assert_string_equal(walked(f, c), "2:0 2:ab");
	assert_int_equal(subscribe_json(f->s, &c->c, 1, "{\"kind\": \"new\"}"), CHANGE_APPLIED);
	assert_int_equal(subscribe_json(f->s, &c->c, 1, "{\"kind\": \"x\"}"), CHANGE_REFUSED);
	assert_int_equal(subscribe_json(f->s, &c->c, 1, "{\"id\": \"a\", \"on\": false}"), CHANGE_REFUSED);
	assert_string_equal(walked(f, c), "1:new 2:0 2:ab");
	reopen(f);
	d = activate(f, "", "z x y");
	assert_string_equal(walked(f, d), "1:b 1:d 2:a 2:aa 2:c 3:0 3:ab");
	fake_free(a);
	fake_free(b);
	fake_free(c);
	fake_free(d);
}

static const char *kinds_text(struct fixture *f, const struct fake *fake, uint64_t customer)
{
	static char text[1024];
	struct row_kinds_room room;
	struct row_kinds kinds;
	char *at = text;

	row_kinds(f->s, &fake->c, store_customer(f->s, customer), &room, &kinds);
	*at = 0;
	for (uint32_t i = 0; i < kinds.count; i++)
		at += sprintf(at, "%s%u%s%s", i ? " " : "", kinds.rules[i],
			      kinds.flags[i] & KIND_ON ? "+" : "-", kinds.flags[i] & KIND_PLAIN ? "p" : "");
	return text;
}

static void kinds_say_what_is_on_and_what_is_plain(void **state)
{
	static const struct {
		const char *body, *want;
	} rows[] = {
		{ "{\"kind\": \"large\"}", "1+p" },
		{ "{\"kind\": \"large\", \"on\": false}", "1-p" },
		{ "{\"kind\": \"large\", \"params\": {\"threshold\": \"5 EUR\"}}", "1+" },
		{ "{\"kind\": \"large\", \"accounts\": [5]}", "1+" },
		{ "{\"kind\": \"large\", \"channels\": [\"sms\"]}", "1+" },
		{ "{\"kind\": \"large\", \"id\": \"larg\"}", "1+" },
		{ "{\"kind\": \"large\", \"id\": \"largf\", \"on\": false}", "1-" },
		{ "{\"kind\": \"large\", \"id\": \"large\"}", "1+p" },
	};
	struct fixture *f = *state;
	struct fake *fake = fake_bank();

	store_activate_good(f->s, &fake->c);
	assert_string_equal(kinds_text(f, fake, 99), "");
	for (uint64_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(subscribe_json(f->s, &fake->c, i + 1, rows[i].body), CHANGE_APPLIED);
		assert_string_equal(kinds_text(f, fake, i + 1), rows[i].want);
	}
	free(fake);
}

static void subscribe_some(struct fixture *f, const struct fake *fake)
{
	static const char *const bodies[] = { "{\"kind\": \"x\"}", "{\"kind\": \"z\", \"on\": false}",
					      "{\"kind\": \"y\", \"id\": \"other\"}", "{\"kind\": \"y\"}" };

	for (int i = 0; i < 4; i++)
		assert_int_equal(subscribe_json(f->s, &fake->c, 1, bodies[i]), CHANGE_APPLIED);
}

/* More fraud rules than before: the kinds are the same, their numbers are not. */
static void kinds_move_with_the_rules_in_front_of_them(void **state)
{
	struct fixture *f = *state;
	struct fake *a = activate(f, "", "x y z"), *b, *c;

	subscribe_some(f, a);
	assert_string_equal(kinds_text(f, a, 1), "1+p 2+ 2+p 3-p");
	b = fake_new(++f->hash);
	b->c.critical_first = b->c.subscription_first = b->c.rule_count = 5;
	for (int i = 1; i < 5; i++)
		b->rules[i] = (struct cat_rule){ .name = strdup("fraud"), .section = SECTION_FRAUD };
	fake_kind(b, strdup("x"));
	fake_kind(b, strdup("y"));
	fake_kind(b, strdup("z"));
	store_activate_good(f->s, &b->c);
	assert_string_equal(kinds_text(f, b, 1), "5+p 6+ 6+p 7-p");
	c = activate(f, "", "z y"); /* another order, and x sleeps */
	assert_string_equal(kinds_text(f, c, 1), "1-p 2+ 2+p");
	fake_free(a);
	fake_free(b);
	fake_free(c);
}

/* What a store of format 1 holds in place of `row`: the kinds are not in front, the subscriptions last. */
static uint32_t first_form(const struct row *row, const struct fake *fake, uint64_t *room)
{
	struct row *old = (struct row *)room;
	const struct packed_subscriptions *part = row_subscription_part(row);
	const struct packed_subscription *at = packed_first(part);
	const struct packed_kinds *kinds = (const struct packed_kinds *)part;
	uint32_t shift = row->parts[CUSTOMER_PRESENCE] - (uint32_t)sizeof *row;
	uint32_t end = row->parts[CUSTOMER_SUBSCRIPTIONS] + kinds->packed_at;
	uint32_t bytes = end - row->parts[CUSTOMER_PRESENCE];

	*old = *row;
	memcpy(old + 1, (const char *)row + row->parts[CUSTOMER_PRESENCE], bytes);
	old->parts[CUSTOMER_PRESENCE] -= shift;
	old->parts[CUSTOMER_COLUMNS] -= shift;
	old->parts[CUSTOMER_STRINGS] -= shift;
	old->parts[CUSTOMER_SUBSCRIPTIONS] = (uint32_t)sizeof *row + bytes;
	uint64_t *column = (uint64_t *)((char *)room + old->parts[CUSTOMER_COLUMNS]);
	for (int i = 0; i < fake->c.attribute_count; i++) /* no money among them: 8 bytes each */
		if (fake->attributes[i].type == TYPE_STRING && column[i])
			column[i] -= shift;
	struct packed_subscriptions *head = (void *)((char *)room + old->parts[CUSTOMER_SUBSCRIPTIONS]);
	*head = (struct packed_subscriptions){ .order = part->order, .count = part->count };
	char *to = (char *)(head + 1);
	for (uint32_t i = 0; i < part->count; i++, at = packed_next(at)) {
		memcpy(to, at, at->bytes);
		to += at->bytes;
	}
	return old->bytes = (uint32_t)(to - (char *)room);
}

/* Past the store, as an engine of before would have left it. */
static void plant_first_form(const char *dir, const uint64_t *room, uint32_t bytes)
{
	struct lmdb_row row = { .key = 1, .value = room, .bytes = bytes };
	static const uint32_t counts[10] = { 1, 0, 1, 0, 0, 0, 4, 0, 1, 0 };
	struct records records;
	struct lmdb *l;

	assert_int_equal(records_init(&records, 1 << 20), 0);
	memcpy(records_put(&records, RECORD_META, "store", 5, sizeof counts), counts, sizeof counts);
	assert_int_equal(lmdb_open(&l, dir, 1 << 30, false, test_why, sizeof test_why), 0);
	assert_int_equal(lmdb_write_begin(l), 0);
	assert_int_equal(lmdb_write_put(l, &records), 0);
	assert_int_equal(lmdb_write_rows(l, RECORD_CUSTOMER, &row, 1), 0);
	assert_int_equal(lmdb_write_commit(l), 0);
	lmdb_close(l);
	records_deinit(&records);
}

static void rows_of_the_first_form_are_read_and_rewritten(void **state)
{
	static uint64_t room[ROW_BYTES_MAX / 8];
	struct fixture *f = *state;
	struct fake *a = activate(f, "one:i two:s three:s", "x y z"), *b;

	subscribe_some(f, a);
	profile_json(f->s, &a->c, 1, "{\"set\": {\"one\": 1, \"two\": \"zwei\", \"three\": \"\"}}");
	checkpoint_good(f->s);
	struct hash128 want = store_digest(f->s, &a->c);
	uint32_t bytes = first_form(store_customer(f->s, 1), a, room);
	store_close(f->s);
	plant_first_form(f->dir, room, bytes);
	f->s = store_at(f->dir);
	store_activate_good(f->s, &a->c);
	assert_int_equal(row_subscription_part(store_customer(f->s, 1))->form, ROW_FORM_FIRST);
	assert_string_equal(shown(f, a), "1 'zwei' ''");
	assert_string_equal(walked(f, a), "1:x 2:other 2:y 3:z");
	assert_string_equal(kinds_text(f, a, 1), "1+p 2+ 2+p 3-p");
	struct row_cursor cursor;
	row_subscription_at(f->s, &a->c, store_customer(f->s, 1), 2, &cursor);
	assert_int_equal(cursor.rule, 2);
	struct hash128 got = store_digest(f->s, &a->c);
	assert_true(got.low == want.low && got.high == want.high);
	b = activate(f, "two:s one:i", "z y x");
	assert_string_equal(shown(f, b), "'zwei' 1");
	assert_string_equal(kinds_text(f, b, 1), "1-p 2+ 2+p 3+p");
	assert_int_equal(profile_json(f->s, &b->c, 1, "{\"set\": {\"one\": 2}}"), CHANGE_APPLIED);
	assert_int_equal(row_subscription_part(store_customer(f->s, 1))->form, ROW_FORM_KINDS);
	assert_string_equal(shown(f, b), "'zwei' 2");
	assert_string_equal(kinds_text(f, b, 1), "1-p 2+ 2+p 3+p");
	fake_free(a);
	fake_free(b);
}

static struct fake *with_param(struct fixture *f, const char *name, enum value_type type, int64_t least)
{
	struct fake *fake = fake_new(++f->hash);
	struct cat_param *p = fake_param(fake, fake_kind(fake, "kind"), name, type);

	p->initial = (struct value){ .type = (uint8_t)type, .i = least + 1, .currency = 978 };
	if (type == TYPE_STRING)
		p->initial = (struct value){ .type = TYPE_STRING, .s = "none", .bytes = 4 };
	else
		p->has_min = true;
	p->min = (struct value){ .type = (uint8_t)type, .i = least, .currency = 978 };
	store_activate_good(f->s, &fake->c);
	return fake;
}

static int64_t param_of(struct fixture *f, const struct fake *fake)
{
	struct row_subscription s;
	struct row_cursor cursor;

	row_subscriptions(f->s, &fake->c, store_customer(f->s, 1), &cursor);
	assert_true(row_subscription_next(&cursor));
	row_subscription_read(&cursor, &s);
	return s.params[0].type == TYPE_STRING ? -7 : s.params[0].i;
}

/* The interest table is narrowed by a parameter's min and max: no stored value may lie outside of them. */
static void a_parameter_sleeps_while_the_catalogue_does_not_allow_it(void **state)
{
	struct fixture *f = *state;
	struct fake *a = with_param(f, "limit", TYPE_INT, 10), *b;

	assert_int_equal(subscribe_json(f->s, &a->c, 1, "{\"kind\": \"kind\", \"params\": {\"limit\": 50}}"),
			 CHANGE_APPLIED);
	assert_int_equal(param_of(f, a), 50);
	reopen(f);
	b = with_param(f, "limit", TYPE_INT, 51); /* min above it */
	assert_int_equal(param_of(f, b), 52);
	free(b);
	b = with_param(f, "limit", TYPE_INT, 50);
	assert_int_equal(param_of(f, b), 50);
	free(b);
	b = with_param(f, "limit", TYPE_STRING, 0); /* another type */
	assert_int_equal(param_of(f, b), -7);
	free(b);
	b = with_param(f, "other", TYPE_INT, 70); /* gone */
	assert_int_equal(param_of(f, b), 71);
	assert_int_equal(subscribe_json(f->s, &b->c, 1, "{\"kind\": \"kind\", \"params\": {\"other\": 99}}"),
			 CHANGE_APPLIED);
	assert_int_equal(param_of(f, b), 99);
	free(b);
	b = with_param(f, "limit", TYPE_INT, 0);
	assert_int_equal(param_of(f, b), 50);
	free(b);
	free(a);
}

static void a_money_parameter_is_checked_through_the_rates_in_force(void **state)
{
	struct fixture *f = *state;
	struct fake *a = with_param(f, "limit", TYPE_MONEY, 1000), *b;

	assert_int_equal(
		subscribe_json(f->s, &a->c, 1, "{\"kind\": \"kind\", \"params\": {\"limit\": \"20 USD\"}}"),
		CHANGE_APPLIED);
	assert_int_equal(param_of(f, a), 2000);
	b = with_param(f, "limit", TYPE_MONEY, 1001); /* 20 USD are 10.00 EUR */
	assert_int_equal(param_of(f, b), 1002);
	free(b);
	b = with_param(f, "limit", TYPE_MONEY, 5);
	b->c.rates.count = 1; /* no rate for USD any more: it cannot be compared */
	assert_int_equal(param_of(f, b), 6);
	free(b);
	free(a);
}

/* ---- what a store can have seen ---- */

static void layouts_beyond_the_maximum_are_refused(void **state)
{
	struct fixture *f = *state;
	char name[16];
	int rc = 0, made = 0;

	/* one attribute more each time: 1,024 columns, then refused */
	for (; made < LAYOUT_COLUMNS_MAX + 1 && rc == 0; made++) {
		struct fake *fake = fake_new(5000 + (uint64_t)made);
		snprintf(name, sizeof name, "c%d", made);
		fake_attribute(fake, name, TYPE_MONEY);
		rc = store_activate(f->s, &fake->c, test_why, sizeof test_why);
		if (rc == 0)
			assert_int_equal(profile_json(f->s, &fake->c, 1, "{}"), CHANGE_APPLIED);
		free(fake);
	}
	assert_int_equal(rc, -EINVAL);
	assert_int_equal(made, LAYOUT_COLUMNS_MAX + 1);
	assert_non_null(strstr(test_why, "1025 profile attributes"));
	/* as many layouts: another order of known attributes is one too many */
	struct fake *two = fake_new(9000);
	fake_attribute(two, "c1", TYPE_MONEY);
	fake_attribute(two, "c0", TYPE_MONEY);
	assert_int_equal(store_activate(f->s, &two->c, test_why, sizeof test_why), -EINVAL);
	assert_non_null(strstr(test_why, "1024 profile layouts"));
	free(two);
}

static void names_beyond_the_maximum_are_refused(void **state)
{
	static char names[FAKE_KINDS_MAX * (PARAMS_MAX + 1)][32];
	struct fixture *f = *state;
	int rc = 0, round = 0;

	for (; rc == 0 && round < 100; round++) {
		struct fake *fake = fake_new(3000 + (uint64_t)round);
		int n = 0;
		for (int k = 0; k < FAKE_KINDS_MAX - 1; k++) {
			snprintf(names[n], 32, "k%d_%d", round, k);
			struct cat_rule *rule = fake_kind(fake, names[n++]);
			for (int p = 0; p < PARAMS_MAX; p++, n++) {
				snprintf(names[n], 32, "p%d_%d", round, n);
				fake_param(fake, rule, names[n], TYPE_INT);
			}
		}
		rc = store_activate(f->s, &fake->c, test_why, sizeof test_why);
		free(fake);
	}
	assert_int_equal(rc, -EINVAL);
	assert_int_equal(round, NAMES_MAX / (255 * 17) + 1);
	assert_non_null(strstr(test_why, "at most 65536"));
}

static void channels_that_no_catalogue_has_are_kept_up_to_a_limit(void **state)
{
	struct fixture *f = *state;
	struct fake *fake = activate(f, "", "kind");
	char json[128];
	int i = 0;

	for (; i < NAMES_MAX; i++) {
		snprintf(json, sizeof json, "{\"kind\": \"kind\", \"channels\": [\"way-%d\"]}", i);
		if (subscribe_json(f->s, &fake->c, 1, json) != CHANGE_APPLIED)
			break;
	}
	assert_int_equal(i, NAMES_FOREIGN_MAX - 1);
	assert_non_null(strstr(test_why, "no channel 'way-"));
	/* known ones are still taken */
	assert_int_equal(subscribe_json(f->s, &fake->c, 1, "{\"kind\": \"kind\", \"channels\": [\"way-5\"]}"),
			 CHANGE_APPLIED);
	fake_free(fake);
}

static void random_layouts_never_misread(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 5;
	char names[40][16], json[128];
	int64_t want[40];
	bool set[40] = { false };

	for (int i = 0; i < 40; i++)
		snprintf(names[i], 16, "v%d", i);
	for (int round = 0; round < 300; round++) {
		struct fake *fake = fake_new(7000 + (uint64_t)round);
		struct value v[40];
		int at[40], n = 0;
		for (int i = 0; i < 40; i++)
			if (draw_below(&seed, 2)) {
				int k = (int)draw_below(&seed, (uint32_t)(n + 1));
				memmove(at + k + 1, at + k, (size_t)(n - k) * sizeof at[0]);
				at[k] = i;
				n++;
			}
		for (int i = 0; i < n; i++)
			fake_attribute(fake, names[at[i]], at[i] % 4 == 0 ? TYPE_MONEY : TYPE_INT);
		store_activate_good(f->s, &fake->c);
		row_profile(f->s, &fake->c, store_customer(f->s, 1), v);
		for (int i = 0; i < n; i++) {
			assert_int_equal(v[i].status == VALUE_OK, set[at[i]]);
			if (set[at[i]])
				assert_true(v[i].i == want[at[i]]);
		}
		if (n) {
			int a = at[draw_below(&seed, (uint32_t)n)];
			want[a] = (int64_t)draw_below(&seed, 1000000) * 100;
			set[a] = true;
			snprintf(json, sizeof json,
				 a % 4 == 0 ? "{\"set\": {\"%s\": \"%lld EUR\"}}"
					    : "{\"set\": {\"%s\": %lld}}",
				 names[a], (long long)(a % 4 == 0 ? want[a] / 100 : want[a]));
			assert_int_equal(profile_json(f->s, &fake->c, 1, json), CHANGE_APPLIED);
		}
		if (round % 10 == 0)
			reopen(f);
		free(fake);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(attributes_are_found_by_name_in_every_layout),
		CASE(a_dropped_attribute_sleeps),
		CASE(a_new_type_needs_a_new_name),
		CASE(types_are_compared_and_nothing_else),
		CASE(presence_bits_hold_at_the_edges_of_words),
		CASE(strings_of_every_length_are_kept),
		CASE(a_provisional_customer_has_no_data),
		CASE(subscriptions_are_in_the_order_of_the_catalogue_in_force),
		CASE(kinds_say_what_is_on_and_what_is_plain),
		CASE(kinds_move_with_the_rules_in_front_of_them),
		CASE(rows_of_the_first_form_are_read_and_rewritten),
		CASE(a_parameter_sleeps_while_the_catalogue_does_not_allow_it),
		CASE(a_money_parameter_is_checked_through_the_rates_in_force),
		CASE(layouts_beyond_the_maximum_are_refused),
		CASE(names_beyond_the_maximum_are_refused),
		CASE(channels_that_no_catalogue_has_are_kept_up_to_a_limit),
		CASE(random_layouts_never_misread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
