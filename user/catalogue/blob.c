/*
 * blob.c: the whole catalogue as bytes for the journal: files by name, then what was derived from ICU.
 *
 *   "MMNTCAT1", u32 files, per file { u32 name bytes, u32 bytes, name, content }, u32 derived bytes, derived
 *
 * little-endian. The blob of a catalogue without zones is that of earlier versions, byte for byte. Reading
 * trusts nothing: every length is checked against what is left, and what was derived must fit what the files
 * ask for, zone by zone, language by language and currency by currency. A blob that would not encode to
 * itself again is refused by the caller, so that one catalogue has one hash.
 */
#define XXH_INLINE_ALL
#include "compile.h"

#include <assert.h>
#include <base/bytes.h>
#include <string.h>
#include <xxhash.h>

static const char MAGIC[8] = { 'M', 'M', 'N', 'T', 'C', 'A', 'T', '1' };

/* 1: no zones but the bank's, as blobs always were; 2: all of them in front */
enum { DERIVED_PLAIN = 1, DERIVED_ZONES = 2, DERIVED_STRING_MAX = 255, DERIVED_TRANSITIONS_MAX = 1024 };

/* --- writing: once without a buffer to count, once into it --- */

struct writer {
	uint8_t *to;
	size_t bytes;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (w->to && n)
		memcpy(w->to + w->bytes, bytes, n);
	w->bytes += n;
}

static void put_u8(struct writer *w, uint8_t v)
{
	put(w, &v, 1);
}

static void put_int(struct writer *w, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		put_u8(w, (uint8_t)(v >> (8 * i)));
}

static void put_string(struct writer *w, const char *s)
{
	size_t n = strlen(s);

	assert(n <= DERIVED_STRING_MAX);
	put_u8(w, (uint8_t)n);
	put(w, s, n);
}

static void put_language(struct writer *w, const struct cat_language *l)
{
	put_string(w, l->tag);
	put_string(w, l->decimal);
	put_string(w, l->group);
	put_string(w, l->minus);
	put_string(w, l->money_decimal);
	put_string(w, l->money_group);
	put_u8(w, l->group_first);
	put_u8(w, l->group_next);
	put_u8(w, l->group_least);
	put_int(w, l->money_count, 2);
	for (uint16_t i = 0; i < l->money_count; i++) {
		put_int(w, l->money[i].currency, 2);
		put_string(w, l->money[i].before);
		put_string(w, l->money[i].after);
		put_string(w, l->money[i].negative_before);
		put_string(w, l->money[i].negative_after);
	}
	for (int i = 0; i < 12; i++)
		put_string(w, l->months[i]);
	put_string(w, l->date_pattern);
}

static void put_offsets(struct writer *w, const struct zone *zone)
{
	put_int(w, zone->count, 4);
	for (uint32_t i = 0; i < zone->count; i++) {
		put_int(w, (uint64_t)zone->from_s[i], 8);
		put_int(w, (uint32_t)zone->offset_s[i], 4);
	}
}

/* By name; offsets that an earlier one has are 0 and its number. */
static void put_zones(struct writer *w, const struct catalogue *c)
{
	put_int(w, c->zone_count, 4);
	for (uint32_t i = 0; i < c->zone_count; i++) {
		uint32_t first = zones_first_equal(c->zones, i);
		put_string(w, c->zones[i].name);
		if (first == i) {
			put_offsets(w, &c->zones[i]);
			continue;
		}
		put_int(w, 0, 4);
		put_int(w, first, 4);
	}
}

static void put_derived(struct writer *w, const struct catalogue *c)
{
	put_int(w, c->zone_count ? DERIVED_ZONES : DERIVED_PLAIN, 4);
	if (c->zone_count)
		put_zones(w, c);
	put_string(w, c->zone.name);
	put_offsets(w, &c->zone);
	put_int(w, c->language_count, 4);
	for (uint16_t i = 0; i < c->language_count; i++)
		put_language(w, &c->languages[i]);
}

static void put_blob(struct writer *w, const struct build *b)
{
	struct writer derived = { 0 };

	put(w, MAGIC, sizeof MAGIC);
	put_int(w, b->file_count, 4);
	for (uint32_t i = 0; i < b->file_count; i++) {
		const struct yaml_file *f = &b->files[i];
		put_int(w, strlen(f->name), 4);
		put_int(w, f->len + f->mark_bytes, 4);
		put(w, f->name, strlen(f->name));
		put(w, f->bytes - f->mark_bytes, f->len + f->mark_bytes);
	}
	put_derived(&derived, b->c);
	put_int(w, derived.bytes, 4);
	put_derived(w, b->c);
}

void blob_encode(struct build *b)
{
	struct writer count = { 0 }, w = { 0 };
	XXH128_hash_t hash;

	put_blob(&count, b);
	if (count.bytes > CATALOGUE_BYTES_MAX) {
		build_problem(b, NULL,
			      "the catalogue has %zu bytes with what is derived from it, the limit is %d",
			      count.bytes, CATALOGUE_BYTES_MAX);
		return;
	}
	w.to = build_take(b, count.bytes);
	put_blob(&w, b);
	assert(w.bytes == count.bytes);
	hash = XXH3_128bits(w.to, w.bytes);
	b->c->hash = (struct hash128){ .low = hash.low64, .high = hash.high64 };
	b->c->blob = w.to;
	b->c->blob_bytes = w.bytes;
}

/* --- reading: the first error sticks --- */

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static const uint8_t *get(struct reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if (r->bad || (size_t)(r->end - r->at) < n) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return at;
}

static uint64_t get_int(struct reader *r, unsigned bytes)
{
	const uint8_t *at = get(r, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; at && i < bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

static const char *get_string(struct build *b, struct reader *r)
{
	size_t n = get_int(r, 1);
	const uint8_t *at = get(r, n);

	if (!at || memchr(at, 0, n) || !utf8_valid((const char *)at, n)) {
		r->bad = true;
		return "";
	}
	return build_copy(b, (const char *)at, n);
}

/* A string that must be the one that the files ask for. */
static void expect_string(struct build *b, struct reader *r, const char *expected)
{
	if (strcmp(get_string(b, r), expected) != 0)
		r->bad = true;
}

static void get_offsets(struct build *b, struct reader *r, uint32_t count, struct zone *zone)
{
	int64_t *from;
	int32_t *offset;

	if (r->bad || count == 0 || count > DERIVED_TRANSITIONS_MAX) {
		r->bad = true;
		return;
	}
	from = build_array(b, int64_t, count);
	offset = build_array(b, int32_t, count);
	for (uint32_t i = 0; i < count; i++) {
		from[i] = (int64_t)get_int(r, 8);
		offset[i] = (int32_t)get_int(r, 4);
		if ((i == 0 && from[i] != INT64_MIN) || (i > 0 && from[i] <= from[i - 1]) ||
		    offset[i] < -86400 || offset[i] > 86400)
			r->bad = true;
	}
	zone->count = count;
	zone->from_s = from;
	zone->offset_s = offset;
}

static void get_zone(struct build *b, struct reader *r)
{
	expect_string(b, r, b->c->zone.name);
	get_offsets(b, r, (uint32_t)get_int(r, 4), &b->c->zone);
}

static void get_zone_of_all(struct build *b, struct reader *r, uint32_t i)
{
	struct zone *zone = &b->zones[i];
	uint32_t count, first;

	zone->name = get_string(b, r);
	if (i > 0 && strcmp(b->zones[i - 1].name, zone->name) >= 0)
		r->bad = true;
	count = (uint32_t)get_int(r, 4);
	if (count > 0) {
		get_offsets(b, r, count, zone);
		return;
	}
	first = (uint32_t)get_int(r, 4);
	if (first >= i) {
		r->bad = true;
		return;
	}
	zone->count = b->zones[first].count;
	zone->from_s = b->zones[first].from_s;
	zone->offset_s = b->zones[first].offset_s;
}

bool blob_zones(struct build *b, const uint8_t **derived, size_t *bytes)
{
	struct reader r = { .at = *derived, .end = *derived + *bytes };
	uint64_t version = get_int(&r, 4);
	uint32_t count = version == DERIVED_ZONES ? (uint32_t)get_int(&r, 4) : 0;

	if (r.bad || count > ZONES_MAX ||
	    !(version == DERIVED_PLAIN || (version == DERIVED_ZONES && count > 0)))
		return false;
	b->zones = build_array(b, struct zone, count + 1);
	for (uint32_t i = 0; i < count && !r.bad; i++)
		get_zone_of_all(b, &r, i);
	b->zone_count = (uint16_t)count;
	*derived = r.at;
	*bytes = (size_t)(r.end - r.at);
	return !r.bad;
}

/* Every currency of the bank and its rates, ascending, and no other. */
static void get_money(struct build *b, struct reader *r, struct cat_language *l)
{
	uint16_t count = (uint16_t)get_int(r, 2);
	struct cat_money_format *money;

	if (r->bad || count != b->c->rates.count + 1) {
		r->bad = true;
		return;
	}
	money = build_array(b, struct cat_money_format, count);
	for (uint16_t i = 0; i < count; i++) {
		bool known;
		money[i].currency = (uint16_t)get_int(r, 2);
		known = money[i].currency == b->c->rates.bank;
		for (uint16_t k = 0; k < b->c->rates.count; k++)
			known |= b->c->rates.rate[k].currency == money[i].currency;
		if (!known || (i > 0 && money[i].currency <= money[i - 1].currency))
			r->bad = true;
		money[i].before = get_string(b, r);
		money[i].after = get_string(b, r);
		money[i].negative_before = get_string(b, r);
		money[i].negative_after = get_string(b, r);
	}
	l->money_count = count;
	l->money = money;
}

static void get_language(struct build *b, struct reader *r, struct cat_language *l)
{
	expect_string(b, r, l->tag);
	l->decimal = get_string(b, r);
	l->group = get_string(b, r);
	l->minus = get_string(b, r);
	l->money_decimal = get_string(b, r);
	l->money_group = get_string(b, r);
	l->group_first = (uint8_t)get_int(r, 1);
	l->group_next = (uint8_t)get_int(r, 1);
	l->group_least = (uint8_t)get_int(r, 1);
	if (!l->group_first || !l->group_next)
		r->bad = true;
	get_money(b, r, l);
	for (int i = 0; i < 12; i++)
		l->months[i] = get_string(b, r);
	l->date_pattern = get_string(b, r);
}

bool blob_derived(struct build *b, const uint8_t *derived, size_t bytes)
{
	struct reader r = { .at = derived, .end = derived + bytes };

	get_zone(b, &r);
	if (get_int(&r, 4) != b->c->language_count)
		r.bad = true;
	for (uint16_t i = 0; i < b->c->language_count && !r.bad; i++)
		get_language(b, &r, &b->language[i]);
	return !r.bad && r.at == r.end;
}

static bool get_file(struct build *b, struct reader *r, struct yaml_file *file)
{
	size_t name_bytes = get_int(r, 4), bytes = get_int(r, 4);
	const uint8_t *name = get(r, name_bytes), *content = get(r, bytes);

	if (r->bad || name_bytes == 0 || name_bytes > 255 || memchr(name, 0, name_bytes))
		return false;
	file->name = file->display = build_copy(b, (const char *)name, name_bytes);
	file->bytes = (const char *)content;
	file->len = bytes;
	return true;
}

bool blob_files(struct build *b, const void *blob, size_t bytes, const uint8_t **derived,
		size_t *derived_bytes)
{
	struct reader r = { .at = blob, .end = (const uint8_t *)blob + bytes };
	const uint8_t *magic = get(&r, sizeof MAGIC);
	uint64_t count = get_int(&r, 4);

	if (r.bad || memcmp(magic, MAGIC, sizeof MAGIC) != 0 || count == 0 || count > CATALOGUE_FILES_MAX ||
	    bytes > CATALOGUE_BYTES_MAX)
		return false;
	b->files = build_scratch_array(b, struct yaml_file, count);
	for (uint64_t i = 0; i < count; i++) {
		if (!get_file(b, &r, &b->files[i]))
			return false;
		if (i > 0 && strcmp(b->files[i - 1].name, b->files[i].name) >= 0)
			return false;
		b->file_count++;
	}
	*derived_bytes = get_int(&r, 4);
	*derived = get(&r, *derived_bytes);
	return !r.bad && r.at == r.end;
}
