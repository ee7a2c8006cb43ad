/*
 * datafile.c: PaySim and Sparkov rows to frames; the mapping is in datafile.h.
 *
 * A row is split in place; numbers are read exactly (amounts are decimals, never doubles). Frames go into the
 * caller's struct. A row with another number of columns, or a column that is not what it should be, is
 * refused with the column's name.
 */
#include "datafile.h"

#include <assert.h>
#include <base/bytes.h>
#include <errno.h>
#include <moment/frame.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 16, PAYSIM_COLUMNS = 12, SPARKOV_COLUMNS = 9 };
#define PAYSIM_START 1772409600
#define PAYSIM_ACCOUNTS 1000000000000000ull
#define PAYSIM_FRAUDSTERS 1000000000000ll

struct column {
	const char *s;
	size_t len;
};

struct row {
	struct column column[COLUMNS_MAX];
	unsigned count;
	char *error;
	size_t room;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct row *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->error, r->room, format, args);
	va_end(args);
	return false;
}

enum datafile_format datafile_sniff(const char *header, size_t len)
{
	static const char paysim[] = "step,action,", sparkov[] = "customer|account|unix_time|";

	if (len >= sizeof(paysim) - 1 && memcmp(header, paysim, sizeof(paysim) - 1) == 0)
		return DATAFILE_PAYSIM;
	if (len >= sizeof(sparkov) - 1 && memcmp(header, sparkov, sizeof(sparkov) - 1) == 0)
		return DATAFILE_SPARKOV;
	return DATAFILE_NONE;
}

void datafile_init(struct datafile *d, enum datafile_format format)
{
	*d = (struct datafile){ .format = format, .step = -1 };
}

static bool row_split(struct row *r, const char *line, size_t len, char separator, unsigned expected)
{
	const char *end = line + len;

	r->count = 0;
	for (const char *at = line; at <= end && r->count < COLUMNS_MAX;) {
		const char *stop = memchr(at, separator, (size_t)(end - at));

		stop = stop ? stop : end;
		r->column[r->count++] = (struct column){ at, (size_t)(stop - at) };
		at = stop + 1;
	}
	return r->count == expected || refuse(r, "%u columns, expected %u", r->count, expected);
}

/* Digits as a number below 2^63. */
static bool read_number(struct row *r, unsigned i, const char *name, int64_t *out)
{
	const struct column *c = &r->column[i];
	int64_t n = 0;

	for (size_t k = 0; k < c->len; k++) {
		if (c->s[k] < '0' || c->s[k] > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, c->s[k] - '0', &n))
			return refuse(r, "%s '%.*s' is no number", name, (int)c->len, c->s);
	}
	*out = n;
	return c->len > 0 || refuse(r, "%s is empty", name);
}

/* "12", "12.3" or "-12.34" as hundredths. */
static bool read_decimal(struct row *r, unsigned i, const char *name, int64_t *out)
{
	struct column c = r->column[i];
	bool minus = c.len > 0 && *c.s == '-';
	int decimals = -1, digits = 0;
	int64_t n = 0;

	for (size_t k = minus; k < c.len && decimals < 3; k++) {
		if (c.s[k] == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (c.s[k] < '0' || c.s[k] > '9' || __builtin_mul_overflow(n, 10, &n))
			return refuse(r, "%s '%.*s' is no amount", name, (int)c.len, c.s);
		n += c.s[k] - '0';
		digits++;
		decimals += decimals >= 0;
	}
	if (digits == 0 || decimals > 2 || n > INT64_MAX / 1000)
		return refuse(r, "%s '%.*s' is no amount", name, (int)c.len, c.s);
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 2; decimals++)
		n *= 10;
	*out = minus ? -n : n;
	return true;
}

static bool read_degrees(struct row *r, unsigned i, const char *name, double *out)
{
	char text[32], *end;
	const struct column *c = &r->column[i];

	if (c->len == 0 || c->len >= sizeof(text))
		return refuse(r, "%s '%.*s' is no coordinate", name, (int)c->len, c->s);
	memcpy(text, c->s, c->len);
	text[c->len] = 0;
	*out = strtod(text, &end);
	return (*end == 0 && *out >= -180.0 && *out <= 180.0) ||
	       refuse(r, "%s '%s' is no coordinate", name, text);
}

/* The number in a name like C2292655800; the simulator's fraudsters are CC and a number. */
static bool read_party(struct row *r, unsigned i, const char *name, uint64_t *out)
{
	struct column whole = r->column[i];
	size_t letters = whole.len > 1 && whole.s[1] == 'C' ? 2 : 1;
	int64_t n = 0;
	bool good;

	if (whole.len <= letters || *whole.s != 'C')
		return refuse(r, "%s '%.*s' is not C or CC and a number", name, (int)whole.len, whole.s);
	r->column[i] = (struct column){ whole.s + letters, whole.len - letters };
	good = read_number(r, i, name, &n);
	r->column[i] = whole;
	if (good && (n <= 0 || n >= PAYSIM_FRAUDSTERS))
		return refuse(r, "%s is out of range", name);
	*out = (uint64_t)n + (letters == 2 ? PAYSIM_FRAUDSTERS : 0);
	return good;
}

/* The body's pairs; the map's head is written last, when their number is known. */
struct body {
	struct pack_writer w;
	unsigned pairs;
};

static void body_open(struct body *b, struct datafile_frames *out)
{
	pack_writer_init(&b->w, out->frame[out->count] + FRAME_HEADER_BYTES,
			 DATAFILE_FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
	pack_map(&b->w, 0);
	b->pairs = 0;
}

static void body_text(struct body *b, const char *key, const char *s, size_t len)
{
	pack_text(&b->w, key);
	pack_string(&b->w, s, len);
	b->pairs++;
}

static void body_ref(struct body *b, const char *prefix, uint64_t number, const char *suffix)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "%s%llu%s", prefix, (unsigned long long)number, suffix);

	body_text(b, "ref", text, (size_t)n);
}

static bool body_close(struct body *b, struct row *r, struct frame_header *h, struct datafile_frames *out)
{
	uint32_t offset;
	const char *error;

	if (b->w.overflow)
		return refuse(r, "the row is too long");
	assert(b->pairs < 16);
	b->w.start[0] = (uint8_t)(0x80 | b->pairs);
	error = pack_validate(b->w.start, pack_bytes(&b->w), &offset);
	if (error)
		return refuse(r, "%s", error);
	h->version = FRAME_VERSION;
	h->kind = FRAME_EVENT;
	h->length = (uint32_t)(FRAME_HEADER_BYTES + pack_bytes(&b->w));
	memcpy(out->frame[out->count], h, sizeof(*h));
	out->bytes[out->count++] = h->length;
	return true;
}

static const struct paysim_action {
	const char *name;
	uint16_t type, refused;
	uint8_t touchpoint;
} paysim_actions[] = {
	{ "CASH_IN", 19, 2, TOUCHPOINT_atm },  { "CASH_OUT", 3, 2, TOUCHPOINT_atm },
	{ "DEBIT", 7, 23, TOUCHPOINT_batch },  { "PAYMENT", 1, 2, TOUCHPOINT_pos },
	{ "TRANSFER", 4, 22, TOUCHPOINT_app },
};

struct paysim_row {
	const struct paysim_action *action;
	int64_t step, amount, balance, balance_to, fraud, refused;
	uint64_t from;
};

static bool paysim_read(struct row *r, struct paysim_row *p)
{
	for (size_t i = 0; i < sizeof(paysim_actions) / sizeof(*paysim_actions); i++)
		if (strlen(paysim_actions[i].name) == r->column[1].len &&
		    memcmp(paysim_actions[i].name, r->column[1].s, r->column[1].len) == 0)
			p->action = &paysim_actions[i];
	if (!p->action)
		return refuse(r, "action '%.*s' is unknown", (int)r->column[1].len, r->column[1].s);
	if (!read_number(r, 0, "step", &p->step) || !read_decimal(r, 2, "amount", &p->amount) ||
	    !read_party(r, 3, "nameOrig", &p->from) || !read_decimal(r, 5, "newBalanceOrig", &p->balance) ||
	    !read_decimal(r, 8, "newBalanceDest", &p->balance_to) ||
	    !read_number(r, 9, "isFraud", &p->fraud) ||
	    !read_number(r, 11, "isUnauthorizedOverdraft", &p->refused))
		return false;
	if (p->amount < 0)
		return refuse(r, "amount is below 0");
	return p->step <= 1000000 || refuse(r, "step %lld is too large", (long long)p->step);
}

static int64_t paysim_time(struct datafile *d, int64_t step)
{
	int64_t within;

	d->in_step = step == d->step ? d->in_step + 1 : 0;
	d->step = step;
	within = d->in_step < 35999 ? d->in_step : 35999; /* a fuller step ends in one instant */
	return (PAYSIM_START + step * 3600) * 1000000000 + within * 100000000;
}

static struct frame_header paysim_header(uint64_t party, int64_t time, int64_t amount, int64_t balance)
{
	return (struct frame_header){ .customer = party,
				      .account = party + PAYSIM_ACCOUNTS,
				      .time = time,
				      .amount = amount,
				      .balance = balance,
				      .currency = 978 };
}

/* The other side of a transfer, when it is a customer. */
static bool paysim_incoming(struct datafile *d, struct row *r, const struct paysim_row *p, int64_t time,
			    struct datafile_frames *out)
{
	struct frame_header h;
	struct body b;
	uint64_t to;

	if (p->action->type != 4 || p->refused || *r->column[6].s != 'C')
		return true;
	if (!read_party(r, 6, "nameDest", &to))
		return false;
	h = paysim_header(to, time, p->amount, p->balance_to);
	h.type = 5;
	h.touchpoint = TOUCHPOINT_batch;
	body_open(&b, out);
	body_ref(&b, "PS", d->rows, "I");
	body_text(&b, "counterparty", r->column[3].s, r->column[3].len);
	pack_text(&b.w, "fraud");
	pack_int(&b.w, p->fraud);
	b.pairs++;
	return body_close(&b, r, &h, out);
}

static bool paysim_frames(struct datafile *d, struct row *r, struct datafile_frames *out)
{
	struct paysim_row p = { 0 };
	struct frame_header h;
	struct body b;

	if (!paysim_read(r, &p))
		return false;
	h = paysim_header(p.from, paysim_time(d, p.step), p.amount, p.balance);
	h.type = p.refused ? p.action->refused : p.action->type;
	h.touchpoint = p.action->touchpoint;
	h.country = p.action->type == 1 ? 724 : 0;
	body_open(&b, out);
	body_ref(&b, "PS", d->rows, "");
	if (r->column[6].len > 0)
		body_text(&b, p.action->type == 1 ? "merchant" : "counterparty", r->column[6].s,
			  r->column[6].len);
	if (p.refused)
		body_text(&b, "reason", "insufficient_funds", 18);
	pack_text(&b.w, "fraud");
	pack_int(&b.w, p.fraud);
	b.pairs++;
	return body_close(&b, r, &h, out) && paysim_incoming(d, r, &p, h.time, out);
}

/* ISO 18245 by Sparkov's category; 0 when it is a new one. */
static uint16_t sparkov_mcc(const struct column *c)
{
	static const struct {
		const char *name;
		uint16_t mcc;
	} rows[] = {
		{ "gas_transport", 5541 }, { "grocery_pos", 5411 },    { "grocery_net", 5411 },
		{ "misc_net", 5999 },	   { "misc_pos", 5999 },       { "shopping_net", 5311 },
		{ "shopping_pos", 5311 },  { "entertainment", 7832 },  { "food_dining", 5812 },
		{ "personal_care", 7230 }, { "health_fitness", 8011 }, { "kids_pets", 5995 },
		{ "home", 5200 },	   { "travel", 4511 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strlen(rows[i].name) == c->len && memcmp(rows[i].name, c->s, c->len) == 0)
			return rows[i].mcc;
	return 0;
}

static bool sparkov_header(struct row *r, struct frame_header *h)
{
	const struct column *category = &r->column[3];
	int64_t customer = 0, account = 0, seconds = 0;

	if (!read_number(r, 0, "customer", &customer) || !read_number(r, 1, "account", &account) ||
	    !read_number(r, 2, "unix_time", &seconds) || !read_decimal(r, 4, "amount", &h->amount))
		return false;
	if (seconds < 1 || seconds > 9000000000 || h->amount < 0 || customer == 0)
		return refuse(r, "customer, unix_time or amount is out of range");
	h->type = 1;
	h->customer = (uint64_t)customer;
	h->account = (uint64_t)account;
	h->time = seconds * 1000000000;
	h->balance = FRAME_BALANCE_NO_DATA;
	h->currency = 840;
	h->country = 840;
	h->mcc = sparkov_mcc(category);
	h->touchpoint = category->len > 4 && memcmp(category->s + category->len - 4, "_net", 4) == 0
				? TOUCHPOINT_online
				: TOUCHPOINT_pos;
	return true;
}

static bool sparkov_frames(struct datafile *d, struct row *r, struct datafile_frames *out)
{
	struct frame_header h = { 0 };
	double lat, lon;
	int64_t fraud = 0;
	struct body b;
	char card[32];

	if (!sparkov_header(r, &h) || !read_number(r, 5, "is_fraud", &fraud) ||
	    !read_degrees(r, 7, "lat", &lat) || !read_degrees(r, 8, "long", &lon))
		return false;
	body_open(&b, out);
	body_ref(&b, "SK", d->rows, "");
	body_text(&b, "card", card,
		  (size_t)snprintf(card, sizeof(card), "sk%llu", (unsigned long long)h.account));
	body_text(&b, "merchant", r->column[6].s, r->column[6].len);
	body_text(&b, "category", r->column[3].s, r->column[3].len);
	pack_text(&b.w, "lat");
	pack_double(&b.w, lat);
	pack_text(&b.w, "lon");
	pack_double(&b.w, lon);
	pack_text(&b.w, "fraud");
	pack_int(&b.w, fraud);
	b.pairs += 3;
	return body_close(&b, r, &h, out);
}

bool datafile_row(struct datafile *d, const char *line, size_t len, struct datafile_frames *out, char *error,
		  size_t room)
{
	struct row r = { .error = error, .room = room };

	out->count = 0;
	d->rows++;
	if (d->format == DATAFILE_PAYSIM)
		return row_split(&r, line, len, ',', PAYSIM_COLUMNS) && paysim_frames(d, &r, out);
	assert(d->format == DATAFILE_SPARKOV);
	return row_split(&r, line, len, '|', SPARKOV_COLUMNS) && sparkov_frames(d, &r, out);
}
