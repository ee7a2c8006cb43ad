/*
 * parse.c: tokens to a tree, by recursive descent over the grammar of cel-spec, doc/langdef.md.
 *
 * In: compiler.text. Out: nodes in compiler.temp, operands before what uses them. Chains of operators are
 * loops; what nests (parentheses, arguments, lists, the second branch of ?:) is bounded by PROGRAM_DEPTH_MAX.
 * Constructs that are not built are refused here by name: maps, messages, null. A macro (x.exists(e, ..)) is
 * a node of its own; its variable is known while its body is parsed, and hides names of the scope.
 */
#include "tree.h"

#include <string.h>

static struct node *parse_expression(struct compiler *c);

static struct node *node_new(struct compiler *c, enum node_kind kind, uint32_t start, uint32_t end)
{
	if (c->nodes == NODES_MAX) {
		cel_refuse(c, start, "an expression of more than 8192 parts", "at most %d parts", NODES_MAX);
		return NULL;
	}
	struct node *n = arena_take(&c->temp, sizeof *n);
	if (!n) {
		cel_refuse_memory(c);
		return NULL;
	}
	n->kind = kind;
	n->start = n->name_at = start;
	n->end = end;
	c->nodes++;
	if (c->last)
		c->last->next = n;
	else
		c->first = n;
	c->last = n;
	return n;
}

static bool token_is_word(const struct compiler *c, const char *word)
{
	size_t len = strlen(word);

	return c->token.kind == TOKEN_NAME && c->token.end - c->token.start == len &&
	       memcmp(c->text + c->token.start, word, len) == 0;
}

static bool token_refuse(struct compiler *c, const char *expected)
{
	return cel_refuse_text(c, c->token.start, c->token.end, "%s", expected);
}

static bool token_take(struct compiler *c, enum token_kind kind, const char *expected)
{
	return c->token.kind == kind ? cel_token_next(c) : token_refuse(c, expected);
}

/* Words that CEL reserves and names that other languages have for an operator. */
static bool name_is_refused(struct compiler *c)
{
	static const char *const reserved[] = { "as",	"break",    "const",	 "continue", "else",
						"for",	"function", "if",	 "import",   "let",
						"loop", "package",  "namespace", "return",   "var",
						"void", "while" };

	if (token_is_word(c, "null"))
		return !token_refuse(c, "a value (not built yet: null; has(x) asks for no data)");
	if (token_is_word(c, "not"))
		return !token_refuse(c, "! for not");
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
		if (token_is_word(c, reserved[i]))
			return !token_refuse(c, "a name: this word is reserved");
	return false;
}

static struct node *parse_literal(struct compiler *c)
{
	struct token t = c->token;
	struct node *n = node_new(c, NODE_LITERAL, t.start, t.end);

	if (!n)
		return NULL;
	if (t.kind == TOKEN_INT) {
		if (t.magnitude > INT64_MAX) {
			token_refuse(c, "an int from -9223372036854775808 to 9223372036854775807");
			return NULL;
		}
		n->value = (struct value){ .type = TYPE_INT, .i = (int64_t)t.magnitude };
	} else if (t.kind == TOKEN_TRUE || t.kind == TOKEN_FALSE) {
		n->value = (struct value){ .type = TYPE_BOOL, .i = t.kind == TOKEN_TRUE };
	} else {
		n->value = t.value;
	}
	return cel_token_next(c) ? n : NULL;
}

/* Expressions between commas up to `close`, appended to n->list; the opening mark is taken. */
static bool parse_list(struct compiler *c, struct node *n, enum token_kind close, const char *expected)
{
	struct node **tail = &n->list;

	while (*tail)
		tail = &(*tail)->sibling;
	while (c->token.kind != close) {
		struct node *item = parse_expression(c);
		if (!item)
			return false;
		*tail = item;
		tail = &item->sibling;
		n->count++;
		if (c->token.kind != TOKEN_COMMA)
			break;
		if (!cel_token_next(c))
			return false;
		/* a trailing comma is good in a list, not behind arguments */
		if (c->token.kind == close && close == TOKEN_PAREN_CLOSE)
			return token_refuse(c, "an argument");
	}
	return token_take(c, close, expected);
}

/* [..], at the bracket */
static struct node *parse_brackets(struct compiler *c)
{
	struct node head = { .count = 0 };
	uint32_t start = c->token.start;

	if (!cel_token_next(c) ||
	    !parse_list(c, &head, TOKEN_BRACKET_CLOSE, "a comma, an operator or the closing ]"))
		return NULL;
	struct node *n = node_new(c, NODE_LIST, start, c->taken_end);
	if (!n)
		return NULL;
	n->list = head.list;
	n->count = head.count;
	return n;
}

/* The variable that a name is, innermost first; NULL when it is none. */
static const struct binder *binder_find(const struct compiler *c, const char *name)
{
	const struct binder *b = c->binder;

	while (b && strcmp(b->name, name) != 0)
		b = b->outer;
	return b;
}

static enum cel_macro macro_find(const char *name)
{
	static const struct {
		const char *name;
		enum cel_macro macro;
	} macros[] = {
		{ "exists", MACRO_EXISTS },	   { "all", MACRO_ALL }, { "exists_one", MACRO_EXISTS_ONE },
		{ "existsOne", MACRO_EXISTS_ONE }, { "map", MACRO_MAP }, { "filter", MACRO_FILTER }
	};

	for (size_t i = 0; i < sizeof macros / sizeof macros[0]; i++)
		if (strcmp(macros[i].name, name) == 0)
			return macros[i].macro;
	return MACRO_NONE;
}

/* The body of a macro, and for map perhaps a condition in front of it, up to the closing parenthesis. */
static bool parse_macro_body(struct compiler *c, struct node *n)
{
	struct node *first = parse_expression(c), *second = NULL;

	if (!first)
		return false;
	if (n->macro == MACRO_MAP && c->token.kind == TOKEN_COMMA) {
		second = cel_token_next(c) ? parse_expression(c) : NULL;
		if (!second)
			return false;
	}
	n->operand[1] = n->macro == MACRO_MAP ? (second ? first : NULL) : first;
	n->operand[2] = n->macro == MACRO_MAP ? (second ? second : first) : NULL;
	return token_take(c, TOKEN_PAREN_CLOSE, "an operator or the closing )");
}

/* x.exists(e, ..), at the name of the macro. */
static struct node *parse_macro(struct compiler *c, struct node *list, enum cel_macro macro)
{
	struct binder binder = { .list = list, .outer = c->binder };
	struct node head = { .macro = macro };
	uint32_t at = c->token.start;

	binder.slot = c->binder ? (uint8_t)(c->binder->slot + 1) : 0;
	if (binder.slot == MACRO_DEPTH_MAX) {
		cel_refuse_text(c, at, c->token.end, "at most %d macros inside of each other",
				MACRO_DEPTH_MAX);
		return NULL;
	}
	if (!cel_token_next(c) || !token_take(c, TOKEN_PAREN_OPEN, "("))
		return NULL;
	if (c->token.kind != TOKEN_NAME || cel_token_opens_call(c)) {
		token_refuse(c, "the name of a variable, as x in list.exists(x, x > 1)");
		return NULL;
	}
	binder.name = cel_name_copy(c, c->token.start, c->token.end);
	if (!binder.name || !cel_token_next(c) ||
	    !token_take(c, TOKEN_COMMA, "a comma behind the variable, and a condition"))
		return NULL;
	c->binder = &binder;
	bool parsed = parse_macro_body(c, &head);
	c->binder = binder.outer;
	struct node *n = parsed ? node_new(c, NODE_MACRO, list->start, c->taken_end) : NULL;
	if (!n)
		return NULL;
	n->operand[0] = list;
	n->operand[1] = head.operand[1];
	n->operand[2] = head.operand[2];
	n->macro = macro;
	n->slot = binder.slot;
	n->name_at = at;
	return n;
}

/* x[i], at the bracket */
static struct node *parse_index(struct compiler *c, struct node *list)
{
	struct node *index = cel_token_next(c) ? parse_expression(c) : NULL;

	if (!index || !token_take(c, TOKEN_BRACKET_CLOSE, "an operator or the closing ]"))
		return NULL;
	struct node *n = node_new(c, NODE_INDEX, list->start, c->taken_end);
	if (!n)
		return NULL;
	n->operand[0] = list;
	n->operand[1] = index;
	return n;
}

/* A call, at its opening parenthesis; `at` and `end` are where the function's name stands. */
static struct node *parse_call(struct compiler *c, struct node *receiver, uint32_t at, uint32_t end)
{
	struct node head = { .list = receiver, .count = receiver != NULL };
	const char *name = cel_name_copy(c, at, end);

	if (!name || !cel_token_next(c) ||
	    !parse_list(c, &head, TOKEN_PAREN_CLOSE, "a comma, an operator or the closing )"))
		return NULL;
	struct node *n = node_new(c, NODE_CALL, receiver ? receiver->start : at, c->taken_end);
	if (!n)
		return NULL;
	n->list = head.list;
	n->count = head.count;
	n->is_method = receiver != NULL;
	n->name = name;
	n->name_bytes = (uint32_t)strlen(name);
	n->name_at = at;
	return n;
}

/* Calls of what is not built are refused before their arguments are looked at. */
static bool call_is_refused(struct compiler *c, uint32_t start, uint32_t end)
{
	const char *name = cel_name_copy(c, start, end);

	if (name && !c->scope->dynamic && cel_function_not_built(name)) {
		cel_refuse(c, start, name, "not built yet: %s()", name);
		return true;
	}
	return name == NULL;
}

/* geo.km(..): a function whose name has a dot. *end is behind its name, the token is its last part. */
static bool name_is_dotted_function(struct compiler *c, uint32_t start, uint32_t *end)
{
	struct token dot = c->token;
	uint32_t taken_end = c->taken_end;
	const char *name;

	if (c->token.kind != TOKEN_DOT || !cel_token_next(c))
		return false;
	*end = c->token.end;
	name = c->token.kind == TOKEN_NAME ? cel_name_copy(c, start, *end) : NULL;
	if (name && cel_function_is_dotted(name))
		return true;
	c->token = dot;
	c->taken_end = taken_end;
	return false;
}

/* A dotted name, or the call of a function. The last part is left to parse_members when it is a method. */
static struct node *parse_name(struct compiler *c)
{
	uint32_t start = c->token.start, end = c->token.end;

	if (name_is_refused(c))
		return NULL;
	if (cel_token_opens_call(c)) {
		if (call_is_refused(c, start, end) || !cel_token_next(c))
			return NULL;
		return parse_call(c, NULL, start, end);
	}
	if (!cel_token_next(c))
		return NULL;
	while (c->token.kind == TOKEN_DOT && cel_token_is_field(c)) {
		if (!cel_token_next(c))
			return NULL;
		end = c->token.end;
		if (c->token.kind == TOKEN_STRING) { /* x.r"..": the prefix of a string looks like a name */
			token_refuse(c, "the name of a field");
			return NULL;
		}
		if (!cel_token_next(c))
			return NULL;
	}
	uint32_t function_end;
	if (name_is_dotted_function(c, start, &function_end)) {
		if (call_is_refused(c, start, function_end) || !cel_token_next(c))
			return NULL;
		return parse_call(c, NULL, start, function_end);
	}
	if (c->rc != 0)
		return NULL;
	if (c->token.kind == TOKEN_BRACE_OPEN) {
		token_refuse(c, "an operator or the end (not built yet: message values)");
		return NULL;
	}
	const char *name = cel_name_copy(c, start, end);
	if (!name)
		return NULL;
	const struct binder *binder = binder_find(c, name);
	struct node *n = node_new(c, binder ? NODE_VARIABLE : NODE_NAME, start, end);
	if (!n)
		return NULL;
	n->name = name;
	n->name_bytes = (uint32_t)strlen(name);
	if (binder) {
		n->operand[0] = binder->list;
		n->slot = binder->slot;
	}
	return n;
}

static struct node *parse_parentheses(struct compiler *c)
{
	uint32_t start = c->token.start;
	struct node *n = cel_token_next(c) ? parse_expression(c) : NULL;

	if (!n || !token_take(c, TOKEN_PAREN_CLOSE, "an operator or the closing )"))
		return NULL;
	n->parens = true;
	n->start = start;
	n->end = c->taken_end;
	return n;
}

static struct node *parse_primary(struct compiler *c)
{
	switch (c->token.kind) {
	case TOKEN_INT:
	case TOKEN_DOUBLE:
	case TOKEN_STRING:
	case TOKEN_TRUE:
	case TOKEN_FALSE:
		return parse_literal(c);
	case TOKEN_NAME:
		return parse_name(c);
	case TOKEN_PAREN_OPEN:
		return parse_parentheses(c);
	case TOKEN_BRACKET_OPEN:
		return parse_brackets(c);
	case TOKEN_BRACE_OPEN:
		token_refuse(c, "a value (not built yet: maps)");
		return NULL;
	case TOKEN_DOT: /* .x, from the root of all names: there is no other */
		if (c->scope->dynamic && cel_token_is_field(c))
			return cel_token_next(c) ? parse_name(c) : NULL;
		token_refuse(c, "a value (not built yet: names with a leading dot)");
		return NULL;
	default:
		token_refuse(c, "a value: a name, a number, a string, a function or (");
		return NULL;
	}
}

/* x.method(..), at the name of the method. */
static struct node *parse_method(struct compiler *c, struct node *receiver)
{
	uint32_t start = c->token.start, end = c->token.end;

	if (c->token.kind != TOKEN_NAME) {
		token_refuse(c, "the name of a method");
		return NULL;
	}
	if (!cel_token_opens_call(c)) {
		token_refuse(c, "a method and its ( (not built yet: fields of what is computed)");
		return NULL;
	}
	const char *name = cel_name_copy(c, start, end);
	if (!name)
		return NULL;
	enum cel_macro macro = macro_find(name);
	if (macro != MACRO_NONE)
		return parse_macro(c, receiver, macro);
	if (call_is_refused(c, start, end) || !cel_token_next(c))
		return NULL;
	return parse_call(c, receiver, start, end);
}

static struct node *parse_members(struct compiler *c)
{
	struct node *n = parse_primary(c);

	while (n && (c->token.kind == TOKEN_DOT || c->token.kind == TOKEN_BRACKET_OPEN)) {
		if (c->token.kind == TOKEN_BRACKET_OPEN)
			n = parse_index(c, n);
		else
			n = cel_token_next(c) ? parse_method(c, n) : NULL;
	}
	return n;
}

static bool literal_negate(struct compiler *c, struct node **out)
{
	uint32_t start = c->token.start;

	if (!cel_token_next(c))
		return false;
	if (c->token.kind != TOKEN_INT)
		return true;
	*out = node_new(c, NODE_LITERAL, start, c->token.end);
	if (!*out)
		return false;
	/* 2^63 has a negative only */
	(*out)->value = (struct value){ .type = TYPE_INT, .i = (int64_t)(0 - c->token.magnitude) };
	return cel_token_next(c);
}

/* Any number of ! or -; a minus before an int is the int's own. */
static struct node *parse_unary(struct compiler *c)
{
	enum token_kind mark = c->token.kind;
	uint32_t start = c->token.start, count = 0;
	struct node *n = NULL;

	if (mark != TOKEN_NOT && mark != TOKEN_MINUS)
		return parse_members(c);
	for (; c->token.kind == mark && !n; count++)
		if (mark == TOKEN_MINUS ? !literal_negate(c, &n) : !cel_token_next(c))
			return NULL;
	if (n)
		count--;
	else
		n = parse_members(c);
	for (; n && count > 0; count--) {
		struct node *inner = n;
		n = node_new(c, mark == TOKEN_NOT ? NODE_NOT : NODE_NEGATE, start, inner->end);
		if (n)
			n->operand[0] = inner;
	}
	return n;
}

enum { LEVEL_OR, LEVEL_AND, LEVEL_RELATION, LEVEL_SUM, LEVEL_PRODUCT, LEVEL_UNARY };

/* The operator that the token is at `level`; NODE_LITERAL = none. */
static enum node_kind level_operator(unsigned level, enum token_kind token)
{
	static const struct {
		unsigned level;
		enum token_kind token;
		enum node_kind kind;
	} operators[] = {
		{ LEVEL_OR, TOKEN_OR, NODE_OR },	  { LEVEL_AND, TOKEN_AND, NODE_AND },
		{ LEVEL_RELATION, TOKEN_EQ, NODE_EQ },	  { LEVEL_RELATION, TOKEN_NE, NODE_NE },
		{ LEVEL_RELATION, TOKEN_LT, NODE_LT },	  { LEVEL_RELATION, TOKEN_LE, NODE_LE },
		{ LEVEL_RELATION, TOKEN_GT, NODE_GT },	  { LEVEL_RELATION, TOKEN_GE, NODE_GE },
		{ LEVEL_RELATION, TOKEN_IN, NODE_IN },	  { LEVEL_SUM, TOKEN_PLUS, NODE_ADD },
		{ LEVEL_SUM, TOKEN_MINUS, NODE_SUB },	  { LEVEL_PRODUCT, TOKEN_STAR, NODE_MUL },
		{ LEVEL_PRODUCT, TOKEN_SLASH, NODE_DIV }, { LEVEL_PRODUCT, TOKEN_PERCENT, NODE_MOD },
	};

	for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
		if (operators[i].level == level && operators[i].token == token)
			return operators[i].kind;
	return NODE_LITERAL;
}

static struct node *parse_binary(struct compiler *c, unsigned level)
{
	if (level == LEVEL_UNARY)
		return parse_unary(c);
	struct node *left = parse_binary(c, level + 1);
	while (left) {
		enum node_kind kind = level_operator(level, c->token.kind);
		if (kind == NODE_LITERAL)
			return left;
		uint32_t operator_at = c->token.start;
		if (!cel_token_next(c))
			return NULL;
		struct node *right = parse_binary(c, level + 1);
		struct node *n = right ? node_new(c, kind, left->start, right->end) : NULL;
		if (!n)
			return NULL;
		n->operand[0] = left;
		n->operand[1] = right;
		n->name_at = operator_at;
		right->right_of_in = kind == NODE_IN && right->kind == NODE_LIST && !c->scope->dynamic;
		left = n;
	}
	return NULL;
}

static struct node *parse_choice(struct compiler *c, struct node *condition)
{
	struct node *yes = cel_token_next(c) ? parse_binary(c, LEVEL_OR) : NULL;

	if (!yes || !token_take(c, TOKEN_COLON, "an operator or the : of ?:"))
		return NULL;
	struct node *no = parse_expression(c);
	struct node *n = no ? node_new(c, NODE_CHOICE, condition->start, no->end) : NULL;
	if (!n)
		return NULL;
	n->operand[0] = condition;
	n->operand[1] = yes;
	n->operand[2] = no;
	return n;
}

static struct node *parse_expression(struct compiler *c)
{
	struct node *n;

	if (c->depth == PROGRAM_DEPTH_MAX) {
		cel_refuse(c, c->token.start, "more nesting",
			   "at most %d levels of nesting, this is level %d", PROGRAM_DEPTH_MAX,
			   PROGRAM_DEPTH_MAX + 1);
		return NULL;
	}
	c->depth++;
	n = parse_binary(c, LEVEL_OR);
	if (n && c->token.kind == TOKEN_QUESTION)
		n = parse_choice(c, n);
	c->depth--;
	return n;
}

struct node *cel_parse(struct compiler *c)
{
	struct node *root = cel_token_start(c) ? parse_expression(c) : NULL;

	if (!root || c->token.kind == TOKEN_END)
		return root;
	if (token_is_word(c, "and"))
		token_refuse(c, "&& for and");
	else if (token_is_word(c, "or"))
		token_refuse(c, "|| for or");
	else
		token_refuse(c, "an operator or the end");
	return NULL;
}
