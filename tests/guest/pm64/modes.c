// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between the modes: 64-bit to compatibility (32 and 16 bits), out of long mode to protected and
 * to real mode and back, what survives and what is checked on the way.
 * Source: Intel SDM 3A §9.8.5, §9.9, table 4-1; AMD APM 2 §14.
 */
#include "guest.h"

#define SEL_CODE16 SEL_SPARE
#define LOW 0x20000u

/* results: what each mode saw */
static volatile uint32_t seen[16] __asm__("seen") __attribute__((used));

/* Runs at LOW, identity mapped: 64-bit, compatibility, protected, real and all the way back. */
asm(".pushsection .text\n"
    ".globl trip, trip_end\n"
    "trip:\n"
    ".code64\n"
    "	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	mov %rsp, trip_rsp\n"
    "	mov $0x1122334455667788, %r12\n"
    "	ljmp *trip_far\n"
    /* compatibility mode, still paged */
    ".code32\n"
    ".globl trip32\n"
    "trip32:\n"
    "	mov $0x10, %eax\n mov %eax, %ds\n mov %eax, %ss\n mov %eax, %es\n"
    "	mov $0xc0000080, %ecx\n rdmsr\n mov %eax, seen+0\n"
    "	mov %cr0, %eax\n and $0x7fffffff, %eax\n mov %eax, %cr0\n" /* leave long mode */
    "	jmp 1f\n 1:\n"
    "	rdmsr\n mov %eax, seen+4\n"
    "	mov %cr4, %eax\n mov %eax, seen+8\n"
    "	and $~0x20, %eax\n mov %eax, %cr4\n" /* PAE off is allowed now */
    "	mov %cr4, %eax\n mov %eax, seen+12\n"
    "	btr $8, %edi\n rdmsr\n btr $8, %eax\n wrmsr\n rdmsr\n mov %eax, seen+16\n"
    "	sidt trip_idt64\n"
    "	ljmp $0x38, $trip16 - trip\n"
    ".code16\n"
    "trip16:\n"
    "	mov $0x40, %ax\n mov %ax, %ds\n mov %ax, %es\n mov %ax, %ss\n"
    "	mov %cr0, %eax\n and $0xfe, %al\n mov %eax, %cr0\n"
    "	ljmp $0x2000, $1f - trip\n"
    "1:	mov %cs, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0xff00, %sp\n"
    "	movl $0x5a5a5a5a, 0x8000\n" /* at 0x28000 */
    "	smsw %ax\n mov %ax, 0x8004\n"
    "	pushw $0x1234\n popw 0x8006\n"
    "	lgdtl trip_gdt - trip\n"
    "	mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n"
    "	ljmpl $0x30, $trip_back\n"
    "trip_gdt: .word 0x2ff\n .long gdt\n"
    "trip_end:\n"
    ".code32\n"
    "trip_back:\n"
    "	mov $0x10, %eax\n mov %eax, %ds\n mov %eax, %ss\n mov %eax, %es\n"
    "	mov trip_rsp, %esp\n"
    "	mov $0xc0000080, %ecx\n"
    "	mov %cr4, %eax\n or $0x20, %eax\n mov %eax, %cr4\n"
    "	rdmsr\n or $0x100, %eax\n wrmsr\n rdmsr\n mov %eax, seen+20\n"
    "	mov $boot_pml4, %eax\n mov %eax, %cr3\n"
    "	mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
    "	rdmsr\n mov %eax, seen+24\n"
    "	ljmp $0x08, $trip64\n"
    ".code64\n"
    "trip64:\n"
    "	mov trip_rsp, %rsp\n"
    "	mov %r12, %rax\n"
    "	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "	ret\n"
    ".popsection\n");
extern uint8_t trip[], trip_end[], trip32[];
static uint64_t trip_rsp __asm__("trip_rsp") __attribute__((used));
static uint8_t trip_idt64[16] __asm__("trip_idt64") __attribute__((used));
static struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) trip_far __asm__("trip_far") __attribute__((used));

static void round_trip(unsigned n)
{
	word result;

	memcpy((void *)(word)LOW, trip, (size_t)(trip_end - trip));
	gdt_set(SEL_KCODE16, LOW, 0xffff, D_CODE);
	/* The part in 64-bit and compatibility mode runs where it was linked. */
	trip_far.off = (uint32_t)(word)trip32;
	trip_far.sel = SEL_KCODE32;
	memset((void *)seen, 0, sizeof(seen));
	*(volatile uint64_t *)0x28000 = 0;
	result = ((word(*)(void))(void *)trip)();
	tables_load();
	check_eq(seen[0] & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA,
		 "trip %u: LMA in compatibility mode", n);
	check_eq(seen[1] & (EFER_LME | EFER_LMA), EFER_LME, "clearing PG clears LMA");
	check_eq(seen[2] & C4_PAE, C4_PAE, "PAE is still there");
	check_eq(seen[3] & C4_PAE, 0, "and can go outside long mode");
	check_eq(seen[4] & (EFER_LME | EFER_LMA), 0, "LME cleared");
	check_eq(*(volatile uint32_t *)0x28000, 0x5a5a5a5a, "real mode stored");
	check_eq(*(volatile uint16_t *)0x28004 & 1, 0, "with PE clear");
	check_eq(*(volatile uint16_t *)0x28006, 0x1234, "and has a stack");
	check_eq(seen[5] & (EFER_LME | EFER_LMA), EFER_LME, "LME set again, LMA not yet");
	check_eq(seen[6] & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA, "PG sets LMA");
	/* On real processors R8 to R15 outlive a stay outside 64-bit mode. */
	check_eq(result, 0x1122334455667788ull, "R12 survived");
}

/* 16-bit code in compatibility mode at CPL 3. */
asm(".pushsection .text\n.code16\n.globl compat16, compat16_end\ncompat16:\n"
    "mov $0x1234, %ax\n push %ax\n pop %bx\n mov %sp, %cx\n mov $0xffff, %si\n inc %si\n"
    "addl $0x10000, %edx\n int $0x81\ncompat16_end:\n.code64\n.popsection");
extern uint8_t compat16[], compat16_end[];
SNIPPET(iret_to, "push 32(%rdi)\n push 24(%rdi)\n push 16(%rdi)\n push 8(%rdi)\n push (%rdi)\n iretq");

static void compat_16(void)
{
	word frame[5] = {0, SEL_CODE16 | 3, 2, 0x8000, SEL_UDATA};
	struct trap *t;

	memcpy((void *)(word)LOW, compat16, (size_t)(compat16_end - compat16));
	gdt_set(SEL_CODE16, LOW + 0x40000000, 0xffff, D_CODE | D_DPL(3));
	gdt_set(SEL_SPARE + 8, LOW + 0x40000000, 0xffff, D_DATA | D_DPL(3));
	frame[4] = (SEL_SPARE + 8) | 3;
	t = catch_trap(iret_to, (word)frame, 0);
	check_trap(t, NO_TRAP, 0, "16-bit code in compatibility mode");
	check_eq(t->f.ax & 0xffff, 0x1234, "AX");
	check_eq(t->f.bx & 0xffff, 0x1234, "PUSH and POP of two bytes");
	check_eq(t->f.cx & 0xffff, 0x8000, "SP");
	check_eq(t->f.si & 0xffff, 0, "16-bit arithmetic");
	check_eq(t->cs, SEL_CODE16 | 3, "CS");
}

/* Segment bases and limits count in compatibility mode, and not in 64-bit mode. */
asm(".pushsection .text\n.code32\n.globl compat_seg\ncompat_seg:\n"
    "mov %fs:(%edx), %al\n int $0x81\n.code64\n.popsection");
extern uint8_t compat_seg[];
SNIPPET(iret_fs, "mov %esi, %fs\n push 32(%rdi)\n push 24(%rdi)\n push 16(%rdi)\n push 8(%rdi)\n"
		 "mov 40(%rdi), %rdx\n push (%rdi)\n iretq");
static void compat_segments(void)
{
	static uint8_t data[16] = {1, 2, 3, 4, 5, 6, 7, 8};
	word frame[6] = {USER(compat_seg), SEL_UCODE32, 2, USER(user_env.kstack), SEL_UDATA, 0};
	unsigned sel = SEL_SPARE + 16;
	struct trap *t;

	gdt_set(sel, (uint32_t)USER(data), 7, D_DATA | D_32 | D_DPL(3));
	frame[5] = 5;
	t = catch_trap(iret_fs, (word)frame, sel | 3);
	check_trap(t, NO_TRAP, 0, "FS in compatibility mode");
	check_eq(t->f.ax & 0xff, 6, "its base counts");
	frame[5] = 8;
	if (!qemu_lacks("limits in compatibility mode"))
		check_trap(catch_trap(iret_fs, (word)frame, sel | 3), GP, 0, "its limit counts");
}

SNIPPET(wr_cr0, "mov %rdi, %cr0");
SNIPPET(wr_efer, "mov $0xc0000080, %ecx\n mov %edi, %eax\n xor %edx, %edx\n wrmsr");
static void mode_checks(void)
{
	if (qemu_lacks("mode checks"))
		return;
	check_trap(catch_trap(wr_cr0, read_cr0() & ~(word)C0_PG, 0), GP, 0,
		   "PG cannot be cleared in 64-bit code");
	check_trap(catch_trap(wr_efer, (rdmsr(MSR_EFER) & ~(word)EFER_LME), 0), GP, 0,
		   "LME cannot change with paging on");
}

void guest_test(void)
{
	round_trip(1);
	round_trip(2);
	compat_16();
	compat_segments();
	mode_checks();
}
