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

/* Where an ATA drive goes: to a channel of the board's IDE, or to a port of an AHCI adapter. */
struct ata_place {
	struct ahci *ahci; /* or NULL: IDE */
	unsigned bus, unit;
};

static struct ata_drive *drive_there(struct board *b, const struct ata_place *at)
{
	return at->ahci ? ahci_drive(at->ahci, at->bus)
			: piix3_ide_drive(b->ide, at->bus, at->unit);
}

/* "NAME.N": the length of NAME, and N; false when it is no such thing. */
static bool split_bus(const char *bus, size_t *len, unsigned *n)
{
	const char *dot = strrchr(bus, '.');

	if (!dot || dot[1] < '0' || dot[1] > '9' || dot[2])
		return false;
	*len = (size_t)(dot - bus);
	*n = (unsigned)(dot[1] - '0');
	return true;
}

/* The adapter whose id are the first `len` bytes of `bus`. */
static struct ahci *find_ahci(struct board *b, const char *bus, size_t len)
{
	char id[64];
	struct device *dev;

	if (len >= sizeof(id))
		return NULL;
	memcpy(id, bus, len);
	id[len] = '\0';
	dev = board_find_added(b, &ahci_class, id);
	return dev ? ahci_of_device(dev) : NULL;
}

/* bus=ide.N or ID.N, unit=N; what is not given is the first that is free on the board's IDE. */
static int choose_place(struct board *b, struct props *p, struct ata_place *at,
			struct lodge_err *err)
{
	const char *bus = props_get(p, "bus");
	unsigned n = UINT32_MAX;
	uint64_t unit = UINT64_MAX;
	size_t len = 0;
	int r = props_u64(p, "unit", 1, &unit, err);

	if (r)
		return r;
	if (bus && !split_bus(bus, &len, &n))
		return err_set(err, -EINVAL,
			       "%s: bus=%s is no bus of drives; use ide.0, ide.1, or "
			       "an AHCI adapter's id with a port, as ahci.0",
			       props_what(p), bus);
	if (bus && (len != 3 || memcmp(bus, "ide", 3))) {
		*at = (struct ata_place){.ahci = find_ahci(b, bus, len), .bus = n};
		if (!at->ahci || n >= AHCI_PORTS || (unit != UINT64_MAX && unit))
			return err_set(err, -EINVAL,
				       "%s: there is no bus '%s'%s; add '-device ahci,id=ahci' "
				       "before it, which has ahci.0 to ahci.5 with unit=0",
				       props_what(p), bus, at->ahci ? " with that unit" : "");
		if (!drive_there(b, at))
			return 0;
		return err_set(err, -EBUSY, "%s: bus '%s' has a drive", props_what(p), bus);
	}
	for (unsigned i = 0; i < IDE_CHANNELS * IDE_UNITS; i++) {
		*at = (struct ata_place){.bus = i / IDE_UNITS, .unit = i % IDE_UNITS};
		if ((!bus || n == at->bus) && (unit == UINT64_MAX || unit == at->unit) &&
		    !drive_there(b, at) && !drive_at(b, DRIVE_IDE, at->bus, at->unit))
			return 0;
	}
	return err_set(err, -EBUSY,
		       "%s: no such place is free for an IDE drive; there are ide.0 "
		       "and ide.1 with unit=0 and unit=1 each",
		       props_what(p));
}

static int attach(struct board *b, const struct ata_place *at, struct ata_drive *d)
{
	return at->ahci ? ahci_attach(at->ahci, at->bus, d)
			: piix3_ide_attach(b->ide, at->bus, at->unit, d);
}

/* An Open Firmware path, as SeaBIOS and OVMF look for it. */
static void boot_path(const struct ata_place *at, char *path, size_t n)
{
	unsigned devfn = at->ahci ? ahci_devfn(at->ahci) : 0;

	if (!at->ahci)
		snprintf(path, n, "ide@1,1/drive@%x/disk@%x", at->bus, at->unit);
	else if (devfn & 7)
		snprintf(path, n, "pci8086,2922@%x,%x/drive@%x/disk@0", devfn >> 3, devfn & 7,
			 at->bus);
	else
		snprintf(path, n, "pci8086,2922@%x/drive@%x/disk@0", devfn >> 3, at->bus);
}

/* ---- ATA drives --------------------------------------------------------------------------------- */

static void free_ata(void *obj)
{
	ata_drive_free(obj);
}

static void tray_moved(void *opaque, bool open)
{
	const struct drive *dr = opaque;
	struct vm_event ev = {.kind = VM_EVENT_TRAY_MOVED, .open = open};

	snprintf(ev.device, sizeof(ev.device), "%.63s", dr->id);
	snprintf(ev.id, sizeof(ev.id), "%s", dr->device_id);
	vm_tell(dr->board->vm, &ev);
}

/* `dr` may be NULL: a CD-ROM drive without a drive behind it. */
static struct ata_drive *make_ata(struct board *b, struct drive *dr, bool cdrom, const char *serial,
				  struct lodge_err *err)
{
	const struct ata_config cfg = {
		.tray_moved = dr ? tray_moved : NULL,
		.opaque = dr,
		.kind = cdrom ? ATA_CDROM : ATA_DISK,
		.queue = dr ? dr->queue : NULL,
		.read_only = dr && dr->read_only,
		.serial = serial,
		.number = ++b->ata_drives,
	};

	return ata_drive_new(&cfg, err);
}

static int make_ide(struct board *b, struct props *p, bool cdrom, struct lodge_err *err)
{
	struct drive *dr = NULL;
	struct ata_place at = {0};
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
	r = choose_place(b, p, &at, err);
	if (r)
		return r;
	boot_path(&at, path, sizeof(path));
	r = board_bootable(b, p, path, err);
	if (r)
		return r;
	d = make_ata(b, dr, cdrom, serial ? serial : dr ? dr->serial : NULL, err);
	if (!d)
		return -EINVAL;
	r = board_adopt(b, id, ata_drive_device(d), d, free_ata, err);
	if (r)
		return r;
	drive_show(dr, SHOWN_ATA, d, id);
	return attach(b, &at, d);
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
	.help = "disk: drive=, bus=ide.N (with unit=0|1) or ID.N of an AHCI adapter, serial=, "
		"bootindex=",
	.make = make_ide_hd,
};

const struct board_kind board_ide_cd = {
	.name = "ide-cd",
	.help = "CD-ROM: drive=, bus= as ide-hd has it, unit=0|1, serial=, bootindex=",
	.make = make_ide_cd,
};

/* ---- AHCI --------------------------------------------------------------------------------------- */

static void free_ahci(void *obj)
{
	ahci_free(obj);
}

static int make_ahci(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "id");
	uint8_t devfn;
	struct ahci *a;
	int r = board_pci_place(b, p, &devfn, err);

	if (r)
		return r;
	a = ahci_new(b->pci, devfn, b->vm->mem, err);
	return a ? board_adopt(b, id, ahci_device(a), a, free_ahci, err) : -EINVAL;
}

const struct board_kind board_ahci = {
	.name = "ahci",
	.alias = "ich9-ahci",
	.help = "AHCI adapter with six ports, ID.0 to ID.5: id=, addr=",
	.make = make_ahci,
};

/* ---- NVMe --------------------------------------------------------------------------------------- */

static void free_nvme(void *obj)
{
	nvme_free(obj);
}

static int make_nvme(struct board *b, struct props *p, struct lodge_err *err)
{
	struct drive *dr = drive_of(b, p, err);
	const char *id = props_get(p, "id"), *serial = props_get(p, "serial");
	struct nvme_config cfg = {.mem = b->vm->mem};
	char path[64];
	struct nvme *n;
	uint8_t devfn;
	int r;

	if (!dr)
		return -EINVAL;
	cfg.serial = serial ? serial : dr->serial;
	if (!dr->queue)
		return err_set(err, -EINVAL,
			       "%s: a disk needs an image: give it one with file=", props_what(p));
	if (!*cfg.serial)
		return err_set(err, -EINVAL,
			       "%s: serial= is missing; any text of up to 20 "
			       "characters will do",
			       props_what(p));
	cfg.queue = dr->queue;
	cfg.read_only = dr->read_only;
	r = board_pci_place(b, p, &devfn, err);
	if (r)
		return r;
	/* Firmware looks for this vendor and device here, whatever the function's own are. */
	if (devfn & 7)
		snprintf(path, sizeof(path), "pci8086,5845@%x,%x/namespace@1,0", devfn >> 3,
			 devfn & 7);
	else
		snprintf(path, sizeof(path), "pci8086,5845@%x/namespace@1,0", devfn >> 3);
	r = board_bootable(b, p, path, err);
	if (r)
		return r;
	n = nvme_new(b->pci, devfn, &cfg, err);
	drive_show(n ? dr : NULL, SHOWN_NVME, n, id);
	return n ? board_adopt(b, id, nvme_device(n), n, free_nvme, err) : -EINVAL;
}

const struct board_kind board_nvme = {
	.name = "nvme",
	.help = "NVMe disk: drive=, serial=, id=, addr=, bootindex=",
	.make = make_nvme,
};

/* ---- Drives of if=ide --------------------------------------------------------------------------- */

static int add_ide_drive(struct board *b, struct drive *dr, struct lodge_err *err)
{
	const struct ata_place at = {.bus = dr->bus, .unit = dr->unit};
	struct ata_drive *d;
	int r;

	if (at.bus >= IDE_CHANNELS || at.unit >= IDE_UNITS || drive_there(b, &at))
		return err_set(err, -EBUSY,
			       "-drive: IDE bus=%u,unit=%u is taken or does not exist; there are "
			       "buses 0 and 1 with units 0 and 1",
			       dr->bus, dr->unit);
	d = make_ata(b, dr, dr->cdrom, dr->serial, err);
	if (!d)
		return -EINVAL;
	dr->used = true;
	r = board_adopt(b, NULL, ata_drive_device(d), d, free_ata, err);
	if (r)
		return r;
	drive_show(dr, SHOWN_ATA, d, NULL);
	return attach(b, &at, d);
}

/* ---- Floppies ----------------------------------------------------------------------------------- */

static int make_floppy(struct board *b, struct props *p, struct lodge_err *err)
{
	static const char *const types[] = {"auto", "120", "144", "288", NULL};
	static const enum fdc_type cmos[] = {FDC_TYPE_NONE, FDC_TYPE_1M2, FDC_TYPE_1M44,
					     FDC_TYPE_2M88};
	struct drive *dr = NULL;
	uint64_t unit = UINT64_MAX;
	unsigned type = 0;
	const char *id;
	char path[64];
	int r;

	if (props_has(p, "drive")) {
		dr = drive_of(b, p, err);
		if (!dr)
			return -EINVAL;
	}
	r = props_u64(p, "unit", FDC_DRIVES - 1, &unit, err);
	if (!r)
		r = props_choice(p, "drive-type", types, &type, err);
	if (r)
		return r;
	id = props_get(p, "id");
	for (unsigned i = 0; i < FDC_DRIVES && unit == UINT64_MAX; i++) {
		if (!fdc_drive_type(b->fdc, i) && !drive_at(b, DRIVE_FLOPPY, 0, i))
			unit = i;
	}
	if (unit == UINT64_MAX)
		return err_set(err, -EBUSY, "%s: there are two floppy drives already",
			       props_what(p));
	snprintf(path, sizeof(path), "isa@1/fdc@%04x/floppy@%u", FDC_PORT, (unsigned)unit);
	r = board_bootable(b, p, path, err);
	if (r)
		return r;
	drive_show(dr, SHOWN_FLOPPY, b->fdc, id);
	if (dr)
		dr->device_unit = (unsigned)unit;
	return fdc_add_drive(b->fdc, (unsigned)unit, dr ? dr->queue : NULL, dr && dr->read_only,
			     cmos[type], err);
}

const struct board_kind board_floppy = {
	.name = "floppy",
	.help = "floppy drive: drive=, unit=0|1, drive-type=120|144|288|auto, bootindex=",
	.make = make_floppy,
};

/* A drive of if=floppy. */
static int add_floppy_drive(struct board *b, struct drive *dr, struct lodge_err *err)
{
	if (dr->unit >= FDC_DRIVES)
		return err_set(err, -EINVAL,
			       "-drive if=floppy: there are two floppy drives, "
			       "index=0 and index=1");
	dr->used = true;
	drive_show(dr, SHOWN_FLOPPY, b->fdc, NULL);
	dr->device_unit = dr->unit;
	return fdc_add_drive(b->fdc, dr->unit, dr->queue, dr->read_only, FDC_TYPE_NONE, err);
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
	const uint8_t params[9] = {(uint8_t)cyl, (uint8_t)(cyl >> 8), 16, 0xff, 0xff, 0xc8,
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
		else if (!dr->used && dr->iface == DRIVE_FLOPPY)
			r = add_floppy_drive(b, dr, err);
		if (r)
			return r;
	}
	cmos_disks(b);
	mc146818_set_floppies(b->rtc, (uint8_t)fdc_drive_type(b->fdc, 0),
			      (uint8_t)fdc_drive_type(b->fdc, 1));
	return 0;
}
