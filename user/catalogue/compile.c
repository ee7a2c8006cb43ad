/*
 * compile.c: the pipeline from files to a catalogue, and the three ways in: a directory, a text, a blob.
 *
 * Owner of memory: the catalogue's arena for what stays, b.scratch for trees and tables that go. Nothing else
 * is allocated, so running out of memory jumps to the one place that gives it all back (names.c,
 * build_take). What is wrong with the files is in *problems, all of it, and then there is no catalogue.
 */
#include "compile.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the pipeline --- */

static void parse_files(struct build *b)
{
	for (uint32_t i = 0; i < b->file_count; i++) {
		if (yaml_parse(&b->files[i], &b->scratch, b->problems) != 0)
			longjmp(b->no_memory, 1);
		b->incomplete |= b->files[i].broken;
	}
}

static void compile_sections(struct build *b)
{
	parse_files(b);
	entries_collect(b);
	bank_compile(b);
	events_compile(b);
	profile_compile(b);
	lists_compile(b);
	aggregates_compile(b);
	patterns_compile(b);
	channels_compile(b);
	messages_compile(b);
	rules_compile(b);
	texts_compile(b);
	zones_compile(b);
	links_compile(b);
}

/* Where the files come from, and whether ICU is asked or a blob brings its answers. */
struct source {
	bool (*load)(struct build *b, const struct source *from);
	const char *name;
	const void *bytes;
	size_t len;
	const uint8_t *derived;
	size_t derived_bytes;
	bool is_blob;
	int error; /* -errno of the operating system */
};

static void blob_problem(struct build *b)
{
	problem_add_at(b->problems, NULL, 1, 1, "the bytes are no catalogue of this version of moment");
}

static void compile_source(struct build *b, struct source *from)
{
	size_t before = b->problems->count;

	b->is_blob = from->is_blob;
	if (from->is_blob) {
		if (!blob_files(b, from->bytes, from->len, &from->derived, &from->derived_bytes) ||
		    !blob_zones(b, &from->derived, &from->derived_bytes)) {
			blob_problem(b);
			return;
		}
	} else if (!from->load(b, from)) {
		return;
	}
	compile_sections(b);
	if (!from->is_blob)
		icu_derive(b);
	else if (b->problems->count == before && !blob_derived(b, from->derived, from->derived_bytes))
		blob_problem(b);
	if (b->problems->count != before)
		return;
	blob_encode(b);
	if (from->is_blob &&
	    (b->c->blob_bytes != from->len || memcmp(b->c->blob, from->bytes, from->len) != 0))
		blob_problem(b);
}

/* setjmp stands alone in its function: nothing that it could clobber. */
static int compile_guarded(struct build *b, struct source *from)
{
	if (setjmp(b->no_memory))
		return -ENOMEM;
	compile_source(b, from);
	return 0;
}

static int compile(struct source *from, struct catalogue **out, struct problems *problems)
{
	struct build b = { .problems = problems, .suggestions = 256 };
	size_t before = problems->count;
	int rc;

	*out = NULL;
	b.c = calloc(1, sizeof *b.c);
	if (!b.c)
		return -ENOMEM;
	arena_init(&b.c->arena);
	arena_init(&b.scratch);
	rc = compile_guarded(&b, from);
	arena_deinit(&b.scratch);
	if (rc == 0 && from->error)
		rc = from->error;
	if (rc == 0 && problems->count != before)
		rc = -EINVAL;
	problems_sort(problems);
	if (rc != 0) {
		catalogue_free(b.c);
		return rc;
	}
	*out = b.c;
	return 0;
}

/* --- a directory --- */

static bool directory_fail(struct build *b, struct source *from, const char *name, int error)
{
	problem_add_at(b->problems, &(struct yaml_file){ .display = name }, 1, 1, "cannot be read: %s",
		       strerror(error));
	from->error = -error;
	return false;
}

static bool has_ending(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n > m && strcmp(name + n - m, ending) == 0;
}

static int compare_files(const void *left, const void *right)
{
	const struct yaml_file *a = left, *b = right;

	return strcmp(a->name, b->name);
}

static const char *join(struct build *b, const char *dir, const char *name)
{
	size_t n = strlen(dir), m = strlen(name);
	char *path = build_scratch(b, n + m + 2);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	memcpy(path, dir, n);
	path[n] = '/';
	memcpy(path + n + 1, name, m);
	return path;
}

/* Lists the *.yaml files; a *.yml is a problem, because it would be passed over in silence. */
static bool list_files(struct build *b, struct source *from, DIR *dir)
{
	struct dirent *entry;

	b->files = build_scratch_array(b, struct yaml_file, CATALOGUE_FILES_MAX);
	while ((entry = readdir(dir))) {
		struct yaml_file *file = &b->files[b->file_count];
		const char *name = entry->d_name;
		if (name[0] == '.' || !(has_ending(name, ".yaml") || has_ending(name, ".yml")))
			continue;
		if (has_ending(name, ".yml")) {
			problem_add_at(b->problems,
				       &(struct yaml_file){ .display = join(b, from->name, name) }, 1, 1,
				       "found a file that ends in .yml, expected .yaml");
			continue;
		}
		if (b->file_count == CATALOGUE_FILES_MAX) {
			problem_add_at(b->problems, &(struct yaml_file){ .display = from->name }, 1, 1,
				       "the catalogue has more files than the limit of %d",
				       CATALOGUE_FILES_MAX);
			return false;
		}
		file->name = build_copy(b, name, strlen(name));
		file->display = join(b, from->name, name);
		b->file_count++;
	}
	qsort(b->files, b->file_count, sizeof *b->files, compare_files);
	return true;
}

static int read_all(int fd, char *to, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, to, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO; /* it got shorter meanwhile */
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_file(struct build *b, struct yaml_file *file, size_t room)
{
	int fd = open(file->display, O_RDONLY | O_CLOEXEC), error = 0;
	struct stat st;
	char *bytes;

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) != 0)
		error = errno;
	else if (!S_ISREG(st.st_mode))
		error = EISDIR;
	else if ((size_t)st.st_size > room)
		error = EFBIG;
	if (!error) {
		bytes = arena_take(&b->scratch, (size_t)st.st_size + 1); /* fd is open: no jump */
		error = bytes ? read_all(fd, bytes, (size_t)st.st_size) : ENOMEM;
		file->bytes = bytes;
		file->len = (size_t)st.st_size;
	}
	close(fd);
	return error;
}

static bool read_files(struct build *b, struct source *from)
{
	size_t room = CATALOGUE_BYTES_MAX;

	for (uint32_t i = 0; i < b->file_count; i++) {
		int error = read_file(b, &b->files[i], room);
		if (error == EFBIG) {
			problem_add_at(b->problems, &b->files[i], 1, 1,
				       "the catalogue has more bytes up to this file than the limit of %d",
				       CATALOGUE_BYTES_MAX);
			return false;
		}
		if (error)
			return directory_fail(b, from, b->files[i].display, error);
		room -= b->files[i].len;
	}
	return true;
}

static bool load_directory(struct build *b, const struct source *source)
{
	struct source *from = (struct source *)source;
	DIR *dir = opendir(from->name);
	bool good;

	if (!dir)
		return directory_fail(b, from, from->name, errno);
	good = list_files(b, from, dir);
	closedir(dir);
	if (good && b->file_count == 0 && b->problems->count == 0) {
		problem_add_at(b->problems, &(struct yaml_file){ .display = from->name }, 1, 1,
			       "has no file that ends in .yaml");
		return false;
	}
	return good && read_files(b, from);
}

/* --- one text --- */

static bool load_text(struct build *b, const struct source *from)
{
	b->files = build_scratch_array(b, struct yaml_file, 1);
	b->file_count = 1;
	b->files[0] = (struct yaml_file){
		.name = from->name, .display = from->name, .bytes = from->bytes, .len = from->len
	};
	if (from->len <= CATALOGUE_BYTES_MAX)
		return true;
	problem_add_at(b->problems, &b->files[0], 1, 1, "the catalogue has %zu bytes, the limit is %d",
		       from->len, CATALOGUE_BYTES_MAX);
	return false;
}

int catalogue_compile_dir(const char *dir, struct catalogue **out, struct problems *problems)
{
	struct source from = { .load = load_directory, .name = dir };

	assert(dir && out && problems);
	return compile(&from, out, problems);
}

int catalogue_compile_text(const char *name, const char *yaml, size_t bytes, struct catalogue **out,
			   struct problems *problems)
{
	struct source from = { .load = load_text, .name = name, .bytes = yaml, .len = bytes };

	assert(name && name[0] && out && problems);
	return compile(&from, out, problems);
}

int catalogue_compile_blob(const void *blob, size_t bytes, struct catalogue **out, struct problems *problems)
{
	struct source from = { .bytes = blob, .len = bytes, .is_blob = true };

	assert(out && problems);
	return compile(&from, out, problems);
}

void catalogue_free(struct catalogue *c)
{
	if (!c)
		return;
	arena_deinit(&c->arena);
	free(c);
}
