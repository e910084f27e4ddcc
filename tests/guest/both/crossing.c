// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hot loops with an instruction that lies in two pages, while its second page changes: its bytes,
 * its mapping, its address space, whether it is there at all. Source: Intel SDM 3A §4.10, §11.6.
 */
#include "map.h"

#define ROUNDS 4096u /* an even number of changes */
#define EACH 32u /* rounds between changes: the loop gets hot meanwhile */
enum { EAX = 0, EDX = 2 };

/* The loop's registers, and its entry. */
struct job {
	word entry, count, di, bx, si;
};

#if IS64
SNIPPET(runner, "push %rbx\n mov %rdi, %r11\n mov 8(%r11), %rcx\n mov 16(%r11), %rdi\n"
		"mov 24(%r11), %rbx\n mov 32(%r11), %rsi\n xor %eax, %eax\n xor %edx, %edx\n"
		"push %r11\n call *(%r11)\n pop %r11\n pop %rbx");
#define W "\x48"
#else
SNIPPET(runner,
	"push %ebx\n push %esi\n push %edi\n push %ebp\n mov %eax, %ebp\n mov 4(%ebp), %ecx\n"
	"mov 8(%ebp), %edi\n mov 12(%ebp), %ebx\n mov 16(%ebp), %esi\n xor %eax, %eax\n"
	"xor %edx, %edx\n call *(%ebp)\n pop %ebp\n pop %edi\n pop %esi\n pop %ebx");
#define W ""
#endif

#define XOR_PTE W "\x31\x1f\x0f\x01\x3e" /* xor %rbx, (%rdi); invlpg (%rsi) */
#define XOR_BYTE "\x30\x1e"		 /* xor %bl, (%rsi) */
#define SWITCH W "\x31\xdf\x0f\x22\xdf"	 /* xor %rbx, %rdi; mov %rdi, %cr3 */
enum { CLC = 0xf8, STC = 0xf9 };

static uint8_t *first, *second, *other; /* by their own addresses */
static word second_va;

static uint8_t *put(uint8_t *p, const char *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

static uint8_t *put_jump(uint8_t *p, long to_off, long at_off)
{
	int32_t rel = (int32_t)(to_off - (at_off + 5));

	*p++ = 0xe9;
	memcpy(p, &rel, 4);
	return p + 4;
}

/*
 * At 0x800: dec %ecx; jz out; `change` if %ecx is a multiple of EACH; `carry`; jmp Q. At Q = 4096 -
 * split: `opcode` imm32; adc $0, %edx (or %eax); jmp 0x800. What is in the second page is written
 * there and, with imm2, in the other.
 */
static word loop_make(const char *change, size_t n, uint8_t carry, uint8_t opcode, unsigned split,
		      uint32_t imm, uint32_t imm2, uint8_t carry_to)
{
	uint8_t tail[32], *p = first + 0x800, *t = tail;
	unsigned q = 4096 - split;

	p = put(p, "\xff\xc9\x75\x01\xc3\xf6\xc1", 7); /* …; test $EACH - 1, %cl; jne */
	*p++ = EACH - 1;
	*p++ = 0x75;
	*p++ = (uint8_t)n;
	p = put(p, change, n);
	*p++ = carry;
	put_jump(p, q, p - first);
	*t++ = opcode;
	t = put(t, (const char *)&imm, 4);
	*t++ = 0x83; /* adc $0, %eax or %edx */
	*t++ = 0xd0 | carry_to;
	*t++ = 0;
	t = put_jump(t, 0x800, q + (t - tail));
	memcpy(first + q, tail, split);
	memcpy(second, tail + split, (size_t)(t - tail) - split);
	put(tail + 1, (const char *)&imm2, 4);
	memcpy(other, tail + split, (size_t)(t - tail) - split);
	return MAP_VA + 0x800;
}

static uint64_t *entry64(uint64_t *root, word va, bool copy)
{
	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t *e = &root[va >> shift & 511];

		root = (uint64_t *)(word)(*e & 0xffffffffff000ull);
		if (copy) {
			uint64_t *c = alloc_pages(1, 4096);

			memcpy(c, root, 4096);
			*e = (word)c | (*e & 0xfff);
			root = c;
		}
	}
	return &root[va >> 12 & 511];
}

static uint32_t *entry32(uint32_t *root, word va, bool copy)
{
	uint32_t *e = &root[va >> 22], *table = (uint32_t *)(word)(*e & ~0xfffu);

	if (copy) {
		uint32_t *c = alloc_pages(1, 4096);

		memcpy(c, table, 4096);
		*e = (uint32_t)(word)c | (*e & 0xfff);
		table = c;
	}
	return &table[va >> 12 & 1023];
}

/* The page-table entry of the second page under `root`. */
static word *pte(void *root, bool copy)
{
	if (IS64)
		return (word *)(void *)entry64(root, second_va, copy);
	return (word *)(void *)entry32(root, second_va, copy);
}

static struct trap *run(word entry, word di, word bx, word si)
{
	static struct job j;

	j = (struct job){entry, ROUNDS + 1, di, bx, si};
	return catch_trap(runner, (word)&j, 0);
}

/* What the rounds add up: `a` and, changed by turns, `b`. */
static uint32_t sum(uint32_t a, uint32_t b)
{
	uint32_t total = 0, now = a;

	for (unsigned left = ROUNDS; left; left--) {
		if (left % EACH == 0)
			now ^= a ^ b;
		total += now;
	}
	return total;
}

static void remapped(unsigned split)
{
	uint32_t a = 0x01010101u, b = a ^ 0x44000000u;
	word entry = loop_make(XOR_PTE, sizeof(XOR_PTE) - 1, CLC, 0x05, split, a, b, EDX);
	struct trap *t = run(entry, (word)pte((void *)read_cr3(), false),
			     (word)second ^ (word)other, second_va);

	check(t->vec == NO_TRAP && (uint32_t)t->result == sum(a, b),
	      "INVLPG between rounds, %u bytes in the first page: trap %d, sum %x, want %x", split,
	      t->vec, (unsigned)t->result, sum(a, b));
}

static void rewritten(unsigned split)
{
	uint32_t a = 0x01010101u, b = a ^ 0x44000000u;
	word entry = loop_make(XOR_BYTE, sizeof(XOR_BYTE) - 1, CLC, 0x05, split, a, a, EDX);
	struct trap *t = run(entry, 0, 0x44, second_va + 4 - split);

	check(t->vec == NO_TRAP && (uint32_t)t->result == sum(a, b),
	      "its last byte written between rounds, %u bytes in the first page: sum %x, want %x",
	      split, (unsigned)t->result, sum(a, b));
}

static void other_space(unsigned split)
{
	uint32_t a = 0x01010101u, b = a ^ 0x44000000u;
	word entry = loop_make(SWITCH, sizeof(SWITCH) - 1, CLC, 0x05, split, a, b, EDX),
	     cr3 = read_cr3();
	void *root = alloc_pages(1, 4096);
	struct trap *t;

	memcpy(root, (void *)cr3, 4096);
	*pte(root, true) ^= (word)second ^ (word)other;
	t = run(entry, cr3, cr3 ^ (word)root, 0);
	check(t->vec == NO_TRAP && (uint32_t)t->result == sum(a, b),
	      "two address spaces, %u bytes in the first page: sum %x, want %x", split,
	      (unsigned)t->result, sum(a, b));
	write_cr3(cr3);
}

static volatile unsigned faults, wrong;
static word *fault_pte, fault_ip;

static void map_again(struct frame *f)
{
	faults++;
	if (f->ip != fault_ip || read_cr2() != second_va || (f->flags & FL_CF) == 0)
		wrong++;
	*fault_pte |= 1;
}

static void absent(unsigned split)
{
	uint32_t a = 0x01010101u;
	word entry = loop_make(XOR_PTE, sizeof(XOR_PTE) - 1, STC, 0x15, split, a, a, EDX);
	struct trap *t;

	fault_ip = MAP_VA + 4096 - split;
	fault_pte = pte((void *)read_cr3(), false);
	faults = wrong = 0;
	set_handler(PF, map_again);
	t = run(entry, (word)fault_pte, 1, second_va);
	set_handler(PF, NULL);
	check(t->vec == NO_TRAP && (uint32_t)t->result == ROUNDS * (a + 1) && wrong == 0 &&
		      faults == ROUNDS / EACH,
	      "absent in each round, %u bytes in the first page: sum %x, %u faults, %u wrong",
	      split, (unsigned)t->result, faults, wrong);
}

/* Carry in and carry out: the flags are live on both sides. */
static void with_flags(unsigned split)
{
	word entry = loop_make("", 0, STC, 0x15, split, 0xffffffff, 0, EAX);
	struct trap *t;

	t = run(entry, 0, 0, 0);
	check(t->vec == NO_TRAP && (uint32_t)t->result == ROUNDS,
	      "ADC with carry, %u bytes in the first page: sum %x", split, (unsigned)t->result);
	loop_make("", 0, CLC, 0x15, split, 0xffffffff, 0, EAX);
	t = run(entry, 0, 0, 0);
	check((uint32_t)t->result == 0xffffffff,
	      "ADC without carry, %u bytes in the first page: %x", split, (unsigned)t->result);
}

void guest_test(void)
{
	map_init();
	for (unsigned i = 0; i < 3; i++)
		map_set(i, 3);
	first = map_ram(0);
	second = map_ram(1);
	other = map_ram(2);
	second_va = MAP_VA + 4096;
	for (unsigned split = 1; split < 5; split++) {
		remapped(split);
		rewritten(split);
		other_space(split);
		absent(split);
		with_flags(split);
	}
}
