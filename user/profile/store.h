/*
 * store: golden records. Rows of customers and accounts in LMDB, read in place from its map; changed rows in
 * an overlay until a checkpoint has committed them; the checkpoint thread is LMDB's only writer.
 *
 *   engine thread: store_customer, store_account, store_apply_*, store_tick, store_checkpoint_begin / _poll
 *   checkpoint thread (inside): one transaction per checkpoint: rows, windows, references, outbox, sources,
 * position tools: open read-only, or offline for import
 *
 * A row is packed by the layout that the catalogue compiles to (row.h). A row of an older layout is read
 * through that layout's own column table, which is kept in the store, and rewritten when it changes; it is
 * never misread. The map's size is fixed at open. No WRITEMAP: a full disk is an error of the commit, the old
 * data intact.
 *
 * Values are lent on an 8-byte edge, in records as in the map. META keys "store", "name:*" and "layout:*" are
 * the store's own; META keys do not end in a zero byte; keys of CELL, REF and OUTBOX have one length a space.
 */
#ifndef PROFILE_STORE_H
#define PROFILE_STORE_H

#include <base/records.h>
#include <catalogue/catalogue.h>
#include <moment/counters.h>
#include <profile/row.h>

struct store;

struct store_options {
	const char *dir;	/* data directory/store; made when missing unless read_only */
	uint64_t map_bytes;	/* 0 = 64 GiB of address space, or what the file needs */
	uint64_t overlay_bytes; /* 0 = 256 MiB; at least OVERLAY_BYTES_MIN */
	uint64_t records_bytes; /* 0 = 8 GiB of address space a checkpoint */
	bool read_only;
	bool index;  /* an address of every row, made at open; without it rows are found in the B-tree */
	bool thread; /* start the checkpoint thread (momentd; with `index`), take memory now and lock it where
			allowed; false: checkpoints run in the caller (import, replay) */
};

__attribute__((warn_unused_result)) int store_open(struct store **out, const struct store_options *options,
						   char *why, size_t why_bytes);
void store_close(struct store *s); /* waits for a running checkpoint */

/*
 * The layout in force; rows made from now on have it. Layouts are content-hashed and kept. 0, or -EINVAL with
 * the reason, nothing changed: an attribute of the store has another type in the catalogue, or the store has
 * seen too many names, attributes or layouts. An attribute that the catalogue drops sleeps, and comes back
 * with its values; so do kinds of subscriptions and parameters (a parameter also when the catalogue no longer
 * allows its value). Every call that is given a catalogue is given the one in force (its hash is asserted).
 */
__attribute__((warn_unused_result)) int store_activate(struct store *s, const struct catalogue *c, char *why,
						       size_t why_bytes);
/* Would it be activated? Changes nothing: ask before the activation is journalled. */
__attribute__((warn_unused_result)) int store_can_activate(const struct store *s, const struct catalogue *c,
							   char *why, size_t why_bytes);

/*
 * Lends the row of a customer or account; NULL when there is none. Valid until the next store_apply_* of the
 * same key or the next store_checkpoint_poll that returns true.
 */
const struct row *store_customer(struct store *s, uint64_t customer);
const struct row *store_account(struct store *s, uint64_t account);

/* Many at once, for a batch: rows[i] is NULL when keys[i] is 0 or has no row. Lent as above. With the index
 * the rows' first 128 bytes are on their way. */
void store_customers(struct store *s, const uint64_t *keys, uint32_t count, const struct row **rows);
void store_accounts(struct store *s, const uint64_t *keys, uint32_t count, const struct row **rows);

/* Applies one change frame's body (already pack_validate'd). Decisions 30-32. `why` gets the reason of
 * REFUSED and NOT_YET. */
enum change_outcome store_apply_profile(struct store *s, const struct catalogue *c, uint64_t customer,
					uint64_t account, const void *body, uint32_t bytes, char *why,
					size_t why_bytes);
enum change_outcome store_apply_subscribe(struct store *s, const struct catalogue *c, uint64_t customer,
					  const void *body, uint32_t bytes, char *why, size_t why_bytes);
/* Room in the overlay for so many changes? false: a checkpoint first (a change without room is an assert).
 */
bool store_has_room(const struct store *s, uint32_t changes);
/* Byte of the body that the last REFUSED or NOT_YET is about. */
uint32_t store_refused_offset(const struct store *s);

/* Several changes of one key as one: mark, then apply; undo takes back what was applied since. */
void store_mark(struct store *s);
void store_undo(struct store *s);

/* Removes a row; false when there is none. As with a change, the caller has asked for room. */
bool store_forget(struct store *s, enum row_kind kind, uint64_t key);

/*
 * A checkpoint at a tick's edge: begin cuts, which costs the same however much has changed, and lends the
 * records. The engine adds its own (windows, references, outbox, META), in this tick or over several: rows
 * are those at begin, also when they change before commit. Commit hands all of it over. poll is true once
 * after it is on disk and all rows are found there. Only one at a time: begin gives NULL while one runs. A
 * failed commit (disk full, EIO): poll is true and gives -errno in *error, else 0; the store's own changes
 * then go with the next one.
 */
struct records *store_checkpoint_begin(struct store *s);
void store_checkpoint_commit(struct store *s);
bool store_checkpoint_poll(struct store *s, int *error);
/*
 * Once a tick: what a running checkpoint wants of the engine thread. After the commit the addresses of rows
 * move in slices: at most 2,000 a tick, fewer when rows were removed. A poll without a tick before it moves
 * one slice.
 */
void store_tick(struct store *s);
bool store_checkpoint_running(const struct store *s);
/* Blocks until the one that was handed over is done, and polls: 0 or -errno (start-up, shutdown, tools). */
__attribute__((warn_unused_result)) int store_checkpoint_wait(struct store *s);

/*
 * All checkpoints from now on as one transaction, which reads see; nothing is on disk before release(true).
 * Without the thread. After release(false), or an error of it, the store can only be closed.
 */
__attribute__((warn_unused_result)) int store_hold(struct store *s);
__attribute__((warn_unused_result)) int store_release(struct store *s, bool commit);

/* Walks one space of the committed store in key order (start-up, tools). The callback returns 0 to go on. */
int store_walk(struct store *s, enum record_space space,
	       int (*each)(void *ctx, const void *key, uint32_t key_bytes, const void *value,
			   uint32_t value_bytes),
	       void *ctx);
/* One META or OUTBOX value, lent until the next checkpoint poll; NULL when there is none. */
const void *store_value(struct store *s, enum record_space space, const void *key, uint16_t key_bytes,
			uint32_t *value_bytes);

/* Copies the committed store to `dir` (compacted, synced, whole or not there). -EEXIST, -ENOTEMPTY: there is
 * one. */
__attribute__((warn_unused_result)) int store_copy(struct store *s, const char *dir);
/* xxh3-128 of a copy's data file. */
__attribute__((warn_unused_result)) int store_copy_hash(const char *dir, struct hash128 *hash);

/* Text of a numbered name in a row (row_format.h): kinds, parameters, channels. For tools. */
const char *store_name(const struct store *s, uint32_t name);

/* Compares the index with a scan of all rows; false with the reason. Slow; not while rows move. */
bool store_index_check(struct store *s, char *why, size_t why_bytes);

struct store_sizes {
	uint64_t customers, accounts, subscriptions, overlay_rows, overlay_bytes, overlay_bytes_max,
		file_bytes, checkpoints, checkpoint_ns_last, index_bytes,
		moved_last; /* addresses that the last checkpoint moved */
};
void store_sizes(struct store *s, struct store_sizes *out);
/* xxh3-128 over all rows as seen now (overlay over map), keys ascending, canonical (layout-independent).
 * Slow. */
struct hash128 store_digest(struct store *s, const struct catalogue *c);

#endif
