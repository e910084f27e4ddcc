/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a boot protocol promises the kernel about the processor, and its translation to a virtual
 * CPU's state: flat segments with a GDT in guest memory, paging for 64-bit entry, interrupts off.
 * Source: Intel SDM 3A §3.4, §4.5, §9.8; the boot protocols named in the loaders.
 */
#ifndef LODGE_FIRMWARE_ENTRY_H
#define LODGE_FIRMWARE_ENTRY_H

#include <stdint.h>

#include "mem/mem.h"
#include "x86/state.h"

enum boot_mode {
	BOOT_FLAT32, /* protected mode, paging off */
	BOOT_LONG64, /* long mode, the first 4 GiB mapped one to one */
};

/* Selectors in the boot GDT; 0x10 and 0x18 are what Linux asks for (__BOOT_CS, __BOOT_DS). */
#define BOOT_SEL_CODE 0x10
#define BOOT_SEL_DATA 0x18
#define BOOT_SEL_TSS 0x20

#define BOOT_GDT_BYTES 0x30u /* 6 entries; a 64-bit TSS takes two */
#define BOOT_TSS_OFF 0x80u   /* the TSS, in the same page as the GDT */
#define BOOT_TSS_BYTES 0x68u
#define BOOT_GDT_PAGE 0x1000u
#define BOOT_PT_BYTES 0x6000u /* PML4, PDPT, four page directories */

struct boot_entry {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rsp; /* 0: the protocol promises no stack */
	uint32_t eax, ebx, esi;
	gpa_t gdt; /* page for GDT and TSS */
	gpa_t pt;  /* BOOT_PT_BYTES, page-aligned; BOOT_LONG64 only */
};

/*
 * Write GDT, TSS and page tables into guest memory and fill `cpu` (reset first) so that it runs the
 * entry. 0, or -EFAULT when the pages are not RAM.
 */
int boot_entry_apply(const struct boot_entry *entry, struct mem *mem,
		     struct x86_state *cpu) MUST_CHECK;

/*
 * Memory types as firmware leaves them, for every processor: write-back, but uncached in the VGA
 * hole and from PC_PCI32_START to 4 GiB. `phys_bits` is the processor's physical address width.
 */
void boot_cpu_set_mtrrs(struct x86_state *cpu, unsigned phys_bits);

#endif
