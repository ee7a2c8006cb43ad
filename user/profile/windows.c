/*
 * windows.c: what aggregates are worth. An entry comes in, changes or is settled; a slot is read as of a
 * time.
 *
 * A log of up to RUNS_FROM entries is read by scanning it. A longer one has a running value per slot, which
 * covers the log from `first` on (for ever: all of it): a read at a time that is no smaller than any before
 * advances it; an earlier one takes the running value and corrects it by the entries between, or scans (min,
 * max, last; distinct always scans). What settled before is in the fold of a window for ever and is added
 * when read. Indices count from the first entry of the log; whoever moves entries repairs `first` and `mark`
 * of all runs of the cell. Entries and cells belong to struct windows; nothing is allocated but blocks of the
 * pool. What cannot be known (too young, too many entries, a key that was evicted) is no data, never a wrong
 * number.
 */
#include "windows.h"

#include <assert.h>
#include <string.h>

enum { RUNS_FROM = 16, RUNS_TO = 8 };
enum { LOG_ROOM_FULL = WINDOW_LOG_EVENTS_MAX + WINDOW_LOG_EVENTS_MAX / 4 }; /* a full log moves seldom */
enum { LOG_KEEP_QUARTERS = 3 }; /* a cut that leaves more of a log than this is followed by a larger block */

/* The last moment of the horizon at which some aggregate of `feeds` may want an entry of `time`. */
int64_t entry_reach(const struct windows *w, uint64_t feeds, int64_t time)
{
	int64_t span = 0;

	for (uint64_t left = feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		span = s->span > span ? s->span : span;
	}
	return time_add(time, span);
}

bool entry_settled(const struct windows *w, const struct window_entry *e)
{
	if (e->time > windows_horizon(w) || entry_reach(w, e->feeds, e->time) > windows_horizon(w))
		return e->feeds == 0;
	if (!(e->feeds & w->lasting))
		return true;
	return e->time < windows_horizon(w) && (!(e->mark & ENTRY_REF) || entry_order(e) < w->settled);
}

static const struct window_key *key_of(const struct windows *w, const struct window_cell *cell)
{
	return &w->keys[cell->per];
}

static struct window_run *slot_run(const struct windows *w, const struct window_cell *cell,
				   const struct window_slot *s)
{
	return cell->runs && s->run != RUN_NONE ? &cell_runs(w, cell)->run[s->run] : NULL;
}

static bool entry_up_to(const struct window_entry *e, int64_t time, uint64_t order)
{
	return e->time < time || (e->time == time && entry_order(e) <= order);
}

/* How many entries have (time, order) up to these: mostly all of them. */
static uint32_t log_up_to(const struct windows *w, const struct window_cell *cell, int64_t time,
			  uint64_t order)
{
	const struct window_key *k = key_of(w, cell);
	uint32_t low = 0, high = cell->count;

	if (high && entry_up_to(cell_entry(k, cell, high - 1), time, order))
		return high;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (entry_up_to(cell_entry(k, cell, mid), time, order))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- reading ---- */

static void run_add_span(const struct windows *w, const struct window_cell *cell, uint32_t slot,
			 struct window_run *r, uint32_t from, uint32_t end, bool add)
{
	const struct window_key *k = key_of(w, cell);
	const struct window_slot *s = &w->slots[slot];

	for (uint32_t i = from; i < end; i++) {
		const struct window_entry *e = cell_entry(k, cell, i);
		if (!entry_counts(e, slot))
			continue;
		if (add)
			run_add(s, r, e, i);
		else
			run_remove(s, r, e, i);
	}
}

/* Index + 1 of the newest entry of log[from, end) that counts; 0: none. */
static uint32_t log_last(const struct windows *w, const struct window_cell *cell, uint32_t slot,
			 uint32_t from, uint32_t end)
{
	const struct window_key *k = key_of(w, cell);

	while (end > from && !entry_counts(cell_entry(k, cell, end - 1), slot))
		end--;
	return end > from ? end : 0;
}

static void read_last(struct windows *w, const struct window_cell *cell, uint32_t slot, uint32_t mark,
		      struct value *out)
{
	const struct window_entry *e = mark ? cell_entry(key_of(w, cell), cell, mark - 1) : NULL;

	value_of_last(w, &w->slots[slot], cell, e, out);
}

/* Finds min or max of log[first, end) anew, the newest among equals. */
static void extreme_scan(const struct windows *w, const struct window_cell *cell, uint32_t slot,
			 uint32_t from, uint32_t end, struct window_run *r)
{
	struct window_run found = { 0 };

	run_add_span(w, cell, slot, &found, from, end, true);
	r->mark = found.mark;
	r->sum = found.sum;
}

/* A log as of a time: the first `end` entries are not newer. */
struct view {
	struct window_cell *cell;
	const char *entries, *stop; /* the first entry, and behind the last that is not newer */
	uint64_t bytes;		    /* of an entry */
	uint32_t end;
};

static struct view view_of(const struct windows *w, struct window_cell *cell, int64_t t)
{
	const struct window_key *k = key_of(w, cell);
	struct view v = { .cell = cell, .bytes = k->entry_bytes, .end = cell->count };

	v.entries = (const char *)cell_entry(k, cell, 0);
	v.stop = v.entries + v.end * v.bytes;
	if (v.end && ((const struct window_entry *)(v.stop - v.bytes))->time > t) {
		v.end = log_up_to(w, cell, t, UINT64_MAX);
		v.stop = v.entries + v.end * v.bytes;
	}
	return v;
}

static struct value value_of_int(uint8_t type, int64_t i)
{
	return (struct value){ .type = type, .i = i };
}

static int64_t count_scan(uint32_t slot, const struct view *v, int64_t edge)
{
	const uint64_t bytes = v->bytes;
	const char *entries = v->entries;
	int64_t n = 0;

	for (const char *at = v->stop; at > entries;) {
		at -= bytes;
		const struct window_entry *e = (const struct window_entry *)at;
		if (e->time <= edge)
			break;
		n += entry_counts(e, slot);
	}
	return n;
}

/* A sum of a field that every entry has. */
static __int128 sum_scan(uint32_t slot, uint32_t column, const struct view *v, int64_t edge)
{
	const uint64_t bytes = v->bytes;
	const char *entries = v->entries;
	__int128 sum = 0;

	for (const char *at = v->stop; at > entries;) {
		at -= bytes;
		const struct window_entry *e = (const struct window_entry *)at;
		int64_t x;
		if (e->time <= edge)
			break;
		memcpy(&x, at + column, sizeof x);
		sum += entry_counts(e, slot) ? x : 0;
	}
	return sum;
}

static const struct window_entry *last_scan(uint32_t slot, const struct view *v, int64_t edge)
{
	for (const char *at = v->stop; at > v->entries;) {
		at -= v->bytes;
		const struct window_entry *e = (const struct window_entry *)at;
		if (e->time <= edge)
			break;
		if (entry_counts(e, slot))
			return e;
	}
	return NULL;
}

static struct value run_scan(const struct window_slot *s, uint32_t slot, const struct view *v, int64_t edge)
{
	struct window_run r = { 0 };
	uint32_t i = v->end;

	for (const char *at = v->stop; i-- > 0;) {
		at -= v->bytes;
		const struct window_entry *e = (const struct window_entry *)at;
		if (e->time <= edge)
			break;
		if (entry_counts(e, slot))
			run_add(s, &r, e, i);
	}
	return value_of_run(s, v->cell, &r);
}

/* A short log, or a value that is not kept running. */
static void read_scan(struct windows *w, const struct view *v, uint32_t slot, int64_t edge, struct value *out)
{
	const struct window_slot *s = &w->slots[slot];

	switch ((enum window_how)s->how) {
	case HOW_TOTAL:
	case HOW_TOTAL_COUNT:
	case HOW_TOTAL_SUM:
		*out = value_of_total(w, slot, v->cell, v->end);
		break;
	case HOW_COUNT:
		*out = value_of_int(s->type, count_scan(slot, v, edge));
		break;
	case HOW_SUM:
		*out = value_of_sum(s->type, sum_scan(slot, s->at, v, edge));
		break;
	case HOW_LAST_ONE:
		*out = value_of_last_one(w, s, v->cell, last_scan(slot, v, edge));
		break;
	case HOW_LAST:
		value_of_last(w, s, v->cell, last_scan(slot, v, edge), out);
		break;
	case HOW_DISTINCT:
		*out = value_of_distinct(w, s, slot, v->cell, log_up_to(w, v->cell, edge, UINT64_MAX),
					 v->end);
		break;
	case HOW_SCAN:
		*out = run_scan(s, slot, v, edge);
	}
}

/* No entry is newer than t, and no read was: the running value advances. */
static void read_newest(struct windows *w, struct window_cell *cell, uint32_t slot, struct window_run *r,
			int64_t edge, struct value *out)
{
	const struct window_key *k = key_of(w, cell);
	const struct window_slot *s = &w->slots[slot];

	for (; !s->lasting && r->first < cell->count; r->first++) {
		const struct window_entry *e = cell_entry(k, cell, r->first);
		if (e->time > edge)
			break;
		if (entry_counts(e, slot))
			run_remove(s, r, e, r->first);
	}
	if (s->how == HOW_COUNT) {
		*out = value_of_int(s->type, r->count);
		return;
	}
	if (s->how == HOW_SUM) {
		*out = value_of_sum(s->type, r->sum);
		return;
	}
	if (s->function == AGG_LAST) {
		if (r->mark == MARK_UNKNOWN)
			r->mark = log_last(w, cell, slot, r->first, cell->count);
		if (s->how == HOW_LAST_ONE)
			*out = value_of_last_one(w, s, cell,
						 r->mark ? cell_entry(k, cell, r->mark - 1) : NULL);
		else
			read_last(w, cell, slot, r->mark, out);
		return;
	}
	if (slot_has_mark(s) && r->mark == MARK_UNKNOWN)
		extreme_scan(w, cell, slot, r->first, cell->count, r);
	*out = value_of_run(s, cell, r);
}

/* As of a time that lies before what the cell has seen, or from before where it is. The running value stays
 * as it is. */
static void read_late(struct windows *w, const struct window_cell *cell, uint32_t slot,
		      const struct window_run *r, int64_t t, int64_t edge, struct value *out)
{
	const struct window_slot *s = &w->slots[slot];
	uint32_t end = log_up_to(w, cell, t, UINT64_MAX);
	uint32_t from = s->lasting ? 0 : log_up_to(w, cell, edge, UINT64_MAX);
	struct window_run at_t = { 0 };

	if (s->function == AGG_LAST) {
		read_last(w, cell, slot, log_last(w, cell, slot, from, end), out);
		return;
	}
	if (slot_has_mark(s) || end <= r->first) {
		run_add_span(w, cell, slot, &at_t, from, end, true);
		*out = value_of_run(s, cell, &at_t);
		return;
	}
	at_t = *r;
	run_add_span(w, cell, slot, &at_t, end, cell->count, false);
	if (from < r->first)
		run_add_span(w, cell, slot, &at_t, from, r->first, true);
	else
		run_add_span(w, cell, slot, &at_t, r->first, from < end ? from : end, false);
	*out = value_of_run(s, cell, &at_t);
}

/* Nothing that left the running value is in the window again: a zone may have moved its edge back. */
static bool edge_advances(const struct windows *w, const struct window_cell *cell, const struct window_run *r,
			  int64_t edge)
{
	return r->first == 0 || cell_entry(key_of(w, cell), cell, r->first - 1)->time <= edge;
}

static bool cell_lost(const struct windows *w, const struct window_cell *cell, uint32_t slot)
{
	const struct window_cold *cold = cell_cold(w, cell);

	return cold && (cold->lost > windows_horizon(w) || (cold->broken >> slot & 1));
}

/* Too young, perhaps evicted, or too many entries: no data. */
static bool read_known(struct windows *w, const struct window_place *place, uint32_t slot, int64_t edge,
		       uint32_t *full)
{
	const struct window_slot *s = &w->slots[slot];

	if (!s->lasting && edge + (s->calendar != 0) < s->activated)
		return false;
	if (place->gone > edge && place->gone >= s->activated) /* else it was never to have it */
		return false;
	bool lost = place->cell && place->cell->cold && cell_lost(w, place->cell, slot);
	*full += lost;
	return !lost;
}

static void read_running(struct windows *w, struct window_cell *cell, uint32_t slot, int64_t t, int64_t edge,
			 struct value *out)
{
	struct window_runs *runs = cell_runs(w, cell);
	struct window_run *r = &runs->run[w->slots[slot].run];

	if (t < runs->at || !edge_advances(w, cell, r, edge)) {
		read_late(w, cell, slot, r, t, edge, out);
		return;
	}
	runs->at = t;
	read_newest(w, cell, slot, r, edge, out);
	cell->leaving = r->first;
}

/* When a slot's window began; that moment is not in it. */
static int64_t slot_edge(const struct window_slot *s, const struct window_ask *ask)
{
	return s->lasting ? INT64_MIN : s->calendar ? ask->edges[s->calendar] : ask->t - s->within;
}

static void read_nothing(struct windows *w, const struct window_place *place, const struct window_read *reads,
			 uint32_t count, const struct window_ask *ask)
{
	bool careful = place->gone != INT64_MIN || ask->t < w->full_from;

	for (uint32_t i = 0; i < count; i++) {
		const struct window_slot *s = &w->slots[reads[i].slot];
		if (careful && !read_known(w, place, reads[i].slot, slot_edge(s, ask), ask->full))
			value_none(w, s, VALUE_NO_DATA, ask->values + reads[i].value);
		else
			value_of_nothing(w, s, ask->values + reads[i].value);
	}
}

/* Where something may be missing. */
static void read_each(struct windows *w, const struct window_place *place, const struct view *v,
		      const struct window_read *reads, uint32_t count, const struct window_ask *ask)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = reads[i].slot;
		const struct window_slot *s = &w->slots[slot];
		struct value *out = ask->values + reads[i].value;
		int64_t edge = slot_edge(s, ask);
		if (!read_known(w, place, slot, edge, ask->full))
			value_none(w, s, VALUE_NO_DATA, out);
		else if (v->cell->runs && s->run != RUN_NONE)
			read_running(w, v->cell, slot, ask->t, edge, out);
		else
			read_scan(w, v, slot, edge, out);
	}
}

/* A short log of which nothing is missing: the common reads in line, with all they need in `r`. */
static void read_short(struct windows *w, const struct view *v, const struct window_read *r,
		       const struct window_ask *ask)
{
	struct value *out = ask->values + r->value;
	const char *fold = cell_folds(v->cell) + r->fold_at;
	bool newest = v->end == v->cell->count;
	uint64_t head;
	__int128 sum;

	switch ((enum window_how)r->how) {
	case HOW_TOTAL_COUNT:
		memcpy(&head, fold, sizeof head);
		if (!newest)
			break;
		*out = value_of_int(r->type, (int64_t)(head & FOLD_COUNT_MASK));
		return;
	case HOW_TOTAL_SUM:
		memcpy(&head, fold, sizeof head);
		memcpy(&sum, fold + 8, sizeof sum);
		if (!newest || (head & FOLD_ERRORS) || sum != (int64_t)sum)
			break;
		*out = value_of_int(r->type, (int64_t)sum);
		return;
	case HOW_COUNT:
		if (!r->within)
			break;
		*out = value_of_int(r->type, count_scan(r->slot, v, ask->t - r->within));
		return;
	case HOW_SUM:
		if (!r->within)
			break;
		*out = value_of_sum(r->type, sum_scan(r->slot, r->at, v, ask->t - r->within));
		return;
	case HOW_LAST_ONE:
		if (!r->lasting)
			break;
		*out = value_of_last_one(w, &w->slots[r->slot], v->cell, last_scan(r->slot, v, INT64_MIN));
		return;
	default:
		break;
	}
	read_scan(w, v, r->slot, slot_edge(&w->slots[r->slot], ask), out);
}

void windows_read(struct windows *w, const struct window_place *place, const struct window_read *reads,
		  uint32_t count, const struct window_ask *ask)
{
	struct window_cell *cell = place->cell;

	assert(ask->t >= windows_horizon(w));
	if (!cell) {
		read_nothing(w, place, reads, count, ask);
		return;
	}
	bool careful = place->gone != INT64_MIN || ask->t < w->full_from || cell->cold;
	const struct view v = view_of(w, cell, ask->t);
	if (careful) {
		read_each(w, place, &v, reads, count, ask);
		return;
	}
	for (const struct window_read *r = reads; r < reads + count; r++) {
		if (!cell->runs || r->run == RUN_NONE)
			read_short(w, &v, r, ask);
		else
			read_running(w, cell, r->slot, ask->t, slot_edge(&w->slots[r->slot], ask),
				     ask->values + r->value);
	}
}

struct window_read windows_read_plan(const struct windows *w, uint8_t slot, uint16_t value)
{
	const struct window_slot *s = &w->slots[slot];

	return (struct window_read){ .slot = slot,
				     .value = value,
				     .how = s->how,
				     .type = s->type,
				     .run = s->run,
				     .at = s->at,
				     .fold_at = s->fold_at,
				     .lasting = s->lasting,
				     .within = s->within };
}

/* ---- patterns ---- */

/* The latest events that fit are taken, step by step: that leaves the most room for the steps before, and
 * puts the first as late as it can be. */
static bool steps_stand(const struct windows *w, const struct window_cell *cell, uint32_t at,
			const struct window_steps *steps, int64_t gone)
{
	const struct window_key *k = key_of(w, cell);
	uint32_t step = steps->count - 1, left = steps->times[step];
	int64_t time = cell_entry(k, cell, at)->time;

	for (uint32_t i = at + 1; i-- > 0;) {
		const struct window_entry *e = cell_entry(k, cell, i);
		if (time - e->time >= steps->within || (i != at && e->time <= gone))
			return false;
		if (e->mark & ENTRY_OUT)
			continue;
		if (e->feeds >> steps->slot[step] & 1) {
			if (--left == 0) {
				if (step == 0)
					return true;
				left = steps->times[--step];
			}
		} else if (i == at) {
			return false;
		}
		if (i != at && (e->feeds & steps->unless))
			return false;
	}
	return false;
}

bool windows_completes(const struct windows *w, const struct window_place *place,
		       const struct window_steps *steps, int64_t time, uint64_t order, uint32_t *full)
{
	const struct window_cell *cell = place->cell;
	uint32_t end = cell ? log_up_to(w, cell, time, order) : 0;

	if (end == 0)
		return false;
	const struct window_entry *e = cell_entry(key_of(w, cell), cell, end - 1);
	if (e->time != time || entry_order(e) != order)
		return false;
	if (cell->cold && cell_lost(w, cell, steps->slot[0])) {
		++*full;
		return false;
	}
	return steps_stand(w, cell, end - 1, steps, place->gone);
}

/* ---- running values of a cell ---- */

void cell_runs_make(struct windows *w, struct window_cell *cell)
{
	const struct window_key *k = key_of(w, cell);

	if (!k->run_count)
		return;
	cell_runs_take(w, cell);
	struct window_runs *runs = cell_runs(w, cell);
	runs->at = cell->count ? cell_entry(k, cell, cell->count - 1)->time : INT64_MIN;
	for (uint32_t i = 0; i < cell->count; i++) {
		const struct window_entry *e = cell_entry(k, cell, i);
		for (uint64_t left = e->mark & ENTRY_OUT ? 0 : e->feeds; left; left &= left - 1) {
			const struct window_slot *s = &w->slots[bit_first(left)];
			if (s->run != RUN_NONE)
				run_add(s, &runs->run[s->run], e, i);
		}
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

static void runs_repair(struct windows *w, struct window_cell *cell)
{
	const struct window_key *k = key_of(w, cell);
	struct window_runs *runs = cell_runs(w, cell);

	for (uint32_t i = 0; runs && i < k->run_count; i++)
		run_repair(&runs->run[i], w->moved);
	if (cell->runs && cell->count <= RUNS_TO)
		cell_runs_drop(w, cell);
}

/* ---- settling ---- */

/* Entry i leaves: out of the running values that still have it, into the folds of windows for ever. */
static void entry_settle(struct windows *w, struct window_cell *cell, uint32_t i)
{
	const struct window_entry *e = cell_entry(key_of(w, cell), cell, i);

	if (e->mark & ENTRY_OUT)
		return;
	for (uint64_t left = e->feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = slot_run(w, cell, s);
		if (s->lasting)
			fold_settle(w, s, cell, e);
		if (r && i >= r->first)
			run_remove(s, r, e, i);
	}
}

/* A full log: when looking for settled entries is worth while again. */
static void settles_note(const struct windows *w, struct window_cold *cold, const struct window_entry *e)
{
	int64_t reach = entry_reach(w, e->feeds, e->time);

	if (reach > windows_horizon(w))
		cold->settles = reach < cold->settles ? reach : cold->settles;
	else
		cold->settles_order =
			entry_order(e) < cold->settles_order ? entry_order(e) : cold->settles_order;
}

static void run_shift(struct window_run *r, uint32_t count)
{
	r->first = r->first > count ? r->first - count : 0;
	if (r->mark != MARK_UNKNOWN && r->mark)
		r->mark = r->mark > count ? r->mark - count : MARK_UNKNOWN;
}

/* The first entries leave the log. */
static void cell_drop(struct windows *w, struct window_cell *cell, uint32_t count)
{
	struct window_runs *runs = cell_runs(w, cell);

	for (uint32_t i = 0; i < count; i++)
		entry_settle(w, cell, i);
	for (uint32_t i = 0; runs && i < key_of(w, cell)->run_count; i++)
		run_shift(&runs->run[i], count);
	cell->head += count;
	cell->count -= count;
	w->entries -= count;
	if (runs && cell->count <= RUNS_TO)
		cell_runs_drop(w, cell);
}

/* Where all windows are of one length, what is settled stands in front. */
static void cell_cut_uniform(struct windows *w, struct window_cell *cell)
{
	const struct window_key *k = key_of(w, cell);
	uint32_t count = 0;

	while (count < cell->count &&
	       time_add(cell_entry(k, cell, count)->time, k->span) <= windows_horizon(w))
		count++;
	cell_drop(w, cell, count);
}

/* Everything settled leaves the log, wherever it stands. */
static void cell_cut_all(struct windows *w, struct window_cell *cell)
{
	const struct window_key *k = key_of(w, cell);
	struct window_cold *cold = cell_cold(w, cell);
	uint32_t kept = 0;

	if (cold) {
		cold->settles = INT64_MAX;
		cold->settles_order = UINT64_MAX;
	}
	for (uint32_t i = 0; i < cell->count; i++) {
		const struct window_entry *e = cell_entry(k, cell, i);
		w->moved[i] = kept;
		if (entry_settled(w, e)) {
			entry_settle(w, cell, i);
			continue;
		}
		if (cold)
			settles_note(w, cold, e);
		if (kept != i)
			memcpy(cell_entry(k, cell, kept), e, k->entry_bytes);
		kept++;
	}
	w->moved[cell->count] = kept;
	if (kept == cell->count)
		return;
	w->entries -= cell->count - kept;
	cell->count = kept;
	runs_repair(w, cell);
}

static void cell_cut(struct windows *w, struct window_cell *cell)
{
	if (key_of(w, cell)->uniform && !cell->cold)
		cell_cut_uniform(w, cell);
	else
		cell_cut_all(w, cell);
}

/* Windows for ever take what cannot change, or what there is no room for, into their folds at once. */
static void feeds_fold(struct windows *w, struct window_cell *cell, const struct window_entry *e,
		       uint64_t feeds)
{
	for (uint64_t left = feeds; left; left &= left - 1)
		fold_add(w, &w->slots[bit_first(left)], cell, e);
}

static void entry_lose(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	struct window_cold *cold = cell_cold(w, cell);
	int64_t reach = entry_reach(w, e->feeds, e->time);

	cold->lost = reach > cold->lost ? reach : cold->lost;
	if ((e->feeds & w->lasting) && (e->mark & ENTRY_REF))
		cold->lost_time = e->time > cold->lost_time ? e->time : cold->lost_time;
}

/* A log at its limit makes room: first of what is settled, else it loses its oldest. False: that is `e`
 * itself. */
static bool cell_make_room(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	const struct window_key *k = key_of(w, cell);
	struct window_cold *cold = cell_cold_make(w, cell);

	while (cell->count && entry_settled(w, cell_entry(k, cell, 0)))
		cell_drop(w, cell, 1);
	if (cell->count == WINDOW_LOG_EVENTS_MAX &&
	    (windows_horizon(w) >= cold->settles || w->settled > cold->settles_order))
		cell_cut(w, cell);
	if (cell->count < WINDOW_LOG_EVENTS_MAX)
		return true;
	const struct window_entry *oldest = cell_entry(k, cell, 0);
	if (e->time < oldest->time) {
		entry_lose(w, cell, e);
		feeds_fold(w, cell, e, e->feeds & w->lasting);
		return false;
	}
	entry_lose(w, cell, oldest);
	cell_drop(w, cell, 1);
	return true;
}

/* ---- entering ---- */

/* One more place behind the last entry. */
static struct window_cell *log_make_place(struct windows *w, struct window_cell *cell)
{
	const struct window_key *k = key_of(w, cell);

	if (cell->head + cell->count < cell->room)
		return cell;
	if (cell->count && !cell->head)
		cell_cut(w, cell);
	if (cell->count * 4 >= cell->room * LOG_KEEP_QUARTERS && cell->room < LOG_ROOM_FULL)
		return cell_resize(w, cell, cell->room + (cell->room > 2 ? cell->room / 2 : 1));
	memmove(cell_folds(cell) + k->fold_bytes, cell_entry(k, cell, 0),
		(uint64_t)cell->count * k->entry_bytes);
	cell->head = 0;
	return cell;
}

/* Opens a place for an entry of that time; gives where it is. */
static uint32_t log_open(struct windows *w, struct window_cell *cell, int64_t time)
{
	const struct window_key *k = key_of(w, cell);
	struct window_runs *runs = cell_runs(w, cell);
	uint32_t at = cell->count;

	if (at && cell_entry(k, cell, at - 1)->time > time) {
		at = log_up_to(w, cell, time, UINT64_MAX);
		char *place = (char *)cell_entry(k, cell, at);
		memmove(place + k->entry_bytes, place, (uint64_t)(cell->count - at) * k->entry_bytes);
		for (uint32_t i = 0; runs && i < k->run_count; i++) {
			struct window_run *r = &runs->run[i];
			r->first += r->first > at;
			if (r->mark != MARK_UNKNOWN)
				r->mark += r->mark > at;
		}
	}
	cell->count++;
	w->entries++;
	if (runs && time > runs->at)
		runs->at = time;
	return at;
}

/* The bits of a late entry that somebody may still want. */
static uint64_t feeds_late(struct windows *w, struct window_cell *cell, const struct window_entry *e)
{
	uint64_t wanted = 0, settled = 0;

	for (uint64_t left = e->feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		uint64_t bit = left & -left;
		if (time_add(e->time, s->span) > windows_horizon(w) || (s->lasting && (e->mark & ENTRY_REF)))
			wanted |= bit;
		else if (s->lasting)
			settled |= bit;
	}
	feeds_fold(w, cell, e, settled);
	return wanted;
}

static void runs_enter(struct windows *w, struct window_cell *cell, uint32_t at)
{
	const struct window_entry *e = cell_entry(key_of(w, cell), cell, at);

	if (!cell->runs) {
		if (cell->count > RUNS_FROM)
			cell_runs_make(w, cell);
		return;
	}
	for (uint64_t left = e->feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		struct window_run *r = slot_run(w, cell, s);
		if (r && at >= r->first)
			run_add(s, r, e, at);
	}
}

static void totals_change(struct windows *w, struct window_cell *cell, const struct window_entry *e, bool add)
{
	for (uint64_t left = e->feeds & w->totals; left; left &= left - 1)
		total_change(&w->slots[bit_first(left)], cell, e, add);
}

/* An entry as its log will have it. */
struct entry_room {
	struct window_entry entry;
	char columns[UINT16_MAX];
};

/* Late, or one too many: what of it is still wanted, once there is room. */
static uint64_t enter_late(struct windows *w, struct window_cell *cell, const struct window_event *event)
{
	struct entry_room room;

	entry_encode(key_of(w, cell), event, &room.entry);
	if (event->time <= windows_horizon(w))
		room.entry.feeds = feeds_late(w, cell, &room.entry);
	if (room.entry.feeds && cell->count == WINDOW_LOG_EVENTS_MAX && !cell_make_room(w, cell, &room.entry))
		return 0;
	return room.entry.feeds;
}

/* The cell that an event enters: made, or used again. */
static struct window_cell *enter_cell(struct windows *w, struct window_place *place, uint64_t order)
{
	struct window_cell *cell = place->cell;

	if (!cell) {
		cell = cell_make_for(w, place, order);
	} else {
		cell_changed(w, cell);
		if (cell->cold)
			cell_used(w, cell, order);
	}
	cell->flags &= (uint8_t)~CELL_KEPT;
	place->cell = cell;
	if (place->customer)
		cell_link_customer(w, cell, place->customer);
	if (key_of(w, cell)->keys_max)
		place->gone = cell_cold(w, cell)->gone;
	return cell;
}

void windows_enter(struct windows *w, struct window_place *place, const struct window_event *event)
{
	struct window_cell *cell = enter_cell(w, place, event->order);
	const struct window_key *k = key_of(w, cell);
	uint64_t feeds = event->feeds;

	if (event->time <= windows_horizon(w) || cell->count == WINDOW_LOG_EVENTS_MAX)
		feeds = enter_late(w, cell, event);
	if (feeds == 0)
		return;
	place->cell = cell = log_make_place(w, cell);
	uint32_t at = log_open(w, cell, event->time);
	struct window_entry *e = cell_entry(k, cell, at);
	entry_encode(k, event, e);
	e->feeds = feeds;
	totals_change(w, cell, e, true);
	runs_enter(w, cell, at);
	int64_t reach = time_add(event->time, k->span);
	cell->reach = reach > cell->reach ? reach : cell->reach;
}

void windows_amend(struct windows *w, struct window_cell *cell, const struct window_change *change)
{
	const struct window_key *k = key_of(w, cell);
	uint32_t end = log_up_to(w, cell, change->time, change->order);
	struct window_entry *e = end ? cell_entry(k, cell, end - 1) : NULL;

	cell_changed(w, cell);
	if (!e || e->time != change->time || entry_order(e) != change->order) { /* settled, or lost */
		struct window_cold *cold = cell_cold(w, cell);
		if (cold && change->time <= cold->lost_time)
			cold->broken |= w->lasting & k->slots;
		return;
	}
	for (int again = 0; again < 2; again++) {
		if (!(e->mark & ENTRY_OUT))
			totals_change(w, cell, e, again);
		for (uint64_t left = e->mark & ENTRY_OUT ? 0 : e->feeds; left; left &= left - 1) {
			const struct window_slot *s = &w->slots[bit_first(left)];
			struct window_run *r = slot_run(w, cell, s);
			if (!r || end - 1 < r->first)
				continue;
			if (again)
				run_add(s, r, e, end - 1);
			else
				run_remove(s, r, e, end - 1);
		}
		if (!again)
			entry_amend(k, e, change);
	}
}

/* ---- cells as a whole ---- */

/* Does a window for ever have something that is settled? */
static bool cell_lasts(const struct windows *w, const struct window_cell *cell)
{
	const struct window_cold *cold = cell_cold(w, cell);

	for (uint64_t left = w->lasting & key_of(w, cell)->slots; left; left &= left - 1)
		if (fold_used(&w->slots[bit_first(left)], cell))
			return true;
	return cold && cold->broken != 0;
}

/* A settled entry that a window for ever has is as good as one in its fold. */
static bool entry_lasts(const struct windows *w, const struct window_entry *e)
{
	return (e->feeds & w->lasting) && !(e->mark & ENTRY_OUT);
}

bool cell_holds(const struct windows *w, const struct window_cell *cell)
{
	const struct window_cold *cold = cell_cold(w, cell);

	if ((cold && cold->lost > windows_horizon(w)) || cell_lasts(w, cell))
		return true;
	for (uint32_t i = 0; i < cell->count; i++) {
		const struct window_entry *e = cell_entry(key_of(w, cell), cell, i);
		if (!entry_settled(w, e) || entry_lasts(w, e))
			return true;
	}
	return false;
}

/* When nothing of a cell is left its memory goes back; the key of an owner only from the end of its list. */
void cell_trim(struct windows *w, struct window_cell *cell)
{
	bool full = cell->room > 2;

	cell_tidied(w, cell);
	cell_cut(w, cell);
	if (cell->count)
		return;
	cell_runs_drop(w, cell);
	if (full)
		cell = cell_resize(w, cell, 1);
	cell->reach = INT64_MIN;
	const struct window_cold *cold = cell_cold(w, cell);
	if (cell_lasts(w, cell)) {
		cell->flags |= CELL_KEPT;
		return;
	}
	bool first = cold && cell->per == PER_CUSTOMER && cold->next; /* of what is forgotten with them */
	if (cell_holds(w, cell) || (cold && cold->owner && cold->older) || first)
		return;
	cell_remove(w, cell);
}

static void cell_clear(struct windows *w, struct window_cell *cell, uint64_t gone)
{
	const struct window_key *k = key_of(w, cell);
	struct window_cold *cold = cell_cold(w, cell);

	cell_changed(w, cell);
	cell->flags &= (uint8_t)~CELL_KEPT;
	cell->reach = INT64_MIN;
	if (cold)
		cold->broken &= ~gone;
	for (uint32_t i = 0; i < cell->count; i++) {
		struct window_entry *e = cell_entry(k, cell, i);
		e->feeds &= ~gone;
		int64_t reach = entry_reach(w, e->feeds, e->time);
		cell->reach = reach > cell->reach ? reach : cell->reach;
	}
	for (uint64_t left = gone & k->slots & w->lasting; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		memset(cell_folds(cell) + s->fold_at, 0, s->fold_bytes);
	}
	cell_cut_all(w, cell); /* entries that feed nothing any more */
}

/* Before slots[] loses them: no cell shall keep a bit that could soon mean another aggregate. */
void windows_slots_clear(struct windows *w, uint64_t gone)
{
	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++) {
			struct window_cell *cell = h->slots[i].block ? cell_at(w, h->slots[i].block) : NULL;
			if (!cell || (cell->flags & (CELL_LIVE | CELL_OWNER)) != CELL_LIVE)
				continue;
			cell_runs_drop(w, cell);
			if (gone & key_of(w, cell)->slots)
				cell_clear(w, cell, gone);
		}
	}
}

/* What no window can still see of it, slot by slot: entries have those of the others longer. */
static uint64_t feeds_settled(const struct windows *w, const struct window_entry *e)
{
	bool out = (e->mark & ENTRY_OUT) && e->time < windows_horizon(w) &&
		   (!(e->mark & ENTRY_REF) || entry_order(e) < w->settled);
	uint64_t settled = 0;

	for (uint64_t left = e->feeds; left; left &= left - 1) {
		const struct window_slot *s = &w->slots[bit_first(left)];
		if (s->lasting ? out : time_add(e->time, s->span) <= windows_horizon(w))
			settled |= left & -left;
	}
	return settled;
}

/* Before lateness grows: what is settled leaves for good, whether the sweep came by or not. All cells are
 * written again, since what was swept since a checkpoint is still in it. */
void windows_settle(struct windows *w)
{
	for (int half = 0; half < 2; half++) {
		const struct key_index_half *h = half ? &w->index.old : &w->index.now;
		for (uint64_t i = 0; i < h->count; i++) {
			struct window_cell *cell = h->slots[i].block ? cell_at(w, h->slots[i].block) : NULL;
			if (!cell || (cell->flags & (CELL_LIVE | CELL_OWNER)) != CELL_LIVE)
				continue;
			cell_changed(w, cell);
			cell_runs_drop(w, cell);
			for (uint32_t n = 0; n < cell->count; n++) {
				struct window_entry *e = cell_entry(key_of(w, cell), cell, n);
				e->feeds &= ~feeds_settled(w, e);
			}
			cell_cut_all(w, cell);
			struct window_cold *cold = cell_cold(w, cell);
			if (cold && cold->lost <= windows_horizon(w))
				cold->lost = INT64_MIN;
		}
	}
}

/* A kind of key that no aggregate has any more. Its place may soon be another's. */
void windows_key_drop(struct windows *w, uint32_t per)
{
	key_index_finish(&w->index);
	for (int owners = 0; owners < 2; owners++)
		for (uint64_t i = 0; i < w->index.now.count;) {
			uint32_t block = w->index.now.slots[i].block;
			struct window_cell *cell = block ? cell_at(w, block) : NULL;
			bool gone = cell && (cell->flags & CELL_LIVE) && cell->per == per &&
				    ((cell->flags & CELL_OWNER) != 0) == owners;
			if (gone)
				cell_remove(w, cell); /* another one may stand here now */
			else
				i++;
		}
}
