/*
 * window_calendar.c: where a local day, week or month begins. A moment and a zone come in, the last
 * nanosecond before the window goes out. A midnight that does not exist is the next moment that does, a
 * doubled one is its first: the window of a moment begins at the last such midnight that is not after it, so
 * its edge never goes back while time goes on. Integers only; days are counted as in the proleptic Gregorian
 * calendar.
 */
#include "windows.h"

#include <assert.h>

static const int64_t day_s = 86400, ns_s = INT64_C(1000000000);
enum { DAYS_TO_1970 = 719468, DAYS_400_YEARS = 146097, WEEKDAY_OF_DAY_0 = 3 /* a Thursday, from Monday */ };

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970 of the first of that day's month. Years begin in March here, so that a leap day is last. */
static int64_t month_first(int64_t day)
{
	int64_t shifted = day + DAYS_TO_1970, era = floor_div(shifted, DAYS_400_YEARS);
	int64_t of_era = shifted - era * DAYS_400_YEARS;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	return day - (of_year - (153 * month + 2) / 5);
}

static int64_t first_day(enum agg_calendar calendar, int64_t day)
{
	if (calendar == CALENDAR_WEEK)
		return day - (day + WEEKDAY_OF_DAY_0 - 7 * floor_div(day + WEEKDAY_OF_DAY_0, 7));
	return calendar == CALENDAR_MONTH ? month_first(day) : day;
}

static int64_t offset_at(const struct zone *zone, int64_t s)
{
	return zone ? zone_offset_s(zone, s) : 0;
}

/*
 * The first second at which local time is that midnight, or past it. Offsets are within a day, so what is in
 * force a day before and all transitions up to a day after are all that matters.
 */
static int64_t midnight(const struct zone *zone, int64_t day)
{
	int64_t local = day * day_s, from = local - day_s - day_s / 2;

	if (!zone)
		return local;
	uint32_t i = 0;
	while (i + 1 < zone->count && zone->from_s[i + 1] <= from)
		i++;
	for (; i < zone->count; i++) {
		int64_t start = local - zone->offset_s[i];
		int64_t end = i + 1 < zone->count ? zone->from_s[i + 1] : INT64_MAX;
		if (i && start < zone->from_s[i])
			start = zone->from_s[i];
		if (start < end)
			return start;
	}
	return local;
}

int64_t windows_calendar_edge(enum agg_calendar calendar, const struct zone *zone, int64_t t)
{
	int64_t s = zone_second(t), day = floor_div(s + offset_at(zone, s), day_s);
	int64_t first = first_day(calendar, day + 1), start = midnight(zone, first);

	assert(calendar != CALENDAR_NONE);
	while (start >
	       s) { /* the day after may have begun already: a clock that was put back over midnight */
		first = first_day(calendar, first - 1);
		start = midnight(zone, first);
	}
	return start * ns_s - 1;
}
