/*
 * convert.c: text to values and back, for the conversions of CEL and for literals.
 *
 * In: bytes that the caller owns, or a number. Out: a value with VALUE_ERROR_NONE, or CONVERT when the
 * text is not of the form, RANGE when it is but does not fit. Days are counted with the proleptic
 * Gregorian calendar. Doubles are read and written by the C library, which rounds correctly.
 */
#include "convert.h"

#include <base/money.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE_TEXT_BYTES_MAX = 512, YEAR_DAYS = 365, WEEK_DAYS = 7 };
static const int64_t SECOND_NS = 1000000000, DAY_SECONDS = 86400;

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

enum value_error cel_int_parse(const char *s, size_t len, int64_t *out)
{
	bool negative = len > 0 && s[0] == '-';
	size_t i = len > 0 && (s[0] == '-' || s[0] == '+');
	int64_t value = 0;
	bool fits = true;

	if (i == len)
		return VALUE_ERROR_CONVERT;
	for (; i < len; i++) {
		if (!is_digit(s[i]))
			return VALUE_ERROR_CONVERT;
		int64_t digit = negative ? '0' - s[i] : s[i] - '0';
		fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
		       !__builtin_add_overflow(value, digit, &value);
	}
	*out = value;
	return fits ? VALUE_ERROR_NONE : VALUE_ERROR_RANGE;
}

static size_t digits_skip(const char *s, size_t len, size_t i)
{
	while (i < len && is_digit(s[i]))
		i++;
	return i;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or behind the point. */
static bool double_is_decimal(const char *s, size_t len)
{
	size_t start = len > 0 && (s[0] == '-' || s[0] == '+');
	size_t i = digits_skip(s, len, start);
	size_t digits = i - start;

	if (i < len && s[i] == '.') {
		size_t end = digits_skip(s, len, i + 1);
		digits += end - i - 1;
		i = end;
	}
	if (digits == 0)
		return false;
	if (i < len && (s[i] == 'e' || s[i] == 'E')) {
		i++;
		i += i < len && (s[i] == '-' || s[i] == '+');
		size_t end = digits_skip(s, len, i);
		if (end == i)
			return false;
		i = end;
	}
	return i == len;
}

static bool double_is_special(const char *s, size_t len, double *out)
{
	static const struct {
		const char *text;
		double value;
	} specials[] = {
		{ "NaN", NAN },
		{ "inf", INFINITY },
		{ "+inf", INFINITY },
		{ "-inf", -INFINITY },
		{ "Inf", INFINITY },
		{ "+Inf", INFINITY },
		{ "-Inf", -INFINITY },
		{ "Infinity", INFINITY },
		{ "+Infinity", INFINITY },
		{ "-Infinity", -INFINITY },
	};

	for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
		if (strlen(specials[i].text) == len && memcmp(specials[i].text, s, len) == 0) {
			*out = specials[i].value;
			return true;
		}
	return false;
}

enum value_error cel_double_parse(const char *s, size_t len, double *out)
{
	char text[DOUBLE_TEXT_BYTES_MAX];

	if (double_is_special(s, len, out))
		return VALUE_ERROR_NONE;
	if (len >= sizeof text || !double_is_decimal(s, len))
		return VALUE_ERROR_CONVERT;
	memcpy(text, s, len);
	text[len] = '\0';
	*out = strtod(text, NULL);
	return isinf(*out) ? VALUE_ERROR_RANGE : VALUE_ERROR_NONE;
}

enum value_error cel_bool_parse(const char *s, size_t len, bool *out)
{
	static const char *const words[] = { "1", "t", "true",	"TRUE",	 "True",
					     "0", "f", "false", "FALSE", "False" };
	const size_t count = sizeof words / sizeof words[0];

	for (size_t i = 0; i < count; i++)
		if (strlen(words[i]) == len && memcmp(words[i], s, len) == 0) {
			*out = i < count / 2;
			return VALUE_ERROR_NONE;
		}
	return VALUE_ERROR_CONVERT;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(int64_t year, unsigned month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to a date; years count from March, so that the leap day is the last of its year. */
static int64_t days_of_civil(int64_t year, unsigned month, unsigned date)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)date - 1;

	return era * 146097 + year_of_era * YEAR_DAYS + year_of_era / 4 - year_of_era / 100 + day_of_year -
	       719468;
}

static int64_t floor_div(int64_t x, int64_t y)
{
	return x / y - (x % y < 0);
}

static void civil_of_days(int64_t days, struct cel_civil *out)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / YEAR_DAYS;
	int64_t day_of_year = day_of_era - (YEAR_DAYS * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;

	out->date = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	out->month = (unsigned)(month < 10 ? month + 3 : month - 9);
	out->year = year_of_era + era * 400 + (out->month <= 2);
	out->day_of_year = (unsigned)(days - days_of_civil(out->year, 1, 1));
	out->day_of_week = (unsigned)(days + 4 - floor_div(days + 4, WEEK_DAYS) * WEEK_DAYS);
}

struct cel_civil cel_civil_of_seconds(int64_t seconds, uint32_t nanoseconds)
{
	struct cel_civil out = { 0 };
	int64_t days = floor_div(seconds, DAY_SECONDS);
	int64_t of_day = seconds - days * DAY_SECONDS;

	civil_of_days(days, &out);
	out.hours = (unsigned)(of_day / 3600);
	out.minutes = (unsigned)(of_day / 60 % 60);
	out.seconds = (unsigned)(of_day % 60);
	out.milliseconds = (unsigned)(nanoseconds / 1000000);
	out.nanoseconds = nanoseconds;
	return out;
}

struct cel_civil cel_civil_of(int64_t ns, int64_t offset_s)
{
	int64_t rest = ns % SECOND_NS + (ns % SECOND_NS < 0 ? SECOND_NS : 0);

	return cel_civil_of_seconds(floor_div(ns, SECOND_NS) + offset_s, (uint32_t)rest);
}

/* A cursor for fixed forms: the first thing that does not fit sticks. */
struct form {
	const char *at, *end;
	bool bad;
};

static unsigned form_digits(struct form *f, int count)
{
	unsigned value = 0;

	for (; count > 0; count--) {
		if (f->at == f->end || !is_digit(*f->at)) {
			f->bad = true;
			return 0;
		}
		value = value * 10 + (unsigned)(*f->at++ - '0');
	}
	return value;
}

static void form_char(struct form *f, char c)
{
	if (f->at == f->end || *f->at != c)
		f->bad = true;
	else
		f->at++;
}

/* ".5" to nanoseconds; one to nine digits. */
static uint32_t form_fraction(struct form *f)
{
	uint32_t value = 0, scale = (uint32_t)SECOND_NS;
	const char *start;

	if (f->at == f->end || *f->at != '.')
		return 0;
	start = ++f->at;
	while (f->at < f->end && is_digit(*f->at) && scale > 1) {
		scale /= 10;
		value += (uint32_t)(*f->at++ - '0') * scale;
	}
	f->bad = f->bad || f->at == start;
	return value;
}

/* "Z", "+02:00" */
static int64_t form_offset(struct form *f)
{
	if (f->at < f->end && *f->at == 'Z') {
		f->at++;
		return 0;
	}
	bool west = f->at < f->end && *f->at == '-';
	form_char(f, west ? '-' : '+');
	unsigned hours = form_digits(f, 2);
	form_char(f, ':');
	unsigned minutes = form_digits(f, 2);
	f->bad = f->bad || hours > 23 || minutes > 59;
	int64_t seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60;
	return west ? -seconds : seconds;
}

bool cel_time_is_wide(int64_t seconds)
{
	return seconds >= -62135596800 && seconds <= 253402300799;
}

enum value_error cel_time_parse_wide(const char *s, size_t len, int64_t *out, uint32_t *nanoseconds)
{
	struct form f = { s, s + len, false };
	unsigned year = form_digits(&f, 4);
	form_char(&f, '-');
	unsigned month = form_digits(&f, 2);
	form_char(&f, '-');
	unsigned date = form_digits(&f, 2);
	form_char(&f, 'T');
	unsigned hours = form_digits(&f, 2);
	form_char(&f, ':');
	unsigned minutes = form_digits(&f, 2);
	form_char(&f, ':');
	unsigned seconds = form_digits(&f, 2);
	uint32_t fraction = form_fraction(&f);
	int64_t offset = form_offset(&f);

	if (f.bad || f.at != f.end || month < 1 || month > 12 || date < 1 || date > month_days(year, month) ||
	    hours > 23 || minutes > 59 || seconds > 59)
		return VALUE_ERROR_CONVERT;
	int64_t total = days_of_civil(year, month, date) * DAY_SECONDS + (int64_t)hours * 3600 +
			(int64_t)minutes * 60 + seconds - offset;
	*out = total;
	*nanoseconds = fraction;
	return cel_time_is_wide(total) ? VALUE_ERROR_NONE : VALUE_ERROR_RANGE;
}

enum value_error cel_time_parse(const char *s, size_t len, int64_t *ns)
{
	uint32_t nanoseconds;
	int64_t seconds;
	enum value_error e = cel_time_parse_wide(s, len, &seconds, &nanoseconds);

	if (e != VALUE_ERROR_NONE)
		return e;
	__int128 exact = (__int128)seconds * SECOND_NS + nanoseconds;
	if (exact > INT64_MAX || exact < INT64_MIN)
		return VALUE_ERROR_RANGE;
	*ns = (int64_t)exact;
	return VALUE_ERROR_NONE;
}

bool cel_offset_parse(const char *s, size_t len, int64_t *seconds)
{
	struct form f = { s, s + len, false };
	char signed_text[sizeof "+00:00"];

	*seconds = 0;
	if (len == 3 && memcmp(s, "UTC", 3) == 0)
		return true;
	if (len == 5 && is_digit(s[0])) {
		signed_text[0] = '+';
		memcpy(signed_text + 1, s, len);
		f = (struct form){ signed_text, signed_text + 6, false };
	}
	if (f.at < f.end && *f.at == 'Z')
		return false;
	*seconds = form_offset(&f);
	return !f.bad && f.at == f.end;
}

/* The unit at the cursor, in nanoseconds; 0 when there is none. */
static int64_t duration_unit(struct form *f)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "ms", 1000000 },      { "us", 1000 },	    { "ns", 1 },
		      { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		size_t bytes = strlen(units[i].name);
		if ((size_t)(f->end - f->at) >= bytes && memcmp(f->at, units[i].name, bytes) == 0) {
			f->at += bytes;
			return units[i].ns;
		}
	}
	f->bad = true;
	return 0;
}

/* Reads digits, at most `max` of them into *figure; the rest only has to be digits. Returns how many counted.
 */
static unsigned duration_digits(struct form *f, unsigned max, __int128 *figure, bool *dropped)
{
	unsigned count = 0;

	for (; f->at < f->end && is_digit(*f->at); f->at++) {
		if (count == max) {
			*dropped = true;
			continue;
		}
		*figure = *figure * 10 + (*f->at - '0');
		count++;
	}
	return count;
}

/* "1.5h" to nanoseconds, below a nanosecond cut off. What cannot fit is answered by a figure that does not.
 */
static __int128 duration_part(struct form *f)
{
	enum { WHOLE_DIGITS_MAX = 19, FRACTION_DIGITS_MAX = 15 };
	__int128 whole = 0, fraction = 0, scale = 1;
	bool too_long = false, cut = false;
	unsigned decimals = 0;

	while (f->at + 1 < f->end && *f->at == '0' && is_digit(f->at[1]))
		f->at++;
	unsigned digits = duration_digits(f, WHOLE_DIGITS_MAX, &whole, &too_long);
	if (f->at < f->end && *f->at == '.') {
		f->at++;
		decimals = duration_digits(f, FRACTION_DIGITS_MAX, &fraction, &cut);
	}
	f->bad = f->bad || digits + decimals == 0;
	for (; decimals > 0; decimals--)
		scale *= 10;
	int64_t unit = duration_unit(f);
	__int128 ns = whole * unit + fraction * unit / scale;
	return too_long ? (__int128)INT64_MAX + 2 : ns;
}

enum value_error cel_duration_parse(const char *s, size_t len, int64_t *ns)
{
	struct form f = { s, s + len, false };
	bool negative = len > 0 && s[0] == '-';
	__int128 total = 0;

	if (len > 0 && (s[0] == '-' || s[0] == '+'))
		f.at++;
	if (f.end - f.at == 1 && *f.at == '0') {
		*ns = 0;
		return VALUE_ERROR_NONE;
	}
	if (f.at == f.end)
		return VALUE_ERROR_CONVERT;
	while (f.at < f.end && !f.bad) {
		total += duration_part(&f);
		if (total > (__int128)INT64_MAX + 1)
			total = (__int128)INT64_MAX + 2;
	}
	if (f.bad)
		return VALUE_ERROR_CONVERT;
	total = negative ? -total : total;
	if (total > INT64_MAX || total < INT64_MIN)
		return VALUE_ERROR_RANGE;
	*ns = (int64_t)total;
	return VALUE_ERROR_NONE;
}

static size_t digits_print(uint64_t u, char *out)
{
	char reversed[20];
	size_t n = 0;

	do
		reversed[n++] = (char)('0' + u % 10);
	while (u /= 10);
	for (size_t i = 0; i < n; i++)
		out[i] = reversed[n - 1 - i];
	return n;
}

static uint64_t magnitude(int64_t i)
{
	return i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
}

size_t cel_int_print(int64_t i, char *out)
{
	size_t n = 0;

	if (i < 0)
		out[n++] = '-';
	return n + digits_print(magnitude(i), out + n);
}

static size_t text_print(const char *text, char *out)
{
	size_t len = strlen(text);

	memcpy(out, text, len);
	return len;
}

/* The digits of a double and its decimal exponent: 1234.5 is "12345", 3. */
static size_t double_digits(double positive, char *digits, int *exponent)
{
	char text[CONVERT_BYTES_MAX];

	for (int precision = 0; precision <= 16; precision++) {
		snprintf(text, sizeof text, "%.*e", precision, positive);
		if (strtod(text, NULL) == positive)
			break;
	}
	char *e = strchr(text, 'e');
	size_t n = 0;
	for (const char *p = text; p < e; p++)
		if (*p != '.')
			digits[n++] = *p;
	*exponent = atoi(e + 1);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

static size_t double_print_scientific(const char *digits, size_t count, int exponent, char *out)
{
	size_t n = 0;

	out[n++] = digits[0];
	if (count > 1) {
		out[n++] = '.';
		memcpy(out + n, digits + 1, count - 1);
		n += count - 1;
	}
	out[n++] = 'e';
	out[n++] = exponent < 0 ? '-' : '+';
	if (abs(exponent) < 10)
		out[n++] = '0';
	return n + digits_print((uint64_t)abs(exponent), out + n);
}

static size_t double_print_plain(const char *digits, size_t count, int exponent, char *out)
{
	size_t n = 0;

	for (int place = exponent < 0 ? exponent : 0; place < 0; place++) {
		out[n++] = '0';
		if (place == exponent)
			out[n++] = '.';
	}
	for (int i = 0; i < (int)count || i <= exponent; i++) {
		if (exponent >= 0 && i == exponent + 1)
			out[n++] = '.';
		out[n++] = i < (int)count ? digits[i] : '0';
	}
	return n;
}

size_t cel_double_print(double d, char *out)
{
	char digits[CONVERT_BYTES_MAX];
	int exponent;
	size_t n = 0;

	if (isnan(d))
		return text_print("NaN", out);
	if (isinf(d))
		return text_print(d < 0 ? "-Inf" : "+Inf", out);
	if (signbit(d))
		out[n++] = '-';
	if (d == 0)
		return n + text_print("0", out + n);
	size_t count = double_digits(fabs(d), digits, &exponent);
	if (exponent < -4 || exponent >= 21)
		return n + double_print_scientific(digits, count, exponent, out + n);
	return n + double_print_plain(digits, count, exponent, out + n);
}

/* ".5" of nanoseconds, nothing for 0 */
static size_t fraction_print(uint32_t nanoseconds, char *out)
{
	uint32_t scale = (uint32_t)SECOND_NS / 10;
	size_t n = 0;

	if (nanoseconds == 0)
		return 0;
	out[n++] = '.';
	for (; nanoseconds > 0; scale /= 10) {
		out[n++] = (char)('0' + nanoseconds / scale);
		nanoseconds %= scale;
	}
	return n;
}

static size_t padded_print(unsigned value, int width, char *out)
{
	for (int i = width - 1; i >= 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return (size_t)width;
}

static size_t civil_print(struct cel_civil c, char *out)
{
	size_t n = padded_print((unsigned)c.year, 4, out);

	out[n++] = '-';
	n += padded_print(c.month, 2, out + n);
	out[n++] = '-';
	n += padded_print(c.date, 2, out + n);
	out[n++] = 'T';
	n += padded_print(c.hours, 2, out + n);
	out[n++] = ':';
	n += padded_print(c.minutes, 2, out + n);
	out[n++] = ':';
	n += padded_print(c.seconds, 2, out + n);
	n += fraction_print(c.nanoseconds, out + n);
	out[n++] = 'Z';
	return n;
}

size_t cel_time_print(int64_t ns, char *out)
{
	return civil_print(cel_civil_of(ns, 0), out);
}

size_t cel_time_print_wide(int64_t seconds, uint32_t nanoseconds, char *out)
{
	return civil_print(cel_civil_of_seconds(seconds, nanoseconds), out);
}

size_t cel_duration_print(int64_t ns, char *out)
{
	uint64_t whole = magnitude(ns);
	size_t n = 0;

	if (ns < 0)
		out[n++] = '-';
	n += digits_print(whole / (uint64_t)SECOND_NS, out + n);
	n += fraction_print((uint32_t)(whole % (uint64_t)SECOND_NS), out + n);
	out[n++] = 's';
	return n;
}

size_t cel_money_print(int64_t minor, uint16_t currency, char *out)
{
	const struct money_currency *c = money_currency_by_number(currency);
	unsigned exponent = c ? c->exponent : 0;
	uint64_t whole = magnitude(minor), scale = exponent == 3 ? 1000 : exponent == 2 ? 100 : 1;
	size_t n = 0;

	if (minor < 0)
		out[n++] = '-';
	n += digits_print(whole / scale, out + n);
	if (exponent > 0) {
		out[n++] = '.';
		n += padded_print((unsigned)(whole % scale), (int)exponent, out + n);
	}
	out[n++] = ' ';
	if (c)
		return n + text_print(c->code, out + n);
	return n + padded_print(currency, 5, out + n);
}
