/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Into real mode and back. The code between blob and blob_end is copied to REAL_BASE and runs
 * there with CS = DS = ES = REAL_SEG, SS:SP = REAL_SEG:0xfff0. Source: Intel SDM 3A §9.9.
 */
#define REAL_SEG 0x2000
#define OFS(x) ((x) - blob)

	.text
	.code32
/* void real_enter(void): runs the code at real_code (linear addresses below 1 MiB). */
	.globl	real_enter
real_enter:
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	%esp, saved_esp
	mov	%cr0, %eax
	mov	%eax, saved_cr0
	ljmp	$0x38, $OFS(to_real)		/* 16-bit code at REAL_BASE */
real_back:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	mov	saved_esp, %esp
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret

	.globl	blob, blob_end
	.code16
	.align	16
blob:
to_real:
	mov	%cs:OFS(entry_sel), %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %fs
	mov	%ax, %gs
	mov	$0x40, %ax
	mov	%ax, %ss
	mov	%cr0, %eax
	and	$0xfffffffe, %eax
	mov	%eax, %cr0
	ljmp	$REAL_SEG, $OFS(1f)
1:	mov	$REAL_SEG, %ax
	mov	%ax, %ss
	mov	$0xfff0, %sp
	mov	%ax, %ds
	mov	%ax, %es
	lidtl	OFS(real_idtr)
	movw	$0xffff, OFS(r_vec)
	mov	OFS(r_si), %si
	mov	OFS(r_di), %di
	mov	OFS(r_cx), %ecx
	mov	OFS(r_dx), %edx
	mov	OFS(r_bx), %ebx
	mov	OFS(r_ax), %eax
	call	*OFS(r_code)
real_done:
	pushf
	cli
	cld
	push	%ds
	push	%cs
	pop	%ds
	mov	%eax, OFS(r_ax)
	mov	%ebx, OFS(r_bx)
	mov	%ecx, OFS(r_cx)
	mov	%edx, OFS(r_dx)
	mov	%si, OFS(r_si)
	mov	%di, OFS(r_di)
	pop	%ax
	mov	%ax, OFS(r_ds)
	pop	%ax
	mov	%ax, OFS(r_flags)
to_protected:
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	OFS(real_gdtr)
	lidtl	OFS(prot_idtr)
	mov	OFS(r_cr0), %eax
	mov	%eax, %cr0
	ljmpl	$0x08, $real_back

/* Vector stubs: note the vector and the frame, then give up the function. 8 bytes each. */
	.align	16
real_stubs:
	.set	n, 0
	.rept	64
	.align	8
	pushw	$n
	jmp	real_trap
	.set	n, n + 1
	.endr
real_trap:
	push	%bp
	mov	%sp, %bp
	push	%ds
	push	%cs
	pop	%ds
	push	%ax
	mov	2(%bp), %ax
	mov	%ax, OFS(r_vec)
	mov	4(%bp), %ax
	mov	%ax, OFS(r_ip)
	mov	6(%bp), %ax
	mov	%ax, OFS(r_cs)
	mov	8(%bp), %ax
	mov	%ax, OFS(r_tflags)
	lea	10(%bp), %ax
	mov	%ax, OFS(r_sp)
	pop	%ax
	push	%cs
	pop	%ss
	mov	$0xffee, %sp
	push	%cs
	pop	%ds
	jmp	real_done

	.align	16
	.globl	real_regs
real_regs:
r_code:	.word	0
r_vec:	.word	0
r_ip:	.word	0
r_cs:	.word	0
r_tflags: .word	0
r_sp:	.word	0
r_flags: .word	0
r_ds:	.word	0
r_ax:	.long	0
r_bx:	.long	0
r_cx:	.long	0
r_dx:	.long	0
r_si:	.word	0
r_di:	.word	0
entry_sel: .word 0x40
	.word	0
r_cr0:	.long	0x11
	.globl	real_idtr, real_gdtr, prot_idtr
real_idtr: .word 0x3ff
	.long	0
	.word	0
real_gdtr: .word 0
	.long	0
	.word	0
prot_idtr: .word 0
	.long	0
	.word	0
	.globl	real_stub_offset
	.set	real_stub_offset, real_stubs - blob
	.globl	real_user
real_user:				/* the test's own code is copied behind this */
	.skip	16
blob_end:
	.code32

	.bss
saved_esp: .long 0
saved_cr0: .long 0
