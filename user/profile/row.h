/*
 * row: one golden record, packed. A customer: attributes by column, then subscriptions. An account: fixed
 * fields, holders, cards. Integers little-endian, every part on an 8-byte edge, offsets from the row's first
 * byte; no pointers, so a row is read where it lies.
 */
#ifndef PROFILE_ROW_H
#define PROFILE_ROW_H

#include <catalogue/catalogue.h>

enum row_kind { ROW_CUSTOMER = 1, ROW_ACCOUNT = 2 };
enum {
	ROW_PROVISIONAL = 1 << 0, /* subscriptions without a PROFILE so far */
	ROW_GONE = 1 << 15,	  /* no row: the one in the map was removed; never stored, never lent */
};

struct row {		/* header of every row */
	uint32_t bytes; /* the whole row, a multiple of 8 */
	uint16_t kind;	/* enum row_kind */
	uint16_t flags;
	uint64_t layout;   /* low half of the layout's hash; accounts: a fixed version */
	uint64_t key;	   /* customer or account */
	uint32_t parts[4]; /* offsets: customer: presence, columns, strings, kinds; account: fields,
			      holders, cards, strings */
};
_Static_assert(sizeof(struct row) == 40, "fixed in the store");

struct row_holder {
	uint64_t customer;
	uint32_t role; /* enum holder_role */
	uint32_t reserved;
};

/* A subscription as rules read it; strings and lists are lent with the row. */
struct row_subscription {
	uint16_t rule; /* number in the catalogue in force */
	bool on;
	const char *id;
	uint32_t id_bytes;
	uint8_t channel_count, account_count;
	uint8_t channels[CHANNELS_MAX]; /* index in the catalogue in force; unknown ones left out */
	uint64_t accounts[SUBSCRIPTION_ACCOUNTS_MAX];
	struct value
		params[PARAMS_MAX]; /* by the kind's parameters; an unset one has the catalogue's default */
};

/* Values of all attributes by catalogue index, defaults filled in; no data where neither is. Strings borrow
 * from the row and the catalogue. Any layout: the store finds the column table. row NULL or provisional: no
 * data. */
struct store;
void row_profile(const struct store *s, const struct catalogue *c, const struct row *row, struct value *out);
/* Is that attribute set in the row (true), or would it be the default (false)? */
bool row_profile_is_set(const struct store *s, const struct row *row, uint16_t attribute);

/*
 * Subscriptions whose kind the catalogue has, in the order of (rule number, id bytes). Walking costs a few
 * loads each; parameters are decoded only for the ones that are asked for.
 */
struct row_cursor {
	const struct store *store;
	const struct catalogue *catalogue;
	const struct row *row;
	const void *at;
	uint32_t left;
	uint16_t rule; /* of the one that the cursor stands on */
	bool on;
	bool sorted;			   /* the row's own order is the catalogue's */
	uint8_t place;			   /* else: the next of order */
	uint16_t order[SUBSCRIPTIONS_MAX]; /* offsets in the row / 8 */
};
void row_subscriptions(const struct store *s, const struct catalogue *c, const struct row *row,
		       struct row_cursor *cursor);
bool row_subscription_next(struct row_cursor *cursor); /* false at the end */
void row_subscription_read(const struct row_cursor *cursor, struct row_subscription *out);
/* Its id, lent with the row, and the first of its own channels that the catalogue has, -1 when none: without
 * reading the rest. */
const char *row_subscription_id(const struct row_cursor *cursor, uint32_t *bytes);
int row_subscription_channel(const struct row_cursor *cursor);
/*
 * Which rules a row subscribes to: rules[i] ascending, flags[i] of the same subscription, in the order of
 * row_subscription_next(). Lent with the row and the catalogue; for rows that another catalogue ordered it is
 * made in `room`.
 */
enum row_kind_flags {
	KIND_ON = 1 << 0,
	KIND_PLAIN = 1 << 1, /* its id is the kind's name, no parameters, accounts or channels of its own */
};
struct row_kinds_room {
	uint16_t rules[SUBSCRIPTIONS_MAX];
	uint8_t flags[SUBSCRIPTIONS_MAX];
};
struct row_kinds {
	const uint16_t *rules;
	const uint8_t *flags;
	uint32_t count;
};
void row_kinds(const struct store *s, const struct catalogue *c, const struct row *row,
	       struct row_kinds_room *room, struct row_kinds *out);
/* Puts the cursor on the i-th of them. */
void row_subscription_at(const struct store *s, const struct catalogue *c, const struct row *row, uint32_t i,
			 struct row_cursor *cursor);
/* One value of row_profile(). */
struct value row_attribute(const struct store *s, const struct catalogue *c, const struct row *row,
			   uint16_t attribute);
/* The same of many rows, for an attribute that is no string and no money; status[i] is enum value_status. */
void row_attribute_column(const struct store *s, const struct catalogue *c, const struct row *const *rows,
			  uint32_t count, uint16_t attribute, int64_t *bits, uint8_t *status);
/* All that the row has: off ones, and ones whose kind the catalogue has no more. row NULL: none. */
uint32_t row_subscription_count(const struct row *row);

/* Holders in record order; lent with the row. */
const struct row_holder *row_holders(const struct row *row, uint32_t *count);
/* SPACE_ACCOUNT values. row NULL: no data. */
void row_account(const struct row *row, struct value out[ACCOUNT_FIELD_COUNT]);

#endif
