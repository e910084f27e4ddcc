// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disks, CD-ROMs and floppies: from drives to devices at their places; what firmware is told of them.
 * Source: QEMU's names of devices, buses and boot paths; Ralf Brown's CMOS list for disk types.
 * Threads: with the VM lock held, or before threads start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "machine/board_int.h"
#include "machine/drive.h"

/* CMOS: types of the first two disks, their parameters, and how to translate addresses of all four. */
#define CMOS_DISK_TYPES 0x12u
#define CMOS_DISK_TYPE_EXT 0x19u /* 0x19 and 0x1a */
#define CMOS_DISK_PARAMS 0x1bu	 /* 9 bytes each */
#define CMOS_TRANSLATION 0x39u
#define TRANSLATION_LBA 1u

/* ---- Places ------------------------------------------------------------------------------------- */

/* Where an ATA drive goes: a channel of the board's IDE. */
struct ata_place {
	unsigned bus, unit;
};

static bool place_free(struct board *b, const struct ata_place *at)
{
	return !piix3_ide_drive(b->ide, at->bus, at->unit);
}

/* bus=ide.N, unit=N; what is not given is the first that is free. */
static int ide_place(struct board *b, struct props *p, struct ata_place *at, struct lodge_err *err)
{
	static const char *const buses[] = {"ide.0", "ide.1", NULL};
	unsigned bus = UINT32_MAX;
	uint64_t unit = UINT64_MAX;
	int r = props_choice(p, "bus", buses, &bus, err);

	if (!r)
		r = props_u64(p, "unit", 1, &unit, err);
	if (r)
		return r;
	for (unsigned i = 0; i < IDE_CHANNELS * IDE_UNITS; i++) {
		*at = (struct ata_place){i / IDE_UNITS, i % IDE_UNITS};
		if ((bus == UINT32_MAX || bus == at->bus) &&
		    (unit == UINT64_MAX || unit == at->unit) && place_free(b, at))
			return 0;
	}
	return err_set(err, -EBUSY, "%s: no place is free on that IDE bus; there are ide.0 and "
				    "ide.1 with unit=0 and unit=1 each",
		       props_what(p));
}

/* ---- ATA drives --------------------------------------------------------------------------------- */

static void free_ata(void *obj)
{
	ata_drive_free(obj);
}

/* `dr` may be NULL: a CD-ROM drive without a drive behind it. */
static struct ata_drive *make_ata(struct drive *dr, bool cdrom, const char *serial,
				  unsigned number, struct lodge_err *err)
{
	const struct ata_config cfg = {
		.kind = cdrom ? ATA_CDROM : ATA_DISK,
		.queue = dr ? dr->queue : NULL,
		.read_only = dr && dr->read_only,
		.serial = serial,
		.number = number,
	};

	return ata_drive_new(&cfg, err);
}

static void tell_path(const struct ata_place *at, char *path, size_t n)
{
	snprintf(path, n, "ide@1,1/drive@%x/disk@%x", at->bus, at->unit);
}

static int make_ide(struct board *b, struct props *p, bool cdrom, struct lodge_err *err)
{
	struct drive *dr = NULL;
	struct ata_place at;
	struct ata_drive *d;
	const char *serial, *id;
	char path[64];
	int r;

	if (!cdrom || props_has(p, "drive")) {
		dr = drive_of(b, p, err);
		if (!dr)
			return -EINVAL;
	}
	serial = props_get(p, "serial");
	id = props_get(p, "id");
	r = ide_place(b, p, &at, err);
	if (r)
		return r;
	tell_path(&at, path, sizeof(path));
	r = board_bootable(b, p, path, err);
	if (r)
		return r;
	d = make_ata(dr, cdrom, serial ? serial : dr ? dr->serial : NULL,
		     at.bus * IDE_UNITS + at.unit + 1, err);
	if (!d)
		return -EINVAL;
	r = board_adopt(b, id, ata_drive_device(d), d, free_ata, err);
	if (r)
		return r;
	return piix3_ide_attach(b->ide, at.bus, at.unit, d);
}

static int make_ide_hd(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_ide(b, p, false, err);
}

static int make_ide_cd(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_ide(b, p, true, err);
}

const struct board_kind board_ide_hd = {
	.name = "ide-hd",
	.help = "IDE disk: drive=, bus=ide.0|ide.1, unit=0|1, serial=, bootindex=",
	.make = make_ide_hd,
};

const struct board_kind board_ide_cd = {
	.name = "ide-cd",
	.help = "IDE CD-ROM: drive=, bus=ide.0|ide.1, unit=0|1, serial=, bootindex=",
	.make = make_ide_cd,
};

/* A drive of if=ide. */
static int add_ide_drive(struct board *b, struct drive *dr, struct lodge_err *err)
{
	const struct ata_place at = {dr->bus, dr->unit};
	struct ata_drive *d;
	int r;

	if (at.bus >= IDE_CHANNELS || at.unit >= IDE_UNITS || !place_free(b, &at))
		return err_set(err, -EBUSY,
			       "-drive: IDE bus=%u,unit=%u is taken or does not exist; there are "
			       "buses 0 and 1 with units 0 and 1",
			       dr->bus, dr->unit);
	d = make_ata(dr, dr->cdrom, dr->serial, at.bus * IDE_UNITS + at.unit + 1, err);
	if (!d)
		return -EINVAL;
	dr->used = true;
	r = board_adopt(b, NULL, ata_drive_device(d), d, free_ata, err);
	if (r)
		return r;
	return piix3_ide_attach(b->ide, at.bus, at.unit, d);
}

/* ---- CMOS --------------------------------------------------------------------------------------- */

static unsigned cylinders(struct ata_drive *d)
{
	return (unsigned)min_u64(max_u64(ata_drive_sectors(d) / (16 * 63), 1), 16383);
}

/* Type 47, with its parameters: cylinders, heads, no precompensation, landing zone, sectors. */
static void cmos_disk(struct board *b, unsigned unit, struct ata_drive *d)
{
	uint8_t at = (uint8_t)(CMOS_DISK_PARAMS + 9 * unit);
	unsigned cyl = cylinders(d);
	const uint8_t params[9] = {(uint8_t)cyl, (uint8_t)(cyl >> 8), 16,
				   0xff,	 0xff,		      0xc8,
				   (uint8_t)cyl, (uint8_t)(cyl >> 8), 63};
	uint8_t types = mc146818_get_byte(b->rtc, CMOS_DISK_TYPES);

	for (uint8_t i = 0; i < sizeof(params); i++)
		mc146818_set_byte(b->rtc, at + i, params[i]);
	mc146818_set_byte(b->rtc, (uint8_t)(CMOS_DISK_TYPE_EXT + unit), 47);
	mc146818_set_byte(b->rtc, CMOS_DISK_TYPES, (uint8_t)(types | (unit ? 0x0f : 0xf0)));
}

static void cmos_disks(struct board *b)
{
	uint8_t translation = 0;

	for (unsigned i = 0; i < IDE_CHANNELS * IDE_UNITS; i++) {
		struct ata_drive *d = piix3_ide_drive(b->ide, i / IDE_UNITS, i % IDE_UNITS);

		if (!d || ata_is_cdrom(d))
			continue;
		if (i < 2)
			cmos_disk(b, i, d);
		if (cylinders(d) > 1024)
			translation |= (uint8_t)(TRANSLATION_LBA << (2 * i));
	}
	mc146818_set_byte(b->rtc, CMOS_TRANSLATION, translation);
}

/* ---- All of them -------------------------------------------------------------------------------- */

int board_add_storage(struct board *b, struct lodge_err *err)
{
	struct drive *dr;
	int r = 0;

	list_for_each_entry (dr, &b->drives, link) {
		if (!dr->used && dr->iface == DRIVE_IDE)
			r = add_ide_drive(b, dr, err);
		if (r)
			return r;
	}
	cmos_disks(b);
	return 0;
}
