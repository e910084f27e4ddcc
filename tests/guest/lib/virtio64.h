/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A modern virtio driver for 64-bit guest programs, with rings in the open: see virtio64.c. */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

#define VQ_SIZE 16u

#define VD_NEXT 1u
#define VD_WRITE 2u
#define VD_INDIRECT 4u

#define VS_OK 15u /* ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK */
#define VS_NEEDS_RESET 64u

#define VF_INDIRECT (1ull << 28)
#define VF_EVENT_IDX (1ull << 29)
#define VF_VERSION_1 (1ull << 32)
#define VF_RING_RESET (1ull << 40)

struct vdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vqueue {
	volatile struct vdesc *desc;
	volatile uint16_t *avail; /* flags, index, ring */
	volatile uint16_t *used;  /* flags, index, then pairs of 32 bits */
	uint16_t idx;
};

struct vdev {
	unsigned slot;
	volatile uint8_t *bar; /* BAR 4: common, ISR, device, notify, a page each */
	struct vqueue q;       /* queue 0 */
};

uint32_t pci_read(unsigned slot, unsigned off);
void pci_write(unsigned slot, unsigned off, uint32_t val);
/* Find the device with PCI ID 1af4:`id` and place its BAR 4 at `bar`. */
bool vdev_find(struct vdev *d, unsigned id, uint32_t bar);
/* Reset it, negotiate `features`, set up queue 0 and start. */
bool vdev_start(struct vdev *d, uint64_t features);
unsigned vdev_status(struct vdev *d);
void vdev_set_status(struct vdev *d, uint8_t status);
void vdev_desc(volatile struct vdesc *table, unsigned i, uint64_t addr, uint32_t len,
	       unsigned flags, unsigned next);
/* Make `head` available, and notify. */
void vdev_submit(struct vdev *d, unsigned head);
void vdev_kick(struct vdev *d);
/* Wait until the used index is `idx`, or some seconds. */
bool vdev_wait(struct vdev *d, uint16_t idx);

static inline void vw8(struct vdev *d, unsigned off, uint8_t v)
{
	d->bar[off] = v;
}
static inline void vw16(struct vdev *d, unsigned off, uint16_t v)
{
	*(volatile uint16_t *)(d->bar + off) = v;
}
static inline void vw32(struct vdev *d, unsigned off, uint32_t v)
{
	*(volatile uint32_t *)(d->bar + off) = v;
}
static inline uint16_t vr16(struct vdev *d, unsigned off)
{
	return *(volatile uint16_t *)(d->bar + off);
}

#endif
