/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of a 64-bit guest program, from a Multiboot 1 loader: identity map, long mode.
 * 0..1 GiB supervisor, 1..2 GiB the same memory for user mode, 2..4 GiB supervisor.
 * Source: Multiboot 0.6.96 §3.1, Intel SDM 3A §9.8.5.
 */
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

	movl	$boot_pdpt + 7, boot_pml4
	mov	$boot_pdpt, %edi
	mov	$boot_pd, %eax
	mov	$4, %ecx
1:	lea	7(%eax), %edx
	mov	%edx, (%edi)
	add	$4096, %eax
	add	$8, %edi
	loop	1b
	mov	$boot_pd, %edi		/* 2 MiB pages */
	mov	$0x83, %eax
	mov	$2048, %ecx
2:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	2b
	mov	$boot_pd + 4096, %edi	/* the user's view of the first GiB */
	mov	$0x87, %eax
	mov	$512, %ecx
3:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	3b

	call	enter_long_mode
	ljmp	$0x08, $start64

/* Also used by application processors. */
	.globl	enter_long_mode
enter_long_mode:
	lgdt	gdt_ptr
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax
	mov	%eax, %cr0
	ret

	.code64
start64:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$stack_top, %rsp
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
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rax
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	and	$-16, %rsp
	call	trap_entry
	mov	%rbx, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/* int trap_call(struct jump *j, fn, a, b): 0 when fn came back, 1 when trap_jump was called. */
	.globl	trap_call
trap_call:				/* rdi = j, rsi = fn, rdx = a, rcx = b */
	mov	%rbx, 0(%rdi)
	mov	%rbp, 8(%rdi)
	mov	%r12, 16(%rdi)
	mov	%r13, 24(%rdi)
	mov	%r14, 32(%rdi)
	mov	%r15, 40(%rdi)
	mov	%rsp, 48(%rdi)
	mov	%rsi, %rax
	mov	%rdx, %rdi
	mov	%rcx, %rsi
	call	*%rax
	mov	%rax, call_result
	xor	%eax, %eax
	ret

/* int trap_call_user(j, fn, a, b): as trap_call, at CPL 3; see struct user_env. */
	.globl	trap_call_user
trap_call_user:
	mov	%rbx, 0(%rdi)
	mov	%rbp, 8(%rdi)
	mov	%r12, 16(%rdi)
	mov	%r13, 24(%rdi)
	mov	%r14, 32(%rdi)
	mov	%r15, 40(%rdi)
	mov	%rsp, 48(%rdi)
	mov	user_env+16, %r8	/* stack as the user sees it */
	sub	$8, %r8
	mov	user_env+40, %r9	/* and as the kernel does */
	mov	user_env+32, %r10
	mov	%r10, -8(%r9)
	push	user_env+0
	push	%r8
	push	user_env+24
	push	user_env+8
	push	%rsi
	mov	user_env+0, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%rdx, %rdi
	mov	%rcx, %rsi
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	iretq

	.globl	trap_jump
trap_jump:				/* rdi = j */
	mov	$0x10, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	mov	48(%rdi), %rsp
	mov	0(%rdi), %rbx
	mov	8(%rdi), %rbp
	mov	16(%rdi), %r12
	mov	24(%rdi), %r13
	mov	32(%rdi), %r14
	mov	40(%rdi), %r15
	push	$2
	popf
	push	$0x08
	push	$1f
	lretq
1:	mov	$1, %eax
	ret

/* Where a user function returns to. Position independent. */
	.globl	user_exit
user_exit:
	int	$0x81

	.bss
	.align	4096
	.globl	boot_pml4, boot_pdpt, boot_pd
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 4096 * 4
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
call_result:	.quad 0
