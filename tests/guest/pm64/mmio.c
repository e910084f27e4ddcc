// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions on device memory: every kind of operand must reach the device once, with the right
 * size, and nothing twice. The HPET's halted main counter is a 64-bit cell; I/O APIC and local
 * APIC registers are 32-bit ones. Source: Intel SDM 3A §11.3.1 (uncacheable), HPET 1.0a §2.3.7.
 */
#include "paging.h"

#define HPET 0xfed00000ul
#define CELL (HPET + 0xf0)
#define COMPARE (HPET + 0x108)
#define PATTERN 0x123456789abcdef0ull

static volatile uint64_t *cell = (volatile uint64_t *)CELL;

static word regs[4] __asm__("regs") __attribute__((used));
#define OP(name, insn) SNIPPET(name, "mov regs, %rax\n" insn "\n mov %rax, regs\n pushf\n pop regs+8")
OP(ld8, "movb (%rdi), %al");
OP(ld8h, "movb 3(%rdi), %ah");
OP(ld16, "movw 2(%rdi), %ax");
OP(ld32, "movl (%rdi), %eax");
OP(ld32h, "movl 4(%rdi), %eax");
OP(ld64, "movq (%rdi), %rax");
OP(movzx8, "movzbl 1(%rdi), %eax");
OP(movsx16, "movswq 2(%rdi), %rax");
OP(movsxd, "movslq (%rdi), %rax");
OP(st32, "movl %eax, (%rdi)");
OP(st32h, "movl %eax, 4(%rdi)");
OP(st64, "movq %rax, (%rdi)");
OP(st_imm, "movq $-2, (%rdi)");
OP(st_imm32, "movl $0x11112222, (%rdi)");
OP(add64, "addq %rax, (%rdi)");
OP(add_from, "addq (%rdi), %rax");
OP(sub32, "subl $1, (%rdi)");
OP(and64, "andq $0xff, (%rdi)");
OP(or32, "orl %eax, 4(%rdi)");
OP(xor64, "lock xorq %rax, (%rdi)");
OP(inc64, "incq (%rdi)");
OP(dec32, "lock decl (%rdi)");
OP(neg64, "negq (%rdi)");
OP(not32, "notl (%rdi)");
OP(xchg64, "xchgq %rax, (%rdi)");
OP(xchg32, "xchgl %eax, (%rdi)");
OP(xadd64, "lock xaddq %rax, (%rdi)");
OP(cmpxchg_hit, "push %rcx\n mov $5, %ecx\n lock cmpxchgq %rcx, (%rdi)\n pop %rcx");
OP(cmpxchg8b, "push %rbx\n push %rcx\n push %rdx\n mov $0x9abcdef0, %eax\n mov $0x12345678, %edx\n"
	      "mov $0x55, %ebx\n mov $0x66, %ecx\n cmpxchg8b (%rdi)\n pop %rdx\n pop %rcx\n pop %rbx");
OP(bts, "btsq $63, (%rdi)");
OP(bt, "btl $4, (%rdi)");
OP(shl64, "shlq $4, (%rdi)");
OP(ror64, "rorq $8, (%rdi)");
OP(shld, "shldq $8, %rax, (%rdi)");
OP(imul, "imulq $2, (%rdi), %rax");
OP(test32, "testl $0x10, (%rdi)");
OP(cmp64, "cmpq %rax, (%rdi)");
OP(push_mem, "pushq (%rdi)\n popq %rax");
OP(pop_mem, "pushq $0x77\n popq (%rdi)");
OP(cmov, "stc\n cmovcq (%rdi), %rax");
OP(movbe_ld, "movbeq (%rdi), %rax");
OP(movs_from, "push %rsi\n mov %rdi, %rsi\n lea -64(%rsp), %rdi\n movsq\n mov -64(%rsp), %rax\n pop %rsi");
OP(movs_to, "push %rsi\n mov %rax, -64(%rsp)\n lea -64(%rsp), %rsi\n movsq\n pop %rsi");
OP(stos64, "stosq");
OP(lods64, "push %rsi\n mov %rdi, %rsi\n lodsq\n pop %rsi");
OP(scas64, "scasq");
OP(cmps64, "push %rsi\n mov %rax, -64(%rsp)\n lea -64(%rsp), %rsi\n cmpsq\n pop %rsi");
OP(movups, "movups (%rdi), %xmm0\n movq %xmm0, %rax");
OP(movq_st, "movq %rax, %xmm0\n movq %xmm0, (%rdi)");
OP(movd_ld, "movd (%rdi), %xmm0\n movd %xmm0, %eax");
OP(paddd, "movq %rax, %xmm0\n paddq (%rdi), %xmm0\n movq %xmm0, %rax");
OP(fild, "fildll (%rdi)\n push %rcx\n fistpll (%rsp)\n pop %rax");
OP(fistp, "push %rax\n fildll (%rsp)\n pop %rax\n fistpll (%rdi)");
OP(jmp_mem, "push %rcx\n lea 1f(%rip), %rcx\n mov %rcx, (%rdi)\n jmp *(%rdi)\n ud2\n 1: pop %rcx\n mov $9, %eax");
OP(call_mem, "push %rcx\n lea 1f(%rip), %rcx\n mov %rcx, (%rdi)\n call *(%rdi)\n jmp 2f\n 1: mov $8, %eax\n ret\n 2: pop %rcx");

/* Before, RAX in, RAX out, cell after. */
static const struct {
	const char *name;
	uint8_t *code;
	uint64_t before, in, out, after;
} ops[] = {
#define T(id, before, in, out, after) {#id, id, before, in, out, after}
#define KEEP(id, in, out) T(id, PATTERN, in, out, PATTERN)
	KEEP(ld8, ~0ul, 0xfffffffffffffff0),
	KEEP(ld8h, ~0ul, 0xffffffffffff9aff),
	KEEP(ld16, ~0ul, 0xffffffffffff9abc),
	KEEP(ld32, ~0ul, 0x9abcdef0),
	KEEP(ld32h, ~0ul, 0x12345678),
	KEEP(ld64, 0, PATTERN),
	KEEP(movzx8, ~0ul, 0xde),
	KEEP(movsx16, 0, 0xffffffffffff9abc),
	KEEP(movsxd, 0, 0xffffffff9abcdef0),
	T(st32, PATTERN, 0xaabbccdd11223344, 0xaabbccdd11223344, 0x1234567811223344),
	T(st32h, PATTERN, 0x55667788, 0x55667788, 0x556677889abcdef0),
	T(st64, PATTERN, 42, 42, 42),
	T(st_imm, PATTERN, 1, 1, ~1ul),
	T(st_imm32, PATTERN, 1, 1, 0x1234567811112222),
	T(add64, 100, 11, 11, 111),
	KEEP(add_from, 1, PATTERN + 1),
	T(sub32, PATTERN, 0, 0, PATTERN - 1),
	T(and64, PATTERN, 0, 0, 0xf0),
	T(or32, PATTERN, 0x01000001, 0x01000001, PATTERN | 0x0100000100000000),
	T(xor64, PATTERN, PATTERN, PATTERN, 0),
	T(inc64, 0xffffffff, 0, 0, 0x100000000),
	T(dec32, PATTERN, 0, 0, PATTERN - 1),
	T(neg64, 1, 0, 0, ~0ul),
	T(not32, PATTERN, 0, 0, PATTERN ^ 0xffffffff),
	T(xchg64, PATTERN, 7, PATTERN, 7),
	T(xchg32, PATTERN, 7, 0x9abcdef0, 0x1234567800000007),
	T(xadd64, PATTERN, 1, PATTERN, PATTERN + 1),
	T(cmpxchg_hit, 3, 3, 3, 5),
	T(cmpxchg_hit, 4, 3, 4, 4),
	T(cmpxchg8b, PATTERN, 0, 0x9abcdef0, 0x0000006600000055),
	T(bts, 1, 0, 0, 0x8000000000000001),
	KEEP(bt, 5, 5),
	T(shl64, PATTERN, 0, 0, PATTERN << 4),
	T(ror64, PATTERN, 0, 0, PATTERN >> 8 | 0xf0ul << 56),
	T(shld, PATTERN, 0xab00000000000000, 0xab00000000000000, PATTERN << 8 | 0xab),
	KEEP(imul, 0, PATTERN * 2),
	KEEP(test32, 5, 5),
	KEEP(cmp64, 5, 5),
	KEEP(push_mem, 0, PATTERN),
	T(pop_mem, PATTERN, 0, 0, 0x77),
	KEEP(cmov, 0, PATTERN),
	KEEP(movbe_ld, 0, 0xf0debc9a78563412),
	KEEP(movs_from, 0, PATTERN),
	T(movs_to, PATTERN, 99, 99, 99),
	T(stos64, PATTERN, 98, 98, 98),
	KEEP(lods64, 0, PATTERN),
	KEEP(scas64, 5, 5),
	KEEP(cmps64, 5, 5),
	KEEP(movups, 0, PATTERN),
	T(movq_st, PATTERN, 97, 97, 97),
	KEEP(movd_ld, ~0ul, 0x9abcdef0),
	KEEP(paddd, 1, PATTERN + 1),
	KEEP(fild, 0, PATTERN),
	T(fistp, PATTERN, 1234567, 1234567, 1234567),
};

static void operands(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		struct trap *t;

		*cell = ops[i].before;
		regs[0] = ops[i].in;
		t = catch_trap(ops[i].code, CELL, 0);
		if (!check_trap(t, NO_TRAP, 0, "%s", ops[i].name))
			continue;
		check_eq(regs[0], ops[i].out, "%s, register", ops[i].name);
		check_eq(*cell, ops[i].after, "%s, device", ops[i].name);
	}
	*cell = PATTERN;
	regs[0] = PATTERN;
	catch_trap(cmp64, CELL, 0);
	check(regs[1] & FL_ZF, "CMP with device memory: equal");
	catch_trap(bt, CELL, 0);
	check(regs[1] & FL_CF, "BT of device memory");
	catch_trap(scas64, CELL, 0);
	regs[0] = 0;
	catch_trap(jmp_mem, CELL, 0);
	check_eq(regs[0], 9, "JMP through device memory");
	catch_trap(call_mem, CELL, 0);
	check_eq(regs[0], 8, "CALL through device memory");
}

SNIPPET(rep_out, "mov %rsi, %rax\n mov $3, %ecx\n rep stosq\n mov %rcx, %rax");
SNIPPET(rep_in, "push %rsi\n mov %rsi, %rdx\n mov %rdi, %rsi\n mov %rdx, %rdi\n mov $2, %ecx\n rep movsl\n pop %rsi");

static void strings(void)
{
	uint32_t two[2] = {0, 0};

	*cell = PATTERN;
	check_trap(catch_trap(rep_in, CELL, (word)two), NO_TRAP, 0, "REP MOVSL from a device");
	check_eq((uint64_t)two[1] << 32 | two[0], PATTERN, "both halves arrived");
	/* 0xf0 is the counter, 0xf8 reserved, 0x100 timer 0's read-only upper half. */
	check_trap(catch_trap(rep_out, CELL, 77), NO_TRAP, 0, "REP STOSQ to a device");
	check_eq(*cell, 77, "the first arrived");
	check_eq(*(volatile uint64_t *)(HPET + 0xf8), 0, "reserved registers read zero");
}

/* RAM and device memory in neighbouring pages: one access over the border. */
SNIPPET(ld_any, "mov (%rdi), %rax");
SNIPPET(st_any, "mov %rsi, (%rdi)");
static void borders(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);
	uint64_t *pt = alloc_pages(1, 4096);
	uint8_t *ram = alloc_pages(1, 4096);
	uint64_t first = *(volatile uint32_t *)HPET;
	word va = 0x8000000000ul;

	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	pt[0] = (uint64_t)ram | 3;
	pt[1] = HPET | 3;
	pt[2] = (uint64_t)ram | 3;
	flush_tlb();
	memset(ram, 0x11, 4096);
	check_eq(catch_trap(ld_any, va + 4092, 0)->result, first << 32 | 0x11111111,
		 "a load from RAM into a device's page");
	check_trap(catch_trap(st_any, va + 4092, ~0ul), NO_TRAP, 0,
		   "a store from RAM into a device's page");
	check_eq(*(uint32_t *)(ram + 4092), 0xffffffff, "the part in RAM");
	check_eq(*(volatile uint32_t *)HPET, first, "the read-only register");
	check_eq(catch_trap(ld_any, va + 8192, 0)->result, 0x1111111111111111,
		 "the page behind is RAM");
	/* An absent page behind the device: the fault comes before the device is touched. */
	pt[1] = 0;
	pt[0] = HPET | 3;
	flush_tlb();
	check_trap(catch_trap(st_any, va + 4092, 0), PF, ERR_W, "device page, then an absent one");
}

/* Nobody answers: all ones, and stores go nowhere. */
static void nothing_there(void)
{
	static const uint64_t where[] = {0xfeb00000, 0xd0000000, 0xe0000000, 0xfe000000};

	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		check_eq(catch_trap(ld_any, where[i], 0)->result, ~0ul, "nothing at %q", where[i]);
		check_trap(catch_trap(st_any, where[i], 5), NO_TRAP, 0, "a store to nothing at %q",
			   where[i]);
	}
}

void guest_test(void)
{
	write_cr4(read_cr4() | C4_OSFXSR);
	*(volatile uint64_t *)(HPET + 0x10) = 0; /* halt the counter */
	*cell = PATTERN;
	check_eq(*cell, PATTERN, "the HPET's counter can be set while it is halted");
	operands();
	strings();
	borders();
	nothing_there();
}
