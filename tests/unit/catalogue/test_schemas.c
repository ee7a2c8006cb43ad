// needs: user/catalogue/keys.c
/*
 * test_schemas.c: schemas/catalogue has exactly the keys that the compiler accepts, map by map, and asks
 * for exactly those that it asks for. What is "not yet" is in no schema.
 */
#include <catalogue/keys.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *load(const char *section)
{
	char path[128];
	json_error_t error;
	json_t *schema;

	snprintf(path, sizeof path, "schemas/catalogue/%s.schema.json", section);
	schema = json_load_file(path, 0, &error);
	if (!schema)
		fail_msg("%s:%d: %s (run from the top of the tree)", path, error.line, error.text);
	return schema;
}

/* One step of a path: a key of `properties`, * for what any name is, [] for an item of a list. */
static json_t *step(json_t *schema, const char *name)
{
	json_t *inner;

	if (strcmp(name, "[]") == 0)
		return json_object_get(schema, "items");
	if (strcmp(name, "*") != 0)
		return json_object_get(json_object_get(schema, "properties"), name);
	inner = json_object_get(schema, "patternProperties");
	return json_object_iter_value(json_object_iter(inner));
}

/* "subscriptions.*.params.*": the file, then the steps. "" is the file of all sections. */
static json_t *find(const struct map_spec *spec, json_t **file)
{
	char path[128], *rest = path, *name;
	json_t *schema;

	snprintf(path, sizeof path, "%s", spec->path[0] ? spec->path : "catalogue");
	name = strsep(&rest, ".");
	schema = *file = load(name);
	while (schema && (name = strsep(&rest, ".")))
		schema = step(schema, name);
	if (!schema)
		fail_msg("no schema for %s", spec->path);
	return schema;
}

static bool required_has(json_t *schema, const char *name)
{
	json_t *list = json_object_get(schema, "required");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), name) == 0)
			return true;
	return false;
}

static void check_map(const struct map_spec *spec)
{
	json_t *file, *schema = find(spec, &file), *properties = json_object_get(schema, "properties");
	size_t accepted = 0, required = 0;

	for (size_t i = 0; i < spec->count; i++) {
		const struct key_spec *k = &spec->keys[i];
		bool known = json_object_get(properties, k->name) != NULL;
		if (known != (k->state != KEY_NOT_YET))
			fail_msg("%s.%s: %s the schema", spec->path, k->name,
				 known ? "not built, but in" : "accepted, but not in");
		if (required_has(schema, k->name) != (k->state == KEY_REQUIRED))
			fail_msg("%s.%s: required in one of table and schema only", spec->path, k->name);
		accepted += known;
		required += k->state == KEY_REQUIRED;
	}
	assert_int_equal(json_object_size(properties), accepted);
	assert_int_equal(json_array_size(json_object_get(schema, "required")), required);
	assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	json_decref(file);
}

static void schemas_have_exactly_the_keys_of_the_compiler(void **state)
{
	(void)state;
	for (int kind = 0; kind < MAP_KINDS; kind++)
		check_map(&map_specs[kind]);
}

static void schemas_name_their_draft_and_describe_each_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < map_specs[MAP_FILE].count; i++) {
		const struct key_spec *k = &map_specs[MAP_FILE].keys[i];
		json_t *schema;
		if (k->state == KEY_NOT_YET)
			continue;
		schema = load(k->name);
		assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
				    "https://json-schema.org/draft/2020-12/schema");
		assert_non_null(json_object_get(schema, "description"));
		json_decref(schema);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schemas_have_exactly_the_keys_of_the_compiler),
		cmocka_unit_test(schemas_name_their_draft_and_describe_each_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
