/*
 * tree: an expression while it is compiled; internal to user/cel.
 *
 * Nodes are made operands first, and linked in that order: what runs over a tree is a loop, never a
 * recursion, and only the parser's own nesting needs a bound. Everything here lives in compiler.temp,
 * which ends with cel_compile.
 */
#ifndef CEL_TREE_H
#define CEL_TREE_H

#include <cel/cel.h>
#include <cel/program.h>
#include <cel/term.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_INT,
	TOKEN_DOUBLE,
	TOKEN_STRING,
	TOKEN_TRUE,
	TOKEN_FALSE,
	TOKEN_IN,
	TOKEN_PAREN_OPEN,
	TOKEN_PAREN_CLOSE,
	TOKEN_BRACKET_OPEN,
	TOKEN_BRACKET_CLOSE,
	TOKEN_BRACE_OPEN,
	TOKEN_BRACE_CLOSE,
	TOKEN_DOT,
	TOKEN_COMMA,
	TOKEN_QUESTION,
	TOKEN_COLON,
	TOKEN_NOT,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_EQ,
	TOKEN_NE,
	TOKEN_LT,
	TOKEN_LE,
	TOKEN_GT,
	TOKEN_GE,
	TOKEN_PLUS,
	TOKEN_MINUS,
	TOKEN_STAR,
	TOKEN_SLASH,
	TOKEN_PERCENT,
};

struct token {
	enum token_kind kind;
	uint32_t start, end; /* bytes of the text */
	uint64_t magnitude;  /* INT: up to 2^63, the sign is not part of it */
	struct value value;  /* DOUBLE, STRING */
};

enum node_kind {
	NODE_LITERAL,
	NODE_NAME,
	NODE_VARIABLE, /* of a macro; operand[0] is the list that it runs over */
	NODE_LIST,     /* elements in `list` */
	NODE_INDEX,    /* operand[0] [ operand[1] ] */
	NODE_MACRO,    /* operand[0] the list, [1] the condition (NULL: none), [2] what map makes */
	NODE_CALL,     /* arguments in `list`, the receiver of a method first */
	NODE_NOT,
	NODE_NEGATE,
	NODE_AND,
	NODE_OR,
	NODE_CHOICE, /* operand[0] ? [1] : [2] */
	NODE_IN,     /* operand[0] in operand[1] */
	NODE_EQ,
	NODE_NE,
	NODE_LT,
	NODE_LE,
	NODE_GT,
	NODE_GE,
	NODE_ADD,
	NODE_SUB,
	NODE_MUL,
	NODE_DIV,
	NODE_MOD,
};

struct node {
	enum node_kind kind;
	bool parens;	     /* start and end include a pair of parentheses */
	bool is_method;	     /* CALL */
	bool right_of_in;    /* LIST: stands for its elements, and is no value */
	uint32_t start, end; /* bytes of the text */
	struct node *next;   /* in order of creation */
	struct node *operand[3];
	struct node *list, *sibling;
	uint32_t count;	  /* of `list` */
	const char *name; /* NAME: dotted; CALL: the function */
	uint32_t name_bytes, name_at;
	struct value value; /* LITERAL; NAME of a constant */
	enum cel_macro macro;
	uint8_t slot; /* VARIABLE, MACRO */

	/* from check.c */
	enum value_type type;
	enum value_unit unit;	 /* of a list: of its elements */
	enum value_type element; /* LIST types: TYPE_NONE for the empty list, which takes any */
	enum cel_op op;		 /* CALL and arithmetic; OP_NONE: the operand as it is */
	bool swap;		 /* operands in the other order */
	struct cel_symbol symbol;
	int64_t zone_s;		   /* CALL: second operand of a time accessor */
	const struct zone *zone;   /* the same by name; NULL: none */
	const struct regex *regex; /* CALL of matches, in compiler.arena */

	/* from compile.c: the value's number */
	uint32_t part;
};

enum {
	EXPRESSION_BYTES_MAX = 65536,
	NODES_MAX = 8 * PROGRAM_INSTRUCTIONS_MAX, /* constants need no instruction */
};

/* The variable of a macro, while its body is parsed. */
struct binder {
	const char *name;
	struct node *list;
	uint8_t slot;
	const struct binder *outer;
};

struct compiler {
	const char *text;
	uint32_t len;
	const struct cel_scope *scope;
	struct arena temp;
	struct arena *arena; /* the program's */
	struct cel_error *error;
	int rc; /* 0, -EINVAL with *error filled, -ENOMEM; the first sticks */

	/* token.c, parse.c */
	struct token token; /* the next one, not yet taken */
	char *strings;	    /* room for what is left of the text, unescaped */
	uint32_t taken_end; /* where the last taken one ended */
	unsigned depth, nodes;
	struct node *first, *last;
	const struct binder *binder; /* innermost */
};

/* error.c: fills the error unless there is one, and returns false. */
bool cel_refuse(struct compiler *c, uint32_t offset, const char *found, const char *expected, ...)
	__attribute__((format(printf, 4, 5)));
/* The same with a piece of the text as what was found. */
bool cel_refuse_text(struct compiler *c, uint32_t start, uint32_t end, const char *expected, ...)
	__attribute__((format(printf, 4, 5)));
bool cel_refuse_memory(struct compiler *c);
/* "int", "int in the event's currency" */
const char *cel_unit_type_name(enum value_type type, enum value_unit unit);

/* token.c: takes the current token and reads the next; false after an error. */
bool cel_token_start(struct compiler *c);
bool cel_token_next(struct compiler *c);
/* The current token is a name with a ( behind it; is a dot with a name behind it that no ( follows. */
bool cel_token_opens_call(const struct compiler *c);
bool cel_token_is_field(const struct compiler *c);
/* The name between two places without spaces and comments, NUL-terminated; NULL when memory is out. */
const char *cel_name_copy(struct compiler *c, uint32_t start, uint32_t end);

/* parse.c: the root, NULL after an error */
struct node *cel_parse(struct compiler *c);

/* check.c: types of all nodes */
bool cel_check(struct compiler *c, const struct node *root, enum value_type want);
/* check.c: a node of scope->dynamic: names are resolved, the rest waits for the evaluation */
bool cel_check_names(struct compiler *c);
bool cel_check_compare(struct compiler *c, enum node_kind kind, const struct node *left,
		       const struct node *right);

/* check_list.c: types of lists and of what takes them */
bool cel_check_list(struct compiler *c, struct node *n);
bool cel_check_index(struct compiler *c, struct node *n);
bool cel_check_macro(struct compiler *c, struct node *n);
bool cel_check_variable(struct compiler *c, struct node *n);
/* Two lists in one operation; the type of elements goes to *n when it is not NULL. */
bool cel_check_lists(struct compiler *c, enum node_kind kind, const struct node *left,
		     const struct node *right, struct node *n);

/* function.c */
bool cel_function_not_built(const char *name);
bool cel_check_call(struct compiler *c, struct node *n);
/* Names of functions with a dot ("geo.km"). */
bool cel_function_is_dotted(const char *name);

#endif
