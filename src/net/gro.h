/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments of one TCP connection that come one behind the other, as the one long frame they were cut from:
 * for an end that takes such frames, where each frame costs a guest far more than its bytes.
 * Source: virtio 1.2 §5.1.6.4.1 (what such a frame looks like), RFC 9293. Threads: no shared state.
 */
#ifndef LODGE_NET_GRO_H
#define LODGE_NET_GRO_H

#include "net/offload.h"

#define NET_GRO_FRAMES 64u
#define NET_GRO_HDR_MAX (NET_ETH_BYTES + 20u + 60u)

struct net_gro {
	uint8_t hdr[NET_GRO_HDR_MAX];
	struct iovec iov[NET_GRO_FRAMES + 1]; /* hdr, then the data of each, in place */
	unsigned n;			      /* frames */
	size_t hdr_len, data, mss;
	bool last; /* nothing comes behind this */
	struct net_offload off;
};

static inline void net_gro_begin(struct net_gro *g)
{
	g->n = 0;
}
/* Take a frame, the first or one that goes on from the last: false if it does not. Borrowed until sent. */
bool net_gro_add(struct net_gro *g, const uint8_t *frame, size_t len);
/* Two or more were taken: the header, g->off and g->iov (n + 1 pieces) are made right. */
void net_gro_finish(struct net_gro *g);

#endif
