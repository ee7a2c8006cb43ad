/*
 * windows: what is remembered per key (a customer, account, card, or what `per` lists): a log of the events
 * that some aggregate needs, in the order (time, journal), and what settled events left behind. Used by
 * history only.
 *
 * A cell is one block: a header of one cache line, the folds of its windows for ever, then the entries, which
 * have only the columns that the aggregates of its key read. An entry is there once, with a bit per aggregate
 * that it feeds. A short log is read by scanning it; a long one has running values, which advance as entries
 * leave and are corrected for late ones. An entry is *settled* when no aggregate can still want it by itself:
 * older than lateness + the longest window that it feeds, and for windows for ever also beyond change by its
 * reference. Settled entries leave the log when room is needed; windows for ever keep them in their fold.
 * When they leave shows in no value.
 *
 * window_pool.c: blocks and the index. window_layout.c: which columns, where. cells.c: the memory of cells.
 * window_values.c: what a value is made of. windows.c: entering, reading, settling. window_records.c:
 * checkpoints and digest. window_calendar.c: where a day begins.
 *
 * Life of a cell: 1. made by the first event that feeds an aggregate of its key; 2. grows (and moves),
 * shrinks, is written at checkpoints after a change; 3. removed when all of it is settled and nothing lasts,
 * evicted by a newer key of its owner, or forgotten with a provisional customer; what a checkpoint has of it
 * is taken back by the next (until then a ghost keeps its key). Engine thread only; nothing is allocated
 * after windows_init.
 */
#ifndef PROFILE_WINDOWS_H
#define PROFILE_WINDOWS_H

#include <base/records.h>
#include <catalogue/catalogue.h>
#include <profile/window_pool.h>

enum window_entry_flags {
	ENTRY_OUT = 1 << 0,	   /* taken back wholly: counts nowhere, keeps its place */
	ENTRY_REF = 1 << 1,	   /* has a reference: may change while that is remembered */
	ENTRY_BASE_NONE = 1 << 2,  /* no rate */
	ENTRY_BASE_ERROR = 1 << 3, /* its base is beyond int64 */
	ENTRY_FLAGS = 15,
};

enum { WINDOW_TEXT_BYTES = 64 }; /* of a string of a body that `last` keeps; longer: an error */

/* An event on its way in: all that any layout could want. */
struct window_event {
	int64_t time;
	uint64_t order; /* number of the counted event: the journal's order */
	uint64_t feeds; /* bit per slot */
	int64_t amount, base, balance;
	uint64_t customer;
	uint16_t currency, country, mcc;
	uint8_t touchpoint;
	uint8_t flags;		  /* enum window_entry_flags */
	const struct value *body; /* by number in the catalogue in force; NULL: no aggregate reads one */
};

/* In a log: the head of an entry; its columns are behind it. */
struct window_entry {
	int64_t time;
	uint64_t mark; /* order << 8 | flags */
	uint64_t feeds;
};

enum window_source {
	SOURCE_NONE,
	SOURCE_TIME,	/* the entry's own; no column */
	SOURCE_INT,	/* int64 */
	SOURCE_BASE,	/* int64, flags say whether it is one */
	SOURCE_BALANCE, /* int64, INT64_MIN = no data */
	SOURCE_CODE,	/* uint16, 0 = no data */
	SOURCE_SHORT,	/* uint16 */
	SOURCE_BYTE,	/* uint8, 0 = no data */
	SOURCE_BODY,	/* 8 bytes and a status byte */
	SOURCE_HASH,	/* of a string: 16 bytes and a status byte */
	SOURCE_TEXT,	/* uint64 length, WINDOW_TEXT_BYTES, and a status byte */
	SOURCE_COUNT
};

struct window_column {
	struct hash128 identity; /* body fields: of name and type */
	uint16_t at, status_at;	 /* bytes from the entry's start; status_at 0: none */
	uint16_t body;		 /* number of the body field in the catalogue in force */
	uint8_t source, field;
	uint8_t from, bytes; /* in struct window_event; 0 bytes: from the body */
};

/* One value of an aggregate. */
struct window_value {
	struct hash128 identity; /* of a body field: name and type; else 0 */
	uint8_t field, type;	 /* enum agg_field, enum value_type */
	uint8_t source;
	uint16_t body;
	uint16_t at, status_at;		  /* of its column */
	uint16_t fold_at, fold_status_at; /* in the fold of a `last` */
};

/* How a slot is read that has no running value. */
enum window_how {
	HOW_SCAN,	 /* a run over the log */
	HOW_TOTAL,	 /* slot.total: the fold has it */
	HOW_TOTAL_COUNT, /* the same, of a count */
	HOW_TOTAL_SUM,
	HOW_COUNT,    /* with a length */
	HOW_SUM,      /* with a length, of a field that every entry has */
	HOW_LAST_ONE, /* of one value that is no string */
	HOW_LAST,
	HOW_DISTINCT,
};

/* An aggregate's place, by identity: it stays the same while catalogues come and go. */
struct window_slot {
	struct hash128 identity;
	int64_t within;	   /* 0 = for ever, or calendar */
	int64_t activated; /* INT64_MIN: the past was empty */
	uint8_t function, calendar, per, used;
	uint8_t type; /* enum value_type of the result; of the catalogue in force */
	uint8_t value_count;
	uint16_t value_first; /* in windows.values */
	/* derived */
	uint8_t source; /* of the first value */
	uint8_t run;	/* place of its running value; RUN_NONE: read by scanning */
	uint16_t at, status_at;
	uint16_t fold_at, fold_bytes; /* for ever: in the cell's folds */
	bool lasting;
	bool total;   /* its fold has all that counts, what is in the log too */
	uint8_t how;  /* enum window_how */
	int64_t span; /* an entry is wanted for so long; for ever: 0 */
};
enum { RUN_NONE = 255 };

/* A kind of key, by identity. The first PER_COUNT are those of enum agg_per. */
struct window_key {
	struct hash128 identity;
	uint32_t keys_max; /* 0 = unbounded */
	uint8_t used;
	/* derived */
	uint8_t run_count;
	uint16_t entry_bytes, fold_bytes; /* multiples of 8 */
	uint16_t column_count;
	uint64_t slots; /* bits */
	int64_t span;	/* the longest */
	bool uniform;	/* all have that one, and none is for ever: what is settled is the first of the log */
	struct window_column columns[AGGREGATE_VALUES_MAX + 16];
};

/* A sum on its way, or a running value. All zero is the value over nothing. */
struct window_run {
	__int128 sum;
	uint64_t squares[3]; /* deviation: 192 bits, low first */
	uint32_t count;	     /* entries; of sum, mean, min, max, deviation those whose field has a value */
	uint32_t errors;     /* entries whose field is an error */
	uint32_t first;	     /* windows with a length: first entry of the log that is in it */
	uint32_t mark;	     /* min, max: index + 1 of the entry that `sum` is of; last: of the newest */
};
_Static_assert(sizeof(struct window_run) == 64, "a cache line");
#define MARK_UNKNOWN UINT32_MAX

/*
 * The fold of a window for ever. Of min, max and last: what settled entries gave. Of count, sum, mean and
 * deviation (slot.total): all entries, those of the log too, so that a read needs no scan; a read as of a
 * time before the newest entry takes back what is newer, which is in the log.
 */
struct window_fold {
	uint64_t count, errors, used;
	__int128 sum; /* min, max: the value */
	uint64_t squares[3];
};

/* Its first word: count, errors, and whether something of it has settled. */
enum { FOLD_COUNT_BITS = 40 };
#define FOLD_COUNT_MASK ((UINT64_C(1) << FOLD_COUNT_BITS) - 1)
#define FOLD_ERRORS (UINT64_MAX >> 1 & ~FOLD_COUNT_MASK)

enum window_cell_flags {
	CELL_LIVE = 1 << 0,
	CELL_SAVED = 1 << 1, /* a checkpoint has its key */
	CELL_PROVISIONAL = 1 << 2,
	CELL_KEPT = 1 << 3,   /* only windows for ever are left: the sweep passes by */
	CELL_OWNER = 1 << 4,  /* no windows: the keys of one owner, by use */
	CELL_SECOND = 1 << 5, /* `dirty` counts in the second of the two lists */
};

struct window_cell {
	struct key128 key;
	int64_t reach;	      /* all entries are out of every window when the horizon gets here */
	uint32_t head, count; /* the first entry is entries[head] */
	uint32_t room;	      /* entries */
	uint32_t runs;	      /* block of running values, 0 = none */
	uint32_t cold;	      /* block of a struct window_cold, 0 = none */
	uint32_t dirty;	      /* index + 1 in a list of what changed, 0 = none */
	uint32_t hash;	      /* in the index */
	uint32_t leaving;     /* running values: about the first entry that is in one; a hint */
	uint8_t per, flags, class, reserved[5];
};
_Static_assert(sizeof(struct window_cell) == 64, "a cache line; then folds, then entries");

struct window_runs {
	int64_t at; /* the largest time of an entry or that the running values were advanced to */
	uint8_t reserved[56];
	struct window_run run[];
};

/* What few cells have. */
struct window_cold {
	int64_t lost, lost_time; /* pushed out by WINDOW_LOG_EVENTS_MAX while wanted: their reach, newest
				    time; INT64_MIN */
	int64_t settles;	 /* a full log: before the horizon gets here ... */
	uint64_t settles_order;	 /* ... or windows.settled beyond this, looking for settled entries is in vain
				  */
	uint64_t broken;	 /* bits of slots for ever that lack a change of a lost entry */
	int64_t touched;	 /* provisional: now of its latest event; of a further key: its customer */
	int64_t gone;  /* a bounded key: no entry up to here is sure to be known; of an owner: what a new key
			  of  it gets. INT64_MIN: all are */
	uint64_t used; /* a bounded key: order of its latest event */
	uint32_t older, newer; /* neighbours by `touched`, or by `used` among the keys of one owner; blocks */
	uint32_t owner;	       /* a bounded key: block of its owner; its key while a checkpoint is loaded: */
	struct key128 owner_key;
	uint32_t next,
		before; /* what is forgotten with a provisional customer: the customer's cell is first */
	uint32_t oldest, newest, keys; /* of an owner */
};

/* Keys of an event to come; a hint, which may be wrong. */
struct window_ahead {
	uint32_t hash, block, has;
};
enum { WINDOW_PLACES = 32 };

struct windows {
	struct pool pool;
	struct window_index index;
	uint64_t classes[POOL_CLASSES];		  /* cells by class */
	struct region region;			  /* the arrays below */
	uint32_t *dirty[2], dirty_count[2], list; /* blocks of what changed, by list; the one that grows */
	uint32_t oldest, newest;		  /* provisional cells by `touched`, blocks */
	uint64_t hand;				  /* of the sweep, a slot of the index */
	uint32_t *moved;			  /* scratch: where an entry is after a cut */
	struct key128 *set;			  /* scratch: distinct values */
	uint32_t *set_used, set_round;
	char *texts; /* values of `last` of strings, lent for the next events */
	uint32_t texts_next;

	struct window_slot slots[AGGREGATES_MAX];
	struct window_value values[AGGREGATE_VALUES_MAX];
	uint32_t value_count;
	struct window_key keys[KEYS_MAX];
	uint64_t lasting, totals;	  /* bits of slots for ever; of those with slot.total */
	int64_t activated_max, full_from; /* of slots: the latest; as of then all windows are full */

	/* A checkpoint on its way. */
	struct records *records; /* NULL: none */
	uint32_t cut_next, cut_ghosts;

	/* The clock, set by history before each event. */
	int64_t now, lateness;
	uint64_t settled; /* entries with a reference and a smaller order cannot change any more */
	uint64_t entries, cells, provisional_forgotten, keys_evicted;
	uint32_t ticks;
	uint32_t expected;			     /* calls of windows_expect */
	struct window_ahead ahead[2][WINDOW_PLACES]; /* of customers, accounts */
};

/* Memory */
__attribute__((warn_unused_result)) int windows_init(struct windows *w, uint64_t bytes_max,
						     uint64_t cells_max);
void windows_deinit(struct windows *w);
/* Room for `events` more, whatever they are? */
bool windows_has_room(const struct windows *w, uint32_t events);

/* Slots: after a change of slots[], values[] or keys[] what is derived; before removing some, their traces in
 * all cells (and all running values). windows_layouts_change is given them as they were, and brings all cells
 * to what they are. No cut is on its way. */
void windows_derive(struct windows *w);
void windows_slots_clear(struct windows *w, uint64_t gone);
void windows_settle(struct windows *w);
void windows_layouts_change(struct windows *w, const struct window_key *before,
			    const struct window_slot *slots_before);
void windows_key_drop(struct windows *w, uint32_t per);

/* One event. Where a key's windows are; cells are lent until the next enter, touch, sweep or forget. */
struct window_place {
	struct key128 key, owner; /* owner: of a bounded key */
	struct window_cell *cell; /* NULL: none */
	int64_t gone;		  /* a bounded key: what may be missing up to here, or INT64_MIN */
	uint64_t customer;	  /* provisional, and part of the key: it is forgotten with them; else 0 */
	uint8_t per;
};
void windows_look(const struct windows *w, struct window_place *place);
/* A hint: an event of this customer and account (0: none) comes after WINDOW_AHEAD more of these calls. */
enum { WINDOW_AHEAD = 18 };
void windows_expect(struct windows *w, uint64_t customer, uint64_t account);
/*
 * The values of some slots of one kind of key, as of time t >= now - lateness, over what has been entered.
 * Each lands in `values` at its place: one value, or as many as the slot has. `edges`: of calendar windows,
 * by enum agg_calendar. *full counts those of a key beyond its limit.
 */
struct window_read {
	uint8_t slot;
	uint16_t value;
	/* of the slot, as windows_read_plan took it over */
	uint8_t how, type, run;
	bool lasting;
	uint16_t at, fold_at;
	int64_t within; /* 0: no fixed length */
};
/* To be made anew after windows_derive. */
struct window_read windows_read_plan(const struct windows *w, uint8_t slot, uint16_t value);
struct window_ask {
	int64_t t;
	const int64_t *edges;
	struct value *values;
	uint32_t *full;
};
void windows_read(struct windows *w, const struct window_place *place, const struct window_read *reads,
		  uint32_t count, const struct window_ask *ask);
/* Adds an entry, the newest by order, behind those of its time, and makes the cell when there is none. Bits
 * that no window can still want are dropped. */
void windows_enter(struct windows *w, struct window_place *place, const struct window_event *event);

/* A transaction's entry gets other figures, leaves or comes back. */
struct window_change {
	int64_t time;
	uint64_t order;
	int64_t amount, base, balance;
	uint16_t currency;
	uint8_t flags;	    /* ENTRY_OUT, ENTRY_BASE_* */
	bool balance_given; /* else the entry keeps its own */
};
void windows_amend(struct windows *w, struct window_cell *cell, const struct window_change *change);

/*
 * Backwards from the event of that time and order: do events of these slots stand there, the last one first,
 * so many of each, within the time and without one of `unless` (a bit, 0 none) after the first?
 */
struct window_steps {
	uint32_t count;
	uint8_t slot[PATTERN_STEPS_MAX];
	uint16_t times[PATTERN_STEPS_MAX];
	uint64_t unless;
	int64_t within;
};
bool windows_completes(const struct windows *w, const struct window_place *place,
		       const struct window_steps *steps, int64_t time, uint64_t order, uint32_t *full);

/* A provisional customer had an event, or has a record now. */
void windows_touch(struct windows *w, struct window_cell *cell, bool provisional);
/* Forgets provisional cells without an event for `idle_ns`. */
void windows_forget(struct windows *w, int64_t idle_ns);
/* Looks at a few cells, the next, and gives back what is settled. */
void windows_sweep(struct windows *w);

/* The last entry that is not in a calendar window as of t: the nanosecond before its first. Zone NULL: UTC.
 */
int64_t windows_calendar_edge(enum agg_calendar calendar, const struct zone *zone, int64_t t);

/*
 * A cut of all that changed since the last one; steps encode it, at most so many cells each, and say true
 * when all is in `records` (or does not fit: then records->full, and all counts as changed). What changes in
 * between is encoded first as it was.
 */
void windows_cut(struct windows *w, struct records *records);
bool windows_cut_step(struct windows *w, uint32_t *items);
bool windows_cut_finish(struct windows *w, uint32_t *items); /* after all that goes into these records */
/* Back. Needs slots, values, keys and the clock; `order_max` is the largest order that can be. */
bool windows_load(struct windows *w, const void *key, uint32_t key_bytes, const void *value,
		  uint32_t value_bytes, uint64_t order_max);
bool windows_loaded(struct windows *w);
struct hash128 windows_digest(const struct windows *w);

/* ---- shared by the files of windows only ---- */

static inline int64_t time_add(int64_t time, int64_t ns)
{
	int64_t sum;
	return __builtin_add_overflow(time, ns, &sum) ? INT64_MAX : sum;
}
static inline uint32_t bit_first(uint64_t bits)
{
	return (uint32_t)__builtin_ctzll(bits);
}
/* No event before it is given a value. */
static inline int64_t windows_horizon(const struct windows *w)
{
	return w->now - w->lateness;
}
static inline uint64_t entry_order(const struct window_entry *e)
{
	return e->mark >> 8;
}
static inline uint8_t entry_flags(const struct window_entry *e)
{
	return (uint8_t)e->mark;
}
static inline struct window_cell *cell_at(const struct windows *w, uint32_t block)
{
	return pool_at(&w->pool, block);
}
static inline uint32_t cell_block(const struct windows *w, const struct window_cell *cell)
{
	return (uint32_t)((uint64_t)((const char *)cell - w->pool.region.base) / POOL_UNIT);
}
static inline char *cell_folds(const struct window_cell *cell)
{
	return (char *)(uintptr_t)(cell + 1);
}
/* Entry i of the log, counted from its first. */
static inline struct window_entry *cell_entry(const struct window_key *key, const struct window_cell *cell,
					      uint32_t i)
{
	return (struct window_entry *)(cell_folds(cell) + key->fold_bytes +
				       (uint64_t)(cell->head + i) * key->entry_bytes);
}
static inline struct window_runs *cell_runs(const struct windows *w, const struct window_cell *cell)
{
	return cell->runs ? pool_at(&w->pool, cell->runs) : NULL;
}
static inline struct window_cold *cell_cold(const struct windows *w, const struct window_cell *cell)
{
	return cell->cold ? pool_at(&w->pool, cell->cold) : NULL;
}
static inline bool entry_counts(const struct window_entry *e, uint32_t slot)
{
	return e->feeds >> slot & ~e->mark & 1; /* ENTRY_OUT is the mark's first bit */
}
_Static_assert(ENTRY_OUT == 1, "entry_counts");
static inline bool slot_has_mark(const struct window_slot *s)
{
	return s->function == AGG_MIN || s->function == AGG_MAX || s->function == AGG_LAST;
}

/* cells.c */
struct window_cell *cell_find(const struct windows *w, uint32_t per, struct key128 key, bool owner);
struct window_cell *cell_make(struct windows *w, uint32_t per, struct key128 key, uint8_t flags);
/* Before any change of a cell. */
void cell_changed(struct windows *w, struct window_cell *cell);
/* Before a change that shows in no value, but would in what a cut still has to write. */
void cell_tidied(struct windows *w, struct window_cell *cell);
void cell_remove(struct windows *w, struct window_cell *cell);
/* Moves a cell to a block with room for so many entries; gives where it is now. */
struct window_cell *cell_resize(struct windows *w, struct window_cell *cell, uint32_t room);
struct window_cell *cell_replace(struct windows *w, struct window_cell *cell, uint32_t to, uint32_t class);
struct window_cold *cell_cold_make(struct windows *w, struct window_cell *cell);
void cell_runs_drop(struct windows *w, struct window_cell *cell);
void cell_runs_take(struct windows *w, struct window_cell *cell);
struct window_cell *cell_make_for(struct windows *w, struct window_place *place, uint64_t order);
void cell_used(struct windows *w, struct window_cell *cell, uint64_t order);
void cell_link(struct windows *w, struct window_cell *cell);
void cell_link_customer(struct windows *w, struct window_cell *cell, uint64_t customer);
void cell_list_push(struct windows *w, struct window_cell *cell);
void cell_list_pull(struct windows *w, struct window_cell *cell);

/* window_layout.c */
void entry_encode(const struct window_key *key, const struct window_event *event, struct window_entry *out);
void entry_amend(const struct window_key *key, struct window_entry *e, const struct window_change *change);
uint32_t source_bytes(enum window_source source);
uint32_t source_of(enum agg_function function, uint8_t field, uint8_t type);

/* window_values.c */
enum value_status entry_int(const struct window_slot *s, const struct window_entry *e, int64_t *out);
void run_add(const struct window_slot *s, struct window_run *r, const struct window_entry *e, uint32_t index);
void run_remove(const struct window_slot *s, struct window_run *r, const struct window_entry *e,
		uint32_t index);
/* What is not in the log, and never will be: all of it goes into the fold. */
void fold_add(const struct windows *w, const struct window_slot *s, struct window_cell *cell,
	      const struct window_entry *e);
/* An entry of the log has settled. */
void fold_settle(const struct windows *w, const struct window_slot *s, struct window_cell *cell,
		 const struct window_entry *e);
/* slot.total: an entry comes into the log or out of it. */
void total_change(const struct window_slot *s, struct window_cell *cell, const struct window_entry *e,
		  bool add);
/* slot.total: without the entries of the log from `from` on. */
struct value value_of_total(const struct windows *w, uint32_t slot, const struct window_cell *cell,
			    uint32_t from);
bool fold_valid(const struct windows *w, const struct window_slot *s, const struct window_cell *cell,
		uint64_t order_max);
bool fold_used(const struct window_slot *s, const struct window_cell *cell);
void value_none(const struct windows *w, const struct window_slot *s, enum value_status status,
		struct value *out);
void value_of_nothing(const struct windows *w, const struct window_slot *s, struct value *out);
struct value value_of_sum(uint8_t type, __int128 sum);
struct value value_of_run(const struct window_slot *s, const struct window_cell *cell,
			  const struct window_run *r);
void value_of_last(struct windows *w, const struct window_slot *s, const struct window_cell *cell,
		   const struct window_entry *e, struct value *out);
struct value value_of_last_one(const struct windows *w, const struct window_slot *s,
			       const struct window_cell *cell, const struct window_entry *e);
struct value value_of_distinct(struct windows *w, const struct window_slot *s, uint32_t slot,
			       const struct window_cell *cell, uint32_t from, uint32_t end);

/* windows.c */
bool entry_settled(const struct windows *w, const struct window_entry *e);
int64_t entry_reach(const struct windows *w, uint64_t feeds, int64_t time);
bool cell_holds(const struct windows *w,
		const struct window_cell *cell); /* anything that a value could see */
void cell_runs_make(struct windows *w, struct window_cell *cell);
void cell_trim(struct windows *w, struct window_cell *cell);

/* window_records.c */
void cell_save(const struct windows *w, const struct window_cell *cell, struct records *records);

#endif
