// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ATA: the table of commands, and those that move no sectors: features, power, logs.
 * Source: ATA8-ACS §7; feature sets that are absent (security, SMART, HPA) abort, as §4 has it.
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "devices/storage/ata_int.h"

static void cmd_ok(struct ata_drive *d)
{
	ata_end(d, true);
}

/* ---- SET FEATURES (§7.45) ------------------------------------------------------------------- */

/* Transfer mode: PIO default or flow control, multiword DMA 0–2, ultra DMA 0–5. */
static bool set_xfer_mode(struct ata_drive *d, uint8_t mode)
{
	unsigned n = mode & 7;

	switch (mode >> 3) {
	case 0:
	case 1:
		d->xfer_mode = 0;
		return n <= 4;
	case 4:
		if (n > 2)
			return false;
		break;
	case 8:
		if (n > 5)
			return false;
		break;
	default:
		return false;
	}
	d->xfer_mode = mode;
	return true;
}

static void set_cache(struct ata_drive *d, bool on)
{
	d->cache = on;
	blk_queue_set_write_cache(d->queue, on);
}

static void cmd_set_features(struct ata_drive *d)
{
	bool disk = d->kind == ATA_DISK;

	switch (d->r.feature[0]) {
	case 0x02: /* write cache */
	case 0x82:
		if (!disk)
			break;
		set_cache(d, d->r.feature[0] == 0x02);
		/* What was cached is written first. */
		if (d->cache)
			cmd_ok(d);
		else
			ata_cmd_flush(d);
		return;
	case 0x03:
		if (!set_xfer_mode(d, d->r.count[0]))
			break;
		cmd_ok(d);
		return;
	case 0x55: /* read look-ahead */
	case 0xaa:
		if (!disk)
			break;
		d->look_ahead = d->r.feature[0] == 0xaa;
		cmd_ok(d);
		return;
	case 0x66: /* power-on defaults after a soft reset, or not */
	case 0xcc:
		cmd_ok(d);
		return;
	default:
		break;
	}
	ata_fail(d, ATA_ERROR_ABRT);
}

/* ---- Small ones --------------------------------------------------------------------------------- */

static void cmd_set_multiple(struct ata_drive *d)
{
	uint8_t n = d->r.count[0];

	if (n > ATA_MULT_MAX || (n & (n - 1))) {
		ata_fail(d, ATA_ERROR_ABRT);
		return;
	}
	d->mult = n;
	ata_end(d, true);
}

/* INITIALIZE DEVICE PARAMETERS (ATA-5 §8.16): how CHS addresses count. */
static void cmd_init_params(struct ata_drive *d)
{
	uint8_t spt = d->r.count[0];

	if (!spt || spt > 63) {
		ata_fail(d, ATA_ERROR_ABRT);
		return;
	}
	d->spt = spt;
	d->heads = (uint8_t)((d->r.device & 15) + 1);
	ata_end(d, true);
}

static void cmd_standby(struct ata_drive *d)
{
	d->standby = 1;
	if (d->kind == ATA_DISK)
		ata_cmd_flush(d);
	else
		ata_end(d, true);
}

static void cmd_idle(struct ata_drive *d)
{
	d->standby = 0;
	ata_end(d, true);
}

static void cmd_check_power(struct ata_drive *d)
{
	d->r.count[0] = d->standby ? 0x00 : 0xff;
	ata_end(d, true);
}

/* A CD-ROM answers IDENTIFY DEVICE and READ with its signature and an abort (§7.16.3). */
static void cmd_sign_and_abort(struct ata_drive *d)
{
	ata_signature(d);
	ata_fail(d, ATA_ERROR_ABRT);
}

/* ---- READ LOG EXT: the directory, and what went wrong with NCQ (§7.25, A.7) ---------------------- */

void ata_set_ncq_error(struct ata_drive *d, unsigned tag, uint8_t status, uint8_t error,
		       uint64_t lba, uint8_t device)
{
	uint8_t *e = d->ncq_error;

	memset(e, 0, sizeof(d->ncq_error));
	e[0] = (uint8_t)(tag & 31);
	e[2] = status;
	e[3] = error;
	e[4] = (uint8_t)lba;
	e[5] = (uint8_t)(lba >> 8);
	e[6] = (uint8_t)(lba >> 16);
	e[7] = device;
	e[8] = (uint8_t)(lba >> 24);
	e[9] = (uint8_t)(lba >> 32);
	e[10] = (uint8_t)(lba >> 40);
}

static void cmd_read_log(struct ata_drive *d)
{
	uint8_t log = d->r.lba0[0], sum = 0;
	uint16_t page = (uint16_t)(d->r.lba1[0] | d->r.lba1[1] << 8);
	uint16_t count = (uint16_t)(d->r.count[0] | d->r.count[1] << 8);
	bool ncq = log == 0x10 && d->sata;

	if (page || count != 1 || (log && !ncq)) {
		ata_fail(d, ATA_ERROR_ABRT);
		return;
	}
	memset(d->buf, 0, ATA_SECTOR);
	if (ncq) {
		memcpy(d->buf, d->ncq_error, sizeof(d->ncq_error));
		for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
			sum = (uint8_t)(sum + d->buf[i]);
		d->buf[ATA_SECTOR - 1] = (uint8_t)-sum;
	} else {
		st_le16(d->buf, 1); /* version */
		if (d->sata)
			st_le16(d->buf + 2 * 0x10, 1);
	}
	ata_send(d, ATA_SECTOR, d->dma);
}

/* ---- The table ---------------------------------------------------------------------------------- */

#define RW(f)                                    \
	{                                        \
		.disk = ata_cmd_rw, .flags = (f) \
	}
#define BOTH(fn)                        \
	{                               \
		.disk = fn, .cdrom = fn \
	}
#define DISK(fn, f)                      \
	{                                \
		.disk = fn, .flags = (f) \
	}

const struct ata_cmd ata_cmds[256] = {
	[0x06] = DISK(ata_cmd_trim, ATA_CMD_EXT | ATA_CMD_DMA), /* DATA SET MANAGEMENT */
	[0x10] = DISK(cmd_ok, 0),				/* RECALIBRATE */
	[0x20] = {ata_cmd_rw, cmd_sign_and_abort, 0},		/* READ SECTORS */
	[0x21] = RW(0),
	[0x24] = RW(ATA_CMD_EXT),
	[0x25] = RW(ATA_CMD_EXT | ATA_CMD_DMA),
	[0x29] = RW(ATA_CMD_EXT | ATA_CMD_MULT),
	[0x2f] = DISK(cmd_read_log, ATA_CMD_EXT),
	[0x30] = RW(ATA_CMD_WRITE),
	[0x31] = RW(ATA_CMD_WRITE),
	[0x34] = RW(ATA_CMD_EXT | ATA_CMD_WRITE),
	[0x35] = RW(ATA_CMD_EXT | ATA_CMD_DMA | ATA_CMD_WRITE),
	[0x39] = RW(ATA_CMD_EXT | ATA_CMD_MULT | ATA_CMD_WRITE),
	[0x3d] = RW(ATA_CMD_EXT | ATA_CMD_DMA | ATA_CMD_WRITE | ATA_CMD_FUA),
	[0x40] = DISK(ata_cmd_verify, 0),
	[0x41] = DISK(ata_cmd_verify, 0),
	[0x42] = DISK(ata_cmd_verify, ATA_CMD_EXT),
	[0x70] = DISK(cmd_ok, 0), /* SEEK */
	[0x91] = DISK(cmd_init_params, 0),
	[0x94] = BOTH(cmd_standby), /* the same six as ATA-1 had them */
	[0x95] = BOTH(cmd_idle),
	[0x96] = BOTH(cmd_standby),
	[0x97] = BOTH(cmd_idle),
	[0x98] = BOTH(cmd_check_power),
	[0x99] = BOTH(cmd_standby),
	[0xa0] = {.cdrom = ata_cmd_packet},
	[0xa1] = {.cdrom = ata_cmd_identify_packet},
	[0xc4] = RW(ATA_CMD_MULT),
	[0xc5] = RW(ATA_CMD_MULT | ATA_CMD_WRITE),
	[0xc6] = DISK(cmd_set_multiple, 0),
	[0xc8] = RW(ATA_CMD_DMA),
	[0xc9] = RW(ATA_CMD_DMA),
	[0xca] = RW(ATA_CMD_DMA | ATA_CMD_WRITE),
	[0xcb] = RW(ATA_CMD_DMA | ATA_CMD_WRITE),
	[0xce] = RW(ATA_CMD_EXT | ATA_CMD_MULT | ATA_CMD_WRITE | ATA_CMD_FUA),
	[0xe0] = BOTH(cmd_standby), /* STANDBY IMMEDIATE */
	[0xe1] = BOTH(cmd_idle),
	[0xe2] = BOTH(cmd_standby),
	[0xe3] = BOTH(cmd_idle),
	[0xe5] = BOTH(cmd_check_power),
	[0xe6] = BOTH(cmd_standby), /* SLEEP */
	[0xe7] = DISK(ata_cmd_flush, 0),
	[0xea] = DISK(ata_cmd_flush, ATA_CMD_EXT),
	[0xec] = {ata_cmd_identify, cmd_sign_and_abort, 0},
	[0xef] = BOTH(cmd_set_features),
};
