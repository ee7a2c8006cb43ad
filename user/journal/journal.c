/*
 * journal: the writer.
 *
 * In: entries and SEEN records of one batch at a time. Out: batches on the disk, in order, and the number of
 * the last one that is durable. The journal owns four buffers, mapped once; what journal_append lends lies in
 * one of them until the batch is durable and released. The segment of a batch is chosen when it is sealed and
 * its size is known; journal_begin has made sure before that the rest of the segment or a spare one takes the
 * largest batch, so that sealing cannot fail. After the first error of a write or sync nothing is durable any
 * more, for ever: the kernel reports such an error once, and what it had not written may be gone.
 *
 * Read on: flight.c (a batch's way to the disk), recover.c (what journal_open does first), prepare.c (spare
 * segments).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <journal/batch.h>
#include <journal/flight.h>
#include <journal/journal.h>
#include <journal/prepare.h>
#include <journal/recover.h>
#include <journal/segment.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BUFFERS = 4, /* two in flight, one being filled, one that the engine still reads */
	FILES = 4,   /* the one at hand and those of batches in flight */
	SEEN_BYTES_MAX = 1 << 20,
	LOCK_WAIT_MS = 2000,
};
_Static_assert((int)FILES > (int)JOURNAL_BATCHES_IN_FLIGHT_MAX + 1, "a free file whenever a batch is sealed");
_Static_assert((int)BUFFERS > (int)JOURNAL_BATCHES_IN_FLIGHT_MAX, "filling goes on while two are in flight");

enum buffer_state { BUFFER_FREE, BUFFER_OPEN, BUFFER_SEALED };

struct buffer {
	uint8_t *bytes;
	enum buffer_state state;
	bool durable, released; /* both: free again */
	uint64_t number;
};

struct journal {
	struct journal_options options; /* `dir` is not kept */
	int dir_fd;
	struct segment_mode mode;
	uint64_t segment_bytes, batch_bytes_max, seen_room;
	struct prepare prepare;
	bool prepare_started;

	uint8_t *memory; /* all buffers, then the SEEN part of the open batch */
	size_t memory_bytes;
	struct buffer buffer[BUFFERS];
	struct buffer *open; /* NULL = none */
	struct batch_chain hashes;
	uint8_t *seen;
	size_t used, seen_used;
	uint32_t entries, seen_records;
	uint64_t term_open;
	int64_t now_open;

	uint64_t number, position, term; /* of the last sealed batch; of the next entry */
	struct hash128 chain;

	struct flight_file file[FILES];
	struct flight_file *at; /* the segment at hand */
	int spare_fd;		/* -1 = none */
	char spare_name[SEGMENT_NAME_BYTES];

	struct flight flight[JOURNAL_BATCHES_IN_FLIGHT_MAX]; /* of batch n at n % MAX */
	uint64_t durable, durable_known; /* with sync: the same; else what was synced by journal_open */
	int error;			 /* sticky */
};

#define HEADER_BYTES sizeof(struct journal_batch_header)

/* ---- opening ---- */

static int journal_memory_map(struct journal *j)
{
	j->memory_bytes = (size_t)BUFFERS * JOURNAL_BATCH_BYTES_MAX + SEEN_BYTES_MAX;
	j->memory = mmap(NULL, j->memory_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (j->memory == MAP_FAILED) {
		j->memory = NULL;
		return -errno;
	}
	for (uint32_t i = 0; i < BUFFERS; i++)
		j->buffer[i].bytes = j->memory + (size_t)i * JOURNAL_BATCH_BYTES_MAX;
	j->seen = j->memory + (size_t)BUFFERS * JOURNAL_BATCH_BYTES_MAX;
	return 0;
}

static void journal_sizes_set(struct journal *j)
{
	uint64_t wanted = j->options.segment_bytes ? j->options.segment_bytes : JOURNAL_SEGMENT_BYTES;

	j->segment_bytes = batch_pad(wanted, 4096);
	j->batch_bytes_max =
		j->segment_bytes < JOURNAL_BATCH_BYTES_MAX ? j->segment_bytes : JOURNAL_BATCH_BYTES_MAX;
	j->seen_room = j->batch_bytes_max / 4 < SEEN_BYTES_MAX ? j->batch_bytes_max / 4 : SEEN_BYTES_MAX;
}

/* A new directory's name must be on the disk too. */
static int parent_sync(const char *dir)
{
	char *copy = strdup(dir);
	int fd, error = 0;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return error;
}

static int journal_dir_open(struct journal *j)
{
	int error = 0;

	if (mkdir(j->options.dir, 0700) == 0)
		error = parent_sync(j->options.dir);
	else if (errno != EEXIST)
		error = -errno;
	if (error)
		return error;
	j->dir_fd = open(j->options.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir_fd < 0)
		return -errno;
	error = segment_lock(j->dir_fd, LOCK_WAIT_MS);
	if (!error)
		error = segment_spares_remove(j->dir_fd);
	return error ? error : segment_mode_find(j->dir_fd, &j->mode);
}

/* The segment at hand: the one that recovery left, or a first one, made here. */
static int journal_segment_first(struct journal *j, const struct recovered *from)
{
	struct flight_file *file = &j->file[0];

	j->at = file;
	file->fd = from->fd;
	file->offset = from->offset;
	file->bytes = from->bytes;
	if (file->offset % j->mode.block)
		file->offset = file->bytes; /* written with a smaller block: nothing fits any more */
	if (file->fd >= 0)
		return 0;
	segment_name(file->to, j->number + 1);
	file->bytes = j->segment_bytes;
	return segment_prepare(j->dir_fd, file->to, file->bytes, &j->mode, j->options.sync, &file->fd);
}

static int journal_start(struct journal *j, struct journal_tail *tail, char *why, size_t why_bytes)
{
	struct recovered from;
	int error = journal_recover(&j->options, j->dir_fd, &j->mode, tail, &from, why, why_bytes);

	if (error)
		return error;
	j->number = j->durable = j->durable_known = tail->batches;
	j->position = tail->position;
	j->term = tail->term;
	j->chain = from.chain;
	error = journal_segment_first(j, &from);
	if (!error)
		error = prepare_start(&j->prepare, j->dir_fd, j->segment_bytes, &j->mode, j->options.sync);
	j->prepare_started = !error;
	if (error)
		segment_why(why, why_bytes, error, "cannot prepare a segment: %s", strerror(-error));
	return error;
}

int journal_open(struct journal **out, const struct journal_options *options, struct journal_tail *tail,
		 char *why, size_t why_bytes)
{
	struct journal *j = calloc(1, sizeof(*j));
	int error;

	*out = NULL;
	if (!j)
		return segment_why(why, why_bytes, -ENOMEM, "out of memory");
	j->options = *options;
	j->dir_fd = j->spare_fd = -1;
	for (uint32_t i = 0; i < FILES; i++)
		j->file[i].fd = -1;
	journal_sizes_set(j);
	error = options->user_data > 255 ? -EINVAL : journal_memory_map(j);
	if (!error)
		error = journal_dir_open(j);
	if (error)
		segment_why(why, why_bytes, error, "cannot open the journal %s: %s", options->dir,
			    strerror(-error));
	else
		error = journal_start(j, tail, why, why_bytes);
	j->options.dir = NULL;
	if (error)
		journal_close(j);
	else
		*out = j;
	return error;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->prepare_started)
		prepare_stop(&j->prepare);
	if (j->spare_fd >= 0) {
		unlinkat(j->dir_fd, j->spare_name, 0);
		close(j->spare_fd);
	}
	for (uint32_t i = 0; i < FILES; i++)
		if (j->file[i].fd >= 0)
			close(j->file[i].fd);
	if (j->dir_fd >= 0)
		close(j->dir_fd);
	if (j->memory)
		munmap(j->memory, j->memory_bytes);
	free(j);
}

bool journal_direct(const struct journal *j)
{
	return j->mode.direct;
}
uint64_t journal_batch_bytes_max(const struct journal *j)
{
	return j->batch_bytes_max;
}
uint64_t journal_durable(const struct journal *j)
{
	return j->durable;
}
uint32_t journal_in_flight(const struct journal *j)
{
	return (uint32_t)(j->number - j->durable);
}

/* ---- filling a batch ---- */

static struct buffer *buffer_find_free(struct journal *j)
{
	for (uint32_t i = 0; i < BUFFERS; i++)
		if (j->buffer[i].state == BUFFER_FREE)
			return &j->buffer[i];
	return NULL;
}

/* Room for the largest batch, here or in the spare segment: then sealing cannot fail. */
static int journal_room_ensure(struct journal *j)
{
	int error;

	if (j->at->bytes - j->at->offset >= j->batch_bytes_max)
		return 0;
	if (j->spare_fd >= 0)
		return 0;
	error = prepare_take(&j->prepare, &j->spare_fd, j->spare_name);
	if (error == -ENOSPC || error == -EDQUOT || error == -EFBIG)
		return -ENOSPC;
	return error && error != -EAGAIN ? -EIO : error;
}

int journal_begin(struct journal *j, uint64_t term, int64_t now)
{
	struct buffer *b;
	int error;

	assert(!j->open && term >= j->term && term > 0);
	if (j->error)
		return -EIO;
	b = buffer_find_free(j);
	if (!b || journal_in_flight(j) >= JOURNAL_BATCHES_IN_FLIGHT_MAX)
		return -EAGAIN;
	error = journal_room_ensure(j);
	if (error)
		return error;
	*b = (struct buffer){ .bytes = b->bytes, .state = BUFFER_OPEN, .number = j->number + 1 };
	j->open = b;
	j->used = HEADER_BYTES;
	j->seen_used = 0;
	j->entries = j->seen_records = 0;
	j->term_open = term;
	j->now_open = now;
	batch_chain_start(&j->hashes, j->chain);
	return 0;
}

void journal_cancel(struct journal *j)
{
	assert(j->open);
	j->open->state = BUFFER_FREE;
	j->open = NULL;
	j->position -= j->entries;
}

bool journal_fits(const struct journal *j, size_t bytes)
{
	assert(j->open);
	if (bytes > JOURNAL_ENTRY_BYTES_MAX || j->entries >= JOURNAL_BATCH_ENTRIES_MAX)
		return false;
	return j->used + sizeof(struct journal_entry_header) + batch_pad(bytes, 8) + j->seen_room <=
	       j->batch_bytes_max;
}

const void *journal_append_two(struct journal *j, enum journal_entry_kind kind, uint16_t source,
			       const void *a, uint32_t a_bytes, const void *b, uint32_t b_bytes,
			       uint64_t *position)
{
	uint32_t bytes = a_bytes + b_bytes;
	struct journal_entry_header *entry;
	uint8_t *data;

	assert(kind > ENTRY_NONE && kind < ENTRY_KIND_COUNT);
	assert(journal_fits(j, (size_t)a_bytes + b_bytes));
	entry = (void *)(j->open->bytes + j->used);
	data = (uint8_t *)(entry + 1);
	if (a_bytes)
		memcpy(data, a, a_bytes);
	if (b_bytes)
		memcpy(data + a_bytes, b, b_bytes);
	memset(data + bytes, 0, batch_pad(bytes, 8) - bytes);
	*entry = (struct journal_entry_header){ .bytes = bytes, .kind = (uint8_t)kind, .source = source };
	/* Here and not in journal_seal: the bytes are in the cache now. */
	entry->hash = batch_entry_hash(entry->kind, source, data, bytes);
	batch_chain_add(&j->hashes, entry->hash);
	j->used += sizeof(*entry) + batch_pad(bytes, 8);
	j->entries++;
	*position = j->position++;
	return data;
}

const void *journal_append(struct journal *j, enum journal_entry_kind kind, uint16_t source,
			   const void *bytes, uint32_t count, uint64_t *position)
{
	return journal_append_two(j, kind, source, bytes, count, NULL, 0, position);
}

void journal_seen(struct journal *j, const struct journal_seen *seen, const struct journal_dropped *dropped)
{
	size_t lines = seen->dropped_lines * sizeof(*dropped);

	assert(j->open && j->seen_used + sizeof(*seen) + lines <= j->seen_room);
	memcpy(j->seen + j->seen_used, seen, sizeof(*seen));
	if (lines)
		memcpy(j->seen + j->seen_used + sizeof(*seen), dropped, lines);
	j->seen_used += sizeof(*seen) + lines;
	j->seen_records++;
}

/* ---- sealing ---- */

/* Puts the SEEN part, the padding and the header into the open batch. */
static const struct journal_batch_header *journal_batch_finish(struct journal *j,
							       const struct journal_seal *seal)
{
	struct journal_batch_header *h = (void *)j->open->bytes;
	uint64_t bytes = j->used + j->seen_used, padded = batch_pad(bytes, j->mode.block);

	assert(padded <= j->batch_bytes_max);
	memcpy(j->open->bytes + j->used, j->seen, j->seen_used);
	memset(j->open->bytes + bytes, 0, padded - bytes);
	j->chain = batch_chain_end(&j->hashes, j->seen, j->seen_used);
	*h = (struct journal_batch_header){
		.magic = JOURNAL_MAGIC,
		.header_bytes = HEADER_BYTES,
		.shard = j->options.shard,
		.term = j->term_open,
		.number = j->open->number,
		.first_position = j->position - j->entries,
		.entries = j->entries,
		.seen_records = j->seen_records,
		.bytes = bytes,
		.padded_bytes = padded,
		.now = j->now_open,
		.durable_through = j->durable_known,
		.catalogue = seal->catalogue,
		.outputs = seal->outputs,
		.chain = j->chain,
		.interest_version = seal->interest_version,
	};
	batch_crc_set(h);
	return h;
}

static void file_retire(struct journal *j, struct flight_file *file)
{
	if (file == j->at || file->flights > 0)
		return;
	prepare_retire(&j->prepare, file->fd);
	file->fd = -1;
}

/* Goes over to the spare segment; it gets its name with its first batch. */
static void journal_segment_roll(struct journal *j)
{
	struct flight_file *before = j->at, *file = NULL;

	assert(j->spare_fd >= 0);
	for (uint32_t i = 0; i < FILES && !file; i++)
		if (j->file[i].fd < 0)
			file = &j->file[i];
	assert(file);
	*file = (struct flight_file){ .fd = j->spare_fd, .bytes = j->segment_bytes };
	memcpy(file->from, j->spare_name, SEGMENT_NAME_BYTES);
	segment_name(file->to, j->open->number);
	j->spare_fd = -1;
	j->at = file;
	file_retire(j, before);
	prepare_want(&j->prepare);
}

static uint8_t flight_steps(const struct journal *j, bool new_segment)
{
	unsigned steps = 1u << FLIGHT_WRITE;

	if (j->options.sync)
		steps |= 1u << FLIGHT_SYNC;
	if (new_segment)
		steps |= 1u << FLIGHT_RENAME | (j->options.sync ? 1u << FLIGHT_DIRSYNC : 0);
	return (uint8_t)steps;
}

uint64_t journal_seal(struct journal *j, const struct journal_seal *seal, struct io_uring *ring)
{
	const struct journal_batch_header *h;
	struct flight *f;
	bool roll;

	assert(j->open && journal_in_flight(j) < JOURNAL_BATCHES_IN_FLIGHT_MAX);
	h = journal_batch_finish(j, seal);
	roll = h->padded_bytes > j->at->bytes - j->at->offset;
	if (roll)
		journal_segment_roll(j);
	f = &j->flight[h->number % JOURNAL_BATCHES_IN_FLIGHT_MAX];
	*f = (struct flight){ .number = h->number,
			      .file = j->at,
			      .dir_fd = j->dir_fd,
			      .bytes = j->open->bytes,
			      .offset = j->at->offset,
			      .total = (uint32_t)h->padded_bytes,
			      .block = j->mode.block,
			      .steps = flight_steps(j, roll) };
	f->todo = f->steps;
	j->at->offset += h->padded_bytes;
	j->at->flights++;
	j->number = h->number;
	j->term = h->term;
	j->open->state = BUFFER_SEALED;
	j->open = NULL;
	flight_submit(f, ring, j->options.user_data);
	return j->number;
}

/* ---- completions ---- */

static struct buffer *buffer_find(struct journal *j, uint64_t number)
{
	for (uint32_t i = 0; i < BUFFERS; i++)
		if (j->buffer[i].state == BUFFER_SEALED && j->buffer[i].number == number)
			return &j->buffer[i];
	return NULL;
}

static void buffer_free_if_done(struct buffer *b)
{
	if (b->durable && b->released)
		b->state = BUFFER_FREE;
}

/* Batches become durable in order, whatever the order of their completions. */
static void journal_durable_advance(struct journal *j)
{
	while (j->durable < j->number) {
		struct flight *f = &j->flight[(j->durable + 1) % JOURNAL_BATCHES_IN_FLIGHT_MAX];
		struct buffer *b;

		if (!flight_done(f))
			return;
		j->durable++;
		if (j->options.sync)
			j->durable_known = j->durable;
		assert(f->number == j->durable);
		b = buffer_find(j, f->number);
		assert(b);
		b->durable = true;
		buffer_free_if_done(b);
		f->file->flights--;
		file_retire(j, f->file);
	}
}

int journal_complete(struct journal *j, const struct io_uring_cqe *cqe, struct io_uring *ring)
{
	uint64_t number = flight_user_number(cqe->user_data);
	struct flight *f = &j->flight[number % JOURNAL_BATCHES_IN_FLIGHT_MAX];
	int error;

	assert(cqe->user_data >> 56 == j->options.user_data);
	assert(f->number == number && number > j->durable && number <= j->number);
	error = flight_complete(f, flight_user_step(cqe->user_data), cqe->res);
	if (error && !j->error)
		j->error = error;
	if (j->error)
		return j->error;
	if (flight_broken(f))
		flight_submit(f, ring, j->options.user_data);
	journal_durable_advance(j);
	return 0;
}

void journal_release(struct journal *j, uint64_t batch)
{
	struct buffer *b = buffer_find(j, batch);

	assert(b && !b->released);
	b->released = true;
	buffer_free_if_done(b);
}
