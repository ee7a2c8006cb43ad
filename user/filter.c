/*
 * filter.c: see filter.h. In: --prefilter, the catalogue in force and the one that waits, the store's rows.
 * Out: a program in the kernel whose table is never narrower than the catalogue in force needs.
 *
 * What can go wrong: at open, a capability or a feature of the kernel (with --prefilter=auto the engine goes
 * on in user space and says why). In a reload, a source that leaves a frame half sent, or whose ring cannot
 * be emptied: after RELOAD_PATIENCE_NS it is cut off, and resumes under the new table.
 */
#include "live.h"

#include <assert.h>
#include <base/log.h>
#include <catalogue/interest.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static const int64_t RELOAD_PATIENCE_NS = 1000000000;

/* ---- open and start ---- */

static int kernel_open(struct engine *e)
{
	struct engine_filter *f = &e->filter;
	int rc = prefilter_open(&f->kernel, NULL, f->why, sizeof f->why);

	if (!rc) {
		f->enrolment = prefilter_enrolment(f->kernel);
		return 0;
	}
	if (e->options.prefilter == PREFILTER_KERNEL) {
		snprintf(e->why, sizeof e->why, "--prefilter=kernel: %s", f->why);
		return rc;
	}
	log_info("the pre-filter runs in user space: %s", f->why);
	return 0;
}

int filter_open(struct engine *e)
{
	struct engine_filter *f = &e->filter;
	bool kernel = e->options.prefilter == PREFILTER_AUTO || e->options.prefilter == PREFILTER_KERNEL;
	int rc = kernel ? kernel_open(e) : 0;

	if (!rc)
		rc = prefilter_privileges_drop();
	if (!rc && !f->kernel) {
		rc = enrolment_init(&f->own);
		f->enrolment = &f->own;
	}
	f->wide = mmap(NULL, sizeof *f->wide, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->wide == MAP_FAILED) {
		f->wide = NULL;
		rc = rc ? rc : -errno;
	}
	if (rc && !e->why[0])
		snprintf(e->why, sizeof e->why, "pre-filter: %s", strerror(-rc));
	return rc;
}

static int customer_enrol(void *ctx, const void *key, uint32_t key_bytes, const void *value,
			  uint32_t value_bytes)
{
	const struct row *row = value;

	(void)key;
	(void)key_bytes;
	(void)value_bytes;
	if (row_subscription_count(row)) /* sleeping ones too: a reload may wake them */
		enrolment_customer_add(ctx, row->key);
	return 0;
}

static int account_enrol(void *ctx, const void *key, uint32_t key_bytes, const void *value,
			 uint32_t value_bytes)
{
	const struct row *row = value;
	uint64_t customers[HOLDERS_MAX];
	uint32_t count;

	(void)key;
	(void)key_bytes;
	(void)value_bytes;
	const struct row_holder *holders = row_holders(row, &count);
	assert(count <= HOLDERS_MAX);
	for (uint32_t i = 0; i < count; i++)
		customers[i] = holders[i].customer;
	enrolment_account_add(ctx, row->key, customers, count);
	return 0;
}

static bool asks_for_enrolment(const struct interest_table *table)
{
	for (uint32_t i = 0; i < INTEREST_TYPES; i++)
		if (table->type[i].action == INTEREST_KEEP_IF &&
		    (table->type[i].conditions & INTEREST_IF_ENROLLED))
			return true;
	return false;
}

/* A walk over all rows is worth its seconds only to a catalogue that asks. For another one everybody is in:
 * should a reload bring one that asks, nothing is dropped by enrolment until the next start. */
static int enrolment_fill(struct engine *e)
{
	struct enrolment *enrolment = e->filter.enrolment;

	if (!asks_for_enrolment(e->core.catalogue->interest)) {
		memset(enrolment->words, 0xff, sizeof(uint64_t) * ENROLMENT_WORDS);
		memset(enrolment->holders, 0xff, sizeof(uint32_t) * ENROLMENT_ACCOUNTS); /* several, each */
		return 0;
	}
	int rc = live_checkpoint_now(e); /* rows of the journal behind the last one are in no file yet */
	if (!rc)
		rc = store_walk(e->core.store, RECORD_CUSTOMER, customer_enrol, enrolment);
	return rc ? rc : store_walk(e->core.store, RECORD_ACCOUNT, account_enrol, enrolment);
}

int filter_start(struct engine *e)
{
	struct engine_filter *f = &e->filter;
	int rc = e->options.prefilter == PREFILTER_OFF ? 0 : enrolment_fill(e);

	if (rc) {
		snprintf(e->why, sizeof e->why, "enrolment: %s", strerror(-rc));
		return rc;
	}
	e->conns.prefilter = f->kernel;
	if (f->kernel) {
		prefilter_table_set(f->kernel, e->core.catalogue->interest);
		log_info("the pre-filter runs in the kernel");
	}
	return 0;
}

void filter_close(struct engine *e)
{
	struct engine_filter *f = &e->filter;

	prefilter_close(f->kernel);
	enrolment_deinit(&f->own);
	if (f->wide)
		munmap(f->wide, sizeof *f->wide);
	*f = (struct engine_filter){ 0 };
}

/* ---- reload ---- */

static bool conn_fed(const struct conn *conn)
{
	return conn->joined && !conn->closing && !conn->shut;
}

/* Was the frame at hand decided by a table of before, and is it not whole yet? */
static bool frame_pending(const struct engine *e, const struct conn *conn)
{
	const struct ring_slot *s = conn->reader.slot;

	return __atomic_load_n(&s->have, __ATOMIC_ACQUIRE) >= FRAME_HEADER_BYTES &&
	       __atomic_load_n(&s->generation, __ATOMIC_RELAXED) != prefilter_generation(e->filter.kernel);
}

static bool ring_pending(const struct engine *e, const struct conn *conn)
{
	const struct engine_filter *f = &e->filter;

	return f->drain[conn->number].generation == conn->generation &&
	       conn->reader.tail < f->drain[conn->number].head;
}

/* Is there a connection of which this is true? After the patience, those are cut off. */
static bool any_pending(struct engine *e, int64_t mono,
			bool (*pending)(const struct engine *e, const struct conn *conn))
{
	bool found = false, impatient = mono - e->filter.since_ns > RELOAD_PATIENCE_NS;

	for (uint32_t i = 0; i < e->conns.used; i++) {
		struct conn *conn = &e->conns.conn[i];
		if (!conn_fed(conn) || !pending(e, conn))
			continue;
		found = true;
		if (!impatient)
			continue;
		log_warning("reload: a source did not come to an end of what was under way, it is cut off "
			    "and resumes");
		e->filter.cut++;
		conn_cut(&e->conns, conn);
	}
	return found;
}

static void heads_note(struct engine *e)
{
	struct engine_filter *f = &e->filter;

	memset(f->drain, 0, sizeof f->drain);
	for (uint32_t i = 0; i < e->conns.used; i++) {
		const struct conn *conn = &e->conns.conn[i];
		f->drain[i].generation = conn->generation;
		if (conn_fed(conn))
			f->drain[i].head = __atomic_load_n(&conn->reader.ends->head, __ATOMIC_ACQUIRE);
	}
}

static void step_to(struct engine_filter *f, enum reload_step step, int64_t mono)
{
	f->step = step;
	f->since_ns = mono;
}

static void reload_begin(struct engine *e, int64_t mono)
{
	struct engine_filter *f = &e->filter;

	if (!live_mail_waits(e) || !prefilter_table_free(f->kernel))
		return;
	const struct interest_table *is = e->core.catalogue->interest;
	f->reload = e->mail.catalogue;
	interest_table_widen(f->wide, is, e->mail.catalogue->interest);
	if (memcmp(f->wide->type, is->type, sizeof is->type) == 0 &&
	    memcmp(&f->wide->sets, &is->sets, sizeof is->sets) == 0) {
		step_to(f, RELOAD_READY, mono); /* all that was dropped, the new one drops as well */
		return;
	}
	prefilter_table_set(f->kernel, f->wide);
	f->grace = prefilter_grace_begin(f->kernel);
	step_to(f, RELOAD_WIDENED, mono);
}

static void reload_end(struct engine *e, int64_t mono)
{
	if (live_mail_waits(e) && e->mail.catalogue == e->filter.reload)
		return;
	/* in force now is the new one, or, when it was refused, the old one */
	prefilter_table_set(e->filter.kernel, e->core.catalogue->interest);
	step_to(&e->filter, RELOAD_NONE, mono);
}

bool filter_reload_ready(const struct engine *e)
{
	const struct engine_filter *f = &e->filter;

	return !f->kernel || (f->step == RELOAD_READY && f->reload == e->mail.catalogue);
}

void filter_reload_step(struct engine *e, int64_t mono)
{
	struct engine_filter *f = &e->filter;

	if (!f->kernel)
		return;
	switch (f->step) {
	case RELOAD_NONE:
		reload_begin(e, mono);
		break;
	case RELOAD_WIDENED:
		if (prefilter_grace_over(f->kernel, f->grace))
			step_to(f, RELOAD_SETTLING, mono);
		break;
	case RELOAD_SETTLING:
		if (any_pending(e, mono, frame_pending))
			break;
		f->grace = prefilter_grace_begin(f->kernel);
		step_to(f, RELOAD_SETTLED, mono);
		break;
	case RELOAD_SETTLED:
		if (!prefilter_grace_over(f->kernel, f->grace))
			break;
		heads_note(e);
		step_to(f, RELOAD_DRAINING, mono);
		break;
	case RELOAD_DRAINING:
		if (any_pending(e, mono, ring_pending))
			break;
		f->generation_min = prefilter_generation(f->kernel);
		step_to(f, RELOAD_READY, mono);
		break;
	case RELOAD_READY:
		reload_end(e, mono);
		break;
	}
}

/* ---- sleep ---- */

bool filter_sleep(struct engine *e)
{
	if (!e->filter.kernel)
		return false;
	prefilter_sleep(e->filter.kernel);
	return ingest_waiting(&e->ingest);
}

void filter_wake(struct engine *e)
{
	if (e->filter.kernel)
		prefilter_wake(e->filter.kernel);
}

void filter_bell_arm(struct engine *e)
{
	if (!e->filter.kernel || e->filter.bell_armed)
		return;
	struct io_uring_sqe *sqe = ring_sqe(&e->ring);
	io_uring_prep_poll_multishot(sqe, prefilter_bell_fd(e->filter.kernel), POLLIN);
	sqe->user_data = ring_tag(RING_BELL, 0);
	e->filter.bell_armed = true;
}

void filter_bell_take(struct engine *e, bool more)
{
	prefilter_bells_take(e->filter.kernel);
	e->filter.bell_armed = more;
}
