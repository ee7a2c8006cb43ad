/*
 * check.c: what type each node has, which symbol each name is, and which operation each operator does.
 *
 * In: the nodes of parse.c, operands first. Out: type, unit, op in each node, or the first error with its
 * fix. Types are static: an int never becomes a double by itself. Ints of minor units carry the currency
 * that they are in (docs/decisions.md 3), so that amounts in different currencies never meet unseen.
 */
#include "convert.h"
#include "function.h"
#include "tree.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PIECE_BYTES = 160 };

static const char *operator_text(enum node_kind kind)
{
	static const char *const texts[] = {
		[NODE_NOT] = "!",     [NODE_NEGATE] = "-",   [NODE_AND] = "&&", [NODE_OR] = "||",
		[NODE_CHOICE] = "?:", [NODE_IN] = "in",	     [NODE_EQ] = "==",	[NODE_NE] = "!=",
		[NODE_LT] = "<",      [NODE_LE] = "<=",	     [NODE_GT] = ">",	[NODE_GE] = ">=",
		[NODE_ADD] = "+",     [NODE_SUB] = "-",	     [NODE_MUL] = "*",	[NODE_DIV] = "/",
		[NODE_MOD] = "%",     [NODE_INDEX] = "[..]",
	};

	assert(kind < sizeof texts / sizeof texts[0] && texts[kind]);
	return texts[kind];
}

static const char *type_text(const struct node *n)
{
	return cel_unit_type_name(n->type, n->unit);
}

/* The operand as it is written when it is a double: 5 as 5.0, x as double(x). */
static void double_text(const struct compiler *c, const struct node *n, char *out)
{
	int len = (int)(n->end - n->start);
	const char *text = c->text + n->start;
	bool decimal = n->kind == NODE_LITERAL && !n->parens && !memchr(text, 'x', (size_t)len);

	if (n->type != TYPE_INT)
		snprintf(out, PIECE_BYTES, "%.*s", len, text);
	else if (decimal)
		snprintf(out, PIECE_BYTES, "%.*s.0", len, text);
	else
		snprintf(out, PIECE_BYTES, n->parens ? "double%.*s" : "double(%.*s)", len, text);
}

static bool refuse_int_double(struct compiler *c, enum node_kind kind, const struct node *left,
			      const struct node *right)
{
	char l[PIECE_BYTES], r[PIECE_BYTES];

	if (left->end - left->start > 60 || right->end - right->start > 60)
		return cel_refuse(c, right->start, cel_type_name(right->type),
				  "%s (%s %s %s: write double(..) around the int)", cel_type_name(left->type),
				  cel_type_name(left->type), operator_text(kind), cel_type_name(right->type));
	double_text(c, left, l);
	double_text(c, right, r);
	return cel_refuse(c, right->start, cel_type_name(right->type), "%s (%s %s %s: write %s %s %s)",
			  cel_type_name(left->type), cel_type_name(left->type), operator_text(kind),
			  cel_type_name(right->type), l, operator_text(kind), r);
}

static bool refuse_pair(struct compiler *c, enum node_kind kind, const struct node *left,
			const struct node *right, const char *advice)
{
	return cel_refuse(c, right->start, type_text(right), "%s (%s %s %s%s%s)", type_text(left),
			  type_text(left), operator_text(kind), type_text(right), advice ? ": " : "",
			  advice ? advice : "");
}

static bool is_pair(const struct node *left, const struct node *right, enum value_type a, enum value_type b)
{
	return (left->type == a && right->type == b) || (left->type == b && right->type == a);
}

/* The event's and the bank's currency in one operation */
static bool units_clash(const struct node *left, const struct node *right)
{
	return left->unit != UNIT_NONE && right->unit != UNIT_NONE && left->unit != right->unit;
}

static const char units_advice[] = "use event.base for event.amount, both in the bank's currency";

/* The type of an operand alone; found at its start. */
static bool check_operand(struct compiler *c, const struct node *n, enum value_type want, enum node_kind kind)
{
	if (n->type == want)
		return true;
	return cel_refuse(c, n->start, type_text(n), "%s (operand of %s)", cel_type_name(want),
			  operator_text(kind));
}

bool cel_check_compare(struct compiler *c, enum node_kind kind, const struct node *left,
		       const struct node *right)
{
	const struct node *plain = left->type == TYPE_INT ? left : right;

	if (is_pair(left, right, TYPE_INT, TYPE_MONEY)) {
		if (plain->unit != UNIT_NONE)
			return true;
		return refuse_pair(c, kind, left, right,
				   plain->kind == NODE_LITERAL
					   ? "an int has no currency, write money(\"100 EUR\")"
					   : "an int has no currency, make both money");
	}
	if (left->type == TYPE_LIST && right->type == TYPE_LIST)
		return cel_check_lists(c, kind, left, right, NULL);
	if (left->type == right->type)
		return units_clash(left, right) ? refuse_pair(c, kind, left, right, units_advice) : true;
	if (is_pair(left, right, TYPE_INT, TYPE_DOUBLE))
		return refuse_int_double(c, kind, left, right);
	return refuse_pair(c, kind, left, right, NULL);
}

static bool check_in(struct compiler *c, struct node *n)
{
	const struct node *x = n->operand[0], *list = n->operand[1];

	n->type = TYPE_BOOL;
	if (x->type == TYPE_LIST)
		return cel_refuse(c, x->start, "list", "one value (not built yet: lists of lists)");
	if (list->type != TYPE_LIST)
		return cel_refuse(c, list->start, type_text(list), "list (on the right of in)");
	for (const struct node *item = list->list; list->right_of_in && item; item = item->sibling)
		if (!cel_check_compare(c, NODE_IN, x, item))
			return false;
	struct node element = *list;
	element.kind = NODE_NAME;
	element.type = list->element;
	return list->right_of_in || list->element == TYPE_NONE || cel_check_compare(c, NODE_IN, x, &element);
}

struct arithmetic {
	enum node_kind kind;
	enum value_type left, right, result;
	enum cel_op op;
	bool swap;
};

static const struct arithmetic arithmetics[] = {
	{ NODE_ADD, TYPE_INT, TYPE_INT, TYPE_INT, OP_INT_ADD, false },
	{ NODE_SUB, TYPE_INT, TYPE_INT, TYPE_INT, OP_INT_SUB, false },
	{ NODE_MUL, TYPE_INT, TYPE_INT, TYPE_INT, OP_INT_MUL, false },
	{ NODE_DIV, TYPE_INT, TYPE_INT, TYPE_INT, OP_INT_DIV, false },
	{ NODE_MOD, TYPE_INT, TYPE_INT, TYPE_INT, OP_INT_MOD, false },
	{ NODE_ADD, TYPE_DOUBLE, TYPE_DOUBLE, TYPE_DOUBLE, OP_DOUBLE_ADD, false },
	{ NODE_SUB, TYPE_DOUBLE, TYPE_DOUBLE, TYPE_DOUBLE, OP_DOUBLE_SUB, false },
	{ NODE_MUL, TYPE_DOUBLE, TYPE_DOUBLE, TYPE_DOUBLE, OP_DOUBLE_MUL, false },
	{ NODE_DIV, TYPE_DOUBLE, TYPE_DOUBLE, TYPE_DOUBLE, OP_DOUBLE_DIV, false },
	{ NODE_ADD, TYPE_STRING, TYPE_STRING, TYPE_STRING, OP_STRING_ADD, false },
	{ NODE_ADD, TYPE_LIST, TYPE_LIST, TYPE_LIST, OP_LIST_ADD, false },
	{ NODE_ADD, TYPE_TIMESTAMP, TYPE_DURATION, TYPE_TIMESTAMP, OP_TIME_ADD, false },
	{ NODE_ADD, TYPE_DURATION, TYPE_TIMESTAMP, TYPE_TIMESTAMP, OP_TIME_ADD, true },
	{ NODE_SUB, TYPE_TIMESTAMP, TYPE_DURATION, TYPE_TIMESTAMP, OP_TIME_SUB, false },
	{ NODE_SUB, TYPE_TIMESTAMP, TYPE_TIMESTAMP, TYPE_DURATION, OP_TIME_DIFF, false },
	{ NODE_ADD, TYPE_DURATION, TYPE_DURATION, TYPE_DURATION, OP_DURATION_ADD, false },
	{ NODE_SUB, TYPE_DURATION, TYPE_DURATION, TYPE_DURATION, OP_DURATION_SUB, false },
};

/*
 * The currency of an int result: that of the operand that has one. A product of two amounts and a
 * ratio of two are plain, and so is what divides by an amount.
 */
static enum value_unit arithmetic_unit(enum node_kind kind, enum value_unit left, enum value_unit right)
{
	switch (kind) {
	case NODE_MUL:
		return left != UNIT_NONE && right != UNIT_NONE ? UNIT_NONE : left | right;
	case NODE_DIV:
		return right == UNIT_NONE ? left : UNIT_NONE;
	case NODE_MOD:
		return left;
	default:
		return left != UNIT_NONE ? left : right;
	}
}

static bool refuse_arithmetic(struct compiler *c, const struct node *n)
{
	const struct node *left = n->operand[0], *right = n->operand[1];

	if (left->type == TYPE_MONEY || right->type == TYPE_MONEY)
		return refuse_pair(c, n->kind, left, right, "not built yet: arithmetic of money");
	if (n->kind == NODE_MOD && (left->type == TYPE_DOUBLE || right->type == TYPE_DOUBLE))
		return refuse_pair(c, n->kind, left, right, "% is for ints");
	if (is_pair(left, right, TYPE_INT, TYPE_DOUBLE))
		return refuse_int_double(c, n->kind, left, right);
	if (n->kind == NODE_ADD && (left->type == TYPE_STRING || right->type == TYPE_STRING))
		return refuse_pair(c, n->kind, left, right, "write string(..) around the other");
	return refuse_pair(c, n->kind, left, right, NULL);
}

enum cel_op cel_arithmetic_find(unsigned kind, unsigned left, unsigned right, bool *swap)
{
	for (size_t i = 0; i < sizeof arithmetics / sizeof arithmetics[0]; i++) {
		const struct arithmetic *a = &arithmetics[i];
		if (a->kind != kind || a->left != left || a->right != right)
			continue;
		*swap = a->swap;
		return a->op;
	}
	return OP_NONE;
}

static bool check_arithmetic(struct compiler *c, struct node *n)
{
	const struct node *left = n->operand[0], *right = n->operand[1];

	for (size_t i = 0; i < sizeof arithmetics / sizeof arithmetics[0]; i++) {
		const struct arithmetic *a = &arithmetics[i];
		if (a->kind != n->kind || a->left != left->type || a->right != right->type)
			continue;
		if (units_clash(left, right))
			return refuse_pair(c, n->kind, left, right, units_advice);
		n->type = a->result;
		n->op = a->op;
		if (a->result == TYPE_LIST)
			return cel_check_lists(c, NODE_ADD, left, right, n);
		n->swap = a->swap;
		if (a->result == TYPE_INT)
			n->unit = arithmetic_unit(n->kind, left->unit, right->unit);
		return true;
	}
	return refuse_arithmetic(c, n);
}

static bool check_negate(struct compiler *c, struct node *n)
{
	const struct node *operand = n->operand[0];

	if (operand->type == TYPE_MONEY)
		return cel_refuse(c, operand->start, "money",
				  "int or double (not built yet: arithmetic of money)");
	if (operand->type != TYPE_INT && operand->type != TYPE_DOUBLE)
		return cel_refuse(c, operand->start, type_text(operand), "int or double (operand of -)");
	n->type = operand->type;
	n->unit = operand->unit;
	n->op = operand->type == TYPE_INT ? OP_INT_NEG : OP_DOUBLE_NEG;
	return true;
}

static bool check_choice(struct compiler *c, struct node *n)
{
	const struct node *yes = n->operand[1], *no = n->operand[2];

	if (!check_operand(c, n->operand[0], TYPE_BOOL, NODE_CHOICE))
		return false;
	if (is_pair(yes, no, TYPE_INT, TYPE_DOUBLE)) {
		char text[PIECE_BYTES];
		const struct node *whole = yes->type == TYPE_INT ? yes : no;
		double_text(c, whole, text);
		return cel_refuse(c, no->start, cel_type_name(no->type),
				  "%s, as the other branch of ?: (write %s)", cel_type_name(yes->type), text);
	}
	if (yes->type != no->type)
		return cel_refuse(c, no->start, type_text(no),
				  "%s, as the other branch of ?:", type_text(yes));
	if (units_clash(yes, no))
		return refuse_pair(c, NODE_CHOICE, yes, no, units_advice);
	n->type = yes->type;
	if (n->type == TYPE_LIST)
		return cel_check_lists(c, NODE_CHOICE, yes, no, n);
	n->unit = yes->unit != UNIT_NONE ? yes->unit : no->unit;
	return true;
}

static bool check_name(struct compiler *c, struct node *n)
{
	char why[192] = "a name that is known";
	struct cel_symbol *symbol = &n->symbol;

	if (!c->scope->resolve ||
	    !c->scope->resolve(c->scope->ctx, n->name, n->name_bytes, symbol, why, sizeof why))
		return cel_refuse(c, n->start, n->name, "%s", why);
	assert(symbol->type > TYPE_NONE && symbol->type < TYPE_COUNT);
	assert(symbol->space == SPACE_CONSTANT || symbol->space < SPACE_COUNT);
	n->type = symbol->type;
	/* Only ints carry a currency from name to name; a mean, a double, is a plain number. */
	n->unit = symbol->type == TYPE_INT ? symbol->unit : UNIT_NONE;
	n->value = symbol->constant;
	if (n->type == TYPE_LIST && n->value.bytes > 0)
		n->element = n->value.list[0].type;
	assert(n->type != TYPE_LIST || symbol->space == SPACE_CONSTANT || c->scope->dynamic);
	return true;
}

static bool check_node(struct compiler *c, struct node *n)
{
	switch (n->kind) {
	case NODE_LITERAL:
		n->type = n->value.type;
		return true;
	case NODE_NAME:
		return check_name(c, n);
	case NODE_VARIABLE:
		return cel_check_variable(c, n);
	case NODE_LIST:
		return cel_check_list(c, n);
	case NODE_INDEX:
		return cel_check_index(c, n);
	case NODE_MACRO:
		return cel_check_macro(c, n);
	case NODE_CALL:
		return cel_check_call(c, n);
	case NODE_NOT:
		n->type = TYPE_BOOL;
		return check_operand(c, n->operand[0], TYPE_BOOL, n->kind);
	case NODE_AND:
	case NODE_OR:
		n->type = TYPE_BOOL;
		return check_operand(c, n->operand[0], TYPE_BOOL, n->kind) &&
		       check_operand(c, n->operand[1], TYPE_BOOL, n->kind);
	case NODE_NEGATE:
		return check_negate(c, n);
	case NODE_CHOICE:
		return check_choice(c, n);
	case NODE_IN:
		return check_in(c, n);
	case NODE_EQ:
	case NODE_NE:
	case NODE_LT:
	case NODE_LE:
	case NODE_GT:
	case NODE_GE:
		n->type = TYPE_BOOL;
		return cel_check_compare(c, n->kind, n->operand[0], n->operand[1]);
	default:
		return check_arithmetic(c, n);
	}
}

bool cel_check_names(struct compiler *c)
{
	char why[192];

	for (struct node *n = c->first; n; n = n->next) {
		if (n->kind != NODE_NAME)
			continue;
		if (!c->scope->resolve ||
		    !c->scope->resolve(c->scope->ctx, n->name, n->name_bytes, &n->symbol, why, sizeof why))
			n->symbol = (struct cel_symbol){ .type = TYPE_NONE };
		n->value = n->symbol.constant;
	}
	return true;
}

bool cel_check(struct compiler *c, const struct node *root, enum value_type want)
{
	for (struct node *n = c->first; n; n = n->next)
		if (!check_node(c, n))
			return false;
	if (want == TYPE_NONE && root->type == TYPE_LIST)
		return cel_refuse(c, root->start, "list", "one value (a list is no result)");
	if (want == TYPE_NONE || root->type == want)
		return true;
	if (want == TYPE_DOUBLE && root->type == TYPE_INT)
		return cel_refuse(c, root->start, type_text(root), "double (write double(..))");
	return cel_refuse(c, root->start, type_text(root), "%s", cel_type_name(want));
}
