// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Protected-mode segmentation: limits by size and granularity, expand-down, types, null and
 * absent segments, big and small stacks, BOUND, INTO, ENTER. Source: Intel SDM 3A ch. 3, 5.
 * QEMU 7.2 (TCG) checks no limits and no types on data accesses.
 */
#include "guest.h"

#define SEL_A SEL_SPARE
#define SEL_B (SEL_SPARE + 8)

static uint8_t *mem;

/* a = offset, b = selector for ES; the access is through ES, CS, SS or DS. */
#define SEG(name, insn) SNIPPET(name, "push %es\n mov %edx, %es\n" insn "\n pop %es")
SEG(ld1, "mov %es:(%eax), %cl");
SEG(ld2, "mov %es:(%eax), %cx");
SEG(ld4, "mov %es:(%eax), %ecx");
SEG(st1, "movb $1, %es:(%eax)");
SEG(st4, "movl $1, %es:(%eax)");
SEG(rmw4, "incl %es:(%eax)");
SEG(stos4, "push %edi\n mov %eax, %edi\n stosl\n pop %edi");
SEG(movs1, "push %edi\n push %esi\n mov %eax, %edi\n mov $0x200000, %esi\n movsb\n pop %esi\n pop %edi");
SEG(scas2, "push %edi\n mov %eax, %edi\n scasw\n pop %edi");

static const struct {
	const char *name;
	uint8_t *code;
	unsigned size;
	bool store;
} ops[] = {
	{"load 1", ld1, 1, false},  {"load 2", ld2, 2, false}, {"load 4", ld4, 4, false},
	{"store 1", st1, 1, true},  {"store 4", st4, 4, true}, {"inc 4", rmw4, 4, true},
	{"stosl", stos4, 4, true},  {"movsb", movs1, 1, true}, {"scasw", scas2, 2, false},
};

static void one_segment(uint32_t lo, uint32_t hi, bool writable)
{
	uint32_t around[] = {lo, lo - 1, lo - 2, lo - 3, lo - 4, hi, hi - 1, hi - 2, hi - 3, hi - 4, hi + 1,
			     (lo & hi) | 0x100};

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(around); k++) {
			uint32_t a = around[k];
			uint64_t end = (uint64_t)a + ops[i].size - 1;
			bool want = a >= lo && end <= hi && !(ops[i].store && !writable);
			struct trap *t;

			/* Do not touch what is not our memory; what wraps at 4 GiB is not defined. */
			if (want && (a > 0x20000 || end > 0x20000))
				continue;
			if (hi == 0xffffffff && end > hi)
				continue;
			t = catch_trap(ops[i].code, a, SEL_A);
			group_case(want ? t->vec == NO_TRAP : trap_is(t, GP, 0),
				   "%s at %x of %x..%x: vec %d err %w", ops[i].name, a, lo, hi, t->vec,
				   t->err);
		}
}

static void limits(void)
{
	group_begin("data segment limits");
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, D_DATA | D_32);
	one_segment(0, 0x7ff, true);
	gdt_set(SEL_A, (uint32_t)mem, 0, D_DATA | D_32);
	one_segment(0, 0, true);
	gdt_set(SEL_A, (uint32_t)mem, 1, D_DATA | D_G | D_32);
	one_segment(0, 0x1fff, true);
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, 0x91 | D_32);
	one_segment(0, 0x7ff, false);
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, 0x9b | D_32); /* readable code */
	one_segment(0, 0x7ff, false);
	group_end();
	group_begin("expand-down segments");
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, 0x97); /* 16-bit: 0x800..0xffff */
	one_segment(0x800, 0xffff, true);
	gdt_set(SEL_A, (uint32_t)mem, 0xfff, 0x97 | D_32); /* 0x1000..0xffffffff */
	one_segment(0x1000, 0xffffffff, true);
	gdt_set(SEL_A, (uint32_t)mem, 1, 0x97 | D_32 | D_G);
	one_segment(0x2000, 0xffffffff, true);
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, 0x95 | D_32); /* read-only */
	one_segment(0x800, 0xffffffff, false);
	group_end();
}

SNIPPET(null_es, "xor %ecx, %ecx\n mov %ecx, %es\n mov %es:(%eax), %cl");
SNIPPET(null_fs, "mov $3, %ecx\n mov %ecx, %fs\n mov %fs:(%eax), %cl");
SNIPPET(cs_store, "movl $1, %cs:(%eax)");
SNIPPET(cs_load, "movl %cs:(%eax), %eax");
SNIPPET(load_ss, "mov %ss, %ecx\n mov %eax, %ss\n mov %ecx, %ss");
SNIPPET(load_ds, "mov %ds, %ecx\n mov %eax, %ds\n mov %ecx, %ds");
SNIPPET(les_load, "les (%eax), %ecx");
SNIPPET(lss_load, "mov %ss, %ecx\n push %esp\n lss (%eax), %edx\n mov %ecx, %ss\n add $4, %esp");
SNIPPET(ebp_limit, "mov %ss, %ecx\n push %ebp\n mov %eax, %ebp\n mov %edx, %ss\n mov (%ebp), %al\n mov %ecx, %ss\n pop %ebp");
SNIPPET(push_limit, "mov %ss, %ecx\n push %esi\n mov %esp, %esi\n mov %edx, %ss\n mov %eax, %esp\n"
		    "push %ecx\n mov %ecx, %ss\n mov %esi, %esp\n pop %esi");
SNIPPET(push16_limit, "mov %ss, %ecx\n push %esi\n mov %esp, %esi\n mov %edx, %ss\n mov %eax, %esp\n"
		      "pushw $0x1234\n mov %esp, %eax\n mov %ecx, %ss\n mov %esi, %esp\n pop %esi");
SNIPPET(pop_limit, "mov %ss, %ecx\n push %esi\n mov %esp, %esi\n mov %edx, %ss\n mov %eax, %esp\n"
		   "pop %eax\n mov %ecx, %ss\n mov %esi, %esp\n pop %esi");

static void nulls(void)
{
	uint8_t far[6] = {0x78, 0x56, 0x34, 0x12, SEL_UDATA, 0};

	check_trap(catch_trap(null_es, 0, 0), GP, 0, "access through null ES");
	check_trap(catch_trap(null_fs, 0, 0), GP, 0, "access through null FS with RPL 3");
	check_trap(catch_trap(load_ss, 0, 0), GP, 0, "null into SS");
	check_trap(catch_trap(cs_store, (word)mem, 0), GP, 0, "store through CS");
	check_trap(catch_trap(cs_load, (word)mem, 0), NO_TRAP, 0, "load through CS");
	check_trap(catch_trap(les_load, (word)far, 0), NO_TRAP, 0, "LES");
	far[4] = SEL_TSS;
	check_trap(catch_trap(les_load, (word)far, 0), GP, SEL_TSS, "LES of a TSS");
	far[4] = SEL_UDATA;
	check_trap(catch_trap(lss_load, (word)far, 0), GP, SEL_UDATA & ~3, "LSS with RPL 3");
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, (D_DATA | D_32) & ~D_P);
	check_trap(catch_trap(load_ds, SEL_A, 0), NP, SEL_A, "absent DS");
	check_trap(catch_trap(load_ss, SEL_A, 0), SS, SEL_A, "absent SS");
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, D_DATA | D_32 | D_DPL(3));
	check_trap(catch_trap(load_ss, SEL_A, 0), GP, SEL_A, "SS with DPL 3 at CPL 0");
	check_trap(catch_trap(load_ds, SEL_A | 3, 0), NO_TRAP, 0, "DS with DPL 3 and RPL 3");
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, 0x9f | D_32); /* conforming, readable */
	check_trap(catch_user(load_ds, SEL_A, 0), NO_TRAP, 0, "conforming code in DS at CPL 3");
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, 0x9b | D_32);
	check_trap(catch_user(load_ds, SEL_A, 0), GP, SEL_A, "other code in DS at CPL 3");
}

static void stacks(void)
{
	struct trap *t;

	/* The exception is delivered on the bad stack unless #SS changes it: run at CPL 3. */
	gdt_set(SEL_A, (uint32_t)mem, 0x7ff, D_DATA | D_32 | D_DPL(3));
	check_trap(catch_user(ebp_limit, 0x7fc, SEL_A | 3), NO_TRAP, 0, "EBP within the limit");
	check_trap(catch_user(ebp_limit, 0x800, SEL_A | 3), SS, 0, "EBP beyond the limit");
	check_trap(catch_user(push_limit, 0x800, SEL_A | 3), NO_TRAP, 0, "push at the limit");
	check_trap(catch_user(push_limit, 0x801, SEL_A | 3), SS, 0, "push over the limit");
	t = catch_user(push_limit, 0x802, SEL_A | 3);
	check_eq(t->sp, 0x802, "ESP is unchanged by a push that faults");
	check_trap(catch_user(pop_limit, 0x7fc, SEL_A | 3), NO_TRAP, 0, "pop at the limit");
	check_trap(catch_user(pop_limit, 0x7fd, SEL_A | 3), SS, 0, "pop over the limit");
	check_trap(catch_user(push_limit, 2, SEL_A | 3), SS, 0, "push below zero");
	/* B = 0: SP counts modulo 64 KiB and ESP's upper half stays. */
	gdt_set(SEL_A, (uint32_t)mem, 0xffff, 0x93 | D_DPL(3));
	t = catch_user(push16_limit, 0xabcd0000, SEL_A | 3);
	check_trap(t, NO_TRAP, 0, "push with SP = 0 in a small stack");
	check_eq(t->result, 0xabcdfffe, "SP wraps, the upper half stays");
	check_eq(*(uint16_t *)(mem + 0xfffe), 0x1234, "the word is at the top");
	gdt_set(SEL_A, (uint32_t)mem, 0x3ff, 0x97 | D_32 | D_DPL(3)); /* expand-down, big */
	check_trap(catch_user(push_limit, 0x404, SEL_A | 3), NO_TRAP, 0,
		   "push at an expand-down stack's end");
	check_trap(catch_user(push_limit, 0x403, SEL_A | 3), SS, 0,
		   "push below an expand-down stack's end");
}

SNIPPET(do_bound, "mov %edx, %ecx\n bound %ecx, (%eax)");
SNIPPET(do_boundw, "mov %edx, %ecx\n boundw %cx, (%eax)");
SNIPPET(do_bound_reg, ".byte 0x62, 0xc0");
SNIPPET(do_into, "mov $0x7fffffff, %eax\n inc %eax\n into");
SNIPPET(do_into_no, "xor %eax, %eax\n into");
SNIPPET(do_aam0, ".byte 0xd4, 0");
SNIPPET(do_aam, "mov $75, %eax\n aam");
SNIPPET(do_aad, "mov $0x0705, %eax\n aad");
SNIPPET(do_daa, "mov $0x79, %eax\n add $0x35, %al\n daa\n pushf\n pop %edx");
SNIPPET(do_enter, "push %ebp\n mov %esp, %ecx\n mov %esp, %ebp\n enter $16, $3\n sub %esp, %ecx\n"
		  "leave\n mov %ecx, %eax\n pop %ebp");
SNIPPET(do_pusha, "push %ebx\n push %esi\n push %edi\n push %ebp\n mov %esp, %ecx\n pusha\n"
		  "mov 12(%esp), %eax\n sub %ecx, %eax\n popa\n sub %esp, %ecx\n add %ecx, %eax\n"
		  "pop %ebp\n pop %edi\n pop %esi\n pop %ebx");
SNIPPET(do_arpl, "mov $0x10, %ecx\n arpl %ax, %cx\n movzwl %cx, %eax");
SNIPPET(do_salc, "stc\n xor %eax, %eax\n stc\n .byte 0xd6\n movzbl %al, %eax");
static void old_instructions(void)
{
	int32_t bounds[2] = {-5, 10};
	int16_t wbounds[2] = {-5, 10};
	struct trap *t;

	check_trap(catch_trap(do_bound, (word)bounds, 10), NO_TRAP, 0, "BOUND within");
	check_trap(catch_trap(do_bound, (word)bounds, (word)-5), NO_TRAP, 0, "BOUND at the low end");
	t = catch_trap(do_bound, (word)bounds, 11);
	check_trap(t, BR, 0, "BOUND above");
	check_eq(t->ip, (word)do_bound + 2, "#BR is a fault");
	check_trap(catch_trap(do_boundw, (word)wbounds, 0xfffa), BR, 0, "BOUND of words, below");
	check_trap(catch_trap(do_bound_reg, 0, 0), UD, 0, "BOUND of a register");
	t = catch_trap(do_into, 0, 0);
	check_trap(t, OF, 0, "INTO");
	check_eq(t->ip, (word)do_into + 7, "#OF is a trap");
	check_trap(catch_trap(do_into_no, 0, 0), NO_TRAP, 0, "INTO without overflow");
	check_trap(catch_trap(do_aam0, 0, 0), DE, 0, "AAM 0");
	check_eq(catch_trap(do_aam, 0, 0)->result & 0xffff, 0x0705, "AAM");
	check_eq(catch_trap(do_aad, 0, 0)->result & 0xffff, 75, "AAD");
	check_eq(catch_trap(do_daa, 0, 0)->result & 0xff, 0x14, "DAA");
	check_eq(catch_trap(do_enter, 0, 0)->result, 4 + 3 * 4 + 16, "ENTER 16, 3");
	check_eq(catch_trap(do_pusha, 0, 0)->result, 0, "PUSHA stores ESP from before");
	check_eq(catch_trap(do_arpl, 3, 0)->result, 0x13, "ARPL");
	check_eq(catch_trap(do_salc, 0, 0)->result, 0xff, "SALC");
}

SNIPPET(in_80, "in $0x80, %al");
SNIPPET(inw_ff, "in $0xff, %ax");
SNIPPET(in_7f_w, "in $0x7f, %ax");
SNIPPET(in_dx, "mov %eax, %edx\n in %dx, %al");
SNIPPET(do_cli, "cli");
static void io_rights(void)
{
	check_trap(catch_user(in_80, 0, 0), GP, 0, "IN at CPL 3, IOPL 0, bit set");
	tss.bitmap[0x80 / 8] &= (uint8_t)~1;
	check_trap(catch_user(in_80, 0, 0), NO_TRAP, 0, "IN, bit clear in the bitmap");
	check_trap(catch_user(in_7f_w, 0, 0), GP, 0, "IN of a word needs both bits");
	tss.bitmap[0x7f / 8] &= 0x7f;
	check_trap(catch_user(in_7f_w, 0, 0), NO_TRAP, 0, "IN of a word with both bits clear");
	tss.bitmap[0x80 / 8] |= 1;
	tss.bitmap[0x7f / 8] |= 0x80;
	user_env.flags = 2 | FL_IOPL3;
	check_trap(catch_user(in_80, 0, 0), NO_TRAP, 0, "IN at IOPL 3");
	check_trap(catch_user(do_cli, 0, 0), NO_TRAP, 0, "CLI at IOPL 3");
	user_env.flags = 2;
	check_trap(catch_user(do_cli, 0, 0), GP, 0, "CLI at IOPL 0");
	tss.bitmap[0x80 / 8] &= (uint8_t)~1;
	tss.iomap = sizeof(tss);
	check_trap(catch_user(in_80, 0, 0), GP, 0, "bitmap beyond the TSS's limit");
	tss.iomap = offsetof(struct tss, bitmap);
	gdt_set(SEL_TSS, (uint32_t)&tss, tss.iomap + 0x80 / 8, D_TSS32);
	ltr(SEL_TSS);
	check_trap(catch_user(in_80, 0, 0), GP, 0, "the byte behind the bit is beyond the limit");
	gdt_set(SEL_TSS, (uint32_t)&tss, tss.iomap + 0x80 / 8 + 1, D_TSS32);
	ltr(SEL_TSS);
	check_trap(catch_user(in_80, 0, 0), NO_TRAP, 0, "and within it");
	gdt_set(SEL_TSS, (uint32_t)&tss, sizeof(tss) - 1, D_TSS32);
	ltr(SEL_TSS);
	tss.bitmap[0x80 / 8] |= 1;
	(void)in_dx;
	(void)inw_ff;
}

/* Code segment limits: the fetch that goes over them. */
SNIPPET(go, "push $" STR(SEL_A) "\n push %eax\n lret");
static void code_limits(void)
{
	struct trap *t;
	uint8_t *p = mem + 0x1000;

	if (qemu_lacks("code segment limits"))
		return;
	memset(p, 0x90, 64);
	p[20] = 0xcd;
	p[21] = 0x81;
	gdt_set(SEL_A, (uint32_t)p, 21, D_CODE | D_32);
	check_trap(catch_trap(go, 0, 0), NO_TRAP, 0, "code up to its limit");
	gdt_set(SEL_A, (uint32_t)p, 20, D_CODE | D_32);
	t = catch_trap(go, 0, 0);
	check_trap(t, GP, 0, "an instruction over the limit");
	check_eq(t->ip, 20, "at that instruction");
	gdt_set(SEL_A, (uint32_t)p, 9, D_CODE | D_32);
	t = catch_trap(go, 0, 0);
	check_eq(t->ip, 10, "running off the limit");
	t = catch_trap(go, 100, 0);
	check_trap(t, GP, 0, "far return beyond the limit");
	check_eq(t->cs, SEL_KCODE, "faults before it goes");
	p[0] = 0xeb;
	p[1] = 30; /* jmp short beyond the limit */
	t = catch_trap(go, 0, 0);
	check_trap(t, GP, 0, "jump beyond the limit");
	check_eq(t->ip, 0, "faults on the jump");
}

void guest_test(void)
{
	mem = alloc_pages(64, 4096);
	limits();
	nulls();
	stacks();
	old_instructions();
	io_rights();
	code_limits();
}
