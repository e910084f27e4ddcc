// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's system instructions: control and debug registers, MSRs, XCR0, time,
 * CPUID, interrupt flag, and those whose meaning is the caller's (HLT, INVLPG, hypercalls, …).
 * Source: Intel SDM vol. 2, vol. 3A §2.5, §2.8; AMD APM vol. 3. Threads: the vCPU's own.
 */
#include "emu_int.h"

#define MSR_TSC 0x10u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

static int set_cr(struct lodge_emu *e, unsigned cr, uint64_t v)
{
	int r;

	if (!e->ops->set_cr || !e->ops->get_cr)
		return LODGE_EMU_REFUSED;
	r = e->ops->set_cr(e->cpu, cr, v, &e->ex);
	if (r)
		return emu_answer(r);
	if (cr == 0)
		e->ops->get_cr(e->cpu, 0, &e->cr0);
	if (cr == 4)
		e->ops->get_cr(e->cpu, 4, &e->cr4);
	return 0;
}

int emu_do_mov_cr(struct lodge_emu *e)
{
	bool to = e->insn.op == X86_OP_MOV_TO_CR;
	unsigned cr = e->insn.opd[to ? 0 : 1].reg;
	uint64_t v = 0;
	int r;

	if (to) {
		emu_get(e, 1, &v);
		return set_cr(e, cr, v);
	}
	if (!e->ops->get_cr)
		return LODGE_EMU_REFUSED;
	r = e->ops->get_cr(e->cpu, cr, &v);
	return r ? emu_answer(r) : emu_set(e, 0, v);
}

/* DR7.GD: #DB before any access, with DR6.BD. */
static int debug_guard(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = e->ops->get_dr(e->cpu, 7, &v);

	if (r)
		return emu_answer(r);
	if (!(v & DR7_GD))
		return 0;
	r = e->ops->get_dr(e->cpu, 6, &v);
	if (!r)
		r = e->ops->set_dr(e->cpu, 6, v | DR6_BD, &e->ex);
	return r ? emu_answer(r) : emu_raise_plain(e, VEC_DB);
}

int emu_do_mov_dr(struct lodge_emu *e)
{
	bool to = e->insn.op == X86_OP_MOV_TO_DR;
	unsigned dr = e->insn.opd[to ? 0 : 1].reg;
	uint64_t v = 0;
	int r;

	if (!e->ops->get_dr || !e->ops->set_dr)
		return LODGE_EMU_REFUSED;
	if (dr == 4 || dr == 5) {
		if (e->cr4 & CR4_DE)
			return emu_ud(e);
		dr += 2;
	}
	r = debug_guard(e);
	if (r)
		return r;
	if (to) {
		emu_get(e, 1, &v);
		if (dr >= 6 && v >> 32)
			return emu_gp(e);
		return emu_answer(e->ops->set_dr(e->cpu, dr, v, &e->ex));
	}
	r = e->ops->get_dr(e->cpu, dr, &v);
	return r ? emu_answer(r) : emu_set(e, 0, v);
}

int emu_do_msw(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r;

	if (e->insn.op == X86_OP_SMSW) {
		if ((e->cr4 & CR4_UMIP) && e->cpl)
			return emu_gp(e);
		return emu_set(e, 0, e->cr0);
	}
	r = emu_get(e, 0, &v);
	if (r)
		return r;
	/* PE can be set, not cleared. */
	return set_cr(e, 0, (e->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (v & 15));
}

int emu_do_clts(struct lodge_emu *e)
{
	return set_cr(e, 0, e->cr0 & ~(uint64_t)CR0_TS);
}

static int get_msr(struct lodge_emu *e, uint32_t msr, uint64_t *v)
{
	*v = 0;
	if (!e->ops->get_msr)
		return LODGE_EMU_REFUSED;
	return emu_answer(e->ops->get_msr(e->cpu, msr, v, &e->ex));
}

static void set_pair(struct lodge_emu *e, uint64_t v)
{
	e->w[R_RAX] = v & 0xffffffff;
	e->w[R_RDX] = v >> 32;
}

static uint64_t pair(const struct lodge_emu *e)
{
	return (e->w[R_RAX] & 0xffffffff) | e->w[R_RDX] << 32;
}

int emu_do_msr(struct lodge_emu *e)
{
	uint32_t msr = (uint32_t)e->w[R_RCX];
	uint64_t v = 0;
	int r;

	if (e->insn.op == X86_OP_WRMSR) {
		if (!e->ops->set_msr)
			return LODGE_EMU_REFUSED;
		return emu_answer(e->ops->set_msr(e->cpu, msr, pair(e), &e->ex));
	}
	r = get_msr(e, msr, &v);
	if (!r)
		set_pair(e, v);
	return r;
}

int emu_do_tsc(struct lodge_emu *e)
{
	uint64_t v = 0, aux = 0;
	int r;

	if ((e->cr4 & CR4_TSD) && e->cpl)
		return emu_gp(e);
	r = get_msr(e, MSR_TSC, &v);
	if (!r && e->insn.op == X86_OP_RDTSCP)
		r = get_msr(e, MSR_TSC_AUX, &aux);
	if (r)
		return r;
	set_pair(e, v);
	if (e->insn.op == X86_OP_RDTSCP)
		e->w[R_RCX] = aux & 0xffffffff;
	return 0;
}

int emu_do_xcr(struct lodge_emu *e)
{
	uint32_t xcr = (uint32_t)e->w[R_RCX];
	uint64_t v = 0;
	int r;

	if (!(e->cr4 & CR4_OSXSAVE))
		return emu_ud(e);
	if (!e->ops->get_xcr || !e->ops->set_xcr)
		return LODGE_EMU_REFUSED;
	if (e->insn.op == X86_OP_XSETBV) {
		if (e->cpl)
			return emu_gp(e);
		return emu_answer(e->ops->set_xcr(e->cpu, xcr, pair(e), &e->ex));
	}
	r = e->ops->get_xcr(e->cpu, xcr, &v, &e->ex);
	if (r)
		return emu_answer(r);
	set_pair(e, v);
	return 0;
}

int emu_do_cpuid(struct lodge_emu *e)
{
	uint32_t regs[4] = {(uint32_t)e->w[R_RAX], 0, (uint32_t)e->w[R_RCX], 0};
	int r;

	if (!e->ops->cpuid)
		return LODGE_EMU_REFUSED;
	r = e->ops->cpuid(e->cpu, regs);
	if (r)
		return emu_answer(r);
	e->w[R_RAX] = regs[0];
	e->w[R_RBX] = regs[1];
	e->w[R_RCX] = regs[2];
	e->w[R_RDX] = regs[3];
	return 0;
}

/* The instruction does nothing here; the caller reads e->todo. */
int emu_do_todo(struct lodge_emu *e)
{
	e->wtodo_arg = 0;
	if ((e->insn.op == X86_OP_MONITOR || e->insn.op == X86_OP_MWAIT) && e->cpl)
		return emu_ud(e);
	switch (e->insn.op) {
	case X86_OP_HLT:
		e->wtodo = LODGE_EMU_TODO_HLT;
		break;
	case X86_OP_PAUSE:
		e->wtodo = LODGE_EMU_TODO_PAUSE;
		break;
	case X86_OP_INVLPG:
		e->wtodo = LODGE_EMU_TODO_INVLPG;
		e->wtodo_arg = emu_operand_linear(e);
		break;
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
		e->wtodo = LODGE_EMU_TODO_HYPERCALL;
		break;
	case X86_OP_MONITOR:
		e->wtodo = LODGE_EMU_TODO_MONITOR;
		return emu_linear(e, e->insn.seg, e->w[R_RAX] & emu_mask(e->insn.addrsize), 1,
				  LODGE_EMU_R, &e->wtodo_arg);
	case X86_OP_MWAIT:
		e->wtodo = LODGE_EMU_TODO_MWAIT;
		break;
	default:
		e->wtodo = LODGE_EMU_TODO_WBINVD;
		break;
	}
	return 0;
}

int emu_do_cli_sti(struct lodge_emu *e)
{
	if (e->cpl > EMU_IOPL(e)) {
		bool virtual_if =
			e->wflags & FLAG_VM ? e->cr4 & CR4_VME : e->cpl == 3 && (e->cr4 & CR4_PVI);

		return virtual_if ? LODGE_EMU_REFUSED : emu_gp(e);
	}
	if (e->insn.op == X86_OP_CLI) {
		e->wflags &= ~(uint64_t)FLAG_IF;
		return 0;
	}
	if (!(e->wflags & FLAG_IF))
		e->wshadow |= LODGE_EMU_SHADOW_STI;
	e->wflags |= FLAG_IF;
	return 0;
}

int emu_do_swapgs(struct lodge_emu *e)
{
	struct lodge_emu_seg gs;
	uint64_t v = 0;
	int r;

	if (!EMU_64(e))
		return emu_ud(e);
	if (e->cpl)
		return emu_gp(e);
	if (!e->ops->set_msr)
		return LODGE_EMU_REFUSED;
	gs = *emu_seg(e, LODGE_EMU_GS);
	r = get_msr(e, MSR_KERNEL_GS_BASE, &v);
	if (!r)
		r = emu_answer(e->ops->set_msr(e->cpu, MSR_KERNEL_GS_BASE, gs.base, &e->ex));
	if (r)
		return r;
	gs.base = v;
	emu_put_seg(e, LODGE_EMU_GS, &gs);
	return 0;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE */
int emu_do_fsgs(struct lodge_emu *e)
{
	unsigned op = e->insn.op;
	unsigned seg = op == X86_OP_RDFSBASE || op == X86_OP_WRFSBASE ? LODGE_EMU_FS : LODGE_EMU_GS;
	struct lodge_emu_seg s;
	uint64_t v = 0;

	if (!EMU_64(e) || !(e->cr4 & CR4_FSGSBASE))
		return emu_ud(e);
	s = *emu_seg(e, seg);
	if (op == X86_OP_RDFSBASE || op == X86_OP_RDGSBASE)
		return emu_set(e, 0, s.base);
	emu_get(e, 0, &v);
	if (!emu_canonical(e, v))
		return emu_gp(e);
	s.base = v;
	emu_put_seg(e, seg, &s);
	return 0;
}

int emu_do_ac(struct lodge_emu *e)
{
	if (e->cpl || (e->wflags & FLAG_VM))
		return emu_ud(e);
	if (e->insn.op == X86_OP_STAC)
		e->wflags |= FLAG_AC;
	else
		e->wflags &= ~(uint64_t)FLAG_AC;
	return 0;
}

int emu_do_x87(struct lodge_emu *e)
{
	uint16_t v = 0;
	int r;

	if (!e->ops->x87)
		return LODGE_EMU_REFUSED;
	if (e->cr0 & (CR0_EM | CR0_TS))
		return emu_raise_plain(e, VEC_NM);
	r = emu_answer(e->ops->x87(e->cpu, e->insn.op, &v));
	return r || e->insn.op == X86_OP_FNINIT ? r : emu_set(e, 0, v);
}
