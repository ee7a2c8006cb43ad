/*
 * cells.c: the memory of windows: cells by key, their logs and runs in powers of two from one slab, the lists
 * of what changed and what is gone since the last checkpoint, and the list of provisional customers by their
 * latest event.
 *
 * All of it is reserved at init. Room is asked for once a batch (windows_has_room), for the worst that a
 * batch can do; after that a failing take is our own mistake. Pointers to cells are stable; logs and runs
 * move when they grow.
 */
#include "windows.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { LOG_ROOM_FIRST = 2, LOG_ROOM_MAX = 65536 };
_Static_assert((int)LOG_ROOM_MAX > (int)WINDOW_LOG_EVENTS_MAX, "a full log moves back only now and then");

int windows_init(struct windows *w, uint64_t bytes_max, uint64_t cells_max)
{
	*w = (struct windows){ .activated_max = INT64_MIN, .cells_max = (uint32_t)cells_max };
	if (cells_max == 0 || cells_max >= UINT32_MAX)
		return -EINVAL;
	size_t moved_bytes = (WINDOW_LOG_EVENTS_MAX + 2) * sizeof *w->moved;
	size_t cell_bytes = sizeof *w->cells + sizeof *w->dirty + sizeof *w->gone;
	int rc = region_init(&w->region, cells_max * cell_bytes + moved_bytes + 4 * 64);
	if (rc)
		return rc;
	rc = slab_init(&w->slab, bytes_max);
	if (!rc)
		rc = table_init(&w->table, cells_max);
	if (rc) {
		windows_deinit(w);
		return rc;
	}
	w->cells = region_take(&w->region, cells_max * sizeof *w->cells);
	w->dirty = region_take(&w->region, cells_max * sizeof *w->dirty);
	w->gone = region_take(&w->region, cells_max * sizeof *w->gone);
	w->moved = region_take(&w->region, moved_bytes);
	assert(w->cells && w->dirty && w->gone && w->moved);
	return 0;
}

void windows_deinit(struct windows *w)
{
	table_deinit(&w->table);
	slab_deinit(&w->slab);
	region_deinit(&w->region);
}

static uint32_t block_class(size_t bytes)
{
	return (uint32_t)__builtin_ctzl(slab_room(bytes) / SLAB_BYTES_MIN);
}

static void *block_take(struct windows *w, size_t bytes)
{
	uint32_t class = block_class(bytes);
	size_t room;
	void *block = slab_acquire(&w->slab, bytes, &room);

	assert(block); /* windows_has_room said so */
	if (w->blocks_free[class])
		w->blocks_free[class]--;
	return block;
}

static void block_give(struct windows *w, void *block, size_t bytes)
{
	w->blocks_free[block_class(bytes)]++;
	slab_release(&w->slab, block, bytes);
}

/*
 * How many blocks of each class `keys` entries can take at worst: a log grows to room r when it had r / 2
 * before, or got r / 4 entries since; runs grow through every size up to the largest.
 */
static void blocks_worst(const struct windows *w, uint64_t keys, uint64_t logs[SLAB_CLASSES],
			 uint64_t runs[SLAB_CLASSES])
{
	uint32_t units = 0;

	memset(logs, 0, SLAB_CLASSES * sizeof *logs);
	memset(runs, 0, SLAB_CLASSES * sizeof *runs);
	for (uint32_t class = 1; class <= block_class(LOG_ROOM_MAX * sizeof(struct window_entry)); class ++) {
		uint64_t most = w->logs[class - 1] + (class == 1 ? keys : keys >> (class - 2));
		logs[class] = most < keys ? most : keys;
	}
	for (uint32_t per = 0; per < PER_COUNT; per++)
		units = w->units[per] > units ? w->units[per] : units;
	for (uint32_t class = 0; units && class <= block_class(units * sizeof(struct window_run)); class ++)
		runs[class] = keys;
}

bool windows_has_room(const struct windows *w, uint32_t events)
{
	uint64_t logs[SLAB_CLASSES], runs[SLAB_CLASSES], keys = (uint64_t)events * PER_COUNT;
	uint64_t bytes = 0, fresh = 0, left = keys;

	if (w->table.count + keys > w->cells_max)
		return false;
	blocks_worst(w, keys, logs, runs);
	for (uint32_t class = SLAB_CLASSES; class -- > 0;) {
		uint64_t size = (uint64_t)SLAB_BYTES_MIN << class, blocks = logs[class] + runs[class];
		uint64_t grown = logs[class] < left ? logs[class] : left; /* an entry grows one log once */
		left -= grown;
		bytes += (grown + runs[class]) * size;
		fresh += blocks > w->blocks_free[class] ? (blocks - w->blocks_free[class]) * size : 0;
	}
	return w->slab.bytes_in_use + bytes <= w->slab.bytes_max &&
	       fresh <= w->slab.region.bytes - w->slab.region.used;
}

/* Customers and accounts are numbers, cards hashes: the salt keeps equal ones apart in the one table. */
static struct key128 table_key(enum agg_per per, struct key128 key)
{
	static const uint64_t salt[PER_COUNT] = { 0, UINT64_C(0x9ddfea08eb382d69),
						  UINT64_C(0xc2b2ae3d27d4eb4f) };

	key.high ^= salt[per];
	return key;
}

static struct window_cell **cell_seen(struct windows *w, enum agg_per per, struct key128 key)
{
	return &w->seen[((key.low * UINT64_C(0x9e3779b97f4a7c15) >> 58) * PER_COUNT + per) % WINDOWS_SEEN];
}

/* Cells stay where they are, so a pointer that is out of date still leads to a cell, of another key or of
 * none. */
struct window_cell *windows_find(struct windows *w, enum agg_per per, struct key128 key)
{
	struct window_cell **seen = cell_seen(w, per, key), *cell = *seen;
	uint32_t i;

	if (cell && cell->key.low == key.low && cell->key.high == key.high && cell->per == per &&
	    (cell->flags & CELL_LIVE))
		return cell;
	if (!table_find(&w->table, table_key(per, key), &i))
		return NULL;
	return *seen = &w->cells[i];
}

static uint32_t cell_index(const struct windows *w, const struct window_cell *cell)
{
	return (uint32_t)(cell - w->cells);
}

struct window_cell *windows_make(struct windows *w, enum agg_per per, struct key128 key)
{
	uint32_t i = w->cell_free ? w->cell_free - 1 : w->cells_used++;

	assert(i < w->cells_max);
	struct window_cell *cell = &w->cells[i];
	if (w->cell_free)
		w->cell_free = cell->older;
	uint8_t dirty = cell->flags & CELL_DIRTY; /* the place is in the list already */
	*cell = (struct window_cell){
		.key = key,
		.per = (uint8_t)per,
		.flags = (uint8_t)(CELL_LIVE | dirty),
		.at = INT64_MIN,
		.reach = INT64_MIN,
		.lost = INT64_MIN,
		.lost_time = INT64_MIN,
		.settles = INT64_MIN,
	};
	bool set = table_set(&w->table, table_key(per, key), i);
	assert(set);
	cell_changed(w, cell);
	return cell;
}

void cell_changed(struct windows *w, struct window_cell *cell)
{
	if (cell->flags & CELL_DIRTY)
		return;
	cell->flags |= CELL_DIRTY;
	w->dirty[w->dirty_count++] = cell_index(w, cell);
}

void cell_remove(struct windows *w, struct window_cell *cell)
{
	uint32_t i = cell_index(w, cell);

	assert(cell->flags & CELL_LIVE);
	w->entries -= cell->count;
	cell_log_release(w, cell);
	if (cell->units)
		block_give(w, cell->runs, cell->units * sizeof *cell->runs);
	if (cell->flags & CELL_PROVISIONAL)
		cell_list_pull(w, cell);
	if (cell->flags & CELL_SAVED)
		w->gone[w->gone_count++] = (struct window_gone){ .key = cell->key, .per = cell->per };
	bool removed = table_remove(&w->table, table_key(cell->per, cell->key));
	assert(removed);
	*cell = (struct window_cell){ .flags = cell->flags & CELL_DIRTY, .older = w->cell_free };
	w->cell_free = i + 1;
}

void cell_log_release(struct windows *w, struct window_cell *cell)
{
	if (!cell->room)
		return;
	w->logs[block_class(cell->room * sizeof *cell->log)]--;
	block_give(w, cell->log, cell->room * sizeof *cell->log);
	cell->log = NULL;
	cell->head = cell->count = cell->room = 0;
}

/* Moves the log to a block for `room` entries (rounded up to a power of two). */
void cell_log_reserve(struct windows *w, struct window_cell *cell, uint32_t room)
{
	size_t bytes = slab_room((room < LOG_ROOM_FIRST ? LOG_ROOM_FIRST : room) * sizeof *cell->log);
	uint32_t count = cell->count;

	assert(bytes <= LOG_ROOM_MAX * sizeof *cell->log);
	struct window_entry *log = block_take(w, bytes);
	if (count)
		memcpy(log, cell_entries(cell), count * sizeof *log);
	cell_log_release(w, cell);
	cell->log = log;
	cell->count = count;
	cell->room = (uint32_t)(bytes / sizeof *log);
	w->logs[block_class(bytes)]++;
}

struct window_run *cell_run_make(struct windows *w, struct window_cell *cell, const struct window_slot *s)
{
	struct window_run *run = cell_run(cell, s);

	if (run)
		return run;
	size_t bytes = slab_room((s->at + 1u + slot_has_fold(s)) * sizeof *run),
	       old = cell->units * sizeof *run;
	struct window_run *runs = block_take(w, bytes);
	if (old) {
		memcpy(runs, cell->runs, old);
		block_give(w, cell->runs, old);
	}
	memset((char *)runs + old, 0, bytes - old);
	cell->runs = runs;
	cell->units = (uint16_t)(bytes / sizeof *run);
	return cell->runs + s->at;
}

/* Provisional cells: the one with the newest event last. */
void cell_list_push(struct windows *w, struct window_cell *cell)
{
	uint32_t me = cell_index(w, cell) + 1;

	cell->older = w->newest;
	cell->newer = 0;
	if (w->newest)
		w->cells[w->newest - 1].newer = me;
	else
		w->oldest = me;
	w->newest = me;
}

void cell_list_pull(struct windows *w, struct window_cell *cell)
{
	if (cell->older)
		w->cells[cell->older - 1].newer = cell->newer;
	else
		w->oldest = cell->newer;
	if (cell->newer)
		w->cells[cell->newer - 1].older = cell->older;
	else
		w->newest = cell->older;
	cell->older = cell->newer = 0;
}

void windows_touch(struct windows *w, struct window_cell *cell, bool provisional)
{
	bool was = cell->flags & CELL_PROVISIONAL;

	if (!was && !provisional)
		return;
	if (was)
		cell_list_pull(w, cell);
	cell->flags &= (uint8_t)~CELL_PROVISIONAL;
	cell->touched = 0;
	if (provisional) {
		cell->flags |= CELL_PROVISIONAL;
		cell->touched = w->now;
		cell_list_push(w, cell);
	}
	cell_changed(w, cell);
}

void windows_forget(struct windows *w, int64_t idle_ns)
{
	while (w->oldest) {
		struct window_cell *cell = &w->cells[w->oldest - 1];
		if (w->now - cell->touched <= idle_ns)
			return;
		w->provisional_forgotten += cell_holds(w, cell);
		cell_remove(w, cell);
	}
}

static void cell_prefetch(const struct window_cell *cell)
{
	for (uint32_t unit = 0; unit < cell->units; unit += 2)
		__builtin_prefetch(cell->runs + unit, 1);
	if (!cell->count)
		return;
	const struct window_entry *end = cell_entries(cell) + cell->count;
	__builtin_prefetch(end - 1);
	__builtin_prefetch(end, 1);
}

static void leaving_prefetch(const struct windows *w, const struct window_cell *cell)
{
	for (uint64_t left = w->per_slots[cell->per] & ~w->lasting; left; left &= left - 1) {
		const struct window_run *r = cell_run(cell, &w->slots[bit_first(left)]);
		if (r)
			__builtin_prefetch(cell_entries(cell) + r->first);
	}
}

void windows_prefetch(struct windows *w, enum agg_per per, struct key128 key, uint32_t step)
{
	struct window_cell *cell = windows_find(w, per, key);

	if (!cell)
		return;
	if (step == 0) {
		__builtin_prefetch(cell, 1);
		__builtin_prefetch((const char *)cell + 64, 1);
	} else if (step == 1) {
		cell_prefetch(cell);
	} else {
		leaving_prefetch(w, cell);
	}
}
