/*
 * journal: the durable input log. The engine is a function of what stands here and of nothing else.
 *
 * A directory of segments `%016x.seg` (hex number of their first batch), each JOURNAL_SEGMENT_BYTES long (or
 * what journal_options says), written with zeros and synced before use by a thread of the journal's own,
 * O_DIRECT, io_uring. A batch = header, entries, SEEN records, padded with zeros to the device's logical
 * block (512 or 4096). It never spans segments. One write and one fdatasync (linked) per batch; at most
 * JOURNAL_BATCHES_IN_FLIGHT_MAX in flight; durable in order. The format is in schemas/journal.md; format.h
 * has the structs.
 *
 * Life of a batch's buffer:
 *   1. journal_begin lends it: entries are appended, the engine reads them there;
 *   2. journal_seal computes hashes, chain and crc and submits it; the engine may still read it;
 *   3. durable (journal_completed says so) *and* journal_release called by the engine: reused.
 *
 * Closing writes nothing: it is the same as a kill. After journal_open the engine thread allocates nothing
 * here.
 *
 * Engine thread only, but for the preparer thread inside; readers and journal_truncate_before: any thread.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <journal/format.h>
#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

struct journal_options {
	const char *dir; /* data directory/journal; made when missing */
	uint32_t shard;
	uint64_t segment_bytes; /* 0 = JOURNAL_SEGMENT_BYTES */
	bool sync;		/* false: --durability=none, no fdatasync */
	uint64_t user_data;	/* tag, 0 to 255: completions of the journal carry this in the top 8 bits of
				   user_data */
	uint64_t from_position; /* 0 = check every batch; else older segments by their first header only */
};

/* What recovery found at the end. */
struct journal_tail {
	uint64_t batches;		 /* number of the last good batch, 0 = none */
	uint64_t position;		 /* position of the next entry, from 1 */
	uint64_t term;			 /* of the last good batch */
	int64_t now;			 /* of the last good batch */
	uint64_t cut_batches, cut_bytes; /* a torn tail that was cut */
	uint64_t base_position;		 /* oldest position that is still there */
};

/*
 * Opens for appending: scans, checks chain and crc, cuts a torn tail, starts the preparer. A bad batch that
 * was known to be durable (a later valid batch of the same term with durable_through >= its number) is
 * corruption: -EBADMSG and `why` says segment, offset, batch. Returns 0 or -errno with `why`. Everything read
 * is synced.
 */
__attribute__((warn_unused_result)) int journal_open(struct journal **out,
						     const struct journal_options *options,
						     struct journal_tail *tail, char *why, size_t why_bytes);
void journal_close(struct journal *j);

/* False: the file system refuses O_DIRECT, batches go through the page cache (say so at start). */
bool journal_direct(const struct journal *j);
/* The longest batch: JOURNAL_BATCH_BYTES_MAX, or the segment if that is shorter. */
uint64_t journal_batch_bytes_max(const struct journal *j);

/* Starts a batch. -EAGAIN: two are in flight, no buffer was released, or no prepared segment is ready (try
 * again after a completion or a millisecond); -ENOSPC: the disk is full and the current segment cannot take a
 * whole batch (the process must end); -EIO: an earlier write or sync failed. */
__attribute__((warn_unused_result)) int journal_begin(struct journal *j, uint64_t term, int64_t now);

/* Gives an open batch up: nothing of it was or will be written. */
void journal_cancel(struct journal *j);

/* Room left in the batch for one more entry of `bytes`? At most JOURNAL_BATCH_ENTRIES_MAX entries, and room
 * for SEEN records stays. */
bool journal_fits(const struct journal *j, size_t bytes);
/* Appends an entry and lends its bytes (8-byte aligned) until the batch is released. Positions are
 * consecutive. */
const void *journal_append(struct journal *j, enum journal_entry_kind kind, uint16_t source,
			   const void *bytes, uint32_t count, uint64_t *position);
/* The same in two parts (a frame that wrapped in a ring). */
const void *journal_append_two(struct journal *j, enum journal_entry_kind kind, uint16_t source,
			       const void *a, uint32_t a_bytes, const void *b, uint32_t b_bytes,
			       uint64_t *position);
/* Adds a SEEN record (journal/format.h: header and dropped lines). */
void journal_seen(struct journal *j, const struct journal_seen *seen, const struct journal_dropped *dropped);

struct journal_seal {
	struct hash128 catalogue; /* in force at the batch's end */
	struct hash128 outputs;	  /* digest of everything sent out up to the batch before */
	uint32_t interest_version;
};
/* Submits the batch on `ring` (SQEs are prepared, io_uring_submit is the caller's; at most 4, linked: when
 * fewer are free the queue is submitted first). Opcodes: WRITE, FSYNC, at a new segment RENAMEAT too. Returns
 * its number. */
uint64_t journal_seal(struct journal *j, const struct journal_seal *seal, struct io_uring *ring);

/* Takes a completion with the journal's tag. After a short write, -EINTR or -EAGAIN it prepares SQEs again:
 * submit. Returns 0, or -errno of a failed write or sync: nothing is acknowledged any more. */
__attribute__((warn_unused_result)) int journal_complete(struct journal *j, const struct io_uring_cqe *cqe,
							 struct io_uring *ring);
uint64_t journal_durable(const struct journal *j); /* last batch that is durable */
uint32_t journal_in_flight(const struct journal *j);
void journal_release(struct journal *j, uint64_t batch); /* the engine no longer reads that one batch */

/* ---- reading: recovery, replay, why ---- */

struct journal_reader;
struct journal_entry {
	uint64_t position;
	enum journal_entry_kind kind;
	uint16_t source;
	uint32_t bytes;
	const uint8_t *data; /* 8-byte aligned; lent until the next batch is read */
};
/*
 * Opens for reading from the batch that holds `position` (0: from the oldest); read-only, another process may
 * be writing. -ENOENT: that position is no longer (or not yet) there; the one that comes next is allowed and
 * reads nothing until it is written. Batches without entries (SEEN only) at that position come first: a
 * checkpoint remembers its batch's number too, and skips what it has.
 */
__attribute__((warn_unused_result)) int journal_reader_open(struct journal_reader **out, const char *dir,
							    uint64_t position, char *why, size_t why_bytes);
void journal_reader_close(struct journal_reader *r);
/* Next batch: 1 and *header, 0 at the end (call again when more was written), -EBADMSG on corruption with
 * `why`, another -errno. The first batch of the oldest segment has nothing to compare its chain with. */
__attribute__((warn_unused_result)) int journal_reader_batch(struct journal_reader *r,
							     struct journal_batch_header *header, char *why,
							     size_t why_bytes);
/* Next entry of the current batch; false at its end. */
bool journal_reader_entry(struct journal_reader *r, struct journal_entry *entry);
/* Next SEEN record of the current batch; false at its end. */
bool journal_reader_seen(struct journal_reader *r, struct journal_seen *seen,
			 const struct journal_dropped **dropped);
/* Deletes whole segments that lie before `position`, never the newest, and never one with a SEEN record that
 * stands at `position`. Returns how many, or -errno. */
int journal_truncate_before(const char *dir, uint64_t position);

#endif
