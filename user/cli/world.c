/*
 * world.c: customers, accounts, cards, cities and merchants out of a seed and an index.
 *
 * Numbers of customers and accounts come from a bijection of 63 bits, so they are sparse and never collide.
 * Merchants are made once, with their part of an event's body already packed. Nothing is allocated and
 * nothing can go wrong.
 */
#include "world.h"

#include <assert.h>
#include <base/bytes.h>
#include <stdio.h>
#include <string.h>

enum { DOMAIN_CUSTOMER = 0, DOMAIN_ACCOUNT = 1, DOMAIN_CARD = 2, DOMAIN_TRAITS = 3, DOMAIN_MERCHANT = 4 };

const struct world_city world_cities[WORLD_CITIES] = {
	{ "Madrid", 724, 40.4168, -3.7038 },	  { "Barcelona", 724, 41.3874, 2.1686 },
	{ "Valencia", 724, 39.4699, -0.3763 },	  { "Sevilla", 724, 37.3891, -5.9845 },
	{ "Zaragoza", 724, 41.6488, -0.8891 },	  { "Málaga", 724, 36.7213, -4.4213 },
	{ "Bilbao", 724, 43.2630, -2.9350 },	  { "Granada", 724, 37.1773, -3.5986 },
	{ "Lisboa", 620, 38.7223, -9.1393 },	  { "Paris", 250, 48.8566, 2.3522 },
	{ "Lyon", 250, 45.7640, 4.8357 },	  { "Berlin", 276, 52.5200, 13.4050 },
	{ "München", 276, 48.1351, 11.5820 },	  { "Roma", 380, 41.9028, 12.4964 },
	{ "Milano", 380, 45.4642, 9.1900 },	  { "London", 826, 51.5074, -0.1278 },
	{ "Dublin", 372, 53.3498, -6.2603 },	  { "New York", 840, 40.7128, -74.0060 },
	{ "Miami", 840, 25.7617, -80.1918 },	  { "Ciudad de México", 484, 19.4326, -99.1332 },
	{ "Bogotá", 170, 4.7110, -74.0721 },	  { "Tokyo", 392, 35.6762, 139.6503 },
	{ "Kuwait City", 414, 29.3759, 47.9774 }, { "București", 642, 44.4268, 26.1025 },
};

static const struct trade {
	const char *name;
	uint16_t mcc;
} trades[] = {
	{ "Mercado", 5411 },  { "Café", 5814 },	      { "Restaurante", 5812 }, { "Gasolinera", 5541 },
	{ "Farmacia", 5912 }, { "Moda", 5651 },	      { "Zapatería", 5661 },   { "Electrónica", 5732 },
	{ "Librería", 5942 }, { "Cine", 7832 },	      { "Peluquería", 7230 },  { "Ferretería", 5200 },
	{ "Hotel", 7011 },    { "Transporte", 4111 }, { "Aerolíneas", 4511 },  { "Casino", 7995 },
};
static const char *const names[] = { "Sol",  "Luna",  "Norte", "Sur", "Central", "Plaza", "Mayor", "Nova",
				     "Real", "Verde", "Azul",  "Rex", "Delta",	 "Alba",  "Prado", "Duero" };

uint64_t world_hash(uint64_t seed, uint64_t domain, uint64_t index)
{
	uint64_t z = seed ^ (domain + 1) * 0xd6e8feb86659fd93ull;

	z += index * 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* A bijection of 63 bits: xor, odd factors modulo 2^63 and right shifts can each be undone. */
static uint64_t scramble_once(uint64_t seed, uint64_t x)
{
	const uint64_t mask = (1ull << 63) - 1;

	x = (x ^ (seed * 0x9e3779b97f4a7c15ull)) & mask;
	x = (x * 0xbf58476d1ce4e5b9ull) & mask;
	x ^= x >> 32;
	x = (x * 0x94d049bb133111ebull) & mask;
	return x ^ x >> 29;
}

/* Never 0: the one index that would give it takes the place of one that is never asked for. */
static uint64_t scramble(uint64_t seed, uint64_t domain, uint64_t index)
{
	uint64_t x = scramble_once(seed, domain << 48 | index);

	return x ? x : scramble_once(seed, (uint64_t)0x7fff << 48);
}

uint64_t world_customer(const struct world *w, uint32_t index)
{
	return scramble(w->seed, DOMAIN_CUSTOMER, index);
}

static void token_write(char *out, char prefix, uint64_t number)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

	out[0] = prefix;
	for (unsigned i = 1; i < WORLD_TOKEN_BYTES; i++, number >>= 5)
		out[i] = digits[number & 31];
}

void world_card(const struct world *w, uint32_t index, unsigned card, char token[WORLD_TOKEN_BYTES])
{
	token_write(token, 't', scramble(w->seed, DOMAIN_CARD, (uint64_t)index << 3 | card));
}

int64_t world_money(int64_t eur_minor, uint16_t currency)
{
	switch (currency) {
	case 840:
		return eur_minor + eur_minor / 12;
	case 826:
		return eur_minor - eur_minor / 7;
	case 392: /* no minor digits: 100 cents are about 163 yen */
		return eur_minor + eur_minor * 5 / 8;
	case 414: /* three minor digits: 100 cents are about 333 fils */
		return eur_minor * 10 / 3;
	default:
		return eur_minor;
	}
}

static uint16_t currency_of(uint64_t draw)
{
	uint64_t x = draw % 1000;

	return x < 20 ? 840 : x < 30 ? 826 : x < 35 ? 392 : x < 38 ? 414 : 978;
}

static uint8_t partner_role_of(uint64_t draw)
{
	uint64_t x = draw % 100;

	return x < 80 ? PARTNER_CO_OWNER : x < 95 ? PARTNER_AUTHORISED : PARTNER_GUARDIAN;
}

void world_account(const struct world *w, uint32_t index, struct world_account *out)
{
	uint64_t h = world_hash(w->seed, DOMAIN_TRAITS, index);
	uint32_t partner = index ^ 1;
	bool joint = h % 100 < w->joint && index < w->customers && partner < w->customers;
	bool several = (h >> 8 & 0xffff) % 100 < w->cards;

	*out = (struct world_account){ .account = scramble(w->seed, DOMAIN_ACCOUNT, index),
				       .customer = world_customer(w, index) };
	if (joint) {
		out->partner = world_customer(w, partner);
		out->partner_role = partner_role_of(h >> 24 & 0xffff);
	}
	out->cards = (uint8_t)(several ? 2 + (h >> 40 & 1) : 1);
	out->city = (uint8_t)((h >> 41 & 0xff) % 100 < 80 ? (h >> 49) % 8 : (h >> 49) % WORLD_CITIES);
	out->currency = currency_of(h >> 44);
	out->income = world_money(110000 + (int64_t)(h >> 32 & 0xff) * 1500, out->currency);
}

static void merchant_init(const struct world *w, struct world_merchant *m, uint32_t number)
{
	uint64_t h = world_hash(w->seed, DOMAIN_MERCHANT, number);
	uint32_t city = number / WORLD_CITY_MERCHANTS;
	const struct trade *trade = &trades[number % 16];
	struct pack_writer out;
	char name[48];

	m->mcc = trade->mcc;
	m->city = (uint8_t)city;
	snprintf(name, sizeof(name), "%s %s %u", trade->name, names[h % 16], (unsigned)(h >> 8) % 90 + 1);
	pack_writer_init(&out, m->body, sizeof(m->body));
	pack_text(&out, "merchant");
	pack_text(&out, name);
	pack_text(&out, "city");
	pack_text(&out, world_cities[city].name);
	pack_text(&out, "lat");
	pack_double(&out, world_cities[city].lat + (double)((int)(h >> 20 & 0x3ff) - 512) / 10000.0);
	pack_text(&out, "lon");
	pack_double(&out, world_cities[city].lon + (double)((int)(h >> 30 & 0x3ff) - 512) / 10000.0);
	assert(!out.overflow);
	m->body_bytes = (uint8_t)pack_bytes(&out);
}

void world_init(struct world *w, uint64_t seed, uint32_t customers, unsigned joint, unsigned cards)
{
	*w = (struct world){
		.seed = seed, .customers = customers, .joint = (uint8_t)joint, .cards = (uint8_t)cards
	};
	for (uint32_t i = 0; i < WORLD_MERCHANTS; i++)
		merchant_init(w, &w->merchant[i], i);
}
