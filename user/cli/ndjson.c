/*
 * ndjson.c: JSON lines to frames (jansson reads them), MessagePack bodies to JSON text.
 *
 * In: a line. Out: a frame in the caller's room, which passes frame_header_check and pack_validate, or a
 * reason in words. The names of event types are those of the demo bank; others have to come as codes.
 */
#include "ndjson.h"

#include <base/bytes.h>
#include <base/frame.h>
#include <base/money.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct context {
	struct frame_header header;
	char *error;
	size_t room;
};

static const struct {
	const char *name;
	uint16_t code;
} types[] = {
	{ "card.purchase", 1 },
	{ "card.declined", 2 },
	{ "atm.withdrawal", 3 },
	{ "transfer.out", 4 },
	{ "transfer.in", 5 },
	{ "salary", 6 },
	{ "direct.debit", 7 },
	{ "standing.order", 8 },
	{ "fee", 9 },
	{ "login", 10 },
	{ "login.failed", 11 },
	{ "password.changed", 12 },
	{ "device.added", 13 },
	{ "card.refund", 14 },
	{ "payee.added", 15 },
	{ "loan.instalment", 16 },
	{ "loan.missed", 17 },
	{ "card.blocked", 18 },
	{ "atm.deposit", 19 },
	{ "standing_order.failed", 20 },
	{ "interest", 21 },
	{ "transfer.failed", 22 },
	{ "direct.debit.returned", 23 },
	{ "stepup.passed", 24 },
	{ "card.expiring", 25 },
	{ "transfer.instant", 26 },
	{ "balance.inquiry", 40 },
	{ "app.screen", 41 },
};

uint16_t ndjson_type_code(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].code;
	return 0;
}

__attribute__((format(printf, 2, 3))) static bool refuse(struct context *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->error, c->room, format, args);
	va_end(args);
	return false;
}

static bool set_type(struct context *c, const json_t *value)
{
	if (json_is_string(value)) {
		c->header.type = ndjson_type_code(json_string_value(value));
		if (c->header.type == 0)
			return refuse(c, "type \"%s\" is none of the demo bank's; give its code",
				      json_string_value(value));
		return true;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > UINT16_MAX)
		return refuse(c, "type must be a code from 0 to 65535 or a name");
	c->header.type = (uint16_t)json_integer_value(value);
	return true;
}

static bool number_or_digits(struct context *c, const char *name, const json_t *value, uint64_t *out)
{
	const char *digits = json_string_value(value);
	char *end;

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = (uint64_t)json_integer_value(value);
		return true;
	}
	if (digits && *digits >= '0' && *digits <= '9') {
		errno = 0;
		*out = strtoull(digits, &end, 10);
		if (errno == 0 && *end == 0)
			return true;
	}
	return refuse(c, "%s must be a number from 0 to 2^64-1, or one in a string", name);
}

static bool set_customer(struct context *c, const json_t *value)
{
	return number_or_digits(c, "customer", value, &c->header.customer);
}

static bool set_account(struct context *c, const json_t *value)
{
	return number_or_digits(c, "account", value, &c->header.account);
}

/* The part behind the seconds: nothing or decimals, then Z. */
static bool decimals_parse(const char *at, int64_t *ns)
{
	int64_t unit = 100000000;

	*ns = 0;
	if (*at == '.') {
		for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10) {
			if (unit == 0)
				return false;
			*ns += (*at - '0') * unit;
		}
		if (unit == 100000000)
			return false;
	}
	return strcmp(at, "Z") == 0;
}

static bool timestamp_parse(const char *text, int64_t *out)
{
	struct tm tm = { 0 }, again;
	const char *rest = strlen(text) >= 20 ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	time_t seconds;
	int64_t ns;

	if (!rest || rest - text != 19 || !decimals_parse(rest, &ns))
		return false;
	again = tm;
	seconds = timegm(&again);
	if (again.tm_mday != tm.tm_mday || again.tm_hour != tm.tm_hour || seconds < 0 || seconds > 9200000000)
		return false; /* a day that the month does not have, or beyond int64 */
	*out = (int64_t)seconds * 1000000000 + ns;
	return true;
}

static bool set_time(struct context *c, const json_t *value)
{
	if (json_is_integer(value)) {
		c->header.time = json_integer_value(value);
		return true;
	}
	if (json_is_string(value) && timestamp_parse(json_string_value(value), &c->header.time))
		return true;
	return refuse(c, "time must be ns since 1970 or like \"2026-03-02T09:30:00Z\"");
}

static bool set_amount(struct context *c, const json_t *value)
{
	c->header.amount = json_integer_value(value);
	return json_is_integer(value) || refuse(c, "amount must be a whole number of minor units");
}

static bool set_balance(struct context *c, const json_t *value)
{
	c->header.balance = json_is_null(value) ? FRAME_BALANCE_NO_DATA : json_integer_value(value);
	return json_is_integer(value) || json_is_null(value) ||
	       refuse(c, "balance must be a whole number of minor units, or null");
}

static bool set_code(struct context *c, const char *name, const json_t *value, uint16_t by_name,
		     uint16_t *out)
{
	if (json_is_string(value) && by_name) {
		*out = by_name;
		return true;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > UINT16_MAX)
		return refuse(c, "%s must be a number from 0 to 65535 or a known name", name);
	*out = (uint16_t)json_integer_value(value);
	return true;
}

static bool set_currency(struct context *c, const json_t *value)
{
	const struct money_currency *known =
		json_is_string(value)
			? money_currency_find(json_string_value(value), json_string_length(value))
			: NULL;

	return set_code(c, "currency", value, known ? known->numeric : 0, &c->header.currency);
}

static bool set_country(struct context *c, const json_t *value)
{
	uint16_t known = json_is_string(value)
				 ? money_country_find(json_string_value(value), json_string_length(value))
				 : 0;

	return set_code(c, "country", value, known, &c->header.country);
}

static bool set_mcc(struct context *c, const json_t *value)
{
	return set_code(c, "mcc", value, 0, &c->header.mcc);
}

static bool set_touchpoint(struct context *c, const json_t *value)
{
#define X(number, name) #name,
	static const char *const names[] = { "", FRAME_TOUCHPOINTS(X) };
#undef X
	uint16_t known = 0, number = 0;

	for (uint16_t i = 1; json_is_string(value) && i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], json_string_value(value)) == 0)
			known = i;
	if (!set_code(c, "touchpoint", value, known, &number))
		return false;
	c->header.touchpoint = (uint8_t)number;
	return number < TOUCHPOINT_COUNT || refuse(c, "touchpoint must be 0 to %d", TOUCHPOINT_COUNT - 1);
}

static bool set_flags(struct context *c, const json_t *value)
{
	static const char *const names[] = { "verdict", "reversal", "repeat" };
	size_t index;
	const json_t *item;

	if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) < 256) {
		c->header.flags = (uint8_t)json_integer_value(value);
		return true;
	}
	if (!json_is_array(value))
		return refuse(c, "flags must be a number or a list of \"verdict\", \"reversal\", \"repeat\"");
	json_array_foreach((json_t *)value, index, item)
	{
		unsigned bit = 0;

		while (bit < 3 && (!json_is_string(item) || strcmp(json_string_value(item), names[bit]) != 0))
			bit++;
		if (bit == 3)
			return refuse(c, "flags has an unknown name");
		c->header.flags |= (uint8_t)(1u << bit);
	}
	return true;
}

static bool set_kind(struct context *c, const json_t *value)
{
	static const uint8_t kinds[] = { FRAME_EVENT, FRAME_PROFILE, FRAME_SUBSCRIBE, FRAME_MANAGE };

	for (size_t i = 0; json_is_string(value) && i < sizeof(kinds); i++)
		if (strcmp(json_string_value(value), frame_kind_name(kinds[i])) == 0) {
			c->header.kind = kinds[i];
			return true;
		}
	return refuse(c, "kind must be \"EVENT\", \"PROFILE\", \"SUBSCRIBE\" or \"MANAGE\"");
}

static bool skip_body(struct context *c, const json_t *value)
{
	return json_is_object(value) || refuse(c, "body must be an object");
}

static const struct {
	const char *name;
	bool (*set)(struct context *c, const json_t *value);
} setters[] = {
	{ "kind", set_kind },
	{ "type", set_type },
	{ "customer", set_customer },
	{ "account", set_account },
	{ "time", set_time },
	{ "amount", set_amount },
	{ "balance", set_balance },
	{ "currency", set_currency },
	{ "country", set_country },
	{ "mcc", set_mcc },
	{ "touchpoint", set_touchpoint },
	{ "flags", set_flags },
	{ "body", skip_body },
};
enum { SETTERS = sizeof(setters) / sizeof(*setters) };

static bool set_fields(struct context *c, json_t *line)
{
	const char *name;
	json_t *value;

	json_object_foreach(line, name, value)
	{
		int i = 0;

		while (i < SETTERS && strcmp(setters[i].name, name) != 0)
			i++;
		if (i == SETTERS)
			return refuse(c,
				      "\"%s\" is no field of a frame (fields of the body go into \"body\")",
				      name);
		if (!setters[i].set(c, value))
			return false;
	}
	return true;
}

static void pack_json(struct pack_writer *w, const json_t *value)
{
	const char *name;
	json_t *item;
	size_t index;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		pack_map(w, (uint32_t)json_object_size(value));
		json_object_foreach((json_t *)value, name, item)
		{
			pack_text(w, name);
			pack_json(w, item);
		}
		break;
	case JSON_ARRAY:
		pack_array(w, (uint32_t)json_array_size(value));
		json_array_foreach((json_t *)value, index, item) pack_json(w, item);
		break;
	case JSON_STRING:
		pack_string(w, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		pack_int(w, json_integer_value(value));
		break;
	case JSON_REAL:
		pack_double(w, json_real_value(value));
		break;
	case JSON_NULL:
		pack_nil(w);
		break;
	default:
		pack_bool(w, json_is_true(value));
	}
}

static bool put_body(struct context *c, const json_t *body, uint8_t *frame)
{
	struct pack_writer w;
	const char *error;
	uint32_t offset;

	pack_writer_init(&w, frame + FRAME_HEADER_BYTES, FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
	if (body)
		pack_json(&w, body);
	else
		pack_map(&w, 0);
	if (w.overflow)
		return refuse(c, "body is longer than a frame");
	error = pack_validate(w.start, pack_bytes(&w), &offset);
	if (error)
		return refuse(c, "body: %s", error);
	c->header.length = (uint32_t)(FRAME_HEADER_BYTES + pack_bytes(&w));
	return true;
}

static bool frame_make(struct context *c, json_t *line, uint8_t *frame)
{
	struct frame_problem problem;

	if (!json_is_object(line))
		return refuse(c, "a line must be an object");
	if (!set_fields(c, line))
		return false;
	if (c->header.kind == FRAME_EVENT && !json_object_get(line, "balance"))
		c->header.balance = FRAME_BALANCE_NO_DATA;
	if (!put_body(c, json_object_get(line, "body"), frame))
		return false;
	c->header.sequence = 1; /* for the check: it gets its own when it is sent */
	problem = frame_header_check(&c->header, ROLE_OF_SOURCE);
	if (problem.text)
		return refuse(c, "%s", problem.text);
	c->header.sequence = 0;
	memcpy(frame, &c->header, sizeof(c->header));
	return true;
}

size_t ndjson_frame(const char *line, size_t len, uint8_t *frame, char *error, size_t room)
{
	struct context c = { .header = { .version = FRAME_VERSION, .kind = FRAME_EVENT },
			     .error = error,
			     .room = room };
	json_error_t problem;
	json_t *parsed = json_loadb(line, len, JSON_REJECT_DUPLICATES, &problem);
	bool good;

	if (!parsed) {
		snprintf(error, room, "no JSON at column %d: %s", problem.column, problem.text);
		return 0;
	}
	good = frame_make(&c, parsed, frame);
	json_decref(parsed);
	return good ? c.header.length : 0;
}

void ndjson_print_string(const char *s, size_t len, FILE *out)
{
	size_t from = 0;

	putc_unlocked('"', out);
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)s[i];

		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		fwrite_unlocked(s + from, 1, i - from, out);
		if (byte < 0x20)
			fprintf(out, "\\u%04x", byte);
		else
			fprintf(out, "\\%c", byte);
		from = i + 1;
	}
	fwrite_unlocked(s + from, 1, len - from, out);
	putc_unlocked('"', out);
}

static void print_hex(const struct pack_item *item, FILE *out)
{
	static const char digits[] = "0123456789abcdef";

	putc_unlocked('"', out);
	for (uint32_t i = 0; i < item->bytes; i++) {
		putc_unlocked(digits[(uint8_t)item->s[i] >> 4], out);
		putc_unlocked(digits[(uint8_t)item->s[i] & 15], out);
	}
	putc_unlocked('"', out);
}

/* A number that reads back as the same double; JSON has no name for what is not finite. */
static void print_double(double d, FILE *out)
{
	char text[40];

	if (!__builtin_isfinite(d)) {
		fputs("null", out);
		return;
	}
	snprintf(text, sizeof(text), "%.17g", d);
	fputs(text, out);
	if (!strpbrk(text, ".e"))
		fputs(".0", out);
}

static void print_items(struct pack_reader *r, const struct pack_item *head, FILE *out)
{
	bool map = head->type == PACK_MAP;

	putc_unlocked(map ? '{' : '[', out);
	for (uint32_t i = 0; i < head->count; i++) {
		if (i > 0)
			fputs(", ", out);
		if (map) {
			ndjson_print_value(r, out);
			fputs(": ", out);
		}
		ndjson_print_value(r, out);
	}
	putc_unlocked(map ? '}' : ']', out);
}

void ndjson_print_value(struct pack_reader *r, FILE *out)
{
	struct pack_item item = pack_read(r);

	switch (item.type) {
	case PACK_BOOL:
		fputs(item.b ? "true" : "false", out);
		break;
	case PACK_INT:
		fprintf(out, "%" PRId64, item.i);
		break;
	case PACK_UINT:
		fprintf(out, "%" PRIu64, item.u);
		break;
	case PACK_DOUBLE:
		print_double(item.d, out);
		break;
	case PACK_STRING:
		ndjson_print_string(item.s, item.bytes, out);
		break;
	case PACK_BINARY:
		print_hex(&item, out);
		break;
	case PACK_ARRAY:
	case PACK_MAP:
		print_items(r, &item, out);
		break;
	default:
		fputs("null", out);
	}
}
