/*
 * get.c: `moment get`: one golden record, for a person or as JSON.
 *
 * In: a data directory, the number of a customer or account. Out: the record on standard output, as of the
 * last checkpoint; momentd may be running. Values are read through the catalogue that the store has kept (or
 * --catalogue): an attribute that is not set shows the catalogue's default, marked; a subscription whose kind
 * the catalogue does not have is shown as sleeping. What can go wrong: no store, no catalogue in it, no such
 * record.
 */
#include <catalogue/catalogue.h>
#include <cel/convert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <profile/row_format.h>
#include <profile/store.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ndjson.h"

static const char help[] =
	"moment get --data DIR [--catalogue DIR] [--json] CUSTOMER | account:N\n"
	"Prints one golden record as of the last checkpoint; momentd may be running.\n"
	"\n"
	"  --data DIR        the engine's data directory\n"
	"  --catalogue DIR   read the record by that catalogue (the one that the store has kept)\n"
	"  --json            one JSON object: customer, record, attributes {name: {value, default}}, "
	"subscriptions; or\n"
	"                    account, currency, alias, status, holders, cards\n"
	"\n"
	"Exit: 0 printed; 1 there is no such record, or no store; 2 usage.\n";

struct get {
	const char *data, *catalogue;
	bool json, is_account;
	uint64_t number;
	struct store *store;
	struct catalogue *c;
};

static int usage(const char *what)
{
	fprintf(stderr, "moment get: %s\n\n%s", what, help);
	return CLI_USAGE;
}

static bool take_record(struct get *g, const char *text)
{
	char *end;

	g->is_account = strncmp(text, "account:", 8) == 0;
	if (g->is_account)
		text += 8;
	errno = 0;
	g->number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && g->number > 0;
}

static int take_arguments(int argc, char **argv, struct get *g, bool *done)
{
	static const struct option options[] = {
		{ "data", required_argument, NULL, 'd' },
		{ "catalogue", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*done = true;
	optind = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'd':
			g->data = optarg;
			break;
		case 'c':
			g->catalogue = optarg;
			break;
		case 'j':
			g->json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return CLI_OK;
		default:
			return usage("unknown option");
		}
	if (!g->data)
		return usage("expected --data DIR");
	if (optind + 1 != argc || !take_record(g, argv[optind]))
		return usage("expected a CUSTOMER, a number above 0, or account:N");
	*done = false;
	return CLI_OK;
}

/* ---- values ---- */

/* As a person reads it; strings in JSON's quotes and escapes, so that no byte of a record reaches a terminal
 * raw. */
static void print_value(const struct value *v, bool json)
{
	char text[CONVERT_BYTES_MAX];
	size_t bytes = 0;

	if (v->status != VALUE_OK) {
		fputs(json ? "null" : "not set", stdout);
		return;
	}
	switch (v->type) {
	case TYPE_BOOL:
		fputs(v->i ? "true" : "false", stdout);
		return;
	case TYPE_INT:
		printf("%" PRId64, v->i);
		return;
	case TYPE_DOUBLE:
		bytes = cel_double_print(v->d, text);
		printf("%.*s", (int)bytes, text);
		return;
	case TYPE_STRING:
		ndjson_print_string(v->s, v->bytes, stdout);
		return;
	case TYPE_TIMESTAMP:
		bytes = cel_time_print(v->i, text);
		break;
	case TYPE_DURATION:
		bytes = cel_duration_print(v->i, text);
		break;
	default:
		bytes = cel_money_print(v->i, v->currency, text);
	}
	printf(json ? "\"%.*s\"" : "%.*s", (int)bytes, text);
}

static const char *name_text(const struct get *g, uint32_t name)
{
	return store_name(g->store, name);
}

/* ---- a customer ---- */

static void print_attributes(const struct get *g, const struct row *row)
{
	struct value values[ATTRIBUTES_MAX];
	bool provisional = row->flags & ROW_PROVISIONAL;

	row_profile(g->store, g->c, row, values);
	for (uint16_t i = 0; i < g->c->attribute_count; i++) {
		bool own = row_profile_is_set(g->store, row, i);
		if (g->json) {
			printf("%s\"%s\": {\"value\": ", i ? ", " : "", g->c->attributes[i].name);
			print_value(&values[i], true);
			printf(", \"default\": %s}", own ? "false" : "true");
			continue;
		}
		printf("  %-24s ", g->c->attributes[i].name);
		print_value(&values[i], false);
		printf("%s\n", own || provisional || values[i].status != VALUE_OK ? "" : "  (default)");
	}
}

static void print_numbers(const char *name, const uint64_t *list, uint32_t count)
{
	printf("%s[", name);
	for (uint32_t i = 0; i < count; i++)
		printf("%s%" PRIu64, i ? ", " : "", list[i]);
	printf("]");
}

/* Parameters of a subscription that is walked: the customer's own and the catalogue's defaults. */
static void print_params(const struct get *g, const struct cat_rule *rule, const struct row_subscription *s,
			 const struct subscription_draft *own)
{
	for (uint8_t p = 0; p < rule->param_count; p++) {
		const char *name = rule->params[p].name;
		bool set = false;
		for (uint32_t i = 0; i < own->param_count; i++)
			set = set || (strcmp(name_text(g, own->param[i].name), name) == 0 &&
				      row_param_allowed(g->c, &rule->params[p], &own->param[i].value));
		if (g->json)
			printf("%s\"%s\": {\"value\": ", p ? ", " : "", name);
		else
			printf("      %-20s ", name);
		print_value(&s->params[p], g->json);
		if (g->json)
			printf(", \"default\": %s}", set ? "false" : "true");
		else
			printf("%s\n", set || s->params[p].status != VALUE_OK ? "" : "  (default)");
	}
}

static void print_channels(const struct get *g, const struct subscription_draft *own)
{
	for (uint32_t i = 0; i < own->channel_count; i++) {
		fputs(i ? ", " : "", stdout);
		ndjson_print_string(name_text(g, own->channel[i]), strlen(name_text(g, own->channel[i])),
				    stdout);
	}
}

/* `cursor` NULL: it sleeps. */
static void print_subscription(const struct get *g, const struct subscription_draft *own,
			       const struct row_cursor *cursor)
{
	const char *kind = name_text(g, own->kind), *state = !cursor ? "sleeping" : own->on ? "on" : "off";
	struct row_subscription s;

	printf(g->json ? "{\"id\": " : "  ");
	ndjson_print_string(own->id, own->id_bytes, stdout);
	printf(g->json ? ", \"kind\": \"%s\", \"state\": \"%s\"" : "  %s, %s", kind, state);
	if (own->account_count)
		print_numbers(g->json ? ", \"accounts\": " : ", accounts ", own->account, own->account_count);
	if (own->channel_count) {
		fputs(g->json ? ", \"channels\": [" : ", channels ", stdout);
		print_channels(g, own);
		fputs(g->json ? "]" : "", stdout);
	}
	fputs(g->json ? ", \"params\": {" : "\n", stdout);
	if (cursor) {
		row_subscription_read(cursor, &s);
		print_params(g, &g->c->rules[cursor->rule], &s, own);
	}
	fputs(g->json ? "}}" : "", stdout);
}

static void print_subscriptions(const struct get *g, const struct row *row)
{
	const struct packed_subscriptions *part = row_subscription_part(row);
	const struct packed_subscription *at = packed_first(part);
	struct subscription_draft own;
	struct row_cursor cursor;
	uint32_t printed = 0;

	row_subscriptions(g->store, g->c, row, &cursor);
	while (row_subscription_next(&cursor)) {
		row_unpack_subscription(cursor.at, &own);
		fputs(g->json && printed++ ? ", " : "", stdout);
		print_subscription(g, &own, &cursor);
	}
	for (uint32_t i = 0; i < part->count; i++, at = packed_next(at)) {
		row_unpack_subscription(at, &own);
		if (catalogue_rule_find(g->c, name_text(g, own.kind), strlen(name_text(g, own.kind))))
			continue;
		fputs(g->json && printed++ ? ", " : "", stdout);
		print_subscription(g, &own, NULL);
	}
}

static void print_customer(const struct get *g, const struct row *row)
{
	const char *record = row->flags & ROW_PROVISIONAL ? "provisional" : "complete";
	uint32_t count = row_subscription_part(row)->count;

	if (g->json) {
		printf("{\"customer\": %" PRIu64 ", \"record\": \"%s\", \"attributes\": {", g->number,
		       record);
		print_attributes(g, row);
		printf("}, \"subscriptions\": [");
		print_subscriptions(g, row);
		printf("]}\n");
		return;
	}
	printf("customer %" PRIu64 "  (%s)\n", g->number,
	       row->flags & ROW_PROVISIONAL ? "provisional: subscriptions, but no record yet"
					    : "as of the last checkpoint");
	print_attributes(g, row);
	printf("%u subscription%s\n", count, count == 1 ? "" : "s");
	print_subscriptions(g, row);
}

/* ---- an account ---- */

static void print_holders(const struct get *g, const struct account_draft *a)
{
	for (uint32_t i = 0; i < a->holder_count; i++)
		printf(g->json ? "%s{\"customer\": %" PRIu64 ", \"role\": \"%s\"}"
			       : "%s  holder %" PRIu64 ", %s\n",
		       g->json && i ? ", " : "", a->holder[i].customer, holder_role_names[a->holder[i].role]);
}

static void print_card(const struct get *g, const struct draft_card *card)
{
	struct value expires = { .type = TYPE_TIMESTAMP, .i = card->expires };

	fputs(g->json ? "{\"card\": " : "  card ", stdout);
	ndjson_print_string(card->card.s, card->card.bytes, stdout);
	if (card->customer)
		printf(g->json ? ", \"customer\": %" PRIu64 : ", customer %" PRIu64, card->customer);
	if (card->expires != INT64_MIN) {
		fputs(g->json ? ", \"expires\": " : ", expires ", stdout);
		print_value(&expires, g->json);
	}
	if (card->status.s) {
		fputs(g->json ? ", \"status\": " : ", status ", stdout);
		ndjson_print_string(card->status.s, card->status.bytes, stdout);
	}
	fputs(g->json ? "}" : "\n", stdout);
}

static void print_account(const struct get *g, const struct row *row)
{
	static const char *const names[] = {
		[ACCOUNT_CURRENCY] = "currency", [ACCOUNT_ALIAS] = "alias", [ACCOUNT_STATUS] = "status"
	};
	struct value fields[ACCOUNT_FIELD_COUNT];
	struct account_draft a;

	row_account(row, fields);
	row_unpack_account(row, g->number, &a);
	printf(g->json ? "{\"account\": %" PRIu64 : "account %" PRIu64 "  (as of the last checkpoint)\n",
	       g->number);
	for (int i = ACCOUNT_CURRENCY; i <= ACCOUNT_STATUS; i++) {
		printf(g->json ? ", \"%s\": " : "  %-10s ", names[i]);
		print_value(&fields[i], g->json);
		fputs(g->json ? "" : "\n", stdout);
	}
	fputs(g->json ? ", \"holders\": [" : "", stdout);
	print_holders(g, &a);
	fputs(g->json ? "], \"cards\": [" : "", stdout);
	for (uint32_t i = 0; i < a.card_count; i++) {
		fputs(g->json && i ? ", " : "", stdout);
		print_card(g, &a.card[i]);
	}
	fputs(g->json ? "]}\n" : "", stdout);
}

/* ---- the store ---- */

static int compile_catalogue(struct get *g)
{
	struct problems problems;
	uint32_t bytes = 0;
	const void *blob = g->catalogue ? NULL : store_value(g->store, RECORD_META, "catalogue", 9, &bytes);
	int rc;

	if (!g->catalogue && !blob) {
		fprintf(stderr, "moment get: the store has no catalogue yet: give --catalogue DIR\n");
		return -ENOENT;
	}
	problems_init(&problems);
	rc = g->catalogue ? catalogue_compile_dir(g->catalogue, &g->c, &problems)
			  : catalogue_compile_blob(blob, bytes, &g->c, &problems);
	problems_print(&problems, stderr);
	problems_deinit(&problems);
	return rc;
}

static int print_record(struct get *g)
{
	char why[512];
	const struct row *row;

	if (compile_catalogue(g))
		return CLI_FAILED;
	if (store_activate(g->store, g->c, why, sizeof why)) {
		fprintf(stderr, "moment get: %s\n", why);
		return CLI_FAILED;
	}
	row = g->is_account ? store_account(g->store, g->number) : store_customer(g->store, g->number);
	if (!row) {
		fprintf(stderr, "moment get: no %s %" PRIu64 " at the last checkpoint\n",
			g->is_account ? "account" : "customer", g->number);
		return CLI_FAILED;
	}
	if (g->is_account)
		print_account(g, row);
	else
		print_customer(g, row);
	return CLI_OK;
}

int cli_get(int argc, char **argv)
{
	char dir[4096], why[512];
	struct get g = { 0 };
	struct store_options options = { .dir = dir, .read_only = true };
	bool done;
	int rc = take_arguments(argc, argv, &g, &done);

	if (done)
		return rc;
	if ((size_t)snprintf(dir, sizeof dir, "%s/store", g.data) >= sizeof dir)
		return usage("--data is too long");
	if (store_open(&g.store, &options, why, sizeof why)) {
		fprintf(stderr, "moment get: %s\n", why);
		return CLI_FAILED;
	}
	rc = print_record(&g);
	if (g.c)
		catalogue_free(g.c);
	store_close(g.store);
	return rc;
}
