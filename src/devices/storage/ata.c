// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An ATA drive: phases, resets, life. Commands are in ata_cmd.c, ata_rw.c, ata_identify.c; a CD-ROM's
 * packets in atapi.c and atapi_cmd.c.
 * Source: ATA/ATAPI-7 volume 2 §11 (protocols); ATA8-ACS §9. Register table: docs/devices/ata.md.
 * Saved state: version 1. Requests under way are made again from it.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/storage/ata_int.h"

/* ---- Steps of a command ------------------------------------------------------------------------- */

static void finish_reset(struct ata_drive *d);

static void request_done(struct blk_req *req, int result)
{
	struct ata_drive *d = container_of(req, struct ata_drive, req);

	d->busy = false;
	if (d->discard)
		return;
	if (d->phase == ATA_RESETTING) {
		if (!d->srst)
			finish_reset(d);
		return;
	}
	ata_job_ops(d)->io(d, result);
}

void ata_submit(struct ata_drive *d, enum blk_op op, uint64_t off, void *buf, uint64_t len)
{
	d->phase = ATA_IO;
	d->r.status = ATA_STATUS_BSY;
	d->iov = (struct iovec){buf, len};
	d->req = (struct blk_req){
		.op = op,
		.fua = op == BLK_WRITE && d->fua,
		.off = off,
		.len = len,
		.iov = buf ? &d->iov : NULL,
		.niov = buf ? 1 : 0,
		.done = request_done,
	};
	d->busy = true;
	blk_queue_submit(d->queue, &d->req);
}

static void come_to_rest(struct ata_drive *d, uint8_t status)
{
	d->phase = ATA_IDLE;
	d->job = JOB_NONE;
	d->r.status = status;
}

void ata_end(struct ata_drive *d, bool irq)
{
	come_to_rest(d, ATA_STATUS_DRDY | ATA_STATUS_DSC);
	d->host.done(d->host.opaque, d, irq);
}

void ata_fail(struct ata_drive *d, uint8_t error)
{
	come_to_rest(d, ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_ERR);
	d->r.error = error;
	d->host.done(d->host.opaque, d, true);
}

void ata_offer(struct ata_drive *d, bool to_host, bool irq)
{
	d->phase = to_host ? ATA_PIO_IN : ATA_PIO_OUT;
	d->r.status = ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_DRQ;
	d->host.pio(d->host.opaque, d, irq);
}

void ata_stall(struct ata_drive *d)
{
	d->phase = ATA_DMA;
	d->r.status = ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_DRQ;
}

void ata_want_dma(struct ata_drive *d)
{
	ata_stall(d);
	d->host.dma(d->host.opaque, d);
}

void ata_send(struct ata_drive *d, uint32_t len, bool dma)
{
	d->job = JOB_SEND;
	d->pos = 0;
	d->len = d->end = len;
	d->moved = 0;
	if (dma)
		ata_want_dma(d);
	else
		ata_offer(d, true, true);
}

struct ata_block ata_block(struct ata_drive *d)
{
	struct ata_block b = {0};

	if (d->phase != ATA_PIO_IN && d->phase != ATA_PIO_OUT)
		return b;
	b.data = d->buf + d->pos;
	b.len = d->len;
	b.to_host = d->phase == ATA_PIO_IN;
	b.packet = d->job == JOB_PACKET;
	return b;
}

void ata_block_done(struct ata_drive *d)
{
	if (d->phase == ATA_PIO_IN || d->phase == ATA_PIO_OUT)
		ata_job_ops(d)->moved(d);
}

void ata_dma_go(struct ata_drive *d)
{
	if (d->phase == ATA_DMA)
		ata_job_ops(d)->go(d);
}

bool ata_dma_wanted(const struct ata_drive *d)
{
	return d->phase == ATA_DMA;
}

void ata_execute(struct ata_drive *d, uint8_t cmd)
{
	const struct ata_cmd *c = &ata_cmds[cmd];
	void (*fn)(struct ata_drive * d) = d->kind == ATA_CDROM ? c->cdrom : c->disk;

	if (cmd == ATA_CMD_DEVICE_RESET && d->kind == ATA_CDROM) {
		ata_soft_reset(d, true);
		ata_soft_reset(d, false);
		return;
	}
	if (d->phase != ATA_IDLE || d->srst)
		return;
	d->cmd = cmd;
	d->dma = (c->flags & ATA_CMD_DMA) != 0;
	d->fua = (c->flags & ATA_CMD_FUA) != 0;
	d->lba48 = (c->flags & ATA_CMD_EXT) != 0;
	d->moved = 0;
	d->r.error = 0;
	d->r.status = ATA_STATUS_DRDY | ATA_STATUS_DSC;
	if (fn)
		fn(d);
	else
		ata_fail(d, ATA_ERROR_ABRT);
}

/* ---- Resets ------------------------------------------------------------------------------------- */

/* What tells a disk from a CD-ROM (ATA8-ACS §5.13). */
void ata_signature(struct ata_drive *d)
{
	struct ata_regs *r = &d->r;
	uint8_t dev = r->device & ATA_DEVICE_DEV;

	memset(r->count, 0, sizeof(r->count));
	memset(r->lba0, 0, sizeof(r->lba0));
	memset(r->lba1, 0, sizeof(r->lba1));
	memset(r->lba2, 0, sizeof(r->lba2));
	r->count[0] = r->lba0[0] = 1;
	if (d->kind == ATA_CDROM) {
		r->lba1[0] = 0x14;
		r->lba2[0] = 0xeb;
	}
	r->device = dev;
}

static void finish_reset(struct ata_drive *d)
{
	ata_signature(d);
	d->r.error = 1; /* the diagnostic has passed */
	come_to_rest(d, d->kind == ATA_CDROM ? 0 : ATA_STATUS_DRDY | ATA_STATUS_DSC);
	if (d->kind == ATA_CDROM && !d->diagnose)
		d->attention = ASC_RESET;
	d->diagnose = 0;
	if (d->host.reset_done)
		d->host.reset_done(d->host.opaque, d);
}

static void begin_reset(struct ata_drive *d)
{
	d->phase = ATA_RESETTING;
	d->job = JOB_NONE;
	d->r.status = ATA_STATUS_BSY;
	d->standby = 0;
	d->locked = 0;
}

void ata_soft_reset(struct ata_drive *d, bool on)
{
	if (on && !d->srst) {
		d->srst = 1;
		begin_reset(d);
		d->r.device = 0;
	} else if (!on && d->srst) {
		d->srst = 0;
		/* Without a request to wait for it is over at once. */
		if (!d->busy)
			finish_reset(d);
	}
}

void ata_diagnose(struct ata_drive *d)
{
	if (d->srst)
		return;
	begin_reset(d);
	d->diagnose = 1;
	d->r.device = 0;
	if (!d->busy)
		finish_reset(d);
}

/* No request is under way afterwards, and nobody hears of one. */
static void quiesce(struct ata_drive *d)
{
	if (!d->queue || !d->busy)
		return;
	d->discard = true;
	blk_queue_drain(d->queue);
	blk_queue_drop_held(d->queue);
	d->discard = false;
	d->busy = false;
}

static void ata_reset(struct device *dev)
{
	struct ata_drive *d = (struct ata_drive *)dev;

	quiesce(d);
	memset(&d->r, 0, sizeof(d->r));
	d->srst = d->dma = d->fua = 0;
	d->mult = 0;
	d->xfer_mode = 0;
	d->look_ahead = 1;
	d->cache = d->default_cache;
	d->heads = 16;
	d->spt = 63;
	d->left = d->chunk = d->pos = d->len = d->end = d->remain = 0;
	d->lba = d->moved = 0;
	d->sense_key = d->asc = d->ascq = 0;
	d->media_event = 0;
	d->tray_open = 0;
	memset(d->ncq_error, 0, sizeof(d->ncq_error));
	memset(d->packet, 0, sizeof(d->packet));
	memset(d->buf, 0, sizeof(d->buf));
	if (d->queue && d->kind == ATA_DISK)
		blk_queue_set_write_cache(d->queue, d->default_cache);
	begin_reset(d);
	finish_reset(d);
}

/* ---- Saved state -------------------------------------------------------------------------------- */

static bool bool_ok(uint8_t v)
{
	return v <= 1;
}

static bool fields_ok(const struct ata_drive *d)
{
	static const uint8_t status_of[ATA_PHASES] = {
		[ATA_PIO_IN] = ATA_STATUS_DRQ,	  [ATA_PIO_OUT] = ATA_STATUS_DRQ,
		[ATA_DMA] = ATA_STATUS_DRQ,	  [ATA_IO] = ATA_STATUS_BSY,
		[ATA_RESETTING] = ATA_STATUS_BSY,
	};
	const uint8_t bits = ATA_STATUS_BSY | ATA_STATUS_DRQ;

	if (d->phase >= ATA_PHASES || d->job >= ATA_JOBS)
		return false;
	if ((d->r.status & bits) != status_of[d->phase])
		return false;
	if ((d->phase == ATA_IDLE || d->phase == ATA_RESETTING) != (d->job == JOB_NONE))
		return false;
	/* The block counts while it is offered. */
	if (d->end > ATA_BUF_BYTES || d->pos > d->end ||
	    ((d->phase == ATA_PIO_IN || d->phase == ATA_PIO_OUT) &&
	     !range_ok(d->pos, d->len, d->end)))
		return false;
	if (d->mult > ATA_MULT_MAX || !d->heads || d->heads > 16 || !d->spt || d->spt > 63)
		return false;
	return bool_ok(d->dma) && bool_ok(d->srst) && bool_ok(d->diagnose) && bool_ok(d->standby) &&
	       bool_ok(d->cache) && bool_ok(d->fua) && bool_ok(d->lba48) && bool_ok(d->tray_open) &&
	       bool_ok(d->locked) && bool_ok(d->look_ahead);
}

static bool phase_ok(const struct ata_drive *d)
{
	const struct ata_job_ops *ops = ata_job_ops(d);

	switch (d->phase) {
	case ATA_PIO_IN:
	case ATA_PIO_OUT:
		return ops->moved && d->len;
	case ATA_DMA:
		return ops->go;
	case ATA_IO:
		return ops->submit && ops->io;
	case ATA_RESETTING:
		return true;
	default:
		return !d->srst;
	}
}

static int ata_post_load(struct device *dev)
{
	struct ata_drive *d = (struct ata_drive *)dev;

	quiesce(d);
	if (!fields_ok(d) || !phase_ok(d) || !ata_job_restorable(d)) {
		/* Leave nothing that a next call could trip over. */
		d->phase = ATA_IDLE;
		d->job = JOB_NONE;
		d->srst = 0;
		return -EINVAL;
	}
	if (d->queue && d->kind == ATA_DISK)
		blk_queue_set_write_cache(d->queue, d->cache);
	if (d->phase == ATA_IO)
		ata_job_ops(d)->submit(d);
	else if (d->phase == ATA_RESETTING && !d->srst)
		finish_reset(d);
	return 0;
}

static const struct state_field ata_fields[] = {
	STATE_BUFFER(struct ata_drive, r.feature), STATE_BUFFER(struct ata_drive, r.count),
	STATE_BUFFER(struct ata_drive, r.lba0),	   STATE_BUFFER(struct ata_drive, r.lba1),
	STATE_BUFFER(struct ata_drive, r.lba2),	   STATE_FIELD(struct ata_drive, r.device),
	STATE_FIELD(struct ata_drive, r.status),   STATE_FIELD(struct ata_drive, r.error),
	STATE_FIELD(struct ata_drive, cmd),	   STATE_FIELD(struct ata_drive, phase),
	STATE_FIELD(struct ata_drive, job),	   STATE_FIELD(struct ata_drive, dma),
	STATE_FIELD(struct ata_drive, srst),	   STATE_FIELD(struct ata_drive, diagnose),
	STATE_FIELD(struct ata_drive, standby),	   STATE_FIELD(struct ata_drive, mult),
	STATE_FIELD(struct ata_drive, xfer_mode),  STATE_FIELD(struct ata_drive, look_ahead),
	STATE_FIELD(struct ata_drive, cache),	   STATE_FIELD(struct ata_drive, fua),
	STATE_FIELD(struct ata_drive, heads),	   STATE_FIELD(struct ata_drive, spt),
	STATE_FIELD(struct ata_drive, lba48),	   STATE_FIELD(struct ata_drive, left),
	STATE_FIELD(struct ata_drive, chunk),	   STATE_FIELD(struct ata_drive, most),
	STATE_FIELD(struct ata_drive, lba),	   STATE_FIELD(struct ata_drive, moved),
	STATE_FIELD(struct ata_drive, pos),	   STATE_FIELD(struct ata_drive, len),
	STATE_FIELD(struct ata_drive, end),	   STATE_BUFFER(struct ata_drive, ncq_error),
	STATE_BUFFER(struct ata_drive, packet),	   STATE_FIELD(struct ata_drive, sense_key),
	STATE_FIELD(struct ata_drive, asc),	   STATE_FIELD(struct ata_drive, ascq),
	STATE_FIELD(struct ata_drive, attention),  STATE_FIELD(struct ata_drive, media_event),
	STATE_FIELD(struct ata_drive, tray_open),  STATE_FIELD(struct ata_drive, locked),
	STATE_FIELD(struct ata_drive, limit),	   STATE_FIELD(struct ata_drive, remain),
	STATE_BUFFER(struct ata_drive, buf),	   STATE_END,
};

static const struct device_class ata_class = {
	.name = "ata-drive",
	.version = 1,
	.reset = ata_reset,
	.fields = ata_fields,
	.post_load = ata_post_load,
};

/* ---- Life --------------------------------------------------------------------------------------- */

void ata_measure(struct ata_drive *d)
{
	uint64_t size = d->queue ? blk_size(blk_queue_image(d->queue)) : 0, cyl;

	d->sectors = size / (d->kind == ATA_CDROM ? CD_SECTOR : ATA_SECTOR);
	if (d->kind == ATA_CDROM) {
		d->sectors = min_u64(d->sectors, UINT32_MAX);
		return;
	}
	d->sectors = min_u64(d->sectors, 1ull << 48);
	cyl = d->sectors / (16 * 63);
	d->cylinders = (uint16_t)min_u64(max_u64(cyl, 1), 16383);
}

static void make_serial(struct ata_drive *d, const struct ata_config *cfg)
{
	if (cfg->serial && *cfg->serial)
		snprintf(d->serial, sizeof(d->serial), "%.20s", cfg->serial);
	else
		snprintf(d->serial, sizeof(d->serial), "LD%05u", cfg->number % 100000);
}

struct ata_drive *ata_drive_new(const struct ata_config *cfg, struct lodge_err *err)
{
	struct ata_drive *d;

	if (cfg->kind == ATA_DISK && !cfg->queue) {
		err_set(err, -EINVAL, "a disk needs an image: give it one with file=");
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (d)
		d->bounce = malloc(ATA_BOUNCE_BYTES);
	if (!d || !d->bounce) {
		free(d);
		err_set(err, -ENOMEM, "no memory for a drive: free some and retry");
		return NULL;
	}
	d->dev.cls = &ata_class;
	d->kind = (uint8_t)cfg->kind;
	d->queue = cfg->queue;
	d->read_only = cfg->read_only;
	d->tray_moved = cfg->tray_moved;
	d->tray_opaque = cfg->opaque;
	d->default_cache = !cfg->queue || blk_queue_write_cache(cfg->queue);
	make_serial(d, cfg);
	ata_measure(d);
	ata_reset(&d->dev);
	return d;
}

void ata_drive_free(struct ata_drive *d)
{
	if (!d)
		return;
	quiesce(d);
	if (d->host.gone)
		d->host.gone(d->host.opaque, d);
	free(d->bounce);
	free(d);
}

struct device *ata_drive_device(struct ata_drive *d)
{
	return &d->dev;
}

void ata_drive_attach(struct ata_drive *d, const struct ata_host *host, bool sata)
{
	d->host = *host;
	d->sata = sata;
}

bool ata_is_cdrom(const struct ata_drive *d)
{
	return d->kind == ATA_CDROM;
}

struct ata_regs *ata_drive_regs(struct ata_drive *d)
{
	return &d->r;
}

struct blk_queue *ata_drive_queue(struct ata_drive *d)
{
	return d->queue;
}

uint64_t ata_drive_sectors(const struct ata_drive *d)
{
	return d->sectors;
}

bool ata_drive_read_only(const struct ata_drive *d)
{
	return d->read_only;
}

bool ata_drive_idle(const struct ata_drive *d)
{
	return d->phase == ATA_IDLE;
}

bool ata_drive_busy(const struct ata_drive *d)
{
	return d->busy;
}
