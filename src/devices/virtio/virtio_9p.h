/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-9p: a folder of the host. Source: virtio's device 9, as Linux has it. Threads: with the VM lock held. */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_9P_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_9P_H

#include "devices/virtio/virtio.h"
#include "share/p9_queue.h"

#define VIRTIO_9P_TAG_MAX 100u

struct virtio_9p;

struct virtio_9p_config {
	struct virtio_config virtio; /* queues and features are left 0 */
	const char *tag;	     /* 1 to VIRTIO_9P_TAG_MAX bytes; copied */
	struct p9_queue *queue;	     /* borrowed, outlives the device */
};

/* NULL and a sentence on failure. */
struct virtio_9p *virtio_9p_new(const struct virtio_9p_config *cfg, struct lodge_err *err);
void virtio_9p_free(struct virtio_9p *s);
struct device *virtio_9p_device(struct virtio_9p *s);

#endif
