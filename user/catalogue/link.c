/*
 * link.c: what the sections together mean for an event type: the rules that listen on it, the
 * aggregates it feeds and needs, and what of it the pre-filter keeps.
 *
 * In: compiled sections; out: the lists and bits of cat_event and the interest table. Nothing can go wrong
 * here but memory. A type that is remembered is kept for everybody, one that only rules use as far as one of
 * them can need it (interest.c), one that nothing uses is dropped; unknown codes stay UNKNOWN. The table
 * follows from the files alone, so it is no part of the blob.
 */
#include "compile.h"
#include "interest.h"

#include <assert.h>
#include <string.h>

static void link_list(struct build *b, unsigned event, uint16_t first, uint16_t end, const uint16_t **list,
		      uint16_t *count)
{
	uint16_t *numbers, n = 0;

	for (uint16_t r = first; r < end; r++)
		n = (uint16_t)(n + event_set_has(&b->draft[r].events, event));
	numbers = build_array(b, uint16_t, n + 1);
	n = 0;
	for (uint16_t r = first; r < end; r++)
		if (event_set_has(&b->draft[r].events, event))
			numbers[n++] = r;
	*list = numbers;
	*count = n;
}

static void link_event(struct build *b, unsigned e)
{
	struct catalogue *c = b->c;
	struct cat_event *event = &b->event[e];

	link_list(b, e, 0, c->critical_first, &event->fraud, &event->fraud_count);
	link_list(b, e, c->critical_first, c->subscription_first, &event->critical, &event->critical_count);
	event->subscription_bits = build_array(b, uint64_t, c->subscription_words + 1);
	for (uint16_t r = 0; r < c->rule_count; r++) {
		const struct cat_rule *rule = &c->rules[r];
		if (!event_set_has(&b->draft[r].events, e))
			continue;
		event->reads |= rule->aggregates;
		if (b->draft[r].message >= 0)
			event->reads |= b->message_reads[b->draft[r].message];
		if (rule->section == SECTION_SUBSCRIPTION) {
			unsigned bit = r - c->subscription_first;
			event->subscription_bits[bit / 64] |= UINT64_C(1) << (bit % 64);
			event->subscription_count++;
		}
	}
}

/* An event that completes a pattern is judged by the pattern's rules too. */
static void link_pattern_reads(struct build *b)
{
	for (unsigned e = 0; e < b->type_count; e++)
		for (uint32_t left = b->event[e].completes; left; left &= left - 1)
			b->event[e].reads |= b->event[b->pattern[__builtin_ctz(left)].event].reads;
}

/* What remembers an event wants all of them; nothing else is looked at then. */
static bool event_feeds_memory(const struct cat_event *e)
{
	return e->history == HISTORY_FULL || e->feeds;
}

/* Joins what each rule needs into the types that it listens on: once per rule, it may listen on all. */
static void link_needs(struct build *b, struct interest_need *needs)
{
	for (uint16_t r = 0; r < b->c->rule_count; r++) {
		struct interest_need need;
		interest_rule_need(b->c, &b->c->rules[r], &need);
		for (unsigned e = 0; e < b->c->event_count; e++)
			if (event_set_has(&b->draft[r].events, e))
				interest_need_join(&needs[e], &need);
	}
}

static void link_interest(struct build *b)
{
	struct catalogue *c = b->c;
	struct interest_need *needs = build_scratch_array(b, struct interest_need, c->event_count + 1);
	struct interest_sets_used used = { 0 };

	c->interest = build_take(b, sizeof *c->interest);
	for (unsigned e = 0; e < c->event_count; e++)
		needs[e].action = event_feeds_memory(&b->event[e]) ? INTEREST_KEEP : INTEREST_DROP;
	link_needs(b, needs);
	for (unsigned e = 0; e < c->event_count; e++)
		if (b->event[e].code)
			c->interest->type[b->event[e].code] =
				interest_need_entry(&needs[e], &c->interest->sets, &used);
	assert(c->interest->type[0].action == INTEREST_UNKNOWN);
}

static void link_rule_names(struct build *b)
{
	uint16_t *sorted = build_array(b, uint16_t, b->rules.count + 1);

	for (uint32_t i = 0; i < b->rules.count; i++)
		sorted[i] = (uint16_t)b->rules.number[i];
	b->c->rules_by_name = sorted;
}

void links_compile(struct build *b)
{
	struct catalogue *c = b->c;

	c->subscription_words = (uint16_t)((c->rule_count - c->subscription_first + 63) / 64);
	for (unsigned e = 0; e < c->event_count; e++)
		link_event(b, e);
	link_pattern_reads(b);
	link_interest(b);
	link_rule_names(b);
	link_plan(b);
}
