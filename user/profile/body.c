/*
 * body.c: one pass over a validated body. Keys are compared with the reserved names first, then with the
 * fields declared for the event's type; an unknown key is skipped (it stays in the journal). Nothing is
 * copied: strings borrow from the frame. What can go wrong is a type or a length, and makes the event
 * BAD_BODY.
 */
#include "body.h"

#include <base/bytes.h>
#include <string.h>

static bool key_is(const char *key, uint32_t len, const char *name)
{
	return strlen(name) == len && memcmp(key, name, len) == 0;
}

static const char *token_read(struct pack_item item, const char **out, uint32_t *bytes)
{
	if (item.type == PACK_NIL)
		return NULL;
	if (item.type != PACK_STRING || item.bytes == 0 || item.bytes > REF_BYTES_MAX)
		return "ref, of, card: a string of 1 to 64 bytes expected";
	*out = item.s;
	*bytes = item.bytes;
	return NULL;
}

static const char *stage_read(struct pack_item item, uint8_t *stage)
{
	if (item.type == PACK_NIL)
		return NULL;
	for (unsigned i = 1; item.type == PACK_STRING && i < STAGE_COUNT; i++) {
		if (key_is(item.s, item.bytes, event_stage_names[i])) {
			*stage = (uint8_t)i;
			return NULL;
		}
	}
	return "stage: request, authorised, posted or released expected";
}

static const char *int_read(struct pack_item item, int64_t min, bool *has, int64_t *out)
{
	if (item.type == PACK_NIL)
		return NULL;
	if (item.type != PACK_INT || item.i < min)
		return "original_amount, original_currency: an int >= 0 expected";
	*has = true;
	*out = item.i;
	return NULL;
}

/* True when the key is reserved; *error says what is wrong with its value. */
static bool reserved_read(const char *key, uint32_t len, struct pack_reader *r, struct event_reserved *out,
			  const char **error)
{
	if (key_is(key, len, "ref"))
		*error = token_read(pack_read(r), &out->ref, &out->ref_bytes);
	else if (key_is(key, len, "of"))
		*error = token_read(pack_read(r), &out->of, &out->of_bytes);
	else if (key_is(key, len, "card"))
		*error = token_read(pack_read(r), &out->card, &out->card_bytes);
	else if (key_is(key, len, "stage"))
		*error = stage_read(pack_read(r), &out->stage);
	else if (key_is(key, len, "original_amount"))
		*error = int_read(pack_read(r), 0, &out->has_original_amount, &out->original_amount);
	else if (key_is(key, len, "original_currency"))
		*error = int_read(pack_read(r), 0, &out->has_original_currency, &out->original_currency);
	else if (key_is(key, len, "verdict")) {
		struct pack_item item = pack_read(r);
		*error = item.type == PACK_STRING || item.type == PACK_NIL ? NULL
									   : "verdict: a string expected";
	} else
		return false;
	return true;
}

static const char *field_read(enum value_type type, struct pack_item item, struct value *out)
{
	struct value v = { .type = (uint8_t)type, .status = VALUE_OK };

	if (item.type == PACK_NIL)
		return NULL;
	if (type == TYPE_BOOL && item.type == PACK_BOOL)
		v.i = item.b;
	else if ((type == TYPE_INT || type == TYPE_TIMESTAMP) && item.type == PACK_INT)
		v.i = item.i;
	else if (type == TYPE_DOUBLE && item.type == PACK_DOUBLE)
		v.d = item.d;
	else if (type == TYPE_DOUBLE && item.type == PACK_INT)
		v.d = (double)item.i;
	else if (type == TYPE_STRING && item.type == PACK_STRING && item.bytes <= STRING_BYTES_MAX) {
		v.s = item.s;
		v.bytes = item.bytes;
	} else
		return "a body field of another type than the catalogue declares, or too long";
	*out = v;
	return NULL;
}

/* The declared field of that name, or -1. */
static int field_find(const struct catalogue *c, const struct cat_event *type, const char *key, uint32_t len)
{
	for (unsigned i = 0; type && i < type->field_count; i++) {
		if (key_is(key, len, c->fields[type->fields[i]].name))
			return type->fields[i];
	}
	return -1;
}

const char *body_read(const struct catalogue *c, const struct cat_event *type,
		      const struct frame_header *header, const void *bytes, uint32_t count,
		      struct event_reserved *out, struct value *fields)
{
	*out = (struct event_reserved){ .stage = header->flags & FRAME_VERDICT_WANTED ? STAGE_REQUEST
										      : STAGE_POSTED };
	for (unsigned i = 0; i < c->field_count; i++)
		fields[i] = (struct value){ .type = (uint8_t)c->fields[i].type, .status = VALUE_NO_DATA };
	if (count == 0)
		return NULL;

	uint32_t offset;
	const char *error = pack_validate(bytes, count, &offset);
	if (error)
		return error;
	struct pack_reader r;
	pack_reader_init(&r, bytes, count);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0 && !error; pairs--) {
		uint32_t len;
		const char *key = pack_read_key(&r, &len);
		if (!key)
			break;
		if (reserved_read(key, len, &r, out, &error))
			continue;
		int field = field_find(c, type, key, len);
		if (field < 0)
			pack_skip(&r);
		else
			error = field_read(c->fields[field].type, pack_read(&r), &fields[field]);
	}
	return error ? error : r.error;
}
