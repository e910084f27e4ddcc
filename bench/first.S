# SPDX-License-Identifier: GPL-2.0-or-later
# Multiboot 1: one byte to the debug console, to which start-up is timed, then HLT for good, during
# which the process must use no CPU.
	.set MAGIC, 0x1badb002
	.section .text
	.code32
	.align 4
	.long MAGIC, 0, -MAGIC
	.globl _start
_start:
	mov	$'!', %al
	out	%al, $0xe9
	cli
1:	hlt
	jmp	1b
