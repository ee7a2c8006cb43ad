/*
 * fields.c: the tables. A new counter is one line here, and is in /status and /metrics from then on; an
 * outcome that counters.h gains comes by itself.
 */
#include "fields.h"

#include <base/bytes.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define AT(member) offsetof(struct engine_status, member)

const struct control_field control_fields[] = {
	{ "engine", "term", "moment_term", METRIC_GAUGE, AT(term), "Counted up at each start" },
	{ "engine", "ticks", "moment_ticks_total", METRIC_COUNTER, AT(ticks), "Batches made since start" },
	{ "engine", "entries", "moment_entries_total", METRIC_COUNTER, AT(entries),
	  "Journal entries taken since start" },
	{ "engine", "sleeps", "moment_sleeps_total", METRIC_COUNTER, AT(sleeps),
	  "Times the engine waited since start" },
	{ "connections", "open", "moment_connections", METRIC_GAUGE, AT(connections),
	  "Connections open now" },
	{ "connections", "refused", "moment_connections_refused_total", METRIC_COUNTER,
	  AT(connections_refused), "Connections closed at accept for want of room" },
	{ "connections", "bytes_in", "moment_received_bytes_total", METRIC_COUNTER, AT(bytes_in),
	  "Bytes received from sources and gateways" },
	{ "connections", "bytes_out", "moment_sent_bytes_total", METRIC_COUNTER, AT(bytes_out),
	  "Bytes sent to sources and gateways" },
	{ "prefilter", "slots", "moment_prefilter_slots", METRIC_GAUGE, AT(prefilter.slots),
	  "Sources that the program in the kernel feeds now" },
	{ "prefilter", "slots_waiting", "moment_prefilter_slots_waiting", METRIC_GAUGE,
	  AT(prefilter.slots_waiting), "Slots given back whose grace period is not over" },
	{ "prefilter", "joined", "moment_prefilter_joined_total", METRIC_COUNTER, AT(prefilter.joined),
	  "Sockets of sources that joined the program" },
	{ "prefilter", "refused", "moment_prefilter_refused_total", METRIC_COUNTER, AT(prefilter.refused),
	  "Sockets of sources that could not join: filtered in user space" },
	{ "prefilter", "runs", "moment_prefilter_runs_total", METRIC_COUNTER, AT(prefilter.runs),
	  "Runs of the program, one for each packet as the kernel hands it on" },
	{ "prefilter", "bells", "moment_prefilter_bells_total", METRIC_COUNTER, AT(prefilter.bells),
	  "Times the program woke the engine" },
	{ "prefilter", "overlapped", "moment_prefilter_overlapped_bytes_total", METRIC_COUNTER,
	  AT(prefilter.overlapped), "Bytes that TCP handed on twice and the program skipped" },
	{ "prefilter", "skb_max", "moment_prefilter_skb_max_bytes", METRIC_GAUGE, AT(prefilter.skb_max),
	  "Longest packet handed on" },
	{ "prefilter", "generation", "moment_prefilter_generation", METRIC_GAUGE, AT(prefilter.generation),
	  "Interest tables given to the program since start" },
	{ "prefilter", "cut", "moment_prefilter_cut_total", METRIC_COUNTER, AT(prefilter_cut),
	  "Sources that a reload cut off, to resume, since it did not wait for them" },
	{ "events", "in", "moment_events_received_total", METRIC_COUNTER, AT(ledger.events_in),
	  "Event frames in sequence or below it, kept or not" },
	{ "decided", "with_hit", "moment_events_decided_with_hit_total", METRIC_COUNTER,
	  AT(ledger.decided_with_hit), "Decided events with a hit or more" },
	{ "changes", "in", "moment_changes_received_total", METRIC_COUNTER, AT(ledger.changes_in),
	  "Changes of profiles and subscriptions, receipts and replies" },
	{ "hits", "made", "moment_hits_made_total", METRIC_COUNTER, AT(ledger.hits_made),
	  "Cause x rule x subscription" },
	{ "notices", "made", "moment_notices_made_total", METRIC_COUNTER, AT(ledger.notices_made),
	  "Hit x recipient" },
	{ "legs", "made", "moment_legs_made_total", METRIC_COUNTER, AT(ledger.legs_made),
	  "Notice x channel x attempt" },
	{ "texts", "no_data", "moment_text_no_data_total", METRIC_COUNTER, AT(ledger.text_no_data),
	  "Placeholders of texts that had no data" },
	{ "journal", "batches", "moment_journal_batches_total", METRIC_COUNTER, AT(batches),
	  "Number of the last batch" },
	{ "journal", "durable", "moment_journal_durable_batches_total", METRIC_COUNTER, AT(durable),
	  "Number of the last durable batch" },
	{ "journal", "positions", "moment_journal_positions_total", METRIC_COUNTER, AT(positions),
	  "Position of the last entry" },
	{ "journal", "base_position", "moment_journal_base_position", METRIC_GAUGE, AT(base_position),
	  "Position of the newest base: replay reaches back to it" },
	{ "windows", "cells", "moment_windows_cells", METRIC_GAUGE, AT(history.cells), "Keys with windows" },
	{ "windows", "entries", "moment_windows_entries", METRIC_GAUGE, AT(history.entries),
	  "Events held in windows" },
	{ "windows", "bytes", "moment_windows_bytes", METRIC_GAUGE, AT(history.windows_bytes),
	  "Memory used by windows" },
	{ "windows", "bytes_max", "moment_windows_max_bytes", METRIC_GAUGE, AT(history.windows_bytes_max),
	  "Memory reserved for windows" },
	{ "windows", "full", "moment_windows_full_total", METRIC_COUNTER, AT(ledger.window_full),
	  "Reads of a key with more entries than it may hold: no data" },
	{ "windows", "refs", "moment_refs", METRIC_GAUGE, AT(history.refs), "References remembered" },
	{ "windows", "refs_max", "moment_refs_max", METRIC_GAUGE, AT(history.refs_max),
	  "References that can be remembered" },
	{ "windows", "refs_evicted", "moment_refs_evicted_total", METRIC_COUNTER, AT(history.refs_evicted),
	  "References forgotten before their time for want of room" },
	{ "windows", "provisional_forgotten", "moment_provisional_forgotten_total", METRIC_COUNTER,
	  AT(history.provisional_forgotten), "Customers without a record whose windows were forgotten" },
	{ "store", "customers", "moment_store_customers", METRIC_GAUGE, AT(store.customers),
	  "Customer records" },
	{ "store", "accounts", "moment_store_accounts", METRIC_GAUGE, AT(store.accounts), "Account records" },
	{ "store", "subscriptions", "moment_store_subscriptions", METRIC_GAUGE, AT(store.subscriptions),
	  "Subscriptions" },
	{ "store", "overlay_rows", "moment_store_overlay_rows", METRIC_GAUGE, AT(store.overlay_rows),
	  "Changed rows that no checkpoint holds yet" },
	{ "store", "overlay_bytes", "moment_store_overlay_bytes", METRIC_GAUGE, AT(store.overlay_bytes),
	  "Memory used by changed rows" },
	{ "store", "overlay_bytes_max", "moment_store_overlay_max_bytes", METRIC_GAUGE,
	  AT(store.overlay_bytes_max), "Memory reserved for changed rows" },
	{ "store", "file_bytes", "moment_store_file_bytes", METRIC_GAUGE, AT(store.file_bytes),
	  "Size of the store's file" },
	{ "store", "checkpoints", "moment_checkpoints_total", METRIC_COUNTER, AT(store.checkpoints),
	  "Checkpoints since start" },
	{ "store", "checkpoints_failed", "moment_checkpoints_failed_total", METRIC_COUNTER,
	  AT(checkpoints_failed), "Checkpoints that could not be written" },
	{ "outbox", "bytes", "moment_outbox_bytes", METRIC_GAUGE, AT(outbox_bytes),
	  "Memory used by legs that are not accepted" },
	{ "outbox", "spilled", "moment_outbox_spilled_chunks", METRIC_GAUGE, AT(outbox_spilled),
	  "Chunks of legs that are only in the store" },
	{ "delivery", "messages_sent", "moment_messages_sent_total", METRIC_COUNTER, AT(messages_sent),
	  "Messages sent to gateways, repeats included" },
	{ "delivery", "resent", "moment_messages_resent_total", METRIC_COUNTER, AT(resent),
	  "Messages sent again after a gateway went" },
	{ "delivery", "zero_copy_sends", "moment_zero_copy_sends_total", METRIC_COUNTER, AT(zero_copy_sends),
	  "Sends with IORING_OP_SEND_ZC" },
	{ "delivery", "zero_copy_copied", "moment_zero_copy_copied_total", METRIC_COUNTER,
	  AT(zero_copy_copied), "Zero-copy sends that the kernel copied all the same" },
	{ "delivery", "plain_sends", "moment_plain_sends_total", METRIC_COUNTER, AT(plain_sends),
	  "Plain sends" },
};
const uint32_t control_field_count = ARRAY_LEN(control_fields);

#define NAME(name, text) #name,
#define TEXT(name, text) text,
static const char *const event_names[] = { NULL, EVENT_OUTCOMES(NAME) };
static const char *const event_texts[] = { NULL, EVENT_OUTCOMES(TEXT) };
static const char *const change_names[] = { NULL, CHANGE_OUTCOMES(NAME) };
static const char *const change_texts[] = { NULL, CHANGE_OUTCOMES(TEXT) };
static const char *const hit_names[] = { NULL, HIT_OUTCOMES(NAME) };
static const char *const hit_texts[] = { NULL, HIT_OUTCOMES(TEXT) };
static const char *const reason_names[] = { NULL, SUPPRESSED_REASONS(NAME) };
static const char *const reason_texts[] = { NULL, SUPPRESSED_REASONS(TEXT) };
static const char *const notice_names[] = { NULL, NOTICE_STATES(NAME) };
static const char *const notice_texts[] = { NULL, NOTICE_STATES(TEXT) };
static const char *const leg_names[] = { NULL, LEG_STATES(NAME) };
static const char *const leg_texts[] = { NULL, LEG_STATES(TEXT) };
static const char *const refusal_names[] = { NULL, REFUSALS(NAME) };
static const char *const refusal_texts[] = { NULL, REFUSALS(TEXT) };
/* decisions 29: the numbers are VERDICT's header.type */
static const char *const verdict_names[] = { "APPROVE", "REVIEW", "DECLINE" };
static const char *const verdict_texts[] = { "below the threshold of review",
					     "at or above the threshold of review",
					     "at or above the threshold of decline" };
#undef NAME
#undef TEXT

#define FAMILY(names, texts) 1, ARRAY_LEN(names), names, texts
/* Notices and legs move from state to state: gauges of where they stand now. */
const struct control_family control_families[] = {
	{ "events", "moment_events_total", "outcome", METRIC_COUNTER, AT(ledger.events),
	  FAMILY(event_names, event_texts), "Events by what they ended as" },
	{ "changes", "moment_changes_total", "outcome", METRIC_COUNTER, AT(ledger.changes),
	  FAMILY(change_names, change_texts), "Changes by what they ended as" },
	{ "hits", "moment_hits_total", "outcome", METRIC_COUNTER, AT(ledger.hits),
	  FAMILY(hit_names, hit_texts), "Hits by what they ended as" },
	{ "suppressed", "moment_hits_suppressed_total", "reason", METRIC_COUNTER, AT(ledger.hits_suppressed),
	  FAMILY(reason_names, reason_texts), "Suppressed hits by reason" },
	{ "notices", "moment_notices", "state", METRIC_GAUGE, AT(ledger.notices),
	  FAMILY(notice_names, notice_texts), "Notices by where they stand" },
	{ "legs", "moment_legs", "state", METRIC_GAUGE, AT(ledger.legs), FAMILY(leg_names, leg_texts),
	  "Legs by where they stand" },
	{ "verdicts", "moment_verdicts_total", "verdict", METRIC_COUNTER, AT(ledger.verdicts), 0,
	  ARRAY_LEN(verdict_names), verdict_names, verdict_texts, "Verdicts given" },
	{ "refusals", "moment_refusals_total", "reason", METRIC_COUNTER, AT(refusals),
	  FAMILY(refusal_names, refusal_texts), "Connections closed because of what they sent, since start" },
};
const uint32_t control_family_count = ARRAY_LEN(control_families);

#define IN_RULE(member) offsetof(struct ledger_rule, member)
const struct control_field control_rule_fields[] = {
	{ "rules", "hits", "moment_rule_hits_total", METRIC_COUNTER, IN_RULE(hits), "Conditions that held" },
	{ "rules", "no_data", "moment_rule_no_data_total", METRIC_COUNTER, IN_RULE(no_data),
	  "Conditions that lacked data" },
	{ "rules", "errors", "moment_rule_errors_total", METRIC_COUNTER, IN_RULE(errors),
	  "Conditions that failed, such as by an overflow" },
};
const uint32_t control_rule_field_count = ARRAY_LEN(control_rule_fields);

bool control_equations(const struct ledger *l, struct ledger_equation out[CONTROL_EQUATIONS])
{
	uint64_t by_reason = 0;

	for (unsigned i = 1; i < SUPPRESSED_REASON_COUNT; i++)
		by_reason += l->hits_suppressed[i];
	out[LEDGER_EQUATIONS] =
		(struct ledger_equation){ "suppressed", l->hits[HIT_SUPPRESSED], 0, by_reason };
	return ledger_equations(l, out);
}

const char *control_lower(char out[CONTROL_NAME_BYTES], const char *name)
{
	size_t n = 0;

	for (; n < CONTROL_NAME_BYTES - 1 && name[n]; n++)
		out[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] - 'A' + 'a') : name[n];
	out[n] = 0;
	return out;
}

const char *control_name(char out[CONTROL_NAME_BYTES], const char *name)
{
	size_t len = strnlen(name, CONTROL_NAME_BYTES - 1);
	bool valid = utf8_valid(name, len);

	for (size_t i = 0; i < len; i++)
		out[i] = valid || (unsigned char)name[i] < 0x80 ? name[i] : '?';
	out[len] = 0;
	return out;
}

const char *control_section(uint8_t section)
{
	static const char *const names[SECTION_COUNT] = {
		[SECTION_NONE] = "none",
		[SECTION_FRAUD] = "fraud",
		[SECTION_CRITICAL] = "critical",
		[SECTION_SUBSCRIPTION] = "subscription",
	};

	return names[section < SECTION_COUNT ? section : SECTION_NONE];
}

const char *control_hash(char out[33], struct hash128 hash)
{
	snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
	return out;
}
