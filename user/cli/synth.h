/*
 * synth: a day at the made-up bank of world.h as EVENT frames. The same SPEC and seed give the same bytes on
 * every machine. Memory is 8 bytes an account and a fixed pool of what is still to come.
 *
 * SPEC: demo[:KEY=VALUE,...] with
 *   customers=100000  events=1000000  days=1  start=1772409600 (seconds since 1970; 2026-03-02 00:00 UTC)
 *   joint=15  cards=10 (percent, see world.h)
 *   part=K/N          this is source K (from 0) of N: only the accounts whose index is K modulo N
 *
 * Mixture, in events per thousand of those that are not the consequence of an earlier one:
 *   card.purchase 430 (of these 8 % start as a request with a verdict wanted, and are authorised 0.3 to 1.5 s
 *   later; 55 % are authorised first; the rest is posted at once, half of it without a stage),
 *   balance.inquiry 110, app.screen 105, login 100, transfer.out 45, transfer.in 45, atm.withdrawal 35,
 *   direct.debit 30, standing.order 18, login.failed 12, salary 10, card.declined 8, fee 8, card.refund 6,
 *   loan.instalment 5, atm.deposit 5, interest 4, payee.added 3, transfer.failed 3, device.added 2,
 *   password.changed 2, loan.missed 1, card.blocked 1, standing_order.failed 1, the remaining 11 purchases.
 * What does not fit the balance becomes card.declined, transfer.failed, standing_order.failed, loan.missed.
 * Consequences: an authorisation is posted after 10 minutes to 9 hours (90 %; one in eight with another
 *   amount), released (4 %) or forgotten; of the postings 1.5 % are reversed whole, 0.8 % in part, later;
 *   0.3 % of what has a reference comes twice (same ref, stage, type). 0.4 % of the purchases are offline:
 * they come 30 s to 4 h late and without a balance; one in forty of those 25 to 30 h late. One event in 5,000
 * is of a stranger (no record), one in 20,000 has a type that no catalogue has (999). Bursts: 0.6 per
 * thousand start one of: card testing (6 to 13 small purchases online seconds apart, half declined, then a
 * large one), a spree (6 to 10 purchases in minutes), an account taken over (4 to 8 failed logins, then
 * login, password.changed, device.added, payee.added, transfer.out), a cash-out abroad. Amounts have a heavy
 * tail. Balances chain: each event's balance is that of the account after it, in the order of the stream.
 * Times ascend but for the late ones and follow the hours of the day.
 */
#ifndef CLI_SYNTH_H
#define CLI_SYNTH_H

#include "world.h"

struct synth_spec {
	uint32_t customers, days, part, parts;
	uint64_t events, seed;
	int64_t start_s;
	unsigned joint, cards;
};

enum synth_code { /* event type codes of schemas/demo-bank */
		  SYNTH_CARD_PURCHASE = 1,
		  SYNTH_CARD_DECLINED,
		  SYNTH_ATM_WITHDRAWAL,
		  SYNTH_TRANSFER_OUT,
		  SYNTH_TRANSFER_IN,
		  SYNTH_SALARY,
		  SYNTH_DIRECT_DEBIT,
		  SYNTH_STANDING_ORDER,
		  SYNTH_FEE,
		  SYNTH_LOGIN,
		  SYNTH_LOGIN_FAILED,
		  SYNTH_PASSWORD_CHANGED,
		  SYNTH_DEVICE_ADDED,
		  SYNTH_CARD_REFUND,
		  SYNTH_PAYEE_ADDED,
		  SYNTH_LOAN_INSTALMENT,
		  SYNTH_LOAN_MISSED,
		  SYNTH_CARD_BLOCKED,
		  SYNTH_ATM_DEPOSIT,
		  SYNTH_STANDING_ORDER_FAILED,
		  SYNTH_INTEREST,
		  SYNTH_TRANSFER_FAILED,
		  SYNTH_BALANCE_INQUIRY = 40,
		  SYNTH_APP_SCREEN = 41,
		  SYNTH_UNKNOWN = 999,
};

enum { SYNTH_FRAME_BYTES_MAX = 512 };

struct synth;

/* False, with the reason in error, when the text is no SPEC. */
bool synth_spec_parse(const char *text, uint64_t seed, struct synth_spec *spec, char *error, size_t room);
/* NULL when memory is out. */
struct synth *synth_open(const struct synth_spec *spec);
void synth_close(struct synth *s);
const struct world *synth_world(const struct synth *s);

/*
 * Writes the next frame (sequence 0) to `frame`, which has room for SYNTH_FRAME_BYTES_MAX; *due is when it
 * arrives, ns since 1970: its time, or later for a late one. Returns its length; 0 at the end.
 */
size_t synth_next(struct synth *s, uint8_t *frame, int64_t *due);

#endif
