/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver's side of the 82540EM for tests: PCI, memory, rings. Include it once, behind fake_time.h. */
#ifndef LODGE_TESTS_E1000_DRIVER_H
#define LODGE_TESTS_E1000_DRIVER_H

#include "devices/net/e1000_int.h"
#include "net_frames.h"
#include "wire.h"

#define EDRV_RAM (4u << 20)
#define EDRV_DEVFN pci_devfn(3, 0)
#define EDRV_MMIO 0xfeb00000u
#define EDRV_IO 0xc040u
#define EDRV_TX 0x1000u /* rings */
#define EDRV_RX 0x2000u
#define EDRV_DESCS 16u
#define EDRV_BUF 0x10000u /* receive buffers, 4 KiB apart */
#define EDRV_DATA 0x100000u

struct edrv {
	struct bus *bus;
	struct pci_bus *pb;
	struct mem *mem;
	struct wire pirq[4];
	struct e1000 *card;
	struct sink out; /* the other end */
};

static const uint8_t edrv_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static inline uint32_t edrv_rd(struct edrv *d, unsigned off)
{
	return (uint32_t)bus_mmio_read(d->bus, EDRV_MMIO + off, 4);
}

static inline void edrv_wr(struct edrv *d, unsigned off, uint32_t val)
{
	bus_mmio_write(d->bus, EDRV_MMIO + off, val, 4);
}

static inline uint8_t *edrv_p(struct edrv *d, uint32_t gpa)
{
	return mem_base(d->mem) + gpa;
}

static inline void edrv_init(struct edrv *d, struct io_loop *loop)
{
	struct e1000_config cfg = {.loop = loop, .devfn = EDRV_DEVFN};
	struct irq_line pirq[4];

	memset(d, 0, sizeof(*d));
	d->bus = bus_new();
	d->pb = pci_bus_new(d->bus);
	d->mem = mem_new(EDRV_RAM, 0, NULL);
	if (!d->mem || mem_map(d->mem, 0, EDRV_RAM, MEM_RAM, 0))
		abort();
	for (unsigned i = 0; i < 4; i++)
		pirq[i] = wire_line(&d->pirq[i]);
	pci_bus_set_pirq(d->pb, pirq);
	cfg.mem = d->mem;
	memcpy(cfg.mac, edrv_mac, 6);
	d->card = e1000_new(d->pb, &cfg, NULL);
	e1000_device(d->card)->cls->reset(e1000_device(d->card));
	sink_init(&d->out, SINK_FRAMES, 0);
	net_connect(e1000_end(d->card), &d->out.end);
	pci_config_write(d->pb, EDRV_DEVFN, PCI_BAR0, EDRV_MMIO, 4);
	pci_config_write(d->pb, EDRV_DEVFN, PCI_BAR0 + 4, EDRV_IO, 4);
	pci_config_write(d->pb, EDRV_DEVFN, PCI_COMMAND, 7, 2);
}

static inline void edrv_free(struct edrv *d)
{
	e1000_free(d->card);
	sink_clear(&d->out);
	pci_bus_free(d->pb);
	bus_free(d->bus);
	mem_free(d->mem);
}

static inline bool edrv_irq(const struct edrv *d)
{
	return d->pirq[0].level || d->pirq[1].level || d->pirq[2].level || d->pirq[3].level;
}

/* Both rings, transmitter and receiver on; all receive descriptors but one are the card's. */
static inline void edrv_start(struct edrv *d, uint32_t rctl)
{
	memset(edrv_p(d, EDRV_TX), 0, 2 * 0x1000);
	edrv_wr(d, TDBAL, EDRV_TX);
	edrv_wr(d, TDLEN, EDRV_DESCS * DESC_BYTES);
	edrv_wr(d, TCTL, TCTL_EN);
	for (unsigned i = 0; i < EDRV_DESCS; i++)
		st_le64(edrv_p(d, EDRV_RX + DESC_BYTES * i), EDRV_BUF + 0x1000 * i);
	edrv_wr(d, RDBAL, EDRV_RX);
	edrv_wr(d, RDLEN, EDRV_DESCS * DESC_BYTES);
	edrv_wr(d, RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC | rctl);
	edrv_wr(d, RDT, EDRV_DESCS - 1);
}

/* The descriptor at place `i` of the transmit ring. */
static inline void edrv_desc(struct edrv *d, unsigned i, uint64_t addr, uint32_t dw2, uint32_t dw3)
{
	uint8_t *p = edrv_p(d, EDRV_TX + DESC_BYTES * i);

	st_le64(p, addr);
	st_le32(p + 8, dw2);
	st_le32(p + 12, dw3);
}

#endif
