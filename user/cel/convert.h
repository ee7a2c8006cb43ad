/*
 * convert: values to and from text, and the parts of a time. RFC 3339, Go-like durations, decimal numbers.
 *
 * Parsing takes the caller's bytes and gives VALUE_ERROR_NONE and a value, or why not. Printing writes at
 * most CONVERT_BYTES_MAX bytes, without a NUL, and returns how many. Nothing is allocated, and neither
 * the locale nor the clock is asked: the process never leaves the "C" locale.
 */
#ifndef CEL_CONVERT_H
#define CEL_CONVERT_H

#include <moment/value.h>
#include <stdbool.h>
#include <stddef.h>

enum { CONVERT_BYTES_MAX = 48 };

enum value_error cel_int_parse(const char *s, size_t len, int64_t *out);
enum value_error cel_double_parse(const char *s, size_t len, double *out);
enum value_error cel_bool_parse(const char *s, size_t len, bool *out);
/* "2009-02-13T23:31:30.5+01:00"; RANGE outside of what int64 nanoseconds hold (1677 to 2262). */
enum value_error cel_time_parse(const char *s, size_t len, int64_t *ns);
/* The same from year 1 to 9999, as seconds and nanoseconds; RANGE outside. */
enum value_error cel_time_parse_wide(const char *s, size_t len, int64_t *seconds, uint32_t *nanoseconds);
bool cel_time_is_wide(int64_t seconds); /* from year 1 to 9999 */
/* "1h30m", "-1.5s", "250ms": h, m, s, ms, us, ns, each with decimals. */
enum value_error cel_duration_parse(const char *s, size_t len, int64_t *ns);
/* "+02:00", "-09:30", "02:00", "UTC": seconds east of UTC. */
bool cel_offset_parse(const char *s, size_t len, int64_t *seconds);

size_t cel_int_print(int64_t i, char *out);
size_t cel_double_print(double d, char *out); /* the shortest text that reads back as `d` */
size_t cel_time_print(int64_t ns, char *out);
size_t cel_time_print_wide(int64_t seconds, uint32_t nanoseconds, char *out);
size_t cel_duration_print(int64_t ns, char *out);
size_t cel_money_print(int64_t minor, uint16_t currency, char *out); /* "100.00 EUR" */

struct cel_civil {
	int64_t year;
	unsigned month, date; /* from 1 */
	unsigned day_of_year; /* from 0 */
	unsigned day_of_week; /* from 0, Sunday */
	unsigned hours, minutes, seconds, milliseconds;
	uint32_t nanoseconds; /* of the second */
};
struct cel_civil cel_civil_of(int64_t ns, int64_t offset_s);
struct cel_civil cel_civil_of_seconds(int64_t seconds, uint32_t nanoseconds);

#endif
