/*
 * compile: what the sections of the compiler share while one catalogue is made. Private to this folder.
 *
 * The pipeline is compile.c: files -> trees (yaml.c) -> entries by section (entries.c) -> bank, rates,
 * events, groups, profile, lists, aggregates, patterns, channels, messages, rules, texts (a file each) ->
 * links between them (link.c) -> what ICU knows (icu.c) or the blob brings -> blob and hash (blob.c). A
 * section that is wrong still leaves its names, so that one mistake is one problem.
 */
#ifndef CATALOGUE_COMPILE_H
#define CATALOGUE_COMPILE_H

#include "keys.h"
#include "yaml.h"

#include <setjmp.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum section_kind {
	IN_BANK,
	IN_RATES,
	IN_EVENTS,
	IN_GROUPS,
	IN_PROFILE,
	IN_AGGREGATES,
	IN_FRAUD_RULES,
	IN_CRITICAL,
	IN_SUBSCRIPTIONS,
	IN_CHANNELS,
	IN_MESSAGES,
	IN_THRESHOLDS,
	IN_PATTERNS,
	IN_LISTS,
	SECTION_KINDS
};

struct entry {
	const char *name; /* in the catalogue's arena */
	struct node *key, *value;
};

struct section {
	struct entry *entries;
	uint32_t count, room;
};

/* A sorted list of names, each with a number. */
struct names {
	const char **name;
	uint32_t *number;
	uint32_t count;
};

struct event_set {
	uint64_t bits[EVENT_TYPES_MAX / 64];
};

/* A rule while it is compiled; the same number as catalogue.rules. */
struct rule_draft {
	const struct entry *entry;
	struct event_set events;
	int32_t message;	 /* -1 none */
	int32_t next_of_message; /* list of the rules that use one message; -1 ends */
};

struct build {
	struct catalogue *c;
	struct problems *problems;
	struct arena scratch; /* gone when the catalogue is done */
	jmp_buf no_memory;

	struct yaml_file *files; /* by name */
	uint32_t file_count;
	const struct node *zone_node; /* NULL: the default */
	bool is_blob;		      /* ICU is not asked */
	bool reads_zone;	      /* an expression calls local() */
	bool zones_needed;
	uint16_t zone_count;
	struct zone *zones;   /* by name; what ICU knows or the blob brings */
	bool incomplete;      /* part of a file is unread: unknown names prove nothing */
	unsigned suggestions; /* left: each costs a walk over all names */

	struct section sections[SECTION_KINDS];
	struct names events, groups, fields, attributes, aggregates, patterns, lists, channels, messages,
		rules, languages;
	uint16_t type_count; /* of c->event_count: real types; behind them those of patterns */
	struct event_set *group_sets;

	/* the catalogue's arrays while they can be written */
	struct cat_event *event;
	struct cat_field *field;
	struct cat_attribute *attribute;
	bool *attribute_broken;
	struct cat_aggregate *aggregate;
	bool *aggregate_broken;
	bool *aggregate_record; /* agg.x.field, not agg.x */
	struct cat_agg_value *agg_value;
	const char **agg_value_name;  /* in a record */
	uint8_t *agg_value_aggregate; /* whose it is */
	struct cat_key *key;
	const struct node *key_node[KEYS_MAX]; /* its `keys:`; NULL: it has no bound */
	struct cat_pattern *pattern;
	struct cat_list *list;
	struct cat_rule *rule;
	struct rule_draft *draft;
	struct cat_message *message;
	int32_t *message_rules;	 /* head of next_of_message by message */
	uint64_t *message_reads; /* aggregates by message */
	struct cat_language *language;
};

/* --- memory: never NULL; without memory the compilation ends with -ENOMEM --- */
void *build_take(struct build *b, size_t bytes); /* in the catalogue */
void *build_scratch(struct build *b, size_t bytes);
const char *build_copy(struct build *b, const char *s, size_t len); /* in the catalogue */
#define build_array(b, type, n) ((type *)build_take((b), sizeof(type) * (size_t)(n)))
#define build_scratch_array(b, type, n) ((type *)build_scratch((b), sizeof(type) * (size_t)(n)))

/* --- problems and names (names.c) --- */
__attribute__((format(printf, 3, 4))) void build_problem(struct build *b, const struct node *at,
							 const char *format, ...);
/* "; did you mean 'x'?" into out, or "": the nearest of the names by edit distance. */
const char *names_suggest(struct build *b, const struct names *names, const char *name, char *out,
			  size_t room);
const char *list_suggest(const char *const *list, size_t n, const char *name, char *out, size_t room);
int64_t names_find(const struct names *names, const char *name); /* number or -1 */
void names_build(struct build *b, struct names *names, const struct section *section);
void names_build_list(struct build *b, struct names *names, const char *const *list, uint32_t count);
/* The number of the name that `at` holds, or -1 with a problem "there is no <what> 'x'; ..". */
int64_t names_resolve(struct build *b, const struct names *names, const struct node *at, const char *what);

/* --- maps and scalars (scalar.c): each reports what it does not accept --- */
bool map_check(struct build *b, const struct node *at, const struct node *map, enum map_kind kind);
void map_check_keys(struct build *b, const struct node *map, enum map_kind kind); /* not what is missing */
const char *node_found(const struct node *n, char *out, size_t room);		  /* "a list", "'abc'" */
bool name_check(struct build *b, const struct node *key, bool dots, const char *what);
bool scalar_int(struct build *b, const struct node *n, int64_t min, int64_t max, int64_t *out);
bool scalar_bool(struct build *b, const struct node *n, bool *out);
bool scalar_duration(struct build *b, const struct node *n, int64_t *ns);
bool scalar_bytes(struct build *b, const struct node *n, uint64_t *out);
/* One of `list`; its index or -1. */
int scalar_choice(struct build *b, const struct node *n, const char *const *list, size_t count);
/* A value of a type, as in `default:`; money as "100 EUR". Strings are copied into the catalogue. */
bool scalar_value(struct build *b, const struct node *n, enum value_type type, struct value *out);
int scalar_type(struct build *b, const struct node *n, const enum value_type *allowed,
		size_t count); /* or -1 */
/* True when the scalar may hold an expression: quoted or block. */
bool scalar_expression(struct build *b, const struct node *n);

/* --- sections --- */
void entries_collect(struct build *b);
void bank_compile(struct build *b);
void events_compile(struct build *b);
void profile_compile(struct build *b);
void lists_compile(struct build *b);
void keys_compile(struct build *b);
void aggregates_compile(struct build *b);
void patterns_compile(struct build *b); /* behind the aggregates, whose numbers their steps follow */
void channels_compile(struct build *b);
void messages_compile(struct build *b);
void rules_compile(struct build *b);
void texts_compile(struct build *b);
void zones_compile(struct build *b); /* behind all expressions */
void links_compile(struct build *b);
void link_plan(struct build *b); /* plan.c; the last: it reads all of the rest */

/* The set of types that a list of names stands for; `what` names the key in problems. Only rules see
 * patterns. */
enum events_for { EVENTS_OF_GROUP, EVENTS_OF_WINDOW, EVENTS_OF_RULE };
bool events_resolve(struct build *b, const struct node *list, const char *what, enum events_for use,
		    struct event_set *out);
static inline bool event_set_has(const struct event_set *s, unsigned event)
{
	return s->bits[event / 64] >> (event % 64) & 1;
}

bool event_declares(const struct cat_event *event, uint16_t field);
bool set_declares(const struct build *b, const struct event_set *events, uint16_t field);
bool set_empty(const struct event_set *events);
/* The number of a body field that one of the types declares, or -1 with a problem at `n`, which named it. */
int body_field_resolve(struct build *b, const struct node *n, const char *name,
		       const struct event_set *events, const char *what);

/* --- keys of windows (per.c) --- */
/* The key of an aggregate or pattern, index in catalogue.keys, or -1 with a problem. */
int per_compile(struct build *b, const struct node *map, const char *what, const struct event_set *over);
/* Do the bounded keys fit in bank.memory.windows? When all are known. */
void keys_check(struct build *b);
bool key_has_one_currency(const struct cat_key *key);

/* --- aggregates (aggregates.c) --- */
/* `within`, at most WINDOW_DAYS_MAX; 0 when it is not there or wrong. */
int64_t within_take(struct build *b, const struct node *map);
/* An aggregate is whole: its identity. `where` NULL: none; `lists`: bits of those that it names. */
void aggregate_finish(struct build *b, uint32_t number, const struct event_set *over, bool mixed,
		      const struct node *where, const uint64_t *lists);

/* --- expressions (scope.c) --- */
enum scope_kind { SCOPE_WHERE, SCOPE_STEP, SCOPE_RULE, SCOPE_SUBSCRIPTION, SCOPE_TEXT };

struct scope {
	struct build *b;
	enum scope_kind kind;
	const struct cat_rule *rule;	/* RULE, SUBSCRIPTION: whose parameters */
	const struct event_set *events; /* all but TEXT: the types that are seen */
	int32_t rules;			/* TEXT: head of the list of rules that use it, -1 none */
	uint64_t lists[LISTS_MAX / 64]; /* bits of those that the expressions of this scope name */
	char why[512];			/* why the last name was refused */
	bool refused, quiet;		/* quiet: the reason is a problem already */
};

/* Compiles the bytes [from, to) of a scalar; a problem at its exact place when that fails. */
bool expression_compile(struct build *b, struct scope *scope, const struct node *n, size_t from, size_t to,
			enum value_type want, struct cel_program *out);
uint64_t program_aggregates(const struct build *b, const struct cel_program *program);

/* Constants by their name behind "country." etc.: false when there is none. */
bool constant_find(const char *name, size_t len, int64_t *out);

/* --- zones (zones.c) --- */
/* The zone of that name for an accessor; all zones are in the catalogue from then on. NULL: there is none. */
const struct zone *zones_find(struct build *b, const char *name, size_t len);
void zones_note(struct build *b, const struct cel_program *program); /* does it call local()? */
/* The first of zones[0..i] whose offsets are those of zones[i]. */
uint32_t zones_first_equal(const struct zone *zones, uint32_t i);

/* --- what ICU knows; only when a directory or a text is compiled --- */
void icu_derive(struct build *b);
void icu_zones(struct build *b); /* b->zones */

/* --- the journal's form (blob.c) --- */
void blob_encode(struct build *b);
/* Files of a blob into b->files; false when it is not one. */
bool blob_files(struct build *b, const void *blob, size_t bytes, const uint8_t **derived,
		size_t *derived_bytes);
/* What icu_zones would have made, before the files are compiled: *derived is behind it then. */
bool blob_zones(struct build *b, const uint8_t **derived, size_t *bytes);
/* What icu_derive would have made; false when it does not fit the files. */
bool blob_derived(struct build *b, const uint8_t *derived, size_t bytes);

#endif
