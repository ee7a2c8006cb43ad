/*
 * check_side.c: one side of `moment replay --check-filter`: the journal with all its events, or without those
 * that the filter would drop.
 *
 * In: the newest base and the journal. Out: records (check_filter.h) in the order of positions. With all of
 * them, an event that would be dropped is applied in a call of its own: a rule that holds on it, and anything
 * that it leaves in the state, is said at once; its counts are moved to FILTERED. Without, it is skipped.
 *
 * Records of one core_apply call are collected and put in order, since a run gives its messages before its
 * outcomes. Memory is malloc's; without it the side gives up and says so.
 */
#include "check_filter.h"

#include <base/bytes.h>
#include <base/region.h>
#include <engine.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SUBSCRIBERS_MAX = 1 << 24 };

struct kept_record {
	struct check_record head;
	uint32_t order;
	char text[CHECK_TEXT_BYTES_MAX];
};

struct side {
	const struct check_filter_options *options;
	struct core *core;
	const struct catalogue *altered; /* the table of this one was given to `alter` */
	FILE *to;
	bool without;

	struct table subscribers; /* customers of every SUBSCRIBE so far, refused ones too */
	struct kept_record *records;
	uint32_t count, room;
	bool out_of_memory;

	/* the event that stands alone */
	const struct frame_header *alone; /* NULL: none */
	uint8_t alone_outcome;
	bool alone_remembered;
	struct ledger ledger;
	struct history_sizes sizes;
	int64_t now;
	struct ledger_rule *rules; /* [RULES_MAX] */

	uint64_t dropped_count, messages, verdicts;
	uint64_t *seen, *dropped; /* [INTEREST_TYPES] */
	char (*names)[NAME_BYTES_MAX + 1];
};

/* ---- records ---- */

static struct kept_record *record_add(struct side *s, enum check_what what, const struct frame_header *h,
				      uint64_t position)
{
	if (s->count == s->room) {
		uint32_t room = s->room ? s->room * 2 : 1024;
		struct kept_record *more = realloc(s->records, room * sizeof *more);
		if (!more) {
			s->out_of_memory = true;
			return NULL;
		}
		s->records = more;
		s->room = room;
	}
	struct kept_record *r = &s->records[s->count];
	memset(&r->head, 0, sizeof r->head);
	r->order = s->count++;
	r->head.what = (uint8_t)what;
	r->head.type = h->type;
	r->head.sequence = h->sequence;
	r->head.position = position;
	memcpy(r->head.type_name, s->names[h->type], sizeof r->head.type_name);
	return r;
}

__attribute__((format(printf, 2, 3))) static void record_text(struct kept_record *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(r->text, sizeof r->text, format, args);
	va_end(args);
	r->head.text_bytes = n < (int)sizeof r->text ? (uint32_t)n : sizeof r->text - 1;
}

static int by_place(const void *a, const void *b)
{
	const struct kept_record *x = a, *y = b;

	if (x->head.position != y->head.position)
		return x->head.position < y->head.position ? -1 : 1;
	if (x->head.what != y->head.what)
		return x->head.what < y->head.what ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void records_flush(void *ctx)
{
	struct side *s = ctx;

	if (s->count > 1)
		qsort(s->records, s->count, sizeof *s->records, by_place);
	for (uint32_t i = 0; i < s->count; i++) {
		fwrite(&s->records[i].head, sizeof s->records[i].head, 1, s->to);
		fwrite(s->records[i].text, s->records[i].head.text_bytes, 1, s->to);
	}
	s->count = 0;
}

/* ---- what comes out ---- */

static struct hash128 frame_hash(const char *frame, uint32_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(frame, bytes);

	return (struct hash128){ h.low64, h.high64 };
}

static struct pack_item body_item(const char *frame, uint32_t bytes, const char *key)
{
	struct pack_reader r;
	uint32_t len;

	pack_reader_init(&r, frame + FRAME_HEADER_BYTES, bytes - FRAME_HEADER_BYTES);
	for (uint32_t pairs = pack_read_map(&r); pairs > 0; pairs--) {
		const char *name = pack_read_key(&r, &len);
		if (!name)
			break;
		if (strlen(key) == len && memcmp(key, name, len) == 0)
			return pack_read(&r);
		pack_skip(&r);
	}
	return (struct pack_item){ .s = "", .bytes = 0 };
}

static void on_message(void *ctx, const char *frame, uint32_t bytes)
{
	struct side *s = ctx;
	const struct event *e = s->core->message_event;
	struct kept_record *r = record_add(s, CHECK_MESSAGE, e->header, e->position);
	struct pack_item rule = body_item(frame, bytes, "rule"), text = body_item(frame, bytes, "text"),
			 leg = body_item(frame, bytes, "leg");
	struct frame_header h;

	memcpy(&h, frame, sizeof h);
	s->messages++;
	if (!r)
		return;
	r->head.hash = frame_hash(frame, bytes);
	record_text(r, "a message of rule %.*s to customer %llu, leg %.*s: \"%.*s\"", (int)rule.bytes, rule.s,
		    (unsigned long long)h.customer, (int)leg.bytes, leg.s,
		    text.bytes < 120 ? (int)text.bytes : 120, text.s);
}

static void on_verdict(void *ctx, const struct event *event, const char *frame, uint32_t bytes)
{
	struct side *s = ctx;
	struct kept_record *r = record_add(s, CHECK_VERDICT, event->header, event->position);
	struct frame_header h;

	memcpy(&h, frame, sizeof h);
	s->verdicts++;
	if (!r)
		return;
	r->head.hash = frame_hash(frame, bytes);
	record_text(r, "the verdict %u with score %lld", h.type, (long long)h.amount);
}

static void on_event(void *ctx, const struct event *event)
{
	struct side *s = ctx;

	if (s->alone) {
		s->alone_outcome = event->outcome;
		s->alone_remembered = !event->unremembered;
		return;
	}
	struct kept_record *r = record_add(s, CHECK_OUTCOME, event->header, event->position);
	if (r)
		r->head.outcome = event->outcome;
}

/* ---- what the filter would do ---- */

static struct key128 subscriber_key(uint64_t customer)
{
	return (struct key128){ .low = customer };
}

/* As the frames and the rows before this position have it: exactly, not by hashed bits. */
static bool is_enrolled(struct side *s, uint64_t customer)
{
	uint32_t value;

	if (!customer)
		return false;
	return table_find(&s->subscribers, subscriber_key(customer), &value) ||
	       row_subscription_count(store_customer(s->core->store, customer)) > 0;
}

static bool somebody_enrolled(struct side *s, const struct frame_header *h)
{
	const struct row *account = h->account ? store_account(s->core->store, h->account) : NULL;
	uint32_t count = 0;
	const struct row_holder *holders = account ? row_holders(account, &count) : NULL;

	if (is_enrolled(s, h->customer))
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (is_enrolled(s, holders[i].customer))
			return true;
	return false;
}

static bool would_drop(struct side *s, const struct frame_header *h)
{
	const struct interest_table *t = s->core->catalogue->interest;

	if (h->flags)
		return false;
	enum filter_verdict verdict = interest_decide(&t->type[h->type], &t->sets, h);
	return verdict == FILTER_DROP || (verdict == FILTER_IF_ENROLLED && !somebody_enrolled(s, h));
}

/* A catalogue that has come into force since the last frame. */
static void table_take(struct side *s)
{
	struct catalogue *c = s->core->catalogue;

	if (!c || c == s->altered)
		return;
	s->altered = c;
	if (s->options->alter)
		s->options->alter(c->interest);
	for (unsigned i = 0; i < c->event_count; i++)
		if (c->events[i].pattern < 0)
			snprintf(s->names[c->events[i].code], sizeof *s->names, "%s", c->events[i].name);
}

static enum replay_take choose(void *ctx, const struct frame_header *h)
{
	struct side *s = ctx;

	table_take(s);
	if (h->kind == FRAME_SUBSCRIBE && !table_set(&s->subscribers, subscriber_key(h->customer), 0))
		s->out_of_memory = true;
	if (h->kind != FRAME_EVENT || !s->core->catalogue)
		return REPLAY_TAKE;
	s->seen[h->type]++;
	if (!would_drop(s, h))
		return REPLAY_TAKE;
	s->dropped[h->type]++;
	s->dropped_count++;
	if (!s->without)
		return REPLAY_ALONE;
	s->core->ledger->events_in++;
	s->core->ledger->events[EVENT_FILTERED]++;
	return REPLAY_SKIP;
}

/* ---- an event that would be dropped, and is there ---- */

/* Calls `each` for every rule that listens on the type. */
static void rules_of_type(struct side *s, uint16_t code, void (*each)(struct side *s, uint32_t rule))
{
	const struct catalogue *c = s->core->catalogue;
	int type = c->event_by_code[code];

	if (type < 0)
		return;
	const struct cat_event *e = &c->events[type];
	for (unsigned i = 0; i < e->fraud_count; i++)
		each(s, e->fraud[i]);
	for (unsigned i = 0; i < e->critical_count; i++)
		each(s, e->critical[i]);
	for (unsigned word = 0; word < c->subscription_words; word++)
		for (uint64_t left = e->subscription_bits[word]; left; left &= left - 1)
			each(s, c->subscription_first + word * 64 + (uint32_t)__builtin_ctzll(left));
}

static void rule_save(struct side *s, uint32_t rule)
{
	s->rules[rule] = s->core->by_rule[rule];
}

/* What the rule cost is the dropped event's; that it held stays, and is a difference. */
static void rule_give_back(struct side *s, uint32_t rule)
{
	struct ledger_rule *now = &s->core->by_rule[rule];
	const struct ledger_rule *before = &s->rules[rule];

	now->no_data = before->no_data;
	now->errors = before->errors;
}

static const char *trace_find(const struct side *s)
{
	struct history_sizes sizes;

	history_sizes(s->core->history, &sizes);
	if (sizes.counted != s->sizes.counted)
		return "its type feeds a window";
	if (sizes.refs != s->sizes.refs || sizes.refs_evicted != s->sizes.refs_evicted)
		return "its reference was remembered";
	if (memcmp(&sizes, &s->sizes, sizeof sizes) != 0)
		return "it changed the windows";
	if (s->core->now != s->now)
		return "it moved the event clock";
	return s->alone_remembered ? "the engine remembers it" : NULL;
}

static void alone_begin(struct side *s, const struct frame_header *h)
{
	s->alone = h;
	s->ledger = *s->core->ledger;
	s->now = s->core->now;
	history_sizes(s->core->history, &s->sizes);
	rules_of_type(s, h->type, rule_save);
}

static void rule_hit_say(struct side *s, uint32_t rule)
{
	const struct ledger_rule *now = &s->core->by_rule[rule];

	if (now->hits == s->rules[rule].hits)
		return;
	struct kept_record *r = record_add(s, CHECK_HIT, s->alone, s->core->next_position - 1);
	if (r)
		record_text(r, "rule %s holds on it", now->name);
}

static void alone_end(struct side *s, const struct frame_header *h)
{
	struct ledger *ledger = s->core->ledger;
	uint64_t position = s->core->next_position - 1;
	const char *trace = trace_find(s);

	rules_of_type(s, h->type, rule_hit_say);
	s->alone = NULL;
	if (trace) {
		struct kept_record *r = record_add(s, CHECK_TRACE, h, position);
		if (r)
			record_text(r, "%s", trace);
	}
	rules_of_type(s, h->type, rule_give_back);
	ledger->events[s->alone_outcome]--;
	ledger->events[EVENT_FILTERED]++;
	ledger->window_full = s->ledger.window_full;
	s->core->by_type[h->type]--;
	records_flush(s);
}

static void alone(void *ctx, const struct frame_header *h, bool done)
{
	if (done)
		alone_end(ctx, h);
	else
		alone_begin(ctx, h);
}

/* Records of an event that stands alone go out with what alone_end says. */
static void applied(void *ctx)
{
	struct side *s = ctx;

	if (!s->alone)
		records_flush(s);
}

/* ---- one side as a whole ---- */

static int each_batch(void *ctx, const struct journal_batch_header *header)
{
	struct side *s = ctx;

	(void)header;
	if (s->out_of_memory)
		snprintf(s->core->why, sizeof s->core->why, "out of memory");
	return s->out_of_memory ? -ENOMEM : ferror(s->to) ? -EPIPE : 0;
}

static int side_open(struct side *s, const char *base)
{
	struct core_options o = { .data = s->options->data, .store = base, .read_only = true };

	s->rules = calloc(RULES_MAX, sizeof *s->rules);
	s->seen = calloc(INTEREST_TYPES, sizeof *s->seen);
	s->dropped = calloc(INTEREST_TYPES, sizeof *s->dropped);
	s->names = calloc(INTEREST_TYPES, sizeof *s->names);
	if (!s->rules || !s->seen || !s->dropped || !s->names)
		return -ENOMEM;
	int rc = table_init(&s->subscribers, SUBSCRIBERS_MAX);
	if (!rc)
		rc = core_open(s->core, &o);
	s->core->ctx = s;
	s->core->on_event = on_event;
	s->core->on_message = on_message;
	s->core->on_verdict = on_verdict;
	s->core->outbox.recovering = false;
	return rc;
}

static uint32_t types_used(const struct side *s, uint32_t i)
{
	return s->seen[i] || s->dropped[i] || s->core->by_type[i];
}

static void end_write(struct side *s, const struct core_replay *replay)
{
	struct core *core = s->core;
	struct check_record head = { .what = CHECK_END, .position = UINT64_MAX };
	struct check_end end = { .batches = replay->batches,
				 .entries = replay->entries,
				 .events = replay->events,
				 .dropped = s->dropped_count,
				 .messages = s->messages,
				 .verdicts = s->verdicts,
				 .position = core->next_position - 1,
				 .outputs = core_outputs(core),
				 .history = history_digest(core->history),
				 .ledger = *core->ledger,
				 .rule_count = core->by_rule_count };

	if (core->catalogue)
		end.rows = store_digest(core->store, core->catalogue);
	for (uint32_t i = 0; i < INTEREST_TYPES; i++)
		end.type_count += types_used(s, i);
	fwrite(&head, sizeof head, 1, s->to);
	fwrite(&end, sizeof end, 1, s->to);
	fwrite(core->by_rule, sizeof *core->by_rule, end.rule_count, s->to);
	for (uint32_t i = 0; i < INTEREST_TYPES; i++) {
		struct check_type type = { .code = (uint16_t)i,
					   .seen = s->seen[i],
					   .dropped = s->dropped[i],
					   .kept = core->by_type[i] };
		memcpy(type.name, s->names[i], sizeof type.name);
		if (types_used(s, i))
			fwrite(&type, sizeof type, 1, s->to);
	}
}

static void failure_write(struct side *s, int rc)
{
	const char *why = s->core->why[0] ? s->core->why : strerror(-rc);
	struct check_record head = { .what = CHECK_FAILED, .text_bytes = (uint32_t)strlen(why) };

	head.position = s->core->next_position;
	fwrite(&head, sizeof head, 1, s->to);
	fwrite(why, head.text_bytes, 1, s->to);
}

void check_side_run(const struct check_filter_options *options, const char *base, bool without, FILE *to)
{
	struct core *core = calloc(1, sizeof *core);
	struct side s = { .options = options, .core = core, .to = to, .without = without };
	struct core_replay replay = { .chunk = options->chunk,
				      .each_batch = each_batch,
				      .choose = choose,
				      .alone = alone,
				      .applied = applied,
				      .ctx = &s };
	char journal[4200];

	if (!core)
		return; /* the other end sees a side that says nothing */
	snprintf(journal, sizeof journal, "%s/journal", options->data);
	int rc = side_open(&s, base);
	if (!rc)
		rc = core_replay(core, journal, &replay);
	if (rc)
		failure_write(&s, rc);
	else
		end_write(&s, &replay);
	fflush(to);
	core_close(core);
	table_deinit(&s.subscribers);
	free(s.rules);
	free(s.seen);
	free(s.dropped);
	free(s.names);
	free(s.records);
	free(core);
}
