// needs: user/catalogue/yaml.c user/catalogue/problems.c user/base/arena.c user/base/bytes.c
/*
 * test_yaml.c: every node knows its place, and a byte of a scalar finds its way back to the file.
 */
#include "catalogue_test.h"

#include <catalogue/yaml.h>

struct parsed {
	struct arena arena;
	struct problems problems;
	struct yaml_file file;
};

static void parse(struct parsed *p, const char *text, size_t len)
{
	arena_init(&p->arena);
	problems_init(&p->problems);
	p->file = (struct yaml_file){ .name = "f", .display = "f", .bytes = text, .len = len };
	assert_int_equal(yaml_parse(&p->file, &p->arena, &p->problems), 0);
}

static void parsed_free(struct parsed *p)
{
	arena_deinit(&p->arena);
	problems_deinit(&p->problems);
}

/* The place of the letter Z of the scalar under the key `k`. */
static const struct place_row {
	const char *claim, *yaml;
	uint32_t line, column;
} place_rows[] = {
	{ "plain", "k: abc Z", 1, 8 },
	{ "plain_over_lines", "k: abc\n    def Z", 2, 9 },
	{ "characters_not_bytes", "k: \xc3\xa9\xe2\x82\xac Z", 1, 7 },
	{ "single", "k: 'abc Z'", 1, 9 },
	{ "single_with_apostrophes", "k: 'it''s ''Z'", 1, 13 },
	{ "single_over_lines", "k: 'abc\n\n   def Z'", 3, 8 },
	{ "double", "k: \"abc Z\"", 1, 9 },
	{ "double_with_escapes", "k: \"a\\n\\t\\\"\\x41\\u00e9\\U0001F600 Z\"", 1, 33 },
	{ "double_with_escaped_blanks", "k: \"a\\x20\\u0020\\ Z\"", 1, 18 },
	{ "double_with_escaped_line_end", "k: \"abc\\\n   Z\"", 2, 4 },
	{ "literal", "k: |\n  abc\n\n    x Z", 4, 7 },
	{ "literal_with_indicator", "k: |2-\n    abc\n  Z\n", 3, 3 },
	{ "folded", "k: >-\n  abc\n  def\n\n  Z", 5, 3 },
	{ "folded_more_indented", "k: >\n  abc\n     def\n  Z\n", 4, 3 },
	{ "behind_a_byte_order_mark", "\xef\xbb\xbfk: Z", 1, 4 },
	{ "line_ends_of_two_bytes", "a: b\r\nk: |\r\n  x\r\n  Z\r\n", 4, 3 },
	{ "in_flow", "a: [b, c]\nk: { x: [1, 2], k: 'Z' }", 2, 21 },
};

static const struct node *find_scalar(const struct node *map)
{
	const struct node *n = yaml_get(map, "k");

	assert_non_null(n);
	return n->kind == NODE_MAP ? find_scalar(n) : n;
}

static void yaml_finds_the_place_of_a_byte_of_a_scalar(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(place_rows); i++) {
		const struct place_row *r = &place_rows[i];
		struct parsed p;
		uint32_t line, column;
		const struct node *n;
		parse(&p, r->yaml, strlen(r->yaml));
		assert_int_equal(p.problems.count, 0);
		n = find_scalar(p.file.root);
		assert_non_null(strchr(n->text, 'Z'));
		yaml_text_place(n, (size_t)(strchr(n->text, 'Z') - n->text), &line, &column);
		if (line != r->line || column != r->column)
			fail_msg("%s: found %u:%u, expected %u:%u", r->claim, line, column, r->line,
				 r->column);
		parsed_free(&p);
	}
}

static void yaml_finds_the_end_behind_the_last_character(void **state)
{
	static const char text[] = "k: |\n  ab\n  c\n\n";
	struct parsed p;
	uint32_t line, column;
	const struct node *n;

	(void)state;
	parse(&p, text, sizeof text - 1);
	n = find_scalar(p.file.root);
	yaml_text_place(n, n->bytes, &line, &column);
	assert_int_equal(line, 3);
	assert_int_equal(column, 4);
	parsed_free(&p);
}

static void yaml_survives_truncation_at_each_byte(void **state)
{
	static const char text[] =
		"# x\nbank: { currency: EUR, \"zone\": 'it''s' }\nevents:\n  card.purchase:  { code: 1, "
		"body: { "
		"merchant: string } }\nx: |\n  a\n  b\ny: >-\n  c\n\n  d\nz: [a, {b: c}, \"d\\n\\u00e9\"]\n";

	(void)state;
	for (size_t len = 0; len < sizeof text; len++) {
		char *copy = malloc(len + 1); /* exactly so long: a read past the end is found by asan */
		struct parsed p;
		memcpy(copy, text, len);
		copy[len] = 0;
		parse(&p, copy, len);
		assert_true(p.problems.count == 0 || p.file.broken || p.problems.list[0].line > 0);
		parsed_free(&p);
		free(copy);
	}
}

static void yaml_bounds_nesting_and_aliases(void **state)
{
	char deep[4096];
	struct parsed p;
	static const char laughs[] = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n";

	(void)state;
	memset(deep, '[', sizeof deep);
	parse(&p, deep, sizeof deep);
	assert_true(p.file.broken);
	assert_string_equal(p.problems.list[0].text, "nested deeper than 12 levels");
	parsed_free(&p);
	parse(&p, laughs, sizeof laughs - 1);
	assert_int_equal(p.problems.count, 9); /* three anchors, six aliases: none is expanded */
	parsed_free(&p);
}

static void yaml_reads_an_empty_file_as_nothing(void **state)
{
	struct parsed p;

	(void)state;
	parse(&p, "", 0);
	assert_null(p.file.root);
	assert_int_equal(p.problems.count, 0);
	parsed_free(&p);
	parse(&p, "# only a comment\n", 17);
	assert_int_equal(p.problems.count, 0);
	parsed_free(&p);
}

static void problems_come_in_order_of_place_without_repeats(void **state)
{
	struct problems p;
	struct yaml_file a = { .display = "a" }, b = { .display = "b" };

	(void)state;
	problems_init(&p);
	problem_add_at(&p, &b, 1, 1, "five");
	problem_add_at(&p, &a, 2, 9, "four");
	problem_add_at(&p, &a, 2, 3, "two");
	problem_add_at(&p, &a, 2, 3, "two");
	problem_add_at(&p, &a, 2, 3, "three");
	problem_add_at(&p, &a, 1, 7, "one");
	problems_sort(&p);
	assert_int_equal(p.count, 5);
	assert_string_equal(p.list[0].text, "one");
	assert_string_equal(p.list[1].text, "three");
	assert_string_equal(p.list[2].text, "two");
	assert_string_equal(p.list[3].text, "four");
	assert_string_equal(p.list[4].text, "five");
	problems_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_finds_the_place_of_a_byte_of_a_scalar),
		cmocka_unit_test(yaml_finds_the_end_behind_the_last_character),
		cmocka_unit_test(yaml_survives_truncation_at_each_byte),
		cmocka_unit_test(yaml_bounds_nesting_and_aliases),
		cmocka_unit_test(yaml_reads_an_empty_file_as_nothing),
		cmocka_unit_test(problems_come_in_order_of_place_without_repeats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
