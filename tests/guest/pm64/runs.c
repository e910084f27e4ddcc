// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hot code whose operands go by one register, which a translator may check together: across a page's
 * end, into pages that are absent or read-only, and with flags and r9 to r11 in between.
 * Run by: make t T=guest/pm64/runs. Source: Intel SDM 3A §4.7, §4.8.
 */
#include "map.h"

#define ROUNDS 200u /* enough for any of these to be hot */
#define PAGE 4096u

static uint64_t *pte;

/* The leaf entry of page 0 of the region. */
static void find_pte(void)
{
	uint64_t *table = (uint64_t *)(read_cr3() & ~0xfffull);

	for (unsigned shift = 39; shift > 12; shift -= 9)
		table = (uint64_t *)(table[MAP_VA >> shift & 511] & 0xffffffffff000ull);
	pte = &table[MAP_VA >> 12 & 511];
}

/* [0] and [8] are read, their sum goes to [16], [8] to [24]; rax = sum + [8] + 5 + [0]. */
SNIPPET(t_fields, "mov (%rdi), %r10\n mov 8(%rdi), %r11\n add %r11, %r10\n lea 5(%r10,%r11), %rax\n"
		  "mov %r10, 16(%rdi)\n add $8, %rdi\n mov %r11, 16(%rdi)\n mov -8(%rdi), %r9\n"
		  "add %r9, %rax");
/* The carry of the first addition is wanted behind two more loads. */
SNIPPET(t_carry, "mov (%rdi), %rax\n add 8(%rdi), %rax\n mov 16(%rdi), %rcx\n mov 24(%rdi), %rdx\n"
		 "adc %rdx, %rcx\n mov %rcx, %rax");
/* A frame at the top of stack rdi; rax = rsi by way of it. */
SNIPPET(t_frame, "mov %rsp, %rax\n mov %rdi, %rsp\n push %rbx\n push %rbp\n push %r12\n"
		 "sub $0x40, %rsp\n mov %rsi, 8(%rsp)\n mov %rax, 0x38(%rsp)\n mov 8(%rsp), %rcx\n"
		 "mov 0x38(%rsp), %rax\n add $0x40, %rsp\n pop %r12\n pop %rbp\n pop %rbx\n"
		 "mov %rax, %rsp\n mov %rcx, %rax");
/* Writes only if rsi says so. */
SNIPPET(t_maybe, "mov (%rdi), %rax\n add 8(%rdi), %rax\n test %rsi, %rsi\n jz 1f\n"
		 "mov %rax, 16(%rdi)\n 1:");
SNIPPET(t_reads, "mov (%rdi), %rax\n add 8(%rdi), %rax\n add 16(%rdi), %rax");
SNIPPET(t_writes, "mov (%rdi), %rax\n add 8(%rdi), %rax\n mov %rax, 16(%rdi)");

typedef word (*snippet)(word, word);
#define CALL(s, a, b) (((snippet)(word)(s))((a), (b)))

static void fill(word at)
{
	uint64_t *p = (uint64_t *)at;

	for (unsigned i = 0; i < 4; i++)
		p[i] = 0xfedcba9876543210ull * (i + 3) + at;
}

static bool fields_once(word at)
{
	uint64_t *p = (uint64_t *)at, a, b;

	fill(at);
	a = p[0];
	b = p[1];
	return CALL(t_fields, at, 0) == a + b + b + 5 + a && p[2] == a + b && p[3] == b &&
	       p[0] == a && p[1] == b;
}

static bool carry_once(word at)
{
	uint64_t *p = (uint64_t *)at;

	fill(at);
	return CALL(t_carry, at, 0) == p[2] + p[3] + (p[0] + p[1] < p[0]);
}

static void at_each_place(void)
{
	group_begin("places around a page's end");
	for (unsigned off = PAGE - 40; off <= PAGE + 8; off++) {
		bool fields = true, carry = true, frame = true;

		for (unsigned i = 0; i < ROUNDS; i++) {
			fields = fields && fields_once(MAP_VA + off);
			carry = carry && carry_once(MAP_VA + off);
			frame = frame && CALL(t_frame, MAP_VA + off + 48, i) == i;
		}
		group_case(fields, "fields at %x", off);
		group_case(carry, "a carry at %x", off);
		group_case(frame, "a frame below %x", off + 48);
	}
	group_end();
}

static void into_nothing(void)
{
	word at = MAP_VA + PAGE - 16;
	uint64_t *p = (uint64_t *)at;
	struct trap *t;

	map_set(1, 0);
	for (unsigned i = 0; i < 3; i++) {
		p[0] = 1;
		p[1] = 2;
		t = catch_trap(t_fields, at, 0);
		check_trap(t, PF, ERR_W, "a store in the middle into an absent page, %u", i);
		check_eq(t->cr2, MAP_VA + PAGE, "its address, %u", i);
		check(p[0] == 1 && p[1] == 2, "what was read is as it was, %u", i);
		t = catch_trap(t_reads, at, 0);
		check_trap(t, PF, 0, "a load in the middle from an absent page, %u", i);
		check_eq(t->cr2, MAP_VA + PAGE, "its address, %u", i);
	}
	map_set(1, PTE_P | PTE_W);
	check(fields_once(at), "the page is back");
}

static void read_only(void)
{
	word at = MAP_VA + 64;
	struct trap *t;

	write_cr0(read_cr0() | C0_WP);
	map_set(0, PTE_P | PTE_W);
	fill(at);
	for (unsigned i = 0; i < ROUNDS; i++) {
		CALL(t_maybe, at, 1);
		CALL(t_writes, at, 0);
	}
	map_set(0, PTE_P);
	t = catch_trap(t_maybe, at, 0);
	check_trap(t, NO_TRAP, 0, "read-only, and no store on this way");
	t = catch_trap(t_maybe, at, 1);
	check_trap(t, PF, ERR_P | ERR_W, "read-only, and a store behind the branch");
	check_eq(t->cr2, at + 16, "its address");
	t = catch_trap(t_writes, at, 0);
	check_trap(t, PF, ERR_P | ERR_W, "read-only, and a store behind loads");
	check_eq(t->cr2, at + 16, "its address");
	map_set(0, PTE_P | PTE_W);
	check_trap(catch_trap(t_writes, at, 0), NO_TRAP, 0, "writable again");
}

static void dirty(void)
{
	word at = MAP_VA + 128;
	bool clean = true, written = true;

	for (unsigned i = 0; i < ROUNDS; i++) {
		*pte &= ~(PTE_D | PTE_A);
		invlpg(MAP_VA);
		CALL(t_reads, at, 0);
		CALL(t_maybe, at, 0);
		clean = clean && (*pte & (PTE_D | PTE_A)) == PTE_A;
		CALL(t_writes, at, 0);
		written = written && (*pte & PTE_D);
	}
	check(clean, "loads leave a page clean, and accessed");
	check(written, "a store behind loads makes it dirty");
}

void guest_test(void)
{
	map_init();
	for (unsigned i = 0; i < 3; i++)
		map_set(i, PTE_P | PTE_W);
	find_pte();
	at_each_place();
	into_nothing();
	read_only();
	dirty();
}
