// needs: user/control/*.c user/catalogue/*.c user/cel/*.c user/base/*.c
/*
 * test_metrics.c: what /metrics gives is Prometheus text 0.0.4, by a small checker that reads the whole of
 * it, and its numbers are those of the counters. The checker itself has negative twins.
 */
#include "control_test.h"

#include <control/show.h>
#include <ctype.h>

enum { FAMILIES_MAX = 256, SERIES_MAX = 4096, SERIES_BYTES = 512 };

struct family {
	char name[128], type[16];
	bool help, typed;
};

struct checker {
	struct family family[FAMILIES_MAX];
	uint32_t families;
	char (*series)[SERIES_BYTES];
	uint32_t series_count;
	char why[1024];
};

static bool bad(struct checker *k, const char *why, const char *line)
{
	snprintf(k->why, sizeof k->why, "%s: %.200s", why, line);
	return false;
}

static size_t name_bytes(const char *s)
{
	size_t n = 0;

	while (isalpha((unsigned char)s[n]) || s[n] == '_' || s[n] == ':' ||
	       (n && isdigit((unsigned char)s[n])))
		n++;
	return n;
}

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

/* # HELP begins a family, which must be new; # TYPE follows it. */
static bool comment_check(struct checker *k, const char *line)
{
	static const char *const types[] = { "counter", "gauge", "summary" };
	struct family *last = k->families ? &k->family[k->families - 1] : NULL;
	size_t n = name_bytes(line + 7);

	if (n == 0 || n >= sizeof last->name || line[7 + n] != ' ')
		return bad(k, "no name", line);
	if (strncmp(line, "# HELP ", 7) == 0) {
		for (uint32_t i = 0; i < k->families; i++)
			if (strlen(k->family[i].name) == n && memcmp(k->family[i].name, line + 7, n) == 0)
				return bad(k, "a family twice", line);
		last = &k->family[k->families++];
		memcpy(last->name, line + 7, n);
		last->help = true;
		for (const char *c = line + 8 + n; *c; c++)
			if (*c == '\\' && *++c != '\\' && *c != 'n')
				return bad(k, "escape in HELP", line);
		return line[8 + n] ? true : bad(k, "empty HELP", line);
	}
	if (strncmp(line, "# TYPE ", 7) != 0 || !last || last->typed || strlen(last->name) != n ||
	    memcmp(last->name, line + 7, n) != 0)
		return bad(k, "TYPE without its HELP", line);
	for (unsigned i = 0; i < ARRAY_LEN(types); i++)
		last->typed = last->typed || strcmp(types[i], line + 8 + n) == 0;
	snprintf(last->type, sizeof last->type, "%s", line + 8 + n);
	if (!last->typed)
		return bad(k, "unknown type", line);
	if ((strcmp(last->type, "counter") == 0) != ends_in(last->name, "_total"))
		return bad(k, "_total is for counters, and all of them", line);
	return true;
}

/* {a="..",b=".."}: bytes, 0 when it is wrong. */
static size_t labels_bytes(const char *s)
{
	const char *at = s + 1;

	for (;;) {
		size_t n = name_bytes(at);
		at += n;
		if (!n || *at++ != '=' || *at++ != '"')
			return 0;
		for (; *at != '"'; at++)
			if (!*at || (*at == '\\' && *++at != '\\' && *at != '"' && *at != 'n'))
				return 0;
		at++;
		if (*at == '}')
			return (size_t)(at + 1 - s);
		if (*at++ != ',')
			return 0;
	}
}

static bool belongs(const struct family *f, const char *name, size_t n)
{
	size_t m = strlen(f->name);

	if (n < m || memcmp(f->name, name, m) != 0)
		return false;
	if (n == m)
		return true;
	return strcmp(f->type, "summary") == 0 && ((n == m + 4 && memcmp(name + m, "_sum", 4) == 0) ||
						   (n == m + 6 && memcmp(name + m, "_count", 6) == 0));
}

static bool sample_check(struct checker *k, const char *line)
{
	const struct family *f = k->families ? &k->family[k->families - 1] : NULL;
	size_t n = name_bytes(line), all = n;
	char *end;

	if (!n || !f || !f->typed || !belongs(f, line, n))
		return bad(k, "a sample outside its family", line);
	if (line[n] == '{') {
		size_t labels = labels_bytes(line + n);
		if (!labels)
			return bad(k, "labels", line);
		all += labels;
	}
	if (line[all] != ' ' || all >= SERIES_BYTES || k->series_count == SERIES_MAX)
		return bad(k, "no value", line);
	strtod(line + all + 1, &end);
	if (end == line + all + 1 || *end)
		return bad(k, "value", line);
	for (uint32_t i = 0; i < k->series_count; i++)
		if (strlen(k->series[i]) == all && memcmp(k->series[i], line, all) == 0)
			return bad(k, "a series twice", line);
	memcpy(k->series[k->series_count], line, all);
	k->series[k->series_count++][all] = 0;
	return true;
}

static bool metrics_check(struct checker *k, const char *text)
{
	char *copy = strdup(text), *rest = copy, *line;
	bool good = *text && text[strlen(text) - 1] == '\n';

	memset(k, 0, sizeof *k);
	k->series = calloc(SERIES_MAX, SERIES_BYTES);
	if (!good)
		bad(k, "does not end with a line feed", "");
	while (good && (line = strsep(&rest, "\n")) && rest)
		good = line[0] == '#' ? comment_check(k, line) : sample_check(k, line);
	free(copy);
	free(k->series);
	return good;
}

static char *metrics(const struct engine_status *s, const struct catalogue *c)
{
	size_t bytes = 0;
	char *text = control_metrics_text(s, c, &bytes);

	assert_non_null(text);
	assert_int_equal(strlen(text), bytes);
	return text;
}

static void metrics_are_prometheus_text(void **state)
{
	struct engine_status *s = status_make();
	struct catalogue *c = catalogue_make(bank_yaml);
	struct checker *k = calloc(1, sizeof *k);

	(void)state;
	for (int with = 0; with < 2; with++) {
		char *text = metrics(s, with ? c : NULL);
		if (!metrics_check(k, text))
			fail_msg("%s", k->why);
		assert_true(k->families > 60);
		assert_true(k->series_count > 130);
		free(text);
	}
	memset(s, 0, sizeof *s); /* nothing happened yet, no catalogue */
	s->filter = s->durability = s->clock = "off";
	char *text = metrics(s, NULL);
	if (!metrics_check(k, text))
		fail_msg("%s", k->why);
	free(text);
	free(k);
	catalogue_free(c);
	free(s);
}

static void metrics_checker_finds_what_is_wrong(void **state)
{
#define A "# HELP a_total x\n# TYPE a_total counter\n"
	static const char *const good[] = {
		A, A "a_total 1\n", A "a_total{x=\"\\\\\\\"\\n\"} 1.5\n",
		"# HELP s x\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n"
	};
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{ "", "does not end" },
		{ A "a_total 1", "does not end" },
		{ "a_total 1\n", "outside" },
		{ A "b_total 1\n", "outside" },
		{ A "a_total_sum 1\n", "outside" },
		{ A "a_total 1\na_total 2\n", "series twice" },
		{ A "a_total{x=\"1\"} 1\na_total{x=\"1\"} 1\n", "series twice" },
		{ A "a_total{x=\"1\" 1\n", "labels" },
		{ A "a_total{} 1\n", "labels" },
		{ A "a_total{x=\"\\x\"} 1\n", "labels" },
		{ A "a_total{x=\"a\"b\"} 1\n", "labels" },
		{ A "a_total one\n", "value" },
		{ A "a_total 1 \n", "value" },
		{ A "a_total\n", "no value" },
		{ A A, "family twice" },
		{ A "\n", "outside" },
		{ "# HELP a x\n# TYPE a counter\n", "_total" },
		{ "# HELP a_total x\n# TYPE a_total gauge\n", "_total" },
		{ "# HELP a x\n# TYPE a thing\n", "unknown type" },
		{ "# HELP a x\n# TYPE b gauge\n", "TYPE without" },
		{ "# TYPE a gauge\n", "TYPE without" },
		{ "# HELP a x\na 1\n", "outside" },
		{ "# HELP a \n# TYPE a gauge\n", "empty HELP" },
		{ "# HELP a \\x\n# TYPE a gauge\n", "escape" },
	};
	struct checker *k = calloc(1, sizeof *k);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		if (!metrics_check(k, good[i]))
			fail_msg("good %u: %s", i, k->why);
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_false(metrics_check(k, wrong[i].text));
		if (!strstr(k->why, wrong[i].why))
			fail_msg("%u: '%s' expected, '%s' found", i, wrong[i].why, k->why);
	}
	free(k);
}

static void expect_line(const char *text, const char *line)
{
	char want[512];

	snprintf(want, sizeof want, "\n%s\n", line);
	if (!strstr(text, want))
		fail_msg("no line: %s", line);
}

static void metrics_show_every_counter(void **state)
{
	struct engine_status *s = status_make();
	char *text = metrics(s, NULL), line[256], lower[CONTROL_NAME_BYTES];
	unsigned next = 1001;

	(void)state;
	for (uint32_t i = 0; i < control_field_count; i++) {
		snprintf(line, sizeof line, "%s %u", control_fields[i].metric, next++);
		expect_line(text, line);
	}
	for (uint32_t i = 0; i < control_family_count; i++) {
		const struct control_family *f = &control_families[i];
		for (uint32_t j = f->first; j < f->count; j++) {
			snprintf(line, sizeof line, "%s{%s=\"%s\"} %u", f->metric, f->label,
				 control_lower(lower, f->names[j]), next++);
			expect_line(text, line);
		}
	}
	free(text);
	free(s);
}

static void metrics_say_what_these_lines_say(void **state)
{
	static const char *const lines[] = {
		"moment_engine_info{filter=\"user\",durability=\"sync\",clock=\"wall\"} 1",
		"moment_catalogue_info{hash=\"ab000000000000000000000000000011\"} 1",
		"moment_start_time_seconds 1700000000.000000001",
		"moment_checkpoint_last_seconds 1.500000001",
		"moment_events_by_type_total{code=\"1\",type=\"card.purchase\"} 71",
		"moment_events_by_type_total{code=\"77\",type=\"\"} 72",
		"moment_rule_hits_total{rule=\"velocity\",section=\"fraud\"} 52",
		"moment_rule_errors_total{rule=\"large\",section=\"subscription\"} 64",
		"moment_rule_legs_total{rule=\"large\",section=\"subscription\",channel=\"sms\"} 66",
		"moment_peer_connected{peer=\"core \\\"a\\\\b\\\"\\nx\",role=\"source\"} 1",
		"moment_peer_connected{peer=\"caf\303\251\",role=\"gateway\"} 0",
		"moment_peer_connected{peer=\"bad?\",role=\"gateway\"} 0",
		"moment_outbox_legs{channel=\"push\",lane=\"critical\"} 41",
		"moment_outbox_legs{channel=\"push\",lane=\"rest\"} 42",
		"moment_tick_seconds_sum 2.501000000",
		"moment_tick_seconds_count 1001",
		"moment_tick_max_seconds 2.500000000",
		"moment_durable_seconds{quantile=\"0.5\"} 0.000000003",
		"# TYPE moment_notices gauge",
		"# TYPE moment_events_total counter",
	};
	struct engine_status *s = status_make();
	struct catalogue *c = catalogue_make(bank_yaml);
	char *text = metrics(s, c);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		expect_line(text, lines[i]);
	assert_non_null(strstr(text, "# HELP moment_events_total Events by what they ended as. filtered: "
				     "dropped by the pre-filter"));
	free(text);
	catalogue_free(c);
	free(s);
}

static void metrics_do_not_show_confidential_rules(void **state)
{
	struct engine_status *s = status_make();
	char *text = metrics(s, NULL);

	(void)state;
	assert_non_null(strstr(text, "velocity"));
	free(text);
	s->rules[1].confidential = true;
	text = metrics(s, NULL);
	assert_null(strstr(text, "velocity"));
	assert_non_null(strstr(text, "\"large\""));
	free(text);
	free(s);
}

static void metrics_show_a_false_equation_as_0(void **state)
{
	struct engine_status *s = status_make();

	(void)state;
	ledger_good(&s->ledger);
	char *text = metrics(s, NULL);
	expect_line(text, "moment_ledger_holds{floor=\"notices\"} 1");
	expect_line(text, "moment_ledger_holds_all 1");
	free(text);
	s->ledger.notices_made++;
	text = metrics(s, NULL);
	expect_line(text, "moment_ledger_holds{floor=\"events\"} 1");
	expect_line(text, "moment_ledger_holds{floor=\"notices\"} 0");
	expect_line(text, "moment_ledger_holds_all 0");
	free(text);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_are_prometheus_text),
		cmocka_unit_test(metrics_checker_finds_what_is_wrong),
		cmocka_unit_test(metrics_show_every_counter),
		cmocka_unit_test(metrics_say_what_these_lines_say),
		cmocka_unit_test(metrics_do_not_show_confidential_rules),
		cmocka_unit_test(metrics_show_a_false_equation_as_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
