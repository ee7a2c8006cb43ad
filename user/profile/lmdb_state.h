/*
 * lmdb_state: what lmdb.c and lmdb_moves.c share. Nobody else includes it, or lmdb.h of the library.
 */
#ifndef PROFILE_LMDB_STATE_H
#define PROFILE_LMDB_STATE_H

#include <lmdb.h>

#include "lmdb.h"

struct lmdb {
	MDB_env *env;
	MDB_dbi dbi[RECORD_SPACES];
	MDB_txn *read, *write;
	MDB_txn *before, *after; /* of the writer: the snapshots on both sides of a commit; else reset */
	MDB_cursor *walk[RECORD_SPACES];
	size_t committed; /* LMDB's number of the last transaction that was written here */
	bool own_writes;
	char *map; /* where the file is mapped, NULL = not known */
	uint64_t map_bytes;
};

#endif
