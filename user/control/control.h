/*
 * control: the other thread: admin HTTP, metrics, reload of the catalogue. It talks to the engine thread
 * through struct engine_mail only (live.h), never touches its state, and may allocate and wait.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <live.h>

struct control;

/*
 * Starts the thread and, when `admin` is not NULL ("127.0.0.1:7480", port 0: any), the HTTP server:
 *   GET  /status    JSON: everything that comes in and where it ends; the equations and whether they hold
 *   GET  /metrics   the same for Prometheus, text format 0.0.4
 *   GET  /health    200 "ok" once the engine answers
 *   POST /reload    compiles the catalogue directory aside, then activates it between two ticks; 200, or 409
 * with all problems POST /checkpoint 0 or -errno with why.
 */
__attribute__((warn_unused_result)) int control_start(struct control **out, struct engine *e,
						      const char *admin, bool insecure, char *why,
						      size_t why_bytes);
/* After engine_run has returned and no signal handler can call control_reload any more; NULL is allowed. */
void control_stop(struct control *c);
uint16_t control_port(const struct control *c); /* 0: no admin port */
/* Any thread, signal handlers too: compile and activate the catalogue directory (SIGHUP). */
void control_reload(struct control *c);

#endif
