/*
 * regex.c: patterns to instructions.
 *
 * In: a pattern of RE2's syntax. Out: a program whose pieces fall through to what stands behind them, with
 * jumps relative to themselves, so that a repeated piece is copied as it is. What does not fit is counted on,
 * without being written: the refusal names the figure. How to read on: parse_alternatives, then regex_run.c.
 */
#include "regex_code.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* (?ims): the U of RE2 changes which match is taken, and here it is only asked whether there is one. */
enum { FLAG_FOLD = 1, FLAG_LINES = 2, FLAG_DOT_ALL = 4 };

enum { GROUPS_DEPTH_MAX = 64, UNBOUNDED = -1 };
#define LENGTH_MAX UINT64_C(1000000000000)

struct parser {
	const char *pattern;
	size_t len, at;
	struct regex_draft *d;
	uint64_t length; /* of the program; above the limit nothing more is written */
	uint32_t ranges;
	unsigned flags, depth;
	struct regex_error *error;
	bool failed;
};

static bool parse_alternatives(struct parser *p);

static bool refuse(struct parser *p, size_t from, size_t to, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static bool refuse(struct parser *p, size_t from, size_t to, const char *format, ...)
{
	va_list args;

	if (p->failed)
		return false;
	p->failed = true;
	p->error->offset = from;
	p->error->bytes = to - from;
	va_start(args, format);
	vsnprintf(p->error->expected, sizeof p->error->expected, format, args);
	va_end(args);
	return false;
}

static bool more(const struct parser *p)
{
	return p->at < p->len;
}

static char peek(const struct parser *p, size_t ahead)
{
	return p->at + ahead < p->len ? p->pattern[p->at + ahead] : '\0';
}

static bool take(struct parser *p, const char *text)
{
	size_t len = strlen(text);

	if (p->len - p->at < len || memcmp(p->pattern + p->at, text, len) != 0)
		return false;
	p->at += len;
	return true;
}

static uint32_t character_take(struct parser *p)
{
	size_t bytes;
	uint32_t code = regex_character_read(p->pattern + p->at, p->len - p->at, &bytes);

	p->at += bytes;
	return code;
}

/* ---- instructions ---- */

static bool has_room(const struct parser *p, uint64_t length)
{
	return p->length + length <= REGEX_INSTRUCTIONS_MAX;
}

static void length_add(struct parser *p, uint64_t length)
{
	p->length += length;
	if (p->length > LENGTH_MAX)
		p->length = LENGTH_MAX;
}

static void emit(struct parser *p, struct regex_instruction i)
{
	if (has_room(p, 1))
		p->d->code[p->length] = i;
	length_add(p, 1);
}

static void emit_split(struct parser *p, int64_t x, int64_t y)
{
	emit(p, (struct regex_instruction){ .op = RE_SPLIT, .x = (int32_t)x, .y = (int32_t)y });
}

/* One instruction before the piece that starts at `at`. */
static void insert(struct parser *p, uint64_t at, struct regex_instruction i)
{
	if (has_room(p, 1)) {
		memmove(p->d->code + at + 1, p->d->code + at, (p->length - at) * sizeof i);
		p->d->code[at] = i;
	}
	length_add(p, 1);
}

static void insert_split(struct parser *p, uint64_t at, int64_t y)
{
	insert(p, at, (struct regex_instruction){ .op = RE_SPLIT, .x = 1, .y = (int32_t)y });
}

static void copy_piece(struct parser *p, uint64_t from, uint64_t length)
{
	if (has_room(p, length))
		memcpy(p->d->code + p->length, p->d->code + from, length * sizeof p->d->code[0]);
	length_add(p, length);
}

static bool range_add(struct parser *p, uint32_t low, uint32_t high)
{
	if (p->ranges == REGEX_RANGES_MAX)
		return refuse(p, 0, p->len, "at most %d ranges in the classes of a pattern",
			      REGEX_RANGES_MAX);
	p->d->range[p->ranges++] = (struct regex_range){ low, high };
	return true;
}

/* ---- classes ---- */

struct class_name {
	const char *name;
	struct regex_range ranges[4];
	unsigned count;
};

static const struct class_name perl_classes[] = {
	{ "d", { { '0', '9' } }, 1 },
	{ "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
	{ "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
};

static const struct class_name posix_classes[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
	{ "ascii", { { 0, 0x7F } }, 1 },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
	{ "cntrl", { { 0, 0x1F }, { 0x7F, 0x7F } }, 2 },
	{ "digit", { { '0', '9' } }, 1 },
	{ "graph", { { '!', '~' } }, 1 },
	{ "lower", { { 'a', 'z' } }, 1 },
	{ "print", { { ' ', '~' } }, 1 },
	{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
	{ "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
	{ "upper", { { 'A', 'Z' } }, 1 },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
};

/* The ranges of a named class, or what they leave; they ascend. */
static bool class_add(struct parser *p, const struct class_name *class, bool negate)
{
	uint32_t next = 0;

	for (unsigned i = 0; i < class->count; i++) {
		const struct regex_range *r = &class->ranges[i];
		if (negate && r->low > next && !range_add(p, next, r->low - 1))
			return false;
		if (!negate && !range_add(p, r->low, r->high))
			return false;
		next = r->high + 1;
	}
	return !negate || range_add(p, next, 0x10FFFF);
}

/* \d \D \s \S \w \W at the backslash: NULL when it is none of them. */
static const struct class_name *perl_class(const struct parser *p, bool *negate)
{
	char kind = peek(p, 1);
	char lower = kind >= 'A' && kind <= 'Z' ? (char)(kind + 32) : kind;

	*negate = kind != lower;
	for (size_t i = 0; i < sizeof perl_classes / sizeof perl_classes[0]; i++)
		if (lower == perl_classes[i].name[0])
			return &perl_classes[i];
	return NULL;
}

/* [:alpha:] inside of a class; false in *found when it is none. */
static bool posix_class(struct parser *p, bool *found)
{
	size_t start = p->at;

	*found = false;
	if (!take(p, "[:"))
		return true;
	bool negate = take(p, "^");
	for (size_t i = 0; i < sizeof posix_classes / sizeof posix_classes[0]; i++) {
		size_t name = p->at;
		if (take(p, posix_classes[i].name) && take(p, ":]")) {
			*found = true;
			return class_add(p, &posix_classes[i], negate);
		}
		p->at = name;
	}
	const char *close = memmem(p->pattern + p->at, p->len - p->at, ":]", 2);
	if (close)
		return refuse(p, start, (size_t)(close - p->pattern) + 2,
			      "a class as [:alpha:], [:digit:] ..");
	p->at = start;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \x7F, \x{10FFFF}; behind the x */
static bool hex_read(struct parser *p, size_t start, uint32_t *code)
{
	bool braces = take(p, "{");
	unsigned digits = 0;

	*code = 0;
	while (hex_digit(peek(p, 0)) >= 0 && (braces ? digits < 8 : digits < 2)) {
		*code = *code << 4 | (uint32_t)hex_digit(peek(p, 0));
		p->at++;
		digits++;
	}
	if (digits == 0 || (!braces && digits < 2) || (braces && !take(p, "}")) || *code > 0x10FFFF)
		return refuse(p, start, p->at, "\\x7F or \\x{10FFFF}");
	return true;
}

static bool octal_read(struct parser *p, uint32_t *code)
{
	*code = 0;
	for (unsigned i = 0; i < 3 && peek(p, 0) >= '0' && peek(p, 0) <= '7'; i++)
		*code = *code * 8 + (uint32_t)(p->pattern[p->at++] - '0');
	return true;
}

/* An escape that stands for one character, at its backslash. */
static bool escape_read(struct parser *p, uint32_t *code)
{
	static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
	size_t start = p->at++;
	char kind = peek(p, 0);
	const char *simple = kind ? strchr(from, kind) : NULL;
	bool letter = (kind >= 'a' && kind <= 'z') || (kind >= 'A' && kind <= 'Z');

	if (!more(p))
		return refuse(p, start, p->at, "a character behind \\");
	if (kind == '0' || (kind >= '1' && kind <= '7' && peek(p, 1) >= '0' && peek(p, 1) <= '7'))
		return octal_read(p, code);
	if (kind >= '1' && kind <= '9')
		return refuse(p, start, p->at + 1,
			      "no reference to a group (they take more than linear time)");
	if (kind == 'p' || kind == 'P')
		return refuse(p, start, p->at + 1, "not built yet: classes of Unicode");
	if (kind == 'x') {
		p->at++;
		return hex_read(p, start, code);
	}
	if (simple) {
		p->at++;
		*code = (uint32_t)to[simple - from];
		return true;
	}
	*code = character_take(p);
	if (letter || *code >= 0x80)
		return refuse(p, start, p->at, "an escape of RE2, as \\d \\w \\s \\b \\. \\n \\x7F");
	return true;
}

/* One end of a range in a class. */
static bool class_character(struct parser *p, size_t start, uint32_t *code)
{
	if (!more(p))
		return refuse(p, start, p->len, "the closing ] of the class");
	if (peek(p, 0) == '\\')
		return escape_read(p, code);
	*code = character_take(p);
	return true;
}

static bool class_item(struct parser *p, size_t start)
{
	size_t at = p->at;
	uint32_t low, high;
	bool negate, found;

	if (!posix_class(p, &found) || found)
		return found && !p->failed;
	if (peek(p, 0) == '\\') {
		const struct class_name *class = perl_class(p, &negate);
		if (class) {
			p->at += 2;
			return class_add(p, class, negate);
		}
	}
	if (!class_character(p, start, &low))
		return false;
	high = low;
	if (peek(p, 0) == '-' && p->at + 1 < p->len && peek(p, 1) != ']') {
		p->at++;
		if (!class_character(p, start, &high))
			return false;
	}
	if (high < low)
		return refuse(p, at, p->at, "a range that ascends, as a-z");
	return range_add(p, low, high);
}

/* [..], at the bracket */
static bool parse_class(struct parser *p)
{
	size_t start = p->at++;
	uint32_t first = p->ranges;
	bool negate = take(p, "^");

	do { /* a ] at the start is a character */
		if (!more(p))
			return refuse(p, start, p->len, "the closing ] of the class");
		if (!class_item(p, start))
			return false;
	} while (peek(p, 0) != ']' || !more(p));
	p->at++;
	emit(p, (struct regex_instruction){
			.op = RE_CLASS,
			.flags = (uint8_t)((negate ? RE_NEGATE : 0) | (p->flags & FLAG_FOLD ? RE_FOLD : 0)),
			.first = first,
			.count = (uint16_t)(p->ranges - first) });
	return true;
}

/* ---- pieces ---- */

static void emit_char(struct parser *p, uint32_t code)
{
	emit(p, (struct regex_instruction){
			.op = RE_CHAR, .flags = p->flags & FLAG_FOLD ? RE_FOLD : 0, .first = code });
}

static void emit_assert(struct parser *p, enum assertion assertion)
{
	emit(p, (struct regex_instruction){ .op = RE_ASSERT, .first = assertion });
}

/* \b \A .. that stand for a place; false when it is none. */
static bool parse_place(struct parser *p)
{
	static const char kinds[] = "AzbB";
	static const enum assertion places[] = { AT_TEXT_START, AT_TEXT_END, AT_WORD, AT_NOT_WORD };
	const char *kind = peek(p, 1) ? strchr(kinds, peek(p, 1)) : NULL;

	if (!kind)
		return false;
	p->at += 2;
	emit_assert(p, places[kind - kinds]);
	return true;
}

/* \Q..\E as characters that mean themselves; each is a piece, and the last takes what repeats it. */
static bool parse_quoted(struct parser *p, uint64_t *piece)
{
	p->at += 2;
	while (more(p) && !take(p, "\\E")) {
		*piece = p->length;
		emit_char(p, character_take(p));
	}
	return true;
}

static bool parse_escape(struct parser *p, uint64_t *piece)
{
	bool negate;
	const struct class_name *class = perl_class(p, &negate);
	uint32_t code, first = p->ranges;

	if (peek(p, 1) == 'Q')
		return parse_quoted(p, piece);
	if (parse_place(p))
		return true;
	if (class) {
		p->at += 2;
		if (!class_add(p, class, negate))
			return false;
		emit(p, (struct regex_instruction){ .op = RE_CLASS,
						    .flags = p->flags & FLAG_FOLD ? RE_FOLD : 0,
						    .first = first,
						    .count = (uint16_t)(p->ranges - first) });
		return true;
	}
	if (!escape_read(p, &code))
		return false;
	emit_char(p, code);
	return true;
}

/* (?i) (?s-m:..): flags at "(?"; *group says that a group opens. */
static bool parse_flags(struct parser *p, size_t start, bool *group)
{
	unsigned flags = p->flags;
	bool clear = false, any = false;

	for (;; p->at++) {
		char kind = peek(p, 0);
		unsigned flag = kind == 'i'   ? FLAG_FOLD
				: kind == 'm' ? FLAG_LINES
				: kind == 's' ? FLAG_DOT_ALL
					      : 0;
		if (flag || kind == 'U') {
			flags = clear ? flags & ~flag : flags | flag;
			any = true;
			continue;
		}
		if (kind == '-' && !clear) {
			clear = true;
			any = false;
			continue;
		}
		break;
	}
	*group = peek(p, 0) == ':';
	if ((!*group && peek(p, 0) != ')') || (clear && !any))
		return refuse(p, start, more(p) ? p->at + 1 : p->at,
			      "(?:..), (?i), (?s), (?m), (?i:..) or (?P<name>..)");
	p->at++;
	p->flags = flags;
	return true;
}

/* (?P<name> or (?<name>: the name is read and forgotten. */
static bool parse_group_name(struct parser *p, size_t start)
{
	size_t name = p->at;

	for (; more(p) && peek(p, 0) != '>'; p->at++) {
		char c = peek(p, 0);
		bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			    c == '_';
		if (!word)
			break;
	}
	if (p->at == name || !take(p, ">"))
		return refuse(p, start, p->at, "a name for the group, as (?P<name>..)");
	return true;
}

static bool parse_group(struct parser *p)
{
	size_t start = p->at++;
	unsigned flags = p->flags;
	bool group = true;

	if (take(p, "?P<") || (peek(p, 0) == '?' && peek(p, 1) == '<' && peek(p, 2) != '=' &&
			       peek(p, 2) != '!' && take(p, "?<"))) {
		if (!parse_group_name(p, start))
			return false;
	} else if (take(p, "?") && !parse_flags(p, start, &group)) {
		return false;
	}
	if (!group)
		return true; /* flags up to the end of the group around them */
	if (++p->depth > GROUPS_DEPTH_MAX)
		return refuse(p, start, start + 1, "at most %d groups inside of each other",
			      GROUPS_DEPTH_MAX);
	if (!parse_alternatives(p))
		return false;
	p->depth--;
	p->flags = flags;
	if (!take(p, ")"))
		return refuse(p, start, start + 1, "the closing ) of this group");
	return true;
}

/* One piece, without what repeats it. *piece is where it starts. */
static bool parse_piece(struct parser *p, uint64_t *piece)
{
	char kind = peek(p, 0);

	*piece = p->length;
	switch (kind) {
	case '(':
		return parse_group(p);
	case '[':
		return parse_class(p);
	case '\\':
		return parse_escape(p, piece);
	case '.':
		p->at++;
		emit(p, (struct regex_instruction){ .op = p->flags & FLAG_DOT_ALL ? RE_ANY : RE_ANY_LINE });
		return true;
	case '^':
		p->at++;
		emit_assert(p, p->flags & FLAG_LINES ? AT_LINE_START : AT_TEXT_START);
		return true;
	case '$':
		p->at++;
		emit_assert(p, p->flags & FLAG_LINES ? AT_LINE_END : AT_TEXT_END);
		return true;
	case '*':
	case '+':
	case '?':
		return refuse(p, p->at, p->at + 1, "something in front of %c that it repeats", kind);
	default:
		emit_char(p, character_take(p));
		return true;
	}
}

static bool number_read(const struct parser *p, size_t *ahead, int *out)
{
	size_t start = *ahead;

	*out = 0;
	for (; peek(p, *ahead) >= '0' && peek(p, *ahead) <= '9'; ++*ahead)
		if (*out <= REGEX_REPEAT_MAX)
			*out = *out * 10 + (peek(p, *ahead) - '0');
	return *ahead > start;
}

/* {n}, {n,}, {n,m}: false when it is not of the form, and a { stands for itself. */
static bool bounds_read(struct parser *p, int *least, int *most)
{
	size_t ahead = 1;

	if (peek(p, 0) != '{' || !number_read(p, &ahead, least))
		return false;
	*most = *least;
	if (peek(p, ahead) == ',') {
		ahead++;
		if (peek(p, ahead) == '}')
			*most = UNBOUNDED;
		else if (!number_read(p, &ahead, most))
			return false;
	}
	if (peek(p, ahead) != '}')
		return false;
	p->at += ahead + 1;
	return true;
}

/* The piece from `start` to the end, `least` to `most` times. */
static void repeat(struct parser *p, uint64_t start, int least, int most)
{
	uint64_t length = p->length - start, from = start;

	if (most == 0) {
		p->length = start;
		return;
	}
	if (least == 0 && most == UNBOUNDED) { /* x*: split, x, jump back */
		insert_split(p, start, (int64_t)length + 2);
		emit(p, (struct regex_instruction){ .op = RE_JUMP, .x = (int32_t) - (int64_t)(length + 1) });
		return;
	}
	if (least == 0) { /* x?: the first copy can be left out, and all behind it */
		insert_split(p, start, (int64_t)(most * (length + 1)));
		from = start + 1;
	}
	for (int i = 1; i < least; i++)
		copy_piece(p, from, length);
	if (most == UNBOUNDED)
		emit_split(p, -(int64_t)length, 1);
	for (int i = least ? least : 1; i < most; i++) {
		emit_split(p, 1, (int64_t)((uint64_t)(most - i) * (length + 1)));
		copy_piece(p, from, length);
	}
}

static bool parse_repeated(struct parser *p)
{
	uint64_t piece = p->length;
	size_t start = p->at;
	int least = 0, most = 0;

	if (!parse_piece(p, &piece))
		return false;
	size_t mark = p->at;
	bool bounds = bounds_read(p, &least, &most);
	if (bounds) {
		if (least > REGEX_REPEAT_MAX || most > REGEX_REPEAT_MAX ||
		    (most != UNBOUNDED && most < least))
			return refuse(p, mark, p->at, "at most %d repetitions, the least first",
				      REGEX_REPEAT_MAX);
	} else if (take(p, "*")) {
		most = UNBOUNDED;
	} else if (take(p, "+")) {
		least = 1;
		most = UNBOUNDED;
	} else if (take(p, "?")) {
		most = 1;
	} else {
		return true;
	}
	take(p, "?"); /* as few as possible: the same answer */
	repeat(p, piece, least, most);
	char mark_again = peek(p, 0);
	bool again = mark_again == '*' || mark_again == '+' || mark_again == '?';
	if (again || bounds_read(p, &least, &most))
		return refuse(p, start, p->at + again, "one repetition (write (?:..)* for more)");
	return true;
}

/* a|b|c, up to the end or a closing ). Jumps to the end are chained through x until it is known. */
static bool parse_alternatives(struct parser *p)
{
	uint64_t start = p->length, jumps = 0;
	bool any = false;

	for (;;) {
		while (more(p) && peek(p, 0) != '|' && peek(p, 0) != ')')
			if (!parse_repeated(p))
				return false;
		if (!take(p, "|"))
			break;
		insert_split(p, start, (int64_t)(p->length - start) + 2);
		emit(p, (struct regex_instruction){ .op = RE_JUMP,
						    .x = any ? (int32_t)(p->length - jumps) : 0 });
		jumps = p->length - 1;
		any = true;
		start = p->length;
	}
	while (any && p->length <= REGEX_INSTRUCTIONS_MAX) {
		int32_t back = p->d->code[jumps].x;
		p->d->code[jumps].x = (int32_t)(p->length - jumps);
		any = back != 0;
		jumps -= (uint64_t)back;
	}
	return true;
}

bool regex_compile(struct regex_draft *draft, const char *pattern, size_t len, struct regex_error *error)
{
	struct parser p = { .pattern = pattern, .len = len, .d = draft, .error = error };

	memset(error, 0, sizeof *error);
	draft->needed = 0;
	if (!parse_alternatives(&p))
		return false;
	if (more(&p))
		return refuse(&p, p.at, p.at + 1, "an opening ( in front of this )");
	emit(&p, (struct regex_instruction){ .op = RE_MATCH });
	draft->needed = p.length;
	if (p.length > REGEX_INSTRUCTIONS_MAX)
		return refuse(&p, 0, len, "a pattern of at most %d instructions", REGEX_INSTRUCTIONS_MAX);
	draft->regex = (struct regex){ .instructions = (uint32_t)p.length,
				       .ranges = p.ranges,
				       .code = draft->code,
				       .range = draft->range };
	return true;
}
