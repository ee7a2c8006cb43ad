/*
 * legs.c: the ring is kept in the store by pages, so that a checkpoint writes what moved and no more.
 */
#include "legs.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

int legs_init(struct legs *l)
{
	*l = (struct legs){ 0 };
	int rc = region_init(&l->region, sizeof(struct legs_record) * LEGS_REMEMBERED_MAX + 64);
	if (!rc)
		rc = table_init(&l->table, LEGS_REMEMBERED_MAX);
	if (rc) {
		legs_deinit(l);
		return rc;
	}
	l->ring = region_take(&l->region, sizeof(struct legs_record) * LEGS_REMEMBERED_MAX);
	return 0;
}

void legs_deinit(struct legs *l)
{
	region_deinit(&l->region);
	table_deinit(&l->table);
}

struct key128 legs_key(const void *id16, const char *leg, uint32_t leg_bytes)
{
	char text[16 + NAME_BYTES_MAX + 8];

	if (leg_bytes > sizeof text - 16)
		leg_bytes = sizeof text - 16;
	memcpy(text, id16, 16);
	memcpy(text + 16, leg, leg_bytes);
	XXH128_hash_t h = XXH3_128bits(text, 16 + leg_bytes);
	return (struct key128){ h.low64, h.high64 };
}

void legs_add(struct legs *l, struct key128 key)
{
	uint32_t at = (uint32_t)(l->next % LEGS_REMEMBERED_MAX), there;
	struct legs_record *record = &l->ring[at];

	if (table_find(&l->table, key, &there))
		return;
	if (record->state)
		table_remove(&l->table, record->key);
	*record = (struct legs_record){ .key = key, .state = LEG_QUEUED };
	bool set = table_set(&l->table, key, at);
	assert(set);
	l->changed[at / LEGS_PAGE] = 1;
	l->next++;
}

static bool step_allowed(enum leg_state from, enum leg_state to)
{
	return (from == LEG_ACCEPTED && (to == LEG_DELIVERED || to == LEG_READ || to == LEG_FAILED)) ||
	       (from == LEG_DELIVERED && to == LEG_READ);
}

static void record_set(struct legs *l, uint32_t at, uint64_t state)
{
	l->ring[at].state = state;
	l->changed[at / LEGS_PAGE] = 1;
}

enum leg_state legs_accept(struct legs *l, struct key128 key)
{
	uint32_t at;

	if (!table_find(&l->table, key, &at))
		return LEG_ACCEPTED; /* so long ago that it left the ring */
	uint64_t state = l->ring[at].state;
	enum leg_state to = state & LEG_EARLY ? (enum leg_state)(state & ~(uint64_t)LEG_EARLY) : LEG_ACCEPTED;
	record_set(l, at, to);
	return to;
}

enum leg_state legs_move(struct legs *l, struct key128 key, enum leg_state to)
{
	uint32_t at;

	if (!table_find(&l->table, key, &at))
		return LEG_NONE;
	uint64_t state = l->ring[at].state;
	bool early = state == LEG_QUEUED || (state & LEG_EARLY);
	enum leg_state from =
		state == LEG_QUEUED ? LEG_ACCEPTED : (enum leg_state)(state & ~(uint64_t)LEG_EARLY);
	if (!step_allowed(from, to))
		return LEG_NONE;
	record_set(l, at, early ? (uint64_t)to | LEG_EARLY : (uint64_t)to);
	return early ? LEG_QUEUED : from;
}

void legs_checkpoint(struct legs *l, struct records *records)
{
	uint64_t *next = records_put(records, RECORD_META, "legs", 4, sizeof *next);

	if (next)
		*next = l->next;
	for (uint32_t page = 0; page < LEGS_PAGES; page++) {
		char key[16];
		if (!l->changed[page])
			continue;
		l->changed[page] = 0;
		int n = snprintf(key, sizeof key, "legs:%04x", page);
		void *value = records_put(records, RECORD_META, key, (uint16_t)n,
					  LEGS_PAGE * sizeof(struct legs_record));
		if (value)
			memcpy(value, l->ring + (size_t)page * LEGS_PAGE,
			       LEGS_PAGE * sizeof(struct legs_record));
	}
}

/* Can a remembered leg be in that state? 0: the place is free. */
static bool state_makes_sense(uint64_t state)
{
	uint64_t said = state & ~(uint64_t)LEG_EARLY;

	return state == 0 || state == LEG_QUEUED || (state == LEG_ACCEPTED) || said == LEG_DELIVERED ||
	       said == LEG_READ || said == LEG_FAILED;
}

bool legs_load(struct legs *l, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes)
{
	unsigned page;
	char text[16] = { 0 };

	if (key_bytes == 4 && memcmp(key, "legs", 4) == 0 && bytes == sizeof l->next) {
		memcpy(&l->next, value, sizeof l->next);
		return true;
	}
	if (key_bytes != 9 || bytes != LEGS_PAGE * sizeof(struct legs_record))
		return false;
	memcpy(text, key, key_bytes);
	if (sscanf(text, "legs:%4x", &page) != 1 || page >= LEGS_PAGES)
		return false;
	memcpy(l->ring + (size_t)page * LEGS_PAGE, value, bytes);
	for (uint32_t i = page * LEGS_PAGE; i < (page + 1) * LEGS_PAGE; i++)
		if (!state_makes_sense(l->ring[i].state) ||
		    (l->ring[i].state && !table_set(&l->table, l->ring[i].key, i)))
			return false;
	return true;
}
