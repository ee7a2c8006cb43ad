/*
 * change: readers of the bodies of changes; change.c has the parts, change_profile.c and change_subscribe.c
 * the frames.
 */
#ifndef PROFILE_CHANGE_H
#define PROFILE_CHANGE_H

#include <base/bytes.h>

#include "store_state.h"

struct change {
	struct store *s;
	const struct catalogue *c;
	struct pack_reader r;
	enum change_outcome outcome; /* APPLIED until something is wrong */
	char *why;
	size_t why_bytes;
};

/* A name from outside, fit for a log: cut, without control characters. */
struct shown {
	char text[NAME_BYTES_MAX + 4];
};
struct shown change_show(const char *s, uint32_t bytes);

struct change change_begin(struct store *s, const struct catalogue *c, const void *body, uint32_t bytes,
			   char *why, size_t why_bytes);

/* False. The first reason stays, but for REFUSED after NOT_YET. `at`: what it is about. */
__attribute__((format(printf, 3, 4))) bool change_refuse(struct change *ch, const uint8_t *at,
							 const char *form, ...);
/* True: the rest of the body is looked at, because REFUSED goes before NOT_YET. */
__attribute__((format(printf, 3, 4))) bool change_not_yet(struct change *ch, const uint8_t *at,
							  const char *form, ...);

/* Each reads one item; on another kind, or above a maximum, it refuses and says false. `what` names the
 * field. */
bool change_read_string(struct change *ch, const char *what, uint32_t bytes_max, struct draft_string *out);
bool change_read_number(struct change *ch, const char *what,
			uint64_t *out); /* of a customer, account: above 0 */
bool change_read_value(struct change *ch, const char *what, enum value_type want, struct value *out);
bool change_read_list(struct change *ch, const char *what, uint32_t max, uint32_t *count);
bool change_read_map(struct change *ch, const char *what, uint32_t *pairs);

/* A nil is taken and is as if its key were absent (schemas/frame.md). */
bool change_skip_nil(struct change *ch);

const char *change_item_name(const struct pack_item *item); /* "string" */
bool change_text_is(const char *s, uint32_t bytes, const char *text);

/* The row of `bytes` in s->row, 0 = it did not fit: goes to the overlay, or is refused. */
bool change_put_row(struct change *ch, uint32_t bytes, int64_t subscriptions_more);

#endif
