/*
 * start.c: from a data directory to a running engine: last checkpoint, journal behind it, a base when one is
 * due, START with the next term, the catalogue, the listening socket. Nothing is accepted before all of it is
 * durable.
 *
 * What can go wrong is said in e->why: a directory in use, corruption with its place, a wrong catalogue with
 * all its problems on stderr, an address that is not loopback.
 */
#include "live.h"

#include "base_copy.h"

#include <arpa/inet.h>
#include <base/log.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000;

__attribute__((format(printf, 3, 4))) static int fail(struct engine *e, int rc, const char *format, ...)
{
	va_list args;

	if (!e->why[0]) {
		va_start(args, format);
		vsnprintf(e->why, sizeof e->why, format, args);
		va_end(args);
	}
	return rc;
}

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

static int checkpoint_wait(struct engine *e)
{
	int error = 0;

	while (store_checkpoint_running(e->core.store)) {
		store_tick(e->core.store);
		if (core_checkpoint_poll(&e->core, &error) && error)
			return fail(e, error, "checkpoint: %s", strerror(-error));
		usleep(50);
	}
	return 0;
}

int live_checkpoint_now(struct engine *e)
{
	int rc = checkpoint_wait(e);

	if (rc)
		return rc;
	if (!core_checkpoint_begin(&e->core))
		return fail(e, -EBUSY, "checkpoint: could not begin");
	core_checkpoint_step(&e->core, UINT32_MAX);
	store_checkpoint_commit(e->core.store);
	return checkpoint_wait(e);
}

/* A long recovery makes checkpoints too, when a pool is full: what is behind is durable anyway. */
static int recovery_room(void *ctx, const struct journal_batch_header *header)
{
	struct engine *e = ctx;

	(void)header;
	return core_has_room(&e->core, JOURNAL_BATCH_ENTRIES_MAX) ? 0 : live_checkpoint_now(e);
}

static int recover(struct engine *e)
{
	struct core *core = &e->core;
	char dir[4096];
	struct journal_tail tail = { 0 };

	snprintf(dir, sizeof dir, "%s/journal", e->options.data);
	struct journal_options jo = { .dir = dir,
				      .segment_bytes = e->options.journal_segment_bytes,
				      .sync = e->options.durable,
				      .user_data = RING_JOURNAL,
				      .from_position = core->next_position };
	int rc = journal_open(&e->journal, &jo, &tail, e->why, sizeof e->why);
	if (rc)
		return fail(e, rc, "journal: %s", strerror(-rc));
	if (tail.cut_batches || tail.cut_bytes)
		log_warning("journal: cut a torn tail of %llu bytes, never acknowledged",
			    (unsigned long long)tail.cut_bytes);
	if (core->next_position > tail.position || core->batch > tail.batches)
		return fail(e, -EBADMSG,
			    "the store is at position %llu, batch %llu, the journal ends at %llu, %llu: it "
			    "lost its end",
			    (unsigned long long)core->next_position, (unsigned long long)core->batch,
			    (unsigned long long)tail.position, (unsigned long long)tail.batches);
	struct core_replay replay = { .verify = true, .each_batch = recovery_room, .ctx = e };
	rc = core_replay(core, dir, &replay);
	if (rc)
		return fail(e, rc, "recovery: %s", core->why[0] ? core->why : strerror(-rc));
	if (replay.batches)
		log_info("recovered %llu entries in %llu batches behind the last checkpoint",
			 (unsigned long long)replay.entries, (unsigned long long)replay.batches);
	core->batch = tail.batches;
	e->sealed = e->durable = tail.batches;
	core->term = tail.term > core->term ? tail.term : core->term;
	outbox_recovered(&core->outbox);
	core->outbox.recovering = false;
	if (core->catalogue)
		history_limit(core->history, core->catalogue->windows_bytes);
	return 0;
}

static int clock_accept(struct engine *e)
{
	if (e->options.event_clock || e->options.accept_clock || wall_ns() >= e->core.now - 60 * SECOND)
		return 0;
	return fail(
		e, -ETIME,
		"the wall clock is %lld s behind the journal's last stamp; --accept-clock if that is right",
		(long long)((e->core.now - wall_ns()) / SECOND));
}

/* A base is due at the first start, after an import (its rows are in no journal) and after an upgrade. */
static int base_due(struct engine *e, bool *due)
{
	uint32_t bytes = 0;
	uint64_t position;
	char path[4200];
	int rc = base_newest(e->options.data, &position, path, sizeof path);

	bool upgraded = e->core.loaded_version && e->core.loaded_version != ENGINE_SEMANTIC_VERSION;
	*due = rc == -ENOENT || upgraded ||
	       store_value(e->core.store, RECORD_META, "imported", 8, &bytes) != NULL;
	if (rc == 0)
		e->base_position = position;
	return rc == -ENOENT ? 0 : rc;
}

static int base_take(struct engine *e, bool *taken)
{
	int rc = base_due(e, taken);

	if (rc || !*taken)
		return rc;
	rc = live_checkpoint_now(e);
	if (!rc)
		rc = base_make(&e->core, e->options.data, e->core.next_position);
	struct records *r = rc ? NULL : store_checkpoint_begin(e->core.store);
	if (r) { /* only now: a crash before this makes the base again */
		records_remove(r, RECORD_META, "imported", 8);
		store_checkpoint_commit(e->core.store);
		rc = checkpoint_wait(e);
	}
	e->base_position = e->core.next_position;
	return rc ? fail(e, rc, "base: %s", strerror(-rc)) : 0;
}

/* Writes one entry as a batch of its own and waits until it is durable: start-up only. */
static int entry_write(struct engine *e, enum journal_entry_kind kind, const void *a, uint32_t a_bytes,
		       const void *b, uint32_t b_bytes)
{
	struct core *core = &e->core;
	struct batch_entry *entry = &core->entries[0];
	struct io_uring_cqe *cqe;
	int rc = -EAGAIN;

	for (unsigned i = 0; i < 30000 && rc == -EAGAIN; i++) { /* a segment may still be in preparation */
		rc = journal_begin(e->journal, core->term, live_now(e));
		if (rc == -EAGAIN)
			usleep(1000);
	}
	if (rc)
		return fail(e, rc, "journal: %s", strerror(-rc));
	*entry = (struct batch_entry){ .bytes = a_bytes + b_bytes, .kind = (uint8_t)kind, .now = core->now };
	entry->data = journal_append_two(e->journal, kind, 0, a, a_bytes, b, b_bytes, &entry->position);
	struct journal_seal seal = { .outputs = core_outputs(core),
				     .interest_version = core->interest_version };
	if (core->catalogue)
		seal.catalogue = core->catalogue->hash;
	uint64_t number = journal_seal(e->journal, &seal, &e->ring.io);
	rc = core_apply(core, entry, 1);
	core->batch = number;
	journal_release(e->journal, number);
	while (!rc && journal_durable(e->journal) < number) {
		rc = io_uring_submit(&e->ring.io) < 0 ? -EIO : io_uring_wait_cqe(&e->ring.io, &cqe);
		if (!rc && ring_owner_of(cqe->user_data) == RING_JOURNAL)
			rc = journal_complete(e->journal, cqe, &e->ring.io);
		if (!rc)
			io_uring_cqe_seen(&e->ring.io, cqe);
	}
	e->sealed = e->durable = number;
	return rc ? fail(e, rc, "start: %s", core->why[0] ? core->why : strerror(-rc)) : 0;
}

static int start_write(struct engine *e, bool base_taken)
{
	struct core *core = &e->core;
	struct journal_base base = { .position = e->base_position };

	core->term++;
	core->event_clock = e->options.event_clock;
	struct journal_start start = { .term = core->term,
				       .semantic_version = ENGINE_SEMANTIC_VERSION,
				       .event_clock = core->event_clock };
	int rc = entry_write(e, ENTRY_START, &start, sizeof start, NULL, 0);
	if (!rc && base_taken)
		rc = entry_write(e, ENTRY_BASE, &base, sizeof base, NULL, 0);
	return rc;
}

static int catalogue_activate(struct engine *e)
{
	struct core *core = &e->core;
	struct problems problems;
	struct catalogue *c = NULL;

	if (!e->options.catalogue)
		return core->catalogue
			       ? 0
			       : fail(e, -EINVAL, "--catalogue DIR is needed: none was ever activated here");
	problems_init(&problems);
	int rc = catalogue_compile_dir(e->options.catalogue, &c, &problems);
	if (rc) {
		problems_print(&problems, stderr);
		fail(e, rc, "the catalogue %s has %zu problem(s), listed above", e->options.catalogue,
		     problems.count);
	}
	problems_deinit(&problems);
	if (rc)
		return rc;
	if (core->catalogue && core->catalogue->hash.low == c->hash.low &&
	    core->catalogue->hash.high == c->hash.high) {
		catalogue_free(c);
		return 0;
	}
	rc = core_can_activate(core, c, core->why, sizeof core->why);
	if (rc) {
		catalogue_free(c);
		return fail(e, rc, "the catalogue cannot be activated: %s", core->why);
	}
	struct journal_activate head = { .catalogue = c->hash,
					 .interest_version = core->interest_version + 1,
					 .starts_empty = core->interest_version == 0 };
	core->prepared = c;
	rc = entry_write(e, ENTRY_ACTIVATE, &head, sizeof head, c->blob, (uint32_t)c->blob_bytes);
	catalogue_free(core->retired);
	core->retired = NULL;
	return rc;
}

/* "127.0.0.1:7400" -> address and port; other than loopback only when insisted on, until access control is
 * built. */
static int address_parse(struct engine *e, char address[64], uint16_t *port)
{
	const char *colon = strrchr(e->options.listen, ':');
	struct in_addr in;
	char *end;

	if (!colon || (size_t)(colon - e->options.listen) >= 64)
		return fail(e, -EINVAL, "--listen %s: ADDRESS:PORT expected", e->options.listen);
	memcpy(address, e->options.listen, (size_t)(colon - e->options.listen));
	address[colon - e->options.listen] = 0;
	unsigned long number = strtoul(colon + 1, &end, 10);
	if (*end || end == colon + 1 || number > 65535 || inet_pton(AF_INET, address, &in) != 1)
		return fail(e, -EINVAL, "--listen %s: an IPv4 address and a port expected",
			    e->options.listen);
	*port = (uint16_t)number;
	if ((ntohl(in.s_addr) >> 24) != 127 && !e->options.insecure_listen)
		return fail(e, -EPERM,
			    "--listen %s: only loopback, until peers prove who they are (--insecure-listen "
			    "in a test's own network)",
			    e->options.listen);
	return 0;
}

/* CPUs: the engine's own, and for the disk's workers another one if there is any (KERNEL.md 5). */
static void cpus_set(struct engine *e)
{
	cpu_set_t set, own;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof set, &set);
	e->cpus = CPU_COUNT(&set);
	if (e->options.cpu >= 0) {
		CPU_ZERO(&own);
		CPU_SET(e->options.cpu, &own);
		if (sched_setaffinity(0, sizeof own, &own))
			log_warning("--cpu %d: %s", e->options.cpu, strerror(errno));
	}
	for (int cpu = CPU_SETSIZE - 1; e->options.cpu >= 0 && cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &set) || cpu == e->options.cpu)
			continue;
		int rc = ring_iowq_cpu(&e->ring, cpu);
		if (rc)
			log_warning("io-wq workers stay where they are: %s", strerror(-rc));
		break;
	}
}

static int hook_channel_slot(void *ctx, const char *name, uint32_t bytes)
{
	const struct outbox *o = &((struct engine *)ctx)->core.outbox;

	for (uint32_t i = 0; i < o->slot_count; i++)
		if (strlen(o->slot_name[i]) == bytes && memcmp(o->slot_name[i], name, bytes) == 0)
			return (int)i;
	return -1;
}

static uint64_t hook_gateway_up(void *ctx, uint16_t peer, struct conn *conn, const uint8_t *slots,
				uint32_t slot_count, uint64_t old_session, uint64_t accepted,
				struct journal_accepted *runs, uint32_t *run_count)
{
	return deliver_gateway_up(&((struct engine *)ctx)->deliver, peer, conn, slots, slot_count,
				  old_session, accepted, runs, run_count);
}

static void hook_gateway_down(void *ctx, uint16_t peer)
{
	deliver_gateway_down(&((struct engine *)ctx)->deliver, peer);
}

static int hook_gateway_ack(void *ctx, uint16_t peer, uint64_t sequence, struct journal_accepted *runs,
			    uint32_t runs_max)
{
	return deliver_gateway_ack(&((struct engine *)ctx)->deliver, peer, sequence, runs, runs_max);
}

/* The outbox's everyday memory is pinned once, so that zero-copy sends need not do it each time. */
static void outbox_register(struct engine *e)
{
	struct outbox *o = &e->core.outbox;
	int rc = e->options.zero_copy == ZERO_COPY_OFF
			 ? -ENODEV
			 : ring_register_memory(&e->ring, o->bodies.base, o->memory_bytes);

	if (rc == 0) {
		e->conns.fixed = o->bodies.base;
		e->conns.fixed_bytes = o->memory_bytes;
	} else if (e->options.zero_copy == ZERO_COPY_ON)
		log_warning("the outbox is not registered with the ring: %s", strerror(-rc));
}

static int listen_start(struct engine *e, const char *address, uint16_t port)
{
	struct ingest_hooks hooks = { .ctx = e,
				      .gateway_up = hook_gateway_up,
				      .gateway_down = hook_gateway_down,
				      .gateway_ack = hook_gateway_ack,
				      .channel_slot = hook_channel_slot };
	int rc = conns_init(&e->conns, &e->ring, address, port);

	if (rc)
		return fail(e, rc, "--listen %s: %s", e->options.listen, strerror(-rc));
	outbox_register(e);
	rc = deliver_init(&e->deliver, &e->conns, &e->core.outbox, e->options.zero_copy);
	if (rc)
		return fail(e, rc, "memory: %s", strerror(-rc));
	ingest_init(&e->ingest, &e->conns, e->journal, &hooks);
	live_state_set(e);
	return 0;
}

static void defaults_set(struct engine *e, const struct engine_options *options)
{
	memset(e, 0, sizeof *e);
	e->options = *options;
	e->wake_fd = -1;
	if (!e->options.batch_max || e->options.batch_max > JOURNAL_BATCH_ENTRIES_MAX)
		e->options.batch_max = JOURNAL_BATCH_ENTRIES_MAX;
	if (!e->options.checkpoint_seconds)
		e->options.checkpoint_seconds = 30;
	e->started_at = wall_ns();
	live_clock_set(e);
}

static int rings_start(struct engine *e)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* root only; sends then stay unregistered */
	int rc = ring_init(&e->ring, 4096, CONN_BUFFERS, CONN_BUFFER_BYTES);
	if (rc)
		return fail(e, rc, "io_uring: %s (kernel 6.1 or later, and allowed, is needed)",
			    strerror(-rc));
	e->wake_fd = eventfd(0, EFD_CLOEXEC);
	return e->wake_fd < 0 ? fail(e, -errno, "eventfd: %s", strerror(errno)) : 0;
}

/* Before the engine's thread has a CPU of its own, which a thread of it would inherit. */
static int growing_touch(struct engine *e)
{
	struct history_regions growing;

	history_growing(e->core.history, &growing);
	ahead_add(&e->ahead, growing.cells, 1);
	ahead_add(&e->ahead, growing.indexes[0], 4);
	ahead_add(&e->ahead, growing.indexes[1], 4);
	int rc = ahead_start(&e->ahead);
	return rc ? fail(e, rc, "a thread: %s", strerror(-rc)) : 0;
}

int engine_start(struct engine *e, const struct engine_options *options)
{
	bool base_taken = false;
	char address[64];
	uint16_t port = 0;

	defaults_set(e, options);
	int rc = address_parse(e, address, &port);
	if (rc)
		return rc;
	if (mkdir(options->data, 0700) && errno != EEXIST)
		return fail(e, -errno, "--data %s: %s", options->data, strerror(errno));
	struct core_options co = { .data = options->data, .thread = true };
	rc = filter_open(e);
	if (rc)
		return rc;
	rc = core_open(&e->core, &co);
	if (rc)
		return fail(e, rc, "%s: %s", options->data, e->core.why[0] ? e->core.why : strerror(-rc));
	rc = rings_start(e);
	if (!rc)
		rc = recover(e);
	if (!rc)
		rc = clock_accept(e);
	if (!rc)
		rc = base_take(e, &base_taken);
	if (!rc)
		rc = start_write(e, base_taken);
	if (!rc)
		rc = catalogue_activate(e);
	if (rc)
		return rc;
	rc = growing_touch(e);
	if (rc)
		return rc;
	cpus_set(e);
	live_hooks_set(e);
	rc = listen_start(e, address, port);
	return rc ? rc : filter_start(e);
}

uint16_t engine_port(const struct engine *e)
{
	return conns_port(&e->conns);
}

void engine_close(struct engine *e)
{
	if (e->conns.ring) {
		ring_deinit(&e->ring); /* first: the kernel lets go of the buffers */
		conns_deinit(&e->conns);
	}
	filter_close(e); /* behind the sockets that it feeds */
	ahead_stop(&e->ahead);
	if (e->journal)
		journal_close(e->journal);
	deliver_deinit(&e->deliver);
	core_close(&e->core);
	if (e->wake_fd >= 0)
		close(e->wake_fd);
}
