/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text of a decoded instruction, Intel syntax, for traces and error sentences.
 * Source: Intel SDM vol. 2A §3.1.1 (notation).
 *
 * Calls no library and uses no SIMD: it may run while the guest's SIMD registers are live.
 */
#ifndef LODGE_X86_DISASM_H
#define LODGE_X86_DISASM_H

#include <stddef.h>
#include <stdint.h>

#include "x86/decode.h"

/* Enough for any instruction, with its terminating 0. */
#define X86_DISASM_MAX 128

/*
 * Write `insn`, which x86_decode filled and which starts at IP `rip`, to `buf` of `size` bytes:
 * always terminated when size > 0, cut off when too long. Branch targets are absolute. Returns the
 * length of the text written. Any thread.
 */
size_t x86_disasm(char *buf, size_t size, const struct x86_insn *insn, uint64_t rip);

#endif
