/*
 * bytes.c: MessagePack read and written in place.
 *
 * In: bytes that the caller owns and keeps. Out: items whose strings point into them; nothing is copied
 * or allocated. The reader's first error sticks: it goes to the end, and every later read gives PACK_NONE.
 * The writer writes into the caller's room; what does not fit sets `overflow`, which sticks too.
 * What can go wrong is in the bytes only: truncated, reserved, extension types, and for pack_validate
 * everything that a frame's body may not hold. Read pack_read first, then pack_validate.
 */
#include "bytes.h"

#include <assert.h>
#include <moment/frame.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "loads below swap from big-endian");

enum { KEYS_MAX = 64 }; /* of one map */

void pack_reader_init(struct pack_reader *r, const void *bytes, size_t len)
{
	static const uint8_t nothing[1];
	const uint8_t *start = bytes ? bytes : nothing;

	assert(bytes || len == 0);
	*r = (struct pack_reader){ .at = start, .end = start + len, .start = start };
}

static struct pack_item reader_fail(struct pack_reader *r, const uint8_t *at, const char *what)
{
	if (!r->error) {
		r->error = what;
		r->error_offset = (uint32_t)(at - r->start);
	}
	r->at = r->end;
	return (struct pack_item){ .type = PACK_NONE };
}

static uint64_t load_big_endian(const uint8_t *at, unsigned bytes)
{
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	switch (bytes) {
	case 1:
		return *at;
	case 2:
		memcpy(&two, at, 2);
		return __builtin_bswap16(two);
	case 4:
		memcpy(&four, at, 4);
		return __builtin_bswap32(four);
	default:
		assert(bytes == 8);
		memcpy(&eight, at, 8);
		return __builtin_bswap64(eight);
	}
}

/* Reads `bytes` bytes as an unsigned number; false and an error when they are not there. */
static bool reader_take(struct pack_reader *r, unsigned bytes, const char *what, uint64_t *out)
{
	if ((size_t)(r->end - r->at) < bytes) {
		reader_fail(r, r->at - 1, what);
		return false;
	}
	*out = load_big_endian(r->at, bytes);
	r->at += bytes;
	return true;
}

static struct pack_item read_bytes(struct pack_reader *r, enum pack_type type, uint64_t len,
				   const uint8_t *head)
{
	struct pack_item item = { .type = type };

	if ((uint64_t)(r->end - r->at) < len)
		return reader_fail(r, head, type == PACK_STRING ? "truncated string" : "truncated binary");
	item.s = (const char *)r->at;
	item.bytes = (uint32_t)len;
	r->at += len;
	return item;
}

/* Each item inside takes a byte at least, so a count above what is left cannot be true. */
static struct pack_item read_head(struct pack_reader *r, enum pack_type type, uint64_t count,
				  const uint8_t *head)
{
	uint64_t items = type == PACK_MAP ? 2 * count : count;

	if ((uint64_t)(r->end - r->at) < items)
		return reader_fail(r, head, type == PACK_MAP ? "truncated map" : "truncated array");
	return (struct pack_item){ .type = type, .count = (uint32_t)count };
}

static struct pack_item item_of_uint(uint64_t u)
{
	if (u > INT64_MAX)
		return (struct pack_item){ .type = PACK_UINT, .u = u };
	return (struct pack_item){ .type = PACK_INT, .i = (int64_t)u };
}

static struct pack_item read_float(struct pack_reader *r, unsigned bytes)
{
	struct pack_item item = { .type = PACK_DOUBLE };
	uint64_t raw;
	uint32_t low;
	float f;

	if (!reader_take(r, bytes, "truncated float", &raw))
		return (struct pack_item){ .type = PACK_NONE };
	if (bytes == 8) {
		memcpy(&item.d, &raw, 8);
		return item;
	}
	low = (uint32_t)raw;
	memcpy(&f, &low, 4);
	item.d = (double)f;
	return item;
}

static struct pack_item read_int(struct pack_reader *r, unsigned bytes, bool is_signed)
{
	uint64_t raw;
	unsigned shift = 64 - 8 * bytes;

	if (!reader_take(r, bytes, "truncated integer", &raw))
		return (struct pack_item){ .type = PACK_NONE };
	if (!is_signed)
		return item_of_uint(raw);
	return (struct pack_item){ .type = PACK_INT, .i = (int64_t)(raw << shift) >> shift };
}

/* A string, binary, array or map whose length stands in `bytes` bytes behind the head. */
static struct pack_item read_sized(struct pack_reader *r, enum pack_type type, unsigned bytes)
{
	const uint8_t *head = r->at - 1;
	uint64_t n;

	if (!reader_take(r, bytes, "truncated length", &n))
		return (struct pack_item){ .type = PACK_NONE };
	if (type == PACK_STRING || type == PACK_BINARY)
		return read_bytes(r, type, n, head);
	return read_head(r, type, n, head);
}

/* The heads 0xc0 to 0xdf, in the order of the format's table. */
static struct pack_item read_tagged(struct pack_reader *r, const uint8_t *head)
{
	switch (*head) {
	case 0xc0:
		return (struct pack_item){ .type = PACK_NIL };
	case 0xc2:
	case 0xc3:
		return (struct pack_item){ .type = PACK_BOOL, .b = *head == 0xc3 };
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return read_sized(r, PACK_BINARY, 1u << (*head - 0xc4));
	case 0xca:
	case 0xcb:
		return read_float(r, *head == 0xca ? 4 : 8);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return read_int(r, 1u << (*head - 0xcc), false);
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return read_int(r, 1u << (*head - 0xd0), true);
	case 0xd9:
	case 0xda:
	case 0xdb:
		return read_sized(r, PACK_STRING, 1u << (*head - 0xd9));
	case 0xdc:
	case 0xdd:
		return read_sized(r, PACK_ARRAY, *head == 0xdc ? 2 : 4);
	case 0xde:
	case 0xdf:
		return read_sized(r, PACK_MAP, *head == 0xde ? 2 : 4);
	case 0xc1:
		return reader_fail(r, head, "reserved byte 0xc1");
	default:
		return reader_fail(r, head, "extension type");
	}
}

struct pack_item pack_read(struct pack_reader *r)
{
	const uint8_t *head = r->at;

	if (head == r->end)
		return (struct pack_item){ .type = PACK_NONE };
	r->at++;
	if (*head < 0x80)
		return (struct pack_item){ .type = PACK_INT, .i = *head };
	if (*head < 0x90)
		return read_head(r, PACK_MAP, *head & 0x0f, head);
	if (*head < 0xa0)
		return read_head(r, PACK_ARRAY, *head & 0x0f, head);
	if (*head < 0xc0)
		return read_bytes(r, PACK_STRING, *head & 0x1f, head);
	if (*head < 0xe0)
		return read_tagged(r, head);
	return (struct pack_item){ .type = PACK_INT, .i = (int8_t)*head };
}

/* The next item, where the end is an error. */
static struct pack_item read_required(struct pack_reader *r, const char *missing)
{
	struct pack_item item = pack_read(r);

	if (item.type == PACK_NONE)
		reader_fail(r, r->at, missing);
	return item;
}

void pack_skip(struct pack_reader *r)
{
	uint64_t left = 1; /* grows by at most 2^33 a byte read: cannot overflow */

	while (left > 0 && !r->error) {
		struct pack_item item = read_required(r, "truncated item");

		left--;
		if (item.type == PACK_ARRAY)
			left += item.count;
		else if (item.type == PACK_MAP)
			left += 2 * (uint64_t)item.count;
	}
}

uint32_t pack_read_map(struct pack_reader *r)
{
	const uint8_t *head = r->at;
	struct pack_item item;

	if (r->start == r->end) /* a frame of 64 bytes: no body is an empty map */
		return 0;
	item = read_required(r, "no map");
	if (item.type == PACK_MAP)
		return item.count;
	reader_fail(r, head, "no map");
	return 0;
}

const char *pack_read_key(struct pack_reader *r, uint32_t *len)
{
	const uint8_t *head = r->at;
	struct pack_item item = read_required(r, "truncated map");

	*len = 0;
	if (item.type != PACK_STRING) {
		reader_fail(r, head, "a key that is no string");
		return NULL;
	}
	*len = item.bytes;
	return item.s;
}

/* One open array or map of the body that is being checked, with the keys that it has had. */
struct open_level {
	uint64_t left; /* items still to come, keys included */
	bool is_map;
	uint32_t keys;
	uint64_t seen; /* a bit per hash: most keys need no comparison */
	uint64_t hash[KEYS_MAX];
	const char *key[KEYS_MAX];
	uint32_t key_bytes[KEYS_MAX];
};

static uint64_t key_hash(const char *s, uint32_t len)
{
	uint64_t h = len * 0x9e3779b97f4a7c15ull;
	uint64_t word;

	for (; len >= 8; s += 8, len -= 8) {
		memcpy(&word, s, 8);
		h = (h ^ word) * 0x9fb21c651e98df25ull;
		h ^= h >> 32;
	}
	for (word = 0; len > 0; len--)
		word = word << 8 | (uint8_t)s[len - 1];
	h = (h ^ word) * 0x9fb21c651e98df25ull;
	return h ^ h >> 29;
}

/* NULL, or what is wrong with the next key of this map. */
static const char *level_add_key(struct open_level *level, const char *s, uint32_t len)
{
	uint64_t h = key_hash(s, len);
	uint64_t bit = 1ull << (h >> 58);

	if (level->keys == KEYS_MAX)
		return "more than 64 keys in a map";
	if (level->seen & bit)
		for (uint32_t i = 0; i < level->keys; i++)
			if (level->hash[i] == h && level->key_bytes[i] == len &&
			    memcmp(level->key[i], s, len) == 0)
				return "a key that occurs twice";
	level->seen |= bit;
	level->hash[level->keys] = h;
	level->key[level->keys] = s;
	level->key_bytes[level->keys++] = len;
	return NULL;
}

static void level_open(struct open_level *level, const struct pack_item *item)
{
	level->is_map = item->type == PACK_MAP;
	level->left = level->is_map ? 2 * (uint64_t)item->count : item->count;
	level->keys = 0;
	level->seen = 0;
}

/* NULL, or what is wrong with an item at its place: keys, text, nesting. */
static const char *validate_item(struct open_level *level, const struct pack_item *item, unsigned depth)
{
	bool is_key = level->is_map && level->left % 2 == 0;

	if (is_key && item->type != PACK_STRING)
		return "a key that is no string";
	if (item->type == PACK_STRING && !utf8_valid(item->s, item->bytes))
		return "a string that is not UTF-8";
	if (is_key)
		return level_add_key(level, item->s, item->bytes);
	if ((item->type == PACK_ARRAY || item->type == PACK_MAP) && depth == FRAME_BODY_DEPTH_MAX)
		return "nested deeper than 4";
	return NULL;
}

/* Walks what the outer map holds; the reader's error says what was wrong. */
static void validate_items(struct pack_reader *r, struct open_level *level)
{
	unsigned depth = 1;

	while (depth > 0 && !r->error) {
		struct open_level *open = &level[depth - 1];
		const uint8_t *head = r->at;
		const char *problem;
		struct pack_item item;

		if (open->left == 0) {
			depth--;
			continue;
		}
		item = read_required(r, "truncated body");
		if (r->error)
			return;
		problem = validate_item(open, &item, depth);
		if (problem) {
			reader_fail(r, head, problem);
			return;
		}
		open->left--;
		if (item.type == PACK_ARRAY || item.type == PACK_MAP)
			level_open(&level[depth++], &item);
	}
}

const char *pack_validate(const void *bytes, size_t len, uint32_t *offset)
{
	struct open_level level[FRAME_BODY_DEPTH_MAX];
	struct pack_reader r;
	struct pack_item outer = { .type = PACK_MAP };

	pack_reader_init(&r, bytes, len);
	outer.count = pack_read_map(&r);
	if (!r.error) {
		level_open(&level[0], &outer);
		validate_items(&r, level);
	}
	if (!r.error && r.at != r.end)
		reader_fail(&r, r.at, "bytes behind the map");
	*offset = r.error ? r.error_offset : 0;
	return r.error;
}

void pack_writer_init(struct pack_writer *w, void *bytes, size_t room)
{
	*w = (struct pack_writer){ .at = bytes, .end = (uint8_t *)bytes + room, .start = bytes };
}

static bool writer_has_room(struct pack_writer *w, size_t bytes)
{
	if ((size_t)(w->end - w->at) < bytes)
		w->overflow = true;
	return !w->overflow;
}

/* A head byte and a big-endian number of `bytes` bytes behind it. */
static void put_head(struct pack_writer *w, uint8_t head, uint64_t n, unsigned bytes)
{
	if (!writer_has_room(w, 1 + (size_t)bytes))
		return;
	*w->at++ = head;
	for (unsigned i = bytes; i > 0; i--)
		*w->at++ = (uint8_t)(n >> (8 * (i - 1)));
}

static void put_bytes(struct pack_writer *w, const void *bytes, size_t len)
{
	if (!writer_has_room(w, len) || len == 0)
		return;
	memcpy(w->at, bytes, len);
	w->at += len;
}

void pack_map(struct pack_writer *w, uint32_t pairs)
{
	if (pairs < 16)
		put_head(w, (uint8_t)(0x80 | pairs), 0, 0);
	else if (pairs <= UINT16_MAX)
		put_head(w, 0xde, pairs, 2);
	else
		put_head(w, 0xdf, pairs, 4);
}

void pack_array(struct pack_writer *w, uint32_t items)
{
	if (items < 16)
		put_head(w, (uint8_t)(0x90 | items), 0, 0);
	else if (items <= UINT16_MAX)
		put_head(w, 0xdc, items, 2);
	else
		put_head(w, 0xdd, items, 4);
}

void pack_string(struct pack_writer *w, const char *s, size_t len)
{
	assert(len <= UINT32_MAX);
	if (len < 32)
		put_head(w, (uint8_t)(0xa0 | len), 0, 0);
	else if (len <= UINT8_MAX)
		put_head(w, 0xd9, len, 1);
	else if (len <= UINT16_MAX)
		put_head(w, 0xda, len, 2);
	else
		put_head(w, 0xdb, len, 4);
	put_bytes(w, s, len);
}

void pack_text(struct pack_writer *w, const char *s)
{
	pack_string(w, s, strlen(s));
}

void pack_binary(struct pack_writer *w, const void *bytes, size_t len)
{
	assert(len <= UINT32_MAX);
	if (len <= UINT8_MAX)
		put_head(w, 0xc4, len, 1);
	else if (len <= UINT16_MAX)
		put_head(w, 0xc5, len, 2);
	else
		put_head(w, 0xc6, len, 4);
	put_bytes(w, bytes, len);
}

void pack_int(struct pack_writer *w, int64_t i)
{
	if (i >= 0)
		pack_uint(w, (uint64_t)i);
	else if (i >= -32)
		put_head(w, (uint8_t)i, 0, 0);
	else if (i >= INT8_MIN)
		put_head(w, 0xd0, (uint64_t)i, 1);
	else if (i >= INT16_MIN)
		put_head(w, 0xd1, (uint64_t)i, 2);
	else if (i >= INT32_MIN)
		put_head(w, 0xd2, (uint64_t)i, 4);
	else
		put_head(w, 0xd3, (uint64_t)i, 8);
}

void pack_uint(struct pack_writer *w, uint64_t u)
{
	if (u < 128)
		put_head(w, (uint8_t)u, 0, 0);
	else if (u <= UINT8_MAX)
		put_head(w, 0xcc, u, 1);
	else if (u <= UINT16_MAX)
		put_head(w, 0xcd, u, 2);
	else if (u <= UINT32_MAX)
		put_head(w, 0xce, u, 4);
	else
		put_head(w, 0xcf, u, 8);
}

void pack_bool(struct pack_writer *w, bool b)
{
	put_head(w, b ? 0xc3 : 0xc2, 0, 0);
}

void pack_double(struct pack_writer *w, double d)
{
	uint64_t raw;

	memcpy(&raw, &d, 8);
	put_head(w, 0xcb, raw, 8);
}

void pack_nil(struct pack_writer *w)
{
	put_head(w, 0xc0, 0, 0);
}

/* Length of the well-formed sequence at `s` (RFC 3629, section 4), 0 when there is none. */
static size_t utf8_sequence(const uint8_t *s, size_t left)
{
	uint8_t low = 0x80,
		high = 0xbf; /* of the second byte: no overlong form, no surrogate, at most U+10FFFF */
	size_t len;

	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (left < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool utf8_valid(const char *text, size_t len)
{
	const uint8_t *s = (const uint8_t *)text, *end = s + len;
	uint64_t word;

	while (s < end) {
		size_t n = 1;

		if (end - s >= 8) {
			memcpy(&word, s, 8);
			if (!(word & 0x8080808080808080ull)) {
				s += 8;
				continue;
			}
		}
		if (*s >= 0x80)
			n = utf8_sequence(s, (size_t)(end - s));
		if (n == 0)
			return false;
		s += n;
	}
	return true;
}
