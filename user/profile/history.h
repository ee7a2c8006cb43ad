/*
 * history: what the engine remembers of events: windows per customer, account, card and what `per` lists, and
 * references (one purchase is several events). Exact to the event; late ones in their place; reversals taken
 * back out.
 *
 * history_apply walks one event: reference rules (decisions 11-17), windows (18-23), and the values of the
 * aggregates as of it. The order of calls is the order of the journal, and is all that the result depends on.
 *
 * Memory: a pool of cells (one per key), an index to them, a ring of references, all reserved at init.
 * Engine thread only; history_checkpoint_cut is called at a tick's edge.
 */
#ifndef PROFILE_HISTORY_H
#define PROFILE_HISTORY_H

#include <base/records.h>
#include <base/region.h>
#include <catalogue/catalogue.h>
#include <moment/counters.h>

struct history;

/* One event as far as memory goes. Strings are borrowed for the call. */
struct history_event {
	const struct cat_event *type;
	int64_t time, now;
	int64_t amount, balance; /* balance INT64_MIN = no data */
	struct value base;	 /* int, no data (no rate) or error */
	uint64_t customer, account;
	uint16_t currency, country, mcc;
	uint8_t touchpoint;
	enum event_stage stage; /* already resolved: absent = posted, or request with flag bit 0 */
	bool reversal;
	bool provisional;	     /* the customer has no record */
	bool unremembered;	     /* judged, but nothing stays of it (decisions 35, 36) */
	bool event_clock;	     /* never from the future (decisions 18) */
	const char *card, *ref, *of; /* NULL = absent */
	uint32_t card_bytes, ref_bytes, of_bytes;
};

struct history_result {
	enum event_outcome outcome; /* DECIDED: rules run as below; else the final outcome */
	bool fraud;		    /* fraud rules without `stages` run */
	bool counted;		    /* critical and subscription rules without `stages` run */
	bool staged;		    /* rules that list this event's stage run */
	uint32_t window_full;	    /* reads that found a key beyond its limit */
	uint32_t patterns;	    /* completed by it, bit per number in the catalogue */
};

__attribute__((warn_unused_result)) int history_create(struct history **out, uint64_t windows_bytes,
						       uint64_t cells_max, uint64_t refs_max);
void history_destroy(struct history *h);
/* What grows with the bank, so that its pages may come ahead of need: cells little by little, an index by one
 * that is as large as all before it. */
struct history_regions {
	const struct region *cells, *indexes[2];
};
void history_growing(const struct history *h, struct history_regions *out);

/*
 * A catalogue is in force from `now` on: aggregates whose identity is unchanged keep their state, the others
 * start (decisions 20). `empty` = the store was empty and the catalogue says `starts: empty`.
 */
void history_activate(struct history *h, const struct catalogue *c, int64_t now, bool empty);

/* At most so many bytes for windows from now on (bank.memory.windows); never more than was reserved. */
void history_limit(struct history *h, uint64_t windows_bytes);

/* Room for the worst case of so many events: false = checkpoint or memory first; nothing is lost by waiting.
 */
bool history_has_room(const struct history *h, uint32_t events);

/*
 * Applies one event. `where` is evaluated with `env` (spaces EVENT, BODY, PROFILE filled by the caller).
 * agg[aggregate.value_first + k] is its k-th value as of the event, filled for the aggregates in type->reads
 * (others untouched) when the outcome is DECIDED. env->zone is the zone of calendar windows. Strings in agg
 * are lent for the next BATCH_ENTRIES_MAX - 1 events.
 */
void history_apply(struct history *h, const struct catalogue *c, const struct history_event *event,
		   const struct cel_env *env, struct value *agg, struct history_result *result);

/*
 * A PROFILE made the customer known: its windows are no longer provisional (decisions 9). To be called for
 * every applied PROFILE of a customer, with the entry's now.
 */
void history_customer_known(struct history *h, uint64_t customer, int64_t now);
/*
 * A hint, without effect on any outcome: an event of these keys (0: none) comes after HISTORY_AHEAD more of
 * these calls. Said of the first HISTORY_AHEAD of a batch, then once before each event, with 0 where the
 * batch has no more.
 */
enum { HISTORY_AHEAD = 18 };
void history_expect(struct history *h, uint64_t customer, uint64_t account);

/* Sizes for status: cells, log entries, bytes in use and reserved, references, forgotten references, events
 * that were ever counted. */
struct history_sizes {
	uint64_t cells, entries, windows_bytes, windows_bytes_max, refs, refs_max, refs_evicted,
		provisional_forgotten, keys_evicted, counted;
};
void history_sizes(const struct history *h, struct history_sizes *out);

/*
 * A checkpoint of all that changed since the last one, as records CELL, REF and META "history". The cut, at a
 * tick's edge, says as of when; steps encode at most so many items each, and give true when all is in the
 * records, which are lent until then. Events may come between: what changes before its turn is encoded as it
 * was; an activation brings a cut to its end. Records that do not fit (records->full) make the cut void: all
 * counts as changed.
 */
void history_checkpoint_cut(struct history *h, struct records *records);
bool history_checkpoint_step(struct history *h, uint32_t items_max);
bool history_checkpoint_running(const struct history *h);
/* Both at once. */
void history_checkpoint(struct history *h, struct records *records);
/* Why the last history_load gave false, when there is more to say than that its bytes make no sense; or NULL.
 */
const char *history_refused(const struct history *h);
/* Takes back one record of a checkpoint, META "history" before CELL and REF. False: the bytes make no sense,
 * or do not fit. */
bool history_load(struct history *h, enum record_space space, const void *key, uint32_t key_bytes,
		  const void *value, uint32_t value_bytes);
/* After the last history_load. */
bool history_loaded(struct history *h);

/* xxh3-128 over the whole state in an order of its own (keys ascending): for replay against live, tests.
 * Slow. */
struct hash128 history_digest(const struct history *h);

#endif
