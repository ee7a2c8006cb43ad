/*
 * legs: legs that a RECEIPT can still move: ACCEPTED -> DELIVERED -> READ, or FAILED, each once. A leg is
 * known from its making; a RECEIPT that comes before the acceptance (an ACK that was lost) is kept and
 * counted with it. A ring of LEGS_REMEMBERED_MAX with a key table; the oldest leaves for the newest. Part of
 * the state.
 */
#ifndef BASE_LEGS_H
#define BASE_LEGS_H

#include <base/records.h>
#include <moment/counters.h>
#include <moment/limits.h>

enum { LEG_EARLY = 0x100, LEGS_PAGE = 4096, LEGS_PAGES = LEGS_REMEMBERED_MAX / LEGS_PAGE };

struct legs_record {
	struct key128 key;
	uint64_t state; /* enum leg_state, LEG_EARLY added while it is QUEUED all the same */
};

struct legs {
	struct region region;
	struct table table;
	struct legs_record *ring;
	uint64_t next; /* legs ever added; the next goes to next % LEGS_REMEMBERED_MAX */
	uint8_t changed[LEGS_PAGES];
};

__attribute__((warn_unused_result)) int legs_init(struct legs *l);
void legs_deinit(struct legs *l);
struct key128 legs_key(const void *id16, const char *leg, uint32_t leg_bytes);
/* A leg was made: QUEUED. */
void legs_add(struct legs *l, struct key128 key);
/* A gateway accepted it: the state that it is in now, ACCEPTED or what an early RECEIPT said. */
enum leg_state legs_accept(struct legs *l, struct key128 key);
/* Moves a leg; returns the state it had (QUEUED: noted, and counted when it is accepted), LEG_NONE when it is
 * not remembered or the step is not one of the above. */
enum leg_state legs_move(struct legs *l, struct key128 key, enum leg_state to);
void legs_checkpoint(struct legs *l, struct records *records);
/* META "legs" or "legs:<page>"; false: not one of these, or it makes no sense. */
bool legs_load(struct legs *l, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes);

#endif
