// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MUL, IMUL (one, two and three operands), DIV, IDIV.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"

/*
 * All flags are the host's, also those that the manuals call undefined: some processors leave them,
 * others set them, and translated code has what the host's instruction leaves.
 */
#define WITH_FLAGS(insn) "push %[f]\n\tpopf\n\t" insn "\n\tpushf\n\tpop %[f]"

static inline void keep_flags(struct soft_cpu *cpu, uint64_t f)
{
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAGS_ARITH) | (f & FLAGS_ARITH);
}

/* The r/m operand: op->src is its register, or the memory operand if op->aux. */
static inline uint64_t source(struct soft_cpu *cpu, const struct soft_op *op, unsigned size)
{
	return op->aux ? op_load(cpu, op, size) : reg_get(cpu, op->src, size);
}

/* ---- Widening multiplication: rDX:rAX (AX for bytes) = rAX * r/m ---------------------------- */

#define DEFINE_MUL(name, T, bits, insn)                                                            \
	static const struct soft_op *name##_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                          \
		T lo = (T)cpu->s.gpr[R_RAX], hi, s = (T)source(cpu, op, sizeof(T));                \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                          \
                                                                                                   \
		__asm__(WITH_FLAGS(insn " %[s]")                                                   \
			: "+a"(lo), "=&d"(hi), [f] "+&r"(f)                                        \
			: [s] "r"(s)                                                               \
			: "cc", "memory");                                                         \
		reg_set(cpu, 8 * R_RAX, lo, sizeof(T));                                            \
		reg_set(cpu, 8 * R_RDX, hi, sizeof(T));                                            \
		keep_flags(cpu, f);                                                                \
		return soft_next(cpu, op);                                                         \
	}

#define DEFINE_MUL8(name, insn)                                                               \
	static const struct soft_op *name##_8(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                     \
		uint16_t ax = (uint8_t)cpu->s.gpr[R_RAX];                                     \
		uint8_t s = (uint8_t)source(cpu, op, 1);                                      \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                     \
                                                                                              \
		__asm__(WITH_FLAGS(insn " %[s]")                                              \
			: "+a"(ax), [f] "+&r"(f)                                              \
			: [s] "r"(s)                                                          \
			: "cc", "memory");                                                    \
		reg_set(cpu, 8 * R_RAX, ax, 2);                                               \
		keep_flags(cpu, f);                                                           \
		return soft_next(cpu, op);                                                    \
	}

DEFINE_MUL8(mul, "mulb")
DEFINE_MUL(mul, uint16_t, 16, "mulw")
DEFINE_MUL(mul, uint32_t, 32, "mull")
DEFINE_MUL(mul, uint64_t, 64, "mulq")
DEFINE_MUL8(imul, "imulb")
DEFINE_MUL(imul, uint16_t, 16, "imulw")
DEFINE_MUL(imul, uint32_t, 32, "imull")
DEFINE_MUL(imul, uint64_t, 64, "imulq")

/* ---- Two and three operands: dst = a * b, truncated ----------------------------------------- */

#define DEFINE_IMUL2(T, bits, insn)                                                               \
	static inline void imul2_to_##bits(struct soft_cpu *cpu, const struct soft_op *op, T d,   \
					   T s)                                                   \
	{                                                                                         \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                         \
                                                                                                  \
		__asm__(WITH_FLAGS(insn " %[s], %[d]")                                            \
			: [d] "+&r"(d), [f] "+&r"(f)                                              \
			: [s] "r"(s)                                                              \
			: "cc", "memory");                                                        \
		keep_flags(cpu, f);                                                               \
		reg_set(cpu, op->dst, d, sizeof(T));                                              \
	}                                                                                         \
	static const struct soft_op *imul2_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                         \
		T s = (T)source(cpu, op, sizeof(T));                                              \
                                                                                                  \
		imul2_to_##bits(cpu, op, (T)reg_get(cpu, op->dst, sizeof(T)), s);                 \
		return soft_next(cpu, op);                                                        \
	}                                                                                         \
	static const struct soft_op *imul3_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                         \
		imul2_to_##bits(cpu, op, (T)source(cpu, op, sizeof(T)), (T)op->imm);              \
		return soft_next(cpu, op);                                                        \
	}

DEFINE_IMUL2(uint16_t, 16, "imulw")
DEFINE_IMUL2(uint32_t, 32, "imull")
DEFINE_IMUL2(uint64_t, 64, "imulq")

/* ---- Division ------------------------------------------------------------------------------- */

static inline uint64_t size_mask(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

static inline uint64_t sign_bit(unsigned size)
{
	return 1ull << (8 * size - 1);
}

/* Does the quotient fit? Not if the divisor is 0. */
static bool fits(uint64_t hi, uint64_t lo, uint64_t d, unsigned size)
{
	(void)lo;
	(void)size;
	return hi < d;
}

/* Signed, by magnitudes. */
static bool fits_signed(uint64_t hi, uint64_t lo, uint64_t d, unsigned size)
{
	uint64_t mask = size_mask(size), sign = sign_bit(size), q;
	bool n_neg = hi & sign, d_neg = d & sign;

	if (n_neg) {
		lo = (0 - lo) & mask;
		hi = (~hi + (lo == 0)) & mask;
	}
	if (d_neg)
		d = (0 - d) & mask;
	if (hi >= d)
		return false;
	if (size == 8)
		__asm__("divq %[d]" : "=a"(q), "+d"(hi) : "a"(lo), [d] "r"(d) : "cc");
	else
		q = (hi << 8 * size | lo) / d;
	return n_neg != d_neg ? q <= sign : q < sign;
}

#define DEFINE_DIV(name, T, bits, insn, fit)                                                       \
	static const struct soft_op *name##_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                          \
		T d = (T)source(cpu, op, sizeof(T));                                               \
		T lo = (T)cpu->s.gpr[R_RAX], hi = (T)cpu->s.gpr[R_RDX];                            \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                          \
                                                                                                   \
		if (!fit(hi, lo, d, sizeof(T)))                                                    \
			soft_raise(cpu, VEC_DE);                                                   \
		__asm__(WITH_FLAGS(insn " %[d]")                                                   \
			: "+a"(lo), "+d"(hi), [f] "+&r"(f)                                         \
			: [d] "r"(d)                                                               \
			: "cc", "memory");                                                         \
		reg_set(cpu, 8 * R_RAX, lo, sizeof(T));                                            \
		reg_set(cpu, 8 * R_RDX, hi, sizeof(T));                                            \
		keep_flags(cpu, f);                                                                \
		return soft_next(cpu, op);                                                         \
	}

#define DEFINE_DIV8(name, insn, fit)                                                          \
	static const struct soft_op *name##_8(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                     \
		uint8_t d = (uint8_t)source(cpu, op, 1);                                      \
		uint16_t ax = (uint16_t)cpu->s.gpr[R_RAX];                                    \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                     \
                                                                                              \
		if (!fit(ax >> 8, ax & 0xff, d, 1))                                           \
			soft_raise(cpu, VEC_DE);                                              \
		__asm__(WITH_FLAGS(insn " %[d]")                                              \
			: "+a"(ax), [f] "+&r"(f)                                              \
			: [d] "r"(d)                                                          \
			: "cc", "memory");                                                    \
		reg_set(cpu, 8 * R_RAX, ax, 2);                                               \
		keep_flags(cpu, f);                                                           \
		return soft_next(cpu, op);                                                    \
	}

DEFINE_DIV8(div, "divb", fits)
DEFINE_DIV(div, uint16_t, 16, "divw", fits)
DEFINE_DIV(div, uint32_t, 32, "divl", fits)
DEFINE_DIV(div, uint64_t, 64, "divq", fits)
DEFINE_DIV8(idiv, "idivb", fits_signed)
DEFINE_DIV(idiv, uint16_t, 16, "idivw", fits_signed)
DEFINE_DIV(idiv, uint32_t, 32, "idivl", fits_signed)
DEFINE_DIV(idiv, uint64_t, 64, "idivq", fits_signed)

/* ---- Selection ------------------------------------------------------------------------------ */

/* Intel order of the written operands: the r/m source is opd[0] in the one-operand forms, else
 * opd[1]. */
soft_fn soft_pick_muldiv(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	static const soft_fn mul[4] = {mul_8, mul_16, mul_32, mul_64};
	static const soft_fn imul[4] = {imul_8, imul_16, imul_32, imul_64};
	static const soft_fn div[4] = {div_8, div_16, div_32, div_64};
	static const soft_fn idiv[4] = {idiv_8, idiv_16, idiv_32, idiv_64};
	static const soft_fn imul2[4] = {NULL, imul2_16, imul2_32, imul2_64};
	static const soft_fn imul3[4] = {NULL, imul3_16, imul3_32, imul3_64};
	bool two = insn->nopds >= 2 && !insn->opd[1].implicit;
	bool three = two && insn->nopds >= 3 && insn->opd[2].kind == X86_OPD_IMM;
	const struct x86_operand *rm = &insn->opd[two ? 1 : 0];
	unsigned log = (unsigned)__builtin_ctz(rm->size);

	(void)cpu;
	op->aux = rm->kind == X86_OPD_MEM;
	op->opsize = (uint8_t)rm->size;
	if (!op->aux)
		op->src = (uint8_t)(rm->reg * 8 + (rm->rc == X86_RC_GPRH));
	if (insn->op == X86_OP_DIV)
		return div[log];
	if (insn->op == X86_OP_IDIV)
		return idiv[log];
	if (insn->op == X86_OP_MUL)
		return mul[log];
	return three ? imul3[log] : two ? imul2[log] : imul[log];
}
