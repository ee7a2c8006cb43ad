// needs: user/*.c user/[bdijmpru]*/*.c user/c[ae]*/*.c
/*
 * test_engine.c: the whole path in one process. The core alone, entry by entry: what an event may see, a
 * checkpoint and the way back. The engine with its sockets: batches of any size give the same outputs, and
 * after its start the engine thread calls no allocator.
 */
#include "path_test.h"

#include <malloc.h>

/* ---- counting what the engine thread allocates ---- */

static _Thread_local bool counted_thread;
static _Atomic uint64_t allocations;

#if !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
enum { COUNTING = 1 };
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t align, size_t bytes);
extern void __libc_free(void *block);

static void count(void)
{
	if (counted_thread)
		allocations++;
}

void *malloc(size_t bytes)
{
	count();
	return __libc_malloc(bytes);
}
void *calloc(size_t n, size_t bytes)
{
	count();
	return __libc_calloc(n, bytes);
}
void *realloc(void *old, size_t bytes)
{
	count();
	return __libc_realloc(old, bytes);
}
void *aligned_alloc(size_t align, size_t bytes)
{
	count();
	return __libc_memalign(align, bytes);
}
int posix_memalign(void **out, size_t align, size_t bytes)
{
	count();
	*out = __libc_memalign(align, bytes);
	return *out ? 0 : ENOMEM;
}
void free(void *block)
{
	if (block)
		count();
	__libc_free(block);
}
#else
enum { COUNTING = 0 }; /* the sanitizer has its own */
#endif

static void counting_set(bool on)
{
	counted_thread = on;
}

/* ---- the core, entry by entry ---- */

struct lone {
	struct core core;
	struct catalogue *c;
	char dir[64];
	struct frame frames[BATCH_ENTRIES_MAX];
	struct batch_entry entries[BATCH_ENTRIES_MAX];
	uint32_t count, events, verdicts, messages;
	char recipients[512]; /* of messages, in order */
};

static void on_event(void *ctx, const struct event *event)
{
	(void)event;
	((struct lone *)ctx)->events++;
}

static void on_verdict(void *ctx, const struct event *event, const char *frame, uint32_t bytes)
{
	(void)event, (void)frame, (void)bytes;
	((struct lone *)ctx)->verdicts++;
}

static void on_message(void *ctx, const char *frame, uint32_t bytes)
{
	struct lone *l = ctx;
	struct frame_header h;
	size_t at = strlen(l->recipients);

	(void)bytes;
	memcpy(&h, frame, sizeof h);
	l->messages++;
	if (at + 8 < sizeof l->recipients)
		snprintf(l->recipients + at, sizeof l->recipients - at, "%llu ",
			 (unsigned long long)h.customer);
}

static int lone_load(struct lone *l)
{
	struct core_options o = {
		.data = l->dir, .map_bytes = 1 << 30, .windows_bytes = 1 << 30, .refs_max = 1 << 16
	};
	int rc = core_open(&l->core, &o);

	l->core.ctx = l;
	l->core.on_event = on_event;
	l->core.on_verdict = on_verdict;
	l->core.on_message = on_message;
	l->core.event_clock = true;
	return rc;
}

/* What comes first in every journal: a source's STREAM and a catalogue. */
static struct lone *lone_new(void)
{
	struct lone *l = calloc(1, sizeof *l);
	struct {
		struct journal_stream s;
		char name[4];
	} stream = { .s = { .stream = { 7 }, .first = 1, .expected = 1, .name_bytes = 4 }, .name = "core" };
	struct batch_entry entry = {
		.data = &stream, .bytes = sizeof stream, .position = 1, .now = NOW, .kind = ENTRY_STREAM
	};

	assert_non_null(l);
	directory_make(l->dir);
	if (lone_load(l))
		fail_msg("%s", l->core.why);
	assert_int_equal(core_catalogue_use(&l->core, bank_compile(path_rules), 0, true, 1), 0);
	assert_int_equal(core_apply(&l->core, &entry, 1), 0);
	return l;
}

static void lone_free(struct lone *l)
{
	core_close(&l->core);
	directory_clear(l->dir);
	free(l);
}

static void lone_add(struct lone *l, struct frame_header h, const char *json)
{
	uint32_t i = l->count++;

	assert_true(i < BATCH_ENTRIES_MAX);
	h.sequence = h.sequence ? h.sequence : l->core.next_position + i;
	frame_pack(&l->frames[i], h, json);
	l->entries[i] = (struct batch_entry){ .data = l->frames[i].bytes,
					      .bytes = l->frames[i].count,
					      .position = l->core.next_position + i,
					      .kind = ENTRY_FRAME };
}

/* Applies what was added, so many entries a batch. */
static void lone_apply(struct lone *l, uint32_t chunk)
{
	for (uint32_t i = 0; i < l->count; i++)
		l->entries[i].now = core_clock(&l->core, ENTRY_FRAME, l->entries[i].data);
	for (uint32_t at = 0; at < l->count; at += chunk) {
		uint32_t n = l->count - at < chunk ? l->count - at : chunk;
		if (core_apply(&l->core, l->entries + at, n))
			fail_msg("%s", l->core.why);
	}
	l->core.batch++;
	l->count = 0;
}

static struct frame_header change(uint8_t kind, uint64_t customer)
{
	return (struct frame_header){ .kind = kind, .customer = customer };
}

static struct frame_header bought(uint64_t customer)
{
	struct frame_header h = event_of(1, 1, customer, 1000);

	h.sequence = 0;
	return h;
}

static void an_event_never_sees_a_change_that_came_after_it(void **state)
{
	static const uint32_t chunks[] = { 1, 2, 3, 7, 256 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		struct lone *l = lone_new();
		lone_add(l, bought(7), "{}"); /* nobody knows 7 */
		lone_add(l, change(FRAME_PROFILE, 7), "{\"set\": {}}");
		lone_add(l, bought(7), "{}"); /* known, and has chosen nothing */
		lone_add(l, change(FRAME_SUBSCRIBE, 8), "{\"kind\": \"s\"}");
		lone_add(l, bought(8), "{}"); /* has chosen, and is not known */
		lone_add(l, change(FRAME_SUBSCRIBE, 7), "{\"kind\": \"s\"}");
		lone_add(l, bought(7), "{}"); /* 7: the first */
		lone_add(l, change(FRAME_PROFILE, 8), "{\"set\": {}}");
		lone_add(l, bought(8), "{}"); /* 8 */
		lone_add(l, change(FRAME_SUBSCRIBE, 7), "{\"id\": \"s\", \"params\": {\"t\": \"10 EUR\"}}");
		lone_add(l, bought(7), "{}"); /* 10 is not above 10 */
		lone_add(l, change(FRAME_SUBSCRIBE, 8), "{\"id\": \"s\", \"on\": false}");
		lone_add(l, bought(8), "{}");
		lone_add(l, change(FRAME_SUBSCRIBE, 7), "{\"id\": \"s\", \"params\": {\"t\": \"9 EUR\"}}");
		lone_add(l, bought(7), "{}"); /* 7 again */
		lone_apply(l, chunks[i]);
		assert_string_equal(l->recipients, "7 8 7 ");
		assert_int_equal(l->events, 8);
		assert_int_equal(l->core.ledger->changes[CHANGE_APPLIED], 7);
		lone_free(l);
	}
}

/* The core digest covers rows, windows, references, outputs and ledger. */
static bool same_state(struct lone *a, struct lone *b)
{
	struct hash128 x = core_digest(&a->core), y = core_digest(&b->core);

	return x.low == y.low && x.high == y.high;
}

static void traffic_add(struct lone *l, uint32_t from, uint32_t count)
{
	for (uint32_t i = from; i < from + count; i++) {
		uint64_t customer = 7 + i * 7 % 13;
		struct frame_header h =
			event_of(i + 1, i % 9 == 5 ? 2 : 1, customer, 100 + (int64_t)(i * 37 % 90000));
		char json[96];
		if (i % 11 == 3) {
			lone_add(l,
				 (struct frame_header){ .kind = FRAME_SUBSCRIBE,
							.sequence = i + 1,
							.customer = 7 + i / 11 % 13 },
				 "{\"kind\": \"s\"}");
			continue;
		}
		if (i % 13 == 4) {
			lone_add(l,
				 (struct frame_header){ .kind = FRAME_PROFILE,
							.sequence = i + 1,
							.customer = 7 + i / 13 % 13 },
				 "{\"set\": {\"level\": 2}}");
			continue;
		}
		h.flags = i % 10 == 1 ? FRAME_VERDICT_WANTED : 0;
		snprintf(json, sizeof json,
			 i % 17 == 8 ? "{\"items\": \"x\"}" : "{\"ref\": \"R%u\", \"card\": \"c%u\"}",
			 i % 150, i % 3);
		lone_add(l, h, json);
	}
}

static void batch_size_does_not_show_in_the_state(void **state)
{
	static const uint32_t chunks[] = { 256, 1, 7, 100 };
	struct lone *l[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		l[i] = lone_new();
		for (uint32_t from = 0; from < 1000; from += 250) {
			traffic_add(l[i], from, 250);
			lone_apply(l[i], chunks[i]);
		}
		assert_true(l[i]->messages > 50 && l[i]->verdicts > 10);
		assert_true(same_state(l[i], l[0]));
	}
	traffic_add(l[1], 1000, 1);
	lone_apply(l[1], 1);
	assert_false(same_state(l[1], l[0])); /* the digest can tell */
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
		lone_free(l[i]);
}

static void lone_checkpoint(struct lone *l)
{
	int error = 0;

	assert_true(core_checkpoint_begin(&l->core));
	assert_true(core_checkpoint_step(&l->core, UINT32_MAX));
	store_checkpoint_commit(l->core.store);
	while (store_checkpoint_running(l->core.store))
		if (core_checkpoint_poll(&l->core, &error))
			break;
	assert_int_equal(error, 0);
}

/* Two cores take the same traffic; one is closed and loaded from its checkpoint in the middle. */
static void a_checkpoint_gives_the_same_state_and_the_same_outputs(void **state)
{
	struct lone *l = lone_new(), *other = lone_new();
	struct ledger_equation sums[LEDGER_EQUATIONS];

	(void)state;
	for (uint32_t from = 0; from < 500; from += 250) {
		traffic_add(l, from, 250);
		lone_apply(l, 256);
		traffic_add(other, from, 250);
		lone_apply(other, 256);
	}
	/* some messages are accepted, one of them delivered */
	struct journal_accepted accepted = { .queue = outbox_queue_of(
						     (uint32_t)outbox_slot(&l->core.outbox, "push"), false),
					     .count = 5,
					     .first = 1 };
	struct batch_entry entry = { .data = &accepted,
				     .bytes = sizeof accepted,
				     .position = l->core.next_position,
				     .now = l->core.now,
				     .kind = ENTRY_ACCEPTED };
	assert_int_equal(core_apply(&l->core, &entry, 1), 0);
	assert_int_equal(core_apply(&other->core, &entry, 1), 0);
	assert_int_equal(l->core.ledger->legs[LEG_ACCEPTED], 5);
	lone_checkpoint(l);
	struct ledger_rule *counts = calloc(RULES_MAX, sizeof *counts);
	memcpy(counts, l->core.by_rule, RULES_MAX * sizeof *counts);
	uint64_t types[3] = { l->core.by_type[1], l->core.by_type[2], l->core.by_type[3] };
	core_close(&l->core);
	if (lone_load(l))
		fail_msg("%s", l->core.why);
	assert_int_equal(l->core.next_position, other->core.next_position);
	assert_int_equal(l->core.loaded_version, ENGINE_SEMANTIC_VERSION);
	assert_true(same_state(l, other));
	for (uint32_t i = 0; i < l->core.catalogue->rule_count; i++) { /* what an operator sees goes on too */
		assert_string_equal(l->core.by_rule[i].name, counts[i].name);
		assert_memory_equal(&l->core.by_rule[i], &counts[i], sizeof *counts);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(l->core.by_type[i + 1], types[i]);
	for (uint32_t from = 500; from < 1000; from += 250) {
		traffic_add(l, from, 250);
		lone_apply(l, 256);
		traffic_add(other, from, 250);
		lone_apply(other, 7);
	}
	assert_true(same_state(l, other));
	assert_true(ledger_equations(l->core.ledger, sums));
	for (uint32_t q = 0; q < QUEUES_MAX; q++) {
		assert_int_equal(l->core.outbox.queue[q].open, other->core.outbox.queue[q].open);
		assert_int_equal(l->core.outbox.queue[q].next_ordinal,
				 other->core.outbox.queue[q].next_ordinal);
	}
	free(counts);
	lone_free(l);
	lone_free(other);
}

/* A store of an earlier semantic version is refused by that, and not by the first record of another form. */
static void a_store_of_an_earlier_version_is_refused_with_both_numbers(void **state)
{
	struct lone *l = lone_new();
	struct store_options o = { .map_bytes = 1 << 30 };
	char dir[96], meta[4096], why[256] = "";
	uint64_t older = ENGINE_STATE_VERSION_MIN - 1;
	struct store *s;
	uint32_t bytes;

	(void)state;
	traffic_add(l, 0, 250);
	lone_apply(l, 256);
	lone_checkpoint(l);
	core_close(&l->core);
	snprintf(dir, sizeof dir, "%s/store", l->dir);
	o.dir = dir;
	assert_int_equal(store_open(&s, &o, why, sizeof why), 0);
	const void *value = store_value(s, RECORD_META, "core", 4, &bytes);
	assert_true(value && bytes <= sizeof meta);
	memcpy(meta, value, bytes);
	memcpy(meta, &older, sizeof older); /* its first field */
	struct records *r = store_checkpoint_begin(s);
	memcpy(records_put(r, RECORD_META, "core", 4, bytes), meta, bytes);
	store_checkpoint_commit(s);
	assert_int_equal(store_checkpoint_wait(s), 0);
	store_close(s);
	assert_int_equal(lone_load(l), -EBADMSG);
	assert_non_null(strstr(l->core.why, "semantic version 2, this engine reads 3"));
	lone_free(l);
}

/* Each META record of the core, one byte and one half short, and empty: refused by name, never taken in part.
 */
static void meta_records_that_are_cut_are_refused_with_their_name(void **state)
{
	static const char *const names[] = { "core",	"ledger", "peers", "rules",    "types",
					     "history", "outbox", "legs",  "legs:0000" };
	struct lone *l = lone_new();

	(void)state;
	traffic_add(l, 0, 250);
	lone_apply(l, 256);
	struct journal_accepted accepted = { .queue = outbox_queue_of(
						     (uint32_t)outbox_slot(&l->core.outbox, "push"), false),
					     .count = 5,
					     .first = 1 };
	struct batch_entry entry = { .data = &accepted,
				     .bytes = sizeof accepted,
				     .position = l->core.next_position,
				     .now = l->core.now,
				     .kind = ENTRY_ACCEPTED };
	assert_int_equal(core_apply(&l->core, &entry, 1), 0);
	lone_checkpoint(l);
	core_close(&l->core);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (unsigned cut = 0; cut < 3; cut++) {
			struct store *s;
			struct store_options o = { .map_bytes = 1 << 30 };
			char dir[96], why[256] = "";
			uint32_t bytes, keep;
			snprintf(dir, sizeof dir, "%s/store", l->dir);
			o.dir = dir;
			assert_int_equal(store_open(&s, &o, why, sizeof why), 0);
			const void *value =
				store_value(s, RECORD_META, names[i], (uint16_t)strlen(names[i]), &bytes);
			if (!value)
				fail_msg("META %s is not there", names[i]);
			char *whole = malloc(bytes);
			memcpy(whole, value, bytes);
			keep = cut == 0 ? bytes - 1 : cut == 1 ? bytes / 2 + 3 : 1;
			for (unsigned turn = 0; turn < 2; turn++) { /* break it, look, mend it */
				struct records *r = store_checkpoint_begin(s);
				uint32_t n = turn == 0 ? keep : bytes;
				memcpy(records_put(r, RECORD_META, names[i], (uint16_t)strlen(names[i]), n),
				       whole, n);
				store_checkpoint_commit(s);
				assert_int_equal(store_checkpoint_wait(s), 0);
				store_close(s);
				int rc = lone_load(l);
				if (turn == 0 && (rc != -EBADMSG || !strstr(l->core.why, names[i])))
					fail_msg("META %s with %u of %u bytes: %d %s", names[i], keep, bytes,
						 rc, l->core.why);
				if (turn == 1 && rc)
					fail_msg("META %s mended: %d %s", names[i], rc, l->core.why);
				core_close(&l->core);
				if (turn == 0)
					assert_int_equal(store_open(&s, &o, why, sizeof why), 0);
			}
			free(whole);
		}
	}
	directory_clear(l->dir);
	free(l);
}

/* A PROFILE in time keeps the windows of somebody who was not known; without one they are forgotten after
 * seven days. */
static void windows_of_the_unknown_are_kept_once_they_are_known(void **state)
{
	static const int64_t day = INT64_C(86400) * 1000000000;

	(void)state;
	for (unsigned known = 0; known < 2; known++) {
		struct lone *l = lone_new();
		struct history_sizes before, after;
		lone_add(l, bought(7), "{}");
		if (known)
			lone_add(l, change(FRAME_PROFILE, 7), "{\"set\": {}}");
		lone_apply(l, 256);
		history_sizes(l->core.history, &before);
		struct frame_header later = bought(8);
		later.time += 8 * day;
		lone_add(l, later, "{}");
		lone_apply(l, 256);
		history_sizes(l->core.history, &after);
		assert_int_equal(after.provisional_forgotten, !known);
		lone_free(l);
	}
}

static void accept_first(struct lone *l)
{
	struct journal_accepted a = { .queue = outbox_queue_of((uint32_t)outbox_slot(&l->core.outbox, "push"),
							       false),
				      .count = 1,
				      .first = 1 };
	struct batch_entry entry = { .data = &a,
				     .bytes = sizeof a,
				     .position = l->core.next_position,
				     .now = l->core.now,
				     .kind = ENTRY_ACCEPTED };

	assert_int_equal(core_apply(&l->core, &entry, 1), 0);
}

/* A core in which one message was made for push. */
static struct lone *lone_with_message(char id[16])
{
	struct lone *l = lone_new();

	lone_add(l, change(FRAME_PROFILE, 7), "{\"set\": {}}");
	lone_add(l, change(FRAME_SUBSCRIBE, 7), "{\"kind\": \"s\"}");
	lone_add(l, bought(7), "{}");
	lone_apply(l, 256);
	assert_int_equal(l->messages, 1);
	memcpy(id, l->core.outbox.last_frame + MESSAGE_ID_OFFSET, 16);
	return l;
}

/* True when it was APPLIED; the equations hold after each. */
static bool receipt_applies(struct lone *l, const char *id, uint32_t id_bytes, const char *leg,
			    const char *status)
{
	struct ledger_equation sums[LEDGER_EQUATIONS];
	struct frame_header h = { .version = FRAME_VERSION, .kind = FRAME_RECEIPT, .sequence = 1 };
	struct frame f = { .count = 0 };
	struct pack_writer w;
	uint64_t applied = l->core.ledger->changes[CHANGE_APPLIED];

	pack_writer_init(&w, f.bytes + FRAME_HEADER_BYTES, sizeof f.bytes - FRAME_HEADER_BYTES);
	pack_map(&w, 3);
	pack_text(&w, "id");
	pack_binary(&w, id, id_bytes);
	pack_text(&w, "leg");
	pack_text(&w, leg);
	pack_text(&w, "status");
	pack_text(&w, status);
	h.length = (uint32_t)(FRAME_HEADER_BYTES + pack_bytes(&w));
	memcpy(f.bytes, &h, sizeof h);
	struct batch_entry entry = { .data = f.bytes,
				     .bytes = h.length,
				     .position = l->core.next_position,
				     .now = l->core.now,
				     .kind = ENTRY_FRAME };
	assert_int_equal(core_apply(&l->core, &entry, 1), 0);
	assert_true(ledger_equations(l->core.ledger, sums));
	return l->core.ledger->changes[CHANGE_APPLIED] == applied + 1;
}

/* Aggregates of a key with too many entries are no data, and every such read is counted. */
static void reads_of_an_overfull_window_are_counted(void **state)
{
	struct lone *l = lone_new();

	(void)state;
	lone_add(l, change(FRAME_PROFILE, 7), "{\"set\": {}}");
	for (uint32_t i = 0; i < WINDOW_LOG_EVENTS_MAX + 20; i++) {
		struct frame_header h = bought(7);
		h.time = NOW + i;
		lone_add(l, h, "");
		if (l->count == 250 || i == WINDOW_LOG_EVENTS_MAX - 1) {
			lone_apply(l, 256);
			if (i < WINDOW_LOG_EVENTS_MAX)
				assert_int_equal(l->core.ledger->window_full, 0);
		}
	}
	lone_apply(l, 256);
	assert_true(l->core.ledger->window_full >= 20);
	lone_free(l);
}

/* What a RECEIPT says of an accepted leg: each step once (decisions 34). */
static void receipts_move_their_leg_once(void **state)
{
	static const struct {
		const char *leg, *status;
		bool applied;
		enum leg_state after;
	} rows[] = {
		{ "push/1", "accepted", true, LEG_ACCEPTED },
		{ "push/2", "delivered", false, LEG_ACCEPTED },
		{ "push/1", "seen", false, LEG_ACCEPTED },
		{ "push/1", "", false, LEG_ACCEPTED },
		{ "push/1", "delivered", true, LEG_DELIVERED },
		{ "push/1", "delivered", false, LEG_DELIVERED },
		{ "push/1", "failed", false, LEG_DELIVERED },
		{ "push/1", "read", true, LEG_READ },
		{ "push/1", "read", false, LEG_READ },
		{ "push/1", "failed", false, LEG_READ },
	};
	char id[16], other[16];
	struct lone *l = lone_with_message(id);

	(void)state;
	memcpy(other, id, 16);
	other[15] ^= 1;
	accept_first(l);
	assert_false(receipt_applies(l, other, 16, "push/1", "delivered"));
	assert_false(receipt_applies(l, id, 15, "push/1", "delivered"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool did = receipt_applies(l, id, 16, rows[i].leg, rows[i].status);
		if (did != rows[i].applied || l->core.ledger->legs[rows[i].after] != 1)
			fail_msg("row %zu %s %s: applied %d", i, rows[i].leg, rows[i].status, did);
	}
	lone_free(l);
}

/* The ACK was lost and the receipt was not: noted, and counted when the leg is accepted. */
static void a_receipt_before_the_ack_counts_with_it(void **state)
{
	static const char *const first[] = { "delivered", "read", "failed" };
	static const enum leg_state after[] = { LEG_DELIVERED, LEG_READ, LEG_FAILED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		char id[16];
		struct lone *l = lone_with_message(id);
		assert_true(receipt_applies(l, id, 16, "push/1", first[i]));
		assert_false(receipt_applies(l, id, 16, "push/1", first[i]));
		assert_int_equal(l->core.ledger->legs[LEG_QUEUED], 1);
		assert_int_equal(l->core.ledger->legs[after[i]], 0);
		accept_first(l);
		assert_int_equal(l->core.ledger->legs[LEG_QUEUED], 0);
		assert_int_equal(l->core.ledger->legs[after[i]], 1);
		assert_false(receipt_applies(l, id, 16, "push/1", first[i]));
		lone_free(l);
	}
}

/* Entries that make no sense stop the engine with their position; they never get half way. */
static void entries_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		uint8_t kind;
		uint32_t bytes;
		uint16_t source;
		uint8_t fill;
	} rows[] = {
		{ ENTRY_NONE, 0, 0, 0 },
		{ ENTRY_KIND_COUNT, 64, 0, 0 },
		{ 255, 64, 0, 0 },
		{ ENTRY_START, 15, 0, 0 },
		{ ENTRY_STREAM, 39, 0, 0 },
		{ ENTRY_STREAM, 40, 0, 255 },
		{ ENTRY_STREAM, 40, PEERS_MAX, 0 },
		{ ENTRY_GATEWAY, 7, 0, 0 },
		{ ENTRY_GATEWAY, 8, 0, 255 },
		{ ENTRY_GATEWAY, 8, PEERS_MAX, 0 },
		{ ENTRY_ACCEPTED, 16, 0, 255 },
		{ ENTRY_SKIP, 31, 0, 0 },
		{ ENTRY_SKIP, 32, 9, 0 },
		{ ENTRY_ACTIVATE, 23, 0, 0 },
		{ ENTRY_ACTIVATE, 64, 0, 1 },
	};
	_Alignas(8) uint8_t data[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lone *l = lone_new();
		struct hash128 before = core_digest(&l->core), after;
		memset(data, rows[i].fill, sizeof data);
		struct batch_entry entry = { .data = data,
					     .bytes = rows[i].bytes,
					     .position = 4711,
					     .now = NOW,
					     .source = rows[i].source,
					     .kind = rows[i].kind };
		if (core_apply(&l->core, &entry, 1) != -EINVAL || !strstr(l->core.why, "4711"))
			fail_msg("row %zu: taken, %s", i, l->core.why);
		after = core_digest(&l->core);
		assert_memory_equal(&before, &after, sizeof before);
		assert_int_equal(l->core.peers.count, 1);
		lone_free(l);
	}
}

/* ---- the engine with its sockets ---- */

enum { SENT = 600 };

/* One source's traffic: customers that appear and choose in the middle of it, verdicts, bad bodies,
 * references. */
static void traffic_send(struct client *c)
{
	uint64_t sequence = 1;

	for (uint32_t i = 0; sequence <= SENT - 2; i++) {
		uint64_t customer = 7 + i % 9;
		if (i % 20 == 3) {
			sequence =
				customer_make(c, sequence, 7 + i / 20 % 9, i % 40 == 3 ? "9 EUR" : "700 EUR");
			continue;
		}
		struct frame_header h = event_of(sequence++, i % 25 == 9 ? 2 : 1, customer,
						 100 + (int64_t)(i * 7919 % 90000));
		char json[64];
		h.flags = i % 10 == 1 ? FRAME_VERDICT_WANTED : 0;
		snprintf(json, sizeof json, i % 30 == 7 ? "{\"ref\": 5}" : "{\"ref\": \"R%u\"}", i % 100);
		client_send(c, h, json);
	}
	while (sequence <= SENT)
		client_send(c, event_of(sequence++, 3, 7, 5), "");
}

/* The whole engine under one source; returns what it said. */
static struct hash128 run_once(uint32_t batch_max, uint32_t *messages, struct ledger *ledger)
{
	struct host h;
	struct client source, gateway;

	host_make(&h, path_rules);
	h.options.batch_max = batch_max;
	host_start(&h);
	gateway_open(&gateway, h.port, "g", NULL, 0, 0, 0);
	assert_int_equal(source_open(&source, h.port, "core", 9, 0), 1);
	traffic_send(&source);
	source_wait(&source, SENT);
	/* everything sent is accepted: the gateway's ACKs are entries too */
	struct timeval soon = { .tv_usec = 200000 };
	setsockopt(gateway.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	for (*messages = 0; recv(gateway.fd, &soon, 1, MSG_PEEK) == 1; (*messages)++) {
		client_expect(&gateway, FRAME_MESSAGE);
		assert_int_equal(gateway.h.sequence, *messages + 1);
		if (*messages % 10 == 3)
			client_ack(&gateway, FRAME_MESSAGE, *messages + 1);
	}
	client_ack(&gateway, FRAME_MESSAGE, *messages);
	/* the answer to a PING says that the ACK before it was taken */
	struct frame_header ping = { .length = FRAME_HEADER_BYTES,
				     .version = FRAME_VERSION,
				     .kind = FRAME_PING };
	assert_int_equal(send(gateway.fd, &ping, sizeof ping, MSG_NOSIGNAL), sizeof ping);
	soon = (struct timeval){ .tv_sec = 10 };
	setsockopt(gateway.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	client_expect(&gateway, FRAME_PONG);
	client_close(&source);
	client_close(&gateway);
	host_stop(&h, NULL);
	/* a second life from the checkpoint says the same so far */
	struct hash128 first = h.outputs;
	host_start(&h);
	*ledger = *h.e->core.ledger;
	host_stop(&h, NULL);
	assert_memory_equal(&first, &h.outputs, sizeof first);
	host_remove(&h);
	return first;
}

static void batches_of_any_size_give_the_same_outputs(void **state)
{
	static const uint32_t sizes[] = { 256, 7, 1 };
	struct hash128 outputs[3];
	struct ledger ledgers[3];
	uint32_t messages[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		outputs[i] = run_once(sizes[i], &messages[i], &ledgers[i]);
		assert_true(messages[i] > 20);
		assert_int_equal(messages[i], messages[0]);
		assert_memory_equal(&outputs[i], &outputs[0], sizeof outputs[0]);
		assert_memory_equal(&ledgers[i], &ledgers[0], sizeof ledgers[0]);
	}
}

/* Asks through the engine's mailbox as the control thread does. */
static void mail_ask(struct host *h, enum mail_kind kind)
{
	atomic_store(&h->e->mail.kind, kind);
	engine_wake(h->e);
	for (unsigned i = 0; i < 5000 && atomic_load(&h->e->mail.kind) != MAIL_NONE; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&h->e->mail.kind), MAIL_NONE);
}

static void after_its_start_the_engine_thread_calls_no_allocator(void **state)
{
	struct host h;
	struct client source, gateway, wrong;

	(void)state;
	host_make(&h, path_rules);
	h.running = counting_set;
	h.options.checkpoint_seconds = 1;
	allocations = 0;
	host_start(&h);
	gateway_open(&gateway, h.port, "g", NULL, 0, 0, 0);
	source_open(&source, h.port, "core", 9, 0);
	traffic_send(&source);
	source_wait(&source, SENT);
	for (uint32_t i = 1; i <= 20; i++)
		client_expect(&gateway, FRAME_MESSAGE);
	client_ack(&gateway, FRAME_MESSAGE, 20);
	/* status, a checkpoint, another catalogue, a frame that is refused, a gateway that dies */
	h.e->mail.status = calloc(1, sizeof *h.e->mail.status);
	mail_ask(&h, MAIL_STATUS);
	mail_ask(&h, MAIL_CHECKPOINT);
	h.e->mail.catalogue = bank_compile(
		"subscriptions: { s: { events: [purchase], repeat: every, message: hello, channels: [push],\n"
		"  params: { t: { type: money, default: 2 EUR } }, when: 'event.amount > param.t' } }\n");
	mail_ask(&h, MAIL_CATALOGUE);
	assert_int_equal(h.e->mail.result, 0);
	client_open(&wrong, h.port, 0);
	client_send(&wrong, event_of(1, 1, 7, 5), "");
	client_expect(&wrong, FRAME_ERROR);
	assert_true(client_text_is(&wrong, "code", "NO_HELLO"));
	client_close(&wrong);
	client_die(&gateway);
	gateway_open(&gateway, h.port, "g", "push", 0, 0, 0);
	for (uint64_t i = 1; i <= 50; i++)
		client_send(&source, event_of(SENT + i, 1, 7, 100000), "{}");
	source_wait(&source, SENT + 50);
	mail_ask(&h, MAIL_CHECKPOINT);
	usleep(1200000); /* a checkpoint by the clock, and idle turns */
	for (uint64_t i = 51; i <= 60; i++)
		client_send(&source, event_of(SENT + i, 1, 7, 100000), "{}");
	source_wait(&source, SENT + 60);
	client_close(&source);
	client_close(&gateway);
	struct store_sizes sizes;
	store_sizes(h.e->core.store, &sizes);
	assert_true(sizes.checkpoints >= 2);
	struct catalogue *retired = atomic_load(&h.e->mail.retired);
	struct engine_status *status = h.e->mail.status;
	host_stop(&h, NULL);
	assert_non_null(retired);
	catalogue_free(retired);
	free(status);
	host_remove(&h);
	assert_int_equal(allocations,
			 0); /* with a sanitizer nothing is counted, and its own checks are what is tested */
}

/* The counter counts: a case that could not fail would say nothing. */
static void the_allocator_is_counted(void **state)
{
	(void)state;
	if (!COUNTING)
		skip();
	allocations = 0;
	counting_set(true);
	void *volatile block = malloc(10);
	free(block);
	counting_set(false);
	free(malloc(10));
	assert_int_equal(allocations, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_never_sees_a_change_that_came_after_it),
		cmocka_unit_test(batch_size_does_not_show_in_the_state),
		cmocka_unit_test(a_checkpoint_gives_the_same_state_and_the_same_outputs),
		cmocka_unit_test(a_store_of_an_earlier_version_is_refused_with_both_numbers),
		cmocka_unit_test(meta_records_that_are_cut_are_refused_with_their_name),
		cmocka_unit_test(windows_of_the_unknown_are_kept_once_they_are_known),
		cmocka_unit_test(reads_of_an_overfull_window_are_counted),
		cmocka_unit_test(receipts_move_their_leg_once),
		cmocka_unit_test(a_receipt_before_the_ack_counts_with_it),
		cmocka_unit_test(entries_that_make_no_sense_are_refused),
		cmocka_unit_test(batches_of_any_size_give_the_same_outputs),
		cmocka_unit_test(the_allocator_is_counted),
		cmocka_unit_test(after_its_start_the_engine_thread_calls_no_allocator),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
