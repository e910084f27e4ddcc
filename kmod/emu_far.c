// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's far transfers: JMP, CALL, RET and IRET between segments, call gates,
 * inner and outer privilege, VM86, and events of real mode.
 * Source: Intel SDM vol. 2 (CALL, JMP, RET, IRET), vol. 3A §5.8, §6.12, §20.1. Threads: the vCPU's
 * own.
 */
#include "emu_int.h"

/* ---- Code segments -------------------------------------------------------------------------- */

/* CS becomes `d` with `cpl`; emu_jump() then checks rip against it. */
static int enter_code(struct lodge_emu *e, struct emu_desc *d, uint16_t sel, unsigned cpl)
{
	struct lodge_emu_seg s;
	int r = emu_set_accessed(e, d);

	if (r)
		return r;
	emu_desc_seg(d, (uint16_t)((sel & ~3u) | cpl), &s);
	emu_put_seg(e, LODGE_EMU_CS, &s);
	e->wcpl = (uint8_t)cpl;
	if (EMU_LONG(e) && (s.attr & SEG_ATTR_L))
		e->mode = X86_MODE_64;
	else
		e->mode = s.attr & SEG_ATTR_DB ? X86_MODE_32 : X86_MODE_16;
	return 0;
}

/* What every code segment must be, whoever goes there. */
static int code_ok(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel)
{
	uint16_t attr = (uint16_t)(d->raw >> 40 & 0xf0ff);

	if (!EMU_S(d) || !(EMU_TYPE(d) & 8))
		return emu_gp_sel(e, sel);
	if (EMU_LONG(e) && (attr & SEG_ATTR_L) && (attr & SEG_ATTR_DB))
		return emu_gp_sel(e, sel);
	return 0;
}

static int present(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel)
{
	return EMU_P(d) ? 0 : emu_raise(e, VEC_NP, EMU_SEL_ERROR(sel));
}

static int far_paragraph(struct lodge_emu *e, uint16_t sel, uint64_t rip, unsigned bytes, bool call)
{
	uint16_t old = emu_seg(e, LODGE_EMU_CS)->sel;
	int r = 0;

	if (call) {
		r = emu_push(e, old, bytes);
		if (!r)
			r = emu_push(e, e->next_rip, bytes);
	}
	rip &= emu_mask(bytes);
	if (!r && rip > emu_seg(e, LODGE_EMU_CS)->limit)
		r = emu_gp(e);
	if (r)
		return r;
	emu_load_paragraph(e, LODGE_EMU_CS, sel);
	e->wrip = rip;
	return 0;
}

/* Straight to a code segment: the CPL stays. */
static int far_code(struct lodge_emu *e, struct emu_desc *d, uint16_t sel, uint64_t rip,
		    unsigned bytes, bool call)
{
	bool conforming = EMU_TYPE(d) & 4;
	unsigned dpl = EMU_DPL(d), cpl = e->cpl;
	uint16_t old = emu_seg(e, LODGE_EMU_CS)->sel;
	int r = code_ok(e, d, sel);

	if (!r && (conforming ? dpl > cpl : (sel & 3u) > cpl || dpl != cpl))
		r = emu_gp_sel(e, sel);
	if (!r)
		r = present(e, d, sel);
	if (!r && call)
		r = emu_push(e, old, bytes);
	if (!r && call)
		r = emu_push(e, e->next_rip, bytes);
	if (!r)
		r = enter_code(e, d, sel, cpl);
	return r ? r : emu_jump(e, rip, bytes);
}

/* ---- Call gates ------------------------------------------------------------------------------ */

/* SS:rSP for `cpl` out of the TSS, checked; SS is loaded. */
static int inner_stack(struct lodge_emu *e, unsigned cpl)
{
	const struct lodge_emu_seg *tr = emu_seg(e, LODGE_EMU_TR);
	bool wide = tr->attr & 8;
	unsigned size = EMU_LONG(e) ? 8 : wide ? 4 : 2;
	unsigned at = size == 8 ? 4 + 8 * cpl : size == 4 ? 4 + 8 * cpl : 2 + 4 * cpl;
	uint64_t sp = 0;
	uint16_t ss = 0;
	int r;

	if (at + (size == 8 ? 8 : size + 2) - 1 > tr->limit)
		return emu_raise(e, VEC_TS, EMU_SEL_ERROR(tr->sel));
	r = emu_read_lin(e, tr->base + at, &sp, size, LODGE_EMU_R | LODGE_EMU_SYS);
	if (r)
		return r;
	e->wcpl = (uint8_t)cpl;
	if (size == 8) {
		struct lodge_emu_seg s = {.sel = (uint16_t)cpl,
					  .unusable = true,
					  .attr = (uint16_t)(cpl << SEG_ATTR_DPL_SHIFT)};

		emu_put_seg(e, LODGE_EMU_SS, &s);
		e->mode = X86_MODE_64;
	} else {
		r = emu_read_lin(e, tr->base + at + size, &ss, 2, LODGE_EMU_R | LODGE_EMU_SYS);
		if (!r)
			r = emu_load_data_seg(e, LODGE_EMU_SS, ss, cpl, VEC_TS);
	}
	e->w[R_RSP] = sp;
	return r;
}

/* To an inner ring: a new stack with the old one's address and the parameters. */
static int gate_inner(struct lodge_emu *e, const struct emu_desc *gate, unsigned cpl, unsigned size)
{
	uint16_t old_ss = emu_seg(e, LODGE_EMU_SS)->sel, old_cs = emu_seg(e, LODGE_EMU_CS)->sel;
	uint64_t old_sp = e->w[R_RSP], params[31];
	unsigned n = EMU_LONG(e) ? 0 : (unsigned)(gate->raw >> 32) & 31, sb = emu_stack_bytes(e);
	int r = 0;

	for (unsigned i = 0; i < n && !r; i++) {
		params[i] = 0;
		r = emu_read_seg(e, LODGE_EMU_SS, (old_sp + i * size) & emu_mask(sb), &params[i],
				 size);
	}
	if (!r)
		r = inner_stack(e, cpl);
	if (!r)
		r = emu_push(e, old_ss, size);
	if (!r)
		r = emu_push(e, old_sp, size);
	for (unsigned i = n; i-- > 0 && !r;)
		r = emu_push(e, params[i], size);
	if (!r)
		r = emu_push(e, old_cs, size);
	return r ? r : emu_push(e, e->next_rip, size);
}

static int gate_target(struct lodge_emu *e, const struct emu_desc *gate, uint16_t sel,
		       struct emu_desc *d)
{
	bool l;
	int r;

	if (!(sel & 0xfffc))
		return emu_gp(e);
	r = emu_read_desc(e, sel, d, VEC_GP);
	if (!r)
		r = code_ok(e, d, sel);
	if (r)
		return r;
	l = d->raw >> 53 & 1;
	if (EMU_DPL(d) > e->cpl || (EMU_LONG(e) && (!l || (d->raw >> 54 & 1))))
		return emu_gp_sel(e, sel);
	(void)gate;
	return present(e, d, sel);
}

static int far_gate(struct lodge_emu *e, struct emu_desc *gate, uint16_t gate_sel, bool call)
{
	uint16_t sel = (uint16_t)(gate->raw >> 16), old_cs = emu_seg(e, LODGE_EMU_CS)->sel;
	uint64_t rip = (gate->raw & 0xffff) | (gate->raw >> 32 & 0xffff0000);
	unsigned size = EMU_LONG(e) ? 8 : EMU_TYPE(gate) & 8 ? 4 : 2, dpl;
	struct emu_desc d;
	int r;

	if (EMU_DPL(gate) < e->cpl || EMU_DPL(gate) < (gate_sel & 3u))
		return emu_gp_sel(e, gate_sel);
	r = present(e, gate, gate_sel);
	if (!r)
		r = emu_read_high(e, gate, gate_sel);
	if (!r)
		r = gate_target(e, gate, sel, &d);
	if (r)
		return r;
	rip |= size == 8 ? gate->high << 32 : 0;
	dpl = EMU_TYPE(&d) & 4 ? e->cpl : EMU_DPL(&d);
	if (!call) {
		if (dpl != e->cpl)
			return emu_gp_sel(e, sel);
	} else if (dpl < e->cpl) {
		r = gate_inner(e, gate, dpl, size);
	} else {
		r = emu_push(e, old_cs, size);
		if (!r)
			r = emu_push(e, e->next_rip, size);
	}
	if (!r)
		r = enter_code(e, &d, sel, dpl);
	return r ? r : emu_jump(e, rip, size);
}

/* A TSS or a task gate. */
static int far_task(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel, bool call)
{
	if (EMU_LONG(e))
		return emu_gp_sel(e, sel);
	if (EMU_DPL(d) < e->cpl || EMU_DPL(d) < (sel & 3u))
		return emu_gp_sel(e, sel);
	if (!EMU_P(d))
		return emu_raise(e, VEC_NP, EMU_SEL_ERROR(sel));
	e->arg = EMU_TYPE(d) == 5 ? (uint16_t)(d->raw >> 16) : sel;
	e->arg_reason = call ? LODGE_EMU_TASK_CALL : LODGE_EMU_TASK_JMP;
	e->arg_has_error = false;
	return emu_task(e);
}

static int far_to(struct lodge_emu *e, uint16_t sel, uint64_t rip, unsigned bytes, bool call)
{
	struct emu_desc d;
	int r;

	if (!EMU_PM(e))
		return far_paragraph(e, sel, rip, bytes, call);
	if (!(sel & 0xfffc))
		return emu_gp(e);
	r = emu_read_desc(e, sel, &d, VEC_GP);
	if (r)
		return r;
	if (EMU_S(&d))
		return far_code(e, &d, sel, rip, bytes, call);
	switch (EMU_TYPE(&d)) {
	case 4:
		return EMU_LONG(e) ? emu_gp_sel(e, sel) : far_gate(e, &d, sel, call);
	case 12:
		return far_gate(e, &d, sel, call);
	case 1:
	case 5:
	case 9:
		return far_task(e, &d, sel, call);
	default:
		return emu_gp_sel(e, sel);
	}
}

/* JMP_FAR, CALL_FAR, and through memory */
int emu_do_far(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = e->insn.opd[0].size - 2u;
	bool call = op == X86_OP_CALL_FAR || op == X86_OP_CALL_FAR_IND;
	uint64_t rip = e->insn.imm;
	uint16_t sel = e->insn.imm2;
	int r = 0;

	if (op == X86_OP_JMP_FAR_IND || op == X86_OP_CALL_FAR_IND)
		r = emu_get_far(e, size, &rip, &sel);
	return r ? r : far_to(e, sel, rip, size, call);
}

/* ---- Returns --------------------------------------------------------------------------------- */

/* Data segments that the outer ring may not have. */
static void drop_inner(struct lodge_emu *e, unsigned cpl)
{
	static const uint8_t segs[] = {LODGE_EMU_ES, LODGE_EMU_DS, LODGE_EMU_FS, LODGE_EMU_GS};

	for (unsigned i = 0; i < sizeof(segs); i++) {
		struct lodge_emu_seg s = *emu_seg(e, segs[i]);
		unsigned dpl = (unsigned)(s.attr >> SEG_ATTR_DPL_SHIFT) & 3;

		if (s.unusable || dpl >= cpl || (s.attr & 12) == 12)
			continue;
		s.sel = 0;
		s.unusable = true;
		emu_put_seg(e, segs[i], &s);
	}
}

static int return_code(struct lodge_emu *e, uint16_t cs, struct emu_desc *d)
{
	unsigned rpl = cs & 3u;
	int r;

	if (!(cs & 0xfffc))
		return emu_gp(e);
	r = emu_read_desc(e, cs, d, VEC_GP);
	if (!r)
		r = code_ok(e, d, cs);
	if (r)
		return r;
	if (rpl < e->cpl || (EMU_TYPE(d) & 4 ? EMU_DPL(d) > rpl : EMU_DPL(d) != rpl))
		return emu_gp_sel(e, cs);
	return present(e, d, cs);
}

/* To an outer ring: its stack, popped already, `add` bytes of parameters removed. */
static int outer_stack(struct lodge_emu *e, uint16_t ss, uint64_t sp, unsigned cpl, unsigned add)
{
	unsigned sb;
	int r = emu_load_data_seg(e, LODGE_EMU_SS, ss, cpl, VEC_GP);

	if (r)
		return r;
	sb = emu_stack_bytes(e);
	emu_set_gpr(e, R_RSP, sp + add, sb == 2 ? 2 : EMU_64(e) ? 8 : 4);
	return 0;
}

static int ret_paragraph(struct lodge_emu *e, unsigned size, unsigned add)
{
	uint64_t rip = 0, cs = 0;
	int r = emu_pop(e, &rip, size);

	if (!r)
		r = emu_pop(e, &cs, size);
	if (!r)
		r = far_paragraph(e, (uint16_t)cs, rip, size, false);
	if (!r)
		emu_add_gpr(e, R_RSP, add, emu_stack_bytes(e));
	return r;
}

int emu_do_ret_far(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize, add = e->insn.nopds ? e->insn.imm & 0xffff : 0;
	uint64_t rip = 0, cs = 0, sp = 0, ss = 0;
	struct emu_desc d;
	unsigned rpl;
	int r;

	if (!EMU_PM(e))
		return ret_paragraph(e, size, add);
	r = emu_pop(e, &rip, size);
	if (!r)
		r = emu_pop(e, &cs, size);
	if (!r)
		r = return_code(e, (uint16_t)cs, &d);
	if (r)
		return r;
	rpl = cs & 3u;
	emu_add_gpr(e, R_RSP, add, emu_stack_bytes(e));
	if (rpl > e->cpl) {
		r = emu_pop(e, &sp, size);
		if (!r)
			r = emu_pop(e, &ss, size);
	}
	if (!r)
		r = enter_code(e, &d, (uint16_t)cs, rpl);
	if (!r && rpl > e->cpl) {
		r = outer_stack(e, (uint16_t)ss, sp, rpl, add);
		drop_inner(e, rpl);
	}
	return r ? r : emu_jump(e, rip, size);
}

/* ---- IRET ------------------------------------------------------------------------------------ */

static int iret_paragraph(struct lodge_emu *e, unsigned size)
{
	uint64_t rip = 0, cs = 0, flags = 0;
	int r;

	if ((e->wflags & FLAG_VM) && EMU_IOPL(e) < 3)
		return e->cr4 & CR4_VME ? LODGE_EMU_REFUSED : emu_gp(e);
	r = emu_pop(e, &rip, size);
	if (!r)
		r = emu_pop(e, &cs, size);
	if (!r)
		r = emu_pop(e, &flags, size);
	if (!r)
		r = far_paragraph(e, (uint16_t)cs, rip, size, false);
	if (!r)
		emu_set_flags(e, flags, size, FLAG_RF);
	return r;
}

/* Into VM86: the stack holds EIP, CS, EFLAGS (popped), ESP, SS, ES, DS, FS, GS. */
static int iret_vm86(struct lodge_emu *e, uint64_t rip, uint16_t cs, uint64_t flags)
{
	static const uint8_t order[] = {LODGE_EMU_SS, LODGE_EMU_ES, LODGE_EMU_DS, LODGE_EMU_FS,
					LODGE_EMU_GS};
	uint64_t sp = 0, sel[5];
	int r = emu_pop(e, &sp, 4);

	for (unsigned i = 0; i < 5 && !r; i++)
		r = emu_pop(e, &sel[i], 4);
	if (!r && rip > 0xffff)
		r = emu_gp(e);
	if (r)
		return r;
	emu_set_flags(e, flags, 4, FLAG_RF | FLAG_VM | FLAG_IOPL | FLAG_VIF | FLAG_VIP);
	for (unsigned i = 0; i < 5; i++)
		emu_load_paragraph(e, order[i], (uint16_t)sel[i]);
	emu_load_paragraph(e, LODGE_EMU_CS, cs);
	e->w[R_RSP] = sp;
	e->wrip = rip;
	e->wcpl = 3;
	return 0;
}

static int iret_protected(struct lodge_emu *e, unsigned size)
{
	uint64_t rip = 0, cs = 0, flags = 0, sp = 0, ss = 0, more = FLAG_RF;
	bool always = EMU_64(e), outer;
	struct emu_desc d;
	int r = emu_pop(e, &rip, size);

	if (!r)
		r = emu_pop(e, &cs, size);
	if (!r)
		r = emu_pop(e, &flags, size);
	if (r)
		return r;
	if (!EMU_LONG(e) && size == 4 && (flags & FLAG_VM) && !e->cpl)
		return iret_vm86(e, rip & 0xffffffff, (uint16_t)cs, flags);
	r = return_code(e, (uint16_t)cs, &d);
	outer = (cs & 3u) > e->cpl;
	if (!r && (outer || always)) {
		r = emu_pop(e, &sp, size);
		if (!r)
			r = emu_pop(e, &ss, size);
	}
	if (!r)
		r = enter_code(e, &d, (uint16_t)cs, cs & 3u);
	if (!r && (outer || always))
		r = outer_stack(e, (uint16_t)ss, sp, cs & 3u, 0);
	if (!r)
		r = emu_jump(e, rip, size);
	if (r)
		return r;
	if (outer)
		drop_inner(e, cs & 3u);
	if (!e->cpl)
		more |= FLAG_VIF | FLAG_VIP;
	emu_set_flags(e, flags, size, more);
	return 0;
}

static int iret_task(struct lodge_emu *e)
{
	uint16_t link = 0;
	int r;

	if (EMU_LONG(e))
		return emu_gp(e);
	r = emu_read_lin(e, emu_seg(e, LODGE_EMU_TR)->base, &link, 2, LODGE_EMU_R | LODGE_EMU_SYS);
	if (r)
		return r;
	e->arg = link;
	e->arg_reason = LODGE_EMU_TASK_IRET;
	e->arg_has_error = false;
	return emu_task(e);
}

int emu_do_iret(struct lodge_emu *e)
{
	e->wtodo = LODGE_EMU_TODO_IRET;
	if (!EMU_PM(e))
		return iret_paragraph(e, e->insn.opsize);
	if (e->wflags & FLAG_NT)
		return iret_task(e);
	return iret_protected(e, e->insn.opsize);
}

/* ---- Events of real mode ---------------------------------------------------------------------- */

int emu_real_event(struct lodge_emu *e, uint8_t vector, uint64_t return_rip)
{
	uint16_t limit, to[2];
	uint64_t base = 0;
	int r;

	e->ops->get_table(e->cpu, LODGE_EMU_IDTR, &base, &limit);
	if (vector * 4u + 3 > limit) {
		/* #GP, then #DF, then nothing is left. */
		if (limit < 4 * VEC_DF + 3 || vector == VEC_DF)
			return LODGE_EMU_SHUTDOWN;
		return emu_raise_plain(e, vector == VEC_GP ? VEC_DF : VEC_GP);
	}
	r = emu_read_lin(e, (base + vector * 4u) & 0xffffffff, to, 4, LODGE_EMU_R | LODGE_EMU_SYS);
	if (!r)
		r = emu_push(e, e->wflags, 2);
	if (!r)
		r = emu_push(e, emu_seg(e, LODGE_EMU_CS)->sel, 2);
	if (!r)
		r = emu_push(e, return_rip, 2);
	if (!r && to[0] > emu_seg(e, LODGE_EMU_CS)->limit)
		r = emu_gp(e);
	if (r)
		return r;
	emu_load_paragraph(e, LODGE_EMU_CS, to[1]);
	e->wrip = to[0];
	e->wflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
	return 0;
}
