/*
 * windows.c: what aggregates are worth. An entry comes in, changes or is settled; a slot is read as of a
 * time.
 *
 * The running value of a slot covers the log from `first` on (for ever: everything). A read at a time that is
 * no smaller than any before advances it; an earlier one takes the running value and corrects it by the
 * entries between, or scans (min, max, last). Indices count from the first entry of the log; whoever moves
 * entries repairs `first` and `mark` of all runs of the cell. Entries and cells belong to struct windows;
 * nothing is allocated but blocks of the slab. What cannot be known (too young, too many entries) is no data,
 * never a wrong number.
 */
#include "windows.h"

#include <assert.h>
#include <string.h>

enum { SWEEP_AHEAD = 4, RUN_ERRORS_MAX = (1 << 24) - 1 };
enum { LOG_KEEP_QUARTERS = 3 }; /* a cut that leaves more of a log than this is followed by a larger block */

/* What an entry says in one field. */
static enum value_status entry_field(const struct window_entry *e, uint32_t field, int64_t *out)
{
	switch (field) {
	case AGGF_AMOUNT:
		*out = e->amount;
		return VALUE_OK;
	case AGGF_BASE:
		*out = e->base;
		return e->flags & ENTRY_BASE_ERROR  ? VALUE_ERROR
		       : e->flags & ENTRY_BASE_NONE ? VALUE_NO_DATA
						    : VALUE_OK;
	case AGGF_BALANCE:
		*out = e->balance;
		return e->balance == FRAME_BALANCE_NO_DATA ? VALUE_NO_DATA : VALUE_OK;
	case AGGF_TIME:
		*out = e->time;
		return VALUE_OK;
	case AGGF_COUNTRY:
		*out = e->country;
		return e->country ? VALUE_OK : VALUE_NO_DATA;
	case AGGF_MCC:
		*out = e->mcc;
		return e->mcc ? VALUE_OK : VALUE_NO_DATA;
	case AGGF_CURRENCY:
		*out = e->currency;
		return VALUE_OK;
	case AGGF_TOUCHPOINT:
		*out = e->touchpoint;
		return e->touchpoint ? VALUE_OK : VALUE_NO_DATA;
	case AGGF_CUSTOMER:
		*out = (int64_t)e->customer;
		return VALUE_OK;
	default:
		assert(field == AGGF_AMOUNT); /* no such field */
		return VALUE_ERROR;
	}
}

static bool entry_counts(const struct window_entry *e, uint32_t slot)
{
	return (e->feeds >> slot & 1) && !(e->flags & ENTRY_OUT);
}

static bool better(const struct window_slot *s, int64_t a, int64_t b)
{
	return s->function == AGG_MIN ? a < b : a > b;
}

/* The last moment of the horizon at which some aggregate of `feeds` may want an entry of `time`. */
int64_t entry_reach(const struct windows *w, uint64_t feeds, int64_t time)
{
	int64_t within = 0;

	for (uint64_t left = feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		within = s->within > within ? s->within : within;
	}
	return time_add(time, within);
}

bool entry_settled(const struct windows *w, const struct window_entry *e)
{
	if (e->time > windows_horizon(w) || entry_reach(w, e->feeds, e->time) > windows_horizon(w))
		return e->feeds == 0;
	return !(e->feeds & w->lasting) || !(e->flags & ENTRY_REF) || e->order < w->settled;
}

/* ---- running values ---- */

static void extreme_add(const struct window_slot *s, struct window_run *r, int64_t v, uint32_t index)
{
	if (r->mark == MARK_UNKNOWN)
		return;
	if (r->mark == 0 || better(s, v, (int64_t)r->sum) || (v == (int64_t)r->sum && index + 1 > r->mark)) {
		r->sum = v;
		r->mark = index + 1;
	}
}

void run_add(const struct window_slot *s, struct window_run *r, const struct window_entry *e, uint32_t index)
{
	int64_t v;

	if (s->function == AGG_COUNT_OF) {
		r->count++;
		return;
	}
	if (s->function == AGG_LAST) {
		if (r->mark != MARK_UNKNOWN && r->mark < index + 1)
			r->mark = index + 1;
		return;
	}
	enum value_status status = entry_field(e, s->field, &v);
	if (status == VALUE_NO_DATA)
		return;
	if (status == VALUE_ERROR) {
		if (r->errors < RUN_ERRORS_MAX)
			r->errors++;
		return;
	}
	r->count++;
	if (s->function == AGG_SUM || s->function == AGG_MEAN)
		r->sum += v;
	else
		extreme_add(s, r, v, index);
}

static void run_remove(const struct window_slot *s, struct window_run *r, const struct window_entry *e,
		       uint32_t index)
{
	int64_t v = 0;

	if (s->function == AGG_LAST || s->function == AGG_MIN || s->function == AGG_MAX)
		r->mark = r->mark == index + 1 ? MARK_UNKNOWN : r->mark;
	if (s->function == AGG_LAST)
		return;
	enum value_status status = s->function == AGG_COUNT_OF ? VALUE_OK : entry_field(e, s->field, &v);
	if (status == VALUE_NO_DATA)
		return;
	if (status == VALUE_ERROR) {
		if (r->errors < RUN_ERRORS_MAX) /* so many that it stays an error */
			r->errors--;
		return;
	}
	r->count--;
	if (s->function == AGG_SUM || s->function == AGG_MEAN)
		r->sum -= v;
}

/* What a settled entry leaves behind in min, max, last for ever. */
void fold_add(const struct window_slot *s, struct window_fold *f, const struct window_entry *e)
{
	int64_t v;
	enum value_status status = entry_field(e, s->field, &v);

	if (s->function == AGG_LAST) {
		if (f->used && (f->time > e->time || (f->time == e->time && f->order > e->order)))
			return;
		*f = (struct window_fold){
			.used = 1, .time = e->time, .order = e->order, .status = (uint8_t)status
		};
		f->value = status == VALUE_OK ? v : 0;
	} else if (status == VALUE_OK && (!f->used || better(s, v, f->value))) {
		*f = (struct window_fold){ .used = 1, .value = v };
	}
}

static void run_advance(const struct window_cell *cell, const struct window_slot *s, uint32_t slot,
			struct window_run *r, int64_t edge)
{
	const struct window_entry *log = cell_entries(cell);

	for (; r->first < cell->count && log[r->first].time <= edge; r->first++)
		if (entry_counts(&log[r->first], slot))
			run_remove(s, r, &log[r->first], r->first);
}

/* Finds min or max, or the newest entry, of log[first, end) anew, the newest among equals. Index + 1, 0 =
 * none. */
static uint32_t log_scan(const struct window_cell *cell, const struct window_slot *s, uint32_t slot,
			 uint32_t first, uint32_t end, int64_t *value)
{
	const struct window_entry *log = cell_entries(cell);
	uint32_t mark = 0;

	for (uint32_t i = end; i-- > first;) {
		int64_t v;
		if (!entry_counts(&log[i], slot))
			continue;
		if (s->function == AGG_LAST)
			return i + 1;
		if (entry_field(&log[i], s->field, &v) == VALUE_OK && (mark == 0 || better(s, v, *value))) {
			*value = v;
			mark = i + 1;
		}
	}
	return mark;
}

/* ---- reading ---- */

static struct value value_of(const struct window_slot *s, enum value_status status, int64_t v)
{
	struct value value = { .type = s->type, .status = (uint8_t)status };

	if (status == VALUE_ERROR)
		value.bytes = VALUE_ERROR_RANGE;
	else if (status == VALUE_OK)
		value.i = v;
	return value;
}

static struct value value_of_nothing(const struct window_slot *s)
{
	bool zero = s->function == AGG_COUNT_OF || s->function == AGG_SUM;

	return value_of(s, zero ? VALUE_OK : VALUE_NO_DATA, 0);
}

static struct value value_of_sum(const struct window_slot *s, const struct window_run *r)
{
	struct value value = value_of(s, VALUE_OK, (int64_t)r->count);

	if (r->errors)
		return value_of(s, VALUE_ERROR, 0);
	if (s->function == AGG_MEAN) {
		if (r->count == 0)
			return value_of_nothing(s);
		value.d = (double)r->sum / (double)r->count;
	} else if (s->function == AGG_SUM) {
		if (r->sum > INT64_MAX || r->sum < INT64_MIN)
			return (struct value){ .type = s->type,
					       .status = VALUE_ERROR,
					       .bytes = VALUE_ERROR_OVERFLOW };
		value.i = (int64_t)r->sum;
	}
	return value;
}

/* The better of what the log has (mark, v) and what was settled. */
static struct value value_of_mark(const struct window_slot *s, const struct window_cell *cell,
				  struct window_run *r, uint32_t mark, int64_t v)
{
	const struct window_fold *f = slot_has_fold(s) ? run_fold(r) : NULL;
	const struct window_entry *e = mark ? &cell_entries(cell)[mark - 1] : NULL;
	bool folded = f && f->used;

	if (s->function != AGG_LAST) {
		if (folded && (!e || better(s, f->value, v)))
			return value_of(s, VALUE_OK, f->value);
		return e ? value_of(s, VALUE_OK, v) : value_of_nothing(s);
	}
	if (folded && (!e || f->time > e->time || (f->time == e->time && f->order > e->order)))
		return value_of(s, (enum value_status)f->status, f->value);
	if (!e)
		return value_of_nothing(s);
	enum value_status status = entry_field(e, s->field, &v);
	return value_of(s, status, v);
}

/* No entry is newer than t, and no read was: the running value advances. */
static struct value read_newest(struct window_cell *cell, const struct window_slot *s, uint32_t slot,
				struct window_run *r, int64_t t)
{
	int64_t v = 0;

	cell->at = t;
	if (s->within && s->function != AGG_LAST)
		run_advance(cell, s, slot, r, t - s->within);
	if (s->function == AGG_COUNT_OF || s->function == AGG_SUM || s->function == AGG_MEAN)
		return value_of_sum(s, r);
	if (r->errors)
		return value_of(s, VALUE_ERROR, 0);
	if (r->mark == MARK_UNKNOWN) {
		r->mark = log_scan(cell, s, slot, r->first, cell->count, &v);
		r->sum = v;
	}
	uint32_t mark = r->mark;
	if (s->function == AGG_LAST && s->within && mark &&
	    cell_entries(cell)[mark - 1].time <= t - s->within)
		mark = 0;
	return value_of_mark(s, cell, r, mark, (int64_t)r->sum);
}

/* How many entries have (time, order) up to these. */
static uint32_t log_up_to(const struct window_cell *cell, int64_t time, uint64_t order)
{
	const struct window_entry *log = cell_entries(cell);
	uint32_t low = 0, high = cell->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (log[mid].time < time || (log[mid].time == time && log[mid].order <= order))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void run_add_span(const struct window_cell *cell, const struct window_slot *s, uint32_t slot,
			 struct window_run *r, uint32_t from, uint32_t end, bool add)
{
	const struct window_entry *log = cell_entries(cell);

	for (uint32_t i = from; i < end; i++) {
		if (!entry_counts(&log[i], slot))
			continue;
		if (add)
			run_add(s, r, &log[i], i);
		else
			run_remove(s, r, &log[i], i);
	}
}

/* As of a time that lies before what the cell has seen. The running value stays as it is. */
static struct value read_late(const struct window_cell *cell, const struct window_slot *s, uint32_t slot,
			      struct window_run *r, int64_t t)
{
	uint32_t end = log_up_to(cell, t, UINT64_MAX);
	uint32_t from = s->within ? log_up_to(cell, t - s->within, UINT64_MAX) : 0;
	struct window_run at_t = *r;
	int64_t v = 0;

	if (s->within && end <= r->first) {
		at_t = (struct window_run){ 0 };
		run_add_span(cell, s, slot, &at_t, from, end, true);
	} else if (s->function != AGG_LAST) {
		run_add_span(cell, s, slot, &at_t, end, cell->count, false);
		if (from < r->first)
			run_add_span(cell, s, slot, &at_t, from, r->first, true);
		else if (s->within)
			run_add_span(cell, s, slot, &at_t, r->first, from, false);
	}
	if (s->function == AGG_COUNT_OF || s->function == AGG_SUM || s->function == AGG_MEAN)
		return value_of_sum(s, &at_t);
	if (at_t.errors)
		return value_of(s, VALUE_ERROR, 0);
	uint32_t mark = log_scan(cell, s, slot, from, end, &v);
	return value_of_mark(s, cell, r, mark, v);
}

struct value windows_read(const struct windows *w, struct window_cell *cell, uint32_t slot, int64_t t,
			  uint32_t *full)
{
	const struct window_slot *s = &w->slots[slot];

	assert(s->used && t >= windows_horizon(w));
	if (s->within && t - s->within < s->activated)
		return value_of(s, VALUE_NO_DATA, 0);
	if (!cell)
		return value_of_nothing(s);
	if (cell->lost > windows_horizon(w) || (cell->broken >> slot & 1)) {
		++*full;
		return value_of(s, VALUE_NO_DATA, 0);
	}
	struct window_run *r = cell_run(cell, s);
	if (!r)
		return value_of_nothing(s);
	return t >= cell->at ? read_newest(cell, s, slot, r, t) : read_late(cell, s, slot, r, t);
}

/* ---- settling ---- */

/* Takes entry i out of the windows with a length that still have it; for ever it stays in. */
static void entry_settle(struct windows *w, struct window_cell *cell, uint32_t i)
{
	const struct window_entry *e = &cell_entries(cell)[i];

	if (e->flags & ENTRY_OUT)
		return;
	for (uint64_t left = e->feeds; left; left &= left - 1) {
		uint32_t slot = bit_first(left);
		const struct window_slot *s = &w->slots[slot];
		struct window_run *r = cell_run(cell, s);
		assert(r);
		if (slot_has_fold(s))
			fold_add(s, run_fold(r), e);
		if (s->within && s->function != AGG_LAST && i >= r->first)
			run_remove(s, r, e, i);
	}
}

/* After a cut: moved[i] = where entry i is now, or the next one that was kept. */
static void run_repair(struct window_run *r, const uint32_t *moved)
{
	r->first = moved[r->first];
	if (r->mark == 0 || r->mark == MARK_UNKNOWN)
		return;
	bool kept = moved[r->mark] != moved[r->mark - 1];
	r->mark = kept ? moved[r->mark] : MARK_UNKNOWN;
}

/* Everything settled leaves the log. */
static void cell_cut(struct windows *w, struct window_cell *cell)
{
	struct window_entry *log = cell_entries(cell);
	uint32_t kept = 0;

	cell->settles = INT64_MAX;
	cell->settles_order = UINT64_MAX;
	for (uint32_t i = 0; i < cell->count; i++) {
		w->moved[i] = kept;
		if (entry_settled(w, &log[i])) {
			entry_settle(w, cell, i);
			continue;
		}
		int64_t reach = entry_reach(w, log[i].feeds, log[i].time);
		if (reach > windows_horizon(w))
			cell->settles = reach < cell->settles ? reach : cell->settles;
		else
			cell->settles_order =
				log[i].order < cell->settles_order ? log[i].order : cell->settles_order;
		if (kept != i)
			log[kept] = log[i];
		kept++;
	}
	w->moved[cell->count] = kept;
	if (kept == cell->count)
		return;
	for (uint64_t left = w->per_slots[cell->per]; left; left &= left - 1) {
		struct window_run *r = cell_run(cell, &w->slots[bit_first(left)]);
		if (r)
			run_repair(r, w->moved);
	}
	w->entries -= cell->count - kept;
	cell->count = kept;
}

/* The oldest entry leaves the log. */
static void cell_drop_first(struct windows *w, struct window_cell *cell)
{
	entry_settle(w, cell, 0);
	for (uint64_t left = w->per_slots[cell->per]; left; left &= left - 1) {
		struct window_run *r = cell_run(cell, &w->slots[bit_first(left)]);
		if (!r)
			continue;
		r->first -= r->first > 0;
		if (r->mark == 1)
			r->mark = MARK_UNKNOWN;
		else if (r->mark != 0 && r->mark != MARK_UNKNOWN)
			r->mark--;
	}
	cell->head++;
	cell->count--;
	w->entries--;
}

/* Windows for ever take what cannot change, or what there is no room for, into their values at once. */
static void feeds_fold(struct windows *w, struct window_cell *cell, const struct window_entry *e,
		       uint64_t feeds)
{
	for (uint64_t left = feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = cell_run_make(w, cell, s);
		struct window_run added = *r;
		run_add(s, &added, e, 0);
		r->count = added.count;
		r->errors = added.errors;
		if (slot_has_fold(s))
			fold_add(s, run_fold(r), e);
		else
			r->sum = added.sum;
	}
}

static void entry_lose(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	int64_t reach = entry_reach(w, e->feeds, e->time);

	cell->lost = reach > cell->lost ? reach : cell->lost;
	if ((e->feeds & w->lasting) && (e->flags & ENTRY_REF))
		cell->lost_time = e->time > cell->lost_time ? e->time : cell->lost_time;
}

/* A log at its limit makes room: first of what is settled, else it loses its oldest. False: that is `e`
 * itself. */
static bool cell_make_room(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	while (cell->count && entry_settled(w, cell_entries(cell)))
		cell_drop_first(w, cell);
	if (cell->count == WINDOW_LOG_EVENTS_MAX &&
	    (windows_horizon(w) >= cell->settles || w->settled > cell->settles_order))
		cell_cut(w, cell);
	if (cell->count < WINDOW_LOG_EVENTS_MAX)
		return true;
	const struct window_entry *oldest = cell_entries(cell);
	if (e->time < oldest->time) {
		entry_lose(w, cell, e);
		feeds_fold(w, cell, e, e->feeds & w->lasting);
		return false;
	}
	entry_lose(w, cell, oldest);
	cell_drop_first(w, cell);
	return true;
}

/* ---- entering ---- */

/* One more place behind the last entry. */
static void log_make_place(struct windows *w, struct window_cell *cell)
{
	if (cell->head + cell->count < cell->room)
		return;
	if (cell->head) {
		memmove(cell->log, cell_entries(cell), cell->count * sizeof *cell->log);
		cell->head = 0;
		return;
	}
	if (cell->count)
		cell_cut(w, cell);
	if (cell->count * 4 >= cell->room * LOG_KEEP_QUARTERS)
		cell_log_reserve(w, cell, cell->room * 2);
}

static uint32_t log_insert(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	uint32_t at = e->time >= cell->at ? cell->count : log_up_to(cell, e->time, UINT64_MAX);
	struct window_entry *log = cell_entries(cell);

	if (at < cell->count) {
		memmove(log + at + 1, log + at, (cell->count - at) * sizeof *log);
		for (uint64_t left = w->per_slots[cell->per]; left; left &= left - 1) {
			struct window_run *r = cell_run(cell, &w->slots[bit_first(left)]);
			if (!r)
				continue;
			r->first += r->first > at;
			if (r->mark != MARK_UNKNOWN)
				r->mark += r->mark > at;
		}
	}
	log[at] = *e;
	cell->count++;
	w->entries++;
	if (e->time > cell->at)
		cell->at = e->time;
	return at;
}

/* The bits of a late entry that somebody may still want. */
static uint64_t feeds_late(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	uint64_t wanted = 0, settled = 0;

	for (uint64_t left = e->feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		uint64_t bit = left & -left;
		if (time_add(e->time, s->within) > windows_horizon(w) ||
		    (s->within == 0 && (e->flags & ENTRY_REF)))
			wanted |= bit;
		else if (s->within == 0)
			settled |= bit;
	}
	feeds_fold(w, cell, e, settled);
	return wanted;
}

void windows_enter(struct windows *w, struct window_cell *cell, const struct window_entry *entry)
{
	struct window_entry e = *entry;

	cell_changed(w, cell);
	cell->flags &= (uint8_t)~CELL_KEPT;
	if (e.time <= windows_horizon(w))
		e.feeds = feeds_late(w, cell, &e);
	if (e.feeds == 0)
		return;
	if (cell->count == WINDOW_LOG_EVENTS_MAX && !cell_make_room(w, cell, &e))
		return;
	log_make_place(w, cell);
	uint32_t at = log_insert(w, cell, &e);
	int64_t within = 0;
	for (uint64_t left = e.feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = cell_run_make(w, cell, s);
		within = s->within > within ? s->within : within;
		if (at >= r->first)
			run_add(s, r, &e, at);
	}
	int64_t reach = time_add(e.time, within);
	cell->reach = reach > cell->reach ? reach : cell->reach;
}

/* The entry of this time and order; NULL when it is settled, or lost. */
static struct window_entry *entry_find(const struct window_cell *cell, int64_t time, uint64_t order)
{
	uint32_t end = log_up_to(cell, time, order);

	if (end == 0)
		return NULL;
	struct window_entry *e = &cell_entries(cell)[end - 1];
	return e->time == time && e->order == order ? e : NULL;
}

void windows_amend(struct windows *w, struct window_cell *cell, const struct window_change *change)
{
	struct window_entry *e = entry_find(cell, change->time, change->order);

	cell_changed(w, cell);
	if (!e) {
		if (change->time <= cell->lost_time)
			cell->broken |= w->lasting & w->per_slots[cell->per];
		return;
	}
	struct window_entry then = *e;
	uint32_t at = (uint32_t)(e - cell_entries(cell));
	e->amount = change->amount;
	e->base = change->base;
	e->currency = change->currency;
	e->balance = change->balance_given ? change->balance : e->balance;
	e->flags = (uint8_t)((e->flags & ENTRY_REF) | change->flags);
	for (uint64_t left = e->feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = cell_run(cell, s);
		assert(r);
		if (at < r->first)
			continue;
		if (!(then.flags & ENTRY_OUT))
			run_remove(s, r, &then, at);
		if (!(e->flags & ENTRY_OUT))
			run_add(s, r, e, at);
	}
}

/* ---- cells as a whole ---- */

static bool slot_holds(const struct window_cell *cell, const struct window_slot *s)
{
	struct window_run *r = cell_run(cell, s);

	return r && (r->count || r->errors || (slot_has_fold(s) && run_fold(r)->used));
}

/* Does a window for ever have something? */
static bool cell_lasts(const struct windows *w, const struct window_cell *cell)
{
	for (uint64_t left = w->lasting & w->per_slots[cell->per]; left; left &= left - 1)
		if (slot_holds(cell, &w->slots[bit_first(left)]))
			return true;
	return cell->broken != 0;
}

bool cell_holds(const struct windows *w, const struct window_cell *cell)
{
	if (cell->lost > windows_horizon(w) || cell_lasts(w, cell))
		return true;
	for (uint32_t i = 0; i < cell->count; i++)
		if (!entry_settled(w, &cell_entries(cell)[i]))
			return true;
	return false;
}

/* When nothing of a cell is left its memory goes back. */
static void cell_trim(struct windows *w, struct window_cell *cell)
{
	cell_cut(w, cell);
	if (cell->count)
		return;
	cell_log_release(w, cell);
	cell->reach = INT64_MIN;
	if (cell_lasts(w, cell))
		cell->flags |= CELL_KEPT;
	else if (!cell_holds(w, cell))
		cell_remove(w, cell);
}

void windows_sweep(struct windows *w)
{
	if (w->hand >= w->cells_used)
		w->hand = 0;
	struct window_cell *cell = &w->cells[w->hand++];
	__builtin_prefetch(cell + SWEEP_AHEAD);
	if ((cell->flags & (CELL_LIVE | CELL_KEPT)) == CELL_LIVE && cell->reach <= windows_horizon(w))
		cell_trim(w, cell);
}

static bool cell_clear(struct windows *w, struct window_cell *cell, uint64_t gone)
{
	uint64_t had = cell->broken & gone;

	cell->flags &= (uint8_t)~CELL_KEPT;
	cell->broken &= ~gone;
	for (uint32_t i = 0; i < cell->count; i++) {
		had |= cell_entries(cell)[i].feeds & gone;
		cell_entries(cell)[i].feeds &= ~gone;
	}
	for (uint64_t left = gone & w->per_slots[cell->per]; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = cell_run(cell, s);
		if (!r)
			continue;
		had |= slot_holds(cell, s);
		memset(r, 0, sizeof *r * (1u + slot_has_fold(s)));
	}
	return had != 0;
}

/* Before slots[] loses them: no cell shall keep a bit that could soon mean another aggregate. */
void windows_slots_clear(struct windows *w, uint64_t gone)
{
	for (uint32_t i = 0; gone && i < w->cells_used; i++) {
		struct window_cell *cell = &w->cells[i];
		if (!(cell->flags & CELL_LIVE) || !cell_clear(w, cell, gone))
			continue;
		cell_changed(w, cell);
		cell_trim(w, cell);
	}
}

void windows_slots_derive(struct windows *w)
{
	memset(w->per_slots, 0, sizeof w->per_slots);
	memset(w->units, 0, sizeof w->units);
	w->lasting = 0;
	w->activated_max = INT64_MIN;
	for (uint32_t i = 0; i < AGGREGATES_MAX; i++) {
		const struct window_slot *s = &w->slots[i];
		if (!s->used)
			continue;
		uint16_t end = (uint16_t)(s->at + 1 + slot_has_fold(s));
		w->per_slots[s->per] |= UINT64_C(1) << i;
		w->lasting |= s->within == 0 ? UINT64_C(1) << i : 0;
		w->units[s->per] = end > w->units[s->per] ? end : w->units[s->per];
		w->activated_max = s->activated > w->activated_max ? s->activated : w->activated_max;
	}
}
