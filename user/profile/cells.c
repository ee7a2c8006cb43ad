/*
 * cells.c: the memory of windows: cells by key, the lists of what changed since the last checkpoint, the list
 * of provisional customers by their latest event, and of the keys of one owner by use.
 *
 * Keys come in, cells go out, lent until the next call that may move one. All of it is reserved at init. Room
 * is asked for once a batch (windows_has_room), for the worst that a batch can do; after that a failing take
 * is our own mistake. A cell moves when it grows; whoever points to it (the index, a list of changes, its
 * neighbours) is told by cell_replace. Who changes a cell calls cell_changed first: a checkpoint on its way
 * then writes it as it was. A removed cell that a checkpoint has stays as a ghost, a header that is not live,
 * until the next checkpoint has taken its key back.
 */
#include "windows.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { LOG_ROOM_MAX = 65536, SWEEP_SLOTS = 8, SWEEP_EVERY = 16, SET_SLOTS = 131072 };
_Static_assert((int)LOG_ROOM_MAX > (int)WINDOW_LOG_EVENTS_MAX, "a full log moves back only now and then");
_Static_assert((int)SET_SLOTS >= 2 * (int)WINDOW_LOG_EVENTS_MAX, "distinct values of a full log");
static const uint32_t texts_count = BATCH_ENTRIES_MAX * AGGREGATE_VALUES_MAX;

static int arrays_init(struct windows *w, uint64_t cells_max)
{
	uint64_t moved_bytes = (WINDOW_LOG_EVENTS_MAX + 2) * sizeof *w->moved;
	uint64_t set_bytes = SET_SLOTS * (sizeof *w->set + sizeof *w->set_used);
	uint64_t texts_bytes = (uint64_t)texts_count * WINDOW_TEXT_BYTES;
	int rc = region_init(&w->region, cells_max * 2 * sizeof **w->dirty + moved_bytes + set_bytes +
						 texts_bytes + 8 * 64);

	if (rc)
		return rc;
	for (int i = 0; i < 2; i++)
		w->dirty[i] = region_take(&w->region, cells_max * sizeof **w->dirty);
	w->moved = region_take(&w->region, moved_bytes);
	w->set = region_take(&w->region, SET_SLOTS * sizeof *w->set);
	w->set_used = region_take(&w->region, SET_SLOTS * sizeof *w->set_used);
	w->texts = region_take(&w->region, texts_bytes);
	assert(w->dirty[0] && w->dirty[1] && w->moved && w->set && w->set_used && w->texts);
	return 0;
}

int windows_init(struct windows *w, uint64_t bytes_max, uint64_t cells_max)
{
	memset(w, 0, sizeof *w);
	w->activated_max = INT64_MIN;
	if (cells_max == 0 || cells_max >= UINT32_MAX)
		return -EINVAL;
	int rc = pool_init(&w->pool, bytes_max);
	if (!rc)
		rc = key_index_init(&w->index, cells_max);
	if (!rc)
		rc = arrays_init(w, cells_max);
	if (rc)
		windows_deinit(w);
	return rc;
}

void windows_deinit(struct windows *w)
{
	key_index_deinit(&w->index);
	pool_deinit(&w->pool);
	region_deinit(&w->region);
}

/*
 * The worst that `events` can do to each kind of key: enter the largest cells, which double, or new ones,
 * with all that a small cell can have. A cell that grows twice gives back the smaller block between.
 */
bool windows_has_room(const struct windows *w, uint32_t events)
{
	const uint64_t cold = pool_class_bytes(pool_class(sizeof(struct window_cold)));
	uint64_t keys = 0, cells = 0, small = 0, bytes, left;

	for (uint32_t per = 0; per < KEYS_MAX; per++) {
		const struct window_key *k = &w->keys[per];
		if (!k->slots)
			continue;
		keys += events;
		cells += events * (per < PER_COUNT ? 1u : 3u); /* with its owner, and its customer's cell */
		uint64_t cell = sizeof(struct window_cell) + k->fold_bytes + 4u * k->entry_bytes;
		uint64_t runs = sizeof(struct window_runs) + k->run_count * sizeof(struct window_run);
		uint64_t most = 2 * cell + cold + runs + (per < PER_COUNT ? 0 : 2 * (cold + cell));
		small = most > small ? most : small;
	}
	bytes = keys * small;
	left = keys;
	for (uint32_t class = POOL_CLASSES; class -- > 0 && left;) {
		uint64_t of_class = w->classes[class] < left ? w->classes[class] : left;
		bytes += of_class * 3 * pool_class_bytes(class);
		left -= of_class;
	}
	return w->index.count + cells <= w->index.count_max &&
	       w->pool.bytes_in_use + bytes <= w->pool.bytes_max &&
	       bytes <= w->pool.region.bytes - w->pool.region.used;
}

/* ---- finding ---- */

static uint32_t key_hash(uint32_t per, struct key128 key, bool owner)
{
	uint64_t salt = (per * 2 + owner) * UINT64_C(0x9ddfea08eb382d69);
	uint64_t x =
		(key.low ^ salt ^ (key.high * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xbf58476d1ce4e5b9);

	x ^= x >> 32;
	x *= UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(x ^ (x >> 29));
}

static bool key_equal(struct key128 a, struct key128 b)
{
	return a.low == b.low && a.high == b.high;
}

static struct window_cell *half_find(const struct windows *w, const struct key_index_half *h, uint32_t hash,
				     uint32_t per, struct key128 key, bool owner)
{
	uint64_t mask = h->count - 1;

	for (uint64_t at = hash & mask; h->slots[at].block; at = (at + 1) & mask) {
		if (h->slots[at].hash != hash)
			continue;
		struct window_cell *cell = cell_at(w, h->slots[at].block);
		if (key_equal(cell->key, key) && cell->per == per &&
		    ((cell->flags & CELL_OWNER) != 0) == owner)
			return cell;
	}
	return NULL;
}

/* A ghost too. */
static struct window_cell *cell_find_any(const struct windows *w, uint32_t per, struct key128 key, bool owner)
{
	uint32_t hash = key_hash(per, key, owner);
	struct window_cell *cell = half_find(w, &w->index.now, hash, per, key, owner);

	if (!cell && w->index.old.count)
		cell = half_find(w, &w->index.old, hash, per, key, owner);
	return cell;
}

struct window_cell *cell_find(const struct windows *w, uint32_t per, struct key128 key, bool owner)
{
	struct window_cell *cell = cell_find_any(w, per, key, owner);

	return cell && (cell->flags & CELL_LIVE) ? cell : NULL;
}

void windows_look(const struct windows *w, struct window_place *place)
{
	const struct window_key *k = &w->keys[place->per];

	place->cell = cell_find(w, place->per, place->key, false);
	place->gone = INT64_MIN;
	if (!k->keys_max)
		return;
	/* one that is empty may as well have left: what is then known is known of it, too */
	if (place->cell && cell_holds(w, place->cell)) {
		place->gone = cell_cold(w, place->cell)->gone;
		return;
	}
	const struct window_cell *owner = cell_find(w, place->per, place->owner, true);
	if (owner)
		place->gone = cell_cold(w, owner)->gone;
}

/* The first cell of that hash: mostly the key's. 0: none. */
static uint32_t block_guess(const struct windows *w, uint32_t hash)
{
	const struct key_index_half *h = &w->index.now;
	uint64_t mask = h->count - 1;

	for (uint64_t at = hash & mask; h->slots[at].block; at = (at + 1) & mask)
		if (h->slots[at].hash == hash)
			return h->slots[at].block;
	return 0;
}

/* The cell may have moved since it was guessed: what stands there is only a place to ask memory for. Inlined:
 * gcc takes a function that does nothing but prefetch for one without effect, and drops its calls. */
static inline __attribute__((always_inline)) void log_prefetch(const struct windows *w, uint32_t block,
							       uint32_t per)
{
	const struct window_cell *cell = cell_at(w, block);
	const struct window_key *k = &w->keys[per];
	const char *end = (const char *)cell_entry(k, cell, cell->count);

	__builtin_prefetch(end, 1);
	__builtin_prefetch(end - k->entry_bytes, 1);
	if (!cell->runs)
		return;
	const char *runs = (const char *)cell_runs(w, cell);
	if (cell->leaving < cell->count)
		__builtin_prefetch(cell_entry(k, cell, cell->leaving));
	for (const char *stop = runs + (k->run_count + 1) * 64; runs < stop; runs += 64)
		__builtin_prefetch(runs, 1);
}

/* What stands first in a cell: header, folds, and the entries of most. */
static inline __attribute__((always_inline)) void cell_prefetch(const struct windows *w, uint32_t block)
{
	const char *at = (const char *)cell_at(w, block);

	__builtin_prefetch(at, 1);
	__builtin_prefetch(at + 64, 1);
	__builtin_prefetch(at + 128, 1);
}

static inline __attribute__((always_inline)) void key_expect(struct windows *w, uint32_t per, uint32_t at,
							     uint64_t id)
{
	const uint32_t step = WINDOW_AHEAD / 3, places = WINDOW_PLACES;
	struct window_ahead *far = &w->ahead[per][at % places], *mid = &w->ahead[per][(at - step) % places];
	const struct window_ahead *near = &w->ahead[per][(at - 2 * step) % places];

	far->hash = key_hash(per, (struct key128){ .low = id }, false);
	far->has = id != 0;
	far->block = 0;
	key_index_prefetch(&w->index, far->hash);
	if (mid->has) {
		mid->block = block_guess(w, mid->hash);
		cell_prefetch(w, mid->block);
	}
	if (near->block)
		log_prefetch(w, near->block, per);
}

/* Three steps, a third of the way each: the place in the index, the cell, what is far from its header. */
void windows_expect(struct windows *w, uint64_t customer, uint64_t account)
{
	uint32_t at = w->expected++;

	if (w->keys[PER_CUSTOMER].slots)
		key_expect(w, PER_CUSTOMER, at, customer);
	if (w->keys[PER_ACCOUNT].slots)
		key_expect(w, PER_ACCOUNT, at, account);
}
_Static_assert(PER_CUSTOMER == 0 && PER_ACCOUNT == 1, "windows_expect");

/* ---- changes ---- */

void cell_tidied(struct windows *w, struct window_cell *cell)
{
	uint32_t in = (cell->flags & CELL_SECOND) != 0;

	if (!cell->dirty || in == w->list)
		return;
	if (cell->dirty > w->cut_next) /* cut, and not yet written */
		cell_save(w, cell, w->records);
	w->dirty[in][cell->dirty - 1] = 0;
	cell->flags |= CELL_SAVED;
	cell->dirty = 0;
}

void cell_changed(struct windows *w, struct window_cell *cell)
{
	cell_tidied(w, cell);
	if (cell->dirty)
		return;
	assert(w->dirty_count[w->list] < w->index.count_max);
	w->dirty[w->list][w->dirty_count[w->list]++] = cell_block(w, cell);
	cell->dirty = w->dirty_count[w->list];
	cell->flags = (uint8_t)((cell->flags & ~CELL_SECOND) | (w->list ? CELL_SECOND : 0));
}

/* Never saved, and no longer there: out of the list that it stands in, the one that grows. */
static void cell_unlisted(struct windows *w, struct window_cell *cell)
{
	uint32_t *list = w->dirty[w->list], last = list[--w->dirty_count[w->list]];

	list[cell->dirty - 1] = last;
	cell_at(w, last)->dirty = cell->dirty;
	cell->dirty = 0;
}

/* ---- blocks ---- */

static void neighbours_replace(struct windows *w, const struct window_cell *cell, uint32_t from, uint32_t to)
{
	const struct window_cold *cold = cell_cold(w, cell);
	uint32_t *oldest = &w->oldest, *newest = &w->newest;

	if (cold->before)
		cell_cold(w, cell_at(w, cold->before))->next = to;
	if (cold->next)
		cell_cold(w, cell_at(w, cold->next))->before = to;
	if (cold->owner) {
		struct window_cold *owner = cell_cold(w, cell_at(w, cold->owner));
		oldest = &owner->oldest;
		newest = &owner->newest;
	} else if (!(cell->flags & CELL_PROVISIONAL) || cell->per != PER_CUSTOMER) {
		return;
	}
	if (*oldest == from)
		*oldest = to;
	if (*newest == from)
		*newest = to;
	if (cold->older)
		cell_cold(w, cell_at(w, cold->older))->newer = to;
	if (cold->newer)
		cell_cold(w, cell_at(w, cold->newer))->older = to;
}

/* The cell is in another block now: its header is copied, the rest is the caller's. Gives the old block back.
 */
struct window_cell *cell_replace(struct windows *w, struct window_cell *cell, uint32_t to, uint32_t class)
{
	struct window_cell *moved = cell_at(w, to);
	uint32_t from = cell_block(w, cell), old = cell->class;

	*moved = *cell;
	moved->class = (uint8_t) class;
	key_index_move(&w->index, cell->hash, from, to);
	if (cell->dirty)
		w->dirty[(cell->flags & CELL_SECOND) != 0][cell->dirty - 1] = to;
	if (cell->cold)
		neighbours_replace(w, moved, from, to);
	if (cell->flags & CELL_LIVE) {
		w->classes[old]--;
		w->classes[class]++;
	}
	pool_give(&w->pool, from, old);
	return moved;
}

static uint32_t class_for(const struct window_key *k, uint32_t room)
{
	return pool_class(sizeof(struct window_cell) + k->fold_bytes + (uint64_t)room * k->entry_bytes);
}

static uint32_t room_of(const struct window_key *k, uint32_t class)
{
	uint64_t bytes = pool_class_bytes(class) - sizeof(struct window_cell) - k->fold_bytes;

	return k->entry_bytes ? (uint32_t)(bytes / k->entry_bytes) : 0;
}

struct window_cell *cell_resize(struct windows *w, struct window_cell *cell, uint32_t room)
{
	const struct window_key *k = &w->keys[cell->per];
	uint32_t class = class_for(k, room < LOG_ROOM_MAX ? room : LOG_ROOM_MAX);

	assert(room >= cell->count);
	uint32_t to = pool_take(&w->pool, class);
	memcpy(cell_folds(cell_at(w, to)), cell_folds(cell), k->fold_bytes);
	memcpy(cell_folds(cell_at(w, to)) + k->fold_bytes, cell_entry(k, cell, 0),
	       (uint64_t)cell->count * k->entry_bytes);
	cell = cell_replace(w, cell, to, class);
	cell->head = 0;
	cell->room = room_of(k, class);
	return cell;
}

struct window_cell *cell_make(struct windows *w, uint32_t per, struct key128 key, uint8_t flags)
{
	const struct window_key *k = &w->keys[per];
	bool owner = flags & CELL_OWNER;
	struct window_cell *ghost = cell_find_any(w, per, key, owner);
	uint32_t class = owner ? 0 : class_for(k, 1), block = pool_take(&w->pool, class);
	struct window_cell *cell = cell_at(w, block);

	memset(cell, 0, pool_class_bytes(class));
	if (ghost) {
		assert(!(ghost->flags & CELL_LIVE));
		cell_changed(w, ghost);
		cell = cell_replace(w, ghost, block, class);
		cell->flags |= CELL_LIVE;
	} else {
		*cell = (struct window_cell){ .key = key, .hash = key_hash(per, key, owner) };
		cell->per = (uint8_t)per;
		cell->class = (uint8_t) class;
		cell->flags = (uint8_t)(CELL_LIVE | flags);
		key_index_add(&w->index, cell->hash, block);
		cell_changed(w, cell);
	}
	cell->reach = INT64_MIN;
	cell->room = owner ? 0 : room_of(k, class);
	w->classes[class]++;
	w->cells += !owner;
	return cell;
}

struct window_cold *cell_cold_make(struct windows *w, struct window_cell *cell)
{
	if (!cell->cold) {
		cell->cold = pool_take(&w->pool, pool_class(sizeof(struct window_cold)));
		*cell_cold(w, cell) = (struct window_cold){
			.lost = INT64_MIN, .lost_time = INT64_MIN, .settles = INT64_MIN, .gone = INT64_MIN
		};
	}
	return cell_cold(w, cell);
}

static uint32_t runs_class(const struct window_key *k)
{
	return pool_class(sizeof(struct window_runs) + k->run_count * sizeof(struct window_run));
}

void cell_runs_take(struct windows *w, struct window_cell *cell)
{
	const struct window_key *k = &w->keys[cell->per];
	uint32_t class = runs_class(k);

	cell->runs = pool_take(&w->pool, class);
	memset(cell_runs(w, cell), 0, pool_class_bytes(class));
}

void cell_runs_drop(struct windows *w, struct window_cell *cell)
{
	if (cell->runs)
		pool_give(&w->pool, cell->runs, runs_class(&w->keys[cell->per]));
	cell->runs = 0;
}

/* ---- lists ---- */

static void list_push(struct windows *w, uint32_t *oldest, uint32_t *newest, struct window_cell *cell)
{
	struct window_cold *cold = cell_cold(w, cell);
	uint32_t me = cell_block(w, cell);

	cold->older = *newest;
	cold->newer = 0;
	if (*newest)
		cell_cold(w, cell_at(w, *newest))->newer = me;
	else
		*oldest = me;
	*newest = me;
}

static void list_pull(struct windows *w, uint32_t *oldest, uint32_t *newest, struct window_cell *cell)
{
	struct window_cold *cold = cell_cold(w, cell);

	if (cold->older)
		cell_cold(w, cell_at(w, cold->older))->newer = cold->newer;
	else
		*oldest = cold->newer;
	if (cold->newer)
		cell_cold(w, cell_at(w, cold->newer))->older = cold->older;
	else
		*newest = cold->older;
	cold->older = cold->newer = 0;
}

/* Provisional cells: the one with the newest event last. */
void cell_list_push(struct windows *w, struct window_cell *cell)
{
	list_push(w, &w->oldest, &w->newest, cell);
}

void cell_list_pull(struct windows *w, struct window_cell *cell)
{
	list_pull(w, &w->oldest, &w->newest, cell);
}

/* What goes with a provisional customer: the newest first, so that keys come before their owner. */
void cell_link_customer(struct windows *w, struct window_cell *cell, uint64_t customer)
{
	struct key128 key = { .low = customer };
	struct window_cell *first = cell_find(w, PER_CUSTOMER, key, false);

	if (cell->flags & CELL_PROVISIONAL)
		return;
	if (!first)
		first = cell_make(w, PER_CUSTOMER, key, 0);
	struct window_cold *of = cell_cold_make(w, first), *cold = cell_cold_make(w, cell);
	cell->flags |= CELL_PROVISIONAL;
	cold->touched = (int64_t)customer;
	cold->before = cell_block(w, first);
	cold->next = of->next;
	if (of->next)
		cell_cold(w, cell_at(w, of->next))->before = cell_block(w, cell);
	of->next = cell_block(w, cell);
}

static void cell_unlink_customer(struct windows *w, struct window_cold *cold)
{
	if (cold->before)
		cell_cold(w, cell_at(w, cold->before))->next = cold->next;
	if (cold->next)
		cell_cold(w, cell_at(w, cold->next))->before = cold->before;
	cold->next = cold->before = 0;
}

void cell_remove(struct windows *w, struct window_cell *cell)
{
	assert(cell->flags & CELL_LIVE);
	cell_changed(w, cell);
	w->entries -= cell->count;
	w->cells -= !(cell->flags & CELL_OWNER);
	cell_runs_drop(w, cell);
	if ((cell->flags & CELL_PROVISIONAL) && cell->per == PER_CUSTOMER)
		cell_list_pull(w, cell);
	if (cell->cold) {
		struct window_cold *cold = cell_cold(w, cell);
		assert(cell->per != PER_CUSTOMER || !cold->next);
		cell_unlink_customer(w, cold);
		if (cold->owner) {
			struct window_cold *owner = cell_cold(w, cell_at(w, cold->owner));
			list_pull(w, &owner->oldest, &owner->newest, cell);
			owner->keys--;
		}
		pool_give(&w->pool, cell->cold, pool_class(sizeof *cold));
	}
	cell->cold = cell->head = cell->count = cell->room = 0;
	w->classes[cell->class]--;
	cell->flags &= CELL_SAVED | CELL_OWNER | CELL_SECOND;
	if (cell->flags & CELL_SAVED) {
		if (cell->class)
			cell_replace(w, cell, pool_take(&w->pool, 0), 0);
		return;
	}
	cell_unlisted(w, cell);
	key_index_remove(&w->index, cell->hash, cell_block(w, cell));
	pool_give(&w->pool, cell_block(w, cell), cell->class);
}

/* ---- bounded keys ---- */

/* The least recently used key of an owner leaves; what is not settled of it may be missed from now on. */
static void owner_evict(struct windows *w, struct window_cold *owner)
{
	struct window_cell *cell = cell_at(w, owner->oldest);
	const struct window_key *k = &w->keys[cell->per];
	const struct window_cold *cold = cell_cold(w, cell);

	if (cell_holds(w, cell)) {
		int64_t newest = cell->count ? cell_entry(k, cell, cell->count - 1)->time : INT64_MIN;
		newest = cold->lost_time > newest ? cold->lost_time : newest;
		newest = cold->gone > newest ? cold->gone : newest;
		/* what a window for ever has settled is older than all that can still come */
		newest = windows_horizon(w) > newest ? windows_horizon(w) : newest;
		owner->gone = newest > owner->gone ? newest : owner->gone;
		w->keys_evicted++;
	}
	cell_remove(w, cell);
}

/* Links a key's cell to its owner, as the one used last. */
void cell_link(struct windows *w, struct window_cell *cell)
{
	struct window_cold *owner = cell_cold(w, cell_at(w, cell_cold(w, cell)->owner));

	list_push(w, &owner->oldest, &owner->newest, cell);
	owner->keys++;
}

struct window_cell *cell_make_for(struct windows *w, struct window_place *place, uint64_t order)
{
	uint32_t keys_max = w->keys[place->per].keys_max;

	if (!keys_max)
		return cell_make(w, place->per, place->key, 0);
	struct window_cell *owner = cell_find(w, place->per, place->owner, true);
	if (!owner) {
		owner = cell_make(w, place->per, place->owner, CELL_OWNER);
		cell_cold_make(w, owner);
		if (place->customer)
			cell_link_customer(w, owner, place->customer);
	}
	cell_changed(w, owner);
	struct window_cold *of = cell_cold(w, owner);
	while (of->keys >= keys_max)
		owner_evict(w, of);
	struct window_cell *cell = cell_make(w, place->per, place->key, 0);
	struct window_cold *cold = cell_cold_make(w, cell);
	cold->owner = cell_block(w, owner);
	cold->gone = of->gone;
	cold->used = order;
	cell_link(w, cell);
	place->gone = of->gone;
	return cell;
}

/* A bounded key has a new event. One that holds nothing is as a new one, whether the sweep came by or not:
 * where a reload left its owner fewer keys, it is given its place by the same evictions. */
void cell_used(struct windows *w, struct window_cell *cell, uint64_t order)
{
	struct window_cold *cold = cell_cold(w, cell);

	if (!cold || !cold->owner)
		return;
	struct window_cell *owner = cell_at(w, cold->owner);
	struct window_cold *of = cell_cold(w, owner);
	bool held = cell_holds(w, cell);
	cold->used = order;
	list_pull(w, &of->oldest, &of->newest, cell);
	list_push(w, &of->oldest, &of->newest, cell);
	if (held)
		return;
	if (of->keys > w->keys[cell->per].keys_max) {
		cell_changed(w, owner);
		while (of->keys > w->keys[cell->per].keys_max)
			owner_evict(w, of);
	}
	cold->gone = of->gone;
}

/* ---- provisional customers ---- */

/* The customer is known: nothing is forgotten with them any more. */
static void customer_settle(struct windows *w, struct window_cell *first)
{
	for (uint32_t next = cell_cold(w, first)->next; next; next = cell_cold(w, first)->next) {
		struct window_cell *cell = cell_at(w, next);
		cell_changed(w, cell);
		cell->flags &= (uint8_t)~CELL_PROVISIONAL;
		cell_cold(w, cell)->touched = 0;
		cell_unlink_customer(w, cell_cold(w, cell));
	}
}

void windows_touch(struct windows *w, struct window_cell *cell, bool provisional)
{
	bool was = cell->flags & CELL_PROVISIONAL;

	if (!was && !provisional)
		return;
	cell_changed(w, cell);
	if (was) {
		cell_list_pull(w, cell);
		cell_cold(w, cell)->touched = 0;
	}
	cell->flags &= (uint8_t)~CELL_PROVISIONAL;
	if (was && !provisional)
		customer_settle(w, cell);
	if (provisional) {
		cell->flags |= CELL_PROVISIONAL;
		cell_cold_make(w, cell)->touched = w->now;
		cell_list_push(w, cell);
	}
}

void windows_forget(struct windows *w, int64_t idle_ns)
{
	while (w->oldest) {
		struct window_cell *cell = cell_at(w, w->oldest);
		if (w->now - cell_cold(w, cell)->touched <= idle_ns)
			return;
		bool held = cell_holds(w, cell);
		for (uint32_t next; (next = cell_cold(w, cell)->next);) {
			struct window_cell *with = cell_at(w, next);
			held |= !(with->flags & CELL_OWNER) && cell_holds(w, with);
			cell_remove(w, with);
		}
		w->provisional_forgotten += held;
		cell_remove(w, cell);
	}
}

/* ---- the sweep ---- */

/* An owner without keys goes when nothing that was evicted can still be missed. */
static bool owner_done(const struct windows *w, const struct window_cell *cell)
{
	const struct window_cold *cold = cell_cold(w, cell);
	const struct window_key *k = &w->keys[cell->per];

	if (cold->keys)
		return false;
	return cold->gone == INT64_MIN ||
	       (!(k->slots & w->lasting) && time_add(cold->gone, k->span) <= windows_horizon(w));
}

static void sweep_cell(struct windows *w, struct window_cell *cell)
{
	if (cell->flags & CELL_OWNER) {
		if (owner_done(w, cell))
			cell_remove(w, cell);
		return;
	}
	if (cell->reach <= windows_horizon(w))
		cell_trim(w, cell);
}

/* Where memory is half full the sweep comes by more often. */
static bool memory_is_short(const struct windows *w)
{
	return w->index.count > w->index.count_max / 2 || w->pool.bytes_in_use > w->pool.bytes_max / 2;
}

void windows_sweep(struct windows *w)
{
	if (++w->ticks % SWEEP_EVERY && !memory_is_short(w))
		return;
	for (uint32_t i = 0; i < SWEEP_SLOTS; i++) {
		const struct key_index_half *h = &w->index.now;
		w->hand = w->hand + 1 < h->count ? w->hand + 1 : 0;
		uint32_t block = h->slots[w->hand].block,
			 ahead = h->slots[(w->hand + 8) & (h->count - 1)].block;
		if (ahead)
			__builtin_prefetch(cell_at(w, ahead));
		if (!block)
			continue;
		struct window_cell *cell = cell_at(w, block);
		if ((cell->flags & (CELL_LIVE | CELL_KEPT)) == CELL_LIVE)
			sweep_cell(w, cell);
	}
}
