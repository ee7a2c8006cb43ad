/*
 * bank: import files (NDJSON, one customer or account a line) for a made-up bank or for what a data file
 * shows of its customers. Attributes and subscription kinds are those of schemas/demo-bank.
 */
#ifndef CLI_BANK_H
#define CLI_BANK_H

#include "world.h"

#include <stdio.h>

/* A customer whose choices follow from `draw`; party 0 = none. */
struct bank_customer {
	uint64_t number, party, draw;
	uint16_t country;
	const char *language;
	int64_t daily_limit; /* whole EUR */
};

void bank_write_customer(const struct bank_customer *c, FILE *out);
/* A line per customer, then a line per account. 0 or -errno. */
__attribute__((warn_unused_result)) int bank_write_world(const struct world *w, FILE *out);
/* The account of one customer, as a data file shows it. */
void bank_write_account(uint64_t account, uint64_t customer, uint16_t currency, FILE *out);

#endif
