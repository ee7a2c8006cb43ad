/*
 * layout: what the columns of a customer's row are. A layout is an ordered list of (attribute, type); it is
 * named by the hash of its content and kept in the store for as long as the store lives. The layout in force
 * has the catalogue's attributes in their order and, behind them, those that earlier catalogues had: an
 * attribute that the catalogue drops sleeps, its values stay and come back with it. A row of any layout is
 * read through its own table.
 *
 * names: attributes, kinds, parameters and channels are numbered in the order in which the store first sees
 * them, and rows hold the numbers, so a kind that is gone still has its name. The numbers are kept in META,
 * too.
 *
 * Engine thread only. All memory is reserved at init.
 */
#ifndef PROFILE_LAYOUT_H
#define PROFILE_LAYOUT_H

#include <base/region.h>
#include <catalogue/catalogue.h>
#include <profile/lmdb.h>

enum {
	NAMES_MAX = 65536,	   /* ever seen by one store */
	NAMES_FOREIGN_MAX = 32768, /* names that no catalogue had (channels) are taken up to here */
	LAYOUTS_MAX = 1024,	   /* ever in force in one store */
	LAYOUT_COLUMNS_MAX = 1024, /* attributes of all catalogues that one store has had */
};

#define NAME_NONE UINT32_MAX

struct name {
	const char *text; /* NUL behind */
	uint8_t bytes;
	uint64_t changed; /* generation; 0 = in the store */
};

struct name_table {
	struct region list_region, text_region;
	struct table table;
	struct name *list;
	uint32_t count;
};

__attribute__((warn_unused_result)) int name_table_init(struct name_table *n);
void name_table_deinit(struct name_table *n);
uint32_t name_table_find(const struct name_table *n, const char *text, size_t bytes); /* NAME_NONE */
uint32_t name_table_add(struct name_table *n, const char *text, size_t bytes, uint64_t generation);

struct layout_column {
	uint32_t name;
	uint32_t offset; /* from the row's parts[1] */
	enum value_type type;
};

struct layout {
	uint64_t id; /* low half of the hash: row.layout */
	struct hash128 hash;
	uint64_t changed; /* generation; 0 = in the store */
	uint16_t count;
	uint32_t columns_bytes;
	const struct layout_column *columns;
	int16_t *from;	     /* by column of the layout in force: the column here, -1 none */
	const uint8_t *blob; /* what is hashed and stored */
	uint32_t blob_bytes;
};

/* What the catalogue in force means for names and layouts; rebuilt by layouts_activate. */
struct layouts {
	struct name_table names;
	struct region region, maps, scratch;
	struct layout *list[LAYOUTS_MAX]; /* by id, ascending */
	uint32_t count;
	const struct layout *in_force;
	struct hash128 catalogue;
	uint8_t *type_of; /* by name: type of the attribute in every layout that has it, TYPE_NONE */
	uint64_t order; /* hash of the subscription kinds in their order: rows sorted by it need no sorting */
	int16_t *column_of;   /* by name: column of the layout in force that the catalogue has, -1 */
	uint16_t *rule_of;    /* by name: rule of a subscription kind, UINT16_MAX */
	int8_t *channel_of;   /* by name, -1 */
	uint32_t *rule_name;  /* by rule - subscription_first */
	uint32_t *param_name; /* PARAMS_MAX a rule */
	uint32_t channel_name[CHANNELS_MAX];
	uint16_t subscription_first; /* of the catalogue in force */
	int16_t party;		     /* column of the attribute `party`, -1 */
};

__attribute__((warn_unused_result)) int layouts_init(struct layouts *l);
void layouts_deinit(struct layouts *l);

/* Takes names and layouts from the store. 0, -errno, or -EBADMSG with `why`. */
__attribute__((warn_unused_result)) int layouts_load(struct layouts *l, struct lmdb *lmdb, char *why,
						     size_t why_bytes);

/* Can the catalogue be put in force? Changes nothing. -EINVAL with the reason. */
__attribute__((warn_unused_result)) int layouts_check(const struct layouts *l, const struct catalogue *c,
						      char *why, size_t why_bytes);
/* Puts a catalogue in force that layouts_check has let pass. */
void layouts_activate(struct layouts *l, const struct catalogue *c, uint64_t generation);

const struct layout *layouts_find(const struct layouts *l, uint64_t id); /* or NULL */

/* Names and layouts that changed after generation `committed`, as META records. */
void layouts_records(const struct layouts *l, uint64_t committed, struct records *records);

/* Bytes of a column of that type: 8, money 16. */
uint32_t layout_column_bytes(enum value_type type);
static inline uint32_t layout_presence_bytes(const struct layout *layout)
{
	return (layout->count + 63u) / 64u * 8u;
}

#endif
