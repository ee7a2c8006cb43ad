/*
 * batch: the bytes of one batch, made and checked (format.h). Pure functions over the caller's bytes: no
 * file, no allocation. Inside the stage.
 */
#ifndef JOURNAL_BATCH_H
#define JOURNAL_BATCH_H

#include <journal/format.h>
#include <moment/limits.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	BATCH_STEP = 512, /* every batch begins at a multiple of this, whatever the block of its device was */
};
_Static_assert(JOURNAL_BATCH_BYTES_MAX % 4096 == 0, "a whole batch needs no padding");

static inline uint64_t batch_pad(uint64_t bytes, uint64_t to)
{
	return (bytes + to - 1) & ~(to - 1);
}

/* Hash of an entry's bytes: the seed binds kind, source and length to it. */
struct hash128 batch_entry_hash(uint8_t kind, uint16_t source, const void *bytes, uint32_t count);

/* What the chain runs over, in order. One a batch, on its owner's side: 4 KiB. */
struct batch_chain {
	struct hash128 hash[JOURNAL_BATCH_ENTRIES_MAX + 2]; /* the chain before, the entries, the SEEN part */
	uint32_t count;
};
void batch_chain_start(struct batch_chain *c, struct hash128 before);
static inline void batch_chain_add(struct batch_chain *c, struct hash128 hash)
{
	c->hash[c->count++] = hash;
}
/* Adds the SEEN part and gives the batch's own chain. */
struct hash128 batch_chain_end(struct batch_chain *c, const void *seen, size_t seen_bytes);

/* Sets entries_crc and header_crc: the last thing that is done to a batch. */
void batch_crc_set(struct journal_batch_header *h);
/* Is the crc of what stands behind the header right? `h` lies in front of its `bytes` bytes. */
bool batch_crc_right(const struct journal_batch_header *h);

/* 192 bytes, 8-byte aligned: a header whose crc is right and whose fields keep the rules of one batch? */
bool batch_header_good(const struct journal_batch_header *h);

/*
 * Checks what stands behind a good header: structure, hashes, chain. `before` is the chain of the batch
 * before, NULL = not known. Reads h->bytes bytes and none behind them. NULL when all is right, else what is
 * wrong.
 */
const char *batch_body_check(const struct journal_batch_header *h, const struct hash128 *before);

/* Over the bytes of a checked batch; *at is an offset from the header, at first sizeof(*h). */
const struct journal_entry_header *batch_entry_next(const struct journal_batch_header *h, size_t *at);
const struct journal_seen *batch_seen_next(const struct journal_batch_header *h, size_t *at);

#endif
