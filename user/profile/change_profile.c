/*
 * change_profile.c: the body of a PROFILE frame becomes a changed customer or account (docs/decisions.md 30).
 *
 * In: a body that pack_validate has let pass, and the catalogue in force. Out: APPLIED and a new row in the
 * overlay; or REFUSED with the reason, the place in s->refused_offset, and nothing changed. Keys of the outer
 * map that nobody knows are ignored; names in `set`, `unset`, holders and cards are refused. Strings of the
 * draft borrow from the old row and from the body until the new row is packed.
 *
 * Read store_apply_profile at the end first.
 */
#include <assert.h>
#include <base/money.h>
#include <stdio.h>
#include <string.h>

#include "change.h"

/* ---- PROFILE of a customer ---- */

/* Column of the layout in force of an attribute that the catalogue has; -1 and a refusal. */
static int attribute_column(struct change *ch, const uint8_t *at, const char *where, const char *name,
			    uint32_t bytes)
{
	const struct layouts *l = &ch->s->layouts;
	uint32_t id = name_table_find(&l->names, name, bytes);

	if (id != NAME_NONE && l->column_of[id] >= 0)
		return l->column_of[id];
	change_refuse(ch, at, "%s: the catalogue has no profile attribute '%s'", where,
		      change_show(name, bytes).text);
	return -1;
}

static bool set_attribute(struct change *ch, const char *name, uint32_t bytes, const uint8_t *at)
{
	int column = attribute_column(ch, at, "set", name, bytes);
	char what[NAME_BYTES_MAX + 8];

	if (column < 0)
		return false;
	const struct cat_attribute *attribute = &ch->c->attributes[column];
	snprintf(what, sizeof what, "set.%s", attribute->name);
	return change_read_value(ch, what, attribute->type, &ch->s->draft.customer.column[column]);
}

static bool unset_attribute(struct change *ch, const char *name, uint32_t bytes, const uint8_t *at)
{
	int column = attribute_column(ch, at, "unset", name, bytes);

	if (column < 0)
		return false;
	ch->s->draft.customer.column[column].status = VALUE_NO_DATA;
	return true;
}

/* ---- PROFILE of an account ---- */

static bool read_currency(struct change *ch, const char *what, uint16_t *out)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);
	const struct money_currency *currency = NULL;

	if (item.type == PACK_STRING)
		currency = money_currency_find(item.s, item.bytes);
	else if (item.type == PACK_INT && item.i > 0 && item.i <= UINT16_MAX)
		currency = money_currency_by_number((uint16_t)item.i);
	if (!currency)
		return change_refuse(ch, at, "%s: found %s, expected a currency of ISO 4217 (\"EUR\" or 978)",
				     what,
				     item.type == PACK_STRING ? "another text" : change_item_name(&item));
	*out = currency->numeric;
	return true;
}

static bool read_role(struct change *ch, uint32_t *out)
{
	const uint8_t *at = ch->r.at;
	struct pack_item item = pack_read(&ch->r);

	for (uint32_t i = ROLE_NONE + 1; i < ROLE_COUNT; i++)
		if (item.type == PACK_STRING && change_text_is(item.s, item.bytes, holder_role_names[i])) {
			*out = i;
			return true;
		}
	return change_refuse(ch, at,
			     "set.holders: found another role, expected owner, co_owner, authorised, "
			     "guardian or delegate");
}

static bool read_holder(struct change *ch, struct row_holder *holder)
{
	const uint8_t *start = ch->r.at;
	uint32_t pairs = 0;
	bool good = change_read_map(ch, "set.holders", &pairs);

	*holder = (struct row_holder){ 0 };
	while (good && pairs-- > 0) {
		const uint8_t *at = ch->r.at;
		uint32_t bytes;
		const char *key = pack_read_key(&ch->r, &bytes);
		if (change_skip_nil(ch))
			continue;
		if (change_text_is(key, bytes, "customer"))
			good = change_read_number(ch, "set.holders.customer", &holder->customer);
		else if (change_text_is(key, bytes, "role"))
			good = read_role(ch, &holder->role);
		else
			good = change_refuse(ch, at, "set.holders: a holder has customer and role, not '%s'",
					     change_show(key, bytes).text);
	}
	if (good && (!holder->customer || !holder->role))
		return change_refuse(ch, start, "set.holders: a holder needs customer and role");
	return good;
}

static bool set_holders(struct change *ch)
{
	struct account_draft *draft = &ch->s->draft.account;
	uint32_t count = 0;

	if (!change_read_list(ch, "set.holders", HOLDERS_MAX, &count))
		return false;
	for (draft->holder_count = 0; draft->holder_count < count; draft->holder_count++) {
		const uint8_t *at = ch->r.at;
		struct row_holder *holder = &draft->holder[draft->holder_count];
		if (!read_holder(ch, holder))
			return false;
		for (uint32_t i = 0; i < draft->holder_count; i++)
			if (draft->holder[i].customer == holder->customer)
				return change_refuse(ch, at, "set.holders: one customer twice");
	}
	return true;
}

static bool read_card(struct change *ch, struct draft_card *card)
{
	const uint8_t *start = ch->r.at;
	struct value expires = { .i = INT64_MIN };
	uint32_t pairs = 0;
	bool good = change_read_map(ch, "set.cards", &pairs);

	*card = (struct draft_card){ 0 };
	while (good && pairs-- > 0) {
		const uint8_t *at = ch->r.at;
		uint32_t bytes;
		const char *key = pack_read_key(&ch->r, &bytes);
		if (change_skip_nil(ch))
			continue;
		if (change_text_is(key, bytes, "card"))
			good = change_read_string(ch, "set.cards.card", REF_BYTES_MAX, &card->card);
		else if (change_text_is(key, bytes, "customer"))
			good = change_read_number(ch, "set.cards.customer", &card->customer);
		else if (change_text_is(key, bytes, "expires"))
			good = change_read_value(ch, "set.cards.expires", TYPE_TIMESTAMP, &expires);
		else if (change_text_is(key, bytes, "status"))
			good = change_read_string(ch, "set.cards.status", STRING_BYTES_MAX, &card->status);
		else
			good = change_refuse(
				ch, at, "set.cards: a card has card, customer, expires and status, not '%s'",
				change_show(key, bytes).text);
	}
	card->expires = expires.i;
	if (good && !card->card.bytes)
		return change_refuse(ch, start, "set.cards: a card needs its token, card");
	return good;
}

static bool set_cards(struct change *ch)
{
	struct account_draft *draft = &ch->s->draft.account;
	uint32_t count = 0;

	if (!change_read_list(ch, "set.cards", CARDS_MAX, &count))
		return false;
	for (draft->card_count = 0; draft->card_count < count; draft->card_count++) {
		const uint8_t *at = ch->r.at;
		struct draft_card *card = &draft->card[draft->card_count];
		if (!read_card(ch, card))
			return false;
		for (uint32_t i = 0; i < draft->card_count; i++)
			if (draft->card[i].card.bytes == card->card.bytes &&
			    memcmp(draft->card[i].card.s, card->card.s, card->card.bytes) == 0)
				return change_refuse(ch, at, "set.cards: one card twice");
	}
	return true;
}

enum account_name { NAME_HOLDERS, NAME_CURRENCY, NAME_ALIAS, NAME_STATUS, NAME_CARDS, ACCOUNT_NAME_COUNT };
static const char *const account_names[ACCOUNT_NAME_COUNT] = { "holders", "currency", "alias", "status",
							       "cards" };

static int account_name_find(struct change *ch, const uint8_t *at, const char *where, const char *name,
			     uint32_t bytes)
{
	for (int i = 0; i < ACCOUNT_NAME_COUNT; i++)
		if (change_text_is(name, bytes, account_names[i]))
			return i;
	change_refuse(ch, at, "%s: an account has holders, currency, alias, status and cards, not '%s'",
		      where, change_show(name, bytes).text);
	return -1;
}

static bool set_account(struct change *ch, const char *name, uint32_t bytes, const uint8_t *at)
{
	struct account_draft *draft = &ch->s->draft.account;

	switch (account_name_find(ch, at, "set", name, bytes)) {
	case NAME_HOLDERS:
		return set_holders(ch);
	case NAME_CURRENCY:
		return read_currency(ch, "set.currency", &draft->currency);
	case NAME_ALIAS:
		return change_read_string(ch, "set.alias", STRING_BYTES_MAX, &draft->alias);
	case NAME_STATUS:
		return change_read_string(ch, "set.status", STRING_BYTES_MAX, &draft->status);
	case NAME_CARDS:
		return set_cards(ch);
	default:
		return false;
	}
}

static bool unset_account(struct change *ch, const char *name, uint32_t bytes, const uint8_t *at)
{
	struct account_draft *draft = &ch->s->draft.account;

	switch (account_name_find(ch, at, "unset", name, bytes)) {
	case NAME_HOLDERS:
		draft->holder_count = 0;
		return true;
	case NAME_CURRENCY:
		draft->currency = 0;
		return true;
	case NAME_ALIAS:
		draft->alias.s = NULL;
		return true;
	case NAME_STATUS:
		draft->status.s = NULL;
		return true;
	case NAME_CARDS:
		draft->card_count = 0;
		return true;
	default:
		return false;
	}
}

/* ---- the rule of `party`: holders of one account live on one shard ---- */

/* False: no record, no party. Not set and without a default, a customer's party is the customer. */
static bool party_of(struct store *s, const struct catalogue *c, uint64_t customer, uint64_t *party)
{
	const struct row *row = store_customer(s, customer);

	if (!row || row->flags & ROW_PROVISIONAL)
		return false;
	const struct layout *layout = layouts_find(&s->layouts, row->layout);
	int16_t from = layout->from[s->layouts.party];
	struct value own = { .status = VALUE_NO_DATA };
	if (from >= 0)
		own = row_column(row, layout, (uint16_t)from);
	if (own.status != VALUE_OK)
		own = c->attributes[s->layouts.party].initial;
	*party = own.status == VALUE_OK ? (uint64_t)own.i : customer;
	return true;
}

static bool check_party(struct change *ch, const struct account_draft *draft)
{
	uint64_t first = 0, party, first_customer = 0;

	for (uint32_t i = 0; ch->s->layouts.party >= 0 && i < draft->holder_count; i++) {
		uint64_t customer = draft->holder[i].customer;
		if (!party_of(ch->s, ch->c, customer, &party))
			continue;
		if (first_customer && party != first)
			return change_refuse(ch, ch->r.start, "holders %llu and %llu have different party",
					     (unsigned long long)first_customer,
					     (unsigned long long)customer);
		first = party;
		first_customer = customer;
	}
	return true;
}

/* ---- the body of PROFILE ---- */

typedef bool (*profile_field)(struct change *ch, const char *name, uint32_t bytes, const uint8_t *at);

static bool read_set(struct change *ch, profile_field set)
{
	uint32_t pairs = 0, bytes;

	if (!change_read_map(ch, "set", &pairs))
		return false;
	while (pairs-- > 0) {
		const uint8_t *at = ch->r.at;
		const char *name = pack_read_key(&ch->r, &bytes);
		if (!set(ch, name, bytes, at))
			return false;
	}
	return true;
}

static bool read_unset(struct change *ch, profile_field unset)
{
	struct draft_string name = { 0 };
	uint32_t count = 0;

	if (!change_read_list(ch, "unset", ATTRIBUTES_MAX, &count))
		return false;
	while (count-- > 0) {
		const uint8_t *at = ch->r.at;
		if (!change_read_string(ch, "unset", FRAME_BYTES_MAX, &name))
			return false;
		if (!unset(ch, name.s, name.bytes, at))
			return false;
	}
	return true;
}

/* Where the fields of the body begin; `at` NULL = not given. */
struct profile_body {
	struct pack_reader set, unset;
	bool has_set, has_unset;
};

static bool read_profile_key(struct change *ch, const char *key, uint32_t bytes, struct profile_body *body)
{
	struct value as_of;
	struct draft_string source;

	if (change_text_is(key, bytes, "as_of"))
		return change_read_value(ch, "as_of", TYPE_TIMESTAMP, &as_of);
	if (change_text_is(key, bytes, "source"))
		return change_read_string(ch, "source", STRING_BYTES_MAX, &source);
	if (change_text_is(key, bytes, "set")) {
		body->set = ch->r;
		body->has_set = true;
	} else if (change_text_is(key, bytes, "unset")) {
		body->unset = ch->r;
		body->has_unset = true;
	}
	pack_skip(&ch->r);
	return true;
}

/* Keys come in any order; `set` is applied first, then `unset`, which wins. */
static bool read_profile(struct change *ch, profile_field set, profile_field unset)
{
	struct profile_body body = { 0 };
	uint32_t pairs = pack_read_map(&ch->r), bytes;

	while (pairs-- > 0) {
		const char *key = pack_read_key(&ch->r, &bytes);
		if (!change_skip_nil(ch) && !read_profile_key(ch, key, bytes, &body))
			return false;
	}
	assert(!ch->r.error); /* pack_validate has let it pass */
	if (body.has_set) {
		ch->r = body.set;
		if (!read_set(ch, set))
			return false;
	}
	if (body.has_unset) {
		ch->r = body.unset;
		if (!read_unset(ch, unset))
			return false;
	}
	return true;
}

static bool change_customer(struct change *ch, uint64_t customer)
{
	struct store *s = ch->s;
	struct customer_draft *draft = &s->draft.customer;

	row_unpack_customer(&s->layouts, store_customer(s, customer), customer, draft);
	if (!read_profile(ch, set_attribute, unset_attribute))
		return false;
	draft->flags &= (uint16_t)~ROW_PROVISIONAL;
	row_sort_subscriptions(&s->layouts, draft);
	return change_put_row(ch, row_pack_customer(&s->layouts, draft, s->row), 0);
}

static bool change_account(struct change *ch, uint64_t account)
{
	struct store *s = ch->s;
	struct account_draft *draft = &s->draft.account;

	row_unpack_account(store_account(s, account), account, draft);
	return read_profile(ch, set_account, unset_account) && check_party(ch, draft) &&
	       change_put_row(ch, row_pack_account(draft, s->row), 0);
}

enum change_outcome store_apply_profile(struct store *s, const struct catalogue *c, uint64_t customer,
					uint64_t account, const void *body, uint32_t bytes, char *why,
					size_t why_bytes)
{
	struct change ch = change_begin(s, c, body, bytes, why, why_bytes);

	if (customer && account)
		change_refuse(&ch, ch.r.start, "a customer and an account: a PROFILE is of one of them");
	else if (customer)
		change_customer(&ch, customer);
	else if (account)
		change_account(&ch, account);
	else
		change_refuse(&ch, ch.r.start, "no customer and no account");
	return ch.outcome;
}
