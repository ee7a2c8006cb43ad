/*
 * events.c: the sections `events` and `groups`: types, their codes and body fields, sets of types.
 *
 * Entries in; cat_event, cat_field, event_by_code and the sets of groups out. A body field has one type in
 * the whole catalogue, so that an expression over several types of events has one meaning. What every event
 * carries (SEMANTICS 4, catalogue.h EVENT_FIELDS) cannot be declared again.
 */
#include "compile.h"

#include <string.h>

static const enum value_type field_types[] = { TYPE_BOOL, TYPE_INT, TYPE_DOUBLE, TYPE_STRING,
					       TYPE_TIMESTAMP };

static bool field_reserved(const char *name)
{
	static const char *const names[] = {
#define X(name, type, unit) #name,
		EVENT_FIELDS(X)
#undef X
			"of",
		"verdict"
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The field of that name, made when it is new; -1 when there is no room. */
static int field_intern(struct build *b, const struct node *key, enum value_type type)
{
	struct catalogue *c = b->c;

	for (uint16_t i = 0; i < c->field_count; i++) {
		if (strcmp(b->field[i].name, key->text) != 0)
			continue;
		if (b->field[i].type != type)
			build_problem(b, key, "found body field '%s' as %s; it is %s in another event type",
				      key->text, cel_type_name(type), cel_type_name(b->field[i].type));
		return i;
	}
	if (c->field_count == BODY_FIELDS_MAX) {
		build_problem(b, key, "the catalogue has more body fields than the limit of %d",
			      BODY_FIELDS_MAX);
		return -1;
	}
	b->field[c->field_count] = (struct cat_field){ build_copy(b, key->text, key->bytes), type };
	return c->field_count++;
}

static void event_body(struct build *b, struct cat_event *event, const struct node *body)
{
	uint16_t *fields;

	if (body->kind != NODE_MAP)
		return;
	fields = build_array(b, uint16_t, body->count + 1);
	event->fields = fields;
	for (const struct node *key = body->first; key; key = key->next) {
		int type, number;
		if (!name_check(b, key, false, "a body field"))
			continue;
		if (field_reserved(key->text)) {
			build_problem(b, key, "the body field '%s' is reserved: every event has it",
				      key->text);
			continue;
		}
		type = scalar_type(b, key->value, field_types, ARRAY_LEN(field_types));
		number = type < 0 ? -1 : field_intern(b, key, (enum value_type)type);
		if (number >= 0)
			fields[event->field_count++] = (uint16_t)number;
	}
}

static void event_code(struct build *b, uint32_t number, const struct node *n)
{
	struct cat_event *event = &b->event[number];
	int64_t code;

	if (!scalar_int(b, n, 1, 65535, &code))
		return;
	if (b->c->event_by_code[code] >= 0) {
		build_problem(b, n, "found code %lld a second time; '%s' has it", (long long)code,
			      b->event[b->c->event_by_code[code]].name);
		return;
	}
	event->code = (uint16_t)code;
	b->c->event_by_code[code] = (int16_t)number;
}

/* What is no event of a frame: pattern.NAME, and what later versions have. */
static bool is_engine_event(const char *name)
{
	static const char *const prefixes[] = { "pattern.", "timer.", "segment.", "journey." };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void event_compile(struct build *b, uint32_t number)
{
	static const char *const histories[] = { "full", "rules" };
	const struct entry *entry = &b->sections[IN_EVENTS].entries[number];
	struct cat_event *event = &b->event[number];
	const struct node *n;

	event->name = entry->name;
	if (strcmp(event->name, "any") == 0)
		build_problem(b, entry->key, "'any' is the group of all event types, expected another name");
	if (is_engine_event(event->name))
		build_problem(
			b, entry->key,
			"found the event type '%.80s', but such names are for what the engine itself finds; "
			"expected another name",
			event->name);
	map_check(b, entry->key, entry->value, MAP_EVENT);
	if ((n = yaml_get(entry->value, "code")) && n->kind == NODE_SCALAR)
		event_code(b, number, n);
	if ((n = yaml_get(entry->value, "history")))
		event->history = scalar_choice(b, n, histories, 2) == 1 ? HISTORY_RULES : HISTORY_FULL;
	if ((n = yaml_get(entry->value, "body")))
		event_body(b, event, n);
}

static void event_set_all(const struct build *b, struct event_set *out)
{
	for (unsigned i = 0; i < b->type_count; i++)
		out->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool engine_event_add(struct build *b, const struct node *n, enum events_for use,
			     struct event_set *out)
{
	const char *name = n->text + strlen("pattern.");
	char near[96];
	int64_t number;

	if (strncmp(n->text, "pattern.", strlen("pattern.")) != 0) {
		build_problem(b, n, "not yet: '%.64s' as an event is not built", n->text);
		return false;
	}
	if (use != EVENTS_OF_RULE) {
		build_problem(b, n, "found '%.80s', which only rules can listen to; expected an event type%s",
			      n->text, use == EVENTS_OF_GROUP ? " (a group holds types only)" : " or group");
		return false;
	}
	number = names_find(&b->patterns, name);
	if (number < 0) {
		if (!b->incomplete)
			build_problem(b, n, "found '%.80s', but there is no pattern of that name%s", n->text,
				      names_suggest(b, &b->patterns, name, near, sizeof near));
		return false;
	}
	number += b->type_count;
	out->bits[number / 64] |= UINT64_C(1) << (number % 64);
	return true;
}

/* A name of a list: a type, a group or any. */
static bool event_name_add(struct build *b, const struct node *n, enum events_for use, struct event_set *out)
{
	bool groups = use != EVENTS_OF_GROUP;
	char near[96] = "", group_near[96] = "";
	int64_t number = n->kind == NODE_SCALAR ? names_find(&b->events, n->text) : -1;

	if (number >= 0) {
		out->bits[number / 64] |= UINT64_C(1) << (number % 64);
		return true;
	}
	if (n->kind != NODE_SCALAR)
		return names_resolve(b, &b->events, n, "an event type or group") >= 0;
	if (groups && strcmp(n->text, "any") == 0) {
		event_set_all(b, out);
		return true;
	}
	number = names_find(&b->groups, n->text);
	if (groups && number >= 0) {
		for (size_t i = 0; i < ARRAY_LEN(out->bits); i++)
			out->bits[i] |= b->group_sets[number].bits[i];
		return true;
	}
	if (is_engine_event(n->text))
		return engine_event_add(b, n, use, out);
	if (b->incomplete)
		return false;
	names_suggest(b, &b->events, n->text, near, sizeof near);
	if (groups && !near[0])
		names_suggest(b, &b->groups, n->text, group_near, sizeof group_near);
	build_problem(b, n, "found '%.80s', expected an event type%s%s", n->text,
		      groups ? " or group" : " (a group holds types only)", near[0] ? near : group_near);
	return false;
}

bool events_resolve(struct build *b, const struct node *list, const char *what, enum events_for use,
		    struct event_set *out)
{
	bool good = true;

	if (list->kind != NODE_LIST)
		return false; /* map_check has said so */
	if (list->count == 0) {
		build_problem(b, list, "found an empty list for '%s', expected event types", what);
		return false;
	}
	for (const struct node *n = list->first; n; n = n->next) {
		good &= event_name_add(b, n, use, out);
		for (const struct node *m = list->first; m != n; m = m->next)
			if (m->kind == NODE_SCALAR && n->kind == NODE_SCALAR &&
			    strcmp(m->text, n->text) == 0) {
				build_problem(b, n, "found '%.64s' a second time in '%s'", n->text, what);
				break;
			}
	}
	return good;
}

static void group_compile(struct build *b, uint32_t number)
{
	const struct entry *entry = &b->sections[IN_GROUPS].entries[number];
	char found[300];

	if (strcmp(entry->name, "any") == 0)
		build_problem(b, entry->key, "'any' is the group of all event types, expected another name");
	else if (names_find(&b->events, entry->name) >= 0)
		build_problem(b, entry->key, "the group '%s' has the name of an event type", entry->name);
	if (entry->value->kind != NODE_LIST)
		build_problem(b, entry->value, "found %s, expected a list of event types: [a, b]",
			      node_found(entry->value, found, sizeof found));
	else
		events_resolve(b, entry->value, entry->name, EVENTS_OF_GROUP, &b->group_sets[number]);
}

/* Types behind those of frames, one a pattern; patterns.c fills them. */
static void pattern_types(struct build *b)
{
	const struct section *patterns = &b->sections[IN_PATTERNS];

	names_build(b, &b->patterns, patterns);
	for (uint32_t i = 0; i < patterns->count; i++) {
		struct cat_event *event = &b->event[b->type_count + i];
		char name[sizeof "pattern." + NAME_BYTES_MAX];
		int n = snprintf(name, sizeof name, "pattern.%.*s", NAME_BYTES_MAX,
				 patterns->entries[i].name);
		event->name = build_copy(b, name, (size_t)n);
		event->history = HISTORY_RULES;
		event->pattern = (int16_t)i;
	}
}

static void check_count(struct build *b)
{
	struct section *patterns = &b->sections[IN_PATTERNS];
	uint32_t types = b->sections[IN_EVENTS].count;

	if (types + patterns->count <= EVENT_TYPES_MAX)
		return;
	build_problem(b, patterns->entries[0].key,
		      "the catalogue has %u event types and %u patterns, the limit is %d together", types,
		      patterns->count, EVENT_TYPES_MAX);
	patterns->count = 0;
	b->incomplete = true;
}

void events_compile(struct build *b)
{
	struct catalogue *c = b->c;

	check_count(b);

	c->event_by_code = build_array(b, int16_t, INTEREST_TYPES);
	memset(c->event_by_code, 0xff, sizeof(int16_t) * INTEREST_TYPES);
	b->field = build_array(b, struct cat_field, BODY_FIELDS_MAX);
	c->fields = b->field;
	b->type_count = (uint16_t)b->sections[IN_EVENTS].count;
	c->event_count = (uint16_t)(b->type_count + b->sections[IN_PATTERNS].count);
	b->event = build_array(b, struct cat_event, c->event_count + 1);
	c->events = b->event;
	names_build(b, &b->events, &b->sections[IN_EVENTS]);
	names_build(b, &b->groups, &b->sections[IN_GROUPS]);
	b->group_sets = build_scratch_array(b, struct event_set, b->groups.count + 1);
	for (uint32_t i = 0; i < b->type_count; i++) {
		b->event[i].pattern = -1;
		event_compile(b, i);
	}
	pattern_types(b);
	for (uint32_t i = 0; i < b->sections[IN_GROUPS].count; i++)
		group_compile(b, i);
}
