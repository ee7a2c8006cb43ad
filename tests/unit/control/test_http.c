// needs: user/control/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_http.c: the admin port and the reload, over real sockets, against a fake engine and a catalogue
 * directory of its own.
 */
#include "control_test.h"

#include <arpa/inet.h>
#include <control/inside.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

struct setup {
	struct fake fake;
	struct control *control;
	char dir[64], file[96];
};

static void catalogue_write(const struct setup *t, const char *yaml)
{
	FILE *f = fopen(t->file, "w");

	assert_non_null(f);
	assert_true(fputs(yaml, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct setup *t = calloc(1, sizeof *t);
	char why[256] = "";

	strcpy(t->dir, "/tmp/control-test-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->file, sizeof t->file, "%s/bank.yaml", t->dir);
	catalogue_write(t, bank_yaml);
	fake_start(&t->fake);
	t->fake.e->options.catalogue = t->dir;
	if (control_start(&t->control, t->fake.e, "127.0.0.1:0", false, why, sizeof why))
		fail_msg("%s", why);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setup *t = *state;

	fake_end(&t->fake);
	control_stop(t->control);
	fake_free(&t->fake);
	unlink(t->file);
	rmdir(t->dir);
	free(t);
	return 0;
}

struct answer {
	int code;
	char *head, *body; /* in one allocation */
	char *type, *allow;
};

static char *header_find(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	return at ? strndup(at + strlen(name), strcspn(at + strlen(name), "\r\n")) : NULL;
}

static int port_connect(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

/* One request, the answer read to its end. */
static struct answer ask_raw(uint16_t port, const char *request)
{
	struct answer a = { 0 };
	size_t n = 0, room = 4 << 20;
	ssize_t got;
	int fd = port_connect(port);

	a.head = malloc(room);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((got = recv(fd, a.head + n, room - n - 1, 0)) > 0)
		n += (size_t)got;
	close(fd);
	a.head[n] = 0;
	a.body = strstr(a.head, "\r\n\r\n");
	assert_non_null(a.body);
	a.body[2] = 0;
	a.body += 4;
	assert_int_equal(sscanf(a.head, "HTTP/1.%*d %d", &a.code), 1);
	a.type = header_find(a.head, "Content-Type: ");
	a.allow = header_find(a.head, "Allow: ");
	return a;
}

static struct answer ask(const struct setup *t, const char *method, const char *path)
{
	char request[256];

	snprintf(request, sizeof request, "%s %s HTTP/1.0\r\nHost: x\r\n\r\n", method, path);
	return ask_raw(control_port(t->control), request);
}

static void answer_free(struct answer *a)
{
	free(a->head);
	free(a->type);
	free(a->allow);
}

static void expect(const struct setup *t, const char *method, const char *path, int code, const char *body)
{
	struct answer a = ask(t, method, path);

	assert_int_equal(a.code, code);
	if (!strstr(a.body, body))
		fail_msg("%s %s: '%s' expected in '%s'", method, path, body, a.body);
	answer_free(&a);
}

static void http_gives_status_as_json(void **state)
{
	struct answer a = ask(*state, "GET", "/status");
	json_t *root = json_loads(a.body, 0, NULL);

	assert_int_equal(a.code, 200);
	assert_string_equal(a.type, "application/json");
	assert_non_null(root);
	/* the fake's numbers do not add up, and that shows */
	assert_true(json_is_false(json_object_get(root, "equations_hold")));
	assert_int_equal(json_array_size(json_object_get(root, "events_by_type")), 1);
	json_decref(root);
	answer_free(&a);
}

static void http_gives_metrics_as_prometheus_text(void **state)
{
	struct answer a = ask(*state, "GET", "/metrics");

	assert_int_equal(a.code, 200);
	assert_string_equal(a.type, "text/plain; version=0.0.4; charset=utf-8");
	assert_non_null(strstr(a.body, "\nmoment_outbox_legs{channel=\"push\",lane=\"critical\"} 41\n"));
	answer_free(&a);
}

static void http_says_that_the_engine_is_well(void **state)
{
	expect(*state, "GET", "/health", 200, "ok\n");
	expect(*state, "GET", "/health?verbose=1", 200, "ok\n");
}

static void http_asks_for_a_checkpoint(void **state)
{
	struct setup *t = *state;

	expect(t, "POST", "/checkpoint", 200, "a checkpoint is due");
	assert_int_equal(t->fake.checkpoints, 1);
}

static void http_lists_the_paths_when_it_knows_none(void **state)
{
	static const char *const paths[] = { "/", "/statu", "/status/", "/STATUS", "/../status", "/%2e" };

	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		struct answer a = ask(*state, "GET", paths[i]);
		assert_int_equal(a.code, 404);
		for (unsigned j = 0; j < 5; j++)
			assert_non_null(strstr(a.body, (const char *[]){ "GET  /status", "GET  /metrics",
									 "GET  /health", "POST /reload",
									 "POST /checkpoint" }[j]));
		answer_free(&a);
	}
}

static void http_says_which_method_a_path_takes(void **state)
{
	static const struct {
		const char *method, *path, *allow;
	} rows[] = { { "POST", "/status", "GET, HEAD" }, { "DELETE", "/metrics", "GET, HEAD" },
		     { "PUT", "/health", "GET, HEAD" },	 { "GET", "/reload", "POST" },
		     { "HEAD", "/checkpoint", "POST" },	 { "get", "/status", "GET, HEAD" } };
	struct setup *t = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer a = ask(t, rows[i].method, rows[i].path);
		assert_int_equal(a.code, 405);
		assert_string_equal(a.allow, rows[i].allow);
		answer_free(&a);
	}
	assert_int_equal(t->fake.checkpoints + t->fake.activations, 0);
}

static void http_answers_head_without_a_body(void **state)
{
	struct answer a = ask(*state, "HEAD", "/metrics");

	assert_int_equal(a.code, 200);
	assert_string_equal(a.body, "");
	answer_free(&a);
}

static void http_throws_a_body_away(void **state)
{
	struct setup *t = *state;
	size_t bytes = 100000;
	char *request = malloc(bytes + 256);
	int n = sprintf(request, "POST /checkpoint HTTP/1.0\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
			bytes);

	memset(request + n, 'x', bytes);
	request[(size_t)n + bytes] = 0;
	struct answer a = ask_raw(control_port(t->control), request);
	assert_int_equal(a.code, 200);
	assert_int_equal(t->fake.checkpoints, 1);
	answer_free(&a);
	free(request);
}

static void http_outlives_what_is_no_http(void **state)
{
	static const char *const bad[] = { "\r\n\r\n\r\n", "GET\r\n\r\n", "\001\002\003\r\n\r\n",
					   "GET /status HTTP/9.9\r\n\r\n" };
	struct setup *t = *state;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		int fd = port_connect(control_port(t->control));
		assert_int_equal(send(fd, bad[i], strlen(bad[i]), MSG_NOSIGNAL), strlen(bad[i]));
		close(fd);
	}
	expect(t, "GET", "/health", 200, "ok");
}

static void http_says_503_when_the_engine_is_silent(void **state)
{
	static const struct {
		const char *method, *path;
	} rows[] = { { "GET", "/health" },
		     { "GET", "/status" },
		     { "GET", "/metrics" },
		     { "POST", "/checkpoint" },
		     { "POST", "/reload" } };
	struct setup *t = *state;

	t->fake.silent = true;
	t->control->mail.wait_ns = 20000000;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		expect(t, rows[i].method, rows[i].path, 503, "the engine does not answer");
	t->fake.silent = false;
	engine_wake(t->fake.e);
	t->control->mail.wait_ns = 5000000000;
	expect(t, "GET", "/health", 200, "ok");
}

/* ---- reload ---- */

#define MORE                                                                                                 \
	"critical: { hello: { events: [login], when: 'true', repeat: every, message: hello, channels: "      \
	"[push] } }\n"

static void reload_leaves_the_same_content_alone(void **state)
{
	struct setup *t = *state;

	/* the first brings the directory's names into force, which the hash covers */
	expect(t, "POST", "/reload", 200, "catalogue ");
	int activations = t->fake.activations;
	expect(t, "POST", "/reload", 200, "unchanged: catalogue ");
	assert_int_equal(t->fake.activations, activations);
}

static void reload_puts_a_changed_catalogue_in_force(void **state)
{
	struct setup *t = *state;
	char text[2048], hash[33];

	snprintf(text, sizeof text, "%s%s", bank_yaml, MORE);
	catalogue_write(t, text);
	struct answer a = ask(t, "POST", "/reload");
	if (a.code != 200)
		fail_msg("%s", a.body);
	control_hash(hash, t->fake.e->core.catalogue->hash);
	snprintf(text, sizeof text, "catalogue %s is in force\n", hash);
	assert_string_equal(a.body, text);
	assert_int_equal(t->fake.e->core.catalogue->rule_count, 1);
	answer_free(&a);
	expect(t, "GET", "/status", 200, hash);
}

static void reload_lists_all_problems_and_keeps_the_old_one(void **state)
{
	struct setup *t = *state;
	struct catalogue *before = t->fake.e->core.catalogue;
	char text[2048];
	unsigned lines = 0;

	snprintf(text, sizeof text,
		 "%scritical:\n  a: { events: [logn], when: '1 +', message: hello }\nnonsense: 1\n",
		 bank_yaml);
	catalogue_write(t, text);
	struct answer a = ask(t, "POST", "/reload");
	assert_int_equal(a.code, 409);
	for (const char *line = a.body; *line; line = strchr(line, '\n') + 1, lines++)
		assert_non_null(strstr(line, "bank.yaml:"));
	assert_true(lines >= 3);
	assert_non_null(strstr(a.body, "login")); /* did you mean */
	assert_ptr_equal(t->fake.e->core.catalogue, before);
	assert_int_equal(t->fake.activations, 0);
	answer_free(&a);
}

static void reload_says_why_there_is_nothing_to_read(void **state)
{
	struct setup *t = *state;

	t->fake.e->options.catalogue = "/nowhere/at/all";
	expect(t, "POST", "/reload", 409, "/nowhere/at/all");
	t->fake.e->options.catalogue = NULL;
	expect(t, "POST", "/reload", 409, "--catalogue");
}

static void reload_says_why_the_engine_refuses(void **state)
{
	struct setup *t = *state;
	struct catalogue *before = t->fake.e->core.catalogue;

	t->fake.refuse = "attribute home: another type in the store";
	expect(t, "POST", "/reload", 409, "attribute home: another type in the store");
	assert_ptr_equal(t->fake.e->core.catalogue, before);
}

static bool wait_for(const _Atomic int *counter, int value)
{
	for (int i = 0; i < 5000 && atomic_load(counter) < value; i++)
		usleep(1000);
	return atomic_load(counter) == value;
}

static struct control *signalled; /* a handler gets no argument */

static void on_signal(int number)
{
	(void)number;
	errno = EXDEV;
	control_reload(signalled);
	if (errno != EXDEV)
		abort();
}

static void reload_comes_from_a_signal_handler(void **state)
{
	struct setup *t = *state;
	struct sigaction action = { .sa_handler = on_signal }, before;
	char text[2048];

	struct control closed = { .reload_fd = -1 };
	signalled = &closed; /* what fails inside leaves errno alone too */
	on_signal(SIGUSR1);
	signalled = t->control;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_true(wait_for(&t->fake.activations, 1));
	snprintf(text, sizeof text, "%s%s", bank_yaml, MORE);
	catalogue_write(t, text);
	for (int i = 0; i < 10; i++) /* many at once: at least one more reload, and no harm */
		assert_int_equal(raise(SIGUSR1), 0);
	assert_true(wait_for(&t->fake.activations, 2));
	sigaction(SIGUSR1, &before, NULL);
	expect(t, "POST", "/reload", 200, "unchanged");
}

/* ---- start and stop ---- */

static void control_refuses_a_bad_address(void **state)
{
	static const struct {
		const char *admin;
		int rc;
	} rows[] = { { "127.0.0.1", -EINVAL },
		     { "127.0.0.1:", -EINVAL },
		     { ":7480", -EINVAL },
		     { "127.0.0.1:65536", -EINVAL },
		     { "127.0.0.1:1x", -EINVAL },
		     { "127.0.0.1:-1", -EINVAL },
		     { "127.0.0.1: 1", -EINVAL },
		     { "localhost:7480", -EINVAL },
		     { "[::1]:7480", -EINVAL },
		     { "", -EINVAL },
		     { "1.2.3.4.5.6.7.8.9.10.11.12:1", -EINVAL },
		     { "0.0.0.0:0", -EPERM },
		     { "10.0.0.1:7480", -EPERM },
		     { "128.0.0.1:7480", -EPERM } };
	struct setup *t = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct control *c = (struct control *)t;
		char why[256] = "";
		assert_int_equal(control_start(&c, t->fake.e, rows[i].admin, false, why, sizeof why),
				 rows[i].rc);
		assert_null(c);
		assert_non_null(strstr(why, "--admin"));
	}
}

static void control_listens_elsewhere_only_when_insisted_on(void **state)
{
	struct setup *t = *state;
	struct control *c;
	char why[256] = "";

	assert_int_equal(control_start(&c, t->fake.e, "0.0.0.0:0", true, why, sizeof why), 0);
	assert_int_not_equal(control_port(c), 0);
	control_stop(c);
}

static void control_says_that_a_port_is_in_use(void **state)
{
	struct setup *t = *state;
	struct control *c;
	char why[256] = "", admin[32];

	snprintf(admin, sizeof admin, "127.0.0.1:%u", control_port(t->control));
	assert_int_equal(control_start(&c, t->fake.e, admin, false, why, sizeof why), -EADDRINUSE);
	assert_null(c);
	assert_non_null(strstr(why, "in use"));
}

static void control_reloads_without_an_admin_port(void **state)
{
	struct setup *t = *state;
	struct control *c;
	char why[256] = "";

	assert_int_equal(control_start(&c, t->fake.e, NULL, false, why, sizeof why), 0);
	assert_int_equal(control_port(c), 0);
	control_reload(c);
	assert_true(wait_for(&t->fake.activations, 1));
	control_stop(c);
	control_stop(NULL);
}

/* A 503 or nothing at all, whichever is first: the end of the connection is what counts. */
static void *slow_ask(void *ctx)
{
	int fd = port_connect(*(uint16_t *)ctx);
	static const char request[] = "GET /status HTTP/1.0\r\n\r\n";
	char answer[1024];

	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0)
		while (recv(fd, answer, sizeof answer, 0) > 0)
			;
	close(fd);
	return NULL;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void control_stops_at_once_with_a_request_waiting(void **state)
{
	struct setup *t = *state;
	pthread_t asker;
	char why[256] = "";
	uint16_t port = control_port(t->control);

	t->fake.silent = true;
	t->control->mail.wait_ns = 30000000000;
	assert_int_equal(pthread_create(&asker, NULL, slow_ask, &port), 0);
	for (int i = 0; i < 5000 && atomic_load(&t->fake.e->mail.kind) != MAIL_STATUS; i++)
		usleep(1000);
	assert_int_equal(t->fake.e->mail.kind, MAIL_STATUS);
	int64_t from = now_ms();
	fake_end(&t->fake);
	control_stop(t->control);
	assert_true(now_ms() - from < 5000);
	pthread_join(asker, NULL);
	/* for teardown */
	assert_int_equal(control_start(&t->control, t->fake.e, NULL, false, why, sizeof why), 0);
	t->fake.stop = false;
	assert_int_equal(pthread_create(&t->fake.thread, NULL, fake_loop, &t->fake), 0);
}

static void control_leaves_the_callers_cpu_and_signals_as_they_were(void **state)
{
	struct setup *t = *state;
	cpu_set_t before, pinned, after;
	sigset_t signals;
	struct control *c;
	char why[256] = "";
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&pinned);
	CPU_SET(cpu, &pinned);
	assert_int_equal(sched_setaffinity(0, sizeof pinned, &pinned), 0);
	t->fake.e->options.cpu = cpu;
	assert_int_equal(control_start(&c, t->fake.e, NULL, false, why, sizeof why), 0);
	assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
	assert_true(CPU_EQUAL(&pinned, &after));
	pthread_sigmask(SIG_SETMASK, NULL, &signals);
	assert_false(sigismember(&signals, SIGHUP));
	if (CPU_COUNT(&before) > 1) { /* its own thread is not where the engine is */
		assert_int_equal(pthread_getaffinity_np(c->thread, sizeof after, &after), 0);
		assert_false(CPU_ISSET(cpu, &after));
	}
	control_stop(c);
	sched_setaffinity(0, sizeof before, &before);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(http_gives_status_as_json),
		CASE(http_gives_metrics_as_prometheus_text),
		CASE(http_says_that_the_engine_is_well),
		CASE(http_asks_for_a_checkpoint),
		CASE(http_lists_the_paths_when_it_knows_none),
		CASE(http_says_which_method_a_path_takes),
		CASE(http_answers_head_without_a_body),
		CASE(http_throws_a_body_away),
		CASE(http_outlives_what_is_no_http),
		CASE(http_says_503_when_the_engine_is_silent),
		CASE(reload_leaves_the_same_content_alone),
		CASE(reload_puts_a_changed_catalogue_in_force),
		CASE(reload_lists_all_problems_and_keeps_the_old_one),
		CASE(reload_says_why_there_is_nothing_to_read),
		CASE(reload_says_why_the_engine_refuses),
		CASE(reload_comes_from_a_signal_handler),
		CASE(control_refuses_a_bad_address),
		CASE(control_listens_elsewhere_only_when_insisted_on),
		CASE(control_says_that_a_port_is_in_use),
		CASE(control_reloads_without_an_admin_port),
		CASE(control_stops_at_once_with_a_request_waiting),
		CASE(control_leaves_the_callers_cpu_and_signals_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
