// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wire: hands frames from one end to the other, and does in software what the receiver cannot.
 *
 * A frame that is cut up may be refused in the middle: the rest then waits here (one frame an end, at most
 * NET_FRAME_MAX bytes), goes before anything else, and the sender is told to wait.
 * Threads: with the VM lock held.
 */
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/offload.h"

/* A frame being worked on, of the sender's end. */
struct net_work {
	uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];
	struct net_segments seg;
	size_t len, out_len; /* out_len: a segment that was refused, 0 for none */
	bool busy;	     /* segments are left */
};

void net_end_init(struct net_end *e, const struct net_end_ops *ops, void *opaque, unsigned can)
{
	*e = (struct net_end){.ops = ops, .opaque = opaque, .can = can};
}

void net_connect(struct net_end *a, struct net_end *b)
{
	net_disconnect(a);
	net_disconnect(b);
	a->peer = b;
	b->peer = a;
	a->full = b->full = false;
	if (a->ops->link)
		a->ops->link(a->opaque, !b->link_down);
	if (b->ops->link)
		b->ops->link(b->opaque, !a->link_down);
}

static void drop_work(struct net_end *e)
{
	free(e->work);
	e->work = NULL;
}

void net_disconnect(struct net_end *e)
{
	struct net_end *peer = e->peer;

	drop_work(e);
	if (!peer)
		return;
	drop_work(peer);
	e->peer = peer->peer = NULL;
	e->full = peer->full = false;
	if (peer->ops->link)
		peer->ops->link(peer->opaque, false);
	/* Whoever waited sends into the void from now on. */
	if (peer->ops->ready)
		peer->ops->ready(peer->opaque);
}

static bool deliver(struct net_end *e, const struct iovec *iov, unsigned n,
		    const struct net_offload *off)
{
	struct net_end *to = e->peer;

	if (!to->ops->receive(to->opaque, iov, n, off)) {
		to->full = true;
		return false;
	}
	e->tx_frames++;
	e->tx_bytes += net_iov_bytes(iov, n);
	return true;
}

/* Send what is left of a frame that is cut up. False: refused again. */
static bool flush_work(struct net_end *e)
{
	struct net_work *w = e->work;

	while (w && w->busy && e->peer && !e->peer->full) {
		struct iovec iov = {w->out, w->out_len};

		if (!iov.iov_len)
			iov.iov_len = net_segments_next(&w->seg, w->frame, w->len, w->out);
		if (!iov.iov_len) {
			w->busy = false;
			break;
		}
		w->out_len = iov.iov_len;
		if (!deliver(e, &iov, 1, NULL))
			return false;
		/* The receiver may have pulled the cable. */
		w = e->work;
		if (w)
			w->out_len = 0;
	}
	return !w || !w->busy;
}

static bool lost(struct net_end *e)
{
	e->tx_dropped++;
	return true;
}

static bool needs_segments(unsigned can, const struct net_offload *off)
{
	switch (off->gso_type & ~NET_GSO_ECN) {
	case NET_GSO_NONE:
		return false;
	case NET_GSO_TCPV4:
		return !(can & NET_CAN_TSO4) ||
		       ((off->gso_type & NET_GSO_ECN) && !(can & NET_CAN_ECN));
	case NET_GSO_TCPV6:
		return !(can & NET_CAN_TSO6) ||
		       ((off->gso_type & NET_GSO_ECN) && !(can & NET_CAN_ECN));
	default:
		return true; /* which net_segments_begin refuses */
	}
}

/* The receiver cannot do all that `off` asks for. */
static bool send_by_software(struct net_end *e, const struct iovec *iov, unsigned n,
			     const struct net_offload *off, bool cut)
{
	struct net_work *w = e->work;
	struct iovec whole;

	if (!w) {
		w = malloc(sizeof(*w));
		if (!w)
			return lost(e);
		e->work = w;
	}
	w->busy = false;
	w->out_len = 0;
	w->len = net_gather(iov, n, w->frame, sizeof(w->frame));
	if (!w->len)
		return lost(e);
	if (cut) {
		if (net_segments_begin(&w->seg, w->frame, w->len, off))
			return lost(e);
		w->busy = true;
		/* Taken, whatever becomes of the segments. */
		flush_work(e);
		return true;
	}
	if (net_finish_csum(w->frame, w->len, off))
		return lost(e);
	whole = (struct iovec){w->frame, w->len};
	return deliver(e, &whole, 1, NULL);
}

bool net_send(struct net_end *e, const struct iovec *iov, unsigned n, const struct net_offload *off)
{
	struct net_end *to = e->peer;

	if (!to || e->link_down || to->link_down)
		return lost(e);
	if (to->full || !flush_work(e))
		return false;
	if (!e->peer)
		return lost(e);
	if (!off || (!(off->flags & NET_NEEDS_CSUM) && off->gso_type == NET_GSO_NONE))
		return deliver(e, iov, n, off && (to->can & NET_CAN_CSUM) ? off : NULL);
	if (needs_segments(to->can, off))
		return send_by_software(e, iov, n, off, true);
	if (!(to->can & NET_CAN_CSUM) && (off->flags & NET_NEEDS_CSUM))
		return send_by_software(e, iov, n, off, false);
	return deliver(e, iov, n, off);
}

void net_ready(struct net_end *e)
{
	struct net_end *from = e->peer;

	if (!from || !e->full)
		return;
	e->full = false;
	if (!flush_work(from))
		return;
	from = e->peer;
	if (from && from->ops->ready)
		from->ops->ready(from->opaque);
}

void net_set_link(struct net_end *e, bool up)
{
	struct net_end *peer = e->peer;

	if (e->link_down == !up)
		return;
	e->link_down = !up;
	if (!peer)
		return;
	drop_work(e);
	drop_work(peer);
	if (peer->ops->link)
		peer->ops->link(peer->opaque, up);
	/* What was refused before is lost now, and nobody waits for it. */
	if (!up) {
		e->full = peer->full = false;
		if (peer->ops->ready)
			peer->ops->ready(peer->opaque);
		if (e->ops->ready)
			e->ops->ready(e->opaque);
	}
}

void net_use(struct net_end *e, bool on)
{
	struct net_end *peer = e->peer;

	if (peer && peer->ops->use)
		peer->ops->use(peer->opaque, on);
}
