# SPDX-License-Identifier: GPL-2.0-or-later
# Typical guest blocks for tests/golden: `block NAME, MODE, OFFSET` (64 or 32; in the page), code, `end`.
# A block ends where the translator ends it; code behind it is what its branches go to.

	.macro	block name, mode, off=0x100
	.section golden_blocks, "a"
	.p2align 3, 0
	.long	\mode, \off, 79f - 78f, 77f - 79f
78:	.asciz	"\name"
79:
	.code\mode
	.endm

	.macro	end
77:	.p2align 3, 0
	.endm

# ---- Registers

block mov_and_alu_of_registers, 64
	mov	%rdi, %rax
	mov	$0x12345678, %ecx
	add	%rcx, %rax
	sub	$1, %edx
	and	$0xff, %bl
	imul	$10, %rsi, %rsi
	shl	$4, %rax
	jmp	.
end

block r9_to_r11_live_in_memory, 64
	mov	%rdi, %r9
	add	%r9, %r10
	xor	%r11d, %r11d
	lea	8(%r9,%r10,2), %rax
	xchg	%r10, %r11
	movzbl	%r9b, %r9d
	ret
end

block lea_forms, 64
	lea	(%rdi,%rsi,8), %rax
	lea	0x1000(%rip), %rbx
	lea	(%edi,%esi), %ecx
	lea	4(%r10), %r11
	lea	(%rdi,%rsi), %dx
	lea	0x12345678(,%rbp,4), %r8
	ret
end

block inc_and_dec_of_32_bit_code, 32
	inc	%eax
	dec	%ecx
	inc	%esi
	dec	%edi
	jnz	. - 4
	ret
end

# ---- Memory

block loads_and_stores, 64
	mov	(%rdi), %rax
	mov	%eax, 8(%rdi)
	movzbl	1(%rsi), %ecx
	movslq	(%rsi,%rcx,4), %rdx
	movb	$7, (%rsi)
	mov	%dx, 0x1000(%rbx)
	ret
end

block read_modify_write, 64
	addl	$1, (%rdi)
	xor	%rax, 16(%rdi)
	incq	(%rsi)
	not	%eax
	negb	(%rsi)
	shll	$3, (%rbx)
	ret
end

block r9_to_r11_with_memory, 64
	mov	(%r9), %r10
	mov	%r11, 8(%r9,%r10,4)
	add	%r10d, (%rdi)
	cmp	(%r11), %r9
	ret
end

block high_byte_registers_with_memory, 64
	mov	(%rdi), %ah
	mov	%ch, 1(%rdi)
	add	%dh, (%rsi)
	cmp	%ah, (%rbx)
	mov	%ah, %al
	ret
end

block moffs, 64
	movabs	0x123456789a, %eax
	movabs	%rax, 0x20000000
	ret
end

block rip_relative_operands, 64
	mov	0x1234(%rip), %rax
	addl	$5, -0x40(%rip)
	cmpb	$0, 0x100(%rip)
	je	. + 0x10
	ret
end

block fs_and_gs_operands, 64
	mov	%fs:0x28, %rax
	mov	%rax, %gs:8(%rdi)
	incl	%gs:(%rsi,%rcx,4)
	ret
end

block loads_and_stores_of_32_bit_code, 32
	mov	8(%ebp), %eax
	mov	(%eax,%ecx,4), %edx
	mov	%edx, 0x20000000
	addw	$1, (%bx)
	mov	%fs:0x28, %eax
	ret
end

block bit_strings, 64
	bt	%rax, (%rdi)
	setc	%cl
	btsl	%edx, 4(%rsi)
	btr	%r9w, (%rbx)
	btcq	$5, (%rdi)
	ret
end

# ---- Flags

block flags_live_across_a_load, 64
	cmp	%rsi, %rdi
	mov	(%rbx), %rax
	mov	%rax, 8(%rbx)
	jb	. + 0x20
	ret
end

block flags_dead_at_a_store, 64
	add	%rsi, %rdi
	mov	%rdi, (%rbx)
	test	%rdi, %rdi
	js	. + 0x20
	ret
end

block carry_through_memory, 64
	add	(%rsi), %rax
	adc	8(%rsi), %rdx
	mov	%rax, (%rdi)
	adcq	$0, 8(%rdi)
	ret
end

block setcc_and_cmov, 64
	cmpl	$3, (%rdi)
	sete	%al
	setg	(%rsi)
	cmovbe	(%rbx), %rcx
	cmovne	%r9, %r10
	ret
end

# ---- The stack

block prologue_and_epilogue, 64
	push	%rbp
	mov	%rsp, %rbp
	push	%r10
	push	$0x1234
	pushq	8(%rdi)
	sub	$0x20, %rsp
	add	$0x30, %rsp
	pop	%r10
	pop	%rbx
	leave
	ret
end

block call_in_the_page, 64
	mov	%rdi, %rsi
	call	. + 0x20
end

block call_to_another_page, 64
	call	. + 0x5000
end

block indirect_call_and_return_bytes, 64
	call	*0x10(%rax)
end

block return_that_frees_bytes, 64
	pop	%rcx
	ret	$0x10
end

block call_and_stack_of_32_bit_code, 32
	push	%ebp
	mov	%esp, %ebp
	pushl	8(%ebp)
	call	. + 0x40
end

# ---- Branches

block jcc_in_the_page, 64
	test	%eax, %eax
	je	. + 0x30
	dec	%ecx
	jne	. - 0x80
	add	$1, %rax
	jmp	. + 0x40
end

block jcc_to_another_page, 64
	cmp	$5, %edi
	ja	. + 0x4000
	sub	%rdi, %rax
	jmp	. + 0x3000
end

block loop_to_a_label, 64
	xor	%eax, %eax
1:	add	(%rdi,%rcx,8), %rax
	inc	%rcx
	cmp	%rsi, %rcx
	jb	1b
	ret
end

block loop_with_flags_live_around, 64
1:	adc	(%rsi,%rcx,8), %rax
	mov	%rax, (%rdi,%rcx,8)
	lea	1(%rcx), %rcx
	dec	%edx
	jnz	1b
	setc	%al
	ret
end

block indirect_jump, 64
	movslq	(%rbx,%rax,4), %rax
	add	%rbx, %rax
	jmp	*%rax
end

block followed_jump, 64
	mov	$1, %eax
	jmp	1f
	ud2
1:	add	$2, %eax
	ret
end

block block_that_ends_with_its_page, 64, 0xff0
	mov	%rdi, %rax
	add	%rsi, %rax
	adc	%rdx, %rax
	nopl	(%rax)
	sub	$1, %ecx
	mov	$0x1122334455667788, %rbx
end

# ---- SSE and x87

block sse_loads_and_stores, 64
	movups	(%rdi), %xmm0
	movaps	16(%rdi), %xmm9
	addps	(%rsi), %xmm0
	movd	%r9d, %xmm1
	cvtsi2sdq (%rbx), %xmm2
	movups	%xmm0, (%rdi)
	ucomisd	%xmm2, %xmm1
	ja	. + 0x20
	ret
end

block x87_with_and_without_memory, 64
	fldl	(%rdi)
	fmull	8(%rdi)
	faddp
	fstpl	(%rsi)
	ret
end

# ---- Atomics, and what only S1 does

block lock_cmpxchg_loop, 64
1:	mov	(%rdi), %rax
	lea	1(%rax), %rcx
	lock cmpxchg %rcx, (%rdi)
	jne	1b
	lock xaddl %r9d, (%rsi)
	xchg	%eax, (%rbx)
	ret
end

block locks_where_split_locks_are_dear, 64
	lock incl (%rdi)
	lock incb 4(%rdi)
	lock btsq %rcx, (%rdi)
	xchg	%ax, 8(%rdi)
	xadd	%eax, 8(%rdi)
	ret
end

block slow_operation_in_the_middle, 64
	add	%rsi, %rdi
	rep lodsb
	adc	%rdi, %rax
	xlat
	mov	%rax, (%rbx)
	ret
end

# ---- What a kernel executes

block flags_saved_and_interrupts_off, 64
	test	%rdi, %rdi
	pushf
	cli
	mov	%rax, (%rbx)
	popf
	sti
	nop
	cld
	ret
end

block short_strings, 64
	rep stosq
	rep movsb
	ret
end

block swap_gs_bases, 64
	swapgs
end

block return_to_user_mode, 64
	sysretq
end
