// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fast system calls and the FS/GS base instructions.
 * Source: Intel SDM vol. 2 SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, RDFSBASE; AMD APM vol. 2
 * §6.1 (SYSCALL in legacy and compatibility mode; SYSENTER refused in long mode). Threads: the
 * vCPU's own.
 */
#include "engine/soft/sys_int.h"

/* Segments these instructions load are fixed, not read from a table. */
static void set_flat(struct soft_cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl, bool code64)
{
	const uint16_t dpl = (uint16_t)(cpl << SEG_ATTR_DPL_SHIFT);

	cpu->s.seg[SEG_CS] = (struct x86_seg){
		.limit = 0xffffffff,
		.sel = (uint16_t)((cs & 0xfffcu) | cpl),
		.attr = (uint16_t)(SEG_FLAT_CODE | dpl | (code64 ? SEG_ATTR_L : SEG_ATTR_DB)),
	};
	cpu->s.seg[SEG_SS] = (struct x86_seg){
		.limit = 0xffffffff,
		.sel = (uint16_t)((ss & 0xfffcu) | cpl),
		.attr = (uint16_t)(SEG_FLAT_DATA | dpl),
	};
}

static void need_syscall(struct soft_cpu *cpu)
{
	if (!(cpu->s.efer & EFER_SCE) || !(cpu->s.cr0 & CR0_PE))
		soft_raise(cpu, VEC_UD);
	if (!sys_amd(cpu) && !soft_mode64(cpu))
		soft_raise(cpu, VEC_UD);
}

void sys_syscall(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	uint16_t sel = (uint16_t)(s->star >> 32);
	bool stepped = (s->rflags & FLAG_TF) != 0;

	(void)op;
	need_syscall(cpu);
	s->gpr[R_RCX] = s->rip;
	if (sys_lma(cpu)) {
		s->gpr[R_R11] = s->rflags & ~(uint64_t)FLAG_RF;
		s->rip = soft_mode64(cpu) ? s->lstar : s->cstar;
		s->rflags = (s->rflags & ~(s->sfmask | FLAG_RF)) | FLAG_FIXED;
	} else {
		s->rip = (uint32_t)s->star;
		s->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
	}
	set_flat(cpu, sel & 0xfffc, (uint16_t)((sel & 0xfffc) + 8), 0, sys_lma(cpu));
	soft_mode_changed(cpu);
	/* Single step looks at the new TF: a masked one makes no trap in the kernel. */
	if (stepped && !(s->rflags & FLAG_TF))
		soft_unwind(cpu);
}

void sys_sysret(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	uint16_t sel = (uint16_t)(s->star >> 48);
	const uint64_t flags = FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT |
			       FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID;
	bool to64 = op->opsize == 8;

	need_syscall(cpu);
	sys_need_cpl0(cpu);
	/* Intel checks here; AMD faults at the target, in user mode. */
	if (to64 && !sys_amd(cpu) && !sys_canonical(s->gpr[R_RCX]))
		soft_raise_err(cpu, VEC_GP, 0);
	s->rip = to64 ? s->gpr[R_RCX] : (uint32_t)s->gpr[R_RCX];
	if (sys_lma(cpu))
		s->rflags = (s->gpr[R_R11] & flags) | FLAG_FIXED;
	else
		s->rflags |= FLAG_IF;
	set_flat(cpu, (uint16_t)(sel + (to64 ? 16 : 0)), (uint16_t)(sel + 8), 3, to64);
	soft_mode_changed(cpu);
}

static void need_sysenter(struct soft_cpu *cpu)
{
	if (sys_amd(cpu) && sys_lma(cpu))
		soft_raise(cpu, VEC_UD);
	if (!(cpu->s.cr0 & CR0_PE) || sel_null((uint16_t)cpu->s.sysenter_cs))
		soft_raise_err(cpu, VEC_GP, 0);
}

void sys_sysenter(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	uint16_t sel = (uint16_t)(s->sysenter_cs & 0xfffc);
	bool lma = sys_lma(cpu);

	(void)op;
	need_sysenter(cpu);
	s->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
	s->gpr[R_RSP] = lma ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
	s->rip = lma ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
	set_flat(cpu, sel, (uint16_t)(sel + 8), 0, lma);
	soft_mode_changed(cpu);
}

void sys_sysexit(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	uint16_t sel = (uint16_t)s->sysenter_cs;
	bool to64 = op->opsize == 8;
	uint64_t ip = s->gpr[R_RDX], sp = s->gpr[R_RCX];

	need_sysenter(cpu);
	sys_need_cpl0(cpu);
	if (to64 && (!sys_canonical(ip) || !sys_canonical(sp)))
		soft_raise_err(cpu, VEC_GP, 0);
	s->rip = to64 ? ip : (uint32_t)ip;
	s->gpr[R_RSP] = to64 ? sp : (uint32_t)sp;
	set_flat(cpu, (uint16_t)(sel + (to64 ? 32 : 16)), (uint16_t)(sel + (to64 ? 40 : 24)), 3,
		 to64);
	soft_mode_changed(cpu);
}

/* ---- FS and GS bases ------------------------------------------------------------------------ */

void sys_swapgs(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	uint64_t base = s->seg[SEG_GS].base;

	(void)op;
	if (!soft_mode64(cpu))
		soft_raise(cpu, VEC_UD);
	sys_need_cpl0(cpu);
	s->seg[SEG_GS].base = s->kernel_gs_base;
	s->kernel_gs_base = base;
	cpu->segbase[SEG_GS] = s->seg[SEG_GS].base;
}

static unsigned fsgs_target(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!soft_mode64(cpu) || !(cpu->s.cr4 & CR4_FSGSBASE))
		soft_raise(cpu, VEC_UD);
	return op->insn->op == X86_OP_RDFSBASE || op->insn->op == X86_OP_WRFSBASE ? SEG_FS : SEG_GS;
}

void sys_rdfsgsbase(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned seg = fsgs_target(cpu, op);

	sys_set_reg(cpu, sys_reg(op, 0), cpu->s.seg[seg].base, op->opsize);
}

void sys_wrfsgsbase(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned seg = fsgs_target(cpu, op);
	uint64_t base = cpu->s.gpr[sys_reg(op, 0)];

	if (op->opsize != 8)
		base = (uint32_t)base;
	if (!sys_canonical(base))
		soft_raise_err(cpu, VEC_GP, 0);
	cpu->s.seg[seg].base = base;
	cpu->segbase[seg] = base;
}
