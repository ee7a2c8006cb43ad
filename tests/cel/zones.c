/*
 * zones.c: time zones for vectors, from ICU, with every transition from 1800 to 2200.
 *
 * In: a name. Out: a struct zone that lives until zones_free. Tests only: catalogues take theirs from what
 * was journalled. A name that ICU does not know gives NULL.
 */
#include "vectors.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>

enum { TRANSITIONS_MAX = 2048, NAME_MAX_BYTES = 64 };
static const double MS_1800 = -5364662400000.0, MS_2200 = 7258118400000.0;

struct known {
	char name[NAME_MAX_BYTES];
	struct zone zone;
	int64_t from[TRANSITIONS_MAX];
	int32_t offset[TRANSITIONS_MAX];
	struct known *next;
};

static int32_t offset_at(UCalendar *calendar, double ms, UErrorCode *error)
{
	ucal_setMillis(calendar, ms, error);
	return (ucal_get(calendar, UCAL_ZONE_OFFSET, error) + ucal_get(calendar, UCAL_DST_OFFSET, error)) /
	       1000;
}

static void transitions_read(struct known *k, UCalendar *calendar, UErrorCode *error)
{
	double at = MS_1800;

	k->from[0] = INT64_MIN;
	k->offset[0] = offset_at(calendar, at, error);
	k->zone.count = 1;
	while (k->zone.count < TRANSITIONS_MAX && U_SUCCESS(*error)) {
		ucal_setMillis(calendar, at, error);
		if (!ucal_getTimeZoneTransitionDate(calendar, UCAL_TZ_TRANSITION_NEXT, &at, error) ||
		    at >= MS_2200)
			break;
		k->from[k->zone.count] = (int64_t)at / 1000;
		k->offset[k->zone.count++] = offset_at(calendar, at, error);
	}
}

static struct known *zone_read(const char *name)
{
	UChar id[NAME_MAX_BYTES], canonical[128];
	UErrorCode error = U_ZERO_ERROR;
	size_t len = strlen(name);

	for (size_t i = 0; i <= len; i++)
		id[i] = (UChar)(unsigned char)name[i];
	ucal_getCanonicalTimeZoneID(id, (int32_t)len, canonical, 128, NULL, &error);
	if (U_FAILURE(error))
		return NULL;
	UCalendar *calendar = ucal_open(id, (int32_t)len, "en", UCAL_GREGORIAN, &error);
	struct known *k = U_SUCCESS(error) ? calloc(1, sizeof *k) : NULL;
	if (k) {
		strcpy(k->name, name);
		k->zone = (struct zone){ .name = k->name, .from_s = k->from, .offset_s = k->offset };
		transitions_read(k, calendar, &error);
	}
	if (calendar)
		ucal_close(calendar);
	if (k && U_FAILURE(error)) {
		free(k);
		return NULL;
	}
	return k;
}

const struct zone *zones_find(struct zones *zones, const char *name, size_t len)
{
	char copy[NAME_MAX_BYTES];

	if (len == 0 || len >= sizeof copy)
		return NULL;
	memcpy(copy, name, len);
	copy[len] = '\0';
	for (struct known *k = zones->first; k; k = k->next)
		if (strcmp(k->name, copy) == 0)
			return &k->zone;
	struct known *k = zone_read(copy);
	if (!k)
		return NULL;
	k->next = zones->first;
	zones->first = k;
	return &k->zone;
}

void zones_free(struct zones *zones)
{
	while (zones->first) {
		struct known *next = zones->first->next;
		free(zones->first);
		zones->first = next;
	}
}
