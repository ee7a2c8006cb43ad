/*
 * status.c: struct engine_status -> JSON. One function a group, in the order in which they are shown; plain
 * numbers come from the tables in fields.c. The key names are read by scripts: they only ever gain.
 *
 * Members named "holds" are the equations; `moment status` looks for a false one. Times are ns, in keys that
 * end in _ns. Without memory a value is missing somewhere, which `failed` remembers: then there is no text at
 * all.
 */
#include "fields.h"
#include "show.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	const struct engine_status *s;
	const struct catalogue *c;
	json_t *root;
	bool failed;
};

static void put(struct writer *w, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		w->failed = true;
}

static void put_count(struct writer *w, json_t *object, const char *key, uint64_t value)
{
	put(w, object, key, json_integer((json_int_t)value));
}

static void put_name(struct writer *w, json_t *object, const char *key, const char *name)
{
	char clean[CONTROL_NAME_BYTES];

	put(w, object, key, json_string(control_name(clean, name)));
}

static void put_hash(struct writer *w, json_t *object, const char *key, struct hash128 hash)
{
	char hex[33];

	put(w, object, key, json_string(control_hash(hex, hash)));
}

/* A new object at the end of an array. */
static json_t *push(struct writer *w, json_t *array)
{
	json_t *item = json_object();

	if (json_array_append_new(array, item)) {
		w->failed = true;
		return NULL;
	}
	return item;
}

static json_t *list(struct writer *w, json_t *object, const char *key)
{
	json_t *array = json_array();

	put(w, object, key, array);
	return json_object_get(object, key);
}

/* A group with all numbers that the tables have for it. */
static json_t *group(struct writer *w, const char *name)
{
	json_t *object = json_object();
	char lower[CONTROL_NAME_BYTES];

	put(w, w->root, name, object);
	object = json_object_get(w->root, name);
	for (uint32_t i = 0; i < control_field_count; i++)
		if (strcmp(control_fields[i].group, name) == 0)
			put_count(w, object, control_fields[i].key,
				  control_value(w->s, control_fields[i].offset));
	for (uint32_t i = 0; i < control_family_count; i++) {
		const struct control_family *f = &control_families[i];
		for (uint32_t j = f->first; strcmp(f->group, name) == 0 && j < f->count; j++)
			put_count(w, object, control_lower(lower, f->names[j]),
				  control_value(w->s, f->offset + j * sizeof(uint64_t)));
	}
	return object;
}

static void engine_put(struct writer *w, int64_t wall_ns)
{
	const struct engine_status *s = w->s;
	json_t *object = group(w, "engine");
	int64_t up_ns = wall_ns > s->started_at ? wall_ns - s->started_at : 0;

	put_name(w, object, "filter", s->filter);
	if (s->prefilter_why[0])
		put(w, object, "filter_why", json_string(s->prefilter_why));
	put_name(w, object, "durability", s->durability);
	put_name(w, object, "clock", s->clock);
	put(w, object, "direct", json_boolean(s->direct));
	put(w, object, "uptime_s", json_integer(up_ns / 1000000000));
	put(w, object, "started_at_ns", json_integer(s->started_at));
	put(w, object, "now_ns", json_integer(s->now));
}

static void catalogue_put(struct writer *w)
{
	json_t *object = group(w, "catalogue");

	put_hash(w, object, "hash", w->s->catalogue);
	put_count(w, object, "rules", w->s->rule_count);
	put_count(w, object, "event_types", w->c ? w->c->event_count - w->c->pattern_count : 0);
}

/* Where its events are filtered: a source may be served in user space although the kernel filters. */
static const char *source_filter(const struct engine_status *s, uint32_t peer)
{
	if (!s->live[peer].conn)
		return "none";
	if (s->live[peer].kernel)
		return "kernel";
	return strcmp(s->filter, "off") == 0 ? "off" : "user";
}

static void peers_put(struct writer *w, const char *key, uint8_t role)
{
	json_t *array = list(w, w->root, key);

	for (uint32_t i = 0; i < w->s->peers.count; i++) {
		const struct peer *peer = &w->s->peers.peer[i];
		if (peer->role != role)
			continue;
		json_t *item = push(w, array);
		put_name(w, item, "name", w->s->peers.identity[i].name);
		put(w, item, "connected", json_boolean(w->s->live[i].conn != 0));
		if (role == ROLE_OF_GATEWAY) {
			put(w, item, "up", json_boolean(peer->up));
			continue;
		}
		put_name(w, item, "filter", source_filter(w->s, i));
		put_count(w, item, "expected", peer->expected);
	}
}

/* Kept events by type; a code that the catalogue in force does not have stands apart. */
static void types_put(struct writer *w)
{
	json_t *known = list(w, w->root, "events_by_type"), *unknown = list(w, w->root, "unknown_types");

	for (uint32_t code = 0; code < 65536; code++) {
		if (!w->s->by_type[code])
			continue;
		int16_t event = (int16_t)(w->c ? w->c->event_by_code[code] : -1);
		json_t *item = push(w, event < 0 ? unknown : known);
		if (event >= 0)
			put_name(w, item, "name", w->c->events[event].name);
		put_count(w, item, "code", code);
		put_count(w, item, "count", w->s->by_type[code]);
	}
}

static void rules_put(struct writer *w)
{
	json_t *array = list(w, w->root, "rules");

	for (uint32_t i = 0; i < w->s->rule_count; i++) {
		const struct ledger_rule *rule = &w->s->rules[i];
		json_t *item, *legs;
		if (rule->confidential)
			continue;
		item = push(w, array);
		legs = json_object();
		char channel[CONTROL_NAME_BYTES];
		put_name(w, item, "name", rule->name);
		put_name(w, item, "section", control_section(rule->section));
		for (uint32_t f = 0; f < control_rule_field_count; f++)
			put_count(w, item, control_rule_fields[f].key,
				  control_value(rule, control_rule_fields[f].offset));
		for (uint32_t slot = 0; slot < w->s->slot_count; slot++)
			if (rule->legs[slot])
				put_count(w, legs, control_name(channel, w->s->slot_name[slot]),
					  rule->legs[slot]);
		put(w, item, "legs", legs);
	}
}

static void equations_put(struct writer *w)
{
	struct ledger_equation equations[CONTROL_EQUATIONS];
	bool hold = control_equations(&w->s->ledger, equations);
	json_t *array = list(w, w->root, "equations");

	for (unsigned i = 0; i < CONTROL_EQUATIONS; i++) {
		const struct ledger_equation *e = &equations[i];
		json_t *item = push(w, array);
		put_name(w, item, "name", e->name);
		put_count(w, item, "made", e->made);
		put_count(w, item, "open", e->open);
		put_count(w, item, "closed", e->closed);
		put(w, item, "holds", json_boolean(e->made == e->open + e->closed));
	}
	put(w, w->root, "equations_hold", json_boolean(hold));
}

static void outbox_put(struct writer *w)
{
	json_t *object = group(w, "outbox"), *array = list(w, object, "queued");

	for (uint32_t slot = 0; slot < w->s->slot_count; slot++) {
		json_t *item = push(w, array);
		put_name(w, item, "name", w->s->slot_name[slot]);
		put_count(w, item, "critical", w->s->queues[outbox_queue_of(slot, true)].open);
		put_count(w, item, "rest", w->s->queues[outbox_queue_of(slot, false)].open);
	}
}

static void histogram_put(struct writer *w, json_t *object, const char *key, const struct histogram *h)
{
	json_t *item = json_object();

	put_count(w, item, "count", h->count);
	put(w, item, "p50_ns", json_integer(histogram_percentile(h, 0.5)));
	put(w, item, "p99_ns", json_integer(histogram_percentile(h, 0.99)));
	put(w, item, "p999_ns", json_integer(histogram_percentile(h, 0.999)));
	put(w, item, "max_ns", json_integer(h->max_ns));
	put(w, object, key, item);
}

static void all_put(struct writer *w, int64_t wall_ns)
{
	engine_put(w, wall_ns);
	catalogue_put(w);
	group(w, "connections");
	group(w, "prefilter");
	peers_put(w, "sources", ROLE_OF_SOURCE);
	peers_put(w, "gateways", ROLE_OF_GATEWAY);
	group(w, "events");
	group(w, "decided"); /* apart, so that the outcomes of `events` alone add up to `in` */
	types_put(w);
	group(w, "changes");
	group(w, "hits");
	group(w, "suppressed");
	group(w, "notices");
	group(w, "legs");
	group(w, "verdicts");
	group(w, "texts");
	rules_put(w);
	equations_put(w);
	group(w, "refusals");
	put_hash(w, group(w, "journal"), "outputs", w->s->outputs);
	group(w, "windows");
	put_count(w, group(w, "store"), "checkpoint_ns", w->s->store.checkpoint_ns_last);
	outbox_put(w);
	group(w, "delivery");
	json_t *latency = group(w, "latency");
	histogram_put(w, latency, "tick", &w->s->tick);
	histogram_put(w, latency, "durable", &w->s->durable_wait);
}

char *control_status_text(const struct engine_status *s, const struct catalogue *in_force, int64_t wall_ns,
			  size_t *bytes)
{
	struct writer w = { .s = s, .c = in_force, .root = json_object() };

	all_put(&w, wall_ns);
	char *text = w.failed ? NULL : json_dumps(w.root, JSON_INDENT(1));
	json_decref(w.root);
	*bytes = text ? strlen(text) : 0;
	return text;
}
