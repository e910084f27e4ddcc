// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Floppy controller: commands that move data, sector by sector, by DMA or through the FIFO.
 * Source: 82078 data sheet (290475) §6.1 (data transfer commands), §6.1.9 (FORMAT TRACK), §7 (status).
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/range.h"
#include "devices/storage/fdc_int.h"

#define CMD_MULTI_TRACK 0x80u
#define SIZE_512 2u

/* Parameters of READ, WRITE, VERIFY. */
enum { P_DRIVE = 1, P_CYL, P_HEAD, P_SEC, P_SIZE, P_EOT, P_GAP, P_DTL };
/* And of FORMAT TRACK. */
enum { F_SIZE = 2, F_SECTORS, F_GAP, F_FILL };

static bool is_format(const struct fdc *f)
{
	return (f->cmd[0] & 0x1f) == 0x0d;
}

static bool is_write(const struct fdc *f)
{
	uint8_t op = f->cmd[0] & 0x1f;

	return op == 0x05 || op == 0x09;
}

static bool is_verify(const struct fdc *f)
{
	return (f->cmd[0] & 0x1f) == 0x16;
}

static bool by_dma(const struct fdc *f)
{
	return !(f->specify[1] & SPECIFY_NO_DMA) && f->dor & DOR_DMA;
}

bool fdc_rate_fits(const struct fdc *f, const struct fdc_drive *d)
{
	/* 40 tracks: 250 kb/s at 300 turns a minute is 300 kb/s at 360, and firmware means either. */
	if (d->format.tracks == 40 && f->rate == FDC_RATE_300K)
		return true;
	return d->format.rate == f->rate;
}

void fdc_end_transfer(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
	f->step = STEP_NONE;
	f->fifo[0] = (uint8_t)(st0 | (f->cmd[P_DRIVE] & 3) | f->head << 2);
	f->fifo[1] = st1;
	f->fifo[2] = st2;
	f->fifo[3] = f->cyl;
	f->fifo[4] = f->head;
	f->fifo[5] = f->sec;
	f->fifo[6] = SIZE_512;
	fdc_result(f, 7, true);
}

static void fail(struct fdc *f, uint8_t st1, uint8_t st2)
{
	fdc_end_transfer(f, ST0_ABNORMAL, st1, st2);
}

/* ---- Sectors ------------------------------------------------------------------------------------ */

/* False when the command has failed. */
static bool drive_ok(struct fdc *f, const struct fdc_drive *d, bool write)
{
	if (!d->type || !d->queue) {
		fdc_end_transfer(f, ST0_ABNORMAL | ST0_NOT_READY, ST1_NO_ADDRESS, 0);
		return false;
	}
	if (!fdc_rate_fits(f, d)) {
		fail(f, ST1_NO_ADDRESS, 0);
		return false;
	}
	if (write && d->read_only) {
		fail(f, ST1_WRITE_PROTECT, 0);
		return false;
	}
	return true;
}

/* Is the sector under way there, where the heads are? */
static bool sector_ok(struct fdc *f, const struct fdc_drive *d)
{
	if (f->cyl != d->track)
		fail(f, ST1_NO_DATA, ST2_WRONG_CYLINDER);
	else if (f->cyl >= d->format.tracks || f->head >= d->format.heads || !f->sec ||
		 f->sec > d->format.sectors)
		fail(f, ST1_NO_DATA, 0);
	else
		return true;
	return false;
}

static void request_done(struct blk_req *req, int result);

void fdc_submit(struct fdc *f)
{
	struct fdc_drive *d = fdc_current(f);
	uint64_t off, size;

	f->step = STEP_IO;
	if (f->busy) { /* of a command given up by a reset */
		f->waiting = true;
		return;
	}
	if (!d->queue || !sector_ok(f, d)) {
		if (f->step == STEP_IO)
			fail(f, ST1_NO_ADDRESS, 0);
		return;
	}
	off = (((uint64_t)f->cyl * d->format.heads + f->head) * d->format.sectors + f->sec - 1) *
	      FDC_SECTOR;
	size = blk_size(blk_queue_image(d->queue));
	/* An image may be shorter than its format: what is not there is blank. */
	f->iov = (struct iovec){f->buf, off < size ? min_u64(size - off, FDC_SECTOR) : 0};
	f->req = (struct blk_req){
		.op = is_write(f) || is_format(f) ? BLK_WRITE : BLK_READ,
		.off = off < size ? off : 0,
		.len = f->iov.iov_len,
		.iov = &f->iov,
		.niov = 1,
		.done = request_done,
	};
	if (f->req.op == BLK_READ)
		memset(f->buf, 0, sizeof(f->buf));
	if (f->req.op == BLK_WRITE && f->req.len < FDC_SECTOR) {
		fail(f, ST1_NO_DATA, 0);
		return;
	}
	if (!f->req.len) {
		f->step = STEP_TO_HOST;
		f->pos = 0;
		fdc_pump(f);
		return;
	}
	f->req_queue = d->queue;
	f->busy = true;
	blk_queue_submit(d->queue, &f->req);
}

/* To the next sector; false at the end of what the command may do. The address goes on as §6.1.1.2 says. */
static bool next_sector(struct fdc *f)
{
	bool multi = f->cmd[0] & CMD_MULTI_TRACK;

	if (f->sec != f->cmd[P_EOT]) {
		f->sec++;
		return true;
	}
	f->sec = 1;
	if (multi && f->head == 0) {
		f->head = 1;
		return true;
	}
	if (multi)
		f->head = 0;
	f->cyl++;
	return false;
}

/* A sector is done. */
static void sector_done(struct fdc *f)
{
	bool more = next_sector(f);

	f->pos = 0;
	if (f->last) {
		fdc_end_transfer(f, 0, 0, 0);
	} else if (!more) {
		/* Without a terminal count the last sector is one too few. */
		if (is_verify(f))
			fdc_end_transfer(f, 0, 0, 0);
		else
			fail(f, ST1_END, 0);
	} else if (is_write(f)) {
		f->step = STEP_FROM_HOST;
		fdc_pump(f);
	} else {
		fdc_submit(f);
	}
}

static void format_next(struct fdc *f);

static void request_done(struct blk_req *req, int result)
{
	struct fdc *f = container_of(req, struct fdc, req);

	f->busy = false;
	if (f->unheard)
		return;
	if (f->stale) {
		f->stale = false;
		if (f->waiting) {
			f->waiting = false;
			fdc_submit(f);
		}
		return;
	}
	if (result) {
		fail(f, ST1_DATA, req->op == BLK_READ ? ST1_DATA : 0);
		return;
	}
	if (is_format(f)) {
		format_next(f);
	} else if (is_write(f)) {
		sector_done(f);
	} else if (is_verify(f)) {
		sector_done(f);
	} else {
		f->step = STEP_TO_HOST;
		f->pos = 0;
		fdc_pump(f);
	}
}

void fdc_quiesce(struct fdc *f)
{
	if (f->busy) {
		f->unheard = true;
		blk_queue_drain(f->req_queue);
		blk_queue_drop_held(f->req_queue);
	}
	f->busy = f->stale = f->waiting = f->unheard = false;
}

/* ---- Moving ------------------------------------------------------------------------------------- */

/* Bytes of the present unit: a sector, or the address field of one to be formatted. */
static uint32_t unit_bytes(const struct fdc *f)
{
	return is_format(f) ? 4 : FDC_SECTOR;
}

static void unit_moved(struct fdc *f)
{
	if (f->step == STEP_TO_HOST) {
		sector_done(f);
		return;
	}
	if (is_format(f)) {
		f->cyl = f->buf[0];
		f->head = f->buf[1] & 1;
		f->sec = f->buf[2];
		memset(f->buf, f->cmd[F_FILL], sizeof(f->buf));
	}
	fdc_submit(f);
}

void fdc_pump(struct fdc *f)
{
	while (f->phase == FDC_EXECUTE && (f->step == STEP_TO_HOST || f->step == STEP_FROM_HOST)) {
		bool to_host = f->step == STEP_TO_HOST, tc = false;
		uint32_t want = unit_bytes(f) - f->pos, n;

		if (f->pos < unit_bytes(f)) {
			if (!by_dma(f)) {
				fdc_set_irq(f, true);
				return;
			}
			n = i8237_transfer(f->cfg.dma, FDC_DMA, f->buf + f->pos, want, to_host,
					   &tc);
			if (!n)
				return;
			f->pos += n;
			if (tc) {
				f->last = 1;
				/* The rest of a sector that is written is zeros. */
				if (!to_host)
					memset(f->buf + f->pos, 0, sizeof(f->buf) - f->pos);
				f->pos = unit_bytes(f);
			}
		}
		if (f->pos < unit_bytes(f))
			return;
		f->pos = 0;
		unit_moved(f);
	}
}

/* ---- Commands ----------------------------------------------------------------------------------- */

static bool begin(struct fdc *f, bool write)
{
	struct fdc_drive *d = fdc_current(f);

	f->cyl = f->cmd[P_CYL];
	f->head = f->cmd[P_HEAD];
	f->sec = f->cmd[P_SEC];
	f->last = 0;
	f->pos = 0;
	if (!drive_ok(f, d, write))
		return false;
	if (f->config[0] & CONFIG_IMPLIED_SEEK && f->cyl != d->track && f->cyl < d->format.tracks) {
		d->track = f->cyl;
		d->changed = 0;
	}
	if (f->cmd[P_SIZE] != SIZE_512 || f->head != (f->cmd[P_DRIVE] >> 2 & 1)) {
		fail(f, ST1_NO_DATA, 0);
		return false;
	}
	return sector_ok(f, d);
}

void fdc_read_data(struct fdc *f)
{
	if (begin(f, false))
		fdc_submit(f);
}

void fdc_verify(struct fdc *f)
{
	if (begin(f, false))
		fdc_submit(f);
}

void fdc_write_data(struct fdc *f)
{
	if (!begin(f, true))
		return;
	f->step = STEP_FROM_HOST;
	fdc_pump(f);
}

static void format_next(struct fdc *f)
{
	if (--f->formatting == 0 || f->last) {
		fdc_end_transfer(f, 0, 0, 0);
		return;
	}
	f->step = STEP_FROM_HOST;
	f->pos = 0;
	fdc_pump(f);
}

void fdc_format_track(struct fdc *f)
{
	struct fdc_drive *d = fdc_current(f);

	f->cyl = d->track;
	f->head = f->cmd[P_DRIVE] >> 2 & 1;
	f->sec = 1;
	f->last = 0;
	f->pos = 0;
	f->formatting = f->cmd[F_SECTORS];
	if (!drive_ok(f, d, true))
		return;
	if (f->cmd[F_SIZE] != SIZE_512 || !f->formatting) {
		fail(f, ST1_NO_DATA, 0);
		return;
	}
	f->step = STEP_FROM_HOST;
	fdc_pump(f);
}
