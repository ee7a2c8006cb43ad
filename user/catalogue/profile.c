/*
 * profile.c: the section `profile`: attributes of a customer, their types and defaults.
 *
 * Entries in, cat_attribute out, numbered in order of file and place. An attribute with a wrong type
 * keeps its name, so that expressions that read it give no problem of their own. `language`, `zone` and
 * `party` mean something to the engine, so their types are fixed.
 */
#include "compile.h"

#include <string.h>

static const enum value_type attribute_types[] = { TYPE_BOOL,	   TYPE_INT,	  TYPE_DOUBLE, TYPE_STRING,
						   TYPE_TIMESTAMP, TYPE_DURATION, TYPE_MONEY };

static void attribute_compile(struct build *b, uint32_t number)
{
	const struct entry *entry = &b->sections[IN_PROFILE].entries[number];
	struct cat_attribute *a = &b->attribute[number];
	const struct node *n;
	int type = -1;

	a->name = entry->name;
	map_check(b, entry->key, entry->value, MAP_ATTRIBUTE);
	if ((n = yaml_get(entry->value, "type")) && n->kind == NODE_SCALAR && n->bytes)
		type = scalar_type(b, n, attribute_types, ARRAY_LEN(attribute_types));
	if (type < 0) {
		b->attribute_broken[number] = true;
		return;
	}
	a->type = (enum value_type)type;
	a->initial = (struct value){ .type = (uint8_t)type, .status = VALUE_NO_DATA };
	if ((n = yaml_get(entry->value, "default")) && n->kind == NODE_SCALAR)
		scalar_value(b, n, a->type, &a->initial);
	if (strcmp(a->name, "language") == 0) {
		b->c->attribute_language = (int16_t)number;
		if (a->type != TYPE_STRING)
			build_problem(b, entry->key, "found the attribute 'language' as %s, expected string",
				      cel_type_name(a->type));
	}
	if (strcmp(a->name, "zone") == 0) {
		b->c->attribute_zone = (int16_t)number;
		if (a->type != TYPE_STRING)
			build_problem(b, entry->key, "found the attribute 'zone' as %s, expected string",
				      cel_type_name(a->type));
	}
	if (strcmp(a->name, "party") == 0 && a->type != TYPE_INT)
		build_problem(b, entry->key, "found the attribute 'party' as %s, expected int",
			      cel_type_name(a->type));
}

void profile_compile(struct build *b)
{
	struct catalogue *c = b->c;

	c->attribute_count = (uint16_t)b->sections[IN_PROFILE].count;
	c->attribute_language = c->attribute_zone = -1;
	b->attribute = build_array(b, struct cat_attribute, c->attribute_count + 1);
	b->attribute_broken = build_scratch_array(b, bool, c->attribute_count + 1);
	c->attributes = b->attribute;
	names_build(b, &b->attributes, &b->sections[IN_PROFILE]);
	for (uint32_t i = 0; i < c->attribute_count; i++)
		attribute_compile(b, i);
}
