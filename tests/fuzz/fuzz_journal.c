// needs: user/journal/*.c user/base/crc32c.c
/*
 * fuzz_journal.c: the journal's reader over arbitrary bytes, as one batch and as a segment in a directory.
 *
 * Byte 0 says what is done to the rest. Bit 0: fields that a fuzzer cannot guess (magic, crc, hashes, chain,
 * numbers) are made right wherever a batch could stand, so that what lies behind those checks is reached. Bit
 * 1: the bytes are a segment and are read through a directory; else they are one batch, alone in an
 * allocation of its size. What is taken must keep the rules: entries inside the batch, numbers and positions
 * consecutive.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <journal/batch.h>
#include <journal/journal.h>
#include <journal/segment.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte that is lent. */
static uint32_t bytes_touch(const uint8_t *bytes, size_t count)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += bytes[i];
	return sum;
}

/* Makes the hashes of as many entries right as the bytes have, and gives where the SEEN part begins. */
static size_t entries_repair(struct journal_batch_header *h, struct batch_chain *chain)
{
	size_t at = sizeof(*h);

	for (uint32_t i = 0; i < h->entries; i++) {
		struct journal_entry_header *e = (void *)((uint8_t *)h + at);

		if (h->bytes - at < sizeof(*e))
			return 0;
		e->kind = (uint8_t)(e->kind % 12);
		e->bytes %= 1024;
		if (batch_pad(e->bytes, 8) > h->bytes - at - sizeof(*e))
			return 0;
		e->hash = batch_entry_hash(e->kind, e->source, e + 1, e->bytes);
		batch_chain_add(chain, e->hash);
		at += sizeof(*e) + batch_pad(e->bytes, 8);
	}
	return at;
}

static void batch_repair(struct journal_batch_header *h, size_t room, uint64_t number, uint64_t position,
			 struct hash128 before)
{
	struct batch_chain chain;
	size_t seen;

	h->magic = JOURNAL_MAGIC;
	h->header_bytes = sizeof(*h);
	h->shard = 0;
	h->term = 1 + number / 4;
	h->number = number;
	h->first_position = position;
	h->entries %= 8;
	h->seen_records %= 4;
	h->bytes = sizeof(*h) + h->bytes % 1024 / 8 * 8;
	if (h->bytes > room)
		h->bytes = room / 8 * 8;
	h->padded_bytes = batch_pad(h->bytes, BATCH_STEP);
	h->durable_through %= number;
	memset(h->reserved, 0, sizeof(h->reserved));
	batch_chain_start(&chain, before);
	seen = entries_repair(h, &chain);
	if (seen)
		h->chain = batch_chain_end(&chain, (uint8_t *)h + seen, h->bytes - seen);
	batch_crc_set(h);
}

static void batch_run(const uint8_t *data, size_t size, bool repair)
{
	struct journal_batch_header *h;
	struct hash128 before = { 1, 2 };
	size_t at = sizeof(*h);

	if (size < sizeof(*h))
		return;
	h = malloc(size);
	memcpy(h, data, size);
	if (repair)
		batch_repair(h, size, 1 + h->number % 100, 1 + h->first_position % 100, before);
	if (batch_header_good(h) && h->bytes <= size && batch_crc_right(h) && !batch_body_check(h, &before)) {
		for (uint32_t i = 0; i < h->entries; i++) {
			const struct journal_entry_header *e = batch_entry_next(h, &at);

			bytes_touch((const uint8_t *)(e + 1), e->bytes);
		}
		for (uint32_t i = 0; i < h->seen_records; i++)
			batch_seen_next(h, &at);
		assert(at == h->bytes);
	}
	free(h);
}

/* Makes what stands at every place where a batch could begin the next batch of a chain. */
static void segment_repair(uint8_t *bytes, size_t size)
{
	struct hash128 before = { 0, 0 };
	uint64_t number = 1, position = 1;
	size_t at = 0;

	while (size - at >= sizeof(struct journal_batch_header)) {
		struct journal_batch_header *h = (void *)(bytes + at);

		batch_repair(h, size - at, number++, position, before);
		before = h->chain;
		position += h->entries;
		if (h->padded_bytes > size - at)
			break;
		at += h->padded_bytes;
	}
}

static void directory_read(const char *dir)
{
	struct journal_batch_header h, last = { 0 };
	const struct journal_dropped *dropped;
	struct journal_reader *r;
	struct journal_entry e;
	struct journal_seen s;
	char why[256];
	int got = journal_reader_open(&r, dir, 0, why, sizeof(why));

	if (got) {
		assert(got == -EBADMSG && strncmp(why, "segment ", 8) == 0);
		return;
	}
	while ((got = journal_reader_batch(r, &h, why, sizeof(why))) == 1) {
		assert(h.number == last.number + 1 && h.term >= last.term);
		assert(last.number == 0 || h.first_position == last.first_position + last.entries);
		for (uint64_t position = h.first_position; journal_reader_entry(r, &e); position++) {
			assert(e.position == position && e.kind > ENTRY_NONE && e.kind < ENTRY_KIND_COUNT);
			bytes_touch(e.data, e.bytes);
		}
		while (journal_reader_seen(r, &s, &dropped))
			bytes_touch((const uint8_t *)dropped, s.dropped_lines * sizeof(*dropped));
		last = h;
	}
	assert(got == 0 || got == -EBADMSG);
	journal_reader_close(r);
}

static void segment_run(const uint8_t *data, size_t size, bool repair)
{
	char dir[] = "/dev/shm/fuzz-journal-XXXXXX", path[80];
	uint8_t *bytes = malloc(size + 1);
	int fd;

	memcpy(bytes, data, size);
	if (repair)
		segment_repair(bytes, size);
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/0000000000000001.seg", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	close(fd);
	directory_read(dir);
	unlink(path);
	rmdir(dir);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 2)
		segment_run(data + 1, size - 1, data[0] & 1);
	else
		batch_run(data + 1, size - 1, data[0] & 1);
	return 0;
}
