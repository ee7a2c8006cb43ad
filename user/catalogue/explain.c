/*
 * explain.c: what the pre-filter keeps and why, a line per event type, for `moment check --interest`.
 *
 * In: a compiled catalogue, read only. Out: columns for a bank's people: the type and its code, keep or drop,
 * on which condition, and which rules, aggregates or history want it; where a type is kept whole although
 * some of its rules need less, also what stands in the way. Nothing is allocated; a text that is too long is
 * cut.
 */
#include "interest.h"

#include <assert.h>
#include <base/money.h>
#include <cel/convert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { WORDS_BYTES = 1024, CODES_LISTED_MAX = 8, COLUMN_MAX = 64 };

struct words {
	char text[WORDS_BYTES];
	size_t bytes;
};

static void say(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *w, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(w->text + w->bytes, sizeof w->text - w->bytes, format, args);
	va_end(args);
	assert(n >= 0);
	w->bytes += (size_t)n;
	if (w->bytes >= sizeof w->text)
		w->bytes = sizeof w->text - 1;
}

/* --- conditions --- */

static void say_country(struct words *w, unsigned code)
{
	char name[3] = "";

	for (name[0] = 'A'; name[0] <= 'Z'; name[0]++)
		for (name[1] = 'A'; name[1] <= 'Z'; name[1]++)
			if (money_country_find(name, 2) == code) {
				say(w, "%s", name);
				return;
			}
	say(w, "%u", code);
}

static void say_mcc(struct words *w, unsigned code)
{
	say(w, "%04u", code);
}

static void say_touchpoint(struct words *w, unsigned code)
{
	static const char *const names[TOUCHPOINT_COUNT] = {
#define X(value, name) [value] = #name,
		FRAME_TOUCHPOINTS(X)
#undef X
	};

	if (code < TOUCHPOINT_COUNT && names[code])
		say(w, "%s", names[code]);
	else
		say(w, "%u", code);
}

/* "country ES or FR"; what has no data is kept too, which the manual says once. */
static void say_set(struct words *w, const char *what, const uint64_t *set, unsigned codes,
		    void (*say_code)(struct words *, unsigned))
{
	unsigned count = 0;

	say(w, "%s%s", w->bytes ? ", " : "", what);
	for (unsigned code = 0; code < codes; code++) {
		if (!(set[code / 64] >> (code % 64) & 1))
			continue;
		if (count++ < CODES_LISTED_MAX) {
			say(w, count > 1 ? " or " : " ");
			say_code(w, code);
		}
	}
	if (count == 0)
		say(w, " not given");
	else if (count > CODES_LISTED_MAX)
		say(w, " or %u more", count - CODES_LISTED_MAX);
}

static void say_amount(struct words *w, const struct interest_need *need)
{
	char money[CONVERT_BYTES_MAX];
	size_t bytes;

	if (need->currency == 0) {
		say(w, "amount >= %" PRId64 " minor units", need->amount_min);
		return;
	}
	bytes = cel_money_print(need->amount_min, need->currency, money);
	say(w, "amount >= %.*s", (int)bytes, money);
}

/* "amount >= 30.00 EUR, touchpoint atm or branch, enrolled customers"; nothing for a need without conditions
 */
static struct words conditions_words(const struct interest_need *need)
{
	const uint64_t touchpoints = need->touchpoints;
	struct words w = { .bytes = 0 };

	if (need->conditions & INTEREST_IF_AMOUNT)
		say_amount(&w, need);
	if (need->conditions & INTEREST_IF_TOUCHPOINT)
		say_set(&w, "touchpoint", &touchpoints, 16, say_touchpoint);
	if (need->conditions & INTEREST_IF_COUNTRY)
		say_set(&w, "country", need->country, INTEREST_COUNTRIES, say_country);
	if (need->conditions & INTEREST_IF_MCC)
		say_set(&w, "mcc", need->mcc, INTEREST_MCCS, say_mcc);
	if (need->conditions & INTEREST_IF_ENROLLED)
		say(&w, "%senrolled customers", w.bytes ? ", " : "");
	return w;
}

static const char *need_action(const struct interest_need *need)
{
	return need->action == INTEREST_DROP ? "drop" : need->action == INTEREST_KEEP_IF ? "keep if" : "keep";
}

static void type_need(const struct catalogue *c, const struct cat_event *e, struct interest_need *out)
{
	interest_entry_need(&c->interest->type[e->code], &c->interest->sets, out);
}

/* --- reasons --- */

static void print_names(const struct catalogue *c, const char *what, const uint16_t *rules, uint16_t n,
			const char **between, FILE *to)
{
	for (uint16_t i = 0; i < n; i++) {
		fprintf(to, "%s%s%s", i ? ", " : *between, i ? "" : what, c->rules[rules[i]].name);
		*between = "; ";
	}
}

static void print_aggregates(const struct catalogue *c, const struct cat_event *e, const char **between,
			     FILE *to)
{
	const char *before = "aggregates ";

	for (unsigned a = 0; a < c->aggregate_count; a++)
		if (e->feeds >> a & 1 && c->aggregates[a].function != AGG_STEP) {
			fprintf(to, "%s%s%s", *between, before, c->aggregates[a].name);
			*between = ", ";
			before = "";
		}
	if (!*before)
		*between = "; ";
}

static bool pattern_sees(const struct cat_pattern *p, const struct cat_event *e)
{
	bool sees = p->unless >= 0 && e->feeds >> p->unless & 1;

	for (unsigned i = 0; i < p->step_count; i++)
		sees |= e->feeds >> p->steps[i].aggregate & 1;
	return sees;
}

static void print_patterns(const struct catalogue *c, const struct cat_event *e, const char **between,
			   FILE *to)
{
	const char *before = "patterns ";

	for (unsigned i = 0; i < c->pattern_count; i++)
		if (pattern_sees(&c->patterns[i], e)) {
			fprintf(to, "%s%s%s", *between, before, c->patterns[i].name);
			*between = ", ";
			before = "";
		}
	if (!*before)
		*between = "; ";
}

static bool subscription_listens(const struct catalogue *c, const struct cat_event *e, unsigned rule)
{
	unsigned bit = rule - c->subscription_first;

	return e->subscription_bits[bit / 64] >> (bit % 64) & 1;
}

static void print_users(const struct catalogue *c, const struct cat_event *e, FILE *to)
{
	const char *between = "", *before = "subscriptions ";

	if (e->history == HISTORY_FULL) {
		fprintf(to, "history: full");
		between = "; ";
	}
	print_aggregates(c, e, &between, to);
	print_patterns(c, e, &between, to);
	print_names(c, "fraud ", e->fraud, e->fraud_count, &between, to);
	print_names(c, "critical ", e->critical, e->critical_count, &between, to);
	for (unsigned r = c->subscription_first; r < c->rule_count; r++)
		if (subscription_listens(c, e, r)) {
			fprintf(to, "%s%s%s", between, before, c->rules[r].name);
			between = ", ";
			before = "";
		}
}

/* What the rules of a type need without history and aggregates. */
struct rules_need {
	struct interest_need all;
	const struct cat_rule *whole; /* the first that needs every event */
	bool narrow;		      /* one needs less */
};

static void rules_need_add(const struct catalogue *c, struct rules_need *needs, const struct cat_rule *rule)
{
	struct interest_need need;

	interest_rule_need(c, rule, &need);
	interest_need_join(&needs->all, &need);
	needs->narrow |= need.action != INTEREST_KEEP;
	if (need.action == INTEREST_KEEP && !needs->whole)
		needs->whole = rule;
}

static void rules_need_find(const struct catalogue *c, const struct cat_event *e, struct rules_need *needs)
{
	needs->all.action = INTEREST_DROP;
	needs->all.conditions = 0;
	needs->whole = NULL;
	needs->narrow = false;
	for (uint16_t i = 0; i < e->fraud_count; i++)
		rules_need_add(c, needs, &c->rules[e->fraud[i]]);
	for (uint16_t i = 0; i < e->critical_count; i++)
		rules_need_add(c, needs, &c->rules[e->critical[i]]);
	for (unsigned r = c->subscription_first; r < c->rule_count; r++)
		if (subscription_listens(c, e, r))
			rules_need_add(c, needs, &c->rules[r]);
}

static const char *rule_section_name(const struct cat_rule *rule)
{
	static const char *const names[SECTION_COUNT] = { "", "fraud", "critical", "subscription" };

	return names[rule->section];
}

/* Of a type that is kept whole: what stands in the way of keeping less. Of one that is there for aggregates
 * alone there is nothing to say. */
static void print_obstacle(const struct cat_event *e, const struct rules_need *needs, FILE *to)
{
	struct words w = conditions_words(&needs->all);
	bool full = e->history == HISTORY_FULL, listened = needs->all.action != INTEREST_DROP;

	if (full || e->feeds) {
		if (needs->all.action != INTEREST_KEEP && (listened || !e->feeds))
			fprintf(to, " (without %s%s%s: %s%s%s)", full ? "history: full" : "",
				full && e->feeds ? " and " : "", e->feeds ? "aggregates" : "",
				need_action(&needs->all), w.bytes ? " " : "", w.text);
	} else if (needs->whole && needs->narrow) {
		fprintf(to, " (%s %s needs every event)", rule_section_name(needs->whole),
			needs->whole->name);
	} else if (needs->narrow) {
		fprintf(to, " (its rules have no condition in common)");
	}
}

static void print_reasons(const struct catalogue *c, const struct cat_event *e,
			  const struct interest_need *need, FILE *to)
{
	struct rules_need needs;
	bool listened = e->fraud_count || e->critical_count || e->subscription_count;

	if (need->action == INTEREST_DROP && !listened) {
		fprintf(to, "no rule, no aggregate, history: rules");
		return;
	}
	print_users(c, e, to);
	if (need->action == INTEREST_DROP)
		fprintf(to, " (which can never hold)");
	if (need->action != INTEREST_KEEP)
		return;
	rules_need_find(c, e, &needs);
	print_obstacle(e, &needs, to);
}

/* --- the table --- */

/* Widths of the columns `event type` and `condition`. */
static void columns_measure(const struct catalogue *c, int *name, int *condition)
{
	struct interest_need need;

	*name = (int)strlen("event type");
	*condition = (int)strlen("condition");
	for (unsigned i = 0; i < c->event_count; i++) {
		if (c->events[i].pattern >= 0)
			continue;
		type_need(c, &c->events[i], &need);
		int bytes = (int)strlen(c->events[i].name), words = (int)conditions_words(&need).bytes;
		if (bytes > *name)
			*name = bytes;
		if (words > *condition)
			*condition = words;
	}
	if (*condition > COLUMN_MAX)
		*condition = COLUMN_MAX;
}

void catalogue_interest_print(const struct catalogue *c, FILE *to)
{
	int name, condition;

	columns_measure(c, &name, &condition);
	fprintf(to, "%-*s  %5s  %-7s  %-*s  %s\n", name, "event type", "code", "filter", condition,
		"condition", "who needs it");
	for (unsigned i = 0; i < c->event_count; i++) {
		const struct cat_event *e = &c->events[i];
		struct interest_need need;
		struct words w;

		if (e->pattern >= 0) /* no frame has it: nothing to keep */
			continue;
		type_need(c, e, &need);
		w = conditions_words(&need);
		fprintf(to, "%-*s  %5u  %-7s  %-*s  ", name, e->name, e->code, need_action(&need), condition,
			w.text);
		print_reasons(c, e, &need, to);
		fputc('\n', to);
	}
}
