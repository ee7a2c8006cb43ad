/*
 * function.c: the functions and methods of CEL that are built, by name and argument types, and the names
 * of those that are not.
 *
 * In: a CALL whose arguments are checked. Out: its type and operation; timestamp("..") and its like over
 * a literal become the literal, so a text that cannot be read is an error at its place and not at run time.
 */
#include "function.h"
#include "convert.h"
#include "regex.h"
#include "tree.h"

#include <assert.h>
#include <base/money.h>
#include <stdio.h>
#include <string.h>

enum { AS_FUNCTION = 1, AS_METHOD = 2, AS_BOTH = 3, ARGUMENTS_MAX = 4, FUNCTION_NAME_BYTES_MAX = 24 };

struct function {
	const char *name;
	uint8_t form, arguments;
	uint8_t argument[ARGUMENTS_MAX]; /* enum value_type */
	uint8_t result;
	uint8_t op; /* OP_NONE: the argument as it is */
};

#define ACCESSOR(name, op)                                                                                   \
	{                                                                                                    \
		name, AS_METHOD, 1, { TYPE_TIMESTAMP }, TYPE_INT, op                                         \
	}
static const struct function functions[] = {
	{ "size", AS_BOTH, 1, { TYPE_STRING }, TYPE_INT, OP_STRING_SIZE },
	{ "size", AS_BOTH, 1, { TYPE_LIST }, TYPE_INT, OP_LIST_SIZE },
	{ "matches", AS_BOTH, 2, { TYPE_STRING, TYPE_STRING }, TYPE_BOOL, OP_STRING_MATCHES },
	{ "local", AS_FUNCTION, 1, { TYPE_TIMESTAMP }, TYPE_TIMESTAMP, OP_TIME_LOCAL },
	{ "geo.km",
	  AS_FUNCTION,
	  4,
	  { TYPE_DOUBLE, TYPE_DOUBLE, TYPE_DOUBLE, TYPE_DOUBLE },
	  TYPE_DOUBLE,
	  OP_GEO_KM },
	{ "startsWith", AS_METHOD, 2, { TYPE_STRING, TYPE_STRING }, TYPE_BOOL, OP_STRING_STARTS },
	{ "endsWith", AS_METHOD, 2, { TYPE_STRING, TYPE_STRING }, TYPE_BOOL, OP_STRING_ENDS },
	{ "contains", AS_METHOD, 2, { TYPE_STRING, TYPE_STRING }, TYPE_BOOL, OP_STRING_CONTAINS },
	{ "int", AS_FUNCTION, 1, { TYPE_INT }, TYPE_INT, OP_NONE },
	{ "int", AS_FUNCTION, 1, { TYPE_DOUBLE }, TYPE_INT, OP_INT_OF_DOUBLE },
	{ "int", AS_FUNCTION, 1, { TYPE_STRING }, TYPE_INT, OP_INT_OF_STRING },
	{ "int", AS_FUNCTION, 1, { TYPE_TIMESTAMP }, TYPE_INT, OP_INT_OF_TIME },
	{ "double", AS_FUNCTION, 1, { TYPE_DOUBLE }, TYPE_DOUBLE, OP_NONE },
	{ "double", AS_FUNCTION, 1, { TYPE_INT }, TYPE_DOUBLE, OP_DOUBLE_OF_INT },
	{ "double", AS_FUNCTION, 1, { TYPE_STRING }, TYPE_DOUBLE, OP_DOUBLE_OF_STRING },
	{ "string", AS_FUNCTION, 1, { TYPE_STRING }, TYPE_STRING, OP_NONE },
	{ "string", AS_FUNCTION, 1, { TYPE_BOOL }, TYPE_STRING, OP_STRING_OF_BOOL },
	{ "string", AS_FUNCTION, 1, { TYPE_INT }, TYPE_STRING, OP_STRING_OF_INT },
	{ "string", AS_FUNCTION, 1, { TYPE_DOUBLE }, TYPE_STRING, OP_STRING_OF_DOUBLE },
	{ "string", AS_FUNCTION, 1, { TYPE_TIMESTAMP }, TYPE_STRING, OP_STRING_OF_TIME },
	{ "string", AS_FUNCTION, 1, { TYPE_DURATION }, TYPE_STRING, OP_STRING_OF_DURATION },
	{ "string", AS_FUNCTION, 1, { TYPE_MONEY }, TYPE_STRING, OP_STRING_OF_MONEY },
	{ "bool", AS_FUNCTION, 1, { TYPE_BOOL }, TYPE_BOOL, OP_NONE },
	{ "bool", AS_FUNCTION, 1, { TYPE_STRING }, TYPE_BOOL, OP_BOOL_OF_STRING },
	{ "timestamp", AS_FUNCTION, 1, { TYPE_TIMESTAMP }, TYPE_TIMESTAMP, OP_NONE },
	{ "timestamp", AS_FUNCTION, 1, { TYPE_STRING }, TYPE_TIMESTAMP, OP_TIME_OF_STRING },
	{ "timestamp", AS_FUNCTION, 1, { TYPE_INT }, TYPE_TIMESTAMP, OP_TIME_OF_INT },
	{ "duration", AS_FUNCTION, 1, { TYPE_DURATION }, TYPE_DURATION, OP_NONE },
	{ "duration", AS_FUNCTION, 1, { TYPE_STRING }, TYPE_DURATION, OP_DURATION_OF_STRING },
	ACCESSOR("getFullYear", OP_TIME_YEAR),
	ACCESSOR("getMonth", OP_TIME_MONTH),
	ACCESSOR("getDate", OP_TIME_DATE),
	ACCESSOR("getDayOfMonth", OP_TIME_DAY_OF_MONTH),
	ACCESSOR("getDayOfWeek", OP_TIME_DAY_OF_WEEK),
	ACCESSOR("getDayOfYear", OP_TIME_DAY_OF_YEAR),
	ACCESSOR("getHours", OP_TIME_HOURS),
	ACCESSOR("getMinutes", OP_TIME_MINUTES),
	ACCESSOR("getSeconds", OP_TIME_SECONDS),
	ACCESSOR("getMilliseconds", OP_TIME_MILLISECONDS),
	{ "getHours", AS_METHOD, 1, { TYPE_DURATION }, TYPE_INT, OP_DURATION_HOURS },
	{ "getMinutes", AS_METHOD, 1, { TYPE_DURATION }, TYPE_INT, OP_DURATION_MINUTES },
	{ "getSeconds", AS_METHOD, 1, { TYPE_DURATION }, TYPE_INT, OP_DURATION_SECONDS },
	{ "getMilliseconds", AS_METHOD, 1, { TYPE_DURATION }, TYPE_INT, OP_DURATION_MILLISECONDS },
};
#undef ACCESSOR
enum { FUNCTION_COUNT = sizeof functions / sizeof functions[0] };

/* Looked at apart, because they take a literal or anything. */
static const char *const specials[] = { "has", "money" };

bool cel_function_not_built(const char *name)
{
	static const char *const names[] = {
		"uint", "bytes", "type", "dyn", "place.nearest",
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool cel_function_is_dotted(const char *name)
{
	return strcmp(name, "geo.km") == 0 || strcmp(name, "place.nearest") == 0;
}

static bool op_is_accessor(unsigned op)
{
	return op >= OP_TIME_YEAR && op <= OP_TIME_MILLISECONDS;
}

/* Edits (insert, delete, replace) between two short names. */
static unsigned name_distance(const char *a, const char *b)
{
	unsigned row[FUNCTION_NAME_BYTES_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > FUNCTION_NAME_BYTES_MAX || nb > FUNCTION_NAME_BYTES_MAX)
		return UINT32_MAX;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned replace = corner + (a[i - 1] != b[j - 1]);
			unsigned one = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			corner = row[j];
			row[j] = replace < one ? replace : one;
		}
	}
	return row[nb];
}

static const char *name_nearest(const char *name)
{
	const char *best = NULL;
	unsigned best_distance = 3;

	for (size_t i = 0; i < FUNCTION_COUNT + sizeof specials / sizeof specials[0]; i++) {
		const char *known = i < FUNCTION_COUNT ? functions[i].name : specials[i - FUNCTION_COUNT];
		unsigned distance = name_distance(name, known);
		if (distance < best_distance) {
			best = known;
			best_distance = distance;
		}
	}
	return best;
}

static bool refuse_unknown(struct compiler *c, const struct node *n)
{
	const char *near = name_nearest(n->name);

	if (near)
		return cel_refuse(c, n->name_at, n->name, "a function; did you mean %s?", near);
	return cel_refuse(c, n->name_at, n->name,
			  "a function: has, size, startsWith, endsWith, contains, matches, int, double, "
			  "string, bool, timestamp, duration, money, local, geo.km, getHours ..");
}

static bool check_count(struct compiler *c, const struct node *n, unsigned least, unsigned most)
{
	char figure[32], more[16] = "";
	unsigned receiver = n->is_method, count = n->count - receiver;

	if (n->count >= least && n->count <= most)
		return true;
	snprintf(figure, sizeof figure, "%u argument%s", count, count == 1 ? "" : "s");
	if (most != least)
		snprintf(more, sizeof more, " to %u", most - receiver);
	return cel_refuse(c, n->name_at, figure, "%u%s for %s()", least - receiver, more, n->name);
}

/* The types that the functions of a name take as argument `at`: "int, double or string". */
static void types_list(const char *name, unsigned at, char *out, size_t room)
{
	unsigned types = 0;
	size_t n = 0;

	for (size_t i = 0; i < FUNCTION_COUNT; i++)
		if (strcmp(functions[i].name, name) == 0)
			types |= 1u << functions[i].argument[at];
	out[0] = '\0';
	for (unsigned type = TYPE_BOOL; type < TYPE_COUNT; type++) {
		if (!(types & 1u << type))
			continue;
		types &= ~(1u << type);
		const char *separator = n == 0 ? "" : types ? ", " : " or ";
		n += (size_t)snprintf(out + n, room - n, "%s%s", separator,
				      cel_type_name((enum value_type)type));
		assert(n < room);
	}
}

static bool refuse_argument(struct compiler *c, const struct node *n, const struct node *argument,
			    unsigned at)
{
	char types[128];

	types_list(n->name, at, types, sizeof types);
	return cel_refuse(c, argument->start, cel_unit_type_name(argument->type, argument->unit),
			  "%s (%s of %s())", types, n->is_method && at == 0 ? "receiver" : "argument",
			  n->name);
}

/* A text that does not read as `form`, found at the literal. */
static bool refuse_text(struct compiler *c, const struct node *text, enum value_error e, const char *form)
{
	return cel_refuse_text(c, text->start, text->end, "%s%s", form,
			       e == VALUE_ERROR_RANGE ? " that is in range" : "");
}

/* timestamp("..") or duration(".."): the call becomes the literal. */
static bool literal_convert(struct compiler *c, struct node *n)
{
	const struct node *text = n->list;
	struct value v = { .type = n->op == OP_TIME_OF_STRING ? TYPE_TIMESTAMP : TYPE_DURATION };
	enum value_error e = v.type == TYPE_TIMESTAMP
				     ? cel_time_parse(text->value.s, text->value.bytes, &v.i)
				     : cel_duration_parse(text->value.s, text->value.bytes, &v.i);

	if (e != VALUE_ERROR_NONE && v.type == TYPE_TIMESTAMP)
		return refuse_text(
			c, text, e,
			"an RFC 3339 time from 1677-09-21 to 2262-04-11, as \"2026-01-31T08:00:00Z\"");
	if (e != VALUE_ERROR_NONE)
		return refuse_text(c, text, e,
				   "a duration of h, m, s, ms, us, ns, as \"1h30m\" (a day is \"24h\")");
	n->kind = NODE_LITERAL;
	n->value = v;
	return true;
}

static bool check_money(struct compiler *c, struct node *n)
{
	const struct node *text = n->list;
	struct value v = { .type = TYPE_MONEY };

	if (!check_count(c, n, 1, 1))
		return false;
	if (n->is_method)
		return cel_refuse(c, n->name_at, n->name, "a method; write money(\"100.00 EUR\")");
	if (text->kind != NODE_LITERAL || text->type != TYPE_STRING)
		return cel_refuse(c, text->start, cel_unit_type_name(text->type, text->unit),
				  "a literal, as money(\"100.00 EUR\")");
	if (!money_parse(text->value.s, text->value.bytes, &v.i, &v.currency))
		return refuse_text(c, text, VALUE_ERROR_CONVERT,
				   "an amount, a space and a currency of ISO 4217 with at most its decimals, "
				   "as \"100.00 EUR\"");
	n->kind = NODE_LITERAL;
	n->type = TYPE_MONEY;
	n->value = v;
	return true;
}

static bool check_has(struct compiler *c, struct node *n)
{
	if (!check_count(c, n, 1, 1))
		return false;
	if (n->is_method)
		return cel_refuse(c, n->name_at, n->name, "a method; write has(x)");
	n->type = TYPE_BOOL;
	n->op = OP_HAS;
	return true;
}

static bool check_zone(struct compiler *c, struct node *n)
{
	const struct node *zone = n->list->sibling;

	if (!zone)
		return true;
	if (zone->kind != NODE_LITERAL || zone->type != TYPE_STRING)
		return cel_refuse(c, zone->start, cel_type_name(zone->type),
				  "a literal offset, as \"+02:00\", or zone, as \"Europe/Madrid\" (not built "
				  "yet: computed zones)");
	if (cel_offset_parse(zone->value.s, zone->value.bytes, &n->zone_s))
		return true;
	if (!c->scope->zone)
		return cel_refuse_text(c, zone->start, zone->end,
				       "an offset, as \"+02:00\", or \"UTC\" (not built yet: zone names)");
	n->zone = c->scope->zone(c->scope->ctx, zone->value.s, zone->value.bytes);
	if (!n->zone)
		return cel_refuse_text(c, zone->start, zone->end,
				       "an offset, as \"+02:00\", or a zone, as \"Europe/Madrid\"");
	n->zone_s = 0;
	return true;
}

static bool refuse_pattern(struct compiler *c, const struct node *pattern, const struct regex_draft *draft,
			   const struct regex_error *e)
{
	const char *at = pattern->value.s + e->offset;
	char found[64];
	size_t bytes;

	if (draft->needed > REGEX_INSTRUCTIONS_MAX) {
		snprintf(found, sizeof found, "a pattern of %llu instructions",
			 (unsigned long long)draft->needed);
		return cel_refuse(c, pattern->start, found, "%s", e->expected);
	}
	if (e->bytes == 0)
		return cel_refuse(c, pattern->start, "the end of the pattern", "%s", e->expected);
	bytes = e->bytes < sizeof found ? e->bytes : sizeof found - 1;
	while (bytes < e->bytes && ((unsigned char)at[bytes] & 0xC0) == 0x80)
		bytes--; /* between characters */
	for (size_t i = 0; i < bytes; i++)
		found[i] = at[i] ? at[i] : ' ';
	found[bytes] = '\0';
	return cel_refuse(c, pattern->start, found, "in the pattern %s", e->expected);
}

static const struct regex *regex_keep(struct arena *arena, const struct regex *from)
{
	struct regex *r = arena_take(arena, sizeof *r);
	struct regex_instruction *code = arena_array(arena, struct regex_instruction, from->instructions);
	struct regex_range *range = arena_array(arena, struct regex_range, from->ranges + 1);

	if (!r || !code || !range)
		return NULL;
	memcpy(code, from->code, from->instructions * sizeof *code);
	memcpy(range, from->range, from->ranges * sizeof *range);
	*r = (struct regex){ from->instructions, from->ranges, code, range, NULL };
	struct regex_table table;
	if (!regex_table_build(r, &table))
		return r;
	struct regex_table *kept = arena_take(arena, sizeof *kept);
	if (!kept)
		return NULL;
	*kept = table;
	r->table = kept;
	return r;
}

/* The pattern is compiled with the expression: its cost is known, and its mistakes are told at once. */
static bool check_pattern(struct compiler *c, struct node *n)
{
	const struct node *pattern = n->list->sibling;
	struct regex_draft draft;
	struct regex_error e;

	if (pattern->kind != NODE_LITERAL)
		return cel_refuse_text(
			c, pattern->start, pattern->end,
			"a literal pattern, as r\"^[A-Z]{2}\": what is computed has no bounded cost");
	if (!regex_compile(&draft, pattern->value.s, pattern->value.bytes, &e))
		return refuse_pattern(c, pattern, &draft, &e);
	n->regex = regex_keep(c->arena, &draft.regex);
	return n->regex ? true : cel_refuse_memory(c);
}

static bool function_takes(const struct function *f, const struct node *n)
{
	unsigned i = 0;

	if (strcmp(f->name, n->name) != 0)
		return false;
	for (const struct node *argument = n->list; argument && i < f->arguments;
	     argument = argument->sibling, i++)
		if (argument->type != f->argument[i])
			return false;
	return true;
}

/* No function of that name takes these types: tells which argument it is. */
static bool refuse_types(struct compiler *c, const struct node *n, const struct function *named)
{
	unsigned at = 0;

	for (const struct node *argument = n->list; argument; argument = argument->sibling, at++) {
		bool taken = false;
		for (size_t i = 0; i < FUNCTION_COUNT && !taken; i++)
			taken = strcmp(functions[i].name, named->name) == 0 &&
				functions[i].argument[at] == argument->type;
		if (!taken)
			return refuse_argument(c, n, argument, at);
	}
	assert(false && "where each argument alone is taken, the pair is");
	return false;
}

static bool check_form(struct compiler *c, const struct node *n, const struct function *f)
{
	if (n->is_method && !(f->form & AS_METHOD))
		return cel_refuse(c, n->name_at, n->name, "a method; %s is a function: write %s(x)", f->name,
				  f->name);
	if (!n->is_method && !(f->form & AS_FUNCTION))
		return cel_refuse(c, n->name_at, n->name, "a function; %s is a method: write x.%s(%s)",
				  f->name, f->name, f->arguments > 1 ? "y" : "");
	return true;
}

bool cel_check_call(struct compiler *c, struct node *n)
{
	const struct function *named = NULL, *taken = NULL;

	if (strcmp(n->name, "has") == 0)
		return check_has(c, n);
	if (strcmp(n->name, "money") == 0)
		return check_money(c, n);
	for (size_t i = FUNCTION_COUNT; i-- > 0;)
		if (strcmp(functions[i].name, n->name) == 0)
			named = &functions[i];
	if (!named)
		return refuse_unknown(c, n);
	bool timed = op_is_accessor(named->op) && n->count > 0 && n->list->type == TYPE_TIMESTAMP;
	if (!check_form(c, n, named) || !check_count(c, n, named->arguments, named->arguments + timed))
		return false;
	for (size_t i = 0; i < FUNCTION_COUNT && !taken; i++)
		if (function_takes(&functions[i], n))
			taken = &functions[i];
	if (!taken)
		return refuse_types(c, n, named);
	n->type = taken->result;
	n->op = taken->op;
	n->unit = taken->op == OP_NONE ? n->list->unit : UNIT_NONE;
	assert(n->type != TYPE_LIST);
	if (timed)
		return check_zone(c, n);
	if (n->op == OP_STRING_MATCHES)
		return check_pattern(c, n);
	if ((n->op == OP_TIME_OF_STRING || n->op == OP_DURATION_OF_STRING) && n->list->kind == NODE_LITERAL)
		return literal_convert(c, n);
	return true;
}

enum cel_op cel_function_find(const char *name, bool is_method, const uint8_t *types, unsigned count)
{
	for (size_t i = 0; i < FUNCTION_COUNT; i++) {
		const struct function *f = &functions[i];
		if (f->arguments != count || !(f->form & (is_method ? AS_METHOD : AS_FUNCTION)) ||
		    strcmp(f->name, name) != 0)
			continue;
		if (memcmp(f->argument, types, count) == 0)
			return f->op == OP_NONE ? OP_MOVE : (enum cel_op)f->op;
	}
	return OP_NONE;
}
