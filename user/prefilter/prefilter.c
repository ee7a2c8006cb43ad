/*
 * prefilter.c: the one file that knows libbpf. In: the program as a skeleton (build/bpf/prefilter.skel.h) and
 * interest tables. Out: slots and their readers. Memory: all maps, made by prefilter_open and mapped once;
 * the mappings are freed by prefilter_close.
 *
 * What can go wrong is at open: a capability, a feature of the kernel, memory. After that the kernel may
 * refuse a socket, which is then filtered in user space.
 *
 * Order matters in two places. slot_take: the slot's memory first, then the cookie, then the socket, so that
 * a run finds everything. table_set: the table first, then the generation that names it.
 */
#include "prefilter.h"

#include "grace.h"
#include "privileges.h"

#include <assert.h>
#include <base/log.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "prefilter.skel.h"

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_RELEASED };
enum { SETS_STRIDE = (sizeof(struct interest_sets) + 7) & ~7u, LOG_BYTES = 16 << 20 };

struct slot {
	enum slot_state state;
	uint64_t cookie, grace;
};

struct mapping {
	void *at;
	size_t bytes;
};

struct prefilter {
	struct prefilter_bpf *bpf;
	struct grace grace;
	struct ring_buffer *bells;
	uint32_t shards, generation, sleeps;
	uint64_t table_grace; /* since when nobody runs under the table that is not in use */
	struct mapping rings, ends, slots, control, interest, sets, enrolled, holders;
	struct enrolment enrolment;
	struct slot slot[RING_SLOTS];
	struct prefilter_counts before; /* of slots that were released */
};

/* ---- open ---- */

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* The last line of the verifier's log that says something. */
static const char *log_end(char *log)
{
	char *line = log, *last = log;

	for (char *save = NULL; (line = strtok_r(line, "\n", &save)); line = NULL)
		if (strncmp(line, "processed ", 10) && strncmp(line, "verification time", 17) &&
		    strncmp(line, "stack depth", 11))
			last = line;
	return last;
}

/* The feature that this kernel lacks; NULL: none of those that we know of. */
static const char *feature_missing(void)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return "BTF (CONFIG_DEBUG_INFO_BTF)";
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SOCKHASH, NULL) == 0)
		return "sockmaps (CONFIG_BPF_STREAM_PARSER)";
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_SKB, NULL) == 0)
		return "SK_SKB programs (CONFIG_BPF_STREAM_PARSER)";
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 0)
		return "BPF ring buffers (kernel 5.8)";
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SK_SKB, BPF_FUNC_loop, NULL) == 0)
		return "bpf_loop (kernel 5.17)";
	return NULL;
}

static int failure(int rc, const char *log, char *why, size_t why_bytes)
{
	struct utsname name = { .release = "?" };
	const char *feature = feature_missing();

	uname(&name);
	if (feature)
		snprintf(why, why_bytes, "kernel %s has no %s", name.release, feature);
	else if (rc == -ENOMEM)
		snprintf(why, why_bytes, "no memory for %u rings of %u bytes", (unsigned)RING_SLOTS,
			 (unsigned)(RING_BYTES + RING_SLACK_BYTES));
	else
		snprintf(why, why_bytes, "kernel %s refuses the program: %s%s%s", name.release, strerror(-rc),
			 log[0] ? ": " : "", log);
	return rc;
}

static int load(struct prefilter *p, char *why, size_t why_bytes)
{
	char *log = calloc(1, LOG_BYTES);

	if (!log)
		return -ENOMEM;
	libbpf_set_print(silent);
	p->bpf = prefilter_bpf__open();
	int rc = p->bpf ? 0 : -errno;
	if (!rc) {
		p->bpf->rodata->shards = p->shards;
		bpf_map__set_max_entries(p->bpf->maps.rings, RING_SLOTS * p->shards);
		bpf_map__set_max_entries(p->bpf->maps.ends, RING_SLOTS * p->shards);
		bpf_program__set_log_buf(p->bpf->progs.verdict, log, LOG_BYTES);
		rc = prefilter_bpf__load(p->bpf);
	}
	if (rc)
		failure(rc, log_end(log), why, why_bytes);
	free(log);
	return rc;
}

static int map_in(struct mapping *m, const struct bpf_map *map, size_t bytes)
{
	m->bytes = (bytes + 4095) & ~(size_t)4095;
	m->at = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (m->at == MAP_FAILED) {
		m->at = NULL;
		return -errno;
	}
	return 0;
}

static int maps_in(struct prefilter *p)
{
	const struct {
		struct mapping *m;
		const struct bpf_map *map;
		size_t bytes;
	} all[] = {
		{ &p->rings, p->bpf->maps.rings,
		  (size_t)RING_SLOTS * p->shards * (RING_BYTES + RING_SLACK_BYTES) },
		{ &p->ends, p->bpf->maps.ends, sizeof(struct ring_ends) * RING_SLOTS * p->shards },
		{ &p->slots, p->bpf->maps.slots, sizeof(struct ring_slot) * RING_SLOTS },
		{ &p->control, p->bpf->maps.control, sizeof(struct ring_control) },
		{ &p->interest, p->bpf->maps.interest, sizeof(struct interest_entry) * 2 * INTEREST_TYPES },
		{ &p->sets, p->bpf->maps.interest_sets_of, 2 * SETS_STRIDE },
		{ &p->enrolled, p->bpf->maps.enrolled, sizeof(uint64_t) * ENROLMENT_WORDS },
		{ &p->holders, p->bpf->maps.holders, sizeof(uint32_t) * ENROLMENT_ACCOUNTS },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof all / sizeof *all && !rc; i++)
		rc = map_in(all[i].m, all[i].map, all[i].bytes);
	p->enrolment = (struct enrolment){ .words = p->enrolled.at, .holders = p->holders.at, .own = NULL };
	return rc;
}

static void maps_out(struct prefilter *p)
{
	struct mapping *all[] = { &p->rings,	&p->ends, &p->slots,	&p->control,
				  &p->interest, &p->sets, &p->enrolled, &p->holders };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i]->at)
			munmap(all[i]->at, all[i]->bytes);
}

static int bell_taken(void *ctx, void *data, size_t bytes)
{
	(void)ctx;
	(void)data;
	(void)bytes;
	return 0;
}

static int start(struct prefilter *p)
{
	int rc = maps_in(p);

	if (!rc)
		rc = bpf_prog_attach(bpf_program__fd(p->bpf->progs.verdict),
				     bpf_map__fd(p->bpf->maps.sockets), BPF_SK_SKB_VERDICT, 0);
	if (!rc) {
		p->bells = ring_buffer__new(bpf_map__fd(p->bpf->maps.bell), bell_taken, NULL, NULL);
		rc = p->bells ? 0 : -errno;
	}
	return rc ? rc
		  : grace_start(&p->grace, bpf_map__fd(p->bpf->maps.grace),
				bpf_map__fd(p->bpf->maps.grace_one));
}

int prefilter_open(struct prefilter **out, const struct prefilter_options *options, char *why,
		   size_t why_bytes)
{
	const char *missing = privileges_missing();
	struct prefilter *p = missing ? NULL : calloc(1, sizeof *p);

	*out = NULL;
	if (!p) {
		snprintf(why, why_bytes, "%s%s", missing ? missing : strerror(ENOMEM),
			 missing ? " is missing" : "");
		return missing ? -EPERM : -ENOMEM;
	}
	p->shards = options && options->shards ? options->shards : 1;
	assert(p->shards <= RING_SHARDS_MAX && (p->shards & (p->shards - 1)) == 0);
	int rc = load(p, why, why_bytes);
	if (!rc) {
		rc = start(p);
		if (rc)
			failure(rc, "", why, why_bytes);
	}
	if (rc) {
		prefilter_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

void prefilter_close(struct prefilter *p)
{
	if (!p)
		return;
	grace_stop(&p->grace);
	ring_buffer__free(p->bells);
	maps_out(p);
	prefilter_bpf__destroy(p->bpf);
	free(p);
}

int prefilter_privileges_drop(void)
{
	return privileges_keep_few();
}

/* ---- slots ---- */

static struct ring_slot *slot_memory(const struct prefilter *p, uint32_t slot)
{
	return (struct ring_slot *)p->slots.at + slot;
}

static int slot_find(struct prefilter *p)
{
	int none = -ENOSPC;

	for (uint32_t i = 0; i < RING_SLOTS; i++) {
		struct slot *s = &p->slot[i];
		if (s->state == SLOT_RELEASED && grace_over(&p->grace, s->grace))
			s->state = SLOT_FREE;
		if (s->state == SLOT_FREE)
			return (int)i;
		if (s->state == SLOT_RELEASED)
			none = -EAGAIN;
	}
	return none;
}

static void slot_clear(struct prefilter *p, uint32_t slot, uint64_t expected, struct ring_reader *reader)
{
	struct ring_slot *memory = slot_memory(p, slot);

	memset(memory, 0, sizeof *memory);
	memory->expected = expected;
	for (uint32_t i = 0; i < p->shards; i++) {
		size_t at = (size_t)i * RING_SLOTS + slot;
		struct ring_ends *ends = (struct ring_ends *)p->ends.at + at;
		memset(ends, 0, sizeof *ends);
		reader[i] = (struct ring_reader){
			.slot = memory,
			.ends = ends,
			.data = (const char *)p->rings.at + at * (RING_BYTES + RING_SLACK_BYTES),
		};
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* -errno of the kernel, 0 when the socket is in and nothing was queued behind HELLO. */
static int socket_join(struct prefilter *p, int fd, uint32_t slot, uint64_t cookie)
{
	uint64_t value = (uint64_t)fd;
	struct pollfd queued = { .fd = fd, .events = POLLIN | POLLRDHUP };
	int rc = bpf_map_update_elem(bpf_map__fd(p->bpf->maps.slot_of), &cookie, &slot, BPF_NOEXIST);

	if (rc)
		return rc;
	rc = bpf_map_update_elem(bpf_map__fd(p->bpf->maps.sockets), &cookie, &value, BPF_NOEXIST);
	if (rc) {
		bpf_map_delete_elem(bpf_map__fd(p->bpf->maps.slot_of), &cookie);
		return rc;
	}
	/* SIOCINQ of a socket in a sockmap counts another queue; poll looks at TCP's, and takes no lock. An
	   end of the stream looks readable too: whoever watches for it will see it. */
	if (poll(&queued, 1, 0) <= 0 || (queued.revents & (POLLRDHUP | POLLHUP | POLLERR)))
		return 0;
	return -EPROTO;
}

int prefilter_slot_take(struct prefilter *p, int fd, uint64_t expected, struct ring_reader *reader)
{
	uint64_t cookie;
	socklen_t bytes = sizeof cookie;
	int slot = slot_find(p);

	if (slot < 0) {
		p->before.refused += slot == -ENOSPC;
		return slot;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &bytes))
		return -errno;
	slot_clear(p, (uint32_t)slot, expected, reader);
	int rc = socket_join(p, fd, (uint32_t)slot, cookie);
	if (rc && rc != -EPROTO) {
		p->before.refused += rc != -EOPNOTSUPP; /* that one is not connected any more */
		return rc;
	}
	p->slot[slot] = (struct slot){ .state = SLOT_TAKEN, .cookie = cookie };
	p->before.joined++;
	if (rc) /* it is in, and can only be closed */
		prefilter_slot_release(p, (uint32_t)slot);
	return rc ? rc : slot;
}

static void slot_count(const struct prefilter *p, uint32_t slot, struct prefilter_counts *to)
{
	const struct ring_slot *memory = slot_memory(p, slot);

	to->runs += memory->runs;
	to->bells += memory->bells;
	to->overlapped += memory->overlapped;
	if (memory->skb_max > to->skb_max)
		to->skb_max = memory->skb_max;
}

void prefilter_slot_release(struct prefilter *p, uint32_t slot)
{
	struct slot *s = &p->slot[slot];

	assert(s->state == SLOT_TAKEN);
	bpf_map_delete_elem(bpf_map__fd(p->bpf->maps.slot_of), &s->cookie);
	slot_count(p, slot, &p->before);
	s->grace = grace_begin(&p->grace);
	s->state = SLOT_RELEASED;
}

const struct ring_slot *prefilter_slot(const struct prefilter *p, uint32_t slot)
{
	return slot_memory(p, slot);
}

/* ---- tables ---- */

bool prefilter_table_free(struct prefilter *p)
{
	return grace_over(&p->grace, p->table_grace);
}

void prefilter_table_set(struct prefilter *p, const struct interest_table *table)
{
	struct ring_control *control = p->control.at;
	uint32_t next = p->generation + 1;

	assert(prefilter_table_free(p));
	memcpy((struct interest_entry *)p->interest.at + (size_t)(next & 1) * INTEREST_TYPES, table->type,
	       sizeof table->type);
	memcpy((char *)p->sets.at + (size_t)(next & 1) * SETS_STRIDE, &table->sets, sizeof table->sets);
	__atomic_store_n(&control->generation, next, __ATOMIC_SEQ_CST);
	p->generation = next;
	p->table_grace = grace_begin(&p->grace);
}

uint32_t prefilter_generation(const struct prefilter *p)
{
	return p->generation;
}

uint64_t prefilter_grace_begin(struct prefilter *p)
{
	return grace_begin(&p->grace);
}

bool prefilter_grace_over(const struct prefilter *p, uint64_t number)
{
	return grace_over(&p->grace, number);
}

struct enrolment *prefilter_enrolment(struct prefilter *p)
{
	return &p->enrolment;
}

/* ---- sleep ---- */

void prefilter_sleep(struct prefilter *p)
{
	struct ring_control *control = p->control.at;
	uint32_t next = ++p->sleeps;

	if (next == 0)
		next = p->sleeps = 1;
	__atomic_store_n(&control->asleep, next, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void prefilter_wake(struct prefilter *p)
{
	struct ring_control *control = p->control.at;

	__atomic_store_n(&control->asleep, 0, __ATOMIC_RELAXED);
}

int prefilter_bell_fd(const struct prefilter *p)
{
	return bpf_map__fd(p->bpf->maps.bell);
}

void prefilter_bells_take(struct prefilter *p)
{
	ring_buffer__consume(p->bells);
}

void prefilter_counts(const struct prefilter *p, struct prefilter_counts *out)
{
	*out = p->before;
	out->generation = p->generation;
	out->slots = out->slots_waiting = 0;
	for (uint32_t i = 0; i < RING_SLOTS; i++) {
		if (p->slot[i].state == SLOT_TAKEN) {
			out->slots++;
			slot_count(p, i, out);
		} else if (p->slot[i].state == SLOT_RELEASED && !grace_over(&p->grace, p->slot[i].grace))
			out->slots_waiting++;
	}
}
