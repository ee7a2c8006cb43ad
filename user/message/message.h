/*
 * message: the stage that turns notices into legs: chooses the language, renders the text, encodes the frame
 * straight into the outbox. Also encodes verdicts. Bytes are a function of the journal (decisions 26 to 29).
 *
 * Test: tests/unit/message/test_message.c; the model renders the same frames.
 */
#ifndef MESSAGE_MESSAGE_H
#define MESSAGE_MESSAGE_H

#include <base/ledger.h>
#include <base/outbox.h>
#include <catalogue/catalogue.h>
#include <moment/batch.h>

/* What the rules stage knows about the hit behind a notice, and the environment for its text. */
struct message_context {
	const struct catalogue *catalogue;
	const uint16_t *channel_slot; /* by channel index of the catalogue */
	const struct source_identity *sources;
	const struct event *events;
	const struct hit *hits;
};

/* The id of a message: 16 bytes (decisions 27). */
void message_id(const struct source_identity *source, uint64_t sequence, const char *rule,
		const char *subscription, uint32_t subscription_bytes, uint64_t recipient, uint8_t out[16]);

/* Where the id stands in every MESSAGE frame: header, map, key "id", bin head. */
enum { MESSAGE_ID_OFFSET = FRAME_HEADER_BYTES + 1 + 3 + 2, MESSAGE_ID_BYTES = 16 };

/*
 * Renders and encodes one notice; env is that of its hit (texts read it). subscription: the id, empty for
 * critical rules. 0, or -ENOBUFS when the outbox cannot take it even with its overshoot.
 */
__attribute__((warn_unused_result)) int message_make(const struct message_context *context,
						     struct outbox *outbox, const struct notice *notice,
						     const struct cel_env *env, const char *subscription,
						     uint32_t subscription_bytes, struct ledger *ledger,
						     struct ledger_rule *by_rule);

/* A VERDICT frame, canonical (flags 0), into out (room at least VERDICT_BYTES_MAX). Returns its length. */
enum { VERDICT_BYTES_MAX = FRAME_HEADER_BYTES + 64 + REASONS_MAX * (NAME_BYTES_MAX + 2) };
uint32_t message_verdict(const struct catalogue *c, const struct event *event, void *out);

#endif
