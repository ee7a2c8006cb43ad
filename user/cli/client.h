/*
 * client: one connection of a peer to the engine: connect, handshake, frames in and out. For tools and tests.
 *
 * The socket does not block; the caller polls client.fd. A frame that is read lends its body until the next
 * client_fill. One owner, one thread.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <base/bytes.h>
#include <base/frame.h>

enum { CLIENT_IN_BYTES = 512 << 10, CLIENT_SESSION_BYTES_MAX = 64 };

struct client {
	int fd; /* -1 = not connected */
	uint8_t *in;
	size_t in_at, in_end; /* what was received and not yet taken */
	char problem[160];    /* what -EBADMSG was about */
};

struct client_frame {
	struct frame_header header;
	const uint8_t *body;
	size_t body_bytes;
};

struct client_welcome {
	uint64_t next; /* the sequence that the engine expects */
	uint64_t window_events, window_bytes;
	uint8_t session[CLIENT_SESSION_BYTES_MAX]; /* the value as it came, packed, to be given back in HELLO
						    */
	size_t session_bytes;
};

/* What an ERROR frame said. */
struct client_refusal {
	char code[32];
	char text[400];
	uint64_t sequence, offset;
};

int client_init(struct client *c); /* 0 or -ENOMEM */
void client_deinit(struct client *c);
void client_close(struct client *c); /* the connection only; what was received is dropped */

/*
 * Connects to HOST:PORT, sends `hello` (a whole frame) and waits for the answer, at most timeout_ms. 0:
 * connected and welcome. -EPERM: refused by an ERROR, see refusal. -EINVAL: no HOST:PORT. -EBADMSG: not the
 * protocol, see c->problem. Else -errno: nobody there, try again.
 */
int client_open(struct client *c, const char *to, const void *hello, size_t bytes, int timeout_ms,
		struct client_welcome *welcome, struct client_refusal *refusal);

/* Receives what is there: bytes, 0 when nothing is, -EPIPE at the end of the stream, -errno. */
long client_fill(struct client *c);
/* The next whole frame: 1, 0 when there is none yet, -EBADMSG. */
int client_next(struct client *c, struct client_frame *frame);
/* Sends what the socket takes: bytes, 0 when it takes nothing now, -errno. */
long client_send(struct client *c, const void *bytes, size_t len);
/* Sends all, waiting for the socket; 0 or -errno. */
int client_send_all(struct client *c, const void *bytes, size_t len);

/* Says that nothing more comes and waits until the engine has closed too, at most half a second: what was
 * sent last is not lost in a reset because something was left unread. */
void client_finish(struct client *c);

void client_read_refusal(const struct client_frame *frame, struct client_refusal *refusal);
void client_print_refusal(const char *tool, const struct client_refusal *refusal);

/* A frame without body fields of its own: `header` gets version and length; returns the length. */
size_t client_frame_write(uint8_t *out, struct frame_header header, const void *body, size_t bytes);

/* A plain TCP connection to HOST:PORT, blocking: fd, -EINVAL or -errno. */
int client_connect(const char *to);

/* SIGINT and SIGTERM as a readable fd instead; signals_close gives them back. */
struct client_signals {
	int fd;
	unsigned char saved[128]; /* the mask before, a sigset_t */
};
int client_signals_open(struct client_signals *s); /* 0 or -errno */
void client_signals_close(struct client_signals *s);

int64_t client_clock(void); /* monotonic ns */
int64_t client_wall(void);  /* ns since 1970 */

#endif
