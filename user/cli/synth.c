/*
 * synth.c: the traffic of the made-up bank, one frame a call.
 *
 * A clock gives the arrival of the k-th event from the hours of the day. What an earlier event has brought
 * about (a posting, a reversal, the rest of a burst) waits in a heap by due time; if its time has come it
 * takes the slot, else a new event is drawn. The pool of what waits is fixed: when it is full, consequences
 * are left out. State of an account is its balance. Owner of everything: struct synth. Read synth_next first,
 * then draw_fresh, then follow_up.
 */
#include "synth.h"

#include <assert.h>
#include <base/bytes.h>
#include <errno.h>
#include <inttypes.h>
#include <moment/frame.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING_MAX = 1 << 17, HOURS = 24, REF_BYTES = 12 };

#define SECONDS(n) ((int64_t)(n)*1000000000)
#define MINUTES(n) SECONDS((int64_t)(n)*60)
#define HOURS_NS(n) MINUTES((int64_t)(n)*60)

enum stage { STAGE_ABSENT, STAGE_REQUEST, STAGE_AUTHORISED, STAGE_POSTED, STAGE_RELEASED };
enum actor { ACTOR_OWNER, ACTOR_PARTNER, ACTOR_NOBODY };
enum burst { BURST_NONE, BURST_CARD_TESTING, BURST_SPREE, BURST_TAKEOVER, BURST_CASH_OUT };
enum then { THEN_NOTHING, THEN_AUTHORISE, THEN_POST, THEN_RELEASE, THEN_REVERSE, THEN_REPEAT, THEN_BURST };

/* All of one event but what follows from its account. */
struct happening {
	int64_t time, amount, balance;
	int64_t original_amount;
	uint64_t ref, of;		       /* numbers of references, 0 = none */
	uint32_t account;		       /* index */
	uint16_t type, mcc, country, merchant; /* merchant: UINT16_MAX = none */
	uint16_t original_currency;
	uint8_t touchpoint, flags, stage, actor;
	uint8_t card;	 /* number + 1, 0 = none */
	uint8_t failure; /* index in failures */
};

struct pending {
	struct happening event;
	uint8_t then;  /* enum then: what to do when it is due */
	uint8_t burst; /* enum burst */
	uint8_t left;
	uint32_t next_free;
};

struct heap_entry {
	int64_t due;
	uint64_t order; /* equal times: first in, first out */
	uint32_t slot;
};

struct synth {
	struct synth_spec spec;
	struct world world;
	uint64_t random;
	uint64_t emitted, refs, orders;
	uint64_t ref_prefix;

	/* the clock */
	uint32_t hour;
	uint64_t hour_first, hour_end; /* events before this hour and before the next */
	int64_t hour_step;

	struct pending *pool;
	struct heap_entry *heap;
	uint32_t heap_count, free_slot;
	int64_t balance[];
};

/* Weights of the hours; a bank's day has a peak before lunch and one in the evening. */
static const uint16_t hour_weight[HOURS] = { 12, 8,  6,	 5,  6,	 12, 25, 45, 60, 65, 68, 72,
					     78, 75, 62, 58, 60, 68, 78, 80, 70, 52, 36, 20 };

static const char *const failures[] = { NULL, "insufficient_funds", "limit_exceeded", "suspected_fraud",
					"wrong_pin" };
enum { FAILURE_FUNDS = 1, FAILURE_LIMIT, FAILURE_FRAUD, FAILURE_PIN };

/* What a draw of 1000 gives; the weights are in synth.h. `base` is minor units of EUR. */
static const struct mix_row {
	uint16_t weight, type;
	int32_t base;
	int8_t sign; /* of its effect on the balance */
	uint8_t touchpoint[4];
} mix[] = {
#define P TOUCHPOINT_app
#define W TOUCHPOINT_web
#define T TOUCHPOINT_atm
#define R TOUCHPOINT_branch
#define B TOUCHPOINT_batch
#define C TOUCHPOINT_call_centre
	/* clang-format off */
	{ 430, SYNTH_CARD_PURCHASE, 2600, -1, { 0 } },
	{ 110, SYNTH_BALANCE_INQUIRY, 0, 0, { P, P, W, T } },
	{ 105, SYNTH_APP_SCREEN, 0, 0, { P, P, P, P } },
	{ 100, SYNTH_LOGIN, 0, 0, { P, P, P, W } },
	{  45, SYNTH_TRANSFER_OUT, 12000, -1, { P, W, P, R } },
	{  45, SYNTH_TRANSFER_IN, 19000, 1, { B, P, B, W } },
	{  35, SYNTH_ATM_WITHDRAWAL, 7000, -1, { T, T, T, T } },
	{  30, SYNTH_DIRECT_DEBIT, 5500, -1, { B, B, B, B } },
	{  18, SYNTH_STANDING_ORDER, 15000, -1, { B, B, B, B } },
	{  12, SYNTH_LOGIN_FAILED, 0, 0, { P, W, W, P } },
	{  10, SYNTH_SALARY, 0, 1, { B, B, B, B } },
	{   8, SYNTH_CARD_DECLINED, 6000, 0, { 0 } },
	{   8, SYNTH_FEE, 300, -1, { B, B, B, B } },
	{   6, SYNTH_CARD_REFUND, 2500, 1, { 0 } },
	{   5, SYNTH_LOAN_INSTALMENT, 25000, -1, { B, B, B, B } },
	{   5, SYNTH_ATM_DEPOSIT, 15000, 1, { T, T, R, T } },
	{   4, SYNTH_INTEREST, 60, 1, { B, B, B, B } },
	{   3, SYNTH_PAYEE_ADDED, 0, 0, { P, W, P, R } },
	{   3, SYNTH_TRANSFER_FAILED, 12000, 0, { P, W, P, W } },
	{   2, SYNTH_DEVICE_ADDED, 0, 0, { P, P, P, W } },
	{   2, SYNTH_PASSWORD_CHANGED, 0, 0, { P, W, W, C } },
	{   1, SYNTH_LOAN_MISSED, 25000, 0, { B, B, B, B } },
	{   1, SYNTH_CARD_BLOCKED, 0, 0, { P, C, P, B } },
	{   1, SYNTH_STANDING_ORDER_FAILED, 15000, 0, { B, B, B, B } },
	{  11, SYNTH_CARD_PURCHASE, 2600, -1, { 0 } },
/* clang-format on */
#undef P
#undef W
#undef T
#undef R
#undef B
#undef C
};
enum { MIX_ROWS = sizeof(mix) / sizeof(*mix) };

static uint64_t draw(struct synth *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 to n - 1, without a division. */
static uint64_t draw_below(struct synth *s, uint64_t n)
{
	return (uint64_t)((unsigned __int128)draw(s) * n >> 64);
}

static bool chance(struct synth *s, unsigned of_ten_thousand)
{
	return draw_below(s, 10000) < of_ten_thousand;
}

static int64_t draw_between(struct synth *s, int64_t low, int64_t high)
{
	return low + (int64_t)draw_below(s, (uint64_t)(high - low + 1));
}

/* Most amounts below `base`, one in a hundred ten times as much: base * 0.3 / (1.01 - u). */
static int64_t draw_amount(struct synth *s, int64_t base)
{
	return 1 + base * 3072 / (10342 - (int64_t)draw_below(s, 10240));
}

/* The heap of what waits: a binary heap by (due, order). */
static bool entry_before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void heap_push(struct synth *s, struct heap_entry e)
{
	uint32_t i = s->heap_count++;

	while (i > 0 && entry_before(&e, &s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = e;
}

static struct heap_entry heap_pop(struct synth *s)
{
	struct heap_entry top = s->heap[0], last = s->heap[--s->heap_count];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= s->heap_count)
			break;
		if (child + 1 < s->heap_count && entry_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (entry_before(&last, &s->heap[child]))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return top;
}

/* Room for something that will be due; NULL when the pool is full. */
static struct pending *pending_add(struct synth *s, int64_t due, enum then then, const struct happening *e)
{
	struct pending *p;
	uint32_t slot = s->free_slot;

	if (slot == UINT32_MAX)
		return NULL;
	p = &s->pool[slot];
	s->free_slot = p->next_free;
	*p = (struct pending){ .event = *e, .then = (uint8_t)then };
	heap_push(s, (struct heap_entry){ .due = due, .order = s->orders++, .slot = slot });
	return p;
}

static struct pending pending_take(struct synth *s, int64_t *due)
{
	struct heap_entry top = heap_pop(s);
	struct pending p = s->pool[top.slot];

	s->pool[top.slot].next_free = s->free_slot;
	s->free_slot = top.slot;
	*due = top.due;
	return p;
}

/* The clock: hour h holds the events between its shares of the day's weights, evenly spread. */
static uint64_t events_before_hour(const struct synth *s, uint32_t hour)
{
	uint64_t total = 0, before = 0;

	for (uint32_t h = 0; h < HOURS; h++) {
		total += hour_weight[h];
		before += h < hour % HOURS ? hour_weight[h] : 0;
	}
	before += total * (hour / HOURS);
	return (uint64_t)((unsigned __int128)s->spec.events * before / (total * s->spec.days));
}

static void clock_enter_hour(struct synth *s)
{
	s->hour_first = events_before_hour(s, s->hour);
	s->hour_end = events_before_hour(s, s->hour + 1);
	if (s->hour_end > s->hour_first)
		s->hour_step = HOURS_NS(1) / (int64_t)(s->hour_end - s->hour_first);
}

static int64_t clock_next(struct synth *s)
{
	int64_t at;

	while (s->emitted >= s->hour_end) {
		s->hour++;
		clock_enter_hour(s);
	}
	at = SECONDS(s->spec.start_s) + s->hour * HOURS_NS(1);
	at += (int64_t)(s->emitted - s->hour_first) * s->hour_step;
	return at + (int64_t)draw_below(s, (uint64_t)s->hour_step + 1);
}

static uint64_t ref_new(struct synth *s)
{
	return ++s->refs;
}

static struct happening happening_at(int64_t time, uint32_t account, uint16_t type)
{
	return (struct happening){ .time = time,
				   .account = account,
				   .type = type,
				   .merchant = UINT16_MAX,
				   .balance = FRAME_BALANCE_NO_DATA };
}

/* Changes the balance of its account and notes what it is then. */
static void book(struct synth *s, struct happening *e, int64_t change)
{
	s->balance[e->account] += change;
	e->balance = s->balance[e->account];
}

static int64_t overdraft_limit(uint16_t currency)
{
	return world_money(150000, currency);
}

static bool affordable(const struct synth *s, const struct happening *e, uint16_t currency)
{
	return s->balance[e->account] - e->amount >= -overdraft_limit(currency);
}

/* Half of the traffic is spread evenly, the other half leans to the first accounts. */
static uint32_t draw_account(struct synth *s)
{
	uint64_t n = s->spec.customers, i;

	if (chance(s, 2))
		return (uint32_t)(n + draw_below(s, WORLD_STRANGERS));
	i = draw_below(s, n);
	if (draw(s) & 1)
		i = (uint64_t)((unsigned __int128)i * (draw(s) >> 1) >> 63);
	i = i - i % s->spec.parts + s->spec.part;
	return (uint32_t)(i < n ? i : i % s->spec.parts); /* the last, incomplete round: an account of this
							     part again */
}

static void choose_card(struct synth *s, struct happening *e, const struct world_account *a)
{
	e->actor = a->partner && draw_below(s, 10) < 3 ? ACTOR_PARTNER : ACTOR_OWNER;
	e->card = (uint8_t)(e->actor == ACTOR_PARTNER ? a->cards + 1 : 1 + (int)draw_below(s, a->cards));
}

static void choose_merchant(struct synth *s, struct happening *e, unsigned city)
{
	uint32_t number = city * WORLD_CITY_MERCHANTS + (uint32_t)draw_below(s, WORLD_CITY_MERCHANTS);

	e->merchant = (uint16_t)number;
	e->mcc = s->world.merchant[number].mcc;
	e->country = world_cities[city].country;
}

static unsigned choose_city(struct synth *s, const struct world_account *a)
{
	uint64_t x = draw_below(s, 1000);

	if (x < 900)
		return a->city;
	return (unsigned)draw_below(s, x < 970 ? 8 : WORLD_CITIES);
}

/* Paid in another currency than the account's: what the counter saw. */
static void note_original(struct happening *e, uint16_t currency)
{
	static const struct {
		uint16_t country, currency;
	} local[] = { { 826, 826 }, { 840, 840 }, { 392, 392 }, { 414, 414 } };

	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++) {
		if (local[i].country != e->country || local[i].currency == currency || currency != 978)
			continue;
		e->original_currency = local[i].currency;
		e->original_amount = world_money(e->amount, local[i].currency);
	}
}

static void repeat_sometimes(struct synth *s, const struct happening *e)
{
	if (e->ref && chance(s, 30))
		pending_add(s, e->time + draw_between(s, SECONDS(1), SECONDS(60)), THEN_REPEAT, e);
}

/* After an authorisation: posted, released or forgotten. */
static void plan_posting(struct synth *s, const struct happening *e)
{
	uint64_t x = draw_below(s, 100);
	int64_t delay = MINUTES(10) + (int64_t)draw_below(s, (uint64_t)HOURS_NS(1));

	if (x < 90) {
		if (x < 60)
			delay += (int64_t)draw_below(s, (uint64_t)HOURS_NS(8));
		pending_add(s, e->time + delay, THEN_POST, e);
	} else if (x < 94) {
		pending_add(s, e->time + delay + HOURS_NS(1), THEN_RELEASE, e);
	}
}

static void plan_reversal(struct synth *s, const struct happening *e)
{
	struct happening back = *e;
	uint64_t x = draw_below(s, 1000);

	if (x >= 23 || e->amount < 2)
		return;
	if (x >= 15) /* in part */
		back.amount = 1 + (int64_t)draw_below(s, (uint64_t)e->amount - 1);
	pending_add(s, e->time + draw_between(s, MINUTES(5), HOURS_NS(5)), THEN_REVERSE, &back);
}

static void authorise(struct synth *s, struct happening *e)
{
	e->stage = STAGE_AUTHORISED;
	e->flags = 0;
	book(s, e, -e->amount);
	plan_posting(s, e);
	repeat_sometimes(s, e);
}

static void decline(struct synth *s, struct happening *e, uint8_t failure)
{
	e->type = SYNTH_CARD_DECLINED;
	e->failure = failure;
	book(s, e, 0);
}

/* An offline purchase: it comes later, or far too late, and nobody knows the balance. */
static void purchase_offline(struct synth *s, struct happening *e)
{
	e->ref = ref_new(s);
	e->stage = STAGE_POSTED;
	if (draw_below(s, 40) == 0) {
		e->time -= draw_between(s, HOURS_NS(25), HOURS_NS(30));
		return;
	}
	e->time -= draw_between(s, SECONDS(30), HOURS_NS(4));
}

static void purchase(struct synth *s, struct happening *e, const struct world_account *a)
{
	uint64_t x = draw_below(s, 100);

	if (!affordable(s, e, a->currency)) {
		decline(s, e, FAILURE_FUNDS);
		return;
	}
	if (chance(s, 40)) {
		purchase_offline(s, e);
		return;
	}
	e->ref = ref_new(s);
	if (x < 8) {
		e->stage = STAGE_REQUEST;
		e->flags = FRAME_VERDICT_WANTED;
		book(s, e, 0);
		pending_add(s, e->time + draw_between(s, 300000000, 1500000000), THEN_AUTHORISE, e);
	} else if (x < 63) {
		authorise(s, e);
	} else {
		e->stage = x < 81 ? STAGE_POSTED : STAGE_ABSENT;
		book(s, e, -e->amount);
		plan_reversal(s, e);
		repeat_sometimes(s, e);
	}
}

static void draw_purchase(struct synth *s, struct happening *e, const struct world_account *a, int64_t base)
{
	unsigned city = choose_city(s, a);

	choose_card(s, e, a);
	choose_merchant(s, e, city);
	e->amount = world_money(draw_amount(s, base), a->currency);
	e->touchpoint = draw_below(s, 100) < 75 ? TOUCHPOINT_pos : TOUCHPOINT_online;
	note_original(e, a->currency);
	if (e->type == SYNTH_CARD_PURCHASE) {
		purchase(s, e, a);
	} else if (e->type == SYNTH_CARD_REFUND) {
		e->ref = ref_new(s);
		book(s, e, e->amount);
	} else {
		decline(s, e, (uint8_t)draw_between(s, FAILURE_LIMIT, FAILURE_PIN));
	}
}

/* What a debit becomes when the account cannot pay it; 0 = it is booked all the same. */
static uint16_t failed_type(uint16_t type)
{
	switch (type) {
	case SYNTH_TRANSFER_OUT:
		return SYNTH_TRANSFER_FAILED;
	case SYNTH_STANDING_ORDER:
		return SYNTH_STANDING_ORDER_FAILED;
	case SYNTH_LOAN_INSTALMENT:
		return SYNTH_LOAN_MISSED;
	case SYNTH_ATM_WITHDRAWAL:
		return SYNTH_CARD_DECLINED;
	default:
		return 0;
	}
}

static void draw_other(struct synth *s, struct happening *e, const struct world_account *a,
		       const struct mix_row *row)
{
	bool atm = row->type == SYNTH_ATM_WITHDRAWAL || row->type == SYNTH_ATM_DEPOSIT;

	e->touchpoint = row->touchpoint[draw(s) >> 62];
	e->country = world_cities[a->city].country;
	if (row->base)
		e->amount = world_money(draw_amount(s, row->base), a->currency);
	if (row->type == SYNTH_SALARY)
		e->amount = a->income;
	if (row->base && atm)
		e->amount -= e->amount % world_money(1000, a->currency);
	if (atm || row->type == SYNTH_CARD_BLOCKED)
		choose_card(s, e, a);
	else
		e->actor = a->partner && draw_below(s, 10) < 3 ? ACTOR_PARTNER : ACTOR_OWNER;
	if (row->sign < 0 && !affordable(s, e, a->currency) && failed_type(row->type)) {
		e->type = failed_type(row->type);
		e->failure = FAILURE_FUNDS;
		book(s, e, 0);
		return;
	}
	if (row->type == SYNTH_TRANSFER_FAILED || row->type == SYNTH_STANDING_ORDER_FAILED ||
	    row->type == SYNTH_LOAN_MISSED)
		e->failure = FAILURE_FUNDS;
	if (row->sign && draw_below(s, 10) < 7)
		e->ref = ref_new(s);
	book(s, e, row->sign * e->amount);
	repeat_sometimes(s, e);
}

static const struct mix_row *draw_row(struct synth *s)
{
	uint64_t x = draw_below(s, 1000);

	for (int i = 0; i < MIX_ROWS; i++) {
		if (x < mix[i].weight)
			return &mix[i];
		x -= mix[i].weight;
	}
	assert(0 && "the weights add up to 1000");
	return NULL;
}

static void start_burst(struct synth *s, int64_t at)
{
	struct happening e = happening_at(at, draw_account(s), SYNTH_LOGIN);
	static const uint8_t length[][2] = { { 0, 0 }, { 7, 14 }, { 6, 10 }, { 9, 13 }, { 4, 6 } };
	unsigned burst = 1 + (unsigned)draw_below(s, 4);
	struct pending *p = pending_add(s, at + SECONDS(1), THEN_BURST, &e);

	if (!p)
		return;
	p->burst = (uint8_t)burst;
	p->left = (uint8_t)draw_between(s, length[burst][0], length[burst][1]);
}

static struct happening draw_fresh(struct synth *s, int64_t at)
{
	const struct mix_row *row = draw_row(s);
	struct happening e = happening_at(at, draw_account(s), row->type);
	struct world_account a;

	world_account(&s->world, e.account, &a);
	if (chance(s, 6))
		start_burst(s, at);
	if (draw_below(s, 20000) == 0) {
		e.type = SYNTH_UNKNOWN;
		return e;
	}
	if (row->touchpoint[0] == 0)
		draw_purchase(s, &e, &a, row->base);
	else
		draw_other(s, &e, &a, row);
	return e;
}

/* One event of a burst; the rest of it waits again. */
static void burst_testing(struct synth *s, const struct pending *p, struct happening *e,
			  const struct world_account *a)
{
	bool last = p->left == 1;

	choose_merchant(s, e, 17 + p->event.account % 2);
	e->card = 1;
	e->type = SYNTH_CARD_PURCHASE;
	e->touchpoint = TOUCHPOINT_online;
	e->amount =
		world_money(last ? draw_between(s, 30000, 200000) : draw_between(s, 50, 300), a->currency);
	if (!last && (draw(s) & 1)) {
		decline(s, e, FAILURE_FRAUD);
	} else {
		e->ref = ref_new(s);
		authorise(s, e);
	}
}

static void burst_spree(struct synth *s, struct happening *e, const struct world_account *a)
{
	choose_card(s, e, a);
	choose_merchant(s, e, a->city);
	e->type = SYNTH_CARD_PURCHASE;
	e->touchpoint = TOUCHPOINT_pos;
	e->amount = world_money(draw_amount(s, 6000), a->currency);
	purchase(s, e, a);
}

static void burst_takeover(struct synth *s, const struct pending *p, struct happening *e,
			   const struct world_account *a)
{
	static const uint16_t end[] = { SYNTH_TRANSFER_OUT, SYNTH_PAYEE_ADDED, SYNTH_DEVICE_ADDED,
					SYNTH_PASSWORD_CHANGED, SYNTH_LOGIN };

	e->type = p->left <= 5 ? end[p->left - 1] : SYNTH_LOGIN_FAILED;
	e->touchpoint = TOUCHPOINT_web;
	e->country = 642;
	if (e->type != SYNTH_TRANSFER_OUT) {
		book(s, e, 0);
		return;
	}
	e->amount = world_money(draw_between(s, 90000, 600000), a->currency);
	e->ref = ref_new(s);
	if (affordable(s, e, a->currency)) {
		book(s, e, -e->amount);
	} else {
		e->type = SYNTH_TRANSFER_FAILED;
		e->failure = FAILURE_LIMIT;
		book(s, e, 0);
	}
}

static void burst_cash_out(struct synth *s, struct happening *e, const struct world_account *a)
{
	e->type = SYNTH_ATM_WITHDRAWAL;
	e->card = 1;
	e->touchpoint = TOUCHPOINT_atm;
	e->country = 642;
	e->amount = world_money(30000, a->currency);
	e->ref = ref_new(s);
	if (affordable(s, e, a->currency))
		book(s, e, -e->amount);
	else
		decline(s, e, FAILURE_FUNDS);
}

static struct happening burst_step(struct synth *s, const struct pending *p, int64_t at)
{
	static const uint8_t gap_s[][2] = { { 0, 0 }, { 2, 9 }, { 30, 90 }, { 3, 10 }, { 40, 120 } };
	struct happening e = happening_at(at, p->event.account, SYNTH_LOGIN);
	struct world_account a;
	struct pending *rest;

	world_account(&s->world, e.account, &a);
	if (p->burst == BURST_CARD_TESTING)
		burst_testing(s, p, &e, &a);
	else if (p->burst == BURST_SPREE)
		burst_spree(s, &e, &a);
	else if (p->burst == BURST_TAKEOVER)
		burst_takeover(s, p, &e, &a);
	else
		burst_cash_out(s, &e, &a);
	if (p->left == 1)
		return e;
	rest = pending_add(s, at + SECONDS(draw_between(s, gap_s[p->burst][0], gap_s[p->burst][1])),
			   THEN_BURST, &p->event);
	if (rest) {
		rest->burst = p->burst;
		rest->left = p->left - 1;
	}
	return e;
}

/* The posting takes the place of the authorisation, one in eight with another amount. */
static void post(struct synth *s, struct happening *e)
{
	int64_t before = e->amount;

	if (chance(s, 1250))
		e->amount = 1 + e->amount * draw_between(s, 80, 120) / 100;
	e->stage = STAGE_POSTED;
	e->original_currency = 0;
	e->original_amount = 0;
	book(s, e, before - e->amount);
	plan_reversal(s, e);
	repeat_sometimes(s, e);
}

static struct happening follow_up(struct synth *s, const struct pending *p, int64_t due)
{
	struct happening e = p->event;

	if (p->then == THEN_BURST)
		return burst_step(s, p, due);
	if (p->then == THEN_REPEAT)
		return e; /* with its first time, and the balance of then */
	e.time = due;
	switch (p->then) {
	case THEN_AUTHORISE:
		authorise(s, &e);
		break;
	case THEN_POST:
		post(s, &e);
		break;
	case THEN_RELEASE:
		e.stage = STAGE_RELEASED;
		book(s, &e, e.amount);
		break;
	default:
		assert(p->then == THEN_REVERSE);
		e.of = e.ref;
		e.ref = ref_new(s);
		e.flags = FRAME_REVERSAL;
		e.stage = STAGE_POSTED;
		book(s, &e, e.amount);
	}
	return e;
}

static void ref_write(const struct synth *s, char out[REF_BYTES], uint64_t ref)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t n = s->ref_prefix << 36 | ref;

	out[0] = 'R';
	for (int i = REF_BYTES - 1; i > 0; i--, n >>= 5)
		out[i] = digits[n & 31];
}

static void pack_ref(struct pack_writer *w, const struct synth *s, const char *key, uint64_t ref)
{
	char text[REF_BYTES];

	ref_write(s, text, ref);
	pack_text(w, key);
	pack_string(w, text, REF_BYTES);
}

/* The pairs that name the other side of a payment, a device or a reason; returns how many. */
static unsigned pack_details(struct pack_writer *w, const struct synth *s, const struct happening *e)
{
	static const char *const payees[] = { "Ana Ruiz",  "Luis Prieto", "Talleres Vega", "Comunidad Sol 4",
					      "M. Keller", "Casa Duero",  "J. Moreau",	   "Seguros Norte" };
	uint64_t pick = world_hash(s->world.seed, 7, e->account + (uint64_t)e->amount) & 7;
	unsigned pairs = 1;

	switch (e->type) {
	case SYNTH_TRANSFER_OUT:
	case SYNTH_TRANSFER_FAILED:
	case SYNTH_PAYEE_ADDED:
		pack_text(w, "payee");
		pack_text(w, payees[pick]);
		break;
	case SYNTH_TRANSFER_IN:
		pack_text(w, "payer");
		pack_text(w, payees[pick]);
		break;
	case SYNTH_DIRECT_DEBIT:
		pack_text(w, "creditor");
		pack_text(w, payees[pick]);
		break;
	case SYNTH_LOGIN:
	case SYNTH_LOGIN_FAILED:
	case SYNTH_DEVICE_ADDED:
		pack_text(w, "device");
		pack_text(w, e->touchpoint == TOUCHPOINT_app ? "phone" : "browser");
		break;
	default:
		pairs = 0;
	}
	if (e->failure) {
		pack_text(w, "reason");
		pack_text(w, failures[e->failure]);
		pairs++;
	}
	return pairs;
}

static unsigned pack_reference(struct pack_writer *w, const struct synth *s, const struct happening *e)
{
	static const char *const stages[] = { NULL, "request", "authorised", "posted", "released" };
	unsigned pairs = 0;

	if (e->ref) {
		pack_ref(w, s, "ref", e->ref);
		pairs++;
	}
	if (e->of) {
		pack_ref(w, s, "of", e->of);
		pairs++;
	}
	if (e->stage) {
		pack_text(w, "stage");
		pack_text(w, stages[e->stage]);
		pairs++;
	}
	return pairs;
}

static size_t pack_body(const struct synth *s, const struct happening *e, uint8_t *out, size_t room)
{
	struct pack_writer w;
	unsigned pairs = 0;

	pack_writer_init(&w, out, room);
	pack_map(&w, 0); /* the count is set below: always less than 16 */
	if (e->merchant != UINT16_MAX) {
		const struct world_merchant *m = &s->world.merchant[e->merchant];

		assert((size_t)(w.end - w.at) >= m->body_bytes);
		memcpy(w.at, m->body, m->body_bytes);
		w.at += m->body_bytes;
		pairs += 4;
	}
	pairs += pack_reference(&w, s, e);
	if (e->card) {
		char token[WORLD_TOKEN_BYTES];

		world_card(&s->world, e->account, e->card - 1u, token);
		pack_text(&w, "card");
		pack_string(&w, token, WORLD_TOKEN_BYTES);
		pairs++;
	}
	if (e->original_currency) {
		pack_text(&w, "original_amount");
		pack_int(&w, e->original_amount);
		pack_text(&w, "original_currency");
		pack_uint(&w, e->original_currency);
		pairs += 2;
	}
	pairs += pack_details(&w, s, e);
	assert(!w.overflow && pairs < 16);
	out[0] = (uint8_t)(0x80 | pairs);
	return pack_bytes(&w);
}

static size_t encode(const struct synth *s, const struct happening *e, uint8_t *frame)
{
	struct world_account a;
	struct frame_header h = {
		.version = FRAME_VERSION, .kind = FRAME_EVENT, .type = e->type, .time = e->time
	};

	world_account(&s->world, e->account, &a);
	h.customer = e->actor == ACTOR_PARTNER ? a.partner : e->actor == ACTOR_OWNER ? a.customer : 0;
	h.account = a.account;
	h.amount = e->amount;
	h.balance = e->balance;
	h.currency = a.currency;
	h.country = e->country;
	h.mcc = e->mcc;
	h.touchpoint = e->touchpoint;
	h.flags = e->flags;
	h.length = (uint32_t)(FRAME_HEADER_BYTES + pack_body(s, e, frame + FRAME_HEADER_BYTES,
							     SYNTH_FRAME_BYTES_MAX - FRAME_HEADER_BYTES));
	memcpy(frame, &h, sizeof(h));
	return h.length;
}

size_t synth_next(struct synth *s, uint8_t *frame, int64_t *due)
{
	struct happening e;
	int64_t at;

	if (s->emitted == s->spec.events)
		return 0;
	at = clock_next(s);
	s->emitted++;
	if (s->heap_count > 0 && s->heap[0].due <= at) {
		struct pending p = pending_take(s, &at);

		e = follow_up(s, &p, at);
	} else {
		e = draw_fresh(s, at);
	}
	*due = at;
	return encode(s, &e, frame);
}

struct synth *synth_open(const struct synth_spec *spec)
{
	uint32_t accounts = spec->customers + WORLD_STRANGERS;
	struct synth *s = calloc(1, sizeof(*s) + accounts * sizeof(s->balance[0]));
	struct world_account a;

	if (!s)
		return NULL;
	s->pool = calloc(PENDING_MAX, sizeof(*s->pool));
	s->heap = calloc(PENDING_MAX, sizeof(*s->heap));
	if (!s->pool || !s->heap) {
		synth_close(s);
		return NULL;
	}
	s->spec = *spec;
	s->random = world_hash(spec->seed, 100, spec->part);
	s->ref_prefix = world_hash(spec->seed, 101, spec->part) & 0x7ffff;
	world_init(&s->world, spec->seed, spec->customers, spec->joint, spec->cards);
	for (uint32_t i = 0; i < PENDING_MAX; i++)
		s->pool[i].next_free = i + 1 < PENDING_MAX ? i + 1 : UINT32_MAX;
	for (uint32_t i = 0; i < accounts; i++) {
		world_account(&s->world, i, &a);
		s->balance[i] = (int64_t)(world_hash(spec->seed, 102, i) % 200) * a.income / 100;
	}
	clock_enter_hour(s);
	return s;
}

void synth_close(struct synth *s)
{
	if (!s)
		return;
	free(s->pool);
	free(s->heap);
	free(s);
}

const struct world *synth_world(const struct synth *s)
{
	return &s->world;
}
