// needs: user/prefilter/enrolment.c
/*
 * fuzz_filter.c: any bytes as an interest table, some enrolled customers, accounts with holders, and a stream
 * of headers. What the product decides (header_check, filter_decide, enrolment) is compared frame by frame
 * with a slow model, written from schemas/frame.md and DESIGN 7 and from nothing else: it reads the header's
 * bytes by offset, keeps sets and people as plain lists, and asks one question after the other.
 *
 * Layout of an input: see table_read(), people_read(), header_read(). Corpus: tests/corpus/filter.
 */
#include <assert.h>
#include <moment/interest.h>
#include <prefilter/enrolment.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES_MAX = 8, MEMBERS_MAX = 24, PEOPLE_MAX = 16, FRAMES_MAX = 200, LIST_MAX = 512 };

struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && in->at < in->end; i++)
		value |= (uint64_t)*in->at++ << (8 * i);
	return value;
}

/* ---- what both sides are made of ---- */

struct rule {
	uint16_t type;
	struct interest_entry entry;
};

struct member {
	bool mcc;
	uint8_t set;
	uint16_t code;
};

struct known {
	struct rule rules[ENTRIES_MAX];
	struct member members[MEMBERS_MAX];
	uint32_t rule_count, member_count;
};

/* A byte: how many entries; 18 bytes each. A byte: how many members of sets; 3 bytes each. */
static void table_read(struct input *in, struct known *k)
{
	k->rule_count = (uint32_t)take(in, 1) % (ENTRIES_MAX + 1);
	for (uint32_t i = 0; i < k->rule_count; i++) {
		struct rule *r = &k->rules[i];
		r->type = (uint16_t)take(in, 2);
		r->entry = (struct interest_entry){ .action = (uint8_t)take(in, 1) };
		r->entry.conditions = (uint8_t)take(in, 1);
		r->entry.touchpoints = (uint16_t)take(in, 2);
		r->entry.countries = (uint8_t)take(in, 1);
		r->entry.mccs = (uint8_t)take(in, 1);
		r->entry.currency = (uint16_t)take(in, 2);
		r->entry.amount_min = (int64_t)take(in, 8);
	}
	k->member_count = (uint32_t)take(in, 1) % (MEMBERS_MAX + 1);
	for (uint32_t i = 0; i < k->member_count; i++) {
		uint8_t which = (uint8_t)take(in, 1);
		k->members[i] = (struct member){ .mcc = which >> 7,
						 .set = which & (INTEREST_SETS_MAX - 1),
						 .code = (uint16_t)take(in, 2) };
	}
}

/* The compiled table; `used` is cleared again by table_clear. */
static void table_make(const struct known *k, struct interest_table *t)
{
	for (uint32_t i = 0; i < k->rule_count; i++)
		t->type[k->rules[i].type] = k->rules[i].entry;
	for (uint32_t i = 0; i < k->member_count; i++) {
		const struct member *m = &k->members[i];
		if (m->mcc && m->code < INTEREST_MCCS)
			t->sets.mcc[m->set][m->code / 64] |= UINT64_C(1) << m->code % 64;
		if (!m->mcc && m->code < INTEREST_COUNTRIES)
			t->sets.country[m->set][m->code / 64] |= UINT64_C(1) << m->code % 64;
	}
}

static void table_clear(const struct known *k, struct interest_table *t)
{
	for (uint32_t i = 0; i < k->rule_count; i++)
		t->type[k->rules[i].type] = (struct interest_entry){ 0 };
	memset(&t->sets, 0, sizeof t->sets);
}

/* ---- the slow model: people ---- */

struct holding {
	uint64_t account, holder;
};

struct model {
	const struct known *known;
	uint64_t enrolled[LIST_MAX], named[LIST_MAX]; /* customers; accounts that a PROFILE named */
	struct holding holdings[LIST_MAX];
	uint32_t enrolled_count, named_count, holding_count;
	uint64_t expected;
};

/* MurmurHash3's finalizer, its top bits: which numbers share a place. */
static uint64_t place(uint64_t number, unsigned bits)
{
	number = (number ^ number >> 33) * UINT64_C(0xff51afd7ed558ccd);
	number = (number ^ number >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (number ^ number >> 33) >> (64 - bits);
}

static bool same_place(uint64_t a, uint64_t b, unsigned bits)
{
	return place(a, bits) == place(b, bits);
}

static bool model_enrolled(const struct model *m, uint64_t customer)
{
	for (uint32_t i = 0; i < m->enrolled_count; i++)
		if (same_place(m->enrolled[i], customer, 27))
			return true;
	return false;
}

/* Several holders, or unknown ones, or the only one is enrolled. */
static bool model_account_meant(const struct model *m, uint64_t account)
{
	const struct holding *only = NULL;

	for (uint32_t i = 0; i < m->named_count; i++)
		if (same_place(m->named[i], account, 22))
			return true;
	for (uint32_t i = 0; i < m->holding_count; i++) {
		const struct holding *h = &m->holdings[i];
		if (!same_place(h->account, account, 22))
			continue;
		if (only && !same_place(only->holder, h->holder, 27))
			return true;
		only = h;
	}
	return only && model_enrolled(m, only->holder);
}

/* With the numbers as they are, no places: whoever this means must be kept whatever is shared. */
static bool model_really_meant(const struct model *m, uint64_t customer, uint64_t account)
{
	for (uint32_t i = 0; i < m->enrolled_count; i++) {
		if (customer && m->enrolled[i] == customer)
			return true;
		for (uint32_t k = 0; account && k < m->holding_count; k++)
			if (m->holdings[k].account == account && m->holdings[k].holder == m->enrolled[i])
				return true;
	}
	return false;
}

/* ---- the slow model: a header ---- */

static uint64_t field(const uint8_t *header, unsigned offset, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = bytes; i-- > 0;)
		value = value << 8 | header[offset + i];
	return value;
}

/* Fields by kind, of what a source may send: the bytes from 6 on that the kind uses. */
static const struct {
	uint8_t kind, flags;
	const char *uses; /* a letter a field, in their order: Type Sequence Customer Account tIme aMount
			     Balance cUrrency cOuntry mCc(X) toucHpoint */
} source_kinds[] = {
	{ 1, 0, "S" },	 { 3, 7, "TSCAIMBUOXH" }, { 4, 0, "TS" }, { 10, 0, "SCAI" },
	{ 11, 0, "SC" }, { 12, 0, "I" },	  { 13, 0, "I" }, { 15, 0, "SC" },
};

static const struct {
	char letter;
	uint8_t offset, bytes;
} places[] = { { 'T', 6, 2 },  { 'S', 8, 8 },  { 'C', 16, 8 }, { 'A', 24, 8 }, { 'I', 32, 8 }, { 'M', 40, 8 },
	       { 'B', 48, 8 }, { 'U', 56, 2 }, { 'O', 58, 2 }, { 'X', 60, 2 }, { 'H', 62, 1 } };

static bool negative(const uint8_t *h, unsigned offset)
{
	return h[offset + 7] & 0x80;
}

static bool in_stream(unsigned kind)
{
	return kind == 3 || kind == 10 || kind == 11 || kind == 15;
}

/* What the kind itself asks of its fields. */
static bool model_values_good(const uint8_t *h)
{
	uint64_t customer = field(h, 16, 8), account = field(h, 24, 8);

	if (in_stream(h[5]) && field(h, 8, 8) == 0)
		return false;
	if (negative(h, 32))
		return false;
	switch (h[5]) {
	case 3:
		return field(h, 32, 8) > 0 && !negative(h, 40) && h[62] <= 12;
	case 4:
		return field(h, 6, 2) == 9; /* the only stream that a source receives */
	case 10:
		return customer || account;
	case 11:
		return customer;
	default:
		return true;
	}
}

static bool model_header_good(const uint8_t *h)
{
	uint64_t length = field(h, 0, 4);

	if (length < 64 || length > 65536 || h[4] != 1)
		return false;
	for (size_t k = 0; k < sizeof source_kinds / sizeof *source_kinds; k++) {
		if (source_kinds[k].kind != h[5])
			continue;
		if (h[63] & ~source_kinds[k].flags)
			return false;
		for (size_t f = 0; f < sizeof places / sizeof *places; f++)
			if (!strchr(source_kinds[k].uses, places[f].letter) &&
			    field(h, places[f].offset, places[f].bytes))
				return false;
		return model_values_good(h);
	}
	return false;
}

/* ---- the slow model: interest ---- */

static const struct interest_entry *model_rule(const struct known *k, uint64_t type)
{
	const struct interest_entry *last = NULL;

	for (uint32_t i = 0; i < k->rule_count; i++)
		if (k->rules[i].type == type)
			last = &k->rules[i].entry;
	return last;
}

/* No data, a code that no set can hold, a set that is none: it cannot be told, so it holds. */
static bool model_member(const struct known *k, bool mcc, uint8_t set, uint64_t code)
{
	if (code == 0 || code >= (mcc ? 10048 : 1024) || set >= 16)
		return true;
	for (uint32_t i = 0; i < k->member_count; i++)
		if (k->members[i].mcc == mcc && k->members[i].set == set && k->members[i].code == code)
			return true;
	return false;
}

static bool model_conditions_hold(const struct known *k, const struct interest_entry *e, const uint8_t *h)
{
	bool amount = true, country = true, touchpoint = true, mcc = true;

	if (e->conditions & 1 && (e->currency == 0 || e->currency == field(h, 56, 2)))
		amount = (int64_t)field(h, 40, 8) >= e->amount_min;
	if (e->conditions & 2)
		country = model_member(k, false, e->countries, field(h, 58, 2));
	if (e->conditions & 4 && h[62] != 0)
		touchpoint = (e->touchpoints & 1 << h[62]) != 0;
	if (e->conditions & 8)
		mcc = model_member(k, true, e->mccs, field(h, 60, 2));
	return amount && country && touchpoint && mcc;
}

enum answer { KEPT, DROPPED, REPEATED, STOPPED };

/* Of an EVENT without flags that is next in its stream. */
static enum answer model_interest(struct model *m, const uint8_t *h)
{
	const struct interest_entry *e = model_rule(m->known, field(h, 6, 2));

	if (!e || e->action == 0 || e->action == 1 || e->action > 3)
		return KEPT;
	if (e->action == 2 || !model_conditions_hold(m->known, e, h))
		return DROPPED;
	if (!(e->conditions & 16))
		return KEPT;
	uint64_t customer = field(h, 16, 8), account = field(h, 24, 8);
	if (customer && model_enrolled(m, customer))
		return KEPT;
	return account && model_account_meant(m, account) ? KEPT : DROPPED;
}

static void model_enrol(struct model *m, const uint8_t *h)
{
	uint64_t customer = field(h, 16, 8), account = field(h, 24, 8);

	if (h[5] != 10 && h[5] != 11)
		return;
	if (customer)
		m->enrolled[m->enrolled_count++] = customer;
	if (account)
		m->named[m->named_count++] = account;
}

static enum answer model_frame(struct model *m, const uint8_t *h)
{
	enum answer answer = KEPT;

	if (!model_header_good(h))
		return STOPPED;
	if (!in_stream(h[5]))
		return KEPT;
	uint64_t sequence = field(h, 8, 8);
	if (sequence < m->expected)
		return REPEATED;
	if (sequence > m->expected)
		return STOPPED;
	m->expected++;
	if (h[5] == 3 && h[63] == 0)
		answer = model_interest(m, h);
	model_enrol(m, h);
	return answer;
}

/* ---- the product ---- */

struct product {
	const struct interest_table *table;
	struct enrolment enrolment;
	uint64_t expected;
};

static enum answer product_frame(struct product *p, const struct frame_header *h)
{
	if (header_check(h, ROLE_OF_SOURCE) != HEADER_GOOD)
		return STOPPED;
	enum filter_verdict verdict =
		filter_decide(&p->table->type[h->type], &p->table->sets, h, p->expected);
	if (verdict == FILTER_GAP)
		return STOPPED;
	if (verdict == FILTER_DUPLICATE)
		return REPEATED;
	if (filter_in_stream(h->kind))
		p->expected++;
	if (verdict == FILTER_IF_ENROLLED)
		verdict = enrolment_concerns(&p->enrolment, h) ? FILTER_KEEP : FILTER_DROP;
	if (verdict == FILTER_KEEP)
		enrolment_frame_add(&p->enrolment, h);
	return verdict == FILTER_KEEP ? KEPT : DROPPED;
}

/* ---- one input ---- */

/* A byte: how many; then each a byte that says what and numbers of a byte or of eight. */
static void people_read(struct input *in, struct model *m, struct product *p)
{
	for (uint32_t n = (uint32_t)take(in, 1) % (PEOPLE_MAX + 1); n; n--) {
		uint8_t what = (uint8_t)take(in, 1);
		unsigned wide = what & 1 ? 8 : 1;
		if (what & 2) {
			uint64_t customer = take(in, wide);
			enrolment_customer_add(&p->enrolment, customer);
			m->enrolled[m->enrolled_count++] = customer;
			continue;
		}
		uint64_t account = take(in, wide), holders[3];
		uint32_t count = what >> 2 & 3;
		for (uint32_t i = 0; i < count; i++) {
			holders[i] = take(in, wide);
			m->holdings[m->holding_count++] = (struct holding){ account, holders[i] };
		}
		enrolment_account_add(&p->enrolment, account, holders, count);
	}
}

/* A good event, but for what the bits of `how` change. */
static void header_short(struct input *in, struct frame_header *h, const struct model *m, uint8_t how)
{
	static const uint8_t kinds[] = { FRAME_EVENT,	FRAME_EVENT,  FRAME_EVENT, FRAME_SUBSCRIBE,
					 FRAME_PROFILE, FRAME_MANAGE, FRAME_PING,  FRAME_ACK };
	uint8_t which = (uint8_t)take(in, 1);

	*h = (struct frame_header){ .length = 64, .version = 1, .kind = kinds[which & 7] };
	if (filter_in_stream(h->kind))
		h->sequence = m->expected + (how & 1) - (how >> 1 & 1);
	h->customer = h->kind == FRAME_PING || h->kind == FRAME_ACK ? 0 : take(in, how & 4 ? 8 : 1);
	if (h->kind == FRAME_ACK)
		h->type = FRAME_COMMAND;
	if (h->kind == FRAME_EVENT || h->kind == FRAME_PROFILE)
		h->account = take(in, how & 4 ? 8 : 1);
	if (h->kind != FRAME_EVENT)
		return;
	h->type = m->known->rule_count ? m->known->rules[(which >> 3) % m->known->rule_count].type : which;
	h->time = 1 + (int64_t)take(in, 1);
	h->amount = (int64_t)take(in, how & 8 ? 8 : 1);
	h->currency = (uint16_t)take(in, 2);
	h->country = (uint16_t)take(in, 2);
	h->mcc = (uint16_t)take(in, 2);
	h->touchpoint = (uint8_t)take(in, 1);
	h->flags = how & 16 ? (uint8_t)take(in, 1) : 0;
}

/* A byte that says how; its highest bit: 64 bytes as they are, with the next but one a changed byte. */
static void header_read(struct input *in, struct frame_header *h, const struct model *m)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (how & 0x80) {
		uint8_t raw[64] = { 0 };
		for (unsigned i = 0; i < sizeof raw; i++)
			raw[i] = (uint8_t)take(in, 1);
		memcpy(h, raw, sizeof raw);
		return;
	}
	header_short(in, h, m, how);
	if (how & 0x40) {
		uint8_t at = (uint8_t)take(in, 1) & 63;
		((uint8_t *)h)[at] = (uint8_t)take(in, 1);
	}
}

static void stream_run(struct input *in, struct model *m, struct product *p)
{
	for (uint32_t n = 0; n < FRAMES_MAX && in->at < in->end; n++) {
		struct frame_header h;
		uint8_t bytes[64];
		header_read(in, &h, m);
		memcpy(bytes, &h, sizeof bytes);
		bool meant = model_really_meant(m, h.customer, h.account);
		enum answer model = model_frame(m, bytes), product = product_frame(p, &h);
		assert(model == product);
		assert(m->expected == p->expected);
		if (product == STOPPED)
			return;
		const struct interest_entry *e = &p->table->type[h.type];
		if (product == DROPPED && meant) /* whoever is meant loses nothing by enrolment */
			assert(e->action == INTEREST_DROP || !model_conditions_hold(m->known, e, bytes));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct interest_table table; /* zero between two inputs */
	static struct model m;
	struct input in = { data, data + size };
	struct known known = { 0 };
	struct product p = { .table = &table };

	if (enrolment_init(&p.enrolment))
		abort();
	table_read(&in, &known);
	table_make(&known, &table);
	m.known = &known;
	m.enrolled_count = m.named_count = m.holding_count = 0;
	people_read(&in, &m, &p);
	m.expected = p.expected = 1 + take(&in, 4);
	stream_run(&in, &m, &p);
	table_clear(&known, &table);
	enrolment_deinit(&p.enrolment);
	return 0;
}
