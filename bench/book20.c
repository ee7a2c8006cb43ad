/*
 * book20.c: messages back to the events that gave them.
 *
 * In: events as they are made, messages as they come. Out: counts and digest, latencies. Memory: a ring of
 * events and a list of messages per channel and lane, in address space that the kernel fills when it is
 * touched. What can go wrong is said in `problem`: a message out of order, twice, with a wrong id, channel,
 * category or recipient, or so late that its event is forgotten.
 */
#include "book20.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

enum { RULE_BITS = 5 };
/* MessagePack's first bytes */
enum { BINARY_8 = 0xc4, UINT_8 = 0xcc, UINT_64 = 0xcf, STRING_8 = 0xd9, STRING_16 = 0xda };

struct text {
	const char *s; /* lent with the frame */
	uint32_t bytes;
};
struct body { /* of a MESSAGE */
	struct text id, channel, rule, text;
	uint64_t recipient;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct book *b, const char *form, ...)
{
	va_list args;

	va_start(args, form);
	vsnprintf(b->problem, sizeof b->problem, form, args);
	va_end(args);
	return false;
}

static void *room_take(size_t bytes)
{
	void *at =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void room_give(void *at, size_t bytes)
{
	if (at)
		munmap(at, bytes);
}

struct book *book_new(const struct bank20 *bank, uint64_t messages_max, bool own_channels)
{
	struct book *b = calloc(1, sizeof *b);
	bool good = b != NULL;

	if (!b)
		return NULL;
	b->profiles = bank20_profiles(bank);
	b->customers = bank20_customers(bank);
	b->own_channels = own_channels;
	b->messages_max = messages_max + 4096;
	good &= (b->customer = room_take(BOOK_EVENTS * sizeof *b->customer)) != NULL;
	good &= (b->time = room_take(BOOK_EVENTS * sizeof *b->time)) != NULL;
	good &= (b->amount = room_take(BOOK_EVENTS * sizeof *b->amount)) != NULL;
	good &= (b->latency = room_take(b->messages_max * sizeof *b->latency)) != NULL;
	for (uint32_t i = 0; i < BOOK_QUEUES; i++)
		good &= (b->queue[i].seen = room_take(b->messages_max * sizeof *b->queue[i].seen)) != NULL;
	if (good) { /* now, not while it is measured */
		memset(b->customer, 0, BOOK_EVENTS * sizeof *b->customer);
		memset(b->time, 0, BOOK_EVENTS * sizeof *b->time);
		memset(b->amount, 0, BOOK_EVENTS * sizeof *b->amount);
		return b;
	}
	book_free(b);
	return NULL;
}

void book_free(struct book *b)
{
	if (!b)
		return;
	room_give(b->customer, BOOK_EVENTS * sizeof *b->customer);
	room_give(b->time, BOOK_EVENTS * sizeof *b->time);
	room_give(b->amount, BOOK_EVENTS * sizeof *b->amount);
	room_give(b->latency, b->messages_max * sizeof *b->latency);
	for (uint32_t i = 0; i < BOOK_QUEUES; i++)
		room_give(b->queue[i].seen, b->messages_max * sizeof *b->queue[i].seen);
	free(b);
}

void book_source(struct book *b, const char *name, const uint8_t stream[16])
{
	size_t bytes = strlen(name) + 1;

	assert(bytes + 16 + 32 <= sizeof b->id_text);
	memcpy(b->id_text, name, bytes);
	memcpy(b->id_text + bytes, stream, 16);
	b->id_bytes = bytes + 16;
}

void book_events(struct book *b, const struct frame_header *event, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t at = (b->events + i) % BOOK_EVENTS;
		b->customer[at] = (uint32_t)event[i].customer;
		b->time[at] = event[i].time;
		b->amount[at] = event[i].amount;
	}
	b->events += count;
}

void book_id(const struct book *b, uint64_t sequence, uint32_t rule, uint64_t recipient, uint8_t out[16])
{
	char text[sizeof b->id_text], name[4] = { 'r', (char)('0' + rule / 10), (char)('0' + rule % 10), 0 };
	bool critical = BANK20_CRITICAL & BANK20_RULE(rule);
	char *at = text + b->id_bytes;
	XXH128_canonical_t canonical;

	memcpy(text, b->id_text, b->id_bytes);
	memcpy(at, &sequence, 8);
	memcpy(at + 8, name, 4);
	at += 12;
	if (!critical) { /* the subscription is named like its kind */
		memcpy(at, name, 3);
		at += 3;
	}
	*at++ = 0;
	memcpy(at, &recipient, 8);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(text, (size_t)(at + 8 - text)));
	memcpy(out, canonical.digest, 16);
}

/* ---- a message ---- */

/* The few kinds of MessagePack that a MESSAGE has; a general reader costs three times as much, on the core
 * that also makes the events. What is not one of them, or does not fit, is no string and no number: NULL or
 * false. */
struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

static struct text text_read(struct cursor *c)
{
	uint8_t kind = c->at < c->end ? *c->at : 0;
	size_t head = kind >> 5 == 5			     ? 1
		      : kind == STRING_8 || kind == BINARY_8 ? 2
		      : kind == STRING_16		     ? 3
							     : 0;

	if (!head || (size_t)(c->end - c->at) < head) {
		c->bad = true;
		return (struct text){ NULL, 0 };
	}
	uint32_t bytes = head == 1 ? kind & 31 : head == 2 ? c->at[1] : (uint32_t)c->at[1] << 8 | c->at[2];
	struct text t = { (const char *)c->at + head, bytes };
	c->bad |= bytes > (size_t)(c->end - c->at) - head;
	c->at = c->bad ? c->end : c->at + head + bytes;
	return c->bad ? (struct text){ NULL, 0 } : t;
}

static uint64_t number_read(struct cursor *c)
{
	uint8_t kind = c->at < c->end ? *c->at : 0xff;
	size_t bytes = kind >= UINT_8 && kind <= UINT_64 ? 1u << (kind - UINT_8) : 0;
	uint64_t n = 0;

	if ((kind > 127 && !bytes) || (size_t)(c->end - c->at) < 1 + bytes) {
		c->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		n = n << 8 | c->at[1 + i];
	c->at += 1 + bytes;
	return bytes ? n : kind;
}

static bool text_is(struct text t, const char *name)
{
	return t.s && strlen(name) == t.bytes && memcmp(t.s, name, t.bytes) == 0;
}

static bool body_read(const uint8_t *bytes, size_t count, struct body *out)
{
	struct cursor c = { bytes, bytes + count, count == 0 || bytes[0] >> 4 != 8 };
	struct text ignored;

	*out = (struct body){ 0 };
	for (uint32_t pairs = c.bad ? 0 : *c.at++ & 15; pairs && !c.bad; pairs--) {
		struct text key = text_read(&c);
		if (text_is(key, "recipient")) {
			out->recipient = number_read(&c);
			continue;
		}
		struct text *to = text_is(key, "id")	    ? &out->id
				  : text_is(key, "channel") ? &out->channel
				  : text_is(key, "rule")    ? &out->rule
				  : text_is(key, "text")    ? &out->text
							    : &ignored;
		*to = text_read(&c);
	}
	return !c.bad && c.at == c.end;
}

static int channel_of(struct text name)
{
	for (uint32_t i = 0; i < BANK20_CHANNELS; i++)
		if (text_is(name, bank20_channel(i)))
			return (int)i;
	return -1;
}

static uint32_t rule_of(struct text name)
{
	if (!name.s || name.bytes != 3 || name.s[0] != 'r')
		return 0;
	uint32_t rule = (uint32_t)((name.s[1] - '0') * 10 + name.s[2] - '0');
	return rule >= 1 && rule <= BANK20_RULES ? rule : 0;
}

/* Kind, channel, recipient and so on, as far as they do not depend on which event it is. */
static bool message_check(struct book *b, const struct frame_header *h, const struct body *m, uint32_t rule,
			  int channel)
{
	bool critical = rule && BANK20_CRITICAL & BANK20_RULE(rule);
	int expected = 1;

	if (h->customer < 1 || h->customer > b->customers || !rule || channel < 0 || m->id.bytes != 16)
		return wrong(b, "a message without a customer, rule, channel or id of the workload");
	if (h->type != (critical ? CATEGORY_critical : CATEGORY_alert))
		return wrong(b, "r%02u in category %u", rule, h->type);
	if (m->recipient != h->customer || !m->text.bytes)
		return wrong(b, "r%02u for %llu has recipient %llu or no text", rule,
			     (unsigned long long)h->customer, (unsigned long long)m->recipient);
	if (b->own_channels && !critical)
		expected = b->profiles[h->customer - 1].channel;
	if (channel != expected)
		return wrong(b, "r%02u for %llu on %s", rule, (unsigned long long)h->customer,
			     bank20_channel((uint32_t)channel));
	return true;
}

static bool event_is(const struct book *b, uint64_t seq, const struct frame_header *h)
{
	uint64_t at = seq % BOOK_EVENTS;

	return b->customer[at] == h->customer && b->time[at] == h->time && b->amount[at] == h->amount;
}

/* The event that this message's id names, at or behind the queue's cursor. */
static bool event_find(struct book *b, struct book_queue *q, const struct frame_header *h, const uint8_t *id,
		       uint32_t rule, uint64_t *seq)
{
	uint8_t right[16];

	uint64_t known = b->events > BOOK_EVENTS ? b->events - BOOK_EVENTS : 0;
	for (uint64_t s = q->cursor > known ? q->cursor : known; s < b->events; s++) {
		if (b->customer[s % BOOK_EVENTS] != h->customer || !event_is(b, s, h))
			continue;
		book_id(b, s + 1, rule, h->customer, right);
		if (memcmp(right, id, 16) == 0) {
			*seq = s;
			return true;
		}
	}
	return wrong(b,
		     "r%02u for %llu: none of the newest %d events behind the queue's last message has its "
		     "customer, time, amount and id",
		     rule, (unsigned long long)h->customer, BOOK_EVENTS);
}

bool book_message(struct book *b, const struct frame_header *h, const uint8_t *bytes, size_t count,
		  int64_t now_ns)
{
	struct body m;
	uint64_t seq = 0;

	if (!body_read(bytes, count, &m))
		return wrong(b, "a body of %zu bytes that cannot be read", count);
	uint32_t rule = rule_of(m.rule);
	int channel = channel_of(m.channel);
	if (!message_check(b, h, &m, rule, channel))
		return false;
	struct book_queue *q = &b->queue[(uint32_t)channel * 2 + (h->type == CATEGORY_critical)];
	if (!event_find(b, q, h, (const uint8_t *)m.id.s, rule, &seq))
		return false;
	uint64_t key = seq << RULE_BITS | rule;
	if (q->count && key <= q->seen[q->count - 1])
		return wrong(b, "r%02u of event %llu comes twice or out of order", rule,
			     (unsigned long long)seq);
	if (b->messages == b->messages_max)
		return wrong(b, "more than %llu messages", (unsigned long long)b->messages);
	q->seen[q->count++] = key;
	q->cursor = seq;
	b->messages++;
	b->bytes += h->length;
	if (b->step_ns > 0)
		b->latency[b->latency_count++] = now_ns - b->start_ns - (int64_t)((double)seq * b->step_ns);
	return true;
}

/* ---- the end ---- */

static struct book_queue *queue_lowest(struct book *b, const uint64_t *at)
{
	struct book_queue *best = NULL;
	uint64_t lowest = UINT64_MAX;

	for (uint32_t i = 0; i < BOOK_QUEUES; i++) {
		struct book_queue *q = &b->queue[i];
		if (at[i] < q->count && q->seen[at[i]] < lowest) {
			lowest = q->seen[at[i]];
			best = q;
		}
	}
	return best;
}

void book_answers(struct book *b, struct bank20_answers *out)
{
	uint64_t at[BOOK_QUEUES] = { 0 };
	struct book_queue *q;

	*out = (struct bank20_answers){ .events = b->events };
	while ((q = queue_lowest(b, at))) {
		uint64_t key = q->seen[at[q - b->queue]++], seq = key >> RULE_BITS;
		uint32_t rule = (uint32_t)(key & ((1 << RULE_BITS) - 1));
		out->counts[rule - 1]++;
		out->total++;
		out->digest = out->digest * 31 + (uint32_t)(seq * 20) + rule;
	}
}
