# SPDX-License-Identifier: GPL-2.0-or-later
# A guest for tests of the command line: says "ready" on COM1, sends back what it receives, and does
# as it is told:
#   p power off   r reset   t triple fault   x isa-debug-exit   h halt for good   f flood COM1
# Multiboot 1, built by test_cli.py.
	.set MAGIC, 0x1badb002
	.section .text
	.code32
	.align 4
	.long MAGIC, 0, -MAGIC

	.globl _start
_start:
	mov	$stack_top, %esp
	mov	$0x3f8 + 4, %dx		# DTR, RTS
	mov	$3, %al
	out	%al, %dx
	mov	$ready, %esi
1:	lodsb
	test	%al, %al
	jz	serve
	call	put
	jmp	1b

serve:	mov	$0x3f8 + 5, %dx
	in	%dx, %al
	test	$1, %al
	jz	serve
	mov	$0x3f8, %dx
	in	%dx, %al
	cmp	$'p', %al
	je	power_off
	cmp	$'r', %al
	je	reset
	cmp	$'t', %al
	je	triple
	cmp	$'x', %al
	je	debug_exit
	cmp	$'h', %al
	je	halt
	cmp	$'f', %al
	je	flood
	call	put
	jmp	serve

# Send %al when the transmitter is empty.
put:	mov	%al, %bl
	mov	$0x3f8 + 5, %dx
1:	in	%dx, %al
	test	$0x20, %al
	jz	1b
	mov	%bl, %al
	mov	$0x3f8, %dx
	out	%al, %dx
	ret

power_off:
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	jmp	halt
reset:	mov	$0xcf9, %dx
	mov	$6, %al
	out	%al, %dx
	jmp	halt
triple:	lidt	no_idt
	int3
debug_exit:
	mov	$0xf4, %dx
	mov	$5, %al
	out	%al, %dx
halt:	cli
	hlt
	jmp	halt
flood:	mov	$'#', %al
	call	put
	jmp	flood

ready:	.asciz	"ready\n"
no_idt:	.word	0
	.long	0
	.bss
	.skip	4096
stack_top:
