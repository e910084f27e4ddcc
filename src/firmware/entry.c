// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processor state at a kernel's entry point.
 * Source: Intel SDM 3A §3.4.5 (descriptors), §4.5 (4-level paging), §7.2 (TSS), §9.8.
 * Threads: none but the caller's.
 */
#include "firmware/entry.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "firmware/platform.h"

#define ATTR_CODE32 (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | SEG_ATTR_G | 0xb)
#define ATTR_CODE64 (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_L | SEG_ATTR_G | 0xb)
#define ATTR_DATA (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | SEG_ATTR_G | 0x3)
#define ATTR_TSS_BUSY (SEG_ATTR_P | 0xb)

#define PTE_P 0x001u
#define PTE_W 0x002u
#define PTE_A 0x020u
#define PTE_D 0x040u
#define PTE_PS 0x080u
#define PT_ENTRIES 512u
#define PD_COUNT 4u
#define MIB2 0x200000ull

_Static_assert(BOOT_PT_BYTES == (2 + PD_COUNT) * PAGE_BYTES, "PML4, PDPT and the directories");
_Static_assert(BOOT_SEL_TSS + 16 == BOOT_GDT_BYTES, "the 64-bit TSS descriptor ends the GDT");
_Static_assert(BOOT_TSS_OFF + BOOT_TSS_BYTES <= BOOT_GDT_PAGE, "GDT and TSS share a page");

/* An 8-byte segment descriptor from its hidden form, SDM 3A figure 3-8. */
static uint64_t descriptor(const struct x86_seg *seg)
{
	uint64_t limit = seg->attr & SEG_ATTR_G ? seg->limit >> 12 : seg->limit;

	return (limit & 0xffff) | (seg->base & 0xffffff) << 16 |
	       (uint64_t)(seg->attr & 0xf0ff) << 40 | (limit & 0xf0000) << 32 |
	       (seg->base & 0xff000000) << 32;
}

static struct x86_seg flat(uint16_t sel, uint16_t attr)
{
	return (struct x86_seg){.limit = 0xffffffff, .sel = sel, .attr = attr};
}

static int write_gdt(const struct boot_entry *entry, struct mem *mem, const struct x86_state *cpu)
{
	uint8_t page[BOOT_TSS_OFF + BOOT_TSS_BYTES] = {0};

	st_le64(page + BOOT_SEL_CODE, descriptor(&cpu->seg[SEG_CS]));
	st_le64(page + BOOT_SEL_DATA, descriptor(&cpu->seg[SEG_DS]));
	/* In long mode the upper half holds base bits 63:32, which are 0. */
	st_le64(page + BOOT_SEL_TSS, descriptor(&cpu->tr));
	st_le16(page + BOOT_TSS_OFF + 0x66, BOOT_TSS_BYTES); /* I/O map base: no map */
	return mem_load(mem, entry->gdt, page, sizeof(page));
}

/* One to one, 2 MiB pages, for the first 4 GiB. */
static int write_page_tables(gpa_t pt, struct mem *mem)
{
	uint8_t page[PAGE_BYTES];
	int ret;

	memset(page, 0, sizeof(page));
	st_le64(page, (pt + PAGE_BYTES) | PTE_P | PTE_W | PTE_A);
	ret = mem_load(mem, pt, page, sizeof(page));
	memset(page, 0, sizeof(page));
	for (unsigned i = 0; i < PD_COUNT; i++)
		st_le64(page + 8 * i, (pt + (2 + i) * PAGE_BYTES) | PTE_P | PTE_W | PTE_A);
	if (!ret)
		ret = mem_load(mem, pt + PAGE_BYTES, page, sizeof(page));
	for (unsigned d = 0; d < PD_COUNT && !ret; d++) {
		for (unsigned i = 0; i < PT_ENTRIES; i++)
			st_le64(page + 8 * i, (uint64_t)(d * PT_ENTRIES + i) * MIB2 | PTE_P |
						      PTE_W | PTE_A | PTE_D | PTE_PS);
		ret = mem_load(mem, pt + (2 + d) * PAGE_BYTES, page, sizeof(page));
	}
	return ret;
}

int boot_entry_apply(const struct boot_entry *entry, struct mem *mem, struct x86_state *cpu)
{
	bool long_mode = entry->mode == BOOT_LONG64;

	x86_state_reset(cpu, true);
	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->rip = entry->rip;
	cpu->gpr[R_RSP] = entry->rsp;
	cpu->gpr[R_RAX] = entry->eax;
	cpu->gpr[R_RBX] = entry->ebx;
	cpu->gpr[R_RSI] = entry->esi;
	cpu->rflags = FLAG_FIXED;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = flat(BOOT_SEL_DATA, ATTR_DATA);
	cpu->seg[SEG_CS] = flat(BOOT_SEL_CODE, long_mode ? ATTR_CODE64 : ATTR_CODE32);
	cpu->tr = (struct x86_seg){.base = entry->gdt + BOOT_TSS_OFF,
				   .limit = BOOT_TSS_BYTES - 1,
				   .sel = BOOT_SEL_TSS,
				   .attr = ATTR_TSS_BUSY};
	cpu->ldtr = (struct x86_seg){.attr = SEG_ATTR_P | 2, .unusable = true};
	cpu->gdtr = (struct x86_dtable){.base = entry->gdt, .limit = BOOT_GDT_BYTES - 1};
	cpu->idtr = (struct x86_dtable){.base = 0, .limit = 0};

	cpu->cr0 = CR0_PE | CR0_ET;
	if (long_mode) {
		int ret = write_page_tables(entry->pt, mem);

		if (ret)
			return ret;
		cpu->cr0 |= CR0_PG;
		cpu->cr3 = entry->pt;
		cpu->cr4 = CR4_PAE;
		cpu->efer = EFER_LME | EFER_LMA;
	}
	return write_gdt(entry, mem, cpu);
}

#define MTRR_UC 0u
#define MTRR_WP 5u
#define MTRR_WB 6u
#define MTRR_ENABLE 0xc00u /* MTRRs and fixed ranges on */
#define MTRR_VALID 0x800u

/* Intel SDM 3A §11.11; fixed ranges in the order of the state's table: 64K, 2 of 16K, 8 of 4K. */
void boot_cpu_set_mtrrs(struct x86_state *cpu, unsigned phys_bits)
{
	const uint64_t all = 0x0101010101010101ull;
	uint64_t mask = ~0ull;

	if (phys_bits < 64)
		mask = (1ull << phys_bits) - 1;
	for (unsigned i = 0; i < X86_MTRR_FIXED; i++)
		cpu->mtrr_fixed[i] = all * (i < 2 ? MTRR_WB : i == 2 ? MTRR_UC : MTRR_WP);
	cpu->mtrr_var[0].base = PC_PCI32_START | MTRR_UC;
	cpu->mtrr_var[0].mask = (~(PC_4G - PC_PCI32_START - 1) & mask) | MTRR_VALID;
	cpu->mtrr_def_type = MTRR_ENABLE | MTRR_WB;
}
