// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Port input and output: IN OUT INS OUTS. Every access ends its block: a device may have changed
 * anything.
 * Source: Intel SDM vol. 1 ch. 19, vol. 2. Threads: the vCPU's own; devices are called through
 * engine_host.
 */
#include "engine/soft/interp.h"

static inline uint16_t port_of(struct soft_cpu *cpu, const struct soft_op *op)
{
	return op->aux ? (uint16_t)cpu->s.gpr[R_RDX] : (uint8_t)op->imm;
}

static const struct soft_op *in(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t port = port_of(cpu, op);

	soft_io_check(cpu, port, op->opsize);
	cpu->s.rip = next_ip(cpu, op);
	reg_set(cpu, 8 * R_RAX, soft_pio_read(cpu, port, op->opsize), op->opsize);
	return NULL;
}

static const struct soft_op *out(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint16_t port = port_of(cpu, op);

	soft_io_check(cpu, port, op->opsize);
	cpu->s.rip = next_ip(cpu, op);
	soft_pio_write(cpu, port, reg_get(cpu, 8 * R_RAX, op->opsize), op->opsize);
	return NULL;
}

static inline void index_step(struct soft_cpu *cpu, const struct soft_op *op, unsigned reg,
			      int64_t by)
{
	uint64_t *r = &cpu->s.gpr[reg], v = (*r + (uint64_t)by) & op->ea_mask;

	*r = op->ea_mask == 0xffff ? (*r & ~0xffffull) | v : v;
}

/* One INS (op->cc = 1) or OUTS element. The memory side is checked before the device is touched. */
static void port_element(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	uint16_t port = (uint16_t)cpu->s.gpr[R_RDX];
	int64_t step = cpu->s.rflags & FLAG_DF ? -(int64_t)size : (int64_t)size;

	if (op->cc) {
		gva_t lin = soft_lin(cpu, SEG_ES, cpu->s.gpr[R_RDI] & op->ea_mask, size, true);

		soft_probe_write(cpu, lin, size);
		soft_st(cpu, lin, soft_pio_read(cpu, port, size), size);
		index_step(cpu, op, R_RDI, step);
	} else {
		gva_t lin = soft_lin(cpu, op->seg, cpu->s.gpr[R_RSI] & op->ea_mask, size, false);

		soft_pio_write(cpu, port, soft_ld(cpu, lin, size), size);
		index_step(cpu, op, R_RSI, step);
	}
}

static const struct soft_op *port_string(struct soft_cpu *cpu, const struct soft_op *op)
{
	bool rep = op->flags & (SOFT_OP_REP | SOFT_OP_REPNE);

	soft_io_check(cpu, (uint16_t)cpu->s.gpr[R_RDX], op->opsize);
	if (!rep) {
		port_element(cpu, op);
		return leave_to(cpu, next_ip(cpu, op));
	}
	while (cpu->s.gpr[R_RCX] & op->ea_mask) {
		port_element(cpu, op);
		index_step(cpu, op, R_RCX, -1);
		if ((cpu->mode & SOFT_MODE_STEP) ||
		    atomic_load_explicit(&cpu->requests, memory_order_relaxed))
			return leave_to(cpu, cpu->s.gpr[R_RCX] & op->ea_mask ? op->rip
									     : next_ip(cpu, op));
	}
	return leave_to(cpu, next_ip(cpu, op));
}

/* The data operand's size is that of AL, AX, EAX or the string element, at most 4. */
soft_fn soft_pick_io(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	(void)cpu;
	switch (insn->op) {
	case X86_OP_IN:
		op->opsize = (uint8_t)insn->opd[0].size;
		op->aux = insn->opd[1].kind == X86_OPD_REG;
		return in;
	case X86_OP_OUT:
		op->opsize = (uint8_t)insn->opd[1].size;
		op->aux = insn->opd[0].kind == X86_OPD_REG;
		return out;
	default:
		op->opsize = (uint8_t)soft_string_size(insn);
		op->cc = insn->op == X86_OP_INS;
		return port_string;
	}
}
