// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page faults of the processor's own accesses: descriptor tables, accessed and busy bits, the I/O
 * bitmap, stacks of inner levels. They are supervisor accesses at every CPL.
 * Source: Intel SDM 3A §4.6.1 (implicit supervisor-mode accesses), §4.7.
 */
#include "map.h"

#define GDT_VA (MAP_VA + 4096 - SEL_SPARE) /* the spare selectors begin page 1 */
#define SEL_ABSENT SEL_SPARE

static uint8_t ist[8192] __attribute__((aligned(16)));

/* The GDT over two pages; page 1 with the spare selectors has `flags`. */
static void split_gdt(word flags)
{
	memcpy(map_ram(0) + 4096 - SEL_SPARE, gdt, sizeof(gdt));
	map_set(0, 3);
	map_set(1, flags);
	lgdt((void *)GDT_VA, sizeof(gdt) - 1);
}

SNIPPET(ld_ds, "mov %edi, %ds");
SNIPPET(ld_es, "mov %edi, %es");
SNIPPET(ld_fs, "mov %edi, %fs");
SNIPPET(ld_gs, "mov %edi, %gs");
SNIPPET(ld_ss, "mov %edi, %ss");
SNIPPET(pop_fs, "push %rdi\n pop %fs");
SNIPPET(do_ltr, "ltr %di");
SNIPPET(do_lldt, "lldt %di");
SNIPPET(do_lar, "lar %edi, %eax");
SNIPPET(do_lsl, "lsl %edi, %eax");
SNIPPET(do_verr, "verr %di");
SNIPPET(do_verw, "verw %di");
SNIPPET(far_jmp, "push %rdi\n push $0\n mov %edi, 4(%rsp)\n ljmp *(%rsp)");
SNIPPET(far_call, "push %rdi\n push $0\n mov %edi, 4(%rsp)\n lcall *(%rsp)");
SNIPPET(far_ret, "push %rdi\n push $0\n lretq");
SNIPPET(do_iret, "push $0\n push $0\n push $2\n push %rdi\n push $0\n iretq");
SNIPPET(do_lfs, "push %rdi\n push $0\n mov %edi, 4(%rsp)\n lfs (%rsp), %eax\n pop %rax\n pop %rax");

static const struct {
	const char *name;
	uint8_t *code;
	bool user;
} loads[] = {
	{"MOV DS", ld_ds, true},    {"MOV ES", ld_es, true},   {"MOV FS", ld_fs, true},
	{"MOV GS", ld_gs, true},    {"MOV SS", ld_ss, true},   {"POP FS", pop_fs, true},
	{"LTR", do_ltr, false},	    {"LLDT", do_lldt, false},  {"LAR", do_lar, true},
	{"LSL", do_lsl, true},	    {"VERR", do_verr, true},   {"VERW", do_verw, true},
	{"far JMP", far_jmp, true}, {"far CALL", far_call, true}, {"far RET", far_ret, true},
	{"IRET", do_iret, true},    {"LFS", do_lfs, true},
};

static void absent_descriptors(void)
{
	split_gdt(0);
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		struct trap *t = catch_trap(loads[i].code, SEL_ABSENT, 0);

		check_trap(t, PF, 0, "%s, descriptor in an absent page", loads[i].name);
		check_eq(t->cr2 & ~7ul, MAP_VA + 4096, "%s, CR2", loads[i].name);
		if (!loads[i].user)
			continue;
		t = catch_user(loads[i].code, SEL_ABSENT | 3, 0);
		check_trap(t, PF, 0, "%s at CPL 3: a supervisor access all the same", loads[i].name);
	}
	map_set(1, 3);
	lgdt(gdt, sizeof(gdt) - 1);
}

/* Bits that the processor sets in descriptors. */
static void read_only_descriptors(void)
{
	volatile uint64_t *spare = (uint64_t *)map_ram(1);
	struct trap *t;

	split_gdt(1);
	spare[0] = 0x00cf92000000ffffull; /* data, not accessed */
	write_cr0(read_cr0() | C0_WP);
	t = catch_trap(ld_fs, SEL_SPARE, 0);
	check_trap(t, PF, ERR_W | ERR_P, "accessed bit in a read-only page with WP");
	check_eq(spare[0], 0x00cf92000000ffffull, "it stayed clear");
	spare[0] = 0x00cf93000000ffffull;
	check_trap(catch_trap(ld_fs, SEL_SPARE, 0), NO_TRAP, 0, "an accessed bit already set");
	write_cr0(read_cr0() & ~(word)C0_WP);
	spare[0] = 0x00cf92000000ffffull;
	check_trap(catch_trap(ld_fs, SEL_SPARE, 0), NO_TRAP, 0, "accessed bit, WP clear");
	check_eq(spare[0], 0x00cf93000000ffffull, "it was set");
	write_cr0(read_cr0() | C0_WP);
	spare[0] = gdt[SEL_TSS >> 3] & ~(2ull << 40);
	spare[1] = gdt[(SEL_TSS >> 3) + 1];
	t = catch_trap(do_ltr, SEL_SPARE, 0);
	check_trap(t, PF, ERR_W | ERR_P, "busy bit in a read-only page with WP");
	map_set(1, 3);
	check_trap(catch_trap(do_ltr, SEL_SPARE, 0), NO_TRAP, 0, "busy bit in a writable page");
	check_eq(spare[0] >> 40 & 15, 0xb, "it was set");
	check_trap(catch_trap(do_ltr, SEL_SPARE, 0), GP, SEL_SPARE, "and cannot be loaded twice");
	write_cr0(read_cr0() & ~(word)C0_WP);
	lgdt(gdt, sizeof(gdt) - 1);
	tables_load();
}

SNIPPET(in_80, "in $0x80, %al");
SNIPPET(do_ud, "ud2");
SNIPPET(do_int, "int $0x50");

/* A TSS whose I/O bitmap begins in an absent page. */
static void tss_in_pages(void)
{
	word va = MAP_VA + 2 * 4096 + 4096 - 104;
	uint64_t *d = &gdt[SEL_SPARE >> 3];
	struct tss *t2 = (struct tss *)(map_ram(2) + 4096 - 104);
	struct trap *t;

	memcpy(t2, &tss, 104);
	map_set(2, 3);
	map_set(3, 0);
	gdt_set(SEL_SPARE, (uint32_t)va, 104 + 4096 - 1, D_TSS32);
	d[1] = va >> 32;
	ltr(SEL_SPARE);
	t2->iomap = 104;
	t = catch_user(in_80, 0, 0);
	check_trap(t, PF, 0, "I/O bitmap in an absent page");
	check_eq(t->cr2 & ~4095ul, MAP_VA + 3 * 4096, "CR2");
	map_set(3, 3);
	map_ram(3)[0x80 / 8] = 0;
	check_trap(catch_user(in_80, 0, 0), NO_TRAP, 0, "and in a present one");
	tables_load();
}

/* The stack that an exception from CPL 3 goes to is absent. */
static void inner_stack(void)
{
	word keep = tss.rsp[0];
	struct trap *t;

	map_set(4, 0);
	tss.rsp[0] = MAP_VA + 5 * 4096;
	t = catch_user(do_ud, 0, 0);
	check_trap(t, PF, ERR_W, "#UD from CPL 3 with RSP0 in an absent page");
	check_eq(t->cr2, MAP_VA + 5 * 4096 - 8, "CR2: the first push");
	check_eq(t->ip, USER(do_ud), "the frame is the interrupted program's");
	idt_set(0x50, SEL_KCODE, trap_stubs[0x50], D_INTGATE | D_DPL(3));
	t = catch_user(do_int, 0, 0);
	check_trap(t, PF, ERR_W, "INT n from CPL 3");
	check_eq(t->ip, USER(do_int), "is on the INT");
	/* The frame over a page end: four words fit, the fifth does not. */
	map_set(5, 3);
	tss.rsp[0] = MAP_VA + 5 * 4096 + 32;
	t = catch_user(do_ud, 0, 0);
	check_trap(t, PF, ERR_W, "the fifth push in an absent page");
	check_eq(t->cr2, MAP_VA + 5 * 4096 - 8, "CR2");
	map_set(4, 1);
	t = catch_user(do_ud, 0, 0);
	check_trap(t, UD, 0, "a read-only stack with WP clear");
	write_cr0(read_cr0() | C0_WP);
	t = catch_user(do_ud, 0, 0);
	check_trap(t, PF, ERR_W | ERR_P, "a read-only stack with WP");
	write_cr0(read_cr0() & ~(word)C0_WP);
	map_set(4, 7);
	if (has_leaf7_b(20)) {
		write_cr4(read_cr4() | C4_SMAP);
		t = catch_user(do_ud, 0, 0);
		write_cr4(read_cr4() & ~(word)C4_SMAP);
		check_trap(t, PF, ERR_W | ERR_P, "a user page as the stack with SMAP");
	}
	tss.rsp[0] = keep;
	idt_set(0x50, SEL_KCODE, trap_stubs[0x50], D_INTGATE);
}

void guest_test(void)
{
	map_init();
	tss.ist[0] = (word)ist + sizeof(ist);
	idt[PF].lo |= 1ull << 32;
	absent_descriptors();
	read_only_descriptors();
	tss_in_pages();
	inner_stack();
}
