/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What network hardware does to frames: Internet checksums, and cutting a long TCP frame into
 * segments.
 * Source: RFC 1071 (checksum), RFC 791 and 8200 (IP), RFC 9293 (TCP), virtio 1.2 §5.1.6.2.
 * Threads: no shared state.
 */
#ifndef LODGE_NET_OFFLOAD_H
#define LODGE_NET_OFFLOAD_H

#include <stddef.h>

#include "net/net.h"

#define NET_ETH_BYTES 14u
#define NET_VLAN_BYTES 4u
#define NET_ETHERTYPE_IPV4 0x0800u
#define NET_ETHERTYPE_IPV6 0x86ddu
#define NET_ETHERTYPE_VLAN 0x8100u
#define NET_ETHERTYPE_QINQ 0x88a8u
#define NET_IPPROTO_TCP 6u
#define NET_IPPROTO_UDP 17u
/* A frame for segments smaller than this is no sane sender's, and would cost thousands of frames. */
#define NET_GSO_LEAST 48u

/* The 16-bit ones' complement sum of `len` bytes, added to `sum`; not folded over to its complement. */
uint32_t net_sum(const uint8_t *p, size_t len, uint32_t sum);
/* The checksum field for such a sum. */
uint16_t net_sum_fold(uint32_t sum);
/*
 * Compute the checksum that `off` asks for, if it does. -EINVAL if its offsets leave the frame; it
 * is unchanged then.
 */
int net_finish_csum(uint8_t *frame, size_t len, const struct net_offload *off) MUST_CHECK;

/* A long TCP frame to be cut up. */
struct net_segments {
	size_t l3, l4, hdr; /* where IP begins, where TCP begins, where data begins */
	bool v6;
	size_t at, mss; /* next byte of data, data bytes a segment */
	unsigned n;	/* segments made */
};

/* Look at the headers. -EINVAL if this is not a TCP frame that can be cut as `off` says. */
int net_segments_begin(struct net_segments *s, const uint8_t *frame, size_t len,
		       const struct net_offload *off) MUST_CHECK;
/*
 * The next segment into `out` (of NET_FRAME_MAX bytes), all checksums computed. Its length, or 0 after
 * the last.
 */
size_t net_segments_next(struct net_segments *s, const uint8_t *frame, size_t len, uint8_t *out);

/* What net_check_frame finds. */
#define NET_IP_LOOKED_AT 1u
#define NET_IP_RIGHT 2u
#define NET_L4_LOOKED_AT 4u
#define NET_L4_RIGHT 8u
/* Check the checksums of IP (whose header is at `l3`, behind its EtherType), TCP and UDP. */
unsigned net_check_frame(const uint8_t *frame, size_t len, size_t l3);

/* All pieces in one; at most `cap` bytes. The length, or 0 if it does not fit. */
size_t net_gather(const struct iovec *iov, unsigned n, uint8_t *buf, size_t cap);
size_t net_iov_bytes(const struct iovec *iov, unsigned n);

#endif
