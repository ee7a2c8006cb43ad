// needs: tests/cel/vectors.c tests/cel/zones.c user/cel/*.c user/base/money.c user/base/arena.c
/*
 * main.c: cel-vectors DIR: the conformance vectors of a directory (vectors.h). Ends with `N passed, N
 * failed`; 0 when none failed and there was one, 1 when one failed, 2 when nothing could be run.
 */
#include "vectors.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct vectors_count count = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: cel-vectors DIR\n");
		return 2;
	}
	int rc = vectors_run(argv[1], &count);
	if (rc != 0) {
		fprintf(stderr, "cel-vectors: %s: %s\n", argv[1], strerror(-rc));
		return 2;
	}
	if (count.files == 0) {
		fprintf(stderr, "cel-vectors: %s: no *.ndjson\n", argv[1]);
		return 2;
	}
	printf("%u passed, %u failed\n", count.passed, count.failed);
	return count.failed > 0 || count.passed == 0;
}
