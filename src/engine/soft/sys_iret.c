// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IRET in all its forms, and which flags POPF and IRET may change.
 * Source: Intel SDM vol. 2 IRET, POPF; 3A §6.14.3 (64-bit), §7.4 (nested task), 3B §20.2.3.
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"

#define POPF_16 (FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT)
#define POPF_32 (POPF_16 | FLAG_AC | FLAG_ID)

uint64_t soft_popf_mask(const struct soft_cpu *cpu, unsigned opsize)
{
	uint64_t mask = opsize == 2 ? POPF_16 : POPF_32;
	unsigned cpl = x86_cpl(&cpu->s);

	if (cpl == 0)
		mask |= FLAG_IOPL;
	if (cpl <= sys_iopl(cpu))
		mask |= FLAG_IF;
	return mask;
}

uint64_t sys_iret_mask(const struct soft_cpu *cpu, unsigned opsize, unsigned cpl)
{
	uint64_t mask = soft_popf_mask(cpu, opsize);

	if (opsize != 2) {
		mask |= FLAG_RF;
		if (cpl == 0)
			mask |= FLAG_VIF | FLAG_VIP;
	}
	return mask;
}

/* RF only matters while breakpoints are armed; dropped otherwise, nobody has to clear it later. */
static void set_flags(struct soft_cpu *cpu, uint64_t val, uint64_t mask)
{
	if (!(cpu->s.dr[7] & 0xff))
		val &= ~(uint64_t)FLAG_RF;
	cpu->s.rflags = (cpu->s.rflags & ~mask) | (val & mask) | FLAG_FIXED;
}

/* ---- Real mode and VM86 --------------------------------------------------------------------- */

/* VM86 with IOPL < 3 under VME: IF stands for VIF. */
static void vme_iret_check(struct soft_cpu *cpu, unsigned opsize, uint64_t flags)
{
	if (opsize != 2 || !(cpu->s.cr4 & CR4_VME))
		soft_raise_err(cpu, VEC_GP, 0);
	if ((flags & FLAG_TF) || ((flags & FLAG_IF) && (cpu->s.rflags & FLAG_VIP)))
		soft_raise_err(cpu, VEC_GP, 0);
}

static void iret_real(struct soft_cpu *cpu, unsigned size)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);
	bool vme = sys_vm86(cpu) && sys_iopl(cpu) < 3;
	uint64_t ip, flags, mask;
	uint16_t sel;

	if (vme && (size != 2 || !(s->cr4 & CR4_VME)))
		soft_raise_err(cpu, VEC_GP, 0);
	ip = sys_pop(cpu, &st, size);
	sel = (uint16_t)sys_pop(cpu, &st, size);
	flags = sys_pop(cpu, &st, size);
	if (ip > s->seg[SEG_CS].limit)
		soft_raise_err(cpu, VEC_GP, 0);
	mask = sys_iret_mask(cpu, size, 3);
	if (vme) {
		vme_iret_check(cpu, size, flags);
		mask = (mask & ~(uint64_t)FLAG_IF) | FLAG_VIF;
		flags = (flags & ~(uint64_t)FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0);
	}
	sys_set_sp(cpu, st.sp, st.mask);
	if (sys_vm86(cpu))
		s->seg[SEG_CS] = sys_seg_vm86(sel);
	else
		sys_set_cs_real(cpu, sel);
	s->rip = ip;
	set_flags(cpu, flags, mask);
}

/* ---- Protected mode ------------------------------------------------------------------------- */

struct iret_frame {
	uint64_t ip, flags, sp;
	uint16_t cs, ss;
};

static void iret_to_vm86(struct soft_cpu *cpu, struct sys_stack *st, const struct iret_frame *f)
{
	struct x86_state *s = &cpu->s;
	uint64_t sp = sys_pop(cpu, st, 4);
	uint16_t ss = (uint16_t)sys_pop(cpu, st, 4), es = (uint16_t)sys_pop(cpu, st, 4);
	uint16_t ds = (uint16_t)sys_pop(cpu, st, 4), fs = (uint16_t)sys_pop(cpu, st, 4);
	uint16_t gs = (uint16_t)sys_pop(cpu, st, 4);
	const uint64_t all =
		POPF_32 | FLAG_IF | FLAG_IOPL | FLAG_RF | FLAG_VM | FLAG_VIF | FLAG_VIP;

	if (f->ip > 0xffff)
		soft_raise_err(cpu, VEC_GP, 0);
	s->gpr[R_RSP] = sp;
	s->seg[SEG_CS] = sys_seg_vm86(f->cs);
	s->seg[SEG_SS] = sys_seg_vm86(ss);
	s->seg[SEG_ES] = sys_seg_vm86(es);
	s->seg[SEG_DS] = sys_seg_vm86(ds);
	s->seg[SEG_FS] = sys_seg_vm86(fs);
	s->seg[SEG_GS] = sys_seg_vm86(gs);
	s->rip = f->ip;
	set_flags(cpu, f->flags, all);
}

/* Checks of the code segment a far return names; raises. */
static void return_cs(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d)
{
	unsigned rpl = sel & 3;

	if (sel_null(sel))
		soft_raise_err(cpu, VEC_GP, 0);
	sys_desc_need(cpu, sel, d, VEC_GP);
	if (!desc_code(d) || rpl < x86_cpl(&cpu->s) || !sys_code_runs(cpu, d) ||
	    (desc_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
	if (!desc_present(d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
}

/* The SS of a return to `rpl`; a null one is fine for 64-bit code that is not at CPL 3. */
static struct x86_seg return_ss(struct soft_cpu *cpu, uint16_t sel, unsigned rpl, bool to64)
{
	struct sys_desc d;

	if (sel_null(sel) && to64 && rpl != 3 && (sel & 3) == rpl)
		return sys_seg_null(sel, rpl);
	sys_check_ss(cpu, sel, rpl, VEC_GP, &d);
	sys_desc_set_accessed(cpu, &d);
	return sys_seg_make(sel, &d);
}

void sys_far_return(struct soft_cpu *cpu, struct sys_stack *st, uint64_t ip, uint16_t cs,
		    unsigned size, unsigned extra, bool always_ss)
{
	struct x86_state *s = &cpu->s;
	unsigned rpl = cs & 3;
	bool outer = rpl != x86_cpl(s);
	struct sys_desc d;
	struct x86_seg ss = s->seg[SEG_SS];

	return_cs(cpu, cs, &d);
	st->sp += extra;
	if (outer || always_ss) {
		uint64_t sp = sys_pop(cpu, st, size);
		uint16_t sel = (uint16_t)sys_pop(cpu, st, size);

		ss = return_ss(cpu, sel, rpl, sys_code64(cpu, &d));
		st->sp = sp + (outer ? extra : 0);
		st->mask = sys_code64(cpu, &d)	   ? ~0ull
			   : ss.attr & SEG_ATTR_DB ? 0xffffffffull
						   : 0xffffull;
	}
	sys_check_ip(cpu, &d, ip);
	sys_desc_set_accessed(cpu, &d);

	s->seg[SEG_SS] = ss;
	sys_set_sp(cpu, st->sp, st->mask);
	sys_set_cs(cpu, cs, &d, rpl);
	s->rip = ip;
	if (outer)
		sys_drop_inner_segs(cpu);
}

static void iret_protected(struct soft_cpu *cpu, unsigned size)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);
	struct iret_frame f;
	unsigned cpl = x86_cpl(s);
	uint64_t mask = sys_iret_mask(cpu, size, cpl);

	f.ip = sys_pop(cpu, &st, size);
	f.cs = (uint16_t)sys_pop(cpu, &st, size);
	f.flags = sys_pop(cpu, &st, size);
	if ((f.flags & FLAG_VM) && size == 4 && cpl == 0 && !sys_lma(cpu)) {
		iret_to_vm86(cpu, &st, &f);
		return;
	}
	sys_far_return(cpu, &st, f.ip, f.cs, size, 0, soft_mode64(cpu));
	set_flags(cpu, f.flags, mask);
}

void sys_iret(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;

	s->nmi_blocked = false; /* even when it faults */
	if (s->nmi_pending)
		soft_request_exit(cpu); /* before the next instruction */
	if (!sys_protected(cpu)) {
		iret_real(cpu, op->opsize);
	} else if (s->rflags & FLAG_NT) {
		if (sys_lma(cpu))
			soft_raise_err(cpu, VEC_GP, 0);
		sys_task_return(cpu, s->rip);
	} else {
		iret_protected(cpu, op->opsize);
	}
	soft_mode_changed(cpu);
}
