// needs: bench/bank20.c
/*
 * handwritten.c: the yardstick of the whole path's computation: what an engineer would write who has these 20
 * rules and nothing else to do. Profiles and windows in one table in memory, no index (customers are its
 * numbers), no I/O, no recovery, no late events; each event's lines are prefetched some events ahead.
 *
 * A customer is three cache lines, and most events touch one: profile and purchases; log-ins and declines;
 * what is in the sums of a day. Counts need only the last few times: "more than five in ten minutes" is a
 * question about the fifth before. They are kept as 32 bits of ms: a list is emptied when its last one is
 * older than the window, so no two times in it are further apart than five windows. Sums have a ring per
 * customer and running totals.
 *
 * In: frames of the workload, made beforehand, so that the generator costs nothing. Out: messages as JSON
 * lines in a buffer, as a gateway of its own would get them; one JSON object on stdout with rate, counts and
 * digest, which are compared with the plain evaluation of bank20.c. Exit 1: they differ. Memory: 192 bytes a
 * customer, 16 an entry of a sum.
 */
#include "bank20.h"
#include "pace.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
	AHEAD = 32,	   /* events between the prefetch of a customer's lines and their use */
	AHEAD_ENTRIES = 8, /* and of the oldest entry of its sums */
	BLOCK = 1 << 18,   /* frames in memory at once, 16 MiB */
	OUT_BYTES = 1 << 20,
	ENTRIES_FIRST = 4,
};
static const int64_t MS = 1000000, MINUTE_MS = 60000, DAY_MS = 86400000, START_MS = 1767225600000;

/* Times of the last few, the newest at place 0; valid: how many of them. */
struct recent {
	uint32_t time[5];
	uint8_t valid;
};

struct entry {
	int64_t time; /* ms since START_MS */
	int64_t amount;
};
/* Of a day, the oldest at first; room is a power of two. */
struct sums {
	struct entry *entry;
	uint16_t first, count, room, kind_out; /* kind_out: unused by withdrawals */
};

struct customer {
	/* line 0 */
	uint32_t optin, threshold, low;
	uint16_t home;
	uint8_t channel, salary;
	int64_t spent, last_purchase;
	uint32_t purchases;
	struct recent purchase;
	uint16_t last_country;
	/* line 1 */
	int64_t last_change, last_failed, last_declined __attribute__((aligned(8)));
	struct recent failed, declined;
	/* line 2 */
	struct sums withdrawals __attribute__((aligned(64)));
	struct sums transfers; /* in: amount >= 0; out: -1 - amount */
	int64_t withdrawn, in, out;
} __attribute__((aligned(64)));

struct pool {
	char *base;
	size_t used, room;
};

struct program {
	struct customer *table;
	struct pool pool;
	char *out;
	size_t out_at;
	uint64_t out_bytes;
	struct bank20_answers answers;
};

static void *map_big(size_t bytes)
{
	void *at =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(at != MAP_FAILED);
	madvise(at, bytes, MADV_HUGEPAGE);
	return at;
}

/* ---- windows ---- */

/* Notes one, and says whether the one `depth` before it is within `window` too. */
static inline bool recent_add(struct recent *r, int64_t *last, int64_t now, int64_t window, uint32_t depth)
{
	bool within = now - *last < window && r->valid;
	bool many = within & (r->valid >= depth) & ((uint32_t)now - r->time[depth - 1] < (uint64_t)window);

	r->valid = within ? r->valid : 0;
	memmove(&r->time[1], &r->time[0], 4 * sizeof r->time[0]);
	r->time[0] = (uint32_t)now;
	r->valid = (uint8_t)(r->valid < 5 ? r->valid + 1 : 5);
	*last = now;
	return many;
}

static void *pool_take(struct pool *p, size_t bytes)
{
	void *at = p->base + p->used;

	p->used += bytes;
	assert(p->used <= p->room);
	return at;
}

static __attribute__((noinline)) void sums_grow(struct pool *p, struct sums *s)
{
	uint16_t room = (uint16_t)(s->room ? 2 * s->room : ENTRIES_FIRST);
	struct entry *more = pool_take(p, room * sizeof *more);

	assert(room > s->room);
	for (uint16_t i = 0; i < s->count; i++)
		more[i] = s->entry[(uint16_t)(s->first + i) & (s->room - 1)];
	s->entry = more;
	s->first = 0;
	s->room = room;
}

static inline void sums_add(struct pool *p, struct sums *s, int64_t now, int64_t amount)
{
	if (s->count == s->room)
		sums_grow(p, s);
	s->entry[(uint16_t)(s->first + s->count) & (s->room - 1)] = (struct entry){ now, amount };
	s->count++;
}

/* The oldest one when it has left the day, taken off; NULL: none. */
static inline struct entry *sums_leave(struct sums *s, int64_t now)
{
	struct entry *e = s->count ? &s->entry[s->first & (s->room - 1)] : NULL;

	if (!e || e->time > now - DAY_MS)
		return NULL;
	s->first++;
	s->count--;
	return e;
}

/* ---- messages ---- */

static inline char *text_add(char *at, const char *text, size_t bytes)
{
	memcpy(at, text, bytes);
	return at + bytes;
}
#define TEXT(at, text) text_add(at, text, sizeof(text) - 1)

static inline char *number_add(char *at, uint64_t n)
{
	static const char pairs[] =
		"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
		"4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
		"888990919293949596979899";
	char digits[24];
	uint32_t place = sizeof digits;

	while (n >= 100) {
		place -= 2;
		memcpy(digits + place, pairs + n % 100 * 2, 2);
		n /= 100;
	}
	if (n >= 10) {
		place -= 2;
		memcpy(digits + place, pairs + n * 2, 2);
	} else {
		digits[--place] = (char)('0' + n);
	}
	return text_add(at, digits + place, sizeof digits - place);
}

/* One line a rule. The buffer begins again when it is full: where a send() would be. */
static void messages_write(struct program *p, const struct frame_header *e, const struct customer *c,
			   uint32_t rules)
{
	static const struct {
		char text[48];
		uint8_t bytes;
	} channels[BANK20_CHANNELS] = {
#define CHANNEL(name)                                                                                        \
	{ ",\"channel\":\"" name "\",\"priority\":\"normal\"",                                               \
	  sizeof(",\"channel\":\"" name "\",\"priority\":\"normal\"") - 1 }
		CHANNEL("push"), CHANNEL("sms"), CHANNEL("email"), CHANNEL("inbox")
#undef CHANNEL
	};
	char tail[96], *end = tail, *at = p->out + p->out_at;

	end = TEXT(end, ",\"amount\":");
	end = number_add(end, (uint64_t)e->amount);
	end = TEXT(end, ",\"time\":");
	end = number_add(end, (uint64_t)(e->time / MS));
	end = TEXT(end, "}\n");
	for (uint32_t left = rules; left; left &= left - 1) {
		uint32_t rule = (uint32_t)__builtin_ctz(left) + 1;
		at = TEXT(at, "{\"rule\":");
		at = number_add(at, rule);
		at = TEXT(at, ",\"seq\":");
		at = number_add(at, e->sequence - 1);
		at = TEXT(at, ",\"customer\":");
		at = number_add(at, e->customer - 1);
		if (BANK20_CRITICAL & BANK20_RULE(rule))
			at = TEXT(at, ",\"channel\":\"sms\",\"priority\":\"critical\"");
		else
			at = text_add(at, channels[c->channel].text, channels[c->channel].bytes);
		at = text_add(at, tail, (size_t)(end - tail));
	}
	p->out_bytes += (uint64_t)(at - p->out) - p->out_at;
	p->out_at = (size_t)(at - p->out);
	if (p->out_at > OUT_BYTES - BANK20_RULES * BANK20_MESSAGE_BYTES_MAX)
		p->out_at = 0;
}

/* ---- rules ---- */

/* Without a branch: what most conditions say cannot be foreseen. */
static inline uint32_t when(bool holds, uint32_t rule)
{
	return (uint32_t)holds << (rule - 1);
}

static inline uint32_t purchase(struct customer *c, const struct frame_header *e, int64_t now)
{
	int64_t last = c->last_purchase, n = c->purchases;
	bool night = (START_MS + now) / (60 * MINUTE_MS) % 24 < 5;
	uint32_t held = when(e->amount > c->threshold, 1);

	held |= when(e->country != c->home, 3);
	held |= when(recent_add(&c->purchase, &c->last_purchase, now, 10 * MINUTE_MS, 5), 5);
	held |= when((n >= 3) & (e->amount > 50000) & (e->amount * n > 3 * c->spent), 8);
	held |= when((n > 0) & (c->last_country != e->country) & (now - last < 60 * MINUTE_MS), 12);
	held |= when((e->mcc == 7995) & (e->amount > 10000), 13);
	held |= when((e->touchpoint == TOUCHPOINT_web) & night, 18);
	held |= when((e->currency != 978) & (e->amount > 20000), 19);
	c->purchases++;
	c->spent += e->amount;
	c->last_country = e->country;
	return held;
}

static inline uint32_t withdrawal(struct pool *p, struct customer *c, const struct frame_header *e,
				  int64_t now)
{
	const struct entry *left;

	while ((left = sums_leave(&c->withdrawals, now)))
		c->withdrawn -= left->amount;
	sums_add(p, &c->withdrawals, now, e->amount);
	c->withdrawn += e->amount;
	return when(c->withdrawn > 100000, 6);
}

static inline void transfers_leave(struct customer *c, int64_t now)
{
	const struct entry *left;

	while ((left = sums_leave(&c->transfers, now)))
		if (left->amount >= 0)
			c->in -= left->amount;
		else
			c->out -= -1 - left->amount;
}

static inline uint32_t transfer_in(struct pool *p, struct customer *c, const struct frame_header *e,
				   int64_t now)
{
	transfers_leave(c, now);
	sums_add(p, &c->transfers, now, e->amount);
	c->in += e->amount;
	return when(e->amount >= 200000, 16);
}

static inline uint32_t transfer_out(struct pool *p, struct customer *c, const struct frame_header *e,
				    int64_t now)
{
	transfers_leave(c, now);
	sums_add(p, &c->transfers, now, -1 - e->amount);
	c->out += e->amount;
	uint32_t held = when((c->last_change > 0) & (now + 1 - c->last_change < 10 * MINUTE_MS), 11);
	held |= when(c->out > 500000, 15);
	return held | when((c->in > 200000) & (c->out * 10 >= c->in * 9), 20);
}

static inline uint32_t rules_of_type(struct pool *p, struct customer *c, const struct frame_header *e,
				     int64_t now)
{
	switch (e->type) {
	case CARD_PURCHASE:
		return purchase(c, e, now);
	case CARD_DECLINED:
		return BANK20_RULE(4) |
		       when(recent_add(&c->declined, &c->last_declined, now, 60 * MINUTE_MS, 2), 17);
	case ATM_WITHDRAWAL:
		return withdrawal(p, c, e, now);
	case TRANSFER_IN:
		return transfer_in(p, c, e, now);
	case TRANSFER_OUT:
		return transfer_out(p, c, e, now);
	case SALARY:
		return when(c->salary & (e->balance > 300000), 7);
	case LOAN_MISSED:
		return BANK20_RULE(14);
	case LOGIN_FAILED:
		return when(recent_add(&c->failed, &c->last_failed, now, 5 * MINUTE_MS, 3), 10);
	case PASSWORD_CHANGED:
	case DEVICE_ADDED:
		c->last_change = now + 1; /* 0 = never */
		return 0;
	default:
		return 0;
	}
}

static inline void event_take(struct program *p, const struct frame_header *e)
{
	struct customer *c = &p->table[e->customer - 1];
	uint32_t held = rules_of_type(&p->pool, c, e, e->time / MS - START_MS);

	bool debit = BANK20_DEBITS >> e->type & 1;
	held |= when(debit & (e->balance < c->low), 2);
	held |= when(debit & (e->balance < 0) & (e->balance + e->amount >= 0), 9);
	held &= c->optin;
	if (held)
		messages_write(p, e, c, held);
	bank20_answers_add(&p->answers, held);
}

/* The lines that this event will touch. Always inlined, and so is the next: gcc 12 takes a function that only
 * prefetches for one without an effect, and leaves its calls out (measured: 100 ns an event instead of 72).
 */
static inline __attribute__((always_inline)) void event_prefetch(const struct program *p,
								 const struct frame_header *e)
{
	enum {
		SECOND = BANK20_BIT(CARD_DECLINED) | BANK20_BIT(LOGIN_FAILED) | BANK20_BIT(PASSWORD_CHANGED) |
			 BANK20_BIT(DEVICE_ADDED) | BANK20_BIT(TRANSFER_OUT),
		THIRD = BANK20_BIT(ATM_WITHDRAWAL) | BANK20_BIT(TRANSFER_IN) | BANK20_BIT(TRANSFER_OUT)
	};
	const char *c = (const char *)&p->table[e->customer - 1];

	__builtin_prefetch(c, 1);
	if (SECOND >> e->type & 1)
		__builtin_prefetch(c + 64, 1);
	if (THIRD >> e->type & 1)
		__builtin_prefetch(c + 128, 1);
}

static inline __attribute__((always_inline)) void entries_prefetch(const struct program *p,
								   const struct frame_header *e)
{
	const struct customer *c = &p->table[e->customer - 1];
	const struct sums *s;

	if (e->type == ATM_WITHDRAWAL)
		s = &c->withdrawals;
	else if (e->type == TRANSFER_IN || e->type == TRANSFER_OUT)
		s = &c->transfers;
	else
		return;
	__builtin_prefetch(&s->entry[s->first & (s->room - 1)], 1);
	__builtin_prefetch(&s->entry[(uint16_t)(s->first + s->count) & (s->room - 1)], 1);
}

/* frames[count + AHEAD) can be read. */
static __attribute__((noinline)) void events_take(struct program *p, const struct frame_header *frames,
						  uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		event_prefetch(p, &frames[i + AHEAD]);
		entries_prefetch(p, &frames[i + AHEAD_ENTRIES]);
		event_take(p, &frames[i]);
	}
}

/* ---- the run ---- */

static void table_make(struct program *p, const struct bank20 *b, uint64_t events)
{
	uint32_t customers = bank20_customers(b);
	const struct bank20_profile *from = bank20_profiles(b);

	p->table = map_big(customers * sizeof *p->table);
	for (uint32_t i = 0; i < customers; i++)
		p->table[i] = (struct customer){ .optin = from[i].optin | BANK20_CRITICAL,
						 .threshold = from[i].threshold,
						 .low = from[i].low,
						 .home = from[i].home,
						 .channel = from[i].channel,
						 .salary = from[i].salary };
	/* every ring once grown: at most twice ENTRIES_FIRST entries for each that was ever in one, or the
	 * first */
	p->pool.room = (size_t)events * 4 * sizeof(struct entry) +
		       (size_t)customers * 2 * ENTRIES_FIRST * sizeof(struct entry);
	p->pool.base = map_big(p->pool.room);
	p->out = map_big(OUT_BYTES);
	memset(p->out, 0, OUT_BYTES);
}

/* Blocks of frames: made, then taken; only the taking is timed. The last AHEAD frames of a block wait for the
 * next. */
static int64_t events_run(struct program *p, struct bank20 *b, struct bank20_judge *judge, uint64_t events,
			  struct bank20_answers *expected)
{
	struct frame_header *frame = map_big((BLOCK + AHEAD) * sizeof *frame);
	int64_t ns = 0;

	bank20_next(b, frame, AHEAD);
	for (uint64_t done = 0; done < events;) {
		uint32_t count = events - done < BLOCK ? (uint32_t)(events - done) : BLOCK;
		bank20_next(b, frame + AHEAD, count);
		int64_t start = pace_now();
		events_take(p, frame, count);
		ns += pace_now() - start;
		for (uint32_t i = 0; i < count && judge; i++)
			bank20_answers_add(expected, bank20_judge_event(judge, &frame[i]));
		memmove(frame, frame + count, AHEAD * sizeof *frame);
		done += count;
	}
	munmap(frame, (BLOCK + AHEAD) * sizeof *frame);
	return ns;
}

static int run(uint32_t customers, uint64_t events, bool check)
{
	struct program p = { 0 };
	struct bank20_answers expected = { 0 };
	struct bank20 *b = bank20_new(customers);
	struct bank20_judge *judge = b && check ? bank20_judge_new(bank20_profiles(b), customers) : NULL;

	if (!b || (check && !judge))
		return 1;
	table_make(&p, b, events);
	int64_t from = pace_now(), ns = events_run(&p, b, judge, events, &expected);
	const struct bank20_answers *known = bank20_known(customers, events);
	bool good = (!known || bank20_answers_equal(known, &p.answers)) &&
		    (!check || bank20_answers_equal(&expected, &p.answers));
	printf("{\"rate\": %.0f, \"ns_per_event\": %.2f, \"customers\": %u, \"message_bytes\": %llu, "
	       "\"from\": %lld, \"to\": "
	       "%lld, \"checked\": %s, ",
	       (double)events * 1e9 / (double)ns, (double)ns / (double)events, customers,
	       (unsigned long long)p.out_bytes, (long long)from, (long long)pace_now(),
	       check || known ? "true" : "false");
	bank20_answers_print(&p.answers);
	printf("}\n");
	if (!good)
		fprintf(stderr, "handwritten: counts or digest differ from the plain evaluation\n");
	bank20_judge_free(judge);
	bank20_free(b);
	return good ? 0 : 1;
}

static const struct option options_table[] = {
	{ "customers", required_argument, NULL, 'c' },
	{ "events", required_argument, NULL, 'e' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "check", no_argument, NULL, 'k' },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	uint32_t customers = 1000000;
	uint64_t events = 4000000;
	int letter, cpu = -1;
	bool check = false;

	while ((letter = getopt_long(argc, argv, "", options_table, NULL)) != -1)
		switch (letter) {
		case 'c':
			customers = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'e':
			events = strtoull(optarg, NULL, 10);
			break;
		case 'C':
			cpu = atoi(optarg);
			break;
		case 'k':
			check = true;
			break;
		default:
			optind = argc + 1;
		}
	if (optind != argc || customers < 1 || customers > BANK20_CUSTOMERS_MAX || events < 1) {
		fprintf(stderr, "usage: handwritten [--customers N] [--events N] [--cpu N] [--check]\n");
		return 2;
	}
	return pace_pin(cpu) ? 1 : run(customers, events, check);
}
