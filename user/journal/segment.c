/*
 * segment: the files of the journal.
 *
 * In: a directory's fd. Out: files of zeros that are on the disk, ready to be written without the file system
 * having to allocate anything: not an extent, not a size. A file is never used twice, so that no old batch
 * can stand behind a new one. What goes wrong is the operating system's: -errno goes to the caller; a full
 * disk shows in fallocate, before anything was written. Called by journal_open and by the preparer, never by
 * the engine's path.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <journal/segment.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK_DEFAULT = 4096,
	BLOCK_MIN = 512,
	CHUNK_BYTES = 256 << 10, /* of zeros: a longer write would stand before the batches' own */
};

void segment_name(char name[SEGMENT_NAME_BYTES], uint64_t first_batch)
{
	snprintf(name, SEGMENT_NAME_BYTES, SEGMENT_NAME_FORMAT, (unsigned long long)first_batch);
}

int segment_why(char *why, size_t why_bytes, int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (why_bytes > 0)
		vsnprintf(why, why_bytes, format, list);
	va_end(list);
	return error;
}

/* ---- how to write ---- */

static int probe_write(int fd, uint32_t block)
{
	void *zeros = mmap(NULL, block, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t wrote;

	if (zeros == MAP_FAILED)
		return -errno;
	wrote = pwrite(fd, zeros, block, 0);
	wrote = wrote < 0 ? -errno : wrote;
	munmap(zeros, block);
	return wrote == (ssize_t)block ? 0 : wrote < 0 ? (int)wrote : -EIO;
}

/* The block that the file's device wants for O_DIRECT; 0 = refuses it; BLOCK_DEFAULT = does not say. */
static uint32_t probe_block(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN)) {
		uint32_t block = st.stx_dio_offset_align;

		if (block == 0 || block > BLOCK_DEFAULT || st.stx_dio_mem_align > BLOCK_DEFAULT)
			return 0;
		return block < BLOCK_MIN ? BLOCK_MIN : block;
	}
#endif
	return BLOCK_DEFAULT;
}

int segment_mode_find(int dir_fd, struct segment_mode *mode)
{
	static const char name[] = "spare-probe.tmp";
	int error = 0;
	int fd = openat(dir_fd, name, O_CREAT | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);

	*mode = (struct segment_mode){ .direct = fd >= 0, .block = BLOCK_DEFAULT };
	if (fd < 0 && errno != EINVAL)
		return -errno;
	if (fd >= 0) {
		mode->block = probe_block(fd);
		error = mode->block ? probe_write(fd, mode->block) : -EINVAL;
		if (error == -ENOSPC) /* a full disk must still be recovered: believe statx */
			error = 0;
		mode->direct = error == 0;
		close(fd);
	}
	if (!mode->direct)
		mode->block = BLOCK_DEFAULT;
	unlinkat(dir_fd, name, 0);
	return error == -EINVAL ? 0 : error;
}

/* ---- which there are ---- */

static bool name_number(const char *name, uint64_t *number)
{
	char again[SEGMENT_NAME_BYTES];

	if (strlen(name) != strlen("0000000000000001.seg"))
		return false;
	*number = strtoull(name, NULL, 16);
	segment_name(again, *number);
	return *number > 0 && strcmp(again, name) == 0;
}

static int number_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A directory stream of its own, so that the caller's fd keeps its place. NULL and errno. */
static DIR *list_open(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

static int list_add(uint64_t **numbers, uint32_t *count, uint64_t number)
{
	uint64_t *more = *numbers;

	if (*count % 64 == 0)
		more = realloc(*numbers, (*count + 64) * sizeof(**numbers));
	if (!more)
		return -ENOMEM;
	*numbers = more;
	more[(*count)++] = number;
	return 0;
}

int segment_list(int dir_fd, uint64_t **numbers, uint32_t *count)
{
	DIR *dir = list_open(dir_fd);
	const struct dirent *item;
	uint64_t number;
	int error = 0;

	*numbers = NULL;
	*count = 0;
	if (!dir)
		return -errno;
	while (!error && (errno = 0, item = readdir(dir)))
		if (name_number(item->d_name, &number))
			error = list_add(numbers, count, number);
	if (!error && errno)
		error = -errno;
	closedir(dir);
	if (error) {
		free(*numbers);
		*numbers = NULL;
		return error;
	}
	if (*count > 0)
		qsort(*numbers, *count, sizeof(**numbers), number_compare);
	return 0;
}

int segment_spares_remove(int dir_fd)
{
	DIR *dir = list_open(dir_fd);
	const struct dirent *item;
	int error = 0;

	if (!dir)
		return -errno;
	while ((item = readdir(dir))) {
		size_t length = strlen(item->d_name);

		if (strncmp(item->d_name, "spare-", 6) == 0 && length > 4 &&
		    strcmp(item->d_name + length - 4, ".tmp") == 0 && unlinkat(dir_fd, item->d_name, 0) != 0)
			error = -errno;
	}
	closedir(dir);
	return error;
}

/* ---- opening and making ---- */

int segment_lock(int fd, uint32_t ms)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	for (uint32_t waited = 0;; waited++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (waited >= ms)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
}

int segment_open_write(int dir_fd, const char *name, bool direct, int *fd)
{
	*fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0));
	return *fd < 0 ? -errno : 0;
}

static int write_zeros(int fd, const void *zeros, uint64_t from, uint64_t to)
{
	while (from < to) {
		size_t want = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;
		ssize_t wrote = pwrite(fd, zeros, want, (off_t)from);

		if (wrote < 0 && errno != EINTR)
			return -errno;
		if (wrote == 0)
			return -EIO;
		from += wrote > 0 ? (uint64_t)wrote : 0;
	}
	return 0;
}

int segment_zero(int fd, uint64_t from, uint64_t to)
{
	void *zeros = mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	if (zeros == MAP_FAILED)
		return -errno;
	error = write_zeros(fd, zeros, from, to);
	munmap(zeros, CHUNK_BYTES);
	if (!error && fdatasync(fd) != 0)
		error = -errno;
	return error;
}

/* fallocate first: it says at once that the disk is full, and keeps the file in one piece. */
static int segment_fill(int fd, uint64_t bytes)
{
	if (fallocate(fd, 0, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return segment_zero(fd, 0, bytes);
}

int segment_prepare(int dir_fd, const char *name, uint64_t bytes, const struct segment_mode *mode, bool sync,
		    int *fd)
{
	int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | (mode->direct ? O_DIRECT : 0);
	int error;

	assert(bytes % mode->block == 0 && bytes > 0);
	*fd = openat(dir_fd, name, flags, 0600);
	if (*fd < 0)
		return -errno;
	error = segment_lock(*fd, 0);
	if (!error)
		error = segment_fill(*fd, bytes);
	if (!error && sync && fsync(dir_fd) != 0)
		error = -errno;
	if (error) {
		unlinkat(dir_fd, name, 0);
		close(*fd);
		*fd = -1;
	}
	return error;
}
