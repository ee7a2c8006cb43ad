/*
 * synth_spec.c: reads "demo:customers=1000,events=5000,part=0/2". What is not a key, not a number or out of
 * its range is refused with the reason; nothing is guessed. Nothing is allocated.
 */
#include "synth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key { KEY_CUSTOMERS, KEY_EVENTS, KEY_DAYS, KEY_START, KEY_JOINT, KEY_CARDS, KEY_COUNT };

static const struct {
	const char *name;
	uint64_t least, most;
} keys[KEY_COUNT] = {
	{ "customers", 16, 100000000 },
	{ "events", 1, 1000000000000 },
	{ "days", 1, 3660 },
	{ "start", 86400 * 2, 9000000000 },
	{ "joint", 0, 100 },
	{ "cards", 0, 100 },
};

static bool number_parse(const char *text, const char *end, uint64_t *out)
{
	char *stop;

	if (text == end || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &stop, 10);
	return errno == 0 && stop == end;
}

static bool part_parse(const char *text, const char *end, struct synth_spec *spec)
{
	const char *slash = memchr(text, '/', (size_t)(end - text));
	uint64_t part, parts;

	if (!slash || !number_parse(text, slash, &part) || !number_parse(slash + 1, end, &parts))
		return false;
	if (parts < 1 || parts > 64 || part >= parts)
		return false;
	spec->part = (uint32_t)part;
	spec->parts = (uint32_t)parts;
	return true;
}

static void spec_set(struct synth_spec *spec, enum key key, uint64_t value)
{
	switch (key) {
	case KEY_CUSTOMERS:
		spec->customers = (uint32_t)value;
		break;
	case KEY_EVENTS:
		spec->events = value;
		break;
	case KEY_DAYS:
		spec->days = (uint32_t)value;
		break;
	case KEY_START:
		spec->start_s = (int64_t)value;
		break;
	case KEY_JOINT:
		spec->joint = (unsigned)value;
		break;
	default:
		spec->cards = (unsigned)value;
	}
}

/* One KEY=VALUE between at and end. */
static bool pair_parse(const char *at, const char *end, struct synth_spec *spec, char *error, size_t room)
{
	const char *equals = memchr(at, '=', (size_t)(end - at));
	uint64_t value;

	if (equals && equals - at == 4 && memcmp(at, "part", 4) == 0) {
		if (part_parse(equals + 1, end, spec))
			return true;
		snprintf(error, room, "part must be K/N with K from 0 to N - 1 and N up to 64");
		return false;
	}
	for (int k = 0; equals && k < KEY_COUNT; k++) {
		if (strlen(keys[k].name) != (size_t)(equals - at) ||
		    memcmp(at, keys[k].name, (size_t)(equals - at)) != 0)
			continue;
		if (!number_parse(equals + 1, end, &value) || value < keys[k].least || value > keys[k].most) {
			snprintf(error, room, "%s must be a number from %" PRIu64 " to %" PRIu64,
				 keys[k].name, keys[k].least, keys[k].most);
			return false;
		}
		spec_set(spec, (enum key)k, value);
		return true;
	}
	snprintf(error, room, "'%.*s' is none of customers=, events=, days=, start=, joint=, cards=, part=",
		 (int)(end - at), at);
	return false;
}

bool synth_spec_parse(const char *text, uint64_t seed, struct synth_spec *spec, char *error, size_t room)
{
	*spec = (struct synth_spec){ .customers = 100000,
				     .events = 1000000,
				     .days = 1,
				     .parts = 1,
				     .start_s = 1772409600,
				     .joint = 15,
				     .cards = 10,
				     .seed = seed };
	if (strncmp(text, "demo", 4) != 0 || (text[4] != 0 && text[4] != ':')) {
		snprintf(error, room, "a synthetic load is 'demo' or 'demo:KEY=VALUE,...', not '%s'", text);
		return false;
	}
	if (text[4] == 0)
		return true;
	for (const char *at = text + 5; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!pair_parse(at, at + strcspn(at, ","), spec, error, room))
			return false;
	if (spec->parts > spec->customers) {
		snprintf(error, room, "more parts than customers");
		return false;
	}
	return true;
}
