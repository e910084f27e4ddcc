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

static const struct x86_ent group6[8] = {
	M(SLDT, NONE, 0, RvMw_w),
	M(STR, NONE, 0, RvMw_w),
	M(LLDT, NONE, F_PRIV, Ew_r),
	M(LTR, NONE, F_PRIV, Ew_r),
	M(VERR, NONE, 0, Ew_r),
	M(VERW, NONE, 0, Ew_r),
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
	W(M(CMPXCHG8B, CX8, F_LOCK, M2y_m, iyDX_m, iyAX_m, iyCX_r, iyBX_r),
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
	[0x02] = M(LAR, NONE, 0, Gv_w, RvMw_r),
	[0x03] = M(LSL, NONE, 0, Gv_w, RvMw_r),
	[0x05] = I(SYSCALL, SYSCALL, F_BR),
	[0x06] = I(CLTS, NONE, F_PRIV),
	[0x07] = I(SYSRET, SYSCALL, F_BR | F_PRIV),
	[0x08] = I(INVD, NONE, F_PRIV),
	[0x09] = REP(I(WBINVD, NONE, F_PRIV), I(WBNOINVD, WBNOINVD, F_PRIV), I(WBINVD, NONE, F_PRIV)),
	[0x0b] = I(UD2, NONE, 0),
	[0x0d] = M(PREFETCH, NONE, 0, Mb_n),
	/* 0E FEMMS, 0F 3DNow! */
	[0x18] = MOD(REG(M(PREFETCH, SSE, 0, Mb_n), M(PREFETCH, SSE, 0, Mb_n),
			 M(PREFETCH, SSE, 0, Mb_n), M(PREFETCH, SSE, 0, Mb_n),
			 NOPE, NOPE, NOPE, NOPE), NOPE),
	[0x19] = NOPE, [0x1a] = NOPE, [0x1b] = NOPE, [0x1c] = NOPE,
	[0x1d] = NOPE, [0x1e] = NOPE, [0x1f] = NOPE,
	[0x20] = M(MOV_FROM_CR, NONE, F_REGRM | F_NATIVE | F_PRIV | F_CR8, Ry_w, Cy_r),
	[0x21] = M(MOV_FROM_DR, NONE, F_REGRM | F_NATIVE | F_PRIV, Ry_w, Dy_r),
	[0x22] = M(MOV_TO_CR, NONE, F_REGRM | F_NATIVE | F_PRIV | F_CR8, Cy_w, Ry_r),
	[0x23] = M(MOV_TO_DR, NONE, F_REGRM | F_NATIVE | F_PRIV, Dy_w, Ry_r),
	[0x30] = I(WRMSR, MSR, F_PRIV, iECX_r, iEDX_r, iEAX_r),
	[0x31] = I(RDTSC, TSC, 0, iEDX_w, iEAX_w),
	[0x32] = I(RDMSR, MSR, F_PRIV, iECX_r, iEDX_w, iEAX_w),
	[0x33] = I(RDPMC, NONE, 0, iECX_r, iEDX_w, iEAX_w),
	[0x34] = I(SYSENTER, SEP, F_BR),
	[0x35] = I(SYSEXIT, SEP, F_BR | F_PRIV),
	/* 37 GETSEC; 38, 3A: escapes */
	ROW16(0x40, M(CMOVCC, CMOV, F_CC, Gv_m, Ev_r)),
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
	[0xc3] = NP(M(MOVNTI, SSE2, 0, My_w, Gy_r)),
	[0xc7] = MOD(GROUP(group9_mem), GROUP(group9_reg)),
	ROW8(0xc8, I(BSWAP, NONE, 0, Zv_m)),
	[0xff] = M(UD0, NONE, 0, Gv_n, Ev_n),
};
