/*
 * term: what is interpreted, a compact tree in the program's arena; internal to user/cel. Written by
 * term.c, run by interpret.c and, where types are dynamic, dynamic.c.
 */
#ifndef CEL_TERM_H
#define CEL_TERM_H

#include <cel/cel.h>
#include <cel/program.h>

/* cel_term.op of TERM_MACRO */
enum cel_macro {
	MACRO_NONE,
	MACRO_EXISTS,
	MACRO_ALL,
	MACRO_EXISTS_ONE,
	MACRO_MAP,
	MACRO_FILTER,
	MACRO_COUNT
};

/*
 * What is interpreted: terms, each behind those that it reads; the last is the result.
 */
enum term_kind {
	TERM_CONSTANT,	/* a: index of cel_program.constants */
	TERM_LOAD,	/* a: space, b: index */
	TERM_VARIABLE,	/* slot */
	TERM_LIST,	/* a: first, b: count in items */
	TERM_OPERATION, /* op of a, b */
	TERM_LOGIC,	/* op AND or OR of a, b: b is left where a decides */
	TERM_CHOICE,	/* a ? b : c */
	TERM_MACRO,	/* op over list a with condition b and result c; TERM_ABSENT: none */
	TERM_OPERATOR,	/* dynamic: op is enum node_kind, of a, b */
	TERM_CALL,	/* dynamic: function c of names; a: first, b: count in items */
	TERM_NAMELESS,	/* dynamic: a name that nothing has */
};

enum { TERM_ABSENT = UINT32_MAX };

struct cel_term {
	uint8_t kind; /* enum term_kind */
	uint8_t op;
	uint8_t slot;
	uint8_t type; /* LOAD: of the symbol, CALL: is a method */
	uint32_t a, b, c;
};

struct cel_tree {
	const struct cel_term *terms;
	const uint32_t *items;
	const struct cel_load *loads;
	const char *const *names; /* CALL: c */
	uint32_t term_count, load_count, name_count;
	struct cel_scope scope; /* dynamic: for zones */
};

#endif
