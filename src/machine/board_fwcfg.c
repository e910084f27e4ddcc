// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the board tells firmware by fw_cfg: sizes, the memory map, ACPI and SMBIOS tables, what to boot
 * and in which order; and `-fw_cfg`.
 *
 * Source: QEMU docs/specs/fw_cfg for item numbers; SeaBIOS docs/Runtime_config.md for file names.
 * Threads: before threads start; refresh_tables() with the VM lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/e820.h"
#include "firmware/loader.h"
#include "firmware/platform.h"
#include "firmware/smbios.h"
#include "machine/board_int.h"

#define FWCFG_FILE_MAX (64u << 20)
#define PCI_PATH "/pci@i0cf8/"

/* ---- Memory -------------------------------------------------------------------------------------
 */

/* RAM alone, each piece whole: what firmware keeps of it is its own to say. */
static int add_e820(struct board *b)
{
	const struct e820_entry ram[] = {
		{.addr = 0, .len = b->ram_low, .type = E820_RAM},
		{.addr = PC_4G, .len = b->ram_high, .type = E820_RAM},
	};
	uint8_t wire[ARRAY_SIZE(ram) * E820_WIRE_BYTES];
	unsigned n = b->ram_high ? 2 : 1;

	for (unsigned i = 0; i < n; i++)
		e820_store(wire + i * E820_WIRE_BYTES, &ram[i]);
	return fw_cfg_add_file(b->fw_cfg, "etc/e820", wire, n * E820_WIRE_BYTES);
}

/* ---- ACPI and SMBIOS ----------------------------------------------------------------------------
 */

/*
 * The tables as the machine is now. Windows for BARs: firmware puts the low ones anywhere from 2 GiB or
 * the end of the RAM on, and high ones anywhere above the RAM.
 */
static int build_tables(struct board *b, struct fw_loader *l)
{
	const uint64_t gib = 1ull << 30;
	struct fw_tables_config cfg;

	board_tables_config(b, &cfg);
	cfg.by_firmware = true;
	cfg.pci32_start = (uint32_t)max_u64(b->ram_low, 2 * gib);
	cfg.pci64_start = align_up(PC_4G + b->ram_high, gib);
	cfg.pci64_len = b->vm->cpuid.has[X86_FEAT_LM] ? 1ull << b->vm->cpuid.phys_bits : 0;
	cfg.pci64_len = cfg.pci64_len > cfg.pci64_start ? cfg.pci64_len - cfg.pci64_start : 0;
	/* SeaBIOS and OVMF choose different places for the PM block. */
	cfg.pm_base = piix4_pm_base(b->pm);
	return fw_loader_build(l, &cfg);
}

/* Firmware begins to read the tables, having programmed the chips: only now is known where they are. */
static void refresh_tables(void *opaque)
{
	struct board *b = opaque;
	struct fw_loader now;

	if (!build_tables(b, &now) && now.tables_len == b->tables.tables_len)
		memcpy(b->tables.tables, now.tables, now.tables_len);
	fw_loader_free(&now);
}

static int add_acpi(struct board *b)
{
	struct fw_cfg *f = b->fw_cfg;
	struct fw_loader *l = &b->tables;
	int r = build_tables(b, l);

	if (!r)
		r = fw_cfg_add_file_borrowed(f, LOADER_TABLES_FILE, l->tables, l->tables_len);
	if (!r)
		r = fw_cfg_add_file_borrowed(f, LOADER_RSDP_FILE, l->rsdp, sizeof(l->rsdp));
	if (!r)
		r = fw_cfg_add_file_borrowed(f, LOADER_SCRIPT_FILE, l->script, l->script_len);
	if (!r)
		r = fw_cfg_on_select(f, LOADER_TABLES_FILE, refresh_tables, b);
	return r;
}

static int add_smbios(struct board *b)
{
	uint8_t anchor[SMBIOS_ENTRY21_BYTES];
	struct fw_tables_config cfg;
	struct smbios s;
	int r;

	board_tables_config(b, &cfg);
	cfg.by_firmware = true;
	r = smbios_build(&s, &cfg);
	if (r)
		return r;
	smbios_entry21_fill(&s, 0, anchor);
	r = fw_cfg_add_file(b->fw_cfg, "etc/smbios/smbios-tables", s.bytes, s.len);
	return r ? r
		 : fw_cfg_add_file(b->fw_cfg, "etc/smbios/smbios-anchor", anchor, sizeof(anchor));
}

/* ---- What boots ---------------------------------------------------------------------------------
 */

void board_set_boot_order(struct board *b)
{
	/* What CMOS calls them. */
	static const char letters[] = "acdn";
	const struct vm_boot *boot = &b->vm->cfg.boot;
	const char *from = boot->once[0] && !b->booted ? boot->once
			   : boot->order[0]	       ? boot->order
						       : "cad";
	uint8_t order[3] = {0};

	for (unsigned i = 0; i < 3 && from[i]; i++) {
		const char *at = strchr(letters, from[i] == 'b' ? 'a' : from[i]);

		order[i] = at ? (uint8_t)(at - letters + 1) : 0;
	}
	mc146818_set_boot_order(b->rtc, order, !boot->no_floppy_check);
	b->booted = true;
}

/* "bootorder": a path a line, the first one first; HALT: nothing else is tried. */
static int add_boot_order(struct board *b)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	const char *path;
	int r = 0;

	if (!out)
		return -ENOMEM;
	for (unsigned i = 0; (path = board_boot_path(b, i)) != NULL; i++)
		fprintf(out, "%s%s\n", path[0] == '/' ? "" : PCI_PATH, path);
	if (b->vm->cfg.boot.strict)
		fputs("HALT\n", out);
	if (fclose(out))
		r = -ENOMEM;
	if (!r && len) {
		text[len - 1] = '\0'; /* the last line ends the text */
		r = fw_cfg_add_file(b->fw_cfg, "bootorder", text, (uint32_t)len);
	}
	free(text);
	return r;
}

static int add_boot(struct board *b)
{
	const struct vm_boot *boot = &b->vm->cfg.boot;
	/* S1, S3 and S4 are not there; for each a byte, bit 7: yes; S4's and S5's with SLP_TYP. */
	static const uint8_t states[6] = {0x80, 0, 0, 1, 2, 0x80};
	uint8_t num[4];
	int r = add_boot_order(b);

	if (!r)
		r = fw_cfg_add_u16(b->fw_cfg, FW_CFG_BOOT_MENU, boot->menu);
	if (!r && boot->has_splash_time) {
		st_le16(num, boot->splash_time_ms);
		r = fw_cfg_add_file(b->fw_cfg, "etc/boot-menu-wait", num, 2);
	}
	if (!r) {
		st_le32(num, boot->has_reboot_timeout ? boot->reboot_timeout_ms : UINT32_MAX);
		r = fw_cfg_add_file(b->fw_cfg, "etc/boot-fail-wait", num, 4);
	}
	if (!r)
		r = fw_cfg_add_file(b->fw_cfg, "etc/system-states", states, sizeof(states));
	return r;
}

/* ---- -fw_cfg ------------------------------------------------------------------------------------
 */

/* The whole of a host file, which the item copies. */
static int add_host_file(struct board *b, const struct vm_fwcfg_item *item, struct lodge_err *err)
{
	struct fw_file f;
	uint8_t *buf = NULL;
	int r = fw_file_open(&f, item->file, "fw_cfg file", FWCFG_FILE_MAX, err);

	if (r)
		return r;
	if (f.size > FWCFG_FILE_MAX)
		r = err_set(err, -EFBIG, "'%s' is too big for fw_cfg; 64 MiB is the most",
			    item->file);
	else if (!(buf = malloc(f.size + 1)) || fw_file_read(&f, 0, buf, f.size))
		r = err_set(err, -EIO, "cannot read '%s' for fw_cfg", item->file);
	else
		r = fw_cfg_add_file(b->fw_cfg, item->name, buf, (uint32_t)f.size);
	free(buf);
	fw_file_close(&f);
	return r;
}

static int add_item(struct board *b, const struct vm_fwcfg_item *item, struct lodge_err *err)
{
	int r;

	err->msg[0] = '\0';
	if (item->file)
		r = add_host_file(b, item, err);
	else
		r = fw_cfg_add_file(b->fw_cfg, item->name, item->string,
				    (uint32_t)strlen(item->string));
	if (r && !err->msg[0])
		err_set(err, r, "-fw_cfg: cannot add '%s': %s", item->name,
			r == -EEXIST	     ? "the name is taken"
			: r == -ENAMETOOLONG ? "a name has at most 55 bytes"
			: r == -ENOSPC	     ? "there are too many files"
					     : strerror(-r));
	return r;
}

/* ---- All ----------------------------------------------------------------------------------------
 */

static int add_basics(struct board *b)
{
	const struct vm_config *cfg = &b->vm->cfg;
	struct fw_cfg *f = b->fw_cfg;
	int r = fw_cfg_add_u64(f, FW_CFG_RAM_SIZE, b->ram_low);

	if (!r)
		r = fw_cfg_add_bytes(f, FW_CFG_UUID, b->uuid, sizeof(b->uuid));
	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_NB_CPUS, (uint16_t)cfg->cpus);
	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_MAX_CPUS, (uint16_t)cfg->cpus);
	/* SeaBIOS makes "etc/sercon-port" of it. */
	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_NOGRAPHIC, cfg->bios_on_serial);
	if (!r)
		r = fw_cfg_add_u32(f, FW_CFG_IRQ0_OVERRIDE, 1);
	return r ? r : add_e820(b);
}

int board_fill_fw_cfg(struct board *b, struct lodge_err *err)
{
	const struct vm_config *cfg = &b->vm->cfg;
	int r = add_basics(b);

	/* A kernel without firmware finds the tables in memory. */
	if (!r && b->rom_bytes)
		r = add_acpi(b);
	if (!r && b->rom_bytes)
		r = add_smbios(b);
	if (!r)
		r = add_boot(b);
	if (r == -E2BIG)
		return err_set(
			err, r,
			"the strings of -smbios are too long: 8 KiB each, and 32 KiB for all, "
			"are the most");
	if (r)
		return err_set(err, r, "cannot fill fw_cfg: %s", strerror(-r));
	for (unsigned i = 0; i < cfg->fwcfg_items && !r; i++)
		r = add_item(b, &cfg->fwcfg[i], err);
	return r;
}
