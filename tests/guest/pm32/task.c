// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hardware task switches: CALL, JMP, INT, IRET, exceptions through task gates, 16- and 32-bit
 * TSS, busy bits, links, NT, TS, CR3, the T bit, and each error. Source: Intel SDM 3A ch. 7.
 * QEMU 7.2 (TCG): #NP for an absent SS, no T bit.
 */
#include "guest.h"

#define SEL_T2 SEL_SPARE
#define SEL_T3 (SEL_SPARE + 0x08)
#define SEL_GATE (SEL_SPARE + 0x10)
#define SEL_TMP (SEL_SPARE + 0x18)
#define SEL_CODE16T (SEL_SPARE + 0x20) /* code whose base is the 16-bit task's body */
#define SEL_STACK16 (SEL_SPARE + 0x28)
#define SEL_LDTD (SEL_SPARE + 0x30)
#define SEL_H (SEL_SPARE + 0x40) /* four handler tasks */

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs,
		ss, ds, ldt;
};

static struct tss t2, t3, handler[4];
static struct tss16 t16;
static uint8_t stack2[4096] __attribute__((aligned(16)));
static uint8_t stack3[4096] __attribute__((aligned(16)));
static uint8_t stack_h[4096] __attribute__((aligned(16)));

/* What a task saw. */
static volatile struct {
	word eax, ecx, esp, flags, cr0, tr, runs, cr3, ldt, ds, fs;
} seen __asm__("seen") __attribute__((used));
/* What the handler task of an exception saw. */
static volatile struct {
	word vec, err, link, runs;
} fault __asm__("fault") __attribute__((used));

#define SEE                                                                                        \
	"mov %eax, seen\n mov %ecx, seen+4\n mov %esp, seen+8\n pushf\n pop seen+12\n"             \
	"mov %cr0, %eax\n mov %eax, seen+16\n xor %eax, %eax\n str %ax\n mov %eax, seen+20\n"      \
	"incl seen+24\n mov %cr3, %eax\n mov %eax, seen+28\n xor %eax, %eax\n sldt %ax\n"          \
	"mov %eax, seen+32\n mov %ds, %eax\n mov %eax, seen+36\n mov %fs, %eax\n"                  \
	"mov %eax, seen+40\n"
/* Leaves by IRET, or by a jump to the first task; goes round when entered again. */
asm(".globl body_iret\nbody_iret:\n" SEE "mov $0xd00d, %eax\n iret\n jmp body_iret");
asm(".globl body_jmp\nbody_jmp:\n" SEE "ljmp $" STR(SEL_TSS) ", $0\n jmp body_jmp");
asm(".globl body_err\nbody_err:\n pop %ecx\n" SEE "movl $" STR(SEL_UDATA) ", tss+44\n iret\n jmp body_err");
asm(".globl body_int3\nbody_int3:\n" SEE "int3\n");
extern uint8_t body_iret[], body_jmp[], body_err[], body_int3[];

/* A faulting switch ends in one of these, by a task gate. They go back to the first task. */
asm(".globl h_entry\nh_entry:\n"
    "h10: movl $10, fault\n jmp 1f\n .org h_entry+16\n"
    "h11: movl $11, fault\n jmp 1f\n .org h_entry+32\n"
    "h12: movl $12, fault\n jmp 1f\n .org h_entry+48\n"
    "h13: movl $13, fault\n"
    "1: pop fault+4\n incl fault+12\n call task_recover\n ljmp $" STR(SEL_TSS) ", $0\n");
extern uint8_t h_entry[];
static volatile word recover_eip __asm__("recover_eip") __attribute__((used));

void task_recover(void);
void task_recover(void)
{
	struct tss *h = &handler[fault.vec - 10];

	fault.link = h->link & 0xffff;
	gdt[SEL_TSS >> 3] &= ~(2ull << 40); /* not busy: a jump must be able to enter it */
	tss.eip = recover_eip;
	tss.eflags = 2;
	tss.cs = SEL_KCODE;
	tss.ss = tss.ds = tss.es = tss.fs = tss.gs = SEL_KDATA;
}

/* Switch by the far pointer at EAX; EDX and the rest must survive. Returns 0 if all did. */
asm(".globl do_switch\ndo_switch:\n push %ebx\n push %esi\n push %edi\n push %ebp\n"
    "movl $2f, recover_eip\n mov %esp, saved_esp\n"
    "mov $0x11, %ebx\n mov $0x22, %esi\n mov $0x33, %edi\n mov $0x44, %ebp\n mov $0x55, %ecx\n"
    "cmp $0, %edx\n jne 1f\n lcall *(%eax)\n jmp 3f\n 1: cmp $1, %edx\n jne 1f\n ljmp *(%eax)\n jmp 3f\n"
    "1: int $0x50\n"
    "3: mov saved_esp, %edx\n cmp %edx, %esp\n jne 2f\n"
    "cmp $0x11, %ebx\n jne 2f\n cmp $0x22, %esi\n jne 2f\n cmp $0x33, %edi\n jne 2f\n"
    "cmp $0x44, %ebp\n jne 2f\n cmp $0x55, %ecx\n jne 2f\n xor %eax, %eax\n jmp 4f\n"
    "2: mov $1, %eax\n 4: mov saved_esp, %esp\n clts\n pop %ebp\n pop %edi\n pop %esi\n pop %ebx\n ret");
extern word do_switch(const void *ptr, word how);
static word saved_esp __asm__("saved_esp") __attribute__((used));
enum how { BY_CALL, BY_JMP, BY_INT };

static struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) ptr;

static void init_tss(struct tss *t, void *body, uint8_t *stack)
{
	memset(t, 0, sizeof(*t));
	t->eip = (word)body;
	t->eflags = 2;
	t->eax = 0xaaaa;
	t->ecx = 0xcccc;
	t->esp = (word)stack + 4096;
	t->cs = SEL_KCODE;
	t->ss = t->ds = t->es = t->fs = t->gs = SEL_KDATA;
	t->ss0 = SEL_KDATA;
	t->esp0 = (word)stack + 2048;
	t->iomap = sizeof(*t);
	t->cr3 = read_cr3();
}

static void prepare(void)
{
	init_tss(&t2, body_iret, stack2);
	init_tss(&t3, body_iret, stack3);
	gdt_set(SEL_T2, (uint32_t)&t2, 0x67, D_TSS32);
	gdt_set(SEL_T3, (uint32_t)&t3, 0x67, D_TSS32);
	for (unsigned i = 0; i < 4; i++) {
		init_tss(&handler[i], h_entry + 16 * i, stack_h);
		gdt_set(SEL_H + 8 * i, (uint32_t)&handler[i], 0x67, D_TSS32);
		idt_set(10 + i, SEL_H + 8 * i, NULL, D_TASKGATE);
	}
	memset((void *)&seen, 0, sizeof(seen));
	memset((void *)&fault, 0, sizeof(fault));
	gdt_set(SEL_TSS, (uint32_t)&tss, sizeof(tss) - 1, D_TSS32);
	ltr(SEL_TSS);
	tss.cr3 = read_cr3();
	tss.ldt = 0;
	ptr.off = 0;
}

static bool busy(unsigned sel)
{
	return gdt[sel >> 3] >> 41 & 1;
}

static word go(unsigned sel, enum how how)
{
	ptr.sel = (uint16_t)sel;
	return do_switch(&ptr, how);
}

/* An error before the switch is in the old task, one behind it in the new task. */
static void check_fault(unsigned vec, word err, unsigned in, const char *name)
{
	idt_reset();
	check_eq(fault.runs, 1, "%s: one exception", name);
	check_eq(fault.vec, vec, "%s: vector", name);
	check_eq(fault.err, err, "%s: error code", name);
	check_eq(fault.link, in, "%s: the task it belongs to", name);
}

static void calls(void)
{
	prepare();
	check_eq(go(SEL_T2, BY_CALL), 0, "CALL of a TSS and IRET: registers survive");
	check_eq(seen.runs, 1, "the task ran");
	check_eq(seen.eax, 0xaaaa, "its EAX from the TSS");
	check_eq(seen.ecx, 0xcccc, "its ECX");
	check_eq(seen.esp, (word)stack2 + 4096, "its ESP");
	check_eq(seen.tr, SEL_T2, "TR");
	check(seen.flags & FL_NT, "NT is set by CALL");
	check(seen.cr0 & C0_TS, "CR0.TS is set");
	check_eq(t2.link & 0xffff, SEL_TSS, "the link to the caller");
	check(!busy(SEL_T2), "IRET cleared the busy bit");
	check(busy(SEL_TSS), "the caller stays busy");
	check_eq(t2.eax, 0xd00d, "the task's state was saved");
	check(!(t2.eflags & FL_NT), "IRET clears NT in what it saves");
	check_eq(go(SEL_T2, BY_CALL), 0, "CALL again: it goes on where it was");
	check_eq(seen.runs, 2, "it ran again");
	check_eq(seen.eax, 0xd00d, "its EAX is from the saved state");

	prepare();
	gate_set(&gdt[SEL_GATE >> 3], SEL_T2, 0, D_TASKGATE, 0);
	check_eq(go(SEL_GATE, BY_CALL), 0, "CALL of a task gate");
	check_eq(seen.tr, SEL_T2, "TR");
	prepare();
	idt_set(0x50, SEL_T2, NULL, D_TASKGATE);
	check_eq(go(0, BY_INT), 0, "INT through a task gate");
	check_eq(seen.runs, 1, "the task ran");
	check(seen.flags & FL_NT, "NT is set by INT");
	check_eq(seen.esp, (word)stack2 + 4096, "no error code");
}

static void jumps(void)
{
	prepare();
	t2.eip = (word)body_jmp;
	check_eq(go(SEL_T2, BY_JMP), 0, "JMP to a TSS and back");
	check_eq(seen.runs, 1, "the task ran");
	check(!(seen.flags & FL_NT), "NT stays clear");
	check(!busy(SEL_T2), "JMP clears the old task's busy bit");
	check(busy(SEL_TSS), "and sets the new one's");
	check_eq(t2.link, 0, "JMP writes no link");
	/* Nested: T2 calls T3, both return. */
	prepare();
	t2.eip = (word)body_iret;
	t2.link = 0x1234;
	check_eq(go(SEL_T2, BY_CALL), 0, "CALL overwrites the link");
	check_eq(t2.link & 0xffff, SEL_TSS, "the link");
}

SNIPPET(call_t2, "lcall $" STR(SEL_SPARE) ", $0");
SNIPPET(int_50, "int $0x50");
SNIPPET(iret_nt, "pushf\n orl $0x4000, (%esp)\n popf\n iret");
static void from_user(void)
{
	struct trap *t;

	prepare();
	idt_reset();
	check_trap(catch_user(call_t2, 0, 0), GP, SEL_T2, "CALL of a TSS of DPL 0 at CPL 3");
	gdt_set(SEL_T2, (uint32_t)&t2, 0x67, D_TSS32 | D_DPL(3));
	t = catch_user(call_t2, 0, 0);
	check_trap(t, NO_TRAP, 0, "CALL of a TSS of DPL 3 at CPL 3");
	check_eq(seen.tr, SEL_T2, "the task ran");
	check_eq(t->cs, SEL_UCODE32, "and returned to CPL 3");
	prepare();
	idt_reset();
	idt_set(0x50, SEL_T2, NULL, D_TASKGATE);
	check_trap(catch_user(int_50, 0, 0), GP, 0x50 * 8 + 2, "INT, task gate of DPL 0 at CPL 3");
	idt_set(0x50, SEL_T2, NULL, D_TASKGATE | D_DPL(3));
	check_trap(catch_user(int_50, 0, 0), NO_TRAP, 0, "INT, task gate of DPL 3 at CPL 3");
	check_eq(seen.runs, 1, "the task ran");
	asm volatile("clts");
}

SNIPPET(do_gp, "mov $0xffff, %ecx\n mov %ecx, %fs\n mov %fs, %eax\n mov $0x10, %ecx\n mov %ecx, %fs");
/* The error code is on the new task's stack; the instruction succeeds when it runs again. */
static void exceptions(void)
{
	struct trap *t;

	prepare();
	idt_reset();
	t2.eip = (word)body_err;
	idt_set(GP, SEL_T2, NULL, D_TASKGATE);
	t = catch_trap(do_gp, 0, 0);
	idt_reset();
	check_trap(t, NO_TRAP, 0, "#GP through a task gate, and back to the instruction");
	check_eq(seen.runs, 1, "one exception");
	check_eq(seen.ecx, 0xfffc, "its error code");
	check_eq(seen.esp, (word)stack2 + 4096, "popped from the task's stack");
	check_eq(t->result, SEL_UDATA, "FS as the handler wanted it");
	asm volatile("clts");
}

static void errors(void)
{
	prepare();
	gdt[SEL_T2 >> 3] |= 2ull << 40;
	go(SEL_T2, BY_CALL);
	check_fault(GP, SEL_T2, SEL_TSS, "CALL of a busy TSS");
	prepare();
	gdt_set(SEL_T2, (uint32_t)&t2, 0x67, D_TSS32 & ~D_P);
	go(SEL_T2, BY_CALL);
	check_fault(NP, SEL_T2, SEL_TSS, "CALL of an absent TSS");
	prepare();
	gdt_set(SEL_T2, (uint32_t)&t2, 0x66, D_TSS32);
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_T2, SEL_TSS, "CALL of a TSS that is too small");
	prepare();
	gate_set(&gdt[SEL_GATE >> 3], SEL_KDATA, 0, D_TASKGATE, 0);
	go(SEL_GATE, BY_CALL);
	check_fault(GP, SEL_KDATA, SEL_TSS, "task gate to data");
	prepare();
	gate_set(&gdt[SEL_GATE >> 3], SEL_T2, 0, D_TASKGATE & ~D_P, 0);
	go(SEL_GATE, BY_CALL);
	check_fault(NP, SEL_GATE, SEL_TSS, "absent task gate");
	prepare();
	t2.cs = 0;
	go(SEL_T2, BY_CALL);
	check_fault(TS, 0, SEL_T2, "null CS in the TSS");
	prepare();
	t2.cs = SEL_KDATA;
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_KDATA, SEL_T2, "data in CS");
	prepare();
	t2.ss = 0;
	go(SEL_T2, BY_CALL);
	check_fault(TS, 0, SEL_T2, "null SS in the TSS");
	prepare();
	t2.ss = SEL_UDATA;
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_UDATA & ~3u, SEL_T2, "SS of another level");
	prepare();
	gdt_set(SEL_TMP, 0, 0xfffff, (D_DATA | D_G | D_32) & ~D_P);
	t2.ss = SEL_TMP;
	go(SEL_T2, BY_CALL);
	check_fault(SS, SEL_TMP, SEL_T2, "absent SS");
	prepare();
	t2.ds = SEL_TMP;
	go(SEL_T2, BY_CALL);
	check_fault(NP, SEL_TMP, SEL_T2, "absent DS");
	prepare();
	t2.fs = SEL_TSS;
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_TSS, SEL_T2, "a TSS in FS");
	prepare();
	t2.ldt = SEL_KDATA;
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_KDATA, SEL_T2, "data in LDTR");
	prepare();
	gdt_set(SEL_LDTD, (uint32_t)gdt, 0xff, D_LDT & ~D_P);
	t2.ldt = SEL_LDTD;
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_LDTD, SEL_T2, "absent LDT");
	prepare();
	gdt_set(SEL_TMP, 0, 0xff, D_CODE | D_32);
	t2.cs = SEL_TMP;
	go(SEL_T2, BY_CALL);
	check_fault(GP, 0, SEL_T2, "EIP beyond the limit of CS");
	/* IRET with NT and a link that names no busy TSS. */
	prepare();
	idt_reset();
	tss.link = SEL_T2; /* available, not busy */
	check_trap(catch_trap(iret_nt, 0, 0), TS, SEL_T2, "IRET, the link is not busy");
	tss.link = 0;
	check_trap(catch_trap(iret_nt, 0, 0), TS, 0, "IRET, the link is null");
	tss.link = SEL_KDATA;
	check_trap(catch_trap(iret_nt, 0, 0), TS, SEL_KDATA, "IRET, the link is data");
	tss.link = 0;
}

static void with_ldt(void)
{
	static uint64_t ldt_table[4];

	prepare();
	memset(ldt_table, 0, sizeof(ldt_table));
	ldt_table[1] = gdt[SEL_KDATA >> 3];
	gdt_set(SEL_LDTD, (uint32_t)ldt_table, sizeof(ldt_table) - 1, D_LDT);
	t2.ldt = SEL_LDTD;
	t2.fs = 8 | 4;
	check_eq(go(SEL_T2, BY_CALL), 0, "a task with its own LDT");
	check_eq(seen.ldt, SEL_LDTD, "LDTR");
	check_eq(seen.fs, 8 | 4, "FS from the LDT");
	prepare();
	t2.fs = 0;
	check_eq(go(SEL_T2, BY_CALL), 0, "a task with null FS");
	check_eq(seen.fs, 0, "FS");
}

static void t_bit(void)
{
	struct trap *t;

	prepare();
	idt_reset();
	t2.trap = 1;
	write_dr6(0xffff0ff0);
	/* #DB comes in the new task, before its first instruction; the catcher returns from there. */
	t = catch_trap(call_t2, 0, 0);
	check_trap(t, DB, 0, "the T bit of a TSS");
	check_eq(t->ip, (word)body_iret, "before the task's first instruction");
	check_eq(t->dr6 & 0x8000, 0x8000, "DR6.BT");
	asm volatile("clts");
	/* The processor is in T2 now: back to the first task's TSS. */
	gdt[SEL_TSS >> 3] &= ~(2ull << 40);
	ltr(SEL_TSS);
	write_dr6(0xffff0ff0);
}

/* A 16-bit TSS: IP has 16 bits, so its code segment starts at the body. */
static void small(void)
{
	static uint8_t stack16[1024] __attribute__((aligned(16)));

	prepare();
	memset(&t16, 0, sizeof(t16));
	gdt_set(SEL_CODE16T, (uint32_t)body_iret, 0xffff, D_CODE | D_32);
	gdt_set(SEL_STACK16, (uint32_t)stack16, 0x3ff, D_DATA);
	gdt_set(SEL_T2, (uint32_t)&t16, 0x2b, D_TSS16);
	t16.ip = 0;
	t16.flags = 2;
	t16.ax = 0x1234;
	t16.cx = 0x5678;
	t16.sp = 0x400;
	t16.cs = SEL_CODE16T;
	t16.ss = SEL_STACK16;
	t16.ds = t16.es = SEL_KDATA;
	check_eq(go(SEL_T2, BY_CALL), 0, "CALL of a 16-bit TSS and IRET");
	check_eq(seen.runs, 1, "the task ran");
	check_eq(seen.eax & 0xffff, 0x1234, "AX from the TSS");
	check_eq(seen.ecx & 0xffff, 0x5678, "CX");
	check_eq(seen.esp & 0xffff, 0x400, "SP");
	check_eq(seen.tr, SEL_T2, "TR");
	check(seen.flags & FL_NT, "NT");
	check_eq(t16.link, SEL_TSS, "the link");
	check_eq(t16.ax, 0xd00d, "AX was saved");
	check_eq(seen.fs, 0, "FS is null: a 16-bit TSS has none");
	prepare();
	gdt_set(SEL_T2, (uint32_t)&t16, 0x2a, D_TSS16);
	go(SEL_T2, BY_CALL);
	check_fault(TS, SEL_T2, SEL_TSS, "a 16-bit TSS that is too small");
}

void guest_test(void)
{
	calls();
	jumps();
	from_user();
	exceptions();
	errors();
	with_ldt();
	t_bit();
	small();
}
