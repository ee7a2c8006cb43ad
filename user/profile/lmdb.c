/*
 * lmdb.c: one LMDB environment with a database a space.
 *
 * In: sorted runs of records (write side), keys (read side). Out: values that lie in the map, lent until the
 * next renew. The map is never written through (no WRITEMAP: a full disk would be a SIGBUS), transactions are
 * not tied to threads (NOTLS), commits sync. The read transaction is begun once at open and then only reset
 * and renewed, which makes no heap call. LMDB does not refuse the same file opened twice by one process,
 * which corrupts its locking: lmdb_open looks through the process's own descriptors for it.
 *
 * What can go wrong: a full map or disk is -ENOSPC or the write's errno from put or commit, the old data
 * intact. A get that fails otherwise than by absence is corruption or a dead environment: to go on would be
 * to misread, so it is an assert.
 */
#include "lmdb.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lmdb_state.h"

static const struct {
	const char *name;
	unsigned flags;
} spaces[RECORD_SPACES] = {
	[RECORD_META] = { "meta", 0 },
	[RECORD_CUSTOMER] = { "customers", MDB_INTEGERKEY },
	[RECORD_ACCOUNT] = { "accounts", MDB_INTEGERKEY },
	[RECORD_CELL] = { "cells", 0 },
	[RECORD_REF] = { "refs", 0 },
	[RECORD_OUTBOX] = { "outbox", 0 },
};

/* Before every value of a byte-keyed space. */
struct value_head {
	uint32_t value_bytes;
	uint16_t key_bytes;
	uint16_t reserved;
};
_Static_assert(sizeof(struct value_head) == 8, "fixed in the store");

static bool space_is_integer(enum record_space space)
{
	return spaces[space].flags & MDB_INTEGERKEY;
}

static size_t pad8(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static int lmdb_error(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return -ENOSPC;
	case MDB_READERS_FULL:
	case MDB_DBS_FULL:
		return -EMFILE;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INCOMPATIBLE:
	case MDB_VERSION_MISMATCH:
		return -EBADMSG;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

static int lmdb_explain(int rc, const char *what, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "%s: %s", what, mdb_strerror(rc));
	return lmdb_error(rc);
}

/* Does a descriptor of this process already refer to that file? */
static bool file_is_open(const struct stat *file)
{
	DIR *fds = opendir("/proc/self/fd");
	const struct dirent *entry;
	bool found = false;

	if (!fds)
		return false;
	while (!found && (entry = readdir(fds))) {
		struct stat st;
		found = entry->d_name[0] != '.' && fstat(atoi(entry->d_name), &st) == 0 &&
			st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	}
	closedir(fds);
	return found;
}

/* LMDB does not tell where its map lies: the process's own list does. */
static void find_map(struct lmdb *l)
{
	char line[512];
	struct stat file;
	mdb_filehandle_t fd;
	FILE *maps = fopen("/proc/self/maps", "re");

	if (maps && mdb_env_get_fd(l->env, &fd) == 0 && fstat(fd, &file) == 0) {
		while (fgets(line, sizeof line, maps)) {
			unsigned long from, to, inode;
			if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &inode) == 3 &&
			    inode == file.st_ino && to - from > l->map_bytes) {
				l->map = (char *)from; /* lock.mdb has another inode */
				l->map_bytes = to - from;
			}
		}
	}
	if (maps)
		fclose(maps);
}

static int open_environment(struct lmdb *l, const char *dir, uint64_t map_bytes, bool read_only, char *why,
			    size_t why_bytes)
{
	int dead;
	int rc = mdb_env_create(&l->env);

	if (rc)
		return lmdb_explain(rc, "cannot make an LMDB environment", why, why_bytes);
	mdb_env_set_maxdbs(l->env, RECORD_SPACES);
	mdb_env_set_mapsize(l->env, map_bytes);
	rc = mdb_env_open(l->env, dir, MDB_NOTLS | (read_only ? MDB_RDONLY : 0), 0640);
	if (rc)
		return lmdb_explain(rc, dir, why, why_bytes);
	find_map(l);
	/* a reader that was killed would pin pages for ever */
	rc = mdb_reader_check(l->env, &dead);
	return rc ? lmdb_explain(rc, "cannot check the readers", why, why_bytes) : 0;
}

/* Opens the databases; a handle outlives its transaction only when that is committed. */
static int open_spaces(struct lmdb *l, bool read_only, char *why, size_t why_bytes)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, read_only ? MDB_RDONLY : 0, &txn);

	if (rc)
		return lmdb_explain(rc, "cannot begin", why, why_bytes);
	for (int i = 1; i < RECORD_SPACES; i++) {
		rc = mdb_dbi_open(txn, spaces[i].name, spaces[i].flags | (read_only ? 0 : MDB_CREATE),
				  &l->dbi[i]);
		if (rc) {
			mdb_txn_abort(txn);
			return lmdb_explain(rc, spaces[i].name, why, why_bytes);
		}
	}
	rc = mdb_txn_commit(txn);
	return rc ? lmdb_explain(rc, "cannot make the databases", why, why_bytes) : 0;
}

static int sync_directory(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) ? -errno : 0;
	close(fd);
	return rc;
}

static int data_path(char *path, size_t room, const char *dir)
{
	return (size_t)snprintf(path, room, "%s/data.mdb", dir) < room ? 0 : -ENAMETOOLONG;
}

/* The engine's reader, two more that stand by for lmdb_moves, and a cursor a space. */
static int open_readers(struct lmdb *l, char *why, size_t why_bytes)
{
	int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->before);

	if (!rc)
		mdb_txn_reset(l->before);
	if (!rc)
		rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->after);
	if (!rc)
		mdb_txn_reset(l->after);
	if (!rc)
		rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->read);
	for (int i = 1; !rc && i < RECORD_SPACES; i++)
		rc = mdb_cursor_open(l->read, l->dbi[i], &l->walk[i]);
	return rc ? lmdb_explain(rc, "cannot begin to read", why, why_bytes) : 0;
}

int lmdb_open(struct lmdb **out, const char *dir, uint64_t map_bytes, bool read_only, char *why,
	      size_t why_bytes)
{
	char path[4096];
	struct stat file;
	int rc = data_path(path, sizeof path, dir);

	if (rc)
		return rc;
	if (stat(path, &file) == 0) {
		if (file_is_open(&file)) {
			snprintf(why, why_bytes, "%s: this process has it open already", path);
			return -EBUSY;
		}
		if (map_bytes < (uint64_t)file.st_size * 2)
			map_bytes = (uint64_t)file.st_size * 2;
	}
	struct lmdb *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	rc = open_environment(l, dir, map_bytes, read_only, why, why_bytes);
	if (!rc)
		rc = open_spaces(l, read_only, why, why_bytes);
	if (!rc && !read_only && (rc = sync_directory(dir)))
		snprintf(why, why_bytes, "%s: cannot sync the directory", dir);
	if (!rc)
		rc = open_readers(l, why, why_bytes);
	if (rc) {
		lmdb_close(l);
		return rc;
	}
	*out = l;
	return 0;
}

void lmdb_close(struct lmdb *l)
{
	if (!l)
		return;
	lmdb_write_abort(l);
	for (int i = 1; i < RECORD_SPACES; i++)
		if (l->walk[i])
			mdb_cursor_close(l->walk[i]);
	for (int i = 0; i < 3; i++) {
		MDB_txn *txn = (MDB_txn *[]){ l->read, l->before, l->after }[i];
		if (txn)
			mdb_txn_abort(txn);
	}
	if (l->env)
		mdb_env_close(l->env);
	free(l);
}

void lmdb_renew(struct lmdb *l)
{
	int rc;

	mdb_txn_reset(l->read);
	rc = mdb_txn_renew(l->read); /* the reader's slot is kept over a reset: cannot run out */
	assert(rc == 0);
}

void lmdb_turn(struct lmdb *l)
{
	MDB_txn *old = l->read;

	assert(mdb_txn_id(l->after) == l->committed);
	l->read = l->after;
	l->after = old;
	mdb_txn_reset(old);
}

static MDB_txn *reading(const struct lmdb *l)
{
	return l->own_writes ? l->write : l->read;
}

/* The key as it is stored. `room` has LMDB_KEY_BYTES_MAX bytes. */
static MDB_val stored_key(enum record_space space, const void *key, uint16_t key_bytes, uint8_t *room)
{
	assert(key_bytes > 0 && key_bytes <= LMDB_KEY_BYTES_MAX);
	if (space_is_integer(space)) {
		assert(key_bytes == 8);
		return (MDB_val){ .mv_size = 8, .mv_data = (void *)key };
	}
	assert(space != RECORD_META || ((const char *)key)[key_bytes - 1] != 0);
	memcpy(room, key, key_bytes);
	memset(room + key_bytes, 0, pad8(key_bytes) - key_bytes);
	return (MDB_val){ .mv_size = pad8(key_bytes), .mv_data = room };
}

/* What a stored value holds. */
static const void *value_open(enum record_space space, const MDB_val *data, uint32_t *value_bytes,
			      uint32_t *key_bytes)
{
	const struct value_head *head = data->mv_data;

	if (space_is_integer(space)) {
		*value_bytes = (uint32_t)data->mv_size;
		*key_bytes = 8;
		return data->mv_data;
	}
	assert(data->mv_size >= sizeof *head && data->mv_size == sizeof *head + pad8(head->value_bytes));
	*value_bytes = head->value_bytes;
	*key_bytes = head->key_bytes;
	return head + 1;
}

const void *lmdb_get(const struct lmdb *l, enum record_space space, const void *key, uint16_t key_bytes,
		     uint32_t *value_bytes)
{
	uint8_t room[LMDB_KEY_BYTES_MAX];
	uint32_t true_key_bytes;
	MDB_val k = stored_key(space, key, key_bytes, room), data;
	int rc = mdb_get(reading(l), l->dbi[space], &k, &data);

	if (rc == MDB_NOTFOUND)
		return NULL;
	assert(rc == 0);
	const void *value = value_open(space, &data, value_bytes, &true_key_bytes);
	assert(true_key_bytes == key_bytes);
	return value;
}

static int walk_by(MDB_cursor *cursor, enum record_space space, lmdb_each each, void *ctx)
{
	MDB_val key, data;
	int result = 0;
	int rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);

	for (; rc == 0 && result == 0; rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
		uint32_t key_bytes, value_bytes;
		const void *value = value_open(space, &data, &value_bytes, &key_bytes);
		result = each(ctx, key.mv_data, key_bytes, value, value_bytes);
	}
	if (result)
		return result;
	return rc == MDB_NOTFOUND ? 0 : lmdb_error(rc);
}

int lmdb_walk(struct lmdb *l, enum record_space space, lmdb_each each, void *ctx)
{
	MDB_cursor *cursor = l->walk[space];
	int rc = l->own_writes ? mdb_cursor_open(l->write, l->dbi[space], &cursor)
			       : mdb_cursor_renew(l->read, cursor);

	if (rc)
		return lmdb_error(rc);
	rc = walk_by(cursor, space, each, ctx);
	if (l->own_writes)
		mdb_cursor_close(cursor);
	return rc;
}

uint64_t lmdb_bytes(const struct lmdb *l)
{
	MDB_envinfo info;
	MDB_stat stat;

	mdb_env_info(l->env, &info);
	mdb_env_stat(l->env, &stat);
	return (info.me_last_pgno + 1) * stat.ms_psize;
}

uint64_t lmdb_prefault(const struct lmdb *l, uint64_t from, bool lock)
{
	struct stat file;
	mdb_filehandle_t fd;

	/* the map is larger than the file, and a page behind the file's end is a SIGBUS */
	if (!l->map || mdb_env_get_fd(l->env, &fd) || fstat(fd, &file))
		return from;
	uint64_t end = (uint64_t)file.st_size & ~(uint64_t)4095;
	if (end > l->map_bytes)
		end = l->map_bytes;
	if (end <= from)
		return from;
	/* A row costs a page walk as well as its lines. ext4 gives huge pages (seen on 6.18) to what is read
	 * in under this advice, not to what the page cache has already: dropping that and reading it again is
	 * worth a fifth of a lookup, and costs a restart seconds, so it is left as it is. */
	if (from == 0 && lock)
		madvise(l->map, l->map_bytes, MADV_HUGEPAGE);
	madvise(l->map + from, end - from, MADV_POPULATE_READ);
	if (lock && mlock(l->map + from, end - from))
		return end; /* not allowed: the pages are there now, which is most of it */
	return end;
}

int lmdb_write_begin(struct lmdb *l)
{
	int dead;

	assert(!l->write);
	mdb_reader_check(l->env, &dead);
	return lmdb_error(mdb_txn_begin(l->env, NULL, 0, &l->write));
}

static int record_compare_key(const struct record *a, const struct record *b)
{
	if (space_is_integer((enum record_space)a->space)) {
		uint64_t x = *(const uint64_t *)record_key(a), y = *(const uint64_t *)record_key(b);
		return (x > y) - (x < y);
	}
	size_t shorter = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
	int order = memcmp(record_key(a), record_key(b), shorter);
	return order ? order : (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
}

/* By space, key, then place: of two records of one key the later one wins. */
static int record_compare(const void *left, const void *right)
{
	const struct record *a = *(const struct record *const *)left,
			    *b = *(const struct record *const *)right;
	int order;

	if (a->space != b->space)
		return a->space < b->space ? -1 : 1;
	order = record_compare_key(a, b);
	return order ? order : (a > b) - (a < b);
}

/* Pointers to all records, sorted, in memory of its own. NULL when that is out. */
static const struct record **records_sort(const struct records *records)
{
	const struct record **list = malloc((records->count + 1) * sizeof *list);
	const struct record *at = NULL;
	uint64_t n = 0;
	bool sorted = true;

	if (!list)
		return NULL;
	while ((at = records_next(records, at))) {
		list[n] = at;
		sorted = sorted && (n == 0 || record_compare(&list[n - 1], &list[n]) < 0);
		n++;
	}
	assert(n == records->count);
	list[n] = NULL;
	if (!sorted)
		qsort(list, n, sizeof *list, record_compare);
	return list;
}

static int put_value(MDB_cursor *cursor, const struct record *record, MDB_val *key, unsigned flags)
{
	enum record_space space = (enum record_space)record->space;
	MDB_val data = { .mv_size = record->value_bytes, .mv_data = (void *)record_value(record) };
	int rc;

	if (space_is_integer(space))
		return lmdb_error(mdb_cursor_put(cursor, key, &data, flags));
	data.mv_size = sizeof(struct value_head) + pad8(record->value_bytes);
	rc = mdb_cursor_put(cursor, key, &data, flags | MDB_RESERVE);
	if (rc)
		return lmdb_error(rc);
	*(struct value_head *)data.mv_data =
		(struct value_head){ .value_bytes = record->value_bytes, .key_bytes = record->key_bytes };
	uint8_t *value = (uint8_t *)data.mv_data + sizeof(struct value_head);
	memcpy(value, record_value(record), record->value_bytes);
	memset(value + record->value_bytes, 0, pad8(record->value_bytes) - record->value_bytes);
	return 0;
}

static int remove_value(MDB_cursor *cursor, MDB_val *key)
{
	MDB_val data;
	int rc = mdb_cursor_get(cursor, key, &data, MDB_SET);

	if (rc == MDB_NOTFOUND)
		return 0;
	return lmdb_error(rc ? rc : mdb_cursor_del(cursor, 0));
}

/* The last key of a database; mv_size 0 when it is empty. */
static MDB_val last_key(MDB_cursor *cursor, uint8_t *room)
{
	MDB_val key, data;

	if (mdb_cursor_get(cursor, &key, &data, MDB_LAST))
		return (MDB_val){ 0 };
	assert(key.mv_size <= LMDB_KEY_BYTES_MAX);
	memcpy(room, key.mv_data, key.mv_size);
	return (MDB_val){ .mv_size = key.mv_size, .mv_data = room };
}

static bool key_is_behind(enum record_space space, const MDB_val *key, const MDB_val *last)
{
	if (last->mv_size == 0)
		return true;
	if (space_is_integer(space)) {
		uint64_t x, y;
		memcpy(&x, last->mv_data, 8);
		memcpy(&y, key->mv_data, 8);
		return y > x;
	}
	size_t shorter = last->mv_size < key->mv_size ? last->mv_size : key->mv_size;
	int order = memcmp(key->mv_data, last->mv_data, shorter);
	return order > 0 || (order == 0 && key->mv_size > last->mv_size);
}

static int put_one(MDB_cursor *cursor, const struct record *record, const MDB_val *last)
{
	enum record_space space = (enum record_space)record->space;
	uint8_t room[LMDB_KEY_BYTES_MAX];
	MDB_val key = stored_key(space, record_key(record), record->key_bytes, room);

	if (record->gone)
		return remove_value(cursor, &key);
	/* appending fills pages, where a put at the end would leave them half empty */
	return put_value(cursor, record, &key, key_is_behind(space, &key, last) ? MDB_APPEND : 0);
}

/* One sorted run of records of one space; *at is left on the first of the next. */
static int put_space(struct lmdb *l, const struct record *const **at)
{
	const struct record *const *list = *at;
	uint8_t space = (*list)->space, room[LMDB_KEY_BYTES_MAX];
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(l->write, l->dbi[space], &cursor);

	if (rc)
		return lmdb_error(rc);
	const MDB_val last = last_key(cursor, room);
	for (; rc == 0 && *list && (*list)->space == space; list++) {
		bool repeated =
			list[1] && list[1]->space == space && record_compare_key(list[0], list[1]) == 0;
		if (!repeated) /* else the later one counts */
			rc = put_one(cursor, *list, &last);
	}
	mdb_cursor_close(cursor);
	*at = list;
	return rc;
}

static int put_row(MDB_cursor *cursor, const struct lmdb_row *row, const MDB_val *last)
{
	MDB_val key = { .mv_size = sizeof row->key, .mv_data = (void *)&row->key };
	MDB_val data = { .mv_size = row->bytes, .mv_data = (void *)row->value };

	if (!row->bytes)
		return remove_value(cursor, &key);
	/* appending fills pages, where a put at the end would leave them half empty */
	return lmdb_error(mdb_cursor_put(cursor, &key, &data,
					 key_is_behind(RECORD_CUSTOMER, &key, last) ? MDB_APPEND : 0));
}

int lmdb_write_rows(struct lmdb *l, enum record_space space, const struct lmdb_row *rows, uint64_t count)
{
	uint8_t room[LMDB_KEY_BYTES_MAX];
	MDB_cursor *cursor;

	assert(l->write && space_is_integer(space));
	int rc = mdb_cursor_open(l->write, l->dbi[space], &cursor);
	if (rc)
		return lmdb_error(rc);
	const MDB_val last = last_key(cursor, room);
	for (uint64_t i = 0; rc == 0 && i < count; i++) {
		assert(i == 0 || rows[i - 1].key < rows[i].key);
		rc = put_row(cursor, &rows[i], &last);
	}
	mdb_cursor_close(cursor);
	return rc;
}

int lmdb_write_put(struct lmdb *l, const struct records *records)
{
	const struct record **list = records_sort(records);
	const struct record *const *at = list;
	int rc = 0;

	assert(l->write);
	if (!list)
		return -ENOMEM;
	while (rc == 0 && *at) {
		assert((*at)->space > RECORD_NONE && (*at)->space < RECORD_SPACES);
		rc = put_space(l, &at);
	}
	free(list);
	return rc;
}

int lmdb_write_commit(struct lmdb *l)
{
	MDB_txn *txn = l->write;

	assert(txn);
	l->write = NULL;
	l->own_writes = false;
	l->committed = mdb_txn_id(txn);
	return lmdb_error(mdb_txn_commit(txn)); /* frees the transaction in any case */
}

void lmdb_write_abort(struct lmdb *l)
{
	if (l->write)
		mdb_txn_abort(l->write);
	l->write = NULL;
	l->own_writes = false;
}

void lmdb_read_own_writes(struct lmdb *l, bool on)
{
	assert(!on || l->write);
	l->own_writes = on;
}

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) ? -errno : 0;
	close(fd);
	return rc;
}

int lmdb_copy(struct lmdb *l, const char *dir)
{
	char path[4096];
	int rc = data_path(path, sizeof path, dir);

	if (rc)
		return rc;
	if (mkdir(dir, 0750))
		return -errno;
	rc = lmdb_error(mdb_env_copy2(l->env, dir, MDB_CP_COMPACT)); /* does not sync by itself */
	if (!rc)
		rc = sync_file(path);
	return rc ? rc : sync_directory(dir);
}
