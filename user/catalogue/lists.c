/*
 * lists.c: the section `lists`: named sets of ints or strings, for `event.mcc in lists.risky`.
 *
 * Entries in, cat_list out: by name, values ascending (strings by bytes), none twice. A list holds one type,
 * that of its first value: a whole number or a constant (country.ES) is an int, all else is a string. What
 * looks like another kind of number must be quoted to be a string. Lists never change but with the catalogue.
 */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

struct item {
	struct value value;
	const struct node *node;
};

static bool is_constant_name(const char *s)
{
	static const char *const prefixes[] = { "country.", "currency.", "touchpoint.", "mcc." };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(s, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static bool looks_like_number(const char *s)
{
	s += *s == '-' || *s == '+';
	return *s >= '0' && *s <= '9';
}

static enum value_type item_type(const struct node *n)
{
	bool plain = n->kind == NODE_SCALAR && n->style == STYLE_PLAIN;

	return plain && (looks_like_number(n->text) || is_constant_name(n->text)) ? TYPE_INT : TYPE_STRING;
}

static bool item_take(struct build *b, const struct node *n, enum value_type type, struct item *out)
{
	char found[300];

	out->node = n;
	if (n->kind == NODE_SCALAR && n->bytes > 0 && item_type(n) == type)
		return scalar_value(b, n, type, &out->value);
	build_problem(b, n, "found %s in a list of %s, expected %s", node_found(n, found, sizeof found),
		      type == TYPE_INT ? "ints" : "strings",
		      type == TYPE_INT ? "a whole number or a constant such as country.ES" : "a text");
	return false;
}

static int compare_values(const struct value *a, const struct value *b)
{
	uint32_t least = a->bytes < b->bytes ? a->bytes : b->bytes;
	int order;

	if (a->type == TYPE_INT)
		return a->i < b->i ? -1 : a->i > b->i;
	order = memcmp(a->s, b->s, least);
	return order ? order : a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

static int compare_items(const void *left, const void *right)
{
	const struct item *a = left, *b = right;
	int order = compare_values(&a->value, &b->value);

	if (order)
		return order;
	return a->node->raw < b->node->raw ? -1 : a->node->raw > b->node->raw;
}

static void check_twice(struct build *b, const struct item *items, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		if (compare_values(&items[i - 1].value, &items[i].value) == 0)
			build_problem(b, items[i].node, "found '%.64s' a second time in the list",
				      items[i].node->text);
}

static bool items_take(struct build *b, const struct node *list, enum value_type type, struct item *items)
{
	bool good = true;
	uint32_t i = 0;

	for (const struct node *n = list->first; n; n = n->next)
		good &= item_take(b, n, type, &items[i++]);
	return good;
}

static void list_compile(struct build *b, const struct entry *entry, struct cat_list *list)
{
	const struct node *n = entry->value;
	struct value *values;
	struct item *items;
	char found[300];

	list->name = entry->name;
	if (n->kind != NODE_LIST || n->count == 0) {
		build_problem(b, n, "found %s, expected a list of values: [5411, 5812]",
			      n->kind == NODE_LIST ? "an empty list" : node_found(n, found, sizeof found));
		return;
	}
	items = build_scratch_array(b, struct item, n->count);
	if (!items_take(b, n, item_type(n->first), items))
		return;
	qsort(items, n->count, sizeof *items, compare_items);
	check_twice(b, items, n->count);
	values = build_array(b, struct value, n->count);
	for (uint32_t i = 0; i < n->count; i++)
		values[i] = items[i].value;
	list->values = values;
	list->count = n->count;
	list->type = item_type(n->first);
}

static bool count_check(struct build *b, const struct section *lists)
{
	uint64_t values = 0;

	for (uint32_t i = 0; i < lists->count; i++)
		if (lists->entries[i].value->kind == NODE_LIST)
			values += lists->entries[i].value->count;
	if (values <= LIST_VALUES_MAX)
		return true;
	build_problem(b, lists->entries[lists->count - 1].key,
		      "the lists have %llu values together, the limit is %d", (unsigned long long)values,
		      LIST_VALUES_MAX);
	return false;
}

void lists_compile(struct build *b)
{
	struct section *lists = &b->sections[IN_LISTS];
	struct catalogue *c = b->c;

	names_build(b, &b->lists, lists);
	c->list_count = (uint16_t)lists->count;
	b->list = build_array(b, struct cat_list, c->list_count + 1);
	c->lists = b->list;
	if (!count_check(b, lists))
		return;
	for (uint32_t i = 0; i < b->lists.count; i++) /* by name */
		list_compile(b, &lists->entries[b->lists.number[i]], &b->list[i]);
}
