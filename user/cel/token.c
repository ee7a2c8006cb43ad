/*
 * token.c: the text of an expression to tokens, one ahead of the parser.
 *
 * In: compiler.text, of any bytes. Out: compiler.token; strings unescaped into compiler.temp. What can
 * go wrong: bytes that are no UTF-8, a string without its end, a bad escape, a number that does not fit.
 * Source: cel-spec, doc/langdef.md, "Syntax". Bytes (b"..") and uint (1u) are not built yet.
 */
#include "convert.h"
#include "tree.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The byte at `i`, or NUL behind the end. */
static char at(const struct compiler *c, uint32_t i)
{
	return i < c->len ? c->text[i] : '\0';
}

static uint32_t name_skip(const struct compiler *c, uint32_t i)
{
	while (is_name_start(at(c, i)) || is_digit(at(c, i)))
		i++;
	return i;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Bytes of the well-formed character at `i` (RFC 3629), 0 when there is none. */
static uint32_t character_bytes(const struct compiler *c, uint32_t i)
{
	unsigned char first = (unsigned char)c->text[i], second = (unsigned char)at(c, i + 1);
	uint32_t bytes = first < 0x80	? 1
			 : first < 0xC2 ? 0
			 : first < 0xE0 ? 2
			 : first < 0xF0 ? 3
			 : first < 0xF5 ? 4
					: 0;

	if (bytes == 0 || bytes > c->len - i)
		return 0;
	for (uint32_t k = 1; k < bytes; k++)
		if (((unsigned char)c->text[i + k] & 0xC0) != 0x80)
			return 0;
	if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
	    (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
		return 0;
	return bytes;
}

static bool text_validate(struct compiler *c)
{
	for (uint32_t i = 0, n; i < c->len; i += n) {
		n = character_bytes(c, i);
		if (n == 0)
			return cel_refuse(c, i, "a byte that is not UTF-8", "UTF-8 text");
	}
	return true;
}

static uint32_t spaces_skip(const struct compiler *c, uint32_t i)
{
	for (;;) {
		while (i < c->len && strchr(" \t\n\f\r", c->text[i]) && c->text[i] != '\0')
			i++;
		if (at(c, i) != '/' || at(c, i + 1) != '/')
			return i;
		while (i < c->len && c->text[i] != '\n')
			i++;
	}
}

static size_t utf8_encode(uint32_t code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3F));
		code >>= 6;
	}
	out[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | code);
	return n;
}

/* Reads `digits` digits of `base`; false when there are fewer. */
static bool escape_code(const struct compiler *c, uint32_t i, unsigned digits, int base, uint32_t *code)
{
	*code = 0;
	for (unsigned k = 0; k < digits; k++) {
		int digit = hex_digit(at(c, i + k));
		if (digit < 0 || digit >= base)
			return false;
		*code = *code * (uint32_t)base + (uint32_t)digit;
	}
	return true;
}

/* One escape, at its backslash; advances *i and *out. */
static bool escape_read(struct compiler *c, uint32_t *i, char **out)
{
	static const char from[] = "abfnrtv\"'\\?`", to[] = "\a\b\f\n\r\t\v\"'\\?`";
	char kind = at(c, *i + 1);
	const char *simple = kind ? strchr(from, kind) : NULL;
	unsigned digits = kind == 'x' || kind == 'X' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
	uint32_t code, start = *i;

	if (simple) {
		*(*out)++ = to[simple - from];
		*i += 2;
		return true;
	}
	if (digits > 0) {
		if (!escape_code(c, start + 2, digits, 16, &code))
			return cel_refuse_text(c, start, start + 2, "%u hexadecimal digits behind it",
					       digits);
		*i += 2 + digits;
	} else if (kind >= '0' && kind <= '3') {
		if (!escape_code(c, start + 1, 3, 8, &code))
			return cel_refuse_text(c, start, start + 2, "3 octal digits, \\000 to \\377");
		*i += 4;
	} else {
		uint32_t end = start + 1 < c->len ? start + 1 + character_bytes(c, start + 1) : start + 1;
		return cel_refuse_text(
			c, start, end,
			"an escape: \\n \\t \\\" \\' \\\\ \\xHH \\uHHHH .. (or a raw string, r\"..\")");
	}
	if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		return cel_refuse_text(c, start, *i,
				       "a Unicode character, not a surrogate, at most \\U0010FFFF");
	*out += utf8_encode(code, *out);
	return true;
}

/*
 * A string whose opening quotes start at `i`. No escape is longer than its text, so one buffer of the
 * text's size holds all strings of an expression.
 */
static bool string_read(struct compiler *c, uint32_t i, bool raw)
{
	char quote = at(c, i);
	bool triple = at(c, i + 1) == quote && at(c, i + 2) == quote;
	uint32_t close = triple ? 3 : 1;
	char *start = c->strings, *out = start;

	i += close;
	for (;;) {
		if (i >= c->len)
			return cel_refuse_text(c, c->token.start, c->len, "the closing %s of the string",
					       triple ? (quote == '"' ? "\"\"\"" : "'''")
						      : (quote == '"' ? "\"" : "'"));
		if (c->text[i] == quote && (!triple || (at(c, i + 1) == quote && at(c, i + 2) == quote)))
			break;
		if (!triple && (c->text[i] == '\n' || c->text[i] == '\r'))
			return cel_refuse(c, i, "a line's end inside of a string",
					  "the closing quote, or three quotes");
		if (c->text[i] == '\\' && !raw) {
			if (!escape_read(c, &i, &out))
				return false;
			continue;
		}
		*out++ = c->text[i++];
	}
	c->token.kind = TOKEN_STRING;
	c->token.end = i + close;
	c->token.value = (struct value){ .type = TYPE_STRING, .bytes = (uint32_t)(out - start), .s = start };
	c->strings = out;
	return true;
}

/* What stands right behind a number: nothing that makes it a name. */
static bool number_end(struct compiler *c)
{
	uint32_t start = c->token.start, i = c->token.end;

	if (!is_name_start(at(c, i)))
		return true;
	while (is_name_start(at(c, i)) || is_digit(at(c, i)))
		i++;
	if (i == c->token.end + 1 && (at(c, i - 1) == 'u' || at(c, i - 1) == 'U'))
		return cel_refuse_text(c, start, i, "int (not built yet: uint)");
	int64_t ns;
	if (cel_duration_parse(c->text + start, i - start, &ns) == VALUE_ERROR_NONE)
		return cel_refuse_text(c, start, i, "a number (write duration(\"%.*s\"))", (int)(i - start),
				       c->text + start);
	return cel_refuse_text(c, start, i, "a number");
}

static bool integer_refuse(struct compiler *c)
{
	return cel_refuse_text(c, c->token.start, c->token.end,
			       "an int from -9223372036854775808 to 9223372036854775807");
}

static bool hex_read(struct compiler *c, uint32_t i)
{
	uint32_t start = i;
	bool fits = true;

	c->token.magnitude = 0;
	for (; hex_digit(at(c, i)) >= 0; i++) {
		fits = fits && c->token.magnitude <= UINT64_MAX >> 4;
		c->token.magnitude = c->token.magnitude << 4 | (uint64_t)hex_digit(at(c, i));
	}
	c->token.kind = TOKEN_INT;
	c->token.end = i;
	if (i == start)
		return cel_refuse_text(c, c->token.start, i, "hexadecimal digits behind 0x");
	return (fits && c->token.magnitude <= (uint64_t)1 << 63) || integer_refuse(c);
}

static bool decimal_read(struct compiler *c)
{
	bool fits = true;

	c->token.kind = TOKEN_INT;
	c->token.magnitude = 0;
	for (uint32_t i = c->token.start; i < c->token.end; i++)
		fits = fits && !__builtin_mul_overflow(c->token.magnitude, 10, &c->token.magnitude) &&
		       !__builtin_add_overflow(c->token.magnitude, (uint64_t)(c->text[i] - '0'),
					       &c->token.magnitude);
	return (fits && c->token.magnitude <= (uint64_t)1 << 63) || integer_refuse(c);
}

static bool double_read(struct compiler *c)
{
	double d;
	enum value_error e = cel_double_parse(c->text + c->token.start, c->token.end - c->token.start, &d);

	if (e != VALUE_ERROR_NONE)
		return cel_refuse_text(c, c->token.start, c->token.end,
				       "a double: at most 1.7976931348623157e+308%s",
				       e == VALUE_ERROR_RANGE ? "" : ", written with at most 511 characters");
	c->token.kind = TOKEN_DOUBLE;
	c->token.value = (struct value){ .type = TYPE_DOUBLE, .d = d };
	return true;
}

static bool number_read(struct compiler *c)
{
	uint32_t i = c->token.start;
	bool is_double = false;

	if (at(c, i) == '0' && at(c, i + 1) == 'x')
		return hex_read(c, i + 2) && number_end(c);
	while (is_digit(at(c, i)))
		i++;
	if (at(c, i) == '.' && is_digit(at(c, i + 1))) {
		is_double = true;
		for (i++; is_digit(at(c, i)); i++)
			;
	}
	if (at(c, i) == 'e' || at(c, i) == 'E') {
		uint32_t digits = i + 1 + (at(c, i + 1) == '+' || at(c, i + 1) == '-');
		if (is_digit(at(c, digits))) {
			is_double = true;
			for (i = digits; is_digit(at(c, i)); i++)
				;
		}
	}
	c->token.end = i;
	return number_end(c) && (is_double ? double_read(c) : decimal_read(c));
}

static bool word_is(const struct compiler *c, const char *word)
{
	size_t len = strlen(word);

	return c->token.end - c->token.start == len && memcmp(c->text + c->token.start, word, len) == 0;
}

static bool name_read(struct compiler *c)
{
	c->token.end = name_skip(c, c->token.start);
	c->token.kind = word_is(c, "true")    ? TOKEN_TRUE
			: word_is(c, "false") ? TOKEN_FALSE
			: word_is(c, "in")    ? TOKEN_IN
					      : TOKEN_NAME;
	return true;
}

static const struct {
	char text[3];
	enum token_kind kind;
} marks[] = {
	/* the longer ones first */
	{ "&&", TOKEN_AND },	     { "||", TOKEN_OR },
	{ "==", TOKEN_EQ },	     { "!=", TOKEN_NE },
	{ "<=", TOKEN_LE },	     { ">=", TOKEN_GE },
	{ "(", TOKEN_PAREN_OPEN },   { ")", TOKEN_PAREN_CLOSE },
	{ "[", TOKEN_BRACKET_OPEN }, { "]", TOKEN_BRACKET_CLOSE },
	{ "{", TOKEN_BRACE_OPEN },   { "}", TOKEN_BRACE_CLOSE },
	{ ".", TOKEN_DOT },	     { ",", TOKEN_COMMA },
	{ "?", TOKEN_QUESTION },     { ":", TOKEN_COLON },
	{ "!", TOKEN_NOT },	     { "<", TOKEN_LT },
	{ ">", TOKEN_GT },	     { "+", TOKEN_PLUS },
	{ "-", TOKEN_MINUS },	     { "*", TOKEN_STAR },
	{ "/", TOKEN_SLASH },	     { "%", TOKEN_PERCENT },
};

static bool mark_read(struct compiler *c)
{
	uint32_t start = c->token.start;

	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
		uint32_t len = marks[i].text[1] ? 2 : 1;
		if (at(c, start) == marks[i].text[0] && (len == 1 || at(c, start + 1) == marks[i].text[1])) {
			c->token.kind = marks[i].kind;
			c->token.end = start + len;
			return true;
		}
	}
	char single = at(c, start);
	uint32_t end = start + character_bytes(c, start);
	if (single == '=')
		return cel_refuse_text(c, start, end, "==");
	if (single == '&' || single == '|')
		return cel_refuse_text(c, start, end, "%c%c", single, single);
	return cel_refuse_text(c, start, end, "an operator, a name, a number or a string");
}

/* 0 = no string starts here; else bytes of its prefix + 1 */
static uint32_t string_prefix(const struct compiler *c, uint32_t i)
{
	uint32_t n = 0;

	while (n < 2 && at(c, i + n) != '\0' && strchr("rRbB", at(c, i + n)))
		n++;
	return at(c, i + n) == '"' || at(c, i + n) == '\'' ? n + 1 : 0;
}

static bool prefixed_read(struct compiler *c, uint32_t prefix)
{
	uint32_t start = c->token.start;

	for (uint32_t i = start; i < start + prefix; i++)
		if (at(c, i) == 'b' || at(c, i) == 'B')
			return cel_refuse_text(c, start, start + prefix + 1,
					       "a string (not built yet: bytes)");
	if (prefix > 1)
		return cel_refuse_text(c, start, start + prefix + 1, "a string with one r before it");
	return string_read(c, start + prefix, prefix == 1);
}

bool cel_token_next(struct compiler *c)
{
	c->taken_end = c->token.end;
	uint32_t start = spaces_skip(c, c->token.end);
	c->token.start = start;
	if (start == c->len) {
		c->token.end = start;
		c->token.kind = TOKEN_END;
		return true;
	}
	char first = c->text[start];
	uint32_t prefix = string_prefix(c, start);
	if (prefix > 0)
		return prefixed_read(c, prefix - 1);
	if (is_digit(first) || (first == '.' && is_digit(at(c, start + 1))))
		return number_read(c);
	if (is_name_start(first))
		return name_read(c);
	return mark_read(c);
}

bool cel_token_start(struct compiler *c)
{
	c->strings = arena_take(&c->temp, (size_t)c->len + 1);
	if (!c->strings)
		return cel_refuse_memory(c);
	return text_validate(c) && cel_token_next(c);
}

bool cel_token_opens_call(const struct compiler *c)
{
	return c->token.kind == TOKEN_NAME && at(c, spaces_skip(c, c->token.end)) == '(';
}

bool cel_token_is_field(const struct compiler *c)
{
	uint32_t start = spaces_skip(c, c->token.end);

	return is_name_start(at(c, start)) && at(c, spaces_skip(c, name_skip(c, start))) != '(';
}

const char *cel_name_copy(struct compiler *c, uint32_t start, uint32_t end)
{
	char *name = arena_take(&c->temp, (size_t)(end - start) + 1), *out = name;

	if (!name) {
		cel_refuse_memory(c);
		return NULL;
	}
	for (uint32_t i = spaces_skip(c, start); i < end; i = spaces_skip(c, i + 1))
		*out++ = c->text[i];
	*out = '\0';
	return name;
}
