/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: a disk. Source: virtio 1.2 §5.2. Registers: docs/devices/virtio_blk.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_BLK_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_BLK_H

#include "block/queue.h"
#include "devices/virtio/virtio.h"

#define VIRTIO_BLK_QUEUES_MAX 64u
#define VIRTIO_BLK_SERIAL 20u

struct virtio_blk;

struct virtio_blk_config {
	struct virtio_config virtio; /* features are left 0 */
	struct blk_queue *queue;     /* the image's; borrowed, outlives the device */
	const char *serial;	     /* up to VIRTIO_BLK_SERIAL bytes; copied; may be NULL */
	bool read_only;
	bool no_discard, no_write_zeroes, no_config_wce;
	/* Bytes, powers of two from 512 to 32768; 0: 512. Physical is not less than logical. */
	unsigned logical_block, physical_block;
	unsigned min_io, opt_io; /* hints, bytes; 0: none */
};

/* NULL and a sentence on failure. */
struct virtio_blk *virtio_blk_new(const struct virtio_blk_config *cfg, struct lodge_err *err);
/* Waits for what is under way. */
void virtio_blk_free(struct virtio_blk *s);
struct device *virtio_blk_device(struct virtio_blk *s);
/* The image has another size now: the driver is told. */
void virtio_blk_resized(struct virtio_blk *s);

#endif
