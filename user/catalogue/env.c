/*
 * env.c: header and reserved keys of an event -> the values of SPACE_EVENT, one at a time or all. What the
 * header calls 0 or INT64_MIN for "not there" is no data (SEMANTICS 3). Nothing is kept; strings are
 * borrowed.
 */
#include "env.h"

#include <base/money.h>
#include <string.h>

static struct value int_value(enum value_type type, int64_t i)
{
	return (struct value){ .type = (uint8_t)type, .status = VALUE_OK, .i = i };
}

/* 0 stands for no data in the header's code fields. */
static struct value code_value(int64_t code)
{
	return (struct value){ .type = TYPE_INT, .status = code ? VALUE_OK : VALUE_NO_DATA, .i = code };
}

static struct value text_value(const char *s, uint32_t bytes)
{
	return (struct value){
		.type = TYPE_STRING, .status = s ? VALUE_OK : VALUE_NO_DATA, .bytes = bytes, .s = s
	};
}

static struct value name_value(const char *name)
{
	return text_value(name, name ? (uint32_t)strlen(name) : 0);
}

static struct value base_value(const struct catalogue *c, const struct frame_header *h)
{
	struct value v = { .type = TYPE_INT, .status = VALUE_OK };
	bool overflow = false;

	if (!money_to_base(&c->rates, h->amount, h->currency, &v.i, &overflow)) {
		v.status = overflow ? VALUE_ERROR : VALUE_NO_DATA;
		v.bytes = overflow ? VALUE_ERROR_RANGE : 0;
	}
	return v;
}

struct value event_field(const struct catalogue *c, const struct event *e, enum event_field field)
{
	const struct frame_header *h = e->header;
	const struct event_reserved *r = e->reserved;

	switch (field) {
	case FIELD_type:
		return name_value(e->type ? e->type->name : NULL);
	case FIELD_sequence:
		return int_value(TYPE_INT, (int64_t)h->sequence);
	case FIELD_customer: /* 0 is a value (SEMANTICS 3) */
		return int_value(TYPE_INT, (int64_t)h->customer);
	case FIELD_account:
		return int_value(TYPE_INT, (int64_t)h->account);
	case FIELD_time:
		return int_value(TYPE_TIMESTAMP, h->time);
	case FIELD_amount:
		return int_value(TYPE_INT, h->amount);
	case FIELD_balance:
		return h->balance == FRAME_BALANCE_NO_DATA ? code_value(0) : int_value(TYPE_INT, h->balance);
	case FIELD_base:
		return base_value(c, h);
	case FIELD_currency:
		return int_value(TYPE_INT, h->currency);
	case FIELD_country:
		return code_value(h->country);
	case FIELD_mcc:
		return code_value(h->mcc);
	case FIELD_touchpoint:
		return code_value(h->touchpoint);
	case FIELD_stage:
		return name_value(event_stage_names[r->stage]);
	case FIELD_ref:
		return text_value(r->ref, r->ref_bytes);
	case FIELD_card:
		return text_value(r->card, r->card_bytes);
	case FIELD_original_amount:
		return r->has_original_amount ? int_value(TYPE_INT, r->original_amount) : code_value(0);
	case FIELD_original_currency:
		return r->has_original_currency ? int_value(TYPE_INT, r->original_currency) : code_value(0);
	case FIELD_COUNT:
		break;
	}
	__builtin_unreachable();
}

const struct value *event_fields(const struct catalogue *c, const struct event *event)
{
	struct event_fields *fields = event->fields;

	for (unsigned i = 0; !fields->filled && i < FIELD_COUNT; i++)
		fields->value[i] = event_field(c, event, (enum event_field)i);
	fields->filled = true;
	return fields->value;
}
