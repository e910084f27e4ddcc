/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual-8086 mode for 32-bit guest programs: code copied to V86_SEG:V86_CODE runs there. */
#ifndef GUEST_V86_H
#define GUEST_V86_H

#include "real.h"

#define V86_SEG 0x3000
#define V86_CODE 0x1000

struct v86_regs { /* the layout is known to v8632.S */
	uint32_t ip, cs, flags, ax, sp, ss, es, ds, fs, gs, bx, cx, si, di, dx;
};

/*
 * Run [code, end) in virtual-8086 mode with `flags` (VM is added). It ends by an exception or
 * interrupt; snippets use INT 0x82, whose gate is open to CPL 3, to say that they are done.
 */
struct trap *catch_v86(const void *code, const void *end, word flags);
#define V86(name, flags) catch_v86(name, name##_end, flags)

#endif
