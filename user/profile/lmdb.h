/*
 * lmdb: the one file that knows LMDB and its error convention (its own negatives and +errno become -errno).
 *
 * One environment, a database a space. Customers and accounts have 8-byte integer keys and a row as value.
 * The other spaces have byte keys, stored padded with zeros to 8, and values behind an 8-byte head with the
 * true lengths, so that every value lies on an 8-byte edge in the map. Keys of one space therefore have one
 * length, or do not end in a zero byte (META: text).
 *
 * Threads: get, walk, renew and turn belong to the engine thread; the write calls and lmdb_moves to one other
 * thread, or to the same.
 *
 * Two snapshots at once: after a commit the reader stays where it was until lmdb_turn, so that every address
 * that was lent before still holds, while those of the new snapshot hold already. In between, lmdb_moves says
 * which rows have moved.
 */
#ifndef PROFILE_LMDB_H
#define PROFILE_LMDB_H

#include <base/records.h>

enum { LMDB_KEY_BYTES_MAX = 504 };

struct lmdb;

/* Opens or makes the environment. -EBUSY: this process has it open already. */
__attribute__((warn_unused_result)) int lmdb_open(struct lmdb **out, const char *dir, uint64_t map_bytes,
						  bool read_only, char *why, size_t why_bytes);
void lmdb_close(struct lmdb *l);

/* The read transaction goes to the newest commit; everything lent before is void. Allocates nothing. */
void lmdb_renew(struct lmdb *l);
/* The same, but to the commit whose moves were told; its addresses hold already. Allocates nothing. */
void lmdb_turn(struct lmdb *l);

/* Lends a value from the map until the next renew; NULL when the key is not there. Allocates nothing. */
const void *lmdb_get(const struct lmdb *l, enum record_space space, const void *key, uint16_t key_bytes,
		     uint32_t *value_bytes);

/* In key order; stops when `each` gives something else than 0, and gives that. */
typedef int (*lmdb_each)(void *ctx, const void *key, uint32_t key_bytes, const void *value,
			 uint32_t value_bytes);
__attribute__((warn_unused_result)) int lmdb_walk(struct lmdb *l, enum record_space space, lmdb_each each,
						  void *ctx);

uint64_t lmdb_bytes(const struct lmdb *l); /* of the file */
/* Reads the map's pages from `from` on into memory; with `lock` in huge ones, and locks them there where
 * allowed. Gives where the pages in use end. What does not work is left undone. */
uint64_t lmdb_prefault(const struct lmdb *l, uint64_t from, bool lock);

/* One write transaction: begin, put (any number of times), then commit or abort. */
__attribute__((warn_unused_result)) int lmdb_write_begin(struct lmdb *l);
__attribute__((warn_unused_result)) int lmdb_write_put(struct lmdb *l, const struct records *records);
/* Rows of one space, keys ascending, each once. */
struct lmdb_row {
	uint64_t key;
	const void *value;
	uint32_t bytes; /* 0 = the key goes */
};
__attribute__((warn_unused_result)) int lmdb_write_rows(struct lmdb *l, enum record_space space,
							const struct lmdb_row *rows, uint64_t count);
__attribute__((warn_unused_result)) int lmdb_write_commit(struct lmdb *l);
void lmdb_write_abort(struct lmdb *l);
/*
 * Which rows of a space lie elsewhere since the commit, given those that were written in it: for each of
 * these `from` is its value as written, `to` its place in the map, NULL = it went; for the others that share
 * their pages, the places before and now. lmdb_moves_begin comes before the write, lmdb_moves_committed after
 * the commit (it checks that this is what is read), lmdb_moves_end at last, whatever became of the commit.
 */
typedef int (*lmdb_moved)(void *ctx, uint64_t key, const void *from, const void *to);
void lmdb_moves_begin(struct lmdb *l);
void lmdb_moves_committed(struct lmdb *l);
__attribute__((warn_unused_result)) int lmdb_moves(struct lmdb *l, enum record_space space,
						   const struct lmdb_row *rows, uint64_t count,
						   lmdb_moved each, void *ctx);
void lmdb_moves_end(struct lmdb *l);
/* While true, get and walk see what the open write transaction has put (one thread only). */
void lmdb_read_own_writes(struct lmdb *l, bool on);

/* A compacted copy into the directory `dir`, which is made; synced. */
__attribute__((warn_unused_result)) int lmdb_copy(struct lmdb *l, const char *dir);

#endif
