/*
 * layout.c: names, layouts, and what the catalogue in force makes of them.
 *
 * In: a catalogue, or META records of earlier runs. Out: tables by name number and by column that row.c and
 * change.c read. Memory is reserved address space (regions): activation runs on the engine thread and
 * allocates nothing. layouts_check says no before anything is changed: an attribute whose type changed, a
 * store that has seen too many names, attributes or layouts. A damaged record makes layouts_load fail; a
 * layout is believed only when its bytes have the hash that it is named by.
 */
#include "layout.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum {
	BLOB_BYTES_MAX = 4 + LAYOUT_COLUMNS_MAX * (2 + NAME_BYTES_MAX),
	SCRATCH_BYTES = RULES_MAX * (NAME_BYTES_MAX + 1) + BLOB_BYTES_MAX,
};

/* ---- names ---- */

int name_table_init(struct name_table *n)
{
	int rc;

	*n = (struct name_table){ 0 };
	rc = region_init(&n->list_region, NAMES_MAX * sizeof *n->list);
	if (!rc)
		rc = region_init(&n->text_region, (size_t)NAMES_MAX * 64);
	if (!rc)
		rc = table_init(&n->table, NAMES_MAX);
	if (rc)
		return rc;
	n->list = region_take(&n->list_region, NAMES_MAX * sizeof *n->list);
	assert(n->list);
	return 0;
}

void name_table_deinit(struct name_table *n)
{
	table_deinit(&n->table);
	region_deinit(&n->text_region);
	region_deinit(&n->list_region);
}

static struct key128 name_key(const char *text, size_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(text, bytes);

	return (struct key128){ .low = h.low64, .high = h.high64 };
}

uint32_t name_table_find(const struct name_table *n, const char *text, size_t bytes)
{
	uint32_t id;

	if (bytes > NAME_BYTES_MAX || !table_find(&n->table, name_key(text, bytes), &id))
		return NAME_NONE;
	if (n->list[id].bytes != bytes || memcmp(n->list[id].text, text, bytes) != 0)
		return NAME_NONE;
	return id;
}

uint32_t name_table_add(struct name_table *n, const char *text, size_t bytes, uint64_t generation)
{
	uint32_t id = name_table_find(n, text, bytes);

	if (id != NAME_NONE)
		return id;
	assert(bytes <= NAME_BYTES_MAX && n->count < NAMES_MAX);
	char *copy = region_take(&n->text_region, bytes + 1);
	bool added = table_set(&n->table, name_key(text, bytes), n->count);
	assert(copy && added);
	memcpy(copy, text, bytes);
	copy[bytes] = 0;
	n->list[n->count] = (struct name){ .text = copy, .bytes = (uint8_t)bytes, .changed = generation };
	return n->count++;
}

/* ---- layouts ---- */

uint32_t layout_column_bytes(enum value_type type)
{
	return type == TYPE_MONEY ? 16 : 8;
}

int layouts_init(struct layouts *l)
{
	size_t layout_bytes = sizeof(struct layout) +
			      LAYOUT_COLUMNS_MAX * (sizeof(struct layout_column) + 2) + BLOB_BYTES_MAX + 256;
	size_t map_bytes = NAMES_MAX * (2 + 2 + 1) + (size_t)RULES_MAX * (PARAMS_MAX + 1) * 4 + 1024;
	int rc;

	*l = (struct layouts){ .party = -1 };
	rc = name_table_init(&l->names);
	if (!rc)
		rc = region_init(&l->region, LAYOUTS_MAX * layout_bytes + 2 * NAMES_MAX);
	if (!rc)
		rc = region_init(&l->maps, map_bytes);
	if (!rc)
		rc = region_init(&l->scratch, SCRATCH_BYTES + NAMES_MAX * 2 + 128);
	if (rc)
		return rc;
	l->type_of = region_take(&l->region, NAMES_MAX);
	assert(l->type_of);
	return 0;
}

void layouts_deinit(struct layouts *l)
{
	region_deinit(&l->scratch);
	region_deinit(&l->maps);
	region_deinit(&l->region);
	name_table_deinit(&l->names);
}

const struct layout *layouts_find(const struct layouts *l, uint64_t id)
{
	uint32_t low = 0, high = l->count;

	if (l->in_force && l->in_force->id == id)
		return l->in_force;
	while (low < high) {
		uint32_t mid = (low + high) / 2;
		if (l->list[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < l->count && l->list[low]->id == id ? l->list[low] : NULL;
}

static struct hash128 blob_hash(const uint8_t *blob, size_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(blob, bytes);

	return (struct hash128){ .low = h.low64, .high = h.high64 };
}

static bool type_is_column(enum value_type type)
{
	return type == TYPE_BOOL || type == TYPE_INT || type == TYPE_DOUBLE || type == TYPE_STRING ||
	       type == TYPE_TIMESTAMP || type == TYPE_DURATION || type == TYPE_MONEY;
}

/* Takes a layout in by its blob, whose names are all known. NULL: the bytes make no sense. */
static struct layout *layout_add(struct layouts *l, const uint8_t *blob, uint32_t bytes, uint64_t changed)
{
	struct layout *layout = region_take(&l->region, sizeof *layout);
	struct layout_column *columns = region_take(&l->region, LAYOUT_COLUMNS_MAX * sizeof *columns);
	uint8_t *copy = region_take(&l->region, BLOB_BYTES_MAX);
	const uint8_t *at = blob + 4, *end = blob + bytes;
	uint32_t count, offset = 0;

	if (!layout || !columns || !copy || bytes < 4 || bytes > BLOB_BYTES_MAX || l->count == LAYOUTS_MAX)
		return NULL;
	memcpy(&count, blob, 4);
	if (count > LAYOUT_COLUMNS_MAX)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		if (end - at < 2 || end - at - 2 < at[1] || !type_is_column(at[0]))
			return NULL;
		uint32_t name = name_table_find(&l->names, (const char *)at + 2, at[1]);
		if (name == NAME_NONE || (l->type_of[name] != TYPE_NONE && l->type_of[name] != at[0]))
			return NULL;
		columns[i] = (struct layout_column){ .name = name, .offset = offset, .type = at[0] };
		l->type_of[name] = at[0];
		offset += layout_column_bytes(at[0]);
		at += 2 + at[1];
	}
	if (at != end)
		return NULL;
	memcpy(copy, blob, bytes);
	*layout = (struct layout){ .hash = blob_hash(blob, bytes),
				   .changed = changed,
				   .count = (uint16_t)count,
				   .columns_bytes = offset,
				   .columns = columns,
				   .from = region_take(&l->region, LAYOUT_COLUMNS_MAX * 2),
				   .blob = copy,
				   .blob_bytes = bytes };
	layout->id = layout->hash.low;
	if (!layout->from || layouts_find(l, layout->id))
		return NULL;
	uint32_t place = l->count++;
	for (; place > 0 && l->list[place - 1]->id > layout->id; place--)
		l->list[place] = l->list[place - 1];
	l->list[place] = layout;
	return layout;
}

/* ---- from the store, to the store ---- */

struct load {
	struct layouts *layouts;
	char *why;
	size_t why_bytes;
};

static bool key_starts(const void *key, uint32_t key_bytes, const char *prefix, uint32_t total)
{
	size_t bytes = strlen(prefix);

	return key_bytes == total && memcmp(key, prefix, bytes) == 0;
}

static int load_name(void *ctx, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes)
{
	struct load *load = ctx;
	struct name_table *names = &load->layouts->names;
	char expected[16];

	if (!key_starts(key, key_bytes, "name:", 13))
		return 0;
	snprintf(expected, sizeof expected, "name:%08x", names->count);
	if (memcmp(key, expected, 13) == 0 && value_bytes <= NAME_BYTES_MAX && names->count < NAMES_MAX &&
	    name_table_find(names, value, value_bytes) == NAME_NONE) {
		name_table_add(names, value, value_bytes, 0);
		return 0;
	}
	snprintf(load->why, load->why_bytes, "damaged store: %.13s", (const char *)key);
	return -EBADMSG;
}

static void layout_key(char key[48], struct hash128 hash)
{
	snprintf(key, 48, "layout:%016llx%016llx", (unsigned long long)hash.high,
		 (unsigned long long)hash.low);
}

static int load_layout(void *ctx, const void *key, uint32_t key_bytes, const void *value,
		       uint32_t value_bytes)
{
	struct load *load = ctx;
	char expected[48];

	if (!key_starts(key, key_bytes, "layout:", 39))
		return 0;
	layout_key(expected, blob_hash(value, value_bytes));
	if (memcmp(key, expected, 39) == 0 && layout_add(load->layouts, value, value_bytes, 0))
		return 0;
	snprintf(load->why, load->why_bytes, "damaged store: %.39s", (const char *)key);
	return -EBADMSG;
}

int layouts_load(struct layouts *l, struct lmdb *lmdb, char *why, size_t why_bytes)
{
	struct load load = { .layouts = l, .why = why, .why_bytes = why_bytes };
	int rc = lmdb_walk(lmdb, RECORD_META, load_name, &load);

	return rc ? rc : lmdb_walk(lmdb, RECORD_META, load_layout, &load);
}

void layouts_records(const struct layouts *l, uint64_t committed, struct records *records)
{
	char key[48];
	void *value;

	for (uint32_t i = l->names.count; i > 0 && l->names.list[i - 1].changed > committed; i--) {
		const struct name *name = &l->names.list[i - 1];
		snprintf(key, sizeof key, "name:%08x", i - 1);
		value = records_put(records, RECORD_META, key, 13, name->bytes);
		if (value)
			memcpy(value, name->text, name->bytes);
	}
	for (uint32_t i = 0; i < l->count; i++) {
		const struct layout *layout = l->list[i];
		if (layout->changed <= committed)
			continue;
		layout_key(key, layout->hash);
		value = records_put(records, RECORD_META, key, 39, layout->blob_bytes);
		if (value)
			memcpy(value, layout->blob, layout->blob_bytes);
	}
}

/* ---- the catalogue in force ---- */

static uint8_t *blob_column(uint8_t *at, enum value_type type, const char *name, size_t bytes)
{
	*at++ = (uint8_t)type;
	*at++ = (uint8_t)bytes;
	memcpy(at, name, bytes);
	return at + bytes;
}

static bool catalogue_has(const struct catalogue *c, const char *name)
{
	for (uint16_t i = 0; i < c->attribute_count; i++)
		if (strcmp(c->attributes[i].name, name) == 0)
			return true;
	return false;
}

/* Attributes of earlier catalogues that this one does not have. */
static uint32_t sleeping_count(const struct layouts *l, const struct catalogue *c)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < l->names.count; i++)
		count += l->type_of[i] != TYPE_NONE && !catalogue_has(c, l->names.list[i].text);
	return count;
}

/* The content of the layout that the catalogue gives in this store. */
static uint32_t blob_make(const struct layouts *l, const struct catalogue *c, uint8_t *blob)
{
	uint8_t *at = blob + 4;
	uint32_t count = c->attribute_count;

	for (uint16_t i = 0; i < c->attribute_count; i++)
		at = blob_column(at, c->attributes[i].type, c->attributes[i].name,
				 strlen(c->attributes[i].name));
	for (uint32_t i = 0; i < l->names.count; i++) {
		const struct name *name = &l->names.list[i];
		if (l->type_of[i] == TYPE_NONE || catalogue_has(c, name->text))
			continue;
		at = blob_column(at, l->type_of[i], name->text, name->bytes);
		count++;
	}
	memcpy(blob, &count, 4);
	return (uint32_t)(at - blob);
}

static uint32_t names_new(const struct layouts *l, const struct catalogue *c)
{
	uint32_t count = 0;

	for (uint16_t i = 0; i < c->attribute_count; i++)
		count += name_table_find(&l->names, c->attributes[i].name, strlen(c->attributes[i].name)) ==
			 NAME_NONE;
	for (uint16_t i = 0; i < c->channel_count; i++)
		count += name_table_find(&l->names, c->channels[i].name, strlen(c->channels[i].name)) ==
			 NAME_NONE;
	for (uint16_t i = c->subscription_first; i < c->rule_count; i++) {
		const struct cat_rule *rule = &c->rules[i];
		count += name_table_find(&l->names, rule->name, strlen(rule->name)) == NAME_NONE;
		for (uint8_t p = 0; p < rule->param_count; p++)
			count += name_table_find(&l->names, rule->params[p].name,
						 strlen(rule->params[p].name)) == NAME_NONE;
	}
	return count;
}

static int check_types(const struct layouts *l, const struct catalogue *c, char *why, size_t why_bytes)
{
	for (uint16_t i = 0; i < c->attribute_count; i++) {
		const struct cat_attribute *attribute = &c->attributes[i];
		uint32_t name = name_table_find(&l->names, attribute->name, strlen(attribute->name));

		assert(type_is_column(attribute->type));
		if (name == NAME_NONE || l->type_of[name] == TYPE_NONE || l->type_of[name] == attribute->type)
			continue;
		snprintf(why, why_bytes,
			 "profile attribute '%s' is %s in this store and %s in the catalogue: a new type "
			 "needs a new name",
			 attribute->name, cel_type_name(l->type_of[name]), cel_type_name(attribute->type));
		return -EINVAL;
	}
	return 0;
}

static int check_layout(const struct layouts *l, const struct catalogue *c, char *why, size_t why_bytes)
{
	uint8_t *blob = (uint8_t *)l->scratch.base;
	struct hash128 hash = blob_hash(blob, blob_make(l, c, blob));
	const struct layout *known = layouts_find(l, hash.low);

	if (known && known->hash.high == hash.high)
		return 0;
	if (known || l->count == LAYOUTS_MAX) {
		snprintf(why, why_bytes,
			 "this store has had %u profile layouts, at most %d: import into a new one", l->count,
			 LAYOUTS_MAX);
		return -EINVAL;
	}
	return 0;
}

int layouts_check(const struct layouts *l, const struct catalogue *c, char *why, size_t why_bytes)
{
	int rc = check_types(l, c, why, why_bytes);

	if (rc)
		return rc;
	uint32_t columns = c->attribute_count + sleeping_count(l, c);
	if (columns > LAYOUT_COLUMNS_MAX) {
		snprintf(why, why_bytes,
			 "%u profile attributes, those of earlier catalogues included, at most %d: import "
			 "into a new store",
			 columns, LAYOUT_COLUMNS_MAX);
		return -EINVAL;
	}
	uint32_t names = l->names.count + names_new(l, c);
	if (names > NAMES_MAX) {
		snprintf(
			why, why_bytes,
			"%u names, those of earlier catalogues included, at most %d: import into a new store",
			names, NAMES_MAX);
		return -EINVAL;
	}
	return check_layout(l, c, why, why_bytes);
}

/* For every layout, where the columns of the one in force are. */
static void layouts_relate(struct layouts *l)
{
	const struct layout *to = l->in_force;
	int16_t *place = (int16_t *)l->scratch.base; /* by name */

	for (uint32_t i = 0; i < l->count; i++) {
		const struct layout *from = l->list[i];
		memset(place, 0xff, l->names.count * sizeof *place);
		for (uint16_t k = 0; k < from->count; k++)
			place[from->columns[k].name] = (int16_t)k;
		for (uint16_t k = 0; k < to->count; k++)
			from->from[k] = place[to->columns[k].name];
	}
}

static void map_attributes(struct layouts *l, const struct catalogue *c)
{
	for (uint16_t i = 0; i < c->attribute_count; i++) {
		l->column_of[l->in_force->columns[i].name] = (int16_t)i;
		if (strcmp(c->attributes[i].name, "party") == 0 && c->attributes[i].type == TYPE_INT)
			l->party = (int16_t)i;
	}
}

static void map_channels(struct layouts *l, const struct catalogue *c, uint64_t generation)
{
	for (uint16_t i = 0; i < c->channel_count; i++) {
		const char *name = c->channels[i].name;
		l->channel_name[i] = name_table_add(&l->names, name, strlen(name), generation);
		l->channel_of[l->channel_name[i]] = (int8_t)i;
	}
}

/* Kinds and their parameters; the order of kinds is hashed from their names. */
static void map_kinds(struct layouts *l, const struct catalogue *c, uint64_t generation)
{
	char *text = l->scratch.base, *at = text;

	for (uint16_t i = c->subscription_first; i < c->rule_count; i++) {
		const struct cat_rule *rule = &c->rules[i];
		uint32_t kind = i - c->subscription_first;
		size_t bytes = strlen(rule->name);

		l->rule_name[kind] = name_table_add(&l->names, rule->name, bytes, generation);
		l->rule_of[l->rule_name[kind]] = i;
		for (uint8_t p = 0; p < rule->param_count; p++)
			l->param_name[kind * PARAMS_MAX + p] = name_table_add(
				&l->names, rule->params[p].name, strlen(rule->params[p].name), generation);
		memcpy(at, rule->name, bytes + 1);
		at += bytes + 1;
	}
	l->order = XXH3_64bits(text, (size_t)(at - text));
}

static void maps_reset(struct layouts *l, const struct catalogue *c)
{
	uint32_t kinds = c->rule_count - c->subscription_first;

	l->maps.used = 0;
	l->column_of = region_take(&l->maps, NAMES_MAX * sizeof *l->column_of);
	l->rule_of = region_take(&l->maps, NAMES_MAX * sizeof *l->rule_of);
	l->channel_of = region_take(&l->maps, NAMES_MAX);
	l->rule_name = region_take(&l->maps, kinds * sizeof *l->rule_name);
	l->param_name = region_take(&l->maps, kinds * PARAMS_MAX * sizeof *l->param_name);
	assert(l->param_name);
	memset(l->column_of, 0xff, NAMES_MAX * sizeof *l->column_of);
	memset(l->rule_of, 0xff, NAMES_MAX * sizeof *l->rule_of);
	memset(l->channel_of, 0xff, NAMES_MAX);
	l->party = -1;
}

void layouts_activate(struct layouts *l, const struct catalogue *c, uint64_t generation)
{
	uint8_t *blob = (uint8_t *)l->scratch.base;
	uint32_t bytes = blob_make(l, c, blob);
	const struct layout *layout = layouts_find(l, blob_hash(blob, bytes).low);

	if (!layout) {
		for (uint16_t i = 0; i < c->attribute_count; i++)
			name_table_add(&l->names, c->attributes[i].name, strlen(c->attributes[i].name),
				       generation);
		layout = layout_add(l, blob, bytes, generation);
	}
	assert(layout); /* layouts_check has let it pass */
	l->in_force = layout;
	l->catalogue = c->hash;
	l->subscription_first = c->subscription_first;
	maps_reset(l, c);
	map_attributes(l, c);
	map_channels(l, c, generation);
	map_kinds(l, c, generation);
	layouts_relate(l);
}
