// needs: user/base/frame.c user/base/bytes.c
/*
 * test_client_py.c: schemas/client.py, written from schemas/frame.md alone, is understood by our parser, and
 * ends as it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "fake_engine.h"

/* Runs the client with `lines` events; its exit code. */
static int client(const struct fake *f, const char *event, unsigned lines)
{
	char path[] = "/tmp/test_client_py.XXXXXX", command[300], host[32];
	FILE *in = fdopen(mkstemp(path), "w");
	int status;

	assert_non_null(in);
	for (unsigned i = 0; i < lines; i++)
		fprintf(in, "%s\n", event);
	fclose(in);
	snprintf(host, sizeof(host), "%.*s %s", (int)strcspn(f->address, ":"), f->address,
		 strchr(f->address, ':') + 1);
	snprintf(command, sizeof(command), "python3 schemas/client.py %s py < %s 2> /dev/null", host, path);
	status = system(command);
	unlink(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char event[] =
	"{\"type\": 1, \"customer\": 7, \"time\": 1772443800000000000, \"amount\": 1250, \"currency\": 978, "
	"\"body\": {\"merchant\": \"Caf\xc3\xa9\", \"lat\": 40.5, \"list\": [1, null, true, -70000]}}";

static void the_python_client_is_acknowledged(void **state)
{
	struct fake f = { 0 };

	(void)state;
	fake_start(&f);
	assert_int_equal(client(&f, event, 500), 0);
	fake_stop(&f);
	assert_int_equal(f.taken, 500);
	assert_int_equal(f.wrong, 0);
	assert_int_equal(f.last.type, 1);
	assert_int_equal(f.last.customer, 7);
	assert_int_equal(f.last.amount, 1250);
	assert_true(f.last.time == 1772443800000000000);
	assert_true(f.last.balance == FRAME_BALANCE_NO_DATA);
	assert_true(f.in_flight_most <= f.window_bytes / FRAME_BYTES_MAX);
}

static void the_python_client_says_that_it_was_refused(void **state)
{
	struct fake f = { .refuse = "BUSY" };

	(void)state;
	fake_start(&f);
	assert_int_equal(client(&f, event, 1), 1);
	fake_stop(&f);
	assert_int_equal(f.connections, 1);
}

static void the_python_client_with_nothing_to_say_ends_well(void **state)
{
	struct fake f = { 0 };

	(void)state;
	fake_start(&f);
	assert_int_equal(client(&f, event, 0), 0);
	fake_stop(&f);
	assert_int_equal(f.taken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_python_client_is_acknowledged),
		cmocka_unit_test(the_python_client_says_that_it_was_refused),
		cmocka_unit_test(the_python_client_with_nothing_to_say_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
