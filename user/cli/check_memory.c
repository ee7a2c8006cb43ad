/*
 * check_memory.c: `moment check DIR --memory`: what the windows of a catalogue cost, measured, not guessed.
 *
 * In: a catalogue. The engine's own memory of events (profile/history) is fed with made-up customers for as
 * long as its longest window, at 1, 3 and 10 events a customer and day, and asked what it holds and what a
 * checkpoint writes. Two runs of different size give what a customer costs and what is there anyway. Each
 * event is of the next type that feeds a window, passes every `where`, and has a value in each body field
 * that no earlier event of that customer had: what a catalogue costs at most for that many events, but for
 * references. Out: a table. Memory is this process's own, given back at the end; nothing is written to disk.
 */
#include "check_memory.h"

#include <base/records.h>
#include <errno.h>
#include <inttypes.h>
#include <profile/history.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 40, MANY = 80, DAYS_LEAST = 30, CELLS_MAX = 1 << 22 };

static const int64_t NS_PER_DAY = INT64_C(86400) * 1000000000;
static const int64_t START = INT64_C(1767225600) * 1000000000; /* 2026-01-01 */
static const uint64_t REGION_BYTES = UINT64_C(8) << 30;	       /* of address space */

struct usage {
	uint64_t entries, resident, stored;
};

struct trial {
	struct catalogue c; /* the one given, without conditions, its past empty */
	struct history *history;
	struct records records;
	uint16_t types[EVENT_TYPES_MAX]; /* that feed a window */
	unsigned type_count;
	int64_t days;
	char text[32]; /* of all body fields that are strings */
	struct value body[BODY_FIELDS_MAX], agg[AGGREGATE_VALUES_MAX];
};

/* The longest time for which an event is wanted, and a day. */
static int64_t days_of(const struct catalogue *c)
{
	int64_t days = DAYS_LEAST;

	for (unsigned i = 0; i < c->aggregate_count; i++) {
		int64_t within = (c->aggregates[i].within_ns + NS_PER_DAY - 1) / NS_PER_DAY;
		if (c->aggregates[i].calendar != CALENDAR_NONE && within < 31)
			within = 31;
		if (within > days)
			days = within;
	}
	return days + 1;
}

static int trial_init(struct trial *t, const struct catalogue *c)
{
	struct cat_aggregate *all = calloc(c->aggregate_count + 1u, sizeof *all);

	if (!all)
		return -ENOMEM;
	memcpy(all, c->aggregates, c->aggregate_count * sizeof *all);
	for (unsigned i = 0; i < c->aggregate_count; i++)
		all[i].has_where = false;
	t->c = *c;
	t->c.aggregates = all;
	t->c.starts_empty = true;
	t->days = days_of(c);
	for (unsigned e = 0; e < c->event_count; e++)
		if (c->events[e].feeds)
			t->types[t->type_count++] = (uint16_t)e;
	return 0;
}

/* The body of the n-th event of a customer. */
static void fill_body(struct trial *t, uint64_t n)
{
	uint32_t bytes = (uint32_t)snprintf(t->text, sizeof t->text, "value %010" PRIu64, n);

	for (unsigned i = 0; i < t->c.field_count; i++) {
		enum value_type type = t->c.fields[i].type;
		t->body[i] = (struct value){ .type = (uint8_t)type };
		if (type == TYPE_STRING) {
			t->body[i].s = t->text;
			t->body[i].bytes = bytes;
		} else if (type == TYPE_DOUBLE) {
			t->body[i].d = (double)n;
		} else {
			t->body[i].i = type == TYPE_BOOL ? (int64_t)(n & 1) : (int64_t)n;
		}
	}
}

static void apply(struct trial *t, uint64_t n, uint64_t customer, int64_t time)
{
	char card[24];
	struct history_event e = { .type = &t->c.events[t->types[n % t->type_count]],
				   .time = time,
				   .now = time,
				   .amount = (int64_t)n + 1,
				   .balance = (int64_t)n,
				   .base = { .type = TYPE_INT, .i = (int64_t)n + 1 },
				   .customer = customer,
				   .account = customer,
				   .currency = t->c.rates.bank,
				   .country = 724,
				   .mcc = 5411,
				   .touchpoint = 1,
				   .stage = STAGE_POSTED,
				   .card = card };
	struct cel_env env = { .space = { [SPACE_BODY] = t->body },
			       .rates = &t->c.rates,
			       .zone = &t->c.zone,
			       .currency = t->c.rates.bank };
	struct history_result result;

	e.card_bytes = (uint32_t)snprintf(card, sizeof card, "card %" PRIu64, customer);
	history_apply(t->history, &t->c, &e, &env, t->agg, &result);
}

/* Days of events, at even distances, the customers one after the other. */
static void feed(struct trial *t, unsigned per_day, unsigned customers)
{
	int64_t step = NS_PER_DAY / per_day;
	uint64_t events = (uint64_t)t->days * per_day;

	for (uint64_t n = 0; n < events; n++) {
		fill_body(t, n);
		for (unsigned i = 0; i < customers; i++)
			apply(t, n, i + 1, START + (int64_t)n * step + i);
	}
}

static uint64_t stored_bytes(const struct records *records)
{
	uint64_t bytes = 0;

	for (const struct record *r = NULL; (r = records_next(records, r));)
		if (r->space == RECORD_CELL && !r->gone)
			bytes += r->key_bytes + r->value_bytes;
	return bytes;
}

static int run(struct trial *t, unsigned per_day, unsigned customers, struct usage *out)
{
	struct history_sizes sizes;
	int rc = history_create(&t->history, REGION_BYTES, CELLS_MAX, 1 << 10);

	if (rc != 0)
		return rc;
	rc = records_init(&t->records, REGION_BYTES);
	if (rc == 0) {
		history_activate(t->history, &t->c, START, true);
		feed(t, per_day, customers);
		history_sizes(t->history, &sizes);
		history_checkpoint(t->history, &t->records);
		*out = (struct usage){ sizes.entries, sizes.windows_bytes, stored_bytes(&t->records) };
		rc = t->records.full ? -ENOMEM : 0;
		records_deinit(&t->records);
	}
	history_destroy(t->history);
	return rc;
}

/* --- the table --- */

struct cost { /* a customer's, and what is there without one */
	double entries, resident, stored, resident_fixed, stored_fixed;
};

static double part(uint64_t few, uint64_t many)
{
	return ((double)many - (double)few) / (MANY - FEW);
}

static double rest(uint64_t many, double each)
{
	double fixed = (double)many - each * MANY;

	return fixed > 0 ? fixed : 0;
}

static int measure(struct trial *t, unsigned per_day, struct cost *out)
{
	struct usage few, many;
	int rc = run(t, per_day, FEW, &few);

	if (rc == 0)
		rc = run(t, per_day, MANY, &many);
	if (rc != 0)
		return rc;
	*out = (struct cost){ .entries = part(few.entries, many.entries),
			      .resident = part(few.resident, many.resident),
			      .stored = part(few.stored, many.stored) };
	out->resident_fixed = rest(many.resident, out->resident);
	out->stored_fixed = rest(many.stored, out->stored);
	return 0;
}

static void print_total(const struct catalogue *c, const struct cost *cost, double customers, FILE *to)
{
	double resident = cost->resident_fixed + cost->resident * customers;
	double stored = cost->stored_fixed + cost->stored * customers;

	fprintf(to, "  %10.2f %10.2f  %s", resident / 1e9, stored / 1e9,
		resident <= (double)c->windows_bytes ? "    fits" : "too much");
}

static void print_cost(const struct catalogue *c, unsigned per_day, const struct cost *cost, FILE *to)
{
	fprintf(to, "%10u  %9.1f %9.1f  %9.0f %9.0f", per_day, cost->entries,
		cost->entries > 0 ? cost->resident / cost->entries : 0.0, cost->resident, cost->stored);
	print_total(c, cost, 1e6, to);
	print_total(c, cost, 1e7, to);
	fputc('\n', to);
}

static void print_head(const struct trial *t, FILE *to)
{
	fprintf(to, "\nmemory of windows, measured over %lld days; bank.memory.windows is %.2f GB\n",
		(long long)t->days, (double)t->c.windows_bytes / 1e9);
	fprintf(to, "%10s  %9s %9s  %-19s  %-31s  %s\n", "events", "entries a", "bytes", "bytes a customer",
		"GB with 1 M customers", "GB with 10 M customers");
	fprintf(to, "%10s  %9s %9s  %9s %9s", "a day", "customer", "an entry", "resident", "stored");
	for (int i = 0; i < 2; i++)
		fprintf(to, "  %10s %10s%s", "resident", "stored", i == 0 ? "          " : "");
	fputc('\n', to);
}

static int print_table(struct trial *t, FILE *to)
{
	static const unsigned rates[] = { 1, 3, 10 };

	print_head(t, to);
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct cost cost;
		int rc = measure(t, rates[i], &cost);
		if (rc != 0)
			return rc;
		print_cost(&t->c, rates[i], &cost, to);
	}
	fprintf(to,
		"Every event feeds a window and passes its `where`, types in turn; each body field has a new "
		"value\n"
		"every time, so keys reach their bound. Profiles and references are not counted.\n");
	return 0;
}

int check_memory(const struct catalogue *c, FILE *to)
{
	struct trial *t = calloc(1, sizeof *t);
	int rc = t ? trial_init(t, c) : -ENOMEM;

	if (rc == 0 && t->type_count == 0)
		fprintf(to, "\nmemory of windows: there are none\n");
	else if (rc == 0)
		rc = print_table(t, to);
	if (t)
		free((void *)t->c.aggregates);
	free(t);
	return rc;
}
