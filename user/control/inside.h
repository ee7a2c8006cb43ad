/*
 * inside: struct control, for control.c and its test.
 */
#ifndef CONTROL_INSIDE_H
#define CONTROL_INSIDE_H

#include "control.h"
#include "http.h"

struct control {
	struct control_mail mail;
	struct control_http http;
	pthread_mutex_t reload_turn;
	pthread_t thread; /* waits for control_reload */
	int reload_fd;	  /* eventfd: reloads asked for */
	_Atomic bool stop;
};

#endif
