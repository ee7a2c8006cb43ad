/*
 * textfile.c: one buffer over a file or over the output of gzip.
 *
 * Lines and peeked bytes point into the buffer until the next call. Owned: the descriptor, the buffer and the
 * child. What can go wrong: the file is not there, gzip is not there or finds damage (told at close), a
 * line does not fit.
 */
#include "textfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Replaces t->fd by the output of gzip over the same file. */
static int unzip(struct textfile *t, const char *path)
{
	const char *argv[] = { "gzip", "-dc", "--", path, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	result = posix_spawnp(&t->child, "gzip", &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	close(t->fd);
	t->fd = ends[0];
	if (result != 0)
		t->child = 0;
	t->at = t->end = 0;
	return -result;
}

int textfile_open(struct textfile *t, const char *path)
{
	const char *bytes = NULL;
	long n;
	int result;

	*t = (struct textfile){ .fd = -1, .buffer = malloc(TEXTFILE_BYTES) };
	if (!t->buffer)
		return -ENOMEM;
	t->fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
	result = t->fd < 0 ? -errno : 0;
	n = result ? result : textfile_peek(t, 2, &bytes);
	if (n < 0)
		result = (int)n;
	else if (n == 2 && memcmp(bytes, "\x1f\x8b", 2) == 0 && strcmp(path, "-") != 0)
		result = unzip(t, path);
	if (result)
		textfile_close(t);
	return result;
}

int textfile_close(struct textfile *t)
{
	int status = 0;

	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	if (t->child > 0)
		waitpid(t->child, &status, 0);
	free(t->buffer);
	t->buffer = NULL;
	/* that gzip could not write because we did not read to the end is no damage */
	return t->child > 0 && t->ended && status != 0 ? -EIO : 0;
}

/* Reads more behind what is there. */
static int fill(struct textfile *t)
{
	ssize_t n;

	if (t->at > 0) {
		memmove(t->buffer, t->buffer + t->at, t->end - t->at);
		t->end -= t->at;
		t->at = 0;
	}
	n = read(t->fd, t->buffer + t->end, TEXTFILE_BYTES - t->end);
	if (n < 0)
		return -errno;
	t->ended = n == 0;
	t->end += (size_t)n;
	return 0;
}

long textfile_peek(struct textfile *t, size_t want, const char **bytes)
{
	assert(want <= TEXTFILE_BYTES);
	while (t->end - t->at < want && !t->ended) {
		int result = fill(t);

		if (result < 0)
			return result;
	}
	*bytes = t->buffer + t->at;
	return (long)(t->end - t->at < want ? t->end - t->at : want);
}

void textfile_take(struct textfile *t, size_t bytes)
{
	assert(bytes <= t->end - t->at);
	t->at += bytes;
}

static void line_give(struct textfile *t, size_t len, size_t with_end, const char **line, size_t *out)
{
	*line = t->buffer + t->at;
	*out = len > 0 && (*line)[len - 1] == '\r' ? len - 1 : len;
	t->at += with_end;
	t->line++;
}

int textfile_line(struct textfile *t, const char **line, size_t *len)
{
	size_t looked = 0;

	for (;;) {
		size_t there = t->end - t->at;
		const char *end = memchr(t->buffer + t->at + looked, '\n', there - looked);
		int result;

		if (end) {
			size_t n = (size_t)(end - (t->buffer + t->at));

			line_give(t, n, n + 1, line, len);
			return 1;
		}
		if (t->ended) {
			if (there > 0)
				line_give(t, there, there, line, len);
			return there > 0;
		}
		if (there == TEXTFILE_BYTES) {
			t->line++;
			return -E2BIG;
		}
		looked = there;
		result = fill(t);
		if (result < 0)
			return result;
	}
}
