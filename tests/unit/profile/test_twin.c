// needs: user/profile/change*.c user/profile/[dlos]*.c user/profile/index.c user/profile/row.c user/cel/*.c user/base/*.c
/*
 * test_twin.c: seeded random changes against a plain dictionary, with checkpoints (in a thread), reopenings
 * and reloads of the catalogue in between.
 *
 * The twin knows nothing of layouts: it keeps every value that was ever set by name, and what a catalogue has
 * not, it does not show. After a reopening it is what it was at the cut of the last committed checkpoint. The
 * seed is printed; MOMENT_SEED sets it.
 */
#include "store_test.h"

enum {
	CHANGES = 60000,
	CUSTOMERS = 60,
	ATTRIBUTES = 90, /* of all catalogues */
	KINDS = 10,
	PARAMS = 3,
	CHANNELS = 6,
	SUBS_MAX = 8,
	IDS = 12,
};

static const enum value_type attribute_types[] = { TYPE_INT,	TYPE_STRING, TYPE_MONEY,    TYPE_BOOL,
						   TYPE_DOUBLE, TYPE_STRING, TYPE_DURATION, TYPE_TIMESTAMP };
static const enum value_type param_types[] = { TYPE_MONEY, TYPE_STRING, TYPE_INT };

struct twin_sub {
	char id[24];
	int kind;
	bool on, has[PARAMS];
	struct value param[PARAMS];
	uint32_t accounts, channels;
	uint64_t account[4];
	int channel[3];
};

struct twin_customer {
	bool exists, profile;
	bool set[ATTRIBUTES];
	struct value v[ATTRIBUTES];
	uint32_t subs;
	struct twin_sub sub[SUBS_MAX];
};

struct twin {
	uint64_t seed;
	struct twin_customer now[CUSTOMERS], cut[CUSTOMERS], committed[CUSTOMERS];
	bool cut_open;
	char attribute_name[ATTRIBUTES][24], kind_name[KINDS][24], param_name[PARAMS][24],
		channel_name[CHANNELS][24];
	int attribute_of[ATTRIBUTES], kind_of[KINDS], channel_of[CHANNELS]; /* index in the catalogue, -1 */
	int attribute_at[ATTRIBUTES], kind_at[KINDS], channel_at[CHANNELS]; /* the other way round */
	struct fake *fake;
	struct store *store;
	char *dir;
	uint64_t catalogues, plain;
};

/* Strings of values: few, long lived. */
static const char *const texts[] = { "", "a", "Zoë",
				     "a rather longer text, so that rows grow over a class of the slab",
				     "x\001y" };

static struct value value_draw(struct twin *t, enum value_type type)
{
	uint64_t r = draw(&t->seed);
	struct value v = { .type = (uint8_t)type };

	switch (type) {
	case TYPE_BOOL:
		v.i = (int64_t)(r & 1);
		break;
	case TYPE_STRING:
		v.s = texts[r % 5];
		v.bytes = (uint32_t)strlen(v.s);
		break;
	case TYPE_DOUBLE:
		v.d = (double)(int64_t)r / 1024.0;
		break;
	case TYPE_MONEY:
		v.i = (int64_t)(r >> 20) - (INT64_C(1) << 40);
		v.currency = r & 1 ? 978 : 840;
		break;
	case TYPE_DURATION:
		v.i = (int64_t)(1 + r % 1000) * 60000000000;
		break;
	default:
		v.i = (int64_t)r;
	}
	return v;
}

static void value_pack(struct pack_writer *w, const struct value *v)
{
	char text[64];
	uint64_t minor = v->i < 0 ? -(uint64_t)v->i : (uint64_t)v->i;

	switch (v->type) {
	case TYPE_BOOL:
		pack_bool(w, v->i);
		break;
	case TYPE_STRING:
		pack_string(w, v->s, v->bytes);
		break;
	case TYPE_DOUBLE:
		pack_double(w, v->d);
		break;
	case TYPE_MONEY:
		snprintf(text, sizeof text, "%s%llu.%02llu %s", v->i < 0 ? "-" : "",
			 (unsigned long long)minor / 100, (unsigned long long)minor % 100,
			 v->currency == 978 ? "EUR" : "USD");
		pack_text(w, text);
		break;
	case TYPE_DURATION:
		snprintf(text, sizeof text, "%lldm", (long long)v->i / 60000000000);
		pack_text(w, text);
		break;
	default:
		pack_int(w, v->i);
	}
}

static bool value_same(const struct value *a, const struct value *b)
{
	if (a->type != b->type || a->status != b->status)
		return false;
	if (a->status != VALUE_OK)
		return true;
	if (a->type == TYPE_STRING)
		return a->bytes == b->bytes && memcmp(a->s, b->s, a->bytes) == 0;
	return a->i == b->i && (a->type != TYPE_MONEY || a->currency == b->currency);
}

/* A default that tells attributes apart; every third has none. */
static struct value default_of(int attribute)
{
	enum value_type type = attribute_types[attribute % 8];
	struct value v = { .type = (uint8_t)type, .status = VALUE_NO_DATA };

	if (attribute % 3 == 0)
		return v;
	v.status = VALUE_OK;
	v.i = attribute;
	if (type == TYPE_STRING) {
		v.s = texts[1 + attribute % 4];
		v.bytes = (uint32_t)strlen(v.s);
	}
	if (type == TYPE_MONEY)
		v.currency = 978;
	return v;
}

/* Picks some of `n` in a random order. */
static int choose(struct twin *t, int *at, int *of, int n, int least)
{
	int count = least + (int)draw_below(&t->seed, (uint32_t)(n - least + 1));

	for (int i = 0; i < n; i++) {
		at[i] = i;
		of[i] = -1;
	}
	for (int i = 0; i < n; i++) {
		int k = i + (int)draw_below(&t->seed, (uint32_t)(n - i)), swap = at[i];
		at[i] = at[k];
		at[k] = swap;
	}
	for (int i = 0; i < count; i++)
		of[at[i]] = i;
	return count;
}

static void catalogue_draw(struct twin *t)
{
	struct fake *f = fake_new(++t->catalogues);
	int attributes = choose(t, t->attribute_at, t->attribute_of, ATTRIBUTES, 0);
	int kinds = choose(t, t->kind_at, t->kind_of, KINDS, 1);
	int channels = choose(t, t->channel_at, t->channel_of, CHANNELS, 1);

	for (int i = 0; i < attributes; i++) {
		int a = t->attribute_at[i];
		fake_attribute(f, t->attribute_name[a], attribute_types[a % 8])->initial = default_of(a);
	}
	for (int i = 0; i < kinds; i++) {
		struct cat_rule *rule = fake_kind(f, t->kind_name[t->kind_at[i]]);
		for (int p = 0; p < PARAMS; p++)
			if (draw_below(&t->seed, 4))
				fake_param(f, rule, t->param_name[p], param_types[p])->initial =
					default_of(p + 3);
	}
	for (int i = 0; i < channels; i++)
		fake_channel(f, t->channel_name[t->channel_at[i]]);
	store_activate_good(t->store, &f->c);
	free(t->fake);
	t->fake = f;
}

/* ---- comparison ---- */

static void compare_attributes(struct twin *t, const struct twin_customer *c, const struct row *row,
			       uint64_t key)
{
	struct value out[ATTRIBUTES_MAX];

	row_profile(t->store, &t->fake->c, row, out);
	for (int i = 0; i < t->fake->c.attribute_count; i++) {
		int a = t->attribute_at[i];
		struct value want = c->set[a] ? c->v[a] : default_of(a);
		if (!c->profile) {
			want = (struct value){ .type = (uint8_t)attribute_types[a % 8],
					       .status = VALUE_NO_DATA };
		}
		struct value one = row_attribute(t->store, &t->fake->c, row, (uint16_t)i);
		if (!value_same(&out[i], &want) || !value_same(&one, &want))
			fail_msg("customer %llu, %s", (unsigned long long)key, t->attribute_name[a]);
		if (row && row_profile_is_set(t->store, row, (uint16_t)i) != c->set[a])
			fail_msg("customer %llu, %s is set or not", (unsigned long long)key,
				 t->attribute_name[a]);
	}
}

/* The twin's next subscription behind `after` in the catalogue's order, or NULL. */
static const struct twin_sub *sub_next(const struct twin *t, const struct twin_customer *c,
				       const struct twin_sub *after)
{
	const struct twin_sub *best = NULL;

	for (uint32_t i = 0; i < c->subs; i++) {
		const struct twin_sub *s = &c->sub[i];
		int rule = t->kind_of[s->kind];
		if (rule < 0)
			continue;
		if (after && (rule < t->kind_of[after->kind] ||
			      (rule == t->kind_of[after->kind] && strcmp(s->id, after->id) <= 0)))
			continue;
		if (!best || rule < t->kind_of[best->kind] ||
		    (rule == t->kind_of[best->kind] && strcmp(s->id, best->id) < 0))
			best = s;
	}
	return best;
}

static void compare_sub(struct twin *t, const struct twin_sub *want, const struct row_cursor *cursor)
{
	const struct cat_rule *rule = &t->fake->c.rules[cursor->rule];
	struct row_subscription got;
	uint32_t channels = 0;

	row_subscription_read(cursor, &got);
	assert_int_equal(cursor->rule, t->kind_of[want->kind] + 1);
	assert_int_equal(got.rule, cursor->rule);
	assert_int_equal(got.on, want->on);
	assert_int_equal(cursor->on, want->on);
	assert_int_equal(got.id_bytes, strlen(want->id));
	assert_memory_equal(got.id, want->id, got.id_bytes);
	assert_int_equal(got.account_count, want->accounts);
	assert_memory_equal(got.accounts, want->account, want->accounts * sizeof(uint64_t));
	for (uint32_t i = 0; i < want->channels; i++)
		if (t->channel_of[want->channel[i]] >= 0)
			assert_int_equal(got.channels[channels++], t->channel_of[want->channel[i]]);
	assert_int_equal(got.channel_count, channels);
	for (uint8_t p = 0; p < rule->param_count; p++) {
		int k = rule->params[p].name[1] - '0';
		const struct value *v = want->has[k] ? &want->param[k] : &rule->params[p].initial;
		assert_true(value_same(&got.params[p], v));
	}
}

static uint8_t flags_of(const struct twin *t, const struct twin_sub *sub)
{
	bool plain = strcmp(sub->id, t->kind_name[sub->kind]) == 0 && !sub->accounts && !sub->channels;

	for (int p = 0; p < PARAMS; p++)
		plain = plain && !sub->has[p];
	return (uint8_t)((sub->on ? KIND_ON : 0) | (plain ? KIND_PLAIN : 0));
}

/* The list in front of the row, and each subscription by its place in it. */
static void compare_kinds(struct twin *t, const struct twin_customer *c, const struct row *row)
{
	const struct twin_sub *want = NULL;
	struct row_kinds_room room;
	struct row_cursor cursor;
	struct row_kinds kinds;
	uint32_t i = 0;

	row_kinds(t->store, &t->fake->c, row, &room, &kinds);
	for (; (want = sub_next(t, c, want)); i++) {
		assert_true(i < kinds.count);
		assert_int_equal(kinds.rules[i], t->kind_of[want->kind] + 1);
		assert_int_equal(kinds.flags[i], flags_of(t, want));
		t->plain += kinds.flags[i] & KIND_PLAIN ? 1 : 0;
		row_subscription_at(t->store, &t->fake->c, row, i, &cursor);
		compare_sub(t, want, &cursor);
	}
	assert_int_equal(i, kinds.count);
	if (i)
		assert_false(row_subscription_next(&cursor)); /* it stands on the last */
}

static void compare_customer(struct twin *t, uint64_t i)
{
	const struct twin_customer *c = &t->now[i];
	const struct row *row = store_customer(t->store, i + 1);
	const struct twin_sub *want = NULL;
	struct row_cursor cursor;

	assert_int_equal(row != NULL, c->exists);
	if (row)
		assert_int_equal(!(row->flags & ROW_PROVISIONAL), c->profile);
	compare_attributes(t, c, row, i + 1);
	row_subscriptions(t->store, &t->fake->c, row, &cursor);
	while ((want = sub_next(t, c, want))) {
		assert_true(row_subscription_next(&cursor));
		compare_sub(t, want, &cursor);
	}
	assert_false(row_subscription_next(&cursor));
	compare_kinds(t, c, row);
}

static void compare_all(struct twin *t)
{
	struct store_sizes sizes;
	uint64_t customers = 0, subs = 0;

	for (uint64_t i = 0; i < CUSTOMERS; i++) {
		compare_customer(t, i);
		customers += t->now[i].exists;
		subs += t->now[i].subs;
	}
	store_sizes(t->store, &sizes);
	assert_int_equal(sizes.customers, customers);
	assert_int_equal(sizes.subscriptions, subs);
}

/* ---- changes ---- */

static void expect(enum change_outcome got, bool good)
{
	if (got != (good ? CHANGE_APPLIED : CHANGE_REFUSED))
		fail_msg("outcome %d, expected %s: %s", got, good ? "applied" : "refused", test_why);
}

static void change_profile(struct twin *t, uint64_t i)
{
	struct twin_customer after = t->now[i];
	uint32_t sets = draw_below(&t->seed, 5), unsets = draw_below(&t->seed, 3);
	uint8_t bytes[8192];
	struct pack_writer w;
	bool good = true, used[ATTRIBUTES] = { false };
	uint32_t first = draw_below(&t->seed, ATTRIBUTES);

	pack_writer_init(&w, bytes, sizeof bytes);
	pack_map(&w, 2);
	pack_text(&w, "set");
	pack_map(&w, sets);
	for (uint32_t k = 0; k < sets; k++) {
		uint32_t a = (first + k) % ATTRIBUTES;
		/* mostly ones that the catalogue has, each once */
		while (t->attribute_of[a] < 0 && draw_below(&t->seed, 60)) {
			first = (first + 1) % ATTRIBUTES;
			a = (a + 1) % ATTRIBUTES;
		}
		if (used[a])
			return;
		used[a] = true;
		after.v[a] = value_draw(t, attribute_types[a % 8]);
		after.set[a] = true;
		good = good && t->attribute_of[a] >= 0;
		pack_text(&w, t->attribute_name[a]);
		value_pack(&w, &after.v[a]);
	}
	pack_text(&w, "unset");
	pack_array(&w, unsets);
	for (uint32_t k = 0; k < unsets; k++) {
		uint32_t a = draw_below(&t->seed, ATTRIBUTES);
		good = good && t->attribute_of[a] >= 0;
		after.set[a] = false;
		pack_text(&w, t->attribute_name[a]);
	}
	after.exists = after.profile = true;
	assert_false(w.overflow);
	expect(store_apply_profile(t->store, &t->fake->c, i + 1, 0, bytes, (uint32_t)pack_bytes(&w), test_why,
				   sizeof test_why),
	       good);
	if (good)
		t->now[i] = after;
}

/* Fields of a SUBSCRIBE, drawn into `sub` and packed; false: the catalogue refuses it. */
static bool draw_fields(struct twin *t, struct twin_sub *sub, struct pack_writer *w, uint32_t fields)
{
	const struct cat_rule *rule =
		t->kind_of[sub->kind] < 0 ? NULL : &t->fake->rules[t->kind_of[sub->kind] + 1];
	int p = (int)draw_below(&t->seed, PARAMS);
	bool good = rule != NULL;

	if (fields & 1) {
		sub->on = draw_below(&t->seed, 2);
		pack_text(w, "on");
		pack_bool(w, sub->on);
	}
	if (fields & 2) {
		bool known = false;
		for (uint8_t k = 0; rule && k < rule->param_count; k++)
			known = known || strcmp(rule->params[k].name, t->param_name[p]) == 0;
		good = good && known;
		sub->has[p] = true;
		sub->param[p] = value_draw(t, param_types[p]);
		pack_text(w, "params");
		pack_map(w, 1);
		pack_text(w, t->param_name[p]);
		value_pack(w, &sub->param[p]);
	}
	if (fields & 4) {
		sub->accounts = draw_below(&t->seed, 4);
		pack_text(w, "accounts");
		pack_array(w, sub->accounts);
		for (uint32_t i = 0; i < sub->accounts; i++) {
			sub->account[i] = draw(&t->seed) | 1;
			pack_uint(w, sub->account[i]);
		}
	}
	if (fields & 8) {
		sub->channels = draw_below(&t->seed, 3);
		pack_text(w, "channels");
		pack_array(w, sub->channels);
		for (uint32_t i = 0; i < sub->channels; i++) {
			sub->channel[i] = (int)draw_below(&t->seed, CHANNELS);
			pack_text(w, t->channel_name[sub->channel[i]]);
		}
	}
	return good;
}

static void change_subscription(struct twin *t, uint64_t i)
{
	struct twin_customer *c = &t->now[i];
	uint32_t fields = draw_below(&t->seed, 16), place = 0;
	struct twin_sub sub = { .kind = (int)draw_below(&t->seed, KINDS), .on = true };
	bool with_id = draw_below(&t->seed, 2), with_kind = !with_id || draw_below(&t->seed, 3);
	uint8_t bytes[2048];
	struct pack_writer w;

	snprintf(sub.id, sizeof sub.id, "%s", with_id ? texts[1] : t->kind_name[sub.kind]);
	if (with_id)
		snprintf(sub.id, sizeof sub.id, "id%u", draw_below(&t->seed, IDS));
	while (place < c->subs && strcmp(c->sub[place].id, sub.id) != 0)
		place++;
	bool found = place < c->subs;
	if (!found && c->subs == SUBS_MAX)
		return;
	if (found && (!with_kind || c->sub[place].kind == sub.kind))
		sub = c->sub[place];
	pack_writer_init(&w, bytes, sizeof bytes);
	pack_map(&w, (uint32_t)(with_id + with_kind + __builtin_popcount(fields)));
	if (with_id) {
		pack_text(&w, "id");
		pack_text(&w, sub.id);
	}
	if (with_kind) {
		pack_text(&w, "kind");
		pack_text(&w, t->kind_name[sub.kind]);
	}
	bool good = draw_fields(t, &sub, &w, fields) && (found || with_kind);
	expect(store_apply_subscribe(t->store, &t->fake->c, i + 1, bytes, (uint32_t)pack_bytes(&w), test_why,
				     sizeof test_why),
	       good);
	if (!good)
		return;
	c->exists = true;
	c->sub[place] = sub;
	c->subs += !found;
}

static void poll(struct twin *t)
{
	int error = 0;

	if (!store_checkpoint_poll(t->store, &error))
		return;
	assert_int_equal(error, 0);
	assert_true(t->cut_open);
	memcpy(t->committed, t->cut, sizeof t->committed);
	t->cut_open = false;
}

static void checkpoint(struct twin *t)
{
	if (!store_checkpoint_begin(t->store))
		return;
	memcpy(t->cut, t->now, sizeof t->cut);
	t->cut_open = true;
	store_checkpoint_commit(t->store);
}

static void reopen(struct twin *t)
{
	if (t->cut_open) { /* close waits for a checkpoint that was handed over */
		memcpy(t->committed, t->cut, sizeof t->committed);
		t->cut_open = false;
	}
	store_close(t->store);
	t->store = store_at_with(t->dir, (struct store_options){ .thread = true });
	store_activate_good(t->store, &t->fake->c);
	memcpy(t->now, t->committed, sizeof t->now);
	compare_all(t);
}

static void twin_init(struct twin *t, uint64_t seed)
{
	t->seed = seed;
	for (int i = 0; i < ATTRIBUTES; i++)
		snprintf(t->attribute_name[i], 24, "attr_%02d", i);
	for (int i = 0; i < KINDS; i++)
		snprintf(t->kind_name[i], 24, "kind%d", (i * 7) % 10);
	for (int i = 0; i < PARAMS; i++)
		snprintf(t->param_name[i], 24, "p%d", i);
	for (int i = 0; i < CHANNELS; i++)
		snprintf(t->channel_name[i], 24, "way%d", i);
	t->dir = directory_new();
	t->store = store_at_with(t->dir, (struct store_options){ .thread = true });
	catalogue_draw(t);
}

static void store_agrees_with_a_plain_dictionary(void **state)
{
	struct twin *t = calloc(1, sizeof *t);
	const char *given = getenv("MOMENT_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : 20260301;

	(void)state;
	assert_non_null(t);
	print_message("seed %llu\n", (unsigned long long)seed);
	twin_init(t, seed);
	for (int i = 0; i < CHANGES; i++) {
		uint64_t customer = draw_below(&t->seed, CUSTOMERS);
		if (draw_below(&t->seed, 2))
			change_profile(t, customer);
		else
			change_subscription(t, customer);
		compare_customer(t, customer);
		poll(t);
		if (draw_below(&t->seed, 200) == 0)
			checkpoint(t);
		if (draw_below(&t->seed, 500) == 0) {
			catalogue_draw(t);
			compare_all(t);
		}
		if (draw_below(&t->seed, 1000) == 0)
			reopen(t);
	}
	compare_all(t);
	assert_true(t->plain > 0);
	store_close(t->store);
	free(t->fake);
	directory_free(t->dir);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(store_agrees_with_a_plain_dictionary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
