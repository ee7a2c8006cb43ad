/*
 * textfile: a file, "-" for standard input, plain or .gz (through `gzip -dc`), by lines or by bytes.
 */
#ifndef CLI_TEXTFILE_H
#define CLI_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TEXTFILE_BYTES = 1 << 20 }; /* the buffer, and the longest line */

struct textfile {
	int fd;
	pid_t child; /* gzip, 0 = none */
	char *buffer;
	size_t at, end;
	bool ended;
	uint64_t line; /* number of the last one read, from 1 */
};

int textfile_open(struct textfile *t, const char *path); /* 0 or -errno */
/* 0, or -EIO when gzip said that the file is damaged. */
int textfile_close(struct textfile *t);
/* The next bytes without taking them, up to `want`: how many there are, or -errno. Lent until the next call.
 */
long textfile_peek(struct textfile *t, size_t want, const char **bytes);
void textfile_take(struct textfile *t, size_t bytes); /* at most what was peeked */
/* The next line, without its end: 1, 0 at the end, -E2BIG when it is longer than the buffer, -errno. */
int textfile_line(struct textfile *t, const char **line, size_t *len);

#endif
