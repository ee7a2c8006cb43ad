/*
 * problems.c: the list of everything that is wrong with a catalogue.
 *
 * Problems come in as the compiler finds them and go out in order of file, line, column. The list and
 * its texts live in the list's own arena, so they outlive the compilation; a file's name is copied too.
 * When memory is out, a problem keeps its place in the count with a text that says so.
 */
#include "yaml.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void problems_init(struct problems *p)
{
	*p = (struct problems){ 0 };
	arena_init(&p->arena);
}

void problems_deinit(struct problems *p)
{
	free(p->list);
	arena_deinit(&p->arena);
	*p = (struct problems){ 0 };
}

static struct problem *list_push(struct problems *p)
{
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 64;
		struct problem *list = realloc(p->list, room * sizeof *list);
		if (!list)
			return NULL;
		p->list = list;
		p->room = room;
	}
	return &p->list[p->count++];
}

void problem_add_at(struct problems *p, const struct yaml_file *file, uint32_t line, uint32_t column,
		    const char *format, ...)
{
	char text[1024];
	const char *name = file ? file->display : "catalogue";
	struct problem *problem = list_push(p);
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!problem) { /* without memory the newest place says so */
		if (p->count)
			p->list[p->count - 1].text = "out of memory";
		return;
	}
	*problem = (struct problem){ .line = line, .column = column };
	problem->file = arena_copy(&p->arena, name, strlen(name));
	problem->text = arena_copy(&p->arena, text, strlen(text));
	if (!problem->file)
		problem->file = "catalogue";
	if (!problem->text)
		problem->text = "out of memory";
}

static int compare(const void *left, const void *right)
{
	const struct problem *a = left, *b = right;
	int order = strcmp(a->file, b->file);

	if (order)
		return order;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return strcmp(a->text, b->text);
}

void problems_sort(struct problems *p)
{
	size_t kept = 0;

	if (p->count < 2)
		return;
	qsort(p->list, p->count, sizeof *p->list, compare);
	for (size_t i = 0; i < p->count; i++) {
		if (kept && compare(&p->list[kept - 1], &p->list[i]) == 0)
			continue;
		p->list[kept++] = p->list[i];
	}
	p->count = kept;
}

void problems_print(const struct problems *p, FILE *to)
{
	for (size_t i = 0; i < p->count; i++)
		fprintf(to, "%s:%u:%u: %s\n", p->list[i].file, p->list[i].line, p->list[i].column,
			p->list[i].text);
}
