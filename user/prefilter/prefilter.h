/*
 * prefilter: stage 1 from the engine's side: loads bpf/prefilter.bpf.c, maps what it writes, lets sources'
 * sockets in, changes the interest table under it, and sleeps by its doorbell. The one file that knows
 * libbpf's conventions is prefilter.c.
 *
 * Life of a slot: free -> taken (its memory is cleared, the socket joins the map, WELCOME may be said) ->
 * released after the socket was closed -> free when no program run that began before can still be running.
 *
 * Engine thread only, but for prefilter_open and prefilter_close. The grace thread inside only waits for the
 * kernel.
 */
#ifndef PREFILTER_PREFILTER_H
#define PREFILTER_PREFILTER_H

#include <moment/interest.h>
#include <moment/ring.h>
#include <prefilter/enrolment.h>
#include <prefilter/reader.h>
#include <stdbool.h>
#include <stddef.h>

struct prefilter;

struct prefilter_options {
	uint32_t shards; /* 0 = 1 */
};

/*
 * Loads the program and maps its memory (RING_SLOTS rings of RING_BYTES and enrolment: about 360 MiB, all
 * taken now). The interest table keeps everything. 0, or -errno and in `why` the capability or feature of the
 * kernel that is missing.
 */
__attribute__((warn_unused_result)) int
prefilter_open(struct prefilter **out, const struct prefilter_options *options, char *why, size_t why_bytes);
void prefilter_close(struct prefilter *p);
/*
 * Gives up what loading needed and nothing after it needs: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN
 * and all others but those to write the data, lock memory and bind the port. Of the calling thread and those
 * that it makes later. 0 or -errno.
 */
__attribute__((warn_unused_result)) int prefilter_privileges_drop(void);

/*
 * Lets a connected socket in, whose HELLO was read and whose peer is silent; *reader[0..shards) is then where
 * its frames come from. A slot's number, or -EAGAIN (one is free when its grace period is over), -ENOSPC (all
 * are taken: filter this one in user space), -EPROTO (bytes are queued behind HELLO: close it), -EOPNOTSUPP
 * (its peer is gone), or another -errno (the kernel refuses it: filter in user space).
 */
__attribute__((warn_unused_result)) int prefilter_slot_take(struct prefilter *p, int fd, uint64_t expected,
							    struct ring_reader *reader);
/* The socket was closed. */
void prefilter_slot_release(struct prefilter *p, uint32_t slot);
const struct ring_slot *prefilter_slot(const struct prefilter *p, uint32_t slot);

/*
 * A new interest table; for a reload (user/filter.c has all its steps): _table_set with the union;
 * _grace_begin, and when it is _grace_over every run is under it; the activation; _table_set with the new one
 * alone. _table_free: the table that is not in use may be written (no run under it is left).
 */
bool prefilter_table_free(struct prefilter *p);
void prefilter_table_set(struct prefilter *p, const struct interest_table *table);
uint32_t prefilter_generation(const struct prefilter *p);
/* A grace period begins: over when every program run that had begun has ended. Returns its number. */
uint64_t prefilter_grace_begin(struct prefilter *p);
bool prefilter_grace_over(const struct prefilter *p, uint64_t number);

/* The maps' memory; both sides add to it. */
struct enrolment *prefilter_enrolment(struct prefilter *p);

/* From here on the program rings for what it keeps. Look once more for work before waiting for the bell. */
void prefilter_sleep(struct prefilter *p);
void prefilter_wake(struct prefilter *p);
/* Readable when the program rang; prefilter_bells_take makes it silent again. */
int prefilter_bell_fd(const struct prefilter *p);
void prefilter_bells_take(struct prefilter *p);

struct prefilter_counts {
	uint64_t slots, slots_waiting;	  /* taken; released and waiting for their grace period */
	uint64_t joined, refused;	  /* sockets ever; not let in: filtered in user space */
	uint64_t runs, bells, overlapped; /* of all slots ever; overlapped in bytes */
	uint64_t skb_max, generation;	  /* longest skb, bytes; of the interest table */
};
void prefilter_counts(const struct prefilter *p, struct prefilter_counts *out);

#endif
