/*
 * parts: an expression between tree and program, internal to user/cel.
 *
 * A part is a constant, a load or an operation over earlier parts; each stands behind what it reads, and
 * what is the same load is one part. parts.c makes them from nodes and computes what is constant; compile.c
 * writes a flat program from them, term.c what is interpreted, conjunct.c looks for conjuncts. They live in
 * compiler.temp and end with cel_compile.
 */
#ifndef CEL_PARTS_H
#define CEL_PARTS_H

#include "tree.h"

enum { PART_NONE = 0 };

enum part_kind {
	PART_CONSTANT,
	PART_LOAD,
	PART_OPERATION,
	PART_CHOICE,
	/* from here on interpreted */
	PART_LIST,
	PART_VARIABLE,
	PART_MACRO,
	PART_OPERATOR, /* dynamic */
	PART_CALL,     /* dynamic */
	PART_NAMELESS, /* dynamic */
};

struct part {
	enum part_kind kind;
	enum cel_op op;
	uint32_t a, b, c; /* parts; PART_NONE. CHOICE: a ? b : c. MACRO: list, condition, result */
	struct value value;
	enum cel_space space;
	uint16_t index;
	uint8_t type; /* LOAD */
	uint8_t unit; /* LOAD */
	uint8_t slot; /* VARIABLE, MACRO */
	bool live;
	const struct node *node; /* LIST, OPERATOR, CALL, MACRO: elements are node->list */
	uint32_t last_reader;	 /* part */
	uint32_t place;		 /* register, or index in constants; term */
};

struct builder {
	struct compiler *c;
	struct part *parts; /* [0] is not used */
	uint32_t count, max, result;
	uint32_t loads[SPACE_COUNT]; /* newest load of the space; the one before is in part.c */
	bool interpreted;	     /* a live part is */
	/* when written */
	struct cel_instruction *code;
	struct value *constants;
	uint32_t instructions, constant_count, registers, free_count;
	uint16_t *free;
};

static inline bool part_is_constant(const struct builder *b, uint32_t part)
{
	return b->parts[part].kind == PART_CONSTANT;
}

/* parts.c: all parts of the checked nodes; those that the result needs are live. */
bool cel_parts_make(struct builder *b, const struct node *root);
/* Order of two values of one type, below 0, 0 or above; for constants of lists. */
int cel_value_order(const struct value *a, const struct value *b);
/* Sorts ascending and takes out what is twice; the number that is left. */
uint32_t cel_values_sort(struct value *values, uint32_t count);

/* compile.c: constants of live parts, into the program's arena */
bool cel_constants_copy(struct builder *b);

/* term.c: the program of what is interpreted, refused when it is too expensive */
bool cel_terms_write(struct builder *b, const struct node *root, struct cel_program *out);

/* conjunct.c: fills out->conjuncts */
bool cel_conjuncts_find(struct builder *b, struct cel_program *out);

#endif
