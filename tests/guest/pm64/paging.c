// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 4-level paging: each permission bit at each level, for 4 KiB, 2 MiB and 1 GiB pages, by CPL,
 * CR0.WP, EFER.NXE, CR4.SMEP, CR4.SMAP; reserved bits, accessed and dirty bits, canonical
 * addresses. Source: Intel SDM 3A ch. 4.
 */
#include "paging.h"

#define TEST_VA 0x8000000000ull /* PML4 entry 1 */

static uint64_t *pdpt, *pd, *pt;

static void build(struct mapping *m, const char *name, unsigned levels)
{
	uint64_t phys = (uint64_t)paging_target;

	memset(m, 0, sizeof(*m));
	m->name = name;
	m->levels = levels;
	m->width = 8;
	m->nx = has_ext1_d(20);
	m->va = TEST_VA + phys;
	m->entry[0] = boot_pml4 + 1;
	m->base[0] = (uint64_t)pdpt;
	m->entry[1] = pdpt;
	m->base[1] = levels == 2 ? PTE_PS : (uint64_t)pd;
	m->entry[2] = pd + (phys >> 21);
	m->base[2] = levels == 3 ? PTE_PS | (phys & ~0x1fffffull) : (uint64_t)pt;
	m->entry[3] = pt + (phys >> 12 & 511);
	m->base[3] = phys;
	mapping_open(m);
}

static uint64_t bits(unsigned hi, unsigned lo)
{
	return hi < lo ? 0 : (~0ull >> (63 - hi)) & (~0ull << lo);
}

static void reserved_bits(void)
{
	struct mapping m;
	uint64_t high = bits(51, phys_bits());
	uint64_t tables[4] = {high | PTE_PS, high, high, high};
	uint64_t big[4] = {high | PTE_PS, high, high | bits(20, 13), 0};
	uint64_t huge[4] = {high | PTE_PS, high | bits(29, 13), 0, 0};

	/* PS in a PDPTE is reserved where there are no 1 GiB pages. */
	group_begin("reserved bits give a fault with RSVD");
	build(&m, "", 4);
	paging_reserved(&m, tables);
	build(&m, "", 3);
	paging_reserved(&m, big);
	if (has_ext1_d(26)) {
		build(&m, "", 2);
		paging_reserved(&m, huge);
	}
	group_end();
}

static void ignored_bits(void)
{
	struct mapping m;
	uint64_t soft = bits(62, 59) | bits(58, 52) | bits(11, 9) | PTE_PWT | PTE_PCD;
	uint64_t tables[4] = {soft | 0x100 | PTE_D, soft | 0x100 | PTE_D, soft | 0x100 | PTE_D,
			      soft | PTE_G | PTE_PS};
	uint64_t big[4] = {soft, soft, soft | PTE_G | PTE_PAT_LARGE, 0};

	group_begin("ignored and caching bits change nothing");
	build(&m, "", 4);
	paging_ignored(&m, tables);
	build(&m, "", 3);
	paging_ignored(&m, big);
	group_end();
}

SNIPPET(load_rdi, "mov (%rdi), %rax");
SNIPPET(load_rbp, "push %rbp\n mov %rdi, %rbp\n mov (%rbp), %rax\n pop %rbp");
SNIPPET(load_ss, "mov %ss:(%rdi), %rax");
SNIPPET(push_there, "mov %rsp, %rsi\n mov %rdi, %rsp\n push %rax\n mov %rsi, %rsp");
SNIPPET(jump_there, "jmp *%rdi");
SNIPPET(ret_there, "push %rdi\n ret");
SNIPPET(load_fs, "mov %fs:(%rdi), %rax");
SNIPPET(load_moffs, "movabs 0x800000000000, %al");
SNIPPET(load_across, "mov -4(%rdi), %rax");

/* QEMU 7.2 (TCG) raises #GP(0) where the SDM wants #SS(0), and checks few addresses at all. */
static void canonical(void)
{
	static const uint64_t bad[] = {0x800000000000ull, 0xffff7fffffffffffull, 0x8000000000000000ull};

	for (unsigned i = 0; i < 3; i++) {
		check_trap(catch_trap(load_rdi, bad[i], 0), GP, 0, "load from %q", bad[i]);
		check_trap(catch_trap(load_rbp, bad[i], 0), SS, 0, "load by RBP from %q", bad[i]);
		check_trap(catch_trap(load_ss, bad[i], 0), GP, 0,
			   "an SS prefix does not make it #SS, %q", bad[i]);
		check_trap(catch_user(push_there, bad[i] + 8, 0), SS, 0, "push to %q", bad[i]);
		check_trap(catch_trap(jump_there, bad[i], 0), GP, 0, "jump to %q", bad[i]);
		check_eq(catch_trap(jump_there, bad[i], 0)->ip, (word)jump_there,
			 "jump to %q faults on the jump", bad[i]);
		check_trap(catch_trap(ret_there, bad[i], 0), GP, 0, "return to %q", bad[i]);
		check_trap(catch_user(load_rdi, bad[i], 0), GP, 0, "load at CPL 3 from %q", bad[i]);
	}
	check_trap(catch_trap(load_moffs, 0, 0), GP, 0, "moffs load from a non-canonical address");
	/* The last bytes of the lower half, and across its end. */
	check_trap(catch_trap(load_rdi, 0x7ffffffffff8ull, 0), PF, 0,
		   "last canonical quadword is not mapped");
	check_trap(catch_trap(load_across, 0x800000000000ull, 0), GP, 0,
		   "load across the end of the lower half");
	wrmsr(0xc0000100, 0x700000000000ull);
	check_trap(catch_trap(load_fs, 0x100000000000ull, 0), GP, 0,
		   "FS base makes the address non-canonical");
	wrmsr(0xc0000100, 0);
}

SNIPPET(load_cr3, "mov %rdi, %cr3");
SNIPPET(load_cr4, "mov %rdi, %cr4");
SNIPPET(load_cr0, "mov %rdi, %cr0");
SNIPPET(wr_efer, "mov $0xc0000080, %ecx\n mov %edi, %eax\n xor %edx, %edx\n wrmsr");

static void control_registers(void)
{
	word cr0 = read_cr0(), cr4 = read_cr4();

	if (qemu_lacks("control register checks"))
		return;
	check_trap(catch_trap(load_cr4, cr4 & ~(word)C4_PAE, 0), GP, 0,
		   "clearing CR4.PAE in long mode");
	check_trap(catch_trap(load_cr4, cr4 | 1ull << 31, 0), GP, 0, "reserved bit in CR4");
	check_trap(catch_trap(load_cr4, cr4 | 1ull << 32, 0), GP, 0, "high bit in CR4");
	check_trap(catch_trap(load_cr0, cr0 & ~(word)C0_PG, 0), GP, 0,
		   "clearing CR0.PG in 64-bit code");
	check_trap(catch_trap(load_cr0, cr0 & ~(word)C0_PE, 0), GP, 0, "PG without PE");
	check_trap(catch_trap(load_cr0, cr0 | C0_NW, 0), GP, 0, "NW without CD");
	check_trap(catch_trap(load_cr0, cr0 | 1ull << 32, 0), GP, 0, "high bit in CR0");
	check_trap(catch_trap(wr_efer, rdmsr(MSR_EFER) & ~(uint64_t)EFER_LME, 0), GP, 0,
		   "clearing EFER.LME with paging on");
	check_trap(catch_trap(wr_efer, rdmsr(MSR_EFER) | 2, 0), GP, 0, "reserved bit in EFER");
	check_eq(rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA,
		 "EFER.LMA and LME read as set");
	check_trap(catch_user(load_cr3, 0, 0), GP, 0, "CR3 at CPL 3");
}

/*
 * LDT on a user page: reading it is an implicit supervisor access, which EFLAGS.AC does not excuse
 * (§4.6.1). Not the GDT: delivering the fault reads that as well.
 */
SNIPPET(load_es_ac, "stac\n mov %edi, %es\n clac");
static uint64_t ldt_table[2] __attribute__((aligned(16)));
static void implicit_access(void)
{
	word cr4 = read_cr4();
	struct trap *t;

	if (!has_leaf7_b(20)) {
		check_skip("implicit access and SMAP", "CPUID has no SMAP");
		return;
	}
	ldt_table[1] = gdt[SEL_UDATA >> 3];
	gdt_set(SEL_SPARE, (uint32_t)USER(ldt_table), sizeof(ldt_table) - 1, D_LDT);
	gdt[(SEL_SPARE >> 3) + 1] = 0;
	lldt(SEL_SPARE);
	write_cr4(cr4 | C4_SMAP);
	t = catch_trap(load_es_ac, 8 | 4 | 3, 0);
	write_cr4(cr4);
	check_trap(t, PF, ERR_P, "LDT on a user page, SMAP and AC");
	check_eq(t->cr2, USER(&ldt_table[1]), "CR2 names the descriptor");
	check_trap(catch_trap(load_es_ac, 8 | 4 | 3, 0), NO_TRAP, 0, "LDT on a user page, no SMAP");
	lldt(0);
}

void guest_test(void)
{
	struct mapping m;

	pdpt = alloc_pages(1, 4096);
	pd = alloc_pages(1, 4096);
	pt = alloc_pages(1, 4096);
	paging_target[0] = 0xc3;
	build(&m, "4 KiB pages, permissions", 4);
	paging_matrix(&m);
	build(&m, "2 MiB pages, permissions", 3);
	paging_matrix(&m);
	if (has_ext1_d(26)) {
		build(&m, "1 GiB pages, permissions", 2);
		paging_matrix(&m);
	} else {
		check_skip("1 GiB pages", "CPUID has no Page1GB");
	}
	reserved_bits();
	ignored_bits();
	canonical();
	control_registers();
	implicit_access();
	if (qemu_lacks("CR3 beyond the physical address width"))
		return;
	check_trap(catch_trap(load_cr3, read_cr3() | 1ull << phys_bits(), 0),
		   phys_bits() < 52 ? GP : NO_TRAP, 0, "CR3 beyond the physical address width");
}
