/*
 * batch: the bytes of one batch, made and checked.
 *
 * In: bytes that lie in front of the reader, a whole batch, 8-byte aligned. Out: whether they keep the
 * format, and what is wrong with them if not. The caller owns the bytes. Bytes from a disk may be anything:
 * every length is compared with the room that is left before it is used. batch_header_good comes first and
 * bounds `bytes`; then batch_crc_right; then batch_body_check, after which the *_next functions may trust
 * what they walk over.
 */
#include <assert.h>
#include <base/crc32c.h>
#include <journal/batch.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define HEADER_BYTES sizeof(struct journal_batch_header)

static struct hash128 hash_of(const void *bytes, size_t count, uint64_t seed)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, count, seed);

	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}

struct hash128 batch_entry_hash(uint8_t kind, uint16_t source, const void *bytes, uint32_t count)
{
	return hash_of(bytes, count, kind | (uint64_t)source << 8 | (uint64_t)count << 32);
}

void batch_chain_start(struct batch_chain *c, struct hash128 before)
{
	c->count = 0;
	batch_chain_add(c, before);
}

struct hash128 batch_chain_end(struct batch_chain *c, const void *seen, size_t seen_bytes)
{
	assert(c->count >= 1 && c->count <= JOURNAL_BATCH_ENTRIES_MAX + 1);
	batch_chain_add(c, hash_of(seen, seen_bytes, 0));
	return hash_of(c->hash, c->count * sizeof(c->hash[0]), 0);
}

static uint32_t batch_entries_crc(const struct journal_batch_header *h)
{
	return crc32c(0, (const uint8_t *)h + HEADER_BYTES, h->bytes - HEADER_BYTES);
}

static uint32_t batch_header_crc(const struct journal_batch_header *h)
{
	return crc32c(0, h, offsetof(struct journal_batch_header, header_crc));
}

void batch_crc_set(struct journal_batch_header *h)
{
	h->entries_crc = batch_entries_crc(h);
	h->header_crc = batch_header_crc(h);
	assert(batch_header_good(h));
}

bool batch_crc_right(const struct journal_batch_header *h)
{
	return batch_entries_crc(h) == h->entries_crc;
}

static bool batch_header_zeros(const struct journal_batch_header *h)
{
	uint32_t any = 0;

	for (size_t i = 0; i < sizeof(h->reserved) / sizeof(h->reserved[0]); i++)
		any |= h->reserved[i];
	return any == 0;
}

bool batch_header_good(const struct journal_batch_header *h)
{
	if (h->magic != JOURNAL_MAGIC || h->header_bytes != HEADER_BYTES ||
	    batch_header_crc(h) != h->header_crc)
		return false;
	if (h->bytes < HEADER_BYTES || h->bytes % 8 || h->padded_bytes < h->bytes)
		return false;
	if (h->padded_bytes > JOURNAL_BATCH_BYTES_MAX || h->padded_bytes % BATCH_STEP)
		return false;
	if (h->number == 0 || h->first_position == 0 || h->durable_through >= h->number)
		return false;
	return h->entries <= JOURNAL_BATCH_ENTRIES_MAX && batch_header_zeros(h);
}

/* Checks the entry at *at, moves *at behind it. */
static const char *entry_check(const struct journal_batch_header *h, size_t *at, struct batch_chain *chain)
{
	static const uint8_t zeros[8];
	const uint8_t *bytes = (const uint8_t *)h + *at;
	size_t left = h->bytes - *at;
	struct journal_entry_header entry;
	struct hash128 hash;

	if (left < sizeof(entry))
		return "an entry's header runs over the batch";
	memcpy(&entry, bytes, sizeof(entry));
	left -= sizeof(entry);
	bytes += sizeof(entry);
	if (entry.kind == ENTRY_NONE || entry.kind >= ENTRY_KIND_COUNT)
		return "an entry of unknown kind";
	if (entry.reserved != 0)
		return "a reserved byte of an entry is set";
	if (batch_pad(entry.bytes, 8) > left)
		return "an entry runs over the batch";
	if (memcmp(bytes + entry.bytes, zeros, batch_pad(entry.bytes, 8) - entry.bytes) != 0)
		return "an entry has bytes in its padding";
	hash = batch_entry_hash(entry.kind, entry.source, bytes, entry.bytes);
	if (hash.low != entry.hash.low || hash.high != entry.hash.high)
		return "an entry differs from its hash";
	batch_chain_add(chain, hash);
	*at += sizeof(entry) + batch_pad(entry.bytes, 8);
	return NULL;
}

static const char *seen_check(const struct journal_batch_header *h, size_t *at)
{
	size_t left = h->bytes - *at;
	struct journal_seen seen;
	struct journal_dropped dropped;

	if (left < sizeof(seen))
		return "a SEEN record runs over the batch";
	memcpy(&seen, (const uint8_t *)h + *at, sizeof(seen));
	if (seen.dropped_lines * sizeof(dropped) > left - sizeof(seen))
		return "the lines of a SEEN record run over the batch";
	*at += sizeof(seen);
	for (uint32_t i = 0; i < seen.dropped_lines; i++, *at += sizeof(dropped)) {
		memcpy(&dropped, (const uint8_t *)h + *at, sizeof(dropped));
		if (dropped.reserved != 0)
			return "a reserved byte of a SEEN record is set";
	}
	return NULL;
}

const char *batch_body_check(const struct journal_batch_header *h, const struct hash128 *before)
{
	struct batch_chain chain;
	struct hash128 end;
	const char *wrong = NULL;
	size_t at = HEADER_BYTES, seen_at;

	assert(h->entries <= JOURNAL_BATCH_ENTRIES_MAX && h->bytes >= HEADER_BYTES);
	batch_chain_start(&chain, before ? *before : (struct hash128){ 0 });
	for (uint32_t i = 0; i < h->entries && !wrong; i++)
		wrong = entry_check(h, &at, &chain);
	seen_at = at;
	for (uint32_t i = 0; i < h->seen_records && !wrong; i++)
		wrong = seen_check(h, &at);
	if (wrong)
		return wrong;
	if (at != h->bytes)
		return "bytes behind the last SEEN record";
	end = batch_chain_end(&chain, (const uint8_t *)h + seen_at, h->bytes - seen_at);
	if (before && (end.low != h->chain.low || end.high != h->chain.high))
		return "the chain does not continue";
	return NULL;
}

const struct journal_entry_header *batch_entry_next(const struct journal_batch_header *h, size_t *at)
{
	const struct journal_entry_header *entry = (const void *)((const uint8_t *)h + *at);

	assert(*at + sizeof(*entry) <= h->bytes);
	*at += sizeof(*entry) + batch_pad(entry->bytes, 8);
	assert(*at <= h->bytes);
	return entry;
}

const struct journal_seen *batch_seen_next(const struct journal_batch_header *h, size_t *at)
{
	const struct journal_seen *seen = (const void *)((const uint8_t *)h + *at);

	assert(*at + sizeof(*seen) <= h->bytes);
	*at += sizeof(*seen) + seen->dropped_lines * sizeof(struct journal_dropped);
	assert(*at <= h->bytes);
	return seen;
}
