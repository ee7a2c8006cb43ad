/*
 * loss.bpf.c: an XDP program for test_kernel_tcp.py that loses a fifth of the packets which an interface
 * gets, since this kernel has no netem. In: each packet; out: dropped or passed on unchanged. No memory.
 *
 * A SYN is let through: were it lost, TCP would wait seconds, and again at each later loss, for a round trip
 * that it never measured.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Of Ethernet, IPv4 and TCP without options: where TCP's flags are. */
enum { FLAGS_AT = 14 + 20 + 13, SYN = 2, LOST_PERCENT = 20 };

SEC("xdp")
int loss(struct xdp_md *packet)
{
	const unsigned char *data = (void *)(long)packet->data, *end = (void *)(long)packet->data_end;

	if (data + FLAGS_AT + 1 <= end && data[FLAGS_AT] & SYN)
		return XDP_PASS;
	return bpf_get_prandom_u32() % 100 < LOST_PERCENT ? XDP_DROP : XDP_PASS;
}
