/*
 * history.c: one event against what is remembered: is it known, does it count, what does it change, and what
 * are the aggregates worth as of it. How references work is in refs.c, how windows work in windows.c; this
 * file has the order in which things are judged (decisions 11-20), and the slots that aggregates keep from
 * catalogue to catalogue.
 *
 * In: a checked event with its stage and base. Out: an outcome, which rules run, and values by catalogue
 * index. Strings are read during the call only. Nothing can fail on the path: room was asked for before the
 * batch, and what cannot be known is no data. Our own mistakes (time that goes back, another catalogue than
 * the activated one) stop.
 */
#include "history.h"
#include "refs.h"
#include "windows.h"

#include <assert.h>
#include <base/money.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define NS_S INT64_C(1000000000)
static const int64_t future_ns_max = 5 * 60 * NS_S;
static const int64_t provisional_ns = 7 * 24 * 3600 * NS_S;

/* An event type, as the windows see it. */
struct plan {
	uint64_t feeds;		    /* slots without `where` */
	uint64_t where;		    /* aggregates of the catalogue with one */
	uint64_t before[PER_COUNT]; /* aggregates to read, without the event itself */
	uint64_t with[PER_COUNT];   /* and with it */
};

struct history {
	struct windows windows;
	struct refs refs;
	const struct catalogue *catalogue; /* in force; for comparison only until the next activation */
	bool loading, meta_loaded;
	uint64_t order;			/* of the latest counted event */
	int64_t floor;			/* no value as of an earlier time: lateness was shorter then */
	int64_t lateness;		/* INT64_MIN before the first activation */
	uint64_t refs_first, refs_next; /* loaded */
	uint8_t slot_of[AGGREGATES_MAX];
	struct plan plans[EVENT_TYPES_MAX];
};

/* One event on its way. */
struct pass {
	struct history *h;
	const struct catalogue *c;
	const struct history_event *event;
	const struct plan *plan;
	const struct cel_env *env;
	struct value *agg;
	struct history_result *result;
	struct key128 keys[PER_COUNT];
	bool has_key[PER_COUNT];
};

int history_create(struct history **out, uint64_t windows_bytes, uint64_t cells_max, uint64_t refs_max)
{
	struct history *h = calloc(1, sizeof *h);
	int rc;

	if (!h)
		return -ENOMEM;
	rc = windows_init(&h->windows, windows_bytes, cells_max);
	if (rc)
		goto free_history;
	rc = refs_init(&h->refs, refs_max);
	if (rc)
		goto deinit_windows;
	h->floor = h->lateness = INT64_MIN;
	*out = h;
	return 0;
deinit_windows:
	windows_deinit(&h->windows);
free_history:
	free(h);
	return rc;
}

void history_destroy(struct history *h)
{
	if (!h)
		return;
	refs_deinit(&h->refs);
	windows_deinit(&h->windows);
	free(h);
}

void history_limit(struct history *h, uint64_t windows_bytes)
{
	struct slab *slab = &h->windows.slab;
	uint64_t reserved = slab->region.bytes / 2;

	slab->bytes_max = windows_bytes < reserved ? windows_bytes : reserved;
}

bool history_has_room(const struct history *h, uint32_t events)
{
	return windows_has_room(&h->windows, events);
}

/* ---- activation ---- */

static bool identity_equal(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

static int slot_find(const struct windows *w, const struct cat_aggregate *a)
{
	for (int i = 0; i < AGGREGATES_MAX; i++)
		if (w->slots[i].used && w->slots[i].per == a->per &&
		    identity_equal(w->slots[i].identity, a->identity))
			return i;
	return -1;
}

/* The lowest units of a cell's runs that no slot of this `per` has. */
static uint16_t units_find(const struct windows *w, const struct window_slot *s)
{
	bool taken[2 * AGGREGATES_MAX + 1] = { false };
	uint16_t at = 0;

	for (uint32_t i = 0; i < AGGREGATES_MAX; i++) {
		const struct window_slot *other = &w->slots[i];
		if (!other->used || other->per != s->per || other == s)
			continue;
		taken[other->at] = true;
		if (slot_has_fold(other))
			taken[other->at + 1] = true;
	}
	while (taken[at] || (slot_has_fold(s) && taken[at + 1]))
		at++;
	return at;
}

static int slot_take(struct windows *w, const struct cat_aggregate *a, int64_t activated)
{
	int i = 0;

	while (w->slots[i].used)
		i++; /* the old ones are gone: at most AGGREGATES_MAX are asked for */
	assert(i < AGGREGATES_MAX);
	struct window_slot *s = &w->slots[i];
	*s = (struct window_slot){
		.identity = a->identity,
		.within = a->within_ns,
		.activated = activated,
		.function = (uint8_t)a->function,
		.field = (uint8_t)a->field,
		.per = (uint8_t)a->per,
		.used = 1,
	};
	s->at = units_find(w, s);
	return i;
}

static void slots_activate(struct history *h, const struct catalogue *c, int64_t activated)
{
	struct windows *w = &h->windows;
	uint64_t kept = 0, had = 0;

	for (uint32_t i = 0; i < AGGREGATES_MAX; i++)
		had |= (uint64_t)w->slots[i].used << i;
	for (uint32_t i = 0; i < c->aggregate_count; i++) {
		int slot = slot_find(w, &c->aggregates[i]);
		kept |= slot >= 0 ? UINT64_C(1) << slot : 0;
	}
	windows_slots_clear(w, had & ~kept);
	for (uint64_t left = had & ~kept; left; left &= left - 1)
		w->slots[bit_first(left)] = (struct window_slot){ 0 };
	for (uint32_t i = 0; i < c->aggregate_count; i++) {
		const struct cat_aggregate *a = &c->aggregates[i];
		int slot = slot_find(w, a);
		if (slot < 0)
			slot = slot_take(w, a, activated);
		w->slots[slot].type = (uint8_t)a->type;
		h->slot_of[i] = (uint8_t)slot;
	}
	windows_slots_derive(w);
}

static void plan_make(struct history *h, const struct catalogue *c, const struct cat_event *type,
		      struct plan *plan)
{
	*plan = (struct plan){ 0 };
	for (uint64_t left = type->feeds; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		assert(i < c->aggregate_count);
		if (c->aggregates[i].has_where)
			plan->where |= UINT64_C(1) << i;
		else
			plan->feeds |= UINT64_C(1) << h->slot_of[i];
	}
	for (uint64_t left = type->reads; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		assert(i < c->aggregate_count);
		const struct cat_aggregate *a = &c->aggregates[i];
		*(a->before ? &plan->before[a->per] : &plan->with[a->per]) |= UINT64_C(1) << i;
	}
}

void history_activate(struct history *h, const struct catalogue *c, int64_t now, bool empty)
{
	struct windows *w = &h->windows;

	assert(now >= w->now && !h->loading);
	assert(c->aggregate_count <= AGGREGATES_MAX && c->event_count <= EVENT_TYPES_MAX &&
	       c->lateness_ns >= 0);
	/* what is older than the old horizon is gone from the logs: nothing is known as of then, however long
	 * lateness is now */
	if (h->lateness != INT64_MIN && c->lateness_ns > h->lateness && now - h->lateness > h->floor)
		h->floor = now - h->lateness;
	h->lateness = c->lateness_ns;
	w->now = now;
	w->lateness = c->lateness_ns;
	w->settled = refs_settled(&h->refs, h->order + 1);
	slots_activate(h, c, empty ? INT64_MIN : now);
	for (uint32_t i = 0; i < c->event_count; i++)
		plan_make(h, c, &c->events[i], &h->plans[i]);
	h->catalogue = c;
}

/* ---- keys ---- */

static struct key128 text_key(const char *s, uint32_t bytes)
{
	XXH128_hash_t hash = XXH3_128bits(s, bytes);

	return (struct key128){ .low = hash.low64, .high = hash.high64 };
}

static bool event_key(const struct history_event *event, uint32_t per, struct key128 *key)
{
	switch (per) {
	case PER_CUSTOMER:
		*key = (struct key128){ .low = event->customer };
		return event->customer != 0;
	case PER_ACCOUNT:
		*key = (struct key128){ .low = event->account };
		return event->account != 0;
	default:
		if (event->card)
			*key = text_key(event->card, event->card_bytes);
		return event->card != NULL;
	}
}

/* ---- reading ---- */

static void values_none(struct pass *p, uint64_t reads)
{
	for (uint64_t left = reads; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		p->agg[i] =
			(struct value){ .type = (uint8_t)p->c->aggregates[i].type, .status = VALUE_NO_DATA };
	}
}

static void values_read(struct pass *p, struct window_cell *cell, uint32_t per, uint64_t reads)
{
	if (!p->has_key[per] || p->event->time < p->h->floor) {
		values_none(p, reads);
		return;
	}
	for (uint64_t left = reads; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		p->agg[i] = windows_read(&p->h->windows, cell, p->h->slot_of[i], p->event->time,
					 &p->result->window_full);
	}
}

/* The cell of a key as of the event's now. One that is not remembered moves no clock, so a provisional
 * customer whose time is over may still be there. */
static struct window_cell *cell_now(const struct pass *p, uint32_t per)
{
	struct window_cell *cell = p->has_key[per] ? windows_find(&p->h->windows, per, p->keys[per]) : NULL;

	if (cell && (cell->flags & CELL_PROVISIONAL) && p->event->now - cell->touched > provisional_ns)
		return NULL;
	return cell;
}

/* All of the type's aggregates, for an event that does not enter. */
static void read_all(struct pass *p)
{
	for (uint32_t per = 0; per < PER_COUNT; per++) {
		uint64_t reads = p->plan->before[per] | p->plan->with[per];
		if (reads)
			values_read(p, cell_now(p, per), per, reads);
	}
}

/* ---- entering ---- */

/* Slots that the event feeds: those whose `where` holds, in force at its time. */
static uint64_t event_feeds(const struct pass *p)
{
	const struct windows *w = &p->h->windows;
	uint64_t feeds = p->plan->feeds;

	for (uint64_t left = p->plan->where; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		struct value holds = cel_eval(&p->c->aggregates[i].where, p->env);
		if (holds.status == VALUE_OK && holds.i)
			feeds |= UINT64_C(1) << p->h->slot_of[i];
	}
	if (p->event->time > w->activated_max)
		return feeds;
	for (uint64_t left = feeds; left; left &= left - 1)
		if (p->event->time < w->slots[bit_first(left)].activated)
			feeds &= ~(left & -left);
	return feeds;
}

static uint8_t base_flags(enum value_status status)
{
	return status == VALUE_OK ? 0 : status == VALUE_ERROR ? ENTRY_BASE_ERROR : ENTRY_BASE_NONE;
}

static struct window_entry event_entry(const struct history_event *event, uint64_t order)
{
	return (struct window_entry){
		.time = event->time,
		.order = order,
		.amount = event->amount,
		.base = event->base.status == VALUE_OK ? event->base.i : 0,
		.balance = event->balance,
		.customer = event->customer,
		.currency = event->currency,
		.country = event->country,
		.mcc = event->mcc,
		.touchpoint = event->touchpoint,
		.flags = (uint8_t)(base_flags(event->base.status) | (event->ref ? ENTRY_REF : 0)),
	};
}

/* One key: what is read without the event, the event, what is read with it. */
static void key_apply(struct pass *p, uint32_t per, struct window_entry *entry, bool read)
{
	struct windows *w = &p->h->windows;
	uint64_t before = read ? p->plan->before[per] : 0, with = read ? p->plan->with[per] : 0;

	if (!p->has_key[per]) {
		values_none(p, before | with);
		return;
	}
	struct window_cell *cell = windows_find(w, per, p->keys[per]);
	if (before)
		values_read(p, cell, per, before);
	if (entry->feeds) {
		if (!cell)
			cell = windows_make(w, per, p->keys[per]);
		windows_enter(w, cell, entry);
	}
	if (with)
		values_read(p, cell, per, with);
}

/* The event counts: it enters the windows of its keys. Gives the keys that have it, bit per enum agg_per. */
static uint8_t event_enter(struct pass *p, bool read)
{
	struct window_entry entry = event_entry(p->event, ++p->h->order);
	uint64_t feeds = event_feeds(p);
	uint8_t entered = 0;

	for (uint32_t per = 0; per < PER_COUNT; per++) {
		entry.feeds = feeds & p->h->windows.per_slots[per];
		if (!entry.feeds && !(read && (p->plan->before[per] | p->plan->with[per])))
			continue;
		key_apply(p, per, &entry, read);
		entered |= (uint8_t)((entry.feeds && p->has_key[per]) << per);
	}
	return entered;
}

/* What is left of a transaction goes to where it was entered. */
static void ref_amend(struct pass *p, const struct ref *ref, bool balance_given)
{
	struct ref_left left = ref_left(ref);
	struct window_change change = {
		.time = ref->time,
		.order = ref->order,
		.amount = left.amount,
		.base = left.base,
		.currency = ref->currency,
		.flags = (uint8_t)(base_flags(left.base_status) | (left.out ? ENTRY_OUT : 0)),
		.balance = p->event->balance,
		.balance_given = balance_given,
	};
	const struct key128 keys[PER_COUNT] = {
		[PER_CUSTOMER] = { .low = ref->customer },
		[PER_ACCOUNT] = { .low = ref->account },
		[PER_CARD] = ref->card,
	};

	for (uint32_t per = 0; per < PER_COUNT; per++) {
		struct window_cell *cell =
			ref->entered >> per & 1 ? windows_find(&p->h->windows, per, keys[per]) : NULL;
		if (cell)
			windows_amend(&p->h->windows, cell, &change);
	}
}

static void ref_count(struct pass *p, struct ref *ref, uint8_t entered)
{
	const struct history_event *event = p->event;

	ref->flags = (uint8_t)(REF_COUNTED | (event->stage == STAGE_POSTED ? REF_POSTED : 0));
	ref->time = event->time;
	ref->order = p->h->order;
	ref->customer = event->customer;
	ref->account = event->account;
	ref->card = p->keys[PER_CARD];
	ref->has_card = p->has_key[PER_CARD];
	ref->amount = event->amount;
	ref->base = event->base.status == VALUE_OK ? event->base.i : 0;
	ref->base_status = event->base.status;
	ref->currency = event->currency;
	ref->entered = entered;
	refs_changed(&p->h->refs, ref);
}

/* ---- judging ---- */

static struct ref *ref_add(struct pass *p, struct key128 key)
{
	struct history *h = p->h;
	uint64_t limit = p->c->refs_max ? p->c->refs_max : 1;
	struct ref *ref = refs_add(&h->refs, key, p->event->now, h->order + 1, limit);

	h->windows.settled = refs_settled(&h->refs, h->order + 1);
	return ref;
}

/* Rules 12, 13: NULL without a reference, or when the outcome is said already. */
static struct ref *event_ref(struct pass *p)
{
	const struct history_event *event = p->event;
	struct history *h = p->h;

	if (!event->ref)
		return NULL;
	struct key128 key = text_key(event->ref, event->ref_bytes);
	struct ref *ref = refs_find(&h->refs, key);
	if (!ref)
		ref = ref_add(p, key);
	switch (ref_note(ref, event->stage, event->type->code)) {
	case REF_PART_SEEN:
		p->result->outcome = EVENT_DUPLICATE_REF;
		return NULL;
	case REF_PART_FULL:
		p->result->outcome = EVENT_BAD_BODY;
		return NULL;
	default:
		refs_changed(&h->refs, ref);
		return ref;
	}
}

/* Rule 18: what is too late keeps its effect, and no rule runs on it. */
static bool event_late(const struct pass *p)
{
	return p->event->time < p->event->now - p->h->windows.lateness;
}

/* The event does not enter; `fraud`: rules without stages run, `staged`: those that list its stage. */
static void decide(struct pass *p, bool fraud, bool staged)
{
	if (event_late(p)) {
		p->result->outcome = EVENT_TOO_LATE;
		return;
	}
	read_all(p);
	p->result->outcome = EVENT_DECIDED;
	p->result->fraud = fraud;
	p->result->staged = staged;
}

static void judge_reversal(struct pass *p)
{
	const struct history_event *event = p->event;
	struct ref *of = refs_find(&p->h->refs, text_key(event->of, event->of_bytes));

	if (!of || !ref_reverse(of, event->amount, event->currency)) {
		p->result->outcome = EVENT_REVERSAL_UNMATCHED;
		return;
	}
	refs_changed(&p->h->refs, of);
	ref_amend(p, of, false);
	decide(p, false, false);
}

static void judge_released(struct pass *p, struct ref *ref)
{
	if (!ref || !ref_release(ref)) {
		p->result->outcome = EVENT_REVERSAL_UNMATCHED;
		return;
	}
	ref_amend(p, ref, false);
	decide(p, false, true);
}

/* An authorised or posted event of a transaction that has its counted event. */
static void judge_later(struct pass *p, struct ref *ref)
{
	if (p->event->stage == STAGE_POSTED) {
		ref_post(ref, p->event->amount, p->event->base, p->event->currency);
		ref_amend(p, ref, true);
	}
	decide(p, false, true);
}

static void judge_counted(struct pass *p, struct ref *ref)
{
	bool late = event_late(p);
	uint8_t entered = event_enter(p, !late);

	if (ref)
		ref_count(p, ref, entered);
	p->result->outcome = late ? EVENT_TOO_LATE : EVENT_DECIDED;
	p->result->fraud = p->result->counted = p->result->staged = !late;
}

/*
 * Decisions 36: its reference is not looked at, and it enters nothing. The rules run all the same, so that a
 * filter that drops what a rule can use is found out; for that reason, too, a type that feeds a window
 * enters, which no sound table lets happen.
 */
static void judge_unremembered(struct pass *p)
{
	enum event_stage stage = p->event->stage;
	bool counts = stage == STAGE_AUTHORISED || stage == STAGE_POSTED;

	if (counts && (p->plan->feeds | p->plan->where)) {
		judge_counted(p, NULL);
		return;
	}
	decide(p, stage != STAGE_RELEASED, true);
	p->result->counted = counts && p->result->outcome == EVENT_DECIDED;
}

static void judge(struct pass *p)
{
	const struct history_event *event = p->event;

	if (event->reversal && !event->of) {
		p->result->outcome = EVENT_BAD_BODY;
		return;
	}
	if (!event->event_clock && event->time - event->now > future_ns_max) {
		p->result->outcome = EVENT_FROM_THE_FUTURE;
		return;
	}
	if (event->unremembered) {
		judge_unremembered(p);
		return;
	}
	struct ref *ref = event_ref(p);
	if (p->result->outcome != EVENT_NONE)
		return;
	if (event->reversal) {
		judge_reversal(p);
	} else if (event->stage == STAGE_REQUEST) {
		decide(p, true, true);
	} else if (event->stage == STAGE_RELEASED) {
		judge_released(p, ref);
	} else if (ref && (ref->flags & REF_COUNTED)) {
		judge_later(p, ref);
	} else {
		judge_counted(p, ref);
	}
}

/* Everything that time alone does. */
static void clock_advance(struct history *h, int64_t now)
{
	struct windows *w = &h->windows;

	assert(now >= w->now);
	w->now = now;
	refs_expire(&h->refs, now - h->catalogue->ref_memory_ns + 1); /* for that long, not a moment more */
	w->settled = refs_settled(&h->refs, h->order + 1);
	windows_forget(w, provisional_ns);
	windows_sweep(w);
}

static void customer_touch(struct pass *p)
{
	enum event_outcome outcome = p->result->outcome;

	if (!p->has_key[PER_CUSTOMER] || outcome == EVENT_BAD_BODY || outcome == EVENT_FROM_THE_FUTURE ||
	    outcome == EVENT_DUPLICATE_REF)
		return;
	struct window_cell *cell = windows_find(&p->h->windows, PER_CUSTOMER, p->keys[PER_CUSTOMER]);
	if (cell)
		windows_touch(&p->h->windows, cell, p->event->provisional);
}

void history_apply(struct history *h, const struct catalogue *c, const struct history_event *event,
		   const struct cel_env *env, struct value *agg, struct history_result *result)
{
	struct pass p = { .h = h, .c = c, .event = event, .env = env, .agg = agg, .result = result };
	ptrdiff_t type = event->type - c->events;

	assert(c == h->catalogue && type >= 0 && type < c->event_count);
	assert(event->stage > STAGE_NONE && event->stage < STAGE_COUNT);
	*result = (struct history_result){ .outcome = EVENT_NONE };
	p.plan = &h->plans[type];
	for (uint32_t per = 0; per < PER_COUNT; per++)
		p.has_key[per] = event_key(event, per, &p.keys[per]);
	assert(event->now >= h->windows.now);
	if (!event->unremembered)
		clock_advance(h, event->now);
	judge(&p);
	if (!event->unremembered && (event->provisional || h->windows.oldest))
		customer_touch(&p);
	assert(result->outcome != EVENT_NONE);
}

void history_customer_known(struct history *h, uint64_t customer, int64_t now)
{
	struct windows *w = &h->windows;

	assert(now >= w->now);
	w->now = now;
	windows_forget(w, provisional_ns);
	struct window_cell *cell = windows_find(w, PER_CUSTOMER, (struct key128){ .low = customer });
	if (cell)
		windows_touch(w, cell, false);
}

void history_prefetch(struct history *h, const struct history_event *event, uint32_t step)
{
	for (uint32_t per = 0; per < PER_COUNT; per++) {
		struct key128 key;
		if (h->windows.per_slots[per] && event_key(event, per, &key))
			windows_prefetch(&h->windows, per, key, step);
	}
}

void history_sizes(const struct history *h, struct history_sizes *out)
{
	const struct windows *w = &h->windows;

	*out = (struct history_sizes){
		.cells = w->table.count,
		.entries = w->entries,
		.windows_bytes = w->slab.bytes_in_use,
		.windows_bytes_max = w->slab.bytes_max,
		.refs = h->refs.table.count,
		.refs_max = h->refs.max,
		.refs_evicted = h->refs.evicted,
		.provisional_forgotten = w->provisional_forgotten,
		.counted = h->order,
	};
}

/* ---- records ---- */

static const char meta_key[] = "history";

struct meta {
	uint32_t version, slots_bytes;
	uint64_t order, refs_first, refs_next, refs_evicted, provisional_forgotten;
	int64_t now, floor, lateness;
	struct window_slot slots[AGGREGATES_MAX];
};
enum { META_VERSION = 1 };
_Static_assert(sizeof(struct meta) == 72 + AGGREGATES_MAX * 40, "on disk");

static void meta_fill(const struct history *h, struct meta *meta)
{
	*meta = (struct meta){
		.version = META_VERSION,
		.slots_bytes = sizeof meta->slots,
		.order = h->order,
		.refs_first = h->refs.first,
		.refs_next = h->refs.next,
		.refs_evicted = h->refs.evicted,
		.provisional_forgotten = h->windows.provisional_forgotten,
		.now = h->windows.now,
		.floor = h->floor,
		.lateness = h->lateness,
	};
	memcpy(meta->slots, h->windows.slots, sizeof meta->slots);
}

void history_checkpoint(struct history *h, struct records *records)
{
	struct meta *meta = records_put(records, RECORD_META, meta_key, sizeof meta_key - 1, sizeof *meta);

	if (meta)
		meta_fill(h, meta);
	windows_checkpoint(&h->windows, records);
	refs_checkpoint(&h->refs, records);
	if (records->full)
		return; /* this cut is void: everything stays changed */
	windows_checkpointed(&h->windows);
	refs_checkpointed(&h->refs);
}

static bool slot_valid(const struct window_slot *s)
{
	static const struct window_slot unused;

	if (!s->used)
		return memcmp(s, &unused, sizeof unused) == 0;
	return s->used == 1 && s->reserved == 0 && s->per < PER_COUNT && s->within >= 0 &&
	       s->type < TYPE_COUNT && s->function > AGG_NONE && s->function < AGG_FUNCTION_COUNT &&
	       s->field < AGGF_COUNT && (s->field == AGGF_NONE) == (s->function == AGG_COUNT_OF) &&
	       s->at + 1 + slot_has_fold(s) <= 2 * AGGREGATES_MAX;
}

/* No two slots of one `per` share a unit. */
static bool slots_apart(const struct window_slot *slots)
{
	bool taken[PER_COUNT][2 * AGGREGATES_MAX] = { { false } };

	for (uint32_t i = 0; i < AGGREGATES_MAX; i++)
		for (uint32_t unit = 0; slots[i].used && unit < 1u + slot_has_fold(&slots[i]); unit++) {
			if (taken[slots[i].per][slots[i].at + unit])
				return false;
			taken[slots[i].per][slots[i].at + unit] = true;
		}
	return true;
}

static bool meta_load(struct history *h, const void *value, uint32_t value_bytes)
{
	struct meta meta;

	if (h->meta_loaded || value_bytes != sizeof meta)
		return false;
	memcpy(&meta, value, sizeof meta);
	if (meta.version != META_VERSION || meta.slots_bytes != sizeof meta.slots || meta.now < 0 ||
	    meta.order >= UINT64_MAX / 2 || (meta.lateness < 0 && meta.lateness != INT64_MIN))
		return false;
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++)
		if (!slot_valid(&meta.slots[i]))
			return false;
	if (!slots_apart(meta.slots))
		return false;
	memcpy(h->windows.slots, meta.slots, sizeof meta.slots);
	windows_slots_derive(&h->windows);
	h->windows.now = meta.now;
	h->windows.lateness = meta.lateness < 0 ? 0 : meta.lateness;
	h->windows.provisional_forgotten = meta.provisional_forgotten;
	h->order = meta.order;
	h->refs_first = meta.refs_first;
	h->refs_next = meta.refs_next;
	h->refs.evicted = meta.refs_evicted;
	h->floor = meta.floor;
	h->lateness = meta.lateness;
	return h->meta_loaded = true;
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
