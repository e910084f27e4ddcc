/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments of one TCP connection that come one behind the other, as the one long frame they were cut from:
 * for the way between two processes and for an end that takes such frames, where each frame costs far more than its
 * bytes. The long frame is put together where it lies, in one piece.
 * Source: virtio 1.2 §5.1.6.4.1 (what such a frame looks like), RFC 9293, 791, 8200. Threads: no shared state.
 */
#ifndef LODGE_NET_GRO_H
#define LODGE_NET_GRO_H

#include "net/offload.h"

/* A frame that may grow. */
struct net_gro {
	size_t l4, hdr; /* where TCP begins, where data begins */
	size_t len, mss;
	unsigned n; /* segments in it; 0: it cannot grow */
	bool last;  /* nothing comes behind this */
};

/*
 * Begin with a frame. Whatever it is: one that nothing can go on from has g->n = 0. Its checksums are
 * taken to be right.
 */
void net_gro_begin(struct net_gro *g, const uint8_t *frame, size_t len);
/*
 * Where in `next` the data begins that goes on from `frame` (which was begun), or 0. The caller puts it
 * behind frame[g->len], for which there is room, and calls net_gro_added().
 */
size_t net_gro_goes_on(const struct net_gro *g, const uint8_t *frame, const uint8_t *next,
		       size_t len);
void net_gro_added(struct net_gro *g, uint8_t *frame, const uint8_t *next, size_t data);
/* All are in: with more than one, the headers are made right. What is to be said of the frame in *off. */
void net_gro_finish(const struct net_gro *g, uint8_t *frame, struct net_offload *off);
/*
 * What is to be said of a long frame that somebody else has put together, for segments of `mss`. -EINVAL if
 * it is not that. Only headers are looked at.
 */
int net_gro_describe(const uint8_t *frame, size_t len, size_t mss,
		     struct net_offload *off) MUST_CHECK;

#endif
