/*
 * conn: TCP connections over the ring. Bytes come in through provided buffers and leave as whole frames;
 * small answers (ACK, WELCOME, VERDICT...) go out through a buffer of the connection; gateways also send runs
 * out of the outbox.
 *
 * Life of a received byte: 1. the kernel writes it into a provided buffer; 2. conn_frame lends a whole frame,
 * in place or, when it was cut, from the connection's own assembly buffer; 3. conn_frame_done gives the
 * buffer back when its last byte was used. What is not taken stays in its buffer: that is the back-pressure.
 *
 * A source that the pre-filter feeds gets its bytes another way: after HELLO its receive is cancelled, its
 * socket joins the pre-filter's map (conn_join_begin, conn_join), and from then on conn_frame lends frames
 * out of the ring that the program writes. Nothing but sends and a poll for hang-up touches the socket from
 * here.
 *
 * Life of a connection: accepted -> in use -> closing (no more frames are taken, what is to be sent is sent)
 * -> shut down -> its slot is free when the last completion, notifications included, has come. One send is in
 * flight per connection.
 *
 * Engine thread only.
 */
#ifndef URING_CONN_H
#define URING_CONN_H

#include <base/region.h>
#include <moment/frame.h>
#include <moment/limits.h>
#include <prefilter/prefilter.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <uring/ring.h>

#define CONN_CLOSING_NS_MAX INT64_C(2000000000)
enum { CONN_TX_BYTES = 256 << 10, CONN_BUFFERS = 1024, CONN_BUFFER_BYTES = 16 << 10, CONN_RUN_PARTS_MAX = 8 };

enum conn_role { CONN_FREE, CONN_NEW, CONN_SOURCE, CONN_GATEWAY };

struct conn_piece { /* a received buffer that still has bytes */
	uint16_t id;
	uint32_t at, end;
	uint32_t next; /* piece number + 1 */
};

struct conn_part {
	const char *data;
	uint32_t bytes;
	uint32_t chunk; /* what is pinned */
};

/* A send out of memory that is not the connection's: parts, one behind the other. */
struct conn_run {
	struct conn_part part[CONN_RUN_PARTS_MAX];
	uint32_t parts, bytes, sent;
	bool active, zero_copy;
	struct msghdr header; /* of the send in flight, when it has more than one part */
	struct iovec rest[CONN_RUN_PARTS_MAX];
};

struct conn {
	int fd;
	uint32_t number;     /* in the table */
	uint32_t generation; /* of the slot: a late completion of an earlier life is told apart */
	uint8_t role;	     /* enum conn_role */
	bool receiving, closing, shut, peer_gone;
	bool holding;  /* its receive is being cancelled: enough is waiting */
	bool stalled;  /* its next frame cannot be taken now, for a reason of its own or of room */
	bool joining;  /* its receive is being cancelled, conn_join comes next */
	bool joined;   /* the pre-filter feeds it, through `reader` */
	bool hung_up;  /* joined: its peer sends no more, what it sent may not be in the ring yet */
	uint32_t slot; /* joined: of the pre-filter */
	struct ring_reader reader;
	int64_t hung_up_at;	/* monotonic ns */
	uint16_t peer;		/* CONN_SOURCE, CONN_GATEWAY: number of the peer */
	uint32_t operations;	/* requests whose completion is outstanding */
	uint32_t notifications; /* zero-copy notifications outstanding */
	uint32_t first_piece, last_piece, piece_count;
	char *assembly; /* FRAME_BYTES_MAX */
	uint32_t assembled;
	bool lent_assembly; /* the frame lent last is the assembled one */
	uint32_t lent_bytes;
	char *tx[2];
	uint32_t tx_bytes[2], tx_sent; /* tx_sent: of the one in flight */
	uint8_t tx_filling;
	bool sending; /* a send of tx or of run is in flight */
	struct conn_run run;
	uint64_t received;   /* bytes of whole frames taken: offset in the stream */
	int64_t accepted_at; /* monotonic ns */
	int64_t closing_at;  /* when conns_expire first saw it closing; 0 = not yet */
	/* for the stages */
	uint64_t window_taken, window_acknowledged; /* rounded bytes */
	uint64_t events_taken, events_acknowledged;
	uint32_t answers_bytes; /* of what may be sent: promised to verdicts of the batch at hand */
	uint64_t session;
};

struct conns {
	struct ring *ring;
	struct prefilter *prefilter; /* NULL: every source is filtered in user space */
	uint32_t used;		     /* slots below it may be in use */
	struct region region;
	int listener;
	bool accepting;
	struct conn conn[CONNECTIONS_MAX];
	struct conn_piece *pieces;
	uint32_t free_piece; /* number + 1 */
	uint32_t open;
	uint64_t accepted, refused; /* refused: no slot */
	uint64_t bytes_in, bytes_out, zero_copy_sends, zero_copy_copied, plain_sends, short_sends;
	/* a run was sent to its end, its bytes are the outbox's again (for zero-copy: on the notification) */
	void (*run_done)(void *ctx, uint32_t chunk);
	void *run_ctx;
	const char *fixed; /* memory that is registered with the ring, NULL when none is */
	size_t fixed_bytes;
	int send_bytes_max; /* tests: cuts sends short; 0 = none */
};

/* Listens on address:port (port 0: any; see conns_port). 0 or -errno. */
__attribute__((warn_unused_result)) int conns_init(struct conns *c, struct ring *ring, const char *address,
						   uint16_t port);
void conns_deinit(struct conns *c);
uint16_t conns_port(const struct conns *c);

/* Takes a completion of RING_ACCEPT, RING_RECV, RING_SEND, RING_GATEWAY_SEND, RING_HANGUP. */
void conns_complete(struct conns *c, const struct io_uring_cqe *cqe, int64_t now_ns);
/* Arms what has to be armed again (accept, receives that ran out of buffers). Once a loop. */
void conns_arm(struct conns *c, int64_t now_ns);

/* Its receive ends; when conn_join_ready, conn_join lets the pre-filter feed it from then on. */
void conn_join_begin(struct conns *c, struct conn *conn);
bool conn_join_ready(const struct conn *conn);
/*
 * 0; -EAGAIN: a slot comes free in some ms, ask again; -EPROTO: bytes stand behind HELLO that the program did
 * not see, the connection can only be refused; another -errno: no slot, something came before (-EALREADY), or
 * the kernel does not want it: it is received as before. `expected`: next sequence of its stream.
 */
__attribute__((warn_unused_result)) int conn_join(struct conns *c, struct conn *conn, uint64_t expected);

/*
 * The next whole frame: 1 and *frame, lent until conn_frame_done or the next conns_arm; 2 and *frame: what
 * the pre-filter dropped, a struct ring_dropped; 0: not yet; -EBADMSG: a length outside
 * FRAME_HEADER_BYTES..FRAME_BYTES_MAX, or joined and broken: reader.slot says why.
 */
int conn_frame(struct conns *c, struct conn *conn, const char **frame, uint32_t *bytes);
void conn_frame_done(struct conns *c, struct conn *conn);

/* Received bytes that stand together and begin with a frame, for a caller that takes whole frames out of them
 * itself; bytes 0: there are none, or the next frame was cut: conn_frame. `rounded`: each frame takes
 * ring_rounded() bytes. conn_span_done gives back what was taken: bytes of the span, of the frames, frames.
 */
struct conn_span {
	const char *at;
	uint32_t bytes;
	bool rounded;
};
struct conn_span conn_span(struct conns *c, const struct conn *conn);
void conn_span_done(struct conns *c, struct conn *conn, uint32_t bytes, uint32_t frame_bytes,
		    uint32_t frames);

/* Queues bytes to send; false: no room (the peer does not read) or closing, nothing is queued. */
bool conn_send(struct conns *c, struct conn *conn, const void *bytes, uint32_t count);
uint32_t conn_send_room(const struct conn *conn);
/* Sends a run out of foreign memory, at most CONN_RUN_PARTS_MAX parts; the connection must not be sending.
 * run_done is called once a part, when all of it is sent. */
void conn_send_run(struct conns *c, struct conn *conn, const struct conn_part *parts, uint32_t count,
		   bool zero_copy);
/* Is it free to send a run? */
bool conn_idle(const struct conn *conn);
/* Starts what is queued. Once a loop, after the stages. */
void conns_flush(struct conns *c);

/* No more frames are taken; what is queued is sent, then the connection is shut down. */
void conn_close(struct conns *c, struct conn *conn);
/* Shut down at once: its peer may not be reading, and a send that is stuck would keep the outbox's bytes
 * pinned. */
void conn_cut(struct conns *c, struct conn *conn);
/* Cuts those that have been closing for CONN_CLOSING_NS_MAX. A few times a second. */
void conns_expire(struct conns *c, int64_t now_ns);
/* Are there received bytes to look at: in buffers, or a whole frame that was put together and left for later?
 */
bool conn_waits(const struct conn *conn);
/* Joined: its peer sends no more, and all that it sent is in the ring; conns_arm says peer_gone next. */
bool conn_over(const struct conn *conn);
/* Nothing more from this peer: a hang-up was seen and all its frames are taken. */
bool conn_ended(const struct conn *conn);

#endif
