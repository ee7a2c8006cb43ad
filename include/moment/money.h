/*
 * money.h: currencies and rates as plain data (SEMANTICS 2). Behaviour is in user/base/money.h.
 */
#ifndef MOMENT_MONEY_H
#define MOMENT_MONEY_H

#include <moment/limits.h>
#include <stdint.h>

/* One unit of `currency` is worth num / 10^decimals units of the bank's currency. */
struct money_rate {
	uint16_t currency; /* ISO 4217 numeric */
	uint8_t exponent;  /* minor digits: 0, 2 or 3 */
	uint8_t decimals;  /* 0 to 9 */
	int64_t num;	   /* > 0 */
};

struct money_rates {
	uint16_t bank; /* the bank's currency */
	uint8_t bank_exponent;
	uint16_t count;
	struct money_rate rate[RATES_MAX]; /* by currency, ascending; without the bank's own */
};

#endif
