// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS and FSGSBASE. Source: Intel SDM 2B SYSCALL, SYSRET,
 * SYSENTER, SYSEXIT, 3A §5.8.7, §5.8.8.
 * QEMU 7.2 (TCG): SYSCALL loses arithmetic flags, SYSRET loads VM, addresses go unchecked.
 */
#include "guest.h"

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KGS_BASE 0xc0000102
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define NON_CANONICAL 0x900000000000ull

static volatile word seen[8] __asm__("seen") __attribute__((used));

/* The kernel's entry: note what SYSCALL left, then leave as `leave_by` says. */
asm(".globl sc_entry\nsc_entry:\n"
    "mov %rcx, seen\n mov %r11, seen+8\n pushf\n pop seen+16\n"
    "mov %cs, %edx\n mov %rdx, seen+24\n mov %ss, %edx\n mov %rdx, seen+32\n mov %rsp, seen+40\n"
    "mov sc_rflags, %r11\n"
    "cmpl $1, sc_how\n je 1f\n"
    "sysretq\n"
    "1: mov sc_rip, %ecx\n sysretl\n");
extern uint8_t sc_entry[];
static volatile uint32_t sc_how __asm__("sc_how") __attribute__((used));
static volatile word sc_rip __asm__("sc_rip") __attribute__((used));
static volatile word sc_rflags __asm__("sc_rflags") __attribute__((used));

/* The stack is not switched: RSP stays the user's, which the kernel map does not hold; the entry
 * code uses PUSHF, so give user mode a stack both can see. */
SNIPPET(u_syscall, "mov %rdi, %rcx\n push $0xad7\n popf\n syscall\n.globl sc_back\nsc_back:\n"
		   "pushf\n pop %rax\n mov %rsp, %rsi\n mov %cs, %edi\n mov %ss, %edx");
extern uint8_t sc_back[];
asm(".code32\n.globl sc_back32\nsc_back32: mov %cs, %eax\n mov %ss, %ecx\n int $0x81\n.code64");
extern uint8_t sc_back32[];
SNIPPET(k_sysret, "mov %rdi, %rcx\n mov $2, %r11\n sysretq");

static void set_star(void)
{
	/* SYSCALL: CS = 0x08, SS = 0x10. SYSRET: CS = base + 16, SS = base + 8, base = 0x1b. */
	wrmsr(MSR_STAR, (uint64_t)0x1b << 48 | (uint64_t)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)sc_entry);
	wrmsr(MSR_SFMASK, FL_IF | FL_DF | 0xd5);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}

static void syscalls(void)
{
	struct trap *t;

	sc_rflags = 0x200ad7 & ~(word)FL_IF;
	t = catch_user(u_syscall, 0x1234, 0);
	check_trap(t, NO_TRAP, 0, "SYSCALL and SYSRET");
	check_eq(seen[0], USER(sc_back), "RCX is the return address");
	check_eq(seen[1] & 0xfff, 0x8d7, "R11 is RFLAGS");
	check_eq(seen[2] & 0xfff, 0x802, "RFLAGS masked by SFMASK");
	check_eq(seen[3], SEL_KCODE, "CS from STAR");
	check_eq(seen[4], SEL_KCODE + 8, "SS from STAR");
	check_eq(t->result & 0x200fff, sc_rflags | 2, "SYSRET loads RFLAGS from R11");
	check_eq(t->f.di, SEL_UCODE64, "SYSRET's CS has RPL 3");
	check_eq(t->f.dx, SEL_UDATA, "SYSRET's SS");
	sc_rflags = FL_RF | FL_VM | FL_AC | 0x8d5;
	t = catch_user(u_syscall, 0, 0);
	check_trap(t, NO_TRAP, 0, "SYSRET with RF and VM in R11");
	check_eq(t->result, FL_AC | 0x8d7, "SYSRET clears RF and VM");
	sc_how = 1;
	sc_rip = USER(sc_back32);
	sc_rflags = 2;
	t = catch_user(u_syscall, 0, 0);
	check_trap(t, NO_TRAP, 0, "SYSRET to compatibility mode");
	check_eq(t->result, SEL_UCODE32, "CS is STAR's base");
	check_eq(t->f.cx, SEL_UDATA, "SS is STAR's base + 8");
	sc_how = 0;
	check_trap(catch_user(k_sysret, 0, 0), GP, 0, "SYSRET at CPL 3");
	/* Intel checks the address before it changes the level; AMD faults at CPL 3, at the target. */
	if (!is_amd())
		check_eq(catch_trap(k_sysret, NON_CANONICAL, 0)->cs, SEL_KCODE,
			 "SYSRET to a non-canonical address faults at CPL 0");
	else
		check_trap(catch_trap(k_sysret, NON_CANONICAL, 0), GP, 0,
			   "SYSRET to a non-canonical address");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(uint64_t)EFER_SCE);
	check_trap(catch_user(u_syscall, 0, 0), UD, 0, "SYSCALL with EFER.SCE clear");
	check_trap(catch_trap(k_sysret, USER(sc_back), 0), UD, 0, "SYSRET with EFER.SCE clear");
	check_eq(wrmsr_safe(MSR_LSTAR, NON_CANONICAL), GP, "non-canonical LSTAR");
	check_eq(wrmsr_safe(MSR_CSTAR, NON_CANONICAL), GP, "non-canonical CSTAR");
}

asm(".globl se_entry\nse_entry:\n"
    "mov %cs, %eax\n mov %rax, seen\n mov %ss, %eax\n mov %rax, seen+8\n mov %rsp, seen+16\n"
    "pushf\n pop seen+24\n"
    "mov se_rsp, %rcx\n mov se_rip, %rdx\n rex.w sysexit\n");
extern uint8_t se_entry[];
static volatile word se_rip __asm__("se_rip") __attribute__((used));
static volatile word se_rsp __asm__("se_rsp") __attribute__((used));
SNIPPET(u_sysenter, "sysenter");
SNIPPET(k_sysexit, "rex.w sysexit");
static uint8_t se_stack[4096] __attribute__((aligned(16)));

static void sysenters(void)
{
	struct trap *t;

	if (is_amd()) {
		check_trap(catch_user(u_sysenter, 0, 0), UD, 0, "no SYSENTER in AMD's long mode");
		check_trap(catch_trap(k_sysexit, 0, 0), UD, 0, "no SYSEXIT in AMD's long mode");
		return;
	}
	check_trap(catch_user(u_sysenter, 0, 0), GP, 0, "SYSENTER with SYSENTER_CS = 0");
	check_trap(catch_trap(k_sysexit, 0, 0), GP, 0, "SYSEXIT with SYSENTER_CS = 0");
	/* 32-bit user code and data would be at +16, +24; 64-bit ones at +32, +40. */
	gdt[(SEL_SPARE >> 3) + 0] = gdt[SEL_KCODE >> 3];
	gdt[(SEL_SPARE >> 3) + 1] = gdt[SEL_KDATA >> 3];
	gdt[(SEL_SPARE >> 3) + 4] = gdt[SEL_UCODE64 >> 3];
	gdt[(SEL_SPARE >> 3) + 5] = gdt[SEL_UDATA >> 3];
	wrmsr(MSR_SYSENTER_CS, SEL_SPARE);
	wrmsr(MSR_SYSENTER_ESP, (uint64_t)se_stack + sizeof(se_stack));
	wrmsr(MSR_SYSENTER_EIP, (uint64_t)se_entry);
	se_rip = USER(user_exit);
	se_rsp = USER(user_env.kstack);
	user_env.flags = 2 | FL_IF;
	t = catch_user(u_sysenter, 0, 0);
	user_env.flags = 2;
	check_trap(t, NO_TRAP, 0, "SYSENTER and SYSEXIT");
	check_eq(seen[0], SEL_SPARE, "CS from the MSR");
	check_eq(seen[1], SEL_SPARE + 8, "SS");
	check_eq(seen[2], (word)se_stack + sizeof(se_stack), "RSP from the MSR");
	check_eq(seen[3] & FL_IF, 0, "SYSENTER clears IF");
	check_eq(t->cs, SEL_SPARE + 32 + 3, "SYSEXIT's CS");
	check_eq(t->ss, SEL_SPARE + 40 + 3, "SYSEXIT's SS");
	check_trap(catch_user(k_sysexit, 0, 0), GP, 0, "SYSEXIT at CPL 3");
	check_eq(wrmsr_safe(MSR_SYSENTER_EIP, NON_CANONICAL), GP, "non-canonical SYSENTER_EIP");
	wrmsr(MSR_SYSENTER_CS, 0);
}

SNIPPET(do_swapgs, "swapgs\n mov %gs:0, %rax\n swapgs");
SNIPPET(wrfs, "wrfsbase %rdi\n rdfsbase %rax");
SNIPPET(wrgs, "wrgsbase %rdi\n rdgsbase %rax");
SNIPPET(load_fs_sel, "mov %edi, %fs");
static word value = 0xabcdef;
static void bases(void)
{
	struct trap *t;

	wrmsr(MSR_KGS_BASE, (uint64_t)&value);
	wrmsr(MSR_GS_BASE, 0x1000);
	check_eq(catch_trap(do_swapgs, 0, 0)->result, value, "SWAPGS brings in the kernel's base");
	check_eq(rdmsr(MSR_GS_BASE), 0x1000, "and puts it back");
	wrmsr(MSR_FS_BASE, 0x123456789000ull);
	check_eq(rdmsr(MSR_FS_BASE), 0x123456789000ull, "FS base is 64 bits wide");
	catch_trap(load_fs_sel, SEL_UDATA, 0);
	check_eq(rdmsr(MSR_FS_BASE), 0, "loading FS loads the descriptor's base");
	if (!has_leaf7_b(0)) {
		check_skip("FSGSBASE", "CPUID has no FSGSBASE");
		return;
	}
	check_trap(catch_trap(wrfs, 0, 0), UD, 0, "WRFSBASE with CR4.FSGSBASE clear");
	write_cr4(read_cr4() | C4_FSGSBASE);
	t = catch_user(wrfs, 0x7fff12345678ull, 0);
	check_eq(t->result, 0x7fff12345678ull, "WRFSBASE and RDFSBASE at CPL 3");
	check_eq(rdmsr(MSR_FS_BASE), 0x7fff12345678ull, "the MSR sees it");
	check_eq(catch_trap(wrgs, 0xffff800000000000ull, 0)->result, 0xffff800000000000ull,
		 "WRGSBASE of an upper address");
	check_trap(catch_trap(wrfs, NON_CANONICAL, 0), GP, 0, "WRFSBASE, non-canonical");
	check_trap(catch_trap(wrgs, NON_CANONICAL, 0), GP, 0, "WRGSBASE, non-canonical");
	write_cr4(read_cr4() & ~(word)C4_FSGSBASE);
}

void guest_test(void)
{
	set_star();
	syscalls();
	sysenters();
	bases();
}
