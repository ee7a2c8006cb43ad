// needs: user/cel/*.c user/base/money.c user/base/arena.c
/*
 * test_conjunct.c: what cel_conjuncts tells an index: each form, and that a false conjunct makes the program
 * false whatever the rest is, on random conditions and inputs. A seed is printed and taken from
 * CONJUNCT_SEED.
 */
#include "test_help.h"

#include <inttypes.h>
#include <stdlib.h>

static void relation_print(const struct cel_conjunct *c, char *out, size_t room)
{
	static const char *const marks[] = { "none", "never", "==", "<", "<=", ">", ">=", "in" };
	size_t n = (size_t)snprintf(out, room, "%s %s",
				    c->relation == RELATION_NEVER ? "" : help_names[c->symbol.index].name,
				    marks[c->relation]);

	if (c->has_other)
		n += (size_t)snprintf(out + n, room - n, " %s", help_names[c->other.index].name);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct value *v = &c->constants[i];
		if (v->type == TYPE_STRING)
			n += (size_t)snprintf(out + n, room - n, " '%.*s'", (int)v->bytes, v->s);
		else if (v->type == TYPE_DOUBLE)
			n += (size_t)snprintf(out + n, room - n, " %g", v->d);
		else
			n += (size_t)snprintf(out + n, room - n, " %" PRId64, v->i);
	}
	if (c->unit != UNIT_NONE)
		snprintf(out + n, room - n, " unit %u", c->unit);
}

static void each_form_is_a_conjunct(void **state)
{
	static const struct {
		const char *text, *conjuncts; /* apart by ; */
	} rows[] = {
		{ "i1 == 5", "i1 == 5" },
		{ "5 == i1", "i1 == 5" },
		{ "i1 < 5", "i1 < 5" },
		{ "i1 <= 5", "i1 <= 5" },
		{ "i1 > 5", "i1 > 5" },
		{ "i1 >= 5", "i1 >= 5" },
		{ "5 < i1", "i1 > 5" },
		{ "5 >= i1", "i1 <= 5" },
		{ "i1 == 2 + 3", "i1 == 5" },
		{ "i1 in [7, 5, 7]", "i1 in 5 7" },
		{ "i1 in [5]", "i1 == 5" },
		{ "i1 in lists.codes", "i1 in -5000 2 7 100" },
		{ "s1 in lists.words", "s1 in '' '12' 'xa'" },
		{ "i1 in lists.none", "" },
		{ "i1 == 7 || i1 == 5", "i1 in 5 7" },
		{ "i1 == 7 || i1 in [5, 9] || 7 == i1", "i1 in 5 7 9" },
		{ "s1 == 'b' || s1 == 'a'", "s1 in 'a' 'b'" },
		{ "i1 == 7 || i2 == 5", "" },
		{ "i1 == 7 || i1 > 9", "" },
		{ "i1 == 7 || i1 == i2", "" },
		{ "s1 == 'x'", "s1 == 'x'" },
		{ "s1 > 'x'", "s1 > 'x'" },
		{ "d1 <= 1.5", "d1 <= 1.5" },
		{ "d1 < 0.0 / 0.0", "" },
		{ "t1 > timestamp('1970-01-01T00:00:01Z')", "t1 > 1000000000" },
		{ "u1 < duration('1s')", "u1 < 1000000000" },
		{ "b1", "b1 == 1" },
		{ "!b1", "b1 == 0" },
		{ "b1 == true", "b1 == 1" },
		{ "b1 && !b2 && i1 > 5", "b1 == 1;b2 == 0;i1 > 5" },
		{ "(b1 && i1 == 1) && (i2 == 2 && s1 == 'a')", "b1 == 1;i1 == 1;i2 == 2;s1 == 'a'" },
		{ "b1 || b2", "" },
		{ "!(b1 && b2)", "" },
		{ "i1 != 5", "" },
		{ "i1 + 1 == 5", "" },
		{ "i1 == 5 ? b1 : b2", "" },
		{ "has(i1)", "" },
		{ "i1 > i2", "i2 < i1" },
		{ "i1 == 5 && i2 / 0 == 1", "i1 == 5" },
		{ "event.amount > 100", "event.amount > 100" },
		{ "event.amount > money('1 EUR')", "event.amount > 100 unit 1" },
		{ "event.base <= money('1 EUR')", "event.base <= 100 unit 2" },
		{ "event.amount > m1", "m1 < event.amount" },
		{ "m1 == money('1 EUR')", "m1 == 100" },
		{ "true", "" },
		{ "false", " never" },
		{ "b1 && false", " never" },
		{ "b1 && 1 == 2", " never" },
		{ "1 / 0 == 1", "" },
		{ "i1 == 5 && [i1, i2].exists(e, e > 7)", "i1 == 5" },
		{ "i1 + 1", "" },
		{ "0", "" },
	};
	struct help h;

	(void)state;
	help_init(&h);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[512] = "", one[128];
		size_t count;
		assert_int_equal(help_compile(&h, rows[i].text), 0);
		const struct cel_conjunct *c = cel_conjuncts(&h.program, &count);
		for (size_t k = 0; k < count; k++) {
			relation_print(&c[k], one, sizeof one);
			strcat(text, k ? ";" : "");
			strcat(text, one);
		}
		if (strcmp(text, rows[i].conjuncts) != 0)
			fail_msg("%s: '%s', not '%s'", rows[i].text, text, rows[i].conjuncts);
	}
	help_deinit(&h);
}

struct writer {
	uint64_t seed;
	char text[4096];
	size_t bytes;
};

static unsigned below(struct writer *w, unsigned n)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((w->seed >> 33) % n);
}

static void put(struct writer *w, const char *text)
{
	w->bytes += (size_t)snprintf(w->text + w->bytes, sizeof w->text - w->bytes, "%s", text);
	assert_true(w->bytes < sizeof w->text);
}

static void condition_write(struct writer *w, unsigned depth)
{
	static const char *const leaves[] = {
		"b1",
		"!b2",
		"i1 == 1",
		"i1 < 2",
		"2 <= i1",
		"i2 in [0, 2, 3]",
		"i1 == 0 || i1 == 2",
		"s1 == 'a'",
		"s1 in lists.words",
		"d1 > 0.5",
		"i1 / i2 == 1",
		"event.amount >= money('2 EUR')",
		"i1 > i2",
		"[i1, i2].exists(e, e == 2)",
		"false",
		"has(i1)",
		"event.base < 200",
		"s1 > 'a'",
		"i1 != 1",
	};

	if (depth == 0 || below(w, 4) == 0) {
		put(w, "(");
		put(w, leaves[below(w, sizeof leaves / sizeof leaves[0])]);
		put(w, ")");
		return;
	}
	put(w, below(w, 8) ? "(" : "!(");
	condition_write(w, depth - 1);
	put(w, below(w, 4) ? " && " : " || ");
	condition_write(w, depth - 1);
	put(w, ")");
}

static void inputs_make(struct writer *w, struct help *h)
{
	static const char *const strings[] = { "", "a", "b", "12" };

	for (unsigned i = 0; i < HELP_COUNT; i++) {
		struct value *v = &h->bind[i];
		*v = (struct value){ .type = (uint8_t)help_names[i].type, .i = below(w, 4) };
		if (v->type == TYPE_BOOL)
			v->i &= 1;
		else if (v->type == TYPE_DOUBLE)
			v->d = below(w, 3) / 2.0;
		else if (v->type == TYPE_STRING)
			help_bind_string(h, (enum help_name)i, strings[below(w, 4)]);
		else if (v->type == TYPE_MONEY)
			v->currency = EUR;
		if (i == HELP_AMOUNT || i == HELP_BASE)
			v->i = 100 * below(w, 4);
		if (below(w, 6) == 0)
			v->status = below(w, 2) ? VALUE_NO_DATA : VALUE_ERROR;
	}
	h->env.currency = below(w, 2) ? EUR : USD;
}

static int order(const struct value *a, const struct value *b)
{
	if (a->type == TYPE_STRING) {
		int o = memcmp(a->s, b->s, a->bytes < b->bytes ? a->bytes : b->bytes);
		return o ? o : (int)a->bytes - (int)b->bytes;
	}
	if (a->type == TYPE_DOUBLE)
		return (a->d > b->d) - (a->d < b->d);
	return (a->i > b->i) - (a->i < b->i);
}

/* False, and not for want of data. */
static bool is_false(const struct help *h, const struct cel_conjunct *c)
{
	struct value v, other;
	bool good = false;

	if (c->relation == RELATION_NEVER)
		return true;
	v = h->bind[c->symbol.index];
	if (v.status != VALUE_OK || (c->has_other && h->bind[c->other.index].status != VALUE_OK))
		return false;
	if (c->unit == UNIT_EVENT && h->env.currency == USD) /* 1 USD = 0.5 EUR, the amounts are even */
		v.i /= 2;
	if (c->has_other && c->type == TYPE_MONEY)
		return false;
	other = c->has_other ? h->bind[c->other.index] : c->constants[0];
	switch ((enum cel_relation)c->relation) {
	case RELATION_EQ:
		return order(&v, &other) != 0;
	case RELATION_LT:
		return order(&v, &other) >= 0;
	case RELATION_LE:
		return order(&v, &other) > 0;
	case RELATION_GT:
		return order(&v, &other) <= 0;
	case RELATION_GE:
		return order(&v, &other) < 0;
	default:
		for (uint32_t i = 0; i < c->count; i++)
			good = good || order(&v, &c->constants[i]) == 0;
		return !good;
	}
}

static void a_false_conjunct_makes_the_program_false(void **state)
{
	static struct writer w;
	static struct help h;
	const char *seed = getenv("CONJUNCT_SEED");
	unsigned decided = 0, total = 0;

	(void)state;
	w.seed = seed ? strtoull(seed, NULL, 0) : 20261122;
	print_message("seed %" PRIu64 " (CONJUNCT_SEED)\n", w.seed);
	for (int i = 0; i < 20000; i++) {
		size_t count;
		w.bytes = 0;
		condition_write(&w, 4);
		help_init(&h);
		if (help_compile(&h, w.text) != 0)
			fail_msg("%s: refused: %s, %s", w.text, h.error.found, h.error.expected);
		const struct cel_conjunct *c = cel_conjuncts(&h.program, &count);
		for (int k = 0; k < 8; k++) {
			inputs_make(&w, &h);
			struct value v = cel_eval(&h.program, &h.env);
			for (size_t n = 0; n < count; n++) {
				bool no = is_false(&h, &c[n]);
				if (no && (v.status != VALUE_OK || v.i))
					fail_msg("%s: conjunct %zu is false, the program gives %u, %d",
						 w.text, n, v.status, (int)v.i);
				decided += no;
				total++;
			}
		}
		help_deinit(&h);
	}
	print_message("%u of %u conjuncts were false\n", decided, total);
	assert_true(decided > 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_a_conjunct),
		cmocka_unit_test(a_false_conjunct_makes_the_program_false),
	};

	return cmocka_run_group_tests_name("cel_conjunct", tests, NULL, NULL);
}
