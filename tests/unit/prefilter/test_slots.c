// needs: user/prefilter/*.c user/base/log.c tests/unit/prefilter/line.c tests/unit/prefilter/traffic.c
/*
 * test_slots.c: which sockets get a slot and which do not, how a slot is used again, the spreading over two
 * shards, and the privileges that all this needs. Needs what test_prefilter needs.
 */
#include "line.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <prefilter/privileges.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- slots ---- */

static uint64_t slots_waiting(const struct rig *rig)
{
	struct prefilter_counts c;

	prefilter_counts(rig->p, &c);
	return c.slots_waiting;
}

static void a_slot_is_not_given_again_before_its_grace_is_over(void **state)
{
	struct rig *rig = rig_needed(state);
	unsigned met = 0;

	for (unsigned round = 0; round < 200 && met < 10; round++) {
		WAIT_FOR(slots_waiting(rig) == 0);
		struct line *a = line_open(rig, 1), *b = line_new(rig, 1);
		int was = a->slot;
		line_close(a);
		b->slot = prefilter_slot_take(rig->p, b->fd, 1, b->reader);
		assert_true(b->slot >= 0);
		if (slots_waiting(rig) == 1) { /* so it was not over then either */
			assert_int_not_equal(b->slot, was);
			met++;
		}
		line_close(b);
	}
	assert_true(met > 0);
	WAIT_FOR(slots_waiting(rig) == 0);
}

static void a_65th_source_is_told_that_there_is_no_slot(void **state)
{
	struct rig *rig = rig_needed(state);
	struct line *l[RING_SLOTS], *one_more;
	bool used[RING_SLOTS] = { 0 };

	WAIT_FOR(slots_waiting(rig) == 0);
	for (unsigned i = 0; i < RING_SLOTS; i++) {
		l[i] = line_new(rig, 1);
		l[i]->slot = prefilter_slot_take(rig->p, l[i]->fd, 1, l[i]->reader);
		assert_in_range(l[i]->slot, 0, RING_SLOTS - 1);
		assert_false(used[l[i]->slot]);
		used[l[i]->slot] = true;
	}
	one_more = line_new(rig, 1);
	assert_int_equal(prefilter_slot_take(rig->p, one_more->fd, 1, one_more->reader), -ENOSPC);
	int was = l[17]->slot;
	line_close(l[17]);
	WAIT_FOR((one_more->slot = prefilter_slot_take(rig->p, one_more->fd, 1, one_more->reader)) !=
		 -EAGAIN);
	assert_int_equal(one_more->slot, was);
	l[17] = one_more;
	for (unsigned i = 0; i < RING_SLOTS; i++) /* and each has its own ring */
		frame_write(l[i], event_of(0, 1, 64 + i));
	for (unsigned i = 0; i < RING_SLOTS; i++) {
		line_drain(l[i]);
		line_close(l[i]);
	}
}

/* A slot's memory is as new: nothing of the one before it is there. */
static void a_slot_begins_anew(void **state)
{
	struct rig *rig = rig_needed(state);

	rig_table_plain(rig);
	for (unsigned round = 0; round < 3 * RING_SLOTS / 2; round++) {
		struct line *l = line_open(rig, 1);
		assert_false(reader_waits(&l->reader[0]));
		assert_false(reader_ended(&l->reader[0]));
		assert_int_equal(slot(l)->events + slot(l)->events_taken + slot(l)->offset + slot(l)->runs,
				 0);
		uint64_t sequence = 1;
		events_write(l, 0, &sequence, 3, 100);
		frame_write(l, event_of(0, 9, 64)); /* a gap */
		line_drain(l);
		line_close(l);
	}
}

static void bytes_behind_hello_are_refused(void **state)
{
	struct rig *rig = rig_needed(state);
	struct prefilter_counts before, after;
	int queued;

	WAIT_FOR(slots_waiting(rig) == 0);
	prefilter_counts(rig->p, &before);
	for (unsigned i = 0; i < 5; i++) {
		struct line *l = line_new(rig, 1);
		hello_pass(l, 100);
		assert_int_equal(send(l->peer, "x", 1, 0), 1);
		WAIT_FOR(ioctl(l->fd, FIONREAD, &queued) == 0 && queued > 0);
		l->slot = prefilter_slot_take(rig->p, l->fd, 1, l->reader);
		assert_int_equal(l->slot, -EPROTO);
		line_close(l);
	}
	prefilter_counts(rig->p, &after);
	assert_int_equal(after.slots, before.slots);
}

static void what_the_kernel_refuses_takes_no_slot(void **state)
{
	struct rig *rig = rig_needed(state);
	struct ring_reader reader[RING_SHARDS_MAX];
	struct prefilter_counts before, after;
	struct line *joined = line_open(rig, 1), *ended = line_new(rig, 1);
	int not_connected = socket(AF_INET, SOCK_STREAM, 0);

	prefilter_counts(rig->p, &before);
	assert_true(prefilter_slot_take(rig->p, not_connected, 1, reader) < 0);
	assert_true(prefilter_slot_take(rig->p, STDIN_FILENO, 1, reader) < 0);
	assert_true(prefilter_slot_take(rig->p, joined->fd, 1, reader) < 0); /* it is in */
	shutdown(ended->peer, SHUT_WR);
	struct pollfd hung_up = { .fd = ended->fd, .events = POLLRDHUP };
	assert_int_equal(poll(&hung_up, 1, 5000), 1);
	ended->slot = prefilter_slot_take(rig->p, ended->fd, 1, reader);
	assert_true(ended->slot < 0);
	prefilter_counts(rig->p, &after);
	assert_int_equal(after.slots, before.slots);
	assert_int_equal(after.joined, before.joined);
	frame_write(joined, event_of(0, 1, 64)); /* which is none the worse for it */
	line_drain(joined);
	close(not_connected);
	line_close(ended);
	line_close(joined);
}

static void counters_add_up_over_slots(void **state)
{
	struct rig *rig = rig_needed(state);
	struct prefilter_counts before, open, closed;
	struct line *l;
	uint64_t sequence = 1;

	rig_table_plain(rig);
	WAIT_FOR(slots_waiting(rig) == 0);
	prefilter_counts(rig->p, &before);
	l = line_open(rig, 1);
	events_write(l, 0, &sequence, 7, 640);
	line_drain(l);
	prefilter_counts(rig->p, &open);
	assert_int_equal(open.slots, before.slots + 1);
	assert_int_equal(open.joined, before.joined + 1);
	assert_int_equal(open.runs, before.runs + slot(l)->runs);
	assert_true(slot(l)->runs >= 1 && slot(l)->runs <= 7);
	assert_true(open.skb_max >= 640);
	assert_int_equal(open.generation, rig->generation);
	line_close(l);
	prefilter_counts(rig->p, &closed);
	assert_int_equal(closed.slots, before.slots);
	assert_in_range(closed.runs, open.runs, open.runs + 1); /* the end of the stream is one too */
}

/* ---- two shards ---- */

static void shards_take(struct line *l, struct decided *kept, uint32_t *at, uint32_t count, uint64_t *dropped)
{
	const char *item;
	uint32_t bytes;

	for (uint32_t shard = 0; shard < 2; shard++)
		for (;;) {
			struct ring_reader *r = &l->reader[shard];
			enum ring_item what = reader_next(r, &item, &bytes);
			if (what == RING_NOTHING)
				break;
			assert_int_not_equal(what, RING_BROKEN);
			if (what == RING_RECORD) {
				struct ring_dropped record;
				memcpy(&record, item, RING_ALIGN);
				*dropped += record.count;
				reader_done(r);
				continue;
			}
			/* the next kept one of the customers of this shard */
			while (at[shard] < count && (!kept[at[shard]].bytes || kept[at[shard]].type != shard))
				at[shard]++;
			assert_true(at[shard] < count);
			struct decided *d = &kept[at[shard]++];
			assert_int_equal(bytes, d->length);
			assert_memory_equal(item, d->bytes, bytes);
			reader_done(r);
		}
}

/* Kept frames are found again by customer: `type` of an item becomes its shard. */
static void shards_mark(struct line *l)
{
	for (uint32_t i = 0; i < l->count; i++) {
		struct decided *d = &l->items[(l->first + i) % ITEMS_MAX];
		if (d->verdict != FILTER_KEEP)
			continue;
		struct frame_header h;
		memcpy(&h, d->bytes, sizeof h);
		d->type = (uint16_t)(enrolment_hash(h.customer) & 1);
	}
}

static void each_customer_has_one_ring_of_two(void **state)
{
	struct rig *above = rig_needed(state), rig = { .random = above->random };
	static const struct prefilter_options two = { .shards = 2 };
	uint8_t *buf = malloc(STREAM_MAX);
	uint64_t in[2] = { 0 };

	rig.table = calloc(1, sizeof *rig.table);
	assert_int_equal(enrolment_init(&rig.enrolment), 0);
	assert_int_equal(prefilter_open(&rig.p, &two, rig.why, sizeof rig.why), 0);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t sequence = 1, dropped = 0, dropped_want = 0;
		uint32_t at[2] = { 0 };
		struct line *l = line_open(&rig, 1);
		random_table(&rig.random, rig.table);
		rig_table_set(&rig, rig.table);
		size_t bytes = stream_make(&rig.random, buf, 400000, &sequence, 60);
		for (size_t from = 0, n; from < bytes; from += n) {
			n = random_piece(&rig.random, bytes - from);
			line_write(l, buf + from, n);
		}
		line_settle(l);
		shards_mark(l);
		shards_take(l, l->items, at, l->count, &dropped);
		for (uint32_t i = 0; i < l->count; i++) {
			if (l->items[i].verdict != FILTER_KEEP)
				dropped_want++;
			else
				in[l->items[i].type]++;
			if (l->items[i].verdict == FILTER_KEEP)
				assert_true(at[l->items[i].type] > i); /* nothing is left */
		}
		assert_int_equal(dropped, dropped_want);
		assert_int_equal(slot(l)->events, l->events);
		assert_int_equal(slot(l)->events_taken, l->events);
		line_close(l);
	}
	assert_true(in[0] > 1000 && in[1] > 1000);
	prefilter_close(rig.p);
	enrolment_deinit(&rig.enrolment);
	free(rig.table);
	free(buf);
}

/* ---- privileges, each in a process of its own ---- */

static int capabilities_set(uint64_t effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct word[2] = {
		{ .effective = (uint32_t)effective, .permitted = (uint32_t)effective },
		{ .effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(effective >> 32) },
	};

	return (int)syscall(SYS_capset, &header, word);
}

static uint64_t capabilities_have(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct word[2] = { 0 };

	syscall(SYS_capget, &header, word);
	return word[0].effective | (uint64_t)word[1].effective << 32;
}

#define CAP(name) (UINT64_C(1) << (name))

static const struct {
	uint64_t without;
	const char *missing; /* NULL: none */
} privileges[] = {
	{ 0, NULL },
	{ CAP(CAP_BPF) | CAP(CAP_SYS_ADMIN), "CAP_BPF" },
	{ CAP(CAP_PERFMON) | CAP(CAP_SYS_ADMIN), "CAP_PERFMON" },
	{ CAP(CAP_NET_ADMIN), "CAP_NET_ADMIN" },
	{ CAP(CAP_SYS_ADMIN), NULL },
	{ CAP(CAP_BPF), NULL }, /* CAP_SYS_ADMIN stands for both */
	{ CAP(CAP_PERFMON), NULL },
	{ UINT64_MAX, "CAP_BPF" },
};

/* In the child: 0, or the number of what is not so. */
static int child_without(unsigned row)
{
	struct prefilter *p = NULL;
	const char *missing;
	char why[300] = "";

	if (capabilities_set(capabilities_have() & ~privileges[row].without))
		return 1;
	missing = privileges_missing();
	if (!privileges[row].missing)
		return missing ? 2 : 0;
	if (!missing || strcmp(missing, privileges[row].missing))
		return 3;
	if (prefilter_open(&p, NULL, why, sizeof why) != -EPERM || p)
		return 4;
	return strstr(why, privileges[row].missing) ? 0 : 5;
}

static int child_end(pid_t child)
{
	int status;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_missing_capability_is_named(void **state)
{
	rig_needed(state);
	for (unsigned row = 0; row < sizeof privileges / sizeof *privileges; row++) {
		pid_t child = fork();
		if (child == 0)
			_exit(child_without(row));
		int end = child_end(child);
		if (end)
			fail_msg("row %u, stage %d", row, end);
	}
}

static bool bell_rang(struct rig *rig)
{
	struct pollfd p = { .fd = prefilter_bell_fd(rig->p), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static bool thread_has(const char *thread, uint64_t capabilities)
{
	char path[300], line[200];
	unsigned long long effective = UINT64_MAX;

	snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (file)
		fclose(file);
	return effective & capabilities;
}

/* The pre-filter's own threads too: capabilities are a thread's. */
static bool any_thread_has(uint64_t capabilities)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *thread;
	bool has = !dir;

	while (dir && (thread = readdir(dir)))
		if (thread->d_name[0] != '.' && thread_has(thread->d_name, capabilities))
			has = true;
	if (dir)
		closedir(dir);
	return has;
}

/* In the child: what the engine does after it gave its privileges up. */
static int child_dropped(void)
{
	static const uint64_t kept = CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) |
				     CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_IPC_LOCK) | CAP(CAP_SYS_NICE) |
				     CAP(CAP_SYS_RESOURCE);
	struct rig rig = { .random = { 5 } };
	struct line *l;
	const char *missing;

	rig.table = calloc(1, sizeof *rig.table);
	if (enrolment_init(&rig.enrolment) || prefilter_open(&rig.p, NULL, rig.why, sizeof rig.why))
		return 1;
	if (prefilter_privileges_drop())
		return 2;
	missing = privileges_missing();
	if ((capabilities_have() & ~kept) || !missing || strcmp(missing, "CAP_BPF"))
		return 3;
	if (capabilities_set(CAP(CAP_BPF)) == 0)
		return 4; /* it could be had back */
	rig_table_plain(&rig);
	l = line_open(&rig, 1);
	frame_write(l, event_of(1, 1, 100));
	frame_write(l, event_of(0, 2, 100));
	line_drain(l);
	line_close(l);
	l = line_open(&rig, 7);
	prefilter_sleep(rig.p);
	frame_write(l, event_of(0, 7, 100));
	line_settle(l);
	if (!bell_rang(&rig))
		return 5;
	line_drain(l);
	line_close(l);
	for (double until = seconds_now() + 2; any_thread_has(~kept);)
		if (seconds_now() > until)
			return 6;
	prefilter_close(rig.p);
	return 0;
}

static void sockets_join_and_tables_change_after_privileges_are_dropped(void **state)
{
	rig_needed(state);
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		_exit(child_dropped());
	}
	assert_int_equal(child_end(child), 0);
}

int main(int argc, char **argv)
{
	struct rig rig;
	const struct CMUnitTest tests[] = {
#define T(name) { #name, name, NULL, rig_tidy, &rig }
		T(a_slot_is_not_given_again_before_its_grace_is_over),
		T(a_65th_source_is_told_that_there_is_no_slot),
		T(a_slot_begins_anew),
		T(bytes_behind_hello_are_refused),
		T(what_the_kernel_refuses_takes_no_slot),
		T(counters_add_up_over_slots),
		T(each_customer_has_one_ring_of_two),
		T(a_missing_capability_is_named),
		T(sockets_join_and_tables_change_after_privileges_are_dropped),
#undef T
	};

	if (rig_open(&rig, seed_given(argc, argv)))
		return 1;
	int failed = cmocka_run_group_tests_name("slots", tests, NULL, NULL);
	rig_close(&rig);
	return failed;
}
