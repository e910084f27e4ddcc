// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An exception while another is delivered: handled one after the other, or a double fault.
 * Source: Intel SDM 3A §6.15, tables 6-4 and 6-5.
 * QEMU 7.2 (TCG) does not set EXT, and counts 16 bytes for a gate in 64-bit error codes.
 */
#include "guest.h"

SNIPPET(do_ud, "ud2");
SNIPPET(do_de, "xor %ecx, %ecx\n div %ecx");
SNIPPET(do_np, "mov " A0L ", %fs");
SNIPPET(do_gp, "mov $0xfff0, %ecx\n mov %ecx, %fs");
SNIPPET(do_int1, ".byte 0xf1");
SNIPPET(do_int3, "int3");
SNIPPET(do_int13, "int $13");
SNIPPET(do_nm, "fnop");

enum kind { BENIGN, CONTRIBUTORY, PAGE_FAULT };
struct source {
	const char *name;
	uint8_t *code;
	int vec;
	enum kind kind;
	bool software;
};

static const struct source sources[] = {
	{"#UD", do_ud, UD, BENIGN, false},       {"#NM", do_nm, NM, BENIGN, false},
	{"INT1", do_int1, DB, BENIGN, false},    {"INT3", do_int3, BP, BENIGN, true},
	{"#DE", do_de, DE, CONTRIBUTORY, false}, {"#NP", do_np, NP, CONTRIBUTORY, false},
	{"#GP", do_gp, GP, CONTRIBUTORY, false}, {"INT 13", do_int13, GP, BENIGN, true},
};

static struct trap *trigger(const struct source *s)
{
	struct trap *t;

	write_cr0(read_cr0() | C0_TS);
	t = catch_trap(s->code, SEL_SPARE, 0);
	asm volatile("clts");
	return t;
}

static void second_np(const struct source *s)
{
	struct gate keep = idt[s->vec];
	word err = (word)s->vec * 8 + 2 + !s->software;

	idt[s->vec].lo &= ~(1ull << 47);
	if (s->kind == BENIGN)
		check_trap(trigger(s), NP, err, "%s, then #NP by its gate", s->name);
	else
		check_trap(trigger(s), DF, 0, "%s, then #NP by its gate", s->name);
	idt[s->vec] = keep;
}

static void second_gp(const struct source *s)
{
	struct gate keep = idt[s->vec];
	word err = (word)SEL_KDATA + !s->software;

	idt_set((unsigned)s->vec, SEL_KDATA, trap_stubs[s->vec], D_INTGATE | D_DPL(3));
	/* The gate of #GP itself is the bad one for vector 13: then both count. */
	if (s->kind == BENIGN && s->vec != GP)
		check_trap(trigger(s), GP, err, "%s, then #GP by its segment", s->name);
	else
		check_trap(trigger(s), DF, 0, "%s, then #GP by its segment", s->name);
	idt[s->vec] = keep;
}

#if IS64
#include "paging.h"
SNIPPET(do_pf2, "movabs 0xc000000000, %al");
/*
 * The IDT laid over two pages, one of them absent, so that reading the gate is a page fault. The
 * gates of #DF (8) and #PF (14) that must work lie in the other page.
 */
#define IDT_VA 0x8000000000ull
static void page_faults(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);
	uint64_t *pt = alloc_pages(1, 4096);
	uint8_t *two = alloc_pages(2, 4096);

	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
		const struct source *s = &sources[i];
		/* The first gate in the second page; 14 keeps #PF there, 8 keeps #DF there. */
		unsigned split = s->vec < 8 ? 8 : 14;
		uint8_t *base = two + 4096 - split * 16;
		struct trap *t;

		memcpy(base, idt, sizeof(idt));
		pt[0] = 0;
		pt[1] = ((uint64_t)two + 4096) | 3;
		flush_tlb();
		lidt((void *)(IDT_VA + 4096 - split * 16), sizeof(idt) - 1);
		t = trigger(s);
		lidt(idt, sizeof(idt) - 1);
		check_trap(t, PF, 0, "%s, then #PF by its gate", s->name);
		check_eq(t->cr2, IDT_VA + 4096 - split * 16 + (word)s->vec * 16,
			 "%s, CR2 names the gate", s->name);
	}
	/* A page fault whose own gate is absent in memory, and whose gate is not present. */
	memcpy(two + 4096 - 14 * 16, idt, sizeof(idt));
	pt[0] = (uint64_t)two | 3;
	pt[1] = 0;
	flush_tlb();
	lidt((void *)(IDT_VA + 4096 - 14 * 16), sizeof(idt) - 1);
	{
		struct trap *t = catch_trap(do_pf2, 0, 0);

		lidt(idt, sizeof(idt) - 1);
		check_trap(t, DF, 0, "#PF, then #PF by its gate");
	}
}
#endif

#if IS64
static void page_fault_then_contributory(void)
{
	struct gate keep = idt[PF];

	idt[PF].lo &= ~(1ull << 47);
	check_trap(catch_trap(do_pf2, 0, 0), DF, 0, "#PF, then #NP by its gate");
	idt[PF] = keep;
}
#endif

void guest_test(void)
{
	gdt_set(SEL_SPARE, 0, 0xfffff, (D_DATA | D_G | D_32) & ~D_P);
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
		second_np(&sources[i]);
		second_gp(&sources[i]);
	}
#if IS64
	page_faults();
	page_fault_then_contributory();
#endif
}
