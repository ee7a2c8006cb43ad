/*
 * check_filter.c: `moment replay --check-filter`: two sides in two processes, compared record by record.
 *
 * In: what the sides say (check_filter.h), in the order of positions. Out: how much the filter would drop and
 * "sound", or the first difference with its event and what each side had. The sides are forked before
 * anything is opened: a process must not open one LMDB environment twice. A side that dies, or cannot run, is
 * a failure. Memory: two buffers of records, and the arrays at the end.
 */
#include "check_filter.h"

#include "cli.h"

#include <assert.h>
#include <base_copy.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct said {
	struct check_record head;
	char text[512];
};

struct end {
	struct check_end head;
	struct ledger_rule *rules;
	struct check_type *types;
};

struct ear { /* one side, as heard */
	const char *name;
	pid_t pid;
	FILE *from;
	struct said said;
	struct end end;
};

static const char *const outcome_names[] = { "nothing",
#define X(name, text) #name,
					     EVENT_OUTCOMES(X)
#undef X
};

/* ---- the sides ---- */

static int side_start(const struct check_filter_options *o, const char *base, bool without, struct ear *ear,
		      const struct ear *other)
{
	int ends[2];

	if (pipe(ends))
		return -errno;
	fflush(NULL);
	ear->pid = fork();
	if (ear->pid == 0) {
		close(ends[0]);
		if (other->from)
			fclose(other->from); /* so that the other one hears when we are gone */
		signal(SIGPIPE, SIG_DFL);
		FILE *to = fdopen(ends[1], "w");
		if (to) {
			setvbuf(to, NULL, _IOFBF, 1 << 16);
			check_side_run(o, base, without, to);
		}
		_exit(0);
	}
	close(ends[1]);
	if (ear->pid > 0)
		ear->from = fdopen(ends[0], "r");
	if (ear->from)
		return 0;
	int rc = -errno;
	close(ends[0]);
	return rc;
}

/* Ends a side that may still be writing. */
static int side_stop(struct ear *ear)
{
	int status = 0;

	if (ear->from)
		fclose(ear->from);
	if (ear->pid > 0 && waitpid(ear->pid, &status, 0) < 0)
		status = -1;
	free(ear->end.rules);
	free(ear->end.types);
	return status;
}

static bool array_read(FILE *from, void **array, size_t size, uint32_t count)
{
	*array = calloc(count + 1u, size);
	return *array && fread(*array, size, count, from) == count;
}

static bool end_read(struct ear *ear)
{
	struct end *end = &ear->end;

	if (fread(&end->head, sizeof end->head, 1, ear->from) != 1 || end->head.rule_count > RULES_MAX ||
	    end->head.type_count > INTEREST_TYPES)
		return false;
	return array_read(ear->from, (void **)&end->rules, sizeof *end->rules, end->head.rule_count) &&
	       array_read(ear->from, (void **)&end->types, sizeof *end->types, end->head.type_count);
}

/* The next record; a side that ended without saying so has failed. */
static void listen_next(struct ear *ear)
{
	struct said *s = &ear->said;
	bool whole = fread(&s->head, sizeof s->head, 1, ear->from) == 1 &&
		     s->head.text_bytes < sizeof s->text &&
		     fread(s->text, 1, s->head.text_bytes, ear->from) == s->head.text_bytes;

	if (whole && s->head.what == CHECK_END)
		whole = end_read(ear);
	if (!whole) {
		memset(s, 0, sizeof *s);
		s->head.what = CHECK_FAILED;
		s->head.text_bytes = (uint32_t)snprintf(s->text, sizeof s->text, "it ended early");
	}
	s->text[s->head.text_bytes] = 0;
}

/* ---- the first difference ---- */

static bool same(const struct said *a, const struct said *b)
{
	return a->head.what == b->head.what && a->head.outcome == b->head.outcome &&
	       a->head.position == b->head.position && a->head.type == b->head.type &&
	       a->head.sequence == b->head.sequence && a->head.hash.low == b->head.hash.low &&
	       a->head.hash.high == b->head.hash.high;
}

/* Which record comes first in the order that both sides keep? */
static int place_compare(const struct said *a, const struct said *b)
{
	if (a->head.position != b->head.position)
		return a->head.position < b->head.position ? -1 : 1;
	return a->head.what < b->head.what ? -1 : a->head.what > b->head.what;
}

static void said_print(const struct ear *ear, const struct said *s, FILE *err)
{
	fprintf(err, "  %s: ", ear->name);
	if (!s)
		fputs("nothing of the kind\n", err);
	else if (s->head.what == CHECK_OUTCOME)
		fprintf(err, "the event ends as %s\n", outcome_names[s->head.outcome]);
	else if (s->head.what == CHECK_END)
		fputs("the end\n", err);
	else
		fprintf(err, "%s\n", s->text);
}

static void difference_print(const struct ear *with, const struct ear *without, FILE *err)
{
	int order = place_compare(&with->said, &without->said);
	const struct said *first = order <= 0 ? &with->said : &without->said;
	const struct check_record *h = &first->head;

	fprintf(err, "moment replay: unsound at position %" PRIu64 ": event %s (%u), sequence %" PRIu64 "\n",
		h->position, h->type_name[0] ? h->type_name : "of an unknown type", h->type, h->sequence);
	said_print(with, order <= 0 ? &with->said : NULL, err);
	said_print(without, order >= 0 ? &without->said : NULL, err);
}

/* A side that could not run. */
static bool failed_print(const struct ear *ear, FILE *err)
{
	if (ear->said.head.what != CHECK_FAILED)
		return false;
	fprintf(err, "moment replay: the run %s, at position %" PRIu64 ": %s\n", ear->name,
		ear->said.head.position, ear->said.text);
	return true;
}

/* ---- counters ---- */

/* The ledger as a row of numbers, with names: X(first member, how many). */
#define LEDGER_MEMBERS(X)                                                                                    \
	X(events_in, 1)                                                                                      \
	X(changes_in, 1)                                                                                     \
	X(hits_made, 1)                                                                                      \
	X(notices_made, 1)                                                                                   \
	X(legs_made, 1)                                                                                      \
	X(events, EVENT_OUTCOME_COUNT)                                                                       \
	X(changes, CHANGE_OUTCOME_COUNT)                                                                     \
	X(hits, HIT_OUTCOME_COUNT)                                                                           \
	X(hits_suppressed, SUPPRESSED_REASON_COUNT)                                                          \
	X(notices, NOTICE_STATE_COUNT)                                                                       \
	X(legs, LEG_STATE_COUNT)                                                                             \
	X(decided_with_hit, 1)                                                                               \
	X(verdicts, 3)                                                                                       \
	X(text_no_data, 1)                                                                                   \
	X(window_full, 1)

static const struct member {
	const char *name;
	unsigned count;
} members[] = {
#define X(name, count) { #name, count },
	LEDGER_MEMBERS(X)
#undef X
};
#define X(name, count) +(count)
_Static_assert(sizeof(struct ledger) == 8 * (0 LEDGER_MEMBERS(X)), "every counter has its line");
#undef X

static bool counter_differs(const char *what, const char *of, unsigned at, uint64_t a, uint64_t b, FILE *err)
{
	if (a == b)
		return false;
	fprintf(err,
		"moment replay: unsound: counter %s%s%s[%u]: %" PRIu64 " with the dropped events (moved to "
		"FILTERED), %" PRIu64 " without\n",
		what, of[0] ? " of " : "", of, at, a, b);
	return true;
}

static bool ledger_differs(const struct ledger *a, const struct ledger *b, FILE *err)
{
	const uint64_t *x = (const uint64_t *)a, *y = (const uint64_t *)b;
	bool differs = false;

	for (unsigned m = 0; m < sizeof members / sizeof *members; m++)
		for (unsigned i = 0; i < members[m].count; i++, x++, y++)
			differs |= counter_differs(members[m].name, "", i, *x, *y, err);
	return differs;
}

static bool rules_differ(const struct end *a, const struct end *b, FILE *err)
{
	bool differs = counter_differs("rules", "", 0, a->head.rule_count, b->head.rule_count, err);

	for (uint32_t i = 0; !differs && i < a->head.rule_count; i++) {
		const struct ledger_rule *x = &a->rules[i], *y = &b->rules[i];
		differs |= counter_differs("hits", x->name, i, x->hits, y->hits, err);
		differs |= counter_differs("no_data", x->name, i, x->no_data, y->no_data, err);
		differs |= counter_differs("errors", x->name, i, x->errors, y->errors, err);
		for (unsigned slot = 0; slot < CHANNEL_SLOTS_MAX; slot++)
			differs |= counter_differs("legs", x->name, slot, x->legs[slot], y->legs[slot], err);
	}
	return differs;
}

static bool types_differ(const struct end *a, const struct end *b, FILE *err)
{
	bool differs = counter_differs("types", "", 0, a->head.type_count, b->head.type_count, err);

	for (uint32_t i = 0; !differs && i < a->head.type_count; i++) {
		const struct check_type *x = &a->types[i], *y = &b->types[i];
		differs |= counter_differs("type", x->name, x->code, x->code, y->code, err);
		differs |= counter_differs("kept", x->name, x->code, x->kept, y->kept, err);
		differs |= counter_differs("dropped", x->name, x->code, x->dropped, y->dropped, err);
	}
	return differs;
}

static bool digest_differs(const char *what, struct hash128 a, struct hash128 b, FILE *err)
{
	if (a.low == b.low && a.high == b.high)
		return false;
	fprintf(err,
		"moment replay: unsound: the digest of %s is %016" PRIx64 "%016" PRIx64
		" with the dropped events, %016" PRIx64 "%016" PRIx64 " without\n",
		what, a.high, a.low, b.high, b.low);
	return true;
}

static bool ends_differ(const struct end *a, const struct end *b, FILE *err)
{
	bool differs = digest_differs("the outputs", a->head.outputs, b->head.outputs, err);

	differs |= digest_differs("windows and references", a->head.history, b->head.history, err);
	differs |= digest_differs("the golden records", a->head.rows, b->head.rows, err);
	differs |= counter_differs("position", "", 0, a->head.position, b->head.position, err);
	differs |= ledger_differs(&a->head.ledger, &b->head.ledger, err);
	differs |= rules_differ(a, b, err);
	return types_differ(a, b, err) || differs;
}

/* ---- the report ---- */

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static void report(const struct end *with, const struct end *without, FILE *out)
{
	const struct check_end *h = &with->head;

	fprintf(out, "events %" PRIu64 ", of which the filter would drop %" PRIu64 " (%.1f %%)\n", h->events,
		h->dropped, share(h->dropped, h->events));
	for (uint32_t i = 0; i < h->type_count; i++) {
		const struct check_type *t = &with->types[i];
		if (t->dropped)
			fprintf(out, "  %s (%u): %" PRIu64 " of %" PRIu64 " (%.1f %%)\n",
				t->name[0] ? t->name : "?", t->code, t->dropped, t->seen,
				share(t->dropped, t->seen));
	}
	fprintf(out, "messages %" PRIu64 ", verdicts %" PRIu64 ", position %" PRIu64 "\n", h->messages,
		h->verdicts, h->position);
	fprintf(out, "outputs %016" PRIx64 "%016" PRIx64 "\n", h->outputs.high, h->outputs.low);
	fprintf(out, "windows and references %016" PRIx64 "%016" PRIx64 "\n", h->history.high,
		h->history.low);
	fprintf(out, "golden records %016" PRIx64 "%016" PRIx64 "\n", h->rows.high, h->rows.low);
	fprintf(out,
		"sound: the journal without what the filter would drop (%" PRIu64 " entries of %" PRIu64
		") gives the same messages, verdicts, outcomes, state and counters\n",
		without->head.entries, h->entries);
}

static int sides_compare(struct ear *with, struct ear *without, const struct check_filter_options *o)
{
	for (;;) {
		listen_next(with);
		listen_next(without);
		bool failed = failed_print(with, o->err);
		if (failed_print(without, o->err) || failed)
			return CLI_FAILED;
		if (!same(&with->said, &without->said)) {
			difference_print(with, without, o->err);
			return CLI_FAILED;
		}
		if (with->said.head.what == CHECK_END)
			break;
	}
	if (ends_differ(&with->end, &without->end, o->err))
		return CLI_FAILED;
	report(&with->end, &without->end, o->out);
	return CLI_OK;
}

int check_filter_run(const struct check_filter_options *o)
{
	struct ear with = { .name = "with the dropped events" },
		   without = { .name = "without the dropped events" };
	uint64_t position;
	char base[4200];
	int rc = base_newest(o->data, &position, base, sizeof base);

	if (rc) {
		fprintf(o->err, "moment replay: %s has no base to start from: %s\n", o->data, strerror(-rc));
		return CLI_FAILED;
	}
	rc = side_start(o, base, false, &with, &without);
	if (!rc)
		rc = side_start(o, base, true, &without, &with);
	int code = CLI_FAILED;
	if (rc)
		fprintf(o->err, "moment replay: a process for each side: %s\n", strerror(-rc));
	else
		code = sides_compare(&with, &without, o);
	int ended = side_stop(&with) | side_stop(&without);
	if (code == CLI_OK && ended) {
		fprintf(o->err, "moment replay: a side did not end well (%d)\n", ended);
		return CLI_FAILED;
	}
	return code;
}
