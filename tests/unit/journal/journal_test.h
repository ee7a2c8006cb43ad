/*
 * journal_test.h: what the journal's tests share: a directory that goes away, a writer with a ring, a
 * reader's digest, files as bytes.
 */
#ifndef JOURNAL_TEST_H
#define JOURNAL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <journal/batch.h>
#include <journal/flight.h>
#include <journal/journal.h>
#include <journal/segment.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TAG = 7, SEGMENT = 65536 };

struct writer {
	char dir[64];
	struct journal_options options;
	struct journal *j;
	struct journal_tail tail;
	struct io_uring ring;
	char why[256];
};

static inline void dir_make(char dir[64], const char *parent)
{
	snprintf(dir, 64, "%s/journal-test-XXXXXX", parent);
	assert_non_null(mkdtemp(dir));
}

static inline void dir_remove(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *item;

	assert_non_null(d);
	while ((item = readdir(d)))
		if (item->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(d), item->d_name, 0), 0);
	closedir(d);
	assert_int_equal(rmdir(dir), 0);
}

static inline int writer_reopen(struct writer *w)
{
	w->j = NULL;
	return journal_open(&w->j, &w->options, &w->tail, w->why, sizeof(w->why));
}

static inline void writer_init_in(struct writer *w, const char *parent, uint64_t segment_bytes)
{
	memset(w, 0, sizeof(*w));
	dir_make(w->dir, parent);
	w->options = (struct journal_options){
		.dir = w->dir, .segment_bytes = segment_bytes, .sync = true, .user_data = TAG
	};
	assert_int_equal(io_uring_queue_init(32, &w->ring, 0), 0);
	if (writer_reopen(w) != 0)
		fail_msg("%s", w->why);
}

static inline void writer_init(struct writer *w)
{
	writer_init_in(w, "/tmp", SEGMENT);
}

static inline void writer_deinit(struct writer *w)
{
	journal_close(w->j);
	io_uring_queue_exit(&w->ring);
	dir_remove(w->dir);
}

/* As after a kill: what is on the disk, a new process. */
static inline void writer_restart(struct writer *w)
{
	journal_close(w->j);
	if (writer_reopen(w) != 0)
		fail_msg("%s", w->why);
}

static inline void pause_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Begins, waiting for a spare segment. */
static inline void writer_begin(struct writer *w, uint64_t term, int64_t now)
{
	int error;

	for (int i = 0; i < 5000 && (error = journal_begin(w->j, term, now)) == -EAGAIN; i++)
		pause_ms(1);
	assert_int_equal(error, 0);
}

static inline uint64_t writer_seal(struct writer *w)
{
	struct journal_seal seal = { .catalogue = { 1, 2 }, .outputs = { 3, 4 }, .interest_version = 5 };
	uint64_t number = journal_seal(w->j, &seal, &w->ring);

	assert_true(io_uring_submit(&w->ring) >= 0);
	return number;
}

static inline void cqe_take(struct writer *w, struct io_uring_cqe *out)
{
	struct __kernel_timespec patience = { .tv_sec = 10 };
	struct io_uring_cqe *cqe;

	assert_int_equal(io_uring_wait_cqe_timeout(&w->ring, &cqe, &patience), 0);
	out->user_data = cqe->user_data;
	out->res = cqe->res;
	out->flags = cqe->flags;
	io_uring_cqe_seen(&w->ring, cqe);
}

static inline void writer_wait(struct writer *w, uint64_t number)
{
	while (journal_durable(w->j) < number) {
		struct io_uring_cqe cqe;

		cqe_take(w, &cqe);
		assert_int_equal(journal_complete(w->j, &cqe, &w->ring), 0);
		assert_true(io_uring_submit(&w->ring) >= 0);
	}
}

/* The bytes of entry `position`: a few hundred at most, told by the position alone. */
static inline uint32_t entry_fill(uint8_t *bytes, uint64_t position)
{
	uint32_t count = (uint32_t)(position * 37 % 300);

	for (uint32_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(position * 7 + i);
	return count;
}

static inline uint64_t writer_fill(struct writer *w, uint32_t entries)
{
	uint8_t bytes[300];
	uint64_t position = 0, next = w->tail.position;

	for (uint32_t i = 0; i < entries; i++) {
		uint32_t count = entry_fill(bytes, next);
		const void *lent = journal_append(w->j, ENTRY_FRAME, 3, bytes, count, &position);

		assert_memory_equal(lent, bytes, count);
		assert_int_equal(position, next++);
	}
	w->tail.position = next;
	return position;
}

/* One durable, released batch of entries that entry_check knows again. */
static inline uint64_t writer_batch(struct writer *w, uint64_t term, uint32_t entries)
{
	uint64_t number;

	writer_begin(w, term, 1000);
	writer_fill(w, entries);
	number = writer_seal(w);
	writer_wait(w, number);
	journal_release(w->j, number);
	return number;
}

static inline void entry_check(const struct journal_entry *e, uint64_t position)
{
	uint8_t bytes[300];

	assert_int_equal(e->position, position);
	assert_int_equal(e->bytes, entry_fill(bytes, position));
	assert_memory_equal(e->data, bytes, e->bytes);
}

/* Reads all of a directory; every entry must be what entry_fill wrote. Returns what the last call gave. */
static inline int dir_read(const char *dir, uint64_t *batches, uint64_t *entries, char *why, size_t why_bytes)
{
	struct journal_reader *r;
	struct journal_batch_header h;
	struct journal_entry e;
	int got = journal_reader_open(&r, dir, 0, why, why_bytes);

	*batches = *entries = 0;
	if (got)
		return got;
	while ((got = journal_reader_batch(r, &h, why, why_bytes)) == 1) {
		++*batches;
		while (journal_reader_entry(r, &e))
			entry_check(&e, ++*entries);
	}
	journal_reader_close(r);
	return got;
}

static inline void path_of(char path[160], const char *dir, uint64_t segment)
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(name, segment);
	snprintf(path, 160, "%s/%s", dir, name);
}

static inline size_t file_load(const char *dir, uint64_t segment, uint8_t *bytes, size_t room)
{
	char path[160];
	size_t got;
	FILE *f;

	path_of(path, dir, segment);
	f = fopen(path, "rb");
	assert_non_null(f);
	got = fread(bytes, 1, room, f);
	fclose(f);
	return got;
}

static inline void file_store(const char *dir, uint64_t segment, const uint8_t *bytes, size_t count)
{
	char path[160];
	FILE *f;

	path_of(path, dir, segment);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, count, f), count);
	assert_int_equal(fclose(f), 0);
}

static inline bool file_is(const char *dir, uint64_t segment)
{
	char path[160];

	path_of(path, dir, segment);
	return access(path, F_OK) == 0;
}

static inline uint32_t file_count(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	uint64_t *numbers;
	uint32_t count;

	assert_int_equal(segment_list(fd, &numbers, &count), 0);
	free(numbers);
	close(fd);
	return count;
}

static inline struct journal_batch_header *header_at(uint8_t *image, size_t offset)
{
	return (struct journal_batch_header *)(void *)(image + offset);
}

#endif
