// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_vectors.c: the conformance vectors of the CEL project, the .ndjson files of ../shared/cel when it is
 * there.
 *
 * One JSON object a line: expr, perhaps bind, and value or error. A vector passes with the value that it
 * wants, or with any error (at compilation or evaluation) where it wants one. It is skipped, with the
 * reason counted, when the compiler answers that a construct is "not built yet", when a time lies outside
 * of what int64 nanoseconds hold, and when a bound value is no scalar. Anything else is a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cel/cel.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINDS_MAX = 8, REASONS_COUNT_MAX = 64, FILES_MAX = 64 };

struct binding {
	const char *name;
	struct value value;
};

struct vectors {
	struct binding bind[BINDS_MAX];
	size_t binds;
	unsigned passed, failed, skipped;
	char reason[REASONS_COUNT_MAX][128]; /* a construct, or what no int64 time or scalar can hold */
	unsigned reason_count[REASONS_COUNT_MAX], reasons;
};

static bool resolve(void *ctx, const char *name, size_t len, struct cel_symbol *out, char *why,
		    size_t why_bytes)
{
	const struct vectors *v = ctx;

	for (size_t i = 0; i < v->binds; i++)
		if (strlen(v->bind[i].name) == len && memcmp(v->bind[i].name, name, len) == 0) {
			*out = (struct cel_symbol){
				SPACE_BIND, (uint16_t)i, v->bind[i].value.type, UNIT_NONE, { 0 }
			};
			return true;
		}
	snprintf(why, why_bytes, "a variable of the vector");
	return false;
}

/* {"int": "5"} to a value; false when it is no scalar. */
static bool value_read(json_t *object, struct value *out)
{
	json_t *item;

	if ((item = json_object_get(object, "int"))) {
		*out = (struct value){ .type = TYPE_INT, .i = strtoll(json_string_value(item), NULL, 10) };
	} else if ((item = json_object_get(object, "double"))) {
		*out = (struct value){ .type = TYPE_DOUBLE, .d = strtod(json_string_value(item), NULL) };
	} else if ((item = json_object_get(object, "bool"))) {
		*out = (struct value){ .type = TYPE_BOOL, .i = json_is_true(item) };
	} else if ((item = json_object_get(object, "string"))) {
		*out = (struct value){ .type = TYPE_STRING,
				       .bytes = (uint32_t)json_string_length(item),
				       .s = json_string_value(item) };
	} else {
		return false;
	}
	return true;
}

static bool value_same(const struct value *a, const struct value *b)
{
	if (a->type != b->type || a->status != VALUE_OK)
		return false;
	if (a->type == TYPE_STRING)
		return a->bytes == b->bytes && memcmp(a->s, b->s, a->bytes) == 0;
	if (a->type == TYPE_DOUBLE)
		return (isnan(a->d) && isnan(b->d)) || (a->d == b->d && signbit(a->d) == signbit(b->d));
	return a->i == b->i;
}

static void vector_skip(struct vectors *v, const char *reason)
{
	unsigned i = 0;

	while (i < v->reasons && strcmp(v->reason[i], reason) != 0)
		i++;
	assert_true(i < REASONS_COUNT_MAX);
	if (i == v->reasons)
		snprintf(v->reason[v->reasons++], sizeof v->reason[0], "%s", reason);
	v->reason_count[i]++;
	v->skipped++;
}

static bool bind_read(struct vectors *v, json_t *bind)
{
	const char *name;
	json_t *value;

	v->binds = 0;
	json_object_foreach(bind, name, value)
	{
		assert_true(v->binds < BINDS_MAX);
		v->bind[v->binds].name = name;
		if (!value_read(value, &v->bind[v->binds].value))
			return false;
		v->binds++;
	}
	return true;
}

/* The reason for which the compiler may refuse a good vector today, or NULL. */
static const char *skip_reason(const struct cel_error *e, bool wants_error)
{
	const char *reason = strstr(e->expected, "not built yet: ");

	if (reason)
		return reason + strlen("not built yet: ");
	if (!wants_error && strstr(e->expected, "1677"))
		return "a time outside of 1677 to 2262";
	return NULL;
}

static void vector_fail(struct vectors *v, json_t *vector, const char *why, const char *detail)
{
	print_error("%s: %s: %s %s\n", json_string_value(json_object_get(vector, "name")),
		    json_string_value(json_object_get(vector, "expr")), why, detail);
	v->failed++;
}

static void vector_run(struct vectors *v, json_t *vector)
{
	json_t *expr = json_object_get(vector, "expr");
	bool wants_error = json_is_true(json_object_get(vector, "error"));
	struct cel_scope scope = { .resolve = resolve, .ctx = v };
	struct cel_program program;
	struct cel_error error;
	struct arena arena;
	struct value want = { 0 }, binds[BINDS_MAX];
	char scratch[4096];

	if (!bind_read(v, json_object_get(vector, "bind"))) {
		vector_skip(v, "a bound value that is no scalar");
		return;
	}
	arena_init(&arena);
	int rc = cel_compile(json_string_value(expr), json_string_length(expr), &scope, TYPE_NONE, &arena,
			     &program, &error);
	if (rc != 0) {
		const char *reason = skip_reason(&error, wants_error);
		if (reason)
			vector_skip(v, reason);
		else if (wants_error)
			v->passed++;
		else
			vector_fail(v, vector, "refused:", error.expected);
		arena_deinit(&arena);
		return;
	}
	for (size_t i = 0; i < v->binds; i++)
		binds[i] = v->bind[i].value;
	struct cel_env env = { .space[SPACE_BIND] = binds,
			       .scratch = scratch,
			       .scratch_bytes = sizeof scratch };
	struct value got = cel_eval(&program, &env);
	if (wants_error ? got.status == VALUE_ERROR
			: value_read(json_object_get(vector, "value"), &want) && value_same(&got, &want))
		v->passed++;
	else
		vector_fail(v, vector, "wrong answer", cel_type_name(got.type));
	arena_deinit(&arena);
}

static void file_run(struct vectors *v, const char *path)
{
	char line[65536];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		json_error_t e;
		json_t *vector = json_loads(line, JSON_ALLOW_NUL, &e);
		if (!vector)
			fail_msg("%s: %s", path, e.text);
		vector_run(v, vector);
		json_decref(vector);
	}
	fclose(f);
}

static int is_ndjson(const struct dirent *entry)
{
	return strstr(entry->d_name, ".ndjson") != NULL;
}

static void vectors_of_the_cel_project_give_their_answers(void **state)
{
	static struct vectors v;
	const char *dir = getenv("CEL_VECTORS") ? getenv("CEL_VECTORS") : "../shared/cel";
	struct dirent **files;
	int count = scandir(dir, &files, is_ndjson, alphasort);

	(void)state;
	if (count < 0) {
		print_message("skipped: no %s\n", dir);
		skip();
	}
	assert_true(count > 0 && count <= FILES_MAX);
	for (int i = 0; i < count; i++) {
		char path[1024];
		snprintf(path, sizeof path, "%s/%s", dir, files[i]->d_name);
		file_run(&v, path);
		free(files[i]);
	}
	free(files);
	print_message("cel vectors: %u passed, %u failed, %u skipped\n", v.passed, v.failed, v.skipped);
	for (unsigned i = 0; i < v.reasons; i++)
		print_message("  skipped %u, not built yet: %s\n", v.reason_count[i], v.reason[i]);
	assert_int_equal(v.failed, 0);
	assert_true(v.passed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(vectors_of_the_cel_project_give_their_answers) };

	return cmocka_run_group_tests_name("cel_vectors", tests, NULL, NULL);
}
