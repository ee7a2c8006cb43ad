/*
 * history.c: one event against what is remembered: is it known, does it count, what does it change, and what
 * are the aggregates worth as of it. How references work is in refs.c, how windows work in windows.c, which
 * slots aggregates keep from catalogue to catalogue in history_slots.c, records in history_records.c; this
 * file has the order in which things are judged (decisions 11-20).
 *
 * In: a checked event with its stage and base. Out: an outcome, which rules run, which patterns it completes,
 * and values by their place in the catalogue. Strings are read during the call only. Nothing can fail on the
 * path: room was asked for before the batch, and what cannot be known is no data. Our own mistakes (time that
 * goes back, another catalogue than the activated one) stop.
 */
#include "history_state.h"

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

/* One event on its way. */
struct pass {
	struct history *h;
	const struct catalogue *c;
	const struct history_event *event;
	const struct plan *plan;
	const struct cel_env *env;
	struct value *agg;
	struct history_result *result;
	uint32_t has_key, looked;	  /* bits of kinds of keys */
	int64_t edge[CALENDAR_MONTH + 1]; /* of calendar windows, when there are any */
	bool has_edges;
	struct window_place places[KEYS_MAX];
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
	for (uint32_t per = 0; per < PER_COUNT; per++)
		h->windows.keys[per].used = 1;
	windows_derive(&h->windows);
	h->floor = h->lateness = h->ref_memory = INT64_MIN;
	h->windows_bytes = windows_bytes;
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
	h->windows.pool.bytes_max = windows_bytes < h->windows_bytes ? windows_bytes : h->windows_bytes;
}

bool history_has_room(const struct history *h, uint32_t events)
{
	return windows_has_room(&h->windows, events);
}

/* ---- keys ---- */

static struct key128 text_key(const char *s, uint32_t bytes)
{
	XXH128_hash_t hash = XXH3_128bits(s, bytes);

	return (struct key128){ .low = hash.low64, .high = hash.high64 };
}

/* The bytes of one part; false: the event does not have it. */
static bool part_take(const struct history_event *event, const struct value *body,
		      const struct cat_key_part *part, XXH3_state_t *state)
{
	uint64_t number = 0;
	const void *bytes = &number;
	uint32_t count = sizeof number;

	if (part->kind == KEY_PART_BODY) {
		const struct value *v = &body[part->field];
		if (v->status != VALUE_OK)
			return false;
		if (v->type == TYPE_STRING) {
			bytes = v->s;
			count = v->bytes;
		} else {
			number = (uint64_t)v->i; /* or the bits of a double */
		}
	} else if (part->kind == KEY_PART_CARD) {
		bytes = event->card;
		count = event->card_bytes;
	} else {
		number = part->kind == KEY_PART_CUSTOMER  ? event->customer
			 : part->kind == KEY_PART_ACCOUNT ? event->account
							  : event->currency;
	}
	if (!bytes || (part->kind != KEY_PART_BODY && part->kind != KEY_PART_CARD && !number))
		return false;
	uint64_t head = (uint64_t)part->kind << 32 | count; /* no part runs into the next */
	XXH3_128bits_update(state, &head, sizeof head);
	XXH3_128bits_update(state, bytes, count);
	return true;
}

/* The parts of a key that are no body field (`whole`: all of them), as one hash. */
static bool parts_hash(const struct history_event *event, const struct value *body, const struct cat_key *key,
		       bool whole, struct key128 *out)
{
	XXH3_state_t state;

	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, &key->identity, sizeof key->identity);
	for (uint32_t i = 0; i < key->part_count; i++)
		if ((whole || key->parts[i].kind != KEY_PART_BODY) &&
		    !part_take(event, body, &key->parts[i], &state))
			return false;
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	*out = (struct key128){ .low = hash.low64, .high = hash.high64 };
	return true;
}

static bool event_key(const struct history_event *event, uint32_t per, struct key128 *key)
{
	*key = (struct key128){ 0 };
	switch (per) {
	case PER_CUSTOMER:
		key->low = event->customer;
		return event->customer != 0;
	case PER_ACCOUNT:
		key->low = event->account;
		return event->account != 0;
	default:
		if (event->card)
			*key = text_key(event->card, event->card_bytes);
		return event->card != NULL;
	}
}

static void pass_key(struct pass *p, uint32_t per)
{
	struct window_place *place = &p->places[per];
	bool has;

	place->per = (uint8_t)per;
	place->owner = (struct key128){ 0 };
	place->customer = p->event->provisional && (p->h->customer_keys >> per & 1) ? p->event->customer : 0;
	if (per < PER_COUNT) {
		has = event_key(p->event, per, &place->key);
	} else {
		const struct cat_key *key = &p->c->keys[p->h->key_at[per]];
		const struct value *body = p->env->space[SPACE_BODY];
		has = parts_hash(p->event, body, key, true, &place->key);
		if (has && key->keys_max)
			has = parts_hash(p->event, body, key, false, &place->owner);
	}
	p->has_key |= (uint32_t)has << per;
}

/* An event that is not remembered moves no clock: a provisional customer whose time is over may still be
 * there, with all that is to be forgotten with them. */
static bool forgotten(const struct pass *p, const struct window_cell *cell)
{
	const struct windows *w = &p->h->windows;
	const struct key128 key = { .low = p->event->customer };

	if (!cell || !(cell->flags & CELL_PROVISIONAL))
		return false;
	if (cell->per != PER_CUSTOMER)
		cell = cell_find(w, PER_CUSTOMER, key, false);
	return cell && p->event->now - cell_cold(w, cell)->touched > provisional_ns;
}

/* Where a key's windows are, as of the event's now; looked up once an event. */
static struct window_place *pass_place(struct pass *p, uint32_t per)
{
	struct window_place *place = &p->places[per];

	if (p->looked >> per & 1)
		return place;
	p->looked |= 1u << per;
	windows_look(&p->h->windows, place);
	if (p->event->unremembered && forgotten(p, place->cell)) {
		place->cell = NULL;
		place->gone = INT64_MIN;
	}
	return place;
}

/* ---- reading ---- */

static void values_none(const struct windows *w, const struct window_read *reads, uint32_t count,
			struct value *agg)
{
	for (uint32_t i = 0; i < count; i++)
		value_none(w, &w->slots[reads[i].slot], VALUE_NO_DATA, agg + reads[i].value);
}

static void edges_make(struct pass *p)
{
	for (uint32_t left = p->plan->calendars & ~1u; left; left &= left - 1) {
		uint32_t calendar = bit_first(left);
		p->edge[calendar] =
			windows_calendar_edge((enum agg_calendar)calendar, p->env->zone, p->event->time);
	}
	p->has_edges = true;
}

static void values_read(struct pass *p, uint32_t per, const struct window_read *reads, uint32_t count)
{
	const struct window_ask ask = {
		.t = p->event->time, .edges = p->edge, .values = p->agg, .full = &p->result->window_full
	};

	if (!(p->has_key >> per & 1) || p->event->time < p->h->floor) {
		values_none(&p->h->windows, reads, count, p->agg);
		return;
	}
	if (p->plan->calendars > 1 && !p->has_edges)
		edges_make(p);
	windows_read(&p->h->windows, pass_place(p, per), reads, count, &ask);
}

/* All of the type's aggregates, for an event that does not enter. */
static void read_all(struct pass *p)
{
	for (uint32_t left = p->plan->keys; left; left &= left - 1) {
		uint32_t per = bit_first(left), count = p->plan->of[per].before + p->plan->of[per].with;
		if (count)
			values_read(p, per, p->plan->reads + p->plan->of[per].first, count);
	}
}

/* ---- entering ---- */

/* Slots that the event feeds: those whose `where` holds, in force at its time. */
static uint64_t event_feeds(const struct history *h, const struct catalogue *c, const struct plan *plan,
			    int64_t time, const struct cel_env *env)
{
	const struct windows *w = &h->windows;
	uint64_t feeds = plan->feeds;

	for (uint64_t left = plan->where; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		struct value holds = cel_eval(&c->aggregates[i].where, env);
		if (holds.status == VALUE_OK && holds.i)
			feeds |= UINT64_C(1) << h->slot_of[i];
	}
	if (time > w->activated_max)
		return feeds;
	for (uint64_t left = feeds; left; left &= left - 1)
		if (time < w->slots[bit_first(left)].activated)
			feeds &= ~(left & -left);
	return feeds;
}

static uint8_t base_flags(enum value_status status)
{
	return status == VALUE_OK ? 0 : status == VALUE_ERROR ? ENTRY_BASE_ERROR : ENTRY_BASE_NONE;
}

/* Field by field into its place: copied as a whole behind narrow stores it costs a stall of the store buffer
 * for each 16 bytes. */
static void event_window(const struct history_event *event, const struct cel_env *env, uint64_t order,
			 struct window_event *out)
{
	uint8_t flags = base_flags(event->base.status);

	if (event->ref)
		flags |= ENTRY_REF;
	out->time = event->time;
	out->order = order;
	out->amount = event->amount;
	out->base = event->base.status == VALUE_OK ? event->base.i : 0;
	out->balance = event->balance;
	out->customer = event->customer;
	out->currency = event->currency;
	out->country = event->country;
	out->mcc = event->mcc;
	out->touchpoint = event->touchpoint;
	out->flags = flags;
	out->body = env->space[SPACE_BODY];
}

/* Patterns of this key that the event, which is in its log now, completes. */
static void patterns_complete(struct pass *p, uint32_t per)
{
	const struct history *h = p->h;

	if (p->event->time < h->floor)
		return;
	for (uint32_t left = p->plan->completes; left; left &= left - 1) {
		uint32_t i = bit_first(left);
		if (h->pattern_per[i] == per &&
		    windows_completes(&h->windows, &p->places[per], &h->steps[i], p->event->time, h->order,
				      &p->result->window_full))
			p->result->patterns |= UINT32_C(1) << i;
	}
}

/* One key: what is read without the event, the event, what is read with it. */
static void key_apply(struct pass *p, uint32_t per, const struct window_event *entry, bool read)
{
	const struct window_read *reads = p->plan->reads + p->plan->of[per].first;
	uint32_t before = read ? p->plan->of[per].before : 0, with = read ? p->plan->of[per].with : 0;

	if (!(p->has_key >> per & 1)) {
		values_none(&p->h->windows, reads, before + with, p->agg);
		return;
	}
	if (before)
		values_read(p, per, reads, before);
	if (entry->feeds) {
		windows_enter(&p->h->windows, pass_place(p, per), entry);
		if (read && p->plan->completes)
			patterns_complete(p, per);
	}
	if (with)
		values_read(p, per, reads + before, with);
}

/* The event counts: it enters the windows of its keys. Gives the kinds of keys that have it, as bits. */
static uint16_t event_enter(struct pass *p, bool read)
{
	struct window_event entry;
	uint64_t feeds = event_feeds(p->h, p->c, p->plan, p->event->time, p->env);
	uint32_t entered = 0;

	event_window(p->event, p->env, ++p->h->order, &entry);
	for (uint32_t left = p->plan->keys; left; left &= left - 1) {
		uint32_t per = bit_first(left);
		entry.feeds = feeds & p->h->windows.keys[per].slots;
		key_apply(p, per, &entry, read);
		entered |= entry.feeds ? p->has_key & 1u << per : 0;
	}
	return (uint16_t)entered;
}

/* What is left of a transaction goes to where it was entered. */
static void ref_amend(struct pass *p, const struct ref *ref, bool balance_given)
{
	struct windows *w = &p->h->windows;
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

	for (uint32_t bits = ref->entered; bits; bits &= bits - 1) {
		uint32_t per = bit_first(bits);
		struct key128 key = per < PER_COUNT ? keys[per] : ref_more(&p->h->refs, ref)[per - PER_COUNT];
		struct window_cell *cell = cell_find(w, per, key, false);
		if (cell)
			windows_amend(w, cell, &change);
	}
}

static void ref_count(struct pass *p, struct ref *ref, uint16_t entered)
{
	const struct history_event *event = p->event;

	ref->flags = (uint8_t)(REF_COUNTED | (event->stage == STAGE_POSTED ? REF_POSTED : 0));
	ref->time = event->time;
	ref->order = p->h->order;
	ref->customer = event->customer;
	ref->account = event->account;
	ref->has_card = event_key(event, PER_CARD, &ref->card);
	ref->amount = event->amount;
	ref->base = event->base.status == VALUE_OK ? event->base.i : 0;
	ref->base_status = event->base.status;
	ref->currency = event->currency;
	ref->entered = entered;
	for (uint32_t bits = entered >> PER_COUNT; bits; bits &= bits - 1) {
		uint32_t i = bit_first(bits);
		ref_more(&p->h->refs, ref)[i] = p->places[PER_COUNT + i].key;
	}
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
	refs_changed(&h->refs, ref);
	switch (ref_note(ref, event->stage, event->type->code)) {
	case REF_PART_SEEN:
		p->result->outcome = EVENT_DUPLICATE_REF;
		return NULL;
	case REF_PART_FULL:
		p->result->outcome = EVENT_BAD_BODY;
		return NULL;
	default:
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

	if (of)
		refs_changed(&p->h->refs, of);
	if (!of || !ref_reverse(of, event->amount, event->currency)) {
		p->result->outcome = EVENT_REVERSAL_UNMATCHED;
		return;
	}
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
	uint16_t entered = event_enter(p, !late);

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
	if (w->oldest)
		windows_forget(w, provisional_ns);
	windows_sweep(w);
}

static void customer_touch(struct pass *p)
{
	enum event_outcome outcome = p->result->outcome;

	if (!p->event->customer || outcome == EVENT_BAD_BODY || outcome == EVENT_FROM_THE_FUTURE ||
	    outcome == EVENT_DUPLICATE_REF)
		return;
	struct window_cell *cell =
		cell_find(&p->h->windows, PER_CUSTOMER, (struct key128){ .low = p->event->customer }, false);
	if (cell)
		windows_touch(&p->h->windows, cell, p->event->provisional);
}

/* ---- the common event ---- */

/* Nothing but to enter the windows of its customer and account: no reference, not late, somebody known. */
static bool event_plain(const struct history *h, const struct plan *plan, const struct history_event *event)
{
	bool special = event->reversal | event->provisional | event->unremembered | !plan->plain;
	bool counts = event->stage == STAGE_AUTHORISED || event->stage == STAGE_POSTED;
	int64_t ahead = event->time - event->now;

	return !special && counts && !event->ref && !h->windows.oldest && ahead >= -h->lateness &&
	       (event->event_clock || ahead <= future_ns_max) && event->time >= h->floor;
}

/* What judge_counted does, with one place for each key. */
static void apply_plain(struct history *h, const struct catalogue *c, const struct plan *plan,
			const struct history_event *event, const struct cel_env *env, struct value *agg,
			struct history_result *result)
{
	struct windows *w = &h->windows;
	const uint64_t order = ++h->order;
	const uint64_t feeds = plan->where || event->time <= w->activated_max
				       ? event_feeds(h, c, plan, event->time, env)
				       : plan->feeds;
	struct window_event entry;
	if (feeds)
		event_window(event, env, order, &entry);
	const struct window_ask ask = { .t = event->time, .values = agg, .full = &result->window_full };

	for (uint32_t left = plan->keys; left; left &= left - 1) {
		uint32_t per = bit_first(left), before = plan->of[per].before, with = plan->of[per].with;
		uint64_t id = per == PER_CUSTOMER ? event->customer : event->account;
		const struct window_read *reads = plan->reads + plan->of[per].first;
		if (!id) {
			values_none(w, reads, before + with, agg);
			continue;
		}
		struct window_place place = { .key = { .low = id }, .per = (uint8_t)per, .gone = INT64_MIN };
		place.cell = cell_find(w, per, place.key, false);
		if (before)
			windows_read(w, &place, reads, before, &ask);
		if (feeds & w->keys[per].slots) {
			entry.feeds = feeds & w->keys[per].slots;
			windows_enter(w, &place, &entry);
		}
		if (with)
			windows_read(w, &place, reads + before, with, &ask);
	}
	result->outcome = EVENT_DECIDED;
	result->fraud = result->counted = result->staged = true;
}

void history_apply(struct history *h, const struct catalogue *c, const struct history_event *event,
		   const struct cel_env *env, struct value *agg, struct history_result *result)
{
	struct pass p;
	ptrdiff_t type = event->type - c->events;

	assert(c == h->catalogue && type >= 0 && type < c->event_count);
	assert(event->stage > STAGE_NONE && event->stage < STAGE_COUNT);
	assert(event->now >= h->windows.now);
	*result = (struct history_result){ .outcome = EVENT_NONE };
	if (!event->unremembered)
		clock_advance(h, event->now);
	if (event_plain(h, &h->plans[type], event)) {
		apply_plain(h, c, &h->plans[type], event, env, agg, result);
		return;
	}
	p.h = h;
	p.c = c;
	p.event = event;
	p.plan = &h->plans[type];
	p.env = env;
	p.agg = agg;
	p.result = result;
	p.has_key = p.looked = 0;
	p.has_edges = false;
	for (uint32_t left = p.plan->keys; left; left &= left - 1)
		pass_key(&p, bit_first(left));
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
	struct window_cell *cell = cell_find(w, PER_CUSTOMER, (struct key128){ .low = customer }, false);
	if (cell)
		windows_touch(w, cell, false);
}

void history_expect(struct history *h, uint64_t customer, uint64_t account)
{
	windows_expect(&h->windows, customer, account);
}

void history_sizes(const struct history *h, struct history_sizes *out)
{
	const struct windows *w = &h->windows;

	*out = (struct history_sizes){
		.cells = w->cells,
		.entries = w->entries,
		.windows_bytes = w->pool.bytes_in_use,
		.windows_bytes_max = w->pool.bytes_max,
		.refs = h->refs.table.count,
		.refs_max = h->refs.max,
		.refs_evicted = h->refs.evicted,
		.provisional_forgotten = w->provisional_forgotten,
		.keys_evicted = w->keys_evicted,
		.counted = h->order,
	};
}

void history_growing(const struct history *h, struct history_regions *out)
{
	*out = (struct history_regions){
		.cells = &h->windows.pool.region,
		.indexes = { &h->windows.index.region, &h->refs.table.region },
	};
}
