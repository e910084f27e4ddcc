// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control transfers between levels and segments in 64-bit mode: call gates, far returns, IRET,
 * conforming code, what they push, clear and check. Source: Intel SDM 3A §5.8, §5.14, 2A CALL,
 * 2B RET, IRET.
 * QEMU 7.2 (TCG) differs in some error codes.
 */
#include "guest.h"

#define SEL_GATE SEL_SPARE          /* 16 bytes */
#define SEL_CONF (SEL_SPARE + 0x10) /* conforming 64-bit code, DPL 0 */
#define SEL_TMP (SEL_SPARE + 0x18)
#define SEL_GATE2 (SEL_SPARE + 0x20)

/* What the gate's target saw: CS, SS, RSP, and the top of its stack. */
static volatile word seen[12] __asm__("seen") __attribute__((used));

asm(".globl gate_target\n"
    "gate_target:\n"
    "mov %cs, %eax\n mov %rax, seen\n"
    "mov %ss, %eax\n mov %rax, seen+8\n"
    "mov %rsp, seen+16\n"
    "mov (%rsp), %rax\n mov %rax, seen+24\n"
    "mov 8(%rsp), %rax\n mov %rax, seen+32\n"
    "mov 16(%rsp), %rax\n mov %rax, seen+40\n"
    "mov 24(%rsp), %rax\n mov %rax, seen+48\n"
    "pushf\n pop %rax\n mov %rax, seen+56\n"
    "mov $0x77, %eax\n lretq");
extern uint8_t gate_target[];

SNIPPET(far_call_mem, "lcall *(%rdi)");
SNIPPET(far_jmp_mem, "ljmp *(%rdi)");

struct farptr {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed));
static struct farptr ptr;

static struct trap *call_far(bool user, unsigned sel)
{
	ptr.off = 0;
	ptr.sel = (uint16_t)sel;
	return user ? catch_user(far_call_mem, USER(&ptr), 0) :
		      catch_trap(far_call_mem, (word)&ptr, 0);
}

static void call_gates(void)
{
	struct trap *t;

	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, (word)gate_target, D_CALLGATE | D_DPL(3), 0);
	t = call_far(false, SEL_GATE);
	check_trap(t, NO_TRAP, 0, "call gate at CPL 0");
	check_eq(t->result, 0x77, "it came back");
	check_eq(seen[0], SEL_KCODE, "CS in the target");
	check_eq(seen[1], SEL_KDATA, "SS stays at the same level");
	check_eq(seen[4], SEL_KCODE, "the caller's CS on the stack");
	t = call_far(true, SEL_GATE | 3);
	check_trap(t, NO_TRAP, 0, "call gate from CPL 3");
	check_eq(t->result, 0x77, "it came back to CPL 3");
	check_eq(seen[0], SEL_KCODE, "CS has RPL 0");
	check_eq(seen[1], 0, "SS is null after the change of level");
	check_eq(seen[2], (word)kernel_entry_stack - 32, "RSP from the TSS, four quadwords used");
	check_eq(seen[3], USER(far_call_mem) + 2, "return RIP");
	check_eq(seen[4], SEL_UCODE64, "return CS");
	check_eq(seen[5], USER(user_env.kstack) - 8, "the caller's RSP");
	check_eq(seen[6], SEL_UDATA, "the caller's SS");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, (word)gate_target, D_CALLGATE, 0);
	check_trap(call_far(true, SEL_GATE), GP, SEL_GATE, "gate DPL 0 from CPL 3");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, (word)gate_target, D_CALLGATE | D_DPL(1), 0);
	check_trap(call_far(false, SEL_GATE | 3), GP, SEL_GATE, "gate DPL below RPL");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, (word)gate_target,
		 (D_CALLGATE | D_DPL(3)) & ~D_P, 0);
	check_trap(call_far(true, SEL_GATE), NP, SEL_GATE, "absent gate");
	gate_set(&gdt[SEL_GATE >> 3], 0, (word)gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(call_far(true, SEL_GATE), GP, 0, "gate with a null selector");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KDATA, (word)gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(call_far(true, SEL_GATE), GP, SEL_KDATA, "gate to data");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE32, (word)gate_target, D_CALLGATE | D_DPL(3), 0);
	check_trap(call_far(true, SEL_GATE), GP, SEL_KCODE32, "gate to 32-bit code");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, 0x900000000000ull, D_CALLGATE | D_DPL(3), 0);
	check_trap(call_far(true, SEL_GATE), GP, 0, "gate with a non-canonical offset");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, (word)gate_target, D_CALLGATE | D_DPL(3), 0);
	gdt[(SEL_GATE >> 3) + 1] |= 0x1ull << 40;
	check_trap(call_far(true, SEL_GATE), GP, SEL_GATE, "gate whose upper half has a type");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, (word)gate_target, D_CALLGATE16 | D_DPL(3), 0);
	check_trap(call_far(true, SEL_GATE), GP, SEL_GATE, "a 16-bit call gate");
	gate_set(&gdt[SEL_GATE >> 3], SEL_TSS, 0, D_TASKGATE | D_DPL(3), 0);
	check_trap(call_far(true, SEL_GATE), GP, SEL_GATE, "a task gate");
	check_trap(call_far(false, SEL_TSS), GP, SEL_TSS, "a far call to a TSS");
	check_trap(call_far(false, 0), GP, 0, "a far call to null");
	check_trap(call_far(false, SEL_KDATA), GP, SEL_KDATA, "a far call to data");
	check_trap(call_far(true, SEL_KCODE), GP, SEL_KCODE, "a far call inwards");
}

SNIPPET(landed, "int $0x81");
SNIPPET(conf_jump,
	"lea 1f(%rip), %rax\n mov %eax, (%rdi)\n ljmp *(%rdi)\n 1: mov %cs, %eax\n"
	"push $" STR(SEL_UCODE64) "\n lea 2f(%rip), %rcx\n push %rcx\n lretq\n 2:");

static void conforming(void)
{
	struct trap *t;

	gdt[SEL_CONF >> 3] = 0x00af9e000000ffffull;
	ptr.sel = SEL_CONF;
	t = catch_user(conf_jump, USER(&ptr), 0);
	check_trap(t, NO_TRAP, 0, "jump to a conforming segment from CPL 3");
	check_eq(t->result, SEL_CONF | 3, "the level stays");
	gdt[SEL_CONF >> 3] = 0x00affe000000ffffull; /* DPL 3 */
	ptr.off = (uint32_t)(word)landed;
	check_trap(catch_trap(far_jmp_mem, (word)&ptr, 0), GP, SEL_CONF,
		   "conforming DPL above CPL");
	gdt[SEL_CONF >> 3] = 0x00ef9b000000ffffull;
	check_trap(catch_trap(far_jmp_mem, (word)&ptr, 0), GP, SEL_CONF, "code with L and D");
	gdt[SEL_CONF >> 3] = 0x00af1b000000ffffull;
	check_trap(catch_trap(far_jmp_mem, (word)&ptr, 0), NP, SEL_CONF, "absent code segment");
}

/* far_ret(cs, rip): return there at the same operand size. */
SNIPPET(far_ret, "push %rdi\n push %rsi\n lretq");
/* iret_to(frame): five quadwords at RDI. */
SNIPPET(iret_to, "push 32(%rdi)\n push 24(%rdi)\n push 16(%rdi)\n push 8(%rdi)\n push (%rdi)\n iretq");
SNIPPET(seg_and_exit, "mov %ds, %eax\n mov %es, %ecx\n shl $16, %ecx\n or %ecx, %eax\n"
		      "mov %fs, %ecx\n shl $32, %rcx\n or %rcx, %rax\n mov %gs, %ecx\n shl $48, %rcx\n"
		      "or %rcx, %rax\n int $0x81");
SNIPPET(kernel_segs, "mov %esi, %ds\n mov %esi, %es\n mov %esi, %fs\n mov %esi, %gs\n"
		     "push 32(%rdi)\n push 24(%rdi)\n push 16(%rdi)\n push 8(%rdi)\n push (%rdi)\n iretq");

static word frame[5];
static struct trap *iret_with(word ip, word cs, word flags, word sp, word ss)
{
	frame[0] = ip;
	frame[1] = cs;
	frame[2] = flags;
	frame[3] = sp;
	frame[4] = ss;
	return catch_trap(iret_to, (word)frame, 0);
}

static void far_returns(void)
{
	check_trap(catch_trap(far_ret, SEL_KDATA, 0), GP, SEL_KDATA, "far return to data");
	check_trap(catch_trap(far_ret, 0, 0), GP, 0, "far return to null");
	check_trap(catch_trap(far_ret, SEL_KCODE, 0x900000000000ull), GP, 0,
		   "far return to a non-canonical address");
	check_trap(catch_user(far_ret, SEL_KCODE, 0), GP, SEL_KCODE, "far return inwards");
	check_trap(catch_trap(far_ret, sizeof(gdt), 0), GP, sizeof(gdt),
		   "far return beyond the GDT");
}

static void irets(void)
{
	word usp = USER(user_env.kstack), uip = USER(seg_and_exit);
	struct trap *t;

	t = iret_with(uip, SEL_UCODE64, 2, usp, SEL_UDATA);
	check_trap(t, NO_TRAP, 0, "IRET to CPL 3");
	frame[0] = uip;
	frame[1] = SEL_UCODE64;
	t = catch_trap(kernel_segs, (word)frame, SEL_KDATA);
	check_trap(t, NO_TRAP, 0, "IRET to CPL 3 with kernel segments");
	check_eq(t->result, 0, "segments with DPL < 3 became null");
	t = catch_trap(kernel_segs, (word)frame, SEL_UDATA);
	check_eq(t->result, 0x0023002300230023ull, "segments with DPL 3 stay");
	check_trap(iret_with(uip, SEL_UCODE64, 2, usp, 0), GP, 0, "IRET to CPL 3 with null SS");
	check_trap(iret_with(uip, SEL_UCODE64, 2, usp, SEL_KDATA), GP, SEL_KDATA,
		   "IRET to CPL 3 with a kernel SS");
	check_trap(iret_with(uip, SEL_UCODE64, 2, usp, SEL_UCODE64), GP, SEL_UCODE64 & ~3u,
		   "IRET with code in SS");
	check_trap(iret_with(uip, 3, 2, usp, SEL_UDATA), GP, 0, "IRET with null CS");
	check_trap(iret_with(uip, SEL_UDATA, 2, usp, SEL_UDATA), GP, SEL_UDATA & ~3u,
		   "IRET with data in CS");
	check_trap(iret_with(0x900000000000ull, SEL_UCODE64, 2, usp, SEL_UDATA), GP, 0,
		   "IRET to a non-canonical address");
	gdt_set(SEL_TMP, 0, 0xfffff, (0xf3 | D_G | D_32) & ~D_P);
	check_trap(iret_with(uip, SEL_UCODE64, 2, usp, SEL_TMP | 3), SS, SEL_TMP,
		   "IRET with an absent SS");
	gdt[SEL_TMP >> 3] = 0x00af7b000000ffffull;
	check_trap(iret_with(uip, SEL_TMP | 3, 2, usp, SEL_UDATA), NP, SEL_TMP,
		   "IRET with an absent CS");
}

/* IRET at CPL 3 may not change IF and IOPL, and silently leaves them. */
SNIPPET(user_iret_flags,
	"mov %ss, %eax\n push %rax\n lea 8(%rsp), %rax\n push %rax\n push %rdi\n"
	"mov %cs, %eax\n push %rax\n lea 1f(%rip), %rax\n push %rax\n iretq\n 1: pushf\n pop %rax");
SNIPPET(user_popf, "push %rdi\n popf\n pushf\n pop %rax");
static void flag_rights(void)
{
	struct trap *t;
	word all = FL_IOPL3 | FL_IF | FL_AC | FL_ID | FL_NT | 0x8d5;

	t = catch_user(user_iret_flags, all & ~(word)FL_NT, 0);
	check_eq(t->result, (FL_AC | FL_ID | 0x8d5) | 2, "IRET at CPL 3 keeps IF and IOPL");
	t = catch_user(user_popf, all, 0);
	check_eq(t->result, (FL_AC | FL_ID | FL_NT | 0x8d5) | 2, "POPF at CPL 3 keeps IF and IOPL");
	user_env.flags = 2 | FL_IOPL3;
	t = catch_user(user_popf, all, 0);
	check_eq(t->result, all | 2, "POPF at CPL 3 with IOPL 3 changes IF");
	user_env.flags = 2;
	t = catch_trap(user_popf, FL_RF | FL_VM | FL_VIF | FL_VIP | FL_IOPL3, 0);
	check_eq(t->result & ~(word)0xcd5, FL_IOPL3 | 2, "POPF ignores RF, VM, VIF and VIP");
}

/* 32-bit code in compatibility mode, level 3. */
asm(".code32\n.globl compat_code\ncompat_code:\n"
    "mov $0x12345678, %eax\n push %eax\n pop %ecx\n inc %eax\n" /* 0x40: INC, not REX */
    "mov %esp, %edx\n int $0x81\n.code64");
extern uint8_t compat_code[];
static void compat_mode(void)
{
	word usp = USER(user_env.kstack);
	struct trap *t = iret_with(USER(compat_code), SEL_UCODE32, 2, usp, SEL_UDATA);

	check_trap(t, NO_TRAP, 0, "32-bit code in compatibility mode");
	check_eq(t->result, 0x12345679, "its EAX");
	check_eq(t->f.cx, 0x12345678, "PUSH and POP of 4 bytes");
	check_eq(t->f.dx, (uint32_t)usp, "its ESP");
	check_eq(t->cs, SEL_UCODE32, "its CS");
}

SNIPPET(do_lar, "xor %eax, %eax\n lar %edi, %eax\n jz 1f\n mov $-1, %rax\n 1:");
SNIPPET(do_lsl, "xor %eax, %eax\n lsl %edi, %eax\n jz 1f\n mov $-1, %rax\n 1:");
SNIPPET(do_verr, "xor %eax, %eax\n verr %di\n setz %al");
SNIPPET(do_verw, "xor %eax, %eax\n verw %di\n setz %al");
static void probes(void)
{
	word none = ~0ul;

	gdt_set(SEL_TMP, 0, 0x12345, D_DATA | D_G | D_32);
	check_eq(catch_trap(do_lar, SEL_TMP, 0)->result & 0xf0ff00, 0xc09300, "LAR");
	check_eq(catch_trap(do_lsl, SEL_TMP, 0)->result, 0x12345fff, "LSL, granularity applied");
	check_eq(catch_user(do_lar, SEL_TMP, 0)->result, none, "LAR without the right");
	check_eq(catch_trap(do_lar, SEL_TMP | 3, 0)->result, none, "LAR with RPL above DPL");
	check_eq(catch_trap(do_lar, 0, 0)->result, none, "LAR of null");
	check_eq(catch_trap(do_lsl, SEL_TSS, 0)->result, sizeof(tss) - 1, "LSL of the TSS");
	check_eq(catch_trap(do_verr, SEL_TMP, 0)->result, 1, "VERR");
	check_eq(catch_trap(do_verw, SEL_TMP, 0)->result, 1, "VERW");
	check_eq(catch_user(do_verr, SEL_TMP, 0)->result, 0, "VERR without the right");
	check_eq(catch_trap(do_verw, SEL_KCODE, 0)->result, 0, "VERW of code");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, 0, D_CALLGATE, 0);
	check_eq(catch_trap(do_lar, SEL_GATE, 0)->result, 0x8c00, "LAR of a call gate");
	check_eq(catch_trap(do_lsl, SEL_GATE, 0)->result, none, "LSL of a call gate");
	gate_set(&gdt[SEL_GATE >> 3], SEL_KCODE, 0, D_INTGATE, 0);
	check_eq(catch_trap(do_lar, SEL_GATE, 0)->result, none, "LAR of an interrupt gate");
}

SNIPPET(do_sgdt, "sgdt (%rdi)");
SNIPPET(do_sidt, "sidt (%rdi)");
SNIPPET(do_sldt, "sldt %eax");
SNIPPET(do_str, "str %eax");
SNIPPET(do_smsw, "smsw %eax");
static uint8_t buffer[16];
static void umip(void)
{
	static const struct {
		const char *name;
		uint8_t *code;
	} ops[] = {{"SGDT", do_sgdt}, {"SIDT", do_sidt}, {"SLDT", do_sldt}, {"STR", do_str},
		   {"SMSW", do_smsw}};
	bool has = cpuid(7, 0).c >> 2 & 1;

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		check_trap(catch_user(ops[i].code, USER(buffer), 0), NO_TRAP, 0,
			   "%s at CPL 3", ops[i].name);
	if (!has) {
		check_skip("UMIP", "CPUID has no UMIP");
		return;
	}
	write_cr4(read_cr4() | C4_UMIP);
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		check_trap(catch_user(ops[i].code, USER(buffer), 0), GP, 0,
			   "%s at CPL 3 with UMIP", ops[i].name);
		check_trap(catch_trap(ops[i].code, (word)buffer, 0), NO_TRAP, 0,
			   "%s at CPL 0 with UMIP", ops[i].name);
	}
	write_cr4(read_cr4() & ~(word)C4_UMIP);
}

void guest_test(void)
{
	call_gates();
	conforming();
	far_returns();
	irets();
	flag_rights();
	compat_mode();
	probes();
	umip();
}
