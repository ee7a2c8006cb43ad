/*
 * per.c: what windows are kept per: `per: account`, `per: [customer, body.payee]` and `keys: n`.
 *
 * In: the map of an aggregate or pattern. Out: an index in catalogue.keys, the same for the same parts in
 * whatever order, so that aggregates of one key share its log. The identity is a hash over the parts' names,
 * and for body fields their types; how many keys are kept is no part of it, so that state outlives a change
 * of the bound. A body field can have any number of values, so it needs a bound; everything else has one.
 */
#define XXH_INLINE_ALL
#include "compile.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char *const part_names[] = { "customer", "account", "card", "currency", "body.x" };

/* One `per` while it is read. */
struct per {
	struct build *b;
	const struct node *map;
	const char *what; /* "an aggregate" */
	const struct event_set *over;
	struct cat_key key;
};

static int compare_parts(const struct build *b, const struct cat_key_part *left,
			 const struct cat_key_part *right)
{
	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	return left->kind == KEY_PART_BODY ? strcmp(b->field[left->field].name, b->field[right->field].name)
					   : 0;
}

/* Puts the part at its place; false when it is there. */
static bool part_insert(struct per *p, struct cat_key_part part)
{
	struct cat_key *key = &p->key;
	unsigned at = 0;

	while (at < key->part_count && compare_parts(p->b, &key->parts[at], &part) < 0)
		at++;
	if (at < key->part_count && compare_parts(p->b, &key->parts[at], &part) == 0)
		return false;
	memmove(&key->parts[at + 1], &key->parts[at], (key->part_count - at) * sizeof part);
	key->parts[at] = part;
	key->part_count++;
	return true;
}

static bool body_part(struct per *p, const struct node *n, struct cat_key_part *out)
{
	int field = body_field_resolve(p->b, n, n->text + strlen("body."), p->over, p->what);

	if (field < 0)
		return false;
	if (p->b->field[field].type == TYPE_DOUBLE) {
		build_problem(p->b, n,
			      "found '%.80s', which is double; expected a body field of another type",
			      n->text);
		return false;
	}
	*out = (struct cat_key_part){ .kind = KEY_PART_BODY, .field = (uint16_t)field };
	return true;
}

static bool part_take(struct per *p, const struct node *n)
{
	struct cat_key_part part;

	if (n->kind == NODE_SCALAR && strncmp(n->text, "body.", 5) == 0) {
		if (!body_part(p, n, &part))
			return false;
	} else {
		int choice = scalar_choice(p->b, n, part_names, ARRAY_LEN(part_names));
		if (choice < 0)
			return false;
		part = (struct cat_key_part){ .kind = (uint8_t)choice };
	}
	if (p->key.part_count == KEY_PARTS_MAX) {
		build_problem(p->b, n, "found more than %d parts of a key, the limit", KEY_PARTS_MAX);
		return false;
	}
	if (part_insert(p, part))
		return true;
	build_problem(p->b, n, "found '%.64s' a second time in 'per'", n->text);
	return false;
}

static bool parts_take(struct per *p, const struct node *n)
{
	bool good = true;

	if (n->kind != NODE_LIST)
		return part_take(p, n);
	if (n->count == 0) {
		build_problem(p->b, n, "found an empty list for 'per', expected [customer, body.payee]");
		return false;
	}
	for (const struct node *item = n->first; item; item = item->next)
		good &= part_take(p, item);
	return good;
}

static bool has_part(const struct cat_key *key, enum key_part_kind kind)
{
	for (unsigned i = 0; i < key->part_count; i++)
		if (key->parts[i].kind == kind)
			return true;
	return false;
}

/* `per: currency` is the customer's (SEMANTICS 2); in a list its owner must be said. */
static bool currency_check(struct per *p, const struct node *n)
{
	const struct cat_key *key = &p->key;

	if (!has_part(key, KEY_PART_CURRENCY) || key->parts[0].kind < KEY_PART_CURRENCY)
		return true;
	if (n->kind != NODE_LIST)
		return part_insert(p, (struct cat_key_part){ .kind = KEY_PART_CUSTOMER });
	build_problem(p->b, n,
		      "found 'currency' without customer, account or card; expected "
		      "[customer, currency, ..]");
	return false;
}

static void name_key(struct per *p)
{
	char name[KEY_PARTS_MAX * (NAME_BYTES_MAX + 8)];
	size_t at = 0;

	for (unsigned i = 0; i < p->key.part_count; i++) {
		const struct cat_key_part *part = &p->key.parts[i];
		bool body = part->kind == KEY_PART_BODY;
		at += (size_t)snprintf(name + at, sizeof name - at, "%s%s%s", i ? ", " : "",
				       body ? "body." : part_names[part->kind],
				       body ? p->b->field[part->field].name : "");
	}
	p->key.name = build_copy(p->b, name, at);
}

static void identify(struct per *p)
{
	XXH3_state_t state;
	XXH128_hash_t hash;

	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, p->key.name, strlen(p->key.name));
	for (unsigned i = 0; i < p->key.part_count; i++)
		if (p->key.parts[i].kind == KEY_PART_BODY) {
			const char *type = cel_type_name(p->b->field[p->key.parts[i].field].type);
			XXH3_128bits_update(&state, ":", 1);
			XXH3_128bits_update(&state, type, strlen(type));
		}
	hash = XXH3_128bits_digest(&state);
	p->key.identity = (struct hash128){ .low = hash.low64, .high = hash.high64 };
}

static bool bound_take(struct per *p)
{
	const struct node *n = yaml_get(p->map, "keys"), *per = yaml_get(p->map, "per");
	int64_t keys;

	if (!has_part(&p->key, KEY_PART_BODY)) {
		if (n)
			build_problem(p->b, n, "found 'keys' with no body field in 'per'");
		return n == NULL;
	}
	if (!n) {
		build_problem(p->b, per,
			      "missing key 'keys' in %s per a body field: keys: n keeps the n of each owner "
			      "that were used last, 1 to %d",
			      p->what, KEYS_BOUND_MAX);
		return false;
	}
	if (n->kind != NODE_SCALAR || n->bytes == 0 || !scalar_int(p->b, n, 1, KEYS_BOUND_MAX, &keys))
		return false;
	p->key.keys_max = (uint32_t)keys;
	return true;
}

/* The number of the key in the catalogue, made when it is new. */
static int intern(struct per *p)
{
	struct catalogue *c = p->b->c;

	for (uint16_t i = 0; i < c->key_count; i++) {
		const struct cat_key *there = &p->b->key[i];
		if (there->identity.low != p->key.identity.low ||
		    there->identity.high != p->key.identity.high)
			continue;
		if (there->keys_max == p->key.keys_max)
			return i;
		build_problem(p->b, yaml_get(p->map, "keys"),
			      "found keys: %u, expected the same for every use of per [%s]: another one says "
			      "keys: %u",
			      p->key.keys_max, there->name, there->keys_max);
		return -1;
	}
	if (c->key_count == KEYS_MAX) {
		build_problem(
			p->b, yaml_get(p->map, "per"),
			"the catalogue keeps windows per more than %d different keys, the limit (customer, "
			"account and card among them)",
			KEYS_MAX);
		return -1;
	}
	p->b->key[c->key_count] = p->key;
	p->b->key_node[c->key_count] = p->key.keys_max ? yaml_get(p->map, "keys") : NULL;
	return c->key_count++;
}

int per_compile(struct build *b, const struct node *map, const char *what, const struct event_set *over)
{
	struct per p = { .b = b, .map = map, .what = what, .over = over };
	const struct node *n = yaml_get(map, "per");

	if (!n)
		p.key.part_count = 1; /* customer */
	else if (!parts_take(&p, n) || !currency_check(&p, n))
		return -1;
	if (!bound_take(&p))
		return -1;
	name_key(&p);
	identify(&p);
	return intern(&p);
}

bool key_has_one_currency(const struct cat_key *key)
{
	return has_part(key, KEY_PART_ACCOUNT) || has_part(key, KEY_PART_CURRENCY);
}

/* The keys that every catalogue has: customer, account, card. */
void keys_compile(struct build *b)
{
	b->key = build_array(b, struct cat_key, KEYS_MAX);
	b->c->keys = b->key;
	for (unsigned i = 0; i < PER_COUNT; i++) {
		struct per p = { .b = b };
		p.key.part_count = 1;
		p.key.parts[0].kind = (uint8_t)i;
		name_key(&p);
		identify(&p);
		b->key[b->c->key_count++] = p.key;
	}
}

/* The bounded keys of one owner each, and nothing else: less than that no bank can do with. */
void keys_check(struct build *b)
{
	const struct catalogue *c = b->c;
	const struct node *largest = NULL;
	uint64_t keys = 0, most = 0;

	for (uint16_t i = 0; i < c->key_count; i++) {
		keys += c->keys[i].keys_max;
		if (c->keys[i].keys_max > most) {
			most = c->keys[i].keys_max;
			largest = b->key_node[i];
		}
	}
	if (keys * KEY_BYTES_LEAST > c->windows_bytes)
		build_problem(b, largest,
			      "the bounded keys of one owner, %llu, take at least %llu bytes; "
			      "bank.memory.windows is %llu",
			      (unsigned long long)keys, (unsigned long long)(keys * KEY_BYTES_LEAST),
			      (unsigned long long)c->windows_bytes);
}
