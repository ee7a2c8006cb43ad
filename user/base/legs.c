/*
 * legs.c: parallel arrays by place in the ring, so that an acceptance touches one byte a leg and those of
 * neighbours stand together. Buckets are chains from the newest to the oldest: a leg that left the ring needs
 * no removal, since the walk ends at the first place that holds a newer leg than the one before it.
 *
 * A new leg's bucket is somewhere in memory. LINK_BATCH of them are written at once, or what there is before
 * the next search: so the misses of many are waited for together. Pages of the ring go to the store when they changed (legs.h); what
 * is stored is keys and states only, chains are made again.
 *
 * What can go wrong: records that make no sense (load says so); a full list of records (it says so itself).
 */
#include "legs.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

enum { LINK_BATCH = 256, LINK_AHEAD = 16, GENERATION_FIRST = 2, STORED_FORMAT = 2 };
enum { BUCKETS = LEGS_REMEMBERED_MAX, RING_MASK = LEGS_REMEMBERED_MAX - 1 };

struct legs_stored { /* META "legs" */
	uint64_t format, next;
};

struct legs_page { /* META "legs:<page>" */
	struct key128 keys[LEGS_PAGE];
	uint8_t states[LEGS_PAGE];
};

int legs_init(struct legs *l)
{
	const size_t bytes = sizeof *l->keys + sizeof *l->states + sizeof *l->older + sizeof *l->buckets;

	*l = (struct legs){ .generation = GENERATION_FIRST };
	int rc = region_init(&l->region, bytes * LEGS_REMEMBERED_MAX + 4096);
	if (rc)
		return rc;
	/* buckets are touched at random: large pages, and all of them now; without them it is only slower */
	if (madvise(l->region.base, l->region.bytes, MADV_HUGEPAGE) == 0)
		(void)madvise(l->region.base, l->region.bytes, MADV_POPULATE_WRITE);
	l->keys = region_take(&l->region, sizeof *l->keys * LEGS_REMEMBERED_MAX);
	l->states = region_take(&l->region, sizeof *l->states * LEGS_REMEMBERED_MAX);
	l->older = region_take(&l->region, sizeof *l->older * LEGS_REMEMBERED_MAX);
	l->buckets = region_take(&l->region, sizeof *l->buckets * BUCKETS);
	assert(l->buckets);
	return 0;
}

void legs_deinit(struct legs *l)
{
	region_deinit(&l->region);
}

struct key128 legs_name(const char *leg, uint32_t leg_bytes)
{
	XXH128_hash_t h = XXH3_128bits(leg, leg_bytes);

	return (struct key128){ h.low64, h.high64 };
}

/* ---- changes, as a checkpoint sees them ---- */

static void page_encode(struct legs *l, uint32_t page)
{
	static const char digits[] = "0123456789abcdef";
	char key[9] = "legs:";

	for (unsigned i = 0; i < 4; i++)
		key[5 + i] = digits[page >> (12 - 4 * i) & 15];
	struct legs_page *to = records_put(l->records, RECORD_META, key, sizeof key, sizeof *to);
	if (!to)
		return;
	memcpy(to->keys, l->keys + (size_t)page * LEGS_PAGE, sizeof to->keys);
	memcpy(to->states, l->states + (size_t)page * LEGS_PAGE, sizeof to->states);
}

/* Of the checkpoint that is being cut, and not encoded yet? */
static bool page_is_frozen(const struct legs *l, uint32_t page)
{
	return l->records && l->changed[page] == l->generation - 1;
}

/* To be called before a place changes. */
static inline void place_change(struct legs *l, uint32_t place)
{
	uint32_t page = place / LEGS_PAGE;

	if (l->changed[page] == l->generation)
		return;
	if (page_is_frozen(l, page))
		page_encode(l, page);
	l->changed[page] = l->generation;
}

/* ---- buckets ---- */

static uint32_t bucket_of(struct key128 key)
{
	return (uint32_t)key.low & (BUCKETS - 1);
}

static uint32_t *bucket_at(const struct legs *l, uint64_t number)
{
	return &l->buckets[bucket_of(l->keys[number & RING_MASK])];
}

/* Puts all legs into their buckets. */
static void buckets_link(struct legs *l)
{
	for (; l->linked < l->next; l->linked++) {
		uint32_t place = (uint32_t)l->linked & RING_MASK;
		uint32_t *bucket = bucket_at(l, l->linked);
		__builtin_prefetch(bucket_at(l, l->linked + LINK_AHEAD), 1); /* of whichever key is there */
		l->older[place] = *bucket;
		*bucket = place + 1;
	}
}

/* The number of the leg that stands at a place now. */
static uint64_t number_at(const struct legs *l, uint32_t place)
{
	return l->next - 1 - ((l->next - 1 - place) & RING_MASK);
}

static bool leg_find(struct legs *l, struct key128 key, uint32_t *place)
{
	uint64_t newer = l->next;

	buckets_link(l);
	for (uint32_t at = l->buckets[bucket_of(key)]; at; at = l->older[at - 1]) {
		uint64_t number = number_at(l, at - 1);
		if (number >= newer)
			return false; /* what stood here left the ring, and so did all that is older */
		if (l->keys[at - 1].low == key.low && l->keys[at - 1].high == key.high) {
			*place = at - 1;
			return true;
		}
		newer = number;
	}
	return false;
}

/* ---- what happens to a leg ---- */

uint64_t legs_add(struct legs *l, struct key128 key)
{
	uint64_t number = l->next++;
	uint32_t place = (uint32_t)number & RING_MASK;

	place_change(l, place);
	l->keys[place] = key;
	l->states[place] = LEG_QUEUED;
	if (l->next - l->linked >= LINK_BATCH)
		buckets_link(l);
	return number;
}

static bool step_allowed(enum leg_state from, enum leg_state to)
{
	return (from == LEG_ACCEPTED && (to == LEG_DELIVERED || to == LEG_READ || to == LEG_FAILED)) ||
	       (from == LEG_DELIVERED && to == LEG_READ);
}

void legs_accept(struct legs *l, const uint64_t *numbers, uint32_t count, uint64_t states[LEG_STATE_COUNT])
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t place = (uint32_t)numbers[i] & RING_MASK;
		assert(numbers[i] < l->next);
		if (l->next - numbers[i] > LEGS_REMEMBERED_MAX) {
			states[LEG_ACCEPTED]++;
			continue;
		}
		uint8_t state = l->states[place];
		state = state & LEG_EARLY ? (uint8_t)(state & ~LEG_EARLY) : LEG_ACCEPTED;
		place_change(l, place);
		l->states[place] = state;
		states[state]++;
	}
}

enum leg_state legs_move(struct legs *l, struct key128 key, enum leg_state to)
{
	uint32_t place;

	if (!leg_find(l, key, &place))
		return LEG_NONE;
	uint8_t state = l->states[place];
	bool early = state == LEG_QUEUED || (state & LEG_EARLY);
	enum leg_state from = state == LEG_QUEUED ? LEG_ACCEPTED : (enum leg_state)(state & ~LEG_EARLY);
	if (!step_allowed(from, to))
		return LEG_NONE;
	place_change(l, place);
	l->states[place] = (uint8_t)(early ? (int)to | LEG_EARLY : (int)to);
	return early ? LEG_QUEUED : from;
}

/* ---- checkpoints ---- */

void legs_checkpoint_cut(struct legs *l, struct records *records)
{
	struct legs_stored *head = records_put(records, RECORD_META, "legs", 4, sizeof *head);

	assert(!l->records); /* the one before was stepped to its end */
	if (head)
		*head = (struct legs_stored){ STORED_FORMAT, l->next };
	l->records = records;
	l->generation++;
	l->page_next = 0;
}

bool legs_checkpoint_step(struct legs *l, uint32_t items_max)
{
	if (!l->records)
		return true;
	for (uint32_t items = 0; l->page_next < LEGS_PAGES; l->page_next++) {
		if (!page_is_frozen(l, l->page_next))
			continue;
		if (items++ == items_max)
			return false;
		page_encode(l, l->page_next);
		l->changed[l->page_next] = 0;
	}
	l->records = NULL;
	return true;
}

/* Can a remembered leg be in that state? 0: the place is free. */
static bool state_makes_sense(uint8_t state)
{
	uint8_t said = state & (uint8_t)~LEG_EARLY;

	return state == 0 || state == LEG_QUEUED || state == LEG_ACCEPTED || said == LEG_DELIVERED ||
	       said == LEG_READ || said == LEG_FAILED;
}

static bool page_parse(const char *key, uint32_t key_bytes, uint32_t *page)
{
	*page = 0;
	if (key_bytes != 9 || memcmp(key, "legs:", 5))
		return false;
	for (unsigned i = 5; i < 9; i++) {
		char c = key[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		*page = *page << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return *page < LEGS_PAGES;
}

bool legs_load(struct legs *l, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes)
{
	const struct legs_stored *head = value;
	const struct legs_page *from = value;
	uint32_t page;

	if (key_bytes == 4 && memcmp(key, "legs", 4) == 0) {
		if (bytes != sizeof *head || head->format != STORED_FORMAT)
			return false;
		l->next = head->next; /* chains are made by the first search, from what the ring holds */
		l->linked = l->next > LEGS_REMEMBERED_MAX ? l->next - LEGS_REMEMBERED_MAX : 0;
		return true;
	}
	if (!page_parse(key, key_bytes, &page) || bytes != sizeof *from)
		return false;
	for (uint32_t i = 0; i < LEGS_PAGE; i++)
		if (!state_makes_sense(from->states[i]))
			return false;
	memcpy(l->keys + (size_t)page * LEGS_PAGE, from->keys, sizeof from->keys);
	memcpy(l->states + (size_t)page * LEGS_PAGE, from->states, sizeof from->states);
	return true;
}
