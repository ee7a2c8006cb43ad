/*
 * check.h: what a header alone can tell about a frame, as one row per kind (schemas/frame.md, "Fields by
 * kind"). Compiled for both sides: ingest and the tools call it through user/base/frame.h, which adds the
 * words; the pre-filter stops a connection at the first header that is not HEADER_GOOD.
 *
 * The order is length, version, kind, flags, then the fields, so the first thing that is wrong is the one
 * that is named.
 */
#ifndef MOMENT_CHECK_H
#define MOMENT_CHECK_H

#include <moment/frame.h>

/* Which way a frame travels: the kinds that a peer of that role may send. */
enum frame_role { ROLE_OF_SOURCE = 1, ROLE_OF_GATEWAY = 2, ROLE_OF_ENGINE = 3 };

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

/* Everything that can be wrong. X(NAME, field, words) */
#define HEADER_PROBLEMS(X)                                                                                   \
	X(LENGTH, length, "length must be 64 to 65536")                                                      \
	X(VERSION, version, "version must be 1")                                                             \
	X(KIND, kind, "unknown kind")                                                                        \
	X(KIND_RESERVED, kind, "this kind is reserved until access control is built")                        \
	X(KIND_OF_ANOTHER, kind, "this side may not send this kind")                                         \
	X(FLAGS, flags, "a flag that this kind does not have")                                               \
	X(SEQUENCE, sequence, "sequence starts at 1")                                                        \
	X(UNUSED_type, type, "type is not used by this kind and must be 0")                                  \
	X(UNUSED_sequence, sequence, "sequence is not used by this kind and must be 0")                      \
	X(UNUSED_customer, customer, "customer is not used by this kind and must be 0")                      \
	X(UNUSED_account, account, "account is not used by this kind and must be 0")                         \
	X(UNUSED_time, time, "time is not used by this kind and must be 0")                                  \
	X(UNUSED_amount, amount, "amount is not used by this kind and must be 0")                            \
	X(UNUSED_balance, balance, "balance is not used by this kind and must be 0")                         \
	X(UNUSED_currency, currency, "currency is not used by this kind and must be 0")                      \
	X(UNUSED_country, country, "country is not used by this kind and must be 0")                         \
	X(UNUSED_mcc, mcc, "mcc is not used by this kind and must be 0")                                     \
	X(UNUSED_touchpoint, touchpoint, "touchpoint is not used by this kind and must be 0")                \
	X(TIME_OF_EVENT, time, "time of an EVENT must be 1 to 2^63-1")                                       \
	X(TIME_OF_MESSAGE, time, "time of a MESSAGE must be 1 to 2^63-1")                                    \
	X(TIME, time, "time must be 0 to 2^63-1")                                                            \
	X(AMOUNT, amount, "amount must be 0 or more")                                                        \
	X(TOUCHPOINT, touchpoint, "unknown touchpoint")                                                      \
	X(CATEGORY, type, "unknown category")                                                                \
	X(VERDICT, type, "unknown verdict")                                                                  \
	X(SCORE, amount, "a score is a 32-bit number")                                                       \
	X(STREAM, type, "type of an ACK names a stream that this side does not receive")                     \
	X(PROFILE_OF, customer, "a PROFILE needs a customer or an account")                                  \
	X(SUBSCRIBE_OF, customer, "a SUBSCRIBE needs a customer")

enum header_problem {
	HEADER_GOOD = 0,
#define X(name, field, words) HEADER_##name,
	HEADER_PROBLEMS(X)
#undef X
		HEADER_PROBLEM_COUNT
};

struct kind_rule {
	uint16_t uses; /* fields, USE_... */
	uint8_t flags; /* that it may carry */
	uint8_t from;  /* FROM_..; 0: reserved until access control is built */
	uint8_t in_stream, reserved;
};

static const struct kind_rule frame_kind_rules[FRAME_KIND_COUNT] = {
#define ROW(kind, used, may_flag, sender)                                                                    \
	[FRAME_##kind] = { .uses = (used), .flags = (may_flag), .from = (sender) }
#define STREAM(kind, used, may_flag, sender)                                                                 \
	[FRAME_##kind] = { .uses = (used), .flags = (may_flag), .from = (sender), .in_stream = 1 }
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

static inline enum header_problem header_check_unused(const struct frame_header *h, unsigned uses)
{
#define X(bit, field)                                                                                        \
	if (!(uses & 1u << (bit)) && h->field)                                                               \
		return HEADER_UNUSED_##field;
	OPTIONAL_FIELDS(X)
#undef X
	return HEADER_GOOD;
}

static inline enum header_problem header_check_event(const struct frame_header *h)
{
	if (h->time < 1)
		return HEADER_TIME_OF_EVENT;
	if (h->amount < 0)
		return HEADER_AMOUNT;
	return h->touchpoint >= TOUCHPOINT_COUNT ? HEADER_TOUCHPOINT : HEADER_GOOD;
}

static inline enum header_problem header_check_message(const struct frame_header *h)
{
	if (h->type == CATEGORY_NONE || h->type >= CATEGORY_COUNT)
		return HEADER_CATEGORY;
	if (h->time < 1)
		return HEADER_TIME_OF_MESSAGE;
	return h->amount < 0 ? HEADER_AMOUNT : HEADER_GOOD;
}

static inline enum header_problem header_check_verdict(const struct frame_header *h)
{
	if (h->type > VERDICT_DECLINE)
		return HEADER_VERDICT;
	if (h->sequence == 0)
		return HEADER_SEQUENCE;
	return h->amount != (int32_t)h->amount ? HEADER_SCORE : HEADER_GOOD;
}

/* `type` names the stream; each stream is acknowledged by the side that receives it. */
static inline enum header_problem header_check_ack(const struct frame_header *h, enum frame_role role)
{
	if ((role == ROLE_OF_ENGINE && (h->type == FRAME_EVENT || h->type == FRAME_RECEIPT)) ||
	    (role == ROLE_OF_GATEWAY && h->type == FRAME_MESSAGE) ||
	    (role == ROLE_OF_SOURCE && h->type == FRAME_COMMAND))
		return HEADER_GOOD;
	return HEADER_STREAM;
}

/* Ranges of the fields that the kind uses. */
static inline enum header_problem header_check_values(const struct frame_header *h, enum frame_role role)
{
	if (h->kind == FRAME_EVENT)
		return header_check_event(h);
	if (h->kind == FRAME_ACK)
		return header_check_ack(h, role);
	if (h->kind == FRAME_VERDICT)
		return header_check_verdict(h);
	if (h->kind == FRAME_MESSAGE)
		return header_check_message(h);
	if (h->kind == FRAME_PROFILE && h->customer == 0 && h->account == 0)
		return HEADER_PROFILE_OF;
	if (h->kind == FRAME_SUBSCRIBE && h->customer == 0)
		return HEADER_SUBSCRIBE_OF;
	return h->time < 0 ? HEADER_TIME : HEADER_GOOD;
}

/* `length` is checked before anything else, so a caller with only FRAME_HEADER_BYTES may call it. */
static inline enum header_problem header_check(const struct frame_header *h, enum frame_role role)
{
	if (h->length < FRAME_HEADER_BYTES || h->length > FRAME_BYTES_MAX)
		return HEADER_LENGTH;
	if (h->version != FRAME_VERSION)
		return HEADER_VERSION;
	if (h->kind == FRAME_NONE || h->kind >= FRAME_KIND_COUNT)
		return HEADER_KIND;
	const struct kind_rule *rule = &frame_kind_rules[h->kind];
	if (rule->from == 0)
		return HEADER_KIND_RESERVED;
	if (!(rule->from & 1u << role))
		return HEADER_KIND_OF_ANOTHER;
	if (h->flags & ~rule->flags)
		return HEADER_FLAGS;
	if (rule->in_stream && h->sequence == 0)
		return HEADER_SEQUENCE;
	if (rule->uses != USE_ALL) {
		enum header_problem problem = header_check_unused(h, rule->uses);
		if (problem)
			return problem;
	}
	return header_check_values(h, role);
}

#endif
