// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87: unmasked exceptions by #MF and by IRQ 13, CR0.TS/EM/MP, control and status words, FXSAVE.
 * QEMU 7.2 (TCG) looks for pending exceptions only in WAIT, and has no stack faults.
 * Source: Intel SDM 1 ch. 8, 3A §2.5, §13.2; CR0.NE = 0: 3A §13.2.1 and the PC's IRQ 13.
 */
#include "guest.h"

static struct {
	uint32_t cw, sw, tw, ip, cs, dp, ds;
} env;
static uint8_t area[1024] __attribute__((aligned(64)));

SNIPPET(x_init, "fninit");
SNIPPET(x_wait, "fwait");
SNIPPET(x_fnop, "fnop");
SNIPPET(x_fld, "fld1\n fstp %st(0)");
SNIPPET(x_mmx, "pxor %mm0, %mm0\n emms");
SNIPPET(x_fnstsw, "xor %eax, %eax\n fnstsw %ax");
SNIPPET(x_fxsave, "fxsave (" A0 ")");
SNIPPET(x_fxrstor, "fxrstor (" A0 ")");

static word cr0_bits(word bits)
{
	return (read_cr0() & ~(word)(C0_TS | C0_EM | C0_MP)) | bits;
}

/* Intel SDM 3A table 2-2. */
static void availability(void)
{
	static const struct {
		word bits;
		int fpu, wait, mmx, fxsave;
	} rows[] = {
		{0, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
		{C0_MP, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
		{C0_TS, NM, NO_TRAP, NM, NM},
		{C0_TS | C0_MP, NM, NM, NM, NM},
		{C0_EM, NM, NO_TRAP, UD, NM},
		{C0_EM | C0_MP, NM, NO_TRAP, UD, NM},
		{C0_EM | C0_TS, NM, NO_TRAP, UD, NM},
		{C0_EM | C0_MP | C0_TS, NM, NM, UD, NM},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned b = (unsigned)rows[i].bits;

		write_cr0(cr0_bits(rows[i].bits));
		check_trap(catch_trap(x_fnop, 0, 0), rows[i].fpu, 0, "FNOP with CR0 %x", b);
		write_cr0(cr0_bits(rows[i].bits));
		check_trap(catch_trap(x_init, 0, 0), rows[i].fpu, 0, "FNINIT with CR0 %x", b);
		check_trap(catch_trap(x_wait, 0, 0), rows[i].wait, 0, "WAIT with CR0 %x", b);
		check_trap(catch_trap(x_mmx, 0, 0), rows[i].mmx, 0, "MMX with CR0 %x", b);
		check_trap(catch_trap(x_fxsave, (word)area, 0), rows[i].fxsave, 0,
			   "FXSAVE with CR0 %x", b);
	}
	write_cr0(cr0_bits(C0_MP));
}

#define L(n) extern uint8_t n[]
L(m_div); L(m_next);
/* Divide by zero with the exception unmasked; the next waiting instruction reports it. */
SNIPPET(m_zero, "fninit\n movw $0x37b, (" A0 ")\n fldcw (" A0 ")\n fldz\n fld1\n"
		"m_div: fdivp\n fnstsw %ax\n mov $0x5a5a, %ecx\n m_next: fld1\n mov $0, %ecx");
SNIPPET(m_fwait, "fninit\n movw $0x37b, (" A0 ")\n fldcw (" A0 ")\n fld1\n fldz\n fdivrp\n 1: fwait");
SNIPPET(m_clex, "fninit\n movw $0x37b, (" A0 ")\n fldcw (" A0 ")\n fld1\n fldz\n fdivrp\n fnclex\n fwait\n fnstsw %ax\n movzwl %ax, %eax");
SNIPPET(m_masked, "fninit\n fld1\n fldz\n fdivrp\n fwait\n fnstsw %ax\n movzwl %ax, %eax\n fstp %st(0)");
SNIPPET(m_underflow, "fninit\n fstp %st(0)\n fnstsw %ax\n movzwl %ax, %eax");
SNIPPET(m_overflow, "fninit\n fld1\n fld1\n fld1\n fld1\n fld1\n fld1\n fld1\n fld1\n fld1\n fnstsw %ax\n movzwl %ax, %eax\n fninit");
SNIPPET(m_unmask, "fninit\n fld1\n fldz\n fdivrp\n movw $0x37b, (" A0 ")\n fldcw (" A0 ")\n 1: fwait");
SNIPPET(m_fnstenv, "fnstenv (" A0 ")");
SNIPPET(m_init_sw, "fninit\n fnstsw %ax\n movzwl %ax, %eax");
SNIPPET(m_fcmov, "fninit\n fldz\n fld1\n cmpl $1, (" A0 ")\n fcmove %st(1), %st\n fistpl (" A0 ")\n fninit");
SNIPPET(m_fcomi, "fninit\n fld1\n fldz\n fcomi %st(1)\n pushf\n pop %" AX "\n fninit");

static void exceptions(void)
{
	uint32_t mem[8] = {0};
	struct trap *t;

	write_cr0(read_cr0() | C0_NE);
	t = catch_trap(m_zero, (word)mem, 0);
	check_trap(t, MF, 0, "unmasked division by zero");
	check_eq(t->ip, (word)m_next, "reported by the next waiting instruction");
	check_eq(t->f.cx, 0x5a5a, "what does not wait ran before");
	check_eq(t->f.ax & 0x80ff, 0x8084, "status word: ZE, ES, B");
	check_trap(catch_trap(x_fnstsw, 0, 0), NO_TRAP, 0, "FNSTSW does not wait");
	check_trap(catch_trap(m_fnstenv, (word)&env, 0), NO_TRAP, 0, "FNSTENV does not wait");
	check_eq(env.sw & 0x80ff, 0x8084, "FNSTENV: status word");
	check_trap(catch_trap(m_fwait, (word)mem, 0), MF, 0, "WAIT reports it");
	check_eq(catch_trap(m_clex, (word)mem, 0)->result & 0x80ff, 0, "FNCLEX clears it");
	check_eq(catch_trap(m_masked, (word)mem, 0)->result & 0x80ff, 4, "masked: only ZE");
	check_trap(catch_trap(m_unmask, (word)mem, 0), MF, 0, "unmasking what is already there");
	check_eq(catch_trap(m_underflow, 0, 0)->result & 0x2ff, 0x41, "stack underflow: IE, SF, C1 = 0");
	check_eq(catch_trap(m_overflow, 0, 0)->result & 0x2ff, 0x241, "stack overflow: IE, SF, C1 = 1");
	check_eq(catch_trap(m_init_sw, 0, 0)->result, 0, "FNINIT: status word 0");
	catch_trap(m_fcomi, 0, 0);
	check_eq(catch_trap(m_fcomi, 0, 0)->result & 0x45, 1, "FCOMI: below");
	catch_trap(m_fcmov, (word)mem, 0);
	check_eq(mem[0], 1, "FCMOVE not taken");
	t = catch_trap(m_init_sw, 0, 0);
	catch_trap(m_fnstenv, (word)&env, 0);
	check_eq(env.cw & 0xffff, 0x37f, "FNINIT: control word");
	check_eq(env.tw & 0xffff, 0xffff, "FNINIT: tag word");
}

/* CR0.NE = 0: FERR# becomes IRQ 13; port 0xF0 lets the processor go on. */
static volatile unsigned irq13;
static void on_irq13(struct frame *f)
{
	(void)f;
	irq13++;
	outb(0xf0, 0);
	asm volatile("fnclex");
	pic_eoi(13);
}
SNIPPET(n_irq, "fninit\n movw $0x37b, (" A0 ")\n fldcw (" A0 ")\n fld1\n fldz\n fdivrp\n sti\n fwait\n nop\n fwait\n cli\n mov $0x1234, %eax");

static void irq_13(void)
{
	uint32_t mem[8] = {0};
	struct trap *t;

	if (qemu_lacks("IRQ 13")) /* 7.2 stops by an assertion */
		return;
	write_cr0(read_cr0() & ~(word)C0_NE);
	set_handler(0x2d, on_irq13);
	pic_init(1 << 13 | 1 << 2);
	t = catch_trap(n_irq, (word)mem, 0);
	check_trap(t, NO_TRAP, 0, "CR0.NE = 0: no #MF");
	check_eq(irq13, 1, "IRQ 13 instead");
	check_eq(t->result, 0x1234, "and the program goes on");
	pic_init(0);
	set_handler(0x2d, NULL);
	write_cr0(read_cr0() | C0_NE);
}

SNIPPET(s_fill, "fninit\n fld1\n fldpi\n fldz");
static void fxsave(void)
{
	uint32_t mask;

	write_cr4(read_cr4() | C4_OSFXSR);
	catch_trap(s_fill, 0, 0);
	memset(area, 0xff, sizeof(area));
	check_trap(catch_trap(x_fxsave, (word)area, 0), NO_TRAP, 0, "FXSAVE");
	check_eq(area[0] | area[1] << 8, 0x37f, "FCW");
	check_eq((area[2] | area[3] << 8) >> 11 & 7, 5, "TOP");
	check_eq(area[4], 0xe0, "the abridged tag word");
	check_eq(*(uint32_t *)(area + 24), 0x1f80, "MXCSR");
	check_eq(area[32 + 9], 0, "ST0 is zero");
	check_eq(*(uint16_t *)(area + 32 + 16 + 8), 0x4000, "ST1 is pi");
	mask = *(uint32_t *)(area + 28);
	check(mask == 0xffff || mask == 0x2ffff || mask == 0xffbf, "MXCSR mask");
	check_eq(area[511], 0xff, "the last bytes are not written");
	check_trap(catch_trap(x_fxsave, (word)area + 8, 0), GP, 0, "FXSAVE, misaligned");
	check_trap(catch_trap(x_fxrstor, (word)area + 8, 0), GP, 0, "FXRSTOR, misaligned");
	*(uint32_t *)(area + 24) = 0x10000;
	check_trap(catch_trap(x_fxrstor, (word)area, 0), GP, 0, "FXRSTOR, reserved bit in MXCSR");
	*(uint32_t *)(area + 24) = 0x1fbf & ~0x40u;
	area[4] = 0;
	check_trap(catch_trap(x_fxrstor, (word)area, 0), NO_TRAP, 0, "FXRSTOR");
	catch_trap(m_fnstenv, (word)&env, 0);
	check_eq(env.tw & 0xffff, 0xffff, "empty tags");
	catch_trap(x_init, 0, 0);
	*(uint32_t *)(area + 24) = 0x1f80;
	catch_trap(x_fxrstor, (word)area, 0);
	write_cr4(read_cr4() & ~(word)C4_OSFXSR);
}

void guest_test(void)
{
	write_cr0(read_cr0() | C0_NE);
	availability();
	exceptions();
	irq_13();
	fxsave();
}
