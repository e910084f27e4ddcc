// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a processor finds at power-on: firmware from -bios, or a kernel with everything firmware
 * would have left (tables, programmed chips).
 *
 * Source: docs/specs/fw_cfg of QEMU for item numbers; what SeaBIOS leaves in the chips.
 * Threads: before threads start, or with the VM lock held and no vCPU running.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "base/range.h"
#include "firmware/boot.h"
#include "firmware/entry.h"
#include "firmware/e820.h"
#include "firmware/platform.h"
#include "firmware/tables.h"
#include "machine/board_int.h"

#define BIOS_MAX (16u << 20)
#define BMDMA_PORT 0xc000u /* IDE's DMA registers, when no firmware places them */
#define FWCFG_FILE_MAX (64u << 20)

/* ---- -bios ------------------------------------------------------------------------------------
 */

static int open_bios(struct fw_file *f, const char *path, struct lodge_err *err)
{
	int r = fw_file_open(f, path, "firmware", BIOS_MAX, err);

	if (r)
		return r;
	if (f->size && f->size <= BIOS_MAX && f->size % 4096 == 0)
		return 0;
	err_set(err, -EINVAL,
		"'%s' is no firmware image: its %llu bytes are not a multiple of 4 KiB up to 16 "
		"MiB",
		path, (unsigned long long)f->size);
	fw_file_close(f);
	return -EINVAL;
}

int board_rom_bytes(const char *bios, uint64_t *bytes, struct lodge_err *err)
{
	struct fw_file f;
	int r;

	*bytes = 0;
	if (!bios)
		return 0;
	r = open_bios(&f, bios, err);
	if (r)
		return r;
	*bytes = f.size;
	fw_file_close(&f);
	return 0;
}

static int load_bios(struct board *b, struct lodge_err *err)
{
	const char *path = b->vm->cfg.bios;
	struct mem *mem = b->vm->mem;
	struct fw_file f;
	int r = open_bios(&f, path, err);

	if (r)
		return r;
	if (f.size != b->rom_bytes)
		r = err_set(err, -EINVAL, "'%s' has changed its size since the start", path);
	else if (fw_file_read(&f, 0, mem_base(mem) + mem_ram_bytes(mem), f.size))
		r = err_set(err, -EIO, "cannot read '%s'", path);
	else
		mem_wrote(mem, PC_4G - f.size, f.size);
	fw_file_close(&f);
	return r;
}

/* ---- Without firmware: what it would have programmed -------------------------------------------
 */

/* Ports and values, in order. */
static const struct {
	uint16_t port;
	uint8_t val;
} chip_writes[] = {
	/* 8259s: vectors 8 and 0x70, cascade on 2, all inputs masked. */
	{0x20, 0x11},
	{0xa0, 0x11},
	{0x21, 0x08},
	{0xa1, 0x70},
	{0x21, 0x04},
	{0xa1, 0x02},
	{0x21, 0x01},
	{0xa1, 0x01},
	{0x21, 0xfb},
	{0xa1, 0xff},
	/* ELCR: IRQ 9 (ACPI), 10 and 11 (PCI) are level-triggered. */
	{0x4d1, 0x0e},
	/* 8254: counter 0 runs at 18.2 Hz, counter 1 refreshed memory once. */
	{0x43, 0x34},
	{0x40, 0x00},
	{0x40, 0x00},
	{0x43, 0x54},
	{0x41, 0x12},
	/* 8042: keyboard clock on, translation on, system flag, IRQ 1 and 12 off. */
	{0x64, 0x60},
	{0x60, 0x44},
	/* 8237s: the slave's channels reach through channel 0 of the master. */
	{0xd6, 0xc0},
	{0xd4, 0x00},
};

/* The boot processor's APIC lets the 8259s through ("virtual wire", MP 1.4 §3.6.2.2). */
static const struct {
	uint16_t off;
	uint32_t val;
} lapic_writes[] = {
	{0xf0, 0x1ff},	/* spurious vector, APIC on */
	{0x350, 0x700}, /* LINT0: ExtINT */
	{0x360, 0x400}, /* LINT1: NMI */
};

static void program_pci(struct board *b)
{
	static const uint8_t pirqs[4] = {PC_PIRQA_IRQ, PC_PIRQB_IRQ, PC_PIRQC_IRQ, PC_PIRQD_IRQ};
	uint16_t pm = pci_devfn(PC_PIIX_SLOT, 3);

	piix3_set_pirqs(b->isa_bridge, pirqs);
	piix3_ide_program(b->ide, BMDMA_PORT);
	piix4_pm_program(b->pm);
	pci_config_write(b->pci, pm, PCI_INT_LINE, PC_SCI_IRQ, 1);
	i440fx_set_pam(b->host_bridge, I440FX_PAM_READ_RAM | I440FX_PAM_WRITE_RAM);
}

static void program_chips(struct board *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(chip_writes); i++)
		bus_pio_write(b->vm->bus, chip_writes[i].port, chip_writes[i].val, 1);
	for (size_t i = 0; i < ARRAY_SIZE(lapic_writes); i++)
		lapic_mmio_write(b->lapics[0], lapic_writes[i].off, lapic_writes[i].val, 4);
	program_pci(b);
}

static unsigned com_ports(const struct board *b)
{
	unsigned n = VM_SERIALS;

	while (n && !b->uart[n - 1])
		n--;
	return n;
}

static int boot_kernel(struct board *b, struct x86_state *bsp, struct lodge_err *err)
{
	struct vm *vm = b->vm;
	uint32_t leaf1[4];
	struct fw_tables_config tables = {
		.cpus = vm->cfg.cpus,
		.ram_below_4g = b->ram_low,
		.ram_above_4g = b->ram_high,
		.com_ports = com_ports(b),
	};
	struct boot_config boot = {
		.kernel = vm->cfg.kernel,
		.initrd = vm->cfg.initrd,
		.cmdline = vm->cfg.append,
		.ram_below_4g = b->ram_low,
		.ram_above_4g = b->ram_high,
		.phys_bits = vm->cpuid.phys_bits,
		.no_long_mode = !vm->cpuid.has[X86_FEAT_LM],
	};
	int r;

	x86_cpuid_query(&vm->cpuid, 0, 0, 0, true, 1, 0, leaf1);
	tables.cpuid_1_eax = leaf1[0];
	tables.cpuid_1_edx = leaf1[3];
	program_chips(b);
	r = firmware_tables_build(vm->mem, &tables, &boot.rsdp, err);
	return r ? r : boot_load(vm->mem, &boot, bsp, NULL, err);
}

/* ---- Power-on ---------------------------------------------------------------------------------
 */

int board_boot(struct board *b, struct lodge_err *err)
{
	struct vm *vm = b->vm;
	uint64_t tsc_offset = 0 - __rdtsc();
	int r = 0;

	for (unsigned i = 0; i < vm->cfg.cpus && !r; i++) {
		struct x86_state *s = vm->ops->state(vm->cpus[i].vcpu);

		x86_state_reset(s, i == 0);
		if (i == 0)
			r = vm->cfg.bios ? load_bios(b, err) : boot_kernel(b, s, err);
		else if (!vm->cfg.bios)
			boot_cpu_set_mtrrs(s, vm->cpuid.phys_bits);
		s->tsc_offset = tsc_offset;
		vm_cpu_dump(vm, i, "reset");
		vm->ops->state_changed(vm->cpus[i].vcpu);
	}
	return r;
}

/* ---- fw_cfg -----------------------------------------------------------------------------------
 */

static int add_e820(struct board *b)
{
	struct e820_map map;
	uint8_t wire[E820_MAX * E820_WIRE_BYTES];

	e820_build(&map, b->ram_low, b->ram_high);
	for (unsigned i = 0; i < map.n; i++)
		e820_store(wire + i * E820_WIRE_BYTES, &map.e[i]);
	return fw_cfg_add_file(b->fw_cfg, "etc/e820", wire, map.n * E820_WIRE_BYTES);
}

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

int board_fill_fw_cfg(struct board *b, struct lodge_err *err)
{
	const struct vm_config *cfg = &b->vm->cfg;
	struct fw_cfg *f = b->fw_cfg;
	int r = fw_cfg_add_u64(f, FW_CFG_RAM_SIZE, b->ram_low);

	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_NB_CPUS, (uint16_t)cfg->cpus);
	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_MAX_CPUS, (uint16_t)cfg->cpus);
	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_NOGRAPHIC, 1);
	if (!r)
		r = fw_cfg_add_u16(f, FW_CFG_BOOT_MENU, 0);
	if (!r)
		r = fw_cfg_add_u32(f, FW_CFG_IRQ0_OVERRIDE, 1);
	if (!r)
		r = add_e820(b);
	if (r)
		return err_set(err, r, "cannot fill fw_cfg: %s", strerror(-r));
	for (unsigned i = 0; i < cfg->fwcfg_items && !r; i++)
		r = add_item(b, &cfg->fwcfg[i], err);
	return r;
}
