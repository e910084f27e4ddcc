/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world switch. While GIF is 0 no interrupt, NMI or SMI comes, so nobody sees the processor between two worlds;
 * with IF set there, what comes meanwhile ends the guest at once.
 *
 * Source: AMD APM vol. 2 §15.5 (VMRUN), §15.6 (#VMEXIT), §15.17 (GIF).
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

/* gprs in the order of their numbers; RAX and RSP are in the VMCB. */
#define RCX 1 * 8
#define RDX 2 * 8
#define RBX 3 * 8
#define RBP 5 * 8
#define RSI 6 * 8
#define RDI 7 * 8
#define R(n) n * 8

.text

/* void svm_switch(u64 *gprs, u64 vmcb_pa, u64 host_extra_pa) */
SYM_FUNC_START(svm_switch)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi
	push %rdx

	clgi
	sti
	mov %rdx, %rax
	vmsave %rax
	mov %rsi, %rax
	vmload %rax

	mov RCX(%rdi), %rcx
	mov RDX(%rdi), %rdx
	mov RBX(%rdi), %rbx
	mov RBP(%rdi), %rbp
	mov RSI(%rdi), %rsi
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	mov R(\n)(%rdi), %r\n
	.endr
	mov RDI(%rdi), %rdi

	VM_CLEAR_CPU_BUFFERS
	vmrun %rax

	/* RAX and RSP are ours again. */
	vmsave %rax
	mov 0(%rsp), %rax
	vmload %rax
	cli

	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RETPOLINE

	mov 8(%rsp), %rax
	mov %rcx, RCX(%rax)
	mov %rdx, RDX(%rax)
	mov %rbx, RBX(%rax)
	mov %rbp, RBP(%rax)
	mov %rsi, RSI(%rax)
	mov %rdi, RDI(%rax)
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	mov %r\n, R(\n)(%rax)
	.endr

	/* Before any return here: what the guest has taught the branch predictor. */
	UNTRAIN_RET

	/* Nothing of the guest is left for speculation to use. */
	.irp r, ecx, edx, ebx, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
	xor %\r, %\r
	.endr
	stgi

	add $16, %rsp
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(svm_switch)
