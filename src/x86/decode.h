/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoder of all x86 and x86-64 encodings the software engine knows: legacy and VEX, in 16-, 32-
 * and 64-bit modes. Pure: bytes in, description out; no memory of earlier calls.
 * Source: Intel SDM vol. 2 ch. 2 and appendix A; AMD APM vol. 3 appendix A.
 *
 * Built without SIMD (-mgeneral-regs-only): it runs while the guest's SIMD registers are live.
 */
#ifndef LODGE_X86_DECODE_H
#define LODGE_X86_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/ops.h" /* enum x86_op: X86_OP_ADD, …; generated from one X-macro list */

/*
 * X86_MODE_INTEL or'ed to a mode: where makers differ, as Intel's processors, not AMD's. x86_decode() alone knows it,
 * and leaves it out of its result. In 64-bit mode Intel's ignore a 66 prefix on near branches, which on AMD's makes
 * the operand 16 bits and cuts IP (APM vol. 3 §1.2.2; SDM vol. 2A JMP); REX.W widens the far pointers of LSS, LFS,
 * LGS, far JMP and CALL, whose offset is 32 bits on AMD's; F3 90 is PAUSE whatever REX.B says, which on AMD's makes
 * it XCHG; MOVSXD of 16 bits reads 16, on AMD's 32. AMD's take LOCK VERW, LOCK MOV CR0 (for CR8), and VPERMQ and
 * VPERMPD with W = 0; outside 64-bit mode they refuse W = 1 of VPEXTRD and VPINSRD.
 */
enum x86_mode { X86_MODE_16, X86_MODE_32, X86_MODE_64, X86_MODE_INTEL = 4 };

#define X86_MAX_INSN_BYTES 15

enum x86_map {
	X86_MAP_1B,   /* one-byte opcodes */
	X86_MAP_0F,   /* 0F xx, and VEX.mmmmm = 1 */
	X86_MAP_0F38, /* 0F 38 xx, and VEX.mmmmm = 2 */
	X86_MAP_0F3A, /* 0F 3A xx, and VEX.mmmmm = 3 */
};

enum x86_operand_kind {
	X86_OPD_NONE,
	X86_OPD_REG,  /* rc and reg */
	X86_OPD_MEM,  /* the instruction's one ModRM/moffs memory operand, described in x86_insn */
	X86_OPD_IMM,  /* insn->imm (first immediate) */
	X86_OPD_IMM2, /* insn->imm2 (ENTER's second, EXTRQ's…) */
	X86_OPD_REL,  /* branch displacement, sign-extended in insn->imm */
	X86_OPD_FAR,  /* ptr16:16/32: selector in insn->imm2, offset in insn->imm */
	X86_OPD_STR_SRC, /* implicit DS:rSI (overridable) of a string instruction */
	X86_OPD_STR_DST, /* implicit ES:rDI */
};

enum x86_reg_class {
	X86_RC_GPR,  /* reg 0..15; size 1, 2, 4, 8 */
	X86_RC_GPRH, /* AH, CH, DH, BH: reg 0..3; size 1 */
	X86_RC_SEG, X86_RC_CR, X86_RC_DR,
	X86_RC_X87, X86_RC_MMX, X86_RC_XMM, X86_RC_YMM,
};

#define X86_ACC_R 1u
#define X86_ACC_W 2u

struct x86_operand {
	uint8_t kind;   /* enum x86_operand_kind */
	uint8_t rc;     /* enum x86_reg_class */
	uint8_t reg;
	uint8_t access; /* X86_ACC_R | X86_ACC_W (CMOVcc's destination and partial writes count as RW) */
	uint16_t size;  /* bytes of this operand; memory: bytes accessed, 0 if none (LEA, INVLPG, prefetch) or
			 * variable (XSAVE: 0) */
	bool implicit;  /* not written in assembly (string operands, rAX of MUL, CL is explicit) */
};

/* Registers of a memory operand; X86_NO_REG where there is none. */
#define X86_NO_REG 16
#define X86_REG_RIP 17 /* base only: disp already holds the displacement relative to the next rip */

/* insn->flags */
#define X86_IF_LOCK 0x0001u      /* a valid LOCK prefix */
#define X86_IF_REP 0x0002u       /* F3 present and acting as REP/REPE */
#define X86_IF_REPNE 0x0004u     /* F2 present and acting as REPNE */
#define X86_IF_VEX 0x0008u
#define X86_IF_MODRM 0x0010u
#define X86_IF_SIB 0x0020u
#define X86_IF_66 0x0040u        /* operand-size prefix present */
#define X86_IF_67 0x0080u
#define X86_IF_BRANCH 0x0100u    /* any control transfer: ends a block */
#define X86_IF_PRIV 0x0200u      /* CPL 0 only (#GP otherwise, checked at run time) */
#define X86_IF_ALIGNED 0x0400u   /* memory operand must be aligned to its size (#GP), SSE/AVX */
#define X86_IF_HOST 0x0800u      /* compute-only: may run as the host's own instruction on rewritten
				  * operands (x87, MMX, SSE…AVX2, FMA, BMI, ADX, AES, CRC32, …) */
#define X86_IF_VSIB 0x1000u      /* memory operand is a vector of addresses (VGATHER) */
#define X86_IF_DEFAULT64 0x2000u /* operand size defaults to 64 bits in 64-bit mode */

/* What the guest's CPUID must offer; enum x86_feature is in x86/cpuid.h (X86_FEAT_NONE = always). */

struct x86_insn {
	uint16_t op;      /* enum x86_op */
	uint16_t flags;
	uint16_t feature; /* enum x86_feature this encoding needs (VEX: AVX, AVX2, FMA, BMI1…) */
	uint8_t len;      /* 1..15 */
	uint8_t mode;     /* enum x86_mode it was decoded in */
	uint8_t opsize;   /* effective operand size in bytes: 2, 4, 8 */
	uint8_t addrsize; /* effective address size in bytes: 2, 4, 8 */
	uint8_t map, opcode; /* enum x86_map and the opcode byte */
	uint8_t pp;       /* mandatory prefix class: 0 none, 1 66, 2 F3, 3 F2 (or VEX.pp) */
	uint8_t rex;      /* REX byte or 0; for VEX the equivalent W R X B bits in 0x40|… form */
	uint8_t vvvv, vex_l; /* VEX: register (not inverted) and length bit */
	uint8_t modrm;
	uint8_t opcode_off; /* offset of the opcode byte itself, after prefixes/escapes/VEX */
	uint8_t modrm_off;  /* offset of ModRM (if X86_IF_MODRM) */
	uint8_t imm_off, imm_len; /* where the immediate bytes are; len 0 = none */
	uint8_t cc;       /* condition code 0..15 of Jcc, SETcc, CMOVcc */

	/* The memory operand. */
	uint8_t seg;      /* effective segment: override or default (DS, or SS for rBP/rSP bases) */
	bool seg_override;
	uint8_t base, index, scale; /* scale is a shift, 0..3 */
	int64_t disp;     /* sign-extended; moffs: the address */

	/* Sign-extended to 64 bits where the instruction sign-extends it (6A, 6B, 83, and imm32 with
	 * a 64-bit operand), else zero-extended. */
	uint64_t imm;
	uint16_t imm2;

	uint8_t nopds;
	struct x86_operand opd[6]; /* in Intel order; explicit ones first */
};

/* Results of x86_decode that are not lengths. */
#define X86_DECODE_MORE (-1) /* `avail` bytes are a valid prefix of something longer */
#define X86_DECODE_UD (-2)   /* #UD: no such encoding, bad LOCK, bad VEX, … */
#define X86_DECODE_LONG (-3) /* over 15 bytes: #GP(0) */

/*
 * Decode one instruction at `bytes`, of which `avail` (1..15 or more) may be read, in `mode`.
 * Returns its length and fills `out` completely, or one of X86_DECODE_*. Any thread.
 */
int x86_decode(struct x86_insn *out, const uint8_t *bytes, size_t avail, enum x86_mode mode);

/*
 * `insn` needs a CPUID feature (insn->feature) that the guest lacks. Some encodings meant something
 * before that feature came, since F3 means nothing there: TZCNT, LZCNT and WBNOINVD are BSF, BSR
 * and WBINVD (compilers and kernels rely on it). Then change `insn` to that and return true; else
 * return false: #UD. Source: Intel SDM vol. 2B LZCNT, TZCNT; vol. 2D WBNOINVD.
 */
bool x86_insn_before_feature(struct x86_insn *insn);

/* Mnemonic in lower case ("add"). Never NULL. */
const char *x86_op_name(enum x86_op op);

#endif
