/*
 * records.c: records one behind the other; header, key and value each on an 8-byte edge, so that the
 * reader may take integers out of a value as they stand.
 *
 * The next checkpoint writes to the same pages: what the kernel had to clear and map again each time would be
 * the engine thread's (measured: 250 us and more for a large page, against 2 us for a value of 17 KB). So
 * RECORDS_KEEP_BYTES stay, and a value is cleared when it is made.
 */
#include "records.h"

#include <string.h>

enum { RECORDS_KEEP_BYTES = 64 << 20 };

static size_t pad8(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static size_t record_bytes(uint16_t key_bytes, uint32_t value_bytes)
{
	return sizeof(struct record) + pad8(key_bytes) + pad8(value_bytes);
}

int records_init(struct records *r, size_t bytes_max)
{
	*r = (struct records){ 0 };
	return region_init(&r->region, bytes_max);
}

void records_deinit(struct records *r)
{
	region_deinit(&r->region);
}

void records_reset(struct records *r)
{
	if (r->region.used > RECORDS_KEEP_BYTES)
		region_reset(&r->region);
	r->region.used = 0;
	r->count = 0;
	r->full = false;
}

static struct record *record_add(struct records *r, enum record_space space, const void *key,
				 uint16_t key_bytes, uint32_t value_bytes, bool gone)
{
	size_t bytes = record_bytes(key_bytes, value_bytes);

	if (bytes > r->region.bytes - r->region.used) {
		r->full = true;
		return NULL;
	}
	struct record *record = (struct record *)(r->region.base + r->region.used);
	r->region.used += bytes;
	*record = (struct record){
		.value_bytes = value_bytes, .key_bytes = key_bytes, .space = (uint8_t)space, .gone = gone
	};
	memcpy(record + 1, key, key_bytes);
	memset((char *)(record + 1) + key_bytes, 0, bytes - sizeof *record - key_bytes);
	r->count++;
	return record;
}

void *records_put(struct records *r, enum record_space space, const void *key, uint16_t key_bytes,
		  uint32_t value_bytes)
{
	struct record *record = record_add(r, space, key, key_bytes, value_bytes, false);

	return record ? (char *)(record + 1) + pad8(key_bytes) : NULL;
}

void records_remove(struct records *r, enum record_space space, const void *key, uint16_t key_bytes)
{
	record_add(r, space, key, key_bytes, 0, true);
}

const struct record *records_next(const struct records *r, const struct record *at)
{
	const char *next =
		at ? (const char *)at + record_bytes(at->key_bytes, at->value_bytes) : r->region.base;

	return next < r->region.base + r->region.used ? (const struct record *)next : NULL;
}

const void *record_key(const struct record *record)
{
	return record + 1;
}

const void *record_value(const struct record *record)
{
	return (const char *)(record + 1) + pad8(record->key_bytes);
}
