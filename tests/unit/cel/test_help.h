/*
 * test_help: names of every type and currency for the tests of cel, and one call to compile and evaluate.
 *
 * Names: b1 b2 (bool), i1 i2 (int), d1 d2, s1 s2, t1 t2 (timestamp), u1 u2 (duration), m1 m2 (money),
 * event.amount, event.balance (ints in the event's currency), event.base (in the bank's), agg.mean (a
 * double that says it is in the bank's currency), fixed.five, fixed.name, fixed.amount, lists.codes (ints),
 * lists.words (strings), lists.none. The zone Test/Zone is an hour west of UTC, from 1970 on two hours east, and
 * from 2024-02-29T23:30:15Z five and a half.
 * The bank's currency is EUR; 1 USD = 0.5 EUR, 1 KWD = 3 EUR, 1 JPY = 0.01 EUR; CHF has no rate.
 */
#ifndef TEST_HELP_H
#define TEST_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cel/cel.h>
#include <stdio.h>
#include <string.h>

enum { EUR = 978, USD = 840, KWD = 414, JPY = 392, CHF = 756 };

/* X(name in C, name in CEL, type, unit) */
#define HELP_NAMES(X)                                                                                        \
	X(B1, "b1", TYPE_BOOL, UNIT_NONE)                                                                    \
	X(B2, "b2", TYPE_BOOL, UNIT_NONE)                                                                    \
	X(I1, "i1", TYPE_INT, UNIT_NONE)                                                                     \
	X(I2, "i2", TYPE_INT, UNIT_NONE)                                                                     \
	X(D1, "d1", TYPE_DOUBLE, UNIT_NONE)                                                                  \
	X(D2, "d2", TYPE_DOUBLE, UNIT_NONE)                                                                  \
	X(S1, "s1", TYPE_STRING, UNIT_NONE)                                                                  \
	X(S2, "s2", TYPE_STRING, UNIT_NONE)                                                                  \
	X(T1, "t1", TYPE_TIMESTAMP, UNIT_NONE)                                                               \
	X(T2, "t2", TYPE_TIMESTAMP, UNIT_NONE)                                                               \
	X(U1, "u1", TYPE_DURATION, UNIT_NONE)                                                                \
	X(U2, "u2", TYPE_DURATION, UNIT_NONE)                                                                \
	X(M1, "m1", TYPE_MONEY, UNIT_NONE)                                                                   \
	X(M2, "m2", TYPE_MONEY, UNIT_NONE)                                                                   \
	X(AMOUNT, "event.amount", TYPE_INT, UNIT_EVENT)                                                      \
	X(BALANCE, "event.balance", TYPE_INT, UNIT_EVENT)                                                    \
	X(BASE, "event.base", TYPE_INT, UNIT_BASE)                                                           \
	X(MEAN, "agg.mean", TYPE_DOUBLE, UNIT_BASE)

enum help_name {
#define X(id, name, type, unit) HELP_##id,
	HELP_NAMES(X)
#undef X
		HELP_COUNT
};

static const struct {
	const char *name;
	enum value_type type;
	enum value_unit unit;
} help_names[] = {
#define X(id, text, of, in) { text, of, in },
	HELP_NAMES(X)
#undef X
};

static const struct money_rates help_rates = {
	.bank = EUR,
	.bank_exponent = 2,
	.count = 3,
	.rate = { { JPY, 0, 2, 1 }, { KWD, 3, 0, 3 }, { USD, 2, 1, 5 } },
};

static const int64_t help_zone_from[] = { INT64_MIN, 0, 1709249415 };
static const int32_t help_zone_offset[] = { -3600, 7200, 19800 };
static const struct zone help_zone = { "Test/Zone", 3, help_zone_from, help_zone_offset };

static inline const struct zone *help_zone_find(void *ctx, const char *name, size_t len)
{
	(void)ctx;
	return len == 9 && memcmp(name, "Test/Zone", len) == 0 ? &help_zone : NULL;
}

static const struct value help_codes[] = { { .type = TYPE_INT, .i = -5000 },
					   { .type = TYPE_INT, .i = 2 },
					   { .type = TYPE_INT, .i = 7 },
					   { .type = TYPE_INT, .i = 100 } };
static const struct value help_words[] = { { .type = TYPE_STRING, .bytes = 0, .s = "" },
					   { .type = TYPE_STRING, .bytes = 2, .s = "12" },
					   { .type = TYPE_STRING, .bytes = 2, .s = "xa" } };

struct help {
	struct value bind[HELP_COUNT];
	struct cel_env env;
	struct arena arena;
	struct cel_program program;
	struct cel_error error;
	char scratch[65536];
};

static inline bool help_resolve(void *ctx, const char *name, size_t len, struct cel_symbol *out, char *why,
				size_t why_bytes)
{
	static const struct {
		const char *name;
		struct cel_symbol symbol;
	} constants[] = {
		{ "fixed.five",
		  { .space = SPACE_CONSTANT, .type = TYPE_INT, .constant = { .type = TYPE_INT, .i = 5 } } },
		{ "fixed.name",
		  { .space = SPACE_CONSTANT,
		    .type = TYPE_STRING,
		    .constant = { .type = TYPE_STRING, .bytes = 3, .s = "abc" } } },
		{ "fixed.amount",
		  { .space = SPACE_CONSTANT,
		    .type = TYPE_MONEY,
		    .constant = { .type = TYPE_MONEY, .currency = EUR, .i = 500 } } },
		{ "lists.codes",
		  { .space = SPACE_CONSTANT,
		    .type = TYPE_LIST,
		    .constant = { .type = TYPE_LIST, .bytes = 4, .list = help_codes } } },
		{ "lists.words",
		  { .space = SPACE_CONSTANT,
		    .type = TYPE_LIST,
		    .constant = { .type = TYPE_LIST, .bytes = 3, .list = help_words } } },
		{ "lists.none",
		  { .space = SPACE_CONSTANT, .type = TYPE_LIST, .constant = { .type = TYPE_LIST } } },
	};

	(void)ctx;
	for (uint16_t i = 0; i < HELP_COUNT; i++)
		if (strlen(help_names[i].name) == len && memcmp(help_names[i].name, name, len) == 0) {
			*out = (struct cel_symbol){
				SPACE_BIND, i, help_names[i].type, help_names[i].unit, { 0 }
			};
			return true;
		}
	for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
		if (strlen(constants[i].name) == len && memcmp(constants[i].name, name, len) == 0) {
			*out = constants[i].symbol;
			return true;
		}
	snprintf(why, why_bytes, "a name that is known; did you mean i1?");
	return false;
}

static inline void help_bind(struct help *h, enum help_name at, int64_t i)
{
	h->bind[at] = (struct value){ .type = (uint8_t)help_names[at].type, .i = i };
}

static inline void help_bind_double(struct help *h, enum help_name at, double d)
{
	h->bind[at] = (struct value){ .type = TYPE_DOUBLE, .d = d };
}

static inline void help_bind_string(struct help *h, enum help_name at, const char *s)
{
	h->bind[at] = (struct value){ .type = TYPE_STRING, .bytes = (uint32_t)strlen(s), .s = s };
}

static inline void help_bind_money(struct help *h, enum help_name at, int64_t minor, uint16_t currency)
{
	h->bind[at] = (struct value){ .type = TYPE_MONEY, .currency = currency, .i = minor };
}

static inline void help_bind_no_data(struct help *h, enum help_name at)
{
	h->bind[at] = (struct value){ .type = (uint8_t)help_names[at].type, .status = VALUE_NO_DATA };
}

static inline void help_bind_error(struct help *h, enum help_name at, enum value_error error)
{
	h->bind[at] =
		(struct value){ .type = (uint8_t)help_names[at].type, .status = VALUE_ERROR, .bytes = error };
}

static inline void help_init(struct help *h)
{
	memset(h, 0, sizeof *h);
	arena_init(&h->arena);
	for (unsigned i = 0; i < HELP_COUNT; i++)
		h->bind[i].type = (uint8_t)help_names[i].type;
	help_bind_string(h, HELP_S1, "");
	help_bind_string(h, HELP_S2, "");
	help_bind_money(h, HELP_M1, 0, EUR);
	help_bind_money(h, HELP_M2, 0, EUR);
	h->env = (struct cel_env){ .space[SPACE_BIND] = h->bind,
				   .rates = &help_rates,
				   .currency = EUR,
				   .zone = &help_zone,
				   .scratch = h->scratch,
				   .scratch_bytes = sizeof h->scratch };
}

static inline void help_deinit(struct help *h)
{
	arena_deinit(&h->arena);
}

static inline int help_compile_bytes(struct help *h, const char *text, size_t len, enum value_type want)
{
	const struct cel_scope scope = { .resolve = help_resolve,
					 .rates = &help_rates,
					 .zone = help_zone_find };

	return cel_compile(text, len, &scope, want, &h->arena, &h->program, &h->error);
}

static inline int help_compile(struct help *h, const char *text)
{
	return help_compile_bytes(h, text, strlen(text), TYPE_NONE);
}

static inline struct value help_eval(struct help *h, const char *text)
{
	if (help_compile(h, text) != 0)
		fail_msg("%s: refused: found %s, expected %s", text, h->error.found, h->error.expected);
	return cel_eval(&h->program, &h->env);
}

#endif
