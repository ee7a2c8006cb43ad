/*
 * message.c: a notice becomes the frame that its gateway will get, with sequence 0 and flags 0 (deliver
 * writes them when it sends). The text is rendered into a scratch buffer on the stack of the caller's frame
 * and copied once, since MessagePack wants its length first.
 *
 * What can go wrong: the outbox is full (-ENOBUFS); a text is never too long, it is cut at the channel's
 * length.
 */
#include "message.h"

#include "text.h"

#include <assert.h>
#include <base/bytes.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

enum { BODY_FIXED_BYTES_MAX = 2048 };

void message_id(const struct source_identity *source, uint64_t sequence, const char *rule,
		const char *subscription, uint32_t subscription_bytes, uint64_t recipient, uint8_t out[16])
{
	char text[3 * (NAME_BYTES_MAX + 1) + 32];
	char *at = text;

	at = stpcpy(at, source->name) + 1;
	memcpy(at, source->stream, 16);
	memcpy(at + 16, &sequence, 8);
	at = stpcpy(at + 24, rule) + 1;
	assert(subscription_bytes <= NAME_BYTES_MAX);
	memcpy(at, subscription, subscription_bytes);
	at += subscription_bytes;
	*at++ = 0;
	memcpy(at, &recipient, 8);
	at += 8;
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(text, (size_t)(at - text)));
	memcpy(out, canonical.digest, 16);
}

static void hash_hex(struct hash128 hash, char out[32])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		out[i] = digits[hash.high >> (60 - 4 * i) & 15];
		out[16 + i] = digits[hash.low >> (60 - 4 * i) & 15];
	}
}

/* The recipient's language: its attribute, falling back to the bank's (decisions 26). */
static uint16_t language_choose(const struct catalogue *c, const struct cel_env *env)
{
	if (c->attribute_language >= 0) {
		const struct value *v = &env->space[SPACE_PROFILE][c->attribute_language];
		if (v->status == VALUE_OK && v->type == TYPE_STRING)
			return (uint16_t)catalogue_language_find(c, v->s, v->bytes);
	}
	return c->language;
}

struct message_parts {
	uint8_t id[16];
	const char *channel, *language, *rule;
	enum message_category category;
	uint64_t recipient;
	const char *text;
	size_t text_bytes;
};

static const char *category_name(enum message_category category)
{
	static const char *const names[] = {
#define X(value, name) [value] = #name,
		MESSAGE_CATEGORIES(X)
#undef X
	};
	return names[category];
}

/* Keys in the order of decisions 28. Returns the body's bytes. */
static size_t body_encode(const struct message_parts *m, struct hash128 catalogue, void *out, size_t room)
{
	struct pack_writer w;
	char leg[NAME_BYTES_MAX + 3], hex[32];

	strcpy(stpcpy(leg, m->channel), "/1");
	hash_hex(catalogue, hex);
	pack_writer_init(&w, out, room);
	pack_map(&w, 9);
	pack_text(&w, "id");
	pack_binary(&w, m->id, 16);
	pack_text(&w, "leg");
	pack_text(&w, leg);
	pack_text(&w, "recipient");
	pack_uint(&w, m->recipient);
	pack_text(&w, "channel");
	pack_text(&w, m->channel);
	pack_text(&w, "lang");
	pack_text(&w, m->language);
	pack_text(&w, "category");
	pack_text(&w, category_name(m->category));
	pack_text(&w, "text");
	pack_string(&w, m->text, m->text_bytes);
	pack_text(&w, "rule");
	pack_text(&w, m->rule);
	pack_text(&w, "catalogue");
	pack_string(&w, hex, sizeof hex);
	assert(!w.overflow);
	return pack_bytes(&w);
}

static void header_encode(char *out, const struct event *e, const struct message_parts *m, size_t body_bytes)
{
	const struct frame_header *from = e->header;
	struct frame_header header = {
		.length = (uint32_t)(FRAME_HEADER_BYTES + body_bytes),
		.version = FRAME_VERSION,
		.kind = FRAME_MESSAGE,
		.type = (uint16_t)m->category,
		.customer = m->recipient,
		.account = from->account,
		.time = from->time,
		.amount = from->amount,
		.currency = from->currency,
	};

	memcpy(out, &header, sizeof header); /* frames stand back to back, at any address */
}

int message_make(const struct message_context *context, struct outbox *outbox, const struct notice *notice,
		 const struct cel_env *env, const char *subscription, uint32_t subscription_bytes,
		 struct ledger *ledger, struct ledger_rule *by_rule)
{
	const struct catalogue *c = context->catalogue;
	const struct hit *hit = &context->hits[notice->hit];
	const struct event *e = &context->events[hit->event];
	const struct cat_rule *rule = &c->rules[hit->rule];
	const struct cat_channel *channel = &c->channels[notice->channel];
	uint16_t slot = context->channel_slot[notice->channel];
	char text[TEXT_BYTES_MAX];
	uint32_t no_data = 0;

	uint16_t language = language_choose(c, env);
	const struct cat_text *found = text_find(c, rule->message, &language);
	struct message_parts m = { .channel = channel->name,
				   .language = c->languages[language].tag,
				   .rule = rule->name,
				   .category = rule->category,
				   .recipient = notice->recipient,
				   .text = text };
	m.text_bytes = text_render(c, found, language, env, channel->text_max, text, sizeof text, &no_data);
	message_id(&context->sources[e->source], e->header->sequence, rule->name, subscription,
		   subscription_bytes, notice->recipient, m.id);

	bool critical = rule->category == CATEGORY_critical;
	uint32_t room = (uint32_t)(FRAME_HEADER_BYTES + BODY_FIXED_BYTES_MAX + m.text_bytes);
	char *frame = outbox_reserve(outbox, outbox_queue_of(slot, critical), room);
	if (!frame)
		return -ENOBUFS;
	size_t body_bytes = body_encode(&m, c->hash, frame + FRAME_HEADER_BYTES, room - FRAME_HEADER_BYTES);
	header_encode(frame, e, &m, body_bytes);
	outbox_commit(outbox, (uint32_t)(FRAME_HEADER_BYTES + body_bytes));
	ledger->legs_made++;
	ledger->legs[LEG_QUEUED]++;
	ledger->text_no_data += no_data;
	by_rule[hit->rule].legs[slot]++;
	return 0;
}

static const char *outcome_name(uint8_t outcome)
{
	static const char *const names[] = { NULL,
#define X(name, text) #name,
					     EVENT_OUTCOMES(X)
#undef X
	};
	return names[outcome];
}

/* The names that may be told. */
static void put_reasons(struct pack_writer *w, const struct catalogue *c, const struct event *event)
{
	unsigned open = 0;

	for (unsigned i = 0; i < event->reason_count; i++)
		open += !c->rules[event->reasons[i]].confidential;
	pack_array(w, open);
	for (unsigned i = 0; i < event->reason_count; i++)
		if (!c->rules[event->reasons[i]].confidential)
			pack_text(w, c->rules[event->reasons[i]].name);
}

uint32_t message_verdict(const struct catalogue *c, const struct event *event, void *out)
{
	bool judged = event->outcome == EVENT_DECIDED && (event->fraud || event->staged);
	int64_t score = event->score < INT32_MAX ? event->score : INT32_MAX;
	struct frame_header h = { .version = FRAME_VERSION,
				  .kind = FRAME_VERDICT,
				  .sequence = event->header->sequence,
				  .type = VERDICT_REVIEW,
				  .amount = judged && score > 0 ? score : 0 };
	struct pack_writer w;

	if (judged)
		h.type = score >= c->score_decline  ? VERDICT_DECLINE
			 : score >= c->score_review ? VERDICT_REVIEW
						    : VERDICT_APPROVE;
	pack_writer_init(&w, (char *)out + FRAME_HEADER_BYTES, VERDICT_BYTES_MAX - FRAME_HEADER_BYTES);
	pack_map(&w, 2);
	pack_text(&w, "reasons");
	if (judged) {
		put_reasons(&w, c, event);
	} else {
		pack_array(&w, 1);
		pack_text(&w, outcome_name(event->outcome));
	}
	pack_text(&w, "again");
	pack_bool(&w, (event->header->flags & FRAME_MAYBE_REPEAT) != 0);
	assert(!w.overflow);
	h.length = (uint32_t)(FRAME_HEADER_BYTES + pack_bytes(&w));
	memcpy(out, &h, sizeof h);
	return h.length;
}
