// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Option ROMs: -option-rom, by fw_cfg ("genroms/"), and those of PCI devices, in their ROM BAR.
 * Source: PCI Firmware Specification 3.0 §5.1 (header and PCI data structure); PCI 3.0 §6.2.5.2.
 * Threads: before threads start; the ROM BAR's reads with the VM lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "display/letters.h"
#include "machine/board_int.h"
#include "machine/datafile.h"

#define OPTION_ROM_MAX (1u << 20)
#define PCI_ROM_MAX (16u << 20)
#define PCI_ROM_MIN 2048u
/* Header (0x55, 0xaa) and the data structure it points to. */
#define HDR_PCIR 0x18u
#define PCIR_VENDOR 4u
#define PCIR_DEVICE 6u
#define PCIR_IMAGE_LEN 0x10u
#define PCIR_BYTES 0x18u

static uint8_t *read_rom(struct board *b, const char *name, uint32_t max, uint32_t *len,
			 struct lodge_err *err)
{
	char *path = data_file_find(&b->vm->cfg, name, "option ROM", err);
	uint8_t *buf = NULL;
	struct fw_file f;

	if (!path)
		return NULL;
	if (fw_file_open(&f, path, "option ROM", max, err)) {
		free(path);
		return NULL;
	}
	if (!f.size || f.size > max) {
		err_set(err, -EFBIG,
			"'%s' is no option ROM: it has %llu bytes, and %u are the most", path,
			(unsigned long long)f.size, max);
	} else {
		buf = malloc(f.size);
		if (!buf || fw_file_read(&f, 0, buf, f.size)) {
			err_set(err, -EIO, "cannot read the option ROM '%s'", path);
			free(buf);
			buf = NULL;
		}
	}
	*len = (uint32_t)f.size;
	fw_file_close(&f);
	free(path);
	return buf;
}

/* ---- -option-rom --------------------------------------------------------------------------------
 */

int board_add_option_rom(struct board *b, const char *name, bool first, struct props *p,
			 struct lodge_err *err)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	char file[FW_CFG_MAX_NAME + 16], path[FW_CFG_MAX_NAME + 16];
	uint32_t len;
	uint8_t *rom = read_rom(b, name, OPTION_ROM_MAX, &len, err);
	int r;

	if (!rom)
		return -ENOENT;
	snprintf(file, sizeof(file), "genroms/%s", base);
	snprintf(path, sizeof(path), "/rom@genroms/%s", base);
	r = fw_cfg_add_file(b->fw_cfg, file, rom, len);
	free(rom);
	if (r)
		return err_set(err, r, "-option-rom: cannot add '%s': %s", base,
			       r == -EEXIST	    ? "there is one of this name already"
			       : r == -ENAMETOOLONG ? "a name has at most 47 bytes"
						    : strerror(-r));
	if (first)
		return board_boot_first(b, path, err);
	return p ? board_bootable(b, p, path, err) : 0;
}

int board_add_option_roms(struct board *b, struct lodge_err *err)
{
	const struct vm_options *o = &b->vm->cfg.option_roms;

	for (unsigned i = 0; i < o->n; i++) {
		const char *name = props_get(o->p[i], "romfile");
		int r = name && *name ? board_add_option_rom(b, name, false, o->p[i], err)
				      : err_set(err, -EINVAL, "-option-rom needs a file");

		if (!r)
			r = props_done(o->p[i], err);
		if (r)
			return r;
	}
	return 0;
}

/* ---- ROM BARs -----------------------------------------------------------------------------------
 */

struct pci_rom {
	struct list link;
	uint32_t size; /* power of two: the BAR's */
	uint8_t bytes[];
};

static uint64_t rom_read(void *opaque, uint64_t off, unsigned size)
{
	const struct pci_rom *rom = opaque;
	uint64_t v = 0;

	for (unsigned i = 0; i < size && off + i < rom->size; i++)
		v |= (uint64_t)rom->bytes[off + i] << 8 * i;
	return v;
}

static void rom_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	(void)opaque;
	(void)off;
	(void)val;
	(void)size;
}

static const struct bus_ops rom_ops = {rom_read, rom_write, 1, 8};

/*
 * One ROM file serves several chips that are alike: its images get the identity of the device that has
 * it, as firmware starts no other.
 */
static void set_identity(uint8_t *rom, uint32_t size, uint16_t vendor, uint16_t device)
{
	uint64_t at = 0;

	while (range_ok(at, HDR_PCIR + 2, size) && ld_le16(rom + at) == 0xaa55) {
		uint64_t pcir = at + ld_le16(rom + at + HDR_PCIR);
		uint64_t image;
		uint8_t fix;

		if (!range_ok(pcir, PCIR_BYTES, size) || memcmp(rom + pcir, "PCIR", 4))
			return;
		image = (uint64_t)ld_le16(rom + pcir + PCIR_IMAGE_LEN) * 512;
		/* Byte 6 of a BIOS image is free for making its sum 0. */
		fix = (uint8_t)(rom[pcir + 4] + rom[pcir + 5] + rom[pcir + 6] + rom[pcir + 7] -
				(uint8_t)vendor - (uint8_t)(vendor >> 8) - (uint8_t)device -
				(uint8_t)(device >> 8));
		if (fix && rom[pcir + 0x14] == 0)
			rom[at + 6] = (uint8_t)(rom[at + 6] + fix);
		st_le16(rom + pcir + PCIR_VENDOR, vendor);
		st_le16(rom + pcir + PCIR_DEVICE, device);
		if (!image || rom[pcir + 0x15] & 0x80)
			return;
		at += image;
	}
}

int board_pci_rom(struct board *b, struct props *p, struct pci_dev *d, const char *usual,
		  struct lodge_err *err)
{
	const char *name = props_get(p, "romfile");
	struct lodge_err why = {""};
	struct pci_rom *rom;
	uint64_t on = 1, size = PCI_ROM_MIN;
	uint32_t len;
	uint8_t *bytes;
	int r = props_u64(p, "rombar", 1, &on, err);

	if (r || !on || (name && !*name) || (!name && (!usual || !b->rom_bytes)))
		return r;
	bytes = read_rom(b, name ? name : usual, PCI_ROM_MAX, &len, &why);
	if (!bytes) /* the device is whole without the usual one */
		return name ? err_set(err, -ENOENT, "%s: %s", props_what(p), why.msg) : 0;
	while (size < len)
		size *= 2;
	rom = calloc(1, sizeof(*rom) + size);
	if (rom) {
		rom->size = (uint32_t)size;
		memcpy(rom->bytes, bytes, len);
		set_identity(rom->bytes, len, reg_get16(&d->cfg, PCI_VENDOR_ID),
			     reg_get16(&d->cfg, PCI_DEVICE_ID));
		list_add_tail(&b->roms, &rom->link);
	}
	free(bytes);
	if (!rom)
		return err_set(err, -ENOMEM, "no memory for an option ROM");
	r = pci_dev_add_bar(d, PCI_BAR_ROM, PCI_BAR_MEM32, false, size, &rom_ops, rom, "pci rom");
	return r ? err_set(err, r, "%s: the device has no place for a ROM", props_what(p)) : 0;
}

const uint8_t *board_font(struct board *b)
{
	struct pci_rom *rom;

	list_for_each_entry (rom, &b->roms, link) {
		const uint8_t *font = display_font_in(rom->bytes, rom->size);

		if (font)
			return font;
	}
	return NULL;
}

void board_free_roms(struct board *b)
{
	while (!list_empty(&b->roms)) {
		struct pci_rom *rom = container_of(b->roms.next, struct pci_rom, link);

		list_del(&rom->link);
		free(rom);
	}
}
