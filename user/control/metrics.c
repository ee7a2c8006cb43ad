/*
 * metrics.c: struct engine_status -> Prometheus text format 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats). A metric is its HELP and TYPE and then all of its
 * samples; each name occurs once.
 *
 * Counters end in _total, bytes and seconds are base units. Counts of the ledger are part of the state, so
 * they go on after a restart; the others begin at 0. Label values are escaped; a name that is no UTF-8 shows
 * '?'.
 */
#include "fields.h"
#include "show.h"

#include <stdio.h>
#include <stdlib.h>

struct label {
	const char *name, *value;
};

struct writer {
	const struct engine_status *s;
	const struct catalogue *c;
	FILE *to;
};

static const char *const type_names[] = { [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge" };

/* What HELP escapes, and in a label the quote too. */
static void escape(FILE *to, const char *text, bool label)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", to);
		else if (*text == '\\' || (label && *text == '"'))
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
}

static void head(struct writer *w, const char *name, const char *type, const char *help)
{
	fprintf(w->to, "# HELP %s ", name);
	escape(w->to, help, false);
	fprintf(w->to, "\n# TYPE %s %s\n", name, type);
}

/* name{a="..",b=".."}; labels end with the first without a name. */
static void series(struct writer *w, const char *name, const struct label labels[3])
{
	fputs(name, w->to);
	for (unsigned i = 0; i < 3 && labels[i].name; i++) {
		char clean[CONTROL_NAME_BYTES];
		fprintf(w->to, "%s%s=\"", i ? "," : "{", labels[i].name);
		escape(w->to, control_name(clean, labels[i].value), true);
		fputc('"', w->to);
	}
	fputs(labels[0].name ? "} " : " ", w->to);
}

#define LABELS(...) ((const struct label[3]){ __VA_ARGS__ })

static void count(struct writer *w, const char *name, const struct label labels[3], uint64_t value)
{
	series(w, name, labels);
	fprintf(w->to, "%llu\n", (unsigned long long)value);
}

/* ns as seconds, exact: doubles would lose the last digits of a date. */
static void seconds(struct writer *w, const char *name, const struct label labels[3], uint64_t ns)
{
	series(w, name, labels);
	fprintf(w->to, "%llu.%09llu\n", (unsigned long long)(ns / 1000000000),
		(unsigned long long)(ns % 1000000000));
}

static void info_write(struct writer *w)
{
	const struct engine_status *s = w->s;
	char hash[33];

	head(w, "moment_engine_info", "gauge", "How the engine runs; always 1");
	count(w, "moment_engine_info",
	      LABELS({ "filter", s->filter }, { "durability", s->durability }, { "clock", s->clock }), 1);
	head(w, "moment_catalogue_info", "gauge", "The catalogue in force; always 1");
	count(w, "moment_catalogue_info", LABELS({ "hash", control_hash(hash, s->catalogue) }), 1);
	head(w, "moment_catalogue_rules", "gauge", "Rules of the catalogue in force");
	count(w, "moment_catalogue_rules", LABELS({ 0 }), s->rule_count);
	head(w, "moment_journal_direct", "gauge", "1: the journal is written with O_DIRECT");
	count(w, "moment_journal_direct", LABELS({ 0 }), s->direct);
	head(w, "moment_start_time_seconds", "gauge", "When the engine was started, since 1970 UTC");
	seconds(w, "moment_start_time_seconds", LABELS({ 0 }), (uint64_t)s->started_at);
	head(w, "moment_now_seconds", "gauge", "The engine's now, since 1970 UTC");
	seconds(w, "moment_now_seconds", LABELS({ 0 }), s->now > 0 ? (uint64_t)s->now : 0);
	head(w, "moment_checkpoint_last_seconds", "gauge", "How long the last checkpoint took");
	seconds(w, "moment_checkpoint_last_seconds", LABELS({ 0 }), s->store.checkpoint_ns_last);
}

static void fields_write(struct writer *w)
{
	for (uint32_t i = 0; i < control_field_count; i++) {
		const struct control_field *f = &control_fields[i];
		head(w, f->metric, type_names[f->type], f->help);
		count(w, f->metric, LABELS({ 0 }), control_value(w->s, f->offset));
	}
}

/* HELP says what each value means: there is nowhere else for it. */
static void family_head(struct writer *w, const struct control_family *f)
{
	char lower[CONTROL_NAME_BYTES];

	fprintf(w->to, "# HELP %s %s.", f->metric, f->help);
	for (uint32_t i = f->first; i < f->count; i++) {
		fprintf(w->to, " %s: ", control_lower(lower, f->names[i]));
		escape(w->to, f->texts[i], false);
		fputs(i + 1 < f->count ? ";" : ".", w->to);
	}
	fprintf(w->to, "\n# TYPE %s %s\n", f->metric, type_names[f->type]);
}

static void families_write(struct writer *w)
{
	char lower[CONTROL_NAME_BYTES];

	for (uint32_t i = 0; i < control_family_count; i++) {
		const struct control_family *f = &control_families[i];
		family_head(w, f);
		for (uint32_t j = f->first; j < f->count; j++)
			count(w, f->metric, LABELS({ f->label, control_lower(lower, f->names[j]) }),
			      control_value(w->s, f->offset + j * sizeof(uint64_t)));
	}
}

static void types_write(struct writer *w)
{
	static const char name[] = "moment_events_by_type_total";
	char digits[8];

	head(w, name, "counter",
	     "Events kept, by type code; the type is empty for a code that the catalogue in force does not "
	     "have");
	for (uint32_t code = 0; code < 65536; code++) {
		if (!w->s->by_type[code])
			continue;
		int16_t event = (int16_t)(w->c ? w->c->event_by_code[code] : -1);
		snprintf(digits, sizeof digits, "%u", code);
		count(w, name,
		      LABELS({ "code", digits }, { "type", event < 0 ? "" : w->c->events[event].name }),
		      w->s->by_type[code]);
	}
}

static void rules_write(struct writer *w)
{
	for (uint32_t f = 0; f < control_rule_field_count; f++) {
		const struct control_field *field = &control_rule_fields[f];
		head(w, field->metric, type_names[field->type], field->help);
		for (uint32_t i = 0; i < w->s->rule_count; i++) {
			const struct ledger_rule *rule = &w->s->rules[i];
			if (rule->confidential)
				continue;
			count(w, field->metric,
			      LABELS({ "rule", rule->name }, { "section", control_section(rule->section) }),
			      control_value(rule, field->offset));
		}
	}
}

static void rule_legs_write(struct writer *w)
{
	head(w, "moment_rule_legs_total", "counter", "Legs made, by rule and channel");
	for (uint32_t i = 0; i < w->s->rule_count; i++) {
		const struct ledger_rule *rule = &w->s->rules[i];
		for (uint32_t slot = 0; slot < w->s->slot_count; slot++)
			if (rule->legs[slot])
				count(w, "moment_rule_legs_total",
				      LABELS({ "rule", rule->name },
					     { "section", control_section(rule->section) },
					     { "channel", w->s->slot_name[slot] }),
				      rule->legs[slot]);
	}
}

static void equations_write(struct writer *w)
{
	struct ledger_equation equations[CONTROL_EQUATIONS];
	bool hold = control_equations(&w->s->ledger, equations);

	head(w, "moment_ledger_holds", "gauge", "1: made = open + closed, by floor of the ledger");
	for (unsigned i = 0; i < CONTROL_EQUATIONS; i++)
		count(w, "moment_ledger_holds", LABELS({ "floor", equations[i].name }),
		      equations[i].made == equations[i].open + equations[i].closed);
	head(w, "moment_ledger_holds_all", "gauge", "1: every floor of the ledger adds up");
	count(w, "moment_ledger_holds_all", LABELS({ 0 }), hold);
}

static void peers_write(struct writer *w)
{
	const struct peers *peers = &w->s->peers;

	head(w, "moment_peer_connected", "gauge", "1: the source or gateway is connected");
	for (uint32_t i = 0; i < peers->count; i++)
		if (peers->peer[i].role == ROLE_OF_SOURCE || peers->peer[i].role == ROLE_OF_GATEWAY)
			count(w, "moment_peer_connected",
			      LABELS({ "peer", peers->identity[i].name },
				     { "role",
				       peers->peer[i].role == ROLE_OF_SOURCE ? "source" : "gateway" }),
			      w->s->live[i].conn != 0);
	head(w, "moment_source_expected_sequence", "gauge", "Next sequence of a source's stream");
	for (uint32_t i = 0; i < peers->count; i++)
		if (peers->peer[i].role == ROLE_OF_SOURCE)
			count(w, "moment_source_expected_sequence",
			      LABELS({ "peer", peers->identity[i].name }), peers->peer[i].expected);
}

static void outbox_write(struct writer *w)
{
	static const char *const lanes[LANES] = { "rest", "critical" };

	head(w, "moment_outbox_legs", "gauge", "Legs that no gateway accepted yet");
	for (uint32_t slot = 0; slot < w->s->slot_count; slot++)
		for (unsigned critical = 0; critical < LANES; critical++)
			count(w, "moment_outbox_legs",
			      LABELS({ "channel", w->s->slot_name[slot] }, { "lane", lanes[critical] }),
			      w->s->queues[outbox_queue_of(slot, critical)].open);
}

/* A summary since start, and the largest value apart, which the format has no place for. */
static void histogram_write(struct writer *w, const char *name, const char *max_name, const char *help,
			    const struct histogram *h)
{
	static const struct {
		const char *label;
		double part;
	} quantiles[] = { { "0.5", 0.5 }, { "0.99", 0.99 }, { "0.999", 0.999 } };
	char part[64];

	head(w, name, "summary", help);
	for (unsigned i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
		seconds(w, name, LABELS({ "quantile", quantiles[i].label }),
			(uint64_t)histogram_percentile(h, quantiles[i].part));
	snprintf(part, sizeof part, "%s_sum", name);
	seconds(w, part, LABELS({ 0 }), h->sum_ns);
	snprintf(part, sizeof part, "%s_count", name);
	count(w, part, LABELS({ 0 }), h->count);
	head(w, max_name, "gauge", "The largest since start");
	seconds(w, max_name, LABELS({ 0 }), (uint64_t)h->max_ns);
}

char *control_metrics_text(const struct engine_status *s, const struct catalogue *in_force, size_t *bytes)
{
	char *text = NULL;
	struct writer w = { .s = s, .c = in_force, .to = open_memstream(&text, bytes) };

	if (!w.to)
		return NULL;
	info_write(&w);
	fields_write(&w);
	families_write(&w);
	types_write(&w);
	rules_write(&w);
	rule_legs_write(&w);
	equations_write(&w);
	peers_write(&w);
	outbox_write(&w);
	histogram_write(&w, "moment_tick_seconds", "moment_tick_max_seconds", "One turn of the engine",
			&s->tick);
	histogram_write(&w, "moment_durable_seconds", "moment_durable_max_seconds",
			"From a batch's sealing to its durability", &s->durable_wait);
	bool failed = ferror(w.to);
	if (fclose(w.to) || failed) {
		free(text);
		return NULL;
	}
	return text;
}
