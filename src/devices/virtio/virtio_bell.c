// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Notifications that do not stop the vCPU: where the bus can, the driver's write to a queue's notification
 * register rings a bell, by which the event loop's thread kicks the queue (bus/shortcut.h). The registers
 * answer all the same; what comes by them and what by a bell does the same.
 *
 * A bell too many is a kick of a queue that has nothing: harmless, so none is ever taken back. One that was not
 * heard when the machine is saved is made good by virtio_dev_loaded(), which kicks all queues.
 *
 * Bells are armed from DRIVER_OK on: each one costs the kernel a grace period, and firmware moves BARs a lot.
 * Source: virtio 1.2 §4.1.4.4 (notification), §4.1.4.8 (legacy). Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus/shortcut.h"
#include "devices/virtio/virtio.h"

struct virtio_bell {
	struct virtio_dev *v;
	unsigned q;
	struct bus_bell *bell;		    /* NULL: the queue has none */
	struct bus_shortcut modern, legacy; /* .region is NULL: there is no such interface */
};

static void on_ring(void *opaque)
{
	struct virtio_bell *b = opaque;

	virtio_queue_kick(b->v, b->q);
}

static bool worth_it(const struct virtio_dev *v, enum virtio_bells bells, unsigned q)
{
	if (bells == VIRTIO_BELLS_AUTO)
		return v->ops->patient && v->ops->patient(v, q);
	return bells == VIRTIO_BELLS_ON;
}

static int bell_init(struct virtio_bell *b, struct virtio_dev *v, unsigned q)
{
	struct bus_region *modern = v->pci.bar[v->modern_bar].region;
	struct bus_region *legacy = v->has_legacy ? v->pci.bar[VIRTIO_BAR_LEGACY].region : NULL;

	b->v = v;
	b->q = q;
	b->bell = bus_bell_new(pci_bus_space(v->pci.bus), on_ring, b);
	if (!b->bell)
		return -ENOMEM;
	bus_shortcut_init(&b->modern, modern, BUS_SHORTCUT_BELL, VIRTIO_NOTIFY_MODERN(q), 0);
	bus_shortcut_init(&b->legacy, legacy, BUS_SHORTCUT_BELL, VIRTIO_NOTIFY_LEGACY, 2);
	b->modern.bell = b->legacy.bell = b->bell;
	b->legacy.matches = true;
	b->legacy.value = q;
	return 0;
}

int virtio_bells_init(struct virtio_dev *v, enum virtio_bells bells)
{
	if (bells == VIRTIO_BELLS_OFF || !bus_has_shortcuts(pci_bus_space(v->pci.bus)))
		return 0;
	v->bells = calloc(v->queues, sizeof(*v->bells));
	if (!v->bells)
		return -ENOMEM;
	for (unsigned q = 0; q < v->queues; q++) {
		int r = worth_it(v, bells, q) ? bell_init(&v->bells[q], v, q) : 0;

		if (r) {
			virtio_bells_free(v);
			return r;
		}
	}
	return 0;
}

void virtio_bells_free(struct virtio_dev *v)
{
	for (unsigned q = 0; v->bells && q < v->queues; q++) {
		struct virtio_bell *b = &v->bells[q];

		if (!b->bell)
			continue;
		bus_shortcut_arm(&b->modern, false);
		bus_shortcut_arm(&b->legacy, false);
		bus_bell_free(pci_bus_space(v->pci.bus), b->bell);
	}
	free(v->bells);
	v->bells = NULL;
}

void virtio_bells_update(struct virtio_dev *v)
{
	bool running = v->status & VIRTIO_STATUS_DRIVER_OK &&
		       !(v->status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED));

	for (unsigned q = 0; v->bells && q < v->queues; q++) {
		struct virtio_bell *b = &v->bells[q];
		bool on = running && v->vq[q].enabled;

		if (!b->bell)
			continue;
		bus_shortcut_arm(&b->modern, on && !v->legacy_driver);
		bus_shortcut_arm(&b->legacy, on && v->legacy_driver);
	}
}
