/*
 * plain.h: the slow twin of the message stage, for its test and its bench: texts a character at a time with
 * snprintf and every placeholder evaluated in a whole environment; bodies a key at a time. It was the stage's
 * own code before frames were put together from prepared stretches.
 */
#ifndef MESSAGE_PLAIN_H
#define MESSAGE_PLAIN_H

#include <assert.h>
#include <base/bytes.h>
#include <base/money.h>
#include <math.h>
#include <message/message.h>
#include <message/text.h>
#include <stdio.h>
#include <string.h>

static const char DASH[] = "\xe2\x80\x93";     /* U+2013 */
static const char ELLIPSIS[] = "\xe2\x80\xa6"; /* U+2026 */
static const char NO_BREAK_SPACE[] = "\xc2\xa0";

enum { ELLIPSIS_BYTES = 3, DIGITS_MAX = 320 };

/* --- the output: stops at its limits and remembers where the ellipsis can stand --- */

struct plain_writer {
	char *out;
	size_t room, bytes;
	uint32_t characters, characters_max;
	size_t cut; /* bytes that fit with an ellipsis behind them */
	bool full;
};

static size_t character_bytes(const char *s, const char *end)
{
	size_t n = 1;

	while (s + n < end && ((unsigned char)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static void put(struct plain_writer *w, const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end && !w->full) {
		size_t n = character_bytes(s, end);
		if (w->characters == w->characters_max || w->bytes + n > w->room) {
			w->full = true;
			return;
		}
		memcpy(w->out + w->bytes, s, n);
		w->bytes += n;
		w->characters++;
		if (w->characters < w->characters_max && w->bytes + ELLIPSIS_BYTES <= w->room)
			w->cut = w->bytes;
		s += n;
	}
}

static void put_text(struct plain_writer *w, const char *s)
{
	put(w, s, strlen(s));
}

static size_t finish(struct plain_writer *w)
{
	if (!w->full)
		return w->bytes;
	if (w->characters_max == 0 || w->room < ELLIPSIS_BYTES)
		return 0;
	memcpy(w->out + w->cut, ELLIPSIS, ELLIPSIS_BYTES);
	return w->cut + ELLIPSIS_BYTES;
}

/* --- numbers --- */

/* Is there a group mark in front of the digit with `left` digits from it to the point, itself included? */
static bool group_before(const struct cat_language *l, size_t left)
{
	if (left == l->group_first)
		return true;
	return left > l->group_first && (left - l->group_first) % l->group_next == 0;
}

static void put_grouped(struct plain_writer *w, const struct cat_language *l, const char *digits, size_t n,
			const char *group)
{
	bool grouped = n >= (size_t)l->group_first + l->group_least;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && grouped && group_before(l, n - i))
			put_text(w, group);
		put(w, digits + i, 1);
	}
}

static uint64_t magnitude(int64_t i)
{
	return i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
}

static void put_int(struct plain_writer *w, const struct cat_language *l, int64_t i)
{
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)magnitude(i));

	if (i < 0)
		put_text(w, l->minus);
	put_grouped(w, l, digits, (size_t)n, l->group);
}

/* |d| x 1000 as an integer, half to even, exact; false when it is too large for decimals to matter. */
static bool thousandths(double d, uint64_t *out)
{
	uint64_t bits, mantissa, product, rest, half;
	int shift;

	memcpy(&bits, &d, sizeof bits);
	mantissa = bits & ((UINT64_C(1) << 52) - 1);
	shift = (int)(bits >> 52 & 0x7ff);
	mantissa |= shift ? UINT64_C(1) << 52 : 0;
	shift = 1075 - (shift ? shift : 1); /* |d| = mantissa / 2^shift */
	if (shift <= 0)
		return false;
	product = mantissa * 1000; /* below 2^63 */
	if (shift > 63) {
		*out = 0;
		return true;
	}
	*out = product >> shift;
	rest = product & ((UINT64_C(1) << shift) - 1);
	half = UINT64_C(1) << (shift - 1);
	*out += rest > half || (rest == half && (*out & 1));
	return true;
}

/* At most three decimals, none that are zero at the end. */
static void put_double(struct plain_writer *w, const struct cat_language *l, double d)
{
	char digits[DIGITS_MAX], fraction[4];
	uint64_t value = 0;
	bool decimals = thousandths(d, &value);
	int n;

	if (decimals)
		n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(value / 1000));
	else
		n = snprintf(digits, sizeof digits, "%.0f",
			     fabs(d)); /* a whole number: its digits are exact */
	if (d < 0 && (value || !decimals))
		put_text(w, l->minus);
	put_grouped(w, l, digits, (size_t)n, l->group);
	if (value % 1000 == 0)
		return;
	n = snprintf(fraction, sizeof fraction, "%03u", (unsigned)(value % 1000));
	while (fraction[n - 1] == '0')
		n--;
	put_text(w, l->decimal);
	put(w, fraction, (size_t)n);
}

/* --- money --- */

static const struct cat_money_format *money_form(const struct cat_language *l, uint16_t currency)
{
	unsigned low = 0, high = l->money_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (l->money[middle].currency < currency)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->money_count && l->money[low].currency == currency ? &l->money[low] : NULL;
}

static void put_minor(struct plain_writer *w, const struct cat_language *l, uint64_t minor, unsigned exponent)
{
	char digits[32];
	int n = snprintf(digits, sizeof digits, "%0*llu", (int)exponent + 1, (unsigned long long)minor);
	size_t whole = (size_t)n - exponent;

	put_grouped(w, l, digits, whole, l->money_group);
	if (exponent == 0)
		return;
	put_text(w, l->money_decimal);
	put(w, digits + whole, exponent);
}

/* False when ISO 4217 has no such currency: then it is no data. */
static bool put_money(struct plain_writer *w, const struct cat_language *l, int64_t minor, uint16_t number)
{
	const struct money_currency *currency = money_currency_by_number(number);
	const struct cat_money_format *form = money_form(l, number);

	if (!currency)
		return false;
	if (!form) { /* a currency without a rate: its code, as ICU writes one without a symbol */
		put_text(w, minor < 0 ? l->minus : "");
		put_text(w, currency->code);
		put_text(w, NO_BREAK_SPACE);
		put_minor(w, l, magnitude(minor), currency->exponent);
		return true;
	}
	put_text(w, minor < 0 ? form->negative_before : form->before);
	put_minor(w, l, magnitude(minor), currency->exponent);
	put_text(w, minor < 0 ? form->negative_after : form->after);
	return true;
}

/* --- dates and times, in the bank's zone --- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t local_seconds(const struct zone *zone, int64_t ns)
{
	int64_t s = floor_div(ns, 1000000000);
	uint32_t low = 0, high = zone->count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (zone->from_s[middle] <= s)
			low = middle;
		else
			high = middle;
	}
	return s + zone->offset_s[low];
}

/* civil from days, Howard Hinnant, chrono-Compatible Low-Level Date Algorithms */
static void civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t era = floor_div(days + 719468, 146097), doe = days + 719468 - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

static void put_plain_int(struct plain_writer *w, int64_t i)
{
	char digits[24];

	put(w, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)i));
}

static void put_date(struct plain_writer *w, const struct cat_language *l, int64_t local_s)
{
	int64_t year;
	unsigned month, day;

	civil(floor_div(local_s, 86400), &year, &month, &day);
	for (const char *s = l->date_pattern; *s;) {
		size_t literal = strcspn(s, "DMY");
		put(w, s, literal);
		s += literal;
		if (*s == 'D')
			put_plain_int(w, day);
		else if (*s == 'M')
			put_text(w, l->months[month - 1]);
		else if (*s == 'Y')
			put_plain_int(w, year);
		s += *s != 0;
	}
}

static void put_time(struct plain_writer *w, int64_t local_s)
{
	int64_t second = local_s - floor_div(local_s, 86400) * 86400;
	char text[8];

	put(w, text,
	    (size_t)snprintf(text, sizeof text, "%02u:%02u", (unsigned)(second / 3600 % 24),
			     (unsigned)(second / 60 % 60)));
}

/* --- placeholders --- */

static void put_plain(struct plain_writer *w, const struct value *v)
{
	switch (v->type) {
	case TYPE_STRING:
		put(w, v->s, v->bytes);
		break;
	case TYPE_BOOL:
		put_text(w, v->i ? "true" : "false");
		break;
	default:
		assert(v->type == TYPE_INT);
		put_plain_int(w, v->i);
	}
}

/* False when there is nothing to write. */
static bool put_value(struct plain_writer *w, const struct catalogue *c, const struct cat_language *l,
		      const struct cat_text_part *part, const struct cel_env *env)
{
	struct value v = cel_eval(&part->program, env);

	if (v.status != VALUE_OK)
		return false;
	switch (part->format) {
	case TEXT_PLAIN:
		put_plain(w, &v);
		return true;
	case TEXT_MONEY:
		if (v.type != TYPE_MONEY)
			v.currency = part->program.unit == UNIT_BASE ? c->rates.bank : env->currency;
		return put_money(w, l, v.i, v.currency);
	case TEXT_NUMBER:
		if (v.type == TYPE_DOUBLE && !isfinite(v.d))
			return false;
		if (v.type == TYPE_DOUBLE)
			put_double(w, l, v.d);
		else
			put_int(w, l, v.i);
		return true;
	case TEXT_DATE:
		put_date(w, l, local_seconds(&c->zone, v.i));
		return true;
	case TEXT_TIME:
		put_time(w, local_seconds(&c->zone, v.i));
		return true;
	}
	assert(false); /* no other format is compiled */
	return false;
}

static size_t plain_text(const struct catalogue *c, const struct cat_text *text, uint16_t language,
			 const struct cel_env *env, uint32_t characters_max, char *out, size_t room,
			 uint32_t *no_data)
{
	struct plain_writer w = { .out = out, .room = room, .characters_max = characters_max };

	assert(language < c->language_count);
	assert(text->parts);
	*no_data = 0;
	for (uint16_t i = 0; i < text->part_count; i++) {
		const struct cat_text_part *part = &text->parts[i];
		if (part->literal) {
			put(&w, part->literal, part->literal_bytes);
		} else if (!put_value(&w, c, &c->languages[language], part, env)) {
			put_text(&w, DASH);
			++*no_data;
		}
	}
	return finish(&w);
}

static void hash_hex(struct hash128 hash, char out[32])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		out[i] = digits[hash.high >> (60 - 4 * i) & 15];
		out[16 + i] = digits[hash.low >> (60 - 4 * i) & 15];
	}
}

struct plain_parts {
	uint8_t id[16];
	const char *channel, *language, *rule;
	enum message_category category;
	uint64_t recipient;
	const char *text;
	size_t text_bytes;
};

static const char *category_name(enum message_category category)
{
	static const char *const names[] = {
#define X(value, name) [value] = #name,
		MESSAGE_CATEGORIES(X)
#undef X
	};
	return names[category];
}

/* Keys in the order of decisions 28. Returns the body's bytes. */
static size_t plain_body(const struct plain_parts *m, struct hash128 catalogue, void *out, size_t room)
{
	struct pack_writer w;
	char leg[NAME_BYTES_MAX + 3], hex[32];

	strcpy(stpcpy(leg, m->channel), "/1");
	hash_hex(catalogue, hex);
	pack_writer_init(&w, out, room);
	pack_map(&w, 9);
	pack_text(&w, "id");
	pack_binary(&w, m->id, 16);
	pack_text(&w, "leg");
	pack_text(&w, leg);
	pack_text(&w, "recipient");
	pack_uint(&w, m->recipient);
	pack_text(&w, "channel");
	pack_text(&w, m->channel);
	pack_text(&w, "lang");
	pack_text(&w, m->language);
	pack_text(&w, "category");
	pack_text(&w, category_name(m->category));
	pack_text(&w, "text");
	pack_string(&w, m->text, m->text_bytes);
	pack_text(&w, "rule");
	pack_text(&w, m->rule);
	pack_text(&w, "catalogue");
	pack_string(&w, hex, sizeof hex);
	assert(!w.overflow);
	return pack_bytes(&w);
}

static void plain_header(char *out, const struct event *e, const struct plain_parts *m, size_t body_bytes)
{
	const struct frame_header *from = e->header;
	struct frame_header header = {
		.length = (uint32_t)(FRAME_HEADER_BYTES + body_bytes),
		.version = FRAME_VERSION,
		.kind = FRAME_MESSAGE,
		.type = (uint16_t)m->category,
		.customer = m->recipient,
		.account = from->account,
		.time = from->time,
		.amount = from->amount,
		.currency = from->currency,
	};

	memcpy(out, &header, sizeof header); /* frames stand back to back, at any address */
}

/* The frame of a notice into `out` (room for the longest). `env` has every space. Returns its bytes. */
__attribute__((unused)) static uint32_t plain_frame(const struct message_context *context,
						    const struct notice *notice, const struct cel_env *env,
						    const char *subscription, uint32_t subscription_bytes,
						    char *out, uint32_t *no_data)
{
	const struct catalogue *c = context->catalogue;
	const struct hit *hit = &context->hits[notice->hit];
	const struct event *e = &context->events[hit->event];
	const struct cat_rule *rule = &c->rules[hit->rule];
	const struct cat_channel *channel = &c->channels[notice->channel];
	uint16_t language = c->language;
	char text[TEXT_BYTES_MAX];

	if (c->attribute_language >= 0) {
		const struct value *v = &env->space[SPACE_PROFILE][c->attribute_language];
		if (v->status == VALUE_OK && v->type == TYPE_STRING)
			language = (uint16_t)catalogue_language_find(c, v->s, v->bytes);
	}
	const struct cat_text *found = text_find(c, rule->message, &language);
	struct plain_parts m = { .channel = channel->name,
				 .language = c->languages[language].tag,
				 .rule = rule->name,
				 .category = rule->category,
				 .recipient = notice->recipient,
				 .text = text };
	m.text_bytes = plain_text(c, found, language, env, channel->text_max, text, sizeof text, no_data);
	message_id(&context->sources[e->source], e->header->sequence, rule->name, subscription,
		   subscription_bytes, notice->recipient, m.id);
	size_t body = plain_body(&m, c->hash, out + FRAME_HEADER_BYTES, MESSAGE_BODY_BYTES_MAX);
	plain_header(out, e, &m, body);
	return (uint32_t)(FRAME_HEADER_BYTES + body);
}

#endif
