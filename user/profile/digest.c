/*
 * digest.c: one hash over all rows as they are seen now, for replay against live. Slow; tools and tests.
 *
 * Canonical: keys ascending; attributes that are set, by name; subscriptions by id with parameters and
 * channels by name. So neither the layout a row was written in, nor checkpoints, nor the numbers of names
 * show. Memory is taken and given back; when it is out the process ends, since a digest that is not one would
 * be believed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "store_state.h"

struct key_list {
	uint64_t *keys;
	size_t count, room;
};

static void key_add(struct key_list *list, uint64_t key)
{
	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 1024;
		list->keys = realloc(list->keys, list->room * sizeof *list->keys);
		assert(list->keys);
	}
	list->keys[list->count++] = key;
}

static int key_each(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
	uint64_t k;

	(void)value;
	(void)value_bytes;
	assert(key_bytes == sizeof k);
	memcpy(&k, key, sizeof k);
	key_add(ctx, k);
	return 0;
}

static int key_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void hash_u64(XXH3_state_t *h, uint64_t v)
{
	XXH3_128bits_update(h, &v, sizeof v);
}

static void hash_bytes(XXH3_state_t *h, const void *bytes, size_t count)
{
	hash_u64(h, count);
	if (count)
		XXH3_128bits_update(h, bytes, count);
}

static void hash_value(XXH3_state_t *h, const struct value *v)
{
	hash_u64(h, v->type | (uint64_t)v->status << 8 | (uint64_t)v->currency << 16);
	if (v->status != VALUE_OK)
		return;
	if (v->type == TYPE_STRING)
		hash_bytes(h, v->s, v->bytes);
	else
		hash_u64(h, (uint64_t)v->i);
}

/* Columns of the layout in force, by name. */
static void columns_order(const struct layouts *l, uint16_t order[LAYOUT_COLUMNS_MAX])
{
	const struct layout *layout = l->in_force;

	for (uint16_t i = 0; i < layout->count; i++) {
		uint16_t k = i;
		for (; k > 0 && strcmp(l->names.list[layout->columns[order[k - 1]].name].text,
				       l->names.list[layout->columns[i].name].text) > 0;
		     k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
}

static void hash_name(XXH3_state_t *h, const struct layouts *l, uint32_t name)
{
	hash_bytes(h, l->names.list[name].text, l->names.list[name].bytes);
}

static void hash_subscription(XXH3_state_t *h, const struct layouts *l, struct subscription_draft *d)
{
	hash_bytes(h, d->id, d->id_bytes);
	hash_name(h, l, d->kind);
	hash_u64(h, d->on);
	hash_u64(h, d->param_count);
	for (uint32_t i = 1; i < d->param_count; i++)
		for (uint32_t k = i; k > 0 && strcmp(l->names.list[d->param[k - 1].name].text,
						     l->names.list[d->param[k].name].text) > 0;
		     k--) {
			struct draft_param swap = d->param[k];
			d->param[k] = d->param[k - 1];
			d->param[k - 1] = swap;
		}
	for (uint32_t i = 0; i < d->param_count; i++) {
		hash_name(h, l, d->param[i].name);
		hash_value(h, &d->param[i].value);
	}
	hash_bytes(h, d->account, d->account_count * sizeof d->account[0]);
	hash_u64(h, d->channel_count);
	for (uint32_t i = 0; i < d->channel_count; i++)
		hash_name(h, l, d->channel[i]);
}

static int id_compare(const void *left, const void *right)
{
	const struct packed_subscription *a = *(const struct packed_subscription *const *)left;
	const struct packed_subscription *b = *(const struct packed_subscription *const *)right;
	size_t shorter = a->id_bytes < b->id_bytes ? a->id_bytes : b->id_bytes;
	int order = memcmp(packed_id(a), packed_id(b), shorter);

	return order ? order : a->id_bytes - b->id_bytes;
}

static void hash_customer(XXH3_state_t *h, struct store *s, uint64_t key, const uint16_t *order)
{
	const struct layouts *l = &s->layouts;
	struct customer_draft *draft = &s->draft.customer;

	row_unpack_customer(l, store_customer(s, key), key, draft);
	hash_u64(h, key);
	hash_u64(h, draft->flags);
	for (uint16_t i = 0; i < l->in_force->count; i++) {
		const struct value *v = &draft->column[order[i]];
		if (v->status != VALUE_OK)
			continue;
		hash_name(h, l, l->in_force->columns[order[i]].name);
		hash_value(h, v);
	}
	hash_u64(h, draft->subscription_count);
	qsort(draft->subscription, draft->subscription_count, sizeof draft->subscription[0], id_compare);
	for (uint32_t i = 0; i < draft->subscription_count; i++) {
		row_unpack_subscription(draft->subscription[i], &s->subscription);
		hash_subscription(h, l, &s->subscription);
	}
}

static void hash_account(XXH3_state_t *h, struct store *s, uint64_t key)
{
	struct account_draft *draft = &s->draft.account;

	row_unpack_account(store_account(s, key), key, draft);
	hash_u64(h, key);
	hash_u64(h, draft->currency);
	hash_u64(h, draft->alias.s ? 1 : 0);
	hash_bytes(h, draft->alias.s, draft->alias.bytes);
	hash_u64(h, draft->status.s ? 1 : 0);
	hash_bytes(h, draft->status.s, draft->status.bytes);
	hash_bytes(h, draft->holder, draft->holder_count * sizeof draft->holder[0]);
	hash_u64(h, draft->card_count);
	for (uint32_t i = 0; i < draft->card_count; i++) {
		const struct draft_card *card = &draft->card[i];
		hash_bytes(h, card->card.s, card->card.bytes);
		hash_u64(h, card->customer);
		hash_u64(h, (uint64_t)card->expires);
		hash_u64(h, card->status.s ? 1 : 0);
		hash_bytes(h, card->status.s, card->status.bytes);
	}
}

static bool row_is_there(struct store *s, enum row_kind kind, uint64_t key)
{
	return (kind == ROW_CUSTOMER ? store_customer(s, key) : store_account(s, key)) != NULL;
}

/* Keys of one kind, of the map and the overlay, without removed ones, ascending, each once. */
static void keys_collect(struct store *s, enum row_kind kind, struct key_list *list)
{
	enum record_space space = kind == ROW_CUSTOMER ? RECORD_CUSTOMER : RECORD_ACCOUNT;
	int rc = lmdb_walk(s->lmdb, space, key_each, list);
	size_t unique = 0;
	uint64_t at = s->overlay.tail;
	const struct row *row;

	assert(rc == 0);
	while ((row = overlay_next(&s->overlay, &at, s->overlay.head)))
		if (row->kind == kind)
			key_add(list, row->key);
	if (!list->count)
		return;
	qsort(list->keys, list->count, sizeof *list->keys, key_compare);
	for (size_t i = 0; i < list->count; i++)
		if ((unique == 0 || list->keys[i] != list->keys[unique - 1]) &&
		    row_is_there(s, kind, list->keys[i]))
			list->keys[unique++] = list->keys[i];
	list->count = unique;
}

struct hash128 store_digest(struct store *s, const struct catalogue *c)
{
	struct key_list customers = { 0 }, accounts = { 0 };
	XXH3_state_t *h = XXH3_createState();
	uint16_t order[LAYOUT_COLUMNS_MAX];

	assert(h && s->layouts.in_force && s->layouts.catalogue.low == c->hash.low);
	columns_order(&s->layouts, order);
	keys_collect(s, ROW_CUSTOMER, &customers);
	keys_collect(s, ROW_ACCOUNT, &accounts);
	XXH3_128bits_reset(h);
	hash_u64(h, customers.count);
	for (size_t i = 0; i < customers.count; i++)
		hash_customer(h, s, customers.keys[i], order);
	hash_u64(h, accounts.count);
	for (size_t i = 0; i < accounts.count; i++)
		hash_account(h, s, accounts.keys[i]);
	XXH128_hash_t out = XXH3_128bits_digest(h);
	XXH3_freeState(h);
	free(customers.keys);
	free(accounts.keys);
	return (struct hash128){ .low = out.low64, .high = out.high64 };
}
