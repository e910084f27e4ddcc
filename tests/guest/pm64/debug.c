// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Debug exceptions: single step, execution, data and I/O breakpoints, RF, general detect, INT1,
 * MOV SS, the registers themselves. Source: Intel SDM 3B ch. 17.
 * QEMU 7.2 (TCG): no INT1, no general detect, a read-modify-write reports twice.
 */
#include "guest.h"

#define DR6_INIT 0xffff0ff0u
#define DR6_BS 0x4000
#define DR6_BD 0x2000
#define DR6_BT 0x8000

/* What #DB saw, one entry each. */
static struct {
	word ip, dr6, flags;
} hits[32];
static unsigned nhits;
static word clear_tf_after;
static bool set_rf;

static void on_db(struct frame *f)
{
	if (nhits < ARRAY_SIZE(hits)) {
		hits[nhits].ip = f->ip;
		hits[nhits].dr6 = read_dr6();
		hits[nhits].flags = f->flags;
	}
	nhits++;
	write_dr6(DR6_INIT);
	if (clear_tf_after && nhits >= clear_tf_after)
		f->flags &= ~(word)FL_TF;
	if (set_rf)
		f->flags |= FL_RF;
	if (nhits > 1000) { /* something repeats for ever */
		f->flags &= ~(word)FL_TF;
		write_dr7(0x400);
	}
}

static void begin(void)
{
	nhits = 0;
	clear_tf_after = 0;
	set_rf = false;
	write_dr6(DR6_INIT);
}

static void end(void)
{
	write_dr7(0x400);
}

/* Labels of the code below. */
#define L(n) extern uint8_t n[]
L(ss_1); L(ss_2); L(ss_3); L(ss_4);
SNIPPET(single, "pushf\n orl $0x100, (%rsp)\n popf\n"
		"nop\n ss_1: mov $1, %eax\n ss_2: jmp 1f\n nop\n 1: ss_3: pushf\n andl $~0x100, (%rsp)\n"
		"ss_4: popf\n nop");

static void single_step(void)
{
	begin();
	catch_trap(single, 0, 0);
	/* after NOP, MOV, JMP, PUSHF, AND, and after the POPF that ends it */
	check_eq(nhits, 6, "single step: one trap for each instruction");
	check_eq(hits[0].ip, (word)ss_1, "POPF that sets TF: the trap comes after the next one");
	check_eq(hits[1].ip, (word)ss_2, "after MOV");
	check_eq(hits[2].ip, (word)ss_3, "after JMP: at its target");
	check_eq(hits[0].dr6 & 0xffff, (DR6_INIT | DR6_BS) & 0xffff, "DR6.BS");
	check(hits[0].flags & FL_TF, "the frame has TF");
	check(!(hits[0].flags & FL_RF), "a trap's frame has RF clear");
}

L(rep_end);
SNIPPET(step_rep, "lea -256(%rsp), %rdi\n mov $5, %ecx\n pushf\n orl $0x100, (%rsp)\n popf\n"
		  "rep stosb\n rep_end: nop");
L(int_end);
SNIPPET(step_int, "pushf\n orl $0x100, (%rsp)\n popf\n int $0x40\n int_end: nop");
L(ss_end);
SNIPPET(step_mov_ss, "mov %ss, %eax\n pushf\n orl $0x100, (%rsp)\n popf\n mov %eax, %ss\n nop\n ss_end: nop");
static word int_flags;
static void on_int(struct frame *f)
{
	(void)f;
	int_flags = read_flags();
}

static void step_special(void)
{
	begin();
	clear_tf_after = 5;
	catch_trap(step_rep, 0, 0);
	check_eq(nhits, 5, "single step over REP STOSB: a trap for each iteration");
	check_eq(hits[4].ip, (word)rep_end, "the last behind the instruction");
	check(hits[0].ip != (word)rep_end, "the first on the instruction");
	begin();
	clear_tf_after = 1;
	set_handler(0x40, on_int);
	catch_trap(step_int, 0, 0);
	check_eq(int_flags & FL_TF, 0, "INT n clears TF for the handler");
	check_eq(nhits, 1, "single step over INT n");
	check_eq(hits[0].ip, (word)int_end + 1, "the trap comes one instruction after IRET");
	begin();
	clear_tf_after = 1;
	catch_trap(step_mov_ss, 0, 0);
	check_eq(hits[0].ip, (word)ss_end, "MOV SS holds the trap back by one instruction");
}

L(bp_1); L(bp_2);
SNIPPET(exec_bp, "nop\n bp_1: mov $3, %eax\n bp_2: nop");
static void exec_breakpoints(void)
{
	struct trap *t;

	begin();
	write_dr0((word)bp_1);
	write_dr7(0x402); /* G0, execute, length 1 */
	set_rf = true;
	t = catch_trap(exec_bp, 0, 0);
	check_eq(nhits, 1, "execution breakpoint hits once with RF");
	check_eq(hits[0].ip, (word)bp_1, "it is a fault");
	check_eq(hits[0].dr6 & 0xf, 1, "DR6.B0");
	check(!(hits[0].flags & FL_RF), "its frame has RF clear, unlike that of other faults");
	check_eq(t->result, 3, "the instruction ran after IRET with RF");
	end();

	begin();
	write_dr3((word)bp_2);
	write_dr7(0x440); /* L3 */
	set_rf = true;
	catch_trap(exec_bp, 0, 0);
	check_eq(hits[0].dr6 & 0xf, 8, "DR6.B3 by the local enable");
	end();

	begin();
	write_dr0((word)bp_1);
	write_dr7(0x402);
	set_handler(DB, NULL);
	t = catch_trap(exec_bp, 0, 0);
	check_trap(t, DB, 0, "breakpoint without a handler");
	set_handler(DB, on_db);
	end();

	/* The breakpoint is on a linear address: also in user mode. */
	begin();
	write_dr1(USER(bp_1));
	write_dr7(0x408);
	set_rf = true;
	catch_user(exec_bp, 0, 0);
	check_eq(nhits, 1, "execution breakpoint at CPL 3");
	catch_trap(exec_bp, 0, 0);
	check_eq(nhits, 1, "and not at the other address");
	end();
}

static uint8_t data[32] __attribute__((aligned(16)));
L(d_w1); L(d_r1); L(d_w2); L(d_rmw); L(d_st);
SNIPPET(data_ops, "movb $1, (%rdi)\n d_w1: movb (%rdi), %al\n d_r1: movl $2, 1(%rdi)\n d_w2:"
		  "incl (%rdi)\n d_rmw: nop");
SNIPPET(data_near, "movb $1, 4(%rdi)\n movb $1, -1(%rdi)");
SNIPPET(data_span, "movq $1, -4(%rdi)\n nop");
SNIPPET(data_movs, "mov %rdi, %rsi\n mov $4, %ecx\n rep movsb\n d_st: nop");

static unsigned dr7_for(unsigned n, unsigned rw, unsigned len)
{
	return 0x400 | 2u << (2 * n) | rw << (16 + 4 * n) | len << (18 + 4 * n);
}

static void data_breakpoints(void)
{
	begin();
	write_dr0((word)data);
	write_dr7(dr7_for(0, 1, 3)); /* write, 4 bytes */
	catch_trap(data_ops, (word)data, 0);
	check_eq(nhits, 3, "write breakpoint: three stores");
	check_eq(hits[0].ip, (word)d_w1, "it is a trap: after the store");
	check_eq(hits[1].ip, (word)d_w2, "a store that overlaps it");
	check_eq(hits[2].ip, (word)d_rmw, "a read-modify-write");
	check_eq(hits[0].dr6 & 0x400f, 1, "DR6.B0 and no BS");
	end();

	begin();
	write_dr2((word)data);
	write_dr7(dr7_for(2, 3, 0)); /* read or write, one byte */
	catch_trap(data_ops, (word)data, 0);
	check_eq(nhits, 3, "read-write breakpoint: store, load, read-modify-write");
	check_eq(hits[1].ip, (word)d_r1, "after the load");
	check_eq(hits[1].dr6 & 0xf, 4, "DR6.B2");
	end();

	begin();
	write_dr0((word)data + 4);
	write_dr7(dr7_for(0, 1, 3));
	catch_trap(data_near, (word)data + 4, 0);
	check_eq(nhits, 0, "stores beside the breakpoint");
	catch_trap(data_span, (word)data + 4, 0);
	check_eq(nhits, 1, "a store that ends in it");
	end();

	begin();
	write_dr0((word)data + 8);
	write_dr7(dr7_for(0, 1, 2)); /* 8 bytes */
	catch_trap(data_near, (word)data + 8, 0);
	check_eq(nhits, 1, "8 bytes: the store at +4");
	end();

	begin();
	write_dr0((word)data);
	write_dr7(dr7_for(0, 1, 0));
	catch_trap(data_movs, (word)data, 0);
	check(nhits == 1, "REP MOVSB over a breakpoint reports once");
	end();

	/* A disabled breakpoint that matches may show in DR6, but raises nothing. */
	begin();
	write_dr0((word)data);
	write_dr7(0x400 | 1u << 16 | 3u << 18);
	catch_trap(data_ops, (word)data, 0);
	check_eq(nhits, 0, "disabled breakpoint");
	end();
}

SNIPPET(io_ops, "in $0x80, %al\n mov $0x80, %edx\n in %dx, %al\n in $0x84, %al");
static void io_breakpoints(void)
{
	begin();
	write_cr4(read_cr4() | C4_DE);
	write_dr0(0x80);
	write_dr7(dr7_for(0, 2, 0));
	catch_trap(io_ops, 0, 0);
	check_eq(nhits, 2, "I/O breakpoint with CR4.DE");
	end();
	write_cr4(read_cr4() & ~(word)C4_DE);
}

SNIPPET(rd_dr7, "mov %dr7, %rax");
SNIPPET(rd_dr4, "mov %dr4, %rax");
SNIPPET(wr_dr6, "mov %rdi, %dr6\n mov %dr6, %rax");
SNIPPET(wr_dr7, "mov %rdi, %dr7\n mov %dr7, %rax");
static void registers(void)
{
	struct trap *t;

	begin();
	set_handler(DB, NULL);
	write_dr7(0x2400); /* GD */
	t = catch_trap(rd_dr7, 0, 0);
	check_trap(t, DB, 0, "general detect");
	check_eq(t->ip, (word)rd_dr7, "it is a fault");
	check_eq(t->dr6 & DR6_BD, DR6_BD, "DR6.BD");
	check_eq(read_dr7() & 0x2000, 0, "entering #DB cleared GD");
	end();
	write_dr6(DR6_INIT);
	check_eq(catch_trap(rd_dr4, 0, 0)->result, DR6_INIT, "DR4 is DR6 without CR4.DE");
	write_cr4(read_cr4() | C4_DE);
	check_trap(catch_trap(rd_dr4, 0, 0), UD, 0, "DR4 with CR4.DE");
	write_cr4(read_cr4() & ~(word)C4_DE);
	check_eq(catch_trap(wr_dr6, 0, 0)->result, DR6_INIT, "fixed bits of DR6, zeros");
	check_eq(catch_trap(wr_dr6, 0xffffffff, 0)->result & 0xffff1fff, 0xffff0fff,
		 "fixed bits of DR6, ones");
	check_trap(catch_trap(wr_dr6, 1ull << 32, 0), GP, 0, "high bits of DR6");
	check_eq(catch_trap(wr_dr7, 0, 0)->result, 0x400, "fixed bits of DR7");
	check_trap(catch_trap(wr_dr7, 1ull << 32, 0), GP, 0, "high bits of DR7");
	write_dr6(DR6_INIT);
	write_dr7(0x400);
	t = catch_trap(exec_bp, 0, 0);
	check_trap(t, NO_TRAP, 0, "no breakpoint left");
}

SNIPPET(do_int1, ".byte 0xf1\n nop");
static void int1(void)
{
	begin();
	set_handler(DB, on_db);
	catch_trap(do_int1, 0, 0);
	check_eq(nhits, 1, "INT1");
	check_eq(hits[0].ip, (word)do_int1 + 1, "INT1 is a trap");
	check_eq(hits[0].dr6 & 0x400f, 0, "INT1 sets nothing in DR6");
	end();
}

SNIPPET(sysc, "syscall");
extern uint8_t sysc_in[], sysc_2[];
asm("sysc_in: nop\n sysc_2: mov $2, %r11\n sysretq");
static void step_syscall(void)
{
	wrmsr(0xc0000081, (uint64_t)0x1b << 48 | (uint64_t)SEL_KCODE << 32);
	wrmsr(0xc0000082, (uint64_t)sysc_in);
	wrmsr(0xc0000084, FL_TF);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	begin();
	user_env.flags = 2 | FL_TF;
	catch_user(sysc, 0, 0);
	check_eq(nhits, 0, "SYSCALL with TF masked by SFMASK: no trap, SYSRET cleared TF");
	begin();
	clear_tf_after = 1;
	wrmsr(0xc0000084, 0);
	catch_user(sysc, 0, 0);
	check_eq(hits[0].ip, (word)sysc_in, "SYSCALL with TF: a trap at the kernel's entry");
	user_env.flags = 2;
}

void guest_test(void)
{
	set_handler(DB, on_db);
	single_step();
	step_special();
	exec_breakpoints();
	data_breakpoints();
	io_breakpoints();
	registers();
	int1();
	step_syscall();
}
