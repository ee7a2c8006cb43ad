/*
 * import.c: lines into a store, all of them as one transaction.
 *
 * In: lines, one after the other. Out: rows in the store, applied by the functions that apply frames; a list
 * of bad rows. When the overlay is full its rows go into the transaction that is held open, so any number of
 * rows is committed or dropped together, also when the process is killed. A row is taken back as a whole when
 * one of its changes is refused. What can go wrong beside bad rows: the disk is full, told by import_line or
 * import_end.
 */
#include "import.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct import {
	struct store *s;
	const struct catalogue *c;
	struct import_options options;
	struct import_lines *lines;
	struct import_result result;
	bool failed;
};

int import_begin(struct import **out, struct store *s, const struct catalogue *c,
		 const struct import_options *options)
{
	struct import *i = calloc(1, sizeof *i);
	int rc;

	if (!i)
		return -ENOMEM;
	*i = (struct import){ .s = s, .c = c, .options = *options, .lines = import_lines_new() };
	rc = i->lines ? store_hold(s) : -ENOMEM;
	if (rc) {
		import_lines_free(i->lines);
		free(i);
		return rc;
	}
	*out = i;
	return 0;
}

static void bad_row(struct import *i, const struct import_problem *problem)
{
	i->result.bad++;
	if (i->options.report && i->result.bad <= IMPORT_REPORT_MAX)
		fprintf(i->options.report, "%s:%llu:%u: %s\n", i->options.file,
			(unsigned long long)i->result.lines, problem->column, problem->text);
}

/* Applies one change; on a refusal *problem says where in the line. */
static bool apply(struct import *i, int index, struct import_problem *problem)
{
	const struct import_change *change = import_lines_change(i->lines, index);
	enum change_outcome outcome;

	if (change->kind == FRAME_PROFILE)
		outcome = store_apply_profile(i->s, i->c, change->customer, change->account, change->body,
					      change->bytes, problem->text, sizeof problem->text);
	else
		outcome = store_apply_subscribe(i->s, i->c, change->customer, change->body, change->bytes,
						problem->text, sizeof problem->text);
	if (outcome != CHANGE_APPLIED)
		problem->column = import_lines_column(i->lines, index, store_refused_offset(i->s));
	return outcome == CHANGE_APPLIED;
}

static void count_row(struct import *i, int changes)
{
	for (int k = 0; k < changes; k++)
		i->result.subscriptions += import_lines_change(i->lines, k)->kind == FRAME_SUBSCRIBE;
	i->result.rows++;
	if (import_lines_change(i->lines, 0)->customer)
		i->result.customers++;
	else
		i->result.accounts++;
}

static bool apply_all(struct import *i, int changes, struct import_problem *problem)
{
	store_mark(i->s);
	for (int k = 0; k < changes; k++)
		if (!apply(i, k, problem)) {
			store_undo(i->s);
			return false;
		}
	return true;
}

/* The overlay goes into the transaction; *more adds to it. */
static int flush(struct import *i, void (*more)(struct import *i, struct records *records))
{
	struct records *records = store_checkpoint_begin(i->s);

	assert(records);
	if (more)
		more(i, records);
	store_checkpoint_commit(i->s);
	return store_checkpoint_wait(i->s);
}

int import_line(struct import *i, const char *line, size_t len)
{
	struct import_problem problem = { 0 };
	int changes, rc = store_has_room(i->s, BATCH_ENTRIES_MAX) ? 0 : flush(i, NULL);

	if (rc)
		return rc;
	i->result.lines++;
	changes = import_lines_read(i->lines, line, len, &problem);
	if (changes == 0)
		return 0;
	if (changes < 0 || !apply_all(i, changes, &problem))
		bad_row(i, &problem);
	else
		count_row(i, changes);
	return 0;
}

void import_fail(struct import *i)
{
	i->failed = true;
}

/* The catalogue when the store has none, and the mark by which the engine knows that a base is due: imported
 * rows are in no journal. */
static void keep_catalogue(struct import *i, struct records *records)
{
	static const char key[] = "catalogue", mark[] = "imported";
	uint32_t bytes;
	uint64_t *lines = records_put(records, RECORD_META, mark, sizeof mark - 1, sizeof *lines);

	if (lines)
		*lines = i->result.lines;
	if (!i->c->blob || store_value(i->s, RECORD_META, key, sizeof key - 1, &bytes))
		return;
	void *value = records_put(records, RECORD_META, key, sizeof key - 1, (uint32_t)i->c->blob_bytes);
	if (value)
		memcpy(value, i->c->blob, i->c->blob_bytes);
}

int import_end(struct import *i, struct import_result *result)
{
	bool commit = !i->failed && (i->options.skip_bad || i->result.bad == 0);
	int rc = commit ? flush(i, keep_catalogue) : 0;
	int released = store_release(i->s, commit && rc == 0);

	if (rc == 0)
		rc = released;
	i->result.committed = commit && rc == 0;
	*result = i->result;
	import_lines_free(i->lines);
	free(i);
	return rc;
}
