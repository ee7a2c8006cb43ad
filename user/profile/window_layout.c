/*
 * window_layout.c: which columns the entries of a key have, where they stand, and what a cell's folds are.
 *
 * Slots, their values and kinds of keys come in as a catalogue or a checkpoint gave them; places go out, the
 * same ones for the same slots on every machine. Columns of 8 bytes first, then the narrow ones. When a
 * reload changes a layout every cell of that key is brought to the new one at once: columns that both have
 * are copied, new ones are zero (no aggregate that reads them has an older entry). Nothing is owned here.
 * Read windows_derive first.
 */
#include "windows.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static const int64_t day_ns = INT64_C(86400) * 1000000000;

uint32_t source_bytes(enum window_source source)
{
	static const uint8_t bytes[SOURCE_COUNT] = {
		[SOURCE_INT] = 8,  [SOURCE_BASE] = 8,  [SOURCE_BALANCE] = 8,
		[SOURCE_CODE] = 2, [SOURCE_SHORT] = 2, [SOURCE_BYTE] = 1,
		[SOURCE_BODY] = 8, [SOURCE_HASH] = 16, [SOURCE_TEXT] = 8 + WINDOW_TEXT_BYTES
	};

	return bytes[source];
}

uint32_t source_of(enum agg_function function, uint8_t field, uint8_t type)
{
	static const uint8_t of[AGGF_COUNT] = {
		[AGGF_AMOUNT] = SOURCE_INT,	 [AGGF_BASE] = SOURCE_BASE,
		[AGGF_BALANCE] = SOURCE_BALANCE, [AGGF_TIME] = SOURCE_TIME,
		[AGGF_COUNTRY] = SOURCE_CODE,	 [AGGF_MCC] = SOURCE_CODE,
		[AGGF_CURRENCY] = SOURCE_SHORT,	 [AGGF_TOUCHPOINT] = SOURCE_BYTE,
		[AGGF_CUSTOMER] = SOURCE_INT,	 [AGGF_BODY] = SOURCE_BODY
	};

	if (field == AGGF_BODY && type == TYPE_STRING)
		return function == AGG_DISTINCT ? SOURCE_HASH : SOURCE_TEXT;
	return of[field];
}

static bool source_has_status(uint32_t source)
{
	return source == SOURCE_BODY || source == SOURCE_HASH || source == SOURCE_TEXT;
}

static bool identity_equal(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

static struct window_column *column_find(const struct window_key *k, uint8_t source, uint8_t field,
					 struct hash128 identity)
{
	for (uint32_t i = 0; i < k->column_count; i++) {
		const struct window_column *c = &k->columns[i];
		if (c->source == source && c->field == field && identity_equal(c->identity, identity))
			return (struct window_column *)(uintptr_t)c;
	}
	return NULL;
}

/* Where in an event a column comes from. */
static void column_from(struct window_column *c)
{
#define FROM(member)                                                                                         \
	{                                                                                                    \
		offsetof(struct window_event, member), sizeof(((struct window_event *)0)->member)            \
	}
	static const struct {
		uint8_t from, bytes;
	} of[AGGF_COUNT] = {
		[AGGF_AMOUNT] = FROM(amount),
		[AGGF_BASE] = FROM(base),
		[AGGF_BALANCE] = FROM(balance),
		[AGGF_COUNTRY] = FROM(country),
		[AGGF_MCC] = FROM(mcc),
		[AGGF_CURRENCY] = FROM(currency),
		[AGGF_TOUCHPOINT] = FROM(touchpoint),
		[AGGF_CUSTOMER] = FROM(customer),
	};
#undef FROM
	assert(of[c->field].bytes || c->field == AGGF_BODY);
	assert(of[c->field].bytes == (c->field == AGGF_BODY ? 0 : source_bytes(c->source)));
	c->from = of[c->field].from;
	c->bytes = of[c->field].bytes;
}

/* Every field that a slot of the key reads, and the fields of a transaction that a change needs. */
static void columns_collect(const struct windows *w, struct window_key *k)
{
	k->column_count = 0;
	for (uint64_t left = k->slots; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		for (uint32_t i = 0; i < s->value_count; i++) {
			const struct window_value *v = &w->values[s->value_first + i];
			struct window_column *c = column_find(k, v->source, v->field, v->identity);
			if (source_bytes(v->source) == 0)
				continue;
			if (!c) {
				assert(k->column_count < sizeof k->columns / sizeof *k->columns);
				c = &k->columns[k->column_count++];
				*c = (struct window_column){ .identity = v->identity,
							     .source = v->source,
							     .field = v->field };
			}
			c->body = v->body;
			column_from(c);
		}
	}
}

static void columns_place(struct window_key *k)
{
	uint32_t at = sizeof(struct window_entry);

	for (uint32_t bytes = 8; bytes; bytes = bytes == 8 ? 2 : bytes - 1)
		for (uint32_t i = 0; i < k->column_count; i++) {
			uint32_t wide = source_bytes(k->columns[i].source);
			if ((wide < 8 ? wide : 8) != bytes)
				continue;
			k->columns[i].at = (uint16_t)at;
			at += wide;
		}
	for (uint32_t i = 0; i < k->column_count; i++)
		k->columns[i].status_at = source_has_status(k->columns[i].source) ? (uint16_t)at++ : 0;
	assert(at <= UINT16_MAX - 8);
	k->entry_bytes = (uint16_t)((at + 7) & ~7u);
}

/* The fold of a `last`: time, mark, a byte of status for each value that has one, then the values. */
static uint32_t last_fold_place(struct windows *w, struct window_slot *s)
{
	uint32_t at = 16;

	for (uint32_t i = 0; i < s->value_count; i++) {
		struct window_value *v = &w->values[s->value_first + i];
		v->fold_status_at = source_has_status(v->source) ? (uint16_t)at++ : 0;
	}
	for (uint32_t i = 0; i < s->value_count; i++) {
		struct window_value *v = &w->values[s->value_first + i];
		at = (at + 7) & ~7u;
		v->fold_at = (uint16_t)at;
		at += source_bytes(v->source);
	}
	assert(at <= UINT16_MAX - 8);
	return (at + 7) & ~7u;
}

static uint32_t fold_words(struct windows *w, struct window_slot *s)
{
	switch (s->function) {
	case AGG_COUNT_OF:
		return 1;
	case AGG_SUM:
	case AGG_MEAN:
		return 3;
	case AGG_DEVIATION:
		return 6;
	case AGG_MIN:
	case AGG_MAX:
		return 2;
	default:
		assert(s->function == AGG_LAST); /* distinct and steps have a length */
		return last_fold_place(w, s) / 8;
	}
}

/* No local day, week or month is longer than this, in whichever zone. */
static int64_t slot_span(const struct window_slot *s)
{
	static const uint8_t days[] = { [CALENDAR_DAY] = 3, [CALENDAR_WEEK] = 9, [CALENDAR_MONTH] = 33 };

	return s->calendar ? days[s->calendar] * day_ns : s->within;
}

static void slot_derive(struct windows *w, uint32_t i)
{
	struct window_slot *s = &w->slots[i];
	struct window_key *k = &w->keys[s->per];

	s->lasting = s->within == 0 && !s->calendar;
	s->total = s->lasting && (s->function == AGG_COUNT_OF || s->function == AGG_SUM ||
				  s->function == AGG_MEAN || s->function == AGG_DEVIATION);
	s->span = slot_span(s);
	k->slots |= UINT64_C(1) << i;
	k->span = s->span > k->span ? s->span : k->span;
	if (s->lasting)
		w->lasting |= UINT64_C(1) << i;
	if (s->total)
		w->totals |= UINT64_C(1) << i;
	s->run = RUN_NONE;
	if (s->function != AGG_DISTINCT && s->function != AGG_STEP && !s->total)
		s->run = k->run_count++;
	w->activated_max = s->activated > w->activated_max ? s->activated : w->activated_max;
	int64_t full = s->activated == INT64_MIN ? INT64_MIN : time_add(s->activated, s->span);
	w->full_from = full > w->full_from ? full : w->full_from;
	for (uint32_t n = 0; n < s->value_count; n++) {
		struct window_value *v = &w->values[s->value_first + n];
		v->source = (uint8_t)source_of((enum agg_function)s->function, v->field, v->type);
	}
	if (s->lasting) {
		s->fold_at = k->fold_bytes;
		s->fold_bytes = (uint16_t)(fold_words(w, s) * 8);
		assert(k->fold_bytes + s->fold_bytes <= UINT16_MAX);
		k->fold_bytes = (uint16_t)(k->fold_bytes + s->fold_bytes);
	}
}

static enum window_how slot_how(const struct window_slot *s)
{
	if (s->total && s->function == AGG_COUNT_OF)
		return HOW_TOTAL_COUNT;
	if (s->total)
		return s->function == AGG_SUM ? HOW_TOTAL_SUM : HOW_TOTAL;
	if (s->function == AGG_COUNT_OF)
		return HOW_COUNT;
	if (s->function == AGG_SUM && s->source == SOURCE_INT)
		return HOW_SUM;
	if (s->function == AGG_LAST)
		return s->value_count == 1 && s->source != SOURCE_TEXT ? HOW_LAST_ONE : HOW_LAST;
	return s->function == AGG_DISTINCT ? HOW_DISTINCT : HOW_SCAN;
}

static void values_place(struct windows *w, struct window_slot *s)
{
	const struct window_key *k = &w->keys[s->per];

	s->source = SOURCE_NONE;
	s->at = s->status_at = 0;
	for (uint32_t n = 0; n < s->value_count; n++) {
		struct window_value *v = &w->values[s->value_first + n];
		const struct window_column *c = column_find(k, v->source, v->field, v->identity);
		v->at = c ? c->at : 0;
		v->status_at = c ? c->status_at : 0;
		if (n)
			continue;
		s->source = v->source;
		s->at = v->at;
		s->status_at = v->status_at;
	}
}

void windows_derive(struct windows *w)
{
	w->lasting = w->totals = 0;
	w->activated_max = w->full_from = INT64_MIN;
	for (uint32_t per = 0; per < KEYS_MAX; per++) {
		struct window_key *k = &w->keys[per];
		k->slots = 0;
		k->span = 0;
		k->run_count = 0;
		k->fold_bytes = k->entry_bytes = 0;
		k->uniform = true;
	}
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++)
		if (w->slots[i].used)
			slot_derive(w, i);
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++) {
		const struct window_slot *slot = &w->slots[i];
		if (slot->used && (slot->lasting || slot->span != w->keys[slot->per].span))
			w->keys[slot->per].uniform = false;
	}
	for (uint32_t per = 0; per < KEYS_MAX; per++) {
		columns_collect(w, &w->keys[per]);
		columns_place(&w->keys[per]);
	}
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++)
		if (w->slots[i].used) {
			values_place(w, &w->slots[i]);
			w->slots[i].how = (uint8_t)slot_how(&w->slots[i]);
		}
}

/* ---- entries ---- */

static void body_encode(const struct window_column *c, const struct window_event *event, char *entry)
{
	const struct value *v = event->body ? &event->body[c->body] : NULL;
	uint8_t status = v ? v->status : VALUE_NO_DATA;
	char *at = entry + c->at;

	memset(at, 0, source_bytes(c->source));
	if (status == VALUE_OK && c->source == SOURCE_TEXT && v->bytes > WINDOW_TEXT_BYTES)
		status = VALUE_ERROR;
	entry[c->status_at] = (char)status;
	if (status != VALUE_OK)
		return;
	if (c->source == SOURCE_BODY) {
		memcpy(at, &v->i, sizeof v->i); /* or the bits of a double */
	} else if (c->source == SOURCE_HASH) {
		XXH128_hash_t hash = XXH3_128bits(v->s, v->bytes);
		memcpy(at, &hash, sizeof hash);
	} else {
		uint64_t bytes = v->bytes;
		memcpy(at, &bytes, sizeof bytes);
		memcpy(at + sizeof bytes, v->s, bytes);
	}
}

void entry_encode(const struct window_key *k, const struct window_event *event, struct window_entry *out)
{
	/* what no column covers is zero: entries are hashed and saved as they stand */
	memset((char *)out + k->entry_bytes - 8, 0, 8);
	out->time = event->time;
	out->mark = event->order << 8 | event->flags;
	out->feeds = event->feeds;
	for (uint32_t i = 0; i < k->column_count; i++) {
		const struct window_column *c = &k->columns[i];
		const char *from = (const char *)event + c->from;
		char *at = (char *)out + c->at;
		switch (c->bytes) {
		case 8:
			memcpy(at, from, 8);
			break;
		case 2:
			memcpy(at, from, 2);
			break;
		case 1:
			*at = *from;
			break;
		default:
			body_encode(c, event, (char *)out);
		}
	}
}

void entry_amend(const struct window_key *k, struct window_entry *e, const struct window_change *change)
{
	e->mark = (e->mark & ~(uint64_t)(ENTRY_FLAGS & ~ENTRY_REF)) | change->flags;
	for (uint32_t i = 0; i < k->column_count; i++) {
		char *at = (char *)e + k->columns[i].at;
		if (k->columns[i].field == AGGF_AMOUNT)
			memcpy(at, &change->amount, 8);
		else if (k->columns[i].field == AGGF_BASE)
			memcpy(at, &change->base, 8);
		else if (k->columns[i].field == AGGF_CURRENCY)
			memcpy(at, &change->currency, 2);
		else if (k->columns[i].field == AGGF_BALANCE && change->balance_given)
			memcpy(at, &change->balance, 8);
	}
}

/* ---- a layout changes ---- */

static bool columns_equal(const struct window_key *a, const struct window_key *b)
{
	if (a->column_count != b->column_count || a->entry_bytes != b->entry_bytes)
		return false;
	for (uint32_t i = 0; i < a->column_count; i++) {
		const struct window_column *x = &a->columns[i], *y = &b->columns[i];
		if (x->source != y->source || x->field != y->field || x->at != y->at ||
		    x->status_at != y->status_at || !identity_equal(x->identity, y->identity))
			return false;
	}
	return true;
}

static bool folds_equal(const struct windows *w, uint32_t per, const struct window_key *before,
			const struct window_slot *slots_before)
{
	uint64_t lasting = w->keys[per].slots & w->lasting;

	if (before->fold_bytes != w->keys[per].fold_bytes)
		return false;
	for (uint64_t left = lasting; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)],
					 *old = &slots_before[bit_first(left)];
		if (!old->used || old->fold_at != s->fold_at || !identity_equal(old->identity, s->identity))
			return false;
	}
	return true;
}

static void entry_convert(const struct window_key *from, const struct window_key *to, const char *old,
			  char *new)
{
	memset(new, 0, to->entry_bytes);
	memcpy(new, old, sizeof(struct window_entry));
	for (uint32_t i = 0; i < to->column_count; i++) {
		const struct window_column *c = &to->columns[i];
		const struct window_column *had = column_find(from, c->source, c->field, c->identity);
		if (had)
			memcpy(new + c->at, old + had->at, source_bytes(c->source));
		if (c->status_at)
			new[c->status_at] = had ? old[had->status_at] : (char)VALUE_NO_DATA;
	}
}

/* A cell as `before` says becomes one as its key says now: a new block, and the old one is given back. */
static void cell_convert(struct windows *w, struct window_cell *cell, const struct window_key *before,
			 const struct window_slot *slots_before)
{
	const struct window_key *k = &w->keys[cell->per];
	uint32_t count = cell->count;
	const char *old_folds = cell_folds(cell);
	const char *old_entries = (const char *)cell_entry(before, cell, 0);
	uint64_t bytes = sizeof *cell + k->fold_bytes + (uint64_t)(count ? count : 1) * k->entry_bytes;
	uint32_t class = pool_class(bytes), block = pool_take(&w->pool, class);
	char *folds = cell_folds(cell_at(w, block));

	memset(folds, 0, k->fold_bytes);
	for (uint64_t left = k->slots & w->lasting; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)],
					 *old = &slots_before[bit_first(left)];
		if (old->used && identity_equal(old->identity, s->identity) && old->lasting)
			memcpy(folds + s->fold_at, old_folds + old->fold_at, s->fold_bytes);
	}
	for (uint32_t i = 0; i < count; i++)
		entry_convert(before, k, old_entries + (uint64_t)i * before->entry_bytes,
			      folds + k->fold_bytes + (uint64_t)i * k->entry_bytes);
	cell = cell_replace(w, cell, block, class);
	cell->head = 0;
	cell->room = (uint32_t)((pool_class_bytes(class) - sizeof *cell - k->fold_bytes) / k->entry_bytes);
}

void windows_layouts_change(struct windows *w, const struct window_key *before,
			    const struct window_slot *slots_before)
{
	bool differs[KEYS_MAX], any = false;

	for (uint32_t per = 0; per < KEYS_MAX; per++) {
		differs[per] = before[per].used && !(columns_equal(&before[per], &w->keys[per]) &&
						     folds_equal(w, per, &before[per], slots_before));
		any |= differs[per];
	}
	if (!any)
		return;
	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++) {
			struct window_cell *cell = h->slots[i].block ? cell_at(w, h->slots[i].block) : NULL;
			if (!cell || (cell->flags & (CELL_LIVE | CELL_OWNER)) != CELL_LIVE ||
			    !differs[cell->per])
				continue;
			cell_changed(w, cell);
			cell_convert(w, cell, &before[cell->per], slots_before);
		}
	}
}
