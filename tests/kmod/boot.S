/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector for a BIOS whose real mode is emulated: a character by the VGA's BIOS, the next sector by the disk's, its
 * text on the serial port, 20 ticks of the timer's interrupt, and off by port F4.
 * as --32; ld -Ttext 0x7c00
 */
	.code16
	.globl _start
_start:	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movw $0x0e00 + 'L', %ax
	int $0x10
	movw $0x0201, %ax
	movw $2, %cx
	movb $0, %dh
	movw $next, %bx
	int $0x13
	jc bad
	movw $next, %si
	call say
	sti
	movl 0x46c, %eax
	movw $20, %cx
1:	hlt
	loop 1b
	cmpl 0x46c, %eax
	je bad
	movw $ticks, %si
	call say
	movb $0x10, %al
	outb %al, $0xf4
bad:	movb $1, %al
	outb %al, $0xf4
	hlt

1:	movw $0x3f8, %dx
	outb %al, %dx
say:	lodsb
	testb %al, %al
	jnz 1b
	ret
ticks:	.asciz "@@ticks\n"
	.org 510
	.word 0xaa55
next:	.asciz "@@booted\n"
	.org 65536
