/*
 * world: the made-up bank that the synthetic load plays in. Everything about a customer, an account or a
 * card follows from the seed and an index, so nothing is stored per customer here.
 *
 * Account i belongs to customer i (owner). `joint` percent of the accounts have a second holder, customer
 * i ^ 1: of these 80 % co_owner, 15 % authorised, 5 % guardian (the account of a minor). `cards` percent of
 * the accounts have two or three cards of their owner, the others one; a second holder has one more.
 * Currencies: EUR but 2 % USD, 1 % GBP, 0.5 % JPY, 0.3 % KWD. Home: one of 24 cities, 80 % in Spain.
 * Indexes from `customers` on are strangers: they make events, and the import file does not have them.
 */
#ifndef CLI_WORLD_H
#define CLI_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORLD_STRANGERS = 64,
	WORLD_CITIES = 24,
	WORLD_CITY_MERCHANTS = 64,
	WORLD_MERCHANTS = WORLD_CITIES * WORLD_CITY_MERCHANTS,
	WORLD_TOKEN_BYTES = 16, /* of a card's token */
	WORLD_MERCHANT_BODY_BYTES = 96,
};

enum world_partner { PARTNER_NONE, PARTNER_CO_OWNER, PARTNER_AUTHORISED, PARTNER_GUARDIAN };

struct world_city {
	const char *name;
	uint16_t country; /* ISO 3166-1 numeric */
	double lat, lon;
};

struct world_merchant {
	uint16_t mcc;
	uint8_t city;
	uint8_t body_bytes;
	uint8_t body[WORLD_MERCHANT_BODY_BYTES]; /* the pairs merchant, city, lat, lon in MessagePack */
};

struct world_account {
	uint64_t account;     /* token */
	uint64_t customer;    /* owner */
	uint64_t partner;     /* customer number, 0 = none */
	uint8_t partner_role; /* enum world_partner */
	uint8_t cards;	      /* the owner's; the partner's is one more */
	uint8_t city;
	uint16_t currency; /* ISO 4217 numeric */
	int64_t income;	   /* a month, minor units of `currency` */
};

struct world {
	uint64_t seed;
	uint32_t customers;
	uint8_t joint, cards; /* percent */
	struct world_merchant merchant[WORLD_MERCHANTS];
};

extern const struct world_city world_cities[WORLD_CITIES];

void world_init(struct world *w, uint64_t seed, uint32_t customers, unsigned joint, unsigned cards);
uint64_t world_customer(const struct world *w, uint32_t index); /* 1 to 2^63-1 */
void world_account(const struct world *w, uint32_t index, struct world_account *out);
/* The token of a card, 16 characters, without a NUL behind. */
void world_card(const struct world *w, uint32_t index, unsigned card, char token[WORLD_TOKEN_BYTES]);
/* Minor units of EUR as about as much in `currency`. */
int64_t world_money(int64_t eur_minor, uint16_t currency);
/* A well-mixed number of (seed, domain, index). */
uint64_t world_hash(uint64_t seed, uint64_t domain, uint64_t index);

#endif
