/*
 * conditions.c: how the conditions of a catalogue are evaluated, for `moment check`.
 *
 * A condition over scalars runs as a program over the columns of many events at once; what makes or walks
 * over lists is interpreted, event by event; a few flat programs (strings that they make) are evaluated one
 * by one too. Out: how many of each, and the names of those that are not column programs, for the author who
 * wants to know why a rule costs more. Read only; nothing is allocated.
 */
#include "catalogue.h"

#include <cel/columns.h>

enum { LISTED_MAX = 20 };

struct tally {
	unsigned columns, single, interpreted;
};

enum way { OVER_COLUMNS, ONE_BY_ONE, INTERPRETED };

static enum way way_of(const struct cel_program *p)
{
	return p->interpreted ? INTERPRETED : cel_columns_can(p) ? OVER_COLUMNS : ONE_BY_ONE;
}

static void tally_add(struct tally *t, const struct cel_program *p)
{
	t->columns += way_of(p) == OVER_COLUMNS;
	t->single += way_of(p) == ONE_BY_ONE;
	t->interpreted += way_of(p) == INTERPRETED;
}

static void tally_all(const struct catalogue *c, struct tally *t)
{
	for (unsigned i = 0; i < c->rule_count; i++)
		tally_add(t, &c->rules[i].when);
	for (unsigned i = 0; i < c->aggregate_count; i++)
		if (c->aggregates[i].has_where)
			tally_add(t, &c->aggregates[i].where);
}

/* *left counts what may still be printed. */
static void print_name(const struct cel_program *p, const char *what, const char *name, unsigned *left,
		       FILE *to)
{
	if (way_of(p) == OVER_COLUMNS)
		return;
	if (*left > 0)
		fprintf(to, "    %s %s: %s, %u step%s at most\n", what, name,
			p->interpreted ? "interpreted" : "one by one", p->steps, p->steps == 1 ? "" : "s");
	*left -= *left > 0;
}

static void print_names(const struct catalogue *c, unsigned all, FILE *to)
{
	static const char *const sections[SECTION_COUNT] = { "", "fraud", "critical", "subscription" };
	unsigned left = LISTED_MAX;

	for (unsigned i = 0; i < c->rule_count; i++)
		print_name(&c->rules[i].when, sections[c->rules[i].section], c->rules[i].name, &left, to);
	for (unsigned i = 0; i < c->aggregate_count; i++)
		if (c->aggregates[i].has_where)
			print_name(&c->aggregates[i].where,
				   c->aggregates[i].function == AGG_STEP ? "step" : "aggregate",
				   c->aggregates[i].name, &left, to);
	if (all > LISTED_MAX)
		fprintf(to, "    and %u more\n", all - LISTED_MAX);
}

void catalogue_conditions_print(const struct catalogue *c, FILE *to)
{
	struct tally t = { 0 };

	tally_all(c, &t);
	fprintf(to, "%-16s %6u\n", "conditions", t.columns + t.single + t.interpreted);
	fprintf(to, "%-16s %6u\n", "  over columns", t.columns);
	fprintf(to, "%-16s %6u\n", "  one by one", t.single);
	fprintf(to, "%-16s %6u\n", "  interpreted", t.interpreted);
	print_names(c, t.single + t.interpreted, to);
}
