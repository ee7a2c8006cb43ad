/*
 * store_test.h: what the tests of the store share: a catalogue made by hand, bodies out of JSON text, a
 * directory.
 *
 * The catalogue is built without its compiler, so that the tests can make layouts that no YAML would.
 */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include <base/bytes.h>
#include <dirent.h>
#include <jansson.h>
#include <profile/overlay.h>
#include <profile/row_format.h>
#include <profile/store.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* the catalogue's own, which is not linked */
const char *const holder_role_names[ROLE_COUNT] = { NULL,	  "owner",    "co_owner",
						    "authorised", "guardian", "delegate" };

enum { FAKE_KINDS_MAX = 256 };

struct fake {
	struct catalogue c;
	struct cat_attribute attributes[ATTRIBUTES_MAX];
	struct cat_rule rules[FAKE_KINDS_MAX];
	struct cat_param params[FAKE_KINDS_MAX][PARAMS_MAX];
	struct cat_channel channels[CHANNELS_MAX];
};

/* A catalogue of the bank in EUR with one fraud rule, so that kinds do not start at 0. */
static inline struct fake *fake_new(uint64_t hash)
{
	struct fake *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->c.hash.low = hash;
	f->c.rates = (struct money_rates){ .bank = 978, .bank_exponent = 2, .count = 2 };
	f->c.rates.rate[0] = (struct money_rate){ .currency = 392, .exponent = 0, .decimals = 5, .num = 617 };
	f->c.rates.rate[1] = (struct money_rate){ .currency = 840, .exponent = 2, .decimals = 2, .num = 50 };
	f->c.attributes = f->attributes;
	f->c.rules = f->rules;
	f->c.channels = f->channels;
	f->rules[0] = (struct cat_rule){ .name = "velocity", .section = SECTION_FRAUD };
	f->c.rule_count = f->c.critical_first = f->c.subscription_first = 1;
	f->c.attribute_language = -1;
	return f;
}

static inline struct cat_attribute *fake_attribute(struct fake *f, const char *name, enum value_type type)
{
	struct cat_attribute *a = &f->attributes[f->c.attribute_count++];

	*a = (struct cat_attribute){ .name = name,
				     .type = type,
				     .initial = { .type = (uint8_t)type, .status = VALUE_NO_DATA } };
	return a;
}

static inline struct cat_rule *fake_kind(struct fake *f, const char *name)
{
	struct cat_rule *rule = &f->rules[f->c.rule_count];

	*rule = (struct cat_rule){ .name = name,
				   .section = SECTION_SUBSCRIPTION,
				   .number = f->c.rule_count,
				   .params = f->params[f->c.rule_count] };
	f->c.rule_count++;
	return rule;
}

static inline struct cat_param *fake_param(struct fake *f, struct cat_rule *rule, const char *name,
					   enum value_type type)
{
	struct cat_param *p = &f->params[rule->number][rule->param_count++];

	*p = (struct cat_param){ .name = name,
				 .type = type,
				 .initial = { .type = (uint8_t)type, .status = VALUE_NO_DATA } };
	return p;
}

static inline void fake_channel(struct fake *f, const char *name)
{
	f->channels[f->c.channel_count++] = (struct cat_channel){ .name = name, .text_max = 100 };
}

/* Attributes of each type, two kinds, two channels: for tests of bodies. */
static inline struct fake *fake_bank(void)
{
	struct fake *f = fake_new(77);
	struct cat_rule *rule;
	struct cat_param *p;

	fake_attribute(f, "language", TYPE_STRING)->initial =
		(struct value){ .type = TYPE_STRING, .s = "es", .bytes = 2 };
	fake_attribute(f, "age", TYPE_INT);
	fake_attribute(f, "vip", TYPE_BOOL);
	fake_attribute(f, "score", TYPE_DOUBLE);
	fake_attribute(f, "since", TYPE_TIMESTAMP);
	fake_attribute(f, "limit", TYPE_MONEY)->initial =
		(struct value){ .type = TYPE_MONEY, .i = 10000, .currency = 978 };
	fake_attribute(f, "pause", TYPE_DURATION);
	fake_attribute(f, "party", TYPE_INT);
	rule = fake_kind(f, "large");
	p = fake_param(f, rule, "threshold", TYPE_MONEY);
	p->initial = (struct value){ .type = TYPE_MONEY, .i = 10000, .currency = 978 };
	p->has_min = p->has_max = true;
	p->min = (struct value){ .type = TYPE_MONEY, .i = 100, .currency = 978 };
	p->max = (struct value){ .type = TYPE_MONEY, .i = 100000, .currency = 978 };
	rule = fake_kind(f, "other");
	p = fake_param(f, rule, "count", TYPE_INT);
	p->has_min = p->has_max = true;
	p->min = (struct value){ .type = TYPE_INT, .i = -2 };
	p->max = (struct value){ .type = TYPE_INT, .i = 10 };
	p = fake_param(f, rule, "ratio", TYPE_DOUBLE);
	p->has_min = true;
	p->min = (struct value){ .type = TYPE_DOUBLE, .d = 0.5 };
	fake_param(f, rule, "text", TYPE_STRING);
	fake_param(f, rule, "flag", TYPE_BOOL);
	p = fake_param(f, rule, "span", TYPE_DURATION);
	p->has_max = true;
	p->max = (struct value){ .type = TYPE_DURATION, .i = INT64_C(3600000000000) };
	fake_channel(f, "push");
	fake_channel(f, "sms");
	return f;
}

/* ---- bodies out of JSON, by a library that the product does not use for it ---- */

static inline void pack_json(struct pack_writer *w, const json_t *j)
{
	const char *key;
	json_t *value;
	size_t i;

	switch (json_typeof(j)) {
	case JSON_OBJECT:
		pack_map(w, (uint32_t)json_object_size(j));
		json_object_foreach((json_t *)j, key, value)
		{
			pack_text(w, key);
			pack_json(w, value);
		}
		break;
	case JSON_ARRAY:
		pack_array(w, (uint32_t)json_array_size(j));
		json_array_foreach(j, i, value) pack_json(w, value);
		break;
	case JSON_STRING:
		pack_string(w, json_string_value(j), json_string_length(j));
		break;
	case JSON_INTEGER:
		pack_int(w, json_integer_value(j));
		break;
	case JSON_REAL:
		pack_double(w, json_real_value(j));
		break;
	case JSON_NULL:
		pack_nil(w);
		break;
	default:
		pack_bool(w, json_is_true(j));
	}
}

struct body {
	uint8_t bytes[FRAME_BYTES_MAX];
	uint32_t count;
};

static inline void body_make(struct body *body, const char *json)
{
	json_error_t error;
	json_t *j = json_loads(json, 0, &error);
	struct pack_writer w;

	if (!j)
		fail_msg("%s: %s", json, error.text);
	pack_writer_init(&w, body->bytes, sizeof body->bytes);
	pack_json(&w, j);
	assert_false(w.overflow);
	body->count = (uint32_t)pack_bytes(&w);
	json_decref(j);
}

static char test_why[512];

static inline enum change_outcome profile_json(struct store *s, const struct catalogue *c, uint64_t customer,
					       const char *json)
{
	struct body body;

	body_make(&body, json);
	return store_apply_profile(s, c, customer, 0, body.bytes, body.count, test_why, sizeof test_why);
}

static inline enum change_outcome account_json(struct store *s, const struct catalogue *c, uint64_t account,
					       const char *json)
{
	struct body body;

	body_make(&body, json);
	return store_apply_profile(s, c, 0, account, body.bytes, body.count, test_why, sizeof test_why);
}

static inline enum change_outcome subscribe_json(struct store *s, const struct catalogue *c,
						 uint64_t customer, const char *json)
{
	struct body body;

	body_make(&body, json);
	return store_apply_subscribe(s, c, customer, body.bytes, body.count, test_why, sizeof test_why);
}

/* ---- a directory and a store in it ---- */

static inline char *directory_new(void)
{
	char template[] = "/tmp/moment-store-XXXXXX";
	const char *made = mkdtemp(template);

	assert_non_null(made);
	return strdup(made);
}

static inline void directory_clear(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[4096];

	if (!d)
		return;
	while ((entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		assert_true((size_t)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) < sizeof path);
		if (entry->d_type == DT_DIR)
			directory_clear(path);
		else
			unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

static inline void directory_free(char *dir)
{
	directory_clear(dir);
	free(dir);
}

static bool test_indexed; /* stores are opened with the index of all rows */

static inline struct store *store_at_with(const char *dir, struct store_options o)
{
	struct store *s = NULL;

	o.dir = dir;
	if (!o.map_bytes)
		o.map_bytes = 1 << 30;
	if (!o.overlay_bytes)
		o.overlay_bytes = 64 << 20;
	if (!o.records_bytes)
		o.records_bytes = 1 << 30;
	o.index |= o.thread || test_indexed;
	int rc = store_open(&s, &o, test_why, sizeof test_why);
	if (rc)
		fail_msg("open: %d %s", rc, test_why);
	return s;
}

static inline struct store *store_at(const char *dir)
{
	return store_at_with(dir, (struct store_options){ 0 });
}

static inline void store_activate_good(struct store *s, const struct catalogue *c)
{
	if (store_activate(s, c, test_why, sizeof test_why))
		fail_msg("activate: %s", test_why);
}

static inline void checkpoint_good(struct store *s)
{
	assert_non_null(store_checkpoint_begin(s));
	store_checkpoint_commit(s);
	assert_int_equal(store_checkpoint_wait(s), 0);
}

/* ---- seeded numbers ---- */

static inline uint64_t draw(uint64_t *seed)
{
	uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint32_t draw_below(uint64_t *seed, uint32_t n)
{
	return (uint32_t)(draw(seed) % n);
}

#endif
