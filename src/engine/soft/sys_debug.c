// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Debug registers, breakpoints and single step.
 * Source: Intel SDM 3B ch. 17 (§17.2 registers, §17.3 exceptions), vol. 2 MOV DR.
 * Threads: the vCPU's own.
 *
 * RF is consumed when an instruction starts: faults put it back into the image they push.
 */
#include "engine/soft/sys_int.h"

#define DR6_WRITABLE 0xe00fu
#define DR7_WRITABLE 0xffff23ffu

static void raise_db(struct soft_cpu *cpu, uint64_t dr6)
{
	const struct soft_event ev = {.vector = VEC_DB, .dr6 = dr6};

	soft_raise_event(cpu, &ev);
}

void soft_debug_after(struct soft_cpu *cpu, bool tf_before)
{
	uint64_t dr6 = cpu->pending_dr6 | (tf_before ? DR6_BS : 0);

	/* MOV SS: data breakpoints wait for the next instruction, single step skips this one. */
	if (cpu->s.int_shadow & X86_SHADOW_SS)
		return;
	cpu->pending_dr6 = 0;
	if (!dr6)
		return;
	sys_commit_ip(cpu);
	raise_db(cpu, dr6);
}

/* Enabled instruction breakpoints (R/W = 0, LEN = 0) at `lin`, as DR6 bits. */
static uint64_t code_breakpoints(const struct soft_cpu *cpu, gva_t lin)
{
	const uint64_t *dr = cpu->s.dr;
	uint64_t hit = 0;

	for (unsigned i = 0; i < 4; i++) {
		if ((dr[7] >> (2 * i) & 3) && !(dr[7] >> (16 + 4 * i) & 0xf) && dr[i] == lin)
			hit |= 1u << i;
	}
	return hit;
}

void soft_debug_before(struct soft_cpu *cpu)
{
	uint64_t hit;

	if (cpu->s.rflags & FLAG_RF) {
		cpu->s.rflags &= ~(uint64_t)FLAG_RF;
		return;
	}
	if (!(cpu->s.dr[7] & 0xff) || (cpu->s.int_shadow & X86_SHADOW_SS))
		return;
	hit = code_breakpoints(cpu, sys_wrap(cpu, cpu->segbase[SEG_CS] + cpu->s.rip));
	if (!hit)
		return;
	sys_commit_ip(cpu);
	raise_db(cpu, hit);
}

/* Which register; #UD, #GP and #DB as MOV DR raises them. */
static unsigned debug_reg(struct soft_cpu *cpu, unsigned n)
{
	if (n > 7 || ((n == 4 || n == 5) && (cpu->s.cr4 & CR4_DE)))
		soft_raise(cpu, VEC_UD);
	sys_need_cpl0(cpu);
	if (cpu->s.dr[7] & DR7_GD)
		raise_db(cpu, DR6_BD);
	return n == 4 || n == 5 ? n + 2 : n;
}

void sys_mov_from_dr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned n = debug_reg(cpu, sys_reg(op, 1));

	sys_set_reg(cpu, sys_reg(op, 0), cpu->s.dr[n], soft_mode64(cpu) ? 8 : 4);
}

void sys_mov_to_dr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned n = debug_reg(cpu, sys_reg(op, 0));
	uint64_t val = cpu->s.gpr[sys_reg(op, 1)];

	if (!soft_mode64(cpu))
		val = (uint32_t)val;
	if (n >= 6 && val >> 32)
		soft_raise_err(cpu, VEC_GP, 0);
	if (n == 6)
		val = (val & DR6_WRITABLE) | DR6_FIXED;
	else if (n == 7)
		val = (val & DR7_WRITABLE) | DR7_FIXED;
	cpu->s.dr[n] = val;
	soft_mode_changed(cpu);
}
