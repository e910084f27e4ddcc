// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fault while a double fault is delivered shuts the processor down; a PC resets.
 * expect: reset
 */
#include "guest.h"

void guest_test(void)
{
	print("ok about to triple fault\n");
	lidt(idt, 0);
	asm volatile("ud2");
	check(false, "still running");
}
