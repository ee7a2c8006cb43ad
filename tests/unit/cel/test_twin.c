// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_twin.c: random expressions, evaluated by cel and by a slow twin over the tree that they were
 * written from.
 *
 * The twin shares no code with user/cel: it makes a typed tree, writes it as text with as few or as many
 * parentheses as the precedences allow, and computes it by walking the tree, in 128 bits where it adds up.
 * 24,000 expressions, a third of them with lists and macros, each with four sets of inputs of which some are
 * no data or errors. A seed is printed and taken from CEL_SEED.
 */
#include "test_help.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { EXPRESSIONS = 24000, INPUTS = 4, NODES = 8000, DEPTH = 6, TEXT_BYTES = 60000, STRING_BYTES = 1024 };
enum { ELEMENTS_MAX = 32, MACROS_MAX = 3, KIDS_MAX = 4 };

enum op {
	OP_LITERAL,
	OP_VARIABLE,
	OP_CHOICE,
	OP_OR,
	OP_AND,
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_IN,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_NOT,
	OP_NEG,
	OP_HAS,
	OP_SIZE,
	OP_STARTS,
	OP_ENDS,
	OP_CONTAINS,
	OP_STRING,
	OP_INT,
	OP_DOUBLE,
	OP_HOURS,
	OP_WEEKDAY,
	OP_SECONDS,
	OP_MATCHES,
	OP_LOCAL,
	OP_ZONE_HOURS,
	OP_OFFSET_HOURS,
	OP_GEO,
	/* lists and what takes them */
	OP_LIST,
	OP_NAMED,
	OP_JOIN,
	OP_FILTER,
	OP_MAP,
	OP_EXISTS,
	OP_ALL,
	OP_ONE,
	OP_ELEMENT,
	OP_INDEX,
	OP_LIST_SIZE,
	OP_IN_LIST,
	OP_LIST_EQ,
	OP_LIST_NE,
};

struct item {
	enum op op;
	enum value_type type;
	enum value_unit unit;
	struct item *kid[KIDS_MAX];
	unsigned kids;
	unsigned level;	  /* ELEMENT and macros: how deep it stands, which is its name too */
	const char *text; /* LITERAL, VARIABLE */
	unsigned variable;
	struct value literal;
};

struct twin {
	uint64_t seed;
	struct item items[NODES];
	unsigned count;
	char text[TEXT_BYTES];
	size_t text_bytes;
	struct value bind[HELP_COUNT];
	uint16_t currency;
	bool lists; /* the expression may have them */
	unsigned macros;
	struct {
		enum value_type type;
		enum value_unit unit;
	} macro[MACROS_MAX];
	const struct outcome **element; /* of the macro at each level, while it runs */
};

static uint64_t random_next(struct twin *t)
{
	t->seed ^= t->seed >> 12;
	t->seed ^= t->seed << 25;
	t->seed ^= t->seed >> 27;
	return t->seed * 2685821657736338717u;
}

static unsigned random_below(struct twin *t, unsigned n)
{
	return (unsigned)((random_next(t) >> 33) % n);
}

/* ---- what is written ---- */

struct literal {
	const char *text;
	enum value_type type;
	int64_t i;
	double d;
	uint16_t currency;
};

static const struct literal literals[] = {
	{ "true", TYPE_BOOL, 1, 0, 0 },
	{ "false", TYPE_BOOL, 0, 0, 0 },
	{ "0", TYPE_INT, 0, 0, 0 },
	{ "1", TYPE_INT, 1, 0, 0 },
	{ "2", TYPE_INT, 2, 0, 0 },
	{ "-1", TYPE_INT, -1, 0, 0 },
	{ "0x10", TYPE_INT, 16, 0, 0 },
	{ "100000", TYPE_INT, 100000, 0, 0 },
	{ "9223372036854775807", TYPE_INT, INT64_MAX, 0, 0 },
	{ "-9223372036854775808", TYPE_INT, INT64_MIN, 0, 0 },
	{ "0.0", TYPE_DOUBLE, 0, 0.0, 0 },
	{ "1.5", TYPE_DOUBLE, 0, 1.5, 0 },
	{ "2.0e3", TYPE_DOUBLE, 0, 2000.0, 0 },
	{ ".25", TYPE_DOUBLE, 0, 0.25, 0 },
	{ "1e300", TYPE_DOUBLE, 0, 1e300, 0 },
	{ "''", TYPE_STRING, 0, 0, 0 },
	{ "'a'", TYPE_STRING, 1, 0, 0 },
	{ "\"\\u00f1a\"", TYPE_STRING, 2, 0, 0 },
	{ "r'12'", TYPE_STRING, 3, 0, 0 },
	{ "'''-7'''", TYPE_STRING, 4, 0, 0 },
	{ "timestamp('1970-01-01T00:00:00Z')", TYPE_TIMESTAMP, 0, 0, 0 },
	{ "timestamp(\"2024-02-29T23:30:15.5Z\")", TYPE_TIMESTAMP, 1709249415500000000, 0, 0 },
	{ "timestamp('2262-01-01T00:00:00Z')", TYPE_TIMESTAMP, 9214646400000000000, 0, 0 },
	{ "duration('0s')", TYPE_DURATION, 0, 0, 0 },
	{ "duration('1h30m')", TYPE_DURATION, 5400000000000, 0, 0 },
	{ "duration('-2500000h')", TYPE_DURATION, -9000000000000000000, 0, 0 },
	{ "money('100.00 EUR')", TYPE_MONEY, 10000, 0, EUR },
	{ "money('200 USD')", TYPE_MONEY, 20000, 0, USD },
	{ "money('33.335 KWD')", TYPE_MONEY, 33335, 0, KWD },
	{ "money('-1 CHF')", TYPE_MONEY, -100, 0, CHF },
	{ "money('10001 JPY')", TYPE_MONEY, 10001, 0, JPY },
};
enum { LITERALS = sizeof literals / sizeof literals[0], LITERAL_STRINGS = 5 };
static const char *const literal_strings[LITERAL_STRINGS] = { "", "a", "\xc3\xb1\x61", "12", "-7" };

static struct item *item_new(struct twin *t, enum op op, enum value_type type, enum value_unit unit)
{
	assert_true(t->count < NODES);
	struct item *n = &t->items[t->count++];
	*n = (struct item){ .op = op, .type = type, .unit = unit };
	return n;
}

static struct item *make(struct twin *t, enum value_type type, enum value_unit unit, unsigned depth);

/* What an operand shall be. Operands are made here, one behind the other, because C gives the arguments of
 * a call no order, and a seed has to mean the same for every compiler. */
struct kind {
	enum value_type type; /* TYPE_NONE: no operand */
	enum value_unit unit;
};

static const struct kind no_kind = { TYPE_NONE, UNIT_NONE };

static struct kind plain(enum value_type type)
{
	return (struct kind){ type, UNIT_NONE };
}

static struct item *make_op(struct twin *t, enum op op, struct kind result, unsigned depth, struct kind a,
			    struct kind b, struct kind c)
{
	const struct kind kinds[] = { a, b, c };
	struct item *n = item_new(t, op, result.type, result.unit);

	for (unsigned i = 0; i < 3 && kinds[i].type != TYPE_NONE; i++)
		n->kid[n->kids++] = make(t, kinds[i].type, kinds[i].unit, depth);
	return n;
}

static struct item *make_literal(struct twin *t, enum value_type type)
{
	unsigned at;

	do
		at = random_below(t, LITERALS);
	while (literals[at].type != type);
	struct item *n = item_new(t, OP_LITERAL, type, UNIT_NONE);
	n->text = literals[at].text;
	n->literal = (struct value){ .type = (uint8_t)type,
				     .currency = literals[at].currency,
				     .i = literals[at].i };
	if (type == TYPE_DOUBLE)
		n->literal.d = literals[at].d;
	if (type == TYPE_STRING) {
		n->literal.s = literal_strings[literals[at].i];
		n->literal.bytes = (uint32_t)strlen(n->literal.s);
	}
	return n;
}

static struct item *make_element(struct twin *t, enum value_type type, enum value_unit unit)
{
	unsigned level = t->macros > 0 ? random_below(t, t->macros) : 0;

	if (t->macros == 0 || t->macro[level].type != type || t->macro[level].unit != unit)
		return NULL;
	struct item *n = item_new(t, OP_ELEMENT, type, unit);
	n->level = level;
	return n;
}

static struct item *make_variable(struct twin *t, enum value_type type, enum value_unit unit)
{
	struct item *element = make_element(t, type, unit);
	unsigned at;

	if (element)
		return element;

	do
		at = random_below(t, HELP_COUNT);
	while (help_names[at].type != type || (type == TYPE_INT && help_names[at].unit != unit));
	struct item *n = item_new(t, OP_VARIABLE, type, unit);
	n->text = help_names[at].name;
	n->variable = at;
	return n;
}

static enum value_type random_type(struct twin *t)
{
	return TYPE_BOOL + random_below(t, TYPE_MONEY);
}

/* Two operands that may be compared. */
static void make_pair(struct twin *t, unsigned depth, struct item **a, struct item **b)
{
	enum value_type type = random_type(t);
	enum value_unit unit = type == TYPE_INT ? random_below(t, 3) : UNIT_NONE;

	*a = make(t, type, unit, depth);
	*b = make(t, type, unit != UNIT_NONE && random_below(t, 2) ? UNIT_NONE : unit, depth);
	if (type == TYPE_MONEY && random_below(t, 2))
		*b = make(t, TYPE_INT, 1 + random_below(t, 2), depth);
	if (random_below(t, 2)) {
		struct item *swap = *a;
		*a = *b;
		*b = swap;
	}
}

static struct item *make_in(struct twin *t, unsigned depth)
{
	enum value_type type = random_type(t);
	enum value_unit unit = type == TYPE_INT ? random_below(t, 3) : UNIT_NONE;
	struct item *n = item_new(t, OP_IN, TYPE_BOOL, UNIT_NONE);

	n->kid[0] = make(t, type, unit, depth);
	n->kids = 1 + random_below(t, 4);
	for (unsigned i = 1; i < n->kids; i++)
		n->kid[i] = make(t, type, unit, depth);
	return n;
}

static struct item *make_comparison(struct twin *t, unsigned depth)
{
	enum op op = OP_EQ + random_below(t, 6);
	struct item *n = item_new(t, op, TYPE_BOOL, UNIT_NONE);

	make_pair(t, depth, &n->kid[0], &n->kid[1]);
	n->kids = 2;
	return n;
}

static struct item *make_list(struct twin *t, enum value_type type, enum value_unit unit, unsigned depth);

static struct item *make_list_literal(struct twin *t, enum value_type type, enum value_unit unit,
				      unsigned depth)
{
	struct item *n = item_new(t, OP_LIST, TYPE_LIST, unit);

	n->kids = 1 + random_below(t, 3);
	for (unsigned i = 0; i < n->kids; i++)
		n->kid[i] = make(t, type, unit, depth);
	return n;
}

/* lists.codes, lists.words, or a literal where there is none of the type. */
static struct item *make_list_named(struct twin *t, enum value_type type, enum value_unit unit,
				    unsigned depth)
{
	if ((type != TYPE_INT || unit != UNIT_NONE) && type != TYPE_STRING)
		return make_list_literal(t, type, unit, depth);
	struct item *n = item_new(t, OP_NAMED, TYPE_LIST, unit);
	n->text = type == TYPE_INT ? "lists.codes" : "lists.words";
	n->literal = type == TYPE_INT ? (struct value){ .bytes = 4, .list = help_codes }
				      : (struct value){ .bytes = 3, .list = help_words };
	return n;
}

/* A macro over a list of `type`; the body is made of `result`, behind a condition where `condition` says so.
 */
static struct item *make_macro(struct twin *t, enum op op, struct kind of, struct kind result, bool condition,
			       unsigned depth)
{
	struct item *n =
		item_new(t, op, op == OP_MAP || op == OP_FILTER ? TYPE_LIST : TYPE_BOOL, result.unit);

	n->kid[n->kids++] = make_list(t, of.type, of.unit, depth);
	n->level = t->macros;
	t->macro[t->macros].type = of.type;
	t->macro[t->macros].unit = of.unit;
	t->macros++;
	if (condition)
		n->kid[n->kids++] = make(t, TYPE_BOOL, UNIT_NONE, depth);
	if (op == OP_MAP)
		n->kid[n->kids++] = make(t, result.type, result.unit, depth);
	t->macros--;
	return n;
}

static struct kind random_kind(struct twin *t)
{
	enum value_type type = random_type(t);

	return (struct kind){ type, type == TYPE_INT ? random_below(t, 3) : UNIT_NONE };
}

static struct item *make_list(struct twin *t, enum value_type type, enum value_unit unit, unsigned depth)
{
	unsigned way = random_below(t, 10);
	const struct kind of = { type, unit };

	if (depth == 0 || way < 4)
		return make_list_literal(t, type, unit, depth > 0 ? depth - 1 : 0);
	depth--;
	if (way < 6)
		return make_list_named(t, type, unit, depth);
	if (way == 6) {
		struct item *n = item_new(t, OP_JOIN, TYPE_LIST, unit);
		n->kid[n->kids++] = make_list(t, type, unit, depth);
		n->kid[n->kids++] = make_list(t, type, unit, depth);
		return n;
	}
	if (way == 7) {
		struct item *n = item_new(t, OP_CHOICE, TYPE_LIST, unit);
		n->kid[n->kids++] = make(t, TYPE_BOOL, UNIT_NONE, depth);
		n->kid[n->kids++] = make_list(t, type, unit, depth);
		n->kid[n->kids++] = make_list(t, type, unit, depth);
		return n;
	}
	if (t->macros == MACROS_MAX)
		return make_list_literal(t, type, unit, depth);
	if (way == 8)
		return make_macro(t, OP_FILTER, of, of, true, depth);
	struct kind from = random_kind(t);
	return make_macro(t, OP_MAP, from, of, random_below(t, 2), depth);
}

/* Of bool, with a list in it. */
static struct item *make_listed(struct twin *t, unsigned depth)
{
	unsigned way = random_below(t, 8);
	struct kind of = random_kind(t);
	struct item *n;

	if (way < 4 && t->macros < MACROS_MAX)
		return make_macro(t,
				  way == 0   ? OP_ALL
				  : way == 1 ? OP_ONE
					     : OP_EXISTS,
				  of, plain(TYPE_BOOL), true, depth);
	n = item_new(t, way == 4 ? OP_LIST_EQ : way == 5 ? OP_LIST_NE : OP_IN_LIST, TYPE_BOOL, UNIT_NONE);
	if (n->op == OP_IN_LIST)
		n->kid[n->kids++] = make(t, of.type, of.unit, depth);
	else
		n->kid[n->kids++] = make_list(t, of.type, of.unit, depth);
	n->kid[n->kids++] = make_list(t, of.type, of.unit, depth);
	if (n->op == OP_IN_LIST && n->kid[1]->op == OP_LIST) { /* x in [..] is OP_IN */
		n->kid[1] = make_list_named(t, TYPE_INT, UNIT_NONE, depth);
		n->kid[0] = make(t, TYPE_INT, UNIT_NONE, depth);
	}
	return n;
}

static struct item *make_bool(struct twin *t, unsigned depth)
{
	const struct kind boolean = plain(TYPE_BOOL), string = plain(TYPE_STRING);
	unsigned way = random_below(t, 11), pick = random_below(t, 6);

	if (t->lists && random_below(t, 3) == 0)
		return make_listed(t, depth);

	switch (way) {
	case 0:
	case 1:
	case 2:
		return make_op(t, pick % 2 ? OP_AND : OP_OR, boolean, depth, boolean, boolean, no_kind);
	case 3:
		return make_op(t, OP_NOT, boolean, depth, boolean, no_kind, no_kind);
	case 4:
		return make_op(t, OP_HAS, boolean, depth, plain(random_type(t)), no_kind, no_kind);
	case 5:
		return make_in(t, depth);
	case 6:
		return make_op(t, OP_STARTS + pick % 3, boolean, depth, string, string, no_kind);
	case 7: {
		struct item *n = make_op(t, OP_MATCHES, boolean, depth, string, no_kind, no_kind);
		n->variable = pick;
		return n;
	}
	default:
		return make_comparison(t, depth);
	}
}

static struct item *make_plain_int(struct twin *t, unsigned depth)
{
	const struct kind integer = plain(TYPE_INT);
	unsigned way = random_below(t, 8), pick = random_below(t, 10);

	if (t->lists && random_below(t, 8) == 0) {
		struct kind of = random_kind(t);
		struct item *n = item_new(t, OP_LIST_SIZE, TYPE_INT, UNIT_NONE);
		n->kid[n->kids++] = make_list(t, of.type, of.unit, depth);
		return n;
	}
	switch (way) {
	case 7:
		return make_op(t, pick % 2 ? OP_ZONE_HOURS : OP_OFFSET_HOURS, integer, depth,
			       plain(TYPE_TIMESTAMP), no_kind, no_kind);
	case 0:
		return make_op(t, OP_SIZE, integer, depth, plain(TYPE_STRING), no_kind, no_kind);
	case 1:
		return make_op(t, OP_INT, integer, depth, plain(TYPE_DOUBLE), no_kind, no_kind);
	case 2:
		return make_op(t, OP_INT, integer, depth, plain(TYPE_STRING), no_kind, no_kind);
	case 3:
		return make_op(t, pick % 2 ? OP_HOURS : OP_WEEKDAY, integer, depth, plain(TYPE_TIMESTAMP),
			       no_kind, no_kind);
	case 4:
		return make_op(t, OP_SECONDS, integer, depth, plain(TYPE_DURATION), no_kind, no_kind);
	default:
		return make_op(t, OP_ADD + pick % 5, integer, depth, integer, integer, no_kind);
	}
}

static struct item *make_int(struct twin *t, enum value_unit unit, unsigned depth)
{
	const struct kind integer = plain(TYPE_INT), result = { TYPE_INT, unit };
	unsigned way = random_below(t, 12), pick = random_below(t, 6);

	if (way < 2)
		return make_op(t, OP_NEG, result, depth, result, no_kind, no_kind);
	if (unit == UNIT_NONE)
		return make_plain_int(t, depth);
	if (way < 7)
		return make_op(t, OP_MUL + pick % 3, result, depth, result, integer, no_kind);
	return make_op(t, pick % 2 ? OP_ADD : OP_SUB, result, depth, result, pick < 3 ? integer : result,
		       no_kind);
}

static struct item *make_double(struct twin *t, unsigned depth)
{
	const struct kind real = plain(TYPE_DOUBLE);
	unsigned way = random_below(t, 5), pick = random_below(t, 12);

	if (way == 4) {
		struct item *n = item_new(t, OP_GEO, TYPE_DOUBLE, UNIT_NONE);
		while (n->kids < 4)
			n->kid[n->kids++] = make(t, TYPE_DOUBLE, UNIT_NONE, depth < 2 ? depth : 1);
		return n;
	}
	if (way == 0)
		return make_op(t, OP_DOUBLE, real, depth, (struct kind){ TYPE_INT, pick % 3 }, no_kind,
			       no_kind);
	if (way == 1)
		return make_op(t, OP_NEG, real, depth, real, no_kind, no_kind);
	return make_op(t, OP_ADD + pick % 4, real, depth, real, real, no_kind);
}

static struct item *make_string(struct twin *t, unsigned depth)
{
	const struct kind string = plain(TYPE_STRING);
	unsigned way = random_below(t, 6);

	if (way < 2)
		return make_op(t, OP_STRING, string, depth, plain(way ? TYPE_INT : TYPE_BOOL), no_kind,
			       no_kind);
	return make_op(t, OP_ADD, string, depth, string, string, no_kind);
}

static struct item *make_time(struct twin *t, enum value_type type, unsigned depth)
{
	const struct kind time = plain(TYPE_TIMESTAMP), span = plain(TYPE_DURATION), result = plain(type);
	bool add = random_below(t, 2), other = random_below(t, 2);

	if (type == TYPE_TIMESTAMP && random_below(t, 4) == 0)
		return make_op(t, OP_LOCAL, result, depth, time, no_kind, no_kind);
	if (type == TYPE_DURATION && !add && other)
		return make_op(t, OP_SUB, result, depth, time, time, no_kind);
	if (type == TYPE_TIMESTAMP && add && other)
		return make_op(t, OP_ADD, result, depth, span, time, no_kind);
	return make_op(t, add ? OP_ADD : OP_SUB, result, depth, result, span, no_kind);
}

static struct item *make(struct twin *t, enum value_type type, enum value_unit unit, unsigned depth)
{
	if (depth == 0 || random_below(t, 6) == 0) {
		bool literal = unit == UNIT_NONE && random_below(t, 2);
		return literal ? make_literal(t, type) : make_variable(t, type, unit);
	}
	depth--;
	if (t->lists && random_below(t, 16) == 0) {
		struct item *n = item_new(t, OP_INDEX, type, unit);
		n->kid[n->kids++] = make_list(t, type, unit, depth);
		n->kid[n->kids++] = make(t, TYPE_INT, UNIT_NONE, 1);
		return n;
	}
	if (random_below(t, 10) == 0)
		return make_op(t, OP_CHOICE, (struct kind){ type, unit }, depth, plain(TYPE_BOOL),
			       (struct kind){ type, unit }, (struct kind){ type, unit });
	switch (type) {
	case TYPE_BOOL:
		return make_bool(t, depth);
	case TYPE_INT:
		return make_int(t, unit, depth);
	case TYPE_DOUBLE:
		return make_double(t, depth);
	case TYPE_STRING:
		return make_string(t, depth);
	case TYPE_TIMESTAMP:
	case TYPE_DURATION:
		return make_time(t, type, depth);
	default:
		return random_below(t, 2) ? make_literal(t, type) : make_variable(t, type, unit);
	}
}

/* ---- as text ---- */

static unsigned precedence(const struct item *n)
{
	switch (n->op) {
	case OP_CHOICE:
		return 0;
	case OP_OR:
		return 1;
	case OP_AND:
		return 2;
	case OP_IN_LIST:
	case OP_LIST_EQ:
	case OP_LIST_NE:
		return 3;
	case OP_ADD:
	case OP_SUB:
	case OP_JOIN:
		return 4;
	case OP_MUL:
	case OP_DIV:
	case OP_MOD:
		return 5;
	case OP_NOT:
	case OP_NEG:
		return 6;
	default:
		return n->op >= OP_EQ && n->op <= OP_IN		  ? 3
		       : n->op == OP_LITERAL && n->text[0] == '-' ? 6
								  : 7;
	}
}

static void put(struct twin *t, const char *text)
{
	size_t len = strlen(text);

	assert_true(t->text_bytes + len < TEXT_BYTES);
	memcpy(t->text + t->text_bytes, text, len + 1);
	t->text_bytes += len;
}

static void write_item(struct twin *t, const struct item *n, unsigned least);

/* What the random patterns say, in words; `function` below looks for it by hand. */
static const char *const patterns[] = {
	"'^a'", "r'a$'", "r'^\\d+$'", "'x|1'", "'^.?$'", "'(?i)^[^A-Z]*$'",
};

static void write_list(struct twin *t, const struct item *n)
{
	put(t, "[");
	for (unsigned i = 0; i < n->kids; i++) {
		put(t, i > 0 ? ", " : "");
		write_item(t, n->kid[i], 0);
	}
	put(t, random_below(t, 8) ? "]" : ",]");
}

static void write_macro(struct twin *t, const struct item *n)
{
	static const char *const names[] = { [OP_FILTER] = "filter",
					     [OP_MAP] = "map",
					     [OP_EXISTS] = "exists",
					     [OP_ALL] = "all",
					     [OP_ONE] = "exists_one" };
	char element[] = { 'e', (char)('0' + n->level), '\0' };

	write_item(t, n->kid[0], 7);
	put(t, ".");
	put(t, names[n->op]);
	put(t, "(");
	put(t, element);
	for (unsigned i = 1; i < n->kids; i++) {
		put(t, ", ");
		write_item(t, n->kid[i], 0);
	}
	put(t, ")");
}

/* Calls whose last argument is a text of the test. */
static void write_fixed_call(struct twin *t, const struct item *n)
{
	bool function = n->op == OP_MATCHES && random_below(t, 2);

	put(t, function ? "matches(" : "");
	write_item(t, n->kid[0], function ? 0 : 7);
	if (n->op == OP_MATCHES) {
		put(t, function ? ", " : ".matches(");
		put(t, patterns[n->variable]);
	} else {
		put(t, n->op == OP_ZONE_HOURS ? ".getHours('Test/Zone'" : ".getHours('-05:30'");
	}
	put(t, ")");
}

static void write_call(struct twin *t, const struct item *n)
{
	static const char *const names[] = { [OP_LOCAL] = "local",
					     [OP_GEO] = "geo.km",
					     [OP_LIST_SIZE] = "size",
					     [OP_HAS] = "has",
					     [OP_SIZE] = "size",
					     [OP_STARTS] = "startsWith",
					     [OP_ENDS] = "endsWith",
					     [OP_CONTAINS] = "contains",
					     [OP_STRING] = "string",
					     [OP_INT] = "int",
					     [OP_DOUBLE] = "double",
					     [OP_HOURS] = "getHours",
					     [OP_WEEKDAY] = "getDayOfWeek",
					     [OP_SECONDS] = "getSeconds" };
	bool method = n->op >= OP_STARTS && n->op <= OP_CONTAINS;

	method = method || (n->op >= OP_HOURS && n->op <= OP_SECONDS) ||
		 ((n->op == OP_SIZE || n->op == OP_LIST_SIZE) && random_below(t, 2));
	if (method) {
		write_item(t, n->kid[0], 7);
		put(t, ".");
	}
	put(t, names[n->op]);
	put(t, "(");
	for (unsigned i = method; i < n->kids; i++) {
		put(t, i > method ? ", " : "");
		write_item(t, n->kid[i], 0);
	}
	put(t, ")");
}

static void write_in(struct twin *t, const struct item *n)
{
	write_item(t, n->kid[0], 3);
	put(t, " in [");
	for (unsigned i = 1; i < n->kids; i++) {
		if (i > 1)
			put(t, ",");
		write_item(t, n->kid[i], 0);
	}
	put(t, "]");
}

static void write_bare(struct twin *t, const struct item *n)
{
	static const char *const marks[] = {
		[OP_OR] = "||",	    [OP_AND] = "&&", [OP_EQ] = "==",	    [OP_NE] = "!=",
		[OP_LT] = "<",	    [OP_LE] = "<=",  [OP_GT] = ">",	    [OP_GE] = ">=",
		[OP_ADD] = "+",	    [OP_SUB] = "-",  [OP_MUL] = "*",	    [OP_DIV] = "/",
		[OP_MOD] = "%",	    [OP_JOIN] = "+", [OP_IN_LIST] = " in ", [OP_LIST_EQ] = "==",
		[OP_LIST_NE] = "!="
	};
	unsigned level = precedence(n);
	char element[] = { 'e', (char)('0' + n->level), '\0' };

	if (n->op == OP_LITERAL || n->op == OP_VARIABLE) {
		put(t, n->text);
	} else if (n->op == OP_CHOICE) {
		write_item(t, n->kid[0], 1);
		put(t, " ? ");
		write_item(t, n->kid[1], 1);
		put(t, " : ");
		write_item(t, n->kid[2], 0);
	} else if (n->op == OP_IN) {
		write_in(t, n);
	} else if (n->op == OP_NOT || n->op == OP_NEG) {
		put(t, n->op == OP_NOT ? "!" : "-");
		write_item(t, n->kid[0], 6);
	} else if (n->op == OP_ELEMENT || n->op == OP_NAMED) {
		put(t, n->op == OP_NAMED ? n->text : element);
	} else if (n->op == OP_LIST) {
		write_list(t, n);
	} else if (n->op >= OP_FILTER && n->op <= OP_ONE) {
		write_macro(t, n);
	} else if (n->op == OP_INDEX) {
		write_item(t, n->kid[0], 7);
		put(t, "[");
		write_item(t, n->kid[1], 0);
		put(t, "]");
	} else if (n->op == OP_MATCHES || n->op == OP_ZONE_HOURS || n->op == OP_OFFSET_HOURS) {
		write_fixed_call(t, n);
	} else if (level == 7) {
		write_call(t, n);
	} else {
		write_item(t, n->kid[0], level);
		put(t, random_below(t, 2) ? " " : "");
		put(t, marks[n->op]);
		put(t, random_below(t, 2) ? " " : "");
		write_item(t, n->kid[1], level + 1);
	}
}

static void write_item(struct twin *t, const struct item *n, unsigned least)
{
	bool parens = precedence(n) < least || random_below(t, 12) == 0;

	if (parens)
		put(t, "(");
	write_bare(t, n);
	if (parens)
		put(t, ")");
}

/* ---- what it means ---- */

struct outcome {
	enum value_status status;
	__int128 i;
	double d;
	uint16_t currency;
	size_t bytes;
	char s[STRING_BYTES];
};

static const struct outcome outcome_no_data = { .status = VALUE_NO_DATA },
			    outcome_error = { .status = VALUE_ERROR };

static enum value_status worse(enum value_status a, enum value_status b)
{
	return a > b ? a : b;
}

static void set_checked(struct outcome *out, __int128 i)
{
	out->i = i;
	if (i > INT64_MAX || i < INT64_MIN)
		*out = outcome_error;
}

/* Floor division */
static __int128 down(__int128 x, __int128 y)
{
	__int128 q = x / y;

	return q * y > x ? q - 1 : q;
}

static __int128 half_even(__int128 n, __int128 d)
{
	__int128 q = down(n, d), rest = n - q * d;

	return rest * 2 > d || (rest * 2 == d && q % 2 != 0) ? q + 1 : q;
}

/* In EUR: the rates of test_help.h, by hand. */
static void to_base(struct outcome *v)
{
	switch (v->currency) {
	case EUR:
		break;
	case USD:
		set_checked(v, half_even(v->i, 2));
		break;
	case KWD:
		set_checked(v, half_even(v->i * 3, 10));
		break;
	case JPY:
		break; /* 1 JPY = 0.01 EUR = 1 cent */
	default:
		*v = outcome_no_data;
	}
}

static void walk(const struct twin *t, const struct item *n, struct outcome *out);

static int order(const struct outcome *a, const struct outcome *b)
{
	size_t least = a->bytes < b->bytes ? a->bytes : b->bytes;
	int o = memcmp(a->s, b->s, least);

	if (o == 0)
		o = (a->bytes > b->bytes) - (a->bytes < b->bytes);
	return o;
}

static bool relation(enum op op, int o)
{
	switch (op) {
	case OP_EQ:
		return o == 0;
	case OP_NE:
		return o != 0;
	case OP_LT:
		return o < 0;
	case OP_LE:
		return o <= 0;
	case OP_GT:
		return o > 0;
	default:
		return o >= 0;
	}
}

static bool relation_double(enum op op, double a, double b)
{
	switch (op) {
	case OP_EQ:
		return a == b;
	case OP_NE:
		return a != b;
	case OP_LT:
		return a < b;
	case OP_LE:
		return a <= b;
	case OP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

static void as_money(const struct twin *t, const struct item *n, struct outcome *v)
{
	if (n->type == TYPE_INT)
		v->currency = n->unit == UNIT_EVENT ? t->currency : EUR;
}

static void compare(const struct twin *t, enum op op, const struct item *left, const struct outcome *l,
		    const struct item *right, const struct outcome *r, struct outcome *out)
{
	struct outcome a = *l, b = *r;

	*out = (struct outcome){ .status = worse(a.status, b.status) };
	if (out->status != VALUE_OK)
		return;
	if (left->type == TYPE_MONEY || right->type == TYPE_MONEY) {
		as_money(t, left, &a);
		as_money(t, right, &b);
		if (a.currency != b.currency) {
			to_base(&a);
			to_base(&b);
			out->status = worse(a.status, b.status);
			if (out->status != VALUE_OK)
				return;
		}
	}
	if (left->type == TYPE_STRING)
		out->i = relation(op, order(&a, &b));
	else if (left->type == TYPE_DOUBLE)
		out->i = relation_double(op, a.d, b.d);
	else
		out->i = relation(op, (a.i > b.i) - (a.i < b.i));
}

static void logic(enum op op, const struct outcome *a, const struct outcome *b, struct outcome *out)
{
	bool decides = op == OP_OR;

	*out = (struct outcome){ .status = VALUE_OK, .i = decides };
	if (a->status == VALUE_OK && a->i == decides)
		return;
	if (b->status == VALUE_OK && b->i == decides)
		return;
	out->status = worse(a->status, b->status);
	out->i = !decides;
}

static void contain(const struct twin *t, const struct item *n, struct outcome *out)
{
	struct outcome element, left, equal;
	enum value_status all;

	walk(t, n->kid[0], &left);
	all = left.status;
	for (unsigned i = 1; i < n->kids; i++) {
		walk(t, n->kid[i], &element);
		compare(t, OP_EQ, n->kid[0], &left, n->kid[i], &element, &equal);
		if (equal.status == VALUE_OK && equal.i) {
			*out = (struct outcome){ .i = 1 };
			return;
		}
		all = worse(all, equal.status);
	}
	*out = (struct outcome){ .status = all };
}

static void arithmetic_double(enum op op, double a, double b, struct outcome *out)
{
	out->d = op == OP_ADD ? a + b : op == OP_SUB ? a - b : op == OP_MUL ? a * b : a / b;
}

static void arithmetic_int(enum op op, __int128 a, __int128 b, struct outcome *out)
{
	if (op == OP_ADD)
		set_checked(out, a + b);
	else if (op == OP_SUB)
		set_checked(out, a - b);
	else if (op == OP_MUL)
		set_checked(out, a * b);
	else if (b == 0 || (a == INT64_MIN && b == -1))
		*out = outcome_error;
	else
		out->i = op == OP_DIV ? a / b : a % b;
}

static void arithmetic(const struct item *n, const struct outcome *a, const struct outcome *b,
		       struct outcome *out)
{
	if (n->type == TYPE_STRING) {
		assert_true(a->bytes + b->bytes < STRING_BYTES);
		memcpy(out->s, a->s, a->bytes);
		memcpy(out->s + a->bytes, b->s, b->bytes);
		out->bytes = a->bytes + b->bytes;
	} else if (n->type == TYPE_DOUBLE) {
		arithmetic_double(n->op, a->d, b->d, out);
	} else {
		arithmetic_int(n->op, a->i, b->i, out);
	}
}

static bool part_at(const struct outcome *a, const struct outcome *b, size_t at)
{
	return at + b->bytes <= a->bytes && memcmp(a->s + at, b->s, b->bytes) == 0;
}

static void contains(const struct outcome *a, const struct outcome *b, struct outcome *out)
{
	for (size_t at = 0; at <= a->bytes; at++)
		if (part_at(a, b, at))
			out->i = 1;
}

static void to_int(const struct item *of, const struct outcome *a, struct outcome *out)
{
	char text[STRING_BYTES + 1], *end;

	if (of->type == TYPE_DOUBLE) {
		if (!(a->d > -9223372036854775808.0) || !(a->d < 9223372036854775808.0))
			*out = outcome_error;
		else
			out->i = (__int128)a->d;
		return;
	}
	/* digits, with one sign before them; strtold knows the size */
	memcpy(text, a->s, a->bytes);
	text[a->bytes] = '\0';
	size_t sign = text[0] == '-' || text[0] == '+';
	if (strspn(text + sign, "0123456789") != a->bytes - sign || a->bytes == sign) {
		*out = outcome_error;
		return;
	}
	long double v = strtold(text, &end);
	if (v > (long double)INT64_MAX || v < (long double)INT64_MIN)
		*out = outcome_error;
	else
		out->i = (__int128)v;
}

/* The local time as if it were UTC: the zone of test_help.h by hand. */
static void shift(const struct outcome *a, struct outcome *out)
{
	__int128 s = down(a->i, 1000000000);

	set_checked(out, a->i + (s < 0 ? -3600 : s < 1709249415 ? 7200 : 19800) * (__int128)1000000000);
}

static __int128 hour_of(__int128 ns)
{
	return down(ns, 3600000000000) - down(ns, 86400000000000) * 24;
}

static bool is_matched(unsigned pattern, const struct outcome *a)
{
	size_t characters = 0;

	for (size_t i = 0; i < a->bytes; i++)
		characters += (a->s[i] & 0xC0) != 0x80;
	switch (pattern) {
	case 0:
		return a->bytes > 0 && a->s[0] == 'a';
	case 1:
		return a->bytes > 0 && a->s[a->bytes - 1] == 'a';
	case 2:
		for (size_t i = 0; i < a->bytes; i++)
			if (a->s[i] < '0' || a->s[i] > '9')
				return false;
		return a->bytes > 0;
	case 3:
		return memchr(a->s, 'x', a->bytes) || memchr(a->s, '1', a->bytes);
	case 4:
		return characters <= 1;
	default:
		for (size_t i = 0; i < a->bytes; i++)
			if ((a->s[i] >= 'a' && a->s[i] <= 'z') || (a->s[i] >= 'A' && a->s[i] <= 'Z'))
				return false;
		return true;
	}
}

/* Degrees to whole metres / 1000, with the C library and 64 bits of precision. */
static void distance(const struct outcome *at, struct outcome *out)
{
	const long double degree = 3.14159265358979323846264338327950288L / 180;

	for (int i = 0; i < 4; i++)
		if (!isfinite(at[i].d) || (i % 2 == 0 && fabs(at[i].d) > 90)) {
			*out = outcome_error;
			return;
		}
	long double lat = ((long double)at[0].d - at[2].d) * degree,
		    lon = (fmodl(at[1].d, 360) - fmodl(at[3].d, 360)) * degree;
	long double a = sinl(lat / 2) * sinl(lat / 2) +
			cosl(at[0].d * degree) * cosl(at[2].d * degree) * sinl(lon / 2) * sinl(lon / 2);
	out->d = (double)roundl(2 * 6371008.8L * asinl(sqrtl(a < 1 ? a : 1))) / 1000.0;
}

static void function(const struct item *n, const struct outcome *a, const struct outcome *b,
		     struct outcome *out)
{
	switch (n->op) {
	case OP_SIZE:
		for (size_t i = 0; i < a->bytes; i++)
			out->i += (a->s[i] & 0xC0) != 0x80;
		break;
	case OP_STARTS:
		out->i = part_at(a, b, 0);
		break;
	case OP_ENDS:
		out->i = a->bytes >= b->bytes && part_at(a, b, a->bytes - b->bytes);
		break;
	case OP_CONTAINS:
		contains(a, b, out);
		break;
	case OP_STRING:
		if (n->kid[0]->type == TYPE_BOOL)
			strcpy(out->s, a->i ? "true" : "false");
		else
			sprintf(out->s, "%" PRId64, (int64_t)a->i);
		out->bytes = strlen(out->s);
		break;
	case OP_INT:
		to_int(n->kid[0], a, out);
		break;
	case OP_DOUBLE:
		out->d = (double)(int64_t)a->i;
		break;
	case OP_HOURS:
		out->i = down(a->i, 3600000000000) - down(a->i, 86400000000000) * 24;
		break;
	case OP_WEEKDAY: { /* day 0 was a Thursday */
		__int128 day = down(a->i, 86400000000000) + 4;
		out->i = day - down(day, 7) * 7;
		break;
	}
	case OP_MATCHES:
		out->i = is_matched(n->variable, a);
		break;
	case OP_LOCAL:
		shift(a, out);
		break;
	case OP_ZONE_HOURS:
		shift(a, out);
		if (out->status == VALUE_OK)
			out->i = hour_of(out->i);
		break;
	case OP_OFFSET_HOURS:
		out->i = hour_of(a->i - 19800 * (__int128)1000000000);
		break;
	default:
		out->i = a->i / 1000000000;
	}
}

static void variable(const struct value *v, struct outcome *out)
{
	*out = (struct outcome){ .status = v->status, .i = v->i, .currency = v->currency };
	if (v->status != VALUE_OK)
		return;
	if (v->type == TYPE_DOUBLE)
		out->d = v->d;
	if (v->type == TYPE_STRING) {
		memcpy(out->s, v->s, v->bytes);
		out->bytes = v->bytes;
	}
}

static void choose(const struct twin *t, const struct item *n, const struct outcome *condition,
		   struct outcome *out)
{
	if (condition->status == VALUE_OK)
		walk(t, n->kid[condition->i ? 1 : 2], out);
	else
		*out = (struct outcome){ .status = condition->status };
}

struct outcomes {
	enum value_status status;
	unsigned count;
	struct outcome item[ELEMENTS_MAX];
};

static void walk_list(const struct twin *t, const struct item *n, struct outcomes *out);

static void outcomes_add(struct outcomes *out, const struct outcome *one)
{
	assert_true(out->count < ELEMENTS_MAX);
	out->item[out->count++] = *one;
}

/* The condition or result of a macro for one element. */
static void walk_body(const struct twin *t, const struct item *macro, const struct item *body,
		      const struct outcome *element, struct outcome *out)
{
	t->element[macro->level] = element;
	walk(t, body, out);
}

static void walk_made_list(const struct twin *t, const struct item *n, struct outcomes *out)
{
	struct outcomes *from = malloc(sizeof *from);
	struct outcome one;

	assert_non_null(from);
	walk_list(t, n->kid[0], from);
	out->status = from->status;
	for (unsigned i = 0; from->status == VALUE_OK && i < from->count; i++) {
		one = (struct outcome){ .i = 1 };
		if (n->op == OP_FILTER || n->kids == 3)
			walk_body(t, n, n->kid[1], &from->item[i], &one);
		out->status = worse(out->status, one.status);
		if (one.status != VALUE_OK || !one.i)
			continue;
		one = from->item[i];
		if (n->op == OP_MAP)
			walk_body(t, n, n->kid[n->kids - 1], &from->item[i], &one);
		outcomes_add(out, &one);
	}
	free(from);
}

static void walk_list(const struct twin *t, const struct item *n, struct outcomes *out)
{
	struct outcome one;

	out->status = VALUE_OK;
	out->count = 0;
	switch (n->op) {
	case OP_LIST:
		for (unsigned i = 0; i < n->kids; i++) {
			walk(t, n->kid[i], &one);
			outcomes_add(out, &one);
		}
		break;
	case OP_NAMED:
		for (unsigned i = 0; i < n->literal.bytes; i++) {
			variable(&n->literal.list[i], &one);
			outcomes_add(out, &one);
		}
		break;
	case OP_CHOICE:
		walk(t, n->kid[0], &one);
		out->status = one.status;
		if (one.status == VALUE_OK)
			walk_list(t, n->kid[one.i ? 1 : 2], out);
		break;
	case OP_JOIN: {
		struct outcomes *right = malloc(sizeof *right);
		assert_non_null(right);
		walk_list(t, n->kid[0], out);
		walk_list(t, n->kid[1], right);
		out->status = worse(out->status, right->status);
		for (unsigned i = 0; out->status == VALUE_OK && i < right->count; i++)
			outcomes_add(out, &right->item[i]);
		free(right);
		break;
	}
	default:
		walk_made_list(t, n, out);
	}
}

/* The type of a list's elements, as an item that compare can look at. */
static struct item element_item(const struct item *list)
{
	while (list->op != OP_LIST && list->op != OP_NAMED && list->op != OP_MAP)
		list = list->kid[list->op == OP_CHOICE];
	if (list->op == OP_NAMED)
		return (struct item){ .type = list->literal.list[0].type };
	return *list->kid[list->op == OP_MAP ? list->kids - 1 : 0];
}

static void walk_quantifier(const struct twin *t, const struct item *n, const struct outcomes *list,
			    struct outcome *out)
{
	enum value_status worst = VALUE_OK;
	unsigned hits = 0, misses = 0;
	struct outcome one;

	for (unsigned i = 0; i < list->count; i++) {
		walk_body(t, n, n->kid[1], &list->item[i], &one);
		worst = worse(worst, one.status);
		hits += one.status == VALUE_OK && one.i;
		misses += one.status == VALUE_OK && !one.i;
	}
	*out = (struct outcome){ .status = worst, .i = n->op == OP_ALL || (n->op == OP_ONE && hits == 1) };
	if (n->op == OP_EXISTS && hits > 0)
		*out = (struct outcome){ .i = 1 };
	if (n->op == OP_ALL && misses > 0)
		*out = (struct outcome){ .i = 0 };
}

static void walk_lists_equal(const struct twin *t, const struct item *n, const struct outcomes *a,
			     struct outcome *out)
{
	const struct item left = element_item(n->kid[0]), right = element_item(n->kid[1]);
	struct outcomes *b = malloc(sizeof *b);
	struct outcome one;
	bool differ;

	assert_non_null(b);
	walk_list(t, n->kid[1], b);
	*out = (struct outcome){ .status = worse(a->status, b->status), .i = 1 };
	differ = out->status == VALUE_OK && a->count != b->count;
	for (unsigned i = 0; out->status != VALUE_ERROR && !differ && a->status == VALUE_OK &&
			     b->status == VALUE_OK && i < a->count;
	     i++) {
		compare(t, OP_EQ, &left, &a->item[i], &right, &b->item[i], &one);
		differ = one.status == VALUE_OK && !one.i;
		out->status = worse(out->status, one.status);
	}
	/* one pair that differs decides, wherever it stands */
	for (unsigned i = 0; a->status == VALUE_OK && b->status == VALUE_OK && !differ && i < a->count; i++) {
		compare(t, OP_EQ, &left, &a->item[i], &right, &b->item[i], &one);
		differ = one.status == VALUE_OK && !one.i;
	}
	if (differ)
		*out = (struct outcome){ .i = 0 };
	if (out->status == VALUE_OK && n->op == OP_LIST_NE)
		out->i = !out->i;
	free(b);
}

/* An operation that takes a list, its last operand but for INDEX. */
static void walk_listed(const struct twin *t, const struct item *n, struct outcome *out)
{
	struct outcomes *list = malloc(sizeof *list);
	struct outcome x, one;

	assert_non_null(list);
	walk_list(t, n->kid[n->op == OP_IN_LIST], list);
	*out = (struct outcome){ .status = list->status };
	if (n->op == OP_LIST_EQ || n->op == OP_LIST_NE) {
		walk_lists_equal(t, n, list, out);
	} else if (n->op == OP_IN_LIST) {
		const struct item element = element_item(n->kid[1]);
		walk(t, n->kid[0], &x);
		out->status = worse(x.status, list->status);
		bool hit = false;
		for (unsigned i = 0; list->status == VALUE_OK && i < list->count; i++) {
			compare(t, OP_EQ, n->kid[0], &x, &element, &list->item[i], &one);
			hit = hit || (one.status == VALUE_OK && one.i);
			out->status = worse(out->status, one.status);
		}
		if (hit)
			*out = (struct outcome){ .i = 1 };
	} else if (n->op == OP_INDEX) {
		walk(t, n->kid[1], &x);
		out->status = worse(x.status, list->status);
		if (out->status == VALUE_OK && x.i >= 0 && x.i < list->count)
			*out = list->item[x.i];
		else if (out->status == VALUE_OK)
			*out = outcome_error;
	} else if (list->status == VALUE_OK && n->op == OP_LIST_SIZE) {
		out->i = list->count;
	} else if (list->status == VALUE_OK) {
		walk_quantifier(t, n, list, out);
	}
	free(list);
}

static void walk_geo(const struct twin *t, const struct item *n, struct outcome *out)
{
	struct outcome at[4];

	*out = (struct outcome){ .status = VALUE_OK };
	for (int i = 0; i < 4; i++) {
		walk(t, n->kid[i], &at[i]);
		out->status = worse(out->status, at[i].status);
	}
	if (out->status == VALUE_OK)
		distance(at, out);
	else if (out->status == VALUE_NO_DATA) {
		/* a pair with data that is no place is an error */
		for (int i = 0; i < 2; i++)
			if (at[i].status == VALUE_OK && at[i + 2].status == VALUE_OK &&
			    (!isfinite(at[i].d) || !isfinite(at[i + 2].d) ||
			     (i == 0 && (fabs(at[0].d) > 90 || fabs(at[2].d) > 90))))
				*out = outcome_error;
	}
}

static void walk(const struct twin *t, const struct item *n, struct outcome *out)
{
	struct outcome a = { 0 }, b = { 0 };

	if (n->op == OP_ELEMENT) {
		*out = *t->element[n->level];
		return;
	}
	if (n->op == OP_GEO) {
		walk_geo(t, n, out);
		return;
	}
	if (n->op >= OP_EXISTS) {
		walk_listed(t, n, out);
		return;
	}

	if (n->op == OP_LITERAL || n->op == OP_VARIABLE) {
		variable(n->op == OP_LITERAL ? &n->literal : &t->bind[n->variable], out);
		return;
	}
	if (n->op == OP_IN) {
		contain(t, n, out);
		return;
	}
	walk(t, n->kid[0], &a);
	if (n->op == OP_CHOICE) {
		choose(t, n, &a, out);
		return;
	}
	if (n->kids > 1)
		walk(t, n->kid[1], &b);
	if (n->op == OP_AND || n->op == OP_OR) {
		logic(n->op, &a, &b, out);
	} else if (n->op == OP_HAS) {
		*out = (struct outcome){ .i = a.status == VALUE_OK };
		if (a.status == VALUE_ERROR)
			*out = outcome_error;
	} else if (n->op >= OP_EQ && n->op <= OP_GE) {
		compare(t, n->op, n->kid[0], &a, n->kid[1], &b, out);
	} else {
		*out = (struct outcome){ .status = worse(a.status, b.status) };
		if (out->status != VALUE_OK)
			return;
		if (n->op == OP_NOT)
			out->i = !a.i;
		else if (n->op == OP_NEG && n->type == TYPE_DOUBLE)
			out->d = -a.d;
		else if (n->op == OP_NEG)
			set_checked(out, -a.i);
		else if (n->op >= OP_ADD && n->op <= OP_MOD)
			arithmetic(n, &a, &b, out);
		else
			function(n, &a, &b, out);
	}
}

/* ---- the comparison ---- */

static void inputs_make(struct twin *t)
{
	static const int64_t ints[] = {
		0, 1, -1, 2, 7, 100, 5000, -5000, INT64_MAX, INT64_MIN, 1709249415678000000
	};
	static const double doubles[] = { 0.0, -0.0, 1.5, -2.25, 41.390205, 1e300, 5e-324 };
	static const char *const strings[] = {
		"", "a", "12", "-7", "99999999999999999999", "xa", "\xf0\x9f\x90\xb1"
	};
	static const uint16_t currencies[] = { EUR, USD, KWD, JPY, CHF };

	t->currency = currencies[random_below(t, 5)];
	for (unsigned k = 0; k < HELP_COUNT; k++) {
		struct value *v = &t->bind[k];
		unsigned fate = random_below(t, 10);
		*v = (struct value){ .type = (uint8_t)help_names[k].type };
		if (fate < 3) {
			v->status = fate < 2 ? VALUE_NO_DATA : VALUE_ERROR;
			v->bytes = fate < 2 ? 0 : VALUE_ERROR_RANGE;
			continue;
		}
		v->i = ints[random_below(t, 11)];
		if (v->type == TYPE_BOOL)
			v->i = random_below(t, 2);
		if (v->type == TYPE_DOUBLE)
			v->d = doubles[random_below(t, 7)];
		if (v->type == TYPE_MONEY)
			v->currency = currencies[random_below(t, 5)];
		if (v->type == TYPE_STRING) {
			v->s = strings[random_below(t, 7)];
			v->bytes = (uint32_t)strlen(v->s);
		}
	}
}

static bool agree(const struct item *root, const struct value *got, const struct outcome *want)
{
	if (got->type != root->type || got->status != want->status)
		return false;
	if (want->status != VALUE_OK)
		return true;
	if (root->type == TYPE_DOUBLE)
		return (isnan(got->d) && isnan(want->d)) ||
		       (got->d == want->d && signbit(got->d) == signbit(want->d));
	if (root->type == TYPE_STRING)
		return got->bytes == want->bytes && memcmp(got->s, want->s, got->bytes) == 0;
	return got->i == want->i && got->currency == want->currency;
}

struct tally {
	unsigned status[3], refused, interpreted;
};

static void expression_run(struct twin *t, struct help *h, struct tally *tally)
{
	static struct outcome want;
	enum value_type type = random_below(t, 3) ? TYPE_BOOL : random_type(t);

	const struct outcome *element[MACROS_MAX];

	t->count = 0;
	t->text_bytes = 0;
	t->macros = 0;
	t->element = element;
	t->lists = random_below(t, 3) == 0;
	const struct item *root = make(t, type, UNIT_NONE, DEPTH);
	write_item(t, root, 0);
	help_init(h);
	if (help_compile(h, t->text) != 0) {
		/* the only reason for which a good tree may be refused */
		if (!strstr(h->error.found, "instructions") && !strstr(h->error.found, "steps") &&
		    !strstr(h->error.found, "elements"))
			fail_msg("%s: refused: %s, %s", t->text, h->error.found, h->error.expected);
		tally->refused++;
		help_deinit(h);
		return;
	}
	tally->interpreted += h->program.interpreted;
	for (int k = 0; k < INPUTS; k++) {
		inputs_make(t);
		memcpy(h->bind, t->bind, sizeof h->bind);
		h->env.currency = t->currency;
		struct value got = cel_eval(&h->program, &h->env);
		walk(t, root, &want);
		if (!agree(root, &got, &want))
			fail_msg("%s: status %u, %" PRId64 " %g; the twin: status %u, %" PRId64 " %g",
				 t->text, got.status, got.i, got.d, want.status, (int64_t)want.i, want.d);
		tally->status[want.status]++;
	}
	help_deinit(h);
}

static void random_expressions_give_what_the_twin_gives(void **state)
{
	static struct twin t;
	static struct help h;
	struct tally tally = { 0 };
	const char *seed = getenv("CEL_SEED");

	(void)state;
	t.seed = seed ? strtoull(seed, NULL, 0) : 20260731;
	print_message("seed %" PRIu64 " (CEL_SEED)\n", t.seed);
	t.seed = t.seed * 2 + 1; /* never 0 */
	for (int i = 0; i < EXPRESSIONS; i++)
		expression_run(&t, &h, &tally);
	print_message("%d expressions, %u interpreted: %u values, %u no data, %u errors, %u too long\n",
		      EXPRESSIONS, tally.interpreted, tally.status[0], tally.status[1], tally.status[2],
		      tally.refused);
	assert_true(tally.interpreted > EXPRESSIONS / 8);
	/* the comparison is worth something only where all three results are common */
	assert_true(tally.refused < EXPRESSIONS / 20);
	for (int i = 0; i < 3; i++)
		assert_true(tally.status[i] > EXPRESSIONS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_expressions_give_what_the_twin_gives) };

	return cmocka_run_group_tests_name("cel_twin", tests, NULL, NULL);
}
