/*
 * hello: the body of a HELLO, read.
 */
#ifndef INGEST_HELLO_H
#define INGEST_HELLO_H

#include <base/frame.h>
#include <moment/limits.h>
#include <stdbool.h>
#include <stdint.h>

struct hello {
	enum frame_role role;
	char name[NAME_BYTES_MAX + 1];
	uint64_t acknowledged; /* header.sequence */
	bool version;	       /* given, and ours */
	/* source */
	uint8_t stream[16];
	uint64_t first;
	bool skip;
	uint64_t skip_from, skip_to;
	/* gateway */
	uint64_t session;
	uint32_t channel_count;
	struct {
		const char *name; /* borrowed from the frame */
		uint32_t bytes;
	} channels[CHANNELS_MAX];
};

/* NULL when it is good, else what is wrong: "stream: 16 bytes expected". */
const char *hello_read(const char *frame, uint32_t bytes, struct hello *out);

#endif
