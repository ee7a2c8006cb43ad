/*
 * store.c: golden records: LMDB below, the overlay of changed rows above, an index over both.
 *
 * In: keys, frame bodies (change.c), records of other stages. Out: rows that are lent from the overlay or the
 * map. The engine thread reads and changes; the checkpoint thread alone writes LMDB. A change never touches a
 * row that a checkpoint has cut: it puts a newer version into the overlay, and the index leads there. After
 * open the engine thread allocates nothing: all memory is reserved address space; momentd takes it at start,
 * reads the map into memory and locks it where it may.
 *
 * What can go wrong: open (another process has the store, a damaged or newer store), activate (a layout that
 * does not go with what is stored), a commit (disk or map full: the old data are intact, and poll says so).
 * The rows of a failed commit stay in the overlay and go with the next checkpoint.
 *
 * Read on: index.c, overlay.c, store_checkpoint.c, layout.c (columns, names), row.c (the packed row),
 * change.c (PROFILE, SUBSCRIBE), lmdb.c, lmdb_moves.c.
 */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "store_state.h"

enum { PATH_BYTES = 4096 };

/* ---- open and close ---- */

static int make_directories(const char *dir)
{
	char path[PATH_BYTES];

	if ((size_t)snprintf(path, sizeof path, "%s", dir) >= sizeof path)
		return -ENAMETOOLONG;
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		if (mkdir(path, 0750) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0750) && errno != EEXIST ? -errno : 0;
}

static void lock_explain(int fd, const char *dir, char *why, size_t why_bytes)
{
	char pid[32] = "";
	ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

	pid[n > 0 ? n : 0] = 0;
	pid[strcspn(pid, "\n")] = 0;
	if (atol(pid) == (long)getpid())
		snprintf(why, why_bytes, "%s: this process has it open already", dir);
	else
		snprintf(why, why_bytes, "%s: another momentd (pid %s) has this data directory", dir, pid);
}

/* One process changes a store. The lock goes with the descriptor, so a killed process leaves none behind. */
static int lock_take(struct store *s, const char *dir, char *why, size_t why_bytes)
{
	char path[PATH_BYTES], pid[32];
	int bytes = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

	if ((size_t)snprintf(path, sizeof path, "%s/owner", dir) >= sizeof path)
		return -ENAMETOOLONG;
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (s->lock_fd < 0) {
		snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
		return -errno;
	}
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
		lock_explain(s->lock_fd, dir, why, why_bytes);
		return -EBUSY;
	}
	if (ftruncate(s->lock_fd, 0) || pwrite(s->lock_fd, pid, (size_t)bytes, 0) != bytes) {
		snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
		return -EIO;
	}
	return 0;
}

static int counts_load(struct store *s, char *why, size_t why_bytes)
{
	uint32_t bytes;
	const struct store_counts *counts =
		lmdb_get(s->lmdb, RECORD_META, STORE_META_KEY, STORE_META_KEY_BYTES, &bytes);

	s->counts = (struct store_counts){ .version = STORE_VERSION };
	if (!counts)
		return 0;
	if (bytes != sizeof *counts || counts->version < STORE_VERSION_OLDEST ||
	    counts->version > STORE_VERSION) {
		snprintf(why, why_bytes, "this store has format %u, expected %d to %d",
			 bytes >= 4 ? counts->version : 0, STORE_VERSION_OLDEST, STORE_VERSION);
		return -EPROTONOSUPPORT;
	}
	s->counts = *counts;
	s->counts.version =
		STORE_VERSION; /* from the next checkpoint on: an older engine must not read its rows */
	return 0;
}

static int open_lmdb(struct store *s, const struct store_options *o, char *why, size_t why_bytes)
{
	int rc = lmdb_open(&s->lmdb, o->dir, o->map_bytes ? o->map_bytes : UINT64_C(64) << 30, o->read_only,
			   why, why_bytes);

	if (!rc)
		rc = counts_load(s, why, why_bytes);
	return rc ? rc : layouts_load(&s->layouts, s->lmdb, why, why_bytes);
}

static int take_memory(struct store *s, const struct store_options *o)
{
	uint64_t overlay = o->overlay_bytes ? o->overlay_bytes : 256 << 20;
	int rc = overlay_init(&s->overlay, overlay < OVERLAY_BYTES_MIN ? OVERLAY_BYTES_MIN : overlay);

	if (!rc)
		rc = layouts_init(&s->layouts);
	return rc ? rc : checkpoint_init(s, o->records_bytes ? o->records_bytes : UINT64_C(8) << 30);
}

static int open_directory(struct store *s, const struct store_options *o, char *why, size_t why_bytes)
{
	if (o->read_only)
		return 0;
	int rc = make_directories(o->dir);
	if (rc) {
		snprintf(why, why_bytes, "%s: %s", o->dir, strerror(-rc));
		return rc;
	}
	return lock_take(s, o->dir, why, why_bytes);
}

/* ---- the index ---- */

struct indexing {
	struct index *index;
	enum row_kind kind;
};

static int index_each(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
	const struct indexing *to = ctx;
	const struct row *row = value;

	(void)key_bytes;
	/* a row that is not what its key says is a damaged store: never misread */
	if (value_bytes != row->bytes || row->kind != to->kind || memcmp(&row->key, key, sizeof row->key))
		return -EBADMSG;
	index_put(to->index, row);
	return 0;
}

static int index_fill(struct store *s)
{
	int rc = 0;

	for (enum row_kind kind = ROW_CUSTOMER; rc == 0 && kind <= ROW_ACCOUNT; kind++) {
		struct indexing to = { &s->index[kind], kind };
		rc = lmdb_walk(s->lmdb, row_space(kind), index_each, &to);
	}
	return rc;
}

static int index_make(struct store *s, char *why, size_t why_bytes)
{
	s->checkpoint.prefaulted = lmdb_prefault(s->lmdb, 0, s->populate);
	int rc = index_fill(s);
	if (rc)
		snprintf(why, why_bytes, "cannot index the rows: %s", strerror(-rc));
	s->indexed = rc == 0;
	return rc;
}

int store_open(struct store **out, const struct store_options *options, char *why, size_t why_bytes)
{
	struct store *s = calloc(1, sizeof *s);

	assert(!options->thread || (options->index && !options->read_only));
	snprintf(why, why_bytes, "out of memory");
	if (!s)
		return -ENOMEM;
	s->lock_fd = -1;
	s->read_only = options->read_only;
	s->populate = options->thread;
	s->generation = 1;
	int rc = take_memory(s, options);
	if (!rc)
		rc = open_directory(s, options, why, why_bytes);
	if (!rc)
		rc = open_lmdb(s, options, why, why_bytes);
	if (!rc)
		rc = index_init(&s->index[ROW_CUSTOMER], options->index ? s->counts.customers : 0);
	if (!rc)
		rc = index_init(&s->index[ROW_ACCOUNT], options->index ? s->counts.accounts : 0);
	if (!rc && options->index)
		rc = index_make(s, why, why_bytes);
	if (!rc && s->populate)
		overlay_populate(&s->overlay);
	if (!rc && options->thread)
		rc = checkpoint_start(s);
	if (rc) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	checkpoint_stop(s);
	lmdb_close(s->lmdb);
	checkpoint_deinit(s);
	layouts_deinit(&s->layouts);
	index_deinit(&s->index[ROW_CUSTOMER]);
	index_deinit(&s->index[ROW_ACCOUNT]);
	overlay_deinit(&s->overlay);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s);
}

/* ---- the catalogue in force ---- */

int store_can_activate(const struct store *s, const struct catalogue *c, char *why, size_t why_bytes)
{
	return layouts_check(&s->layouts, c, why, why_bytes);
}

int store_activate(struct store *s, const struct catalogue *c, char *why, size_t why_bytes)
{
	int rc = layouts_check(&s->layouts, c, why, why_bytes);

	if (!rc)
		layouts_activate(&s->layouts, c, s->generation);
	return rc;
}

/* ---- rows ---- */

static const struct row *row_read(const struct store *s, enum row_kind kind, uint64_t key)
{
	uint32_t bytes;
	const struct row *row = lmdb_get(s->lmdb, row_space(kind), &key, sizeof key, &bytes);

	/* a row that is not what its key says is a damaged store: stop, never misread */
	assert(!row || (bytes == row->bytes && row->kind == kind && row->key == key));
	return row;
}

static const struct row *row_find(const struct store *s, enum row_kind kind, uint64_t key)
{
	const struct row *row = index_find(&s->index[kind], key);

	if (row)
		return row->flags & ROW_GONE ? NULL : row;
	return s->indexed ? NULL : row_read(s, kind, key);
}

const struct row *store_customer(struct store *s, uint64_t customer)
{
	return row_find(s, ROW_CUSTOMER, customer);
}

const struct row *store_account(struct store *s, uint64_t account)
{
	return row_find(s, ROW_ACCOUNT, account);
}

static void rows_find(struct store *s, enum row_kind kind, const uint64_t *keys, uint32_t count,
		      const struct row **rows)
{
	index_find_many(&s->index[kind], keys, count, rows);
	for (uint32_t i = 0; !s->indexed && i < count; i++)
		if (!rows[i] && keys[i])
			rows[i] = row_read(s, kind, keys[i]);
	for (uint32_t i = 0; s->overlay.gone && i < count; i++)
		if (rows[i] && rows[i]->flags & ROW_GONE)
			rows[i] = NULL;
}

void store_customers(struct store *s, const uint64_t *keys, uint32_t count, const struct row **rows)
{
	rows_find(s, ROW_CUSTOMER, keys, count, rows);
}

void store_accounts(struct store *s, const uint64_t *keys, uint32_t count, const struct row **rows)
{
	rows_find(s, ROW_ACCOUNT, keys, count, rows);
}

bool store_has_room(const struct store *s, uint32_t changes)
{
	return overlay_has_room(&s->overlay, changes);
}

uint32_t store_refused_offset(const struct store *s)
{
	return s->refused_offset;
}

/* The row that is lent now, if it may be changed where it lies: no cut and no undo needs it. */
static struct row *row_open(struct store *s, const struct row *was)
{
	if (!was || !overlay_is_open(&s->overlay, was) || (s->undo.armed && was == s->undo.was))
		return NULL;
	return (struct row *)was;
}

static void undo_remember(struct store *s, const struct row *was, const struct row *now)
{
	struct store_undo *undo = &s->undo;

	if (!undo->armed)
		return;
	assert(!undo->now || undo->now->key == now->key);
	if (!undo->now) {
		undo->was = was;
		undo->was_open = was && overlay_is_open(&s->overlay, was);
	}
	undo->now = now;
}

/* The version `was` is followed by `row`: over it where nobody needs it, else behind the newest. */
static const struct row *row_replace(struct store *s, const struct row *was, const struct row *row)
{
	struct overlay *o = &s->overlay;
	struct row *open = row_open(s, was);

	if (open && open->bytes == row->bytes) {
		memcpy(open, row, row->bytes);
		return open;
	}
	if (open && overlay_is_newest(o, open))
		overlay_take_back(o, open);
	else if (was && overlay_is_open(o, was))
		overlay_kill(o, was);
	return overlay_add(o, row);
}

/* In the overlay, found by the index. */
static void row_put(struct store *s, const struct row *row)
{
	struct index *x = &s->index[row->kind];
	const struct row *was = index_find(x, row->key);
	bool held = was && overlay_holds(&s->overlay, was), was_gone = held && was->flags & ROW_GONE;
	bool first = s->undo.armed && !s->undo.now;

	if (first)
		s->undo.was = was; /* row_open must spare it */
	const struct row *now = row_replace(s, was, row);
	undo_remember(s, was, now);
	if (now != was)
		index_put(x, now);
	s->overlay.rows += !held;
	s->overlay.gone += (uint64_t)(now->flags & ROW_GONE ? 1 : 0) - was_gone;
}

bool store_is_full(const struct store *s)
{
	const struct row *row = (const struct row *)s->row;
	uint64_t count = row->kind == ROW_CUSTOMER ? s->counts.customers : s->counts.accounts;

	return count >= INDEX_ROWS_MAX && !row_find(s, (enum row_kind)row->kind, row->key);
}

void store_put(struct store *s, int64_t subscriptions_more)
{
	const struct row *row = (const struct row *)s->row;
	bool is_new = !row_find(s, (enum row_kind)row->kind, row->key);

	if (row->kind == ROW_CUSTOMER)
		s->counts.customers += is_new;
	else
		s->counts.accounts += is_new;
	s->counts.subscriptions += (uint64_t)subscriptions_more;
	row_put(s, row);
}

bool store_forget(struct store *s, enum row_kind kind, uint64_t key)
{
	const struct row *row = row_find(s, kind, key);
	struct row gone = { .bytes = sizeof gone, .kind = (uint16_t)kind, .flags = ROW_GONE, .key = key };

	assert(!s->undo.armed);
	if (!row)
		return false;
	if (kind == ROW_CUSTOMER) {
		s->counts.customers--;
		s->counts.subscriptions -= row_subscription_count(row);
	} else {
		s->counts.accounts--;
	}
	row_put(s, &gone);
	return true;
}

void store_mark(struct store *s)
{
	s->undo = (struct store_undo){ .armed = true, .counts = s->counts };
}

/* The newest version gives its place back to the one that was there at the mark. */
void store_undo(struct store *s)
{
	struct store_undo *undo = &s->undo;
	const struct row *now = undo->now;

	assert(undo->armed);
	s->counts = undo->counts;
	undo->armed = false;
	if (!now)
		return;
	bool held = undo->was && overlay_holds(&s->overlay, undo->was);
	s->overlay.gone += held && undo->was->flags & ROW_GONE ? 1 : 0;
	if (undo->was) {
		index_put(&s->index[now->kind], undo->was);
		if (undo->was_open)
			overlay_revive(&s->overlay, undo->was);
	} else {
		index_remove(&s->index[now->kind], now->key);
	}
	s->overlay.rows -= !held;
	if (overlay_is_newest(&s->overlay, now))
		overlay_take_back(&s->overlay, now);
	else
		overlay_kill(&s->overlay, now);
}

/* ---- reading for start-up and tools ---- */

int store_walk(struct store *s, enum record_space space,
	       int (*each)(void *ctx, const void *key, uint32_t key_bytes, const void *value,
			   uint32_t value_bytes),
	       void *ctx)
{
	return lmdb_walk(s->lmdb, space, each, ctx);
}

const void *store_value(struct store *s, enum record_space space, const void *key, uint16_t key_bytes,
			uint32_t *value_bytes)
{
	return lmdb_get(s->lmdb, space, key, key_bytes, value_bytes);
}

const char *store_name(const struct store *s, uint32_t name)
{
	assert(name < s->layouts.names.count);
	return s->layouts.names.list[name].text;
}

static void remove_copy(const char *dir)
{
	char path[PATH_BYTES];

	if ((size_t)snprintf(path, sizeof path, "%s/data.mdb", dir) < sizeof path)
		unlink(path);
	rmdir(dir);
}

static int sync_parent(const char *dir)
{
	char path[PATH_BYTES];
	char *slash;

	snprintf(path, sizeof path, "%s", dir);
	slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = 0;
	int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) ? -errno : 0;
	close(fd);
	return rc;
}

/* Made aside and renamed: a copy that is there is whole. */
int store_copy(struct store *s, const char *dir)
{
	char aside[PATH_BYTES];
	int rc;

	if ((size_t)snprintf(aside, sizeof aside, "%s.new", dir) >= sizeof aside)
		return -ENAMETOOLONG;
	remove_copy(aside);
	rc = make_directories(dir);
	if (rc)
		return rc;
	rc = lmdb_copy(s->lmdb, aside);
	if (!rc && rename(aside, dir)) /* over an empty directory only */
		rc = -errno;
	if (rc) {
		remove_copy(aside);
		return rc;
	}
	return sync_parent(dir);
}

int store_copy_hash(const char *dir, struct hash128 *hash)
{
	char path[PATH_BYTES];
	XXH3_state_t *state = XXH3_createState();
	char *buffer = malloc(1 << 20);
	int rc = state && buffer ? 0 : -ENOMEM;
	size_t n;

	snprintf(path, sizeof path, "%s/data.mdb", dir);
	FILE *file = rc ? NULL : fopen(path, "rbe");
	if (!rc && !file)
		rc = -errno;
	if (!rc) {
		XXH3_128bits_reset(state);
		while ((n = fread(buffer, 1, 1 << 20, file)) > 0)
			XXH3_128bits_update(state, buffer, n);
		rc = ferror(file) ? -EIO : 0;
		XXH128_hash_t h = XXH3_128bits_digest(state);
		*hash = (struct hash128){ .low = h.low64, .high = h.high64 };
	}
	if (file)
		fclose(file);
	free(buffer);
	XXH3_freeState(state);
	return rc;
}

void store_sizes(struct store *s, struct store_sizes *out)
{
	*out = (struct store_sizes){ .customers = s->counts.customers,
				     .accounts = s->counts.accounts,
				     .subscriptions = s->counts.subscriptions,
				     .overlay_rows = s->overlay.rows,
				     .overlay_bytes = s->overlay.head - s->overlay.tail,
				     .overlay_bytes_max = s->overlay.bytes,
				     .file_bytes = lmdb_bytes(s->lmdb),
				     .checkpoints = s->counts.checkpoints,
				     .checkpoint_ns_last = s->checkpoint_ns_last,
				     .index_bytes = s->index[ROW_CUSTOMER].region.used +
						    s->index[ROW_ACCOUNT].region.used,
				     .moved_last = s->moved_last };
}
