// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Conventional PCI: configuration space, BAR decoding, INTx and configuration mechanism #1.
 * Source: PCI Local Bus Specification 3.0; see pci.h.
 * Threads: with the VM lock held.
 * Saved state: version 1 (the bus: the address register; each function saves its own part).
 */
#include "bus/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"

#define PCI_DEVFNS 256u
#define PCI_PIRQS 4u
#define PCI_HEADER_BYTES 0x40u
#define PCI_ADDR_ENABLE 0x80000000u
/* Bits of the configuration address register that exist (PCI 3.0 §3.2.2.3.2). */
#define PCI_ADDR_MASK 0x80fffffcu
#define PCI_CAP_ALIGN 4u
/* No BAR above this: it would leave every processor's physical address space. */
#define PCI_MEM_LIMIT (1ull << 52)

struct pci_bus {
	struct device dev;
	struct bus *bus;
	struct pci_dev *fn[PCI_DEVFNS];
	struct irq_line pirq[PCI_PIRQS];
	uint16_t pirq_count[PCI_PIRQS]; /* functions that assert the line */
	struct pci_reset_port reset_port;
	void (*msi)(void *opaque, uint64_t addr, uint32_t data);
	void *msi_opaque;
	struct pci_msi_ways ways;
	uint32_t address; /* port 0xCF8 */
};

static void pci_bus_reset(struct device *dev)
{
	container_of(dev, struct pci_bus, dev)->address = 0;
}

static int pci_bus_post_load(struct device *dev)
{
	container_of(dev, struct pci_bus, dev)->address &= PCI_ADDR_MASK;
	return 0;
}

static const struct state_field pci_bus_fields[] = {
	STATE_FIELD(struct pci_bus, address),
	STATE_END,
};

static const struct device_class pci_bus_class = {
	.name = "pci-bus",
	.version = 1,
	.reset = pci_bus_reset,
	.fields = pci_bus_fields,
	.post_load = pci_bus_post_load,
};

struct pci_bus *pci_bus_new(struct bus *bus)
{
	struct pci_bus *pb = calloc(1, sizeof(*pb));

	if (!pb)
		return NULL;
	pb->dev.cls = &pci_bus_class;
	list_init(&pb->dev.link);
	pb->bus = bus;
	return pb;
}

void pci_bus_free(struct pci_bus *pb)
{
	free(pb);
}

struct device *pci_bus_device(struct pci_bus *pb)
{
	return &pb->dev;
}

struct bus *pci_bus_space(struct pci_bus *pb)
{
	return pb->bus;
}

void pci_bus_set_pirq(struct pci_bus *pb, const struct irq_line pirq[4])
{
	for (unsigned i = 0; i < PCI_PIRQS; i++) {
		pb->pirq[i] = pirq[i];
		irq_set(&pb->pirq[i], pb->pirq_count[i] != 0);
	}
}

void pci_bus_set_msi(struct pci_bus *pb, void (*send)(void *opaque, uint64_t addr, uint32_t data),
		     void *opaque)
{
	pb->msi = send;
	pb->msi_opaque = opaque;
}

void pci_bus_set_msi_ways(struct pci_bus *pb, const struct pci_msi_ways *ways)
{
	pb->ways = *ways;
}

void pci_bus_set_reset_port(struct pci_bus *pb, const struct pci_reset_port *port)
{
	pb->reset_port = *port;
}

struct pci_dev *pci_bus_find(struct pci_bus *pb, uint8_t devfn)
{
	return pb->fn[devfn];
}

/* Interrupts. */

unsigned pci_pirq_of(uint8_t devfn, unsigned pin)
{
	return ((unsigned)(devfn >> 3) + pin - 1 - 1) & (PCI_PIRQS - 1);
}

static void pci_update_intx(struct pci_dev *d)
{
	struct pci_bus *pb = d->bus;
	uint16_t status = reg_get16(&d->cfg, PCI_STATUS);
	unsigned pin = reg_get8(&d->cfg, PCI_INT_PIN);
	bool on = d->intx && !(reg_get16(&d->cfg, PCI_COMMAND) & PCI_COMMAND_INTX_OFF);
	unsigned line;

	if (!pin)
		return;
	status = (uint16_t)(d->intx ? status | PCI_STATUS_INTX : status & ~PCI_STATUS_INTX);
	reg_set16(&d->cfg, PCI_STATUS, status);
	if (on == d->intx_on)
		return;
	d->intx_on = on;
	line = pci_pirq_of(d->devfn, pin);
	if (on && pb->pirq_count[line]++ == 0)
		irq_set(&pb->pirq[line], true);
	else if (!on && --pb->pirq_count[line] == 0)
		irq_set(&pb->pirq[line], false);
}

void pci_irq_set(struct pci_dev *d, bool level)
{
	d->intx = level;
	pci_update_intx(d);
}

bool pci_is_master(const struct pci_dev *d)
{
	return reg_get16(&d->cfg, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

void pci_msi_send(struct pci_dev *d, uint64_t addr, uint32_t data)
{
	if (d->bus->msi && pci_is_master(d))
		d->bus->msi(d->bus->msi_opaque, addr, data);
}

void pci_msi_send_by(struct pci_dev *d, int way, uint64_t addr, uint32_t data)
{
	const struct pci_msi_ways *w = &d->bus->ways;

	if (way < 0 || !pci_is_master(d) || !w->send(w->opaque, way, addr, data))
		pci_msi_send(d, addr, data);
}

int pci_msi_way_open(struct pci_dev *d)
{
	const struct pci_msi_ways *w = &d->bus->ways;

	return w->open ? w->open(w->opaque) : -1;
}

void pci_msi_way_close(struct pci_dev *d, int way)
{
	if (way >= 0)
		d->bus->ways.close(d->bus->ways.opaque, way);
}

/* BARs. */

static uint32_t bar_off(unsigned n)
{
	return n == PCI_BAR_ROM ? PCI_ROM_BAR : PCI_BAR0 + 4 * n;
}

/* Where BAR n decodes, or false if it does not. */
static bool bar_decodes(const struct pci_dev *d, unsigned n, uint64_t *base)
{
	const struct pci_bar *b = &d->bar[n];
	uint16_t cmd = reg_get16(&d->cfg, PCI_COMMAND);
	uint32_t raw = reg_get32(&d->cfg, bar_off(n));
	uint64_t addr = raw & ~(b->size - 1);
	uint64_t last;

	if (b->kind == PCI_BAR_IO) {
		*base = addr;
		return (cmd & PCI_COMMAND_IO) && addr && range_ok(addr, b->size, 0x10000);
	}
	if (!(cmd & PCI_COMMAND_MEM) || (n == PCI_BAR_ROM && !(raw & 1)))
		return false;
	if (b->kind == PCI_BAR_MEM64)
		addr |= (uint64_t)reg_get32(&d->cfg, bar_off(n) + 4) << 32;
	addr &= ~(b->size - 1);
	*base = addr;
	/* Address 0 is "not assigned"; all ones is a sizing probe. */
	return addr && add_ok(addr, b->size - 1, &last) && last < PCI_MEM_LIMIT &&
	       last != UINT32_MAX;
}

static void bar_set(struct pci_dev *d, unsigned n, bool on, uint64_t base)
{
	struct pci_bar *b = &d->bar[n];

	if (on == b->mapped && (!on || base == b->base))
		return;
	if (b->mapped) {
		b->mapped = false;
		if (b->region)
			bus_region_enable(b->region, false);
		if (d->ops && d->ops->bar_moved)
			d->ops->bar_moved(d, n, false, b->base);
	}
	if (!on)
		return;
	log_trace(LOG_PCI, "pci %02x.%x: BAR %u at 0x%llx\n", d->devfn >> 3, d->devfn & 7, n,
		  (unsigned long long)base);
	b->mapped = true;
	b->base = base;
	if (b->region) {
		bus_region_move(b->region, base);
		bus_region_enable(b->region, true);
	}
	if (d->ops && d->ops->bar_moved)
		d->ops->bar_moved(d, n, true, base);
}

static void pci_update_bars(struct pci_dev *d)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		uint64_t base = 0;
		bool on;

		if (d->bar[n].kind == PCI_BAR_NONE || d->bar[n].kind == PCI_BAR_UPPER)
			continue;
		on = bar_decodes(d, n, &base);
		bar_set(d, n, on, base);
	}
}

static bool bar_fits(const struct pci_dev *d, unsigned n, enum pci_bar_kind kind, uint64_t size)
{
	uint64_t min = kind == PCI_BAR_IO ? 4 : n == PCI_BAR_ROM ? 2048 : 16;
	uint64_t max = kind == PCI_BAR_IO ? 256 : kind == PCI_BAR_MEM32 ? 1ull << 31 : 1ull << 40;

	if (n >= PCI_BARS || kind == PCI_BAR_NONE || kind == PCI_BAR_UPPER ||
	    d->bar[n].kind != PCI_BAR_NONE)
		return false;
	if (n == PCI_BAR_ROM && kind != PCI_BAR_MEM32)
		return false;
	if (kind == PCI_BAR_MEM64 && (n + 1 >= PCI_BAR_ROM || d->bar[n + 1].kind != PCI_BAR_NONE))
		return false;
	return size >= min && size <= max && (size & (size - 1)) == 0;
}

int pci_dev_add_bar(struct pci_dev *d, unsigned n, enum pci_bar_kind kind, bool prefetch,
		    uint64_t size, const struct bus_ops *ops, void *opaque, const char *name)
{
	uint32_t flags = kind == PCI_BAR_IO ? 1u : kind == PCI_BAR_MEM64 ? 4u : 0u;
	struct reg_desc reg = {.name = "BAR", .size = 4};

	if (!bar_fits(d, n, kind, size))
		return -EINVAL;
	if (ops) {
		d->bar[n].region =
			kind == PCI_BAR_IO
				? bus_map_pio(d->bus->bus, 0, (uint32_t)size, ops, opaque, name)
				: bus_map_mmio(d->bus->bus, 0, size, ops, opaque, name);
		if (!d->bar[n].region)
			return -ENOMEM;
		bus_region_enable(d->bar[n].region, false);
	}
	d->bar[n].kind = kind;
	d->bar[n].size = size;
	reg.off = (uint16_t)bar_off(n);
	reg.reset = flags | (prefetch && kind != PCI_BAR_IO ? 8u : 0u);
	reg.write = (uint32_t) ~(size - 1) | (n == PCI_BAR_ROM ? 1u : 0u);
	reg_file_add(&d->cfg, &reg, 1);
	if (kind == PCI_BAR_MEM64) {
		d->bar[n + 1].kind = PCI_BAR_UPPER;
		reg.off = (uint16_t)(reg.off + 4);
		reg.reset = 0;
		reg.write = (uint32_t)(~(size - 1) >> 32);
		reg_file_add(&d->cfg, &reg, 1);
	}
	return 0;
}

/* Functions. */

static void pci_fill_header(struct pci_dev *d, const struct pci_ident *id)
{
	const struct reg_desc header[] = {
		{"Vendor ID", PCI_VENDOR_ID, 2, id->vendor, 0, 0, 0},
		{"Device ID", PCI_DEVICE_ID, 2, id->device, 0, 0, 0},
		{"Command", PCI_COMMAND, 2, 0, 0x0547, 0, 0},
		{"Status", PCI_STATUS, 2, PCI_STATUS_DEVSEL_MEDIUM, 0, 0xf900, PCI_STATUS_INTX},
		{"Revision ID", PCI_REVISION, 1, id->revision, 0, 0, 0},
		{"Programming Interface", PCI_CLASS_PROG, 1, id->prog_if, 0, 0, 0},
		{"Class Code", PCI_CLASS, 2, id->class_code, 0, 0, 0},
		{"Cache Line Size", PCI_CACHE_LINE, 1, 0, 0xff, 0, 0},
		{"Latency Timer", PCI_LATENCY, 1, 0, 0xff, 0, 0},
		{"Header Type", PCI_HEADER_TYPE, 1, id->multifunction ? 0x80 : 0, 0, 0, 0},
		{"Subsystem Vendor ID", PCI_SUBSYS_VENDOR, 2, id->subsys_vendor, 0, 0, 0},
		{"Subsystem ID", PCI_SUBSYS_ID, 2, id->subsys, 0, 0, 0},
		{"Interrupt Line", PCI_INT_LINE, 1, 0, 0xff, 0, 0},
		{"Interrupt Pin", PCI_INT_PIN, 1, id->int_pin, 0, 0, 0},
	};

	reg_file_add(&d->cfg, header, ARRAY_SIZE(header));
}

int pci_dev_init(struct pci_dev *d, struct pci_bus *pb, uint8_t devfn, const struct pci_ident *id,
		 const struct device_class *cls, const struct pci_dev_ops *ops,
		 struct lodge_err *err)
{
	if (pb->fn[devfn])
		return err_set(err, -EBUSY,
			       "PCI slot %02x.%x already holds a %s: choose another slot for %s",
			       devfn >> 3, devfn & 7, pb->fn[devfn]->dev.cls->name, cls->name);
	memset(d, 0, sizeof(*d));
	d->dev.cls = cls;
	list_init(&d->dev.link);
	d->bus = pb;
	d->ops = ops;
	d->devfn = devfn;
	d->cap_end = PCI_HEADER_BYTES;
	pci_fill_header(d, id);
	pb->fn[devfn] = d;
	return 0;
}

void pci_dev_remove(struct pci_dev *d)
{
	for (unsigned n = 0; n < PCI_BARS; n++)
		bar_set(d, n, false, 0);
	pci_irq_set(d, false);
	d->bus->fn[d->devfn] = NULL;
}

void pci_dev_unmap(struct pci_dev *d)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		bar_set(d, n, false, 0);
		bus_unmap(d->bar[n].region);
		d->bar[n].region = NULL;
	}
}

void pci_dev_add_regs(struct pci_dev *d, const struct reg_desc *descs, size_t n)
{
	reg_file_add(&d->cfg, descs, n);
}

int pci_dev_add_cap(struct pci_dev *d, uint8_t id, uint8_t len)
{
	unsigned off = (unsigned)align_up(d->cap_end, PCI_CAP_ALIGN);
	unsigned next = reg_get8(&d->cfg, PCI_CAP_PTR);
	uint16_t status = (uint16_t)(d->cfg.reset[PCI_STATUS] | PCI_STATUS_CAPS);

	if (len < 2 || !range_ok(off, len, REG_FILE_BYTES - 1))
		return -ENOSPC;
	/* Last in, first in the list. */
	const struct reg_desc regs[] = {
		{"Capability ID", (uint16_t)off, 1, id, 0, 0, 0},
		{"Next Capability", (uint16_t)(off + 1), 1, next, 0, 0, 0},
		{"Capabilities Pointer", PCI_CAP_PTR, 1, off, 0, 0, 0},
	};

	reg_file_add(&d->cfg, regs, ARRAY_SIZE(regs));
	d->cfg.reset[PCI_STATUS] = (uint8_t)status;
	d->cfg.val[PCI_STATUS] |= PCI_STATUS_CAPS;
	d->cap_end = (uint8_t)(off + len);
	return (int)off;
}

void pci_dev_reset(struct pci_dev *d)
{
	/* The pin first: its status bit is recomputed from the registers. */
	pci_irq_set(d, false);
	reg_file_reset(&d->cfg);
	pci_update_bars(d);
}

int pci_dev_loaded(struct pci_dev *d)
{
	/* Only a function whose status register can show it drives its pin. */
	bool can_intx = d->cfg.live[PCI_STATUS] & PCI_STATUS_INTX;

	if (reg_file_check(&d->cfg) || d->intx > (can_intx ? 1 : 0))
		return -EINVAL;
	pci_update_bars(d);
	pci_update_intx(d);
	return 0;
}

/* Configuration accesses. */

uint32_t pci_config_read(struct pci_bus *pb, uint16_t bdf, unsigned off, unsigned size)
{
	struct pci_dev *d = bdf < PCI_DEVFNS ? pb->fn[bdf] : NULL;
	uint32_t val;

	if (!d)
		return UINT32_MAX >> (32 - 8 * size);
	if (d->ops && d->ops->config_reading)
		d->ops->config_reading(d, off, size);
	val = (uint32_t)reg_file_read(&d->cfg, off, size);
	log_trace(LOG_PCI, "pci %02x.%x: read  [0x%02x].%u = 0x%x\n", bdf >> 3, bdf & 7, off, size,
		  val);
	return val;
}

void pci_config_write(struct pci_bus *pb, uint16_t bdf, unsigned off, uint32_t val, unsigned size)
{
	struct pci_dev *d = bdf < PCI_DEVFNS ? pb->fn[bdf] : NULL;

	if (!d)
		return;
	log_trace(LOG_PCI, "pci %02x.%x: write [0x%02x].%u = 0x%x\n", bdf >> 3, bdf & 7, off, size,
		  val);
	reg_file_write(&d->cfg, off, val, size);
	if (reg_hit(off, size, PCI_COMMAND, 2) || reg_hit(off, size, PCI_BAR0, 24) ||
	    reg_hit(off, size, PCI_ROM_BAR, 4)) {
		pci_update_bars(d);
		pci_update_intx(d);
	}
	if (d->ops && d->ops->config_written)
		d->ops->config_written(d, off, size);
}

/*
 * Mechanism #1. Only a 32-bit access at 0xCF8 reaches the address register; narrower ones belong to
 * whatever sits at those ports (PCI 3.0 §3.2.2.3.2), which on a PIIX is 0xCF9.
 */
static uint64_t cfg1_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *pb = dev;
	unsigned byte = (unsigned)off & 3;
	unsigned n = size < 4 - byte ? size : 4 - byte;
	uint32_t val;

	if (off == 0 && size == 4)
		return pb->address;
	if (off == 1 && size == 1 && pb->reset_port.read)
		return pb->reset_port.read(pb->reset_port.opaque);
	if (off < 4 || !(pb->address & PCI_ADDR_ENABLE))
		return UINT64_MAX;
	val = pci_config_read(pb, (uint16_t)(pb->address >> 8), (pb->address & 0xfc) + byte, n);
	/* An access that runs past 0xCFF finds nobody there. */
	return n == 4 ? val : val | UINT64_MAX << (8 * n);
}

static void cfg1_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct pci_bus *pb = dev;
	unsigned byte = (unsigned)off & 3;
	unsigned n = size < 4 - byte ? size : 4 - byte;

	if (off == 0 && size == 4) {
		pb->address = (uint32_t)val & PCI_ADDR_MASK;
		return;
	}
	if (off == 1 && size == 1 && pb->reset_port.write) {
		pb->reset_port.write(pb->reset_port.opaque, (uint8_t)val);
		return;
	}
	if (off < 4 || !(pb->address & PCI_ADDR_ENABLE))
		return;
	pci_config_write(pb, (uint16_t)(pb->address >> 8), (pb->address & 0xfc) + byte,
			 (uint32_t)val, n);
}

const struct bus_ops pci_cfg1_ops = {
	.read = cfg1_read,
	.write = cfg1_write,
	.min_size = 1,
	.max_size = 4,
};
