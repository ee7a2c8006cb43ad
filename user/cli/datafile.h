/*
 * datafile: rows of two public simulators as EVENT frames with the demo bank's type codes.
 *
 * PaySim (`,`; header starts "step,action"). Times: 2026-03-02 00:00 UTC + step hours + 0.1 s a row within
 * the step. Amounts as EUR with two decimals. customer = the digits of nameOrig (C...; of CC..., a fraudster,
 * plus 10^12), account = customer + 10^15, ref = "PS" and the row's number; body fields: counterparty (the
 * other name), fraud (isFraud). CASH_IN   atm.deposit 19, touchpoint atm       CASH_OUT  atm.withdrawal 3,
 * atm DEBIT     direct.debit 7, batch                PAYMENT   card.purchase 1, pos, merchant = nameDest,
 * country ES TRANSFER  transfer.out 4, app, and for a nameDest C... or CC...: transfer.in 5 of that customer,
 * batch, ref + "I" with isUnauthorizedOverdraft = 1 nothing was paid: TRANSFER is transfer.failed 22 (and no
 * transfer.in), DEBIT direct.debit.returned 23, PAYMENT and CASH_OUT card.declined 2; reason =
 * "insufficient_funds" balance: newBalanceOrig, for transfer.in newBalanceDest Sparkov (`|`; header starts
 * "customer|account|unix_time"). card.purchase 1 in USD, country US, no balance; mcc by category; touchpoint
 * online for categories that end in _net, else pos; card = "sk" and the account; ref = "SK" and the row's
 * number; body fields: merchant, category, lat, lon (of the merchant), fraud.
 */
#ifndef CLI_DATAFILE_H
#define CLI_DATAFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum datafile_format { DATAFILE_NONE, DATAFILE_PAYSIM, DATAFILE_SPARKOV };
enum { DATAFILE_FRAMES_MAX = 2, DATAFILE_FRAME_BYTES_MAX = 1024 };

struct datafile {
	enum datafile_format format;
	uint64_t rows;
	int64_t step, in_step; /* PaySim: the present step and the rows that it has had */
};

struct datafile_frames {
	unsigned count;
	size_t bytes[DATAFILE_FRAMES_MAX];
	uint8_t frame[DATAFILE_FRAMES_MAX][DATAFILE_FRAME_BYTES_MAX]; /* sequence 0 */
};

enum datafile_format datafile_sniff(const char *header, size_t len);
void datafile_init(struct datafile *d, enum datafile_format format);
/* One row, without its header line: false with the reason in `error`. */
bool datafile_row(struct datafile *d, const char *line, size_t len, struct datafile_frames *out, char *error,
		  size_t room);

#endif
