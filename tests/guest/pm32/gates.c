// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 32-bit control transfers: call gates of both sizes with parameters, interrupt gates of both
 * sizes, far returns and IRET outwards, stacks of inner levels and their errors.
 * Source: Intel SDM 3A §5.8, §6.12, 2A CALL, 2B RET, IRET.
 * QEMU 7.2 (TCG): no limits, #NP or #TS for an absent SS, VM taken by IRET at CPL 3.
 */
#include "guest.h"

#define SEL_GATE SEL_SPARE
#define SEL_TMP (SEL_SPARE + 8)
#define SEL_CODE1 (SEL_SPARE + 16) /* code, DPL 1 */
#define SEL_DATA1 (SEL_SPARE + 24)
#define SEL_LOW16 (SEL_SPARE + 32) /* 16-bit code at the 16-bit gate's target */

static volatile word seen[12] __asm__("seen") __attribute__((used));
static uint8_t ring1_stack[4096] __attribute__((aligned(16)));

asm(".globl gate_target\ngate_target:\n"
    "mov %ss:(%esp), %ecx\n mov %ecx, %ss:seen\n"      /* EIP */
    "mov %ss:4(%esp), %ecx\n mov %ecx, %ss:seen+4\n"   /* CS */
    "mov %ss:8(%esp), %ecx\n mov %ecx, %ss:seen+8\n"   /* parameter, last pushed */
    "mov %ss:12(%esp), %ecx\n mov %ecx, %ss:seen+12\n"
    "mov %ss:16(%esp), %ecx\n mov %ecx, %ss:seen+16\n" /* ESP */
    "mov %ss:20(%esp), %ecx\n mov %ecx, %ss:seen+20\n" /* SS */
    "mov %cs, %ecx\n mov %ecx, %ss:seen+24\n mov %ss, %ecx\n mov %ecx, %ss:seen+28\n"
    "mov %esp, %ss:seen+32\n"
    "mov $0x77, %eax\n lret $8");
asm(".globl gate_target_plain\ngate_target_plain:\n"
    "mov %cs, %ecx\n mov %ecx, %ss:seen+24\n mov $0x78, %eax\n lret");
/* Called through a 16-bit gate: the frame has words. */
asm(".globl gate_target16\ngate_target16:\n"
    "mov %ss:(%esp), %cx\n mov %ecx, %ss:seen\n mov %ss:2(%esp), %cx\n mov %ecx, %ss:seen+4\n"
    "mov %ss:4(%esp), %cx\n mov %ecx, %ss:seen+8\n mov %ss:6(%esp), %cx\n mov %ecx, %ss:seen+12\n"
    "mov %ss:8(%esp), %cx\n mov %ecx, %ss:seen+16\n"
    "mov $0x79, %eax\n .byte 0x66\n lret $4");
extern uint8_t gate_target[], gate_target_plain[], gate_target16[];

SNIPPET(call_plain, "lcall $" STR(SEL_SPARE) ", $0");
SNIPPET(call_params, "push $0x2222\n push $0x1111\n lcall $" STR(SEL_SPARE) ", $0");
SNIPPET(call_params16, "pushw $0x2222\n pushw $0x1111\n lcall $" STR(SEL_SPARE) ", $0\n"
			".globl call_params16_back\ncall_params16_back:");
extern uint8_t call_params16_back[];

static void gate(unsigned sel, void *target, unsigned attr, unsigned count)
{
	gate_set(&gdt[SEL_GATE >> 3], sel, (word)target, attr, count);
}

static void call_gates(void)
{
	struct trap *t;

	gate(SEL_KCODE, gate_target_plain, D_CALLGATE, 0);
	t = catch_trap(call_plain, 0, 0);
	check_trap(t, NO_TRAP, 0, "call gate at CPL 0");
	check_eq(t->result, 0x78, "it came back");
	gate(SEL_KCODE, gate_target, D_CALLGATE | D_DPL(3), 2);
	t = catch_user(call_params, 0, 0);
	check_trap(t, NO_TRAP, 0, "call gate from CPL 3, two parameters");
	check_eq(t->result, 0x77, "it came back");
	check_eq(seen[0], (word)call_params + 17, "return EIP");
	check_eq(seen[1], SEL_UCODE32, "return CS");
	check_eq(seen[2], 0x1111, "first parameter");
	check_eq(seen[3], 0x2222, "second parameter");
	check_eq(seen[4], user_env.kstack - 4 - 8, "the caller's ESP with the parameters");
	check_eq(seen[5], SEL_UDATA, "the caller's SS");
	check_eq(seen[6], SEL_KCODE, "CS in the gate's target");
	check_eq(seen[7], SEL_KDATA, "SS from the TSS");
	check_eq(seen[8], (word)kernel_entry_stack - 24, "ESP from the TSS");
	/* Offset is 16 bits in a 16-bit gate: reach the target by a code segment with a base. */
	gdt_set(SEL_LOW16, (uint32_t)gate_target16, 0xffff, D_CODE | D_32);
	gate(SEL_LOW16, NULL, D_CALLGATE16 | D_DPL(3), 2);
	/* The return address is cut to 16 bits: have something there to come back to. */
	{
		volatile uint8_t *low = (uint8_t *)((word)call_params16_back & 0xffff);
		uint8_t keep[2] = {low[0], low[1]};

		low[0] = 0xcd;
		low[1] = 0x81;
		t = catch_user(call_params16, 0, 0);
		low[0] = keep[0];
		low[1] = keep[1];
	}
	check_trap(t, NO_TRAP, 0, "16-bit gate and return");
	check_eq(t->ip, ((word)call_params16_back & 0xffff) + 2, "the return address has 16 bits");
	check_eq(t->result, 0x79, "it came back");
	check_eq(seen[2] & 0xffff, 0x1111, "16-bit gate: first parameter");
	check_eq(seen[3] & 0xffff, 0x2222, "16-bit gate: second parameter");
	check_eq(seen[1] & 0xffff, SEL_UCODE32, "16-bit gate: return CS");
	gate(SEL_KCODE, gate_target, D_CALLGATE, 0);
	check_trap(catch_user(call_plain, 0, 0), GP, SEL_GATE, "gate DPL 0 from CPL 3");
	gate(SEL_KCODE, gate_target, (D_CALLGATE | D_DPL(3)) & ~D_P, 0);
	check_trap(catch_user(call_plain, 0, 0), NP, SEL_GATE, "absent gate");
	gate(SEL_KDATA, gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(catch_user(call_plain, 0, 0), GP, SEL_KDATA, "gate to data");
	gate(0, gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(catch_user(call_plain, 0, 0), GP, 0, "gate to null");
	gdt_set(SEL_TMP, 0, 0xfffff, (D_CODE | D_G | D_32) & ~D_P);
	gate(SEL_TMP, gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(catch_user(call_plain, 0, 0), NP, SEL_TMP, "gate to absent code");
	gdt_set(SEL_TMP, 0, 0xff, D_CODE | D_32);
	gate(SEL_TMP, gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(catch_user(call_plain, 0, 0), GP, 0, "gate beyond the code's limit");
}

/* The stack that the TSS names for the inner level. */
static void inner_stacks(void)
{
	word ss0 = tss.ss0, esp0 = tss.esp0;

	gate(SEL_KCODE, gate_target_plain, D_CALLGATE | D_DPL(3), 0);
	/* #TS and #SS must come on a good stack: at level 1, whose stack is the bad one. */
	gdt_set(SEL_CODE1, 0, 0xfffff, D_CODE | D_G | D_32 | D_DPL(1));
	gdt_set(SEL_DATA1, 0, 0xfffff, D_DATA | D_G | D_32 | D_DPL(1));
	gate(SEL_CODE1 | 1, gate_target_plain, D_CALLGATE | D_DPL(3), 0);
	tss.ss1 = SEL_DATA1 | 1;
	tss.esp1 = (word)ring1_stack + sizeof(ring1_stack);
	check_trap(catch_user(call_plain, 0, 0), NO_TRAP, 0, "call gate from level 3 to 1");
	check_eq(seen[6], SEL_CODE1 | 1, "CS with RPL 1");
	tss.ss1 = 0;
	check_trap(catch_user(call_plain, 0, 0), TS, 0, "null SS1");
	tss.ss1 = SEL_KDATA;
	check_trap(catch_user(call_plain, 0, 0), TS, SEL_KDATA, "SS1 with DPL 0");
	tss.ss1 = SEL_CODE1 | 1;
	check_trap(catch_user(call_plain, 0, 0), TS, SEL_CODE1, "SS1 is code");
	tss.ss1 = SEL_DATA1;
	check_trap(catch_user(call_plain, 0, 0), TS, SEL_DATA1, "SS1 with RPL 0");
	tss.ss1 = sizeof(gdt) | 1;
	check_trap(catch_user(call_plain, 0, 0), TS, sizeof(gdt), "SS1 beyond the GDT");
	gdt_set(SEL_DATA1, 0, 0xfffff, (D_DATA | D_G | D_32 | D_DPL(1)) & ~D_P);
	tss.ss1 = SEL_DATA1 | 1;
	check_trap(catch_user(call_plain, 0, 0), SS, SEL_DATA1, "absent SS1");
	gdt_set(SEL_DATA1, (uint32_t)ring1_stack, 0xff, D_DATA | D_32 | D_DPL(1));
	tss.esp1 = 8;
	check_trap(catch_user(call_plain, 0, 0), SS, SEL_DATA1, "no room on the new stack");
	gdt_set(SEL_TSS, (uint32_t)&tss, 0xb, D_TSS32);
	ltr(SEL_TSS); /* ends behind ESP0, SS0 */
	check_trap(catch_user(call_plain, 0, 0), TS, SEL_TSS, "SS1 beyond the TSS's limit");
	gdt_set(SEL_TSS, (uint32_t)&tss, sizeof(tss) - 1, D_TSS32);
	ltr(SEL_TSS);
	tss.ss0 = ss0;
	tss.esp0 = esp0;
}

/* ret_to(frame): IRET or far return with what is there. */
SNIPPET(iret5, "push 16(%eax)\n push 12(%eax)\n push 8(%eax)\n push 4(%eax)\n push (%eax)\n iret");
SNIPPET(iret3, "push 8(%eax)\n push 4(%eax)\n push (%eax)\n iret");
SNIPPET(lret4, "push 16(%eax)\n push 12(%eax)\n push 4(%eax)\n push (%eax)\n lret");
SNIPPET(lret2, "push 4(%eax)\n push (%eax)\n lret");
SNIPPET(segs_iret, "mov %edx, %es\n mov %edx, %fs\n mov %edx, %gs\n mov %eax, %ecx\n mov %edx, %ds\n"
		   "push %ss:16(%ecx)\n push %ss:12(%ecx)\n push %ss:8(%ecx)\n push %ss:4(%ecx)\n"
		   "push %ss:(%ecx)\n iret");
SNIPPET(show_segs, "mov %ds, %eax\n mov %es, %ecx\n shl $16, %ecx\n or %ecx, %eax\n int $0x81");
static word frame[5];
static struct trap *leave(uint8_t *how, word ip, word cs, word flags, word sp, word ss)
{
	frame[0] = ip;
	frame[1] = cs;
	frame[2] = flags;
	frame[3] = sp;
	frame[4] = ss;
	return catch_trap(how, (word)frame, SEL_KDATA);
}

static void returns(void)
{
	word ip = (word)show_segs, sp = user_env.kstack;
	struct trap *t;

	for (unsigned i = 0; i < 2; i++) {
		uint8_t *how = i ? lret4 : iret5;
		const char *n = i ? "far return" : "IRET";

		check_trap(leave(how, ip, SEL_UCODE32, 2, sp, SEL_UDATA), NO_TRAP, 0, "%s to CPL 3", n);
		check_trap(leave(how, ip, SEL_UCODE32, 2, sp, 0), GP, 0, "%s, null SS", n);
		check_trap(leave(how, ip, SEL_UCODE32, 2, sp, SEL_KDATA), GP, SEL_KDATA,
			   "%s, SS of level 0", n);
		check_trap(leave(how, ip, 0, 2, sp, SEL_UDATA), GP, 0, "%s, null CS", n);
		check_trap(leave(how, ip, SEL_UDATA, 2, sp, SEL_UDATA), GP, SEL_UDATA & ~3u,
			   "%s, data in CS", n);
		check_trap(leave(how, ip, SEL_KCODE | 3, 2, sp, SEL_UDATA), GP, SEL_KCODE,
			   "%s, CS of level 0 with RPL 3", n);
		gdt_set(SEL_TMP, 0, 0xff, D_CODE | D_32 | D_DPL(3));
		check_trap(leave(how, ip, SEL_TMP | 3, 2, sp, SEL_UDATA), GP, 0,
			   "%s beyond the code's limit", n);
		gdt_set(SEL_TMP, 0, 0xfffff, (D_CODE | D_32 | D_G | D_DPL(3)) & ~D_P);
		check_trap(leave(how, ip, SEL_TMP | 3, 2, sp, SEL_UDATA), NP, SEL_TMP,
			   "%s, absent CS", n);
		gdt_set(SEL_TMP, 0, 0xfffff, (D_DATA | D_32 | D_G | D_DPL(3)) & ~D_P);
		check_trap(leave(how, ip, SEL_UCODE32, 2, sp, SEL_TMP | 3), SS, SEL_TMP,
			   "%s, absent SS", n);
	}
	frame[0] = ip;
	frame[1] = SEL_UCODE32;
	frame[2] = 2;
	frame[3] = sp;
	frame[4] = SEL_UDATA;
	t = catch_trap(segs_iret, (word)frame, SEL_KDATA);
	check_eq(t->result, 0, "IRET outwards makes DS and ES of level 0 null");
	t = catch_trap(segs_iret, (word)frame, SEL_UDATA);
	check_eq(t->result, SEL_UDATA << 16 | SEL_UDATA, "those of level 3 stay");
	check_trap(leave(iret3, (word)show_segs, SEL_KCODE, FL_NT | 2, 0, 0), NO_TRAP, 0,
		   "IRET to the same level may set NT");
	check_trap(leave(lret2, (word)show_segs, SEL_KCODE, 0, 0, 0), NO_TRAP, 0,
		   "far return to the same level");
	gdt_set(SEL_TMP, 0, 0xff, D_CODE | D_32);
	check_trap(leave(iret3, ip, SEL_TMP, 2, 0, 0), GP, 0, "IRET beyond the code's limit");
	/* VM is only taken at level 0, and only by a 32-bit IRET. */
	user_env.flags = 2;
	t = catch_user(iret3, (word)(word[3]){ip, SEL_UCODE32, FL_VM | 2}, 0);
	check_trap(t, NO_TRAP, 0, "IRET at CPL 3 ignores VM");
}

/* A 16-bit interrupt gate pushes words, a 16-bit far return pops them. */
asm(".globl int16_target\nint16_target:\n"
    "mov %ss:(%esp), %cx\n movzwl %cx, %ecx\n mov %ecx, seen\n"
    "mov %ss:2(%esp), %cx\n movzwl %cx, %ecx\n mov %ecx, seen+4\n"
    "mov %ss:4(%esp), %cx\n movzwl %cx, %ecx\n mov %ecx, seen+8\n mov %esp, seen+12\n"
    "add $6, %esp\n ljmp *int16_resume");
extern uint8_t int16_target[];
static struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) int16_resume __asm__("int16_resume") __attribute__((used));
SNIPPET(int16, "stc\n movl $1f, int16_resume\n movw $" STR(SEL_KCODE) ", int16_resume+4\n mov %esp, %eax\n"
	       "int $0x50\n.globl int16_back\nint16_back: 1: nop");
extern uint8_t int16_back[];
static void gate16(void)
{
	struct trap *t;

	gdt_set(SEL_TMP, (uint32_t)int16_target, 0xffff, D_CODE | D_32);
	gate_set(&idt[0x50], SEL_TMP, 0, 0x86, 0);
	t = catch_trap(int16, 0, 0);
	check_trap(t, NO_TRAP, 0, "16-bit interrupt gate");
	check_eq(seen[0], (word)int16_back & 0xffff, "IP is cut to 16 bits");
	check_eq(seen[1], SEL_KCODE, "CS");
	check_eq(seen[2] & 3, 3, "FLAGS");
	check_eq(t->result - seen[3], 6, "six bytes on the stack");
	idt_reset();
}

void guest_test(void)
{
	call_gates();
	inner_stacks();
	returns();
	gate16();
}
