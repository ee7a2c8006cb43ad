/*
 * bounds: what a condition asks of single fields, read off its program (plan.h).
 */
#ifndef CATALOGUE_BOUNDS_H
#define CATALOGUE_BOUNDS_H

#include <catalogue/plan.h>

/* Fields and strings get their numbers as they are met. */
struct bounds_names {
	struct plan_field *fields; /* [PLAN_FIELDS_MAX] */
	uint32_t field_count;
	uint16_t number[SPACE_COUNT][256]; /* of a field, + 1 */
	struct plan_text *texts;
	struct plan_slot *slots;
	uint32_t text_count, text_slots;
};

struct bounds {
	bool exact;
	uint8_t count;
	struct plan_bound in[PLAN_BOUNDS_MAX];
};

/* Slot of a text in an open table: its own, or the empty one where it belongs. */
struct plan_slot *bounds_text_slot(const struct plan_text *texts, const struct plan_slot *slots,
				   uint32_t slot_count, const char *s, uint32_t bytes);

/*
 * Bounds of a rule's condition by fields of the spaces in the mask; intervals and names are taken from the
 * arena. False: memory is out..
 */
bool bounds_of(const struct cel_program *program, uint32_t spaces, struct bounds_names *names,
	       struct arena *arena, struct bounds *out);

#endif
