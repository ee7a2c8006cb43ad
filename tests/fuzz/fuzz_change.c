// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * fuzz_change.c: bodies of PROFILE (customer, account) and SUBSCRIBE into a store, under two catalogues in
 * turn.
 *
 * Byte 0 says which frame, which of eight keys and which catalogue; the rest is the body. What pack_validate
 * lets pass is applied; afterwards the row reads back whole: a refusal changes nothing, an applied change
 * keeps the row's rules. The store lives in /tmp for the process; nothing is committed.
 */
#include <assert.h>
#include <base/bytes.h>
#include <profile/row_format.h>
#include <profile/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const holder_role_names[ROLE_COUNT] = { NULL,	  "owner",    "co_owner",
						    "authorised", "guardian", "delegate" };

enum { KEYS = 8 };

/* A fuzzer's process is one test: its store is its own. */
static struct store *store;
static struct catalogue catalogues[2];
static struct cat_attribute attributes[2][8];
static struct cat_rule rules[2][3];
static struct cat_param params[4];
static struct cat_channel channels[2];

static void catalogue_make(int n)
{
	static const struct cat_attribute all[] = {
		{ .name = "language", .type = TYPE_STRING }, { .name = "age", .type = TYPE_INT },
		{ .name = "vip", .type = TYPE_BOOL },	     { .name = "score", .type = TYPE_DOUBLE },
		{ .name = "since", .type = TYPE_TIMESTAMP }, { .name = "limit", .type = TYPE_MONEY },
		{ .name = "pause", .type = TYPE_DURATION },  { .name = "party", .type = TYPE_INT },
	};
	struct catalogue *c = &catalogues[n];

	*c = (struct catalogue){ .hash = { .low = 1 + (uint64_t)n },
				 .attributes = attributes[n],
				 .attribute_count = (uint16_t)(n ? 5 : 8),
				 .rules = rules[n],
				 .rule_count = (uint16_t)(n ? 1 : 2),
				 .channels = channels,
				 .channel_count = 2 };
	c->rates = (struct money_rates){ .bank = 978, .bank_exponent = 2 };
	for (int i = 0; i < c->attribute_count; i++) {
		attributes[n][i] = all[n ? 7 - i : i];
		attributes[n][i].initial = (struct value){ .status = VALUE_NO_DATA };
	}
	rules[n][0] = (struct cat_rule){ .name = "large", .number = 0, .param_count = 3, .params = params };
	rules[n][1] =
		(struct cat_rule){ .name = "other", .number = 1, .param_count = 1, .params = params + 3 };
}

static void make(void)
{
	static char dir[] = "/tmp/moment-fuzz-XXXXXX";
	struct store_options o = { .dir = dir, .map_bytes = 1 << 24, .records_bytes = 1 << 24 };
	char why[256];

	params[0] = (struct cat_param){ .name = "threshold",
					.type = TYPE_MONEY,
					.has_min = true,
					.min = { .type = TYPE_MONEY, .currency = 978 } };
	params[1] = (struct cat_param){
		.name = "count", .type = TYPE_INT, .has_max = true, .max = { .type = TYPE_INT, .i = 100 }
	};
	params[2] = (struct cat_param){ .name = "span", .type = TYPE_DURATION };
	params[3] = (struct cat_param){ .name = "text", .type = TYPE_STRING };
	channels[0].name = "push";
	channels[1].name = "sms";
	catalogue_make(0);
	catalogue_make(1);
	if (!mkdtemp(dir) || store_open(&store, &o, why, sizeof why))
		abort();
	/* it is open: its names are not needed any more, and nothing is left behind */
	static const char *const files[] = { "data.mdb", "lock.mdb", "owner" };
	for (int i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void read_back(const struct catalogue *c)
{
	struct value v[16], fields[ACCOUNT_FIELD_COUNT];
	struct row_subscription s;
	struct row_cursor cursor;
	uint32_t holders, rule = 0;

	for (uint64_t key = 1; key <= KEYS; key++) {
		const struct row *row = store_customer(store, key);
		assert(!row || (row->bytes <= ROW_BYTES_MAX && row->bytes % 8 == 0 && row->key == key));
		row_profile(store, c, row, v);
		row_subscriptions(store, c, row, &cursor);
		for (rule = 0; row_subscription_next(&cursor); rule = cursor.rule) {
			assert(cursor.rule >= rule && cursor.rule < c->rule_count);
			row_subscription_read(&cursor, &s);
			assert(utf8_valid(s.id, s.id_bytes) && s.id_bytes > 0);
		}
		row = store_account(store, key);
		row_account(row, fields);
		if (row)
			(void)row_holders(row, &holders);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t offset;
	char why[160];

	if (!store)
		make();
	if (size < 1 || size > FRAME_BYTES_MAX || pack_validate(data + 1, size - 1, &offset))
		return 0;
	const struct catalogue *c = &catalogues[data[0] & 1];
	uint64_t key = 1 + (data[0] >> 1) % KEYS;
	int frame = (data[0] >> 4) % 3;
	uint32_t bytes = (uint32_t)size - 1;
	if (store_activate(store, c, why, sizeof why))
		abort();
	struct hash128 before = store_digest(store, c);
	enum change_outcome outcome =
		frame == 2 ? store_apply_subscribe(store, c, key, data + 1, bytes, why, sizeof why)
			   : store_apply_profile(store, c, frame ? 0 : key, frame ? key : 0, data + 1, bytes,
						 why, sizeof why);
	assert(outcome >= CHANGE_APPLIED && outcome <= CHANGE_NOT_YET);
	if (outcome != CHANGE_APPLIED) {
		struct hash128 after = store_digest(store, c);
		assert(before.low == after.low && before.high == after.high);
		assert(strlen(why) > 0 && store_refused_offset(store) <= bytes);
	}
	read_back(c);
	return 0;
}
