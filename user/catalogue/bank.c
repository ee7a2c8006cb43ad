/*
 * bank.c: the sections `bank` and `rates`: currency, place and time, what is remembered, conversions.
 *
 * Entries in, fields of the catalogue out. The zone's name is taken here and looked up by icu.c, because
 * a catalogue from a blob must not ask ICU again. A rate is a decimal number: kept as an integer and its
 * decimals, never as a double.
 */
#include "compile.h"

#include <base/money.h>
#include <stdlib.h>
#include <string.h>

static const int64_t NS_PER_HOUR = INT64_C(3600) * 1000000000;

static const struct money_currency *currency_of(struct build *b, const struct node *n)
{
	const struct money_currency *found = NULL;

	if (n->kind == NODE_SCALAR)
		found = money_currency_find(n->text, n->bytes);
	if (!found) {
		char text[300];
		build_problem(b, n, "found %s, expected a currency code of ISO 4217 such as EUR",
			      node_found(n, text, sizeof text));
	}
	return found;
}

static void take_currency(struct build *b, const struct node *n)
{
	const struct money_currency *currency = currency_of(b, n);

	if (!currency)
		return;
	b->c->rates.bank = currency->numeric;
	b->c->rates.bank_exponent = currency->exponent;
}

static void take_country(struct build *b, const struct node *n)
{
	char text[300];

	if (n->kind == NODE_SCALAR)
		b->c->country = money_country_find(n->text, n->bytes);
	if (!b->c->country)
		build_problem(b, n, "found %s, expected a country code of ISO 3166-1 such as ES",
			      node_found(n, text, sizeof text));
}

static void take_memory(struct build *b, const struct node *at, const struct node *map)
{
	const struct node *n;
	int64_t refs;

	if (map->kind != NODE_MAP)
		return;
	map_check(b, at, map, MAP_MEMORY);
	if ((n = yaml_get(map, "windows")) && n->bytes)
		scalar_bytes(b, n, &b->c->windows_bytes);
	if ((n = yaml_get(map, "refs")) && n->bytes && scalar_int(b, n, 1, INT64_C(1) << 32, &refs))
		b->c->refs_max = (uint64_t)refs;
}

static void take_starts(struct build *b, const struct node *n)
{
	static const char *const starts[] = { "empty" };

	b->c->starts_empty = scalar_choice(b, n, starts, 1) == 0;
}

static void take_zone(struct build *b, const struct node *n)
{
	b->zone_node = n;
	b->c->zone.name = build_copy(b, n->text, n->bytes);
}

static void take_key(struct build *b, const struct node *at, const char *key, const struct node *n)
{
	bool scalar = n->kind == NODE_SCALAR && n->bytes > 0; /* else it is a problem already */

	if (strcmp(key, "memory") == 0)
		take_memory(b, at, n);
	else if (!scalar)
		return;
	else if (strcmp(key, "currency") == 0)
		take_currency(b, n);
	else if (strcmp(key, "zone") == 0)
		take_zone(b, n);
	else if (strcmp(key, "country") == 0)
		take_country(b, n);
	else if (strcmp(key, "lateness") == 0)
		scalar_duration(b, n, &b->c->lateness_ns);
	else if (strcmp(key, "ref_memory") == 0)
		scalar_duration(b, n, &b->c->ref_memory_ns);
	else if (strcmp(key, "starts") == 0)
		take_starts(b, n);
}

/* "0.92" -> 92 and 2. */
static bool parse_rate(const char *s, size_t len, int64_t *num, uint8_t *decimals)
{
	bool dot = false, digit = false;

	*num = 0;
	*decimals = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '.' && !dot && digit) {
			dot = true;
			continue;
		}
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(*num, 10, num) ||
		    __builtin_add_overflow(*num, s[i] - '0', num))
			return false;
		digit = true;
		if (dot && ++*decimals > 9)
			return false;
	}
	return digit && *num > 0;
}

static void take_rate(struct build *b, const struct entry *entry)
{
	const struct money_currency *currency = currency_of(b, entry->key);
	struct money_rates *rates = &b->c->rates;
	const struct node *n = entry->value;
	struct money_rate rate = { 0 };
	char text[300];

	if (n->kind != NODE_SCALAR || n->style != STYLE_PLAIN ||
	    !parse_rate(n->text, n->bytes, &rate.num, &rate.decimals)) {
		build_problem(b, n, "found %s, expected a rate such as 0.92: above 0, at most 9 decimals",
			      node_found(n, text, sizeof text));
		return;
	}
	if (!currency)
		return;
	if (currency->numeric == rates->bank) {
		build_problem(b, entry->key, "found a rate of %s, which is the bank's own currency",
			      currency->code);
		return;
	}
	rate.currency = currency->numeric;
	rate.exponent = currency->exponent;
	rates->rate[rates->count++] = rate;
}

static int compare_rates(const void *left, const void *right)
{
	const struct money_rate *a = left, *b = right;

	return a->currency < b->currency ? -1 : a->currency > b->currency;
}

void bank_compile(struct build *b)
{
	struct section *bank = &b->sections[IN_BANK], *rates = &b->sections[IN_RATES];
	struct catalogue *c = b->c;
	bool currency = false;

	c->zone.name = "UTC";
	c->lateness_ns = 24 * NS_PER_HOUR;
	c->ref_memory_ns = 35 * 24 * NS_PER_HOUR;
	c->refs_max = 4 << 20;
	c->windows_bytes = UINT64_C(2) << 30;
	for (uint32_t i = 0; i < bank->count; i++) {
		take_key(b, bank->entries[i].key, bank->entries[i].name, bank->entries[i].value);
		currency |= strcmp(bank->entries[i].name, "currency") == 0;
	}
	if (!currency && !b->incomplete)
		build_problem(b, bank->count ? bank->entries[0].key : NULL,
			      "missing key 'currency' in bank: bank: { currency: EUR }");
	for (uint32_t i = 0; i < rates->count; i++)
		take_rate(b, &rates->entries[i]);
	qsort(c->rates.rate, c->rates.count, sizeof c->rates.rate[0], compare_rates);
}
