// needs: user/base/frame.c user/base/bytes.c user/base/money.c user/cli/client.c
/*
 * fuzz_frame.c: any bytes as what a peer receives: cut into frames as client.c does, headers checked for each
 * role. What a check accepts has its promised shape; nothing is read outside. Corpus: tests/corpus/frame.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const struct frame_header *h)
{
	for (unsigned role = ROLE_OF_SOURCE; role <= ROLE_OF_ENGINE; role++) {
		struct frame_problem problem = frame_header_check(h, (enum frame_role)role);

		if (problem.text) {
			assert(problem.offset < FRAME_HEADER_BYTES);
			continue;
		}
		assert(h->length >= FRAME_HEADER_BYTES && h->length <= FRAME_BYTES_MAX &&
		       h->version == FRAME_VERSION);
		assert(frame_kind_name(h->kind) && h->kind < FRAME_CHALLENGE && !(h->flags & 0xf0));
		assert(h->kind == FRAME_EVENT || h->balance == 0);
		assert(h->kind != FRAME_EVENT || (h->time > 0 && h->amount >= 0 && h->sequence > 0));
		assert(h->touchpoint < TOUCHPOINT_COUNT && h->time >= 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_frame frame;
	struct client_refusal refusal;
	struct client c = { .fd = -1 };
	int got;

	if (size >= FRAME_HEADER_BYTES) {
		struct frame_header h;

		memcpy(&h, data, sizeof(h));
		check_header(&h);
	}
	c.in = malloc(size ? size : 1); /* exactly: a read behind it is seen */
	assert(c.in);
	memcpy(c.in, data, size);
	c.in_end = size;
	while ((got = client_next(&c, &frame)) > 0) {
		check_header(&frame.header);
		assert(frame.body + frame.body_bytes <= c.in + c.in_at && c.in_at <= size);
		client_read_refusal(&frame, &refusal);
	}
	assert(got == 0 || c.problem[0]);
	free(c.in);
	return 0;
}
