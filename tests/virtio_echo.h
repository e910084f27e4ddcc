/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The smallest virtio device, for tests of what all of them share: what comes out of a chain goes back in. */
#ifndef LODGE_TESTS_VIRTIO_ECHO_H
#define LODGE_TESTS_VIRTIO_ECHO_H

#include <errno.h>

#include "devices/virtio/virtio.h"

struct echo {
	struct virtio_dev v;
	unsigned kicks, resets, queue_resets, negotiations, starts, writes;
	struct vq_chain *kept; /* with `keep`: the last one is not given back */
	bool keep;
};

static void echo_kick(struct virtio_dev *v, unsigned q)
{
	struct echo *e = container_of(v, struct echo, v);
	struct vq_chain *c;
	unsigned n = 0;

	e->kicks++;
	while (n < VIRTIO_BATCH && (c = virtio_pop(v, q))) {
		uint8_t buf[4096];
		size_t len;

		n++;
		if (e->keep && !e->kept) {
			e->kept = c;
			continue;
		}
		len = vq_chain_read(c, 0, buf, sizeof(buf));
		virtqueue_push(c->vq, c, vq_chain_write(c, 0, buf, len));
	}
	if (n == VIRTIO_BATCH)
		virtio_again(v, q);
	virtio_notify(v, q);
}

static void echo_reset(struct virtio_dev *v)
{
	container_of(v, struct echo, v)->resets++;
}

static void echo_drop(struct virtio_dev *v, unsigned q)
{
	struct echo *e = container_of(v, struct echo, v);

	e->queue_resets += q != VIRTIO_ALL_QUEUES;
	vq_chain_free(e->kept);
	e->kept = NULL;
}

static void echo_negotiated(struct virtio_dev *v)
{
	container_of(v, struct echo, v)->negotiations++;
}

static void echo_started(struct virtio_dev *v)
{
	container_of(v, struct echo, v)->starts++;
}

static void echo_config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	container_of(v, struct echo, v)->writes++;
}

static const struct virtio_ops echo_ops = {
	.id = VIRTIO_ID_RNG,
	.legacy_id = 0x1005,
	.pci_class = 0x00ff,
	.config_size = 8,
	.negotiated = echo_negotiated,
	.started = echo_started,
	.kick = echo_kick,
	.config_written = echo_config_written,
	.drop = echo_drop,
	.reset = echo_reset,
};

/* Chains that were out at saving are given back empty. */
static int echo_post_load(struct device *dev)
{
	struct virtio_dev *v = container_of(dev, struct virtio_dev, pci.dev);

	if (virtio_dev_loaded(v))
		return -EINVAL;
	for (unsigned q = 0; q < v->queues; q++) {
		for (unsigned head = 0; head < VQ_SIZE_MAX && v->vq[q].out; head++) {
			struct vq_chain *c;

			if (!(v->vq[q].out_map[head / 8] & 1u << head % 8))
				continue;
			if (virtqueue_refetch(&v->vq[q], (uint16_t)head, &c) != 1)
				break;
			virtqueue_push(c->vq, c, 0);
		}
	}
	return 0;
}

static const struct state_field echo_fields[] = {
	VIRTIO_STATE_FIELDS(struct echo, v),
	STATE_END,
};

static const struct device_class echo_class = {
	.name = "echo",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = echo_fields,
	.post_load = echo_post_load,
};

static inline int echo_init(struct echo *e, const struct virtio_config *cfg, struct lodge_err *err)
{
	int r;

	memset(e, 0, sizeof(*e));
	r = virtio_dev_init(&e->v, cfg, &echo_class, &echo_ops, err);
	if (r)
		return r;
	virtio_config_reg(&e->v, "fixed", 0, 4, 0x12345678, 0);
	virtio_config_reg(&e->v, "free", 4, 2, 0, 0xffff);
	return 0;
}

#endif
