/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed part of test_random_guest.py's guests: tables that make every exception and interrupt
 * go on with the next piece of random code. The pieces' offsets follow `table`, their count is in
 * `pieces`; both are filled in by the test. With `-defsym LONG=1` the pieces run in 64-bit mode.
 */
	.equ	BASE, 0x100000
	.code32
	.globl	start
start:
	.long	0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)
	.long	BASE, BASE, 0, BASE + 0x200000, BASE + 32
entry:
	mov	$BASE + 0x100000, %esp
	cld
	mov	$idt, %edi
	mov	$256, %ecx
	mov	$again, %eax
1:
	mov	%ax, (%edi)
	movw	$8, 2(%edi)
	movw	$0x8e00, 4(%edi)
	ror	$16, %eax
	mov	%ax, 6(%edi)
	ror	$16, %eax
.ifdef LONG
	movl	$0, 8(%edi)
	movl	$0, 12(%edi)
	add	$8, %edi
.endif
	add	$8, %edi
	loop	1b
	lgdt	gdtr
	ljmp	$8, $2f
2:
.ifdef LONG
	movl	$0x10, 0(%esp)
	mov	$pml4, %edi
	movl	$pdpt + 7, (%edi)
	mov	$pdpt, %edi
	movl	$0x87, (%edi)			/* 1 GiB pages: the first, */
	movl	$0xc0000087, 24(%edi)		/* and the devices' */
	mov	%cr4, %eax
	or	$0x6a0, %eax
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x901, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax
	mov	%eax, %cr0
	lgdt	gdtr64
	lidt	idtr
	ljmp	$8, $again
	.code64
.else
	lidt	idtr
.endif
	/* Whatever happened: usable segments and stack again, then the next piece. */
again:
	mov	$0x10, %eax
	mov	%eax, %ss
	mov	$BASE + 0x100000, %esp
	mov	%eax, %ds
	mov	%eax, %es
.ifdef LONG
	mov	next(%rip), %ecx
	inc	%ecx
	cmp	pieces(%rip), %ecx
	jb	3f
	xor	%ecx, %ecx
3:	mov	%ecx, next(%rip)
	lea	table(%rip), %rbx
	mov	(%rbx,%rcx,4), %eax
	jmp	*%rax
.else
	mov	next, %ecx
	inc	%ecx
	cmp	pieces, %ecx
	jb	3f
	xor	%ecx, %ecx
3:	mov	%ecx, next
	mov	table(,%ecx,4), %eax
	jmp	*%eax
.endif

	.align	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff
	.quad	0x00cffb000000ffff, 0x00cff3000000ffff, 0x0000890000001000, 0
gdt64:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
	.quad	0x00affb000000ffff, 0x00cff3000000ffff, 0x0000890000001000, 0
gdtr:	.word	63
	.long	gdt
gdtr64:	.word	63
	.long	gdt64
	.align	8
idtr:	.word	4095
	.long	idt, 0
	.globl	again_at, next, pieces, table
again_at: .long	again
next:	.long	0
pieces:	.long	0
	.equ	pml4, BASE + 0x180000
	.equ	pdpt, BASE + 0x181000
	.equ	idt, BASE + 0x182000
	.align	4
table:
