/*
 * error.c: how a refused expression is told, and the names of types and errors.
 *
 * In: an offset in the text, what was found and what was expected. Out: cel_error with line and column
 * counted from the text. The first error of a compilation stays. Texts that are too long for cel_error
 * are cut between characters; control characters in what was found are shown as spaces.
 */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

static void position_set(struct cel_error *e, const char *text, uint32_t len, uint32_t offset)
{
	e->offset = offset;
	e->line = 1;
	e->column = 1;
	for (uint32_t i = 0; i < offset && i < len; i++) {
		if (text[i] == '\n') {
			e->line++;
			e->column = 1;
		} else if (!is_continuation(text[i])) {
			e->column++;
		}
	}
}

/* Copies what fits; "..." and whole characters where it does not. */
static void text_fit(char *out, size_t room, const char *text, size_t len)
{
	static const char dots[] = "...";
	size_t n = len;

	if (len >= room) {
		n = room - sizeof dots;
		while (n > 0 && is_continuation(text[n]))
			n--;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
	if (n < len)
		memcpy(out + n, dots, sizeof dots);
	else
		out[n] = '\0';
}

static void expected_set(struct cel_error *e, const char *format, va_list args)
{
	char text[1024];
	int n = vsnprintf(text, sizeof text, format, args);

	assert(n >= 0);
	text_fit(e->expected, sizeof e->expected, text, strlen(text));
}

bool cel_refuse(struct compiler *c, uint32_t offset, const char *found, const char *expected, ...)
{
	va_list args;

	if (c->rc != 0)
		return false;
	c->rc = -EINVAL;
	position_set(c->error, c->text, c->len, offset);
	text_fit(c->error->found, sizeof c->error->found, found, strlen(found));
	va_start(args, expected);
	expected_set(c->error, expected, args);
	va_end(args);
	return false;
}

bool cel_refuse_text(struct compiler *c, uint32_t start, uint32_t end, const char *expected, ...)
{
	va_list args;

	assert(start <= end && end <= c->len);
	if (c->rc != 0)
		return false;
	c->rc = -EINVAL;
	position_set(c->error, c->text, c->len, start);
	if (start == end)
		strcpy(c->error->found, "the end");
	else
		text_fit(c->error->found, sizeof c->error->found, c->text + start, end - start);
	va_start(args, expected);
	expected_set(c->error, expected, args);
	va_end(args);
	return false;
}

bool cel_refuse_memory(struct compiler *c)
{
	if (c->rc == 0)
		c->rc = -ENOMEM;
	return false;
}

const char *cel_type_name(enum value_type type)
{
	static const char *const names[TYPE_COUNT] = {
		[TYPE_NONE] = "nothing",      [TYPE_BOOL] = "bool",	[TYPE_INT] = "int",
		[TYPE_DOUBLE] = "double",     [TYPE_STRING] = "string", [TYPE_TIMESTAMP] = "timestamp",
		[TYPE_DURATION] = "duration", [TYPE_MONEY] = "money",	[TYPE_LIST] = "list",
	};

	assert(type < TYPE_COUNT);
	return names[type];
}

const char *cel_unit_type_name(enum value_type type, enum value_unit unit)
{
	if (type == TYPE_INT && unit == UNIT_EVENT)
		return "int in the event's currency";
	if (type == TYPE_INT && unit == UNIT_BASE)
		return "int in the bank's currency";
	return cel_type_name(type);
}

const char *cel_error_name(enum value_error error)
{
	static const char *const names[VALUE_ERROR_COUNT] = {
		[VALUE_ERROR_NONE] = "no error",
		[VALUE_ERROR_OVERFLOW] = "overflow",
		[VALUE_ERROR_DIVIDE_BY_ZERO] = "division by zero",
		[VALUE_ERROR_MODULUS_BY_ZERO] = "modulus by zero",
		[VALUE_ERROR_RANGE] = "out of range",
		[VALUE_ERROR_CONVERT] = "text that does not convert",
		[VALUE_ERROR_INDEX] = "a place that the list does not have",
		[VALUE_ERROR_TYPE] = "no operation for these types",
	};

	assert(error < VALUE_ERROR_COUNT);
	return names[error];
}
