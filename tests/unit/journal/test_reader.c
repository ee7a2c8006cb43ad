// needs: user/journal/*.c user/base/crc32c.c
/*
 * test_reader.c: reading from a position, while a writer writes, after segments were deleted; and the
 * independent reader in Python (tests/model/journal.py, run from the tree's root) says the same as this one.
 */
#include "journal_test.h"

#include <base/crc32c.h>
#include <pthread.h>

enum { SMALL = 8192 };

static void reader_starts_at_the_batch_that_holds_a_position(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	struct journal_entry e;
	struct writer w;

	(void)state;
	writer_init_in(&w, "/dev/shm", SMALL);
	for (int i = 0; i < 30; i++)
		writer_batch(&w, 1, 7);
	assert_true(file_count(w.dir) > 3);
	for (uint64_t position = 1; position <= 210; position++) {
		assert_int_equal(journal_reader_open(&r, w.dir, position, w.why, sizeof(w.why)), 0);
		assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
		assert_int_equal(h.first_position, (position - 1) / 7 * 7 + 1);
		assert_true(journal_reader_entry(r, &e));
		entry_check(&e, h.first_position);
		journal_reader_close(r);
	}
	writer_deinit(&w);
}

static void reader_refuses_positions_that_are_not_there(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	struct writer w;

	(void)state;
	writer_init(&w);
	assert_int_equal(journal_reader_open(&r, w.dir, 2, w.why, sizeof(w.why)), -ENOENT);
	writer_batch(&w, 1, 5);
	assert_int_equal(journal_reader_open(&r, w.dir, 7, w.why, sizeof(w.why)), -ENOENT);
	assert_non_null(strstr(w.why, "position 7 is not written yet"));
	assert_null(r);
	assert_int_equal(journal_reader_open(&r, "/tmp/journal-test-none", 1, w.why, sizeof(w.why)), -ENOENT);
	/* The one that comes next is allowed: nothing yet, and then it is there. */
	assert_int_equal(journal_reader_open(&r, w.dir, 6, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 0);
	writer_batch(&w, 1, 1);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(h.first_position, 6);
	journal_reader_close(r);
	writer_deinit(&w);
}

static void reader_gives_seen_only_batches_that_stand_at_its_position(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_batch(&w, 1, 5); /* 1: positions 1 to 5 */
	writer_batch(&w, 1, 0); /* 2 and 3: without entries, at 6 */
	writer_batch(&w, 1, 0);
	writer_batch(&w, 1, 5); /* 4: 6 to 10 */
	assert_int_equal(journal_reader_open(&r, w.dir, 6, w.why, sizeof(w.why)), 0);
	for (uint64_t number = 2; number <= 4; number++) {
		assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
		assert_int_equal(h.number, number);
	}
	journal_reader_close(r);
	assert_int_equal(journal_reader_open(&r, w.dir, 7, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(h.number, 4);
	journal_reader_close(r);
	writer_deinit(&w);
}

static void reader_keeps_positions_with_seen_over_a_segment_edge(void **state)
{
	struct journal_batch_header h, last = { 0 };
	struct journal_reader *r;
	struct writer w;
	uint64_t number = 0;

	(void)state;
	writer_init_in(&w, "/tmp", SMALL);
	writer_batch(&w, 1, 5);
	while (file_count(w.dir) < 3) /* SEEN-only batches, all at position 6, over two edges */
		number = writer_batch(&w, 1, 0);
	assert_int_equal(journal_reader_open(&r, w.dir, 6, w.why, sizeof(w.why)), 0);
	for (uint64_t i = 2; journal_reader_batch(r, &h, w.why, sizeof(w.why)) == 1; i++) {
		assert_int_equal(h.number, i);
		last = h;
	}
	assert_int_equal(last.number, number);
	journal_reader_close(r);
	/* and none of them is deleted for a base at 6 */
	assert_int_equal(journal_truncate_before(w.dir, 6), 0);
	writer_deinit(&w);
}

static void reader_stops_at_a_batch_that_is_half_written_and_goes_on(void **state)
{
	static uint8_t image[SEGMENT], torn[SEGMENT];
	struct journal_batch_header h;
	struct journal_reader *r;
	struct writer w;
	size_t last = 0;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 3; i++)
		writer_batch(&w, 1, 9);
	assert_int_equal(file_load(w.dir, 1, image, SEGMENT), SEGMENT);
	for (int i = 0; i < 2; i++)
		last += header_at(image, last)->padded_bytes;
	memcpy(torn, image, SEGMENT);
	memset(torn + last + 300, 0, SEGMENT - last - 300);
	file_store(w.dir, 1, torn, SEGMENT);
	assert_int_equal(journal_reader_open(&r, w.dir, 1, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 0);
	file_store(w.dir, 1, image, SEGMENT);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(h.number, 3);
	journal_reader_close(r);
	writer_deinit(&w);
}

static void reader_entries_and_seen_may_be_left_unread(void **state)
{
	struct journal_seen seen = { .source = 3, .first = 1, .seen = 2 }, got;
	const struct journal_dropped *dropped;
	struct journal_batch_header h;
	struct journal_reader *r;
	struct journal_entry e;
	struct writer w;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 3; i++) {
		writer_begin(&w, 1, 0);
		writer_fill(&w, 5);
		journal_seen(w.j, &seen, NULL);
		writer_wait(&w, writer_seal(&w));
	}
	assert_int_equal(journal_reader_open(&r, w.dir, 1, w.why, sizeof(w.why)), 0);
	assert_false(journal_reader_entry(r, &e)); /* no batch yet */
	assert_false(journal_reader_seen(r, &got, &dropped));
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_true(journal_reader_entry(r, &e));
	entry_check(&e, 6);
	assert_true(journal_reader_seen(r, &got, &dropped)); /* skips entries 7 to 10 */
	assert_memory_equal(&got, &seen, sizeof(seen));
	assert_false(journal_reader_entry(r, &e));
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_true(journal_reader_entry(r, &e));
	entry_check(&e, 11);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 0);
	assert_false(journal_reader_entry(r, &e));
	assert_false(journal_reader_seen(r, &got, &dropped));
	journal_reader_close(r);
	writer_deinit(&w);
}

/* ---- a live writer ---- */

enum { LIVE_BATCHES = 400 };

struct follow {
	const char *dir;
	uint64_t batches, entries;
	int got;
	char why[256];
};

static void *follow_run(void *context)
{
	struct follow *f = context;
	struct journal_batch_header h;
	struct journal_reader *r;
	struct journal_entry e;

	f->got = journal_reader_open(&r, f->dir, 1, f->why, sizeof(f->why));
	if (f->got)
		return NULL;
	for (int waits = 0; f->batches < LIVE_BATCHES && waits < 10000;) {
		f->got = journal_reader_batch(r, &h, f->why, sizeof(f->why));
		if (f->got < 0)
			break;
		if (f->got == 0) {
			waits++;
			pause_ms(1);
			continue;
		}
		f->batches++;
		while (journal_reader_entry(r, &e)) {
			uint8_t bytes[300];
			uint32_t count = entry_fill(bytes, ++f->entries);

			if (e.position != f->entries || e.bytes != count || memcmp(e.data, bytes, count) != 0)
				f->got = -1;
		}
	}
	journal_reader_close(r);
	return NULL;
}

static void follows_in(const char *parent)
{
	struct follow f = { 0 };
	pthread_t thread;
	struct writer w;

	writer_init_in(&w, parent, SEGMENT);
	f.dir = w.dir;
	assert_int_equal(pthread_create(&thread, NULL, follow_run, &f), 0);
	for (uint64_t i = 1; i <= LIVE_BATCHES; i += 2) { /* two in flight */
		for (int k = 0; k < 2; k++) {
			int error;

			while ((error = journal_begin(w.j, 1, 0)) == -EAGAIN) {
				writer_wait(&w, i - 1 + k);
				pause_ms(1);
			}
			assert_int_equal(error, 0);
			writer_fill(&w, (uint32_t)(i % 40));
			assert_int_equal(writer_seal(&w), i + k);
		}
		writer_wait(&w, i + 1);
		journal_release(w.j, i);
		journal_release(w.j, i + 1);
	}
	pthread_join(thread, NULL);
	if (f.got < 0)
		fail_msg("%d after batch %llu: %s", f.got, (unsigned long long)f.batches, f.why);
	assert_int_equal(f.batches, LIVE_BATCHES);
	assert_int_equal(f.entries, w.tail.position - 1);
	assert_true(file_count(w.dir) > 3);
	writer_deinit(&w);
}

static void reader_follows_a_writer(void **state)
{
	(void)state;
	follows_in("/tmp");
	follows_in("/dev/shm");
}

/* ---- deleting ---- */

static void journal_truncate_deletes_whole_segments_before_a_position(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	uint64_t numbers[40], count = 0;
	struct writer w;

	(void)state;
	writer_init_in(&w, "/dev/shm", SMALL);
	for (int i = 0; i < 30; i++)
		writer_batch(&w, 1, 7);
	for (uint64_t n = 1; n <= 30; n++)
		if (file_is(w.dir, n))
			numbers[count++] = n;
	assert_true(count >= 6);
	assert_int_equal(journal_truncate_before(w.dir, 0), 0);
	assert_int_equal(journal_truncate_before(w.dir, 1), 0);
	/* The second segment's first position: its predecessor stays, for SEEN records that stand there. */
	assert_int_equal(journal_truncate_before(w.dir, (numbers[1] - 1) * 7 + 1), 0);
	assert_int_equal(journal_truncate_before(w.dir, (numbers[1] - 1) * 7 + 2), 1);
	assert_false(file_is(w.dir, 1));
	assert_int_equal(journal_truncate_before(w.dir, (numbers[3] - 1) * 7 + 2), 2);
	assert_int_equal(file_count(w.dir), count - 3);
	assert_int_equal(journal_reader_open(&r, w.dir, (numbers[3] - 1) * 7, w.why, sizeof(w.why)), -ENOENT);
	assert_non_null(strstr(w.why, "is gone"));
	assert_int_equal(journal_reader_open(&r, w.dir, (numbers[3] - 1) * 7 + 1, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(h.number, numbers[3]);
	journal_reader_close(r);
	writer_restart(&w);
	assert_int_equal(w.tail.base_position, (numbers[3] - 1) * 7 + 1);
	assert_int_equal(w.tail.position, 211);
	/* All: the newest stays. */
	assert_int_equal(journal_truncate_before(w.dir, UINT64_MAX), count - 4);
	assert_int_equal(file_count(w.dir), 1);
	writer_restart(&w);
	assert_int_equal(w.tail.batches, 30);
	assert_int_equal(writer_batch(&w, 2, 3), 31);
	assert_int_equal(journal_truncate_before("/tmp/journal-test-none", 5), -ENOENT);
	writer_deinit(&w);
}

static void reader_says_so_when_what_it_should_read_was_deleted(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	struct writer w;
	int got;

	(void)state;
	writer_init_in(&w, "/dev/shm", SMALL);
	for (int i = 0; i < 30; i++)
		writer_batch(&w, 1, 7);
	assert_int_equal(journal_reader_open(&r, w.dir, 1, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_true(journal_truncate_before(w.dir, 150) > 2);
	while ((got = journal_reader_batch(r, &h, w.why, sizeof(w.why))) == 1)
		;
	assert_int_equal(got, -ENOENT);
	assert_non_null(strstr(w.why, "was deleted"));
	journal_reader_close(r);
	writer_deinit(&w);
}

/* ---- the independent reader ---- */

static void print_batch(FILE *out, const struct journal_batch_header *h, struct journal_reader *r)
{
	static const char *const names[] = {
#define X(value, name, text) [value] = #name,
		JOURNAL_ENTRY_KINDS(X)
#undef X
	};
	const struct journal_dropped *dropped;
	struct journal_entry e;
	struct journal_seen s;

	fprintf(out,
		"batch %llu term %llu position %llu entries %u seen %u now %lld durable_through %llu bytes "
		"%llu crc %08x\n",
		(unsigned long long)h->number, (unsigned long long)h->term,
		(unsigned long long)h->first_position, h->entries, h->seen_records, (long long)h->now,
		(unsigned long long)h->durable_through, (unsigned long long)h->bytes, h->entries_crc);
	while (journal_reader_entry(r, &e)) {
		fprintf(out, "  entry %llu %s source %d bytes ", (unsigned long long)e.position,
			names[e.kind], e.source);
		for (uint32_t i = 0; i < e.bytes; i++)
			fprintf(out, "%02x", e.data[i]);
		fprintf(out, "\n");
	}
	while (journal_reader_seen(r, &s, &dropped)) {
		fprintf(out, "  seen source %d stream ", s.source);
		for (int i = 0; i < 16; i++)
			fprintf(out, "%02x", s.stream[i]);
		fprintf(out, " first %llu seen %llu interest %u dropped ", (unsigned long long)s.first,
			(unsigned long long)s.seen, s.interest_version);
		for (uint32_t i = 0; i < s.dropped_lines; i++)
			fprintf(out, "%s%u:%u:%u", i ? "," : "", dropped[i].type, dropped[i].reason,
				dropped[i].count);
		fprintf(out, "\n");
	}
}

static void reader_in_python_reads_the_same(void **state)
{
	struct journal_dropped lines[3] = { { 7, 1, 0, 9 }, { 8, 2, 0, 1 }, { 9, 1, 0, UINT32_MAX } };
	struct journal_seen seen = { 5, 3, 77, "0123456789abcdef", 10, 22 };
	char command[200], *ours = NULL;
	struct journal_batch_header h;
	struct journal_reader *r;
	size_t bytes, got;
	struct writer w;
	FILE *out, *python;
	char *theirs;

	(void)state;
	writer_init(&w);
	for (uint32_t i = 0; i < 40; i++) {
		uint64_t number, position;

		writer_begin(&w, 1 + i / 20, (int64_t)i * 1000000007 - 5);
		journal_append(w.j, (enum journal_entry_kind)(1 + i % 9), (uint16_t)i, "any bytes", i % 10,
			       &position);
		for (uint32_t k = 0; k < i; k++)
			journal_append(w.j, ENTRY_FRAME, 2, w.dir, 60, &position);
		seen.dropped_lines = (uint16_t)(i % 4);
		for (uint32_t k = 0; k < i % 3; k++)
			journal_seen(w.j, &seen, lines);
		number = writer_seal(&w);
		writer_wait(&w, number);
		journal_release(w.j, number);
	}
	out = open_memstream(&ours, &bytes);
	assert_int_equal(journal_reader_open(&r, w.dir, 1, w.why, sizeof(w.why)), 0);
	while (journal_reader_batch(r, &h, w.why, sizeof(w.why)) == 1)
		print_batch(out, &h, r);
	journal_reader_close(r);
	fclose(out);

	snprintf(command, sizeof(command), "/usr/bin/python3 -B tests/model/journal.py %s --entries --chain",
		 w.dir);
	python = popen(command, "r");
	assert_non_null(python);
	theirs = malloc(bytes + 4096);
	got = fread(theirs, 1, bytes + 4096, python);
	assert_int_equal(pclose(python), 0);
	assert_int_equal(got, bytes);
	assert_memory_equal(theirs, ours, bytes);
	assert_non_null(strstr(ours, "batch 40 term 2"));
	free(theirs);
	free(ours);
	writer_deinit(&w);
}

/* Damages the segment at `at` and asks Python: its exit code. */
static int python_exit(struct writer *w, const uint8_t *image, size_t at, uint8_t flip)
{
	static uint8_t bytes[SEGMENT];
	char command[200];

	memcpy(bytes, image, SEGMENT);
	bytes[at] ^= flip;
	file_store(w->dir, 1, bytes, SEGMENT);
	snprintf(command, sizeof(command),
		 "/usr/bin/python3 -B tests/model/journal.py %s --chain >/dev/null 2>&1", w->dir);
	return WEXITSTATUS(system(command));
}

static void reader_in_python_tells_damage_from_a_torn_tail(void **state)
{
	static uint8_t image[SEGMENT];
	struct writer w;
	size_t second;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 3; i++)
		writer_batch(&w, 1, 4);
	assert_int_equal(file_load(w.dir, 1, image, SEGMENT), SEGMENT);
	second = header_at(image, 0)->padded_bytes;
	assert_int_equal(python_exit(&w, image, 0, 0), 0);
	assert_int_equal(python_exit(&w, image, 230, 1), 1);
	assert_int_equal(python_exit(&w, image, second + 5, 1), 1);
	assert_int_equal(python_exit(&w, image, second + header_at(image, second)->padded_bytes + 230, 1), 0);
	header_at(image, second)->chain.high ^= 1;
	header_at(image, second)->header_crc =
		crc32c(0, header_at(image, second), offsetof(struct journal_batch_header, header_crc));
	assert_int_equal(python_exit(&w, image, 0, 0), 1);
	writer_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_starts_at_the_batch_that_holds_a_position),
		cmocka_unit_test(reader_refuses_positions_that_are_not_there),
		cmocka_unit_test(reader_gives_seen_only_batches_that_stand_at_its_position),
		cmocka_unit_test(reader_keeps_positions_with_seen_over_a_segment_edge),
		cmocka_unit_test(reader_stops_at_a_batch_that_is_half_written_and_goes_on),
		cmocka_unit_test(reader_entries_and_seen_may_be_left_unread),
		cmocka_unit_test(reader_follows_a_writer),
		cmocka_unit_test(journal_truncate_deletes_whole_segments_before_a_position),
		cmocka_unit_test(reader_says_so_when_what_it_should_read_was_deleted),
		cmocka_unit_test(reader_in_python_reads_the_same),
		cmocka_unit_test(reader_in_python_tells_damage_from_a_torn_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
