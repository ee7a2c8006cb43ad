/*
 * enrolment: the engine's side of the bits that say who was ever subscribed (include/moment/interest.h has
 * the meaning). In kernel mode the memory is the program's maps, else the engine's own. Bits are only added.
 *
 * Engine thread only; the program adds on its own, by atomics.
 */
#ifndef PREFILTER_ENROLMENT_H
#define PREFILTER_ENROLMENT_H

#include <moment/interest.h>
#include <stdbool.h>
#include <stddef.h>

struct enrolment {
	uint64_t *words;   /* [ENROLMENT_WORDS] */
	uint32_t *holders; /* [ENROLMENT_ACCOUNTS] */
	void *own;	   /* NULL: the maps' */
};

/* Memory of its own, taken page by page as bits are set. 0 or -errno. */
__attribute__((warn_unused_result)) int enrolment_init(struct enrolment *e);
void enrolment_deinit(struct enrolment *e);

void enrolment_customer_add(struct enrolment *e, uint64_t customer);
/* An account's record: its holders, each once. */
void enrolment_account_add(struct enrolment *e, uint64_t account, const uint64_t *holders, uint32_t count);
/* What the program does at a SUBSCRIBE or PROFILE: its customer is in, its account has several holders. */
void enrolment_frame_add(struct enrolment *e, const struct frame_header *h);
/* Does the event concern anybody who is in? */
bool enrolment_concerns(const struct enrolment *e, const struct frame_header *h);

#endif
