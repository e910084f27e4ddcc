/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode for 32-bit guest programs. Code is copied to REAL_SEG:REAL_CODE and called there; an
 * exception or interrupt through the vector table ends it and is noted.
 */
#ifndef GUEST_REAL_H
#define GUEST_REAL_H

#include "guest.h"

#define REAL_SEG 0x2000
#define REAL_BASE 0x20000
#define REAL_CODE 0x1000 /* offset of the test's code */

/* The layout is known to real32.S. */
struct real_regs {
	uint16_t code, vec, ip, cs, tflags, sp, flags, ds;
	uint32_t ax, bx, cx, dx;
	uint16_t si, di;
	uint16_t entry_sel; /* loaded into DS, ES, FS, GS before leaving protected mode */
	uint16_t pad;
	uint32_t cr0; /* to come back with */
} __attribute__((packed));
#define REAL_NONE 0xffff

void real_init(void);
void real_set_idt(uint16_t limit, uint32_t base);
struct real_regs *real_state(void);
/* Run [code, end) in real mode; registers in and out are in the result. */
struct real_regs *real_run(const void *code, const void *end);

/* 16-bit code with a label at its end; it returns by RET. REAL(name) runs it. */
#define SNIPPET16(name, text)                                                                      \
	extern uint8_t name[], name##_end[];                                                       \
	asm(".pushsection .text\n.code16\n.globl " #name "\n" #name ":\n" text                     \
	    "\n\tret\n.globl " #name "_end\n" #name "_end:\n.code32\n.popsection")
#define REAL(name) real_run(name, name##_end)
/* Offset in the real-mode segment of a label inside a snippet. */
#define REAL_OFS(name, label) ((uint16_t)(REAL_CODE + ((label) - (name))))

#endif
