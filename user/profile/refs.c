/*
 * refs.c: the ring of references, and what reversals, releases and postings do to a transaction's figures.
 *
 * References come in as hashes (key128), amounts in minor units. A transaction keeps gross figures and what
 * was reversed; what is left is computed from both each time, so that no rounding adds up. The ring owns the
 * transactions; a full ring forgets its oldest, which is counted and never an error.
 */
#include "refs.h"

#include <assert.h>
#include <base/money.h>
#include <errno.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

int refs_init(struct refs *r, uint64_t max)
{
	*r = (struct refs){ .max = max, .first = 1, .next = 1 };
	if (max == 0 || max >= UINT32_MAX)
		return -EINVAL;
	uint64_t more_bytes = REF_KEYS_MORE * sizeof *r->more;
	int rc = region_init(&r->region,
			     max * (sizeof *r->ring + 2 * sizeof **r->dirty + more_bytes) + 4 * 64);
	if (rc)
		return rc;
	rc = table_init(&r->table, max);
	if (rc) {
		refs_deinit(r);
		return rc;
	}
	r->ring = region_take(&r->region, max * sizeof *r->ring);
	for (int i = 0; i < 2; i++)
		r->dirty[i] = region_take(&r->region, max * sizeof **r->dirty);
	r->more = region_take(&r->region, max * more_bytes);
	assert(r->ring && r->dirty[0] && r->dirty[1] && r->more);
	r->saved_first = r->saved_next = 1;
	return 0;
}

void refs_deinit(struct refs *r)
{
	table_deinit(&r->table);
	region_deinit(&r->region);
}

struct ref *refs_find(const struct refs *r, struct key128 key)
{
	uint32_t slot;

	return table_find(&r->table, key, &slot) ? &r->ring[slot] : NULL;
}

/* Numbers ascend in the store as they are given: what is new stands at its end, what is old at its start. */
static uint64_t number_key(uint64_t number)
{
	return __builtin_bswap64(number);
}

static void ref_save(const struct refs *r, const struct ref *ref)
{
	uint64_t key = number_key(ref->number);
	uint32_t further = (uint32_t)__builtin_popcount(ref->entered >> PER_COUNT), n = 0;
	const struct key128 *more = ref_more(r, ref);

	if (!(ref->memory & REF_LIVE))
		return;
	struct ref *out = records_put(r->records, RECORD_REF, &key, sizeof key,
				      (uint32_t)(sizeof *ref + further * sizeof *more));
	if (!out)
		return;
	*out = *ref;
	out->memory = 0;
	for (uint32_t i = 0; i < REF_KEYS_MORE; i++)
		if (ref->entered >> (PER_COUNT + i) & 1)
			memcpy((char *)(out + 1) + n++ * sizeof *more, &more[i], sizeof *more);
}

static uint8_t list_bit(uint32_t list)
{
	return (uint8_t)(REF_DIRTY << list);
}

/* What a cut still has to write is written as it is. */
static void ref_tidied(struct refs *r, struct ref *ref)
{
	uint8_t frozen = list_bit(r->list ^ 1);

	if (!(ref->memory & frozen))
		return;
	ref_save(r, ref);
	ref->memory &= (uint8_t)~frozen;
}

void refs_changed(struct refs *r, struct ref *ref)
{
	ref_tidied(r, ref);
	if (ref->memory & list_bit(r->list))
		return;
	ref->memory |= list_bit(r->list);
	r->dirty[r->list][r->dirty_count[r->list]++] = (uint32_t)(ref - r->ring);
}

static void forget_oldest(struct refs *r)
{
	struct ref *ref = &r->ring[r->first % r->max];

	assert(r->first < r->next && ref->number == r->first);
	ref_tidied(r, ref);
	bool removed = table_remove(&r->table, ref->key);
	assert(removed);
	*ref = (struct ref){ .memory = ref->memory & list_bit(r->list) }; /* the place stays in the list */
	r->first++;
}

void refs_expire(struct refs *r, int64_t since)
{
	while (r->first < r->next && r->ring[r->first % r->max].seen < since)
		forget_oldest(r);
}

struct ref *refs_add(struct refs *r, struct key128 key, int64_t now, uint64_t order_next, uint64_t limit)
{
	uint64_t most = limit < r->max ? limit : r->max;

	while (r->next > r->first && r->next - r->first >= most) {
		forget_oldest(r);
		r->evicted++;
	}
	uint64_t number = r->next++;
	struct ref *ref = &r->ring[number % r->max];
	assert(!(ref->memory & REF_LIVE));
	ref_tidied(r, ref); /* a place that was changed before a cut, and empty then */
	uint8_t dirty = ref->memory & list_bit(r->list);
	*ref = (struct ref){ .key = key, .number = number, .order_first = order_next, .seen = now };
	ref->memory = (uint8_t)(REF_LIVE | dirty);
	refs_changed(r, ref);
	bool set = table_set(&r->table, key, (uint32_t)(number % r->max));
	assert(set);
	return ref;
}

uint64_t refs_settled(const struct refs *r, uint64_t order_next)
{
	return r->first < r->next ? r->ring[r->first % r->max].order_first : order_next;
}

enum ref_part ref_note(struct ref *ref, enum event_stage stage, uint16_t type)
{
	for (uint32_t i = 0; i < ref->parts; i++)
		if (ref->part_stage[i] == stage && ref->part_type[i] == type)
			return REF_PART_SEEN;
	if (ref->parts == REF_PARTS_MAX)
		return REF_PART_FULL;
	ref->part_stage[ref->parts] = (uint8_t)stage;
	ref->part_type[ref->parts++] = type;
	return REF_PART_NEW;
}

/* ---- a transaction ---- */

static int64_t amount_left(const struct ref *ref)
{
	return ref->amount > ref->reversed ? ref->amount - ref->reversed : 0;
}

bool ref_reverse(struct ref *ref, int64_t amount, uint16_t currency)
{
	if (!(ref->flags & REF_COUNTED) || (ref->flags & REF_OUT) || ref->currency != currency)
		return false;
	int64_t left = amount_left(ref), taken = amount < left ? amount : left;

	ref->reversed += taken;
	if (taken == left)
		ref->flags |= REF_OUT;
	return true;
}

/* Only a hold is released: once posted, nothing of the authorisation is left. */
bool ref_release(struct ref *ref)
{
	if (!(ref->flags & REF_COUNTED) || (ref->flags & (REF_OUT | REF_POSTED)))
		return false;
	ref->flags |= REF_OUT | REF_RELEASED;
	return true;
}

/* What was reversed, in the currency of the new figures: by base, or by its share where a base is missing. */
static int64_t reversed_in(const struct ref *ref, int64_t amount, struct value base)
{
	int64_t taken, reversed = 0;

	if (ref->reversed == 0)
		return 0;
	if (ref->amount == 0) /* posted as 0 after a reversal: nothing was left */
		return amount;
	bool by_base = ref->base_status == VALUE_OK && base.status == VALUE_OK && base.i > 0 &&
		       money_muldiv(ref->base, ref->reversed, ref->amount, &taken);
	if (by_base && !money_muldiv(amount, taken, base.i, &reversed))
		return amount;
	if (!by_base && !money_muldiv(amount, ref->reversed, ref->amount, &reversed))
		return amount;
	return reversed;
}

void ref_post(struct ref *ref, int64_t amount, struct value base, uint16_t currency)
{
	bool released = ref->flags & REF_RELEASED, out = (ref->flags & REF_OUT) && !released;

	if (currency != ref->currency)
		ref->reversed = reversed_in(ref, amount, base);
	ref->amount = amount;
	ref->base = base.status == VALUE_OK ? base.i : 0;
	ref->base_status = base.status;
	ref->currency = currency;
	ref->flags = REF_COUNTED | REF_POSTED;
	if (amount_left(ref) == 0 && (ref->reversed > 0 || out))
		ref->flags |= REF_OUT;
}

struct ref_left ref_left(const struct ref *ref)
{
	struct ref_left left = {
		.amount = amount_left(ref),
		.base = ref->base,
		.base_status = (enum value_status)ref->base_status,
		.out = ref->flags & REF_OUT,
	};

	if (left.amount != ref->amount && left.base_status == VALUE_OK) {
		bool fits = money_muldiv(ref->base, left.amount, ref->amount, &left.base);
		assert(fits); /* left <= amount */
	}
	return left;
}

/* ---- records ---- */

void refs_cut(struct refs *r, struct records *records)
{
	assert(!r->records && records);
	r->list ^= 1;
	assert(r->dirty_count[r->list] == 0);
	r->records = records;
	r->cut_next = 0;
	r->cut_gone = r->saved_first;
	r->cut_first = r->first;
	r->cut_saved = r->next;
}

bool refs_cut_step(struct refs *r, uint32_t *items)
{
	uint32_t frozen = r->list ^ 1;
	uint64_t gone_end = r->cut_first < r->saved_next ? r->cut_first : r->saved_next;

	for (; *items && r->cut_gone < gone_end; --*items) {
		uint64_t key = number_key(r->cut_gone++);
		records_remove(r->records, RECORD_REF, &key, sizeof key);
	}
	for (; *items && r->cut_next < r->dirty_count[frozen]; --*items)
		ref_tidied(r, &r->ring[r->dirty[frozen][r->cut_next++]]);
	return r->cut_gone >= gone_end && r->cut_next == r->dirty_count[frozen];
}

/* Did it fit? Else all counts as changed. */
void refs_cut_finish(struct refs *r)
{
	bool full = r->records->full;

	r->dirty_count[r->list ^ 1] = 0;
	r->records = NULL;
	for (uint64_t n = r->first; full && n < r->next; n++)
		refs_changed(r, &r->ring[n % r->max]);
	if (full)
		return;
	r->saved_first = r->cut_first;
	r->saved_next = r->cut_saved;
}

static bool ref_valid(const struct ref *ref)
{
	static const uint8_t zero[sizeof ref->reserved];

	if (ref->number == 0 || ref->number >= UINT64_MAX / 2 || ref->order_first == 0 ||
	    (ref->flags & ~REF_FLAGS) || ref->base_status > VALUE_ERROR || ref->none || ref->has_card > 1 ||
	    ref->memory || memcmp(ref->reserved, zero, sizeof zero) != 0)
		return false;
	if (ref->parts == 0 || ref->parts > REF_PARTS_MAX)
		return false;
	for (uint32_t i = 0; i < REF_PARTS_MAX; i++)
		if (i < ref->parts ? ref->part_stage[i] == STAGE_NONE || ref->part_stage[i] >= STAGE_COUNT
				   : ref->part_stage[i] || ref->part_type[i])
			return false;
	if (!(ref->flags & REF_COUNTED))
		return ref->flags == 0 && ref->order == 0;
	return ref->order >= ref->order_first && ref->time > 0 && ref->amount >= 0 && ref->reversed >= 0;
}

bool refs_load(struct refs *r, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
	struct ref ref;

	if (key_bytes != sizeof ref.number || value_bytes < sizeof ref)
		return false;
	memcpy(&ref, value, sizeof ref);
	uint64_t number = number_key(ref.number);
	uint32_t further = (uint32_t)__builtin_popcount(ref.entered >> PER_COUNT);
	if (memcmp(&number, key, sizeof number) != 0 || !ref_valid(&ref) ||
	    value_bytes != sizeof ref + further * sizeof(struct key128))
		return false;
	struct ref *place = &r->ring[ref.number % r->max];
	if ((place->memory & REF_LIVE) || refs_find(r, ref.key))
		return false;
	ref.memory = REF_LIVE;
	*place = ref;
	const char *from = (const char *)value + sizeof ref;
	for (uint32_t i = 0; i < REF_KEYS_MORE; i++)
		if (ref.entered >> (PER_COUNT + i) & 1) {
			memcpy(&ref_more(r, place)[i], from, sizeof(struct key128));
			from += sizeof(struct key128);
		}
	if (r->first == r->next || ref.number < r->first)
		r->first = ref.number;
	if (ref.number >= r->next)
		r->next = ref.number + 1;
	return table_set(&r->table, ref.key, (uint32_t)(ref.number % r->max));
}

/* Numbers without a gap, times in their order. */
bool refs_loaded(struct refs *r, uint64_t first, uint64_t next, uint64_t order_next)
{
	if (r->table.count == 0)
		r->first = r->next = next;
	if (next == 0 || r->first != first || r->next != next || next - first != r->table.count)
		return false;
	r->saved_first = first;
	r->saved_next = next;
	for (uint64_t n = r->first; n < r->next; n++) {
		const struct ref *ref = &r->ring[n % r->max],
				 *before = n > r->first ? &r->ring[(n - 1) % r->max] : ref;
		if (ref->number != n || ref->seen < before->seen || ref->order_first < before->order_first ||
		    ref->order >= order_next || ref->order_first > order_next)
			return false;
	}
	return true;
}

struct hash128 refs_digest(const struct refs *r)
{
	XXH3_state_t state;
	uint64_t head[3] = { r->first, r->next, r->evicted };

	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, head, sizeof head);
	for (uint64_t n = r->first; n < r->next; n++) {
		struct ref ref = r->ring[n % r->max];
		ref.memory = 0;
		XXH3_128bits_update(&state, &ref, sizeof ref);
		for (uint32_t i = 0; i < REF_KEYS_MORE; i++)
			if (ref.entered >> (PER_COUNT + i) & 1)
				XXH3_128bits_update(&state, &ref_more(r, &r->ring[n % r->max])[i],
						    sizeof(struct key128));
	}
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}
