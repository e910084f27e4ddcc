/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of one virtual CPU: one structure for the interpreter, the translator, KVM and saved
 * state. Source: Intel SDM vol. 3A ch. 2 and 3, vol. 1 ch. 13 (XSAVE).
 */
#ifndef LODGE_X86_STATE_H
#define LODGE_X86_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum { R_RAX, R_RCX, R_RDX, R_RBX, R_RSP, R_RBP, R_RSI, R_RDI,
       R_R8, R_R9, R_R10, R_R11, R_R12, R_R13, R_R14, R_R15 };

/* Segment registers in the order of their encoding. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/*
 * Hidden part of a segment register. `attr` holds descriptor bits 40..55 (type, S, DPL, P, limit
 * 19:16 cleared, AVL, L, D/B, G), that is: type in bits 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13,
 * D/B 14, G 15. `limit` is in bytes, granularity applied.
 */
#define SEG_ATTR_TYPE 0x000fu
#define SEG_ATTR_ACCESSED 0x0001u
#define SEG_ATTR_WRITE 0x0002u  /* data: writable; code: readable */
#define SEG_ATTR_EXPDOWN 0x0004u /* data: expand-down; code: conforming */
#define SEG_ATTR_CODE 0x0008u
#define SEG_ATTR_S 0x0010u
#define SEG_ATTR_DPL_SHIFT 5
#define SEG_ATTR_P 0x0080u
#define SEG_ATTR_AVL 0x1000u
#define SEG_ATTR_L 0x2000u
#define SEG_ATTR_DB 0x4000u
#define SEG_ATTR_G 0x8000u

struct x86_seg {
	uint64_t base;
	uint32_t limit;
	uint16_t sel;
	uint16_t attr;
	bool unusable; /* null selector loaded: any use faults (except in 64-bit mode) */
};

struct x86_dtable {
	uint64_t base;
	uint16_t limit;
};

/* EFLAGS */
#define FLAG_CF 0x0001u
#define FLAG_FIXED 0x0002u
#define FLAG_PF 0x0004u
#define FLAG_AF 0x0010u
#define FLAG_ZF 0x0040u
#define FLAG_SF 0x0080u
#define FLAG_TF 0x0100u
#define FLAG_IF 0x0200u
#define FLAG_DF 0x0400u
#define FLAG_OF 0x0800u
#define FLAG_IOPL 0x3000u
#define FLAG_IOPL_SHIFT 12
#define FLAG_NT 0x4000u
#define FLAG_RF 0x10000u
#define FLAG_VM 0x20000u
#define FLAG_AC 0x40000u
#define FLAG_VIF 0x80000u
#define FLAG_VIP 0x100000u
#define FLAG_ID 0x200000u
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE 0x00000001u
#define CR0_MP 0x00000002u
#define CR0_EM 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_ET 0x00000010u
#define CR0_NE 0x00000020u
#define CR0_WP 0x00010000u
#define CR0_AM 0x00040000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME 0x000001u
#define CR4_PVI 0x000002u
#define CR4_TSD 0x000004u
#define CR4_DE 0x000008u
#define CR4_PSE 0x000010u
#define CR4_PAE 0x000020u
#define CR4_MCE 0x000040u
#define CR4_PGE 0x000080u
#define CR4_PCE 0x000100u
#define CR4_OSFXSR 0x000200u
#define CR4_OSXMMEXCPT 0x000400u
#define CR4_UMIP 0x000800u
#define CR4_FSGSBASE 0x010000u
#define CR4_PCIDE 0x020000u
#define CR4_OSXSAVE 0x040000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u

#define DR6_FIXED 0xffff0ff0u
#define DR6_BD 0x2000u
#define DR6_BS 0x4000u
#define DR6_BT 0x8000u
#define DR7_FIXED 0x400u
#define DR7_GD 0x2000u

#define EFER_SCE 0x001u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u
#define EFER_FFXSR 0x4000u
#define EFER_AUTOIBRS 0x200000u

/* Exception vectors. */
enum {
	VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6,
	VEC_NM = 7, VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14,
	VEC_MF = 16, VEC_AC = 17, VEC_MC = 18, VEC_XM = 19,
};

/* #PF error code */
#define PF_P 1u
#define PF_W 2u
#define PF_U 4u
#define PF_RSVD 8u
#define PF_I 16u

#define X86_XSAVE_BYTES 1024 /* legacy 512 + header 64 + YMM_Hi128 256, rounded */
#define X86_MTRR_FIXED 11
#define X86_MTRR_VAR 8

enum x86_run_state {
	X86_RUNNING,
	X86_HALTED,
	X86_WAIT_SIPI,
	X86_SHUTDOWN, /* a triple fault: until reset */
};

/* x86_state.int_shadow: what blocks events until the next instruction ends. */
#define X86_SHADOW_STI 1u /* interrupts */
#define X86_SHADOW_SS 2u  /* MOV SS, POP SS: interrupts and debug exceptions */

#define X86_HV_SINTS 16
#define X86_HV_STIMERS 4
#define X86_HV_SINT_MASKED 0x10000u

struct x86_state {
	uint64_t gpr[16];
	uint64_t zero; /* always 0: where an absent base or index register points */
	uint64_t rip;
	uint64_t rflags; /* always canonical: bit 1 set, reserved bits clear */

	struct x86_seg seg[SEG_COUNT];
	struct x86_seg ldtr, tr;
	struct x86_dtable gdtr, idtr;

	uint64_t cr0, cr2, cr3, cr4;
	uint64_t efer;
	uint64_t dr[8]; /* 4 and 5 unused */
	uint64_t xcr0;
	uint64_t pdpte[4]; /* PAE paging: loaded by MOV to CR0, CR3, CR4 (SDM 3A §4.4.1) */

	/* MSRs that live in the CPU. */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_offset; /* guest TSC = host TSC + offset */
	uint64_t tsc_aux;
	uint64_t pat;
	uint64_t misc_enable;
	uint64_t debugctl;
	uint64_t mtrr_def_type, mtrr_fixed[X86_MTRR_FIXED];
	struct {
		uint64_t base, mask;
	} mtrr_var[X86_MTRR_VAR];
	uint64_t spec_ctrl;
	uint64_t mcg_status, mcg_ctl;
	uint64_t tsc_adjust;
	uint64_t hwcr, syscfg; /* AMD: C001_0015, C001_0010 */

	/* What is pending between two instructions. */
	uint8_t run_state;    /* enum x86_run_state */
	bool nmi_pending;
	bool nmi_blocked;     /* until IRET */
	uint8_t int_shadow;   /* X86_SHADOW_*: no interrupt before the next instruction ends */
	bool init_pending;
	bool sipi_pending;
	uint8_t sipi_vector;
	/* An interrupt that the controller has handed over, and that is to be delivered before all else. */
	bool irq_taken;
	uint8_t irq_vector;
	bool smi_seen;

	/* x87, SSE, AVX in the standard (non-compacted) XSAVE layout. */
	_Alignas(64) uint8_t xsave[X86_XSAVE_BYTES];

	/* MSRs of the hypervisor, which KVM alone has: where it keeps what for the guest. */
	struct {
		uint64_t system_time, wall_clock, steal_time, eoi, poll_control;
	} pv;
	struct {
		uint64_t guest_os_id, hypercall, reference_tsc, runtime, apic_assist;
		uint64_t scontrol, siefp, simp, sint[X86_HV_SINTS];
		uint64_t stimer[2 * X86_HV_STIMERS]; /* configuration, count */
	} hv;
};

/* Current privilege level: the DPL of SS (SDM 3A §5.5); 0 in real mode, 3 in VM86. */
static inline unsigned x86_cpl(const struct x86_state *s)
{
	return (s->seg[SEG_SS].attr >> SEG_ATTR_DPL_SHIFT) & 3;
}

/* Power-on state (SDM 3A table 9-1). `bsp` decides between running and waiting for SIPI. */
void x86_state_reset(struct x86_state *s, bool bsp);
/* After INIT: as reset, but x87/SSE/AVX, TSC, MTRRs and MSRs named in SDM 3A §9.1 keep. */
void x86_state_init_ipi(struct x86_state *s, bool bsp);

#endif
