/*
 * history_memory.c: what a catalogue's windows cost, for `moment check --memory`: bytes of one customer who
 * has one account and one card, at so many events a day that all count. In: a checked catalogue and a rate.
 * Out: resident bytes (cells, logs, running values, the index) and those in the store. Every kind of key is
 * taken to get every event; a bounded kind has as many keys as it may, the events spread over them. Takes
 * memory from the heap while it runs; not for the engine's path.
 */
#include "history_state.h"

enum { INDEX_BYTES = 24, RUNS_FROM = 16, RECORD_BYTES = 24 + 80 + 16 };
static const int64_t day_ns = INT64_C(86400) * 1000000000;

struct kind_memory {
	uint64_t resident, stored;
};

/* One cell with so many entries that are wanted: a log has up to twice the room, and settled ones in it. */
static struct kind_memory cell_memory(const struct window_key *k, uint64_t entries)
{
	struct kind_memory m;
	uint64_t count = entries < WINDOW_LOG_EVENTS_MAX ? entries : WINDOW_LOG_EVENTS_MAX;
	uint64_t room = 2 * count + 1;

	m.resident = INDEX_BYTES + pool_class_bytes(pool_class(sizeof(struct window_cell) + k->fold_bytes +
							       room * k->entry_bytes));
	if (room > RUNS_FROM)
		m.resident += pool_class_bytes(
			pool_class(sizeof(struct window_runs) + k->run_count * sizeof(struct window_run)));
	m.stored = RECORD_BYTES + k->fold_bytes + count * k->entry_bytes;
	return m;
}

static struct kind_memory kind_memory(const struct history *h, const struct window_key *k, uint32_t per_day)
{
	int64_t held = k->span + h->lateness, cells = 1;
	uint64_t entries = (uint64_t)((double)per_day * ((double)held / (double)day_ns)) + 1;

	if (k->keys_max) {
		cells = entries < k->keys_max ? (int64_t)entries : k->keys_max;
		entries = (entries + (uint64_t)cells - 1) / (uint64_t)cells;
	}
	struct kind_memory m = cell_memory(k, entries);
	if (k->keys_max) /* a place in its owner's list */
		m.resident += pool_class_bytes(pool_class(sizeof(struct window_cold)));
	m.resident *= (uint64_t)cells;
	m.stored *= (uint64_t)cells;
	return m;
}

int history_memory(const struct catalogue *c, uint32_t events_per_day, uint64_t *bytes_resident,
		   uint64_t *bytes_stored)
{
	struct history *h;
	int rc = history_create(&h, 1 << 20, 1024, 16);

	*bytes_resident = *bytes_stored = 0;
	if (rc)
		return rc;
	history_activate(h, c, 0, true);
	for (uint32_t per = 0; per < KEYS_MAX; per++) {
		if (!h->windows.keys[per].slots)
			continue;
		struct kind_memory m = kind_memory(h, &h->windows.keys[per], events_per_day);
		*bytes_resident += m.resident;
		*bytes_stored += m.stored;
	}
	history_destroy(h);
	return 0;
}

void history_growing(const struct history *h, struct history_regions *out)
{
	*out = (struct history_regions){
		.cells = &h->windows.pool.region,
		.indexes = { &h->windows.index.region, &h->refs.table.region },
	};
}
