// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * fuzz_cel.c: any bytes as an expression: compiled or refused with a position inside of the text, and what
 * compiles is evaluated twice over inputs taken from the bytes, with the same result.
 *
 * With libFuzzer LLVMFuzzerTestOneInput is the target; without it, main replays the files that it is given.
 * The first byte says of which inputs there is no data.
 */
#include <assert.h>
#include <cel/cel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIABLES = 8 };

/* a bool, i int, d double, s string, t timestamp, u duration, m money; e, the event's amount */
static const char names[VARIABLES + 1] = "aidstume";
static const enum value_type types[VARIABLES] = { TYPE_BOOL,	  TYPE_INT,	 TYPE_DOUBLE, TYPE_STRING,
						  TYPE_TIMESTAMP, TYPE_DURATION, TYPE_MONEY,  TYPE_INT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool resolve(void *ctx, const char *name, size_t len, struct cel_symbol *out, char *why,
		    size_t why_bytes)
{
	const char *at = len == 1 ? memchr(names, name[0], VARIABLES) : NULL;

	(void)ctx;
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
	char scratch[2][512];
	struct value bind[VARIABLES], result[2];
	struct cel_load loads[VARIABLES];

	inputs_make(bind, missing, text, bytes);
	for (int i = 0; i < 2; i++) {
		struct cel_env env = { .space[SPACE_BIND] = bind,
				       .rates = &rates,
				       .currency = 978,
				       .scratch = scratch[i],
				       .scratch_bytes = sizeof scratch[i] };
		result[i] = cel_eval(program, &env);
	}
	assert(same(&result[0], &result[1]));
	assert(cel_loads(program, loads, VARIABLES) <= VARIABLES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cel_scope scope = { .resolve = resolve };
	struct cel_program program;
	struct cel_error error;
	struct arena arena;

	if (size == 0)
		return 0;
	const char *text = (const char *)data + 1;
	size_t len = size - 1;
	arena_init(&arena);
	if (cel_compile(text, len, &scope, TYPE_NONE, &arena, &program, &error) == 0)
		program_run(&program, data[0], text, (uint32_t)len);
	else
		assert(error.offset <= len && error.line >= 1 && error.column >= 1 && error.found[0] &&
		       error.expected[0]);
	arena_deinit(&arena);
	return 0;
}
