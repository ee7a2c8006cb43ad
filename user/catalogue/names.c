/*
 * names.c: tables of names, the search in them, and the nearest name for one that is misspelt.
 *
 * Names in, numbers out. A table is sorted by bytes, so nothing depends on a hash. A suggestion is the
 * name at the smallest edit distance (insert, delete, replace, swap neighbours), at most a third of the
 * length away and at most 3; ties go to the first by bytes. It costs a walk over the table, so that a
 * catalogue with thousands of wrong names gets them for the first few hundred only.
 */
#include "compile.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *build_take(struct build *b, size_t bytes)
{
	void *p = arena_take(&b->c->arena, bytes);

	if (!p)
		longjmp(b->no_memory, 1);
	return p;
}

void *build_scratch(struct build *b, size_t bytes)
{
	void *p = arena_take(&b->scratch, bytes);

	if (!p)
		longjmp(b->no_memory, 1);
	return p;
}

const char *build_copy(struct build *b, const char *s, size_t len)
{
	char *p = build_take(b, len + 1);

	memcpy(p, s, len);
	return p;
}

void build_problem(struct build *b, const struct node *at, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problem_add_at(b->problems,
		       at	       ? at->file
		       : b->file_count ? &b->files[0]
				       : NULL,
		       at ? at->line : 1, at ? at->column : 1, "%s", text);
}

static unsigned min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance; above `most` the result is most + 1. */
static unsigned distance(const char *a, const char *b, unsigned most)
{
	unsigned row[3][NAME_BYTES_MAX + 2], *before = row[0], *last = row[1], *now = row[2];
	size_t n = strlen(a), m = strlen(b);

	if (n > NAME_BYTES_MAX || m > NAME_BYTES_MAX || (n > m ? n - m : m - n) > most)
		return most + 1;
	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *turn = before, best = now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			now[j] =
				min_of(min_of(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min_of(now[j], before[j - 2] + 1);
			best = min_of(best, now[j]);
		}
		if (best > most)
			return most + 1;
		before = last;
		last = now;
		now = turn;
	}
	return last[m];
}

static unsigned distance_allowed(const char *name)
{
	size_t n = strlen(name);

	return n < 3 ? 1 : n < 9 ? 2 : 3;
}

const char *list_suggest(const char *const *list, size_t n, const char *name, char *out, size_t room)
{
	unsigned most = distance_allowed(name);
	const char *best = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(name, list[i], most);
		if (d > most || d >= strlen(name) || d == 0)
			continue;
		best = list[i];
		if (d == 1)
			break;
		most = d - 1;
	}
	out[0] = 0;
	if (best)
		snprintf(out, room, "; did you mean '%s'?", best);
	return out;
}

const char *names_suggest(struct build *b, const struct names *names, const char *name, char *out,
			  size_t room)
{
	out[0] = 0;
	if (b->suggestions == 0)
		return out;
	b->suggestions--;
	return list_suggest(names->name, names->count, name, out, room);
}

struct name_at {
	const char *name;
	uint32_t number;
};

static int compare_names(const void *left, const void *right)
{
	const struct name_at *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	return order ? order : a->number < b->number ? -1 : a->number > b->number;
}

void names_build_list(struct build *b, struct names *names, const char *const *list, uint32_t count)
{
	struct name_at *sorted = build_scratch_array(b, struct name_at, count + 1);

	for (uint32_t i = 0; i < count; i++)
		sorted[i] = (struct name_at){ list[i], i };
	qsort(sorted, count, sizeof *sorted, compare_names);
	names->count = count;
	names->name = build_scratch_array(b, const char *, count + 1);
	names->number = build_scratch_array(b, uint32_t, count + 1);
	for (uint32_t i = 0; i < count; i++) {
		names->name[i] = sorted[i].name;
		names->number[i] = sorted[i].number;
	}
}

void names_build(struct build *b, struct names *names, const struct section *section)
{
	const char **list = build_scratch_array(b, const char *, section->count + 1);

	for (uint32_t i = 0; i < section->count; i++)
		list[i] = section->entries[i].name;
	names_build_list(b, names, list, section->count);
}

int64_t names_find(const struct names *names, const char *name)
{
	uint32_t low = 0, high = names->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (strcmp(names->name[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < names->count && strcmp(names->name[low], name) == 0)
		return names->number[low];
	return -1;
}

int64_t names_resolve(struct build *b, const struct names *names, const struct node *at, const char *what)
{
	char found[96], near[96];
	int64_t number;

	if (at->kind != NODE_SCALAR) {
		build_problem(b, at, "found %s, expected the name of %s", node_found(at, found, sizeof found),
			      what);
		return -1;
	}
	number = names_find(names, at->text);
	if (number < 0 && !b->incomplete)
		build_problem(b, at, "found '%.80s', expected the name of %s%s", at->text, what,
			      names_suggest(b, names, at->text, near, sizeof near));
	return number;
}
