/*
 * state.c: the core's memory, its checkpoints, and the way back: last checkpoint, then the journal.
 *
 * A checkpoint is a consistent cut at a tick's edge: rows, windows, references, outbox, legs, peers, ledger,
 * position, all in one LMDB transaction. core_replay() applies the journal behind it and compares the digest
 * of outputs batch by batch, so a recovery that would say something else than was said is noticed and stops.
 *
 * Memory: all taken in core_open. What can go wrong: a directory that is in use, a store that does not open,
 * records that make no sense (-EBADMSG); core->why says which.
 */
#include "engine.h"

#include <base/log.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { OUTBOX_OVERSHOOT_GIB = 16 };
static const uint64_t CELLS_MAX = UINT64_C(1) << 25;
static const uint64_t REFS_MAX = UINT64_C(16) << 20;

struct core_meta { /* META "core" */
	uint64_t semantic_version, next_position, batch, term;
	int64_t now;
	uint32_t event_clock, interest_version;
	struct hash128 verdicts, catalogue;
};

static int tables_take(struct core *core)
{
	core->ledger = calloc(1, sizeof *core->ledger);
	core->by_rule = calloc(RULES_MAX, sizeof *core->by_rule);
	core->by_rule_next = calloc(RULES_MAX, sizeof *core->by_rule_next);
	core->by_type = calloc(65536, sizeof *core->by_type);
	core->decide = calloc(1, sizeof *core->decide);
	core->events = calloc(BATCH_ENTRIES_MAX, sizeof *core->events);
	core->entries = calloc(JOURNAL_BATCH_ENTRIES_MAX, sizeof *core->entries);
	return core->ledger && core->by_rule && core->by_rule_next && core->by_type && core->decide &&
			       core->events && core->entries
		       ? 0
		       : -ENOMEM;
}

static int stages_init(struct core *core, const struct core_options *o)
{
	int rc = tables_take(core);

	if (!rc)
		rc = profile_init(&core->columns);
	if (!rc)
		rc = rules_init(&core->rules);
	if (!rc)
		rc = legs_init(&core->legs);
	if (!rc)
		rc = message_forms_init(&core->forms);
	if (!rc)
		rc = outbox_init(&core->outbox, 0, (uint64_t)OUTBOX_OVERSHOOT_GIB << 30);
	if (!rc)
		rc = history_create(&core->history, o->windows_bytes ? o->windows_bytes : CORE_WINDOWS_BYTES,
				    CELLS_MAX, o->refs_max ? o->refs_max : REFS_MAX);
	if (rc)
		snprintf(core->why, sizeof core->why, "memory: %s", strerror(-rc));
	return rc;
}

static bool key_is(const void *key, uint32_t bytes, const char *name)
{
	return bytes == strlen(name) && memcmp(key, name, bytes) == 0;
}

static bool meta_take(void *to, size_t want, const void *value, uint32_t bytes)
{
	if (bytes == want)
		memcpy(to, value, want);
	return bytes == want;
}

static bool core_meta_load(struct core *core, const void *value, uint32_t bytes)
{
	struct core_meta m;

	if (!meta_take(&m, sizeof m, value, bytes))
		return false;
	if (m.semantic_version < ENGINE_STATE_VERSION_MIN) {
		snprintf(
			core->why, sizeof core->why,
			"this store was written under semantic version %llu, this engine reads %d and later: "
			"keep it with its own version, import the bank into a new data directory",
			(unsigned long long)m.semantic_version, ENGINE_STATE_VERSION_MIN);
		return false;
	}
	core->next_position = m.next_position;
	core->batch = m.batch;
	core->term = m.term;
	core->now = m.now;
	core->event_clock = m.event_clock != 0;
	core->interest_version = m.interest_version;
	core->verdicts = m.verdicts;
	core->loaded_version = core->journal_version = (uint32_t)m.semantic_version;
	return true;
}

static bool rules_load(struct core *core, const void *value, uint32_t bytes)
{
	uint32_t count = bytes / (uint32_t)sizeof *core->by_rule;

	if (bytes % sizeof *core->by_rule || count > RULES_MAX)
		return false;
	memcpy(core->by_rule, value, bytes);
	core->by_rule_count = count;
	return true;
}

static bool types_load(struct core *core, const void *value, uint32_t bytes)
{
	const uint64_t *pairs = value;

	for (uint32_t i = 0; i + 1 < bytes / sizeof *pairs; i += 2)
		core->by_type[pairs[i] & 0xffff] = pairs[i + 1];
	return bytes % (2 * sizeof *pairs) == 0;
}

static int meta_load(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes)
{
	struct core *core = ctx;
	bool good = true;

	if (key_is(key, key_bytes, "core"))
		good = core_meta_load(core, value, bytes);
	else if (key_is(key, key_bytes, "ledger"))
		good = meta_take(core->ledger, sizeof *core->ledger, value, bytes);
	else if (key_is(key, key_bytes, "peers"))
		good = meta_take(&core->peers, sizeof core->peers, value, bytes) &&
		       core->peers.count <= PEERS_MAX;
	else if (key_is(key, key_bytes, "rules"))
		good = rules_load(core, value, bytes);
	else if (key_is(key, key_bytes, "types"))
		good = types_load(core, value, bytes);
	else if (key_is(key, key_bytes, "history"))
		good = core->history_loading =
			history_load(core->history, RECORD_META, key, key_bytes, value, bytes);
	else if (key_is(key, key_bytes, "outbox"))
		good = outbox_load(&core->outbox, RECORD_META, key, key_bytes, value, bytes);
	else if (key_bytes >= 4 && memcmp(key, "legs", 4) == 0)
		good = legs_load(&core->legs, key, key_bytes, value, bytes);
	if (!good && !core->why[0])
		snprintf(core->why, sizeof core->why, "the store's record META %.*s makes no sense%s%s",
			 (int)key_bytes, (const char *)key, history_refused(core->history) ? ": " : "",
			 history_refused(core->history) ? history_refused(core->history) : "");
	return good ? 0 : -EBADMSG;
}

static int cell_load(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes)
{
	return history_load(((struct core *)ctx)->history, RECORD_CELL, key, key_bytes, value, bytes)
		       ? 0
		       : -EBADMSG;
}

static int ref_load(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes)
{
	return history_load(((struct core *)ctx)->history, RECORD_REF, key, key_bytes, value, bytes)
		       ? 0
		       : -EBADMSG;
}

static int chunk_load(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t bytes)
{
	return outbox_load(&((struct core *)ctx)->outbox, RECORD_OUTBOX, key, key_bytes, value, bytes)
		       ? 0
		       : -EBADMSG;
}

static const void *chunk_value(void *ctx, const void *key, uint16_t key_bytes, uint32_t *bytes)
{
	return store_value(((struct core *)ctx)->store, RECORD_OUTBOX, key, key_bytes, bytes);
}

/* The catalogue that was in force at the checkpoint, from its blob in the store. */
static int catalogue_load(struct core *core)
{
	struct problems problems;
	struct catalogue *c;
	uint32_t bytes;
	const void *blob = store_value(core->store, RECORD_META, "catalogue", 9, &bytes);

	if (!blob || core->interest_version == 0)
		return 0; /* nothing was ever activated */
	problems_init(&problems);
	int rc = catalogue_compile_blob(blob, bytes, &c, &problems);
	if (rc)
		snprintf(core->why, sizeof core->why,
			 "the store's catalogue does not compile with this version: %s",
			 problems.count ? problems.list[0].text : strerror(-rc));
	problems_deinit(&problems);
	/* identities are unchanged, so nothing starts anew; rule counts were loaded by name */
	return rc ? rc : core_catalogue_use(core, c, core->now, false, core->interest_version);
}

static int state_load(struct core *core)
{
	int rc = store_walk(core->store, RECORD_META, meta_load, core);

	if (!rc)
		rc = store_walk(core->store, RECORD_CELL, cell_load, core);
	if (!rc)
		rc = store_walk(core->store, RECORD_REF, ref_load, core);
	if (!rc)
		rc = store_walk(core->store, RECORD_OUTBOX, chunk_load, core);
	if (!rc && core->history_loading && !history_loaded(core->history))
		rc = -EBADMSG;
	if (rc && !core->why[0])
		snprintf(core->why, sizeof core->why, "the store's checkpoint does not load: %s",
			 strerror(-rc));
	return rc ? rc : catalogue_load(core);
}

int core_open(struct core *core, const struct core_options *o)
{
	char dir[4096];

	*core = (struct core){ .next_position = 1, .read_only = o->read_only };
	snprintf(dir, sizeof dir, "%s/store", o->data);
	struct store_options so = { .dir = o->store ? o->store : dir,
				    .map_bytes = o->map_bytes,
				    .read_only = o->read_only,
				    .index = true,
				    .thread = o->thread,
				    .overlay_bytes = o->read_only ? UINT64_C(16) << 30 : 0 };
	int rc = stages_init(core, o);
	if (!rc)
		rc = store_open(&core->store, &so, core->why, sizeof core->why);
	if (!rc) {
		core->why[0] = 0;
		core->outbox.load = chunk_value;
		core->outbox.load_ctx = core;
		core->outbox.recovering = true;
		rc = state_load(core);
	}
	if (!rc)
		outbox_recovered(&core->outbox);
	return rc;
}

void core_close(struct core *core)
{
	if (core->store)
		store_close(core->store);
	if (core->history)
		history_destroy(core->history);
	catalogue_free(core->catalogue);
	catalogue_free(core->retired);
	profile_deinit(&core->columns);
	rules_deinit(&core->rules);
	legs_deinit(&core->legs);
	message_forms_deinit(&core->forms);
	outbox_deinit(&core->outbox);
	free(core->ledger);
	free(core->by_rule);
	free(core->by_rule_next);
	free(core->by_type);
	free(core->decide);
	free(core->events);
	free(core->entries);
	*core = (struct core){ 0 };
}

/* ---- checkpoints ---- */

bool core_has_room(const struct core *core, uint32_t entries)
{
	return outbox_has_room(&core->outbox, entries) && history_has_room(core->history, entries) &&
	       store_has_room(core->store, entries);
}

static void meta_put(struct records *r, const char *name, const void *value, uint32_t bytes)
{
	void *to = records_put(r, RECORD_META, name, (uint16_t)strlen(name), bytes);

	if (to)
		memcpy(to, value, bytes);
}

static void types_put(const struct core *core, struct records *r)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < 65536; i++)
		used += core->by_type[i] != 0;
	uint64_t *to = records_put(r, RECORD_META, "types", 5, (uint32_t)(used * 2 * sizeof *to));
	for (uint32_t i = 0; to && i < 65536; i++) {
		if (core->by_type[i]) {
			*to++ = i;
			*to++ = core->by_type[i];
		}
	}
}

/* Its content goes to the store once, not with every checkpoint. */
static void catalogue_keep(struct core *core, struct records *r)
{
	const struct catalogue *c = core->catalogue;

	if (core->catalogue_kept.low == c->hash.low && core->catalogue_kept.high == c->hash.high)
		return;
	meta_put(r, "catalogue", c->blob, (uint32_t)c->blob_bytes);
	core->catalogue_kept = c->hash;
}

static void core_meta_put(struct core *core, struct records *r)
{
	struct core_meta m = { .semantic_version = ENGINE_SEMANTIC_VERSION,
			       .next_position = core->next_position,
			       .batch = core->batch,
			       .term = core->term,
			       .now = core->now,
			       .event_clock = core->event_clock,
			       .interest_version = core->interest_version,
			       .verdicts = core->verdicts };

	if (core->catalogue) {
		m.catalogue = core->catalogue->hash;
		catalogue_keep(core, r);
		meta_put(r, "rules", core->by_rule,
			 (uint32_t)(core->catalogue->rule_count * sizeof *core->by_rule));
	}
	meta_put(r, "core", &m, sizeof m);
	meta_put(r, "ledger", core->ledger, sizeof *core->ledger);
	meta_put(r, "peers", &core->peers, sizeof core->peers);
	types_put(core, r);
}

bool core_checkpoint_begin(struct core *core)
{
	struct records *r = store_checkpoint_begin(core->store);

	if (!r)
		return false;
	history_checkpoint_cut(core->history, r);
	outbox_checkpoint_cut(&core->outbox, r);
	legs_checkpoint_cut(&core->legs, r);
	core_meta_put(core, r);
	core->cut = CUT_HISTORY;
	return true;
}

static uint32_t cells_a_tick(uint32_t entries)
{
	uint32_t more = entries * CHECKPOINT_CELLS_AN_ENTRY;

	return more > CHECKPOINT_CELLS_A_TICK ? more : CHECKPOINT_CELLS_A_TICK;
}

bool core_checkpoint_step(struct core *core, uint32_t entries)
{
	bool all = entries == UINT32_MAX;

	if (core->cut == CUT_HISTORY &&
	    history_checkpoint_step(core->history, all ? UINT32_MAX : cells_a_tick(entries)))
		core->cut = CUT_OUTBOX;
	if (core->cut == CUT_OUTBOX &&
	    outbox_checkpoint_step(&core->outbox, all ? UINT32_MAX : CHECKPOINT_CHUNKS_A_TICK))
		core->cut = CUT_LEGS;
	if (core->cut == CUT_LEGS &&
	    legs_checkpoint_step(&core->legs, all ? UINT32_MAX : CHECKPOINT_PAGES_A_TICK))
		core->cut = CUT_NONE;
	return core->cut == CUT_NONE;
}

bool core_checkpoint_poll(struct core *core, int *error)
{
	if (!store_checkpoint_poll(core->store, error))
		return false;
	if (*error)
		core->catalogue_kept = (struct hash128){ 0 };
	else
		outbox_committed(&core->outbox);
	return true;
}

/* ---- recovery and replay ---- */

/* What waits to be applied, and how many entries in between were skipped. */
struct replay_pending {
	uint32_t count, skipped;
	bool changes; /* some of it are no events */
};

static int replay_chunk(struct core *core, struct core_replay *replay, struct replay_pending *p)
{
	int rc = p->count ? core_apply(core, core->entries, p->count) : 0;

	if (!rc && p->count && replay->applied)
		replay->applied(replay->ctx);
	core->next_position += p->skipped;
	replay->entries += p->count;
	*p = (struct replay_pending){ 0 };
	return rc;
}

static int replay_entry(struct core *core, struct core_replay *replay, struct replay_pending *p,
			const struct journal_entry *entry)
{
	uint32_t chunk = replay->chunk ? replay->chunk : BATCH_ENTRIES_MAX;
	bool event =
		entry->kind == ENTRY_FRAME && entry->data[offsetof(struct frame_header, kind)] == FRAME_EVENT;

	core->entries[p->count++] = (struct batch_entry){
		.data = entry->data,
		.position = entry->position,
		.now = core_clock(core, (uint8_t)entry->kind, entry->data),
		.bytes = entry->bytes,
		.source = entry->source,
		.kind = (uint8_t)entry->kind,
	};
	replay->events += event;
	p->changes |= !event;
	return p->count == chunk ? replay_chunk(core, replay, p) : 0;
}

/* One that `choose` may want otherwise. */
static int replay_chosen(struct core *core, struct core_replay *replay, struct replay_pending *p,
			 const struct journal_entry *entry)
{
	const struct frame_header *h = (const void *)entry->data;
	int rc = p->changes ? replay_chunk(core, replay, p) : 0;
	enum replay_take take = rc ? REPLAY_TAKE : replay->choose(replay->ctx, h);

	if (rc)
		return rc;
	if (take == REPLAY_SKIP) {
		p->skipped++;
		return 0;
	}
	if (take == REPLAY_TAKE)
		return replay_entry(core, replay, p, entry);
	rc = replay_chunk(core, replay, p);
	if (rc)
		return rc;
	replay->alone(replay->ctx, h, false);
	rc = replay_entry(core, replay, p, entry);
	if (!rc)
		rc = replay_chunk(core, replay, p);
	if (!rc)
		replay->alone(replay->ctx, h, true);
	return rc;
}

static int replay_entries(struct core *core, struct journal_reader *reader, struct core_replay *replay)
{
	struct replay_pending pending = { 0 };
	struct journal_entry entry;
	int rc = 0;

	while (!rc && journal_reader_entry(reader, &entry)) {
		uint64_t next = core->next_position + pending.count + pending.skipped;
		if (entry.position < next)
			continue; /* the checkpoint holds it */
		if (entry.position != next) {
			snprintf(core->why, sizeof core->why,
				 "the journal goes on at position %llu, the checkpoint at %llu",
				 (unsigned long long)entry.position, (unsigned long long)core->next_position);
			return -EBADMSG;
		}
		rc = replay->choose && entry.kind == ENTRY_FRAME
			     ? replay_chosen(core, replay, &pending, &entry)
			     : replay_entry(core, replay, &pending, &entry);
	}
	return rc ? rc : replay_chunk(core, replay, &pending);
}

/* Outputs can be compared only with those of the same meaning. */
static int version_check(struct core *core, const struct journal_batch_header *header)
{
	if (core->journal_version == 0 || core->journal_version == ENGINE_SEMANTIC_VERSION)
		return 0;
	snprintf(core->why, sizeof core->why,
		 "batch %llu was written under semantic version %u, this engine has %d: stop the old one "
		 "cleanly before an upgrade, "
		 "and verify with it",
		 (unsigned long long)header->number, core->journal_version, ENGINE_SEMANTIC_VERSION);
	return -EPROTONOSUPPORT;
}

static int outputs_compare(struct core *core, const struct journal_batch_header *header)
{
	struct hash128 mine = core_outputs(core);

	if (mine.low == header->outputs.low && mine.high == header->outputs.high)
		return 0;
	snprintf(core->why, sizeof core->why,
		 "batch %llu: outputs before it are %016llx%016llx, the journal says %016llx%016llx; the "
		 "first difference lies in batch %llu",
		 (unsigned long long)header->number, (unsigned long long)mine.high,
		 (unsigned long long)mine.low, (unsigned long long)header->outputs.high,
		 (unsigned long long)header->outputs.low, (unsigned long long)header->number - 1);
	return -EBADMSG;
}

static int replay_batch(struct core *core, struct journal_reader *reader,
			const struct journal_batch_header *header, struct core_replay *replay)
{
	const struct journal_dropped *dropped;
	struct journal_seen seen;

	if (header->number <= core->batch)
		return 0; /* the checkpoint holds it: cuts are at the edges of batches */
	int rc = replay->verify ? version_check(core, header) : 0;
	if (!rc && replay->verify)
		rc = outputs_compare(core, header);
	if (rc)
		return rc;
	replay->last_entries = header->entries;
	if (!core->event_clock || header->now > core->now)
		core->now = header->now;
	rc = replay_entries(core, reader, replay);
	while (!rc && journal_reader_seen(reader, &seen, &dropped))
		core_seen(core, &seen, dropped);
	core->batch = header->number;
	replay->batches++;
	if (!rc && replay->each_batch)
		rc = replay->each_batch(replay->ctx, header);
	return rc;
}

int core_replay(struct core *core, const char *journal_dir, struct core_replay *replay)
{
	struct journal_reader *reader;
	struct journal_batch_header header;
	int rc = journal_reader_open(&reader, journal_dir, core->next_position, core->why, sizeof core->why);

	if (rc == -ENOENT && core->next_position == 1)
		return 0; /* no journal yet */
	if (rc)
		return rc;
	while ((rc = journal_reader_batch(reader, &header, core->why, sizeof core->why)) == 1) {
		if (replay->until && header.number >= replay->until) {
			rc = 0;
			break;
		}
		rc = replay_batch(core, reader, &header, replay);
		if (rc)
			break;
	}
	journal_reader_close(reader);
	return rc;
}

bool core_behind_journal(struct store *store, const char *data)
{
	struct journal_batch_header header;
	struct journal_reader *reader;
	struct core_meta meta = { .next_position = 1 };
	char dir[4096], why[256];
	uint32_t bytes = 0;
	bool behind = false;

	const void *value = store_value(store, RECORD_META, "core", 4, &bytes);
	if (value && bytes == sizeof meta)
		memcpy(&meta, value, sizeof meta);
	snprintf(dir, sizeof dir, "%s/journal", data);
	if (journal_reader_open(&reader, dir, meta.next_position, why, sizeof why))
		return false; /* no journal */
	while (!behind && journal_reader_batch(reader, &header, why, sizeof why) == 1)
		behind = header.number > meta.batch && (header.entries || header.seen_records);
	journal_reader_close(reader);
	return behind;
}

struct hash128 core_digest(struct core *core)
{
	struct hash128 parts[4] = { history_digest(core->history), { 0 }, core_outputs(core), { 0 } };

	if (core->catalogue)
		parts[1] = store_digest(core->store, core->catalogue);
	XXH128_hash_t l = XXH3_128bits(core->ledger, sizeof *core->ledger);
	parts[3] = (struct hash128){ l.low64, l.high64 };
	XXH128_hash_t h = XXH3_128bits(parts, sizeof parts);
	return (struct hash128){ h.low64, h.high64 };
}
