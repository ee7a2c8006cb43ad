// needs: user/control/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_status.c: the JSON of /status: its key names, which scripts read, and that every number is the one of
 * its counter.
 */
#include "control_test.h"

#include <control/show.h>
#include <jansson.h>

static const char golden[] = "engine.term int\n"
			     "engine.ticks int\n"
			     "engine.entries int\n"
			     "engine.sleeps int\n"
			     "engine.filter string\n"
			     "engine.durability string\n"
			     "engine.clock string\n"
			     "engine.direct bool\n"
			     "engine.uptime_s int\n"
			     "engine.started_at_ns int\n"
			     "engine.now_ns int\n"
			     "catalogue.hash string\n"
			     "catalogue.rules int\n"
			     "catalogue.event_types int\n"
			     "connections.open int\n"
			     "connections.refused int\n"
			     "connections.bytes_in int\n"
			     "connections.bytes_out int\n"
			     "prefilter.slots int\n"
			     "prefilter.slots_waiting int\n"
			     "prefilter.joined int\n"
			     "prefilter.refused int\n"
			     "prefilter.runs int\n"
			     "prefilter.bells int\n"
			     "prefilter.overlapped int\n"
			     "prefilter.skb_max int\n"
			     "prefilter.generation int\n"
			     "prefilter.cut int\n"
			     "sources[].name string\n"
			     "sources[].connected bool\n"
			     "sources[].filter string\n"
			     "sources[].expected int\n"
			     "gateways[].name string\n"
			     "gateways[].connected bool\n"
			     "gateways[].up bool\n"
			     "events.in int\n"
			     "events.filtered int\n"
			     "events.duplicate int\n"
			     "events.bad_body int\n"
			     "events.unknown_type int\n"
			     "events.duplicate_ref int\n"
			     "events.too_late int\n"
			     "events.from_the_future int\n"
			     "events.reversal_unmatched int\n"
			     "events.decided int\n"
			     "decided.with_hit int\n"
			     "events_by_type[].name string\n"
			     "events_by_type[].code int\n"
			     "events_by_type[].count int\n"
			     "unknown_types[].code int\n"
			     "unknown_types[].count int\n"
			     "changes.in int\n"
			     "changes.applied int\n"
			     "changes.refused int\n"
			     "changes.not_yet int\n"
			     "hits.made int\n"
			     "hits.noticed int\n"
			     "hits.merged int\n"
			     "hits.scored int\n"
			     "hits.shadow int\n"
			     "hits.suppressed int\n"
			     "suppressed.stale int\n"
			     "suppressed.provisional int\n"
			     "suppressed.reversed int\n"
			     "suppressed.no_recipient int\n"
			     "notices.made int\n"
			     "notices.queued int\n"
			     "notices.held int\n"
			     "notices.digested int\n"
			     "notices.sent int\n"
			     "notices.expired int\n"
			     "notices.suppressed int\n"
			     "notices.unreachable int\n"
			     "legs.made int\n"
			     "legs.queued int\n"
			     "legs.accepted int\n"
			     "legs.failed int\n"
			     "legs.expired int\n"
			     "legs.delivered int\n"
			     "legs.read int\n"
			     "verdicts.approve int\n"
			     "verdicts.review int\n"
			     "verdicts.decline int\n"
			     "texts.no_data int\n"
			     "rules[].name string\n"
			     "rules[].section string\n"
			     "rules[].hits int\n"
			     "rules[].no_data int\n"
			     "rules[].errors int\n"
			     "rules[].legs.push int\n"
			     "rules[].legs.sms int\n"
			     "equations[].name string\n"
			     "equations[].made int\n"
			     "equations[].open int\n"
			     "equations[].closed int\n"
			     "equations[].holds bool\n"
			     "equations_hold bool\n"
			     "refusals.malformed int\n"
			     "refusals.gap int\n"
			     "refusals.forbidden int\n"
			     "refusals.overrun int\n"
			     "refusals.lost int\n"
			     "refusals.peers int\n"
			     "refusals.busy int\n"
			     "refusals.no_hello int\n"
			     "refusals.broken int\n"
			     "journal.batches int\n"
			     "journal.durable int\n"
			     "journal.positions int\n"
			     "journal.base_position int\n"
			     "journal.outputs string\n"
			     "windows.cells int\n"
			     "windows.entries int\n"
			     "windows.bytes int\n"
			     "windows.bytes_max int\n"
			     "windows.full int\n"
			     "windows.refs int\n"
			     "windows.refs_max int\n"
			     "windows.refs_evicted int\n"
			     "windows.provisional_forgotten int\n"
			     "store.customers int\n"
			     "store.accounts int\n"
			     "store.subscriptions int\n"
			     "store.overlay_rows int\n"
			     "store.overlay_bytes int\n"
			     "store.overlay_bytes_max int\n"
			     "store.file_bytes int\n"
			     "store.checkpoints int\n"
			     "store.checkpoints_failed int\n"
			     "store.checkpoint_ns int\n"
			     "outbox.bytes int\n"
			     "outbox.spilled int\n"
			     "outbox.queued[].name string\n"
			     "outbox.queued[].critical int\n"
			     "outbox.queued[].rest int\n"
			     "delivery.messages_sent int\n"
			     "delivery.resent int\n"
			     "delivery.zero_copy_sends int\n"
			     "delivery.zero_copy_copied int\n"
			     "delivery.plain_sends int\n"
			     "latency.tick.count int\n"
			     "latency.tick.p50_ns int\n"
			     "latency.tick.p99_ns int\n"
			     "latency.tick.p999_ns int\n"
			     "latency.tick.max_ns int\n"
			     "latency.durable.count int\n"
			     "latency.durable.p50_ns int\n"
			     "latency.durable.p99_ns int\n"
			     "latency.durable.p999_ns int\n"
			     "latency.durable.max_ns int\n";

static json_t *status_json(const struct engine_status *s, const struct catalogue *c, int64_t wall_ns)
{
	size_t bytes = 0;
	char *text = control_status_text(s, c, wall_ns, &bytes);

	assert_non_null(text);
	assert_int_equal(bytes, strlen(text));
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	assert_non_null(root);
	return root;
}

static const char *type_of(const json_t *value)
{
	return json_is_string(value)	? "string"
	       : json_is_integer(value) ? "int"
	       : json_is_boolean(value) ? "bool"
					: "?";
}

/* A line a leaf: its path and type; of an array its first item. */
static void structure_print(FILE *to, const char *path, const json_t *value)
{
	char below[256];
	const char *key;
	json_t *item;

	if (json_is_array(value)) {
		snprintf(below, sizeof below, "%s[]", path);
		assert_true(json_array_size(value) > 0);
		structure_print(to, below, json_array_get(value, 0));
	} else if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, item)
		{
			snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
			structure_print(to, below, item);
		}
	} else
		fprintf(to, "%s %s\n", path, type_of(value));
}

static void status_has_these_keys(void **state)
{
	struct engine_status *s = status_make();
	struct catalogue *c = catalogue_make(bank_yaml);
	json_t *root = status_json(s, c, s->started_at);
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	(void)state;
	structure_print(to, "", root);
	fclose(to);
	if (getenv("GOLDEN"))
		fputs(text, stderr);
	assert_string_equal(text, golden);
	free(text);
	json_decref(root);
	catalogue_free(c);
	free(s);
}

static int64_t number(const json_t *root, const char *group, const char *key)
{
	const json_t *value = json_object_get(json_object_get(root, group), key);

	if (!json_is_integer(value))
		fail_msg("%s.%s is no number", group, key);
	return json_integer_value(value);
}

static void status_shows_every_counter(void **state)
{
	struct engine_status *s = status_make();
	json_t *root = status_json(s, NULL, s->started_at);
	char lower[CONTROL_NAME_BYTES];
	int64_t next = 1001;

	(void)state;
	for (uint32_t i = 0; i < control_field_count; i++)
		assert_int_equal(number(root, control_fields[i].group, control_fields[i].key), next++);
	for (uint32_t i = 0; i < control_family_count; i++) {
		const struct control_family *f = &control_families[i];
		for (uint32_t j = f->first; j < f->count; j++)
			assert_int_equal(number(root, f->group, control_lower(lower, f->names[j])), next++);
	}
	assert_true(next > 1001 + 80);
	json_decref(root);
	free(s);
}

/* The tables against the enums: an outcome, once added, is shown. */
static void status_has_a_key_for_every_outcome(void **state)
{
	static const struct {
		const char *group;
		uint32_t count, first;
	} rows[] = { { "events", EVENT_OUTCOME_COUNT, 1 },
		     { "changes", CHANGE_OUTCOME_COUNT, 1 },
		     { "hits", HIT_OUTCOME_COUNT, 1 },
		     { "suppressed", SUPPRESSED_REASON_COUNT, 1 },
		     { "notices", NOTICE_STATE_COUNT, 1 },
		     { "legs", LEG_STATE_COUNT, 1 },
		     { "verdicts", 3, 0 },
		     { "refusals", REFUSAL_COUNT, 1 } };

	(void)state;
	assert_int_equal(control_family_count, ARRAY_LEN(rows));
	for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(control_families[i].group, rows[i].group);
		assert_int_equal(control_families[i].count, rows[i].count);
		assert_int_equal(control_families[i].first, rows[i].first);
	}
}

static const json_t *item(const json_t *root, const char *list, const char *name)
{
	size_t index;
	json_t *value;

	json_array_foreach(
		json_object_get(root, list), index,
		value) if (!strcmp(json_string_value(json_object_get(value, "name")), name)) return value;
	fail_msg("%s has no %s", list, name);
	return NULL;
}

static bool holds(const json_t *root, const char *floor)
{
	return json_is_true(json_object_get(item(root, "equations", floor), "holds"));
}

/* One count too many, floor by floor. */
static void status_shows_a_false_equation_as_false(void **state)
{
	struct engine_status *s = status_make();
	struct ledger *l = &s->ledger;
	const struct {
		const char *floor;
		uint64_t *count;
	} rows[] = { { "events", &l->events[EVENT_DECIDED] },
		     { "changes", &l->changes[CHANGE_REFUSED] },
		     { "hits", &l->hits[HIT_SCORED] },
		     { "notices", &l->notices_made },
		     { "legs", &l->legs[LEG_FAILED] },
		     { "suppressed", &l->hits_suppressed[SUPPRESSED_REVERSED] } };

	(void)state;
	ledger_good(l);
	json_t *root = status_json(s, NULL, 0);
	assert_true(json_is_true(json_object_get(root, "equations_hold")));
	assert_int_equal(json_array_size(json_object_get(root, "equations")), ARRAY_LEN(rows));
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(holds(root, rows[i].floor));
	json_decref(root);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		++*rows[i].count;
		root = status_json(s, NULL, 0);
		assert_true(json_is_false(json_object_get(root, "equations_hold")));
		for (unsigned j = 0; j < ARRAY_LEN(rows); j++)
			assert_int_equal(holds(root, rows[j].floor), j != i);
		json_decref(root);
		--*rows[i].count;
	}
	free(s);
}

static void status_sets_unknown_types_apart(void **state)
{
	struct engine_status *s = status_make();
	struct catalogue *c = catalogue_make(bank_yaml);
	json_t *root = status_json(s, c, 0), *unknown = json_object_get(root, "unknown_types");

	(void)state;
	assert_int_equal(json_array_size(json_object_get(root, "events_by_type")), 1);
	assert_int_equal(
		json_integer_value(json_object_get(item(root, "events_by_type", "card.purchase"), "count")),
		71);
	assert_int_equal(json_array_size(unknown), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(unknown, 0), "code")), 77);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(unknown, 0), "count")), 72);
	json_decref(root);
	root = status_json(s, NULL, 0); /* before the first catalogue */
	assert_int_equal(json_array_size(json_object_get(root, "unknown_types")), 2);
	json_decref(root);
	catalogue_free(c);
	free(s);
}

static void status_does_not_show_confidential_rules(void **state)
{
	struct engine_status *s = status_make();
	json_t *root;

	(void)state;
	s->rules[1].confidential = true;
	root = status_json(s, NULL, s->started_at);
	assert_int_equal(json_array_size(json_object_get(root, "rules")), 1);
	assert_non_null(item(root, "rules", "large"));
	json_decref(root);
	free(s);
}

static void status_shows_peers_rules_and_queues(void **state)
{
	struct engine_status *s = status_make();
	json_t *root = status_json(s, NULL, s->started_at + INT64_C(90999999999));

	(void)state;
	const json_t *source = item(root, "sources", "core \"a\\b\"\nx");
	assert_true(json_is_true(json_object_get(source, "connected")));
	assert_int_equal(json_integer_value(json_object_get(source, "expected")), 81);
	assert_true(json_is_false(json_object_get(item(root, "gateways", "caf\303\251"), "connected")));
	assert_true(json_is_false(json_object_get(item(root, "gateways", "bad?"), "up")));
	const json_t *rule = item(root, "rules", "large");
	assert_string_equal(json_string_value(json_object_get(rule, "section")), "subscription");
	assert_int_equal(json_integer_value(json_object_get(rule, "no_data")), 63);
	assert_int_equal(number(rule, "legs", "sms"), 66);
	assert_int_equal(json_object_size(json_object_get(item(root, "rules", "velocity"), "legs")), 0);
	const json_t *push = item(json_object_get(root, "outbox"), "queued", "push");
	assert_int_equal(json_integer_value(json_object_get(push, "critical")), 41);
	assert_int_equal(json_integer_value(json_object_get(push, "rest")), 42);
	assert_int_equal(number(root, "engine", "uptime_s"), 90);
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "catalogue"), "hash")),
			    "ab000000000000000000000000000011");
	const json_t *tick = json_object_get(json_object_get(root, "latency"), "tick");
	assert_int_equal(json_integer_value(json_object_get(tick, "count")), 1001);
	assert_in_range(json_integer_value(json_object_get(tick, "p99_ns")), 1000, 1100);
	assert_int_equal(json_integer_value(json_object_get(tick, "max_ns")), 2500000000);
	json_decref(root);
	free(s);
}

/* Started "in the future", after a step of the wall clock. */
static void status_never_shows_a_negative_uptime(void **state)
{
	struct engine_status *s = status_make();
	json_t *root = status_json(s, NULL, s->started_at - 5000000000);

	(void)state;
	assert_int_equal(number(root, "engine", "uptime_s"), 0);
	json_decref(root);
	free(s);
}

static void status_takes_the_largest_catalogue(void **state)
{
	struct engine_status *s = status_make();

	(void)state;
	s->rule_count = RULES_MAX;
	for (uint32_t i = 0; i < RULES_MAX; i++) {
		s->rules[i] = s->rules[0];
		snprintf(s->rules[i].name, sizeof s->rules[i].name, "rule_%u", i);
	}
	json_t *root = status_json(s, NULL, 0);
	assert_int_equal(json_array_size(json_object_get(root, "rules")), RULES_MAX);
	json_decref(root);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_has_these_keys),
		cmocka_unit_test(status_shows_every_counter),
		cmocka_unit_test(status_has_a_key_for_every_outcome),
		cmocka_unit_test(status_shows_a_false_equation_as_false),
		cmocka_unit_test(status_sets_unknown_types_apart),
		cmocka_unit_test(status_does_not_show_confidential_rules),
		cmocka_unit_test(status_shows_peers_rules_and_queues),
		cmocka_unit_test(status_never_shows_a_negative_uptime),
		cmocka_unit_test(status_takes_the_largest_catalogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
