// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ATA: what IDENTIFY DEVICE and IDENTIFY PACKET DEVICE answer.
 * Source: ATA8-ACS §7.16, 7.17 and tables 22, 30.
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/ata_int.h"

static void put(struct ata_drive *d, unsigned word, unsigned val)
{
	st_le16(d->buf + 2 * word, (uint16_t)val);
}

static void put32(struct ata_drive *d, unsigned word, uint32_t val)
{
	st_le32(d->buf + 2 * word, val);
}

/* Strings are padded with blanks, and the two characters of a word swapped. */
static void put_string(struct ata_drive *d, unsigned word, unsigned words, const char *s)
{
	for (unsigned i = 0; i < 2 * words; i++)
		d->buf[2 * word + (i ^ 1)] = (uint8_t)(*s ? *s++ : ' ');
}

static void put_checksum(struct ata_drive *d)
{
	uint8_t sum = 0;

	d->buf[510] = 0xa5;
	for (unsigned i = 0; i < 511; i++)
		sum = (uint8_t)(sum + d->buf[i]);
	d->buf[511] = (uint8_t)-sum;
}

static void put_names(struct ata_drive *d, const char *model)
{
	put_string(d, 10, 10, d->serial);
	put_string(d, 23, 4, "1.0");
	put_string(d, 27, 20, model);
}

/* Words 62 to 68, 88: transfer modes that exist, and the one in use. */
static void put_modes(struct ata_drive *d)
{
	unsigned kind = d->xfer_mode >> 3, n = 1u << (d->xfer_mode & 7) << 8;

	put(d, 63, 0x07 | (kind == 4 ? n : 0));
	put(d, 64, 0x03);
	for (unsigned w = 65; w <= 68; w++)
		put(d, w, 120);
	put(d, 88, 0x3f | (kind == 8 ? n : 0));
}

static void put_sata(struct ata_drive *d, bool ncq)
{
	if (!d->sata) {
		put(d, 93,
		    0x6001 | (d->r.device & ATA_DEVICE_DEV ? 0x4b00 : 0x000a)); /* 80 wires */
		return;
	}
	if (ncq)
		put(d, 75, 31);			 /* queue depth less one */
	put(d, 76, 0x0006 | (ncq ? 0x0100 : 0)); /* 1.5 and 3 Gb/s, NCQ */
}

/* Words 54 to 58: the geometry that INITIALIZE DEVICE PARAMETERS left. */
static void put_geometry(struct ata_drive *d)
{
	uint64_t most = min_u64(d->sectors, 16514064), cyl = most / ((uint64_t)d->heads * d->spt);

	cyl = min_u64(cyl, 65535);
	put(d, 1, d->cylinders);
	put(d, 3, 16);
	put(d, 6, 63);
	put(d, 54, (unsigned)cyl);
	put(d, 55, d->heads);
	put(d, 56, d->spt);
	put32(d, 57, (uint32_t)(cyl * d->heads * d->spt));
}

void ata_cmd_identify(struct ata_drive *d)
{
	uint32_t lba28 = (uint32_t)min_u64(d->sectors, 0x0fffffff);

	memset(d->buf, 0, ATA_SECTOR);
	put(d, 0, 0x0040);
	put_names(d, "LODGE HARDDISK");
	put_geometry(d);
	put(d, 47, 0x8000 | ATA_MULT_MAX);
	put(d, 48, 0x4000);
	put(d, 49, 0x0f00); /* LBA, DMA, IORDY */
	put(d, 50, 0x4000);
	put(d, 53, 7);
	put(d, 59, d->mult ? 0x100u | d->mult : 0);
	put32(d, 60, lba28);
	put_modes(d);
	put_sata(d, d->sata);
	put(d, 80, 0x01f0); /* ATA/ATAPI-4 to ATA8-ACS */
	/* Supported and enabled: look-ahead, write cache; FLUSH (EXT), LBA48; logs, FUA. */
	put(d, 82, 0x0060);
	put(d, 83, 0x7400);
	put(d, 84, 0x4060);
	put(d, 85, (d->look_ahead ? 0x0040u : 0) | (d->cache ? 0x0020u : 0));
	put(d, 86, 0x3400);
	put(d, 87, 0x4060);
	st_le64(d->buf + 200, d->sectors);
	put(d, 105, ATA_TRIM_BLOCKS);
	put(d, 106, 0x4000);		   /* physical sectors are logical ones */
	put(d, 169, d->read_only ? 0 : 1); /* TRIM */
	put_checksum(d);
	ata_send(d, ATA_SECTOR, false);
}

void ata_cmd_identify_packet(struct ata_drive *d)
{
	memset(d->buf, 0, ATA_SECTOR);
	put(d, 0, 0x85c0); /* a CD-ROM, removable, packets of 12 bytes */
	put_names(d, "LODGE DVD-ROM");
	put(d, 49, 0x0f00);
	put(d, 50, 0x4000);
	put(d, 53, 6);
	put_modes(d);
	put_sata(d, false);
	put(d, 80, 0x01f0);
	put(d, 82, 0x0210); /* DEVICE RESET, PACKET */
	put(d, 83, 0x4000);
	put(d, 84, 0x4000);
	put(d, 85, 0x0210);
	put(d, 87, 0x4000);
	put_checksum(d);
	ata_send(d, ATA_SECTOR, false);
}
