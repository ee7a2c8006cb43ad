/*
 * input: where a source's events come from: a synthetic load, NDJSON, PaySim, Sparkov, or a recording of
 * frames (`moment feed --record`), told apart by their first bytes.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "datafile.h"
#include "synth.h"
#include "textfile.h"

enum input_format { INPUT_SYNTHETIC, INPUT_NDJSON, INPUT_DATAFILE, INPUT_FRAMES };

struct input {
	enum input_format format;
	struct synth *synth;
	struct textfile file;
	struct datafile data;
	struct datafile_frames rows;
	unsigned rows_given;
	char error[320]; /* with the line's number, when input_next gave -EINVAL */
};

int input_open_synthetic(struct input *in, const char *spec, uint64_t seed); /* 0 or -errno, with in->error */
int input_open_file(struct input *in, const char *path);		     /* the same */
int input_close(struct input *in);					     /* 0, or -EIO with in->error */

/*
 * Writes the next frame, with sequence 0, to `frame`, which has room for FRAME_BYTES_MAX. *due is when it
 * arrives, its time or later. Its length; 0 at the end; -EINVAL with in->error.
 */
long input_next(struct input *in, uint8_t *frame, int64_t *due);

#endif
