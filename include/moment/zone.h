/*
 * zone.h: a time zone as offsets in force from each transition on. Made from ICU when a catalogue is compiled
 * and journalled with it, so that a replay on another ICU gives the same local times.
 */
#ifndef MOMENT_ZONE_H
#define MOMENT_ZONE_H

#include <stdint.h>

struct zone {
	const char *name; /* "Europe/Madrid" */
	uint32_t count;
	const int64_t *from_s;	 /* seconds since 1970, ascending; [0] = INT64_MIN */
	const int32_t *offset_s; /* seconds east of UTC */
};

/* Seconds east of UTC at a moment (seconds since 1970). */
static inline int32_t zone_offset_s(const struct zone *zone, int64_t s)
{
	uint32_t low = 0, high = zone->count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (zone->from_s[middle] <= s)
			low = middle;
		else
			high = middle;
	}
	return zone->offset_s[low];
}

/* The second at or before a moment of ns since 1970. */
static inline int64_t zone_second(int64_t ns)
{
	int64_t s = ns / 1000000000;

	return s - (ns % 1000000000 < 0);
}

#endif
