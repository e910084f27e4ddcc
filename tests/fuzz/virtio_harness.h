/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets of virtio devices share: a driver that does anything, well-formed chains among
 * them, so that the input gets past the door. Include it once, behind device_harness.h.
 */
#ifndef LODGE_TESTS_FUZZ_VIRTIO_HARNESS_H
#define LODGE_TESTS_FUZZ_VIRTIO_HARNESS_H

#include "pci_harness.h"
#include "virtio_driver.h"

struct fuzz_virtio {
	struct drv d;
	struct virtio_dev *v;
	uint16_t device_id;
	/* Something happens to the device from the other side. May be NULL. */
	void (*event)(void *opaque, struct fuzz_in *in);
	/* Fill a request's header of up to 64 bytes, so that many are sensible. May be NULL. */
	void (*header)(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p);
	unsigned header_bytes; /* 0: 16 */
	void *opaque;
};

static const uint32_t fuzz_sizes[] = {1, 2, 4, 16, 512, 4096, 65536, 0};

static inline gpa_t fuzz_gpa(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	switch (how & 7) {
	case 0: /* inside the rings, wherever they are */
		return 0x10000 + fuzz_uint(in, 2);
	case 1: /* at the end of RAM */
		return DRV_RAM - (how >> 3);
	case 2:
		return fuzz_uint(in, 8);
	default:
		return 0x100000 + ((gpa_t)(how >> 3) << 12) + fuzz_u8(in);
	}
}

static inline void fuzz_start(struct fuzz_in *in, struct fuzz_virtio *f)
{
	struct drv *d = &f->d;
	uint64_t features = f->v->offered;
	uint8_t how = fuzz_u8(in);

	if (how & 1)
		features &= ~VIRTIO_F_EVENT_IDX;
	if (how & 2)
		features &= fuzz_uint(in, 4) | 0xffffffff00000000ull;
	d->heap = 0x10000;
	drv_place(d);
	if (how & 4)
		drv_msix(d, f->v->queues + 1);
	drv_negotiate(d, features);
	for (unsigned n = 0; n < f->v->queues; n++)
		drv_queue(d, n, (uint16_t)(1u << (how >> 4) % 7));
	drv_ok(d);
}

/* A chain by the rules, but for what the input wants otherwise. */
static inline void fuzz_chain(struct fuzz_in *in, struct fuzz_virtio *f)
{
	struct drv *d = &f->d;
	unsigned n = fuzz_u8(in) % f->v->queues;
	uint8_t how = fuzz_u8(in);
	unsigned n_out = how & 3, n_in = how >> 2 & 3;
	struct drv_buf b[6];

	if (!d->q[n].size || !(n_out + n_in))
		return;
	for (unsigned i = 0; i < n_out + n_in; i++) {
		b[i].gpa = 0x100000 + 0x10000 * i;
		b[i].len = fuzz_sizes[fuzz_u8(in) & 7];
	}
	if (n_out && f->header) {
		b[0].len = f->header_bytes ? f->header_bytes : 16;
		f->header(f->opaque, in, n, drv_p(d, b[0].gpa));
	}
	if (how & 16)
		b[fuzz_u8(in) % (n_out + n_in)].gpa = fuzz_gpa(in);
	if (how & 32) {
		/* Through an indirect table. */
		gpa_t table = 0x80000 + 0x1000 * (how >> 6);

		for (unsigned i = 0; i < n_out + n_in; i++)
			drv_desc(d, table, i, b[i].gpa, b[i].len,
				 (i >= n_out ? DESC_F_WRITE : 0) |
					 (i + 1 < n_out + n_in ? DESC_F_NEXT : 0),
				 i + 1);
		drv_desc(d, d->q[n].desc, d->q[n].next_desc, table, 16 * (n_out + n_in),
			 DESC_F_INDIRECT, 0);
		drv_avail(d, n, d->q[n].next_desc);
		d->q[n].next_desc = (uint16_t)((d->q[n].next_desc + 1) % d->q[n].size);
		drv_kick(d, n);
		return;
	}
	drv_submit(d, n, b, n_out, n_in);
}

static inline void fuzz_rings(struct fuzz_in *in, struct fuzz_virtio *f)
{
	struct drv *d = &f->d;
	unsigned n = fuzz_u8(in) % f->v->queues;
	struct drv_queue *q = &d->q[n];
	uint8_t how = fuzz_u8(in);

	if (!q->size)
		return;
	switch (how & 7) {
	case 0:
	case 1:
	case 2:
		drv_desc(d, q->desc, how >> 3, fuzz_gpa(in), (uint32_t)fuzz_uint(in, 3), how >> 5,
			 fuzz_u8(in));
		break;
	case 3:
		drv_desc(d, 0x80000 + 0x1000 * (how >> 6), how >> 3 & 7, fuzz_gpa(in),
			 (uint32_t)fuzz_uint(in, 2), fuzz_u8(in), fuzz_u8(in));
		break;
	case 4:
		st_le16(drv_p(d, q->avail + 2), (uint16_t)fuzz_uint(in, 2));
		break;
	case 5:
		st_le16(drv_p(d, q->avail + 4 + 2u * (how >> 3)), (uint16_t)fuzz_uint(in, 2));
		break;
	case 6:
		st_le16(drv_p(d, q->avail), how >> 3 & 1);
		break;
	default:
		drv_avail(d, n, (uint16_t)(how >> 3));
		break;
	}
	if (fuzz_u8(in) & 1)
		drv_kick(d, n);
}

static inline void fuzz_bar4(struct fuzz_in *in, struct fuzz_virtio *f)
{
	uint8_t how = fuzz_u8(in), off = fuzz_u8(in);
	unsigned size = 1u << (how >> 1 & 3);
	unsigned block = (how >> 3 & 3) << 12;

	if (how & 1)
		bus_mmio_read(f->d.bus, DRV_BAR4 + block + off, size);
	else
		bus_mmio_write(f->d.bus, DRV_BAR4 + block + off, fuzz_uint(in, size), size);
}

static inline void fuzz_bar0(struct fuzz_in *in, struct fuzz_virtio *f)
{
	uint8_t how = fuzz_u8(in), off = fuzz_u8(in);
	unsigned size = 1u << (how >> 1) % 3;

	if (how & 1)
		bus_pio_read(f->d.bus, (uint16_t)(DRV_BAR0 + (off & 127)), size);
	else
		bus_pio_write(f->d.bus, (uint16_t)(DRV_BAR0 + (off & 127)),
			      (uint32_t)fuzz_uint(in, size), size);
}

static inline void fuzz_config(struct fuzz_in *in, struct fuzz_virtio *f)
{
	uint8_t how = fuzz_u8(in), off = fuzz_u8(in);
	unsigned size = 1u << (how >> 1) % 3;

	if (how & 1)
		pci_config_read(f->d.pb, DRV_DEVFN, off, size);
	else
		pci_config_write(f->d.pb, DRV_DEVFN, off, (uint32_t)fuzz_uint(in, size), size);
}

/* What holds whatever a driver does. */
static inline void fuzz_virtio_check(struct fuzz_virtio *f)
{
	const struct virtio_dev *v = f->v;

	for (unsigned q = 0; q < v->queues; q++) {
		const struct virtqueue *vq = &v->vq[q];
		unsigned out = 0;

		for (unsigned i = 0; i < sizeof(vq->out_map); i++)
			out += (unsigned)__builtin_popcount(vq->out_map[i]);
		FUZZ_CHECK(out == vq->out && out <= vq->size);
	}
	FUZZ_CHECK(pci_config_read(f->d.pb, DRV_DEVFN, 0, 4) ==
		   (VIRTIO_PCI_VENDOR | (uint32_t)f->device_id << 16));
}

static inline void fuzz_virtio_step(struct fuzz_in *in, struct fuzz_virtio *f)
{
	struct device *dev = &f->v->pci.dev;
	uint8_t op = fuzz_u8(in);

	switch (op & 15) {
	case 0:
		if (op & 16)
			fuzz_save_load(dev);
		else
			fuzz_load_damaged(in, dev);
		break;
	case 1:
		fuzz_time(in);
		break;
	case 2:
		fuzz_config(in, f);
		break;
	case 3:
	case 4:
		fuzz_bar4(in, f);
		break;
	case 5:
		fuzz_bar0(in, f);
		break;
	case 6:
		if (op >> 4 < 6)
			fuzz_start(in, f);
		else if (op >> 4 == 15)
			dev->cls->reset(dev);
		else
			*drv_p(&f->d, 0x10000 + fuzz_uint(in, 2)) = fuzz_u8(in);
		break;
	case 7:
	case 8:
	case 9:
		fuzz_rings(in, f);
		break;
	case 10:
	case 11:
		if (f->event)
			f->event(f->opaque, in);
		break;
	default:
		fuzz_chain(in, f);
		break;
	}
	fuzz_virtio_check(f);
}

static inline void fuzz_virtio_run(struct fuzz_in *in, struct fuzz_virtio *f)
{
	fuzz_start(in, f);
	for (unsigned step = 0; in->left && step < 512; step++)
		fuzz_virtio_step(in, f);
}

#endif
