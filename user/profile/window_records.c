/*
 * window_records.c: cells as records of a checkpoint, and back; the digest.
 *
 * A record holds what cannot be derived: the log, and of windows for ever the totals and folds by slot.
 * Running values with a length are made again from the log. Bytes that make no sense are refused whole, and
 * so is what does not fit. The digest sees what values can depend on and nothing else: not what is settled
 * but still in a log, not running values; so it is the same before and after a checkpoint, and on a replay.
 * It takes memory from malloc and is slow.
 */
#include "windows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct cell_key {
	uint8_t per;
	uint8_t reserved[7];
	struct key128 key;
};
_Static_assert(sizeof(struct cell_key) == 24, "on disk");

struct cell_record { /* then the lasting ones, then the entries */
	uint32_t entries;
	uint16_t lasting;
	uint8_t provisional;
	uint8_t reserved;
	int64_t lost, lost_time;
	uint64_t broken;
	int64_t touched;
};
_Static_assert(sizeof(struct cell_record) == 40, "on disk");

struct lasting_record {
	uint64_t slot, count, errors;
	uint64_t sum_low, sum_high;
	struct window_fold fold;
};
_Static_assert(sizeof(struct lasting_record) == 72, "on disk");

static struct cell_key key_of(uint32_t per, struct key128 key)
{
	return (struct cell_key){ .per = (uint8_t)per, .key = key };
}

/* The totals of windows for ever that are not all zero, in order of slots. */
static uint32_t lasting_encode(const struct windows *w, const struct window_cell *cell,
			       struct lasting_record *out)
{
	uint32_t n = 0;

	for (uint64_t left = w->lasting & w->per_slots[cell->per]; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = cell_run(cell, s);
		bool fold = slot_has_fold(s);
		if (!r || !(r->count || r->errors || (fold && run_fold(r)->used)))
			continue;
		out[n] = (struct lasting_record){ .slot = bit_first(left),
						  .count = r->count,
						  .errors = r->errors };
		if (fold) {
			out[n].fold = *run_fold(r);
		} else {
			out[n].sum_low = (uint64_t)r->sum;
			out[n].sum_high = (uint64_t)(r->sum >> 64);
		}
		n++;
	}
	return n;
}

static void cell_save(const struct windows *w, const struct window_cell *cell, struct records *records)
{
	struct lasting_record lasting[AGGREGATES_MAX];
	struct cell_key key = key_of(cell->per, cell->key);
	struct cell_record head = {
		.entries = cell->count,
		.lasting = (uint16_t)lasting_encode(w, cell, lasting),
		.provisional = (cell->flags & CELL_PROVISIONAL) != 0,
		.lost = cell->lost,
		.lost_time = cell->lost_time,
		.broken = cell->broken,
		.touched = cell->touched,
	};
	size_t lasting_bytes = head.lasting * sizeof *lasting, log_bytes = cell->count * sizeof *cell->log;
	char *out = records_put(records, RECORD_CELL, &key, sizeof key,
				(uint32_t)(sizeof head + lasting_bytes + log_bytes));

	if (!out)
		return;
	memcpy(out, &head, sizeof head);
	memcpy(out + sizeof head, lasting, lasting_bytes);
	if (log_bytes)
		memcpy(out + sizeof head + lasting_bytes, cell_entries(cell), log_bytes);
}

void windows_checkpoint(struct windows *w, struct records *records)
{
	for (uint32_t i = 0; i < w->gone_count; i++) {
		struct cell_key key = key_of((uint32_t)w->gone[i].per, w->gone[i].key);
		if (!windows_find(w, key.per, key.key)) /* made again: its record replaces the old one */
			records_remove(records, RECORD_CELL, &key, sizeof key);
	}
	for (uint32_t i = 0; i < w->dirty_count; i++)
		if (w->cells[w->dirty[i]].flags & CELL_LIVE)
			cell_save(w, &w->cells[w->dirty[i]], records);
}

void windows_checkpointed(struct windows *w)
{
	for (uint32_t i = 0; i < w->dirty_count; i++) {
		struct window_cell *cell = &w->cells[w->dirty[i]];
		cell->flags &= (uint8_t)~CELL_DIRTY;
		if (cell->flags & CELL_LIVE)
			cell->flags |= CELL_SAVED;
	}
	w->dirty_count = w->gone_count = 0;
}

/* ---- loading ---- */

static bool lasting_load(struct windows *w, struct window_cell *cell, const char *bytes, uint32_t count)
{
	uint64_t after = 0; /* slots come ascending */

	for (uint32_t i = 0; i < count; i++) {
		struct lasting_record in;
		memcpy(&in, bytes + i * sizeof in, sizeof in);
		static const uint8_t zero[sizeof in.fold.reserved];
		if (in.slot < after || in.slot >= AGGREGATES_MAX ||
		    !(w->lasting & w->per_slots[cell->per] & UINT64_C(1) << in.slot))
			return false;
		if (in.count >> 40 || in.errors >> 24 || in.fold.used > 1 || in.fold.status > VALUE_ERROR ||
		    memcmp(in.fold.reserved, zero, sizeof zero) != 0)
			return false;
		const struct window_slot *s = &w->slots[in.slot];
		if (in.fold.used && !slot_has_fold(s))
			return false;
		struct window_run *r = cell_run_make(w, cell, s);
		r->count = in.count & ((UINT64_C(1) << 40) - 1);
		r->errors = in.errors & ((1u << 24) - 1);
		if (slot_has_fold(s))
			*run_fold(r) = in.fold;
		else
			r->sum = (__int128)((unsigned __int128)in.sum_high << 64 | in.sum_low);
		after = in.slot + 1;
	}
	return true;
}

static bool entry_valid(const struct windows *w, const struct window_cell *cell, const struct window_entry *e,
			const struct window_entry *before, uint64_t order_max)
{
	if (e->feeds == 0 || (e->feeds & ~w->per_slots[cell->per]) || (e->flags & ~ENTRY_FLAGS))
		return false;
	if (e->time < 1 || e->amount < 0 || e->order == 0 || e->order > order_max)
		return false;
	return !before || before->time < e->time || (before->time == e->time && before->order < e->order);
}

static bool entries_load(struct windows *w, struct window_cell *cell, const char *bytes, uint32_t count,
			 uint64_t order_max)
{
	if (count == 0)
		return true;
	cell_log_reserve(w, cell, count);
	memcpy(cell->log, bytes, count * sizeof *cell->log);
	for (uint32_t i = 0; i < count; i++) {
		const struct window_entry *e = &cell->log[i];
		if (!entry_valid(w, cell, e, i ? e - 1 : NULL, order_max))
			return false;
		int64_t reach = entry_reach(w, e->feeds, e->time);
		cell->reach = reach > cell->reach ? reach : cell->reach;
		for (uint64_t left = e->feeds; left; left &= left - 1) {
			const struct window_slot *s = &w->slots[bit_first(left)];
			struct window_run *r = cell_run_make(w, cell, s);
			if (s->within == 0) /* its totals are in the record */
				r->mark = MARK_UNKNOWN;
			else if (!(e->flags & ENTRY_OUT))
				run_add(s, r, e, i);
		}
	}
	cell->at = cell->log[count - 1].time;
	cell->count = count;
	w->entries += count;
	return true;
}

/* Would a cell with these fit? */
static bool load_fits(const struct windows *w, uint32_t entries)
{
	size_t bytes = slab_room((entries + 2) * sizeof(struct window_entry)) +
		       2 * AGGREGATES_MAX * 4 * sizeof(struct window_run);

	return w->table.count < w->cells_max && w->slab.bytes_in_use + bytes <= w->slab.bytes_max &&
	       bytes <= w->slab.region.bytes - w->slab.region.used;
}

bool windows_load(struct windows *w, const void *key_bytes, uint32_t key_len, const void *value,
		  uint32_t value_bytes, uint64_t order_max)
{
	struct cell_key key;
	struct cell_record head;
	static const uint8_t zero[sizeof key.reserved];

	if (key_len != sizeof key || value_bytes < sizeof head)
		return false;
	memcpy(&key, key_bytes, sizeof key);
	memcpy(&head, value, sizeof head);
	if (key.per >= PER_COUNT || memcmp(key.reserved, zero, sizeof zero) != 0 || head.reserved ||
	    head.entries > WINDOW_LOG_EVENTS_MAX || head.lasting > AGGREGATES_MAX || head.provisional > 1)
		return false;
	size_t lasting_bytes = head.lasting * sizeof(struct lasting_record);
	if (value_bytes != sizeof head + lasting_bytes + head.entries * sizeof(struct window_entry))
		return false;
	if ((head.provisional && key.per != PER_CUSTOMER) || (!head.provisional && head.touched) ||
	    (head.broken & ~(w->lasting & w->per_slots[key.per])))
		return false;
	if (windows_find(w, key.per, key.key) || !load_fits(w, head.entries))
		return false;

	struct window_cell *cell = windows_make(w, key.per, key.key);
	cell->flags = (uint8_t)(CELL_LIVE | CELL_SAVED | (head.provisional ? CELL_PROVISIONAL : 0));
	w->dirty_count--; /* made, not changed */
	cell->lost = head.lost;
	cell->lost_time = head.lost_time;
	cell->broken = head.broken;
	cell->touched = head.touched;
	const char *at = (const char *)value + sizeof head;
	return lasting_load(w, cell, at, head.lasting) &&
	       entries_load(w, cell, at + lasting_bytes, head.entries, order_max);
}

static int by_touched(const void *a, const void *b, void *cells)
{
	const struct window_cell *x = (const struct window_cell *)cells + *(const uint32_t *)a;
	const struct window_cell *y = (const struct window_cell *)cells + *(const uint32_t *)b;

	return x->touched < y->touched ? -1 : x->touched > y->touched;
}

/* The list of provisional cells, by their latest event. */
bool windows_loaded(struct windows *w)
{
	uint32_t n = 0;

	assert(w->dirty_count == 0 && w->gone_count == 0 && !w->oldest);
	for (uint32_t i = 0; i < w->cells_used; i++)
		if (w->cells[i].flags & CELL_PROVISIONAL)
			w->dirty[n++] = i; /* the list is empty: its room is free */
	qsort_r(w->dirty, n, sizeof *w->dirty, by_touched, w->cells);
	for (uint32_t i = 0; i < n; i++) {
		if (w->cells[w->dirty[i]].touched > w->now)
			return false;
		cell_list_push(w, &w->cells[w->dirty[i]]);
	}
	return true;
}

/* ---- digest ---- */

static int by_key(const void *a, const void *b, void *cells)
{
	const struct window_cell *x = (const struct window_cell *)cells + *(const uint32_t *)a;
	const struct window_cell *y = (const struct window_cell *)cells + *(const uint32_t *)b;

	if (x->per != y->per)
		return x->per < y->per ? -1 : 1;
	if (x->key.high != y->key.high)
		return x->key.high < y->key.high ? -1 : 1;
	return x->key.low < y->key.low ? -1 : x->key.low > y->key.low;
}

/* As if everything settled had left the log. */
static void cell_digest(const struct windows *w, const struct window_cell *cell, XXH3_state_t *state)
{
	struct lasting_record lasting[AGGREGATES_MAX];
	struct cell_key key = key_of(cell->per, cell->key);
	struct cell_record head = {
		.provisional = (cell->flags & CELL_PROVISIONAL) != 0,
		.lost = cell->lost > windows_horizon(w) ? cell->lost : INT64_MIN,
		.lost_time = cell->lost_time,
		.broken = cell->broken,
		.touched = cell->touched,
	};
	const struct window_entry *log = cell_entries(cell);

	for (uint32_t i = 0; i < cell->count; i++)
		head.entries += !entry_settled(w, &log[i]);
	XXH3_128bits_update(state, &key, sizeof key);
	XXH3_128bits_update(state, &head, sizeof head);
	for (uint64_t left = w->lasting & w->per_slots[cell->per]; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = cell_run(cell, s), none[2] = { 0 };
		struct window_fold fold = { 0 };
		if (!r)
			r = none;
		if (slot_has_fold(s))
			fold = *run_fold(r);
		for (uint32_t i = 0; i < cell->count && slot_has_fold(s); i++)
			if ((log[i].feeds >> bit_first(left) & 1) && !(log[i].flags & ENTRY_OUT) &&
			    entry_settled(w, &log[i]))
				fold_add(s, &fold, &log[i]);
		lasting[0] = (struct lasting_record){ bit_first(left), r->count, r->errors, 0, 0, fold };
		if (!slot_has_fold(s)) {
			lasting[0].sum_low = (uint64_t)r->sum;
			lasting[0].sum_high = (uint64_t)(r->sum >> 64);
		}
		XXH3_128bits_update(state, lasting, sizeof *lasting);
	}
	for (uint32_t i = 0; i < cell->count; i++)
		if (!entry_settled(w, &log[i]))
			XXH3_128bits_update(state, &log[i], sizeof *log);
}

struct hash128 windows_digest(const struct windows *w)
{
	uint32_t *order = malloc((w->cells_used + 1) * sizeof *order), n = 0;
	XXH3_state_t state;

	assert(order);
	for (uint32_t i = 0; i < w->cells_used; i++)
		if ((w->cells[i].flags & CELL_LIVE) && cell_holds(w, &w->cells[i]))
			order[n++] = i;
	qsort_r(order, n, sizeof *order, by_key, w->cells);
	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	for (uint32_t i = 0; i < n; i++)
		cell_digest(w, &w->cells[order[i]], &state);
	free(order);
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}
