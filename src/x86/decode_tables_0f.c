// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two-byte map (0F xx), legacy encodings.
 * Source: Intel SDM vol. 2D appendix A tables; AMD APM vol. 3 appendix A.
 */
#include "x86/decode_int.h"

/* clang-format off */

#define ROW8(base, ...)                                                                            \
	[(base) + 0] = __VA_ARGS__, [(base) + 1] = __VA_ARGS__, [(base) + 2] = __VA_ARGS__,        \
	[(base) + 3] = __VA_ARGS__, [(base) + 4] = __VA_ARGS__, [(base) + 5] = __VA_ARGS__,        \
	[(base) + 6] = __VA_ARGS__, [(base) + 7] = __VA_ARGS__
#define ROW16(base, ...) ROW8(base, __VA_ARGS__), ROW8((base) + 8, __VA_ARGS__)
#define NP(...) PP(__VA_ARGS__, U, U, U)

#define HO F_HOST
#define HA (F_HOST | F_ALIGN)

/* PS and PD; PS, PD, SS and SD. */
#define PSPD(op) PP(M(op##PS, SSE, HA, Vo_m, Wo_r), M(op##PD, SSE2, HA, Vo_m, Wo_r), U, U)
#define FP(op)                                                                                     \
	PP(M(op##PS, SSE, HA, Vo_m, Wo_r), M(op##PD, SSE2, HA, Vo_m, Wo_r),                        \
	   M(op##SS, SSE, HO, Vo_m, Wd_r), M(op##SD, SSE2, HO, Vo_m, Wq_r))
/* Integer vectors: the MMX form, which needs `ft`, and the XMM form. */
#define MX(op, ft) PP(M(op, ft, HO, Pq_m, Qq_r), M(op, SSE2, HA, Vo_m, Wo_r), U, U)
#define MXL(op) PP(M(op, MMX, HO, Pq_m, Qd_r), M(op, SSE2, HA, Vo_m, Wo_r), U, U)
#define X66(...) PP(U, M(__VA_ARGS__), U, U)
/* Shift by immediate. */
#define SHI(op) PP(M(op, MMX, HO, Nq_m, Ib_r), M(op, SSE2, HO, Uo_m, Ib_r), U, U)

static const struct x86_ent group6[8] = {
	M(SLDT, NONE, 0, RvMw_w),
	M(STR, NONE, 0, RvMw_w),
	M(LLDT, NONE, F_PRIV, Ew_r),
	M(LTR, NONE, F_PRIV, Ew_r),
	M(VERR, NONE, 0, Ew_r),
	/* LOCK VERW is in no manual, but AMD's family 19h takes it. */
	MAKER(M(VERW, NONE, F_LOCK, Ew_r), M(VERW, NONE, 0, Ew_r)),
	U, /* JMPE */
	U,
};

static const struct x86_ent group7_mem[8] = {
	M(SGDT, NONE, F_NATIVE, Ms_w),
	M(SIDT, NONE, F_NATIVE, Ms_w),
	M(LGDT, NONE, F_NATIVE | F_PRIV, Ms_r),
	M(LIDT, NONE, F_NATIVE | F_PRIV, Ms_r),
	M(SMSW, NONE, 0, RvMw_w),
	U, /* RSTORSSP */
	M(LMSW, NONE, F_PRIV, Ew_r),
	M(INVLPG, NONE, F_PRIV, M_n),
};

static const struct x86_ent group7_reg[8] = {
	/* ENCLV, VMCALL, VMLAUNCH, VMRESUME, VMXOFF, PCONFIG, WRMSRNS */
	RM(U, NP(M(VMCALL, NONE, 0)), U, U, U, U, U, U),
	RM(NP(M(MONITOR, MONITOR, 0, mAX_n, iyCX_r, iyDX_r)),
	   NP(M(MWAIT, MONITOR, 0, iyCX_r, iyAX_r)),
	   NP(M(CLAC, SMAP, 0)), NP(M(STAC, SMAP, 0)), U, U, U, U),
	/* VMFUNC, XEND, XTEST, ENCLU */
	RM(NP(M(XGETBV, XSAVE, 0, iECX_r, iEDX_w, iEAX_w)),
	   NP(M(XSETBV, XSAVE, F_PRIV, iECX_r, iEDX_r, iEAX_r)), U, U, U, U, U, U),
	/* VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, INVLPGA */
	RM(U, M(VMMCALL, NONE, 0), U, U, U, U, U, U),
	M(SMSW, NONE, 0, RvMw_w),
	U, /* SERIALIZE, RDPKRU, WRPKRU, CET, UINTR */
	M(LMSW, NONE, F_PRIV, Ew_r),
	/* MONITORX, MWAITX, RDPRU, INVLPGB, TLBSYNC */
	RM(M(SWAPGS, LM, F_PRIV | F_ONLY64), M(RDTSCP, RDTSCP, 0), U, U,
	   M(CLZERO, CLZERO, 0, mAX_w), U, U, U),
};

/* 0F 18 and the reserved-NOP rows 0F 19–1F: hints, MPX and CET on a CPU that has neither. */
#define NOPE M(NOP, NONE, 0, Ev_n)

static const struct x86_ent group8[8] = {
	U, U, U, U,
	M(BT, NONE, 0, Ev_r, Ib_r),
	M(BTS, NONE, F_LOCK, Ev_m, Ib_r),
	M(BTR, NONE, F_LOCK, Ev_m, Ib_r),
	M(BTC, NONE, F_LOCK, Ev_m, Ib_r),
};

static const struct x86_ent group9_mem[8] = {
	U,
	W64(M(CMPXCHG8B, CX8, F_LOCK, M2y_m, iyDX_m, iyAX_m, iyCX_r, iyBX_r),
	  M(CMPXCHG16B, CX16, F_LOCK, M2y_m, iyDX_m, iyAX_m, iyCX_r, iyBX_r)),
	U,
	NP(M(XRSTORS, XSAVES, F_PRIV, M_r)),
	NP(M(XSAVEC, XSAVEC, 0, M_w)),
	NP(M(XSAVES, XSAVES, F_PRIV, M_w)),
	U, /* VMPTRLD, VMCLEAR, VMXON */
	U, /* VMPTRST */
};

static const struct x86_ent group9_reg[8] = {
	U, U, U, U, U, U,
	REP(M(RDRAND, RDRAND, 0, Rv_w), U, U), /* F3: SENDUIPI */
	REP(M(RDSEED, RDSEED, 0, Rv_w), M(RDPID, RDPID, F_NATIVE, Ry_w), U),
};

static const struct x86_ent group15_mem[8] = {
	NP(M(FXSAVE, FXSR, 0, M512_w)),
	NP(M(FXRSTOR, FXSR, 0, M512_r)),
	NP(M(LDMXCSR, SSE, 0, Md_r)),
	NP(M(STMXCSR, SSE, 0, Md_w)),
	NP(M(XSAVE, XSAVE, 0, M_m)), /* F3: PTWRITE */
	NP(M(XRSTOR, XSAVE, 0, M_r)),
	PP(M(XSAVEOPT, XSAVEOPT, 0, M_m), M(CLWB, CLWB, 0, Mb_n), U, U), /* F3: CLRSSBSY */
	PP(M(CLFLUSH, CLFLUSH, 0, Mb_n), M(CLFLUSHOPT, CLFLUSHOPT, 0, Mb_n), U, U),
};

static const struct x86_ent group15_reg[8] = {
	PP(U, U, M(RDFSBASE, FSGSBASE, F_ONLY64, Ry_w), U),
	PP(U, U, M(RDGSBASE, FSGSBASE, F_ONLY64, Ry_w), U),
	PP(U, U, M(WRFSBASE, FSGSBASE, F_ONLY64, Ry_r), U),
	PP(U, U, M(WRGSBASE, FSGSBASE, F_ONLY64, Ry_r), U),
	U, /* PTWRITE */
	NP(M(LFENCE, SSE2, 0)), /* F3: INCSSP */
	NP(M(MFENCE, SSE2, 0)), /* TPAUSE, UMONITOR, UMWAIT */
	NP(M(SFENCE, SSE, 0)),
};

const struct x86_ent x86_map_0f[256] = {
	[0x00] = GROUP(group6),
	[0x01] = MOD(GROUP(group7_mem), GROUP(group7_reg)),
	[0x02] = M(LAR, NONE, 0, Gv_m, RvMw_r),
	[0x03] = M(LSL, NONE, 0, Gv_m, RvMw_r),
	[0x05] = I(SYSCALL, SYSCALL, F_BR),
	[0x06] = I(CLTS, NONE, F_PRIV),
	[0x07] = I(SYSRET, SYSCALL, F_BR | F_PRIV),
	[0x08] = I(INVD, NONE, F_PRIV),
	[0x09] = REP(I(WBINVD, NONE, F_PRIV), I(WBNOINVD, WBNOINVD, F_PRIV), I(WBINVD, NONE, F_PRIV)),
	[0x0b] = I(UD2, NONE, 0),
	[0x0d] = M(PREFETCH, NONE, 0, Mb_n),
	/* 0E FEMMS, 0F 3DNow! */
	/* A scalar load from memory clears the rest of the register; a move keeps it. */
	[0x10] = PP(M(MOVUPS, SSE, HO, Vo_w, Wo_r), M(MOVUPD, SSE2, HO, Vo_w, Wo_r),
		    MOD(M(MOVSS, SSE, HO, Vo_w, Md_r), M(MOVSS, SSE, HO, Vo_m, Uo_r)),
		    MOD(M(MOVSD, SSE2, HO, Vo_w, Mq_r), M(MOVSD, SSE2, HO, Vo_m, Uo_r))),
	[0x11] = PP(M(MOVUPS, SSE, HO, Wo_w, Vo_r), M(MOVUPD, SSE2, HO, Wo_w, Vo_r),
		    MOD(M(MOVSS, SSE, HO, Md_w, Vo_r), M(MOVSS, SSE, HO, Uo_m, Vo_r)),
		    MOD(M(MOVSD, SSE2, HO, Mq_w, Vo_r), M(MOVSD, SSE2, HO, Uo_m, Vo_r))),
	[0x12] = PP(MOD(M(MOVLPS, SSE, HO, Vo_m, Mq_r), M(MOVHLPS, SSE, HO, Vo_m, Uo_r)),
		    M(MOVLPD, SSE2, HO, Vo_m, Mq_r), M(MOVSLDUP, SSE3, HA, Vo_w, Wo_r),
		    M(MOVDDUP, SSE3, HO, Vo_w, Wq_r)),
	[0x13] = PP(M(MOVLPS, SSE, HO, Mq_w, Vo_r), M(MOVLPD, SSE2, HO, Mq_w, Vo_r), U, U),
	[0x14] = PSPD(UNPCKL), [0x15] = PSPD(UNPCKH),
	[0x16] = PP(MOD(M(MOVHPS, SSE, HO, Vo_m, Mq_r), M(MOVLHPS, SSE, HO, Vo_m, Uo_r)),
		    M(MOVHPD, SSE2, HO, Vo_m, Mq_r), M(MOVSHDUP, SSE3, HA, Vo_w, Wo_r), U),
	[0x17] = PP(M(MOVHPS, SSE, HO, Mq_w, Vo_r), M(MOVHPD, SSE2, HO, Mq_w, Vo_r), U, U),
	[0x18] = MOD(REG(M(PREFETCH, SSE, 0, Mb_n), M(PREFETCH, SSE, 0, Mb_n),
			 M(PREFETCH, SSE, 0, Mb_n), M(PREFETCH, SSE, 0, Mb_n),
			 NOPE, NOPE, NOPE, NOPE), NOPE),
	[0x19] = NOPE, [0x1a] = NOPE, [0x1b] = NOPE, [0x1c] = NOPE,
	[0x1d] = NOPE, [0x1e] = NOPE, [0x1f] = NOPE,
	[0x20] = M(MOV_FROM_CR, NONE, F_REGRM | F_NATIVE | F_PRIV | F_CR8, Ry_w, Cy_r),
	[0x21] = M(MOV_FROM_DR, NONE, F_REGRM | F_NATIVE | F_PRIV, Ry_w, Dy_r),
	[0x22] = M(MOV_TO_CR, NONE, F_REGRM | F_NATIVE | F_PRIV | F_CR8, Cy_w, Ry_r),
	[0x23] = M(MOV_TO_DR, NONE, F_REGRM | F_NATIVE | F_PRIV, Dy_w, Ry_r),
	[0x28] = PP(M(MOVAPS, SSE, HA, Vo_w, Wo_r), M(MOVAPD, SSE2, HA, Vo_w, Wo_r), U, U),
	[0x29] = PP(M(MOVAPS, SSE, HA, Wo_w, Vo_r), M(MOVAPD, SSE2, HA, Wo_w, Vo_r), U, U),
	[0x2a] = PP(M(CVTPI2PS, SSE, HO, Vo_m, Qq_r), M(CVTPI2PD, SSE2, HO, Vo_w, Qq_r),
		    M(CVTSI2SS, SSE, HO, Vo_m, Ey_r), M(CVTSI2SD, SSE2, HO, Vo_m, Ey_r)),
	[0x2b] = PP(M(MOVNTPS, SSE, HA, Mdq_w, Vo_r), M(MOVNTPD, SSE2, HA, Mdq_w, Vo_r),
		    M(MOVNTSS, SSE4A, HO, Md_w, Vo_r), M(MOVNTSD, SSE4A, HO, Mq_w, Vo_r)),
	[0x2c] = PP(M(CVTTPS2PI, SSE, HO, Pq_w, Wq_r), M(CVTTPD2PI, SSE2, HA, Pq_w, Wo_r),
		    M(CVTTSS2SI, SSE, HO, Gy_w, Wd_r), M(CVTTSD2SI, SSE2, HO, Gy_w, Wq_r)),
	[0x2d] = PP(M(CVTPS2PI, SSE, HO, Pq_w, Wq_r), M(CVTPD2PI, SSE2, HA, Pq_w, Wo_r),
		    M(CVTSS2SI, SSE, HO, Gy_w, Wd_r), M(CVTSD2SI, SSE2, HO, Gy_w, Wq_r)),
	[0x2e] = PP(M(UCOMISS, SSE, HO, Vo_r, Wd_r), M(UCOMISD, SSE2, HO, Vo_r, Wq_r), U, U),
	[0x2f] = PP(M(COMISS, SSE, HO, Vo_r, Wd_r), M(COMISD, SSE2, HO, Vo_r, Wq_r), U, U),
	[0x30] = I(WRMSR, MSR, F_PRIV, iECX_r, iEDX_r, iEAX_r),
	[0x31] = I(RDTSC, TSC, 0, iEDX_w, iEAX_w),
	[0x32] = I(RDMSR, MSR, F_PRIV, iECX_r, iEDX_w, iEAX_w),
	[0x33] = I(RDPMC, NONE, 0, iECX_r, iEDX_w, iEAX_w),
	[0x34] = I(SYSENTER, SEP, F_BR),
	[0x35] = I(SYSEXIT, SEP, F_BR | F_PRIV),
	/* 37 GETSEC; 38, 3A: escapes */
	ROW16(0x40, M(CMOVCC, CMOV, F_CC, Gv_m, Ev_r)),
	[0x50] = PP(M(MOVMSKPS, SSE, HO, Gd_w, Uo_r), M(MOVMSKPD, SSE2, HO, Gd_w, Uo_r), U, U),
	[0x51] = PP(M(SQRTPS, SSE, HA, Vo_w, Wo_r), M(SQRTPD, SSE2, HA, Vo_w, Wo_r),
		    M(SQRTSS, SSE, HO, Vo_m, Wd_r), M(SQRTSD, SSE2, HO, Vo_m, Wq_r)),
	[0x52] = PP(M(RSQRTPS, SSE, HA, Vo_w, Wo_r), U, M(RSQRTSS, SSE, HO, Vo_m, Wd_r), U),
	[0x53] = PP(M(RCPPS, SSE, HA, Vo_w, Wo_r), U, M(RCPSS, SSE, HO, Vo_m, Wd_r), U),
	[0x54] = PSPD(AND), [0x55] = PSPD(ANDN), [0x56] = PSPD(OR), [0x57] = PSPD(XOR),
	[0x58] = FP(ADD), [0x59] = FP(MUL),
	[0x5a] = PP(M(CVTPS2PD, SSE2, HO, Vo_w, Wq_r), M(CVTPD2PS, SSE2, HA, Vo_w, Wo_r),
		    M(CVTSS2SD, SSE2, HO, Vo_m, Wd_r), M(CVTSD2SS, SSE2, HO, Vo_m, Wq_r)),
	[0x5b] = PP(M(CVTDQ2PS, SSE2, HA, Vo_w, Wo_r), M(CVTPS2DQ, SSE2, HA, Vo_w, Wo_r),
		    M(CVTTPS2DQ, SSE2, HA, Vo_w, Wo_r), U),
	[0x5c] = FP(SUB), [0x5d] = FP(MIN), [0x5e] = FP(DIV), [0x5f] = FP(MAX),
	[0x60] = MXL(PUNPCKLBW), [0x61] = MXL(PUNPCKLWD), [0x62] = MXL(PUNPCKLDQ),
	[0x63] = MX(PACKSSWB, MMX), [0x64] = MX(PCMPGTB, MMX), [0x65] = MX(PCMPGTW, MMX),
	[0x66] = MX(PCMPGTD, MMX), [0x67] = MX(PACKUSWB, MMX), [0x68] = MX(PUNPCKHBW, MMX),
	[0x69] = MX(PUNPCKHWD, MMX), [0x6a] = MX(PUNPCKHDQ, MMX), [0x6b] = MX(PACKSSDW, MMX),
	[0x6c] = X66(PUNPCKLQDQ, SSE2, HA, Vo_m, Wo_r), [0x6d] = X66(PUNPCKHQDQ, SSE2, HA, Vo_m, Wo_r),
	[0x6e] = W64(PP(M(MOVD, MMX, HO, Pq_w, Ed_r), M(MOVD, SSE2, HO, Vo_w, Ed_r), U, U),
		     PP(M(MOVQ, MMX, HO, Pq_w, Ey_r), M(MOVQ, SSE2, HO, Vo_w, Ey_r), U, U)),
	[0x6f] = PP(M(MOVQ, MMX, HO, Pq_w, Qq_r), M(MOVDQA, SSE2, HA, Vo_w, Wo_r),
		    M(MOVDQU, SSE2, HO, Vo_w, Wo_r), U),
	[0x70] = PP(M(PSHUFW, SSE, HO, Pq_w, Qq_r, Ib_r), M(PSHUFD, SSE2, HA, Vo_w, Wo_r, Ib_r),
		    M(PSHUFHW, SSE2, HA, Vo_w, Wo_r, Ib_r), M(PSHUFLW, SSE2, HA, Vo_w, Wo_r, Ib_r)),
	[0x71] = REG(U, U, SHI(PSRLW), U, SHI(PSRAW), U, SHI(PSLLW), U),
	[0x72] = REG(U, U, SHI(PSRLD), U, SHI(PSRAD), U, SHI(PSLLD), U),
	[0x73] = REG(U, U, SHI(PSRLQ), X66(PSRLDQ, SSE2, HO, Uo_m, Ib_r), U, U, SHI(PSLLQ),
		     X66(PSLLDQ, SSE2, HO, Uo_m, Ib_r)),
	[0x74] = MX(PCMPEQB, MMX), [0x75] = MX(PCMPEQW, MMX), [0x76] = MX(PCMPEQD, MMX),
	[0x77] = NP(I(EMMS, MMX, HO)),
	/* none: VMREAD, VMWRITE */
	[0x78] = PP(U, REG(M(EXTRQ, SSE4A, HO, Uo_m, Ib_r, I2b_r), U, U, U, U, U, U, U), U,
		    M(INSERTQ, SSE4A, HO, Vo_m, Uo_r, Ib_r, I2b_r)),
	[0x79] = PP(U, M(EXTRQ, SSE4A, HO, Vo_m, Uo_r), U, M(INSERTQ, SSE4A, HO, Vo_m, Uo_r)),
	[0x7c] = PP(U, M(HADDPD, SSE3, HA, Vo_m, Wo_r), U, M(HADDPS, SSE3, HA, Vo_m, Wo_r)),
	[0x7d] = PP(U, M(HSUBPD, SSE3, HA, Vo_m, Wo_r), U, M(HSUBPS, SSE3, HA, Vo_m, Wo_r)),
	[0x7e] = PP(W64(M(MOVD, MMX, HO, Ed_w, Pq_r), M(MOVQ, MMX, HO, Ey_w, Pq_r)),
		    W64(M(MOVD, SSE2, HO, Ed_w, Vo_r), M(MOVQ, SSE2, HO, Ey_w, Vo_r)),
		    M(MOVQ, SSE2, HO, Vo_w, Wq_r), U),
	[0x7f] = PP(M(MOVQ, MMX, HO, Qq_w, Pq_r), M(MOVDQA, SSE2, HA, Wo_w, Vo_r),
		    M(MOVDQU, SSE2, HO, Wo_w, Vo_r), U),
	ROW16(0x80, I(JCC, NONE, F_NEAR | F_BR | F_CC, Jz_r)),
	ROW16(0x90, M(SETCC, NONE, F_CC, Eb_w)),
	[0xa0] = I(PUSH_SEG, NONE, F_D64, sFS_r),
	[0xa1] = I(POP_SEG, NONE, F_D64, sFS_w),
	[0xa2] = I(CPUID, NONE, 0, iEAX_m, iECX_m),
	[0xa3] = M(BT, NONE, 0, Ev_r, Gv_r),
	[0xa4] = M(SHLD, NONE, 0, Ev_m, Gv_r, Ib_r),
	[0xa5] = M(SHLD, NONE, 0, Ev_m, Gv_r, CL_r),
	[0xa8] = I(PUSH_SEG, NONE, F_D64, sGS_r),
	[0xa9] = I(POP_SEG, NONE, F_D64, sGS_w),
	[0xaa] = I(RSM, NONE, F_BR),
	[0xab] = M(BTS, NONE, F_LOCK, Ev_m, Gv_r),
	[0xac] = M(SHRD, NONE, 0, Ev_m, Gv_r, Ib_r),
	[0xad] = M(SHRD, NONE, 0, Ev_m, Gv_r, CL_r),
	[0xae] = MOD(GROUP(group15_mem), GROUP(group15_reg)),
	[0xaf] = M(IMUL, NONE, 0, Gv_m, Ev_r),
	[0xb0] = M(CMPXCHG, NONE, F_LOCK, Eb_m, Gb_r, iAL_m),
	[0xb1] = M(CMPXCHG, NONE, F_LOCK, Ev_m, Gv_r, irAX_m),
	[0xb2] = M(LSS, NONE, 0, Gv_w, Mp_r),
	[0xb3] = M(BTR, NONE, F_LOCK, Ev_m, Gv_r),
	[0xb4] = M(LFS, NONE, 0, Gv_w, Mp_r),
	[0xb5] = M(LGS, NONE, 0, Gv_w, Mp_r),
	[0xb6] = M(MOVZX, NONE, 0, Gv_w, Eb_r),
	[0xb7] = M(MOVZX, NONE, 0, Gv_w, Ew_r),
	[0xb8] = REP(U, M(POPCNT, POPCNT, F_HOST, Gv_w, Ev_r), U), /* none: JMPE */
	[0xb9] = M(UD1, NONE, 0, Gv_n, Ev_n),
	[0xba] = GROUP(group8),
	[0xbb] = M(BTC, NONE, F_LOCK, Ev_m, Gv_r),
	/* Without the feature, TZCNT and LZCNT are BSF and BSR: F3 means nothing there. */
	[0xbc] = REP(M(BSF, NONE, 0, Gv_m, Ev_r), M(TZCNT, BMI1, F_HOST, Gv_w, Ev_r),
		     M(BSF, NONE, 0, Gv_m, Ev_r)),
	[0xbd] = REP(M(BSR, NONE, 0, Gv_m, Ev_r), M(LZCNT, ABM, F_HOST, Gv_w, Ev_r),
		     M(BSR, NONE, 0, Gv_m, Ev_r)),
	[0xbe] = M(MOVSX, NONE, 0, Gv_w, Eb_r),
	[0xbf] = M(MOVSX, NONE, 0, Gv_w, Ew_r),
	[0xc0] = M(XADD, NONE, F_LOCK, Eb_m, Gb_m),
	[0xc1] = M(XADD, NONE, F_LOCK, Ev_m, Gv_m),
	[0xc2] = PP(M(CMPPS, SSE, HA, Vo_m, Wo_r, Ib_r), M(CMPPD, SSE2, HA, Vo_m, Wo_r, Ib_r),
		    M(CMPSS, SSE, HO, Vo_m, Wd_r, Ib_r), M(CMPSD, SSE2, HO, Vo_m, Wq_r, Ib_r)),
	[0xc3] = NP(M(MOVNTI, SSE2, 0, My_w, Gy_r)),
	[0xc4] = PP(M(PINSRW, SSE, HO, Pq_m, RdMw_r, Ib_r), M(PINSRW, SSE2, HO, Vo_m, RdMw_r, Ib_r), U, U),
	[0xc5] = PP(M(PEXTRW, SSE, HO, Gd_w, Nq_r, Ib_r), M(PEXTRW, SSE2, HO, Gd_w, Uo_r, Ib_r), U, U),
	[0xc6] = PP(M(SHUFPS, SSE, HA, Vo_m, Wo_r, Ib_r), M(SHUFPD, SSE2, HA, Vo_m, Wo_r, Ib_r), U, U),
	[0xc7] = MOD(GROUP(group9_mem), GROUP(group9_reg)),
	ROW8(0xc8, I(BSWAP, NONE, 0, Zv_m)),
	[0xd0] = PP(U, M(ADDSUBPD, SSE3, HA, Vo_m, Wo_r), U, M(ADDSUBPS, SSE3, HA, Vo_m, Wo_r)),
	[0xd1] = MX(PSRLW, MMX), [0xd2] = MX(PSRLD, MMX), [0xd3] = MX(PSRLQ, MMX),
	[0xd4] = MX(PADDQ, SSE2), [0xd5] = MX(PMULLW, MMX),
	[0xd6] = PP(U, M(MOVQ, SSE2, HO, Wq_w, Vo_r), M(MOVQ2DQ, SSE2, HO, Vo_w, Nq_r),
		    M(MOVDQ2Q, SSE2, HO, Pq_w, Uo_r)),
	[0xd7] = PP(M(PMOVMSKB, SSE, HO, Gd_w, Nq_r), M(PMOVMSKB, SSE2, HO, Gd_w, Uo_r), U, U),
	[0xd8] = MX(PSUBUSB, MMX), [0xd9] = MX(PSUBUSW, MMX), [0xda] = MX(PMINUB, SSE),
	[0xdb] = MX(PAND, MMX), [0xdc] = MX(PADDUSB, MMX), [0xdd] = MX(PADDUSW, MMX),
	[0xde] = MX(PMAXUB, SSE), [0xdf] = MX(PANDN, MMX),
	[0xe0] = MX(PAVGB, SSE), [0xe1] = MX(PSRAW, MMX), [0xe2] = MX(PSRAD, MMX),
	[0xe3] = MX(PAVGW, SSE), [0xe4] = MX(PMULHUW, SSE), [0xe5] = MX(PMULHW, MMX),
	[0xe6] = PP(U, M(CVTTPD2DQ, SSE2, HA, Vo_w, Wo_r), M(CVTDQ2PD, SSE2, HO, Vo_w, Wq_r),
		    M(CVTPD2DQ, SSE2, HA, Vo_w, Wo_r)),
	[0xe7] = PP(M(MOVNTQ, SSE, HO, Mq_w, Pq_r), M(MOVNTDQ, SSE2, HA, Mdq_w, Vo_r), U, U),
	[0xe8] = MX(PSUBSB, MMX), [0xe9] = MX(PSUBSW, MMX), [0xea] = MX(PMINSW, SSE),
	[0xeb] = MX(POR, MMX), [0xec] = MX(PADDSB, MMX), [0xed] = MX(PADDSW, MMX),
	[0xee] = MX(PMAXSW, SSE), [0xef] = MX(PXOR, MMX),
	[0xf0] = PP(U, U, U, M(LDDQU, SSE3, HO, Vo_w, Mdq_r)),
	[0xf1] = MX(PSLLW, MMX), [0xf2] = MX(PSLLD, MMX), [0xf3] = MX(PSLLQ, MMX),
	[0xf4] = MX(PMULUDQ, SSE2), [0xf5] = MX(PMADDWD, MMX), [0xf6] = MX(PSADBW, SSE),
	[0xf7] = PP(M(MASKMOVQ, SSE, HO, Pq_r, Nq_r, mDIq_w), M(MASKMOVDQU, SSE2, HO, Vo_r, Uo_r, mDIdq_w), U, U),
	[0xf8] = MX(PSUBB, MMX), [0xf9] = MX(PSUBW, MMX), [0xfa] = MX(PSUBD, MMX),
	[0xfb] = MX(PSUBQ, SSE2), [0xfc] = MX(PADDB, MMX), [0xfd] = MX(PADDW, MMX),
	[0xfe] = MX(PADDD, MMX),
	[0xff] = M(UD0, NONE, 0, Gv_n, Ev_n),
};
