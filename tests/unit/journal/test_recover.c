// needs: user/journal/*.c user/base/crc32c.c
/*
 * test_recover.c: what a killed process, a torn write, a flipped bit or a stale batch leave, and what becomes
 * of it: a tail is cut, damage to what was durable is named, nothing is changed silently (DESIGN 6,
 * Recovery).
 *
 * Most cases take the bytes of a segment of three batches, change them, put them into a directory of their
 * own and read it or open it again.
 */
#include "journal_test.h"

#include <base/crc32c.h>

enum { SMALL = 8192 };

/* The bytes of segment 1 with `batches` durable batches of 4 entries in `term`, and where each begins. */
struct image {
	uint8_t bytes[SMALL];
	size_t at[8];
	uint32_t batches;
};

static void image_make(struct image *m, uint32_t batches, uint64_t term)
{
	struct writer w;

	writer_init_in(&w, "/tmp", SMALL);
	for (uint32_t i = 0; i < batches; i++)
		writer_batch(&w, term, 4);
	assert_int_equal(file_load(w.dir, 1, m->bytes, SMALL), SMALL);
	writer_deinit(&w);
	m->batches = batches;
	m->at[0] = 0;
	for (uint32_t i = 0; i < batches; i++)
		m->at[i + 1] = m->at[i] + header_at(m->bytes, m->at[i])->padded_bytes;
}

struct place {
	char dir[80];
	char why[256];
	uint64_t batches, entries;
	struct journal_tail tail;
};

static void place_make(struct place *p)
{
	memset(p, 0, sizeof(*p));
	dir_make(p->dir, "/dev/shm");
}

static int place_read(struct place *p)
{
	return dir_read(p->dir, &p->batches, &p->entries, p->why, sizeof(p->why));
}

static int place_open_from(struct place *p, uint64_t position)
{
	struct journal_options options = {
		.dir = p->dir, .segment_bytes = SMALL, .sync = true, .from_position = position
	};
	struct journal *j;
	int error = journal_open(&j, &options, &p->tail, p->why, sizeof(p->why));

	if (!error)
		journal_close(j);
	return error;
}

static int place_open(struct place *p)
{
	return place_open_from(p, 0);
}

static void header_renew(struct journal_batch_header *h)
{
	h->header_crc = crc32c(0, h, offsetof(struct journal_batch_header, header_crc));
}

/* ---- the tail ---- */

static void journal_reads_up_to_a_tail_truncated_at_every_byte(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	for (size_t size = m.at[2]; size < m.at[3]; size++) {
		file_store(p.dir, 1, m.bytes, size);
		assert_int_equal(place_read(&p), 0);
		assert_int_equal(p.batches, 2);
		assert_int_equal(p.entries, 8);
	}
	file_store(p.dir, 1, m.bytes, m.at[3]);
	assert_int_equal(place_read(&p), 0);
	assert_int_equal(p.batches, 3);
	dir_remove(p.dir);
}

static void journal_reads_up_to_a_tail_torn_at_every_byte(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	for (size_t keep = m.at[2]; keep < m.at[2] + header_at(m.bytes, m.at[2])->bytes; keep++) {
		uint8_t bytes[SMALL] = { 0 };

		memcpy(bytes, m.bytes, keep);
		if (memcmp(bytes, m.bytes, m.at[3]) == 0)
			continue; /* the rest of it was zeros */
		file_store(p.dir, 1, bytes, SMALL);
		assert_int_equal(place_read(&p), 0);
		assert_int_equal(p.batches, 2);
		/* and the other way round: the end was written first */
		memcpy(bytes, m.bytes, SMALL);
		memset(bytes + m.at[2], 0, keep - m.at[2] + 1);
		file_store(p.dir, 1, bytes, SMALL);
		assert_int_equal(place_read(&p), 0);
		assert_int_equal(p.batches, 2);
	}
	dir_remove(p.dir);
}

static void journal_cuts_a_torn_tail(void **state)
{
	struct image m;
	struct place p;
	uint8_t after[SMALL];

	(void)state;
	image_make(&m, 3, 1);
	for (size_t size = m.at[2]; size < m.at[3]; size += size % 512 == 0 || size % 512 == 511 ? 1 : 510) {
		struct journal_options options = { .segment_bytes = SMALL, .sync = true, .user_data = TAG };
		struct writer w = { .options = options };
		uint8_t bytes[SMALL] = { 0 };
		size_t nonzero = size;

		memcpy(bytes, m.bytes, size);
		if (size % 2 && memcmp(bytes, m.bytes, m.at[3]) == 0)
			continue; /* what was cut off was padding, and it is there again */
		place_make(&p);
		while (nonzero > m.at[2] && bytes[nonzero - 1] == 0)
			nonzero--;
		file_store(p.dir, 1, bytes, size % 2 ? SMALL : size);
		assert_int_equal(place_open(&p), 0);
		assert_int_equal(p.tail.batches, 2);
		assert_int_equal(p.tail.position, 9);
		assert_int_equal(p.tail.cut_batches, nonzero > m.at[2]);
		assert_in_range(p.tail.cut_bytes, nonzero - m.at[2], nonzero - m.at[2] + 511);
		/* nothing is left of it */
		memset(after, 0, sizeof(after));
		file_load(p.dir, 1, after, SMALL);
		assert_memory_equal(after, m.bytes, m.at[2]);
		for (size_t at = m.at[2]; at < SMALL; at++)
			assert_int_equal(after[at], 0);
		/* the next one goes there */
		memcpy(w.dir, p.dir, sizeof(w.dir));
		w.options.dir = w.dir;
		assert_int_equal(io_uring_queue_init(32, &w.ring, 0), 0);
		assert_int_equal(writer_reopen(&w), 0);
		assert_int_equal(w.tail.cut_batches, 0);
		assert_int_equal(writer_batch(&w, 2, 5), 3);
		assert_int_equal(place_read(&p), 0);
		assert_int_equal(p.batches, 3);
		assert_int_equal(p.entries, 13);
		writer_deinit(&w);
	}
}

static void journal_cuts_both_batches_that_were_in_flight(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 4, 1);
	/* As if 3 and 4 had been in flight together and only 4 reached the disk. */
	header_at(m.bytes, m.at[3])->durable_through = 2;
	header_renew(header_at(m.bytes, m.at[3]));
	for (int torn = 0; torn < 2; torn++) {
		uint8_t bytes[SMALL];

		place_make(&p);
		memcpy(bytes, m.bytes, SMALL);
		if (torn)
			bytes[m.at[2] + 200] ^= 1;
		else
			memset(bytes + m.at[2], 0, m.at[3] - m.at[2]);
		file_store(p.dir, 1, bytes, SMALL);
		assert_int_equal(place_read(&p), 0);
		assert_int_equal(p.batches, 2);
		assert_int_equal(place_open(&p), 0);
		assert_int_equal(p.tail.batches, 2);
		assert_int_equal(p.tail.cut_batches, torn ? 2 : 1);
		assert_true(p.tail.cut_bytes > m.at[3] - m.at[2]);
		assert_int_equal(place_open(&p), 0);
		assert_int_equal(p.tail.cut_bytes, 0);
		dir_remove(p.dir);
	}
}

static void journal_keeps_the_last_batch_when_only_its_padding_is_torn(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	m.bytes[m.at[3] - 1] = 0x77;
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.batches, 3);
	dir_remove(p.dir);
}

static void journal_starts_anew_when_the_very_first_batch_was_torn(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 1, 1);
	place_make(&p);
	m.bytes[210] ^= 1;
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.batches, 0);
	assert_int_equal(p.tail.position, 1);
	assert_int_equal(p.tail.base_position, 1);
	assert_int_equal(p.tail.cut_batches, 1);
	dir_remove(p.dir);
}

/* ---- damage ---- */

static void journal_finds_every_flipped_bit_or_it_changes_nothing(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	for (size_t bit = 0; bit < m.at[3] * 8; bit++) {
		uint32_t batch = bit / 8 >= m.at[2] ? 3 : bit / 8 >= m.at[1] ? 2 : 1;
		bool padding = bit / 8 >= m.at[batch - 1] + header_at(m.bytes, m.at[batch - 1])->bytes;
		int got;

		m.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		file_store(p.dir, 1, m.bytes, m.at[3]);
		got = place_read(&p); /* compares every entry that it gets */
		if (padding) {
			assert_int_equal(got, 0);
			assert_int_equal(p.batches, 3);
		} else if (batch == 3) { /* like a torn tail */
			assert_int_equal(got, 0);
			assert_int_equal(p.batches, 2);
		} else {
			assert_int_equal(got, -EBADMSG);
			assert_true(p.batches < batch);
		}
		m.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	dir_remove(p.dir);
}

static void journal_names_segment_offset_and_batch_of_damage(void **state)
{
	char wanted[200];
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	m.bytes[m.at[1] + 230] ^= 4;
	file_store(p.dir, 1, m.bytes, SMALL);
	snprintf(wanted, sizeof(wanted),
		 "segment 0000000000000001.seg, offset %zu, batch 2: unreadable, but a later batch says that "
		 "it was "
		 "durable",
		 m.at[1]);
	assert_int_equal(place_open(&p), -EBADMSG);
	assert_string_equal(p.why, wanted);
	assert_int_equal(place_read(&p), -EBADMSG);
	assert_string_equal(p.why, wanted);
	dir_remove(p.dir);
}

static void journal_finds_a_batch_that_was_lost_as_zeros(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	memset(m.bytes + m.at[1], 0, m.at[2] - m.at[1]);
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG);
	memset(m.bytes, 0, m.at[1]);
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG);
	dir_remove(p.dir);
}

static void journal_takes_the_word_of_a_torn_batch_whose_header_is_whole(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	m.bytes[m.at[1] + 230] ^= 4;
	m.bytes[m.at[2] + 230] ^= 4; /* 3 is torn, but it was sealed when 2 was durable */
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG);
	dir_remove(p.dir);
}

static void journal_takes_the_word_of_a_later_term(void **state)
{
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 3, 4);
	place_make(&p);
	header_at(m.bytes, m.at[2])->term = 5;
	header_renew(header_at(m.bytes, m.at[2]));
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.term, 5);
	m.bytes[m.at[1] + 230] ^= 4;
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG);
	dir_remove(p.dir);
}

/* Several segments: `w` is open. */
static void segments_make(struct writer *w, struct place *p, uint32_t batches)
{
	writer_init_in(w, "/dev/shm", SMALL);
	for (uint32_t i = 0; i < batches; i++)
		writer_batch(w, 1, 10);
	memset(p, 0, sizeof(*p));
	memcpy(p->dir, w->dir, sizeof(w->dir));
	journal_close(w->j);
	w->j = NULL;
	assert_int_equal(place_read(p), 0);
	assert_int_equal(p->batches, batches);
}

static uint64_t segment_nth(const char *dir, uint32_t n)
{
	uint64_t number = 0;

	for (uint32_t seen = 0; seen <= n;)
		if (file_is(dir, ++number))
			seen++;
	return number;
}

static void journal_finds_a_missing_segment(void **state)
{
	uint64_t second;
	char path[160], wanted[64];
	struct writer w;
	struct place p;

	(void)state;
	segments_make(&w, &p, 20);
	second = segment_nth(p.dir, 1);
	path_of(path, p.dir, second);
	assert_int_equal(unlink(path), 0);
	snprintf(wanted, sizeof(wanted), "batch %llu: unreadable", (unsigned long long)second);
	assert_int_equal(place_open(&p), -EBADMSG);
	assert_non_null(strstr(p.why, wanted));
	assert_non_null(strstr(p.why, "segment 0000000000000001.seg"));
	writer_deinit(&w);
}

static void journal_refuses_when_its_oldest_batch_is_unreadable(void **state)
{
	uint8_t bytes[SMALL];
	struct writer w;
	struct place p;
	uint64_t last;

	(void)state;
	segments_make(&w, &p, 20);
	last = segment_nth(p.dir, file_count(p.dir) - 1);
	assert_true(journal_truncate_before(p.dir, UINT64_MAX) > 1);
	assert_int_equal(file_count(p.dir), 1);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.position, 201);
	assert_int_equal(p.tail.base_position, (last - 1) * 10 + 1);
	assert_int_equal(file_load(p.dir, last, bytes, SMALL), SMALL);
	memset(bytes, 0, SMALL);
	file_store(p.dir, last, bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG);
	assert_non_null(strstr(p.why, "oldest"));
	writer_deinit(&w);
}

static void journal_deletes_a_segment_whose_only_batch_was_in_flight(void **state)
{
	uint8_t bytes[SMALL];
	uint64_t last, before;
	struct writer w;
	struct place p;
	uint32_t files;

	(void)state;
	segments_make(&w, &p, 20);
	files = file_count(p.dir);
	last = segment_nth(p.dir, files - 1);
	before = segment_nth(p.dir, files - 2);
	/* The last segment begins with a batch that was in flight with the one before, which never came. */
	assert_int_equal(file_load(p.dir, last, bytes, SMALL), SMALL);
	header_at(bytes, 0)->durable_through = last - 2;
	header_renew(header_at(bytes, 0));
	memset(bytes + header_at(bytes, 0)->padded_bytes, 0, SMALL - header_at(bytes, 0)->padded_bytes);
	file_store(p.dir, last, bytes, SMALL);
	assert_int_equal(file_load(p.dir, before, bytes, SMALL), SMALL);
	for (size_t at = 0; at < SMALL && header_at(bytes, at)->magic;
	     at += header_at(bytes, at)->padded_bytes)
		if (header_at(bytes, at)->number == last - 1)
			bytes[at + 220] ^= 1;
	file_store(p.dir, before, bytes, SMALL);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.batches, last - 2);
	assert_int_equal(p.tail.cut_batches, 2);
	assert_false(file_is(p.dir, last));
	assert_int_equal(file_count(p.dir), files - 1);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.cut_batches, 0);
	writer_deinit(&w);
}

static void journal_checks_older_segments_by_their_first_header_from_a_position(void **state)
{
	uint8_t bytes[SMALL], good[SMALL];
	struct writer w;
	struct place p;
	uint64_t second;

	(void)state;
	segments_make(&w, &p, 20);
	second = segment_nth(p.dir, 1);
	assert_int_equal(file_load(p.dir, second, good, SMALL), SMALL);
	memcpy(bytes, good, SMALL);
	bytes[300] ^= 1;
	file_store(p.dir, second, bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG);
	assert_int_equal(place_open_from(&p, 195), 0);
	assert_int_equal(p.tail.batches, 20);
	assert_int_equal(p.tail.position, 201);
	assert_int_equal(p.tail.base_position, 1);
	assert_int_equal(place_open_from(&p, 100000), 0); /* beyond the end: the last segment */
	assert_int_equal(p.tail.batches, 20);
	memcpy(bytes, good, SMALL);
	header_at(bytes, 0)->term = 9; /* above those that follow */
	header_renew(header_at(bytes, 0));
	file_store(p.dir, second, bytes, SMALL);
	assert_int_equal(place_open_from(&p, 195), -EBADMSG);
	assert_non_null(strstr(p.why, "begins before"));
	writer_deinit(&w);
}

/* ---- stale and foreign batches ---- */

static void journal_takes_no_stale_batch_of_an_older_term(void **state)
{
	struct image old;
	struct writer w;
	struct place p;
	uint8_t bytes[SMALL];

	(void)state;
	image_make(&old, 5, 1); /* term 1 wrote five; 3, 4 and 5 are to be found behind the cut */
	writer_init_in(&w, "/tmp", SMALL);
	writer_batch(&w, 1, 4);
	writer_batch(&w, 1, 4);
	writer_restart(&w);
	writer_batch(&w, 2, 4); /* 3 of term 2 */
	memset(&p, 0, sizeof(p));
	memcpy(p.dir, w.dir, sizeof(w.dir));
	journal_close(w.j);
	w.j = NULL;
	assert_int_equal(file_load(w.dir, 1, bytes, SMALL), SMALL);
	assert_memory_equal(bytes, old.bytes, old.at[2]);
	assert_int_equal(header_at(bytes, 0)->padded_bytes + header_at(bytes, old.at[1])->padded_bytes +
				 header_at(bytes, old.at[2])->padded_bytes,
			 old.at[3]);
	/* Stale 4 and 5 stand where 4 is expected: right number, right crc, older term. */
	memcpy(bytes + old.at[3], old.bytes + old.at[3], SMALL - old.at[3]);
	file_store(w.dir, 1, bytes, SMALL);
	assert_int_equal(place_read(&p), 0);
	assert_int_equal(p.batches, 3);
	assert_int_equal(p.entries, 12);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.batches, 3);
	assert_int_equal(p.tail.term, 2);
	assert_int_equal(p.tail.cut_batches, 2);
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.cut_bytes, 0);
	writer_deinit(&w);
}

static void journal_refuses_a_foreign_batch_that_breaks_the_chain(void **state)
{
	struct image m, other;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	image_make(&other, 3, 2); /* the same entries, so the same chain: make them differ */
	place_make(&p);
	header_at(other.bytes, other.at[2])->chain.low ^= 1;
	header_renew(header_at(other.bytes, other.at[2]));
	memcpy(m.bytes + m.at[2], other.bytes + other.at[2], other.at[3] - other.at[2]);
	file_store(p.dir, 1, m.bytes, SMALL);
	assert_int_equal(place_open(&p), -EBADMSG); /* the last batch, but no torn one */
	assert_non_null(strstr(p.why, "chain"));
	dir_remove(p.dir);
}

static void journal_refuses_a_batch_at_the_wrong_position_or_shard(void **state)
{
	struct image m, bad;
	struct place p;

	(void)state;
	image_make(&m, 3, 1);
	place_make(&p);
	for (int i = 0; i < 2; i++) {
		bad = m;
		if (i == 0)
			header_at(bad.bytes, m.at[2])->first_position++;
		else
			header_at(bad.bytes, m.at[2])->shard++;
		header_renew(header_at(bad.bytes, m.at[2]));
		file_store(p.dir, 1, bad.bytes, SMALL);
		assert_int_equal(place_open(&p), -EBADMSG);
		assert_non_null(strstr(p.why, i == 0 ? "position" : "shard"));
	}
	dir_remove(p.dir);
}

static void journal_of_another_shard_is_refused(void **state)
{
	struct journal_options options = { .shard = 3, .segment_bytes = SMALL, .sync = true };
	struct journal *j;
	struct image m;
	struct place p;

	(void)state;
	image_make(&m, 2, 1);
	place_make(&p);
	file_store(p.dir, 1, m.bytes, SMALL);
	options.dir = p.dir;
	assert_int_equal(journal_open(&j, &options, &p.tail, p.why, sizeof(p.why)), -EINVAL);
	assert_string_equal(p.why, "the journal is that of shard 0, not 3");
	dir_remove(p.dir);
}

static void journal_ignores_files_that_are_no_segments(void **state)
{
	static const char *const names[] = { "spare-0000000000000009.tmp", "0000000000000004.SEG", "4.seg",
					     "000000000000000A.seg",	   "0000000000000000.seg", "notes" };
	struct image m;
	struct place p;
	char path[160];

	(void)state;
	image_make(&m, 2, 1);
	place_make(&p);
	file_store(p.dir, 1, m.bytes, SMALL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", p.dir, names[i]);
		f = fopen(path, "w");
		fputs("MMNTJNL1", f);
		fclose(f);
	}
	assert_int_equal(place_open(&p), 0);
	assert_int_equal(p.tail.batches, 2);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", p.dir, names[i]);
		assert_int_equal(access(path, F_OK), i == 0 ? -1 : 0); /* the spare is removed */
	}
	dir_remove(p.dir);
}

static void journal_makes_a_missing_directory_but_not_its_parents(void **state)
{
	struct place p;
	char parent[64];

	(void)state;
	dir_make(parent, "/tmp");
	memset(&p, 0, sizeof(p));
	snprintf(p.dir, sizeof(p.dir), "%s/j", parent);
	assert_int_equal(place_open(&p), 0);
	dir_remove(p.dir);
	snprintf(p.dir, sizeof(p.dir), "%s/a/j", parent);
	assert_int_equal(place_open(&p), -ENOENT);
	assert_non_null(strstr(p.why, "/a/j"));
	dir_remove(parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journal_reads_up_to_a_tail_truncated_at_every_byte),
		cmocka_unit_test(journal_reads_up_to_a_tail_torn_at_every_byte),
		cmocka_unit_test(journal_cuts_a_torn_tail),
		cmocka_unit_test(journal_cuts_both_batches_that_were_in_flight),
		cmocka_unit_test(journal_keeps_the_last_batch_when_only_its_padding_is_torn),
		cmocka_unit_test(journal_starts_anew_when_the_very_first_batch_was_torn),
		cmocka_unit_test(journal_finds_every_flipped_bit_or_it_changes_nothing),
		cmocka_unit_test(journal_names_segment_offset_and_batch_of_damage),
		cmocka_unit_test(journal_finds_a_batch_that_was_lost_as_zeros),
		cmocka_unit_test(journal_takes_the_word_of_a_torn_batch_whose_header_is_whole),
		cmocka_unit_test(journal_takes_the_word_of_a_later_term),
		cmocka_unit_test(journal_finds_a_missing_segment),
		cmocka_unit_test(journal_refuses_when_its_oldest_batch_is_unreadable),
		cmocka_unit_test(journal_deletes_a_segment_whose_only_batch_was_in_flight),
		cmocka_unit_test(journal_checks_older_segments_by_their_first_header_from_a_position),
		cmocka_unit_test(journal_takes_no_stale_batch_of_an_older_term),
		cmocka_unit_test(journal_refuses_a_foreign_batch_that_breaks_the_chain),
		cmocka_unit_test(journal_refuses_a_batch_at_the_wrong_position_or_shard),
		cmocka_unit_test(journal_of_another_shard_is_refused),
		cmocka_unit_test(journal_ignores_files_that_are_no_segments),
		cmocka_unit_test(journal_makes_a_missing_directory_but_not_its_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
