/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry of a 32-bit guest program, from a Multiboot 1 loader. Source: Multiboot 0.6.96 §3.1. */
	.section .multiboot, "a"
	.align	4
	.long	0x1badb002, 2, -(0x1badb002 + 2)

	.text
	.code32
	.globl	start
start:
	cli
	mov	$stack_top, %esp
	mov	%eax, boot_magic
	mov	%ebx, boot_info
	lgdt	gdt_ptr
	ljmp	$0x08, $1f
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	push	$2
	popf
	call	guest_main
2:	cli
	hlt
	jmp	2b

/* One entry for each vector, 16 bytes apart; a zero stands in where no error code is pushed. */
	.align	16
	.globl	trap_stubs
trap_stubs:
	.set	n, 0
	.rept	256
	.align	16
	.if	(n == 8) || (n >= 10 && n <= 14) || (n == 17) || (n == 21)
	.else
	push	$0
	.endif
	push	$n
	jmp	trap_common
	.set	n, n + 1
	.endr

trap_common:
	pusha
	push	%ds
	push	%es
	push	%fs
	push	%gs
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	cld
	mov	%esp, %eax
	call	trap_entry
	.globl	trap_return
trap_return:
	pop	%gs
	pop	%fs
	pop	%es
	pop	%ds
	popa
	add	$8, %esp
	iret

/* int trap_call(struct jump *j, fn, a, b): 0 when fn came back, 1 when trap_jump was called. */
	.globl	trap_call
trap_call:				/* eax = j, edx = fn, ecx = a, stack = b */
	mov	%ebx, 0(%eax)
	mov	%esi, 4(%eax)
	mov	%edi, 8(%eax)
	mov	%ebp, 12(%eax)
	mov	%esp, 16(%eax)
	mov	%edx, %ebx
	mov	4(%esp), %edx
	mov	%ecx, %eax
	call	*%ebx
	jmp	restore_caught

/* int trap_call_user(j, fn, a, b): as trap_call, at CPL 3; see struct user_env. */
	.globl	trap_call_user
trap_call_user:
	mov	%ebx, 0(%eax)
	mov	%esi, 4(%eax)
	mov	%edi, 8(%eax)
	mov	%ebp, 12(%eax)
	mov	%esp, 16(%eax)
	mov	%edx, %ebx		/* fn */
	mov	%ecx, %eax		/* a */
	mov	4(%esp), %edx		/* b */
	mov	user_env+0, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	mov	%ss:user_env+8, %esi	/* stack; the return address is written through the flat kernel view */
	sub	$4, %esi
	mov	%ss:user_env+20, %edi	/* the same address as the kernel sees it */
	mov	%ss:user_env+16, %ebp
	mov	%ebp, %ss:-4(%edi)
	push	%ss:user_env+0
	push	%esi
	push	%ss:user_env+12
	push	%ss:user_env+4
	push	%ebx
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	iret

	.globl	trap_jump
trap_jump:				/* eax = j */
	mov	$0x10, %edx
	mov	%edx, %ss
	mov	%edx, %ds
	mov	%edx, %es
	mov	%edx, %fs
	mov	%edx, %gs
	mov	16(%eax), %esp
	mov	0(%eax), %ebx
	mov	4(%eax), %esi
	mov	8(%eax), %edi
	mov	12(%eax), %ebp
	push	$2
	popf
	ljmp	$0x08, $1f
1:	mov	$1, %eax
	ret

restore_caught:
	mov	%eax, call_result
	xor	%eax, %eax
	ret

/* Where a user function returns to. Position independent. */
	.globl	user_exit
user_exit:
	int	$0x81

	.bss
	.align	16
stack_bottom:
	.skip	65536
	.globl	stack_top
stack_top:
	.skip	65536
	.globl	kernel_entry_stack
kernel_entry_stack:
	.globl	boot_magic, boot_info, call_result
boot_magic:	.long 0
boot_info:	.long 0
call_result:	.long 0
