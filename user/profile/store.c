/*
 * store.c: golden records: LMDB below, the overlay of changed rows above, the checkpoint thread beside.
 *
 * In: keys, frame bodies (change.c), records of other stages. Out: rows that are lent from the overlay or the
 * map. The engine thread reads and changes; the checkpoint thread alone writes LMDB. A change has a
 * generation; begin cuts it, so that what changes while a checkpoint is written stays in the overlay when
 * poll drops what was committed. After open the engine thread allocates nothing: all memory is reserved
 * address space.
 *
 * What can go wrong: open (another process has the store, a damaged or newer store), activate (a layout that
 * does not go with what is stored), a commit (disk or map full: the old data are intact, and poll says so).
 * The rows of a failed commit stay in the overlay and go with the next checkpoint.
 *
 * Read on: overlay.c, layout.c (columns, names), row.c (the packed row), change.c (PROFILE, SUBSCRIBE),
 * lmdb.c.
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

static const char META_STORE[] = "store";
enum { META_STORE_BYTES = sizeof META_STORE - 1, PATH_BYTES = 4096 };

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
		lmdb_get(s->lmdb, RECORD_META, META_STORE, META_STORE_BYTES, &bytes);

	s->counts = (struct store_counts){ .version = STORE_VERSION };
	if (!counts)
		return 0;
	if (bytes != sizeof *counts || counts->version != STORE_VERSION) {
		snprintf(why, why_bytes, "this store has format %u, expected %d",
			 bytes >= 4 ? counts->version : 0, STORE_VERSION);
		return -EPROTONOSUPPORT;
	}
	s->counts = *counts;
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
	return rc ? rc
		  : records_init(&s->checkpoint.records,
				 o->records_bytes ? o->records_bytes : UINT64_C(8) << 30);
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

static int start_thread(struct store *s);
static enum record_space row_space(enum row_kind kind);

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
	int rc = index_init(&s->index[ROW_CUSTOMER], s->counts.customers);

	if (!rc)
		rc = index_init(&s->index[ROW_ACCOUNT], s->counts.accounts);
	if (!rc)
		rc = index_fill(s);
	if (rc)
		snprintf(why, why_bytes, "cannot index the rows: %s", strerror(-rc));
	s->indexed = rc == 0;
	return rc;
}

int store_open(struct store **out, const struct store_options *options, char *why, size_t why_bytes)
{
	struct store *s = calloc(1, sizeof *s);

	assert(!(options->read_only && options->thread));
	snprintf(why, why_bytes, "out of memory");
	if (!s)
		return -ENOMEM;
	s->lock_fd = -1;
	s->read_only = options->read_only;
	s->generation = 1;
	sem_init(&s->checkpoint.wake, 0, 0);
	sem_init(&s->checkpoint.done, 0, 0);
	int rc = take_memory(s, options);
	if (!rc)
		rc = open_directory(s, options, why, why_bytes);
	if (!rc)
		rc = open_lmdb(s, options, why, why_bytes);
	if (!rc && options->index)
		rc = index_make(s, why, why_bytes);
	if (!rc && options->thread)
		rc = start_thread(s);
	if (rc) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

static void stop_thread(struct checkpoint *c)
{
	if (!c->has_thread)
		return;
	c->stop = true;
	sem_post(&c->wake);
	pthread_join(c->thread, NULL); /* after a checkpoint that it was given */
}

void store_close(struct store *s)
{
	if (!s)
		return;
	stop_thread(&s->checkpoint);
	lmdb_close(s->lmdb);
	records_deinit(&s->checkpoint.records);
	sem_destroy(&s->checkpoint.wake);
	sem_destroy(&s->checkpoint.done);
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

static enum record_space row_space(enum row_kind kind)
{
	return kind == ROW_CUSTOMER ? RECORD_CUSTOMER : RECORD_ACCOUNT;
}

static const struct row *row_find(const struct store *s, enum row_kind kind, uint64_t key)
{
	if (s->indexed)
		return index_find(&s->index[kind], key);
	const struct row *row = overlay_find(&s->overlay, kind, key);
	uint32_t bytes;

	if (row)
		return row;
	row = lmdb_get(s->lmdb, row_space(kind), &key, sizeof key, &bytes);
	/* a row that is not what its key says is a damaged store: stop, never misread */
	assert(!row || (bytes == row->bytes && row->kind == kind && row->key == key));
	return row;
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
	if (s->indexed) {
		index_find_many(&s->index[kind], keys, count, rows);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		rows[i] = keys[i] ? row_find(s, kind, keys[i]) : NULL;
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

/* For store_undo: what the row of this change was before the first change since the mark. */
static void undo_remember(struct store *s, enum row_kind kind, uint64_t key, const struct row *old)
{
	struct store_undo *undo = &s->undo;

	if (!undo->armed)
		return;
	assert(!undo->kind || (undo->kind == kind && undo->key == key));
	if (undo->kind)
		return;
	undo->kind = kind;
	undo->key = key;
	undo->was_changed = overlay_find(&s->overlay, kind, key) != NULL;
	if (undo->was_changed)
		memcpy(undo->row, old, old->bytes);
}

void store_put(struct store *s, int64_t subscriptions_more)
{
	const struct row *row = (const struct row *)s->row;
	const struct row *old = row_find(s, (enum row_kind)row->kind, row->key);

	undo_remember(s, (enum row_kind)row->kind, row->key, old);
	if (!old && row->kind == ROW_CUSTOMER)
		s->counts.customers++;
	if (!old && row->kind == ROW_ACCOUNT)
		s->counts.accounts++;
	s->counts.subscriptions += (uint64_t)subscriptions_more;
	overlay_put(&s->overlay, row, s->generation);
	if (s->indexed)
		index_put(&s->index[row->kind],
			  overlay_find(&s->overlay, (enum row_kind)row->kind, row->key));
}

void store_mark(struct store *s)
{
	assert(!s->indexed); /* import */
	s->undo.armed = true;
	s->undo.kind = 0;
	s->undo.counts = s->counts;
}

void store_undo(struct store *s)
{
	struct store_undo *undo = &s->undo;

	assert(undo->armed);
	s->counts = undo->counts;
	if (undo->kind && undo->was_changed)
		overlay_put(&s->overlay, (const struct row *)undo->row, s->generation);
	else if (undo->kind)
		overlay_remove(&s->overlay, undo->kind, undo->key);
	undo->armed = false;
}

/* ---- checkpoints ---- */

static int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Writes the records as one transaction, or into the one that is held open. */
static int write_records(struct store *s)
{
	const struct records *records = &s->checkpoint.records;
	int rc;

	if (records->full)
		return -ENOSPC;
	if (s->holding)
		return lmdb_write_put(s->lmdb, records);
	rc = lmdb_write_begin(s->lmdb);
	if (rc)
		return rc;
	rc = lmdb_write_put(s->lmdb, records);
	if (rc) {
		lmdb_write_abort(s->lmdb);
		return rc;
	}
	return lmdb_write_commit(s->lmdb);
}

static void write_checkpoint(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	int64_t start = clock_ns();

	c->error = write_records(s);
	records_reset(&c->records);
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
			write_checkpoint(s);
		if (s->checkpoint.stop)
			return NULL;
	}
}

static int start_thread(struct store *s)
{
	int rc = pthread_create(&s->checkpoint.thread, NULL, checkpoint_thread, s);

	s->checkpoint.has_thread = rc == 0;
	return -rc;
}

static void records_put_row(struct records *records, const struct row *row)
{
	void *value = records_put(records, row_space((enum row_kind)row->kind), &row->key, sizeof row->key,
				  row->bytes);

	if (value)
		memcpy(value, row, row->bytes);
}

/* Customers, then accounts: what came in ascending order needs no sorting. */
static void records_put_rows(const struct store *s, struct records *records)
{
	for (enum row_kind kind = ROW_CUSTOMER; kind <= ROW_ACCOUNT; kind++)
		for (uint32_t i = 0; i < s->overlay.count; i++)
			if (s->overlay.entries[i].kind == kind)
				records_put_row(records, s->overlay.entries[i].row);
}

struct records *store_checkpoint_begin(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;

	assert(!s->read_only);
	if (atomic_load(&c->state) != CHECKPOINT_IDLE)
		return NULL;
	c->cut = s->generation++;
	struct store_counts counts = s->counts;
	counts.checkpoints++;
	void *value = records_put(&c->records, RECORD_META, META_STORE, META_STORE_BYTES, sizeof counts);
	if (value)
		memcpy(value, &counts, sizeof counts);
	layouts_records(&s->layouts, s->committed, &c->records);
	records_put_rows(s, &c->records);
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
		write_checkpoint(s);
}

bool store_checkpoint_running(const struct store *s)
{
	return atomic_load(&s->checkpoint.state) != CHECKPOINT_IDLE;
}

/* All rows have moved. */
static void index_again(struct store *s)
{
	index_clear(&s->index[ROW_CUSTOMER]);
	index_clear(&s->index[ROW_ACCOUNT]);
	int rc = index_fill(s);
	assert(rc == 0);
	for (uint32_t i = 0; i < s->overlay.count; i++)
		index_put(&s->index[s->overlay.entries[i].kind], s->overlay.entries[i].row);
}

bool store_checkpoint_poll(struct store *s, int *error)
{
	struct checkpoint *c = &s->checkpoint;

	if (atomic_load(&c->state) != CHECKPOINT_DONE)
		return false;
	while (sem_wait(&c->done)) /* was posted; taken so that a wait never counts it twice */
		;
	*error = c->error;
	s->checkpoint_ns_last = c->ns;
	if (!c->error) {
		s->committed = c->cut;
		s->counts.checkpoints++;
		if (!s->holding)
			lmdb_renew(s->lmdb);
		overlay_drop(&s->overlay, c->cut);
		if (s->indexed)
			index_again(s);
	}
	atomic_store(&c->state, CHECKPOINT_IDLE);
	return true;
}

int store_checkpoint_wait(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	int error = 0;

	assert(atomic_load(&c->state) >= CHECKPOINT_WRITING);
	while (sem_wait(&c->done))
		;
	sem_post(&c->done);
	bool done = store_checkpoint_poll(s, &error);
	assert(done);
	return error;
}

/* ---- one transaction over many checkpoints (import) ---- */

int store_hold(struct store *s)
{
	assert(!s->checkpoint.has_thread && !s->read_only && !s->holding && !s->indexed);
	int rc = lmdb_write_begin(s->lmdb);

	if (rc)
		return rc;
	s->holding = true;
	lmdb_read_own_writes(s->lmdb, true);
	return 0;
}

int store_release(struct store *s, bool commit)
{
	int rc = 0;

	assert(s->holding && !store_checkpoint_running(s));
	assert(!commit || s->overlay.count == 0);
	s->holding = false;
	if (commit)
		rc = lmdb_write_commit(s->lmdb);
	else
		lmdb_write_abort(s->lmdb);
	lmdb_renew(s->lmdb);
	return rc;
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
				     .overlay_rows = s->overlay.count,
				     .overlay_bytes = s->overlay.slab.bytes_in_use,
				     .overlay_bytes_max = s->overlay.slab.bytes_max,
				     .file_bytes = lmdb_bytes(s->lmdb),
				     .checkpoints = s->counts.checkpoints,
				     .checkpoint_ns_last = s->checkpoint_ns_last };
}
