/*
 * scalar.c: from a node to what it must be: a map with the right keys, a number, a duration, a value.
 *
 * Every reader takes the node and says true with *out filled, or adds one problem at the node's place
 * ("found X, expected Y") and says false. Strings that stay are copied into the catalogue's arena.
 */
#include "compile.h"

#include <assert.h>
#include <base/money.h>
#include <cel/cel.h>
#include <stdlib.h>
#include <string.h>

static const int64_t NS_PER_S = 1000000000;

const char *node_found(const struct node *n, char *out, size_t room)
{
	if (n->kind == NODE_LIST)
		snprintf(out, room, "a list");
	else if (n->kind == NODE_MAP)
		snprintf(out, room, "a map");
	else if (n->bytes == 0)
		snprintf(out, room, "nothing");
	else if (n->style == STYLE_PLAIN)
		snprintf(out, room, "'%.*s'", (int)(n->bytes < 60 ? n->bytes : 60), n->text);
	else
		snprintf(out, room, "the text '%.*s'", (int)(n->bytes < 60 ? n->bytes : 60), n->text);
	return out;
}

static bool refuse(struct build *b, const struct node *n, const char *expected)
{
	char found[300];

	build_problem(b, n, "found %s, expected %s", node_found(n, found, sizeof found), expected);
	return false;
}

static void unknown_key(struct build *b, const struct node *key, const struct map_spec *spec)
{
	const char *known[64];
	char near[96];
	size_t n = 0;

	for (size_t i = 0; i < spec->count; i++)
		if (spec->keys[i].state != KEY_NOT_YET)
			known[n++] = spec->keys[i].name;
	assert(n <= sizeof known / sizeof *known);
	list_suggest(known, n, key->text, near, sizeof near);
	build_problem(b, key, "unknown key '%.80s' in %s%s", key->text, spec->what, near);
}

static void check_key(struct build *b, const struct node *key, const struct map_spec *spec)
{
	static const char *const shapes[] = { "", "one value", "a list: [a, b]", "a map: { key: value }" };
	static const enum node_kind kinds[] = { NODE_SCALAR, NODE_SCALAR, NODE_LIST, NODE_MAP };

	for (size_t i = 0; i < spec->count; i++) {
		const struct key_spec *k = &spec->keys[i];
		char expected[128];
		if (strcmp(k->name, key->text) != 0)
			continue;
		if (k->state == KEY_NOT_YET) {
			build_problem(b, key, "not yet: '%s' in %s is not built", k->name, spec->what);
		} else if (k->shape != SHAPE_ANY &&
			   (key->value->kind != kinds[k->shape] ||
			    (key->value->kind == NODE_SCALAR && key->value->bytes == 0 &&
			     key->value->style == STYLE_PLAIN))) {
			snprintf(expected, sizeof expected, "%s for '%s'", shapes[k->shape], k->name);
			refuse(b, key->value, expected);
		}
		return;
	}
	unknown_key(b, key, spec);
}

void map_check_keys(struct build *b, const struct node *map, enum map_kind kind)
{
	for (const struct node *key = map->first; key; key = key->next)
		check_key(b, key, &map_specs[kind]);
}

bool map_check(struct build *b, const struct node *at, const struct node *map, enum map_kind kind)
{
	const struct map_spec *spec = &map_specs[kind];
	size_t before = b->problems->count;

	if (map->kind != NODE_MAP) {
		char expected[128];
		snprintf(expected, sizeof expected, "%s: a map { key: value }", spec->what);
		return refuse(b, map, expected);
	}
	map_check_keys(b, map, kind);
	for (size_t i = 0; i < spec->count; i++)
		if (spec->keys[i].state == KEY_REQUIRED && !yaml_get(map, spec->keys[i].name))
			build_problem(b, at, "missing key '%s' in %s", spec->keys[i].name, spec->what);
	return b->problems->count == before;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool name_check(struct build *b, const struct node *key, bool dots, const char *what)
{
	bool good = key->bytes > 0, start = true;

	if (key->bytes > NAME_BYTES_MAX) {
		build_problem(b, key, "the name of %s has %u bytes, the limit is %d", what, key->bytes,
			      NAME_BYTES_MAX);
		return false;
	}
	for (uint32_t i = 0; i < key->bytes && good; i++) {
		char c = key->text[i];
		if (c == '.' && dots && !start) {
			start = true;
			continue;
		}
		good = is_letter(c) || (is_digit(c) && !start);
		start = false;
	}
	if (good && !start)
		return true;
	build_problem(b, key,
		      "found '%.80s', expected the name of %s: letters, digits and _%s, a letter first",
		      key->text, what, dots ? ", parts joined by dots" : "");
	return false;
}

/* Decimal digits with an optional minus, nothing else. */
static bool parse_int(const char *s, size_t len, int64_t *out)
{
	bool negative = len > 0 && s[0] == '-';
	uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, value = 0;

	if (len == (size_t)negative)
		return false;
	for (size_t i = negative; i < len; i++) {
		if (!is_digit(s[i]))
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, s[i] - '0', &value) || value > limit)
			return false;
	}
	*out = negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

bool scalar_int(struct build *b, const struct node *n, int64_t min, int64_t max, int64_t *out)
{
	char expected[96];

	if (n->kind == NODE_SCALAR && n->style == STYLE_PLAIN && parse_int(n->text, n->bytes, out) &&
	    *out >= min && *out <= max)
		return true;
	if (min == INT64_MIN && max == INT64_MAX)
		return refuse(b, n, "a whole number");
	snprintf(expected, sizeof expected, "a whole number from %lld to %lld", (long long)min,
		 (long long)max);
	return refuse(b, n, expected);
}

bool scalar_bool(struct build *b, const struct node *n, bool *out)
{
	if (n->kind == NODE_SCALAR && n->style == STYLE_PLAIN) {
		*out = yaml_text_is(n, "true");
		if (*out || yaml_text_is(n, "false"))
			return true;
	}
	return refuse(b, n, "true or false");
}

bool scalar_duration(struct build *b, const struct node *n, int64_t *ns)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };

	if (n->kind == NODE_SCALAR && n->bytes >= 2)
		for (size_t i = 0; i < ARRAY_LEN(units); i++)
			if (n->text[n->bytes - 1] == units[i].unit && parse_int(n->text, n->bytes - 1, ns) &&
			    *ns > 0 && !__builtin_mul_overflow(*ns, units[i].seconds * NS_PER_S, ns))
				return true;
	return refuse(b, n, "a duration such as 30s, 10m, 24h, 90d or 2w");
}

bool scalar_bytes(struct build *b, const struct node *n, uint64_t *out)
{
	static const struct {
		const char *unit;
		int64_t bytes;
	} units[] = { { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
		      { "KB", 1000 },	  { "MB", 1000000 },  { "GB", 1000000000 } };
	int64_t value;

	if (n->kind == NODE_SCALAR)
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			size_t len = strlen(units[i].unit);
			if (n->bytes > len && strcmp(n->text + n->bytes - len, units[i].unit) == 0 &&
			    parse_int(n->text, n->bytes - len, &value) && value > 0 &&
			    !__builtin_mul_overflow(value, units[i].bytes, &value)) {
				*out = (uint64_t)value;
				return true;
			}
		}
	return refuse(b, n, "a size such as 512MB, 8GB or 2GiB");
}

int scalar_choice(struct build *b, const struct node *n, const char *const *list, size_t count)
{
	char found[300], near[96] = "", all[256];
	size_t at = 0;

	for (size_t i = 0; i < count; i++)
		if (yaml_text_is(n, list[i]))
			return (int)i;
	all[0] = 0;
	for (size_t i = 0; i < count && at < sizeof all; i++)
		at += (size_t)snprintf(all + at, sizeof all - at, "%s%s",
				       i == 0		? ""
				       : i + 1 == count ? " or "
							: ", ",
				       list[i]);
	if (n->kind == NODE_SCALAR)
		list_suggest(list, count, n->text, near, sizeof near);
	build_problem(b, n, "found %s, expected %s%s", node_found(n, found, sizeof found), all, near);
	return -1;
}

int scalar_type(struct build *b, const struct node *n, const enum value_type *allowed, size_t count)
{
	const char *names[TYPE_COUNT];
	int choice;

	assert(count <= TYPE_COUNT);
	for (size_t i = 0; i < count; i++)
		names[i] = cel_type_name(allowed[i]);
	choice = scalar_choice(b, n, names, count);
	return choice < 0 ? -1 : (int)allowed[choice];
}

bool scalar_expression(struct build *b, const struct node *n)
{
	if (n->kind == NODE_SCALAR && n->style != STYLE_PLAIN && n->bytes > 0)
		return true;
	return refuse(b, n, "an expression in quotes or as a block: 'event.amount > 100'");
}

/* "2026-01-31" or "2026-01-31T09:00:00Z" to nanoseconds. */
static bool parse_timestamp(const char *s, size_t len, int64_t *ns)
{
	int year, month, day, hour = 0, minute = 0, second = 0, used = 0;
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap;

	if (len != 10 && len != 20)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_digit(s[i]) && s[i] != "0000-00-00T00:00:00Z"[i])
			return false;
	if (sscanf(s, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || used != 10)
		return false;
	if (len == 20 &&
	    (sscanf(s + 10, "T%2d:%2d:%2dZ%n", &hour, &minute, &second, &used) != 3 || used != 10))
		return false;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (year < 1900 || year > 2200 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 ||
	    second > 59 || day > days[month - 1] + (month == 2 && leap))
		return false;
	/* days from civil, Howard Hinnant */
	int64_t y = month <= 2 ? year - 1 : year, era = y / 400, yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t since = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
	*ns = ((since * 24 + hour) * 60 + minute) * 60 + second;
	*ns *= NS_PER_S;
	return true;
}

/* A decimal number without exponent, as people write it in YAML. */
static bool parse_double(const char *s, size_t len, double *out)
{
	size_t digits = 0, dots = 0;
	char *end;

	for (size_t i = 0; i < len; i++) {
		digits += is_digit(s[i]);
		dots += s[i] == '.';
		if (!is_digit(s[i]) && s[i] != '.' && !(s[i] == '-' && i == 0))
			return false;
	}
	if (!digits || dots > 1 || len > 40)
		return false;
	*out = strtod(s, &end);
	return end == s + len;
}

static bool value_int(struct build *b, const struct node *n, struct value *out)
{
	if (n->kind == NODE_SCALAR && constant_find(n->text, n->bytes, &out->i))
		return true;
	return scalar_int(b, n, INT64_MIN, INT64_MAX, &out->i);
}

static bool value_string(struct build *b, const struct node *n, struct value *out)
{
	if (n->bytes > STRING_BYTES_MAX) {
		build_problem(b, n, "the text has %u bytes, the limit is %d", n->bytes, STRING_BYTES_MAX);
		return false;
	}
	out->s = build_copy(b, n->text, n->bytes);
	out->bytes = n->bytes;
	return true;
}

bool scalar_value(struct build *b, const struct node *n, enum value_type type, struct value *out)
{
	bool truth;

	*out = (struct value){ .type = (uint8_t)type };
	if (n->kind != NODE_SCALAR)
		return refuse(b, n, cel_type_name(type));
	switch (type) {
	case TYPE_BOOL:
		if (!scalar_bool(b, n, &truth))
			return false;
		out->i = truth;
		return true;
	case TYPE_INT:
		return value_int(b, n, out);
	case TYPE_DOUBLE:
		if (n->style == STYLE_PLAIN && parse_double(n->text, n->bytes, &out->d))
			return true;
		return refuse(b, n, "a number such as 0.5");
	case TYPE_STRING:
		return value_string(b, n, out);
	case TYPE_DURATION:
		return scalar_duration(b, n, &out->i);
	case TYPE_TIMESTAMP:
		return parse_timestamp(n->text, n->bytes, &out->i)
			       ? true
			       : refuse(b, n, "a time such as \"2026-01-31T09:00:00Z\"");
	case TYPE_MONEY:
		return money_parse(n->text, n->bytes, &out->i, &out->currency)
			       ? true
			       : refuse(b, n, "money such as \"100 EUR\" or \"12.50 USD\"");
	default:
		assert(type == TYPE_NONE && false); /* no such value in a catalogue */
		return false;
	}
}
