/*
 * json.c: a recursive reader of RFC 8259 with a bounded depth; strict: no comments, no trailing commas, no
 * NaN.
 *
 * In: text of the caller, kept while tokens are used. Out: tokens in order of their places. Nothing is
 * allocated. Bytes of strings are not checked for UTF-8 here: what becomes a body is checked by
 * pack_validate. An int beyond 64 bits is refused, so that no number of a customer is rounded.
 */
#include "json.h"

#include <cel/convert.h>
#include <string.h>

struct parser {
	struct json *j;
	const char *at, *end;
	unsigned depth;
};

static bool fail(struct parser *p, const char *at, const char *what)
{
	if (!p->j->error) {
		p->j->error = what;
		p->j->error_at = (uint32_t)(at - p->j->text);
	}
	return false;
}

static void skip_space(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '\n'))
		p->at++;
}

static struct json_token *token_add(struct parser *p, enum json_type type)
{
	if (p->j->count == JSON_TOKENS_MAX) {
		fail(p, p->at, "more than 65536 values in a line");
		return NULL;
	}
	struct json_token *token = &p->j->tokens[p->j->count++];
	*token = (struct json_token){ .type = (uint8_t)type, .at = (uint32_t)(p->at - p->j->text) };
	token->next = p->j->count;
	return token;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits; -1 when they are not. */
static int hex_four(const char *at, const char *end)
{
	int n = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);
		if (digit < 0)
			return -1;
		n = n << 4 | digit;
	}
	return n;
}

/* Length of the escape at `at` (its backslash), 0 when it is none. *point: the character. */
static int escape_read(const char *at, const char *end, uint32_t *point)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (end - at < 2)
		return 0;
	if (at[1] && (name = strchr(names, at[1]))) {
		*point = (uint8_t)values[name - names];
		return 2;
	}
	int high = at[1] == 'u' ? hex_four(at + 2, end) : -1;
	if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
		return 0;
	*point = (uint32_t)high;
	if (high < 0xd800 || high > 0xdfff)
		return 6;
	int low = end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? hex_four(at + 8, end) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*point = 0x10000 + (((uint32_t)high & 0x3ff) << 10) + ((uint32_t)low & 0x3ff);
	return 12;
}

static bool parse_string(struct parser *p)
{
	struct json_token *token = token_add(p, JSON_IS_STRING);
	const char *start = ++p->at;
	uint32_t point;

	if (!token)
		return false;
	for (; p->at < p->end && *p->at != '"'; p->at++) {
		if ((uint8_t)*p->at < 0x20)
			return fail(p, p->at, "found a control character in a string");
		if (*p->at != '\\')
			continue;
		int bytes = escape_read(p->at, p->end, &point);
		if (!bytes)
			return fail(p, p->at, "found an escape that JSON does not have");
		token->escaped = true;
		p->at += bytes - 1;
	}
	if (p->at == p->end)
		return fail(p, start - 1, "found a string without its end");
	token->bytes = (uint32_t)(p->at - start);
	p->at++;
	return true;
}

static uint32_t utf8_write(uint32_t point, char *out)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	uint32_t bytes = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (uint32_t i = bytes - 1; i > 0; i--, point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(lead[bytes] | point);
	return bytes;
}

uint32_t json_unescape(const struct json *j, const struct json_token *token, char *room)
{
	const char *at = j->text + token->at + 1, *end = at + token->bytes;
	char *out = room;
	uint32_t point = 0;

	while (at < end) {
		if (*at != '\\') {
			*out++ = *at++;
			continue;
		}
		at += escape_read(at, end, &point);
		out += utf8_write(point, out);
	}
	return (uint32_t)(out - room);
}

static const char *digits(const char *at, const char *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?; *whole: without fraction and exponent. NULL: not a number.
 */
static const char *number_end(const char *at, const char *end, bool *whole)
{
	const char *start = at += at < end && *at == '-';

	at = digits(at, end);
	if (at == start || (*start == '0' && at > start + 1))
		return NULL;
	*whole = true;
	if (at < end && *at == '.') {
		*whole = false;
		start = ++at;
		at = digits(at, end);
		if (at == start)
			return NULL;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		*whole = false;
		at++;
		at += at < end && (*at == '+' || *at == '-');
		start = at;
		at = digits(at, end);
		if (at == start)
			return NULL;
	}
	return at;
}

static bool parse_int(struct json_token *token, const char *at, const char *end)
{
	bool negative = *at == '-';
	uint64_t n = 0;

	for (at += negative; at < end; at++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return false;
	if (negative && n > (uint64_t)INT64_MAX + 1)
		return false;
	token->type = !negative && n > INT64_MAX ? JSON_IS_UINT : JSON_IS_INT;
	token->u = negative ? 0 - n : n;
	return true;
}

static bool parse_number(struct parser *p)
{
	bool whole = true;
	const char *end = number_end(p->at, p->end, &whole);
	struct json_token *token = end ? token_add(p, JSON_IS_DOUBLE) : NULL;

	if (!end)
		return fail(p, p->at, "found something that is no JSON value");
	if (!token)
		return false;
	if (whole && !parse_int(token, p->at, end))
		return fail(p, p->at, "found an int beyond 64 bits");
	if (!whole && cel_double_parse(p->at, (size_t)(end - p->at), &token->d) != VALUE_ERROR_NONE)
		return fail(p, p->at, "found a number beyond a double");
	token->bytes = (uint32_t)(end - p->at);
	p->at = end;
	return true;
}

static bool take_word(struct parser *p, const char *word)
{
	size_t bytes = strlen(word);

	if ((size_t)(p->end - p->at) < bytes || memcmp(p->at, word, bytes) != 0)
		return false;
	p->at += bytes;
	return true;
}

static bool parse_word(struct parser *p)
{
	const char *start = p->at;
	enum json_type type = JSON_IS_BOOL;
	bool b = take_word(p, "true");

	if (!b && !take_word(p, "false")) {
		type = JSON_IS_NULL;
		if (!take_word(p, "null"))
			return fail(p, start, "found something that is no JSON value");
	}
	p->at = start;
	struct json_token *token = token_add(p, type);
	if (!token)
		return false;
	token->b = b;
	token->bytes = (uint32_t)(type == JSON_IS_NULL || b ? 4 : 5);
	p->at = start + token->bytes;
	return true;
}

static bool parse_value(struct parser *p);

static bool parse_pair(struct parser *p)
{
	if (p->at == p->end || *p->at != '"')
		return fail(p, p->at, "expected a key in quotes");
	if (!parse_string(p))
		return false;
	skip_space(p);
	if (p->at == p->end || *p->at != ':')
		return fail(p, p->at, "expected : behind a key");
	p->at++;
	skip_space(p);
	return parse_value(p);
}

/* A list or a map, from its bracket on. */
static bool parse_items(struct parser *p, bool map)
{
	struct json_token *token = token_add(p, map ? JSON_IS_MAP : JSON_IS_LIST);
	char close = map ? '}' : ']';

	if (!token)
		return false;
	if (++p->depth > JSON_DEPTH_MAX)
		return fail(p, p->at, "nested deeper than 8");
	p->at++;
	skip_space(p);
	while (p->at < p->end && *p->at != close) {
		if (!(map ? parse_pair(p) : parse_value(p)))
			return false;
		token->count++;
		skip_space(p);
		if (p->at == p->end || *p->at == close)
			break;
		if (*p->at != ',')
			return fail(p, p->at, map ? "expected , or }" : "expected , or ]");
		p->at++;
		skip_space(p);
		if (p->at < p->end && *p->at == close)
			return fail(p, p->at, "expected a value behind the comma");
	}
	if (p->at == p->end)
		return fail(p, p->at, map ? "expected }" : "expected ]");
	p->at++;
	p->depth--;
	token->next = p->j->count;
	return true;
}

static bool parse_value(struct parser *p)
{
	if (p->at == p->end)
		return fail(p, p->at, "expected a value");
	switch (*p->at) {
	case '{':
		return parse_items(p, true);
	case '[':
		return parse_items(p, false);
	case '"':
		return parse_string(p);
	case 't':
	case 'f':
	case 'n':
		return parse_word(p);
	default:
		return parse_number(p);
	}
}

bool json_parse(struct json *j, const char *text, size_t len)
{
	struct parser p = { .j = j, .at = text, .end = text + len };

	j->text = text;
	j->count = 0;
	j->error = NULL;
	j->error_at = 0;
	skip_space(&p);
	if (!parse_value(&p))
		return false;
	skip_space(&p);
	return p.at == p.end || fail(&p, p.at, "expected the end of the line");
}
