// SPDX-License-Identifier: GPL-2.0-or-later
/* A modern virtio driver for 64-bit guest programs. Source: virtio 1.2 §2.7, §3.1, §4.1. */
#include "virtio64.h"

#include "timing.h"

uint32_t pci_read(unsigned slot, unsigned off)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (off & 0xfc));
	return inl(0xcfc);
}

void pci_write(unsigned slot, unsigned off, uint32_t val)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (off & 0xfc));
	outl(0xcfc, val);
}

bool vdev_find(struct vdev *d, unsigned id, uint32_t bar)
{
	for (d->slot = 0; d->slot < 32; d->slot++) {
		if (pci_read(d->slot, 0) == (0x1af4u | id << 16))
			break;
	}
	if (d->slot == 32)
		return false;
	pci_write(d->slot, 0x20, bar);
	pci_write(d->slot, 0x24, 0);
	pci_write(d->slot, 0x04, 0x406); /* memory, master, no INTx */
	d->bar = (volatile uint8_t *)(word)bar;
	d->q.desc = alloc_pages(1, 4096);
	d->q.avail = alloc_pages(1, 4096);
	d->q.used = alloc_pages(1, 4096);
	return true;
}

unsigned vdev_status(struct vdev *d)
{
	return d->bar[0x14];
}

void vdev_set_status(struct vdev *d, uint8_t status)
{
	d->bar[0x14] = status;
}

static void set_gpa(struct vdev *d, unsigned off, volatile void *p)
{
	vw32(d, off, (uint32_t)(word)p);
	vw32(d, off + 4, (uint32_t)((word)p >> 32));
}

/* A reset is over when the status reads 0 (§4.1.4.3.2): requests may still be on their way to the disk. */
static bool reset(struct vdev *d)
{
	vdev_set_status(d, 0);
	for (unsigned ms = 0; vdev_status(d); ms++) {
		if (ms == 10000)
			return false;
		wait_us(1000);
	}
	return true;
}

bool vdev_start(struct vdev *d, uint64_t features)
{
	features |= VF_VERSION_1;
	if (!reset(d))
		return false;
	vdev_set_status(d, 3);
	vw32(d, 8, 0);
	vw32(d, 12, (uint32_t)features);
	vw32(d, 8, 1);
	vw32(d, 12, (uint32_t)(features >> 32));
	vdev_set_status(d, 11);
	if (vdev_status(d) != 11)
		return false;
	memset((void *)d->q.desc, 0, 4096);
	memset((void *)d->q.avail, 0, 4096);
	memset((void *)d->q.used, 0, 4096);
	d->q.idx = 0;
	vw16(d, 0x16, 0);
	vw16(d, 0x18, VQ_SIZE);
	set_gpa(d, 0x20, d->q.desc);
	set_gpa(d, 0x28, d->q.avail);
	set_gpa(d, 0x30, d->q.used);
	vw16(d, 0x1c, 1);
	vdev_set_status(d, VS_OK);
	return vdev_status(d) == VS_OK;
}

void vdev_desc(volatile struct vdesc *table, unsigned i, uint64_t addr, uint32_t len,
	       unsigned flags, unsigned next)
{
	table[i].addr = addr;
	table[i].len = len;
	table[i].flags = (uint16_t)flags;
	table[i].next = (uint16_t)next;
}

void vdev_kick(struct vdev *d)
{
	vw16(d, 0x3000, 0);
}

void vdev_submit(struct vdev *d, unsigned head)
{
	d->q.avail[2 + d->q.idx % VQ_SIZE] = (uint16_t)head;
	asm volatile("" ::: "memory");
	d->q.avail[1] = ++d->q.idx;
	vdev_kick(d);
}

bool vdev_wait(struct vdev *d, uint16_t idx)
{
	for (unsigned ms = 0; ms < 10000; ms++) {
		if (d->q.used[1] == idx)
			return true;
		if (ms > 100)
			wait_us(1000);
	}
	return false;
}
