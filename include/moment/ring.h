/*
 * ring.h: what the pre-filter in the kernel and the engine share, mapped by both.
 *
 * A *slot* is one connection of a source. Its ring is a log of everything that the program saw of the stream:
 * kept frames as they came, each at a multiple of 64 bytes, and in between, for what was dropped, records
 * that say what and how many. So one number, `head`, tells the engine all: whatever lies below it is whole,
 * in order, and every sequence up to the last one is either a frame or counted in a record.
 *
 * Life of a kept byte: 1. the program copies it from the skb to the ring, above head; 2. the frame is whole,
 * the program moves head (an atomic add: a full barrier); 3. the engine reads head (acquire), lends the frame
 * in place; 4. the engine copies it to the journal's buffer and moves tail (release): the byte is the
 * program's again.
 *
 * Who writes what: every struct below has the program's lines and the engine's lines apart, so that neither
 * takes the other's cache line for its own.
 */
#ifndef MOMENT_RING_H
#define MOMENT_RING_H

#include <moment/frame.h>
#include <moment/limits.h>

enum {
	RING_SLOTS = SOURCES_MAX, /* one that finds none is filtered in user space */
	RING_SHARDS_MAX = 8,	  /* engine threads that a connection can be spread over; one for now */
	RING_ALIGN = 64,
	/* The window, and 1 MiB for frames that are in no window (PING, PONG, ACK). */
	RING_BYTES = WINDOW_BYTES + (1 << 20),
	/* A frame that begins in the ring's last bytes lies in the slack behind it and never wraps. One frame
	   would do; the kernel's verifier, which adds up the largest offset and the largest length, wants
	   two. */
	RING_SLACK_BYTES = 2 * FRAME_BYTES_MAX,
	RING_DROPPED_LINES_MAX = 12,
	RING_DROPPED = 0xd0, /* ring_dropped.version: no frame has it */
	RING_BELL_BYTES = 4096 * 16,
};
_Static_assert(RING_BYTES % 4096 == 0 && RING_SLACK_BYTES % 4096 == 0, "rings are whole pages");
_Static_assert((int)RING_BYTES > (int)WINDOW_BYTES, "an honest source never overruns its ring");

struct ring_dropped_line { /* the bytes of struct journal_dropped */
	uint16_t type;
	uint8_t reason; /* enum event_outcome: FILTERED or DUPLICATE */
	uint8_t reserved;
	uint32_t count;
};
_Static_assert(sizeof(struct ring_dropped_line) == 8, "as in the journal");

/* What was dropped between two kept frames, or the end of an skb. 64 bytes with up to 4 lines, else 128:
 * never more than the dropped frames count in the window. */
struct ring_dropped {
	uint32_t length; /* of this record: 64 or 128 */
	uint8_t version; /* RING_DROPPED */
	uint8_t lines;
	uint16_t reserved;
	uint64_t last;	     /* sequence of the last one; duplicates do not move it */
	uint32_t count;	     /* frames, duplicates too */
	uint32_t bytes;	     /* of the stream */
	uint32_t rounded;    /* bytes as the window counts them */
	uint32_t generation; /* of the table under which they were dropped */
	struct ring_dropped_line line[RING_DROPPED_LINES_MAX];
};
_Static_assert(sizeof(struct ring_dropped) == 128, "two cache lines");
enum { RING_DROPPED_LINES_SHORT = 4 };
_Static_assert(__builtin_offsetof(struct ring_dropped, line) + 8 * RING_DROPPED_LINES_SHORT == 64, "one");

/* Why the program stopped at a frame: published before, dropped after. X(NAME, what) */
#define RING_BREAKS(X)                                                                                       \
	X(HEADER, "a bad header: the slot has it, and the engine says what is wrong with it")                \
	X(GAP, "a sequence above the expected one: the slot has its header")                                 \
	X(OVERRUN, "the ring is full: the source sent more than its window")                                 \
	X(HOLE, "bytes of the TCP stream are missing")                                                       \
	X(UNFINISHED, "an skb longer than the program may walk")                                             \
	X(UNREADABLE, "the kernel did not give the bytes of an skb")

enum ring_break {
	RING_WHOLE = 0,
#define X(name, text) RING_##name,
	RING_BREAKS(X)
#undef X
		RING_BREAK_COUNT
};

/* Ends of one ring. Bytes since the slot was taken; a frame begins at head % RING_BYTES. */
struct ring_ends {
	uint64_t head; /* the program's */
	uint64_t program_reserved[7];
	uint64_t tail; /* the engine's */
	uint64_t engine_reserved[7];
};
_Static_assert(sizeof(struct ring_ends) == 128, "two cache lines");

/*
 * Where the program is in the stream of one slot, and what it says of it. The engine looks at the first line
 * each turn while it spins; the program writes it at the end of a connection only, so the line stays in both
 * caches.
 */
struct ring_slot {
	/* the program's, read by the engine */
	uint32_t broken; /* enum ring_break */
	uint32_t ended;	 /* 1: a FIN was seen, all before it is in the ring */
	uint64_t said_reserved[7];
	/* the program's, read by the engine for status, and when it ended */
	uint64_t offset;      /* bytes of the stream in whole frames, from the first one behind HELLO */
	uint64_t events;      /* frames of the stream seen, dropped ones too */
	uint64_t rounded;     /* bytes as the window counts them */
	uint64_t runs, bells; /* how often the program ran, and rang */
	uint64_t overlapped;  /* bytes that a segment repeated and that were taken off */
	/* the program's alone; the engine sets them before the socket joins */
	uint64_t expected;	      /* next sequence of the stream */
	uint64_t tail;		      /* of the ring, as it was when it was last looked at */
	uint32_t tcp_known, tcp_next; /* next byte of TCP's sequence space */
	uint32_t rang;		      /* the sleep in which it last rang */
	uint32_t have;		      /* bytes of the frame at hand, header included */
	uint32_t verdict;	      /* of it: enum filter_verdict */
	uint32_t shard;		      /* of it */
	uint32_t generation;	      /* of the table that decided it */
	uint32_t skb_max;	      /* longest skb so far */
	uint32_t fin;		      /* a FIN was seen */
	uint32_t program_reserved[7];
	struct frame_header header; /* of the frame at hand */
	/* the engine's, read by the program */
	uint64_t events_taken,
		rounded_taken; /* out of the ring: what the engine will acknowledge by itself */
	uint64_t engine_reserved[6];
};
_Static_assert(sizeof(struct ring_slot) % 64 == 0, "whole cache lines");
_Static_assert(__builtin_offsetof(struct ring_slot, offset) == 64, "a line that the engine may look at");
_Static_assert(__builtin_offsetof(struct ring_slot, events_taken) % 64 == 0, "the engine's own line");

/* One for all slots, the engine's. */
struct ring_control {
	uint32_t asleep;     /* counts sleeps up; 0 = awake. A program rings once in each */
	uint32_t generation; /* of the interest table: its lowest bit says which of the two */
	uint64_t reserved[7];
};
_Static_assert(sizeof(struct ring_control) == 64, "one cache line");

/* What the doorbell carries. */
struct ring_bell {
	uint32_t slot;
	uint32_t asleep;
};

static inline uint32_t ring_rounded(uint32_t bytes)
{
	return (bytes + RING_ALIGN - 1) & ~(uint32_t)(RING_ALIGN - 1);
}

/* Bytes in flight at which a sleeping engine is woken although everything was dropped. */
enum { RING_BELL_EVENTS = WINDOW_EVENTS / 4, RING_BELL_ROUNDED = WINDOW_BYTES / 4 };

#endif
