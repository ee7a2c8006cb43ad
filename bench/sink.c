// needs: bench/bank20.c
/*
 * sink.c: the yardstick of the way in and the disk: takes the workload's frames from a TCP connection through
 * io_uring, counts them by type, and has every byte durable before it says so. No decisions, no state,
 * nothing goes out but how much is durable.
 *
 * One thread receives straight into the buffer that will be written (O_DIRECT, registered), another on the
 * other CPU sends frames that were made beforehand. A buffer's life: 1 filling; 2 sealed: padded to a page,
 * written and then synced (fdatasync), at most two of these at once; 3 free. The file was written before, as
 * a journal's segment is, and begins again at its end.
 *
 * Checked: counts by type are the sender's, every frame's length, and what the file has is what was sent, as
 * far as it was not written over. Out: one JSON object. Exit 1: not so, or a system call failed.
 */
#include "bank20.h"
#include "pace.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUFFERS = 4,
	IN_FLIGHT_MAX = 2,
	PAGE = 4096,
	TYPES = 64,
	BLOCK_FRAMES = 1 << 16, /* of the sender, 4 MiB, sent again and again */
	SEND_BYTES = 256 << 10,
	SEALED_MAX = 1 << 16,	 /* remembered for the check */
	CHECK_BYTES = 256 << 20, /* read back at the most */
};

struct options {
	const char *file;
	uint64_t events, file_bytes, batch_bytes, seal_bytes;
	uint32_t customers;
	int cpu, sender_cpu, worker_cpu;
};

struct sealed {
	uint64_t at, stream, bytes; /* place in the file, place in the stream */
};

struct buffer {
	uint8_t *bytes;
	uint64_t used;
	bool free;
};

enum tag { TAG_RECV = 1, TAG_WRITE, TAG_SYNC, TAG_ACK };

struct sink {
	struct options o;
	struct io_uring ring;
	struct buffer buffer[BUFFERS];
	uint32_t filling, in_flight;
	bool receiving, ended;
	int listener, fd, file;
	uint64_t received, durable, file_at, batches, recvs;
	uint64_t left; /* bytes of the frame under way that are still to come */
	uint8_t head[FRAME_HEADER_BYTES];
	uint32_t head_bytes; /* of a header that was cut by a batch */
	uint64_t counts[TYPES];
	struct sealed sealed[SEALED_MAX];
	uint64_t wrong; /* frames that no workload has, failed calls */
	/* the sender's */
	struct frame_header *block;
	uint16_t port;
	uint64_t expected[TYPES];
	int64_t started;
};

/* ---- the sender ---- */

static int sender_connect(const struct sink *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(s->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int room = 8 << 20, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) ||
	    connect(fd, (struct sockaddr *)&to, sizeof to)) {
		perror("sink: connect");
		return -1;
	}
	return fd;
}

static bool stream_send(struct sink *s, int fd)
{
	uint64_t block = BLOCK_FRAMES * sizeof *s->block, total = s->o.events * sizeof *s->block, at = 0;

	while (at < total) {
		uint64_t place = at % block, count = SEND_BYTES;
		count = count < block - place ? count : block - place;
		count = count < total - at ? count : total - at;
		ssize_t n = send(fd, (char *)s->block + place, count, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		at += (uint64_t)n;
	}
	return true;
}

static void *sender_run(void *arg)
{
	struct sink *s = arg;
	uint64_t durable = 0;

	pace_pin(s->o.sender_cpu);
	int fd = sender_connect(s);
	if (fd < 0)
		return NULL;
	s->started = pace_now();
	if (stream_send(s, fd))
		shutdown(fd, SHUT_WR);
	while (recv(fd, &durable, sizeof durable, MSG_WAITALL) == sizeof durable)
		;
	if (durable != s->o.events * sizeof *s->block)
		fprintf(stderr, "sink: %llu bytes are durable, sent %llu\n", (unsigned long long)durable,
			(unsigned long long)(s->o.events * sizeof *s->block));
	close(fd);
	return NULL;
}

static void block_make(struct sink *s, struct bank20 *b)
{
	bank20_next(b, s->block, BLOCK_FRAMES);
	for (uint64_t i = 0; i < s->o.events; i++)
		s->expected[s->block[i % BLOCK_FRAMES].type]++;
}

/* ---- counting ---- */

/* The bytes stand where TCP has put them, at any address. */
static inline void frame_count(struct sink *s, const uint8_t *at)
{
	uint32_t length;
	uint16_t type;

	memcpy(&length, at + offsetof(struct frame_header, length), sizeof length);
	memcpy(&type, at + offsetof(struct frame_header, type), sizeof type);
	if (type < TYPES && length >= FRAME_HEADER_BYTES &&
	    at[offsetof(struct frame_header, kind)] == FRAME_EVENT) {
		s->counts[type]++;
		s->left = length;
	} else {
		s->counts[0]++;
		s->wrong++;
		s->left = FRAME_HEADER_BYTES;
	}
}

/* A header that two batches share. */
static uint64_t head_join(struct sink *s, const uint8_t *at, uint64_t count)
{
	uint64_t take = FRAME_HEADER_BYTES - s->head_bytes;

	take = take < count ? take : count;
	memcpy(s->head + s->head_bytes, at, take);
	s->head_bytes += (uint32_t)take;
	if (s->head_bytes == FRAME_HEADER_BYTES) {
		frame_count(s, s->head);
		s->left -= FRAME_HEADER_BYTES;
		s->head_bytes = 0;
	}
	return take;
}

static void bytes_count(struct sink *s, const uint8_t *at, uint64_t count)
{
	const uint8_t *end = at + count;

	while (at < end) {
		uint64_t there = (uint64_t)(end - at);
		if (s->left) {
			uint64_t skip = s->left < there ? s->left : there;
			s->left -= skip;
			at += skip;
		} else if (s->head_bytes || there < FRAME_HEADER_BYTES) {
			at += head_join(s, at, there);
		} else {
			frame_count(s, at);
		}
	}
}

/* ---- the disk ---- */

static struct io_uring_sqe *sqe_get(struct sink *s, enum tag tag, uint64_t what)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	if (!sqe) {
		io_uring_submit(&s->ring);
		sqe = io_uring_get_sqe(&s->ring);
	}
	sqe->user_data = what << 8 | tag;
	return sqe;
}

static void buffer_seal(struct sink *s)
{
	struct buffer *b = &s->buffer[s->filling];
	uint64_t bytes = (b->used + PAGE - 1) / PAGE * PAGE;

	memset(b->bytes + b->used, 0, bytes - b->used);
	if (s->file_at + bytes > s->o.file_bytes)
		s->file_at = 0;
	s->sealed[s->batches++ % SEALED_MAX] = (struct sealed){ s->file_at, s->received - b->used, b->used };
	struct io_uring_sqe *write = sqe_get(s, TAG_WRITE, s->filling);
	struct io_uring_sqe *sync = sqe_get(s, TAG_SYNC, s->filling);
	uint64_t write_data = write->user_data, sync_data = sync->user_data;
	io_uring_prep_write_fixed(write, 0, b->bytes, (unsigned)bytes, s->file_at, (int)s->filling);
	write->user_data = write_data;
	io_uring_sqe_set_flags(write, IOSQE_FIXED_FILE | IOSQE_IO_LINK);
	io_uring_prep_fsync(sync, 0, IORING_FSYNC_DATASYNC);
	sync->user_data = sync_data;
	io_uring_sqe_set_flags(sync, IOSQE_FIXED_FILE);
	s->file_at += bytes;
	s->in_flight++;
	b->free = false;
	s->filling = UINT32_MAX;
}

static bool buffer_next(struct sink *s)
{
	for (uint32_t i = 0; i < BUFFERS && s->filling == UINT32_MAX; i++)
		if (s->buffer[i].free) {
			s->filling = i;
			s->buffer[i].used = 0;
		}
	return s->filling != UINT32_MAX;
}

static void recv_arm(struct sink *s)
{
	struct buffer *b = &s->buffer[s->filling];
	struct io_uring_sqe *sqe = sqe_get(s, TAG_RECV, 0);
	uint64_t data = sqe->user_data;

	io_uring_prep_recv(sqe, s->fd, b->bytes + b->used, s->o.batch_bytes - b->used, 0);
	sqe->user_data = data;
	s->receiving = true;
}

/* What can be done now: seal what is full enough, receive into what is free. */
static void work(struct sink *s)
{
	if (!s->receiving && buffer_next(s)) {
		uint64_t used = s->buffer[s->filling].used;
		bool full = used == s->o.batch_bytes || used >= s->o.seal_bytes ||
			    (used && (s->ended || !s->in_flight));
		if (full && s->in_flight < IN_FLIGHT_MAX)
			buffer_seal(s);
	}
	if (!s->receiving && !s->ended && buffer_next(s) && s->buffer[s->filling].used < s->o.batch_bytes)
		recv_arm(s);
}

static void received(struct sink *s, int count)
{
	struct buffer *b = &s->buffer[s->filling];

	s->receiving = false;
	s->ended = count <= 0;
	s->wrong += count < 0;
	if (count <= 0)
		return;
	bytes_count(s, b->bytes + b->used, (uint64_t)count);
	b->used += (uint64_t)count;
	s->received += (uint64_t)count;
	s->recvs++;
}

/* Batches end in the order in which they were begun, or it does not matter: the number only grows when all
 * are. */
static void synced(struct sink *s, uint32_t buffer, int rc)
{
	s->wrong += rc < 0;
	s->in_flight--;
	s->buffer[buffer].free = true;
	s->durable += s->buffer[buffer].used;
	if (send(s->fd, &s->durable, sizeof s->durable, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof s->durable)
		s->wrong++;
}

static void complete(struct sink *s, const struct io_uring_cqe *cqe)
{
	switch ((enum tag)(cqe->user_data & 0xff)) {
	case TAG_RECV:
		received(s, cqe->res);
		break;
	case TAG_WRITE:
		s->wrong += cqe->res <= 0;
		break;
	case TAG_SYNC:
		synced(s, (uint32_t)(cqe->user_data >> 8), cqe->res);
		break;
	default:
		s->wrong++;
	}
}

static void stream_take(struct sink *s)
{
	struct io_uring_cqe *cqe;
	unsigned head;

	while (!s->ended || s->in_flight || (s->filling != UINT32_MAX && s->buffer[s->filling].used)) {
		work(s);
		if (io_uring_submit_and_wait(&s->ring, 1) < 0) {
			s->wrong++;
			return;
		}
		unsigned n = 0;
		io_uring_for_each_cqe(&s->ring, head, cqe)
		{
			complete(s, cqe);
			n++;
		}
		io_uring_cq_advance(&s->ring, n);
	}
}

/* ---- before and after ---- */

static int file_open(struct sink *s)
{
	static const size_t piece = 1 << 20;
	void *zeros = aligned_alloc(PAGE, piece);
	int fd = open(s->o.file, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);

	if (fd < 0 || !zeros)
		return -errno;
	memset(zeros, 0, piece);
	for (uint64_t at = 0; at < s->o.file_bytes; at += piece)
		if (pwrite(fd, zeros, piece, (off_t)at) != (ssize_t)piece)
			return -EIO;
	free(zeros);
	s->file = fd;
	return fsync(fd) ? -errno : 0;
}

static int ring_open(struct sink *s)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };
	struct iovec vectors[BUFFERS];
	cpu_set_t set;

	for (int i = 0; i < BUFFERS; i++) {
		s->buffer[i] = (struct buffer){ aligned_alloc(PAGE, s->o.batch_bytes), 0, true };
		if (!s->buffer[i].bytes)
			return -ENOMEM;
		memset(s->buffer[i].bytes, 0, s->o.batch_bytes);
		vectors[i] = (struct iovec){ s->buffer[i].bytes, s->o.batch_bytes };
	}
	int rc = io_uring_queue_init_params(64, &s->ring, &params);
	rc = rc ? rc : io_uring_register_buffers(&s->ring, vectors, BUFFERS);
	rc = rc ? rc : io_uring_register_files(&s->ring, &s->file, 1);
	CPU_ZERO(&set);
	if (s->o.worker_cpu >= 0)
		CPU_SET(s->o.worker_cpu, &set);
	return rc || s->o.worker_cpu < 0 ? rc : io_uring_register_iowq_aff(&s->ring, sizeof set, &set);
}

static int listen_open(struct sink *s)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof at;
	int room = 8 << 20;

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return -errno;
	if (setsockopt(s->listener, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
		setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (bind(s->listener, (struct sockaddr *)&at, sizeof at) || listen(s->listener, 1) ||
	    getsockname(s->listener, (struct sockaddr *)&at, &bytes))
		return -errno;
	s->port = ntohs(at.sin_port);
	return 0;
}

static bool batch_equal(const struct sink *s, const struct sealed *batch, uint8_t *room)
{
	uint64_t block = BLOCK_FRAMES * sizeof *s->block, pages = (batch->bytes + PAGE - 1) / PAGE * PAGE;

	if (pread(s->file, room, pages, (off_t)batch->at) != (ssize_t)pages)
		return false;
	for (uint64_t i = 0; i < batch->bytes;) {
		uint64_t place = (batch->stream + i) % block, count = batch->bytes - i;
		count = count < block - place ? count : block - place;
		if (memcmp(room + i, (char *)s->block + place, count))
			return false;
		i += count;
	}
	return true;
}

/* The newest batches, backwards, as far as none was written over. Returns how many bytes are right; 0: one is
 * not. */
static uint64_t file_check(const struct sink *s)
{
	uint64_t bytes = 0, limit = s->o.file_bytes / 2 < CHECK_BYTES ? s->o.file_bytes / 2 : CHECK_BYTES;
	uint8_t *room = aligned_alloc(PAGE, s->o.batch_bytes);
	bool good = room != NULL;

	for (uint64_t i = s->batches; good && i > 0 && s->batches - i < SEALED_MAX && bytes < limit; i--) {
		const struct sealed *batch = &s->sealed[(i - 1) % SEALED_MAX];
		good = batch_equal(s, batch, room);
		bytes += batch->bytes;
	}
	free(room);
	return good ? bytes : 0;
}

static int report(const struct sink *s, int64_t ns, int64_t cpu_ns)
{
	uint64_t checked = file_check(s);
	bool good = !s->wrong && checked && s->durable == s->o.events * FRAME_HEADER_BYTES &&
		    memcmp(s->counts, s->expected, sizeof s->counts) == 0;

	printf("{\"rate\": %.0f, \"events\": %llu, \"seconds\": %.6f, \"batches\": %llu, \"recvs\": %llu, "
	       "\"checked_bytes\": %llu, "
	       "\"receiver_ns\": %lld, \"from\": %lld, \"to\": %lld}\n",
	       (double)s->o.events * 1e9 / (double)ns, (unsigned long long)s->o.events, (double)ns / 1e9,
	       (unsigned long long)s->batches, (unsigned long long)s->recvs, (unsigned long long)checked,
	       (long long)cpu_ns, (long long)s->started, (long long)(s->started + ns));
	if (!good)
		fprintf(stderr,
			"sink: a wrong answer: %llu problems, durable %llu of %llu bytes, checked %llu\n",
			(unsigned long long)s->wrong, (unsigned long long)s->durable,
			(unsigned long long)(s->o.events * FRAME_HEADER_BYTES), (unsigned long long)checked);
	return good ? 0 : 1;
}

static int run(struct sink *s)
{
	struct bank20 *b = bank20_new(s->o.customers);
	pthread_t sender;
	int rc;

	s->block = aligned_alloc(PAGE, BLOCK_FRAMES * sizeof *s->block);
	s->filling = UINT32_MAX;
	if (!b || !s->block)
		return 1;
	block_make(s, b);
	bank20_free(b);
	rc = file_open(s);
	rc = rc ? rc : listen_open(s);
	rc = rc ? rc : ring_open(s);
	if (rc) {
		fprintf(stderr, "sink: %s\n", strerror(-rc));
		return 1;
	}
	if (pthread_create(&sender, NULL, sender_run, s))
		return 1;
	s->fd = accept(s->listener, NULL, NULL);
	pace_pin(s->o.cpu);
	int64_t cpu = pace_clock(CLOCK_THREAD_CPUTIME_ID);
	stream_take(s);
	int64_t end = pace_now();
	cpu = pace_clock(CLOCK_THREAD_CPUTIME_ID) - cpu;
	close(s->fd);
	pthread_join(sender, NULL);
	rc = report(s, end - s->started, cpu);
	io_uring_queue_exit(&s->ring);
	for (int i = 0; i < BUFFERS; i++)
		free(s->buffer[i].bytes);
	free(s->block);
	return rc;
}

static const struct option options_table[] = {
	{ "file", required_argument, NULL, 'f' },
	{ "events", required_argument, NULL, 'e' },
	{ "file-mib", required_argument, NULL, 'm' },
	{ "batch-kib", required_argument, NULL, 'b' },
	{ "seal-kib", required_argument, NULL, 's' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "sender-cpu", required_argument, NULL, 'S' },
	{ "worker-cpu", required_argument, NULL, 'W' },
	{ NULL, 0, NULL, 0 },
};

static bool options_take(struct options *o, int argc, char **argv)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "", options_table, NULL)) != -1) {
		uint64_t n = letter == 'f' || letter == '?' ? 0 : strtoull(optarg, NULL, 10);
		if (letter == 'f')
			o->file = optarg;
		else if (letter == 'e')
			o->events = n;
		else if (letter == 'm')
			o->file_bytes = n << 20;
		else if (letter == 'b')
			o->batch_bytes = n << 10;
		else if (letter == 's')
			o->seal_bytes = n << 10;
		else if (letter == 'C')
			o->cpu = (int)n;
		else if (letter == 'S')
			o->sender_cpu = (int)n;
		else if (letter == 'W')
			o->worker_cpu = (int)n;
		else
			return false;
	}
	return optind == argc && o->file && o->events && o->batch_bytes >= PAGE &&
	       o->batch_bytes % PAGE == 0 && o->seal_bytes <= o->batch_bytes &&
	       o->file_bytes >= 4 * o->batch_bytes;
}

int main(int argc, char **argv)
{
	struct sink *s = calloc(1, sizeof *s);

	if (!s)
		return 1;
	s->o = (struct options){ .events = 50000000,
				 .file_bytes = 1ull << 30,
				 .batch_bytes = 4 << 20,
				 .seal_bytes = 1 << 20,
				 .customers = 100000,
				 .cpu = -1,
				 .sender_cpu = -1,
				 .worker_cpu = -1 };
	if (!options_take(&s->o, argc, argv)) {
		fprintf(stderr, "usage: sink --file FILE [--events N] [--file-mib N] [--batch-kib N] "
				"[--seal-kib N] [--cpu N] "
				"[--sender-cpu N] [--worker-cpu N]\n");
		return 2;
	}
	int rc = run(s);
	unlink(s->o.file);
	free(s);
	return rc;
}
