// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * fuzz_cel.c: any bytes as an expression: compiled or refused with a position inside of the text, and what
 * compiles is evaluated twice over inputs taken from the bytes, with the same result.
 *
 * With libFuzzer LLVMFuzzerTestOneInput is the target; without it, main replays the files that it is given.
 * The first byte says of which inputs there is no data. The same text runs a second time with types looked at
 * when it is evaluated, as conformance vectors do.
 */
#include <assert.h>
#include <cel/cel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIABLES = 8 };

/* a bool, i int, d double, s string, t timestamp, u duration, m money; e, the event's amount; l, a list */
static const char names[VARIABLES + 1] = "aidstume";
static const enum value_type types[VARIABLES] = { TYPE_BOOL,	  TYPE_INT,	 TYPE_DOUBLE, TYPE_STRING,
						  TYPE_TIMESTAMP, TYPE_DURATION, TYPE_MONEY,  TYPE_INT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct value codes[] = { { .type = TYPE_INT, .i = -7 },
				      { .type = TYPE_INT, .i = 0 },
				      { .type = TYPE_INT, .i = 978 } };

static const struct zone *zone_find(void *ctx, const char *name, size_t len)
{
	static const int64_t from[] = { INT64_MIN, 0 };
	static const int32_t offset[] = { -3600, 19800 };
	static const struct zone zone = { "Z", 2, from, offset };

	(void)ctx;
	return len == 1 && name[0] == 'Z' ? &zone : NULL;
}

static bool resolve(void *ctx, const char *name, size_t len, struct cel_symbol *out, char *why,
		    size_t why_bytes)
{
	const char *at = len == 1 ? memchr(names, name[0], VARIABLES) : NULL;

	(void)ctx;
	if (len == 1 && name[0] == 'l') {
		*out = (struct cel_symbol){ .space = SPACE_CONSTANT,
					    .type = TYPE_LIST,
					    .constant = { .type = TYPE_LIST, .bytes = 3, .list = codes } };
		return true;
	}
	if (!at) {
		snprintf(why, why_bytes, "one of %s", names);
		return false;
	}
	*out = (struct cel_symbol){ .space = SPACE_BIND,
				    .index = (uint16_t)(at - names),
				    .type = types[at - names],
				    .unit = *at == 'e' ? UNIT_EVENT : UNIT_NONE };
	return true;
}

static void inputs_make(struct value *bind, uint8_t missing, const char *text, uint32_t bytes)
{
	for (unsigned i = 0; i < VARIABLES; i++) {
		bind[i] = (struct value){ .type = (uint8_t)types[i] };
		if (missing & 1u << i)
			bind[i].status = VALUE_NO_DATA;
		else if (types[i] == TYPE_STRING)
			bind[i] = (struct value){ .type = TYPE_STRING, .bytes = bytes, .s = text };
		else if (types[i] == TYPE_DOUBLE)
			bind[i].d = (double)missing / 7.0;
		else
			bind[i].i = types[i] == TYPE_BOOL ? missing & 1
							  : (int64_t)((uint64_t)bytes << (missing % 57));
		if (types[i] == TYPE_MONEY)
			bind[i].currency = 840;
	}
}

static bool same(const struct value *a, const struct value *b)
{
	if (a->type == TYPE_LIST && b->type == TYPE_LIST && a->status == VALUE_OK && b->status == VALUE_OK) {
		for (uint32_t i = 0; a->bytes == b->bytes && i < a->bytes; i++)
			if (!same(&a->list[i], &b->list[i]))
				return false;
		return a->bytes == b->bytes;
	}
	if (a->type != b->type || a->status != b->status)
		return false;
	if (a->type == TYPE_STRING && a->status == VALUE_OK)
		return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->s, b->s, a->bytes) == 0);
	return a->i == b->i && a->bytes == b->bytes;
}

static void program_run(const struct cel_program *program, uint8_t missing, const char *text, uint32_t bytes)
{
	static const struct money_rates rates = {
		.bank = 978, .bank_exponent = 2, .count = 1, .rate = { { 840, 2, 1, 9 } }
	};
	_Alignas(16) char scratch[2][2048];
	struct value bind[VARIABLES], result[2];
	struct cel_load loads[VARIABLES];

	inputs_make(bind, missing, text, bytes);
	for (int i = 0; i < 2; i++) {
		struct cel_env env = { .space[SPACE_BIND] = bind,
				       .rates = &rates,
				       .currency = 978,
				       .zone = zone_find(NULL, "Z", 1),
				       .scratch = scratch[i],
				       .scratch_bytes = sizeof scratch[i] };
		result[i] = cel_eval(program, &env);
	}
	assert(same(&result[0], &result[1]));
	assert(cel_loads(program, loads, VARIABLES) <= VARIABLES);
}

static void text_run(const uint8_t *data, size_t size, bool dynamic)
{
	const struct cel_scope scope = { .resolve = resolve, .zone = zone_find, .dynamic = dynamic };
	const char *text = (const char *)data + 1;
	size_t len = size - 1;
	struct cel_program program;
	struct cel_error error;
	struct arena arena;

	arena_init(&arena);
	if (cel_compile(text, len, &scope, TYPE_NONE, &arena, &program, &error) == 0)
		program_run(&program, dynamic ? 0 : data[0], text, (uint32_t)len);
	else
		assert(error.offset <= len && error.line >= 1 && error.column >= 1 && error.found[0] &&
		       error.expected[0]);
	arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0) {
		text_run(data, size, false);
		text_run(data, size, true);
	}
	return 0;
}
