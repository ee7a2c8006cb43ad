/*
 * import_lines.c: one line of an import file becomes the bodies of frames.
 *
 * In: a line of JSON. Out: changes whose bodies are the line's own values as MessagePack; for every value the
 * place in the line, so that what a store says about a byte of a body can be said about a column. Memory: one
 * block, taken by new. What can go wrong is in the line: no JSON, an unknown key, no number of a customer or
 * account, a body too large.
 */
#include <assert.h>
#include <base/bytes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "json.h"

struct place {
	uint32_t offset; /* into bodies */
	uint32_t at;	 /* into the line */
};

enum {
	BODY_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEADER_BYTES,
	PLACES_MAX = JSON_TOKENS_MAX + 4 * IMPORT_CHANGES_MAX
};

struct import_lines {
	struct json json;
	struct pack_writer w;
	struct import_problem *problem;
	int count;
	uint32_t place_count;
	struct import_change change[IMPORT_CHANGES_MAX];
	struct place place[PLACES_MAX];
	struct json_token tokens[JSON_TOKENS_MAX];
	char scratch[IMPORT_LINE_BYTES_MAX];
	uint8_t bodies[3 * IMPORT_LINE_BYTES_MAX];
};

struct import_lines *import_lines_new(void)
{
	struct import_lines *l = malloc(sizeof *l);

	if (l)
		l->json = (struct json){ .tokens = l->tokens };
	return l;
}

void import_lines_free(struct import_lines *l)
{
	free(l);
}

const struct import_change *import_lines_change(const struct import_lines *l, int index)
{
	assert(index >= 0 && index < l->count);
	return &l->change[index];
}

/* In characters: bytes that do not continue one. */
static uint32_t column_of(const struct import_lines *l, uint32_t at)
{
	uint32_t column = 1;

	for (uint32_t i = 0; i < at; i++)
		column += ((uint8_t)l->json.text[i] & 0xc0) != 0x80;
	return column;
}

uint32_t import_lines_column(const struct import_lines *l, int index, uint32_t offset)
{
	uint32_t total = (uint32_t)(import_lines_change(l, index)->body - l->bodies) + offset, at = 0;

	for (uint32_t i = 0; i < l->place_count && l->place[i].offset <= total; i++)
		at = l->place[i].at;
	return column_of(l, at);
}

__attribute__((format(printf, 3, 4))) static bool problem(struct import_lines *l, uint32_t at,
							  const char *form, ...)
{
	va_list args;

	l->problem->column = column_of(l, at);
	va_start(args, form);
	vsnprintf(l->problem->text, sizeof l->problem->text, form, args);
	va_end(args);
	return false;
}

static bool token_is(const struct import_lines *l, const struct json_token *token, const char *text)
{
	return token->type == JSON_IS_STRING && !token->escaped && token->bytes == strlen(text) &&
	       memcmp(l->json.text + token->at + 1, text, token->bytes) == 0;
}

static const struct json_token *token_at(const struct import_lines *l, uint32_t index)
{
	assert(index < l->json.count);
	return &l->json.tokens[index];
}

/* ---- values as MessagePack ---- */

static void place_add(struct import_lines *l, uint32_t at)
{
	assert(l->place_count < PLACES_MAX);
	l->place[l->place_count++] = (struct place){ .offset = (uint32_t)(l->w.at - l->bodies), .at = at };
}

static void write_string(struct import_lines *l, const struct json_token *token)
{
	if (!token->escaped) {
		pack_string(&l->w, l->json.text + token->at + 1, token->bytes);
		return;
	}
	pack_string(&l->w, l->scratch, json_unescape(&l->json, token, l->scratch));
}

/* The token itself; of a list or map only the head. */
static void write_token(struct import_lines *l, const struct json_token *token)
{
	place_add(l, token->at);
	switch (token->type) {
	case JSON_IS_NULL:
		pack_nil(&l->w);
		break;
	case JSON_IS_BOOL:
		pack_bool(&l->w, token->b);
		break;
	case JSON_IS_INT:
		pack_int(&l->w, token->i);
		break;
	case JSON_IS_UINT:
		pack_uint(&l->w, token->u);
		break;
	case JSON_IS_DOUBLE:
		pack_double(&l->w, token->d);
		break;
	case JSON_IS_STRING:
		write_string(l, token);
		break;
	case JSON_IS_LIST:
		pack_array(&l->w, token->count);
		break;
	default:
		pack_map(&l->w, token->count);
	}
}

/* Tokens stand in the order of their bytes in the body. */
static void write_all(struct import_lines *l, uint32_t index)
{
	uint32_t end = token_at(l, index)->next;

	for (; index < end; index++)
		write_token(l, token_at(l, index));
}

static struct import_change *change_open(struct import_lines *l, enum frame_kind kind, uint64_t customer,
					 uint64_t account, uint32_t at)
{
	if (l->count == IMPORT_CHANGES_MAX) {
		problem(l, at, "found more than %d changes in a line", IMPORT_CHANGES_MAX);
		return NULL;
	}
	struct import_change *change = &l->change[l->count++];
	*change = (struct import_change){
		.kind = kind, .customer = customer, .account = account, .body = l->w.at
	};
	place_add(l, at);
	return change;
}

static bool change_close(struct import_lines *l, struct import_change *change)
{
	uint32_t offset;

	assert(!l->w.overflow); /* MessagePack takes at most 9 bytes for 4 of JSON ("1e1,") */
	change->bytes = (uint32_t)(l->w.at - change->body);
	const char *wrong = pack_validate(change->body, change->bytes, &offset);
	if (wrong) {
		l->problem->column = import_lines_column(l, l->count - 1, offset);
		snprintf(l->problem->text, sizeof l->problem->text, "found %s", wrong);
		return false;
	}
	if (change->bytes > BODY_BYTES_MAX) {
		l->problem->column = import_lines_column(l, l->count - 1, 0);
		snprintf(l->problem->text, sizeof l->problem->text, "found %u bytes of values, at most %d",
			 change->bytes, BODY_BYTES_MAX);
		return false;
	}
	return true;
}

/* ---- the line ---- */

enum line_key {
	KEY_CUSTOMER,
	KEY_ACCOUNT,
	KEY_SUBSCRIPTIONS,
	KEY_SET,
	KEY_UNSET,
	KEY_AS_OF,
	KEY_SOURCE,
	LINE_KEYS
};
static const char *const line_keys[LINE_KEYS] = { "customer", "account", "subscriptions", "set",
						  "unset",    "as_of",	 "source" };

/* Where the line's keys have their values; 0 = absent (token 0 is the line). */
struct line {
	uint32_t value[LINE_KEYS];
	uint64_t customer, account;
};

static bool line_key(struct import_lines *l, uint32_t index, struct line *line)
{
	const struct json_token *key = token_at(l, index);

	for (int i = 0; i < LINE_KEYS; i++) {
		if (!token_is(l, key, line_keys[i]))
			continue;
		if (line->value[i])
			return problem(l, key->at, "found a key that occurs twice");
		line->value[i] = index + 1;
		return true;
	}
	return problem(l, key->at,
		       "found an unknown key, expected customer, account, set, unset, subscriptions, as_of "
		       "or source");
}

static bool read_number(struct import_lines *l, uint32_t index, uint64_t *out)
{
	const struct json_token *token = index ? token_at(l, index) : NULL;

	if (!token)
		return true;
	if (token->type != JSON_IS_UINT && (token->type != JSON_IS_INT || token->i <= 0))
		return problem(l, token->at, "expected the number of a customer or account, above 0");
	*out = token->u;
	return true;
}

static bool line_check(struct import_lines *l, struct line *line)
{
	if (!read_number(l, line->value[KEY_CUSTOMER], &line->customer) ||
	    !read_number(l, line->value[KEY_ACCOUNT], &line->account))
		return false;
	if (!line->customer == !line->account)
		return problem(l, 0, "expected either customer or account");
	if (line->account && line->value[KEY_SUBSCRIPTIONS])
		return problem(l, token_at(l, line->value[KEY_SUBSCRIPTIONS])->at,
			       "found subscriptions of an account: they are of customers");
	return true;
}

static bool line_read(struct import_lines *l, struct line *line)
{
	const struct json_token *map = token_at(l, 0);

	if (map->type != JSON_IS_MAP)
		return problem(l, map->at, "expected a map: {\"customer\": ..}");
	for (uint32_t i = 1; i < map->next; i = token_at(l, i + 1)->next)
		if (!line_key(l, i, line))
			return false;
	return line_check(l, line);
}

/* A line with subscriptions only has no PROFILE: the customer stays as known as before. */
static bool write_profile(struct import_lines *l, const struct line *line)
{
	uint32_t pairs = 0;

	for (int i = KEY_SET; i <= KEY_SOURCE; i++)
		pairs += line->value[i] != 0;
	if (!pairs && line->value[KEY_SUBSCRIPTIONS])
		return true;
	struct import_change *change = change_open(l, FRAME_PROFILE, line->customer, line->account, 0);
	if (!change)
		return false;
	pack_map(&l->w, pairs);
	for (int i = KEY_SET; i <= KEY_SOURCE; i++)
		if (line->value[i]) {
			write_token(l, token_at(l, line->value[i] - 1));
			write_all(l, line->value[i]);
		}
	return change_close(l, change);
}

/* A frame's unknown keys are ignored; in a file they are mistakes. */
static bool subscription_keys(struct import_lines *l, const struct json_token *map, uint32_t index)
{
	static const char *const keys[] = { "id",	"kind",	     "on", "params",	"accounts",
					    "channels", "frequency", "at", "recipients" };

	for (uint32_t i = index + 1; i < map->next; i = token_at(l, i + 1)->next) {
		const struct json_token *key = token_at(l, i);
		size_t k = 0;
		while (k < sizeof keys / sizeof keys[0] && !token_is(l, key, keys[k]))
			k++;
		if (k == sizeof keys / sizeof keys[0])
			return problem(l, key->at,
				       "found an unknown key, expected id, kind, on, params, accounts, "
				       "channels or frequency");
	}
	return true;
}

static bool write_subscriptions(struct import_lines *l, const struct line *line)
{
	uint32_t index = line->value[KEY_SUBSCRIPTIONS];

	if (!index)
		return true;
	const struct json_token *list = token_at(l, index);
	if (list->type != JSON_IS_LIST)
		return problem(l, list->at, "expected a list of subscriptions");
	for (uint32_t i = index + 1; i < list->next; i = token_at(l, i)->next) {
		const struct json_token *one = token_at(l, i);
		if (one->type != JSON_IS_MAP)
			return problem(l, one->at, "expected a subscription: {\"kind\": ..}");
		if (!subscription_keys(l, one, i))
			return false;
		struct import_change *change = change_open(l, FRAME_SUBSCRIBE, line->customer, 0, one->at);
		if (!change)
			return false;
		write_all(l, i);
		if (!change_close(l, change))
			return false;
	}
	return true;
}

static bool is_blank(const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r'))
		len--;
	return len == 0;
}

int import_lines_read(struct import_lines *l, const char *line, size_t len, struct import_problem *out)
{
	struct line parts = { 0 };

	l->problem = out;
	l->count = 0;
	l->place_count = 0;
	l->json.text = line;
	pack_writer_init(&l->w, l->bodies, sizeof l->bodies);
	if (is_blank(line, len))
		return 0;
	if (len > IMPORT_LINE_BYTES_MAX) {
		problem(l, 0, "found a line of %zu bytes, at most %d", len, IMPORT_LINE_BYTES_MAX);
		return -1;
	}
	if (!json_parse(&l->json, line, len)) {
		problem(l, l->json.error_at, "%s", l->json.error);
		return -1;
	}
	if (!line_read(l, &parts) || !write_profile(l, &parts) || !write_subscriptions(l, &parts))
		return -1;
	return l->count;
}
