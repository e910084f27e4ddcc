/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network between a card and its back end: one wire, two ends. Frames are Ethernet, without
 * preamble and FCS, as long as the sender says (short ones are the receiver's to pad).
 *
 * An end that gets a frame takes it or refuses it: then the sender keeps it (or drops it) and sends nothing
 * until net_ready() is called by the end that refused. So no queue grows without bound.
 *
 * Threads: with the VM lock held. Back ends call from the io thread.
 */
#ifndef LODGE_NET_NET_H
#define LODGE_NET_NET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "io/loop.h"

#define NET_FRAME_MAX 65562u /* 64 KiB of IP, Ethernet header, VLAN tags */

/*
 * What is still to be done for a frame: the fields and values of struct virtio_net_hdr (virtio 1.2
 * §5.1.6). NULL where an end is given one: nothing.
 */
struct net_offload {
	uint8_t flags;	  /* NET_NEEDS_CSUM, NET_DATA_VALID */
	uint8_t gso_type; /* NET_GSO_* */
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
#define NET_NEEDS_CSUM 1u
#define NET_DATA_VALID 2u
enum {
	NET_GSO_NONE = 0,
	NET_GSO_TCPV4 = 1,
	NET_GSO_UDP = 3,
	NET_GSO_TCPV6 = 4,
	NET_GSO_ECN = 0x80
};

/* What an end can take in frames that come to it. */
#define NET_CAN_CSUM 1u /* a checksum not yet computed */
#define NET_CAN_TSO4 2u
#define NET_CAN_TSO6 4u
#define NET_CAN_ECN 8u

struct net_end;

struct net_end_ops {
	/* A frame has come. False: not now (net_ready() will say when). */
	bool (*receive)(void *opaque, const struct iovec *iov, unsigned n,
			const struct net_offload *off);
	/* The other end takes frames again, or there is another end now. May be NULL. */
	void (*ready)(void *opaque);
	/* The other end's link went up or down. May be NULL. */
	void (*link)(void *opaque, bool up);
	/* One of several wires between the same two: it is used from now on, or not. May be NULL. */
	void (*use)(void *opaque, bool on);
};

struct net_end {
	const struct net_end_ops *ops;
	void *opaque;
	struct net_end *peer; /* NULL: the cable is unplugged */
	unsigned can;	      /* NET_CAN_* of what it receives */
	bool full;	      /* it refused the last frame */
	bool link_down;	      /* set by whoever owns it; frames of both ways are lost then */
	uint64_t tx_frames, tx_bytes, tx_dropped; /* what this end has sent */
	struct net_work *work; /* private to net.c: a frame that is being cut up */
};

void net_end_init(struct net_end *e, const struct net_end_ops *ops, void *opaque, unsigned can);
void net_connect(struct net_end *a, struct net_end *b);
void net_disconnect(struct net_end *e);
/*
 * Send to the other end. What that one cannot do (`can`) is done here: checksums, segmentation. True:
 * it is gone (or lost, as with no peer); false: refused, send it again after ready().
 */
bool net_send(struct net_end *e, const struct iovec *iov, unsigned n,
	      const struct net_offload *off);
/* This end can take frames again after it refused one. */
void net_ready(struct net_end *e);
void net_set_link(struct net_end *e, bool up);
/* Tell the other end that this wire is used, or not: a card with several pairs of queues has one for each. */
void net_use(struct net_end *e, bool on);

/* ---- Back ends ------------------------------------------------------------------------------ */

struct props;
struct net_backend; /* an end with a life of its own */

struct net_host {
	struct io_loop *loop;
	void *opaque;
	/*
	 * For back ends that come while the machine runs: who starts processes for it (net/starter.h; fd + 1, 0: it does
	 * itself), and the VM lock, which is not held: it is taken where it has to be (NULL: it is held, or nothing runs).
	 */
	int starter;
	pthread_mutex_t *lock;
};

/*
 * `-netdev TYPE,id=...`: user, tap, socket, stream, dgram, passt. NULL and a sentence on failure;
 * every setting is understood or refused.
 */
struct net_backend *net_backend_open(struct props *p, const struct net_host *host,
				     struct lodge_err *err);
void net_backend_close(struct net_backend *nb); /* NULL is allowed */
/*
 * The guest has it no more. True: close it, now. False: something of it still ends by itself, on the io thread, and
 * net_backend_retire() says true later.
 */
bool net_backend_retire(struct net_backend *nb);
const char *net_backend_id(const struct net_backend *nb);
struct net_end *net_backend_end(struct net_backend *nb);
/* A back end with several queues has an end for each; the first is net_backend_end(). */
unsigned net_backend_queues(const struct net_backend *nb);
struct net_end *net_backend_queue(struct net_backend *nb, unsigned n);
/* "[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport" and the part before '-'. user only. */
int net_backend_hostfwd(struct net_backend *nb, bool add, const char *rule,
			struct lodge_err *err) MUST_CHECK;
/*
 * The same in two halves, so that nobody waits with the VM lock held: the first returns a descriptor, which is
 * readable when there is an answer, NET_HOSTFWD_MS later at most; the second closes it. One at a time.
 */
#define NET_HOSTFWD_MS 2000
int net_backend_hostfwd_ask(struct net_backend *nb, bool add, const char *rule,
			    struct lodge_err *err) MUST_CHECK;
int net_backend_hostfwd_answer(struct net_backend *nb, int fd, bool add, const char *rule,
			       struct lodge_err *err) MUST_CHECK;
bool net_backend_has_hostfwd(const struct net_backend *nb);
/* The rules there are, one a line: "tcp:127.0.0.1:2222-10.0.2.15:22". Cut where `out` ends. */
void net_backend_hostfwds(struct net_backend *nb, char *out, size_t size);
const char *net_backend_type(const struct net_backend *nb);

#endif
