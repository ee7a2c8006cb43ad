/*
 * records: what a checkpoint writes, as a list of (space, key, value | gone) in one region.
 *
 * Life: 1. the engine thread, at a tick's edge, encodes every row that changed since the last cut;
 *       2. the checkpoint thread reads it and writes one LMDB transaction; 3. after the commit it resets it.
 * There are two, used in turn; the engine starts no checkpoint while one is being written.
 */
#ifndef BASE_RECORDS_H
#define BASE_RECORDS_H

#include "region.h"

/* Spaces of the store; the number is stored. */
enum record_space {
	RECORD_NONE = 0,
	RECORD_META = 1,     /* key: text */
	RECORD_CUSTOMER = 2, /* key: u64 LE (MDB_INTEGERKEY); value: row */
	RECORD_ACCOUNT = 3,  /* key: u64 LE; value: row */
	RECORD_CELL = 4,     /* key: {per u8, owner u8, 6 zero, key128}; value: windows of one key */
	RECORD_REF = 5,	     /* key: number u64 BE; value: transaction */
	RECORD_OUTBOX = 6,   /* key: {queue u32 BE, first ordinal u64 BE}; value: chunk of frames */
	RECORD_SPACES
};

struct record {
	uint32_t value_bytes;
	uint16_t key_bytes;
	uint8_t space;
	uint8_t gone; /* delete the key */
		      /* key, then value, each padded to 8 */
};

struct records {
	struct region region;
	uint64_t count;
	bool full; /* sticks: a record did not fit; the cut is void */
};

__attribute__((warn_unused_result)) int records_init(struct records *r, size_t bytes_max);
void records_deinit(struct records *r);
void records_reset(struct records *r);
/* Room for a record, zero; the caller fills *value (value_bytes). NULL when full. */
void *records_put(struct records *r, enum record_space space, const void *key, uint16_t key_bytes,
		  uint32_t value_bytes);
void records_remove(struct records *r, enum record_space space, const void *key, uint16_t key_bytes);
/* Walks: start with at = NULL; NULL at the end. */
const struct record *records_next(const struct records *r, const struct record *at);
const void *record_key(const struct record *record);
const void *record_value(const struct record *record);

#endif
