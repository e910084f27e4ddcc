// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 32-bit paging: each permission bit, 4 KiB and 4 MiB pages (CR4.PSE), by CPL, CR0.WP, SMEP, SMAP;
 * PSE-36 and its reserved bits. Source: Intel SDM 3A §4.3, §4.6.
 */
#include "map.h"

#define TEST_VA 0x80000000u

static void build(struct mapping *m, const char *name, bool large)
{
	static uint32_t *pt;
	uint32_t phys = (uint32_t)paging_target;

	if (!pt)
		pt = alloc_pages(1, 4096);
	memset(m, 0, sizeof(*m));
	m->name = name;
	m->levels = large ? 1 : 2;
	m->width = 4;
	m->va = TEST_VA + phys;
	m->entry[0] = map_dir + (m->va >> 22);
	m->base[0] = large ? (phys & 0xffc00000) | PTE_PS : (uint32_t)pt;
	m->entry[1] = pt + (phys >> 12 & 1023);
	m->base[1] = phys;
	mapping_open(m);
}

static void without_pse(void)
{
	struct mapping m;
	uint64_t mask[2] = {PTE_PS | PTE_G | PTE_PWT | PTE_PCD | PTE_D | 0xe00,
			    PTE_PS | PTE_G | PTE_PWT | PTE_PCD | 0xe00};

	build(&m, "", false);
	group_begin("4 KiB pages without PSE: ignored bits, PS among them");
	paging_ignored(&m, mask);
	group_end();
}

static void with_pse(void)
{
	struct mapping m;
	unsigned wide = phys_bits() < 40 ? phys_bits() : 40;
	uint64_t rsvd[1] = {0x200000}, ignored[1] = {PTE_G | PTE_PWT | PTE_PCD | 0x1000 | 0xe00};

	write_cr4(read_cr4() | C4_PSE);
	build(&m, "4 MiB pages, permissions", true);
	paging_matrix(&m);
	group_begin("4 MiB pages: reserved bits");
	if (has_leaf1_d(17)) /* PSE-36: bits 13.. are physical address bits 32.. */
		for (unsigned b = 13; b <= 20; b++)
			if (b - 13 + 32 >= wide)
				rsvd[0] |= 1u << b;
	paging_reserved(&m, rsvd);
	group_end();
	group_begin("4 MiB pages: ignored bits");
	paging_ignored(&m, ignored);
	group_end();
	build(&m, "4 KiB pages with PSE, permissions", false);
	paging_matrix(&m);
	write_cr4(read_cr4() & ~(word)C4_PSE);
}

SNIPPET(load_cr0, "mov %eax, %cr0");
SNIPPET(load_both, "mov (%eax), %ecx\n mov 4094(%eax), %edx");

/* A quadword over the end of a page, the second page absent: CR2 is the first byte that faults. */
static void across(void)
{
	struct mapping m;
	struct trap *t;
	uint32_t *next;

	build(&m, "", false);
	next = (uint32_t *)m.entry[1] + 1;
	*next = 0;
	flush_tlb();
	t = catch_trap(load_both, m.va, 0);
	check_trap(t, PF, 0, "read across into an absent page");
	check_eq(t->cr2, m.va + 4096, "CR2 is the first byte of the absent page");
	*next = (uint32_t)m.base[1] | 3;
	((uint32_t *)m.entry[1])[0] = 0;
	flush_tlb();
	t = catch_trap(load_both, m.va, 0);
	check_eq(t->cr2, m.va, "CR2 is the address of the access");
	mapping_open(&m);
}

void guest_test(void)
{
	struct mapping m;

	if (!qemu_lacks("PG without PE"))
		check_trap(catch_trap(load_cr0, (read_cr0() | C0_PG) & ~(word)C0_PE, 0), GP, 0,
			   "PG without PE");
	map_init();
	write_cr0(read_cr0() | C0_WP);
	check_eq(read_cr0() & C0_PG, C0_PG, "paging is on");
	build(&m, "4 KiB pages, permissions", false);
	paging_matrix(&m);
	without_pse();
	with_pse();
	across();
}
