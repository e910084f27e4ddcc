/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng: random bytes of the host. Source: virtio 1.2 §5.4. Threads: with the VM lock held. */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_RNG_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_RNG_H

#include "devices/virtio/virtio.h"

struct virtio_rng;

struct virtio_rng_config {
	struct virtio_config virtio; /* one queue; features are left 0 */
	/* At most max_bytes in each period_ms; 0: as many as are asked for. */
	uint64_t max_bytes;
	unsigned period_ms;
	/* Fill `buf`; NULL: the host's getrandom. For tests. */
	void (*fill)(void *buf, size_t len);
};

/* NULL and a sentence on failure. */
struct virtio_rng *virtio_rng_new(const struct virtio_rng_config *cfg, struct lodge_err *err);
void virtio_rng_free(struct virtio_rng *s);
struct device *virtio_rng_device(struct virtio_rng *s);

#endif
