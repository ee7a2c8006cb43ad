/*
 * keys.c: the table. NEXT is what the language has and this version does not: refused as "not yet",
 * never accepted and ignored. A key that is in neither list is unknown.
 */
#include "keys.h"

#define NEED(name, shape)                                                                                    \
	{                                                                                                    \
		name, SHAPE_##shape, KEY_REQUIRED                                                            \
	}
#define MAY(name, shape)                                                                                     \
	{                                                                                                    \
		name, SHAPE_##shape, KEY_OPTIONAL                                                            \
	}
#define NEXT(name)                                                                                           \
	{                                                                                                    \
		name, SHAPE_ANY, KEY_NOT_YET                                                                 \
	}
#define SPEC(path, what, keys)                                                                               \
	{                                                                                                    \
		path, what, keys, sizeof(keys) / sizeof((keys)[0])                                           \
	}

static const struct key_spec file_keys[] = {
	MAY("bank", MAP),     MAY("rates", MAP),      MAY("events", MAP),   MAY("groups", MAP),
	MAY("profile", MAP),  MAY("aggregates", MAP), MAY("fraud", MAP),    MAY("subscriptions", MAP),
	MAY("critical", MAP), MAY("channels", MAP),   MAY("messages", MAP), MAY("patterns", MAP),
	NEXT("timers"),	      NEXT("offers"),	      NEXT("journeys"),	    NEXT("policy"),
	NEXT("categories"),   MAY("lists", MAP),      NEXT("places"),	    NEXT("segments"),
	NEXT("retention"),    NEXT("cases"),
};

static const struct key_spec bank_keys[] = {
	NEED("currency", SCALAR),  MAY("zone", SCALAR),	    MAY("country", SCALAR), MAY("lateness", SCALAR),
	MAY("ref_memory", SCALAR), MAY("language", SCALAR), MAY("starts", SCALAR),  MAY("memory", MAP),
};

static const struct key_spec memory_keys[] = { MAY("windows", SCALAR), MAY("refs", SCALAR) };

static const struct key_spec event_keys[] = { NEED("code", SCALAR), MAY("history", SCALAR), MAY("body", MAP),
					      NEXT("touch") };

static const struct key_spec attribute_keys[] = { NEED("type", SCALAR), MAY("default", SCALAR),
						  NEXT("protected"), NEXT("pii") };

static const struct key_spec aggregate_keys[] = {
	NEED("over", LIST),	 MAY("where", SCALAR),	   MAY("per", ANY),	    MAY("within", SCALAR),
	MAY("before", SCALAR),	 MAY("mixed", SCALAR),	   MAY("count", SCALAR),    MAY("sum", SCALAR),
	MAY("mean", SCALAR),	 MAY("min", SCALAR),	   MAY("max", SCALAR),	    MAY("last", ANY),
	MAY("calendar", SCALAR), MAY("deviation", SCALAR), MAY("distinct", SCALAR), MAY("keys", SCALAR),
	NEXT("backfill"),
};

static const struct key_spec pattern_keys[] = { NEED("steps", LIST), NEED("within", SCALAR),
						MAY("unless", LIST), MAY("per", ANY), MAY("keys", SCALAR) };

static const struct key_spec step_keys[] = { NEED("events", LIST), MAY("when", SCALAR),
					     MAY("times", SCALAR) };

static const struct key_spec fraud_keys[] = { MAY("thresholds", MAP), MAY("rules", MAP), NEXT("default"),
					      NEXT("deadline"), NEXT("review") };

static const struct key_spec threshold_keys[] = { MAY("review", SCALAR), MAY("decline", SCALAR) };

static const struct key_spec fraud_rule_keys[] = {
	NEED("events", LIST), MAY("when", SCALAR), NEED("score", SCALAR),
	MAY("stages", LIST),  MAY("mode", SCALAR), MAY("confidential", SCALAR),
	NEXT("share"),	      NEXT("budget"),	   NEXT("justified"),
};

static const struct key_spec subscription_keys[] = {
	NEED("events", LIST),	 MAY("params", MAP),	  MAY("when", SCALAR),
	MAY("repeat", ANY),	 NEED("message", SCALAR), MAY("channels", LIST),
	MAY("frequency", LIST),	 MAY("for", SCALAR),	  MAY("fresh", SCALAR),
	MAY("category", SCALAR), MAY("stages", LIST),	  MAY("mode", SCALAR),
	MAY("copies", SCALAR),	 NEXT("escalate"),	  NEXT("actions"),
	NEXT("expires"),	 NEXT("share"),		  NEXT("budget"),
	NEXT("mandatory"),	 NEXT("remind"),	  NEXT("case"),
	NEXT("confidential"),
};

static const struct key_spec param_keys[] = { NEED("type", SCALAR), NEED("default", SCALAR),
					      MAY("min", SCALAR), MAY("max", SCALAR) };

static const struct key_spec critical_keys[] = {
	NEED("events", LIST),  MAY("when", SCALAR),   MAY("repeat", ANY),      NEED("message", SCALAR),
	MAY("channels", LIST), MAY("fresh", SCALAR),  MAY("category", SCALAR), MAY("stages", LIST),
	MAY("mode", SCALAR),   MAY("copies", SCALAR), NEXT("escalate"),	       NEXT("actions"),
	NEXT("expires"),       NEXT("share"),	      NEXT("budget"),	       NEXT("remind"),
	NEXT("case"),	       NEXT("confidential"),
};

static const struct key_spec channel_keys[] = { NEED("max", SCALAR), NEXT("rate"),     NEXT("burst"),
						NEXT("reserve"),     NEXT("backlog"),  NEXT("cost"),
						NEXT("actions"),     NEXT("delivered") };

const struct map_spec map_specs[MAP_KINDS] = {
	[MAP_FILE] = SPEC("", "a catalogue file", file_keys),
	[MAP_BANK] = SPEC("bank", "bank", bank_keys),
	[MAP_MEMORY] = SPEC("bank.memory", "bank.memory", memory_keys),
	[MAP_EVENT] = SPEC("events.*", "an event type", event_keys),
	[MAP_ATTRIBUTE] = SPEC("profile.*", "an attribute", attribute_keys),
	[MAP_AGGREGATE] = SPEC("aggregates.*", "an aggregate", aggregate_keys),
	[MAP_PATTERN] = SPEC("patterns.*", "a pattern", pattern_keys),
	[MAP_STEP] = SPEC("patterns.*.steps.[]", "a step of a pattern", step_keys),
	[MAP_FRAUD] = SPEC("fraud", "fraud", fraud_keys),
	[MAP_THRESHOLDS] = SPEC("fraud.thresholds", "fraud.thresholds", threshold_keys),
	[MAP_FRAUD_RULE] = SPEC("fraud.rules.*", "a fraud rule", fraud_rule_keys),
	[MAP_SUBSCRIPTION] = SPEC("subscriptions.*", "a subscription", subscription_keys),
	[MAP_PARAM] = SPEC("subscriptions.*.params.*", "a parameter", param_keys),
	[MAP_CRITICAL] = SPEC("critical.*", "a critical rule", critical_keys),
	[MAP_CHANNEL] = SPEC("channels.*", "a channel", channel_keys),
};
