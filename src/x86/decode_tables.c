// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one-byte opcode map, and what operand specs and size codes mean.
 * Source: Intel SDM vol. 2D appendix A tables; AMD APM vol. 3 appendix A.
 */
#include "x86/decode_int.h"

const struct x86_spec x86_specs[SPEC_COUNT] = {
#define S(name, how, rc, rsize, msize) [SPEC_##name] = {H_##how, rc, rsize, msize},
	X86_SPECS(S)
#undef S
};

const uint16_t x86_size[SZ_COUNT][6] = {
	[SZ_0] = {0, 0, 0, 0, 0, 0},
	[SZ_B] = {1, 1, 1, 1, 1, 1},
	[SZ_W] = {2, 2, 2, 2, 2, 2},
	[SZ_D] = {4, 4, 4, 4, 4, 4},
	[SZ_Q] = {8, 8, 8, 8, 8, 8},
	[SZ_DQ] = {16, 16, 16, 16, 16, 16},
	[SZ_QQ] = {32, 32, 32, 32, 32, 32},
	[SZ_T] = {10, 10, 10, 10, 10, 10},
	[SZ_512] = {512, 512, 512, 512, 512, 512},
	[SZ_V] = {2, 4, 8, 2, 4, 8},
	[SZ_Z] = {2, 4, 4, 2, 4, 4},
	[SZ_Y] = {4, 4, 8, 4, 4, 8},
	[SZ_2Y] = {8, 8, 16, 8, 8, 16},
	[SZ_P] = {4, 6, 10, 4, 6, 10},
	[SZ_A] = {4, 8, 8, 4, 8, 8},
	[SZ_S] = {6, 6, 10, 6, 6, 10},
	[SZ_ENV] = {14, 28, 28, 14, 28, 28},
	[SZ_SAV] = {94, 108, 108, 94, 108, 108},
	[SZ_X] = {16, 16, 16, 32, 32, 32},
	[SZ_H] = {8, 8, 8, 16, 16, 16},
	[SZ_F] = {4, 4, 4, 8, 8, 8},
	[SZ_E] = {2, 2, 2, 4, 4, 4},
};

/* clang-format off */

/* ADD, OR, ADC, SBB, AND, SUB, XOR at `base`; CMP only reads. */
#define ARITH(base, op, fl, eb, ev, gb, gv, al, ax)                                                \
	[(base) + 0] = M(op, NONE, fl, eb, Gb_r),                                                  \
	[(base) + 1] = M(op, NONE, fl, ev, Gv_r),                                                  \
	[(base) + 2] = M(op, NONE, 0, gb, Eb_r),                                                   \
	[(base) + 3] = M(op, NONE, 0, gv, Ev_r),                                                   \
	[(base) + 4] = I(op, NONE, 0, al, Ib_r),                                                   \
	[(base) + 5] = I(op, NONE, 0, ax, Iz_r)
#define ARITH_M(base, op) ARITH(base, op, F_LOCK, Eb_m, Ev_m, Gb_m, Gv_m, AL_m, rAX_m)

#define ROW8(base, ...)                                                                            \
	[(base) + 0] = __VA_ARGS__, [(base) + 1] = __VA_ARGS__, [(base) + 2] = __VA_ARGS__,        \
	[(base) + 3] = __VA_ARGS__, [(base) + 4] = __VA_ARGS__, [(base) + 5] = __VA_ARGS__,        \
	[(base) + 6] = __VA_ARGS__, [(base) + 7] = __VA_ARGS__
#define ROW16(base, ...) ROW8(base, __VA_ARGS__), ROW8((base) + 8, __VA_ARGS__)

/* Group 1: 80–83. */
#define GROUP1(w, r, imm)                                                                          \
	REG(M(ADD, NONE, F_LOCK, w, imm), M(OR, NONE, F_LOCK, w, imm),                             \
	    M(ADC, NONE, F_LOCK, w, imm), M(SBB, NONE, F_LOCK, w, imm),                            \
	    M(AND, NONE, F_LOCK, w, imm), M(SUB, NONE, F_LOCK, w, imm),                            \
	    M(XOR, NONE, F_LOCK, w, imm), M(CMP, NONE, 0, r, imm))

/* Group 2: C0, C1, D0–D3. /6 is SHL again, on every processor though in no manual of Intel's. */
#define GROUP2(e, by)                                                                              \
	REG(M(ROL, NONE, 0, e, by), M(ROR, NONE, 0, e, by), M(RCL, NONE, 0, e, by),                \
	    M(RCR, NONE, 0, e, by), M(SHL, NONE, 0, e, by), M(SHR, NONE, 0, e, by),                \
	    M(SHL, NONE, 0, e, by), M(SAR, NONE, 0, e, by))

static const struct x86_ent group3_b[8] = {
	M(TEST, NONE, 0, Eb_r, Ib_r),
	M(TEST, NONE, 0, Eb_r, Ib_r), /* alias, undocumented by Intel */
	M(NOT, NONE, F_LOCK, Eb_m),
	M(NEG, NONE, F_LOCK, Eb_m),
	M(MUL, NONE, 0, Eb_r, iAX_w, iAL_r),
	M(IMUL, NONE, 0, Eb_r, iAX_w, iAL_r),
	M(DIV, NONE, 0, Eb_r, iAX_m),
	M(IDIV, NONE, 0, Eb_r, iAX_m),
};

static const struct x86_ent group3_v[8] = {
	M(TEST, NONE, 0, Ev_r, Iz_r),
	M(TEST, NONE, 0, Ev_r, Iz_r),
	M(NOT, NONE, F_LOCK, Ev_m),
	M(NEG, NONE, F_LOCK, Ev_m),
	M(MUL, NONE, 0, Ev_r, irAX_m, irDX_w),
	M(IMUL, NONE, 0, Ev_r, irAX_m, irDX_w),
	M(DIV, NONE, 0, Ev_r, irAX_m, irDX_m),
	M(IDIV, NONE, 0, Ev_r, irAX_m, irDX_m),
};

static const struct x86_ent group5[8] = {
	M(INC, NONE, F_LOCK, Ev_m),
	M(DEC, NONE, F_LOCK, Ev_m),
	M(CALL_IND, NONE, F_NEAR | F_BR, Ev_r),
	M(CALL_FAR_IND, NONE, F_BR, Mp_r),
	M(JMP_IND, NONE, F_NEAR | F_BR, Ev_r),
	M(JMP_FAR_IND, NONE, F_BR, Mp_r),
	M(PUSH, NONE, F_D64, Ev_r),
	U,
};

const struct x86_ent x86_map_1b[256] = {
	ARITH_M(0x00, ADD),
	[0x06] = I(PUSH_SEG, NONE, F_NO64, sES_r),
	[0x07] = I(POP_SEG, NONE, F_NO64, sES_w),
	ARITH_M(0x08, OR),
	[0x0e] = I(PUSH_SEG, NONE, F_NO64, sCS_r),
	/* 0F: escape */
	ARITH_M(0x10, ADC),
	[0x16] = I(PUSH_SEG, NONE, F_NO64, sSS_r),
	[0x17] = I(POP_SEG, NONE, F_NO64, sSS_w),
	ARITH_M(0x18, SBB),
	[0x1e] = I(PUSH_SEG, NONE, F_NO64, sDS_r),
	[0x1f] = I(POP_SEG, NONE, F_NO64, sDS_w),
	ARITH_M(0x20, AND),
	[0x27] = I(DAA, NONE, F_NO64, iAL_m),
	ARITH_M(0x28, SUB),
	[0x2f] = I(DAS, NONE, F_NO64, iAL_m),
	ARITH_M(0x30, XOR),
	[0x37] = I(AAA, NONE, F_NO64, iAX_m),
	ARITH(0x38, CMP, 0, Eb_r, Ev_r, Gb_r, Gv_r, AL_r, rAX_r),
	[0x3f] = I(AAS, NONE, F_NO64, iAX_m),
	/* 40–4F are REX prefixes in 64-bit mode. */
	ROW8(0x40, I(INC, NONE, F_NO64, Zv_m)),
	ROW8(0x48, I(DEC, NONE, F_NO64, Zv_m)),
	ROW8(0x50, I(PUSH, NONE, F_D64, Zv_r)),
	ROW8(0x58, I(POP, NONE, F_D64, Zv_w)),
	[0x60] = I(PUSHA, NONE, F_NO64),
	[0x61] = I(POPA, NONE, F_NO64),
	[0x62] = M(BOUND, NONE, F_NO64, Gv_r, Ma_r), /* a register form is EVEX: #UD */
	[0x63] = MODE(M(ARPL, NONE, 0, Ew_m, Gw_r), MAKER(M(MOVSXD, NONE, 0, Gv_w, Ed_r), M(MOVSXD, NONE, 0, Gv_w, Ez_r))),
	[0x68] = I(PUSH, NONE, F_D64, Iz_r),
	[0x69] = M(IMUL, NONE, 0, Gv_w, Ev_r, Iz_r),
	[0x6a] = I(PUSH, NONE, F_D64, sIb_r),
	[0x6b] = M(IMUL, NONE, 0, Gv_w, Ev_r, sIb_r),
	[0x6c] = I(INS, NONE, F_REP, Yb_w, iDX_r),
	[0x6d] = I(INS, NONE, F_REP, Yz_w, iDX_r),
	[0x6e] = I(OUTS, NONE, F_REP, iDX_r, Xb_r),
	[0x6f] = I(OUTS, NONE, F_REP, iDX_r, Xz_r),
	ROW16(0x70, I(JCC, NONE, F_NEAR | F_BR | F_CC, Jb_r)),
	[0x80] = GROUP1(Eb_m, Eb_r, Ib_r),
	[0x81] = GROUP1(Ev_m, Ev_r, Iz_r),
	[0x82] = MODE(GROUP1(Eb_m, Eb_r, Ib_r), U),
	[0x83] = GROUP1(Ev_m, Ev_r, sIb_r),
	[0x84] = M(TEST, NONE, 0, Eb_r, Gb_r),
	[0x85] = M(TEST, NONE, 0, Ev_r, Gv_r),
	[0x86] = M(XCHG, NONE, F_LOCK, Eb_m, Gb_m),
	[0x87] = M(XCHG, NONE, F_LOCK, Ev_m, Gv_m),
	[0x88] = M(MOV, NONE, 0, Eb_w, Gb_r),
	[0x89] = M(MOV, NONE, 0, Ev_w, Gv_r),
	[0x8a] = M(MOV, NONE, 0, Gb_w, Eb_r),
	[0x8b] = M(MOV, NONE, 0, Gv_w, Ev_r),
	[0x8c] = M(MOV_FROM_SEG, NONE, 0, RvMw_w, Sw_r),
	[0x8d] = M(LEA, NONE, 0, Gv_w, M_n),
	[0x8e] = M(MOV_TO_SEG, NONE, 0, Sw_w, Ew_r),
	[0x8f] = REG(M(POP, NONE, F_D64, Ev_w), U, U, U, U, U, U, U), /* the rest: XOP */
	[0x90] = CHOOSE(XCHG, 2, REP(I(NOP, NONE, 0), I(PAUSE, NONE, 0), I(NOP, NONE, 0)),
			I(XCHG, NONE, 0, Zv_m, rAX_m)),
	[0x91] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x92] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x93] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x94] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x95] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x96] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x97] = I(XCHG, NONE, 0, Zv_m, rAX_m),
	[0x98] = I(CBW, NONE, 0, irAX_m),
	[0x99] = I(CWD, NONE, 0, irDX_w, irAX_r),
	[0x9a] = I(CALL_FAR, NONE, F_NO64 | F_BR, Ap_r),
	[0x9b] = I(FWAIT, FPU, F_HOST),
	[0x9c] = I(PUSHF, NONE, F_D64),
	[0x9d] = I(POPF, NONE, F_D64),
	[0x9e] = I(SAHF, LAHF64, F_LAHF, iAH_r),
	[0x9f] = I(LAHF, LAHF64, F_LAHF, iAH_w),
	[0xa0] = I(MOV, NONE, 0, AL_w, Ob_r),
	[0xa1] = I(MOV, NONE, 0, rAX_w, Ov_r),
	[0xa2] = I(MOV, NONE, 0, Ob_w, AL_r),
	[0xa3] = I(MOV, NONE, 0, Ov_w, rAX_r),
	[0xa4] = I(MOVS, NONE, F_REP, Yb_w, Xb_r),
	[0xa5] = I(MOVS, NONE, F_REP, Yv_w, Xv_r),
	[0xa6] = I(CMPS, NONE, F_REPCC, Xb_r, Yb_r),
	[0xa7] = I(CMPS, NONE, F_REPCC, Xv_r, Yv_r),
	[0xa8] = I(TEST, NONE, 0, AL_r, Ib_r),
	[0xa9] = I(TEST, NONE, 0, rAX_r, Iz_r),
	[0xaa] = I(STOS, NONE, F_REP, Yb_w, iAL_r),
	[0xab] = I(STOS, NONE, F_REP, Yv_w, irAX_r),
	[0xac] = I(LODS, NONE, F_REP, iAL_w, Xb_r),
	[0xad] = I(LODS, NONE, F_REP, irAX_w, Xv_r),
	[0xae] = I(SCAS, NONE, F_REPCC, iAL_r, Yb_r),
	[0xaf] = I(SCAS, NONE, F_REPCC, irAX_r, Yv_r),
	ROW8(0xb0, I(MOV, NONE, 0, Zb_w, Ib_r)),
	ROW8(0xb8, I(MOV, NONE, 0, Zv_w, Iv_r)),
	[0xc0] = GROUP2(Eb_m, Ib_r),
	[0xc1] = GROUP2(Ev_m, Ib_r),
	[0xc2] = I(RET, NONE, F_NEAR | F_BR, Iw_r),
	[0xc3] = I(RET, NONE, F_NEAR | F_BR),
	[0xc4] = M(LES, NONE, F_NO64, Gv_w, Mp_r), /* a register form is VEX */
	[0xc5] = M(LDS, NONE, F_NO64, Gv_w, Mp_r),
	[0xc6] = REG(M(MOV, NONE, 0, Eb_w, Ib_r), U, U, U, U, U, U, U), /* /7: XABORT */
	[0xc7] = REG(M(MOV, NONE, 0, Ev_w, Iz_r), U, U, U, U, U, U, U), /* /7: XBEGIN */
	[0xc8] = I(ENTER, NONE, F_D64, Iw_r, I2b_r),
	[0xc9] = I(LEAVE, NONE, F_D64),
	[0xca] = I(RET_FAR, NONE, F_BR, Iw_r),
	[0xcb] = I(RET_FAR, NONE, F_BR),
	[0xcc] = I(INT3, NONE, F_BR),
	[0xcd] = I(INT, NONE, F_BR, Ib_r),
	[0xce] = I(INTO, NONE, F_BR | F_NO64),
	[0xcf] = I(IRET, NONE, F_BR),
	[0xd0] = GROUP2(Eb_m, I1_r),
	[0xd1] = GROUP2(Ev_m, I1_r),
	[0xd2] = GROUP2(Eb_m, CL_r),
	[0xd3] = GROUP2(Ev_m, CL_r),
	[0xd4] = I(AAM, NONE, F_NO64, Ib_r, iAX_m),
	[0xd5] = I(AAD, NONE, F_NO64, Ib_r, iAX_m),
	[0xd6] = I(SALC, NONE, F_NO64, iAL_w),
	[0xd7] = I(XLAT, NONE, 0, iAL_m, mBX_r),
	/* D8–DF: x86_x87 */
	[0xe0] = I(LOOPNE, NONE, F_NEAR | F_BR | F_REPCC, Jb_r),
	[0xe1] = I(LOOPE, NONE, F_NEAR | F_BR | F_REPCC, Jb_r),
	[0xe2] = I(LOOP, NONE, F_NEAR | F_BR, Jb_r),
	[0xe3] = I(JCXZ, NONE, F_NEAR | F_BR, Jb_r),
	[0xe4] = I(IN, NONE, 0, AL_w, Ib_r),
	[0xe5] = I(IN, NONE, 0, zAX_w, Ib_r),
	[0xe6] = I(OUT, NONE, 0, Ib_r, AL_r),
	[0xe7] = I(OUT, NONE, 0, Ib_r, zAX_r),
	[0xe8] = I(CALL, NONE, F_NEAR | F_BR, Jz_r),
	[0xe9] = I(JMP, NONE, F_NEAR | F_BR, Jz_r),
	[0xea] = I(JMP_FAR, NONE, F_NO64 | F_BR, Ap_r),
	[0xeb] = I(JMP, NONE, F_NEAR | F_BR, Jb_r),
	[0xec] = I(IN, NONE, 0, AL_w, DX_r),
	[0xed] = I(IN, NONE, 0, zAX_w, DX_r),
	[0xee] = I(OUT, NONE, 0, DX_r, AL_r),
	[0xef] = I(OUT, NONE, 0, DX_r, zAX_r),
	[0xf1] = I(INT1, NONE, F_BR),
	[0xf4] = I(HLT, NONE, F_PRIV),
	[0xf5] = I(CMC, NONE, 0),
	[0xf6] = GROUP(group3_b),
	[0xf7] = GROUP(group3_v),
	[0xf8] = I(CLC, NONE, 0),
	[0xf9] = I(STC, NONE, 0),
	[0xfa] = I(CLI, NONE, 0),
	[0xfb] = I(STI, NONE, 0),
	[0xfc] = I(CLD, NONE, 0),
	[0xfd] = I(STD, NONE, 0),
	[0xfe] = REG(M(INC, NONE, F_LOCK, Eb_m), M(DEC, NONE, F_LOCK, Eb_m), U, U, U, U, U, U),
	[0xff] = GROUP(group5),
};
