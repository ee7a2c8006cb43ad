// needs: user/journal/*.c user/base/crc32c.c
/*
 * test_journal.c: the writer: what is lent, what becomes durable and when, what happens when the disk does
 * not play along.
 *
 * Completions are real ones from io_uring, handed to journal_complete in the order and with the results that
 * a case wants; an SQE is changed between journal_seal and io_uring_submit where the disk itself should
 * behave so.
 */
#include "journal_test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- no allocation ---- */

#ifndef __SANITIZE_ADDRESS__
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *old, size_t bytes);
static __thread bool allocating_is_a_fault;
void *malloc(size_t bytes)
{
	if (allocating_is_a_fault)
		abort();
	return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes)
{
	if (allocating_is_a_fault)
		abort();
	return __libc_calloc(count, bytes);
}
void *realloc(void *old, size_t bytes)
{
	if (allocating_is_a_fault)
		abort();
	return __libc_realloc(old, bytes);
}
#else
static bool allocating_is_a_fault;
#endif

static void journal_allocates_nothing_after_open(void **state)
{
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_batch(&w, 1, 5);
	allocating_is_a_fault = true;
	for (int i = 0; i < 40; i++)
		writer_batch(&w, 1, 20);
	allocating_is_a_fault = false;
	assert_true(file_count(w.dir) > 1);
	writer_deinit(&w);
}

/* ---- what is written is read ---- */

static void journal_gives_back_every_entry_and_seen_record(void **state)
{
	static const struct journal_dropped lines[2] = { { 40, 1, 0, 1000 }, { 41, 2, 0, 3 } };
	struct journal_seen seen = { 3, 2, 9, "stream-of-16-byt", 11, 2013 },
			    quiet = { 4, 0, 9, "other", 1, 1 };
	const struct journal_dropped *dropped;
	struct journal_batch_header h;
	struct journal_reader *r;
	struct journal_entry e;
	struct journal_seen got;
	uint64_t position;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_begin(&w, 6, -5);
	journal_seen(w.j, &seen, lines);
	for (enum journal_entry_kind kind = ENTRY_FRAME; kind < ENTRY_KIND_COUNT; kind++) {
		const uint8_t *lent = journal_append_two(w.j, kind, (uint16_t)(kind * 1000), "abcdefghij",
							 kind, "xyz", 3, &position);

		assert_int_equal(position, kind);
		assert_int_equal((uintptr_t)lent % 8, 0);
	}
	journal_append(w.j, ENTRY_FRAME, 0, NULL, 0, &position);
	journal_seen(w.j, &quiet, NULL);
	writer_wait(&w, writer_seal(&w));

	assert_int_equal(journal_reader_open(&r, w.dir, 0, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	assert_int_equal(h.term, 6);
	assert_int_equal(h.number, 1);
	assert_int_equal(h.now, -5);
	assert_int_equal(h.durable_through, 0);
	assert_int_equal(h.catalogue.high, 2);
	assert_int_equal(h.outputs.low, 3);
	assert_int_equal(h.interest_version, 5);
	for (enum journal_entry_kind kind = ENTRY_FRAME; kind < ENTRY_KIND_COUNT; kind++) {
		assert_true(journal_reader_entry(r, &e));
		assert_int_equal(e.kind, kind);
		assert_int_equal(e.source, kind * 1000);
		assert_int_equal(e.bytes, kind + 3);
		assert_memory_equal(e.data, "abcdefghij", kind);
		assert_memory_equal(e.data + kind, "xyz", 3);
	}
	assert_true(journal_reader_entry(r, &e));
	assert_int_equal(e.bytes, 0);
	assert_false(journal_reader_entry(r, &e));
	assert_true(journal_reader_seen(r, &got, &dropped));
	assert_memory_equal(&got, &seen, sizeof(seen));
	assert_memory_equal(dropped, lines, sizeof(lines));
	assert_true(journal_reader_seen(r, &got, &dropped));
	assert_memory_equal(&got, &quiet, sizeof(quiet));
	assert_false(journal_reader_seen(r, &got, &dropped));
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 0);
	journal_reader_close(r);
	writer_deinit(&w);
}

static void journal_numbers_go_on_over_restarts(void **state)
{
	uint64_t batches, entries, number = 0, position = 0;
	struct writer w;

	(void)state;
	writer_init(&w);
	assert_int_equal(w.tail.position, 1);
	assert_int_equal(w.tail.base_position, 1);
	for (uint64_t term = 1; term <= 5; term++) {
		for (uint32_t i = 0; i < 4; i++) {
			assert_int_equal(writer_batch(&w, term, i * 3), ++number);
			position += i * 3;
		}
		writer_restart(&w);
		assert_int_equal(w.tail.term, term);
		assert_int_equal(w.tail.batches, number);
		assert_int_equal(w.tail.position, position + 1);
		assert_int_equal(w.tail.now, 1000);
		assert_int_equal(w.tail.cut_bytes, 0);
		assert_int_equal(w.tail.cut_batches, 0);
	}
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(batches, number);
	assert_int_equal(entries, position);
	writer_deinit(&w);
}

static void journal_takes_the_largest_batch_that_fits(void **state)
{
	uint8_t *bytes = calloc(1, JOURNAL_ENTRY_BYTES_MAX);
	uint64_t position, number;
	struct journal_batch_header h;
	struct journal_reader *r;
	struct journal_entry e;
	struct writer w;
	uint32_t count = 0;

	(void)state;
	memset(bytes, 0x5a, JOURNAL_ENTRY_BYTES_MAX);
	writer_init_in(&w, "/tmp", 0);
	assert_int_equal(journal_batch_bytes_max(w.j), JOURNAL_BATCH_BYTES_MAX);
	writer_begin(&w, 1, 0);
	assert_true(journal_fits(w.j, JOURNAL_ENTRY_BYTES_MAX));
	assert_false(journal_fits(w.j, JOURNAL_ENTRY_BYTES_MAX + 1));
	journal_append(w.j, ENTRY_ACTIVATE, 0, bytes, JOURNAL_ENTRY_BYTES_MAX, &position);
	for (uint32_t i = 1; i < JOURNAL_BATCH_ENTRIES_MAX; i++) {
		uint32_t length = i < BATCH_ENTRIES_MAX ? FRAME_BYTES_MAX : 0;
		assert_true(journal_fits(w.j, length));
		journal_append(w.j, ENTRY_FRAME, 0, bytes, length, &position);
	}
	assert_false(journal_fits(w.j, 0));
	number = writer_seal(&w);
	writer_wait(&w, number);
	writer_restart(&w);
	assert_int_equal(w.tail.batches, 1);
	assert_int_equal(journal_reader_open(&r, w.dir, 1, w.why, sizeof(w.why)), 0);
	assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
	for (; journal_reader_entry(r, &e); count++)
		assert_memory_equal(e.data, bytes, e.bytes);
	assert_int_equal(count, JOURNAL_BATCH_ENTRIES_MAX);
	journal_reader_close(r);
	writer_deinit(&w);
	free(bytes);
}

static void journal_fits_keeps_to_a_small_segment(void **state)
{
	uint64_t position, batches, entries;
	uint8_t bytes[1000] = { 0 };
	struct writer w;

	(void)state;
	writer_init_in(&w, "/tmp", 8192);
	assert_int_equal(journal_batch_bytes_max(w.j), 8192);
	writer_begin(&w, 1, 0);
	for (int i = 0; i < 5;
	     i++) { /* 192 + 6 x 1024 + a quarter for SEEN records: the sixth does not fit */
		assert_true(journal_fits(w.j, sizeof(bytes)));
		journal_append(w.j, ENTRY_FRAME, 0, bytes, sizeof(bytes), &position);
	}
	assert_false(journal_fits(w.j, sizeof(bytes)));
	assert_true(journal_fits(w.j, 8192 - 2048 - 192 - 5 * 1024 - 24));
	assert_false(journal_fits(w.j, 8192 - 2048 - 192 - 5 * 1024 - 23));
	journal_cancel(w.j);
	writer_batch(&w, 1, 3);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(entries, 3);
	writer_deinit(&w);
}

static void journal_cancelled_batch_leaves_nothing(void **state)
{
	uint64_t batches, entries, position;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_begin(&w, 1, 0);
	journal_append(w.j, ENTRY_CLOCK, 0, "12345678", 8, &position);
	journal_cancel(w.j);
	assert_int_equal(writer_batch(&w, 1, 4), 1);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(entries, 4);
	writer_deinit(&w);
}

static void journal_pads_with_zeros_whatever_the_buffer_held(void **state)
{
	static uint8_t image[SEGMENT];
	struct journal_batch_header *h;
	size_t offset = 0;
	struct writer w;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 4; i++) /* all four buffers full of bytes */
		writer_batch(&w, 1, 40);
	for (int i = 0; i < 4; i++)
		writer_batch(&w, 1, 1);
	assert_int_equal(file_load(w.dir, 1, image, sizeof(image)), SEGMENT);
	for (int i = 0; i < 8; i++, offset += h->padded_bytes) {
		h = header_at(image, offset);
		assert_int_equal(h->number, i + 1);
		for (size_t at = h->bytes; at < h->padded_bytes; at++)
			assert_int_equal(image[offset + at], 0);
	}
	for (; offset < SEGMENT; offset++)
		assert_int_equal(image[offset], 0);
	writer_deinit(&w);
}

/* ---- in flight ---- */

static void journal_has_two_in_flight_and_no_third(void **state)
{
	struct writer w;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 2; i++) {
		writer_begin(&w, 1, 0);
		writer_fill(&w, 2);
		writer_seal(&w);
	}
	assert_int_equal(journal_in_flight(w.j), 2);
	assert_int_equal(journal_begin(w.j, 1, 0), -EAGAIN);
	writer_wait(&w, 1);
	assert_int_equal(journal_begin(w.j, 1, 0), 0);
	journal_cancel(w.j);
	writer_wait(&w, 2);
	assert_int_equal(journal_in_flight(w.j), 0);
	writer_deinit(&w);
}

static void journal_becomes_durable_in_order_only(void **state)
{
	struct io_uring_cqe cqe[4];
	struct writer w;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 2; i++) {
		writer_begin(&w, 1, 0);
		writer_fill(&w, 3);
		writer_seal(&w);
	}
	for (int i = 0; i < 4; i++)
		cqe_take(&w, &cqe[i]);
	for (int i = 0; i < 4; i++)
		if (flight_user_number(cqe[i].user_data) == 2)
			assert_int_equal(journal_complete(w.j, &cqe[i], &w.ring), 0);
	assert_int_equal(journal_durable(w.j), 0);
	assert_int_equal(journal_in_flight(w.j), 2);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(journal_durable(w.j), 0);
		if (flight_user_number(cqe[i].user_data) == 1)
			assert_int_equal(journal_complete(w.j, &cqe[i], &w.ring), 0);
		if (journal_durable(w.j))
			break;
	}
	assert_int_equal(journal_durable(w.j), 2);
	writer_deinit(&w);
}

static void journal_is_not_durable_before_its_sync(void **state)
{
	struct io_uring_cqe cqe;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_begin(&w, 1, 0);
	writer_fill(&w, 3);
	writer_seal(&w);
	cqe_take(&w, &cqe);
	assert_int_equal(flight_user_step(cqe.user_data), FLIGHT_WRITE);
	assert_int_equal(cqe.user_data >> 56, TAG);
	assert_int_equal(journal_complete(w.j, &cqe, &w.ring), 0);
	assert_int_equal(journal_durable(w.j), 0);
	cqe_take(&w, &cqe);
	assert_int_equal(flight_user_step(cqe.user_data), FLIGHT_SYNC);
	assert_int_equal(cqe.res, 0);
	assert_int_equal(journal_complete(w.j, &cqe, &w.ring), 0);
	assert_int_equal(journal_durable(w.j), 1);
	writer_deinit(&w);
}

/* Seals and gives the SQEs, not yet submitted. */
static uint32_t seal_only(struct writer *w, struct io_uring_sqe **sqes)
{
	struct journal_seal seal = { .interest_version = 1 };

	journal_seal(w->j, &seal, &w->ring);
	*sqes = &w->ring.sq.sqes[w->ring.sq.sqe_head & *w->ring.sq.kring_mask];
	return w->ring.sq.sqe_tail - w->ring.sq.sqe_head;
}

static void journal_links_write_and_fdatasync(void **state)
{
	struct io_uring_sqe *sqe;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_begin(&w, 1, 0);
	writer_fill(&w, 3);
	assert_int_equal(seal_only(&w, &sqe), 2);
	assert_int_equal(sqe[0].opcode, IORING_OP_WRITE);
	assert_int_equal(sqe[0].flags, IOSQE_IO_LINK);
	assert_int_equal(sqe[0].len % 512, 0);
	assert_int_equal(sqe[1].opcode, IORING_OP_FSYNC);
	assert_int_equal(sqe[1].fsync_flags, IORING_FSYNC_DATASYNC);
	assert_int_equal(sqe[1].flags, 0);
	assert_int_equal(sqe[0].fd, sqe[1].fd);
	io_uring_submit(&w.ring);
	writer_wait(&w, 1);
	writer_deinit(&w);
}

static void journal_without_sync_writes_only_and_claims_nothing(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	struct io_uring_sqe *sqe;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_batch(&w, 1, 2);
	w.options.sync = false;
	writer_restart(&w);
	writer_begin(&w, 2, 0);
	assert_int_equal(seal_only(&w, &sqe), 1);
	assert_int_equal(sqe[0].opcode, IORING_OP_WRITE);
	io_uring_submit(&w.ring);
	writer_wait(&w, 2);
	for (int i = 0; i < 3; i++)
		writer_batch(&w, 2, 1);
	assert_int_equal(journal_durable(w.j), 5);
	assert_int_equal(journal_reader_open(&r, w.dir, 0, w.why, sizeof(w.why)), 0);
	for (uint64_t i = 1; i <= 5; i++) {
		assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
		assert_int_equal(h.durable_through, i == 1 ? 0 : 1); /* batch 1 was synced by the restart */
	}
	journal_reader_close(r);
	writer_deinit(&w);
}

static void journal_says_what_it_knew_to_be_durable(void **state)
{
	struct journal_batch_header h;
	struct journal_reader *r;
	struct writer w;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 2; i++) { /* 1 and 2 in flight together: 2 knows nothing of 1 */
		writer_begin(&w, 1, 0);
		writer_seal(&w);
	}
	writer_wait(&w, 2);
	journal_release(w.j, 1);
	journal_release(w.j, 2);
	writer_batch(&w, 1, 1);
	assert_int_equal(journal_reader_open(&r, w.dir, 0, w.why, sizeof(w.why)), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(journal_reader_batch(r, &h, w.why, sizeof(w.why)), 1);
		assert_int_equal(h.durable_through, i == 3 ? 2 : 0);
	}
	journal_reader_close(r);
	writer_deinit(&w);
}

static void journal_lends_a_batch_until_it_is_durable_and_released(void **state)
{
	const uint8_t *lent[4];
	uint64_t position;
	struct writer w;

	(void)state;
	writer_init(&w);
	for (uint32_t i = 0; i < 4; i++) {
		writer_begin(&w, 1, 0);
		lent[i] = journal_append(w.j, ENTRY_FRAME, 0, "lent bytes", 10, &position);
		writer_wait(&w, writer_seal(&w));
	}
	assert_int_equal(journal_begin(w.j, 1, 0), -EAGAIN); /* durable, not released */
	for (uint32_t i = 0; i < 4; i++)
		assert_memory_equal(lent[i], "lent bytes", 10);
	journal_release(w.j, 3);
	writer_begin(&w, 1, 0);
	writer_seal(&w);
	journal_release(w.j, 1);
	writer_begin(&w, 1, 0); /* in the buffer of batch 1 */
	assert_ptr_equal(journal_append(w.j, ENTRY_FRAME, 0, "other", 5, &position), lent[0]);
	writer_seal(&w);
	journal_release(w.j, 5); /* released, not durable */
	writer_wait(&w, 5);
	assert_int_equal(journal_begin(w.j, 1, 0), 0);
	assert_ptr_equal(journal_append(w.j, ENTRY_FRAME, 0, "again", 5, &position), lent[2]);
	journal_cancel(w.j);
	writer_wait(&w, 6);
	writer_deinit(&w);
}

/* ---- the disk does not play along ---- */

/* Reads batch 1 back and compares. */
static void batch_one_is_whole(struct writer *w, uint64_t entries_wanted)
{
	uint64_t batches, entries;

	assert_int_equal(journal_durable(w->j), 1);
	assert_int_equal(dir_read(w->dir, &batches, &entries, w->why, sizeof(w->why)), 0);
	assert_int_equal(batches, 1);
	assert_int_equal(entries, entries_wanted);
}

static void journal_resumes_a_write_that_was_cut_short(void **state)
{
	for (uint32_t cut = 512; cut < 4096; cut += 512) {
		struct io_uring_sqe *sqe;
		struct io_uring_cqe cqe;
		struct writer w;

		writer_init(&w);
		writer_begin(&w, 1, 0);
		writer_fill(&w, 30);
		assert_int_equal(seal_only(&w, &sqe), 2);
		assert_true(sqe[0].len > cut);
		sqe[0].len = cut; /* the disk takes no more, and the sync behind it runs all the same */
		io_uring_submit(&w.ring);
		for (int i = 0; i < 2; i++) {
			cqe_take(&w, &cqe);
			assert_int_equal(journal_complete(w.j, &cqe, &w.ring), 0);
		}
		assert_int_equal(journal_durable(w.j), 0);
		assert_int_equal(w.ring.sq.sqe_tail - w.ring.sq.sqe_head, 2);
		io_uring_submit(&w.ring);
		writer_wait(&w, 1);
		batch_one_is_whole(&w, 30);
		writer_deinit(&w);
	}
	(void)state;
}

static void journal_goes_back_to_a_block_after_an_odd_short_write(void **state)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	struct writer w;

	(void)state;
	writer_init(&w);
	writer_begin(&w, 1, 0);
	writer_fill(&w, 30);
	seal_only(&w, &sqe);
	sqe[0].len = 4096;
	io_uring_submit(&w.ring);
	cqe_take(&w, &cqe);
	cqe.res = 4095; /* the last byte did not get there */
	assert_int_equal(journal_complete(w.j, &cqe, &w.ring), 0);
	cqe_take(&w, &cqe);
	cqe.res = -ECANCELED; /* and the chain was broken */
	assert_int_equal(journal_complete(w.j, &cqe, &w.ring), 0);
	sqe = &w.ring.sq.sqes[w.ring.sq.sqe_head & *w.ring.sq.kring_mask];
	assert_true(sqe[0].off < 4096);
	assert_int_equal(sqe[0].off % 512, 0);
	assert_int_equal(sqe[0].addr % 512, 0);
	io_uring_submit(&w.ring);
	writer_wait(&w, 1);
	batch_one_is_whole(&w, 30);
	writer_deinit(&w);
}

static void journal_tries_again_after_an_interruption(void **state)
{
	static const int errors[] = { -EINTR, -EAGAIN };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct io_uring_cqe cqe[2];
		struct writer w;

		writer_init(&w);
		writer_begin(&w, 1, 0);
		writer_fill(&w, 9);
		writer_seal(&w);
		cqe_take(&w, &cqe[0]);
		cqe_take(&w, &cqe[1]);
		if (i < 2) { /* the write, and so the sync was cancelled; else the sync */
			cqe[0].res = errors[i];
			cqe[1].res = -ECANCELED;
		} else {
			cqe[1].res = errors[i - 2];
		}
		assert_int_equal(journal_complete(w.j, &cqe[0], &w.ring), 0);
		assert_int_equal(journal_complete(w.j, &cqe[1], &w.ring), 0);
		assert_int_equal(journal_durable(w.j), 0);
		assert_int_equal(w.ring.sq.sqe_tail - w.ring.sq.sqe_head, i < 2 ? 2 : 1);
		io_uring_submit(&w.ring);
		writer_wait(&w, 1);
		batch_one_is_whole(&w, 9);
		writer_deinit(&w);
	}
}

/* Two batches in flight; `step` of the first ends with `result`. Nothing is durable any more. */
static void fails_for_ever(enum flight_step step, int result, int wanted)
{
	struct io_uring_cqe cqe[4];
	struct writer w;
	bool failed = false;

	writer_init(&w);
	for (int i = 0; i < 2; i++) {
		writer_begin(&w, 1, 0);
		writer_fill(&w, 2);
		writer_seal(&w);
	}
	for (int i = 0; i < 4; i++)
		cqe_take(&w, &cqe[i]);
	for (int i = 0; i < 4; i++) {
		if (flight_user_number(cqe[i].user_data) != 1)
			continue;
		if (flight_user_step(cqe[i].user_data) == step)
			cqe[i].res = result;
		else if (failed)
			cqe[i].res = -ECANCELED;
		failed |= flight_user_step(cqe[i].user_data) == step;
		assert_int_equal(journal_complete(w.j, &cqe[i], &w.ring), failed ? wanted : 0);
	}
	for (int i = 0; i < 4; i++)
		if (flight_user_number(cqe[i].user_data) == 2)
			assert_int_equal(journal_complete(w.j, &cqe[i], &w.ring), wanted);
	assert_int_equal(journal_durable(w.j), 0);
	assert_int_equal(journal_begin(w.j, 1, 0), -EIO);
	assert_int_equal(journal_begin(w.j, 1, 0), -EIO);
	writer_deinit(&w);
}

static void journal_refuses_everything_after_a_failed_sync(void **state)
{
	(void)state;
	fails_for_ever(FLIGHT_SYNC, -EIO, -EIO);
	fails_for_ever(FLIGHT_SYNC, -ENOSPC, -ENOSPC);
}

static void journal_refuses_everything_after_a_failed_write(void **state)
{
	(void)state;
	fails_for_ever(FLIGHT_WRITE, -EIO, -EIO);
	fails_for_ever(FLIGHT_WRITE, 0, -EIO);
	fails_for_ever(FLIGHT_WRITE, -ECANCELED, -ECANCELED);
}

/* ---- segments ---- */

static void journal_rolls_to_a_segment_named_after_its_first_batch(void **state)
{
	static uint8_t image[SEGMENT];
	uint64_t batches, entries;
	struct writer w;
	uint32_t files = 0;

	(void)state;
	writer_init(&w);
	for (int i = 0; i < 60; i++)
		writer_batch(&w, 1, 40);
	for (uint64_t number = 1; number <= 60; number++) {
		if (!file_is(w.dir, number))
			continue;
		files++;
		assert_int_equal(file_load(w.dir, number, image, sizeof(image)), SEGMENT);
		assert_int_equal(header_at(image, 0)->number, number);
	}
	assert_true(files >= 5);
	assert_int_equal(file_count(w.dir), files);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(batches, 60);
	assert_int_equal(entries, 60 * 40);
	writer_restart(&w);
	assert_int_equal(w.tail.batches, 60);
	writer_batch(&w, 2, 4);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(batches, 61);
	writer_deinit(&w);
}

static void journal_names_a_segment_before_it_writes_to_it(void **state)
{
	struct io_uring_sqe *sqe;
	uint64_t batches, entries;
	struct writer w;

	(void)state;
	writer_init_in(&w, "/tmp", 8192);
	writer_batch(&w, 1, 25);
	writer_begin(&w, 1, 0);
	writer_fill(&w, 25);
	assert_int_equal(seal_only(&w, &sqe), 4);
	assert_int_equal(sqe[0].opcode, IORING_OP_RENAMEAT);
	assert_int_equal(sqe[1].opcode, IORING_OP_FSYNC);
	assert_int_equal(sqe[1].fsync_flags, 0);
	assert_int_equal(sqe[2].opcode, IORING_OP_WRITE);
	assert_int_equal(sqe[3].opcode, IORING_OP_FSYNC);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sqe[i].flags, i < 3 ? IOSQE_IO_LINK : 0);
	assert_int_equal(sqe[1].fd, sqe[0].fd);
	io_uring_submit(&w.ring);
	writer_wait(&w, 2);
	assert_true(file_is(w.dir, 2));
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(entries, 50);
	writer_deinit(&w);
}

static void journal_in_flight_over_two_segments_is_durable_in_order(void **state)
{
	struct io_uring_cqe cqe[8];
	uint64_t batches, entries;
	struct writer w;
	int count = 0;

	(void)state;
	writer_init_in(&w, "/tmp", 8192);
	for (int i = 0; i < 2; i++) {
		writer_begin(&w, 1, 0);
		writer_fill(&w, 25);
		writer_seal(&w);
	}
	while (count < 6)
		cqe_take(&w, &cqe[count++]);
	for (uint64_t number = 2; number >= 1; number--)
		for (int i = 0; i < count; i++)
			if (flight_user_number(cqe[i].user_data) == number) {
				assert_int_equal(journal_durable(w.j), 0);
				assert_int_equal(journal_complete(w.j, &cqe[i], &w.ring), 0);
			}
	assert_int_equal(journal_durable(w.j), 2);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(entries, 50);
	writer_deinit(&w);
}

/* Writes batches until begin says that it cannot; the number of the last one. */
static uint64_t write_until_refused(struct writer *w, int *refused)
{
	uint64_t number = 0;

	for (;;) {
		for (int i = 0; i < 5000 && (*refused = journal_begin(w->j, 1, 0)) == -EAGAIN; i++)
			pause_ms(1);
		if (*refused)
			return number;
		writer_fill(w, 10);
		number = writer_seal(w);
		writer_wait(w, number);
		journal_release(w->j, number);
	}
}

static void journal_says_enospc_before_a_write_that_would_not_fit(void **state)
{
	struct rlimit before, none;
	uint64_t number, batches, entries;
	struct writer w;
	int refused;

	(void)state;
	writer_init(&w);
	writer_batch(&w, 1, 3);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){ SEGMENT - 1, before.rlim_max };
	pause_ms(20); /* the first spare is ready */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	number = write_until_refused(&w, &refused);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(refused, -ENOSPC);
	assert_int_equal(journal_durable(w.j), number);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(batches, number);
	/* Space came back before anybody ended: it goes on. */
	pause_ms(400);
	writer_batch(&w, 1, 3);
	writer_deinit(&w);
}

static void full_disk_child(void)
{
	uint64_t number, batches, entries;
	struct writer w;
	int refused;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/mnt", "tmpfs", 0, "size=320k") != 0)
		_exit(77);
	writer_init_in(&w, "/mnt", SEGMENT);
	number = write_until_refused(&w, &refused);
	if (refused != -ENOSPC || number < 10 || journal_durable(w.j) != number)
		_exit(1);
	journal_close(w.j);
	if (dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)) != 0 || batches != number)
		_exit(2);
	if (writer_reopen(&w) != 0 || w.tail.batches != number || w.tail.cut_bytes != 0)
		_exit(3);
	_exit(0);
}

static void journal_on_a_full_disk_ends_with_all_that_was_durable(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		full_disk_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void works_in(const char *parent, bool direct)
{
	uint64_t batches, entries;
	struct writer w;

	writer_init_in(&w, parent, SEGMENT);
	assert_int_equal(journal_direct(w.j), direct);
	for (int k = 0; k < 30; k++)
		writer_batch(&w, 1, 20);
	writer_restart(&w);
	writer_batch(&w, 2, 20);
	assert_int_equal(dir_read(w.dir, &batches, &entries, w.why, sizeof(w.why)), 0);
	assert_int_equal(entries, 31 * 20);
	writer_deinit(&w);
}

static void buffered_child(void)
{
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/mnt", "ramfs", 0, NULL) != 0)
		_exit(77);
	works_in("/mnt",
		 false); /* ramfs refuses O_DIRECT; a failed assertion ends the child with another status */
	_exit(0);
}

static void journal_goes_through_the_page_cache_where_o_direct_is_refused(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		buffered_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void journal_writes_direct_on_tmpfs_and_disk(void **state)
{
	(void)state;
	works_in("/dev/shm", true);
	works_in("/var/tmp", true);
}

static void journal_has_one_writer(void **state)
{
	struct journal_tail tail;
	struct journal *second;
	struct writer w;

	(void)state;
	writer_init(&w);
	assert_int_equal(journal_open(&second, &w.options, &tail, w.why, sizeof(w.why)), -EBUSY);
	assert_null(second);
	writer_batch(&w, 1, 1);
	writer_deinit(&w);
}

static void journal_close_leaves_no_spare(void **state)
{
	const struct dirent *item;
	struct writer w;
	DIR *d;

	(void)state;
	writer_init(&w);
	writer_batch(&w, 1, 1);
	pause_ms(20);
	journal_close(w.j);
	d = opendir(w.dir);
	while ((item = readdir(d)))
		assert_true(item->d_name[0] == '.' || strcmp(item->d_name, "0000000000000001.seg") == 0);
	closedir(d);
	assert_int_equal(writer_reopen(&w), 0);
	writer_deinit(&w);
}

static void journal_tag_is_a_byte(void **state)
{
	struct journal_options options = { .dir = "/tmp/journal-test-never", .user_data = 256 };
	struct journal_tail tail;
	struct journal *j;
	char why[100];

	(void)state;
	assert_int_equal(journal_open(&j, &options, &tail, why, sizeof(why)), -EINVAL);
	assert_int_equal(access(options.dir, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journal_gives_back_every_entry_and_seen_record),
		cmocka_unit_test(journal_numbers_go_on_over_restarts),
		cmocka_unit_test(journal_takes_the_largest_batch_that_fits),
		cmocka_unit_test(journal_fits_keeps_to_a_small_segment),
		cmocka_unit_test(journal_cancelled_batch_leaves_nothing),
		cmocka_unit_test(journal_pads_with_zeros_whatever_the_buffer_held),
		cmocka_unit_test(journal_has_two_in_flight_and_no_third),
		cmocka_unit_test(journal_becomes_durable_in_order_only),
		cmocka_unit_test(journal_is_not_durable_before_its_sync),
		cmocka_unit_test(journal_links_write_and_fdatasync),
		cmocka_unit_test(journal_without_sync_writes_only_and_claims_nothing),
		cmocka_unit_test(journal_says_what_it_knew_to_be_durable),
		cmocka_unit_test(journal_lends_a_batch_until_it_is_durable_and_released),
		cmocka_unit_test(journal_resumes_a_write_that_was_cut_short),
		cmocka_unit_test(journal_goes_back_to_a_block_after_an_odd_short_write),
		cmocka_unit_test(journal_tries_again_after_an_interruption),
		cmocka_unit_test(journal_refuses_everything_after_a_failed_sync),
		cmocka_unit_test(journal_refuses_everything_after_a_failed_write),
		cmocka_unit_test(journal_rolls_to_a_segment_named_after_its_first_batch),
		cmocka_unit_test(journal_names_a_segment_before_it_writes_to_it),
		cmocka_unit_test(journal_in_flight_over_two_segments_is_durable_in_order),
		cmocka_unit_test(journal_says_enospc_before_a_write_that_would_not_fit),
		cmocka_unit_test(journal_on_a_full_disk_ends_with_all_that_was_durable),
		cmocka_unit_test(journal_goes_through_the_page_cache_where_o_direct_is_refused),
		cmocka_unit_test(journal_writes_direct_on_tmpfs_and_disk),
		cmocka_unit_test(journal_has_one_writer),
		cmocka_unit_test(journal_close_leaves_no_spare),
		cmocka_unit_test(journal_tag_is_a_byte),
		cmocka_unit_test(journal_allocates_nothing_after_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
