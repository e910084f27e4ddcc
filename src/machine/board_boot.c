// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a processor finds at power-on: firmware, or a kernel with everything firmware would have left
 * (tables, programmed chips).
 *
 * Source: what SeaBIOS leaves in the chips.
 * Threads: before threads start, or with the VM lock held and no vCPU running.
 */
#include <string.h>

#include "base/range.h"
#include "firmware/boot.h"
#include "firmware/entry.h"
#include "firmware/platform.h"
#include "firmware/tables.h"
#include "machine/board_int.h"

#define BMDMA_PORT 0xc000u /* IDE's DMA registers, when no firmware places them */

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

void board_tables_config(const struct board *b, struct fw_tables_config *cfg)
{
	struct vm *vm = b->vm;
	uint32_t leaf1[4];

	*cfg = (struct fw_tables_config){
		.cpus = vm->cfg.cpus,
		.ram_below_4g = b->ram_low,
		.ram_above_4g = b->ram_high,
		.com_ports = com_ports(b),
	};
	memcpy(cfg->uuid, b->uuid, sizeof(cfg->uuid));
	cfg->smbios = &b->smbios;
	x86_cpuid_query(&vm->cpuid, 0, 0, 0, true, 1, 0, leaf1);
	cfg->cpuid_1_eax = leaf1[0];
	cfg->cpuid_1_edx = leaf1[3];
}

static int boot_kernel(struct board *b, struct x86_state *bsp, struct lodge_err *err)
{
	struct vm *vm = b->vm;
	struct fw_tables_config tables;
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

	board_tables_config(b, &tables);
	program_chips(b);
	r = firmware_tables_build(vm->mem, &tables, &boot.rsdp, err);
	return r ? r : boot_load(vm->mem, &boot, bsp, NULL, err);
}

/* ---- Power-on ---------------------------------------------------------------------------------
 */

int board_boot(struct board *b, struct lodge_err *err)
{
	struct vm *vm = b->vm;
	uint64_t tsc_offset = 0 - vm_host_tsc(vm);
	int r = 0;

	board_set_boot_order(b);
	for (unsigned i = 0; i < vm->cfg.cpus && !r; i++) {
		struct x86_state *s = vm->ops->state(vm->cpus[i].vcpu);

		x86_state_reset(s, i == 0);
		/* Firmware finds the processors as the reset leaves them. */
		if (!b->rom_bytes && i == 0)
			r = boot_kernel(b, s, err);
		else if (!b->rom_bytes)
			boot_cpu_set_mtrrs(s, vm->cpuid.phys_bits);
		s->tsc_offset = tsc_offset;
		vm_cpu_dump(vm, i, "reset");
		vm->ops->state_changed(vm->cpus[i].vcpu);
	}
	return r;
}
