/*
 * resend: what a source has made and the engine has not yet acknowledged: bytes in a ring, a slot a frame.
 *
 * A frame's life: 1. encoded at resend_room, 2. resend_add gives it the next sequence, 3. resend_allow lets
 * it into the window, 4. resend_pending and resend_sent put it on the wire, 5. resend_acknowledge forgets it.
 * A new connection (resend_restart) goes back to 3 for all that is not forgotten. acked <= allowed <= made.
 */
#ifndef CLI_RESEND_H
#define CLI_RESEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resend_slot {
	uint64_t end;	  /* position behind the frame */
	int64_t intended; /* when it should have been sent, monotonic ns */
};

struct resend {
	uint8_t *ring;
	struct resend_slot *slot;
	uint64_t acked, allowed, made; /* sequences */
	uint64_t at_acked, at_sent, at_allowed,
		at_made;   /* positions in bytes; at_sent may be inside a frame */
	uint64_t known;	   /* the engine has everything below this: not sent again, kept until acknowledged */
	uint64_t ack_seen; /* the highest one heard */
	uint64_t flight;   /* bytes from acked to allowed, a frame rounded up to 64 */
	uint64_t window_events, window_bytes;
	uint64_t again; /* frames that were sent whole and are sent once more */
};

int resend_init(struct resend *r, uint64_t acked); /* numbering goes on behind `acked`; 0 or -ENOMEM */
void resend_deinit(struct resend *r);
/* Where the next frame may be encoded, FRAME_BYTES_MAX; NULL when the ring or the slots are full. */
uint8_t *resend_room(struct resend *r);
void resend_add(struct resend *r, size_t bytes, int64_t intended);
/* Lets frames into the window as far as it goes; true when all that was made is in it. */
bool resend_allow(struct resend *r);
/* The next bytes for the wire, in one piece; 0 when there are none. */
size_t resend_pending(const struct resend *r, const uint8_t **bytes);
void resend_sent(struct resend *r, size_t bytes);
/* When a frame that is not forgotten should have been sent; 0 when it is. */
int64_t resend_intended(const struct resend *r, uint64_t sequence);
/* False when it was never sent: the engine's mistake. Frames that are made later are forgotten at once. */
bool resend_acknowledge(struct resend *r, uint64_t sequence);
/* Frames that can be forgotten: from acked + 1 to this. */
uint64_t resend_forgettable(const struct resend *r);
void resend_forget(struct resend *r, uint64_t through);
/* A new connection whose WELCOME says `next`; false when we no longer have it. */
bool resend_restart(struct resend *r, uint64_t next, uint64_t window_events, uint64_t window_bytes);

#endif
