/*
 * history_slots.c: a catalogue comes into force: which slots and kinds of keys its aggregates have, which are
 * kept from the catalogue before (those of the same identity), what is read and fed by each event type, and
 * the steps of patterns. In: a checked catalogue. Out: slots, plans. The order of slots is the order in which
 * they were taken, and is saved with the state. Nothing fails; a catalogue that cannot be is our own mistake.
 */
#include "history_state.h"

#include <assert.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static bool identity_equal(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* ---- kinds of keys ---- */

static int key_find(const struct windows *w, const struct cat_key *key)
{
	for (int i = PER_COUNT; i < KEYS_MAX; i++)
		if (w->keys[i].used && identity_equal(w->keys[i].identity, key->identity) &&
		    (w->keys[i].keys_max != 0) == (key->keys_max != 0))
			return i;
	return -1;
}

/* Kinds that the catalogue has no more are gone with all their cells. */
static void keys_drop(struct history *h, const struct catalogue *c)
{
	struct windows *w = &h->windows;
	uint32_t kept = (1u << PER_COUNT) - 1;

	for (uint32_t i = PER_COUNT; i < c->key_count; i++) {
		int at = key_find(w, &c->keys[i]);
		kept |= at >= 0 ? 1u << at : 0;
	}
	for (uint32_t per = 0; per < KEYS_MAX; per++)
		if (w->keys[per].used && !(kept >> per & 1)) {
			windows_key_drop(w, per);
			w->keys[per] = (struct window_key){ 0 };
		}
}

static void keys_take(struct history *h, const struct catalogue *c)
{
	struct windows *w = &h->windows;

	for (uint8_t i = 0; i < KEYS_MAX; i++)
		h->key_of[i] = h->key_at[i] = i;
	h->customer_keys = 0;
	assert(c->key_count <= KEYS_MAX);
	for (uint32_t i = PER_COUNT; i < c->key_count; i++) {
		int at = key_find(w, &c->keys[i]);
		if (at < 0) {
			at = PER_COUNT;
			while (w->keys[at].used)
				at++; /* those of the old ones are gone: at most KEYS_MAX are asked for */
			assert(at < KEYS_MAX);
			w->keys[at] = (struct window_key){ .identity = c->keys[i].identity, .used = 1 };
		}
		w->keys[at].keys_max = c->keys[i].keys_max;
		h->key_of[i] = (uint8_t)at;
		h->key_at[at] = (uint8_t)i;
		for (uint32_t n = 0; n < c->keys[i].part_count; n++)
			h->customer_keys |= c->keys[i].parts[n].kind == KEY_PART_CUSTOMER ? 1u << at : 0;
	}
}

/* ---- slots ---- */

static int slot_find(const struct history *h, const struct catalogue *c, const struct cat_aggregate *a)
{
	const struct windows *w = &h->windows;
	int per = a->per < PER_COUNT ? a->per : key_find(w, &c->keys[a->per]);

	for (int i = 0; i < AGGREGATES_MAX; i++)
		if (w->slots[i].used && w->slots[i].per == per && w->slots[i].value_count == a->value_count &&
		    identity_equal(w->slots[i].identity, a->identity))
			return i;
	return -1;
}

/* Steps stay for the longest pattern that has them. */
static int64_t step_within(const struct catalogue *c, uint32_t aggregate)
{
	int64_t within = c->aggregates[aggregate].within_ns > 0 ? c->aggregates[aggregate].within_ns : 1;

	for (uint32_t i = 0; i < c->pattern_count; i++) {
		const struct cat_pattern *p = &c->patterns[i];
		bool has = p->unless == (int)aggregate;
		for (uint32_t s = 0; s < p->step_count; s++)
			has |= p->steps[s].aggregate == aggregate;
		if (has && p->within_ns > within)
			within = p->within_ns;
	}
	return within;
}

static int slot_take(struct history *h, const struct catalogue *c, uint32_t aggregate, int64_t activated)
{
	const struct cat_aggregate *a = &c->aggregates[aggregate];
	struct windows *w = &h->windows;
	int i = 0;

	while (w->slots[i].used)
		i++; /* the old ones are gone: at most AGGREGATES_MAX are asked for */
	assert(i < AGGREGATES_MAX);
	w->slots[i] = (struct window_slot){
		.identity = a->identity,
		.within = a->within_ns,
		.activated = activated,
		.function = (uint8_t)a->function,
		.calendar = a->calendar,
		.per = h->key_of[a->per],
		.used = 1,
		.value_count = (uint8_t)a->value_count,
	};
	assert(a->function != AGG_DISTINCT || a->within_ns || a->calendar);
	return i;
}

static struct hash128 body_identity(const struct cat_field *field)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(field->name, strlen(field->name), (uint64_t)field->type);

	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}

/* What the aggregate in force calls its values; a body field's number may differ from catalogue to catalogue.
 */
static void values_take(struct windows *w, const struct catalogue *c, const struct cat_aggregate *a,
			struct window_slot *s)
{
	s->value_first = (uint16_t)w->value_count;
	for (uint32_t n = 0; n < a->value_count; n++) {
		const struct cat_agg_value *from = c->agg_values ? &c->agg_values[a->value_first + n] : NULL;
		uint16_t body = from ? from->body_field : a->body_field;
		assert(w->value_count < AGGREGATE_VALUES_MAX);
		struct window_value *v = &w->values[w->value_count++];
		*v = (struct window_value){ .field = (uint8_t)(from ? from->field : a->field) };
		v->type = (uint8_t)(a->function != AGG_LAST ? TYPE_INT : from ? from->type : a->type);
		if (v->field == AGGF_BODY) {
			v->body = body;
			v->type = (uint8_t)c->fields[body].type;
			v->identity = body_identity(&c->fields[body]);
		}
	}
}

static void slots_take(struct history *h, const struct catalogue *c, int64_t activated)
{
	struct windows *w = &h->windows;
	uint64_t placed = 0;

	w->value_count = 0;
	for (uint32_t i = 0; i < c->aggregate_count; i++) {
		const struct cat_aggregate *a = &c->aggregates[i];
		int slot = slot_find(h, c, a);
		if (slot < 0)
			slot = slot_take(h, c, i, activated);
		struct window_slot *s = &w->slots[slot];
		s->type = (uint8_t)a->type;
		h->slot_of[i] = (uint8_t)slot;
		if (a->function == AGG_STEP)
			s->within = step_within(c, i);
		if (placed >> slot & 1)
			continue; /* two names of one definition */
		placed |= UINT64_C(1) << slot;
		values_take(w, c, a, s);
	}
}

static void slots_activate(struct history *h, const struct catalogue *c, int64_t activated)
{
	struct windows *w = &h->windows;
	uint64_t kept = 0, had = 0;
	bool new = false;

	for (uint32_t i = 0; i < AGGREGATES_MAX; i++)
		had |= (uint64_t)w->slots[i].used << i;
	for (uint32_t i = 0; i < c->aggregate_count; i++) {
		int slot = slot_find(h, c, &c->aggregates[i]);
		kept |= slot >= 0 ? UINT64_C(1) << slot : 0;
		new |= slot < 0;
	}
	if (new || had != kept)
		windows_slots_clear(w, had & ~kept);
	keys_drop(h, c);
	memcpy(h->keys_before, w->keys, sizeof w->keys);
	memcpy(h->slots_before, w->slots, sizeof w->slots);
	for (uint64_t left = had & ~kept; left; left &= left - 1)
		w->slots[bit_first(left)] = (struct window_slot){ 0 };
	keys_take(h, c);
	slots_take(h, c, activated);
	windows_derive(w);
	windows_layouts_change(w, h->keys_before, h->slots_before);
}

/* ---- plans ---- */

/* What the type reads of one kind of key; without the event itself first. */
static uint8_t plan_reads(struct history *h, const struct catalogue *c, const struct cat_event *type,
			  struct plan *plan, uint32_t per, bool before, uint8_t at)
{
	uint8_t first = at;

	for (uint64_t left = type->reads; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		const struct cat_aggregate *a = &c->aggregates[i];
		assert(i < c->aggregate_count && a->function != AGG_STEP);
		if (h->key_of[a->per] != per || a->before != before)
			continue;
		plan->reads[at++] = windows_read_plan(&h->windows, h->slot_of[i], a->value_first);
		plan->keys |= 1u << per;
		plan->calendars |= 1u << a->calendar;
	}
	return (uint8_t)(at - first);
}

static void plan_make(struct history *h, const struct catalogue *c, const struct cat_event *type,
		      struct plan *plan)
{
	*plan = (struct plan){ .completes = type->completes };
	for (uint64_t left = type->feeds; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		assert(i < c->aggregate_count);
		if (c->aggregates[i].has_where)
			plan->where |= UINT64_C(1) << i;
		else
			plan->feeds |= UINT64_C(1) << h->slot_of[i];
		plan->keys |= 1u << h->key_of[c->aggregates[i].per];
	}
	uint8_t at = 0;
	for (uint32_t per = 0; per < KEYS_MAX; per++) {
		plan->of[per].first = at;
		at = (uint8_t)(at + (plan->of[per].before = plan_reads(h, c, type, plan, per, true, at)));
		at = (uint8_t)(at + (plan->of[per].with = plan_reads(h, c, type, plan, per, false, at)));
	}
	plan->plain = !(plan->keys & ~(1u << PER_CUSTOMER | 1u << PER_ACCOUNT)) && plan->calendars <= 1 &&
		      !plan->completes;
}

static void patterns_take(struct history *h, const struct catalogue *c)
{
	assert(c->pattern_count <= PATTERNS_MAX);
	for (uint32_t i = 0; i < c->pattern_count; i++) {
		const struct cat_pattern *p = &c->patterns[i];
		struct window_steps *s = &h->steps[i];
		*s = (struct window_steps){ .count = p->step_count, .within = p->within_ns };
		assert(p->step_count > 0 && p->step_count <= PATTERN_STEPS_MAX && p->within_ns > 0);
		for (uint32_t n = 0; n < p->step_count; n++) {
			s->slot[n] = h->slot_of[p->steps[n].aggregate];
			s->times[n] = p->steps[n].times ? p->steps[n].times : 1;
		}
		s->unless = p->unless >= 0 ? UINT64_C(1) << h->slot_of[p->unless] : 0;
		h->pattern_per[i] = h->key_of[p->per];
	}
}

void history_activate(struct history *h, const struct catalogue *c, int64_t now, bool empty)
{
	struct windows *w = &h->windows;

	assert(now >= w->now && !h->loading);
	assert(c->aggregate_count <= AGGREGATES_MAX && c->event_count <= EVENT_TYPES_MAX &&
	       c->lateness_ns >= 0);
	while (h->cut_phase) /* what was cut is written as it was laid out then */
		(void)history_checkpoint_step(h, UINT32_MAX);
	/* what is older than the old horizon is gone from the logs: nothing is known as of then, however long
	 * lateness is now */
	if (h->lateness != INT64_MIN && c->lateness_ns > h->lateness && now - h->lateness > h->floor)
		h->floor = now - h->lateness;
	w->now = now;
	if (h->ref_memory != INT64_MIN) /* a longer memory brings none back */
		refs_expire(&h->refs, now - h->ref_memory + 1);
	h->ref_memory = c->ref_memory_ns;
	w->settled = refs_settled(&h->refs, h->order + 1);
	if (h->lateness != INT64_MIN && c->lateness_ns > h->lateness)
		windows_settle(w);
	h->lateness = w->lateness = c->lateness_ns;
	slots_activate(h, c, empty ? INT64_MIN : now);
	patterns_take(h, c);
	for (uint32_t i = 0; i < c->event_count; i++)
		plan_make(h, c, &c->events[i], &h->plans[i]);
	h->catalogue = c;
}
