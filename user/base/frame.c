/*
 * frame.c: what a header alone can tell, from one row per kind (schemas/frame.md, "Fields by kind").
 *
 * In: a header, perhaps all that has arrived so far, and who sent it. Out: NULL, or what is wrong and at
 * which byte. Nothing is kept. The order is that of the pre-filter: length, version, kind, flags, then
 * the fields; so the first thing that is wrong is the one that is named.
 */
#include "frame.h"

#include <assert.h>

/* Fields that a kind may or may not use, in the order of the header. X(bit, field) */
#define OPTIONAL_FIELDS(X)                                                                                   \
	X(0, type)                                                                                           \
	X(1, sequence)                                                                                       \
	X(2, customer)                                                                                       \
	X(3, account)                                                                                        \
	X(4, time)                                                                                           \
	X(5, amount)                                                                                         \
	X(6, balance)                                                                                        \
	X(7, currency)                                                                                       \
	X(8, country)                                                                                        \
	X(9, mcc)                                                                                            \
	X(10, touchpoint)

enum {
#define X(bit, field) USE_##field = 1 << (bit),
	OPTIONAL_FIELDS(X)
#undef X
		USE_ALL = (1 << 11) - 1,
	FROM_SOURCE = 1 << ROLE_OF_SOURCE,
	FROM_GATEWAY = 1 << ROLE_OF_GATEWAY,
	FROM_ENGINE = 1 << ROLE_OF_ENGINE,
	FROM_PEER = FROM_SOURCE | FROM_GATEWAY,
	FROM_ALL = FROM_PEER | FROM_ENGINE,
};

struct kind_rule {
	uint16_t uses;
	uint8_t flags; /* that it may carry */
	uint8_t from;  /* 0: reserved until access control is built */
	bool in_stream;
	const char *name;
};

static const struct kind_rule rules[FRAME_KIND_COUNT] = {
#define ROW(kind, used, may_flag, sender)                                                                    \
	[FRAME_##kind] = { .uses = (used), .flags = (may_flag), .from = (sender), .name = #kind }
#define STREAM(kind, used, may_flag, sender)                                                                 \
	[FRAME_##kind] = {                                                                                   \
		.uses = (used), .flags = (may_flag), .from = (sender), .in_stream = true, .name = #kind      \
	}
	ROW(HELLO, USE_sequence, 0, FROM_PEER),
	ROW(WELCOME, USE_sequence, 0, FROM_ENGINE),
	STREAM(EVENT, USE_ALL, FRAME_VERDICT_WANTED | FRAME_REVERSAL | FRAME_MAYBE_REPEAT, FROM_SOURCE),
	ROW(ACK, USE_type | USE_sequence, 0, FROM_ALL),
	ROW(VERDICT, USE_type | USE_sequence | USE_amount, FRAME_NOT_DURABLE, FROM_ENGINE),
	STREAM(MESSAGE,
	       USE_type | USE_sequence | USE_customer | USE_account | USE_time | USE_amount | USE_currency,
	       FRAME_MAYBE_REPEAT, FROM_ENGINE),
	STREAM(RECEIPT, USE_sequence, 0, FROM_GATEWAY),
	STREAM(REPLY, USE_sequence | USE_customer, 0, FROM_GATEWAY),
	STREAM(COMMAND, USE_sequence | USE_customer | USE_account, FRAME_MAYBE_REPEAT, FROM_ENGINE),
	STREAM(PROFILE, USE_sequence | USE_customer | USE_account | USE_time, 0, FROM_SOURCE),
	STREAM(SUBSCRIBE, USE_sequence | USE_customer, 0, FROM_SOURCE),
	ROW(PING, USE_time, 0, FROM_ALL),
	ROW(PONG, USE_time, 0, FROM_ALL),
	ROW(ERROR, 0, 0, FROM_ENGINE),
	STREAM(MANAGE, USE_sequence | USE_customer, 0, FROM_SOURCE),
	ROW(CHALLENGE, 0, 0, 0),
	ROW(PROOF, 0, 0, 0),
#undef ROW
#undef STREAM
};

#define AT(field) offsetof(struct frame_header, field)
#define PROBLEM(field, words) ((struct frame_problem){ .text = (words), .offset = (uint32_t)AT(field) })

static const struct frame_problem no_problem = { 0 };

static struct frame_problem check_unused(const struct frame_header *h, unsigned uses)
{
#define X(bit, field)                                                                                        \
	if (!(uses & 1u << (bit)) && h->field)                                                               \
		return PROBLEM(field, #field " is not used by this kind and must be 0");
	OPTIONAL_FIELDS(X)
#undef X
	return no_problem;
}

static struct frame_problem check_event(const struct frame_header *h)
{
	if (h->time < 1)
		return PROBLEM(time, "time of an EVENT must be 1 to 2^63-1");
	if (h->amount < 0)
		return PROBLEM(amount, "amount must be 0 or more");
	if (h->touchpoint >= TOUCHPOINT_COUNT)
		return PROBLEM(touchpoint, "unknown touchpoint");
	return no_problem;
}

static struct frame_problem check_message(const struct frame_header *h)
{
	if (h->type == CATEGORY_NONE || h->type >= CATEGORY_COUNT)
		return PROBLEM(type, "unknown category");
	if (h->time < 1)
		return PROBLEM(time, "time of a MESSAGE must be 1 to 2^63-1");
	if (h->amount < 0)
		return PROBLEM(amount, "amount must be 0 or more");
	return no_problem;
}

static struct frame_problem check_verdict(const struct frame_header *h)
{
	if (h->type > VERDICT_DECLINE)
		return PROBLEM(type, "unknown verdict");
	if (h->sequence == 0)
		return PROBLEM(sequence, "sequence starts at 1");
	if (h->amount < INT32_MIN || h->amount > INT32_MAX)
		return PROBLEM(amount, "a score is a 32-bit number");
	return no_problem;
}

/* `type` names the stream; each stream is acknowledged by the side that receives it. */
static struct frame_problem check_ack(const struct frame_header *h, enum frame_role role)
{
	bool known = (role == ROLE_OF_ENGINE && (h->type == FRAME_EVENT || h->type == FRAME_RECEIPT)) ||
		     (role == ROLE_OF_GATEWAY && h->type == FRAME_MESSAGE) ||
		     (role == ROLE_OF_SOURCE && h->type == FRAME_COMMAND);

	return known ? no_problem
		     : PROBLEM(type, "type of an ACK names a stream that this side does not receive");
}

/* Ranges of the fields that the kind uses. */
static struct frame_problem check_values(const struct frame_header *h, enum frame_role role)
{
	switch (h->kind) {
	case FRAME_EVENT:
		return check_event(h);
	case FRAME_ACK:
		return check_ack(h, role);
	case FRAME_VERDICT:
		return check_verdict(h);
	case FRAME_MESSAGE:
		return check_message(h);
	case FRAME_PROFILE:
		if (h->customer == 0 && h->account == 0)
			return PROBLEM(customer, "a PROFILE needs a customer or an account");
		break;
	case FRAME_SUBSCRIBE:
		if (h->customer == 0)
			return PROBLEM(customer, "a SUBSCRIBE needs a customer");
		break;
	default:
		break;
	}
	if (h->time < 0)
		return PROBLEM(time, "time must be 0 to 2^63-1");
	return no_problem;
}

struct frame_problem frame_header_check(const struct frame_header *h, enum frame_role role)
{
	const struct kind_rule *rule;
	struct frame_problem problem;

	assert(role >= ROLE_OF_SOURCE && role <= ROLE_OF_ENGINE);
	if (h->length < FRAME_HEADER_BYTES || h->length > FRAME_BYTES_MAX)
		return PROBLEM(length, "length must be 64 to 65536");
	if (h->version != FRAME_VERSION)
		return PROBLEM(version, "version must be 1");
	if (h->kind == FRAME_NONE || h->kind >= FRAME_KIND_COUNT)
		return PROBLEM(kind, "unknown kind");
	rule = &rules[h->kind];
	if (rule->from == 0)
		return PROBLEM(kind, "this kind is reserved until access control is built");
	if (!(rule->from & 1u << role))
		return PROBLEM(kind, "this side may not send this kind");
	if (h->flags & ~rule->flags)
		return PROBLEM(flags, "a flag that this kind does not have");
	if (rule->in_stream && h->sequence == 0)
		return PROBLEM(sequence, "sequence starts at 1");
	if (rule->uses != USE_ALL) {
		problem = check_unused(h, rule->uses);
		if (problem.text)
			return problem;
	}
	return check_values(h, role);
}

const char *frame_kind_name(unsigned kind)
{
	return kind < FRAME_KIND_COUNT ? rules[kind].name : NULL;
}
