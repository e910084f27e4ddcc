/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver's side of the RTL8139C+ for tests. Include it once, behind fake_time.h. */
#ifndef LODGE_TESTS_RTL8139_DRIVER_H
#define LODGE_TESTS_RTL8139_DRIVER_H

#include "devices/net/rtl8139_int.h"
#include "net_frames.h"
#include "wire.h"

#define RDRV_RAM (4u << 20)
#define RDRV_DEVFN pci_devfn(3, 0)
#define RDRV_MMIO 0xfeb00000u
#define RDRV_RING 0x20000u /* receive buffer of old mode */
#define RDRV_TX 0x1000u	   /* rings of C+ mode */
#define RDRV_RX 0x2000u
#define RDRV_DESCS 8u
#define RDRV_BUF 0x40000u
#define RDRV_DATA 0x100000u
#define D_OWN 0x80000000u
#define D_EOR 0x40000000u
#define D_FS 0x20000000u
#define D_LS 0x10000000u

struct rdrv {
	struct bus *bus;
	struct pci_bus *pb;
	struct mem *mem;
	struct wire pirq[4];
	struct rtl8139 *card;
	struct sink out;
};

static const uint8_t rdrv_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static inline uint32_t rdrv_rd(struct rdrv *d, unsigned off, unsigned size)
{
	return (uint32_t)bus_mmio_read(d->bus, RDRV_MMIO + off, size);
}

static inline void rdrv_wr(struct rdrv *d, unsigned off, uint32_t val, unsigned size)
{
	bus_mmio_write(d->bus, RDRV_MMIO + off, val, size);
}

static inline uint8_t *rdrv_p(struct rdrv *d, uint32_t gpa)
{
	return mem_base(d->mem) + gpa;
}

static inline void rdrv_place(struct rdrv *d)
{
	pci_config_write(d->pb, RDRV_DEVFN, PCI_BAR0, 0xc101, 4);
	pci_config_write(d->pb, RDRV_DEVFN, PCI_BAR0 + 4, RDRV_MMIO, 4);
	pci_config_write(d->pb, RDRV_DEVFN, PCI_COMMAND, 7, 2);
}

static inline void rdrv_init(struct rdrv *d, struct io_loop *loop)
{
	struct rtl8139_config cfg = {.loop = loop, .devfn = RDRV_DEVFN};
	struct irq_line pirq[4];

	memset(d, 0, sizeof(*d));
	d->bus = bus_new();
	d->pb = pci_bus_new(d->bus);
	d->mem = mem_new(RDRV_RAM, 0, NULL);
	if (!d->mem || mem_map(d->mem, 0, RDRV_RAM, MEM_RAM, 0))
		abort();
	for (unsigned i = 0; i < 4; i++)
		pirq[i] = wire_line(&d->pirq[i]);
	pci_bus_set_pirq(d->pb, pirq);
	cfg.mem = d->mem;
	memcpy(cfg.mac, rdrv_mac, 6);
	d->card = rtl8139_new(d->pb, &cfg, NULL);
	rtl8139_device(d->card)->cls->reset(rtl8139_device(d->card));
	sink_init(&d->out, SINK_FRAMES, 0);
	net_connect(rtl8139_end(d->card), &d->out.end);
	rdrv_place(d);
}

static inline void rdrv_free(struct rdrv *d)
{
	rtl8139_free(d->card);
	sink_clear(&d->out);
	pci_bus_free(d->pb);
	bus_free(d->bus);
	mem_free(d->mem);
}

static inline bool rdrv_irq(const struct rdrv *d)
{
	return d->pirq[0].level || d->pirq[1].level || d->pirq[2].level || d->pirq[3].level;
}

static inline void rdrv_old(struct rdrv *d, uint32_t rcr)
{
	rdrv_wr(d, RBSTART, RDRV_RING, 4);
	rdrv_wr(d, CR, CR_TE | CR_RE, 1);
	rdrv_wr(d, RCR, rcr, 4);
}

static inline void rdrv_desc(struct rdrv *d, uint32_t ring, unsigned i, uint32_t cmd, uint32_t vlan,
			     uint64_t addr)
{
	uint8_t *p = rdrv_p(d, ring + 16 * i);

	st_le32(p, cmd | (i + 1 == RDRV_DESCS ? D_EOR : 0));
	st_le32(p + 4, vlan);
	st_le64(p + 8, addr);
}

static inline void rdrv_cplus(struct rdrv *d, uint32_t rcr, uint32_t cpcr)
{
	memset(rdrv_p(d, RDRV_TX), 0, 0x2000);
	for (unsigned i = 0; i < RDRV_DESCS; i++)
		rdrv_desc(d, RDRV_RX, i, D_OWN | 1600, 0, RDRV_BUF + 0x1000 * i);
	rdrv_wr(d, CPCR, CPCR_TE | CPCR_RE | cpcr, 2);
	rdrv_wr(d, TSAD0, RDRV_TX, 4);
	rdrv_wr(d, RDSAR, RDRV_RX, 4);
	rdrv_wr(d, CR, CR_TE | CR_RE, 1);
	rdrv_wr(d, RCR, rcr, 4);
}

#endif
