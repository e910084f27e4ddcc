// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87: the eight escape opcodes D8–DF.
 * Source: Intel SDM vol. 2D tables; AMD APM vol. 3 table A-15.
 */
#include "x86/decode_int.h"

/* clang-format off */

#define HO F_HOST

/* FADD, FMUL, FCOM, FCOMP, FSUB, FSUBR, FDIV, FDIVR from memory; FIADD … with an integer. */
#define ARITH_MEM(p, mem)                                                                          \
	REG(M(p##ADD, FPU, HO, mem, iST0_m), M(p##MUL, FPU, HO, mem, iST0_m),                      \
	    M(p##COM, FPU, HO, mem, iST0_r), M(p##COMP, FPU, HO, mem, iST0_r),                     \
	    M(p##SUB, FPU, HO, mem, iST0_m), M(p##SUBR, FPU, HO, mem, iST0_m),                     \
	    M(p##DIV, FPU, HO, mem, iST0_m), M(p##DIVR, FPU, HO, mem, iST0_m))

#define STI(op) M(op, FPU, HO, STi_r, iST0_r)
#define FREG(op) M(op, FPU, HO)
#define FSTK(op) M(op, FPU, HO, iST0_m)

static const struct x86_ent d8_reg[8] = {
	M(FADD, FPU, HO, ST0_m, STi_r), M(FMUL, FPU, HO, ST0_m, STi_r),
	STI(FCOM), STI(FCOMP),
	M(FSUB, FPU, HO, ST0_m, STi_r), M(FSUBR, FPU, HO, ST0_m, STi_r),
	M(FDIV, FPU, HO, ST0_m, STi_r), M(FDIVR, FPU, HO, ST0_m, STi_r),
};

static const struct x86_ent d9_mem[8] = {
	M(FLD, FPU, HO, Md_r, iST0_w), U, M(FST, FPU, HO, Md_w, iST0_r), M(FSTP, FPU, HO, Md_w, iST0_r),
	M(FLDENV, FPU, HO, Menv_r), M(FLDCW, FPU, HO, Mw_r),
	M(FNSTENV, FPU, HO, Menv_w), M(FNSTCW, FPU, HO, Mw_w),
};

static const struct x86_ent d9_reg[8] = {
	M(FLD, FPU, HO, STi_r, iST0_w), M(FXCH, FPU, HO, STi_m, iST0_m),
	RM(FREG(FNOP), U, U, U, U, U, U, U),
	M(FSTPNCE, FPU, HO, STi_w, iST0_r),
	RM(FSTK(FCHS), FSTK(FABS), U, U, FSTK(FTST), FSTK(FXAM), U, U),
	RM(FSTK(FLD1), FSTK(FLDL2T), FSTK(FLDL2E), FSTK(FLDPI), FSTK(FLDLG2), FSTK(FLDLN2),
	   FSTK(FLDZ), U),
	RM(FSTK(F2XM1), FSTK(FYL2X), FSTK(FPTAN), FSTK(FPATAN), FSTK(FXTRACT), FSTK(FPREM1),
	   FREG(FDECSTP), FREG(FINCSTP)),
	RM(FSTK(FPREM), FSTK(FYL2XP1), FSTK(FSQRT), FSTK(FSINCOS), FSTK(FRNDINT), FSTK(FSCALE),
	   FSTK(FSIN), FSTK(FCOS)),
};

#define FCMOV(op) M(op, CMOV, HO, ST0_m, STi_r)

static const struct x86_ent da_reg[8] = {
	FCMOV(FCMOVB), FCMOV(FCMOVE), FCMOV(FCMOVBE), FCMOV(FCMOVU), U,
	RM(U, FREG(FUCOMPP), U, U, U, U, U, U), U, U,
};

static const struct x86_ent db_mem[8] = {
	M(FILD, FPU, HO, Md_r, iST0_w), M(FISTTP, SSE3, HO, Md_w, iST0_r),
	M(FIST, FPU, HO, Md_w, iST0_r), M(FISTP, FPU, HO, Md_w, iST0_r), U,
	M(FLD, FPU, HO, Mt_r, iST0_w), U, M(FSTP, FPU, HO, Mt_w, iST0_r),
};

static const struct x86_ent db_reg[8] = {
	FCMOV(FCMOVNB), FCMOV(FCMOVNE), FCMOV(FCMOVNBE), FCMOV(FCMOVNU),
	/* E0 FNENI, E1 FNDISI and E4 FNSETPM of the 8087 and 80287 do nothing on later ones. */
	RM(FREG(FNOP), FREG(FNOP), FREG(FNCLEX), FREG(FNINIT), FREG(FNOP), U, U, U),
	M(FUCOMI, CMOV, HO, ST0_r, STi_r), M(FCOMI, CMOV, HO, ST0_r, STi_r), U,
};

/* Note the order: DC E0 is FSUBR, DC E8 FSUB (so in Intel's manual, not in AT&T's assembler). */
static const struct x86_ent dc_reg[8] = {
	M(FADD, FPU, HO, STi_m, ST0_r), M(FMUL, FPU, HO, STi_m, ST0_r), STI(FCOM), STI(FCOMP),
	M(FSUBR, FPU, HO, STi_m, ST0_r), M(FSUB, FPU, HO, STi_m, ST0_r),
	M(FDIVR, FPU, HO, STi_m, ST0_r), M(FDIV, FPU, HO, STi_m, ST0_r),
};

static const struct x86_ent dd_mem[8] = {
	M(FLD, FPU, HO, Mq_r, iST0_w), M(FISTTP, SSE3, HO, Mq_w, iST0_r),
	M(FST, FPU, HO, Mq_w, iST0_r), M(FSTP, FPU, HO, Mq_w, iST0_r),
	M(FRSTOR, FPU, HO, Msav_r), U, M(FNSAVE, FPU, HO, Msav_w), M(FNSTSW, FPU, HO, Mw_w),
};

static const struct x86_ent dd_reg[8] = {
	M(FFREE, FPU, HO, STi_n), M(FXCH, FPU, HO, STi_m, iST0_m), M(FST, FPU, HO, STi_w, iST0_r),
	M(FSTP, FPU, HO, STi_w, iST0_r), STI(FUCOM), STI(FUCOMP), U, U,
};

static const struct x86_ent de_reg[8] = {
	M(FADDP, FPU, HO, STi_m, ST0_r), M(FMULP, FPU, HO, STi_m, ST0_r), STI(FCOMP),
	RM(U, FREG(FCOMPP), U, U, U, U, U, U),
	M(FSUBRP, FPU, HO, STi_m, ST0_r), M(FSUBP, FPU, HO, STi_m, ST0_r),
	M(FDIVRP, FPU, HO, STi_m, ST0_r), M(FDIVP, FPU, HO, STi_m, ST0_r),
};

static const struct x86_ent df_mem[8] = {
	M(FILD, FPU, HO, Mw_r, iST0_w), M(FISTTP, SSE3, HO, Mw_w, iST0_r),
	M(FIST, FPU, HO, Mw_w, iST0_r), M(FISTP, FPU, HO, Mw_w, iST0_r),
	M(FBLD, FPU, HO, Mt_r, iST0_w), M(FILD, FPU, HO, Mq_r, iST0_w),
	M(FBSTP, FPU, HO, Mt_w, iST0_r), M(FISTP, FPU, HO, Mq_w, iST0_r),
};

static const struct x86_ent df_reg[8] = {
	M(FFREEP, FPU, HO, STi_n), M(FXCH, FPU, HO, STi_m, iST0_m), M(FSTP, FPU, HO, STi_w, iST0_r),
	M(FSTP, FPU, HO, STi_w, iST0_r), RM(M(FNSTSW, FPU, HO, AX_w), U, U, U, U, U, U, U),
	M(FUCOMIP, CMOV, HO, ST0_r, STi_r), M(FCOMIP, CMOV, HO, ST0_r, STi_r), U,
};

const struct x86_ent x86_x87[8] = {
	MOD(ARITH_MEM(F, Md_r), GROUP(d8_reg)),
	MOD(GROUP(d9_mem), GROUP(d9_reg)),
	MOD(ARITH_MEM(FI, Md_r), GROUP(da_reg)),
	MOD(GROUP(db_mem), GROUP(db_reg)),
	MOD(ARITH_MEM(F, Mq_r), GROUP(dc_reg)),
	MOD(GROUP(dd_mem), GROUP(dd_reg)),
	MOD(ARITH_MEM(FI, Mw_r), GROUP(de_reg)),
	MOD(GROUP(df_mem), GROUP(df_reg)),
};
