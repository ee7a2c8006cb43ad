/*
 * body: an event's MessagePack body -> reserved keys and the values of declared fields (decisions 33).
 */
#ifndef PROFILE_BODY_H
#define PROFILE_BODY_H

#include <catalogue/catalogue.h>
#include <moment/batch.h>

/*
 * Reads the body of an event of `type` (NULL: type unknown, reserved keys only). fields[c->field_count] are
 * set to no data and those present filled in. NULL when it is good, else what is wrong.
 */
const char *body_read(const struct catalogue *c, const struct cat_event *type,
		      const struct frame_header *header, const void *bytes, uint32_t count,
		      struct event_reserved *out, struct value *fields);

#endif
