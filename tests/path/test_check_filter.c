// needs: user/*.c user/[bdijmpru]*/*.c user/c[ae]*/*.c user/cli/check_filter.c user/cli/check_side.c
/*
 * test_check_filter.c: `moment replay --check-filter` over a journal that a live engine recorded with
 * --prefilter=off: the compiler's own table is sound; a table that is altered so that it drops too much is
 * found out, at the very event. What moves the event clock.
 */
#include <cli/check_filter.h>
#include <cli/cli.h>

#include "path_test.h"

enum { CASH = 20, WIRE, COFFEE, TRAVEL, CHAT };

/* Types that only rules use, or only a window, or nothing. */
static const char more[] = "events:\n"
			   "  cash: { code: 20, history: rules }\n"
			   "  wire: { code: 21, history: rules }\n"
			   "  coffee: { code: 22, history: rules }\n"
			   "  travel: { code: 23, history: rules }\n"
			   "  chat: { code: 24, history: rules }\n"
			   "aggregates:\n"
			   "  coffees: { over: [coffee], count: true }\n"
			   "critical:\n"
			   "  wired: { events: [wire], repeat: every, message: plain, channels: [sms], when: "
			   "'event.amount >= 50000' }\n"
			   "  abroad: { events: [travel], repeat: every, message: plain, channels: [sms], "
			   "when: 'event.country == "
			   "country.FR' }\n"
			   "subscriptions:\n"
			   "  cash: { events: [cash], repeat: every, message: hello, channels: [push], when: "
			   "'event.amount > 0 && "
			   "agg.coffees >= 0' }\n";

struct recorded {
	struct host host;
	uint64_t sequence;		     /* of the next frame */
	uint64_t wire, cash, coffee, travel; /* sequences of what a sound table keeps */
};

static void send_event(struct recorded *r, struct client *c, uint16_t type, uint64_t customer, int64_t amount,
		       uint16_t country, const char *json)
{
	struct frame_header h = event_of(r->sequence++, type, customer, amount);

	h.country = country;
	client_send(c, h, json);
}

/* Customers 1 to 3 subscribe, 4 to 9 have a record only; customer 3 is a holder of customer 9's account. */
static void people_send(struct recorded *r, struct client *c)
{
	for (uint64_t customer = 1; customer < 10; customer++) {
		client_send(c,
			    (struct frame_header){
				    .kind = FRAME_PROFILE, .sequence = r->sequence++, .customer = customer },
			    "{\"set\": {\"language\": \"en\"}}");
		if (customer > 3)
			continue;
		client_send(c,
			    (struct frame_header){ .kind = FRAME_SUBSCRIBE,
						   .sequence = r->sequence++,
						   .customer = customer },
			    "{\"kind\": \"cash\"}");
	}
	client_send(
		c, (struct frame_header){ .kind = FRAME_PROFILE, .sequence = r->sequence++, .account = 1009 },
		"{\"set\": {\"holders\": [{\"customer\": 9, \"role\": \"owner\"}, {\"customer\": 3, "
		"\"role\": "
		"\"guardian\"}]}}");
}

/* What a sound table drops, over and over; none of it may leave a trace. */
static void noise_send(struct recorded *r, struct client *c, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		char json[96];
		snprintf(json, sizeof json, "{\"ref\": \"R%u\", \"stage\": \"%s\"}", i % 7,
			 i % 2 ? "authorised" : "posted");
		send_event(r, c, CHAT, 1 + i % 12, 100, 724, json);
		send_event(r, c, WIRE, 1 + i % 12, 49999, 724, json);
		send_event(r, c, TRAVEL, 1 + i % 12, 100, 724, json);
		send_event(r, c, CASH, 4 + i % 5, 100, 724, json);
		send_event(r, c, 1, 1 + i % 12, 100 + i, 724, json);
	}
}

static int record(void **state)
{
	struct recorded *r = calloc(1, sizeof *r);
	struct client c;
	char path[160];

	assert_non_null(r);
	host_make(&r->host, path_rules);
	snprintf(path, sizeof path, "%s/more.yaml", r->host.catalogue);
	file_write(path, more);
	r->host.options.prefilter = PREFILTER_OFF;
	host_start(&r->host);
	r->sequence = source_open(&c, r->host.port, "core", 1, 0);
	people_send(r, &c);
	noise_send(r, &c, 40);
	send_event(r, &c, COFFEE, 5, 300, 724, "");
	r->coffee = r->sequence - 1;
	send_event(r, &c, WIRE, 4, 55000, 724, "");
	r->wire = r->sequence - 1;
	send_event(r, &c, TRAVEL, 5, 100, 250, "");
	r->travel = r->sequence - 1;
	send_event(r, &c, CASH, 9, 700, 724, ""); /* its other holder subscribed */
	r->cash = r->sequence - 1;
	noise_send(r, &c, 40);
	source_wait(&c, r->sequence - 1);
	client_close(&c);
	host_stop(&r->host, NULL);
	*state = r;
	return 0;
}

static int forget(void **state)
{
	struct recorded *r = *state;

	host_remove(&r->host);
	free(r);
	return 0;
}

struct answer {
	int code;
	char *out, *err;
};

static struct answer check(const struct recorded *r, void (*alter)(struct interest_table *), uint32_t chunk)
{
	struct answer a;
	size_t out_bytes, err_bytes;
	struct check_filter_options o = { .data = r->host.data, .chunk = chunk, .alter = alter };

	o.out = open_memstream(&a.out, &out_bytes);
	o.err = open_memstream(&a.err, &err_bytes);
	assert_true(o.out && o.err);
	a.code = check_filter_run(&o);
	fclose(o.out);
	fclose(o.err);
	return a;
}

static void answer_free(struct answer *a)
{
	free(a->out);
	free(a->err);
}

static void says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static void the_compilers_own_table_is_sound(void **state)
{
	static const uint32_t chunks[] = { 0, 1, 7, 256 };
	char *first = NULL;

	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		struct answer a = check(*state, NULL, chunks[i]);
		if (a.code != CLI_OK)
			fail_msg("chunk %u: %s", chunks[i], a.err);
		says(a.out, "sound: ");
		says(a.out, "chat (24): 80 of 80 (100.0 %)");
		says(a.out, "wire (21): 80 of 81 ");
		says(a.out, "travel (23): 80 of 81 ");
		says(a.out, "cash (20): 80 of 81 ");
		if (first)
			assert_string_equal(a.out, first);
		free(a.err);
		if (!first)
			first = a.out;
		else
			free(a.out);
	}
	free(first);
}

static void table_keeps_all(struct interest_table *t)
{
	for (unsigned code = 0; code < INTEREST_TYPES; code++)
		t->type[code] = (struct interest_entry){ .action = INTEREST_KEEP };
}

static void a_table_that_keeps_all_is_sound(void **state)
{
	struct answer a = check(*state, table_keeps_all, 0);

	assert_int_equal(a.code, CLI_OK);
	says(a.out, "would drop 0 (0.0 %)");
	answer_free(&a);
}

/* ---- tables that drop too much ---- */

static void wire_is_dropped(struct interest_table *t)
{
	t->type[WIRE].action = INTEREST_DROP;
}

static void wire_wants_too_much(struct interest_table *t)
{
	assert_int_equal(t->type[WIRE].action, INTEREST_KEEP_IF);
	t->type[WIRE].amount_min = 60000;
}

static void coffee_is_dropped(struct interest_table *t)
{
	t->type[COFFEE].action = INTEREST_DROP;
}

static void enrolment_is_ignored(struct interest_table *t)
{
	assert_true(t->type[CASH].conditions & INTEREST_IF_ENROLLED);
	t->type[CASH].action = INTEREST_DROP;
}

static void france_is_forgotten(struct interest_table *t)
{
	assert_true(t->type[TRAVEL].conditions & INTEREST_IF_COUNTRY);
	memset(&t->sets.country, 0, sizeof t->sets.country);
}

static void purchase_is_for_the_enrolled(struct interest_table *t)
{
	t->type[1] =
		(struct interest_entry){ .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_ENROLLED };
}

static void each_unsound_table_is_found_at_its_event(void **state)
{
	const struct recorded *r = *state;
	const struct {
		void (*alter)(struct interest_table *);
		const char *type;
		uint64_t sequence; /* 0: any */
		const char *why;
	} rows[] = {
		{ wire_is_dropped, "wire (21)", r->wire, "rule wired" },
		{ wire_wants_too_much, "wire (21)", r->wire, "rule wired to customer 4" },
		{ coffee_is_dropped, "coffee (22)", r->coffee, "its type feeds a window" },
		{ enrolment_is_ignored, "cash (20)", r->cash, "rule cash to customer 3" },
		{ france_is_forgotten, "travel (23)", r->travel, "rule abroad to customer 5" },
		{ purchase_is_for_the_enrolled, "purchase (1)", 0, "its type feeds a window" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[160];
		struct answer a = check(*state, rows[i].alter, i % 2 ? 7 : 0);
		if (a.code != CLI_FAILED)
			fail_msg("row %zu was found sound:\n%s", i, a.out);
		snprintf(want, sizeof want, "event %s, sequence ", rows[i].type);
		says(a.err, "moment replay: unsound at position ");
		says(a.err, want);
		says(a.err, rows[i].why);
		says(a.err, "without the dropped events: nothing of the kind");
		snprintf(want, sizeof want, "sequence %llu\n", (unsigned long long)rows[i].sequence);
		if (rows[i].sequence)
			says(a.err, want);
		assert_string_equal(a.out, "");
		answer_free(&a);
	}
}

static void a_side_that_cannot_run_is_a_failure(void **state)
{
	struct recorded *r = *state, other = *r;

	snprintf(other.host.data, sizeof other.host.data, "%s/nothing", r->host.dir);
	struct answer a = check(&other, NULL, 0);
	assert_int_equal(a.code, CLI_FAILED);
	says(a.err, "no base to start from");
	answer_free(&a);
}

/* ---- the event clock ---- */

static void only_what_is_kept_for_everybody_moves_the_event_clock(void **state)
{
	const struct {
		struct interest_entry entry;
		uint8_t flags;
		bool moves;
	} rows[] = {
		{ { .action = INTEREST_KEEP }, 0, true },
		{ { .action = INTEREST_UNKNOWN }, 0, true },
		{ { .action = INTEREST_DROP }, 0, false },
		{ { .action = INTEREST_DROP }, FRAME_REVERSAL, true },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_AMOUNT, .amount_min = 100 },
		  0,
		  true },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_AMOUNT, .amount_min = 101 },
		  0,
		  false },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_ENROLLED }, 0, false },
		{ { .action = INTEREST_KEEP_IF, .conditions = INTEREST_IF_ENROLLED },
		  FRAME_MAYBE_REPEAT,
		  true },
	};
	struct interest_table *table = calloc(1, sizeof *table);
	struct catalogue c = { .interest = table };

	(void)state;
	assert_non_null(table);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct core core = { .catalogue = &c, .event_clock = true, .now = NOW };
		struct frame_header h = event_of(1, CHAT, 1, 100);
		h.flags = rows[i].flags;
		table->type[CHAT] = rows[i].entry;
		if (core_clock(&core, ENTRY_FRAME, &h) != (rows[i].moves ? h.time : NOW))
			fail_msg("row %zu", i);
	}
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_compilers_own_table_is_sound),
		cmocka_unit_test(a_table_that_keeps_all_is_sound),
		cmocka_unit_test(each_unsound_table_is_found_at_its_event),
		cmocka_unit_test(a_side_that_cannot_run_is_a_failure),
		cmocka_unit_test(only_what_is_kept_for_everybody_moves_the_event_clock),
	};

	return cmocka_run_group_tests_name("check_filter", tests, record, forget);
}
