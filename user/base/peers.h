/*
 * peers: sources and gateways that ever said HELLO, numbered in the order of the journal. Part of the state:
 * which stream a source is in and which sequence comes next.
 */
#ifndef BASE_PEERS_H
#define BASE_PEERS_H

#include <moment/batch.h>
#include <moment/limits.h>

enum { PEERS_MAX = SOURCES_MAX + GATEWAYS_MAX };

struct peer {
	uint8_t role;	   /* enum frame_role; 0 = free */
	bool up;	   /* gateway: by the journal */
	uint64_t expected; /* source: next sequence of its stream */
};

struct peers {
	uint32_t count;
	struct peer peer[PEERS_MAX];
	struct source_identity identity[PEERS_MAX]; /* by the same number */
};

/* The peer of that name and role; -1. */
static inline int peers_find(const struct peers *p, uint8_t role, const char *name)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->peer[i].role == role && __builtin_strcmp(p->identity[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* How many of a role there are: its limit is SOURCES_MAX or GATEWAYS_MAX. */
static inline uint32_t peers_count(const struct peers *p, uint8_t role)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->count; i++)
		n += p->peer[i].role == role;
	return n;
}

#endif
