/*
 * refs: one purchase is several events (decisions 11-17). A transaction per reference: which (stage, type)
 * came, what its counted event was, what is left of it. Used by history only.
 *
 * References are remembered in the order of their first event, each for the same time, so they are forgotten
 * from the front of a ring: the slot of number n is n % max. Engine thread only; nothing is allocated after
 * refs_init.
 */
#ifndef PROFILE_REFS_H
#define PROFILE_REFS_H

#include <base/records.h>
#include <catalogue/catalogue.h>

enum ref_flags {
	REF_COUNTED = 1 << 0,  /* an authorised or posted event came: the fields from `time` on are filled */
	REF_OUT = 1 << 1,      /* nothing of it is in the windows */
	REF_RELEASED = 1 << 2, /* REF_OUT by `released`: a posted counts again */
	REF_POSTED = 1 << 3,   /* no longer a hold */
	REF_FLAGS = 15,
};

struct ref {
	struct key128 key;    /* hash of the reference */
	uint64_t number;      /* of references, from 1 */
	uint64_t order_first; /* no entry of it has a smaller order */
	int64_t seen;	      /* now of its first event */
	int64_t time;	      /* of the counted event, as are its order and keys */
	uint64_t order;
	uint64_t customer, account;
	struct key128 card;
	int64_t amount, base; /* gross: of the counted event, or of the latest posted */
	int64_t reversed;     /* in `currency` */
	uint16_t currency;
	uint8_t flags;
	uint8_t base_status; /* enum value_status */
	uint8_t none;	     /* 0 */
	uint8_t parts;
	uint8_t part_stage[REF_PARTS_MAX];
	uint16_t part_type[REF_PARTS_MAX];
	uint8_t has_card;
	uint8_t memory;	  /* enum ref_memory; 0 in records */
	uint16_t entered; /* bit per kind of key whose windows have it */
	uint8_t reserved[4];
};
_Static_assert(sizeof(struct ref) == 144, "no padding; its form on disk, then its further keys");

/* Further keys of its entries, behind customer, account and card; those whose bit in `entered` is set. */
enum { REF_KEYS_MORE = KEYS_MAX - PER_COUNT };

enum ref_memory { REF_DIRTY = 1 << 0 /* and 1 << 1, by list */, REF_LIVE = 1 << 2 };

struct refs {
	struct table table;
	struct region region;
	struct ref *ring;
	struct key128 *more; /* REF_KEYS_MORE a place of the ring; only written where there are any */
	uint32_t *dirty[2], dirty_count[2], list; /* places that changed; the list that grows */
	struct records *records;		  /* a cut on its way, NULL: none */
	uint32_t cut_next;
	uint64_t saved_first, saved_next;	 /* numbers that the store has */
	uint64_t cut_gone, cut_first, cut_saved; /* the next number to be taken back; first and next as cut */
	uint64_t max;
	uint64_t first, next; /* numbers: the oldest remembered, the next to be given */
	uint64_t evicted;     /* went before their time */
};

__attribute__((warn_unused_result)) int refs_init(struct refs *r, uint64_t max);
void refs_deinit(struct refs *r);

/* Lent until the next refs_add or refs_expire. */
struct ref *refs_find(const struct refs *r, struct key128 key);
/* A new one; when `limit` are remembered the oldest goes. */
struct ref *refs_add(struct refs *r, struct key128 key, int64_t now, uint64_t order_next, uint64_t limit);
/* Forgets what was first seen before `since`. */
void refs_expire(struct refs *r, int64_t since);
/* Entries with a reference and a smaller order cannot change any more. */
uint64_t refs_settled(const struct refs *r, uint64_t order_next);
/* Before a change. */
void refs_changed(struct refs *r, struct ref *ref);
static inline struct key128 *ref_more(const struct refs *r, const struct ref *ref)
{
	return r->more + (uint64_t)(ref - r->ring) * REF_KEYS_MORE;
}

enum ref_part { REF_PART_NEW, REF_PART_SEEN, REF_PART_FULL };
enum ref_part ref_note(struct ref *ref, enum event_stage stage, uint16_t type);

/* What happens to a counted transaction. False: it does not apply, nothing is changed. */
bool ref_reverse(struct ref *ref, int64_t amount, uint16_t currency);
bool ref_release(struct ref *ref);
void ref_post(struct ref *ref, int64_t amount, struct value base, uint16_t currency);

/* What is left of it for the windows. */
struct ref_left {
	int64_t amount, base;
	enum value_status base_status;
	bool out;
};
struct ref_left ref_left(const struct ref *ref);

/* As windows_cut and its steps; the key of a record is the number. */
void refs_cut(struct refs *r, struct records *records);
bool refs_cut_step(struct refs *r, uint32_t *items);
void refs_cut_finish(struct refs *r);
bool refs_load(struct refs *r, const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes);
/* After the last refs_load; `first` and `next` as they were saved; no entry has an order of order_next or
 * more. */
bool refs_loaded(struct refs *r, uint64_t first, uint64_t next, uint64_t order_next);
struct hash128 refs_digest(const struct refs *r);

#endif
