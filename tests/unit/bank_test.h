/*
 * bank_test.h: what the tests of the stages share: a small bank as a compiled catalogue, a store and windows
 * in a directory of their own, bodies out of JSON text, frames.
 */
#ifndef BANK_TEST_H
#define BANK_TEST_H

#include <base/bytes.h>
#include <catalogue/catalogue.h>
#include <dirent.h>
#include <jansson.h>
#include <profile/history.h>
#include <profile/store.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Events, profile, windows, channels and words; each test adds its rules behind it. */
__attribute__((unused)) static const char bank_head[] =
	"bank: { currency: EUR, zone: Europe/Madrid, country: ES, language: es, lateness: 24h, starts: empty "
	"}\n"
	"rates: { USD: 0.5, JPY: 0.01 }\n"
	"events:\n"
	"  purchase: { code: 1, body: { merchant: string, items: int, ratio: double, gift: bool, due: "
	"timestamp } }\n"
	"  declined: { code: 2, body: { merchant: string } }\n"
	"  salary: { code: 3 }\n"
	"  quiet: { code: 9, history: rules }\n"
	"profile:\n"
	"  language: { type: string }\n"
	"  home: { type: int, default: country.ES }\n"
	"  level: { type: int }\n"
	"aggregates:\n"
	"  n: { over: [purchase], count: true, within: 1h }\n"
	"  spent: { over: [purchase], sum: amount, within: 24h, per: account }\n"
	"  abroad: { over: [purchase], count: true, where: 'event.country != profile.home' }\n"
	"  ever: { over: [purchase], count: true }\n"
	"  on_card: { over: [purchase], count: true, per: card }\n"
	"channels: { push: { max: 240 }, sms: { max: 20 }, email: { max: 10000 } }\n"
	"messages:\n"
	"  hello: { es: 'Hola {event.amount, money}', en: 'Hello {event.amount, money}', es-CO: 'Buenas "
	"{event.amount, money}' }\n"
	"  plain: { es: 'Es todo', en: 'That is all' }\n";

__attribute__((unused)) static struct catalogue *bank_compile(const char *more)
{
	struct problems problems;
	struct catalogue *c = NULL;
	size_t bytes = sizeof bank_head + strlen(more);
	char *yaml = malloc(bytes);

	assert_non_null(yaml);
	snprintf(yaml, bytes, "%s%s", bank_head, more);
	problems_init(&problems);
	if (catalogue_compile_text("bank", yaml, strlen(yaml), &c, &problems)) {
		problems_print(&problems, stderr);
		fail_msg("the test's catalogue does not compile");
	}
	problems_deinit(&problems);
	free(yaml);
	return c;
}

__attribute__((unused)) static const struct cat_rule *rule_named(const struct catalogue *c, const char *name)
{
	const struct cat_rule *rule = catalogue_rule_find(c, name, strlen(name));

	if (!rule)
		fail_msg("no rule %s", name);
	return rule;
}

/* ---- bodies and frames ---- */

static void value_pack(struct pack_writer *w, const json_t *j)
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
			value_pack(w, value);
		}
		break;
	case JSON_ARRAY:
		pack_array(w, (uint32_t)json_array_size(j));
		json_array_foreach(j, i, value) value_pack(w, value);
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

/* Packs JSON text ("" = no bytes at all) and returns the bytes. */
__attribute__((unused)) static uint32_t body_pack(void *to, size_t room, const char *json)
{
	struct pack_writer w;
	json_error_t error;

	if (!*json)
		return 0;
	json_t *j = json_loads(json, 0, &error);
	if (!j)
		fail_msg("%s: %s", json, error.text);
	pack_writer_init(&w, to, room);
	value_pack(&w, j);
	assert_false(w.overflow);
	json_decref(j);
	return (uint32_t)pack_bytes(&w);
}

struct frame {
	_Alignas(8) char bytes[4096];
	uint32_t count;
};

/* Length and version are filled in. */
__attribute__((unused)) static void frame_pack(struct frame *f, struct frame_header h, const char *json)
{
	f->count = FRAME_HEADER_BYTES +
		   body_pack(f->bytes + FRAME_HEADER_BYTES, sizeof f->bytes - FRAME_HEADER_BYTES, json);
	h.length = f->count;
	h.version = FRAME_VERSION;
	memcpy(f->bytes, &h, sizeof h);
}

/* ---- a directory ---- */

__attribute__((unused)) static void directory_make(char dir[64])
{
	strcpy(dir, "/tmp/moment-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

__attribute__((unused)) static void directory_clear(const char *dir)
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

/* ---- catalogue, store and windows ---- */

struct bank {
	struct catalogue *c;
	struct store *store;
	struct history *history;
	char dir[64], why[256];
};

/* Activated at time 0 in an empty store, so that all windows are full. The bank owns the catalogue. */
__attribute__((unused)) static void bank_open_catalogue(struct bank *b, struct catalogue *c)
{
	*b = (struct bank){ .c = c };
	directory_make(b->dir);
	struct store_options o = {
		.dir = b->dir, .map_bytes = 1 << 30, .overlay_bytes = 64 << 20, .records_bytes = 1 << 30
	};
	if (store_open(&b->store, &o, b->why, sizeof b->why) ||
	    store_activate(b->store, b->c, b->why, sizeof b->why))
		fail_msg("%s", b->why);
	assert_int_equal(history_create(&b->history, UINT64_C(1) << 30, 1 << 16, 1 << 16), 0);
	history_activate(b->history, b->c, 0, true);
}

__attribute__((unused)) static void bank_open(struct bank *b, const char *more)
{
	bank_open_catalogue(b, bank_compile(more));
}

__attribute__((unused)) static void bank_close(struct bank *b)
{
	history_destroy(b->history);
	store_close(b->store);
	catalogue_free(b->c);
	directory_clear(b->dir);
}

__attribute__((unused)) static void bank_profile(struct bank *b, uint64_t customer, uint64_t account,
						 const char *json)
{
	uint8_t body[8192];
	uint32_t bytes = body_pack(body, sizeof body, json);

	if (store_apply_profile(b->store, b->c, customer, account, body, bytes, b->why, sizeof b->why) !=
	    CHANGE_APPLIED)
		fail_msg("PROFILE %s: %s", json, b->why);
}

__attribute__((unused)) static void bank_subscribe(struct bank *b, uint64_t customer, const char *json)
{
	uint8_t body[8192];
	uint32_t bytes = body_pack(body, sizeof body, json);

	if (store_apply_subscribe(b->store, b->c, customer, body, bytes, b->why, sizeof b->why) !=
	    CHANGE_APPLIED)
		fail_msg("SUBSCRIBE %s: %s", json, b->why);
}

#endif
