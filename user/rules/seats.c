/*
 * seats.c: whose subscriptions hold at the rows of a group.
 *
 * In: what was found, and the group's plan, which says whether any subscription asks for its holder. Out:
 * units in the order of (row, holder, rule, id), each with what its condition came to. Only rows with
 * something found, or types with such a subscription, are looked at; the holders' rows that the events do not
 * bring along are fetched together. A subscription of the common form is known by its number alone; one with
 * accounts or parameters of its own is read.
 */
#include "work.h"

#include <assert.h>
#include <cel/program.h>
#include <string.h>

/* ---- seats ---- */

static void seat_add(struct rules_work *w, uint32_t at, uint64_t customer, enum holder_role role)
{
	const struct event *e = w->group.e[at];
	bool actor = customer == e->header->customer;

	assert(w->seat_count < SEATS_MAX);
	w->seats[w->seat_count++] = (struct seat){ .row = actor ? e->actor : NULL,
						   .customer = customer,
						   .at = (uint16_t)at,
						   .role = (uint8_t)role };
}

/* Holders in order (decisions 5). */
static void row_seats(struct rules_work *w, uint32_t at)
{
	const struct event *e = w->group.e[at];
	uint32_t count;

	if (!e->account) {
		if (e->header->customer && e->actor)
			seat_add(w, at, e->header->customer, ROLE_OWNER);
		return;
	}
	const struct row_holder *holders = row_holders(e->account, &count);
	for (uint32_t i = 0; i < count; i++)
		seat_add(w, at, holders[i].customer, (enum holder_role)holders[i].role);
}

static bool row_has_subscriptions(const struct rules_work *w, uint32_t row)
{
	uint32_t first = w->row_found[row], end = w->row_found[row + 1];

	return end > first && w->sorted[end - 1].rule >= w->c->subscription_first;
}

/* Is there a condition of a holder that is evaluated by seat? */
static bool row_asks_for_holders(const struct rules_work *w, uint32_t row)
{
	const struct group *g = &w->group;

	if (!g->counted[row] && !g->e[row]->staged)
		return false;
	return g->plan->holder_rest || (g->plan->holder && g->e[row]->account);
}

/* Is the rule's condition, which reads the holder, found like others: by the actor's profile? */
static bool by_actor(const struct rules_work *w, uint16_t rule, uint32_t row)
{
	return w->group.plan->actor && w->c->plan->rules[rule].actor && !w->group.e[row]->account;
}

/* Rows of holders who are not the actor, a batch at a time. */
static void seats_fetch(struct rules_work *w)
{
	const struct group *g = &w->group;
	uint64_t keys[ROWS_MAX];
	const struct row *rows[ROWS_MAX];
	uint32_t seat[ROWS_MAX], n = 0;

	for (uint32_t s = g->first_seat; s <= w->seat_count; s++) {
		if (n == ROWS_MAX || (s == w->seat_count && n)) {
			store_customers(w->store, keys, n, rows);
			for (uint32_t i = 0; i < n; i++)
				w->seats[seat[i]].row = rows[i];
			n = 0;
		}
		if (s == w->seat_count || w->seats[s].row)
			continue;
		if (w->seats[s].customer == g->e[w->seats[s].at]->header->customer)
			continue; /* the actor has none */
		seat[n] = s;
		keys[n++] = w->seats[s].customer;
	}
}

/* ---- units ---- */

static bool for_whom_allows(const struct cat_rule *rule, enum holder_role role, bool own)
{
	bool all = rule->for_whom == FOR_ALL;

	if (rule->for_whom == FOR_DEFAULT)
		all = role == ROLE_OWNER || role == ROLE_CO_OWNER || role == ROLE_GUARDIAN;
	return all || own;
}

static void unit_read(struct rules_work *w, const struct row *row, uint32_t place)
{
	struct row_cursor cursor;

	row_subscription_at(w->store, w->c, row, place, &cursor);
	row_subscription_read(&cursor, &w->subscription);
}

static bool accounts_allow(struct rules_work *w, const struct seat *seat, uint32_t place, uint64_t account)
{
	const struct row_subscription *s = &w->subscription;

	unit_read(w, seat->row, place);
	for (unsigned i = 0; i < s->account_count; i++)
		if (s->accounts[i] == account)
			return true;
	return s->account_count == 0;
}

static void unit_add(struct rules_work *w, uint32_t seat, uint16_t number, uint32_t place, uint8_t flags,
		     const struct found *found)
{
	const struct seat *s = &w->seats[seat];
	const struct cat_rule *rule = &w->c->rules[number];
	const struct frame_header *h = w->group.e[s->at]->header;

	if (!for_whom_allows(rule, (enum holder_role)s->role, s->customer == h->customer))
		return;
	if (!(flags & KIND_PLAIN) && !accounts_allow(w, s, place, h->account))
		return;
	struct unit unit = { .seat = seat, .rule = number, .place = (uint8_t)place, .flags = flags };
	if (found) {
		unit.status = found->status;
		unit.holds = !found->status;
	} else {
		if (!group_listens(w, rule, s->at))
			return;
		unit.waits = true;
		by_rule_count(&w->by_rule, number);
	}
	assert(w->unit_count < UNITS_MAX);
	w->units[w->unit_count++] = unit;
}

/* Subscriptions to what was found at the seat's row: both lists ascend. */
static void seat_found_units(struct rules_work *w, uint32_t seat, const struct row_kinds *kinds)
{
	uint16_t row = w->seats[seat].at;
	const struct found *at = &w->sorted[w->row_found[row]], *end = &w->sorted[w->row_found[row + 1]];

	for (uint32_t i = 0; i < kinds->count && at < end; i++) {
		uint16_t rule = kinds->rules[i];
		while (at->rule < rule)
			if (++at == end)
				return;
		if (at->rule == rule && (kinds->flags[i] & KIND_ON))
			unit_add(w, seat, rule, i, kinds->flags[i], at);
	}
}

/* The same with those whose condition asks for the holder, which wait to be evaluated. */
static void seat_all_units(struct rules_work *w, uint32_t seat, const struct row_kinds *kinds)
{
	const struct seat *s = &w->seats[seat];
	const struct found *at = &w->sorted[w->row_found[s->at]], *end = &w->sorted[w->row_found[s->at + 1]];
	const uint64_t *holder_bits = w->group.plan->holder_bits;

	for (uint32_t i = 0; i < kinds->count; i++) {
		uint16_t rule = kinds->rules[i];
		uint32_t bit = (uint32_t)rule - w->c->subscription_first;
		if (!(kinds->flags[i] & KIND_ON))
			continue;
		while (at < end && at->rule < rule)
			at++;
		if ((holder_bits[bit / 64] >> bit % 64 & 1) && !by_actor(w, rule, s->at))
			unit_add(w, seat, rule, i, kinds->flags[i], NULL);
		else if (at < end && at->rule == rule)
			unit_add(w, seat, rule, i, kinds->flags[i], at);
	}
}

static void seat_units(struct rules_work *w, uint32_t seat)
{
	const struct seat *s = &w->seats[seat];
	struct row_kinds kinds;

	row_kinds(w->store, w->c, s->row, &w->kinds_room, &kinds);
	if (row_asks_for_holders(w, s->at))
		seat_all_units(w, seat, &kinds);
	else
		seat_found_units(w, seat, &kinds);
}

/* ---- conditions that ask for the holder ---- */

void me_fill(struct value me[ME_COUNT], uint64_t customer, enum holder_role role)
{
	const char *name = holder_role_names[role];

	me[ME_CUSTOMER] = (struct value){ .type = TYPE_INT, .i = (int64_t)customer };
	me[ME_ROLE] = (struct value){ .type = TYPE_STRING, .s = name, .bytes = (uint32_t)strlen(name) };
}

static struct value param_value(struct rules_work *w, const struct unit *u, uint16_t index)
{
	if (u->flags & KIND_PLAIN)
		return w->c->rules[u->rule].params[index].initial;
	unit_read(w, w->seats[u->seat].row, u->place);
	return w->subscription.params[index];
}

static struct value holder_value(struct rules_work *w, const struct unit *u, uint8_t space, uint16_t index)
{
	const struct seat *s = &w->seats[u->seat];

	if (space == SPACE_PARAM)
		return param_value(w, u, index);
	if (space == SPACE_PROFILE)
		return row_attribute(w->store, w->c, s->row, index);
	me_fill(w->me, s->customer, (enum holder_role)s->role);
	return w->me[index];
}

static void holder_column(struct rules_work *w, const uint32_t *units, uint32_t n,
			  const struct cel_instruction *load, struct column_room *to)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct value v = holder_value(w, &w->units[units[i]], (uint8_t)load->a, load->b);
		column_set(to, i, &v);
		any |= to->status[i];
	}
	to->column = (struct cel_column){ to->bits, any ? to->status : NULL, to->bytes, to->currency };
}

static struct outcome units_interpret(struct rules_work *w, const struct cat_rule *rule,
				      const uint32_t *units, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct unit *u = &w->units[units[i]];
		const struct seat *s = &w->seats[u->seat];
		struct cel_env env = work_env(w, w->group.e[s->at], s->row);
		me_fill(w->me, s->customer, (enum holder_role)s->role);
		unit_read(w, s->row, u->place);
		env.space[SPACE_ME] = w->me;
		env.space[SPACE_PARAM] = w->subscription.params;
		struct value v = cel_eval(&rule->when, &env);
		w->one_bits[i] = v.i;
		w->one_status[i] = column_status((enum value_status)v.status, v.bytes);
	}
	w->interpreted += n;
	return (struct outcome){ w->one_bits, w->one_status };
}

static struct outcome units_evaluate(struct rules_work *w, uint16_t number, const uint32_t *units, uint32_t n)
{
	const struct cat_rule *rule = &w->c->rules[number];
	const struct cel_instruction *load = rule->when.code;
	struct cel_column loads[LOADS_MAX];
	uint16_t rows[ROWS_MAX];

	if (!w->c->plan->rules[number].columns)
		return units_interpret(w, rule, units, n);
	for (uint32_t i = 0; i < n; i++)
		rows[i] = w->seats[w->units[units[i]].seat].at;
	for (unsigned k = 0; k < rule->when.instructions && load->op == OP_LOAD; k++, load++) {
		if (load->a == SPACE_PROFILE || load->a == SPACE_ME || load->a == SPACE_PARAM)
			holder_column(w, units, n, load, &w->sub[k]);
		else
			column_take(group_column(w, (uint8_t)load->a, load->b, load->flags), rows, n,
				    &w->sub[k]);
		loads[k] = w->sub[k].column;
	}
	for (uint32_t i = 0; w->c->plan->rules[number].zone && i < n; i++)
		w->zones[i] = work_zone(w, w->seats[w->units[units[i]].seat].row);
	const uint16_t *currency = w->c->plan->rules[number].money ? group_currency(w) : NULL;
	for (uint32_t i = 0; currency && i < n; i++)
		w->sub_currency[i] = currency[rows[i]];
	w->columns.event_currency = w->sub_currency;
	struct cel_column result = cel_columns_eval(&w->columns, &rule->when, loads, n);
	return (struct outcome){ result.bits, result.status };
}

static void units_decide(struct rules_work *w, uint16_t rule, const uint32_t *units, uint32_t count)
{
	for (uint32_t at = 0, n; at < count; at += n) {
		n = count - at < ROWS_MAX ? count - at : ROWS_MAX;
		struct outcome o = units_evaluate(w, rule, units + at, n);
		for (uint32_t i = 0; i < n; i++) {
			struct unit *u = &w->units[units[at + i]];
			u->status = o.status ? o.status[i] : 0;
			u->holds = !u->status && o.bits[i];
		}
	}
}

/* Gathers the units that wait by rule, and decides them. */
static void waiting_decide(struct rules_work *w)
{
	struct by_rule *b = &w->by_rule;

	by_rule_lay_out(b);
	for (uint32_t u = w->group.first_unit; u < w->unit_count; u++)
		if (w->units[u].waits)
			w->places[by_rule_place(b, w->units[u].rule)] = u;
	for (uint32_t t = 0; t < b->touched_count; t++) {
		uint16_t rule = b->touched[t];
		units_decide(w, rule, &w->places[b->first[rule] - b->count[rule]], b->count[rule]);
	}
	by_rule_clear(b);
}

void group_seats(struct rules_work *w)
{
	const struct group *g = &w->group;

	if (g->type->subscription_count == 0)
		return;
	for (uint32_t row = 0; row < g->count; row++)
		if (row_has_subscriptions(w, row) || row_asks_for_holders(w, row))
			row_seats(w, row);
	seats_fetch(w);
	for (uint32_t s = g->first_seat; s < w->seat_count; s++)
		if (w->seats[s].row)
			seat_units(w, s);
	waiting_decide(w);
}
