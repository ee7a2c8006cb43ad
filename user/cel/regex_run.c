/*
 * regex_run.c: a pattern over a string, by its states or by a table of them.
 *
 * In: instructions and bytes. Out: whether a part of the string matches. A run by states keeps the set of
 * instructions that some part of the string could have come to, one step for each code point. Where few sets
 * can come up at all, regex_table_build walks them when the pattern is compiled, and a run is one look-up for
 * each byte; a string that is not ASCII goes by states from its start. Nothing is remembered from run to run.
 */
#include "regex_code.h"

#include <assert.h>
#include <string.h>

uint32_t regex_character_read(const char *s, size_t len, size_t *bytes)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] < 0x80	 ? 1
		   : u[0] < 0xC2 ? 0
		   : u[0] < 0xE0 ? 2
		   : u[0] < 0xF0 ? 3
		   : u[0] < 0xF5 ? 4
				 : 0;
	uint32_t code = n == 1 ? u[0] : u[0] & (0xFFu >> (n + 1));

	*bytes = 1;
	if (n == 0 || n > len)
		return 0xFFFD;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xC0) != 0x80)
			return 0xFFFD;
		code = code << 6 | (u[i] & 0x3F);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10FFFF ||
	    (code >= 0xD800 && code <= 0xDFFF))
		return 0xFFFD;
	*bytes = n;
	return code;
}

/* The other case of a letter of ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic; itself for the rest. */
static uint32_t other_case(uint32_t c)
{
	static const struct {
		uint32_t low, high, delta; /* of the capitals */
	} blocks[] = { { 'A', 'Z', 32 },     { 0xC0, 0xD6, 32 },   { 0xD8, 0xDE, 32 },	{ 0x391, 0x3A1, 32 },
		       { 0x3A3, 0x3AB, 32 }, { 0x400, 0x40F, 80 }, { 0x410, 0x42F, 32 } };

	for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
		if (c >= blocks[i].low && c <= blocks[i].high)
			return c + blocks[i].delta;
		if (c >= blocks[i].low + blocks[i].delta && c <= blocks[i].high + blocks[i].delta)
			return c - blocks[i].delta;
	}
	/* capital and small side by side, the capital even, between U+0139 and U+0148 odd */
	bool even = (c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177);
	bool odd = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E);
	return even ? c ^ 1 : odd ? ((c + 1) ^ 1) - 1 : c;
}

static bool in_ranges(const struct regex *r, const struct regex_instruction *i, uint32_t c)
{
	for (uint32_t k = i->first; k < i->first + i->count; k++)
		if (c >= r->range[k].low && c <= r->range[k].high)
			return true;
	return false;
}

static bool takes(const struct regex *r, const struct regex_instruction *i, uint32_t c)
{
	bool found;

	switch (i->op) {
	case RE_CHAR:
		return c == i->first || ((i->flags & RE_FOLD) && other_case(c) == i->first);
	case RE_ANY:
		return true;
	case RE_ANY_LINE:
		return c != '\n';
	default:
		assert(i->op == RE_CLASS);
		found = in_ranges(r, i, c) || ((i->flags & RE_FOLD) && in_ranges(r, i, other_case(c)));
		return found != ((i->flags & RE_NEGATE) != 0);
	}
}

enum { NO_CHARACTER = -1 };

static bool is_word(int64_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* What stands before and behind a place; NO_CHARACTER at the ends of the text. */
struct place {
	int64_t before, behind;
};

static bool holds(enum assertion assertion, struct place at)
{
	switch (assertion) {
	case AT_TEXT_START:
		return at.before == NO_CHARACTER;
	case AT_TEXT_END:
		return at.behind == NO_CHARACTER;
	case AT_LINE_START:
		return at.before == NO_CHARACTER || at.before == '\n';
	case AT_LINE_END:
		return at.behind == NO_CHARACTER || at.behind == '\n';
	default:
		return (is_word(at.before) != is_word(at.behind)) == (assertion == AT_WORD);
	}
}

/* The instructions that wait for a character. `seen` keeps each out a second time. */
struct states {
	uint32_t count;
	uint16_t waiting[REGEX_INSTRUCTIONS_MAX];
	uint64_t seen[REGEX_INSTRUCTIONS_MAX / 64];
};

/* Adds an instruction and all that it leads to without a character; true when that is the end of a match. */
static bool states_add(const struct regex *r, struct states *s, uint32_t first, struct place at)
{
	uint16_t stack[REGEX_INSTRUCTIONS_MAX + 1];
	uint32_t depth = 0;

	stack[depth++] = (uint16_t)first;
	while (depth > 0) {
		uint32_t pc = stack[--depth];
		const struct regex_instruction *i = &r->code[pc];
		if (s->seen[pc / 64] >> (pc % 64) & 1)
			continue;
		s->seen[pc / 64] |= UINT64_C(1) << (pc % 64);
		if (i->op == RE_MATCH)
			return true;
		if (i->op == RE_SPLIT) {
			/* an instruction pushes once, so the stack holds one more than there are */
			stack[depth++] = (uint16_t)((int32_t)pc + i->y);
			stack[depth++] = (uint16_t)((int32_t)pc + i->x);
			assert(depth <= REGEX_INSTRUCTIONS_MAX + 1);
		} else if (i->op == RE_JUMP) {
			stack[depth++] = (uint16_t)((int32_t)pc + i->x);
		} else if (i->op == RE_ASSERT) {
			if (holds((enum assertion)i->first, at))
				stack[depth++] = (uint16_t)(pc + 1);
		} else {
			s->waiting[s->count++] = (uint16_t)pc;
		}
	}
	return false;
}

static void states_clear(struct states *s)
{
	s->count = 0;
	memset(s->seen, 0, sizeof s->seen);
}

static int64_t character_at(const char *s, size_t len, size_t at, size_t *bytes)
{
	*bytes = 0;
	return at < len ? (int64_t)regex_character_read(s + at, len - at, bytes) : NO_CHARACTER;
}

static bool states_match(const struct regex *r, const char *s, size_t len)
{
	struct states sets[2], *now = &sets[0], *next = &sets[1];
	size_t at = 0, bytes;
	int64_t before = NO_CHARACTER, c = character_at(s, len, 0, &bytes);

	states_clear(now);
	for (;;) {
		/* a match may begin at each place */
		if (states_add(r, now, 0, (struct place){ before, c }))
			return true;
		if (c == NO_CHARACTER)
			return false;
		at += bytes;
		before = c;
		int64_t behind = character_at(s, len, at, &bytes);
		states_clear(next);
		for (uint32_t i = 0; i < now->count; i++) {
			uint32_t pc = now->waiting[i];
			if (takes(r, &r->code[pc], (uint32_t)before) &&
			    states_add(r, next, pc + 1, (struct place){ before, behind }))
				return true;
		}
		struct states *swap = now;
		now = next;
		next = swap;
		c = behind;
	}
}

/* ---- the table ---- */

/* What is known before a character is read: where the pattern may stand, and what stood before. */
struct spot {
	uint64_t at[REGEX_INSTRUCTIONS_MAX / 64];
	int64_t before;
};

struct walker {
	const struct regex *r;
	struct regex_table *table;
	struct spot spot[REGEX_TABLE_STATES_MAX];
	uint32_t example[REGEX_ASCII + 1]; /* a character of each class */
};

/* Characters that every instruction and every assertion treats the same are one class. */
static bool same_class(const struct regex *r, uint32_t a, uint32_t b)
{
	if (is_word(a) != is_word(b) || (a == '\n') != (b == '\n'))
		return false;
	for (uint32_t i = 0; i < r->instructions; i++) {
		unsigned op = r->code[i].op;
		bool reads = op == RE_CHAR || op == RE_ANY || op == RE_ANY_LINE || op == RE_CLASS;
		if (reads && takes(r, &r->code[i], a) != takes(r, &r->code[i], b))
			return false;
	}
	return true;
}

/* No instruction tells one character beyond ASCII from another. No letter of ASCII has one as its other case.
 */
static bool beyond_is_alike(const struct regex *r)
{
	for (uint32_t i = 0; i < r->instructions; i++) {
		const struct regex_instruction *at = &r->code[i];
		if (at->op == RE_CHAR && at->first >= REGEX_ASCII)
			return false;
		for (uint32_t k = at->first; at->op == RE_CLASS && k < at->first + at->count; k++) {
			const struct regex_range *range = &r->range[k];
			if (range->high >= REGEX_ASCII &&
			    (range->low > REGEX_ASCII || range->high < 0x10FFFF))
				return false;
		}
	}
	return true;
}

static uint8_t class_find(struct walker *w, uint32_t c)
{
	uint8_t group = 0;

	while (group < w->table->classes && !same_class(w->r, w->example[group], c))
		group++;
	if (group == w->table->classes)
		w->example[w->table->classes++] = c;
	return group;
}

static void classes_find(struct walker *w)
{
	struct regex_table *t = w->table;

	for (uint32_t c = 0; c < REGEX_ASCII; c++)
		t->class_of[c] = class_find(w, c);
	t->beyond = beyond_is_alike(w->r);
	if (t->beyond)
		t->class_of[REGEX_ASCII] = class_find(w, 0xFFFD);
}

/* All that is only asked of the character before is whether it is of a word or ends a line. */
static int64_t before_kind(uint32_t c)
{
	return c == '\n' ? '\n' : is_word(c) ? 'a' : ' ';
}

/* The number of a spot, a new one when there is room; REGEX_TABLE_FULL when there is none. */
static unsigned spot_number(struct walker *w, const struct spot *spot)
{
	unsigned i = 0;

	while (i < w->table->states && memcmp(&w->spot[i], spot, sizeof *spot) != 0)
		i++;
	if (i == REGEX_TABLE_STATES_MAX || (i + 1) * w->table->classes > REGEX_TABLE_CELLS_MAX)
		return REGEX_TABLE_FULL;
	if (i == w->table->states) {
		w->spot[i] = *spot;
		w->table->states++;
	}
	return i;
}

/* The waiting instructions at a spot in front of `behind`; true when a match ends there. */
static bool spot_open(const struct walker *w, const struct spot *spot, int64_t behind, struct states *out)
{
	const struct place at = { spot->before, behind };

	states_clear(out);
	for (uint32_t pc = 0; pc < w->r->instructions; pc++)
		if ((spot->at[pc / 64] >> (pc % 64) & 1) && states_add(w->r, out, pc, at))
			return true;
	return states_add(w->r, out, 0, at); /* a match may begin at each place */
}

static unsigned spot_step(struct walker *w, unsigned from, uint32_t c)
{
	struct spot next = { .before = before_kind(c) };
	struct states states;

	if (spot_open(w, &w->spot[from], c, &states))
		return REGEX_TABLE_MATCH;
	for (uint32_t i = 0; i < states.count; i++) {
		uint32_t pc = states.waiting[i];
		if (takes(w->r, &w->r->code[pc], c))
			next.at[(pc + 1) / 64] |= UINT64_C(1) << ((pc + 1) % 64);
	}
	return spot_number(w, &next);
}

bool regex_table_build(const struct regex *r, struct regex_table *table)
{
	struct walker w = { .r = r, .table = table };
	struct spot start = { .before = NO_CHARACTER };
	struct states states;

	memset(table, 0, sizeof *table);
	classes_find(&w);
	spot_number(&w, &start);
	for (unsigned i = 0; i < table->states; i++) {
		table->match_at_end[i] = spot_open(&w, &w.spot[i], NO_CHARACTER, &states);
		for (unsigned group = 0; group < table->classes; group++) {
			unsigned next = spot_step(&w, i, w.example[group]);
			if (next == REGEX_TABLE_FULL)
				return false;
			table->next[i * table->classes + group] = (uint8_t)next;
		}
	}
	return true;
}

static bool table_matches(const struct regex *r, const char *s, size_t len)
{
	const struct regex_table *t = r->table;
	unsigned state = 0;

	for (size_t i = 0, bytes = 1; i < len; i += bytes, bytes = 1) {
		unsigned char c = (unsigned char)s[i];
		if (c >= REGEX_ASCII) {
			if (!t->beyond)
				return states_match(r, s, len);
			regex_character_read(s + i, len - i, &bytes);
			c = REGEX_ASCII;
		}
		state = t->next[state * t->classes + t->class_of[c]];
		if (state == REGEX_TABLE_MATCH)
			return true;
	}
	return t->match_at_end[state];
}

bool regex_matches(const struct regex *r, const char *s, size_t len)
{
	return r->table ? table_matches(r, s, len) : states_match(r, s, len);
}
