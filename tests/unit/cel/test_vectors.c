// needs: tests/cel/vectors.c tests/cel/zones.c user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_vectors.c: conformance vectors: our own in tests/cel, and those of the CEL project in ../shared/cel
 * when it is there (CEL_VECTORS names another directory). All of them pass, and a wrong one fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../cel/vectors.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void directory_passes(const char *directory, unsigned least)
{
	struct vectors_count count = { 0 };
	int rc = vectors_run(directory, &count);

	if (rc == -ENOENT) {
		print_message("skipped: no %s\n", directory);
		skip();
	}
	assert_int_equal(rc, 0);
	print_message("%s: %u passed, %u failed\n", directory, count.passed, count.failed);
	assert_int_equal(count.failed, 0);
	assert_true(count.passed >= least);
}

static void vectors_of_the_cel_project_give_their_answers(void **state)
{
	(void)state;
	directory_passes(getenv("CEL_VECTORS") ? getenv("CEL_VECTORS") : "../shared/cel", 1);
}

static void own_vectors_give_their_answers(void **state)
{
	(void)state;
	directory_passes("tests/cel", 400);
}

/* Each line is wrong in one way, and counted as failed. */
static void a_wrong_vector_fails(void **state)
{
	static const char *const lines[] = {
		"{\"name\": \"wrong value\", \"expr\": \"1 + 1\", \"value\": {\"int\": \"3\"}}",
		"{\"name\": \"wrong type\", \"expr\": \"1 + 1\", \"value\": {\"double\": \"2\"}}",
		"{\"name\": \"wrong sign\", \"expr\": \"0.0\", \"value\": {\"double\": \"-0.0\"}}",
		"{\"name\": \"wrong list\", \"expr\": \"[1, 2]\", \"value\": {\"list\": [{\"int\": \"1\"}]}}",
		"{\"name\": \"wrong element\", \"expr\": \"[1]\", \"value\": {\"list\": [{\"int\": \"2\"}]}}",
		"{\"name\": \"no error\", \"expr\": \"1 + 1\", \"error\": true}",
		"{\"name\": \"error\", \"expr\": \"1 / 0\", \"value\": {\"int\": \"0\"}}",
		"{\"name\": \"refused\", \"expr\": \"1 +\", \"value\": {\"int\": \"1\"}}",
		"{\"name\": \"neither\", \"expr\": \"1\"}",
		"{\"name\": \"both\", \"expr\": \"1\", \"value\": {\"int\": \"1\"}, \"error\": true}",
		"{\"name\": \"unknown type\", \"expr\": \"1\", \"value\": {\"uint\": \"1\"}}",
		"{\"name\": \"no JSON\"",
	};
	char directory[] = "/tmp/moment-vectors-XXXXXX", path[64];
	struct vectors_count count = { 0 };

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/wrong.ndjson", directory);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		fprintf(f, "%s\n\n", lines[i]);
	fclose(f);
	int rc = vectors_run(directory, &count);
	unlink(path);
	rmdir(directory);
	assert_int_equal(rc, 0);
	assert_int_equal(count.passed, 0);
	assert_int_equal(count.failed, sizeof lines / sizeof lines[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_the_cel_project_give_their_answers),
		cmocka_unit_test(own_vectors_give_their_answers),
		cmocka_unit_test(a_wrong_vector_fails),
	};

	return cmocka_run_group_tests_name("cel_vectors", tests, NULL, NULL);
}
