/*
 * message: the stage that turns notices into legs: chooses the language, renders the text, encodes the frame
 * straight into the outbox. Also encodes verdicts. Bytes are a function of the journal (decisions 26 to 29).
 *
 * What does not depend on the event is encoded once, when a catalogue is put in force (message_forms_use).
 *
 * Test: tests/unit/message/test_message.c, test_frames.c (a plain encoder beside it); the model renders the
 * same frames.
 */
#ifndef MESSAGE_MESSAGE_H
#define MESSAGE_MESSAGE_H

#include <base/ledger.h>
#include <base/legs.h>
#include <base/outbox.h>
#include <catalogue/catalogue.h>
#include <moment/batch.h>
#include <profile/row.h>

/* Stretches of MESSAGE frames that are the same for every notice of a channel, language or rule. */
struct message_forms {
	struct region region;
	struct hash128 catalogue; /* whose they are */
	uint16_t languages;
	struct message_lead *leads; /* [CHANNELS_MAX]: what stands between id and recipient */
	struct message_part *parts; /* [channel][language][category]: up to the key "text" */
	struct message_part *tails; /* [RULES_MAX]: behind the text */
};

/* Takes all memory. 0 or -errno. */
__attribute__((warn_unused_result)) int message_forms_init(struct message_forms *f);
void message_forms_deinit(struct message_forms *f);
/* A catalogue is put in force. Borrows nothing of it. */
void message_forms_use(struct message_forms *f, const struct catalogue *c);

/* What a run's notices have in common, and where their legs go. */
struct message_context {
	const struct message_forms *forms; /* of the catalogue */
	const struct catalogue *catalogue;
	const uint16_t *channel_slot; /* by channel index of the catalogue */
	const struct source_identity *sources;
	const struct event *events;
	const struct hit *hits;
	struct outbox *outbox;
	struct legs *legs;
	struct ledger *ledger;
	struct ledger_rule *by_rule;
};

/* The language of a recipient: the attribute `language`, falling back to the bank's (decisions 26). */
uint16_t message_language(const struct store *store, const struct catalogue *c, const struct row *recipient);
/* What the text of a rule in a language reads of the environment: a bit per enum cel_space; 0: none is
 * needed. */
uint32_t message_reads(const struct catalogue *c, const struct cat_rule *rule, uint16_t language);

/* The id of a message: 16 bytes (decisions 27). */
void message_id(const struct source_identity *source, uint64_t sequence, const char *rule,
		const char *subscription, uint32_t subscription_bytes, uint64_t recipient, uint8_t out[16]);

/* Where the id stands in every MESSAGE frame: header, map, key "id", bin head. */
enum { MESSAGE_ID_OFFSET = FRAME_HEADER_BYTES + 1 + 3 + 2, MESSAGE_ID_BYTES = 16 };

/*
 * Renders and encodes one notice in a language; env is that of its hit (the spaces of message_reads; may be
 * NULL when there are none). subscription: the id, empty for critical rules. Makes and counts its leg. 0, or
 * -ENOBUFS when the outbox cannot take it even with its overshoot.
 */
__attribute__((warn_unused_result)) int message_make(const struct message_context *context,
						     const struct notice *notice, uint16_t language,
						     const struct cel_env *env, const char *subscription,
						     uint32_t subscription_bytes);

/* A VERDICT frame, canonical (flags 0), into out (room at least VERDICT_BYTES_MAX). Returns its length. */
uint32_t message_verdict(const struct catalogue *c, const struct event *event, void *out);

#endif
