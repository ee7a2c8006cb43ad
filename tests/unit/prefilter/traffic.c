/*
 * traffic.c: see traffic.h.
 */
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

enum { TYPES_USED = 48, CUSTOMERS_USED = 300, ACCOUNTS_USED = 150 };

uint64_t below(struct random *r, uint64_t n)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return ((z ^ z >> 27) * UINT64_C(0x94d049bb133111eb) >> 11) % n;
}

bool one_in(struct random *r, uint64_t n)
{
	return below(r, n) == 0;
}

/* The first argument, MOMENT_SEED, or 1. */
uint64_t seed_given(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : getenv("MOMENT_SEED");

	return text ? strtoull(text, NULL, 0) : 1;
}

static const uint16_t some_currencies[] = { 0, 978, 840, 170 },
		      some_countries[] = { 0, 1, 724, 250, 1023, 1024, 65535 },
		      some_mccs[] = { 0, 1, 63, 64, 5411, 5814, 10047, 10048, 65535 };
static const int64_t some_amounts[] = { 0, 1, 99, 100, 101, 4999, 5000, 5001, INT64_MAX };

static struct interest_entry random_entry(struct random *r)
{
	static const uint8_t actions[] = { INTEREST_UNKNOWN, INTEREST_KEEP,    INTEREST_DROP,	INTEREST_DROP,
					   INTEREST_KEEP_IF, INTEREST_KEEP_IF, INTEREST_KEEP_IF };

	return (struct interest_entry){
		.action = PICK(r, actions),
		.conditions = (uint8_t)(below(r, 32) & below(r, 32)),
		.touchpoints = (uint16_t)below(r, 1 << 13),
		.countries = (uint8_t)below(r, INTEREST_SETS_MAX + one_in(r, 20)),
		.mccs = (uint8_t)below(r, INTEREST_SETS_MAX + one_in(r, 20)),
		.currency = PICK(r, some_currencies),
		.amount_min = PICK(r, some_amounts),
	};
}

/* Of the sets only the codes that traffic has. */
void random_table(struct random *r, struct interest_table *t)
{
	memset(t, 0, sizeof *t);
	for (uint32_t i = 0; i < TYPES_USED; i++)
		t->type[i] = random_entry(r);
	t->type[INTEREST_TYPES - 1].action = INTEREST_DROP;
	for (uint32_t s = 0; s < INTEREST_SETS_MAX; s++)
		for (uint32_t k = 0; k < 6; k++) {
			uint16_t country = PICK(r, some_countries), mcc = PICK(r, some_mccs);
			if (country < INTEREST_COUNTRIES)
				t->sets.country[s][country / 64] |= UINT64_C(1) << country % 64;
			if (mcc < INTEREST_MCCS)
				t->sets.mcc[s][mcc / 64] |= UINT64_C(1) << mcc % 64;
		}
}

uint32_t random_length(struct random *r, uint32_t long_one_in)
{
	if (one_in(r, long_one_in))
		return one_in(r, 3) ? FRAME_BYTES_MAX - (uint32_t)below(r, 3)
				    : FRAME_HEADER_BYTES +
					      (uint32_t)below(r, FRAME_BYTES_MAX - FRAME_HEADER_BYTES + 1);
	return one_in(r, 2) ? FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + (uint32_t)below(r, 300);
}

static uint64_t random_customer(struct random *r)
{
	return one_in(r, 8) ? 0 : 1000003 * below(r, CUSTOMERS_USED) + 17;
}

static uint64_t random_account(struct random *r)
{
	return one_in(r, 3) ? 0 : 7000001 * below(r, ACCOUNTS_USED) + 5;
}

struct frame_header random_event(struct random *r)
{
	return (struct frame_header){
		.version = FRAME_VERSION,
		.kind = FRAME_EVENT,
		.type = (uint16_t)(one_in(r, 30) ? INTEREST_TYPES - 1 - below(r, 2) : below(r, TYPES_USED)),
		.customer = random_customer(r),
		.account = random_account(r),
		.time = 1 + (int64_t)below(r, 1000),
		.amount = PICK(r, some_amounts),
		.balance = one_in(r, 2) ? FRAME_BALANCE_NO_DATA : (int64_t)below(r, 1000),
		.currency = PICK(r, some_currencies),
		.country = PICK(r, some_countries),
		.mcc = PICK(r, some_mccs),
		.touchpoint = (uint8_t)below(r, TOUCHPOINT_COUNT),
		.flags = (uint8_t)(one_in(r, 6) ? below(r, 8) : 0),
	};
}

/* A kind of a source's stream that is no event. */
struct frame_header random_change(struct random *r)
{
	static const uint8_t kinds[] = { FRAME_PROFILE, FRAME_SUBSCRIBE, FRAME_MANAGE };
	struct frame_header h = { .version = FRAME_VERSION,
				  .kind = PICK(r, kinds),
				  .customer = random_customer(r) };

	if (h.kind == FRAME_PROFILE)
		h.account = one_in(r, 3) ? random_account(r) : 0;
	if (h.kind != FRAME_MANAGE && !h.account && !h.customer)
		h.customer = 17;
	return h;
}

/* What a source may send outside its stream. */
static struct frame_header random_other(struct random *r)
{
	static const uint8_t kinds[] = { FRAME_PING, FRAME_PONG, FRAME_ACK, FRAME_HELLO };
	struct frame_header h = { .version = FRAME_VERSION, .kind = PICK(r, kinds) };

	if (h.kind == FRAME_PING || h.kind == FRAME_PONG)
		h.time = (int64_t)below(r, 100);
	else
		h.sequence = below(r, 100);
	if (h.kind == FRAME_ACK)
		h.type = FRAME_COMMAND;
	return h;
}

/* A good frame's header: the next of the stream, a repeat of an earlier one, or one outside. */
struct frame_header random_frame(struct random *r, uint64_t *sequence, uint32_t long_one_in)
{
	struct frame_header h;

	if (one_in(r, 25)) {
		h = random_other(r);
	} else {
		h = one_in(r, 20) ? random_change(r) : random_event(r);
		h.sequence = *sequence > 1 && one_in(r, 40) ? 1 + below(r, *sequence - 1) : (*sequence)++;
	}
	h.length = random_length(r, long_one_in);
	return h;
}

/* Bytes of random frames in buf; *sequence is the next one. */
size_t stream_make(struct random *r, uint8_t *buf, size_t bytes, uint64_t *sequence, uint32_t long_one_in)
{
	size_t at = 0;

	for (;;) {
		uint64_t next = *sequence;
		struct frame_header h = random_frame(r, &next, long_one_in);
		if (at + h.length > bytes)
			return at;
		*sequence = next;
		memcpy(buf + at, &h, sizeof h);
		for (size_t i = sizeof h; i < h.length; i++)
			buf[at + i] = (uint8_t)(i * 7 + h.sequence);
		at += h.length;
	}
}

size_t random_piece(struct random *r, size_t left)
{
	static const size_t most[] = { 2, 70, 200, 3000, PIECE_MAX, PIECE_MAX };
	size_t n = 1 + below(r, PICK(r, most));

	return n < left ? n : left;
}
