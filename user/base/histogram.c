/*
 * histogram.c: the bucket is the position of the highest bit and the six bits behind it.
 */
#include "histogram.h"

static uint32_t bucket_of(uint64_t ns)
{
	if (ns < HISTOGRAM_STEPS)
		return (uint32_t)ns;
	uint32_t shift = (uint32_t)(63 - __builtin_clzll(ns)) - 6;
	return shift * HISTOGRAM_STEPS + (uint32_t)(ns >> shift);
}

static int64_t bucket_end(uint32_t bucket)
{
	if (bucket < 2 * HISTOGRAM_STEPS)
		return bucket;
	uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
	return (int64_t)(((UINT64_C(1) + HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << shift) - 1);
}

void histogram_add(struct histogram *h, int64_t ns)
{
	uint64_t value = ns > 0 ? (uint64_t)ns : 0;

	h->bucket[bucket_of(value)]++;
	h->count++;
	h->sum_ns += value;
	if ((int64_t)value > h->max_ns)
		h->max_ns = (int64_t)value;
}

int64_t histogram_percentile(const struct histogram *h, double part)
{
	uint64_t want = (uint64_t)(part * (double)h->count), below = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += h->bucket[i];
		if (below > want || (below == h->count && below))
			return bucket_end(i) < h->max_ns ? bucket_end(i) : h->max_ns;
	}
	return 0;
}
