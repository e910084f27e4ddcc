// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AHCI: a port's commands and frames.
 * Source: AHCI 1.3.1 §4 (memory structures), §5 (state machines); Serial ATA 2.6 §10.3.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/ahci_int.h"

#define FIS_H2D 0x27u
#define FIS_D2H 0x34u
#define FIS_SDB 0xa1u
#define FIS_PIO_SETUP 0x5fu
#define FIS_COMMAND 0x80u /* bit C of a register frame */
#define FIS_INTERRUPT 0x40u
#define FIS_TO_HOST 0x20u

/* In the guest's receive area. */
#define RX_PIO_SETUP 0x20u
#define RX_D2H 0x40u
#define RX_SDB 0x58u

#define HEADER_BYTES 32u
#define TABLE_ACMD 0x40u
#define TABLE_PRDT 0x80u

/* ---- Structures in the guest's memory ------------------------------------------------------------ */

static uint64_t reg64(const struct ahci_port *p, unsigned low)
{
	return p->reg[low] | (uint64_t)p->reg[low + 1] << 32;
}

static gpa_t header_at(const struct ahci_port *p, unsigned slot)
{
	return reg64(p, PX_CLB) + HEADER_BYTES * slot;
}

bool ahci_read_header(struct ahci_port *p, unsigned slot, struct prdt_cursor *cur, uint8_t fis[64],
		      uint32_t *flags)
{
	uint8_t h[HEADER_BYTES];
	uint64_t table;

	if (mem_read(p->ahci->mem, header_at(p, slot), h, sizeof(h)))
		return false;
	table = ld_le64(h + 8) & ~0x7full;
	*flags = ld_le32(h);
	*cur = (struct prdt_cursor){.entries = *flags >> 16, .table = table + TABLE_PRDT};
	return mem_read(p->ahci->mem, table, fis, 64) == 0;
}

void ahci_write_prdbc(struct ahci_port *p, unsigned slot, uint64_t bytes)
{
	uint8_t b[4];

	st_le32(b, (uint32_t)bytes);
	if (mem_write(p->ahci->mem, header_at(p, slot) + 4, b, sizeof(b)))
		ahci_port_raise(p, PXIS_HBFS);
}

static bool next_prd(struct ahci_port *p, struct prdt_cursor *c)
{
	uint8_t e[16];

	if (c->index >= c->entries)
		return false;
	if (mem_read(p->ahci->mem, c->table + 16ull * c->index, e, sizeof(e))) {
		ahci_port_raise(p, PXIS_HBFS);
		return false;
	}
	c->index++;
	c->addr = ld_le64(e) & ~1ull;
	c->left = (ld_le32(e + 12) & 0x3fffff) + 1;
	c->interrupt = (ld_le32(e + 12) & 0x80000000u) != 0;
	return true;
}

/* Memory that is not there swallows what is written, reads as ones, and is told of. */
static void move_piece(struct ahci_port *p, gpa_t at, uint8_t *buf, uint32_t n, bool to_guest)
{
	int r = to_guest ? mem_write(p->ahci->mem, at, buf, n) : mem_read(p->ahci->mem, at, buf, n);

	if (!r)
		return;
	if (!to_guest)
		memset(buf, 0xff, n);
	ahci_port_raise(p, PXIS_HBFS);
}

uint32_t ahci_prdt_move(struct ahci_port *p, struct prdt_cursor *c, uint8_t *buf, uint32_t len,
			bool to_guest)
{
	uint32_t done = 0;

	if (!ahci_can_dma(p->ahci))
		return 0;
	while (done < len && (c->left || next_prd(p, c))) {
		uint32_t n = (uint32_t)min_u64(c->left, len - done);

		if (buf)
			move_piece(p, c->addr, buf + done, n, to_guest);
		c->addr += n;
		c->left -= n;
		done += n;
		if (!c->left && c->interrupt && buf)
			ahci_port_raise(p, PXIS_DPS);
	}
	c->off += done;
	return done;
}

/* ---- Frames to the guest ------------------------------------------------------------------------ */

static void send_frame(struct ahci_port *p, unsigned at, const uint8_t *fis, unsigned n)
{
	if (p->reg[PX_CMD] & PXCMD_FRE && ahci_can_dma(p->ahci) &&
	    mem_write(p->ahci->mem, reg64(p, PX_FB) + at, fis, n))
		ahci_port_raise(p, PXIS_HBFS);
}

static void put_regs(uint8_t *f, const struct ata_regs *r)
{
	f[2] = r->status;
	f[3] = r->error;
	f[4] = r->lba0[0];
	f[5] = r->lba1[0];
	f[6] = r->lba2[0];
	f[7] = r->device;
	f[8] = r->lba0[1];
	f[9] = r->lba1[1];
	f[10] = r->lba2[1];
	f[12] = r->count[0];
	f[13] = r->count[1];
}

void ahci_send_d2h(struct ahci_port *p, uint32_t is)
{
	uint8_t f[20] = {FIS_D2H, is & PXIS_DHRS ? FIS_INTERRUPT : 0};

	put_regs(f, ata_drive_regs(p->drive));
	send_frame(p, RX_D2H, f, sizeof(f));
	if (is)
		ahci_port_raise(p, is);
}

void ahci_send_sdb(struct ahci_port *p, uint32_t done, uint8_t status, uint8_t error)
{
	uint8_t f[8] = {FIS_SDB, FIS_INTERRUPT, status & 0x77, error};

	st_le32(f + 4, done);
	send_frame(p, RX_SDB, f, sizeof(f));
	p->reg[PX_SACT] &= ~done;
	ahci_port_raise(p, PXIS_SDBS | (status & ATA_STATUS_ERR ? PXIS_TFES : 0));
}

static void send_pio_setup(struct ahci_port *p, const struct ata_block *b, bool irq)
{
	uint8_t f[20] = {FIS_PIO_SETUP};
	const struct ata_regs *r = ata_drive_regs(p->drive);

	f[1] = (uint8_t)((irq ? FIS_INTERRUPT : 0) | (b->to_host ? FIS_TO_HOST : 0));
	put_regs(f, r);
	f[15] = ATA_STATUS_DRDY | ATA_STATUS_DSC; /* what status is afterwards */
	st_le16(f + 16, (uint16_t)b->len);
	send_frame(p, RX_PIO_SETUP, f, sizeof(f));
	if (irq)
		ahci_port_raise(p, PXIS_PSS);
}

/* ---- What the drive asks ------------------------------------------------------------------------ */

/* Move one block of PIO; false when it cannot be. */
static bool pump_block(struct ahci_port *p, const struct ata_block *b, bool irq)
{
	if (p->slot == AHCI_NO_SLOT)
		return false;
	if (b->packet) {
		if (mem_read(p->ahci->mem, p->cur.table - TABLE_PRDT + TABLE_ACMD, b->data,
			     b->len)) {
			ahci_port_raise(p, PXIS_HBFS);
			return false;
		}
		send_pio_setup(p, b, false);
		return true;
	}
	if (ahci_prdt_move(p, &p->cur, b->data, b->len, b->to_host) != b->len) {
		ahci_port_raise(p, PXIS_OFS);
		return false;
	}
	p->pio_off = p->cur.off;
	p->pio_in = b->to_host;
	send_pio_setup(p, b, irq);
	return true;
}

/* The drive may offer the next block inside ata_block_done(). */
static void host_pio(void *opaque, struct ata_drive *d, bool irq)
{
	struct ahci_port *p = opaque;

	p->pio_irq = irq;
	if (p->pumping)
		return;
	p->pumping = true;
	for (struct ata_block b = ata_block(d); b.data; b = ata_block(d)) {
		if (!pump_block(p, &b, p->pio_irq))
			break;
		ata_block_done(d);
	}
	p->pumping = false;
}

static void host_dma(void *opaque, struct ata_drive *d)
{
	(void)opaque;
	ata_dma_go(d);
}

/* The cursor for byte `off` of the command: the present one, the last, or found from the start. */
static bool seek(struct ahci_port *p, uint64_t off)
{
	uint32_t flags;
	uint8_t fis[64];

	if (p->cur.off == off)
		return true;
	if (p->prev.off == off && p->prev.table == p->cur.table) {
		p->cur = p->prev;
		return true;
	}
	if (!ahci_read_header(p, p->slot, &p->cur, fis, &flags))
		return false;
	while (p->cur.off < off) {
		uint32_t n = (uint32_t)min_u64(off - p->cur.off, 1u << 30);

		if (ahci_prdt_move(p, &p->cur, NULL, n, false) != n)
			return false;
	}
	return true;
}

static uint32_t host_dma_move(void *opaque, struct ata_drive *d, uint64_t off, uint8_t *buf,
			      uint32_t len, bool to_guest)
{
	struct ahci_port *p = opaque;
	uint32_t n;

	(void)d;
	if (!(p->reg[PX_CMD] & PXCMD_ST) || p->slot == AHCI_NO_SLOT || !seek(p, off))
		return 0;
	p->prev = p->cur;
	n = ahci_prdt_move(p, &p->cur, buf, len, to_guest);
	if (n < len)
		ahci_port_raise(p, PXIS_OFS);
	return n;
}

static void host_done(void *opaque, struct ata_drive *d, bool irq)
{
	struct ahci_port *p = opaque;
	uint8_t slot = p->slot;

	if (slot == AHCI_NO_SLOT)
		return;
	p->slot = AHCI_NO_SLOT;
	ahci_write_prdbc(p, slot, p->cur.off);
	if (ata_drive_regs(d)->status & ATA_STATUS_ERR) {
		p->halted = 1;
		p->reg[PX_CMD] = (p->reg[PX_CMD] & ~0x1f00u) | (uint32_t)slot << 8;
		ahci_send_d2h(p, PXIS_DHRS | PXIS_TFES);
		return;
	}
	p->reg[PX_CI] &= ~(1u << slot);
	if (irq)
		ahci_send_d2h(p, PXIS_DHRS);
	ahci_port_run(p);
}

void ahci_port_signature(struct ahci_port *p)
{
	const struct ata_regs *r = ata_drive_regs(p->drive);
	bool diagnostic = p->slot != AHCI_NO_SLOT;

	p->reg[PX_SIG] = r->count[0] | (uint32_t)r->lba0[0] << 8 | (uint32_t)r->lba1[0] << 16 |
			 (uint32_t)r->lba2[0] << 24;
	if (diagnostic) {
		p->reg[PX_CI] &= ~(1u << p->slot);
		p->slot = AHCI_NO_SLOT;
	}
	ahci_send_d2h(p, diagnostic ? PXIS_DHRS : 0);
}

static void host_reset_done(void *opaque, struct ata_drive *d)
{
	struct ahci_port *p = opaque;

	(void)d;
	if (p->in_reset)
		return;
	ahci_port_signature(p);
	ahci_port_run(p);
}

static void host_gone(void *opaque, struct ata_drive *d)
{
	struct ahci_port *p = opaque;

	(void)d;
	ahci_ncq_quiesce(p);
	p->drive = NULL;
}

void ahci_port_attach(struct ahci_port *p, struct ata_drive *d)
{
	const struct ata_host host = {
		.opaque = p,
		.pio = host_pio,
		.dma = host_dma,
		.dma_move = host_dma_move,
		.done = host_done,
		.reset_done = host_reset_done,
		.gone = host_gone,
	};

	p->drive = d;
	ata_drive_attach(d, &host, true);
}

/* ---- Commands ----------------------------------------------------------------------------------- */

static void load_regs(struct ata_regs *r, const uint8_t *f)
{
	r->feature[0] = f[3];
	r->lba0[0] = f[4];
	r->lba1[0] = f[5];
	r->lba2[0] = f[6];
	r->device = f[7];
	r->lba0[1] = f[8];
	r->lba1[1] = f[9];
	r->lba2[1] = f[10];
	r->feature[1] = f[11];
	r->count[0] = f[12];
	r->count[1] = f[13];
}

/* A frame that writes the control register: only SRST means something here. */
static void take_control(struct ahci_port *p, unsigned slot)
{
	p->reg[PX_CI] &= ~(1u << slot);
	ata_soft_reset(p->drive, p->fis[15] & ATA_CONTROL_SRST);
}

static void take_plain(struct ahci_port *p, unsigned slot, const struct prdt_cursor *cur)
{
	p->slot = (uint8_t)slot;
	p->cur = p->prev = *cur;
	p->pio_off = 0;
	p->pio_in = 0;
	load_regs(ata_drive_regs(p->drive), p->fis);
	if (p->fis[2] == ATA_CMD_DIAGNOSTIC)
		ata_diagnose(p->drive);
	else
		ata_execute(p->drive, p->fis[2]);
}

/* Begin what is in `slot`; false when it must wait. */
static bool take(struct ahci_port *p, unsigned slot)
{
	struct ata_drive *d = p->drive;
	struct prdt_cursor cur;
	uint32_t flags;
	bool ncq;

	if (!ahci_read_header(p, slot, &cur, p->fis, &flags) || p->fis[0] != FIS_H2D) {
		p->halted = 1;
		ahci_port_raise(p, PXIS_HBFS);
		return false;
	}
	if (p->fis[1] & 0x0f) { /* nobody is behind that port of a multiplier */
		p->slot = (uint8_t)slot;
		return false;
	}
	ncq = p->fis[1] & FIS_COMMAND && ahci_is_ncq(p->fis[2]) && !ata_is_cdrom(d);
	if (p->active && (!ncq || p->active & 1u << slot))
		return false;
	if (!(p->fis[1] & FIS_COMMAND)) {
		take_control(p, slot);
		return true;
	}
	if (!ata_drive_idle(d))
		return false;
	if (!ncq) {
		take_plain(p, slot, &cur);
		return true;
	}
	ata_drive_regs(d)->status = ATA_STATUS_DRDY | ATA_STATUS_DSC;
	ata_drive_regs(d)->error = 0;
	p->reg[PX_CI] &= ~(1u << slot);
	ahci_ncq_start(p, slot, &cur);
	return true;
}

static bool may_run(const struct ahci_port *p)
{
	return p->drive && p->reg[PX_CMD] & PXCMD_ST && !p->halted && !p->in_reset &&
	       p->slot == AHCI_NO_SLOT && p->reg[PX_CI] && ahci_can_dma(p->ahci);
}

void ahci_port_run(struct ahci_port *p)
{
	struct blk_queue *q;

	if (p->running)
		return;
	p->running = true;
	q = p->drive ? ata_drive_queue(p->drive) : NULL;
	if (q)
		blk_queue_plug(q);
	while (may_run(p) && take(p, (unsigned)__builtin_ctz(p->reg[PX_CI])))
		;
	p->running = false;
	if (q)
		blk_queue_unplug_now(q);
}

bool ahci_port_busy(const struct ahci_port *p)
{
	return p->drive && (p->active || ata_drive_busy(p->drive));
}

void ahci_port_stop(struct ahci_port *p)
{
	p->reg[PX_CI] = 0;
	p->reg[PX_SACT] = 0;
	p->reg[PX_CMD] &= ~0x1f00u;
	p->slot = AHCI_NO_SLOT;
	p->halted = 0;
}
