// needs: user/base/bytes.c user/base/frame.c user/base/money.c user/cli/datafile.c
/*
 * test_datafile.c: rows of PaySim and Sparkov become the events that datafile.h says, and a row that is not
 * one is refused for its column.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "cli/datafile.h"

static struct datafile_frames out;
static struct frame_header header;

static bool row(struct datafile *d, const char *line, char *error)
{
	return datafile_row(d, line, strlen(line), &out, error, 200);
}

/* The only or the given frame of a good row, checked as a source's. */
static const uint8_t *frame_of(struct datafile *d, const char *line, unsigned index, unsigned count)
{
	char error[200] = "";
	struct frame_header check;
	uint32_t offset;

	if (!row(d, line, error))
		fail_msg("%s: %s", line, error);
	assert_int_equal(out.count, count);
	memcpy(&header, out.frame[index], sizeof(header));
	check = header;
	check.sequence = 1;
	assert_null(frame_header_check(&check, ROLE_OF_SOURCE).text);
	assert_int_equal(header.length, out.bytes[index]);
	assert_null(pack_validate(out.frame[index] + 64, header.length - 64, &offset));
	return out.frame[index];
}

static struct pack_item field(const uint8_t *frame, const char *name)
{
	struct pack_reader r;
	struct pack_item none = { .type = PACK_NONE };
	uint32_t bytes, pairs;

	pack_reader_init(&r, frame + 64, header.length - 64);
	pairs = pack_read_map(&r);
	for (uint32_t i = 0; i < pairs; i++) {
		const char *key = pack_read_key(&r, &bytes);

		if (bytes == strlen(name) && memcmp(key, name, bytes) == 0)
			return pack_read(&r);
		pack_skip(&r);
	}
	return none;
}

static void assert_text(const uint8_t *frame, const char *name, const char *text)
{
	struct pack_item item = field(frame, name);

	assert_int_equal(item.type, PACK_STRING);
	assert_int_equal(item.bytes, strlen(text));
	assert_memory_equal(item.s, text, item.bytes);
}

static void headers_are_told_apart(void **state)
{
	static const char paysim[] = "step,action,amount,nameOrig";
	static const char sparkov[] = "customer|account|unix_time|category";

	(void)state;
	assert_int_equal(datafile_sniff(paysim, strlen(paysim)), DATAFILE_PAYSIM);
	assert_int_equal(datafile_sniff(sparkov, strlen(sparkov)), DATAFILE_SPARKOV);
	assert_int_equal(datafile_sniff(paysim, 5), DATAFILE_NONE);
	assert_int_equal(datafile_sniff("a,b", 3), DATAFILE_NONE);
	assert_int_equal(datafile_sniff("", 0), DATAFILE_NONE);
}

static void each_paysim_action_has_its_type(void **state)
{
	static const struct {
		const char *action;
		unsigned type, refused, touchpoint, country;
	} rows[] = {
		{ "CASH_IN", 19, 2, TOUCHPOINT_atm, 0 },  { "CASH_OUT", 3, 2, TOUCHPOINT_atm, 0 },
		{ "DEBIT", 7, 23, TOUCHPOINT_batch, 0 },  { "PAYMENT", 1, 2, TOUCHPOINT_pos, 724 },
		{ "TRANSFER", 4, 22, TOUCHPOINT_app, 0 },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
		for (unsigned refused = 0; refused < 2; refused++) {
			struct datafile d;
			const uint8_t *frame;
			char line[200];

			datafile_init(&d, DATAFILE_PAYSIM);
			snprintf(line, sizeof(line), "3,%s,20.05,C77,43.94,-23.9,M88,33.47,53.47,1,0,%u",
				 rows[k].action, refused);
			frame = frame_of(&d, line, 0, 1);
			assert_int_equal(header.type, refused ? rows[k].refused : rows[k].type);
			assert_int_equal(header.touchpoint, rows[k].touchpoint);
			assert_int_equal(header.country, rows[k].country);
			assert_int_equal(header.customer, 77);
			assert_int_equal(header.account, 1000000000000077);
			assert_int_equal(header.amount, 2005);
			assert_int_equal(header.balance, -2390);
			assert_int_equal(header.currency, 978);
			assert_true(header.time == (1772409600 + 3 * 3600) * 1000000000ll);
			assert_text(frame, "ref", "PS1");
			assert_text(frame, rows[k].type == 1 ? "merchant" : "counterparty", "M88");
			assert_int_equal(field(frame, "fraud").i, 1);
			if (refused)
				assert_text(frame, "reason", "insufficient_funds");
		}
}

static void a_transfer_to_a_customer_is_two_events(void **state)
{
	static const char line[] = "0,TRANSFER,20.00,C2292655800,43.94,23.94,C8968422455,33.47,53.47,0,0,0";
	struct datafile d;
	const uint8_t *frame;

	(void)state;
	datafile_init(&d, DATAFILE_PAYSIM);
	frame_of(&d, line, 0, 2);
	assert_int_equal(header.type, 4);
	assert_int_equal(header.customer, 2292655800);
	assert_int_equal(header.balance, 2394);
	memcpy(&header, out.frame[1], sizeof(header));
	frame = out.frame[1];
	assert_int_equal(header.type, 5);
	assert_int_equal(header.customer, 8968422455);
	assert_int_equal(header.balance, 5347);
	assert_text(frame, "counterparty", "C2292655800");
	assert_text(frame, "ref", "PS1I");
	frame_of(&d, "1,CASH_OUT,49663.56,CC3894939181,49663.56,0.00,M93,0.00,0.00,1,0,0", 0, 1);
	assert_int_equal(header.customer, 1003894939181);
	frame_of(&d, "1,TRANSFER,5,C1,5,0,B9225627826,0,0,0,0,0", 0, 1);
}

static void rows_of_one_step_follow_each_other(void **state)
{
	struct datafile d;
	int64_t last = 0;

	(void)state;
	datafile_init(&d, DATAFILE_PAYSIM);
	for (unsigned i = 0; i < 40000; i++) {
		frame_of(&d, "5,DEBIT,1,C1,2,3,C2,4,5,0,0,0", 0, 1);
		assert_true(header.time >= last);
		assert_true(header.time < (1772409600 + 6 * 3600) * 1000000000ll);
		last = header.time;
	}
	frame_of(&d, "6,DEBIT,1,C1,2,3,C2,4,5,0,0,0", 0, 1);
	assert_true(header.time > last);
}

static void a_sparkov_row_is_a_purchase_in_dollars(void **state)
{
	static const char line[] =
		"37|900000000037|1759276816|misc_net|62.2|1|Bernier, Volkman and Hoeger|40.737410|-74.786150";
	struct datafile d;
	const uint8_t *frame;

	(void)state;
	datafile_init(&d, DATAFILE_SPARKOV);
	frame = frame_of(&d, line, 0, 1);
	assert_int_equal(header.type, 1);
	assert_int_equal(header.customer, 37);
	assert_int_equal(header.account, 900000000037);
	assert_true(header.time == 1759276816000000000);
	assert_int_equal(header.amount, 6220);
	assert_true(header.balance == FRAME_BALANCE_NO_DATA);
	assert_int_equal(header.currency, 840);
	assert_int_equal(header.country, 840);
	assert_int_equal(header.mcc, 5999);
	assert_int_equal(header.touchpoint, TOUCHPOINT_online);
	assert_text(frame, "merchant", "Bernier, Volkman and Hoeger");
	assert_text(frame, "category", "misc_net");
	assert_text(frame, "card", "sk900000000037");
	assert_text(frame, "ref", "SK1");
	assert_true(field(frame, "lat").d == 40.737410 && field(frame, "lon").d == -74.786150);
	assert_int_equal(field(frame, "fraud").i, 1);
}

static void a_row_that_is_not_one_is_refused_for_its_column(void **state)
{
	static const struct {
		enum datafile_format format;
		const char *line, *reason;
	} rows[] = {
		{ DATAFILE_PAYSIM, "0,DEBIT,1,C1,2,3,C2,4,5,0,0", "11 columns" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,C1,2,3,C2,4,5,0,0,0,0", "13 columns" },
		{ DATAFILE_PAYSIM, "0,LOAN,1,C1,2,3,C2,4,5,0,0,0", "action" },
		{ DATAFILE_PAYSIM, "x,DEBIT,1,C1,2,3,C2,4,5,0,0,0", "step" },
		{ DATAFILE_PAYSIM, "1000001,DEBIT,1,C1,2,3,C2,4,5,0,0,0", "step" },
		{ DATAFILE_PAYSIM, "0,DEBIT,,C1,2,3,C2,4,5,0,0,0", "amount" },
		{ DATAFILE_PAYSIM, "0,DEBIT,-1,C1,2,3,C2,4,5,0,0,0", "amount" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1.234,C1,2,3,C2,4,5,0,0,0", "amount" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1.2.3,C1,2,3,C2,4,5,0,0,0", "amount" },
		{ DATAFILE_PAYSIM, "0,DEBIT,99999999999999999999,C1,2,3,C2,4,5,0,0,0", "amount" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,X1,2,3,C2,4,5,0,0,0", "nameOrig" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,C,2,3,C2,4,5,0,0,0", "nameOrig" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,CC,2,3,C2,4,5,0,0,0", "nameOrig" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,M1,2,3,C2,4,5,0,0,0", "nameOrig" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,C1000000000000,2,3,C2,4,5,0,0,0", "nameOrig" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,C0,2,3,C2,4,5,0,0,0", "nameOrig" },
		{ DATAFILE_PAYSIM, "0,DEBIT,1,C1,2,e,C2,4,5,0,0,0", "newBalanceOrig" },
		{ DATAFILE_PAYSIM, "0,TRANSFER,1,C1,2,3,C,4,5,0,0,0", "nameDest" },
		{ DATAFILE_PAYSIM, "", "1 columns" },
		{ DATAFILE_SPARKOV, "1|2|3|home|4|0|m|5", "8 columns" },
		{ DATAFILE_SPARKOV, "0|2|3|home|4|0|m|5|6", "out of range" },
		{ DATAFILE_SPARKOV, "1|2|0|home|4|0|m|5|6", "out of range" },
		{ DATAFILE_SPARKOV, "1|2|9000000001|home|4|0|m|5|6", "out of range" },
		{ DATAFILE_SPARKOV, "1|a|3|home|4|0|m|5|6", "account" },
		{ DATAFILE_SPARKOV, "1|2|3|home|4|yes|m|5|6", "is_fraud" },
		{ DATAFILE_SPARKOV, "1|2|3|home|4|0|m|north|6", "lat" },
		{ DATAFILE_SPARKOV, "1|2|3|home|4|0|m|5|181", "long" },
		{ DATAFILE_SPARKOV, "1|2|3|home|4|0|\xff|5|6", "UTF-8" },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		struct datafile d;
		char error[200] = "";

		datafile_init(&d, rows[k].format);
		if (row(&d, rows[k].line, error))
			fail_msg("accepted: %s", rows[k].line);
		if (!strstr(error, rows[k].reason))
			fail_msg("%s: %s", rows[k].line, error);
	}
}

static void a_row_that_is_too_long_is_refused(void **state)
{
	struct datafile d;
	char line[2000], error[200];

	(void)state;
	datafile_init(&d, DATAFILE_SPARKOV);
	snprintf(line, sizeof(line), "1|2|3|home|4|0|%01500d|5|6", 0);
	assert_false(row(&d, line, error));
	assert_non_null(strstr(error, "too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_told_apart),
		cmocka_unit_test(each_paysim_action_has_its_type),
		cmocka_unit_test(a_transfer_to_a_customer_is_two_events),
		cmocka_unit_test(rows_of_one_step_follow_each_other),
		cmocka_unit_test(a_sparkov_row_is_a_purchase_in_dollars),
		cmocka_unit_test(a_row_that_is_not_one_is_refused_for_its_column),
		cmocka_unit_test(a_row_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
