/*
 * icu.c: what ICU knows of languages and zones, asked once when a directory is compiled.
 *
 * In: the catalogue's languages, currencies and zone. Out: marks, money forms, months, date pattern of each
 * language and the zone's transitions from 1970 to 2100, of all zones to 2060 when they are needed; all of it
 * goes into the blob, so that a replay does not depend on the ICU of its machine. This file knows ICU's error
 * convention (UErrorCode) and ends it: a zone or language that ICU does not know is a problem. Digits are
 * ASCII and the calendar is the Gregorian one in every language, because the path formats with its own code.
 */
#include "compile.h"

#include <base/money.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/udat.h>
#include <unicode/udatpg.h>
#include <unicode/uenum.h>
#include <unicode/uloc.h>
#include <unicode/unum.h>
#include <unicode/ustring.h>

enum { TEXT_ROOM = 256, TRANSITIONS_MAX = 1024 };

static const double MS_2060 = 2840140800000.0, MS_2100 = 4102444800000.0;

static const char *copy_utf8(struct build *b, const UChar *text, int32_t len)
{
	char out[TEXT_ROOM];
	UErrorCode error = U_ZERO_ERROR;
	int32_t bytes = 0;

	u_strToUTF8(out, sizeof out, &bytes, text, len, &error);
	if (U_FAILURE(error) || bytes >= (int32_t)sizeof out)
		bytes = 0;
	return build_copy(b, out, (size_t)bytes);
}

/* --- languages --- */

static const char *symbol_of(struct build *b, const UNumberFormat *format, UNumberFormatSymbol symbol)
{
	UChar text[32];
	UErrorCode error = U_ZERO_ERROR;
	int32_t n = unum_getSymbol(format, symbol, text, 32, &error);

	return copy_utf8(b, text, U_FAILURE(error) ? 0 : n);
}

static UNumberFormat *format_open(UNumberFormatStyle style, const char *locale)
{
	UErrorCode error = U_ZERO_ERROR;
	UNumberFormat *format = unum_open(style, NULL, 0, locale, NULL, &error);

	if (U_FAILURE(error))
		return NULL;
	/* as CLDR says: Spanish groups from five digits on */
	unum_setAttribute(format, UNUM_MINIMUM_GROUPING_DIGITS, UNUM_MINIMUM_GROUPING_DIGITS_AUTO);
	return format;
}

static bool is_ascii_digit(UChar c)
{
	return c >= '0' && c <= '9';
}

static void take_grouping(const UNumberFormat *format, struct cat_language *l)
{
	UChar text[64];
	UErrorCode error = U_ZERO_ERROR;
	int32_t first = unum_getAttribute(format, UNUM_GROUPING_SIZE);
	int32_t next = unum_getAttribute(format, UNUM_SECONDARY_GROUPING_SIZE);
	int32_t n = unum_formatInt64(format, 1234, text, 64, NULL, &error);

	l->group_first = (uint8_t)(first > 0 ? first : 3);
	l->group_next = (uint8_t)(next > 0 ? next : l->group_first);
	l->group_least = U_SUCCESS(error) && n == 4 && l->group_first == 3 ? 2 : 1;
}

/* What stands around the digits of one unit of a currency. */
static void take_money_form(struct build *b, const UNumberFormat *format, const char *code, double unit,
			    const char **before, const char **after)
{
	UChar currency[4], text[TEXT_ROOM];
	UErrorCode error = U_ZERO_ERROR;
	int32_t n, first = 0, end;

	u_charsToUChars(code, currency, 4);
	n = unum_formatDoubleCurrency(format, unit, currency, text, TEXT_ROOM, NULL, &error);
	if (U_FAILURE(error) || n > TEXT_ROOM)
		n = 0;
	while (first < n && !is_ascii_digit(text[first]))
		first++;
	for (end = n; end > first && !is_ascii_digit(text[end - 1]);)
		end--;
	*before = copy_utf8(b, text, first);
	*after = copy_utf8(b, text + end, n - end);
}

static int compare_currencies(const void *left, const void *right)
{
	const struct cat_money_format *a = left, *b = right;

	return a->currency < b->currency ? -1 : a->currency > b->currency;
}

static void take_money(struct build *b, const char *locale, struct cat_language *l)
{
	const struct money_rates *rates = &b->c->rates;
	struct cat_money_format *money = build_array(b, struct cat_money_format, rates->count + 1);
	UNumberFormat *format = format_open(UNUM_CURRENCY, locale);

	if (!format)
		return;
	l->money_decimal = symbol_of(b, format, UNUM_MONETARY_SEPARATOR_SYMBOL);
	l->money_group = symbol_of(b, format, UNUM_MONETARY_GROUPING_SEPARATOR_SYMBOL);
	for (uint16_t i = 0; i <= rates->count; i++) {
		uint16_t number = i < rates->count ? rates->rate[i].currency : rates->bank;
		const struct money_currency *currency = money_currency_by_number(number);
		if (!currency)
			continue;
		money[l->money_count].currency = number;
		take_money_form(b, format, currency->code, 1.0, &money[l->money_count].before,
				&money[l->money_count].after);
		take_money_form(b, format, currency->code, -1.0, &money[l->money_count].negative_before,
				&money[l->money_count].negative_after);
		l->money_count++;
	}
	qsort(money, l->money_count, sizeof *money, compare_currencies);
	l->money = money;
	unum_close(format);
}

/* CLDR's pattern ("d 'de' MMM 'de' y") to ours ("D de M de Y"). *digits: months are numbers of that width. */
static bool pattern_convert(const UChar *in, int32_t n, UChar *out, int32_t *out_n, int *digits)
{
	bool quoted = false;
	int32_t i = 0;

	*out_n = 0;
	*digits = 0;
	while (i < n) {
		UChar c = in[i];
		int32_t run = 1;
		if (c == '\'') {
			quoted = !quoted;
			i++;
			continue;
		}
		bool letter = !quoted && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
		while (letter && i + run < n && in[i + run] == c)
			run++;
		if (letter && c == 'd')
			out[(*out_n)++] = 'D';
		else if (letter && c == 'y')
			out[(*out_n)++] = 'Y';
		else if (letter && (c == 'M' || c == 'L'))
			out[(*out_n)++] = 'M';
		else if (letter || c == 'D' || c == 'M' || c == 'Y')
			return false; /* an era, or a literal that we would read as a part */
		else
			out[(*out_n)++] = c;
		if (letter && (c == 'M' || c == 'L') && run < 3)
			*digits = run;
		i += run;
	}
	return *out_n > 0;
}

static void take_month_names(struct build *b, const char *locale, struct cat_language *l)
{
	static const UChar utc[] = { 'U', 'T', 'C', 0 };
	static const UChar pattern[] = { 'd', ' ', 'M', 'M', 'M', 0 };
	UErrorCode error = U_ZERO_ERROR;
	UDateFormat *format = udat_open(UDAT_PATTERN, UDAT_PATTERN, locale, utc, 3, pattern, 5, &error);

	for (int month = 0; month < 12 && U_SUCCESS(error); month++) {
		UChar text[64];
		/* the 15th of each month of 1970; "15 " is in front of the name */
		double at = (14.0 + month * 30.4375) * 86400000.0;
		int32_t n = udat_format(format, at, text, 64, NULL, &error), skip = 0;
		while (skip < n && (is_ascii_digit(text[skip]) || text[skip] == ' '))
			skip++;
		l->months[month] = copy_utf8(b, text + skip, n - skip);
	}
	if (format)
		udat_close(format);
}

static void take_dates(struct build *b, const char *locale, struct cat_language *l)
{
	static const UChar skeleton[] = { 'y', 'M', 'M', 'M', 'd', 0 };
	UErrorCode error = U_ZERO_ERROR;
	UDateTimePatternGenerator *generator = udatpg_open(locale, &error);
	UChar pattern[64], ours[64];
	int32_t n = U_SUCCESS(error) ? udatpg_getBestPattern(generator, skeleton, 5, pattern, 64, &error) : 0,
		ours_n;
	int digits;
	char number[8];

	if (generator)
		udatpg_close(generator);
	l->date_pattern = "D M Y";
	for (int month = 0; month < 12; month++)
		l->months[month] = "";
	if (U_SUCCESS(error) && pattern_convert(pattern, n, ours, &ours_n, &digits))
		l->date_pattern = copy_utf8(b, ours, ours_n);
	else
		digits = 0;
	if (!digits) {
		take_month_names(b, locale, l);
		return;
	}
	for (int month = 0; month < 12; month++) {
		snprintf(number, sizeof number, digits == 2 ? "%02d" : "%d", month + 1);
		l->months[month] = build_copy(b, number, strlen(number));
	}
}

static void derive_language(struct build *b, struct cat_language *l)
{
	char locale[96];
	UNumberFormat *format;

	snprintf(locale, sizeof locale, "%s@calendar=gregorian;numbers=latn", l->tag);
	for (char *dash = locale; (dash = strchr(dash, '-'));)
		*dash = '_';
	l->decimal = l->money_decimal = ".";
	l->group = l->money_group = ",";
	l->minus = "-";
	format = format_open(UNUM_DECIMAL, locale);
	if (uloc_getISO3Language(locale)[0] == 0 || !format) {
		build_problem(b, NULL, "the catalogue has texts in '%s', which is no language that ICU knows",
			      l->tag);
		if (format)
			unum_close(format);
		return;
	}
	l->decimal = symbol_of(b, format, UNUM_DECIMAL_SEPARATOR_SYMBOL);
	l->group = symbol_of(b, format, UNUM_GROUPING_SEPARATOR_SYMBOL);
	l->minus = symbol_of(b, format, UNUM_MINUS_SIGN_SYMBOL);
	take_grouping(format, l);
	unum_close(format);
	take_money(b, locale, l);
	take_dates(b, locale, l);
}

/* --- the zone --- */

static const char *zone_suggest(struct build *b, const char *name, char *near, size_t room)
{
	UErrorCode error = U_ZERO_ERROR;
	UEnumeration *zones = ucal_openTimeZones(&error);
	const char **list = build_scratch_array(b, const char *, 2048);
	size_t n = 0;
	int32_t len;

	near[0] = 0;
	while (U_SUCCESS(error) && n < 2048) {
		const char *zone = uenum_next(zones, &len, &error);
		if (!zone)
			break;
		list[n++] = build_copy(b, zone, (size_t)len);
	}
	if (zones)
		uenum_close(zones);
	return list_suggest(list, n, name, near, room);
}

static bool zone_known(const UChar *name, int32_t n)
{
	UChar canonical[128];
	UErrorCode error = U_ZERO_ERROR;

	ucal_getCanonicalTimeZoneID(name, n, canonical, 128, NULL, &error);
	return U_SUCCESS(error);
}

static int32_t offset_at(UCalendar *calendar, double ms, UErrorCode *error)
{
	int32_t sum;

	ucal_setMillis(calendar, ms, error);
	sum = ucal_get(calendar, UCAL_ZONE_OFFSET, error);
	sum += ucal_get(calendar, UCAL_DST_OFFSET, error);
	return sum / 1000;
}

/* The offsets of zone->name from 1970 to `until`; false when ICU cannot say. */
static bool read_transitions(struct build *b, UCalendar *calendar, double until, struct zone *zone)
{
	int64_t *from = build_scratch_array(b, int64_t, TRANSITIONS_MAX);
	int32_t *offset = build_scratch_array(b, int32_t, TRANSITIONS_MAX);
	UErrorCode error = U_ZERO_ERROR;
	double at = 0;

	from[0] = INT64_MIN;
	offset[0] = offset_at(calendar, at, &error);
	zone->count = 1;
	while (zone->count < TRANSITIONS_MAX && U_SUCCESS(error)) {
		int32_t next;
		ucal_setMillis(calendar, at, &error);
		if (!ucal_getTimeZoneTransitionDate(calendar, UCAL_TZ_TRANSITION_NEXT, &at, &error) ||
		    at >= until)
			break;
		next = offset_at(calendar, at, &error);
		if (next == offset[zone->count - 1])
			continue; /* a change of name only */
		from[zone->count] = (int64_t)at / 1000;
		offset[zone->count++] = next;
	}
	zone->from_s = from;
	zone->offset_s = offset;
	return U_SUCCESS(error) && zone->count < TRANSITIONS_MAX;
}

static void keep_transitions(struct build *b, struct zone *zone)
{
	int64_t *from = build_array(b, int64_t, zone->count);
	int32_t *offset = build_array(b, int32_t, zone->count);

	memcpy(from, zone->from_s, zone->count * sizeof *from);
	memcpy(offset, zone->offset_s, zone->count * sizeof *offset);
	zone->from_s = from;
	zone->offset_s = offset;
}

static UCalendar *calendar_open(const char *name)
{
	UChar zone[64];
	UErrorCode error = U_ZERO_ERROR;
	UCalendar *calendar = NULL;
	int32_t n = 0;

	u_strFromUTF8(zone, 64, &n, name, -1, &error);
	if (U_SUCCESS(error) && n < 64 && zone_known(zone, n))
		calendar = ucal_open(zone, n, "en", UCAL_GREGORIAN, &error);
	if (calendar && U_FAILURE(error)) {
		ucal_close(calendar);
		calendar = NULL;
	}
	return calendar;
}

static void derive_zone(struct build *b)
{
	struct zone *zone = &b->c->zone;
	UCalendar *calendar = calendar_open(zone->name);
	char near[96];

	if (!calendar) {
		build_problem(b, b->zone_node,
			      "found '%.60s', expected a time zone such as Europe/Madrid or UTC%s",
			      zone->name, zone_suggest(b, zone->name, near, sizeof near));
		return;
	}
	if (!read_transitions(b, calendar, MS_2100, zone))
		build_problem(b, b->zone_node, "the transitions of the zone '%s' cannot be read from ICU",
			      zone->name);
	keep_transitions(b, zone);
	ucal_close(calendar);
}

/* --- all zones --- */

static int compare_zones(const void *left, const void *right)
{
	const struct zone *a = left, *b = right;

	return strcmp(a->name, b->name);
}

static void list_zones(struct build *b)
{
	UErrorCode error = U_ZERO_ERROR;
	UEnumeration *names = ucal_openTimeZones(&error);
	int32_t len;

	while (U_SUCCESS(error) && b->zone_count < ZONES_MAX) {
		const char *name = uenum_next(names, &len, &error);
		if (!name)
			break;
		b->zones[b->zone_count++].name = build_copy(b, name, (size_t)len);
	}
	if (names)
		uenum_close(names);
	qsort(b->zones, b->zone_count, sizeof *b->zones, compare_zones);
}

/* False: ICU names it and does not know it. */
static bool zone_read(struct build *b, uint32_t i)
{
	UCalendar *calendar = calendar_open(b->zones[i].name);
	uint32_t first;

	if (!calendar)
		return false;
	if (!read_transitions(b, calendar, MS_2060, &b->zones[i]))
		build_problem(b, NULL, "the transitions of the zone '%s' cannot be read from ICU",
			      b->zones[i].name);
	ucal_close(calendar);
	first = zones_first_equal(b->zones, i);
	if (first < i) {
		b->zones[i].from_s = b->zones[first].from_s;
		b->zones[i].offset_s = b->zones[first].offset_s;
	} else {
		keep_transitions(b, &b->zones[i]);
	}
	return true;
}

void icu_zones(struct build *b)
{
	uint16_t kept = 0;

	b->zones = build_array(b, struct zone, ZONES_MAX);
	list_zones(b);
	for (uint16_t i = 0; i < b->zone_count; i++) {
		b->zones[kept].name = b->zones[i].name;
		kept = (uint16_t)(kept + zone_read(b, kept));
	}
	b->zone_count = kept;
}

void icu_derive(struct build *b)
{
	derive_zone(b);
	for (uint16_t i = 0; i < b->c->language_count; i++)
		derive_language(b, &b->language[i]);
}
