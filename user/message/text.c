/*
 * text.c: literals and values -> the words that a customer reads, in a language, at most so long.
 *
 * In: a compiled text, the language's tables, the values of one event. Out: UTF-8 in the caller's bytes, no
 * NUL. Nothing is allocated and neither ICU nor the C locale is asked: marks, money forms, months and the
 * zone come from the catalogue, so a replay gives the same bytes anywhere. A placeholder without data, or
 * with an error, is a dash and counted; the decision to send was made before. What is too long ends in an
 * ellipsis behind a whole character.
 *
 * Most of a text is copied as it stands: characters are counted only once a text comes near its limit (put),
 * and a placeholder that is nothing but a field of the event is read without an environment (part_value).
 *
 * Read text_render last: writer, numbers, money, dates come first.
 */
#include "text.h"

#include <assert.h>
#include <base/money.h>
#include <catalogue/env.h>
#include <cel/program.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char DASH[] = "\xe2\x80\x93";     /* U+2013 */
static const char ELLIPSIS[] = "\xe2\x80\xa6"; /* U+2026 */
static const char NO_BREAK_SPACE[] = "\xc2\xa0";

enum { ELLIPSIS_BYTES = 3, DIGITS_MAX = 320 };

/* --- the output: stops at its limits and remembers where the ellipsis can stand --- */

struct writer {
	char *out;
	size_t room, bytes;
	size_t counted; /* bytes whose characters are in `characters` */
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

/* Near the limit: one character after the other. */
static void put_counted(struct writer *w, const char *s, size_t len)
{
	const char *end = s + len;

	for (; w->counted < w->bytes; w->counted++)
		w->characters += ((unsigned char)w->out[w->counted] & 0xc0) != 0x80;
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
	w->counted = w->bytes;
}

static void put(struct writer *w, const char *s, size_t len)
{
	size_t bytes = w->bytes + len;

	/* no more characters than bytes */
	if (bytes >= w->characters_max || bytes + ELLIPSIS_BYTES > w->room || w->full) {
		put_counted(w, s, len);
		return;
	}
	memcpy(w->out + w->bytes, s, len);
	w->bytes = w->cut = bytes;
}

static void put_text(struct writer *w, const char *s)
{
	put(w, s, strlen(s));
}

static size_t finish(struct writer *w)
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

static void put_grouped(struct writer *w, const struct cat_language *l, const char *digits, size_t n,
			const char *group)
{
	if (n < (size_t)l->group_first + l->group_least) {
		put(w, digits, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && group_before(l, n - i))
			put_text(w, group);
		put(w, digits + i, 1);
	}
}

enum { MARK_BYTES_MAX = 8, WHOLE_DIGITS_MAX = 20, WHOLE_BYTES_MAX = WHOLE_DIGITS_MAX * (1 + MARK_BYTES_MAX) };

/* Decimal digits of a number, at least `least`, the last one just before `end`. Returns the first. */
static char *digits_before(char *end, uint64_t value, unsigned least)
{
	char *at = end;

	while (value || end - at < (ptrdiff_t)least) {
		*--at = (char)('0' + value % 10);
		value /= 10;
	}
	return at;
}

/* A whole number with its group marks, as put_grouped writes it, in one piece. */
static void put_whole(struct writer *w, const struct cat_language *l, uint64_t value, const char *group)
{
	char text[WHOLE_BYTES_MAX], digits[WHOLE_DIGITS_MAX], *end = digits + sizeof digits, *to = text;
	const char *at = digits_before(end, value, 1);
	size_t n = (size_t)(end - at), mark = strlen(group);
	bool grouped = n >= (size_t)l->group_first + l->group_least;

	if (!grouped || mark > MARK_BYTES_MAX) {
		put_grouped(w, l, at, n, grouped ? group : "");
		return;
	}
	for (size_t left = n; left > 0; left--) {
		if (left < n && group_before(l, left)) {
			memcpy(to, group, mark);
			to += mark;
		}
		*to++ = *at++;
	}
	put(w, text, (size_t)(to - text));
}

static uint64_t magnitude(int64_t i)
{
	return i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
}

static void put_int(struct writer *w, const struct cat_language *l, int64_t i)
{
	if (i < 0)
		put_text(w, l->minus);
	put_whole(w, l, magnitude(i), l->group);
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
static void put_double(struct writer *w, const struct cat_language *l, double d)
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

static void put_minor(struct writer *w, const struct cat_language *l, uint64_t minor, unsigned exponent)
{
	static const uint64_t power[] = { 1, 10, 100, 1000 };
	char digits[WHOLE_DIGITS_MAX], *end = digits + sizeof digits;

	assert(exponent < sizeof power / sizeof *power); /* ISO 4217 has 0, 2 and 3 */
	put_whole(w, l, minor / power[exponent], l->money_group);
	if (exponent == 0)
		return;
	put_text(w, l->money_decimal);
	put(w, digits_before(end, minor % power[exponent], exponent), exponent);
}

/* False when ISO 4217 has no such currency: then it is no data. */
static bool put_money(struct writer *w, const struct cat_language *l, int64_t minor, uint16_t number)
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

static void put_plain_int(struct writer *w, int64_t i)
{
	char digits[WHOLE_DIGITS_MAX + 1], *end = digits + sizeof digits;
	char *at = digits_before(end, magnitude(i), 1);

	if (i < 0)
		*--at = '-';
	put(w, at, (size_t)(end - at));
}

static void put_date(struct writer *w, const struct cat_language *l, int64_t local_s)
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

static void put_time(struct writer *w, int64_t local_s)
{
	int64_t second = local_s - floor_div(local_s, 86400) * 86400;
	char text[5];

	digits_before(text + 2, (uint64_t)(second / 3600), 2);
	text[2] = ':';
	digits_before(text + 5, (uint64_t)(second / 60 % 60), 2);
	put(w, text, sizeof text);
}

/* --- placeholders --- */

static void put_plain(struct writer *w, const struct value *v)
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

/* Nothing but a field of the event or its body? Then no environment is needed. */
static bool part_is_field(const struct cat_text_part *part)
{
	const struct cel_instruction *code = part->program.code;

	return part->program.instructions == 1 && code->op == OP_LOAD &&
	       (code->a == SPACE_EVENT || code->a == SPACE_BODY);
}

static struct value part_value(const struct catalogue *c, const struct cat_text_part *part,
			       const struct event *event, const struct cel_env *env)
{
	const struct cel_instruction *load = part->program.code;

	if (!event || !part_is_field(part))
		return cel_eval(&part->program, env);
	return load->a == SPACE_BODY ? event->body_fields[load->b]
				     : event_field(c, event, (enum event_field)load->b);
}

/* False when there is nothing to write. */
static bool put_value(struct writer *w, const struct catalogue *c, const struct cat_language *l,
		      const struct cat_text_part *part, const struct event *event, const struct cel_env *env)
{
	struct value v = part_value(c, part, event, env);

	if (v.status != VALUE_OK)
		return false;
	switch (part->format) {
	case TEXT_PLAIN:
		put_plain(w, &v);
		return true;
	case TEXT_MONEY:
		if (v.type != TYPE_MONEY)
			v.currency = part->program.unit == UNIT_BASE ? c->rates.bank
				     : event			     ? event->header->currency
								     : env->currency;
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

size_t text_render(const struct catalogue *c, const struct cat_text *text, uint16_t language,
		   const struct event *event, const struct cel_env *env, uint32_t characters_max, char *out,
		   size_t room, uint32_t *no_data)
{
	struct writer w = { .out = out, .room = room, .characters_max = characters_max };

	assert(language < c->language_count);
	assert(text->parts);
	*no_data = 0;
	for (uint16_t i = 0; i < text->part_count; i++) {
		const struct cat_text_part *part = &text->parts[i];
		if (part->literal) {
			put(&w, part->literal, part->literal_bytes);
		} else if (!put_value(&w, c, &c->languages[language], part, event, env)) {
			put_text(&w, DASH);
			++*no_data;
		}
	}
	return finish(&w);
}

uint32_t text_reads(const struct cat_text *text)
{
	uint32_t spaces = 0;

	for (uint16_t i = 0; i < text->part_count; i++)
		if (!text->parts[i].literal && !part_is_field(&text->parts[i]))
			spaces |= text->parts[i].program.spaces;
	return spaces;
}

const struct cat_text *text_find(const struct catalogue *c, uint16_t message, uint16_t *language)
{
	const struct cat_text *texts = c->messages[message].text;

	assert(message < c->message_count && *language < c->language_count);
	for (int l = *language; l >= 0; l = c->languages[l].fallback)
		if (texts[l].parts) {
			*language = (uint16_t)l;
			return &texts[l];
		}
	*language = c->language;
	assert(texts[c->language].parts); /* the compiler asks for it */
	return &texts[c->language];
}
