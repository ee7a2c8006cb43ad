/*
 * catalogue_test.h: a directory of files made for one case, and what compiling it said.
 */
#ifndef CATALOGUE_TEST_H
#define CATALOGUE_TEST_H

#include <catalogue/catalogue.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A small bank that every row may build on. */
__attribute__((unused)) static const char base_yaml[] =
	"bank: { currency: EUR, zone: Europe/Madrid, language: en, starts: empty }\n"
	"rates: { USD: 0.92, JPY: 0.00615 }\n"
	"events:\n"
	"  card.purchase: { code: 1, body: { merchant: string, lat: double } }\n"
	"  transfer.out: { code: 4, body: { payee: string } }\n"
	"  login: { code: 10, history: rules }\n"
	"groups: { debit: [card.purchase, transfer.out] }\n"
	"profile: { home: { type: int }, language: { type: string } }\n"
	"aggregates:\n"
	"  n_10m: { over: [card.purchase], count: true, within: 10m }\n"
	"  spent: { over: [debit], sum: amount, within: 24h, per: account }\n"
	"channels: { push: { max: 240 }, sms: { max: 160 } }\n"
	"messages: { hello: { en: 'Hello' }, spent: { en: 'You spent {event.amount, money}' } }\n";

struct compiled {
	struct catalogue *c;
	struct problems problems;
	int rc;
	char dir[64];
	char *text; /* the problems, a line each, without the directory */
};

static void write_file(const char *dir, const char *name, const char *bytes, size_t len)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static void problems_text(struct compiled *k)
{
	size_t len = 0, skip = strlen(k->dir) + 1;
	FILE *f = open_memstream(&k->text, &len);

	for (size_t i = 0; i < k->problems.count; i++) {
		const struct problem *p = &k->problems.list[i];
		const char *file = strncmp(p->file, k->dir, skip - 1) == 0 && strlen(p->file) > skip
					   ? p->file + skip
					   : p->file;
		fprintf(f, "%s:%u:%u: %s\n", file, p->line, p->column, p->text);
	}
	fclose(f);
}

/* Compiles files given as name, text pairs; NULL ends. */
__attribute__((unused)) static struct compiled compile_files(const char *name, ...)
{
	struct compiled k = { 0 };
	const char *names[16];
	unsigned n = 0;
	va_list args;

	problems_init(&k.problems);
	strcpy(k.dir, "/tmp/moment-catalogue-XXXXXX");
	assert_non_null(mkdtemp(k.dir));
	va_start(args, name);
	for (; name; name = va_arg(args, const char *)) {
		const char *text = va_arg(args, const char *);
		assert_true(n < ARRAY_LEN(names));
		names[n++] = name;
		write_file(k.dir, name, text, strlen(text));
	}
	va_end(args);
	k.rc = catalogue_compile_dir(k.dir, &k.c, &k.problems);
	assert_true((k.rc == 0) == (k.c != NULL));
	problems_text(&k);
	while (n > 0) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", k.dir, names[--n]);
		unlink(path);
	}
	rmdir(k.dir);
	return k;
}

__attribute__((unused)) static void compiled_free(struct compiled *k)
{
	catalogue_free(k->c);
	problems_deinit(&k->problems);
	free(k->text);
}

#endif
