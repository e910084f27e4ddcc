// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Self-modifying code: in the same block, the same page, another page, through another address,
 * over a page end, by each kind of store. Source: Intel SDM 3A §11.6, §8.1.3.
 */
#include "guest.h"

typedef word (*code_fn)(void);
static uint8_t *code; /* two pages of RAM */

/* mov $imm32, %eax; ret */
static void put_return(uint8_t *p, uint32_t v)
{
	p[0] = 0xb8;
	p[1] = (uint8_t)v;
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)(v >> 16);
	p[4] = (uint8_t)(v >> 24);
	p[5] = 0xc3;
}

static word call(uint8_t *p)
{
	asm volatile("" ::: "memory");
	return ((code_fn)(void *)p)();
}

static void changed_between_calls(void)
{
	bool good = true;

	for (unsigned i = 0; i < 2000; i++) {
		put_return(code + 64, i);
		good = good && call(code + 64) == i;
	}
	check(good, "code changed between calls, 2000 times");
	for (unsigned i = 0; i < 100; i++)
		call(code + 64);
	code[65] = 99;
	check_eq(call(code + 64) & 0xff, 99, "one byte of hot code");
	for (unsigned i = 0; i < 64; i++)
		put_return(code + i * 16, i);
	good = true;
	for (unsigned i = 0; i < 64; i++)
		good = good && call(code + i * 16) == i;
	check(good, "64 functions in one page");
	code[16 * 7 + 1] = 200;
	good = true;
	for (unsigned i = 0; i < 64; i++)
		good = good && call(code + i * 16) == (i == 7 ? 200 : i);
	check(good, "one of them changed");
}

/* The store changes the very next instruction's immediate. */
#if IS64
#define RIP_STORE(off) "movb $0x2a, " off "(%rip)\n"
#define ADDR_DI "lea 1f(%rip), %rdi\n"
#define SAVE_DI
#define REST_DI
#define DI "%rdi"
#else
#define RIP_STORE(off) "call 9f\n 9: pop %ecx\n movb $0x2a, " off "-9b(%ecx)\n"
#define ADDR_DI "push %edi\n call 9f\n 9: pop %edi\n add $1f-9b, %edi\n"
#define REST_DI "\n pop %edi"
#define DI "%edi"
#endif
#if !IS64
#undef RIP_STORE
#define RIP_STORE(x) ADDR_DI "movb $0x2a, 1(%edi)\n"
SNIPPET(next_insn, RIP_STORE(0) "1: mov $1, %eax" REST_DI);
#else
SNIPPET(next_insn, ADDR_DI "movb $0x2a, 1(%rdi)\n 1: mov $1, %eax");
#undef REST_DI
#define REST_DI
#endif
SNIPPET(next_string, ADDR_DI "inc " DI "\n mov $0x2a, %eax\n stosb\n 1: mov $1, %eax" REST_DI);
SNIPPET(next_rep, ADDR_DI "inc " DI "\n mov $1, %ecx\n mov $0x2a, %eax\n rep stosb\n 1: mov $1, %eax" REST_DI);
SNIPPET(next_xchg, ADDR_DI "mov $0x2a, %eax\n xchg %al, 1(" DI ")\n 1: mov $1, %eax" REST_DI);
SNIPPET(next_rmw, ADDR_DI "lock orb $0x28, 1(" DI ")\n nop\n nop\n 1: mov $2, %eax" REST_DI);
SNIPPET(after_jump, ADDR_DI "movb $0x2a, 1(" DI ")\n jmp 1f\n nop\n 1: mov $1, %eax" REST_DI);
SNIPPET(loop_self, ADDR_DI "xor %edx, %edx\n mov $100, %ecx\n"
		   "2:\n 1: mov $0, %al\n movzbl %al, %eax\n add %eax, %edx\n incb 1(" DI ")\n"
		   "dec %ecx\n jnz 2b\n movb $0, 1(" DI ")\n mov %edx, %eax" REST_DI);
SNIPPET(opcode_change, ADDR_DI "mov $5, %eax\n movb $0x48, (" DI ")\n"
		       "1: .byte 0x90, 0x90\n movb $0x90, (" DI ")" REST_DI);

static void same_block(void)
{
	check_eq(catch_trap(next_insn, 0, 0)->result, 0x2a, "store into the next instruction");
	check_eq(catch_trap(next_string, 0, 0)->result, 0x2a, "STOSB into the next instruction");
	check_eq(catch_trap(next_rep, 0, 0)->result, 0x2a, "REP STOSB into the next instruction");
	check_eq(catch_trap(next_xchg, 0, 0)->result, 0x2a, "XCHG into the next instruction");
	check_eq(catch_trap(next_rmw, 0, 0)->result, 0x2a, "LOCK OR into a later instruction");
	check_eq(catch_trap(after_jump, 0, 0)->result, 0x2a, "store behind the next jump");
	for (unsigned i = 0; i < 3; i++)
		check_eq(catch_trap(loop_self, 0, 0)->result, 4950,
			 "a loop that counts in its own immediate");
#if !IS64
	check_eq(catch_trap(opcode_change, 0, 0)->result, 4, "an opcode becomes DEC");
#endif
}

static void over_the_page_end(void)
{
	uint8_t *p = code + 4096 - 3; /* immediate in the second page */
	bool good = true;

	put_return(p, 0x11223344);
	check_eq(call(p), 0x11223344, "instruction over a page end");
	for (unsigned i = 0; i < 10; i++)
		call(p);
	p[4] = 0x55; /* second page */
	check_eq(call(p), 0x55223344, "its end changed");
	p[1] = 0x66; /* first page */
	check_eq(call(p), 0x55223366, "its beginning changed");
	*(volatile uint32_t *)(p + 1) = 0xa1b2c3d4; /* one store over the page end */
	check_eq(call(p), 0xa1b2c3d4, "a store over the page end changed both");
	for (unsigned off = 4096 - 6; off < 4096; off++)
		for (unsigned i = 0; i < 20; i++) {
			put_return(code + off, off * 1000 + i);
			good = good && call(code + off) == off * 1000 + i;
		}
	check(good, "at each offset before the page end");
}

/* A block that is jumped to, whose target is changed. */
static void chained(void)
{
	bool good = true;

	code[0] = 0xe9; /* jmp code+4096+16 */
	*(uint32_t *)(code + 1) = 4096 + 16 - 5;
	for (unsigned i = 0; i < 200; i++) {
		put_return(code + 4096 + 16, i);
		good = good && call(code) == i;
	}
	check(good, "the target of a jump from another page");
	put_return(code + 4096 + 512, 77);
	put_return(code + 4096 + 16, 78);
	for (unsigned i = 0; i < 50; i++)
		call(code);
	*(volatile uint32_t *)(code + 1) = 4096 + 512 - 5;
	check_eq(call(code), 77, "the jump itself");
}

#if IS64
#include "paging.h"
static void other_mapping(void)
{
	uint8_t *alias = (uint8_t *)USER(code);
	uint8_t *p = code + 128;

	put_return(p, 1);
	for (unsigned i = 0; i < 50; i++)
		call(p);
	alias[128 + 1] = 2;
	check_eq(call(p), 2, "changed through another address");
	for (unsigned i = 0; i < 50; i++)
		call(p);
	/* User code sees what the kernel wrote and the other way round. */
	check_eq(catch_user(p, 0, 0)->result, 2, "the alias at CPL 3");
	p[1] = 3;
	check_eq(catch_user(p, 0, 0)->result, 3, "changed under the alias");
}

/* Two pages trade places in the map: the same address, other code. */
static void remapped(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);
	uint64_t *pt = alloc_pages(1, 4096);
	uint8_t *va = (uint8_t *)0x8000000000ull;
	bool good = true;

	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	put_return(code, 10);
	put_return(code + 4096, 20);
	for (unsigned i = 0; i < 100; i++) {
		pt[0] = ((uint64_t)code + (i & 1) * 4096) | 3;
		invlpg((word)va);
		good = good && call(va) == (i & 1 ? 20 : 10);
	}
	check(good, "another page at the same address");
	/* The second half of an instruction in another page, changed by the map only. */
	pt[0] = (uint64_t)code | 3;
	pt[1] = ((uint64_t)code + 4096) | 3;
	flush_tlb();
	put_return(va + 4096 - 3, 0x01020304);
	check_eq(call(va + 4096 - 3), 0x01020304, "instruction over two mapped pages");
	{
		uint8_t *third = alloc_pages(1, 4096);

		third[0] = 0x99;
		third[1] = 0x98;
		third[2] = 0xc3;
		pt[1] = (uint64_t)third | 3;
		invlpg((word)va + 4096);
		check_eq(call(va + 4096 - 3), 0x98990304, "its second page mapped elsewhere");
	}
}
#endif

void guest_test(void)
{
	code = alloc_pages(2, 4096);
	changed_between_calls();
	same_block();
	over_the_page_end();
	chained();
#if IS64
	other_mapping();
	remapped();
#endif
}
