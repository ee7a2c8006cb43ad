/*
 * interest.c: what the pre-filter must keep for a rule, for all rules of a type, for two catalogues at once.
 *
 * In: compiled conditions, or tables. Out: needs, entries, a table. The need of a rule is found by running
 * its program over needs in place of values: a header field that is compared with a constant of the catalogue
 * gives the headers for which that is not false; && leaves those of both sides, || those of either; anything
 * else may hold for all. So a header outside of the result makes the whole condition false, whatever the rest
 * of it comes to (docs/decisions.md 1). Everything is on the stack; what does not fit there is kept.
 *
 * Read interest_rule_need first, then interest_table_widen.
 */
#include "interest.h"

#include <assert.h>
#include <cel/program.h>
#include <string.h>

enum { COUNTRY_WORDS = INTEREST_COUNTRIES / 64, MCC_WORDS = INTEREST_MCCS / 64 };

/* --- needs --- */

static void need_all(struct interest_need *need)
{
	need->action = INTEREST_KEEP;
	need->conditions = 0;
}

static void need_drop_condition(struct interest_need *need, unsigned condition)
{
	need->conditions &= (uint8_t)~condition;
	if (need->action == INTEREST_KEEP_IF && !need->conditions)
		need->action = INTEREST_KEEP;
}

void interest_need_join(struct interest_need *into, const struct interest_need *other)
{
	if (into->action == INTEREST_KEEP || other->action == INTEREST_DROP)
		return;
	if (into->action == INTEREST_DROP || other->action == INTEREST_KEEP) {
		*into = *other;
		return;
	}
	need_drop_condition(into, ~(unsigned)other->conditions);
	if (into->currency != other->currency)
		need_drop_condition(into, INTEREST_IF_AMOUNT);
	if (other->amount_min < into->amount_min)
		into->amount_min = other->amount_min;
	into->touchpoints |= other->touchpoints;
	for (unsigned i = 0; (into->conditions & INTEREST_IF_COUNTRY) && i < COUNTRY_WORDS; i++)
		into->country[i] |= other->country[i];
	for (unsigned i = 0; (into->conditions & INTEREST_IF_MCC) && i < MCC_WORDS; i++)
		into->mcc[i] |= other->mcc[i];
}

/* There is room for one amount: of two currencies, the one that holds for all, else the first. */
static void meet_amount(struct interest_need *into, const struct interest_need *other)
{
	bool has = into->conditions & INTEREST_IF_AMOUNT;

	if (!has || (into->currency != other->currency && other->currency == 0)) {
		into->currency = other->currency;
		into->amount_min = other->amount_min;
	} else if (into->currency == other->currency && into->amount_min < other->amount_min) {
		into->amount_min = other->amount_min;
	}
}

static void meet_words(uint64_t *into, const uint64_t *other, unsigned words, bool has)
{
	for (unsigned i = 0; i < words; i++)
		into[i] = has ? into[i] & other[i] : other[i];
}

void interest_need_meet(struct interest_need *into, const struct interest_need *other)
{
	if (into->action == INTEREST_DROP || other->action == INTEREST_KEEP)
		return;
	if (into->action == INTEREST_KEEP || other->action == INTEREST_DROP) {
		*into = *other;
		return;
	}
	if (other->conditions & INTEREST_IF_AMOUNT)
		meet_amount(into, other);
	if (other->conditions & INTEREST_IF_TOUCHPOINT)
		into->touchpoints = into->conditions & INTEREST_IF_TOUCHPOINT
					    ? into->touchpoints & other->touchpoints
					    : other->touchpoints;
	if (other->conditions & INTEREST_IF_COUNTRY)
		meet_words(into->country, other->country, COUNTRY_WORDS,
			   into->conditions & INTEREST_IF_COUNTRY);
	if (other->conditions & INTEREST_IF_MCC)
		meet_words(into->mcc, other->mcc, MCC_WORDS, into->conditions & INTEREST_IF_MCC);
	into->conditions |= other->conditions;
}

/* --- a program, run over needs --- */

enum { NEED_REGISTERS_MAX = 64 }; /* a condition that takes more is not looked into */

enum term_kind { TERM_ANY, TERM_CONSTANT, TERM_FIELD, TERM_PARAM, TERM_NEED };

struct term { /* what is known of a register */
	enum term_kind kind;
	uint16_t index; /* FIELD: enum event_field; PARAM: of the rule's params */
	const struct value *constant;
	struct interest_need need;
};

struct machine {
	const struct catalogue *c;
	const struct cat_rule *rule;
	struct term registers[NEED_REGISTERS_MAX];
};

static void load_term(const struct cel_instruction *load, struct term *out)
{
	bool field = load->a == SPACE_EVENT && (load->b == FIELD_amount || load->b == FIELD_country ||
						load->b == FIELD_mcc || load->b == FIELD_touchpoint);

	out->kind = field ? TERM_FIELD : load->a == SPACE_PARAM ? TERM_PARAM : TERM_ANY;
	out->index = load->b;
}

/* The least that an amount is compared with. */
struct bound {
	int64_t minor;
	uint16_t currency; /* 0: as it stands */
};

/*
 * A parameter is never below its declared min: SUBSCRIBE refuses it, and a stored one sleeps (row.c,
 * row_param_allowed). One in another currency than min's is held against it through base, where rounding can
 * make a smaller amount equal; it can never make it more. So >= needs the bank's own currency, in which
 * nothing is rounded, and > does not.
 */
static bool param_bound(const struct machine *m, const struct cat_param *p, bool money, bool strict,
			struct bound *out)
{
	if (!p->has_min || p->type != (money ? TYPE_MONEY : TYPE_INT))
		return false;
	if (money && !strict && p->min.currency != m->c->rates.bank)
		return false;
	*out = (struct bound){ p->min.i, money ? p->min.currency : 0 };
	return true;
}

static bool term_bound(const struct machine *m, const struct term *t, bool money, bool strict,
		       struct bound *out)
{
	if (t->kind == TERM_PARAM)
		return param_bound(m, &m->rule->params[t->index], money, strict, out);
	if (t->kind != TERM_CONSTANT || t->constant->status != VALUE_OK)
		return false;
	*out = (struct bound){ t->constant->i, money ? t->constant->currency : 0 };
	return true;
}

/* event.amount > bound, or >= and == when not strict. The header's amount always has a value. */
static void amount_need(struct bound bound, bool strict, struct interest_need *out)
{
	if (strict && bound.minor < INT64_MAX)
		bound.minor++;
	if (bound.minor <= 0)
		return;
	out->action = INTEREST_KEEP_IF;
	out->conditions = INTEREST_IF_AMOUNT;
	out->amount_min = bound.minor;
	out->currency = bound.currency;
}

static void code_set(uint64_t *set, unsigned words, int64_t code)
{
	memset(set, 0, words * sizeof *set);
	if (code > 0 && code < (int64_t)words * 64)
		set[code / 64] |= UINT64_C(1) << (code % 64);
}

/* A code that no header has leaves the set empty: false wherever the field has data. */
static void code_need(enum event_field field, int64_t code, struct interest_need *out)
{
	out->action = INTEREST_KEEP_IF;
	if (field == FIELD_country) {
		out->conditions = INTEREST_IF_COUNTRY;
		code_set(out->country, COUNTRY_WORDS, code);
	} else if (field == FIELD_mcc) {
		out->conditions = INTEREST_IF_MCC;
		code_set(out->mcc, MCC_WORDS, code);
	} else {
		out->conditions = INTEREST_IF_TOUCHPOINT;
		out->touchpoints = (uint16_t)(code > 0 && code < 16 ? 1u << code : 0);
	}
}

/* a == b, a < b, a <= b: what is asked of the field on the right, or for == on either side. */
static void compare_need(const struct machine *m, enum cel_op op, const struct term *a, const struct term *b,
			 struct interest_need *out)
{
	bool money = op == OP_MONEY_EQ || op == OP_MONEY_LT || op == OP_MONEY_LE;
	bool equal = op == OP_INT_EQ || op == OP_MONEY_EQ;
	bool strict = op == OP_INT_LT || op == OP_MONEY_LT;
	const struct term *field = b, *other = a;
	struct bound bound;

	need_all(out);
	if (equal && b->kind != TERM_FIELD) {
		field = a;
		other = b;
	}
	if (field->kind != TERM_FIELD)
		return;
	if (field->index != FIELD_amount) {
		if (equal && other->kind == TERM_CONSTANT && other->constant->status == VALUE_OK)
			code_need((enum event_field)field->index, other->constant->i, out);
	} else if (term_bound(m, other, money, strict, &bound)) {
		amount_need(bound, strict, out);
	}
}

/* a in a constant list: as == of each, joined by ||. */
static void search_need(const struct machine *m, const struct term *a, const struct term *b,
			struct interest_need *out)
{
	out->action = INTEREST_DROP;
	for (uint32_t i = 0; i < b->constant->bytes; i++) {
		const struct term element = { .kind = TERM_CONSTANT, .constant = &b->constant->list[i] };
		struct interest_need one;
		compare_need(m, OP_INT_EQ, a, &element, &one);
		interest_need_join(out, &one);
	}
}

/* What a register that is a condition needs. */
static void term_need(const struct term *t, struct interest_need *out)
{
	need_all(out);
	if (t->kind == TERM_NEED)
		*out = t->need;
	else if (t->kind == TERM_CONSTANT && t->constant->status == VALUE_OK && !t->constant->i)
		out->action = INTEREST_DROP;
}

static void logic_need(enum cel_op op, const struct term *a, const struct term *b, struct interest_need *out)
{
	struct interest_need right;

	term_need(a, out);
	term_need(b, &right);
	if (op == OP_AND)
		interest_need_meet(out, &right);
	else
		interest_need_join(out, &right);
}

static void step(struct machine *m, enum cel_op op, const struct term *a, const struct term *b,
		 struct term *out)
{
	out->kind = TERM_NEED;
	switch (op) {
	case OP_MOVE:
		*out = *a;
		break;
	case OP_MONEY_OF_EVENT: /* of a field, the field again: the comparison says that it is money */
		out->kind = a->kind == TERM_FIELD ? TERM_FIELD : TERM_ANY;
		out->index = a->index;
		break;
	case OP_AND:
	case OP_OR:
		logic_need(op, a, b, &out->need);
		break;
	case OP_INT_EQ:
	case OP_INT_LT:
	case OP_INT_LE:
	case OP_MONEY_EQ:
	case OP_MONEY_LT:
	case OP_MONEY_LE:
		compare_need(m, op, a, b, &out->need);
		break;
	case OP_INT_IN:
		search_need(m, a, b, &out->need);
		break;
	default:
		out->kind = TERM_ANY;
	}
}

static const struct term *operand(const struct machine *m, const struct cel_instruction *at, uint8_t flag,
				  uint16_t index, struct term *constant)
{
	if (!(at->flags & flag))
		return &m->registers[index];
	constant->kind = TERM_CONSTANT;
	constant->constant = &m->rule->when.constants[index];
	return constant;
}

static void program_need(struct machine *m, struct interest_need *out)
{
	const struct cel_program *when = &m->rule->when;
	struct term a, b, result;

	for (unsigned i = 0; i < when->instructions; i++) {
		const struct cel_instruction *at = &when->code[i];
		assert(at->dst < NEED_REGISTERS_MAX);
		if (at->op == OP_LOAD) {
			load_term(at, &m->registers[at->dst]);
			continue;
		}
		step(m, (enum cel_op)at->op, operand(m, at, OPERAND_A_CONSTANT, at->a, &a),
		     operand(m, at, OPERAND_B_CONSTANT, at->b, &b), &result);
		m->registers[at->dst] = result;
	}
	term_need(&m->registers[when->code[when->instructions - 1].dst], out);
}

void interest_rule_need(const struct catalogue *c, const struct cat_rule *rule, struct interest_need *out)
{
	static const struct interest_need enrolled = { .action = INTEREST_KEEP_IF,
						       .conditions = INTEREST_IF_ENROLLED };
	struct machine m; /* registers are written before they are read */

	m.c = c;
	m.rule = rule;
	need_all(out);
	/* no program: the condition is a problem already */
	if (rule->when.instructions > 0 && rule->when.registers <= NEED_REGISTERS_MAX)
		program_need(&m, out);
	if (rule->section == SECTION_SUBSCRIPTION) /* none fires but a holder's own (rules.c, holder_run) */
		interest_need_meet(out, &enrolled);
}

/* --- entries --- */

/* The number of a set, taken when it is new; -1 when none is free. */
static int set_number(uint64_t *sets, unsigned words, uint8_t *used, const uint64_t *set)
{
	unsigned i = 0;

	while (i < *used && memcmp(&sets[i * words], set, words * sizeof *set) != 0)
		i++;
	if (i == INTEREST_SETS_MAX)
		return -1;
	if (i == *used) {
		memcpy(&sets[i * words], set, words * sizeof *set);
		++*used;
	}
	return (int)i;
}

struct interest_entry interest_need_entry(const struct interest_need *need, struct interest_sets *sets,
					  struct interest_sets_used *used)
{
	struct interest_entry e = { .action = need->action, .conditions = need->conditions };
	int countries = 0, mccs = 0;

	if (e.conditions & INTEREST_IF_COUNTRY)
		countries = set_number(sets->country[0], COUNTRY_WORDS, &used->countries, need->country);
	if (e.conditions & INTEREST_IF_MCC)
		mccs = set_number(sets->mcc[0], MCC_WORDS, &used->mccs, need->mcc);
	if (countries < 0)
		e.conditions &= (uint8_t)~INTEREST_IF_COUNTRY;
	if (mccs < 0)
		e.conditions &= (uint8_t)~INTEREST_IF_MCC;
	if (e.action == INTEREST_KEEP_IF && !e.conditions)
		e.action = INTEREST_KEEP;
	if (e.conditions & INTEREST_IF_COUNTRY)
		e.countries = (uint8_t)countries;
	if (e.conditions & INTEREST_IF_MCC)
		e.mccs = (uint8_t)mccs;
	if (e.conditions & INTEREST_IF_TOUCHPOINT)
		e.touchpoints = need->touchpoints;
	if (e.conditions & INTEREST_IF_AMOUNT) {
		e.amount_min = need->amount_min;
		e.currency = need->currency;
	}
	return e;
}

void interest_entry_need(const struct interest_entry *entry, const struct interest_sets *sets,
			 struct interest_need *out)
{
	out->action = entry->action;
	out->conditions = entry->action == INTEREST_KEEP_IF ? entry->conditions : 0;
	out->touchpoints = entry->touchpoints;
	out->currency = entry->currency;
	out->amount_min = entry->amount_min;
	if (entry->countries >= INTEREST_SETS_MAX)
		need_drop_condition(out, INTEREST_IF_COUNTRY);
	else if (out->conditions & INTEREST_IF_COUNTRY)
		memcpy(out->country, sets->country[entry->countries], sizeof out->country);
	if (entry->mccs >= INTEREST_SETS_MAX)
		need_drop_condition(out, INTEREST_IF_MCC);
	else if (out->conditions & INTEREST_IF_MCC)
		memcpy(out->mcc, sets->mcc[entry->mccs], sizeof out->mcc);
}

/* --- two tables --- */

static struct interest_entry entry_widen(struct interest_table *into, struct interest_sets_used *used,
					 const struct interest_table *a, const struct interest_table *b,
					 unsigned code)
{
	const struct interest_entry *left = &a->type[code], *right = &b->type[code];
	const struct interest_entry keep = { .action = INTEREST_KEEP },
				    unknown = { .action = INTEREST_UNKNOWN };
	struct interest_need need, other;

	if (left->action == INTEREST_UNKNOWN && right->action == INTEREST_UNKNOWN)
		return unknown;
	if (left->action == INTEREST_UNKNOWN || right->action == INTEREST_UNKNOWN)
		return keep;
	interest_entry_need(left, &a->sets, &need);
	interest_entry_need(right, &b->sets, &other);
	interest_need_join(&need, &other);
	return interest_need_entry(&need, &into->sets, used);
}

void interest_table_widen(struct interest_table *into, const struct interest_table *a,
			  const struct interest_table *b)
{
	struct interest_sets_used used = { 0 };

	assert(into != a && into != b);
	memset(&into->sets, 0, sizeof into->sets);
	for (unsigned code = 0; code < INTEREST_TYPES; code++)
		into->type[code] = entry_widen(into, &used, a, b, code);
}
