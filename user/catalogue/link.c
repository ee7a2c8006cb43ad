/*
 * link.c: what the sections together mean for an event type: the rules that listen on it, the
 * aggregates it feeds and needs, and whether the pre-filter keeps it.
 *
 * In: compiled sections; out: the lists and bits of cat_event and the interest table. Nothing can go wrong
 * here but memory. The table says KEEP for whatever can be used by anything; unknown codes stay UNKNOWN.
 */
#include "compile.h"

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

static bool event_wanted(const struct cat_event *e)
{
	return e->history == HISTORY_FULL || e->feeds || e->fraud_count || e->critical_count ||
	       e->subscription_count;
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
	c->interest = build_take(b, sizeof *c->interest);
	for (unsigned e = 0; e < c->event_count; e++) {
		link_event(b, e);
		if (b->event[e].code)
			c->interest->type[b->event[e].code].action =
				event_wanted(&b->event[e]) ? INTEREST_KEEP : INTEREST_DROP;
	}
	assert(c->interest->type[0].action == INTEREST_UNKNOWN);
	link_rule_names(b);
}
