/*
 * reader: the journal read batch by batch, for recovery, replay and tools.
 *
 * In: a directory, a position. Out: headers, entries, SEEN records, in order, each checked by the walk before
 * it is lent. What is lent lies in the walk's window until the next batch is read. Nothing is written, no
 * lock is taken: a writer may be at work, and what it has not finished is the end.
 */
#include <assert.h>
#include <errno.h>
#include <journal/journal.h>
#include <journal/segment.h>
#include <journal/walk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct journal_reader {
	struct walk walk;
	bool pending;		/* the batch at hand was found by open and not given yet */
	size_t at;		/* offset of the next entry or SEEN record from the batch's header */
	uint32_t entries, seen; /* how many were given */
};

/* Walks to the batch that holds `position`: 0 or -errno. */
static int reader_seek(struct journal_reader *r, uint64_t position, char *why, size_t why_bytes)
{
	const struct journal_batch_header *last = &r->walk.last;
	int got;

	do {
		got = walk_next(&r->walk, why, why_bytes);
		if (got < 0)
			return got;
		r->pending = got == 1;
	} while (r->pending && last->first_position < position &&
		 last->first_position + last->entries <= position);
	if (r->pending || position == 0 ||
	    position == (r->walk.started ? last->first_position + last->entries : 1))
		return 0;
	return segment_why(why, why_bytes, -ENOENT, "position %llu is not written yet",
			   (unsigned long long)position);
}

int journal_reader_open(struct journal_reader **out, const char *dir, uint64_t position, char *why,
			size_t why_bytes)
{
	struct journal_reader *r = calloc(1, sizeof(*r));
	uint64_t base;
	int error;

	*out = NULL;
	if (!r)
		return segment_why(why, why_bytes, -ENOMEM, "out of memory");
	error = walk_open(&r->walk, dir, why, why_bytes);
	if (error)
		goto memory;
	error = walk_start(&r->walk, position, &base, why, why_bytes);
	if (!error && position > 0 && base > position)
		error = segment_why(why, why_bytes, -ENOENT, "position %llu is gone, the oldest is %llu",
				    (unsigned long long)position, (unsigned long long)base);
	if (!error)
		error = reader_seek(r, position, why, why_bytes);
	if (error)
		goto walk;
	*out = r;
	return 0;
walk:
	walk_close(&r->walk);
memory:
	free(r);
	return error;
}

void journal_reader_close(struct journal_reader *r)
{
	if (!r)
		return;
	walk_close(&r->walk);
	free(r);
}

int journal_reader_batch(struct journal_reader *r, struct journal_batch_header *header, char *why,
			 size_t why_bytes)
{
	int got = r->pending ? 1 : walk_next(&r->walk, why, why_bytes);

	r->pending = false;
	r->at = sizeof(*header);
	r->entries = r->seen = 0;
	if (got == 1)
		*header = r->walk.last;
	return got;
}

bool journal_reader_entry(struct journal_reader *r, struct journal_entry *entry)
{
	const struct journal_batch_header *h = r->walk.batch;
	const struct journal_entry_header *e;

	if (!h || r->pending || r->entries == h->entries)
		return false;
	e = batch_entry_next(h, &r->at);
	*entry = (struct journal_entry){ .position = h->first_position + r->entries++,
					 .kind = e->kind,
					 .source = e->source,
					 .bytes = e->bytes,
					 .data = (const uint8_t *)(e + 1) };
	return true;
}

bool journal_reader_seen(struct journal_reader *r, struct journal_seen *seen,
			 const struct journal_dropped **dropped)
{
	const struct journal_batch_header *h = r->walk.batch;
	const struct journal_seen *found;
	struct journal_entry skipped;

	while (journal_reader_entry(r, &skipped))
		;
	if (!h || r->pending || r->seen == h->seen_records)
		return false;
	r->seen++;
	found = batch_seen_next(h, &r->at);
	memcpy(seen, found, sizeof(*seen));
	*dropped = (const void *)(found + 1);
	return true;
}

/* ---- deleting ---- */

/* Deletes from the oldest on while the next one begins below `position`. */
static int truncate_list(int dir_fd, const uint64_t *numbers, uint32_t count, uint64_t position)
{
	struct journal_batch_header next;
	char name[SEGMENT_NAME_BYTES];
	int deleted = 0;

	for (uint32_t i = 0; i + 1 < count; i++) {
		int got = walk_first_header(dir_fd, numbers[i + 1], &next);

		if (got < 0)
			return got;
		if (got == 0 || next.first_position >= position)
			break;
		segment_name(name, numbers[i]);
		if (unlinkat(dir_fd, name, 0) != 0)
			return -errno;
		deleted++;
	}
	return deleted;
}

int journal_truncate_before(const char *dir, uint64_t position)
{
	struct walk walk;
	uint64_t *numbers;
	uint32_t count;
	int deleted = walk_open(&walk, dir, NULL, 0);

	if (deleted)
		return deleted;
	deleted = segment_list(walk.dir_fd, &numbers, &count);
	if (!deleted) {
		deleted = truncate_list(walk.dir_fd, numbers, count, position);
		free(numbers);
	}
	if (deleted > 0 && fsync(walk.dir_fd) != 0)
		deleted = -errno;
	walk_close(&walk);
	return deleted;
}
