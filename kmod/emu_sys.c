// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's system instructions: control and debug registers, MSRs, XCR0, time,
 * CPUID, interrupt flag, and those whose meaning is the caller's (HLT, INVLPG, hypercalls).
 * Source: Intel SDM vol. 2, vol. 3A §2.5, §2.8; AMD APM vol. 3. Threads: the vCPU's own.
 */
#include "emu_int.h"

#define MSR_TSC 0x10u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

uint64_t emu_get_sys(struct lodge_emu *e, enum lodge_emu_kind kind, uint32_t n)
{
	uint64_t v = 0;

	if (!e->end)
		emu_ok(e, e->ops->get_sys(e->cpu, kind, n, &v, &e->ex));
	return v;
}

void emu_set_sys(struct lodge_emu *e, enum lodge_emu_kind kind, uint32_t n, uint64_t v)
{
	if (!e->end)
		emu_ok(e, e->ops->set_sys(e->cpu, kind, n, v, &e->ex));
}

void emu_do_mov_cr(struct lodge_emu *e)
{
	const struct x86_operand *o = e->insn.opd;

	if (e->insn.op == X86_OP_MOV_TO_CR)
		emu_set_sys(e, LODGE_EMU_CR, o[0].reg, emu_get(e, 1));
	else
		emu_set(e, 0, emu_get_sys(e, LODGE_EMU_CR, o[1].reg));
}

void emu_do_mov_dr(struct lodge_emu *e)
{
	bool to = e->insn.op == X86_OP_MOV_TO_DR;
	unsigned dr = e->insn.opd[to ? 0 : 1].reg;
	uint64_t v;

	if (dr == 4 || dr == 5) {
		if (e->cr4 & CR4_DE)
			emu_ud(e);
		dr += 2;
	}
	/* #DB before any access, with DR6.BD. */
	if (emu_get_sys(e, LODGE_EMU_DR, 7) & DR7_GD) {
		emu_set_sys(e, LODGE_EMU_DR, 6, emu_get_sys(e, LODGE_EMU_DR, 6) | DR6_BD);
		emu_raise(e, VEC_DB, 0);
	}
	if (to) {
		v = emu_get(e, 1);
		if (dr >= 6 && v >> 32)
			emu_gp(e);
		emu_set_sys(e, LODGE_EMU_DR, dr, v);
	} else {
		emu_set(e, 0, emu_get_sys(e, LODGE_EMU_DR, dr));
	}
}

/* CLTS, LMSW, SMSW */
void emu_do_msw(struct lodge_emu *e)
{
	const uint64_t low = CR0_MP | CR0_EM | CR0_TS;

	if (e->insn.op == X86_OP_CLTS) {
		emu_set_sys(e, LODGE_EMU_CR, 0, e->cr0 & ~(uint64_t)CR0_TS);
	} else if (e->insn.op == X86_OP_LMSW) {
		/* PE can be set, not cleared. */
		emu_set_sys(e, LODGE_EMU_CR, 0, (e->cr0 & ~low) | (emu_get(e, 0) & 15));
	} else {
		emu_check_umip(e);
		emu_set(e, 0, e->cr0);
	}
}

static void set_pair(struct lodge_emu *e, uint64_t v)
{
	e->w[R_RAX] = v & 0xffffffff;
	e->w[R_RDX] = v >> 32;
}

/* RDMSR, WRMSR, XGETBV, XSETBV: who may has been looked at. */
void emu_do_msr(struct lodge_emu *e)
{
	unsigned op = e->insn.op;
	bool xcr = op == X86_OP_XGETBV || op == X86_OP_XSETBV;
	enum lodge_emu_kind kind = xcr ? LODGE_EMU_XCR : LODGE_EMU_MSR;
	uint32_t n = (uint32_t)e->w[R_RCX];

	if (xcr && !(e->cr4 & CR4_OSXSAVE))
		emu_ud(e);
	if (op == X86_OP_WRMSR || op == X86_OP_XSETBV)
		emu_set_sys(e, kind, n, (e->w[R_RAX] & 0xffffffff) | e->w[R_RDX] << 32);
	else
		set_pair(e, emu_get_sys(e, kind, n));
}

void emu_do_tsc(struct lodge_emu *e)
{
	if ((e->cr4 & CR4_TSD) && e->cpl)
		emu_gp(e);
	set_pair(e, emu_get_sys(e, LODGE_EMU_MSR, MSR_TSC));
	if (e->insn.op == X86_OP_RDTSCP)
		e->w[R_RCX] = emu_get_sys(e, LODGE_EMU_MSR, MSR_TSC_AUX) & 0xffffffff;
}

void emu_do_cpuid(struct lodge_emu *e)
{
	uint32_t regs[4] = {(uint32_t)e->w[R_RAX], 0, (uint32_t)e->w[R_RCX], 0};

	emu_ok(e, e->ops->cpuid ? e->ops->cpuid(e->cpu, regs) : LODGE_EMU_BROKEN);
	e->w[R_RAX] = regs[0];
	e->w[R_RBX] = regs[1];
	e->w[R_RCX] = regs[2];
	e->w[R_RDX] = regs[3];
}

/* The instruction does nothing here; the caller reads e->todo. */
void emu_do_caller(struct lodge_emu *e)
{
	e->wtodo = e->insn.op == X86_OP_HLT	 ? LODGE_EMU_TODO_HLT
		   : e->insn.op == X86_OP_INVLPG ? LODGE_EMU_TODO_INVLPG
						 : LODGE_EMU_TODO_HYPERCALL;
}

/* MONITOR looks at its address; MWAIT does not wait. */
void emu_do_monitor(struct lodge_emu *e)
{
	if (e->cpl)
		emu_ud(e);
	if (e->insn.op == X86_OP_MONITOR)
		emu_linear(e, e->insn.seg, e->w[R_RAX] & emu_mask(e->insn.addrsize), 1,
			   LODGE_EMU_R);
}

/* CLAC, STAC, CLI, STI */
void emu_do_cli_sti(struct lodge_emu *e)
{
	unsigned op = e->insn.op;

	if (op == X86_OP_CLAC || op == X86_OP_STAC) {
		if (e->cpl || (e->wflags & FLAG_VM))
			emu_ud(e);
		emu_set_flag(e, FLAG_AC, op == X86_OP_STAC);
		return;
	}
	emu_vm86_sensitive(e);
	if (e->cpl > EMU_IOPL(e)) {
		if (e->cpl == 3 && (e->cr4 & CR4_PVI))
			emu_end(e, LODGE_EMU_REFUSED);
		emu_gp(e);
	}
	if (op == X86_OP_STI && !(e->wflags & FLAG_IF))
		e->wshadow |= LODGE_EMU_SHADOW_STI;
	emu_set_flag(e, FLAG_IF, op == X86_OP_STI);
}

void emu_do_swapgs(struct lodge_emu *e)
{
	struct lodge_emu_seg gs = *emu_seg(e, LODGE_EMU_GS);
	uint64_t base = emu_get_sys(e, LODGE_EMU_MSR, MSR_KERNEL_GS_BASE);

	emu_set_sys(e, LODGE_EMU_MSR, MSR_KERNEL_GS_BASE, gs.base);
	gs.base = base;
	emu_put_seg(e, LODGE_EMU_GS, &gs);
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE */
void emu_do_fsgs(struct lodge_emu *e)
{
	unsigned op = e->insn.op;
	unsigned seg = op == X86_OP_RDFSBASE || op == X86_OP_WRFSBASE ? LODGE_EMU_FS : LODGE_EMU_GS;
	struct lodge_emu_seg s = *emu_seg(e, seg);

	if (!(e->cr4 & CR4_FSGSBASE))
		emu_ud(e);
	if (op == X86_OP_RDFSBASE || op == X86_OP_RDGSBASE) {
		emu_set(e, 0, s.base);
		return;
	}
	s.base = emu_get(e, 0);
	if (!emu_canonical(e, s.base))
		emu_gp(e);
	emu_put_seg(e, seg, &s);
}

void emu_do_x87(struct lodge_emu *e)
{
	uint16_t v = 0;

	if (!e->ops->x87)
		emu_end(e, LODGE_EMU_REFUSED);
	if (e->cr0 & (CR0_EM | CR0_TS))
		emu_raise(e, VEC_NM, 0);
	if (!e->end)
		emu_ok(e, e->ops->x87(e->cpu, e->insn.op, &v));
	if (e->insn.op != X86_OP_FNINIT)
		emu_set(e, 0, v);
}
