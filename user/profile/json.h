/*
 * json: one JSON text into a flat list of tokens (RFC 8259), with places, for import files.
 *
 * Own, because an import names the column of what is wrong and reads hundreds of thousands of lines a second.
 */
#ifndef PROFILE_JSON_H
#define PROFILE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type {
	JSON_NONE,
	JSON_IS_NULL,
	JSON_IS_BOOL,
	JSON_IS_INT,
	JSON_IS_UINT,
	JSON_IS_DOUBLE,
	JSON_IS_STRING,
	JSON_IS_LIST,
	JSON_IS_MAP
};

enum { JSON_DEPTH_MAX = 8, JSON_TOKENS_MAX = 65536 };

struct json_token {
	uint8_t type;	/* enum json_type */
	bool escaped;	/* STRING: has a backslash */
	uint32_t at;	/* offset of its first byte; STRING: of the quote */
	uint32_t bytes; /* STRING: between the quotes */
	uint32_t count; /* LIST: items; MAP: pairs */
	uint32_t next;	/* the token behind it and all that it holds */
	union {
		bool b;
		int64_t i;
		uint64_t u; /* above INT64_MAX */
		double d;
	};
};

struct json {
	const char *text;
	struct json_token *tokens; /* of the caller, JSON_TOKENS_MAX */
	uint32_t count;
	const char *error; /* what was found or expected */
	uint32_t error_at;
};

/* Parses the whole text; a map's keys and values follow it in turn. False: error and error_at. */
bool json_parse(struct json *j, const char *text, size_t len);

/* A string's bytes, without escapes, into `room` (bytes of the token are enough); how many. */
uint32_t json_unescape(const struct json *j, const struct json_token *token, char *room);

#endif
