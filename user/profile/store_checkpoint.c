/*
 * store_checkpoint.c: checkpoints: a cut at a tick's edge, one transaction beside the engine, and the index
 * that follows.
 *
 * The cut is a position in the overlay: nothing is copied. Rows before it are changed by nobody, so the
 * checkpoint thread sorts and writes them while the engine puts newer versions behind. After the commit the
 * thread compares the snapshots on both sides of it (lmdb_moves.c) and leaves a list of rows that lie
 * elsewhere, with the old and the new address. The engine then takes a slice of that list a tick: an address
 * that is not the old one any more belongs to a newer version and stays. When all have moved, the rows before
 * the cut and the old snapshot go, at once, and the next checkpoint may begin.
 *
 * Who owns what follows the state (store_state.h); it is handed over by an atomic and a semaphore. The engine
 * thread allocates nothing; the checkpoint thread takes lists from the heap and gives them back. What can go
 * wrong: a full disk or map, an EIO: the old data are intact, the rows stay and go with the next one.
 *
 * Without an index (tools, import) the reader goes to the new snapshot at once and the rows are dropped one
 * by one.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "store_state.h"

/* Pointers a tick; a removal looks at the rows behind it, so it counts for several. */
enum { MOVES_A_TICK = 2000, REMOVAL_COST = 16, MOVES_AHEAD = 12 };
static const size_t MOVES_BYTES = (size_t)INDEX_ROWS_MAX * 2 * sizeof(struct store_move);

/* Pages of the records that stay from one checkpoint to the next. */
static const size_t RECORDS_KEPT = (size_t)32 << 20;

/* The engine fills the records within its ticks: it shall find pages there, and else get small ones. */
static void records_populate(struct region *r)
{
	if (r->bytes <= RECORDS_KEPT)
		return;
	madvise(r->base, RECORDS_KEPT, MADV_POPULATE_WRITE);
	madvise(r->base + RECORDS_KEPT, r->bytes - RECORDS_KEPT, MADV_NOHUGEPAGE);
}

static void records_clear(struct records *records)
{
	struct region *r = &records->region;

	if (r->used > RECORDS_KEPT)
		madvise(r->base + RECORDS_KEPT, r->used - RECORDS_KEPT, MADV_DONTNEED);
	r->used = 0;
	records->count = 0;
	records->full = false;
}

int checkpoint_init(struct store *s, uint64_t records_bytes)
{
	int rc = records_init(&s->checkpoint.records, records_bytes);

	if (!rc && s->populate)
		records_populate(&s->checkpoint.records.region);

	sem_init(&s->checkpoint.wake, 0, 0);
	sem_init(&s->checkpoint.done, 0, 0);
	return rc ? rc : region_init(&s->checkpoint.moves_region, MOVES_BYTES);
}

void checkpoint_deinit(struct store *s)
{
	records_deinit(&s->checkpoint.records);
	region_deinit(&s->checkpoint.moves_region);
	sem_destroy(&s->checkpoint.wake);
	sem_destroy(&s->checkpoint.done);
}

static int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the checkpoint thread's part ---- */

/* The rows of a cut, newest versions only, by kind, keys ascending. */
struct cut_rows {
	struct lmdb_row *rows[ROW_ACCOUNT + 1];
	uint64_t count[ROW_ACCOUNT + 1];
};

/* Stable: of one key the newest stays last. What came in ascending order is not touched. */
static void rows_merge(struct lmdb_row *rows, uint64_t count, struct lmdb_row *room)
{
	if (count < 2)
		return;
	uint64_t half = count / 2, i = 0, k = half, n = 0;
	rows_merge(rows, half, room);
	rows_merge(rows + half, count - half, room);
	if (rows[half - 1].key <= rows[half].key)
		return;
	memcpy(room, rows, half * sizeof *rows);
	while (i < half && k < count)
		rows[n++] = room[i].key <= rows[k].key ? room[i++] : rows[k++];
	memcpy(rows + n, room + i, (half - i) * sizeof *rows);
}

/* Sorted; of several versions of one key the last. */
static uint64_t rows_order(struct lmdb_row *rows, uint64_t count, struct lmdb_row *room)
{
	uint64_t n = 0;

	rows_merge(rows, count, room);
	for (uint64_t i = 0; i < count; i++)
		if (i + 1 == count || rows[i + 1].key != rows[i].key)
			rows[n++] = rows[i];
	return n;
}

static uint64_t rows_count(const struct store *s, uint64_t counts[ROW_ACCOUNT + 1])
{
	uint64_t at = s->overlay.tail;
	const struct row *row;

	while ((row = overlay_next(&s->overlay, &at, s->checkpoint.cut)))
		counts[row->kind]++;
	return counts[ROW_CUSTOMER] + counts[ROW_ACCOUNT];
}

/* Takes memory of its own. */
static int rows_collect(const struct store *s, struct cut_rows *cut)
{
	uint64_t all[ROW_ACCOUNT + 1] = { 0 }, count = rows_count(s, all), at = s->overlay.tail;
	struct lmdb_row *list = malloc((count * 2 + 1) * sizeof *list);
	const struct row *row;

	*cut = (struct cut_rows){ .rows = { list, list, list } };
	if (!list)
		return -ENOMEM;
	cut->rows[ROW_ACCOUNT] += all[ROW_CUSTOMER];
	while ((row = overlay_next(&s->overlay, &at, s->checkpoint.cut)))
		cut->rows[row->kind][cut->count[row->kind]++] = (struct lmdb_row){
			.key = row->key, .value = row, .bytes = row->flags & ROW_GONE ? 0 : row->bytes
		};
	for (enum row_kind kind = ROW_CUSTOMER; kind <= ROW_ACCOUNT; kind++)
		cut->count[kind] = rows_order(cut->rows[kind], cut->count[kind], list + count);
	return 0;
}

static int write_all(struct store *s, const struct cut_rows *cut)
{
	int rc = lmdb_write_put(s->lmdb, &s->checkpoint.records);

	for (enum row_kind kind = ROW_CUSTOMER; rc == 0 && kind <= ROW_ACCOUNT; kind++)
		rc = lmdb_write_rows(s->lmdb, row_space(kind), cut->rows[kind], cut->count[kind]);
	return rc;
}

/* One transaction, or into the one that is held open. */
static int write_transaction(struct store *s, const struct cut_rows *cut)
{
	int rc;

	if (s->holding)
		return write_all(s, cut);
	rc = lmdb_write_begin(s->lmdb);
	if (rc)
		return rc;
	rc = write_all(s, cut);
	if (rc) {
		lmdb_write_abort(s->lmdb);
		return rc;
	}
	return lmdb_write_commit(s->lmdb);
}

static int move_add(void *ctx, uint64_t key, const void *from, const void *to)
{
	struct checkpoint *c = ctx;

	if ((c->move_count + 1) * sizeof *c->moves > c->moves_region.bytes)
		return -ENOSPC;
	c->moves[c->move_count++] = (struct store_move){ key, from, to };
	return 0;
}

static int moves_list(struct store *s, const struct cut_rows *cut)
{
	struct checkpoint *c = &s->checkpoint;

	lmdb_moves_committed(s->lmdb);
	int rc = lmdb_moves(s->lmdb, RECORD_CUSTOMER, cut->rows[ROW_CUSTOMER], cut->count[ROW_CUSTOMER],
			    move_add, c);
	c->customer_moves = c->move_count;
	if (!rc)
		rc = lmdb_moves(s->lmdb, RECORD_ACCOUNT, cut->rows[ROW_ACCOUNT], cut->count[ROW_ACCOUNT],
				move_add, c);
	c->prefaulted = lmdb_prefault(s->lmdb, c->prefaulted, s->populate);
	return rc;
}

static void moves_reset(struct checkpoint *c)
{
	region_reset(&c->moves_region);
	c->moves = (struct store_move *)c->moves_region.base;
	c->move_count = c->customer_moves = c->moved = 0;
}

static int write_checkpoint(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	struct cut_rows cut;

	moves_reset(c);
	if (c->records.full)
		return -ENOSPC;
	int rc = rows_collect(s, &cut);
	if (rc)
		return rc;
	if (s->indexed)
		lmdb_moves_begin(s->lmdb);
	rc = write_transaction(s, &cut);
	if (s->indexed) {
		if (!rc) {
			rc = moves_list(s, &cut);
			assert(rc == 0); /* committed, and the rows cannot be found: nothing to go on with */
		}
		lmdb_moves_end(s->lmdb);
	}
	c->moves_region.used = c->move_count * sizeof *c->moves; /* region_reset gives it back */
	free(cut.rows[0]);
	return rc;
}

static void checkpoint_run(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	int64_t start = clock_ns();

	c->error = write_checkpoint(s);
	records_clear(&c->records);
	c->ns = (uint64_t)(clock_ns() - start);
	atomic_store(&c->state, CHECKPOINT_DONE);
	sem_post(&c->done);
}

static void *checkpoint_thread(void *arg)
{
	struct store *s = arg;

	for (;;) {
		while (sem_wait(&s->checkpoint.wake))
			;
		if (atomic_load(&s->checkpoint.state) == CHECKPOINT_WRITING)
			checkpoint_run(s);
		if (s->checkpoint.stop)
			return NULL;
	}
}

int checkpoint_start(struct store *s)
{
	int rc = pthread_create(&s->checkpoint.thread, NULL, checkpoint_thread, s);

	s->checkpoint.has_thread = rc == 0;
	return -rc;
}

void checkpoint_stop(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	if (!c->has_thread)
		return;
	c->stop = true;
	sem_post(&c->wake);
	pthread_join(c->thread, NULL);
}

/* ---- the engine's part ---- */

struct records *store_checkpoint_begin(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	assert(!s->read_only);
	if (atomic_load(&c->state) != CHECKPOINT_IDLE)
		return NULL;
	c->generation = s->generation++;
	c->cut = overlay_cut(&s->overlay);
	struct store_counts counts = s->counts;
	counts.checkpoints++;
	void *value =
		records_put(&c->records, RECORD_META, STORE_META_KEY, STORE_META_KEY_BYTES, sizeof counts);
	if (value)
		memcpy(value, &counts, sizeof counts);
	layouts_records(&s->layouts, s->committed, &c->records);
	atomic_store(&c->state, CHECKPOINT_FILLING);
	return &c->records;
}

void store_checkpoint_commit(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	assert(atomic_load(&c->state) == CHECKPOINT_FILLING);
	atomic_store(&c->state, CHECKPOINT_WRITING);
	if (c->has_thread)
		sem_post(&c->wake);
	else
		checkpoint_run(s);
}

bool store_checkpoint_running(const struct store *s)
{
	return atomic_load(&s->checkpoint.state) != CHECKPOINT_IDLE;
}

/* A row that came in behind the cut is found at another address than `from`, and stays. */
static void move_one(struct store *s, enum row_kind kind, const struct store_move *m)
{
	bool held = overlay_holds(&s->overlay, m->from);

	if (!index_move(&s->index[kind], m->key, m->from, m->to) || !held)
		return;
	s->overlay.rows--;
	s->overlay.gone -= m->to == NULL;
}

static enum row_kind move_kind(const struct checkpoint *c, uint64_t i)
{
	return i < c->customer_moves ? ROW_CUSTOMER : ROW_ACCOUNT;
}

static void move_slice(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	for (uint32_t cost = 0; cost < MOVES_A_TICK && c->moved < c->move_count; c->moved++) {
		uint64_t ahead = c->moved + MOVES_AHEAD;
		if (ahead < c->move_count)
			index_move_prefetch(&s->index[move_kind(c, ahead)], c->moves[ahead].key);
		const struct store_move *m = &c->moves[c->moved];
		move_one(s, move_kind(c, c->moved), m);
		cost += m->to ? 1 : REMOVAL_COST;
	}
}

/* Without an index of all rows: what was cut is found in the B-tree now. */
static void rows_drop(struct store *s)
{
	struct overlay *o = &s->overlay;
	uint64_t at = o->tail;
	const struct row *row;

	while ((row = overlay_next(o, &at, s->checkpoint.cut))) {
		struct index *x = &s->index[row->kind];
		if (!index_has(x, row->key, row))
			continue;
		index_remove(x, row->key);
		o->rows--;
		o->gone -= row->flags & ROW_GONE ? 1 : 0;
	}
}

/* In builds for finding mistakes, each move of the rows is compared with a scan. */
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
enum { CHECKS_ITSELF = 1 };
#else
enum { CHECKS_ITSELF = 0 };
#endif

/* Everything has moved: nobody needs the old snapshot and the rows before the cut. */
static void moved_all(struct store *s)
{
	if (s->indexed)
		lmdb_turn(s->lmdb);
	else if (!s->holding)
		lmdb_renew(s->lmdb);
	if (!s->indexed)
		rows_drop(s);
	overlay_release(&s->overlay, s->checkpoint.cut);
}

static void check_itself(struct store *s)
{
	char why[256];

	if (!CHECKS_ITSELF || !s->indexed)
		return;
	bool good = store_index_check(s, why, sizeof why);
	assert(good);
}

static void take_result(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	if (atomic_load(&c->state) != CHECKPOINT_DONE)
		return;
	while (sem_wait(&c->done)) /* was posted; taken so that a wait never counts it twice */
		;
	s->checkpoint_ns_last = c->ns;
	if (!c->error) {
		s->committed = c->generation;
		s->moved_last = c->move_count;
		s->counts.checkpoints++;
	}
	atomic_store(&c->state, CHECKPOINT_MOVING);
}

void store_tick(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	take_result(s);
	if (atomic_load(&c->state) != CHECKPOINT_MOVING)
		return;
	move_slice(s);
	c->ticked = true;
}

bool store_checkpoint_poll(struct store *s, int *error)
{
	struct checkpoint *c = &s->checkpoint;

	if (!c->ticked)
		store_tick(s);
	c->ticked = false;
	if (atomic_load(&c->state) != CHECKPOINT_MOVING || c->moved < c->move_count)
		return false;
	*error = c->error;
	if (!c->error)
		moved_all(s);
	atomic_store(&c->state, CHECKPOINT_IDLE);
	check_itself(s);
	return true;
}

int store_checkpoint_wait(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	int error = 0;

	assert(atomic_load(&c->state) >= CHECKPOINT_WRITING);
	if (atomic_load(&c->state) != CHECKPOINT_MOVING) {
		while (sem_wait(&c->done))
			;
		sem_post(&c->done);
	}
	while (!store_checkpoint_poll(s, &error))
		;
	return error;
}

/* ---- one transaction over many checkpoints (import) ---- */

/* Addresses of rows that a transaction writes do not last: the B-tree finds them from now on. */
static void index_leave(struct store *s)
{
	uint64_t at = s->overlay.tail;
	const struct row *row;

	index_clear(&s->index[ROW_CUSTOMER]);
	index_clear(&s->index[ROW_ACCOUNT]);
	while ((row = overlay_next(&s->overlay, &at, s->overlay.head)))
		index_put(&s->index[row->kind], row);
	s->indexed = false;
}

int store_hold(struct store *s)
{
	assert(!s->checkpoint.has_thread && !s->read_only && !s->holding && !store_checkpoint_running(s));
	int rc = lmdb_write_begin(s->lmdb);

	if (rc)
		return rc;
	if (s->indexed)
		index_leave(s);
	s->holding = true;
	lmdb_read_own_writes(s->lmdb, true);
	return 0;
}

int store_release(struct store *s, bool commit)
{
	int rc = 0;

	assert(s->holding && !store_checkpoint_running(s));
	assert(!commit || s->overlay.rows == 0);
	s->holding = false;
	if (commit)
		rc = lmdb_write_commit(s->lmdb);
	else
		lmdb_write_abort(s->lmdb);
	lmdb_renew(s->lmdb);
	return rc;
}

/* ---- the index against a scan ---- */

struct scan {
	const struct store *s;
	enum row_kind kind;
	uint64_t in_map; /* rows whose address is the map's */
	uint64_t stale, first;
};

static int scan_each(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
	struct scan *scan = ctx;
	const struct index *x = &scan->s->index[scan->kind];
	uint64_t k;

	(void)value_bytes;
	assert(key_bytes == sizeof k);
	memcpy(&k, key, sizeof k);
	if (index_has(x, k, value)) {
		scan->in_map++;
		return 0;
	}
	const struct row *row = index_find(x, k);
	if (row && overlay_holds(&scan->s->overlay, row))
		return 0;
	if (scan->stale++ == 0)
		scan->first = k;
	return 0;
}

static bool kind_check(struct store *s, enum row_kind kind, char *why, size_t why_bytes)
{
	struct scan scan = { .s = s, .kind = kind };
	uint64_t at = 0, map = 0;
	const struct row *row;
	int rc = lmdb_walk(s->lmdb, row_space(kind), scan_each, &scan);

	assert(rc == 0);
	while ((row = index_next(&s->index[kind], &at)))
		map += !overlay_holds(&s->overlay, row);
	if (!scan.stale && map == scan.in_map)
		return true;
	snprintf(why, why_bytes,
		 "%s: %llu addresses are stale, the first of %llu; %llu lead to the map, %llu rows lie there",
		 kind == ROW_CUSTOMER ? "customers" : "accounts", (unsigned long long)scan.stale,
		 (unsigned long long)scan.first, (unsigned long long)map, (unsigned long long)scan.in_map);
	return false;
}

bool store_index_check(struct store *s, char *why, size_t why_bytes)
{
	assert(s->indexed && atomic_load(&s->checkpoint.state) != CHECKPOINT_MOVING);
	return kind_check(s, ROW_CUSTOMER, why, why_bytes) && kind_check(s, ROW_ACCOUNT, why, why_bytes);
}
