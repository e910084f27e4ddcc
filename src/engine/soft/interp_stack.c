// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE.
 * Source: Intel SDM vol. 1 ch. 6, vol. 2. Threads: the vCPU's own.
 */
#include "engine/soft/stack.h"

static const struct soft_op *push_r64(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = cpu->s.gpr[R_RSP] - 8;

	stack_store(cpu, sp, reg_get(cpu, op->dst, 8), 8);
	cpu->s.gpr[R_RSP] = sp;
	return soft_next(cpu, op);
}

static const struct soft_op *pop_r64(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = cpu->s.gpr[R_RSP];
	uint64_t v = stack_load(cpu, sp, 8);

	cpu->s.gpr[R_RSP] = sp + 8;
	reg_set(cpu, op->dst, v, 8);
	return soft_next(cpu, op);
}

static const struct soft_op *push_r(struct soft_cpu *cpu, const struct soft_op *op)
{
	stack_push(cpu, reg_get(cpu, op->dst, op->opsize), op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *push_i(struct soft_cpu *cpu, const struct soft_op *op)
{
	stack_push(cpu, op->imm, op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *push_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	stack_push(cpu, op_load(cpu, op, op->opsize), op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *pop_r(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = stack_top(cpu), v = stack_load(cpu, sp, op->opsize);

	stack_set(cpu, sp + op->opsize);
	reg_set(cpu, op->dst, v, op->opsize);
	return soft_next(cpu, op);
}

/* An address based on rSP uses the value after the pop (SDM vol. 2, POP). */
static const struct soft_op *pop_m(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = stack_top(cpu), v = stack_load(cpu, sp, op->opsize);
	struct soft_op moved = *op;

	if (op->base == R_RSP)
		moved.disp += op->opsize;
	op_store(cpu, &moved, v, op->opsize);
	stack_set(cpu, sp + op->opsize);
	return soft_next(cpu, op);
}

static const struct soft_op *pusha(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t mask = soft_sp_mask(cpu), sp = stack_top(cpu);
	unsigned size = op->opsize;

	/* A fault leaves what was pushed so far; rSP moves last. */
	for (unsigned i = 0; i < 8; i++)
		stack_store(cpu, (sp - (i + 1) * size) & mask, cpu->s.gpr[i], size);
	stack_set(cpu, sp - 8 * size);
	return soft_next(cpu, op);
}

static const struct soft_op *popa(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t mask = soft_sp_mask(cpu), sp = stack_top(cpu);
	unsigned size = op->opsize;

	/* Registers are written as they are read, rSP last, so a fault restarts it. */
	for (unsigned i = 0; i < 8; i++) {
		uint64_t v = stack_load(cpu, (sp + i * size) & mask, size);

		if (i != 7 - R_RSP)
			reg_set(cpu, 8 * (7 - i), v, size);
	}
	stack_set(cpu, sp + 8 * size);
	return soft_next(cpu, op);
}

/* ---- PUSHF, POPF ---------------------------------------------------------------------------- */

/* In VM86 with IOPL < 3: allowed only with VME and 16 bits, when IF means VIF. */
static bool vm86_flags_virtual(struct soft_cpu *cpu, unsigned size)
{
	bool sensitive = (cpu->mode & SOFT_MODE_VM86) && (cpu->s.rflags & FLAG_IOPL) != FLAG_IOPL;

	if (!sensitive)
		return false;
	if (!(cpu->s.cr4 & CR4_VME) || size != 2)
		soft_raise_err(cpu, VEC_GP, 0);
	return true;
}

static const struct soft_op *pushf(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t f = cpu->s.rflags;

	if (vm86_flags_virtual(cpu, op->opsize)) {
		f = (f & ~(uint64_t)FLAG_IF) | FLAG_IOPL;
		if (f & FLAG_VIF)
			f |= FLAG_IF;
	}
	stack_push(cpu, f & ~(uint64_t)(FLAG_VM | FLAG_RF), op->opsize);
	return soft_next(cpu, op);
}

/* POPF with VME in VM86 (SDM vol. 2, POPF table 4-16): IF of the image goes to VIF. */
static void popf_virtual(struct soft_cpu *cpu, uint64_t v)
{
	uint64_t mask = soft_popf_mask(cpu, 2) & ~(uint64_t)(FLAG_IF | FLAG_IOPL);

	if ((v & FLAG_TF) || ((v & FLAG_IF) && (cpu->s.rflags & FLAG_VIP)))
		soft_raise_err(cpu, VEC_GP, 0);
	cpu->s.rflags =
		(cpu->s.rflags & ~(mask | FLAG_VIF)) | (v & mask) | (v & FLAG_IF ? FLAG_VIF : 0);
}

static const struct soft_op *popf(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool virtual = vm86_flags_virtual(cpu, op->opsize);
	uint64_t sp = stack_top(cpu), v = stack_load(cpu, sp, op->opsize);

	if (virtual) {
		popf_virtual(cpu, v);
	} else {
		uint64_t mask = soft_popf_mask(cpu, op->opsize);

		cpu->s.rflags = ((cpu->s.rflags & ~mask) | (v & mask)) & ~(uint64_t)FLAG_RF;
	}
	stack_set(cpu, sp + op->opsize);
	soft_mode_changed(cpu);
	return leave_to(cpu, next_ip(cpu, op));
}

/* ---- ENTER, LEAVE --------------------------------------------------------------------------- */

static const struct soft_op *leave(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t sp = cpu->s.gpr[R_RBP] & soft_sp_mask(cpu);
	uint64_t v = stack_load(cpu, sp, op->opsize);

	stack_set(cpu, sp + op->opsize);
	reg_set(cpu, 8 * R_RBP, v, op->opsize);
	return soft_next(cpu, op);
}

/* op->imm: bytes of locals; op->aux: nesting level, modulo 32. */
static const struct soft_op *enter(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize, level = op->aux;
	uint64_t mask = soft_sp_mask(cpu), sp = stack_top(cpu), bp = cpu->s.gpr[R_RBP] & mask,
		 frame;

	sp = (sp - size) & mask;
	stack_store(cpu, sp, cpu->s.gpr[R_RBP], size);
	frame = (cpu->s.gpr[R_RSP] & ~mask) | sp;
	for (unsigned i = 1; i < level; i++) {
		bp = (bp - size) & mask;
		sp = (sp - size) & mask;
		stack_store(cpu, sp, stack_load(cpu, bp, size), size);
	}
	if (level) {
		sp = (sp - size) & mask;
		stack_store(cpu, sp, frame, size);
	}
	sp = (sp - op->imm) & mask;
	/* The new top must be writable (SDM vol. 2, ENTER: a #PF there is this instruction's). */
	soft_probe_write(cpu, stack_lin(cpu, sp, size, true), size);
	reg_set(cpu, 8 * R_RBP, frame, size);
	stack_set(cpu, sp);
	return soft_next(cpu, op);
}

/* ---- Selection ------------------------------------------------------------------------------ */

static soft_fn pick_push_pop(struct soft_op *op, const struct x86_insn *insn)
{
	bool push = insn->op == X86_OP_PUSH;

	switch (insn->opd[0].kind) {
	case X86_OPD_MEM:
		return push ? push_m : pop_m;
	case X86_OPD_IMM:
		return push_i;
	default:
		if (insn->mode == X86_MODE_64 && op->opsize == 8)
			return push ? push_r64 : pop_r64;
		return push ? push_r : pop_r;
	}
}

soft_fn soft_pick_stack(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	op->opsize = insn->opsize;
	switch (insn->op) {
	case X86_OP_PUSH:
	case X86_OP_POP:
		return pick_push_pop(op, insn);
	case X86_OP_PUSHA:
		return pusha;
	case X86_OP_POPA:
		return popa;
	case X86_OP_PUSHF:
		return pushf;
	case X86_OP_POPF:
		return popf;
	case X86_OP_LEAVE:
		return leave;
	case X86_OP_ENTER:
		op->imm = (uint16_t)insn->imm;
		op->aux = insn->imm2 & 31;
		return enter;
	default:
		return NULL;
	}
}
