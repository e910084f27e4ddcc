// SPDX-License-Identifier: GPL-2.0-or-later
/* The runtime itself: loading, exceptions caught at both levels, user mode and back. */
#include "guest.h"

SNIPPET(t_ud2, "ud2");
SNIPPET(t_nop, "nop");
SNIPPET(t_cli, "cli");
SNIPPET(t_load, "mov (" A0 "), %ecx");
SNIPPET(t_int3, "int3");
SNIPPET(t_getcs, "mov %cs, %eax");

static volatile unsigned ticks;

static void on_soft_int(struct frame *f)
{
	ticks++;
	f->ax = 0x1234;
}

void guest_test(void)
{
	struct trap *t;
	word v;

	check_eq(boot_magic, 0x2badb002, "Multiboot magic in EAX");
	check(boot_info != 0, "Multiboot information in EBX");
	t = catch_trap(t_nop, 0, 0);
	check_trap(t, NO_TRAP, 0, "nothing to catch");
	t = catch_trap(t_ud2, 0, 0);
	check_trap(t, UD, 0, "UD2 at CPL 0");
	check_eq(t->ip, (word)t_ud2, "UD2 is a fault: IP of the instruction");
	check_eq(t->cs, SEL_KCODE, "CS in the frame");
	t = catch_user(t_ud2, 0, 0);
	check_trap(t, UD, 0, "UD2 at CPL 3");
	check_eq(t->ip, USER(t_ud2), "IP of the user instruction");
	check_eq(t->cs, SEL_UCODE, "user CS in the frame");
	check_eq(t->ss, SEL_UDATA, "user SS in the frame");
	t = catch_user(t_nop, 0, 0);
	check_trap(t, NO_TRAP, 0, "user function returns");
	t = catch_user(t_getcs, 0, 0);
	check_eq(t->result, SEL_UCODE, "user function's result");
	t = catch_user(t_cli, 0, 0);
	check_trap(t, GP, 0, "CLI at CPL 3");
	t = catch_trap(t_int3, 0, 0);
	check_trap(t, BP, 0, "INT3 at CPL 0");
	check_eq(t->ip, (word)t_int3 + 1, "INT3 is a trap: IP after the instruction");
	t = catch_user(t_int3, 0, 0);
	check_trap(t, BP, 0, "INT3 at CPL 3");
	set_handler(0x40, on_soft_int);
	asm volatile("int $0x40" : "=a"(v)::"memory");
	check_eq(v, 0x1234, "INT 0x40 and back");
	check_eq(ticks, 1, "the handler ran once");
	set_handler(0x40, NULL);
}
