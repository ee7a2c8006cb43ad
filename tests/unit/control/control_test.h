/*
 * control_test.h: a fake engine thread that answers the mailbox as a script says, and a status full of
 * numbers that differ from each other.
 */
#ifndef CONTROL_TEST_H
#define CONTROL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <control/fields.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char bank_yaml[] = "bank: { currency: EUR, zone: Europe/Madrid, language: en, starts: empty }\n"
				"events:\n"
				"  card.purchase: { code: 1, body: { merchant: string } }\n"
				"  login: { code: 10, history: rules }\n"
				"channels: { push: { max: 240 } }\n"
				"messages: { hello: { en: 'Hello' } }\n";

static inline struct catalogue *catalogue_make(const char *yaml)
{
	struct catalogue *c = NULL;
	struct problems problems;

	problems_init(&problems);
	int rc = catalogue_compile_text("test.yaml", yaml, strlen(yaml), &c, &problems);
	if (rc)
		problems_print(&problems, stderr);
	assert_int_equal(rc, 0);
	problems_deinit(&problems);
	return c;
}

/* Every number of the tables gets a value of its own, from 1001 on. Names are nasty where they may be. */
static inline struct engine_status *status_make(void)
{
	struct engine_status *s = calloc(1, sizeof *s);
	uint64_t next = 1001;

	assert_non_null(s);
	for (uint32_t i = 0; i < control_field_count; i++, next++)
		memcpy((char *)s + control_fields[i].offset, &next, sizeof next);
	for (uint32_t i = 0; i < control_family_count; i++)
		for (uint32_t j = control_families[i].first; j < control_families[i].count; j++, next++)
			memcpy((char *)s + control_families[i].offset + j * sizeof next, &next, sizeof next);
	s->filter = "user";
	s->durability = "sync";
	s->clock = "wall";
	s->direct = true;
	s->started_at = 1700000000000000001;
	s->now = 1700000100000000002;
	s->catalogue = (struct hash128){ .low = 0x11, .high = 0xab00000000000000 };
	s->outputs = (struct hash128){ .low = 0x22, .high = 0x33 };
	s->store.checkpoint_ns_last = 1500000001;
	s->slot_count = 2;
	strcpy(s->slot_name[0], "push");
	strcpy(s->slot_name[1], "sms");
	s->queues[outbox_queue_of(0, true)].open = 41;
	s->queues[outbox_queue_of(0, false)].open = 42;
	s->queues[outbox_queue_of(1, true)].open = 43;
	s->queues[outbox_queue_of(1, false)].open = 44;
	s->rule_count = 2;
	s->rules[1] = (struct ledger_rule){ "velocity", SECTION_FRAUD, false, 52, 53, 54, { 0 } };
	s->rules[0] = (struct ledger_rule){ "large", SECTION_SUBSCRIPTION, false, 62, 63, 64, { 65, 66 } };
	s->by_type[1] = 71;
	s->by_type[77] = 72;
	s->peers.count = 3;
	s->peers.peer[0] = (struct peer){ .role = ROLE_OF_SOURCE, .up = true, .expected = 81 };
	strcpy(s->peers.identity[0].name, "core \"a\\b\"\nx");
	s->peers.peer[1] = (struct peer){ .role = ROLE_OF_GATEWAY, .up = true };
	strcpy(s->peers.identity[1].name, "caf\303\251");
	s->peers.peer[2] = (struct peer){ .role = ROLE_OF_GATEWAY };
	strcpy(s->peers.identity[2].name, "bad\377");
	s->live[0].conn = 5;
	for (int i = 0; i < 1000; i++)
		histogram_add(&s->tick, 1000);
	histogram_add(&s->tick, 2500000000);
	histogram_add(&s->durable_wait, 3);
	return s;
}

/* A ledger whose floors add up. */
static inline void ledger_good(struct ledger *l)
{
	memset(l, 0, sizeof *l);
	l->events_in = 10;
	l->events[EVENT_DECIDED] = 7;
	l->events[EVENT_FILTERED] = 3;
	l->changes_in = l->changes[CHANGE_APPLIED] = 2;
	l->hits_made = 5;
	l->hits[HIT_NOTICED] = 4;
	l->hits[HIT_SUPPRESSED] = l->hits_suppressed[SUPPRESSED_STALE] = 1;
	l->notices_made = 4;
	l->notices[NOTICE_QUEUED] = 1;
	l->notices[NOTICE_SENT] = 3;
	l->legs_made = 4;
	l->legs[LEG_QUEUED] = 1;
	l->legs[LEG_ACCEPTED] = 3;
}

struct fake {
	struct engine *e;
	pthread_t thread;
	_Atomic bool stop, silent, keep_retired;
	_Atomic int checkpoints, activations;
	const char *refuse; /* why the engine takes no catalogue */
	struct engine_status *status;
};

void engine_wake(struct engine *e)
{
	uint64_t one = 1;

	assert_int_equal(write(e->wake_fd, &one, sizeof one), sizeof one);
}

static inline void fake_catalogue(struct fake *f)
{
	struct engine_mail *mail = &f->e->mail;

	f->activations++;
	if (f->refuse) {
		snprintf(mail->why, sizeof mail->why, "%s", f->refuse);
		mail->result = -EINVAL;
		return;
	}
	f->e->core.retired = f->e->core.catalogue;
	f->e->core.catalogue = mail->catalogue;
	mail->result = 0;
}

/* Like mail_answer of user/live.c. */
static inline void fake_answer(struct fake *f)
{
	struct engine_mail *mail = &f->e->mail;
	int kind = atomic_load(&mail->kind);

	if (kind == MAIL_CATALOGUE && !f->e->core.retired)
		fake_catalogue(f);
	else if (kind == MAIL_CATALOGUE)
		kind = MAIL_NONE; /* waits until the retired one can be handed over */
	if (f->e->core.retired && !atomic_load(&mail->retired) && !f->keep_retired) {
		atomic_store(&mail->retired, f->e->core.retired);
		f->e->core.retired = NULL;
	}
	if (kind == MAIL_STATUS) {
		*mail->status = *f->status;
		if (f->e->core.catalogue)
			mail->status->catalogue = f->e->core.catalogue->hash;
	}
	f->checkpoints += kind == MAIL_CHECKPOINT;
	if (kind != MAIL_NONE)
		atomic_store(&mail->kind, MAIL_NONE);
}

static inline void *fake_loop(void *ctx)
{
	struct fake *f = ctx;
	uint64_t woken;

	while (!f->stop) {
		assert_int_equal(read(f->e->wake_fd, &woken, sizeof woken), sizeof woken);
		if (!f->silent)
			fake_answer(f);
	}
	return NULL;
}

static inline void fake_start(struct fake *f)
{
	memset(f, 0, sizeof *f);
	f->e = calloc(1, sizeof *f->e);
	assert_non_null(f->e);
	f->e->wake_fd = eventfd(0, EFD_CLOEXEC);
	f->e->options.cpu = -1;
	f->status = status_make();
	f->e->core.catalogue = catalogue_make(bank_yaml);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_loop, f), 0);
}

/* The engine thread ends; then control stops; then fake_free. */
static inline void fake_end(struct fake *f)
{
	f->stop = true;
	engine_wake(f->e);
	pthread_join(f->thread, NULL);
}

static inline void fake_free(struct fake *f)
{
	catalogue_free(f->e->core.catalogue);
	catalogue_free(f->e->core.retired);
	close(f->e->wake_fd);
	free(f->e);
	free(f->status);
}

#endif
