/*
 * window_records.c: cells as records of a checkpoint, and back; the digest.
 *
 * A record holds what cannot be derived: the folds and the log as they stand, in the layout that follows from
 * the slots in META "history"; a removed cell is a key that is taken back. A cut freezes the list of what
 * changed; steps write it. What makes no sense is refused whole, and so is what does not fit. The digest sees
 * what values can depend on and nothing else: not what is settled but still in a log, not running values, not
 * an empty key at the end of its owner's list; so it is the same before and after a checkpoint, and on a
 * replay. It takes memory from malloc and is slow.
 */
#include "windows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct cell_key {
	uint8_t per, owner;
	uint8_t reserved[6];
	struct key128 key;
};
_Static_assert(sizeof(struct cell_key) == 24, "on disk");

struct cell_record { /* then the folds, unless all of them are empty, then the entries */
	uint32_t entries;
	uint16_t fold_bytes, entry_bytes;
	uint8_t provisional, bounded;
	uint8_t reserved[6];
	int64_t lost, lost_time;
	uint64_t broken;
	int64_t touched;
	int64_t gone;
	uint64_t used;
	struct key128 owner;
};
_Static_assert(sizeof(struct cell_record) == 80, "on disk");

static struct cell_key key_of(const struct window_cell *cell)
{
	return (struct cell_key){ .per = cell->per,
				  .owner = (cell->flags & CELL_OWNER) != 0,
				  .key = cell->key };
}

static struct cell_record head_of(const struct windows *w, const struct window_cell *cell)
{
	const struct window_cold *cold = cell_cold(w, cell);
	struct cell_record head = { .entries = cell->count,
				    .provisional = (cell->flags & CELL_PROVISIONAL) != 0,
				    .lost = INT64_MIN,
				    .lost_time = INT64_MIN,
				    .gone = INT64_MIN };

	if (!(cell->flags & CELL_OWNER))
		head.entry_bytes = w->keys[cell->per].entry_bytes;
	if (!cold)
		return head;
	head.lost = cold->lost;
	head.lost_time = cold->lost_time;
	head.broken = cold->broken;
	head.touched = cold->touched;
	head.gone = cold->gone;
	if (cold->owner) {
		head.bounded = 1;
		head.used = cold->used;
		head.owner = cell_at(w, cold->owner)->key;
	}
	return head;
}

static bool all_zero(const char *bytes, uint32_t count)
{
	uint32_t i = 0;

	while (i < count && !bytes[i])
		i++;
	return i == count;
}

void cell_save(const struct windows *w, const struct window_cell *cell, struct records *records)
{
	struct cell_key key = key_of(cell);

	if (!(cell->flags & CELL_LIVE)) {
		records_remove(records, RECORD_CELL, &key, sizeof key);
		return;
	}
	const struct window_key *k = &w->keys[cell->per];
	struct cell_record head = head_of(w, cell);
	if (!(cell->flags & CELL_OWNER) && !all_zero(cell_folds(cell), k->fold_bytes))
		head.fold_bytes = k->fold_bytes;
	uint32_t log_bytes = cell->count * k->entry_bytes;
	char *out = records_put(records, RECORD_CELL, &key, sizeof key,
				(uint32_t)sizeof head + head.fold_bytes + log_bytes);
	if (!out)
		return;
	memcpy(out, &head, sizeof head);
	memcpy(out + sizeof head, cell_folds(cell), head.fold_bytes);
	if (log_bytes)
		memcpy(out + sizeof head + head.fold_bytes, cell_entry(k, cell, 0), log_bytes);
}

/* ---- cut ---- */

void windows_cut(struct windows *w, struct records *records)
{
	assert(!w->records && records);
	w->list ^= 1;
	assert(w->dirty_count[w->list] == 0);
	w->records = records;
	w->cut_next = w->cut_ghosts = 0;
}

bool windows_cut_step(struct windows *w, uint32_t *items)
{
	uint32_t frozen = w->list ^ 1, *list = w->dirty[frozen];

	for (; *items && w->cut_next < w->dirty_count[frozen]; --*items) {
		uint32_t block = list[w->cut_next++], ahead = w->cut_next + 8;
		if (ahead < w->dirty_count[frozen])
			__builtin_prefetch(cell_at(w, list[ahead]));
		if (!block)
			continue;
		struct window_cell *cell = cell_at(w, block);
		cell_save(w, cell, w->records);
		cell->flags |= CELL_SAVED;
		cell->dirty = 0;
		if (cell->flags & CELL_LIVE)
			continue;
		list[w->cut_ghosts++] = block; /* its key stays until all has fitted */
		cell->dirty = w->cut_ghosts;
	}
	return w->cut_next == w->dirty_count[frozen];
}

static void everything_changed(struct windows *w)
{
	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++)
			if (h->slots[i].block)
				cell_changed(w, cell_at(w, h->slots[i].block));
	}
}

/* All is in the records: what is gone is gone. Or it did not fit: then all counts as changed. */
bool windows_cut_finish(struct windows *w, uint32_t *items)
{
	uint32_t frozen = w->list ^ 1, *list = w->dirty[frozen];
	bool full = w->records->full;

	for (; w->cut_ghosts && *items; --*items) {
		uint32_t block = list[--w->cut_ghosts];
		if (!block)
			continue;
		struct window_cell *ghost = cell_at(w, block);
		ghost->dirty = 0;
		if (full)
			continue;
		key_index_remove(&w->index, ghost->hash, block);
		pool_give(&w->pool, block, ghost->class);
	}
	if (w->cut_ghosts)
		return false;
	w->dirty_count[frozen] = 0;
	w->records = NULL;
	if (full)
		everything_changed(w);
	return true;
}

/* ---- loading ---- */

static bool column_valid(const struct window_column *c, const char *entry)
{
	const char *at = entry + c->at;
	int64_t amount;
	uint64_t bytes;

	if (c->status_at && (uint8_t)entry[c->status_at] > VALUE_ERROR)
		return false;
	if (c->field == AGGF_AMOUNT) {
		memcpy(&amount, at, sizeof amount);
		return amount >= 0;
	}
	if (c->source == SOURCE_TEXT) {
		memcpy(&bytes, at, sizeof bytes);
		return bytes <= WINDOW_TEXT_BYTES;
	}
	return true;
}

static bool entry_valid(const struct window_key *k, const struct window_entry *e,
			const struct window_entry *before, uint64_t order_max)
{
	if (e->feeds == 0 || (e->feeds & ~k->slots) || (entry_flags(e) & ~ENTRY_FLAGS))
		return false;
	if (e->time < 1 || entry_order(e) == 0 || entry_order(e) > order_max)
		return false;
	for (uint32_t i = 0; i < k->column_count; i++)
		if (!column_valid(&k->columns[i], (const char *)e))
			return false;
	return !before || before->time < e->time ||
	       (before->time == e->time && entry_order(before) < entry_order(e));
}

static bool folds_valid(const struct windows *w, const struct window_key *k, const struct window_cell *cell,
			uint64_t order_max)
{
	for (uint64_t left = k->slots & w->lasting; left; left &= left - 1)
		if (!fold_valid(w, &w->slots[bit_first(left)], cell, order_max))
			return false;
	return true;
}

static bool log_valid(struct windows *w, struct window_cell *cell, uint64_t order_max)
{
	const struct window_key *k = &w->keys[cell->per];

	for (uint32_t i = 0; i < cell->count; i++) {
		const struct window_entry *e = cell_entry(k, cell, i);
		if (!entry_valid(k, e, i ? cell_entry(k, cell, i - 1) : NULL, order_max))
			return false;
		int64_t reach = entry_reach(w, e->feeds, e->time);
		cell->reach = reach > cell->reach ? reach : cell->reach;
	}
	return true;
}

static bool load_fits(const struct windows *w, const struct window_key *k, uint32_t entries)
{
	uint64_t bytes =
		2 * (sizeof(struct window_cell) + k->fold_bytes + (entries + 2) * (uint64_t)k->entry_bytes) +
		sizeof(struct window_runs) + (k->run_count + 4) * sizeof(struct window_run);

	return w->index.count < w->index.count_max && w->pool.bytes_in_use + bytes <= w->pool.bytes_max &&
	       bytes <= w->pool.region.bytes - w->pool.region.used;
}

static bool head_valid(const struct windows *w, const struct cell_key *key, const struct cell_record *head,
		       uint32_t value_bytes)
{
	static const uint8_t zero[sizeof head->reserved];
	const struct window_key *k = &w->keys[key->per];
	uint64_t bytes = sizeof *head + head->fold_bytes + (uint64_t)head->entries * head->entry_bytes;

	if (head->provisional > 1 || head->bounded > 1 || memcmp(head->reserved, zero, sizeof zero) != 0 ||
	    head->entries > WINDOW_LOG_EVENTS_MAX || bytes != value_bytes)
		return false;
	if (key->owner)
		return k->keys_max && !head->entries && !head->entry_bytes && !head->fold_bytes &&
		       !head->bounded && !head->broken && !head->used &&
		       (head->provisional || !head->touched);
	if (head->entry_bytes != k->entry_bytes || (head->fold_bytes && head->fold_bytes != k->fold_bytes))
		return false;
	if ((head->provisional && (key->per == PER_ACCOUNT || key->per == PER_CARD)) ||
	    (!head->provisional && head->touched) || (head->broken & ~(w->lasting & k->slots)))
		return false;
	if (head->bounded != (k->keys_max != 0))
		return false;
	return head->bounded ||
	       (head->gone == INT64_MIN && !head->used && !head->owner.low && !head->owner.high);
}

static void head_load(struct windows *w, struct window_cell *cell, const struct cell_record *head)
{
	if (!(cell->flags & CELL_OWNER) && !head->provisional && !head->bounded && head->lost == INT64_MIN &&
	    head->lost_time == INT64_MIN && !head->broken)
		return;
	struct window_cold *cold = cell_cold_make(w, cell);
	cold->lost = head->lost;
	cold->lost_time = head->lost_time;
	cold->broken = head->broken;
	cold->touched = head->touched;
	cold->gone = head->gone;
	cold->used = head->used;
	cold->owner_key = head->owner;
	cell->flags |= (uint8_t)(head->provisional ? CELL_PROVISIONAL : 0);
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
	if (key.per >= KEYS_MAX || !w->keys[key.per].used || key.owner > 1 ||
	    memcmp(key.reserved, zero, sizeof zero) != 0 || !head_valid(w, &key, &head, value_bytes))
		return false;
	const struct window_key *k = &w->keys[key.per];
	if (cell_find(w, key.per, key.key, key.owner) || !load_fits(w, k, head.entries) ||
	    (head.bounded && head.used > order_max))
		return false;

	struct window_cell *cell = cell_make(w, key.per, key.key, key.owner ? CELL_OWNER : 0);
	cell->flags |= CELL_SAVED;
	w->dirty_count[w->list]--; /* made, not changed */
	cell->dirty = 0;
	if (head.entries > cell->room)
		cell = cell_resize(w, cell, head.entries);
	const char *at = (const char *)value + sizeof head;
	memcpy(cell_folds(cell), at, head.fold_bytes);
	if (head.entries)
		memcpy(cell_entry(k, cell, 0), at + head.fold_bytes, (uint64_t)head.entries * k->entry_bytes);
	cell->count = head.entries;
	w->entries += head.entries;
	head_load(w, cell, &head);
	return key.owner || (log_valid(w, cell, order_max) && folds_valid(w, k, cell, order_max));
}

static int by_touched(const void *a, const void *b, void *windows)
{
	const struct windows *w = windows;
	const struct window_cold *x = cell_cold(w, cell_at(w, *(const uint32_t *)a));
	const struct window_cold *y = cell_cold(w, cell_at(w, *(const uint32_t *)b));

	return x->touched < y->touched ? -1 : x->touched > y->touched;
}

static int by_used(const void *a, const void *b, void *windows)
{
	const struct windows *w = windows;
	const struct window_cold *x = cell_cold(w, cell_at(w, *(const uint32_t *)a));
	const struct window_cold *y = cell_cold(w, cell_at(w, *(const uint32_t *)b));

	return x->used < y->used ? -1 : x->used > y->used;
}

/* Cells of one sort, in the room of the list of changes, which is empty. */
static uint32_t cells_collect(struct windows *w, bool bounded)
{
	uint32_t n = 0;

	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++) {
			struct window_cell *cell = h->slots[i].block ? cell_at(w, h->slots[i].block) : NULL;
			if (!cell || (cell->flags & CELL_OWNER))
				continue;
			if (bounded ? w->keys[cell->per].keys_max != 0
				    : (cell->flags & CELL_PROVISIONAL) && cell->per == PER_CUSTOMER)
				w->dirty[0][n++] = h->slots[i].block;
		}
	}
	return n;
}

static bool bounded_link(struct windows *w, struct window_cell *cell)
{
	struct window_cold *cold = cell_cold(w, cell);
	const struct window_cell *owner = cell_find(w, cell->per, cold->owner_key, true);

	if (!owner ||
	    cell_cold(w, owner)->keys >= KEYS_BOUND_MAX) /* more than keys_max: a reload left it fewer */
		return false;
	cold->owner = cell_block(w, owner);
	cell_link(w, cell);
	return true;
}

/* Further keys of provisional customers, owners first, so that they end up behind their keys. */
static bool customers_link(struct windows *w, bool owners)
{
	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++) {
			struct window_cell *cell = h->slots[i].block ? cell_at(w, h->slots[i].block) : NULL;
			if (!cell || !(cell->flags & CELL_PROVISIONAL) || cell->per == PER_CUSTOMER ||
			    ((cell->flags & CELL_OWNER) != 0) != owners)
				continue;
			uint64_t customer = (uint64_t)cell_cold(w, cell)->touched;
			struct window_cell *first =
				cell_find(w, PER_CUSTOMER, (struct key128){ .low = customer }, false);
			if (!first || !(first->flags & CELL_PROVISIONAL))
				return false;
			cell->flags &= (uint8_t)~CELL_PROVISIONAL;
			cell_link_customer(w, cell, customer);
		}
	}
	return true;
}

/* The lists: provisional cells by their latest event, keys of an owner by use. */
bool windows_loaded(struct windows *w)
{
	assert(w->dirty_count[0] == 0 && w->dirty_count[1] == 0 && !w->oldest);
	uint32_t n = cells_collect(w, false);
	qsort_r(w->dirty[0], n, sizeof *w->dirty[0], by_touched, w);
	for (uint32_t i = 0; i < n; i++) {
		struct window_cell *cell = cell_at(w, w->dirty[0][i]);
		if (cell_cold(w, cell)->touched > w->now)
			return false;
		cell_list_push(w, cell);
	}
	if (!customers_link(w, true) || !customers_link(w, false))
		return false;
	n = cells_collect(w, true);
	qsort_r(w->dirty[0], n, sizeof *w->dirty[0], by_used, w);
	for (uint32_t i = 0; i < n; i++)
		if (!bounded_link(w, cell_at(w, w->dirty[0][i])))
			return false;
	return true;
}

/* ---- digest ---- */

static int by_key(const void *a, const void *b, void *windows)
{
	const struct windows *w = windows;
	const struct window_cell *x = cell_at(w, *(const uint32_t *)a), *y = cell_at(w, *(const uint32_t *)b);
	struct cell_key p = key_of(x), q = key_of(y);

	if (p.per != q.per)
		return p.per < q.per ? -1 : 1;
	if (p.owner != q.owner)
		return p.owner < q.owner ? -1 : 1;
	if (p.key.high != q.key.high)
		return p.key.high < q.key.high ? -1 : 1;
	return p.key.low < q.key.low ? -1 : p.key.low > q.key.low;
}

/* What is known to be missing, as far as a window can still see it. */
static int64_t gone_seen(const struct windows *w, const struct window_cell *cell)
{
	const struct window_key *k = &w->keys[cell->per];
	int64_t gone = cell->cold ? cell_cold(w, cell)->gone : INT64_MIN;

	if (gone == INT64_MIN || (k->slots & w->lasting) || time_add(gone, k->span) > windows_horizon(w))
		return gone;
	return INT64_MIN;
}

/* A bounded key that is empty has a place among its owner's all the same, but at the end of the list. */
static bool cell_seen(const struct windows *w, const struct window_cell *cell)
{
	const struct window_cold *cold = cell_cold(w, cell);

	if (cell->flags & CELL_OWNER)
		return gone_seen(w, cell) != INT64_MIN;
	if (cell_holds(w, cell))
		return true;
	for (uint32_t at = cold && cell->per == PER_CUSTOMER ? cold->next : 0; at;
	     at = cell_cold(w, cell_at(w, at))->next)
		if (cell_seen(w, cell_at(w, at)))
			return true;
	for (uint32_t at = cold && cold->owner ? cold->older : 0; at;
	     at = cell_cold(w, cell_at(w, at))->older)
		if (cell_holds(w, cell_at(w, at)))
			return true;
	return false;
}

/* As if everything settled had left the log. */
static void cell_digest(const struct windows *w, const struct window_cell *cell, XXH3_state_t *state,
			char *room)
{
	const struct window_key *k = &w->keys[cell->per];
	struct cell_key key = key_of(cell);
	struct cell_record head = head_of(w, cell);
	struct window_cell *settled = (struct window_cell *)room;

	head.entries = 0;
	head.lost = head.lost > windows_horizon(w) ? head.lost : INT64_MIN;
	head.gone = cell_holds(w, cell) || (cell->flags & CELL_OWNER) ? gone_seen(w, cell) : INT64_MIN;
	XXH3_128bits_update(state, &key, sizeof key);
	if (cell->flags & CELL_OWNER) {
		XXH3_128bits_update(state, &head, sizeof head);
		return;
	}
	memcpy(room, cell, sizeof *cell + k->fold_bytes);
	for (uint32_t i = 0; i < cell->count; i++) {
		const struct window_entry *e = cell_entry(k, cell, i);
		head.entries += !entry_settled(w, e);
		for (uint64_t left = e->mark & ENTRY_OUT ? 0 : e->feeds & w->lasting; left; left &= left - 1)
			if (entry_settled(w, e))
				fold_settle(w, &w->slots[bit_first(left)], settled, e);
	}
	XXH3_128bits_update(state, &head, sizeof head);
	XXH3_128bits_update(state, cell_folds(settled), k->fold_bytes);
	for (uint32_t i = 0; i < cell->count; i++)
		if (!entry_settled(w, cell_entry(k, cell, i)))
			XXH3_128bits_update(state, cell_entry(k, cell, i), k->entry_bytes);
}

struct hash128 windows_digest(const struct windows *w)
{
	uint32_t *order = malloc((w->index.count + 1) * sizeof *order), n = 0;
	char *room = malloc(sizeof(struct window_cell) + UINT16_MAX);
	XXH3_state_t state;

	assert(order && room);
	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++) {
			uint32_t block = h->slots[i].block;
			if (block && (cell_at(w, block)->flags & CELL_LIVE) &&
			    cell_seen(w, cell_at(w, block)))
				order[n++] = block;
		}
	}
	qsort_r(order, n, sizeof *order, by_key, (void *)(uintptr_t)w);
	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	for (uint32_t i = 0; i < n; i++)
		cell_digest(w, cell_at(w, order[i]), &state, room);
	free(room);
	free(order);
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}
