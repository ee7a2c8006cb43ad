/*
 * check_list.c: types of lists, of indices and of macros over them.
 *
 * In: nodes whose operands are checked. Out: type, type and unit of elements, or the first error with its
 * fix. All elements of a list are of one type; the empty list takes any. Lists of lists are for the vectors
 * only.
 */
#include "tree.h"

#include <assert.h>

/* An element as an operand: what a comparison looks at. */
static struct node element_of(const struct node *list)
{
	struct node element = *list;

	element.kind = NODE_NAME;
	element.type = list->element;
	return element;
}

static void element_take(struct node *n, const struct node *list)
{
	n->type = TYPE_LIST;
	n->element = list->element;
	n->unit = list->unit;
}

bool cel_check_lists(struct compiler *c, enum node_kind kind, const struct node *left,
		     const struct node *right, struct node *n)
{
	const struct node a = element_of(left), b = element_of(right);

	if (kind != NODE_EQ && kind != NODE_NE && kind != NODE_ADD && kind != NODE_CHOICE)
		return cel_refuse(c, right->start, "list", "a value that has an order, not a list");
	if (left->element != TYPE_NONE && right->element != TYPE_NONE && !cel_check_compare(c, kind, &a, &b))
		return false;
	if (n && kind != NODE_EQ && kind != NODE_NE)
		element_take(n, left->element == TYPE_NONE ? right : left);
	return true;
}

bool cel_check_list(struct compiler *c, struct node *n)
{
	const struct node *first = n->list;

	n->type = TYPE_LIST;
	n->element = first ? first->type : TYPE_NONE;
	n->unit = first ? first->unit : UNIT_NONE;
	if (n->right_of_in) /* each is compared with what stands on the left */
		return true;
	for (const struct node *item = first; item; item = item->sibling) {
		if (item->type == TYPE_LIST)
			return cel_refuse(c, item->start, "list",
					  "one value (not built yet: lists of lists)");
		if (item != first && !cel_check_compare(c, NODE_EQ, first, item))
			return false;
		if (item->type != n->element || item->unit != n->unit)
			return cel_refuse(c, item->start, cel_unit_type_name(item->type, item->unit),
					  "%s, as the first element",
					  cel_unit_type_name(n->element, n->unit));
	}
	return true;
}

static bool check_is_list(struct compiler *c, const struct node *n, const char *what)
{
	if (n->type == TYPE_LIST)
		return true;
	return cel_refuse(c, n->start, cel_unit_type_name(n->type, n->unit), "list (%s)", what);
}

bool cel_check_index(struct compiler *c, struct node *n)
{
	const struct node *list = n->operand[0], *index = n->operand[1];

	if (!check_is_list(c, list, "in front of [..]"))
		return false;
	if (index->type != TYPE_INT)
		return cel_refuse(c, index->start, cel_type_name(index->type), "int (place in a list)");
	if (list->element == TYPE_NONE)
		return cel_refuse(c, n->start, "the empty list", "a list with elements");
	n->type = list->element;
	n->unit = list->unit;
	n->op = OP_LIST_INDEX;
	return true;
}

/* The element of the list that the macro runs over. Of the empty list there is none: any type will do. */
bool cel_check_variable(struct compiler *c, struct node *n)
{
	const struct node *list = n->operand[0];

	if (!check_is_list(c, list, "in front of a macro"))
		return false;
	n->type = list->element == TYPE_NONE ? TYPE_INT : list->element;
	n->unit = list->unit;
	return true;
}

bool cel_check_macro(struct compiler *c, struct node *n)
{
	const struct node *list = n->operand[0], *condition = n->operand[1], *result = n->operand[2];

	if (!check_is_list(c, list, "in front of a macro"))
		return false;
	if (condition && condition->type != TYPE_BOOL)
		return cel_refuse(c, condition->start, cel_unit_type_name(condition->type, condition->unit),
				  "bool (condition of %s)", n->macro == MACRO_MAP ? "map" : "a macro");
	if (n->macro == MACRO_FILTER) {
		element_take(n, list);
	} else if (n->macro == MACRO_MAP) {
		if (result->type == TYPE_LIST)
			return cel_refuse(c, result->start, "list",
					  "one value (not built yet: lists of lists)");
		n->type = TYPE_LIST;
		n->element = result->type;
		n->unit = result->unit;
	} else {
		n->type = TYPE_BOOL;
	}
	return true;
}
