// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real mode: addresses, the interrupt vector table, limits and their exceptions, what is not
 * there, unreal mode, interrupts, flags. Source: Intel SDM 3A ch. 20, 3A §9.9, 2A INT.
 * QEMU 7.2 (TCG) checks no limits in real mode.
 */
#include "real.h"

SNIPPET16(r_nothing, "nop");
SNIPPET16(r_wide, "mov $0x12345678, %eax\n mov %eax, %ebx\n add %ebx, %eax");
SNIPPET16(r_segment, "mov $0x3000, %ax\n mov %ax, %es\n movb $0x5a, %es:0x10\n mov $0x3001, %ax\n"
		     "mov %ax, %fs\n movb %fs:0, %al\n mov $0, %ah");
SNIPPET16(r_cs_store, "movb $0x77, %cs:0x800\n movb 0x800, %al");
SNIPPET16(r_far, "pushw $0x2100\n pushw $1f-r_far\n lret\n 1: mov %cs, %bx\n"
		 "ljmp $0x2000, $2f-r_far+0x1000\n 2: mov %cs, %cx");
SNIPPET16(r_call_far, "lcall $0x2100, $1f-r_call_far\n mov $1, %bx\n ret\n 1: mov %cs, %cx\n mov %sp, %dx\n lret");
SNIPPET16(r_a32, "movl $0x0800, %ebx\n movb $0x66, (%ebx)\n movb 0x800, %al");
SNIPPET16(r_loop, "xor %ax, %ax\n mov $5, %cx\n 1: inc %ax\n loop 1b\n mov $0x10003, %ecx\n 2: inc %ax\n addr32 loop 2b");

static void basics(void)
{
	struct real_regs *r = REAL(r_nothing);

	check_eq(r->vec, REAL_NONE, "into real mode and back");
	r = REAL(r_wide);
	check_eq(r->ax, 0x2468acf0, "32-bit operands");
	r = REAL(r_segment);
	check_eq(r->ax & 0xff, 0x5a, "segment times 16");
	r = REAL(r_cs_store);
	check_eq(r->vec, REAL_NONE, "a store through CS is allowed");
	check_eq(r->ax & 0xff, 0x77, "it arrived");
	r = REAL(r_far);
	check_eq(r->bx & 0xffff, 0x2100, "far return sets CS");
	check_eq(r->cx & 0xffff, 0x2000, "far jump sets CS");
	r = REAL(r_call_far);
	check_eq(r->cx & 0xffff, 0x2100, "far call sets CS");
	check_eq(r->dx & 0xffff, 0xfff0 - 2 - 4, "far call pushes two words");
	r = REAL(r_a32);
	check_eq(r->ax & 0xff, 0x66, "32-bit addresses below 64 KiB");
	r = REAL(r_loop);
	check_eq(r->ax & 0xffff, 5 + 3, "LOOP by CX and by ECX");
}

SNIPPET16(r_int, "mov $0x1234, %ax\n sti\n int $0x21");
SNIPPET16(r_div, "mov $1, %ax\n xor %cl, %cl\n div %cl");
SNIPPET16(r_ud, "ud2");
SNIPPET16(r_into, "mov $0x7f, %al\n inc %al\n into");
SNIPPET16(r_int3, "int3");
SNIPPET16(r_bound, "movw $1, 0x800\n movw $5, 0x802\n mov $9, %ax\n bound %ax, 0x800");
SNIPPET16(r_iret, "pushf\n push %cs\n call 1f\n mov $9, %bx\n ret\n 1: mov $8, %cx\n iret");
SNIPPET16(r_iretd, "pushfl\n pushw $0\n push %cs\n pushl $1f-r_iretd+0x1000\n data32 iret\n nop\n 1: mov $6, %bx");
SNIPPET16(r_far_int, "push %es\n xor %ax, %ax\n mov %ax, %es\n movw $1f-r_far_int+0x1000, %es:4*0x30\n"
		     "movw $0x2000, %es:4*0x30+2\n pop %es\n sti\n int $0x30\n pushf\n pop %dx\n cli\n ret\n"
		     "1: pushf\n pop %cx\n mov $0x42, %bx\n iret");

static void interrupts(void)
{
	struct real_regs *r = REAL(r_int);

	check_eq(r->vec, 0x21, "INT 0x21 by the vector table");
	check_eq(r->ip, REAL_CODE + 6, "IP behind INT");
	check_eq(r->cs, REAL_SEG, "CS");
	check_eq(r->tflags & FL_IF, FL_IF, "FLAGS with IF");
	check_eq(r->sp, 0xfff0 - 2, "three words on the stack");
	check_eq(r->flags & FL_IF, 0, "IF is clear in the handler");
	r = REAL(r_div);
	check_eq(r->vec, DE, "division by zero");
	check_eq(r->ip, REAL_CODE + 5, "IP of DIV");
	r = REAL(r_ud);
	check_eq(r->vec, UD, "UD2");
	r = REAL(r_into);
	check_eq(r->vec, OF, "INTO");
	r = REAL(r_int3);
	check_eq(r->vec, BP, "INT3");
	r = REAL(r_bound);
	check_eq(r->vec, BR, "BOUND");
	r = REAL(r_iret);
	check_eq(r->bx & 0xffff, 9, "IRET");
	r = REAL(r_iretd);
	check_eq(r->bx & 0xffff, 6, "IRETD");
	r = REAL(r_far_int);
	check_eq(r->bx & 0xffff, 0x42, "a handler of one's own");
	check_eq(r->cx & FL_IF, 0, "it runs with IF clear");
	check_eq(r->dx & FL_IF, FL_IF, "IRET sets IF again");
	real_init();
	/* The table elsewhere, and too short. */
	memcpy((void *)0x30000, (void *)(REAL_BASE - REAL_BASE), 0x400);
	real_set_idt(0x3ff, 0x30000);
	r = REAL(r_int);
	check_eq(r->vec, 0x21, "the vector table by LIDT elsewhere");
	real_set_idt(4 * 0x20 - 1, 0);
	if (!qemu_lacks("INT beyond the vector table's limit")) {
		r = REAL(r_int);
		check_eq(r->vec, GP, "INT beyond the vector table's limit: #GP");
		check_eq(r->ip, REAL_CODE + 4, "IP of INT");
	}
	real_set_idt(0x3ff, 0);
}

SNIPPET16(r_lldt, "xor %ax, %ax\n lldt %ax");
SNIPPET16(r_ltr, "xor %ax, %ax\n ltr %ax");
SNIPPET16(r_sldt, "sldt %ax");
SNIPPET16(r_str, "str %ax");
SNIPPET16(r_lar, "lar %ax, %bx");
SNIPPET16(r_lsl, "lsl %ax, %bx");
SNIPPET16(r_verr, "verr %ax");
SNIPPET16(r_arpl, "arpl %ax, %bx");
SNIPPET16(r_lock, "lock addw $1, 0x800");
SNIPPET16(r_lock_bad, ".byte 0xf0, 0x90");
SNIPPET16(r_smsw, "smsw %ax");
SNIPPET16(r_lgdt, "sgdt 0x800\n lgdt 0x800");
SNIPPET16(r_msr, "mov $0x10, %ecx\n rdmsr\n mov $1, %eax");
SNIPPET16(r_cpuid, "xor %eax, %eax\n cpuid");
SNIPPET16(r_hlt_sti_cli, "sti\n cli\n clts");
SNIPPET16(r_vex, ".byte 0xc5, 0xf8, 0x77"); /* VZEROUPPER: no VEX in real mode */
static const struct {
	const char *name;
	uint8_t *code, *end;
	unsigned vec;
} there[] = {
#define T(id, vec) {#id, r_##id, r_##id##_end, vec}
	T(lldt, UD), T(ltr, UD), T(sldt, UD), T(str, UD), T(lar, UD), T(lsl, UD), T(verr, UD),
	T(arpl, UD), T(lock, REAL_NONE), T(lock_bad, UD), T(smsw, REAL_NONE), T(lgdt, REAL_NONE),
	T(msr, REAL_NONE), T(cpuid, REAL_NONE), T(hlt_sti_cli, REAL_NONE), T(vex, UD),
};

static void instructions(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(there); i++)
		check_eq(real_run(there[i].code, there[i].end)->vec, there[i].vec,
			 "%s in real mode", there[i].name);
}

SNIPPET16(l_load, "mov $0xffff, %bx\n movw (%bx), %ax");
SNIPPET16(l_load32, "mov $0xfffd, %bx\n movl (%bx), %eax");
SNIPPET16(l_ok, "mov $0xfffe, %bx\n movw (%bx), %ax");
SNIPPET16(l_big, "mov $0x10000, %ebx\n movb (%ebx), %al");
SNIPPET16(l_stack, "mov $0xffff, %bp\n movw (%bp), %ax");
SNIPPET16(l_push1, "mov $1, %sp\n push %ax\n mov $0xffee, %sp");
SNIPPET16(l_push0, "mov %sp, %bp\n mov $0x2800, %cx\n mov %cx, %ss\n mov $0, %sp\n pushw $0x7788\n"
		   "mov %sp, %dx\n mov %ss:0xfffe, %bx\n mov $0x2000, %cx\n mov %cx, %ss\n mov %bp, %sp");
SNIPPET16(l_movs, "mov $0xfffe, %si\n mov $0x900, %di\n mov $4, %cx\n cld\n rep movsb");
SNIPPET16(l_movsw, "mov $0xffff, %si\n mov $0x900, %di\n mov $1, %cx\n cld\n rep movsw");
SNIPPET16(l_jump, "mov $0x10000, %eax\n jmp *%eax");
SNIPPET16(l_wrap, "mov $0xffff, %bx\n movb 2(%bx), %al\n movb 1, %ah");

static void limits(void)
{
	struct real_regs *r;

	r = REAL(l_ok);
	check_eq(r->vec, REAL_NONE, "a word at 0xfffe");
	r = REAL(l_wrap);
	check_eq(r->ax & 0xff, r->ax >> 8 & 0xff, "BX + displacement wraps at 64 KiB");
	r = REAL(l_push0);
	check_eq(r->dx & 0xffff, 0xfffe, "push with SP = 0 wraps");
	check_eq(r->bx & 0xffff, 0x7788, "to the top of the segment");
	r = REAL(l_movs);
	check_eq(r->vec, REAL_NONE, "REP MOVSB over SI = 0xffff");
	check_eq(r->si, 2, "SI wraps");
	if (qemu_lacks("real-mode limits"))
		return;
	r = REAL(l_load);
	check_eq(r->vec, GP, "a word at 0xffff");
	check_eq(r->ip, REAL_CODE + 3, "IP of the load");
	r = REAL(l_load32);
	check_eq(r->vec, GP, "a doubleword at 0xfffd");
	r = REAL(l_big);
	check_eq(r->vec, GP, "a byte at 0x10000");
	r = REAL(l_stack);
	check_eq(r->vec, SS, "a word at SS:0xffff");
	r = REAL(l_movsw);
	check_eq(r->vec, GP, "MOVSW at 0xffff");
	r = REAL(l_jump);
	check_eq(r->vec, GP, "a jump beyond 64 KiB");
}

SNIPPET16(u_load, "movl $0x180000, %ebx\n movb %fs:(%ebx), %al\n movb $0x99, %fs:1(%ebx)");
SNIPPET16(u_reload, "xor %ax, %ax\n mov %ax, %fs\n movl $0x180000, %ebx\n movb %fs:(%ebx), %al");
static void unreal(void)
{
	uint8_t *far = (uint8_t *)0x180000;
	uint8_t keep = far[0];
	struct real_regs *r = real_state();

	far[0] = 0x5d;
	r->entry_sel = SEL_KDATA; /* 4 GiB limit, base 0 */
	r = REAL(u_load);
	check_eq(r->vec, REAL_NONE, "unreal mode: a byte above 1 MiB");
	check_eq(r->ax & 0xff, 0x5d, "the byte");
	check_eq(far[1], 0x99, "and a store");
	r = REAL(u_reload);
	check_eq(r->vec, REAL_NONE, "loading FS in real mode keeps the limit");
	check_eq(r->ax & 0xff, 0x5d, "the byte");
	r->entry_sel = SEL_KDATA16;
	if (!qemu_lacks("no unreal mode with a 64 KiB limit")) {
		r = REAL(u_reload);
		check_eq(r->vec, GP, "with a 64 KiB limit: #GP");
	}
	far[0] = keep;
}

SNIPPET16(f_flags, "pushw $0x7ed7\n popf\n pushf\n pop %ax\n pushw $0x8002\n popf\n pushf\n pop %bx\n cld");
SNIPPET16(f_step, "pushw $0x0102\n popf\n nop\n nop");
SNIPPET16(f_msw, "smsw %ax\n or $0xe, %ax\n lmsw %ax\n smsw %bx\n and $0xfff1, %ax\n lmsw %ax\n smsw %cx");
static void flags(void)
{
	struct real_regs *r = REAL(f_flags);

	check_eq(r->ax & 0xffff, 0x7ed7, "POPF sets IOPL and NT");
	check_eq(r->bx & 0xffff, 2, "bit 15 stays clear");
	r = REAL(f_step);
	check_eq(r->vec, DB, "single step");
	check_eq(r->ip, REAL_CODE + 5, "after one instruction");
	check_eq(r->tflags & FL_TF, FL_TF, "TF in the frame");
	r = REAL(f_msw);
	check_eq(r->bx & 0xe, 0xe, "LMSW sets MP, EM, TS");
	check_eq(r->cx & 0xe, 0, "and clears them");
}

/* IRQ 0 through the vector table, by HLT. The 8259 keeps the base the runtime gave it. */
SNIPPET16(t_hlt, "xor %ax, %ax\n mov %ax, %es\n movw $1f-t_hlt+0x1000, %es:4*0x20\n"
		 "movw $0x2000, %es:4*0x20+2\n xor %bx, %bx\n mov $0x34, %al\n out %al, $0x43\n"
		 "mov $0xff, %al\n out %al, $0x40\n mov $0x10, %al\n out %al, $0x40\n"
		 "mov $0xfe, %al\n out %al, $0x21\n"
		 "2: sti\n hlt\n cli\n cmp $3, %bx\n jb 2b\n mov $0xff, %al\n out %al, $0x21\n ret\n"
		 "1: push %ax\n inc %bx\n mov $0x20, %al\n out %al, $0x20\n pop %ax\n iret");
static void timer(void)
{
	struct real_regs *r = REAL(t_hlt);

	check_eq(r->vec, REAL_NONE, "timer interrupts in real mode");
	check_eq(r->bx & 0xffff, 3, "three of them wake HLT");
}

void guest_test(void)
{
	real_init();
	basics();
	interrupts();
	instructions();
	limits();
	unreal();
	flags();
	timer();
}
