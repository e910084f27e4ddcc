/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio driver for unit tests and fuzz targets: a PCI bus and guest memory without a machine, and
 * the driver's side of modern devices (virtio 1.2 §3.1, §4.1) and of split rings. Include it once, behind
 * fake_time.h.
 */
#ifndef LODGE_TESTS_VIRTIO_DRIVER_H
#define LODGE_TESTS_VIRTIO_DRIVER_H

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/virtio/virtio.h"
#include "wire.h"

#define DRV_RAM (4u << 20)
#define DRV_DEVFN pci_devfn(5, 0)
#define DRV_BAR4 0xe0000000u
#define DRV_BAR1 0xe0010000u
#define DRV_BAR0 0xc000u
#define DRV_MSI_LOG 16u

#define DESC_F_NEXT 1u
#define DESC_F_WRITE 2u
#define DESC_F_INDIRECT 4u

struct drv_queue {
	gpa_t desc, avail, used;
	uint16_t size, avail_idx, used_idx, next_desc;
};

struct drv {
	struct bus *bus;
	struct pci_bus *pb;
	struct mem *mem;
	struct wire pirq[4];
	unsigned msis;
	uint32_t msi_data[DRV_MSI_LOG];
	struct drv_queue q[VIRTIO_QUEUES_MAX];
	gpa_t heap;	 /* the next free guest memory */
	unsigned common; /* where in BAR 4 the common block is */
};

static inline void drv_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct drv *d = opaque;

	(void)addr;
	d->msi_data[d->msis++ % DRV_MSI_LOG] = data;
}

static inline void drv_init(struct drv *d)
{
	struct irq_line pirq[4];

	memset(d, 0, sizeof(*d));
	d->bus = bus_new();
	d->pb = pci_bus_new(d->bus);
	d->mem = mem_new(DRV_RAM, 0, NULL);
	if (!d->mem || mem_map(d->mem, 0, DRV_RAM, MEM_RAM, 0))
		abort();
	for (unsigned i = 0; i < 4; i++)
		pirq[i] = wire_line(&d->pirq[i]);
	pci_bus_set_pirq(d->pb, pirq);
	pci_bus_set_msi(d->pb, drv_msi, d);
	d->heap = 0x10000;
}

static inline void drv_free(struct drv *d)
{
	pci_bus_free(d->pb);
	bus_free(d->bus);
	mem_free(d->mem);
}

/* Is any interrupt line up? */
static inline bool drv_intx(const struct drv *d)
{
	return d->pirq[0].level || d->pirq[1].level || d->pirq[2].level || d->pirq[3].level;
}

static inline gpa_t drv_alloc(struct drv *d, uint64_t bytes, uint64_t align)
{
	gpa_t at = (d->heap + align - 1) & ~(align - 1);

	d->heap = at + bytes;
	if (d->heap > DRV_RAM)
		abort();
	return at;
}

static inline uint8_t *drv_p(struct drv *d, gpa_t gpa)
{
	return mem_base(d->mem) + gpa;
}

static inline uint32_t drv_cfg(struct drv *d, unsigned off, unsigned size)
{
	return pci_config_read(d->pb, DRV_DEVFN, off, size);
}

static inline void drv_set_cfg(struct drv *d, unsigned off, uint32_t val, unsigned size)
{
	pci_config_write(d->pb, DRV_DEVFN, off, val, size);
}

static inline uint32_t drv_rd(struct drv *d, unsigned off, unsigned size)
{
	off += off < 0x1000 ? d->common : 0;
	return (uint32_t)bus_mmio_read(d->bus, DRV_BAR4 + off, size);
}

static inline void drv_wr(struct drv *d, unsigned off, uint32_t val, unsigned size)
{
	off += off < 0x1000 ? d->common : 0;
	bus_mmio_write(d->bus, DRV_BAR4 + off, val, size);
}

/* Place the BARs, let it be a bus master. */
static inline void drv_place(struct drv *d)
{
	drv_set_cfg(d, PCI_BAR0, DRV_BAR0, 4);
	drv_set_cfg(d, PCI_BAR0 + 4, DRV_BAR1, 4);
	drv_set_cfg(d, PCI_BAR0 + 16, DRV_BAR4, 4);
	drv_set_cfg(d, PCI_BAR0 + 20, 0, 4);
	drv_set_cfg(d, PCI_COMMAND, 7, 2);
}

/* Offset of the first capability `id` (of vendor type `type` unless 0), or 0. */
static inline unsigned drv_cap(struct drv *d, unsigned id, unsigned type)
{
	for (unsigned at = drv_cfg(d, PCI_CAP_PTR, 1); at; at = drv_cfg(d, at + 1, 1)) {
		if (drv_cfg(d, at, 1) == id && (!type || drv_cfg(d, at + 3, 1) == type))
			return at;
	}
	return 0;
}

/* MSI-X on: vector n sends data 0x100 + n. */
static inline void drv_msix(struct drv *d, unsigned vectors)
{
	for (unsigned n = 0; n < vectors; n++) {
		bus_mmio_write(d->bus, DRV_BAR1 + 16 * n, 0xfee00000, 4);
		bus_mmio_write(d->bus, DRV_BAR1 + 16 * n + 8, 0x100 + n, 4);
		bus_mmio_write(d->bus, DRV_BAR1 + 16 * n + 12, 0, 4);
	}
	drv_set_cfg(d, drv_cap(d, 0x11, 0) + 2, 0x8000, 2);
}

static inline uint64_t drv_offered(struct drv *d)
{
	uint64_t f;

	drv_wr(d, 0, 0, 4);
	f = drv_rd(d, 4, 4);
	drv_wr(d, 0, 1, 4);
	return f | (uint64_t)drv_rd(d, 4, 4) << 32;
}

/* Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK; false if the device refused. */
static inline bool drv_negotiate(struct drv *d, uint64_t features)
{
	drv_wr(d, 0x14, 0, 1);
	drv_wr(d, 0x14, 3, 1);
	drv_wr(d, 8, 0, 4);
	drv_wr(d, 12, (uint32_t)features, 4);
	drv_wr(d, 8, 1, 4);
	drv_wr(d, 12, (uint32_t)(features >> 32), 4);
	drv_wr(d, 0x14, 11, 1);
	return drv_rd(d, 0x14, 1) == 11;
}

/* Rings for queue n in guest memory, enabled. */
static inline void drv_queue(struct drv *d, unsigned n, uint16_t size)
{
	struct drv_queue *q = &d->q[n];

	*q = (struct drv_queue){.size = size};
	q->desc = drv_alloc(d, 16u * size, 16);
	q->avail = drv_alloc(d, 6 + 2u * size, 2);
	q->used = drv_alloc(d, 6 + 8u * size, 4);
	memset(drv_p(d, q->desc), 0, d->heap - q->desc);
	drv_wr(d, 0x16, n, 2);
	drv_wr(d, 0x18, size, 2);
	drv_wr(d, 0x1a, n + 1, 2);
	drv_wr(d, 0x20, (uint32_t)q->desc, 4);
	drv_wr(d, 0x24, 0, 4);
	drv_wr(d, 0x28, (uint32_t)q->avail, 4);
	drv_wr(d, 0x2c, 0, 4);
	drv_wr(d, 0x30, (uint32_t)q->used, 4);
	drv_wr(d, 0x34, 0, 4);
	drv_wr(d, 0x1c, 1, 2);
}

static inline void drv_ok(struct drv *d)
{
	drv_wr(d, 0x14, 15, 1);
}

/* All of it: BARs, features, `queues` queues of `size`, DRIVER_OK. */
static inline void drv_start(struct drv *d, uint64_t features, unsigned queues, uint16_t size)
{
	drv_place(d);
	if (!drv_negotiate(d, features | VIRTIO_F_VERSION_1))
		abort();
	for (unsigned n = 0; n < queues; n++)
		drv_queue(d, n, size);
	drv_ok(d);
}

static inline void drv_desc(struct drv *d, gpa_t table, unsigned i, gpa_t addr, uint32_t len,
			    unsigned flags, unsigned next)
{
	uint8_t *p = drv_p(d, table + 16u * i);

	st_le64(p, addr);
	st_le32(p + 8, len);
	st_le16(p + 12, (uint16_t)flags);
	st_le16(p + 14, (uint16_t)next);
}

/* Make `head` available; no notification. */
static inline void drv_avail(struct drv *d, unsigned n, uint16_t head)
{
	struct drv_queue *q = &d->q[n];

	st_le16(drv_p(d, q->avail + 4 + 2u * (q->avail_idx & (q->size - 1u))), head);
	st_le16(drv_p(d, q->avail + 2), ++q->avail_idx);
}

static inline void drv_kick(struct drv *d, unsigned n)
{
	drv_wr(d, 0x3000 + 4 * n, n, 2);
}

struct drv_buf {
	gpa_t gpa;
	uint32_t len;
};

/* A chain of `n_out` readable and `n_in` writable buffers: its head. Descriptors are taken in turn. */
static inline uint16_t drv_chain(struct drv *d, unsigned n, const struct drv_buf *b, unsigned n_out,
				 unsigned n_in)
{
	struct drv_queue *q = &d->q[n];
	uint16_t head = q->next_desc;

	for (unsigned i = 0; i < n_out + n_in; i++) {
		unsigned at = (head + i) % q->size, last = i + 1 == n_out + n_in;

		drv_desc(d, q->desc, at, b[i].gpa, b[i].len,
			 (i >= n_out ? DESC_F_WRITE : 0) | (last ? 0 : DESC_F_NEXT),
			 (at + 1) % q->size);
	}
	q->next_desc = (uint16_t)((head + n_out + n_in) % q->size);
	return head;
}

/* Make such a chain available and notify. */
static inline uint16_t drv_submit(struct drv *d, unsigned n, const struct drv_buf *b,
				  unsigned n_out, unsigned n_in)
{
	uint16_t head = drv_chain(d, n, b, n_out, n_in);

	drv_avail(d, n, head);
	drv_kick(d, n);
	return head;
}

/* The next used entry of queue n: false if there is none. */
static inline bool drv_used(struct drv *d, unsigned n, uint32_t *id, uint32_t *len)
{
	struct drv_queue *q = &d->q[n];
	const uint8_t *e = drv_p(d, q->used + 4 + 8u * (q->used_idx & (q->size - 1u)));

	if (ld_le16(drv_p(d, q->used + 2)) == q->used_idx)
		return false;
	q->used_idx++;
	*id = ld_le32(e);
	*len = ld_le32(e + 4);
	return true;
}

static inline uint8_t drv_status(struct drv *d)
{
	return (uint8_t)drv_rd(d, 0x14, 1);
}

#endif
