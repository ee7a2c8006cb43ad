/*
 * input.c: one way to ask for the next frame, whatever the file is.
 *
 * Owns the file or the generator. An unreadable line ends the input with its number and the reason: a
 * source that skips rows would hide them.
 */
#include "input.h"

#include "ndjson.h"

#include <base/bytes.h>
#include <base/frame.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int input_open_synthetic(struct input *in, const char *spec, uint64_t seed)
{
	struct synth_spec parsed;

	*in = (struct input){ .format = INPUT_SYNTHETIC, .file.fd = -1 };
	if (!synth_spec_parse(spec, seed, &parsed, in->error, sizeof(in->error)))
		return -EINVAL;
	in->synth = synth_open(&parsed);
	if (!in->synth)
		snprintf(in->error, sizeof(in->error), "not enough memory for %u customers",
			 parsed.customers);
	return in->synth ? 0 : -ENOMEM;
}

/* Looks at the first bytes, and takes a data file's header line. */
static int format_find(struct input *in)
{
	const char *bytes = NULL;
	const char *line;
	size_t len;
	long n = textfile_peek(&in->file, 6, &bytes);

	if (n < 0)
		return (int)n;
	if (n == 6 && bytes[4] == FRAME_VERSION && bytes[5] < FRAME_KIND_COUNT) {
		in->format = INPUT_FRAMES;
		return 0;
	}
	in->format = INPUT_NDJSON;
	if (n == 0 || *bytes == '{')
		return 0;
	n = textfile_line(&in->file, &line, &len);
	if (n < 0)
		return (int)n;
	datafile_init(&in->data, datafile_sniff(line, len));
	if (in->data.format == DATAFILE_NONE)
		return -EINVAL;
	in->format = INPUT_DATAFILE;
	return 0;
}

int input_open_file(struct input *in, const char *path)
{
	int result;

	*in = (struct input){ .file.fd = -1 };
	result = textfile_open(&in->file, path);
	if (result == 0) {
		result = format_find(in);
		if (result)
			textfile_close(&in->file);
	}
	if (result == -EINVAL)
		snprintf(in->error, sizeof(in->error),
			 "%s: neither NDJSON, nor PaySim, nor Sparkov, nor a recording of frames", path);
	else if (result)
		snprintf(in->error, sizeof(in->error), "%s: %s", path, strerror(-result));
	return result;
}

int input_close(struct input *in)
{
	int result = 0;

	synth_close(in->synth);
	in->synth = NULL;
	if (in->file.buffer)
		result = textfile_close(&in->file);
	if (result)
		snprintf(in->error, sizeof(in->error), "gzip found the file damaged");
	return result;
}

static long line_refused(struct input *in, const char *reason)
{
	snprintf(in->error, sizeof(in->error), "line %" PRIu64 ": %s", in->file.line, reason);
	return -EINVAL;
}

/* The next line that is not empty: its length, 0 at the end, -EINVAL. */
static long line_next(struct input *in, const char **line)
{
	size_t len = 0;
	int result;

	do {
		result = textfile_line(&in->file, line, &len);
	} while (result == 1 && len == 0);
	if (result == -E2BIG)
		return line_refused(in, "longer than 1 MiB");
	if (result < 0)
		return line_refused(in, strerror(-result));
	return result ? (long)len : 0;
}

static int64_t frame_time(const uint8_t *frame)
{
	struct frame_header h;

	memcpy(&h, frame, sizeof(h));
	return h.time;
}

static long ndjson_next(struct input *in, uint8_t *frame)
{
	char reason[200];
	const char *line;
	long len = line_next(in, &line);
	size_t bytes;

	if (len <= 0)
		return len;
	bytes = ndjson_frame(line, (size_t)len, frame, reason, sizeof(reason));
	return bytes ? (long)bytes : line_refused(in, reason);
}

static long datafile_next(struct input *in, uint8_t *frame)
{
	char reason[200];
	const char *line;
	size_t bytes;
	long len;

	if (in->rows_given == in->rows.count) {
		len = line_next(in, &line);
		if (len <= 0)
			return len;
		in->rows_given = 0;
		if (!datafile_row(&in->data, line, (size_t)len, &in->rows, reason, sizeof(reason)))
			return line_refused(in, reason);
	}
	bytes = in->rows.bytes[in->rows_given];
	memcpy(frame, in->rows.frame[in->rows_given++], bytes);
	return (long)bytes;
}

/* A recorded frame; only what a source may send in its stream. */
static long recorded_next(struct input *in, uint8_t *frame)
{
	struct frame_header h;
	struct frame_problem problem;
	const char *bytes = NULL, *reason;
	uint32_t offset;
	long n = textfile_peek(&in->file, FRAME_HEADER_BYTES, &bytes);

	if (n <= 0)
		return n ? line_refused(in, strerror((int)-n)) : 0;
	in->file.line++;
	if (n < FRAME_HEADER_BYTES)
		return line_refused(in, "a frame is cut off");
	memcpy(&h, bytes, sizeof(h));
	problem = frame_header_check(&h, ROLE_OF_SOURCE);
	if (problem.text)
		return line_refused(in, problem.text);
	if (textfile_peek(&in->file, h.length, &bytes) < (long)h.length)
		return line_refused(in, "a frame is cut off");
	reason = pack_validate(bytes + FRAME_HEADER_BYTES, h.length - FRAME_HEADER_BYTES, &offset);
	if (reason)
		return line_refused(in, reason);
	memcpy(frame, bytes, h.length);
	h.sequence = 0;
	memcpy(frame, &h, sizeof(h));
	textfile_take(&in->file, h.length);
	return (long)h.length;
}

long input_next(struct input *in, uint8_t *frame, int64_t *due)
{
	long bytes;

	switch (in->format) {
	case INPUT_SYNTHETIC:
		return (long)synth_next(in->synth, frame, due);
	case INPUT_NDJSON:
		bytes = ndjson_next(in, frame);
		break;
	case INPUT_DATAFILE:
		bytes = datafile_next(in, frame);
		break;
	default:
		bytes = recorded_next(in, frame);
	}
	if (bytes > 0)
		*due = frame_time(frame);
	return bytes;
}
