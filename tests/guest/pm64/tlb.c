// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What must reach the processor when page tables change: INVLPG, CR3, global pages, PCID,
 * INVPCID. Source: Intel SDM 3A §4.10.
 */
#include "paging.h"

#define VA 0x8000000000ull
#define NON_CANONICAL 0x900000000000ull

static uint64_t *pdpt, *pd, *pt;
static volatile uint64_t *va = (volatile uint64_t *)VA;
static uint8_t *page[4];

static void setup(void)
{
	pdpt = alloc_pages(1, 4096);
	pd = alloc_pages(1, 4096);
	pt = alloc_pages(1, 4096);
	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	for (unsigned i = 0; i < 4; i++) {
		page[i] = alloc_pages(1, 4096);
		*(uint64_t *)page[i] = i;
	}
}

SNIPPET(t_read, "mov (%rdi), %rax");
SNIPPET(t_write, "mov %rsi, (%rdi)");

static void flushes(void)
{
	bool good = true;

	for (unsigned i = 0; i < 100; i++) {
		pt[0] = (uint64_t)page[i & 3] | 3;
		invlpg(VA);
		good = good && *va == (i & 3);
	}
	check(good, "INVLPG after a change of the map");
	for (unsigned i = 0; i < 100; i++) {
		pt[0] = (uint64_t)page[i & 3] | 3;
		flush_tlb();
		good = good && *va == (i & 3);
	}
	check(good, "CR3 after a change of the map");
	pt[0] = 0;
	invlpg(VA);
	check_trap(catch_trap(t_read, VA, 0), PF, 0, "INVLPG after taking a page away");
	/* Making an entry present needs no flush. */
	pt[0] = (uint64_t)page[2] | 3;
	check_trap(catch_trap(t_read, VA, 0), NO_TRAP, 0, "absent to present without a flush");
	check_eq(*va, 2, "the page");
	pt[0] = (uint64_t)page[2] | 1;
	write_cr0(read_cr0() | C0_WP);
	invlpg(VA);
	check_trap(catch_trap(t_write, VA, 2), PF, ERR_W | ERR_P, "INVLPG after write protection");
	pt[0] = (uint64_t)page[2] | 3;
	invlpg(VA);
	check_trap(catch_trap(t_write, VA, 2), NO_TRAP, 0, "writable again");
	/* INVLPG of one address reaches each of the paging structures' caches for it. */
	pd[0] = 0;
	invlpg(VA);
	check_trap(catch_trap(t_read, VA, 0), PF, 0, "INVLPG after the page directory changed");
	pd[0] = (uint64_t)pt | 7;
	pdpt[0] = 0;
	invlpg(VA);
	check_trap(catch_trap(t_read, VA, 0), PF, 0, "INVLPG after the PDPT changed");
	pdpt[0] = (uint64_t)pd | 7;
	/* A 2 MiB page: INVLPG of any address in it. */
	pd[0] = 0x83;
	flush_tlb();
	(void)*(volatile uint64_t *)(VA + 0x3000);
	*(uint64_t *)0x2000 = 0x77;
	check_eq(va[0x2000 / 8], 0x77, "2 MiB page");
	pd[0] = 0;
	invlpg(VA + 0x100000);
	check_trap(catch_trap(t_read, VA + 0x2000, 0), PF, 0,
		   "INVLPG in the middle of a 2 MiB page flushes all of it");
	pd[0] = (uint64_t)pt | 7;
	flush_tlb();
}

static void accessed_and_dirty(void)
{
	pt[0] = (uint64_t)page[0] | 3;
	invlpg(VA);
	(void)*va;
	check_eq(pt[0] & (PTE_A | PTE_D), PTE_A, "a read sets A");
	*va = 0;
	check_eq(pt[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "a write after a read sets D");
	pt[0] &= ~(PTE_A | PTE_D);
	invlpg(VA);
	*va = 0;
	check_eq(pt[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "cleared and flushed: set again");
	pt[0] &= ~PTE_D;
	invlpg(VA);
	(void)*va;
	check_eq(pt[0] & PTE_D, 0, "a read does not set D");
	asm volatile("lock addq $0, (%0)" ::"r"(va) : "memory");
	check_eq(pt[0] & PTE_D, PTE_D, "LOCK ADD of zero sets D");
	pt[0] &= ~PTE_D;
	invlpg(VA);
	asm volatile("cmpxchg %1, (%0)" ::"r"(va), "r"(5ul), "a"(0x1234ul) : "memory");
	check_eq(pt[0] & PTE_D, PTE_D, "CMPXCHG that fails writes all the same");
}

static void globals(void)
{
	pt[0] = (uint64_t)page[1] | 3 | PTE_G;
	write_cr4(read_cr4() | C4_PGE);
	check_eq(*va, 1, "global page");
	pt[0] = (uint64_t)page[2] | 3 | PTE_G;
	flush_tlb();
	(void)*va; /* either translation may be used */
	invlpg(VA);
	check_eq(*va, 2, "INVLPG flushes a global page");
	pt[0] = (uint64_t)page[3] | 3 | PTE_G;
	write_cr4(read_cr4() & ~(word)C4_PGE);
	check_eq(*va, 3, "clearing CR4.PGE flushes global pages");
	write_cr4(read_cr4() | C4_PGE);
	(void)*va;
	pt[0] = (uint64_t)page[1] | 3;
	write_cr4(read_cr4() & ~(word)C4_PGE);
	check_eq(*va, 1, "and again");
}

SNIPPET(t_cr3, "mov %rdi, %cr3");
SNIPPET(t_cr4, "mov %rdi, %cr4");
SNIPPET(t_invpcid, "invpcid (%rsi), %rdi");
static struct {
	uint64_t pcid, addr;
} desc;

static struct trap *invpcid(word type, uint64_t pcid, uint64_t addr)
{
	desc.pcid = pcid;
	desc.addr = addr;
	return catch_trap(t_invpcid, type, (word)&desc);
}

/* A second top-level table that differs in what VA maps to. */
static uint64_t *second_map(uint64_t **pt2)
{
	uint64_t *top = alloc_pages(4, 4096);

	memcpy(top, boot_pml4, 4096);
	*pt2 = top + 3 * 512;
	top[1] = (uint64_t)(top + 512) | 7;
	top[512] = (uint64_t)(top + 2 * 512) | 7;
	top[2 * 512] = (uint64_t)*pt2 | 7;
	return top;
}

static void pcids(void)
{
	uint64_t *pt2, *top2 = second_map(&pt2);
	word one = (word)boot_pml4, two = (word)top2;
	bool good = true;

	if (!has_leaf1_c(17)) {
		check_skip("PCID", "CPUID has no PCID");
		return;
	}
	pt[0] = (uint64_t)page[1] | 3;
	pt2[0] = (uint64_t)page[2] | 3;
	flush_tlb();
	write_cr3(read_cr3() | 8);
	check_trap(catch_trap(t_cr4, read_cr4() | C4_PCIDE, 0), GP, 0,
		   "setting CR4.PCIDE with a PCID in CR3");
	write_cr3(one);
	write_cr4(read_cr4() | C4_PCIDE);
	for (unsigned i = 0; i < 50; i++) {
		write_cr3(one | 1 | (i ? 1ull << 63 : 0));
		good = good && *va == 1;
		write_cr3(two | 2 | (i ? 1ull << 63 : 0));
		good = good && *va == 2;
	}
	check(good, "two PCIDs keep two maps apart");
	check_eq(read_cr3(), two | 2, "bit 63 of CR3 is not kept");
	/* A change in the other map, then a switch that flushes. */
	pt[0] = (uint64_t)page[3] | 3;
	write_cr3(one | 1);
	check_eq(*va, 3, "a switch without bit 63 flushes the PCID");
	write_cr3(two | 2 | 1ull << 63);
	pt[0] = (uint64_t)page[0] | 3;
	if (!has_leaf7_b(10)) {
		check_skip("INVPCID", "CPUID has no INVPCID");
	} else {
		check_trap(invpcid(0, 1, VA), NO_TRAP, 0, "INVPCID of an address");
		write_cr3(one | 1 | 1ull << 63);
		check_eq(*va, 0, "it reached the other PCID");
		write_cr3(two | 2 | 1ull << 63);
		pt[0] = (uint64_t)page[1] | 3;
		check_trap(invpcid(1, 1, 0), NO_TRAP, 0, "INVPCID of a context");
		write_cr3(one | 1 | 1ull << 63);
		check_eq(*va, 1, "it reached the other PCID");
		write_cr3(two | 2 | 1ull << 63);
		pt[0] = (uint64_t)page[2] | 3;
		check_trap(invpcid(2, 0, 0), NO_TRAP, 0, "INVPCID of everything");
		write_cr3(one | 1 | 1ull << 63);
		check_eq(*va, 2, "it reached the other PCID");
		write_cr3(two | 2 | 1ull << 63);
		pt[0] = (uint64_t)page[3] | 3;
		check_trap(invpcid(3, 0, 0), NO_TRAP, 0, "INVPCID of all but global");
		write_cr3(one | 1 | 1ull << 63);
		check_eq(*va, 3, "it reached the other PCID");
		check_trap(invpcid(4, 0, 0), GP, 0, "INVPCID of type 4");
		check_trap(invpcid(0, 0x1000, VA), GP, 0, "INVPCID with reserved bits");
		check_trap(invpcid(0, 1, NON_CANONICAL), GP, 0, "INVPCID, non-canonical");
		check_trap(invpcid(1, 1, NON_CANONICAL), NO_TRAP, 0,
			   "INVPCID of a context ignores the address");
		check_trap(catch_user(t_invpcid, 0, USER(&desc)), GP, 0, "INVPCID at CPL 3");
	}
	write_cr3(one);
	write_cr4(read_cr4() & ~(word)C4_PCIDE);
	check_trap(catch_trap(t_cr3, one | 1ull << 63, 0), GP, 0, "bit 63 of CR3 without PCIDE");
	pt[0] = (uint64_t)page[1] | 3;
	flush_tlb();
	check_eq(*va, 1, "back without PCIDs");
}

/* Call the page at VA: it returns its number. */
static word call_va(void)
{
	return ((word(*)(void))(word)VA)();
}

static void put_code(uint8_t *at, uint8_t number)
{
	static const uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $number, %eax; ret */

	memcpy(at, code, sizeof(code));
	at[1] = number;
}

/* Supervisor pages that are not global differ between address spaces, global ones are one. */
static void spaces_with(const char *name, word keep)
{
	uint64_t *pt2, *top2 = second_map(&pt2);
	word one = (word)boot_pml4, two = (word)top2 | (keep ? 2 : 0);
	bool data = true, stores = true, code = true, many = true;

	pt[0] = (uint64_t)page[1] | 3;
	pt2[0] = (uint64_t)page[2] | 3;
	put_code(page[1], 1);
	put_code(page[2], 2);
	write_cr3(two);
	write_cr3(one);
	for (unsigned i = 0; i < 20; i++) {
		write_cr3(one | keep);
		code = code && call_va() == 1;
		va[1] = i;
		write_cr3(two | keep);
		code = code && call_va() == 2;
		va[1] = i + 1000;
		stores = stores && *(uint64_t *)(page[1] + 8) == i &&
			 *(uint64_t *)(page[2] + 8) == i + 1000;
	}
	check(stores, name);
	check(code, "code at one address in two spaces");
	for (unsigned i = 0; i < 4; i++)
		*(uint64_t *)page[i] = i;
	for (unsigned i = 0; i < 512; i++) {
		pt[i] = (uint64_t)page[i & 3] | 3;
		pt2[i] = (uint64_t)page[(i + 1) & 3] | 3;
	}
	write_cr3(two);
	write_cr3(one);
	for (unsigned k = 0; k < 4; k++) {
		write_cr3(one | keep);
		for (unsigned i = 0; i < 512; i++)
			many = many && va[i * 512] == (i & 3);
		write_cr3(two | keep);
		for (unsigned i = 0; i < 512; i++)
			many = many && va[i * 512] == ((i + 1) & 3);
	}
	check(many, "512 pages that differ");
	pt[0] = pt2[0] = (uint64_t)page[1] | 3 | PTE_G;
	write_cr3(one);
	write_cr3(two);
	data = data && *va == 1;
	pt[0] = pt2[0] = (uint64_t)page[2] | 3 | PTE_G;
	invlpg(VA);
	data = data && *va == 2;
	write_cr3(one | keep);
	check(data && *va == 2, "INVLPG of a global page, seen in another space");
	write_cr3(one);
	for (unsigned i = 0; i < 512; i++)
		pt[i] = 0;
	write_cr4(read_cr4() & ~(word)C4_PGE);
	write_cr4(read_cr4() | C4_PGE);
}

static void spaces(void)
{
	write_cr4(read_cr4() | C4_PGE);
	spaces_with("stores in two spaces", 0);
	if (has_leaf1_c(17)) {
		write_cr4(read_cr4() | C4_PCIDE);
		spaces_with("stores in two spaces with PCIDs", 1ull << 63);
		write_cr4(read_cr4() & ~(word)C4_PCIDE);
	}
	/* A global 2 MiB page, entered here and there, and taken away in another space. */
	uint64_t *pt2, *top2 = second_map(&pt2);

	((uint64_t *)(pt2 - 512))[0] = pd[0] = 0x83 | PTE_G;
	flush_tlb();
	*(uint64_t *)0x2000 = 0x55;
	*(uint64_t *)0x9000 = 0x66;
	check_eq(va[0x2000 / 8] + va[0x9000 / 8], 0xbb, "global 2 MiB page");
	write_cr3((word)top2);
	((uint64_t *)(pt2 - 512))[0] = pd[0] = 0;
	invlpg(VA + 0x1ff000);
	write_cr3((word)boot_pml4);
	check_trap(catch_trap(t_read, VA + 0x2000, 0), PF, 0,
		   "INVLPG of a global 2 MiB page in another space");
	check_trap(catch_trap(t_read, VA + 0x9000, 0), PF, 0, "all of it");
	pd[0] = (uint64_t)pt | 7;
	write_cr4(read_cr4() & ~(word)C4_PGE);
}

/* A page table that maps itself: stores through the map change the map. */
static void recursive(void)
{
	volatile uint64_t *window = (volatile uint64_t *)(VA + 0x1000);
	bool good = true;

	pt[1] = (uint64_t)pt | 3;
	flush_tlb();
	for (unsigned i = 0; i < 50; i++) {
		window[0] = (uint64_t)page[i & 3] | 3;
		invlpg(VA);
		good = good && *(volatile uint8_t *)VA == (i & 3);
	}
	check(good, "page table changed through itself");
}

void guest_test(void)
{
	setup();
	flushes();
	accessed_and_dirty();
	globals();
	for (unsigned i = 0; i < 4; i++)
		*(uint64_t *)page[i] = i;
	pcids();
	spaces();
	recursive();
}
