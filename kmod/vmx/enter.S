/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world switch. The processor comes back to vmx_left, with flags cleared; when it has refused to go, it goes on
 * there as well, with CF or ZF set.
 *
 * Source: Intel SDM 3C §26 (VM entries), §27.5 (host state), §30.2 (VMfail).
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

/* gprs in the order of their numbers; RSP is in the VMCS. */
#define RAX 0 * 8
#define RCX 1 * 8
#define RDX 2 * 8
#define RBX 3 * 8
#define RBP 5 * 8
#define RSI 6 * 8
#define RDI 7 * 8
#define R(n) n * 8

#define FIELD_HOST_RSP 0x6c14

.text

/* int vmx_switch(u64 *gprs, bool launched) */
SYM_FUNC_START(vmx_switch)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push $0 /* refused? */
	push %rdi
	mov $FIELD_HOST_RSP, %eax
	vmwrite %rsp, %rax

	/* CF: VERW below changes ZF. */
	bt $0, %esi
	mov RAX(%rdi), %rax
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
	jnc .Llaunch
	vmresume
	jmp vmx_left
.Llaunch:
	vmlaunch

SYM_INNER_LABEL(vmx_left, SYM_L_GLOBAL)
	ENDBR
	push %rax
	setna 16(%rsp)
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
	pop RAX(%rax)

	/* Before any return here: what the guest has taught the branch predictor. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
	ALTERNATIVE "jmp .Lno_ibrs", "", X86_FEATURE_KERNEL_IBRS
	mov $MSR_IA32_SPEC_CTRL, %ecx
	mov PER_CPU_VAR(x86_spec_ctrl_current), %rax
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
.Lno_ibrs:
	CLEAR_BRANCH_HISTORY_VMEXIT

	/* Nothing of the guest is left for speculation to use. */
	.irp r, ecx, edx, ebx, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
	xor %\r, %\r
	.endr

	add $8, %rsp
	pop %rax
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(vmx_switch)
