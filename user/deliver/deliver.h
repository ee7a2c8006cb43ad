/*
 * deliver: the stage where messages leave: legs out of the outbox to the gateways that serve their channel,
 * critical lane first, numbered per session, one send in flight per connection, zero-copy where it pays. A
 * send takes what waits in several queues, so that a busy lane does not keep the next from leaving.
 *
 * Who owns the bytes: the outbox, pinned from the send to its completion or, zero-copy, its notification. A
 * leg sent and not accepted when its gateway goes is returned, and sent again with the may-be-a-repeat flag.
 *
 * Test: tests/unit/deliver, tests/path/test_deliver.c (short sends, a gateway that dies with notifications
 * outstanding).
 */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include <base/outbox.h>
#include <base/peers.h>
#include <journal/format.h>
#include <uring/conn.h>

_Static_assert(PEERS_MAX % 64 == 0, "deliver.up has whole words");

enum zero_copy { ZERO_COPY_AUTO, ZERO_COPY_ON, ZERO_COPY_OFF };
enum { ZERO_COPY_BYTES_MIN = 16 << 10, SEND_BYTES_MAX = 192 << 10 };

/* Legs on their way to one gateway, in the order of its session's sequence. */
struct deliver_sent {
	uint64_t first_sequence, ordinal;
	int64_t sent_ns; /* monotonic */
	uint32_t queue, count;
};

struct deliver_gateway {
	bool up;
	uint32_t conn, generation;
	uint32_t queue_count;
	uint8_t queues[2 * CHANNELS_MAX]; /* critical ones first */
	uint8_t turn;			  /* fairness within a lane */
	uint64_t session, next_sequence, accepted;
	int64_t accepted_ns; /* monotonic: of the last ACK that closed something */
	uint32_t head, tail; /* of sent, modulo */
	uint32_t unaccepted; /* messages */
	struct deliver_sent sent[GATEWAY_WINDOW_MESSAGES];
};

struct deliver {
	struct conns *conns;
	struct outbox *outbox;
	enum zero_copy zero_copy;
	struct deliver_gateway *gateway; /* [PEERS_MAX], taken at init */
	uint64_t up[PEERS_MAX / 64];	 /* a bit per gateway that is up: most are not, and each is large */
	int64_t now_ns;			 /* monotonic, set by the loop */
	uint64_t messages_sent, resent, silent_cut;
};

__attribute__((warn_unused_result)) int deliver_init(struct deliver *d, struct conns *conns,
						     struct outbox *outbox, enum zero_copy zero_copy);
void deliver_deinit(struct deliver *d);

/* Hooks of ingest (ingest.h). */
uint64_t deliver_gateway_up(void *ctx, uint16_t peer, struct conn *conn, const uint8_t *slots,
			    uint32_t slot_count, uint64_t old_session, uint64_t accepted,
			    struct journal_accepted *runs, uint32_t *run_count);
void deliver_gateway_down(void *ctx, uint16_t peer);
int deliver_gateway_ack(void *ctx, uint16_t peer, uint64_t sequence, struct journal_accepted *runs,
			uint32_t runs_max);

/* Sends what may leave and fits each gateway's window. */
void deliver_pump(struct deliver *d);
/* conns' run_done: the bytes of a send are the outbox's again. */
void deliver_run_done(void *ctx, uint32_t chunk);

#endif
