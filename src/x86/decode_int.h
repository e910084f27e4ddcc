/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the instruction decoder: the shape of its tables, private to src/x86/decode*.c.
 * Source: Intel SDM vol. 2D appendix A (the letters of the operand specs are its own); AMD APM
 * vol. 3 appendix A.
 *
 * A map is 256 entries. An entry is either an instruction (I, M) or a choice (`sel`) between the
 * entries of a smaller table, by mandatory prefix, ModRM field, mode, W or L. Choices nest.
 */
#ifndef LODGE_X86_DECODE_INT_H
#define LODGE_X86_DECODE_INT_H

#include "x86/decode.h"
#include "x86/features.h"
#include "x86/state.h"

/* How an entry chooses; the index into its sub-table. */
enum {
	SEL_LEAF,
	SEL_PP,	  /* mandatory prefix: none, 66, F3, F2; F3/F2 win over 66, which then means nothing
		   */
	SEL_REP,  /* none, F3, F2; 66 stays the operand-size prefix */
	SEL_REG,  /* ModRM.reg: 8 */
	SEL_RM,	  /* ModRM.rm: 8 */
	SEL_MOD,  /* ModRM.mod: memory, register */
	SEL_MODE, /* 16- or 32-bit, 64-bit */
	SEL_W,	  /* VEX.W */
	SEL_W64,  /* W in 64-bit mode; elsewhere it does not make an operand 64 bits */
	SEL_L,	  /* VEX.L */
	SEL_MAKER, /* AMD, Intel */
	SEL_XCHG,  /* REX.B, for opcode 90; Intel: not with F3 */
};

/*
 * Properties of an instruction, struct x86_ent.flags. The low half are X86_IF_* that pass straight
 * into the result, and X86_IF_LOCK, which here means that LOCK is allowed when the first operand
 * is memory.
 */
#define F_LOCK X86_IF_LOCK
#define F_MODRM X86_IF_MODRM /* a ModRM byte follows */
#define F_BR X86_IF_BRANCH
#define F_PRIV X86_IF_PRIV
#define F_ALIGN X86_IF_ALIGNED
#define F_HOST X86_IF_HOST
#define F_VSIB X86_IF_VSIB
#define F_D64 X86_IF_DEFAULT64	  /* operand size defaults to 64 in 64-bit mode */
#define F_NEAR (0x10000u | F_D64) /* near branch: as F_D64 on AMD, always 64 on Intel */
#define F_NATIVE 0x20000u	  /* operand size 64 in 64-bit mode, else 32, no prefix */
#define F_REGRM 0x40000u	  /* ModRM.rm is a register whatever mod says */
#define F_NO64 0x80000u		  /* #UD in 64-bit mode */
#define F_ONLY64 0x100000u	  /* #UD outside 64-bit mode */
#define F_REP 0x200000u		  /* string: F3 and F2 both repeat */
#define F_REPCC 0x400000u	  /* string that compares, LOOPcc: F3 and F2 differ */
#define F_CC 0x800000u		  /* the opcode's low four bits are a condition */
#define F_AVX2L 0x1000000u	  /* VEX.L = 1 needs AVX2, whatever .feat says */
#define F_LAHF 0x2000000u	  /* .feat applies in 64-bit mode only */
#define F_CR8 0x4000000u	  /* LOCK makes CR0 CR8 (AMD AltMovCr8) */
#define F_W0 0x8000000u		  /* VEX.W must be 0 */
#define F_W1 0x10000000u	  /* VEX.W must be 1 */
#define F_L0 0x20000000u	  /* VEX.L must be 0 */
#define F_L1 0x40000000u	  /* VEX.L must be 1 */
#define F_DISTINCT 0x80000000u	  /* gather: destination, index and mask must differ */

#define X86_MAX_OPDS 6

struct x86_ent {
	const struct x86_ent *sub; /* sel != SEL_LEAF */
	uint32_t flags;
	uint16_t op;
	uint8_t sel;
	uint8_t feat;
	uint16_t opd[X86_MAX_OPDS]; /* spec << 2 | access; 0 ends */
};

/* Where an operand comes from. */
enum {
	H_NONE,
	H_RM,	  /* ModRM.rm: register or memory */
	H_RM_REG, /* register only, memory is #UD */
	H_RM_MEM, /* memory only, a register is #UD */
	H_REG,	  /* ModRM.reg */
	H_OPC,	  /* the opcode's low three bits */
	H_VVVV,
	H_IS4,	/* bits 7:4 of an immediate byte */
	H_FIX,	/* register number msize, written in assembly */
	H_FIXI, /* the same, implicit */
	H_IMM,	/* zero-extended immediate of rsize bytes */
	H_SIMM, /* sign-extended */
	H_IMM2, /* second immediate, or the selector of a far pointer */
	H_ONE,	/* the constant 1 of D0, D1 */
	H_REL,
	H_FAR,
	H_MOFFS,
	H_SRC,	/* DS:rSI */
	H_DST,	/* ES:rDI */
	H_MEMI, /* implicit memory at register msize */
};

/* Sizes, some of which depend on the operand size or VEX.L: x86_size[]. */
enum {
	SZ_0,
	SZ_B,
	SZ_W,
	SZ_D,
	SZ_Q,
	SZ_DQ,
	SZ_QQ,
	SZ_T,
	SZ_512,
	SZ_V,	/* 2, 4, 8 */
	SZ_Z,	/* 2, 4, 4 */
	SZ_Y,	/* 4, 4, 8 */
	SZ_2Y,	/* 8, 8, 16 */
	SZ_P,	/* far pointer: 4, 6, 10 (AMD: 6) */
	SZ_A,	/* BOUND: 4, 8 */
	SZ_S,	/* descriptor-table register: 6, 6, 10 */
	SZ_ENV, /* 14, 28, 28 */
	SZ_SAV, /* 94, 108, 108 */
	SZ_X,	/* 16, 32 by L */
	SZ_H,	/* half of that */
	SZ_F,	/* a fourth */
	SZ_E,	/* an eighth */
	SZ_COUNT
};

/* Vector register by VEX.L, besides enum x86_reg_class. */
#define RC_VEC 16

/*
 * Operand specs: S(name, how, class, register size, memory size).
 * First letter as in the SDM: E, G ModRM general; V, H, W, U, L vector; P, Q, N MMX; Z opcode.
 */
/* clang-format off */
#define X86_SPECS(S) \
	S(Eb, RM, X86_RC_GPR, SZ_B, SZ_B) S(Ew, RM, X86_RC_GPR, SZ_W, SZ_W) \
	S(Ed, RM, X86_RC_GPR, SZ_D, SZ_D) S(Ez, RM, X86_RC_GPR, SZ_Z, SZ_Z) S(Ev, RM, X86_RC_GPR, SZ_V, SZ_V) \
	S(Ey, RM, X86_RC_GPR, SZ_Y, SZ_Y) S(RvMw, RM, X86_RC_GPR, SZ_V, SZ_W) \
	S(RdMb, RM, X86_RC_GPR, SZ_D, SZ_B) S(RdMw, RM, X86_RC_GPR, SZ_D, SZ_W) \
	S(Gb, REG, X86_RC_GPR, SZ_B, 0) S(Gw, REG, X86_RC_GPR, SZ_W, 0) \
	S(Gd, REG, X86_RC_GPR, SZ_D, 0) S(Gv, REG, X86_RC_GPR, SZ_V, 0) \
	S(Gy, REG, X86_RC_GPR, SZ_Y, 0) \
	S(Rv, RM_REG, X86_RC_GPR, SZ_V, 0) S(Ry, RM_REG, X86_RC_GPR, SZ_Y, 0) \
	S(By, VVVV, X86_RC_GPR, SZ_Y, 0) \
	S(Zb, OPC, X86_RC_GPR, SZ_B, 0) S(Zv, OPC, X86_RC_GPR, SZ_V, 0) \
	S(Sw, REG, X86_RC_SEG, SZ_W, 0) S(Cy, REG, X86_RC_CR, SZ_Y, 0) \
	S(Dy, REG, X86_RC_DR, SZ_Y, 0) \
	S(M, RM_MEM, 0, 0, SZ_0) S(Mb, RM_MEM, 0, 0, SZ_B) S(Mw, RM_MEM, 0, 0, SZ_W) \
	S(Md, RM_MEM, 0, 0, SZ_D) S(Mq, RM_MEM, 0, 0, SZ_Q) S(Mdq, RM_MEM, 0, 0, SZ_DQ) \
	S(Mqq, RM_MEM, 0, 0, SZ_QQ) S(Mt, RM_MEM, 0, 0, SZ_T) S(M512, RM_MEM, 0, 0, SZ_512) \
	S(Mv, RM_MEM, 0, 0, SZ_V) S(My, RM_MEM, 0, 0, SZ_Y) S(M2y, RM_MEM, 0, 0, SZ_2Y) \
	S(Mp, RM_MEM, 0, 0, SZ_P) S(Ma, RM_MEM, 0, 0, SZ_A) S(Ms, RM_MEM, 0, 0, SZ_S) \
	S(Menv, RM_MEM, 0, 0, SZ_ENV) S(Msav, RM_MEM, 0, 0, SZ_SAV) S(Mx, RM_MEM, 0, 0, SZ_X) \
	S(Ob, MOFFS, 0, 0, SZ_B) S(Ov, MOFFS, 0, 0, SZ_V) \
	S(AL, FIX, X86_RC_GPR, SZ_B, R_RAX) S(CL, FIX, X86_RC_GPR, SZ_B, R_RCX) \
	S(AX, FIX, X86_RC_GPR, SZ_W, R_RAX) S(DX, FIX, X86_RC_GPR, SZ_W, R_RDX) \
	S(rAX, FIX, X86_RC_GPR, SZ_V, R_RAX) S(zAX, FIX, X86_RC_GPR, SZ_Z, R_RAX) \
	S(sES, FIX, X86_RC_SEG, SZ_W, SEG_ES) S(sCS, FIX, X86_RC_SEG, SZ_W, SEG_CS) \
	S(sSS, FIX, X86_RC_SEG, SZ_W, SEG_SS) S(sDS, FIX, X86_RC_SEG, SZ_W, SEG_DS) \
	S(sFS, FIX, X86_RC_SEG, SZ_W, SEG_FS) S(sGS, FIX, X86_RC_SEG, SZ_W, SEG_GS) \
	S(iAL, FIXI, X86_RC_GPR, SZ_B, R_RAX) S(iAX, FIXI, X86_RC_GPR, SZ_W, R_RAX) \
	S(iDX, FIXI, X86_RC_GPR, SZ_W, R_RDX) \
	S(iAH, FIXI, X86_RC_GPRH, SZ_B, R_RAX) S(irAX, FIXI, X86_RC_GPR, SZ_V, R_RAX) \
	S(irDX, FIXI, X86_RC_GPR, SZ_V, R_RDX) S(iEAX, FIXI, X86_RC_GPR, SZ_D, R_RAX) \
	S(iECX, FIXI, X86_RC_GPR, SZ_D, R_RCX) S(iEDX, FIXI, X86_RC_GPR, SZ_D, R_RDX) \
	S(iyAX, FIXI, X86_RC_GPR, SZ_Y, R_RAX) S(iyBX, FIXI, X86_RC_GPR, SZ_Y, R_RBX) \
	S(iyCX, FIXI, X86_RC_GPR, SZ_Y, R_RCX) S(iyDX, FIXI, X86_RC_GPR, SZ_Y, R_RDX) \
	S(Ib, IMM, 0, SZ_B, 0) S(Iw, IMM, 0, SZ_W, 0) S(Iv, IMM, 0, SZ_V, 0) \
	S(sIb, SIMM, 0, SZ_B, 0) S(Iz, SIMM, 0, SZ_Z, 0) S(I2b, IMM2, 0, SZ_B, 0) \
	S(I1, ONE, 0, SZ_B, 0) S(Jb, REL, 0, SZ_B, 0) S(Jz, REL, 0, SZ_Z, 0) \
	S(Ap, FAR, 0, SZ_P, 0) \
	S(Xb, SRC, 0, 0, SZ_B) S(Xv, SRC, 0, 0, SZ_V) S(Xz, SRC, 0, 0, SZ_Z) \
	S(Yb, DST, 0, 0, SZ_B) S(Yv, DST, 0, 0, SZ_V) S(Yz, DST, 0, 0, SZ_Z) \
	S(mBX, MEMI, 0, SZ_B, R_RBX) S(mAX, MEMI, 0, SZ_0, R_RAX) \
	S(mDIq, MEMI, 0, SZ_Q, R_RDI) S(mDIdq, MEMI, 0, SZ_DQ, R_RDI) \
	/* x87 */ \
	S(ST0, FIX, X86_RC_X87, SZ_T, 0) S(STi, RM_REG, X86_RC_X87, SZ_T, 0) \
	S(iST0, FIXI, X86_RC_X87, SZ_T, 0) S(iST1, FIXI, X86_RC_X87, SZ_T, 1) \
	/* MMX */ \
	S(Pq, REG, X86_RC_MMX, SZ_Q, 0) S(Qq, RM, X86_RC_MMX, SZ_Q, SZ_Q) \
	S(Qd, RM, X86_RC_MMX, SZ_Q, SZ_D) S(Nq, RM_REG, X86_RC_MMX, SZ_Q, 0) \
	/* XMM whatever L says */ \
	S(Vo, REG, X86_RC_XMM, SZ_DQ, 0) S(Ho, VVVV, X86_RC_XMM, SZ_DQ, 0) \
	S(Uo, RM_REG, X86_RC_XMM, SZ_DQ, 0) S(Lo, IS4, X86_RC_XMM, SZ_DQ, 0) \
	S(Wo, RM, X86_RC_XMM, SZ_DQ, SZ_DQ) S(Wq, RM, X86_RC_XMM, SZ_DQ, SZ_Q) \
	S(Wd, RM, X86_RC_XMM, SZ_DQ, SZ_D) S(Ww, RM, X86_RC_XMM, SZ_DQ, SZ_W) \
	S(Wb, RM, X86_RC_XMM, SZ_DQ, SZ_B) S(Wh, RM, X86_RC_XMM, SZ_DQ, SZ_H) \
	S(Wf, RM, X86_RC_XMM, SZ_DQ, SZ_F) S(We, RM, X86_RC_XMM, SZ_DQ, SZ_E) \
	S(iXMM0, FIXI, X86_RC_XMM, SZ_DQ, 0) \
	/* XMM or YMM by L; YMM */ \
	S(Vx, REG, RC_VEC, SZ_X, 0) S(Hx, VVVV, RC_VEC, SZ_X, 0) S(Lx, IS4, RC_VEC, SZ_X, 0) \
	S(Wx, RM, RC_VEC, SZ_X, SZ_X) S(Ux, RM_REG, RC_VEC, SZ_X, 0) \
	S(Vqq, REG, X86_RC_YMM, SZ_QQ, 0) S(Hqq, VVVV, X86_RC_YMM, SZ_QQ, 0) \
	S(Wqq, RM, X86_RC_YMM, SZ_QQ, SZ_QQ)

/* clang-format on */

enum {
	SPEC_NONE,
#define S(name, how, rc, rsize, msize) SPEC_##name,
	X86_SPECS(S)
#undef S
		SPEC_COUNT
};

/* Eb_r, Eb_w, Eb_m, Eb_n: a spec read, written, modified, or only named. */
enum {
#define S(name, how, rc, rsize, msize) name##_n = SPEC_##name << 2, name##_r, name##_w, name##_m,
	X86_SPECS(S)
#undef S
};

struct x86_spec {
	uint8_t how, rc, rsize, msize;
};

extern const struct x86_spec x86_specs[SPEC_COUNT];
extern const uint16_t x86_size[SZ_COUNT][6]; /* [size][VEX.L * 3 + operand size 16, 32, 64] */

/* Table notation: an instruction without and with ModRM, choices, and no instruction. */
#define I(o, ft, fl, ...)                                                                      \
	{                                                                                      \
		.op = X86_OP_##o, .feat = X86_FEAT_##ft, .flags = (fl), .opd = { __VA_ARGS__ } \
	}
#define M(o, ft, fl, ...)                                                         \
	{                                                                         \
		.op = X86_OP_##o, .feat = X86_FEAT_##ft, .flags = F_MODRM | (fl), \
		.opd = { __VA_ARGS__ }                                            \
	}
#define U                            \
	{                            \
		.op = X86_OP_INVALID \
	}
#define CHOOSE(s, n, ...)                                        \
	{                                                        \
		.sel = SEL_##s, .sub = (const struct x86_ent[n]) \
		{                                                \
			__VA_ARGS__                              \
		}                                                \
	}
#define GROUP(table)                           \
	{                                      \
		.sel = SEL_REG, .sub = (table) \
	}
#define PP(...) CHOOSE(PP, 4, __VA_ARGS__)
#define REP(...) CHOOSE(REP, 3, __VA_ARGS__)
#define REG(...) CHOOSE(REG, 8, __VA_ARGS__)
#define RM(...) CHOOSE(RM, 8, __VA_ARGS__)
#define MOD(...) CHOOSE(MOD, 2, __VA_ARGS__)
#define MODE(...) CHOOSE(MODE, 2, __VA_ARGS__)
#define W(...) CHOOSE(W, 2, __VA_ARGS__)
#define W64(...) CHOOSE(W64, 2, __VA_ARGS__)
#define MAKER(...) CHOOSE(MAKER, 2, __VA_ARGS__)
#define VL(...) CHOOSE(L, 2, __VA_ARGS__)

extern const struct x86_ent x86_map_1b[256];
extern const struct x86_ent x86_map_0f[256];
extern const struct x86_ent x86_map_0f38[256];
extern const struct x86_ent x86_map_0f3a[256];
extern const struct x86_ent x86_vex_0f[256];
extern const struct x86_ent x86_vex_0f38[256];
extern const struct x86_ent x86_vex_0f3a[256];
extern const struct x86_ent x86_x87[8]; /* D8 … DF */

#endif
