// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ATAPI: the PACKET command, its replies and the reading of sectors, by PIO in blocks of at most the
 * guest's byte count limit, or by DMA. The commands inside packets are in atapi_cmd.c.
 * Source: ATA/ATAPI-7 volume 2 §11.8 (PACKET protocol), volume 1 §6.24; interrupt reason bits are in
 * the count register.
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/range.h"
#include "devices/storage/ata_int.h"

#define REASON_CD 1u /* a packet or status, not data */
#define REASON_IO 2u /* to the host */

#define CD_PIO_SECTORS (ATA_BUF_BYTES / CD_SECTOR)
#define CD_DMA_SECTORS (ATA_BOUNCE_BYTES / CD_SECTOR)

/* ---- PACKET ------------------------------------------------------------------------------------- */

void ata_cmd_packet(struct ata_drive *d)
{
	uint32_t limit = d->r.lba1[0] | (uint32_t)d->r.lba2[0] << 8;

	d->dma = d->r.feature[0] & 1;
	/* Blocks are of whole words; 0 and 0xffff mean the most there can be. */
	limit &= 0xfffe;
	d->limit = limit ? limit : 0xfffe;
	d->job = JOB_PACKET;
	d->pos = 0;
	d->len = d->end = ATA_PACKET_BYTES;
	d->r.count[0] = REASON_CD;
	ata_offer(d, false, false);
}

static void packet_moved(struct ata_drive *d)
{
	memset(d->packet, 0, sizeof(d->packet));
	memcpy(d->packet, d->buf, ATA_PACKET_BYTES);
	atapi_execute(d);
}

void atapi_ok(struct ata_drive *d)
{
	d->r.count[0] = REASON_IO | REASON_CD;
	ata_end(d, true);
}

void atapi_fail(struct ata_drive *d, uint8_t key, uint8_t asc, uint8_t ascq)
{
	d->sense_key = key;
	d->asc = asc;
	d->ascq = ascq;
	d->r.count[0] = REASON_IO | REASON_CD;
	ata_fail(d, (uint8_t)((unsigned)key << 4 | ATA_ERROR_ABRT));
}

/* ---- Data to the host --------------------------------------------------------------------------- */

/* The next block of buf[pos, end), which is not empty. */
static void offer_block(struct ata_drive *d)
{
	d->len = (uint32_t)min_u64(d->end - d->pos, d->limit);
	d->r.count[0] = REASON_IO;
	d->r.lba1[0] = (uint8_t)d->len;
	d->r.lba2[0] = (uint8_t)(d->len >> 8);
	ata_offer(d, true, true);
}

/* Take the block away; true when buf holds more. */
static bool next_block(struct ata_drive *d)
{
	d->pos += d->len;
	d->len = 0;
	return d->pos < d->end;
}

void atapi_reply(struct ata_drive *d, uint32_t n, uint32_t alloc)
{
	n = (uint32_t)min_u64(n, alloc);
	if (!n) {
		atapi_ok(d);
		return;
	}
	d->job = JOB_CD_REPLY;
	d->pos = 0;
	d->end = n;
	if (d->dma)
		ata_want_dma(d);
	else
		offer_block(d);
}

static void reply_moved(struct ata_drive *d)
{
	if (next_block(d))
		offer_block(d);
	else
		atapi_ok(d);
}

static void reply_go(struct ata_drive *d)
{
	if (d->host.dma_move(d->host.opaque, d, 0, d->buf, d->end, true) != d->end)
		ata_stall(d);
	else
		atapi_ok(d);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static void read_submit(struct ata_drive *d)
{
	if (!atapi_has_medium(d) || !range_ok(d->lba, d->chunk, d->sectors)) {
		atapi_fail(d, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ, 0);
		return;
	}
	ata_submit(d, BLK_READ, d->lba * CD_SECTOR, d->dma ? d->bounce : d->buf,
		   (uint64_t)d->chunk * CD_SECTOR);
}

static void read_step(struct ata_drive *d)
{
	d->chunk = (uint32_t)min_u64(d->left, d->most);
	read_submit(d);
}

/* The step is moved: on to the next, or the end. */
static void read_advance(struct ata_drive *d)
{
	d->lba += d->chunk;
	d->left -= d->chunk;
	d->moved += (uint64_t)d->chunk * CD_SECTOR;
	if (d->left)
		read_step(d);
	else
		atapi_ok(d);
}

static void read_io(struct ata_drive *d, int result)
{
	if (result && d->chunk > 1) {
		d->most = 1;
		read_step(d);
	} else if (result) {
		atapi_fail(d, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ, 0);
	} else if (!d->dma) {
		d->pos = 0;
		d->end = d->chunk * CD_SECTOR;
		offer_block(d);
	} else if (d->host.dma_move(d->host.opaque, d, d->moved, d->bounce, d->chunk * CD_SECTOR,
				    true) != d->chunk * CD_SECTOR) {
		ata_stall(d);
	} else {
		read_advance(d);
	}
}

static void read_moved(struct ata_drive *d)
{
	if (next_block(d))
		offer_block(d);
	else
		read_advance(d);
}

void atapi_read(struct ata_drive *d, uint32_t lba, uint32_t n)
{
	if (!range_ok(lba, n, d->sectors)) {
		atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
		return;
	}
	if (!n) {
		atapi_ok(d);
		return;
	}
	d->job = JOB_CD_READ;
	d->lba = lba;
	d->left = n;
	d->most = d->dma ? CD_DMA_SECTORS : CD_PIO_SECTORS;
	d->chunk = (uint32_t)min_u64(d->left, d->most);
	if (d->dma)
		ata_want_dma(d);
	else
		read_submit(d);
}

const struct ata_job_ops ata_cd_jobs[ATA_JOBS] = {
	[JOB_SEND] = {.moved = ata_send_moved, .go = ata_send_go},
	[JOB_PACKET] = {.moved = packet_moved},
	[JOB_CD_REPLY] = {.moved = reply_moved, .go = reply_go},
	[JOB_CD_READ] = {.moved = read_moved,
			 .go = read_submit,
			 .submit = read_submit,
			 .io = read_io},
};

bool atapi_job_restorable(const struct ata_drive *d)
{
	bool pio = d->phase == ATA_PIO_IN || d->phase == ATA_PIO_OUT;

	if (pio && (d->phase == ATA_PIO_OUT) != (d->job == JOB_PACKET))
		return false;
	if (d->limit > 0xfffe || d->limit & 1 || (d->phase != ATA_IDLE && !d->limit))
		return d->job == JOB_SEND || d->job == JOB_NONE;
	if (d->job == JOB_PACKET)
		return d->len == ATA_PACKET_BYTES && !d->pos;
	if (d->job != JOB_CD_READ)
		return true;
	return d->chunk && d->chunk <= d->left && d->chunk <= d->most &&
	       d->most <= (d->dma ? CD_DMA_SECTORS : CD_PIO_SECTORS) && d->lba <= UINT32_MAX &&
	       d->moved < 1ull << 43;
}

/* ---- The medium --------------------------------------------------------------------------------- */

bool atapi_has_medium(const struct ata_drive *d)
{
	return d->queue && !d->tray_open;
}

#define EVENT_EJECT_REQUEST 1u
#define EVENT_NEW_MEDIUM 2u
#define EVENT_REMOVED 3u

void atapi_move_tray(struct ata_drive *d, bool open)
{
	bool moves = d->tray_open != open;

	d->tray_open = open;
	if (moves && d->tray_moved)
		d->tray_moved(d->tray_opaque, open);
}

void ata_set_medium(struct ata_drive *d, struct blk_queue *queue)
{
	if (d->queue)
		blk_queue_drain(d->queue);
	d->queue = queue;
	atapi_move_tray(d, false);
	ata_measure(d);
	d->media_event = queue ? EVENT_NEW_MEDIUM : EVENT_REMOVED;
	if (queue)
		d->attention = ASC_MEDIUM_CHANGED;
}

bool ata_medium_locked(const struct ata_drive *d)
{
	return d->locked;
}

bool ata_tray_open(const struct ata_drive *d)
{
	return d->tray_open;
}

void ata_move_tray(struct ata_drive *d, bool open)
{
	if (d->tray_open == open)
		return;
	if (open || d->queue)
		d->media_event = open ? EVENT_REMOVED : EVENT_NEW_MEDIUM;
	if (!open && d->queue)
		d->attention = ASC_MEDIUM_CHANGED;
	atapi_move_tray(d, open);
}

void ata_press_eject(struct ata_drive *d)
{
	if (d->locked) {
		d->media_event = EVENT_EJECT_REQUEST;
		return;
	}
	if (!d->tray_open)
		d->media_event = EVENT_REMOVED;
	atapi_move_tray(d, true);
}
