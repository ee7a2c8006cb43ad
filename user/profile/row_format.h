/*
 * row_format: the packed parts of a row behind its header (row.h), fixed in the store; and rows unpacked, for
 * change.
 *
 * Customer: packed_kinds | presence bits by column | columns of 8 bytes (money 16: minor, currency; string:
 * offset from the row | bytes << 32) | strings | subscriptions: u16 offsets from the row / 8, then one
 * packed_subscription behind the other, in the order of (rule number, id bytes) of the catalogue in force
 * when the row was written, sleeping ones last. A packed subscription has offsets from its own start only, so
 * it moves as it is. So the first two cache lines say what the customer subscribes to and hold the first
 * columns.
 *
 * Stores of format 1 had form 0: presence | columns | strings | packed_subscriptions, then the subscriptions.
 * Such rows are read as they are and rewritten when they change. Account: packed_account |
 * row_holder each | packed_card each | strings.
 */
#ifndef PROFILE_ROW_FORMAT_H
#define PROFILE_ROW_FORMAT_H

#include <profile/layout.h>
#include <profile/row.h>

enum { ACCOUNT_LAYOUT = 1, SUBSCRIPTION_PARAMS_MAX = 32 /* kept ones, sleeping included */ };
enum { CUSTOMER_PRESENCE, CUSTOMER_COLUMNS, CUSTOMER_STRINGS, CUSTOMER_SUBSCRIPTIONS };
enum { ACCOUNT_FIELDS, ACCOUNT_ROW_HOLDERS, ACCOUNT_CARDS, ACCOUNT_STRINGS };
enum { SUBSCRIPTION_ON = 1 << 0 };

enum { ROW_FORM_FIRST = 0, ROW_FORM_KINDS = 1 };

struct packed_subscriptions {
	uint64_t order; /* layouts.order by which they are sorted */
	uint32_t count;
	uint8_t form;
	uint8_t awake;	     /* so many are of a kind that the catalogue had; these and the rest: form 1 */
	uint16_t first_rule; /* of that catalogue's subscriptions */
};

struct packed_kinds {
	struct packed_subscriptions head;
	uint32_t packed_at; /* from here to the offsets */
	uint32_t reserved;
	uint16_t rules[]; /* of those awake, then a byte of enum row_kind_flags each */
};
_Static_assert(sizeof(struct packed_subscriptions) == 16 && sizeof(struct packed_kinds) == 24,
	       "fixed in the store");
_Static_assert(SUBSCRIPTIONS_MAX <= UINT8_MAX && ROW_BYTES_MAX / 8 <= UINT16_MAX, "counts and offsets fit");

struct packed_subscription {
	uint32_t bytes; /* all of it, a multiple of 8 */
	uint32_t kind;	/* number of a name */
	uint8_t flags;
	uint8_t id_bytes;
	uint8_t params, accounts, channels;
	uint8_t reserved[3];
	/* accounts u64 each; packed_param each; channels u32 each (names); id; strings */
};
_Static_assert(sizeof(struct packed_subscription) == 16, "fixed in the store");

struct packed_param {
	uint32_t name;
	uint8_t type; /* enum value_type */
	uint8_t reserved;
	uint16_t currency;
	int64_t value; /* string: offset from the subscription | bytes << 32; double: its bits */
};
_Static_assert(sizeof(struct packed_param) == 16, "fixed in the store");

struct packed_account {
	uint32_t alias_at, alias_bytes; /* 0 = not given */
	uint32_t status_at, status_bytes;
	uint16_t currency; /* 0 = not given */
	uint16_t reserved[3];
};
_Static_assert(sizeof(struct packed_account) == 24, "fixed in the store");

struct packed_card {
	uint64_t customer; /* 0 = not given */
	int64_t expires;   /* INT64_MIN = not given */
	uint32_t card_at, card_bytes;
	uint32_t status_at, status_bytes; /* 0 = not given */
};
_Static_assert(sizeof(struct packed_card) == 32, "fixed in the store");

/* ---- unpacked: what a change works on. Strings borrow from the row and from the body. ---- */

struct customer_draft {
	uint64_t key;
	uint16_t flags;
	struct value column[LAYOUT_COLUMNS_MAX]; /* of the layout in force; VALUE_NO_DATA = not set */
	uint32_t subscription_count;
	const struct packed_subscription *subscription[SUBSCRIPTIONS_MAX + 1];
};

struct draft_param {
	uint32_t name;
	struct value value;
};

struct subscription_draft {
	uint32_t kind;
	bool on;
	const char *id;
	uint32_t id_bytes;
	uint32_t param_count, account_count, channel_count;
	struct draft_param param[SUBSCRIPTION_PARAMS_MAX];
	uint64_t account[SUBSCRIPTION_ACCOUNTS_MAX];
	uint32_t channel[CHANNELS_MAX]; /* names */
};

struct draft_string {
	const char *s; /* NULL = not given */
	uint32_t bytes;
};

struct draft_card {
	struct draft_string card, status;
	uint64_t customer;
	int64_t expires;
};

struct account_draft {
	uint64_t key;
	uint16_t currency;
	struct draft_string alias, status;
	uint32_t holder_count, card_count;
	struct row_holder holder[HOLDERS_MAX];
	struct draft_card card[CARDS_MAX];
};

/* row NULL: an empty, provisional customer; an empty account. */
void row_unpack_customer(const struct layouts *l, const struct row *row, uint64_t key,
			 struct customer_draft *draft);
void row_unpack_account(const struct row *row, uint64_t key, struct account_draft *draft);
void row_unpack_subscription(const struct packed_subscription *packed, struct subscription_draft *draft);

/* Bytes written into `room` (8-byte aligned, ROW_BYTES_MAX), or 0 when they do not fit. */
uint32_t row_pack_customer(const struct layouts *l, const struct customer_draft *draft, void *room);
uint32_t row_pack_account(const struct account_draft *draft, void *room);
uint32_t row_pack_subscription(const struct subscription_draft *draft, void *room);

/* Sorts a draft's subscriptions by (rule number, id bytes), sleeping ones behind. */
void row_sort_subscriptions(const struct layouts *l, struct customer_draft *draft);

/* May a parameter have this value in the catalogue: its type, its min and max? Money compares through the
 * rates. */
bool row_param_allowed(const struct catalogue *c, const struct cat_param *param, const struct value *value);

/* What lies in a row: lent with it. */
const struct packed_subscriptions *row_subscription_part(const struct row *row);
const struct packed_subscription *packed_first(const struct packed_subscriptions *part);
const struct packed_subscription *packed_next(const struct packed_subscription *at);
const char *packed_id(const struct packed_subscription *at);
const struct packed_card *row_cards(const struct row *row, uint32_t *count);

/* A column as it is stored in a row of `layout`; VALUE_NO_DATA when it is not set. */
struct value row_column(const struct row *row, const struct layout *layout, uint16_t column);

#endif
