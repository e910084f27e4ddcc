// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Software interrupts (INT n, INT3, INT1, INTO), BOUND and the undefined instructions.
 * Source: Intel SDM vol. 2 INT n, BOUND, UD; 3B §20.3 (VM86 interrupts, table 20-2), §20.4 (VME).
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"

static void raise_soft(struct soft_cpu *cpu, const struct soft_op *op, uint8_t vector, bool int1)
{
	const struct soft_event ev = {.vector = vector,
				      .soft = true,
				      .int1 = int1,
				      .insn_len = op->len};

	soft_raise_event(cpu, &ev);
}

/* The interrupt redirection bitmap: 32 bytes below the I/O bitmap. True: to the 8086 program. */
static bool vme_redirects(struct soft_cpu *cpu, uint8_t vector)
{
	const struct x86_seg *tr = &cpu->s.tr;
	uint32_t at;

	if (tr->limit < 0x67)
		soft_raise_err(cpu, VEC_GP, 0);
	at = (uint32_t)soft_ld_sys(cpu, (uint32_t)(tr->base + 0x66), 2) - 32 + vector / 8u;
	if (at > tr->limit)
		soft_raise_err(cpu, VEC_GP, 0);
	return !(soft_ld_sys(cpu, (uint32_t)(tr->base + at), 1) >> (vector & 7) & 1);
}

/* Inside the VM86 task, through the vector table at linear 0. */
static void vm86_int(struct soft_cpu *cpu, uint8_t vector)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);
	uint32_t entry = (uint32_t)soft_ld(cpu, vector * 4u, 4);
	uint64_t flags = s->rflags;
	bool virtual_if = sys_iopl(cpu) < 3;

	if (virtual_if) {
		flags = (flags & ~(uint64_t)FLAG_IF) | FLAG_IOPL;
		if (s->rflags & FLAG_VIF)
			flags |= FLAG_IF;
	}
	sys_push(cpu, &st, flags, 2);
	sys_push(cpu, &st, s->seg[SEG_CS].sel, 2);
	sys_push(cpu, &st, s->rip, 2);
	sys_set_sp(cpu, st.sp, st.mask);
	s->seg[SEG_CS] = sys_seg_vm86((uint16_t)(entry >> 16));
	s->rip = entry & 0xffff;
	s->rflags &= ~(uint64_t)(FLAG_TF | (virtual_if ? FLAG_VIF : FLAG_IF));
	soft_mode_changed(cpu);
}

void sys_int(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint8_t vector = (uint8_t)op->insn->imm;

	if (sys_vm86(cpu)) {
		if ((cpu->s.cr4 & CR4_VME) && vme_redirects(cpu, vector)) {
			vm86_int(cpu, vector);
			return;
		}
		if (sys_iopl(cpu) < 3)
			soft_raise_err(cpu, VEC_GP, 0);
	}
	raise_soft(cpu, op, vector, false);
}

void sys_int3(struct soft_cpu *cpu, const struct soft_op *op)
{
	raise_soft(cpu, op, VEC_BP, false);
}

void sys_int1(struct soft_cpu *cpu, const struct soft_op *op)
{
	raise_soft(cpu, op, VEC_DB, true);
}

void sys_into(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (cpu->s.rflags & FLAG_OF)
		raise_soft(cpu, op, VEC_OF, false);
}

void sys_bound(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize;
	gva_t lin = soft_ea_lin(cpu, op, 2 * size, false);
	uint64_t lo = soft_ld(cpu, lin, size);
	uint64_t hi = soft_ld(cpu, sys_wrap(cpu, lin + size), size);
	uint64_t val = cpu->s.gpr[sys_reg(op, 0)];
	bool in = size == 2 ? (int16_t)val >= (int16_t)lo && (int16_t)val <= (int16_t)hi
			    : (int32_t)val >= (int32_t)lo && (int32_t)val <= (int32_t)hi;

	if (!in)
		soft_raise(cpu, VEC_BR);
}

void sys_ud(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	soft_raise(cpu, VEC_UD);
}
