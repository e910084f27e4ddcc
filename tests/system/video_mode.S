/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector: the video mode MODE by the BIOS, then a text that the BIOS draws in it.
 * as --32 --defsym MODE=0x13
 */
	.code16
	.globl _start
_start:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7c00, %sp
	cld
	movw $MODE, %ax
	int $0x10
	movw $text + 0x7c00, %si
1:	lodsb
	testb %al, %al
	jz 2f
	movb $0x0e, %ah
	movw $0x000f, %bx
	int $0x10
	jmp 1b
2:	sti
	hlt
	jmp 2b
text:	.asciz "Lodge"
	.org 510
	.word 0xaa55
