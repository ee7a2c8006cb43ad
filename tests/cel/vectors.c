/*
 * vectors.c: runs conformance vectors through the language with types at evaluation (cel_scope.dynamic).
 *
 * In: a directory. Out: counts, and a line for each vector that does not give its value. A vector that wants
 * an error passes with any, of compilation or of evaluation; one that cannot be read is a failure.
 */
#include "vectors.h"

#include <cel/cel.h>
#include <cel/convert.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINDS_MAX = 32, SCRATCH_BYTES = 1 << 20 };

struct vector {
	const char *file, *name;
	const char *bound[BINDS_MAX];
	struct value bind[BINDS_MAX];
	size_t binds;
	struct arena arena;
	struct vectors_count *count;
	struct zones *zones;
};

static bool resolve(void *ctx, const char *name, size_t len, struct cel_symbol *out, char *why,
		    size_t why_bytes)
{
	const struct vector *v = ctx;

	for (size_t i = 0; i < v->binds; i++)
		if (strlen(v->bound[i]) == len && memcmp(v->bound[i], name, len) == 0) {
			*out = (struct cel_symbol){
				SPACE_BIND, (uint16_t)i, (enum value_type)v->bind[i].type, UNIT_NONE, { 0 }
			};
			return true;
		}
	snprintf(why, why_bytes, "a variable of the vector");
	return false;
}

static const struct zone *zone_find(void *ctx, const char *name, size_t len)
{
	return zones_find(((const struct vector *)ctx)->zones, name, len);
}

static bool value_read(struct vector *v, json_t *object, struct value *out);

static bool list_read(struct vector *v, json_t *array, struct value *out)
{
	size_t count = json_array_size(array);
	struct value *values = arena_array(&v->arena, struct value, count + 1);

	if (!json_is_array(array) || !values)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!value_read(v, json_array_get(array, i), &values[i]))
			return false;
	*out = (struct value){ .type = TYPE_LIST, .bytes = (uint32_t)count, .list = values };
	return true;
}

static bool int_read(json_t *item, int64_t *out)
{
	if (json_is_string(item))
		return cel_int_parse(json_string_value(item), json_string_length(item), out) ==
		       VALUE_ERROR_NONE;
	*out = json_integer_value(item);
	return json_is_integer(item);
}

static bool double_read(json_t *item, double *out)
{
	*out = json_is_string(item) ? strtod(json_string_value(item), NULL) : json_number_value(item);
	return json_is_string(item) || json_is_number(item);
}

static bool text_read(json_t *item, struct value *out)
{
	const char *s = json_string_value(item);
	size_t len = json_string_length(item);

	if (!s)
		return false;
	if (out->type == TYPE_TIMESTAMP)
		return cel_time_parse_wide(s, len, &out->i, &out->bytes) == VALUE_ERROR_NONE;
	if (out->type == TYPE_DURATION)
		return cel_duration_parse(s, len, &out->i) == VALUE_ERROR_NONE;
	out->bytes = (uint32_t)len;
	out->s = s;
	return true;
}

static bool value_read(struct vector *v, json_t *object, struct value *out)
{
	static const struct {
		const char *name;
		enum value_type type;
	} types[] = {
		{ "int", TYPE_INT },	   { "double", TYPE_DOUBLE },	    { "bool", TYPE_BOOL },
		{ "string", TYPE_STRING }, { "timestamp", TYPE_TIMESTAMP }, { "duration", TYPE_DURATION },
		{ "list", TYPE_LIST }
	};
	json_t *item = NULL;
	size_t at = 0;

	for (; at < sizeof types / sizeof types[0] && !item; at++)
		item = json_object_get(object, types[at].name);
	if (!item)
		return false;
	*out = (struct value){ .type = (uint8_t)types[at - 1].type };
	switch (types[at - 1].type) {
	case TYPE_INT:
		return int_read(item, &out->i);
	case TYPE_DOUBLE:
		return double_read(item, &out->d);
	case TYPE_BOOL:
		out->i = json_is_true(item);
		return json_is_boolean(item);
	case TYPE_LIST:
		return list_read(v, item, out);
	default:
		return text_read(item, out);
	}
}

static bool value_same(const struct value *a, const struct value *b)
{
	if (a->type != b->type || a->status != VALUE_OK)
		return false;
	if (a->type == TYPE_DOUBLE)
		return (isnan(a->d) && isnan(b->d)) || (a->d == b->d && signbit(a->d) == signbit(b->d));
	if (a->type != TYPE_STRING && a->type != TYPE_LIST)
		return a->i == b->i && (a->type != TYPE_TIMESTAMP || a->bytes == b->bytes);
	if (a->bytes != b->bytes)
		return false;
	if (a->type == TYPE_STRING)
		return a->bytes == 0 || memcmp(a->s, b->s, a->bytes) == 0;
	for (uint32_t i = 0; i < a->bytes; i++)
		if (!value_same(&a->list[i], &b->list[i]))
			return false;
	return true;
}

static void value_print(const struct value *v, char *out, size_t room)
{
	char text[CONVERT_BYTES_MAX + 1] = "";

	if (v->status != VALUE_OK) {
		snprintf(out, room, "error: %s", cel_error_name((enum value_error)v->bytes));
		return;
	}
	if (v->type == TYPE_DOUBLE)
		text[cel_double_print(v->d, text)] = '\0';
	else if (v->type != TYPE_STRING && v->type != TYPE_LIST)
		text[cel_int_print(v->i, text)] = '\0';
	if (v->type == TYPE_STRING)
		snprintf(out, room, "string '%.*s'", (int)(v->bytes < 200 ? v->bytes : 200), v->s);
	else if (v->type == TYPE_LIST)
		snprintf(out, room, "a list of %u", v->bytes);
	else
		snprintf(out, room, "%s %s", cel_type_name((enum value_type)v->type), text);
}

static void vector_end(struct vector *v, bool passed, const char *detail)
{
	if (passed) {
		v->count->passed++;
		return;
	}
	v->count->failed++;
	printf("FAILED %s: %s: %s\n", v->file, v->name ? v->name : "no name", detail);
}

static void expression_run(struct vector *v, json_t *expr, bool wants_error, const struct value *want)
{
	const struct cel_scope scope = { .resolve = resolve, .ctx = v, .zone = zone_find, .dynamic = true };
	struct cel_program program;
	struct cel_error error;
	char *scratch = arena_take(&v->arena, SCRATCH_BYTES), detail[512];

	if (cel_compile(json_string_value(expr), json_string_length(expr), &scope, TYPE_NONE, &v->arena,
			&program, &error) != 0) {
		snprintf(detail, sizeof detail, "refused at %u:%u: found %s, expected %s", error.line,
			 error.column, error.found, error.expected);
		vector_end(v, wants_error, detail);
		return;
	}
	struct cel_env env = { .space[SPACE_BIND] = v->bind,
			       .scratch = scratch,
			       .scratch_bytes = scratch ? SCRATCH_BYTES : 0 };
	struct value got = cel_eval(&program, &env);
	value_print(&got, detail, sizeof detail);
	vector_end(v, wants_error ? got.status == VALUE_ERROR : value_same(&got, want), detail);
}

static bool binds_read(struct vector *v, json_t *bind)
{
	const char *name;
	json_t *value;

	json_object_foreach(bind, name, value)
	{
		if (v->binds == BINDS_MAX || !value_read(v, value, &v->bind[v->binds]))
			return false;
		v->bound[v->binds++] = name;
	}
	return true;
}

static void vector_run(struct vector *v, json_t *vector)
{
	json_t *expr = json_object_get(vector, "expr"), *value = json_object_get(vector, "value");
	bool wants_error = json_is_true(json_object_get(vector, "error"));
	struct value want = { 0 };

	v->name = json_string_value(json_object_get(vector, "name"));
	if (!json_is_string(expr) || wants_error == (value != NULL))
		vector_end(v, false, "expected expr, and either value or error");
	else if (!binds_read(v, json_object_get(vector, "bind")))
		vector_end(v, false, "a bound value that is not of the types here");
	else if (value && !value_read(v, value, &want))
		vector_end(v, false, "a value that is not of the types here");
	else
		expression_run(v, expr, wants_error, &want);
}

static void line_run(const char *file, const char *line, struct zones *zones, struct vectors_count *count)
{
	struct vector v = { .file = file, .count = count, .zones = zones };
	json_error_t e;
	json_t *vector = json_loads(line, JSON_ALLOW_NUL, &e);

	arena_init(&v.arena);
	if (vector)
		vector_run(&v, vector);
	else
		vector_end(&v, false, e.text);
	json_decref(vector);
	arena_deinit(&v.arena);
}

static int file_run(const char *directory, const char *name, struct zones *zones, struct vectors_count *count)
{
	char path[4096], *line = NULL;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	count->files++;
	while (getline(&line, &room, f) >= 0)
		if (line[strspn(line, " \t\r\n")] != '\0')
			line_run(name, line, zones, count);
	free(line);
	fclose(f);
	return 0;
}

static int is_ndjson(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), ending = strlen(".ndjson");

	return len > ending && strcmp(entry->d_name + len - ending, ".ndjson") == 0;
}

int vectors_run(const char *directory, struct vectors_count *count)
{
	struct zones zones = { NULL };
	struct dirent **files;
	int found = scandir(directory, &files, is_ndjson, alphasort), rc = 0;

	if (found < 0)
		return -errno;
	for (int i = 0; i < found; i++) {
		if (rc == 0)
			rc = file_run(directory, files[i]->d_name, &zones, count);
		free(files[i]);
	}
	free(files);
	zones_free(&zones);
	return rc;
}
