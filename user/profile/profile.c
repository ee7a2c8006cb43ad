/*
 * profile.c: the profile stage. Per event, in journal order: rows of actor and account, the body, money in
 * the bank's currency, then history_apply, which moves windows and references and says what the event is. The
 * values land in columns of this stage's own, sized at start for a full batch; nothing is allocated here.
 *
 * The order of judgement is docs/decisions.md line 18. How to read on: history.h for windows, store.h for
 * rows.
 */
#include "profile.h"

#include "body.h"

#include <assert.h>
#include <catalogue/env.h>
#include <string.h>

enum { SCRATCH_BYTES = 64 << 10 };
static const int64_t FUTURE_NS_MAX = INT64_C(300) * 1000000000;

int profile_init(struct profile_columns *columns)
{
	size_t rows = BATCH_ENTRIES_MAX;

	*columns = (struct profile_columns){ 0 };
	int rc = region_init(&columns->region,
			     (sizeof *columns->reserved + sizeof *columns->fields) * rows +
				     sizeof(struct value) * (rows * (BODY_FIELDS_MAX + AGGREGATE_VALUES_MAX) +
							     ATTRIBUTES_MAX) +
				     SCRATCH_BYTES + 4096);
	if (rc)
		return rc;
	columns->reserved = region_take(&columns->region, sizeof *columns->reserved * rows);
	columns->fields = region_take(&columns->region, sizeof *columns->fields * rows);
	columns->body_fields = region_take(&columns->region, sizeof(struct value) * rows * BODY_FIELDS_MAX);
	columns->aggregates =
		region_take(&columns->region, sizeof(struct value) * rows * AGGREGATE_VALUES_MAX);
	columns->actor = region_take(&columns->region, sizeof(struct value) * ATTRIBUTES_MAX);
	columns->scratch = region_take(&columns->region, SCRATCH_BYTES);
	assert(columns->scratch);
	return 0;
}

void profile_deinit(struct profile_columns *columns)
{
	region_deinit(&columns->region);
}

static void actor_fill(struct value *out, const struct store *store, const struct catalogue *c,
		       const struct row *row)
{
	if (row) {
		row_profile(store, c, row, out);
		return;
	}
	for (unsigned i = 0; i < c->attribute_count; i++)
		out[i] = (struct value){ .type = (uint8_t)c->attributes[i].type, .status = VALUE_NO_DATA };
}

static bool row_known(const struct row *row)
{
	return row && !(row->flags & ROW_PROVISIONAL);
}

/* What the catalogue says of each type, looked up once a catalogue. */
static void plans_make(struct profile_columns *columns, const struct catalogue *c)
{
	for (unsigned t = 0; t < c->event_count; t++) {
		struct profile_plan *plan = &columns->plans[t];
		*plan = (struct profile_plan){ 0 };
		for (uint64_t left = c->events[t].feeds; left; left &= left - 1) {
			const struct cat_aggregate *a = &c->aggregates[__builtin_ctzll(left)];
			plan->where |= a->has_where;
			plan->where_profile |= a->has_where && (a->where.spaces & 1u << SPACE_PROFILE);
		}
		uint8_t action = c->events[t].pattern < 0 ? c->interest->type[c->events[t].code].action
							  : INTEREST_DROP;
		plan->kept = action != INTEREST_DROP && action != INTEREST_KEEP_IF;
	}
	columns->planned = c->hash;
}

/* int, in the bank's currency */
static struct value event_base(const struct catalogue *c, const struct event *e)
{
	if (e->header->currency == c->rates.bank)
		return (struct value){ .type = TYPE_INT, .i = e->header->amount };
	return event_field(c, e, FIELD_base);
}

/* Local times of windows are the actor's, also those of an account (catalogue.h). */
static const struct zone *actor_zone(const struct store *store, const struct catalogue *c,
				     const struct row *actor)
{
	if (c->attribute_zone < 0 || !row_known(actor))
		return &c->zone;
	struct value name = row_attribute(store, c, actor, (uint16_t)c->attribute_zone);
	return catalogue_zone(c, &name);
}

static void event_remember(struct profile_columns *columns, const struct store *store,
			   struct history *history, const struct catalogue *c, struct event *e,
			   const struct event_reserved *body, struct value *aggregates)
{
	const struct frame_header *h = e->header;
	struct history_event he = {
		.type = e->type,
		.time = h->time,
		.now = e->now,
		.amount = h->amount,
		.balance = h->balance,
		.base = event_base(c, e),
		.customer = h->customer,
		.account = h->account,
		.currency = h->currency,
		.country = h->country,
		.mcc = h->mcc,
		.touchpoint = h->touchpoint,
		.stage = (enum event_stage)body->stage,
		.reversal = (h->flags & FRAME_REVERSAL) != 0,
		.provisional = e->provisional,
		.unremembered = e->unremembered,
		.event_clock = columns->event_clock,
		.card = body->card,
		.ref = body->ref,
		.of = body->of,
		.card_bytes = body->card_bytes,
		.ref_bytes = body->ref_bytes,
		.of_bytes = body->of_bytes,
	};
	const struct profile_plan *plan = &columns->plans[e->type - c->events];
	struct cel_env env = { 0 };
	struct history_result result;

	env.space[SPACE_BODY] = e->body_fields;
	if (plan->where)
		env = event_env(c, e, columns->scratch, SCRATCH_BYTES);
	if (plan->where_profile)
		actor_fill(columns->actor, store, c, row_known(e->actor) ? e->actor : NULL);
	env.space[SPACE_PROFILE] = columns->actor;
	env.zone = c->zone_count ? actor_zone(store, c, e->actor) : &c->zone;
	history_apply(history, c, &he, &env, aggregates, &result);
	e->outcome = (uint8_t)result.outcome;
	e->fraud = result.fraud;
	e->counted = result.counted;
	e->staged = result.staged;
	e->patterns = result.patterns;
	columns->window_full += result.window_full;
}

/* Did somebody whom the event concerns ever subscribe? A subset of what any map of the enrolled has. */
static bool somebody_subscribed(struct store *store, const struct row *actor, const struct row *account)
{
	uint32_t count = 0;
	const struct row_holder *holders = account ? row_holders(account, &count) : NULL;

	if (row_subscription_count(actor))
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (row_subscription_count(store_customer(store, holders[i].customer)))
			return true;
	return false;
}

bool profile_event_remembered(struct store *store, const struct catalogue *c, const struct frame_header *h,
			      const struct row *actor, const struct row *account)
{
	enum filter_verdict verdict =
		h->flags ? FILTER_KEEP : interest_decide(&c->interest->type[h->type], &c->interest->sets, h);

	if (verdict == FILTER_IF_ENROLLED)
		return somebody_subscribed(store, actor, account);
	return verdict == FILTER_KEEP;
}

/* Who and what the event is; its columns are this row's. */
static void event_begin(struct profile_columns *columns, const struct catalogue *c,
			const struct batch_entry *entry, struct event *e, uint32_t row)
{
	const struct frame_header *h = entry->data;
	int type = c->event_by_code[h->type];

	*e = (struct event){
		.header = h,
		.body = (const uint8_t *)entry->data + FRAME_HEADER_BYTES,
		.body_bytes = entry->bytes - FRAME_HEADER_BYTES,
		.source = entry->source,
		.position = entry->position,
		.now = entry->now,
		.type = type >= 0 ? &c->events[type] : NULL,
		.reserved = &columns->reserved[row],
		.fields = &columns->fields[row],
		.body_fields = columns->body_fields + (size_t)row * c->field_count,
		.aggregates = columns->aggregates + (size_t)row * c->agg_value_count,
	};
	columns->fields[row].filled = false;
}

static void event_fill(struct profile_columns *columns, struct store *store, struct history *history,
		       const struct catalogue *c, struct event *e, uint32_t row)
{
	struct event_reserved *reserved = &columns->reserved[row];
	const struct frame_header *h = e->header;

	e->actor = columns->actors[row];
	e->account = columns->accounts[row];
	e->provisional = !row_known(e->actor);
	if (!e->type || !columns->plans[e->type - c->events].kept)
		e->unremembered = !profile_event_remembered(store, c, h, e->actor, e->account);
	const char *error = body_read(c, e->type, h, e->body, e->body_bytes, reserved,
				      columns->body_fields + (size_t)row * c->field_count);
	e->stage = reserved->stage;
	if (error || ((h->flags & FRAME_REVERSAL) && !reserved->of))
		e->outcome = EVENT_BAD_BODY;
	else if (!e->type)
		e->outcome = EVENT_UNKNOWN_TYPE;
	else if (!columns->event_clock && h->time - FUTURE_NS_MAX > e->now)
		e->outcome = EVENT_FROM_THE_FUTURE;
	else
		event_remember(columns, store, history, c, e, reserved,
			       columns->aggregates + (size_t)row * c->agg_value_count);
	assert(e->outcome != EVENT_NONE && e->outcome < EVENT_OUTCOME_COUNT);
}

/* The cells of an event further on. */
static void cells_expect(struct history *history, const struct profile_columns *columns, uint32_t count,
			 uint32_t at)
{
	if (at < count)
		history_expect(history, columns->customer_keys[at], columns->account_keys[at]);
	else
		history_expect(history, 0, 0);
}

void profile_run(struct profile_columns *columns, struct store *store, struct history *history,
		 const struct catalogue *c, const struct batch_entry *entries, uint32_t count,
		 struct event *events)
{
	assert(count <= BATCH_ENTRIES_MAX);
	if (columns->planned.low != c->hash.low || columns->planned.high != c->hash.high)
		plans_make(columns, c);
	for (uint32_t i = 0; i < count; i++) {
		event_begin(columns, c, &entries[i], &events[i], i);
		columns->customer_keys[i] = events[i].header->customer;
		columns->account_keys[i] = events[i].header->account;
	}
	for (uint32_t i = 0; i < HISTORY_AHEAD; i++)
		cells_expect(history, columns, count, i);
	store_customers(store, columns->customer_keys, count, columns->actors);
	store_accounts(store, columns->account_keys, count, columns->accounts);
	for (uint32_t i = 0; i < count; i++) {
		cells_expect(history, columns, count, i + HISTORY_AHEAD);
		event_fill(columns, store, history, c, &events[i], i);
	}
}
