/*
 * body: an event's MessagePack body -> reserved keys and the values of declared fields (decisions 33).
 */
#ifndef PROFILE_BODY_H
#define PROFILE_BODY_H

#include <catalogue/catalogue.h>
#include <moment/frame.h>

struct body {
	const char *ref, *of, *card; /* NULL = absent; borrowed from the frame */
	uint32_t ref_bytes, of_bytes, card_bytes;
	enum event_stage stage; /* resolved: absent = posted, or request when a verdict is wanted */
	bool has_original_amount, has_original_currency;
	int64_t original_amount, original_currency;
};

/*
 * Reads the body of an event of `type` (NULL: type unknown, reserved keys only). fields[c->field_count] are
 * set to no data and those present filled in. NULL when it is good, else what is wrong.
 */
const char *body_read(const struct catalogue *c, const struct cat_event *type,
		      const struct frame_header *header, const void *bytes, uint32_t count, struct body *out,
		      struct value *fields);

#endif
