/*
 * regex: RE2's regular expressions for matches(), as a program that is run over all states at once: time is
 * at most bytes of the string x instructions of the pattern, memory is fixed, nothing is allocated.
 *
 * A string matches when a part of it does (^ and $ ask for the whole). Strings are UTF-8 and are read by code
 * points; a byte that is none counts as U+FFFD. Not built: \p{..}, \C, named classes of Unicode.
 * Source of the syntax: github.com/google/re2, doc/syntax.txt.
 */
#ifndef CEL_REGEX_H
#define CEL_REGEX_H

#include <moment/limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct regex_instruction {
	uint8_t op; /* enum regex_op, regex.c */
	uint8_t flags;
	uint16_t count; /* CLASS: ranges */
	uint32_t first; /* CLASS: index in ranges; CHAR: code point */
	int32_t x, y;	/* where to go on, from here */
};

struct regex_range {
	uint32_t low, high; /* code points, both in it */
};

enum { REGEX_RANGES_MAX = 1024 };

struct regex {
	uint32_t instructions, ranges;
	const struct regex_instruction *code;
	const struct regex_range *range;
	const struct regex_table *table; /* NULL: there is none, or it would be too big */
};

enum {
	REGEX_ASCII = 128,
	REGEX_TABLE_STATES_MAX = 64,
	REGEX_TABLE_CELLS_MAX = 1024,
	REGEX_TABLE_MATCH = 254, /* of next: a match has ended */
	REGEX_TABLE_FULL = 255,
};

/*
 * The states that a run can be in, and where each character leads. All characters beyond ASCII are one class
 * where the pattern treats them alike, as [A-Z0-9], \w or . do; where it does not, it is for strings of
 * ASCII.
 */
struct regex_table {
	uint8_t states, classes;
	bool beyond;			   /* ASCII too */
	uint8_t class_of[REGEX_ASCII + 1]; /* the last: of what is beyond */
	bool match_at_end[REGEX_TABLE_STATES_MAX];
	uint8_t next[REGEX_TABLE_CELLS_MAX]; /* [state * classes + class] */
};

/* Where a pattern is compiled; regex borrows from the arrays. */
struct regex_draft {
	struct regex regex;
	uint64_t needed; /* instructions, also when they are too many */
	struct regex_instruction code[REGEX_INSTRUCTIONS_MAX];
	struct regex_range range[REGEX_RANGES_MAX];
};

struct regex_error {
	size_t offset, bytes; /* of what was found in the pattern */
	char expected[128];
};

/* False with *error filled; `needed` above the limit: the pattern is good and too big. */
bool regex_compile(struct regex_draft *draft, const char *pattern, size_t len, struct regex_error *error);
/* For a pattern that is run often: the table of its states; false when they are too many. */
bool regex_table_build(const struct regex *r, struct regex_table *table);
bool regex_matches(const struct regex *r, const char *s, size_t len);

#endif
