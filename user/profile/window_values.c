/*
 * window_values.c: what a value is made of: an entry's field, a running value with an entry more or less, the
 * fold of what settled, and what is read from them. Sums are exact integers (128 bits, squares 192); mean and
 * deviation are made when read. A deviation is made of two exact integers (320 and 80 bits), each rounded to
 * a double once, to nearest even; one division and one root: every machine gives the same double.
 *
 * Entries, cells and slots are borrowed for the call. What does not fit (a sum beyond int64, a base beyond
 * it) is an error of the value, never a wrong number. Strings that are given out live in windows.texts.
 */
#include "windows.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { SMALL_SET = 32, SET_SLOTS = 131072 };
static const uint64_t count_mask = FOLD_COUNT_MASK;
static const uint64_t errors_max = (UINT64_C(1) << 23) - 1;
static const uint64_t fold_is_used = UINT64_C(1) << 63; /* by an entry, be it without a value */

/* ---- fields ---- */

/* An int of an entry, or of the fold of a `last`: `at` and `status` point to its column. */
static enum value_status source_int(uint32_t source, int64_t time, uint64_t mark, const char *at,
				    const char *status, int64_t *out)
{
	uint16_t code;

	switch (source) {
	case SOURCE_TIME:
		*out = time;
		return VALUE_OK;
	case SOURCE_BASE:
		memcpy(out, at, 8);
		return mark & ENTRY_BASE_ERROR	? VALUE_ERROR
		       : mark & ENTRY_BASE_NONE ? VALUE_NO_DATA
						: VALUE_OK;
	case SOURCE_BALANCE:
		memcpy(out, at, 8);
		return *out == FRAME_BALANCE_NO_DATA ? VALUE_NO_DATA : VALUE_OK;
	case SOURCE_CODE:
		memcpy(&code, at, 2);
		*out = code;
		return code ? VALUE_OK : VALUE_NO_DATA;
	case SOURCE_SHORT:
		memcpy(&code, at, 2);
		*out = code;
		return VALUE_OK;
	case SOURCE_BYTE:
		*out = (uint8_t)*at;
		return *at ? VALUE_OK : VALUE_NO_DATA;
	case SOURCE_BODY:
		memcpy(out, at, 8);
		return (enum value_status) * status;
	default:
		assert(source == SOURCE_INT);
		memcpy(out, at, 8);
		return VALUE_OK;
	}
}

enum value_status entry_int(const struct window_slot *s, const struct window_entry *e, int64_t *out)
{
	const char *base = (const char *)e;

	if (s->source == SOURCE_INT) {
		memcpy(out, base + s->at, 8);
		return VALUE_OK;
	}
	return source_int(s->source, e->time, e->mark, base + s->at, base + s->status_at, out);
}

/* ---- running values ---- */

static bool better(const struct window_slot *s, __int128 a, __int128 b)
{
	return s->function == AGG_MIN ? a < b : a > b;
}

static void extreme_add(const struct window_slot *s, struct window_run *r, int64_t v, uint32_t index)
{
	if (r->mark == MARK_UNKNOWN)
		return;
	if (r->mark == 0 || better(s, v, r->sum) || (v == r->sum && index + 1 > r->mark)) {
		r->sum = v;
		r->mark = index + 1;
	}
}

static void squares_add(uint64_t squares[3], int64_t v)
{
	unsigned __int128 square = (unsigned __int128)((__int128)v * v), low;

	low = (unsigned __int128)squares[0] + (uint64_t)square;
	squares[0] = (uint64_t)low;
	low = (low >> 64) + squares[1] + (uint64_t)(square >> 64);
	squares[1] = (uint64_t)low;
	squares[2] += (uint64_t)(low >> 64);
}

static void squares_remove(uint64_t squares[3], int64_t v)
{
	unsigned __int128 square = (unsigned __int128)((__int128)v * v);
	uint64_t low = (uint64_t)square, high = (uint64_t)(square >> 64);
	uint64_t borrow = __builtin_sub_overflow(squares[0], low, &squares[0]);
	uint64_t again = __builtin_sub_overflow(squares[1], high, &squares[1]);

	again += __builtin_sub_overflow(squares[1], borrow, &squares[1]);
	squares[2] -= again;
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
	enum value_status status = entry_int(s, e, &v);
	if (status == VALUE_NO_DATA)
		return;
	if (status == VALUE_ERROR) {
		r->errors++;
		return;
	}
	r->count++;
	if (s->function == AGG_MIN || s->function == AGG_MAX) {
		extreme_add(s, r, v, index);
		return;
	}
	r->sum += v;
	if (s->function == AGG_DEVIATION)
		squares_add(r->squares, v);
}

void run_remove(const struct window_slot *s, struct window_run *r, const struct window_entry *e,
		uint32_t index)
{
	int64_t v = 0;

	if (slot_has_mark(s))
		r->mark = r->mark == index + 1 ? MARK_UNKNOWN : r->mark;
	if (s->function == AGG_LAST)
		return;
	enum value_status status = s->function == AGG_COUNT_OF ? VALUE_OK : entry_int(s, e, &v);
	if (status == VALUE_NO_DATA)
		return;
	if (status == VALUE_ERROR) {
		r->errors--;
		return;
	}
	r->count--;
	if (s->function == AGG_SUM || s->function == AGG_MEAN || s->function == AGG_DEVIATION)
		r->sum -= v;
	if (s->function == AGG_DEVIATION)
		squares_remove(r->squares, v);
}

/* ---- deviation ---- */

struct wide {
	uint64_t word[5]; /* low first; 320 bits, so that a remainder may be doubled */
};

static void wide_add_product(struct wide *out, const uint64_t *a, uint32_t words, uint64_t b)
{
	unsigned __int128 carry = 0;

	for (uint32_t i = 0; i < 5; i++) {
		carry += out->word[i];
		carry += i < words ? (unsigned __int128)a[i] * b : 0;
		out->word[i] = (uint64_t)carry;
		carry >>= 64;
	}
}

static void wide_subtract(struct wide *out, const struct wide *b)
{
	uint64_t borrow = 0;

	for (uint32_t i = 0; i < 5; i++) {
		uint64_t was = out->word[i], less = b->word[i];
		out->word[i] = was - less - borrow;
		borrow = was < less || (was == less && borrow);
	}
	assert(!borrow); /* n sum(x^2) >= sum(x)^2 */
}

static uint32_t wide_bits(const struct wide *a)
{
	for (uint32_t i = 5; i-- > 0;)
		if (a->word[i])
			return i * 64 + 64 - (uint32_t)__builtin_clzll(a->word[i]);
	return 0;
}

/* 2 to the power of n; far inside the range of a double. */
static double power_of_two(uint32_t n)
{
	uint64_t bits = (uint64_t)(n + 1023) << 52;
	double d;

	memcpy(&d, &bits, sizeof d);
	return d;
}

/* Rounded once, to nearest even: the first 64 bits, the last of them set when more are behind. */
static double wide_double(const struct wide *a)
{
	uint32_t bits = wide_bits(a), shift = bits > 64 ? bits - 64 : 0, word = shift / 64;
	uint64_t top = a->word[word] >> shift % 64;
	bool more = shift % 64 && a->word[word] << (64 - shift % 64);

	if (shift % 64)
		top |= a->word[word + 1] << (64 - shift % 64);
	for (uint32_t i = 0; i < word; i++)
		more |= a->word[i] != 0;
	return (double)(top | more) * power_of_two(shift);
}

/* n sum(x^2) and sum(x)^2 */
static void moments(uint64_t n, __int128 sum, const uint64_t squares[3], struct wide *a, struct wide *b)
{
	unsigned __int128 magnitude = (unsigned __int128)(sum < 0 ? -sum : sum);
	const uint64_t of_sum[2] = { (uint64_t)magnitude, (uint64_t)(magnitude >> 64) };
	struct wide high = { { 0 } };

	*a = *b = high;
	wide_add_product(a, squares, 3, n);
	wide_add_product(b, of_sum, 2, of_sum[0]);
	wide_add_product(&high, of_sum, 2, of_sum[1]);
	for (uint32_t i = 4; i > 0; i--)
		high.word[i] = high.word[i - 1];
	high.word[0] = 0;
	wide_add_product(b, high.word, 5, 1);
}

static bool wide_less(const struct wide *a, const struct wide *b)
{
	for (uint32_t i = 5; i-- > 0;)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i];
	return false;
}

static double deviation_of(uint64_t n, __int128 sum, const uint64_t squares[3])
{
	struct wide a, b;

	moments(n, sum, squares, &a, &b);
	wide_subtract(&a, &b);
	return sqrt(wide_double(&a) / (double)((unsigned __int128)n * (n - 1)));
}

static bool squares_valid(const struct window_fold *f)
{
	struct wide a, b;

	moments(f->count, f->sum, f->squares, &a, &b);
	return !wide_less(&a, &b) && f->squares[2] >> 62 == 0;
}

/* ---- folds ---- */

static const char *fold_of(const struct window_slot *s, const struct window_cell *cell)
{
	return cell_folds(cell) + s->fold_at;
}

/* The first word of all but `last`: count, errors from bit 40 on, fold_is_used: something of it has settled.
 */
static uint64_t fold_head(const struct window_slot *s, const struct window_cell *cell)
{
	uint64_t word;

	memcpy(&word, fold_of(s, cell), sizeof word);
	return word;
}

static void fold_head_set(const struct window_slot *s, struct window_cell *cell, uint64_t word)
{
	memcpy(cell_folds(cell) + s->fold_at, &word, sizeof word);
}

static void fold_read(const struct window_slot *s, const struct window_cell *cell, struct window_fold *f)
{
	const char *at = fold_of(s, cell);
	uint64_t head = fold_head(s, cell);
	int64_t extreme;

	*f = (struct window_fold){ .count = head & count_mask,
				   .errors = head >> FOLD_COUNT_BITS & errors_max,
				   .used = head >> 63 };
	if (s->function == AGG_MIN || s->function == AGG_MAX) {
		memcpy(&extreme, at + 8, sizeof extreme);
		f->sum = extreme;
	} else if (s->function != AGG_COUNT_OF) {
		memcpy(&f->sum, at + 8, sizeof f->sum);
	}
	if (s->function == AGG_DEVIATION)
		memcpy(f->squares, at + 24, sizeof f->squares);
}

/* One entry more or less. At its limit the number of errors stays: the value is one in any case. */
static uint64_t head_change(uint64_t head, enum value_status status, bool add)
{
	const uint64_t one = status == VALUE_ERROR ? UINT64_C(1) << FOLD_COUNT_BITS : 1;

	if (status == VALUE_ERROR && (head >> FOLD_COUNT_BITS & errors_max) == errors_max)
		return head;
	assert(status == VALUE_ERROR || !add || (head & count_mask) != count_mask);
	return add ? head + one : head - one;
}

static void total_squares(char *at, int64_t v, bool add)
{
	uint64_t squares[3];

	memcpy(squares, at, sizeof squares);
	if (add)
		squares_add(squares, v);
	else
		squares_remove(squares, v);
	memcpy(at, squares, sizeof squares);
}

void total_change(const struct window_slot *s, struct window_cell *cell, const struct window_entry *e,
		  bool add)
{
	char *at = cell_folds(cell) + s->fold_at;
	__int128 sum;
	int64_t v;

	if (s->function == AGG_COUNT_OF) {
		fold_head_set(s, cell, head_change(fold_head(s, cell), VALUE_OK, add));
		return;
	}
	enum value_status status = entry_int(s, e, &v);
	if (status == VALUE_NO_DATA)
		return;
	fold_head_set(s, cell, head_change(fold_head(s, cell), status, add));
	if (status == VALUE_ERROR)
		return;
	memcpy(&sum, at + 8, sizeof sum);
	sum = add ? sum + v : sum - v;
	memcpy(at + 8, &sum, sizeof sum);
	if (s->function == AGG_DEVIATION)
		total_squares(at + 24, v, add);
}

/* Takes an entry out of what was read of a total. */
static void fold_remove(const struct window_slot *s, struct window_fold *f, const struct window_entry *e)
{
	int64_t v = 0;
	enum value_status status = s->function == AGG_COUNT_OF ? VALUE_OK : entry_int(s, e, &v);

	if (status == VALUE_NO_DATA)
		return;
	if (status == VALUE_ERROR) {
		f->errors -= f->errors < errors_max;
		return;
	}
	f->count--;
	f->sum -= v;
	if (s->function == AGG_DEVIATION)
		squares_remove(f->squares, v);
}

bool fold_used(const struct window_slot *s, const struct window_cell *cell)
{
	uint64_t word;

	memcpy(&word, fold_of(s, cell) + (s->function == AGG_LAST ? 8 : 0), sizeof word);
	return word != 0;
}

static bool last_valid(const struct windows *w, const struct window_slot *s, const char *fold,
		       uint64_t order_max)
{
	uint64_t mark, bytes;

	memcpy(&mark, fold + 8, 8);
	if ((uint8_t)mark & ~(ENTRY_BASE_NONE | ENTRY_BASE_ERROR) || mark >> 8 > order_max)
		return false;
	for (uint32_t i = 0; i < s->value_count; i++) {
		const struct window_value *v = &w->values[s->value_first + i];
		if (v->fold_status_at && (uint8_t)fold[v->fold_status_at] > VALUE_ERROR)
			return false;
		memcpy(&bytes, fold + v->fold_at, v->source == SOURCE_TEXT ? sizeof bytes : 0);
		if (v->source == SOURCE_TEXT && bytes > WINDOW_TEXT_BYTES)
			return false;
	}
	return true;
}

static bool all_zero(const char *bytes, uint32_t count)
{
	uint32_t i = 0;

	while (i < count && !bytes[i])
		i++;
	return i == count;
}

/* Takes the log out of a total. False: it has not that much. */
static bool fold_without_log(const struct windows *w, const struct window_slot *s,
			     const struct window_cell *cell, struct window_fold *f)
{
	const struct window_key *k = &w->keys[s->per];
	uint32_t slot = (uint32_t)(s - w->slots);
	uint64_t count = f->count, errors = f->errors;

	for (uint32_t i = 0; i < cell->count; i++)
		if (entry_counts(cell_entry(k, cell, i), slot))
			fold_remove(s, f, cell_entry(k, cell, i));
	return f->count <= count && f->errors <= errors;
}

/* Of a record, its log taken over: could it have come from entries? */
bool fold_valid(const struct windows *w, const struct window_slot *s, const struct window_cell *cell,
		uint64_t order_max)
{
	struct window_fold f;

	if (s->function == AGG_LAST)
		return last_valid(w, s, fold_of(s, cell), order_max);
	fold_read(s, cell, &f);
	if (f.count > order_max || f.errors > order_max)
		return false;
	if (s->total && !fold_without_log(w, s, cell, &f))
		return false;
	if (!f.used)
		return s->total ? !f.count && !f.errors && !f.sum && all_zero((char *)f.squares, 24)
				: all_zero(fold_of(s, cell), s->fold_bytes);
	if (s->function == AGG_COUNT_OF)
		return f.errors == 0;
	if (s->function == AGG_MIN || s->function == AGG_MAX)
		return f.count || f.sum == 0;
	__int128 most = (__int128)f.count << 63; /* no entry is larger than 2^63 */
	if (f.sum > most || f.sum < -most)
		return false;
	return s->function != AGG_DEVIATION || squares_valid(&f);
}

static bool last_newer(int64_t time, uint64_t mark, const struct window_entry *e)
{
	return time > e->time || (time == e->time && mark >> 8 > entry_order(e));
}

/* The newest by (time, order) stays. */
static void fold_last(const struct windows *w, const struct window_slot *s, struct window_cell *cell,
		      const struct window_entry *e)
{
	char *to = cell_folds(cell) + s->fold_at;
	const char *from = (const char *)e;
	int64_t time;
	uint64_t mark;

	memcpy(&time, to, 8);
	memcpy(&mark, to + 8, 8);
	if (mark && last_newer(time, mark, e))
		return;
	memset(to, 0, s->fold_bytes);
	memcpy(to, &e->time, 8);
	memcpy(to + 8, &e->mark, 8);
	to[8] &= (char)(ENTRY_BASE_NONE | ENTRY_BASE_ERROR);
	for (uint32_t i = 0; i < s->value_count; i++) {
		const struct window_value *v = &w->values[s->value_first + i];
		memcpy(to + v->fold_at, from + v->at, source_bytes(v->source));
		if (v->status_at)
			to[v->fold_status_at] = from[v->status_at];
	}
}

static void fold_extreme(const struct window_slot *s, struct window_cell *cell, const struct window_entry *e)
{
	char *at = cell_folds(cell) + s->fold_at;
	uint64_t head = fold_head(s, cell);
	int64_t v, best;
	enum value_status status = entry_int(s, e, &v);

	memcpy(&best, at + 8, sizeof best);
	if (status == VALUE_OK && ((head & count_mask) == 0 || better(s, v, best)))
		memcpy(at + 8, &v, sizeof v);
	if (status != VALUE_NO_DATA)
		head = head_change(head, status, true);
	fold_head_set(s, cell, head | fold_is_used);
}

void fold_settle(const struct windows *w, const struct window_slot *s, struct window_cell *cell,
		 const struct window_entry *e)
{
	if (s->total)
		fold_head_set(s, cell, fold_head(s, cell) | fold_is_used);
	else if (s->function == AGG_LAST)
		fold_last(w, s, cell, e);
	else
		fold_extreme(s, cell, e);
}

void fold_add(const struct windows *w, const struct window_slot *s, struct window_cell *cell,
	      const struct window_entry *e)
{
	if (s->total)
		total_change(s, cell, e, true);
	fold_settle(w, s, cell, e);
}

/* ---- values ---- */

static struct value value_make(uint8_t type, enum value_status status, int64_t v)
{
	struct value value = { .type = type, .status = (uint8_t)status };

	if (status == VALUE_ERROR)
		value.bytes = VALUE_ERROR_RANGE;
	else if (status == VALUE_OK)
		value.i = v;
	return value;
}

void value_none(const struct windows *w, const struct window_slot *s, enum value_status status,
		struct value *out)
{
	if (s->function != AGG_LAST) {
		*out = value_make(s->type, status, 0);
		return;
	}
	for (uint32_t i = 0; i < s->value_count; i++)
		out[i] = value_make(w->values[s->value_first + i].type, status, 0);
}

void value_of_nothing(const struct windows *w, const struct window_slot *s, struct value *out)
{
	bool zero = s->function == AGG_COUNT_OF || s->function == AGG_SUM || s->function == AGG_DISTINCT;

	value_none(w, s, zero ? VALUE_OK : VALUE_NO_DATA, out);
}

struct value value_of_sum(uint8_t type, __int128 sum)
{
	if (sum == (int64_t)sum)
		return value_make(type, VALUE_OK, (int64_t)sum);
	return (struct value){ .type = type, .status = VALUE_ERROR, .bytes = VALUE_ERROR_OVERFLOW };
}

/* Of all that counts. f->sum of min and max is valid where f->count is. */
static struct value value_of_fold(const struct window_slot *s, const struct window_fold *f)
{
	if (f->errors)
		return value_make(s->type, VALUE_ERROR, 0);
	if (s->function == AGG_COUNT_OF)
		return value_make(s->type, VALUE_OK, (int64_t)f->count);
	if (s->function == AGG_SUM)
		return value_of_sum(s->type, f->sum);
	if (f->count < (s->function == AGG_DEVIATION ? 2u : 1u))
		return value_make(s->type, VALUE_NO_DATA, 0);
	if (s->function == AGG_MIN || s->function == AGG_MAX)
		return value_make(s->type, VALUE_OK, (int64_t)f->sum);
	struct value value = value_make(s->type, VALUE_OK, 0);
	if (s->function == AGG_MEAN)
		value.d = (double)f->sum / (double)f->count;
	else
		value.d = deviation_of(f->count, f->sum, f->squares);
	return value;
}

struct value value_of_total(const struct windows *w, uint32_t slot, const struct window_cell *cell,
			    uint32_t from)
{
	const struct window_slot *s = &w->slots[slot];
	const struct window_key *k = &w->keys[s->per];
	struct window_fold f;

	fold_read(s, cell, &f);
	for (uint32_t i = from; i < cell->count; i++)
		if (entry_counts(cell_entry(k, cell, i), slot))
			fold_remove(s, &f, cell_entry(k, cell, i));
	return value_of_fold(s, &f);
}

/* What is in the log, and of min and max for ever what is settled, too. */
struct value value_of_run(const struct window_slot *s, const struct window_cell *cell,
			  const struct window_run *r)
{
	struct window_fold all = { .count = r->count,
				   .errors = r->errors,
				   .sum = r->sum,
				   .squares = { r->squares[0], r->squares[1], r->squares[2] } };
	struct window_fold f;

	if (!s->lasting)
		return value_of_fold(s, &all);
	assert(!s->total);
	fold_read(s, cell, &f);
	if (f.count && (!all.count || better(s, f.sum, all.sum)))
		all.sum = f.sum;
	all.count += f.count;
	all.errors += f.errors;
	return value_of_fold(s, &all);
}

/* A string lives in a ring that a batch of events cannot fill. */
static struct value text_value(struct windows *w, const char *at, enum value_status status)
{
	struct value value = { .type = TYPE_STRING, .status = (uint8_t)status };
	uint64_t bytes;

	memcpy(&bytes, at, sizeof bytes);
	if (status == VALUE_ERROR)
		value.bytes = VALUE_ERROR_RANGE;
	if (status != VALUE_OK)
		return value;
	w->texts_next = (w->texts_next + 1) % (BATCH_ENTRIES_MAX * AGGREGATE_VALUES_MAX);
	char *to = w->texts + (uint64_t)w->texts_next * WINDOW_TEXT_BYTES;
	memcpy(to, at + sizeof bytes, bytes);
	value.bytes = (uint32_t)bytes;
	value.s = to;
	return value;
}

static struct value last_value(struct windows *w, const struct window_value *v, int64_t time, uint64_t mark,
			       const char *at, const char *status)
{
	int64_t i = 0;

	if (v->source == SOURCE_TEXT)
		return text_value(w, at, (enum value_status) * status);
	enum value_status got = source_int(v->source, time, mark, at, status, &i);
	return value_make(v->type, got, i); /* of a double: its bits */
}

/* `last`: entry e (NULL: none), or what was settled when that is newer. */
void value_of_last(struct windows *w, const struct window_slot *s, const struct window_cell *cell,
		   const struct window_entry *e, struct value *out)
{
	const char *fold = s->lasting ? fold_of(s, cell) : NULL;
	int64_t time = 0;
	uint64_t mark = 0;

	if (fold) {
		memcpy(&time, fold, 8);
		memcpy(&mark, fold + 8, 8);
	}
	bool folded = mark && (!e || last_newer(time, mark, e));
	if (!folded && !e) {
		value_of_nothing(w, s, out);
		return;
	}
	for (uint32_t i = 0; i < s->value_count; i++) {
		const struct window_value *v = &w->values[s->value_first + i];
		const char *base = (const char *)e;
		out[i] = folded ? last_value(w, v, time, mark, fold + v->fold_at, fold + v->fold_status_at)
				: last_value(w, v, e->time, e->mark, base + v->at, base + v->status_at);
	}
}

/* The same, of one value that is no string. */
struct value value_of_last_one(const struct windows *w, const struct window_slot *s,
			       const struct window_cell *cell, const struct window_entry *e)
{
	const struct window_value *v = &w->values[s->value_first];
	const char *fold = s->lasting ? fold_of(s, cell) : NULL;
	int64_t time = 0, i = 0;
	uint64_t mark = 0;

	if (fold) {
		memcpy(&time, fold, 8);
		memcpy(&mark, fold + 8, 8);
	}
	enum value_status status = VALUE_NO_DATA;
	if (e && !(mark && last_newer(time, mark, e)))
		status = entry_int(s, e, &i);
	else if (mark)
		status = source_int(v->source, time, mark, fold + v->fold_at, fold + v->fold_status_at, &i);
	return value_make(v->type, status, i);
}

/* ---- distinct ---- */

/* What of a field makes it the same: a string by its hash, a double by its value. False: no data. */
static bool distinct_key(const struct window_slot *s, const struct windows *w, const struct window_entry *e,
			 struct key128 *key, bool *error)
{
	const char *base = (const char *)e;
	int64_t v = 0;

	*key = (struct key128){ 0 };
	if (s->source == SOURCE_HASH) {
		memcpy(key, base + s->at, sizeof *key);
		return base[s->status_at] == VALUE_OK;
	}
	enum value_status status = entry_int(s, e, &v);
	*error |= status == VALUE_ERROR;
	if (w->values[s->value_first].type == TYPE_DOUBLE && status == VALUE_OK) {
		double d;
		memcpy(&d, &v, sizeof d);
		if (d == 0)
			v = 0;
		else if (d != d)
			v = INT64_MAX;
	}
	key->low = (uint64_t)v;
	return status == VALUE_OK;
}

static bool key_same(struct key128 a, struct key128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* Is it new? A few are compared one by one, more go through a table that a round number empties. */
static bool set_add(struct windows *w, struct key128 key, uint32_t count)
{
	if (count < SMALL_SET) {
		for (uint32_t i = 0; i < count; i++)
			if (key_same(w->set[i], key))
				return false;
		w->set[count] = key;
		return true;
	}
	uint64_t x = (key.low ^ key.high * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
	for (uint64_t at = x >> 40;; at++) {
		at %= SET_SLOTS;
		if (w->set_used[at] != w->set_round) {
			w->set_used[at] = w->set_round;
			w->set[at] = key;
			return true;
		}
		if (key_same(w->set[at], key))
			return false;
	}
}

/* The first few move into the table. */
static void set_spread(struct windows *w)
{
	struct key128 few[SMALL_SET];

	memcpy(few, w->set, sizeof few);
	w->set_round++;
	if (w->set_round == 0) {
		memset(w->set_used, 0, SET_SLOTS * sizeof *w->set_used);
		w->set_round = 1;
	}
	for (uint32_t i = 0; i < SMALL_SET; i++)
		(void)set_add(w, few[i], SMALL_SET);
}

struct value value_of_distinct(struct windows *w, const struct window_slot *s, uint32_t slot,
			       const struct window_cell *cell, uint32_t from, uint32_t end)
{
	const struct window_key *k = &w->keys[s->per];
	uint32_t count = 0;
	bool error = false;

	for (uint32_t i = from; i < end; i++) {
		const struct window_entry *e = cell_entry(k, cell, i);
		struct key128 key;
		if (!entry_counts(e, slot) || !distinct_key(s, w, e, &key, &error) || !set_add(w, key, count))
			continue;
		if (++count == SMALL_SET)
			set_spread(w);
	}
	if (error)
		return value_make(s->type, VALUE_ERROR, 0);
	return value_make(s->type, VALUE_OK, count);
}
