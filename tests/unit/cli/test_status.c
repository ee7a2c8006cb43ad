// needs: user/base/bytes.c user/base/frame.c user/cli/status.c user/cli/client.c
/*
 * test_status.c: `moment status` against a scripted admin port: the exit code says whether the ledger adds
 * up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"

struct admin {
	int listener;
	char address[32], request[512];
	const char *answer;
	pthread_t thread;
};

static void *admin_run(void *arg)
{
	struct admin *a = arg;
	int fd = accept(a->listener, NULL, NULL);
	ssize_t n = recv(fd, a->request, sizeof(a->request) - 1, 0);

	a->request[n > 0 ? n : 0] = 0;
	send(fd, a->answer, strlen(a->answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static int status(const char *answer, bool as_json, char *printed, size_t room)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	struct admin a = { .answer = answer };
	char name[] = "status", option[] = "--admin", json[] = "--json";
	char *argv[] = { name, option, a.address, as_json ? json : NULL, NULL };
	int saved = dup(1), code;
	FILE *out = tmpfile();

	a.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(a.listener, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(a.listener, 1), 0);
	assert_int_equal(getsockname(a.listener, (struct sockaddr *)&at, &len), 0);
	snprintf(a.address, sizeof(a.address), "127.0.0.1:%u", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&a.thread, NULL, admin_run, &a), 0);
	fflush(stdout);
	dup2(fileno(out), 1);
	code = cli_status(as_json ? 4 : 3, argv);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	pthread_join(a.thread, NULL);
	close(a.listener);
	rewind(out);
	printed[fread(printed, 1, room - 1, out)] = 0;
	fclose(out);
	assert_memory_equal(a.request, "GET /status HTTP/1.", 19);
	return code;
}

#define OK_HEAD "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"

static void equations_decide_the_exit_code(void **state)
{
	static const struct {
		const char *answer;
		int code;
	} rows[] = {
		{ OK_HEAD "{\"equations\": [{\"name\": \"causes\", \"holds\": true}]}", CLI_OK },
		{ OK_HEAD "{\"equations\": [{\"name\": \"causes\", \"holds\": true}, {\"holds\": false}]}",
		  CLI_FAILED },
		{ OK_HEAD "{\"ledger\": {\"hits\": {\"holds\": false}}}", CLI_FAILED },
		{ OK_HEAD "{\"events\": 5}", CLI_OK },
		{ OK_HEAD "{\"equations_hold\": true}", CLI_OK },
		{ OK_HEAD "{\"equations_hold\": false}", CLI_FAILED },
		{ OK_HEAD "{\"equations_hold\": \"yes\"}", CLI_FAILED },
		{ OK_HEAD "not json", CLI_FAILED },
		{ OK_HEAD, CLI_FAILED },
		{ "HTTP/1.0 404 Not Found\r\n\r\n{}", CLI_FAILED },
		{ "", CLI_FAILED },
		{ "HTTP/1.0 200 OK\r\n", CLI_FAILED },
	};
	char printed[4096];

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
		for (int json = 0; json < 2; json++)
			assert_int_equal(status(rows[k].answer, json, printed, sizeof(printed)),
					 rows[k].code);
}

static void json_is_printed_as_it_came(void **state)
{
	char printed[4096];

	(void)state;
	assert_int_equal(status(OK_HEAD "{\"b\":1,  \"a\": {}}", true, printed, sizeof(printed)), CLI_OK);
	assert_string_equal(printed, "{\"b\":1,  \"a\": {}}\n");
}

static void text_names_each_number(void **state)
{
	char printed[4096];

	(void)state;
	assert_int_equal(
		status(OK_HEAD
		       "{\"events\": {\"DECIDED\": 41}, \"sources\": [{\"name\": \"core\", \"seen\": 7}]}",
		       false, printed, sizeof(printed)),
		CLI_OK);
	assert_non_null(strstr(printed, "DECIDED"));
	assert_non_null(strstr(printed, " 41\n"));
	assert_non_null(strstr(printed, "\n  name  seen\n  core     7\n"));
}

static void nobody_there_ends_with_3_and_nonsense_with_2(void **state)
{
	char name[] = "status", option[] = "--admin", nobody[] = "127.0.0.1:1", nonsense[] = "nowhere",
	     extra[] = "x";
	char *closed[] = { name, option, nobody, NULL }, *wrong[] = { name, option, nonsense, NULL };
	char *more[] = { name, extra, NULL };

	(void)state;
	assert_int_equal(cli_status(3, closed), CLI_NO_CONNECTION);
	assert_int_equal(cli_status(3, wrong), CLI_USAGE);
	assert_int_equal(cli_status(2, more), CLI_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equations_decide_the_exit_code),
		cmocka_unit_test(json_is_printed_as_it_came),
		cmocka_unit_test(text_names_each_number),
		cmocka_unit_test(nobody_there_ends_with_3_and_nonsense_with_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
