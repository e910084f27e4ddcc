/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front end of vhost-user: a virtio device whose requests another process of this host does, the back
 * end, on guest memory that it shares.
 * Source: the vhost-user protocol (QEMU's docs/interop/vhost-user).
 *
 * All messages are exchanged while the machine is set up, in bounded time. Afterwards there are only pipes
 * ("kick" to the back end, "call" from it) and rings (vhost_ring.h), so that nothing waits for the back end:
 * one that is silent keeps its requests and nothing else; one that hangs up or breaks a rule is left for good.
 *
 * Kick and call are pipes and not eventfds: the back end could take O_NONBLOCK off an eventfd that both have,
 * and keep us waiting in it. The ends of a pipe are apart.
 * Threads: with the VM lock held; setting up and the end without threads.
 */
#ifndef LODGE_DEVICES_VIRTIO_VHOST_USER_H
#define LODGE_DEVICES_VIRTIO_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtqueue.h"
#include "io/loop.h"

#define VHOST_QUEUES_MAX 64u

struct vhost_user;

/* What the device hears. `done` and `lost` take the chain. */
struct vhost_user_ops {
	/* The back end is done with a chain of queue q; it says that it wrote `len` bytes. */
	void (*done)(void *opaque, unsigned q, struct vq_chain *c, uint32_t len);
	/* The back end is gone and was not done with it. */
	void (*lost)(void *opaque, unsigned q, struct vq_chain *c);
	/* Behind some of those: tell the driver of queue q. */
	void (*settled)(void *opaque, unsigned q);
};

struct vhost_user_config {
	int fd; /* connected Unix stream socket, non-blocking; taken, also when there is an error */
	const char *name; /* for sentences; copied */
	struct mem *mem;  /* borrowed */
	struct io_loop *loop;
	unsigned queues;     /* 1 to VHOST_QUEUES_MAX */
	uint16_t queue_size; /* a power of two up to VQ_SIZE_MAX */
	unsigned start_ms;   /* how long setting up may take; 0: 10 s */
	/*
	 * At the end: how long it may take to let go of its pipes, so that to it they do not end before the connection
	 * (virtiofsd would complain). 0: it is not waited for.
	 */
	unsigned end_ms;
	const struct vhost_user_ops *ops;
	void *opaque;
};

/* Agree with the back end, share memory, start its queues. NULL and a sentence. */
struct vhost_user *vhost_user_new(const struct vhost_user_config *cfg, struct lodge_err *err);
/* Hang up; chains that are out are freed, nobody is told. NULL is allowed. */
void vhost_user_free(struct vhost_user *u);

bool vhost_user_alive(const struct vhost_user *u);
/* Chains the back end has, of all queues. */
unsigned vhost_user_out(const struct vhost_user *u);
/* Give it one. It is alive, and no chain with that head is out in that queue. */
void vhost_user_put(struct vhost_user *u, unsigned q, struct vq_chain *c);
/* Once after some of those. Never waits. */
void vhost_user_kick(struct vhost_user *u, unsigned q);
/*
 * Wait until no chain is out, `ms` at most: for the machine's reset, while no vCPU runs. ops are called. A
 * back end that keeps its chains longer is given up.
 */
void vhost_user_drain(struct vhost_user *u, unsigned ms);
/* Leave the back end: ops->lost for each chain, then ops->settled for each queue. Once, the person is told why. */
void vhost_user_give_up(struct vhost_user *u, const char *why);

#endif
