// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a kernel executes most, often enough to be translated: flags as a whole, interrupt shadows,
 * SYSCALL and SYSRET, SMAP's window, short strings. Source: Intel SDM vol. 2, 3A §4.6, §6.8.
 * The cases that are not the usual one are in interrupts.c, syscall.c and strings.c, cold.
 * QEMU 7.2 (TCG) does not honour some shadows.
 */
#include "guest.h"

#define ROUNDS 60
#define VECTOR 0x50
#define SELF_IPI (0x40000 | 0x4000 | VECTOR)
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define MSR_GS_BASE 0xc0000101
#define MSR_KGS_BASE 0xc0000102
#define CR4_SMAP (1ul << 21)

/* ---- Interrupts ----------------------------------------------------------------------------- */

static volatile unsigned came;
static volatile word last_ip;

static void note(struct frame *f)
{
	came++;
	last_ip = f->ip;
	apic_eoi();
}

#define L(n) extern uint8_t n[]
L(hot_sti);
L(hot_popf);
L(hot_hlt);
/* RDI = ICR value, or 0 for none; RSI = APIC base + 0x300. */
#define ASK "test %edi, %edi\n je 1f\n mov %edi, (%rsi)\n mov (%rsi), %eax\n 1:"
SNIPPET(sti_then, ASK "sti\n nop\n hot_sti: nop\n nop\n cli");
SNIPPET(sti_cli, ASK "sti\n cli\n nop");
SNIPPET(sti_hlt, ASK "sti\n hlt\n hot_hlt: cli");
SNIPPET(popf_then, ASK "pushf\n orl $0x200, (%rsp)\n popf\n hot_popf: nop\n cli");

/* `where`: the interrupt comes there; NULL: not at all. */
static void interrupts(void *code, const void *where, bool idle, const char *name)
{
	word icr = APIC_BASE + 0x300;

	group_begin(name);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* Without a request, often enough to be hot; then with one. */
		bool ask = idle || i % 4 == 3;

		came = 0;
		last_ip = 0;
		catch_trap(code, ask ? SELF_IPI : 0, icr);
		group_case(came == (ask && where), "round %u: %u interrupts", i, came);
		group_case(!ask || last_ip == (word)where, "round %u: at %w", i, last_ip);
		if (ask && !where) {
			sti();
			asm volatile("nop\n nop");
			cli();
			group_case(came == 1, "round %u: it was lost", i);
		}
	}
	group_end();
}

/* ---- Flags ---------------------------------------------------------------------------------- */

#define ARITH 0x8d5ul

static void flags(void)
{
	group_begin("POPF and PUSHF of every kind of flags");
	for (unsigned i = 0; i < 4096; i++) {
		/* IF stays clear, TF too; bit 1 is always set. */
		word v = (i & 0xff) | (i & 0x100 ? 0x400 : 0) | (i & 0x200 ? 0x800 : 0) |
			 (i & 0x400 ? FL_ID : 0) | (i & 0x800 ? 0x3000 : 0);
		word want = (v & (ARITH | 0x400 | FL_ID | 0x3000)) | 2, got, carry;

		asm volatile("push %2\n popf\n setc %b1\n pushf\n pop %0\n cld"
			     : "=&r"(got), "=&q"(carry)
			     : "r"(v)
			     : "cc", "memory");
		group_case(got == want, "%w: got %w", v, got);
		group_case((carry & 1) == (v & 1), "%w: CF", v);
	}
	group_end();
	asm volatile("push $2\n popf" ::: "cc", "memory");
	group_begin("CLD, STD, CLI between an operation and its flags");
	for (unsigned i = 0; i < ROUNDS; i++) {
		word got, same;

		asm volatile("cmp %2, %2\n cli\n std\n pushf\n pop %0\n cld\n sete %b1"
			     : "=&r"(got), "=&q"(same)
			     : "r"((word)i)
			     : "cc", "memory");
		group_case((got & 0xfd5) == 0x444, "round %u: %w", i, got);
		group_case((uint8_t)same == 1, "round %u: ZF is lost", i);
	}
	group_end();
}

/* ---- System calls --------------------------------------------------------------------------- */

/* The kernel's side adds up what it is given, and leaves RBP and RDX as it saw RCX and R11. */
asm(".globl hot_entry\nhot_entry:\n"
    "pushf\n pop %rbx\n add %rdi, hot_sum\n mov %rcx, %rbp\n mov %r11, %rdx\n"
    "mov %cs, %r8d\n mov %ss, %r9d\n or $0x8d5, %r11\n sysretq\n");
extern uint8_t hot_entry[];
static volatile word hot_sum __asm__("hot_sum") __attribute__((used));
/* RDI calls; RAX = bits that were wrong in any. */
SNIPPET(u_calls, "push %rbx\n push %rbp\n xor %r10d, %r10d\n"
		 "1: cmp %eax, %eax\n stc\n syscall\n.globl hot_back\nhot_back:\n"
		 "setnc %al\n setno %ah\n movzwl %ax, %eax\n or %rax, %r10\n" /* R11 sets all */
		 "lea hot_back(%rip), %rax\n xor %rbp, %rax\n or %rax, %r10\n"
		 "and $0x8d5, %edx\n xor $0x45, %edx\n or %rdx, %r10\n" /* ZF, PF, CF of the user */
		 "and $0x8d5, %ebx\n or %rbx, %r10\n"			/* masked in the kernel */
		 "xor $0x08, %r8d\n or %r8, %r10\n xor $0x10, %r9d\n or %r9, %r10\n"
		 "mov %cs, %eax\n xor $0x2b, %eax\n or %rax, %r10\n"
		 "mov %ss, %eax\n xor $0x23, %eax\n or %rax, %r10\n"
		 "dec %rdi\n jnz 1b\n mov %r10, %rax\n pop %rbp\n pop %rbx");
SNIPPET(u_privileged, "cli");

static void system_calls(void)
{
	struct trap *t;

	wrmsr(MSR_STAR, (uint64_t)0x1b << 48 | (uint64_t)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)hot_entry);
	wrmsr(MSR_SFMASK, FL_IF | FL_DF | ARITH);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	for (unsigned i = 0; i < 3; i++) {
		hot_sum = 0;
		t = catch_user(u_calls, 200, 0);
		check_trap(t, NO_TRAP, 0, "200 system calls");
		check_eq(t->result, 0, "RCX, R11, flags, CS and SS of each");
		check_eq(hot_sum, 200 * 201 / 2, "each has come");
		check_trap(catch_user(u_privileged, 0, 0), GP, 0, "user mode is user mode");
	}
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(uint64_t)EFER_SCE);
	check_trap(catch_user(u_calls, 1, 0), UD, 0, "SYSCALL with EFER.SCE clear, translated");
}

static void swap_bases(void)
{
	group_begin("SWAPGS");
	for (unsigned i = 0; i < ROUNDS; i++) {
		static word a[2] = {111, 0}, b[2] = {222, 0};
		word first, second;

		wrmsr(MSR_GS_BASE, (word)a);
		wrmsr(MSR_KGS_BASE, (word)b);
		asm volatile("swapgs\n mov %%gs:0, %0\n swapgs\n mov %%gs:0, %1"
			     : "=&r"(first), "=&r"(second)::"memory");
		group_case(first == 222 && second == 111, "round %u: %w, %w", i, first, second);
		group_case(rdmsr(MSR_KGS_BASE) == (word)b, "round %u: the MSR", i);
	}
	group_end();
}

/* ---- SMAP ----------------------------------------------------------------------------------- */

/* RDI = an address in a user page, RSI = what to store. */
SNIPPET(inside, "stac\n mov (%rdi), %rax\n mov %rsi, (%rdi)\n clac");
SNIPPET(after, "stac\n mov (%rdi), %rax\n clac\n mov (%rdi), %rax");
SNIPPET(twice,
	"stac\n stac\n mov (%rdi), %rax\n clac\n clac\n pushf\n pop %rax\n and $0x40000, %eax");

static void smap(void)
{
	static word cell;
	word at = USER(&cell);

	if (!has_leaf7_b(20)) {
		check_skip("SMAP", "the processor has none");
		return;
	}
	write_cr4(read_cr4() | CR4_SMAP);
	group_begin("STAC and CLAC");
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct trap *t = catch_trap(inside, at, i);

		group_case(trap_is(t, NO_TRAP, 0), "round %u: a fault inside", i);
		group_case(cell == i, "round %u: nothing stored", i);
		group_case(trap_is(catch_trap(after, at, 0), PF, 1), "round %u: none behind", i);
		t = catch_trap(twice, at, 0);
		group_case(trap_is(t, NO_TRAP, 0) && !t->result, "round %u: twice", i);
	}
	group_end();
	write_cr4(read_cr4() & ~CR4_SMAP);
	check_trap(catch_trap(after, at, 0), NO_TRAP, 0, "without SMAP, translated");
}

/* ---- Strings -------------------------------------------------------------------------------- */

static uint8_t *area;
static uint8_t want[8192];

static void fill(void)
{
	for (unsigned i = 0; i < 8192; i++)
		area[i] = want[i] = (uint8_t)(i * 7 + (i >> 5));
}

static bool same(void)
{
	return !memcmp(area, want, sizeof(want));
}

static void stores(void)
{
	static const unsigned count[] = {0, 1, 2, 7, 64, 300, 4095, 4096};

	group_begin("REP STOSB");
	for (unsigned i = 0; i < 8 * 40; i++) {
		unsigned n = count[i % 8], from = i * 97 % 4096;
		uint8_t *p = area + from;
		word left = n;

		fill();
		for (unsigned k = 0; k < n; k++)
			want[from + k] = (uint8_t)i;
		asm volatile("rep stosb" : "+D"(p), "+c"(left) : "a"(i) : "memory");
		group_case(!left && p == area + from + n && same(), "%u bytes at %x", n, from);
	}
	group_end();
	group_begin("REP STOSQ of a page, and beyond");
	for (unsigned i = 0; i < 40; i++) {
		word *p = (word *)(area + i % 4 * 8), left = 512;

		fill();
		for (unsigned k = 0; k < 512; k++)
			memcpy(want + i % 4 * 8 + 8 * k, &(word){i * 0x10203ull}, 8);
		asm volatile("rep stosq" : "+D"(p), "+c"(left) : "a"(i * 0x10203ull) : "memory");
		group_case(!left && (uint8_t *)p == area + i % 4 * 8 + 4096 && same(), "%u", i);
	}
	group_end();
}

static void moves(void)
{
	group_begin("REP MOVSB, MOVSL and MOVSQ");
	for (unsigned i = 0; i < 600; i++) {
		unsigned shift = i % 3 == 2 ? 3 : i % 3 * 2, n = (i * 31 % 900) >> shift;
		unsigned from = i * 131 % 7000, to = i % 5 ? i * 57 % 7000 : from + 1 + i % 16;
		uint8_t *s = area + from, *d = area + to;
		word left = n;

		fill();
		for (unsigned k = 0; k < n; k++) /* one element after the other, each whole */
			memcpy(want + to + (k << shift),
			       memcpy(&(word){0}, want + from + (k << shift), 1u << shift),
			       1u << shift);
		if (shift == 0)
			asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(left)::"memory");
		else if (shift == 2)
			asm volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(left)::"memory");
		else
			asm volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(left)::"memory");
		group_case(!left && s == area + from + (n << shift) &&
				   d == area + to + (n << shift) && same(),
			   "%u elements of %u bytes from %x to %x", n, 1u << shift, from, to);
	}
	group_end();
}

SNIPPET(stos_at, "mov $8, %ecx\n mov $0x55, %eax\n rep stosb");
SNIPPET(movs_at, "mov $8, %ecx\n rep movsb");

static void string_faults(void)
{
	const word bad = 0x800000000010ull; /* not canonical, and in no window's page */
	const word empty = 1ul << 63;	    /* what an empty window holds */

	group_begin("REP STOSB and MOVSB that fault");
	for (unsigned i = 0; i < ROUNDS; i++) {
		word at = i % 3 == 0 ? bad : i % 3 == 1 ? empty : (word)area;
		struct trap *t = catch_trap(stos_at, at, 0);

		group_case(trap_is(t, at == (word)area ? NO_TRAP : GP, 0), "stos %w", at);
		group_case(at == (word)area || (t->f.di == at && t->f.cx == 8), "rdi %w", t->f.di);
		t = catch_trap(movs_at, (word)area, at);
		group_case(trap_is(t, at == (word)area ? NO_TRAP : GP, 0), "movs %w", at);
		group_case(at == (word)area || (t->f.si == at && t->f.di == (word)area),
			   "rsi %w rdi %w", t->f.si, t->f.di);
	}
	group_end();
}

void guest_test(void)
{
	area = alloc_pages(2, 4096);
	apic_write(0xf0, 0x1ff);
	set_handler(VECTOR, note);
	interrupts(sti_then, hot_sti, false, "STI: one instruction later");
	interrupts(sti_cli, NULL, false, "STI; CLI: no window");
	interrupts(sti_hlt, hot_hlt, true, "STI; HLT: behind HLT");
	interrupts(popf_then, hot_popf, false, "POPF: at once");
	flags();
	system_calls();
	swap_bases();
	smap();
	stores();
	moves();
	string_faults();
}
