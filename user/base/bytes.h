/*
 * bytes: a cursor over the caller's bytes for MessagePack, and a writer. Bounds-checked, nothing copied
 * or allocated; the first error sticks, and one check at the end is enough.
 *
 * Source of the format: github.com/msgpack/msgpack/blob/master/spec.md. Allowed in a frame's body:
 * nil, bool, int, float, str (UTF-8), bin, array, map with string keys without duplicates; depth at
 * most FRAME_BODY_DEPTH_MAX; no extension types.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <moment/value.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pack_type {
	PACK_NONE,
	PACK_NIL,
	PACK_BOOL,
	PACK_INT,
	PACK_UINT,
	PACK_DOUBLE,
	PACK_STRING,
	PACK_BINARY,
	PACK_ARRAY,
	PACK_MAP
};

struct pack_item {
	enum pack_type type;
	union {
		bool b;
		int64_t i;  /* PACK_INT: any integer that fits in 63 bits and a sign */
		uint64_t u; /* PACK_UINT: above INT64_MAX */
		double d;
		struct {
			const char *s; /* STRING, BINARY: borrowed from the caller's bytes */
			uint32_t bytes;
		};
		uint32_t count; /* ARRAY: items; MAP: pairs */
	};
};

struct pack_reader {
	const uint8_t *at, *end, *start;
	const char *error; /* NULL, or what was wrong: "truncated string" */
	uint32_t error_offset;
};

void pack_reader_init(struct pack_reader *r, const void *bytes, size_t len);
/* The next item; of an array or map only its head, its items follow. PACK_NONE after an error or at the end.
 */
struct pack_item pack_read(struct pack_reader *r);
/* Skips one whole item, with what it contains. */
void pack_skip(struct pack_reader *r);
/* Reads a map's head: number of pairs, 0 and an error when it is no map. Of no bytes at all: 0, no error. */
uint32_t pack_read_map(struct pack_reader *r);
/* Reads a key: borrowed, length in *len; NULL and an error when it is no string. */
const char *pack_read_key(struct pack_reader *r, uint32_t *len);

/*
 * Checks a whole body against the rules above: one map, nothing behind it; or no bytes, which is an empty map
 * (a frame of 64 bytes). NULL when it is good, else
 * what is wrong, with the byte in *offset. Time linear in bytes (duplicate keys: at most 64 keys a map,
 * compared by hash).
 */
const char *pack_validate(const void *bytes, size_t len, uint32_t *offset);

struct pack_writer {
	uint8_t *at, *end, *start;
	bool overflow; /* sticks; what was written so far is unusable */
};

void pack_writer_init(struct pack_writer *w, void *bytes, size_t room);
void pack_map(struct pack_writer *w, uint32_t pairs);
void pack_array(struct pack_writer *w, uint32_t items);
void pack_string(struct pack_writer *w, const char *s, size_t len);
void pack_text(struct pack_writer *w, const char *s); /* NUL-terminated */
void pack_binary(struct pack_writer *w, const void *bytes, size_t len);
void pack_int(struct pack_writer *w, int64_t i);   /* shortest form */
void pack_uint(struct pack_writer *w, uint64_t u); /* shortest form */
void pack_bool(struct pack_writer *w, bool b);
void pack_double(struct pack_writer *w, double d);
void pack_nil(struct pack_writer *w);
static inline size_t pack_bytes(const struct pack_writer *w)
{
	return (size_t)(w->at - w->start);
}

/* True when the bytes are well-formed UTF-8 (RFC 3629). */
bool utf8_valid(const char *s, size_t len);

#endif
