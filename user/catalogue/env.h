/*
 * env: what a program of a rule or text sees of an event: its columns. The caller adds profile, account, me,
 * params.
 */
#ifndef CATALOGUE_ENV_H
#define CATALOGUE_ENV_H

#include <catalogue/catalogue.h>
#include <moment/batch.h>

static inline struct cel_env event_env(const struct catalogue *c, const struct event *event, char *scratch,
				       uint32_t scratch_bytes)
{
	return (struct cel_env){
		.space = { [SPACE_EVENT] = event->fields,
			   [SPACE_BODY] = event->body_fields,
			   [SPACE_AGG] = event->aggregates },
		.rates = &c->rates,
		.currency = event->header->currency,
		.scratch = scratch,
		.scratch_bytes = scratch_bytes,
	};
}

#endif
