/*
 * bank.c: customers with attributes and subscriptions, accounts with holders and cards, as lines of JSON.
 *
 * Everything follows from the world's seed, or from a draw that the caller gives; the stream is the caller's.
 * Two customers that may hold an account together (i and i ^ 1) have one `party`, as the import demands.
 * What can go wrong is the file, told once at the end.
 */
#include "bank.h"

#include <base/money.h>
#include <errno.h>
#include <inttypes.h>
#include <moment/frame.h>

/* What a customer may subscribe to: how many of a hundred do, and what they choose as a limit, in EUR. */
static const struct wish {
	const char *kind, *param;
	uint8_t percent;
	int16_t choice[4];
} wishes[] = {
	{ "large_purchase", "threshold", 60, { 20, 50, 100, 250 } },
	{ "every_purchase", NULL, 5, { 0 } },
	{ "purchase_posted", NULL, 10, { 0 } },
	{ "abroad", NULL, 40, { 0 } },
	{ "cash", "threshold", 25, { 50, 100, 200, 300 } },
	{ "low_balance", "limit", 50, { 0, 50, 100, 300 } },
	{ "overdrawn", NULL, 40, { 0 } },
	{ "day_limit", "limit", 15, { 200, 300, 500, 1000 } },
	{ "salary_in", NULL, 50, { 0 } },
	{ "salary_changed", NULL, 5, { 0 } },
	{ "money_in", "threshold", 30, { 100, 200, 500, 1000 } },
	{ "transfer_out", "threshold", 30, { 100, 500, 1000, 2000 } },
	{ "payment_failed", NULL, 40, { 0 } },
	{ "direct_debit", "threshold", 10, { 0, 20, 50, 100 } },
	{ "refund", NULL, 25, { 0 } },
	{ "fee_charged", NULL, 10, { 0 } },
	{ "biggest_yet", NULL, 20, { 0 } },
	{ "gambling", "limit", 3, { 20, 50, 100, 200 } },
};

static void write_wishes(uint64_t draw, FILE *out)
{
	const char *comma = "";

	fputs(", \"subscriptions\": [", out);
	for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
		uint64_t h = world_hash(draw, 8, i);

		if (h % 100 >= wishes[i].percent)
			continue;
		fprintf(out, "%s{\"kind\": \"%s\"", comma, wishes[i].kind);
		if (wishes[i].param)
			fprintf(out, ", \"params\": {\"%s\": \"%d EUR\"}", wishes[i].param,
				wishes[i].choice[h >> 62]);
		if ((h >> 32) % 100 < 4) /* switched off again */
			fputs(", \"on\": false", out);
		fputc('}', out);
		comma = ", ";
	}
	fputc(']', out);
}

void bank_write_customer(const struct bank_customer *c, FILE *out)
{
	static const char *const first[] = { "Ana",  "Luis", "Carmen", "Jorge",
					     "Emma", "Noah", "Lucia",  "Pablo" };
	static const char *const last[] = { "Ruiz",   "Vega",	"Prieto", "Sanz",
					    "Keller", "Moreau", "Silva",  "Brown" };
	static const char *const segments[] = { "retail", "retail", "retail",  "retail",
						"young",  "senior", "premium", "business" };
	uint64_t h = c->draw;

	fprintf(out, "{\"customer\": %" PRIu64 ", \"set\": {\"language\": \"%s\", \"name\": \"%s %s\"",
		c->number, c->language, first[h & 7], last[h >> 3 & 7]);
	fprintf(out, ", \"home_country\": %u, \"birth_year\": %u, \"segment\": \"%s\", \"salary_day\": %u",
		c->country, 1940 + (unsigned)(h >> 8 & 0xff) % 68, segments[h >> 16 & 7],
		1 + (unsigned)(h >> 20 & 0xff) % 28);
	if (c->party)
		fprintf(out, ", \"party\": %" PRIu64, c->party);
	fprintf(out, ", \"travelling\": %s, \"daily_limit\": \"%" PRId64 " EUR\"}",
		(h >> 28) % 100 < 2 ? "true" : "false", c->daily_limit);
	write_wishes(c->draw, out);
	fputs("}\n", out);
}

static void write_holders(const struct world_account *a, FILE *out)
{
	static const char *const roles[] = { NULL, "co_owner", "authorised", "guardian" };

	fprintf(out, "\"holders\": [{\"customer\": %" PRIu64 ", \"role\": \"owner\"}", a->customer);
	if (a->partner)
		fprintf(out, ", {\"customer\": %" PRIu64 ", \"role\": \"%s\"}", a->partner,
			roles[a->partner_role]);
	fputs("]", out);
}

static void write_account(const struct world *w, uint32_t index, FILE *out)
{
	struct world_account a;
	char token[WORLD_TOKEN_BYTES];

	world_account(w, index, &a);
	fprintf(out, "{\"account\": %" PRIu64 ", \"set\": {", a.account);
	write_holders(&a, out);
	fprintf(out, ", \"currency\": \"%s\", \"cards\": [", money_currency_by_number(a.currency)->code);
	for (unsigned i = 0; i < a.cards + (a.partner ? 1u : 0u); i++) {
		world_card(w, index, i, token);
		fprintf(out, "%s{\"card\": \"%.*s\", \"customer\": %" PRIu64 "}", i ? ", " : "",
			WORLD_TOKEN_BYTES, token, i < a.cards ? a.customer : a.partner);
	}
	fputs("]}}\n", out);
}

static void write_person(const struct world *w, uint32_t index, FILE *out)
{
	struct world_account a;
	uint64_t draw = world_hash(w->seed, 9, index);

	world_account(w, index, &a);
	bank_write_customer(&(struct bank_customer){ .number = a.customer,
						     .party = world_customer(w, index & ~1u),
						     .draw = draw,
						     .country = world_cities[a.city].country,
						     .language = draw >> 40 & 3 ? "es" : "en",
						     .daily_limit = 500 + (int64_t)(draw >> 44 & 15) * 250 },
			    out);
}

int bank_write_world(const struct world *w, FILE *out)
{
	for (uint32_t i = 0; i < w->customers; i++)
		write_person(w, i, out);
	for (uint32_t i = 0; i < w->customers; i++)
		write_account(w, i, out);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

void bank_write_account(uint64_t account, uint64_t customer, uint16_t currency, FILE *out)
{
	const struct money_currency *known = money_currency_by_number(currency);

	fprintf(out,
		"{\"account\": %" PRIu64 ", \"set\": {\"holders\": [{\"customer\": %" PRIu64
		", \"role\": \"owner\"}]",
		account, customer);
	if (known)
		fprintf(out, ", \"currency\": \"%s\"", known->code);
	fputs("}}\n", out);
}
