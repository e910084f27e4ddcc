/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of PCI functions share, on top of device_harness.h. */
#ifndef LODGE_TESTS_FUZZ_PCI_HARNESS_H
#define LODGE_TESTS_FUZZ_PCI_HARNESS_H

#include "bus/pci.h"
#include "device_harness.h"

struct fuzz_pci {
	struct bus *bus;
	struct pci_bus *pb;
};

static inline struct fuzz_pci fuzz_pci_new(void)
{
	struct fuzz_pci p = {.bus = bus_new()};

	p.pb = pci_bus_new(p.bus);
	FUZZ_CHECK(p.bus && p.pb);
	FUZZ_CHECK(bus_map_pio(p.bus, PCI_CFG1_PORT, PCI_CFG1_LEN, &pci_cfg1_ops, p.pb, "pci"));
	return p;
}

static inline void fuzz_pci_free(struct fuzz_pci *p)
{
	pci_bus_free(p->pb);
	bus_free(p->bus);
}

/* One configuration access to `devfn`, by the ports, of any width at any place. */
static inline void fuzz_pci_config(struct fuzz_in *in, struct fuzz_pci *p, uint8_t devfn)
{
	uint8_t off = fuzz_u8(in), how = fuzz_u8(in);
	uint16_t port = (uint16_t)(0xcfc + (off & 3));
	unsigned size = 1u << (how >> 1) % 3;

	bus_pio_write(p->bus, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | (off & 0xfcu), 4);
	if (how & 1)
		FUZZ_CHECK(bus_pio_read(p->bus, port, size) >> (8 * size) == 0);
	else
		bus_pio_write(p->bus, port, fuzz_uint(in, size), size);
}

/* A function's identity outlives everything. */
static inline void fuzz_pci_check(struct fuzz_pci *p, uint8_t devfn, uint32_t id)
{
	FUZZ_CHECK(pci_config_read(p->pb, devfn, 0, 4) == id);
}

#endif
