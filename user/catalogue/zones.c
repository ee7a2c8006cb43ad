/*
 * zones.c: the time zones of the world, when a catalogue needs them.
 *
 * It does where an accessor names a zone, and where the zone of a customer can show: the profile has the
 * attribute `zone`, and there is a calendar window or local(). Then all zones that ICU knows are taken into
 * the catalogue, once, by name, and go into the blob (blob.c), so that a replay on another ICU gives the same
 * local times; a blob brings its own. Many names share one table of offsets, in memory and in the blob.
 */
#include "compile.h"

#include <cel/term.h>
#include <string.h>

/* The first zone with the same offsets. */
uint32_t zones_first_equal(const struct zone *zones, uint32_t i)
{
	const struct zone *z = &zones[i];
	uint32_t at = 0;

	while (at < i && (zones[at].count != z->count ||
			  memcmp(zones[at].from_s, z->from_s, z->count * sizeof *z->from_s) != 0 ||
			  memcmp(zones[at].offset_s, z->offset_s, z->count * sizeof *z->offset_s) != 0))
		at++;
	return at;
}

static void zones_take(struct build *b)
{
	if (!b->zones_needed && !b->is_blob)
		icu_zones(b);
	b->zones_needed = true;
}

static const struct zone *find(const struct build *b, const char *name, size_t len)
{
	const struct value key = { .type = TYPE_STRING, .bytes = (uint32_t)len, .s = name };
	const struct catalogue zones = { .zones = b->zones, .zone_count = b->zone_count };
	const struct zone *zone = catalogue_zone(&zones, &key);

	return zone == &zones.zone ? NULL : zone;
}

const struct zone *zones_find(struct build *b, const char *name, size_t len)
{
	zones_take(b);
	return find(b, name, len);
}

/* Does the program, flat or interpreted, read the zone of its environment? */
static bool reads_zone(const struct cel_program *program)
{
	for (uint32_t i = 0; i < program->instructions; i++)
		if (program->code[i].op == OP_TIME_LOCAL)
			return true;
	for (uint32_t i = 0; program->tree && i < program->tree->term_count; i++) {
		const struct cel_term *t = &program->tree->terms[i];
		if (t->kind == TERM_OPERATION && t->op == OP_TIME_LOCAL)
			return true;
	}
	return false;
}

void zones_note(struct build *b, const struct cel_program *program)
{
	b->reads_zone |= reads_zone(program);
}

static bool has_calendar(const struct catalogue *c)
{
	for (unsigned i = 0; i < c->aggregate_count; i++)
		if (c->aggregates[i].calendar != CALENDAR_NONE)
			return true;
	return false;
}

/* `default:` of the attribute `zone` must be one. */
static void check_default(struct build *b)
{
	const struct value *initial = &b->attribute[b->c->attribute_zone].initial;
	const struct node *map = b->sections[IN_PROFILE].entries[b->c->attribute_zone].value;

	if (initial->status == VALUE_OK && initial->type == TYPE_STRING &&
	    !find(b, initial->s, initial->bytes))
		build_problem(b, yaml_get(map, "default"),
			      "found '%.60s', expected a time zone such as Europe/Madrid", initial->s);
}

void zones_compile(struct build *b)
{
	struct catalogue *c = b->c;

	if (c->attribute_zone >= 0 && (b->reads_zone || has_calendar(c))) {
		zones_take(b);
		check_default(b);
	}
	if (!b->zones_needed)
		return;
	c->zones = b->zones;
	c->zone_count = b->zone_count;
}
