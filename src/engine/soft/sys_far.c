// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Far JMP, CALL and RET: direct, through call gates (16, 32 and 64 bits), to tasks.
 * Source: Intel SDM vol. 2 CALL, JMP, RET; 3A §5.8 (privilege), §7.3 (tasks); AMD APM vol. 2 §4.7.
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"

struct far_ptr {
	uint16_t sel;
	uint64_t off;
};

/* The operand: ptr16:16/32 or m16:16/32/64. AMD has no 64-bit offsets. */
static struct far_ptr far_operand(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned size = op->opsize == 8 && sys_amd(cpu) ? 4 : op->opsize;
	struct far_ptr p;
	gva_t lin;

	if (!sys_is_mem(op, 0)) {
		p.sel = op->insn->imm2;
		p.off = op->insn->imm & sys_opsize_mask(op->opsize);
		return p;
	}
	lin = soft_ea_lin(cpu, op, size + 2, false);
	p.off = soft_ld(cpu, lin, size);
	p.sel = (uint16_t)soft_ld(cpu, sys_wrap(cpu, lin + size), 2);
	return p;
}

static bool is_call(const struct soft_op *op)
{
	return op->insn->op == X86_OP_CALL_FAR || op->insn->op == X86_OP_CALL_FAR_IND;
}

/* ---- Real mode and VM86 --------------------------------------------------------------------- */

static void far_real(struct soft_cpu *cpu, const struct soft_op *op, struct far_ptr p, bool call)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);

	if (p.off > s->seg[SEG_CS].limit)
		soft_raise_err(cpu, VEC_GP, 0);
	if (call) {
		sys_push(cpu, &st, s->seg[SEG_CS].sel, op->opsize);
		sys_push(cpu, &st, s->rip, op->opsize);
		sys_set_sp(cpu, st.sp, st.mask);
	}
	if (sys_vm86(cpu))
		s->seg[SEG_CS] = sys_seg_vm86(p.sel);
	else
		sys_set_cs_real(cpu, p.sel);
	s->rip = p.off;
}

/* ---- To a code segment ---------------------------------------------------------------------- */

static void far_to_code(struct soft_cpu *cpu, const struct soft_op *op, struct far_ptr p,
			struct sys_desc *d, bool call)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);
	unsigned cpl = x86_cpl(s);
	bool ok =
		desc_conforming(d) ? desc_dpl(d) <= cpl : (p.sel & 3u) <= cpl && desc_dpl(d) == cpl;

	if (!ok || !sys_code_runs(cpu, d))
		soft_raise_err(cpu, VEC_GP, sel_err(p.sel));
	if (!desc_present(d))
		soft_raise_err(cpu, VEC_NP, sel_err(p.sel));
	if (call) {
		sys_push(cpu, &st, s->seg[SEG_CS].sel, op->opsize);
		sys_push(cpu, &st, s->rip, op->opsize);
	}
	sys_check_ip(cpu, d, p.off);
	sys_desc_set_accessed(cpu, d);
	if (call)
		sys_set_sp(cpu, st.sp, st.mask);
	sys_set_cs(cpu, p.sel, d, cpl);
	s->rip = p.off;
}

/* ---- Call gates ----------------------------------------------------------------------------- */

struct call_gate {
	uint16_t sel;
	uint64_t off;
	unsigned size;	 /* bytes of a stack slot */
	unsigned params; /* slots to copy */
};

static struct call_gate gate_unpack(const struct sys_desc *d, bool lma)
{
	struct call_gate g = {.sel = (uint16_t)(d->raw >> 16),
			      .off = d->raw & 0xffff,
			      .size = 2,
			      .params = (unsigned)(d->raw >> 32) & 0x1f};

	if (desc_type(d) == DESC_CALL32) {
		g.off |= d->raw >> 32 & 0xffff0000;
		g.size = 4;
	}
	if (lma) {
		g.off |= d->raw_hi << 32;
		g.size = 8;
		g.params = 0;
	}
	return g;
}

/* Checks of the code segment behind a gate. */
static void gate_target(struct soft_cpu *cpu, const struct call_gate *g, struct sys_desc *d,
			bool call)
{
	unsigned cpl = x86_cpl(&cpu->s), dpl;
	bool ok;

	if (sel_null(g->sel))
		soft_raise_err(cpu, VEC_GP, 0);
	sys_desc_need(cpu, g->sel, d, VEC_GP);
	dpl = desc_dpl(d);
	ok = desc_code(d) && dpl <= cpl && (call || desc_conforming(d) || dpl == cpl);
	if (sys_lma(cpu) && (d->attr & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
		ok = false;
	if (!ok)
		soft_raise_err(cpu, VEC_GP, sel_err(g->sel));
	if (!desc_present(d))
		soft_raise_err(cpu, VEC_NP, sel_err(g->sel));
}

/* Copy parameters from the caller's stack, last pushed first in memory, so in reverse. */
static void copy_params(struct soft_cpu *cpu, const struct call_gate *g, struct sys_stack *to)
{
	struct sys_stack from = sys_stack_current(cpu);
	uint64_t base = from.sp;

	for (unsigned i = g->params; i-- > 0;) {
		from.sp = base + (uint64_t)i * g->size;
		sys_push(cpu, to, sys_pop(cpu, &from, g->size), g->size);
	}
}

static void call_inner(struct soft_cpu *cpu, const struct call_gate *g, struct sys_desc *d)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st;
	unsigned cpl = desc_dpl(d);

	sys_inner_stack(cpu, cpl, &st);
	sys_check_ip(cpu, d, g->off);
	sys_push(cpu, &st, s->seg[SEG_SS].sel, g->size);
	sys_push(cpu, &st, s->gpr[R_RSP], g->size);
	copy_params(cpu, g, &st);
	sys_push(cpu, &st, s->seg[SEG_CS].sel, g->size);
	sys_push(cpu, &st, s->rip, g->size);
	sys_desc_set_accessed(cpu, d);
	s->seg[SEG_SS] = st.seg;
	sys_set_sp(cpu, st.sp, st.mask);
	sys_set_cs(cpu, g->sel, d, cpl);
	s->rip = g->off;
}

static void gate_same(struct soft_cpu *cpu, const struct call_gate *g, struct sys_desc *d,
		      bool call)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);

	if (sys_lma(cpu)) { /* the target is 64-bit code */
		st.mask = ~0ull;
		st.flat64 = true;
	}
	if (call) {
		sys_push(cpu, &st, s->seg[SEG_CS].sel, g->size);
		sys_push(cpu, &st, s->rip, g->size);
	}
	sys_check_ip(cpu, d, g->off);
	sys_desc_set_accessed(cpu, d);
	if (call)
		sys_set_sp(cpu, st.sp, st.mask);
	sys_set_cs(cpu, g->sel, d, x86_cpl(s));
	s->rip = g->off;
}

/* Gates and TSSs: DPL must be at least CPL and RPL; then presence. */
static void check_access(struct soft_cpu *cpu, uint16_t sel, const struct sys_desc *d)
{
	unsigned dpl = desc_dpl(d);

	if (dpl < x86_cpl(&cpu->s) || dpl < (sel & 3u))
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
	if (!desc_present(d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
}

static void far_to_system(struct soft_cpu *cpu, struct far_ptr p, struct sys_desc *d, bool call)
{
	bool lma = sys_lma(cpu);
	unsigned type = desc_type(d);
	struct call_gate g;
	struct sys_desc code;

	if (type == DESC_CALL32 || (!lma && type == DESC_CALL16)) {
		check_access(cpu, p.sel, d);
		if (lma && (!sys_desc_fetch16(cpu, p.sel, d) || (d->raw_hi >> 40 & 0x1f)))
			soft_raise_err(cpu, VEC_GP, sel_err(p.sel));
		g = gate_unpack(d, lma);
		gate_target(cpu, &g, &code, call);
		if (call && !desc_conforming(&code) && desc_dpl(&code) < x86_cpl(&cpu->s))
			call_inner(cpu, &g, &code);
		else
			gate_same(cpu, &g, &code, call);
	} else if (!lma && type == DESC_TASK) {
		check_access(cpu, p.sel, d);
		sys_task_gate(cpu, d->raw, call ? TASK_CALL : TASK_JMP, cpu->s.rip, NULL);
	} else if (!lma && (type == DESC_TSS16 || type == DESC_TSS32) && !(p.sel & 4)) {
		check_access(cpu, p.sel, d);
		sys_task_switch(cpu, p.sel, d, call ? TASK_CALL : TASK_JMP, cpu->s.rip, NULL);
	} else {
		soft_raise_err(cpu, VEC_GP, sel_err(p.sel));
	}
}

/* ---- Operations ----------------------------------------------------------------------------- */

void sys_jmp_far(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct far_ptr p = far_operand(cpu, op);
	bool call = is_call(op);
	struct sys_desc d;

	if (!sys_protected(cpu)) {
		far_real(cpu, op, p, call);
	} else {
		if (sel_null(p.sel))
			soft_raise_err(cpu, VEC_GP, 0);
		sys_desc_need(cpu, p.sel, &d, VEC_GP);
		if (desc_code(&d))
			far_to_code(cpu, op, p, &d, call);
		else if (desc_system(&d))
			far_to_system(cpu, p, &d, call);
		else
			soft_raise_err(cpu, VEC_GP, sel_err(p.sel));
	}
	soft_mode_changed(cpu);
}

void sys_ret_far(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	struct sys_stack st = sys_stack_current(cpu);
	uint64_t ip = sys_pop(cpu, &st, op->opsize);
	uint16_t cs = (uint16_t)sys_pop(cpu, &st, op->opsize);
	unsigned extra = (uint16_t)op->insn->imm;

	if (sys_protected(cpu)) {
		sys_far_return(cpu, &st, ip, cs, op->opsize, extra, false);
	} else {
		if (ip > s->seg[SEG_CS].limit)
			soft_raise_err(cpu, VEC_GP, 0);
		sys_set_sp(cpu, st.sp + extra, st.mask);
		if (sys_vm86(cpu))
			s->seg[SEG_CS] = sys_seg_vm86(cs);
		else
			sys_set_cs_real(cpu, cs);
		s->rip = ip;
	}
	soft_mode_changed(cpu);
}
