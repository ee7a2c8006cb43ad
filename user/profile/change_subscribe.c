/*
 * change_subscribe.c: the body of a SUBSCRIBE frame becomes a changed subscription (docs/decisions.md 31).
 *
 * In: a body that pack_validate has let pass, and the catalogue in force. Out: APPLIED and a new row in the
 * overlay; or REFUSED or NOT_YET with the reason, the place in s->refused_offset, and no row changed. Keys
 * that nobody knows are ignored; an unknown parameter is refused. A subscription whose kind the catalogue
 * does not have sleeps: it is kept, and a change of it is refused.
 *
 * Read store_apply_subscribe at the end first.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "change.h"

/* What the body gives; readers stand on their field. */
struct subscribe_body {
	struct draft_string id, kind;
	const uint8_t *id_at, *kind_at;
	struct pack_reader params, accounts, channels;
	bool has_on, on, has_params, has_accounts, has_channels;
};

static bool read_name(struct change *ch, const char *what, struct draft_string *out, const uint8_t **at)
{
	*at = ch->r.at;
	if (!change_read_string(ch, what, NAME_BYTES_MAX, out))
		return false;
	return out->bytes > 0 || change_refuse(ch, *at, "%s: is empty", what);
}

static bool read_on(struct change *ch, struct subscribe_body *body)
{
	struct value v = { 0 };

	if (!change_read_value(ch, "on", TYPE_BOOL, &v))
		return false;
	body->has_on = true;
	body->on = v.i;
	return true;
}

static bool read_frequency(struct change *ch)
{
	const uint8_t *at = ch->r.at;
	struct draft_string frequency = { 0 };

	if (!change_read_string(ch, "frequency", NAME_BYTES_MAX, &frequency))
		return false;
	if (change_text_is(frequency.s, frequency.bytes, "now"))
		return true;
	return change_not_yet(ch, at, "frequency: not yet, only now");
}

static bool keep_place(struct change *ch, struct pack_reader *place, bool *has)
{
	*place = ch->r;
	*has = true;
	pack_skip(&ch->r);
	return true;
}

static bool read_subscribe_key(struct change *ch, const char *key, uint32_t bytes,
			       struct subscribe_body *body)
{
	const uint8_t *at = ch->r.at;

	if (change_text_is(key, bytes, "id"))
		return read_name(ch, "id", &body->id, &body->id_at);
	if (change_text_is(key, bytes, "kind"))
		return read_name(ch, "kind", &body->kind, &body->kind_at);
	if (change_text_is(key, bytes, "on"))
		return read_on(ch, body);
	if (change_text_is(key, bytes, "params"))
		return keep_place(ch, &body->params, &body->has_params);
	if (change_text_is(key, bytes, "accounts"))
		return keep_place(ch, &body->accounts, &body->has_accounts);
	if (change_text_is(key, bytes, "channels"))
		return keep_place(ch, &body->channels, &body->has_channels);
	if (change_text_is(key, bytes, "frequency"))
		return read_frequency(ch);
	pack_skip(&ch->r);
	if (change_text_is(key, bytes, "at"))
		return change_not_yet(ch, at, "at: not yet");
	if (change_text_is(key, bytes, "recipients"))
		return change_not_yet(ch, at, "recipients: not yet");
	return true;
}

static bool read_subscribe(struct change *ch, struct subscribe_body *body)
{
	uint32_t pairs = pack_read_map(&ch->r), bytes;

	while (pairs-- > 0) {
		const char *key = pack_read_key(&ch->r, &bytes);
		if (!change_skip_nil(ch) && !read_subscribe_key(ch, key, bytes, body))
			return false;
	}
	assert(!ch->r.error);
	if (!body->id.s && !body->kind.s)
		return change_refuse(ch, ch->r.start,
				     "needs kind, or the id of a subscription that the customer has");
	return true;
}

/* The rule of a kind, or NULL and a refusal. */
static const struct cat_rule *kind_rule(struct change *ch, const uint8_t *at, const char *name,
					uint32_t bytes)
{
	const struct layouts *l = &ch->s->layouts;
	uint32_t id = name_table_find(&l->names, name, bytes);

	if (id != NAME_NONE && l->rule_of[id] != UINT16_MAX)
		return &ch->c->rules[l->rule_of[id]];
	change_refuse(ch, at, "kind: the catalogue has no subscription '%s'", change_show(name, bytes).text);
	return NULL;
}

/* Where the customer's subscription of that id stands in the draft, or its count. */
static uint32_t find_subscription(const struct customer_draft *draft, struct draft_string id)
{
	uint32_t i = 0;

	while (i < draft->subscription_count &&
	       (draft->subscription[i]->id_bytes != id.bytes ||
		memcmp(packed_id(draft->subscription[i]), id.s, id.bytes) != 0))
		i++;
	return i;
}

static void param_remove(struct subscription_draft *draft, uint32_t name)
{
	for (uint32_t i = 0; i < draft->param_count; i++)
		if (draft->param[i].name == name)
			draft->param[i--] = draft->param[--draft->param_count];
}

static bool set_param(struct change *ch, const struct cat_rule *rule, uint8_t p)
{
	const struct cat_param *param = &rule->params[p];
	const struct layouts *l = &ch->s->layouts;
	uint32_t name = l->param_name[(size_t)(rule->number - ch->c->subscription_first) * PARAMS_MAX + p];
	struct subscription_draft *draft = &ch->s->subscription;
	const uint8_t *at = ch->r.at;
	char what[NAME_BYTES_MAX + 16];
	struct value v = { 0 };

	snprintf(what, sizeof what, "params.%s", param->name);
	if (!change_read_value(ch, what, param->type, &v))
		return false;
	if (!row_param_allowed(ch->c, param, &v))
		return change_refuse(
			ch, at, "%s: outside the catalogue's min and max, or in a currency without a rate",
			what);
	param_remove(draft, name);
	if (draft->param_count == SUBSCRIPTION_PARAMS_MAX)
		return change_refuse(ch, at,
				     "%s: more than %d parameters, those of earlier catalogues included",
				     what, SUBSCRIPTION_PARAMS_MAX);
	draft->param[draft->param_count++] = (struct draft_param){ name, v };
	return true;
}

static bool read_params(struct change *ch, const struct cat_rule *rule)
{
	uint32_t pairs = 0, bytes;

	if (!change_read_map(ch, "params", &pairs))
		return false;
	while (pairs-- > 0) {
		const uint8_t *at = ch->r.at;
		const char *name = pack_read_key(&ch->r, &bytes);
		uint8_t p = 0;
		while (p < rule->param_count && !change_text_is(name, bytes, rule->params[p].name))
			p++;
		if (p == rule->param_count)
			return change_refuse(ch, at, "params: '%s' has no parameter '%s'", rule->name,
					     change_show(name, bytes).text);
		if (!set_param(ch, rule, p))
			return false;
	}
	return true;
}

static bool read_accounts(struct change *ch)
{
	struct subscription_draft *draft = &ch->s->subscription;
	uint32_t count = 0;

	if (!change_read_list(ch, "accounts", SUBSCRIPTION_ACCOUNTS_MAX, &count))
		return false;
	for (draft->account_count = 0; draft->account_count < count; draft->account_count++)
		if (!change_read_number(ch, "accounts", &draft->account[draft->account_count]))
			return false;
	return true;
}

/* A channel that the catalogue does not have is kept, and left out when the list is read (decisions 25). */
static bool read_channel(struct change *ch, uint32_t *out)
{
	struct name_table *names = &ch->s->layouts.names;
	const uint8_t *at;
	struct draft_string name = { 0 };

	if (!read_name(ch, "channels", &name, &at))
		return false;
	*out = name_table_find(names, name.s, name.bytes);
	if (*out == NAME_NONE && names->count >= NAMES_FOREIGN_MAX)
		return change_refuse(ch, at, "channels: the catalogue has no channel '%s'",
				     change_show(name.s, name.bytes).text);
	if (*out == NAME_NONE)
		*out = name_table_add(names, name.s, name.bytes, ch->s->generation);
	return true;
}

static bool read_channels(struct change *ch)
{
	struct subscription_draft *draft = &ch->s->subscription;
	uint32_t count = 0;

	if (!change_read_list(ch, "channels", CHANNELS_MAX, &count))
		return false;
	for (draft->channel_count = 0; draft->channel_count < count; draft->channel_count++)
		if (!read_channel(ch, &draft->channel[draft->channel_count]))
			return false;
	return true;
}

/*
 * s->subscription becomes what the customer has of that id; or a new one, also when the body gives another
 * kind. NULL: refused.
 */
static const struct cat_rule *subscription_begin(struct change *ch, const struct subscribe_body *body,
						 struct draft_string id,
						 const struct packed_subscription *old)
{
	struct subscription_draft *draft = &ch->s->subscription;
	const struct layouts *l = &ch->s->layouts;
	const struct cat_rule *rule;

	if (body->kind.s) {
		rule = kind_rule(ch, body->kind_at, body->kind.s, body->kind.bytes);
	} else if (old) {
		const struct name *kind = &l->names.list[old->kind];
		rule = kind_rule(ch, body->id_at, kind->text, kind->bytes);
	} else {
		change_refuse(ch, body->id_at,
			      "id: the customer has no subscription '%s': a new one needs kind",
			      change_show(id.s, id.bytes).text);
		return NULL;
	}
	if (!rule)
		return NULL;
	uint32_t kind = l->rule_name[rule->number - ch->c->subscription_first];
	*draft = (struct subscription_draft){ .kind = kind, .on = true, .id = id.s, .id_bytes = id.bytes };
	if (old && old->kind == kind)
		row_unpack_subscription(old, draft);
	return rule;
}

static bool read_subscription_fields(struct change *ch, const struct subscribe_body *body,
				     const struct cat_rule *rule)
{
	if (body->has_on)
		ch->s->subscription.on = body->on;
	if (body->has_params) {
		ch->r = body->params;
		if (!read_params(ch, rule))
			return false;
	}
	if (body->has_accounts) {
		ch->r = body->accounts;
		if (!read_accounts(ch))
			return false;
	}
	if (body->has_channels) {
		ch->r = body->channels;
		if (!read_channels(ch))
			return false;
	}
	return true;
}

static bool change_subscription(struct change *ch, uint64_t customer)
{
	struct store *s = ch->s;
	struct customer_draft *draft = &s->draft.customer;
	struct subscribe_body body = { 0 };

	if (!read_subscribe(ch, &body))
		return false;
	struct draft_string id = body.id.s ? body.id : body.kind;
	row_unpack_customer(&s->layouts, store_customer(s, customer), customer, draft);
	uint32_t place = find_subscription(draft, id);
	bool is_new = place == draft->subscription_count;
	const struct cat_rule *rule =
		subscription_begin(ch, &body, id, is_new ? NULL : draft->subscription[place]);
	if (!rule || !read_subscription_fields(ch, &body, rule))
		return false;
	if (place == SUBSCRIPTIONS_MAX)
		return change_refuse(ch, ch->r.start, "the customer has %d subscriptions, no more",
				     SUBSCRIPTIONS_MAX);
	if (ch->outcome != CHANGE_APPLIED)
		return false;
	if (!row_pack_subscription(&s->subscription, s->packed))
		return change_put_row(ch, 0, 0);
	draft->subscription[place] = (const struct packed_subscription *)s->packed;
	draft->subscription_count += is_new;
	row_sort_subscriptions(&s->layouts, draft);
	return change_put_row(ch, row_pack_customer(&s->layouts, draft, s->row), is_new);
}

enum change_outcome store_apply_subscribe(struct store *s, const struct catalogue *c, uint64_t customer,
					  const void *body, uint32_t bytes, char *why, size_t why_bytes)
{
	struct change ch = change_begin(s, c, body, bytes, why, why_bytes);

	if (customer)
		change_subscription(&ch, customer);
	else
		change_refuse(&ch, ch.r.start, "no customer");
	return ch.outcome;
}
