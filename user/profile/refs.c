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
	int rc = region_init(&r->region,
			     max * (sizeof *r->ring + sizeof *r->dirty + sizeof *r->gone) + 3 * 64);
	if (rc)
		return rc;
	rc = table_init(&r->table, max);
	if (rc) {
		refs_deinit(r);
		return rc;
	}
	r->ring = region_take(&r->region, max * sizeof *r->ring);
	r->dirty = region_take(&r->region, max * sizeof *r->dirty);
	r->gone = region_take(&r->region, max * sizeof *r->gone);
	assert(r->ring && r->dirty && r->gone);
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

void refs_changed(struct refs *r, struct ref *ref)
{
	if (ref->memory & REF_DIRTY)
		return;
	ref->memory |= REF_DIRTY;
	r->dirty[r->dirty_count++] = (uint32_t)(ref - r->ring);
}

static void forget_oldest(struct refs *r)
{
	struct ref *ref = &r->ring[r->first % r->max];

	assert(r->first < r->next && ref->number == r->first);
	if (ref->memory & REF_SAVED)
		r->gone[r->gone_count++] = ref->key;
	bool removed = table_remove(&r->table, ref->key);
	assert(removed);
	*ref = (struct ref){ .memory = ref->memory & REF_DIRTY }; /* the place stays in the list */
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
	uint8_t dirty = ref->memory & REF_DIRTY;
	*ref = (struct ref){ .key = key, .number = number, .order_first = order_next, .seen = now };
	ref->memory = (uint8_t)(REF_LIVE | dirty);
	bool set = table_set(&r->table, key, (uint32_t)(number % r->max));
	assert(set);
	refs_changed(r, ref);
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

void refs_checkpoint(const struct refs *r, struct records *records)
{
	for (uint32_t i = 0; i < r->gone_count; i++)
		if (!refs_find(r, r->gone[i])) /* came again: its record replaces the old one */
			records_remove(records, RECORD_REF, &r->gone[i], sizeof r->gone[i]);
	for (uint32_t i = 0; i < r->dirty_count; i++) {
		const struct ref *ref = &r->ring[r->dirty[i]];
		if (!(ref->memory & REF_LIVE))
			continue;
		struct ref *out = records_put(records, RECORD_REF, &ref->key, sizeof ref->key, sizeof *ref);
		if (!out)
			return;
		*out = *ref;
		out->memory = 0;
	}
}

void refs_checkpointed(struct refs *r)
{
	for (uint32_t i = 0; i < r->dirty_count; i++) {
		struct ref *ref = &r->ring[r->dirty[i]];
		ref->memory &= (uint8_t)~REF_DIRTY;
		if (ref->memory & REF_LIVE)
			ref->memory |= REF_SAVED;
	}
	r->dirty_count = r->gone_count = 0;
}

static bool ref_valid(const struct ref *ref)
{
	static const uint8_t zero[sizeof ref->reserved];

	if (ref->number == 0 || ref->number >= UINT64_MAX / 2 || ref->order_first == 0 ||
	    (ref->flags & ~REF_FLAGS) || ref->base_status > VALUE_ERROR || ref->entered >> PER_COUNT ||
	    ref->has_card > 1 || ref->memory || memcmp(ref->reserved, zero, sizeof zero) != 0)
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

	if (key_bytes != sizeof ref.key || value_bytes != sizeof ref)
		return false;
	memcpy(&ref, value, sizeof ref);
	if (memcmp(&ref.key, key, sizeof ref.key) != 0 || !ref_valid(&ref))
		return false;
	struct ref *place = &r->ring[ref.number % r->max];
	if ((place->memory & REF_LIVE) || refs_find(r, ref.key))
		return false;
	ref.memory = REF_LIVE | REF_SAVED;
	*place = ref;
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
	}
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}
