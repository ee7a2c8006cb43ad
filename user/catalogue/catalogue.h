/*
 * catalogue: what the bank's people wrote, checked as a whole and compiled to plain structs that the
 * stages read. Immutable once compiled; lives in one arena; published by pointer between two ticks.
 *
 * YAML files -> documents with positions (yaml.c) -> sections (one file each) -> struct catalogue.
 * The language is SEMANTICS section 6; docs/decisions.md says what we chose where that is silent.
 */
#ifndef CATALOGUE_CATALOGUE_H
#define CATALOGUE_CATALOGUE_H

#include <base/arena.h>
#include <cel/cel.h>
#include <moment/hash.h>
#include <moment/interest.h>
#include <moment/limits.h>
#include <moment/money.h>
#include <moment/zone.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* SPACE_EVENT: the order of the values that the profile stage fills per event. */
#define EVENT_FIELDS(X)                                                                                      \
	X(type, TYPE_STRING, UNIT_NONE)                                                                      \
	X(sequence, TYPE_INT, UNIT_NONE)                                                                     \
	X(customer, TYPE_INT, UNIT_NONE)                                                                     \
	X(account, TYPE_INT, UNIT_NONE)                                                                      \
	X(time, TYPE_TIMESTAMP, UNIT_NONE)                                                                   \
	X(amount, TYPE_INT, UNIT_EVENT)                                                                      \
	X(balance, TYPE_INT, UNIT_EVENT)                                                                     \
	X(base, TYPE_INT, UNIT_BASE)                                                                         \
	X(currency, TYPE_INT, UNIT_NONE)                                                                     \
	X(country, TYPE_INT, UNIT_NONE)                                                                      \
	X(mcc, TYPE_INT, UNIT_NONE)                                                                          \
	X(touchpoint, TYPE_INT, UNIT_NONE)                                                                   \
	X(stage, TYPE_STRING, UNIT_NONE)                                                                     \
	X(ref, TYPE_STRING, UNIT_NONE)                                                                       \
	X(card, TYPE_STRING, UNIT_NONE)                                                                      \
	X(original_amount, TYPE_INT, UNIT_NONE)                                                              \
	X(original_currency, TYPE_INT, UNIT_NONE)

enum event_field {
#define X(name, type, unit) FIELD_##name,
	EVENT_FIELDS(X)
#undef X
		FIELD_COUNT
};

/* SPACE_ME: the holder whose subscription is evaluated. */
enum me_field { ME_CUSTOMER, ME_ROLE, ME_COUNT };

/* SPACE_ACCOUNT */
enum account_field { ACCOUNT_CURRENCY, ACCOUNT_ALIAS, ACCOUNT_STATUS, ACCOUNT_HOLDERS, ACCOUNT_FIELD_COUNT };

enum event_stage { STAGE_NONE, STAGE_REQUEST, STAGE_AUTHORISED, STAGE_POSTED, STAGE_RELEASED, STAGE_COUNT };
enum holder_role {
	ROLE_NONE,
	ROLE_OWNER,
	ROLE_CO_OWNER,
	ROLE_AUTHORISED,
	ROLE_GUARDIAN,
	ROLE_DELEGATE,
	ROLE_COUNT
};
enum rule_section { SECTION_NONE, SECTION_FRAUD, SECTION_CRITICAL, SECTION_SUBSCRIPTION, SECTION_COUNT };
enum cat_history { HISTORY_FULL, HISTORY_RULES };
enum cat_for { FOR_DEFAULT, FOR_OWN, FOR_ALL };

extern const char *const event_stage_names[STAGE_COUNT]; /* NULL, "request", ... */
extern const char *const holder_role_names[ROLE_COUNT];	 /* NULL, "owner", ... */

struct cat_field { /* a body field; one name has one type in the whole catalogue */
	const char *name;
	enum value_type type; /* bool, int, double, string, timestamp */
};

struct cat_attribute {
	const char *name;
	enum value_type type; /* bool, int, double, string, timestamp, money */
	struct value initial; /* `default`; VALUE_NO_DATA when there is none */
};

enum agg_function {
	AGG_NONE,
	AGG_COUNT_OF,
	AGG_SUM,
	AGG_MEAN,
	AGG_MIN,
	AGG_MAX,
	AGG_LAST,
	AGG_DEVIATION, /* of the sample: sqrt((n sum(x^2) - sum(x)^2) / (n (n - 1))), no data below two */
	AGG_DISTINCT,
	AGG_STEP, /* no value: the events of one step, or of `unless`, of a pattern */
	AGG_FUNCTION_COUNT
};
enum agg_calendar { CALENDAR_NONE, CALENDAR_DAY, CALENDAR_WEEK /* from Monday */, CALENDAR_MONTH };

/* The keys that every catalogue has; further ones come behind them in catalogue.keys. */
enum agg_per { PER_CUSTOMER, PER_ACCOUNT, PER_CARD, PER_COUNT };

/* What windows are kept per: [customer, body.payee]. */
enum key_part_kind { KEY_PART_CUSTOMER, KEY_PART_ACCOUNT, KEY_PART_CARD, KEY_PART_CURRENCY, KEY_PART_BODY };
struct cat_key_part {
	uint8_t kind;	/* enum key_part_kind */
	uint16_t field; /* KEY_PART_BODY: number of the body field */
};
/*
 * An event without one of the parts has no such key. `keys_max`: so many of one owner, who is named by the
 * parts that are no body fields (none: the whole bank); the least recently used one leaves, counted. 0 = as
 * many as there are: no part is a body field.
 */
struct cat_key {
	const char *name; /* "customer", "customer, body.payee" */
	uint8_t part_count;
	struct cat_key_part parts[KEY_PARTS_MAX];
	uint32_t keys_max;
	struct hash128 identity;
};

/* What an aggregate takes of an event; the columns of a window entry. */
enum agg_field {
	AGGF_NONE,
	AGGF_AMOUNT,
	AGGF_BASE,
	AGGF_BALANCE,
	AGGF_TIME,
	AGGF_COUNTRY,
	AGGF_MCC,
	AGGF_CURRENCY,
	AGGF_TOUCHPOINT,
	AGGF_CUSTOMER,
	AGGF_BODY, /* a body field: last, distinct, and sum, mean, min, max, deviation of an int one */
	AGGF_COUNT
};

/* One value of an aggregate: `last: [time, country]` has two, of one event; all others have one. */
struct cat_agg_value {
	enum agg_field field; /* AGGF_NONE for count */
	uint16_t body_field;  /* AGGF_BODY: its number */
	enum value_type type;
	enum value_unit unit;
};

struct cat_aggregate {
	const char *name;
	enum agg_function function;
	enum agg_field field; /* AGGF_NONE for count, step; of the first value */
	uint16_t body_field;  /* AGGF_BODY */
	uint8_t per;	      /* index in catalogue.keys: enum agg_per, or a further one */
	uint8_t calendar;  /* enum agg_calendar: since the last midnight, Monday, first of the month there */
	int64_t within_ns; /* 0 = for ever, or calendar */
	bool before;	   /* without the event itself */
	bool has_where;
	struct cel_program where;
	enum value_type type; /* of the result: count, sum, min, max: int; mean: double; last: the field's */
	enum value_unit unit;
	uint16_t value_first, value_count; /* in catalogue.agg_values and SPACE_AGG; step: none */
	struct hash128 identity; /* of its definition, `where` and the codes of its types included: state
				  * survives a reload exactly when this is unchanged */
};

/*
 * Ordered steps of one key within a time. A step, and `unless`, is an aggregate without a value (AGG_STEP),
 * so its events are in the log of the key with all others. The pattern completes at an event E that is one of
 * the last step when events e1 < e2 < ... < E of the steps in their order stand there, `times` of each, with
 * E.time - e1.time < within and no event of `unless` between e1 and E; order is (time, journal). Every such E
 * completes it. Rules listen to the event type pattern.NAME and see E.
 */
struct cat_pattern {
	const char *name;
	uint8_t per; /* index in catalogue.keys */
	uint8_t step_count;
	struct {
		uint16_t aggregate, times;
	} steps[PATTERN_STEPS_MAX];
	int16_t unless; /* index of an aggregate, -1 none */
	uint16_t event; /* its pseudo type in catalogue.events */
	int64_t within_ns;
};

/* A list of the section `lists`: lists.NAME in expressions; ascending, no value twice. */
struct cat_list {
	const char *name;
	enum value_type type; /* int, string */
	uint32_t count;
	const struct value *values;
};

struct cat_param {
	const char *name;
	enum value_type type; /* money, int, double, string, bool, duration */
	struct value initial;
	bool has_min, has_max;
	struct value min, max;
};

struct cat_rule {
	const char *name;
	enum rule_section section;
	uint16_t number; /* index in catalogue.rules: the order of evaluation */
	struct cel_program when;
	uint8_t stages;	   /* bits 1 << event_stage; 0 = the first authorised or posted of a transaction */
	int32_t score;	   /* fraud */
	bool confidential; /* fraud: scores, and its name leaves in no verdict, metric or status */
	enum message_category category;
	int64_t fresh_ns;
	uint16_t message; /* index in messages; critical and subscriptions */
	uint8_t channel_count;
	uint8_t channels[CHANNELS_MAX]; /* index in channels, in order of preference */
	enum cat_for for_whom;		/* subscription */
	uint8_t param_count;
	const struct cat_param *params;
	uint64_t aggregates; /* bits of catalogue.aggregates that `when` reads */
};

struct cat_event {
	const char *name;
	uint16_t code;
	enum cat_history history;
	uint16_t field_count;
	const uint16_t *fields; /* numbers of body fields declared for it */
	uint16_t fraud_count, critical_count, subscription_count;
	const uint16_t *fraud, *critical; /* rule numbers, ascending */
	uint64_t *subscription_bits;	  /* bit per rule number - catalogue.subscription_first */
	uint64_t feeds;			  /* aggregates whose `over` has this type */
	uint64_t reads;			  /* aggregates that a rule or text of this type reads */
	uint32_t completes;		  /* patterns whose last step has this type */
	int16_t pattern; /* a pseudo type, pattern.NAME: no code, no frame has it; -1: a real one */
};

struct cat_channel {
	const char *name;
	uint32_t text_max; /* characters (code points) of a text */
};

/* How a placeholder's value is written. */
enum text_format { TEXT_PLAIN, TEXT_MONEY, TEXT_NUMBER, TEXT_DATE, TEXT_TIME };

struct cat_text_part {
	const char *literal; /* NULL: the program's value */
	uint32_t literal_bytes;
	enum text_format format;
	struct cel_program program;
};

struct cat_text {
	const struct cat_text_part *parts; /* NULL: no text in this language */
	uint16_t part_count;
};

struct cat_message {
	const char *name;
	const struct cat_text *text; /* by language; index as in catalogue.languages */
};

/* What a language does to numbers, money and dates; read from ICU when the catalogue is compiled and
 * journalled with it, so that a replay on another ICU gives the same bytes. */
struct cat_money_format {
	uint16_t currency;
	const char *before, *after;		      /* around the digits, symbol and spaces included */
	const char *negative_before, *negative_after; /* the same below zero, the sign included */
};

struct cat_language {
	const char *tag;  /* "es", "en", "es-CO" */
	int16_t fallback; /* index of the parent language, -1 none */
	const char *decimal, *group, *minus;
	const char *money_decimal, *money_group; /* de-AT writes money with other marks */
	uint8_t group_first, group_next;	 /* digits: 3 and 3; 3 and 2 in hi */
	uint8_t group_least;			 /* es groups from five digits on: 2; else 1 */
	uint16_t money_count;
	const struct cat_money_format *money; /* by currency, ascending: the currencies of the bank's rates
						 and its own; others: code and space before */
	const char *months[12];		      /* abbreviated, as inside a date */
	const char *date_pattern;	      /* parts D, M, Y between literals: "D M Y", "M D, Y" */
};

struct cat_plan;
struct catalogue {
	struct hash128 hash; /* of the content: files, names and derived data */
	struct arena arena;

	struct money_rates rates;
	struct zone zone; /* the bank's */
	uint16_t zone_count;
	const struct zone *zones; /* by name: what a customer's `zone` may be, when the catalogue needs it */
	uint16_t country;
	int64_t lateness_ns;	/* default 24 h */
	int64_t ref_memory_ns;	/* default 35 d */
	uint64_t refs_max;	/* bank.memory.refs, default 4 Mi references */
	uint64_t windows_bytes; /* bank.memory.windows, default 2 GiB */
	bool starts_empty;
	uint16_t language; /* the bank's: index */

	uint16_t event_count;
	const struct cat_event *events;
	int16_t *event_by_code; /* 65536; -1 = unknown */
	uint16_t field_count;
	const struct cat_field *fields;
	uint16_t attribute_count;
	const struct cat_attribute *attributes;
	int16_t attribute_language, attribute_zone; /* `language`, `zone`: index or -1 */
	uint16_t aggregate_count;
	const struct cat_aggregate *aggregates;
	uint16_t agg_value_count;
	const struct cat_agg_value *agg_values; /* SPACE_AGG */
	uint16_t key_count;			/* at least PER_COUNT */
	const struct cat_key *keys;
	uint16_t pattern_count;
	const struct cat_pattern *patterns;
	uint16_t list_count;
	const struct cat_list *lists; /* by name */

	uint16_t rule_count, critical_first, subscription_first; /* rules: fraud, critical, subscriptions */
	const struct cat_rule *rules;
	const uint16_t *rules_by_name;	     /* rule numbers, by name */
	int32_t score_review, score_decline; /* fraud.thresholds; INT32_MAX when not given */
	uint16_t subscription_words;	     /* uint64_t of cat_event.subscription_bits */

	uint16_t channel_count;
	const struct cat_channel *channels;
	uint16_t language_count;
	const struct cat_language *languages;
	uint16_t message_count;
	const struct cat_message *messages;

	struct interest_table *interest; /* follows from the rest; no part of blob and hash */
	const struct cat_plan *plan;	 /* likewise: which rules can hold (plan.h) */

	/* the whole content for the journal: catalogue_compile_blob(blob) gives this catalogue again */
	const void *blob;
	size_t blob_bytes;
};

/* Problems, all of them, in order of file, line, column. */
struct problem {
	const char *file;
	uint32_t line, column; /* 1-based; column in characters */
	const char *text;      /* "found X, expected Y; did you mean Z?" */
};
struct problems {
	struct arena arena;
	size_t count, room;
	struct problem *list;
};
void problems_init(struct problems *p);
void problems_deinit(struct problems *p);
void problems_print(const struct problems *p, FILE *to); /* "file:line:column: text" a line */

/*
 * Compiles the *.yaml files of `dir` (by name, byte order). Returns 0 and *out, which the caller gives
 * to catalogue_free; -EINVAL with *problems; -errno when the directory cannot be read (one problem).
 */
__attribute__((warn_unused_result)) int catalogue_compile_dir(const char *dir, struct catalogue **out,
							      struct problems *problems);
/* The same from a blob made by an earlier compilation, or from one text in memory (tests, README blocks). */
__attribute__((warn_unused_result)) int
catalogue_compile_blob(const void *blob, size_t bytes, struct catalogue **out, struct problems *problems);
__attribute__((warn_unused_result)) int catalogue_compile_text(const char *name, const char *yaml,
							       size_t bytes, struct catalogue **out,
							       struct problems *problems);
void catalogue_free(struct catalogue *c);

/* The zone of a customer whose attribute `zone` has this value; the bank's when it is no data or unknown. */
const struct zone *catalogue_zone(const struct catalogue *c, const struct value *name);

/* NULL when the catalogue has none of that name. */
const struct cat_rule *catalogue_rule_find(const struct catalogue *c, const char *name, size_t len);
int catalogue_channel_find(const struct catalogue *c, const char *name, size_t len);   /* index or -1 */
int catalogue_attribute_find(const struct catalogue *c, const char *name, size_t len); /* index or -1 */
int catalogue_language_find(const struct catalogue *c, const char *tag,
			    size_t len); /* with fallback es-CO -> es -> bank: always an index */

/* A line per event type: name, code, keep or drop and on which condition, and why (which rules, aggregates,
 * history). */
void catalogue_interest_print(const struct catalogue *c, FILE *to);
/* How its conditions are evaluated: over columns of events, or event by event, and which. */
void catalogue_conditions_print(const struct catalogue *c, FILE *to);
/* What the catalogue has: counts by section, for `moment check`. */
void catalogue_summary_print(const struct catalogue *c, FILE *to);

#endif
