/*
 * control.c: start and stop of what is not the engine: a thread that waits for control_reload, and the admin
 * port with its own threads. All of them block signals and stay off the engine's CPU. They meet the engine in
 * mail.c only.
 *
 * What can go wrong is set-up: a bad address, a port in use, no memory; all of it is undone. A reload by
 * signal has nobody to answer to, so its reply goes to the log.
 */
#include "inside.h"

#include <base/log.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A line each; a catalogue can have thousands of problems. */
static void reply_log(struct control_reply *reply)
{
	enum { LINES_MAX = 100 };
	char *rest = NULL, *line = reply->text ? strtok_r(reply->text, "\n", &rest) : NULL;

	for (unsigned n = 0; line; n++, line = strtok_r(NULL, "\n", &rest)) {
		if (n == LINES_MAX) {
			log_warning("reload: and more; moment check says all of it");
			return;
		}
		log_line(reply->status == 200 ? LOG_INFO : LOG_WARNING, "reload: %s", line);
	}
}

static void *reload_loop(void *ctx)
{
	struct control *c = ctx;
	uint64_t asked;

	while (read(c->reload_fd, &asked, sizeof asked) == sizeof asked && !atomic_load(&c->stop)) {
		struct control_reply reply = { 0 };

		control_reload_run(&c->mail, &c->reload_turn, &reply);
		reply_log(&reply);
		free(reply.text);
	}
	return NULL;
}

/* What threads inherit from the one that starts them. */
struct inherited {
	sigset_t signals;
	cpu_set_t cpus;
	bool pinned;
};

/* The caller is the engine's thread, perhaps pinned: ours must not share its CPU, nor take its signals. */
static void inherited_set(const struct engine *e, struct inherited *before)
{
	sigset_t all;
	cpu_set_t cpus;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before->signals);
	before->pinned = e->options.cpu >= 0 && sched_getaffinity(0, sizeof before->cpus, &before->cpus) == 0;
	if (!before->pinned)
		return;
	memset(&cpus, 0xff, sizeof cpus); /* the kernel leaves what there is */
	CPU_CLR(e->options.cpu, &cpus);
	if (sched_setaffinity(0, sizeof cpus, &cpus))
		log_warning("the control threads share CPU %d with the engine: there is no other",
			    e->options.cpu);
}

static void inherited_restore(const struct inherited *before)
{
	if (before->pinned && sched_setaffinity(0, sizeof before->cpus, &before->cpus))
		log_warning("the engine's CPU cannot be set again: %s", strerror(errno));
	pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
}

static int threads_start(struct control *c, const char *admin, bool insecure, char *why, size_t why_bytes)
{
	int rc = -pthread_create(&c->thread, NULL, reload_loop, c);

	if (rc) {
		snprintf(why, why_bytes, "the control thread: %s", strerror(-rc));
		return rc;
	}
	if (!admin)
		return 0;
	rc = control_http_start(&c->http, admin, insecure, why, why_bytes);
	if (rc) {
		atomic_store(&c->stop, true);
		control_reload(c);
		pthread_join(c->thread, NULL);
	}
	return rc;
}

static void control_free(struct control *c)
{
	control_mail_deinit(&c->mail);
	if (c->reload_fd >= 0)
		close(c->reload_fd);
	pthread_mutex_destroy(&c->reload_turn);
	free(c);
}

int control_start(struct control **out, struct engine *e, const char *admin, bool insecure, char *why,
		  size_t why_bytes)
{
	struct control *c = calloc(1, sizeof *c);
	struct inherited before;

	*out = NULL;
	if (!c) {
		snprintf(why, why_bytes, "no memory");
		return -ENOMEM;
	}
	pthread_mutex_init(&c->reload_turn, NULL);
	c->http = (struct control_http){ .mail = &c->mail, .reload_turn = &c->reload_turn };
	c->reload_fd = eventfd(0, EFD_CLOEXEC);
	int rc = c->reload_fd < 0 ? -errno : control_mail_init(&c->mail, e);
	if (rc) {
		snprintf(why, why_bytes, "control: %s", strerror(-rc));
	} else {
		inherited_set(e, &before);
		rc = threads_start(c, admin, insecure, why, why_bytes);
		inherited_restore(&before);
	}
	if (rc) {
		control_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	atomic_store(&c->mail.stopping, true);
	atomic_store(&c->stop, true);
	control_reload(c);
	pthread_join(c->thread, NULL);
	control_http_stop(&c->http);
	control_free(c);
}

uint16_t control_port(const struct control *c)
{
	return c->http.port;
}

void control_reload(struct control *c)
{
	int saved = errno; /* a signal handler leaves it as it was */
	uint64_t one = 1;
	ssize_t n = write(c->reload_fd, &one, sizeof one);

	(void)n; /* full: it is asked for anyway */
	errno = saved;
}
