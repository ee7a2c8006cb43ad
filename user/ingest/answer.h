/*
 * answer: the small frames that ingest sends: WELCOME, ACK, PONG, ERROR.
 */
#ifndef INGEST_ANSWER_H
#define INGEST_ANSWER_H

#include <ingest/ingest.h>

enum { ANSWER_BYTES_MAX = 1024 };

/* Each encodes into out (ANSWER_BYTES_MAX) and returns the frame's bytes. */
uint32_t answer_ack(void *out, uint16_t stream_kind, uint64_t sequence);
uint32_t answer_pong(void *out, int64_t time);
uint32_t answer_error(void *out, const char *code, const char *text, uint64_t sequence, uint64_t offset);
uint32_t answer_welcome(void *out, const struct ingest_state *state, const char *filter, uint64_t expected,
			uint64_t session);

#endif
