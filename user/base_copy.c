/*
 * base_copy.c: a base is made under another name and renamed when it is whole, so that a crash leaves none or
 * one.
 */
#include "base_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int base_newest(const char *data, uint64_t *position, char *path, size_t path_bytes)
{
	DIR *dir = opendir(data);
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		unsigned long long at;
		int end = 0;
		if (sscanf(entry->d_name, "base-%16llx%n", &at, &end) != 1 || entry->d_name[end] || end != 21)
			continue;
		if (!found || at > *position)
			*position = at;
		found = true;
	}
	closedir(dir);
	if (!found)
		return -ENOENT;
	snprintf(path, path_bytes, "%s/base-%016llx", data, (unsigned long long)*position);
	return 0;
}

static void remains_remove(const char *dir)
{
	static const char *const files[] = { "data.mdb", "lock.mdb", "lock" };
	char path[4200];

	for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int directory_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

int base_make(struct core *core, const char *data, uint64_t position)
{
	char part[4100], whole[4100];

	snprintf(part, sizeof part, "%s/base.part", data);
	snprintf(whole, sizeof whole, "%s/base-%016llx", data, (unsigned long long)position);
	if (access(whole, F_OK) == 0)
		remains_remove(whole);
	remains_remove(part);
	int rc = mkdir(part, 0700) ? -errno : 0;
	if (!rc)
		rc = store_copy(core->store, part);
	if (!rc)
		rc = rename(part, whole) ? -errno : directory_sync(data);
	return rc;
}
