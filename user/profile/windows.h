/*
 * windows: what is remembered per key (one customer, account or card): a log of the events that some
 * aggregate needs, in the order (time, journal), and per aggregate a running value over it. Used by history
 * only.
 *
 * A log entry is there once, with a bit per aggregate that it feeds. For events in order the running values
 * advance over the log; for late ones they are corrected by the entries between. An entry is *settled* when
 * no aggregate can still want it by itself: older than lateness + the longest window that it feeds, and for
 * windows for ever also beyond change by its reference. Settled entries leave the log when room is needed;
 * windows for ever keep them in their running value (count, sum) and fold (min, max, last). When they leave
 * shows in no value.
 *
 * cells.c: the memory of cells. windows.c: what the values are. window_records.c: checkpoints and digest.
 *
 * Life of a cell: 1. made by the first event that feeds an aggregate of its key; 2. grows, shrinks, is
 * written at checkpoints after a change; 3. removed when all of it is settled and nothing lasts, or forgotten
 * with a provisional customer. Engine thread only; nothing is allocated after windows_init.
 */
#ifndef PROFILE_WINDOWS_H
#define PROFILE_WINDOWS_H

#include <base/records.h>
#include <catalogue/catalogue.h>

enum window_entry_flags {
	ENTRY_OUT = 1 << 0,	   /* taken back wholly: counts nowhere, keeps its place */
	ENTRY_REF = 1 << 1,	   /* has a reference: may change while that is remembered */
	ENTRY_BASE_NONE = 1 << 2,  /* no rate */
	ENTRY_BASE_ERROR = 1 << 3, /* its base is beyond int64 */
	ENTRY_FLAGS = 15,
};

struct window_entry {
	int64_t time;
	uint64_t order; /* number of the counted event: the journal's order */
	uint64_t feeds; /* bit per slot */
	int64_t amount, base, balance;
	uint64_t customer;
	uint16_t currency, country, mcc;
	uint8_t touchpoint;
	uint8_t flags;
};
_Static_assert(sizeof(struct window_entry) == 64, "one cache line, and its form on disk");

/* Index + 1 of an entry in the log; 0 = there is none. */
#define MARK_UNKNOWN UINT32_MAX

/* A running value. All zero is the value over nothing. */
struct window_run {
	__int128 sum;	      /* sum, mean; min, max: the value of `mark` */
	uint64_t count : 40;  /* entries; for sum, mean, min, max those whose field has a value */
	uint64_t errors : 24; /* entries whose field is an error */
	uint32_t first;	      /* windows with a length: first entry of the log that is in it */
	uint32_t mark;	      /* min, max: the entry that is it; last: the newest one */
};
_Static_assert(sizeof(struct window_run) == 32, "a unit of a cell's runs");

/* Behind the run of min, max, last for ever: what settled entries gave. */
struct window_fold {
	int64_t value;
	int64_t time;	/* last */
	uint64_t order; /* last */
	uint8_t used;
	uint8_t status; /* of value: enum value_status */
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct window_fold) == 32, "a unit of a cell's runs, and its form on disk");

enum window_cell_flags {
	CELL_LIVE = 1 << 0,
	CELL_DIRTY = 1 << 1, /* in the list of what changed; stays with the place */
	CELL_SAVED = 1 << 2, /* a checkpoint has its key */
	CELL_PROVISIONAL = 1 << 3,
	CELL_KEPT = 1 << 4, /* only windows for ever are left: the sweep passes by */
};

struct window_cell {
	struct key128 key;
	struct window_entry *log; /* room entries; the first is log[head] */
	struct window_run *runs;  /* units of 32 bytes; a slot's place is slot.at */
	uint32_t head, count, room;
	uint16_t units;
	uint8_t per;   /* enum agg_per */
	uint8_t flags; /* enum window_cell_flags */
	int64_t at;    /* the largest time of an entry or that running values were advanced to */
	int64_t reach; /* all entries are out of every window when the horizon gets here */
	/* second line: rarely used */
	int64_t lost, lost_time; /* pushed out by WINDOW_LOG_EVENTS_MAX while wanted: their reach, newest
				    time; INT64_MIN */
	int64_t settles;	 /* a full log: before the horizon gets here ... */
	uint64_t settles_order;	 /* ... or windows.settled beyond this, looking for settled entries is in vain
				  */
	uint64_t broken;	 /* bits of slots for ever that lack a change of a lost entry */
	int64_t touched;	 /* provisional: now of its latest event */
	uint32_t older,
		newer; /* provisional: neighbours by `touched`, index + 1; free: older = the next free one */
	uint64_t reserved;
};
_Static_assert(sizeof(struct window_cell) == 128, "two cache lines");

/* An aggregate's place, by identity: it stays the same while catalogues come and go. */
struct window_slot {
	struct hash128 identity;
	int64_t within;	   /* 0 = for ever */
	int64_t activated; /* INT64_MIN: the past was empty */
	uint16_t at;	   /* unit in window_cell.runs */
	uint8_t function, field, per, used;
	uint8_t type; /* enum value_type of the result; of the catalogue in force */
	uint8_t reserved;
};
_Static_assert(sizeof(struct window_slot) == 40, "its form on disk");

enum { WINDOWS_SEEN = 256, WINDOWS_PREFETCH_STEPS = 3 };

struct window_gone {
	struct key128 key;
	uint64_t per;
};

struct windows {
	struct slab slab; /* logs and runs */
	uint64_t blocks_free[SLAB_CLASSES];
	uint64_t logs[SLAB_CLASSES]; /* cells by the class of their log */
	struct table table;
	struct window_cell
		*seen[WINDOWS_SEEN]; /* by a mix of the key: cells found lately, a shortcut past the table */
	struct region region;	     /* the arrays below */
	struct window_cell *cells;
	uint32_t cells_used, cells_max, cell_free; /* ever used; index + 1 of a free one */
	uint32_t *dirty, dirty_count;
	struct window_gone *gone;
	uint32_t gone_count;
	uint32_t *moved;	 /* scratch: where an entry is after a cut */
	uint32_t oldest, newest; /* provisional cells by `touched`, index + 1 */
	uint32_t hand;		 /* of the sweep */

	struct window_slot slots[AGGREGATES_MAX];
	uint64_t per_slots[PER_COUNT], lasting; /* bits of slots in use; of those for ever */
	uint16_t units[PER_COUNT];		/* a cell's runs at most */
	int64_t activated_max;

	/* The clock, set by history before each event. */
	int64_t now, lateness;
	uint64_t settled; /* entries with a reference and a smaller order cannot change any more */
	uint64_t entries, provisional_forgotten;
};

/* Memory */
__attribute__((warn_unused_result)) int windows_init(struct windows *w, uint64_t bytes_max,
						     uint64_t cells_max);
void windows_deinit(struct windows *w);
/* Room for `events` more, whatever they are? */
bool windows_has_room(const struct windows *w, uint32_t events);

/* Slots: after a change of slots[] the derived fields; after removing some, their traces in all cells. */
void windows_slots_derive(struct windows *w);
void windows_slots_clear(struct windows *w, uint64_t gone);

/* One event. Cells are lent until the next make, sweep or forget. */
struct window_cell *windows_find(struct windows *w, enum agg_per per, struct key128 key);
struct window_cell *windows_make(struct windows *w, enum agg_per per, struct key128 key);
/* Step 0: finds the cell and asks for it; 1: its runs and the end of its log; 2: what may leave its windows.
 */
void windows_prefetch(struct windows *w, enum agg_per per, struct key128 key, uint32_t step);
/* The value of a slot as of time t >= now - lateness, over what has been entered. cell NULL: no such key. */
struct value windows_read(const struct windows *w, struct window_cell *cell, uint32_t slot, int64_t t,
			  uint32_t *full);
/* Adds an entry, the newest by order, behind those of its time. Bits that no window can still want are
 * dropped. */
void windows_enter(struct windows *w, struct window_cell *cell, const struct window_entry *entry);

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

/* A provisional customer had an event, or has a record now. */
void windows_touch(struct windows *w, struct window_cell *cell, bool provisional);
/* Forgets provisional cells without an event for `idle_ns`. */
void windows_forget(struct windows *w, int64_t idle_ns);
/* Looks at one cell, the next, and gives back what is settled. */
void windows_sweep(struct windows *w);

/* Records. windows_load needs slots[] and the clock; `order_max` is the largest order that can be. */
void windows_checkpoint(struct windows *w, struct records *records);
void windows_checkpointed(struct windows *w); /* the records fitted: nothing is changed any more */
bool windows_load(struct windows *w, const void *key, uint32_t key_bytes, const void *value,
		  uint32_t value_bytes, uint64_t order_max);
bool windows_loaded(struct windows *w);
struct hash128 windows_digest(const struct windows *w);

/* Shared by the three files only. The horizon: no event before it is given a value. */
static inline int64_t time_add(int64_t time, int64_t ns)
{
	int64_t sum;
	return __builtin_add_overflow(time, ns, &sum) ? INT64_MAX : sum;
}
static inline uint32_t bit_first(uint64_t bits)
{
	return (uint32_t)__builtin_ctzll(bits);
}
static inline int64_t windows_horizon(const struct windows *w)
{
	return w->now - w->lateness;
}
static inline struct window_entry *cell_entries(const struct window_cell *cell)
{
	return cell->log + cell->head;
}
static inline bool slot_has_fold(const struct window_slot *s)
{
	return s->within == 0 &&
	       (s->function == AGG_MIN || s->function == AGG_MAX || s->function == AGG_LAST);
}
/* The slot's run, NULL when the cell has none so far: the value over nothing. */
static inline struct window_run *cell_run(const struct window_cell *cell, const struct window_slot *s)
{
	return s->at + 1u + slot_has_fold(s) <= cell->units ? cell->runs + s->at : NULL;
}
static inline struct window_fold *run_fold(struct window_run *run)
{
	return (struct window_fold *)(run + 1);
}
struct window_run *cell_run_make(struct windows *w, struct window_cell *cell, const struct window_slot *s);
void cell_log_reserve(struct windows *w, struct window_cell *cell, uint32_t room);
void cell_changed(struct windows *w, struct window_cell *cell);
void cell_remove(struct windows *w, struct window_cell *cell);
void cell_log_release(struct windows *w, struct window_cell *cell);
void cell_list_push(struct windows *w, struct window_cell *cell);
void cell_list_pull(struct windows *w, struct window_cell *cell);
bool entry_settled(const struct windows *w, const struct window_entry *e);
int64_t entry_reach(const struct windows *w, uint64_t feeds, int64_t time);
void run_add(const struct window_slot *s, struct window_run *r, const struct window_entry *e, uint32_t index);
void fold_add(const struct window_slot *s, struct window_fold *f, const struct window_entry *e);
bool cell_holds(const struct windows *w,
		const struct window_cell *cell); /* anything that a value could see */

#endif
