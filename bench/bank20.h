/*
 * bank20: the workload bank-20, made here from its definition: the same numbers on every machine. Customers
 * from 0 to customers - 1, events in file order, each a ready frame of the wire (customer + 1, sequence from
 * 1, no body). The stream has no end. And the answers: which of the 20 rules hold, by a plain evaluation that
 * keeps a day of every customer's events and looks through it.
 *
 * One owner, one thread. Sums that are known from elsewhere are in bank20_known().
 */
#ifndef BENCH_BANK20_H
#define BENCH_BANK20_H

#include <moment/frame.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	BANK20_RULES = 20,
	BANK20_TYPES = 20,
	BANK20_CHANNELS = 4,
	BANK20_CUSTOMERS_MAX = 1 << 24, /* far from where a double rounds the scattering of ranks */
	BANK20_MESSAGE_BYTES_MAX = 160, /* one JSON line of a message */
};

/* Event codes, in the order of the workload's list. */
enum bank20_type {
	CARD_PURCHASE = 1,
	CARD_DECLINED,
	CARD_REFUND,
	CARD_BLOCKED,
	ATM_WITHDRAWAL,
	ATM_DEPOSIT,
	TRANSFER_IN,
	TRANSFER_OUT,
	TRANSFER_FAILED,
	SALARY,
	LOAN_INSTALMENT,
	LOAN_MISSED,
	STANDING_ORDER,
	DIRECT_DEBIT,
	FEE,
	INTEREST,
	LOGIN,
	LOGIN_FAILED,
	PASSWORD_CHANGED,
	DEVICE_ADDED,
};
#define BANK20_BIT(type) (1u << (type))
#define BANK20_DEBITS                                                                                        \
	(BANK20_BIT(CARD_PURCHASE) | BANK20_BIT(ATM_WITHDRAWAL) | BANK20_BIT(TRANSFER_OUT) |                 \
	 BANK20_BIT(LOAN_INSTALMENT) | BANK20_BIT(STANDING_ORDER) | BANK20_BIT(DIRECT_DEBIT) |               \
	 BANK20_BIT(FEE))
/* Bit r - 1 is rule r, as in a profile's optin. */
#define BANK20_RULE(r) (1u << ((r)-1))
#define BANK20_CRITICAL                                                                                      \
	(BANK20_RULE(4) | BANK20_RULE(5) | BANK20_RULE(9) | BANK20_RULE(10) | BANK20_RULE(11) |              \
	 BANK20_RULE(12) | BANK20_RULE(14))

struct bank20_profile {
	uint32_t threshold, low; /* minor units */
	uint32_t optin;		 /* bit r - 1 is rule r */
	uint16_t home;		 /* ISO 3166-1 numeric */
	uint8_t channel;	 /* of bank20_channel() */
	uint8_t salary;
};
_Static_assert(sizeof(struct bank20_profile) == 16, "four in a cache line");

struct bank20;

struct bank20 *bank20_new(uint32_t customers); /* NULL: no memory */
void bank20_free(struct bank20 *b);
uint32_t bank20_customers(const struct bank20 *b);
const struct bank20_profile *bank20_profiles(const struct bank20 *b); /* [customers] */
const char *bank20_channel(uint32_t channel);			      /* push, sms, email, inbox */
const char *bank20_type_name(uint32_t type);
/* The next `count` events. */
void bank20_next(struct bank20 *b, struct frame_header *out, uint32_t count);

/* ---- answers ---- */

struct bank20_answers {
	uint64_t events, total;
	uint64_t counts[BANK20_RULES]; /* counts[r - 1] */
	uint32_t digest;
};

/* The messages of the next event, in rule order. */
void bank20_answers_add(struct bank20_answers *a, uint32_t rules);
bool bank20_answers_equal(const struct bank20_answers *a, const struct bank20_answers *b);
void bank20_answers_print(const struct bank20_answers *a); /* the members of a JSON object, without braces */

/* What is known for so many customers and events from an independent evaluation; NULL: nothing. */
const struct bank20_answers *bank20_known(uint32_t customers, uint64_t events);

struct bank20_judge;
/* Keeps a pointer to the profiles. */
struct bank20_judge *bank20_judge_new(const struct bank20_profile *profiles, uint32_t customers);
void bank20_judge_free(struct bank20_judge *j);
/* The rules that give a message for this event, events in order. */
uint32_t bank20_judge_event(struct bank20_judge *j, const struct frame_header *event);

#endif
