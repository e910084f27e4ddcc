// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Near control transfers: Jcc JMP CALL RET LOOPcc JrCXZ.
 * A direct target is checked when the block is built (its CS limit and mode are part of the block's
 * key); op->cc | 0x80 marks a target that faults when it is taken.
 * Source: Intel SDM vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"
#include "engine/soft/stack.h"

/* An instruction pointer read from a register or memory: #GP(0) beyond the segment or not
 * canonical. */
static inline void check_ip(struct soft_cpu *cpu, uint64_t ip)
{
	bool ok = soft_mode64(cpu) ? soft_canonical(ip) : ip <= cpu->s.seg[SEG_CS].limit;

	if (unlikely(!ok))
		soft_raise_err(cpu, VEC_GP, 0);
}

/*
 * A CALL to where none may go. Its push faults first; Intel's processors leave the return address below the top
 * of the stack, AMD's do not.
 */
static _Noreturn void call_refused(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = (cpu->s.gpr[R_RSP] - op->opsize) & soft_sp_mask(cpu);

	if (soft_intel(cpu))
		stack_store(cpu, sp, next_ip(cpu, op), op->opsize);
	else
		soft_probe_write(cpu, soft_lin(cpu, SEG_SS, sp, op->opsize, true), op->opsize);
	soft_raise_err(cpu, VEC_GP, 0);
}

/* As above for an indirect CALL. */
static inline void check_call_ip(struct soft_cpu *cpu, const struct soft_op *op, uint64_t ip)
{
	bool ok = soft_mode64(cpu) ? soft_canonical(ip) : ip <= cpu->s.seg[SEG_CS].limit;

	if (unlikely(!ok))
		call_refused(cpu, op);
}

static inline uint64_t ip_mask(unsigned opsize)
{
	return opsize == 8 ? ~0ull : opsize == 4 ? 0xffffffffull : 0xffffull;
}

/* ---- Jcc ------------------------------------------------------------------------------------ */

#define DEFINE_JCC(n)                                                                             \
	static const struct soft_op *jcc_##n(struct soft_cpu *cpu, const struct soft_op *op)      \
	{                                                                                         \
		if (cc_true(cpu->s.rflags, n))                                                    \
			return soft_branch(cpu, op->imm);                                         \
		return soft_next(cpu, op);                                                        \
	}                                                                                         \
	static const struct soft_op *jcc_back_##n(struct soft_cpu *cpu, const struct soft_op *op) \
	{                                                                                         \
		if (!cc_true(cpu->s.rflags, n))                                                   \
			return soft_next(cpu, op);                                                \
		if (unlikely(atomic_load_explicit(&cpu->requests, memory_order_relaxed)))         \
			return leave_to(cpu, op->imm);                                            \
		return soft_goto(cpu, op->target);                                                \
	}

DEFINE_JCC(0)
DEFINE_JCC(1)
DEFINE_JCC(2)
DEFINE_JCC(3)
DEFINE_JCC(4)
DEFINE_JCC(5)
DEFINE_JCC(6)
DEFINE_JCC(7) DEFINE_JCC(8) DEFINE_JCC(9) DEFINE_JCC(10) DEFINE_JCC(11) DEFINE_JCC(12)
	DEFINE_JCC(13) DEFINE_JCC(14) DEFINE_JCC(15)

		static const struct soft_op *jcc_bad(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (cc_true(cpu->s.rflags, op->cc & 15))
		soft_raise_err(cpu, VEC_GP, 0);
	return soft_next(cpu, op);
}

static soft_fn pick_jcc(const struct soft_op *op)
{
	static const soft_fn out[16] = {jcc_0,	jcc_1,	jcc_2,	jcc_3, jcc_4,  jcc_5,
					jcc_6,	jcc_7,	jcc_8,	jcc_9, jcc_10, jcc_11,
					jcc_12, jcc_13, jcc_14, jcc_15};
	static const soft_fn back[16] = {jcc_back_0,  jcc_back_1,  jcc_back_2,	jcc_back_3,
					 jcc_back_4,  jcc_back_5,  jcc_back_6,	jcc_back_7,
					 jcc_back_8,  jcc_back_9,  jcc_back_10, jcc_back_11,
					 jcc_back_12, jcc_back_13, jcc_back_14, jcc_back_15};

	if (op->cc & SOFT_CC_BAD_TARGET)
		return jcc_bad;
	return op->target ? back[op->cc] : out[op->cc];
}

/* ---- Jumps, calls, returns ------------------------------------------------------------------ */

static const struct soft_op *bad_target(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	soft_raise_err(cpu, VEC_GP, 0);
}

static const struct soft_op *call_bad_target(struct soft_cpu *cpu, const struct soft_op *op)
{
	call_refused(cpu, op);
}

static const struct soft_op *jmp(struct soft_cpu *cpu, const struct soft_op *op)
{
	return soft_branch(cpu, op->imm);
}

static const struct soft_op *jmp_back(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (unlikely(atomic_load_explicit(&cpu->requests, memory_order_relaxed)))
		return leave_to(cpu, op->imm);
	return soft_goto(cpu, op->target);
}

static const struct soft_op *call(struct soft_cpu *cpu, const struct soft_op *op)
{
	stack_push(cpu, next_ip(cpu, op), op->opsize);
	return soft_branch(cpu, op->imm);
}

static const struct soft_op *jmp_r(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t ip = reg_get(cpu, op->dst, op->opsize);

	check_ip(cpu, ip);
	return soft_branch(cpu, ip);
}

static const struct soft_op *jmp_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t ip = op_load(cpu, op, op->opsize);

	check_ip(cpu, ip);
	return soft_branch(cpu, ip);
}

static const struct soft_op *call_r(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t ip = reg_get(cpu, op->dst, op->opsize);

	check_call_ip(cpu, op, ip);
	stack_push(cpu, next_ip(cpu, op), op->opsize);
	return soft_branch(cpu, ip);
}

static const struct soft_op *call_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t ip = op_load(cpu, op, op->opsize);

	check_call_ip(cpu, op, ip);
	stack_push(cpu, next_ip(cpu, op), op->opsize);
	return soft_branch(cpu, ip);
}

/* op->imm: bytes of arguments to drop. */
static const struct soft_op *ret(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = stack_top(cpu), ip = stack_load(cpu, sp, op->opsize);

	check_ip(cpu, ip);
	stack_set(cpu, sp + op->opsize + op->imm);
	return soft_branch(cpu, ip);
}

/* ---- LOOP, JrCXZ: the counter's size is the address size ------------------------------------ */

static const struct soft_op *take(struct soft_cpu *cpu, const struct soft_op *op)
{
	return soft_branch(cpu, op->imm);
}

/* AMD processors let a repeat prefix decide which ZF continues LOOPE and LOOPNE. */
static uint8_t loop_kind(const struct soft_cpu *cpu, const struct x86_insn *insn)
{
	if (insn->op == X86_OP_LOOP)
		return SOFT_LOOP_COUNT;
	if (!soft_intel(cpu) && (insn->flags & (X86_IF_REP | X86_IF_REPNE)))
		return insn->flags & X86_IF_REP ? SOFT_LOOP_WHILE_ZF : SOFT_LOOP_WHILE_NOT_ZF;
	return insn->op == X86_OP_LOOPE ? SOFT_LOOP_WHILE_ZF : SOFT_LOOP_WHILE_NOT_ZF;
}

static const struct soft_op *loop(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t count = (reg_get(cpu, 8 * R_RCX, op->addrsize) - 1) & op->ea_mask;
	bool zf = cpu->s.rflags & FLAG_ZF, taken = count != 0;

	if (op->aux == SOFT_LOOP_WHILE_ZF)
		taken = taken && zf;
	else if (op->aux == SOFT_LOOP_WHILE_NOT_ZF)
		taken = taken && !zf;
	if (taken && (op->cc & SOFT_CC_BAD_TARGET))
		soft_raise_err(cpu, VEC_GP, 0);
	reg_set(cpu, 8 * R_RCX, count, op->addrsize);
	return taken ? take(cpu, op) : soft_next(cpu, op);
}

static const struct soft_op *jcxz(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (reg_get(cpu, 8 * R_RCX, op->addrsize))
		return soft_next(cpu, op);
	if (op->cc & SOFT_CC_BAD_TARGET)
		soft_raise_err(cpu, VEC_GP, 0);
	return take(cpu, op);
}

/* ---- Selection ------------------------------------------------------------------------------ */

soft_fn soft_pick_flow(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	bool mem = insn->opd[0].kind == X86_OPD_MEM;
	bool bad = op->cc & SOFT_CC_BAD_TARGET;

	op->opsize = insn->opsize;
	switch (insn->op) {
	case X86_OP_JCC:
		return pick_jcc(op);
	case X86_OP_JMP:
		return bad ? bad_target : op->target ? jmp_back : jmp;
	case X86_OP_CALL:
		return bad ? call_bad_target : call;
	case X86_OP_JMP_IND:
		return mem ? jmp_m : jmp_r;
	case X86_OP_CALL_IND:
		return mem ? call_m : call_r;
	case X86_OP_RET:
		op->imm = (uint16_t)op->imm;
		return ret;
	case X86_OP_LOOP:
	case X86_OP_LOOPE:
	case X86_OP_LOOPNE:
		op->aux = loop_kind(cpu, insn);
		return loop;
	case X86_OP_JCXZ:
		return jcxz;
	default:
		return NULL;
	}
}

uint64_t soft_branch_target(const struct x86_insn *insn, uint64_t next)
{
	return (next + insn->imm) & ip_mask(insn->opsize);
}
