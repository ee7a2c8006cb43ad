/*
 * idset.c: an open-addressed table of 128-bit keys made of id and leg, and its file.
 *
 * The id is a hash already; the leg is mixed into it. Owned: the table, the file. What can go wrong:
 * memory, and a file that is not ours or cannot be written.
 */
#include "idset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { SLOTS_FIRST = 1 << 16, LINE_BYTES_MAX = 256 };

static struct idset_key key_of(const uint8_t id[16], const char *leg, size_t leg_bytes)
{
	uint8_t both[16 + LINE_BYTES_MAX];
	XXH128_hash_t h;
	size_t len = leg_bytes < LINE_BYTES_MAX ? leg_bytes : LINE_BYTES_MAX;

	memcpy(both, id, 16);
	memcpy(both + 16, leg, len);
	h = XXH3_128bits(both, 16 + len);
	return (struct idset_key){ h.high64, h.low64 | 1 }; /* never the free one */
}

static struct idset_key *slot_find(const struct idset *s, struct idset_key k)
{
	size_t i = k.high & (s->slots - 1);

	while (s->slot[i].low && (s->slot[i].low != k.low || s->slot[i].high != k.high))
		i = (i + 1) & (s->slots - 1);
	return &s->slot[i];
}

static int grow(struct idset *s)
{
	struct idset_key *old = s->slot;
	size_t slots = s->slots;

	s->slot = calloc(2 * slots, sizeof(*s->slot));
	if (!s->slot) {
		s->slot = old;
		return -ENOMEM;
	}
	s->slots = 2 * slots;
	for (size_t i = 0; i < slots; i++)
		if (old[i].low)
			*slot_find(s, old[i]) = old[i];
	free(old);
	return 0;
}

/* Into the table only. */
static int remember(struct idset *s, const uint8_t id[16], const char *leg, size_t leg_bytes)
{
	struct idset_key k = key_of(id, leg, leg_bytes);
	struct idset_key *slot = slot_find(s, k);

	if (slot->low)
		return 0;
	*slot = k;
	s->count++;
	if (s->count * 4 > s->slots * 3 && grow(s) != 0)
		return -ENOMEM;
	return 1;
}

static bool line_parse(const char *line, uint8_t id[16])
{
	unsigned byte;

	if (strspn(line, "0123456789abcdef") != 32 || line[32] != ' ')
		return false;
	for (int i = 0; i < 16; i++) {
		sscanf(line + 2 * i, "%2x", &byte);
		id[i] = (uint8_t)byte;
	}
	return true;
}

/* Reads the file; a last line without its end is cut off. */
static int file_load(struct idset *s)
{
	char line[LINE_BYTES_MAX];
	uint8_t id[16];
	long good = 0;

	while (fgets(line, sizeof(line), s->file)) {
		size_t len = strlen(line);

		if (len == 0 || line[len - 1] != '\n')
			break;
		if (!line_parse(line, id))
			return -EINVAL;
		if (remember(s, id, line + 33, len - 34) < 0)
			return -ENOMEM;
		good = ftell(s->file);
	}
	if (ftruncate(fileno(s->file), good) != 0 || fseek(s->file, good, SEEK_SET) != 0)
		return -errno;
	return 0;
}

int idset_open(struct idset *s, const char *path)
{
	int result = 0;

	*s = (struct idset){ .slot = calloc(SLOTS_FIRST, sizeof(*s->slot)), .slots = SLOTS_FIRST };
	if (!s->slot)
		return -ENOMEM;
	if (path) {
		s->file = fopen(path, "a+e");
		if (s->file)
			rewind(s->file);
		result = s->file ? file_load(s) : -errno;
	}
	if (result)
		idset_close(s);
	return result;
}

void idset_close(struct idset *s)
{
	if (s->file)
		fclose(s->file);
	free(s->slot);
	*s = (struct idset){ 0 };
}

int idset_add(struct idset *s, const uint8_t id[16], const char *leg, size_t leg_bytes)
{
	int result = remember(s, id, leg, leg_bytes);

	if (result != 1 || !s->file)
		return result;
	for (int i = 0; i < 16; i++)
		fprintf(s->file, "%02x", id[i]);
	if (fprintf(s->file, " %.*s\n", (int)leg_bytes, leg) < 0)
		return -errno;
	return 1;
}

int idset_flush(struct idset *s)
{
	return s->file && fflush(s->file) != 0 ? -errno : 0;
}
