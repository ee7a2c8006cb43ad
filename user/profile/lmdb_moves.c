/*
 * lmdb_moves.c: which rows lie elsewhere after a commit.
 *
 * LMDB never writes a page in place: a leaf with a changed row is copied, and with it every row on it; a
 * split or a merge takes in its neighbours. So from each written key the walk goes outwards, both ways,
 * comparing the snapshot before with the one after, until it meets a key whose place on its leaf is the same:
 * that leaf, and all up to the next written key's, was not touched. It is not enough to look at the leaf of
 * the written key itself: rows that a split or a merge put on another leaf would keep a stale address. Nor is
 * it enough to look at the rows: those above half a page lie on pages of their own and stay where they are
 * when their leaf is copied, so they say nothing about their neighbours. The key always lies on the leaf.
 *
 * In: written rows, keys ascending; two snapshots, both valid. Out: moves, in an order that means nothing.
 * Cursors are taken from the heap and given back: not for the engine thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lmdb_state.h"

struct walk {
	MDB_cursor *before, *after;
	const struct lmdb_row *rows;
	uint64_t count, next; /* rows below `next` are told */
	lmdb_moved each;
	void *ctx;
	int rc;
};

struct place {
	bool there;
	uint64_t key;
	const void *on_leaf; /* where the key lies */
	const void *row;
};

static struct place seek(MDB_cursor *cursor, uint64_t key, MDB_cursor_op op)
{
	MDB_val k = { .mv_size = sizeof key, .mv_data = &key }, data;
	struct place p = { 0 };
	int rc = mdb_cursor_get(cursor, &k, &data, op);

	assert(rc == 0 || rc == MDB_NOTFOUND); /* else the store is damaged: an address would be a guess */
	p.there = rc == 0;
	if (p.there) {
		memcpy(&p.key, k.mv_data, sizeof p.key);
		p.on_leaf = k.mv_data;
		p.row = data.mv_data;
	}
	return p;
}

static void tell(struct walk *w, uint64_t key, const void *from, const void *to)
{
	if (w->rc == 0)
		w->rc = w->each(w->ctx, key, from, to);
}

/* A row that was not written. False: its leaf is the one it was, and so are those further on. */
static bool compare(struct walk *w, const struct place *old, const struct place *now)
{
	assert(old->there && old->key == now->key);
	if (old->row != now->row)
		tell(w, now->key, old->row, now->row);
	return old->on_leaf != now->on_leaf;
}

static void tell_gone(struct walk *w, uint64_t below)
{
	for (; w->next < w->count && w->rows[w->next].key < below; w->next++) {
		assert(w->rows[w->next].bytes == 0);
		tell(w, w->rows[w->next].key, w->rows[w->next].value, NULL);
	}
}

/* From the next written key to lower ones. None of them was written: those are told already. */
static void walk_down(struct walk *w)
{
	uint64_t key = w->rows[w->next].key;
	struct place now = seek(w->after, key, MDB_SET_RANGE);
	struct place old = seek(w->before, key, MDB_SET_RANGE);

	now = seek(w->after, 0, now.there ? MDB_PREV : MDB_LAST);
	old = seek(w->before, 0, old.there ? MDB_PREV : MDB_LAST);
	while (now.there && compare(w, &old, &now)) {
		now = seek(w->after, 0, MDB_PREV);
		old = seek(w->before, 0, MDB_PREV);
	}
}

/* From the next written key to higher ones, over all written keys on the way. */
static void walk_up(struct walk *w)
{
	uint64_t key = w->rows[w->next].key;
	struct place now = seek(w->after, key, MDB_SET_RANGE);
	struct place old = seek(w->before, key, MDB_SET_RANGE);

	for (; now.there; now = seek(w->after, 0, MDB_NEXT)) {
		tell_gone(w, now.key);
		if (w->next < w->count && w->rows[w->next].key == now.key) {
			tell(w, now.key, w->rows[w->next].value, now.row);
			w->next++;
			continue;
		}
		while (old.there && old.key < now.key)
			old = seek(w->before, 0, MDB_NEXT);
		if (!compare(w, &old, &now))
			return;
	}
	tell_gone(w, UINT64_MAX);
	if (w->next < w->count) { /* the one key that is not below */
		tell(w, w->rows[w->next].key, w->rows[w->next].value, NULL);
		w->next++;
	}
}

static int cursors_open(struct lmdb *l, struct walk *w, enum record_space space)
{
	int rc = mdb_cursor_open(l->before, l->dbi[space], &w->before);

	if (rc)
		return -ENOMEM;
	rc = mdb_cursor_open(l->after, l->dbi[space], &w->after);
	if (rc) {
		mdb_cursor_close(w->before);
		return -ENOMEM;
	}
	return 0;
}

int lmdb_moves(struct lmdb *l, enum record_space space, const struct lmdb_row *rows, uint64_t count,
	       lmdb_moved each, void *ctx)
{
	struct walk w = { .rows = rows, .count = count, .each = each, .ctx = ctx };
	int rc = cursors_open(l, &w, space);

	if (rc)
		return rc;
	while (w.next < count && w.rc == 0) {
		walk_down(&w);
		walk_up(&w);
	}
	mdb_cursor_close(w.before);
	mdb_cursor_close(w.after);
	return w.rc;
}

void lmdb_moves_begin(struct lmdb *l)
{
	int rc = mdb_txn_renew(l->before); /* the slot is kept over a reset */

	assert(rc == 0);
}

void lmdb_moves_committed(struct lmdb *l)
{
	int rc = mdb_txn_renew(l->after);

	/* nobody else writes: the newest commit is the one that was just made */
	assert(rc == 0 && mdb_txn_id(l->after) == l->committed);
}

void lmdb_moves_end(struct lmdb *l)
{
	mdb_txn_reset(l->before);
}
