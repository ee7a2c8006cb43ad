/*
 * frame.h: the wire. One 64-byte little-endian header, then one MessagePack map.
 *
 * The header is frozen (schemas/frame.md is its prose); sizes and offsets are asserted below. This
 * file compiles for the host and for `-target bpf`, so it holds fixed-width types and no behaviour.
 * A frame is at most FRAME_BYTES_MAX long, `length` counts header and body.
 */
#ifndef MOMENT_FRAME_H
#define MOMENT_FRAME_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s32 int32_t;
typedef __s64 int64_t;
#else
#include <stddef.h>
#include <stdint.h>
#endif

enum {
	FRAME_HEADER_BYTES = 64,
	FRAME_BYTES_MAX = 65536,
	FRAME_VERSION = 1,
	FRAME_BODY_DEPTH_MAX = 4, /* nesting of the body, the outer map included */
};

/* X(value, NAME, is in a stream numbered by `sequence`) */
#define FRAME_KINDS(X)                                                                                       \
	X(1, HELLO, 0)                                                                                       \
	X(2, WELCOME, 0)                                                                                     \
	X(3, EVENT, 1)                                                                                       \
	X(4, ACK, 0)                                                                                         \
	X(5, VERDICT, 0)                                                                                     \
	X(6, MESSAGE, 1)                                                                                     \
	X(7, RECEIPT, 1)                                                                                     \
	X(8, REPLY, 1)                                                                                       \
	X(9, COMMAND, 1)                                                                                     \
	X(10, PROFILE, 1)                                                                                    \
	X(11, SUBSCRIBE, 1)                                                                                  \
	X(12, PING, 0)                                                                                       \
	X(13, PONG, 0)                                                                                       \
	X(14, ERROR, 0)                                                                                      \
	X(15, MANAGE, 1)                                                                                     \
	X(16, CHALLENGE, 0)                                                                                  \
	X(17, PROOF, 0)

enum frame_kind {
	FRAME_NONE = 0,
#define X(value, name, stream) FRAME_##name = value,
	FRAME_KINDS(X)
#undef X
		FRAME_KIND_COUNT,
};

/* header.flags */
enum {
	FRAME_VERDICT_WANTED = 1 << 0, /* EVENT */
	FRAME_REVERSAL = 1 << 1,       /* EVENT: takes back body.of */
	FRAME_MAYBE_REPEAT = 1 << 2,   /* EVENT, MESSAGE, COMMAND */
	FRAME_NOT_DURABLE = 1 << 3,    /* VERDICT */
};

/* header.touchpoint; 0 = no data. The names are those of the catalogue's constants. */
#define FRAME_TOUCHPOINTS(X)                                                                                 \
	X(1, pos)                                                                                            \
	X(2, online)                                                                                         \
	X(3, atm)                                                                                            \
	X(4, branch)                                                                                         \
	X(5, app)                                                                                            \
	X(6, web)                                                                                            \
	X(7, call_centre)                                                                                    \
	X(8, batch)                                                                                          \
	X(9, social)                                                                                         \
	X(10, messaging)                                                                                     \
	X(11, email)                                                                                         \
	X(12, letter)

enum frame_touchpoint {
	TOUCHPOINT_NONE = 0,
#define X(value, name) TOUCHPOINT_##name = value,
	FRAME_TOUCHPOINTS(X)
#undef X
		TOUCHPOINT_COUNT,
};

#define FRAME_BALANCE_NO_DATA INT64_MIN

struct frame_header {
	uint32_t length;    /* header and body, FRAME_HEADER_BYTES to FRAME_BYTES_MAX */
	uint8_t version;    /* FRAME_VERSION */
	uint8_t kind;	    /* enum frame_kind */
	uint16_t type;	    /* EVENT: type code of the catalogue; MESSAGE: category; ACK: the stream's kind */
	uint64_t sequence;  /* +1 each in its stream, from 1 */
	uint64_t customer;  /* who acted; 0 = not known */
	uint64_t account;   /* the account's token, never a card number; 0 = none */
	int64_t time;	    /* event time, ns since 1970 UTC, 1 to 2^63-1 */
	int64_t amount;	    /* >= 0, minor units of `currency` */
	int64_t balance;    /* after the event, minor units; FRAME_BALANCE_NO_DATA */
	uint16_t currency;  /* ISO 4217 numeric, the account's */
	uint16_t country;   /* ISO 3166-1 numeric; 0 = no data */
	uint16_t mcc;	    /* ISO 18245; 0 = no data */
	uint8_t touchpoint; /* enum frame_touchpoint */
	uint8_t flags;
};

#define FRAME_OFFSET(field, at) _Static_assert(__builtin_offsetof(struct frame_header, field) == (at), #field)
FRAME_OFFSET(length, 0);
FRAME_OFFSET(version, 4);
FRAME_OFFSET(kind, 5);
FRAME_OFFSET(type, 6);
FRAME_OFFSET(sequence, 8);
FRAME_OFFSET(customer, 16);
FRAME_OFFSET(account, 24);
FRAME_OFFSET(time, 32);
FRAME_OFFSET(amount, 40);
FRAME_OFFSET(balance, 48);
FRAME_OFFSET(currency, 56);
FRAME_OFFSET(country, 58);
FRAME_OFFSET(mcc, 60);
FRAME_OFFSET(touchpoint, 62);
FRAME_OFFSET(flags, 63);
_Static_assert(sizeof(struct frame_header) == FRAME_HEADER_BYTES, "one cache line");

/* MESSAGE header.type: the category of the message. X(value, name) */
#define MESSAGE_CATEGORIES(X)                                                                                \
	X(1, critical)                                                                                       \
	X(2, regulatory)                                                                                     \
	X(3, alert)                                                                                          \
	X(4, service)                                                                                        \
	X(5, collections)                                                                                    \
	X(6, advice)                                                                                         \
	X(7, offer)

enum message_category {
	CATEGORY_NONE = 0,
#define X(value, name) CATEGORY_##name = value,
	MESSAGE_CATEGORIES(X)
#undef X
		CATEGORY_COUNT,
};

/* VERDICT header.type */
enum verdict { VERDICT_APPROVE = 0, VERDICT_REVIEW = 1, VERDICT_DECLINE = 2 };

#endif
