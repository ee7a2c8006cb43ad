/*
 * mail.c: a question is put into the engine's mailbox, the engine woken, the answer waited for with short
 * sleeps: the engine thread must not pay for a lock. In: a kind and what belongs to it. Out: an answer, or
 * SILENT after wait_ns.
 *
 * Who owns a catalogue: the caller gives it away. From the store of `kind` to the engine's MAIL_NONE it is
 * `offered`; then result 0 makes it the engine's, anything else ours to free. A question that was not
 * answered in time stays in the box, since it cannot be taken back from a thread that may be reading it; the
 * next question waits for it first. The catalogue that an activation replaced comes back in `retired`, at
 * once or later; every question frees what lies there, since the engine takes no other activation before.
 */
#include "mail.h"

#include <assert.h>
#include <base/log.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

static const int64_t SECOND = 1000000000;
static const int64_t PAUSE_NS_MIN = 20000, PAUSE_NS_MAX = 2000000;

int control_mail_init(struct control_mail *m, struct engine *e)
{
	/* populated: the engine thread fills it and must not fault on it */
	void *status = mmap(NULL, sizeof *m->status, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (status == MAP_FAILED)
		return -errno;
	*m = (struct control_mail){ .e = e, .status = status, .wait_ns = 5 * SECOND };
	return -pthread_mutex_init(&m->lock, NULL);
}

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

static bool box_is_free(const struct control_mail *m)
{
	return atomic_load(&m->e->mail.kind) == MAIL_NONE;
}

static bool free_wait(const struct control_mail *m, int64_t deadline)
{
	for (int64_t pause = PAUSE_NS_MIN; !box_is_free(m);
	     pause = pause < PAUSE_NS_MAX ? 2 * pause : pause) {
		struct timespec ts = { .tv_nsec = pause };

		if (atomic_load(&m->stopping) || monotonic_ns() >= deadline)
			return false;
		nanosleep(&ts, NULL);
	}
	return true;
}

static void retired_free(struct control_mail *m)
{
	catalogue_free(atomic_exchange(&m->e->mail.retired, NULL));
}

/* The box is free: whose is what was offered? True when the engine took it. */
static bool offered_settle(struct control_mail *m)
{
	struct catalogue *c = m->offered;
	bool taken = m->e->mail.result == 0;

	assert(box_is_free(m));
	m->offered = NULL;
	if (!taken)
		catalogue_free(c);
	retired_free(m);
	return taken;
}

/* Our turn, and the box free: true, with the lock held. */
static bool box_acquire(struct control_mail *m, int64_t deadline)
{
	struct timespec until = { .tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND };

	if (pthread_mutex_clocklock(&m->lock, CLOCK_MONOTONIC, &until))
		return false;
	if (!free_wait(m, deadline)) {
		pthread_mutex_unlock(&m->lock);
		return false;
	}
	if (m->offered) {
		bool taken = offered_settle(m);

		log_warning("the catalogue of an earlier reload %s%s",
			    taken ? "came into force late" : "was refused: ", taken ? "" : m->e->mail.why);
	}
	retired_free(m);
	return true;
}

/* Puts the question; true when it was answered. The lock is held. */
static bool box_ask(struct control_mail *m, enum mail_kind kind, int64_t deadline)
{
	struct engine_mail *mail = &m->e->mail;

	assert(box_is_free(m));
	mail->catalogue = m->offered;
	mail->status = m->status;
	mail->result = 0;
	mail->why[0] = 0;
	atomic_store(&mail->kind, kind);
	engine_wake(m->e);
	return free_wait(m, deadline);
}

enum control_answer control_mail_status(struct control_mail *m, const struct engine_status **status,
					const struct catalogue **in_force)
{
	int64_t deadline = monotonic_ns() + m->wait_ns;

	if (!box_acquire(m, deadline))
		return ANSWER_SILENT;
	if (!box_ask(m, MAIL_STATUS, deadline)) {
		control_mail_release(m);
		return ANSWER_SILENT;
	}
	*status = m->status;
	/* The engine changes this pointer only for an activation that we ask for, and we free what it pointed
	 * to: while we hold the lock and nothing is offered, it and its immutable content stand still. */
	*in_force = m->e->core.catalogue;
	return ANSWER_DONE;
}

void control_mail_release(struct control_mail *m)
{
	pthread_mutex_unlock(&m->lock);
}

enum control_answer control_mail_checkpoint(struct control_mail *m)
{
	int64_t deadline = monotonic_ns() + m->wait_ns;

	if (!box_acquire(m, deadline))
		return ANSWER_SILENT;
	bool answered = box_ask(m, MAIL_CHECKPOINT, deadline);
	control_mail_release(m);
	return answered ? ANSWER_DONE : ANSWER_SILENT;
}

enum control_answer control_mail_catalogue(struct control_mail *m, struct catalogue *c, char *why,
					   size_t why_bytes)
{
	int64_t deadline = monotonic_ns() + m->wait_ns;
	enum control_answer answer = ANSWER_SILENT;

	assert(c);
	if (!box_acquire(m, deadline)) {
		catalogue_free(c);
		return ANSWER_SILENT;
	}
	m->offered = c;
	if (box_ask(m, MAIL_CATALOGUE, deadline)) {
		snprintf(why, why_bytes, "%s", m->e->mail.why);
		answer = offered_settle(m) ? ANSWER_DONE : ANSWER_REFUSED;
	}
	control_mail_release(m);
	return answer;
}

void control_mail_deinit(struct control_mail *m)
{
	if (!m->status)
		return;
	if (m->offered && box_is_free(m))
		(void)offered_settle(m);
	else if (m->e->core.catalogue != m->offered) /* the engine ended with the offer in the box */
		catalogue_free(m->offered);
	retired_free(m);
	pthread_mutex_destroy(&m->lock);
	munmap(m->status, sizeof *m->status);
	m->status = NULL;
}
