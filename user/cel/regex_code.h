/*
 * regex_code: the instructions of a pattern, shared by regex.c, which writes them, and regex_run.c.
 */
#ifndef CEL_REGEX_CODE_H
#define CEL_REGEX_CODE_H

#include "regex.h"

enum regex_op {
	RE_CHAR = 1,
	RE_ANY,	     /* a code point */
	RE_ANY_LINE, /* one that does not end a line */
	RE_CLASS,
	RE_SPLIT, /* both x and y */
	RE_JUMP,  /* x */
	RE_ASSERT,
	RE_MATCH,
};

enum { RE_FOLD = 1, RE_NEGATE = 2 }; /* instruction.flags of CHAR and CLASS */

enum assertion { AT_TEXT_START, AT_TEXT_END, AT_LINE_START, AT_LINE_END, AT_WORD, AT_NOT_WORD };

/* regex_run.c: the code point at s, and its bytes; U+FFFD and 1 for what is none. */
uint32_t regex_character_read(const char *s, size_t len, size_t *bytes);

#endif
