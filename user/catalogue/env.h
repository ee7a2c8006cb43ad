/*
 * env: what a program of a rule or text sees of an event. The caller adds profile, account, me, params.
 *
 * Most events are judged by a few fields of their header, so the values of SPACE_EVENT are made one by one
 * (event_field) where a column is loaded, and all together (event_fields) only for what is interpreted and
 * for texts.
 */
#ifndef CATALOGUE_ENV_H
#define CATALOGUE_ENV_H

#include <catalogue/catalogue.h>
#include <moment/batch.h>

struct event_fields {
	bool filled; /* the profile stage clears it */
	struct value value[FIELD_COUNT];
};

/* One field of SPACE_EVENT. Strings borrow from the event's frame and the catalogue. */
struct value event_field(const struct catalogue *c, const struct event *event, enum event_field field);
/* All of them, lent as long as the event. */
const struct value *event_fields(const struct catalogue *c, const struct event *event);

static inline struct cel_env event_env(const struct catalogue *c, const struct event *event, char *scratch,
				       uint32_t scratch_bytes)
{
	return (struct cel_env){
		.space = { [SPACE_EVENT] = event_fields(c, event),
			   [SPACE_BODY] = event->body_fields,
			   [SPACE_AGG] = event->aggregates },
		.rates = &c->rates,
		.currency = event->header->currency,
		.scratch = scratch,
		.scratch_bytes = scratch_bytes,
	};
}

#endif
