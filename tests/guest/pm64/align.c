// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Alignment check, and accesses over page ends that fault in the second page: nothing of a store
 * may be seen. Instructions over page ends. Source: Intel SDM 3A §6.15 (#AC), §8.1.
 * QEMU 7.2 (TCG) has no #AC, and calls the fault of a read-modify-write a read.
 */
#include "paging.h"

#define VA 0x8000000000ull

static uint64_t *pt;
static uint8_t *page[2];

static void setup(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);

	pt = alloc_pages(1, 4096);
	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	for (unsigned i = 0; i < 2; i++) {
		page[i] = alloc_pages(1, 4096);
		pt[i] = (uint64_t)page[i] | 7;
	}
	flush_tlb();
}

SNIPPET(ld2, "movw (%rdi), %ax");
SNIPPET(ld4, "movl (%rdi), %eax");
SNIPPET(ld8, "movq (%rdi), %rax");
SNIPPET(st2, "movw $0x5a5a, (%rdi)");
SNIPPET(st4, "movl $0x5a5a5a5a, (%rdi)");
SNIPPET(st8, "mov $-1, %rax\n movq %rax, (%rdi)");
SNIPPET(rmw4, "addl $0x5a5a5a5a, (%rdi)");
SNIPPET(rmw8, "lock addq $0x5a5a5a5a, (%rdi)");
SNIPPET(xchg8, "mov $0x77, %eax\n xchg %rax, (%rdi)");
SNIPPET(push8, "mov %rsp, %rcx\n mov %rdi, %rsp\n add $8, %rsp\n push %rax\n mov %rcx, %rsp");
SNIPPET(pop8, "mov %rsp, %rcx\n mov %rdi, %rsp\n pop %rax\n mov %rcx, %rsp");
SNIPPET(call8, "mov %rsp, %rcx\n mov %rdi, %rsp\n add $8, %rsp\n call 1f\n 1: mov %rcx, %rsp");
SNIPPET(bts8, "bts $5, %rax\n btsq $5, (%rdi)");
SNIPPET(xadd4, "xaddl %eax, (%rdi)");

static const struct {
	const char *name;
	uint8_t *code;
	unsigned size;
	bool store;
} ops[] = {
	{"load 2", ld2, 2, false},	{"load 4", ld4, 4, false},   {"load 8", ld8, 8, false},
	{"store 2", st2, 2, true},	{"store 4", st4, 4, true},   {"store 8", st8, 8, true},
	{"add 4", rmw4, 4, true},	{"lock add 8", rmw8, 8, true}, {"xchg 8", xchg8, 8, true},
	{"push", push8, 8, true},	{"pop", pop8, 8, false},     {"call", call8, 8, true},
	{"bts 8", bts8, 8, true},	{"xadd 4", xadd4, 4, true},
};

/* Each misalignment over the page end; the second page absent or read-only. */
static void across(void)
{
	group_begin("accesses over a page end into an absent page");
	write_cr0(read_cr0() | C0_WP);
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		for (unsigned before = 1; before < ops[i].size; before++) {
			word a = VA + 4096 - before;
			struct trap *t;

			memset(page[0], 0x11, 4096);
			memset(page[1], 0x11, 4096);
			pt[1] = (uint64_t)page[1];
			invlpg(VA + 4096);
			t = catch_user(ops[i].code, a, 0);
			group_case(t->vec == PF && t->cr2 == VA + 4096 &&
					   t->err == (ERR_U | (ops[i].store ? ERR_W : 0)),
				   "%s at -%u: vec %d err %w cr2 %w", ops[i].name, before, t->vec,
				   t->err, t->cr2);
			group_case(page[0][4095] == 0x11 && page[0][4096 - before] == 0x11,
				   "%s at -%u: part of it was stored", ops[i].name, before);
			if (ops[i].store) {
				pt[1] = (uint64_t)page[1] | 5;
				invlpg(VA + 4096);
				t = catch_user(ops[i].code, a, 0);
				group_case(t->vec == PF && t->cr2 == VA + 4096 &&
						   t->err == (ERR_U | ERR_W | ERR_P),
					   "%s at -%u to read-only: vec %d err %w", ops[i].name,
					   before, t->vec, t->err);
				group_case(page[0][4095] == 0x11, "%s at -%u: stored in part",
					   ops[i].name, before);
			}
			pt[0] = (uint64_t)page[0];
			invlpg(VA);
			t = catch_user(ops[i].code, a, 0);
			group_case(t->vec == PF && t->cr2 == a, "%s at -%u, both absent: cr2 %w",
				   ops[i].name, before, t->cr2);
			pt[0] = (uint64_t)page[0] | 7;
			pt[1] = (uint64_t)page[1] | 7;
			flush_tlb();
			t = catch_user(ops[i].code, a, 0);
			group_case(t->vec == NO_TRAP, "%s at -%u: vec %d", ops[i].name, before,
				   t->vec);
		}
	group_end();
	write_cr0(read_cr0() & ~(word)C0_WP);
}

static void alignment(void)
{
	group_begin("alignment check: CR0.AM, EFLAGS.AC, CPL 3");
	for (unsigned mode = 0; mode < 8; mode++) {
		bool am = mode & 1, ac = mode & 2, user = mode & 4;

		write_cr0((read_cr0() & ~(word)C0_AM) | (am ? C0_AM : 0));
		for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
			for (unsigned off = 0; off < 8; off++) {
				bool want = am && ac && user && (off & (ops[i].size - 1));
				struct trap *t;

				user_env.flags = 2 | (ac ? FL_AC : 0);
				if (user)
					t = catch_user(ops[i].code, VA + 256 + off, 0);
				else
					t = catch_trap(ops[i].code, VA + 256 + off, 0);
				group_case(want ? trap_is(t, AC, 0) : t->vec == NO_TRAP,
					   "%s at +%u, am %d ac %d user %d: vec %d err %w",
					   ops[i].name, off, am, ac, user, t->vec, t->err);
			}
	}
	group_end();
	/* A page fault goes before an alignment fault. */
	user_env.flags = 2 | FL_AC;
	write_cr0(read_cr0() | C0_AM);
	pt[0] = 0;
	invlpg(VA);
	check(catch_user(ld4, VA + 1, 0)->vec == PF || catch_user(ld4, VA + 1, 0)->vec == AC,
	      "misaligned and absent: one of both");
	pt[0] = (uint64_t)page[0] | 7;
	user_env.flags = 2;
	write_cr0(read_cr0() & ~(word)C0_AM);
}

/* mov $imm32, %eax; ret placed at each offset before a page end; then the second page absent. */
static void code_across(void)
{
	static const uint8_t insns[][16] = {
		{0xb8, 4, 3, 2, 1, 0xc3},                                /* mov $imm32, %eax */
		{0x48, 0xb8, 4, 3, 2, 1, 0, 0, 0, 0, 0xc3},              /* movabs */
		{0x66, 0x2e, 0xb8, 4, 3, 0xc3},                          /* prefixes */
	};
	static const unsigned len[] = {5, 10, 5};

	group_begin("instructions over a page end");
	for (unsigned k = 0; k < 3; k++)
		for (unsigned before = 1; before <= len[k]; before++) {
			uint8_t *p = (uint8_t *)VA + 4096 - before;
			struct trap *t;

			pt[1] = (uint64_t)page[1] | 7;
			flush_tlb();
			memcpy(p, insns[k], 16);
			t = catch_trap(p, 0, 0);
			group_case(t->vec == NO_TRAP && (t->result & 0xffff) == 0x304,
				   "insn %u at -%u: vec %d", k, before, t->vec);
			pt[1] = 0;
			invlpg(VA + 4096);
			t = catch_trap(p, 0, 0);
			group_case(t->vec == PF && t->cr2 == VA + 4096 &&
					   t->ip == (before == len[k] ? VA + 4096 : (word)p),
				   "insn %u at -%u, absent: vec %d cr2 %w ip %w", k, before,
				   t->vec, t->cr2, t->ip);
		}
	group_end();
	pt[1] = (uint64_t)page[1] | 7;
	flush_tlb();
}

/* 15 bytes of prefixes up to the page end: #GP by length comes without looking behind it. */
static void too_long(void)
{
	uint8_t *p = (uint8_t *)VA + 4096 - 15;
	struct trap *t;

	memset(p, 0x2e, 15);
	pt[1] = 0;
	flush_tlb();
	t = catch_trap(p, 0, 0);
	check(t->vec == GP || t->vec == PF, "15 prefixes before an absent page");
	pt[1] = (uint64_t)page[1] | 7;
	flush_tlb();
}

void guest_test(void)
{
	setup();
	across();
	alignment();
	code_across();
	too_long();
}
