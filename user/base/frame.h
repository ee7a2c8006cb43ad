/*
 * frame: checks of a header and its length, in words. The wire itself is include/moment/frame.h, the check
 * include/moment/check.h.
 */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include <moment/check.h>
#include <moment/frame.h>
#include <stdbool.h>
#include <stddef.h>

struct frame_problem {
	const char *text; /* NULL = the header is good */
	uint32_t offset;  /* of the field, from the frame's first byte */
};

/*
 * Checks everything that a header alone can tell, for a frame sent by `role`: length, version, kind,
 * that the role may send it, reserved flags, that fields not used by the kind are zero (schemas/frame.md,
 * "Fields by kind"), value ranges (time >= 1 where used, amount >= 0, touchpoint known, customer present in
 * PROFILE and SUBSCRIBE). The first `length` field is checked before anything else, so a caller with only
 * FRAME_HEADER_BYTES may call it.
 */
struct frame_problem frame_header_check(const struct frame_header *h, enum frame_role role);

const char *frame_kind_name(unsigned kind); /* "EVENT"; NULL */

#endif
