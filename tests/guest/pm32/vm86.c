// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtual-8086 mode: what needs IOPL 3, what is never allowed, frames and segments, limits, with
 * and without the mode extensions (CR4.VME), protected-mode virtual interrupts (CR4.PVI).
 * Source: Intel SDM 3A ch. 20.
 * QEMU 7.2 (TCG) has no VME and checks no limits.
 */
#include "v86.h"

#define DONE "int $0x82\n"
SNIPPET16(v_done, DONE);
SNIPPET16(v_seg, "mov $0x3100, %ax\n mov %ax, %es\n movb $0x5a, %es:0x20\n mov $0x3102, %ax\n mov %ax, %gs\n"
		 "movb %gs:0, %bl\n" DONE);
SNIPPET16(v_far, "pushw $0x3100\n pushw $1f-v_far\n lret\n 1: mov %cs, %bx\n" DONE);
SNIPPET16(v_stack, "pushl $0x11223344\n pop %ax\n pop %bx\n mov %sp, %cx\n" DONE);
SNIPPET16(v_cli, "cli\n" DONE);
SNIPPET16(v_sti, "sti\n" DONE);
SNIPPET16(v_pushf, "pushf\n pop %bx\n" DONE);
SNIPPET16(v_pushfl, "pushfl\n pop %ebx\n" DONE);
SNIPPET16(v_popf, "pushw $0x3202\n popf\n" DONE);
SNIPPET16(v_popf_if0, "pushw $0x0002\n popf\n pushf\n pop %bx\n" DONE);
SNIPPET16(v_popf_tf, "pushw $0x0102\n popf\n nop\n" DONE);
SNIPPET16(v_popfl, "pushl $0x3202\n popfl\n" DONE);
SNIPPET16(v_iret, "pushw $0x0202\n push %cs\n pushw $1f-v_iret+0x1000\n iret\n 1: mov $7, %bx\n" DONE);
SNIPPET16(v_int, "int $0x21\n mov $5, %bx\n" DONE);
SNIPPET16(v_int3, "int3\n");
SNIPPET16(v_into, "mov $0x7f, %al\n inc %al\n into\n");
SNIPPET16(v_hlt, "hlt\n");
SNIPPET16(v_in, "in $0x80, %al\n" DONE);
SNIPPET16(v_in_word, "in $0x7f, %ax\n" DONE);
SNIPPET16(v_outs, "mov $0x80, %dx\n outsb\n" DONE);
SNIPPET16(v_lldt, "lldt %ax\n");
SNIPPET16(v_str, "str %ax\n");
SNIPPET16(v_lar, "lar %ax, %ax\n");
SNIPPET16(v_arpl, "arpl %ax, %bx\n");
SNIPPET16(v_lgdt, "lgdt 0x800\n");
SNIPPET16(v_mov_cr, "mov %cr0, %eax\n");
SNIPPET16(v_lmsw, "lmsw %ax\n");
SNIPPET16(v_smsw, "smsw %ax\n" DONE);
SNIPPET16(v_clts, "clts\n");
SNIPPET16(v_rdmsr, "rdmsr\n");
SNIPPET16(v_mov_dr, "mov %dr7, %eax\n");
SNIPPET16(v_invlpg, "invlpg 0\n");
SNIPPET16(v_ud, "ud2\n");
SNIPPET16(v_div, "xor %bx, %bx\n div %bx\n");
SNIPPET16(v_word_end, "mov $0xffff, %bx\n mov (%bx), %ax\n");
SNIPPET16(v_over_ss, "mov $0xffff, %bp\n mov (%bp), %ax\n");
SNIPPET16(v_beyond, "mov $0x10000, %ebx\n mov (%ebx), %al\n");
SNIPPET16(v_cpuid, "xor %eax, %eax\n cpuid\n" DONE);
SNIPPET16(v_sti_cli, "sti\n cli\n pushf\n pop %bx\n" DONE);
SNIPPET16(v_sti_pushf, "sti\n pushf\n pop %bx\n" DONE);
SNIPPET16(v_vex, ".byte 0xc5, 0xf8, 0x77\n");

static void done(struct trap *t, const char *what)
{
	check_trap(t, 0x82, 0, "%s", what);
}

static void basics(void)
{
	struct trap *t = V86(v_done, FL_IOPL3);

	done(t, "virtual-8086 mode and out");
	check_eq(t->cs, V86_SEG, "CS in the frame");
	check_eq(t->ip, V86_CODE + 2, "IP in the frame");
	check(t->flags & FL_VM, "VM in the frame");
	check_eq(t->f.v_es, V86_SEG, "ES in the frame");
	check_eq(t->f.v_gs, V86_SEG, "GS in the frame");
	check_eq(t->ss, V86_SEG, "SS in the frame");
	check_eq(t->sp, 0xfff0, "SP in the frame");
	check_eq(t->f.ds & 0xffff, 0, "DS is null in the handler");
	check_eq(t->f.fs & 0xffff, 0, "FS is null in the handler");
	t = V86(v_seg, FL_IOPL3);
	check_eq(t->f.bx & 0xff, 0x5a, "segment times 16");
	check_eq(t->f.v_es, 0x3100, "ES as it was loaded");
	t = V86(v_far, FL_IOPL3);
	check_eq(t->f.bx & 0xffff, 0x3100, "far return");
	t = V86(v_stack, FL_IOPL3);
	check_eq(t->f.bx & 0xffff, 0x1122, "the stack");
	check_eq(t->f.cx & 0xffff, 0xfff0, "SP");
}

static const struct {
	const char *name;
	uint8_t *code, *end;
	int vec0; /* with IOPL 0 */
	int vec3; /* with IOPL 3 */
} table[] = {
#define T(id, v0, v3) {#id, v_##id, v_##id##_end, v0, v3}
	T(cli, GP, 0x82), T(sti, GP, 0x82), T(pushf, GP, 0x82), T(pushfl, GP, 0x82),
	T(popf, GP, 0x82), T(popfl, GP, 0x82), T(iret, GP, 0x82), T(int3, BP, BP), T(into, OF, OF),
	T(hlt, GP, GP), T(lldt, UD, UD), T(str, UD, UD), T(lar, UD, UD), T(arpl, UD, UD),
	T(lgdt, GP, GP), T(mov_cr, GP, GP), T(lmsw, GP, GP), T(clts, GP, GP), T(rdmsr, GP, GP),
	T(mov_dr, GP, GP), T(invlpg, GP, GP), T(ud, UD, UD), T(div, DE, DE), T(vex, UD, UD),
};

static void sensitive(void)
{
	/* With IOPL 0 the closing INT 0x82 is #GP as well; its IP tells them apart. */
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct trap *t = catch_v86(table[i].code, table[i].end, 0);

		check_trap(t, table[i].vec0, 0, "%s with IOPL 0", table[i].name);
		if (table[i].vec0 == GP && table[i].vec3 == 0x82)
			check(t->ip < V86_CODE + 12 && *(uint8_t *)(V86_SEG * 16 + t->ip) != 0xcd,
			      "%s itself faults with IOPL 0", table[i].name);
		t = catch_v86(table[i].code, table[i].end, FL_IOPL3);
		check_trap(t, table[i].vec3, 0, "%s with IOPL 3", table[i].name);
	}
	check_trap(V86(v_int, 0), GP, 0, "INT n with IOPL 0");
	check_trap(V86(v_int, FL_IOPL3), GP, 0x21 * 8 + 2, "INT n with IOPL 3, gate of DPL 0");
	idt_set(0x21, SEL_KCODE, trap_stubs[0x21], D_INTGATE | D_DPL(3));
	check_trap(V86(v_int, FL_IOPL3), 0x21, 0, "INT n with IOPL 3, gate of DPL 3");
	gdt_set(SEL_SPARE, 0, 0xfffff, 0x9f | D_G | D_32);
	idt_set(0x21, SEL_SPARE, trap_stubs[0x21], D_INTGATE | D_DPL(3));
	check_trap(V86(v_int, FL_IOPL3), GP, SEL_SPARE, "INT n to a conforming segment");
	gdt_set(SEL_SPARE, 0, 0xfffff, D_CODE | D_G | D_32 | D_DPL(1));
	check_trap(V86(v_int, FL_IOPL3), GP, SEL_SPARE, "INT n to a segment of DPL 1");
	idt_set(0x21, SEL_KCODE, trap_stubs[0x21], D_INTGATE);
	check_trap(V86(v_smsw, 0), GP, 0, "the closing INT with IOPL 0");
	done(V86(v_smsw, FL_IOPL3), "SMSW");
	done(V86(v_cpuid, FL_IOPL3), "CPUID");
}

static void ports(void)
{
	check_trap(V86(v_in, FL_IOPL3), GP, 0, "IN by the bitmap, though IOPL is 3");
	check_trap(V86(v_outs, FL_IOPL3), GP, 0, "OUTS by the bitmap");
	tss.bitmap[0x80 / 8] &= (uint8_t)~1;
	done(V86(v_in, FL_IOPL3), "IN, bit clear");
	check_trap(V86(v_in_word, FL_IOPL3), GP, 0, "IN of a word needs both bits");
	done(V86(v_outs, FL_IOPL3), "OUTS, bit clear");
	tss.bitmap[0x80 / 8] |= 1;
}

static void flags(void)
{
	struct trap *t = V86(v_pushf, FL_IOPL3 | FL_IF);

	check_eq(t->f.bx & 0xffff, FL_IOPL3 | FL_IF | 2, "PUSHF with IOPL 3");
	t = V86(v_popf_if0, FL_IOPL3 | FL_IF);
	check_eq(t->f.bx & 0xffff, FL_IOPL3 | 2, "POPF changes IF, not IOPL");
	t = V86(v_popfl, FL_IOPL3);
	check_eq(t->flags & (FL_VM | FL_IF | FL_IOPL3), FL_VM | FL_IF | FL_IOPL3, "POPFD keeps VM");
	t = V86(v_popf_tf, FL_IOPL3);
	check_trap(t, DB, 0, "single step");
	check_eq(t->ip, V86_CODE + 5, "after one instruction");
	write_dr6(0xffff0ff0);
}

static void limits(void)
{
	if (qemu_lacks("limits in virtual-8086 mode"))
		return;
	check_trap(V86(v_word_end, FL_IOPL3), GP, 0, "a word at 0xffff");
	check_trap(V86(v_over_ss, FL_IOPL3), SS, 0, "a word at SS:0xffff");
	check_trap(V86(v_beyond, FL_IOPL3), GP, 0, "a byte at 0x10000");
}

/* The handler emulates and returns: the registers and segments come back. */
static unsigned emulated;
static void emulate(struct frame *f)
{
	emulated++;
	f->ip += 1; /* over HLT */
	f->bx = 0xbeef;
}
SNIPPET16(v_emul, "mov $0x1234, %dx\n hlt\n mov %ds, %cx\n" DONE);
static void monitor(void)
{
	struct trap *t;

	set_handler(GP, emulate);
	t = V86(v_emul, FL_IOPL3);
	set_handler(GP, NULL);
	done(t, "a monitor that emulates HLT");
	check_eq(emulated, 1, "it ran once");
	check_eq(t->f.bx, 0xbeef, "its result");
	check_eq(t->f.dx & 0xffff, 0x1234, "other registers");
	check_eq(t->f.cx & 0xffff, V86_SEG, "DS came back");
}

/* ---- CR4.VME -------------------------------------------------------------------------------- */

static void redirect(unsigned vec, bool to_v86)
{
	if (to_v86)
		tss.redirect[vec / 8] &= (uint8_t)~(1u << (vec & 7));
	else
		tss.redirect[vec / 8] |= (uint8_t)(1u << (vec & 7));
}

SNIPPET16(v_handler, "mov %sp, %bp\n mov 4(%bp), %cx\n pushf\n pop %dx\n mov $0x99, %bx\n iret\n");
#define HANDLER_OFS 0x800
static void vme(void)
{
	uint16_t *ivt = NULL;
	struct trap *t;

	if (!has_leaf1_d(1)) {
		check_skip("VME", "CPUID has no VME");
		return;
	}
	asm("" : "+r"(ivt));
	memcpy((void *)(V86_SEG * 16 + HANDLER_OFS), v_handler, (size_t)(v_handler_end - v_handler));
	ivt[2 * 0x21] = HANDLER_OFS;
	ivt[2 * 0x21 + 1] = V86_SEG;
	memset(tss.redirect, 0xff, sizeof(tss.redirect));
	write_cr4(read_cr4() | C4_VME);

	/* IOPL 3: the bitmap alone decides. */
	redirect(0x21, true);
	t = V86(v_int, FL_IOPL3 | FL_IF);
	check_trap(t, 0x82, 0, "VME, IOPL 3: INT 0x21 through the 8086 table");
	check_eq(t->f.bx & 0xffff, 5, "the handler returned");
	check_eq(t->f.cx & 0xffff, FL_IOPL3 | FL_IF | 2, "the flags it found on the stack");
	check_eq(t->f.dx & FL_IF, 0, "IF is clear in it");
	redirect(0x21, false);
	check_trap(V86(v_int, FL_IOPL3), GP, 0x21 * 8 + 2, "VME, IOPL 3, bit set: the IDT");

	/* IOPL 0: VIF instead of IF; the closing INT goes by the bitmap too: bit set means #GP(0). */
	redirect(0x21, true);
	t = V86(v_int, FL_VIF);
	check_trap(t, GP, 0, "VME, IOPL 0: the closing INT is #GP");
	check_eq(t->f.bx & 0xffff, 5, "INT 0x21 went through the 8086 table");
	check_eq(t->f.cx & 0xffff, FL_IOPL3 | FL_IF | 2, "the stack's flags: IOPL 3, VIF as IF");
	check_eq(t->f.dx & FL_IF, 0, "VIF is clear in the handler");
	check(t->flags & FL_VIF, "IRET set VIF again");
	check(!(t->flags & FL_IF), "IF itself did not change");
	redirect(0x21, false);
	t = V86(v_int, FL_VIF);
	check_trap(t, GP, 0, "VME, IOPL 0, bit set: #GP(0)");
	check_eq(t->ip, V86_CODE, "on the INT");

	t = V86(v_sti, 0);
	check(t->flags & FL_VIF, "STI sets VIF");
	check_eq(t->ip, V86_CODE + 1, "and goes on");
	t = V86(v_cli, FL_VIF | FL_IF);
	check_eq(t->flags & (FL_VIF | FL_IF), FL_IF, "CLI clears VIF and leaves IF");
	t = V86(v_sti, FL_VIP);
	check_trap(t, GP, 0, "STI with VIP: #GP");
	check_eq(t->ip, V86_CODE, "on the STI");
	t = V86(v_sti_pushf, 0);
	check_eq(t->f.bx & 0xffff, FL_IOPL3 | FL_IF | 2, "PUSHF shows VIF as IF and IOPL 3");
	t = V86(v_sti_cli, 0);
	check_eq(t->f.bx & 0xffff, FL_IOPL3 | 2, "and after CLI");
	t = V86(v_popf_if0, FL_VIF);
	check_eq(t->flags & FL_VIF, 0, "POPF clears VIF");
	t = V86(v_popf, 0);
	check(t->flags & FL_VIF, "POPF sets VIF");
	check_eq(t->ip, V86_CODE + 4, "and goes on");
	t = V86(v_popf, FL_VIP);
	check_eq(t->ip, V86_CODE + 3, "POPF that sets VIF with VIP: #GP on it");
	t = V86(v_popf_tf, 0);
	check_eq(t->ip, V86_CODE + 3, "POPF that sets TF: #GP on it");
	t = V86(v_pushfl, 0);
	check_eq(t->ip, V86_CODE, "PUSHFD stays #GP");
	t = V86(v_popfl, 0);
	check_eq(t->ip, V86_CODE + 6, "POPFD stays #GP");
	t = V86(v_iret, 0);
	check_eq(t->f.bx & 0xffff, 7, "IRET with IOPL 0");
	check(t->flags & FL_VIF, "it set VIF");
	write_cr4(read_cr4() & ~(word)C4_VME);
	memset(tss.redirect, 0, sizeof(tss.redirect));
}

SNIPPET(p_cli, "cli\n pushf\n pop %eax");
SNIPPET(p_sti, "sti\n pushf\n pop %eax");
static void pvi(void)
{
	struct trap *t;

	if (!has_leaf1_d(1)) {
		check_skip("PVI", "CPUID has no VME");
		return;
	}
	write_cr4(read_cr4() | C4_PVI);
	t = catch_user(p_sti, 0, 0);
	check_trap(t, NO_TRAP, 0, "PVI: STI at CPL 3");
	check_eq(t->result & (FL_VIF | FL_IF), FL_VIF, "it sets VIF");
	user_env.flags = 2 | FL_VIF;
	t = catch_user(p_cli, 0, 0);
	check_trap(t, NO_TRAP, 0, "PVI: CLI at CPL 3");
	check_eq(t->result & FL_VIF, 0, "it clears VIF");
	user_env.flags = 2 | FL_VIP;
	check_trap(catch_user(p_sti, 0, 0), GP, 0, "PVI: STI with VIP");
	user_env.flags = 2;
	write_cr4(read_cr4() & ~(word)C4_PVI);
	check_trap(catch_user(p_sti, 0, 0), GP, 0, "without PVI");
}

void guest_test(void)
{
	idt_set(0x82, SEL_KCODE, trap_stubs[0x82], D_INTGATE | D_DPL(3));
	basics();
	sensitive();
	ports();
	flags();
	limits();
	monitor();
	vme();
	pvi();
}
