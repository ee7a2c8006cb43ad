/*
 * row.c: rows read where they lie, unpacked for a change, and packed again.
 *
 * In: rows from the overlay or the map (trusted: made here, their header checked by the store), drafts. Out:
 * values that borrow from the row; packed rows in the caller's room. Nothing is allocated. A row of any
 * layout is read through the layouts' tables; a layout that is not known would mean a damaged store and is an
 * assert. What does not fit in ROW_BYTES_MAX is not packed: 0.
 */
#include "row.h"

#include <assert.h>
#include <base/money.h>
#include <string.h>

#include "row_format.h"
#include "store_state.h"

static size_t pad8(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static const void *row_at(const struct row *row, uint32_t offset)
{
	assert(offset <= row->bytes);
	return (const char *)row + offset;
}

/* ---- columns ---- */

static bool column_is_set(const struct row *row, uint16_t column)
{
	const uint64_t *presence = row_at(row, row->parts[CUSTOMER_PRESENCE]);

	return presence[column / 64] >> (column % 64) & 1;
}

static struct value value_none(enum value_type type)
{
	return (struct value){ .type = (uint8_t)type, .status = VALUE_NO_DATA };
}

struct value row_column(const struct row *row, const struct layout *layout, uint16_t column)
{
	const struct layout_column *c = &layout->columns[column];
	struct value v = { .type = (uint8_t)c->type };

	if (!column_is_set(row, column))
		return value_none(c->type);
	const uint64_t *at = row_at(row, row->parts[CUSTOMER_COLUMNS] + c->offset);
	if (c->type == TYPE_STRING) {
		v.bytes = (uint32_t)(at[0] >> 32);
		v.s = row_at(row, (uint32_t)at[0]);
		return v;
	}
	v.i = (int64_t)at[0]; /* a double is its bits */
	if (c->type == TYPE_MONEY)
		v.currency = (uint16_t)at[1];
	return v;
}

static const struct layout *row_layout(const struct layouts *l, const struct row *row)
{
	const struct layout *layout = layouts_find(l, row->layout);

	assert(row->kind == ROW_CUSTOMER && layout);
	return layout;
}

static void assert_in_force(const struct store *s, const struct catalogue *c)
{
	assert(s->layouts.in_force && s->layouts.catalogue.low == c->hash.low &&
	       s->layouts.catalogue.high == c->hash.high);
}

void row_profile(const struct store *s, const struct catalogue *c, const struct row *row, struct value *out)
{
	assert_in_force(s, c);
	if (!row || row->flags & ROW_PROVISIONAL) {
		for (uint16_t i = 0; i < c->attribute_count; i++)
			out[i] = value_none(c->attributes[i].type);
		return;
	}
	const struct layout *layout = row_layout(&s->layouts, row);
	for (uint16_t i = 0; i < c->attribute_count; i++) {
		int16_t from = layout->from[i];
		out[i] = c->attributes[i].initial;
		if (from >= 0 && column_is_set(row, (uint16_t)from))
			out[i] = row_column(row, layout, (uint16_t)from);
		out[i].type = (uint8_t)c->attributes[i].type; /* also of a default that is not given */
	}
}

struct value row_attribute(const struct store *s, const struct catalogue *c, const struct row *row,
			   uint16_t attribute)
{
	if (!row || row->flags & ROW_PROVISIONAL)
		return value_none(c->attributes[attribute].type);
	const struct layout *layout = s->layouts.in_force;
	int16_t from = (int16_t)attribute; /* the layout in force begins with the catalogue's attributes */
	if (row->layout != layout->id) {
		layout = row_layout(&s->layouts, row);
		from = layout->from[attribute];
	}
	if (from >= 0 && column_is_set(row, (uint16_t)from))
		return row_column(row, layout, (uint16_t)from);
	struct value v = c->attributes[attribute].initial;
	v.type = (uint8_t)c->attributes[attribute].type; /* also of a default that is not given */
	return v;
}

void row_attribute_column(const struct store *s, const struct catalogue *c, const struct row *const *rows,
			  uint32_t count, uint16_t attribute, int64_t *bits, uint8_t *status)
{
	const struct layout *layout = s->layouts.in_force;
	const uint32_t offset = layout->columns[attribute].offset, word = attribute / 64 * 8;

	assert_in_force(s, c);
	for (uint32_t i = 0; i < count; i++) {
		const struct row *row = rows[i];
		bool common = row && !(row->flags & ROW_PROVISIONAL) && row->layout == layout->id;
		uint64_t presence = 0;
		if (common)
			memcpy(&presence, (const char *)row + row->parts[CUSTOMER_PRESENCE] + word, 8);
		if (presence >> (attribute % 64) & 1) {
			memcpy(&bits[i], (const char *)row + row->parts[CUSTOMER_COLUMNS] + offset, 8);
			status[i] = VALUE_OK;
			continue;
		}
		struct value v = row_attribute(s, c, row, attribute);
		bits[i] = v.i;
		status[i] = v.status;
	}
}

bool row_profile_is_set(const struct store *s, const struct row *row, uint16_t attribute)
{
	const struct layout *layout = row_layout(&s->layouts, row);
	int16_t from = layout->from[attribute];

	return from >= 0 && column_is_set(row, (uint16_t)from);
}

/* ---- subscriptions ---- */

const struct packed_subscriptions *row_subscription_part(const struct row *row)
{
	assert(row->kind == ROW_CUSTOMER);
	return row_at(row, row->parts[CUSTOMER_SUBSCRIPTIONS]);
}

uint32_t row_subscription_count(const struct row *row)
{
	return row ? row_subscription_part(row)->count : 0;
}

static const uint16_t *packed_offsets(const struct packed_subscriptions *part)
{
	const struct packed_kinds *kinds = (const struct packed_kinds *)part;

	assert(part->form == ROW_FORM_KINDS);
	return (const uint16_t *)((const char *)part + kinds->packed_at);
}

const struct packed_subscription *packed_first(const struct packed_subscriptions *part)
{
	if (part->form == ROW_FORM_FIRST)
		return (const struct packed_subscription *)(part + 1);
	return (const struct packed_subscription *)((const char *)packed_offsets(part) +
						    pad8(part->count * sizeof(uint16_t)));
}

const struct packed_subscription *packed_next(const struct packed_subscription *at)
{
	return (const struct packed_subscription *)((const char *)at + at->bytes);
}

static const uint64_t *packed_accounts(const struct packed_subscription *at)
{
	return (const uint64_t *)(at + 1);
}

static const struct packed_param *packed_params(const struct packed_subscription *at)
{
	return (const struct packed_param *)(packed_accounts(at) + at->accounts);
}

static const uint32_t *packed_channels(const struct packed_subscription *at)
{
	return (const uint32_t *)(packed_params(at) + at->params);
}

const char *packed_id(const struct packed_subscription *at)
{
	return (const char *)(packed_channels(at) + at->channels);
}

static struct value packed_value(const struct packed_subscription *at, const struct packed_param *param)
{
	struct value v = { .type = param->type, .currency = param->currency, .i = param->value };

	if (param->type == TYPE_STRING) {
		v.bytes = (uint32_t)((uint64_t)param->value >> 32);
		v.s = (const char *)at + (uint32_t)param->value;
	}
	return v;
}

/* By rule number; sleeping ones (rule UINT16_MAX) behind, by kind; then by id. */
static int subscription_compare(const struct layouts *l, const struct packed_subscription *a,
				const struct packed_subscription *b)
{
	uint32_t x = l->rule_of[a->kind], y = l->rule_of[b->kind];

	if (x == y) {
		x = a->kind;
		y = b->kind;
	}
	if (x != y)
		return x < y ? -1 : 1;
	size_t shorter = a->id_bytes < b->id_bytes ? a->id_bytes : b->id_bytes;
	int order = memcmp(packed_id(a), packed_id(b), shorter);
	return order ? order : a->id_bytes - b->id_bytes;
}

static void subscriptions_sort(const struct layouts *l, const struct packed_subscription **list,
			       uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		const struct packed_subscription *one = list[i];
		uint32_t k = i;
		for (; k > 0 && subscription_compare(l, one, list[k - 1]) < 0; k--)
			list[k] = list[k - 1];
		list[k] = one;
	}
}

void row_sort_subscriptions(const struct layouts *l, struct customer_draft *draft)
{
	subscriptions_sort(l, draft->subscription, draft->subscription_count);
}

/* The kinds were in another order when the row was written: sorts offsets. */
static void cursor_sort(struct row_cursor *cursor, const struct packed_subscriptions *part)
{
	const struct layouts *l = &cursor->store->layouts;
	const struct packed_subscription *list[SUBSCRIPTIONS_MAX];
	const struct packed_subscription *at = packed_first(part);
	uint32_t count = 0;

	for (uint32_t i = 0; i < part->count; i++, at = packed_next(at))
		if (l->rule_of[at->kind] != UINT16_MAX)
			list[count++] = at;
	subscriptions_sort(l, list, count);
	for (uint32_t i = 0; i < count; i++)
		cursor->order[i] =
			(uint16_t)((uint32_t)((const char *)list[i] - (const char *)cursor->row) / 8);
	cursor->left = count;
}

void row_subscriptions(const struct store *s, const struct catalogue *c, const struct row *row,
		       struct row_cursor *cursor)
{
	assert_in_force(s, c);
	cursor->store = s;
	cursor->catalogue = c;
	cursor->row = row;
	cursor->at = NULL;
	cursor->left = 0;
	cursor->place = 0;
	cursor->sorted = true;
	if (!row)
		return;
	const struct packed_subscriptions *part = row_subscription_part(row);
	assert(part->count <= SUBSCRIPTIONS_MAX);
	cursor->sorted = part->order == s->layouts.order;
	cursor->left = part->count;
	if (!cursor->sorted)
		cursor_sort(cursor, part);
}

bool row_subscription_next(struct row_cursor *cursor)
{
	const struct packed_subscription *at = cursor->at;

	if (cursor->left == 0)
		return false;
	cursor->left--;
	if (!cursor->sorted)
		at = row_at(cursor->row, cursor->order[cursor->place++] * 8u);
	else
		at = at ? packed_next(at) : packed_first(row_subscription_part(cursor->row));
	cursor->at = at;
	cursor->rule = cursor->store->layouts.rule_of[at->kind];
	cursor->on = at->flags & SUBSCRIPTION_ON;
	if (cursor->rule == UINT16_MAX) { /* sleeping ones are last */
		cursor->left = 0;
		return false;
	}
	return true;
}

static bool money_order(const struct catalogue *c, const struct value *a, const struct value *b, int *order)
{
	int64_t x = a->i, y = b->i;
	bool overflow;

	if (a->currency != b->currency && (!money_to_base(&c->rates, a->i, a->currency, &x, &overflow) ||
					   !money_to_base(&c->rates, b->i, b->currency, &y, &overflow)))
		return false;
	*order = (x > y) - (x < y);
	return true;
}

/* False: they do not compare (no rate between them). */
static bool value_order(const struct catalogue *c, const struct value *a, const struct value *b, int *order)
{
	if (a->type == TYPE_MONEY)
		return money_order(c, a, b, order);
	if (a->type == TYPE_STRING)
		*order = 0; /* strings and bools have no min and max */
	else if (a->type == TYPE_DOUBLE)
		*order = (a->d > b->d) - (a->d < b->d);
	else
		*order = (a->i > b->i) - (a->i < b->i);
	return true;
}

bool row_param_allowed(const struct catalogue *c, const struct cat_param *param, const struct value *value)
{
	int order;

	if (value->type != param->type)
		return false;
	if (param->has_min && (!value_order(c, value, &param->min, &order) || order < 0))
		return false;
	return !param->has_max || (value_order(c, value, &param->max, &order) && order <= 0);
}

static void read_params(const struct row_cursor *cursor, const struct packed_subscription *at,
			struct row_subscription *out)
{
	const struct catalogue *c = cursor->catalogue;
	const struct cat_rule *rule = &c->rules[cursor->rule];
	const uint32_t *names =
		&cursor->store->layouts
			 .param_name[(size_t)(cursor->rule - c->subscription_first) * PARAMS_MAX];
	const struct packed_param *param = packed_params(at);

	for (uint8_t p = 0; p < rule->param_count; p++) {
		out->params[p] = rule->params[p].initial;
		for (uint8_t i = 0; i < at->params; i++) {
			if (param[i].name != names[p])
				continue;
			struct value v = packed_value(at, &param[i]);
			if (row_param_allowed(c, &rule->params[p], &v)) /* else it sleeps */
				out->params[p] = v;
		}
	}
}

void row_subscription_read(const struct row_cursor *cursor, struct row_subscription *out)
{
	const struct packed_subscription *at = cursor->at;
	const uint32_t *channels = packed_channels(at);

	out->rule = cursor->rule;
	out->on = cursor->on;
	out->id = packed_id(at);
	out->id_bytes = at->id_bytes;
	out->account_count = at->accounts;
	memcpy(out->accounts, packed_accounts(at), at->accounts * sizeof *out->accounts);
	out->channel_count = 0;
	for (uint8_t i = 0; i < at->channels; i++) {
		int8_t channel = cursor->store->layouts.channel_of[channels[i]];
		if (channel >= 0)
			out->channels[out->channel_count++] = (uint8_t)channel;
	}
	read_params(cursor, at, out);
}

const char *row_subscription_id(const struct row_cursor *cursor, uint32_t *bytes)
{
	const struct packed_subscription *at = cursor->at;

	*bytes = at->id_bytes;
	return packed_id(at);
}

int row_subscription_channel(const struct row_cursor *cursor)
{
	const struct packed_subscription *at = cursor->at;
	const uint32_t *channels = packed_channels(at);

	for (uint8_t i = 0; i < at->channels; i++)
		if (cursor->store->layouts.channel_of[channels[i]] >= 0)
			return cursor->store->layouts.channel_of[channels[i]];
	return -1;
}

/* All of it is the kind's own: id, parameters, accounts, channels. */
static bool packed_is_plain(const struct layouts *l, const struct packed_subscription *at)
{
	const struct name *kind = &l->names.list[at->kind];

	return at->params == 0 && at->accounts == 0 && at->channels == 0 && kind->bytes == at->id_bytes &&
	       memcmp(packed_id(at), kind->text, at->id_bytes) == 0;
}

static uint8_t packed_flags(const struct layouts *l, const struct packed_subscription *at)
{
	return (uint8_t)((at->flags & SUBSCRIPTION_ON ? KIND_ON : 0) |
			 (packed_is_plain(l, at) ? KIND_PLAIN : 0));
}

/* A row that another catalogue ordered, or of the first form. */
static void kinds_translate(const struct store *s, const struct catalogue *c, const struct row *row,
			    struct row_kinds_room *room, struct row_kinds *out)
{
	struct row_cursor cursor;

	*out = (struct row_kinds){ .rules = room->rules, .flags = room->flags };
	row_subscriptions(s, c, row, &cursor);
	for (; row_subscription_next(&cursor); out->count++) {
		room->rules[out->count] = cursor.rule;
		room->flags[out->count] = packed_flags(&s->layouts, cursor.at);
	}
}

void row_kinds(const struct store *s, const struct catalogue *c, const struct row *row,
	       struct row_kinds_room *room, struct row_kinds *out)
{
	assert_in_force(s, c);
	*out = (struct row_kinds){ 0 };
	if (!row)
		return;
	const struct packed_subscriptions *part = row_subscription_part(row);
	if (part->count == 0)
		return;
	if (part->form != ROW_FORM_KINDS || part->order != s->layouts.order) {
		kinds_translate(s, c, row, room, out);
		return;
	}
	const struct packed_kinds *kinds = (const struct packed_kinds *)part;
	*out = (struct row_kinds){ .rules = kinds->rules,
				   .flags = (const uint8_t *)(kinds->rules + part->awake),
				   .count = part->awake };
	if (part->first_rule == c->subscription_first)
		return;
	/* the same kinds behind more or fewer other rules */
	for (uint32_t i = 0; i < out->count; i++)
		room->rules[i] = (uint16_t)(kinds->rules[i] - part->first_rule + c->subscription_first);
	out->rules = room->rules;
}

void row_subscription_at(const struct store *s, const struct catalogue *c, const struct row *row, uint32_t i,
			 struct row_cursor *cursor)
{
	row_subscriptions(s, c, row, cursor);
	if (cursor->sorted && row_subscription_part(row)->form == ROW_FORM_KINDS) {
		const struct packed_subscriptions *part = row_subscription_part(row);
		assert(i < part->awake);
		const struct packed_subscription *at = row_at(row, packed_offsets(part)[i] * 8u);
		cursor->at = at;
		cursor->left = part->count - i - 1;
		cursor->rule = s->layouts.rule_of[at->kind];
		cursor->on = at->flags & SUBSCRIPTION_ON;
		return;
	}
	for (uint32_t at = 0; at <= i; at++) {
		bool there = row_subscription_next(cursor);
		assert(there);
	}
}

/* ---- accounts ---- */

const struct row_holder *row_holders(const struct row *row, uint32_t *count)
{
	assert(row->kind == ROW_ACCOUNT && row->layout == ACCOUNT_LAYOUT);
	*count = (row->parts[ACCOUNT_CARDS] - row->parts[ACCOUNT_ROW_HOLDERS]) /
		 (uint32_t)sizeof(struct row_holder);
	return row_at(row, row->parts[ACCOUNT_ROW_HOLDERS]);
}

const struct packed_card *row_cards(const struct row *row, uint32_t *count)
{
	assert(row->kind == ROW_ACCOUNT && row->layout == ACCOUNT_LAYOUT);
	*count = (row->parts[ACCOUNT_STRINGS] - row->parts[ACCOUNT_CARDS]) /
		 (uint32_t)sizeof(struct packed_card);
	return row_at(row, row->parts[ACCOUNT_CARDS]);
}

static struct value row_string(const struct row *row, uint32_t offset, uint32_t bytes)
{
	if (!offset)
		return value_none(TYPE_STRING);
	return (struct value){ .type = TYPE_STRING, .bytes = bytes, .s = row_at(row, offset) };
}

void row_account(const struct row *row, struct value out[ACCOUNT_FIELD_COUNT])
{
	uint32_t holders;

	out[ACCOUNT_CURRENCY] = value_none(TYPE_INT);
	out[ACCOUNT_ALIAS] = value_none(TYPE_STRING);
	out[ACCOUNT_STATUS] = value_none(TYPE_STRING);
	out[ACCOUNT_HOLDERS] = value_none(TYPE_INT);
	if (!row)
		return;
	row_holders(row, &holders);
	const struct packed_account *fields = row_at(row, row->parts[ACCOUNT_FIELDS]);
	if (fields->currency)
		out[ACCOUNT_CURRENCY] = (struct value){ .type = TYPE_INT, .i = fields->currency };
	out[ACCOUNT_ALIAS] = row_string(row, fields->alias_at, fields->alias_bytes);
	out[ACCOUNT_STATUS] = row_string(row, fields->status_at, fields->status_bytes);
	out[ACCOUNT_HOLDERS] = (struct value){ .type = TYPE_INT, .i = holders };
}

/* ---- unpack ---- */

void row_unpack_customer(const struct layouts *l, const struct row *row, uint64_t key,
			 struct customer_draft *draft)
{
	const struct layout *to = l->in_force;

	draft->key = key;
	draft->flags = row ? row->flags : ROW_PROVISIONAL;
	draft->subscription_count = 0;
	const struct layout *from = row ? row_layout(l, row) : NULL;
	for (uint16_t i = 0; i < to->count; i++)
		draft->column[i] = from && from->from[i] >= 0 ? row_column(row, from, (uint16_t)from->from[i])
							      : value_none(to->columns[i].type);
	if (!row)
		return;
	const struct packed_subscriptions *part = row_subscription_part(row);
	const struct packed_subscription *at = packed_first(part);
	for (uint32_t i = 0; i < part->count; i++, at = packed_next(at))
		draft->subscription[draft->subscription_count++] = at;
}

void row_unpack_subscription(const struct packed_subscription *packed, struct subscription_draft *draft)
{
	const struct packed_param *param = packed_params(packed);

	draft->kind = packed->kind;
	draft->on = packed->flags & SUBSCRIPTION_ON;
	draft->id = packed_id(packed);
	draft->id_bytes = packed->id_bytes;
	draft->param_count = packed->params;
	draft->account_count = packed->accounts;
	draft->channel_count = packed->channels;
	for (uint8_t i = 0; i < packed->params; i++)
		draft->param[i] = (struct draft_param){ param[i].name, packed_value(packed, &param[i]) };
	memcpy(draft->account, packed_accounts(packed), packed->accounts * sizeof *draft->account);
	memcpy(draft->channel, packed_channels(packed), packed->channels * sizeof *draft->channel);
}

static struct draft_string unpack_string(const struct row *row, uint32_t offset, uint32_t bytes)
{
	if (!offset)
		return (struct draft_string){ 0 };
	return (struct draft_string){ row_at(row, offset), bytes };
}

void row_unpack_account(const struct row *row, uint64_t key, struct account_draft *draft)
{
	uint32_t cards;

	draft->key = key;
	draft->currency = 0;
	draft->alias = draft->status = (struct draft_string){ 0 };
	draft->holder_count = draft->card_count = 0;
	if (!row)
		return;
	const struct packed_account *fields = row_at(row, row->parts[ACCOUNT_FIELDS]);
	draft->currency = fields->currency;
	draft->alias = unpack_string(row, fields->alias_at, fields->alias_bytes);
	draft->status = unpack_string(row, fields->status_at, fields->status_bytes);
	const struct row_holder *holders = row_holders(row, &draft->holder_count);
	memcpy(draft->holder, holders, draft->holder_count * sizeof *holders);
	const struct packed_card *card = row_cards(row, &cards);
	for (; draft->card_count < cards; draft->card_count++, card++)
		draft->card[draft->card_count] =
			(struct draft_card){ .card = unpack_string(row, card->card_at, card->card_bytes),
					     .status =
						     unpack_string(row, card->status_at, card->status_bytes),
					     .customer = card->customer,
					     .expires = card->expires };
}

/* ---- pack ---- */

/* A writer over the caller's room: parts come one behind the other, each padded to 8. */
struct packer {
	char *base;
	uint32_t used, room;
	bool full;
};

static void *pack_take(struct packer *p, size_t bytes)
{
	if (bytes > p->room - p->used) {
		p->full = true;
		return NULL;
	}
	void *at = p->base + p->used;
	p->used += (uint32_t)bytes;
	return at;
}

static uint32_t pack_copy(struct packer *p, const void *bytes, size_t count)
{
	uint32_t at = p->used;
	void *to = pack_take(p, count);

	if (to && count)
		memcpy(to, bytes, count);
	return at;
}

static void pack_edge(struct packer *p)
{
	size_t bytes = pad8(p->used) - p->used;
	void *to = pack_take(p, bytes);

	if (to)
		memset(to, 0, bytes);
}

/* A string's place, 0 when it is not given. The place is never 0, since a header comes first. */
static void pack_draft_string(struct packer *p, struct draft_string string, uint32_t *at, uint32_t *bytes)
{
	*at = *bytes = 0;
	if (!string.s)
		return;
	*at = pack_copy(p, string.s, string.bytes);
	*bytes = string.bytes;
}

static void pack_columns(struct packer *p, const struct layout *layout, const struct customer_draft *draft,
			 uint64_t *presence, char *columns)
{
	memset(presence, 0, layout_presence_bytes(layout));
	memset(columns, 0, layout->columns_bytes);
	for (uint16_t i = 0; i < layout->count; i++) {
		const struct value *v = &draft->column[i];
		uint64_t raw[2] = { (uint64_t)v->i, v->currency };
		if (v->status != VALUE_OK)
			continue;
		presence[i / 64] |= UINT64_C(1) << (i % 64);
		if (v->type == TYPE_STRING)
			raw[0] = pack_copy(p, v->s, v->bytes) | (uint64_t)v->bytes << 32;
		memcpy(columns + layout->columns[i].offset, raw, layout_column_bytes(v->type));
	}
}

/* What the customer subscribes to, in front of everything. The draft is sorted: sleeping ones are last. */
static struct packed_kinds *pack_kinds(struct packer *p, const struct layouts *l,
				       const struct customer_draft *draft)
{
	uint32_t awake = 0;

	while (awake < draft->subscription_count &&
	       l->rule_of[draft->subscription[awake]->kind] != UINT16_MAX)
		awake++;
	struct packed_kinds *kinds = pack_take(p, sizeof *kinds + pad8(awake * 3));
	assert(kinds); /* the room holds it and all columns, asserted below */
	memset(kinds, 0, sizeof *kinds + pad8(awake * 3));
	kinds->head = (struct packed_subscriptions){ .order = l->order,
						     .count = draft->subscription_count,
						     .form = ROW_FORM_KINDS,
						     .awake = (uint8_t)awake,
						     .first_rule = l->subscription_first };
	uint8_t *flags = (uint8_t *)(kinds->rules + awake);
	for (uint32_t i = 0; i < awake; i++) {
		kinds->rules[i] = l->rule_of[draft->subscription[i]->kind];
		flags[i] = packed_flags(l, draft->subscription[i]);
	}
	return kinds;
}

static void pack_subscriptions(struct packer *p, struct packed_kinds *kinds,
			       const struct customer_draft *draft)
{
	uint16_t *offsets = pack_take(p, pad8(draft->subscription_count * sizeof *offsets));

	if (!offsets)
		return;
	kinds->packed_at = (uint32_t)((char *)offsets - (char *)kinds);
	memset(offsets, 0, pad8(draft->subscription_count * sizeof *offsets));
	for (uint32_t i = 0; i < draft->subscription_count; i++)
		offsets[i] =
			(uint16_t)(pack_copy(p, draft->subscription[i], draft->subscription[i]->bytes) / 8);
}

uint32_t row_pack_customer(const struct layouts *l, const struct customer_draft *draft, void *room)
{
	const struct layout *layout = l->in_force;
	struct packer p = { .base = room, .room = ROW_BYTES_MAX };
	struct row *row = pack_take(&p, sizeof *row);

	*row = (struct row){
		.kind = ROW_CUSTOMER, .flags = draft->flags, .layout = layout->id, .key = draft->key
	};
	row->parts[CUSTOMER_SUBSCRIPTIONS] = p.used;
	struct packed_kinds *kinds = pack_kinds(&p, l, draft);
	row->parts[CUSTOMER_PRESENCE] = p.used;
	uint64_t *presence = pack_take(&p, layout_presence_bytes(layout));
	row->parts[CUSTOMER_COLUMNS] = p.used;
	char *columns = pack_take(&p, layout->columns_bytes);
	row->parts[CUSTOMER_STRINGS] = p.used;
	assert(presence && columns); /* LAYOUT_COLUMNS_MAX of them fit, asserted below */
	pack_columns(&p, layout, draft, presence, columns);
	pack_edge(&p);
	pack_subscriptions(&p, kinds, draft);
	row->bytes = p.used;
	return p.full ? 0 : p.used;
}
_Static_assert(sizeof(struct row) + sizeof(struct packed_kinds) + SUBSCRIPTIONS_MAX * 3 + 8 +
			       LAYOUT_COLUMNS_MAX / 8 + LAYOUT_COLUMNS_MAX * 16 <
		       ROW_BYTES_MAX,
	       "columns fit");

uint32_t row_pack_account(const struct account_draft *draft, void *room)
{
	struct packer p = { .base = room, .room = ROW_BYTES_MAX };
	struct row *row = pack_take(&p, sizeof *row);

	*row = (struct row){ .kind = ROW_ACCOUNT, .layout = ACCOUNT_LAYOUT, .key = draft->key };
	row->parts[ACCOUNT_FIELDS] = p.used;
	struct packed_account *fields = pack_take(&p, sizeof *fields);
	row->parts[ACCOUNT_ROW_HOLDERS] = p.used;
	pack_copy(&p, draft->holder, draft->holder_count * sizeof draft->holder[0]);
	row->parts[ACCOUNT_CARDS] = p.used;
	struct packed_card *card = pack_take(&p, draft->card_count * sizeof *card);
	row->parts[ACCOUNT_STRINGS] = p.used;
	*fields = (struct packed_account){ .currency = draft->currency };
	pack_draft_string(&p, draft->alias, &fields->alias_at, &fields->alias_bytes);
	pack_draft_string(&p, draft->status, &fields->status_at, &fields->status_bytes);
	for (uint32_t i = 0; i < draft->card_count; i++) {
		card[i].customer = draft->card[i].customer;
		card[i].expires = draft->card[i].expires;
		pack_draft_string(&p, draft->card[i].card, &card[i].card_at, &card[i].card_bytes);
		pack_draft_string(&p, draft->card[i].status, &card[i].status_at, &card[i].status_bytes);
	}
	pack_edge(&p);
	row->bytes = p.used;
	return p.full ? 0 : p.used;
}
_Static_assert(sizeof(struct row) + sizeof(struct packed_account) + HOLDERS_MAX * sizeof(struct row_holder) +
			       CARDS_MAX * sizeof(struct packed_card) <
		       ROW_BYTES_MAX,
	       "holders and cards fit, their strings perhaps not");

uint32_t row_pack_subscription(const struct subscription_draft *draft, void *room)
{
	struct packer p = { .base = room, .room = ROW_BYTES_MAX };
	struct packed_subscription *head = pack_take(&p, sizeof *head);

	*head = (struct packed_subscription){ .kind = draft->kind,
					      .flags = draft->on ? SUBSCRIPTION_ON : 0,
					      .id_bytes = (uint8_t)draft->id_bytes,
					      .params = (uint8_t)draft->param_count,
					      .accounts = (uint8_t)draft->account_count,
					      .channels = (uint8_t)draft->channel_count };
	pack_copy(&p, draft->account, draft->account_count * sizeof draft->account[0]);
	struct packed_param *param = pack_take(&p, draft->param_count * sizeof *param);
	pack_copy(&p, draft->channel, draft->channel_count * sizeof draft->channel[0]);
	pack_copy(&p, draft->id, draft->id_bytes);
	for (uint32_t i = 0; i < draft->param_count; i++) {
		const struct value *v = &draft->param[i].value;
		param[i] = (struct packed_param){
			.name = draft->param[i].name, .type = v->type, .currency = v->currency, .value = v->i
		};
		if (v->type == TYPE_STRING)
			param[i].value = (int64_t)(pack_copy(&p, v->s, v->bytes) | (uint64_t)v->bytes << 32);
	}
	pack_edge(&p);
	head->bytes = p.used;
	return p.full ? 0 : p.used;
}
