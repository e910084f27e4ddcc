// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AHCI: native command queuing. Up to 32 reads and writes are under way at once, each with a request
 * and a buffer of its own.
 * Source: ATA8-ACS §4.15, 7.60, 7.72 (READ, WRITE FPDMA QUEUED); Serial ATA 2.6 §13.6; AHCI 1.3.1 §5.6.
 * Threads: with the VM lock held.
 */
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/storage/ahci_int.h"

#define CMD_READ_FPDMA 0x60u
#define CMD_WRITE_FPDMA 0x61u
#define SECTOR 512u

#define ERROR_ABRT 0x04u
#define ERROR_IDNF 0x10u
#define ERROR_UNC 0x40u
#define STATUS_OK (ATA_STATUS_DRDY)
#define STATUS_FAILED (ATA_STATUS_DRDY | ATA_STATUS_ERR)

bool ahci_is_ncq(uint8_t cmd)
{
	return cmd == CMD_READ_FPDMA || cmd == CMD_WRITE_FPDMA;
}

static unsigned tag_of(const struct ahci_ncq *n)
{
	return (unsigned)(n - n->port->ncq);
}

static void release(struct ahci_ncq *n)
{
	free(n->buf);
	n->buf = NULL;
	n->active = false;
	n->port->active &= ~(1u << tag_of(n));
}

/* The first that fails stops the queue; the others end unheard (Serial ATA 2.6 §13.6.3.3). */
static void ncq_fail(struct ahci_ncq *n, uint8_t error)
{
	struct ahci_port *p = n->port;
	struct ata_regs *r = ata_drive_regs(p->drive);

	ata_set_ncq_error(p->drive, tag_of(n), STATUS_FAILED, error, n->lba, n->device);
	release(n);
	p->halted = 1;
	r->status = STATUS_FAILED;
	r->error = error;
	ahci_send_sdb(p, 0, STATUS_FAILED, error);
}

static void ncq_step(struct ahci_ncq *n);

static void ncq_end(struct ahci_ncq *n)
{
	struct ahci_port *p = n->port;
	uint32_t bit = 1u << tag_of(n);

	release(n);
	ahci_send_sdb(p, bit, STATUS_OK, 0);
	ahci_port_run(p);
}

static void ncq_done(struct blk_req *req, int result)
{
	struct ahci_ncq *n = container_of(req, struct ahci_ncq, req);
	struct ahci_port *p = n->port;

	if (!(p->reg[PX_CMD] & PXCMD_ST) || p->halted) {
		release(n);
		if (!p->active)
			ahci_port_run(p); /* ends a stop */
		return;
	}
	if (result && !n->write && n->chunk > 1) {
		/* Again, sector by sector: the guest gets what is before the bad one. */
		n->most = 1;
		ncq_step(n);
		return;
	}
	if (result) {
		ncq_fail(n, n->write ? ERROR_ABRT : ERROR_UNC);
		return;
	}
	if (!n->write &&
	    ahci_prdt_move(p, &n->cur, n->buf, n->chunk * SECTOR, true) != n->chunk * SECTOR) {
		ncq_fail(n, ERROR_ABRT);
		return;
	}
	n->lba += n->chunk;
	n->left -= n->chunk;
	if (n->left)
		ncq_step(n);
	else
		ncq_end(n);
}

static void ncq_step(struct ahci_ncq *n)
{
	struct ahci_port *p = n->port;
	uint32_t bytes;

	n->chunk = (uint32_t)min_u64(n->left, n->most);
	bytes = n->chunk * SECTOR;
	if (n->write && ahci_prdt_move(p, &n->cur, n->buf, bytes, false) != bytes) {
		ncq_fail(n, ERROR_ABRT);
		return;
	}
	n->iov = (struct iovec){n->buf, bytes};
	n->req = (struct blk_req){
		.op = n->write ? BLK_WRITE : BLK_READ,
		.fua = n->write && n->device & 0x80,
		.off = n->lba * SECTOR,
		.len = bytes,
		.iov = &n->iov,
		.niov = 1,
		.done = ncq_done,
	};
	blk_queue_submit(ata_drive_queue(p->drive), &n->req);
}

void ahci_ncq_start(struct ahci_port *p, unsigned slot, const struct prdt_cursor *cur)
{
	struct ahci_ncq *n = &p->ncq[slot];
	const uint8_t *f = p->fis;
	uint32_t count = f[3] | (uint32_t)f[11] << 8;

	*n = (struct ahci_ncq){
		.port = p,
		.write = f[2] == CMD_WRITE_FPDMA,
		.active = true,
		.device = f[7],
		.left = count ? count : 65536,
		.most = AHCI_NCQ_BYTES / SECTOR,
		.lba = f[4] | (uint64_t)f[5] << 8 | (uint64_t)f[6] << 16 | (uint64_t)f[8] << 24 |
		       (uint64_t)f[9] << 32 | (uint64_t)f[10] << 40,
		.cur = *cur,
	};
	p->active |= 1u << slot;
	n->buf = malloc(min_u64(n->left, n->most) * SECTOR);
	if (f[12] >> 3 != slot || !n->buf || (n->write && ata_drive_read_only(p->drive)))
		ncq_fail(n, ERROR_ABRT);
	else if (!range_ok(n->lba, n->left, ata_drive_sectors(p->drive)))
		ncq_fail(n, ERROR_IDNF);
	else
		ncq_step(n);
}

static void unheard(struct blk_req *req, int result)
{
	struct ahci_ncq *n = container_of(req, struct ahci_ncq, req);

	(void)result;
	release(n);
}

void ahci_ncq_quiesce(struct ahci_port *p)
{
	bool any = false;

	/* Not by p->active, which may have been loaded meanwhile. */
	for (unsigned i = 0; i < AHCI_SLOTS; i++) {
		if (p->ncq[i].active)
			p->ncq[i].req.done = unheard;
		any |= p->ncq[i].active;
	}
	if (!p->drive || !any)
		return;
	blk_queue_drain(ata_drive_queue(p->drive));
	blk_queue_drop_held(ata_drive_queue(p->drive));
	for (unsigned i = 0; i < AHCI_SLOTS; i++) {
		if (p->ncq[i].active)
			release(&p->ncq[i]);
	}
}
