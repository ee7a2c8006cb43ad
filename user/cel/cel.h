/*
 * cel: the Common Expression Language, compiled to a flat register program where all values are scalar, and
 * to a tree that is interpreted where lists are made or walked over.
 *
 * Text -> tokens -> tree (user/cel/parse.c) -> types and symbols (check.c) -> parts (parts.c) -> program
 * (compile.c) or terms (term.c) -> one value per evaluation (eval.c, interpret.c). Compilation allocates
 * from the caller's arena; evaluation allocates nothing, never fails and takes time that was bounded when
 * the program was compiled.
 *
 * Source of the language: github.com/google/cel-spec, doc/langdef.md. Differences, on purpose: a third
 * result "no data" (SEMANTICS 3), money as a type (SEMANTICS 2), types of rules are static. The conformance
 * vectors need values whose type is known at evaluation only; cel_scope.dynamic is for them alone.
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
	/* SPACE_CONSTANT; a string lives as long as the arena. A TYPE_LIST (lists.NAME) is of one type,
	 * ascending, no value twice, and its values live as long as the program. */
	struct value constant;
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
	/* The zone of a name ("Europe/Madrid") in a time accessor; lives as long as the program. NULL when
	 * there is none; without the callback zone names are refused as not built. */
	const struct zone *(*zone)(void *ctx, const char *name, size_t len);
	/* For conformance vectors: types are looked at when it is evaluated, timestamps reach from year 1 to
	 * 9999, and the scope is asked for zones then too. Never for rules. */
	bool dynamic;
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

/* What a symbol has to be for a program to be true. */
enum cel_relation {
	RELATION_NONE = 0,
	RELATION_NEVER, /* the program is never true; no symbol */
	RELATION_EQ,
	RELATION_LT,
	RELATION_LE,
	RELATION_GT,
	RELATION_GE,
	RELATION_IN,
};

struct cel_load {
	enum cel_space space;
	uint16_t index;
};

/*
 * `symbol relation value`, one of the conditions that a program joins with && on its outside. If it is false
 * (a value, and false) the program is false, whatever the rest gives: no data and errors of the rest do not
 * show, so a rule that has a false conjunct needs no evaluation. If it is no data or an error, the program
 * may still be false, no data or an error, which is counted: evaluate. A bool symbol alone is EQ true, with a
 * ! EQ false. x == 1 || x == 2 is one IN.
 */
struct cel_conjunct {
	struct cel_load symbol;
	uint8_t relation; /* enum cel_relation */
	uint8_t type;	  /* of the symbol, enum value_type */
	uint8_t unit;	  /* of the symbol, where constants are TYPE_MONEY: compare as money */
	bool has_other;	  /* compared with the symbol `other` and not with constants */
	struct cel_load other;
	uint32_t count;		       /* of constants: 1, or for IN any number, ascending */
	const struct value *constants; /* as long as the program */
};

struct cel_tree; /* user/cel/program.h */

struct cel_program {
	const struct cel_instruction *code; /* NULL when interpreted */
	const struct value *constants;
	uint16_t instructions, registers, constant_count; /* instructions 0: no program, or interpreted */
	bool interpreted;				  /* not a column program: cel_eval one by one */
	const struct cel_tree *tree;			  /* of what is interpreted */
	uint32_t steps;	      /* the worst case of an evaluation, at most PROGRAM_STEPS_MAX */
	enum value_type type; /* of the result */
	enum value_unit unit;
	uint8_t spaces; /* bit per enum cel_space that it reads */
	const struct cel_conjunct *conjuncts;
	uint16_t conjunct_count;
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
size_t cel_loads(const struct cel_program *program, struct cel_load *out, size_t max);

/* For an index over rules, and for interest: what the program joins with && and is of the form of a conjunct.
 * Lives as long as the program. */
static inline const struct cel_conjunct *cel_conjuncts(const struct cel_program *program, size_t *count)
{
	*count = program->conjunct_count;
	return program->conjuncts;
}

const char *cel_type_name(enum value_type type);
const char *cel_error_name(enum value_error error);

#endif
