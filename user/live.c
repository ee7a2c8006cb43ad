/*
 * live.c: the engine's loop around engine_tick(): completions in, durable batches out, checkpoints, requests
 * of the control thread, and waiting. One thread; memory is taken by engine_start.
 *
 * Waiting: while a batch is in flight the engine does not spin on a machine with two CPUs or fewer, since the
 * disk's completion needs the CPU (KERNEL.md 5). What can go wrong ends the loop with a reason: a failed
 * write or sync, a full disk, a step of the wall clock, an outbox beyond its overshoot. Nothing is
 * acknowledged after that.
 */
#include "live.h"

#include <arpa/inet.h>
#include <base/log.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000;
static const int64_t IDLE_CLOSE_NS = 1000000, IDLE_WAIT_NS = 50000000, SPIN_NS = 50000;
static const int64_t CLOCK_BACK_NS_MAX = INT64_C(60) * 1000000000,
		     CLOCK_AHEAD_NS_MAX = INT64_C(600) * 1000000000;

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

static int fail(struct engine *e, int rc, const char *what)
{
	if (!e->why[0])
		snprintf(e->why, sizeof e->why, "%s: %s", what, e->core.why[0] ? e->core.why : strerror(-rc));
	return rc;
}

/* ---- what engine_tick asks ---- */

int64_t live_now(struct engine *e)
{
	if (!e->core.event_clock) {
		int64_t wall = clock_ns(CLOCK_REALTIME);
		int64_t step = (wall - e->wall_ns) - (clock_ns(CLOCK_MONOTONIC) - e->wall_mono_ns);
		if (wall > e->core.now &&
		    step < CLOCK_AHEAD_NS_MAX) /* clock_check stops the engine over more */
			e->core.now = wall;
	}
	return e->core.now;
}

/* The wall clock against the monotonic one, a few times a second: a step is not ours to decide about. */
static int clock_check(struct engine *e, int64_t mono)
{
	int64_t wall = clock_ns(CLOCK_REALTIME), step = (wall - e->wall_ns) - (mono - e->wall_mono_ns);

	e->wall_ns = wall;
	e->wall_mono_ns = mono;
	if (e->core.event_clock || (step > -CLOCK_BACK_NS_MAX && step < CLOCK_AHEAD_NS_MAX))
		return 0;
	snprintf(e->why, sizeof e->why,
		 "the wall clock stepped by %lld s; start again with --accept-clock if it is right now",
		 (long long)(step / SECOND));
	return -ETIME;
}

bool live_closing_due(const struct engine *e, int64_t now_ns)
{
	return e->last_had_content && journal_in_flight(e->journal) == 0 &&
	       now_ns - e->sealed_ns > IDLE_CLOSE_NS;
}

/* An activation that the control thread compiled: the store must accept its layout before it is journalled.
 */
static uint32_t activation_take(struct engine *e)
{
	struct core *core = &e->core;
	struct catalogue *c = e->mail.catalogue;
	struct journal_activate head = { .catalogue = c->hash,
					 .interest_version = core->interest_version + 1,
					 .starts_empty = core->interest_version == 0 };

	core->why[0] = 0;
	int rc = core_can_activate(core, c, core->why, sizeof core->why);
	if (!rc && !journal_fits(e->journal, sizeof head + c->blob_bytes))
		rc = -EMSGSIZE;
	if (rc) {
		snprintf(e->mail.why, sizeof e->mail.why, "%s", core->why[0] ? core->why : strerror(-rc));
		core->why[0] = 0;
		e->mail.result = rc;
		atomic_store(&e->mail.kind, MAIL_NONE);
		return 0;
	}
	core->prepared = c;
	struct batch_entry *entry = &core->entries[0];
	*entry = (struct batch_entry){ .bytes = (uint32_t)(sizeof head + c->blob_bytes),
				       .kind = ENTRY_ACTIVATE };
	entry->data = journal_append_two(e->journal, ENTRY_ACTIVATE, 0, &head, sizeof head, c->blob,
					 (uint32_t)c->blob_bytes, &entry->position);
	e->mail.result = 0;
	e->activation_batch = e->sealed + 1;
	return 1;
}

bool live_mail_waits(const struct engine *e)
{
	/* one that is in force and not durable yet has been taken */
	return atomic_load(&e->mail.kind) == MAIL_CATALOGUE && !e->core.retired &&
	       e->core.catalogue != e->mail.catalogue;
}

uint32_t live_mail_take(struct engine *e)
{
	return live_mail_waits(e) && filter_reload_ready(e) ? activation_take(e) : 0;
}

void live_room_missing(struct engine *e, int64_t mono)
{
	if (e->core.batch != e->checkpoint_position) /* one per movement, no storm */
		e->checkpoint_due = true;
	if (mono - e->room_said_ns < 10 * SECOND)
		return;
	e->room_said_ns = mono;
	if (!history_has_room(e->core.history, BATCH_ENTRIES_MAX))
		log_failure("windows: bank.memory.windows is used up, sources are held back: raise it and "
			    "reload");
	else
		log_info("sources wait for a checkpoint: %s is full",
			 outbox_has_room(&e->core.outbox, BATCH_ENTRIES_MAX) ? "the overlay of changed rows"
									     : "the outbox's memory");
}

/* ---- requests of the control thread ---- */

static void status_fill(struct engine *e, struct engine_status *s)
{
	const struct core *core = &e->core;
	const struct conns *c = &e->conns;

	s->ledger = *core->ledger;
	s->rule_count = core->catalogue ? core->catalogue->rule_count : 0;
	memcpy(s->rules, core->by_rule, s->rule_count * sizeof *s->rules);
	s->peers = core->peers;
	memcpy(s->live, e->ingest.live, sizeof s->live);
	memcpy(s->queues, core->outbox.queue, sizeof s->queues);
	memcpy(s->slot_name, core->outbox.slot_name, sizeof s->slot_name);
	s->slot_count = core->outbox.slot_count;
	memcpy(s->by_type, core->by_type, sizeof s->by_type);
	memcpy(s->refusals, e->ingest.refusals, sizeof s->refusals);
	history_sizes(core->history, &s->history);
	store_sizes(core->store, &s->store);
	s->catalogue = core->catalogue ? core->catalogue->hash : (struct hash128){ 0 };
	s->outputs = core_outputs(core);
	s->term = core->term;
	s->batches = e->sealed;
	s->durable = e->durable;
	s->positions = core->next_position - 1;
	s->checkpoints_failed = e->checkpoints_failed;
	s->base_position = e->base_position;
	s->now = core->now;
	s->started_at = e->started_at;
	s->bytes_in = c->bytes_in;
	s->bytes_out = c->bytes_out;
	s->zero_copy_sends = c->zero_copy_sends;
	s->zero_copy_copied = c->zero_copy_copied;
	s->plain_sends = c->plain_sends;
	s->messages_sent = e->deliver.messages_sent;
	s->resent = e->deliver.resent;
	s->connections = c->open;
	s->connections_refused = c->refused;
	s->outbox_bytes =
		(uint64_t)(core->outbox.body_count - core->outbox.free_body_count) * OUTBOX_CHUNK_BYTES;
	s->outbox_spilled = core->outbox.spilled_chunks;
	s->ticks = e->ticks;
	s->entries = e->entries;
	s->sleeps = e->sleeps;
	s->tick = e->tick_ns;
	s->durable_wait = e->durable_ns;
	s->filter = e->filter.kernel ? "kernel" : e->ingest.state.filter;
	s->prefilter_cut = e->filter.cut;
	memcpy(s->prefilter_why, e->filter.why, sizeof s->prefilter_why);
	memset(&s->prefilter, 0, sizeof s->prefilter);
	if (e->filter.kernel)
		prefilter_counts(e->filter.kernel, &s->prefilter);
	s->durability = e->ingest.state.durability;
	s->clock = core->event_clock ? "event" : "wall";
	s->direct = journal_direct(e->journal);
}

static void mail_answer(struct engine *e)
{
	struct core *core = &e->core;
	int kind = atomic_load(&e->mail.kind);

	/* the old catalogue goes to the control thread, which frees it */
	if (core->retired && !atomic_load(&e->mail.retired)) {
		atomic_store(&e->mail.retired, core->retired);
		core->retired = NULL;
	}
	if (kind == MAIL_STATUS) {
		status_fill(e, e->mail.status);
		atomic_store(&e->mail.kind, MAIL_NONE);
	} else if (kind == MAIL_CHECKPOINT) {
		e->checkpoint_due = true;
		atomic_store(&e->mail.kind, MAIL_NONE);
	} else if (kind == MAIL_CATALOGUE && core->catalogue == e->mail.catalogue &&
		   e->durable >= e->activation_batch) {
		ingest_channels_changed(&e->ingest);
		atomic_store(&e->mail.kind, MAIL_NONE);
	}
}

void engine_wake(struct engine *e)
{
	uint64_t one = 1;
	ssize_t n = write(e->wake_fd, &one, sizeof one);
	(void)n; /* full: it is awake anyway */
}

void engine_stop(struct engine *e)
{
	atomic_store(&e->stop, true);
	engine_wake(e);
}

static void wake_arm(struct engine *e)
{
	if (e->wake_armed)
		return;
	struct io_uring_sqe *sqe = ring_sqe(&e->ring);
	io_uring_prep_read(sqe, e->wake_fd, &e->wake_value, sizeof e->wake_value, 0);
	sqe->user_data = ring_tag(RING_WAKE, 0);
	e->wake_armed = true;
}

/* ---- checkpoints ---- */

static int checkpoint_step(struct engine *e, int64_t mono)
{
	struct core *core = &e->core;
	int error = 0;

	bool filled = core->cut == CUT_NONE || core_checkpoint_step(core, e->last_entries);
	if (e->checkpoint_batch && filled && e->durable >= e->checkpoint_batch) {
		store_checkpoint_commit(core->store);
		e->checkpoint_batch = 0;
	}
	store_tick(core->store);
	if (core_checkpoint_poll(core, &error) && error) {
		e->checkpoints_failed++;
		return fail(e, error, "checkpoint: the store could not be written");
	}
	bool moved = core->batch != e->checkpoint_position;
	if (mono - e->checkpoint_at_ns > (int64_t)e->options.checkpoint_seconds * SECOND && moved)
		e->checkpoint_due = true;
	if (e->checkpoint_due && !store_checkpoint_running(core->store) && core_checkpoint_begin(core)) {
		e->checkpoint_due = false;
		e->checkpoint_at_ns = mono;
		e->checkpoint_batch = e->checkpoint_position = core->batch;
	}
	return 0;
}

/* Ends with everything durable and in the store. */
static int checkpoint_last(struct engine *e)
{
	int rc = 0;

	e->checkpoint_due = true;
	for (unsigned i = 0; i < 20000 && !rc; i++) {
		rc = checkpoint_step(e, clock_ns(CLOCK_MONOTONIC));
		if (!e->checkpoint_due && !e->checkpoint_batch && !store_checkpoint_running(e->core.store))
			break;
		usleep(500);
	}
	return rc;
}

/* ---- completions ---- */

static int completions_take(struct engine *e, int64_t mono)
{
	struct io_uring_cqe *cqe;
	unsigned head, n;
	int rc = 0;

	do {
		n = 0;
		io_uring_for_each_cqe(&e->ring.io, head, cqe)
		{
			enum ring_owner owner = ring_owner_of(cqe->user_data);
			if (owner == RING_JOURNAL) {
				int failed = journal_complete(e->journal, cqe, &e->ring.io);
				rc = rc ? rc : failed;
			} else if (owner == RING_WAKE)
				e->wake_armed = false;
			else if (owner == RING_BELL)
				filter_bell_take(e, cqe->flags & IORING_CQE_F_MORE);
			else if (owner != RING_NONE && owner != RING_CANCEL)
				conns_complete(&e->conns, cqe, mono);
			n++;
		}
		io_uring_cq_advance(&e->ring.io, n);
	} while (n && !rc && io_uring_get_events(&e->ring.io) >= 0 && io_uring_cq_ready(&e->ring.io));
	return rc ? fail(e, rc, "journal: a write or sync failed, nothing more is acknowledged") : 0;
}

/* Batches that became durable: their messages may leave, their sources hear of it. */
static void durable_take(struct engine *e, int64_t mono)
{
	uint64_t durable = journal_durable(e->journal);

	for (; e->durable < durable; e->durable++) {
		struct engine_flight *f = &e->flight[(e->durable + 1) % ENGINE_FLIGHTS];
		if (f->number != e->durable + 1)
			continue; /* of an earlier life, at start */
		for (uint32_t q = 0; q < QUEUES_MAX; q++)
			outbox_release(&e->core.outbox, q, f->ordinals[q]);
		ingest_acknowledge(&e->ingest, &f->ingest);
		histogram_add(&e->durable_ns, mono - f->sealed_ns);
	}
	deliver_pump(&e->deliver); /* before the ACKs: a gateway's own must not delay its messages */
	ingest_acks_send(&e->ingest);
}

static void verdict_send(void *ctx, const struct event *event, const char *frame, uint32_t bytes)
{
	struct engine *e = ctx;

	ingest_verdict(&e->ingest, event->source, frame, bytes, FRAME_NOT_DURABLE);
}

void live_state_set(struct engine *e)
{
	const struct core *core = &e->core;
	bool off = e->options.prefilter == PREFILTER_OFF;

	e->ingest.state = (struct ingest_state){
		.peers = &core->peers,
		.interest = off ? NULL : core->catalogue->interest,
		.enrolment = e->filter.enrolment,
		.generation_min = e->filter.generation_min,
		.interest_version = core->interest_version,
		.term = core->term,
		.filter = off ? "off" : "user",
		.durability = e->options.durable ? "sync" : "none",
		.catalogue = core->catalogue->hash,
		.event_clock = core->event_clock,
	};
}

void live_clock_set(struct engine *e)
{
	e->wall_ns = clock_ns(CLOCK_REALTIME);
	e->wall_mono_ns = clock_ns(CLOCK_MONOTONIC);
}

void live_hooks_set(struct engine *e)
{
	e->core.ctx = e;
	e->core.on_verdict = verdict_send;
	live_clock_set(e);
	e->checkpoint_at_ns = clock_ns(CLOCK_MONOTONIC);
}

/* ---- the loop ---- */

static int64_t wait_choose(struct engine *e, bool worked, int64_t idle_since, int64_t mono)
{
	bool in_flight = journal_in_flight(e->journal) > 0;
	bool can_begin = journal_in_flight(e->journal) < JOURNAL_BATCHES_IN_FLIGHT_MAX;

	if (e->filter.step != RELOAD_NONE || e->ingest.join_waits ||
	    e->journal_waits) /* for a grace period of the kernel, or for a segment that is being prepared: no
				 completion tells */
		return IDLE_CLOSE_NS;
	if (worked || e->core.cut != CUT_NONE || (can_begin && ingest_waiting(&e->ingest)))
		return 0;
	if (e->options.spin == SPIN_ALWAYS && !in_flight)
		return 0;
	if (e->options.spin == SPIN_ADAPTIVE && !in_flight && e->cpus > 2 && mono - idle_since < SPIN_NS)
		return 0;
	if (ingest_moved_any(&e->ingest) && !e->last_had_content && !in_flight)
		return SEEN_NS_MAX;
	if (e->last_had_content || in_flight || store_checkpoint_running(e->core.store) || e->checkpoint_due)
		return IDLE_CLOSE_NS;
	return IDLE_WAIT_NS;
}

/* Submits and waits. Before it sleeps the engine says so, and looks once more: the program rings only after.
 */
static int enter(struct engine *e, int64_t wait)
{
	bool can_begin = journal_in_flight(e->journal) < JOURNAL_BATCHES_IN_FLIGHT_MAX;

	if (wait == 0)
		return ring_enter(&e->ring, 0);
	if (filter_sleep(e) && can_begin && !e->journal_waits)
		wait = 0;
	e->sleeps += wait > 0;
	int rc = ring_enter(&e->ring, wait);
	filter_wake(e);
	return rc;
}

/* Waits for the batches in flight, so that what was sealed is acknowledged before a stop. */
static int drain(struct engine *e)
{
	int rc = 0;

	for (unsigned i = 0; i < 5000 && !rc && journal_in_flight(e->journal); i++) {
		rc = ring_enter(&e->ring, IDLE_CLOSE_NS);
		if (!rc)
			rc = completions_take(e, clock_ns(CLOCK_MONOTONIC));
		durable_take(e, clock_ns(CLOCK_MONOTONIC));
	}
	conns_flush(&e->conns);
	return rc ? rc : ring_enter(&e->ring, 0);
}

int engine_run(struct engine *e)
{
	int64_t idle_since = 0, clock_checked = 0;
	int rc = 0;

	while (!atomic_load(&e->stop)) {
		int64_t mono = clock_ns(CLOCK_MONOTONIC);
		rc = completions_take(e, mono);
		if (!rc && mono - clock_checked > SECOND / 4) {
			rc = clock_check(e, mono);
			clock_checked = mono;
			conns_expire(&e->conns, mono);
		}
		if (rc)
			break;
		e->deliver.now_ns = mono;
		durable_take(e, mono);
		rc = checkpoint_step(e, mono);
		if (rc)
			break;
		filter_reload_step(e, mono);
		rc = engine_tick(e);
		if (rc < 0) {
			fail(e, rc,
			     rc == -ENOSPC ? "the disk is full: nothing more is acknowledged" : "tick");
			break;
		}
		live_state_set(e);
		mail_answer(e);
		conns_arm(&e->conns, mono);
		conns_flush(&e->conns);
		wake_arm(e);
		filter_bell_arm(e);
		if (rc > 0)
			idle_since = mono;
		int64_t wait = wait_choose(e, rc > 0, idle_since, mono);
		rc = enter(e, wait);
		if (rc) {
			fail(e, rc, "io_uring");
			break;
		}
	}
	if (rc < 0)
		return rc;
	rc = drain(e);
	return rc ? rc : checkpoint_last(e);
}
