/*
 * outbox.c: chunk descriptors in lists by queue; bodies (the bytes) and metas (offset, state and leg of each
 * frame) beside them, in memory only while needed. A chunk is: open at the tail (being written), sealed,
 * perhaps spilled (no body), and freed when all its legs are accepted and no send holds it.
 *
 * What changed since the last cut is a list of chunks. A cut turns the generation: the list becomes that of
 * the checkpoint, and a chunk of it that changes before it was encoded is encoded first (chunk_change). A
 * record holds frames as they were made, without the numbers of a session, so it follows from the journal.
 *
 * What can go wrong: the overshoot is used up (reserve gives NULL; the caller stops the engine with a
 * reason); a spilled chunk that the store no longer has is our own mistake and asserts.
 */
#include "outbox.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

struct outbox_chunk {
	uint64_t first_ordinal;
	uint32_t next; /* number + 1 */
	uint32_t body; /* number + 1; 0 = spilled or free */
	uint32_t bytes;
	uint32_t changed; /* generation of the list of changes that it is in; 0 = none */
	uint16_t frames, accepted;
	uint16_t pins;
	uint8_t queue;
	bool sealed, used;
	bool cut;      /* in the checkpoint that is being written, unchanged since */
	bool stored;   /* in the store in its present state */
	bool in_store; /* in the store in some state: to be removed when freed */
	uint8_t sent[OUTBOX_CHUNK_FRAMES_MAX /
		     8]; /* of a spilled chunk: legs that a gateway has and has not accepted */
};

struct chunk_meta {
	uint64_t leg[OUTBOX_CHUNK_FRAMES_MAX]; /* the caller's number */
	uint16_t offset[OUTBOX_CHUNK_FRAMES_MAX];
	uint8_t state[OUTBOX_CHUNK_FRAMES_MAX];
};

struct outbox_key { /* big-endian, so that the store keeps queues together and in order */
	uint8_t queue[4], ordinal[8];
};

struct outbox_meta { /* META "outbox" */
	uint64_t format;
	struct hash128 digest;
	uint32_t slots, queues;
	uint64_t next_ordinal[QUEUES_MAX];
	char slot_name[CHANNEL_SLOTS_MAX][NAME_BYTES_MAX + 1];
};

struct chunk_value { /* value of a RECORD_OUTBOX; behind it the legs' numbers, then the frames' bytes */
	uint32_t bytes;
	uint16_t frames, accepted;
	uint8_t accepted_bits[OUTBOX_CHUNK_FRAMES_MAX / 8];
};
_Static_assert(sizeof(struct chunk_value) % 8 == 0, "the numbers stand on their edge");

enum { STORED_FORMAT = 2, GENERATION_FIRST = 2 };

static struct outbox_chunk *chunk_at(const struct outbox *o, uint32_t number)
{
	assert(number < o->chunk_count);
	return (struct outbox_chunk *)o->chunks.base + number;
}

static uint32_t chunk_number(const struct outbox *o, const struct outbox_chunk *chunk)
{
	return (uint32_t)(chunk - (struct outbox_chunk *)o->chunks.base);
}

static char *chunk_data(const struct outbox *o, const struct outbox_chunk *chunk)
{
	assert(chunk->body);
	return o->bodies.base + (size_t)(chunk->body - 1) * OUTBOX_CHUNK_BYTES;
}

static struct chunk_meta *meta_of(const struct outbox *o, const struct outbox_chunk *chunk)
{
	assert(chunk->body);
	return (struct chunk_meta *)o->metas.base + (chunk->body - 1);
}

int outbox_init(struct outbox *o, uint64_t memory_bytes, uint64_t overshoot_bytes)
{
	*o = (struct outbox){ .memory_bytes = memory_bytes ? memory_bytes : OUTBOX_MEMORY_BYTES,
			      .generation = GENERATION_FIRST };
	o->bodies_max = (uint32_t)((o->memory_bytes + overshoot_bytes) / OUTBOX_CHUNK_BYTES);
	o->chunks_max = 16u << 20; /* descriptors of spilled chunks too: 1 TiB of backlog */
	for (unsigned q = 0; q < QUEUES_MAX; q++)
		o->queue[q].next_ordinal = 1;
	int rc = region_init(&o->bodies, (size_t)o->bodies_max * OUTBOX_CHUNK_BYTES);
	if (!rc)
		rc = region_init(&o->metas,
				 (size_t)o->bodies_max * (sizeof(struct chunk_meta) + 2 * sizeof(uint32_t)));
	if (!rc)
		rc = region_init(&o->chunks, (size_t)o->chunks_max *
						     (sizeof(struct outbox_chunk) + 3 * sizeof(uint32_t)));
	if (rc) {
		outbox_deinit(o);
		return rc;
	}
	o->free_bodies = (uint32_t *)((struct chunk_meta *)o->metas.base + o->bodies_max);
	o->body_chunk = o->free_bodies + o->bodies_max;
	o->free_chunks = (uint32_t *)((struct outbox_chunk *)o->chunks.base + o->chunks_max);
	o->changed = o->free_chunks + o->chunks_max;
	o->frozen = o->changed + o->chunks_max;
	return 0;
}

void outbox_deinit(struct outbox *o)
{
	region_deinit(&o->bodies);
	region_deinit(&o->metas);
	region_deinit(&o->chunks);
}

int outbox_slot(struct outbox *o, const char *name)
{
	for (uint32_t i = 0; i < o->slot_count; i++)
		if (strcmp(o->slot_name[i], name) == 0)
			return (int)i;
	if (o->slot_count == CHANNEL_SLOTS_MAX || strlen(name) > NAME_BYTES_MAX)
		return -1;
	strcpy(o->slot_name[o->slot_count], name);
	return (int)o->slot_count++;
}

static uint64_t bodies_in_use(const struct outbox *o)
{
	return o->body_count - o->free_body_count;
}

bool outbox_has_room(const struct outbox *o, uint32_t events)
{
	uint64_t most = events > BATCH_ENTRIES_MAX ? o->memory_bytes / 2 : o->memory_bytes;

	return bodies_in_use(o) * OUTBOX_CHUNK_BYTES <= most;
}

static bool body_acquire(struct outbox *o, struct outbox_chunk *chunk)
{
	if (o->free_body_count)
		chunk->body = o->free_bodies[--o->free_body_count] + 1;
	else if (o->body_count < o->bodies_max)
		chunk->body = ++o->body_count;
	else
		return false;
	o->body_chunk[chunk->body - 1] = chunk_number(o, chunk) + 1;
	return true;
}

static void body_release(struct outbox *o, struct outbox_chunk *chunk)
{
	assert(chunk->body && chunk->pins == 0);
	o->body_chunk[chunk->body - 1] = 0;
	o->free_bodies[o->free_body_count++] = chunk->body - 1;
	chunk->body = 0;
}

/* ---- changes, as a checkpoint sees them ---- */

static void key_encode(const struct outbox_chunk *chunk, struct outbox_key *key)
{
	uint32_t queue = __builtin_bswap32(chunk->queue);
	uint64_t ordinal = __builtin_bswap64(chunk->first_ordinal);

	memcpy(key->queue, &queue, 4);
	memcpy(key->ordinal, &ordinal, 8);
}

/* As it was made: a session's number and flags are no part of it. */
static void frame_clear(char *frame)
{
	memset(frame + offsetof(struct frame_header, sequence), 0, sizeof(uint64_t));
	frame[offsetof(struct frame_header, flags)] = 0;
}

static void value_encode(const struct outbox *o, const struct outbox_chunk *chunk, struct chunk_value *v)
{
	const struct chunk_meta *meta = meta_of(o, chunk);
	uint64_t *legs = (uint64_t *)(v + 1);
	char *frames = (char *)(legs + chunk->frames);

	*v = (struct chunk_value){ .bytes = chunk->bytes,
				   .frames = chunk->frames,
				   .accepted = chunk->accepted };
	memcpy(legs, meta->leg, chunk->frames * sizeof *legs);
	memcpy(frames, chunk_data(o, chunk), chunk->bytes);
	for (unsigned i = 0; i < chunk->frames; i++) {
		frame_clear(frames + meta->offset[i]);
		if (meta->state[i] == OUTBOX_ACCEPTED)
			v->accepted_bits[i / 8] |= (uint8_t)(1u << i % 8);
	}
}

/* Into the records of the checkpoint, in its present state. */
static void chunk_encode(struct outbox *o, struct outbox_chunk *chunk)
{
	struct outbox_key key;

	key_encode(chunk, &key);
	if (chunk->used && chunk->frames) {
		struct chunk_value *v =
			records_put(o->records, RECORD_OUTBOX, &key, sizeof key,
				    (uint32_t)(sizeof *v + chunk->frames * sizeof(uint64_t) + chunk->bytes));
		if (v)
			value_encode(o, chunk, v);
		chunk->cut = chunk->in_store = true;
	} else if (!chunk->used && chunk->in_store) {
		records_remove(o->records, RECORD_OUTBOX, &key, sizeof key);
		chunk->in_store = false;
		o->free_chunks[o->free_chunk_count++] = chunk_number(o, chunk);
	}
}

/* Of the checkpoint that is being cut, and not encoded yet? */
static bool chunk_is_frozen(const struct outbox *o, const struct outbox_chunk *chunk)
{
	return o->records && chunk->changed == o->generation - 1;
}

/* To be called before a chunk changes. */
static void chunk_change(struct outbox *o, struct outbox_chunk *chunk)
{
	if (chunk_is_frozen(o, chunk))
		chunk_encode(o, chunk);
	if (chunk->changed != o->generation)
		o->changed[o->changed_count++] = chunk_number(o, chunk);
	chunk->changed = o->generation;
	chunk->cut = chunk->stored = false;
}

static struct outbox_chunk *chunk_new(struct outbox *o, uint32_t queue, uint64_t first_ordinal)
{
	uint32_t number;

	if (o->free_chunk_count)
		number = o->free_chunks[--o->free_chunk_count];
	else if (o->chunk_count < o->chunks_max)
		number = o->chunk_count++;
	else
		return NULL;
	struct outbox_chunk *chunk = chunk_at(o, number);
	*chunk = (struct outbox_chunk){ .first_ordinal = first_ordinal,
					.queue = (uint8_t)queue,
					.used = true,
					.changed = chunk->changed };
	struct outbox_queue *q = &o->queue[queue];
	if (q->tail)
		chunk_at(o, q->tail - 1)->next = number + 1;
	else
		q->head = number + 1;
	q->tail = number + 1;
	return chunk;
}

void *outbox_reserve(struct outbox *o, uint32_t queue, uint32_t bytes)
{
	struct outbox_queue *q = &o->queue[queue];
	struct outbox_chunk *chunk = q->tail ? chunk_at(o, q->tail - 1) : NULL;

	assert(queue < QUEUES_MAX && bytes <= OUTBOX_CHUNK_BYTES && !o->reserved);
	if (chunk && (chunk->sealed || chunk->frames == OUTBOX_CHUNK_FRAMES_MAX ||
		      chunk->bytes + bytes > OUTBOX_CHUNK_BYTES)) {
		chunk->sealed = true;
		chunk = NULL;
	}
	if (!chunk) {
		chunk = chunk_new(o, queue, q->next_ordinal);
		if (!chunk || !body_acquire(o, chunk))
			return NULL;
	}
	o->reserved = chunk;
	o->reserved_queue = queue;
	return chunk_data(o, chunk) + chunk->bytes;
}

void outbox_digest_add(struct hash128 *digest, const void *bytes, size_t count)
{
	XXH128_hash_t one = XXH3_128bits(bytes, count);
	uint64_t pair[4] = { digest->low, digest->high, one.low64, one.high64 };
	XXH128_hash_t sum = XXH3_128bits(pair, sizeof pair);

	*digest = (struct hash128){ sum.low64, sum.high64 };
}

void outbox_commit(struct outbox *o, uint32_t bytes, uint64_t leg)
{
	struct outbox_chunk *chunk = o->reserved;
	struct outbox_queue *q = &o->queue[o->reserved_queue];

	assert(chunk && chunk->bytes + bytes <= OUTBOX_CHUNK_BYTES);
	struct chunk_meta *meta = meta_of(o, chunk);
	chunk_change(o, chunk);
	o->last_frame = chunk_data(o, chunk) + chunk->bytes;
	o->last_bytes = bytes;
	outbox_digest_add(&o->digest, o->last_frame, bytes);
	meta->leg[chunk->frames] = leg;
	meta->offset[chunk->frames] = (uint16_t)chunk->bytes;
	meta->state[chunk->frames] = o->recovering ? OUTBOX_RETURNED : OUTBOX_NEW;
	if (!q->cursor) {
		q->cursor = chunk_number(o, chunk) + 1;
		q->cursor_frame = chunk->frames;
	}
	chunk->frames++;
	chunk->bytes += bytes;
	q->next_ordinal++;
	q->open++;
	o->reserved = NULL;
}

void outbox_release(struct outbox *o, uint32_t queue, uint64_t ordinal)
{
	if (ordinal > o->queue[queue].released)
		o->queue[queue].released = ordinal;
}

/* Do the sizes that a stored value gives fit together, and how many bytes it has? */
static bool value_makes_sense(const struct chunk_value *v, uint32_t value_bytes)
{
	return value_bytes >= sizeof *v && v->frames <= OUTBOX_CHUNK_FRAMES_MAX && v->accepted <= v->frames &&
	       v->bytes <= OUTBOX_CHUNK_BYTES &&
	       value_bytes == sizeof *v + v->frames * sizeof(uint64_t) + v->bytes;
}

/* Fills body and meta of a chunk from its stored value. */
static bool value_decode(struct outbox *o, struct outbox_chunk *chunk, const void *value,
			 uint32_t value_bytes)
{
	const struct chunk_value *v = value;

	if (!value_makes_sense(v, value_bytes))
		return false;
	char *data = chunk_data(o, chunk);
	struct chunk_meta *meta = meta_of(o, chunk);
	memcpy(meta->leg, v + 1, v->frames * sizeof *meta->leg);
	memcpy(data, (const char *)(v + 1) + v->frames * sizeof *meta->leg, v->bytes);
	uint32_t at = 0, accepted = 0;
	for (unsigned i = 0; i < v->frames; i++) {
		uint32_t length;
		if (v->bytes - at < FRAME_HEADER_BYTES)
			return false;
		memcpy(&length, data + at, sizeof length);
		if (length < FRAME_HEADER_BYTES || length > v->bytes - at)
			return false;
		meta->offset[i] = (uint16_t)at;
		bool done = v->accepted_bits[i / 8] >> i % 8 & 1, sent = chunk->sent[i / 8] >> i % 8 & 1;
		meta->state[i] = done ? OUTBOX_ACCEPTED : sent ? OUTBOX_SENT : OUTBOX_RETURNED;
		accepted += done;
		at += length;
	}
	chunk->bytes = v->bytes;
	chunk->frames = v->frames;
	chunk->accepted = (uint16_t)accepted;
	return at == v->bytes && accepted == v->accepted;
}

/* Brings a spilled chunk back. False: no body is free now. */
static bool chunk_bring(struct outbox *o, struct outbox_chunk *chunk)
{
	struct outbox_key key;
	uint32_t bytes = 0;

	if (chunk->body)
		return true;
	if (!body_acquire(o, chunk))
		return false;
	key_encode(chunk, &key);
	const void *value = o->load ? o->load(o->load_ctx, &key, sizeof key, &bytes) : NULL;
	bool whole = value && value_decode(o, chunk, value, bytes);
	assert(whole); /* the store has it until we say that it is gone */
	o->spilled_chunks--;
	return true;
}

static bool frame_waits(const struct chunk_meta *meta, uint32_t frame)
{
	return meta->state[frame] == OUTBOX_NEW || meta->state[frame] == OUTBOX_RETURNED;
}

/* Moves the cursor to the next leg that waits; false: none that may leave. */
static bool cursor_settle(struct outbox *o, struct outbox_queue *q)
{
	while (q->cursor) {
		struct outbox_chunk *chunk = chunk_at(o, q->cursor - 1);
		if (chunk->first_ordinal + q->cursor_frame > q->released)
			return false;
		if (chunk->accepted < chunk->frames && !chunk_bring(o, chunk))
			return false;
		while (chunk->body && q->cursor_frame < chunk->frames &&
		       !frame_waits(meta_of(o, chunk), q->cursor_frame))
			q->cursor_frame++;
		if (chunk->body && q->cursor_frame < chunk->frames)
			return chunk->first_ordinal + q->cursor_frame <= q->released;
		if (!chunk->next && !chunk->sealed) {
			/* the open tail: stay, more frames come behind cursor_frame */
			q->cursor_frame = chunk->frames;
			return false;
		}
		q->cursor = chunk->next;
		q->cursor_frame = 0;
	}
	return false;
}

/* The headers of legs that leave: the number in the session, and whether they may be repeats. */
static void run_number(const struct chunk_meta *meta, const struct outbox_run *run, char *data,
		       uint64_t sequence, bool repeat)
{
	for (uint32_t i = 0; i < run->frames; i++, sequence++) {
		char *frame = data + meta->offset[run->frame + i];
		memcpy(frame + offsetof(struct frame_header, sequence), &sequence, sizeof sequence);
		if (repeat) /* else it was never sent, and has none */
			frame[offsetof(struct frame_header, flags)] = FRAME_MAYBE_REPEAT;
	}
}

bool outbox_take(struct outbox *o, uint32_t queue, uint32_t frames_max, uint32_t bytes_max, uint64_t sequence,
		 struct outbox_run *out)
{
	struct outbox_queue *q = &o->queue[queue];

	if (!q->open || !cursor_settle(o, q))
		return false;
	struct outbox_chunk *chunk = chunk_at(o, q->cursor - 1);
	struct chunk_meta *meta = meta_of(o, chunk);
	uint32_t first = q->cursor_frame, i = first;
	uint8_t state = meta->state[first];
	if (state == OUTBOX_RETURNED && chunk->pins)
		return false; /* the kernel still reads an earlier send of these bytes */
	uint32_t start = meta->offset[first], end = start;
	for (; i < chunk->frames && i - first < frames_max && meta->state[i] == state &&
	       chunk->first_ordinal + i <= q->released;
	     i++) {
		uint32_t next = i + 1 < chunk->frames ? meta->offset[i + 1] : chunk->bytes;
		if (next - start > bytes_max && i > first)
			break;
		end = next;
		meta->state[i] = OUTBOX_SENT;
	}
	*out = (struct outbox_run){ .chunk = chunk_number(o, chunk),
				    .queue = queue,
				    .frame = first,
				    .frames = i - first,
				    .ordinal = chunk->first_ordinal + first,
				    .data = chunk_data(o, chunk) + start,
				    .bytes = end - start };
	run_number(meta, out, chunk_data(o, chunk), sequence, state == OUTBOX_RETURNED);
	q->cursor_frame = i;
	return out->frames > 0;
}

void outbox_pin(struct outbox *o, uint32_t chunk)
{
	chunk_at(o, chunk)->pins++;
}

/* Frees chunks at the head that nobody needs any more. */
static void queue_trim(struct outbox *o, struct outbox_queue *q)
{
	while (q->head) {
		uint32_t number = q->head - 1;
		struct outbox_chunk *chunk = chunk_at(o, number);
		if (chunk->accepted < chunk->frames || chunk->pins || (!chunk->sealed && !chunk->next))
			return;
		if (q->cursor == q->head) {
			q->cursor = chunk->next;
			q->cursor_frame = 0;
		}
		q->head = chunk->next;
		if (!q->head)
			q->tail = 0;
		chunk_change(o, chunk);
		if (chunk->body)
			body_release(o, chunk);
		chunk->used = false;
		if (!chunk->in_store) /* else it stays until a checkpoint has removed it from the store */
			o->free_chunks[o->free_chunk_count++] = number;
	}
}

void outbox_unpin(struct outbox *o, uint32_t chunk)
{
	struct outbox_chunk *c = chunk_at(o, chunk);

	assert(c->pins > 0);
	c->pins--;
	queue_trim(o, &o->queue[c->queue]);
}

/* The chunk that holds an ordinal, from the head on; NULL: already gone. */
static struct outbox_chunk *chunk_find(struct outbox *o, struct outbox_queue *q, uint64_t ordinal)
{
	for (uint32_t at = q->head; at; at = chunk_at(o, at - 1)->next) {
		struct outbox_chunk *chunk = chunk_at(o, at - 1);
		if (ordinal < chunk->first_ordinal)
			return NULL;
		if (ordinal < chunk->first_ordinal + chunk->frames)
			return chunk;
	}
	return NULL;
}

static void cursor_back(struct outbox *o, struct outbox_queue *q, struct outbox_chunk *chunk, uint32_t frame)
{
	if (q->cursor) {
		struct outbox_chunk *at = chunk_at(o, q->cursor - 1);
		if (at->first_ordinal + q->cursor_frame <= chunk->first_ordinal + frame)
			return;
	}
	q->cursor = chunk_number(o, chunk) + 1;
	q->cursor_frame = frame;
}

/* How many of the ordinals from `ordinal` on, at most `count`, stand in the chunk. */
static uint32_t chunk_share(const struct outbox_chunk *chunk, uint64_t ordinal, uint32_t count)
{
	uint64_t left = chunk->first_ordinal + chunk->frames - ordinal;

	return left < count ? (uint32_t)left : count;
}

static void spilled_return(struct outbox *o, struct outbox_queue *q, struct outbox_chunk *chunk,
			   uint32_t frame)
{
	if (chunk->sent[frame / 8] >> frame % 8 & 1)
		cursor_back(o, q, chunk, frame);
	chunk->sent[frame / 8] &= (uint8_t) ~(1u << frame % 8);
}

static void chunk_return(struct outbox *o, struct outbox_queue *q, struct outbox_chunk *chunk, uint32_t frame,
			 uint32_t count)
{
	struct chunk_meta *meta = chunk->body ? meta_of(o, chunk) : NULL;

	for (uint32_t end = frame + count; frame < end; frame++) {
		if (!meta) {
			spilled_return(o, q, chunk, frame);
		} else if (meta->state[frame] == OUTBOX_SENT) {
			meta->state[frame] = OUTBOX_RETURNED;
			cursor_back(o, q, chunk, frame);
		}
	}
}

void outbox_return(struct outbox *o, uint32_t queue, uint64_t ordinal, uint32_t count)
{
	struct outbox_queue *q = &o->queue[queue];

	for (uint32_t share; count; ordinal += share, count -= share) {
		struct outbox_chunk *chunk = chunk_find(o, q, ordinal);
		share = chunk ? chunk_share(chunk, ordinal, count) : 1;
		if (chunk)
			chunk_return(o, q, chunk, (uint32_t)(ordinal - chunk->first_ordinal), share);
	}
}

/* Frames [frame, frame + count) of a chunk; `each` hears of stretches. */
static uint32_t chunk_accept(struct outbox *o, struct outbox_chunk *chunk, uint32_t frame, uint32_t count,
			     void (*each)(void *ctx, const uint64_t *legs, uint32_t count), void *ctx)
{
	uint32_t end = frame + count, accepted = 0;
	bool there = chunk_bring(o, chunk);

	assert(there);
	struct chunk_meta *meta = meta_of(o, chunk);
	while (frame < end) {
		uint32_t first = frame;
		if (meta->state[frame] == OUTBOX_ACCEPTED) {
			frame++;
			continue;
		}
		chunk_change(o, chunk);
		while (frame < end && meta->state[frame] != OUTBOX_ACCEPTED)
			meta->state[frame++] = OUTBOX_ACCEPTED;
		accepted += frame - first;
		if (each)
			each(ctx, meta->leg + first, frame - first);
	}
	chunk->accepted = (uint16_t)(chunk->accepted + accepted);
	return accepted;
}

uint32_t outbox_accept(struct outbox *o, uint32_t queue, uint64_t ordinal, uint32_t count,
		       void (*each)(void *ctx, const uint64_t *legs, uint32_t count), void *ctx)
{
	struct outbox_queue *q = &o->queue[queue];
	uint32_t accepted = 0;

	for (uint32_t share; count; ordinal += share, count -= share) {
		struct outbox_chunk *chunk = chunk_find(o, q, ordinal);
		share = chunk ? chunk_share(chunk, ordinal, count) : 1;
		if (!chunk)
			continue;
		accepted +=
			chunk_accept(o, chunk, (uint32_t)(ordinal - chunk->first_ordinal), share, each, ctx);
		queue_trim(o, q);
	}
	q->open -= accepted;
	return accepted;
}

static void meta_encode(const struct outbox *o, struct records *records)
{
	struct outbox_meta *m = records_put(records, RECORD_META, "outbox", 6, sizeof *m);

	if (!m)
		return;
	memset(m, 0, sizeof *m);
	m->format = STORED_FORMAT;
	m->digest = o->digest;
	m->slots = o->slot_count;
	m->queues = QUEUES_MAX;
	for (unsigned i = 0; i < QUEUES_MAX; i++)
		m->next_ordinal[i] = o->queue[i].next_ordinal;
	memcpy(m->slot_name, o->slot_name, sizeof m->slot_name);
}

void outbox_checkpoint_cut(struct outbox *o, struct records *records)
{
	uint32_t *changed = o->frozen;

	assert(!o->records); /* the one before was stepped to its end */
	meta_encode(o, records);
	o->records = records;
	o->frozen = o->changed;
	o->frozen_count = o->changed_count;
	o->frozen_next = 0;
	o->changed = changed;
	o->changed_count = 0;
	o->generation++;
}

bool outbox_checkpoint_step(struct outbox *o, uint32_t items_max)
{
	if (!o->records)
		return true;
	for (uint32_t items = 0; o->frozen_next < o->frozen_count; o->frozen_next++) {
		struct outbox_chunk *chunk = chunk_at(o, o->frozen[o->frozen_next]);
		if (!chunk_is_frozen(o, chunk))
			continue;
		if (items++ == items_max)
			return false;
		chunk_encode(o, chunk);
		chunk->changed = 0;
	}
	o->records = NULL;
	return true;
}

/* May a chunk's body leave memory? Only what is stored as it is, that no send reads, and that is not next. */
static bool chunk_can_spill(const struct outbox *o, const struct outbox_chunk *chunk)
{
	const struct outbox_queue *q = &o->queue[chunk->queue];

	return chunk->used && chunk->body && chunk->stored && chunk->sealed && !chunk->pins &&
	       (!q->cursor || chunk != chunk_at(o, q->cursor - 1));
}

static void chunk_spill(struct outbox *o, struct outbox_chunk *chunk)
{
	const struct chunk_meta *meta = meta_of(o, chunk);

	memset(chunk->sent, 0, sizeof chunk->sent);
	for (unsigned i = 0; i < chunk->frames; i++)
		if (meta->state[i] == OUTBOX_SENT)
			chunk->sent[i / 8] |= (uint8_t)(1u << i % 8);
	body_release(o, chunk);
	o->spilled_chunks++;
}

void outbox_committed(struct outbox *o)
{
	bool tight = bodies_in_use(o) * OUTBOX_CHUNK_BYTES * 2 > o->memory_bytes;

	assert(!o->records);
	for (uint32_t i = 0; i < o->frozen_count; i++) {
		struct outbox_chunk *chunk = chunk_at(o, o->frozen[i]);
		chunk->stored |= chunk->cut;
		chunk->cut = false;
	}
	o->frozen_count = 0;
	for (uint32_t i = 0; tight && i < o->body_count; i++) {
		struct outbox_chunk *chunk = o->body_chunk[i] ? chunk_at(o, o->body_chunk[i] - 1) : NULL;
		if (chunk && chunk_can_spill(o, chunk))
			chunk_spill(o, chunk);
	}
}

static bool meta_load(struct outbox *o, const void *value, uint32_t bytes)
{
	const struct outbox_meta *m = value;

	if (bytes != sizeof *m || m->format != STORED_FORMAT || m->queues != QUEUES_MAX ||
	    m->slots > CHANNEL_SLOTS_MAX)
		return false;
	o->digest = m->digest;
	o->slot_count = m->slots;
	for (unsigned i = 0; i < QUEUES_MAX; i++)
		o->queue[i].next_ordinal = m->next_ordinal[i];
	memcpy(o->slot_name, m->slot_name, sizeof o->slot_name);
	return true;
}

bool outbox_load(struct outbox *o, enum record_space space, const void *key, uint32_t key_bytes,
		 const void *value, uint32_t value_bytes)
{
	if (space == RECORD_META)
		return meta_load(o, value, value_bytes);
	const struct chunk_value *v = value;
	struct outbox_key k;
	uint32_t queue;
	uint64_t ordinal;
	if (key_bytes != sizeof k || !value_makes_sense(v, value_bytes))
		return false;
	memcpy(&k, key, sizeof k);
	memcpy(&queue, k.queue, 4);
	memcpy(&ordinal, k.ordinal, 8);
	queue = __builtin_bswap32(queue);
	if (queue >= QUEUES_MAX)
		return false;
	struct outbox_chunk *chunk = chunk_new(o, queue, __builtin_bswap64(ordinal));
	if (!chunk)
		return false;
	chunk->in_store = chunk->stored = chunk->sealed = true;
	chunk->frames = v->frames;
	chunk->accepted = v->accepted;
	chunk->bytes = v->bytes;
	o->queue[queue].open += (uint64_t)(v->frames - v->accepted);
	o->spilled_chunks++; /* its bytes stay in the store until they are needed */
	return true;
}

void outbox_recovered(struct outbox *o)
{
	for (unsigned i = 0; i < QUEUES_MAX; i++) {
		struct outbox_queue *q = &o->queue[i];
		q->released = q->next_ordinal - 1;
		q->cursor = q->head;
		q->cursor_frame = 0;
		queue_trim(o, q);
	}
}
