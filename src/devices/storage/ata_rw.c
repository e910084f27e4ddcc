// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ATA: reading and writing sectors, by PIO and DMA; TRIM. A transfer goes in steps of as many sectors as fit a
 * buffer. A step that fails is done again sector by sector, so that the guest gets what is before
 * the bad one, and learns which it is.
 * Source: ATA8-ACS §7.24–7.27, 7.62–7.69, 7.10 (DATA SET MANAGEMENT); ATA/ATAPI-7 volume 2 §11.
 * Threads: with the VM lock held.
 */
#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/ata_int.h"

/* ---- Addresses ---------------------------------------------------------------------------------- */

static uint64_t address_chs(const struct ata_drive *d)
{
	const struct ata_regs *r = &d->r;
	uint64_t cyl = r->lba1[0] | (uint64_t)r->lba2[0] << 8;
	uint64_t head = r->device & 15u;

	/* Sectors count from 1; what is no address lies behind every disk. */
	if (!r->lba0[0] || r->lba0[0] > d->spt || head >= d->heads)
		return UINT64_MAX >> 1;
	return (cyl * d->heads + head) * d->spt + r->lba0[0] - 1;
}

static uint64_t get_address(const struct ata_drive *d)
{
	const struct ata_regs *r = &d->r;
	uint64_t low = r->lba0[0] | (uint64_t)r->lba1[0] << 8 | (uint64_t)r->lba2[0] << 16;

	if (d->lba48)
		return low | (uint64_t)r->lba0[1] << 24 | (uint64_t)r->lba1[1] << 32 |
		       (uint64_t)r->lba2[1] << 40;
	if (r->device & ATA_DEVICE_LBA)
		return low | (uint64_t)(r->device & 15u) << 24;
	return address_chs(d);
}

/* Where the command has come to, for the guest to read. */
static void put_address(struct ata_drive *d, uint64_t lba)
{
	struct ata_regs *r = &d->r;

	if (!d->lba48 && !(r->device & ATA_DEVICE_LBA)) {
		uint64_t track = lba / d->spt;

		r->lba0[0] = (uint8_t)(lba % d->spt + 1);
		r->device = (uint8_t)((r->device & 0xf0) | track % d->heads);
		track /= d->heads;
		r->lba1[0] = (uint8_t)track;
		r->lba2[0] = (uint8_t)(track >> 8);
		return;
	}
	r->lba0[0] = (uint8_t)lba;
	r->lba1[0] = (uint8_t)(lba >> 8);
	r->lba2[0] = (uint8_t)(lba >> 16);
	if (d->lba48) {
		r->lba0[1] = (uint8_t)(lba >> 24);
		r->lba1[1] = (uint8_t)(lba >> 32);
		r->lba2[1] = (uint8_t)(lba >> 40);
	} else {
		r->device = (uint8_t)((r->device & 0xf0) | (lba >> 24 & 15));
	}
}

static uint32_t get_count(const struct ata_drive *d)
{
	uint32_t n = d->r.count[0];

	if (!d->lba48)
		return n ? n : 256;
	n |= (uint32_t)d->r.count[1] << 8;
	return n ? n : 65536;
}

/* Take address and count; false when they leave the disk, and the command has failed. */
static bool take_range(struct ata_drive *d)
{
	d->lba = get_address(d);
	d->left = get_count(d);
	d->standby = 0;
	if (range_ok(d->lba, d->left, d->sectors))
		return true;
	ata_fail(d, ATA_ERROR_IDNF);
	return false;
}

/* ---- Steps -------------------------------------------------------------------------------------- */

static void plan_step(struct ata_drive *d)
{
	d->chunk = (uint32_t)min_u64(d->left, d->most);
}

/* The step is done: true when there is more to do. */
static bool advance(struct ata_drive *d)
{
	d->lba += d->chunk;
	d->left -= d->chunk;
	d->moved += (uint64_t)d->chunk * ATA_SECTOR;
	plan_step(d);
	return d->left != 0;
}

/* True when the failed step is to be tried in smaller ones; else the command has failed. */
static bool step_failed(struct ata_drive *d, bool write)
{
	if (d->chunk > 1) {
		d->most = 1;
		plan_step(d);
		return true;
	}
	put_address(d, d->lba);
	ata_fail(d, write ? ATA_ERROR_ABRT : ATA_ERROR_UNC);
	return false;
}

static void step(struct ata_drive *d, enum blk_op op, void *buf)
{
	ata_submit(d, op, d->lba * ATA_SECTOR, buf, (uint64_t)d->chunk * ATA_SECTOR);
}

static void offer_step(struct ata_drive *d, bool to_host, bool irq)
{
	d->pos = 0;
	d->len = d->end = d->chunk * ATA_SECTOR;
	ata_offer(d, to_host, irq);
}

/* PIO read. */

static void read_pio_submit(struct ata_drive *d)
{
	step(d, BLK_READ, d->buf);
}

static void read_pio_io(struct ata_drive *d, int result)
{
	if (result == 0)
		offer_step(d, true, true);
	else if (step_failed(d, false))
		read_pio_submit(d);
}

static void read_pio_moved(struct ata_drive *d)
{
	if (advance(d)) {
		read_pio_submit(d);
		return;
	}
	put_address(d, d->lba - 1);
	ata_end(d, false);
}

/* PIO write. A failed step is not split: the guest gave the whole block. */

static void write_pio_submit(struct ata_drive *d)
{
	step(d, BLK_WRITE, d->buf);
}

static void write_pio_io(struct ata_drive *d, int result)
{
	if (result) {
		put_address(d, d->lba);
		ata_fail(d, ATA_ERROR_ABRT);
	} else if (advance(d)) {
		offer_step(d, false, true);
	} else {
		put_address(d, d->lba - 1);
		ata_end(d, true);
	}
}

/* DMA. */

static bool dma_move(struct ata_drive *d, bool to_guest)
{
	uint32_t n = d->chunk * ATA_SECTOR;

	return d->host.dma_move(d->host.opaque, d, d->moved, d->bounce, n, to_guest) == n;
}

static void read_dma_submit(struct ata_drive *d)
{
	step(d, BLK_READ, d->bounce);
}

static void read_dma_io(struct ata_drive *d, int result)
{
	if (result) {
		if (step_failed(d, false))
			read_dma_submit(d);
	} else if (!dma_move(d, true)) {
		ata_stall(d);
	} else if (advance(d)) {
		read_dma_submit(d);
	} else {
		put_address(d, d->lba - 1);
		ata_end(d, true);
	}
}

static void write_dma_submit(struct ata_drive *d)
{
	if (dma_move(d, false))
		step(d, BLK_WRITE, d->bounce);
	else
		ata_stall(d);
}

static void write_dma_io(struct ata_drive *d, int result)
{
	if (result) {
		if (step_failed(d, true))
			write_dma_submit(d);
	} else if (advance(d)) {
		write_dma_submit(d);
	} else {
		put_address(d, d->lba - 1);
		ata_end(d, true);
	}
}

void ata_cmd_rw(struct ata_drive *d)
{
	const struct ata_cmd *c = &ata_cmds[d->cmd];
	bool write = c->flags & ATA_CMD_WRITE;

	if ((c->flags & ATA_CMD_MULT && !d->mult) || (write && d->read_only)) {
		ata_fail(d, ATA_ERROR_ABRT);
		return;
	}
	if (!take_range(d))
		return;
	d->most = c->flags & ATA_CMD_DMA    ? ATA_BOUNCE_BYTES / ATA_SECTOR
		  : c->flags & ATA_CMD_MULT ? d->mult
					    : 1;
	plan_step(d);
	if (d->dma) {
		d->job = write ? JOB_WRITE_DMA : JOB_READ_DMA;
		ata_want_dma(d);
	} else if (write) {
		d->job = JOB_WRITE_PIO;
		offer_step(d, false, false);
	} else {
		d->job = JOB_READ_PIO;
		read_pio_submit(d);
	}
}

/* ---- READ VERIFY: a read whose data goes nowhere ------------------------------------------------ */

static void verify_io(struct ata_drive *d, int result)
{
	if (result) {
		if (step_failed(d, false))
			read_dma_submit(d);
	} else if (advance(d)) {
		read_dma_submit(d);
	} else {
		put_address(d, d->lba - 1);
		ata_end(d, true);
	}
}

void ata_cmd_verify(struct ata_drive *d)
{
	if (!take_range(d))
		return;
	d->job = JOB_VERIFY;
	d->most = ATA_BOUNCE_BYTES / ATA_SECTOR;
	plan_step(d);
	read_dma_submit(d);
}

/* ---- Flush -------------------------------------------------------------------------------------- */

static void flush_submit(struct ata_drive *d)
{
	ata_submit(d, BLK_FLUSH, 0, NULL, 0);
}

static void flush_io(struct ata_drive *d, int result)
{
	if (result)
		ata_fail(d, ATA_ERROR_ABRT);
	else
		ata_end(d, true);
}

void ata_cmd_flush(struct ata_drive *d)
{
	d->job = JOB_FLUSH;
	flush_submit(d);
}

/* ---- TRIM: ranges of 48 bits of address and 16 of length, in buf ------------------------------- */

/* Submit the next range that is not empty; false when all are done or one was refused. */
static void trim_next(struct ata_drive *d)
{
	while (d->pos + 8 <= d->end) {
		uint64_t e = ld_le64(d->buf + d->pos);
		uint64_t lba = e & 0xffffffffffff, n = e >> 48;

		if (!range_ok(lba, n, d->sectors)) {
			ata_fail(d, ATA_ERROR_IDNF);
			return;
		}
		if (n) {
			ata_submit(d, BLK_DISCARD, lba * ATA_SECTOR, NULL, n * ATA_SECTOR);
			return;
		}
		d->pos += 8;
	}
	ata_end(d, true);
}

static void trim_io(struct ata_drive *d, int result)
{
	if (result) {
		ata_fail(d, ATA_ERROR_ABRT);
		return;
	}
	d->pos += 8;
	trim_next(d);
}

static void trim_go(struct ata_drive *d)
{
	if (d->host.dma_move(d->host.opaque, d, 0, d->buf, d->end, false) != d->end)
		ata_stall(d);
	else
		trim_next(d);
}

void ata_cmd_trim(struct ata_drive *d)
{
	uint32_t n = get_count(d);

	if (d->r.feature[0] != 1 || n > ATA_TRIM_BLOCKS || d->read_only) {
		ata_fail(d, ATA_ERROR_ABRT);
		return;
	}
	d->job = JOB_TRIM;
	d->pos = d->len = 0;
	d->end = n * ATA_SECTOR;
	ata_want_dma(d);
}

/* ---- Sending a buffer --------------------------------------------------------------------------- */

void ata_send_moved(struct ata_drive *d)
{
	ata_end(d, false);
}

void ata_send_go(struct ata_drive *d)
{
	if (d->host.dma_move(d->host.opaque, d, 0, d->buf, d->end, true) != d->end)
		ata_stall(d);
	else
		ata_end(d, true);
}

const struct ata_job_ops ata_disk_jobs[ATA_JOBS] = {
	[JOB_READ_PIO] = {.moved = read_pio_moved, .submit = read_pio_submit, .io = read_pio_io},
	[JOB_WRITE_PIO] = {.moved = write_pio_submit,
			   .submit = write_pio_submit,
			   .io = write_pio_io},
	[JOB_READ_DMA] = {.go = read_dma_submit, .submit = read_dma_submit, .io = read_dma_io},
	[JOB_WRITE_DMA] = {.go = write_dma_submit, .submit = write_dma_submit, .io = write_dma_io},
	[JOB_VERIFY] = {.submit = read_dma_submit, .io = verify_io},
	[JOB_FLUSH] = {.submit = flush_submit, .io = flush_io},
	[JOB_SEND] = {.moved = ata_send_moved, .go = ata_send_go},
	[JOB_TRIM] = {.go = trim_go, .submit = trim_next, .io = trim_io},
};

/* ---- Saved state -------------------------------------------------------------------------------- */

/* What the jobs rely on. */
bool ata_job_restorable(const struct ata_drive *d)
{
	uint64_t most =
		d->dma || d->job == JOB_VERIFY ? ATA_BOUNCE_BYTES / ATA_SECTOR : ATA_MULT_MAX;
	bool step_ok = d->chunk && d->chunk <= d->left && d->chunk <= d->most && d->most <= most &&
		       range_ok(d->lba, d->left, d->sectors);

	if (d->kind == ATA_CDROM)
		return atapi_job_restorable(d);
	if (d->phase == ATA_PIO_IN || d->phase == ATA_PIO_OUT) {
		bool out = d->job == JOB_WRITE_PIO;

		if ((d->phase == ATA_PIO_OUT) != out)
			return false;
	}
	switch (d->job) {
	case JOB_READ_PIO:
	case JOB_WRITE_PIO:
		return step_ok && !d->dma;
	case JOB_VERIFY:
		return step_ok;
	case JOB_READ_DMA:
	case JOB_WRITE_DMA:
		return step_ok && d->dma && d->moved <= 65536ull * ATA_SECTOR;
	default:
		return true;
	}
}
