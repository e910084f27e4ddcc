// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Moves: MOV, MOVZX, MOVSX, MOVSXD, LEA, MOVBE, MOVNTI, CMOVcc, SETcc, BSWAP, CBW, CWD, XLAT, NOPs.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"

/* A store of `value`. */
#define DEFINE_STORE_OP(name, T, value)                                                   \
	static SOFT_SLOW const struct soft_op *name##_slow(struct soft_cpu *cpu,          \
							   const struct soft_op *op)      \
	{                                                                                 \
		op_store(cpu, op, (T)(value), sizeof(T));                                 \
		return soft_next(cpu, op);                                                \
	}                                                                                 \
	static const struct soft_op *name(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                 \
		volatile T *p = op_fast(cpu, op, sizeof(T), SOFT_WRITE);                  \
                                                                                          \
		if (unlikely(!p))                                                         \
			return name##_slow(cpu, op);                                      \
		*p = (T)(value);                                                          \
		return soft_next(cpu, op);                                                \
	}

#define DEFINE_MOV(T, bits)                                                                        \
	static const struct soft_op *mov_rr_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                          \
		reg_set(cpu, op->dst, reg_get(cpu, op->src, sizeof(T)), sizeof(T));                \
		return soft_next(cpu, op);                                                         \
	}                                                                                          \
	static const struct soft_op *mov_ri_##bits(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                          \
		reg_set(cpu, op->dst, (T)op->imm, sizeof(T));                                      \
		return soft_next(cpu, op);                                                         \
	}                                                                                          \
	SOFT_DEFINE_LOAD_OP(mov_rm_##bits, T, reg_set(cpu, op->dst, s, sizeof(T)))                 \
	DEFINE_STORE_OP(mov_mr_##bits, T, reg_get(cpu, op->src, sizeof(T)))                        \
	DEFINE_STORE_OP(mov_mi_##bits, T, op->imm)

DEFINE_MOV(uint8_t, 8)
DEFINE_MOV(uint16_t, 16)
DEFINE_MOV(uint32_t, 32)
DEFINE_MOV(uint64_t, 64)

static soft_fn pick_mov(const struct x86_insn *insn)
{
	static const soft_fn fn[4][5] = {
		{mov_rr_8, mov_ri_8, mov_rm_8, mov_mr_8, mov_mi_8},
		{mov_rr_16, mov_ri_16, mov_rm_16, mov_mr_16, mov_mi_16},
		{mov_rr_32, mov_ri_32, mov_rm_32, mov_mr_32, mov_mi_32},
		{mov_rr_64, mov_ri_64, mov_rm_64, mov_mr_64, mov_mi_64},
	};
	unsigned log = (unsigned)__builtin_ctz(insn->opd[0].size);
	bool imm = insn->opd[1].kind == X86_OPD_IMM;

	if (insn->opd[0].kind == X86_OPD_MEM)
		return fn[log][imm ? 4 : 3];
	return fn[log][imm ? 1 : insn->opd[1].kind == X86_OPD_MEM ? 2 : 0];
}

/* ---- Extending moves: source size in the name, destination in op->opsize -------------------- */

#define DEFINE_EXTEND(name, T)                                                                \
	static const struct soft_op *name##_r(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                     \
		reg_set(cpu, op->dst, (uint64_t)(int64_t)(T)reg_get(cpu, op->src, sizeof(T)), \
			op->opsize);                                                          \
		return soft_next(cpu, op);                                                    \
	}                                                                                     \
	SOFT_DEFINE_LOAD_OP(name##_m, T, reg_set(cpu, op->dst, (uint64_t)(int64_t)s, op->opsize))

DEFINE_EXTEND(movzx_8, uint8_t)
DEFINE_EXTEND(movzx_16, uint16_t)
DEFINE_EXTEND(movzx_32, uint32_t)
DEFINE_EXTEND(movsx_8, int8_t)
DEFINE_EXTEND(movsx_16, int16_t)
DEFINE_EXTEND(movsx_32, int32_t)

static soft_fn pick_extend(struct soft_op *op, const struct x86_insn *insn)
{
	static const soft_fn fn[2][3][2] = {
		{{movzx_8_r, movzx_8_m}, {movzx_16_r, movzx_16_m}, {movzx_32_r, movzx_32_m}},
		{{movsx_8_r, movsx_8_m}, {movsx_16_r, movsx_16_m}, {movsx_32_r, movsx_32_m}},
	};
	unsigned log = (unsigned)__builtin_ctz(insn->opd[1].size);

	op->opsize = (uint8_t)insn->opd[0].size;
	return fn[insn->op != X86_OP_MOVZX][log][insn->opd[1].kind == X86_OPD_MEM];
}

static const struct soft_op *lea(struct soft_cpu *cpu, const struct soft_op *op)
{
	reg_set(cpu, op->dst, soft_ea_off(cpu, op), op->opsize);
	return soft_next(cpu, op);
}

static inline uint64_t swap_bytes(uint64_t v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}

static const struct soft_op *movbe_load(struct soft_cpu *cpu, const struct soft_op *op)
{
	reg_set(cpu, op->dst, swap_bytes(op_load(cpu, op, op->opsize), op->opsize), op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *movbe_store(struct soft_cpu *cpu, const struct soft_op *op)
{
	op_store(cpu, op, swap_bytes(reg_get(cpu, op->src, op->opsize), op->opsize), op->opsize);
	return soft_next(cpu, op);
}

/* A 16-bit BSWAP is undefined; processors of this decade clear the register's low word. */
static const struct soft_op *bswap(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t v = reg_get(cpu, op->dst, op->opsize);

	reg_set(cpu, op->dst, op->opsize == 2 ? 0 : swap_bytes(v, op->opsize), op->opsize);
	return soft_next(cpu, op);
}

/* ---- Conditional ---------------------------------------------------------------------------- */

/* The source is read, and may fault, whatever the condition; 32 bits always clear the upper half.
 */
static const struct soft_op *cmov_r(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned from = cc_true(cpu->s.rflags, op->cc) ? op->src : op->dst;

	reg_set(cpu, op->dst, reg_get(cpu, from, op->opsize), op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *cmov_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t v = op_load(cpu, op, op->opsize);

	if (!cc_true(cpu->s.rflags, op->cc))
		v = reg_get(cpu, op->dst, op->opsize);
	reg_set(cpu, op->dst, v, op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *setcc_r(struct soft_cpu *cpu, const struct soft_op *op)
{
	*soft_reg(cpu, op->dst) = cc_true(cpu->s.rflags, op->cc);
	return soft_next(cpu, op);
}

static const struct soft_op *setcc_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	op_store(cpu, op, cc_true(cpu->s.rflags, op->cc), 1);
	return soft_next(cpu, op);
}

/* ---- Accumulator conversions, XLAT, hints --------------------------------------------------- */

static const struct soft_op *cbw(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned half = op->opsize / 2, shift = 64 - 8 * half;
	int64_t v = (int64_t)(cpu->s.gpr[R_RAX] << shift) >> shift;

	reg_set(cpu, 8 * R_RAX, (uint64_t)v, op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *cwd(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool negative = cpu->s.gpr[R_RAX] >> (8 * op->opsize - 1) & 1;

	reg_set(cpu, 8 * R_RDX, negative ? ~0ull : 0, op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *xlat(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t off = (cpu->s.gpr[R_RBX] + (uint8_t)cpu->s.gpr[R_RAX]) & op->ea_mask;

	*soft_reg(cpu, 8 * R_RAX) =
		(uint8_t)soft_load(cpu, soft_lin(cpu, op->seg, off, 1, false), 1);
	return soft_next(cpu, op);
}

static const struct soft_op *nop(struct soft_cpu *cpu, const struct soft_op *op)
{
	return soft_next(cpu, op);
}

#define PAUSES_TO_YIELD 16

/* Who spins where vCPUs share host CPUs may be waiting for one that does not run: give way. */
static const struct soft_op *pause_op(struct soft_cpu *cpu, const struct soft_op *op)
{
	__builtin_ia32_pause();
	if (cpu->e->crowded && ++cpu->pauses % PAUSES_TO_YIELD == 0)
		cpu->yield = true;
	return leave_to(cpu, next_ip(cpu, op));
}

/* A flush is checked as a byte read (SDM vol. 2, CLFLUSH), and has nothing to do here. */
static const struct soft_op *clflush(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_probe_read(cpu, op_lin(cpu, op, 1, false), 1);
	return soft_next(cpu, op);
}

static const struct soft_op *mfence(struct soft_cpu *cpu, const struct soft_op *op)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return soft_next(cpu, op);
}

/* Non-temporal stores run as the host's own, which are weakly ordered. */
static const struct soft_op *sfence(struct soft_cpu *cpu, const struct soft_op *op)
{
	__asm__ volatile("sfence" : : : "memory");
	return soft_next(cpu, op);
}

static const struct soft_op *lfence(struct soft_cpu *cpu, const struct soft_op *op)
{
	__asm__ volatile("lfence" : : : "memory");
	return soft_next(cpu, op);
}

/* Zero the 64-byte line that rAX points into (APM vol. 3). */
static const struct soft_op *clzero(struct soft_cpu *cpu, const struct soft_op *op)
{
	static const uint8_t zero[64];
	gva_t lin = soft_lin(cpu, op->seg, cpu->s.gpr[R_RAX] & op->ea_mask & ~63ull, 64, true);

	soft_st_bytes(cpu, lin, zero, sizeof(zero));
	return soft_next(cpu, op);
}

/* ---- Selection ------------------------------------------------------------------------------ */

soft_fn soft_pick_move(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	bool mem0 = insn->opd[0].kind == X86_OPD_MEM, mem1 = insn->opd[1].kind == X86_OPD_MEM;

	(void)cpu;
	if (insn->nopds && insn->opd[0].size)
		op->opsize = (uint8_t)insn->opd[0].size;
	switch (insn->op) {
	case X86_OP_MOV:
	case X86_OP_MOVNTI:
		return pick_mov(insn);
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_MOVSXD:
		return pick_extend(op, insn);
	case X86_OP_LEA:
		return lea;
	case X86_OP_MOVBE:
		return mem0 ? movbe_store : movbe_load;
	case X86_OP_BSWAP:
		return bswap;
	case X86_OP_CMOVCC:
		return mem1 ? cmov_m : cmov_r;
	case X86_OP_SETCC:
		return mem0 ? setcc_m : setcc_r;
	default:
		return NULL;
	}
}

soft_fn soft_pick_misc(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	op->opsize = insn->opsize;
	switch (insn->op) {
	case X86_OP_CBW:
		return cbw;
	case X86_OP_CWD:
		return cwd;
	case X86_OP_XLAT:
		return xlat;
	case X86_OP_PAUSE:
		return pause_op;
	case X86_OP_CLFLUSH:
	case X86_OP_CLFLUSHOPT:
	case X86_OP_CLWB:
		return clflush;
	case X86_OP_MFENCE:
		return mfence;
	case X86_OP_CLZERO:
		return clzero;
	case X86_OP_SFENCE:
		return sfence;
	case X86_OP_LFENCE:
		return lfence;
	default: /* NOP, prefetches */
		return nop;
	}
}
