/*
 * channels.c: the section `channels`, and of `messages` the names and languages (texts.c has the words).
 *
 * Entries in; cat_channel, cat_message and the list of languages out, sorted by tag: every language that a
 * message has, and the bank's. A language falls back to its parent in the list (es-CO to es), then to
 * the bank's.
 */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

void channels_compile(struct build *b)
{
	struct catalogue *c = b->c;
	struct section *section = &b->sections[IN_CHANNELS];
	struct cat_channel *channels = build_array(b, struct cat_channel, section->count + 1);

	c->channel_count = (uint16_t)section->count;
	c->channels = channels;
	names_build(b, &b->channels, section);
	for (uint32_t i = 0; i < section->count; i++) {
		const struct entry *entry = &section->entries[i];
		const struct node *n;
		int64_t max = 0;
		channels[i].name = entry->name;
		map_check(b, entry->key, entry->value, MAP_CHANNEL);
		if ((n = yaml_get(entry->value, "max")) && n->kind == NODE_SCALAR && n->bytes &&
		    scalar_int(b, n, 1, TEXT_BYTES_MAX, &max))
			channels[i].text_max = (uint32_t)max;
	}
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}
static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* "es", "es-CO", "zh-Hant", "es-419": language, script, region of BCP 47. */
static bool is_language(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

	if (n < 2 || n > 3)
		return false;
	s += n;
	if (s[0] == '-' && is_upper(s[1]) && is_lower(s[2]) && is_lower(s[3]) && is_lower(s[4]))
		s += 5;
	if (s[0] == '-' && is_upper(s[1]) && is_upper(s[2]) && !s[3])
		return true;
	if (s[0] == '-' && strspn(s + 1, "0123456789") == 3 && !s[4])
		return true;
	return !*s;
}

static int compare_tags(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The bank's language from its section; "en" when it says none. */
static const char *bank_language(struct build *b)
{
	struct section *bank = &b->sections[IN_BANK];

	for (uint32_t i = 0; i < bank->count; i++) {
		const struct node *n = bank->entries[i].value;
		if (strcmp(bank->entries[i].name, "language") != 0 || n->kind != NODE_SCALAR || !n->bytes)
			continue;
		if (is_language(n->text))
			return n->text;
		build_problem(b, n, "found '%.40s', expected a language such as en, es or es-CO", n->text);
	}
	return "en";
}

static void language_key(struct build *b, const struct node *key)
{
	static const char *const later[] = { "discreet", "variants", "subject", "actions" };

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (strcmp(key->text, later[i]) == 0) {
			build_problem(b, key, "not yet: '%s' in a message is not built", key->text);
			return;
		}
	build_problem(b, key, "unknown key '%.40s' in a message, expected a language such as en, es or es-CO",
		      key->text);
}

/* All tags with repeats, then once each. */
static uint32_t collect_tags(struct build *b, const char **tags, uint32_t n)
{
	struct section *section = &b->sections[IN_MESSAGES];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < section->count; i++)
		for (const struct node *key = section->entries[i].value->first;
		     section->entries[i].value->kind == NODE_MAP && key; key = key->next) {
			if (is_language(key->text))
				tags[n++] = key->text;
			else
				language_key(b, key);
		}
	qsort(tags, n, sizeof *tags, compare_tags);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(tags[kept - 1], tags[i]) != 0)
			tags[kept++] = tags[i];
	return kept;
}

static int parent_find(const struct build *b, const char *tag)
{
	char parent[32];
	char *dash;

	snprintf(parent, sizeof parent, "%s", tag);
	while ((dash = strrchr(parent, '-'))) {
		*dash = 0;
		int64_t i = names_find(&b->languages, parent);
		if (i >= 0)
			return (int)i;
	}
	return -1;
}

static void languages_make(struct build *b)
{
	struct section *section = &b->sections[IN_MESSAGES];
	struct catalogue *c = b->c;
	const char *bank = bank_language(b), **tags;
	uint32_t room = 1, n;

	for (uint32_t i = 0; i < section->count; i++)
		room += section->entries[i].value->kind == NODE_MAP ? section->entries[i].value->count : 0;
	tags = build_scratch_array(b, const char *, room);
	tags[0] = bank;
	n = collect_tags(b, tags, 1);
	if (n > LANGUAGES_MAX) {
		build_problem(b, section->entries[0].key, "the catalogue has %u languages, the limit is %d",
			      n, LANGUAGES_MAX);
		tags[0] = bank;
		n = 1;
		b->incomplete = true;
	}
	b->language = build_array(b, struct cat_language, n);
	names_build_list(b, &b->languages, tags, n);
	c->languages = b->language;
	c->language_count = (uint16_t)n;
	for (uint32_t i = 0; i < n; i++) {
		b->language[i].tag = build_copy(b, tags[i], strlen(tags[i]));
		b->language[i].fallback = (int16_t)parent_find(b, tags[i]);
		if (strcmp(tags[i], bank) == 0)
			c->language = (uint16_t)i;
	}
}

void messages_compile(struct build *b)
{
	struct catalogue *c = b->c;
	struct section *section = &b->sections[IN_MESSAGES];
	char found[300];

	languages_make(b);
	c->message_count = (uint16_t)section->count;
	b->message = build_array(b, struct cat_message, section->count + 1);
	b->message_rules = build_scratch_array(b, int32_t, section->count + 1);
	b->message_reads = build_scratch_array(b, uint64_t, section->count + 1);
	c->messages = b->message;
	names_build(b, &b->messages, section);
	for (uint32_t i = 0; i < section->count; i++) {
		const struct entry *entry = &section->entries[i];
		b->message[i].name = entry->name;
		b->message[i].text = build_array(b, struct cat_text, c->language_count);
		b->message_rules[i] = -1;
		if (entry->value->kind != NODE_MAP)
			build_problem(b, entry->value,
				      "found %s, expected a text per language: { en: \"..\", es: \"..\" }",
				      node_found(entry->value, found, sizeof found));
		else if (!b->incomplete && !yaml_get(entry->value, c->languages[c->language].tag))
			build_problem(b, entry->key,
				      "the message '%s' has no text in '%s', the bank's language",
				      entry->name, c->languages[c->language].tag);
	}
}
