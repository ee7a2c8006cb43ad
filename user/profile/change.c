/*
 * change.c: what the readers of PROFILE and SUBSCRIBE bodies share: reasons, single values, the end of a
 * change.
 *
 * In: a pack_reader over a body that pack_validate has let pass. Out: true and a value that borrows from the
 * body, the reader behind it; or false, and the first reason in `why` with the byte it is about. What is
 * REFUSED and NOT_YET is REFUSED. Reasons name fields and types, never a customer's values: they go to logs.
 */
#include "change.h"

#include <assert.h>
#include <base/money.h>
#include <cel/convert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct shown change_show(const char *s, uint32_t bytes)
{
	struct shown out;
	uint32_t n = bytes > NAME_BYTES_MAX ? NAME_BYTES_MAX : bytes;

	for (uint32_t i = 0; i < n; i++)
		out.text[i] = (uint8_t)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
	memcpy(out.text + n, "...", 4);
	if (n == bytes)
		out.text[n] = 0;
	return out;
}

static bool refuse_as(struct change *ch, enum change_outcome outcome, const uint8_t *at, const char *form,
		      va_list args)
{
	if (ch->outcome == CHANGE_REFUSED || ch->outcome == outcome)
		return false;
	ch->outcome = outcome;
	ch->s->refused_offset = (uint32_t)(at - ch->r.start);
	vsnprintf(ch->why, ch->why_bytes, form, args);
	return false;
}

bool change_refuse(struct change *ch, const uint8_t *at, const char *form, ...)
{
	va_list args;

	va_start(args, form);
	refuse_as(ch, CHANGE_REFUSED, at, form, args);
	va_end(args);
	return false;
}

/* True: what else is in the body is looked at, because REFUSED goes before NOT_YET. */
bool change_not_yet(struct change *ch, const uint8_t *at, const char *form, ...)
{
	va_list args;

	va_start(args, form);
	refuse_as(ch, CHANGE_NOT_YET, at, form, args);
	va_end(args);
	return true;
}

const char *change_item_name(const struct pack_item *item)
{
	static const char *const names[] = { "nothing", "nil",	  "bool",   "int",   "an int above 2^63-1",
					     "double",	"string", "binary", "array", "map" };

	return names[item->type];
}

bool change_text_is(const char *s, uint32_t bytes, const char *text)
{
	return strlen(text) == bytes && memcmp(s, text, bytes) == 0;
}

/* ---- single values ---- */

bool change_read_string(struct change *ch, const char *what, uint32_t bytes_max, struct draft_string *out)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);

	if (item.type != PACK_STRING)
		return change_refuse(ch, at, "%s: found %s, expected string", what, change_item_name(&item));
	if (item.bytes > bytes_max)
		return change_refuse(ch, at, "%s: found %u bytes, at most %u", what, item.bytes, bytes_max);
	*out = (struct draft_string){ item.s, item.bytes };
	return true;
}

/* The number of a customer or account: 1 to 2^64-1. */
bool change_read_number(struct change *ch, const char *what, uint64_t *out)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);

	if (item.type != PACK_UINT && (item.type != PACK_INT || item.i <= 0))
		return change_refuse(ch, at, "%s: found %s, expected a number above 0", what,
				     item.type == PACK_INT ? "0 or less" : change_item_name(&item));
	*out = item.type == PACK_UINT ? item.u : (uint64_t)item.i;
	return true;
}

static bool wrong_type(struct change *ch, const uint8_t *at, const char *what, const struct pack_item *item,
		       enum value_type want)
{
	static const char *const expected[TYPE_COUNT] = {
		[TYPE_BOOL] = "bool",
		[TYPE_INT] = "int",
		[TYPE_DOUBLE] = "double",
		[TYPE_STRING] = "string",
		[TYPE_TIMESTAMP] = "timestamp (\"2026-03-01T12:00:00Z\" or ns since 1970)",
		[TYPE_DURATION] = "duration (\"30s\", \"10m\", \"24h\", \"90d\", \"2w\")",
		[TYPE_MONEY] = "money (\"100.00 EUR\")",
	};

	return change_refuse(ch, at, "%s: found %s, expected %s", what, change_item_name(item),
			     expected[want]);
}

/* Text or ns. */
static bool take_timestamp(const struct pack_item *item, struct value *out)
{
	if (item->type == PACK_STRING)
		return cel_time_parse(item->s, item->bytes, &out->i) == VALUE_ERROR_NONE;
	out->i = item->i;
	return item->type == PACK_INT;
}

/* As in the catalogue: a whole number above 0 and one unit, "30s", "10m", "24h", "90d", "2w". */
static bool take_duration(const struct pack_item *item, struct value *out)
{
	static const struct {
		char name;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	int64_t n;

	if (item->type != PACK_STRING || item->bytes < 2 || item->s[0] < '0' || item->s[0] > '9' ||
	    cel_int_parse(item->s, item->bytes - 1, &n) != VALUE_ERROR_NONE || n <= 0)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (item->s[item->bytes - 1] == units[i].name)
			return !__builtin_mul_overflow(n, units[i].seconds * 1000000000, &out->i);
	return false;
}

/* An int stands for a double: encoders write 5.0 as 5. */
static bool take_double(const struct pack_item *item, struct value *out)
{
	out->d = item->type == PACK_INT ? (double)item->i : item->d;
	return item->type == PACK_INT || (item->type == PACK_DOUBLE && isfinite(item->d));
}

/* Does the item have that type? Then *out has its value; strings are borrowed. */
static bool take_value(const struct pack_item *item, enum value_type want, struct value *out)
{
	*out = (struct value){ .type = (uint8_t)want };
	switch (want) {
	case TYPE_BOOL:
		out->i = item->type == PACK_BOOL && item->b;
		return item->type == PACK_BOOL;
	case TYPE_INT:
		out->i = item->i;
		return item->type == PACK_INT;
	case TYPE_DOUBLE:
		return take_double(item, out);
	case TYPE_STRING:
		out->s = item->s;
		out->bytes = item->bytes;
		return item->type == PACK_STRING;
	case TYPE_TIMESTAMP:
		return take_timestamp(item, out);
	case TYPE_DURATION:
		return take_duration(item, out);
	case TYPE_MONEY:
		return item->type == PACK_STRING &&
		       money_parse(item->s, item->bytes, &out->i, &out->currency);
	default:
		return false;
	}
}

bool change_read_value(struct change *ch, const char *what, enum value_type want, struct value *out)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);

	if (!take_value(&item, want, out))
		return wrong_type(ch, at, what, &item, want);
	if (want == TYPE_STRING && item.bytes > STRING_BYTES_MAX)
		return change_refuse(ch, at, "%s: found %u bytes, at most %d", what, item.bytes,
				     STRING_BYTES_MAX);
	return true;
}

/* Head of a list. */
bool change_read_list(struct change *ch, const char *what, uint32_t max, uint32_t *count)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);

	if (item.type != PACK_ARRAY)
		return change_refuse(ch, at, "%s: found %s, expected a list", what, change_item_name(&item));
	if (item.count > max)
		return change_refuse(ch, at, "%s: found %u, at most %u", what, item.count, max);
	*count = item.count;
	return true;
}

bool change_read_map(struct change *ch, const char *what, uint32_t *pairs)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);

	if (item.type != PACK_MAP)
		return change_refuse(ch, at, "%s: found %s, expected a map", what, change_item_name(&item));
	*pairs = item.count;
	return true;
}

bool change_skip_nil(struct change *ch)
{
	struct pack_reader next = ch->r;

	if (pack_read(&next).type != PACK_NIL)
		return false;
	ch->r = next;
	return true;
}

bool change_put_row(struct change *ch, uint32_t bytes, int64_t subscriptions_more)
{
	if (!bytes)
		return change_refuse(ch, ch->r.start, "the record would have more than %d bytes",
				     ROW_BYTES_MAX);
	if (store_is_full(ch->s))
		return change_refuse(ch, ch->r.start, "the store has %d records of this kind, no more",
				     INDEX_ROWS_MAX);
	store_put(ch->s, subscriptions_more);
	return true;
}

struct change change_begin(struct store *s, const struct catalogue *c, const void *body, uint32_t bytes,
			   char *why, size_t why_bytes)
{
	static const uint8_t empty_map[] = { 0x80 };
	struct change ch = { .s = s, .c = c, .outcome = CHANGE_APPLIED, .why = why, .why_bytes = why_bytes };

	assert(s->layouts.in_force && s->layouts.catalogue.low == c->hash.low &&
	       s->layouts.catalogue.high == c->hash.high);
	s->refused_offset = 0;
	pack_reader_init(&ch.r, bytes ? body : empty_map, bytes ? bytes : 1); /* decisions 33 */
	return ch;
}
