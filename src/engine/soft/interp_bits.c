// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bit tests and scans: BT BTS BTR BTC BSF BSR.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static inline uint64_t bit_apply(uint64_t v, uint64_t bit, unsigned how)
{
	switch (how) {
	case BIT_SET:
		return v | bit;
	case BIT_RESET:
		return v & ~bit;
	case BIT_COMPLEMENT:
		return v ^ bit;
	default:
		return v;
	}
}

static inline void carry_set(struct soft_cpu *cpu, bool carry)
{
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAG_CF) | (carry ? FLAG_CF : 0);
}

static const struct soft_op *bit_reg(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	uint64_t v = reg_get(cpu, op->dst, size);
	uint64_t index = op->cc ? op->imm : reg_get(cpu, op->src, size);
	uint64_t bit = 1ull << (index & (8 * size - 1));

	carry_set(cpu, v & bit);
	if (op->aux != BIT_TEST)
		reg_set(cpu, op->dst, bit_apply(v, bit, op->aux), size);
	return soft_next(cpu, op);
}

/* A register index is a signed bit offset from the operand's address; an immediate stays inside it.
 */
static gva_t bit_lin(struct soft_cpu *cpu, const struct soft_op *op, bool write, uint64_t *bit)
{
	unsigned size = op->opsize;
	uint64_t raw = op->cc ? op->imm : reg_get(cpu, op->src, size);
	int64_t index = (int64_t)(raw << (64 - 8 * size)) >> (64 - 8 * size);
	unsigned log = (unsigned)__builtin_ctz(8 * size);

	*bit = 1ull << (index & (int64_t)(8 * size - 1));
	if (op->cc)
		return op_lin(cpu, op, size, write);

	struct soft_op moved = *op;

	moved.disp += (index >> log) * (int64_t)size;
	return op_lin(cpu, &moved, size, write);
}

static void bit_update(struct soft_cpu *cpu, const struct soft_op *op, gva_t lin, uint64_t bit)
{
	unsigned size = op->opsize;
	uint8_t *p = soft_ptr(cpu, lin, size, true, true);
	uint64_t old;

	if (p && (op->flags & SOFT_OP_LOCK)) {
		/* the byte holds the bit: a byte-wide atomic is enough */
		unsigned n = (unsigned)__builtin_ctzll(bit);
		uint8_t mask = (uint8_t)(1u << (n & 7)), was;

		p += n >> 3;
		was = op->aux == BIT_SET ? __atomic_fetch_or(p, mask, __ATOMIC_SEQ_CST)
		      : op->aux == BIT_RESET
			      ? __atomic_fetch_and(p, (uint8_t)~mask, __ATOMIC_SEQ_CST)
			      : __atomic_fetch_xor(p, mask, __ATOMIC_SEQ_CST);
		carry_set(cpu, was & mask);
		return;
	}
	if (op->flags & SOFT_OP_LOCK)
		soft_exclusive_begin_op(cpu, op);
	old = soft_load(cpu, lin, size);
	soft_store(cpu, lin, bit_apply(old, bit, op->aux), size);
	if (op->flags & SOFT_OP_LOCK)
		soft_exclusive_end(cpu);
	carry_set(cpu, old & bit);
}

static const struct soft_op *bit_mem(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t bit;
	gva_t lin = bit_lin(cpu, op, op->aux != BIT_TEST, &bit);

	if (op->aux == BIT_TEST)
		carry_set(cpu, soft_load(cpu, lin, op->opsize) & bit);
	else
		bit_update(cpu, op, lin, bit);
	return soft_next(cpu, op);
}

/* ---- Scans: a zero source leaves the destination alone and sets ZF -------------------------- */

#define DEFINE_SCAN(name, T, bits, insn)                                                           \
	static const struct soft_op *name##_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                          \
		T s = (T)(op->aux ? op_load(cpu, op, sizeof(T))                                    \
				  : reg_get(cpu, op->src, sizeof(T)));                             \
		T d = (T)reg_get(cpu, op->dst, sizeof(T));                                         \
		uint64_t f = cpu->s.rflags & FLAGS_ARITH;                                          \
                                                                                                   \
		__asm__("push %[f]\n\tpopf\n\t" insn " %[s], %[d]\n\tpushf\n\tpop %[f]"            \
			: [d] "+r"(d), [f] "+r"(f)                                                 \
			: [s] "r"(s)                                                               \
			: "cc", "memory");                                                         \
		cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAGS_ARITH) | (f & FLAGS_ARITH);      \
		if (s)                                                                             \
			reg_set(cpu, op->dst, d, sizeof(T));                                       \
		else if (sizeof(T) == 4 && soft_mode64(cpu))                                       \
			reg_set(cpu, op->dst, reg_get(cpu, op->dst, 8), 8);                        \
		return soft_next(cpu, op);                                                         \
	}

DEFINE_SCAN(bsf, uint16_t, 16, "bsfw")
DEFINE_SCAN(bsf, uint32_t, 32, "bsfl")
DEFINE_SCAN(bsf, uint64_t, 64, "bsfq")
DEFINE_SCAN(bsr, uint16_t, 16, "bsrw")
DEFINE_SCAN(bsr, uint32_t, 32, "bsrl")
DEFINE_SCAN(bsr, uint64_t, 64, "bsrq")

soft_fn soft_pick_bits(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	static const soft_fn bsf[4] = {NULL, bsf_16, bsf_32, bsf_64};
	static const soft_fn bsr[4] = {NULL, bsr_16, bsr_32, bsr_64};
	unsigned log = (unsigned)__builtin_ctz(insn->opd[0].size);

	(void)cpu;
	if (insn->op == X86_OP_BSF || insn->op == X86_OP_BSR) {
		op->aux = insn->opd[1].kind == X86_OPD_MEM;
		return insn->op == X86_OP_BSF ? bsf[log] : bsr[log];
	}
	op->opsize = (uint8_t)insn->opd[0].size;
	op->cc = insn->opd[1].kind == X86_OPD_IMM;
	op->aux = insn->op == X86_OP_BT	   ? BIT_TEST
		  : insn->op == X86_OP_BTS ? BIT_SET
		  : insn->op == X86_OP_BTR ? BIT_RESET
					   : BIT_COMPLEMENT;
	return insn->opd[0].kind == X86_OPD_MEM ? bit_mem : bit_reg;
}
