/*
 * conn.c: see conn.h for the life of a byte and of a connection. Requests carry {slot, generation} in
 * user_data. Buffers of a connection that is closing are given back at once. A zero-copy send has two
 * completions with the same user_data; the bytes are ours again on the one with F_NOTIF (test F_MORE, not
 * res).
 *
 * What can go wrong: no slot (closed at accept and counted); -ENOBUFS ends a multishot receive, which is
 * armed again when buffers are back; a short send goes on behind what was sent.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

#define HUNG_UP_NS_MAX INT64_C(1000000000) /* for the program to take what came before a FIN */
enum { PIECES_MAX = 64, PIECES_CROWDED = 8, PIECES_RESUME = 4 };

static uint64_t conn_tag(enum ring_owner owner, const struct conn *conn)
{
	return ring_tag(owner, (uint64_t)conn->generation << 16 | conn->number);
}

static struct conn *conn_of(struct conns *c, uint64_t user_data)
{
	uint64_t rest = ring_rest_of(user_data);
	struct conn *conn = &c->conn[rest & 0xffff];

	assert((rest & 0xffff) < CONNECTIONS_MAX);
	assert(conn->generation ==
	       (uint32_t)(rest >> 16)); /* a slot is free only when nothing is outstanding */
	return conn;
}

static int listener_open(const char *address, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1;

	if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
		return -EINVAL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&in, sizeof in) || listen(fd, 512)) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int conns_init(struct conns *c, struct ring *ring, const char *address, uint16_t port)
{
	size_t per_conn = FRAME_BYTES_MAX + 2 * CONN_TX_BYTES;

	*c = (struct conns){ .ring = ring, .listener = -1 };
	int rc = region_init(&c->region, CONNECTIONS_MAX * (per_conn + sizeof(uint32_t)) +
						 CONN_BUFFERS * sizeof *c->pieces + 4096);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct conn *conn = &c->conn[i];
		*conn = (struct conn){ .fd = -1, .number = i };
		conn->assembly = region_take(&c->region, FRAME_BYTES_MAX);
		conn->tx[0] = region_take(&c->region, CONN_TX_BYTES);
		conn->tx[1] = region_take(&c->region, CONN_TX_BYTES);
	}
	c->pieces = region_take(&c->region, CONN_BUFFERS * sizeof *c->pieces);
	assert(c->pieces);
	for (uint32_t i = 0; i < CONN_BUFFERS; i++)
		c->pieces[i].next = i + 1 < CONN_BUFFERS ? i + 2 : 0;
	c->free_piece = 1;
	c->listener = listener_open(address, port);
	if (c->listener < 0) {
		rc = c->listener;
		region_deinit(&c->region);
	}
	return rc;
}

void conns_deinit(struct conns *c)
{
	for (uint32_t i = 0; i < CONNECTIONS_MAX; i++)
		if (c->conn[i].fd >= 0)
			close(c->conn[i].fd);
	if (c->listener >= 0)
		close(c->listener);
	region_deinit(&c->region);
}

uint16_t conns_port(const struct conns *c)
{
	struct sockaddr_in in;
	socklen_t len = sizeof in;

	return getsockname(c->listener, (struct sockaddr *)&in, &len) ? 0 : ntohs(in.sin_port);
}

static void pieces_drop(struct conns *c, struct conn *conn)
{
	while (conn->first_piece) {
		uint32_t number = conn->first_piece - 1;
		ring_buffer_return(c->ring, c->pieces[number].id);
		conn->first_piece = c->pieces[number].next;
		c->pieces[number].next = c->free_piece;
		c->free_piece = number + 1;
	}
	conn->last_piece = conn->piece_count = 0;
	conn->assembled = conn->lent_bytes = 0;
	conn->lent_assembly = false;
}

/* The slot is free once nothing is outstanding. */
static void conn_reap(struct conns *c, struct conn *conn)
{
	if (!conn->shut || conn->operations || conn->notifications)
		return;
	close(conn->fd);
	if (conn->joined)
		prefilter_slot_release(c->prefilter, conn->slot);
	pieces_drop(c, conn);
	uint32_t number = conn->number, generation = conn->generation + 1;
	char *assembly = conn->assembly, *tx0 = conn->tx[0], *tx1 = conn->tx[1];
	*conn = (struct conn){ .fd = -1,
			       .number = number,
			       .generation = generation & 0xffffff,
			       .assembly = assembly,
			       .tx = { tx0, tx1 } };
	c->open--;
}

static void conn_shut(struct conns *c, struct conn *conn)
{
	if (!conn->shut) {
		conn->shut = true;
		shutdown(conn->fd, SHUT_RDWR);
	}
	conn_reap(c, conn);
}

static void conn_add(struct conns *c, int fd, int64_t now_ns)
{
	int one = 1, keep_idle = 10;
	unsigned silent_ms = 30000; /* a host that lost its power is noticed */

	for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct conn *conn = &c->conn[i];
		if (conn->role != CONN_FREE)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keep_idle, sizeof keep_idle);
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
		conn->fd = fd;
		conn->role = CONN_NEW;
		conn->accepted_at = now_ns;
		c->accepted++;
		c->open++;
		if (i >= c->used)
			c->used = i + 1;
		return;
	}
	c->refused++;
	close(fd);
}

static void piece_add(struct conns *c, struct conn *conn, uint16_t id, uint32_t bytes)
{
	assert(c->free_piece); /* as many pieces as buffers */
	uint32_t number = c->free_piece - 1;
	c->free_piece = c->pieces[number].next;
	c->pieces[number] = (struct conn_piece){ .id = id, .end = bytes };
	if (conn->last_piece)
		c->pieces[conn->last_piece - 1].next = number + 1;
	else
		conn->first_piece = number + 1;
	conn->last_piece = number + 1;
	conn->piece_count++;
}

/* A connection whose bytes are not taken stops receiving before it has all buffers; conns_arm starts it
 * again. */
static void recv_hold(struct conns *c, struct conn *conn)
{
	bool crowded = c->ring->buffers.out > CONN_BUFFERS / 4;

	if (!conn->receiving || conn->holding || conn->piece_count < (crowded ? PIECES_CROWDED : PIECES_MAX))
		return;
	struct io_uring_sqe *sqe = ring_sqe(c->ring);
	io_uring_prep_cancel64(sqe, conn_tag(RING_RECV, conn), 0);
	sqe->user_data = ring_tag(RING_CANCEL, 0);
	conn->holding = true;
}

static void recv_complete(struct conns *c, struct conn *conn, const struct io_uring_cqe *cqe)
{
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		c->ring->buffers.out++;
		if (cqe->res > 0 && !conn->closing) {
			c->bytes_in += (uint64_t)cqe->res;
			piece_add(c, conn, id, (uint32_t)cqe->res);
			recv_hold(c, conn);
		} else
			ring_buffer_return(c->ring, id);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		conn->receiving = conn->holding = false;
		conn->operations--;
	}
	if (cqe->res <= 0 && cqe->res != -ENOBUFS && cqe->res != -EINTR && cqe->res != -ECANCELED)
		conn->peer_gone = true;
	if (conn->peer_gone && conn->closing)
		conn_shut(c, conn);
	else
		conn_reap(c, conn);
}

/* Does the memory registered as fixed buffer 0 hold these bytes? */
static bool fixed_holds(const struct conns *c, const char *data, uint32_t bytes)
{
	return c->fixed && data >= c->fixed && data + bytes <= c->fixed + c->fixed_bytes;
}

/* What of a run is still to be sent, at most bytes_max, as parts. Returns how many. */
static uint32_t run_rest(struct conn_run *run, uint32_t bytes_max)
{
	uint32_t skip = run->sent, n = 0;

	for (uint32_t i = 0; i < run->parts && bytes_max; i++) {
		const struct conn_part *part = &run->part[i];
		if (skip >= part->bytes) {
			skip -= part->bytes;
			continue;
		}
		uint32_t bytes = part->bytes - skip < bytes_max ? part->bytes - skip : bytes_max;
		run->rest[n++] = (struct iovec){ (char *)part->data + skip, bytes };
		bytes_max -= bytes;
		skip = 0;
	}
	return n;
}

static void run_prepare(struct conns *c, struct conn *conn, struct io_uring_sqe *sqe)
{
	struct conn_run *run = &conn->run;
	uint32_t parts = run_rest(run, c->send_bytes_max ? (uint32_t)c->send_bytes_max : UINT32_MAX);
	const struct iovec *first = run->rest;

	assert(parts);
	run->header = (struct msghdr){ .msg_iov = run->rest, .msg_iovlen = parts };
	c->zero_copy_sends += run->zero_copy;
	c->plain_sends += !run->zero_copy;
	conn->notifications += run->zero_copy;
	if (!run->zero_copy && parts == 1)
		io_uring_prep_send(sqe, conn->fd, first->iov_base, first->iov_len, MSG_NOSIGNAL);
	else if (!run->zero_copy)
		io_uring_prep_sendmsg(sqe, conn->fd, &run->header, MSG_NOSIGNAL);
	else if (parts > 1)
		io_uring_prep_sendmsg_zc(sqe, conn->fd, &run->header, MSG_NOSIGNAL);
	else if (fixed_holds(c, first->iov_base, (uint32_t)first->iov_len))
		io_uring_prep_send_zc_fixed(sqe, conn->fd, first->iov_base, first->iov_len, MSG_NOSIGNAL, 0,
					    0);
	else
		io_uring_prep_send_zc(sqe, conn->fd, first->iov_base, first->iov_len, MSG_NOSIGNAL, 0);
	if (run->zero_copy)
		sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE; /* where the kernel looks for it in all three */
}

static void tx_prepare(struct conns *c, struct conn *conn, struct io_uring_sqe *sqe)
{
	uint32_t bytes = conn->tx_bytes[!conn->tx_filling] - conn->tx_sent;

	if (c->send_bytes_max && bytes > (uint32_t)c->send_bytes_max)
		bytes = (uint32_t)c->send_bytes_max;
	assert(bytes);
	io_uring_prep_send(sqe, conn->fd, conn->tx[!conn->tx_filling] + conn->tx_sent, bytes, MSG_NOSIGNAL);
	c->plain_sends++;
}

/* The rest of the run, or of the buffer that is not being filled. */
static void send_prepare(struct conns *c, struct conn *conn, bool run)
{
	struct io_uring_sqe *sqe = ring_sqe(c->ring);

	assert(!conn->sending);
	if (run)
		run_prepare(c, conn, sqe);
	else
		tx_prepare(c, conn, sqe);
	sqe->user_data = conn_tag(run ? RING_GATEWAY_SEND : RING_SEND, conn);
	conn->operations++;
	conn->sending = true;
}

/* A zero-copy run is over when it was sent to its end and every notification has come. */
static void run_settle(struct conns *c, struct conn *conn)
{
	if (conn->run.active && conn->run.sent == conn->run.bytes && !conn->sending &&
	    conn->notifications == 0) {
		conn->run.active = false;
		for (uint32_t i = 0; i < conn->run.parts && c->run_done; i++)
			c->run_done(c->run_ctx, conn->run.part[i].chunk);
	}
}

static void send_complete(struct conns *c, struct conn *conn, const struct io_uring_cqe *cqe, bool run)
{
	if (cqe->flags & IORING_CQE_F_NOTIF) {
		conn->notifications--;
		if ((uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED)
			c->zero_copy_copied++;
		run_settle(c, conn);
		conn_reap(c, conn);
		return;
	}
	if (run && conn->run.zero_copy && !(cqe->flags & IORING_CQE_F_MORE))
		conn->notifications--; /* refused at once: no notification follows */
	conn->operations--;
	conn->sending = false;
	uint32_t *sent = run ? &conn->run.sent : &conn->tx_sent;
	uint32_t bytes = run ? conn->run.bytes : conn->tx_bytes[!conn->tx_filling];
	if (cqe->res > 0) {
		c->bytes_out += (uint64_t)cqe->res;
		*sent += (uint32_t)cqe->res;
		c->short_sends += *sent < bytes;
	} else if (cqe->res != -EINTR && cqe->res != -EAGAIN && cqe->res != -ENOBUFS && cqe->res != -ENOMEM) {
		conn->peer_gone = true;
		*sent = bytes; /* nobody takes the rest */
	}
	if (*sent < bytes && !conn->shut) {
		if (run && (cqe->res == -ENOBUFS || cqe->res == -ENOMEM))
			conn->run.zero_copy = false;
		send_prepare(c, conn, run);
		return;
	}
	if (run)
		*sent = bytes;
	else
		conn->tx_bytes[!conn->tx_filling] = conn->tx_sent = 0;
	run_settle(c, conn); /* a run's last notification may have come during a send of tx */
	conn_reap(c, conn);
}

static void hangup_arm(struct conns *c, struct conn *conn)
{
	struct io_uring_sqe *sqe = ring_sqe(c->ring);

	io_uring_prep_poll_add(sqe, conn->fd, POLLRDHUP);
	sqe->user_data = conn_tag(RING_HANGUP, conn);
	conn->operations++;
}

/* A reset is the end at once. A FIN is seen here a moment before the program has taken the bytes that came
 * with it: then the program says when. */
static void hangup_complete(struct conns *c, struct conn *conn, const struct io_uring_cqe *cqe,
			    int64_t now_ns)
{
	conn->operations--;
	conn->hung_up = true;
	conn->hung_up_at = now_ns;
	if (cqe->res < 0 || (cqe->res & (POLLHUP | POLLERR)))
		conn->peer_gone = true;
	if (conn->closing)
		conn_shut(c, conn);
	else
		conn_reap(c, conn);
}

static void hangup_settle(struct conn *conn, int64_t now_ns)
{
	if (conn_over(conn) ||
	    (conn->hung_up && !conn->peer_gone && now_ns - conn->hung_up_at > HUNG_UP_NS_MAX))
		conn->peer_gone = true;
}

void conn_join_begin(struct conns *c, struct conn *conn)
{
	assert(!conn->joined && !conn->joining && c->prefilter);
	conn->joining = true;
	if (conn->receiving && !conn->holding) {
		struct io_uring_sqe *sqe = ring_sqe(c->ring);
		io_uring_prep_cancel64(sqe, conn_tag(RING_RECV, conn), 0);
		sqe->user_data = ring_tag(RING_CANCEL, 0);
		conn->holding = true;
	}
}

bool conn_join_ready(const struct conn *conn)
{
	return conn->joining && !conn->receiving && !conn->closing && !conn->peer_gone;
}

int conn_join(struct conns *c, struct conn *conn, uint64_t expected)
{
	assert(conn_join_ready(conn));
	int slot = conn->first_piece || conn->assembled
			   ? -EALREADY
			   : prefilter_slot_take(c->prefilter, conn->fd, expected, &conn->reader);
	conn->joining = slot == -EAGAIN;
	if (slot < 0)
		return slot;
	conn->slot = (uint32_t)slot;
	conn->joined = true;
	hangup_arm(c, conn);
	return 0;
}

void conns_complete(struct conns *c, const struct io_uring_cqe *cqe, int64_t now_ns)
{
	enum ring_owner owner = ring_owner_of(cqe->user_data);

	if (owner == RING_ACCEPT) {
		if (cqe->res >= 0)
			conn_add(c, cqe->res, now_ns);
		if (!(cqe->flags & IORING_CQE_F_MORE))
			c->accepting = false;
		return;
	}
	struct conn *conn = conn_of(c, cqe->user_data);
	if (owner == RING_RECV)
		recv_complete(c, conn, cqe);
	else if (owner == RING_HANGUP)
		hangup_complete(c, conn, cqe, now_ns);
	else
		send_complete(c, conn, cqe, owner == RING_GATEWAY_SEND);
}

void conns_arm(struct conns *c, int64_t now_ns)
{
	if (!c->accepting) {
		struct io_uring_sqe *sqe = ring_sqe(c->ring);
		io_uring_prep_multishot_accept(sqe, c->listener, NULL, NULL, SOCK_CLOEXEC);
		sqe->user_data = ring_tag(RING_ACCEPT, 0);
		c->accepting = true;
	}
	for (uint32_t i = 0; i < c->used; i++)
		hangup_settle(&c->conn[i], now_ns);
	if (c->ring->buffers.out >= CONN_BUFFERS / 2)
		return;
	for (uint32_t i = 0; i < c->used; i++) {
		struct conn *conn = &c->conn[i];
		if (conn->role == CONN_FREE || conn->receiving || conn->peer_gone || conn->shut ||
		    conn->joining || conn->joined || conn->piece_count >= PIECES_RESUME)
			continue;
		struct io_uring_sqe *sqe = ring_sqe(c->ring);
		io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 0;
		sqe->user_data = conn_tag(RING_RECV, conn);
		conn->receiving = true;
		conn->operations++;
	}
}

/* Takes n bytes off the first pieces, copying them when `to` is given. */
static void pieces_take(struct conns *c, struct conn *conn, char *to, uint32_t n)
{
	while (n) {
		uint32_t number = conn->first_piece - 1;
		struct conn_piece *piece = &c->pieces[number];
		uint32_t part = piece->end - piece->at < n ? piece->end - piece->at : n;
		if (to) {
			memcpy(to, ring_buffer(c->ring, piece->id) + piece->at, part);
			to += part;
		}
		piece->at += part;
		n -= part;
		if (piece->at < piece->end)
			continue;
		ring_buffer_return(c->ring, piece->id);
		conn->first_piece = piece->next;
		if (!conn->first_piece)
			conn->last_piece = 0;
		conn->piece_count--;
		piece->next = c->free_piece;
		c->free_piece = number + 1;
	}
}

static uint32_t pieces_bytes(const struct conns *c, const struct conn *conn, uint32_t enough)
{
	uint32_t total = 0;

	for (uint32_t at = conn->first_piece; at && total < enough; at = c->pieces[at - 1].next)
		total += c->pieces[at - 1].end - c->pieces[at - 1].at;
	return total;
}

/* Brings assembled up to `want` bytes; false: they are not all there. */
static bool assemble(struct conns *c, struct conn *conn, uint32_t want)
{
	if (conn->assembled >= want)
		return true;
	uint32_t there = pieces_bytes(c, conn, want - conn->assembled);
	uint32_t take = there < want - conn->assembled ? there : want - conn->assembled;
	pieces_take(c, conn, conn->assembly + conn->assembled, take);
	conn->assembled += take;
	return conn->assembled == want;
}

static int length_check(const char *frame, uint32_t *bytes)
{
	memcpy(bytes, frame, sizeof *bytes);
	return *bytes < FRAME_HEADER_BYTES || *bytes > FRAME_BYTES_MAX ? -EBADMSG : 0;
}

static int joined_frame(struct conn *conn, const char **frame, uint32_t *bytes)
{
	switch (reader_next(&conn->reader, frame, bytes)) {
	case RING_FRAME:
		conn->lent_bytes = *bytes;
		return 1;
	case RING_RECORD:
		conn->lent_bytes = ((const struct ring_dropped *)(const void *)*frame)->bytes;
		return 2;
	case RING_BROKEN:
		return -EBADMSG;
	default:
		return 0;
	}
}

int conn_frame(struct conns *c, struct conn *conn, const char **frame, uint32_t *bytes)
{
	if (conn->joined && !conn->closing)
		return joined_frame(conn, frame, bytes);
	if (conn->closing || (!conn->first_piece && !conn->assembled))
		return 0;
	assert(conn->lent_bytes == 0);
	if (conn->assembled == 0) {
		const struct conn_piece *piece = &c->pieces[conn->first_piece - 1];
		uint32_t there = piece->end - piece->at;
		*frame = ring_buffer(c->ring, piece->id) + piece->at;
		if (there >= sizeof(uint32_t)) {
			if (length_check(*frame, bytes))
				return -EBADMSG;
			if (*bytes <= there) {
				conn->lent_bytes = *bytes;
				conn->lent_assembly = false;
				return 1;
			}
		}
	}
	/* cut: put it together in the connection's own buffer */
	*frame = conn->assembly;
	if (!assemble(c, conn, sizeof(uint32_t)))
		return 0;
	if (length_check(conn->assembly, bytes))
		return -EBADMSG;
	if (!assemble(c, conn, *bytes))
		return 0;
	conn->lent_bytes = *bytes;
	conn->lent_assembly = true;
	return 1;
}

void conn_frame_done(struct conns *c, struct conn *conn)
{
	assert(conn->lent_bytes);
	conn->received += conn->lent_bytes;
	if (conn->joined) {
		c->bytes_in += conn->lent_bytes;
		reader_done(&conn->reader);
	} else if (conn->lent_assembly)
		conn->assembled = 0;
	else
		pieces_take(c, conn, NULL, conn->lent_bytes);
	conn->lent_bytes = 0;
}

struct conn_span conn_span(struct conns *c, const struct conn *conn)
{
	struct conn_span span = { .rounded = conn->joined };

	assert(conn->lent_bytes == 0);
	if (conn->closing)
		return span;
	if (conn->joined) {
		span.at = reader_span(&conn->reader, &span.bytes);
	} else if (conn->assembled == 0 && conn->first_piece) {
		const struct conn_piece *piece = &c->pieces[conn->first_piece - 1];
		span.at = ring_buffer(c->ring, piece->id) + piece->at;
		span.bytes = piece->end - piece->at;
	}
	return span;
}

void conn_span_done(struct conns *c, struct conn *conn, uint32_t bytes, uint32_t frame_bytes, uint32_t frames)
{
	conn->received += frame_bytes;
	if (conn->joined) {
		c->bytes_in += frame_bytes;
		reader_span_done(&conn->reader, bytes, frames);
	} else
		pieces_take(c, conn, NULL, bytes);
}

uint32_t conn_send_room(const struct conn *conn)
{
	return conn->shut || conn->closing || conn->peer_gone
		       ? 0
		       : CONN_TX_BYTES - conn->tx_bytes[conn->tx_filling];
}

bool conn_send(struct conns *c, struct conn *conn, const void *bytes, uint32_t count)
{
	(void)c;
	if (count > conn_send_room(conn))
		return false;
	memcpy(conn->tx[conn->tx_filling] + conn->tx_bytes[conn->tx_filling], bytes, count);
	conn->tx_bytes[conn->tx_filling] += count;
	return true;
}

bool conn_idle(const struct conn *conn)
{
	return !conn->sending && !conn->run.active && !conn->shut && !conn->closing && !conn->peer_gone &&
	       conn->tx_bytes[0] == 0 && conn->tx_bytes[1] == 0;
}

void conn_send_run(struct conns *c, struct conn *conn, const struct conn_part *parts, uint32_t count,
		   bool zero_copy)
{
	struct conn_run *run = &conn->run;

	assert(conn_idle(conn) && count && count <= CONN_RUN_PARTS_MAX);
	run->active = true;
	run->zero_copy = zero_copy;
	run->parts = count;
	run->bytes = run->sent = 0;
	for (uint32_t i = 0; i < count; i++) {
		assert(parts[i].bytes);
		run->part[i] = parts[i];
		run->bytes += parts[i].bytes;
	}
	send_prepare(c, conn, true);
}

void conns_flush(struct conns *c)
{
	for (uint32_t i = 0; i < c->used; i++) {
		struct conn *conn = &c->conn[i];
		if (conn->role == CONN_FREE || conn->sending || conn->shut)
			continue;
		bool run_waits = conn->run.active && conn->run.sent < conn->run.bytes;
		if (!run_waits && conn->tx_bytes[conn->tx_filling] && !conn->peer_gone) {
			conn->tx_filling = !conn->tx_filling;
			conn->tx_sent = 0;
			send_prepare(c, conn,
				     false); /* a run's bytes are sent, its notification may be outstanding */
		} else if (conn->closing && !run_waits)
			conn_shut(c, conn);
	}
}

void conn_close(struct conns *c, struct conn *conn)
{
	if (conn->role == CONN_FREE || conn->closing)
		return;
	conn->closing = true;
	pieces_drop(c, conn);
	if (conn->peer_gone)
		conn_shut(c, conn);
}

/* AF_UNSPEC drops what waits to be sent, unlike shutdown: zero-copy notifications of a peer that does not
 * read come at last. */
void conn_cut(struct conns *c, struct conn *conn)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	if (conn->role == CONN_FREE || conn->shut)
		return;
	conn_close(c, conn);
	if (conn->role != CONN_FREE && !conn->shut) {
		connect(conn->fd, &none, sizeof none); /* when it fails, shutdown it is */
		conn_shut(c, conn);
	}
}

void conns_expire(struct conns *c, int64_t now_ns)
{
	for (uint32_t i = 0; i < c->used; i++) {
		struct conn *conn = &c->conn[i];
		if (conn->role == CONN_FREE || !conn->closing || conn->shut)
			continue;
		if (!conn->closing_at)
			conn->closing_at = now_ns;
		else if (now_ns - conn->closing_at > CONN_CLOSING_NS_MAX)
			conn_cut(c, conn);
	}
}

bool conn_waits(const struct conn *conn)
{
	uint32_t bytes = 0;

	if (conn->joined)
		return reader_waits(&conn->reader);
	if (conn->assembled >= sizeof bytes)
		memcpy(&bytes, conn->assembly, sizeof bytes);
	return conn->first_piece || (bytes && conn->assembled == bytes);
}

bool conn_over(const struct conn *conn)
{
	return conn->hung_up && !conn->peer_gone && reader_ended(&conn->reader);
}

bool conn_ended(const struct conn *conn)
{
	return conn->peer_gone && !conn_waits(conn) && !conn->closing;
}
