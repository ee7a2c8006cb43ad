/*
 * http.c: paths and what answers them, and the server around it. In: requests from the host itself (who may
 * ask is not checked before access control is built, so other addresses than loopback need
 * --insecure-listen). Out: a reply each.
 *
 * A body sent with a request is read and thrown away. Replies are from malloc and given to libmicrohttpd,
 * whose errors are MHD_NO and a NULL daemon with errno.
 */
#include "http.h"

#include "show.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONNECTIONS_AT_ONCE_MAX = 32, IDLE_SECONDS_MAX = 15 };

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void text_give(struct control_reply *reply, const char *type, char *text, size_t bytes)
{
	if (!text)
		control_reply_set(reply, 500, "no memory\n");
	else
		*reply = (struct control_reply){ .status = 200, .type = type, .text = text, .bytes = bytes };
}

static void status_answer(struct control_http *h, struct control_reply *reply)
{
	const struct engine_status *s;
	const struct catalogue *in_force;
	size_t bytes = 0;

	if (control_mail_status(h->mail, &s, &in_force) != ANSWER_DONE) {
		control_reply_silent(reply);
		return;
	}
	char *text = control_status_text(s, in_force, wall_ns(), &bytes);
	control_mail_release(h->mail);
	text_give(reply, "application/json", text, bytes);
}

static void metrics_answer(struct control_http *h, struct control_reply *reply)
{
	const struct engine_status *s;
	const struct catalogue *in_force;
	size_t bytes = 0;

	if (control_mail_status(h->mail, &s, &in_force) != ANSWER_DONE) {
		control_reply_silent(reply);
		return;
	}
	char *text = control_metrics_text(s, in_force, &bytes);
	control_mail_release(h->mail);
	text_give(reply, "text/plain; version=0.0.4; charset=utf-8", text, bytes);
}

static void health_answer(struct control_http *h, struct control_reply *reply)
{
	const struct engine_status *s;
	const struct catalogue *in_force;

	if (control_mail_status(h->mail, &s, &in_force) != ANSWER_DONE) {
		control_reply_silent(reply);
		return;
	}
	control_mail_release(h->mail);
	control_reply_set(reply, 200, "ok\n");
}

static void reload_answer(struct control_http *h, struct control_reply *reply)
{
	control_reload_run(h->mail, h->reload_turn, reply);
}

static void checkpoint_answer(struct control_http *h, struct control_reply *reply)
{
	if (control_mail_checkpoint(h->mail) == ANSWER_DONE)
		control_reply_set(reply, 200, "a checkpoint is due\n");
	else
		control_reply_silent(reply);
}

static const struct route {
	const char *path, *method;
	void (*answer)(struct control_http *h, struct control_reply *reply);
	const char *what;
} routes[] = {
	{ "/status", "GET", status_answer, "what goes in and where it ends, as JSON" },
	{ "/metrics", "GET", metrics_answer, "the same for Prometheus" },
	{ "/health", "GET", health_answer, "ok when the engine answers" },
	{ "/reload", "POST", reload_answer, "compile the catalogue directory and put it in force" },
	{ "/checkpoint", "POST", checkpoint_answer, "make a checkpoint soon" },
};

static void unknown_answer(const char *path, struct control_reply *reply)
{
	char list[1024] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		n += (size_t)snprintf(list + n, sizeof list - n, "%-4s %-12s %s\n", routes[i].method,
				      routes[i].path, routes[i].what);
	control_reply_set(reply, 404, "there is no %.100s; there are\n%s", path, list);
}

void control_http_answer(struct control_http *h, const char *method, const char *path,
			 struct control_reply *reply, const char **allow)
{
	*allow = NULL;
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		const struct route *r = &routes[i];
		bool head = strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0;
		if (strcmp(r->path, path) != 0)
			continue;
		if (head || strcmp(method, r->method) == 0) {
			r->answer(h, reply);
			return;
		}
		*allow = strcmp(r->method, "GET") ? r->method : "GET, HEAD";
		control_reply_set(reply, 405, "%s takes %s\n", path, *allow);
		return;
	}
	unknown_answer(path, reply);
}

static enum MHD_Result reply_send(struct MHD_Connection *connection, const struct control_reply *reply,
				  const char *allow)
{
	static char sorry[] = "no memory\n";
	bool given = reply->text != NULL;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		given ? reply->bytes : sizeof sorry - 1, given ? reply->text : sorry,
		given ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!response) {
		free(reply->text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", reply->type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (allow)
		MHD_add_response_header(response, "Allow", allow);
	enum MHD_Result result = MHD_queue_response(connection, given ? reply->status : 500, response);
	MHD_destroy_response(response);
	return result;
}

/* Called once for the head, then for each piece of a body, then with no piece: that is when to answer. */
static enum MHD_Result request_take(void *ctx, struct MHD_Connection *connection, const char *path,
				    const char *method, const char *version, const char *upload,
				    size_t *upload_bytes, void **state)
{
	static char seen[] = "";
	struct control_reply reply = { 0 };
	const char *allow;

	(void)version;
	(void)upload;
	if (!*state || *upload_bytes) {
		*state = seen;
		*upload_bytes = 0;
		return MHD_YES;
	}
	control_http_answer(ctx, method, path, &reply, &allow);
	return reply_send(connection, &reply, allow);
}

static int address_parse(const char *admin, bool insecure, struct sockaddr_in *out, char *why,
			 size_t why_bytes)
{
	const char *colon = strrchr(admin, ':');
	char address[INET_ADDRSTRLEN] = "", *end = NULL;
	unsigned long port = 65536;

	if (colon && (size_t)(colon - admin) < sizeof address && colon[1] >= '0' && colon[1] <= '9') {
		memcpy(address, admin, (size_t)(colon - admin));
		port = strtoul(colon + 1, &end, 10);
	}
	*out = (struct sockaddr_in){ .sin_family = AF_INET };
	if (!end || *end || port > 65535 || inet_pton(AF_INET, address, &out->sin_addr) != 1) {
		snprintf(why, why_bytes, "--admin %.100s: an IPv4 address and a port expected", admin);
		return -EINVAL;
	}
	out->sin_port = htons((uint16_t)port);
	if (ntohl(out->sin_addr.s_addr) >> 24 == 127 || insecure)
		return 0;
	snprintf(why, why_bytes,
		 "--admin %s: only loopback, until callers prove who they are (--insecure-listen in a test's "
		 "own network)",
		 admin);
	return -EPERM;
}

int control_http_start(struct control_http *h, const char *admin, bool insecure, char *why, size_t why_bytes)
{
	struct sockaddr_in address;
	int rc = address_parse(admin, insecure, &address, why, why_bytes);

	if (rc)
		return rc;
	errno = 0;
	h->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC,
		0, NULL, NULL, request_take, h, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_AT_ONCE_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_SECONDS_MAX, MHD_OPTION_END);
	if (!h->daemon) {
		rc = errno ? -errno : -EIO;
		snprintf(why, why_bytes, "--admin %s: %s", admin, strerror(-rc));
		return rc;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
	h->port = info ? info->port : ntohs(address.sin_port);
	return 0;
}

void control_http_stop(struct control_http *h)
{
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
}
