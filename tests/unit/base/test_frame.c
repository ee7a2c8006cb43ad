// needs: user/base/frame.c
/*
 * test_frame.c: what frame_header_check accepts and refuses.
 *
 * The table below says in words which fields a kind uses; it is written from schemas/frame.md and not from
 * frame.c. For each kind, each field, each flag and each role there is a case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "base/frame.h"

static const struct {
	unsigned kind;
	const char *name;
	const char *fields; /* separated by spaces, each with one in front */
	unsigned flags;
	const char *from; /* s source, g gateway, e engine */
} kinds[] = {
	{ FRAME_HELLO, "HELLO", " sequence ", 0, "sg" },
	{ FRAME_WELCOME, "WELCOME", " sequence ", 0, "e" },
	{ FRAME_EVENT, "EVENT",
	  " type sequence customer account time amount balance currency country mcc touchpoint ", 7, "s" },
	{ FRAME_ACK, "ACK", " type sequence ", 0, "sge" },
	{ FRAME_VERDICT, "VERDICT", " type sequence amount ", 8, "e" },
	{ FRAME_MESSAGE, "MESSAGE", " type sequence customer account time amount currency ", 4, "e" },
	{ FRAME_RECEIPT, "RECEIPT", " sequence ", 0, "g" },
	{ FRAME_REPLY, "REPLY", " sequence customer ", 0, "g" },
	{ FRAME_COMMAND, "COMMAND", " sequence customer account ", 4, "e" },
	{ FRAME_PROFILE, "PROFILE", " sequence customer account time ", 0, "s" },
	{ FRAME_SUBSCRIBE, "SUBSCRIBE", " sequence customer ", 0, "s" },
	{ FRAME_PING, "PING", " time ", 0, "sge" },
	{ FRAME_PONG, "PONG", " time ", 0, "sge" },
	{ FRAME_ERROR, "ERROR", " ", 0, "e" },
	{ FRAME_MANAGE, "MANAGE", " sequence customer ", 0, "s" },
	{ FRAME_CHALLENGE, "CHALLENGE", " ", 0, "" },
	{ FRAME_PROOF, "PROOF", " ", 0, "" },
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static const struct {
	const char *name;
	uint32_t offset, bytes;
} fields[] = {
	{ " type ", 6, 2 },	{ " sequence ", 8, 8 }, { " customer ", 16, 8 },   { " account ", 24, 8 },
	{ " time ", 32, 8 },	{ " amount ", 40, 8 },	{ " balance ", 48, 8 },	   { " currency ", 56, 2 },
	{ " country ", 58, 2 }, { " mcc ", 60, 2 },	{ " touchpoint ", 62, 1 },
};
enum { FIELDS = sizeof(fields) / sizeof(*fields) };

static enum frame_role role_of(char letter)
{
	return letter == 's' ? ROLE_OF_SOURCE : letter == 'g' ? ROLE_OF_GATEWAY : ROLE_OF_ENGINE;
}

/* The type of an ACK depends on who sends it: the streams that this side receives. */
static uint16_t type_for(unsigned kind, enum frame_role role)
{
	if (kind == FRAME_ACK)
		return role == ROLE_OF_ENGINE	? FRAME_EVENT
		       : role == ROLE_OF_SOURCE ? FRAME_COMMAND
						: FRAME_MESSAGE;
	return kind == FRAME_MESSAGE || kind == FRAME_EVENT ? 3 : 0;
}

static struct frame_header good(size_t row, enum frame_role role)
{
	struct frame_header h = { .length = 65, .version = 1, .kind = (uint8_t)kinds[row].kind };

	h.type = type_for(h.kind, role);
	if (strstr(kinds[row].fields, " sequence "))
		h.sequence = 7;
	if (strstr(kinds[row].fields, " customer "))
		h.customer = 5;
	if (strstr(kinds[row].fields, " time "))
		h.time = 1;
	return h;
}

static bool accepted(const struct frame_header *h, enum frame_role role)
{
	return frame_header_check(h, role).text == NULL;
}

static void assert_refused_at(const struct frame_header *h, enum frame_role role, uint32_t offset)
{
	struct frame_problem problem = frame_header_check(h, role);

	assert_non_null(problem.text);
	assert_int_equal(problem.offset, offset);
}

static void each_kind_may_come_from_its_senders_only(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (const char *letter = "sge"; *letter; letter++) {
			enum frame_role role = role_of(*letter);
			struct frame_header h = good(k, role);

			if (strchr(kinds[k].from, *letter))
				assert_true(accepted(&h, role));
			else
				assert_refused_at(&h, role, 5);
		}
}

static void a_field_that_a_kind_does_not_use_is_refused_at_its_offset(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		if (!*kinds[k].from)
			continue;
		for (size_t f = 0; f < FIELDS; f++)
			for (uint32_t byte = 0; byte < fields[f].bytes; byte++) {
				enum frame_role role = role_of(kinds[k].from[0]);
				struct frame_header h = good(k, role);

				if (strstr(kinds[k].fields, fields[f].name))
					continue;
				((uint8_t *)&h)[fields[f].offset + byte] = 1;
				assert_refused_at(&h, role, fields[f].offset);
				refused++;
			}
	}
	assert_true(refused > 500);
}

static void a_field_that_a_kind_uses_is_free(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		enum frame_role role = kinds[k].from[0] ? role_of(kinds[k].from[0]) : ROLE_OF_SOURCE;

		for (size_t f = 0; f < FIELDS; f++) {
			struct frame_header h = good(k, role);

			if (!*kinds[k].from || !strstr(kinds[k].fields, fields[f].name))
				continue;
			if (fields[f].offset == 6 && h.kind != FRAME_EVENT)
				continue; /* types have their own case */
			((uint8_t *)&h)[fields[f].offset] = 2;
			assert_true(accepted(&h, role));
		}
	}
}

static void each_flag_belongs_to_its_kinds(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (unsigned bit = 0; bit < 8 && *kinds[k].from; bit++) {
			enum frame_role role = role_of(kinds[k].from[0]);
			struct frame_header h = good(k, role);

			h.flags = (uint8_t)(1u << bit);
			if (kinds[k].flags & 1u << bit)
				assert_true(accepted(&h, role));
			else
				assert_refused_at(&h, role, 63);
		}
}

static void length_version_and_kind_have_bounds(void **state)
{
	static const struct {
		uint32_t length;
		uint8_t version, kind;
		int offset; /* -1 = accepted */
	} rows[] = {
		{ 64, 1, FRAME_PING, -1 },
		{ 65536, 1, FRAME_PING, -1 },
		{ 63, 1, FRAME_PING, 0 },
		{ 0, 1, FRAME_PING, 0 },
		{ 65537, 1, FRAME_PING, 0 },
		{ UINT32_MAX, 1, FRAME_PING, 0 },
		{ 64, 0, FRAME_PING, 4 },
		{ 64, 2, FRAME_PING, 4 },
		{ 64, 255, FRAME_PING, 4 },
		{ 64, 1, 0, 5 },
		{ 64, 1, 18, 5 },
		{ 64, 1, 31, 5 },
		{ 64, 1, 255, 5 },
		{ 63, 9, 255, 0 }, /* length is looked at first */
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		struct frame_header h = { .length = rows[k].length,
					  .version = rows[k].version,
					  .kind = rows[k].kind };

		if (rows[k].offset < 0)
			assert_true(accepted(&h, ROLE_OF_SOURCE));
		else
			assert_refused_at(&h, ROLE_OF_SOURCE, (uint32_t)rows[k].offset);
	}
}

static void an_event_has_its_ranges(void **state)
{
	struct frame_header h = good(2, ROLE_OF_SOURCE);

	(void)state;
	h.balance = FRAME_BALANCE_NO_DATA;
	h.time = INT64_MAX;
	h.amount = INT64_MAX;
	h.touchpoint = TOUCHPOINT_COUNT - 1;
	assert_true(accepted(&h, ROLE_OF_SOURCE));
	h.touchpoint = TOUCHPOINT_COUNT;
	assert_refused_at(&h, ROLE_OF_SOURCE, 62);
	h.touchpoint = 0;
	h.amount = -1;
	assert_refused_at(&h, ROLE_OF_SOURCE, 40);
	h.amount = 0;
	h.time = 0;
	assert_refused_at(&h, ROLE_OF_SOURCE, 32);
	h.time = INT64_MIN;
	assert_refused_at(&h, ROLE_OF_SOURCE, 32);
}

static void a_stream_counts_from_1(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		enum frame_role role = kinds[k].from[0] ? role_of(kinds[k].from[0]) : ROLE_OF_SOURCE;
		struct frame_header h = good(k, role);
		bool stream = strchr("\3\6\7\11\12\13\17\10", (int)kinds[k].kind) && kinds[k].kind;

		if (!*kinds[k].from || !strstr(kinds[k].fields, " sequence ") || h.kind == FRAME_VERDICT)
			continue;
		h.sequence = 0;
		if (stream)
			assert_refused_at(&h, role, 8);
		else
			assert_true(accepted(&h, role));
	}
}

static void an_ack_names_a_stream_that_its_sender_receives(void **state)
{
	static const char *const allowed[] = {
		[ROLE_OF_SOURCE] = "\11", [ROLE_OF_GATEWAY] = "\6", [ROLE_OF_ENGINE] = "\3\7"
	};

	(void)state;
	for (unsigned role = ROLE_OF_SOURCE; role <= ROLE_OF_ENGINE; role++)
		for (uint16_t type = 0; type < 300; type++) {
			struct frame_header h = {
				.length = 64, .version = 1, .kind = FRAME_ACK, .type = type
			};
			bool ok = type && type < 128 && strchr(allowed[role], type);

			assert_int_equal(accepted(&h, (enum frame_role)role), ok);
		}
}

static void verdicts_and_messages_have_known_types(void **state)
{
	(void)state;
	for (uint16_t type = 0; type < 20; type++) {
		struct frame_header verdict = good(4, ROLE_OF_ENGINE), message = good(5, ROLE_OF_ENGINE);

		verdict.type = type;
		message.type = type;
		assert_int_equal(accepted(&verdict, ROLE_OF_ENGINE), type <= 2);
		assert_int_equal(accepted(&message, ROLE_OF_ENGINE), type >= 1 && type <= 7);
	}
}

static void a_score_is_a_32_bit_number(void **state)
{
	struct frame_header h = good(4, ROLE_OF_ENGINE);

	(void)state;
	h.amount = INT32_MAX;
	assert_true(accepted(&h, ROLE_OF_ENGINE));
	h.amount++;
	assert_refused_at(&h, ROLE_OF_ENGINE, 40);
}

static void changes_name_whom_they_change(void **state)
{
	struct frame_header h = good(9, ROLE_OF_SOURCE);

	(void)state;
	assert_int_equal(h.kind, FRAME_PROFILE);
	h.customer = 0;
	assert_refused_at(&h, ROLE_OF_SOURCE, 16);
	h.account = 1; /* an account's record */
	assert_true(accepted(&h, ROLE_OF_SOURCE));
	h.time = 0;
	assert_true(accepted(&h, ROLE_OF_SOURCE));
	h.time = -1;
	assert_refused_at(&h, ROLE_OF_SOURCE, 32);
	h = good(10, ROLE_OF_SOURCE);
	assert_int_equal(h.kind, FRAME_SUBSCRIBE);
	h.customer = 0;
	assert_refused_at(&h, ROLE_OF_SOURCE, 16);
}

static void a_time_and_an_amount_are_not_negative(void **state)
{
	static const uint8_t timed[] = { FRAME_PING, FRAME_PONG, FRAME_PROFILE };
	struct frame_header h;

	(void)state;
	for (size_t i = 0; i < sizeof timed; i++) {
		h = good(timed[i] - 1u, ROLE_OF_SOURCE);
		assert_int_equal(h.kind, timed[i]);
		h.time = 0;
		assert_true(accepted(&h, ROLE_OF_SOURCE));
		h.time = -1;
		assert_refused_at(&h, ROLE_OF_SOURCE, 32);
	}
	h = good(FRAME_MESSAGE - 1, ROLE_OF_ENGINE);
	h.time = 0;
	assert_refused_at(&h, ROLE_OF_ENGINE, 32);
	h.time = 1;
	h.amount = -1;
	assert_refused_at(&h, ROLE_OF_ENGINE, 40);
	h = good(FRAME_VERDICT - 1, ROLE_OF_ENGINE);
	h.sequence = 0;
	assert_refused_at(&h, ROLE_OF_ENGINE, 8);
}

/* Wrong in everything; put right one after the other, the next in order is named. */
static void the_first_thing_that_is_wrong_is_named(void **state)
{
	struct frame_header h;

	(void)state;
	memset(&h, 0xff, sizeof h);
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_LENGTH);
	h.length = 65536;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_VERSION);
	h.version = 1;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_KIND);
	h.kind = FRAME_PROOF;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_KIND_RESERVED);
	h.kind = FRAME_COMMAND;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_KIND_OF_ANOTHER);
	h.kind = FRAME_PROFILE;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_FLAGS);
	h.flags = 0;
	h.sequence = 0;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_SEQUENCE);
	h.sequence = 1;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_UNUSED_type);
	h.type = 0;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_UNUSED_amount);
	h.amount = h.balance = h.currency = h.country = h.mcc = h.touchpoint = 0;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_TIME);
	h.time = h.customer = h.account = 0;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_PROFILE_OF);
	h.account = 1;
	assert_int_equal(header_check(&h, ROLE_OF_SOURCE), HEADER_GOOD);
}

/* Good headers with one or two bytes changed reach all of check.h's table; its words and offset come out. */
static void every_problem_is_met_and_has_its_words(void **state)
{
	unsigned met[HEADER_PROBLEM_COUNT] = { 0 };
	uint64_t random = 20260101;

	(void)state;
	for (unsigned round = 0; round < 400000; round++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		enum frame_role role = (enum frame_role)(1 + (random >> 33) % 3);
		struct frame_header h = good((random >> 40) % KINDS, role);
		((uint8_t *)&h)[random >> 58] = (uint8_t)(random >> 50);
		if (round & 1)
			((uint8_t *)&h)[random >> 20 & 63] = (uint8_t)(random >> 28 & 1 ? 0 : 0x80);
		enum header_problem problem = header_check(&h, role);
		struct frame_problem words = frame_header_check(&h, role);
		met[problem]++;
		assert_int_equal(problem == HEADER_GOOD, words.text == NULL);
		assert_true(words.offset < FRAME_HEADER_BYTES);
	}
	for (unsigned problem = 0; problem < HEADER_PROBLEM_COUNT; problem++)
		if (!met[problem])
			fail_msg("problem %u was not met", problem);
}

static void every_kind_has_its_name(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		assert_string_equal(frame_kind_name(kinds[k].kind), kinds[k].name);
	assert_int_equal(KINDS, FRAME_KIND_COUNT - 1);
	assert_null(frame_kind_name(0));
	assert_null(frame_kind_name(FRAME_KIND_COUNT));
	assert_null(frame_kind_name(1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_may_come_from_its_senders_only),
		cmocka_unit_test(a_field_that_a_kind_does_not_use_is_refused_at_its_offset),
		cmocka_unit_test(a_field_that_a_kind_uses_is_free),
		cmocka_unit_test(each_flag_belongs_to_its_kinds),
		cmocka_unit_test(length_version_and_kind_have_bounds),
		cmocka_unit_test(an_event_has_its_ranges),
		cmocka_unit_test(a_stream_counts_from_1),
		cmocka_unit_test(an_ack_names_a_stream_that_its_sender_receives),
		cmocka_unit_test(verdicts_and_messages_have_known_types),
		cmocka_unit_test(a_score_is_a_32_bit_number),
		cmocka_unit_test(changes_name_whom_they_change),
		cmocka_unit_test(a_time_and_an_amount_are_not_negative),
		cmocka_unit_test(the_first_thing_that_is_wrong_is_named),
		cmocka_unit_test(every_problem_is_met_and_has_its_words),
		cmocka_unit_test(every_kind_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
