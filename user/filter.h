/*
 * filter: the pre-filter's part of the engine's life: opened before anything else, fed with enrolment and
 * with a table when the catalogue is in force, changed step by step by a reload, slept by.
 *
 * Engine thread only.
 */
#ifndef FILTER_H
#define FILTER_H

#include <catalogue/catalogue.h>
#include <moment/limits.h>
#include <prefilter/prefilter.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;

/* A reload while the kernel filters. Between two steps the engine goes on; docs/prefilter.md says why each.
 */
enum reload_step {
	RELOAD_NONE,
	RELOAD_WIDENED,	 /* the kernel has the union: waits until no run under the old table is left */
	RELOAD_SETTLING, /* waits for frames that the old table decided and that are not whole yet */
	RELOAD_SETTLED,	 /* waits until the runs that ended them have ended */
	RELOAD_DRAINING, /* takes what the rings held by then */
	RELOAD_READY,	 /* the activation may be journalled; then the kernel gets the new table alone */
};

struct engine_filter {
	struct prefilter *kernel; /* NULL: user space, or off */
	struct enrolment own, *enrolment;
	enum reload_step step;
	const struct catalogue *reload; /* that the steps are for */
	uint64_t grace;			/* that the step waits for */
	int64_t since_ns;		/* monotonic: of the step */
	uint32_t generation_min;	/* below it nothing may be taken from a ring any more */
	struct {
		uint32_t generation; /* of the connection */
		uint64_t head;	     /* to be reached */
	} drain[CONNECTIONS_MAX];
	struct interest_table *wide;
	uint64_t cut; /* connections that a reload did not wait for */
	bool bell_armed;
	char why[256]; /* why the kernel does not filter; "" = it does, or was not asked to */
};

/* Before the store is opened and threads exist: loads the program if it is to be, drops privileges. 0 or
 * -errno with e->why. */
__attribute__((warn_unused_result)) int filter_open(struct engine *e);
/* The catalogue is in force, nobody is connected: enrolment from the store, the table to the kernel. */
__attribute__((warn_unused_result)) int filter_start(struct engine *e);
void filter_close(struct engine *e);

/* May the catalogue that waits be activated now? */
bool filter_reload_ready(const struct engine *e);
/* One look at the reload, if there is one. Once a turn of the loop. */
void filter_reload_step(struct engine *e, int64_t mono);

/* Before waiting: from here on the program rings. True when there is something to do after all. */
bool filter_sleep(struct engine *e);
void filter_wake(struct engine *e);
/* The doorbell, armed with the ring; its completion. */
void filter_bell_arm(struct engine *e);
void filter_bell_take(struct engine *e, bool more);

#endif
