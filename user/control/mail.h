/*
 * mail: the control side of struct engine_mail (live.h): one request at a time, an answer within a few
 * seconds or none. Many threads may ask; a mutex puts them in a row.
 */
#ifndef CONTROL_MAIL_H
#define CONTROL_MAIL_H

#include <live.h>
#include <pthread.h>

enum control_answer { ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED, ANSWER_SILENT };

struct control_mail {
	struct engine *e;
	pthread_mutex_t lock;
	struct engine_status *status; /* the engine fills it; its pages are there before */
	struct catalogue *offered;    /* sent and not answered: the answer says whose it is */
	int64_t wait_ns;	      /* a question in all: its turn and its answer */
	_Atomic bool stopping;	      /* nobody waits any more */
};

/* 0 or -errno. */
__attribute__((warn_unused_result)) int control_mail_init(struct control_mail *m, struct engine *e);
/* After the engine thread has ended. Frees what the engine handed over or never took. */
void control_mail_deinit(struct control_mail *m);

/*
 * DONE: *status, and the catalogue in force (NULL: none), are lent until control_mail_release, which must
 * follow. SILENT: the engine did not answer, nothing to release.
 */
__attribute__((warn_unused_result)) enum control_answer
control_mail_status(struct control_mail *m, const struct engine_status **status,
		    const struct catalogue **in_force);
void control_mail_release(struct control_mail *m);

__attribute__((warn_unused_result)) enum control_answer control_mail_checkpoint(struct control_mail *m);

/*
 * Offers a catalogue, and takes it whatever the answer. REFUSED: why says why. SILENT: the engine may still
 * put it in force later, if it was offered at all; the next question finds out.
 */
__attribute__((warn_unused_result)) enum control_answer
control_mail_catalogue(struct control_mail *m, struct catalogue *c, char *why, size_t why_bytes);

#endif
