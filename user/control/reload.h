/*
 * reload: the catalogue directory compiled aside and offered to the engine. One at a time; any thread of
 * control.
 */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "mail.h"

#include <moment/hash.h>

/* What an HTTP request is answered with; text is from malloc (NULL: no memory). */
struct control_reply {
	unsigned status;
	const char *type;
	char *text;
	size_t bytes;
};

__attribute__((format(printf, 3, 4))) void control_reply_set(struct control_reply *reply, unsigned status,
							     const char *format, ...);
/* 503: the engine does not answer. */
void control_reply_silent(struct control_reply *reply);

/*
 * 200: in force, or unchanged. 409: every problem of the catalogue a line, or why the engine refuses it. 503:
 * the engine does not answer. `turn` keeps two reloads apart.
 */
void control_reload_run(struct control_mail *m, pthread_mutex_t *turn, struct control_reply *reply);

#endif
