/*
 * cel: the Common Expression Language over scalar types, compiled to a flat register program.
 *
 * Text -> tokens -> tree (user/cel/parse.c) -> types and symbols (check.c) -> program (compile.c) ->
 * one value per evaluation (eval.c). Compilation allocates from the caller's arena; evaluation
 * allocates nothing, never fails and takes time linear in the program.
 *
 * Source of the language: github.com/google/cel-spec, doc/langdef.md. Differences, on purpose: a third
 * result "no data" (SEMANTICS 3), money as a type (SEMANTICS 2), static types only (no dyn).
 */
#ifndef CEL_CEL_H
#define CEL_CEL_H

#include <base/arena.h>
#include <moment/money.h>
#include <moment/value.h>
#include <moment/zone.h>
#include <stdbool.h>
#include <stddef.h>

/* Where a symbol's value stands at evaluation: env->space[space][index]. */
enum cel_space {
	SPACE_EVENT,   /* header fields, enum event_field */
	SPACE_BODY,    /* body fields, by number in the catalogue */
	SPACE_PROFILE, /* attributes of the customer whose profile is in scope */
	SPACE_ACCOUNT, /* the account's record */
	SPACE_ME,      /* enum me_field */
	SPACE_AGG,     /* aggregates as of the event */
	SPACE_PARAM,   /* parameters of the subscription */
	SPACE_BIND,    /* variables of a test vector */
	SPACE_COUNT,
	SPACE_CONSTANT, /* the symbol is the constant in cel_symbol.constant */
};

struct cel_symbol {
	enum cel_space space;
	uint16_t index;
	enum value_type type;
	enum value_unit unit;
	struct value constant; /* SPACE_CONSTANT; a string lives as long as the arena */
};

/*
 * What names mean. `resolve` is given a dotted name ("event.amount", "currency.EUR") and says what it
 * is; on false it writes the complete reason, with a suggestion when a name is near, into `why`.
 */
struct cel_scope {
	bool (*resolve)(void *ctx, const char *name, size_t len, struct cel_symbol *out, char *why,
			size_t why_bytes);
	void *ctx;
	const struct money_rates *rates; /* exponent of the bank's currency, for UNIT_BASE against money */
};

struct cel_error {
	uint32_t offset; /* bytes into the expression, at the start of what was found */
	uint32_t line;	 /* 1-based, within the expression */
	uint32_t column; /* 1-based, in characters */
	char found[64];
	char expected[192]; /* "bool" ; "int (int + double: write double(event.amount) + 1.0)" */
};

struct cel_instruction {
	uint8_t op; /* enum cel_op, user/cel/program.h */
	uint8_t flags;
	uint16_t dst, a, b; /* registers */
};

struct cel_program {
	const struct cel_instruction *code;
	const struct value *constants;
	uint16_t instructions, registers, constant_count;
	enum value_type type; /* of the result */
	enum value_unit unit;
	uint8_t spaces; /* bit per enum cel_space that it reads */
};

/* What a program reads. A space that the program does not read may be NULL. */
struct cel_env {
	const struct value *space[SPACE_COUNT];
	const struct money_rates *rates;
	const struct zone *zone; /* of the profile in scope, for local(); NULL: UTC */
	uint16_t currency;	 /* event.currency, the unit of UNIT_EVENT */
	/* bytes for strings that a program makes (string(), +); results borrow from it until the next
	 * evaluation. A program that needs more gives VALUE_ERROR_RANGE. May be NULL when spaces allow. */
	char *scratch;
	uint32_t scratch_bytes;
};

/*
 * Compiles `text`. `want` is the type that the result must have, TYPE_NONE for any.
 * Returns 0, -EINVAL with *error filled, or -ENOMEM.
 */
__attribute__((warn_unused_result)) int cel_compile(const char *text, size_t len,
						    const struct cel_scope *scope, enum value_type want,
						    struct arena *arena, struct cel_program *out,
						    struct cel_error *error);

/* Evaluates; the result's status says value, no data or error. */
struct value cel_eval(const struct cel_program *program, const struct cel_env *env);

/* Every symbol that the program loads, in order of first use: for interest, no-data checks, `why`. */
struct cel_load {
	enum cel_space space;
	uint16_t index;
};
size_t cel_loads(const struct cel_program *program, struct cel_load *out, size_t max);

const char *cel_type_name(enum value_type type);
const char *cel_error_name(enum value_error error);

#endif
