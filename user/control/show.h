/*
 * show: what the engine says about itself, written for a script and for Prometheus. Counters and names of the
 * catalogue and of peers; never a customer's data.
 */
#ifndef CONTROL_SHOW_H
#define CONTROL_SHOW_H

#include <live.h>

/*
 * Both give text from malloc with its bytes, or NULL without memory. `in_force` gives names to type codes;
 * NULL: no catalogue. `wall_ns` is the time of asking.
 */
__attribute__((warn_unused_result)) char *control_status_text(const struct engine_status *s,
							      const struct catalogue *in_force,
							      int64_t wall_ns, size_t *bytes);
__attribute__((warn_unused_result)) char *
control_metrics_text(const struct engine_status *s, const struct catalogue *in_force, size_t *bytes);

#endif
