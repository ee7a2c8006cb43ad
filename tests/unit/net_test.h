/*
 * net_test.h: a ring with connections, turned by hand, and the peers' sockets in the same thread: for the
 * tests of conn and deliver. The kernel's notifications are counted before conns sees them, so that "after
 * the last notification" can be checked.
 */
#ifndef NET_TEST_H
#define NET_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uring/conn.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { CHUNKS_MAX = 64, SMALL_WINDOW = 16384 /* two segments */ };

struct net {
	struct ring ring;
	struct conns conns;
	uint64_t notifications; /* seen by this test */
	uint32_t done[CHUNKS_MAX], done_count;
	bool done_early; /* run_done before the last notification of what was sent */
	int64_t now_ns;
};

/* conns' run_done of a test that has no outbox. */
__attribute__((unused)) static void net_run_done(void *ctx, uint32_t chunk)
{
	struct net *n = ctx;

	assert_true(chunk < CHUNKS_MAX);
	n->done[chunk]++;
	n->done_count++;
	if (n->notifications < n->conns.zero_copy_sends)
		n->done_early = true;
}

__attribute__((unused)) static struct net *net_open(uint32_t buffer_bytes)
{
	struct net *n = calloc(1, sizeof *n);

	assert_non_null(n);
	int rc = ring_init(&n->ring, 1024, CONN_BUFFERS, buffer_bytes);
	if (rc)
		fail_msg("io_uring: %s", strerror(-rc));
	assert_int_equal(conns_init(&n->conns, &n->ring, "127.0.0.1", 0), 0);
	n->conns.run_done = net_run_done;
	n->conns.run_ctx = n;
	n->now_ns = 1;
	return n;
}

__attribute__((unused)) static void net_close(struct net *n)
{
	ring_deinit(&n->ring);
	conns_deinit(&n->conns);
	free(n);
}

/* One turn of the loop; waits a little when nothing is there. */
__attribute__((unused)) static void net_turn(struct net *n)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	conns_arm(&n->conns, 0);
	conns_flush(&n->conns);
	assert_int_equal(ring_enter(&n->ring, 2000000), 0);
	io_uring_for_each_cqe(&n->ring.io, head, cqe)
	{
		n->notifications += (cqe->flags & IORING_CQE_F_NOTIF) != 0;
		if (ring_owner_of(cqe->user_data) !=
		    RING_CANCEL) /* as live.c: nobody waits for the result of a cancel */
			conns_complete(&n->conns, cqe, n->now_ns);
		count++;
	}
	io_uring_cq_advance(&n->ring.io, count);
}

/* Turns until the condition holds; a test that waits in vain fails. */
#define net_until(n, condition)                                                                              \
	do {                                                                                                 \
		unsigned turns_ = 0;                                                                         \
		while (!(condition)) {                                                                       \
			net_turn(n);                                                                         \
			if (++turns_ > 3000)                                                                 \
				fail_msg("line %d: %s never came", __LINE__, #condition);                    \
		}                                                                                            \
	} while (0)

/* Turns for as long as it takes to be sure that nothing more comes. */
__attribute__((unused)) static void net_settle(struct net *n)
{
	for (unsigned i = 0; i < 8; i++)
		net_turn(n);
}

/* A peer's socket, not blocking; receive_bytes 0: the kernel's default. */
__attribute__((unused)) static int peer_connect(uint16_t port, int receive_bytes)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	if (receive_bytes) {
		/* of the loopback's 64 KiB none would fit, and the kernel would probe every 200 ms */
		int segment = 8192;
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
		setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
	}
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* A peer and its connection, accepted. */
__attribute__((unused)) static struct conn *net_peer(struct net *n, int *fd, int receive_bytes)
{
	uint64_t accepted = n->conns.accepted;
	uint32_t lives[CONNECTIONS_MAX]; /* generation + 1 of those in use */

	for (uint32_t i = 0; i < CONNECTIONS_MAX; i++)
		lives[i] = n->conns.conn[i].role != CONN_FREE ? n->conns.conn[i].generation + 1 : 0;
	*fd = peer_connect(conns_port(&n->conns), receive_bytes);
	net_until(n, n->conns.accepted > accepted);
	for (uint32_t i = 0; i < CONNECTIONS_MAX; i++)
		if (n->conns.conn[i].role != CONN_FREE && lives[i] != n->conns.conn[i].generation + 1)
			return &n->conns.conn[i];
	fail_msg("accepted, and no slot is taken");
	return NULL;
}

/* Writes all of it, turning the ring while the socket is full. */
__attribute__((unused)) static void peer_write(struct net *n, int fd, const void *bytes, size_t count)
{
	for (size_t at = 0; at < count;) {
		ssize_t wrote = send(fd, (const char *)bytes + at, count - at, MSG_NOSIGNAL);
		if (wrote < 0 && errno != EAGAIN)
			fail_msg("send: %s", strerror(errno));
		if (wrote > 0)
			at += (size_t)wrote;
		else
			net_turn(n);
	}
}

/* Reads exactly `count` bytes. */
__attribute__((unused)) static void peer_read(struct net *n, int fd, void *to, size_t count)
{
	unsigned idle = 0;

	for (size_t at = 0; at < count;) {
		ssize_t got = recv(fd, (char *)to + at, count - at, 0);
		if (got == 0)
			fail_msg("closed after %zu of %zu bytes", at, count);
		if (got < 0 && errno != EAGAIN)
			fail_msg("recv: %s", strerror(errno));
		if (got > 0) {
			at += (size_t)got;
			idle = 0;
			continue;
		}
		if (++idle > 3000)
			fail_msg("%zu of %zu bytes came", at, count);
		net_turn(n);
	}
}

/* A reset instead of a polite end: what is unread and unsent is dropped. */
__attribute__((unused)) static void peer_die(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

#endif
