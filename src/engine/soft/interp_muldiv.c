// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MUL, IMUL (one, two and three operands), DIV, IDIV.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"

/* The others are undefined, and stay. */
#define MUL_FLAGS ((uint64_t)(FLAG_CF | FLAG_OF))

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
		uint64_t f;                                                                        \
                                                                                                   \
		__asm__(insn " %[s]\n\tpushf\n\tpop %[f]"                                          \
			: "+a"(lo), "=&d"(hi), [f] "=&r"(f)                                        \
			: [s] "r"(s)                                                               \
			: "cc", "memory");                                                         \
		reg_set(cpu, 8 * R_RAX, lo, sizeof(T));                                            \
		reg_set(cpu, 8 * R_RDX, hi, sizeof(T));                                            \
		cpu->s.rflags = (cpu->s.rflags & ~MUL_FLAGS) | (f & MUL_FLAGS);                    \
		return soft_next(cpu, op);                                                         \
	}

#define DEFINE_MUL8(name, insn)                                                               \
	static const struct soft_op *name##_8(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                     \
		uint16_t ax = (uint8_t)cpu->s.gpr[R_RAX];                                     \
		uint8_t s = (uint8_t)source(cpu, op, 1);                                      \
		uint64_t f;                                                                   \
                                                                                              \
		__asm__(insn " %[s]\n\tpushf\n\tpop %[f]"                                     \
			: "+a"(ax), [f] "=&r"(f)                                              \
			: [s] "r"(s)                                                          \
			: "cc", "memory");                                                    \
		reg_set(cpu, 8 * R_RAX, ax, 2);                                               \
		cpu->s.rflags = (cpu->s.rflags & ~MUL_FLAGS) | (f & MUL_FLAGS);               \
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
		uint32_t ax;                                                                      \
                                                                                                  \
		__asm__(insn " %[s], %[d]\n\tlahf\n\tseto %%al"                                   \
			: [d] "+r"(d), "=&a"(ax)                                                  \
			: [s] "r"(s)                                                              \
			: "cc");                                                                  \
		flags_merge(cpu, ax, MUL_FLAGS);                                                  \
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

/*
 * Unsigned 2N/N-bit division for N = 8, 16, 32, 64 with the operands in 64-bit parts.
 * False when the divisor is 0 or the quotient does not fit.
 */
static bool divide(uint64_t hi, uint64_t lo, uint64_t d, unsigned size, uint64_t *q, uint64_t *r)
{
	if (size == 8) {
		if (hi >= d)
			return false;
		__asm__("divq %[d]" : "+a"(lo), "+d"(hi) : [d] "r"(d) : "cc");
		*q = lo;
		*r = hi;
		return true;
	}

	uint64_t n = hi << (8 * size) | lo;

	if (!d || hi >= d)
		return false;
	*q = n / d;
	*r = n % d;
	return true;
}

static inline uint64_t size_mask(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

static inline uint64_t sign_bit(unsigned size)
{
	return 1ull << (8 * size - 1);
}

/* Signed division by magnitudes; the remainder has the dividend's sign. */
static bool divide_signed(uint64_t hi, uint64_t lo, uint64_t d, unsigned size, uint64_t *q,
			  uint64_t *r)
{
	uint64_t mask = size_mask(size), sign = sign_bit(size);
	bool n_neg = hi & sign, d_neg = d & sign;

	if (n_neg) {
		lo = (0 - lo) & mask;
		hi = (~hi + (lo == 0)) & mask;
	}
	if (d_neg)
		d = (0 - d) & mask;
	if (!divide(hi, lo, d, size, q, r))
		return false;
	if (n_neg != d_neg) {
		if (*q > sign)
			return false;
		*q = (0 - *q) & mask;
	} else if (*q >= sign) {
		return false;
	}
	if (n_neg)
		*r = (0 - *r) & mask;
	return true;
}

static const struct soft_op *div_any(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	uint64_t d = source(cpu, op, size), q, r;
	uint64_t lo = reg_get(cpu, 8 * R_RAX, size);
	uint64_t hi = size == 1 ? reg_get(cpu, 8 * R_RAX + 1, 1) : reg_get(cpu, 8 * R_RDX, size);
	bool ok = op->cc ? divide_signed(hi, lo, d, size, &q, &r) : divide(hi, lo, d, size, &q, &r);

	if (!ok)
		soft_raise(cpu, VEC_DE);
	reg_set(cpu, 8 * R_RAX, q, size);
	reg_set(cpu, size == 1 ? 8 * R_RAX + 1 : 8 * R_RDX, r, size);
	return soft_next(cpu, op);
}

/* ---- Selection ------------------------------------------------------------------------------ */

/* Intel order of the written operands: the r/m source is opd[0] in the one-operand forms, else
 * opd[1]. */
soft_fn soft_pick_muldiv(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	static const soft_fn mul[4] = {mul_8, mul_16, mul_32, mul_64};
	static const soft_fn imul[4] = {imul_8, imul_16, imul_32, imul_64};
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
	op->cc = insn->op == X86_OP_IDIV;
	if (insn->op == X86_OP_DIV || insn->op == X86_OP_IDIV)
		return div_any;
	if (insn->op == X86_OP_MUL)
		return mul[log];
	return three ? imul3[log] : two ? imul2[log] : imul[log];
}
