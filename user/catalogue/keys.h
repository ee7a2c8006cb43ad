/*
 * keys: the one table of every key that a catalogue may have, by the kind of map that it stands in.
 *
 * The compiler checks maps against it, and a test compares it with the schemas of schemas/catalogue, so
 * that an editor and `moment check` never disagree about a key.
 */
#ifndef CATALOGUE_KEYS_H
#define CATALOGUE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum key_shape { SHAPE_ANY, SHAPE_SCALAR, SHAPE_LIST, SHAPE_MAP };
enum key_state { KEY_OPTIONAL, KEY_REQUIRED, KEY_NOT_YET };

struct key_spec {
	const char *name;
	enum key_shape shape;
	enum key_state state;
};

struct map_spec {
	const char *path; /* "subscriptions.*.params.*": how the test finds it in the schemas; [] = an item of
			     a list */
	const char *what; /* "a parameter" */
	const struct key_spec *keys;
	size_t count;
};

enum map_kind {
	MAP_FILE, /* the sections */
	MAP_BANK,
	MAP_MEMORY,
	MAP_EVENT,
	MAP_ATTRIBUTE,
	MAP_AGGREGATE,
	MAP_PATTERN,
	MAP_STEP,
	MAP_FRAUD,
	MAP_THRESHOLDS,
	MAP_FRAUD_RULE,
	MAP_SUBSCRIPTION,
	MAP_PARAM,
	MAP_CRITICAL,
	MAP_CHANNEL,
	MAP_KINDS
};

extern const struct map_spec map_specs[MAP_KINDS];

#endif
