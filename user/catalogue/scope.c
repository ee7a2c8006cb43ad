/*
 * scope.c: what a dotted name means in an expression of the catalogue, and expressions at their place.
 *
 * A name and a scope go in; a symbol (space, index, type, unit) comes out, or the complete reason why
 * not. A name that stands for something which is a problem of its own is refused quietly: one mistake, one
 * problem. Names are found by sorted tables, never by hash.
 */
#include "compile.h"

#include <assert.h>
#include <base/money.h>
#include <errno.h>
#include <moment/frame.h>
#include <stdarg.h>
#include <string.h>

static const char *const event_field_names[FIELD_COUNT] = {
#define X(name, type, unit) #name,
	EVENT_FIELDS(X)
#undef X
};

static const struct {
	enum value_type type;
	enum value_unit unit;
} event_field_types[FIELD_COUNT] = {
#define X(name, type, unit) { type, unit },
	EVENT_FIELDS(X)
#undef X
};

static const char *const account_names[ACCOUNT_FIELD_COUNT] = { "currency", "alias", "status", "holders" };
static const enum value_type account_types[ACCOUNT_FIELD_COUNT] = { TYPE_INT, TYPE_STRING, TYPE_STRING,
								    TYPE_INT };
static const char *const me_names[ME_COUNT] = { "customer", "role" };
static const enum value_type me_types[ME_COUNT] = { TYPE_INT, TYPE_STRING };

static const char *const touchpoint_names[] = {
#define X(value, name) #name,
	FRAME_TOUCHPOINTS(X)
#undef X
};

/* Groups of ISO 18245 that rules name often; any other code is written as its number. */
static const struct {
	const char *name;
	int16_t code;
} mcc_table[] = { { "airlines", 4511 },	      { "atm", 6011 },	       { "car_rental", 7512 },
		  { "crypto", 6051 },	      { "fuel", 5541 },	       { "gambling", 7995 },
		  { "groceries", 5411 },      { "hotels", 7011 },      { "jewellery", 5944 },
		  { "pharmacies", 5912 },     { "restaurants", 5812 }, { "taxis", 4121 },
		  { "travel_agencies", 4722 } };

static bool refuse(struct scope *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct scope *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->why, sizeof s->why, format, args);
	va_end(args);
	s->refused = true;
	return false;
}

static bool refuse_quietly(struct scope *s)
{
	s->quiet = true;
	return refuse(s, "named in another problem");
}

static bool symbol_set(struct cel_symbol *out, enum cel_space space, size_t index, enum value_type type,
		       enum value_unit unit)
{
	*out = (struct cel_symbol){ .space = space, .index = (uint16_t)index, .type = type, .unit = unit };
	return true;
}

static int list_find(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return (int)i;
	return -1;
}

static bool refuse_unknown(struct scope *s, const char *prefix, const char *what, const char *name,
			   const char *near)
{
	if (s->b->incomplete)
		return refuse_quietly(s);
	return refuse(s, "found '%s.%.80s', but there is no %s of that name%s", prefix, name, what, near);
}

/* --- constants --- */

static bool mcc_find(const char *name, int64_t *out)
{
	for (size_t i = 0; i < ARRAY_LEN(mcc_table); i++)
		if (strcmp(mcc_table[i].name, name) == 0) {
			*out = mcc_table[i].code;
			return true;
		}
	return false;
}

bool constant_find(const char *name, size_t len, int64_t *out)
{
	char copy[NAME_BYTES_MAX + 1];
	const struct money_currency *currency;
	char *rest;
	int number;

	if (len >= sizeof copy)
		return false;
	memcpy(copy, name, len);
	copy[len] = 0;
	rest = strchr(copy, '.');
	if (!rest)
		return false;
	*rest++ = 0;
	if (strcmp(copy, "country") == 0)
		return (*out = money_country_find(rest, strlen(rest))) != 0;
	if (strcmp(copy, "currency") == 0) {
		currency = money_currency_find(rest, strlen(rest));
		*out = currency ? currency->numeric : 0;
		return currency != NULL;
	}
	if (strcmp(copy, "touchpoint") == 0) {
		number = list_find(touchpoint_names, ARRAY_LEN(touchpoint_names), rest);
		*out = number + 1;
		return number >= 0;
	}
	return strcmp(copy, "mcc") == 0 && mcc_find(rest, out);
}

static bool resolve_constant(struct scope *s, const char *prefix, const char *rest, struct cel_symbol *out)
{
	static const char *const what[] = { "country", "currency", "touchpoint", "mcc" };
	static const char *const full[] = { "country of ISO 3166-1", "currency of ISO 4217", "touchpoint",
					    "group of ISO 18245" };
	const char *names[ARRAY_LEN(mcc_table)], *const *list = touchpoint_names;
	char name[4 * NAME_BYTES_MAX], near[96] = "";
	int kind = list_find(what, ARRAY_LEN(what), prefix);
	size_t n = ARRAY_LEN(touchpoint_names);
	int64_t value;

	snprintf(name, sizeof name, "%s.%s", prefix, rest);
	if (constant_find(name, strlen(name), &value)) {
		symbol_set(out, SPACE_CONSTANT, 0, TYPE_INT, UNIT_NONE);
		out->constant = (struct value){ .type = TYPE_INT, .i = value };
		return true;
	}
	if (kind == 3) {
		for (n = 0; n < ARRAY_LEN(mcc_table); n++)
			names[n] = mcc_table[n].name;
		list = names;
	}
	if (kind >= 2)
		list_suggest(list, n, rest, near, sizeof near);
	return refuse(s, "found '%s', but there is no %s of that name%s", name, full[kind], near);
}

/* --- body fields: who declares them --- */

bool event_declares(const struct cat_event *event, uint16_t field)
{
	for (uint16_t i = 0; i < event->field_count; i++)
		if (event->fields[i] == field)
			return true;
	return false;
}

bool set_declares(const struct build *b, const struct event_set *events, uint16_t field)
{
	for (unsigned e = 0; e < b->c->event_count; e++)
		if (event_set_has(events, e) && event_declares(&b->event[e], field))
			return true;
	return false;
}

bool set_empty(const struct event_set *events)
{
	for (size_t i = 0; i < ARRAY_LEN(events->bits); i++)
		if (events->bits[i])
			return false;
	return true;
}

int body_field_resolve(struct build *b, const struct node *n, const char *name,
		       const struct event_set *events, const char *what)
{
	const char *all[BODY_FIELDS_MAX];
	char near[96];

	for (uint16_t i = 0; i < b->c->field_count; i++) {
		all[i] = b->field[i].name;
		if (strcmp(all[i], name) != 0)
			continue;
		if (set_empty(events) || set_declares(b, events, i))
			return i;
		build_problem(b, n, "found 'body.%.64s', but no event type of %s has that body field", name,
			      what);
		return -1;
	}
	if (!b->incomplete)
		build_problem(b, n, "found 'body.%.64s', but there is no body field of that name%s", name,
			      list_suggest(all, b->c->field_count, name, near, sizeof near));
	return -1;
}

/* What sees event and profile only. */
static bool scope_is_window(const struct scope *s)
{
	return s->kind == SCOPE_WHERE || s->kind == SCOPE_STEP;
}

static const char *scope_noun(const struct scope *s)
{
	return s->kind == SCOPE_WHERE ? "aggregate" : s->kind == SCOPE_STEP ? "step" : "rule";
}

static bool refuse_in_window(struct scope *s, const char *prefix, const char *rest)
{
	return refuse(s, "found '%s.%.80s'; the %s sees event and profile only", prefix, rest,
		      s->kind == SCOPE_WHERE ? "'where' of an aggregate" : "'when' of a step");
}

static bool body_allowed(struct scope *s, uint16_t field)
{
	const char *name = s->b->field[field].name;

	if (s->kind != SCOPE_TEXT) {
		if (set_declares(s->b, s->events, field) || set_empty(s->events))
			return true;
		return refuse(s, "found 'event.%s', but no event type of this %s has the body field '%s'",
			      name, scope_noun(s), name);
	}
	for (int32_t r = s->rules; r >= 0; r = s->b->draft[r].next_of_message) {
		const struct event_set *events = &s->b->draft[r].events;
		if (!set_declares(s->b, events, field) && !set_empty(events))
			return refuse(s,
				      "found 'event.%s', but the rule '%s' uses this text and no event type "
				      "of it has the body field '%s'",
				      name, s->b->rule[r].name, name);
	}
	return true;
}

static bool resolve_event(struct scope *s, const char *rest, struct cel_symbol *out)
{
	struct build *b = s->b;
	const char *all[FIELD_COUNT + BODY_FIELDS_MAX];
	char near[96];
	size_t n = 0;
	int field = list_find(event_field_names, FIELD_COUNT, rest);

	if (field >= 0)
		return symbol_set(out, SPACE_EVENT, (size_t)field, event_field_types[field].type,
				  event_field_types[field].unit);
	for (uint16_t i = 0; i < b->c->field_count; i++)
		if (strcmp(b->field[i].name, rest) == 0)
			return body_allowed(s, i) &&
			       symbol_set(out, SPACE_BODY, i, b->field[i].type, UNIT_NONE);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		all[n++] = event_field_names[i];
	for (uint16_t i = 0; i < b->c->field_count; i++)
		all[n++] = b->field[i].name;
	return refuse_unknown(s, "event", "event or body field", rest,
			      list_suggest(all, n, rest, near, sizeof near));
}

static bool resolve_profile(struct scope *s, const char *rest, struct cel_symbol *out)
{
	int64_t i = names_find(&s->b->attributes, rest);
	char near[96];

	if (i < 0)
		return refuse_unknown(s, "profile", "attribute", rest,
				      names_suggest(s->b, &s->b->attributes, rest, near, sizeof near));
	if (s->b->attribute_broken[i])
		return refuse_quietly(s);
	return symbol_set(out, SPACE_PROFILE, (size_t)i, s->b->attribute[i].type, UNIT_NONE);
}

/* agg.prev.time: a field of a record. */
static bool resolve_record(struct scope *s, const char *name, const char *field, size_t aggregate,
			   struct cel_symbol *out)
{
	const struct cat_aggregate *a = &s->b->aggregate[aggregate];
	const char *const *names = &s->b->agg_value_name[a->value_first];
	char near[96];
	int i;

	if (!s->b->aggregate_record[aggregate])
		return refuse(s, "found 'agg.%.80s.%.80s', but 'agg.%s' is one value", name, field, name);
	i = list_find(names, a->value_count, field);
	if (i < 0)
		return refuse(s, "found 'agg.%.80s.%.80s', but 'last' of '%s' has no '%.80s'%s", name, field,
			      name, field, list_suggest(names, a->value_count, field, near, sizeof near));
	i += a->value_first;
	return symbol_set(out, SPACE_AGG, (size_t)i, s->b->agg_value[i].type, s->b->agg_value[i].unit);
}

static bool resolve_aggregate(struct scope *s, const char *rest, struct cel_symbol *out)
{
	char near[96], first[3 * NAME_BYTES_MAX];
	const char *dot = strchr(rest, '.');
	const struct cat_aggregate *a;
	int64_t i;

	snprintf(first, sizeof first, "%.*s", dot ? (int)(dot - rest) : (int)strlen(rest), rest);
	if (scope_is_window(s))
		return refuse_in_window(s, "agg", rest);
	i = names_find(&s->b->aggregates, first);
	if (i < 0)
		return refuse_unknown(s, "agg", "aggregate", rest,
				      names_suggest(s->b, &s->b->aggregates, first, near, sizeof near));
	if (s->b->aggregate_broken[i])
		return refuse_quietly(s);
	if (dot)
		return resolve_record(s, first, dot + 1, (size_t)i, out);
	a = &s->b->aggregate[i];
	if (s->b->aggregate_record[i])
		return refuse(
			s,
			"found 'agg.%s', which is a record of one event; expected a field of it: agg.%s.%s",
			first, first, s->b->agg_value_name[a->value_first]);
	return symbol_set(out, SPACE_AGG, a->value_first, a->type, a->unit);
}

/* lists.NAME: a constant; a rule never sees another list of that name. */
static bool resolve_list(struct scope *s, const char *rest, struct cel_symbol *out)
{
	const struct catalogue *c = s->b->c;
	char near[96];

	for (uint16_t i = 0; i < c->list_count; i++) {
		const struct cat_list *list = &s->b->list[i];
		if (!list->name || strcmp(list->name, rest) != 0)
			continue;
		if (list->count == 0)
			return refuse_quietly(s);
		s->lists[i / 64] |= UINT64_C(1) << (i % 64);
		symbol_set(out, SPACE_CONSTANT, 0, TYPE_LIST, UNIT_NONE);
		out->constant =
			(struct value){ .type = TYPE_LIST, .bytes = list->count, .list = list->values };
		return true;
	}
	if (names_find(&s->b->lists, rest) >= 0) /* there are too many values */
		return refuse_quietly(s);
	return refuse_unknown(s, "lists", "list", rest,
			      names_suggest(s->b, &s->b->lists, rest, near, sizeof near));
}

/* --- what only some scopes see --- */

/* NULL when every rule of the scope is a subscription, else one that is not. */
static const struct cat_rule *other_rule(const struct scope *s)
{
	if (s->kind != SCOPE_TEXT)
		return s->kind == SCOPE_SUBSCRIPTION ? NULL : s->rule;
	for (int32_t r = s->rules; r >= 0; r = s->b->draft[r].next_of_message)
		if (s->b->rule[r].section != SECTION_SUBSCRIPTION)
			return &s->b->rule[r];
	return NULL;
}

static bool subscription_only(struct scope *s, const char *prefix, const char *rest)
{
	const struct cat_rule *other = other_rule(s);

	if (scope_is_window(s))
		return refuse_in_window(s, prefix, rest);
	if (!other)
		return true;
	return refuse(s, "found '%s.%.80s'; the rule '%s' is no subscription and has no '%s'", prefix, rest,
		      other->name, prefix);
}

static const struct cat_param *param_find(const struct cat_rule *rule, const char *name, size_t *index)
{
	for (*index = 0; *index < rule->param_count; ++*index)
		if (strcmp(rule->params[*index].name, name) == 0)
			return &rule->params[*index];
	return NULL;
}

/* A text is compiled once, so its rules must agree on what the parameter is and where it stands. */
static bool params_agree(struct scope *s, const struct cat_rule *first, const struct cat_param *param,
			 size_t index)
{
	for (int32_t r = s->rules; s->kind == SCOPE_TEXT && r >= 0; r = s->b->draft[r].next_of_message) {
		const struct cat_rule *rule = &s->b->rule[r];
		size_t at;
		const struct cat_param *other = param_find(rule, param->name, &at);
		if (!other)
			return refuse(s,
				      "found 'param.%s', but the rule '%s' uses this text and has no such "
				      "parameter",
				      param->name, rule->name);
		if (other->type != param->type || at != index)
			return refuse(s,
				      "found 'param.%s', which is %s at place %zu in the rule '%s' and %s at "
				      "place %zu in '%s'; "
				      "expected the same in all rules of a text",
				      param->name, cel_type_name(param->type), index + 1, first->name,
				      cel_type_name(other->type), at + 1, rule->name);
	}
	return true;
}

static bool resolve_param(struct scope *s, const char *rest, struct cel_symbol *out)
{
	const char *names[PARAMS_MAX];
	const struct cat_param *param;
	const struct cat_rule *rule;
	char near[96];
	size_t index;

	if (!subscription_only(s, "param", rest))
		return false;
	if (s->kind == SCOPE_TEXT && s->rules < 0)
		return refuse(s, "found 'param.%.80s', but no rule uses this text", rest);
	rule = s->kind == SCOPE_TEXT ? &s->b->rule[s->rules] : s->rule;
	param = param_find(rule, rest, &index);
	if (!param) {
		for (size_t i = 0; i < rule->param_count; i++)
			names[i] = rule->params[i].name;
		return refuse(s, "found 'param.%.80s', but the rule '%s' has no such parameter%s", rest,
			      rule->name, list_suggest(names, rule->param_count, rest, near, sizeof near));
	}
	if (param->type == TYPE_NONE)
		return refuse_quietly(s);
	return params_agree(s, rule, param, index) &&
	       symbol_set(out, SPACE_PARAM, index, param->type, UNIT_NONE);
}

static bool resolve_me(struct scope *s, const char *rest, struct cel_symbol *out)
{
	char near[96];
	int i = list_find(me_names, ME_COUNT, rest);

	if (!subscription_only(s, "me", rest))
		return false;
	if (i < 0)
		return refuse(s, "found 'me.%.80s', expected me.customer or me.role%s", rest,
			      list_suggest(me_names, ME_COUNT, rest, near, sizeof near));
	return symbol_set(out, SPACE_ME, (size_t)i, me_types[i], UNIT_NONE);
}

static bool resolve_account(struct scope *s, const char *rest, struct cel_symbol *out)
{
	char near[96];
	int i = list_find(account_names, ACCOUNT_FIELD_COUNT, rest);

	if (scope_is_window(s))
		return refuse_in_window(s, "account", rest);
	if (i < 0)
		return refuse(
			s, "found 'account.%.80s', expected account.currency, .alias, .status or .holders%s",
			rest, list_suggest(account_names, ACCOUNT_FIELD_COUNT, rest, near, sizeof near));
	return symbol_set(out, SPACE_ACCOUNT, (size_t)i, account_types[i], UNIT_NONE);
}

static bool resolve_prefix(struct scope *s, const char *prefix, const char *rest, struct cel_symbol *out)
{
	static const char *const all[] = { "event", "profile", "account",  "me",	 "agg", "param",
					   "lists", "country", "currency", "touchpoint", "mcc" };
	static const char *const later[] = { "segment", "journey", "places", "place", "geo", "pattern" };
	static bool (*const resolve[])(struct scope *, const char *, struct cel_symbol *) = {
		resolve_event,	   resolve_profile, resolve_account, resolve_me,
		resolve_aggregate, resolve_param,   resolve_list
	};
	int kind = list_find(all, ARRAY_LEN(all), prefix);
	char near[96];

	if (kind >= 0 && !*rest)
		return refuse(s, "found '%s' alone, expected a name behind it: %s.x", prefix, prefix);
	if (kind >= (int)ARRAY_LEN(resolve))
		return resolve_constant(s, prefix, rest, out);
	if (kind >= 0)
		return resolve[kind](s, rest, out);
	if (list_find(later, ARRAY_LEN(later), prefix) >= 0)
		return refuse(s, "not yet: '%s' in expressions is not built", prefix);
	return refuse(s, "found '%.80s', expected a name such as event.x, profile.x or agg.x%s", prefix,
		      list_suggest(all, ARRAY_LEN(all), prefix, near, sizeof near));
}

static bool resolve_name(void *context, const char *name, size_t len, struct cel_symbol *out, char *why,
			 size_t room)
{
	struct scope *s = context;
	char copy[3 * NAME_BYTES_MAX]; /* agg.NAME.FIELD */
	const char *dot = memchr(name, '.', len);
	bool good;

	s->refused = s->quiet = false;
	if (len < sizeof copy) {
		memcpy(copy, name, len);
		copy[len] = 0;
		if (dot)
			copy[dot - name] = 0;
		good = resolve_prefix(s, copy, dot ? copy + (dot - name) + 1 : "", out);
	} else {
		good = refuse(s, "found a name of %zu bytes, the limit is %zu", len, sizeof copy - 1);
	}
	if (!good)
		snprintf(why, room, "%s", s->why);
	return good;
}

static const struct zone *resolve_zone(void *context, const char *name, size_t len)
{
	struct scope *s = context;

	return zones_find(s->b, name, len);
}

bool expression_compile(struct build *b, struct scope *scope, const struct node *n, size_t from, size_t to,
			enum value_type want, struct cel_program *out)
{
	struct cel_scope names = {
		.resolve = resolve_name, .ctx = scope, .rates = &b->c->rates, .zone = resolve_zone
	};
	static const char later[] = "not built yet:"; /* cel's word for what it knows and refuses */
	struct cel_error error = { 0 };
	uint32_t line, column;
	int rc;

	assert(from <= to && to <= n->bytes);
	scope->refused = scope->quiet = false;
	rc = cel_compile(n->text + from, to - from, &names, want, &b->c->arena, out, &error);
	if (rc == -ENOMEM)
		longjmp(b->no_memory, 1);
	if (rc == 0) {
		zones_note(b, out);
		return true;
	}
	if (scope->refused && scope->quiet)
		return false;
	yaml_text_place(n, from + error.offset, &line, &column);
	if (scope->refused)
		problem_add_at(b->problems, n->file, line, column, "%s", scope->why);
	else if (strncmp(error.expected, later, strlen(later)) == 0)
		problem_add_at(b->problems, n->file, line, column,
			       "not yet: '%s' in expressions is not built", error.found);
	else
		problem_add_at(b->problems, n->file, line, column, "found %s, expected %s", error.found,
			       error.expected);
	return false;
}

uint64_t program_aggregates(const struct build *b, const struct cel_program *program)
{
	struct cel_load loads[PROGRAM_INSTRUCTIONS_MAX];
	size_t n = cel_loads(program, loads, ARRAY_LEN(loads));
	uint64_t bits = 0;

	for (size_t i = 0; i < n; i++)
		if (loads[i].space == SPACE_AGG)
			bits |= UINT64_C(1) << b->agg_value_aggregate[loads[i].index];
	return bits;
}
