// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hot loops of segmented and 16-bit code: limits, bases and types that change under code already
 * translated, FS and GS, small stacks, real and virtual-8086 mode, many code segments.
 * Source: Intel SDM 3A ch. 3, 5; 3B ch. 21. QEMU 7.2 (TCG) checks no limits on data accesses.
 */
#include "v86.h"

#define SEL_A SEL_SPARE
#define SEL_B (SEL_SPARE + 8)
#define SEL_MANY (SEL_SPARE + 16)

static uint8_t *mem;

/* ---- Limits inside a loop ------------------------------------------------------------------- */

/* a = first offset in selector b, by ES or FS: go on until something happens. */
#define WALK(name, seg, insn, step)                                           \
	SNIPPET(name, "push %" seg "\n mov %edx, %" seg "\n xor %ecx, %ecx\n" \
		      "1: " insn "\n add $" step ", %eax\n inc %ecx\n jmp 1b\n")
WALK(es_load1, "es", "mov %es:(%eax), %dl", "1");
WALK(es_load4, "es", "mov %es:(%eax), %edx", "4");
WALK(es_store2, "es", "mov %dx, %es:(%eax)", "2");
WALK(fs_add4, "fs", "addl %ecx, %fs:(%eax)", "4");
WALK(fs_push4, "fs", "pushl %fs:(%eax)\n lea 4(%esp), %esp", "4");
WALK(fs_bts, "fs", "btsl %eax, %fs:4", "1");
WALK(gs_down4, "gs", "mov %gs:(%eax), %edx", "-4");

static void walk(void *code, unsigned attr, uint32_t raw_limit, uint32_t from, uint32_t stop,
		 const char *what)
{
	struct trap *t;

	gdt_set(SEL_A, (uint32_t)mem, raw_limit, attr);
	t = catch_trap(code, from, SEL_A);
	check(trap_is(t, GP, 0) && t->f.ax == stop, "%s: vec %d err %w at %x, want %x", what,
	      t->vec, t->err, t->f.ax, stop);
}

static void limits(void)
{
	if (qemu_lacks("limits inside a loop"))
		return;
	for (unsigned round = 0; round < 2; round++) {
		walk(es_load1, D_DATA | D_32, 0x17ff, 0, 0x1800, "bytes up to the limit");
		walk(es_load1, D_DATA | D_32, 0x03ff, 0, 0x400, "then up to a lower one");
		walk(es_load1, 0x9b | D_32, 0x0fff, 0, 0x1000, "readable code");
		walk(es_load1, D_DATA | D_32 | D_G, 1, 0, 0x2000, "in pages");
		walk(es_load4, D_DATA | D_32, 0x17fd, 0, 0x17fc, "a doubleword half beyond");
		walk(es_store2, D_DATA | D_32, 0x1000, 1, 0x1001, "a word half beyond");
		walk(es_store2, 0x91 | D_32, 0x1000, 0, 0, "a segment not writable");
		walk(es_store2, 0x9b | D_32, 0x1000, 0, 0, "a code segment");
		walk(fs_add4, D_DATA | D_32, 0xfff, 0, 0x1000, "read and write by FS");
		walk(fs_push4, D_DATA | D_32, 0xfff, 0, 0x1000, "PUSH by FS");
		walk(fs_bts, D_DATA | D_32, 0xff, 0, 0xfc * 8, "a bit string by FS");
		walk(gs_down4, 0x97 | D_32, 0x7ff, 0x1ffc, 0x7fc, "expand-down");
	}
}

/* ---- Bases ---------------------------------------------------------------------------------- */

/* 1000 rounds at %gs:0 and %cs:, as thread-local data are used. */
SNIPPET(tls, "push %gs\n mov %edx, %gs\n mov $1000, %ecx\n"
	     "1: mov %gs:0, %edx\n add %edx, %gs:4\n incl %gs:8(,%edx,4)\n dec %ecx\n jnz 1b\n"
	     "mov %gs:4, %eax\n pop %gs");
SNIPPET(cs_const, "mov $1000, %ecx\n xor %eax, %eax\n 1: addl %cs:2f, %eax\n dec %ecx\n jnz 1b\n"
		  "jmp 3f\n 2: .long 7\n 3:");

static void bases(void)
{
	uint32_t *a = (uint32_t *)mem, *b = (uint32_t *)(mem + 4096 - 4);

	memset(mem, 0, 8192);
	a[0] = 3;
	b[0] = 5;
	for (unsigned i = 1; i <= 3; i++) {
		gdt_set(SEL_A, (uint32_t)a, 0xfffff, D_DATA | D_32 | D_G);
		check_eq(catch_trap(tls, 0, SEL_A)->result, 3000 * i, "GS at one base");
		gdt_set(SEL_B, (uint32_t)b, 0xff, D_DATA | D_32);
		check_eq(catch_trap(tls, 0, SEL_B)->result, 5000 * i, "GS at another, over a page");
		check(a[2 + 3] == 1000 * i && b[2 + 5] == 1000 * i, "each counted its own");
	}
	/* The linear address wraps at 4 GiB. */
	gdt_set(SEL_A, 0xfffff000, 0xfffff, D_DATA | D_32 | D_G);
	gdt_set(SEL_B, (uint32_t)a + 0x1000, 0xfffff, D_DATA | D_32 | D_G);
	check_eq(catch_trap(cs_const, 0, 0)->result, 7000, "data by CS");
}

/* ---- A 16-bit stack under 32-bit code ------------------------------------------------------- */

/* Pushes and pops over SP = 0, with a high half of ESP that must stay. Returns what was seen. */
SNIPPET(small_stack,
	"push %ebx\n push %esi\n mov %esp, %esi\n mov %ss, %ecx\n mov %eax, %ebx\n"
	"mov %edx, %ss\n mov $0x12340004, %esp\n mov $500, %edx\n xor %eax, %eax\n"
	"1: push %edx\n pushw %dx\n push $-1\n add $4, %esp\n popw %ax\n pop %eax\n"
	"cmp %edx, %eax\n jne 2f\n cmp $0x12340004, %esp\n jne 2f\n"
	"push %ebx\n call 3f\n pop %eax\n cmp %ebx, %eax\n jne 2f\n"
	"dec %edx\n jnz 1b\n"
	"2: mov %ecx, %ss\n mov %esi, %esp\n mov %edx, %eax\n pop %esi\n pop %ebx\n ret\n"
	"3: push %ebp\n mov %esp, %ebp\n push $1\n push $2\n leave\n ret");

static void small_stacks(void)
{
	uint8_t *stack = alloc_pages(16, 4096);

	gdt_set(SEL_A, (uint32_t)stack, 0xffff, D_DATA);
	/* LEAVE and ENTER of such a stack use BP: EBP's high half is not looked at. */
	check_eq(catch_trap(small_stack, 0x55aa, SEL_A)->result, 0,
		 "a 16-bit stack wraps at 64 KiB");
	check(*(uint32_t *)(stack + 0xfffc) && *(uint32_t *)stack == 0x55aa, "on both ends");
}

/* ---- Real mode ------------------------------------------------------------------------------ */

/* Reads es:0 with ES = 0x4000 + 16 i, by each way to load it, and sums it up in DX. */
SNIPPET16(r_segs,
	  "mov $0x4000, %si\n xor %dx, %dx\n mov $300, %cx\n"
	  "1: mov %si, %es\n add %es:0, %dx\n mov %es, %ax\n cmp %ax, %si\n jne 2f\n"
	  "push %si\n pop %fs\n add %fs:2, %dx\n push %fs\n pop %ax\n cmp %ax, %si\n jne 2f\n"
	  "mov %si, 0x4002\n movw $4, 0x4000\n lgs 0x4000, %bx\n add %gs:(%bx), %dx\n"
	  "mov %gs, 0x4004\n cmp %si, 0x4004\n jne 2f\n"
	  "les 0x4000, %bx\n add %es:(%bx), %dx\n"
	  "inc %si\n loop 1b\n 2: mov %cx, %di\n mov %si, %ax\n");
/* LOOP, LOOPE, LOOPNE, JCXZ and their 32-bit forms keep the rest of ECX and the flags. */
SNIPPET16(r_loops, "mov $0xabcd0040, %ecx\n xor %eax, %eax\n stc\n"
		   "1: adc $1, %ax\n stc\n loop 1b\n" /* 64 * 2 */
		   "jcxz 2f\n mov $0xdead, %ax\n 2: mov %ecx, %edx\n"
		   "mov $10, %cx\n 3: inc %ax\n cmp $5, %cx\n loopne 3b\n mov %cx, %bx\n"
		   "mov $10, %cx\n 4: inc %ax\n cmp %cx, %cx\n loope 4b\n"
		   "mov $0x10005, %ecx\n 5: inc %eax\n addr32 loop 5b\n"
		   "addr32 jcxz 6f\n mov $0, %bx\n 6:\n"
		   "mov $0, %cx\n 7: inc %eax\n loop 7b\n");
SNIPPET16(r_stack,
	  "mov %sp, %bp\n mov $0x7000, %ax\n mov %ax, %ss\n mov $8, %sp\n mov $2000, %cx\n"
	  "1: pushl %ecx\n push %cx\n push %sp\n pop %ax\n cmp %sp, %ax\n jne 2f\n"
	  "pop %ax\n popl %edx\n cmp %ax, %cx\n jne 2f\n cmp %edx, %ecx\n jne 2f\n"
	  "sub $4, %sp\n loop 1b\n 2: mov %sp, %dx\n mov %cs, %ax\n mov %ax, %ss\n mov %bp, %sp\n");
SNIPPET16(r_limit, "mov $0xf000, %bx\n 1: mov (%bx), %ax\n inc %cx\n add $3, %bx\n jmp 1b\n");
SNIPPET16(r_pops,
	  "mov %sp, %bp\n mov $0xe001, %sp\n xor %cx, %cx\n 1: pop %ax\n inc %cx\n jmp 1b\n");

static void real_segments(void)
{
	uint16_t *at = (uint16_t *)0x40000;
	uint16_t sum = 0;
	struct real_regs *r;

	for (unsigned i = 0; i < 8 * 301; i++)
		at[i] = (uint16_t)(i * 2654435761u >> 7);
	for (unsigned i = 0; i < 300; i++)
		sum = (uint16_t)(sum + at[8 * i] + at[8 * i + 1] + 2 * at[8 * i + 2]);
	r = REAL(r_segs);
	check(r->vec == REAL_NONE && r->di == 0 && (uint16_t)r->dx == sum &&
		      (uint16_t)r->ax == 0x412c,
	      "segment registers loaded in a loop: vec %x left %u sum %x want %x", r->vec, r->di,
	      (uint16_t)r->dx, sum);
}

static void real_loops(void)
{
	struct real_regs *r = REAL(r_loops);

	check_eq(r->dx, 0xabcd0000, "LOOP leaves the high half of ECX");
	check_eq(r->bx & 0xffff, 4, "LOOPNE stops at a match, JECXZ jumps at 0");
	check_eq(r->ax, 128 + 6 + 10 + 0x10005 + 0x10000,
		 "rounds of LOOP, LOOPNE, LOOPE, 32-bit LOOP");
	r = REAL(r_stack);
	check(r->vec == REAL_NONE && (r->cx & 0xffff) == 0, "pushes and pops over SP = 0: %x left",
	      r->cx & 0xffff);
	check_eq(r->dx & 0xffff, (uint16_t)(8 - 8000), "SP wrapped");
	if (qemu_lacks("limits inside a loop of real mode"))
		return;
	r = REAL(r_limit);
	check(r->vec == GP && (r->bx & 0xffff) == 0xffff,
	      "a word at FFFF ends a loop: vec %x at %x", r->vec, r->bx & 0xffff);
	r = REAL(r_pops);
	check(r->vec == SS && (r->cx & 0xffff) == 0xfff, "POP at FFFF ends a loop: vec %x after %x",
	      r->vec, r->cx & 0xffff);
}

/* Code at the end of a segment: a jump forward wraps IP, one back wraps again. */
SNIPPET16(r_wrap, "mov $3000, %cx\n xor %ax, %ax\n lcall $0x5000, $0xfff0");

static void real_ip(void)
{
	static const uint8_t high[] = {0x40, 0xe9, 0x0c, 0x00}; /* fff0: inc ax; jmp 0 */
	static const uint8_t low[] = {0x49, 0x74, 0x03,		/* 0: dec cx; jz 6 */
				      0xe9, 0xea, 0xff, 0xcb};	/* jmp fff0; 6: retf */
	struct real_regs *r;

	memcpy((void *)0x5fff0, high, sizeof(high));
	memcpy((void *)0x50000, low, sizeof(low));
	r = REAL(r_wrap);
	check(r->vec == REAL_NONE && (r->ax & 0xffff) == 3000,
	      "IP wraps in a loop: vec %x, %u rounds", r->vec, r->ax & 0xffff);
}

/* Many segments with other code at the same offset: far calls to each, 40 rounds. */
SNIPPET16(r_many, "xor %dx, %dx\n mov $40, %cx\n"
		  "1: mov $0x6000, %bx\n mov $48, %si\n"
		  "2: push %cs\n push $3f-r_many+0x1000\n push %bx\n push $0\n lret\n"
		  "3: inc %bx\n dec %si\n jnz 2b\n loop 1b\n");

static void many_segments(void)
{
	uint32_t sum = 0;
	struct real_regs *r;

	for (unsigned i = 0; i < 48; i++) {
		uint8_t *p = (uint8_t *)0x60000 + 16 * i;
		const uint8_t code[] = {0x81, 0xc2, (uint8_t)(i * 5), (uint8_t)i, 0xcb};

		memcpy(p, code, sizeof(code)); /* add $…, %dx; retf */
		sum += 40 * (i * 5 + (i << 8));
	}
	r = REAL(r_many);
	check(r->vec == REAL_NONE && (r->dx & 0xffff) == (sum & 0xffff),
	      "48 code segments in turn: vec %x sum %x want %x", r->vec, r->dx & 0xffff,
	      sum & 0xffff);
}

/* ---- Virtual-8086 mode ---------------------------------------------------------------------- */

SNIPPET16(v_loop,
	  "mov $0x3200, %si\n mov $500, %cx\n xor %dx, %dx\n"
	  "1: mov %si, %es\n mov %cx, %es:8\n push %es\n pop %ds\n add 8, %dx\n"
	  "mov %cs, %ax\n mov %ax, %fs\n add %fs:2f-v_loop+0x1000, %dx\n inc %si\n loop 1b\n"
	  "int $0x82\n 2: .word 3\n");
SNIPPET16(v_limit, "xor %bx, %bx\n mov $0xffff, %ecx\n 1: mov (%bx), %ax\n add $5, %bx\n"
		   "loop 1b\n int $0x82\n");

static void vm86(void)
{
	struct trap *t = V86(v_loop, 0x3002);

	check(t->vec == 0x82 && (t->f.dx & 0xffff) == ((500 * 501 / 2 + 1500) & 0xffff),
	      "virtual-8086: segments loaded in a loop: vec %d sum %x", t->vec,
	      (unsigned)t->f.dx & 0xffff);
	if (qemu_lacks("limits inside a loop of virtual-8086 mode"))
		return;
	t = V86(v_limit, 0x3002);
	check(t->vec == GP && (t->f.bx & 0xffff) == 0xffff,
	      "virtual-8086: a word at FFFF ends a loop: vec %d at %x", t->vec,
	      (unsigned)t->f.bx & 0xffff);
}

void guest_test(void)
{
	mem = alloc_pages(4, 4096);
	limits();
	bases();
	small_stacks();
	real_init();
	idt_set(0x82, SEL_KCODE, trap_stubs[0x82], D_INTGATE | D_DPL(3));
	for (unsigned i = 0; i < 2; i++) {
		real_segments();
		real_loops();
		real_ip();
		many_segments();
		vm86();
	}
}
