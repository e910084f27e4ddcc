// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PAE paging: each permission bit with NX, 4 KiB and 2 MiB pages, by CPL, WP, NXE, SMEP, SMAP;
 * the four PDPTE registers and their reserved bits. Source: Intel SDM 3A §4.4, §4.6.
 */
#include "paging.h"

#define TEST_VA 0x80000000u

static uint64_t *pdpt, *pds, *pt;

static void kernel_map(void)
{
	pdpt = alloc_pages(1, 4096);
	pds = alloc_pages(4, 4096);
	pt = alloc_pages(1, 4096);
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (uint32_t)&pds[i * 512] | PTE_P;
	for (unsigned i = 0; i < 512; i++) {
		pds[i] = (uint64_t)i << 21 | 0x83;
		pds[512 + i] = (uint64_t)i << 21 | 0x87;
		pds[3 * 512 + i] = (0xc0000000ull + ((uint64_t)i << 21)) | 0x83;
	}
	write_cr4(read_cr4() | C4_PAE);
	write_cr3((word)pdpt);
	write_cr0(read_cr0() | C0_PG | C0_WP);
	user_offset = 0x40000000;
}

static void build(struct mapping *m, const char *name, bool large)
{
	uint32_t phys = (uint32_t)paging_target;

	memset(m, 0, sizeof(*m));
	m->name = name;
	m->levels = large ? 1 : 2;
	m->width = 8;
	m->nx = has_ext1_d(20);
	m->va = TEST_VA + phys;
	m->entry[0] = &pds[2 * 512 + (phys >> 21)];
	m->base[0] = large ? (phys & 0xffe00000) | PTE_PS : (uint32_t)pt;
	m->entry[1] = pt + (phys >> 12 & 511);
	m->base[1] = phys;
	mapping_open(m);
}

static uint64_t bits(unsigned hi, unsigned lo)
{
	uint64_t m = 0;

	for (; lo <= hi; lo++)
		m |= 1ull << lo;
	return m;
}

static void reserved_bits(void)
{
	struct mapping m;
	/* Bits 62:52 are reserved in PAE, unlike in 4-level paging (§4.4.2). */
	uint64_t high = bits(62, phys_bits());
	uint64_t small[2] = {high, high}, large[1] = {high | bits(20, 13)};
	uint64_t soft[2] = {0xe00 | PTE_PWT | PTE_PCD | PTE_D, 0xe00 | PTE_PWT | PTE_PCD | PTE_G | PTE_PS};

	group_begin("reserved bits give a fault with RSVD");
	build(&m, "", false);
	paging_reserved(&m, small);
	build(&m, "", true);
	paging_reserved(&m, large);
	group_end();
	group_begin("ignored and caching bits change nothing");
	build(&m, "", false);
	paging_ignored(&m, soft);
	group_end();
}

SNIPPET(load_cr3, "mov %eax, %cr3");
SNIPPET(load_byte, "mov (%eax), %cl");

static void pdptes(void)
{
	struct mapping m;
	uint64_t keep = pdpt[2];
	static const uint64_t bad[] = {2, 4, 0x20, 0x40, 0x80, 0x100, 1ull << 63, 1ull << 52};

	build(&m, "", true);
	/* The PDPTEs are registers, loaded with CR3: a store to memory alone changes nothing. */
	pdpt[2] = 0;
	check_trap(catch_trap(load_byte, m.va, 0), NO_TRAP, 0, "PDPTE changed in memory only");
	invlpg(m.va);
	check_trap(catch_trap(load_byte, m.va, 0), NO_TRAP, 0, "INVLPG does not load PDPTEs");
	flush_tlb();
	check_trap(catch_trap(load_byte, m.va, 0), PF, 0, "absent PDPTE after loading CR3");
	check_eq(entry_read(&m, 0) & PTE_D, 0, "no dirty bit by a read");
	pdpt[2] = keep;
	check_trap(catch_trap(load_byte, m.va, 0), PF, 0, "absent until CR3 is loaded again");
	flush_tlb();
	check_trap(catch_trap(load_byte, m.va, 0), NO_TRAP, 0, "present again");
	check_eq(pdpt[2], keep, "PDPTEs have no accessed bit");
	/* QEMU 7.2 (TCG) has no PDPTE registers and does not check them when CR3 is loaded. */
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		pdpt[2] = keep | bad[i];
		check_trap(catch_trap(load_cr3, (word)pdpt, 0), GP, 0,
			   "reserved bit %q in a PDPTE", bad[i]);
		pdpt[2] = keep;
	}
	pdpt[2] = (keep & ~1ull) | 2;
	check_trap(catch_trap(load_cr3, (word)pdpt, 0), NO_TRAP, 0,
		   "reserved bits of an absent PDPTE do not matter");
	pdpt[2] = keep;
	flush_tlb();
}

void guest_test(void)
{
	struct mapping m;

	kernel_map();
	build(&m, "4 KiB pages, permissions", false);
	paging_matrix(&m);
	build(&m, "2 MiB pages, permissions", true);
	paging_matrix(&m);
	reserved_bits();
	pdptes();
}
