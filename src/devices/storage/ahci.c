// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AHCI: the adapter's and the ports' registers, interrupts, saved state.
 * Source: AHCI 1.3.1 §3 (registers), §10.7 (interrupts). Register table: docs/devices/ahci.md. Saved
 * state: version 1; commands under way are made again from the guest's memory.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/storage/ahci_int.h"

#define ABAR_BYTES 0x1000u
#define PORTS_AT 0x100u
#define PORT_BYTES 0x80u

/* Generic host control. */
enum { HBA_CAP = 0, HBA_GHC = 1, HBA_IS = 2, HBA_PI = 3, HBA_VS = 4 };

/* 64-bit addresses, NCQ, CLO, 3 Gb/s, AHCI only, PIO of several blocks, 32 slots, 6 ports. */
#define CAP_VALUE (0xc1248000u | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))
#define VS_VALUE 0x00010200u

#define GHC_HR 1u
#define GHC_IE 2u
#define GHC_AE 0x80000000u

#define SSTS_UP 0x123u /* device present, 3 Gb/s, active */
#define SERR_N (1u << 16)
#define SERR_X (1u << 26)
#define SCTL_DET 0x0fu

static const struct pci_ident ident = {
	.vendor = 0x8086,
	.device = 0x2922,
	.class_code = 0x0106,
	.prog_if = 0x01,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 1,
};

bool ahci_can_dma(const struct ahci *a)
{
	return pci_is_master(&a->pci);
}

/* ---- Interrupts --------------------------------------------------------------------------------- */

/* Two bits show what SERR holds. */
static uint32_t port_is(const struct ahci_port *p)
{
	uint32_t is = p->reg[PX_IS];

	if (p->reg[PX_SERR] & SERR_X)
		is |= PXIS_PCS;
	if (p->reg[PX_SERR] & SERR_N)
		is |= PXIS_PRCS;
	return is;
}

/* `event`: something happened that deserves a message of its own. */
static void update_irq(struct ahci *a, bool event)
{
	bool on;

	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		if (port_is(&a->port[i]) & a->port[i].reg[PX_IE])
			a->is |= 1u << i;
	}
	on = a->is && a->ghc & GHC_IE;
	if (msi_enabled(&a->msi)) {
		pci_irq_set(&a->pci, false);
		if (on && event)
			msi_notify(&a->msi);
	} else {
		pci_irq_set(&a->pci, on);
	}
}

void ahci_port_raise(struct ahci_port *p, uint32_t is)
{
	p->reg[PX_IS] |= is;
	update_irq(p->ahci, (is & p->reg[PX_IE]) != 0);
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static uint32_t port_tfd(const struct ahci_port *p)
{
	const struct ata_regs *r;

	if (!p->drive)
		return 0x7f;
	r = ata_drive_regs(p->drive);
	if (p->in_reset)
		return ATA_STATUS_BSY;
	return r->status | (uint32_t)r->error << 8;
}

static uint32_t port_cmd(const struct ahci_port *p)
{
	uint32_t v = p->reg[PX_CMD];

	if (v & PXCMD_FRE)
		v |= PXCMD_FR;
	if (v & PXCMD_ST || ahci_port_busy(p))
		v |= PXCMD_CR;
	if (p->slot != AHCI_NO_SLOT)
		v = (v & ~0x1f00u) | (uint32_t)p->slot << 8;
	return v;
}

static uint32_t port_ssts(const struct ahci_port *p)
{
	uint32_t det = p->reg[PX_SCTL] & SCTL_DET;

	if (det == 4)
		return 4; /* the interface is off */
	if (!p->drive || p->in_reset)
		return 0;
	return SSTS_UP;
}

static uint32_t port_read(const struct ahci_port *p, unsigned reg)
{
	switch (reg) {
	case PX_IS:
		return port_is(p);
	case PX_CMD:
		return port_cmd(p);
	case PX_TFD:
		return port_tfd(p);
	case PX_SSTS:
		return port_ssts(p);
	default:
		return reg < PX_REGS ? p->reg[reg] : 0;
	}
}

static void begin_comreset(struct ahci_port *p)
{
	p->in_reset = 1;
	ahci_port_stop(p);
	p->reg[PX_SIG] = 0xffffffff;
	if (p->drive)
		ata_soft_reset(p->drive, true);
}

static void end_comreset(struct ahci_port *p)
{
	p->in_reset = 0;
	if (!p->drive)
		return;
	p->reg[PX_SERR] |= SERR_X | SERR_N;
	ata_soft_reset(p->drive, false);
	update_irq(p->ahci, true);
}

static void write_sctl(struct ahci_port *p, uint32_t val)
{
	uint32_t det = val & SCTL_DET;

	p->reg[PX_SCTL] = val & 0xfff;
	if (det == 1 && !p->in_reset)
		begin_comreset(p);
	else if (det != 1 && p->in_reset)
		end_comreset(p);
}

static void write_cmd(struct ahci_port *p, uint32_t val)
{
	const uint32_t writable = PXCMD_ST | PXCMD_FRE | PXCMD_ATAPI;
	uint32_t old = p->reg[PX_CMD];

	p->reg[PX_CMD] = (old & ~writable) | (val & writable);
	if (old & PXCMD_ST && !(val & PXCMD_ST))
		ahci_port_stop(p);
	/* A drive that waits for memory it will not get is made to give up. */
	if (val & PXCMD_CLO && !(val & PXCMD_ST) && p->drive && !p->in_reset &&
	    !ata_drive_idle(p->drive)) {
		ata_soft_reset(p->drive, true);
		ata_soft_reset(p->drive, false);
	}
	/* The drive's first frame has waited for a place to go. */
	if (val & ~old & PXCMD_FRE && p->drive && !p->in_reset && ata_drive_idle(p->drive))
		ahci_port_signature(p);
	ahci_port_run(p);
}

static void port_write(struct ahci_port *p, unsigned reg, uint32_t val)
{
	switch (reg) {
	case PX_CLB:
		p->reg[reg] = val & ~0x3ffu;
		break;
	case PX_FB:
		p->reg[reg] = val & ~0xffu;
		break;
	case PX_CLBU:
	case PX_FBU:
		p->reg[reg] = val;
		break;
	case PX_IS:
		p->reg[reg] &= ~val;
		break;
	case PX_IE:
		p->reg[reg] = val & 0xfdc000ff;
		break;
	case PX_CMD:
		write_cmd(p, val);
		break;
	case PX_SCTL:
		write_sctl(p, val);
		break;
	case PX_SERR:
		p->reg[reg] &= ~val;
		break;
	case PX_SACT:
		if (p->reg[PX_CMD] & PXCMD_ST)
			p->reg[reg] |= val;
		break;
	case PX_CI:
		if (p->reg[PX_CMD] & PXCMD_ST)
			p->reg[reg] |= val;
		ahci_port_run(p);
		break;
	default:
		break;
	}
	update_irq(p->ahci, reg == PX_IE || reg == PX_IS);
}

/* ---- The adapter -------------------------------------------------------------------------------- */

static void reset_port(struct ahci_port *p)
{
	ahci_port_stop(p);
	memset(p->reg, 0, sizeof(p->reg));
	p->reg[PX_CMD] = PXCMD_SUD | PXCMD_POD;
	p->reg[PX_SIG] = 0xffffffff;
	p->in_reset = 0;
	p->pio_in = 0;
	p->pio_off = 0;
}

/* HBA reset: ports lose their state, and drives are reset (§10.4.3). */
static void hba_reset(struct ahci *a)
{
	a->ghc = GHC_AE;
	a->is = 0;
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *p = &a->port[i];

		reset_port(p);
		if (p->drive) {
			ata_soft_reset(p->drive, true);
			ata_soft_reset(p->drive, false);
			p->reg[PX_SERR] |= SERR_X | SERR_N;
		}
	}
	update_irq(a, false);
}

static uint32_t hba_read(const struct ahci *a, unsigned reg)
{
	switch (reg) {
	case HBA_CAP:
		return CAP_VALUE;
	case HBA_GHC:
		return a->ghc;
	case HBA_IS:
		return a->is;
	case HBA_PI:
		return (1u << AHCI_PORTS) - 1;
	case HBA_VS:
		return VS_VALUE;
	default:
		return 0;
	}
}

static void hba_write(struct ahci *a, unsigned reg, uint32_t val)
{
	if (reg == HBA_GHC) {
		if (val & GHC_HR) {
			hba_reset(a);
			return;
		}
		a->ghc = GHC_AE | (val & GHC_IE);
	} else if (reg == HBA_IS) {
		a->is &= ~val;
	}
	update_irq(a, true);
}

static uint64_t abar_read(void *dev, uint64_t off, unsigned size)
{
	struct ahci *a = dev;
	unsigned port = (unsigned)(off - PORTS_AT) / PORT_BYTES;

	(void)size;
	if (off < PORTS_AT)
		return hba_read(a, (unsigned)off / 4);
	if (port >= AHCI_PORTS)
		return 0;
	return port_read(&a->port[port], (unsigned)off % PORT_BYTES / 4);
}

/* Registers are doublewords; what is narrower is not taken (§3). */
static void abar_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct ahci *a = dev;
	unsigned port = (unsigned)(off - PORTS_AT) / PORT_BYTES;

	if (size != 4 || off % 4)
		return;
	if (off < PORTS_AT)
		hba_write(a, (unsigned)off / 4, (uint32_t)val);
	else if (port < AHCI_PORTS)
		port_write(&a->port[port], (unsigned)off % PORT_BYTES / 4, (uint32_t)val);
}

static const struct bus_ops abar_ops = {abar_read, abar_write, 4, 4};

/* ---- Reset and saved state ----------------------------------------------------------------------- */

static void ahci_reset(struct device *dev)
{
	struct ahci *a = ahci_of_device(dev);

	pci_dev_reset(&a->pci);
	a->ghc = GHC_AE;
	a->is = 0;
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		ahci_ncq_quiesce(&a->port[i]);
		reset_port(&a->port[i]);
	}
	update_irq(a, false);
}

static bool port_ok(const struct ahci_port *p)
{
	return (p->slot < AHCI_SLOTS || p->slot == AHCI_NO_SLOT) && p->in_reset <= 1 &&
	       p->halted <= 1 && p->pio_in <= 1 && (p->drive || !p->active) &&
	       !(p->reg[PX_CLB] & 0x3ff) && !(p->reg[PX_FB] & 0xff);
}

/* Find again in the guest's memory what was under way. */
static void resume_port(struct ahci_port *p)
{
	uint32_t active = p->active, flags;
	struct prdt_cursor cur;

	p->active = 0;
	if (p->slot != AHCI_NO_SLOT &&
	    (!ahci_read_header(p, p->slot, &p->cur, p->fis, &flags) || !p->drive))
		p->halted = 1;
	p->prev = p->cur;
	for (unsigned i = 0; i < AHCI_SLOTS; i++) {
		if (active & 1u << i && ahci_read_header(p, i, &cur, p->fis, &flags) &&
		    ahci_is_ncq(p->fis[2]))
			ahci_ncq_start(p, i, &cur);
	}
}

static int ahci_post_load(struct device *dev)
{
	struct ahci *a = ahci_of_device(dev);

	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *p = &a->port[i];
		uint32_t active = p->active;

		ahci_ncq_quiesce(p);
		p->active = active;
	}
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		if (!port_ok(&a->port[i]) || a->ghc & ~(GHC_AE | GHC_IE))
			goto refuse;
	}
	if (pci_dev_loaded(&a->pci))
		goto refuse;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		resume_port(&a->port[i]);
	update_irq(a, false);
	return 0;
refuse:
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		a->port[i].active = 0;
		a->port[i].slot = AHCI_NO_SLOT;
	}
	return -EINVAL;
}

#define PORT_FIELDS(i)                                                                 \
	STATE_ARRAY(struct ahci, port[i].reg), STATE_FIELD(struct ahci, port[i].slot), \
		STATE_FIELD(struct ahci, port[i].in_reset),                            \
		STATE_FIELD(struct ahci, port[i].halted),                              \
		STATE_FIELD(struct ahci, port[i].pio_in),                              \
		STATE_FIELD(struct ahci, port[i].active),                              \
		STATE_FIELD(struct ahci, port[i].pio_off)

static const struct state_field ahci_fields[] = {
	PCI_STATE_FIELDS(struct ahci, pci),
	STATE_FIELD(struct ahci, ghc),
	STATE_FIELD(struct ahci, is),
	PORT_FIELDS(0),
	PORT_FIELDS(1),
	PORT_FIELDS(2),
	PORT_FIELDS(3),
	PORT_FIELDS(4),
	PORT_FIELDS(5),
	STATE_END,
};

const struct device_class ahci_class = {
	.name = "ahci",
	.version = 1,
	.reset = ahci_reset,
	.fields = ahci_fields,
	.post_load = ahci_post_load,
};

static void config_written(struct pci_dev *pd, unsigned off, unsigned size)
{
	struct ahci *a = container_of(pd, struct ahci, pci);

	if (reg_hit(off, size, PCI_COMMAND, 2) || reg_hit(off, size, a->msi.cap, 4)) {
		for (unsigned i = 0; i < AHCI_PORTS; i++)
			ahci_port_run(&a->port[i]);
		update_irq(a, true);
	}
}

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

/* ---- Life --------------------------------------------------------------------------------------- */

struct ahci *ahci_new(struct pci_bus *pb, uint8_t devfn, struct mem *mem, struct lodge_err *err)
{
	struct ahci *a = calloc(1, sizeof(*a));

	if (!a) {
		err_set(err, -ENOMEM, "no memory for an AHCI adapter: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&a->pci, pb, devfn, &ident, &ahci_class, &pci_ops, err)) {
		free(a);
		return NULL;
	}
	a->mem = mem;
	if (msi_init(&a->msi, &a->pci) ||
	    pci_dev_add_bar(&a->pci, 5, PCI_BAR_MEM32, false, ABAR_BYTES, &abar_ops, a, "ahci")) {
		err_set(err, -ENOMEM, "no memory for an AHCI adapter: free some and retry");
		ahci_free(a);
		return NULL;
	}
	a->ghc = GHC_AE;
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		a->port[i].ahci = a;
		reset_port(&a->port[i]);
	}
	return a;
}

void ahci_free(struct ahci *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_ncq_quiesce(&a->port[i]);
	pci_dev_remove(&a->pci);
	free(a);
}

struct device *ahci_device(struct ahci *a)
{
	return &a->pci.dev;
}

struct ahci *ahci_of_device(struct device *dev)
{
	return container_of(dev, struct ahci, pci.dev);
}

uint8_t ahci_devfn(const struct ahci *a)
{
	return a->pci.devfn;
}

int ahci_attach(struct ahci *a, unsigned port, struct ata_drive *d)
{
	if (a->port[port].drive)
		return -EBUSY;
	ahci_port_attach(&a->port[port], d);
	return 0;
}

struct ata_drive *ahci_drive(struct ahci *a, unsigned port)
{
	return a->port[port].drive;
}
