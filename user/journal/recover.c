/*
 * recover: what is done to a directory before it is written again (DESIGN 6, Recovery).
 *
 * In: the segments that a killed process left. Out: where the next batch goes, and what the journal ends
 * with. In this order: wait until the kernel has finished the dead process's writes (each segment is flocked
 * by the file that they are written through), read and check, refuse what is corrupt, overwrite the torn tail
 * with zeros, delete segments behind it, sync all that was not known to be durable. Killed in the middle, it
 * starts anew: nothing that it does makes a good batch bad or a torn one good.
 */
#include <errno.h>
#include <journal/recover.h>
#include <journal/walk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 2000 };

/* Waits for writes of a dead process: a segment has its name before it is written, and at most two are
 * written at a time. */
static int writes_wait(int dir_fd, const uint64_t *numbers, uint32_t count)
{
	char name[SEGMENT_NAME_BYTES];
	int error = 0;

	for (uint32_t i = count > 2 ? count - 2 : 0; i < count && !error; i++) {
		int fd;

		segment_name(name, numbers[i]);
		error = segment_open_write(dir_fd, name, false, &fd);
		if (error)
			break;
		error = segment_lock(fd, LOCK_WAIT_MS);
		close(fd);
	}
	return error;
}

/* All batches to the end. */
static int batches_read(struct walk *w, const struct journal_options *options, char *why, size_t why_bytes)
{
	int got = walk_next(w, why, why_bytes);

	if (got == 1 && w->last.shard != options->shard)
		return segment_why(why, why_bytes, -EINVAL, "the journal is that of shard %u, not %u",
				   w->last.shard, options->shard);
	while (got == 1)
		got = walk_next(w, why, why_bytes);
	if (got < 0)
		return got;
	if (!w->started && w->fd >= 0 && w->segment != 1)
		return segment_why(why, why_bytes, -EBADMSG,
				   "segment " SEGMENT_NAME_FORMAT
				   ", offset 0, batch %llu: unreadable, and it is the "
				   "oldest that is left",
				   (unsigned long long)w->segment, (unsigned long long)w->segment);
	return 0;
}

/* Deletes segments behind the one at hand: without a batch in front of them they are part of the torn tail.
 */
static int later_delete(const struct walk *w, const uint64_t *numbers, uint32_t count)
{
	char name[SEGMENT_NAME_BYTES];

	for (uint32_t i = 0; i < count; i++) {
		if (numbers[i] <= w->segment)
			continue;
		segment_name(name, numbers[i]);
		if (unlinkat(w->dir_fd, name, 0) != 0)
			return -errno;
	}
	return 0;
}

/* Opens the segment at hand for writing and overwrites what stands behind the last good batch. */
static int tail_cut(const struct walk *w, const struct segment_mode *mode, struct recovered *out)
{
	char name[SEGMENT_NAME_BYTES];
	struct stat st;
	int fd, error;

	segment_name(name, w->segment);
	error = segment_open_write(w->dir_fd, name, false, &fd);
	if (error)
		return error;
	if (w->tail.end > w->offset)
		error = segment_zero(fd, w->offset, w->tail.end);
	if (!error && fstat(fd, &st) != 0)
		error = -errno;
	close(fd);
	if (error)
		return error;
	out->segment = w->segment;
	out->offset = w->offset;
	out->bytes = (uint64_t)st.st_size & ~((uint64_t)mode->block - 1);
	error = segment_open_write(w->dir_fd, name, mode->direct, &out->fd);
	return error ? error : segment_lock(out->fd, 0);
}

/* Syncs every segment that holds a batch which the last one did not know to be durable; the last one always.
 */
static int segments_sync(const struct walk *w, const uint64_t *numbers, uint32_t count)
{
	char name[SEGMENT_NAME_BYTES];
	bool more = true;
	int error = 0, fd;

	for (uint32_t i = count; i-- > 0 && more && !error;) {
		if (numbers[i] > w->segment)
			continue;
		segment_name(name, numbers[i]);
		error = segment_open_write(w->dir_fd, name, false, &fd);
		if (error)
			break;
		error = fdatasync(fd) != 0 ? -errno : 0;
		close(fd);
		more = w->started && numbers[i] > w->last.durable_through;
	}
	if (!error && fsync(w->dir_fd) != 0)
		error = -errno;
	return error;
}

static void tail_describe(const struct walk *w, uint64_t base, struct journal_tail *tail,
			  struct recovered *out)
{
	*tail = (struct journal_tail){ .position = 1, .base_position = w->started ? base : 1 };
	tail->cut_batches = w->tail.batches;
	tail->cut_bytes = w->tail.bytes;
	if (!w->started)
		return;
	tail->batches = w->last.number;
	tail->position = w->last.first_position + w->last.entries;
	tail->term = w->last.term;
	tail->now = w->last.now;
	out->chain = w->last.chain;
}

static int recover_locked(struct walk *w, const struct journal_options *options,
			  const struct segment_mode *mode, const uint64_t *numbers, uint32_t count,
			  struct recovered *out, uint64_t *base, char *why, size_t why_bytes)
{
	int error = writes_wait(w->dir_fd, numbers, count);

	if (error)
		return segment_why(why, why_bytes, error, "a segment is in use: %s", strerror(-error));
	error = walk_start(w, options->from_position, base, why, why_bytes);
	if (!error)
		error = batches_read(w, options, why, why_bytes);
	if (error || w->fd < 0)
		return error;
	error = later_delete(w, numbers, count);
	if (!error)
		error = tail_cut(w, mode, out);
	if (!error)
		error = segments_sync(w, numbers, count);
	if (error)
		segment_why(why, why_bytes, error, "cannot cut the journal's tail: %s", strerror(-error));
	return error;
}

int journal_recover(const struct journal_options *options, int dir_fd, const struct segment_mode *mode,
		    struct journal_tail *tail, struct recovered *out, char *why, size_t why_bytes)
{
	struct walk w;
	uint64_t *numbers, base = 0;
	uint32_t count;
	int error = segment_list(dir_fd, &numbers, &count);

	*out = (struct recovered){ .fd = -1 };
	if (error)
		return segment_why(why, why_bytes, error, "cannot list the segments: %s", strerror(-error));
	error = walk_open(&w, options->dir, why, why_bytes);
	if (!error) {
		error = recover_locked(&w, options, mode, numbers, count, out, &base, why, why_bytes);
		if (!error)
			tail_describe(&w, base, tail, out);
		walk_close(&w);
	}
	free(numbers);
	if (error && out->fd >= 0) {
		close(out->fd);
		out->fd = -1;
	}
	return error;
}
