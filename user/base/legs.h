/*
 * legs: legs that a RECEIPT can still move: ACCEPTED -> DELIVERED -> READ, or FAILED, each once. A leg is
 * known from its making by a number, which the outbox keeps with its frame, so an acceptance needs no search;
 * a RECEIPT finds it by (id, leg). One that comes before the acceptance (an ACK that was lost) is kept and
 * counted with it. A ring of LEGS_REMEMBERED_MAX; the oldest leaves for the newest. Part of the state.
 *
 * Engine thread only.
 */
#ifndef BASE_LEGS_H
#define BASE_LEGS_H

#include <base/records.h>
#include <moment/counters.h>
#include <moment/limits.h>

enum { LEG_EARLY = 0x80, LEGS_PAGE = 1024, LEGS_PAGES = LEGS_REMEMBERED_MAX / LEGS_PAGE };
_Static_assert((int)LEG_STATE_COUNT < (int)LEG_EARLY, "a state and its bit fit in a byte");
_Static_assert((LEGS_REMEMBERED_MAX & (LEGS_REMEMBERED_MAX - 1)) == 0, "places are numbers modulo the ring");

struct legs {
	struct region region;
	struct key128 *keys; /* [LEGS_REMEMBERED_MAX] each, by number modulo the ring */
	uint8_t *states;     /* enum leg_state; LEG_EARLY added while it is QUEUED all the same; 0 = free */
	uint32_t *older;     /* place + 1 of the next older leg of the same bucket */
	uint32_t *buckets;   /* by key: place + 1 of the newest */
	uint64_t next;	     /* legs ever added: the number of the next */
	uint64_t linked;     /* legs below it are in their buckets */
	/* checkpoint */
	struct records *records; /* of the one that is being cut; NULL = none */
	uint32_t generation, page_next;
	uint32_t changed[LEGS_PAGES]; /* generation of the last change; 0 = none since it was encoded */
};

__attribute__((warn_unused_result)) int legs_init(struct legs *l);
void legs_deinit(struct legs *l);

/* The hash of a leg's name ("push/1"); with the message's id, a hash itself, it is the key of the leg. */
struct key128 legs_name(const char *leg, uint32_t leg_bytes);
static inline struct key128 legs_key(const void *id16, struct key128 name)
{
	struct key128 id;

	__builtin_memcpy(&id, id16, sizeof id);
	return (struct key128){ id.low ^ name.low, id.high ^ name.high };
}

/* A leg was made: QUEUED. Returns its number. */
uint64_t legs_add(struct legs *l, struct key128 key);
/* A gateway accepted these: adds to states[] the one that each is in now, ACCEPTED or what an early RECEIPT
 * said; ACCEPTED too when it is so long ago that it left the ring. */
void legs_accept(struct legs *l, const uint64_t *numbers, uint32_t count, uint64_t states[LEG_STATE_COUNT]);
/* Moves a leg, the newest of that key; returns the state it had (QUEUED: noted, and counted when it is
 * accepted), LEG_NONE when it is not remembered or the step is not one of the above. */
enum leg_state legs_move(struct legs *l, struct key128 key, enum leg_state to);

/*
 * A checkpoint: cut says what belongs to it, at a tick's edge; step encodes up to items_max pages of it
 * (true: all of it is in the records). What changes in between is encoded first, as it was at the cut.
 */
void legs_checkpoint_cut(struct legs *l, struct records *records);
bool legs_checkpoint_step(struct legs *l, uint32_t items_max);
/* META "legs" or "legs:<page>"; false: not one of these, or it makes no sense. */
bool legs_load(struct legs *l, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes);

#endif
