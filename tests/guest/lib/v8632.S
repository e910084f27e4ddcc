/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Into virtual-8086 mode. Source: Intel SDM 3A §20.2. */
	.text
	.code32
/* int trap_call_v86(struct jump *j, struct v86_regs *r): 1 when trap_jump was called. */
	.globl	trap_call_v86
trap_call_v86:				/* eax = j, edx = r */
	mov	%ebx, 0(%eax)
	mov	%esi, 4(%eax)
	mov	%edi, 8(%eax)
	mov	%ebp, 12(%eax)
	mov	%esp, 16(%eax)
	push	36(%edx)		/* gs */
	push	32(%edx)		/* fs */
	push	28(%edx)		/* ds */
	push	24(%edx)		/* es */
	push	20(%edx)		/* ss */
	push	16(%edx)		/* esp */
	push	8(%edx)			/* eflags */
	push	4(%edx)			/* cs */
	push	0(%edx)			/* eip */
	mov	12(%edx), %eax
	mov	44(%edx), %ecx
	mov	40(%edx), %ebx
	mov	48(%edx), %esi
	mov	52(%edx), %edi
	mov	56(%edx), %edx
	iret
