/*
 * entries.c: the trees of all files -> entries by section, in order of file name and place.
 *
 * A section may be spread over files; a name may not come twice, but for a group of the same types. Rules of
 * the three sections share one space of names, because a message's id and the outcomes speak of a rule by its
 * name alone. Too many entries are a problem with the figure and the limit, and the section stays empty.
 */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *key, *what;
	uint32_t max;
	bool dots;
} sections[SECTION_KINDS] = {
	[IN_BANK] = { "bank", "key of bank", 0, false },
	[IN_RATES] = { "rates", "rate", RATES_MAX, false },
	[IN_EVENTS] = { "events", "event type", EVENT_TYPES_MAX, true },
	[IN_GROUPS] = { "groups", "group", EVENT_TYPES_MAX, true },
	[IN_PROFILE] = { "profile", "attribute", ATTRIBUTES_MAX, false },
	[IN_AGGREGATES] = { "aggregates", "aggregate", AGGREGATES_MAX, false },
	[IN_FRAUD_RULES] = { "rules", "fraud rule", RULES_MAX, false },
	[IN_CRITICAL] = { "critical", "critical rule", RULES_MAX, false },
	[IN_SUBSCRIPTIONS] = { "subscriptions", "subscription", RULES_MAX, false },
	[IN_CHANNELS] = { "channels", "channel", CHANNELS_MAX, false },
	[IN_MESSAGES] = { "messages", "message", MESSAGES_MAX, false },
	[IN_PATTERNS] = { "patterns", "pattern", PATTERNS_MAX, false },
	[IN_LISTS] = { "lists", "list", LISTS_MAX, false },
	[IN_THRESHOLDS] = { "thresholds", "threshold", 0, false },
};

static void section_push(struct build *b, struct section *section, struct node *key)
{
	if (section->count == section->room) {
		uint32_t room = section->room ? section->room * 2 : 32;
		struct entry *entries = build_scratch_array(b, struct entry, room);
		if (section->count)
			memcpy(entries, section->entries, section->count * sizeof *entries);
		section->entries = entries;
		section->room = room;
	}
	section->entries[section->count++] = (struct entry){ .name = build_copy(b, key->text, key->bytes),
							     .key = key,
							     .value = key->value };
}

static void section_add(struct build *b, enum section_kind kind, const struct node *map)
{
	if (map->kind != NODE_MAP)
		return; /* the check of the file's keys has said so */
	for (struct node *key = map->first; key; key = key->next)
		section_push(b, &b->sections[kind], key);
}

static void fraud_add(struct build *b, const struct node *at, const struct node *fraud)
{
	struct node *part;

	map_check(b, at, fraud, MAP_FRAUD);
	if ((part = yaml_get(fraud, "thresholds"))) {
		map_check_keys(b, part, MAP_THRESHOLDS);
		section_add(b, IN_THRESHOLDS, part);
	}
	if ((part = yaml_get(fraud, "rules")))
		section_add(b, IN_FRAUD_RULES, part);
}

static void file_add(struct build *b, const struct yaml_file *file)
{
	const struct node *root = file->root;

	if (!root || (root->kind == NODE_SCALAR && root->bytes == 0))
		return;
	if (!map_check(b, root, root, MAP_FILE) && root->kind != NODE_MAP)
		return;
	for (const struct node *key = root->first; key; key = key->next) {
		if (strcmp(key->text, "fraud") == 0 && key->value->kind == NODE_MAP)
			fraud_add(b, key, key->value);
		if (strcmp(key->text, "bank") == 0 && key->value->kind == NODE_MAP)
			map_check_keys(b, key->value, MAP_BANK);
		for (int kind = 0; kind < SECTION_KINDS; kind++)
			if (kind != IN_FRAUD_RULES && kind != IN_THRESHOLDS &&
			    strcmp(key->text, sections[kind].key) == 0)
				section_add(b, kind, key->value);
	}
}

struct named {
	const struct entry *entry;
	enum section_kind kind;
	uint32_t order;
};

static int compare(const void *left, const void *right)
{
	const struct named *a = left, *b = right;
	int order = strcmp(a->entry->name, b->entry->name);

	return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

static bool list_has(const struct node *list, const char *text)
{
	for (const struct node *n = list->first; n; n = n->next)
		if (n->kind == NODE_SCALAR && strcmp(n->text, text) == 0)
			return true;
	return false;
}

/* Parts that are checked together may name the same set of types: a group means the same twice. */
static bool groups_equal(const struct named *a, const struct named *b)
{
	const struct node *left = a->entry->value, *right = b->entry->value;

	if (a->kind != IN_GROUPS || left->kind != NODE_LIST || right->kind != NODE_LIST ||
	    left->count != right->count)
		return false;
	for (const struct node *n = left->first; n; n = n->next)
		if (n->kind != NODE_SCALAR || !list_has(right, n->text))
			return false;
	return true;
}

/* Says where a name came first; `drop` marks the later ones. */
static void find_repeats(struct build *b, const struct named *sorted, uint32_t n, bool *drop)
{
	const struct named *first = sorted;

	for (uint32_t i = 1; i < n; i++) {
		if (strcmp(first->entry->name, sorted[i].entry->name) != 0) {
			first = &sorted[i];
			continue;
		}
		drop[sorted[i].order] = true;
		/* in one file and one map the parser has said it */
		if ((first->entry->key->file != sorted[i].entry->key->file ||
		     first->kind != sorted[i].kind) &&
		    !groups_equal(first, &sorted[i]))
			build_problem(b, sorted[i].entry->key,
				      "found the %s '%.64s' a second time; the %s of this name is at %s:%u",
				      sections[sorted[i].kind].what, sorted[i].entry->name,
				      sections[first->kind].what, first->entry->key->file->display,
				      first->entry->key->line);
	}
}

/* Checks names across the given sections and takes repeats out. */
static void check_repeats(struct build *b, const enum section_kind *kinds, size_t kind_count)
{
	struct named *all;
	uint32_t n = 0, order = 0;
	bool *drop;

	for (size_t k = 0; k < kind_count; k++)
		n += b->sections[kinds[k]].count;
	if (n == 0)
		return;
	all = build_scratch_array(b, struct named, n);
	drop = build_scratch_array(b, bool, n);
	for (size_t k = 0; k < kind_count; k++)
		for (uint32_t i = 0; i < b->sections[kinds[k]].count; i++, order++)
			all[order] = (struct named){ &b->sections[kinds[k]].entries[i], kinds[k], order };
	qsort(all, n, sizeof *all, compare);
	find_repeats(b, all, n, drop);
	order = 0;
	for (size_t k = 0; k < kind_count; k++) {
		struct section *s = &b->sections[kinds[k]];
		uint32_t kept = 0, count = s->count;
		for (uint32_t i = 0; i < count; i++, order++)
			if (!drop[order])
				s->entries[kept++] = s->entries[i];
		s->count = kept;
	}
}

static void check_count(struct build *b, struct section *s, uint32_t count, uint32_t max, const char *what)
{
	if (max == 0 || count <= max)
		return;
	build_problem(b, s->entries[s->count - 1].key, "the catalogue has %u %ss, the limit is %u", count,
		      what, max);
	b->incomplete = true;
	s->count = 0;
}

void entries_collect(struct build *b)
{
	static const enum section_kind rules[] = { IN_FRAUD_RULES, IN_CRITICAL, IN_SUBSCRIPTIONS };
	uint32_t rule_count = 0;

	for (uint32_t i = 0; i < b->file_count; i++)
		file_add(b, &b->files[i]);
	check_repeats(b, rules, ARRAY_LEN(rules));
	for (int kind = 0; kind < SECTION_KINDS; kind++) {
		enum section_kind one = (enum section_kind)kind;
		if (kind != IN_FRAUD_RULES && kind != IN_CRITICAL && kind != IN_SUBSCRIPTIONS)
			check_repeats(b, &one, 1);
		check_count(b, &b->sections[kind], b->sections[kind].count, sections[kind].max,
			    sections[kind].what);
		for (uint32_t i = 0; i < b->sections[kind].count; i++)
			if (sections[kind].max)
				name_check(b, b->sections[kind].entries[i].key, sections[kind].dots,
					   sections[kind].what);
	}
	for (size_t k = 0; k < ARRAY_LEN(rules); k++)
		rule_count += b->sections[rules[k]].count;
	for (size_t k = 0; rule_count > RULES_MAX && k < ARRAY_LEN(rules); k++)
		if (b->sections[rules[k]].count)
			check_count(b, &b->sections[rules[k]], rule_count, RULES_MAX, "rule");
}
