/*
 * frame.c: the words for what include/moment/check.h finds in a header.
 *
 * In: a header, perhaps all that has arrived so far, and who sent it. Out: NULL, or what is wrong and at
 * which byte. Nothing is kept.
 */
#include "frame.h"

#include <assert.h>

static const struct frame_problem problems[HEADER_PROBLEM_COUNT] = {
#define X(name, field, words)                                                                                \
	[HEADER_##name] = { .text = (words), .offset = (uint32_t)offsetof(struct frame_header, field) },
	HEADER_PROBLEMS(X)
#undef X
};

static const char *const names[FRAME_KIND_COUNT] = {
#define X(value, name, stream) [FRAME_##name] = #name,
	FRAME_KINDS(X)
#undef X
};

struct frame_problem frame_header_check(const struct frame_header *h, enum frame_role role)
{
	assert(role >= ROLE_OF_SOURCE && role <= ROLE_OF_ENGINE);
	return problems[header_check(h, role)];
}

const char *frame_kind_name(unsigned kind)
{
	return kind < FRAME_KIND_COUNT ? names[kind] : NULL;
}
