/*
 * catalogue.c: questions to a compiled catalogue: names to numbers, and what it has, in words.
 *
 * A catalogue is read-only, so every function may be called from any thread. Names are found in sorted
 * tables or short lists; nothing is allocated. The printed form is for people and for tests.
 */
#include "catalogue.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

const char *const event_stage_names[STAGE_COUNT] = { NULL, "request", "authorised", "posted", "released" };
const char *const holder_role_names[ROLE_COUNT] = { NULL,	  "owner",    "co_owner",
						    "authorised", "guardian", "delegate" };

static int compare(const char *name, const char *text, size_t len)
{
	size_t n = strlen(name);
	int order = memcmp(name, text, n < len ? n : len);

	return order ? order : n < len ? -1 : n > len;
}

const struct cat_rule *catalogue_rule_find(const struct catalogue *c, const char *name, size_t len)
{
	uint32_t low = 0, high = c->rule_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct cat_rule *rule = &c->rules[c->rules_by_name[middle]];
		int order = compare(rule->name, name, len);
		if (order == 0)
			return rule;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int catalogue_channel_find(const struct catalogue *c, const char *name, size_t len)
{
	for (int i = 0; i < c->channel_count; i++)
		if (compare(c->channels[i].name, name, len) == 0)
			return i;
	return -1;
}

int catalogue_attribute_find(const struct catalogue *c, const char *name, size_t len)
{
	for (int i = 0; i < c->attribute_count; i++)
		if (compare(c->attributes[i].name, name, len) == 0)
			return i;
	return -1;
}

/* es-CO, then es, then the bank's. */
int catalogue_language_find(const struct catalogue *c, const char *tag, size_t len)
{
	while (len > 0) {
		for (int i = 0; i < c->language_count; i++)
			if (compare(c->languages[i].tag, tag, len) == 0)
				return i;
		while (len > 0 && tag[len - 1] != '-')
			len--;
		if (len > 0)
			len--;
	}
	return c->language;
}

static void print_count(FILE *to, const char *what, unsigned n)
{
	fprintf(to, "%-16s %6u\n", what, n);
}

/* Keys with a bound, and how many there can be of one owner. */
static void print_key(const struct catalogue *c, const struct cat_key *key, FILE *to)
{
	unsigned used = 0;

	for (unsigned i = 0; i < c->aggregate_count; i++)
		used += &c->keys[c->aggregates[i].per] == key;
	fprintf(to, "  %-34s %u aggregate%s", key->name, used, used == 1 ? "" : "s");
	if (key->keys_max)
		fprintf(to, ", the %u of each owner that were used last", key->keys_max);
	fputc('\n', to);
}

void catalogue_summary_print(const struct catalogue *c, FILE *to)
{
	unsigned dropped = 0, steps = 0;

	for (unsigned i = 0; i < c->event_count; i++)
		dropped += c->events[i].pattern < 0 &&
			   c->interest->type[c->events[i].code].action == INTEREST_DROP;
	fprintf(to, "%-16s %016" PRIx64 "%016" PRIx64 "\n", "catalogue", c->hash.high, c->hash.low);
	print_count(to, "event types", (unsigned)c->event_count - c->pattern_count);
	print_count(to, "  dropped", dropped);
	print_count(to, "body fields", c->field_count);
	print_count(to, "attributes", c->attribute_count);
	for (unsigned i = 0; i < c->aggregate_count; i++)
		steps += c->aggregates[i].function == AGG_STEP;
	print_count(to, "lists", c->list_count);
	print_count(to, "aggregates", c->aggregate_count - steps);
	print_count(to, "patterns", c->pattern_count);
	print_count(to, "  steps", steps);
	print_count(to, "keys of windows", c->key_count);
	for (unsigned i = 0; i < c->key_count; i++)
		print_key(c, &c->keys[i], to);
	print_count(to, "fraud rules", c->critical_first);
	print_count(to, "critical rules", (unsigned)c->subscription_first - c->critical_first);
	print_count(to, "subscriptions", (unsigned)c->rule_count - c->subscription_first);
	print_count(to, "channels", c->channel_count);
	print_count(to, "messages", c->message_count);
	fprintf(to, "%-16s", "languages");
	for (unsigned i = 0; i < c->language_count; i++)
		fprintf(to, " %s%s", c->languages[i].tag, i == c->language ? " (the bank's)" : "");
	fputc('\n', to);
	print_count(to, "currencies", (unsigned)c->rates.count + 1);
	fprintf(to, "%-16s %s, %u offsets\n", "zone", c->zone.name, c->zone.count);
	if (c->zone_count)
		print_count(to, "  of customers", c->zone_count);
}

const struct zone *catalogue_zone(const struct catalogue *c, const struct value *name)
{
	uint32_t low = 0, high = name->status == VALUE_OK ? c->zone_count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const char *there = c->zones[middle].name;
		int order = strncmp(there, name->s, name->bytes);
		if (order == 0)
			order = there[name->bytes] != 0;
		if (order == 0)
			return &c->zones[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return &c->zone;
}
