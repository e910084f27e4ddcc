// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flag instructions: CLC STC CMC CLD STD CLI STI LAHF SAHF SALC.
 * Source: Intel SDM vol. 2; §20.3 of vol. 3B for VME. Threads: the vCPU's own.
 */
#include "engine/soft/interp.h"

/* op->imm: bits to clear, op->disp: bits to set, op->aux: bits to flip. */
static const struct soft_op *flags_change(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->s.rflags = ((cpu->s.rflags & ~op->imm) | (uint64_t)op->disp) ^ op->aux;
	return soft_next(cpu, op);
}

static const struct soft_op *lahf(struct soft_cpu *cpu, const struct soft_op *op)
{
	*soft_reg(cpu, 8 * R_RAX + 1) = (uint8_t)cpu->s.rflags;
	return soft_next(cpu, op);
}

static const struct soft_op *sahf(struct soft_cpu *cpu, const struct soft_op *op)
{
	const uint64_t mask = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF;

	cpu->s.rflags = (cpu->s.rflags & ~mask) | (*soft_reg(cpu, 8 * R_RAX + 1) & mask);
	return soft_next(cpu, op);
}

static const struct soft_op *salc(struct soft_cpu *cpu, const struct soft_op *op)
{
	*soft_reg(cpu, 8 * R_RAX) = cpu->s.rflags & FLAG_CF ? 0xff : 0;
	return soft_next(cpu, op);
}

/* Which flag CLI and STI act on here: IF, or VIF under VME or PVI; 0 is #GP(0). */
static uint64_t interrupt_flag(const struct soft_cpu *cpu)
{
	unsigned iopl = (unsigned)(cpu->s.rflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT;

	if (!(cpu->mode & SOFT_MODE_PE))
		return FLAG_IF;
	if (cpu->mode & SOFT_MODE_VM86) {
		if (iopl == 3)
			return FLAG_IF;
		return cpu->s.cr4 & CR4_VME ? FLAG_VIF : 0;
	}
	if (x86_cpl(&cpu->s) <= iopl)
		return FLAG_IF;
	return x86_cpl(&cpu->s) == 3 && (cpu->s.cr4 & CR4_PVI) ? FLAG_VIF : 0;
}

static const struct soft_op *cli(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t flag = interrupt_flag(cpu);

	if (!flag)
		soft_raise_err(cpu, VEC_GP, 0);
	cpu->s.rflags &= ~flag;
	return soft_next(cpu, op);
}

static const struct soft_op *sti(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t flag = interrupt_flag(cpu);

	if (!flag || (flag == FLAG_VIF && (cpu->s.rflags & FLAG_VIP)))
		soft_raise_err(cpu, VEC_GP, 0);
	if (flag == FLAG_IF && !(cpu->s.rflags & FLAG_IF))
		cpu->s.int_shadow = X86_SHADOW_STI;
	cpu->s.rflags |= flag;
	soft_mode_changed(cpu);
	return leave_to(cpu, next_ip(cpu, op));
}

static soft_fn change(struct soft_op *op, uint64_t clear, uint64_t set, uint8_t flip)
{
	op->imm = clear;
	op->disp = (int64_t)set;
	op->aux = flip;
	return flags_change;
}

soft_fn soft_pick_flag_ops(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	switch (insn->op) {
	case X86_OP_CLC:
		return change(op, FLAG_CF, 0, 0);
	case X86_OP_STC:
		return change(op, 0, FLAG_CF, 0);
	case X86_OP_CMC:
		return change(op, 0, 0, FLAG_CF);
	case X86_OP_CLD:
		return change(op, FLAG_DF, 0, 0);
	case X86_OP_STD:
		return change(op, 0, FLAG_DF, 0);
	case X86_OP_CLI:
		return cli;
	case X86_OP_STI:
		return sti;
	case X86_OP_LAHF:
		return lahf;
	case X86_OP_SAHF:
		return sahf;
	case X86_OP_SALC:
		return salc;
	default:
		return NULL;
	}
}
