/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon: memory that a guest gives back to the host, when it is asked to (inflation) or whenever it
 * has no use for it (free page reporting), and what it says of its memory (statistics).
 * Source: virtio 1.2 §5.5. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_BALLOON_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_BALLOON_H

#include "devices/virtio/virtio.h"

struct virtio_balloon;

struct virtio_balloon_config {
	struct virtio_config virtio; /* queues and features are left 0 */
	bool deflate_on_oom, reporting;
	unsigned stats_s;      /* ask for statistics every so many seconds; 0: never */
	uint64_t target_bytes; /* memory the guest shall keep; 0: all */
	/* The guest's driver says that it has `bytes` now; may be NULL. */
	void (*changed)(void *opaque, uint64_t bytes);
	void *opaque;
};

/* VIRTIO_BALLOON_S_* (§5.5.6.4). */
#define VIRTIO_BALLOON_STATS 10u

/* NULL and a sentence on failure. */
struct virtio_balloon *virtio_balloon_new(const struct virtio_balloon_config *cfg,
					  struct lodge_err *err);
void virtio_balloon_free(struct virtio_balloon *s);
struct device *virtio_balloon_device(struct virtio_balloon *s);
extern const struct device_class virtio_balloon_class;
struct virtio_balloon *virtio_balloon_of(struct device *dev); /* of that class */
/* Ask the guest to keep `bytes` of its memory. */
void virtio_balloon_set_target(struct virtio_balloon *s, uint64_t bytes);
/* Memory the guest has, by what its driver says. */
uint64_t virtio_balloon_actual(const struct virtio_balloon *s);
/* There is a driver that does what it is asked. */
bool virtio_balloon_active(const struct virtio_balloon *s);
/* Bytes that went back to the host so far: by inflation and by reports. */
uint64_t virtio_balloon_given_back(const struct virtio_balloon *s);
/* The last statistics, by tag; all ones where the guest said nothing. */
const uint64_t *virtio_balloon_stats(const struct virtio_balloon *s);

#endif
