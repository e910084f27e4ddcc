// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PIIX3 IDE: command and control blocks, bus-master DMA.
 * Source: see piix3_ide.h. Register table: docs/devices/piix3_ide.md. Saved state: version 1; the
 * drives have their own.
 * Threads: with the VM lock held.
 */
#include "devices/storage/piix3_ide.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define CFG_IDETIM 0x40u
#define IDETIM_DECODE 0x8000u

#define BM_REGS 8u /* a channel */
#define BM_CMD 0u
#define BM_CMD_START 0x01u
#define BM_CMD_TO_MEM 0x08u
#define BM_STATUS 2u
#define BM_STATUS_ACTIVE 0x01u
#define BM_STATUS_ERROR 0x02u
#define BM_STATUS_INTR 0x04u
#define BM_STATUS_RW 0x60u
#define BM_DTPR 4u

#define PRD_EOT 0x8000u

/* Command block. */
enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LBA0, REG_LBA1, REG_LBA2, REG_DEVICE, REG_STATUS };

/* How far a command has come through its table of physical regions. */
struct prd_cursor {
	uint64_t off;	     /* bytes of the command moved */
	uint32_t next;	     /* the next entry */
	uint32_t addr, left; /* of the present one */
	uint8_t last;	     /* it is the last */
};

struct ide_channel {
	struct piix3_ide *ide;
	struct ata_drive *drive[IDE_UNITS];
	struct bus_region *cmd_io, *ctl_io;
	struct irq_line irq;
	/* Saved. */
	uint8_t device;		    /* what was last written there: who is selected */
	uint8_t control;	    /* nIEN, SRST, HOB */
	uint8_t pending[IDE_UNITS]; /* a drive asks for an interrupt */
	uint8_t line;
	uint8_t bm_cmd, bm_status;
	uint32_t dtpr;
	uint32_t data_pos;	     /* within the selected drive's block */
	struct prd_cursor cur, prev; /* now, and before the last move */
};

struct piix3_ide {
	struct pci_dev pci; /* first */
	struct mem *mem;
	struct ide_channel ch[IDE_CHANNELS];
};

static const struct {
	uint16_t cmd, ctl;
} ports[IDE_CHANNELS] = {{0x1f0, 0x3f6}, {0x170, 0x376}};

static const struct reg_desc config_regs[] = {
	/* The chip is reset with decoding off; firmware for virtual machines (OVMF) takes it to be on. */
	{"IDETIM0", CFG_IDETIM, 2, IDETIM_DECODE, 0xffff, 0, 0},
	{"IDETIM1", CFG_IDETIM + 2, 2, IDETIM_DECODE, 0xffff, 0, 0},
	{"SIDETIM", 0x44, 1, 0, 0xff, 0, 0},
};

static const struct pci_ident ident = {
	.vendor = 0x8086,
	.device = 0x7010,
	.class_code = 0x0101,
	.prog_if = 0x80, /* bus master; both channels at the ports of old for good */
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
};

/* ---- Interrupts --------------------------------------------------------------------------------- */

static unsigned selected(const struct ide_channel *c)
{
	return c->device & ATA_DEVICE_DEV ? 1 : 0;
}

static void update_irq(struct ide_channel *c)
{
	bool on = c->pending[selected(c)] && !(c->control & ATA_CONTROL_NIEN);

	if (on == c->line)
		return;
	c->line = on;
	if (on)
		c->bm_status |= BM_STATUS_INTR;
	irq_set(&c->irq, on);
}

static void set_pending(struct ide_channel *c, const struct ata_drive *d, bool on)
{
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		if (c->drive[i] == d)
			c->pending[i] = on;
	}
	update_irq(c);
}

/* ---- Bus-master DMA ----------------------------------------------------------------------------- */

static bool engine_on(const struct ide_channel *c)
{
	return c->bm_cmd & BM_CMD_START && pci_is_master(&c->ide->pci);
}

static void rewind_cursor(struct ide_channel *c)
{
	c->cur = (struct prd_cursor){.next = c->dtpr};
	c->prev = c->cur;
}

/* The next entry; false at the end of the table, which stays within 64 KiB. */
static bool next_prd(struct ide_channel *c, struct prd_cursor *p)
{
	uint8_t e[8];

	if (p->last || mem_read(c->ide->mem, p->next, e, sizeof(e)))
		return false;
	p->addr = ld_le32(e) & ~1u;
	p->left = ld_le16(e + 4) & 0xfffeu;
	if (!p->left)
		p->left = 0x10000;
	p->last = (ld_le16(e + 6) & PRD_EOT) != 0;
	p->next = (p->next & 0xffff0000) | ((p->next + 8) & 0xffff);
	return true;
}

/* Memory that is not there swallows what is written and reads as ones. */
static void move_piece(struct ide_channel *c, uint32_t addr, uint8_t *buf, uint32_t n,
		       bool to_guest)
{
	if (to_guest) {
		if (mem_write(c->ide->mem, addr, buf, n))
			c->bm_status |= BM_STATUS_ERROR;
	} else if (mem_read(c->ide->mem, addr, buf, n)) {
		memset(buf, 0xff, n);
		c->bm_status |= BM_STATUS_ERROR;
	}
}

static uint32_t dma_move(void *opaque, struct ata_drive *d, uint64_t off, uint8_t *buf,
			 uint32_t len, bool to_guest)
{
	struct ide_channel *c = opaque;
	struct prd_cursor p = c->cur;
	uint32_t done = 0;

	(void)d;
	if (!engine_on(c))
		return 0;
	/* A step may be tried once more. */
	if (p.off != off)
		p = c->prev;
	if (p.off != off)
		return 0;
	c->prev = p;
	while (done < len && (p.left || next_prd(c, &p))) {
		uint32_t n = (uint32_t)min_u64(p.left, len - done);

		move_piece(c, p.addr, buf + done, n, to_guest);
		p.addr += n;
		p.left -= n;
		done += n;
	}
	p.off += done;
	c->cur = p;
	if (done < len || (!p.left && p.last))
		c->bm_status &= (uint8_t)~BM_STATUS_ACTIVE;
	return done;
}

static void host_dma(void *opaque, struct ata_drive *d)
{
	struct ide_channel *c = opaque;

	c->cur.off = c->prev.off = 0;
	if (engine_on(c))
		ata_dma_go(d);
}

static void host_pio(void *opaque, struct ata_drive *d, bool irq)
{
	struct ide_channel *c = opaque;

	c->data_pos = 0;
	if (irq)
		set_pending(c, d, true);
}

static void host_done(void *opaque, struct ata_drive *d, bool irq)
{
	if (irq)
		set_pending(opaque, d, true);
}

static void host_gone(void *opaque, struct ata_drive *d)
{
	struct ide_channel *c = opaque;

	for (unsigned i = 0; i < IDE_UNITS; i++) {
		if (c->drive[i] == d)
			c->drive[i] = NULL;
	}
}

static void bm_write_cmd(struct ide_channel *c, uint8_t val)
{
	bool was_on = c->bm_cmd & BM_CMD_START, on = val & BM_CMD_START;

	c->bm_cmd = val & (BM_CMD_START | BM_CMD_TO_MEM);
	if (!on) {
		c->bm_status &= (uint8_t)~BM_STATUS_ACTIVE;
		return;
	}
	if (was_on)
		return;
	c->bm_status |= BM_STATUS_ACTIVE;
	rewind_cursor(c);
	for (unsigned i = 0; i < IDE_UNITS && engine_on(c); i++) {
		if (c->drive[i])
			ata_dma_go(c->drive[i]);
	}
}

static uint8_t bm_read8(const struct ide_channel *c, unsigned reg)
{
	if (reg == BM_CMD)
		return c->bm_cmd;
	if (reg == BM_STATUS)
		return c->bm_status;
	return reg >= BM_DTPR ? (uint8_t)(c->dtpr >> (8 * (reg - BM_DTPR))) : 0;
}

static void bm_write8(struct ide_channel *c, unsigned reg, uint8_t val)
{
	unsigned shift = 8 * (reg - BM_DTPR);

	if (reg == BM_CMD) {
		bm_write_cmd(c, val);
	} else if (reg == BM_STATUS) {
		uint8_t keep = c->bm_status & ~(val & (BM_STATUS_ERROR | BM_STATUS_INTR));

		c->bm_status = (uint8_t)((keep & ~BM_STATUS_RW) | (val & BM_STATUS_RW));
	} else if (reg >= BM_DTPR) {
		c->dtpr = (c->dtpr & ~(0xffu << shift)) | (uint32_t)val << shift;
		c->dtpr &= ~3u;
	}
}

static uint64_t bm_read(void *dev, uint64_t off, unsigned size)
{
	struct piix3_ide *s = dev;
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)off + i;

		v |= (uint64_t)bm_read8(&s->ch[at / BM_REGS & 1], at % BM_REGS) << (8 * i);
	}
	return v;
}

static void bm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct piix3_ide *s = dev;

	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)off + i;

		bm_write8(&s->ch[at / BM_REGS & 1], at % BM_REGS, (uint8_t)(val >> (8 * i)));
	}
}

static const struct bus_ops bm_ops = {.read = bm_read, .write = bm_write};

/* ---- Data --------------------------------------------------------------------------------------- */

/* One access to the data register; the last of a block tells the drive. */
static uint64_t move_data(struct ide_channel *c, bool to_host, uint64_t val, unsigned size)
{
	struct ata_drive *d = c->drive[selected(c)];
	struct ata_block b = {0};
	uint64_t out = 0;

	if (d)
		b = ata_block(d);
	if (!b.data || b.to_host != to_host)
		return 0;
	for (unsigned i = 0; i < size && c->data_pos < b.len; i++, c->data_pos++) {
		if (to_host)
			out |= (uint64_t)b.data[c->data_pos] << (8 * i);
		else
			b.data[c->data_pos] = (uint8_t)(val >> (8 * i));
	}
	if (c->data_pos >= b.len) {
		c->data_pos = 0;
		ata_block_done(d);
	}
	return out;
}

/* ---- Command block ------------------------------------------------------------------------------ */

static uint8_t cmd_read8(struct ide_channel *c, unsigned reg)
{
	struct ata_drive *d = c->drive[selected(c)];
	unsigned hob = c->control & ATA_CONTROL_HOB ? 1 : 0;
	const struct ata_regs *r;

	if (!d) /* drive 0 answers for a drive 1 that is not there; nobody for a missing 0 */
		return 0;
	r = ata_drive_regs(d);
	switch (reg) {
	case REG_ERROR:
		return hob ? r->feature[1] : r->error;
	case REG_COUNT:
		return r->count[hob];
	case REG_LBA0:
		return r->lba0[hob];
	case REG_LBA1:
		return r->lba1[hob];
	case REG_LBA2:
		return r->lba2[hob];
	case REG_DEVICE:
		return (uint8_t)((r->device & ~ATA_DEVICE_DEV) | 0xa0 |
				 (c->device & ATA_DEVICE_DEV));
	default:
		set_pending(c, d, false);
		return r->status;
	}
}

static void push(uint8_t reg[2], uint8_t val)
{
	reg[1] = reg[0];
	reg[0] = val;
}

/* Both drives of a cable take what is written. */
static void write_reg(struct ata_regs *r, unsigned reg, uint8_t val)
{
	switch (reg) {
	case REG_ERROR:
		push(r->feature, val);
		break;
	case REG_COUNT:
		push(r->count, val);
		break;
	case REG_LBA0:
		push(r->lba0, val);
		break;
	case REG_LBA1:
		push(r->lba1, val);
		break;
	case REG_LBA2:
		push(r->lba2, val);
		break;
	default:
		r->device = val;
		break;
	}
}

static void write_command(struct ide_channel *c, uint8_t val)
{
	struct ata_drive *d = c->drive[selected(c)];

	if (val == ATA_CMD_DIAGNOSTIC) {
		c->device = 0;
		for (unsigned i = 0; i < IDE_UNITS; i++) {
			if (c->drive[i])
				ata_diagnose(c->drive[i]);
		}
		if (c->drive[0])
			set_pending(c, c->drive[0], true);
		return;
	}
	if (!d)
		return;
	set_pending(c, d, false);
	ata_execute(d, val);
}

static void cmd_write8(struct ide_channel *c, unsigned reg, uint8_t val)
{
	if (reg == REG_STATUS) {
		write_command(c, val);
		return;
	}
	c->control &= (uint8_t)~ATA_CONTROL_HOB;
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		if (c->drive[i])
			write_reg(ata_drive_regs(c->drive[i]), reg, val);
	}
	if (reg == REG_DEVICE) {
		if ((c->device ^ val) & ATA_DEVICE_DEV)
			c->data_pos = 0;
		c->device = val;
		update_irq(c);
	}
}

static uint64_t cmd_read(void *dev, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	if (off == REG_DATA)
		return move_data(dev, true, 0, size);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)cmd_read8(dev, (unsigned)(off + i) & 7) << (8 * i);
	return v;
}

static void cmd_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	if (off == REG_DATA) {
		move_data(dev, false, val, size);
		return;
	}
	for (unsigned i = 0; i < size && off + i <= REG_STATUS; i++)
		cmd_write8(dev, (unsigned)(off + i), (uint8_t)(val >> (8 * i)));
}

static uint64_t ctl_read(void *dev, uint64_t off, unsigned size)
{
	struct ide_channel *c = dev;
	struct ata_drive *d = c->drive[selected(c)];

	(void)off;
	(void)size;
	return d ? ata_drive_regs(d)->status : 0;
}

static void ctl_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct ide_channel *c = dev;
	bool srst = val & ATA_CONTROL_SRST;

	(void)off;
	(void)size;
	if ((c->control ^ val) & ATA_CONTROL_SRST) {
		for (unsigned i = 0; i < IDE_UNITS; i++) {
			c->pending[i] = 0;
			if (c->drive[i])
				ata_soft_reset(c->drive[i], srst);
		}
		c->device = 0;
		c->data_pos = 0;
	}
	c->control = val & (ATA_CONTROL_NIEN | ATA_CONTROL_SRST | ATA_CONTROL_HOB);
	update_irq(c);
}

static const struct bus_ops cmd_ops = {.read = cmd_read, .write = cmd_write};
static const struct bus_ops ctl_ops = {.read = ctl_read, .write = ctl_write, .max_size = 1};

/* ---- Configuration ------------------------------------------------------------------------------ */

static void map_ports(struct piix3_ide *s)
{
	bool io = reg_get16(&s->pci.cfg, PCI_COMMAND) & PCI_COMMAND_IO;

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		bool on = io && reg_get16(&s->pci.cfg, CFG_IDETIM + 2 * i) & IDETIM_DECODE;

		bus_region_enable(s->ch[i].cmd_io, on);
		bus_region_enable(s->ch[i].ctl_io, on);
	}
}

static void config_written(struct pci_dev *pd, unsigned off, unsigned size)
{
	if (reg_hit(off, size, PCI_COMMAND, 2) || reg_hit(off, size, CFG_IDETIM, 4))
		map_ports(container_of(pd, struct piix3_ide, pci));
}

void piix3_ide_program(struct piix3_ide *s, uint16_t bmdma)
{
	struct pci_bus *pb = s->pci.bus;

	pci_config_write(pb, s->pci.devfn, CFG_IDETIM, IDETIM_DECODE, 2);
	pci_config_write(pb, s->pci.devfn, CFG_IDETIM + 2, IDETIM_DECODE, 2);
	pci_config_write(pb, s->pci.devfn, PCI_BAR0 + 16, bmdma, 4);
	pci_config_write(pb, s->pci.devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static void ide_reset(struct device *dev)
{
	struct piix3_ide *s = container_of(dev, struct piix3_ide, pci.dev);

	pci_dev_reset(&s->pci);
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &s->ch[i];

		c->device = c->control = 0;
		c->pending[0] = c->pending[1] = 0;
		c->bm_cmd = c->bm_status = 0;
		c->dtpr = c->data_pos = 0;
		rewind_cursor(c);
		update_irq(c);
	}
	map_ports(s);
}

static int ide_post_load(struct device *dev)
{
	struct piix3_ide *s = container_of(dev, struct piix3_ide, pci.dev);

	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		const struct ide_channel *c = &s->ch[i];

		if (c->pending[0] > 1 || c->pending[1] > 1 || c->line > 1 || c->cur.last > 1 ||
		    c->prev.last > 1 || c->cur.left > 0x10000 || c->prev.left > 0x10000)
			return -EINVAL;
	}
	if (pci_dev_loaded(&s->pci))
		return -EINVAL;
	map_ports(s);
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &s->ch[i];

		c->control &= ATA_CONTROL_NIEN | ATA_CONTROL_SRST | ATA_CONTROL_HOB;
		c->line = c->pending[selected(c)] && !(c->control & ATA_CONTROL_NIEN);
		irq_set(&c->irq, c->line);
	}
	return 0;
}

#define CURSOR_FIELDS(m)                                                                      \
	STATE_FIELD(struct piix3_ide, m.off), STATE_FIELD(struct piix3_ide, m.next),          \
		STATE_FIELD(struct piix3_ide, m.addr), STATE_FIELD(struct piix3_ide, m.left), \
		STATE_FIELD(struct piix3_ide, m.last)
#define CHANNEL_FIELDS(i)                                                                          \
	STATE_FIELD(struct piix3_ide, ch[i].device), STATE_FIELD(struct piix3_ide, ch[i].control), \
		STATE_BUFFER(struct piix3_ide, ch[i].pending),                                     \
		STATE_FIELD(struct piix3_ide, ch[i].line),                                         \
		STATE_FIELD(struct piix3_ide, ch[i].bm_cmd),                                       \
		STATE_FIELD(struct piix3_ide, ch[i].bm_status),                                    \
		STATE_FIELD(struct piix3_ide, ch[i].dtpr),                                         \
		STATE_FIELD(struct piix3_ide, ch[i].data_pos), CURSOR_FIELDS(ch[i].cur),           \
		CURSOR_FIELDS(ch[i].prev)

static const struct state_field ide_fields[] = {
	PCI_STATE_FIELDS(struct piix3_ide, pci),
	CHANNEL_FIELDS(0),
	CHANNEL_FIELDS(1),
	STATE_END,
};

static const struct device_class ide_class = {
	.name = "piix3-ide",
	.version = 1,
	.reset = ide_reset,
	.fields = ide_fields,
	.post_load = ide_post_load,
};

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

/* ---- Life --------------------------------------------------------------------------------------- */

static bool map_channel(struct piix3_ide *s, unsigned i)
{
	struct bus *bus = pci_bus_space(s->pci.bus);
	struct ide_channel *c = &s->ch[i];

	c->ide = s;
	c->cmd_io = bus_map_pio(bus, ports[i].cmd, 8, &cmd_ops, c, "ide");
	if (!c->cmd_io)
		return false;
	bus_region_enable(c->cmd_io, false);
	c->ctl_io = bus_map_pio(bus, ports[i].ctl, 1, &ctl_ops, c, "ide control");
	if (!c->ctl_io)
		return false;
	bus_region_enable(c->ctl_io, false);
	return true;
}

struct piix3_ide *piix3_ide_new(struct pci_bus *pb, const struct piix3_ide_config *cfg,
				struct lodge_err *err)
{
	struct piix3_ide *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for the IDE controller: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, pci_devfn(1, 1), &ident, &ide_class, &pci_ops, err)) {
		free(s);
		return NULL;
	}
	pci_dev_add_regs(&s->pci, config_regs, ARRAY_SIZE(config_regs));
	s->mem = cfg->mem;
	for (unsigned i = 0; i < IDE_CHANNELS; i++)
		s->ch[i].irq = cfg->irq[i];
	if (!map_channel(s, 0) || !map_channel(s, 1) ||
	    pci_dev_add_bar(&s->pci, 4, PCI_BAR_IO, false, 2 * BM_REGS, &bm_ops, s, "ide dma")) {
		err_set(err, -ENOMEM, "no memory for the IDE controller: free some and retry");
		piix3_ide_free(s);
		return NULL;
	}
	return s;
}

void piix3_ide_free(struct piix3_ide *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		if (s->ch[i].cmd_io)
			bus_region_enable(s->ch[i].cmd_io, false);
		if (s->ch[i].ctl_io)
			bus_region_enable(s->ch[i].ctl_io, false);
	}
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *piix3_ide_device(struct piix3_ide *s)
{
	return &s->pci.dev;
}

int piix3_ide_attach(struct piix3_ide *s, unsigned channel, unsigned unit, struct ata_drive *d)
{
	struct ide_channel *c = &s->ch[channel];
	const struct ata_host host = {
		.opaque = c,
		.pio = host_pio,
		.dma = host_dma,
		.dma_move = dma_move,
		.done = host_done,
		.gone = host_gone,
	};

	if (c->drive[unit])
		return -EBUSY;
	c->drive[unit] = d;
	ata_drive_attach(d, &host, false);
	return 0;
}

struct ata_drive *piix3_ide_drive(struct piix3_ide *s, unsigned channel, unsigned unit)
{
	return s->ch[channel].drive[unit];
}
