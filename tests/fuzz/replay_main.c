/*
 * replay_main.c: without libFuzzer, a fuzz target is a test: every file of its corpus directory once, then
 * each cut at every 16th of its length. Prints `N passed, 0 failed`; a finding crashes. Linked in every
 * variant but fuzz.
 *
 *     fuzz_frame [CORPUS_DIR]     default: tests/corpus/<name without fuzz_>
 */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned file_run(const char *path)
{
	FILE *file = fopen(path, "rb");
	unsigned runs = 0;

	if (!file)
		return 0;
	uint8_t *bytes = malloc(1 << 20);
	size_t size = bytes ? fread(bytes, 1, 1 << 20, file) : 0;
	fclose(file);
	for (unsigned part = 16; bytes && part > 0; part--) {
		/* a copy of its own, so that the sanitizer sees a read behind the end */
		size_t cut = size * part / 16;
		uint8_t *copy = malloc(cut ? cut : 1);
		memcpy(copy, bytes, cut);
		LLVMFuzzerTestOneInput(copy, cut);
		free(copy);
		runs++;
	}
	free(bytes);
	return runs > 0;
}

int main(int argc, char **argv)
{
	char dir_path[512], path[1024];
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	struct dirent *entry;
	unsigned files = 0;

	snprintf(dir_path, sizeof dir_path, "%s", argc > 1 ? argv[1] : "");
	if (argc < 2)
		snprintf(dir_path, sizeof dir_path, "tests/corpus/%s",
			 strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
	DIR *dir = opendir(dir_path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "%s/%s", dir_path, entry->d_name);
		if (entry->d_name[0] != '.')
			files += file_run(path);
	}
	if (dir)
		closedir(dir);
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("%u passed, %u failed\n", files, files == 0);
	return files == 0;
}
