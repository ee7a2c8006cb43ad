/*
 * answer.c: header and a small map into the caller's buffer; schemas/frame.md has the keys.
 */
#include "answer.h"

#include <assert.h>
#include <base/bytes.h>
#include <stdio.h>
#include <string.h>

static uint32_t frame_end(void *out, struct frame_header *h, const struct pack_writer *w)
{
	assert(!w || !w->overflow);
	h->length = (uint32_t)(FRAME_HEADER_BYTES + (w ? pack_bytes(w) : 0));
	h->version = FRAME_VERSION;
	memcpy(out, h, sizeof *h);
	return h->length;
}

static void body_begin(void *out, struct pack_writer *w)
{
	pack_writer_init(w, (char *)out + FRAME_HEADER_BYTES, ANSWER_BYTES_MAX - FRAME_HEADER_BYTES);
}

uint32_t answer_ack(void *out, uint16_t stream_kind, uint64_t sequence)
{
	struct frame_header h = { .kind = FRAME_ACK, .type = stream_kind, .sequence = sequence };

	return frame_end(out, &h, NULL);
}

uint32_t answer_pong(void *out, int64_t time)
{
	struct frame_header h = { .kind = FRAME_PONG, .time = time };

	return frame_end(out, &h, NULL);
}

uint32_t answer_error(void *out, const char *code, const char *text, uint64_t sequence, uint64_t offset)
{
	struct frame_header h = { .kind = FRAME_ERROR };
	struct pack_writer w;

	body_begin(out, &w);
	pack_map(&w, 4);
	pack_text(&w, "code");
	pack_text(&w, code);
	pack_text(&w, "text");
	pack_string(&w, text, strnlen(text, 512));
	pack_text(&w, "sequence");
	pack_uint(&w, sequence);
	pack_text(&w, "offset");
	pack_uint(&w, offset);
	return frame_end(out, &h, &w);
}

uint32_t answer_welcome(void *out, const struct ingest_state *state, const char *filter, uint64_t expected,
			uint64_t session)
{
	struct frame_header h = { .kind = FRAME_WELCOME, .sequence = expected };
	struct pack_writer w;
	char hash[33];

	snprintf(hash, sizeof hash, "%016llx%016llx", (unsigned long long)state->catalogue.high,
		 (unsigned long long)state->catalogue.low);
	body_begin(out, &w);
	pack_map(&w, 7);
	pack_text(&w, "session");
	pack_uint(&w, session);
	pack_text(&w, "term");
	pack_uint(&w, state->term);
	pack_text(&w, "window_events");
	pack_uint(&w, WINDOW_EVENTS);
	pack_text(&w, "window_bytes");
	pack_uint(&w, WINDOW_BYTES);
	pack_text(&w, "filter");
	pack_text(&w, filter);
	pack_text(&w, "durability");
	pack_text(&w, state->durability);
	pack_text(&w, "catalogue");
	pack_text(&w, hash);
	return frame_end(out, &h, &w);
}
