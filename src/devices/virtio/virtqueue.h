/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A split virtqueue, the device's side: chains of buffers that a driver made available, and their return.
 * Source: virtio 1.2 §2.7 (split virtqueues), §2.7.5.3 (indirect descriptors), §2.7.7 and §2.7.10
 * (suppression of notifications, event index).
 *
 * The driver is hostile and may change every byte of rings, descriptors and buffers at any time, from
 * another processor. What holds all the same:
 *
 *  Q1  A ring index or descriptor is copied once; the copy is checked and used, memory is not looked at again.
 *  Q2  The three rings lie whole in RAM, aligned as §2.7 says, or the queue is not used at all.
 *  Q3  A chain has at most as many descriptors as its table entries, and at most VQ_SEGS_MAX pieces:
 *      loops end.
 *  Q4  An indirect descriptor needs the feature, stands in the ring's own table, alone or last, and names
 *      a table of 1 to VQ_SEGS_MAX whole entries in RAM; inside one there is no other.
 *  Q5  What the device reads comes before what it writes; a buffer has 1 or more bytes, all in RAM (ROM will do
 *      for reading); a chain has less than 4 GiB each way.
 *  Q6  At most `size` chains are out, each head at most once. So memory for them is bounded.
 *  Q7  A violation breaks the queue (`why`): nothing comes out of it any more until it is reset.
 *  Q8  Address and size are those of the moment of virtqueue_start(). What a driver writes into the transport's
 *      registers later changes nothing before a reset.
 *  Q9  A chain that outlives a reset of its queue (`gen`) is freed by whoever has it, and touches no ring.
 * Q10  The used length is never more than the chain's writable bytes.
 *
 * Buffers are used in place: iovecs point into guest RAM, which is mapped as long as struct mem is.
 * Threads: with the VM lock held; a chain's buffers may be read and written without it.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTQUEUE_H
#define LODGE_DEVICES_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "mem/mem.h"

#define VQ_SIZE_MAX 1024u
#define VQ_SEGS_MAX 1024u

struct virtqueue;

/* A piece of guest memory, in one range of the map. */
struct vq_seg {
	gpa_t gpa;
	uint64_t len;
};

/*
 * Buffers of one head, the device's until it is pushed. `out` is what the device reads, `in` what it
 * writes; the device may change these arrays (to cut off a header), not in_len.
 */
struct vq_chain {
	struct virtqueue *vq;
	uint32_t gen;
	uint16_t head;
	unsigned n_out, n_in;
	uint64_t out_len, in_len;
	struct iovec *out, *in;
	/* For virtqueue_push(). */
	unsigned n_segs;
	struct vq_seg *segs;
};

/* Where a chain is put together; one for all queues of a device. */
struct vq_scratch {
	struct iovec iov[VQ_SEGS_MAX];
	struct vq_seg seg[VQ_SEGS_MAX];
};

struct virtqueue {
	struct mem *mem;
	struct vq_scratch *scratch;
	uint16_t size_max;
	/* As the driver set it up; saved state from here ... */
	gpa_t desc, avail, used;
	uint16_t size, vector;
	uint8_t enabled;
	uint16_t last_avail; /* the next to be popped */
	uint16_t used_idx;
	uint16_t signalled; /* used_idx of the last notification, if signalled_ok */
	uint8_t signalled_ok;
	uint8_t out_map[VQ_SIZE_MAX / 8]; /* heads that are out */
	/* ... to here. */
	bool event_idx, indirect; /* negotiated */
	unsigned out;		  /* heads that are out */
	uint32_t gen;
	const char *why; /* broken: the reason */
	/* Host addresses, valid for this version of the map. */
	uint32_t map_version;
	bool mapped;
	const uint8_t *desc_ptr;
	uint8_t *avail_ptr, *used_ptr;
	struct mem_range near; /* where the last buffer was; len 0: unknown */
};

/* `size_max` is a power of two up to VQ_SIZE_MAX. `mem` and `scratch` are borrowed. */
void virtqueue_init(struct virtqueue *vq, struct mem *mem, struct vq_scratch *scratch,
		    uint16_t size_max);
/* Everything to reset values; chains that are out stay their holders' (Q9). */
void virtqueue_reset(struct virtqueue *vq);
/* The driver enables it with the addresses and the size that are set. The queue may be broken afterwards. */
void virtqueue_start(struct virtqueue *vq, bool event_idx, bool indirect);
/* After the saved part was loaded: check it and derive the rest. -EINVAL. */
int virtqueue_loaded(struct virtqueue *vq, bool event_idx, bool indirect) MUST_CHECK;

/*
 * The next chain: 1 with *c, which goes back by virtqueue_push(), virtqueue_unpop() or vq_chain_free(); 0 if
 * there is none, and the driver will notify when there is; -EINVAL if the queue is broken, -ENOMEM.
 */
int virtqueue_pop(struct virtqueue *vq, struct vq_chain **c) MUST_CHECK;
/* Is one there? Asks for no notification. */
bool virtqueue_has(struct virtqueue *vq);
/* The chain of a head that is out, once more: after a restore. As virtqueue_pop(). */
int virtqueue_refetch(struct virtqueue *vq, uint16_t head, struct vq_chain **c) MUST_CHECK;
/* Undo the last pop, of which nothing was pushed yet. Frees the chain. */
void virtqueue_unpop(struct virtqueue *vq, struct vq_chain *c);
/*
 * Give a chain back: the first `written` of its writable bytes were written (Q10). Frees it. The driver is
 * told by whoever then finds virtqueue_wants_notify().
 */
void virtqueue_push(struct virtqueue *vq, struct vq_chain *c, uint64_t written);
/*
 * The same for several that the driver is to see at once: fill with n = 0, 1, ..., then flush
 * with their number.
 */
void virtqueue_fill(struct virtqueue *vq, struct vq_chain *c, uint64_t written, unsigned n);
void virtqueue_flush(struct virtqueue *vq, unsigned n);
/* Once after pushes: is an interrupt due? */
bool virtqueue_wants_notify(struct virtqueue *vq);
/* Free a chain without giving it back: the queue was reset or the device is going. NULL is allowed. */
void vq_chain_free(struct vq_chain *c);

/* Copy from the readable bytes, from `off` on, or into the writable ones. How many there were. */
size_t vq_chain_read(const struct vq_chain *c, uint64_t off, void *buf, size_t len);
size_t vq_chain_write(struct vq_chain *c, uint64_t off, const void *buf, size_t len);

/* iovec helpers: bytes; cut `len` off the front or the end, in place. How many are left. */
uint64_t iov_bytes(const struct iovec *iov, unsigned n);
unsigned iov_cut_front(struct iovec **iov, unsigned n, uint64_t len);
unsigned iov_cut_back(struct iovec *iov, unsigned n, uint64_t len);
size_t iov_read(const struct iovec *iov, unsigned n, uint64_t off, void *buf, size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, uint64_t off, const void *buf, size_t len);

/* Layout, for transports: bytes of the three rings (§2.7), and the used ring's place in a legacy queue. */
#define VQ_DESC_BYTES 16u
static inline uint64_t vq_desc_bytes(unsigned size)
{
	return (uint64_t)VQ_DESC_BYTES * size;
}
static inline uint64_t vq_avail_bytes(unsigned size)
{
	return 6u + 2u * (uint64_t)size;
}
static inline uint64_t vq_used_bytes(unsigned size)
{
	return 6u + 8u * (uint64_t)size;
}

#endif
