/*
 * message.c: a notice becomes the frame that its gateway will get, with sequence 0 and flags 0 (deliver
 * writes them when it sends). A frame is put together from what was encoded when the catalogue was put in
 * force, and the event's own between: header | map and key | id | lead of the channel | recipient | part of
 * channel, language and category | text | tail of the rule.
 *
 * Prepared stretches are copied at their whole width and overwritten by what follows, since a copy of a fixed
 * number of bytes is a few instructions. The text is rendered on the stack and copied once: MessagePack wants
 * its length first.
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

enum { BODY_FIXED_BYTES_MAX = 2048, LEAD_BYTES = 95, PART_BYTES = 191, PART_NEAR_BYTES = 64 };

struct message_lead {
	struct key128 leg; /* legs_name of the channel's leg */
	uint8_t bytes;
	char text[LEAD_BYTES];
};

struct message_part {
	uint8_t bytes;
	char text[PART_BYTES];
};

static const char id_head[MESSAGE_ID_OFFSET - FRAME_HEADER_BYTES] = "\x89\xa2id\xc4\x10";
enum { PARTS_MAX = CHANNELS_MAX * LANGUAGES_MAX * CATEGORY_COUNT };

/* ---- what is encoded beforehand ---- */

static const char *category_name(enum message_category category)
{
	static const char *const names[] = {
#define X(value, name) [value] = #name,
		MESSAGE_CATEGORIES(X)
#undef X
	};
	return names[category];
}

static void hash_hex(struct hash128 hash, char out[32])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		out[i] = digits[hash.high >> (60 - 4 * i) & 15];
		out[16 + i] = digits[hash.low >> (60 - 4 * i) & 15];
	}
}

static uint8_t written(const struct pack_writer *w)
{
	assert(!w->overflow);
	return (uint8_t)pack_bytes(w);
}

static void lead_encode(struct message_lead *lead, const struct cat_channel *channel)
{
	struct pack_writer w;
	char leg[NAME_BYTES_MAX + 3];

	strcpy(stpcpy(leg, channel->name), "/1");
	pack_writer_init(&w, lead->text, sizeof lead->text);
	pack_text(&w, "leg");
	pack_text(&w, leg);
	pack_text(&w, "recipient");
	lead->bytes = written(&w);
	lead->leg = legs_name(leg, (uint32_t)strlen(leg));
}

static void part_encode(struct message_part *part, const char *channel, const char *language,
			enum message_category category)
{
	struct pack_writer w;

	pack_writer_init(&w, part->text, sizeof part->text);
	pack_text(&w, "channel");
	pack_text(&w, channel);
	pack_text(&w, "lang");
	pack_text(&w, language);
	pack_text(&w, "category");
	pack_text(&w, category_name(category));
	pack_text(&w, "text");
	part->bytes = written(&w);
}

static void tail_encode(struct message_part *tail, const char *rule, const char hex[32])
{
	struct pack_writer w;

	pack_writer_init(&w, tail->text, sizeof tail->text);
	pack_text(&w, "rule");
	pack_text(&w, rule);
	pack_text(&w, "catalogue");
	pack_string(&w, hex, 32);
	tail->bytes = written(&w);
}

int message_forms_init(struct message_forms *f)
{
	*f = (struct message_forms){ 0 };
	int rc = region_init(&f->region, CHANNELS_MAX * sizeof *f->leads + PARTS_MAX * sizeof *f->parts +
						 RULES_MAX * sizeof *f->tails + 4096);
	if (rc)
		return rc;
	f->leads = region_take(&f->region, CHANNELS_MAX * sizeof *f->leads);
	f->parts = region_take(&f->region, PARTS_MAX * sizeof *f->parts);
	f->tails = region_take(&f->region, RULES_MAX * sizeof *f->tails);
	assert(f->tails);
	return 0;
}

void message_forms_deinit(struct message_forms *f)
{
	region_deinit(&f->region);
}

static struct message_part *part_of(const struct message_forms *f, unsigned channel, unsigned language,
				    unsigned category)
{
	return &f->parts[(channel * f->languages + language) * CATEGORY_COUNT + category];
}

void message_forms_use(struct message_forms *f, const struct catalogue *c)
{
	char hex[32];

	assert(c->channel_count <= CHANNELS_MAX && c->language_count <= LANGUAGES_MAX);
	hash_hex(c->hash, hex);
	f->catalogue = c->hash;
	f->languages = c->language_count;
	for (unsigned i = 0; i < c->channel_count; i++) {
		lead_encode(&f->leads[i], &c->channels[i]);
		for (unsigned l = 0; l < c->language_count; l++)
			for (unsigned k = 1; k < CATEGORY_COUNT; k++)
				part_encode(part_of(f, i, l, k), c->channels[i].name, c->languages[l].tag,
					    (enum message_category)k);
	}
	for (unsigned i = c->critical_first; i < c->rule_count; i++) /* fraud rules say nothing */
		tail_encode(&f->tails[i], c->rules[i].name, hex);
}

/* ---- one message ---- */

/* What an id is the hash of (decisions 27). */
struct id_text {
	uint32_t bytes;
	char text[3 * (NAME_BYTES_MAX + 1) + 32];
};

static void id_text_put(struct id_text *id, const struct source_identity *source, uint64_t sequence,
			const char *rule, const char *subscription, uint32_t subscription_bytes,
			uint64_t recipient)
{
	char *at = id->text;

	at = stpcpy(at, source->name) + 1;
	memcpy(at, source->stream, 16);
	memcpy(at + 16, &sequence, 8);
	at = stpcpy(at + 24, rule) + 1;
	assert(subscription_bytes <= NAME_BYTES_MAX);
	memcpy(at, subscription, subscription_bytes);
	at += subscription_bytes;
	*at++ = 0;
	memcpy(at, &recipient, 8);
	id->bytes = (uint32_t)(at + 8 - id->text);
}

static void id_hash(const struct id_text *id, void *out)
{
	XXH128_hash_t hash = XXH3_128bits(id->text, id->bytes);
	uint64_t canonical[2] = { __builtin_bswap64(hash.high64), __builtin_bswap64(hash.low64) };

	memcpy(out, canonical, sizeof canonical);
}

void message_id(const struct source_identity *source, uint64_t sequence, const char *rule,
		const char *subscription, uint32_t subscription_bytes, uint64_t recipient, uint8_t out[16])
{
	struct id_text id;

	id_text_put(&id, source, sequence, rule, subscription, subscription_bytes, recipient);
	id_hash(&id, out);
}

uint16_t message_language(const struct store *store, const struct catalogue *c, const struct row *recipient)
{
	if (c->attribute_language < 0)
		return c->language;
	struct value v = row_attribute(store, c, recipient, (uint16_t)c->attribute_language);
	if (v.status != VALUE_OK || v.type != TYPE_STRING)
		return c->language;
	return (uint16_t)catalogue_language_find(c, v.s, v.bytes);
}

uint32_t message_reads(const struct catalogue *c, const struct cat_rule *rule, uint16_t language)
{
	return text_reads(text_find(c, rule->message, &language));
}

static char *part_copy(char *to, const struct message_part *part)
{
	memcpy(to, part->text, PART_NEAR_BYTES);
	if (part->bytes > PART_NEAR_BYTES)
		memcpy(to + PART_NEAR_BYTES, part->text + PART_NEAR_BYTES, PART_BYTES - PART_NEAR_BYTES);
	return to + part->bytes;
}

static char *uint_copy(char *to, uint64_t u)
{
	struct pack_writer w;

	pack_writer_init(&w, to, 9);
	pack_uint(&w, u);
	return to + pack_bytes(&w);
}

/* A string of MessagePack, shortest form. */
static char *text_copy(char *to, const char *text, size_t bytes)
{
	if (bytes < 32) {
		*to++ = (char)(0xa0 | bytes);
	} else if (bytes < 256) {
		*to++ = (char)0xd9;
		*to++ = (char)bytes;
	} else {
		*to++ = (char)0xda;
		*to++ = (char)(bytes >> 8);
		*to++ = (char)bytes;
	}
	memcpy(to, text, bytes);
	return to + bytes;
}

/* Keys in the order of decisions 28. Returns the frame's end. */
static char *body_encode(const struct message_context *m, const struct notice *notice,
			 const struct cat_rule *rule, uint16_t language, const char *text, size_t text_bytes,
			 char *body)
{
	const struct message_forms *f = m->forms;
	const struct message_lead *lead = &f->leads[notice->channel];
	char *at = body + sizeof id_head + MESSAGE_ID_BYTES; /* the id is there */

	memcpy(body, id_head, sizeof id_head);
	memcpy(at, lead->text, LEAD_BYTES);
	at = uint_copy(at + lead->bytes, notice->recipient);
	at = part_copy(at, part_of(f, notice->channel, language, rule->category));
	at = text_copy(at, text, text_bytes);
	return part_copy(at, &f->tails[rule->number]);
}

/* A word of a header in its place: frames stand back to back, at any address. */
static void word_put(char *header, size_t offset, uint64_t word)
{
	memcpy(header + offset, &word, sizeof word);
}

/* Word by word: a header made on the stack would be read back in pieces that were just written in others. */
static void header_encode(char *out, const struct event *e, const struct cat_rule *rule, uint64_t recipient,
			  size_t bytes)
{
	const struct frame_header *from = e->header;
	uint64_t first = bytes | (uint64_t)FRAME_VERSION << 32 | (uint64_t)FRAME_MESSAGE << 40 |
			 (uint64_t)rule->category << 48;

	word_put(out, offsetof(struct frame_header, length), first);
	word_put(out, offsetof(struct frame_header, sequence), 0);
	word_put(out, offsetof(struct frame_header, customer), recipient);
	word_put(out, offsetof(struct frame_header, account), from->account);
	word_put(out, offsetof(struct frame_header, time), (uint64_t)from->time);
	word_put(out, offsetof(struct frame_header, amount), (uint64_t)from->amount);
	word_put(out, offsetof(struct frame_header, balance), 0);
	word_put(out, offsetof(struct frame_header, currency), from->currency);
}

static void leg_count(const struct message_context *m, uint16_t rule, uint16_t slot, uint32_t no_data)
{
	m->ledger->legs_made++;
	m->ledger->legs[LEG_QUEUED]++;
	m->ledger->text_no_data += no_data;
	m->by_rule[rule].legs[slot]++;
}

int message_make(const struct message_context *m, const struct notice *notice, uint16_t language,
		 const struct cel_env *env, const char *subscription, uint32_t subscription_bytes)
{
	const struct catalogue *c = m->catalogue;
	const struct hit *hit = &m->hits[notice->hit];
	const struct event *e = &m->events[hit->event];
	const struct cat_rule *rule = &c->rules[hit->rule];
	uint16_t slot = m->channel_slot[notice->channel];
	char text[TEXT_BYTES_MAX];
	struct id_text id_text;
	uint32_t no_data = 0;

	/* long before it is hashed: a load that spans several stores waits until they are done */
	id_text_put(&id_text, &m->sources[e->source], e->header->sequence, rule->name, subscription,
		    subscription_bytes, notice->recipient);
	assert(m->forms->catalogue.low == c->hash.low && m->forms->catalogue.high == c->hash.high);
	const struct cat_text *found = text_find(c, rule->message, &language);
	size_t text_bytes = text_render(c, found, language, e, env, c->channels[notice->channel].text_max,
					text, sizeof text, &no_data);
	uint32_t room = (uint32_t)(FRAME_HEADER_BYTES + BODY_FIXED_BYTES_MAX + text_bytes);
	bool critical = rule->category == CATEGORY_critical;
	char *frame = outbox_reserve(m->outbox, outbox_queue_of(slot, critical), room);
	if (!frame)
		return -ENOBUFS;

	char *id = frame + MESSAGE_ID_OFFSET;
	id_hash(&id_text, id);
	char *end = body_encode(m, notice, rule, language, text, text_bytes, frame + FRAME_HEADER_BYTES);
	header_encode(frame, e, rule, notice->recipient, (size_t)(end - frame));
	outbox_commit(m->outbox, (uint32_t)(end - frame),
		      legs_add(m->legs, legs_key(id, m->forms->leads[notice->channel].leg)));
	leg_count(m, hit->rule, slot, no_data);
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
