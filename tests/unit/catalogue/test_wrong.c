// needs: user/catalogue/*.c user/cel/*.c user/base/arena.c user/base/money.c user/base/bytes.c
/*
 * test_wrong.c: wrong catalogues and the exact words, line and column that each gives. Every refusal of
 * the compiler has a row. A row is a file b.yaml besides a.yaml, the small bank of catalogue_test.h, or the
 * only file.
 */
#include "catalogue_test.h"

#define RULE(extra) "{ events: [card.purchase], repeat: every, message: hello" extra " }"

static const struct row {
	const char *claim, *yaml, *expected; /* x.yaml: it is the only file */
} rows[] = {
	/* --- YAML --- */
	{ "flow_without_end", "groups: { a: [login\n",
	  "b.yaml:2:1: flow sequence without a closing bracket\n" },
	{ "quote_without_end", "groups: { a: \"login\n",
	  "b.yaml:1:15: double-quoted scalar without closing quote\n" },
	{ "tab_indent", "groups:\n\ta: [login]\n",
	  "b.yaml:2:1: tab character may not be used as indentation\n" },
	{ "anchor", "groups: { a: &x [login] }\n",
	  "b.yaml:1:17: found an anchor (&name); anchors and aliases are not used in a catalogue\n" },
	{ "alias", "groups: { a: *x }\n",
	  "b.yaml:1:14: found an alias (*name); anchors and aliases are not used in a catalogue\n"
	  "b.yaml:1:14: found nothing, expected a list of event types: [a, b]\n" },
	{ "tag", "groups: { a: !!seq [login] }\n",
	  "b.yaml:1:20: found a tag (!name); tags are not used in a catalogue\n" },
	{ "key_twice", "channels:\n  x: { max: 1 }\n  x: { max: 2 }\n",
	  "b.yaml:3:3: found the key 'x' a second time; the first is at line 2\n" },
	{ "second_document", "groups: {}\n---\ngroups: {}\n",
	  "b.yaml:2:1: found a second document; a file holds one\n" },
	{ "control_character", "groups: {}\n#\x01\n", "b.yaml:2:2: found a control character\n" },
	{ "not_utf8", "groups: {}\n# \xff\n", "b.yaml:2:1: found bytes that are not UTF-8 in this line\n" },
	{ "too_deep", "groups: [[[[[[[[[[[[[[[login]]]]]]]]]]]]]]]\n",
	  "b.yaml:1:9: found a list, expected a map: { key: value } for 'groups'\nb.yaml:1:20: nested deeper "
	  "than 12 levels\n" },
	{ "list_as_key", "? [a]\n: b\n", "b.yaml:1:3: found a list or map as a key, expected a name\n" },
	{ "not_a_map", "- a\n",
	  "b.yaml:1:1: found a list, expected a catalogue file: a map { key: value }\n" },

	/* --- keys --- */
	{ "section_misspelt", "event: {}\n",
	  "b.yaml:1:1: unknown key 'event' in a catalogue file; did you mean 'events'?\n" },
	{ "section_not_yet", "offers: {}\n",
	  "b.yaml:1:1: not yet: 'offers' in a catalogue file is not built\n" },
	{ "timers_not_yet", "timers: {}\n",
	  "b.yaml:1:1: not yet: 'timers' in a catalogue file is not built\n" },
	{ "journeys_not_yet", "journeys: {}\n",
	  "b.yaml:1:1: not yet: 'journeys' in a catalogue file is not built\n" },
	{ "policy_not_yet", "policy: {}\n",
	  "b.yaml:1:1: not yet: 'policy' in a catalogue file is not built\n" },
	{ "categories_not_yet", "categories: {}\n",
	  "b.yaml:1:1: not yet: 'categories' in a catalogue file is not built\n" },
	{ "places_not_yet", "places: {}\n",
	  "b.yaml:1:1: not yet: 'places' in a catalogue file is not built\n" },
	{ "segments_not_yet", "segments: {}\n",
	  "b.yaml:1:1: not yet: 'segments' in a catalogue file is not built\n" },
	{ "section_is_a_list", "groups: [a]\n",
	  "b.yaml:1:9: found a list, expected a map: { key: value } for 'groups'\n" },
	{ "entry_is_a_scalar", "channels: { x: 3 }\n",
	  "b.yaml:1:16: found '3', expected a channel: a map { key: value }\n" },
	{ "key_misspelt",
	  "subscriptions:\n  r: { events: [login], repaet: every, repeat: every, message: hello }\n",
	  "b.yaml:2:25: unknown key 'repaet' in a subscription; did you mean 'repeat'?\n" },
	{ "key_missing", "subscriptions:\n  r: { events: [login], repeat: every }\n",
	  "b.yaml:2:3: missing key 'message' in a subscription\n" },
	{ "value_missing", "channels: { x: { max: } }\n",
	  "b.yaml:1:21: found nothing, expected one value for 'max'\n" },
	{ "list_expected", "critical: { r: { events: login, repeat: every, message: hello } }\n",
	  "b.yaml:1:26: found 'login', expected a list: [a, b] for 'events'\n" },

	/* --- bank, rates --- */
	{ "bank_missing", "groups: {}\n",
	  "x.yaml:1:1: missing key 'currency' in bank: bank: { currency: EUR }\n" },
	{ "bank_key_twice", "bank: { currency: USD }\n",
	  "b.yaml:1:9: found the key of bank 'currency' a second time; the key of bank of this name is at "
	  "DIR/a.yaml:1\n" },
	{ "bank_key_unknown", "bank: { contry: ES }\n",
	  "b.yaml:1:9: unknown key 'contry' in bank; did you mean 'country'?\n" },
	{ "currency_unknown", "bank: { currency: EUX }\n",
	  "x.yaml:1:19: found 'EUX', expected a currency code of ISO 4217 such as EUR\n" },
	{ "country_unknown", "bank: { country: XX }\n",
	  "b.yaml:1:18: found 'XX', expected a country code of ISO 3166-1 such as ES\n" },
	{ "zone_unknown", "bank: { currency: EUR, zone: Europe/Madird }\n",
	  "x.yaml:1:30: found 'Europe/Madird', expected a time zone such as Europe/Madrid or UTC; did you "
	  "mean 'Europe/Madrid'?\n" },
	{ "duration_wrong", "bank: { lateness: 10x }\n",
	  "b.yaml:1:19: found '10x', expected a duration such as 30s, 10m, 24h, 90d or 2w\n" },
	{ "duration_zero", "bank: { lateness: 0s }\n",
	  "b.yaml:1:19: found '0s', expected a duration such as 30s, 10m, 24h, 90d or 2w\n" },
	{ "duration_overflow", "bank: { lateness: 99999999w }\n",
	  "b.yaml:1:19: found '99999999w', expected a duration such as 30s, 10m, 24h, 90d or 2w\n" },
	{ "size_wrong", "bank: { memory: { windows: 8 } }\n",
	  "b.yaml:1:28: found '8', expected a size such as 512MB, 8GB or 2GiB\n" },
	{ "refs_zero", "bank: { memory: { refs: 0 } }\n",
	  "b.yaml:1:25: found '0', expected a whole number from 1 to 4294967296\n" },
	{ "starts_wrong", "bank: { currency: EUR, starts: full }\n",
	  "x.yaml:1:32: found 'full', expected empty\n" },
	{ "language_wrong", "bank: { currency: EUR, language: EN }\n",
	  "x.yaml:1:34: found 'EN', expected a language such as en, es or es-CO\n" },
	{ "language_not_of_icu", "messages: { m: { en: 'a', qq: 'b' } }\n",
	  "a.yaml:1:1: the catalogue has texts in 'qq', which is no language that ICU knows\n" },
	{ "rate_of_the_bank", "rates: { EUR: 1 }\n",
	  "b.yaml:1:10: found a rate of EUR, which is the bank's own currency\n" },
	{ "rate_zero", "rates: { GBP: 0 }\n",
	  "b.yaml:1:15: found '0', expected a rate such as 0.92: above 0, at most 9 decimals\n" },
	{ "rate_too_fine", "rates: { GBP: 0.1234567891 }\n",
	  "b.yaml:1:15: found '0.1234567891', expected a rate such as 0.92: above 0, at most 9 decimals\n" },
	{ "rate_unknown_currency", "rates: { ZZZ: 2 }\n",
	  "b.yaml:1:10: found 'ZZZ', expected a currency code of ISO 4217 such as EUR\n" },

	/* --- events, groups --- */
	{ "code_zero", "events: { x: { code: 0 } }\n",
	  "b.yaml:1:22: found '0', expected a whole number from 1 to 65535\n" },
	{ "code_too_large", "events: { x: { code: 65536 } }\n",
	  "b.yaml:1:22: found '65536', expected a whole number from 1 to 65535\n" },
	{ "code_quoted", "events: { x: { code: '7' } }\n",
	  "b.yaml:1:22: found the text '7', expected a whole number from 1 to 65535\n" },
	{ "code_twice", "events: { x: { code: 4 } }\n",
	  "b.yaml:1:22: found code 4 a second time; 'transfer.out' has it\n" },
	{ "event_twice", "events: { login: { code: 11 } }\n",
	  "b.yaml:1:11: found the event type 'login' a second time; the event type of this name is at "
	  "DIR/a.yaml:6\n" },
	{ "event_name_wrong", "events: { 9x: { code: 11 } }\n",
	  "b.yaml:1:11: found '9x', expected the name of event type: letters, digits and _, parts joined by "
	  "dots, a letter first\n" },
	{ "event_named_any", "events: { any: { code: 11 } }\n",
	  "b.yaml:1:11: 'any' is the group of all event types, expected another name\n" },
	{ "name_too_long",
	  "channels: { a123456789012345678901234567890123456789012345678901234567890123: { max: 1 } }\n",
	  "b.yaml:1:13: the name of channel has 64 bytes, the limit is 63\n" },
	{ "history_wrong", "events: { x: { code: 5, history: ful } }\n",
	  "b.yaml:1:34: found 'ful', expected full or rules; did you mean 'full'?\n" },
	{ "body_type_wrong", "events: { x: { code: 5, body: { a: text } } }\n",
	  "b.yaml:1:36: found 'text', expected bool, int, double, string or timestamp\n" },
	{ "body_type_differs", "events: { x: { code: 5, body: { lat: string } } }\n",
	  "b.yaml:1:33: found body field 'lat' as string; it is double in another event type\n" },
	{ "body_reserved", "events: { x: { code: 5, body: { ref: string } } }\n",
	  "b.yaml:1:33: the body field 'ref' is reserved: every event has it\n" },
	{ "touch_not_yet", "events: { x: { code: 5, touch: true } }\n",
	  "b.yaml:1:25: not yet: 'touch' in an event type is not built\n" },
	{ "group_of_groups", "groups: { a: [debit] }\n",
	  "b.yaml:1:15: found 'debit', expected an event type (a group holds types only)\n" },
	{ "group_named_as_event", "groups: { login: [card.purchase] }\n",
	  "b.yaml:1:11: the group 'login' has the name of an event type\n" },
	{ "event_unknown", "critical: { r: { events: [card.purchas], repeat: every, message: hello } }\n",
	  "b.yaml:1:27: found 'card.purchas', expected an event type or group; did you mean "
	  "'card.purchase'?\n" },
	{ "group_unknown", "critical: { r: { events: [debits], repeat: every, message: hello } }\n",
	  "b.yaml:1:27: found 'debits', expected an event type or group; did you mean 'debit'?\n" },
	{ "event_listed_twice",
	  "critical: { r: { events: [login, login], repeat: every, message: hello } }\n",
	  "b.yaml:1:34: found 'login' a second time in 'events'\n" },
	{ "events_empty", "critical: { r: { events: [], repeat: every, message: hello } }\n",
	  "b.yaml:1:26: found an empty list for 'events', expected event types\n" },
	{ "event_of_a_pattern", "critical: { r: { events: [pattern.x], repeat: every, message: hello } }\n",
	  "b.yaml:1:27: found 'pattern.x', but there is no pattern of that name\n" },

	/* --- profile --- */
	{ "attribute_type_wrong", "profile: { x: { type: integer } }\n",
	  "b.yaml:1:23: found 'integer', expected bool, int, double, string, timestamp, duration or "
	  "money\n" },
	{ "attribute_default_wrong", "profile: { x: { type: money, default: 100 EURO } }\n",
	  "b.yaml:1:39: found '100 EURO', expected money such as \"100 EUR\" or \"12.50 USD\"\n" },
	{ "attribute_default_fine", "profile: { x: { type: money, default: 100.5 JPY } }\n",
	  "b.yaml:1:39: found '100.5 JPY', expected money such as \"100 EUR\" or \"12.50 USD\"\n" },
	{ "attribute_default_int", "profile: { x: { type: int, default: 9223372036854775808 } }\n",
	  "b.yaml:1:37: found '9223372036854775808', expected a whole number\n" },
	{ "attribute_default_bool", "profile: { x: { type: bool, default: yes } }\n",
	  "b.yaml:1:38: found 'yes', expected true or false\n" },
	{ "attribute_default_double", "profile: { x: { type: double, default: 1e3 } }\n",
	  "b.yaml:1:40: found '1e3', expected a number such as 0.5\n" },
	{ "attribute_default_time", "profile: { x: { type: timestamp, default: 2026-02-30 } }\n",
	  "b.yaml:1:43: found '2026-02-30', expected a time such as \"2026-01-31T09:00:00Z\"\n" },
	{ "attribute_language", "profile: { party: { type: string } }\n",
	  "b.yaml:1:12: found the attribute 'party' as string, expected int\n" },

	/* --- aggregates --- */
	{ "no_function", "aggregates: { x: { over: [login] } }\n",
	  "b.yaml:1:15: missing key in an aggregate: one of count, sum, mean, min, max, deviation, "
	  "distinct, last\n" },
	{ "two_functions", "aggregates: { x: { over: [login], count: true, max: base } }\n",
	  "b.yaml:1:53: found 'max' besides 'count', expected one function\n" },
	{ "count_false", "aggregates: { x: { over: [login], count: false } }\n",
	  "b.yaml:1:42: found 'false', expected count: true\n" },
	{ "sum_of_amount", "aggregates: { x: { over: [debit], sum: amount, within: 1h } }\n",
	  "b.yaml:1:40: found 'sum: amount' per customer, where currencies can differ; expected 'sum: base', "
	  "or per: account, or per: currency, or mixed: true\n" },
	{ "mean_of_balance", "aggregates: { x: { over: [debit], mean: balance, per: card } }\n",
	  "b.yaml:1:41: found 'mean: balance' per card, where currencies can differ; expected 'mean: base', "
	  "or per: account, or per: currency, or mixed: true\n" },
	{ "mixed_without_use", "aggregates: { x: { over: [debit], sum: base, mixed: true } }\n",
	  "b.yaml:1:53: found 'mixed' with no amount in the event's currency\n" },
	{ "sum_of_country", "aggregates: { x: { over: [debit], sum: country } }\n",
	  "b.yaml:1:40: found 'country', expected amount, base, balance or body.x\n" },
	{ "last_of_unknown", "aggregates: { x: { over: [debit], last: contry } }\n",
	  "b.yaml:1:41: found 'contry', expected amount, base, balance, time, country, mcc, currency, "
	  "touchpoint, customer or body.x; did you mean 'country'?\n" },
	{ "per_unknown", "aggregates: { x: { over: [debit], count: true, per: acount } }\n",
	  "b.yaml:1:53: found 'acount', expected customer, account, card, currency or body.x; did you "
	  "mean 'account'?\n" },
	{ "last_of_nothing", "aggregates: { x: { over: [debit], last: [] } }\n",
	  "b.yaml:1:41: found an empty list for 'last', expected fields: [time, country]\n" },
	{ "last_twice", "aggregates: { x: { over: [debit], last: [time, lat, body.lat] } }\n",
	  "b.yaml:1:53: found 'lat' a second time in 'last'\n" },
	{ "last_of_a_map", "aggregates: { x: { over: [debit], last: { a: b } } }\n",
	  "b.yaml:1:41: found a map, expected a field or a list of fields for 'last'\n" },
	{ "last_of_unknown_body_field", "aggregates: { x: { over: [debit], last: [time, body.merchent] } }\n",
	  "b.yaml:1:48: found 'body.merchent', but there is no body field of that name; did you mean "
	  "'merchant'?\n" },
	{ "sum_of_text", "aggregates: { x: { over: [debit], sum: body.payee } }\n",
	  "b.yaml:1:40: found 'body.payee', which is string; 'sum' of a body field takes int\n" },
	{ "sum_without_prefix", "aggregates: { x: { over: [debit], sum: payee } }\n",
	  "b.yaml:1:40: found 'payee', expected amount, base, balance or body.x\n" },
	{ "distinct_of_double", "aggregates: { x: { over: [debit], distinct: body.lat } }\n",
	  "b.yaml:1:45: found 'body.lat', which is double; 'distinct' of a body field takes any type but "
	  "double\n" },
	{ "distinct_of_amount", "aggregates: { x: { over: [debit], distinct: amount } }\n",
	  "b.yaml:1:45: found 'amount', expected country, mcc, currency, touchpoint, customer or body.x\n" },
	{ "deviation_of_amount", "aggregates: { x: { over: [debit], deviation: amount } }\n",
	  "b.yaml:1:46: found 'deviation: amount' per customer, where currencies can differ; expected "
	  "'deviation: base', or per: account, or per: currency, or mixed: true\n" },
	{ "record_of_amount", "aggregates: { x: { over: [debit], last: [time, amount] } }\n",
	  "b.yaml:1:48: found 'last: amount' per customer, where currencies can differ; expected 'last: "
	  "base', or per: account, or per: currency, or mixed: true\n" },
	{ "calendar_unknown", "aggregates: { x: { over: [debit], count: true, calendar: moth } }\n",
	  "b.yaml:1:58: found 'moth', expected day, week or month; did you mean 'month'?\n" },
	{ "calendar_and_within",
	  "aggregates: { x: { over: [debit], count: true, within: 1d, calendar: day } }\n",
	  "b.yaml:1:70: found 'calendar' besides 'within', expected one of them\n" },
	{ "within_too_long", "aggregates: { x: { over: [debit], count: true, within: 401d } }\n",
	  "b.yaml:1:56: found '401d' for 'within', the limit is 400d\n" },
	{ "per_nothing", "aggregates: { x: { over: [debit], count: true, per: [] } }\n",
	  "b.yaml:1:53: found an empty list for 'per', expected [customer, body.payee]\n" },
	{ "per_part_unknown",
	  "aggregates: { x: { over: [debit], count: true, per: [customer, acount], keys: 3 } }\n",
	  "b.yaml:1:64: found 'acount', expected customer, account, card, currency or body.x; did you mean "
	  "'account'?\n" },
	{ "per_twice", "aggregates: { x: { over: [debit], count: true, per: [card, customer, card] } }\n",
	  "b.yaml:1:70: found 'card' a second time in 'per'\n" },
	{ "per_too_many_parts",
	  "aggregates: { x: { over: [debit], count: true, keys: 1, per: [customer, account, card, currency, "
	  "body.payee] } }\n",
	  "b.yaml:1:98: found more than 4 parts of a key, the limit\n" },
	{ "per_unknown_body_field",
	  "aggregates: { x: { over: [debit], count: true, per: body.paye, keys: 3 } }\n",
	  "b.yaml:1:53: found 'body.paye', but there is no body field of that name; did you mean "
	  "'payee'?\n" },
	{ "per_double", "aggregates: { x: { over: [debit], count: true, per: body.lat, keys: 3 } }\n",
	  "b.yaml:1:53: found 'body.lat', which is double; expected a body field of another type\n" },
	{ "per_list_of_currency_alone", "aggregates: { x: { over: [debit], count: true, per: [currency] } }\n",
	  "b.yaml:1:53: found 'currency' without customer, account or card; expected [customer, currency, ..]\n" },
	{ "per_currency_of_nobody",
	  "aggregates: { x: { over: [debit], count: true, per: [currency, body.payee], keys: 3 } }\n",
	  "b.yaml:1:53: found 'currency' without customer, account or card; expected [customer, currency, "
	  "..]\n" },
	{ "per_body_without_keys",
	  "aggregates: { x: { over: [debit], count: true, per: [customer, body.payee] } }\n",
	  "b.yaml:1:53: missing key 'keys' in an aggregate per a body field: keys: n keeps the n of each "
	  "owner that were used last, 1 to 1000000\n" },
	{ "keys_without_body", "aggregates: { x: { over: [debit], count: true, keys: 9 } }\n",
	  "b.yaml:1:54: found 'keys' with no body field in 'per'\n" },
	{ "keys_zero", "aggregates: { x: { over: [debit], count: true, per: body.payee, keys: 0 } }\n",
	  "b.yaml:1:71: found '0', expected a whole number from 1 to 1000000\n" },
	{ "keys_too_many",
	  "aggregates: { x: { over: [debit], count: true, per: body.payee, keys: 1000001 } }\n",
	  "b.yaml:1:71: found '1000001', expected a whole number from 1 to 1000000\n" },
	{ "per_field_of_others",
	  "aggregates: { x: { over: [login], count: true, per: body.payee, keys: 3 } }\n",
	  "b.yaml:1:53: found 'body.payee', but no event type of an aggregate has that body field\n" },
	{ "keys_beyond_memory",
	  "bank: { memory: { windows: 1MB } }\naggregates: { x: { over: [debit], count: true, per: "
	  "body.payee, "
	  "keys: 7812 }, y: { over: [debit], count: true, per: [card, body.payee], keys: 1 } }\n",
	  "b.yaml:2:71: the bounded keys of one owner, 7813, take at least 1000064 bytes; "
	  "bank.memory.windows "
	  "is 1000000\n" },
	{ "keys_differ",
	  "aggregates: { x: { over: [debit], count: true, per: body.payee, keys: 3 }, y: { over: [debit], "
	  "count: true, per: body.payee, keys: 4 } }\n",
	  "b.yaml:1:132: found keys: 4, expected the same for every use of per [body.payee]: another one "
	  "says keys: 3\n" },
	{ "over_a_pattern", "aggregates: { x: { over: [pattern.p], count: true } }\n",
	  "b.yaml:1:27: found 'pattern.p', which only rules can listen to; expected an event type or "
	  "group\n" },
	{ "group_of_a_pattern", "groups: { g: [pattern.p] }\n",
	  "b.yaml:1:15: found 'pattern.p', which only rules can listen to; expected an event type (a group "
	  "holds types only)\n" },
	{ "event_named_as_a_pattern", "events: { pattern.p: { code: 3 } }\n",
	  "b.yaml:1:11: found the event type 'pattern.p', but such names are for what the engine itself "
	  "finds; expected another name\n" },
	{ "record_alone",
	  "aggregates: { x: { over: [debit], last: [time, country] } }\nfraud: { rules: { r: { events: "
	  "[login], score: 1, when: 'agg.x == 1' } } }\n",
	  "b.yaml:2:58: found 'agg.x', which is a record of one event; expected a field of it: "
	  "agg.x.time\n" },
	{ "record_field_unknown",
	  "aggregates: { x: { over: [debit], last: [time, country] } }\nfraud: { rules: { r: { events: "
	  "[login], score: 1, when: 'agg.x.contry == 1' } } }\n",
	  "b.yaml:2:58: found 'agg.x.contry', but 'last' of 'x' has no 'contry'; did you mean 'country'?\n" },
	{ "field_of_one_value",
	  "aggregates: { x: { over: [debit], last: country } }\nfraud: { rules: { r: { events: [login], "
	  "score: 1, when: 'agg.x.time == 1' } } }\n",
	  "b.yaml:2:58: found 'agg.x.time', but 'agg.x' is one value\n" },
	{ "record_of_unknown",
	  "aggregates: { x: { over: [debit], last: [time, country] } }\nfraud: { rules: { r: { events: "
	  "[login], score: 1, when: 'agg.xx.time == 1' } } }\n",
	  "b.yaml:2:58: found 'agg.xx.time', but there is no aggregate of that name; did you mean 'x'?\n" },
	{ "pattern_without_within", "patterns: { p: { steps: [ { events: [login] } ] } }\n",
	  "b.yaml:1:13: missing key 'within' in a pattern\n" },
	{ "pattern_without_steps", "patterns: { p: { within: 3m } }\n",
	  "b.yaml:1:13: missing key 'steps' in a pattern\n" },
	{ "pattern_no_steps", "patterns: { p: { within: 3m, steps: [] } }\n",
	  "b.yaml:1:37: found 0 steps, expected 1 to 8\n" },
	{ "pattern_nine_steps",
	  "patterns: { p: { within: 3m, steps: [{ events: [login] }, { events: [login] }, { events: [login] "
	  "}, { events: [login] }, { events: [login] }, { events: [login] }, { events: [login] }, { events: "
	  "[login] }, { events: [login] }] } }\n",
	  "b.yaml:1:37: found 9 steps, expected 1 to 8\n" },
	{ "pattern_within_too_long", "patterns: { p: { within: 9999h, steps: [ { events: [login] } ] } }\n",
	  "b.yaml:1:26: found '9999h' for 'within', the limit is 400d\n" },
	{ "pattern_unknown_key",
	  "patterns: { p: { steps: [ { events: [login] } ], within: 3m, unles: [login] } }\n",
	  "b.yaml:1:62: unknown key 'unles' in a pattern; did you mean 'unless'?\n" },
	{ "step_unknown_event", "patterns: { p: { within: 3m, steps: [ { events: [lgin] } ] } }\n",
	  "b.yaml:1:50: found 'lgin', expected an event type or group; did you mean 'login'?\n" },
	{ "step_of_a_pattern", "patterns: { p: { within: 3m, steps: [ { events: [pattern.p] } ] } }\n",
	  "b.yaml:1:50: found 'pattern.p', which only rules can listen to; expected an event type or "
	  "group\n" },
	{ "step_without_events", "patterns: { p: { within: 3m, steps: [ { times: 2 } ] } }\n",
	  "b.yaml:1:39: missing key 'events' in a step of a pattern\n" },
	{ "step_zero_times", "patterns: { p: { within: 3m, steps: [ { events: [login], times: 0 } ] } }\n",
	  "b.yaml:1:65: found '0', expected a whole number from 1 to 1000\n" },
	{ "step_too_many_times",
	  "patterns: { p: { within: 3m, steps: [ { events: [login], times: 1001 } ] } }\n",
	  "b.yaml:1:65: found '1001', expected a whole number from 1 to 1000\n" },
	{ "step_no_map", "patterns: { p: { within: 3m, steps: [ login ] } }\n",
	  "b.yaml:1:39: found 'login', expected a step of a pattern: a map { key: value }\n" },
	{ "step_reads_agg",
	  "patterns: { p: { within: 3m, steps: [ { events: [login], when: 'agg.n_10m > 1' } ] } }\n",
	  "b.yaml:1:65: found 'agg.n_10m'; the 'when' of a step sees event and profile only\n" },
	{ "step_field_of_others",
	  "patterns: { p: { within: 3m, steps: [ { events: [login], when: 'event.payee == \"a\"' } ] } }\n",
	  "b.yaml:1:65: found 'event.payee', but no event type of this step has the body field 'payee'\n" },
	{ "step_without_the_key",
	  "patterns: { p: { within: 3m, per: [customer, body.payee], keys: 3, steps: [ { events: "
	  "[transfer.out] }, { events: [login] } ] } }\n",
	  "b.yaml:1:105: found 'body.payee', but no event type of this step has that body field\n" },
	{ "pattern_unknown",
	  "patterns: { takeover: { steps: [ { events: [login] } ], within: 3m } }\nfraud: { rules: { r: { "
	  "events: [pattern.takover], score: 1 } } }\n",
	  "b.yaml:2:33: found 'pattern.takover', but there is no pattern of that name; did you mean "
	  "'takeover'?\n" },
	{ "pattern_field_of_some",
	  "patterns: { p: { within: 3m, steps: [ { events: [card.purchase, transfer.out] } ] } }\nfraud: { "
	  "rules: { r: { events: [pattern.p], score: 1, when: 'event.payee == \"a\"' } } }\n",
	  "b.yaml:2:62: found 'event.payee', but no event type of this rule has the body field 'payee'\n" },
	{ "list_unknown",
	  "lists: { risky: [1] }\ncritical: { r: " RULE(", when: 'event.mcc in lists.risk'") " }\n",
	  "b.yaml:2:94: found 'lists.risk', but there is no list of that name; did you mean 'risky'?\n" },
	{ "list_of_another_type",
	  "lists: { risky: [abc] }\ncritical: { r: " RULE(", when: 'event.mcc in lists.risky'") " }\n",
	  "b.yaml:2:94: found string, expected int (int in string)\n" },
	{ "list_broken_once",
	  "lists: { risky: [] }\ncritical: { r: " RULE(", when: 'event.mcc in lists.risky'") " }\n",
	  "b.yaml:1:17: found an empty list, expected a list of values: [5411, 5812]\n" },
	{ "zone_unknown",
	  "critical: { r: " RULE(", when: 'event.time.getHours(\"Europe/Madird\") < 5'") " }\n",
	  "b.yaml:1:101: found \"Europe/Madird\", expected an offset, as \"+02:00\", or a zone, as "
	  "\"Europe/Madrid\"\n" },
	{ "list_empty", "lists: { l: [] }\n",
	  "b.yaml:1:13: found an empty list, expected a list of values: [5411, 5812]\n" },
	{ "list_of_a_map", "lists: { l: { a: 1 } }\n",
	  "b.yaml:1:13: found a map, expected a list of values: [5411, 5812]\n" },
	{ "list_mixed", "lists: { l: [1, two] }\n",
	  "b.yaml:1:17: found 'two' in a list of ints, expected a whole number or a constant such as "
	  "country.ES\n" },
	{ "list_of_texts_and_ints", "lists: { l: [one, 2] }\n",
	  "b.yaml:1:19: found '2' in a list of strings, expected a text\n" },
	{ "list_with_a_list", "lists: { l: [one, [two]] }\n",
	  "b.yaml:1:19: found a list in a list of strings, expected a text\n" },
	{ "list_twice", "lists: { l: [3, 1, 3] }\n", "b.yaml:1:20: found '3' a second time in the list\n" },
	{ "list_of_doubles", "lists: { l: [1.5] }\n", "b.yaml:1:14: found '1.5', expected a whole number\n" },
	{ "list_constant_unknown", "lists: { l: [country.XX] }\n",
	  "b.yaml:1:14: found 'country.XX', expected a whole number\n" },
	{ "where_reads_agg", "aggregates: { x: { over: [debit], count: true, where: 'agg.n_10m > 3' } }\n",
	  "b.yaml:1:56: found 'agg.n_10m'; the 'where' of an aggregate sees event and profile only\n" },
	{ "where_reads_account",
	  "aggregates: { x: { over: [debit], count: true, where: 'account.holders > 1' } }\n",
	  "b.yaml:1:56: found 'account.holders'; the 'where' of an aggregate sees event and profile only\n" },
	{ "where_reads_me", "aggregates: { x: { over: [debit], count: true, where: 'me.customer > 1' } }\n",
	  "b.yaml:1:56: found 'me.customer'; the 'where' of an aggregate sees event and profile only\n" },
	{ "where_field_of_others",
	  "aggregates: { x: { over: [transfer.out], count: true, where: 'event.lat > 1.0' } }\n",
	  "b.yaml:1:63: found 'event.lat', but no event type of this aggregate has the body field 'lat'\n" },

	/* --- channels --- */
	{ "max_zero", "channels: { x: { max: 0 } }\n",
	  "b.yaml:1:23: found '0', expected a whole number from 1 to 20000\n" },
	{ "max_too_large", "channels: { x: { max: 20001 } }\n",
	  "b.yaml:1:23: found '20001', expected a whole number from 1 to 20000\n" },
	{ "rate_not_yet", "channels: { x: { max: 1, rate: 200/s } }\n",
	  "b.yaml:1:26: not yet: 'rate' in a channel is not built\n" },
	{ "burst_not_yet", "channels: { x: { max: 1, burst: 9 } }\n",
	  "b.yaml:1:26: not yet: 'burst' in a channel is not built\n" },
	{ "reserve_not_yet", "channels: { x: { max: 1, reserve: 9 } }\n",
	  "b.yaml:1:26: not yet: 'reserve' in a channel is not built\n" },
	{ "backlog_not_yet", "channels: { x: { max: 1, backlog: 9 } }\n",
	  "b.yaml:1:26: not yet: 'backlog' in a channel is not built\n" },

	/* --- rules --- */
	{ "rule_name_twice",
	  "fraud: { rules: { r: { events: [login], score: 1 } } }\nsubscriptions: { r: " RULE("") " }\n",
	  "b.yaml:2:18: found the subscription 'r' a second time; the fraud rule of this name is at "
	  "DIR/b.yaml:1\n" },
	{ "message_unknown", "critical: { r: { events: [login], repeat: every, message: helo } }\n",
	  "b.yaml:1:59: found 'helo', expected the name of a message; did you mean 'hello'?\n" },
	{ "channel_unknown", "critical: { r: " RULE(", channels: [push, smz]") " }\n",
	  "b.yaml:1:91: found 'smz', expected the name of a channel; did you mean 'sms'?\n" },
	{ "channel_twice", "critical: { r: " RULE(", channels: [push, push]") " }\n",
	  "b.yaml:1:91: found the channel 'push' a second time\n" },
	{ "repeat_left_out", "subscriptions: { r: { events: [login], message: hello } }\n",
	  "b.yaml:1:18: not yet: a rule that leaves out 'repeat' means crossing or every, by its condition, "
	  "which is not built; write "
	  "repeat: every\n" },
	{ "repeat_left_out_critical", "critical: { r: { events: [login], message: hello } }\n",
	  "b.yaml:1:13: not yet: a rule that leaves out 'repeat' means merge, which is not built; write "
	  "repeat: every\n" },
	{ "repeat_crossing", "subscriptions: { r: { events: [login], repeat: crossing, message: hello } }\n",
	  "b.yaml:1:48: not yet: 'repeat: crossing' is not built; write repeat: every\n" },
	{ "repeat_merge", "critical: { r: { events: [login], repeat: merge, message: hello } }\n",
	  "b.yaml:1:43: not yet: 'repeat: merge' is not built; write repeat: every\n" },
	{ "repeat_at_most",
	  "critical: { r: { events: [login], repeat: { at_most: 1, within: 1d }, message: hello } }\n",
	  "b.yaml:1:43: not yet: 'repeat: { at_most, within }' is not built; write repeat: every\n" },
	{ "repeat_unknown", "critical: { r: { events: [login], repeat: evry, message: hello } }\n",
	  "b.yaml:1:43: found 'evry', expected every, crossing or merge; did you mean 'every'?\n" },
	{ "copies_two", "critical: { r: " RULE(", copies: 2") " }\n",
	  "b.yaml:1:82: not yet: 'copies: 2' is not built; write copies: 1\n" },
	{ "escalate_not_yet", "critical: { r: " RULE(", escalate: {}") " }\n",
	  "b.yaml:1:74: not yet: 'escalate' in a critical rule is not built\n" },
	{ "actions_not_yet", "critical: { r: " RULE(", actions: [confirm]") " }\n",
	  "b.yaml:1:74: not yet: 'actions' in a critical rule is not built\n" },
	{ "expires_not_yet", "subscriptions: { r: " RULE(", expires: 1h") " }\n",
	  "b.yaml:1:79: not yet: 'expires' in a subscription is not built\n" },
	{ "share_not_yet", "subscriptions: { r: " RULE(", share: 0.5") " }\n",
	  "b.yaml:1:79: not yet: 'share' in a subscription is not built\n" },
	{ "budget_not_yet", "subscriptions: { r: " RULE(", budget: 9") " }\n",
	  "b.yaml:1:79: not yet: 'budget' in a subscription is not built\n" },
	{ "mode_shadow", "subscriptions: { r: " RULE(", mode: shadow") " }\n",
	  "b.yaml:1:85: not yet: 'mode: shadow' is not built; write mode: live\n" },
	{ "frequency_daily", "subscriptions: { r: " RULE(", frequency: [now, daily]") " }\n",
	  "b.yaml:1:96: not yet: 'frequency: daily' is not built; write frequency: [now]\n" },
	{ "category_offer", "subscriptions: { r: " RULE(", category: offer") " }\n",
	  "b.yaml:1:89: not yet: 'category: offer' is not built\n" },
	{ "category_unknown", "subscriptions: { r: " RULE(", category: alarm") " }\n",
	  "b.yaml:1:89: found 'alarm', expected critical, regulatory, alert, service, collections, advice or "
	  "offer; did you mean "
	  "'alert'?\n" },
	{ "for_unknown", "subscriptions: { r: " RULE(", for: mine") " }\n",
	  "b.yaml:1:84: found 'mine', expected own or all\n" },
	{ "stage_unknown", "critical: { r: " RULE(", stages: [poste]") " }\n",
	  "b.yaml:1:83: found 'poste', expected request, authorised, posted or released; did you mean "
	  "'posted'?\n" },
	{ "stage_request", "critical: { r: " RULE(", stages: [request]") " }\n",
	  "b.yaml:1:83: found 'request', which only fraud rules see\n" },
	{ "confidential_no_bool", "fraud: { rules: { r: { events: [login], score: 1, confidential: 1 } } }\n",
	  "b.yaml:1:65: found '1', expected true or false\n" },
	{ "confidential_not_yet",
	  "critical: { r: { events: [login], repeat: every, message: hello, confidential: true } }\n",
	  "b.yaml:1:66: not yet: 'confidential' in a critical rule is not built\n" },
	{ "fraud_default_not_yet", "fraud: { default: { unknown_customer: review } }\n",
	  "b.yaml:1:10: not yet: 'default' in fraud is not built\n" },
	{ "fraud_deadline_not_yet", "fraud: { deadline: 50ms }\n",
	  "b.yaml:1:10: not yet: 'deadline' in fraud is not built\n" },
	{ "score_wrong", "fraud: { rules: { r: { events: [login], score: high } } }\n",
	  "b.yaml:1:48: found 'high', expected a whole number from -1000000 to 1000000\n" },
	{ "thresholds_crossed", "fraud: { thresholds: { review: 90, decline: 80 } }\n",
	  "b.yaml:1:24: found 'review: 90' above 'decline: 80'\n" },
	{ "threshold_unknown", "fraud: { thresholds: { reveiw: 90 } }\n",
	  "b.yaml:1:24: unknown key 'reveiw' in fraud.thresholds; did you mean 'review'?\n" },
	{ "fraud_with_repeat", "fraud: { rules: { r: { events: [login], score: 1, repeat: every } } }\n",
	  "b.yaml:1:51: unknown key 'repeat' in a fraud rule\n" },
	{ "param_type_wrong",
	  "subscriptions: { r: " RULE(", params: { p: { type: date, default: 1 } }") " }\n",
	  "b.yaml:1:100: found 'date', expected money, int, double, string, bool or duration\n" },
	{ "param_without_default", "subscriptions: { r: " RULE(", params: { p: { type: int } }") " }\n",
	  "b.yaml:1:89: missing key 'default' in a parameter\n" },
	{ "param_out_of_bounds",
	  "subscriptions: { r: " RULE(", params: { p: { type: int, default: 5, max: 4 } }") " }\n",
	  "b.yaml:1:89: found the default of the parameter 'p' outside of 'min' and 'max'\n" },
	{ "param_bounds_crossed",
	  "subscriptions: { r: " RULE(", params: { p: { type: int, default: 5, min: 9, max: 4 } }") " }\n",
	  "b.yaml:1:89: found 'min' above 'max' in the parameter 'p'\n" },
	{ "param_bound_currency",
	  "subscriptions: { r: " RULE(", params: { p: { type: money, default: 5 EUR, max: 9 USD } }") " }\n",
	  "b.yaml:1:128: found 'max' and 'default' in different currencies\n" },
	{ "param_bound_of_text",
	  "subscriptions: { r: " RULE(", params: { p: { type: string, default: a, max: b } }") " }\n",
	  "b.yaml:1:125: found 'max' for a string, which has no order\n" },

	/* --- expressions, at their place --- */
	{ "expression_plain", "critical: { r: " RULE(", when: true") " }\n",
	  "b.yaml:1:80: found 'true', expected an expression in quotes or as a block: 'event.amount > "
	  "100'\n" },
	{ "name_in_single_quotes",
	  "critical: { r: " RULE(", when: 'event.mcc == 1 && event.amont > 3'") " }\n",
	  "b.yaml:1:99: found 'event.amont', but there is no event or body field of that name; did you mean "
	  "'amount'?\n" },
	{ "name_in_double_quotes",
	  "critical: { r: " RULE(", when: \"event.type == \\\"\\u00e9\\\" && agg.n_10 > 3\"") " }\n",
	  "b.yaml:1:109: found 'agg.n_10', but there is no aggregate of that name; did you mean 'n_10m'?\n" },
	{ "name_in_a_block",
	  "critical:\n  r:\n    events: [login]\n    repeat: every\n    message: hello\n    when: |\n      "
	  "event.amount > 3\n      "
	  "&& profile.hom == 4\n",
	  "b.yaml:8:10: found 'profile.hom', but there is no attribute of that name; did you mean "
	  "'home'?\n" },
	{ "name_in_a_fold",
	  "critical:\n  r:\n    events: [login]\n    repeat: every\n    message: hello\n    when: >-\n\n     "
	  " event.amount > 3\n\n"
	  "        && (true ||\n      profile.hom == 4)\n",
	  "b.yaml:11:7: found 'profile.hom', but there is no attribute of that name; did you mean "
	  "'home'?\n" },
	{ "name_over_two_lines",
	  "critical: { r: " RULE(", when: 'event.mcc == 1 &&\n     profile.hom == 3'") " }\n",
	  "b.yaml:2:6: found 'profile.hom', but there is no attribute of that name; did you mean 'home'?\n" },
	{ "int_with_double", "critical: { r: " RULE(", when: 'event.mcc > 1.5'") " }\n",
	  "b.yaml:1:93: found double, expected int (int > double: write double(event.mcc) > 1.5)\n" },
	{ "result_is_no_bool", "critical: { r: " RULE(", when: 'event.mcc + 1'") " }\n",
	  "b.yaml:1:81: found int, expected bool\n" },
	{ "expression_cut", "critical: { r: " RULE(", when: 'event.mcc == 1 &&'") " }\n",
	  "b.yaml:1:98: found the end, expected a value: a name, a number, a string, a function or (\n" },
	{ "money_against_int", "critical: { r: " RULE(", when: 'event.mcc > money(\"1 EUR\")'") " }\n",
	  "b.yaml:1:93: found money, expected int (int > money: an int has no currency, make both money)\n" },
	{ "unknown_space", "critical: { r: " RULE(", when: 'evnt.mcc == 1'") " }\n",
	  "b.yaml:1:81: found 'evnt', expected a name such as event.x, profile.x or agg.x; did you mean "
	  "'event'?\n" },
	{ "segment_not_yet", "critical: { r: " RULE(", when: 'segment.rich'") " }\n",
	  "b.yaml:1:81: not yet: 'segment' in expressions is not built\n" },
	{ "function_not_yet",
	  "critical: { r: " RULE(", when: 'place.nearest(event.lat, event.lat) > 3.0'") " }\n",
	  "b.yaml:1:81: not yet: 'place.nearest' in expressions is not built\n" },
	{ "country_unknown_constant", "critical: { r: " RULE(", when: 'event.country == country.XX'") " }\n",
	  "b.yaml:1:98: found 'country.XX', but there is no country of ISO 3166-1 of that name\n" },
	{ "touchpoint_unknown",
	  "critical: { r: " RULE(", when: 'event.touchpoint == touchpoint.poss'") " }\n",
	  "b.yaml:1:101: found 'touchpoint.poss', but there is no touchpoint of that name; did you mean "
	  "'pos'?\n" },
	{ "mcc_unknown", "critical: { r: " RULE(", when: 'event.mcc == mcc.gamblin'") " }\n",
	  "b.yaml:1:94: found 'mcc.gamblin', but there is no group of ISO 18245 of that name; did you mean "
	  "'gambling'?\n" },
	{ "field_of_other_types",
	  "critical: { r: { events: [login], repeat: every, message: hello, when: 'event.payee == \"x\"' } "
	  "}\n",
	  "b.yaml:1:73: found 'event.payee', but no event type of this rule has the body field 'payee'\n" },
	{ "param_in_critical", "critical: { r: " RULE(", when: 'param.x > 3'") " }\n",
	  "b.yaml:1:81: found 'param.x'; the rule 'r' is no subscription and has no 'param'\n" },
	{ "me_in_fraud", "fraud: { rules: { r: { events: [login], score: 1, when: 'me.customer == 3' } } }\n",
	  "b.yaml:1:58: found 'me.customer'; the rule 'r' is no subscription and has no 'me'\n" },
	{ "param_unknown",
	  "subscriptions: { r: " RULE(
		  ", params: { limit: { type: int, default: 1 } }, when: 'param.limt > 3'") " }\n",
	  "b.yaml:1:132: found 'param.limt', but the rule 'r' has no such parameter; did you mean "
	  "'limit'?\n" },
	{ "one_value_is_no_record", "critical: { r: " RULE(", when: 'agg.n_10m.time > 3'") " }\n",
	  "b.yaml:1:81: found 'agg.n_10m.time', but 'agg.n_10m' is one value\n" },

	/* --- texts --- */
	{ "no_text_in_bank_language", "messages: { m: { es: 'Hola' } }\n",
	  "b.yaml:1:13: the message 'm' has no text in 'en', the bank's language\n" },
	{ "text_is_a_list", "messages: { m: { en: [a] } }\n",
	  "b.yaml:1:22: found a list, expected a text\n" },
	{ "text_empty", "messages: { m: { en: '' } }\n", "b.yaml:1:22: found nothing, expected a text\n" },
	{ "message_is_a_text", "messages: { m: 'Hello' }\n",
	  "b.yaml:1:16: found the text 'Hello', expected a text per language: { en: \"..\", es: \"..\" }\n" },
	{ "message_key_unknown", "messages: { m: { en: 'a', english: 'b' } }\n",
	  "b.yaml:1:27: unknown key 'english' in a message, expected a language such as en, es or es-CO\n" },
	{ "discreet_not_yet", "messages: { m: { en: 'a', discreet: 'b' } }\n",
	  "b.yaml:1:27: not yet: 'discreet' in a message is not built\n" },
	{ "text_name_unknown", "messages: { m: { en: 'At ''x'' {event.merchnt}' } }\n",
	  "b.yaml:1:33: found 'event.merchnt', but there is no event or body field of that name; did you "
	  "mean 'merchant'?\n" },
	{ "text_format_unknown", "messages: { m: { en: 'é {event.amount, monye}' } }\n",
	  "b.yaml:1:40: found the format 'monye', expected money, number, date or time; did you mean "
	  "'money'?\n" },
	{ "text_plural_not_yet", "messages: { m: { en: '{agg.n_10m, plural, one {one} other {more}}' } }\n",
	  "b.yaml:1:35: not yet: 'plural' in a text is not built\n" },
	{ "text_select_not_yet", "messages: { m: { en: '{event.type, select, other {more}}' } }\n",
	  "b.yaml:1:36: not yet: 'select' in a text is not built\n" },
	{ "text_advice_not_yet", "messages: { m: { en: 'x {advice}' } }\n",
	  "b.yaml:1:26: not yet: '{advice}' in a text is not built\n" },
	{ "text_brace_open", "messages: { m: { en: 'x {event.mcc' } }\n",
	  "b.yaml:1:25: found '{' without its '}'; a brace of the text itself is written '{'\n" },
	{ "text_brace_close", "messages: { m: { en: 'x } y' } }\n",
	  "b.yaml:1:25: found '}' without its '{'; a brace of the text itself is written '}'\n" },
	{ "text_placeholder_empty", "messages: { m: { en: 'x { } y' } }\n",
	  "b.yaml:1:27: found an empty placeholder, expected an expression such as {event.merchant}\n" },
	{ "text_money_plain", "messages: { m: { en: '{event.amount}' } }\n",
	  "b.yaml:1:24: found an amount in minor units, expected a format: {.., money}\n" },
	{ "text_money_number", "messages: { m: { en: '{event.amount, number}' } }\n",
	  "b.yaml:1:24: found an amount in minor units, expected {.., money}: these are minor units\n" },
	{ "text_money_of_int", "messages: { m: { en: '{event.mcc, money}' } }\n",
	  "b.yaml:1:24: found int, expected an amount with a currency for 'money'\n" },
	{ "text_date_of_int", "messages: { m: { en: '{event.mcc, date}' } }\n",
	  "b.yaml:1:24: found int, expected a timestamp for 'date' and 'time'\n" },
	{ "text_time_plain", "messages: { m: { en: '{event.time}' } }\n",
	  "b.yaml:1:24: found timestamp, expected a format: {.., date} or {.., time}\n" },
	{ "text_double_plain", "messages: { m: { en: '{event.lat}' } }\n",
	  "b.yaml:1:24: found double, expected a format: {.., number}\n" },
	{ "text_field_of_other_types",
	  "messages: { m: { en: '{event.merchant}' } }\ncritical: { r: { events: [transfer.out], repeat: "
	  "every, message: m } }\n",
	  "b.yaml:1:24: found 'event.merchant', but the rule 'r' uses this text and no event type of it has "
	  "the body field "
	  "'merchant'\n" },
	{ "text_param_in_critical",
	  "messages: { m: { en: '{param.x}' } }\ncritical: { r: { events: [login], repeat: every, message: m "
	  "} }\n",
	  "b.yaml:1:24: found 'param.x'; the rule 'r' is no subscription and has no 'param'\n" },
	{ "text_param_of_one_rule",
	  "messages: { m: { en: '{param.x}' } }\nsubscriptions:\n  a: { events: [login], repeat: every, "
	  "message: m, params: { x: { "
	  "type: int, default: 1 } } }\n  b: { events: [login], repeat: every, message: m }\n",
	  "b.yaml:1:24: found 'param.x', but the rule 'b' uses this text and has no such parameter\n" },
	{ "text_param_differs",
	  "messages: { m: { en: '{param.x}' } }\nsubscriptions:\n  a: { events: [login], repeat: every, "
	  "message: m, params: { x: { "
	  "type: int, default: 1 } } }\n  b: { events: [login], repeat: every, message: m, params: { x: { "
	  "type: bool, default: true } } "
	  "}\n",
	  "b.yaml:1:24: found 'param.x', which is int at place 1 in the rule 'a' and bool at place 1 in 'b'; "
	  "expected the same in all "
	  "rules of a text\n" },
	{ "text_param_without_rule", "messages: { m: { en: '{param.x}' } }\n",
	  "b.yaml:1:24: found 'param.x', but no rule uses this text\n" },
};

/* DIR in what is expected stands for the directory of the case. */
static void expand(const char *expected, const char *dir, char *out, size_t room)
{
	const char *at = strstr(expected, "DIR");

	if (at)
		snprintf(out, room, "%.*s%s%s", (int)(at - expected), expected, dir, at + 3);
	else
		snprintf(out, room, "%s", expected);
}

static void catalogue_refuses_each_mistake_at_its_place(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct compiled k = strncmp(r->expected, "x.yaml", 6) == 0
					    ? compile_files("x.yaml", r->yaml, NULL)
					    : compile_files("a.yaml", base_yaml, "b.yaml", r->yaml, NULL);
		char expected[1024];
		expand(r->expected, k.dir, expected, sizeof expected);
		if (k.rc != -EINVAL || strcmp(k.text, expected) != 0) {
			print_error("%s (rc %d)\n  expected %s  found    %s\n", r->claim, k.rc, expected,
				    k.text);
			wrong++;
		}
		compiled_free(&k);
	}
	print_message("%zu wrong catalogues\n", ARRAY_LEN(rows));
	assert_int_equal(wrong, 0);
}

static void catalogue_reports_all_problems_of_all_files_at_once(void **state)
{
	struct compiled k = compile_files(
		"a.yaml", base_yaml, "b.yaml",
		"aggregates: { x: { over: [lgin], count: true } }\n"
		"critical:\n"
		"  r: { events: [login], repeat: every, message: helo, when: 'event.mc == 1' }\n"
		"  s: { event: [login], repeat: every, message: hello }\n",
		"c.yaml", "events: { y: { code: 70000 } }\nchannels: { voice: { max: x } }\n", NULL);

	(void)state;
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(
		k.text, "b.yaml:1:27: found 'lgin', expected an event type or group; did you mean 'login'?\n"
			"b.yaml:3:49: found 'helo', expected the name of a message; did you mean 'hello'?\n"
			"b.yaml:3:62: found 'event.mc', but there is no event or body field of that name; "
			"did you mean 'mcc'?\n"
			"b.yaml:4:3: missing key 'events' in a critical rule\n"
			"b.yaml:4:8: unknown key 'event' in a critical rule; did you mean 'events'?\n"
			"c.yaml:1:22: found '70000', expected a whole number from 1 to 65535\n"
			"c.yaml:2:27: found 'x', expected a whole number from 1 to 20000\n");
	compiled_free(&k);
}

static void catalogue_does_not_blame_names_for_an_unreadable_file(void **state)
{
	struct compiled k = compile_files(
		"a.yaml", base_yaml, "b.yaml", "events: { x: { code: 7 }\n", "c.yaml",
		"critical: { r: { events: [x], repeat: every, message: m, when: 'event.y == 1' } }\n"
		"channels: { voice: { max: 0 } }\n",
		NULL);

	(void)state;
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(k.text, "b.yaml:2:1: missing comma in flow mapping\n"
				    "c.yaml:2:27: found '0', expected a whole number from 1 to 20000\n");
	compiled_free(&k);
}

static void catalogue_says_one_mistake_once(void **state)
{
	/* the aggregate, the attribute and the parameter are wrong; what reads them is not */
	struct compiled k = compile_files("a.yaml", base_yaml, "b.yaml",
					  "aggregates: { x: { over: [login], count: true, within: 3 } }\n"
					  "profile: { y: { type: text } }\n"
					  "subscriptions:\n"
					  "  r: { events: [login], repeat: every, message: hello, params: { "
					  "p: { type: x, default: 1 } },\n"
					  "       when: 'agg.x > 3 && profile.y == 1 && param.p > 3' }\n"
					  "messages: { m: { en: '{agg.x, number}' } }\n",
					  NULL);

	(void)state;
	assert_int_equal(k.rc, -EINVAL);
	assert_int_equal(k.problems.count, 3);
	compiled_free(&k);
}

/* --- limits: the figure and the limit --- */

static char *repeat(const char *head, const char *format, unsigned n, const char *tail)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	fputs(head, f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, format, i + 100, i + 100);
	fputs(tail, f);
	fclose(f);
	return text;
}

static const struct limit_row {
	const char *claim, *head, *format, *tail;
	unsigned count; /* with what a.yaml has, one above the limit */
	const char *expected;
} limit_rows[] = {
	{ "events", "events:\n", "  e%u: { code: %u }\n", "", EVENT_TYPES_MAX - 2,
	  "the catalogue has 1025 event types, the limit is 1024" },
	{ "attributes", "profile:\n", "  a%u: { type: int }\n", "", ATTRIBUTES_MAX - 1,
	  "the catalogue has 257 attributes, the limit is 256" },
	{ "aggregates", "aggregates:\n", "  a%u: { over: [login], count: true }\n", "", AGGREGATES_MAX - 1,
	  "the catalogue has 65 aggregates, the limit is 64" },
	{ "rules", "fraud:\n  rules:\n", "    f%u: { events: [login], score: 1 }\n", "", RULES_MAX + 1,
	  "the catalogue has 16385 fraud rules, the limit is 16384" },
	{ "channels", "channels:\n", "  c%u: { max: 1 }\n", "", CHANNELS_MAX - 1,
	  "the catalogue has 17 channels, the limit is 16" },
	{ "messages", "messages:\n", "  m%u: { en: x }\n", "", MESSAGES_MAX - 1,
	  "the catalogue has 16385 messages, the limit is 16384" },
	{ "params", "subscriptions: { r: { events: [login], repeat: every, message: hello, params: {\n",
	  "  p%u: { type: int, default: 1 },\n", "  } } }\n", PARAMS_MAX + 1,
	  "the subscription has 17 parameters, the limit is 16" },
	{ "fields", "events: { e: { code: 9, body: {\n", "  f%u: int,\n", "  } } }\n", BODY_FIELDS_MAX - 2,
	  "the catalogue has more body fields than the limit of 256" },
	{ "languages", "messages: { m: { en: x,\n", "  es-%u: x,\n", "  } }\n", LANGUAGES_MAX,
	  "the catalogue has 33 languages, the limit is 32" },
};

static void catalogue_names_figure_and_limit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
		const struct limit_row *r = &limit_rows[i];
		char *above = repeat(r->head, r->format, r->count, r->tail),
		     *full = repeat(r->head, r->format, r->count - 1, r->tail);
		struct compiled k = compile_files("a.yaml", base_yaml, "b.yaml", above, NULL);
		if (k.problems.count != 1 || strcmp(k.problems.list[0].text, r->expected) != 0)
			fail_msg("%s: %zu problems, %s", r->claim, k.problems.count, k.text);
		compiled_free(&k);
		k = compile_files("a.yaml", base_yaml, "b.yaml", full, NULL);
		if (k.rc != 0)
			fail_msg("%s: the limit itself is refused: %s", r->claim, k.text);
		compiled_free(&k);
		free(above);
		free(full);
	}
}

static void catalogue_refuses_too_many_bytes(void **state)
{
	char *big = malloc(CATALOGUE_BYTES_MAX + 2);
	struct compiled k;

	(void)state;
	memset(big, '#', CATALOGUE_BYTES_MAX + 1);
	big[CATALOGUE_BYTES_MAX + 1] = 0;
	k = compile_files("a.yaml", base_yaml, "b.yaml", big, NULL);
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(
		k.text,
		"b.yaml:1:1: the catalogue has more bytes up to this file than the limit of 4194304\n");
	compiled_free(&k);
	/* files that fit alone, but not with what is derived from them */
	big[CATALOGUE_BYTES_MAX - sizeof base_yaml] = 0;
	k = compile_files("a.yaml", base_yaml, "b.yaml", big, NULL);
	assert_int_equal(k.rc, -EINVAL);
	assert_non_null(strstr(k.text, "bytes with what is derived from it, the limit is 4194304"));
	compiled_free(&k);
	free(big);
}

static void catalogue_refuses_other_endings_and_empty_directories(void **state)
{
	struct compiled k = compile_files("a.yaml", base_yaml, "b.yml", "groups: {}\n", NULL);

	(void)state;
	assert_int_equal(k.rc, -EINVAL);
	assert_string_equal(k.text, "b.yml:1:1: found a file that ends in .yml, expected .yaml\n");
	compiled_free(&k);
	k = compile_files("readme.txt", "x", NULL);
	assert_int_equal(k.rc, -EINVAL);
	assert_non_null(strstr(k.text, "has no file that ends in .yaml"));
	compiled_free(&k);
}

static void catalogue_says_when_a_directory_cannot_be_read(void **state)
{
	struct problems problems;
	struct catalogue *c;

	(void)state;
	problems_init(&problems);
	assert_int_equal(catalogue_compile_dir("/nowhere/at/all", &c, &problems), -ENOENT);
	assert_null(c);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.list[0].text, "cannot be read: No such file or directory");
	problems_deinit(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(catalogue_refuses_each_mistake_at_its_place),
		cmocka_unit_test(catalogue_reports_all_problems_of_all_files_at_once),
		cmocka_unit_test(catalogue_does_not_blame_names_for_an_unreadable_file),
		cmocka_unit_test(catalogue_says_one_mistake_once),
		cmocka_unit_test(catalogue_names_figure_and_limit),
		cmocka_unit_test(catalogue_refuses_too_many_bytes),
		cmocka_unit_test(catalogue_refuses_other_endings_and_empty_directories),
		cmocka_unit_test(catalogue_says_when_a_directory_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
