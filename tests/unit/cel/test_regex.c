// needs: user/cel/regex*.c
/*
 * test_regex.c: patterns of matches(): what is taken and refused, and a slow twin.
 *
 * The twin makes a random tree, writes it as a pattern, and says for a tree and a place of the string at
 * which places a match of it can end, as a set of bits, straight from what each piece means. 40,000 patterns,
 * each with eight strings. A seed is printed and taken from REGEX_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cel/regex.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct regex_draft draft;
static struct regex_table table;

static bool matches(const char *pattern, const char *s, size_t len)
{
	struct regex_error e;

	if (!regex_compile(&draft, pattern, strlen(pattern), &e))
		fail_msg("%s: refused at %zu: %s", pattern, e.offset, e.expected);
	bool by_states = regex_matches(&draft.regex, s, len);
	if (regex_table_build(&draft.regex, &table)) {
		draft.regex.table = &table;
		if (regex_matches(&draft.regex, s, len) != by_states)
			fail_msg("%s on '%.*s': %d by states, not by its table", pattern, (int)len, s,
				 by_states);
	}
	return by_states;
}

static void a_pattern_matches_what_it_says(void **state)
{
	static const struct {
		const char *pattern, *yes, *no; /* strings apart by | */
	} rows[] = {
		{ "abc", "abc|xabcx", "ab|acb" },
		{ "^abc$", "abc", "abcd|xabc|abc\n" },
		{ "a.c",
		  "abc|a\xc3\xb1"
		  "c|a.c",
		  "ac|a\nc" },
		{ "(?s)a.c", "a\nc", "ac" },
		{ "(?m)^b$", "a\nb\nc|b", "ab|bc" },
		{ "a*", "|b|aaa", "" },
		{ "^a+$", "a|aaa", "|b|ab" },
		{ "^a?b$", "b|ab", "aab|a" },
		{ "^(ab|cd)*$", "|ab|abcd|cdcdab", "abc|ac" },
		{ "^a{2}$", "aa", "a|aaa|" },
		{ "^a{2,}$", "aa|aaaaa", "a" },
		{ "^a{2,4}$", "aa|aaa|aaaa", "a|aaaaa" },
		{ "^a{0,1}$", "a|", "aa" },
		{ "^a{0}$", "", "a" },
		{ "^(a{2}){2}$", "aaaa", "aa|aaa|aaaaa" },
		{ "^(a|b{2,3}c?)+d$", "ad|bbcad|bbbd|abbad", "bd|bcd|d" },
		{ "^x{,2}$", "x{,2}", "xx" },
		{ "^[a-c]+$", "abc", "abd|" },
		{ "^[^a-c]$", "d|\xe2\x82\xac", "a|" },
		{ "^[]a]$", "]|a", "b" },
		{ "^[a\\]b]$", "]|a|b", "\\" },
		{ "^[-a]$", "-|a", "b" },
		{ "^[\\d_]+$", "12_|3", "a" },
		{ "^[^\\d]$", "a", "1" },
		{ "^[[:alpha:][:digit:]]+$", "aZ9", "_|" },
		{ "^[[:^alpha:]]$", "1", "a" },
		{ "^\\w\\W\\s\\S\\d\\D$", "a- b1c", "a- b1" },
		{ "\\bab\\b", "ab|x ab.|(ab)", "xab|abx" },
		{ "\\Bab", "xab", "ab| ab" },
		{ "\\Aab\\z", "ab", "ab\n" },
		{ "(?i)hello", "HeLLo|hello", "hallo" },
		{ "(?i)[a-c]+1", "AB1", "d1" },
		{ "(?i)[^a]", "b|AB", "a|A" },
		{ "(?i)\xc3\x91", "\xc3\xb1|\xc3\x91", "n" },
		{ "(?i:a)b", "Ab|ab", "aB" },
		{ "(?i)a(?-i)b", "Ab|ab", "AB" },
		{ "(?:a)(b)(?P<name>c)(?<other>d)", "abcd", "abc" },
		{ "a|b|^c$", "xa|b|c", "xc" },
		{ "^(|a)b$", "b|ab", "a" },
		{ "\\Qa.b*\\E+", "a.b*|a.b**", "aabb" },
		{ "\\x41\\x{e9}\\101",
		  "A\xc3\xa9"
		  "A",
		  "Ae" },
		{ "\\t\\n\\r\\f\\v\\a", "\t\n\r\f\v\a", "tnrfva" },
		{ "\\.\\*\\[\\]\\(\\)\\{\\}\\^\\$\\|\\?\\+\\\\", ".*[](){}^$|?+\\", "x" },
		{ "(a*)*$", "|aaa|b", "" },
		{ "^(a?){3}a{3}$", "aaa|aaaaaa", "aa" },
		{ "a*?b+?c??", "b|abc", "ac" },
		{ "^.$", "\xff|\xf0\x9f\x90\xb1|\xc3", "|\xff\xff" },
		{ "^\\x{FFFD}+$", "\xff|\xed\xa0\x80|\xc0\xaf", "a|\xc3\xa9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int no = 0; no < 2; no++) {
			const char *at = no ? rows[i].no : rows[i].yes;
			if (no && *at == '\0' && strstr(rows[i].yes, "|") == rows[i].yes)
				continue; /* nothing that it does not match */
			for (const char *end; at; at = *end ? end + 1 : NULL) {
				bool literal = strstr(rows[i].pattern, "\\*\\[") != NULL;
				end = literal ? at + strlen(at) : strchrnul(at, '|');
				if (matches(rows[i].pattern, at, (size_t)(end - at)) == no)
					fail_msg("%s on '%.*s'", rows[i].pattern, (int)(end - at), at);
			}
		}
}

static void a_pattern_that_is_wrong_is_refused_at_its_place(void **state)
{
	static const struct {
		const char *pattern;
		size_t offset, bytes;
		const char *expected;
	} rows[] = {
		{ "*a", 0, 1, "in front of *" },       { "a|+b", 2, 1, "in front of +" },
		{ "a**", 0, 3, "one repetition" },     { "a+*", 0, 3, "one repetition" },
		{ "a{2}{3}", 0, 7, "one repetition" }, { "ab(c", 2, 1, "closing )" },
		{ "ab)c", 2, 1, "opening (" },	       { "x[ab", 1, 3, "closing ]" },
		{ "x[]", 1, 2, "closing ]" },	       { "[b-a]", 1, 3, "ascends" },
		{ "[[:alfa:]]", 1, 8, "[:alpha:]" },   { "a{3,2}", 1, 5, "the least first" },
		{ "a{1001}", 1, 6, "at most 1000" },   { "(a)\\1", 3, 2, "no reference" },
		{ "\\p{L}", 0, 2, "not built yet" },   { "\\q", 0, 2, "an escape" },
		{ "a\\", 1, 1, "behind \\" },	       { "\\x4", 0, 3, "\\x7F" },
		{ "\\x{110000}", 0, 10, "\\x7F" },     { "(?=a)", 0, 3, "(?:..)" },
		{ "(?<=a)", 0, 3, "(?:..)" },	       { "(?P<>a)", 0, 4, "a name" },
		{ "(?i-)a", 0, 5, "(?:..)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct regex_error e;
		if (regex_compile(&draft, rows[i].pattern, strlen(rows[i].pattern), &e))
			fail_msg("%s: accepted", rows[i].pattern);
		if (e.offset != rows[i].offset || e.bytes != rows[i].bytes ||
		    !strstr(e.expected, rows[i].expected))
			fail_msg("%s: %zu, %zu bytes: %s", rows[i].pattern, e.offset, e.bytes, e.expected);
	}
}

static void a_pattern_is_refused_one_over_its_limit_with_the_figure(void **state)
{
	static const struct {
		const char *pattern;
		uint64_t needed;
		bool good;
	} rows[] = {
		{ "a{255}", 256, true }, /* and the end of a match */
		{ "a{256}", 257, false },
		{ "(a{10}){25}", 251, true },
		{ "((a{1000}){1000}){10}", 10000001, false },
		{ "(a|b){63}", 253, true },
		{ "(a|b){64}", 257, false },
		{ "(x{100}|a{200}){0}b", 2, true },
		{ "a{1,128}", 256, true },
		{ "a{1,129}", 258, false },
	};
	struct regex_error e;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bool good = regex_compile(&draft, rows[i].pattern, strlen(rows[i].pattern), &e);
		if (good != rows[i].good || draft.needed != rows[i].needed)
			fail_msg("%s: %d, %" PRIu64 " instructions, not %" PRIu64, rows[i].pattern, good,
				 draft.needed, rows[i].needed);
	}
}

static void depth_of_groups_is_bounded(void **state)
{
	char pattern[256] = "";
	struct regex_error e;

	(void)state;
	for (int depth = 1; depth <= 65; depth++) {
		memset(pattern, '(', (size_t)depth);
		pattern[depth] = 'a';
		memset(pattern + depth + 1, ')', (size_t)depth);
		assert_int_equal(regex_compile(&draft, pattern, (size_t)(2 * depth + 1), &e), depth <= 64);
	}
}

/* Any bytes are a pattern or are refused; any bytes can be looked through. */
static void any_bytes_are_compiled_or_refused(void **state)
{
	static const char alphabet[] = "ab()[]{}|*+?^$.\\-,:12iPQE<>xdwsb\xc3\xb1\xff=!";
	uint64_t seed = 99;
	unsigned good = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		char text[16];
		struct regex_error e;
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size_t len = (seed >> 60) % sizeof text;
		for (size_t k = 0; k < len; k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			text[k] = alphabet[(seed >> 33) % (sizeof alphabet - 1)];
		}
		if (regex_compile(&draft, text, len, &e)) {
			regex_matches(&draft.regex, text, len);
			good++;
		} else {
			assert_true(e.offset <= len && e.bytes <= len - e.offset && e.expected[0]);
		}
	}
	assert_true(good > 10000 && good < 190000);
}

/* ---- the twin ---- */

enum kind { CHARACTER, ANY, SET, START, END, WORD, NOT_WORD, BOTH, EITHER, TIMES, FOLDED, EMPTY };

struct tree {
	enum kind kind;
	struct tree *left, *right;
	uint32_t c, d; /* CHARACTER; SET: c to d */
	bool negate;
	int least, most; /* -1: any number */
};

struct twin {
	uint64_t seed;
	struct tree trees[256];
	unsigned count;
	char text[4096];
	size_t bytes;
	uint32_t s[16];
	unsigned len;
	bool fold, tabled;
};

static unsigned below(struct twin *t, unsigned n)
{
	t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((t->seed >> 33) % n);
}

static const uint32_t letters[] = { 'a', 'b', 'A', 'B', '1', ' ', '\n', 0xF1, 0xD1 };
enum { LETTERS = 9, ASCII_LETTERS = 7 };

static struct tree *grow(struct twin *t, unsigned depth)
{
	struct tree *n = &t->trees[t->count++];
	unsigned way = depth == 0 || t->count > 100 ? below(t, 8) : below(t, 18);

	assert_true(t->count < 256);
	*n = (struct tree){ .kind = CHARACTER, .c = letters[below(t, 9)] };
	if (way == 3) {
		n->kind = ANY;
	} else if (way == 4) {
		n->kind = SET;
		n->negate = below(t, 3) == 0;
		n->c = below(t, 2) ? 'a' : 'A';
		n->d = n->c + below(t, 3);
	} else if (way == 5) {
		n->kind = below(t, 2) ? START : END;
	} else if (way == 6) {
		n->kind = below(t, 2) ? WORD : NOT_WORD;
	} else if (way == 7) {
		n->kind = EMPTY;
	} else if (way >= 8 && way < 12) {
		n->kind = BOTH;
		n->left = grow(t, depth - 1);
		n->right = grow(t, depth - 1);
	} else if (way >= 12 && way < 14) {
		n->kind = EITHER;
		n->left = grow(t, depth - 1);
		n->right = grow(t, depth - 1);
	} else if (way >= 14 && way < 17) {
		n->kind = TIMES;
		n->least = (int)below(t, 3);
		n->most = below(t, 2) ? -1 : n->least + (int)below(t, 3);
		n->left = grow(t, depth - 1);
	} else if (way == 17) {
		n->kind = FOLDED;
		n->left = grow(t, depth - 1);
	}
	return n;
}

static void put(struct twin *t, const char *text)
{
	t->bytes += (size_t)snprintf(t->text + t->bytes, sizeof t->text - t->bytes, "%s", text);
	assert_true(t->bytes < sizeof t->text);
}

static size_t encode(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	out[0] = (char)(0xC0 | c >> 6);
	out[1] = (char)(0x80 | (c & 0x3F));
	return 2;
}

static void put_times(struct twin *t, const struct tree *n)
{
	char text[32];

	if (n->least == 0 && n->most == -1)
		put(t, "*");
	else if (n->least == 1 && n->most == -1)
		put(t, "+");
	else if (n->least == 0 && n->most == 1)
		put(t, "?");
	else {
		if (n->most == n->least)
			snprintf(text, sizeof text, "{%d}", n->least);
		else if (n->most == -1)
			snprintf(text, sizeof text, "{%d,}", n->least);
		else
			snprintf(text, sizeof text, "{%d,%d}", n->least, n->most);
		put(t, text);
	}
	put(t, below(t, 4) ? "" : "?");
}

static void write_tree(struct twin *t, const struct tree *n)
{
	char text[16] = "";

	switch (n->kind) {
	case CHARACTER:
		encode(n->c, text);
		put(t, n->c == '\n' ? "\\n" : text);
		break;
	case ANY:
		put(t, ".");
		break;
	case SET:
		snprintf(text, sizeof text, "[%s%c-%c]", n->negate ? "^" : "", (char)n->c, (char)n->d);
		put(t, text);
		break;
	case START:
		put(t, "^");
		break;
	case END:
		put(t, "$");
		break;
	case WORD:
		put(t, "\\b");
		break;
	case NOT_WORD:
		put(t, "\\B");
		break;
	case EMPTY:
		put(t, "()");
		break;
	case BOTH:
	case EITHER:
		put(t, below(t, 2) ? "(?:" : "(");
		write_tree(t, n->left);
		put(t, n->kind == EITHER ? "|" : "");
		write_tree(t, n->right);
		put(t, ")");
		break;
	case TIMES:
		put(t, "(");
		write_tree(t, n->left);
		put(t, ")");
		put_times(t, n);
		break;
	case FOLDED:
		put(t, "(?i:");
		write_tree(t, n->left);
		put(t, ")");
	}
}

static bool is_letter(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '1';
}

static uint32_t lower(uint32_t c)
{
	return (c >= 'A' && c <= 'Z') || c == 0xD1 ? c + 32 : c;
}

static uint32_t upper(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || c == 0xF1 ? c - 32 : c;
}

static bool in_set(const struct tree *n, uint32_t c)
{
	return c >= n->c && c <= n->d;
}

/* Where a match of the tree can end that starts at one of these places: bit k is before the k-th character.
 */
static uint32_t ends(struct twin *t, const struct tree *n, uint32_t starts);

static uint32_t ends_times(struct twin *t, const struct tree *n, uint32_t starts)
{
	uint32_t at = starts, all;

	for (int i = 0; i < n->least; i++)
		at = ends(t, n->left, at);
	all = at;
	for (int i = n->least; n->most == -1 ? i < n->least + 20 : i < n->most; i++) {
		at = ends(t, n->left, at);
		all |= at;
	}
	return all;
}

static bool taken(struct twin *t, const struct tree *n, uint32_t c)
{
	switch (n->kind) {
	case CHARACTER:
		return t->fold ? lower(c) == lower(n->c) : c == n->c;
	case ANY:
		return c != '\n';
	default:
		return (in_set(n, c) || (t->fold && (in_set(n, lower(c)) || in_set(n, upper(c))))) !=
		       n->negate;
	}
}

static uint32_t ends(struct twin *t, const struct tree *n, uint32_t starts)
{
	uint32_t out = 0;
	bool fold = t->fold;

	switch (n->kind) {
	case EMPTY:
		return starts;
	case BOTH:
		return ends(t, n->right, ends(t, n->left, starts));
	case EITHER:
		return ends(t, n->left, starts) | ends(t, n->right, starts);
	case TIMES:
		return ends_times(t, n, starts);
	case FOLDED:
		t->fold = true;
		out = ends(t, n->left, starts);
		t->fold = fold;
		return out;
	case START:
		return starts & 1;
	case END:
		return starts & 1u << t->len;
	default:
		break;
	}
	for (unsigned i = 0; i <= t->len; i++) {
		if (!(starts >> i & 1))
			continue;
		if (n->kind == WORD || n->kind == NOT_WORD) {
			bool edge = (i > 0 && is_letter(t->s[i - 1])) != (i < t->len && is_letter(t->s[i]));
			out |= edge == (n->kind == WORD) ? 1u << i : 0;
		} else if (i < t->len && taken(t, n, t->s[i])) {
			out |= 1u << (i + 1);
		}
	}
	return out;
}

static void string_run(struct twin *t, const struct tree *root, unsigned hits[2])
{
	char text[64];
	size_t bytes = 0;

	unsigned of = below(t, 2) ? LETTERS : ASCII_LETTERS;
	t->len = below(t, 10);
	for (unsigned i = 0; i < t->len; i++) {
		t->s[i] = letters[below(t, of)];
		bytes += encode(t->s[i], text + bytes);
	}
	t->fold = false;
	bool want = ends(t, root, (2u << t->len) - 1) != 0;
	bool got = regex_matches(&draft.regex, text, bytes);
	if (got != want)
		fail_msg("%s on '%.*s': %d, the twin: %d", t->text, (int)bytes, text, got, want);
	if (t->tabled) {
		draft.regex.table = &table;
		if (regex_matches(&draft.regex, text, bytes) != want)
			fail_msg("%s on '%.*s': by the table %d, the twin: %d", t->text, (int)bytes, text,
				 !want, want);
		draft.regex.table = NULL;
	}
	hits[want]++;
}

static void random_patterns_match_what_the_twin_matches(void **state)
{
	static struct twin t;
	const char *seed = getenv("REGEX_SEED");
	unsigned hits[2] = { 0 }, refused = 0, tables = 0, beyond = 0;

	(void)state;
	t.seed = seed ? strtoull(seed, NULL, 0) : 20261122;
	print_message("seed %" PRIu64 " (REGEX_SEED)\n", t.seed);
	for (int i = 0; i < 40000; i++) {
		struct regex_error e;
		t.count = 0;
		t.bytes = 0;
		const struct tree *root = grow(&t, 4);
		write_tree(&t, root);
		if (!regex_compile(&draft, t.text, t.bytes, &e)) {
			if (draft.needed <= REGEX_INSTRUCTIONS_MAX)
				fail_msg("%s: refused: %s", t.text, e.expected);
			refused++;
			continue;
		}
		t.tabled = regex_table_build(&draft.regex, &table);
		tables += t.tabled;
		beyond += t.tabled && table.beyond;
		for (int k = 0; k < 8; k++)
			string_run(&t, root, hits);
	}
	print_message(
		"40000 patterns, %u with a table (%u for all characters): %u match, %u do not, %u too big\n",
		tables, beyond, hits[1], hits[0], refused);
	assert_true(tables > 20000 && beyond > 5000);
	assert_true(hits[0] > 50000 && hits[1] > 50000 && refused < 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_matches_what_it_says),
		cmocka_unit_test(a_pattern_that_is_wrong_is_refused_at_its_place),
		cmocka_unit_test(a_pattern_is_refused_one_over_its_limit_with_the_figure),
		cmocka_unit_test(depth_of_groups_is_bounded),
		cmocka_unit_test(any_bytes_are_compiled_or_refused),
		cmocka_unit_test(random_patterns_match_what_the_twin_matches),
	};

	return cmocka_run_group_tests_name("cel_regex", tests, NULL, NULL);
}
