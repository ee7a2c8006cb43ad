/*
 * line.c: see line.h. The native run is the twin: the same bytes, cut by hand, decided by the same headers
 * compiled for the host. How many records the dropped frames are spread over depends on segments; all else
 * does not, so a record is compared with as many of the queue as it counts.
 */
#include "line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <moment/counters.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- set-up ---- */

int rig_open(struct rig *rig, uint64_t seed)
{
	*rig = (struct rig){ .random = { seed }, .large = getenv("MOMENT_LARGE") != NULL };
	print_message("seed %llu\n", (unsigned long long)seed);
	rig->table = calloc(1, sizeof *rig->table);
	if (!rig->table || enrolment_init(&rig->enrolment))
		return -ENOMEM;
	if (prefilter_open(&rig->p, NULL, rig->why, sizeof rig->why))
		print_message("skipped: the pre-filter in the kernel: %s\n", rig->why);
	return 0;
}

void rig_close(struct rig *rig)
{
	prefilter_close(rig->p);
	enrolment_deinit(&rig->enrolment);
	free(rig->table);
}

struct rig *rig_needed(void **state)
{
	struct rig *rig = *state;

	if (!rig->p)
		skip();
	return rig;
}

int rig_tidy(void **state)
{
	struct rig *rig = *state;

	while (rig->lines)
		line_close(rig->lines);
	if (rig->p)
		prefilter_wake(rig->p);
	return 0;
}

double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sockets_connect(int *peer, int *fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
	*peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*peer, (struct sockaddr *)&address, bytes), 0);
	*fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*fd >= 0);
	setsockopt(*peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	close(listener);
}

/* A HELLO of some bytes, read as the engine reads it, before the program comes in. */
void hello_pass(struct line *l, size_t bytes)
{
	char text[300] = { 0 };

	assert_int_equal(send(l->peer, text, bytes, 0), bytes);
	assert_int_equal(recv(l->fd, text, bytes, MSG_WAITALL), bytes);
}

struct line *line_new(struct rig *rig, uint64_t expected)
{
	struct line *l = calloc(1, sizeof *l);

	assert_non_null(l);
	l->items = calloc(ITEMS_MAX, sizeof *l->items);
	assert_non_null(l->items);
	l->rig = rig;
	l->expected = expected;
	l->slot = -1;
	l->next = rig->lines;
	rig->lines = l;
	sockets_connect(&l->peer, &l->fd);
	return l;
}

struct line *line_open(struct rig *rig, uint64_t expected)
{
	struct line *l = line_new(rig, expected);

	if (one_in(&rig->random, 2))
		hello_pass(l, 1 + below(&rig->random, 299));
	l->slot = prefilter_slot_take(rig->p, l->fd, expected, l->reader);
	if (l->slot == -EAGAIN) { /* the free ones wait for their grace period */
		WAIT_FOR((l->slot = prefilter_slot_take(rig->p, l->fd, expected, l->reader)) != -EAGAIN);
	}
	assert_true(l->slot >= 0);
	return l;
}

void line_close(struct line *l)
{
	struct line **at = &l->rig->lines;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	close(l->peer);
	close(l->fd);
	if (l->slot >= 0)
		prefilter_slot_release(l->rig->p, (uint32_t)l->slot);
	for (; l->count; l->count--, l->first = (l->first + 1) % ITEMS_MAX)
		free(l->items[l->first].bytes);
	free(l->items);
	free(l);
}

const struct ring_slot *slot(const struct line *l)
{
	return prefilter_slot(l->rig->p, (uint32_t)l->slot);
}

/* ---- the native run ---- */

static enum filter_verdict native_decide(struct line *l, const struct frame_header *h)
{
	const struct interest_table *t = l->rig->table;
	enum filter_verdict verdict = filter_decide(&t->type[h->type], &t->sets, h, l->expected);

	if (verdict == FILTER_IF_ENROLLED)
		verdict = enrolment_concerns(&l->rig->enrolment, h) ? FILTER_KEEP : FILTER_DROP;
	if (verdict == FILTER_KEEP)
		enrolment_frame_add(&l->rig->enrolment, h);
	return verdict;
}

/* A header is whole. */
static void native_begin(struct line *l)
{
	struct frame_header h;

	memcpy(&h, l->frame, sizeof h);
	if (header_check(&h, ROLE_OF_SOURCE) != HEADER_GOOD) {
		l->broken = RING_HEADER;
		return;
	}
	enum filter_verdict verdict = native_decide(l, &h);
	if (verdict == FILTER_GAP)
		l->broken = RING_GAP;
	l->at_hand = (struct decided){ .verdict = (uint8_t)verdict,
				       .type = h.type,
				       .generation = l->rig->generation,
				       .length = h.length };
}

static void native_end(struct line *l)
{
	struct decided *d = &l->items[(l->first + l->count++) % ITEMS_MAX];

	assert_true(l->count < ITEMS_MAX);
	*d = l->at_hand;
	if (d->verdict == FILTER_KEEP) {
		d->bytes = malloc(d->length);
		assert_non_null(d->bytes);
		memcpy(d->bytes, l->frame, d->length);
	}
	if (filter_in_stream(l->frame[5])) {
		l->events++;
		l->rounded += ring_rounded(d->length);
		l->expected += d->verdict != FILTER_DUPLICATE;
	}
	d->last = l->expected - 1;
	l->offset += d->length;
	l->have = 0;
}

static void native_take(struct line *l, const uint8_t *bytes, size_t count)
{
	while (count && !l->broken) {
		size_t want = l->have < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : l->at_hand.length;
		size_t n = want - l->have < count ? want - l->have : count;
		memcpy(l->frame + l->have, bytes, n);
		l->have += (uint32_t)n;
		bytes += n;
		count -= n;
		if (l->have == FRAME_HEADER_BYTES && want == FRAME_HEADER_BYTES)
			native_begin(l);
		if (!l->broken && l->have >= FRAME_HEADER_BYTES && l->have == l->at_hand.length)
			native_end(l);
	}
}

/* ---- writing, and what must then be in the ring ---- */

void line_write(struct line *l, const void *bytes, size_t count)
{
	native_take(l, bytes, count);
	for (size_t at = 0; at < count;) {
		ssize_t n = send(l->peer, (const char *)bytes + at, count - at, MSG_NOSIGNAL);
		assert_true(n > 0);
		at += (size_t)n;
	}
	l->written += count;
}

static bool all_seen(const struct line *l)
{
	const volatile struct ring_slot *s = slot(l);

	return s->broken || s->offset + s->have == l->written;
}

/* The program has seen every byte that was written, and its last run is over. */
void line_settle(const struct line *l)
{
	const volatile struct ring_slot *s = slot(l);

	WAIT_FOR(all_seen(l));
	for (unsigned same = 0; same < 50; same++) {
		uint64_t runs = s->runs;
		sched_yield();
		if (runs != s->runs)
			same = 0;
	}
	assert_true(all_seen(l));
}

static struct decided line_pop(struct line *l)
{
	assert_true(l->count > 0);
	struct decided d = l->items[l->first];
	l->first = (l->first + 1) % ITEMS_MAX;
	l->count--;
	return d;
}

static void frame_expect(struct line *l, const char *item, uint32_t bytes)
{
	struct decided d = line_pop(l);

	assert_int_equal(d.verdict, FILTER_KEEP);
	assert_int_equal(bytes, d.length);
	assert_memory_equal(item, d.bytes, bytes);
	free(d.bytes);
}

static void line_count(struct ring_dropped *r, const struct decided *d)
{
	uint8_t reason = d->verdict == FILTER_DUPLICATE ? EVENT_DUPLICATE : EVENT_FILTERED, i = 0;

	while (i < r->lines && (r->line[i].type != d->type || r->line[i].reason != reason))
		i++;
	assert_true(i < RING_DROPPED_LINES_MAX);
	if (i == r->lines) {
		r->lines++;
		r->line[i] = (struct ring_dropped_line){ .type = d->type, .reason = reason };
	}
	r->line[i].count++;
}

/* As many of the queue as the record counts must all be dropped ones, and make this very record. */
static void record_expect(struct line *l, const char *item)
{
	struct ring_dropped is, want = { .version = RING_DROPPED };

	memcpy(&is, item, RING_ALIGN);
	if (is.length == sizeof is)
		memcpy(&is, item, sizeof is);
	assert_true(is.count > 0);
	for (uint32_t i = 0; i < is.count; i++) {
		struct decided d = line_pop(l);
		assert_int_not_equal(d.verdict, FILTER_KEEP);
		assert_true(i == 0 || d.generation == want.generation);
		want.generation = d.generation;
		want.count++;
		want.bytes += d.length;
		want.rounded += ring_rounded(d.length);
		want.last = d.last;
		line_count(&want, &d);
	}
	want.length = want.lines <= RING_DROPPED_LINES_SHORT ? 64 : 128;
	assert_memory_equal(&is, &want,
			    offsetof(struct ring_dropped, line) + want.lines * sizeof want.line[0]);
}

/* Takes one item. False: there is none. */
bool line_take(struct line *l)
{
	struct ring_reader *r = &l->reader[0];
	const char *item;
	uint32_t bytes;

	switch (reader_next(r, &item, &bytes)) {
	case RING_FRAME:
		frame_expect(l, item, bytes);
		break;
	case RING_RECORD:
		record_expect(l, item);
		break;
	case RING_NOTHING:
	case RING_BROKEN:
		return false;
	}
	reader_done(r);
	return true;
}

uint64_t line_used(const struct line *l)
{
	return __atomic_load_n(&l->reader[0].ends->head, __ATOMIC_ACQUIRE) - l->reader[0].tail;
}

/* Everything written so far is in the ring, and nothing else is. */
void line_drain(struct line *l)
{
	line_settle(l);
	while (line_take(l))
		;
	assert_int_equal(l->count, 0);
	assert_int_equal(slot(l)->broken, l->broken);
	assert_int_equal(slot(l)->offset, l->offset);
	assert_int_equal(slot(l)->events, l->events);
	assert_int_equal(slot(l)->rounded, l->rounded);
	assert_int_equal(slot(l)->events_taken, l->events);
	assert_int_equal(slot(l)->rounded_taken, l->rounded);
	if (l->broken)
		assert_memory_equal(&slot(l)->header, l->frame, FRAME_HEADER_BYTES);
	else
		assert_int_equal(slot(l)->expected, l->expected);
	assert_int_equal(reader_waits(&l->reader[0]), l->broken != 0);
}

/* A new table once the one before is out of use; the program has seen all that was written before. */
void rig_table_set(struct rig *rig, const struct interest_table *table)
{
	WAIT_FOR(prefilter_table_free(rig->p));
	prefilter_table_set(rig->p, table);
	if (rig->table != table)
		*rig->table = *table;
	rig->generation++;
	assert_int_equal(prefilter_generation(rig->p), rig->generation);
}

/* ---- plain frames ---- */

struct frame_header event_of(uint16_t type, uint64_t sequence, uint32_t length)
{
	return (struct frame_header){ .length = length,
				      .version = FRAME_VERSION,
				      .kind = FRAME_EVENT,
				      .type = type,
				      .sequence = sequence,
				      .time = 1 };
}

void frame_write(struct line *l, struct frame_header h)
{
	uint8_t bytes[FRAME_BYTES_MAX] = { 0 };

	memcpy(bytes, &h, sizeof h);
	line_write(l, bytes, h.length);
}

/* Type 0 is kept, 1 dropped, 2 for the enrolled. */
void rig_table_plain(struct rig *rig)
{
	memset(rig->table, 0, sizeof *rig->table);
	rig->table->type[0].action = INTEREST_KEEP;
	rig->table->type[1].action = INTEREST_DROP;
	rig->table->type[2] =
		(struct interest_entry){ .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_ENROLLED };
	rig_table_set(rig, rig->table);
}

void events_write(struct line *l, uint16_t type, uint64_t *sequence, uint32_t count, uint32_t length)
{
	uint8_t bytes[FRAME_BYTES_MAX] = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct frame_header h = event_of(type, (*sequence)++, length);
		memcpy(bytes, &h, sizeof h);
		line_write(l, bytes, length);
	}
	line_settle(l);
}

/* Written in random pieces, taken at random moments. */
void line_run(struct line *l, const uint8_t *bytes, size_t count, uint32_t table_one_in)
{
	struct random *r = &l->rig->random;

	for (size_t at = 0; at < count;) {
		size_t n = random_piece(r, count - at);
		line_write(l, bytes + at, n);
		at += n;
		if (table_one_in && one_in(r, table_one_in)) {
			line_settle(l);
			random_table(r, l->rig->table);
			rig_table_set(l->rig, l->rig->table);
		}
		bool full = line_used(l) + 4 * PIECE_MAX > RING_BYTES;
		for (uint64_t take = full ? UINT64_MAX : one_in(r, 3) ? below(r, 40) : 0; take; take--)
			if (!line_take(l))
				break;
	}
}
