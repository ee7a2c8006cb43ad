/*
 * fields: the tables of what status and metrics show, so that a counter is named in one place and both agree.
 * Pure data: offsets in struct engine_status and in struct ledger_rule, all of them uint64_t.
 */
#ifndef CONTROL_FIELDS_H
#define CONTROL_FIELDS_H

#include <live.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

/* One number. `group` and `key` are its place in the JSON, `metric` its name for Prometheus. */
struct control_field {
	const char *group, *key, *metric;
	enum metric_type type;
	size_t offset;
	const char *help;
};

/* One number per value of an enum (counters.h): values [first, count). */
struct control_family {
	const char *group, *metric, *label;
	enum metric_type type;
	size_t offset;
	uint32_t first, count;
	const char *const *names, *const *texts;
	const char *help;
};

extern const struct control_field control_fields[];
extern const uint32_t control_field_count;
extern const struct control_family control_families[];
extern const uint32_t control_family_count;
extern const struct control_field control_rule_fields[]; /* offsets in struct ledger_rule */
extern const uint32_t control_rule_field_count;

static inline uint64_t control_value(const void *base, size_t offset)
{
	uint64_t value;

	__builtin_memcpy(&value, (const char *)base + offset, sizeof value);
	return value;
}

/* The ledger's floors, and that every suppressed hit has its reason. True when all hold. */
enum { CONTROL_EQUATIONS = LEDGER_EQUATIONS + 1 };
bool control_equations(const struct ledger *l, struct ledger_equation out[CONTROL_EQUATIONS]);

enum { CONTROL_NAME_BYTES = 64 };
_Static_assert((int)CONTROL_NAME_BYTES > (int)NAME_BYTES_MAX, "a name fits");
/* NOT_YET -> not_yet */
const char *control_lower(char out[CONTROL_NAME_BYTES], const char *name);
/* A name as UTF-8: what is not becomes '?'. */
const char *control_name(char out[CONTROL_NAME_BYTES], const char *name);
const char *control_section(uint8_t section);
/* A hash as everywhere else: 32 hex digits, high then low. */
const char *control_hash(char out[33], struct hash128 hash);

#endif
