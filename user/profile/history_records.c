/*
 * history_records.c: what a checkpoint has of history: META "history" with slots, values and kinds of keys,
 * then CELL and REF; taking it back; the digest. A cut freezes what changed at a tick's edge; steps encode
 * it, and what changes before its turn is encoded as it was. Bytes that make no sense are refused whole.
 * Records are the caller's until the last step.
 */
#include "history_state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static const char meta_key[] = "history";

struct slot_record {
	struct hash128 identity;
	int64_t within, activated;
	uint8_t function, calendar, per, used, type, value_count;
	uint16_t value_first;
};
struct value_record {
	struct hash128 identity;
	uint8_t field, type;
	uint8_t reserved[6];
};
struct key_record {
	struct hash128 identity;
	uint32_t keys_max;
	uint8_t used;
	uint8_t reserved[3];
};

struct meta {
	uint32_t version, bytes;
	uint64_t order, refs_first, refs_next, refs_evicted, provisional_forgotten;
	int64_t now, floor, lateness;
	uint64_t keys_evicted, value_count;
	struct slot_record slots[AGGREGATES_MAX];
	struct key_record keys[KEYS_MAX];
	struct value_record values[AGGREGATE_VALUES_MAX];
};
enum { META_VERSION = 3 };
_Static_assert(sizeof(struct meta) == 88 + AGGREGATES_MAX * 40 + KEYS_MAX * 24 + AGGREGATE_VALUES_MAX * 24,
	       "on disk");

static void meta_fill(const struct history *h, struct meta *meta)
{
	const struct windows *w = &h->windows;

	memset(meta, 0, sizeof *meta);
	meta->version = META_VERSION;
	meta->bytes = sizeof *meta;
	meta->order = h->order;
	meta->refs_first = h->refs.first;
	meta->refs_next = h->refs.next;
	meta->refs_evicted = h->refs.evicted;
	meta->provisional_forgotten = w->provisional_forgotten;
	meta->now = w->now;
	meta->floor = h->floor;
	meta->lateness = h->lateness;
	meta->keys_evicted = w->keys_evicted;
	meta->value_count = w->value_count;
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++) {
		const struct window_slot *s = &w->slots[i];
		meta->slots[i] =
			(struct slot_record){ s->identity,    s->within,     s->activated, s->function,
					      s->calendar,    s->per,	     s->used,	   s->type,
					      s->value_count, s->value_first };
	}
	for (uint32_t i = 0; i < KEYS_MAX; i++)
		meta->keys[i] = (struct key_record){
			w->keys[i].identity, w->keys[i].keys_max, w->keys[i].used, { 0 }
		};
	for (uint32_t i = 0; i < w->value_count; i++)
		meta->values[i] = (struct value_record){
			w->values[i].identity, w->values[i].field, w->values[i].type, { 0 }
		};
}

/* ---- checkpoints ---- */

enum cut_phase { CUT_NONE, CUT_WINDOWS, CUT_REFS, CUT_GHOSTS };

void history_checkpoint_cut(struct history *h, struct records *records)
{
	struct meta *meta = records_put(records, RECORD_META, meta_key, sizeof meta_key - 1, sizeof *meta);

	assert(!h->cut_phase && !h->loading);
	if (meta)
		meta_fill(h, meta);
	windows_cut(&h->windows, records);
	refs_cut(&h->refs, records);
	h->cut_phase = CUT_WINDOWS;
}

bool history_checkpoint_step(struct history *h, uint32_t items_max)
{
	uint32_t items = items_max;

	assert(items_max);
	if (h->cut_phase == CUT_NONE)
		return true; /* an activation has brought it to its end */
	if (h->cut_phase == CUT_WINDOWS && windows_cut_step(&h->windows, &items))
		h->cut_phase = CUT_REFS;
	if (h->cut_phase == CUT_REFS && refs_cut_step(&h->refs, &items))
		h->cut_phase = CUT_GHOSTS;
	if (h->cut_phase != CUT_GHOSTS || !windows_cut_finish(&h->windows, &items))
		return false;
	refs_cut_finish(&h->refs);
	h->cut_phase = CUT_NONE;
	return true;
}

bool history_checkpoint_running(const struct history *h)
{
	return h->cut_phase != CUT_NONE;
}

void history_checkpoint(struct history *h, struct records *records)
{
	history_checkpoint_cut(h, records);
	while (!history_checkpoint_step(h, UINT32_MAX))
		;
}

/* ---- loading ---- */

static bool slot_valid(const struct meta *meta, const struct slot_record *s)
{
	static const struct slot_record unused;
	bool lasting = s->within == 0 && !s->calendar;

	if (!s->used)
		return memcmp(s, &unused, sizeof unused) == 0;
	if (s->used != 1 || s->per >= KEYS_MAX || !meta->keys[s->per].used || s->within < 0 ||
	    s->type >= TYPE_COUNT || s->calendar > CALENDAR_MONTH || (s->within && s->calendar))
		return false;
	if (s->function <= AGG_NONE || s->function >= AGG_FUNCTION_COUNT ||
	    s->value_first + s->value_count > meta->value_count)
		return false;
	if (s->function == AGG_STEP)
		return !lasting && s->value_count == 0;
	if (s->function == AGG_DISTINCT && lasting)
		return false;
	return s->value_count >= 1 && (s->value_count == 1 || s->function == AGG_LAST);
}

/* A field that the function can read: whole numbers, but for last and distinct. */
static bool slot_value_valid(const struct slot_record *s, const struct value_record *v)
{
	static const uint8_t zero[sizeof v->reserved];
	bool any = s->function == AGG_LAST || s->function == AGG_DISTINCT;

	if (v->field >= AGGF_COUNT || v->type >= TYPE_COUNT || memcmp(v->reserved, zero, sizeof zero) != 0)
		return false;
	if ((v->field == AGGF_NONE) != (s->function == AGG_COUNT_OF))
		return false;
	return v->field != AGGF_BODY || any || v->type == TYPE_INT;
}

static bool meta_valid(const struct meta *meta)
{
	if (meta->now < 0 || meta->order >= UINT64_MAX / 256 || meta->value_count > AGGREGATE_VALUES_MAX ||
	    (meta->lateness < 0 && meta->lateness != INT64_MIN))
		return false;
	for (uint32_t i = 0; i < KEYS_MAX; i++) {
		const struct key_record *k = &meta->keys[i];
		if (k->used > 1 || (i < PER_COUNT && (!k->used || k->keys_max)) ||
		    (!k->used && (k->keys_max || k->identity.low || k->identity.high)) || k->reserved[0] ||
		    k->reserved[1] || k->reserved[2])
			return false;
	}
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++) {
		const struct slot_record *s = &meta->slots[i];
		if (!slot_valid(meta, s))
			return false;
		for (uint32_t n = 0; n < s->value_count; n++)
			if (!slot_value_valid(s, &meta->values[s->value_first + n]))
				return false;
	}
	return true;
}

static void meta_take(struct history *h, const struct meta *meta)
{
	struct windows *w = &h->windows;

	for (uint32_t i = 0; i < AGGREGATES_MAX; i++) {
		const struct slot_record *s = &meta->slots[i];
		w->slots[i] = (struct window_slot){ .identity = s->identity,
						    .within = s->within,
						    .activated = s->activated,
						    .function = s->function,
						    .calendar = s->calendar,
						    .per = s->per,
						    .used = s->used,
						    .type = s->type,
						    .value_count = s->value_count,
						    .value_first = s->value_first };
	}
	for (uint32_t i = 0; i < KEYS_MAX; i++)
		w->keys[i] = (struct window_key){ .identity = meta->keys[i].identity,
						  .keys_max = meta->keys[i].keys_max,
						  .used = meta->keys[i].used };
	w->value_count = (uint32_t)meta->value_count;
	for (uint32_t i = 0; i < w->value_count; i++)
		w->values[i] = (struct window_value){ .identity = meta->values[i].identity,
						      .field = meta->values[i].field,
						      .type = meta->values[i].type };
	windows_derive(w);
	w->now = meta->now;
	w->lateness = meta->lateness < 0 ? 0 : meta->lateness;
	w->provisional_forgotten = meta->provisional_forgotten;
	w->keys_evicted = meta->keys_evicted;
	h->order = meta->order;
	h->refs_first = meta->refs_first;
	h->refs_next = meta->refs_next;
	h->refs.evicted = meta->refs_evicted;
	h->floor = meta->floor;
	h->lateness = meta->lateness;
}

static bool meta_load(struct history *h, const void *value, uint32_t value_bytes)
{
	struct meta meta;
	uint32_t version = 0;

	if (value_bytes >= sizeof version)
		memcpy(&version, value, sizeof version);
	if (version != META_VERSION) {
		h->refused = version == 1 || version == 2
				     ? "its windows are of an older format than this version reads: keep "
				       "it with its own version, import the bank into a new data directory"
				     : NULL;
		return false;
	}
	if (h->meta_loaded || value_bytes != sizeof meta)
		return false;
	memcpy(&meta, value, sizeof meta);
	if (meta.bytes != sizeof meta || !meta_valid(&meta))
		return false;
	meta_take(h, &meta);
	return h->meta_loaded = true;
}

const char *history_refused(const struct history *h)
{
	return h->refused;
}

bool history_load(struct history *h, enum record_space space, const void *key, uint32_t key_bytes,
		  const void *value, uint32_t value_bytes)
{
	h->loading = true;
	switch (space) {
	case RECORD_META:
		return key_bytes == sizeof meta_key - 1 && memcmp(key, meta_key, key_bytes) == 0 &&
		       meta_load(h, value, value_bytes);
	case RECORD_CELL:
		return h->meta_loaded &&
		       windows_load(&h->windows, key, key_bytes, value, value_bytes, h->order);
	case RECORD_REF:
		return h->meta_loaded && refs_load(&h->refs, key, key_bytes, value, value_bytes);
	default:
		return false;
	}
}

bool history_loaded(struct history *h)
{
	h->loading = false;
	if (!h->meta_loaded)
		return true; /* nothing was saved */
	if (!refs_loaded(&h->refs, h->refs_first, h->refs_next, h->order + 1) || !windows_loaded(&h->windows))
		return false;
	h->windows.settled = refs_settled(&h->refs, h->order + 1);
	return true;
}

struct hash128 history_digest(const struct history *h)
{
	struct {
		struct meta meta;
		struct hash128 windows, refs;
	} all;

	memset(&all, 0, sizeof all);
	meta_fill(h, &all.meta);
	all.windows = windows_digest(&h->windows);
	all.refs = refs_digest(&h->refs);
	XXH128_hash_t hash = XXH3_128bits(&all, sizeof all);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}
