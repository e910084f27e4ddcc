// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same pages of code at several linear addresses, as a library in many programs has them: what it
 * computes from where it is has to be of that place, at CPL 0 and 3, near the ends of the address
 * space too, and a write to it changes it everywhere. Run by: make t T=guest/pm64/copies.
 * Source: Intel SDM vol. 2 (RIP-relative addressing), 3A ch. 4.
 */
#include "guest.h"
#include "paging.h"

#define ROUNDS 20u /* enough for code to be hot, and its links to be made */
#define PAGES 3u   /* two of code, one of data */
#define BYTES (PAGES * 4096u)
#define MAGIC 0x123456789abcdef1ull

asm("	.pushsection .data\n"
    "	.balign 4096\n"
    "	.globl lib, lib_end\n"
    "lib:\n"
    "	.globl l_load, l_store, l_lea, l_lea32, l_eip, l_call, l_loop, l_far, l_fault, l_ud\n"
    "l_load: mov value(%rip), %rax\n add %rdi, %rax\n ret\n"
    "l_store: mov %rdi, room(%rip)\n addq $1, room(%rip)\n mov room(%rip), %rax\n ret\n"
    "l_lea: lea l_lea(%rip), %rax\n ret\n"
    "l_lea32: lea l_lea32(%rip), %eax\n ret\n"
    "l_eip: lea l_eip(%eip), %rax\n ret\n"
    "l_call: call l_where\n sub %rdi, %rax\n ret\n" /* to the other page, and back to here */
    "l_loop: mov %edi, %ecx\n xor %eax, %eax\n 1: add value(%rip), %rax\n dec %ecx\n jnz 1b\n ret\n"
    "l_far: test %rdi, %rdi\n jz l_zero\n cmp $1, %rdi\n je l_one\n call l_near\n jmp l_rest\n"
    "l_near: lea l_near(%rip), %rax\n ret\n"
    "l_fault: add $1, %rdi\n mov (%rdi), %rax\n ret\n"
    "l_ud: lea 8(%rdi), %rax\n ud2\n"
    "	.globl l_regs, l_indirect, l_frame, l_x87, l_sse, l_code, l_flags\n"
    "l_regs: lea value(%rip), %r9\n mov value(%rip), %r10\n lea room(%rip), %r11\n"
    "	mov %r10, (%r11)\n mov (%r9), %rax\n sub (%r11), %rax\n add %r9, %rax\n ret\n"
    "l_indirect: lea l_near(%rip), %rax\n lea l_where(%rip), %rcx\n call *%rcx\n"
    "	lea l_load(%rip), %rcx\n xor %edi, %edi\n jmp *%rcx\n"
    "l_frame: push %rbx\n push %rbp\n push %r12\n lea l_frame(%rip), %rbx\n mov %rbx, %rbp\n"
    "	call l_where\n sub %rbp, %rax\n mov %rax, %r12\n mov %r12, %rax\n pop %r12\n pop %rbp\n"
    "	pop %rbx\n ret\n"
    "l_x87: fildq value(%rip)\n fistpq room(%rip)\n mov room(%rip), %rax\n ret\n"
    "l_sse: movups value(%rip), %xmm1\n movq %xmm1, %rax\n ret\n"
    "l_flags: cmp value(%rip), %rdi\n mov room(%rip), %rcx\n mov l_flags(%rip), %cl\n sete %al\n"
    "	movzx %al, %eax\n ret\n"
    "l_code: mov $1, %eax\n ret\n"
    "	.balign 4096\n"
    "l_where: mov (%rsp), %rax\n ret\n"
    "l_zero: lea l_zero(%rip), %rax\n ret\n"
    "l_one: call l_near\n lea 1(%rax), %rax\n ret\n"
    "l_rest: lea 2(%rax), %rax\n ret\n"
    "	.globl l_across\n"
    "	.skip 4096 - 3 - (. - l_where)\n"
    "l_across: mov value(%rip), %rax\n ret\n" /* its bytes are of two pages */
    "	.skip 8\n"
    "value: .quad 0\n .quad 5\n"
    "room: .quad 0\n"
    "	.balign 4096\n"
    "	.globl value, room, l_near, l_where, l_zero\n"
    "lib_end:\n"
    "	.popsection");
extern uint8_t lib[], lib_end[], l_load[], l_store[], l_lea[], l_lea32[], l_eip[], l_call[];
extern uint8_t l_loop[], l_far[], l_fault[], l_ud[], l_regs[], l_indirect[], l_frame[], l_x87[];
extern uint8_t l_sse[], l_code[], l_flags[], l_across[], value[], room[], l_near[], l_zero[];

static const word places[] = {
	0x8000000000ull,       0x8000003000ull,	      0x8000100000ull,	     0x555555554000ull,
	0x7ffff7dd5000ull,     0x7fffffff0000ull, /* branches reach the end of the lower half */
	0x7ffe12345000ull,     0xffff800000000000ull, 0xffff800080001000ull, 0xffffffff80000000ull,
	0xfffffffffff00000ull,
};
#define PLACES (sizeof(places) / sizeof(places[0]))

static uint64_t *next_table(uint64_t *entry)
{
	if (!(*entry & 1))
		*entry = (uint64_t)alloc_pages(1, 4096) | 7;
	return (uint64_t *)(*entry & 0xffffffffff000ull);
}

static void map_lib(word va, const uint8_t *pages)
{
	for (unsigned i = 0; i < PAGES; i++, va += 4096) {
		uint64_t *table = boot_pml4;

		for (unsigned shift = 39; shift > 12; shift -= 9)
			table = next_table(&table[va >> shift & 511]);
		table[va >> 12 & 511] = ((uint64_t)pages + 4096 * i) | 7;
		invlpg(va);
	}
}

static word at(word va, const uint8_t *what)
{
	return va + (word)(what - lib);
}

static word call(word va, const uint8_t *what, word arg)
{
	return ((word(*)(word))at(va, what))(arg);
}

/* What it returns for `arg`, called where it is and by user code there. */
static void returns(word va, const uint8_t *what, word arg, word want)
{
	struct trap *t;
	word got = want;

	for (unsigned i = 0; i < ROUNDS && got == want; i++)
		got = call(va, what, arg);
	group_case(got == want, "%w at %w: %w", at(va, what), arg, got);
	t = catch_user((void *)(at(va, what) - user_offset), arg, 0);
	group_case(t->vec == NO_TRAP && t->result == want, "user %w at %w: %w", at(va, what), arg,
		   t->result);
}

static void addresses(word va)
{
	returns(va, l_lea, 0, at(va, l_lea));
	returns(va, l_lea32, 0, (uint32_t)at(va, l_lea32));
	returns(va, l_eip, 0, (uint32_t)at(va, l_eip));
	returns(va, l_call, at(va, l_call) + 5, 0);
	returns(va, l_far, 0, at(va, l_zero));
	returns(va, l_far, 1, at(va, l_near) + 1);
	returns(va, l_far, 2, at(va, l_near) + 2);
	returns(va, l_regs, 0, at(va, value));
}

static void values(word va, word v)
{
	returns(va, l_load, 3, v + 3);
	returns(va, l_store, 77, 78);
	returns(va, l_loop, 9, 9 * v);
	returns(va, l_indirect, 0, v);
	returns(va, l_frame, 0, call((word)lib, l_frame, 0));
	returns(va, l_x87, 0, v);
	returns(va, l_sse, 0, v);
	returns(va, l_flags, v, 1);
	returns(va, l_flags, v + 1, 0);
	returns(va, l_across, 0, v);
}

static void traps(word va)
{
	for (unsigned i = 0; i < 3; i++) {
		struct trap *t = catch_trap((void *)at(va, l_fault), 0x7000000000ull, 0);

		group_case(t->vec == PF && t->ip == at(va, l_fault) + 4 &&
				   t->cr2 == 0x7000000001ull && t->f.di == 0x7000000001ull,
			   "fault at %w: %w", va, t->ip);
		t = catch_trap((void *)at(va, l_ud), 1, 0);
		group_case(t->vec == UD && t->ip == at(va, l_ud) + 4 && t->f.ax == 9,
			   "#UD at %w: %w", va, t->ip);
	}
}

/* `by`: where the writer sees the code. All places must have it. */
static void rewrite(word by, uint32_t v)
{
	*(volatile uint32_t *)(at(by, l_code) + 1) = v;
	for (unsigned i = 0; i < PLACES; i++)
		returns(places[i], l_code, 0, v);
}

void guest_test(void)
{
	uint8_t *other = alloc_pages(PAGES, 4096);

	write_cr0((read_cr0() & ~4ul) | 2); /* x87 and SSE */
	write_cr4(read_cr4() | 0x600);
	asm volatile("fninit");
	*(uint64_t *)value = MAGIC;
	memcpy(other, lib, BYTES);
	*(uint64_t *)(other + (value - lib)) = ~MAGIC;
	for (unsigned i = 0; i < PLACES; i++)
		map_lib(places[i], lib);
	group_begin("addresses");
	for (unsigned i = 0; i < PLACES; i++)
		addresses(places[i]);
	group_end();
	group_begin("values");
	for (unsigned i = 0; i < PLACES; i++)
		values(places[i], MAGIC);
	group_end();
	group_begin("exceptions");
	for (unsigned i = 0; i < PLACES; i++)
		traps(places[i]);
	group_end();
	group_begin("written code");
	rewrite((word)lib, 1000);
	for (unsigned i = 0; i < PLACES; i++)
		rewrite(places[i], 2000 + i);
	group_end();
	group_begin("other pages there");
	for (unsigned i = 0; i < PLACES; i += 2)
		map_lib(places[i], other);
	for (unsigned i = 0; i < PLACES; i++) {
		values(places[i], i % 2 ? MAGIC : ~MAGIC);
		addresses(places[i]);
	}
	group_end();
}
