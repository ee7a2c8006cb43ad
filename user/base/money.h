/*
 * money: minor units, exponents, conversion to the bank's currency. No floats, no rounding surprises.
 */
#ifndef BASE_MONEY_H
#define BASE_MONEY_H

#include <moment/money.h>
#include <stdbool.h>
#include <stddef.h>

struct money_currency {
	uint16_t numeric; /* ISO 4217 */
	uint8_t exponent; /* minor digits: 0, 2 or 3 */
	char code[4];
};

/* Finds a currency by its code ("EUR", `len` bytes) or number; NULL when ISO 4217 has none. */
const struct money_currency *money_currency_find(const char *code, size_t len);
const struct money_currency *money_currency_by_number(uint16_t numeric);

/* ISO 3166-1 alpha-2 code ("ES") to its number; 0 when there is none. */
uint16_t money_country_find(const char *code, size_t len);

/*
 * Converts `minor` of `currency` to minor units of the bank's currency, half to even.
 * False (no data) when there is no rate; also when the result does not fit, then *overflow is true.
 */
bool money_to_base(const struct money_rates *rates, int64_t minor, uint16_t currency, int64_t *base,
		   bool *overflow);

/*
 * Reads "100 EUR", "100.50 EUR", "-3.000 KWD": minor units and currency. False when it is not money:
 * no such currency, more decimals than its exponent, does not fit.
 */
bool money_parse(const char *text, size_t len, int64_t *minor, uint16_t *currency);

/* x * y / z rounded half to even, in 128 bits; z > 0. False when the result does not fit. */
bool money_muldiv(int64_t x, int64_t y, int64_t z, int64_t *out);

#endif
