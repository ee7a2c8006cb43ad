/*
 * columns.c: values of the rows of a group as columns, each made once a group when it is first asked for.
 *
 * In: the group's events. Out: columns, lent until the next group. Header fields are read where they lie; the
 * meaning of each is event_field()'s (catalogue/env.c), which makes those that are read rarely.
 */
#include "work.h"

#include <assert.h>
#include <catalogue/env.h>
#include <string.h>

static struct column_room *room_of(struct rules_work *w, uint8_t space, uint16_t index)
{
	uint32_t at = index;

	switch ((enum cel_space)space) {
	case SPACE_EVENT:
		break;
	case SPACE_BODY:
		at += FIELD_COUNT;
		break;
	case SPACE_PROFILE:
		at += FIELD_COUNT + BODY_FIELDS_MAX;
		break;
	case SPACE_ACCOUNT:
		at += FIELD_COUNT + BODY_FIELDS_MAX + ATTRIBUTES_MAX;
		break;
	default:
		assert(space == SPACE_AGG);
		at += FIELD_COUNT + BODY_FIELDS_MAX + ATTRIBUTES_MAX + ACCOUNT_FIELD_COUNT;
	}
	assert(at < ROOMS_MAX);
	return &w->rooms[at];
}

void column_set(struct column_room *to, uint32_t i, const struct value *v)
{
	to->bits[i] = v->i;
	to->status[i] = column_status((enum value_status)v->status, v->bytes);
	to->bytes[i] = v->bytes;
	to->currency[i] = v->currency;
}

/* A column of values that were set one by one; without statuses when there is none. */
static void values_finish(struct column_room *to, uint32_t n)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < n; i++)
		any |= to->status[i];
	to->column = (struct cel_column){ to->bits, any ? to->status : NULL, to->bytes, to->currency };
}

/* A column of the header in which one value stands for no data. */
static void header_finish(struct column_room *to, int64_t none, uint32_t n)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t status = to->bits[i] == none ? VALUE_NO_DATA : VALUE_OK;
		to->status[i] = status;
		any |= status;
	}
	to->column = (struct cel_column){ .bits = to->bits, .status = any ? to->status : NULL };
}

static void header_column(const struct rules_work *w, enum event_field field, struct column_room *to)
{
	const struct group *g = &w->group;
	const uint32_t n = g->count;

	to->column = (struct cel_column){ .bits = to->bits };
	switch (field) {
	case FIELD_customer:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = (int64_t)g->e[i]->header->customer;
		break;
	case FIELD_account:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = (int64_t)g->e[i]->header->account;
		break;
	case FIELD_time:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->time;
		break;
	case FIELD_amount:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->amount;
		break;
	case FIELD_currency:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->currency;
		break;
	case FIELD_balance:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->balance;
		header_finish(to, FRAME_BALANCE_NO_DATA, n);
		break;
	case FIELD_country:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->country;
		header_finish(to, 0, n);
		break;
	case FIELD_mcc:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->mcc;
		header_finish(to, 0, n);
		break;
	case FIELD_touchpoint:
		for (uint32_t i = 0; i < n; i++)
			to->bits[i] = g->e[i]->header->touchpoint;
		header_finish(to, 0, n);
		break;
	default:
		for (uint32_t i = 0; i < n; i++) {
			struct value v = event_field(w->c, g->e[i], field);
			column_set(to, i, &v);
		}
		values_finish(to, n);
	}
}

/* A value that needs 64 bits and a status only. */
static inline void column_set_plain(struct column_room *to, uint32_t i, const struct value *v)
{
	to->bits[i] = v->i;
	to->status[i] = column_status((enum value_status)v->status, v->bytes);
}

static void value_column(const struct rules_work *w, uint8_t space, uint16_t index, struct column_room *to,
			 bool plain)
{
	const struct group *g = &w->group;

	for (uint32_t i = 0; i < g->count; i++) {
		const struct event *e = g->e[i];
		const struct value *from = space == SPACE_AGG ? e->aggregates : e->body_fields;
		if (plain)
			column_set_plain(to, i, &from[index]);
		else
			column_set(to, i, &from[index]);
	}
	values_finish(to, g->count);
}

static void profile_column(const struct rules_work *w, uint16_t index, struct column_room *to, bool plain)
{
	const struct group *g = &w->group;
	const struct row *rows[ROWS_MAX];

	for (uint32_t i = 0; i < g->count; i++)
		rows[i] = g->e[i]->actor;
	if (plain)
		row_attribute_column(w->store, w->c, rows, g->count, index, to->bits, to->status);
	for (uint32_t i = 0; !plain && i < g->count; i++) {
		struct value v = row_attribute(w->store, w->c, rows[i], index);
		column_set(to, i, &v);
	}
	values_finish(to, g->count);
}

static void account_column(const struct rules_work *w, uint16_t index, struct column_room *to)
{
	const struct group *g = &w->group;
	struct value account[ACCOUNT_FIELD_COUNT];

	for (uint32_t i = 0; i < g->count; i++) {
		row_account(g->e[i]->account, account);
		column_set(to, i, &account[index]);
	}
	values_finish(to, g->count);
}

const struct cel_column *group_column(struct rules_work *w, uint8_t space, uint16_t index, uint8_t type)
{
	struct column_room *room = room_of(w, space, index);

	bool plain = type != TYPE_STRING && type != TYPE_MONEY; /* 64 bits and a status are all of it */

	if (room->made == w->group.number)
		return &room->column;
	room->made = w->group.number;
	if (space == SPACE_EVENT)
		header_column(w, (enum event_field)index, room);
	else if (space == SPACE_AGG || space == SPACE_BODY)
		value_column(w, space, index, room, plain);
	else if (space == SPACE_PROFILE)
		profile_column(w, index, room, plain);
	else
		account_column(w, index, room);
	if (type != TYPE_STRING)
		room->column.bytes = NULL;
	if (type != TYPE_MONEY)
		room->column.currency = NULL;
	return &room->column;
}

static void texts_number(const struct rules_work *w, const struct cel_column *column, int64_t *number)
{
	for (uint32_t i = 0; i < w->group.count; i++) {
		number[i] = -1;
		if (!column->status || !column->status[i])
			number[i] = plan_text_number(w->c->plan, (const char *)(intptr_t)column->bits[i],
						     column->bytes[i]);
	}
}

/* NaN compares with nothing: as without a value, it is left to the condition. */
static bool doubles_number(const struct rules_work *w, const struct cel_column *column, int64_t *number,
			   uint8_t *status)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < w->group.count; i++) {
		double d;
		memcpy(&d, &column->bits[i], sizeof d);
		number[i] = plan_double_number(d);
		status[i] = column->status && column->status[i] ? column->status[i]
			    : d == d				? 0
								: VALUE_NO_DATA;
		any |= status[i];
	}
	return any;
}

static bool money_number(struct rules_work *w, const struct cel_column *column, uint16_t currency,
			 int64_t *number, uint8_t *status)
{
	const uint16_t *of_event = group_currency(w);
	uint8_t any = 0;

	for (uint32_t i = 0; i < w->group.count; i++) {
		number[i] = column->bits[i];
		status[i] = column->status && column->status[i] ? column->status[i]
			    : of_event[i] == currency		? 0
								: VALUE_NO_DATA;
		any |= status[i];
	}
	return any;
}

const int64_t *group_numbers(struct rules_work *w, uint16_t number, const uint8_t **status)
{
	const struct plan_field *field = &w->c->plan->fields[number];
	const struct cel_column *column = group_column(w, field->space, field->index, field->type);
	struct number_room *room = &w->numbers[number];

	*status = column->status;
	if (field->type != TYPE_STRING && field->type != TYPE_DOUBLE && !field->currency)
		return column->bits;
	if (room->made != w->group.number) {
		if (field->type == TYPE_STRING)
			texts_number(w, column, room->number);
		else if (field->type == TYPE_DOUBLE)
			room->any = doubles_number(w, column, room->number, room->status);
		else
			room->any = money_number(w, column, field->currency, room->number, room->status);
	}
	room->made = w->group.number;
	if (field->type != TYPE_STRING)
		*status = room->any ? room->status : NULL;
	return room->number;
}

const uint16_t *group_currency(struct rules_work *w)
{
	for (uint32_t i = 0; w->currency_made != w->group.number && i < w->group.count; i++)
		w->currency[i] = w->group.e[i]->header->currency;
	w->currency_made = w->group.number;
	return w->currency;
}

void column_take(const struct cel_column *from, const uint16_t *rows, uint32_t n, struct column_room *to)
{
	for (uint32_t i = 0; i < n; i++)
		to->bits[i] = from->bits[rows[i]];
	for (uint32_t i = 0; from->status && i < n; i++)
		to->status[i] = from->status[rows[i]];
	for (uint32_t i = 0; from->bytes && i < n; i++)
		to->bytes[i] = from->bytes[rows[i]];
	for (uint32_t i = 0; from->currency && i < n; i++)
		to->currency[i] = from->currency[rows[i]];
	to->column =
		(struct cel_column){ to->bits, from->status ? to->status : NULL,
				     from->bytes ? to->bytes : NULL, from->currency ? to->currency : NULL };
}
