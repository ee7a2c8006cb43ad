/*
 * reload.c: compiles the catalogue directory on the caller's thread, so that the engine never waits for it,
 * and offers the result. In: the directory of --catalogue. Out: a reply in words.
 *
 * The same content as the one in force is not offered: an activation is a journal entry with the whole
 * catalogue in it. A problem changes nothing: the old catalogue stays in force.
 */
#include "reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"

void control_reply_set(struct control_reply *reply, unsigned status, const char *format, ...)
{
	va_list args;

	free(reply->text);
	*reply = (struct control_reply){ .status = status, .type = "text/plain; charset=utf-8" };
	va_start(args, format);
	int n = vasprintf(&reply->text, format, args);
	va_end(args);
	if (n < 0)
		reply->text = NULL;
	else
		reply->bytes = (size_t)n;
}

void control_reply_silent(struct control_reply *reply)
{
	control_reply_set(reply, 503, "the engine does not answer\n");
}

/* All problems, a line each. */
static void problems_reply(const struct problems *problems, int rc, const char *dir,
			   struct control_reply *reply)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = problems->count ? open_memstream(&text, &bytes) : NULL;

	if (!to) {
		control_reply_set(reply, 409, "%s: %s\n", dir, strerror(-rc));
		return;
	}
	problems_print(problems, to);
	bool failed = ferror(to);
	if (fclose(to) || failed) {
		free(text);
		control_reply_set(reply, 409, "%s: %zu problems\n", dir, problems->count);
		return;
	}
	control_reply_set(reply, 409, "%s", text);
	free(text);
}

/* NULL: the reply says why. */
static struct catalogue *compile(const char *dir, struct control_reply *reply)
{
	struct catalogue *c = NULL;
	struct problems problems;

	if (!dir) {
		control_reply_set(reply, 409,
				  "momentd was started without --catalogue: there is no directory to read\n");
		return NULL;
	}
	problems_init(&problems);
	int rc = catalogue_compile_dir(dir, &c, &problems);
	if (rc)
		problems_reply(&problems, rc, dir, reply);
	problems_deinit(&problems);
	return rc ? NULL : c;
}

static void offer(struct control_mail *m, struct catalogue *c, struct control_reply *reply)
{
	const struct engine_status *s;
	const struct catalogue *in_force;
	char why[256] = "", hash[33];

	control_hash(hash, c->hash);
	if (control_mail_status(m, &s, &in_force) != ANSWER_DONE) {
		catalogue_free(c);
		control_reply_silent(reply);
		return;
	}
	bool same = s->catalogue.low == c->hash.low && s->catalogue.high == c->hash.high;
	control_mail_release(m);
	if (same) {
		catalogue_free(c);
		control_reply_set(reply, 200, "unchanged: catalogue %s\n", hash);
		return;
	}
	switch (control_mail_catalogue(m, c, why, sizeof why)) {
	case ANSWER_DONE:
		control_reply_set(reply, 200, "catalogue %s is in force\n", hash);
		break;
	case ANSWER_REFUSED:
		control_reply_set(reply, 409, "the engine refuses catalogue %s: %s\n", hash, why);
		break;
	default:
		control_reply_set(reply, 503,
				  "the engine does not answer; catalogue %s may come into force later\n",
				  hash);
	}
}

void control_reload_run(struct control_mail *m, pthread_mutex_t *turn, struct control_reply *reply)
{
	pthread_mutex_lock(turn);
	struct catalogue *c = compile(m->e->options.catalogue, reply);
	if (c)
		offer(m, c, reply);
	pthread_mutex_unlock(turn);
}
