/*
 * histogram: latencies in buckets of 1/64 of a power of two, 0 to 2^63 ns; percentiles to about 1.6 %. Fixed
 * memory, no allocation; one writer.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 60 * HISTOGRAM_STEPS };

struct histogram {
	uint64_t bucket[HISTOGRAM_BUCKETS];
	uint64_t count, sum_ns;
	int64_t max_ns;
};

void histogram_add(struct histogram *h, int64_t ns);
/* The value below which `part` (0 to 1) of the values lie, as its bucket's upper edge; 0 when there is none.
 */
int64_t histogram_percentile(const struct histogram *h, double part);

#endif
