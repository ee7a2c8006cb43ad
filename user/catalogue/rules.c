/*
 * rules.c: the sections `fraud`, `critical` and `subscriptions`: what is looked for, and what then.
 *
 * Entries in, cat_rule out: fraud first, then critical, then subscriptions, each in order of file name
 * and place; that is the order of evaluation and the number of a rule. What this version does not do
 * (repeat other than every, copies, other modes and frequencies) is refused as "not yet".
 */
#include "compile.h"

#include <string.h>

static const int64_t NS_PER_MINUTE = INT64_C(60) * 1000000000;

static const enum value_type param_types[] = { TYPE_MONEY,  TYPE_INT,  TYPE_DOUBLE,
					       TYPE_STRING, TYPE_BOOL, TYPE_DURATION };

/* A scalar that is there and not empty; NULL else, and then it is a problem already. */
static const struct node *scalar_of(const struct node *map, const char *key)
{
	const struct node *n = yaml_get(map, key);

	return n && n->kind == NODE_SCALAR && n->bytes ? n : NULL;
}

/* --- parameters --- */

static int compare_values(const struct value *a, const struct value *b)
{
	if (a->type == TYPE_DOUBLE)
		return a->d < b->d ? -1 : a->d > b->d;
	return a->i < b->i ? -1 : a->i > b->i;
}

static bool take_bound(struct build *b, const struct node *map, const char *key,
		       const struct cat_param *param, bool has_default, struct value *out)
{
	const struct node *n = scalar_of(map, key);

	if (!n)
		return false;
	if (param->type == TYPE_STRING || param->type == TYPE_BOOL) {
		build_problem(b, n, "found '%s' for a %s, which has no order", key,
			      cel_type_name(param->type));
		return false;
	}
	if (!scalar_value(b, n, param->type, out))
		return false;
	if (param->type == TYPE_MONEY && has_default && out->currency != param->initial.currency) {
		build_problem(b, n, "found '%s' and 'default' in different currencies", key);
		return false;
	}
	return true;
}

static void check_bounds(struct build *b, const struct node *key, const struct cat_param *p, bool has_default)
{
	if (p->has_min && p->has_max && compare_values(&p->min, &p->max) > 0)
		build_problem(b, key, "found 'min' above 'max' in the parameter '%s'", p->name);
	else if (has_default && ((p->has_min && compare_values(&p->initial, &p->min) < 0) ||
				 (p->has_max && compare_values(&p->initial, &p->max) > 0)))
		build_problem(b, key, "found the default of the parameter '%s' outside of 'min' and 'max'",
			      p->name);
}

static void take_param(struct build *b, const struct node *key, struct cat_param *p)
{
	const struct node *map = key->value, *n;
	bool has_default = false;
	int type = -1;

	p->name = build_copy(b, key->text, key->bytes);
	name_check(b, key, false, "a parameter");
	map_check(b, key, map, MAP_PARAM);
	if ((n = scalar_of(map, "type")))
		type = scalar_type(b, n, param_types, ARRAY_LEN(param_types));
	if (type < 0)
		return;
	p->type = (enum value_type)type;
	if ((n = scalar_of(map, "default")))
		has_default = scalar_value(b, n, p->type, &p->initial);
	p->has_min = take_bound(b, map, "min", p, has_default, &p->min);
	p->has_max = take_bound(b, map, "max", p, has_default, &p->max);
	check_bounds(b, key, p, has_default);
}

static void take_params(struct build *b, const struct node *map, struct cat_rule *rule)
{
	struct cat_param *params;

	if (map->kind != NODE_MAP)
		return;
	if (map->count > PARAMS_MAX) {
		build_problem(b, map, "the subscription has %u parameters, the limit is %d", map->count,
			      PARAMS_MAX);
		return;
	}
	params = build_array(b, struct cat_param, map->count + 1);
	rule->params = params;
	for (const struct node *key = map->first; key; key = key->next)
		take_param(b, key, &params[rule->param_count++]);
}

/* --- what is refused by name --- */

static void check_repeat(struct build *b, const struct entry *entry, const char *usual)
{
	const struct node *n = yaml_get(entry->value, "repeat");
	static const char *const kinds[] = { "every", "crossing", "merge" };
	int choice;

	if (!n) {
		build_problem(b, entry->key,
			      "not yet: a rule that leaves out 'repeat' means %s, which is not built; write "
			      "repeat: every",
			      usual);
		return;
	}
	if (n->kind == NODE_MAP) {
		build_problem(b, n,
			      "not yet: 'repeat: { at_most, within }' is not built; write repeat: every");
		return;
	}
	choice = scalar_choice(b, n, kinds, ARRAY_LEN(kinds));
	if (choice > 0)
		build_problem(b, n, "not yet: 'repeat: %s' is not built; write repeat: every", kinds[choice]);
}

static void check_mode(struct build *b, const struct node *map)
{
	static const char *const modes[] = { "live", "shadow", "off" };
	const struct node *n = scalar_of(map, "mode");
	int choice = n ? scalar_choice(b, n, modes, ARRAY_LEN(modes)) : 0;

	if (choice > 0)
		build_problem(b, n, "not yet: 'mode: %s' is not built; write mode: live", modes[choice]);
}

static void check_copies(struct build *b, const struct node *map)
{
	const struct node *n = scalar_of(map, "copies");
	int64_t copies;

	if (n && scalar_int(b, n, 1, 9, &copies) && copies > 1)
		build_problem(b, n, "not yet: 'copies: %lld' is not built; write copies: 1",
			      (long long)copies);
}

static void check_frequency(struct build *b, const struct node *map)
{
	static const char *const all[] = { "now", "daily", "weekly" };
	const struct node *list = yaml_get(map, "frequency");

	if (!list || list->kind != NODE_LIST)
		return;
	if (list->count == 0)
		build_problem(b, list, "found an empty list for 'frequency', expected [now]");
	for (const struct node *n = list->first; n; n = n->next) {
		int choice = scalar_choice(b, n, all, ARRAY_LEN(all));
		if (choice > 0)
			build_problem(b, n, "not yet: 'frequency: %s' is not built; write frequency: [now]",
				      all[choice]);
	}
}

/* --- parts of a rule --- */

static void take_stages(struct build *b, const struct node *map, struct cat_rule *rule)
{
	const struct node *list = yaml_get(map, "stages");

	if (!list || list->kind != NODE_LIST)
		return;
	if (list->count == 0)
		build_problem(b, list, "found an empty list for 'stages', expected stages: [posted]");
	for (const struct node *n = list->first; n; n = n->next) {
		int choice = scalar_choice(b, n, &event_stage_names[1], STAGE_COUNT - 1);
		if (choice < 0)
			continue;
		if (choice + 1 == STAGE_REQUEST && rule->section != SECTION_FRAUD)
			build_problem(b, n, "found 'request', which only fraud rules see");
		rule->stages |= (uint8_t)(1u << (choice + 1));
	}
}

static void take_channels(struct build *b, const struct node *map, struct cat_rule *rule)
{
	const struct node *list = yaml_get(map, "channels");

	if (!list) { /* all of them, in the catalogue's order */
		for (; rule->channel_count < b->c->channel_count; rule->channel_count++)
			rule->channels[rule->channel_count] = (uint8_t)rule->channel_count;
		return;
	}
	if (list->kind != NODE_LIST)
		return;
	if (list->count == 0 || list->count > CHANNELS_MAX) {
		build_problem(b, list, "found %u channels, expected 1 to %d", list->count, CHANNELS_MAX);
		return;
	}
	for (const struct node *n = list->first; n; n = n->next) {
		int64_t channel = names_resolve(b, &b->channels, n, "a channel");
		for (unsigned i = 0; channel >= 0 && i < rule->channel_count; i++)
			if (rule->channels[i] == channel) {
				build_problem(b, n, "found the channel '%s' a second time", n->text);
				channel = -1;
			}
		if (channel >= 0)
			rule->channels[rule->channel_count++] = (uint8_t)channel;
	}
}

static void take_category(struct build *b, const struct node *map, struct cat_rule *rule)
{
	static const char *const names[] = {
#define X(value, name) #name,
		MESSAGE_CATEGORIES(X)
#undef X
	};
	const struct node *n = scalar_of(map, "category");
	int choice = n ? scalar_choice(b, n, names, ARRAY_LEN(names)) : -1;

	if (choice < 0)
		return;
	if (choice + 1 > CATEGORY_service)
		build_problem(b, n, "not yet: 'category: %s' is not built", names[choice]);
	rule->category = (enum message_category)(choice + 1);
}

static void take_message(struct build *b, const struct node *map, struct cat_rule *rule)
{
	const struct node *n = scalar_of(map, "message");
	int64_t message = n ? names_resolve(b, &b->messages, n, "a message") : -1;

	if (message < 0)
		return;
	rule->message = (uint16_t)message;
	b->draft[rule->number].message = (int32_t)message;
}

/* The rules of each message, in order of number. */
static void link_messages(struct build *b)
{
	for (int32_t r = b->c->rule_count - 1; r >= 0; r--) {
		int32_t message = b->draft[r].message;
		if (message < 0)
			continue;
		b->draft[r].next_of_message = b->message_rules[message];
		b->message_rules[message] = r;
	}
}

static void take_for(struct build *b, const struct node *map, struct cat_rule *rule)
{
	static const char *const names[] = { "own", "all" };
	const struct node *n = scalar_of(map, "for");
	int choice = n ? scalar_choice(b, n, names, ARRAY_LEN(names)) : -1;

	rule->for_whom = (enum cat_for)(choice + 1);
}

static void take_when(struct build *b, const struct node *map, struct cat_rule *rule)
{
	static const struct node always = { .kind = NODE_SCALAR, .text = "true", .bytes = 4 };
	const struct node *n = yaml_get(map, "when");
	struct scope scope = { .b = b,
			       .kind = rule->section == SECTION_SUBSCRIPTION ? SCOPE_SUBSCRIPTION
									     : SCOPE_RULE,
			       .rule = rule,
			       .events = &b->draft[rule->number].events };

	if (!n)
		n = &always;
	else if (n->kind != NODE_SCALAR || n->bytes == 0 || !scalar_expression(b, n))
		return;
	if (expression_compile(b, &scope, n, 0, n->bytes, TYPE_BOOL, &rule->when))
		rule->aggregates = program_aggregates(b, &rule->when);
}

static void take_score(struct build *b, const struct node *map, struct cat_rule *rule)
{
	const struct node *n = scalar_of(map, "score");
	int64_t score;

	if (n && scalar_int(b, n, -1000000, 1000000, &score))
		rule->score = (int32_t)score;
}

/* What critical rules and subscriptions share. */
static void take_notice(struct build *b, const struct entry *entry, struct cat_rule *rule, const char *usual)
{
	const struct node *n = scalar_of(entry->value, "fresh");

	if (n)
		scalar_duration(b, n, &rule->fresh_ns);
	check_repeat(b, entry, usual);
	check_copies(b, entry->value);
	take_message(b, entry->value, rule);
	take_channels(b, entry->value, rule);
	take_category(b, entry->value, rule);
}

static void rule_compile(struct build *b, const struct entry *entry, struct cat_rule *rule)
{
	static const enum map_kind kinds[] = { [SECTION_FRAUD] = MAP_FRAUD_RULE,
					       [SECTION_CRITICAL] = MAP_CRITICAL,
					       [SECTION_SUBSCRIPTION] = MAP_SUBSCRIPTION };
	const struct node *map = entry->value, *n;

	rule->name = entry->name;
	map_check(b, entry->key, map, kinds[rule->section]);
	if (map->kind != NODE_MAP)
		return;
	if ((n = yaml_get(map, "events")))
		events_resolve(b, n, "events", EVENTS_OF_RULE, &b->draft[rule->number].events);
	check_mode(b, map);
	take_stages(b, map, rule);
	if (rule->section == SECTION_FRAUD) {
		take_score(b, map, rule);
		if ((n = scalar_of(map, "confidential")))
			scalar_bool(b, n, &rule->confidential);
	} else if (rule->section == SECTION_CRITICAL) {
		rule->category = CATEGORY_critical;
		rule->fresh_ns = 10 * NS_PER_MINUTE;
		take_notice(b, entry, rule, "merge");
	} else {
		rule->category = CATEGORY_alert;
		rule->fresh_ns = 120 * NS_PER_MINUTE;
		take_notice(b, entry, rule, "crossing or every, by its condition");
		take_for(b, map, rule);
		check_frequency(b, map);
		if ((n = yaml_get(map, "params")))
			take_params(b, n, rule);
	}
	take_when(b, map, rule);
}

static void take_thresholds(struct build *b)
{
	struct section *s = &b->sections[IN_THRESHOLDS];
	struct catalogue *c = b->c;

	c->score_review = c->score_decline = INT32_MAX;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct node *n = s->entries[i].value;
		bool review = strcmp(s->entries[i].name, "review") == 0;
		int64_t score;
		if (n->kind != NODE_SCALAR || !n->bytes ||
		    !(review || strcmp(s->entries[i].name, "decline") == 0))
			continue;
		if (scalar_int(b, n, 1, 1000000, &score))
			*(review ? &c->score_review : &c->score_decline) = (int32_t)score;
	}
	if (c->score_review != INT32_MAX && c->score_review > c->score_decline)
		build_problem(b, s->entries[0].key, "found 'review: %d' above 'decline: %d'", c->score_review,
			      c->score_decline);
}

void rules_compile(struct build *b)
{
	static const enum section_kind kinds[] = { IN_FRAUD_RULES, IN_CRITICAL, IN_SUBSCRIPTIONS };
	static const enum rule_section sections[] = { SECTION_FRAUD, SECTION_CRITICAL, SECTION_SUBSCRIPTION };
	struct catalogue *c = b->c;
	uint32_t number = 0;
	const char **names;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		number += b->sections[kinds[k]].count;
	c->rule_count = (uint16_t)number;
	c->critical_first = (uint16_t)b->sections[IN_FRAUD_RULES].count;
	c->subscription_first = (uint16_t)(c->critical_first + b->sections[IN_CRITICAL].count);
	b->rule = build_array(b, struct cat_rule, number + 1);
	b->draft = build_scratch_array(b, struct rule_draft, number + 1);
	c->rules = b->rule;
	names = build_scratch_array(b, const char *, number + 1);
	number = 0;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (uint32_t i = 0; i < b->sections[kinds[k]].count; i++, number++) {
			const struct entry *entry = &b->sections[kinds[k]].entries[i];
			b->rule[number].section = sections[k];
			b->rule[number].number = (uint16_t)number;
			b->draft[number].entry = entry;
			b->draft[number].next_of_message = b->draft[number].message = -1;
			names[number] = entry->name;
			rule_compile(b, entry, &b->rule[number]);
		}
	names_build_list(b, &b->rules, names, number);
	link_messages(b);
	take_thresholds(b);
}
