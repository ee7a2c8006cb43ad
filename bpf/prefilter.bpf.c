/*
 * prefilter.bpf.c: stage 1, in the kernel. It is called for each skb of a source's socket before anything is
 * queued there, decides per frame with include/moment/interest.h, and writes what the engine needs into the
 * connection's ring (include/moment/ring.h). It returns SK_DROP for all of it, so the socket stays empty: no
 * system call, no wake-up and no second copy on the way in.
 *
 * It is handed skbs, not the stream: one may begin with bytes that came before, end inside a header, or hold
 * a thousand frames. So it keeps the next TCP sequence number of each connection, skips what a segment
 * repeats, and goes on where it stopped. What it cannot put right (a hole, a bad header, a gap, a full ring)
 * ends the connection: all whole frames before are published, `broken` says why, nothing more is taken. The
 * engine answers ERROR and closes, the source resumes, nothing is lost.
 *
 * Who owns the memory: maps, made by user/prefilter/prefilter.c. A slot's fields are one program run's at a
 * time, since the kernel runs it under the socket's lock. Enrolment is written by all of them: bits are set
 * by an atomic or, and never cleared.
 *
 * How to read on: verdict() at the end, then walk(), one frame's part a step; docs/prefilter.md has the why.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <moment/counters.h>
#include <moment/interest.h>
#include <moment/ring.h>

char LICENSE[] SEC("license") = "GPL";

/* Of the kernel's structures just the fields that are read; libbpf finds their places (CO-RE). */
struct sk_buff {
	__u8 cb[48];
	struct sock *sk;
} __attribute__((preserve_access_index));

struct tcp_skb_cb {
	__u32 seq, end_seq;
	__u8 tcp_flags;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 copied_seq;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

enum { TCP_FIN = 1, STEPS_MAX = 1 << 20, ROOM_BYTES_MAX = 4095 };

const volatile __u32 shards = 1; /* rings of a connection, a power of two up to RING_SHARDS_MAX */

struct ring_memory {
	__u8 data[RING_BYTES + RING_SLACK_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2 * RING_SLOTS);
	__type(key, __u64); /* cookie */
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * RING_SLOTS);
	__type(key, __u64); /* cookie */
	__type(value, __u32);
} slot_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RING_SLOTS); /* times shards */
	__type(key, __u32);
	__type(value, struct ring_memory);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RING_SLOTS); /* times shards */
	__type(key, __u32);
	__type(value, struct ring_ends);
} ends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RING_SLOTS);
	__type(key, __u32);
	__type(value, struct ring_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ring_control);
} control SEC(".maps");

struct { /* two tables; ring_control.generation says which one is in use */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * INTEREST_TYPES);
	__type(key, __u32);
	__type(value, struct interest_entry);
} interest SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct interest_sets);
} interest_sets_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ENROLMENT_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} enrolled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ENROLMENT_ACCOUNTS / 2); /* an element is 8 bytes at least: two buckets each */
	__type(key, __u32);
	__type(value, __u64);
} holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BELL_BYTES);
} bell SEC(".maps");

/* Updating a map of maps waits until no program that began before still runs: that is all it is for. */
struct grace_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} grace_one SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct grace_inner);
} grace SEC(".maps") = { .values = { &grace_one } };

struct front { /* bytes to take off an skb's front */
	struct __sk_buff *skb;
	__u32 bytes;
};

/* One run over one skb. Pointers are into map values. */
struct walk {
	struct __sk_buff *skb;
	struct ring_slot *slot;
	struct ring_memory *ring; /* of the frame at hand */
	struct ring_ends *ends;
	__u64 head;	 /* of `ring`, not published yet */
	__u32 at;	 /* head % RING_BYTES */
	__u32 off, end;	 /* in the skb */
	__u32 number;	 /* of the slot */
	__u32 generation;
	__u32 lines;	 /* of the record of dropped frames that is open at `at`; 0 = none is */
	__u32 kept;	 /* frames */
	__u32 broken;	 /* enum ring_break */
};

/* ---- the ring ---- */

/* A full barrier on every architecture, as an add whose result nobody uses is not. */
static __always_inline void add_full(__u64 *to, __u64 n)
{
	__u64 was = __sync_fetch_and_add(to, n);

	asm volatile("" : : "r"(was));
}

/* Everything below w->head becomes the engine's: what was written before the add is seen by whoever sees it,
 * and the sleep flag is read after it. */
static __always_inline void publish(struct walk *w)
{
	__u64 before = w->ends->head;

	if (w->head != before)
		add_full(&w->ends->head, w->head - before);
}

/* The engine's line is looked at only when the ring seems full: it moves tail all the time. */
static __always_inline bool room(struct walk *w, __u32 bytes)
{
	if (w->head + bytes - w->slot->tail <= RING_BYTES)
		return true;
	w->slot->tail = *(volatile __u64 *)&w->ends->tail;
	return w->head + bytes - w->slot->tail <= RING_BYTES;
}

static __always_inline void advance(struct walk *w, __u32 bytes)
{
	w->head += bytes;
	w->at += bytes;
	if (w->at >= RING_BYTES)
		w->at -= RING_BYTES;
}

static __always_inline bool ring_select(struct walk *w, __u32 shard)
{
	__u32 key = shard * RING_SLOTS + w->number;

	struct ring_memory *ring = bpf_map_lookup_elem(&rings, &key);
	struct ring_ends *its = bpf_map_lookup_elem(&ends, &key);
	if (!ring || !its)
		return false;
	w->ring = ring;
	w->ends = its;
	w->head = its->head;
	if (shards > 1) /* what was seen was the other ring's */
		w->slot->tail = *(volatile __u64 *)&its->tail;
	__u32 at = w->head % RING_BYTES;
	asm volatile("" : "+r"(at)); /* the verifier does not know what % gives: keep the checks */
	w->at = at;
	return true;
}

/* ---- what was dropped ---- */

static __always_inline struct ring_dropped *dropped_record(struct walk *w)
{
	__u32 at = w->at;

	return at < RING_BYTES ? (struct ring_dropped *)(w->ring->data + at) : NULL;
}

static __always_inline void dropped_close(struct walk *w)
{
	struct ring_dropped *r = dropped_record(w);

	if (!w->lines || !r)
		return;
	r->lines = w->lines;
	r->length = w->lines <= RING_DROPPED_LINES_SHORT ? RING_ALIGN : sizeof *r;
	advance(w, r->length);
	w->lines = 0;
}

static __always_inline bool dropped_open(struct walk *w)
{
	struct ring_dropped *r = dropped_record(w);

	if (!r || !room(w, sizeof *r))
		return false;
	r->version = RING_DROPPED;
	r->reserved = 0;
	r->count = r->bytes = r->rounded = 0;
	r->generation = w->slot->generation;
	return true;
}

/*
 * Counts in the line of {type, reason} or in a new one. Returns how many lines there are then, 0 when the
 * record is full. Not inlined, as header_good() and decide(): a function that is not static is verified once,
 * by itself, and not again along every way that leads to it: the program loads in a third of the time.
 */
__noinline int line_count(struct ring_dropped *r, __u32 lines, __u32 type, __u32 reason)
{
	if (!r)
		return 0;
#pragma unroll
	for (__u32 i = 0; i < RING_DROPPED_LINES_MAX; i++) {
		struct ring_dropped_line *line = &r->line[i];
		if (i >= lines) {
			*line = (struct ring_dropped_line){ .type = type, .reason = reason, .count = 1 };
			return i + 1;
		}
		if (line->type == type && line->reason == reason) {
			line->count++;
			return lines;
		}
	}
	return 0;
}

static __always_inline bool dropped_add(struct walk *w, const struct ring_slot *s, __u64 last)
{
	__u8 reason = s->verdict == FILTER_DUPLICATE ? EVENT_DUPLICATE : EVENT_FILTERED;
	struct ring_dropped *r = dropped_record(w);

	if (!r)
		return false;
	__u32 lines = w->lines;
	if (lines && r->generation == s->generation)
		lines = line_count(r, lines, s->header.type, reason);
	else
		lines = 0;
	if (!lines) {
		dropped_close(w);
		r = dropped_record(w);
		if (!r || !dropped_open(w))
			return false;
		lines = line_count(r, 0, s->header.type, reason);
	}
	w->lines = lines;
	r->count++;
	r->bytes += s->header.length;
	r->rounded += ring_rounded(s->header.length);
	r->last = last;
	return true;
}

/* ---- the decision ---- */

static __always_inline bool customer_enrolled(__u32 bucket)
{
	__u32 key = bucket / 64;
	__u64 *word = bpf_map_lookup_elem(&enrolled, &key);

	return !word || *word >> (bucket % 64) & 1;
}

static __always_inline __u32 *account_holder(__u64 account)
{
	__u32 bucket = enrolment_account(account), key = bucket / 2;
	__u32 *pair = bpf_map_lookup_elem(&holders, &key);

	return pair ? pair + (bucket & 1) : NULL;
}

/* Was anybody whom the event concerns ever enrolled? */
static __always_inline bool concerns_enrolled(const struct frame_header *h)
{
	if (h->customer && customer_enrolled(enrolment_customer(h->customer)))
		return true;
	if (!h->account)
		return false;
	__u32 *holder = account_holder(h->account);
	if (!holder || *holder == ENROLMENT_HOLDER_SEVERAL)
		return true;
	return *holder != ENROLMENT_HOLDER_NONE && customer_enrolled(*holder - 1);
}

/* Before the next frame is looked at. What holders an account has, its body says: several, to be safe. */
static __always_inline void enrol(const struct frame_header *h)
{
	__u32 bucket = enrolment_customer(h->customer), key = bucket / 64;

	if (h->customer) {
		__u64 *word = bpf_map_lookup_elem(&enrolled, &key);
		if (word)
			__sync_fetch_and_or(word, 1ull << (bucket % 64));
	}
	if (h->account) {
		__u32 *holder = account_holder(h->account);
		if (holder)
			*(volatile __u32 *)holder = ENROLMENT_HOLDER_SEVERAL;
	}
}

__noinline int header_good(const struct frame_header *h)
{
	return h && header_check(h, ROLE_OF_SOURCE) == HEADER_GOOD;
}

/* enum filter_verdict of the frame at hand, under the table of s->generation. */
__noinline int decide(const struct ring_slot *s)
{
	if (!s)
		return FILTER_KEEP;
	__u32 which = s->generation & 1, key = which * INTEREST_TYPES + s->header.type;
	struct interest_entry *entry = bpf_map_lookup_elem(&interest, &key);
	struct interest_sets *sets = bpf_map_lookup_elem(&interest_sets_of, &which);

	if (!entry || !sets)
		return FILTER_KEEP;
	__u32 verdict = filter_decide(entry, sets, &s->header, s->expected);
	if (verdict == FILTER_IF_ENROLLED)
		return concerns_enrolled(&s->header) ? FILTER_KEEP : FILTER_DROP;
	if (verdict == FILTER_KEEP && (s->header.kind == FRAME_SUBSCRIBE || s->header.kind == FRAME_PROFILE))
		enrol(&s->header);
	return verdict;
}

/* ---- one frame ---- */

static __always_inline bool stop(struct walk *w, __u32 why)
{
	w->broken = why;
	return false;
}

/* A kept frame's place is in the ring, at head. */
static __always_inline bool keep_begin(struct walk *w, struct ring_slot *s)
{
	dropped_close(w);
	if (shards > 1) {
		__u32 shard = enrolment_hash(s->header.customer) & (shards - 1) & (RING_SHARDS_MAX - 1);
		if (shard != s->shard) {
			publish(w);
			s->shard = shard;
			if (!ring_select(w, shard))
				return stop(w, RING_UNREADABLE);
		}
	}
	__u32 at = w->at;
	if (at >= RING_BYTES || !room(w, ring_rounded(s->header.length)))
		return stop(w, RING_OVERRUN);
	*(struct frame_header *)(w->ring->data + at) = s->header;
	return true;
}

/* The header is whole. False: the connection ends at this frame. */
static __always_inline bool frame_begin(struct walk *w, struct ring_slot *s)
{
	if (!header_good(&s->header))
		return stop(w, RING_HEADER);
	s->generation = w->generation;
	s->verdict = decide(s);
	if (s->verdict == FILTER_GAP)
		return stop(w, RING_GAP);
	return s->verdict != FILTER_KEEP || keep_begin(w, s);
}

/* The frame is whole. */
static __always_inline bool frame_end(struct walk *w, struct ring_slot *s)
{
	__u32 length = s->header.length, rounded = ring_rounded(length);
	bool in_stream = filter_in_stream(s->header.kind);
	__u64 next = in_stream && s->verdict != FILTER_DUPLICATE ? s->expected + 1 : s->expected;

	if (s->verdict == FILTER_KEEP) {
		advance(w, rounded);
		w->kept++;
	} else if (!dropped_add(w, s, next - 1))
		return stop(w, RING_OVERRUN);
	if (in_stream) {
		s->events++;
		s->rounded += rounded;
	}
	s->expected = next;
	s->offset += length;
	s->have = 0;
	return true;
}

static __always_inline bool header_load(struct walk *w, struct ring_slot *s)
{
	__u64 have = s->have, n = FRAME_HEADER_BYTES - have;

	if (n > w->end - w->off)
		n = w->end - w->off;
	asm volatile("" : "+r"(have), "+r"(n));
	have &= FRAME_HEADER_BYTES - 1;
	n &= 2 * FRAME_HEADER_BYTES - 1;
	if (n == 0 || n > FRAME_HEADER_BYTES)
		return stop(w, RING_UNREADABLE);
	if (bpf_skb_load_bytes(w->skb, w->off, (__u8 *)&s->header + have, n) < 0)
		return stop(w, RING_UNREADABLE);
	w->off += n;
	s->have += n;
	return true;
}

static __always_inline bool body_load(struct walk *w, struct ring_slot *s)
{
	__u64 n = s->header.length - s->have, have = s->have, at = w->at;

	if (n > w->end - w->off)
		n = w->end - w->off;
	if (s->verdict == FILTER_KEEP) {
		asm volatile("" : "+r"(n), "+r"(have), "+r"(at));
		n &= FRAME_BYTES_MAX - 1;
		have &= FRAME_BYTES_MAX - 1;
		if (n == 0 || at >= RING_BYTES)
			return stop(w, RING_UNREADABLE);
		if (bpf_skb_load_bytes(w->skb, w->off, w->ring->data + at + have, n) < 0)
			return stop(w, RING_UNREADABLE);
	}
	w->off += n;
	s->have += n;
	return true;
}

/* One frame, or what of it is in this skb. 1 ends the loop. */
static long walk(__u32 step, struct walk *w)
{
	struct ring_slot *s = w->slot;

	if (w->off >= w->end)
		return 1;
	if (s->have < FRAME_HEADER_BYTES) {
		if (!header_load(w, s))
			return 1;
		if (s->have < FRAME_HEADER_BYTES)
			return 1;
		if (!frame_begin(w, s))
			return 1;
	}
	if (s->have < s->header.length && w->off < w->end && !body_load(w, s))
		return 1;
	if (s->have >= s->header.length && !frame_end(w, s))
		return 1;
	return 0;
}

/* ---- one skb ---- */

/* TCP's own word on the skb. Read byte by byte: the verifier lets a program look into `cb` only as bytes, and
 * five loads cost less than two calls of bpf_probe_read_kernel(). */
static __always_inline __u32 skb_seq(const struct sk_buff *skb)
{
	return skb->cb[0] | skb->cb[1] << 8 | skb->cb[2] << 16 | (__u32)skb->cb[3] << 24;
}

/* How many bytes of the skb an earlier one brought. False: bytes are missing before it. */
static __always_inline bool overlap(struct __sk_buff *skb, struct ring_slot *s, __u32 *skip)
{
	struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);
	__u32 seq = skb_seq(kernel), next = s->tcp_next;

	if (kernel->cb[bpf_core_field_offset(struct tcp_skb_cb, tcp_flags)] & TCP_FIN)
		s->fin = 1;
	if (!s->tcp_known) { /* the first byte behind HELLO, which was read from the socket */
		struct sock *sk = kernel->sk;
		if (!sk)
			return false;
		bpf_probe_read_kernel(&next, sizeof next, &((struct tcp_sock *)sk)->copied_seq);
		s->tcp_known = 1;
		s->tcp_next = next;
	}
	if ((__s32)(next - seq) < 0)
		return false;
	*skip = next - seq < skb->len ? next - seq : skb->len;
	s->overlapped += *skip;
	if ((__s32)(seq + skb->len - next) > 0)
		s->tcp_next = seq + skb->len;
	return true;
}

/* Once in each sleep, when there is something that the engine would get up for. */
static __always_inline void bell_ring(struct ring_slot *s, __u32 number, bool wanted)
{
	__u32 zero = 0;
	struct ring_control *c = bpf_map_lookup_elem(&control, &zero);

	if (!c)
		return;
	__u32 asleep = *(volatile __u32 *)&c->asleep;
	if (!asleep || s->rang == asleep)
		return;
	if (!wanted && s->events - *(volatile __u64 *)&s->events_taken < RING_BELL_EVENTS &&
	    s->rounded - *(volatile __u64 *)&s->rounded_taken < RING_BELL_ROUNDED)
		return;
	struct ring_bell record = { .slot = number, .asleep = asleep };
	s->rang = asleep;
	s->bells++;
	bpf_ringbuf_output(&bell, &record, sizeof record, BPF_RB_FORCE_WAKEUP);
}

/* What the engine reads after head: why it ended. The add is a full barrier. */
static __always_inline void ended(struct ring_slot *s, __u32 broken)
{
	*(volatile __u32 *)&s->broken = broken;
	*(volatile __u32 *)&s->ended = s->fin;
	add_full(&s->runs, 1);
}

/*
 * Takes `bytes` off the skb's front. The kernel counts the length that the skb has when the program ends as
 * read; were what it repeats among that, the socket would take itself for empty, and not call the program,
 * until as many new bytes have come.
 */
static long front_drop(__u32 step, struct front *f)
{
	__u32 n = f->bytes < ROOM_BYTES_MAX ? f->bytes : ROOM_BYTES_MAX;

	if (!n || bpf_skb_adjust_room(f->skb, -(__s32)n, 0, 0))
		return 1;
	f->bytes -= n;
	return 0;
}

static __always_inline bool skb_walk(struct __sk_buff *skb, struct ring_slot *s, struct walk *w)
{
	__u32 zero = 0, skip = 0;
	struct ring_control *c = bpf_map_lookup_elem(&control, &zero);

	if (!c || !ring_select(w, s->shard & (RING_SHARDS_MAX - 1)))
		return stop(w, RING_UNREADABLE);
	w->generation = *(volatile __u32 *)&c->generation;
	if (!overlap(skb, s, &skip))
		return stop(w, RING_HOLE);
	if (skip) {
		struct front f = { .skb = skb, .bytes = skip };
		bpf_loop(STEPS_MAX, front_drop, &f, 0);
		if (f.bytes)
			return stop(w, RING_UNREADABLE);
	}
	w->end = skb->len;
	if (w->end > s->skb_max)
		s->skb_max = w->end;
	if (!walk(0, w)) /* most often there is one frame: no loop */
		bpf_loop(STEPS_MAX, walk, w, 0);
	dropped_close(w);
	publish(w);
	return w->broken || w->off == w->end || stop(w, RING_UNFINISHED);
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u32 *number = bpf_map_lookup_elem(&slot_of, &cookie);

	if (!number) /* not one of ours: as if there were no program */
		return SK_PASS;
	__u32 key = *number;
	struct ring_slot *s = bpf_map_lookup_elem(&slots, &key);
	if (!s)
		return SK_PASS;
	if (s->broken)
		return SK_DROP;
	if (!skb->len) { /* the end of the stream */
		s->fin = 1;
		ended(s, RING_WHOLE);
		bell_ring(s, key, true);
		return SK_PASS;
	}
	struct walk w = { .skb = skb, .slot = s, .number = key };
	skb_walk(skb, s, &w);
	if (w.broken || s->fin)
		ended(s, w.broken);
	else
		s->runs++;
	bell_ring(s, key, w.kept || w.broken || s->fin);
	return SK_DROP;
}
