/*
 * engine.c: the path of an event. core_apply() is what an entry of the journal does, live, in recovery and in
 * replay; engine_tick() (below) is one turn of the live engine around it.
 *
 * In: journal entries in order. Out: rows and windows moved, legs in the outbox, verdicts through a hook,
 * every event, hit, notice and leg counted in the ledger. Memory is the core's, taken by core_open (state.c).
 *
 * How to read on: profile/profile.c (what an event is), rules/rules.c (what holds), decide/decide.c (who is
 * told), message/message.c (what they read), deliver/deliver.c (how it leaves).
 */
#include "live.h"

#include <assert.h>
#include <base/bytes.h>
#include <base/log.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

/* ---- runs of events ---- */

static bool entry_is_event(const struct batch_entry *entry)
{
	return entry->kind == ENTRY_FRAME && ((const struct frame_header *)entry->data)->kind == FRAME_EVENT;
}

/* Counts what the run's events ended as: the one exit. */
static void outcomes_count(struct core *core, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct event *e = &core->events[i];
		core->ledger->events_in++;
		core->ledger->events[e->outcome]++;
		core->by_type[e->header->type]++;
		if (core->on_event)
			core->on_event(core->ctx, e);
	}
}

/* Verdicts leave before the disk: they are made as soon as the rules have run. */
static void verdicts_make(struct core *core, uint32_t from, uint32_t to)
{
	char frame[VERDICT_BYTES_MAX];

	for (uint32_t i = from; i < to; i++) {
		const struct event *e = &core->events[i];
		if (!(e->header->flags & FRAME_VERDICT_WANTED))
			continue;
		uint32_t bytes = message_verdict(core->catalogue, e, frame);
		struct frame_header h;
		memcpy(&h, frame, sizeof h);
		core->ledger->verdicts[h.type]++;
		outbox_digest_add(&core->verdicts, frame, bytes);
		if (core->on_verdict)
			core->on_verdict(core->ctx, e, frame, bytes);
	}
}

static void decided_with_hit_count(struct core *core, uint32_t from, uint32_t to)
{
	uint8_t hit[BATCH_ENTRIES_MAX] = { 0 };

	for (uint32_t i = 0; i < core->rules.hit_count; i++)
		hit[core->rules.hits[i].event] = 1;
	for (uint32_t i = from; i < to; i++)
		core->ledger->decided_with_hit += hit[i] || core->events[i].reason_count;
}

static int message_one(struct core *core, const struct message_context *context, const struct notice *n)
{
	struct rules *r = &core->rules;
	const struct catalogue *c = core->catalogue;
	const struct hit *hit = &r->hits[n->hit];
	uint16_t language = message_language(core->store, c, n->profile);
	uint32_t id_bytes = 0;
	const char *id = hit->holder ? row_subscription_id(&r->cursors[n->hit], &id_bytes) : "";

	core->message_event = &core->events[hit->event];
	uint32_t reads = message_reads(c, &c->rules[hit->rule], language);
	if (!reads)
		return message_make(context, n, language, NULL, id, id_bytes);
	struct cel_env env = rules_hit_env(r, core->store, c, core->message_event, n->hit, n->profile, reads);
	return message_make(context, n, language, &env, id, id_bytes);
}

static int messages_make(struct core *core)
{
	const struct message_context context = { .forms = &core->forms,
						 .catalogue = core->catalogue,
						 .channel_slot = core->channel_slot,
						 .sources = core->peers.identity,
						 .events = core->events,
						 .hits = core->rules.hits,
						 .outbox = &core->outbox,
						 .legs = &core->legs,
						 .ledger = core->ledger,
						 .by_rule = core->by_rule };

	for (uint32_t i = 0; i < core->decide->notice_count; i++) {
		int rc = message_one(core, &context, &core->decide->notices[i]);
		if (rc) {
			snprintf(core->why, sizeof core->why,
				 "the outbox is full beyond its overshoot (%u chunks)",
				 core->outbox.bodies_max);
			return rc;
		}
		if (core->on_message)
			core->on_message(core->ctx, core->outbox.last_frame, core->outbox.last_bytes);
	}
	return 0;
}

/* The stages over a run. Each takes what the one before gave; none calls another. */
static int run_apply(struct core *core, const struct batch_entry *entries, uint32_t count)
{
	core->columns.event_clock = core->event_clock;
	profile_run(&core->columns, core->store, core->history, core->catalogue, entries, count,
		    core->events);
	core->ledger->window_full += core->columns.window_full;
	core->columns.window_full = 0;
	for (uint32_t from = 0, to; from < count; from = to) {
		to = rules_run(&core->rules, core->store, core->catalogue, core->events, from, count,
			       core->ledger, core->by_rule);
		verdicts_make(core, from, to);
		decided_with_hit_count(core, from, to);
		for (uint32_t hit = 0; hit < core->rules.hit_count;) {
			hit = decide_run(core->decide, core->store, core->catalogue, core->events,
					 core->rules.hits, core->rules.cursors, hit, core->rules.hit_count,
					 core->ledger);
			int rc = messages_make(core);
			if (rc)
				return rc;
		}
	}
	outcomes_count(core, count);
	return 0;
}

/* ---- the other entries, each on its own between two runs ---- */

static int entry_bad(struct core *core, const struct batch_entry *entry, const char *what)
{
	snprintf(core->why, sizeof core->why, "journal position %llu: %s",
		 (unsigned long long)entry->position, what);
	return -EINVAL;
}

static void change_count(struct core *core, enum change_outcome outcome, const struct frame_header *h,
			 const char *why)
{
	core->ledger->changes_in++;
	core->ledger->changes[outcome]++;
	if (outcome != CHANGE_APPLIED && core->ledger->changes[outcome] <= 16)
		log_warning("%s sequence %llu: %s", outcome == CHANGE_NOT_YET ? "not yet:" : "refused:",
			    (unsigned long long)h->sequence, why);
}

/* What a RECEIPT says, as the state its leg goes to; LEG_ACCEPTED: "accepted", which ACK said already. */
static enum leg_state receipt_read(const void *body, uint32_t bytes, struct key128 *key)
{
	struct pack_reader r;
	const char *id = NULL, *leg = NULL, *status = NULL;
	uint32_t len, leg_bytes = 0, status_bytes = 0;

	pack_reader_init(&r, body, bytes);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0; pairs--) {
		const char *name = pack_read_key(&r, &len);
		if (!name)
			return LEG_NONE;
		if (len == 2 && memcmp(name, "id", 2) == 0) {
			struct pack_item item = pack_read(&r);
			id = item.type == PACK_BINARY && item.bytes == MESSAGE_ID_BYTES ? item.s : NULL;
		} else if (len == 3 && memcmp(name, "leg", 3) == 0) {
			struct pack_item item = pack_read(&r);
			leg = item.type == PACK_STRING ? item.s : NULL;
			leg_bytes = leg ? item.bytes : 0;
		} else if (len == 6 && memcmp(name, "status", 6) == 0) {
			struct pack_item item = pack_read(&r);
			status = item.type == PACK_STRING ? item.s : NULL;
			status_bytes = status ? item.bytes : 0;
		} else
			pack_skip(&r);
	}
	if (!id || !leg || !status || r.error)
		return LEG_NONE;
	*key = legs_key(id, legs_name(leg, leg_bytes));
	if (status_bytes == 8 && memcmp(status, "accepted", 8) == 0)
		return LEG_ACCEPTED;
	if (status_bytes == 9 && memcmp(status, "delivered", 9) == 0)
		return LEG_DELIVERED;
	if (status_bytes == 4 && memcmp(status, "read", 4) == 0)
		return LEG_READ;
	return status_bytes == 6 && memcmp(status, "failed", 6) == 0 ? LEG_FAILED : LEG_NONE;
}

static enum change_outcome receipt_apply(struct core *core, const void *body, uint32_t bytes,
					 const char **why)
{
	struct key128 key;
	enum leg_state to = receipt_read(body, bytes, &key);

	*why = "RECEIPT: id (bin 16), leg and status (accepted, delivered, read, failed) expected";
	if (to == LEG_NONE)
		return CHANGE_REFUSED;
	if (to == LEG_ACCEPTED)
		return CHANGE_APPLIED;
	enum leg_state from = legs_move(&core->legs, key, to);
	*why = "RECEIPT: for a leg that is not remembered, or was moved before";
	if (from == LEG_NONE)
		return CHANGE_REFUSED;
	if (from != LEG_QUEUED) { /* else it counts when the leg is accepted */
		core->ledger->legs[from]--;
		core->ledger->legs[to]++;
	}
	return CHANGE_APPLIED;
}

static void frame_apply(struct core *core, const struct batch_entry *entry)
{
	static const uint8_t empty_map[1] = { 0x80 };
	const struct frame_header *h = entry->data;
	const void *body = entry->bytes > FRAME_HEADER_BYTES
				   ? (const uint8_t *)entry->data + FRAME_HEADER_BYTES
				   : empty_map;
	uint32_t bytes = entry->bytes > FRAME_HEADER_BYTES ? entry->bytes - FRAME_HEADER_BYTES : 1, offset;
	enum change_outcome outcome = CHANGE_REFUSED;
	const char *why = pack_validate(body, bytes, &offset);
	char text[256] = "";

	if (why) {
		change_count(core, CHANGE_REFUSED, h, why);
		return;
	}
	why = text;
	switch (h->kind) {
	case FRAME_PROFILE:
		outcome = store_apply_profile(core->store, core->catalogue, h->customer, h->account, body,
					      bytes, text, sizeof text);
		if (outcome == CHANGE_APPLIED && h->customer)
			history_customer_known(core->history, h->customer, entry->now);
		break;
	case FRAME_SUBSCRIBE:
		outcome = store_apply_subscribe(core->store, core->catalogue, h->customer, body, bytes, text,
						sizeof text);
		break;
	case FRAME_RECEIPT:
		outcome = receipt_apply(core, body, bytes, &why);
		break;
	case FRAME_REPLY:
		outcome = CHANGE_APPLIED; /* journalled; conversation comes with issue five */
		break;
	default:
		outcome = CHANGE_NOT_YET;
		why = "MANAGE";
	}
	change_count(core, outcome, h, why);
}

/* Counts of rules go with their names over a reload. */
static void rule_counts_move(struct core *core, const struct catalogue *c)
{
	struct ledger_rule *next = core->by_rule_next, *old = core->by_rule;
	uint32_t old_count = core->by_rule_count; /* loaded ones too, before any catalogue */

	for (uint32_t i = 0; i < c->rule_count; i++) {
		next[i] = (struct ledger_rule){ .section = (uint8_t)c->rules[i].section };
		for (uint32_t k = 0; k < old_count; k++) {
			if (old[k].section == next[i].section && strcmp(old[k].name, c->rules[i].name) == 0)
				next[i] = old[k];
		}
		snprintf(next[i].name, sizeof next[i].name, "%s", c->rules[i].name);
		next[i].confidential = c->rules[i].confidential;
	}
	core->by_rule = next;
	core->by_rule_next = old;
	core->by_rule_count = c->rule_count;
}

static int channels_map(struct core *core, const struct catalogue *c)
{
	for (uint32_t i = 0; i < c->channel_count; i++) {
		int slot = outbox_slot(&core->outbox, c->channels[i].name);
		if (slot < 0)
			return -ENOSPC;
		core->channel_slot[i] = (uint16_t)slot;
	}
	return 0;
}

static uint32_t channels_new(const struct core *core, const struct catalogue *c)
{
	const struct outbox *o = &core->outbox;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->channel_count; i++) {
		uint32_t slot = 0;
		while (slot < o->slot_count && strcmp(o->slot_name[slot], c->channels[i].name))
			slot++;
		n += slot == o->slot_count;
	}
	return n;
}

int core_can_activate(struct core *core, const struct catalogue *c, char *why, size_t why_bytes)
{
	struct history_sizes sizes;

	history_sizes(core->history, &sizes);
	if (core->outbox.slot_count + channels_new(core, c) > CHANNEL_SLOTS_MAX) {
		snprintf(why, why_bytes, "channels: more than %d names were ever used here",
			 CHANNEL_SLOTS_MAX);
		return -ENOSPC;
	}
	if (c->refs_max > sizes.refs_max) {
		snprintf(why, why_bytes, "bank.memory.refs: %llu asked for, at most %llu fit",
			 (unsigned long long)c->refs_max, (unsigned long long)sizes.refs_max);
		return -ENOSPC;
	}
	if (c->windows_bytes < sizes.windows_bytes || c->windows_bytes > CORE_WINDOWS_BYTES) {
		snprintf(why, why_bytes,
			 "bank.memory.windows: %llu asked for, %llu are in use, at most %llu can be had",
			 (unsigned long long)c->windows_bytes, (unsigned long long)sizes.windows_bytes,
			 (unsigned long long)CORE_WINDOWS_BYTES);
		return -ENOSPC;
	}
	return store_can_activate(core->store, c, why, why_bytes);
}

int core_catalogue_use(struct core *core, struct catalogue *c, int64_t now, bool empty,
		       uint32_t interest_version)
{
	int rc = store_activate(core->store, c, core->why, sizeof core->why);

	if (!rc)
		rc = channels_map(core, c);
	if (rc)
		return rc;
	history_activate(core->history, c, now, empty && c->starts_empty);
	if (!core->read_only && !core->outbox.recovering) /* what was taken live must fit in recovery too */
		history_limit(core->history, c->windows_bytes);
	rule_counts_move(core, c);
	message_forms_use(&core->forms, c);
	core->retired = core->catalogue;
	core->catalogue = c;
	c->interest->version = core->interest_version = interest_version;
	return 0;
}

static int activate_apply(struct core *core, const struct batch_entry *entry)
{
	struct journal_activate head;
	struct catalogue *c = core->prepared;
	struct problems problems;

	if (entry->bytes < sizeof head)
		return entry_bad(core, entry, "ACTIVATE too short");
	memcpy(&head, entry->data, sizeof head);
	core->prepared = NULL;
	if (!c || c->hash.low != head.catalogue.low || c->hash.high != head.catalogue.high) {
		problems_init(&problems);
		int rc = catalogue_compile_blob((const char *)entry->data + sizeof head,
						entry->bytes - sizeof head, &c, &problems);
		problems_deinit(&problems);
		if (rc)
			return entry_bad(core, entry,
					 "ACTIVATE: its catalogue does not compile with this version");
	}
	if (core->retired) {
		catalogue_free(core->retired); /* recovery and replay; live, the control thread has freed it
						  before */
		core->retired = NULL;
	}
	return core_catalogue_use(core, c, entry->now, head.starts_empty != 0, head.interest_version);
}

static int stream_apply(struct core *core, const struct batch_entry *entry)
{
	struct journal_stream s;
	struct peers *p = &core->peers;

	if (entry->bytes < sizeof s)
		return entry_bad(core, entry, "STREAM too short");
	memcpy(&s, entry->data, sizeof s);
	if (s.name_bytes > NAME_BYTES_MAX || entry->bytes < sizeof s + s.name_bytes ||
	    entry->source >= PEERS_MAX)
		return entry_bad(core, entry, "STREAM with a bad name or number");
	if (entry->source >= p->count)
		p->count = entry->source + 1u;
	p->peer[entry->source] = (struct peer){ .role = ROLE_OF_SOURCE, .up = true, .expected = s.expected };
	struct source_identity *id = &p->identity[entry->source];
	memset(id, 0, sizeof *id);
	memcpy(id->name, (const char *)entry->data + sizeof s, s.name_bytes);
	memcpy(id->stream, s.stream, sizeof s.stream);
	return 0;
}

static int gateway_apply(struct core *core, const struct batch_entry *entry)
{
	struct journal_gateway g;
	struct peers *p = &core->peers;

	if (entry->bytes < sizeof g)
		return entry_bad(core, entry, "GATEWAY too short");
	memcpy(&g, entry->data, sizeof g);
	if (g.name_bytes > NAME_BYTES_MAX || entry->bytes < sizeof g + g.name_bytes ||
	    entry->source >= PEERS_MAX)
		return entry_bad(core, entry, "GATEWAY with a bad name or number");
	if (entry->source >= p->count)
		p->count = entry->source + 1u;
	p->peer[entry->source] = (struct peer){ .role = ROLE_OF_GATEWAY, .up = g.up != 0 };
	struct source_identity *id = &p->identity[entry->source];
	memset(id, 0, sizeof *id);
	memcpy(id->name, (const char *)entry->data + sizeof g, g.name_bytes);
	return 0;
}

/* A gateway accepted these legs: they and their notices are closed. */
static void legs_accepted(void *ctx, const uint64_t *numbers, uint32_t count)
{
	struct core *core = ctx;

	core->ledger->legs[LEG_QUEUED] -= count;
	legs_accept(&core->legs, numbers, count, core->ledger->legs);
	core->ledger->notices[NOTICE_QUEUED] -= count;
	core->ledger->notices[NOTICE_SENT] += count;
}

static int accepted_apply(struct core *core, const struct batch_entry *entry)
{
	for (uint32_t at = 0; at + sizeof(struct journal_accepted) <= entry->bytes;
	     at += sizeof(struct journal_accepted)) {
		struct journal_accepted a;
		memcpy(&a, (const char *)entry->data + at, sizeof a);
		if (a.queue >= QUEUES_MAX)
			return entry_bad(core, entry, "ACCEPTED of an unknown queue");
		outbox_accept(&core->outbox, a.queue, a.first, a.count, legs_accepted, core);
	}
	return 0;
}

static int entry_apply(struct core *core, const struct batch_entry *entry)
{
	struct journal_start start;
	struct journal_skip skip;

	switch ((enum journal_entry_kind)entry->kind) {
	case ENTRY_FRAME:
		frame_apply(core, entry);
		return 0;
	case ENTRY_START:
		if (entry->bytes < sizeof start)
			return entry_bad(core, entry, "START too short");
		memcpy(&start, entry->data, sizeof start);
		core->term = start.term;
		core->event_clock = start.event_clock != 0;
		core->journal_version = start.semantic_version;
		for (uint32_t i = 0; i < core->peers.count; i++)
			core->peers.peer[i].up = false; /* whoever was connected is not any more */
		return 0;
	case ENTRY_ACTIVATE:
		return activate_apply(core, entry);
	case ENTRY_STREAM:
		return stream_apply(core, entry);
	case ENTRY_GATEWAY:
		return gateway_apply(core, entry);
	case ENTRY_ACCEPTED:
		return accepted_apply(core, entry);
	case ENTRY_SKIP:
		if (entry->bytes < sizeof skip || entry->source >= core->peers.count)
			return entry_bad(core, entry, "SKIP of an unknown source");
		memcpy(&skip, entry->data, sizeof skip);
		core->peers.peer[entry->source].expected = skip.to + 1;
		return 0;
	case ENTRY_BASE:
	case ENTRY_CLOCK: /* core_clock took it */
		return 0;
	case ENTRY_NONE:
	case ENTRY_KIND_COUNT:
		break;
	}
	return entry_bad(core, entry, "an entry kind that this version does not know");
}

/*
 * The event clock follows what the filter always keeps: it is read before any row is, so an event that is
 * kept for the enrolled only does not move it (decisions 18, 35). The catalogue is that of the position: an
 * ACTIVATE stands in a batch without events.
 */
static bool event_moves_clock(const struct core *core, const struct frame_header *h)
{
	const struct interest_table *t = core->catalogue ? core->catalogue->interest : NULL;

	return h->flags || !t || interest_decide(&t->type[h->type], &t->sets, h) == FILTER_KEEP;
}

int64_t core_clock(struct core *core, uint8_t kind, const void *data)
{
	struct frame_header h;
	struct journal_clock clock;

	if (core->event_clock && kind == ENTRY_FRAME) {
		memcpy(&h, data, sizeof h);
		if (h.kind == FRAME_EVENT && h.time > core->now && event_moves_clock(core, &h))
			core->now = h.time;
	} else if (kind == ENTRY_CLOCK) {
		memcpy(&clock, data, sizeof clock);
		if (clock.time > core->now)
			core->now = clock.time;
	}
	return core->now;
}

int core_apply(struct core *core, const struct batch_entry *entries, uint32_t count)
{
	assert(count <= BATCH_ENTRIES_MAX);
	for (uint32_t i = 0; i < count;) {
		uint32_t run = 0;
		while (i + run < count && entry_is_event(&entries[i + run]))
			run++;
		if (run && !core->catalogue)
			return entry_bad(core, &entries[i], "an event before any catalogue is in force");
		int rc = run ? run_apply(core, entries + i, run) : entry_apply(core, &entries[i]);
		if (rc)
			return rc;
		i += run ? run : 1;
	}
	core->next_position += count;
	return 0;
}

void core_seen(struct core *core, const struct journal_seen *seen, const struct journal_dropped *dropped)
{
	assert(seen->source < core->peers.count);
	struct peer *peer = &core->peers.peer[seen->source];

	bool same_stream =
		memcmp(seen->stream, core->peers.identity[seen->source].stream, sizeof seen->stream) == 0;
	if (same_stream && seen->seen >= peer->expected)
		peer->expected = seen->seen + 1;
	for (uint32_t i = 0; i < seen->dropped_lines; i++) {
		assert(dropped[i].reason == EVENT_FILTERED || dropped[i].reason == EVENT_DUPLICATE);
		core->ledger->events_in += dropped[i].count;
		core->ledger->events[dropped[i].reason] += dropped[i].count;
	}
}

struct hash128 core_outputs(const struct core *core)
{
	uint64_t parts[4] = { core->outbox.digest.low, core->outbox.digest.high, core->verdicts.low,
			      core->verdicts.high };
	XXH128_hash_t h = XXH3_128bits(parts, sizeof parts);

	return (struct hash128){ h.low64, h.high64 };
}

/* ---- one turn of the live engine ---- */

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void seen_apply(void *ctx, const struct journal_seen *seen, const struct journal_dropped *dropped)
{
	core_seen(ctx, seen, dropped);
}

/* What may leave, and what is acknowledged, when the batch is durable. */
static void flight_note(struct engine *e, struct engine_flight *flight, uint64_t number, int64_t now_ns)
{
	flight->number = number;
	flight->sealed_ns = now_ns;
	for (unsigned q = 0; q < QUEUES_MAX; q++)
		flight->ordinals[q] = e->core.outbox.queue[q].next_ordinal - 1;
	e->sealed = number;
	e->sealed_ns = now_ns;
}

static uint64_t batch_seal(struct engine *e, struct engine_flight *flight)
{
	const struct core *core = &e->core;
	struct journal_seal seal = { .outputs = core_outputs(core),
				     .interest_version = core->interest_version };

	if (core->catalogue)
		seal.catalogue = core->catalogue->hash;
	ingest_seal(&e->ingest, &flight->ingest);
	return journal_seal(e->journal, &seal, &e->ring.io);
}

/* A tick may overshoot the pools once: short of room it takes no more than the stages do at once. */
static uint32_t tick_entries_max(const struct engine *e)
{
	uint32_t most = core_has_room(&e->core, JOURNAL_BATCH_ENTRIES_MAX) ? JOURNAL_BATCH_ENTRIES_MAX
									   : BATCH_ENTRIES_MAX;

	return e->options.batch_max < most ? e->options.batch_max : most;
}

/*
 * The path. A batch is begun when the journal has room for one more in flight. Without room for a batch's
 * worst case in every pool sources are held: their frames wait in the receive buffers and rings, they at
 * their windows; what gateways and operators say goes on, since it is what gives room. What was only dropped
 * waits a little for a batch to go with; an activation waits for that.
 */
int engine_tick(struct engine *e)
{
	struct core *core = &e->core;
	int64_t started = monotonic_ns();

	e->ingest.sources_held = !core_has_room(core, BATCH_ENTRIES_MAX);
	if (e->ingest.sources_held)
		live_room_missing(e, started);
	int rc = journal_begin(e->journal, core->term, live_now(e));
	e->journal_waits = rc == -EAGAIN;
	if (rc)
		return rc == -EAGAIN ? 0 : rc;

	/* ingest: frames become entries, copied once, into the journal's buffer */
	bool dropped = ingest_moved_any(&e->ingest);
	uint32_t count = dropped ? 0 : live_mail_take(e);
	if (count == 0)
		count = ingest_collect(&e->ingest, core->entries, tick_entries_max(e), started);
	bool content = count > 0 || ingest_moved_due(&e->ingest) || (dropped && live_mail_waits(e));
	if (!content && !live_closing_due(e, started)) {
		journal_cancel(e->journal);
		return 0;
	}
	for (uint32_t i = 0; i < count; i++)
		core->entries[i].now = core_clock(core, core->entries[i].kind, core->entries[i].data);

	/* journal: on its way to the disk while the stages run */
	struct engine_flight *flight = &e->flight[(e->sealed + 1) % ENGINE_FLIGHTS];
	uint64_t number = batch_seal(e, flight);
	rc = ring_enter(&e->ring, 0);

	/* profile, rules, decide, message: legs wait in the outbox until the batch is durable */
	for (uint32_t at = 0, run; at < count && !rc; at += run) {
		run = count - at < BATCH_ENTRIES_MAX ? count - at : BATCH_ENTRIES_MAX;
		rc = core_apply(core, core->entries + at, run);
	}
	ingest_seen_each(&e->ingest, seen_apply, core);
	core->batch = number;
	flight_note(e, flight, number, started);
	e->last_had_content = content;
	e->ticks++;
	e->entries += count;
	e->last_entries = count;
	journal_release(e->journal, number);
	histogram_add(&e->tick_ns, monotonic_ns() - started);
	return rc ? rc : 1;
}
