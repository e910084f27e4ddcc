/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring between a device and its vhost-user back end: a split virtqueue of our own, of which we are the
 * driver. Chains of the guest's queue are put into it and come back out of it; the back end never sees
 * the guest's rings. Why: docs/adr/0015-vhost-user-rings.md.
 * Source: virtio 1.2 §2.7.
 *
 * The back end is hostile and writes where and when it likes, into the ring and into guest memory:
 *
 *  R1  Of the ring's memory only the used index and one used entry at a time are read, once, and checked.
 *  R2  A chain comes back once, and only one that is out; the used index never runs ahead of what is out.
 *  R3  A violation is an error: the caller ends the back end.
 *  R4  All writable bytes of a chain that comes back count as written (mem_wrote), whatever length the back
 *      end gives, and before the guest can see that the chain is used.
 *
 * The back end's addresses are not ours: guest memory is at VHOST_GUEST_BASE by its place in the backing,
 * ring memory at VHOST_RING_BASE. So it learns nothing of our address space.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VHOST_RING_H
#define LODGE_DEVICES_VIRTIO_VHOST_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtqueue.h"

#define VHOST_GUEST_BASE 0ull
#define VHOST_RING_BASE (1ull << 44)

struct vhost_ring {
	struct mem *mem;
	uint16_t size;
	uint8_t *base;	  /* of its memory; all offsets from here */
	uint64_t address; /* the same place for the back end */
	uint32_t avail_at, used_at, tables_at;
	uint16_t avail_idx, last_used;
	unsigned out; /* chains the back end has */
	struct vq_chain *slot[VQ_SIZE_MAX];
};

/* Bytes of memory for a ring of `size` entries: whole pages. */
uint64_t vhost_ring_bytes(uint16_t size);
/* `base` has that many zeroed bytes, which are at `address` for the back end. All borrowed. */
void vhost_ring_init(struct vhost_ring *r, struct mem *mem, uint16_t size, uint8_t *base,
		     uint64_t address);
/* Give the back end a chain. Its head must be free: no chain with that head is out. */
void vhost_ring_put(struct vhost_ring *r, struct vq_chain *c);
/* 1 with a chain that came back and how much the back end says it wrote; 0: none; -EPROTO (R3). */
int vhost_ring_take(struct vhost_ring *r, struct vq_chain **c, uint32_t *len) MUST_CHECK;
/* The back end is gone: any chain that is out, or NULL. */
struct vq_chain *vhost_ring_recall(struct vhost_ring *r);

#endif
