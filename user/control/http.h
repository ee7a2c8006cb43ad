/*
 * http: the admin port. libmicrohttpd with a thread a connection, so that a slow reload holds up nobody else.
 */
#ifndef CONTROL_HTTP_H
#define CONTROL_HTTP_H

#include "reload.h"

struct MHD_Daemon;

struct control_http {
	struct MHD_Daemon *daemon; /* NULL: off */
	uint16_t port;
	struct control_mail *mail;
	pthread_mutex_t *reload_turn;
};

/* `admin`: "ADDRESS:PORT", IPv4, loopback unless insecure. 0 or -errno with why. mail and reload_turn are
 * set. */
__attribute__((warn_unused_result)) int control_http_start(struct control_http *h, const char *admin,
							   bool insecure, char *why, size_t why_bytes);
/* Waits for requests that are being answered. */
void control_http_stop(struct control_http *h);

/* One request without the network: what the server answers to it. */
void control_http_answer(struct control_http *h, const char *method, const char *path,
			 struct control_reply *reply, const char **allow);

#endif
