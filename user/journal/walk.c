/*
 * walk: from batch to batch through the segments of a directory.
 *
 * In: a directory, perhaps with a writer at work in it. Out: each batch, checked, in a window that the walk
 * owns; at the end what stands behind it. Three things can be found where a batch should be: the batch;
 * something else, while no later header says that the batch was durable (the end, or a torn tail); something
 * else, and one says so (corruption). A batch that comes next by number and term, has the right crc and is
 * wrong all the same was never torn: corruption as well.
 *
 * Read walk_next first, then batch_take and tail_search.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <journal/segment.h>
#include <journal/walk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES sizeof(struct journal_batch_header)
enum { WINDOW_BYTES_MIN = 1 << 20 };

static uint64_t walk_expected(const struct walk *w)
{
	return w->started ? w->last.number + 1 : w->segment;
}

/* ---- the window ---- */

static int window_grow(struct walk *w, size_t need)
{
	size_t room = need > WINDOW_BYTES_MIN ? batch_pad(need, WINDOW_BYTES_MIN) : WINDOW_BYTES_MIN;

	if (room <= w->window_room)
		return 0;
	free(w->window);
	w->window = malloc(room);
	w->window_room = w->window ? room : 0;
	w->window_bytes = 0;
	return w->window ? 0 : -ENOMEM;
}

/* Fills the window from `offset` of `fd`. */
static int window_fill(struct walk *w, int fd, uint64_t offset)
{
	w->window_at = offset;
	w->window_bytes = 0;
	while (w->window_bytes < w->window_room) {
		ssize_t got = pread(fd, w->window + w->window_bytes, w->window_room - w->window_bytes,
				    (off_t)(offset + w->window_bytes));

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return 0;
		w->window_bytes += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

/* `need` bytes at `offset`: 1 with *bytes, 0 when the segment is shorter, -errno. */
static int window_load(struct walk *w, uint64_t offset, size_t need, const void **bytes)
{
	int error;

	if (offset < w->window_at || offset + need > w->window_at + w->window_bytes) {
		error = window_grow(w, need);
		if (!error)
			error = window_fill(w, w->fd, offset);
		if (error)
			return error;
	}
	*bytes = w->window + (offset - w->window_at);
	return offset + need <= w->window_at + w->window_bytes;
}

/* ---- segments ---- */

static int segment_enter(struct walk *w, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];
	int fd;

	segment_name(name, number);
	fd = openat(w->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
	w->segment = number;
	w->offset = 0;
	w->window_bytes = 0;
	w->searched = false;
	return 0;
}

int walk_first_header(int dir_fd, uint64_t segment, struct journal_batch_header *header)
{
	char name[SEGMENT_NAME_BYTES];
	ssize_t got;
	int fd;

	segment_name(name, segment);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = pread(fd, header, HEADER_BYTES, 0);
	got = got < 0 ? -errno : got;
	close(fd);
	if (got < 0)
		return (int)got;
	return got == (ssize_t)HEADER_BYTES && batch_header_good(header) && header->number == segment;
}

int walk_open(struct walk *w, const char *dir, char *why, size_t why_bytes)
{
	*w = (struct walk){ .fd = -1 };
	w->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir_fd < 0)
		return segment_why(why, why_bytes, -errno, "cannot open %s: %s", dir, strerror(errno));
	return 0;
}

void walk_close(struct walk *w)
{
	if (w->fd >= 0)
		close(w->fd);
	close(w->dir_fd);
	free(w->window);
}

/* Picks the segment to start in; older ones must follow each other by number, position and term. */
static int start_pick(const struct walk *w, const uint64_t *numbers, uint32_t count, uint64_t position,
		      uint32_t *picked, uint64_t *base, char *why, size_t why_bytes)
{
	struct journal_batch_header before = { 0 }, first;

	*picked = 0;
	for (uint32_t i = 0; i < count; i++) {
		int got = walk_first_header(w->dir_fd, numbers[i], &first);

		if (got < 0)
			return segment_why(why, why_bytes, got, "segment " SEGMENT_NAME_FORMAT ": %s",
					   (unsigned long long)numbers[i], strerror(-got));
		if (i == 0)
			*base = got ? first.first_position : 0;
		if (!got || (i > 0 && position <= first.first_position))
			continue; /* one that is not good is met again by walk_next */
		if (first.first_position < before.first_position || first.term < before.term)
			return segment_why(why, why_bytes, -EBADMSG,
					   "segment " SEGMENT_NAME_FORMAT
					   ", offset 0, batch %llu: begins before "
					   "the segment in front of it",
					   (unsigned long long)numbers[i], (unsigned long long)numbers[i]);
		before = first;
		*picked = i;
	}
	return 0;
}

int walk_start(struct walk *w, uint64_t position, uint64_t *base, char *why, size_t why_bytes)
{
	uint64_t *numbers;
	uint32_t count, picked;
	int error = segment_list(w->dir_fd, &numbers, &count);

	*base = 0;
	if (error)
		return segment_why(why, why_bytes, error, "cannot list the segments: %s", strerror(-error));
	error = start_pick(w, numbers, count, position, &picked, base, why, why_bytes);
	if (!error && count > 0) {
		error = segment_enter(w, numbers[picked]);
		if (error)
			segment_why(why, why_bytes, error, "cannot open a segment: %s", strerror(-error));
	}
	free(numbers);
	return error;
}

/* ---- a batch ---- */

static int batch_wrong(const struct walk *w, const char *what, char *why, size_t why_bytes)
{
	return segment_why(why, why_bytes, -EBADMSG,
			   "segment " SEGMENT_NAME_FORMAT ", offset %llu, batch %llu: %s",
			   (unsigned long long)w->segment, (unsigned long long)w->offset,
			   (unsigned long long)walk_expected(w), what);
}

/* What a batch that comes next and has the right crc must still be. NULL = all right. */
static const char *batch_check(const struct walk *w, const struct journal_batch_header *h)
{
	static const struct hash128 zero;
	const struct hash128 *before = w->started ? &w->last.chain : h->number == 1 ? &zero : NULL;

	if (w->started && h->shard != w->last.shard)
		return "its shard differs from that of the batch before";
	if (h->first_position != (w->started ? w->last.first_position + w->last.entries : 1) &&
	    (w->started || h->number == 1))
		return "its first position does not follow";
	return batch_body_check(h, before);
}

/* The batch at the offset at hand: 1, 0 when there is none that comes next and is whole, -errno. */
static int batch_take(struct walk *w, char *why, size_t why_bytes)
{
	const struct journal_batch_header *h;
	const void *bytes;
	const char *wrong;
	int got = window_load(w, w->offset, HEADER_BYTES, &bytes);

	if (got <= 0)
		return got;
	h = bytes;
	if (!batch_header_good(h) || h->number != walk_expected(w) || (w->started && h->term < w->last.term))
		return 0;
	got = window_load(w, w->offset, h->padded_bytes, &bytes);
	if (got <= 0)
		return got;
	h = bytes;
	/* A second read of the header: a writer may have been there in between. */
	if (!batch_header_good(h) || h->number != walk_expected(w) ||
	    h->padded_bytes > w->window_at + w->window_bytes - w->offset || !batch_crc_right(h))
		return 0;
	wrong = batch_check(w, h);
	if (wrong)
		return batch_wrong(w, wrong, why, why_bytes);
	w->batch = h;
	w->last = *h;
	w->started = true;
	w->batch_offset = w->offset;
	w->offset += h->padded_bytes;
	w->searched = false;
	return 1;
}

/* ---- the end ---- */

static bool all_zeros(const uint8_t *bytes, size_t count)
{
	uint64_t any = 0, word;
	size_t at = 0;

	for (; at + 8 <= count; at += 8) {
		memcpy(&word, bytes + at, 8);
		any |= word;
	}
	for (; at < count; at++)
		any |= bytes[at];
	return any == 0;
}

/* A header behind the end: does it say that the batch which should stand at the end was durable? */
static bool header_says_durable(const struct walk *w, const struct journal_batch_header *h)
{
	if (w->started && (h->shard != w->last.shard || h->term < w->last.term))
		return false;
	return h->number > walk_expected(w) && h->durable_through >= walk_expected(w);
}

/* Looks at one step of a segment behind the end. True: it says so. */
static bool tail_step(const struct walk *w, const uint8_t *bytes, size_t count, uint64_t offset,
		      struct walk_tail *tail)
{
	const struct journal_batch_header *h = (const void *)bytes;

	if (all_zeros(bytes, count))
		return false;
	tail->end = offset + count;
	if (count < HEADER_BYTES || !batch_header_good(h))
		return false;
	tail->batches++;
	return header_says_durable(w, h);
}

/* Looks through a segment from `offset` on: 1 when a header says so, 0, -errno. Uses the window. */
static int tail_segment(struct walk *w, int fd, uint64_t offset, struct walk_tail *tail)
{
	int error = window_grow(w, WINDOW_BYTES_MIN);

	tail->end = offset;
	for (; !error; offset += w->window_bytes) {
		error = window_fill(w, fd, offset);
		if (error || w->window_bytes == 0)
			break;
		for (size_t at = 0; at < w->window_bytes; at += BATCH_STEP) {
			size_t left = w->window_bytes - at;

			if (tail_step(w, w->window + at, left < BATCH_STEP ? left : BATCH_STEP, offset + at,
				      tail))
				return 1;
		}
	}
	return error;
}

static int tail_later(struct walk *w, uint64_t number, struct walk_tail *tail)
{
	char name[SEGMENT_NAME_BYTES];
	int fd, found;

	segment_name(name, number);
	fd = openat(w->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	found = tail_segment(w, fd, 0, tail);
	close(fd);
	return found;
}

/* All that stands behind the end: 1 when something says that the batch there was durable, 0 with w->tail,
 * -errno. */
static int tail_search(struct walk *w)
{
	struct walk_tail tail = { 0 }, later = { 0 };
	uint64_t *numbers;
	uint32_t count;
	int found = tail_segment(w, w->fd, w->offset, &tail);

	if (found)
		return found;
	tail.bytes = tail.end - w->offset;
	found = segment_list(w->dir_fd, &numbers, &count);
	for (uint32_t i = 0; i < count && !found; i++) {
		if (numbers[i] <= w->segment)
			continue;
		found = tail_later(w, numbers[i], &later);
		tail.bytes += later.end;
	}
	free(numbers);
	tail.batches += later.batches;
	if (tail.batches == 0 && tail.bytes > 0)
		tail.batches = 1; /* not even a header */
	w->tail = tail;
	return found;
}

/* The batch directly behind the last one, or at the start of the segment that is named after it. */
static int next_try(struct walk *w, char *why, size_t why_bytes)
{
	int got;

	w->window_bytes = w->searched ? 0 : w->window_bytes;
	got = batch_take(w, why, why_bytes);
	if (got != 0 || !w->started)
		return got;
	if (w->last.number + 1 == w->segment) /* already there: its first batch is not written yet */
		return 0;
	got = segment_enter(w, w->last.number + 1);
	if (got == 0)
		return batch_take(w, why, why_bytes);
	return got == -ENOENT ? 0 : got;
}

static bool was_deleted(const struct walk *w)
{
	uint64_t *numbers;
	uint32_t count;
	bool deleted = false;

	if (segment_list(w->dir_fd, &numbers, &count) == 0)
		deleted = count > 0 && numbers[0] > walk_expected(w);
	free(numbers);
	return deleted;
}

/* Nothing is there. The end, or damage? A writer may have finished the batch while we looked: look once more.
 */
static int next_missing(struct walk *w, char *why, size_t why_bytes)
{
	int got = tail_search(w);

	w->window_bytes = 0; /* the search has used it, and a next try must read anew */
	w->searched = got == 0;
	if (got < 0)
		return segment_why(why, why_bytes, got, "cannot read the journal's end: %s", strerror(-got));
	if (got == 0)
		return 0;
	got = next_try(w, why, why_bytes);
	if (got != 0)
		return got;
	if (was_deleted(w))
		return segment_why(why, why_bytes, -ENOENT, "batch %llu was deleted before it was read",
				   (unsigned long long)walk_expected(w));
	return batch_wrong(w, "unreadable, but a later batch says that it was durable", why, why_bytes);
}

int walk_next(struct walk *w, char *why, size_t why_bytes)
{
	uint64_t base;
	int got;

	w->batch = NULL;
	if (w->fd < 0) { /* there was no segment yet */
		got = walk_start(w, 0, &base, why, why_bytes);
		if (got < 0 || w->fd < 0)
			return got;
	}
	got = next_try(w, why, why_bytes);
	if (got != 0) {
		if (got < 0 && got != -EBADMSG)
			segment_why(why, why_bytes, got, "cannot read the journal: %s", strerror(-got));
		return got;
	}
	if (w->searched)
		return 0;
	return next_missing(w, why, why_bytes);
}
