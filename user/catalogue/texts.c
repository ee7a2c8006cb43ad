/*
 * texts.c: the words of messages -> literals and compiled placeholders, per language.
 *
 * In: "You spent {event.amount, money} at {event.merchant}." Out: cat_text_part, literals and programs in
 * turn. Quoting is that of ICU MessageFormat: '' is an apostrophe, an apostrophe before a brace quotes up to
 * the next one, any other stands for itself. What stands in braces is an expression, then perhaps a comma
 * and a format. Every mistake is told at its own place in the file, also through YAML's quotes and folds.
 */
#include "compile.h"

#include <stdarg.h>
#include <string.h>

struct text_reader {
	struct build *b;
	const struct node *n;
	struct scope *scope;
	uint64_t aggregates;
	size_t at;
	char *literal; /* room for the whole text */
	uint32_t literal_bytes;
	struct cat_text_part *parts;
	uint16_t part_count;
	bool good;
};

/* What stands between braces: [from, to) the expression, [format_from, format_to) what follows the comma. */
struct placeholder {
	size_t from, to, format_from, format_to, end;
	bool has_format;
};

static const char *const format_names[] = { "money", "number", "date", "time" };
static const char *const format_later[] = { "plural", "select",	  "selectordinal", "alias",
					    "choice", "spellout", "duration" };

__attribute__((format(printf, 3, 4))) static void problem_in(struct text_reader *r, size_t offset,
							     const char *format, ...)
{
	char text[512];
	uint32_t line, column;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	yaml_text_place(r->n, offset, &line, &column);
	problem_add_at(r->b->problems, r->n->file, line, column, "%s", text);
	r->good = false;
}

static void literal_end(struct text_reader *r)
{
	if (r->literal_bytes == 0)
		return;
	r->parts[r->part_count++] =
		(struct cat_text_part){ .literal = build_copy(r->b, r->literal, r->literal_bytes),
					.literal_bytes = r->literal_bytes };
	r->literal_bytes = 0;
}

/* Behind a string of an expression that starts at `at`. */
static size_t string_end(const struct node *n, size_t at)
{
	char quote = n->text[at++];

	while (at < n->bytes && n->text[at] != quote)
		at += n->text[at] == '\\' ? 2 : 1;
	return at < n->bytes ? at + 1 : n->bytes;
}

/* Finds the end of a placeholder whose brace is at `at`; false when there is none. */
static bool placeholder_find(const struct node *n, size_t at, struct placeholder *out)
{
	unsigned depth = 0;

	*out = (struct placeholder){ .from = at + 1 };
	for (size_t i = at + 1; i < n->bytes;) {
		char c = n->text[i];
		if ((c == '"' || c == '\'') && !out->has_format) {
			i = string_end(n, i);
			continue;
		}
		if (c == '(' || c == '[' || c == '{')
			depth++;
		if ((c == ')' || c == ']') && depth)
			depth--;
		if (c == ',' && depth == 0 && !out->has_format) {
			out->has_format = true;
			out->to = i;
			out->format_from = i + 1;
		}
		if (c == '}' && depth == 0) {
			*(out->has_format ? &out->format_to : &out->to) = out->end = i;
			return true;
		}
		if (c == '}')
			depth--;
		i++;
	}
	return false;
}

static void trim(const char *s, size_t *from, size_t *to)
{
	while (*from < *to && strchr(" \t\n", s[*from]))
		++*from;
	while (*from < *to && strchr(" \t\n", s[*to - 1]))
		--*to;
}

/* The format's name; TEXT_PLAIN when there is none; -1 with a problem. */
static int format_find(struct text_reader *r, struct placeholder *p)
{
	char name[NAME_BYTES_MAX + 1], near[96];
	size_t len;

	if (!p->has_format)
		return TEXT_PLAIN;
	trim(r->n->text, &p->format_from, &p->format_to);
	len = p->format_to - p->format_from;
	snprintf(name, sizeof name, "%.*s", (int)(len < NAME_BYTES_MAX ? len : NAME_BYTES_MAX),
		 r->n->text + p->format_from);
	for (size_t i = 0; i < ARRAY_LEN(format_names); i++)
		if (strcmp(format_names[i], name) == 0)
			return TEXT_MONEY + (int)i;
	for (size_t i = 0; i < ARRAY_LEN(format_later); i++)
		if (strncmp(format_later[i], name, strlen(format_later[i])) == 0) {
			problem_in(r, p->format_from, "not yet: '%s' in a text is not built",
				   format_later[i]);
			return -1;
		}
	problem_in(r, p->format_from, "found the format '%s', expected money, number, date or time%s", name,
		   list_suggest(format_names, ARRAY_LEN(format_names), name, near, sizeof near));
	return -1;
}

/* {advice}, {total}, {each item}: slots that later versions fill. */
static bool refuse_slot(struct text_reader *r, const struct placeholder *p)
{
	static const char *const slots[] = { "advice", "total", "each " };
	const char *s = r->n->text + p->from;
	size_t len = p->to - p->from;

	for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
		size_t n = strlen(slots[i]);
		if (len < n || strncmp(s, slots[i], n) != 0 || (slots[i][n - 1] != ' ' && len != n))
			continue;
		problem_in(r, p->from, "not yet: '{%.*s}' in a text is not built", (int)len, s);
		return true;
	}
	return false;
}

/* Does a value of this type have a form under this format? */
static void check_format(struct text_reader *r, const struct placeholder *p, enum text_format format,
			 const struct cel_program *program)
{
	enum value_type type = program->type;
	bool minor_units = type == TYPE_INT && program->unit != UNIT_NONE;
	const char *expected = NULL;
	bool good = true;

	switch (format) {
	case TEXT_PLAIN:
		good = type == TYPE_STRING || type == TYPE_BOOL || (type == TYPE_INT && !minor_units);
		expected = type == TYPE_MONEY || minor_units ? "a format: {.., money}"
			   : type == TYPE_TIMESTAMP	     ? "a format: {.., date} or {.., time}"
			   : type == TYPE_DOUBLE	     ? "a format: {.., number}"
							     : "string, int or bool";
		break;
	case TEXT_MONEY:
		good = type == TYPE_MONEY || minor_units;
		expected = "an amount with a currency for 'money'";
		break;
	case TEXT_NUMBER:
		good = type == TYPE_DOUBLE || (type == TYPE_INT && !minor_units);
		expected = minor_units ? "{.., money}: these are minor units" : "int or double for 'number'";
		break;
	case TEXT_DATE:
	case TEXT_TIME:
		good = type == TYPE_TIMESTAMP;
		expected = "a timestamp for 'date' and 'time'";
		break;
	}
	if (!good)
		problem_in(r, p->from, "found %s, expected %s",
			   minor_units ? "an amount in minor units" : cel_type_name(type), expected);
}

static void take_placeholder(struct text_reader *r)
{
	struct placeholder p;
	struct cat_text_part *part;
	int format;

	if (!placeholder_find(r->n, r->at, &p)) {
		problem_in(r, r->at, "found '{' without its '}'; a brace of the text itself is written '{'");
		r->at = r->n->bytes;
		return;
	}
	r->at = p.end + 1;
	trim(r->n->text, &p.from, &p.to);
	if (p.from == p.to) {
		problem_in(r, p.from,
			   "found an empty placeholder, expected an expression such as {event.merchant}");
		return;
	}
	format = format_find(r, &p);
	if (refuse_slot(r, &p) || format < 0) {
		r->good = false;
		return;
	}
	literal_end(r);
	part = &r->parts[r->part_count];
	part->format = (enum text_format)format;
	if (!expression_compile(r->b, r->scope, r->n, p.from, p.to, TYPE_NONE, &part->program)) {
		r->good = false;
		return;
	}
	r->part_count++;
	r->aggregates |= program_aggregates(r->b, &part->program);
	check_format(r, &p, part->format, &part->program);
}

/* An apostrophe: doubled, before a brace, or one of the text. */
static void take_apostrophe(struct text_reader *r)
{
	const char *s = r->n->text;
	size_t at = r->at + 1, n = r->n->bytes;

	if (at < n && s[at] == '\'') {
		r->literal[r->literal_bytes++] = '\'';
		r->at = at + 1;
		return;
	}
	if (at >= n || (s[at] != '{' && s[at] != '}')) {
		r->literal[r->literal_bytes++] = '\'';
		r->at = at;
		return;
	}
	while (at < n) { /* quoted; '' inside is one apostrophe */
		if (s[at] != '\'') {
			r->literal[r->literal_bytes++] = s[at++];
		} else if (at + 1 < n && s[at + 1] == '\'') {
			r->literal[r->literal_bytes++] = '\'';
			at += 2;
		} else {
			at++;
			break;
		}
	}
	r->at = at;
}

static void take_text(struct text_reader *r)
{
	const char *s = r->n->text;

	while (r->at < r->n->bytes) {
		if (s[r->at] == '{') {
			take_placeholder(r);
		} else if (s[r->at] == '\'') {
			take_apostrophe(r);
		} else if (s[r->at] == '}') {
			problem_in(r, r->at,
				   "found '}' without its '{'; a brace of the text itself is written '}'");
			r->at++;
		} else {
			r->literal[r->literal_bytes++] = s[r->at++];
		}
	}
	literal_end(r);
}

static uint32_t braces(const struct node *n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n->bytes; i++)
		count += n->text[i] == '{';
	return count;
}

static uint64_t text_compile(struct build *b, const struct node *n, int32_t rules, struct cat_text *out)
{
	struct scope scope = { .b = b, .kind = SCOPE_TEXT, .rules = rules };
	struct text_reader r = { .b = b, .n = n, .scope = &scope, .good = true };
	char found[300];
	uint32_t most;

	if (n->kind != NODE_SCALAR || n->bytes == 0) {
		build_problem(b, n, "found %s, expected a text", node_found(n, found, sizeof found));
		return 0;
	}
	most = 2 * braces(n) + 1;
	if (n->bytes > TEXT_BYTES_MAX || most > UINT16_MAX) {
		build_problem(b, n, "the text has %u bytes, the limit is %d", n->bytes, TEXT_BYTES_MAX);
		return 0;
	}
	r.literal = build_scratch(b, n->bytes + 1);
	r.parts = build_array(b, struct cat_text_part, most);
	take_text(&r);
	*out = (struct cat_text){ .parts = r.parts, .part_count = r.part_count };
	return r.aggregates;
}

void texts_compile(struct build *b)
{
	struct section *section = &b->sections[IN_MESSAGES];

	for (uint32_t i = 0; i < section->count; i++) {
		const struct node *map = section->entries[i].value;
		struct cat_text *texts = (struct cat_text *)b->message[i].text;
		for (const struct node *key = map->first; map->kind == NODE_MAP && key; key = key->next) {
			int64_t language = names_find(&b->languages, key->text);
			if (language >= 0)
				b->message_reads[i] |=
					text_compile(b, key->value, b->message_rules[i], &texts[language]);
		}
	}
}
