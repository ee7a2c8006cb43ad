/*
 * index: where the row of a key lies. A slot is 8 bytes: the address of the row and 16 bits of the key's
 * hash; the key itself is in the row, which whoever asks reads anyway. Open addressing, linear probing, one
 * probe says whether the row lies in LMDB's map or in the overlay: it is an address like any other.
 *
 * The address is exact, so a move of a row names the old address and needs no look at the row. Nobody walks
 * the index in an order that an outcome could see.
 *
 * Engine thread only. Memory is reserved address space; it doubles above three quarters full, some slots a
 * change. At most INDEX_ROWS_MAX rows.
 */
#ifndef PROFILE_INDEX_H
#define PROFILE_INDEX_H

#include <base/region.h>
#include <profile/row.h>

enum { INDEX_ROWS_MAX = 200000000, INDEX_BATCH_MAX = 256 };

struct index_half {
	uint64_t *slots; /* hash's top 16 bits << 48 | address; 0 = empty */
	uint64_t mask;	 /* slots - 1 */
};

struct index {
	struct region region;
	struct index_half now, old; /* old.slots NULL: nothing to move */
	uint64_t moved;		    /* slots of `old` that are empty from its start on */
	uint64_t count;
};

/* Room for `rows` with head-room: at most half full. Its pages are taken now. 0 or -errno. */
__attribute__((warn_unused_result)) int index_init(struct index *x, uint64_t rows);
void index_deinit(struct index *x);
void index_clear(struct index *x);

/* The row of a key, or NULL. Loads the row's header. */
const struct row *index_find(const struct index *x, uint64_t key);
/* Many at once; slots are fetched ahead of rows, and of each row its first 128 bytes. */
void index_find_many(const struct index *x, const uint64_t *keys, uint32_t count, const struct row **rows);
/* The row of row->key lies there now. */
void index_put(struct index *x, const struct row *row);
/* False: the key was not there. */
bool index_remove(struct index *x, uint64_t key);

/* The row of `key` that lay at `from` lies at `to` now, NULL = it is gone. False: it did not lie there.
 * Neither row is looked at. */
bool index_move(struct index *x, uint64_t key, const struct row *from, const struct row *to);
void index_move_prefetch(const struct index *x, uint64_t key);
/* Exactly this address, without a look at the row. */
bool index_has(const struct index *x, uint64_t key, const struct row *row);

/* All addresses, in no order that means anything: *at starts at 0; NULL at the end. For checks. */
const struct row *index_next(const struct index *x, uint64_t *at);

#endif
