// needs: user/control/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_mail.c: the control side of the mailbox against a fake engine: who owns a catalogue after each answer
 * (the sanitizer build finds what is lost or freed twice), and an engine that is late or silent.
 */
#include "control_test.h"

#include <control/mail.h>
#include <time.h>

static const char other_yaml[] = "bank: { currency: EUR, zone: Europe/Madrid, language: en, starts: empty }\n"
				 "events: { login: { code: 10 } }\n";

struct setup {
	struct fake fake;
	struct control_mail mail;
};

static int setup(void **state)
{
	struct setup *t = calloc(1, sizeof *t);

	fake_start(&t->fake);
	assert_int_equal(control_mail_init(&t->mail, t->fake.e), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setup *t = *state;

	fake_end(&t->fake);
	control_mail_deinit(&t->mail);
	fake_free(&t->fake);
	free(t);
	return 0;
}

static enum control_answer offer(struct setup *t, const char *yaml, char why[256])
{
	return control_mail_catalogue(&t->mail, catalogue_make(yaml), why, 256);
}

static void mail_lends_a_status(void **state)
{
	struct setup *t = *state;
	const struct engine_status *s = NULL;
	const struct catalogue *c = NULL;

	for (int i = 0; i < 100; i++) {
		t->fake.status->term = 7 + (uint64_t)i;
		assert_int_equal(control_mail_status(&t->mail, &s, &c), ANSWER_DONE);
		assert_int_equal(s->term, 7 + i);
		assert_ptr_equal(c, t->fake.e->core.catalogue);
		control_mail_release(&t->mail);
	}
}

static void mail_asks_for_a_checkpoint(void **state)
{
	struct setup *t = *state;

	assert_int_equal(control_mail_checkpoint(&t->mail), ANSWER_DONE);
	assert_int_equal(t->fake.checkpoints, 1);
}

static void mail_gives_a_catalogue_and_frees_the_retired_one(void **state)
{
	struct setup *t = *state;
	char why[256];

	for (int i = 0; i < 3; i++) {
		struct catalogue *c = catalogue_make(i % 2 ? bank_yaml : other_yaml);
		assert_int_equal(control_mail_catalogue(&t->mail, c, why, sizeof why), ANSWER_DONE);
		assert_ptr_equal(t->fake.e->core.catalogue, c);
		assert_null(atomic_load(&t->fake.e->mail.retired));
	}
	assert_int_equal(t->fake.activations, 3);
}

static void mail_frees_a_retired_one_that_comes_late(void **state)
{
	struct setup *t = *state;
	const struct engine_status *s;
	const struct catalogue *c;
	char why[256];

	t->fake.keep_retired = true;
	assert_int_equal(offer(t, other_yaml, why), ANSWER_DONE);
	assert_null(atomic_load(&t->fake.e->mail.retired));
	t->fake.keep_retired = false;
	/* the engine hands it over with the next turn, and the question after that frees it */
	assert_int_equal(control_mail_checkpoint(&t->mail), ANSWER_DONE);
	assert_non_null(atomic_load(&t->fake.e->mail.retired));
	assert_int_equal(control_mail_status(&t->mail, &s, &c), ANSWER_DONE);
	assert_null(atomic_load(&t->fake.e->mail.retired));
	control_mail_release(&t->mail);
}

static void mail_frees_what_the_engine_refuses_and_says_why(void **state)
{
	struct setup *t = *state;
	struct catalogue *before = t->fake.e->core.catalogue;
	char why[256] = "";

	t->fake.refuse = "attribute home: int in the store, string in the catalogue";
	assert_int_equal(offer(t, other_yaml, why), ANSWER_REFUSED);
	assert_string_equal(why, t->fake.refuse);
	assert_ptr_equal(t->fake.e->core.catalogue, before);
	t->fake.refuse = NULL;
	assert_int_equal(offer(t, other_yaml, why), ANSWER_DONE);
	assert_string_equal(why, "");
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void mail_gives_up_on_a_silent_engine(void **state)
{
	struct setup *t = *state;
	const struct engine_status *s;
	const struct catalogue *c;

	t->fake.silent = true;
	t->mail.wait_ns = 50000000;
	int64_t from = now_ms();
	assert_int_equal(control_mail_status(&t->mail, &s, &c), ANSWER_SILENT);
	assert_true(now_ms() - from >= 50);
	/* the question stays in the box: another one waits for it, and gives up as well */
	assert_int_equal(control_mail_checkpoint(&t->mail), ANSWER_SILENT);
	assert_int_equal(t->fake.e->mail.kind, MAIL_STATUS);
	t->fake.silent = false;
	engine_wake(t->fake.e);
	t->mail.wait_ns = 5000000000;
	assert_int_equal(control_mail_checkpoint(&t->mail), ANSWER_DONE);
	assert_int_equal(t->fake.checkpoints, 1);
}

static void mail_frees_what_a_full_box_never_took(void **state)
{
	struct setup *t = *state;
	const struct engine_status *s;
	const struct catalogue *c;
	char why[256];

	t->fake.silent = true;
	t->mail.wait_ns = 20000000;
	assert_int_equal(control_mail_status(&t->mail, &s, &c), ANSWER_SILENT);
	assert_int_equal(offer(t, other_yaml, why), ANSWER_SILENT);
	assert_null(t->mail.offered);
}

/* An offer that was not answered in time: taken or refused later, or never. */
static void mail_settles_a_late_answer(void **state)
{
	struct setup *t = *state;
	char why[256];

	for (int refused = 0; refused < 2; refused++) {
		struct catalogue *c = catalogue_make(refused ? bank_yaml : other_yaml);
		t->fake.silent = true;
		t->fake.refuse = refused ? "no" : NULL;
		t->mail.wait_ns = 20000000;
		assert_int_equal(control_mail_catalogue(&t->mail, c, why, sizeof why), ANSWER_SILENT);
		assert_ptr_equal(t->mail.offered, c);
		t->fake.silent = false;
		engine_wake(t->fake.e);
		t->mail.wait_ns = 5000000000;
		assert_int_equal(control_mail_checkpoint(&t->mail), ANSWER_DONE);
		assert_null(t->mail.offered);
		assert_int_equal(t->fake.e->core.catalogue == c, !refused);
	}
}

static void mail_frees_an_offer_that_the_engine_left_behind(void **state)
{
	struct setup *t = *state;
	char why[256];

	t->fake.silent = true;
	t->mail.wait_ns = 20000000;
	assert_int_equal(offer(t, other_yaml, why), ANSWER_SILENT);
	assert_non_null(t->mail.offered);
	/* teardown ends the engine with the offer in the box; the sanitizer sees whether it is freed once */
}

static void mail_leaves_an_offer_in_force_to_the_engine(void **state)
{
	struct setup *t = *state;
	char why[256];

	t->fake.silent = true;
	t->mail.wait_ns = 20000000;
	assert_int_equal(offer(t, other_yaml, why), ANSWER_SILENT);
	/* applied in the engine's last turn, which ended before the answer */
	t->fake.e->core.retired = t->fake.e->core.catalogue;
	t->fake.e->core.catalogue = t->mail.offered;
}

static void mail_stops_waiting_when_it_is_told(void **state)
{
	struct setup *t = *state;
	int64_t from = now_ms();

	t->fake.silent = true;
	atomic_store(&t->mail.stopping, true);
	assert_int_equal(control_mail_checkpoint(&t->mail), ANSWER_SILENT);
	assert_true(now_ms() - from < 2000);
}

static void *ask_often(void *ctx)
{
	struct control_mail *m = ctx;
	const struct engine_status *s;
	const struct catalogue *c;
	uintptr_t wrong = 0;

	for (int i = 0; i < 50; i++) {
		if (control_mail_status(m, &s, &c) != ANSWER_DONE) {
			wrong++;
			continue;
		}
		/* status and catalogue are of one moment */
		wrong += s->catalogue.low != c->hash.low || s->catalogue.high != c->hash.high;
		control_mail_release(m);
	}
	return (void *)wrong;
}

static void mail_takes_many_askers_in_turn(void **state)
{
	struct setup *t = *state;
	pthread_t threads[4];
	void *wrong;
	char why[256];

	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &t->mail), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(offer(t, i % 2 ? bank_yaml : other_yaml, why), ANSWER_DONE);
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(mail_lends_a_status),
		CASE(mail_asks_for_a_checkpoint),
		CASE(mail_gives_a_catalogue_and_frees_the_retired_one),
		CASE(mail_frees_a_retired_one_that_comes_late),
		CASE(mail_frees_what_the_engine_refuses_and_says_why),
		CASE(mail_gives_up_on_a_silent_engine),
		CASE(mail_frees_what_a_full_box_never_took),
		CASE(mail_settles_a_late_answer),
		CASE(mail_frees_an_offer_that_the_engine_left_behind),
		CASE(mail_leaves_an_offer_in_force_to_the_engine),
		CASE(mail_stops_waiting_when_it_is_told),
		CASE(mail_takes_many_askers_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
